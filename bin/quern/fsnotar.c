/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command `tar` of `quern fs` where libarchive is absent.
 */
#include "fs.h"

static void
cmd_tar(struct fs *f, int argc, char **argv)
{
	(void)argc;
	fs_complain(f, argv[0], "this program was built without libarchive");
}

const struct fs_command fs_tar_commands[] = {
	{ "tar", cmd_tar, false, NULL },
	{ NULL, NULL, false, NULL },
};
