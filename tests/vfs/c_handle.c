/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files by handle.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* struct file_handle */
#endif
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "conf.h"

/* A handle with room. */
union fh {
	struct file_handle h;
	char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

static int64_t
handle(struct conf *c, const char *path, union fh *fh, int flags)
{
	int mount;

	fh->h.handle_bytes = MAX_HANDLE_SZ;
	return SYS(c, SYS_name_to_handle_at, AT_FDCWD, path, fh, &mount, flags);
}

static int
by_handle(struct conf *c, const union fh *fh, int flags)
{
	return (int)SYS(c, SYS_open_by_handle_at, AT_FDCWD, fh, flags);
}

/* Not every host's tmpfs gives handles that live, nor every container opens them. */
static bool
can(struct conf *c)
{
	union fh fh;
	int64_t fd = handle(c, ".", &fh, 0);

	if (!c->c_host)
		return true;
	if (fd == 0) {
		fd = by_handle(c, &fh, O_RDONLY);
		(void)c_close(c, (int)fd);
	}
	return fd >= 0;
}

static void
handle_file(struct conf *c)
{
	struct stat st;
	char buf[8];
	union fh fh;
	int fd;

	if (!can(c))
		return;
	OK(c, c_file(c, "f", 0600));
	fd = c_open(c, "f", O_RDWR, 0);
	IS(c, c_write(c, fd, "text", 4), 4);
	OK(c, c_close(c, fd));
	OK(c, handle(c, "f", &fh, 0));
	/* The name changes; the file does not. */
	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_rename(c, "f", "d/g"));
	fd = by_handle(c, &fh, O_RDWR);
	TRUE(c, fd >= 0);
	IS(c, SYS(c, SYS_read, fd, buf, sizeof(buf)), 4);
	TRUE(c, memcmp(buf, "text", 4) == 0);
	IS(c, c_write(c, fd, "more", 4), 4);
	OK(c, SYS(c, SYS_fstat, fd, &st));
	IS(c, st.st_ino, c_ino(c, "d/g"));
	IS(c, st.st_size, 8);
	IS(c, c_size(c, "d/g"), 8);
	OK(c, c_close(c, fd));
	fd = by_handle(c, &fh, O_WRONLY | O_TRUNC);
	IS(c, c_size(c, "d/g"), 0);
	OK(c, c_close(c, fd));
	/* Another name of the file gives the same handle. */
	OK(c, c_link(c, "d/g", "h"));
	OK(c, c_unlink(c, "d/g"));
	fd = by_handle(c, &fh, O_RDONLY);
	OK(c, SYS(c, SYS_fstat, fd, &st));
	IS(c, st.st_ino, c_ino(c, "h"));
	OK(c, c_close(c, fd));
	/* Removed, and by then another file. */
	OK(c, c_unlink(c, "h"));
	OK(c, c_file(c, "new", 0600));
	IS(c, by_handle(c, &fh, O_RDONLY), -ESTALE);
}

static void
handle_dir(struct conf *c)
{
	struct stat st, up;
	union fh fh;
	int fd;

	if (!can(c))
		return;
	OK(c, c_mkdir(c, "a", 0755));
	OK(c, c_mkdir(c, "a/b", 0755));
	OK(c, c_mkdir(c, "a/b/c", 0755));
	OK(c, handle(c, "a/b/c", &fh, 0));
	OK(c, c_rename(c, "a/b", "b2"));
	fd = by_handle(c, &fh, O_RDONLY | O_DIRECTORY);
	TRUE(c, fd >= 0);
	/* It is where it was: its parents are known, and names work from it. */
	OK(c, SYS(c, SYS_newfstatat, fd, "..", &up, 0));
	IS(c, up.st_ino, c_ino(c, "b2"));
	OK(c, SYS(c, SYS_newfstatat, fd, "../../a", &st, 0));
	IS(c, st.st_ino, c_ino(c, "a"));
	OK(c, SYS(c, SYS_mkdirat, fd, "made", 0755));
	IS(c, c_ino(c, "b2/c/made") > 0, 1);
	OK(c, c_close(c, fd));
	IS(c, by_handle(c, &fh, O_WRONLY), -EISDIR);
	OK(c, c_rmdir(c, "b2/c/made"));
	OK(c, c_rmdir(c, "b2/c"));
	IS(c, by_handle(c, &fh, O_RDONLY), -ESTALE);
	/* The root of the file system has one too. */
	OK(c, handle(c, ".", &fh, 0));
	fd = by_handle(c, &fh, O_PATH);
	OK(c, SYS(c, SYS_fstat, fd, &st));
	IS(c, st.st_ino, c_ino(c, "."));
	OK(c, c_close(c, fd));
}

static void
handle_flags(struct conf *c)
{
	union fh fh;
	int fd;

	if (!can(c))
		return;
	OK(c, c_file(c, "f", 0600));
	OK(c, c_symlink(c, "f", "l"));
	/* The link itself can only be a path; the other is the file. */
	OK(c, handle(c, "l", &fh, 0));
	IS(c, by_handle(c, &fh, O_RDONLY), -ELOOP);
	fd = by_handle(c, &fh, O_PATH | O_NOFOLLOW);
	TRUE(c, fd >= 0);
	OK(c, c_close(c, fd));
	OK(c, handle(c, "l", &fh, AT_SYMLINK_FOLLOW));
	fd = by_handle(c, &fh, O_RDONLY);
	TRUE(c, fd >= 0);
	OK(c, handle(c, "f", &fh, 0));
	OK(c, SYS(c, SYS_name_to_handle_at, fd, "", &fh, &fd, AT_EMPTY_PATH));
	IS(c, by_handle(c, &fh, O_RDONLY | O_DIRECTORY), -ENOTDIR);
	IS(c, handle(c, "", &fh, 0), -ENOENT);
	IS(c, handle(c, "none", &fh, 0), -ENOENT);
	IS(c, handle(c, "f/x", &fh, 0), -ENOTDIR);
	IS(c, handle(c, "f", &fh, AT_SYMLINK_NOFOLLOW), -EINVAL);
}

static void
handle_bad(struct conf *c)
{
	union fh fh, was;
	int mount = 0;
	unsigned need;

	if (!can(c))
		return;
	OK(c, c_file(c, "f", 0600));
	fh.h.handle_bytes = 0;
	IS(c, SYS(c, SYS_name_to_handle_at, AT_FDCWD, "f", &fh, &mount, 0),
	    -EOVERFLOW);
	need = fh.h.handle_bytes;
	TRUE(c, need > 0 && need <= MAX_HANDLE_SZ);
	fh.h.handle_bytes = need - 1;
	IS(c, SYS(c, SYS_name_to_handle_at, AT_FDCWD, "f", &fh, &mount, 0),
	    -EOVERFLOW);
	OK(c, SYS(c, SYS_name_to_handle_at, AT_FDCWD, "f", &fh, &mount, 0));
	IS(c, fh.h.handle_bytes, need);
	was = fh;
	fh.h.handle_bytes = MAX_HANDLE_SZ + 1;
	IS(c, SYS(c, SYS_name_to_handle_at, AT_FDCWD, "f", &fh, &mount, 0),
	    -EINVAL);
	IS(c, by_handle(c, &fh, O_RDONLY), -EINVAL);
	fh.h.handle_bytes = 0;
	IS(c, by_handle(c, &fh, O_RDONLY), -EINVAL);
	fh = was;
	fh.h.handle_type = 0x7f; /* the host's tmpfs does not look at it */
	if (!c->c_host)
		IS(c, by_handle(c, &fh, O_RDONLY), -ESTALE);
	fh = was;
	memset(fh.h.f_handle, 0xff, need);
	IS(c, by_handle(c, &fh, O_RDONLY), -ESTALE);
	IS(c, SYS(c, SYS_open_by_handle_at, 99, &was, O_RDONLY), -EBADF);
	IS(c, SYS(c, SYS_open_by_handle_at, AT_FDCWD, 8, O_RDONLY), -EFAULT);
	IS(c, SYS(c, SYS_name_to_handle_at, AT_FDCWD, "f", 8, &mount, 0),
	    -EFAULT);
	IS(c, SYS(c, SYS_name_to_handle_at, AT_FDCWD, "f", &was, 8, 0),
	    -EFAULT);
	/* Whoever has only the handle need not have been let into the way. */
	c_user(c, 1234, 1234);
	IS(c, by_handle(c, &was, O_RDONLY), -EPERM);
	c_user(c, 0, 0);
}

const struct conf_case conf_handle[] = {
	{ "handle_file", handle_file, CONF_ROOT | CONF_DATA },
	{ "handle_dir", handle_dir, CONF_ROOT },
	{ "handle_flags", handle_flags, CONF_ROOT },
	{ "handle_bad", handle_bad, CONF_ROOT },
	{ 0 },
};
