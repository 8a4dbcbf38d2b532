/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TD_UTF8_H
#define TD_UTF8_H

#include <stdbool.h>

/**
 * td_utf8_text() - make valid UTF-8 of the bytes of a file name
 * @bytes: any bytes that end with a NUL
 * @changed: set if @bytes were no UTF-8
 *
 * Return: a copy to be freed, with U+FFFD for each byte that is not part of a
 * character; NULL: no memory.
 */
char *td_utf8_text(const char *bytes, bool *changed);

#endif /* TD_UTF8_H */
