// SPDX-License-Identifier: GPL-2.0
/* Command lines, messages and progress: what all verbs do in the same way. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhd_util.h"

static void vu_message(void *opaque, const char *text)
{
	(void)opaque;
	fprintf(stderr, "vhd-util: %s\n", text);
}

/* The administrator names the files: parents may be anywhere. */
const struct vhd_ctx vu_ctx = {
	.message = vu_message,
	.parent_dirs = "/",
};

static int vu_usage(const struct vu_verb *verb, FILE *to)
{
	fprintf(to, "usage: vhd-util %s %s\n", verb->name, verb->usage);
	return to == stdout ? 0 : VU_USAGE;
}

int vu_wrong(const struct vu_args *args, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "vhd-util: %s: ", args->verb);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
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

int vu_disk_size(const struct vu_args *args, char letter, uint64_t *size)
{
	if (!vu_number(args, letter, 1, VHD_DISK_MAX_MB, VU_MB, size))
		return 0;
	return vu_wrong(args,
			"a disk has at most 2040 GiB, because the block table has 32-bit sector numbers");
}

int vu_status(int error)
{
	return error ? VU_FAILED : 0;
}

int vu_run(const struct vu_verb *verb, int argc, char **argv)
{
	static const struct option longopts[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 1 },
		{ NULL, 0, NULL, 0 },
	};
	struct vu_args args = { .verb = verb->name };
	const char *need;
	char opts[64];
	int c;

	snprintf(opts, sizeof(opts), "%sh", verb->opts);
	while ((c = getopt_long(argc, argv, opts, longopts, NULL)) != -1) {
		if (c == 'h')
			return vu_usage(verb, stdout);
		if (c == '?' || (c == 1 && !(verb->flags & VU_JSON)))
			return vu_usage(verb, stderr);
		if (c == 1) {
			args.json = true;
			continue;
		}
		if (!args.opt[c])
			args.order[strlen(args.order)] = c;
		args.opt[c] = optarg ? optarg : "";
	}
	args.argv = argv + optind;
	args.argc = argc - optind;
	if (args.argc && !(verb->flags & VU_FILES)) {
		vu_wrong(&args, "unknown argument %s", argv[optind]);
		return vu_usage(verb, stderr);
	}
	for (need = verb->need; *need; need++) {
		if (args.opt[(int)*need])
			continue;
		vu_wrong(&args, "option -%c is missing", *need);
		return vu_usage(verb, stderr);
	}
	return verb->run(&args);
}

char *vu_clean(char *text)
{
	char *p;

	for (p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	return text;
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
