/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attributes: what stat shows, and the calls that change it.
 */
#include <quern/abi/fs.h>

#include "impl.h"

#define ANON_MAGIC 0x09041934

/* ---- showing ------------------------------------------------------------------ */

/* A consistent copy of what changes together. */
static void
read_attr(struct qvnode *v, struct qvattr *a, uint32_t *nlink, uint64_t *blocks,
    struct qtime *btime)
{
	uint32_t seq;

	/* Loads with acquire stay before the look at the count behind them. */
	do {
		seq = qseq_begin(&v->v_attr);
		a->va_mode = __atomic_load_n(&v->v_mode, __ATOMIC_ACQUIRE);
		a->va_uid = __atomic_load_n(&v->v_uid, __ATOMIC_ACQUIRE);
		a->va_gid = __atomic_load_n(&v->v_gid, __ATOMIC_ACQUIRE);
		*nlink = __atomic_load_n(&v->v_nlink, __ATOMIC_ACQUIRE);
		*blocks = __atomic_load_n(&v->v_blocks, __ATOMIC_ACQUIRE);
		qtime_load(&a->va_atime, &v->v_atime);
		qtime_load(&a->va_mtime, &v->v_mtime);
		qtime_load(&a->va_ctime, &v->v_ctime);
		qtime_load(btime, &v->v_btime);
	} while (__atomic_load_n(&v->v_attr.sq_seq, __ATOMIC_RELAXED) != seq);
	a->va_size = qvnode_size(v);
}

static struct q_timespec
to_timespec(struct qtime t)
{
	return (struct q_timespec){ t.t_sec, t.t_nsec };
}

void
vnode_stat(struct qvnode *v, struct q_stat *st)
{
	struct qvattr a;
	struct qtime btime;
	uint32_t nlink;
	uint64_t blocks;

	read_attr(v, &a, &nlink, &blocks, &btime);
	st->st_dev = v->v_fs->fs_dev;
	st->st_ino = v->v_ino;
	st->st_nlink = nlink;
	st->st_mode = a.va_mode;
	st->st_uid = a.va_uid;
	st->st_gid = a.va_gid;
	st->st_rdev = v->v_rdev;
	st->st_size = (int64_t)a.va_size;
	st->st_blksize = v->v_fs->fs_bsize;
	st->st_blocks = (int64_t)blocks;
	st->st_atim = to_timespec(a.va_atime);
	st->st_mtim = to_timespec(a.va_mtime);
	st->st_ctim = to_timespec(a.va_ctime);
}

static struct q_statx_timestamp
to_statx(struct qtime t)
{
	return (struct q_statx_timestamp){ t.t_sec, t.t_nsec, 0 };
}

/* Attributes that chattr(1) shows, and whether they mean something here. */
static uint64_t
statx_attributes(const struct qvnode *v)
{
	static const struct {
		uint32_t flag;
		uint64_t attr;
	} map[] = { { QV_IMMUTABLE, Q_STATX_ATTR_IMMUTABLE },
		{ QV_APPEND, Q_STATX_ATTR_APPEND },
		{ QV_NODUMP, Q_STATX_ATTR_NODUMP },
		{ QV_VERITY, Q_STATX_ATTR_VERITY } };
	uint64_t attr = 0;
	unsigned i;

	for (i = 0; i < QARRAYLEN(map); i++)
		if (v == NULL || qvnode_is(v, map[i].flag))
			attr |= map[i].attr;
	return attr;
}

static void
vnode_statx(struct qvnode *v, const struct qpath *at, struct q_statx *sx)
{
	struct qvattr a;
	struct qtime btime;
	uint32_t nlink;
	uint64_t blocks;

	read_attr(v, &a, &nlink, &blocks, &btime);
	sx->stx_mask = Q_STATX_BASIC_STATS | Q_STATX_MNT_ID;
	if (btime.t_sec != 0 || btime.t_nsec != 0)
		sx->stx_mask |= Q_STATX_BTIME;
	sx->stx_blksize = v->v_fs->fs_bsize;
	sx->stx_attributes = statx_attributes(v);
	sx->stx_attributes_mask = statx_attributes(NULL) |
	    Q_STATX_ATTR_MOUNT_ROOT;
	sx->stx_nlink = nlink;
	sx->stx_uid = a.va_uid;
	sx->stx_gid = a.va_gid;
	sx->stx_mode = (uint16_t)a.va_mode;
	sx->stx_ino = v->v_ino;
	sx->stx_size = a.va_size;
	sx->stx_blocks = blocks;
	sx->stx_atime = to_statx(a.va_atime);
	sx->stx_btime = to_statx(btime);
	sx->stx_ctime = to_statx(a.va_ctime);
	sx->stx_mtime = to_statx(a.va_mtime);
	sx->stx_rdev_major = qdev_major(v->v_rdev);
	sx->stx_rdev_minor = qdev_minor(v->v_rdev);
	sx->stx_dev_major = qdev_major(v->v_fs->fs_dev);
	sx->stx_dev_minor = qdev_minor(v->v_fs->fs_dev);
	if (at != NULL) {
		sx->stx_mnt_id = at->p_mnt->m_id;
		if (at->p_d == at->p_mnt->m_root)
			sx->stx_attributes |= Q_STATX_ATTR_MOUNT_ROOT;
	}
}

/* Of any open file. */
static int
any_stat(struct qfile *f, struct q_stat *st)
{
	memset(st, 0, sizeof(*st));
	if (f->f_ops->fo_stat != NULL)
		return f->f_ops->fo_stat(f, st);
	/* An anonymous one. */
	st->st_ino = 1;
	st->st_nlink = 1;
	st->st_mode = 0600;
	st->st_blksize = QUERN_PAGE_SIZE;
	return 0;
}

QSYS(fstat)
{
	struct qfile *f = qfd_get_path(s->s_proc, qsys_int(s, 0));
	struct q_stat st;
	int error;

	if (f == NULL)
		return -Q_EBADF;
	error = any_stat(f, &st);
	qfile_put(f);
	return error != 0 ? error : qsys_out(s, 1, &st, sizeof(st));
}

static void
look_stat(struct qvnode *v, void *arg)
{
	vnode_stat(v, arg);
}

/* stat, lstat and fstatat of a path. */
static int64_t
stat_path(struct qsys *s, int dirfd, unsigned i, unsigned out, unsigned flags)
{
	struct q_stat st;
	int error;

	memset(&st, 0, sizeof(st));
	error = walk_look(s, dirfd, i, flags, look_stat, &st);
	if (error != 0)
		return error;
	return qsys_out(s, out, &st, sizeof(st));
}

QSYS(stat)
{
	return stat_path(s, Q_AT_FDCWD, 0, 1, QWALK_FOLLOW);
}

QSYS(lstat)
{
	return stat_path(s, Q_AT_FDCWD, 0, 1, 0);
}

QSYS(newfstatat)
{
	uint32_t flags = qsys_uint(s, 3);
	unsigned walk = QWALK_FOLLOW;
	struct qsys fd = *s;
	uint64_t arg[6] = { s->s_arg[0], s->s_arg[2] };

	if ((flags &
		~(uint32_t)(Q_AT_SYMLINK_NOFOLLOW | Q_AT_NO_AUTOMOUNT |
		    Q_AT_EMPTY_PATH | Q_AT_STATX_SYNC_TYPE)) != 0)
		return -Q_EINVAL;
	if ((flags & Q_AT_SYMLINK_NOFOLLOW) != 0)
		walk = 0;
	if ((flags & Q_AT_EMPTY_PATH) != 0) {
		walk |= QWALK_EMPTY;
		/* Also what is no file of ours. */
		if (qsys_int(s, 0) >= 0 && is_path_empty(s, 1)) {
			fd.s_arg = arg;
			return sys_fstat(&fd);
		}
	}
	return stat_path(s, qsys_int(s, 0), 1, 2, walk);
}

QSYS(statx)
{
	uint32_t flags = qsys_uint(s, 2), mask = qsys_uint(s, 3);
	unsigned walk = QWALK_FOLLOW;
	struct q_statx sx;
	struct qpath at;
	int error;

	if ((mask & Q_STATX__RESERVED) != 0 ||
	    (flags &
		~(uint32_t)(Q_AT_SYMLINK_NOFOLLOW | Q_AT_NO_AUTOMOUNT |
		    Q_AT_EMPTY_PATH | Q_AT_STATX_SYNC_TYPE)) != 0 ||
	    (flags & Q_AT_STATX_SYNC_TYPE) == Q_AT_STATX_SYNC_TYPE)
		return -Q_EINVAL;
	if ((flags & Q_AT_SYMLINK_NOFOLLOW) != 0)
		walk = 0;
	if ((flags & Q_AT_EMPTY_PATH) != 0)
		walk |= QWALK_EMPTY;
	error = qvfs_walk_arg(s, qsys_int(s, 0), 1, walk, &at);
	if (error != 0)
		return error;
	memset(&sx, 0, sizeof(sx));
	vnode_statx(dentry_vnode(at.p_d), &at, &sx);
	qpath_put(&at);
	return qsys_out(s, 4, &sx, sizeof(sx));
}

/* ---- changing ------------------------------------------------------------------- */

/* In memory. */
void
qvnode_apply(struct qvnode *v, const struct qvattr *a)
{
	qvattr_begin(v);
	if ((a->va_set & QVA_MODE) != 0)
		__atomic_store_n(&v->v_mode,
		    (v->v_mode & Q_S_IFMT) | (a->va_mode & 07777),
		    __ATOMIC_RELEASE);
	if ((a->va_set & QVA_UID) != 0)
		__atomic_store_n(&v->v_uid, a->va_uid, __ATOMIC_RELEASE);
	if ((a->va_set & QVA_GID) != 0)
		__atomic_store_n(&v->v_gid, a->va_gid, __ATOMIC_RELEASE);
	if ((a->va_set & QVA_ATIME) != 0)
		qtime_store(&v->v_atime, a->va_atime);
	if ((a->va_set & QVA_MTIME) != 0)
		qtime_store(&v->v_mtime, a->va_mtime);
	if ((a->va_set & QVA_CTIME) != 0)
		qtime_store(&v->v_ctime, a->va_ctime);
	qvattr_end(v);
	if ((a->va_set & QVA_SIZE) != 0)
		__atomic_store_n(&v->v_size, a->va_size, __ATOMIC_RELEASE);
	qvnode_dirty(v);
}

int
vnode_setattr(struct qvnode *v, const struct qvattr *a)
{
	int error;

	if ((a->va_set & QVA_SIZE) != 0) {
		if (a->va_size > v->v_fs->fs_maxsize)
			return -Q_EFBIG;
		error = seal_check_size(v, a->va_size);
		if (error != 0)
			return error;
		if (a->va_size < v->v_size)
			error = qpcache_truncate(v, a->va_size);
		else
			error = qpcache_extend(v, a->va_size);
		if (error != 0)
			return error;
	}
	if (v->v_ops->vo_setattr != NULL)
		return v->v_ops->vo_setattr(v, a);
	qvnode_apply(v, a);
	return 0;
}

/* What inotify says of a change. */
static uint32_t
event_of(uint32_t set)
{
	uint32_t times = set & (QVA_ATIME | QVA_MTIME);

	if ((set & (QVA_MODE | QVA_UID | QVA_GID)) != 0 ||
	    times == (QVA_ATIME | QVA_MTIME))
		return Q_IN_ATTRIB;
	return times == QVA_ATIME ? Q_IN_ACCESS :
	    times == QVA_MTIME    ? Q_IN_MODIFY :
				    Q_IN_ATTRIB;
}

/* Change what `at` names; ctime goes along. */
static int
change(const struct qpath *at, struct qvattr *a)
{
	struct qvnode *v = dentry_vnode(at->p_d);
	uint32_t event = event_of(a->va_set);
	int error;

	a->va_ctime = qfs_now(v->v_fs);
	a->va_set |= QVA_CTIME;
	qrw_wrlock(&v->v_lock);
	error = vnode_setattr(v, a);
	if (error == 0 && (a->va_set & QVA_MODE) != 0)
		error = acl_chmod(v, a->va_mode);
	qrw_wrunlock(&v->v_lock);
	if (error == 0)
		notify_path(at, event);
	return error;
}

/* Is a change of attributes forbidden altogether? */
static int
may_change(const struct qpath *at)
{
	struct qvnode *v = dentry_vnode(at->p_d);

	if (mount_rdonly(at->p_mnt))
		return -Q_EROFS;
	return qvnode_is(v, QV_IMMUTABLE | QV_APPEND) ? -Q_EPERM : 0;
}

static int
do_chmod(struct quern_proc *p, const struct qpath *at, uint32_t mode)
{
	struct qvnode *v = dentry_vnode(at->p_d);
	struct qvattr a = { .va_set = QVA_MODE, .va_mode = mode & 07777 };
	struct qcred c;
	int error = may_change(at);

	if (error != 0)
		return error;
	if (qvnode_type(v) == Q_S_IFLNK)
		return -Q_EOPNOTSUPP;
	if (!is_owner(v, p))
		return -Q_EPERM;
	if ((mode & Q_S_ISGID) != 0 && !qproc_capable(p, Q_CAP_FSETID)) {
		qproc_cred(p, &c);
		if (!cred_in_group(&c, v->v_gid))
			a.va_mode &= ~(uint32_t)Q_S_ISGID;
		qcred_drop(&c);
	}
	error = change(at, &a);
	return error;
}

#define NO_ID UINT32_MAX

static int
do_chown(struct quern_proc *p, const struct qpath *at, uint32_t uid,
    uint32_t gid)
{
	struct qvnode *v = dentry_vnode(at->p_d);
	bool own = __atomic_load_n(&p->p_cred.c_fsuid, __ATOMIC_RELAXED) ==
	    v->v_uid;
	struct qvattr a = { 0 };
	struct qcred c;
	int error = may_change(at);

	if (error != 0)
		return error;
	if (!qproc_capable(p, Q_CAP_CHOWN)) {
		qproc_cred(p, &c);
		if (uid != NO_ID && !(own && uid == v->v_uid))
			error = -Q_EPERM;
		if (gid != NO_ID &&
		    !(own && (gid == v->v_gid || cred_in_group(&c, gid))))
			error = -Q_EPERM;
		qcred_drop(&c);
		if (error != 0)
			return error;
	}
	if (uid != NO_ID) {
		a.va_set |= QVA_UID;
		a.va_uid = uid;
	}
	if (gid != NO_ID) {
		a.va_set |= QVA_GID;
		a.va_gid = gid;
	}
	/* Whoever it is that changes it, as in Linux; not directories. */
	if (!qvnode_isdir(v) && (v->v_mode & (Q_S_ISUID | Q_S_ISGID)) != 0) {
		a.va_set |= QVA_MODE;
		a.va_mode = v->v_mode & 07777 & ~(uint32_t)Q_S_ISUID;
		if ((v->v_mode & Q_S_IXGRP) != 0)
			a.va_mode &= ~(uint32_t)Q_S_ISGID;
	}
	return change(at, &a);
}

/* The path of an open file's, with references.  -EBADF. */
int
fd_path(struct quern_proc *p, int fd, bool path_ok, struct qpath *at)
{
	struct qfile *f = path_ok ? qfd_get_path(p, fd) : qfd_get(p, fd);
	const struct qpath *fp;

	if (f == NULL)
		return -Q_EBADF;
	fp = qfile_path(f);
	if (fp != NULL) {
		*at = *fp;
		qpath_get(at);
	}
	qfile_put(f);
	return fp != NULL ? 0 : -Q_EINVAL;
}

static int64_t
chmod_path(struct qsys *s, int dirfd, unsigned i, uint32_t mode, unsigned flags)
{
	struct qpath at;
	int error = qvfs_walk_arg(s, dirfd, i, flags, &at);

	if (error != 0)
		return error;
	error = do_chmod(s->s_proc, &at, mode);
	qpath_put(&at);
	return error;
}

QSYS(chmod)
{
	return chmod_path(s, Q_AT_FDCWD, 0, qsys_uint(s, 1), QWALK_FOLLOW);
}

QSYS(fchmodat)
{
	return chmod_path(s, qsys_int(s, 0), 1, qsys_uint(s, 2), QWALK_FOLLOW);
}

QSYS(fchmod)
{
	struct qpath at;
	int error = fd_path(s->s_proc, qsys_int(s, 0), false, &at);

	if (error != 0)
		return error;
	error = do_chmod(s->s_proc, &at, qsys_uint(s, 1));
	qpath_put(&at);
	return error;
}

static int64_t
chown_path(struct qsys *s, int dirfd, unsigned i, unsigned flags)
{
	struct qpath at;
	int error = qvfs_walk_arg(s, dirfd, i, flags, &at);

	if (error != 0)
		return error;
	error = do_chown(s->s_proc, &at, qsys_uint(s, i + 1),
	    qsys_uint(s, i + 2));
	qpath_put(&at);
	return error;
}

QSYS(chown)
{
	return chown_path(s, Q_AT_FDCWD, 0, QWALK_FOLLOW);
}

QSYS(lchown)
{
	return chown_path(s, Q_AT_FDCWD, 0, 0);
}

QSYS(fchownat)
{
	uint32_t flags = qsys_uint(s, 4);
	unsigned walk = QWALK_FOLLOW;

	if ((flags & ~(uint32_t)(Q_AT_SYMLINK_NOFOLLOW | Q_AT_EMPTY_PATH)) != 0)
		return -Q_EINVAL;
	if ((flags & Q_AT_SYMLINK_NOFOLLOW) != 0)
		walk = 0;
	if ((flags & Q_AT_EMPTY_PATH) != 0)
		walk |= QWALK_EMPTY;
	return chown_path(s, qsys_int(s, 0), 1, walk);
}

QSYS(fchown)
{
	struct qpath at;
	int error = fd_path(s->s_proc, qsys_int(s, 0), false, &at);

	if (error != 0)
		return error;
	error = do_chown(s->s_proc, &at, qsys_uint(s, 1), qsys_uint(s, 2));
	qpath_put(&at);
	return error;
}

/* ---- times ------------------------------------------------------------------------ */

/* One of utimensat's two times. */
static int
take_time(struct qfs *fs, const struct q_timespec *ts, uint32_t which,
    struct qvattr *a, struct qtime *t)
{
	if (ts->tv_nsec == Q_UTIME_OMIT)
		return 0;
	a->va_set |= which;
	if (ts->tv_nsec == Q_UTIME_NOW) {
		*t = qfs_now(fs);
		return 0;
	}
	if (ts->tv_nsec < 0 || ts->tv_nsec > 999999999)
		return -Q_EINVAL;
	*t = qfs_clamp(fs, (struct qtime){ ts->tv_sec, (uint32_t)ts->tv_nsec });
	return 0;
}

static int
do_utimens(struct quern_proc *p, const struct qpath *at,
    const struct q_timespec *ts)
{
	struct qvnode *v = dentry_vnode(at->p_d);
	bool now = ts[0].tv_nsec == Q_UTIME_NOW && ts[1].tv_nsec == Q_UTIME_NOW;
	struct qvattr a = { 0 };
	int error;

	error = take_time(v->v_fs, &ts[0], QVA_ATIME, &a, &a.va_atime);
	if (error == 0)
		error = take_time(v->v_fs, &ts[1], QVA_MTIME, &a, &a.va_mtime);
	if (error != 0 || a.va_set == 0)
		return error;
	if (mount_rdonly(at->p_mnt))
		return -Q_EROFS;
	if (qvnode_is(v, QV_IMMUTABLE) || (!now && qvnode_is(v, QV_APPEND)))
		return -Q_EPERM;
	if (!is_owner(v, p)) {
		if (!now)
			return -Q_EPERM;
		error = may_access(v, p, QACC_WRITE);
		if (error != 0)
			return error;
	}
	return change(at, &a);
}

/* argument `i` is a path, or NULL for the descriptor itself. */
static int64_t
utimens_path(struct qsys *s, int dirfd, unsigned i, uint32_t flags,
    const struct q_timespec *ts)
{
	unsigned walk = (flags & Q_AT_SYMLINK_NOFOLLOW) != 0 ? 0 : QWALK_FOLLOW;
	struct qpath at;
	int error;

	if ((flags & ~(uint32_t)(Q_AT_SYMLINK_NOFOLLOW | Q_AT_EMPTY_PATH)) != 0)
		return -Q_EINVAL;
	if ((flags & Q_AT_EMPTY_PATH) != 0)
		walk |= QWALK_EMPTY;
	if (s->s_arg[i] == 0 && dirfd != Q_AT_FDCWD)
		error = flags != 0 ? -Q_EINVAL :
				     fd_path(s->s_proc, dirfd, false, &at);
	else
		error = qvfs_walk_arg(s, dirfd, i, walk, &at);
	if (error != 0)
		return error;
	error = do_utimens(s->s_proc, &at, ts);
	qpath_put(&at);
	return error;
}

static const struct q_timespec both_now[2] = { { 0, Q_UTIME_NOW },
	{ 0, Q_UTIME_NOW } };

QSYS(utimensat)
{
	struct q_timespec ts[2];

	memcpy(ts, both_now, sizeof(ts));
	if (s->s_arg[2] != 0 && qsys_in(s, 2, ts, sizeof(ts)) != 0)
		return -Q_EFAULT;
	/* Linux looks no further if nothing is to be done. */
	if (ts[0].tv_nsec == Q_UTIME_OMIT && ts[1].tv_nsec == Q_UTIME_OMIT)
		return 0;
	return utimens_path(s, qsys_int(s, 0), 1, qsys_uint(s, 3), ts);
}

/* utimes, futimesat: microseconds, argument `i` + 1. */
static int64_t
utimes_at(struct qsys *s, int dirfd, unsigned i)
{
	struct q_timespec ts[2];
	struct q_timeval tv[2];
	unsigned j;

	memcpy(ts, both_now, sizeof(ts));
	if (s->s_arg[i + 1] != 0) {
		if (qsys_in(s, i + 1, tv, sizeof(tv)) != 0)
			return -Q_EFAULT;
		for (j = 0; j < 2; j++) {
			if (tv[j].tv_usec < 0 || tv[j].tv_usec > 999999)
				return -Q_EINVAL;
			ts[j].tv_sec = tv[j].tv_sec;
			ts[j].tv_nsec = tv[j].tv_usec * 1000;
		}
	}
	return utimens_path(s, dirfd, i, 0, ts);
}

QSYS(utimes)
{
	return utimes_at(s, Q_AT_FDCWD, 0);
}

QSYS(futimesat)
{
	return utimes_at(s, qsys_int(s, 0), 1);
}

QSYS(utime)
{
	struct q_timespec ts[2];
	int64_t t[2];

	memcpy(ts, both_now, sizeof(ts));
	if (s->s_arg[1] != 0) {
		if (qsys_in(s, 1, t, sizeof(t)) != 0)
			return -Q_EFAULT;
		ts[0] = (struct q_timespec){ t[0], 0 };
		ts[1] = (struct q_timespec){ t[1], 0 };
	}
	return utimens_path(s, Q_AT_FDCWD, 0, 0, ts);
}

/* ---- size -------------------------------------------------------------------------- */

static int
do_truncate(struct quern_proc *p, const struct qpath *at, int64_t size)
{
	struct qvnode *v = dentry_vnode(at->p_d);
	struct qvattr a = { .va_set = QVA_SIZE | QVA_MTIME | QVA_CTIME,
		.va_size = (uint64_t)size };
	int error = 0;

	if (mount_rdonly(at->p_mnt))
		return -Q_EROFS;
	if (qvnode_is(v, QV_IMMUTABLE | QV_APPEND))
		return -Q_EPERM;
	if ((uint64_t)size >
	    __atomic_load_n(&p->p_rlim[Q_RLIMIT_FSIZE].rlim_cur,
		__ATOMIC_RELAXED)) {
		qproc_signal(p, 25 /* SIGXFSZ */);
		return -Q_EFBIG;
	}
	a.va_mtime = a.va_ctime = qfs_now(v->v_fs);
	qrw_wrlock(&v->v_lock);
	error = drop_privileges(v, p);
	if (error == 0)
		error = vnode_setattr(v, &a);
	qrw_wrunlock(&v->v_lock);
	if (error == 0)
		notify_path(at, Q_IN_MODIFY);
	return error;
}

QSYS(truncate)
{
	int64_t size = (int64_t)s->s_arg[1];
	struct qpath at;
	struct qvnode *v;
	int error;

	if (size < 0)
		return -Q_EINVAL;
	error = qvfs_walk_arg(s, Q_AT_FDCWD, 0, QWALK_FOLLOW, &at);
	if (error != 0)
		return error;
	v = dentry_vnode(at.p_d);
	if (qvnode_isdir(v))
		error = -Q_EISDIR;
	else if (qvnode_type(v) != Q_S_IFREG)
		error = -Q_EINVAL;
	else if (__atomic_load_n(&v->v_writers, __ATOMIC_RELAXED) < 0)
		error = -Q_ETXTBSY;
	else
		error = may_access(v, s->s_proc, QACC_WRITE);
	if (error == 0)
		error = do_truncate(s->s_proc, &at, size);
	qpath_put(&at);
	return error;
}

QSYS(ftruncate)
{
	int64_t size = (int64_t)s->s_arg[1];
	struct qfile *f;
	struct qvnode *v;
	int error;

	if (size < 0)
		return -Q_EINVAL;
	f = qfd_get(s->s_proc, qsys_int(s, 0));
	if (f == NULL)
		return -Q_EBADF;
	v = qfile_vnode(f);
	if (v == NULL || qvnode_type(v) != Q_S_IFREG ||
	    (f->f_mode & QF_WRITE) == 0)
		error = -Q_EINVAL;
	else
		error = do_truncate(s->s_proc, qfile_path(f), size);
	qfile_put(f);
	return error;
}

/* ---- access ---------------------------------------------------------------------------- */

static int64_t
access_path(struct qsys *s, int dirfd, unsigned i, uint32_t want,
    uint32_t flags)
{
	unsigned walk = (flags & Q_AT_SYMLINK_NOFOLLOW) != 0 ? 0 : QWALK_FOLLOW;
	struct quern_proc *p = s->s_proc;
	struct qvnode *v;
	struct qpath at;
	struct qcred c;
	int error;

	if ((want & ~7u) != 0 ||
	    (flags &
		~(uint32_t)(Q_AT_SYMLINK_NOFOLLOW | Q_AT_EACCESS |
		    Q_AT_EMPTY_PATH)) != 0)
		return -Q_EINVAL;
	if ((flags & Q_AT_EMPTY_PATH) != 0)
		walk |= QWALK_EMPTY;
	qproc_cred(p, &c);
	if ((flags & Q_AT_EACCESS) == 0) {
		/* The question is asked for the real ids. */
		c.c_fsuid = c.c_uid;
		c.c_fsgid = c.c_gid;
		c.c_cap_eff = c.c_uid == 0 ? c.c_cap_perm : 0;
	}
	error = walk_as(s, dirfd, i, walk, &c, &at);
	if (error == 0) {
		v = dentry_vnode(at.p_d);
		if (want != 0)
			error = qvnode_access(v, &c, want);
		if (error == 0 && (want & QACC_WRITE) != 0 &&
		    qvnode_type(v) != Q_S_IFCHR &&
		    qvnode_type(v) != Q_S_IFBLK &&
		    qvnode_type(v) != Q_S_IFIFO &&
		    qvnode_type(v) != Q_S_IFSOCK && mount_rdonly(at.p_mnt))
			error = -Q_EROFS;
		if (error == 0 && (want & QACC_EXEC) != 0 &&
		    qvnode_type(v) == Q_S_IFREG &&
		    (at.p_mnt->m_flags & QFS_NOEXEC) != 0)
			error = -Q_EACCES;
		qpath_put(&at);
	}
	qcred_drop(&c);
	return error;
}

QSYS(access)
{
	return access_path(s, Q_AT_FDCWD, 0, qsys_uint(s, 1), 0);
}

QSYS(faccessat)
{
	return access_path(s, qsys_int(s, 0), 1, qsys_uint(s, 2), 0);
}

QSYS(faccessat2)
{
	return access_path(s, qsys_int(s, 0), 1, qsys_uint(s, 2),
	    qsys_uint(s, 3));
}

/* ---- file systems ------------------------------------------------------------------------- */

static int
do_statfs(const struct qpath *at, struct q_statfs *st)
{
	static const struct {
		uint32_t fs, st;
	} map[] = { { QFS_RDONLY, 1 }, { QFS_NOSUID, 2 }, { QFS_NODEV, 4 },
		{ QFS_NOEXEC, 8 }, { QFS_SYNC, 16 }, { QFS_NOATIME, 1024 },
		{ QFS_NODIRATIME, 2048 }, { QFS_RELATIME, 4096 } };
	struct qfs *fs = at->p_mnt->m_fs;
	uint32_t flags = at->p_mnt->m_flags;
	unsigned i;

	memset(st, 0, sizeof(*st));
	if (qfs_rdonly(fs))
		flags |= QFS_RDONLY;
	st->f_type = (int64_t)fs->fs_magic;
	st->f_bsize = st->f_frsize = fs->fs_bsize;
	st->f_namelen = fs->fs_namelen;
	memcpy(st->f_fsid, fs->fs_uuid, sizeof(st->f_fsid));
	st->f_flags = 0x20; /* ST_VALID */
	for (i = 0; i < QARRAYLEN(map); i++)
		if ((flags & map[i].fs) != 0)
			st->f_flags |= map[i].st;
	if (fs->fs_ops->fso_statfs == NULL)
		return 0;
	return fs->fs_ops->fso_statfs(fs, st);
}

QSYS(statfs)
{
	struct q_statfs st;
	struct qpath at;
	int error = qvfs_walk_arg(s, Q_AT_FDCWD, 0, QWALK_FOLLOW, &at);

	if (error != 0)
		return error;
	error = do_statfs(&at, &st);
	qpath_put(&at);
	return error != 0 ? error : qsys_out(s, 1, &st, sizeof(st));
}

QSYS(fstatfs)
{
	struct q_statfs st;
	struct qpath at;
	int error = fd_path(s->s_proc, qsys_int(s, 0), true, &at);

	if (error == -Q_EINVAL) {
		/* In no file system that could be seen. */
		memset(&st, 0, sizeof(st));
		st.f_type = ANON_MAGIC;
		st.f_bsize = st.f_frsize = QUERN_PAGE_SIZE;
		st.f_namelen = QNAME_MAX;
		return qsys_out(s, 1, &st, sizeof(st));
	}
	if (error != 0)
		return error;
	error = do_statfs(&at, &st);
	qpath_put(&at);
	return error != 0 ? error : qsys_out(s, 1, &st, sizeof(st));
}
