/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the verbs of vhd-util share. main.c has the table of verbs; each verb
 * is a function that gets its options parsed already.
 *
 * What storage managers parse goes to stdout, in the form they know; all else
 * to stderr. Verbs return 0, or VU_FAILED, or VU_USAGE. That is the exit status
 * unless --debug was given; then it is an errno.
 */
#ifndef VHD_UTIL_H
#define VHD_UTIL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "libvhd/vhd.h"

#define VU_FAILED	1
#define VU_USAGE	2
#define VU_INCOMPLETE	3	/* copy --rescue: some of it is missing */
#define VU_MB		((uint64_t)1 << 20)
/* MiB per second */
#define VU_RATE_MAX	(1 << 20)
#define VU_LETTERS	128
#define VU_SECTORS_MAX	(VHD_DISK_LIMIT / VHD_SECTOR)

/**
 * struct vu_args - a parsed command line
 * @verb: name of the verb
 * @opt: for each option letter NULL, or its argument, or "" if it has none
 * @order: the letters in the order they were given, each once
 * @flags: long options that were given: VU_JSON, VU_BYTES, VU_SHRINK,
 *	VU_RESCUE, VU_OVERWRITE
 * @argv: arguments that are no options
 * @argc: number of them
 */
struct vu_args {
	const char *verb;
	const char *opt[VU_LETTERS];
	char order[VU_LETTERS];
	unsigned int flags;
	char **argv;
	int argc;
};

#define VU_JSON		0x1	/* has --json */
#define VU_FILES	0x2	/* takes arguments besides options */
#define VU_BYTES	0x4	/* has --bytes */
#define VU_SHRINK	0x8	/* has --shrink */
#define VU_RESCUE	0x10	/* has --rescue */
#define VU_OVERWRITE	0x20	/* has --overwrite */

/* The letter of --align. */
#define VU_ALIGN	'A'

/**
 * struct vu_verb - a verb
 * @name: what it is called
 * @opts: its options, as for getopt()
 * @need: letters of options that must be there
 * @flags: VU_FILES, and the long options that it has
 * @usage: its options, in one line
 * @help: what it does and what the options mean
 * @run: does it; returns the exit status
 */
struct vu_verb {
	const char *name;
	const char *opts;
	const char *need;
	unsigned int flags;
	const char *usage;
	const char *help;
	int (*run)(const struct vu_args *args);
};

/* cli.c */
extern const struct vhd_ctx vu_ctx;
/* --debug was given. */
extern bool vu_debug;
int vu_version(void);
/* A line on stderr: object, value, what is allowed or what helps. */
void vu_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int vu_run(const struct vu_verb *verb, int argc, char **argv);
/* Complain about the command line; returns VU_USAGE. */
int vu_wrong(const struct vu_args *args, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/*
 * Option @letter as a number from @min to @max, times @unit, if it is there;
 * else *@value is left alone. Return: 0 or VU_USAGE.
 */
int vu_number(const struct vu_args *args, char letter, uint64_t min,
	      uint64_t max, uint64_t unit, uint64_t *value);
/*
 * Option @letter as a size from @min to @max bytes, if it is there; a number
 * without suffix counts @unit bytes. Return: 0 or VU_USAGE.
 */
int vu_size(const struct vu_args *args, char letter, uint64_t unit,
	    uint64_t min, uint64_t max, uint64_t *size);
/* The same for the size of a disk: MiB, whole sectors. */
int vu_disk_size(const struct vu_args *args, char letter, uint64_t *size);
/* What a verb returns after @error, a -errno; any other number is EIO. */
int vu_status(int error);

struct json_object;

/* A string object, valid UTF-8 whatever is in @bytes; NULL for NULL. */
struct json_object *vu_json_text(const char *bytes);
/*
 * Add the name of a file. If it is no UTF-8, its bytes come with it, as
 * hexadecimal digits in KEY_hex.
 */
void vu_json_name(struct json_object *obj, const char *key, const char *bytes);
void vu_json_int(struct json_object *obj, const char *key, uint64_t value);
/* Print an object on stdout, and free it. */
void vu_json_print(struct json_object *obj);

/* The verbs. */
int vu_create(const struct vu_args *args);
int vu_snapshot(const struct vu_args *args);
int vu_query(const struct vu_args *args);
int vu_check(const struct vu_args *args);
int vu_read(const struct vu_args *args);
int vu_scan(const struct vu_args *args);
int vu_set(const struct vu_args *args);
int vu_modify(const struct vu_args *args);
int vu_repair(const struct vu_args *args);
int vu_resize(const struct vu_args *args);
int vu_revert(const struct vu_args *args);
int vu_coalesce(const struct vu_args *args);
int vu_fill(const struct vu_args *args);
int vu_copy(const struct vu_args *args);
int vu_compact(const struct vu_args *args);
int vu_key(const struct vu_args *args);

/* Control characters, which a name or text may hold, become question marks. */
char *vu_clean(char *text);

/**
 * struct vu_reason - a context that keeps the last message
 * @ctx: for the library
 * @text: the message
 */
struct vu_reason {
	struct vhd_ctx ctx;
	char text[3 * 4096];
};

void vu_reason_init(struct vu_reason *reason);
/* What went wrong, if a function failed with @error. */
const char *vu_reason(const struct vu_reason *reason, int error);

#endif /* VHD_UTIL_H */
