/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading directories, and being in them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "conf.h"

struct entry {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

#define FILES 300

/* Read the rest of a directory: which of "f0".."f299" it has, and how often. */
static int
read_all(struct conf *c, int fd, unsigned char *seen, size_t room)
{
	char buf[4096];
	int64_t n, off;
	unsigned i;
	int dots = 0;

	while ((n = SYS(c, SYS_getdents64, fd, buf, room)) > 0)
		for (off = 0; off < n;) {
			struct entry *e = (struct entry *)(void *)(buf + off);

			if (strcmp(e->d_name, ".") == 0 ||
			    strcmp(e->d_name, "..") == 0)
				dots++;
			else if (sscanf(e->d_name, "f%u", &i) == 1 && i < FILES)
				seen[i]++;
			else
				return -1000;
			off += e->d_reclen;
		}
	return n < 0 ? (int)n : dots;
}

static void
fill(struct conf *c)
{
	char name[16];
	unsigned i;

	OK(c, c_mkdir(c, "d", 0755));
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "d/f%u", i);
		OK(c, c_file(c, name, 0644));
	}
}

static void
lists_all(struct conf *c)
{
	unsigned char seen[FILES] = { 0 };
	unsigned i, once = 0;
	int fd;

	fill(c);
	fd = c_open(c, "d", O_RDONLY | O_DIRECTORY, 0);
	IS(c, read_all(c, fd, seen, 300), 2);
	for (i = 0; i < FILES; i++)
		once += seen[i] == 1;
	IS(c, once, FILES);
	IS(c, SYS(c, SYS_lseek, fd, 0, SEEK_SET), 0);
	memset(seen, 0, sizeof(seen));
	IS(c, read_all(c, fd, seen, 4096), 2);
	for (once = i = 0; i < FILES; i++)
		once += seen[i] == 1;
	IS(c, once, FILES);
	OK(c, c_close(c, fd));
}

/* What stays is told of once, whatever else goes and comes meanwhile. */
static void
lists_changing(struct conf *c)
{
	unsigned char seen[FILES] = { 0 };
	char buf[1024], name[32];
	unsigned i, once = 0;
	int64_t n, off;
	int fd;

	fill(c);
	fd = c_open(c, "d", O_RDONLY | O_DIRECTORY, 0);
	n = SYS(c, SYS_getdents64, fd, buf, sizeof(buf));
	TRUE(c, n > 0);
	for (off = 0; off < n;) {
		struct entry *e = (struct entry *)(void *)(buf + off);

		if (sscanf(e->d_name, "f%u", &i) == 1 && i < FILES)
			seen[i]++;
		off += e->d_reclen;
	}
	for (i = 0; i < FILES; i += 3) {
		snprintf(name, sizeof(name), "d/f%u", i);
		OK(c, c_unlink(c, name));
	}
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "d/f%u", 1000 + i);
		OK(c, c_file(c, name, 0644));
		OK(c, c_unlink(c, name));
	}
	TRUE(c, read_all(c, fd, seen, 4096) >= 0);
	for (i = 0; i < FILES; i++)
		if (i % 3 != 0)
			once += seen[i] == 1;
	IS(c, once, FILES - FILES / 3);
}

static void
types(struct conf *c)
{
	unsigned found = 0;
	char buf[1024];
	int64_t n, off;
	int fd;

	OK(c, c_file(c, "reg", 0644));
	OK(c, c_mkdir(c, "dir", 0755));
	OK(c, c_symlink(c, "x", "lnk"));
	OK(c, SYS(c, SYS_mknod, "fifo", S_IFIFO | 0600, 0));
	fd = c_open(c, ".", O_RDONLY, 0);
	n = SYS(c, SYS_getdents64, fd, buf, sizeof(buf));
	for (off = 0; off < n;) {
		struct entry *e = (struct entry *)(void *)(buf + off);
		static const struct {
			const char *name;
			uint8_t type;
		} want[] = { { "reg", 8 }, { "dir", 4 }, { "lnk", 10 },
			{ "fifo", 1 }, { ".", 4 }, { "..", 4 } };
		unsigned i;

		for (i = 0; i < 6; i++)
			if (strcmp(e->d_name, want[i].name) == 0) {
				found++;
				IS(c, e->d_type, want[i].type);
				if (i < 4)
					IS(c, e->d_ino, c_ino(c, want[i].name));
			}
		off += e->d_reclen;
	}
	IS(c, found, 6);
	IS(c, SYS(c, SYS_getdents64, fd, buf, sizeof(buf)), 0);
}

static void
list_errors(struct conf *c)
{
	char buf[64];
	int fd;

	OK(c, c_file(c, "f", 0644));
	fd = c_open(c, "f", O_RDONLY, 0);
	IS(c, SYS(c, SYS_getdents64, fd, buf, sizeof(buf)), -ENOTDIR);
	IS(c, SYS(c, SYS_getdents64, 99, buf, sizeof(buf)), -EBADF);
	fd = c_open(c, ".", O_RDONLY, 0);
	IS(c, SYS(c, SYS_getdents64, fd, buf, 8), -EINVAL);
	IS(c, SYS(c, SYS_getdents64, fd, NULL, 64), -EFAULT);
}

static void
going_about(struct conf *c)
{
	char was[512], now[512];
	int64_t n = SYS(c, SYS_getcwd, was, sizeof(was));
	int fd;

	TRUE(c, n > 1);
	OK(c, c_mkdir(c, "d", 0755));
	OK(c, c_mkdir(c, "d/e", 0755));
	OK(c, SYS(c, SYS_chdir, "d/e"));
	IS(c, SYS(c, SYS_getcwd, now, sizeof(now)), n + 4);
	TRUE(c, strcmp(now + n - 1, "/d/e") == 0);
	IS(c, SYS(c, SYS_getcwd, now, 3), -ERANGE);
	OK(c, c_file(c, "f", 0644));
	OK(c, SYS(c, SYS_chdir, "../.."));
	TRUE(c, c_size(c, "d/e/f") == 0);
	OK(c, SYS(c, SYS_chdir, "d"));
	OK(c, SYS(c, SYS_rename, "../d", "../moved"));
	IS(c, SYS(c, SYS_getcwd, now, sizeof(now)), n + 6);
	TRUE(c, strcmp(now + n - 1, "/moved") == 0);
	OK(c, SYS(c, SYS_chdir, ".."));
	IS(c, SYS(c, SYS_chdir, "no"), -ENOENT);
	IS(c, SYS(c, SYS_chdir, "moved/e/f"), -ENOTDIR);
	fd = c_open(c, "moved", O_RDONLY, 0);
	OK(c, SYS(c, SYS_fchdir, fd));
	TRUE(c, c_size(c, "e/f") == 0);
	OK(c, SYS(c, SYS_chdir, ".."));
	OK(c, c_mkdir(c, "gone", 0755));
	OK(c, SYS(c, SYS_chdir, "gone"));
	OK(c, c_rmdir(c, "../gone"));
	IS(c, SYS(c, SYS_getcwd, now, sizeof(now)), -ENOENT);
	IS(c, c_file(c, "x", 0644), -ENOENT);
	OK(c, SYS(c, SYS_chdir, was));
}

const struct conf_case conf_dirs[] = {
	{ "getdents64", lists_all, 0 },
	{ "getdents64 while it changes", lists_changing, 0 },
	{ "getdents64 types", types, 0 },
	{ "getdents64 errors", list_errors, 0 },
	{ "chdir, getcwd", going_about, 0 },
	{ NULL, NULL, 0 },
};
