/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tree of the benchmarks: 6,500 files in some 500 directories, half of them
 * below 8 KiB, the few largest of some MiB.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include <quern/abi/errno.h>
#include <quern/abi/fcntl.h>
#include <quern/abi/fs.h>
#include <quern/abi/stat.h>

#include "tree.h"

#define DIRS    500u
#define DEPTH   6u
#define BLOCK   512u
#define PIECE   65536u
#define MTIME   1700000000u
#define PATTERN 65536u

/* ---- the archive ------------------------------------------------------------------ */

/* A header of POSIX's ustar; numbers are octal. */
struct ustar {
	char us_name[100], us_mode[8], us_uid[8], us_gid[8], us_size[12];
	char us_mtime[12], us_sum[8], us_type, us_link[100], us_magic[8];
	char us_owner[64], us_fill[183];
};

_Static_assert(sizeof(struct ustar) == BLOCK, "a header is a block");

struct dir {
	char path[90];
	unsigned depth;
};

static uint64_t
next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/*
 * A size before all are scaled to the sum: 2 to a power that is about normally
 * distributed, the sum of four even ones.
 */
static uint64_t
next_size(uint64_t *state)
{
	uint64_t e = 0, whole;
	unsigned i;

	for (i = 0; i < 4; i++)
		e += next_random(state) % 4096;
	e += 4096; /* 1/1024ths: from 2^4 to 2^20, around 2^12 */
	whole = UINT64_C(1) << (e / 1024);
	return whole + whole * (e % 1024) / 1024;
}

static void
put_header(char *at, const char *name, unsigned mode, uint64_t size, char type)
{
	struct ustar *us = (struct ustar *)at;
	unsigned sum = 0, i;

	memset(us, 0, sizeof(*us));
	snprintf(us->us_name, sizeof(us->us_name), "%s", name);
	snprintf(us->us_mode, sizeof(us->us_mode), "%07o", mode);
	snprintf(us->us_uid, sizeof(us->us_uid), "%07o", 0u);
	snprintf(us->us_gid, sizeof(us->us_gid), "%07o", 0u);
	snprintf(us->us_size, sizeof(us->us_size), "%011llo",
	    (unsigned long long)size);
	snprintf(us->us_mtime, sizeof(us->us_mtime), "%011o", MTIME);
	memcpy(us->us_magic, "ustar\00000", 8);
	us->us_type = type;
	memset(us->us_sum, ' ', sizeof(us->us_sum));
	for (i = 0; i < BLOCK; i++)
		sum += (unsigned char)at[i];
	snprintf(us->us_sum, sizeof(us->us_sum), "%06o", sum);
}

static size_t
padded(uint64_t size)
{
	return (size_t)((size + BLOCK - 1) / BLOCK * BLOCK);
}

static char *
put_dirs(char *at, struct dir *dirs, uint64_t *state)
{
	unsigned i, up;

	for (i = 0; i < DIRS; i++) {
		struct dir *d = &dirs[i];

		do
			up = (unsigned)(next_random(state) % (i + 4));
		while (up < i && dirs[up].depth == DEPTH);
		if (up < i)
			d->depth = dirs[up].depth + 1;
		snprintf(d->path, sizeof(d->path), "%.70s%smodule_%u",
		    up < i ? dirs[up].path : "", up < i ? "/" : "", i);
		put_header(at, d->path, 0755, 0, '5');
		at += BLOCK;
	}
	return at;
}

void *
tree_archive(size_t *lenp)
{
	static struct dir dirs[DIRS];
	static uint64_t sizes[TREE_FILES];
	static char pattern[PATTERN];
	uint64_t state = 168, sum = 0, scaled = 0, off;
	size_t room = (DIRS + 2 + 2 * (size_t)TREE_FILES) * BLOCK + TREE_BYTES;
	char *archive = calloc(1, room), *at = archive;
	char name[120];
	unsigned i;

	if (archive == NULL)
		exit(1);
	for (i = 0; i < PATTERN; i += 8) {
		off = next_random(&state) | UINT64_C(0x0101010101010101);
		memcpy(&pattern[i], &off, 8);
	}
	memset(dirs, 0, sizeof(dirs));
	at = put_dirs(at, dirs, &state);
	for (i = 0; i < TREE_FILES; i++)
		sum += sizes[i] = next_size(&state);
	for (i = 0; i < TREE_FILES; i++) {
		sizes[i] = sizes[i] * TREE_BYTES / sum;
		scaled += sizes[i];
	}
	sizes[0] += TREE_BYTES - scaled;
	for (i = 0; i < TREE_FILES; i++) {
		snprintf(name, sizeof(name), "%s/file_%u.c",
		    dirs[next_random(&state) % DIRS].path, i);
		put_header(at, name, i % 16 == 0 ? 0755 : 0644, sizes[i], '0');
		at += BLOCK;
		for (off = 0; off < sizes[i]; off += PATTERN)
			memcpy(at + off, pattern,
			    sizes[i] - off < PATTERN ? sizes[i] - off :
						       PATTERN);
		at += padded(sizes[i]);
	}
	/* Two empty blocks are the end. */
	*lenp = (size_t)(at - archive) + 2 * (size_t)BLOCK;
	return archive;
}

/* ---- calls ---------------------------------------------------------------------------- */

static int64_t
call(struct tree_user *u, const char *what, unsigned nr, uint64_t a, uint64_t b,
    uint64_t c, uint64_t d)
{
	const uint64_t args[6] = { a, b, c, d };
	int64_t r = u->tu_call(u->tu_arg, nr, args);

	if (r < 0) {
		fprintf(stderr, "b_fs: %s: %s: %s\n", u->tu_name, what,
		    strerror((int)-r));
		exit(1);
	}
	return r;
}

#define P(p)     ((uint64_t)(uintptr_t)(p))
#define HERE     ((uint64_t)(int64_t)Q_AT_FDCWD)
#define FD(fd)   ((uint64_t)(int64_t)(fd))
#define OPEN_DIR (Q_O_RDONLY | Q_O_DIRECTORY | Q_O_NOFOLLOW)

/* ---- tar -x ---------------------------------------------------------------------------- */

static void
set_times(struct tree_user *u, int64_t fd, const char *path, uint64_t mtime)
{
	const struct q_timespec ts[2] = { { .tv_nsec = Q_UTIME_OMIT },
		{ .tv_sec = (int64_t)mtime } };

	(void)call(u, "utimensat", SYS_utimensat, FD(fd), P(path), P(ts), 0);
}

static void
extract_file(struct tree_user *u, const struct ustar *us, uint64_t size)
{
	const uint64_t mode = strtoull(us->us_mode, NULL, 8);
	const char *from = (const char *)(us + 1);
	struct q_stat st;
	uint64_t off, n;
	int64_t fd = call(u, us->us_name, SYS_openat, HERE, P(us->us_name),
	    Q_O_WRONLY | Q_O_CREAT | Q_O_EXCL, mode);

	for (off = 0; off < size; off += n) {
		n = size - off < PIECE ? size - off : PIECE;
		n = (uint64_t)call(u, "pwrite64", SYS_pwrite64, FD(fd),
		    P(from + off), n, off);
	}
	(void)call(u, "fstat", SYS_fstat, FD(fd), P(&st), 0, 0);
	if (st.st_uid != 0 || st.st_gid != 0)
		(void)call(u, "fchown", SYS_fchown, FD(fd), 0, 0, 0);
	if ((st.st_mode & 07777) != mode)
		(void)call(u, "fchmod", SYS_fchmod, FD(fd), mode, 0, 0);
	set_times(u, fd, NULL, strtoull(us->us_mtime, NULL, 8));
	(void)call(u, "close", SYS_close, FD(fd), 0, 0, 0);
}

void
tree_extract(struct tree_user *u, const void *archive, size_t len)
{
	const struct ustar *dirs[DIRS];
	const char *p = archive, *end = p + len - 2 * (size_t)BLOCK;
	unsigned ndirs = 0;

	while (p < end) {
		const struct ustar *us = (const struct ustar *)p;
		uint64_t size = strtoull(us->us_size, NULL, 8);

		if (us->us_type == '5') {
			(void)call(u, us->us_name, SYS_mkdirat, HERE,
			    P(us->us_name), 0755, 0);
			dirs[ndirs++] = us;
		} else {
			extract_file(u, us, size);
		}
		p += BLOCK + padded(size);
	}
	while (ndirs-- > 0)
		set_times(u, Q_AT_FDCWD, dirs[ndirs]->us_name, MTIME);
}

/* ---- walks ------------------------------------------------------------------------------ */

static uint64_t
read_file(struct tree_user *u, int64_t dir, const char *name)
{
	static char buf[PIECE];
	uint64_t sum = 0;
	int64_t n, fd;

	fd = call(u, name, SYS_openat, FD(dir), P(name), Q_O_RDONLY, 0);
	while (
	    (n = call(u, "read", SYS_read, FD(fd), P(buf), sizeof(buf), 0)) > 0)
		sum += (uint64_t)n;
	(void)call(u, "close", SYS_close, FD(fd), 0, 0, 0);
	return sum;
}

static uint64_t walk(struct tree_user *u, int64_t dir, bool remove);

static uint64_t
visit(struct tree_user *u, int64_t dir, const char *name, bool remove)
{
	uint64_t sum = 0;
	struct q_stat st;
	int64_t fd;
	bool is_dir;

	(void)call(u, name, SYS_newfstatat, FD(dir), P(name), P(&st),
	    Q_AT_SYMLINK_NOFOLLOW);
	is_dir = (st.st_mode & Q_S_IFMT) == Q_S_IFDIR;
	if (is_dir) {
		fd = call(u, name, SYS_openat, FD(dir), P(name), OPEN_DIR, 0);
		sum = walk(u, fd, remove);
	} else if (!remove) {
		sum = read_file(u, dir, name);
	}
	if (remove)
		(void)call(u, name, SYS_unlinkat, FD(dir), P(name),
		    is_dir ? Q_AT_REMOVEDIR : 0, 0);
	return sum;
}

/* Everything in a directory, which is closed.  How much has been read. */
static uint64_t
walk(struct tree_user *u, int64_t dir, bool remove)
{
	size_t len = 0, room = 32768, off;
	char *buf = malloc(room);
	uint64_t sum = 0;
	int64_t n;

	/* All names first: what is removed meanwhile moves no entries. */
	while (buf != NULL &&
	    (n = call(u, "getdents64", SYS_getdents64, FD(dir), P(buf + len),
		 room - len, 0)) > 0) {
		len += (size_t)n;
		if (room - len < 16384)
			buf = realloc(buf, room *= 2);
	}
	if (buf == NULL)
		exit(1);
	for (off = 0; off < len;) {
		const struct q_dirent64 *d = (const void *)(buf + off);

		off += d->d_reclen;
		if (strcmp(d->d_name, ".") != 0 &&
		    strcmp(d->d_name, "..") != 0 &&
		    strcmp(d->d_name, "lost+found") != 0)
			sum += visit(u, dir, d->d_name, remove);
	}
	free(buf);
	(void)call(u, "close", SYS_close, FD(dir), 0, 0, 0);
	return sum;
}

static uint64_t
walk_here(struct tree_user *u, bool remove)
{
	return walk(u, call(u, ".", SYS_openat, HERE, P("."), OPEN_DIR, 0),
	    remove);
}

uint64_t
tree_read(struct tree_user *u)
{
	return walk_here(u, false);
}

void
tree_remove(struct tree_user *u)
{
	(void)walk_here(u, true);
}
