/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fifos, and data that move between files without the caller's memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "conf.h"

/* ---- fifos ---------------------------------------------------------------------- */

/* What poll says of a descriptor, at once. */
static int
poll_(struct conf *c, int fd, int events)
{
	struct pollfd p = { .fd = fd, .events = (short)events };
	int64_t n = SYS(c, SYS_poll, &p, 1, 0);

	return n < 0 ? (int)n : p.revents;
}

static int
fifo(struct conf *c, const char *path)
{
	return (int)SYS(c, SYS_mknod, path, S_IFIFO | 0600, 0);
}

static void
fifo_ends(struct conf *c)
{
	char buf[8];
	int r, w;

	OK(c, fifo(c, "f"));
	IS(c, c_open(c, "f", O_WRONLY | O_NONBLOCK, 0), -ENXIO);
	r = c_open(c, "f", O_RDONLY | O_NONBLOCK, 0);
	TRUE(c, r >= 0);
	/* No writer yet: its end, but no hang-up. */
	IS(c, SYS(c, SYS_read, r, buf, sizeof(buf)), 0);
	IS(c, poll_(c, r, POLLIN), 0);
	w = c_open(c, "f", O_WRONLY | O_NONBLOCK, 0);
	TRUE(c, w >= 0);
	IS(c, SYS(c, SYS_read, r, buf, sizeof(buf)), -EAGAIN);
	IS(c, poll_(c, w, POLLOUT), POLLOUT);
	IS(c, c_write(c, w, "abc", 3), 3);
	IS(c, poll_(c, r, POLLIN), POLLIN);
	IS(c, SYS(c, SYS_read, w, buf, 1), -EBADF);
	IS(c, c_write(c, r, "x", 1), -EBADF);
	IS(c, SYS(c, SYS_read, r, buf, sizeof(buf)), 3);
	TRUE(c, memcmp(buf, "abc", 3) == 0);
	OK(c, c_close(c, w));
	IS(c, poll_(c, r, POLLIN), POLLHUP);
	IS(c, SYS(c, SYS_read, r, buf, sizeof(buf)), 0);
	OK(c, c_close(c, r));
}

static void
fifo_file(struct conf *c)
{
	struct stat st;
	char buf[8];
	int fd, fd2;

	OK(c, fifo(c, "f"));
	OK(c, c_link(c, "f", "g"));
	fd = c_open(c, "f", O_RDWR | O_NONBLOCK, 0);
	IS(c, c_write(c, fd, "hello", 5), 5);
	OK(c, SYS(c, SYS_fstat, fd, &st));
	IS(c, st.st_mode, S_IFIFO | 0600);
	IS(c, st.st_size, 0);
	IS(c, st.st_ino, (uint64_t)c_ino(c, "g"));
	IS(c, SYS(c, SYS_lseek, fd, 0, SEEK_SET), -ESPIPE);
	IS(c, c_pread(c, fd, buf, 1, 0), -ESPIPE);
	IS(c, SYS(c, SYS_fsync, fd), -EINVAL);
	IS(c, SYS(c, SYS_ftruncate, fd, 0), -EINVAL);
	IS(c, SYS(c, SYS_truncate, "f", 0), -EINVAL);
	IS(c, SYS(c, SYS_fallocate, fd, 0, 0, 1), -ESPIPE);
	/* The other name is the same fifo. */
	fd2 = c_open(c, "g", O_RDONLY | O_NONBLOCK, 0);
	IS(c, SYS(c, SYS_read, fd2, buf, 2), 2);
	TRUE(c, memcmp(buf, "he", 2) == 0);
	/* What nobody has open any more has nothing in it. */
	OK(c, c_close(c, fd));
	OK(c, c_close(c, fd2));
	fd = c_open(c, "f", O_RDWR | O_NONBLOCK, 0);
	IS(c, SYS(c, SYS_read, fd, buf, sizeof(buf)), -EAGAIN);
	/* Nor does a removed one go before it is closed. */
	OK(c, c_unlink(c, "f"));
	OK(c, c_unlink(c, "g"));
	IS(c, c_write(c, fd, "x", 1), 1);
	IS(c, SYS(c, SYS_read, fd, buf, sizeof(buf)), 1);
	OK(c, c_close(c, fd));
}

static void
fifo_access(struct conf *c)
{
	OK(c, fifo(c, "f"));
	OK(c, SYS(c, SYS_chmod, "f", 0600));
	OK(c, SYS(c, SYS_chmod, ".", 0755));
	c_user(c, 1234, 1234);
	IS(c, c_open(c, "f", O_RDONLY | O_NONBLOCK, 0), -EACCES);
	IS(c, c_open(c, "f", O_RDWR | O_NONBLOCK, 0), -EACCES);
	c_user(c, 0, 0);
	OK(c, SYS(c, SYS_mknod, "s", S_IFSOCK | 0600, 0));
	IS(c, c_open(c, "s", O_RDONLY, 0), -ENXIO);
}

/* ---- sendfile ------------------------------------------------------------------- */

/* A file of `n` bytes, each its position in a way, open. */
static int
counted(struct conf *c, const char *path, int flags, size_t n)
{
	int fd = c_open(c, path, O_CREAT | O_TRUNC | O_RDWR | flags, 0644);
	unsigned char buf[1024];
	size_t i, done = 0;

	for (i = 0; done < n; i++) {
		buf[i % sizeof(buf)] = (unsigned char)(done * 7 + (done >> 8));
		done++;
		if (done % sizeof(buf) == 0 || done == n)
			IS(c, c_write(c, fd, buf, i % sizeof(buf) + 1),
			    i % sizeof(buf) + 1);
	}
	OK(c, SYS(c, SYS_lseek, fd, 0, SEEK_SET));
	return fd;
}

/* Are [from, from + n) of `fd` what counted wrote at `was`? */
static bool
is_counted(struct conf *c, int fd, int64_t from, size_t was, size_t n)
{
	unsigned char b;
	size_t i;

	for (i = 0; i < n; i += i + 97 < n || i + 1 == n ? 97 : n - 1 - i) {
		if (c_pread(c, fd, &b, 1, from + (int64_t)i) != 1 ||
		    b != (unsigned char)((was + i) * 7 + ((was + i) >> 8)))
			return false;
	}
	return true;
}

static void
sendfile_copies(struct conf *c)
{
	int in = counted(c, "in", 0, 200000);
	int out = c_open(c, "out", O_CREAT | O_RDWR, 0644);
	int64_t off = 1000;

	IS(c, SYS(c, SYS_sendfile, out, in, &off, 3000), 3000);
	IS(c, off, 4000);
	IS(c, SYS(c, SYS_lseek, in, 0, SEEK_CUR), 0);
	IS(c, SYS(c, SYS_lseek, out, 0, SEEK_CUR), 3000);
	TRUE(c, is_counted(c, out, 0, 1000, 3000));
	IS(c, SYS(c, SYS_sendfile, out, in, NULL, 100), 100);
	IS(c, SYS(c, SYS_lseek, in, 0, SEEK_CUR), 100);
	TRUE(c, is_counted(c, out, 3000, 0, 100));
	/* To the end and not beyond. */
	IS(c, SYS(c, SYS_sendfile, out, in, NULL, 1000000), 199900);
	TRUE(c, is_counted(c, out, 3100, 100, 199900));
	IS(c, SYS(c, SYS_sendfile, out, in, NULL, 1), 0);
	off = 500000;
	IS(c, SYS(c, SYS_sendfile, out, in, &off, 1), 0);
	IS(c, off, 500000);
	IS(c, SYS(c, SYS_sendfile, out, in, NULL, 0), 0);
}

static void
sendfile_errors(struct conf *c)
{
	int in = counted(c, "in", 0, 100);
	int ro = c_open(c, "in", O_RDONLY, 0);
	int wo = c_open(c, "out", O_CREAT | O_WRONLY, 0644);
	int ap = c_open(c, "out", O_WRONLY | O_APPEND, 0644);
	int dir = c_open(c, ".", O_RDONLY, 0);
	int64_t off = -1;

	IS(c, SYS(c, SYS_sendfile, 99, in, NULL, 1), -EBADF);
	IS(c, SYS(c, SYS_sendfile, wo, 99, NULL, 1), -EBADF);
	IS(c, SYS(c, SYS_sendfile, ro, in, NULL, 1), -EBADF);
	IS(c, SYS(c, SYS_sendfile, wo, wo, NULL, 1), -EBADF);
	IS(c, SYS(c, SYS_sendfile, ap, in, NULL, 1), -EINVAL);
	IS(c, SYS(c, SYS_sendfile, wo, in, &off, 1), -EINVAL);
	IS(c, SYS(c, SYS_sendfile, wo, in, 8, 1), -EFAULT);
	IS(c, SYS(c, SYS_sendfile, wo, dir, NULL, 1), -EINVAL);
}

/* ---- splice --------------------------------------------------------------------- */

static void
splice_moves(struct conf *c)
{
	int in = counted(c, "in", 0, 30000), p[2] = { -1, -1 };
	int out = c_open(c, "out", O_CREAT | O_RDWR, 0644);
	int64_t off = 5, to = 10;
	char buf[16];

	OK(c, SYS(c, SYS_pipe, p));
	IS(c, SYS(c, SYS_splice, in, &off, p[1], NULL, 20000, 0), 20000);
	IS(c, off, 20005);
	IS(c, SYS(c, SYS_lseek, in, 0, SEEK_CUR), 0);
	IS(c, SYS(c, SYS_splice, p[0], NULL, out, &to, 15000, 0), 15000);
	IS(c, to, 15010);
	TRUE(c, is_counted(c, out, 10, 5, 15000));
	IS(c, SYS(c, SYS_splice, p[0], NULL, out, NULL, 100000, 0), 5000);
	IS(c, SYS(c, SYS_lseek, out, 0, SEEK_CUR), 5000);
	TRUE(c, is_counted(c, out, 0, 15005, 5000));
	IS(c, SYS(c, SYS_splice, p[0], NULL, out, NULL, 1, SPLICE_F_NONBLOCK),
	    -EAGAIN);
	/* At the file's own position, and at its end. */
	IS(c, SYS(c, SYS_lseek, in, 29990, SEEK_SET), 29990);
	IS(c, SYS(c, SYS_splice, in, NULL, p[1], NULL, 100, 0), 10);
	IS(c, SYS(c, SYS_splice, in, NULL, p[1], NULL, 100, 0), 0);
	IS(c, SYS(c, SYS_read, p[0], buf, sizeof(buf)), 10);
	OK(c, c_close(c, p[1]));
	IS(c, SYS(c, SYS_splice, p[0], NULL, out, NULL, 1, 0), 0);
	OK(c, c_close(c, p[0]));
}

static void
splice_fills(struct conf *c)
{
	int in = counted(c, "in", 0, 200000), p[2] = { -1, -1 };
	int64_t off = 0;

	OK(c, SYS(c, SYS_pipe, p));
	/* As much as there is room for, and then no more. */
	IS(c,
	    SYS(c, SYS_splice, in, &off, p[1], NULL, 200000, SPLICE_F_NONBLOCK),
	    65536);
	IS(c, off, 65536);
	IS(c, SYS(c, SYS_splice, in, &off, p[1], NULL, 1, SPLICE_F_NONBLOCK),
	    -EAGAIN);
	IS(c, off, 65536);
	OK(c, c_close(c, p[0]));
	OK(c, c_close(c, p[1]));
}

static void
splice_errors(struct conf *c)
{
	int in = counted(c, "in", 0, 100), p[2] = { -1, -1 };
	int out = c_open(c, "out", O_CREAT | O_WRONLY, 0644);
	int ap = c_open(c, "out", O_WRONLY | O_APPEND, 0644);
	int dir = c_open(c, ".", O_RDONLY, 0);
	int64_t off = 0, bad = -1;

	OK(c, SYS(c, SYS_pipe, p));
	IS(c, SYS(c, SYS_splice, 99, NULL, 99, NULL, 0, 0), 0);
	IS(c, SYS(c, SYS_splice, in, NULL, out, NULL, 1, 0), -EINVAL);
	IS(c, SYS(c, SYS_splice, in, NULL, p[1], NULL, 1, 64), -EINVAL);
	IS(c, SYS(c, SYS_splice, 99, NULL, p[1], NULL, 1, 0), -EBADF);
	IS(c, SYS(c, SYS_splice, out, NULL, p[1], NULL, 1, 0), -EBADF);
	IS(c, SYS(c, SYS_splice, in, NULL, p[0], NULL, 1, 0), -EBADF);
	IS(c, SYS(c, SYS_splice, in, NULL, p[1], &off, 1, 0), -ESPIPE);
	IS(c, SYS(c, SYS_splice, p[0], &off, out, NULL, 1, 0), -ESPIPE);
	IS(c, SYS(c, SYS_splice, in, &bad, p[1], NULL, 1, 0), -EINVAL);
	IS(c, SYS(c, SYS_splice, dir, NULL, p[1], NULL, 1, 0), -EINVAL);
	IS(c, SYS(c, SYS_splice, p[0], NULL, p[1], NULL, 1, 0), -EINVAL);
	IS(c, c_write(c, p[1], "x", 1), 1);
	IS(c, SYS(c, SYS_splice, p[0], NULL, ap, NULL, 1, 0), -EINVAL);
	OK(c, c_close(c, p[0]));
	OK(c, c_close(c, p[1]));
}

static void
tees(struct conf *c)
{
	int a[2] = { -1, -1 }, b[2] = { -1, -1 };
	struct iovec iov[2] = { { (void *)"ab", 2 }, { (void *)"cde", 3 } };
	char buf[16];

	OK(c, SYS(c, SYS_pipe, a));
	OK(c, SYS(c, SYS_pipe, b));
	IS(c, SYS(c, SYS_tee, a[0], b[1], 10, SPLICE_F_NONBLOCK), -EAGAIN);
	IS(c, SYS(c, SYS_vmsplice, a[1], iov, 2, 0), 5);
	IS(c, SYS(c, SYS_tee, a[0], b[1], 3, 0), 3);
	IS(c, SYS(c, SYS_read, b[0], buf, sizeof(buf)), 3);
	TRUE(c, memcmp(buf, "abc", 3) == 0);
	/* It is all still there; splice takes it away. */
	IS(c, SYS(c, SYS_splice, a[0], NULL, b[1], NULL, 4, 0), 4);
	IS(c, SYS(c, SYS_read, b[0], buf, sizeof(buf)), 4);
	TRUE(c, memcmp(buf, "abcd", 4) == 0);
	IS(c, SYS(c, SYS_read, a[0], buf, sizeof(buf)), 1);
	TRUE(c, buf[0] == 'e');
	IS(c, SYS(c, SYS_tee, a[0], a[1], 1, 0), -EINVAL);
	IS(c, SYS(c, SYS_tee, a[0], b[0], 1, 0), -EBADF);
	IS(c, SYS(c, SYS_vmsplice, c_open(c, ".", 0, 0), iov, 1, 0), -EBADF);
}

/* ---- copy_file_range ------------------------------------------------------------ */

static void
range_copies(struct conf *c)
{
	int in = counted(c, "in", 0, 150000);
	int out = c_open(c, "out", O_CREAT | O_RDWR, 0644);
	int64_t from = 100, to = 50;

	IS(c, SYS(c, SYS_copy_file_range, in, &from, out, &to, 100000, 0),
	    100000);
	IS(c, from, 100100);
	IS(c, to, 100050);
	TRUE(c, is_counted(c, out, 50, 100, 100000));
	IS(c, SYS(c, SYS_lseek, in, 0, SEEK_CUR), 0);
	IS(c, SYS(c, SYS_copy_file_range, in, NULL, out, NULL, 10, 0), 10);
	IS(c, SYS(c, SYS_lseek, in, 0, SEEK_CUR), 10);
	IS(c, SYS(c, SYS_lseek, out, 0, SEEK_CUR), 10);
	from = 149990;
	IS(c, SYS(c, SYS_copy_file_range, in, &from, out, NULL, 100, 0), 10);
	IS(c, SYS(c, SYS_copy_file_range, in, &from, out, NULL, 100, 0), 0);
	/* Within one file, next to each other. */
	from = 0;
	to = 20000;
	IS(c, SYS(c, SYS_copy_file_range, in, &from, in, &to, 20000, 0), 20000);
	TRUE(c, is_counted(c, in, 20000, 0, 20000));
}

static void
range_errors(struct conf *c)
{
	int in = counted(c, "in", 0, 1000);
	int ro = c_open(c, "in", O_RDONLY, 0);
	int out = c_open(c, "out", O_CREAT | O_WRONLY, 0644);
	int ap = c_open(c, "out", O_WRONLY | O_APPEND, 0644);
	int dir = c_open(c, ".", O_RDONLY, 0), p[2] = { -1, -1 };
	int64_t from = 0, to = 100, bad = -5;

	OK(c, SYS(c, SYS_pipe, p));
	IS(c, SYS(c, SYS_copy_file_range, 99, NULL, out, NULL, 1, 0), -EBADF);
	IS(c, SYS(c, SYS_copy_file_range, in, NULL, 99, NULL, 1, 0), -EBADF);
	IS(c, SYS(c, SYS_copy_file_range, in, NULL, ro, NULL, 1, 0), -EBADF);
	IS(c, SYS(c, SYS_copy_file_range, out, NULL, in, NULL, 1, 0), -EBADF);
	IS(c, SYS(c, SYS_copy_file_range, in, NULL, ap, NULL, 1, 0), -EBADF);
	IS(c, SYS(c, SYS_copy_file_range, in, NULL, out, NULL, 1, 1), -EINVAL);
	IS(c, SYS(c, SYS_copy_file_range, dir, NULL, out, NULL, 1, 0), -EISDIR);
	IS(c, SYS(c, SYS_copy_file_range, p[0], NULL, out, NULL, 1, 0),
	    -EINVAL);
	IS(c, SYS(c, SYS_copy_file_range, in, &bad, out, NULL, 1, 0), -EINVAL);
	bad = -1;
	IS(c, SYS(c, SYS_copy_file_range, in, &bad, out, NULL, 1, 0),
	    -EOVERFLOW);
	IS(c, SYS(c, SYS_copy_file_range, in, &from, in, &to, 101, 0), -EINVAL);
	IS(c, SYS(c, SYS_copy_file_range, in, &from, out, 8, 1, 0), -EFAULT);
	OK(c, c_close(c, p[0]));
	OK(c, c_close(c, p[1]));
}

/* ---- advice --------------------------------------------------------------------- */

static void
advice(struct conf *c)
{
	int fd = counted(c, "f", 0, 50000), p[2] = { -1, -1 };
	int wo = c_open(c, "f", O_WRONLY, 0);

	OK(c, SYS(c, SYS_pipe, p));
	OK(c, SYS(c, SYS_fadvise64, fd, 0, 0, POSIX_FADV_SEQUENTIAL));
	OK(c, SYS(c, SYS_fadvise64, fd, 0, 0, POSIX_FADV_RANDOM));
	OK(c, SYS(c, SYS_fadvise64, fd, 5000, 100, POSIX_FADV_DONTNEED));
	OK(c, SYS(c, SYS_fadvise64, fd, 0, 0, POSIX_FADV_DONTNEED));
	TRUE(c, is_counted(c, fd, 0, 0, 50000));
	OK(c, SYS(c, SYS_sync_file_range, fd, 0, 0, 7));
	OK(c, SYS(c, SYS_fadvise64, fd, 0, 20000, POSIX_FADV_DONTNEED));
	OK(c, SYS(c, SYS_fadvise64, fd, 0, 1 << 20, POSIX_FADV_WILLNEED));
	OK(c, SYS(c, SYS_readahead, fd, 0, 1 << 20));
	TRUE(c, is_counted(c, fd, 0, 0, 50000));
	IS(c, SYS(c, SYS_fadvise64, fd, 0, 0, 99), -EINVAL);
	IS(c, SYS(c, SYS_fadvise64, fd, 0, -1, 0), -EINVAL);
	IS(c, SYS(c, SYS_fadvise64, 99, 0, 0, 0), -EBADF);
	IS(c, SYS(c, SYS_fadvise64, p[0], 0, 0, 0), -ESPIPE);
	IS(c, SYS(c, SYS_readahead, wo, 0, 1), -EBADF);
	IS(c, SYS(c, SYS_readahead, p[0], 0, 1), -EINVAL);
	IS(c, SYS(c, SYS_sync_file_range, fd, 0, 0, 8), -EINVAL);
	IS(c, SYS(c, SYS_sync_file_range, fd, -1, 1, 0), -EINVAL);
	IS(c, SYS(c, SYS_sync_file_range, p[0], 0, 0, 2), -ESPIPE);
	OK(c, c_close(c, p[0]));
	OK(c, c_close(c, p[1]));
}

const struct conf_case conf_move[] = {
	{ "ends of fifos", fifo_ends, 0 },
	{ "fifos as files", fifo_file, 0 },
	{ "access to fifos", fifo_access, CONF_ROOT },
	{ "sendfile", sendfile_copies, CONF_DATA },
	{ "sendfile errors", sendfile_errors, CONF_DATA },
	{ "splice", splice_moves, CONF_DATA },
	{ "splice fills a pipe", splice_fills, CONF_DATA },
	{ "splice errors", splice_errors, CONF_DATA },
	{ "tee and vmsplice", tees, CONF_DATA },
	{ "copy_file_range", range_copies, CONF_DATA },
	{ "copy_file_range errors", range_errors, CONF_DATA },
	{ "advice", advice, CONF_DATA },
	{ NULL, NULL, 0 },
};
