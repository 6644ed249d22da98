/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tree.h"

int64_t
tree_call(const struct tree_sys *s, unsigned nr, uint64_t a, uint64_t b,
    uint64_t c, uint64_t d, uint64_t e)
{
	const uint64_t arg[6] = { a, b, c, d, e, 0 };
	long r;

	if (s->ts_proc != NULL)
		return quern_syscall(s->ts_proc, nr, arg);
	r = syscall(nr, a, b, c, d, e, 0);
	return r < 0 ? -errno : r;
}

int
tree_run(const char *fmt, ...)
{
	char cmd[4096];
	va_list ap;
	int st;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	st = system(cmd);
	if (st != 0)
		printf("# %s: status %d\n", cmd, st);
	return st;
}

static void
put(struct tree_text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (t->tt_max - t->tt_len < 16384) {
		t->tt_max = t->tt_max * 2 + 65536;
		t->tt_p = realloc(t->tt_p, t->tt_max);
		if (t->tt_p == NULL)
			abort();
	}
	va_start(ap, fmt);
	n = vsnprintf(t->tt_p + t->tt_len, 16384, fmt, ap);
	va_end(ap);
	t->tt_len += (size_t)n < 16384 ? (size_t)n : 16383;
}

static uint64_t
sum_of(uint64_t h, const void *p, size_t n)
{
	const unsigned char *q = p;

	while (n-- > 0)
		h = (h ^ *q++) * UINT64_C(0x100000001b3);
	return h;
}

static uint64_t
contents(const struct tree_sys *s, const char *path, struct tree_text *t)
{
	static char buf[65536];
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	int64_t fd = TCALL(s, SYS_open, path, O_RDONLY), n;
	uint64_t left = UINT64_C(64) << 20;

	if (fd < 0) {
		t->tt_errors++;
		return (uint64_t)fd;
	}
	while ((n = TCALL(s, SYS_read, fd, buf, sizeof(buf))) > 0) {
		h = sum_of(h, buf, (size_t)n);
		if (left < (uint64_t)n)
			break;
		left -= (uint64_t)n;
	}
	if (n < 0)
		t->tt_errors++;
	(void)TCALL(s, SYS_close, fd);
	return n < 0 ? (uint64_t)n : h;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Attributes that everybody sees. */
static void
attributes(const struct tree_sys *s, const char *path, struct tree_text *t)
{
	static char names[65536], value[65536];
	char *list[512], *p;
	int64_t n = TCALL(s, SYS_llistxattr, path, names, sizeof(names)), len;
	size_t k = 0, i;

	if (n == -EOPNOTSUPP)
		return;
	if (n < 0) {
		t->tt_errors++;
		put(t, " listxattr:%lld", (long long)n);
		return;
	}
	for (p = names; p < names + n && k < 512; p += strlen(p) + 1)
		if (strncmp(p, "security.selinux", 16) != 0)
			list[k++] = p;
	qsort(list, k, sizeof(*list), by_name);
	for (i = 0; i < k; i++) {
		len = TCALL(s, SYS_lgetxattr, path, list[i], value,
		    sizeof(value));
		if (len < 0)
			t->tt_errors++;
		put(t, " %s=%lld:%llx", list[i], (long long)len,
		    (unsigned long long)(len > 0 ?
			    sum_of(0, value, (size_t)len) :
			    0));
	}
}

static void
list_file(const struct tree_sys *s, const char *path, const char *name,
    const struct stat *st, struct tree_text *t)
{
	static char target[4200];
	int64_t n;

	put(t, "%s %o %u:%u", name, st->st_mode, st->st_uid, st->st_gid);
	if (!S_ISDIR(st->st_mode))
		put(t, " n%lu s%lld", (unsigned long)st->st_nlink,
		    (long long)st->st_size);
	if (!s->ts_notimes)
		put(t, " t%lld", (long long)st->st_mtim.tv_sec);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
		put(t, " d%u,%u", major(st->st_rdev), minor(st->st_rdev));
	if (S_ISLNK(st->st_mode)) {
		n = TCALL(s, SYS_readlink, path, target, sizeof(target) - 1);
		if (n < 0)
			t->tt_errors++;
		target[n < 0 ? 0 : n] = '\0';
		put(t, " -> %s", n < 0 ? strerror((int)-n) : target);
	}
	attributes(s, path, t);
	if (S_ISREG(st->st_mode))
		put(t, " c%llx", (unsigned long long)contents(s, path, t));
	put(t, "\n");
	t->tt_files++;
}

struct names {
	char **nm_p;
	size_t nm_n, nm_max;
};

static int
read_names(const struct tree_sys *s, const char *path, struct names *nm)
{
	struct {
		uint64_t ino;
		int64_t off;
		unsigned short len;
		unsigned char type;
		char name[];
	} * d;
	static char buf[8192] __attribute__((aligned(8)));
	int64_t fd = TCALL(s, SYS_open, path, O_RDONLY | O_DIRECTORY), n;
	char *p;

	if (fd < 0)
		return (int)fd;
	while ((n = TCALL(s, SYS_getdents64, fd, buf, sizeof(buf))) > 0) {
		for (p = buf; p < buf + n; p += d->len) {
			d = (void *)p;
			if (strcmp(d->name, ".") == 0 ||
			    strcmp(d->name, "..") == 0)
				continue;
			if (nm->nm_n == nm->nm_max) {
				nm->nm_max = nm->nm_max * 2 + 64;
				nm->nm_p = realloc(nm->nm_p,
				    nm->nm_max * sizeof(*nm->nm_p));
				if (nm->nm_p == NULL)
					abort();
			}
			nm->nm_p[nm->nm_n++] = strdup(d->name);
		}
		/* A damaged directory may be without an end. */
		if (s->ts_damage && nm->nm_n > 5000)
			break;
	}
	(void)TCALL(s, SYS_close, fd);
	return (int)(n < 0 ? n : 0);
}

static void
list_dir(const struct tree_sys *s, const char *path, const char *name,
    unsigned depth, struct tree_text *t)
{
	struct names nm = { 0 };
	size_t i;
	int error;

	error = read_names(s, path, &nm);
	if (error < 0) {
		t->tt_errors++;
		put(t, "%s: %s\n", name, strerror(-error));
	}
	if (nm.nm_n > 0)
		qsort(nm.nm_p, nm.nm_n, sizeof(*nm.nm_p), by_name);
	for (i = 0; i < nm.nm_n; i++) {
		char p[4096], n[4096];
		struct stat st;
		int64_t r;

		snprintf(p, sizeof(p), "%s/%s", path, nm.nm_p[i]);
		snprintf(n, sizeof(n), "%s/%s", name, nm.nm_p[i]);
		free(nm.nm_p[i]);
		r = TCALL(s, SYS_lstat, p, &st);
		if (r < 0) {
			t->tt_errors++;
			put(t, "%s: %s\n", n, strerror((int)-r));
			continue;
		}
		if (strcmp(n, "/lost+found") == 0)
			continue;
		list_file(s, p, n, &st, t);
		if (S_ISDIR(st.st_mode) && depth < 40 &&
		    (!s->ts_damage || t->tt_files < 3000))
			list_dir(s, p, n, depth + 1, t);
	}
	free(nm.nm_p);
}

void
tree_list(const struct tree_sys *s, const char *root, struct tree_text *t)
{
	list_dir(s, root, "", 0, t);
}

const char *
tree_differ(const struct tree_text *a, const struct tree_text *b)
{
	static char buf[2000];
	const char *p = a->tt_p == NULL ? "" : a->tt_p;
	const char *q = b->tt_p == NULL ? "" : b->tt_p;

	while (*p != '\0' || *q != '\0') {
		size_t n = strcspn(p, "\n"), m = strcspn(q, "\n");

		if (n != m || memcmp(p, q, n) != 0) {
			snprintf(buf, sizeof(buf), "\n  %.*s\nbut\n  %.*s",
			    n > 900 ? 900 : (int)n, p, m > 900 ? 900 : (int)m,
			    q);
			return buf;
		}
		p += n + (p[n] != '\0');
		q += m + (q[m] != '\0');
	}
	return NULL;
}

/* ---- a tree to look at ----------------------------------------------------- */

static unsigned
next(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 8;
}

static void
make_file(const char *path, unsigned *seed, size_t size)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
	static char buf[4096];
	size_t at, i;

	if (fd < 0)
		return;
	for (at = 0; at < size;) {
		size_t n = size - at < sizeof(buf) ? size - at : sizeof(buf);

		/* Holes, now and then; mke2fs forgets one at the end. */
		if (next(seed) % 8 == 0 && size - at > n) {
			at += n;
			continue;
		}
		for (i = 0; i < n; i++)
			buf[i] = (char)next(seed);
		if (pwrite(fd, buf, n, (off_t)at) != (ssize_t)n)
			abort();
		at += n;
	}
	if (ftruncate(fd, (off_t)size) != 0)
		abort();
	close(fd);
}

static void
decorate(const char *path, unsigned *seed)
{
	struct timespec t[2] = { { 1000000000 + next(seed), 123456789 },
		{ 1100000000 + next(seed), 987654321 } };
	char value[3000], name[64];
	unsigned i, n = next(seed) % 4;

	for (i = 0; i < n; i++) {
		size_t len = next(seed) % (i == 3 ? 600 : 60);

		memset(value, 'a' + (int)i, len);
		snprintf(name, sizeof(name), "user.name%u", i);
		(void)setxattr(path, name, value, len, 0);
	}
	(void)chmod(path, 0400 | (next(seed) & 0377));
	(void)utimensat(AT_FDCWD, path, t, AT_SYMLINK_NOFOLLOW);
}

void
tree_make(const char *root, unsigned seed, unsigned files)
{
	static const size_t sizes[] = { 0, 1, 59, 60, 61, 140, 1023, 1024, 4095,
		4096, 4097, 12288, 50000, 100000 };
	char path[4096], other[4096], target[1100];
	unsigned i;
	int fd;

	mkdir(root, 0755);
	for (i = 0; i < files; i++) {
		snprintf(path, sizeof(path), "%s/dir%u", root, i % 7);
		mkdir(path, 0755);
		snprintf(path, sizeof(path), "%s/dir%u/sub%u", root, i % 7,
		    i % 3);
		mkdir(path, 0755);
		snprintf(path, sizeof(path), "%s/dir%u/sub%u/file%u", root,
		    i % 7, i % 3, i);
		make_file(path, &seed, sizes[next(&seed) % 14]);
		decorate(path, &seed);
		if (i % 10 == 3) {
			snprintf(other, sizeof(other), "%s/hard%u", root, i);
			(void)!link(path, other);
		}
		if (i % 10 == 5) {
			size_t n = i % 20 == 5 ? 20 + i % 39 : 60 + i * 7 % 900;

			memset(target, 'x', n);
			target[n] = '\0';
			snprintf(other, sizeof(other), "%s/link%u", root, i);
			(void)!symlink(target, other);
		}
		if (i % 40 == 7) {
			snprintf(other, sizeof(other), "%s/fifo%u", root, i);
			(void)mkfifo(other, 0600);
		}
	}
	snprintf(path, sizeof(path), "%s/many", root);
	mkdir(path, 0755);
	for (i = 0; i < files * 2; i++) {
		snprintf(path, sizeof(path),
		    "%s/many/a_rather_long_name_to_fill_blocks_%u_\xc3\xa4",
		    root, i);
		make_file(path, &seed, i % 5 == 0 ? 10 : 0);
	}
	snprintf(path, sizeof(path), "%s/big", root);
	make_file(path, &seed, 3 << 20);
	snprintf(path, sizeof(path), "%s/sparse", root);
	make_file(path, &seed, 5000);
	(void)!truncate(path, 40 << 20);
	fd = open(path, O_WRONLY | O_APPEND);
	if (fd < 0 || write(fd, path, 1) != 1)
		abort();
	close(fd);
}

/* ---- the same things done to two trees ----------------------------------------- */

struct play {
	unsigned pl_seed;
	char pl_a[400], pl_b[400]; /* names, below a root */
	const char *pl_what;
};

static void
pick(struct play *p, char *to)
{
	static const char *const long_name = "_and_a_name_that_is_rather_long";
	unsigned d = next(&p->pl_seed) % 12, n = next(&p->pl_seed) % 60;

	if (d < 4)
		sprintf(to, "n%u", n);
	else if (d < 8)
		sprintf(to, "d%u/n%u", d, n);
	else if (d < 10)
		sprintf(to, "d4/e%u/n%u%s", d, n, long_name);
	else
		sprintf(to, "d5/n%u%s%u", n * 20 + next(&p->pl_seed) % 20,
		    long_name, d);
}

static int64_t
play_write(const struct tree_sys *s, const char *path, unsigned seed)
{
	static char buf[70000];
	int flags = O_WRONLY | O_NONBLOCK | (seed % 3 == 0 ? O_APPEND : 0) |
	    (seed % 4 != 0 ? O_CREAT : 0) | (seed % 7 == 0 ? O_TRUNC : 0);
	int64_t fd = TCALL(s, SYS_open, path, flags, 0644), r;
	size_t len = seed % 5 == 0 ? seed % 70000 : seed % 9000, i;
	int64_t off = seed % 11 == 0 ? seed % 3000000 : seed % 20000;

	if (fd < 0)
		return fd;
	for (i = 0; i < len; i++)
		buf[i] = (char)(seed + i * 7);
	r = TCALL(s, SYS_pwrite64, fd, buf, len, off);
	if (seed % 13 == 0 && TCALL(s, SYS_fsync, fd) != 0)
		r = -EIO;
	(void)TCALL(s, SYS_close, fd);
	return r;
}

/* Take a range out of a file, or put one in, by copying what is behind it. */
static int64_t
copy_range(const struct tree_sys *s, int64_t fd, bool take, int64_t off,
    int64_t len)
{
	int64_t size = TCALL(s, SYS_lseek, fd, 0, SEEK_END), from, to, n;
	char *buf;

	if (size < 0)
		return size;
	if (take ? off + len >= size : off >= size)
		return -EINVAL;
	from = take ? off + len : off;
	to = take ? off : off + len;
	n = size - from;
	buf = calloc(1, (size_t)(n > len ? n : len));
	if (buf == NULL || TCALL(s, SYS_pread64, fd, buf, n, from) != n ||
	    TCALL(s, SYS_pwrite64, fd, buf, n, to) != n)
		abort();
	memset(buf, 0, (size_t)len);
	if (take ? TCALL(s, SYS_ftruncate, fd, size - len) != 0 :
		   TCALL(s, SYS_pwrite64, fd, buf, len, off) != len)
		abort();
	free(buf);
	return 0;
}

/* Not every file system can, nor at every offset. */
static int64_t
move_range(const struct tree_sys *s, int64_t fd, bool take, int64_t off,
    int64_t len)
{
	int64_t r = -EOPNOTSUPP;

	if (s->ts_proc != NULL)
		r = TCALL(s, SYS_fallocate, fd,
		    take ? FALLOC_FL_COLLAPSE_RANGE : FALLOC_FL_INSERT_RANGE,
		    off, len);
	if (r == -EOPNOTSUPP || r == -EINVAL)
		r = copy_range(s, fd, take, off, len);
	return r;
}

static int64_t
play_fallocate(const struct tree_sys *s, const char *path, unsigned seed)
{
	static const int modes[] = { 0, 1, 3, 3 };
	int64_t fd = TCALL(s, SYS_open, path, O_RDWR | O_NONBLOCK), r;

	if (fd < 0)
		return fd;
	if (seed % 7 >= 5 && TCALL(s, SYS_lseek, fd, 0, SEEK_END) > 0) {
		r = move_range(s, fd, seed % 7 == 5, seed / 7 % 12 * 4096,
		    (1 + seed / 100 % 4) * 4096);
		(void)TCALL(s, SYS_close, fd);
		return r;
	}
	r = TCALL(s, SYS_fallocate, fd, modes[seed % 4], seed % 50000,
	    1 + seed / 7 % 40000);
	(void)TCALL(s, SYS_close, fd);
	return r;
}

static int64_t
play_one(const struct tree_sys *s, const char *root, struct play *p,
    unsigned op, unsigned seed)
{
	char a[3600], b[3600], value[200];

	snprintf(a, sizeof(a), "%s/%s", root, p->pl_a);
	snprintf(b, sizeof(b), "%s/%s", root, p->pl_b);
	memset(value, 'a' + seed % 26, sizeof(value));
	switch (op) {
	case 0:
	case 1:
	case 2:
	case 3:
		p->pl_what = "write";
		return play_write(s, a, seed);
	case 4:
		p->pl_what = "mkdir";
		return TCALL(s, SYS_mkdir, a, 0755);
	case 5:
		p->pl_what = "rmdir";
		return TCALL(s, SYS_rmdir, a);
	case 6:
	case 7:
		p->pl_what = "unlink";
		return TCALL(s, SYS_unlink, a);
	case 8:
	case 9:
		p->pl_what = "rename";
		return TCALL(s, SYS_rename, a, b);
	case 10:
		p->pl_what = "link";
		return TCALL(s, SYS_link, a, b);
	case 11:
		p->pl_what = "symlink";
		value[20 + seed % 150] = '\0';
		return TCALL(s, SYS_symlink, value, a);
	case 12:
		p->pl_what = "truncate";
		return TCALL(s, SYS_truncate, a, seed % 100000);
	case 13:
		p->pl_what = "setxattr";
		snprintf(b, sizeof(b), "user.x%u", seed % 5);
		return TCALL(s, SYS_lsetxattr, a, b, value, seed % 200, 0);
	case 14:
		p->pl_what = "removexattr";
		snprintf(b, sizeof(b), "user.x%u", seed % 5);
		return TCALL(s, SYS_lremovexattr, a, b);
	case 15:
		p->pl_what = "mknod";
		return TCALL(s, SYS_mknod, a, S_IFIFO | 0600, 0);
	case 16:
		p->pl_what = "renameat2";
		return TCALL(s, SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2);
	case 17:
		p->pl_what = "chmod";
		return TCALL(s, SYS_chmod, a, seed & 0777);
	case 18:
		p->pl_what = "fallocate";
		return play_fallocate(s, a, seed);
	default:
		p->pl_what = "create";
		return TCALL(s, SYS_mknod, a, S_IFREG | 0644, 0);
	}
}

const char *
tree_play(const struct tree_sys *a, const char *aroot, const struct tree_sys *b,
    const char *broot, unsigned seed, unsigned n)
{
	static char text[1000];
	struct play p = { .pl_seed = seed };
	unsigned i;

	for (i = 0; i < n; i++) {
		unsigned op = next(&p.pl_seed) % 22, r;
		int64_t x, y;

		pick(&p, p.pl_a);
		pick(&p, p.pl_b);
		if (op == 4)
			sprintf(p.pl_a, i % 2 ? "d%u" : "d4/e%u",
			    next(&p.pl_seed) % 12);
		r = next(&p.pl_seed);
		if (op == 18 && (a->ts_nofalloc || b->ts_nofalloc))
			continue;
		x = play_one(a, aroot, &p, op, r);
		y = play_one(b, broot, &p, op, r);
		if (x != y) {
			snprintf(text, sizeof(text),
			    "step %u of seed %u: %s(%s, %s) is %lld, not %lld",
			    i, seed, p.pl_what, p.pl_a, p.pl_b, (long long)y,
			    (long long)x);
			return text;
		}
	}
	return NULL;
}
