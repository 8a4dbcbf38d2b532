/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TD_STDIO_H
#define TD_STDIO_H

/**
 * td_stdio_open() - give descriptors 0, 1 and 2 something to refer to
 *
 * A program may be started with some of them closed. The next files it opens
 * would get these numbers, and a message or a progress line would be written
 * into a disk image. So each main() calls this before anything else: what is
 * closed becomes /dev/null.
 *
 * Ends the program with status 1 if nothing can be opened.
 */
void td_stdio_open(void);

/**
 * td_stdio_close() - write what is left of the output
 * @name: of the program, for the message
 *
 * A full disk behind ">" may show at any write or only at the end.
 *
 * Return: 0, or -errno with a message on stderr.
 */
int td_stdio_close(const char *name);

#endif /* TD_STDIO_H */
