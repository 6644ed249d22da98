/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands of `quern fs` that only look.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <quern/abi/fcntl.h>

#include "fs.h"
#include "quern.h"

#define BLOCK 262144

static char block[BLOCK];

/* ---- ls ---------------------------------------------------------------------- */

struct ls {
	bool l_long, l_all, l_deep;
};

/* The target of a symlink. */
static void
print_target(struct fs *f, const char *path)
{
	char buf[FS_PATH_MAX];
	int64_t n = quern_readlink(f->f_p, path, buf, sizeof(buf));

	if (n >= 0)
		printf(" -> %.*s", (int)n, buf);
}

static void
print_long(struct fs *f, const char *dir, const char *name,
    const struct q_stat *st)
{
	char mode[11], when[32], path[FS_PATH_MAX];
	time_t t = st->st_mtim.tv_sec;
	uint32_t type = st->st_mode & Q_S_IFMT;
	struct tm tm;

	fs_mode_string(st->st_mode, mode);
	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &tm) == 0)
		strcpy(when, "?");
	printf("%s %3llu %5u %5u ", mode, (unsigned long long)st->st_nlink,
	    st->st_uid, st->st_gid);
	if (type == Q_S_IFCHR || type == Q_S_IFBLK)
		printf("%4llu,%5llu", (unsigned long long)st->st_rdev >> 8,
		    (unsigned long long)st->st_rdev & 0xff);
	else
		printf("%10lld", (long long)st->st_size);
	printf(" %s %s", when, name);
	if (type == Q_S_IFLNK && fs_join(f, path, dir, name))
		print_target(f, path);
	putchar('\n');
}

/* `dir` of FS_PATH_MAX is changed meanwhile. */
static void
ls_dir(struct fs *f, char *dir, const struct ls *ls, bool header)
{
	struct fs_entry *e;
	size_t i, n, len;

	e = fs_list(f, dir, ls->l_all, &n);
	if (header)
		printf("%s:\n", dir);
	for (i = 0; i < n; i++)
		if (ls->l_long)
			print_long(f, dir, e[i].e_name, &e[i].e_st);
		else
			puts(e[i].e_name);
	for (i = 0; i < n && ls->l_deep && !fs_stopped(f); i++)
		if ((e[i].e_st.st_mode & Q_S_IFMT) == Q_S_IFDIR &&
		    (len = fs_push(f, dir, e[i].e_name)) != 0) {
			putchar('\n');
			ls_dir(f, dir, ls, true);
			fs_pop(dir, len);
		}
	fs_free_list(e, n);
}

static void
ls_one(struct fs *f, const char *path, const struct ls *ls, bool header)
{
	char dir[FS_PATH_MAX];
	struct q_stat st;
	int error;

	if (!fs_set_path(f, dir, path))
		return;
	error = quern_lstat(f->f_p, path, &st);
	if (error != 0)
		fs_error(f, path, error);
	else if ((st.st_mode & Q_S_IFMT) == Q_S_IFDIR)
		ls_dir(f, dir, ls, header);
	else if (ls->l_long)
		print_long(f, "", path, &st);
	else
		puts(path);
}

static void
cmd_ls(struct fs *f, int argc, char **argv)
{
	struct ls ls = { 0 };
	int opt, i;

	optind = 0;
	while ((opt = getopt(argc, argv, "laR1")) != -1)
		if (opt == 'l')
			ls.l_long = true;
		else if (opt == 'a')
			ls.l_all = true;
		else if (opt == 'R')
			ls.l_deep = true;
		else if (opt != '1') {
			fs_usage(f);
			return;
		}
	if (optind == argc)
		ls_one(f, "/", &ls, ls.l_deep);
	for (i = optind; i < argc; i++) {
		if (i > optind)
			putchar('\n');
		ls_one(f, argv[i], &ls, ls.l_deep || argc - optind > 1);
	}
}

/* ---- cat ------------------------------------------------------------------------ */

static void
cat(struct fs *f, const char *path)
{
	int fd = quern_open(f->f_p, path, Q_O_RDONLY, 0);
	int64_t n = 0, off, w;

	if (fd < 0) {
		fs_error(f, path, fd);
		return;
	}
	while (!fs_stopped(f) &&
	    (n = quern_read(f->f_p, fd, block, sizeof(block))) > 0)
		for (off = 0; off < n; off += w) {
			w = write(STDOUT_FILENO, block + off,
			    (size_t)(n - off));
			if (w < 0 && errno == EINTR)
				w = 0;
			if (w < 0) {
				fs_error(f, "standard output", -errno);
				f->f_stop = true;
				break;
			}
			if (fs_stopped(f))
				break;
		}
	if (n < 0)
		fs_error(f, path, n);
	(void)quern_close(f->f_p, fd);
}

static void
cmd_cat(struct fs *f, int argc, char **argv)
{
	int i;

	if (argc < 2) {
		fs_usage(f);
		return;
	}
	fflush(stdout);
	for (i = 1; i < argc && !fs_stopped(f); i++)
		cat(f, argv[i]);
}

/* ---- stat, find, df, info ----------------------------------------------------------- */

static void
print_time(const char *name, const struct q_timespec *ts)
{
	time_t t = ts->tv_sec;
	char buf[64] = "?";
	struct tm tm;

	if (gmtime_r(&t, &tm) != NULL)
		(void)strftime(buf, sizeof(buf), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%s: %s.%09lld UTC\n", name, buf, (long long)ts->tv_nsec);
}

static void
cmd_stat(struct fs *f, int argc, char **argv)
{
	struct q_stat st;
	char mode[11];
	int i, error;

	if (argc < 2)
		fs_usage(f);
	for (i = 1; i < argc; i++) {
		error = quern_lstat(f->f_p, argv[i], &st);
		if (error != 0) {
			fs_error(f, argv[i], error);
			continue;
		}
		fs_mode_string(st.st_mode, mode);
		printf("  File: %s", argv[i]);
		if ((st.st_mode & Q_S_IFMT) == Q_S_IFLNK)
			print_target(f, argv[i]);
		printf("\n  Size: %lld  Blocks: %lld  Inode: %llu  Links: "
		       "%llu\n",
		    (long long)st.st_size, (long long)st.st_blocks,
		    (unsigned long long)st.st_ino,
		    (unsigned long long)st.st_nlink);
		printf("Access: (%04o/%s)  Uid: %u  Gid: %u\n",
		    st.st_mode & 07777, mode, st.st_uid, st.st_gid);
		print_time("Access", &st.st_atim);
		print_time("Modify", &st.st_mtim);
		print_time("Change", &st.st_ctim);
	}
}

/* `path` of FS_PATH_MAX is changed meanwhile. */
static void
find_below(struct fs *f, char *path)
{
	struct fs_entry *e;
	size_t i, n, len;

	puts(path);
	e = fs_list(f, path, true, &n);
	for (i = 0; i < n && !fs_stopped(f); i++) {
		len = fs_push(f, path, e[i].e_name);
		if (len == 0)
			continue;
		if ((e[i].e_st.st_mode & Q_S_IFMT) == Q_S_IFDIR)
			find_below(f, path);
		else
			puts(path);
		fs_pop(path, len);
	}
	fs_free_list(e, n);
}

static void
cmd_find(struct fs *f, int argc, char **argv)
{
	char path[FS_PATH_MAX] = "/";
	struct q_stat st;
	int i, error;

	if (argc < 2)
		find_below(f, path);
	for (i = 1; i < argc; i++) {
		if (!fs_set_path(f, path, argv[i]))
			continue;
		error = quern_lstat(f->f_p, path, &st);
		if (error != 0)
			fs_error(f, path, error);
		else if ((st.st_mode & Q_S_IFMT) == Q_S_IFDIR)
			find_below(f, path);
		else
			puts(path);
	}
}

static void
cmd_df(struct fs *f, int argc, char **argv)
{
	unsigned long long unit, used;
	struct q_statfs st;
	int error = quern_statfs(f->f_p, "/", &st);

	(void)argv;
	if (argc > 1) {
		fs_usage(f);
		return;
	}
	if (error != 0) {
		fs_error(f, "/", error);
		return;
	}
	unit = (unsigned long long)st.f_bsize;
	used = st.f_blocks - st.f_bfree;
	printf("%12s %12s %12s %5s %12s %12s\n", "1K-blocks", "Used",
	    "Available", "Use%", "Inodes", "IFree");
	printf("%12llu %12llu %12llu %4llu%% %12llu %12llu\n",
	    st.f_blocks * unit / 1024, used * unit / 1024,
	    st.f_bavail * unit / 1024,
	    used + st.f_bavail != 0 ?
		(used * 100 + used + st.f_bavail - 1) / (used + st.f_bavail) :
		0,
	    (unsigned long long)st.f_files, (unsigned long long)st.f_ffree);
}

static void
cmd_info(struct fs *f, int argc, char **argv)
{
	struct quern_disk_info di;
	struct q_statfs st;
	int error;

	(void)argv;
	if (argc > 1) {
		fs_usage(f);
		return;
	}
	error = quern_disk_info(f->f_disk, &di);
	if (error == 0)
		error = quern_statfs(f->f_p, "/", &st);
	if (error != 0) {
		fs_error(f, "/", error);
		return;
	}
	printf("disk: %llu bytes, sectors of %u%s\n",
	    (unsigned long long)di.di_size, di.di_sector,
	    (di.di_flags & QUERN_DISK_RDONLY) != 0 ? ", read-only" : "");
	printf("file system: magic 0x%llx, blocks of %lld, %llu of %llu free\n",
	    (unsigned long long)st.f_type, (long long)st.f_bsize,
	    (unsigned long long)st.f_bfree, (unsigned long long)st.f_blocks);
	printf("inodes: %llu of %llu free\n", (unsigned long long)st.f_ffree,
	    (unsigned long long)st.f_files);
}

const struct fs_command fs_read_commands[] = {
	{ "ls", cmd_ls, false, NULL },
	{ "cat", cmd_cat, false, NULL },
	{ "stat", cmd_stat, false, NULL },
	{ "find", cmd_find, false, NULL },
	{ "df", cmd_df, false, NULL },
	{ "info", cmd_info, false, NULL },
	{ NULL, NULL, false, NULL },
};
