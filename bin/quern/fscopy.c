/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands of `quern fs` that copy: put, get, and cp within the image.
 *
 * Each is one walk of a tree from one side (fsside.h) to another, which does what
 * `cp -a` does.  A file with several names is copied once and then linked.
 * Attributes are set when the contents are complete, those of a directory after
 * all that is below it: the owner first, since that takes set-id bits and
 * capabilities away, the times last.
 */
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quern/abi/fcntl.h>

#include "fsside.h"

#define BLOCK 262144

struct copy {
	struct fs *c_f;
	const struct fs_side *c_from, *c_to;
	bool c_deep;   /* directories, too; else what a symlink names */
	bool c_keep;   /* owners, times, links, attributes */
	void *c_links; /* of struct link, tsearch's */
	/* What was made first: not to be copied into itself. */
	bool c_made;
	uint64_t c_ino;
	char c_src[FS_PATH_MAX]; /* where the walk is */
	char c_dst[FS_PATH_MAX];
	char c_buf[BLOCK];
};

/* A file with several names, and where it was copied to. */
struct link {
	uint64_t l_dev, l_ino;
	char *l_to;
};

/* What went wrong with the copy; what would for every file ends it all. */
static void
copy_failed(struct copy *c, int64_t error)
{
	fs_error(c->c_f, c->c_dst, error);
	if (error == -ENOSPC || error == -EROFS || error == -EUCLEAN ||
	    error == -EDQUOT)
		c->c_f->f_stop = true;
}

/* ---- links ---------------------------------------------------------------------- */

static int
compare_links(const void *a, const void *b)
{
	const struct link *x = a, *y = b;

	if (x->l_dev != y->l_dev)
		return x->l_dev < y->l_dev ? -1 : 1;
	return x->l_ino < y->l_ino ? -1 : x->l_ino > y->l_ino;
}

static void
free_link(void *arg)
{
	struct link *l = arg;

	free(l->l_to);
	free(l);
}

/* Remember where a file with other names is. */
static void
remember_link(struct copy *c, const struct q_stat *st)
{
	struct link *l;

	if (!c->c_keep || st->st_nlink < 2)
		return;
	l = fs_grow(NULL, sizeof(*l));
	l->l_dev = st->st_dev;
	l->l_ino = st->st_ino;
	l->l_to = fs_strdup(c->c_dst);
	if (tsearch(l, &c->c_links, compare_links) == NULL) {
		fputs("quern fs: out of memory\n", stderr);
		exit(1);
	}
}

/* Make another name of what has been copied; false: it has not been. */
static bool
copy_as_link(struct copy *c, const struct q_stat *st)
{
	struct link key = { .l_dev = st->st_dev, .l_ino = st->st_ino };
	struct link *const *l;
	int64_t error;

	if (!c->c_keep || st->st_nlink < 2)
		return false;
	l = tfind(&key, &c->c_links, compare_links);
	if (l == NULL)
		return false;
	error = c->c_to->s_link(c->c_f, (*l)->l_to, c->c_dst);
	if (error == -EEXIST) {
		error = c->c_to->s_unlink(c->c_f, c->c_dst);
		if (error == 0)
			error = c->c_to->s_link(c->c_f, (*l)->l_to, c->c_dst);
	}
	if (error != 0)
		copy_failed(c, error);
	return true;
}

/* ---- attributes -------------------------------------------------------------------- */

static void
copy_xattrs(struct copy *c)
{
	struct fs *f = c->c_f;
	char names[65536], *name;
	int64_t n, len, error;

	n = c->c_from->s_listxattr(f, c->c_src, names, sizeof(names));
	if (n < 0 && n != -EOPNOTSUPP)
		fs_error(f, c->c_src, n);
	for (name = names; name < names + n; name += strlen(name) + 1) {
		len = c->c_from->s_getxattr(f, c->c_src, name, c->c_buf,
		    sizeof(c->c_buf));
		if (len == -ENODATA)
			continue;
		if (len < 0) {
			fs_error(f, c->c_src, len);
			continue;
		}
		error = c->c_to->s_setxattr(f, c->c_dst, name, c->c_buf,
		    (size_t)len);
		/* -ENOSPC is about this file: so much it can't have. */
		if (error != 0)
			fs_error(f, c->c_dst, error);
	}
}

/* The copy is complete: make it like `from`. */
static void
copy_attrs(struct copy *c, const struct q_stat *from)
{
	bool link = (from->st_mode & Q_S_IFMT) == Q_S_IFLNK;
	struct q_stat st = *from;
	int64_t error = 0;

	if (c->c_keep) {
		error = c->c_to->s_own(c->c_f, c->c_dst, &st);
		copy_xattrs(c);
	} else {
		st.st_mode &= ~(uint32_t)022;
	}
	if (error == 0 && !link)
		error = c->c_to->s_chmod(c->c_f, c->c_dst, st.st_mode);
	if (error == 0 && c->c_keep)
		error = c->c_to->s_utimes(c->c_f, c->c_dst, &st);
	if (error != 0)
		copy_failed(c, error);
}

/* ---- contents ------------------------------------------------------------------------ */

/* Copy from `off` up to `end`, or to where the file ends; where that was. */
static int64_t
copy_range(struct copy *c, int in, int out, int64_t off, int64_t end)
{
	int64_t n, done, w;

	while (off < end) {
		n = end - off < BLOCK ? end - off : BLOCK;
		if (fs_stopped(c->c_f)) {
			fs_error(c->c_f, c->c_dst, -EINTR);
			return -1;
		}
		n = c->c_from->s_read(c->c_f, in, c->c_buf, (size_t)n, off);
		if (n < 0) {
			fs_error(c->c_f, c->c_src, n);
			return -1;
		}
		if (n == 0)
			break;
		for (done = 0; done < n; done += w) {
			w = c->c_to->s_write(c->c_f, out, c->c_buf + done,
			    (size_t)(n - done), off + done);
			if (w < 0) {
				copy_failed(c, w);
				return -1;
			}
		}
		off += n;
		fs_progress(c->c_f, n);
	}
	return off;
}

/* All data of a file; holes stay holes. */
static bool
copy_data(struct copy *c, int in, int out, int64_t size, bool sparse)
{
	int64_t off = 0, end, at;

	for (;;) {
		at = c->c_from->s_seek(c->c_f, in, off, Q_SEEK_DATA);
		if (at == -ENXIO && sparse)
			break;
		/* One that can't say where its holes are, or fill them. */
		if (at < 0 || !sparse)
			at = off;
		end = c->c_from->s_seek(c->c_f, in, at, Q_SEEK_HOLE);
		if (end < 0 || !sparse)
			end = INT64_MAX;
		off = copy_range(c, in, out, at, end);
		if (off < 0)
			return false;
		if (off < end)
			break;
	}
	if (sparse && off < size) {
		end = c->c_to->s_resize(c->c_f, out, size);
		if (end != 0) {
			copy_failed(c, end);
			return false;
		}
	}
	return true;
}

/*
 * Open the destination to write; *regular: it is a file, not a device or pipe
 * that was there and is to get the contents.
 */
static int64_t
open_copy(struct copy *c, const struct q_stat *st, bool *regular)
{
	const struct fs_side *to = c->c_to;
	int64_t fd = to->s_create(c->c_f, c->c_dst), error;
	struct q_stat old;

	*regular = true;
	if (fd != -EEXIST)
		return fd;
	error = to->s_lstat(c->c_f, c->c_dst, &old);
	if (error != 0)
		return error;
	switch (old.st_mode & Q_S_IFMT) {
	case Q_S_IFDIR:
		return -EISDIR;
	case Q_S_IFLNK:
		/* Never through a symlink that the image may have made. */
		error = to->s_unlink(c->c_f, c->c_dst);
		return error != 0 ? error : to->s_create(c->c_f, c->c_dst);
	case Q_S_IFREG:
		if (c->c_from == to && old.st_ino == st->st_ino) {
			fs_complain(c->c_f, c->c_dst, "is the same file");
			return -ECANCELED;
		}
		break;
	default:
		*regular = false;
	}
	return to->s_overwrite(c->c_f, c->c_dst);
}

static void
copy_file(struct copy *c, const struct q_stat *st)
{
	int64_t in, out, error;
	bool regular, whole;

	if (copy_as_link(c, st))
		return;
	in = c->c_from->s_open(c->c_f, c->c_src, !c->c_deep);
	if (in < 0) {
		fs_error(c->c_f, c->c_src, in);
		return;
	}
	out = open_copy(c, st, &regular);
	if (out < 0) {
		if (out != -ECANCELED)
			copy_failed(c, out);
		(void)c->c_from->s_close(c->c_f, (int)in);
		return;
	}
	whole = copy_data(c, (int)in, (int)out, st->st_size, regular);
	(void)c->c_from->s_close(c->c_f, (int)in);
	error = c->c_to->s_close(c->c_f, (int)out);
	if (error != 0)
		copy_failed(c, error);
	if (whole && regular) {
		copy_attrs(c, st);
		remember_link(c, st);
	}
}

/* ---- what is not a regular file --------------------------------------------------------- */

static int64_t
make_special(struct copy *c, const struct q_stat *st, const char *target)
{
	if (target != NULL)
		return c->c_to->s_symlink(c->c_f, target, c->c_dst);
	return c->c_to->s_mknod(c->c_f, c->c_dst, st->st_mode, st->st_rdev);
}

/* A device, a pipe, a socket; with `target`, a symlink. */
static void
copy_special(struct copy *c, const struct q_stat *st, const char *target)
{
	int64_t error;

	if (copy_as_link(c, st))
		return;
	error = make_special(c, st, target);
	if (error == -EEXIST) {
		error = c->c_to->s_unlink(c->c_f, c->c_dst);
		if (error == 0)
			error = make_special(c, st, target);
	}
	if (error != 0) {
		copy_failed(c, error);
		return;
	}
	copy_attrs(c, st);
	remember_link(c, st);
}

static void
copy_symlink(struct copy *c, const struct q_stat *st)
{
	char target[FS_PATH_MAX];
	int64_t n;

	n = c->c_from->s_readlink(c->c_f, c->c_src, target, sizeof(target) - 1);
	if (n < 0) {
		fs_error(c->c_f, c->c_src, n);
		return;
	}
	target[n] = '\0';
	copy_special(c, st, target);
}

/*
 * Make the directory, or use one that is there.  A symlink to one will do where
 * the user named it, not below: the image may have made it.
 */
static bool
enter_copy(struct copy *c, bool top)
{
	int64_t error = c->c_to->s_mkdir(c->c_f, c->c_dst);
	struct q_stat st;

	if (error == -EEXIST) {
		error = (top ? c->c_to->s_stat : c->c_to->s_lstat)(c->c_f,
		    c->c_dst, &st);
		if (error == 0 && (st.st_mode & Q_S_IFMT) != Q_S_IFDIR)
			error = -ENOTDIR;
	} else if (error == 0 && !c->c_made && c->c_from == c->c_to) {
		error = c->c_to->s_lstat(c->c_f, c->c_dst, &st);
		c->c_made = true;
		c->c_ino = st.st_ino;
	}
	if (error != 0)
		copy_failed(c, error);
	return error == 0;
}

static void copy_tree(struct copy *c, const struct q_stat *st, bool top);

static void
copy_dir(struct copy *c, const struct q_stat *st, bool top)
{
	struct fs_entry *e;
	size_t i, n, src, dst;

	if (!c->c_deep) {
		fs_error(c->c_f, c->c_src, -EISDIR);
		return;
	}
	if (!enter_copy(c, top))
		return;
	e = c->c_from->s_list(c->c_f, c->c_src, &n);
	for (i = 0; i < n && !fs_stopped(c->c_f); i++) {
		if (c->c_made && e[i].e_st.st_ino == c->c_ino) {
			fs_complain(c->c_f, c->c_src,
			    "is not copied into itself");
			continue;
		}
		src = fs_push(c->c_f, c->c_src, e[i].e_name);
		if (src == 0)
			continue;
		dst = fs_push(c->c_f, c->c_dst, e[i].e_name);
		if (dst != 0) {
			copy_tree(c, &e[i].e_st, false);
			fs_pop(c->c_dst, dst);
		}
		fs_pop(c->c_src, src);
	}
	fs_free_list(e, n);
	copy_attrs(c, st);
}

static void
copy_tree(struct copy *c, const struct q_stat *st, bool top)
{
	switch (st->st_mode & Q_S_IFMT) {
	case Q_S_IFDIR:
		copy_dir(c, st, top);
		break;
	case Q_S_IFLNK:
		copy_symlink(c, st);
		break;
	case Q_S_IFREG:
		copy_file(c, st);
		break;
	default:
		copy_special(c, st, NULL);
	}
}

/* ---- the commands ---------------------------------------------------------------------- */

/* Copy what `from` names to `to`, or, with `into`, to its name below that. */
static void
copy_argument(struct copy *c, const char *from, const char *to, bool into)
{
	char name[FS_PATH_MAX];
	struct q_stat st;
	int64_t error;

	if (!fs_set_path(c->c_f, c->c_src, from) ||
	    !fs_set_path(c->c_f, c->c_dst, to))
		return;
	error = (c->c_deep ? c->c_from->s_lstat : c->c_from->s_stat)(c->c_f,
	    from, &st);
	if (error != 0) {
		fs_error(c->c_f, from, error);
		return;
	}
	fs_base_name(name, from);
	/* The root, and what has no name of its own, is its contents. */
	if (strcmp(name, "/") == 0 || strcmp(name, "..") == 0)
		strcpy(name, ".");
	if (into && fs_push(c->c_f, c->c_dst, name) == 0)
		return;
	c->c_made = false;
	copy_tree(c, &st, true);
}

/* The bytes of the files in c_src, for the terminal. */
static int64_t
count_tree(struct copy *c, const struct q_stat *st)
{
	struct fs_entry *e;
	int64_t sum = 0;
	size_t i, n, len;

	if ((st->st_mode & Q_S_IFMT) == Q_S_IFREG)
		return st->st_size;
	if ((st->st_mode & Q_S_IFMT) != Q_S_IFDIR || !c->c_deep)
		return 0;
	e = c->c_from->s_list(c->c_f, c->c_src, &n);
	for (i = 0; i < n && !fs_stopped(c->c_f); i++) {
		len = fs_push(c->c_f, c->c_src, e[i].e_name);
		if (len != 0) {
			sum += count_tree(c, &e[i].e_st);
			fs_pop(c->c_src, len);
		}
	}
	fs_free_list(e, n);
	return sum;
}

/* What goes wrong meanwhile will again, and is told then. */
static void
begin_progress(struct copy *c, int n, char **from)
{
	int status = c->c_f->f_status;
	struct q_stat st;
	int64_t sum = 0;

	if (isatty(STDERR_FILENO) != 1)
		return;
	c->c_f->f_quiet = true;
	for (; n > 0; n--, from++)
		if (strlen(*from) < FS_PATH_MAX &&
		    c->c_from->s_lstat(c->c_f, *from, &st) == 0) {
			strcpy(c->c_src, *from);
			sum += count_tree(c, &st);
		}
	c->c_f->f_quiet = false;
	c->c_f->f_status = status;
	fs_progress_begin(c->c_f, sum);
}

/* `keep`: do as cp -a without being told. */
static void
copy_command(struct fs *f, int argc, char **argv, const struct fs_side *from,
    const struct fs_side *to, bool keep)
{
	struct copy *c = fs_grow(NULL, sizeof(*c));
	const char *last = argv[argc - 1];
	struct q_stat st;
	bool into;
	int opt, i;

	memset(c, 0, offsetof(struct copy, c_src));
	c->c_f = f;
	c->c_from = from;
	c->c_to = to;
	c->c_deep = c->c_keep = keep;
	optind = 0;
	while ((opt = getopt(argc, argv, "raR")) != -1) {
		if (opt == '?') {
			optind = argc;
			break;
		}
		c->c_deep = true;
		c->c_keep = c->c_keep || opt == 'a';
	}
	if (argc - optind < 2) {
		fs_usage(f);
		free(c);
		return;
	}
	(void)quern_umask(f->f_p, 0);
	into = to->s_stat(f, last, &st) == 0 &&
	    (st.st_mode & Q_S_IFMT) == Q_S_IFDIR;
	begin_progress(c, argc - 1 - optind, argv + optind);
	if (!into && argc - optind > 2)
		fs_error(f, last, -ENOTDIR);
	else
		for (i = optind; i < argc - 1 && !fs_stopped(f); i++)
			copy_argument(c, argv[i], last, into);
	fs_progress_end(f);
	(void)quern_umask(f->f_p, 022);
	tdestroy(c->c_links, free_link);
	free(c);
}

static void
cmd_put(struct fs *f, int argc, char **argv)
{
	copy_command(f, argc, argv, &fs_host, &fs_image, true);
}

static void
cmd_get(struct fs *f, int argc, char **argv)
{
	copy_command(f, argc, argv, &fs_image, &fs_host, true);
}

static void
cmd_cp(struct fs *f, int argc, char **argv)
{
	copy_command(f, argc, argv, &fs_image, &fs_image, false);
}

const struct fs_command fs_copy_commands[] = {
	{ "put", cmd_put, true, NULL },
	{ "get", cmd_get, false, NULL },
	{ "cp", cmd_cp, true, NULL },
	{ NULL, NULL, false, NULL },
};
