// SPDX-License-Identifier: GPL-2.0
/* vhd-util: the table of its verbs. */
#include <string.h>

#include "vhd_util.h"

static const struct vu_verb vu_verbs[] = {
	{ "create", "n:s:S:r", "ns", 0,
	  "-n FILE -s SIZE_MB [-r] [-S MAX_MB]", vu_create },
	{ "snapshot", "n:p:S:l:me", "np", 0,
	  "-n FILE -p PARENT [-m] [-e] [-l DEPTH] [-S MAX_MB]", vu_snapshot },
	{ "query", "n:vspfmdSau", "n", VU_JSON,
	  "-n FILE [-v] [-s] [-p [-u]] [-f] [-m] [-d] [-S] [-a] [--json]",
	  vu_query },
	{ "check", "n:iItBpbs", "n", VU_JSON,
	  "-n FILE [-i] [-I] [-t] [-B] [-p] [-b] [-s] [--json]", vu_check },
	{ "read", "n:pt:b:Bm:i:e:aj:d:c:r:R:xC", "n", 0,
	  "-n FILE [-p] [-t SECTOR] [-b BLOCK] [-B] [-m BLOCK] [-i SECTOR] [-e SECTOR] [-a] [-j BLOCK] [-d BLOCK] [-r SECTOR] [-R BYTE] [-c COUNT] [-x] [-C]",
	  vu_read },
	{ "scan", "fm:l:pavcM", "", VU_JSON | VU_FILES,
	  "[-f] [-m PATTERN] [-l GROUP] [-p] [-a] [-v] [-c] [-M] [--json] [FILE]...",
	  vu_scan },
	{ "set", "n:f:v:", "nfv", 0,
	  "-n FILE -f hidden|marker -v VALUE", vu_set },
	{ "modify", "n:p:ms:z", "n", 0,
	  "-n FILE [-p PARENT [-m]] [-s BYTES] [-z]", vu_modify },
	{ "repair", "n:b", "n", 0, "-n FILE [-b]", vu_repair },
	{ "resize", "n:s:j:f", "ns", 0,
	  "-n FILE -s SIZE_MB -j JOURNAL | -f", vu_resize },
	{ "revert", "n:j:", "nj", 0, "-n FILE -j JOURNAL", vu_revert },
	{ "coalesce", "n:spo:a:x:r:", "n", 0,
	  "-n FILE [-a ANCESTOR | -o OUTPUT] [-x PARENT] [-r MIB] [-s] [-p]",
	  vu_coalesce },
	{ "fill", "n:bf:t:Bp", "n", 0,
	  "-n FILE [-b [-f SECTOR] [-t SECTOR] [-B]] [-p]", vu_fill },
	{ "copy", "n:N:rRp", "nN", 0, "-n FILE -N NEW [-r] [-R] [-p]", vu_copy },
	{ "compact", "n:p", "n", 0, "-n FILE [-p]", vu_compact },
	{ "key", "n:k:N:H:Cscp", "", 0,
	  "-C -k KEYFILE [-N NONCE] | -s -n FILE -k KEYFILE|-H HASH [-N NONCE] [-p] | -c -n FILE -k KEYFILE [-p] | -p -n FILE",
	  vu_key },
};

#define VU_NR_VERBS	(sizeof(vu_verbs) / sizeof(vu_verbs[0]))

static int vu_help(FILE *to)
{
	unsigned int i;

	fprintf(to, "usage: vhd-util [--debug] COMMAND [OPTIONS]\nCOMMAND := {");
	for (i = 0; i < VU_NR_VERBS; i++)
		fprintf(to, "%s %s", i ? " |" : "", vu_verbs[i].name);
	fprintf(to, " }\nvhd-util COMMAND --help tells the options, vhd-util(8) more.\n");
	return to == stdout ? 0 : VU_USAGE;
}

int main(int argc, char **argv)
{
	unsigned int i;
	int ret;

	/* Everything is told at once; nothing is kept back for --debug. */
	if (argc > 1 && !strcmp(argv[1], "--debug")) {
		argc--;
		argv++;
	}
	if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return vu_help(stdout);
	if (!strcmp(argv[1], "--version")) {
		puts("vhd-util (xen-pvio) " TD_VERSION);
		return 0;
	}
	for (i = 0; i < VU_NR_VERBS; i++) {
		if (strcmp(argv[1], vu_verbs[i].name))
			continue;
		ret = vu_run(&vu_verbs[i], argc - 1, argv + 1);
		/* A full disk or closed pipe is no success either. */
		if (fflush(stdout) && !ret) {
			fprintf(stderr, "vhd-util: cannot write output: %m\n");
			ret = VU_FAILED;
		}
		return ret;
	}
	fprintf(stderr, "vhd-util: invalid COMMAND %s\n", argv[1]);
	return vu_help(stderr);
}
