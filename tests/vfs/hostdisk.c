/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A loop mount in a mount namespace of the process's own: whatever becomes of the
 * process, the host lets go of the mount and the loop device.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "hostdisk.h"

static char base[200], dir[240], file[240];

static int
run(const char *fmt, const char *options)
{
	char command[1000];

	snprintf(command, sizeof(command), fmt, options, base, base);
	return system(command);
}

const char *
hostdisk_mount(const char *options, const char *how, const char **why)
{
	const char *tmp = getenv("TMPDIR");

	*why = "needs root";
	if (geteuid() != 0)
		return NULL;
	snprintf(base, sizeof(base), "%s/hostdisk.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	*why = "no directory for the image";
	if (mkdtemp(base) == NULL)
		return NULL;
	snprintf(dir, sizeof(dir), "%s/mnt", base);
	*why = "mke2fs is absent or can't";
	if (run("mkdir '%2$s/mnt' && "
		"mke2fs -q -F %1$s '%2$s/image' 64M >/dev/null 2>&1",
		options) != 0)
		return NULL;
	*why = "no mount namespaces";
	if (unshare(CLONE_NEWNS) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return NULL;
	*why = "the host has no loop devices, or not this file system";
	if (run("mount -o loop,%1$s '%2$s/image' '%2$s/mnt' 2>/dev/null",
		how) != 0)
		return NULL;
	return dir;
}

const char *
hostdisk_image(void)
{
	snprintf(file, sizeof(file), "%s/image", base);
	return file;
}

void
hostdisk_end(void)
{
	if (base[0] == '\0')
		return;
	if (umount2(dir, MNT_DETACH) != 0 && dir[0] == '\0')
		return;
	(void)run("rmdir '%2$s/mnt'; rm -f '%2$s/image'; "
		  "rmdir '%2$s'%1$.0s",
	    "");
}
