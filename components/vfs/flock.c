/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Advisory locks on files: those of processes and of open files on ranges
 * (fcntl(2)), and those of open files on the whole (flock(2)).
 *
 * A lock belongs to an *owner*: an open file or, if it is "a process's", the table
 * of descriptors, which is what processes may share and what ends such locks when
 * it closes one.  Locks of one owner never overlap: setting one replaces, cuts or
 * splits what it had there, and neighbours of one kind become one.  All locks of a kernel are under one mutex,
 * vf_flock: that makes looking for circles of waiting processes simple, and
 * nothing here is frequent.
 */
#include "impl.h"

static const struct qtag tag_lock = { "file lock" };

/* Which locks exclude each other: those of one family. */
enum family { LOCK_RANGE, LOCK_WHOLE };

struct lock {
	struct qlist k_link;
	const void *k_owner;
	uint32_t k_family;
	bool k_file;            /* the owner is an open file, not a table */
	int16_t k_type;         /* Q_F_RDLCK, Q_F_WRLCK, Q_F_UNLCK */
	int64_t k_start, k_end; /* the last byte */
	uint32_t k_pid;
};

/* Of one file.  [vf_flock] */
struct locks {
	struct qlist lo_list; /* by start */
	struct qcv lo_change; /* something has gone */
};

/* Who waits, and for whom: to see circles.  [vf_flock] */
struct lock_waiter {
	struct qlist lw_link;
	const struct locks *lw_on;
	const void *lw_who;
	const void *lw_for; /* NULL: for nobody any more, but it has to see */
};

static struct vfs *
vfs_of_vnode(struct qvnode *v)
{
	return vfs_of(v->v_fs->fs_k);
}

/* ---- what there is -------------------------------------------------------------- */

static struct locks *
locks_of(struct qvnode *v)
{
	return __atomic_load_n(&v->v_locks, __ATOMIC_ACQUIRE);
}

/* The file's list, made if need be.  [vf_flock] */
static struct locks *
make_locks(struct qvnode *v)
{
	struct locks *lo = v->v_locks;

	if (lo != NULL)
		return lo;
	lo = qzalloc(&tag_lock, sizeof(*lo));
	if (lo == NULL)
		return NULL;
	qlist_init(&lo->lo_list);
	qcv_init(&lo->lo_change);
	__atomic_store_n(&v->v_locks, lo, __ATOMIC_RELEASE);
	return lo;
}

static bool
overlaps(const struct lock *a, const struct lock *b)
{
	return a->k_start <= b->k_end && b->k_start <= a->k_end;
}

/* The first lock that keeps `want` from being set, or NULL. */
static struct lock *
find_conflict(struct locks *lo, const struct lock *want)
{
	struct lock *k;
	struct qlist *l;

	QLIST_FOREACH(l, &lo->lo_list) {
		k = QLIST_ELEM(l, struct lock, k_link);
		if (k->k_family == want->k_family &&
		    k->k_owner != want->k_owner && overlaps(k, want) &&
		    (k->k_type == Q_F_WRLCK || want->k_type == Q_F_WRLCK))
			return k;
	}
	return NULL;
}

/* Enter it by its start. */
static void
insert(struct locks *lo, struct lock *k)
{
	struct qlist *l;

	QLIST_FOREACH(l, &lo->lo_list)
		if (QLIST_ELEM(l, struct lock, k_link)->k_start > k->k_start)
			break;
	/* Before `l`, which may be the head: at the end. */
	qlist_append(l, &k->k_link);
}

/* Something has gone from `lo`: who waits for that looks again. */
static void
locks_changed(struct vfs *vf, struct locks *lo)
{
	struct lock_waiter *lw;
	struct qlist *l;

	QLIST_FOREACH(l, &vf->vf_lockwait) {
		lw = QLIST_ELEM(l, struct lock_waiter, lw_link);
		if (lw->lw_on == lo)
			lw->lw_for = NULL;
	}
	qcv_broadcast(&lo->lo_change);
}

/* Take away all of an owner, or only those of flock(2). */
static void
locks_drop(struct vfs *vf, struct locks *lo, const void *owner, bool whole_only)
{
	struct qlist *l, *next;
	bool any = false;
	struct lock *k;

	QLIST_FOREACH_SAFE(l, next, &lo->lo_list) {
		k = QLIST_ELEM(l, struct lock, k_link);
		if (k->k_owner != owner ||
		    (whole_only && k->k_family != LOCK_WHOLE))
			continue;
		qlist_del(&k->k_link);
		qfree(k);
		any = true;
	}
	if (any)
		locks_changed(vf, lo);
}

/* ---- setting --------------------------------------------------------------------- */

/*
 * Make the owner's lock on the range what `want` says; `spare` are two locks'
 * memory, of which used ones become NULL.
 */
static void
apply(struct locks *lo, const struct lock *want, struct lock *spare[2])
{
	struct lock new = *want, *k, *rest;
	struct qlist *l, *next;

	QLIST_FOREACH_SAFE(l, next, &lo->lo_list) {
		k = QLIST_ELEM(l, struct lock, k_link);
		if (k->k_family != new.k_family || k->k_owner != new.k_owner)
			continue;
		/* One of the same kind that it touches becomes part of it. */
		if (k->k_type == new.k_type &&
		    (overlaps(k, &new) ||
			(k->k_end != INT64_MAX &&
			    k->k_end + 1 == new.k_start) ||
			(new.k_end != INT64_MAX &&new.k_end + 1 ==
			    k->k_start))) {
			if (k->k_start < new.k_start)
				new.k_start = k->k_start;
			if (k->k_end > new.k_end)
				new.k_end = k->k_end;
			qlist_del(&k->k_link);
			qfree(k);
			continue;
		}
		if (!overlaps(k, &new))
			continue;
		if (k->k_end > new.k_end && k->k_start < new.k_start) {
			rest = spare[1];
			spare[1] = NULL;
			*rest = *k;
			qlist_init(&rest->k_link);
			rest->k_start = new.k_end + 1;
			k->k_end = new.k_start - 1;
			insert(lo, rest);
		} else if (k->k_start < new.k_start) {
			k->k_end = new.k_start - 1;
		} else if (k->k_end > new.k_end) {
			k->k_start = new.k_end + 1;
		} else {
			qlist_del(&k->k_link);
			qfree(k);
		}
	}
	if (new.k_type == Q_F_UNLCK)
		return;
	k = spare[0];
	spare[0] = NULL;
	*k = new;
	qlist_init(&k->k_link);
	insert(lo, k);
}

/* Would `who` wait for itself, if it waited for `whom`? */
static bool
is_circle(struct vfs *vf, const void *who, const void *whom)
{
	struct lock_waiter *lw;
	struct qlist *l;
	unsigned steps = 0;
	bool found = true;

	while (found && steps++ < 1000) {
		if (whom == who)
			return true;
		found = false;
		QLIST_FOREACH(l, &vf->vf_lockwait) {
			lw = QLIST_ELEM(l, struct lock_waiter, lw_link);
			if (lw->lw_who == whom) {
				whom = lw->lw_for;
				found = true;
				break;
			}
		}
	}
	return false;
}

/* Wait until `in_way` may have gone. */
static int
wait_for(struct vfs *vf, struct locks *lo, const struct lock *want,
    const struct lock *in_way)
{
	struct lock_waiter lw = { .lw_on = lo,
		.lw_who = want->k_owner,
		.lw_for = in_way->k_owner };
	int error;

	/* Open files wait for each other as they like, says Linux. */
	if (!want->k_file && !in_way->k_file &&
	    is_circle(vf, lw.lw_who, lw.lw_for))
		return -Q_EDEADLK;
	qlist_append(&vf->vf_lockwait, &lw.lw_link);
	error = qcv_wait(&lo->lo_change, &vf->vf_flock, QSLEEP_INTR,
	    QUERN_NEVER);
	qlist_del(&lw.lw_link);
	return error;
}

/* Does the open file have this lock on the whole already? */
static bool
has_whole(struct locks *lo, const struct lock *want)
{
	struct lock *k;
	struct qlist *l;

	QLIST_FOREACH(l, &lo->lo_list) {
		k = QLIST_ELEM(l, struct lock, k_link);
		if (k->k_family == LOCK_WHOLE && k->k_owner == want->k_owner)
			return k->k_type == want->k_type;
	}
	return false;
}

/* -EAGAIN (in the way, and `wait` is false), -EDEADLK, -EINTR, -ENOMEM. */
static int
set_lock(struct qvnode *v, const struct lock *want, bool wait)
{
	struct vfs *vf = vfs_of_vnode(v);
	struct lock *spare[2], *in_way;
	struct locks *lo;
	int error = 0;

	spare[0] = qalloc(&tag_lock, sizeof(*spare[0]));
	spare[1] = qalloc(&tag_lock, sizeof(*spare[1]));
	if (spare[0] == NULL || spare[1] == NULL)
		error = -Q_ENOMEM;
	qmutex_lock(&vf->vf_flock);
	lo = make_locks(v);
	if (lo == NULL)
		error = -Q_ENOMEM;
	/*
	 * flock(2) gives the old kind up before it asks for the other, or two
	 * that share a lock would wait for each other for ever.
	 */
	if (error == 0 && want->k_family == LOCK_WHOLE && !has_whole(lo, want))
		locks_drop(vf, lo, want->k_owner, true);
	while (error == 0 && want->k_type != Q_F_UNLCK &&
	    (in_way = find_conflict(lo, want)) != NULL)
		error = wait ? wait_for(vf, lo, want, in_way) : -Q_EAGAIN;
	if (error == 0) {
		apply(lo, want, spare);
		/* Less of a lock, or a weaker one, may let others go on. */
		locks_changed(vf, lo);
	}
	qmutex_unlock(&vf->vf_flock);
	qfree(spare[0]);
	qfree(spare[1]);
	return error;
}

/* ---- fcntl ------------------------------------------------------------------------- */

/* The range that `fl` means, in `k`. */
static int
take_range(struct qfile *f, struct qvnode *v, const struct q_flock *fl,
    struct lock *k)
{
	int64_t base = 0, start, end;

	switch (fl->l_whence) {
	case Q_SEEK_SET:
		break;
	case Q_SEEK_CUR:
		qmutex_lock(&f->f_offlock);
		base = f->f_off;
		qmutex_unlock(&f->f_offlock);
		break;
	case Q_SEEK_END:
		base = (int64_t)qvnode_size(v);
		break;
	default:
		return -Q_EINVAL;
	}
	if (__builtin_add_overflow(base, fl->l_start, &start))
		return -Q_EOVERFLOW;
	if (start < 0)
		return -Q_EINVAL;
	end = INT64_MAX;
	if (fl->l_len > 0) {
		if (__builtin_add_overflow(start, fl->l_len - 1, &end))
			return -Q_EOVERFLOW;
	} else if (fl->l_len < 0) {
		if (start + fl->l_len < 0)
			return -Q_EINVAL;
		end = start - 1;
		start += fl->l_len;
	}
	k->k_start = start;
	k->k_end = end;
	return 0;
}

static int
take_lock(struct qfile *f, struct qsys *s, const struct q_flock *fl, bool ofd,
    struct lock *k)
{
	memset(k, 0, sizeof(*k));
	if (fl->l_type != Q_F_RDLCK && fl->l_type != Q_F_WRLCK &&
	    fl->l_type != Q_F_UNLCK)
		return -Q_EINVAL;
	if (ofd && fl->l_pid != 0)
		return -Q_EINVAL;
	k->k_type = fl->l_type;
	k->k_family = LOCK_RANGE;
	k->k_file = ofd;
	k->k_owner = ofd ?
	    (void *)f :
	    (void *)__atomic_load_n(&s->s_proc->p_fd, __ATOMIC_ACQUIRE);
	k->k_pid = s->s_proc->p_pid;
	return take_range(f, qfile_vnode(f), fl, k);
}

/* F_GETLK: what is in the way, or that nothing is. */
static void
show_conflict(struct qvnode *v, const struct lock *want, struct q_flock *fl)
{
	struct vfs *vf = vfs_of_vnode(v);
	struct lock *k = NULL;

	qmutex_lock(&vf->vf_flock);
	if (locks_of(v) != NULL)
		k = find_conflict(locks_of(v), want);
	if (k == NULL) {
		fl->l_type = Q_F_UNLCK;
	} else {
		fl->l_type = k->k_type;
		fl->l_whence = Q_SEEK_SET;
		fl->l_start = k->k_start;
		fl->l_len = k->k_end == INT64_MAX ? 0 :
						    k->k_end - k->k_start + 1;
		fl->l_pid = k->k_file ? -1 : (int32_t)k->k_pid;
	}
	qmutex_unlock(&vf->vf_flock);
}

/* Is `f` the file of the call's descriptor still, in that table? */
static bool
is_open(const struct qsys *s, const struct qfile *f, const void *table)
{
	struct qfile *now = qfd_get_path(s->s_proc, qsys_int(s, 0));

	if (now != NULL)
		qfile_put(now);
	return now == f &&
	    __atomic_load_n(&s->s_proc->p_fd, __ATOMIC_ACQUIRE) == table;
}

static int64_t
range_lock(struct qfile *f, struct qsys *s, int cmd, uint64_t arg)
{
	bool ofd = cmd == Q_F_OFD_GETLK || cmd == Q_F_OFD_SETLK ||
	    cmd == Q_F_OFD_SETLKW;
	struct qvnode *v = qfile_vnode(f);
	struct q_flock fl;
	struct lock k;
	int error;

	if (qcopyin(s->s_us, &fl, arg, sizeof(fl)) != 0)
		return -Q_EFAULT;
	error = take_lock(f, s, &fl, ofd, &k);
	if (error != 0)
		return error;
	if (cmd == Q_F_GETLK || cmd == Q_F_OFD_GETLK) {
		if (k.k_type == Q_F_UNLCK && !ofd)
			return -Q_EINVAL;
		show_conflict(v, &k, &fl);
		return qcopyout(s->s_us, arg, &fl, sizeof(fl));
	}
	if ((k.k_type == Q_F_RDLCK && (f->f_mode & QF_READ) == 0) ||
	    (k.k_type == Q_F_WRLCK && (f->f_mode & QF_WRITE) == 0))
		return -Q_EBADF;
	error = set_lock(v, &k, cmd == Q_F_SETLKW || cmd == Q_F_OFD_SETLKW);
	/* What closing the descriptor took away is not to come back. */
	if (error == 0 && !ofd && !is_open(s, f, k.k_owner)) {
		vnode_locks_closed(v, k.k_owner);
		error = -Q_EBADF;
	}
	return error;
}

int64_t
vnode_fcntl(struct qfile *f, struct qsys *s, int cmd, uint64_t arg)
{
	switch (cmd) {
	case Q_F_GETLK:
	case Q_F_SETLK:
	case Q_F_SETLKW:
	case Q_F_OFD_GETLK:
	case Q_F_OFD_SETLK:
	case Q_F_OFD_SETLKW:
		return range_lock(f, s, cmd, arg);
	case Q_F_ADD_SEALS:
	case Q_F_GET_SEALS:
		return seal_fcntl(f, cmd, arg);
	case Q_F_GETLEASE:
		return Q_F_UNLCK;
	case Q_F_SETLEASE: /* leases are not to be had */
	default:
		return -Q_EINVAL;
	}
}

/* ---- flock -------------------------------------------------------------------------- */

QSYS(flock)
{
	int op = qsys_int(s, 1);
	struct lock k = { .k_family = LOCK_WHOLE,
		.k_file = true,
		.k_end = INT64_MAX };
	struct qfile *f;
	int error;

	switch (op & ~Q_LOCK_NB) {
	case Q_LOCK_SH:
		k.k_type = Q_F_RDLCK;
		break;
	case Q_LOCK_EX:
		k.k_type = Q_F_WRLCK;
		break;
	case Q_LOCK_UN:
		k.k_type = Q_F_UNLCK;
		break;
	default:
		return -Q_EINVAL;
	}
	f = qfd_get(s->s_proc, qsys_int(s, 0));
	if (f == NULL)
		return -Q_EBADF;
	k.k_owner = f;
	k.k_pid = s->s_proc->p_pid;
	if (qfile_vnode(f) == NULL)
		error = -Q_EINVAL;
	else
		error = set_lock(qfile_vnode(f), &k, (op & Q_LOCK_NB) == 0);
	qfile_put(f);
	return error;
}

/* ---- ends ------------------------------------------------------------------------------ */

/* The owner goes: its locks with it. */
static void
drop_owner(struct qvnode *v, const void *owner)
{
	struct vfs *vf = vfs_of_vnode(v);

	if (qlikely(locks_of(v) == NULL))
		return;
	qmutex_lock(&vf->vf_flock);
	locks_drop(vf, locks_of(v), owner, false);
	qmutex_unlock(&vf->vf_flock);
}

void
vnode_locks_closed(struct qvnode *v, const struct qfdtable *t)
{
	drop_owner(v, t);
}

void
vnode_flock_closed(struct qvnode *v, struct qfile *f)
{
	drop_owner(v, f);
}

void
vnode_locks_end(struct qvnode *v)
{
	struct locks *lo = locks_of(v);

	if (lo == NULL)
		return;
	qassert(qlist_empty(&lo->lo_list));
	qfree(lo);
	v->v_locks = NULL;
}
