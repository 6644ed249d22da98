/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host's files, as a side to copy from and to.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fsside.h"

/* What a call of libc's returned, as a call of the kernel's. */
static int64_t
result(int64_t r)
{
	return r < 0 ? -errno : r;
}

static void
convert(const struct stat *h, struct q_stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_dev = h->st_dev;
	st->st_ino = h->st_ino;
	st->st_nlink = h->st_nlink;
	st->st_mode = h->st_mode;
	st->st_uid = h->st_uid;
	st->st_gid = h->st_gid;
	st->st_rdev = h->st_rdev;
	st->st_size = h->st_size;
	st->st_blksize = h->st_blksize;
	st->st_blocks = h->st_blocks;
	st->st_atim.tv_sec = h->st_atim.tv_sec;
	st->st_atim.tv_nsec = h->st_atim.tv_nsec;
	st->st_mtim.tv_sec = h->st_mtim.tv_sec;
	st->st_mtim.tv_nsec = h->st_mtim.tv_nsec;
	st->st_ctim.tv_sec = h->st_ctim.tv_sec;
	st->st_ctim.tv_nsec = h->st_ctim.tv_nsec;
}

static int64_t
host_lstat(struct fs *f, const char *path, struct q_stat *st)
{
	struct stat h;

	(void)f;
	if (lstat(path, &h) != 0)
		return -errno;
	convert(&h, st);
	return 0;
}

static int64_t
host_stat(struct fs *f, const char *path, struct q_stat *st)
{
	struct stat h;

	(void)f;
	if (stat(path, &h) != 0)
		return -errno;
	convert(&h, st);
	return 0;
}

static struct fs_entry *
host_list(struct fs *f, const char *path, size_t *np)
{
	struct fs_entry *e = NULL;
	DIR *dir = opendir(path);
	const struct dirent *d;
	struct stat h;

	*np = 0;
	if (dir == NULL) {
		fs_error(f, path, -errno);
		return NULL;
	}
	while (errno = 0, (d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (fstatat(dirfd(dir), d->d_name, &h, AT_SYMLINK_NOFOLLOW) !=
		    0) {
			fs_error(f, d->d_name, -errno);
			continue;
		}
		e = fs_grow(e, (*np + 1) * sizeof(*e));
		e[*np].e_name = fs_strdup(d->d_name);
		convert(&h, &e[*np].e_st);
		(*np)++;
	}
	if (errno != 0)
		fs_error(f, path, -errno);
	closedir(dir);
	fs_sort_list(e, *np);
	return e;
}

static int64_t
host_open(struct fs *f, const char *path, bool follow)
{
	(void)f;
	return result(open(path,
	    O_RDONLY | O_CLOEXEC | O_NOCTTY | (follow ? 0 : O_NOFOLLOW)));
}

static int64_t
host_overwrite(struct fs *f, const char *path)
{
	(void)f;
	return result(
	    open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY));
}

static int64_t
host_create(struct fs *f, const char *path)
{
	(void)f;
	return result(open(path,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
}

static int64_t
host_read(struct fs *f, int fd, void *buf, size_t len, int64_t off)
{
	(void)f;
	return result(pread(fd, buf, len, off));
}

static int64_t
host_write(struct fs *f, int fd, const void *buf, size_t len, int64_t off)
{
	ssize_t n = pwrite(fd, buf, len, off);

	(void)f;
	/* A device or a pipe takes what comes in its order. */
	if (n < 0 && errno == ESPIPE)
		n = write(fd, buf, len);
	return result(n);
}

static int64_t
host_seek(struct fs *f, int fd, int64_t off, int whence)
{
	(void)f;
	return result(lseek(fd, off, whence));
}

static int64_t
host_resize(struct fs *f, int fd, int64_t size)
{
	(void)f;
	return result(ftruncate(fd, size));
}

static int64_t
host_close(struct fs *f, int fd)
{
	(void)f;
	return result(close(fd));
}

static int64_t
host_mkdir(struct fs *f, const char *path)
{
	(void)f;
	return result(mkdir(path, 0700));
}

static int64_t
host_mknod(struct fs *f, const char *path, uint32_t mode, uint64_t dev)
{
	(void)f;
	return result(mknod(path, (mode & S_IFMT) | 0600, (dev_t)dev));
}

static int64_t
host_symlink(struct fs *f, const char *target, const char *path)
{
	(void)f;
	return result(symlink(target, path));
}

static int64_t
host_readlink(struct fs *f, const char *path, char *buf, size_t len)
{
	(void)f;
	return result(readlink(path, buf, len));
}

static int64_t
host_link(struct fs *f, const char *from, const char *to)
{
	(void)f;
	return result(linkat(AT_FDCWD, from, AT_FDCWD, to, 0));
}

static int64_t
host_unlink(struct fs *f, const char *path)
{
	(void)f;
	return result(unlink(path));
}

static int64_t
host_own(struct fs *f, const char *path, struct q_stat *st)
{
	struct stat h;

	(void)f;
	if (lchown(path, st->st_uid, st->st_gid) == 0)
		return 0;
	if (errno != EPERM && errno != EINVAL)
		return -errno;
	/* Perhaps the group is one of ours. */
	(void)!lchown(path, (uid_t)-1, st->st_gid);
	if (lstat(path, &h) != 0)
		return -errno;
	if (h.st_uid != st->st_uid)
		st->st_mode &= ~(uint32_t)S_ISUID;
	if (h.st_gid != st->st_gid)
		st->st_mode &= ~(uint32_t)S_ISGID;
	return 0;
}

static int64_t
host_chmod(struct fs *f, const char *path, uint32_t mode)
{
	(void)f;
	return result(chmod(path, mode & 07777));
}

static int64_t
host_utimes(struct fs *f, const char *path, const struct q_stat *st)
{
	struct timespec ts[2] = { { st->st_atim.tv_sec, st->st_atim.tv_nsec },
		{ st->st_mtim.tv_sec, st->st_mtim.tv_nsec } };

	(void)f;
	return result(utimensat(AT_FDCWD, path, ts, AT_SYMLINK_NOFOLLOW));
}

static int64_t
host_listxattr(struct fs *f, const char *path, char *buf, size_t len)
{
	(void)f;
	return result(llistxattr(path, buf, len));
}

static int64_t
host_getxattr(struct fs *f, const char *path, const char *name, void *buf,
    size_t len)
{
	(void)f;
	return result(lgetxattr(path, name, buf, len));
}

static int64_t
host_setxattr(struct fs *f, const char *path, const char *name, const void *buf,
    size_t len)
{
	(void)f;
	if (lsetxattr(path, name, buf, len, 0) == 0 || errno == EPERM ||
	    errno == EOPNOTSUPP)
		return 0;
	return -errno;
}

const struct fs_side fs_host = {
	.s_lstat = host_lstat,
	.s_stat = host_stat,
	.s_list = host_list,
	.s_open = host_open,
	.s_overwrite = host_overwrite,
	.s_create = host_create,
	.s_read = host_read,
	.s_write = host_write,
	.s_seek = host_seek,
	.s_resize = host_resize,
	.s_close = host_close,
	.s_mkdir = host_mkdir,
	.s_mknod = host_mknod,
	.s_symlink = host_symlink,
	.s_readlink = host_readlink,
	.s_link = host_link,
	.s_unlink = host_unlink,
	.s_own = host_own,
	.s_chmod = host_chmod,
	.s_utimes = host_utimes,
	.s_listxattr = host_listxattr,
	.s_getxattr = host_getxattr,
	.s_setxattr = host_setxattr,
};
