/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls on whole files and file systems: syncing, allocating, mounting.
 */
#include <quern/abi/fs.h>
#include <quern/abi/mount.h>
#include <quern/block.h>

#include "impl.h"

/* ---- syncing ------------------------------------------------------------------- */

static int64_t
sync_file(struct qsys *s, bool data)
{
	struct qfile *f = qfd_get(s->s_proc, qsys_int(s, 0));
	struct qvnode *v;
	int error;

	if (f == NULL)
		return -Q_EBADF;
	v = qfile_vnode(f);
	if (v == NULL)
		error = -Q_EINVAL;
	else if (qvnode_type(v) == Q_S_IFREG || qvnode_isdir(v))
		error = vnode_fsync(v, data);
	else
		error = special_fsync(f);
	qfile_put(f);
	return error;
}

QSYS(fsync)
{
	return sync_file(s, false);
}

QSYS(fdatasync)
{
	return sync_file(s, true);
}

/* The one behind `fs`, or the first, with a reference; that to `fs` is dropped. */
static struct qfs *
next_fs(struct vfs *vf, struct qfs *fs)
{
	struct qfs *next = NULL, *it;
	struct qlist *l;

	qmutex_lock(&vf->vf_fslock);
	l = fs != NULL ? fs->fs_link.l_next : vf->vf_fs.l_next;
	for (; next == NULL && l != &vf->vf_fs; l = l->l_next) {
		it = QLIST_ELEM(l, struct qfs, fs_link);
		if (fs_tryget(it))
			next = it;
	}
	qmutex_unlock(&vf->vf_fslock);
	if (fs != NULL)
		fs_put(vf, fs);
	return next;
}

int
qvfs_sync(struct quern *k)
{
	struct vfs *vf = vfs_of(k);
	struct qfs *fs = NULL;
	int error = 0, e;

	while ((fs = next_fs(vf, fs)) != NULL) {
		e = fs_sync(fs, true);
		if (error == 0)
			error = e;
	}
	return error;
}

QSYS(sync)
{
	(void)qvfs_sync(s->s_proc->p_k);
	return 0;
}

QSYS(syncfs)
{
	struct qpath at;
	int error = fd_path(s->s_proc, qsys_int(s, 0), false, &at);

	if (error != 0)
		return error == -Q_EINVAL ? 0 : error;
	error = fs_sync(at.p_mnt->m_fs, true);
	qpath_put(&at);
	return error;
}

/* ---- allocating ------------------------------------------------------------------ */

#define FALLOC_KNOWN                                              \
	(Q_FALLOC_FL_KEEP_SIZE | Q_FALLOC_FL_PUNCH_HOLE |         \
	    Q_FALLOC_FL_COLLAPSE_RANGE | Q_FALLOC_FL_ZERO_RANGE | \
	    Q_FALLOC_FL_INSERT_RANGE | Q_FALLOC_FL_UNSHARE_RANGE)

/* What modes go together. */
static int
check_mode(uint32_t mode)
{
	uint32_t op = mode & ~(uint32_t)Q_FALLOC_FL_KEEP_SIZE;

	if ((mode & ~(uint32_t)FALLOC_KNOWN) != 0)
		return -Q_EOPNOTSUPP;
	if ((op & (op - 1)) != 0)
		return -Q_EOPNOTSUPP;
	if (op == Q_FALLOC_FL_PUNCH_HOLE && (mode & Q_FALLOC_FL_KEEP_SIZE) == 0)
		return -Q_EOPNOTSUPP;
	if ((op == Q_FALLOC_FL_COLLAPSE_RANGE ||
		op == Q_FALLOC_FL_INSERT_RANGE) &&
	    (mode & Q_FALLOC_FL_KEEP_SIZE) != 0)
		return -Q_EINVAL;
	return 0;
}

/* Pages of a range that loses its contents, and parts of pages at its ends. */
static int
forget_range(struct qvnode *v, uint64_t off, uint64_t end)
{
	uint64_t first = QROUNDUP(off, QUERN_PAGE_SIZE);
	uint64_t last = end / QUERN_PAGE_SIZE * QUERN_PAGE_SIZE;
	int error = 0;

	if (first > last)
		return qpcache_zero(v, off, (size_t)(end - off));
	if (off < first)
		error = qpcache_zero(v, off, (size_t)(first - off));
	if (error == 0 && last < end)
		error = qpcache_zero(v, last, (size_t)(end - last));
	if (error == 0 && first < last)
		error = qpcache_drop(v, first, last, true);
	return error;
}

int
vnode_fallocate(struct qvnode *v, uint32_t mode, uint64_t off, uint64_t len)
{
	uint32_t op = mode & ~(uint32_t)Q_FALLOC_FL_KEEP_SIZE;
	uint64_t end = off + len, size = v->v_size;
	int error;

	error = seal_check_write(v,
	    (mode & Q_FALLOC_FL_KEEP_SIZE) != 0 ? 0 : end);
	if (error == 0)
		error = drop_privileges(v, qproc_current());
	if (error != 0)
		return error;
	if (op == Q_FALLOC_FL_PUNCH_HOLE || op == Q_FALLOC_FL_ZERO_RANGE)
		error = forget_range(v, off,
		    end < size     ? end :
			size > off ? size :
				     off);
	/* Everything behind the range moves. */
	if (op == Q_FALLOC_FL_COLLAPSE_RANGE ||
	    op == Q_FALLOC_FL_INSERT_RANGE) {
		error = qpcache_sync(v, 0, UINT64_MAX, true);
		if (error == 0)
			error = qpcache_drop(v,
			    off / QUERN_PAGE_SIZE * QUERN_PAGE_SIZE,
			    UINT64_MAX / QUERN_PAGE_SIZE * QUERN_PAGE_SIZE,
			    true);
	} else if (error == 0 && end > size &&
	    (mode & Q_FALLOC_FL_KEEP_SIZE) == 0) {
		error = qpcache_extend(v, end);
	}
	if (error == 0)
		error = v->v_ops->vo_fallocate(v, mode, off, len);
	if (error == 0)
		qvnode_touch(v, QVA_MTIME | QVA_CTIME);
	return error;
}

QSYS(fallocate)
{
	int64_t off = (int64_t)s->s_arg[2], len = (int64_t)s->s_arg[3];
	uint32_t mode = qsys_uint(s, 1);
	struct qfile *f;
	struct qvnode *v;
	int error;

	f = qfd_get(s->s_proc, qsys_int(s, 0));
	if (f == NULL)
		return -Q_EBADF;
	v = qfile_vnode(f);
	error = check_mode(mode);
	if (off < 0 || len <= 0)
		error = -Q_EINVAL;
	else if (error == 0 && (f->f_mode & QF_WRITE) == 0)
		error = -Q_EBADF;
	else if (error == 0 && v == NULL)
		error = (f->f_mode & QF_SEEK) != 0 ? -Q_ENODEV : -Q_ESPIPE;
	else if (error == 0 && qvnode_type(v) == Q_S_IFIFO)
		error = -Q_ESPIPE;
	else if (error == 0 && qvnode_isdir(v))
		error = -Q_EISDIR;
	else if (error == 0 && qvnode_type(v) != Q_S_IFREG)
		error = -Q_ENODEV;
	else if (error == 0 && qvnode_is(v, QV_IMMUTABLE))
		error = -Q_EPERM;
	else if (error == 0 && qvnode_is(v, QV_APPEND) &&
	    (mode & ~(uint32_t)Q_FALLOC_FL_KEEP_SIZE) != 0)
		error = -Q_EPERM;
	else if (error == 0 &&
	    (uint64_t)off + (uint64_t)len > v->v_fs->fs_maxsize)
		error = -Q_EFBIG;
	else if (error == 0 && v->v_ops->vo_fallocate == NULL)
		error = -Q_EOPNOTSUPP;
	if (error == 0) {
		qrw_wrlock(&v->v_lock);
		error = vnode_fallocate(v, mode, (uint64_t)off, (uint64_t)len);
		qrw_wrunlock(&v->v_lock);
	}
	if (error == 0)
		notify_path(qfile_path(f), Q_IN_MODIFY);
	qfile_put(f);
	return error;
}

/* ---- mounting ----------------------------------------------------------------------- */

/* A short string argument, or "" for NULL. */
static int
text_arg(const struct qsys *s, unsigned i, char *buf, size_t len)
{
	int64_t n;

	buf[0] = '\0';
	if (s->s_arg[i] == 0)
		return 0;
	n = qcopyinstr(s->s_us, buf, s->s_arg[i], len);
	if (n == -Q_ENAMETOOLONG)
		return -Q_EINVAL;
	return n < 0 ? (int)n : 0;
}

struct mount_args {
	char source[512];
	char type[64];
	char options[1024];
};

static const struct qtag tag_args = { "mount arguments" };

/* If the source leads to a disk by another name, put the disk's there. */
static void
disk_of(struct qsys *s, struct mount_args *ma)
{
	struct qdisk *d = NULL;
	struct qvnode *v;
	struct qpath at;

	if (qvfs_walk(s->s_proc, Q_AT_FDCWD, ma->source, QWALK_FOLLOW, &at) !=
	    0)
		return;
	v = qpath_vnode(&at);
	if (qvnode_type(v) == Q_S_IFBLK && qdev_major(v->v_rdev) == QDISK_MAJOR)
		d = qdisk_from(s->s_proc->p_k, qdev_minor(v->v_rdev));
	if (d != NULL && d->qd_num == qdev_minor(v->v_rdev))
		qsnprintf(ma->source, sizeof(ma->source), "/dev/%s",
		    d->qd_name);
	if (d != NULL)
		qdisk_put(d);
	qpath_put(&at);
}

static int
do_mount(struct qsys *s, struct mount_args *ma, const struct qpath *at,
    uint32_t flags)
{
	struct vfs *vf = vfs_of(s->s_proc->p_k);
	struct qpath from;
	int error;

	if ((flags & Q_MS_REMOUNT) != 0)
		return mount_again(vf, at, flags, ma->options);
	if ((flags &
		(Q_MS_SHARED | Q_MS_PRIVATE | Q_MS_SLAVE | Q_MS_UNBINDABLE)) !=
	    0)
		return (flags & Q_MS_PRIVATE) != 0 ? 0 : -Q_EINVAL;
	if ((flags & (Q_MS_BIND | Q_MS_MOVE)) == 0 && ma->source[0] == '/')
		disk_of(s, ma);
	if ((flags & (Q_MS_BIND | Q_MS_MOVE)) == 0)
		return qvfs_mount(s->s_proc->p_k, ma->source, at, ma->type,
		    flags, ma->options);
	error = qvfs_walk(s->s_proc, Q_AT_FDCWD, ma->source, QWALK_FOLLOW,
	    &from);
	if (error != 0)
		return error;
	if ((flags & Q_MS_BIND) != 0)
		error = mount_bind(vf, &from, at, (flags & Q_MS_REC) != 0);
	else
		error = mount_move(vf, &from, at);
	qpath_put(&from);
	return error;
}

QSYS(mount)
{
	uint32_t flags = qsys_uint(s, 3);
	struct mount_args *ma;
	struct qpath at;
	int error;

	if (!qproc_capable(s->s_proc, Q_CAP_SYS_ADMIN))
		return -Q_EPERM;
	ma = qalloc(&tag_args, sizeof(*ma));
	if (ma == NULL)
		return -Q_ENOMEM;
	/* An old mark in the upper half. */
	if ((flags & Q_MS_MGC_MSK) == Q_MS_MGC_VAL)
		flags &= ~(uint32_t)Q_MS_MGC_MSK;
	error = text_arg(s, 0, ma->source, sizeof(ma->source));
	if (error == 0)
		error = text_arg(s, 2, ma->type, sizeof(ma->type));
	if (error == 0)
		error = text_arg(s, 4, ma->options, sizeof(ma->options));
	if (error == 0)
		error = qvfs_walk_arg(s, Q_AT_FDCWD, 1, QWALK_FOLLOW, &at);
	if (error == 0) {
		error = do_mount(s, ma, &at, flags);
		qpath_put(&at);
	}
	qfree(ma);
	return error;
}

QSYS(umount2)
{
	uint32_t flags = qsys_uint(s, 1);
	struct qpath at;
	int error;

	if ((flags &
		~(uint32_t)(Q_MNT_FORCE | Q_MNT_DETACH | Q_MNT_EXPIRE |
		    Q_UMOUNT_NOFOLLOW)) != 0)
		return -Q_EINVAL;
	if (!qproc_capable(s->s_proc, Q_CAP_SYS_ADMIN))
		return -Q_EPERM;
	/* Nobody counts when a mount was used last. */
	if ((flags & Q_MNT_EXPIRE) != 0)
		return -Q_EINVAL;
	error = qvfs_walk_arg(s, Q_AT_FDCWD, 0,
	    (flags & Q_UMOUNT_NOFOLLOW) != 0 ? 0 : QWALK_FOLLOW, &at);
	if (error != 0)
		return error;
	return mount_away(vfs_of(s->s_proc->p_k), &at,
	    (flags & Q_MNT_DETACH) != 0);
}
