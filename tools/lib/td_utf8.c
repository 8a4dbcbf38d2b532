// SPDX-License-Identifier: LGPL-2.1-or-later
#include "td_utf8.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Length of the character at @s, 0: there is none (RFC 3629, section 4). */
static size_t td_utf8_length(const unsigned char *s)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t len, i;

	if (*s < 0x80)
		return 1;
	if (*s < 0xc2 || *s > 0xf4)
		return 0;
	len = *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : 4;
	if (*s == 0xe0)
		low = 0xa0;	/* else it has a shorter form */
	else if (*s == 0xed)
		high = 0x9f;	/* surrogates */
	else if (*s == 0xf0)
		low = 0x90;
	else if (*s == 0xf4)
		high = 0x8f;	/* U+10FFFF is the last one */
	for (i = 1; i < len; i++, low = 0x80, high = 0xbf)
		if (s[i] < low || s[i] > high)
			return 0;
	return len;
}

char *td_utf8_text(const char *bytes, bool *changed)
{
	const unsigned char *s = (const unsigned char *)bytes;
	char *text = malloc(3 * strlen(bytes) + 1);
	char *to = text;

	*changed = false;
	while (text && *s) {
		size_t len = td_utf8_length(s);

		if (len) {
			memcpy(to, s, len);
			to += len;
			s += len;
		} else {
			memcpy(to, "\xef\xbf\xbd", 3);
			to += 3;
			s++;
			*changed = true;
		}
	}
	if (text)
		*to = 0;
	return text;
}
