/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands of `quern fs` that only look.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

static void
ls_dir(struct fs *f, const char *dir, const struct ls *ls, bool header)
{
	char path[FS_PATH_MAX];
	struct fs_entry *e;
	size_t i, n;

	e = fs_list(f, dir, ls->l_all, &n);
	if (header)
		printf("%s:\n", dir);
	for (i = 0; i < n; i++)
		if (ls->l_long)
			print_long(f, dir, e[i].e_name, &e[i].e_st);
		else
			puts(e[i].e_name);
	for (i = 0; i < n && ls->l_deep; i++)
		if ((e[i].e_st.st_mode & Q_S_IFMT) == Q_S_IFDIR &&
		    fs_join(f, path, dir, e[i].e_name)) {
			putchar('\n');
			ls_dir(f, path, ls, true);
		}
	fs_free_list(e, n);
}

static void
ls_one(struct fs *f, const char *path, const struct ls *ls, bool header)
{
	struct q_stat st;
	int error = quern_lstat(f->f_p, path, &st);

	if (error != 0)
		fs_error(f, path, error);
	else if ((st.st_mode & Q_S_IFMT) == Q_S_IFDIR)
		ls_dir(f, path, ls, header);
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

	optind = 1;
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

/* ---- cat, get ------------------------------------------------------------------- */

/* From a file of the image into one of the host's.  `to` is for messages. */
static void
copy_out(struct fs *f, const char *path, int host, const char *to)
{
	int fd = quern_open(f->f_p, path, Q_O_RDONLY, 0);
	int64_t n = 0, off, w;

	if (fd < 0) {
		fs_error(f, path, fd);
		return;
	}
	while ((n = quern_read(f->f_p, fd, block, sizeof(block))) > 0)
		for (off = 0; off < n; off += w) {
			w = write(host, block + off, (size_t)(n - off));
			if (w < 0) {
				fs_error(f, to, -errno);
				(void)quern_close(f->f_p, fd);
				return;
			}
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
	for (i = 1; i < argc; i++)
		copy_out(f, argv[i], STDOUT_FILENO, "standard output");
}

/* Owner (where we may), mode and times, as they are in the image. */
static void
copy_attrs(struct fs *f, const struct q_stat *st, const char *to, bool link)
{
	struct timespec ts[2] = { { st->st_atim.tv_sec, st->st_atim.tv_nsec },
		{ st->st_mtim.tv_sec, st->st_mtim.tv_nsec } };

	if (geteuid() == 0 && lchown(to, st->st_uid, st->st_gid) != 0)
		fs_error(f, to, -errno);
	if (!link && chmod(to, st->st_mode & 07777) != 0)
		fs_error(f, to, -errno);
	if (utimensat(AT_FDCWD, to, ts, AT_SYMLINK_NOFOLLOW) != 0)
		fs_error(f, to, -errno);
}

static void get_tree(struct fs *f, const char *path, const char *to, bool deep);

static void
get_dir(struct fs *f, const char *path, const char *to, bool deep)
{
	char from[FS_PATH_MAX], into[FS_PATH_MAX];
	struct fs_entry *e;
	size_t i, n;

	if (!deep) {
		fs_error(f, path, -EISDIR);
		return;
	}
	if (mkdir(to, 0700) != 0 && errno != EEXIST) {
		fs_error(f, to, -errno);
		return;
	}
	e = fs_list(f, path, true, &n);
	for (i = 0; i < n; i++)
		if (fs_join(f, from, path, e[i].e_name) &&
		    fs_join(f, into, to, e[i].e_name))
			get_tree(f, from, into, true);
	fs_free_list(e, n);
}

static void
get_link(struct fs *f, const char *path, const char *to)
{
	char target[FS_PATH_MAX];
	int64_t n = quern_readlink(f->f_p, path, target, sizeof(target) - 1);

	if (n < 0) {
		fs_error(f, path, n);
		return;
	}
	target[n] = '\0';
	(void)unlink(to);
	if (symlink(target, to) != 0)
		fs_error(f, to, -errno);
}

static void
get_tree(struct fs *f, const char *path, const char *to, bool deep)
{
	struct q_stat st;
	int error = quern_lstat(f->f_p, path, &st), fd;

	if (error != 0) {
		fs_error(f, path, error);
		return;
	}
	switch (st.st_mode & Q_S_IFMT) {
	case Q_S_IFDIR:
		get_dir(f, path, to, deep);
		break;
	case Q_S_IFLNK:
		get_link(f, path, to);
		break;
	case Q_S_IFREG:
		/* Never through a symlink that the image may have made. */
		fd = open(to,
		    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		    0600);
		if (fd < 0) {
			fs_error(f, to, -errno);
			return;
		}
		copy_out(f, path, fd, to);
		if (close(fd) != 0)
			fs_error(f, to, -errno);
		break;
	default:
		if (mknod(to, st.st_mode, (dev_t)st.st_rdev) != 0) {
			fs_error(f, to, -errno);
			return;
		}
	}
	copy_attrs(f, &st, to, (st.st_mode & Q_S_IFMT) == Q_S_IFLNK);
}

/* The last name of a path. */
static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

static void
cmd_get(struct fs *f, int argc, char **argv)
{
	char to[FS_PATH_MAX];
	bool deep = false, into;
	struct stat st;
	int opt, i;

	optind = 1;
	while ((opt = getopt(argc, argv, "ra")) != -1)
		if (opt == '?') {
			fs_usage(f);
			return;
		} else {
			deep = true;
		}
	if (argc - optind < 2) {
		fs_usage(f);
		return;
	}
	into = stat(argv[argc - 1], &st) == 0 && S_ISDIR(st.st_mode);
	if (!into && argc - optind > 2) {
		fs_error(f, argv[argc - 1], -ENOTDIR);
		return;
	}
	for (i = optind; i < argc - 1; i++)
		if (!into)
			get_tree(f, argv[i], argv[argc - 1], deep);
		else if (fs_join(f, to, argv[argc - 1], base_name(argv[i])))
			get_tree(f, argv[i], to, deep);
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

static void
find_below(struct fs *f, const char *path)
{
	char sub[FS_PATH_MAX];
	struct fs_entry *e;
	size_t i, n;

	puts(path);
	e = fs_list(f, path, true, &n);
	for (i = 0; i < n; i++) {
		if (!fs_join(f, sub, path, e[i].e_name))
			continue;
		if ((e[i].e_st.st_mode & Q_S_IFMT) == Q_S_IFDIR)
			find_below(f, sub);
		else
			puts(sub);
	}
	fs_free_list(e, n);
}

static void
cmd_find(struct fs *f, int argc, char **argv)
{
	struct q_stat st;
	int i, error;

	if (argc < 2)
		find_below(f, "/");
	for (i = 1; i < argc; i++) {
		error = quern_lstat(f->f_p, argv[i], &st);
		if (error != 0)
			fs_error(f, argv[i], error);
		else if ((st.st_mode & Q_S_IFMT) == Q_S_IFDIR)
			find_below(f, argv[i]);
		else
			puts(argv[i]);
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
	{ "ls", cmd_ls, false },
	{ "cat", cmd_cat, false },
	{ "stat", cmd_stat, false },
	{ "get", cmd_get, false },
	{ "find", cmd_find, false },
	{ "df", cmd_df, false },
	{ "info", cmd_info, false },
	{ NULL, NULL, false },
};
