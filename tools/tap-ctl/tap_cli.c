// SPDX-License-Identifier: GPL-2.0
/*
 * The command line.
 *
 * Each verb is one entry of the table: the letters it takes and needs, its
 * help, its function. All options are parsed and checked here; the functions
 * find good values. The exit status is the errno of the failure.
 */
#include "tap_ctl.h"

#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "td_log.h"

/* Seconds that close and pause take if -t does not tell. */
#define TAP_CLOSE_TIMEOUT	30
#define TAP_PAUSE_TIMEOUT	120

enum {
	TAP_OPT_DEBUG = 256,
	TAP_OPT_JSON,
	TAP_OPT_VERSION,
};

/**
 * struct tap_verb - a command
 * @name: its name
 * @letters: options, as for getopt()
 * @need: options that must be given
 * @json: takes --json
 * @synopsis: options for people
 * @help: what the options are
 * @run: carries it out: 0 or -errno, the cause told
 */
struct tap_verb {
	const char *name;
	const char *letters;
	const char *need;
	bool json;
	const char *synopsis;
	const char *help;
	int (*run)(const struct tap_env *env, const struct tap_opts *o);
};

static int tap_cli_list(const struct tap_env *env, const struct tap_opts *o)
{
	enum tap_list_form form = TAP_LIST_WORDS;
	struct tap_entry *entries;
	int i, n, kept = 0;

	n = tap_list_get(env, &entries);
	if (n < 0)
		return n;
	for (i = 0; i < n; i++)
		if (tap_list_match(&entries[i], o))
			entries[kept++] = entries[i];
	if (o->json)
		form = TAP_LIST_JSON;
	else if (isatty(STDOUT_FILENO))
		form = TAP_LIST_TABLE;
	tap_list_print(stdout, env, entries, kept, form);
	free(entries);
	return 0;
}

static int tap_cli_allocate(const struct tap_env *env, const struct tap_opts *o)
{
	char path[PATH_MAX];
	int minor, err;

	err = tap_dev_allocate(env, o->device, &minor, path, sizeof(path));
	if (!err)
		printf("%s\n", path);
	return err;
}

static int tap_cli_free(const struct tap_env *env, const struct tap_opts *o)
{
	return tap_dev_free(env, o->minor, 0);
}

static int tap_cli_create(const struct tap_env *env, const struct tap_opts *o)
{
	char path[PATH_MAX];
	int err;

	err = tap_create(env, o, path, sizeof(path));
	if (!err)
		printf("%s\n", path);
	return err;
}

static int tap_cli_destroy(const struct tap_env *env, const struct tap_opts *o)
{
	return tap_destroy(env, o->pid, o->minor, o->timeout);
}

static int tap_cli_spawn(const struct tap_env *env, const struct tap_opts *o)
{
	int pid;

	(void)o;
	pid = tap_spawn(env);
	if (pid < 0)
		return pid;
	if (isatty(STDOUT_FILENO))
		printf("tapdisk spawned with pid %d\n", pid);
	else
		printf("%d\n", pid);
	return 0;
}

static int tap_cli_attach(const struct tap_env *env, const struct tap_opts *o)
{
	return tap_image_attach(env, o->pid, o->minor);
}

static int tap_cli_detach(const struct tap_env *env, const struct tap_opts *o)
{
	return tap_image_detach(env, o->pid, o->minor);
}

static int tap_cli_open(const struct tap_env *env, const struct tap_opts *o)
{
	return tap_image_open(env, o->pid, o->minor, o, 0);
}

static int tap_cli_close(const struct tap_env *env, const struct tap_opts *o)
{
	int s = o->timeout < 0 ? TAP_CLOSE_TIMEOUT : o->timeout;

	return tap_image_close(env, o->pid, o->minor, o->force, s * 1000);
}

static int tap_cli_pause(const struct tap_env *env, const struct tap_opts *o)
{
	int s = o->timeout < 0 ? TAP_PAUSE_TIMEOUT : o->timeout;
	int lock, err;

	/* Against recover, if the tapdisk dies meanwhile. */
	lock = tap_sysfs_lock(env, o->minor, TAP_LOCK_TIMEOUT);
	if (lock < 0)
		return lock;
	err = tap_image_pause(env, o->pid, o->minor, s * 1000, NULL);
	close(lock);
	return err;
}

static int tap_cli_stats(const struct tap_env *env, const struct tap_opts *o)
{
	struct json_object *obj;
	char *text;
	int err;

	err = tap_image_stats(env, o->pid, o->minor, &text);
	if (err)
		return err;
	if (!o->json) {
		/* One newline, whether the tapdisk sends one or not. */
		text[strcspn(text, "\n")] = '\0';
		printf("%s\n", text);
		free(text);
		return 0;
	}
	obj = json_tokener_parse(text);
	free(text);
	if (!obj) {
		td_err("statistics of minor %d from tapdisk %d are not JSON",
		       o->minor, o->pid);
		return -EPROTO;
	}
	tap_print_json(stdout, obj);
	json_object_put(obj);
	return 0;
}

static int tap_cli_major(const struct tap_env *env, const struct tap_opts *o)
{
	int major = tap_dev_major(env, o->chr);

	if (major < 0) {
		td_err("no %s in %s/devices: %s", o->chr ? "blktap2" : "tapdev",
		       env->proc, strerror(-major));
		return major;
	}
	printf("%d\n", major);
	return 0;
}

static int tap_cli_recover(const struct tap_env *env, const struct tap_opts *o)
{
	return o->all ? tap_recover_all(env) : tap_recover(env, o->minor);
}

#define TAP_HELP_TAP \
	"  -p pid     process id of the tapdisk\n" \
	"  -m minor   number of the tap\n"
#define TAP_HELP_IMAGE \
	"  -a args    image: its type, a colon, its path\n"
#define TAP_HELP_DEVICE \
	"  -d device  path of the disk's node (default: /dev/xen/blktap-2/tapdevN)\n"
#define TAP_HELP_OPEN \
	"  -R         read-only\n" \
	"  -D         through the page cache, not with O_DIRECT\n" \
	"  -e minor   read the parents through the disk of this tap\n" \
	"  -r         cache what is read from the parents in the image\n" \
	"  -2 image   mirror: write to this image, type:path, as well, or:\n" \
	"  -s         use the second image when the first has no space\n" \
	"  -t sec     request timeout in seconds, 1..65535\n"

/* In the order in which help tells them. check is not run like the others. */
static const struct tap_verb tap_verbs[] = {
	{ "list", "p:m:t:f:", "", true,
	  "[-p pid] [-m minor] [-t type] [-f file] [--json]",
	  "List taps and tapdisks.\n"
	  "  -p pid     only of this tapdisk; 0: only of none, as it died\n"
	  "  -m minor   only this tap\n"
	  "  -t type    only images of this type\n"
	  "  -f file    only images with this path\n"
	  "  --json     as JSON\n",
	  tap_cli_list },
	{ "allocate", "d:", "", false, "[-d device]",
	  "Allocate a tap and print the path of its disk.\n"
	  TAP_HELP_DEVICE,
	  tap_cli_allocate },
	{ "free", "m:", "m", false, "-m minor",
	  "Free a tap that no tapdisk serves.\n"
	  "  -m minor   number of the tap\n",
	  tap_cli_free },
	{ "create", "a:d:RDe:r2:st:", "a", false,
	  "-a type:path [-d device] [-R] [-D] [-e minor] [-r] [-2 type:path [-s]] [-t sec]",
	  "Allocate, spawn, attach and open; print the path of the disk.\n"
	  TAP_HELP_IMAGE TAP_HELP_DEVICE TAP_HELP_OPEN,
	  tap_cli_create },
	{ "destroy", "p:m:t:", "pm", false, "-p pid -m minor [-t sec]",
	  "Close, detach and free; a tapdisk that does not answer is killed.\n"
	  "  -p pid     process id of the tapdisk; 0: whichever serves the tap\n"
	  "  -m minor   number of the tap\n"
	  "  -t sec     seconds to wait for the tapdisk (default: 20)\n",
	  tap_cli_destroy },
	{ "spawn", "", "", false, "",
	  "Start a tapdisk and print its process id.\n",
	  tap_cli_spawn },
	{ "attach", "p:m:", "pm", false, "-p pid -m minor",
	  "Let a tapdisk serve a tap.\n"
	  TAP_HELP_TAP,
	  tap_cli_attach },
	{ "detach", "p:m:", "pm", false, "-p pid -m minor",
	  "Opposite of attach. The tapdisk ends with its last tap.\n"
	  TAP_HELP_TAP,
	  tap_cli_detach },
	{ "open", "p:m:a:RDe:r2:st:", "pma", false,
	  "-p pid -m minor -a type:path [-R] [-D] [-e minor] [-r] [-2 type:path [-s]] [-t sec]",
	  "Open an image and create the disk.\n"
	  TAP_HELP_TAP TAP_HELP_IMAGE TAP_HELP_OPEN,
	  tap_cli_open },
	{ "close", "p:m:ft:", "pm", false, "-p pid -m minor [-f] [-t sec]",
	  "Remove the disk and close the image.\n"
	  TAP_HELP_TAP
	  "  -f         even if there are requests\n"
	  "  -t sec     seconds to wait for the disk's last user (default: 30)\n",
	  tap_cli_close },
	{ "pause", "p:m:t:", "pm", false, "-p pid -m minor [-t sec]",
	  "Finish all requests, close the image, let new requests wait.\n"
	  TAP_HELP_TAP
	  "  -t sec     seconds to wait for the requests (default: 120)\n",
	  tap_cli_pause },
	{ "unpause", "p:m:a:2:", "pm", false,
	  "-p pid -m minor [-a type:path] [-2 type:path]",
	  "Opposite of pause.\n"
	  TAP_HELP_TAP
	  "  -a args    open this image instead: its type, a colon, its path\n"
	  "  -2 image   with this mirror: its type, a colon, its path\n",
	  tap_unpause },
	{ "resize", "p:m:s:t:", "pm", false, "-p pid -m minor [-s MiB] [-t sec]",
	  "Make a disk larger while it is in use.\n"
	  TAP_HELP_TAP
	  "  -s MiB     let the image grow to this size (default: it has grown)\n"
	  "  -t sec     seconds to wait for the requests (default: 120)\n",
	  tap_resize },
	{ "coalesce", "p:m:i:dr:P", "pm", false,
	  "-p pid -m minor [-i image [-d]] [-r MiB/s] [-P]",
	  "Merge an image into its parent, while the disk is in use.\n"
	  TAP_HELP_TAP
	  "  -i image   an image of the chain (default: the one that is written)\n"
	  "  -d         delete that image then\n"
	  "  -r MiB/s   at most that fast, 1..1048576\n"
	  "  -P         tell how far it has come\n",
	  tap_coalesce },
	{ "stats", "p:m:", "pm", true, "-p pid -m minor [--json]",
	  "Print statistics.\n"
	  TAP_HELP_TAP
	  "  --json     check and indent\n",
	  tap_cli_stats },
	{ "major", "bc", "", false, "[-b|-c]",
	  "Print the major number of the device nodes.\n"
	  "  -b         of the disks (default)\n"
	  "  -c         of the rings\n",
	  tap_cli_major },
	{ "check", "", "", false, "",
	  "Tell whether the kernel module is there.\n",
	  NULL },
	{ "recover", "m:a", "", false, "-m minor | -a",
	  "Start a new tapdisk for a tap whose tapdisk died.\n"
	  "  -m minor   number of the tap\n"
	  "  -a         all taps that wait for a tapdisk\n",
	  tap_cli_recover },
};

#define TAP_NR_VERBS (sizeof(tap_verbs) / sizeof(tap_verbs[0]))

static const struct option tap_long_options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "debug", no_argument, NULL, TAP_OPT_DEBUG },
	{ "json", no_argument, NULL, TAP_OPT_JSON },
	{ "version", no_argument, NULL, TAP_OPT_VERSION },
	{ }
};

static void tap_cli_commands(FILE *f)
{
	size_t i;

	fprintf(f, "usage: tap-ctl COMMAND [OPTIONS]\nCOMMAND := { ");
	for (i = 0; i < TAP_NR_VERBS; i++)
		fprintf(f, "%s%s", i ? " | " : "", tap_verbs[i].name);
	fprintf(f, " }\n");
}

static void tap_cli_help(FILE *f)
{
	tap_cli_commands(f);
	fprintf(f, "tap-ctl COMMAND -h tells the options of a command.\n"
		   "  -h, --help  this text\n"
		   "  --version   print the version\n"
		   "  --debug     tell more on stderr\n");
}

static void tap_cli_version(void)
{
	puts("tap-ctl (xen-pvio) " TD_VERSION);
}

static void tap_cli_usage(FILE *f, const struct tap_verb *v)
{
	fprintf(f, "usage: %s%s%s\n", v->name, v->synopsis[0] ? " " : "",
		v->synopsis);
}

static int tap_cli_bad(const struct tap_verb *v)
{
	tap_cli_usage(stderr, v);
	return EINVAL;
}

static int tap_cli_number(int letter, const char *what, int min, int max,
			  int *value)
{
	if (!tap_number(optarg, min, max, value))
		return 0;
	td_err("-%c %s: not a %s, valid range %d..%d", letter, optarg, what,
	       min, max);
	return -EINVAL;
}

static int tap_cli_image(int letter, const char *text, const char **value)
{
	size_t len = strlen(text);

	if (len < TD_CTL_PATH_MAX) {
		*value = text;
		return 0;
	}
	td_err("-%c: %zu characters are too long, valid range 1..%d", letter,
	       len, TD_CTL_PATH_MAX - 1);
	return -EINVAL;
}

static int tap_cli_option(const struct tap_verb *v, int c, struct tap_opts *o)
{
	bool open = strchr(v->letters, 'R');

	switch (c) {
	case 'p':
		/* 0: no process, where that makes sense */
		return tap_cli_number(c, "process id",
				      v->run == tap_cli_list ||
				      v->run == tap_cli_destroy ? 0 : 1,
				      TAP_PID_MAX, &o->pid);
	case 'm':
		return tap_cli_number(c, "minor number", 0, TAP_MINOR_MAX,
				      &o->minor);
	case 'e':
		o->flags |= TD_CTL_REUSE_PRT;
		return tap_cli_number(c, "minor number", 0, TAP_MINOR_MAX,
				      &o->parent);
	case 't':
		if (v->run == tap_cli_list) {
			o->type = optarg;
			return 0;
		}
		return tap_cli_number(c, "number of seconds", open ? 1 : 0,
				      65535, &o->timeout);
	case 'f':
		o->force = true;
		o->file = optarg;
		return 0;
	case 'a':
		o->all = true;
		return optarg ? tap_cli_image(c, optarg, &o->args) : 0;
	case 'd':
		o->drop = !optarg;
		o->device = optarg;
		return 0;
	case 'R':
		o->flags |= TD_CTL_RDONLY;
		return 0;
	case 'D':
		o->flags |= TD_CTL_NO_O_DIRECT;
		return 0;
	case 'i':
		o->image = optarg;
		return 0;
	case 'P':
		o->progress = true;
		return 0;
	case 'r':
		if (optarg)
			return tap_cli_number(c, "number of MiB a second", 1,
					      1 << 20, &o->rate);
		o->flags |= TD_CTL_ADD_LCACHE;
		return 0;
	case '2':
		o->flags |= TD_CTL_SECONDARY;
		return tap_cli_image(c, optarg, &o->secondary);
	case 's':
		if (v->run == tap_resize)
			return tap_cli_number(c, "number of MiB", 1, INT_MAX,
					      &o->size);
		o->flags |= TD_CTL_STANDBY;
		return 0;
	case 'b':
	case 'c':
		o->chr = c == 'c';
		return 0;
	case TAP_OPT_JSON:
		o->json = true;
		if (v->json)
			return 0;
		td_err("--json: %s does not take it", v->name);
		return -EINVAL;
	case TAP_OPT_DEBUG:
		return 0;
	default:
		return -EINVAL;
	}
}

/* What getopt() does not check. */
static int tap_cli_check_opts(const struct tap_verb *v,
			      const struct tap_opts *o)
{
	if (strchr(v->need, 'p') && o->pid < 0)
		td_err("-p is missing");
	else if (strchr(v->need, 'm') && o->minor < 0)
		td_err("-m is missing");
	else if (strchr(v->need, 'a') && !o->args)
		td_err("-a is missing");
	else if (o->args && (o->args[0] == ':' || !strchr(o->args, ':')))
		td_err("-a %s: not of the form type:path", o->args);
	else if (o->secondary && (o->secondary[0] == ':' ||
				  !strchr(o->secondary, ':')))
		td_err("-2 %s: not of the form type:path", o->secondary);
	else if (o->secondary && o->args && !strcmp(o->secondary, o->args))
		td_err("-2 %s: must be another image than that of -a",
		       o->secondary);
	else if (o->flags & TD_CTL_STANDBY && !o->secondary)
		td_err("-s: needs the second image, -2 type:path");
	else if (o->device && (o->device[0] != '/' ||
			       strlen(o->device) >= PATH_MAX))
		td_err("-d %s: not an absolute path of at most %d characters",
		       o->device, PATH_MAX - 1);
	else if (o->drop && !o->image)
		td_err("-d: needs -i, the image that is not needed then");
	else if (v->run == tap_cli_recover && (o->minor < 0) != o->all)
		td_err("either -m or -a, and not both");
	else
		return 0;
	return -EINVAL;
}

/* What check tells on stdout, and all others when it goes wrong. */
static const char *tap_cli_module(const struct tap_env *env,
				  const struct tap_verb *v, int *err)
{
	*err = tap_dev_check(env);
	/* The block-tap of Xen 4.18 and later leaves it to us. */
	if (*err == -ENOSYS &&
	    (v->run == tap_cli_allocate || v->run == tap_cli_create)) {
		env->load();
		*err = tap_dev_check(env);
		if (*err == -ENOSYS)
			return "the module blktap2 is not loaded and modprobe could not load it; is it installed for this kernel (package blktap2-dkms, `dkms status')?";
	}
	if (!*err)
		return "ok";
	return *err == -ENOSYS ? "blktap kernel module not installed" :
				 "failed to open /proc/misc";
}

static int tap_cli_verb(const struct tap_env *env, const struct tap_verb *v,
			int argc, char **argv)
{
	struct tap_opts o = {
		.pid = -1, .minor = -1, .timeout = -1, .parent = -1,
	};
	const char *module;
	char letters[32];
	int c, err;

	snprintf(letters, sizeof(letters), "%sh", v->letters);
	optind = 0;
	while ((c = getopt_long(argc, argv, letters, tap_long_options,
				NULL)) != -1) {
		if (c == 'h') {
			tap_cli_usage(stdout, v);
			printf("\n%s", v->help);
			return 0;
		}
		if (c == TAP_OPT_VERSION) {
			tap_cli_version();
			return 0;
		}
		if (tap_cli_option(v, c, &o))
			return tap_cli_bad(v);
	}
	if (optind < argc) {
		td_err("%s: unexpected argument", argv[optind]);
		return tap_cli_bad(v);
	}
	if (tap_cli_check_opts(v, &o))
		return tap_cli_bad(v);

	module = tap_cli_module(env, v, &err);
	if (!v->run)
		printf("%s\n", module);
	else if (err)
		td_err("%s", module);
	else
		err = v->run(env, &o);
	return -err;
}

static const struct tap_verb *tap_cli_find(const char *name)
{
	size_t i;

	for (i = 0; i < TAP_NR_VERBS; i++)
		if (!strcmp(tap_verbs[i].name, name))
			return &tap_verbs[i];
	return NULL;
}

int tap_ctl_main(const struct tap_env *env, int argc, char **argv)
{
	const struct tap_verb *v;
	static char name[64];
	int i, level = LOG_INFO, status;

	signal(SIGPIPE, SIG_IGN);
	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--debug"))
			level = LOG_DEBUG;
	td_log_open("tap-ctl", 0, level);
	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--debug"))
			continue;
		if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help")) {
			tap_cli_help(stdout);
			return 0;
		}
		if (!strcmp(argv[i], "--version")) {
			tap_cli_version();
			return 0;
		}
		td_err("%s: unknown option", argv[i]);
		tap_cli_commands(stderr);
		return EINVAL;
	}
	if (i >= argc) {
		tap_cli_commands(stdout);
		return 0;
	}
	v = tap_cli_find(argv[i]);
	if (!v) {
		td_err("%s: unknown command", argv[i]);
		tap_cli_commands(stderr);
		return EINVAL;
	}
	snprintf(name, sizeof(name), "tap-ctl: %s", v->name);
	td_log_open(name, 0, level);
	status = tap_cli_verb(env, v, argc - i, argv + i);
	if (fflush(stdout) || ferror(stdout)) {
		td_err("cannot write to stdout: %s", strerror(errno));
		return status ? status : EIO;
	}
	return status;
}
