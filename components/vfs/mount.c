/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mounts: which file system is seen where.
 *
 * A mount shows a file system, from m_root down, on dentry m_point of another
 * mount.  vf_mounts is held to change the tree; walking through it takes no lock
 * (mount_on), and a mount is freed after the epoch.
 *
 * References to a mount are counted by vCPU, so that opening files on several
 * does not fight for one counter: only the sum means something, and it is formed
 * by who unmounts, with m_gone set: mount_tryget counts first and then looks at
 * m_gone, unmounting sets it first and then sums up.
 *
 * What was taken and what was given back are counted apart, so that a reference
 * taken on one vCPU for another's that is given back meanwhile is not missed.
 * First all that was given back is summed up, then all that was taken: if the two
 * are equal, so were they at the moment in between, and from none to some there
 * is no way any more.
 */
#include <quern/abi/mount.h>
#include <quern/block.h>

#include "impl.h"

static const struct qtag tag_mount = { "mount" };

/* Flags of mount(2) that are a mount's own, or its file system's. */
static const struct {
	uint32_t ms, fs;
} flag_map[] = {
	{ Q_MS_RDONLY, QFS_RDONLY },
	{ Q_MS_NOSUID, QFS_NOSUID },
	{ Q_MS_NODEV, QFS_NODEV },
	{ Q_MS_NOEXEC, QFS_NOEXEC },
	{ Q_MS_SYNCHRONOUS, QFS_SYNC },
	{ Q_MS_DIRSYNC, QFS_DIRSYNC },
	{ Q_MS_NOATIME, QFS_NOATIME },
	{ Q_MS_NODIRATIME, QFS_NODIRATIME },
	{ Q_MS_RELATIME, QFS_RELATIME },
	{ Q_MS_LAZYTIME, QFS_LAZYTIME },
};

uint32_t
mount_flags(uint32_t ms)
{
	uint32_t fs = 0;
	unsigned i;

	for (i = 0; i < QARRAYLEN(flag_map); i++)
		if ((ms & flag_map[i].ms) != 0)
			fs |= flag_map[i].fs;
	/* As Linux: unless told otherwise. */
	if ((ms & (Q_MS_NOATIME | Q_MS_STRICTATIME)) == 0)
		fs |= QFS_RELATIME;
	return fs;
}

/* ---- references ------------------------------------------------------------- */

bool
mount_tryget(struct qmount *m)
{
	struct mount_count *mc = &m->m_count[qcpu_current()->v_id];

	(void)__atomic_fetch_add(&mc->mc_got, 1, __ATOMIC_SEQ_CST);
	if (qlikely(__atomic_load_n(&m->m_gone, __ATOMIC_SEQ_CST) == 0))
		return true;
	(void)__atomic_fetch_add(&mc->mc_put, 1, __ATOMIC_SEQ_CST);
	return false;
}

void
mount_get(struct qmount *m)
{
	(void)__atomic_fetch_add(&m->m_count[qcpu_current()->v_id].mc_got, 1,
	    __ATOMIC_RELAXED);
}

/* Not of m_fs, which may have gone to who ended the mount before us. */
static int64_t
mount_sum(struct qmount *m)
{
	unsigned i, n = qcpu_count(m->m_vf->vf_k);
	int64_t sum = 0;

	for (i = 0; i < n; i++)
		sum -= __atomic_load_n(&m->m_count[i].mc_put, __ATOMIC_SEQ_CST);
	qchoice(qcpu_current(), QUERN_YIELD_ATOMIC);
	for (i = 0; i < n; i++)
		sum += __atomic_load_n(&m->m_count[i].mc_got, __ATOMIC_SEQ_CST);
	return sum;
}

static void
free_late(struct qepoch_entry *e)
{
	struct qmount *m = QCONTAINER(e, struct qmount, m_epoch);

	qfree(m->m_source);
	qfree(m->m_count);
	qfree(m);
}

bool
fs_tryget(struct qfs *fs)
{
	uint32_t n = __atomic_load_n(&fs->fs_refs, __ATOMIC_RELAXED);

	do {
		if (n == 0)
			return false;
	} while (!__atomic_compare_exchange_n(&fs->fs_refs, &n, n + 1, true,
	    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	return true;
}

void
fs_put(struct vfs *vf, struct qfs *fs)
{
	if (__atomic_sub_fetch(&fs->fs_refs, 1, __ATOMIC_ACQ_REL) == 0)
		fs_destroy(vf, fs);
}

/* It is off the tree and nobody has it: its file system perhaps goes too. */
static void
mount_end(struct vfs *vf, struct qmount *m)
{
	struct qfs *fs = m->m_fs;

	dentry_put(m->m_root);
	fs_put(vf, fs);
	qepoch_defer(&m->m_epoch, free_late);
}

void
mount_put(struct qmount *m)
{
	uint32_t lazy = MOUNT_LAZY;

	(void)__atomic_fetch_add(&m->m_count[qcpu_current()->v_id].mc_put, 1,
	    __ATOMIC_SEQ_CST);
	if (qlikely(
		__atomic_load_n(&m->m_gone, __ATOMIC_SEQ_CST) != MOUNT_LAZY))
		return;
	/* Unmounted while in use: the last user ends it. */
	if (mount_sum(m) != 0 ||
	    !__atomic_compare_exchange_n(&m->m_gone, &lazy, MOUNT_ENDED, false,
		__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		return;
	mount_end(m->m_vf, m);
}

void
mount_settle(struct vfs *vf)
{
	qmutex_lock(&vf->vf_mounts);
	qmutex_unlock(&vf->vf_mounts);
}

void
qpath_get(const struct qpath *p)
{
	mount_get(p->p_mnt);
	dentry_get(p->p_d);
}

void
qpath_put(const struct qpath *p)
{
	dentry_put(p->p_d);
	mount_put(p->p_mnt);
}

/* ---- the tree ----------------------------------------------------------------- */

/* A mount of `fs`, whose reference it takes over when this succeeds. */
static int
mount_make(struct vfs *vf, struct qfs *fs, struct qdentry *root,
    const char *source, uint32_t flags, struct qmount **mp)
{
	unsigned n = qcpu_count(vf->vf_k);
	struct qmount *m = qzalloc(&tag_mount, sizeof(*m));
	size_t len = qstrlen(source) + 1;

	if (m == NULL)
		return -Q_ENOMEM;
	m->m_count = qzalloc(&tag_mount, n * sizeof(m->m_count[0]));
	m->m_source = qalloc(&tag_mount, len);
	if (m->m_count == NULL || m->m_source == NULL) {
		qfree(m->m_count);
		qfree(m->m_source);
		qfree(m);
		return -Q_ENOMEM;
	}
	memcpy(m->m_source, source, len);
	m->m_vf = vf;
	m->m_fs = fs;
	m->m_root = root;
	dentry_get(root);
	m->m_flags = flags;
	qlist_init(&m->m_all);
	*mp = m;
	return 0;
}

/* Is it part of the tree?  [m] */
static bool
is_attached(const struct vfs *vf, const struct qmount *m)
{
	return m->m_gone == 0 && (m->m_parent != NULL || m == vf->vf_root);
}

/*
 * Make sure of a place to mount on: who removes or moves a name looks at
 * QD_MOUNTED with v_lock held, and until the name has gone.  [m]
 */
static int
claim(struct vfs *vf, const struct qpath *at)
{
	struct qvnode *v = dentry_vnode(at->p_d);
	int error = 0;

	if (!is_attached(vf, at->p_mnt))
		return -Q_EINVAL;
	qrw_wrlock(&v->v_lock);
	if ((dentry_flags(at->p_d) & (QD_HASHED | QD_ROOT)) == 0)
		error = -Q_ENOENT;
	else
		__atomic_fetch_or(&at->p_d->d_flags, QD_MOUNTED,
		    __ATOMIC_RELEASE);
	qrw_wrunlock(&v->v_lock);
	return error;
}

/* Put it where everybody sees it, a claimed place or the root.  [m] */
static void
attach(struct vfs *vf, struct qmount *m, const struct qpath *at)
{
	qlist_append(&vf->vf_mountlist, &m->m_all);
	if (at == NULL) {
		__atomic_store_n(&vf->vf_root, m, __ATOMIC_RELEASE);
		return;
	}
	qpath_get(at);
	__atomic_store_n(&m->m_point, at->p_d, __ATOMIC_RELEASE);
	__atomic_store_n(&m->m_parent, at->p_mnt, __ATOMIC_RELEASE);
	__atomic_store_n(&m->m_next, at->p_d->d_mounts, __ATOMIC_RELAXED);
	__atomic_store_n(&at->p_d->d_mounts, m, __ATOMIC_RELEASE);
}

/* Likewise, one that nobody has seen yet.  [m] */
static int
attach_new(struct vfs *vf, struct qmount *m, const struct qpath *at)
{
	int error = 0;

	if (at != NULL)
		error = claim(vf, at);
	else if (vf->vf_root != NULL)
		error = -Q_EBUSY;
	if (error == 0) {
		m->m_id = ++vf->vf_nextmount;
		attach(vf, m, at);
	}
	return error;
}

/*
 * Take it away again; the path it was on, with references.  `keep` has been
 * claimed for what comes next, or is NULL.  [m]
 */
static void
detach(struct vfs *vf, struct qmount *m, const struct qdentry *keep,
    struct qpath *was)
{
	struct qmount **at;

	qlist_del(&m->m_all);
	was->p_mnt = m->m_parent;
	was->p_d = m->m_point;
	if (vf->vf_root == m)
		__atomic_store_n(&vf->vf_root, NULL, __ATOMIC_RELEASE);
	if (was->p_mnt == NULL)
		return;
	for (at = &was->p_d->d_mounts; *at != m; at = &(*at)->m_next)
		continue;
	__atomic_store_n(at, m->m_next, __ATOMIC_RELEASE);
	if (was->p_d->d_mounts == NULL && was->p_d != keep)
		__atomic_fetch_and(&was->p_d->d_flags, ~QD_MOUNTED,
		    __ATOMIC_RELEASE);
	__atomic_store_n(&m->m_parent, NULL, __ATOMIC_RELEASE);
	__atomic_store_n(&m->m_point, NULL, __ATOMIC_RELEASE);
}

/* Something that is mounted on it, anywhere below, or NULL.  [m] */
static struct qmount *
child_of(struct vfs *vf, struct qmount *m)
{
	struct qmount *c;
	struct qlist *l;

	QLIST_FOREACH(l, &vf->vf_mountlist) {
		c = QLIST_ELEM(l, struct qmount, m_all);
		if (c->m_parent == m)
			return c;
	}
	return NULL;
}

/* ---- mounting -------------------------------------------------------------------- */

/* Try one kind on it.  *fsp with one reference. */
static int
try_kind(struct vfs *vf, const struct qfs_type *ft, const char *source,
    struct qdisk *disk, uint32_t flags, const char *options, bool probe,
    struct qfs **fsp)
{
	struct qfs *fs;
	int error = fs_create(vf, ft, &fs);

	if (error != 0)
		return error;
	fs->fs_flags = flags;
	if (disk != NULL) {
		qdisk_get(disk);
		fs->fs_disk = disk;
		if ((disk->qd_flags & QDISK_RDONLY) != 0)
			fs->fs_flags |= QFS_RDONLY;
	}
	qsnprintf(fs->fs_name, sizeof(fs->fs_name), "%s %s", ft->ft_name,
	    source);
	error = ft->ft_mount(fs, options, probe);
	if (error == 0) {
		__atomic_store_n(&fs->fs_refs, 1, __ATOMIC_RELEASE);
		*fsp = fs;
		return 0;
	}
	fs->fs_ops = NULL;
	fs_destroy(vf, fs);
	return error;
}

/* Each kind that is made of disks, until one knows it. */
static int
probe_kinds(struct vfs *vf, const char *source, struct qdisk *disk,
    uint32_t flags, const char *options, struct qfs **fsp)
{
	const struct qfs_type *kinds[32];
	unsigned i, n = 0;
	struct qlist *l;
	int error = -Q_EINVAL;

	qmutex_lock(&vf->vf_fslock);
	QLIST_FOREACH(l, &vf->vf_kinds) {
		const struct qfs_type *ft =
		    QLIST_ELEM(l, struct fs_kind, fk_link)->fk_type;

		if ((ft->ft_flags & QFT_DISK) != 0 && n < QARRAYLEN(kinds))
			kinds[n++] = ft;
	}
	qmutex_unlock(&vf->vf_fslock);
	for (i = 0; i < n && error == -Q_EINVAL; i++)
		error = try_kind(vf, kinds[i], source, disk, flags, options,
		    true, fsp);
	if (error == -Q_EINVAL)
		qlog(vf->vf_k, QUERN_LOG_ERR,
		    "mount: %s: no file system that is known here", source);
	return error;
}

/* The file system that the disk is mounted as already, or NULL.  [f] */
static struct qfs *
fs_of_disk(struct vfs *vf, struct qdisk *disk)
{
	struct qfs *fs;
	struct qlist *l;

	QLIST_FOREACH(l, &vf->vf_fs) {
		fs = QLIST_ELEM(l, struct qfs, fs_link);
		if (fs->fs_disk == disk)
			return fs;
	}
	return NULL;
}

/*
 * Mounted once more, a disk is the same file system, if it is to be the same
 * kind and no more or less writable: *fsp and *rootp with references.  1: it is
 * not mounted.  -EBUSY.
 */
static int
share_fs(struct vfs *vf, struct qdisk *disk, const struct qfs_type *ft,
    uint32_t flags, struct qfs **fsp, struct qdentry **rootp)
{
	struct qmount *m;
	struct qdentry *d;
	struct qfs *fs;
	struct qlist *l;
	int error;

	qmutex_lock(&vf->vf_mounts);
	qmutex_lock(&vf->vf_fslock);
	fs = fs_of_disk(vf, disk);
	qmutex_unlock(&vf->vf_fslock);
	error = fs == NULL ? 1 : -Q_EBUSY;
	QLIST_FOREACH(l, &vf->vf_mountlist) {
		m = QLIST_ELEM(l, struct qmount, m_all);
		if (fs == NULL || m->m_fs != fs ||
		    (ft != NULL && ft != fs->fs_type) ||
		    ((fs->fs_flags ^ flags) & QFS_RDONLY) != 0)
			continue;
		__atomic_fetch_add(&fs->fs_refs, 1, __ATOMIC_RELAXED);
		for (d = m->m_root; (dentry_flags(d) & QD_ROOT) == 0;)
			d = __atomic_load_n(&d->d_parent, __ATOMIC_ACQUIRE);
		dentry_get(d);
		*fsp = fs;
		*rootp = d;
		error = 0;
		break;
	}
	qmutex_unlock(&vf->vf_mounts);
	return error;
}

/* A file system's first dentry. */
static int
make_root(struct vfs *vf, struct qfs *fs, struct qdentry **rootp)
{
	int error;

	qvnode_ref(fs->fs_root);
	error = dentry_root(vf, fs->fs_root, rootp);
	if (error != 0)
		qvnode_put(fs->fs_root);
	return error;
}

/*
 * The disk of that name, opened if the kernel does not have it yet; but what the
 * host has is no business of a guest's.
 */
static int
find_disk(struct vfs *vf, const char *source, uint32_t flags, struct qdisk **dp)
{
	unsigned how = (flags & QFS_RDONLY) != 0 ? QUERN_BLK_RDONLY : 0;
	const struct quern_proc *p = qproc_current();
	const char *s = source;
	int error;

	if (s[0] == '/' && s[1] == 'd' && s[2] == 'e' && s[3] == 'v' &&
	    s[4] == '/')
		s += 5;
	*dp = qdisk_find(vf->vf_k, s);
	if (*dp != NULL)
		return 0;
	if (p != NULL && (p->p_flags & QPROC_GUEST) != 0)
		return -Q_ENOENT;
	error = qdisk_open(vf->vf_k, source, how, dp);
	/* Neither a disk of the kernel's nor a name as the host's have. */
	return error == -Q_EPROTONOSUPPORT ? -Q_ENOENT : error;
}

/* What is to be mounted: *fsp and its root, with references. */
static int
make_fs(struct vfs *vf, const char *source, const char *type, uint32_t flags,
    const char *options, struct qfs **fsp, struct qdentry **rootp)
{
	const struct qfs_type *ft = NULL;
	struct qdisk *disk = NULL;
	int error = 1;

	if (type[0] != '\0') {
		qmutex_lock(&vf->vf_fslock);
		ft = fs_kind(vf, type);
		qmutex_unlock(&vf->vf_fslock);
		if (ft == NULL)
			return -Q_ENODEV;
	}
	if (ft == NULL || (ft->ft_flags & QFT_DISK) != 0) {
		error = find_disk(vf, source, flags, &disk);
		if (error != 0)
			return error;
		error = share_fs(vf, disk, ft, flags, fsp, rootp);
	}
	if (error == 1) {
		if (ft != NULL)
			error = try_kind(vf, ft, source, disk, flags, options,
			    false, fsp);
		else
			error = probe_kinds(vf, source, disk, flags, options,
			    fsp);
		if (error == 0) {
			error = make_root(vf, *fsp, rootp);
			if (error != 0)
				fs_put(vf, *fsp);
		}
	}
	if (disk != NULL)
		qdisk_put(disk);
	return error;
}

/* [vf_mounting], so that a disk does not become two file systems at once */
static int
mount_new(struct vfs *vf, const char *source, const struct qpath *at,
    const char *type, uint32_t flags, const char *options)
{
	struct qdentry *root;
	struct qmount *m;
	struct qfs *fs;
	int error;

	error = make_fs(vf, source, type, flags, options, &fs, &root);
	if (error != 0)
		return error;
	error = mount_make(vf, fs, root, source, flags, &m);
	dentry_put(root); /* the mount has its own */
	if (error != 0) {
		fs_put(vf, fs);
		return error;
	}
	qmutex_lock(&vf->vf_mounts);
	error = attach_new(vf, m, at);
	qmutex_unlock(&vf->vf_mounts);
	if (error != 0)
		mount_end(vf, m);
	return error;
}

int
mount_floating(struct vfs *vf, const char *source, const char *type,
    struct qmount **mp)
{
	struct qdentry *root;
	struct qfs *fs;
	int error;

	qmutex_lock(&vf->vf_mounting);
	error = make_fs(vf, source, type, 0, "", &fs, &root);
	qmutex_unlock(&vf->vf_mounting);
	if (error != 0)
		return error;
	error = mount_make(vf, fs, root, source, 0, mp);
	dentry_put(root); /* the mount has its own */
	if (error != 0) {
		fs_put(vf, fs);
		return error;
	}
	mount_get(*mp);
	__atomic_store_n(&(*mp)->m_gone, MOUNT_LAZY, __ATOMIC_SEQ_CST);
	return 0;
}

int
qvfs_mount(struct quern *k, const char *source, const struct qpath *at,
    const char *type, uint32_t ms, const char *options)
{
	struct vfs *vf = vfs_of(k);
	int error;

	if (at != NULL && !qvnode_isdir(dentry_vnode(at->p_d)))
		return -Q_ENOTDIR;
	qmutex_lock(&vf->vf_mounting);
	error = mount_new(vf, source, at, type, mount_flags(ms), options);
	qmutex_unlock(&vf->vf_mounting);
	return error;
}

/* ---- showing what is mounted elsewhere ---------------------------------------- */

/* A mount, and one like it. */
struct twin {
	struct qmount *tw_of, *tw_m;
};

static struct qmount *
twin_of(const struct twin *tw, unsigned n, const struct qmount *m)
{
	while (n-- > 0)
		if (tw[n].tw_of == m)
			return tw[n].tw_m;
	return NULL;
}

/* Add a twin of `m` that shows `root`.  [m] */
static int
twin_add(struct vfs *vf, struct twin *tw, unsigned *n, struct qmount *m,
    struct qdentry *root)
{
	struct qmount *copy;
	int error;

	error = mount_make(vf, m->m_fs, root, m->m_source, m->m_flags, &copy);
	if (error != 0)
		return error;
	__atomic_fetch_add(&m->m_fs->fs_refs, 1, __ATOMIC_RELAXED);
	tw[(*n)++] = (struct twin){ m, copy };
	return 0;
}

/* Twins of all that is mounted below `from`, parents first.  [m] */
static int
twin_tree(struct vfs *vf, struct twin *tw, unsigned *n,
    const struct qpath *from)
{
	struct qmount *c;
	struct qlist *l;
	unsigned before;
	int error = 0;

	do {
		before = *n;
		QLIST_FOREACH(l, &vf->vf_mountlist) {
			c = QLIST_ELEM(l, struct qmount, m_all);
			if (error != 0 || c->m_parent == NULL ||
			    twin_of(tw, *n, c) != NULL ||
			    twin_of(tw, *n, c->m_parent) == NULL)
				continue;
			if (c->m_parent != from->p_mnt ||
			    dentry_below(c->m_point, from->p_d))
				error = twin_add(vf, tw, n, c, c->m_root);
		}
	} while (error == 0 && *n != before);
	return error;
}

/* [m] */
static int
bind_tree(struct vfs *vf, struct twin *tw, unsigned *n,
    const struct qpath *from, const struct qpath *at, bool recursive)
{
	struct qpath on;
	unsigned i;
	int error;

	if (!is_attached(vf, from->p_mnt))
		return -Q_EINVAL;
	error = twin_add(vf, tw, n, from->p_mnt, from->p_d);
	if (error == 0 && recursive)
		error = twin_tree(vf, tw, n, from);
	if (error == 0)
		error = attach_new(vf, tw[0].tw_m, at);
	for (i = 1; error == 0 && i < *n; i++) {
		on.p_mnt = twin_of(tw, i, tw[i].tw_of->m_parent);
		on.p_d = tw[i].tw_of->m_point;
		error = attach_new(vf, tw[i].tw_m, &on);
		qassert(error == 0);
	}
	return error;
}

int
mount_bind(struct vfs *vf, const struct qpath *from, const struct qpath *at,
    bool recursive)
{
	size_t most = 1;
	struct twin *tw;
	struct qlist *l;
	unsigned n = 0;
	int error;

	if (qvnode_isdir(dentry_vnode(from->p_d)) !=
	    qvnode_isdir(dentry_vnode(at->p_d)))
		return -Q_ENOTDIR;
	qmutex_lock(&vf->vf_mounts);
	QLIST_FOREACH(l, &vf->vf_mountlist)
		most++;
	tw = qalloc(&tag_mount, most * sizeof(*tw));
	error = tw == NULL ? -Q_ENOMEM : 0;
	if (error == 0)
		error = bind_tree(vf, tw, &n, from, at, recursive);
	qmutex_unlock(&vf->vf_mounts);
	while (error != 0 && n > 0)
		mount_end(vf, tw[--n].tw_m);
	qfree(tw);
	return error;
}

/* mount(2) with MS_MOVE: `from` is the root of a mount. */
int
mount_move(struct vfs *vf, const struct qpath *from, const struct qpath *at)
{
	struct qmount *m = from->p_mnt, *up;
	struct qpath was = { NULL, NULL };
	int error = 0;

	if (qvnode_isdir(dentry_vnode(from->p_d)) !=
	    qvnode_isdir(dentry_vnode(at->p_d)))
		return -Q_EINVAL;
	qmutex_lock(&vf->vf_mounts);
	if (from->p_d != m->m_root || m->m_parent == NULL || m->m_gone != 0)
		error = -Q_EINVAL;
	for (up = at->p_mnt; error == 0 && up != NULL; up = up->m_parent)
		if (up == m)
			error = -Q_ELOOP;
	if (error == 0)
		error = claim(vf, at);
	if (error == 0) {
		detach(vf, m, at->p_d, &was);
		attach(vf, m, at);
	}
	qmutex_unlock(&vf->vf_mounts);
	if (was.p_mnt != NULL)
		qpath_put(&was);
	return error;
}

/* ---- changing and ending ------------------------------------------------------- */

/* mount(2) with MS_REMOUNT: `at` is the root of a mount. */
int
mount_again(struct vfs *vf, const struct qpath *at, uint32_t ms,
    const char *options)
{
	struct qmount *m = at->p_mnt;
	uint32_t flags = mount_flags(ms), rdonly = flags & QFS_RDONLY;
	struct qfs *fs = m->m_fs;
	int error = 0;

	if (at->p_d != m->m_root)
		return -Q_EINVAL;
	qmutex_lock(&vf->vf_mounts);
	if ((ms & Q_MS_BIND) == 0) {
		if (rdonly == 0 && (fs->fs_flags & QFS_ERROR) != 0)
			error = -Q_EROFS;
		if (rdonly == 0 && fs->fs_disk != NULL &&
		    (fs->fs_disk->qd_flags & QDISK_RDONLY) != 0)
			error = -Q_EACCES;
		if (error == 0 && rdonly != 0 &&
		    (fs->fs_flags & QFS_RDONLY) == 0) {
			if (fs_is_written(fs))
				error = -Q_EBUSY;
			else
				error = fs_sync(fs, true);
		}
		if (error == 0 && fs->fs_ops->fso_remount != NULL)
			error = fs->fs_ops->fso_remount(fs, flags, options);
		if (error == 0)
			__atomic_store_n(&fs->fs_flags,
			    (fs->fs_flags & QFS_ERROR) | flags,
			    __ATOMIC_RELAXED);
	}
	if (error == 0)
		__atomic_store_n(&m->m_flags, flags, __ATOMIC_RELAXED);
	qmutex_unlock(&vf->vf_mounts);
	return error;
}

/* What is mounted on `m` goes out of sight, to `gone`, with a reference. */
static void
part(struct vfs *vf, struct qmount *m, struct qlist *gone)
{
	struct qmount *c, *next;
	struct qpath was;

	for (;;) {
		qmutex_lock(&vf->vf_mounts);
		for (c = m; (next = child_of(vf, c)) != NULL; c = next)
			continue;
		if (c == m)
			break;
		mount_get(c);
		__atomic_store_n(&c->m_gone, MOUNT_LAZY, __ATOMIC_SEQ_CST);
		detach(vf, c, NULL, &was);
		qmutex_unlock(&vf->vf_mounts);
		qlist_append(gone, &c->m_all);
		qpath_put(&was);
	}
	qmutex_unlock(&vf->vf_mounts);
}

/*
 * They go out of use when nobody uses them.  Who has found one and is about to
 * see that it goes (mount_tryget) is counted as a user, but will not be the one
 * that ends it: not before that is over, others may.
 */
static void
let_go(struct vfs *vf, struct qlist *gone)
{
	struct qmount *m;

	if (qlist_empty(gone))
		return;
	qepoch_pass(vf->vf_k);
	while (!qlist_empty(gone)) {
		m = QLIST_ELEM(gone->l_next, struct qmount, m_all);
		qlist_del(&m->m_all);
		mount_put(m);
	}
}

/*
 * Unmount what `at` is the root of, with the caller's reference, which is used
 * up in any case.  `lazy`: from sight at once, in fact when nobody uses it.
 */
int
mount_away(struct vfs *vf, struct qpath *at, bool lazy)
{
	struct qmount *m = at->p_mnt;
	struct qpath was = { NULL, NULL };
	struct qlist gone;
	int error = 0;

	qlist_init(&gone);
	if (at->p_d != m->m_root)
		error = -Q_EINVAL;
	dentry_put(at->p_d);
	if (error == 0 &&
	    __atomic_load_n(&m->m_parent, __ATOMIC_ACQUIRE) == NULL)
		error = -Q_EINVAL;
	if (error == 0 && lazy)
		part(vf, m, &gone);
	else if (error == 0)
		dentry_prune(vf, m->m_fs);
	qmutex_lock(&vf->vf_mounts);
	if (error == 0 && (m->m_parent == NULL || m->m_gone != 0))
		error = -Q_EINVAL;
	if (error == 0 && child_of(vf, m) != NULL)
		error = -Q_EBUSY;
	if (error == 0) {
		__atomic_store_n(&m->m_gone, lazy ? MOUNT_LAZY : MOUNT_ENDED,
		    __ATOMIC_SEQ_CST);
		/* Ours is one. */
		if (!lazy && mount_sum(m) != 1) {
			__atomic_store_n(&m->m_gone, 0, __ATOMIC_SEQ_CST);
			error = -Q_EBUSY;
		}
	}
	if (error == 0)
		detach(vf, m, NULL, &was);
	qmutex_unlock(&vf->vf_mounts);
	if (error == 0 && lazy)
		qlist_append(&gone, &m->m_all);
	else if (error == 0)
		mount_end(vf, m);
	else
		mount_put(m);
	let_go(vf, &gone);
	if (was.p_mnt != NULL)
		qpath_put(&was);
	return error;
}

bool
qvfs_has_root(struct quern *k)
{
	return __atomic_load_n(&vfs_of(k)->vf_root, __ATOMIC_ACQUIRE) != NULL;
}

/* ---- life ------------------------------------------------------------------------- */

/* [vf_mounts] */
static void
fill_info(struct qmount_info *mi, const struct qmount *m)
{
	mi->mi_id = m->m_id;
	mi->mi_parent = m->m_parent != NULL ? m->m_parent->m_id : m->m_id;
	mi->mi_dev = m->m_fs->fs_dev;
	mi->mi_flags = m->m_flags;
	mi->mi_fsflags = m->m_fs->fs_flags;
	mi->mi_disk = m->m_fs->fs_disk != NULL;
	mi->mi_source = m->m_source;
	mi->mi_type = m->m_fs->fs_type->ft_name;
}

int
qvfs_each_mount(const struct qpath *root,
    int (*fn)(void *arg, const struct qmount_info *mi), void *arg)
{
	struct vfs *vf = vfs_of(root->p_d->d_fs->fs_k);
	struct qpath top = *root, at;
	struct qmount_info mi;
	struct qlist *l;
	size_t from;
	char *buf;
	int ret;

	ret = path_buf(&buf);
	if (ret != 0)
		return ret;
	qpath_get(&top);
	ret = walk_mounts(&top, 0);
	if (ret != 0) {
		qpath_put(&top);
		path_free(buf);
		return ret;
	}
	qmutex_lock(&vf->vf_mounts);
	QLIST_FOREACH(l, &vf->vf_mountlist) {
		at.p_mnt = QLIST_ELEM(l, struct qmount, m_all);
		at.p_d = at.p_mnt->m_root;
		ret = path_string(&top, &at, buf, QPATH_MAX, &from);
		if (ret == 0) {
			fill_info(&mi, at.p_mnt);
			mi.mi_path = buf + from;
			ret = fn(arg, &mi);
			if (ret != 0)
				break;
		}
		ret = 0;
	}
	qmutex_unlock(&vf->vf_mounts);
	qpath_put(&top);
	path_free(buf);
	return ret;
}

int
qvfs_each_kind(struct quern *k,
    int (*fn)(void *arg, const char *name, bool disk), void *arg)
{
	struct vfs *vf = vfs_of(k);
	const struct qfs_type *ft;
	struct qlist *l;
	int ret = 0;

	qmutex_lock(&vf->vf_fslock);
	QLIST_FOREACH(l, &vf->vf_kinds) {
		ft = QLIST_ELEM(l, struct fs_kind, fk_link)->fk_type;
		ret = fn(arg, ft->ft_name, (ft->ft_flags & QFT_DISK) != 0);
		if (ret != 0)
			break;
	}
	qmutex_unlock(&vf->vf_fslock);
	return ret;
}

int
mount_init(struct vfs *vf)
{
	qmutex_init(&vf->vf_mounting, "mounting");
	qmutex_init(&vf->vf_mounts, "mounts");
	qlist_init(&vf->vf_mountlist);
	return 0;
}

/* The end of the kernel: no process is left. */
void
mount_fini(struct vfs *vf)
{
	struct qmount *m;
	struct qpath was;
	struct qlist *l;
	bool leaf;

	while (!qlist_empty(&vf->vf_mountlist)) {
		leaf = false;
		QLIST_FOREACH(l, &vf->vf_mountlist) {
			m = QLIST_ELEM(l, struct qmount, m_all);
			if (child_of(vf, m) == NULL) {
				leaf = true;
				break;
			}
		}
		qassert(leaf);
		detach(vf, m, NULL, &was);
		mount_end(vf, m);
		if (was.p_mnt != NULL)
			qpath_put(&was);
	}
}
