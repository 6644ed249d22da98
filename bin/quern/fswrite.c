/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands of `quern fs` that change the image.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quern/abi/fcntl.h>

#include "fs.h"
#include "quern.h"

static void
cmd_write(struct fs *f, int argc, char **argv)
{
	static char buf[262144];
	int64_t n = 0, off, w;
	int fd;

	if (argc != 2) {
		fs_usage(f);
		return;
	}
	fd = quern_open(f->f_p, argv[1], Q_O_WRONLY | Q_O_CREAT | Q_O_TRUNC,
	    0644);
	if (fd < 0) {
		fs_error(f, argv[1], fd);
		return;
	}
	while (!fs_stopped(f) && (n = read(STDIN_FILENO, buf, sizeof(buf))) > 0)
		for (off = 0; off < n; off += w) {
			w = quern_write(f->f_p, fd, buf + off,
			    (size_t)(n - off));
			if (w < 0) {
				fs_error(f, argv[1], w);
				(void)quern_close(f->f_p, fd);
				return;
			}
		}
	if (n < 0 && !fs_stopped(f))
		fs_error(f, "standard input", -errno);
	(void)quern_close(f->f_p, fd);
}

/* Make a directory and, with `parents`, those that it is to be in. */
static void
make_dir(struct fs *f, const char *path, bool parents)
{
	char buf[FS_PATH_MAX];
	char *s = buf;
	int error;

	if (strlen(path) >= sizeof(buf)) {
		fs_error(f, path, -ENAMETOOLONG);
		return;
	}
	strcpy(buf, path);
	while (parents && (s = strchr(s + 1, '/')) != NULL) {
		*s = '\0';
		error = quern_mkdir(f->f_p, buf, 0755);
		*s = '/';
		if (error != 0 && error != -EEXIST) {
			fs_error(f, path, error);
			return;
		}
	}
	error = quern_mkdir(f->f_p, path, 0755);
	if (error != 0 && !(parents && error == -EEXIST))
		fs_error(f, path, error);
}

static void
cmd_mkdir(struct fs *f, int argc, char **argv)
{
	bool parents = false;
	int opt, i;

	optind = 0;
	while ((opt = getopt(argc, argv, "p")) != -1)
		if (opt == 'p') {
			parents = true;
		} else {
			fs_usage(f);
			return;
		}
	if (optind == argc)
		fs_usage(f);
	for (i = optind; i < argc; i++)
		make_dir(f, argv[i], parents);
}

/* `path` of FS_PATH_MAX is changed meanwhile. */
static void
remove_tree(struct fs *f, char *path, bool deep, bool force)
{
	struct fs_entry *e;
	struct q_stat st;
	size_t i, n, len;
	int error = quern_lstat(f->f_p, path, &st);

	if (error == -ENOENT && force)
		return;
	if (error == 0 && (st.st_mode & Q_S_IFMT) != Q_S_IFDIR) {
		error = quern_unlink(f->f_p, path);
	} else if (error == 0 && !deep) {
		error = -EISDIR;
	} else if (error == 0) {
		e = fs_list(f, path, true, &n);
		for (i = 0; i < n && !fs_stopped(f); i++) {
			len = fs_push(f, path, e[i].e_name);
			if (len == 0)
				continue;
			remove_tree(f, path, true, force);
			fs_pop(path, len);
		}
		fs_free_list(e, n);
		if (!fs_stopped(f))
			error = quern_rmdir(f->f_p, path);
	}
	if (error != 0)
		fs_error(f, path, error);
}

static void
cmd_rm(struct fs *f, int argc, char **argv)
{
	bool deep = false, force = false;
	char path[FS_PATH_MAX];
	int opt, i;

	optind = 0;
	while ((opt = getopt(argc, argv, "rRf")) != -1) {
		if (opt == '?') {
			fs_usage(f);
			return;
		}
		deep = deep || opt == 'r' || opt == 'R';
		force = force || opt == 'f';
	}
	if (optind == argc && !force)
		fs_usage(f);
	for (i = optind; i < argc && !fs_stopped(f); i++)
		if (fs_set_path(f, path, argv[i]))
			remove_tree(f, path, deep, force);
}

static void
cmd_mv(struct fs *f, int argc, char **argv)
{
	char to[FS_PATH_MAX], name[FS_PATH_MAX];
	const char *last;
	struct q_stat st;
	bool into;
	int i, error;

	if (argc < 3) {
		fs_usage(f);
		return;
	}
	last = argv[argc - 1];
	into = quern_stat(f->f_p, last, &st) == 0 &&
	    (st.st_mode & Q_S_IFMT) == Q_S_IFDIR;
	if (!into && argc > 3) {
		fs_error(f, last, -ENOTDIR);
		return;
	}
	for (i = 1; i < argc - 1; i++) {
		fs_base_name(name, argv[i]);
		if (into && !fs_join(f, to, last, name))
			continue;
		error = quern_rename(f->f_p, argv[i], into ? to : last);
		if (error != 0)
			fs_error(f, argv[i], error);
	}
}

static void
cmd_ln(struct fs *f, int argc, char **argv)
{
	bool soft = false;
	int opt, error;

	optind = 0;
	while ((opt = getopt(argc, argv, "s")) != -1) {
		if (opt == '?')
			argc = 0;
		soft = true;
	}
	if (argc - optind != 2) {
		fs_usage(f);
		return;
	}
	error = soft ? quern_symlink(f->f_p, argv[optind], argv[optind + 1]) :
		       quern_link(f->f_p, argv[optind], argv[optind + 1]);
	if (error != 0)
		fs_error(f, argv[optind + 1], error);
}

static void
cmd_touch(struct fs *f, int argc, char **argv)
{
	int i, fd, error;

	if (argc < 2)
		fs_usage(f);
	for (i = 1; i < argc; i++) {
		error = quern_utimensat(f->f_p, Q_AT_FDCWD, argv[i], NULL, 0);
		if (error == -ENOENT) {
			fd = quern_open(f->f_p, argv[i], Q_O_WRONLY | Q_O_CREAT,
			    0644);
			error = fd < 0 ? fd : quern_close(f->f_p, fd);
		}
		if (error != 0)
			fs_error(f, argv[i], error);
	}
}

static void
cmd_truncate(struct fs *f, int argc, char **argv)
{
	long long size;
	char *end;
	int i, error;

	if (argc < 3) {
		fs_usage(f);
		return;
	}
	size = strtoll(argv[1], &end, 10);
	if (*end != '\0' || end == argv[1] || size < 0) {
		fs_error(f, argv[1], -EINVAL);
		return;
	}
	for (i = 2; i < argc; i++) {
		error = quern_truncate(f->f_p, argv[i], size);
		if (error != 0)
			fs_error(f, argv[i], error);
	}
}

const struct fs_command fs_write_commands[] = {
	{ "write", cmd_write, true, NULL },
	{ "mkdir", cmd_mkdir, true, NULL },
	{ "rm", cmd_rm, true, NULL },
	{ "mv", cmd_mv, true, NULL },
	{ "ln", cmd_ln, true, NULL },
	{ "touch", cmd_touch, true, NULL },
	{ "truncate", cmd_truncate, true, NULL },
	{ NULL, NULL, false, NULL },
};
