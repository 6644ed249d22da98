/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Contents of files.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "conf.h"

#ifndef FALLOC_FL_KEEP_SIZE
#define FALLOC_FL_KEEP_SIZE  1
#define FALLOC_FL_PUNCH_HOLE 2
#endif

#define PAGE 4096

static void
reads_and_writes(struct conf *c)
{
	char buf[32] = "";
	int fd = c_open(c, "f", O_CREAT | O_RDWR, 0644);

	IS(c, c_write(c, fd, "hello, world", 12), 12);
	IS(c, SYS(c, SYS_lseek, fd, 0, SEEK_CUR), 12);
	IS(c, SYS(c, SYS_read, fd, buf, 5), 0);
	IS(c, SYS(c, SYS_lseek, fd, 0, SEEK_SET), 0);
	IS(c, SYS(c, SYS_read, fd, buf, 5), 5);
	TRUE(c, memcmp(buf, "hello", 5) == 0);
	IS(c, SYS(c, SYS_read, fd, buf, 100), 7);
	IS(c, c_pwrite(c, fd, "J", 1, 0), 1);
	IS(c, SYS(c, SYS_lseek, fd, 0, SEEK_CUR), 12);
	IS(c, c_pread(c, fd, buf, 5, 0), 5);
	TRUE(c, memcmp(buf, "Jello", 5) == 0);
	IS(c, c_pread(c, fd, buf, 5, 12), 0);
	IS(c, c_pread(c, fd, buf, 5, 10), 2);
	IS(c, c_pread(c, fd, buf, 5, -1), -EINVAL);
	IS(c, c_write(c, fd, "", 0), 0);
	IS(c, c_write(c, fd, NULL, 5), -EFAULT);
	IS(c, c_size(c, "f"), 12);
}

static void
vectors(struct conf *c)
{
	char a[4] = "abc", b[8] = "defghij", x[4] = "", y[16] = "";
	struct iovec w[3] = { { a, 3 }, { NULL, 0 }, { b, 7 } };
	struct iovec r[2] = { { x, 2 }, { y, 16 } };
	int fd = c_open(c, "f", O_CREAT | O_RDWR, 0644);

	IS(c, SYS(c, SYS_writev, fd, w, 3), 10);
	IS(c, SYS(c, SYS_preadv, fd, r, 2, 0, 0), 10);
	TRUE(c, memcmp(x, "ab", 2) == 0);
	TRUE(c, memcmp(y, "cdefghij", 8) == 0);
	IS(c, SYS(c, SYS_pwritev, fd, w, 1, 100, 0), 3);
	IS(c, c_size(c, "f"), 103);
	IS(c, SYS(c, SYS_readv, fd, r, 1025), -EINVAL);
}

static void
seeking(struct conf *c)
{
	int fd = c_open(c, "f", O_CREAT | O_RDWR, 0644);

	IS(c, c_write(c, fd, "12345", 5), 5);
	IS(c, SYS(c, SYS_lseek, fd, -2, SEEK_END), 3);
	IS(c, SYS(c, SYS_lseek, fd, 10, SEEK_CUR), 13);
	IS(c, SYS(c, SYS_lseek, fd, -14, SEEK_CUR), -EINVAL);
	IS(c, SYS(c, SYS_lseek, fd, -1, SEEK_SET), -EINVAL);
	IS(c, SYS(c, SYS_lseek, fd, 0, 9), -EINVAL);
	IS(c, SYS(c, SYS_lseek, fd, 0, SEEK_CUR), 13);
	IS(c, c_write(c, fd, "x", 1), 1);
	IS(c, c_size(c, "f"), 14);
}

/* What is between is zeroes. */
static void
sparse(struct conf *c)
{
	static const int64_t at[] = { 0, PAGE - 1, 5 * PAGE + 17, 100 * PAGE,
		3000 * PAGE + 1 };
	char buf[PAGE], want[PAGE];
	int fd = c_open(c, "f", O_CREAT | O_RDWR, 0644);
	int64_t off, n;
	unsigned i;

	for (i = 0; i < 5; i++)
		IS(c, c_pwrite(c, fd, "#", 1, at[i]), 1);
	IS(c, c_size(c, "f"), 3000 * PAGE + 2);
	for (off = 0; off < 120 * PAGE; off += PAGE) {
		memset(want, 0, sizeof(want));
		for (i = 0; i < 5; i++)
			if (at[i] / PAGE * PAGE == off)
				want[at[i] % PAGE] = '#';
		n = c_pread(c, fd, buf, PAGE, off);
		IS(c, n, PAGE);
		TRUE(c, memcmp(buf, want, PAGE) == 0);
	}
	IS(c, c_pread(c, fd, buf, PAGE, 3000 * PAGE), 2);
	TRUE(c, buf[0] == 0 && buf[1] == '#');
}

/* Cutting and growing again shows no old bytes. */
static void
truncates(struct conf *c)
{
	char buf[3 * PAGE], zero[3 * PAGE] = "";
	int fd = c_open(c, "f", O_CREAT | O_RDWR, 0644);

	memset(buf, 'x', sizeof(buf));
	IS(c, c_write(c, fd, buf, sizeof(buf)), sizeof(buf));
	OK(c, SYS(c, SYS_ftruncate, fd, 100));
	IS(c, c_size(c, "f"), 100);
	OK(c, SYS(c, SYS_ftruncate, fd, 2 * PAGE + 5));
	IS(c, c_pread(c, fd, buf, sizeof(buf), 0), 2 * PAGE + 5);
	TRUE(c, buf[99] == 'x');
	TRUE(c, memcmp(buf + 100, zero, 2 * PAGE + 5 - 100) == 0);
	OK(c, SYS(c, SYS_truncate, "f", 0));
	IS(c, c_pread(c, fd, buf, 10, 0), 0);
	/* Writing past a cut end. */
	IS(c, c_pwrite(c, fd, "yyyy", 4, 0), 4);
	OK(c, SYS(c, SYS_ftruncate, fd, 2));
	IS(c, c_pwrite(c, fd, "z", 1, 10), 1);
	IS(c, c_pread(c, fd, buf, 100, 0), 11);
	TRUE(c, memcmp(buf, "yy\0\0\0\0\0\0\0\0z", 11) == 0);
}

static void
truncate_errors(struct conf *c)
{
	int fd;

	OK(c, c_file(c, "f", 0644));
	OK(c, c_mkdir(c, "d", 0755));
	IS(c, SYS(c, SYS_truncate, "f", -1), -EINVAL);
	IS(c, SYS(c, SYS_truncate, "d", 0), -EISDIR);
	IS(c, SYS(c, SYS_truncate, "no", 0), -ENOENT);
	IS(c, SYS(c, SYS_truncate, "f/x", 0), -ENOTDIR);
	fd = c_open(c, "d", O_RDONLY, 0);
	IS(c, SYS(c, SYS_ftruncate, fd, 0), -EINVAL);
	IS(c, SYS(c, SYS_ftruncate, 99, 0), -EBADF);
	IS(c, SYS(c, SYS_ftruncate, fd, -1), -EINVAL);
}

static void
set_ids_go(struct conf *c)
{
	int fd;

	OK(c, c_file(c, "f", 0777));
	OK(c, SYS(c, SYS_chown, "f", 1000, 1000));
	OK(c, SYS(c, SYS_chmod, "f", 06777));
	c_user(c, 1001, 1001);
	fd = c_open(c, "f", O_RDWR, 0);
	IS(c, c_write(c, fd, "x", 1), 1);
	IS(c, c_mode(c, "f"), S_IFREG | 0777);
	c_user(c, 0, 0);
	OK(c, SYS(c, SYS_chmod, "f", 06777));
	IS(c, c_write(c, fd, "x", 1), 1);
	c_user(c, 1001, 1001);
	OK(c, SYS(c, SYS_ftruncate, fd, 0));
	IS(c, c_mode(c, "f"), S_IFREG | 0777);
	c_user(c, 0, 0);
}

/* A model of the whole: random writes, reads, cuts. */
static void
model(struct conf *c)
{
	enum { SIZE = 200000, STEPS = 400 };
	char *want = calloc(1, SIZE), *buf = malloc(SIZE);
	int fd = c_open(c, "f", O_CREAT | O_RDWR, 0644);
	uint64_t x = 88172645463325252u;
	int64_t size = 0, off, len, n;
	unsigned i, op;

	for (i = 0; i < STEPS && c->c_failure[0] == '\0'; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		op = x % 8;
		off = (int64_t)((x >> 8) % SIZE);
		len = (int64_t)((x >> 32) % 20000);
		if (len > SIZE - off)
			len = SIZE - off;
		if (op < 4) {
			memset(buf, 'a' + (int)(i % 26), (size_t)len);
			IS(c, c_pwrite(c, fd, buf, (size_t)len, off), len);
			memset(want + off, 'a' + (int)(i % 26), (size_t)len);
			if (len > 0 && off + len > size)
				size = off + len;
		} else if (op < 7) {
			n = off >= size      ? 0 :
			    len > size - off ? size - off :
					       len;
			IS(c, c_pread(c, fd, buf, (size_t)len, off), n);
			TRUE(c, memcmp(buf, want + off, (size_t)n) == 0);
		} else {
			OK(c, SYS(c, SYS_ftruncate, fd, off));
			if (off < size)
				memset(want + off, 0, (size_t)(size - off));
			size = off;
		}
	}
	OK(c, SYS(c, SYS_fsync, fd));
	IS(c, c_pread(c, fd, buf, SIZE, 0), size);
	TRUE(c, memcmp(buf, want, (size_t)size) == 0);
	free(want);
	free(buf);
}

static void
deleted_but_open(struct conf *c)
{
	char buf[16] = "";
	int fd = c_open(c, "f", O_CREAT | O_RDWR, 0644);

	IS(c, c_write(c, fd, "still here", 10), 10);
	OK(c, c_unlink(c, "f"));
	IS(c, c_pread(c, fd, buf, 16, 0), 10);
	TRUE(c, memcmp(buf, "still here", 10) == 0);
	IS(c, c_write(c, fd, "!", 1), 1);
	OK(c, SYS(c, SYS_fsync, fd));
	OK(c, c_close(c, fd));
}

static void
holes(struct conf *c)
{
	char *buf = malloc(16 * PAGE);
	int fd = c_open(c, "f", O_CREAT | O_RDWR, 0644);
	int64_t i;

	memset(buf, 'x', 16 * PAGE);
	IS(c, c_write(c, fd, buf, 16 * PAGE), 16 * PAGE);
	OK(c,
	    SYS(c, SYS_fallocate, fd,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * PAGE - 10,
		4 * PAGE + 20));
	IS(c, c_size(c, "f"), 16 * PAGE);
	IS(c, c_pread(c, fd, buf, 16 * PAGE, 0), 16 * PAGE);
	for (i = 0; i < 16 * PAGE; i++)
		if ((buf[i] == 0) !=
		    (i >= 4 * PAGE - 10 && i < 8 * PAGE + 10)) {
			IS(c, i, -1);
			break;
		}
	IS(c, SYS(c, SYS_lseek, fd, 0, SEEK_HOLE), 4 * PAGE);
	IS(c, SYS(c, SYS_lseek, fd, 4 * PAGE, SEEK_DATA), 8 * PAGE);
	IS(c, SYS(c, SYS_lseek, fd, 8 * PAGE, SEEK_HOLE), 16 * PAGE);
	IS(c, SYS(c, SYS_lseek, fd, 16 * PAGE, SEEK_DATA), -ENXIO);
	IS(c, SYS(c, SYS_lseek, fd, 16 * PAGE, SEEK_HOLE), -ENXIO);
	IS(c, SYS(c, SYS_lseek, fd, -1, SEEK_HOLE), -ENXIO);
	IS(c, SYS(c, SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE, 0, PAGE),
	    -EOPNOTSUPP);
	free(buf);
}

static void
allocates(struct conf *c)
{
	struct stat st;
	char buf[10];
	int fd = c_open(c, "f", O_CREAT | O_RDWR, 0644);

	OK(c, SYS(c, SYS_fallocate, fd, FALLOC_FL_KEEP_SIZE, 0, 8 * PAGE));
	OK(c, SYS(c, SYS_fstat, fd, &st));
	IS(c, st.st_size, 0);
	TRUE(c, st.st_blocks >= 64);
	OK(c, SYS(c, SYS_fallocate, fd, 0, 0, 4 * PAGE));
	IS(c, c_size(c, "f"), 4 * PAGE);
	IS(c, c_pread(c, fd, buf, 10, 0), 10);
	TRUE(c, buf[0] == 0 && buf[9] == 0);
	IS(c, SYS(c, SYS_fallocate, fd, 0, 0, 0), -EINVAL);
	IS(c, SYS(c, SYS_fallocate, fd, 0, -1, 10), -EINVAL);
	IS(c, SYS(c, SYS_fallocate, 99, 0, 0, 10), -EBADF);
	fd = c_open(c, "f", O_RDONLY, 0);
	IS(c, SYS(c, SYS_fallocate, fd, 0, 0, 10), -EBADF);
}

static void
syncs(struct conf *c)
{
	int fd = c_open(c, "f", O_CREAT | O_RDWR, 0644), d;

	IS(c, c_write(c, fd, "x", 1), 1);
	OK(c, SYS(c, SYS_fsync, fd));
	OK(c, SYS(c, SYS_fdatasync, fd));
	OK(c, SYS(c, SYS_syncfs, fd));
	d = c_open(c, ".", O_RDONLY, 0);
	OK(c, SYS(c, SYS_fsync, d));
	IS(c, SYS(c, SYS_fsync, 99), -EBADF);
	fd = c_open(c, "s", O_CREAT | O_WRONLY | O_SYNC, 0644);
	IS(c, c_write(c, fd, "x", 1), 1);
	fd = c_open(c, "t", O_CREAT | O_WRONLY | O_DSYNC, 0644);
	IS(c, c_write(c, fd, "x", 1), 1);
}

/* Page `i` of a file holds this byte; 0 is a hole. */
static void
pages_are(struct conf *c, int fd, const char *want, int line)
{
	char page[PAGE], all[PAGE];
	size_t i;

	for (i = 0; want[i] != '\0'; i++) {
		memset(all, want[i] == '0' ? 0 : want[i], PAGE);
		if (c_pread(c, fd, page, PAGE, (int64_t)i * PAGE) != PAGE ||
		    memcmp(page, all, PAGE) != 0) {
			conf_is(c, page[0], want[i], "page", __FILE__, line);
			return;
		}
	}
	conf_is(c, c_pread(c, fd, page, PAGE, (int64_t)i * PAGE), 0, "end",
	    __FILE__, line);
}
#define PAGES(c, fd, want) pages_are((c), (fd), (want), __LINE__)

/* A file of such pages, open; what is a hole is left out. */
static int
make_pages(struct conf *c, const char *path, const char *what)
{
	int fd = c_open(c, path, O_CREAT | O_TRUNC | O_RDWR, 0644);
	char page[PAGE];
	size_t i;

	OK(c, SYS(c, SYS_ftruncate, fd, strlen(what) * PAGE));
	for (i = 0; what[i] != '\0'; i++) {
		if (what[i] == '0')
			continue;
		memset(page, what[i], PAGE);
		IS(c, c_pwrite(c, fd, page, PAGE, (int64_t)i * PAGE), PAGE);
	}
	return fd;
}

/* Does the file system take ranges out and put them in? */
static bool
moves_ranges(struct conf *c)
{
	int fd = make_pages(c, "probe", "ab");
	int64_t r = SYS(c, SYS_fallocate, fd, FALLOC_FL_COLLAPSE_RANGE, 0,
	    PAGE);

	OK(c, c_close(c, fd));
	if (r != -EOPNOTSUPP)
		OK(c, r);
	return r == 0;
}

static void
collapses(struct conf *c)
{
	struct stat st;
	int fd;

	if (!moves_ranges(c))
		return;
	fd = make_pages(c, "f", "abcdefghij");
	OK(c,
	    SYS(c, SYS_fallocate, fd, FALLOC_FL_COLLAPSE_RANGE, 2 * PAGE,
		3 * PAGE));
	PAGES(c, fd, "abfghij");
	OK(c, SYS(c, SYS_fallocate, fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE));
	PAGES(c, fd, "bfghij");
	/* What is written between is not lost. */
	IS(c, c_pwrite(c, fd, "x", 1, 5 * PAGE + 100), 1);
	OK(c, SYS(c, SYS_fallocate, fd, FALLOC_FL_COLLAPSE_RANGE, PAGE, PAGE));
	OK(c, SYS(c, SYS_fstat, fd, &st));
	IS(c, st.st_size, 5 * PAGE);
	IS(c, c_pwrite(c, fd, "j", 1, 4 * PAGE + 100), 1);
	PAGES(c, fd, "bghij");
	OK(c, c_close(c, fd));
	/* Holes move too; the last page is not whole. */
	fd = make_pages(c, "g", "a00b0c0d");
	OK(c, SYS(c, SYS_ftruncate, fd, 7 * PAGE + 10));
	OK(c, SYS(c, SYS_fallocate, fd, FALLOC_FL_COLLAPSE_RANGE, PAGE, PAGE));
	OK(c, SYS(c, SYS_fstat, fd, &st));
	IS(c, st.st_size, 6 * PAGE + 10);
	OK(c, SYS(c, SYS_ftruncate, fd, 6 * PAGE));
	PAGES(c, fd, "a0b0c0");
	OK(c, c_close(c, fd));
}

static void
inserts(struct conf *c)
{
	struct stat st;
	int fd;

	if (!moves_ranges(c))
		return;
	fd = make_pages(c, "f", "abcdef");
	OK(c,
	    SYS(c, SYS_fallocate, fd, FALLOC_FL_INSERT_RANGE, 2 * PAGE,
		2 * PAGE));
	PAGES(c, fd, "ab00cdef");
	OK(c, SYS(c, SYS_fallocate, fd, FALLOC_FL_INSERT_RANGE, 0, PAGE));
	PAGES(c, fd, "0ab00cdef");
	OK(c,
	    SYS(c, SYS_fallocate, fd, FALLOC_FL_INSERT_RANGE, 8 * PAGE, PAGE));
	PAGES(c, fd, "0ab00cde0f");
	OK(c,
	    SYS(c, SYS_fallocate, fd, FALLOC_FL_COLLAPSE_RANGE, 3 * PAGE,
		2 * PAGE));
	PAGES(c, fd, "0abcde0f");
	OK(c, SYS(c, SYS_fsync, fd));
	OK(c, SYS(c, SYS_fstat, fd, &st));
	IS(c, st.st_blocks, 6 * PAGE / 512);
	OK(c, c_close(c, fd));
}

static void
moving_errors(struct conf *c)
{
	int fd;

	if (!moves_ranges(c))
		return;
	fd = make_pages(c, "f", "abcd");
#define MOVE(mode, off, len) SYS(c, SYS_fallocate, fd, (mode), (off), (len))
	IS(c, MOVE(FALLOC_FL_COLLAPSE_RANGE, 1, PAGE), -EINVAL);
	IS(c, MOVE(FALLOC_FL_COLLAPSE_RANGE, 0, 100), -EINVAL);
	IS(c, MOVE(FALLOC_FL_COLLAPSE_RANGE, 2 * PAGE, 2 * PAGE), -EINVAL);
	IS(c, MOVE(FALLOC_FL_COLLAPSE_RANGE, 9 * PAGE, PAGE), -EINVAL);
	IS(c, MOVE(FALLOC_FL_INSERT_RANGE, 4 * PAGE, PAGE), -EINVAL);
	IS(c, MOVE(FALLOC_FL_INSERT_RANGE, PAGE, 10), -EINVAL);
	IS(c, MOVE(FALLOC_FL_INSERT_RANGE, 0, INT64_MAX / PAGE * PAGE), -EFBIG);
#undef MOVE
	PAGES(c, fd, "abcd");
	OK(c, c_close(c, fd));
}

/* Thousands of extents are moved by several transactions. */
static void
moves_many(struct conf *c)
{
	char name[2] = "x", got[1];
	int fd, i;

	if (!moves_ranges(c))
		return;
	fd = c_open(c, "f", O_CREAT | O_RDWR, 0644);
	for (i = 0; i < 600; i++) {
		name[0] = (char)('a' + i % 26);
		IS(c, c_pwrite(c, fd, name, 1, (int64_t)i * 2 * PAGE), 1);
	}
	OK(c, SYS(c, SYS_fallocate, fd, FALLOC_FL_INSERT_RANGE, PAGE, PAGE));
	OK(c, SYS(c, SYS_fallocate, fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE));
	for (i = 1; i < 600; i++) {
		IS(c, c_pread(c, fd, got, 1, (int64_t)i * 2 * PAGE), 1);
		IS(c, got[0], 'a' + i % 26);
	}
	IS(c, c_pread(c, fd, got, 1, 0), 1);
	IS(c, got[0], 0);
	OK(c, c_close(c, fd));
}

const struct conf_case conf_data[] = {
	{ "read and write", reads_and_writes, CONF_DATA },
	{ "readv and writev", vectors, CONF_DATA },
	{ "lseek", seeking, CONF_DATA },
	{ "sparse files", sparse, CONF_DATA },
	{ "truncate", truncates, CONF_DATA },
	{ "truncate errors", truncate_errors, CONF_DATA },
	{ "set-id bits go", set_ids_go, CONF_DATA | CONF_ROOT },
	{ "a model", model, CONF_DATA },
	{ "deleted but open", deleted_but_open, CONF_DATA },
	{ "holes", holes, CONF_DATA | CONF_HOLES },
	{ "fallocate", allocates, CONF_DATA | CONF_HOLES },
	{ "collapse range", collapses, CONF_DATA | CONF_HOLES },
	{ "insert range", inserts, CONF_DATA | CONF_HOLES },
	{ "moving errors", moving_errors, CONF_DATA | CONF_HOLES },
	{ "many extents move", moves_many, CONF_DATA | CONF_HOLES },
	{ "fsync", syncs, CONF_DATA },
	{ NULL, NULL, 0 },
};
