/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `tar -x` of `quern fs`: from an archive, in whatever format libarchive knows,
 * into the image.
 *
 * Owners are the archive's numbers.  A file that is there is replaced, a
 * directory is used.  Attributes are set through the descriptor and only where
 * creating did not give them yet; those of directories when all is there, the
 * last first, since what comes later would change their times.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <quern/abi/fcntl.h>
#include <quern/abi/fs.h>

#include "fsarchive.h"

struct extract {
	struct fs *x_f;
	struct quern_proc *x_p;
	struct archive *x_a;
	int x_in;
	struct archive_entry **x_dirs; /* still without attributes */
	size_t x_ndirs;
	char x_path[FS_PATH_MAX]; /* of the entry, relative */
	char x_buf[65536];
};

static void
failed(struct extract *x, int64_t error)
{
	fs_error(x->x_f, x->x_path, error);
	if (error == -ENOSPC || error == -EROFS || error == -EUCLEAN ||
	    error == -EDQUOT)
		x->x_f->f_stop = true;
}

/* ---- the archive's side ------------------------------------------------------------ */

static la_ssize_t
read_some(struct archive *a, void *arg, const void **bufp)
{
	struct extract *x = arg;
	ssize_t n;

	do
		n = read(x->x_in, x->x_buf, sizeof(x->x_buf));
	while (n < 0 && errno == EINTR && !fs_stopped(x->x_f));
	if (n < 0)
		archive_set_error(a, errno, "%s", strerror(errno));
	*bufp = x->x_buf;
	if (n > 0)
		fs_progress(x->x_f, n);
	return n;
}

static la_int64_t
seek_to(struct archive *a, void *arg, la_int64_t off, int whence)
{
	struct extract *x = arg;
	off_t at = lseek(x->x_in, off, whence);

	if (at >= 0)
		return at;
	archive_set_error(a, errno, "%s", strerror(errno));
	return ARCHIVE_FATAL;
}

/*
 * An entry's name without slashes at its start and empty or "." parts; "." for
 * nothing at all.  False, and a message: too long, or it would lead out.
 */
static bool
clean_name(struct extract *x, const char *name, char *to)
{
	size_t n = 0, len;

	if (name == NULL) {
		fs_archive_error(x->x_f, x->x_a, "a name");
		return false;
	}
	for (; *name != '\0'; name += len) {
		len = strcspn(name, "/");
		if (len == 2 && memcmp(name, "..", 2) == 0) {
			fs_complain(x->x_f, name, "a name with '..'");
			return false;
		}
		if (n + len + 2 > FS_PATH_MAX) {
			fs_error(x->x_f, name, -ENAMETOOLONG);
			return false;
		}
		if (len != 0 && !(len == 1 && *name == '.')) {
			if (n != 0)
				to[n++] = '/';
			memcpy(to + n, name, len);
			n += len;
		}
		len += name[len] == '/';
	}
	if (n == 0)
		to[n++] = '.';
	to[n] = '\0';
	return true;
}

/* ---- making things, whatever is in their place ---------------------------------------- */

/* Make the directories that x_path is to be in. */
static int64_t
make_parents(struct extract *x)
{
	int64_t error = 0;
	char *s = x->x_path;

	while (error == 0 && (s = strchr(s, '/')) != NULL) {
		*s = '\0';
		error = quern_mkdir(x->x_p, x->x_path, 0755);
		*s++ = '/';
		if (error == -EEXIST)
			error = 0;
	}
	return error;
}

/* Something answered `error` to the making of x_path: is it to try again? */
static bool
make_way(struct extract *x, int64_t *error, unsigned *tries)
{
	if ((*tries)++ == 2)
		return false;
	if (*error == -ENOENT)
		*error = make_parents(x);
	else if (*error == -EEXIST)
		*error = quern_unlink(x->x_p, x->x_path);
	else
		return false;
	return *error == 0;
}

static int64_t
make_other(struct extract *x, struct archive_entry *e, const char *link)
{
	const char *target = archive_entry_symlink(e);

	if (link != NULL)
		return quern_link(x->x_p, link, x->x_path);
	if (archive_entry_filetype(e) == AE_IFLNK)
		return target == NULL ?
		    -EILSEQ :
		    quern_symlink(x->x_p, target, x->x_path);
	return quern_mknod(x->x_p, x->x_path, (uint32_t)archive_entry_mode(e),
	    (unsigned)archive_entry_rdev(e));
}

/* ---- attributes ---------------------------------------------------------------------------- */

static void
set_xattr(struct extract *x, const char *name, const void *value, size_t len)
{
	int64_t error = quern_lsetxattr(x->x_p, x->x_path, name, value, len, 0);
	char what[FS_PATH_MAX + 300];

	/* -ENOSPC is about this file: so much it can't have. */
	if (error != 0) {
		snprintf(what, sizeof(what), "%s: %s", x->x_path, name);
		fs_error(x->x_f, what, error);
	}
}

static void
set_acl(struct extract *x, struct archive_entry *e, int type, const char *name)
{
	char value[65536];
	int64_t n = fs_acl_value(e, type, value, sizeof(value));

	if (n < 0)
		fs_error(x->x_f, x->x_path, n);
	else if (n > 0)
		set_xattr(x, name, value, (size_t)n);
}

static void
set_xattrs(struct extract *x, struct archive_entry *e)
{
	const void *value;
	const char *name;
	size_t len;

	archive_entry_xattr_reset(e);
	while (archive_entry_xattr_next(e, &name, &value, &len) == ARCHIVE_OK)
		set_xattr(x, name, value, len);
	if ((archive_entry_acl_types(e) & ARCHIVE_ENTRY_ACL_TYPE_POSIX1E) == 0)
		return;
	set_acl(x, e, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, FS_ACL_ACCESS);
	if (archive_entry_filetype(e) == AE_IFDIR)
		set_acl(x, e, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, FS_ACL_DEFAULT);
}

/* Owner, mode, attributes, times: of `fd`, or of x_path if that is -1. */
static void
set_attrs(struct extract *x, struct archive_entry *e, int fd)
{
	const uint32_t mode = (uint32_t)archive_entry_perm(e);
	const uint32_t uid = (uint32_t)archive_entry_uid(e);
	const uint32_t gid = (uint32_t)archive_entry_gid(e);
	struct q_timespec ts[2] = { { .tv_nsec = Q_UTIME_OMIT },
		{ .tv_nsec = Q_UTIME_OMIT } };
	bool link = archive_entry_filetype(e) == AE_IFLNK;
	struct q_stat st;
	int64_t error;

	error = fd >= 0 ? quern_fstat(x->x_p, fd, &st) :
			  quern_lstat(x->x_p, x->x_path, &st);
	if (error == 0 && (st.st_uid != uid || st.st_gid != gid))
		error = fd >= 0 ? quern_fchown(x->x_p, fd, uid, gid) :
				  quern_lchown(x->x_p, x->x_path, uid, gid);
	/* A new owner takes set-id bits away. */
	if (error == 0 && !link &&
	    ((st.st_mode & 07777) != mode || (mode & 07000) != 0))
		error = fd >= 0 ? quern_fchmod(x->x_p, fd, mode) :
				  quern_chmod(x->x_p, x->x_path, mode);
	if (error == 0)
		set_xattrs(x, e);
	if (archive_entry_atime_is_set(e))
		ts[0] = (struct q_timespec){ archive_entry_atime(e),
			archive_entry_atime_nsec(e) };
	if (archive_entry_mtime_is_set(e))
		ts[1] = (struct q_timespec){ archive_entry_mtime(e),
			archive_entry_mtime_nsec(e) };
	if (error == 0)
		error = fd >= 0 ? quern_utimensat(x->x_p, fd, NULL, ts, 0) :
				  quern_utimensat(x->x_p, Q_AT_FDCWD, x->x_path,
				      ts, Q_AT_SYMLINK_NOFOLLOW);
	if (error != 0)
		failed(x, error);
}

/* ---- the kinds of entries ------------------------------------------------------------------- */

/* The contents, of which holes are left out. */
static bool
write_data(struct extract *x, struct archive_entry *e, int fd)
{
	const void *buf;
	la_int64_t off;
	int64_t end = 0, w = 0;
	size_t len, done;
	int r;

	while ((r = archive_read_data_block(x->x_a, &buf, &len, &off)) ==
	    ARCHIVE_OK) {
		for (done = 0; done < len; done += (size_t)w) {
			w = fs_stopped(x->x_f) ?
			    -EINTR :
			    quern_pwrite64(x->x_p, fd, (const char *)buf + done,
				len - done, off + (int64_t)done);
			if (w < 0) {
				failed(x, w);
				return false;
			}
		}
		end = off + (int64_t)len;
	}
	if (r != ARCHIVE_EOF) {
		fs_archive_error(x->x_f, x->x_a, x->x_path);
		/* After a fatal one nothing else is right. */
		x->x_f->f_stop = x->x_f->f_stop || r == ARCHIVE_FATAL;
		if (r != ARCHIVE_WARN)
			return false;
	}
	if (archive_entry_size_is_set(e) && end < archive_entry_size(e))
		w = quern_ftruncate(x->x_p, fd, archive_entry_size(e));
	if (w < 0)
		failed(x, w);
	return w >= 0;
}

static void
extract_file(struct extract *x, struct archive_entry *e)
{
	int flags = Q_O_WRONLY | Q_O_CREAT | Q_O_EXCL;
	unsigned tries = 0;
	int64_t fd, error;

	do
		error = fd = quern_open(x->x_p, x->x_path, flags,
		    (uint32_t)archive_entry_perm(e) & 0777);
	while (fd < 0 && make_way(x, &error, &tries));
	if (fd < 0) {
		failed(x, error);
		return;
	}
	if (write_data(x, e, (int)fd))
		set_attrs(x, e, (int)fd);
	error = quern_close(x->x_p, (int)fd);
	if (error != 0)
		failed(x, error);
}

static void
extract_dir(struct extract *x, struct archive_entry *e)
{
	struct q_stat st;
	unsigned tries = 0;
	int64_t error;

	do {
		error = quern_mkdir(x->x_p, x->x_path, 0700);
		if (error == -EEXIST &&
		    quern_stat(x->x_p, x->x_path, &st) == 0 &&
		    (st.st_mode & Q_S_IFMT) == Q_S_IFDIR)
			error = 0;
	} while (error != 0 && make_way(x, &error, &tries));
	if (error != 0) {
		failed(x, error);
		return;
	}
	if (x->x_ndirs % 256 == 0)
		x->x_dirs = fs_grow(x->x_dirs,
		    (x->x_ndirs + 256) * sizeof(*x->x_dirs));
	x->x_dirs[x->x_ndirs++] = archive_entry_clone(e);
}

/* Another name.  Some formats give the contents only with the last of them. */
static void
extract_link(struct extract *x, struct archive_entry *e, const char *link)
{
	char target[FS_PATH_MAX];
	unsigned tries = 0;
	int64_t error;
	int fd;

	if (!clean_name(x, link, target))
		return;
	if (strcmp(target, x->x_path) == 0)
		return;
	do
		error = make_other(x, e, target);
	while (error != 0 && make_way(x, &error, &tries));
	if (error == 0 && archive_entry_size_is_set(e) &&
	    archive_entry_size(e) > 0) {
		fd = quern_open(x->x_p, x->x_path, Q_O_WRONLY | Q_O_TRUNC, 0);
		if (fd >= 0 && write_data(x, e, fd))
			set_attrs(x, e, fd);
		error = fd < 0 ? fd : quern_close(x->x_p, fd);
	}
	if (error != 0)
		failed(x, error);
}

static void
extract_entry(struct extract *x, struct archive_entry *e)
{
	const char *link = archive_entry_hardlink(e);
	unsigned tries = 0;
	int64_t error;

	if (!clean_name(x, archive_entry_pathname(e), x->x_path))
		return;
	if (link != NULL) {
		extract_link(x, e, link);
	} else if (archive_entry_filetype(e) == AE_IFDIR) {
		extract_dir(x, e);
	} else if (archive_entry_filetype(e) == AE_IFREG) {
		extract_file(x, e);
	} else {
		do
			error = make_other(x, e, NULL);
		while (error != 0 && make_way(x, &error, &tries));
		if (error != 0)
			failed(x, error);
		else
			set_attrs(x, e, -1);
	}
}

/* All but the contents of directories is there. */
static void
finish_dirs(struct extract *x)
{
	while (x->x_ndirs > 0) {
		struct archive_entry *e = x->x_dirs[--x->x_ndirs];

		if (clean_name(x, archive_entry_pathname(e), x->x_path))
			set_attrs(x, e, -1);
		archive_entry_free(e);
	}
	free(x->x_dirs);
}

void
fs_extract(struct fs *f, int in)
{
	struct extract *x = fs_grow(NULL, sizeof(*x));
	struct archive_entry *e;
	struct stat st;
	int r = ARCHIVE_FATAL;

	memset(x, 0, offsetof(struct extract, x_path));
	x->x_f = f;
	x->x_p = f->f_p;
	x->x_in = in;
	x->x_a = archive_read_new();
	if (x->x_a == NULL) {
		fputs("quern fs: out of memory\n", stderr);
		exit(1);
	}
	(void)archive_read_support_filter_all(x->x_a);
	(void)archive_read_support_format_all(x->x_a);
	(void)archive_read_set_read_callback(x->x_a, read_some);
	/* Some formats have their list of contents at the end. */
	if (lseek(in, 0, SEEK_CUR) >= 0)
		(void)archive_read_set_seek_callback(x->x_a, seek_to);
	(void)archive_read_set_callback_data(x->x_a, x);
	fs_progress_begin(f,
	    fstat(in, &st) == 0 && S_ISREG(st.st_mode) ? st.st_size : 0);
	if (archive_read_open1(x->x_a) == ARCHIVE_OK)
		while (!fs_stopped(f) &&
		    (r = archive_read_next_header(x->x_a, &e)) >=
			ARCHIVE_WARN) {
			if (r == ARCHIVE_EOF)
				break;
			if (r == ARCHIVE_WARN)
				fs_archive_error(f, x->x_a,
				    archive_entry_pathname(e));
			if (r != ARCHIVE_RETRY)
				extract_entry(x, e);
		}
	if (r != ARCHIVE_EOF && !fs_stopped(f))
		fs_archive_error(f, x->x_a, NULL);
	finish_dirs(x);
	fs_progress_end(f);
	(void)archive_read_free(x->x_a);
	free(x);
}
