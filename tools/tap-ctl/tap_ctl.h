/* SPDX-License-Identifier: GPL-2.0 */
/*
 * tap-ctl: what its parts share.
 *
 * A tap is a minor number of the kernel. What is known of it comes from three
 * places: sysfs (every tap, trusted), the control sockets in /var/run (every
 * tapdisk that lives) and the answers of the tapdisks (not trusted: one may
 * be stuck or lie). Nothing is remembered between two runs but the record of
 * how an image was opened (tap_record.c), which recover needs.
 *
 * Several tap-ctl may run at a time. Allocating and freeing minors is done
 * under a lock on the folder of the nodes, destroying and recovering one tap under a
 * lock on its folder in sysfs; both go away with the process.
 *
 * Functions return 0 or -errno, and have told the cause on stderr, unless
 * they say otherwise.
 */
#ifndef TAP_CTL_H
#define TAP_CTL_H

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "td_ctl.h"

struct json_object;

/* Largest process id and minor number that the kernel has. */
#define TAP_PID_MAX	4194304
#define TAP_MINOR_MAX	1048575
/* Room for the cause of an error. */
#define TAP_TEXT_MAX	512

/**
 * struct tap_env - where things are; tests have their own
 * @proc: procfs
 * @sysfs: sysfs
 * @dev: folder of the control, ring and disk nodes
 * @run: folder of the control sockets
 * @control: carry out an ioctl on the control node, which it opens: 0 or
 *	-errno, no message
 * @load: load the driver's module: 0 or -errno, no message
 */
struct tap_env {
	const char *proc;
	const char *sysfs;
	const char *dev;
	const char *run;
	int (*control)(const char *path, unsigned long cmd, unsigned long arg);
	int (*load)(void);
};

extern const struct tap_env tap_env_default;

/**
 * struct tap_opts - options of a verb
 * @pid: -p or -1
 * @minor: -m or -1
 * @timeout: -t in seconds or -1
 * @parent: -e or -1
 * @size: -s of resize in MiB, or 0
 * @flags: TD_CTL_RDONLY..
 * @args: -a, "type:path"
 * @device: -d
 * @secondary: -2
 * @type: -t of list
 * @file: -f of list
 * @force: -f of close
 * @all: -a of recover
 * @image: -i
 * @drop: -d of coalesce
 * @rate: -r of coalesce in MiB a second, or 0
 * @progress: -P
 * @chr: -c
 * @json: --json
 */
struct tap_opts {
	int pid;
	int minor;
	int timeout;
	int parent;
	int size;
	unsigned int flags;
	const char *args;
	const char *device;
	const char *secondary;
	const char *type;
	const char *file;
	bool force;
	bool all;
	const char *image;
	bool drop;
	int rate;
	bool progress;
	bool chr;
	bool json;
};

/**
 * struct tap_sysfs - what the kernel says of a tap
 * @minor: its number
 * @task: process that has the ring open, or 0
 * @state: "no-disk", "running", "waiting", "failed", or empty if unknown
 * @mode: "none", "ring", "direct", or empty if unknown
 * @name: "type:path", or empty
 */
struct tap_sysfs {
	int minor;
	int task;
	char state[16];
	char mode[16];
	char name[TD_CTL_PATH_MAX];
};

/* tap_dev.c: nodes and minors */

/* Return: 0, -ENOSYS if the module is not loaded, -errno. No message. */
int tap_dev_check(const struct tap_env *env);
/* Return: number in /proc/devices, -ENOENT, -errno. No message. */
int tap_dev_major(const struct tap_env *env, bool chr);
int tap_dev_allocate(const struct tap_env *env, const char *device, int *minor,
		     char *path, size_t size);
int tap_dev_free(const struct tap_env *env, int minor, int timeout_ms);

/* tap_sysfs.c */

/* Return: number of minors in ascending order, to be freed, or -errno. */
int tap_sysfs_minors(const struct tap_env *env, int **minors);
/* Return: 0, or -ENODEV if there is no such tap. No message. */
int tap_sysfs_read(const struct tap_env *env, int minor, struct tap_sysfs *tap);
/* Return: 1 if the disk of the tap is read-only, else 0. */
int tap_sysfs_ro(const struct tap_env *env, int minor);
/* Size of the disk of the tap in bytes. */
int tap_sysfs_size(const struct tap_env *env, int minor, uint64_t *size);
/* Take away the disk of a tap that no process serves. */
int tap_sysfs_remove(const struct tap_env *env, int minor);
/* Milliseconds to wait for another tap-ctl that works on the tap. */
#define TAP_LOCK_TIMEOUT	30000
/* Return: descriptor that holds the lock of the tap, or -errno. */
int tap_sysfs_lock(const struct tap_env *env, int minor, int timeout_ms);

/* tap_list.c */

/**
 * struct tap_entry - a line of list
 * @pid: tapdisk, 0 if it died, -1 if there is none
 * @minor: tap, or -1 if the tapdisk has none
 * @state: TD_CTL_DEAD.., or -1 if unknown
 * @name: "type:path", or empty
 * @opened: as in struct tap_record
 * @kstate: as in struct tap_sysfs
 * @mode: as in struct tap_sysfs
 */
struct tap_entry {
	int pid;
	int minor;
	int state;
	char name[TD_CTL_PATH_MAX];
	char opened[TD_CTL_PATH_MAX];
	char kstate[16];
	char mode[16];
};

enum tap_list_form {
	TAP_LIST_WORDS,
	TAP_LIST_TABLE,
	TAP_LIST_JSON,
};

/**
 * tap_list_get() - find all taps and tapdisks
 * @env: where
 * @entries: array, to be freed by the caller; by process, then by minor, taps
 *	without a process last
 *
 * Takes at most about two seconds, no matter what the tapdisks do.
 *
 * Return: number of entries, or -errno.
 */
int tap_list_get(const struct tap_env *env, struct tap_entry **entries);
/* Does an entry pass -p, -m, -t and -f? The latter by @opened as well. */
bool tap_list_match(const struct tap_entry *e, const struct tap_opts *o);
void tap_list_print(FILE *f, const struct tap_env *env,
		    const struct tap_entry *entries, int n,
		    enum tap_list_form form);
/* Return: number of process ids with a control socket, to be freed. */
int tap_list_sockets(const struct tap_env *env, int **pids);

/* tap_image.c: requests to a tapdisk */

/**
 * tap_image_call() - send a request to a tapdisk and wait for the answer
 * @env: where
 * @pid: tapdisk
 * @msg: in: request; out: answer
 * @timeout_ms: timeout
 * @text: cause of an error, TAP_TEXT_MAX bytes of printable text
 *
 * Return: 0 or -errno. No message.
 */
int tap_image_call(const struct tap_env *env, int pid, struct td_ctl_msg *msg,
		   int timeout_ms, char *text);
int tap_image_attach(const struct tap_env *env, int pid, int minor);
int tap_image_detach(const struct tap_env *env, int pid, int minor);
/* @busy_ms: how long to try again while the image is in use */
int tap_image_open(const struct tap_env *env, int pid, int minor,
		   const struct tap_opts *o, int busy_ms);
int tap_image_close(const struct tap_env *env, int pid, int minor, bool force,
		    int timeout_ms);
/*
 * @tie: NULL, or set to a descriptor: when it is closed, by whatever end of
 * this process, the tapdisk goes on with the image that has the name then.
 * It is to be closed after tap_image_unpause(). After an error the tap is not
 * paused, nor will be: a tapdisk cancels what nobody waits for.
 */
int tap_image_pause(const struct tap_env *env, int pid, int minor,
		    int timeout_ms, int *tie);
int tap_image_unpause(const struct tap_env *env, int pid, int minor,
		      const struct tap_opts *o);
/* Return: 0 and a text to be freed, or -errno. */
int tap_image_stats(const struct tap_env *env, int pid, int minor,
		    char **text);

/* tap_spawn.c: processes */

/* Return: process id of a new tapdisk, or -errno. */
int tap_spawn(const struct tap_env *env);
/* Is there a process that listens at the control socket of this id? */
bool tap_spawn_is_tapdisk(const struct tap_env *env, int pid);
/**
 * tap_spawn_kill() - end a tapdisk for sure
 * @env: where
 * @pid: its process id
 * @minor: tap that it serves, or -1
 *
 * Nothing but a tapdisk is killed: the process must have the ring of the tap
 * open or listen at its own control socket.
 *
 * Return: 0 if there is no such process (any more), or -errno.
 */
int tap_spawn_kill(const struct tap_env *env, int pid, int minor);
/* Remove the control sockets that killed tapdisks left behind. */
void tap_spawn_sweep(const struct tap_env *env);

/* tap_record.c: how an image was opened */

/**
 * struct tap_record - how to open an image again
 * @flags: TD_CTL_RDONLY..
 * @timeout: request timeout in seconds, or 0
 * @paused: the tap is paused: its image is somebody else's at the moment
 * @live: its image can be opened at any time all the same: by coalesce or
 *	resize, or nobody has been told yet that it is paused
 * @parent: minor of the tap whose disk stands for the parents, or 0
 * @secondary: second image, or empty; with TD_CTL_SECONDARY: it has failed
 * @opened: "type:path" under which the tap was opened, if unpause has given
 *	it another image since then, or empty: a toolstack knows it by that
 */
struct tap_record {
	unsigned int flags;
	int timeout;
	bool paused;
	bool live;
	int parent;
	char secondary[TD_CTL_PATH_MAX];
	char opened[TD_CTL_PATH_MAX];
};

/*
 * Return: 0 (all zeros if there is no record), or -errno. Of a mirror that
 * failed since then there is the flag, but no name.
 */
int tap_record_load(const struct tap_env *env, int minor,
		    struct tap_record *rec);
/* Without what is not worth a record, there is none. */
int tap_record_save(const struct tap_env *env, int minor,
		    const struct tap_record *rec);
void tap_record_drop(const struct tap_env *env, int minor);
/* What is different when a tap with image @name goes on with @o. */
void tap_record_unpause(struct tap_record *rec, const char *name,
			const struct tap_opts *o);

/* tap_tap.c: verbs on whole taps */

int tap_create(const struct tap_env *env, const struct tap_opts *o,
	       char *path, size_t size);
int tap_destroy(const struct tap_env *env, int pid, int minor, int timeout);
/* By its tapdisk, or by a new one if that died while the tap was paused. */
int tap_unpause(const struct tap_env *env, const struct tap_opts *o);
int tap_recover(const struct tap_env *env, int minor);
int tap_recover_all(const struct tap_env *env);
/*
 * The process to ask, or 0 if there is none: the one that the kernel knows.
 * The caller's idea of it may be old, after a recovery another process serves
 * the tap. But one that lives and is not the right one is a mistake, -EINVAL.
 */
int tap_server(const struct tap_env *env, int pid,
	       const struct tap_sysfs *tap);

/* tap_coalesce.c */
int tap_coalesce(const struct tap_env *env, const struct tap_opts *o);

/* tap_resize.c */

/* Make the disk of @o->minor larger while it is in use. */
int tap_resize(const struct tap_env *env, const struct tap_opts *o);

/* tap_cli.c */

/* Return: exit status. */
int tap_ctl_main(const struct tap_env *env, int argc, char **argv);

/* tap_util.c */

/* Signals from a terminal or a service manager that end a program. */
void tap_signals(sigset_t *set);
/* What libvhd has to say goes where our own messages go. */
void tap_message(void *opaque, const char *text);
/* Milliseconds of the monotonic clock. */
int64_t tap_now(void);
void tap_sleep(int ms);
/* Read a small file whole, ended by NUL. Return: length or -errno. */
int tap_read_file(const char *path, char *buf, size_t size);
/* As mkdir -p. Return: 0 or -errno. */
int tap_mkdirs(const char *path, mode_t mode);
/* Decimal digits and nothing else, min..max. Return: 0 or -ERANGE. */
int tap_number(const char *text, int min, int max, int *value);
/*
 * The numbers 0..max after @prefix in the names in a folder, ascending; none
 * if it does not exist. Return: how many, *numbers to be freed, or -errno.
 */
int tap_numbered(const char *folder, const char *prefix, int max,
		 int **numbers);
void tap_print_json(FILE *f, struct json_object *obj);

#endif /* TAP_CTL_H */
