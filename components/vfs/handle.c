/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files by handle: an inode number and its generation instead of a path, which
 * stay when names change and end when the file does.
 *
 * A handle is opened by asking its file system for the vnode (fso_vget).  A
 * directory must become its one dentry (dentry.c), so the way to it is found:
 * up to the root by fso_parent, and down again by looking in each directory for
 * the name of the next.  Another file gets a dentry without a name, as one made
 * by O_TMPFILE does.
 */
#include <quern/abi/handle.h>

#include "impl.h"

/* What is in f_handle. */
struct handle {
	uint64_t h_ino;
	uint32_t h_gen;
} __attribute__((packed));

#define HANDLE_TYPE 0x51
#define HANDLE_HEAD offsetof(struct q_file_handle, f_handle)

/* A tree that is deeper than this is none. */
#define DEPTH_MAX 4096u

static const struct qtag tag_way = { "way to a directory" };

/* ---- making one ------------------------------------------------------------ */

static int
handle_out(struct qsys *s, const struct qpath *at)
{
	struct qvnode *v = dentry_vnode(at->p_d);
	struct handle h = { .h_ino = v->v_ino, .h_gen = v->v_gen };
	struct q_file_handle fh = { .handle_type = HANDLE_TYPE };
	int32_t id = (int32_t)at->p_mnt->m_id;
	uint32_t room;

	if (v->v_fs->fs_ops->fso_vget == NULL)
		return -Q_EOPNOTSUPP;
	if (qsys_in(s, 2, &room, sizeof(room)) != 0)
		return -Q_EFAULT;
	if (room > Q_MAX_HANDLE_SZ)
		return -Q_EINVAL;
	fh.handle_bytes = sizeof(h);
	memcpy(fh.f_handle, &h, sizeof(h));
	if (qsys_out(s, 3, &id, sizeof(id)) != 0 ||
	    qsys_out(s, 2, &fh,
		HANDLE_HEAD + (room < sizeof(h) ? 0 : sizeof(h))) != 0)
		return -Q_EFAULT;
	return room < sizeof(h) ? -Q_EOVERFLOW : 0;
}

QSYS(name_to_handle_at)
{
	uint32_t flags = qsys_uint(s, 4);
	unsigned walk = 0;
	struct qpath at;
	int error;

	if ((flags & ~(uint32_t)(Q_AT_SYMLINK_FOLLOW | Q_AT_EMPTY_PATH)) != 0)
		return -Q_EINVAL;
	if ((flags & Q_AT_SYMLINK_FOLLOW) != 0)
		walk |= QWALK_FOLLOW;
	if ((flags & Q_AT_EMPTY_PATH) != 0)
		walk |= QWALK_EMPTY;
	error = qvfs_walk_arg(s, qsys_int(s, 0), 1, walk, &at);
	if (error != 0)
		return error;
	error = handle_out(s, &at);
	qpath_put(&at);
	return error;
}

/* ---- the way to a directory ------------------------------------------------ */

/* The directories from one up to below the root; each with a reference. */
struct way {
	struct qvnode **w_dir;
	unsigned w_n, w_room;
};

static int
way_add(struct way *w, struct qvnode *v)
{
	unsigned room = w->w_room != 0 ? 2 * w->w_room : 16;
	struct qvnode **dir;

	if (w->w_n == DEPTH_MAX)
		return -Q_ESTALE;
	if (w->w_n == w->w_room) {
		dir = qalloc(&tag_way, room * sizeof(*dir));
		if (dir == NULL)
			return -Q_ENOMEM;
		if (w->w_n != 0)
			memcpy(dir, w->w_dir, w->w_n * sizeof(*dir));
		qfree(w->w_dir);
		w->w_dir = dir;
		w->w_room = room;
	}
	w->w_dir[w->w_n++] = v;
	return 0;
}

static void
way_free(struct way *w)
{
	while (w->w_n > 0)
		qvnode_put(w->w_dir[--w->w_n]);
	qfree(w->w_dir);
}

/* Climb from `v`, whose reference is used up.  [fs_rename] */
static int
climb(struct way *w, struct qvnode *v)
{
	struct qfs *fs = v->v_fs;
	struct qvnode *up;
	int error = 0;

	while (v != fs->fs_root) {
		if (__atomic_load_n(&v->v_nlink, __ATOMIC_RELAXED) == 0)
			error = -Q_ESTALE;
		if (error == 0)
			error = way_add(w, v);
		if (error != 0)
			break;
		error = fs->fs_ops->fso_parent(v, &up);
		if (error != 0)
			return error;
		v = up;
	}
	qvnode_put(v);
	return error;
}

/* A name that is looked for by its inode. */
struct seeking {
	uint64_t sk_ino;
	struct qname sk_name;
	char sk_text[QNAME_MAX];
};

static int
is_it(void *arg, const char *name, size_t len, uint64_t ino, uint32_t type,
    uint64_t pos)
{
	struct seeking *sk = arg;

	(void)type, (void)pos;
	if (ino != sk->sk_ino || (len == 1 && name[0] == '.') ||
	    (len == 2 && name[0] == '.' && name[1] == '.'))
		return 0;
	memcpy(sk->sk_text, name, len);
	sk->sk_name = (struct qname){ sk->sk_text, (uint32_t)len,
		name_hash(name, len) };
	return 1;
}

/* The dentry of `v` in `dir`, whose reference is used up. */
static int
come_down(struct vfs *vf, struct qdentry *dir, struct qvnode *v,
    struct qdentry **dp)
{
	struct qvnode *dv = dentry_vnode(dir);
	struct seeking sk = { .sk_ino = v->v_ino };
	uint64_t pos = 0;
	int error;

	qrw_wrlock(&dv->v_lock);
	error = dv->v_ops->vo_readdir(dv, &pos, is_it, &sk);
	if (error == 0 && sk.sk_name.n_len == 0)
		error = -Q_ESTALE;
	if (error == 0)
		error = dentry_lookup(vf, dir, &sk.sk_name, dp);
	if (error == 0 && dentry_vnode(*dp) != v) {
		dentry_put(*dp);
		error = -Q_ESTALE;
	}
	qrw_wrunlock(&dv->v_lock);
	dentry_put(dir);
	return error;
}

/* The dentry of a directory, whose reference is used up, on that mount. */
static int
dentry_of_dir(struct vfs *vf, struct qmount *m, struct qvnode *v,
    struct qdentry **dp)
{
	struct qfs *fs = v->v_fs;
	struct way w = { .w_n = 0 };
	struct qdentry *d = m->m_root;
	int error;
	unsigned i;

	/* No directory moves to another one meanwhile. */
	qmutex_lock(&fs->fs_rename);
	error = climb(&w, v);
	if (error == 0) {
		while (d->d_parent != d)
			d = d->d_parent;
		dentry_get(d);
	}
	for (i = w.w_n; i > 0 && error == 0; i--)
		error = come_down(vf, d, w.w_dir[i - 1], &d);
	qmutex_unlock(&fs->fs_rename);
	way_free(&w);
	if (error == 0)
		*dp = d;
	return error;
}

/* ---- opening --------------------------------------------------------------- */

static int
handle_in(struct qsys *s, struct handle *h)
{
	struct q_file_handle fh;

	if (qcopyin(s->s_us, &fh, s->s_arg[1], HANDLE_HEAD) != 0)
		return -Q_EFAULT;
	if (fh.handle_bytes == 0 || fh.handle_bytes > Q_MAX_HANDLE_SZ)
		return -Q_EINVAL;
	if (qcopyin(s->s_us, &fh, s->s_arg[1], HANDLE_HEAD + fh.handle_bytes) !=
	    0)
		return -Q_EFAULT;
	if (fh.handle_type != HANDLE_TYPE || fh.handle_bytes != sizeof(*h))
		return -Q_ESTALE;
	memcpy(h, fh.f_handle, sizeof(*h));
	return 0;
}

/* The mount that `fd` is on, with a reference. */
static int
mount_of_fd(struct quern_proc *p, int fd, struct qmount **mp)
{
	const struct qpath *path;
	struct qpath at;
	struct qfile *f;
	int error;

	if (fd == Q_AT_FDCWD) {
		error = proc_cwd(p, &at);
		if (error != 0)
			return error;
		*mp = at.p_mnt;
		mount_get(*mp);
		qpath_put(&at);
		return 0;
	}
	f = qfd_get(p, fd);
	if (f == NULL)
		return -Q_EBADF;
	path = qfile_path(f);
	error = path == NULL ? -Q_ESTALE : 0;
	if (path != NULL) {
		*mp = path->p_mnt;
		mount_get(*mp);
	}
	qfile_put(f);
	return error;
}

/* What a handle is on a mount, with a reference. */
static int
dentry_of(struct vfs *vf, struct qmount *m, const struct handle *h,
    struct qdentry **dp)
{
	struct qfs *fs = m->m_fs;
	struct qvnode *v;
	int error;

	if (fs->fs_ops->fso_vget == NULL)
		return -Q_ESTALE;
	error = fs->fs_ops->fso_vget(fs, h->h_ino, h->h_gen, &v);
	if (error != 0)
		return error == -Q_ENOMEM ? error : -Q_ESTALE;
	if (qvnode_isdir(v))
		return dentry_of_dir(vf, m, v, dp);
	error = dentry_nameless(vf, m->m_root, v, dp);
	if (error != 0)
		qvnode_put(v);
	return error;
}

static int
open_handle(struct quern_proc *p, struct qmount *m, const struct handle *h,
    uint32_t flags, struct qfile **fp)
{
	struct qpath at = { .p_mnt = m };
	int error = dentry_of(vfs_of(p->p_k), m, h, &at.p_d);
	bool isdir;

	if (error != 0)
		return error;
	mount_get(m);
	isdir = qvnode_isdir(dentry_vnode(at.p_d));
	if ((flags & Q_O_DIRECTORY) != 0 && !isdir)
		error = -Q_ENOTDIR;
	else if ((flags & Q_O_CREAT) != 0 && (flags & Q_O_PATH) == 0)
		error = (flags & Q_O_EXCL) != 0 ? -Q_EEXIST :
		    isdir                       ? -Q_EISDIR :
						  0;
	if (error == 0)
		error = open_at(p, &at, flags, false, fp);
	if (error != 0)
		qpath_put(&at);
	return error;
}

QSYS(open_by_handle_at)
{
	uint32_t flags = qsys_uint(s, 2);
	struct quern_proc *p = s->s_proc;
	struct qmount *m;
	struct qfile *f;
	struct handle h;
	int error, fd;

	if (!qproc_capable(p, Q_CAP_DAC_READ_SEARCH))
		return -Q_EPERM;
	error = mount_of_fd(p, qsys_int(s, 0), &m);
	if (error != 0)
		return error;
	error = handle_in(s, &h);
	if (error == 0) {
		fd = qfd_reserve(p, 0, flags & Q_O_CLOEXEC);
		error = fd < 0 ? fd : 0;
	}
	if (error == 0) {
		error = open_handle(p, m, &h, flags, &f);
		if (error != 0)
			qfd_cancel(p, fd);
		else
			qfd_commit(p, fd, f);
	}
	mount_put(m);
	return error != 0 ? error : fd;
}
