/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Client side of the control protocol. Timeouts are in milliseconds and cover
 * the whole function; -1 waits for ever. When one is over: -ETIMEDOUT.
 */
#ifndef TD_CTL_CLIENT_H
#define TD_CTL_CLIENT_H

#include <stddef.h>
#include <sys/types.h>

#include "td_ctl.h"

/**
 * td_ctl_connect() - connect to a tapdisk2
 * @pid: its process id
 * @timeout_ms: timeout
 *
 * Return: descriptor, to be closed by the caller, or -errno: -ENOENT or
 * -ECONNREFUSED if there is no such tapdisk2.
 */
int td_ctl_connect(pid_t pid, int timeout_ms);

/**
 * td_ctl_connect_path() - connect to a control socket
 * @path: its path
 * @timeout_ms: timeout
 *
 * Return: as td_ctl_connect().
 */
int td_ctl_connect_path(const char *path, int timeout_ms);

/**
 * td_ctl_send() - send a message
 * @fd: descriptor of td_ctl_connect()
 * @msg: message
 * @timeout_ms: timeout
 *
 * Return: 0 or -errno.
 */
int td_ctl_send(int fd, const struct td_ctl_msg *msg, int timeout_ms);

/**
 * td_ctl_recv() - receive a message
 * @fd: descriptor of td_ctl_connect()
 * @msg: message; its texts end with NUL
 * @timeout_ms: timeout
 *
 * Return: 0 or -errno; -ECONNRESET if the peer closed before its end.
 */
int td_ctl_recv(int fd, struct td_ctl_msg *msg, int timeout_ms);

/**
 * td_ctl_recv_raw() - receive the text after a STATS_RSP
 * @fd: descriptor of td_ctl_connect()
 * @buf: where to
 * @len: how much
 * @timeout_ms: timeout
 *
 * Return: 0 or -errno; -ECONNRESET if the peer closed before its end.
 */
int td_ctl_recv_raw(int fd, void *buf, size_t len, int timeout_ms);

/**
 * td_ctl_call() - connect, send a request, receive one answer, close
 * @pid: process id of the tapdisk2
 * @msg: in: request; out: answer
 * @timeout_ms: timeout
 *
 * Return: 0: the answer has the type that belongs to the request, and no
 * error in it; else -errno. @msg->u.response.message then is the tapdisk2's
 * explanation, or empty if there is none.
 */
int td_ctl_call(pid_t pid, struct td_ctl_msg *msg, int timeout_ms);

/**
 * td_ctl_call_path() - td_ctl_call() for a control socket
 * @path: its path
 * @msg: in: request; out: answer
 * @timeout_ms: timeout
 *
 * Return: as td_ctl_call().
 */
int td_ctl_call_path(const char *path, struct td_ctl_msg *msg, int timeout_ms);

/**
 * td_ctl_call_keep() - td_ctl_call_path() that does not close the connection
 * @path: path of the control socket
 * @msg: in: request; out: answer
 * @timeout_ms: timeout
 * @fd: set to the connection, for the caller to close, or -1 after an error
 *
 * Return: as td_ctl_call().
 */
int td_ctl_call_keep(const char *path, struct td_ctl_msg *msg, int timeout_ms,
		     int *fd);

#endif /* TD_CTL_CLIENT_H */
