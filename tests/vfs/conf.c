/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "conf.h"

int64_t
conf_sys(struct conf *c, unsigned nr, uint64_t a, uint64_t b, uint64_t d,
    uint64_t e, uint64_t f, uint64_t g)
{
	const uint64_t arg[6] = { a, b, d, e, f, g };

	return c->c_call(c, nr, arg);
}

bool
conf_is(struct conf *c, int64_t got, int64_t want, const char *expr,
    const char *file, int line)
{
	if (got == want)
		return true;
	if (c->c_failure[0] == '\0')
		snprintf(c->c_failure, sizeof(c->c_failure),
		    "%s:%d: %s is %lld (%s), not %lld (%s)", file, line, expr,
		    (long long)got, got < 0 ? strerror((int)-got) : "",
		    (long long)want, want < 0 ? strerror((int)-want) : "");
	return false;
}

int
c_open(struct conf *c, const char *path, int flags, unsigned mode)
{
	return (int)SYS(c, SYS_open, path, flags, mode);
}

int
c_close(struct conf *c, int fd)
{
	return (int)SYS(c, SYS_close, fd);
}

int
c_mkdir(struct conf *c, const char *path, unsigned mode)
{
	return (int)SYS(c, SYS_mkdir, path, mode);
}

int
c_rmdir(struct conf *c, const char *path)
{
	return (int)SYS(c, SYS_rmdir, path);
}

int
c_unlink(struct conf *c, const char *path)
{
	return (int)SYS(c, SYS_unlink, path);
}

int
c_rename(struct conf *c, const char *from, const char *to)
{
	return (int)SYS(c, SYS_rename, from, to);
}

int
c_link(struct conf *c, const char *from, const char *to)
{
	return (int)SYS(c, SYS_link, from, to);
}

int
c_symlink(struct conf *c, const char *target, const char *path)
{
	return (int)SYS(c, SYS_symlink, target, path);
}

int64_t
c_write(struct conf *c, int fd, const void *buf, size_t len)
{
	return SYS(c, SYS_write, fd, buf, len);
}

int64_t
c_pread(struct conf *c, int fd, void *buf, size_t len, int64_t off)
{
	return SYS(c, SYS_pread64, fd, buf, len, off);
}

int64_t
c_pwrite(struct conf *c, int fd, const void *buf, size_t len, int64_t off)
{
	return SYS(c, SYS_pwrite64, fd, buf, len, off);
}

int
c_file(struct conf *c, const char *path, unsigned mode)
{
	int fd = c_open(c, path, O_CREAT | O_EXCL | O_WRONLY, 0600);

	if (fd < 0)
		return fd;
	(void)SYS(c, SYS_fchmod, fd, mode);
	return c_close(c, fd);
}

void
c_user(struct conf *c, unsigned uid, unsigned gid)
{
	/* Effective ids: the file system's, and the capabilities, follow. */
	(void)SYS(c, SYS_setresuid, -1, 0, -1);
	(void)SYS(c, SYS_setresgid, -1, gid, -1);
	if (uid != 0)
		(void)SYS(c, SYS_setresuid, -1, uid, -1);
}

int
c_lstat(struct conf *c, const char *path, struct stat *st)
{
	return (int)SYS(c, SYS_lstat, path, st);
}

int64_t
c_mode(struct conf *c, const char *path)
{
	struct stat st;
	int error = c_lstat(c, path, &st);

	return error != 0 ? error : (int64_t)st.st_mode;
}

int64_t
c_nlink(struct conf *c, const char *path)
{
	struct stat st;
	int error = c_lstat(c, path, &st);

	return error != 0 ? error : (int64_t)st.st_nlink;
}

int64_t
c_size(struct conf *c, const char *path)
{
	struct stat st;
	int error = c_lstat(c, path, &st);

	return error != 0 ? error : (int64_t)st.st_size;
}

int64_t
c_ino(struct conf *c, const char *path)
{
	struct stat st;
	int error = c_lstat(c, path, &st);

	return error != 0 ? error : (int64_t)st.st_ino;
}
