// SPDX-License-Identifier: GPL-2.0
/* vhd-util: the table of its verbs. */
#include <errno.h>
#include <string.h>

#include "td_stdio.h"
#include "vhd_util.h"

#define VU_HELP_FILE	"  -n FILE       the image\n"
#define VU_HELP_NEW	"  -n FILE       the new image; it must not exist\n"
#define VU_HELP_SIZES \
	"  A size is in MiB, or has a suffix: B, K, M, G, T or KiB, MiB, GiB, TiB.\n"
#define VU_HELP_PROGRESS \
	"  -p            show progress on stderr, even if that is no terminal\n"
#define VU_HELP_JSON	"  --json        print JSON\n"

static const struct vu_verb vu_verbs[] = {
	{ "create", "n:s:S:r", "ns", 0,
	  "-n FILE -s SIZE [-r] [-S MAX]",
	  "Make a dynamic or fixed image.\n"
	  VU_HELP_NEW
	  "  -s SIZE       size of the disk\n"
	  "  -r            fixed: reserve all space\n"
	  "  -S MAX        let the disk grow up to this size quickly\n"
	  VU_HELP_SIZES, vu_create },
	{ "snapshot", "n:p:S:l:me", "np", 0,
	  "-n FILE -p PARENT [-m] [-e] [-l DEPTH] [-S MAX]",
	  "Make a differencing image.\n"
	  VU_HELP_NEW
	  "  -p PARENT     its parent; nothing may write to it from now on\n"
	  "  -m            the parent is a raw image\n"
	  "  -e            take the parent even if it is empty\n"
	  "  -l DEPTH      fail if the chain gets longer, 1 to 64\n"
	  "  -S MAX        let the disk grow up to this size quickly\n"
	  VU_HELP_SIZES, vu_snapshot },
	{ "query", "n:vspfmdSaub", "n", VU_JSON | VU_BYTES,
	  "-n FILE [-v] [-s] [-p [-u]] [-f] [-m] [-d] [-a] [-S] [-b] [--bytes] [--json]",
	  "Print facts, one a line; all of them with names if none is asked for.\n"
	  VU_HELP_FILE
	  "  -v            size of the disk in MiB\n"
	  "  -s            size of the file in bytes\n"
	  "  -p            path of the parent\n"
	  "  -u            with -p: as it is written in the image\n"
	  "  -f            is it hidden?\n"
	  "  -m            the marker\n"
	  "  -d            number of images in the chain\n"
	  "  -a            number of allocated blocks\n"
	  "  -S            size in MiB up to which the disk grows quickly\n"
	  "  -b            believe the copy of the footer at the start\n"
	  "  --bytes       -v and -S in bytes\n"
	  VU_HELP_JSON, vu_query },
	{ "check", "n:iItBpbs", "n", VU_JSON,
	  "-n FILE [-i] [-I] [-t] [-B] [-p] [-b] [-s] [--json]",
	  "Check an image.\n"
	  VU_HELP_FILE
	  "  -i            the footer at the end may be missing\n"
	  "  -I            do not compare the uuid of the parent\n"
	  "  -t            time stamps may be in the future\n"
	  "  -B            blocks may overlap\n"
	  "  -p            check the parents too\n"
	  "  -b            read the bitmaps\n"
	  "  -s            as -b, and print statistics\n"
	  VU_HELP_JSON, vu_check },
	{ "read", "n:pt:b:Bm:i:e:aj:d:c:r:R:xC", "n", 0,
	  "-n FILE [-p] [-t SECTOR] [-b BLOCK] [-B] [-m BLOCK] [-i SECTOR] [-e SECTOR] [-a] [-j BLOCK] [-d BLOCK] [-r SECTOR] [-R BYTE] [-c COUNT] [-x] [-C]",
	  "Print what is in an image, and where.\n"
	  VU_HELP_FILE
	  "  -p            footer, header, parent locators, batmap\n"
	  "  -t SECTOR     where in the file a sector of the disk is\n"
	  "  -b BLOCK      where in the file a block is\n"
	  "  -B            a bit for each block: is it allocated?\n"
	  "  -m BLOCK      the bitmap of a block\n"
	  "  -i SECTOR     is the sector in this image?\n"
	  "  -e SECTOR     runs of sectors that are in this image\n"
	  "  -a            the batmap\n"
	  "  -j BLOCK      does the batmap show the block full?\n"
	  "  -d BLOCK      data of a block\n"
	  "  -r SECTOR     what a guest reads\n"
	  "  -R BYTE       the same, from a byte\n"
	  "  -c COUNT      that many sectors, blocks or bytes\n"
	  "  -x            numbers in hexadecimal\n"
	  "  -C            ignored\n", vu_read },
	{ "scan", "fm:l:pavcM", "", VU_JSON | VU_FILES,
	  "[-f] [-m PATTERN] [-l GROUP] [-p] [-a] [-v] [-c] [-M] [--json] [FILE]...",
	  "Print a line for each image.\n"
	  "  -f            fast: headers only\n"
	  "  -m PATTERN    files that match, too\n"
	  "  -l GROUP      volumes of a volume group\n"
	  "  -p            as trees\n"
	  "  -a            the parents too\n"
	  "  -v            paths instead of names\n"
	  "  -c            exit status 0 even if images are bad\n"
	  "  -M            print the marker\n"
	  VU_HELP_JSON, vu_scan },
	{ "set", "n:f:v:", "nfv", 0,
	  "-n FILE -f hidden|marker -v VALUE",
	  "Set a field.\n"
	  VU_HELP_FILE
	  "  -f FIELD      hidden or marker\n"
	  "  -v VALUE      0 or 1 for hidden, 0 to 255 for marker\n", vu_set },
	{ "modify", "n:p:ms:z", "n", 0,
	  "-n FILE [-p PARENT [-m]] [-s BYTES] [-z]",
	  "Change the parent, the size of the file, or drop all data.\n"
	  VU_HELP_FILE
	  "  -p PARENT     the new parent; it must hold the same data\n"
	  "  -m            the parent is a raw image\n"
	  "  -s BYTES      move the footer so that the file has this size\n"
	  "  -z            drop all data\n", vu_modify },
	{ "repair", "n:b", "n", 0, "-n FILE [-b]",
	  "Write the footers anew.\n"
	  VU_HELP_FILE
	  "  -b            from the copy at the start, whatever is at the end\n",
	  vu_repair },
	{ "resize", "n:s:j:f", "ns", VU_SHRINK,
	  "-n FILE -s SIZE -j JOURNAL [--shrink] | -f",
	  "Change the size of the disk.\n"
	  VU_HELP_FILE
	  "  -s SIZE       the new size\n"
	  "  -j JOURNAL    new file that tells how to undo it while it runs\n"
	  "  --shrink      the new size may be smaller: what is behind it is lost\n"
	  "  -f            grow as far as query -S says; needs no journal\n"
	  VU_HELP_SIZES, vu_resize },
	{ "revert", "n:j:", "nj", 0, "-n FILE -j JOURNAL",
	  "Undo a resize that was interrupted.\n"
	  VU_HELP_FILE
	  "  -j JOURNAL    its journal, which is removed\n", vu_revert },
	{ "coalesce", "n:spo:a:x:r:", "n", 0,
	  "-n FILE [-a ANCESTOR | -o OUTPUT] [-x PARENT] [-r RATE] [-s] [-p]",
	  "Merge an image into its parent.\n"
	  VU_HELP_FILE
	  "  -a ANCESTOR   into this image of the chain\n"
	  "  -o OUTPUT     change nothing, make a new image\n"
	  "  -x PARENT     take this for the parent\n"
	  "  -r RATE       at most that many MiB a second\n"
	  "  -s            zeros become holes\n"
	  VU_HELP_PROGRESS, vu_coalesce },
	{ "fill", "n:bf:t:Bp", "n", 0,
	  "-n FILE [-b [-f SECTOR] [-t SECTOR] [-B]] [-p]",
	  "Allocate all blocks.\n"
	  VU_HELP_FILE
	  "  -b            write no data\n"
	  "  -f SECTOR     with -b: first sector\n"
	  "  -t SECTOR     with -b: last sector\n"
	  "  -B            ignored\n"
	  VU_HELP_PROGRESS, vu_fill },
	{ "copy", "n:N:rRt:A:s:p", "nN", VU_JSON | VU_RESCUE | VU_OVERWRITE,
	  "-n FILE -N NEW [-r] [-s SIZE] [-t dynamic|fixed|raw] [--align BYTES] [--overwrite] [--rescue [--json]] [-p]",
	  "Copy the disk, parents included, to a new image.\n"
	  "  -n FILE       the image; - is the standard input, a raw disk\n"
	  "  -N NEW        the new image; it must not exist\n"
	  "  -r            FILE is a raw image\n"
	  "  -s SIZE       the standard input has that size, or it is an error\n"
	  "  -t TYPE       NEW is to be dynamic (the default), fixed or raw\n"
	  "  -R            the same as -t raw; - is the standard output\n"
	  "  --align BYTES the size is rounded up to a multiple of that\n"
	  "  --overwrite   with -R: NEW exists; all that is in it is lost\n"
	  "  --rescue      FILE is damaged: copy what can be read, list the rest;\n"
	  "                exit status 3 if something is missing\n"
	  "  --json        with --rescue: print JSON\n"
	  VU_HELP_PROGRESS
	  VU_HELP_SIZES, vu_copy },
	{ "compact", "n:p", "n", 0, "-n FILE [-p]",
	  "Drop blocks that hold nothing, and make the file smaller.\n"
	  VU_HELP_FILE
	  VU_HELP_PROGRESS, vu_compact },
	{ "key", "n:k:N:H:Cscp", "", 0,
	  "-C -k KEYFILE [-N NONCE] | -s -n FILE -k KEYFILE|-H HASH [-N NONCE] [-p] | -c -n FILE -k KEYFILE [-p] | -p -n FILE",
	  "What an image knows of the key its data is encrypted with.\n"
	  VU_HELP_FILE
	  "  -C            print the hash of a key\n"
	  "  -s            put a hash into an image without blocks\n"
	  "  -c            is it the key of the image?\n"
	  "  -p            print nonce and hash\n"
	  "  -k KEYFILE    file with the key, 32 or 64 bytes\n"
	  "  -H HASH       32 bytes in hexadecimal\n"
	  "  -N NONCE      32 bytes in hexadecimal\n", vu_key },
};

#define VU_NR_VERBS	(sizeof(vu_verbs) / sizeof(vu_verbs[0]))

static int vu_help(FILE *to)
{
	unsigned int i;

	fprintf(to, "usage: vhd-util [--debug] COMMAND [OPTIONS]\nCOMMAND := {");
	for (i = 0; i < VU_NR_VERBS; i++)
		fprintf(to, "%s %s", i ? " |" : "", vu_verbs[i].name);
	fprintf(to, " }\n"
		"vhd-util COMMAND --help lists the options, vhd-util(8) explains them.\n"
		"  --version  print the version\n"
		"  --debug    the exit status of a failure is its error number\n");
	return to == stdout ? 0 : VU_USAGE;
}

static int vu_main(int argc, char **argv)
{
	unsigned int i;

	if (argc > 1 && !strcmp(argv[1], "--debug")) {
		vu_debug = true;
		argc--;
		argv++;
	}
	if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return vu_help(stdout);
	if (!strcmp(argv[1], "--version"))
		return vu_version();
	for (i = 0; i < VU_NR_VERBS; i++)
		if (!strcmp(argv[1], vu_verbs[i].name))
			return vu_run(&vu_verbs[i], argc - 1, argv + 1);
	vu_error("invalid COMMAND %s", argv[1]);
	vu_help(stderr);
	return vu_debug ? EINVAL : VU_USAGE;
}

int main(int argc, char **argv)
{
	int status;

	td_stdio_open();
	status = vu_main(argc, argv);
	if (td_stdio_close("vhd-util") && !status)
		status = VU_FAILED;
	return status;
}
