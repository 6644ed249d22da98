/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attributes, ordinary and extended.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "conf.h"

#ifndef UTIME_NOW
#define UTIME_NOW  0x3fffffff
#define UTIME_OMIT 0x3ffffffe
#endif

static void
chmod_sets(struct conf *c)
{
	OK(c, c_file(c, "f", 0644));
	OK(c, SYS(c, SYS_chmod, "f", 0));
	IS(c, c_mode(c, "f"), S_IFREG);
	OK(c, SYS(c, SYS_chmod, "f", 07777));
	IS(c, c_mode(c, "f"), S_IFREG | 07777);
	OK(c, SYS(c, SYS_chmod, "f", 0170000 | 0644));
	IS(c, c_mode(c, "f"), S_IFREG | 0644);
	OK(c, c_symlink(c, "f", "l"));
	OK(c, SYS(c, SYS_chmod, "l", 0600));
	IS(c, c_mode(c, "f"), S_IFREG | 0600);
	IS(c, SYS(c, SYS_chmod, "no", 0600), -ENOENT);
	OK(c, SYS(c, SYS_fchmodat, AT_FDCWD, "f", 0640));
	IS(c, c_mode(c, "f"), S_IFREG | 0640);
	IS(c, SYS(c, SYS_fchmod, 99, 0600), -EBADF);
}

static void
chmod_owner(struct conf *c)
{
	OK(c, c_file(c, "f", 0666));
	OK(c, c_file(c, "g", 0644));
	OK(c, SYS(c, SYS_chown, "g", 1000, 77));
	c_user(c, 1000, 1000);
	IS(c, SYS(c, SYS_chmod, "f", 0600), -EPERM);
	OK(c, SYS(c, SYS_chmod, "g", 0600));
	/* Setgid of a group that one isn't in is dropped. */
	OK(c, SYS(c, SYS_chmod, "g", 02755));
	IS(c, c_mode(c, "g"), S_IFREG | 0755);
	c_user(c, 0, 0);
}

static void
chown_sets(struct conf *c)
{
	struct stat st;

	OK(c, c_file(c, "f", 0644));
	OK(c, SYS(c, SYS_chown, "f", 5, 6));
	OK(c, c_lstat(c, "f", &st));
	IS(c, st.st_uid, 5);
	IS(c, st.st_gid, 6);
	OK(c, SYS(c, SYS_chown, "f", -1, 7));
	OK(c, SYS(c, SYS_chown, "f", 8, -1));
	OK(c, c_lstat(c, "f", &st));
	IS(c, st.st_uid, 8);
	IS(c, st.st_gid, 7);
	OK(c, SYS(c, SYS_chown, "f", 0x12345678, 0x7654321));
	OK(c, c_lstat(c, "f", &st));
	IS(c, st.st_uid, 0x12345678);
	IS(c, st.st_gid, 0x7654321);
	OK(c, c_symlink(c, "f", "l"));
	OK(c, SYS(c, SYS_lchown, "l", 11, 12));
	OK(c, c_lstat(c, "l", &st));
	IS(c, st.st_uid, 11);
	OK(c, c_lstat(c, "f", &st));
	IS(c, st.st_uid, 0x12345678);
	IS(c, SYS(c, SYS_fchownat, AT_FDCWD, "f", 1, 1, 0x8000), -EINVAL);
}

static void
chown_set_ids(struct conf *c)
{
	OK(c, c_file(c, "f", 06755));
	OK(c, SYS(c, SYS_chown, "f", 1, 1));
	IS(c, c_mode(c, "f"), S_IFREG | 0755);
	OK(c, SYS(c, SYS_chmod, "f", 02644)); /* not executable: a mark */
	OK(c, SYS(c, SYS_chown, "f", 2, 2));
	IS(c, c_mode(c, "f"), S_IFREG | 02644);
	OK(c, c_mkdir(c, "d", 0755));
	OK(c, SYS(c, SYS_chmod, "d", 06755));
	OK(c, SYS(c, SYS_chown, "d", 1, 1));
	IS(c, c_mode(c, "d"), S_IFDIR | 06755);
}

static void
chown_owner(struct conf *c)
{
	OK(c, c_file(c, "f", 0644));
	OK(c, SYS(c, SYS_chown, "f", 1000, 1000));
	c_user(c, 1000, 1000);
	IS(c, SYS(c, SYS_chown, "f", 1001, -1), -EPERM);
	IS(c, SYS(c, SYS_chown, "f", -1, 1001), -EPERM);
	OK(c, SYS(c, SYS_chown, "f", 1000, 1000));
	OK(c, SYS(c, SYS_chown, "f", -1, -1));
	c_user(c, 1001, 1001);
	IS(c, SYS(c, SYS_chown, "f", 1000, 1000), -EPERM);
	c_user(c, 0, 0);
}

static void
times_set(struct conf *c)
{
	struct timespec ts[2] = { { 1000000000, 0 }, { 1100000000, 0 } };
	struct stat st;
	time_t ctime;

	OK(c, c_file(c, "f", 0644));
	OK(c, c_lstat(c, "f", &st));
	ctime = st.st_ctime;
	OK(c, SYS(c, SYS_utimensat, AT_FDCWD, "f", ts, 0));
	OK(c, c_lstat(c, "f", &st));
	IS(c, st.st_atime, 1000000000);
	IS(c, st.st_mtime, 1100000000);
	TRUE(c, st.st_ctime >= ctime);
	ts[0].tv_nsec = UTIME_OMIT;
	ts[1].tv_sec = 1200000000;
	OK(c, SYS(c, SYS_utimensat, AT_FDCWD, "f", ts, 0));
	OK(c, c_lstat(c, "f", &st));
	IS(c, st.st_atime, 1000000000);
	IS(c, st.st_mtime, 1200000000);
	ts[1].tv_nsec = UTIME_NOW;
	OK(c, SYS(c, SYS_utimensat, AT_FDCWD, "f", ts, 0));
	OK(c, c_lstat(c, "f", &st));
	TRUE(c, st.st_mtime >= ctime);
	ts[1].tv_nsec = 1000000000;
	IS(c, SYS(c, SYS_utimensat, AT_FDCWD, "f", ts, 0), -EINVAL);
	ts[1].tv_nsec = -1;
	IS(c, SYS(c, SYS_utimensat, AT_FDCWD, "f", ts, 0), -EINVAL);
	OK(c, SYS(c, SYS_utimensat, AT_FDCWD, "f", NULL, 0));
	IS(c, SYS(c, SYS_utimensat, AT_FDCWD, "no", NULL, 0), -ENOENT);
}

static void
times_links(struct conf *c)
{
	struct timespec ts[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
	struct stat st;
	int fd;

	OK(c, c_file(c, "f", 0644));
	OK(c, c_symlink(c, "f", "l"));
	OK(c, SYS(c, SYS_utimensat, AT_FDCWD, "l", ts, AT_SYMLINK_NOFOLLOW));
	OK(c, c_lstat(c, "l", &st));
	IS(c, st.st_mtime, 1000000000);
	OK(c, c_lstat(c, "f", &st));
	TRUE(c, st.st_mtime != 1000000000);
	OK(c, SYS(c, SYS_utimensat, AT_FDCWD, "l", ts, 0));
	OK(c, c_lstat(c, "f", &st));
	IS(c, st.st_mtime, 1000000000);
	fd = c_open(c, "f", O_RDONLY, 0);
	ts[1].tv_sec = 7;
	OK(c, SYS(c, SYS_utimensat, fd, NULL, ts, 0));
	OK(c, c_lstat(c, "f", &st));
	IS(c, st.st_mtime, 7);
}

static void
times_permission(struct conf *c)
{
	struct timespec ts[2] = { { 1, 0 }, { 1, 0 } };

	OK(c, c_file(c, "w", 0666));
	OK(c, c_file(c, "r", 0644));
	c_user(c, 1000, 1000);
	OK(c, SYS(c, SYS_utimensat, AT_FDCWD, "w", NULL, 0));
	IS(c, SYS(c, SYS_utimensat, AT_FDCWD, "w", ts, 0), -EPERM);
	IS(c, SYS(c, SYS_utimensat, AT_FDCWD, "r", NULL, 0), -EACCES);
	IS(c, SYS(c, SYS_utimensat, AT_FDCWD, "r", ts, 0), -EPERM);
	c_user(c, 0, 0);
}

/* Whose times change with what. */
static void
times_follow(struct conf *c)
{
	struct timespec old[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
	struct stat st;

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, SYS(c, SYS_utimensat, AT_FDCWD, "d", old, 0));
	OK(c, c_file(c, "d/f", 0644));
	OK(c, c_lstat(c, "d", &st));
	TRUE(c, st.st_mtime > 1000000000);
	OK(c, SYS(c, SYS_utimensat, AT_FDCWD, "d", old, 0));
	OK(c, SYS(c, SYS_chmod, "d/f", 0600));
	OK(c, c_lstat(c, "d", &st));
	IS(c, st.st_mtime, 1000000000);
	OK(c, c_link(c, "d/f", "g"));
	OK(c, c_lstat(c, "d", &st));
	IS(c, st.st_mtime, 1000000000);
	OK(c, c_unlink(c, "d/f"));
	OK(c, c_lstat(c, "d", &st));
	TRUE(c, st.st_mtime > 1000000000);
	OK(c, SYS(c, SYS_utimensat, AT_FDCWD, "g", old, 0));
	OK(c, SYS(c, SYS_truncate, "g", 5));
	OK(c, c_lstat(c, "g", &st));
	TRUE(c, st.st_mtime > 1000000000);
}

static void
stat_errors(struct conf *c)
{
	struct stat st;

	OK(c, c_file(c, "f", 0644));
	IS(c, SYS(c, SYS_stat, "no", &st), -ENOENT);
	IS(c, SYS(c, SYS_stat, "f/x", &st), -ENOTDIR);
	IS(c, SYS(c, SYS_stat, "", &st), -ENOENT);
	IS(c, SYS(c, SYS_stat, "f", NULL), -EFAULT);
	IS(c, SYS(c, SYS_fstat, 99, &st), -EBADF);
	IS(c, SYS(c, SYS_newfstatat, AT_FDCWD, "f", &st, 0x8000), -EINVAL);
	OK(c, SYS(c, SYS_newfstatat, AT_FDCWD, "", &st, AT_EMPTY_PATH));
	TRUE(c, S_ISDIR(st.st_mode));
	OK(c, c_symlink(c, "f", "l"));
	OK(c, SYS(c, SYS_stat, "l", &st));
	TRUE(c, S_ISREG(st.st_mode));
	OK(c, SYS(c, SYS_newfstatat, AT_FDCWD, "l", &st, AT_SYMLINK_NOFOLLOW));
	TRUE(c, S_ISLNK(st.st_mode));
}

static void
statx_shows(struct conf *c)
{
	struct statx sx;
	struct stat st;

	OK(c, c_file(c, "f", 0640));
	OK(c, c_lstat(c, "f", &st));
	OK(c, SYS(c, SYS_statx, AT_FDCWD, "f", 0, 0x7ff, &sx));
	IS(c, sx.stx_mask & 0x7ff, 0x7ff);
	IS(c, sx.stx_ino, st.st_ino);
	IS(c, sx.stx_mode, st.st_mode);
	IS(c, sx.stx_nlink, 1);
	IS(c, sx.stx_size, 0);
	IS(c, sx.stx_mtime.tv_sec, st.st_mtime);
	IS(c, SYS(c, SYS_statx, AT_FDCWD, "f", 0x6000, 0x7ff, &sx), -EINVAL);
	IS(c, SYS(c, SYS_statx, AT_FDCWD, "f", 0, 0x80000000, &sx), -EINVAL);
	IS(c, SYS(c, SYS_statx, AT_FDCWD, "no", 0, 0x7ff, &sx), -ENOENT);
}

static void
access_asks(struct conf *c)
{
	OK(c, c_file(c, "f", 0));
	OK(c, c_file(c, "x", 0100));
	OK(c, SYS(c, SYS_access, "f", 6));
	IS(c, SYS(c, SYS_access, "f", 1), -EACCES);
	OK(c, SYS(c, SYS_access, "x", 7));
	IS(c, SYS(c, SYS_access, "f", 8), -EINVAL);
	IS(c, SYS(c, SYS_access, "no", 0), -ENOENT);
	IS(c, SYS(c, SYS_faccessat2, AT_FDCWD, "f", 0, 0x8000), -EINVAL);
	c_user(c, 1000, 1000);
	/* The real user is still root. */
	OK(c, SYS(c, SYS_access, "f", 6));
	IS(c, SYS(c, SYS_faccessat2, AT_FDCWD, "f", 4, AT_EACCESS), -EACCES);
	c_user(c, 0, 0);
}

static void
nodes(struct conf *c)
{
	struct stat st;

	OK(c, SYS(c, SYS_mknod, "fifo", S_IFIFO | 0640, 0));
	IS(c, c_mode(c, "fifo"), S_IFIFO | 0640);
	OK(c, SYS(c, SYS_mknod, "sock", S_IFSOCK | 0600, 0));
	IS(c, c_mode(c, "sock"), S_IFSOCK | 0600);
	IS(c, c_open(c, "sock", O_RDONLY, 0), -ENXIO);
	OK(c, SYS(c, SYS_mknod, "reg", 0644, 0));
	IS(c, c_mode(c, "reg"), S_IFREG | 0644);
	IS(c, SYS(c, SYS_mknod, "dir", S_IFDIR | 0755, 0), -EPERM);
	IS(c, SYS(c, SYS_mknod, "bad", 0170000, 0), -EINVAL);
	IS(c, SYS(c, SYS_mknod, "reg", S_IFIFO, 0), -EEXIST);
	IS(c, SYS(c, SYS_mknod, "slash/", S_IFIFO, 0), -ENOENT);
	if (!c->c_root)
		return;
	/* 0x12345, 0x6789a: numbers of more than eight bits. */
	IS(c, SYS(c, SYS_mknod, "chr", S_IFCHR | 0600, 0x0103), 0);
	OK(c, c_lstat(c, "chr", &st));
	IS(c, st.st_rdev, 0x0103);
	IS(c, st.st_mode, S_IFCHR | 0600);
	OK(c, SYS(c, SYS_mknod, "blk", S_IFBLK | 0600, 0x12301245));
	OK(c, c_lstat(c, "blk", &st));
	IS(c, st.st_rdev, 0x12301245);
}

/* ---- extended attributes ------------------------------------------------------- */

static void
xattr_sets(struct conf *c)
{
	char buf[300], list[300];
	int fd;

	OK(c, c_file(c, "f", 0644));
	OK(c, SYS(c, SYS_setxattr, "f", "user.a", "hello", 5, 0));
	IS(c, SYS(c, SYS_getxattr, "f", "user.a", buf, sizeof(buf)), 5);
	TRUE(c, memcmp(buf, "hello", 5) == 0);
	IS(c, SYS(c, SYS_getxattr, "f", "user.a", NULL, 0), 5);
	IS(c, SYS(c, SYS_getxattr, "f", "user.a", buf, 4), -ERANGE);
	OK(c, SYS(c, SYS_setxattr, "f", "user.a", "bye", 3, 2));
	IS(c, SYS(c, SYS_getxattr, "f", "user.a", buf, sizeof(buf)), 3);
	IS(c, SYS(c, SYS_setxattr, "f", "user.a", "x", 1, 1), -EEXIST);
	IS(c, SYS(c, SYS_setxattr, "f", "user.b", "x", 1, 2), -ENODATA);
	IS(c, SYS(c, SYS_setxattr, "f", "user.b", "x", 1, 4), -EINVAL);
	OK(c, SYS(c, SYS_setxattr, "f", "user.empty", "", 0, 0));
	IS(c, SYS(c, SYS_getxattr, "f", "user.empty", buf, sizeof(buf)), 0);
	IS(c, SYS(c, SYS_listxattr, "f", NULL, 0), 18);
	IS(c, SYS(c, SYS_listxattr, "f", list, sizeof(list)), 18);
	IS(c, SYS(c, SYS_listxattr, "f", list, 17), -ERANGE);
	TRUE(c, memmem(list, 18, "user.empty", 11) != NULL);
	OK(c, SYS(c, SYS_removexattr, "f", "user.a"));
	IS(c, SYS(c, SYS_removexattr, "f", "user.a"), -ENODATA);
	IS(c, SYS(c, SYS_getxattr, "f", "user.a", buf, 10), -ENODATA);
	fd = c_open(c, "f", O_RDWR, 0);
	OK(c, SYS(c, SYS_fsetxattr, fd, "user.c", "1", 1, 0));
	IS(c, SYS(c, SYS_fgetxattr, fd, "user.c", buf, 10), 1);
	IS(c, SYS(c, SYS_flistxattr, fd, list, sizeof(list)), 18);
	OK(c, SYS(c, SYS_fremovexattr, fd, "user.c"));
}

static void
xattr_errors(struct conf *c)
{
	char name[300], buf[10];

	OK(c, c_file(c, "f", 0644));
	IS(c, SYS(c, SYS_getxattr, "no", "user.a", buf, 10), -ENOENT);
	IS(c, SYS(c, SYS_getxattr, "f", "user.no", buf, 10), -ENODATA);
	IS(c, SYS(c, SYS_getxattr, "f", "bad.a", buf, 10), -EOPNOTSUPP);
	IS(c, SYS(c, SYS_setxattr, "f", "bad.a", "x", 1, 0), -EOPNOTSUPP);
	IS(c, SYS(c, SYS_setxattr, "f", "", "x", 1, 0), -ERANGE);
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	name[256] = '\0';
	IS(c, SYS(c, SYS_setxattr, "f", name, "x", 1, 0), -ERANGE);
	name[255] = '\0';
	OK(c, SYS(c, SYS_setxattr, "f", name, "x", 1, 0));
	IS(c, SYS(c, SYS_setxattr, "f", "user.x", "x", 65537, 0), -E2BIG);
	OK(c, c_symlink(c, "f", "l"));
	IS(c, SYS(c, SYS_lsetxattr, "l", "user.x", "x", 1, 0), -EPERM);
	OK(c, SYS(c, SYS_setxattr, "l", "user.x", "x", 1, 0));
	OK(c, c_mkdir(c, "d", 0755));
	OK(c, SYS(c, SYS_setxattr, "d", "user.x", "x", 1, 0));
}

static void
xattr_permission(struct conf *c)
{
	char buf[10];

	OK(c, c_file(c, "f", 0644));
	OK(c, SYS(c, SYS_setxattr, "f", "user.x", "x", 1, 0));
	OK(c, SYS(c, SYS_setxattr, "f", "trusted.x", "x", 1, 0));
	c_user(c, 1000, 1000);
	IS(c, SYS(c, SYS_getxattr, "f", "user.x", buf, 10), 1);
	IS(c, SYS(c, SYS_setxattr, "f", "user.x", "y", 1, 0), -EACCES);
	IS(c, SYS(c, SYS_removexattr, "f", "user.x"), -EACCES);
	/* Others than the superuser are not even told of trusted.x. */
	IS(c, SYS(c, SYS_getxattr, "f", "trusted.x", buf, 10), -ENODATA);
	IS(c, SYS(c, SYS_setxattr, "f", "trusted.x", "y", 1, 0), -EPERM);
	IS(c, SYS(c, SYS_listxattr, "f", buf, 10), 7);
	IS(c, SYS(c, SYS_listxattr, "f", buf, 6), -ERANGE);
	TRUE(c, memcmp(buf, "user.x", 7) == 0);
	c_user(c, 0, 0);
	IS(c, SYS(c, SYS_listxattr, "f", NULL, 0), 17);
	OK(c, SYS(c, SYS_chmod, "f", 0600));
	c_user(c, 1000, 1000);
	IS(c, SYS(c, SYS_getxattr, "f", "user.x", buf, 10), -EACCES);
	c_user(c, 0, 0);
}

const struct conf_case conf_attrs[] = {
	{ "chmod", chmod_sets, 0 },
	{ "chmod owner", chmod_owner, CONF_ROOT },
	{ "chown", chown_sets, CONF_ROOT },
	{ "chown and set-id bits", chown_set_ids, CONF_ROOT },
	{ "chown owner", chown_owner, CONF_ROOT },
	{ "utimensat", times_set, 0 },
	{ "utimensat links", times_links, 0 },
	{ "utimensat permission", times_permission, CONF_ROOT },
	{ "times follow", times_follow, 0 },
	{ "stat", stat_errors, 0 },
	{ "statx", statx_shows, 0 },
	{ "access", access_asks, CONF_ROOT },
	{ "mknod", nodes, 0 },
	{ "xattr", xattr_sets, CONF_XATTR },
	{ "xattr errors", xattr_errors, CONF_XATTR },
	{ "xattr permission", xattr_permission, CONF_XATTR | CONF_ROOT },
	{ NULL, NULL, 0 },
};
