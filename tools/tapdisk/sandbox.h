/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What tapdisk2 asks of the kernel for itself: memory that is never paged
 * out, since that may need the very disk it serves; and as few rights as
 * it can do with, since it reads images that a guest could write.
 */
#ifndef TD_SANDBOX_H
#define TD_SANDBOX_H

/**
 * td_sandbox_user() - choose the user that td_sandbox_enter() becomes
 * @name: user to become, if this is root, kept; NULL: tapdisk, or nobody if
 *	there is no such user
 */
void td_sandbox_user(const char *name);

/**
 * td_sandbox_enter() - lock memory, give up rights
 *
 * What the kernel does not permit is left out with a warning, so that a
 * server without privileges still serves.
 *
 * Return: 0, or -errno if the process would be left with rights that it was
 * about to give up.
 */
int td_sandbox_enter(void);

/**
 * td_sandbox_on_refusal() - be told before a system call ends the process
 * @fn: called with the number of a system call that the sandbox does not
 *	allow, after the message that names it; as a signal handler, in the
 *	middle of whatever made the call
 */
void td_sandbox_on_refusal(void (*fn)(int nr));

/**
 * td_sandbox_detach_stdio() - turn the standard streams to /dev/null
 */
void td_sandbox_detach_stdio(void);

#endif /* TD_SANDBOX_H */
