// SPDX-License-Identifier: GPL-2.0
/* Command lines, messages and progress: what all verbs do in the same way. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "td_file.h"
#include "td_utf8.h"
#include "vhd_util.h"

bool vu_debug;
static bool vu_told;		/* a message went to stderr */
static int vu_errno;		/* of the failure */

void vu_error(const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	/* Names come from files and folders of others. */
	fprintf(stderr, "vhd-util: %s\n", text ? vu_clean(text) :
		strerror(ENOMEM));
	free(text);
	vu_told = true;
}

static void vu_message(void *opaque, const char *text)
{
	(void)opaque;
	vu_error("%s", text);
}

/* The administrator names the files: parents may be anywhere. */
const struct vhd_ctx vu_ctx = {
	.message = vu_message,
	.parent_dirs = "/",
};

int vu_version(void)
{
	puts("vhd-util (xen-pvio) " TD_VERSION);
	return 0;
}

static int vu_usage(const struct vu_verb *verb, FILE *to)
{
	fprintf(to, "usage: vhd-util %s %s\n", verb->name, verb->usage);
	if (to == stderr)
		return VU_USAGE;
	fputs(verb->help, to);
	return 0;
}

int vu_wrong(const struct vu_args *args, const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	vu_error("%s: %s", args->verb, text ? text : strerror(ENOMEM));
	free(text);
	return VU_USAGE;
}

int vu_number(const struct vu_args *args, char letter, uint64_t min,
	      uint64_t max, uint64_t unit, uint64_t *value)
{
	const char *text = args->opt[(int)letter];
	uint64_t v;
	char *end;

	if (!text)
		return 0;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text < '0' || *text > '9' ||
	    v < min || v > max)
		return vu_wrong(args, "-%c is %s, must be %" PRIu64 " to %" PRIu64,
				letter, text, min, max);
	*value = v * unit;
	return 0;
}

int vu_size(const struct vu_args *args, char letter, uint64_t unit,
	    uint64_t min, uint64_t max, uint64_t *size)
{
	const char *text = args->opt[(int)letter];
	uint64_t v;

	if (!text)
		return 0;
	if (td_size_parse(text, unit, &v))
		return vu_wrong(args,
				"-%c is %s, must be %" PRIu64 " to %" PRIu64 "%s, or have a suffix B, K, M, G, T, KiB, MiB, GiB or TiB",
				letter, text, (min + unit - 1) / unit, max / unit,
				unit == VU_MB ? " (MiB)" : "");
	if (v < min || v > max)
		return vu_wrong(args, "-%c is %s, must be %" PRIu64 " to %" PRIu64 "%s",
				letter, text, (min + unit - 1) / unit,
				max / unit, unit == VU_MB ?
				" (MiB), or B, K, M, G or T must follow it" : "");
	*size = v;
	return 0;
}

int vu_disk_size(const struct vu_args *args, char letter, uint64_t *size)
{
	if (!vu_size(args, letter, VU_MB, VHD_SECTOR, VHD_DISK_MAX, size)) {
		if (*size % VHD_SECTOR == 0)
			return 0;
		return vu_wrong(args,
				"-%c is %s, must be a multiple of 512 bytes",
				letter, args->opt[(int)letter]);
	}
	return vu_wrong(args,
			"a disk has at most 2040 GiB, because the block table has 32-bit sector numbers");
}

int vu_status(int error)
{
	if (error)
		vu_errno = error < 0 ? -error : EIO;
	return error ? VU_FAILED : 0;
}

/* What the verb returned is the exit status, unless --debug was given. */
static int vu_end(const struct vu_args *args, int status)
{
	const char *name = args->opt['n'];

	if (status == VU_FAILED && !vu_told && vu_errno)
		vu_error("%s%s%s: %s", args->verb, name ? " " : "",
			 name ? name : "", strerror(vu_errno));
	if (!vu_debug || !status || status == VU_INCOMPLETE)
		return status;
	if (status == VU_USAGE)
		return EINVAL;
	return vu_errno ? vu_errno : EIO;
}

/* Codes of options that have no letter; those below are bits of their own. */
enum {
	VU_LONG_DEBUG = 256,
	VU_LONG_VERSION,
	VU_LONG_FLAGS,
};

int vu_run(const struct vu_verb *verb, int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "debug", no_argument, NULL, VU_LONG_DEBUG },
		{ "version", no_argument, NULL, VU_LONG_VERSION },
		{ "json", no_argument, NULL, VU_LONG_FLAGS + VU_JSON },
		{ "bytes", no_argument, NULL, VU_LONG_FLAGS + VU_BYTES },
		{ "align", required_argument, NULL, VU_ALIGN },
		{ "shrink", no_argument, NULL, VU_LONG_FLAGS + VU_SHRINK },
		{ "rescue", no_argument, NULL, VU_LONG_FLAGS + VU_RESCUE },
		{ "overwrite", no_argument, NULL,
		  VU_LONG_FLAGS + VU_OVERWRITE },
		{ NULL, 0, NULL, 0 },
	};
	struct vu_args args = { .verb = verb->name };
	const char *need;
	char opts[64];
	int c;

	snprintf(opts, sizeof(opts), "%sh", verb->opts);
	while ((c = getopt_long(argc, argv, opts, longopts, NULL)) != -1) {
		switch (c) {
		case 'h':
			return vu_usage(verb, stdout);
		case VU_LONG_VERSION:
			return vu_version();
		case VU_LONG_DEBUG:
			vu_debug = true;
			continue;
		case '?':
			return vu_end(&args, vu_usage(verb, stderr));
		}
		if (c >= VU_LONG_FLAGS) {
			args.flags |= c - VU_LONG_FLAGS;
			continue;
		}
		/* A long option of another verb. */
		if (!strchr(opts, c)) {
			vu_wrong(&args, "has no option %s",
				 c == VU_ALIGN ? "--align" : argv[optind - 1]);
			return vu_end(&args, vu_usage(verb, stderr));
		}
		if (!args.opt[c])
			args.order[strlen(args.order)] = c;
		args.opt[c] = optarg ? optarg : "";
	}
	args.argv = argv + optind;
	args.argc = argc - optind;
	if (args.flags & ~verb->flags) {
		for (c = 0; longopts[c].val - VU_LONG_FLAGS < 0 ||
		     !((longopts[c].val - VU_LONG_FLAGS) & args.flags &
		       ~verb->flags); c++)
			;
		vu_wrong(&args, "has no option --%s", longopts[c].name);
		return vu_end(&args, vu_usage(verb, stderr));
	}
	if (args.argc && !(verb->flags & VU_FILES)) {
		vu_wrong(&args, "unknown argument %s", argv[optind]);
		return vu_end(&args, vu_usage(verb, stderr));
	}
	for (need = verb->need; *need; need++) {
		if (args.opt[(int)*need])
			continue;
		vu_wrong(&args, "option -%c is missing", *need);
		return vu_end(&args, vu_usage(verb, stderr));
	}
	return vu_end(&args, verb->run(&args));
}

char *vu_clean(char *text)
{
	char *p;

	for (p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return text;
}

struct json_object *vu_json_text(const char *bytes)
{
	struct json_object *obj = NULL;
	bool changed;
	char *text;

	if (!bytes)
		return NULL;
	text = td_utf8_text(bytes, &changed);
	if (text)
		obj = json_object_new_string(text);
	free(text);
	return obj;
}

void vu_json_name(struct json_object *obj, const char *key, const char *bytes)
{
	static const char digits[] = "0123456789abcdef";
	char label[64];
	bool changed = false;
	char *hex, *p;

	json_object_object_add(obj, key, vu_json_text(bytes));
	free(bytes ? td_utf8_text(bytes, &changed) : NULL);
	hex = changed ? malloc(2 * strlen(bytes) + 1) : NULL;
	if (!hex)
		return;
	for (p = hex; *bytes; bytes++) {
		*p++ = digits[(unsigned char)*bytes >> 4];
		*p++ = digits[*bytes & 15];
	}
	*p = 0;
	snprintf(label, sizeof(label), "%s_hex", key);
	json_object_object_add(obj, label, json_object_new_string(hex));
	free(hex);
}

void vu_json_int(struct json_object *obj, const char *key, uint64_t value)
{
	json_object_object_add(obj, key, json_object_new_uint64(value));
}

void vu_json_print(struct json_object *obj)
{
	puts(json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PRETTY |
					    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(obj);
}

static void vu_reason_set(void *opaque, const char *text)
{
	struct vu_reason *reason = opaque;

	snprintf(reason->text, sizeof(reason->text), "%s", text);
}

void vu_reason_init(struct vu_reason *reason)
{
	reason->ctx = vu_ctx;
	reason->ctx.message = vu_reason_set;
	reason->ctx.opaque = reason;
	reason->text[0] = 0;
}

const char *vu_reason(const struct vu_reason *reason, int error)
{
	return *reason->text ? reason->text : strerror(-error);
}
