/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mounts.  On the host these run in a mount namespace of their own.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "conf.h"

static int
mount_tmpfs(struct conf *c, const char *at, unsigned long flags)
{
	return (int)SYS(c, SYS_mount, "none", at, "tmpfs", flags, "mode=755");
}

static int
bind_(struct conf *c, const char *from, const char *at, unsigned long flags)
{
	return (int)SYS(c, SYS_mount, from, at, "", MS_BIND | flags, 0);
}

static int
umount_(struct conf *c, const char *at, int flags)
{
	return (int)SYS(c, SYS_umount2, at, flags);
}

static void
mount_covers(struct conf *c)
{
	struct stat in, out;
	int64_t ino;

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_file(c, "d/below", 0644));
	ino = c_ino(c, "d");
	OK(c, mount_tmpfs(c, "d", 0));
	IS(c, c_ino(c, "d/below"), -ENOENT);
	OK(c, c_file(c, "d/above", 0644));
	OK(c, c_lstat(c, "d", &in));
	OK(c, c_lstat(c, ".", &out));
	TRUE(c, in.st_dev != out.st_dev);
	/* ".." leads out of it. */
	OK(c, c_lstat(c, "d/..", &in));
	TRUE(c, in.st_dev == out.st_dev && in.st_ino == out.st_ino);
	/* Names do not cross. */
	IS(c, c_rename(c, "d/above", "x"), -EXDEV);
	IS(c, c_link(c, "d/above", "x"), -EXDEV);
	IS(c, c_rmdir(c, "d"), -EBUSY);
	IS(c, c_rename(c, "d", "e"), -EBUSY);
	OK(c, c_mkdir(c, "e", 0755));
	IS(c, c_rename(c, "e", "d"), -EBUSY);
	/* Another one on top. */
	OK(c, mount_tmpfs(c, "d", 0));
	IS(c, c_ino(c, "d/above"), -ENOENT);
	OK(c, umount_(c, "d", 0));
	TRUE(c, c_ino(c, "d/above") > 0);
	OK(c, umount_(c, "d", 0));
	IS(c, c_ino(c, "d"), ino);
	TRUE(c, c_ino(c, "d/below") > 0);
}

static void
mount_busy(struct conf *c)
{
	char buf[2];
	int fd;

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, mount_tmpfs(c, "d", 0));
	fd = c_open(c, "d/f", O_CREAT | O_RDWR, 0644);
	TRUE(c, fd >= 0);
	IS(c, umount_(c, "d", 0), -EBUSY);
	OK(c, c_mkdir(c, "d/e", 0755));
	OK(c, mount_tmpfs(c, "d/e", 0));
	OK(c, c_close(c, fd));
	IS(c, umount_(c, "d", 0), -EBUSY);
	fd = c_open(c, "d/f", O_RDWR, 0);
	/* Lazily: out of sight with all that is on it, and still there. */
	OK(c, umount_(c, "d", MNT_DETACH));
	IS(c, c_ino(c, "d/f"), -ENOENT);
	IS(c, c_write(c, fd, "x", 1), 1);
	IS(c, c_pread(c, fd, buf, 1, 0), 1);
	OK(c, c_close(c, fd));
	OK(c, c_rmdir(c, "d"));
}

static void
mount_errors(struct conf *c)
{
	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_file(c, "f", 0644));
	IS(c, mount_tmpfs(c, "none", 0), -ENOENT);
	IS(c, mount_tmpfs(c, "f", 0), -ENOTDIR);
	IS(c, SYS(c, SYS_mount, "none", "d", "nofs", 0, 0), -ENODEV);
	IS(c, bind_(c, "f", "d", 0), -ENOTDIR);
	IS(c, bind_(c, "d", "f", 0), -ENOTDIR);
	IS(c, bind_(c, "none", "d", 0), -ENOENT);
	IS(c, umount_(c, "d", 0), -EINVAL);
	IS(c, umount_(c, "none", 0), -ENOENT);
	IS(c, umount_(c, "d", 0x100), -EINVAL);
	IS(c, SYS(c, SYS_mount, 0, "d", 0, MS_REMOUNT, 0), -EINVAL);
	IS(c, SYS(c, SYS_mount, "d", "d", 0, MS_MOVE, 0), -EINVAL);
	IS(c, SYS(c, SYS_mount, "none", 8, "tmpfs", 0, 0), -EFAULT);
	c_user(c, 1234, 1234);
	IS(c, mount_tmpfs(c, "d", 0), -EPERM);
	IS(c, umount_(c, "d", 0), -EPERM);
	c_user(c, 0, 0);
}

static void
mount_bound(struct conf *c)
{
	OK(c, c_mkdir(c, "a", 0755));
	OK(c, c_mkdir(c, "a/s", 0755));
	OK(c, c_file(c, "a/f", 0644));
	OK(c, c_mkdir(c, "b", 0755));
	OK(c, c_file(c, "g", 0600));
	OK(c, bind_(c, "a", "b", 0));
	IS(c, c_ino(c, "b/f"), c_ino(c, "a/f"));
	OK(c, c_file(c, "b/new", 0644));
	IS(c, c_ino(c, "a/new"), c_ino(c, "b/new"));
	/* One file system, but not one mount. */
	IS(c, c_rename(c, "a/new", "b/moved"), -EXDEV);
	/* A file on a file. */
	OK(c, bind_(c, "g", "b/f", 0));
	IS(c, c_mode(c, "b/f"), S_IFREG | 0600);
	IS(c, c_mode(c, "a/f"), S_IFREG | 0644);
	IS(c, c_unlink(c, "b/f"), -EBUSY);
	IS(c, umount_(c, "b", 0), -EBUSY);
	OK(c, umount_(c, "b/f", 0));
	/* Read-only is the mount's business here. */
	OK(c,
	    SYS(c, SYS_mount, 0, "b", 0, MS_REMOUNT | MS_BIND | MS_RDONLY, 0));
	IS(c, c_file(c, "b/no", 0644), -EROFS);
	IS(c, c_open(c, "b/f", O_WRONLY, 0), -EROFS);
	OK(c, c_file(c, "a/yes", 0644));
	IS(c, c_unlink(c, "b/yes"), -EROFS);
	OK(c, umount_(c, "b", 0));
}

static void
mount_bound_tree(struct conf *c)
{
	OK(c, c_mkdir(c, "a", 0755));
	OK(c, mount_tmpfs(c, "a", 0));
	OK(c, c_mkdir(c, "a/s", 0755));
	OK(c, mount_tmpfs(c, "a/s", 0));
	OK(c, c_file(c, "a/s/f", 0644));
	OK(c, c_mkdir(c, "a/t", 0755));
	OK(c, c_mkdir(c, "b", 0755));
	/* Not what is mounted below ... */
	OK(c, bind_(c, "a", "b", 0));
	IS(c, c_ino(c, "b/s/f"), -ENOENT);
	OK(c, umount_(c, "b", 0));
	/* ... unless asked, and then not what isn't below. */
	OK(c, bind_(c, "a", "b", MS_REC));
	IS(c, c_ino(c, "b/s/f"), c_ino(c, "a/s/f"));
	IS(c, umount_(c, "b", 0), -EBUSY);
	OK(c, umount_(c, "b/s", 0));
	TRUE(c, c_ino(c, "a/s/f") > 0);
	OK(c, umount_(c, "b", 0));
	OK(c, bind_(c, "a/t", "b", MS_REC));
	OK(c, umount_(c, "b", 0));
	/* Into itself. */
	OK(c, bind_(c, "a", "a/t", MS_REC));
	TRUE(c, c_ino(c, "a/t/s/f") > 0);
	IS(c, c_ino(c, "a/t/t/s"), -ENOENT);
	OK(c, umount_(c, "a", MNT_DETACH));
}

static void
mount_moved(struct conf *c)
{
	OK(c, c_mkdir(c, "a", 0755));
	OK(c, c_mkdir(c, "b", 0755));
	OK(c, mount_tmpfs(c, "a", 0));
	OK(c, c_file(c, "a/f", 0644));
	OK(c, c_mkdir(c, "a/s", 0755));
	OK(c, mount_tmpfs(c, "a/s", 0));
	OK(c, c_file(c, "a/s/g", 0644));
	OK(c, SYS(c, SYS_mount, "a", "b", 0, MS_MOVE, 0));
	IS(c, c_ino(c, "a/f"), -ENOENT);
	TRUE(c, c_ino(c, "b/f") > 0);
	TRUE(c, c_ino(c, "b/s/g") > 0);
	OK(c, c_rmdir(c, "a"));
	IS(c, SYS(c, SYS_mount, "b", "b/s", 0, MS_MOVE, 0), -ELOOP);
	IS(c, SYS(c, SYS_mount, "b/s", "b/f", 0, MS_MOVE, 0), -EINVAL);
	OK(c, umount_(c, "b/s", 0));
	OK(c, umount_(c, "b", 0));
}

static void
mount_readonly(struct conf *c)
{
	int fd;

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, mount_tmpfs(c, "d", 0));
	fd = c_open(c, "d/f", O_CREAT | O_RDWR, 0644);
	IS(c, SYS(c, SYS_mount, 0, "d", 0, MS_REMOUNT | MS_RDONLY, 0), -EBUSY);
	OK(c, c_close(c, fd));
	fd = c_open(c, "d/f", O_RDONLY, 0);
	OK(c, SYS(c, SYS_mount, 0, "d", 0, MS_REMOUNT | MS_RDONLY, 0));
	IS(c, c_open(c, "d/f", O_RDWR, 0), -EROFS);
	IS(c, c_open(c, "d/g", O_CREAT | O_RDWR, 0644), -EROFS);
	IS(c, c_open(c, "d/f", O_RDONLY | O_TRUNC, 0), -EROFS);
	IS(c, c_unlink(c, "d/f"), -EROFS);
	IS(c, c_mkdir(c, "d/e", 0755), -EROFS);
	IS(c, c_rename(c, "d/f", "d/g"), -EROFS);
	IS(c, c_symlink(c, "x", "d/l"), -EROFS);
	IS(c, c_link(c, "d/f", "d/l"), -EROFS);
	IS(c, SYS(c, SYS_chmod, "d/f", 0600), -EROFS);
	IS(c, SYS(c, SYS_chown, "d/f", 1, 1), -EROFS);
	IS(c, SYS(c, SYS_truncate, "d/f", 1), -EROFS);
	IS(c, SYS(c, SYS_utimensat, AT_FDCWD, "d/f", 0, 0), -EROFS);
	IS(c, SYS(c, SYS_setxattr, "d/f", "trusted.x", "y", 1, 0), -EROFS);
	IS(c, SYS(c, SYS_access, "d/f", 2), -EROFS);
	IS(c, SYS(c, SYS_mknod, "d/p", S_IFIFO | 0600, 0), -EROFS);
	OK(c, SYS(c, SYS_mount, 0, "d", 0, MS_REMOUNT, 0));
	OK(c, c_file(c, "d/g", 0644));
	OK(c, c_close(c, fd));
	OK(c, umount_(c, "d", 0));
}

static void
mount_flags(struct conf *c)
{
	struct stat st;
	int fd;

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, mount_tmpfs(c, "d", MS_NODEV | MS_NOATIME));
	OK(c, SYS(c, SYS_mknod, "d/null", S_IFCHR | 0666, 0x103));
	IS(c, c_open(c, "d/null", O_RDONLY, 0), -EACCES);
	fd = c_open(c, "d/null", O_PATH, 0);
	TRUE(c, fd >= 0);
	OK(c, SYS(c, SYS_fstat, fd, &st));
	IS(c, st.st_rdev, 0x103);
	OK(c, c_close(c, fd));
	OK(c, umount_(c, "d", 0));
}

/* Moved out of what is mounted: there is no way up from there. */
static void
mount_escape(struct conf *c)
{
	char buf[64];
	int fd, home = c_open(c, ".", O_RDONLY, 0);

	OK(c, c_mkdir(c, "a", 0755));
	OK(c, c_mkdir(c, "a/in", 0755));
	OK(c, c_mkdir(c, "a/in/deep", 0755));
	OK(c, c_mkdir(c, "b", 0755));
	OK(c, bind_(c, "a/in", "b", 0));
	fd = c_open(c, "b/deep", O_RDONLY | O_DIRECTORY, 0);
	OK(c, c_rename(c, "a/in/deep", "a/deep"));
	IS(c, SYS(c, SYS_openat, fd, "..", O_RDONLY, 0), -ENOENT);
	IS(c, SYS(c, SYS_openat, fd, "../../..", O_RDONLY, 0), -ENOENT);
	IS(c, SYS(c, SYS_openat, fd, "../x", O_RDONLY, 0), -ENOENT);
	OK(c, SYS(c, SYS_mkdirat, fd, "x", 0755));
	TRUE(c, c_ino(c, "a/deep/x") > 0);
	OK(c, SYS(c, SYS_fchdir, fd));
	TRUE(c, SYS(c, SYS_getcwd, buf, sizeof(buf)) > 0);
	TRUE(c, memcmp(buf, "(unreachable)", 13) == 0);
	OK(c, SYS(c, SYS_fchdir, home));
	OK(c, c_close(c, home));
	OK(c, c_close(c, fd));
	OK(c, umount_(c, "b", 0));
}

const struct conf_case conf_mount[] = {
	{ "mount_covers", mount_covers, CONF_MOUNT },
	{ "mount_busy", mount_busy, CONF_MOUNT },
	{ "mount_errors", mount_errors, CONF_MOUNT },
	{ "mount_bound", mount_bound, CONF_MOUNT },
	{ "mount_bound_tree", mount_bound_tree, CONF_MOUNT },
	{ "mount_moved", mount_moved, CONF_MOUNT },
	{ "mount_readonly", mount_readonly, CONF_MOUNT },
	{ "mount_flags", mount_flags, CONF_MOUNT },
	{ "mount_escape", mount_escape, CONF_MOUNT },
	{ 0 },
};
