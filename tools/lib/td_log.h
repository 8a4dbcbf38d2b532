/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TD_LOG_H
#define TD_LOG_H

#include <syslog.h>

/**
 * td_log_open() - set where messages go
 * @name: name of the program, kept
 * @to_syslog: non-zero: syslog, else stderr
 * @level: least important level to show, LOG_ERR..LOG_DEBUG
 */
void td_log_open(const char *name, int to_syslog, int level);

/**
 * td_log_no_wait() - never wait for who reads the messages
 *
 * From now on a message that cannot be written at once is dropped, and the
 * next one that can be tells how many were. What that takes, for standard
 * error and for syslog, is opened now: td_log_open() may come later, when
 * nothing can be opened any more.
 */
void td_log_no_wait(void);

/**
 * td_log() - write one message
 * @level: LOG_ERR, LOG_WARNING, LOG_INFO or LOG_DEBUG
 * @fmt: as printf, without newline; names the object, the value and the
 *	valid range
 */
void td_log(int level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * td_log_error() - the first LOG_ERR message since td_log_error_clear()
 *
 * Return: text, empty if there was none.
 */
const char *td_log_error(void);

/**
 * td_log_error_clear() - forget the message that td_log_error() returns
 */
void td_log_error_clear(void);

#define td_err(...)	td_log(LOG_ERR, __VA_ARGS__)
#define td_warn(...)	td_log(LOG_WARNING, __VA_ARGS__)
#define td_info(...)	td_log(LOG_INFO, __VA_ARGS__)
#define td_dbg(...)	td_log(LOG_DEBUG, __VA_ARGS__)

#endif /* TD_LOG_H */
