// SPDX-License-Identifier: GPL-2.0
/*
 * vhd-util key: by what an image knows the key that its data is encrypted
 * with, SHA-256 of a nonce and the key. To encrypt is the business of others;
 * they name the key file of NAME.vhd NAME,aes-xts-plain,BITS.key.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <string.h>
#include <unistd.h>

#include "vhd_util.h"

#define VU_KEY_MAX	64	/* bytes: two keys of 256 bits */

_Static_assert(sizeof(((struct vhd_keyhash *)0)->hash) == SHA256_DIGEST_SIZE,
	       "a hash is a SHA-256");

static int vu_hex(const struct vu_args *args, char letter, uint8_t out[32])
{
	const char *text = args->opt[(int)letter];
	unsigned int i, byte;

	if (!text)
		return 0;
	for (i = 0; i < 64 && isxdigit((unsigned char)text[i]); i++)
		;
	if (i < 64 || text[i])
		return vu_wrong(args, "-%c is %s, must be 64 hexadecimal digits",
				letter, text);
	for (i = 0; i < 32; i++) {
		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			return VU_USAGE;
		out[i] = byte;
	}
	return 0;
}

static void vu_hex_print(const uint8_t *bytes, char end)
{
	unsigned int i;

	for (i = 0; i < 32; i++)
		printf("%02x", bytes[i]);
	putchar(end);
}

/* Bits that the name of the key file promises for @image, or 0. */
static unsigned int vu_key_bits(const char *image, const char *file)
{
	const char *base = strrchr(image, '/');
	const char *ext;
	unsigned int bits;
	char want[512];

	base = base ? base + 1 : image;
	ext = strstr(base, ".vhd");
	image = strrchr(file, '/');
	file = image ? image + 1 : file;
	for (bits = 256; bits <= 512; bits *= 2) {
		snprintf(want, sizeof(want), "%.*s,aes-xts-plain,%u.key",
			 ext ? (int)(ext - base) : (int)strlen(base), base,
			 bits);
		if (!strcmp(file, want))
			return bits;
	}
	return 0;
}

/* Hash @key->nonce and the key; @bits: how long it must be, 0: 256 or 512. */
static int vu_key_hash(const char *file, unsigned int bits,
		       struct vhd_keyhash *key)
{
	uint8_t buf[VU_KEY_MAX + 1];
	struct sha256_ctx sha;
	ssize_t len = -1;
	int fd;

	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		len = read(fd, buf, sizeof(buf));
	if (len < 0)
		vu_error("%s: cannot read: %m", file);
	if (fd >= 0)
		close(fd);
	if (len < 0)
		return -EIO;
	if (bits ? len * 8 != bits : len != 32 && len != 64) {
		explicit_bzero(buf, sizeof(buf));
		vu_error("%s: the key has %s%zd bytes, must have %s", file,
			 len > VU_KEY_MAX ? "at least " : "", len,
			bits == 256 ? "32" : bits ? "64" : "32 or 64");
		return -EINVAL;
	}
	sha256_init(&sha);
	sha256_update(&sha, sizeof(key->nonce), key->nonce);
	sha256_update(&sha, len, buf);
	sha256_digest(&sha, sizeof(key->hash), key->hash);
	explicit_bzero(buf, sizeof(buf));
	explicit_bzero(&sha, sizeof(sha));
	return 0;
}

/* The same for the key of an image, whose file must be named so. */
static int vu_image_key(const char *image, const char *file,
			struct vhd_keyhash *key)
{
	unsigned int bits = vu_key_bits(image, file);

	if (bits)
		return vu_key_hash(file, bits, key);
	vu_error("%s: the key file of %s must be named as the image, without .vhd, and then ,aes-xts-plain,256.key or ,aes-xts-plain,512.key",
		 file, image);
	return -EINVAL;
}

static int vu_key_get(const char *name, struct vhd_keyhash *key)
{
	struct vhd_image *image;
	int ret;

	ret = vhd_open(&vu_ctx, name, 0, &image);
	if (ret)
		return ret;
	ret = vhd_keyhash_get(image, key);
	vhd_close(image);
	return ret;
}

static int vu_key_check(const char *name, const char *file)
{
	struct vhd_keyhash has, key;
	int ret;

	ret = vu_key_get(name, &has);
	if (ret == -ENOENT)
		vu_error("%s: has no key hash", name);
	if (ret)
		return ret;
	key = has;
	ret = vu_image_key(name, file, &key);
	if (!ret && memcmp(key.hash, has.hash, sizeof(key.hash))) {
		vu_error("%s: is not the key of %s", file, name);
		ret = -EINVAL;
	}
	return ret;
}

static int vu_key_print(const char *name)
{
	struct vhd_keyhash key;
	int ret = vu_key_get(name, &key);

	if (ret == -ENOENT) {
		puts("none");
		return 0;
	}
	if (ret)
		return ret;
	vu_hex_print(key.nonce, ' ');
	vu_hex_print(key.hash, '\n');
	return 0;
}

/* Options that do not go together; which do, --help tells. */
static int vu_key_usage(const struct vu_args *args)
{
	const char *const *opt = args->opt;

	if (!!opt['C'] + !!opt['s'] + !!opt['c'] > 1 ||
	    !(opt['C'] || opt['s'] || opt['c'] || opt['p']))
		return vu_wrong(args, "one of -C, -s, -c and -p must be there");
	if (opt['C'] && (opt['n'] || opt['p'] || opt['H']))
		return vu_wrong(args, "-C excludes -n, -p and -H");
	if (!opt['C'] && !opt['n'])
		return vu_wrong(args, "option -n is missing");
	if (opt['s'] && !opt['k'] == !opt['H'])
		return vu_wrong(args, "with -s one of -k and -H must be there");
	if ((opt['C'] || opt['c']) && !opt['k'])
		return vu_wrong(args, "option -k is missing");
	if (!opt['s'] && (opt['H'] || (opt['N'] && !opt['C'])))
		return vu_wrong(args, "-H goes with -s, -N with -s or -C");
	return 0;
}

int vu_key(const struct vu_args *args)
{
	const char *name = args->opt['n'], *file = args->opt['k'];
	struct vhd_keyhash key = { 0 };
	int ret = 0;

	if (vu_key_usage(args) || vu_hex(args, 'N', key.nonce) ||
	    vu_hex(args, 'H', key.hash))
		return VU_USAGE;
	if (args->opt['C']) {
		ret = vu_key_hash(file, 0, &key);
		if (!ret)
			vu_hex_print(key.hash, '\n');
	} else if (args->opt['s']) {
		if (file)
			ret = vu_image_key(name, file, &key);
		if (!ret)
			ret = vhd_keyhash_set(&vu_ctx, name, &key);
	} else if (args->opt['c']) {
		ret = vu_key_check(name, file);
	}
	if (!ret && args->opt['p'])
		ret = vu_key_print(name);
	return vu_status(ret);
}
