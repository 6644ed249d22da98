/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * open and its kin.
 */
#include <quern/abi/openat2.h>

#include "impl.h"

/* The flags that mean something; openat2 refuses others. */
#define OPEN_FLAGS                                                        \
	(Q_O_ACCMODE | Q_O_CREAT | Q_O_EXCL | Q_O_NOCTTY | Q_O_TRUNC |    \
	    Q_O_APPEND | Q_O_NONBLOCK | Q_O_SYNC | Q_O_DSYNC | Q_FASYNC | \
	    Q_O_DIRECT | Q_O_LARGEFILE | Q_O_TMPFILE | Q_O_DIRECTORY |    \
	    Q_O_NOFOLLOW | Q_O_NOATIME | Q_O_CLOEXEC | Q_O_PATH)

/* An open on its way. */
struct opening {
	struct quern_proc *op_p;
	uint32_t op_flags; /* O_* */
	uint32_t op_mode;
	unsigned op_walk; /* QWALK_* of openat2 */
};

/* The end of a path is a symlink, not to be followed: O_PATH may have it. */
static int
check_link(const struct opening *op, struct qvnode *v)
{
	if (qvnode_type(v) != Q_S_IFLNK || (op->op_flags & Q_O_PATH) != 0)
		return 0;
	return -Q_ELOOP;
}

static int
open_found(const struct opening *op, const struct qpath *at, bool created,
    struct qfile **fp)
{
	struct qvnode *v = dentry_vnode(at->p_d);
	int error = check_link(op, v);

	if (error == 0 && (op->op_flags & Q_O_DIRECTORY) != 0 &&
	    !qvnode_isdir(v))
		error = -Q_ENOTDIR;
	if (error == 0)
		error = open_at(op->op_p, at, op->op_flags, created, fp);
	return error;
}

static int
open_plain(const struct opening *op, int dirfd, const char *path,
    struct qfile **fp)
{
	unsigned walk = op->op_walk;
	struct qpath at;
	int error;

	if ((op->op_flags & Q_O_NOFOLLOW) == 0)
		walk |= QWALK_FOLLOW;
	if ((op->op_flags & Q_O_DIRECTORY) != 0)
		walk |= QWALK_DIRECTORY;
	error = qvfs_walk(op->op_p, dirfd, path, walk, &at);
	/* What is a symlink but must be a directory is one too many. */
	if (error != 0)
		return error;
	error = open_found(op, &at, false, fp);
	if (error != 0)
		qpath_put(&at);
	return error;
}

/* The last name in its directory: *at with references, made if need be. */
static int
find_or_make(const struct opening *op, struct qparent *pa, struct qpath *at,
    bool *created)
{
	struct vfs *vf = vfs_of(op->op_p->p_k);
	struct qvnode *dv = dentry_vnode(pa->pa_dir.p_d);
	struct qvnew new = { .vn_mode = Q_S_IFREG | (op->op_mode & 07777) };
	struct qdentry *d;
	int error;

	qrw_wrlock(&dv->v_lock);
	error = dentry_lookup(vf, pa->pa_dir.p_d, &pa->pa_name, &d);
	if (error == 0 && dentry_vnode(d) == NULL) {
		if (mount_rdonly(pa->pa_dir.p_mnt))
			error = -Q_EROFS;
		else
			error = make_vnode(op->op_p, &pa->pa_dir, d, &new);
		*created = error == 0;
		if (error != 0)
			dentry_put(d);
	}
	qrw_wrunlock(&dv->v_lock);
	if (error != 0)
		return error;
	at->p_mnt = pa->pa_dir.p_mnt;
	at->p_d = d;
	mount_get(at->p_mnt);
	return 0;
}

/* Is it a symlink to go on at by vo_follow? */
static bool
is_magic(const struct opening *op, const struct qvnode *v)
{
	return qvnode_type(v) == Q_S_IFLNK && v->v_ops->vo_follow != NULL &&
	    (op->op_flags & Q_O_NOFOLLOW) == 0;
}

/* From a magic link, *at, to what it leads to. */
static int
open_magic(const struct opening *op, const struct qparent *pa, struct qpath *at,
    struct qvnode *v)
{
	struct qpath to;
	int error;

	error = walk_magic(op->op_p, op->op_walk, &pa->pa_dir, v, &to);
	if (error != 0)
		return error;
	qpath_put(at);
	*at = to;
	if (qvnode_isdir(dentry_vnode(at->p_d)))
		return -Q_EISDIR;
	return 0;
}

/* O_CREAT.  A symlink at the end is followed by walking on from it. */
static int
open_create(const struct opening *op, int dirfd, const char *path,
    struct qfile **fp)
{
	bool excl = (op->op_flags & Q_O_EXCL) != 0, created = false;
	struct qparent pa;
	struct qpath at;
	struct qvnode *v;
	unsigned depth;
	int error;

	error = parent_of(op->op_p, dirfd, path, op->op_walk, &pa);
	for (depth = 0; error == 0; depth++) {
		if (pa.pa_kind != PARENT_NAME) {
			error = excl ? -Q_EEXIST : -Q_EISDIR;
			break;
		}
		if (pa.pa_slash) {
			error = -Q_EISDIR;
			break;
		}
		created = false;
		error = find_or_make(op, &pa, &at, &created);
		if (error != 0)
			break;
		v = dentry_vnode(at.p_d);
		if (!created && excl)
			error = -Q_EEXIST;
		else if (is_magic(op, v)) {
			error = open_magic(op, &pa, &at, v);
			if (error == 0)
				error = open_found(op, &at, false, fp);
			if (error != 0)
				qpath_put(&at);
			break;
		} else if (qvnode_type(v) == Q_S_IFLNK &&
		    (op->op_flags & Q_O_NOFOLLOW) == 0) {
			if (depth == 40 || (op->op_walk & QWALK_NOLINKS) != 0)
				error = -Q_ELOOP;
			else
				error = parent_of_link(op->op_p, dirfd,
				    op->op_walk, &pa, v);
			qpath_put(&at);
			if (error != 0)
				break;
			continue;
		}
		if (error == 0)
			error = walk_mounts(&at, op->op_walk);
		v = dentry_vnode(at.p_d);
		if (error == 0 && !created && qvnode_isdir(v))
			error = -Q_EISDIR;
		if (error == 0)
			error = open_found(op, &at, created, fp);
		if (error != 0)
			qpath_put(&at);
		break;
	}
	if (pa.pa_dir.p_d != NULL)
		parent_put(&pa);
	return error;
}

/* O_TMPFILE: `path` is the directory. */
static int
open_tmpfile(const struct opening *op, int dirfd, const char *path,
    struct qfile **fp)
{
	struct vfs *vf = vfs_of(op->op_p->p_k);
	struct qvnew new = { .vn_mode = Q_S_IFREG | (op->op_mode & 07777) };
	struct qvnode *dv, *v = NULL;
	struct qpath at, tmp;
	int error;

	error = qvfs_walk(op->op_p, dirfd, path,
	    op->op_walk | QWALK_DIRECTORY | QWALK_FOLLOW, &at);
	if (error != 0)
		return error;
	dv = dentry_vnode(at.p_d);
	qrw_wrlock(&dv->v_lock);
	error = may_create(at.p_mnt, dv, op->op_p);
	if (error == 0 && dv->v_ops->vo_tmpfile == NULL)
		error = -Q_EOPNOTSUPP;
	if (error == 0)
		error = new_attr(dv, op->op_p, &new);
	if (error == 0) {
		error = dv->v_ops->vo_tmpfile(dv, &new, &v);
		new_attr_done(&new, error == 0 ? v : NULL);
	}
	qrw_wrunlock(&dv->v_lock);
	if (error == 0) {
		if ((op->op_flags & Q_O_EXCL) == 0)
			__atomic_fetch_or(&v->v_flags, QV_LINKABLE,
			    __ATOMIC_RELAXED);
		error = dentry_nameless(vf, at.p_d, v, &tmp.p_d);
		if (error != 0)
			qvnode_put(v);
	}
	if (error == 0) {
		tmp.p_mnt = at.p_mnt;
		mount_get(tmp.p_mnt);
		error = open_at(op->op_p, &tmp, op->op_flags, true, fp);
		if (error != 0)
			qpath_put(&tmp);
	}
	qpath_put(&at);
	return error;
}

/* Check the flags, as Linux's build_open_flags does, and open. */
static int64_t
do_open(struct quern_proc *p, int dirfd, const char *path, uint32_t flags,
    uint32_t mode, unsigned walk)
{
	struct opening op = { p, flags, mode, walk };
	struct qfile *f;
	int error, fd;

	if ((flags & Q_O_PATH) != 0)
		op.op_flags &= Q_O_PATH | Q_O_DIRECTORY | Q_O_NOFOLLOW |
		    Q_O_CLOEXEC;
	if ((op.op_flags & Q_O_TMPFILE) == Q_O_TMPFILE) {
		if ((flags & Q_O_ACCMODE) == Q_O_RDONLY ||
		    (flags & Q_O_CREAT) != 0)
			return -Q_EINVAL;
	} else if ((op.op_flags & Q_O_TMPFILE & ~Q_O_DIRECTORY) != 0) {
		return -Q_EINVAL;
	}
	if ((op.op_flags & (Q_O_CREAT | Q_O_DIRECTORY)) ==
	    (Q_O_CREAT | Q_O_DIRECTORY))
		return -Q_EINVAL;
	fd = qfd_reserve(p, 0, op.op_flags & Q_O_CLOEXEC);
	if (fd < 0)
		return fd;
	if ((op.op_flags & Q_O_TMPFILE) == Q_O_TMPFILE)
		error = open_tmpfile(&op, dirfd, path, &f);
	else if ((op.op_flags & Q_O_CREAT) != 0)
		error = open_create(&op, dirfd, path, &f);
	else
		error = open_plain(&op, dirfd, path, &f);
	if (error != 0) {
		qfd_cancel(p, fd);
		return error;
	}
	qfd_commit(p, fd, f);
	return fd;
}

static int64_t
open_call(struct qsys *s, int dirfd, unsigned i, uint32_t flags, uint32_t mode)
{
	struct short_path sp;
	int64_t ret;
	int error = path_arg_short(s, i, false, &sp);

	if (error != 0)
		return error;
	/* The old calls ignore what they do not know. */
	ret = do_open(s->s_proc, dirfd, sp.sp_path, flags & OPEN_FLAGS,
	    mode & 07777, 0);
	path_end(&sp);
	return ret;
}

QSYS(open)
{
	return open_call(s, Q_AT_FDCWD, 0, qsys_uint(s, 1), qsys_uint(s, 2));
}

QSYS(openat)
{
	return open_call(s, qsys_int(s, 0), 1, qsys_uint(s, 2),
	    qsys_uint(s, 3));
}

QSYS(creat)
{
	return open_call(s, Q_AT_FDCWD, 0, Q_O_CREAT | Q_O_WRONLY | Q_O_TRUNC,
	    qsys_uint(s, 1));
}

/* RESOLVE_* as QWALK_*. */
static unsigned
resolve_flags(uint64_t resolve)
{
	unsigned walk = 0;

	if ((resolve & Q_RESOLVE_NO_XDEV) != 0)
		walk |= QWALK_NOXDEV;
	if ((resolve & Q_RESOLVE_NO_MAGICLINKS) != 0)
		walk |= QWALK_NOMAGIC;
	if ((resolve & Q_RESOLVE_NO_SYMLINKS) != 0)
		walk |= QWALK_NOLINKS;
	if ((resolve & Q_RESOLVE_BENEATH) != 0)
		walk |= QWALK_BENEATH;
	if ((resolve & Q_RESOLVE_IN_ROOT) != 0)
		walk |= QWALK_INROOT;
	if ((resolve & Q_RESOLVE_CACHED) != 0)
		walk |= QWALK_CACHED;
	return walk;
}

QSYS(openat2)
{
	uint64_t size = s->s_arg[3], resolve;
	struct q_open_how how;
	char *path;
	int64_t ret;
	int error;

	if (size < sizeof(how))
		return -Q_EINVAL;
	if (size > QUERN_PAGE_SIZE)
		return -Q_E2BIG;
	error = zero_tail(s, 2, sizeof(how), (size_t)size);
	if (error != 0)
		return error;
	if (qsys_in(s, 2, &how, sizeof(how)) != 0)
		return -Q_EFAULT;
	resolve = how.resolve;
	if ((how.flags & ~(uint64_t)OPEN_FLAGS) != 0 ||
	    (resolve & ~(uint64_t)Q_RESOLVE__ALL) != 0)
		return -Q_EINVAL;
	if ((resolve & Q_RESOLVE_BENEATH) != 0 &&
	    (resolve & Q_RESOLVE_IN_ROOT) != 0)
		return -Q_EINVAL;
	if ((how.mode & ~(uint64_t)07777) != 0)
		return -Q_EINVAL;
	if ((how.flags & Q_O_CREAT) == 0 &&
	    (how.flags & Q_O_TMPFILE) != Q_O_TMPFILE && how.mode != 0)
		return -Q_EINVAL;
	if ((how.flags & Q_O_PATH) != 0 &&
	    (how.flags &
		~(uint64_t)(Q_O_PATH | Q_O_DIRECTORY | Q_O_NOFOLLOW |
		    Q_O_CLOEXEC)) != 0)
		return -Q_EINVAL;
	if ((resolve & Q_RESOLVE_CACHED) != 0 &&
	    (how.flags &
		(Q_O_TRUNC | Q_O_CREAT |
		    (Q_O_TMPFILE & ~(uint64_t)Q_O_DIRECTORY))) != 0)
		return -Q_EAGAIN;
	error = path_arg(s, 1, false, &path);
	if (error != 0)
		return error;
	ret = do_open(s->s_proc, qsys_int(s, 0), path, (uint32_t)how.flags,
	    (uint32_t)how.mode, resolve_flags(resolve));
	path_free(path);
	return ret;
}
