/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command `tar` of `quern fs`, and its half that makes archives.
 *
 * An archive is written in pax format if nothing else is asked for: it has times
 * to the nanosecond, extended attributes, ACLs, and files with holes.  Names in
 * it are relative.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quern/abi/fcntl.h>

#include "fsarchive.h"

#define BLOCK 262144

struct create {
	struct fs *t_f;
	struct archive *t_a;
	struct archive_entry_linkresolver *t_links;
	int t_out;
	char t_path[FS_PATH_MAX];
	char t_buf[BLOCK];
};

void
fs_archive_error(struct fs *f, struct archive *a, const char *what)
{
	const char *why = archive_error_string(a);

	/* It has been said why. */
	if (fs_stopped(f))
		return;
	fs_complain(f, what != NULL ? what : "archive",
	    why != NULL ? why : "damaged");
}

static la_ssize_t
write_some(struct archive *a, void *arg, const void *buf, size_t len)
{
	struct create *t = arg;
	ssize_t n;

	do
		n = write(t->t_out, buf, len);
	while (n < 0 && errno == EINTR && !fs_stopped(t->t_f));
	if (n < 0)
		archive_set_error(a, errno, "%s", strerror(errno));
	else
		fs_progress(t->t_f, n);
	return n;
}

/* ---- what an entry says ------------------------------------------------------------ */

static void
add_xattrs(struct create *t, struct archive_entry *e)
{
	struct quern_proc *p = t->t_f->f_p;
	char names[65536], *name;
	int64_t n = quern_llistxattr(p, t->t_path, names, sizeof(names)), len;
	bool good;

	if (n < 0 && n != -EOPNOTSUPP)
		fs_error(t->t_f, t->t_path, n);
	for (name = names; name < names + n; name += strlen(name) + 1) {
		len = quern_lgetxattr(p, t->t_path, name, t->t_buf, BLOCK);
		if (len < 0) {
			fs_error(t->t_f, t->t_path, len);
			continue;
		}
		good = true;
		if (strcmp(name, FS_ACL_ACCESS) == 0)
			good = fs_acl_add(e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS,
			    t->t_buf, (size_t)len);
		else if (strcmp(name, FS_ACL_DEFAULT) == 0)
			good = fs_acl_add(e, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT,
			    t->t_buf, (size_t)len);
		else
			archive_entry_xattr_add_entry(e, name, t->t_buf,
			    (size_t)len);
		if (!good)
			fs_error(t->t_f, t->t_path, -EUCLEAN);
	}
}

/* Where data are, if there are holes. */
static void
add_holes(struct create *t, struct archive_entry *e, const struct q_stat *st)
{
	struct quern_proc *p = t->t_f->f_p;
	int64_t at = 0, end;
	int fd;

	if (st->st_blocks * 512 >= st->st_size)
		return;
	fd = quern_open(p, t->t_path, Q_O_RDONLY, 0);
	if (fd < 0)
		return;
	while ((at = quern_lseek(p, fd, at, Q_SEEK_DATA)) >= 0) {
		end = quern_lseek(p, fd, at, Q_SEEK_HOLE);
		if (end <= at)
			break;
		archive_entry_sparse_add_entry(e, at, end - at);
		at = end;
	}
	/* Nothing but a hole is said so. */
	if (archive_entry_sparse_count(e) == 0)
		archive_entry_sparse_add_entry(e, st->st_size, 0);
	(void)quern_close(p, fd);
}

static void
add_target(struct create *t, struct archive_entry *e)
{
	char target[FS_PATH_MAX];
	int64_t n;

	n = quern_readlink(t->t_f->f_p, t->t_path, target, sizeof(target) - 1);
	if (n < 0) {
		fs_error(t->t_f, t->t_path, n);
		n = 0;
	}
	target[n] = '\0';
	archive_entry_copy_symlink(e, target);
}

static struct archive_entry *
make_entry(struct create *t, const struct q_stat *st)
{
	struct archive_entry *e = archive_entry_new2(t->t_a);
	const char *name = t->t_path + strspn(t->t_path, "/");

	if (e == NULL) {
		fputs("quern fs: out of memory\n", stderr);
		exit(1);
	}
	archive_entry_copy_pathname(e, *name != '\0' ? name : ".");
	archive_entry_copy_sourcepath(e, t->t_path);
	archive_entry_set_dev(e, (dev_t)st->st_dev);
	archive_entry_set_ino(e, (la_int64_t)st->st_ino);
	archive_entry_set_nlink(e, (unsigned)st->st_nlink);
	archive_entry_set_mode(e, st->st_mode);
	archive_entry_set_uid(e, st->st_uid);
	archive_entry_set_gid(e, st->st_gid);
	archive_entry_set_rdev(e, (dev_t)st->st_rdev);
	archive_entry_set_mtime(e, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	archive_entry_set_atime(e, st->st_atim.tv_sec, st->st_atim.tv_nsec);
	archive_entry_set_size(e, 0);
	add_xattrs(t, e);
	if ((st->st_mode & Q_S_IFMT) == Q_S_IFLNK)
		add_target(t, e);
	if ((st->st_mode & Q_S_IFMT) == Q_S_IFREG) {
		archive_entry_set_size(e, st->st_size);
		add_holes(t, e, st);
	}
	return e;
}

/* ---- writing ----------------------------------------------------------------------------- */

static void
write_failed(struct create *t, const char *path)
{
	fs_archive_error(t->t_f, t->t_a, path);
	t->t_f->f_stop = true;
}

/*
 * As many bytes as the entry says it has, whatever the file has by now.  What is
 * in holes is left out by libarchive.
 */
static void
write_contents(struct create *t, const char *path, int64_t size)
{
	struct quern_proc *p = t->t_f->f_p;
	int64_t off = 0, n;
	int fd = quern_open(p, path, Q_O_RDONLY, 0);

	if (fd < 0)
		fs_error(t->t_f, path, fd);
	while (off < size && !fs_stopped(t->t_f)) {
		n = size - off < BLOCK ? size - off : BLOCK;
		if (fd >= 0) {
			n = quern_pread64(p, fd, t->t_buf, (size_t)n, off);
			if (n < 0)
				fs_error(t->t_f, path, n);
			if (n <= 0)
				break;
		} else {
			break;
		}
		if (archive_write_data(t->t_a, t->t_buf, (size_t)n) < 0) {
			write_failed(t, path);
			break;
		}
		off += n;
	}
	if (fd >= 0)
		(void)quern_close(p, fd);
}

/* Write an entry with its contents, and let go of it. */
static void
write_entry(struct create *t, struct archive_entry *e)
{
	const char *path = archive_entry_sourcepath(e);
	int r = archive_write_header(t->t_a, e);

	if (r == ARCHIVE_FATAL)
		write_failed(t, path);
	else if (r != ARCHIVE_OK)
		fs_archive_error(t->t_f, t->t_a, path);
	if (r >= ARCHIVE_WARN && archive_entry_size(e) > 0)
		write_contents(t, path, archive_entry_size(e));
	archive_entry_free(e);
}

/* Add what t_path names, and what is below. */
static void
create_tree(struct create *t, const struct q_stat *st)
{
	struct archive_entry *e, *other = NULL;
	struct fs_entry *list;
	size_t i, n, len;

	if ((st->st_mode & Q_S_IFMT) == Q_S_IFSOCK) {
		fs_complain(t->t_f, t->t_path, "a socket is left out");
		return;
	}
	e = make_entry(t, st);
	archive_entry_linkify(t->t_links, &e, &other);
	if (e != NULL)
		write_entry(t, e);
	if (other != NULL)
		write_entry(t, other);
	if ((st->st_mode & Q_S_IFMT) != Q_S_IFDIR)
		return;
	list = fs_list(t->t_f, t->t_path, true, &n);
	for (i = 0; i < n && !fs_stopped(t->t_f); i++) {
		len = fs_push(t->t_f, t->t_path, list[i].e_name);
		if (len == 0)
			continue;
		create_tree(t, &list[i].e_st);
		fs_pop(t->t_path, len);
	}
	fs_free_list(list, n);
}

/* What the links' resolver has kept back. */
static void
create_rest(struct create *t)
{
	struct archive_entry *e = NULL, *other;

	for (;;) {
		archive_entry_linkify(t->t_links, &e, &other);
		if (e == NULL)
			return;
		write_entry(t, e);
		e = NULL;
	}
}

struct tar {
	bool t_create, t_extract;
	const char *t_file, *t_dir, *t_format, *t_filter;
};

static bool
open_archive(struct create *t, const struct tar *o)
{
	struct archive *a = t->t_a;

	bool good = a != NULL && t->t_links != NULL &&
	    archive_write_set_format_by_name(a, o->t_format) == ARCHIVE_OK;

	/* GNU tar knows the one name of extended attributes, not the other. */
	if (good && archive_format(a) == ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE)
		good = archive_write_set_format_option(a, "pax", "xattrheader",
			   "SCHILY") == ARCHIVE_OK;
	if (good && o->t_filter != NULL) {
		good = archive_write_add_filter_by_name(a, o->t_filter) ==
		    ARCHIVE_OK;
		/* Zeroes behind it would damage some. */
		(void)archive_write_set_bytes_in_last_block(a, 1);
	}
	if (good &&
	    archive_write_open2(a, t, NULL, write_some, NULL, NULL) ==
		ARCHIVE_OK)
		return true;
	fs_archive_error(t->t_f, a, NULL);
	return false;
}

static void
create(struct fs *f, const struct tar *o, int out, int argc, char **argv)
{
	struct create *t = fs_grow(NULL, sizeof(*t));
	char *all[] = { (char *)(uintptr_t)(o->t_dir != NULL ? "." : "/") };
	struct q_stat st;
	int i, error;

	t->t_f = f;
	t->t_out = out;
	t->t_a = archive_write_new();
	t->t_links = archive_entry_linkresolver_new();
	if (argc == 0) {
		argc = 1;
		argv = all;
	}
	if (open_archive(t, o)) {
		archive_entry_linkresolver_set_strategy(t->t_links,
		    archive_format(t->t_a));
		for (i = 0; i < argc && !fs_stopped(f); i++) {
			error = quern_lstat(f->f_p, argv[i], &st);
			if (error != 0)
				fs_error(f, argv[i], error);
			else if (fs_set_path(f, t->t_path, argv[i]))
				create_tree(t, &st);
		}
		create_rest(t);
		if (archive_write_close(t->t_a) != ARCHIVE_OK)
			fs_archive_error(f, t->t_a, NULL);
	}
	archive_entry_linkresolver_free(t->t_links);
	(void)archive_write_free(t->t_a);
	free(t);
}

/* ---- the command ---------------------------------------------------------------------------- */

static bool
parse(int argc, char **argv, struct tar *o)
{
	static const struct option longs[] = {
		{ "format", required_argument, NULL, 'F' },
		{ "filter", required_argument, NULL, 'I' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	*o = (struct tar){ .t_file = "-", .t_format = "pax" };
	optind = 0;
	while ((opt = getopt_long(argc, argv, "cxf:C:", longs, NULL)) != -1)
		switch (opt) {
		case 'c':
			o->t_create = true;
			break;
		case 'x':
			o->t_extract = true;
			break;
		case 'f':
			o->t_file = optarg;
			break;
		case 'C':
			o->t_dir = optarg;
			break;
		case 'F':
			o->t_format = optarg;
			break;
		case 'I':
			if (strcmp(optarg, "none") != 0)
				o->t_filter = optarg;
			break;
		default:
			return false;
		}
	return o->t_create != o->t_extract && (o->t_create || optind == argc);
}

/* What is wrong is said later. */
static bool
tar_looks(int argc, char **argv)
{
	struct tar o;
	bool looks;

	opterr = 0;
	looks = parse(argc, argv, &o) && o.t_create;
	opterr = 1;
	return looks;
}

static void
cmd_tar(struct fs *f, int argc, char **argv)
{
	struct tar o;
	int64_t error = 0;
	int fd;

	if (!parse(argc, argv, &o)) {
		fs_usage(f);
		return;
	}
	fd = o.t_create ? STDOUT_FILENO : STDIN_FILENO;
	if (strcmp(o.t_file, "-") != 0)
		fd = open(o.t_file,
		    (o.t_create ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY) |
			O_CLOEXEC,
		    0666);
	else if (o.t_create && isatty(fd)) {
		fs_complain(f, "standard output", "is a terminal");
		return;
	}
	if (fd < 0) {
		fs_error(f, o.t_file, -errno);
		return;
	}
	if (o.t_dir != NULL)
		error = quern_chdir(f->f_p, o.t_dir);
	if (error != 0) {
		fs_error(f, o.t_dir, error);
	} else {
		/* libarchive converts names by the locale: they are UTF-8. */
		(void)setlocale(LC_CTYPE, "C.UTF-8");
		(void)quern_umask(f->f_p, 0);
		fflush(stdout);
		if (o.t_create) {
			fs_progress_begin(f, 0);
			create(f, &o, fd, argc - optind, argv + optind);
			fs_progress_end(f);
		} else {
			fs_extract(f, fd);
		}
		(void)quern_umask(f->f_p, 022);
		(void)quern_chdir(f->f_p, "/");
	}
	if (fd > STDERR_FILENO && close(fd) != 0)
		fs_error(f, o.t_file, -errno);
}

const struct fs_command fs_tar_commands[] = {
	{ "tar", cmd_tar, true, tar_looks },
	{ NULL, NULL, false, NULL },
};
