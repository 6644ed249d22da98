/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arguments at the edges: numbers that overflow, descriptors that are not what a
 * call wants, paths that try to get out.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include "conf.h"

/* ---- numbers ------------------------------------------------------------------ */

static void
seeks(struct conf *c)
{
	int fd;

	OK(c, c_mkdir(c, "d", 0755));
	fd = c_open(c, "d", O_RDONLY, 0);
	IS(c, SYS(c, SYS_lseek, fd, 5, SEEK_SET), 5);
	IS(c, SYS(c, SYS_lseek, fd, INT64_MAX, SEEK_CUR), -EINVAL);
	IS(c, SYS(c, SYS_lseek, fd, -6, SEEK_CUR), -EINVAL);
	IS(c, SYS(c, SYS_lseek, fd, -1, SEEK_SET), -EINVAL);
	IS(c, SYS(c, SYS_lseek, fd, 0, 9), -EINVAL);
	OK(c, c_file(c, "f", 0644));
	fd = c_open(c, "f", O_RDWR, 0);
	IS(c, c_write(c, fd, "abc", 3), 3);
	IS(c, SYS(c, SYS_lseek, fd, INT64_MAX, SEEK_CUR), -EINVAL);
	IS(c, SYS(c, SYS_lseek, fd, INT64_MAX, SEEK_END), -EINVAL);
	IS(c, SYS(c, SYS_lseek, fd, INT64_MIN, SEEK_END), -EINVAL);
	IS(c, SYS(c, SYS_lseek, fd, -4, SEEK_END), -EINVAL);
	IS(c, SYS(c, SYS_lseek, fd, 3, SEEK_DATA), -ENXIO);
	IS(c, SYS(c, SYS_lseek, fd, 3, SEEK_HOLE), -ENXIO);
	IS(c, SYS(c, SYS_lseek, fd, INT64_MAX, SEEK_HOLE), -ENXIO);
	IS(c, SYS(c, SYS_lseek, fd, -1, SEEK_DATA), -ENXIO);
	IS(c, SYS(c, SYS_lseek, fd, 0, SEEK_CUR), 3);
}

static void
positions(struct conf *c)
{
	struct iovec iov = { (void *)(uintptr_t) "x", 1 };
	char buf[8];
	int fd;

	OK(c, c_file(c, "f", 0644));
	fd = c_open(c, "f", O_RDWR, 0);
	IS(c, c_write(c, fd, "abc", 3), 3);
	IS(c, c_pread(c, fd, buf, 8, INT64_MAX), -EINVAL);
	IS(c, c_pread(c, fd, buf, 8, INT64_MAX - 4), -EINVAL);
	IS(c, c_pread(c, fd, buf, 8, INT64_MAX - 8), 0);
	IS(c, c_pread(c, fd, buf, 8, -1), -EINVAL);
	IS(c, c_pwrite(c, fd, "x", 1, INT64_MAX), -EINVAL);
	IS(c, c_pwrite(c, fd, "x", 1, INT64_MIN), -EINVAL);
	IS(c, c_pwrite(c, fd, "x", 0, INT64_MAX), 0);
	IS(c, SYS(c, SYS_pwritev, fd, &iov, 1, -5, -1), -EINVAL);
	IS(c, SYS(c, SYS_ftruncate, fd, -1), -EINVAL);
	IS(c, SYS(c, SYS_truncate, "f", INT64_MIN), -EINVAL);
	IS(c, SYS(c, SYS_fallocate, fd, 0, INT64_MAX, 1), -EFBIG);
	IS(c, SYS(c, SYS_fallocate, fd, 0, 1, INT64_MAX), -EFBIG);
	IS(c, SYS(c, SYS_fallocate, fd, 0, -1, 1), -EINVAL);
	IS(c, SYS(c, SYS_fallocate, fd, 0, 0, 0), -EINVAL);
	IS(c, c_size(c, "f"), 3);
	IS(c, SYS(c, SYS_sync_file_range, 99, -1, 0, 0), -EBADF);
	IS(c, SYS(c, SYS_sync_file_range, fd, INT64_MAX, 1, 0), -EINVAL);
	IS(c, SYS(c, SYS_fadvise64, fd, INT64_MAX, INT64_MAX, 4), 0);
	IS(c, SYS(c, SYS_fadvise64, fd, INT64_MAX, INT64_MAX, 3), 0);
	IS(c, SYS(c, SYS_readahead, fd, INT64_MAX, 1 << 20), 0);
}

static void
vectors(struct conf *c)
{
	struct iovec iov[3] = { { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };
	char buf[8] = "12345678";
	int fd;

	OK(c, c_file(c, "f", 0644));
	fd = c_open(c, "f", O_RDWR, 0);
	IS(c, SYS(c, SYS_writev, fd, iov, 3), 0);
	IS(c, SYS(c, SYS_writev, fd, NULL, 0), 0);
	IS(c, SYS(c, SYS_writev, fd, iov, -1), -EINVAL);
	IS(c, SYS(c, SYS_writev, fd, iov, 1025), -EINVAL);
	IS(c, SYS(c, SYS_writev, fd, 8, 1), -EFAULT);
	iov[1].iov_base = buf;
	iov[1].iov_len = 4;
	iov[2].iov_base = buf;
	iov[2].iov_len = SIZE_MAX;
	IS(c, SYS(c, SYS_writev, fd, iov, 3), -EINVAL);
	iov[2].iov_len = 3;
	IS(c, SYS(c, SYS_writev, fd, iov, 3), 7);
	/* What is there is read before what is not is missed. */
	iov[2].iov_base = (void *)8;
	IS(c, SYS(c, SYS_preadv, fd, iov, 3, 0, 0), 4);
	IS(c, SYS(c, SYS_preadv2, fd, iov, 2, 0, 0, 0x40000000), -EOPNOTSUPP);
	IS(c, SYS(c, SYS_preadv2, fd, iov, 2, -2, -1, 0), -EINVAL);
	IS(c, SYS(c, SYS_read, fd, 8, 0), 0);
	IS(c, c_size(c, "f"), 7);
}

/* ---- descriptors -------------------------------------------------------------- */

/* Two bits of access that are neither: it may be neither read nor written. */
static void
no_access(struct conf *c)
{
	char buf[4];
	int fd;

	OK(c, c_file(c, "f", 0644));
	fd = c_open(c, "f", 3, 0);
	TRUE(c, fd >= 0);
	IS(c, SYS(c, SYS_read, fd, buf, 1), -EBADF);
	IS(c, SYS(c, SYS_write, fd, buf, 1), -EBADF);
	OK(c, SYS(c, SYS_fchmod, fd, 0600));
	OK(c, SYS(c, SYS_mknod, "p", S_IFIFO | 0600, 0));
	IS(c, c_open(c, "p", 3 | O_NONBLOCK, 0), -EINVAL);
	OK(c, c_mkdir(c, "d", 0755));
	IS(c, c_open(c, "d", 3, 0), -EISDIR);
}

static void
path_descriptors(struct conf *c)
{
	struct iovec iov = { NULL, 0 };
	struct stat st;
	char buf[64];
	int fd, d;

	OK(c, c_file(c, "f", 0644));
	OK(c, c_mkdir(c, "d", 0755));
	fd = c_open(c, "f", O_PATH, 0);
	d = c_open(c, "d", O_PATH | O_DIRECTORY, 0);
	IS(c, SYS(c, SYS_read, fd, buf, 1), -EBADF);
	IS(c, SYS(c, SYS_write, fd, buf, 1), -EBADF);
	IS(c, SYS(c, SYS_pread64, fd, buf, 1, 0), -EBADF);
	IS(c, SYS(c, SYS_readv, fd, &iov, 1), -EBADF);
	IS(c, SYS(c, SYS_lseek, fd, 0, 0), -EBADF);
	IS(c, SYS(c, SYS_getdents64, d, buf, sizeof(buf)), -EBADF);
	IS(c, SYS(c, SYS_fsync, fd), -EBADF);
	IS(c, SYS(c, SYS_syncfs, fd), -EBADF);
	IS(c, SYS(c, SYS_ftruncate, fd, 0), -EBADF);
	IS(c, SYS(c, SYS_fallocate, fd, 0, 0, 1), -EBADF);
	IS(c, SYS(c, SYS_fadvise64, fd, 0, 0, 0), -EBADF);
	IS(c, SYS(c, SYS_sync_file_range, fd, 0, 0, 0), -EBADF);
	IS(c, SYS(c, SYS_readahead, fd, 0, 0), -EBADF);
	IS(c, SYS(c, SYS_flock, fd, 1), -EBADF);
	IS(c, SYS(c, SYS_fchmod, fd, 0600), -EBADF);
	IS(c, SYS(c, SYS_fchown, fd, -1, -1), -EBADF);
	IS(c, SYS(c, SYS_ioctl, fd, 0x541b, buf), -EBADF);
	IS(c, SYS(c, SYS_fcntl, fd, F_SETFL, 0), -EBADF);
	IS(c, SYS(c, SYS_fcntl, fd, F_GETFL), O_PATH);
	IS(c, SYS(c, SYS_fgetxattr, fd, "user.x", buf, 1), -EBADF);
	IS(c, SYS(c, SYS_fsetxattr, fd, "user.x", buf, 1, 0), -EBADF);
	IS(c, SYS(c, SYS_flistxattr, fd, buf, 1), -EBADF);
	IS(c, SYS(c, SYS_fremovexattr, fd, "user.x"), -EBADF);
	IS(c, SYS(c, SYS_copy_file_range, fd, 0, fd, 0, 1, 0), -EBADF);
	IS(c, SYS(c, SYS_sendfile, fd, fd, 0, 1), -EBADF);
	IS(c, SYS(c, SYS_splice, fd, 0, fd, 0, 1, 0), -EBADF);
	IS(c, SYS(c, SYS_utimensat, fd, NULL, NULL, 0), -EBADF);
	OK(c, SYS(c, SYS_fstat, fd, &st));
	TRUE(c, SYS(c, SYS_dup, fd) > 0);
	IS(c, SYS(c, SYS_fchdir, fd), -ENOTDIR);
	IS(c, SYS(c, SYS_openat, fd, "x", O_RDONLY, 0), -ENOTDIR);
	TRUE(c, SYS(c, SYS_openat, d, "x", O_CREAT | O_RDWR, 0644) > 0);
}

static void
directory_descriptors(struct conf *c)
{
	struct iovec iov = { NULL, 0 };
	char buf[64];
	int fd, d, p[2];

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_file(c, "f", 0644));
	d = c_open(c, "d", O_RDONLY, 0);
	fd = c_open(c, "f", O_RDWR, 0);
	IS(c, SYS(c, SYS_read, d, buf, 1), -EISDIR);
	IS(c, SYS(c, SYS_read, d, buf, 0), -EISDIR);
	IS(c, SYS(c, SYS_pread64, d, buf, 1, 0), -EISDIR);
	iov.iov_base = buf;
	iov.iov_len = 1;
	IS(c, SYS(c, SYS_readv, d, &iov, 1), -EISDIR);
	IS(c, SYS(c, SYS_write, d, buf, 1), -EBADF);
	IS(c, SYS(c, SYS_ftruncate, d, 0), -EINVAL);
	IS(c, SYS(c, SYS_fallocate, d, 0, 0, 1), -EBADF);
	IS(c, SYS(c, SYS_copy_file_range, d, 0, fd, 0, 1, 0), -EISDIR);
	IS(c, SYS(c, SYS_sendfile, fd, d, 0, 1), -EINVAL);
	OK(c, SYS(c, SYS_pipe2, p, 0));
	IS(c, SYS(c, SYS_splice, d, 0, p[1], 0, 1, 0), -EINVAL);
	OK(c, SYS(c, SYS_flock, d, 1));
	OK(c, SYS(c, SYS_fsync, d));
	IS(c, SYS(c, SYS_getdents64, fd, buf, sizeof(buf)), -ENOTDIR);
	IS(c, SYS(c, SYS_getdents64, d, buf, 1), -EINVAL);
	IS(c, SYS(c, SYS_getdents64, d, 8, 4096), -EFAULT);
	OK(c, c_rmdir(c, "d"));
	IS(c, SYS(c, SYS_getdents64, d, buf, sizeof(buf)), -ENOENT);
	IS(c, SYS(c, SYS_openat, d, "x", O_CREAT | O_RDWR, 0644), -ENOENT);
	IS(c, SYS(c, SYS_mkdirat, d, "x", 0755), -ENOENT);
	IS(c, SYS(c, SYS_symlinkat, "x", d, "y"), -ENOENT);
	IS(c, SYS(c, SYS_linkat, AT_FDCWD, "f", d, "y", 0), -ENOENT);
	IS(c, SYS(c, SYS_renameat, AT_FDCWD, "f", d, "y"), -ENOENT);
	TRUE(c, SYS(c, SYS_openat, d, ".", O_RDONLY, 0) > 0);
}

/* What moves bytes between descriptors. */
static void
movers(struct conf *c)
{
	int64_t off = 0;
	int p[2], q[2], fd, to;

	OK(c, c_file(c, "f", 0644));
	fd = c_open(c, "f", O_RDWR, 0);
	to = c_open(c, "g", O_RDWR | O_CREAT, 0644);
	IS(c, c_write(c, fd, "hello", 5), 5);
	OK(c, SYS(c, SYS_pipe2, p, O_NONBLOCK));
	OK(c, SYS(c, SYS_pipe2, q, O_NONBLOCK));
	IS(c, SYS(c, SYS_write, p[1], "abcdef", 6), 6);
	/* A pipe is no source of sendfile. */
	IS(c, SYS(c, SYS_sendfile, to, p[0], NULL, 3), -EINVAL);
	IS(c, SYS(c, SYS_sendfile, q[1], p[0], NULL, 3), -EINVAL);
	IS(c, SYS(c, SYS_sendfile, to, p[0], &off, 3), -ESPIPE);
	off = -1;
	IS(c, SYS(c, SYS_sendfile, to, fd, &off, 3), -EINVAL);
	off = INT64_MAX;
	IS(c, SYS(c, SYS_sendfile, to, fd, &off, 3) <= 0, 1);
	off = 1;
	IS(c, SYS(c, SYS_sendfile, to, fd, &off, 1 << 30), 4);
	IS(c, off, 5);
	IS(c, SYS(c, SYS_sendfile, to, fd, 8, 3), -EFAULT);
	IS(c, SYS(c, SYS_sendfile, q[1], fd, NULL, 0), 0);
	IS(c, SYS(c, SYS_lseek, fd, 0, SEEK_SET), 0);
	IS(c, SYS(c, SYS_sendfile, q[1], fd, NULL, 9), 5);
	IS(c, SYS(c, SYS_lseek, fd, 0, SEEK_CUR), 5);
	IS(c, SYS(c, SYS_splice, q[0], NULL, to, NULL, 2, 0), 2);
	IS(c, SYS(c, SYS_splice, q[0], &off, to, NULL, 2, 0), -ESPIPE);
	off = -1;
	IS(c, SYS(c, SYS_splice, q[0], NULL, to, &off, 2, 0), -EINVAL);
	IS(c, SYS(c, SYS_splice, fd, &off, q[1], NULL, 2, 0), -EINVAL);
	IS(c, SYS(c, SYS_splice, fd, NULL, to, NULL, 2, 0), -EINVAL);
	IS(c, SYS(c, SYS_splice, q[0], NULL, to, NULL, 2, 0x80), -EINVAL);
	IS(c, SYS(c, SYS_splice, p[0], NULL, p[1], NULL, 2, 0), -EINVAL);
	IS(c, SYS(c, SYS_tee, p[0], p[1], 2, 0), -EINVAL);
	IS(c, SYS(c, SYS_tee, p[0], to, 2, 0), -EINVAL);
	IS(c, SYS(c, SYS_tee, p[0], q[1], SIZE_MAX, 0), 6);
	IS(c, SYS(c, SYS_splice, p[0], NULL, q[1], NULL, SIZE_MAX, 0), 6);
	IS(c, SYS(c, SYS_splice, p[0], NULL, q[1], NULL, 1, 0), -EAGAIN);
	IS(c, SYS(c, SYS_tee, p[0], q[1], 1, 0), -EAGAIN);
	IS(c, SYS(c, SYS_splice, 99, NULL, q[1], NULL, 0, 0), 0);
	IS(c, SYS(c, SYS_copy_file_range, p[0], 0, to, 0, 1, 0), -EINVAL);
	IS(c, SYS(c, SYS_copy_file_range, fd, 0, to, 0, 1, 1), -EINVAL);
	off = INT64_MAX;
	IS(c, SYS(c, SYS_lseek, fd, 0, SEEK_SET), 0);
	IS(c, SYS(c, SYS_copy_file_range, fd, 0, to, &off, 1, 0), -EFBIG);
	IS(c, SYS(c, SYS_fcntl, p[0], F_SETPIPE_SZ, UINT32_MAX), -EINVAL);
	IS(c, SYS(c, SYS_fcntl, p[0], F_SETPIPE_SZ, 0), 4096);
	IS(c, SYS(c, SYS_fcntl, p[0], F_SETPIPE_SZ, 4097), 8192);
	IS(c, SYS(c, SYS_lseek, p[0], 0, SEEK_CUR), -ESPIPE);
	IS(c, SYS(c, SYS_ftruncate, p[1], 0), -EINVAL);
	IS(c, SYS(c, SYS_fallocate, p[1], 0, 0, 1), -ESPIPE);
	IS(c, SYS(c, SYS_fadvise64, p[1], 0, 0, 0), -ESPIPE);
	IS(c, SYS(c, SYS_fsync, p[1]), -EINVAL);
	IS(c, SYS(c, SYS_fchdir, p[1]), -ENOTDIR);
	OK(c, c_close(c, p[0]));
	IS(c, SYS(c, SYS_close, p[0]), -EBADF);
}

/* ---- locks -------------------------------------------------------------------- */

/* Another kind of flock(2): the one that was there goes first. */
static void
flock_changes(struct conf *c)
{
	enum { SH = 1, EX = 2, NB = 4 };
	int a, b;

	OK(c, c_file(c, "f", 0644));
	a = c_open(c, "f", O_RDWR, 0);
	b = c_open(c, "f", O_RDWR, 0);
	OK(c, SYS(c, SYS_flock, a, SH));
	OK(c, SYS(c, SYS_flock, b, SH));
	OK(c, SYS(c, SYS_flock, a, SH | NB));
	IS(c, SYS(c, SYS_flock, a, EX | NB), -EAGAIN);
	/* So that two who want that do not wait for each other. */
	OK(c, SYS(c, SYS_flock, b, EX | NB));
	IS(c, SYS(c, SYS_flock, a, SH | NB), -EAGAIN);
	OK(c, SYS(c, SYS_flock, b, SH | NB));
	OK(c, SYS(c, SYS_flock, a, SH | NB));
}

static int
plain_lock(struct conf *c, int fd, int cmd, int type, int64_t start,
    int64_t len)
{
	struct flock fl = { .l_type = (short)type,
		.l_whence = SEEK_SET,
		.l_start = start,
		.l_len = len };

	return (int)SYS(c, SYS_fcntl, fd, cmd, &fl);
}

static void
lock_ranges(struct conf *c)
{
	int a, b;

	OK(c, c_file(c, "f", 0644));
	a = c_open(c, "f", O_RDWR, 0);
	b = c_open(c, "f", O_RDWR, 0);
	IS(c, plain_lock(c, a, F_SETLK, F_WRLCK, 0, INT64_MIN), -EINVAL);
	IS(c, plain_lock(c, a, F_SETLK, F_WRLCK, 10, -11), -EINVAL);
	IS(c, plain_lock(c, a, F_SETLK, F_WRLCK, -1, 5), -EINVAL);
	IS(c, plain_lock(c, a, F_SETLK, F_WRLCK, INT64_MAX, 2), -EOVERFLOW);
	OK(c, plain_lock(c, a, F_SETLK, F_WRLCK, INT64_MAX, 1));
	OK(c, plain_lock(c, a, F_SETLK, F_WRLCK, 10, -10));
	OK(c, plain_lock(c, a, F_SETLK, F_RDLCK, 2, 2));
	/* Those of a process and of open files are of one kind. */
	IS(c, plain_lock(c, b, F_OFD_SETLK, F_RDLCK, 0, 1), -EAGAIN);
	OK(c, plain_lock(c, b, F_OFD_SETLK, F_RDLCK, 2, 2));
	IS(c, plain_lock(c, b, F_OFD_SETLK, F_RDLCK, 2, 3), -EAGAIN);
	IS(c, plain_lock(c, b, F_OFD_SETLK, F_RDLCK, INT64_MAX, 0), -EAGAIN);
	IS(c, plain_lock(c, a, F_SETLK, F_WRLCK, 0, 0), -EAGAIN);
	OK(c, plain_lock(c, a, F_SETLK, F_UNLCK, 0, 0));
	OK(c, plain_lock(c, b, F_OFD_SETLK, F_WRLCK, 0, 0));
	OK(c, plain_lock(c, b, F_OFD_SETLK, F_UNLCK, 0, 0));
	/* Any descriptor that is closed takes them along. */
	OK(c, plain_lock(c, a, F_SETLK, F_WRLCK, 0, 0));
	OK(c, c_close(c, c_open(c, "f", O_RDONLY, 0)));
	OK(c, plain_lock(c, b, F_OFD_SETLK, F_WRLCK, 0, 0));
}

/* ---- getting out -------------------------------------------------------------- */

static int
resolved(struct conf *c, int dir, const char *path, uint64_t flags,
    uint64_t resolve)
{
	struct open_how how = { .flags = flags,
		.mode = (flags & O_CREAT) != 0 ? 0644 : 0,
		.resolve = resolve };

	return (int)SYS(c, SYS_openat2, dir, path, &how, sizeof(how));
}

/* A file that is made is not made out of bounds either. */
static void
bounded_creation(struct conf *c)
{
	int d;

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_mkdir(c, "d/e", 0755));
	OK(c, c_file(c, "f", 0644));
	OK(c, c_symlink(c, "../out", "d/up"));
	OK(c, c_symlink(c, "../f", "d/there"));
	OK(c, c_symlink(c, "/nowhere/x", "d/abs"));
	OK(c, c_symlink(c, "/made", "d/root"));
	OK(c, c_symlink(c, "e/in", "d/in"));
	OK(c, c_symlink(c, "../up", "d/e/twice"));
	d = c_open(c, "d", O_RDONLY | O_DIRECTORY, 0);
	IS(c, resolved(c, d, "up", O_CREAT | O_RDWR, RESOLVE_BENEATH), -EXDEV);
	IS(c, resolved(c, d, "there", O_CREAT | O_RDWR, RESOLVE_BENEATH),
	    -EXDEV);
	IS(c, resolved(c, d, "there", O_RDWR, RESOLVE_BENEATH), -EXDEV);
	IS(c, resolved(c, d, "abs", O_CREAT | O_RDWR, RESOLVE_BENEATH), -EXDEV);
	IS(c, resolved(c, d, "e/twice", O_CREAT | O_RDWR, RESOLVE_BENEATH),
	    -EXDEV);
	IS(c, resolved(c, d, "up", O_CREAT | O_RDWR, RESOLVE_NO_SYMLINKS),
	    -ELOOP);
	IS(c, c_ino(c, "out"), -ENOENT);
	TRUE(c, c_ino(c, "d/e") > 0);
	TRUE(c, resolved(c, d, "e", O_DIRECTORY, RESOLVE_CACHED) >= 0);
	IS(c, resolved(c, d, "e", O_TMPFILE | O_RDWR, RESOLVE_CACHED), -EAGAIN);
	TRUE(c, resolved(c, d, "in", O_CREAT | O_RDWR, RESOLVE_BENEATH) >= 0);
	TRUE(c, c_ino(c, "d/e/in") > 0);
	/* A root of its own: the same links stay in it. */
	TRUE(c, resolved(c, d, "up", O_CREAT | O_RDWR, RESOLVE_IN_ROOT) >= 0);
	TRUE(c, c_ino(c, "d/out") > 0);
	TRUE(c, resolved(c, d, "root", O_CREAT | O_RDWR, RESOLVE_IN_ROOT) >= 0);
	TRUE(c, c_ino(c, "d/made") > 0);
	IS(c, resolved(c, d, "abs", O_CREAT | O_RDWR, RESOLVE_IN_ROOT),
	    -ENOENT);
}

/* NO_XDEV holds for symlinks that begin at the root, too. */
static void
bounded_mount(struct conf *c)
{
	int fd;

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, SYS(c, SYS_mount, "none", "d", "tmpfs", 0, 0));
	OK(c, c_symlink(c, "/", "d/root"));
	OK(c, c_symlink(c, "/nowhere", "d/made"));
	fd = c_open(c, "d", O_RDONLY | O_DIRECTORY, 0);
	IS(c, resolved(c, fd, "root", O_RDONLY, RESOLVE_NO_XDEV), -EXDEV);
	IS(c, resolved(c, fd, "made", O_CREAT | O_RDWR, RESOLVE_NO_XDEV),
	    -EXDEV);
	IS(c, resolved(c, fd, "..", O_RDONLY, RESOLVE_NO_XDEV), -EXDEV);
	IS(c, resolved(c, AT_FDCWD, "d", O_RDONLY, RESOLVE_NO_XDEV), -EXDEV);
	OK(c, c_close(c, fd));
	OK(c, SYS(c, SYS_umount2, "d", 0));
}

/* In what was unmounted lazily there is still an up. */
static void
lazy_up(struct conf *c)
{
	struct stat st;
	int fd, up;

	OK(c, c_mkdir(c, "d", 0755));
	OK(c, SYS(c, SYS_mount, "none", "d", "tmpfs", 0, 0));
	OK(c, c_mkdir(c, "d/a", 0755));
	OK(c, c_mkdir(c, "d/a/b", 0755));
	OK(c, c_file(c, "d/f", 0644));
	fd = c_open(c, "d/a/b", O_RDONLY | O_DIRECTORY, 0);
	OK(c, SYS(c, SYS_umount2, "d", MNT_DETACH));
	OK(c, SYS(c, SYS_newfstatat, fd, "..", &st, 0));
	OK(c, SYS(c, SYS_newfstatat, fd, "../../f", &st, 0));
	OK(c, SYS(c, SYS_newfstatat, fd, "../../../../f", &st, 0));
	OK(c, SYS(c, SYS_mkdirat, fd, "../c", 0755));
	up = (int)SYS(c, SYS_openat, fd, "../..", O_RDONLY, 0);
	TRUE(c, up >= 0);
	OK(c, c_close(c, fd));
	OK(c, SYS(c, SYS_newfstatat, up, "a/c", &st, 0));
	OK(c, c_close(c, up));
	OK(c, c_rmdir(c, "d"));
}

/* A mount that moves to the same directory as another mount shows it. */
static void
moved_alike(struct conf *c)
{
	OK(c, c_mkdir(c, "a", 0755));
	OK(c, c_mkdir(c, "b", 0755));
	OK(c, SYS(c, SYS_mount, "none", "a", "tmpfs", 0, 0));
	OK(c, c_mkdir(c, "a/d", 0755));
	OK(c, SYS(c, SYS_mount, "a", "b", 0, MS_BIND, 0));
	OK(c, SYS(c, SYS_mount, "none", "a/d", "tmpfs", 0, 0));
	OK(c, c_file(c, "a/d/f", 0644));
	IS(c, c_ino(c, "b/d/f"), -ENOENT);
	OK(c, SYS(c, SYS_mount, "a/d", "b/d", 0, MS_MOVE, 0));
	TRUE(c, c_ino(c, "b/d/f") > 0);
	IS(c, c_ino(c, "a/d/f"), -ENOENT);
	IS(c, c_rmdir(c, "b/d"), -EBUSY);
	OK(c, SYS(c, SYS_umount2, "b/d", 0));
	OK(c, SYS(c, SYS_umount2, "b", 0));
	OK(c, SYS(c, SYS_umount2, "a", 0));
}

/* ---- permission --------------------------------------------------------------- */

/* A file's capabilities, as cap_from_text(3) makes them, for anybody. */
static const unsigned char caps[20] = { 1, 0, 0, 2, 0xff, 0xff };

static void
capabilities(struct conf *c)
{
	char buf[24];

	OK(c, c_file(c, "f", 0755));
	OK(c, c_file(c, "mine", 0755));
	OK(c, SYS(c, SYS_chown, "mine", 1234, 1234));
	IS(c, SYS(c, SYS_setxattr, "f", "security.capability", "x", 1, 0),
	    -EINVAL);
	c_user(c, 1234, 1234);
	IS(c, SYS(c, SYS_setxattr, "f", "security.capability", caps, 20, 0),
	    -EPERM);
	IS(c, SYS(c, SYS_setxattr, "mine", "security.capability", caps, 20, 0),
	    -EPERM);
	IS(c, SYS(c, SYS_setxattr, "mine", "security.capabilityx", "x", 1, 0),
	    -EPERM);
	c_user(c, 0, 0);
	OK(c, SYS(c, SYS_setxattr, "f", "security.capability", caps, 20, 0));
	c_user(c, 1234, 1234);
	IS(c, SYS(c, SYS_getxattr, "f", "security.capability", buf, 24), 20);
	IS(c, SYS(c, SYS_removexattr, "f", "security.capability"), -EPERM);
	c_user(c, 0, 0);
	OK(c, SYS(c, SYS_removexattr, "f", "security.capability"));
}

static void
attribute_names(struct conf *c)
{
	OK(c, c_file(c, "f", 0644));
	IS(c, SYS(c, SYS_setxattr, "f", "user.", "x", 1, 0), -EINVAL);
	IS(c, SYS(c, SYS_getxattr, "f", "user.", 0, 0), -EINVAL);
	IS(c, SYS(c, SYS_removexattr, "f", "user."), -EINVAL);
	IS(c, SYS(c, SYS_setxattr, "f", "user", "x", 1, 0), -EOPNOTSUPP);
	IS(c, SYS(c, SYS_setxattr, "f", "nope.x", "x", 1, 0), -EOPNOTSUPP);
	IS(c, SYS(c, SYS_getxattr, "f", "nope.x", 0, 0), -EOPNOTSUPP);
	IS(c, SYS(c, SYS_setxattr, "f", "system.x", "x", 1, 0), -EOPNOTSUPP);
	IS(c, SYS(c, SYS_setxattr, "f", "", "x", 1, 0), -ERANGE);
	IS(c, SYS(c, SYS_setxattr, "f", "user.x", "x", 65537, 0), -E2BIG);
	IS(c, SYS(c, SYS_setxattr, "f", "user.x", "x", 1, 4), -EINVAL);
	IS(c, SYS(c, SYS_setxattr, "f", "user.x", 8, 1, 0), -EFAULT);
	OK(c, SYS(c, SYS_setxattr, "f", "user.x", 0, 0, 0));
	IS(c, SYS(c, SYS_getxattr, "f", "user.x", 0, 0), 0);
}

static void
times_permission(struct conf *c)
{
	struct timespec now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };
	struct timespec mixed[2] = { { 0, UTIME_NOW }, { 0, UTIME_OMIT } };
	struct timespec set[2] = { { 5, 0 }, { 5, 0 } };
	struct timespec omit[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };
	struct timespec bad[2] = { { 0, 1000000000 }, { 0, 0 } };

	OK(c, c_file(c, "f", 0666));
	OK(c, c_file(c, "g", 0644));
	c_user(c, 1234, 1234);
	OK(c, SYS(c, SYS_utimensat, AT_FDCWD, "f", 0, 0));
	OK(c, SYS(c, SYS_utimensat, AT_FDCWD, "f", now, 0));
	IS(c, SYS(c, SYS_utimensat, AT_FDCWD, "f", mixed, 0), -EPERM);
	IS(c, SYS(c, SYS_utimensat, AT_FDCWD, "f", set, 0), -EPERM);
	IS(c, SYS(c, SYS_utimensat, AT_FDCWD, "g", 0, 0), -EACCES);
	IS(c, SYS(c, SYS_utimensat, AT_FDCWD, "g", set, 0), -EPERM);
	OK(c, SYS(c, SYS_utimensat, AT_FDCWD, "g", omit, 0));
	OK(c, SYS(c, SYS_utimensat, AT_FDCWD, "none", omit, 0));
	IS(c, SYS(c, SYS_utimensat, AT_FDCWD, "f", bad, 0), -EINVAL);
	IS(c, SYS(c, SYS_utimensat, AT_FDCWD, "f", 0, 0x4000), -EINVAL);
	c_user(c, 0, 0);
}

static void
setgid_directories(struct conf *c)
{
	struct stat st;

	OK(c, c_mkdir(c, "d", 0777));
	OK(c, SYS(c, SYS_chown, "d", 0, 500));
	OK(c, SYS(c, SYS_chmod, "d", 02777));
	c_user(c, 1234, 1234);
	OK(c, c_mkdir(c, "d/e", 0755));
	IS(c, c_mode(c, "d/e"), S_IFDIR | 02755);
	OK(c, c_lstat(c, "d/e", &st));
	IS(c, st.st_gid, 500);
	/* A set-group-id file of a group that is not one's own. */
	OK(c, c_close(c, c_open(c, "d/f", O_CREAT | O_RDWR, 02775)));
	IS(c, c_mode(c, "d/f"), S_IFREG | 0755);
	OK(c, SYS(c, SYS_chmod, "d/f", 02755));
	IS(c, c_mode(c, "d/f"), S_IFREG | 0755);
	OK(c, SYS(c, SYS_chmod, "d/e", 02755));
	IS(c, c_mode(c, "d/e"), S_IFDIR | 0755);
	OK(c, c_symlink(c, "x", "d/l"));
	OK(c, c_lstat(c, "d/l", &st));
	IS(c, st.st_gid, 500);
	c_user(c, 0, 0);
}

static void
sticky(struct conf *c)
{
	OK(c, c_mkdir(c, "d", 0777));
	OK(c, SYS(c, SYS_chmod, "d", 01777));
	OK(c, c_file(c, "d/root", 0666));
	OK(c, c_mkdir(c, "d/dir", 0777));
	c_user(c, 1234, 1234);
	OK(c, c_file(c, "d/mine", 0666));
	c_user(c, 1235, 1235);
	OK(c, c_file(c, "d/other", 0666));
	IS(c, c_unlink(c, "d/mine"), -EPERM);
	IS(c, c_rename(c, "d/mine", "d/x"), -EPERM);
	IS(c, c_rename(c, "d/other", "d/mine"), -EPERM);
	IS(c, c_rmdir(c, "d/dir"), -EPERM);
	IS(c, SYS(c, SYS_renameat2, AT_FDCWD, "d/other", AT_FDCWD, "d/mine", 2),
	    -EPERM);
	OK(c, c_link(c, "d/other", "d/more"));
	OK(c, c_unlink(c, "d/more"));
	c_user(c, 0, 0);
	OK(c, c_unlink(c, "d/mine"));
}

/* What root may do with what nobody may. */
static void
access_of_root(struct conf *c)
{
	OK(c, c_file(c, "f", 0));
	OK(c, c_mkdir(c, "d", 0));
	OK(c, SYS(c, SYS_access, "f", 4 | 2));
	IS(c, SYS(c, SYS_access, "f", 1), -EACCES);
	OK(c, SYS(c, SYS_access, "d", 7));
	OK(c, SYS(c, SYS_chmod, "f", 0001));
	OK(c, SYS(c, SYS_access, "f", 7));
	IS(c, SYS(c, SYS_access, "f", 8), -EINVAL);
	IS(c, SYS(c, SYS_faccessat2, AT_FDCWD, "f", 0, 0x8000), -EINVAL);
	IS(c, SYS(c, SYS_access, "f/", 0), -ENOTDIR);
}

/* ---- directories that change while they are read ------------------------------- */

#define MANY 300

static int64_t
entries(struct conf *c, int fd, bool *seen, bool unlink_them)
{
	char buf[1024] __attribute__((aligned(8))), path[32];
	int64_t n = SYS(c, SYS_getdents64, fd, buf, sizeof(buf)), at;
	unsigned short len;
	int i;

	for (at = 0; at < n; at += len) {
		memcpy(&len, buf + at + 16, sizeof(len));
		if (sscanf(buf + at + 19, "f%d", &i) != 1)
			continue;
		TRUE(c, i >= 0 && i < MANY && !seen[i]);
		seen[i] = true;
		snprintf(path, sizeof(path), "d/f%d", i);
		if (unlink_them)
			OK(c, c_unlink(c, path));
	}
	return n;
}

static void
removed_while_read(struct conf *c)
{
	bool seen[MANY] = { false };
	char path[32];
	int i, fd;

	OK(c, c_mkdir(c, "d", 0755));
	for (i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "d/f%d", i);
		OK(c, c_file(c, path, 0644));
	}
	fd = c_open(c, "d", O_RDONLY, 0);
	while (entries(c, fd, seen, true) > 0)
		continue;
	for (i = 0; i < MANY; i++)
		TRUE(c, seen[i]);
	OK(c, c_close(c, fd));
	OK(c, c_rmdir(c, "d"));
}

static void
made_while_read(struct conf *c)
{
	bool seen[MANY] = { false };
	char path[32];
	int i, fd, n = 0;

	OK(c, c_mkdir(c, "d", 0755));
	for (i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "d/f%d", i);
		OK(c, c_file(c, path, 0644));
	}
	fd = c_open(c, "d", O_RDONLY, 0);
	while (entries(c, fd, seen, false) > 0) {
		/* Not for ever: some file systems list them, too. */
		if (n == 20)
			continue;
		snprintf(path, sizeof(path), "d/new%d", n++);
		OK(c, c_file(c, path, 0644));
	}
	for (i = 0; i < MANY; i++)
		TRUE(c, seen[i]);
	IS(c, SYS(c, SYS_lseek, fd, 0, SEEK_SET), 0);
	memset(seen, 0, sizeof(seen));
	while (entries(c, fd, seen, false) > 0)
		continue;
	for (i = 0; i < MANY; i++)
		TRUE(c, seen[i]);
}

/* ---- numbers of descriptors ----------------------------------------------------- */

static void
numbers(struct conf *c)
{
	int fd, two;

	OK(c, c_file(c, "f", 0644));
	fd = c_open(c, "f", O_RDWR, 0);
	IS(c, SYS(c, SYS_fcntl, fd, F_DUPFD, -1), -EINVAL);
	IS(c, SYS(c, SYS_fcntl, fd, F_DUPFD, 1 << 30), -EINVAL);
	IS(c, SYS(c, SYS_dup2, fd, -1), -EBADF);
	IS(c, SYS(c, SYS_dup2, fd, 1 << 30), -EBADF);
	IS(c, SYS(c, SYS_dup3, fd, fd, 0), -EINVAL);
	IS(c, SYS(c, SYS_dup3, fd, 200, 1), -EINVAL);
	IS(c, SYS(c, SYS_dup2, 99, 99), -EBADF);
	IS(c, SYS(c, SYS_dup2, fd, fd), fd);
	IS(c, SYS(c, SYS_dup3, fd, 200, O_CLOEXEC), 200);
	IS(c, SYS(c, SYS_fcntl, 200, F_GETFD), 1);
	IS(c, SYS(c, SYS_dup2, fd, 200), 200);
	IS(c, SYS(c, SYS_fcntl, 200, F_GETFD), 0);
	two = (int)SYS(c, SYS_fcntl, fd, F_DUPFD, 150);
	IS(c, two, 150);
	IS(c, SYS(c, SYS_close_range, 160, 150, 0), -EINVAL);
	IS(c, SYS(c, SYS_close_range, 150, 200, 8), -EINVAL);
	OK(c, SYS(c, SYS_close_range, 150, 199, 4));
	IS(c, SYS(c, SYS_fcntl, 150, F_GETFD), 1);
	OK(c, SYS(c, SYS_close_range, 150, ~0u, 0));
	IS(c, SYS(c, SYS_close, 150), -EBADF);
	IS(c, SYS(c, SYS_close, 200), -EBADF);
	IS(c, SYS(c, SYS_close, -1), -EBADF);
	IS(c, SYS(c, SYS_close, INT32_MAX), -EBADF);
	/* One position, and one set of flags. */
	two = (int)SYS(c, SYS_dup, fd);
	IS(c, c_write(c, fd, "abc", 3), 3);
	IS(c, SYS(c, SYS_lseek, two, 0, SEEK_CUR), 3);
	OK(c, SYS(c, SYS_fcntl, two, F_SETFL, O_APPEND | O_CREAT | O_TRUNC));
	IS(c, SYS(c, SYS_fcntl, fd, F_GETFL) & (O_APPEND | O_TRUNC), O_APPEND);
	IS(c, c_size(c, "f"), 3);
}

static void
long_names(struct conf *c)
{
	char name[300], path[5000];

	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	IS(c, c_open(c, name, O_CREAT | O_RDWR, 0644), -ENAMETOOLONG);
	IS(c, c_mkdir(c, name, 0755), -ENAMETOOLONG);
	IS(c, c_symlink(c, "x", name), -ENAMETOOLONG);
	IS(c, c_unlink(c, name), -ENAMETOOLONG);
	IS(c, c_ino(c, name), -ENAMETOOLONG);
	OK(c, c_file(c, "f", 0644));
	IS(c, c_rename(c, "f", name), -ENAMETOOLONG);
	IS(c, c_link(c, "f", name), -ENAMETOOLONG);
	name[255] = '\0';
	OK(c, c_rename(c, "f", name));
	TRUE(c, c_ino(c, name) > 0);
	OK(c, c_unlink(c, name));
	/* The path with its end is what must fit. */
	memset(path, '/', sizeof(path));
	path[4094] = '.';
	path[4095] = '\0';
	TRUE(c, c_ino(c, path) > 0);
	path[4095] = '.';
	path[4096] = '\0';
	IS(c, c_ino(c, path), -ENAMETOOLONG);
	memset(path, 't', sizeof(path));
	path[4096] = '\0';
	IS(c, c_symlink(c, path, "l"), -ENAMETOOLONG);
	IS(c, c_symlink(c, "", "l"), -ENOENT);
	IS(c, c_symlink(c, "x", ""), -ENOENT);
	IS(c, c_mkdir(c, "", 0755), -ENOENT);
	IS(c, c_ino(c, ""), -ENOENT);
}

/* Another owner, even the same: no more set-id bits, whoever asks. */
static void
chown_clears(struct conf *c)
{
	OK(c, c_file(c, "f", 0755));
	OK(c, SYS(c, SYS_chmod, "f", 06755));
	OK(c, SYS(c, SYS_chown, "f", -1, -1));
	IS(c, c_mode(c, "f"), S_IFREG | 0755);
	/* Without the group's x it is no set-group-id, but a mark. */
	OK(c, SYS(c, SYS_chmod, "f", 06745));
	OK(c, SYS(c, SYS_chown, "f", 0, 0));
	IS(c, c_mode(c, "f"), S_IFREG | 02745);
	OK(c, c_mkdir(c, "d", 0755));
	OK(c, SYS(c, SYS_chmod, "d", 06755));
	OK(c, SYS(c, SYS_chown, "d", 1, 1));
	IS(c, c_mode(c, "d"), S_IFDIR | 06755);
	OK(c, SYS(c, SYS_chown, "f", 1234, 1234));
	OK(c, SYS(c, SYS_chmod, "f", 04755));
	c_user(c, 1234, 1234);
	IS(c, SYS(c, SYS_chown, "f", 1235, -1), -EPERM);
	IS(c, SYS(c, SYS_chown, "f", -1, 1235), -EPERM);
	IS(c, c_mode(c, "f"), S_IFREG | 04755);
	OK(c, SYS(c, SYS_chown, "f", 1234, 1234));
	IS(c, c_mode(c, "f"), S_IFREG | 0755);
	OK(c, SYS(c, SYS_chmod, "f", 04755));
	OK(c, SYS(c, SYS_truncate, "f", 1));
	IS(c, c_mode(c, "f"), S_IFREG | 0755);
	c_user(c, 0, 0);
	OK(c, SYS(c, SYS_chmod, "f", 04755));
	OK(c, SYS(c, SYS_truncate, "f", 2));
	IS(c, c_mode(c, "f"), S_IFREG | 04755);
}

static void
statx_flags(struct conf *c)
{
	char buf[256];

	OK(c, c_file(c, "f", 0644));
	OK(c, SYS(c, SYS_statx, AT_FDCWD, "f", 0, 0x7ff, buf));
	IS(c, SYS(c, SYS_statx, AT_FDCWD, "f", 0x80000, 0x7ff, buf), -EINVAL);
	IS(c, SYS(c, SYS_statx, AT_FDCWD, "f", 0, 0x80000000u, buf), -EINVAL);
	IS(c, SYS(c, SYS_statx, AT_FDCWD, "f", 0x6000, 0x7ff, buf), -EINVAL);
	OK(c, SYS(c, SYS_statx, AT_FDCWD, "f", 0x2000, 0, buf));
	IS(c, SYS(c, SYS_statx, AT_FDCWD, "f", 0, 0x7ff, 8), -EFAULT);
	IS(c, SYS(c, SYS_newfstatat, AT_FDCWD, "f", buf, 0x8000), -EINVAL);
	IS(c, SYS(c, SYS_newfstatat, 99, "", buf, AT_EMPTY_PATH), -EBADF);
	IS(c, SYS(c, SYS_newfstatat, 99, "f", buf, 0), -EBADF);
	IS(c, SYS(c, SYS_newfstatat, AT_FDCWD, "", buf, 0), -ENOENT);
	OK(c, SYS(c, SYS_newfstatat, AT_FDCWD, "", buf, AT_EMPTY_PATH));
	OK(c, SYS(c, SYS_newfstatat, 99, "/", buf, 0));
	IS(c, SYS(c, SYS_getcwd, buf, 0), -ERANGE);
	IS(c, SYS(c, SYS_getcwd, buf, 1), -ERANGE);
	IS(c, SYS(c, SYS_getcwd, 8, 256), -EFAULT);
	IS(c, SYS(c, SYS_readlink, "f", buf, 0), -EINVAL);
	IS(c, SYS(c, SYS_readlink, "f", buf, -1), -EINVAL);
	IS(c, SYS(c, SYS_readlink, "f", buf, 10), -EINVAL);
	OK(c, c_symlink(c, "target", "l"));
	IS(c, SYS(c, SYS_readlink, "l", buf, 3), 3);
	IS(c, SYS(c, SYS_readlink, "l", 8, 3), -EFAULT);
	IS(c, SYS(c, SYS_utimensat, AT_FDCWD, 0, 0, 0), -EFAULT);
	IS(c, SYS(c, SYS_unlinkat, AT_FDCWD, "f", 0x100), -EINVAL);
	IS(c, SYS(c, SYS_unlinkat, AT_FDCWD, "f", AT_REMOVEDIR), -ENOTDIR);
	IS(c, SYS(c, SYS_mknod, "x", S_IFLNK | 0644, 0), -EINVAL);
	IS(c, SYS(c, SYS_mknod, "x", S_IFDIR | 0755, 0), -EPERM);
	IS(c, SYS(c, SYS_mknod, "x", 0x3000 | 0644, 0), -EINVAL);
	OK(c, SYS(c, SYS_mknod, "x", 0600, 0));
	IS(c, c_mode(c, "x"), S_IFREG | 0600);
	IS(c, SYS(c, SYS_renameat2, AT_FDCWD, "x", AT_FDCWD, "y", 3), -EINVAL);
	IS(c, SYS(c, SYS_renameat2, AT_FDCWD, "x", AT_FDCWD, "x", 1), -EEXIST);
	IS(c, SYS(c, SYS_linkat, AT_FDCWD, "x", AT_FDCWD, "y", 1), -EINVAL);
}

/* An ACL that new files get, and the umask that does not matter then. */
static void
default_acl(struct conf *c)
{
	/* u::rwx u:1234:rwx g::r-x m::rwx o::--- */
	static const struct {
		uint32_t version;
		struct {
			uint16_t tag, perm;
			uint32_t id;
		} e[5];
	} acl = { 2,
		{ { 1, 7, ~0u }, { 2, 7, 1234 }, { 4, 5, ~0u }, { 16, 7, ~0u },
		    { 32, 0, ~0u } } };
	char buf[64];

	OK(c, c_mkdir(c, "d", 0755));
	if (SYS(c, SYS_setxattr, "d", "system.posix_acl_default", &acl,
		sizeof(acl), 0) == -EOPNOTSUPP)
		return;
	(void)SYS(c, SYS_umask, 077);
	OK(c, c_close(c, c_open(c, "d/f", O_CREAT | O_RDWR, 0666)));
	OK(c, c_mkdir(c, "d/e", 0777));
	(void)SYS(c, SYS_umask, 022);
	/* The group's bits are the mask's. */
	IS(c, c_mode(c, "d/f"), S_IFREG | 0660);
	IS(c, c_mode(c, "d/e"), S_IFDIR | 0770);
	IS(c, SYS(c, SYS_getxattr, "d/e", "system.posix_acl_default", buf, 64),
	    sizeof(acl));
	IS(c, SYS(c, SYS_getxattr, "d/f", "system.posix_acl_default", buf, 64),
	    -ENODATA);
	IS(c,
	    SYS(c, SYS_setxattr, "d/f", "system.posix_acl_default", &acl,
		sizeof(acl), 0),
	    -EACCES);
	IS(c, SYS(c, SYS_setxattr, "d", "system.posix_acl_access", &acl, 7, 0),
	    -EINVAL);
	c_user(c, 1234, 99);
	TRUE(c, c_open(c, "d/f", O_RDWR, 0) >= 0);
	IS(c, SYS(c, SYS_access, "d/f", 1), -EACCES);
	IS(c, SYS(c, SYS_removexattr, "d/f", "system.posix_acl_access"),
	    -EPERM);
	c_user(c, 1235, 99);
	IS(c, c_open(c, "d/f", O_RDONLY, 0), -EACCES);
	c_user(c, 0, 0);
	/* chmod moves the mask: the named user has less. */
	OK(c, SYS(c, SYS_chmod, "d/f", 0640));
	c_user(c, 1234, 99);
	IS(c, c_open(c, "d/f", O_RDWR, 0), -EACCES);
	TRUE(c, c_open(c, "d/f", O_RDONLY, 0) >= 0);
	c_user(c, 0, 0);
	OK(c, SYS(c, SYS_removexattr, "d", "system.posix_acl_default"));
	OK(c, SYS(c, SYS_removexattr, "d", "system.posix_acl_default"));
	/* An ACL is a mode, too: not of a group that is not one's own. */
	OK(c, SYS(c, SYS_chown, "d/f", 1234, 500));
	OK(c, SYS(c, SYS_chmod, "d/f", 02770));
	c_user(c, 1234, 99);
	OK(c,
	    SYS(c, SYS_setxattr, "d/f", "system.posix_acl_access", &acl,
		sizeof(acl), 0));
	IS(c, c_mode(c, "d/f"), S_IFREG | 0770);
	c_user(c, 0, 0);
}

/* Files of memfd_create, and what seals keep from being done. */
static void
memory_files(struct conf *c)
{
	char name[300], buf[5];
	int fd;

	memset(name, 'n', sizeof(name));
	name[250] = '\0';
	IS(c, SYS(c, SYS_memfd_create, name, 0), -EINVAL);
	IS(c, SYS(c, SYS_memfd_create, "x", 0x4000), -EINVAL);
	name[249] = '\0';
	fd = (int)SYS(c, SYS_memfd_create, name, MFD_CLOEXEC);
	TRUE(c, fd >= 0);
	IS(c, SYS(c, SYS_fcntl, fd, F_GETFD), FD_CLOEXEC);
	IS(c, SYS(c, SYS_fcntl, fd, F_GETFL), O_RDWR | 0100000);
	IS(c, SYS(c, SYS_fcntl, fd, F_GET_SEALS), F_SEAL_SEAL);
	IS(c, SYS(c, SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_WRITE), -EPERM);
	IS(c, c_write(c, fd, "hello", 5), 5);
	IS(c, c_pread(c, fd, buf, 5, 0), 5);
	TRUE(c, memcmp(buf, "hello", 5) == 0);
	OK(c, c_close(c, fd));
}

static void
seals(struct conf *c)
{
	int fd = (int)SYS(c, SYS_memfd_create, "sealed", MFD_ALLOW_SEALING);

	TRUE(c, fd >= 0);
	IS(c, SYS(c, SYS_fcntl, fd, F_GET_SEALS), 0);
	IS(c, c_write(c, fd, "hello", 5), 5);
	IS(c, SYS(c, SYS_fcntl, fd, F_ADD_SEALS, 0x1000), -EINVAL);
	OK(c, SYS(c, SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK));
	IS(c, SYS(c, SYS_ftruncate, fd, 4), -EPERM);
	OK(c, SYS(c, SYS_ftruncate, fd, 5));
	OK(c, SYS(c, SYS_ftruncate, fd, 8));
	OK(c, SYS(c, SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_GROW));
	IS(c, SYS(c, SYS_ftruncate, fd, 9), -EPERM);
	IS(c, c_pwrite(c, fd, "abc", 3, 6), -EPERM);
	IS(c, c_pwrite(c, fd, "ab", 2, 6), 2);
	IS(c, SYS(c, SYS_fallocate, fd, 0, 0, 100), -EPERM);
	IS(c, SYS(c, SYS_fcntl, fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);
	OK(c, SYS(c, SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL));
	IS(c, c_pwrite(c, fd, "a", 1, 0), -EPERM);
	IS(c,
	    SYS(c, SYS_fallocate, fd,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4),
	    -EPERM);
	IS(c, SYS(c, SYS_fcntl, fd, F_ADD_SEALS, 0), -EPERM);
	OK(c, c_close(c, fd));
}

const struct conf_case conf_edges[] = {
	{ "memory files", memory_files, CONF_DATA },
	{ "seals", seals, CONF_DATA },
	{ "seeking far", seeks, CONF_DATA },
	{ "far positions", positions, CONF_DATA },
	{ "odd vectors", vectors, CONF_DATA },
	{ "neither read nor write", no_access, 0 },
	{ "O_PATH everywhere", path_descriptors, 0 },
	{ "directories everywhere", directory_descriptors, 0 },
	{ "moving data", movers, CONF_DATA },
	{ "flock changes", flock_changes, 0 },
	{ "ranges of locks", lock_ranges, 0 },
	{ "bounded creation", bounded_creation, 0 },
	{ "bounded by mounts", bounded_mount, CONF_MOUNT },
	{ "up in a lazy mount", lazy_up, CONF_MOUNT },
	{ "moved alike", moved_alike, CONF_MOUNT },
	{ "capabilities of files", capabilities, CONF_ROOT },
	{ "attribute names", attribute_names, CONF_XATTR },
	{ "permission for times", times_permission, CONF_ROOT },
	{ "set-group-id directories", setgid_directories, CONF_ROOT },
	{ "sticky directories", sticky, CONF_ROOT },
	{ "access of root", access_of_root, CONF_ROOT },
	{ "removed while read", removed_while_read, 0 },
	{ "made while read", made_while_read, 0 },
	{ "numbers of descriptors", numbers, CONF_DATA },
	{ "names too long", long_names, 0 },
	{ "chown and set-id bits", chown_clears, CONF_ROOT | CONF_DATA },
	{ "flags and buffers", statx_flags, 0 },
	{ "default ACLs", default_acl, CONF_ROOT },
	{ NULL, NULL, 0 },
};
