/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Open files of the VFS: what read, write and the others do with a vnode.
 */
#include <quern/abi/fs.h>
#include <quern/abi/ioctl.h>

#include "impl.h"

static const struct qtag tag_open = { "open file" };

static bool
is_ours(const struct qfile *f)
{
	return f->f_ops->fo_release == file_release;
}

const struct qpath *
qfile_path(const struct qfile *f)
{
	return is_ours(f) ? &open_of(f)->of_path : NULL;
}

struct qvnode *
qfile_vnode(const struct qfile *f)
{
	return is_ours(f) ? open_of(f)->of_v : NULL;
}

/* ---- times ---------------------------------------------------------------------- */

static bool
is_before(struct qtime a, struct qtime b)
{
	return a.t_sec < b.t_sec || (a.t_sec == b.t_sec && a.t_nsec < b.t_nsec);
}

/* relatime looks every so many reads of an open file whether a day has passed. */
#define ATIME_READS 64u

/*
 * It has been read, `reads` times before through this open file: set the time if
 * that is asked for (relatime).
 */
void
touch_atime(struct qmount *m, struct qvnode *v, uint32_t reads)
{
	uint32_t flags = __atomic_load_n(&m->m_flags, __ATOMIC_RELAXED);
	struct qtime now, a, m_, c;
	static const int64_t day = 24 * 60 * 60;

	if ((flags & QFS_NOATIME) != 0 || qvnode_is(v, QV_NOATIME) ||
	    ((flags & QFS_NODIRATIME) != 0 && qvnode_isdir(v)) ||
	    mount_rdonly(m))
		return;
	if ((flags & QFS_RELATIME) != 0) {
		qtime_load(&a, &v->v_atime);
		qtime_load(&m_, &v->v_mtime);
		qtime_load(&c, &v->v_ctime);
		if (is_before(m_, a) && is_before(c, a)) {
			/* The clock costs as much as reading: rarely. */
			if (reads % ATIME_READS != 0)
				return;
			now = qfs_now(v->v_fs);
			if (now.t_sec - a.t_sec < day)
				return;
		}
	}
	qvnode_touch(v, QVA_ATIME);
}

/* ---- reading and writing ----------------------------------------------------------- */

static int64_t
file_read(struct qfile *f, struct quio *u)
{
	struct open_file *of = open_of(f);
	struct qvnode *v = of->of_v;
	uint32_t reads;
	int64_t n;

	if (u->u_off < 0)
		return -Q_EINVAL;
	if (qunlikely(qvnode_is(v, QV_NOCACHE)))
		n = v->v_ops->vo_read != NULL ? v->v_ops->vo_read(v, u) :
						-Q_EINVAL;
	else
		n = qpcache_read(v, u, &of->of_ra);
	if (n > 0 && (f->f_flags & Q_O_NOATIME) == 0) {
		/* One lost between two readers is no harm. */
		reads = __atomic_load_n(&of->of_reads, __ATOMIC_RELAXED);
		__atomic_store_n(&of->of_reads, reads + 1, __ATOMIC_RELAXED);
		touch_atime(of->of_path.p_mnt, v, reads);
	}
	if (n > 0)
		notify_path(&of->of_path, Q_IN_ACCESS);
	return n;
}

/*
 * A write takes the set-id bits and file capabilities away, as does truncation.
 * v_lock is held.
 */
int
drop_privileges(struct qvnode *v, struct quern_proc *p)
{
	uint32_t mode = v->v_mode, gone = 0;
	struct qvattr a = { .va_set = QVA_MODE };

	if (!qvnode_is(v, QV_NOSEC) && v->v_ops->vo_setxattr != NULL) {
		(void)v->v_ops->vo_setxattr(v, "security.capability", NULL, 0,
		    0);
		__atomic_fetch_or(&v->v_flags, QV_NOSEC, __ATOMIC_RELAXED);
	}
	if ((mode & Q_S_ISUID) != 0)
		gone |= Q_S_ISUID;
	if ((mode & (Q_S_ISGID | Q_S_IXGRP)) == (Q_S_ISGID | Q_S_IXGRP))
		gone |= Q_S_ISGID;
	if (gone == 0 || p == NULL || qproc_capable(p, Q_CAP_FSETID))
		return 0;
	a.va_mode = mode & 07777 & ~gone;
	return vnode_setattr(v, &a);
}

/* How far a file may reach.  -EFBIG: not even to `off`. */
static int
limit_size(struct qfile *f, struct qvnode *v, struct quio *u)
{
	struct quern_proc *p = qproc_current();
	uint64_t max = v->v_fs->fs_maxsize, limit = UINT64_MAX;

	if (p != NULL)
		limit = __atomic_load_n(&p->p_rlim[Q_RLIMIT_FSIZE].rlim_cur,
		    __ATOMIC_RELAXED);
	(void)f;
	if ((uint64_t)u->u_off >= limit) {
		qproc_signal(p, 25 /* SIGXFSZ */);
		return -Q_EFBIG;
	}
	if (limit < max)
		max = limit;
	if ((uint64_t)u->u_off >= max)
		return -Q_EFBIG;
	if (u->u_resid > max - (uint64_t)u->u_off)
		u->u_resid = (size_t)(max - (uint64_t)u->u_off);
	return 0;
}

static int64_t
write_locked(struct qfile *f, struct qvnode *v, struct quio *u)
{
	int64_t n;
	int error;

	if (((f->f_flags & Q_O_APPEND) != 0 || (u->u_flags & QUIO_APPEND) != 0))
		u->u_off = (int64_t)v->v_size;
	if (u->u_resid == 0)
		return 0;
	error = limit_size(f, v, u);
	if (error == 0)
		error = seal_check_write(v, (uint64_t)u->u_off + u->u_resid);
	if (error == 0)
		error = drop_privileges(v, qproc_current());
	if (error != 0)
		return error;
	if (qvnode_is(v, QV_NOCACHE))
		n = v->v_ops->vo_write != NULL ? v->v_ops->vo_write(v, u) :
						 -Q_EINVAL;
	else
		n = qpcache_write(v, u);
	if (n > 0)
		qvnode_touch(v, QVA_MTIME | QVA_CTIME);
	return n;
}

static int64_t
file_write(struct qfile *f, struct quio *u)
{
	struct open_file *of = open_of(f);
	struct qvnode *v = of->of_v;
	uint32_t flags = f->f_flags;
	int64_t n;
	int error;

	if (u->u_off < 0)
		return -Q_EINVAL;
	if (qfs_rdonly(v->v_fs))
		return -Q_EROFS;
	qrw_wrlock(&v->v_lock);
	n = write_locked(f, v, u);
	qrw_wrunlock(&v->v_lock);
	if (n <= 0)
		return n;
	notify_path(&of->of_path, Q_IN_MODIFY);
	if ((flags & Q_O_DSYNC) != 0 ||
	    (u->u_flags & (QUIO_DSYNC | QUIO_SYNC)) != 0 ||
	    qvnode_is(v, QV_SYNC) ||
	    (of->of_path.p_mnt->m_flags & QFS_SYNC) != 0) {
		error = vnode_fsync(v,
		    (flags & Q_O_SYNC) != Q_O_SYNC &&
			(u->u_flags & QUIO_SYNC) == 0);
		if (error != 0)
			return error;
	}
	return n;
}

int
vnode_fsync(struct qvnode *v, bool data)
{
	int error = vnode_write(v, true), e = 0;

	if (v->v_ops->vo_fsync != NULL)
		e = v->v_ops->vo_fsync(v, data);
	return error != 0 ? error : e;
}

/* ---- the rest of a file's operations -------------------------------------------------- */

static int64_t
file_seek(struct qfile *f, int64_t off, int whence)
{
	struct qvnode *v = open_of(f)->of_v;
	int64_t max = (int64_t)v->v_fs->fs_maxsize, base = 0, to;

	switch (whence) {
	case Q_SEEK_SET:
		break;
	case Q_SEEK_CUR:
		base = f->f_off;
		break;
	case Q_SEEK_END:
		base = (int64_t)qvnode_size(v);
		break;
	case Q_SEEK_DATA:
	case Q_SEEK_HOLE:
		if (off < 0)
			return -Q_ENXIO;
		qrw_rdlock(&v->v_lock);
		to = qpcache_seek(v, (uint64_t)off, whence == Q_SEEK_HOLE);
		qrw_rdunlock(&v->v_lock);
		if (to < 0)
			return to;
		return f->f_off = to;
	default:
		return -Q_EINVAL;
	}
	if (__builtin_add_overflow(base, off, &to) || to < 0)
		return -Q_EINVAL;
	if (to > max)
		return -Q_EINVAL;
	return f->f_off = to;
}

static int64_t
dir_seek(struct qfile *f, int64_t off, int whence)
{
	int64_t base = whence == Q_SEEK_CUR ? f->f_off : 0;

	if (whence != Q_SEEK_CUR && whence != Q_SEEK_SET)
		return -Q_EINVAL;
	if (__builtin_add_overflow(base, off, &off) || off < 0)
		return -Q_EINVAL;
	return f->f_off = off;
}

int
file_stat(struct qfile *f, struct q_stat *st)
{
	vnode_stat(open_of(f)->of_v, st);
	return 0;
}

static int
file_setfl(struct qfile *f, uint32_t flags)
{
	struct qvnode *v = open_of(f)->of_v;

	if (qvnode_is(v, QV_APPEND) && (flags & Q_O_APPEND) == 0 &&
	    (f->f_mode & QF_WRITE) != 0)
		return -Q_EPERM;
	if ((flags & Q_O_NOATIME) != 0 && (f->f_flags & Q_O_NOATIME) == 0 &&
	    !is_owner(v, qproc_current()))
		return -Q_EPERM;
	return 0;
}

/* FITRIM: start, length and the least that counts; the length is what was done. */
static int64_t
trim(struct qvnode *v, struct qsys *s, uint64_t arg)
{
	struct qfs *fs = v->v_fs;
	uint64_t range[3];
	int error;

	if (!qproc_capable(s->s_proc, Q_CAP_SYS_ADMIN))
		return -Q_EPERM;
	if (fs->fs_ops->fso_trim == NULL)
		return -Q_EOPNOTSUPP;
	if (qfs_rdonly(fs))
		return -Q_EROFS;
	if (qcopyin(s->s_us, range, arg, sizeof(range)) != 0)
		return -Q_EFAULT;
	error = fs->fs_ops->fso_trim(fs, range[0], range[1], range[2],
	    &range[1]);
	if (error == 0)
		error = qcopyout(s->s_us, arg, range, sizeof(range));
	return error;
}

static int64_t
file_ioctl(struct qfile *f, struct qsys *s, uint32_t cmd, uint64_t arg)
{
	struct qvnode *v = open_of(f)->of_v;
	int32_t n;
	int64_t left;

	if (cmd == Q_FIONREAD && qvnode_type(v) == Q_S_IFREG) {
		left = (int64_t)qvnode_size(v) - f->f_off;
		n = left > INT32_MAX ? INT32_MAX : (int32_t)left;
		return qcopyout(s->s_us, arg, &n, sizeof(n));
	}
	if (cmd == Q_FITRIM && (qvnode_type(v) == Q_S_IFREG || qvnode_isdir(v)))
		return trim(v, s, arg);
	if (v->v_ops->vo_ioctl == NULL)
		return -Q_ENOTTY;
	return v->v_ops->vo_ioctl(v, cmd, arg);
}

static int
file_flush(struct qfile *f, const struct qfdtable *t)
{
	vnode_locks_closed(open_of(f)->of_v, t);
	return 0;
}

void
file_release(struct qfile *f)
{
	struct open_file *of = open_of(f);

	vnode_flock_closed(of->of_v, f);
	if ((f->f_mode & QF_PATH) == 0)
		notify_path(&of->of_path,
		    (f->f_mode & QF_WRITE) != 0 ? Q_IN_CLOSE_WRITE :
						  Q_IN_CLOSE_NOWRITE);
	if (of->of_end != NULL)
		of->of_end(f);
	if (of->of_wrote)
		__atomic_fetch_sub(&of->of_v->v_writers, 1, __ATOMIC_RELEASE);
	qpath_put(&of->of_path);
	qfree(of);
}

static int64_t
dir_read(struct qfile *f, struct quio *u)
{
	(void)f, (void)u;
	return -Q_EISDIR;
}

static const struct qfile_ops file_ops = { .fo_name = "file",
	.fo_read = file_read,
	.fo_write = file_write,
	.fo_ioctl = file_ioctl,
	.fo_fcntl = vnode_fcntl,
	.fo_seek = file_seek,
	.fo_setfl = file_setfl,
	.fo_mmap = file_mmap,
	.fo_stat = file_stat,
	.fo_flush = file_flush,
	.fo_release = file_release };

static const struct qfile_ops dir_ops = { .fo_name = "directory",
	.fo_read = dir_read,
	.fo_ioctl = file_ioctl,
	.fo_fcntl = vnode_fcntl,
	.fo_seek = dir_seek,
	.fo_setfl = file_setfl,
	.fo_stat = file_stat,
	.fo_flush = file_flush,
	.fo_release = file_release };

static const struct qfile_ops path_ops = { .fo_name = "path",
	.fo_stat = file_stat,
	.fo_release = file_release };

/* ---- opening ------------------------------------------------------------------------------ */

/* What `flags` ask for. */
static unsigned
wanted(uint32_t flags)
{
	static const unsigned acc[4] = { QACC_READ, QACC_WRITE,
		QACC_READ | QACC_WRITE, QACC_READ | QACC_WRITE };
	unsigned want = acc[flags & Q_O_ACCMODE];

	if ((flags & Q_O_TRUNC) != 0)
		want |= QACC_WRITE;
	return want;
}

/* May it be opened so?  What a new file allows does not matter. */
static int
may_open(struct quern_proc *p, const struct qpath *at, struct qvnode *v,
    uint32_t flags, bool created)
{
	uint32_t type = qvnode_type(v);
	unsigned want = wanted(flags);
	int error;

	if (type == Q_S_IFLNK)
		return -Q_ELOOP;
	if (type == Q_S_IFDIR && (want & QACC_WRITE) != 0)
		return -Q_EISDIR;
	if ((type == Q_S_IFBLK || type == Q_S_IFCHR) &&
	    (at->p_mnt->m_flags & QFS_NODEV) != 0)
		return -Q_EACCES;
	if (!created) {
		error = may_access(v, p, want);
		if (error != 0)
			return error;
		if ((want & QACC_WRITE) != 0 && type <= Q_S_IFREG &&
		    (type == Q_S_IFREG) && mount_rdonly(at->p_mnt))
			return -Q_EROFS;
		if ((want & QACC_WRITE) != 0 && qvnode_is(v, QV_IMMUTABLE))
			return -Q_EPERM;
	}
	if (qvnode_is(v, QV_APPEND)) {
		if ((want & QACC_WRITE) != 0 && (flags & Q_O_APPEND) == 0)
			return -Q_EPERM;
		if ((flags & Q_O_TRUNC) != 0)
			return -Q_EPERM;
	}
	if ((flags & Q_O_NOATIME) != 0 && !is_owner(v, p))
		return -Q_EPERM;
	return 0;
}

/* Count it as open for writing.  -ETXTBSY: it is being executed. */
static int
add_writer(struct qvnode *v)
{
	int32_t n = __atomic_load_n(&v->v_writers, __ATOMIC_RELAXED);

	do {
		if (n < 0)
			return -Q_ETXTBSY;
	} while (!__atomic_compare_exchange_n(&v->v_writers, &n, n + 1, true,
	    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	return 0;
}

static int
truncate_open(struct quern_proc *p, struct qvnode *v)
{
	struct qvattr a = { .va_set = QVA_SIZE | QVA_MTIME | QVA_CTIME };
	int error;

	a.va_mtime = a.va_ctime = qfs_now(v->v_fs);
	qrw_wrlock(&v->v_lock);
	error = drop_privileges(v, p);
	if (error == 0)
		error = vnode_setattr(v, &a);
	qrw_wrunlock(&v->v_lock);
	return error;
}

int
open_make(struct quern_proc *p, const struct qpath *at, uint32_t flags,
    const struct qfile_ops *ops, uint32_t mode, struct qfile **fp)
{
	struct qvnode *v = dentry_vnode(at->p_d);
	struct open_file *of = qzalloc(&tag_open, sizeof(*of));
	int error = 0;

	if (of == NULL)
		return -Q_ENOMEM;
	if (ops == &file_ops && (wanted(flags) & QACC_WRITE) != 0) {
		error = add_writer(v);
		of->of_wrote = error == 0;
	}
	if (error == 0)
		error = qfile_create(p->p_k, ops, of,
		    flags &
			~(uint32_t)(Q_O_CREAT | Q_O_EXCL | Q_O_NOCTTY |
			    Q_O_TRUNC),
		    mode, fp);
	if (error != 0) {
		if (of->of_wrote)
			__atomic_fetch_sub(&v->v_writers, 1, __ATOMIC_RELEASE);
		qfree(of);
		return error;
	}
	of->of_path = *at;
	of->of_v = v;
	return 0;
}

static int
make_file(struct quern_proc *p, const struct qpath *at, struct qvnode *v,
    uint32_t flags, struct qfile **fp)
{
	int error;

	if ((flags & Q_O_PATH) != 0) {
		flags &= Q_O_PATH | Q_O_DIRECTORY | Q_O_NOFOLLOW | Q_O_CLOEXEC;
		error = open_make(p, at, flags, &path_ops, QF_PATH, fp);
		if (error == 0)
			(*fp)->f_mode &= ~(QF_READ | QF_WRITE);
		return error;
	}
	if (qvnode_isdir(v))
		return open_make(p, at, flags, &dir_ops, QF_SEEK | QF_PREAD,
		    fp);
	return open_make(p, at, flags, &file_ops,
	    QF_SEEK | QF_PREAD | QF_PWRITE | QF_NOWAIT | QF_DIRECT, fp);
}

static int
open_any(struct quern_proc *p, const struct qpath *at, uint32_t flags,
    bool created, struct qfile **fp)
{
	struct qvnode *v = dentry_vnode(at->p_d);
	int error;

	if (v == NULL)
		return -Q_ENOENT;
	if ((flags & Q_O_PATH) != 0)
		return make_file(p, at, v, flags, fp);
	error = may_open(p, at, v, flags, created);
	if (error != 0)
		return error;
	if (v->v_ops->vo_open != NULL)
		return vnode_open(p, at, v, flags, fp);
	switch (qvnode_type(v)) {
	case Q_S_IFREG:
	case Q_S_IFDIR:
		break;
	case Q_S_IFSOCK:
		return -Q_ENXIO;
	default:
		return special_open(p, at, v, flags, fp);
	}
	error = make_file(p, at, v, flags, fp);
	if (error != 0)
		return error;
	if ((flags & Q_O_TRUNC) != 0 && !created &&
	    qvnode_type(v) == Q_S_IFREG) {
		error = truncate_open(p, v);
		if (error == 0) {
			notify_path(at, Q_IN_MODIFY);
		} else {
			qpath_get(at); /* the caller's again */
			qfile_put(*fp);
		}
	}
	return error;
}

int
open_at(struct quern_proc *p, const struct qpath *at, uint32_t flags,
    bool created, struct qfile **fp)
{
	int error = open_any(p, at, flags, created, fp);

	if (error == 0 && (flags & Q_O_PATH) == 0)
		notify_path(at, Q_IN_OPEN);
	return error;
}

int
qvfs_open(struct quern_proc *p, const struct qpath *at, uint32_t flags,
    struct qfile **fp)
{
	int error;

	qpath_get(at);
	error = open_at(p, at, flags, false, fp);
	if (error != 0)
		qpath_put(at);
	return error;
}
