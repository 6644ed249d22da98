/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that make, move and remove names.
 *
 * Each finds the directory of the last name, locks it, finds out what the name
 * is now, asks permission, has the file system do it, and tells the name cache.
 * The order of checks is Linux's.
 */
#include "impl.h"

/* ---- making --------------------------------------------------------------------- */

int
free_name_in(struct vfs *vf, struct qparent *pa, struct qdentry **dp)
{
	int error;

	if (pa->pa_kind != PARENT_NAME)
		return -Q_EEXIST;
	error = dentry_lookup(vf, pa->pa_dir.p_d, &pa->pa_name, dp);
	if (error == 0 && dentry_vnode(*dp) != NULL) {
		dentry_put(*dp);
		error = -Q_EEXIST;
	}
	return error;
}

void
qname_set(struct qname *n, const char *s)
{
	n->n_name = s;
	n->n_len = (uint32_t)qstrlen(s);
	n->n_hash = name_hash(s, n->n_len);
}

/* Make what `new` says under a negative dentry.  [directory] */
int
make_vnode(struct quern_proc *p, const struct qpath *dir, struct qdentry *d,
    struct qvnew *new)
{
	struct qname n = { d->d_name->dn_s, d->d_name->dn_len, 0 };
	struct qvnode *dv = dentry_vnode(dir->p_d), *v = NULL;
	int error;

	error = may_create(dir->p_mnt, dv, p);
	if (error != 0)
		return error;
	if (n.n_len > dv->v_fs->fs_namelen)
		return -Q_ENAMETOOLONG;
	if (dv->v_ops->vo_create == NULL)
		return -Q_EPERM;
	n.n_hash = name_hash(n.n_name, n.n_len);
	error = new_attr(dv, p, new);
	if (error != 0)
		return error;
	error = dv->v_ops->vo_create(dv, &n, new, &v);
	new_attr_done(new, error == 0 ? v : NULL);
	if (error != 0)
		return error;
	dentry_set(d, v);
	notify_vnode(dv, Q_IN_CREATE | (qvnode_isdir(v) ? Q_IN_ISDIR : 0), &n);
	return 0;
}

/* mkdir, mknod and symlink: argument `i` is the path. */
static int64_t
make(struct qsys *s, int dirfd, unsigned i, struct qvnew *new)
{
	bool isdir = (new->vn_mode &Q_S_IFMT) == Q_S_IFDIR;
	struct vfs *vf = vfs_of(s->s_proc->p_k);
	struct qparent pa;
	struct qvnode *dv;
	struct qdentry *d;
	int error;

	error = walk_parent(s, dirfd, i, 0, &pa);
	if (error != 0)
		return error;
	dv = dentry_vnode(pa.pa_dir.p_d);
	qrw_wrlock(&dv->v_lock);
	error = free_name_in(vf, &pa, &d);
	if (error == 0) {
		if (pa.pa_slash && !isdir)
			error = -Q_ENOENT;
		else if (mount_rdonly(pa.pa_dir.p_mnt))
			error = -Q_EROFS;
		else
			error = make_vnode(s->s_proc, &pa.pa_dir, d, new);
		dentry_put(d);
	}
	qrw_wrunlock(&dv->v_lock);
	parent_put(&pa);
	return error;
}

static int64_t
make_dir(struct qsys *s, int dirfd, unsigned i)
{
	struct qvnew new = { .vn_mode = Q_S_IFDIR |
		    (qsys_uint(s, i + 1) & (0777 | Q_S_ISVTX)) };

	return make(s, dirfd, i, &new);
}

QSYS(mkdir)
{
	return make_dir(s, Q_AT_FDCWD, 0);
}

QSYS(mkdirat)
{
	return make_dir(s, qsys_int(s, 0), 1);
}

static int64_t
make_node(struct qsys *s, int dirfd, unsigned i)
{
	struct qvnew new = { .vn_mode = qsys_uint(s, i + 1) };

	new.vn_mode &= Q_S_IFMT | 07777;
	switch (new.vn_mode &Q_S_IFMT) {
	case 0:
		new.vn_mode |= Q_S_IFREG;
		break;
	case Q_S_IFREG:
	case Q_S_IFIFO:
	case Q_S_IFSOCK:
		break;
	case Q_S_IFCHR:
	case Q_S_IFBLK:
		if (!qproc_capable(s->s_proc, Q_CAP_MKNOD))
			return -Q_EPERM;
		new.vn_rdev = qsys_uint(s, i + 2);
		break;
	case Q_S_IFDIR:
		return -Q_EPERM;
	default:
		return -Q_EINVAL;
	}
	return make(s, dirfd, i, &new);
}

QSYS(mknod)
{
	return make_node(s, Q_AT_FDCWD, 0);
}

QSYS(mknodat)
{
	return make_node(s, qsys_int(s, 0), 1);
}

static int64_t
make_link(struct qsys *s, int dirfd, unsigned i)
{
	struct qvnew new = { .vn_mode = Q_S_IFLNK | 0777 };
	char *target;
	int64_t ret;
	int error = path_arg(s, 0, false, &target);

	if (error != 0)
		return error;
	new.vn_target = target;
	new.vn_targetlen = (uint32_t)qstrlen(target);
	ret = make(s, dirfd, i, &new);
	path_free(target);
	return ret;
}

QSYS(symlink)
{
	return make_link(s, Q_AT_FDCWD, 1);
}

QSYS(symlinkat)
{
	return make_link(s, qsys_int(s, 1), 2);
}

/* ---- another name ---------------------------------------------------------------- */

/* May `p` make another name for it?  protected_hardlinks is off. */
static int
may_link(struct qvnode *v)
{
	if (qvnode_isdir(v))
		return -Q_EPERM;
	if (qvnode_is(v, QV_APPEND | QV_IMMUTABLE))
		return -Q_EPERM;
	return 0;
}

static int64_t
link_names(struct qsys *s, int olddir, unsigned iold, int newdir, unsigned inew,
    unsigned walk)
{
	struct vfs *vf = vfs_of(s->s_proc->p_k);
	struct qvnode *dv, *v;
	struct qdentry *d;
	struct qparent pa;
	struct qpath old;
	int error;

	error = qvfs_walk_arg(s, olddir, iold, walk, &old);
	if (error != 0)
		return error;
	v = dentry_vnode(old.p_d);
	error = walk_parent(s, newdir, inew, 0, &pa);
	if (error != 0) {
		qpath_put(&old);
		return error;
	}
	dv = dentry_vnode(pa.pa_dir.p_d);
	qrw_wrlock(&dv->v_lock);
	error = free_name_in(vf, &pa, &d);
	if (error == 0) {
		if (old.p_mnt != pa.pa_dir.p_mnt)
			error = -Q_EXDEV;
		else if (pa.pa_slash)
			error = -Q_ENOENT;
		else
			error = may_create(pa.pa_dir.p_mnt, dv, s->s_proc);
		if (error == 0)
			error = may_link(v);
		if (error == 0 && pa.pa_name.n_len > dv->v_fs->fs_namelen)
			error = -Q_ENAMETOOLONG;
		if (error == 0 && dv->v_ops->vo_link == NULL)
			error = -Q_EPERM;
		if (error == 0) {
			qrw_wrlock(&v->v_lock);
			/* All names may have gone; without any: O_TMPFILE. */
			if (v->v_nlink == 0 &&
			    (old.p_d->d_name->dn_len != 0 ||
				!qvnode_is(v, QV_LINKABLE)))
				error = -Q_ENOENT;
			else
				error = dv->v_ops->vo_link(dv, &pa.pa_name, v);
			qrw_wrunlock(&v->v_lock);
		}
		if (error == 0) {
			qvnode_ref(v);
			dentry_set(d, v);
			notify_vnode(v, Q_IN_ATTRIB, NULL);
			notify_vnode(dv, Q_IN_CREATE, &pa.pa_name);
		}
		dentry_put(d);
	}
	qrw_wrunlock(&dv->v_lock);
	parent_put(&pa);
	qpath_put(&old);
	return error;
}

QSYS(link)
{
	return link_names(s, Q_AT_FDCWD, 0, Q_AT_FDCWD, 1, 0);
}

QSYS(linkat)
{
	uint32_t flags = qsys_uint(s, 4);
	unsigned walk = 0;

	if ((flags & ~(uint32_t)(Q_AT_SYMLINK_FOLLOW | Q_AT_EMPTY_PATH)) != 0)
		return -Q_EINVAL;
	if ((flags & Q_AT_EMPTY_PATH) != 0) {
		if (!qproc_capable(s->s_proc, Q_CAP_DAC_READ_SEARCH))
			return -Q_ENOENT;
		walk |= QWALK_EMPTY;
	}
	if ((flags & Q_AT_SYMLINK_FOLLOW) != 0)
		walk |= QWALK_FOLLOW;
	return link_names(s, qsys_int(s, 0), 1, qsys_int(s, 2), 3, walk);
}

/* ---- removing ------------------------------------------------------------------------ */

/* Remove the name of a file or, with `isdir`, of an empty directory. */
static int
remove_name(struct quern_proc *p, struct qparent *pa, bool isdir,
    struct qvnode **gone)
{
	struct vfs *vf = vfs_of(p->p_k);
	struct qvnode *dv = dentry_vnode(pa->pa_dir.p_d), *v;
	struct qdentry *d;
	int error;

	error = dentry_lookup(vf, pa->pa_dir.p_d, &pa->pa_name, &d);
	if (error != 0)
		return error;
	v = dentry_vnode(d);
	if (v == NULL) {
		error = mount_rdonly(pa->pa_dir.p_mnt) ? -Q_EROFS : -Q_ENOENT;
		if (error == -Q_EROFS)
			error = -Q_ENOENT;
	} else if (!isdir && pa->pa_slash) {
		error = qvnode_isdir(v) ? -Q_EISDIR : -Q_ENOTDIR;
	} else {
		error = may_delete(pa->pa_dir.p_mnt, dv, v, p, isdir);
	}
	if (error == 0 && dv->v_ops->vo_unlink == NULL)
		error = -Q_EPERM;
	if (error != 0) {
		dentry_put(d);
		return error;
	}
	qvnode_ref(v);
	qrw_wrlock(&v->v_lock);
	if ((dentry_flags(d) & QD_MOUNTED) != 0)
		error = -Q_EBUSY;
	else
		error = dv->v_ops->vo_unlink(dv, &pa->pa_name, v);
	if (error == 0) {
		if (isdir)
			dentry_prune_below(vf, d);
		else
			notify_vnode(v, Q_IN_ATTRIB, NULL);
		dentry_unset(d);
		notify_vnode(dv, Q_IN_DELETE | (isdir ? Q_IN_ISDIR : 0),
		    &pa->pa_name);
	}
	qrw_wrunlock(&v->v_lock);
	dentry_put(d);
	*gone = v;
	return error;
}

static int64_t
do_remove(struct qsys *s, int dirfd, unsigned i, bool isdir)
{
	static const int dir_error[] = { [PARENT_DOT] = -Q_EINVAL,
		[PARENT_DOTDOT] = -Q_ENOTEMPTY,
		[PARENT_ROOT] = -Q_EBUSY };
	struct qvnode *dv, *gone = NULL;
	struct qparent pa;
	int error;

	error = walk_parent(s, dirfd, i, 0, &pa);
	if (error != 0)
		return error;
	if (pa.pa_kind != PARENT_NAME) {
		error = isdir ? dir_error[pa.pa_kind] : -Q_EISDIR;
	} else {
		dv = dentry_vnode(pa.pa_dir.p_d);
		qrw_wrlock(&dv->v_lock);
		error = remove_name(s->s_proc, &pa, isdir, &gone);
		qrw_wrunlock(&dv->v_lock);
	}
	/* Perhaps the last reference: its blocks go without a lock held. */
	if (gone != NULL)
		qvnode_put(gone);
	parent_put(&pa);
	return error;
}

QSYS(unlink)
{
	return do_remove(s, Q_AT_FDCWD, 0, false);
}

QSYS(rmdir)
{
	return do_remove(s, Q_AT_FDCWD, 0, true);
}

QSYS(unlinkat)
{
	uint32_t flags = qsys_uint(s, 2);

	if ((flags & ~(uint32_t)Q_AT_REMOVEDIR) != 0)
		return -Q_EINVAL;
	return do_remove(s, qsys_int(s, 0), 1, (flags & Q_AT_REMOVEDIR) != 0);
}

/* ---- moving ---------------------------------------------------------------------------- */

/* A rename on its way. */
struct moving {
	struct quern_proc *mv_p;
	struct vfs *mv_vf;
	uint32_t mv_flags; /* Q_RENAME_* */
	struct qparent mv_old, mv_new;
	struct qdentry *mv_from, *mv_to; /* with references */
	struct qvnode *mv_locked[2];     /* files and directories below */
	struct qvnode *mv_gone;          /* replaced, with a reference */
	bool mv_serial;                  /* fs_rename is held */
};

/* Lock both directories, above before below, else by number. */
static void
lock_dirs(struct moving *mv)
{
	struct qdentry *a = mv->mv_old.pa_dir.p_d, *b = mv->mv_new.pa_dir.p_d;
	struct qvnode *va = dentry_vnode(a), *vb = dentry_vnode(b), *t;

	if (va == vb) {
		qrw_wrlock(&va->v_lock);
		return;
	}
	if (dentry_below(a, b) ||
	    (!dentry_below(b, a) && vb->v_ino < va->v_ino)) {
		t = va;
		va = vb;
		vb = t;
	}
	qrw_wrlock(&va->v_lock);
	qrw_wrlock(&vb->v_lock);
}

static void
unlock_dirs(struct moving *mv)
{
	struct qvnode *va = dentry_vnode(mv->mv_old.pa_dir.p_d);
	struct qvnode *vb = dentry_vnode(mv->mv_new.pa_dir.p_d);

	if (va != vb)
		qrw_wrunlock(&vb->v_lock);
	qrw_wrunlock(&va->v_lock);
}

/* What the names are, and whether that fits together.  [directories] */
static int
check_names(struct moving *mv)
{
	struct qdentry *from, *to;
	bool exchange = (mv->mv_flags & Q_RENAME_EXCHANGE) != 0;
	struct qvnode *v, *t;
	int error;

	error = dentry_lookup(mv->mv_vf, mv->mv_old.pa_dir.p_d,
	    &mv->mv_old.pa_name, &mv->mv_from);
	if (error != 0)
		return error;
	from = mv->mv_from;
	v = dentry_vnode(from);
	if (v == NULL)
		return -Q_ENOENT;
	error = dentry_lookup(mv->mv_vf, mv->mv_new.pa_dir.p_d,
	    &mv->mv_new.pa_name, &mv->mv_to);
	if (error != 0)
		return error;
	to = mv->mv_to;
	t = dentry_vnode(to);
	if ((mv->mv_flags & Q_RENAME_NOREPLACE) != 0 && t != NULL)
		return -Q_EEXIST;
	if (exchange) {
		if (t == NULL)
			return -Q_ENOENT;
		if (!qvnode_isdir(t) && mv->mv_new.pa_slash)
			return -Q_ENOTDIR;
	}
	if (!qvnode_isdir(v)) {
		if (mv->mv_old.pa_slash || (!exchange && mv->mv_new.pa_slash))
			return -Q_ENOTDIR;
	}
	/* Not into itself, and not what it is in over it. */
	if (dentry_below(mv->mv_new.pa_dir.p_d, from))
		return -Q_EINVAL;
	if (dentry_below(mv->mv_old.pa_dir.p_d, to))
		return exchange ? -Q_EINVAL : -Q_ENOTEMPTY;
	return 0;
}

/* Is it allowed?  [directories] */
static int
check_move(struct moving *mv)
{
	struct qvnode *od = dentry_vnode(mv->mv_old.pa_dir.p_d);
	struct qvnode *nd = dentry_vnode(mv->mv_new.pa_dir.p_d);
	struct qvnode *v = dentry_vnode(mv->mv_from);
	struct qvnode *t = dentry_vnode(mv->mv_to);
	struct qmount *m = mv->mv_old.pa_dir.p_mnt;
	bool exchange = (mv->mv_flags & Q_RENAME_EXCHANGE) != 0;
	int error;

	error = may_delete(m, od, v, mv->mv_p, qvnode_isdir(v));
	if (error != 0)
		return error;
	if (t == NULL)
		error = may_create(m, nd, mv->mv_p);
	else
		error = may_delete(m, nd, t, mv->mv_p,
		    exchange ? qvnode_isdir(t) : qvnode_isdir(v));
	if (error != 0)
		return error;
	/* A directory that moves gets another "..". */
	if (od != nd) {
		if (qvnode_isdir(v) &&
		    (error = may_access(v, mv->mv_p, QACC_WRITE)) != 0)
			return error;
		if (exchange && qvnode_isdir(t) &&
		    (error = may_access(t, mv->mv_p, QACC_WRITE)) != 0)
			return error;
	}
	if (mv->mv_new.pa_name.n_len > nd->v_fs->fs_namelen)
		return -Q_ENAMETOOLONG;
	return od->v_ops->vo_rename == NULL ? -Q_EPERM : 0;
}

/* Does `a` come before `b`?  Directories do before what may be linked into them. */
static bool
is_first(const struct qvnode *a, const struct qvnode *b)
{
	if (qvnode_isdir(a) != qvnode_isdir(b))
		return qvnode_isdir(a);
	return a->v_ino < b->v_ino;
}

/* Lock what is moved and replaced. */
static void
lock_moved(struct moving *mv)
{
	struct qvnode *a = dentry_vnode(mv->mv_from);
	struct qvnode *b = dentry_vnode(mv->mv_to), *t;

	if (b == a)
		b = NULL;
	if (b != NULL && is_first(b, a)) {
		t = a;
		a = b;
		b = t;
	}
	qrw_wrlock(&a->v_lock);
	if (b != NULL)
		qrw_wrlock(&b->v_lock);
	mv->mv_locked[0] = a;
	mv->mv_locked[1] = b;
}

static void
unlock_moved(struct moving *mv)
{
	if (mv->mv_locked[1] != NULL)
		qrw_wrunlock(&mv->mv_locked[1]->v_lock);
	qrw_wrunlock(&mv->mv_locked[0]->v_lock);
}

/* `v` has moved from one place to another, where `t`, or nothing, was. */
static void
notify_move(struct moving *mv, const struct qparent *from,
    const struct qparent *to, struct qvnode *v, struct qvnode *t)
{
	struct qvnode *fromdir = dentry_vnode(from->pa_dir.p_d);
	struct qvnode *todir = dentry_vnode(to->pa_dir.p_d);
	uint32_t type = qvnode_isdir(v) ? Q_IN_ISDIR : 0, cookie;

	if (__atomic_load_n(&v->v_fs->fs_nwatch, __ATOMIC_RELAXED) == 0)
		return;
	cookie = watch_cookie(mv->mv_vf);
	watch_event(fromdir, Q_IN_MOVED_FROM | type, &from->pa_name, cookie);
	watch_event(todir, Q_IN_MOVED_TO | type, &to->pa_name, cookie);
	if (t != NULL)
		watch_event(t, Q_IN_ATTRIB | (qvnode_isdir(t) ? Q_IN_ISDIR : 0),
		    NULL, 0);
	watch_event(v, Q_IN_MOVE_SELF, NULL, 0);
}

/* It has been done: the name cache too.  `t` has been replaced, or NULL. */
static void
names_moved(struct moving *mv, struct qvnode *t, struct long_name *ln,
    struct long_name *lnover)
{
	if (t != NULL) {
		if (qvnode_isdir(t))
			dentry_prune_below(mv->mv_vf, mv->mv_to);
		qvnode_ref(t);
		mv->mv_gone = t;
	}
	dentry_move(mv->mv_vf, mv->mv_from, mv->mv_to, ln, lnover);
	notify_move(mv, &mv->mv_old, &mv->mv_new, dentry_vnode(mv->mv_from), t);
	if (lnover != NULL)
		notify_move(mv, &mv->mv_new, &mv->mv_old,
		    dentry_vnode(mv->mv_to), NULL);
}

/* Do it, names being locked and all checked. */
static int
move_now(struct moving *mv)
{
	bool exchange = (mv->mv_flags & Q_RENAME_EXCHANGE) != 0;
	struct qvnode *t = dentry_vnode(mv->mv_to);
	struct long_name *ln = NULL, *lnover = NULL;
	struct qrename r = { .r_olddir = dentry_vnode(mv->mv_old.pa_dir.p_d),
		.r_newdir = dentry_vnode(mv->mv_new.pa_dir.p_d),
		.r_old = mv->mv_old.pa_name,
		.r_new = mv->mv_new.pa_name,
		.r_vnode = dentry_vnode(mv->mv_from),
		.r_target = t,
		.r_exchange = exchange };
	int error;

	error = name_alloc(&mv->mv_new.pa_name, &ln);
	if (error == 0 && exchange)
		error = name_alloc(&mv->mv_old.pa_name, &lnover);
	if (error == 0) {
		lock_moved(mv);
		if (((dentry_flags(mv->mv_from) | dentry_flags(mv->mv_to)) &
			QD_MOUNTED) != 0)
			error = -Q_EBUSY;
		else
			error = r.r_olddir->v_ops->vo_rename(&r);
		if (error == 0)
			names_moved(mv, exchange ? NULL : t, ln, lnover);
		unlock_moved(mv);
	}
	if (error != 0) {
		name_free(ln);
		name_free(lnover);
	}
	return error;
}

#define AGAIN_SERIAL 1

/* AGAIN_SERIAL: that must not be done without fs_rename. */
static int
move_locked(struct moving *mv)
{
	int error = check_names(mv);
	struct qvnode *t;

	if (error != 0)
		return error;
	/*
	 * Of two directories in one, neither is above the other, and then it is
	 * fs_rename that keeps others from locking some in another order.
	 */
	t = dentry_vnode(mv->mv_to);
	if (!mv->mv_serial && t != NULL && qvnode_isdir(t) &&
	    qvnode_isdir(dentry_vnode(mv->mv_from)))
		return AGAIN_SERIAL;
	/* Two names of one file: nothing is to be done, says POSIX. */
	if (dentry_vnode(mv->mv_from) == dentry_vnode(mv->mv_to))
		return 0;
	error = check_move(mv);
	return error != 0 ? error : move_now(mv);
}

static int
move_once(struct moving *mv, struct qfs *fs)
{
	int error;

	mv->mv_from = mv->mv_to = NULL;
	if (mv->mv_serial)
		qmutex_lock(&fs->fs_rename);
	lock_dirs(mv);
	error = move_locked(mv);
	unlock_dirs(mv);
	if (mv->mv_serial)
		qmutex_unlock(&fs->fs_rename);
	if (mv->mv_from != NULL)
		dentry_put(mv->mv_from);
	if (mv->mv_to != NULL)
		dentry_put(mv->mv_to);
	return error;
}

static int
move(struct moving *mv)
{
	struct qfs *fs = mv->mv_old.pa_dir.p_mnt->m_fs;
	int error;

	if (mv->mv_old.pa_dir.p_mnt != mv->mv_new.pa_dir.p_mnt)
		return -Q_EXDEV;
	if (mv->mv_old.pa_kind != PARENT_NAME)
		return -Q_EBUSY;
	if (mv->mv_new.pa_kind != PARENT_NAME)
		return (mv->mv_flags & Q_RENAME_NOREPLACE) != 0 ? -Q_EEXIST :
								  -Q_EBUSY;
	if (mount_rdonly(mv->mv_old.pa_dir.p_mnt))
		return -Q_EROFS;
	/* Who is above whom does not change while we find out. */
	mv->mv_serial = mv->mv_old.pa_dir.p_d != mv->mv_new.pa_dir.p_d;
	error = move_once(mv, fs);
	if (error == AGAIN_SERIAL) {
		mv->mv_serial = true;
		error = move_once(mv, fs);
	}
	if (mv->mv_gone != NULL)
		qvnode_put(mv->mv_gone);
	return error;
}

static int64_t
rename_names(struct qsys *s, int olddir, unsigned iold, int newdir,
    unsigned inew, uint32_t flags)
{
	struct moving mv = { .mv_p = s->s_proc,
		.mv_vf = vfs_of(s->s_proc->p_k),
		.mv_flags = flags };
	int error;

	if ((flags & ~(uint32_t)(Q_RENAME_NOREPLACE | Q_RENAME_EXCHANGE)) != 0)
		return -Q_EINVAL;
	if (flags == (Q_RENAME_NOREPLACE | Q_RENAME_EXCHANGE))
		return -Q_EINVAL;
	error = walk_parent(s, olddir, iold, 0, &mv.mv_old);
	if (error != 0)
		return error;
	error = walk_parent(s, newdir, inew, 0, &mv.mv_new);
	if (error != 0) {
		parent_put(&mv.mv_old);
		return error;
	}
	error = move(&mv);
	parent_put(&mv.mv_old);
	parent_put(&mv.mv_new);
	return error;
}

QSYS(rename)
{
	return rename_names(s, Q_AT_FDCWD, 0, Q_AT_FDCWD, 1, 0);
}

QSYS(renameat)
{
	return rename_names(s, qsys_int(s, 0), 1, qsys_int(s, 2), 3, 0);
}

QSYS(renameat2)
{
	return rename_names(s, qsys_int(s, 0), 1, qsys_int(s, 2), 3,
	    qsys_uint(s, 4));
}

/* ---- symlinks ---------------------------------------------------------------------------- */

static int64_t
read_link(struct qsys *s, int dirfd, unsigned i)
{
	int32_t size = qsys_int(s, i + 2);
	struct qvnode *v;
	struct qpath at;
	char *buf;
	int n;

	if (size <= 0)
		return -Q_EINVAL;
	n = qvfs_walk_arg(s, dirfd, i, i == 1 ? QWALK_EMPTY : 0, &at);
	if (n != 0)
		return n;
	v = dentry_vnode(at.p_d);
	if (qvnode_type(v) != Q_S_IFLNK) {
		n = is_path_empty(s, i) ? -Q_ENOENT : -Q_EINVAL;
		qpath_put(&at);
		return n;
	}
	n = path_buf(&buf);
	if (n == 0) {
		n = v->v_ops->vo_readlink(v, buf, QPATH_MAX - 1);
		touch_atime(at.p_mnt, v, 0);
		if (n > size)
			n = size;
		if (n > 0 && qsys_out(s, i + 1, buf, (size_t)n) != 0)
			n = -Q_EFAULT;
		path_free(buf);
	}
	qpath_put(&at);
	return n;
}

QSYS(readlink)
{
	return read_link(s, Q_AT_FDCWD, 0);
}

QSYS(readlinkat)
{
	return read_link(s, qsys_int(s, 0), 1);
}
