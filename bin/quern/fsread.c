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

#include "fsjson.h"
#include "quern.h"

#define BLOCK 262144

static char block[BLOCK];

/* ---- ls ---------------------------------------------------------------------- */

struct ls {
	bool l_long, l_all, l_deep;
	struct fs_json *l_json; /* or NULL */
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

static void
json_entry(struct fs *f, const struct ls *ls, char *dir,
    const struct fs_entry *e)
{
	size_t len = fs_push(f, dir, e->e_name);

	if (len != 0) {
		json_file(ls->l_json, f, dir, &e->e_st);
		fs_pop(dir, len);
	}
}

/* `dir` of FS_PATH_MAX is changed meanwhile. */
static void
ls_dir(struct fs *f, char *dir, const struct ls *ls, bool header)
{
	struct fs_entry *e;
	size_t i, n, len;

	e = fs_list(f, dir, ls->l_all, &n);
	if (header && ls->l_json == NULL)
		printf("%s:\n", dir);
	for (i = 0; i < n; i++)
		if (ls->l_json != NULL)
			json_entry(f, ls, dir, &e[i]);
		else if (ls->l_long)
			print_long(f, dir, e[i].e_name, &e[i].e_st);
		else
			puts(e[i].e_name);
	for (i = 0; i < n && ls->l_deep && !fs_stopped(f); i++)
		if ((e[i].e_st.st_mode & Q_S_IFMT) == Q_S_IFDIR &&
		    (len = fs_push(f, dir, e[i].e_name)) != 0) {
			if (ls->l_json == NULL)
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
	else if (ls->l_json != NULL)
		json_file(ls->l_json, f, path, &st);
	else if (ls->l_long)
		print_long(f, "", path, &st);
	else
		puts(path);
}

static void
cmd_ls(struct fs *f, int argc, char **argv)
{
	struct fs_json j = { 0 };
	struct ls ls = { 0 };
	int opt, i;

	optind = 0;
	while (
	    (opt = getopt_long(argc, argv, "laR1", fs_json_option, NULL)) != -1)
		if (opt == 'l')
			ls.l_long = true;
		else if (opt == 'a')
			ls.l_all = true;
		else if (opt == 'R')
			ls.l_deep = true;
		else if (opt == FS_JSON)
			ls.l_json = &j;
		else if (opt != '1') {
			fs_usage(f);
			return;
		}
	if (ls.l_json != NULL)
		json_open(&j, NULL, '[');
	if (optind == argc)
		ls_one(f, "/", &ls, ls.l_deep);
	for (i = optind; i < argc; i++) {
		if (i > optind && ls.l_json == NULL)
			putchar('\n');
		ls_one(f, argv[i], &ls, ls.l_deep || argc - optind > 1);
	}
	if (ls.l_json != NULL)
		json_close(&j);
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

/* ---- stat, find ----------------------------------------------------------- */

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
print_stat(struct fs *f, const char *path, const struct q_stat *st)
{
	char mode[11];

	fs_mode_string(st->st_mode, mode);
	printf("  File: %s", path);
	if ((st->st_mode & Q_S_IFMT) == Q_S_IFLNK)
		print_target(f, path);
	printf("\n  Size: %lld  Blocks: %lld  Inode: %llu  Links: %llu\n",
	    (long long)st->st_size, (long long)st->st_blocks,
	    (unsigned long long)st->st_ino, (unsigned long long)st->st_nlink);
	printf("Access: (%04o/%s)  Uid: %u  Gid: %u\n", st->st_mode & 07777,
	    mode, st->st_uid, st->st_gid);
	print_time("Access", &st->st_atim);
	print_time("Modify", &st->st_mtim);
	print_time("Change", &st->st_ctim);
}

static void
cmd_stat(struct fs *f, int argc, char **argv)
{
	struct fs_json j = { 0 };
	struct q_stat st;
	bool json;
	int i, error;

	if (!fs_only_json(f, argc, argv, &json))
		return;
	if (optind == argc) {
		fs_usage(f);
		return;
	}
	if (json)
		json_open(&j, NULL, '[');
	for (i = optind; i < argc; i++) {
		error = quern_lstat(f->f_p, argv[i], &st);
		if (error != 0)
			fs_error(f, argv[i], error);
		else if (json)
			json_file(&j, f, argv[i], &st);
		else
			print_stat(f, argv[i], &st);
	}
	if (json)
		json_close(&j);
}

/* `path` of FS_PATH_MAX is changed meanwhile; `j` or NULL. */
static void
find_below(struct fs *f, char *path, const struct q_stat *st, struct fs_json *j)
{
	struct fs_entry *e;
	size_t i, n, len;

	if (j != NULL)
		json_file(j, f, path, st);
	else
		puts(path);
	if ((st->st_mode & Q_S_IFMT) != Q_S_IFDIR)
		return;
	e = fs_list(f, path, true, &n);
	for (i = 0; i < n && !fs_stopped(f); i++) {
		len = fs_push(f, path, e[i].e_name);
		if (len != 0) {
			find_below(f, path, &e[i].e_st, j);
			fs_pop(path, len);
		}
	}
	fs_free_list(e, n);
}

static void
find_from(struct fs *f, const char *from, struct fs_json *j)
{
	char path[FS_PATH_MAX];
	struct q_stat st;
	int error;

	if (!fs_set_path(f, path, from))
		return;
	error = quern_lstat(f->f_p, path, &st);
	if (error != 0)
		fs_error(f, path, error);
	else
		find_below(f, path, &st, j);
}

static void
cmd_find(struct fs *f, int argc, char **argv)
{
	struct fs_json j = { 0 };
	bool json;
	int i;

	if (!fs_only_json(f, argc, argv, &json))
		return;
	if (json)
		json_open(&j, NULL, '[');
	if (optind == argc)
		find_from(f, "/", json ? &j : NULL);
	for (i = optind; i < argc && !fs_stopped(f); i++)
		find_from(f, argv[i], json ? &j : NULL);
	if (json)
		json_close(&j);
}

const struct fs_command fs_read_commands[] = {
	{ "ls", cmd_ls, false, NULL },
	{ "cat", cmd_cat, false, NULL },
	{ "stat", cmd_stat, false, NULL },
	{ "find", cmd_find, false, NULL },
	{ NULL, NULL, false, NULL },
};
