/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Server of the control socket. It lives in the event loop and never waits
 * for a client, so that a slow or hostile one does not hold up any disk.
 */
#ifndef TD_CONTROL_H
#define TD_CONTROL_H

/**
 * td_control_open() - create the socket and serve it
 * @path: its path; a socket left there is replaced
 *
 * Return: 0 or -errno, with a message.
 */
int td_control_open(const char *path);

/**
 * td_control_close() - opposite of td_control_open(), after the loop ended
 */
void td_control_close(void);

#endif /* TD_CONTROL_H */
