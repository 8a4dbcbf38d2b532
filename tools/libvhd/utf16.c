// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * UTF-16 of parent names and locators, UTF-8 outside. Broken surrogates and
 * broken UTF-8 are -EILSEQ, too little room is -ENAMETOOLONG.
 */
#include <errno.h>

#include "vhd_private.h"

static size_t vhd_utf8_put(uint32_t c, char *out)
{
	if (c < 0x80) {
		out[0] = c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = 0xc0 | c >> 6;
		out[1] = 0x80 | (c & 0x3f);
		return 2;
	}
	if (c < 0x10000) {
		out[0] = 0xe0 | c >> 12;
		out[1] = 0x80 | (c >> 6 & 0x3f);
		out[2] = 0x80 | (c & 0x3f);
		return 3;
	}
	out[0] = 0xf0 | c >> 18;
	out[1] = 0x80 | (c >> 12 & 0x3f);
	out[2] = 0x80 | (c >> 6 & 0x3f);
	out[3] = 0x80 | (c & 0x3f);
	return 4;
}

static uint32_t vhd_utf16_unit(const uint8_t *in, bool big_endian)
{
	return big_endian ? in[0] << 8 | in[1] : in[1] << 8 | in[0];
}

int vhd_utf16_decode(const uint8_t *in, size_t len, bool big_endian, char *out,
		     size_t size)
{
	size_t pos = 0;
	size_t i;

	for (i = 0; i + 2 <= len; i += 2) {
		uint32_t c = vhd_utf16_unit(in + i, big_endian);

		if (!c)
			break;
		if (c >= 0xd800 && c < 0xe000) {
			uint32_t low;

			if (c >= 0xdc00 || i + 4 > len)
				return -EILSEQ;
			i += 2;
			low = vhd_utf16_unit(in + i, big_endian);
			if (low < 0xdc00 || low >= 0xe000)
				return -EILSEQ;
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		}
		if (pos + 5 > size)
			return -ENAMETOOLONG;
		pos += vhd_utf8_put(c, out + pos);
	}
	if (pos >= size)
		return -ENAMETOOLONG;
	out[pos] = 0;
	return 0;
}

/* One character of UTF-8; returns its length or -EILSEQ. */
static int vhd_utf8_get(const uint8_t *in, uint32_t *c)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	int len = in[0] < 0x80 ? 1 : in[0] < 0xc0 ? 0 : in[0] < 0xe0 ? 2 :
		  in[0] < 0xf0 ? 3 : in[0] < 0xf8 ? 4 : 0;
	int i;

	if (!len)
		return -EILSEQ;
	*c = len == 1 ? in[0] : in[0] & (0x7f >> len);
	for (i = 1; i < len; i++) {
		if ((in[i] & 0xc0) != 0x80)
			return -EILSEQ;
		*c = *c << 6 | (in[i] & 0x3f);
	}
	if (*c < least[len] || *c > 0x10ffff || (*c >= 0xd800 && *c < 0xe000))
		return -EILSEQ;
	return len;
}

static void vhd_utf16_put(uint32_t unit, bool big_endian, uint8_t *out)
{
	out[!big_endian] = unit >> 8;
	out[big_endian] = unit;
}

ssize_t vhd_utf16_encode(const char *in, bool big_endian, uint8_t *out,
			 size_t size)
{
	const uint8_t *p = (const uint8_t *)in;
	size_t pos = 0;

	while (*p) {
		uint32_t c;
		int len = vhd_utf8_get(p, &c);

		if (len < 0)
			return len;
		p += len;
		if (pos + (c > 0xffff ? 4 : 2) > size)
			return -ENAMETOOLONG;
		if (c > 0xffff) {
			c -= 0x10000;
			vhd_utf16_put(0xd800 + (c >> 10), big_endian,
				      out + pos);
			pos += 2;
			c = 0xdc00 + (c & 0x3ff);
		}
		vhd_utf16_put(c, big_endian, out + pos);
		pos += 2;
	}
	return pos;
}
