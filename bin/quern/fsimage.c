/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The image's files, as a side to copy from and to.
 */
#include <errno.h>

#include <quern/abi/fcntl.h>

#include "fsside.h"

static int64_t
image_lstat(struct fs *f, const char *path, struct q_stat *st)
{
	return quern_lstat(f->f_p, path, st);
}

static int64_t
image_stat(struct fs *f, const char *path, struct q_stat *st)
{
	return quern_stat(f->f_p, path, st);
}

static struct fs_entry *
image_list(struct fs *f, const char *path, size_t *np)
{
	return fs_list(f, path, true, np);
}

static int64_t
image_open(struct fs *f, const char *path, bool follow)
{
	return quern_open(f->f_p, path,
	    Q_O_RDONLY | (follow ? 0 : Q_O_NOFOLLOW), 0);
}

static int64_t
image_overwrite(struct fs *f, const char *path)
{
	return quern_open(f->f_p, path, Q_O_WRONLY | Q_O_TRUNC | Q_O_NOFOLLOW,
	    0);
}

static int64_t
image_create(struct fs *f, const char *path)
{
	return quern_open(f->f_p, path, Q_O_WRONLY | Q_O_CREAT | Q_O_EXCL,
	    0600);
}

static int64_t
image_read(struct fs *f, int fd, void *buf, size_t len, int64_t off)
{
	return quern_pread64(f->f_p, fd, buf, len, off);
}

static int64_t
image_write(struct fs *f, int fd, const void *buf, size_t len, int64_t off)
{
	return quern_pwrite64(f->f_p, fd, buf, len, off);
}

static int64_t
image_seek(struct fs *f, int fd, int64_t off, int whence)
{
	return quern_lseek(f->f_p, fd, off, whence);
}

static int64_t
image_resize(struct fs *f, int fd, int64_t size)
{
	return quern_ftruncate(f->f_p, fd, size);
}

static int64_t
image_close(struct fs *f, int fd)
{
	return quern_close(f->f_p, fd);
}

static int64_t
image_mkdir(struct fs *f, const char *path)
{
	return quern_mkdir(f->f_p, path, 0700);
}

static int64_t
image_mknod(struct fs *f, const char *path, uint32_t mode, uint64_t dev)
{
	return quern_mknod(f->f_p, path, (mode & Q_S_IFMT) | 0600, dev);
}

static int64_t
image_symlink(struct fs *f, const char *target, const char *path)
{
	return quern_symlink(f->f_p, target, path);
}

static int64_t
image_readlink(struct fs *f, const char *path, char *buf, size_t len)
{
	return quern_readlink(f->f_p, path, buf, len);
}

static int64_t
image_link(struct fs *f, const char *from, const char *to)
{
	return quern_link(f->f_p, from, to);
}

static int64_t
image_unlink(struct fs *f, const char *path)
{
	return quern_unlink(f->f_p, path);
}

static int64_t
image_own(struct fs *f, const char *path, struct q_stat *st)
{
	return quern_lchown(f->f_p, path, st->st_uid, st->st_gid);
}

static int64_t
image_chmod(struct fs *f, const char *path, uint32_t mode)
{
	return quern_chmod(f->f_p, path, mode & 07777);
}

static int64_t
image_utimes(struct fs *f, const char *path, const struct q_stat *st)
{
	struct q_timespec ts[2] = { st->st_atim, st->st_mtim };

	return quern_utimensat(f->f_p, Q_AT_FDCWD, path, ts,
	    Q_AT_SYMLINK_NOFOLLOW);
}

static int64_t
image_listxattr(struct fs *f, const char *path, char *buf, size_t len)
{
	return quern_llistxattr(f->f_p, path, buf, len);
}

static int64_t
image_getxattr(struct fs *f, const char *path, const char *name, void *buf,
    size_t len)
{
	return quern_lgetxattr(f->f_p, path, name, buf, len);
}

static int64_t
image_setxattr(struct fs *f, const char *path, const char *name,
    const void *buf, size_t len)
{
	return quern_lsetxattr(f->f_p, path, name, buf, len, 0);
}

const struct fs_side fs_image = {
	.s_lstat = image_lstat,
	.s_stat = image_stat,
	.s_list = image_list,
	.s_open = image_open,
	.s_overwrite = image_overwrite,
	.s_create = image_create,
	.s_read = image_read,
	.s_write = image_write,
	.s_seek = image_seek,
	.s_resize = image_resize,
	.s_close = image_close,
	.s_mkdir = image_mkdir,
	.s_mknod = image_mknod,
	.s_symlink = image_symlink,
	.s_readlink = image_readlink,
	.s_link = image_link,
	.s_unlink = image_unlink,
	.s_own = image_own,
	.s_chmod = image_chmod,
	.s_utimes = image_utimes,
	.s_listxattr = image_listxattr,
	.s_getxattr = image_getxattr,
	.s_setxattr = image_setxattr,
};
