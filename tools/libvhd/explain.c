// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Why a file is no image that can be opened, and what helps.
 *
 * A footer that is not where it belongs is only a symptom. The cause may be a
 * change that was interrupted, a file that was cut off or padded, or a file of
 * another kind. What the file holds tells them apart.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhd_edit.h"

static void vhd_note_set(void *opaque, const char *text)
{
	struct vhd_note *note = opaque;

	snprintf(note->text, sizeof(note->text), "%s", text);
}

void vhd_note_init(struct vhd_note *note, const struct vhd_ctx *ctx)
{
	note->ctx = *ctx;
	note->ctx.message = vhd_note_set;
	note->ctx.opaque = note;
	note->text[0] = 0;
}

/* Beginnings of files that people take for a VHD. */
static const char *vhd_other_format(const uint8_t *start)
{
	static const struct {
		const char *magic;
		const char *name;
	} formats[] = {
		{ "vhdxfile", "a VHDX image" },
		{ "QFI\xfb", "a qcow image" },
		{ "KDMV", "a VMDK image" },
		{ "# Disk DescriptorFile", "the description of a VMDK image" },
		{ "<<< ", "a VDI image" },
		{ "QED", "a QED image" },
		{ "\x1f\x8b", "compressed with gzip" },
		{ "\3757zXZ", "compressed with xz" },
		{ "\x28\xb5\x2f\xfd", "compressed with zstd" },
		{ "BZh", "compressed with bzip2" },
		{ "vjournal", "the journal of a change, not an image" },
		{ "vhdundo1", "the journal of a change, not an image" },
	};
	size_t i;

	for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (!memcmp(start, formats[i].magic, strlen(formats[i].magic)))
			return formats[i].name;
	return NULL;
}

/* What a footer is looked for in, at the end of a file. */
#define VHD_FOOTER_SEARCH	(4U << 20)

int vhd_footer_find(const struct vhd_image *image, uint64_t *off,
		    struct vhd_footer *footer)
{
	const struct vhd_ctx quiet = { 0 };
	uint64_t size = image->file_size;
	size_t len = size < VHD_FOOTER_SEARCH ? size : VHD_FOOTER_SEARCH;
	uint8_t *buf = malloc(len + VHD_SECTOR);
	size_t i;
	int ret = buf ? vhd_pread(image->fd, buf, len, size - len) : -ENOMEM;

	/* One at the start is the copy. */
	for (i = len; !ret && i-- > 0 && size - len + i > 0;) {
		if (i + VHD_FOOTER_SIZE > len ||
		    memcmp(buf + i, "conectix", 8) ||
		    vhd_footer_parse(&quiet, image->path, buf + i, 0, footer))
			continue;
		/* All behind it must be padding. */
		if (!vhd_is_zero(buf + i + VHD_FOOTER_SIZE,
				 len - i - VHD_FOOTER_SIZE))
			break;
		*off = size - len + i;
		free(buf);
		return 0;
	}
	free(buf);
	return ret ? ret : -ENOENT;
}

static int vhd_no_image(const struct vhd_image *image, const uint8_t *start,
			const char *reason)
{
	const char *other = vhd_other_format(start);
	const char *path = image->path;
	struct vhd_footer footer;
	uint64_t off;

	/* Nobody listens: do not search. */
	if (!image->ctx.message)
		return -EINVAL;
	if (other)
		return vhd_msg(&image->ctx, -EINVAL,
			       "%s: is no VHD image but %s (%s)", path, other,
			       reason);
	if (!vhd_footer_find(image, &off, &footer)) {
		bool fixed = footer.type == VHD_TYPE_FIXED &&
			     footer.current_size == off;

		return vhd_msg(&image->ctx, -EINVAL,
			       "%s: the footer is at %" PRIu64 ", %" PRIu64 " bytes before the end, where it belongs: the file was padded%s; vhd-util %s -n %s%s (%s)",
			       path, off, image->file_size - off -
			       VHD_FOOTER_SIZE, fixed ? "" :
			       ", and the copy of the footer at 0 is lost",
			       fixed ? "repair" : "copy --rescue", path, fixed ?
			       " cuts it off there" :
			       " -N NEW saves what is there", reason);
	}
	return vhd_msg(&image->ctx, -EINVAL,
		       "%s: is a raw image, or a VHD image that was truncated: there is no footer at the end, and no copy of it at 0 (%s); vhd-util copy --rescue -r -n %s -N NEW saves a disk that was fixed",
		       path, reason, path);
}

int vhd_explain_footer(const struct vhd_image *image, const uint8_t *copy,
		       const char *reason)
{
	const char *path = image->path;
	char journal[PATH_MAX];

	if (memcmp(copy, "v_poison", 8))
		return vhd_no_image(image, copy, reason);
	if (vhd_journal_name(path, journal) || access(journal, F_OK))
		strcpy(journal, "JOURNAL");
	return vhd_msg(&image->ctx, -EINVAL,
		       "%s: a resize or another change of it was interrupted (cookie of the footer is \"v_poison\"): undo it with vhd-util revert -n %s -j %s%s",
		       path, path, journal, strcmp(journal, "JOURNAL") ? "" :
		       ", the journal that was named when it began");
}
