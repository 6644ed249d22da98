/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file system in memory.
 *
 * An inode is its vnode: it lives as long as somebody has a reference, and each
 * directory entry is one.  Data are in the page cache and nowhere else, so pages
 * are neither written back nor reclaimed.
 *
 * M1  ts_pages is the sum of n_pages, which of each file is at least as many
 *     pages as it has: room is taken before a page is made and given back when
 *     pages have gone.
 * M2  Entries of a directory have ascending cookies in the order of the list;
 *     readdir goes by these, so it does not mind what else is removed.
 */
#include <quern/abi/fs.h>
#include <quern/abi/xattr.h>
#include <quern/page.h>
#include <quern/slab.h>
#include <quern/vfs.h>

#include "tmpfs.h"

#define TMPFS_MAGIC 0x01021994

static const struct qtag tag_fs = { "tmpfs" };
static const struct qtag tag_entry = { "tmpfs entry" };
static const struct qtag tag_xattr = { "tmpfs xattr" };

/* A directory begins with so many chains. */
#define CHAINS_MIN 8u

/* The least number of inodes that one has room for, if nothing else is said. */
#define INODES_MIN UINT64_C(8192)

struct entry {
	struct qlist e_order;   /* in n_order */
	struct entry *e_next;   /* in its chain */
	struct qvnode *e_vnode; /* with a reference */
	uint64_t e_cookie;
	uint32_t e_hash;
	uint32_t e_len;
	char e_name[];
};

struct xattr {
	struct xattr *x_next;
	void *x_value;
	size_t x_len;
	char x_name[];
};

/* An inode.  All is under v_lock. */
struct node {
	struct qvnode n_vnode;
	struct xattr *n_xattr;
	char *n_target;   /* symlinks */
	uint64_t n_pages; /* accounted for */

	/* directories */
	struct entry **n_chain;
	uint32_t n_mask;
	uint32_t n_count;
	uint64_t n_cookie; /* of the last entry made */
	struct qlist n_order;
	struct qvnode *n_parent; /* "..": no reference, it has us */
	struct qlist *n_hint;    /* [ts_lock] where a reader stopped */
	uint64_t n_hintpos;      /* [ts_lock] */
};

struct super {
	struct qspin ts_lock;
	uint64_t ts_pages, ts_maxpages;   /* [ts_lock] */
	uint64_t ts_inodes, ts_maxinodes; /* [ts_lock] */
	uint64_t ts_nextino;              /* [ts_lock] */
	bool ts_draining;
	struct qlist ts_doomed; /* entries of directories that go */
};

static const struct qvnode_ops node_ops;

static struct node *
node_of(struct qvnode *v)
{
	return QCONTAINER(v, struct node, n_vnode);
}

static struct super *
super_of(struct qfs *fs)
{
	return fs->fs_priv;
}

/* ---- room ---------------------------------------------------------------------- */

static bool
take_inode(struct super *ts, uint64_t *inop)
{
	bool ok;

	qspin_lock(&ts->ts_lock);
	ok = ts->ts_inodes < ts->ts_maxinodes;
	if (ok) {
		ts->ts_inodes++;
		*inop = ts->ts_nextino++;
	}
	qspin_unlock(&ts->ts_lock);
	return ok;
}

/* What the cache holds of it now is what it is charged for. */
static void
settle(struct node *n)
{
	struct super *ts = super_of(n->n_vnode.v_fs);
	uint64_t now = __atomic_load_n(&n->n_vnode.v_pages.pc_npages,
	    __ATOMIC_RELAXED);

	qspin_lock(&ts->ts_lock);
	if (now < n->n_pages) {
		ts->ts_pages -= n->n_pages - now;
		n->n_pages = now;
	}
	qspin_unlock(&ts->ts_lock);
	qvattr_begin(&n->n_vnode);
	__atomic_store_n(&n->n_vnode.v_blocks,
	    n->n_pages * (QUERN_PAGE_SIZE / 512), __ATOMIC_RELEASE);
	qvattr_end(&n->n_vnode);
}

static int
tmpfs_reserve(struct qvnode *v, uint64_t off, uint64_t len)
{
	struct node *n = node_of(v);
	struct super *ts = super_of(v->v_fs);
	uint64_t i, end = (off + len + QUERN_PAGE_SIZE - 1) / QUERN_PAGE_SIZE;
	uint64_t new = 0;
	struct qpage *pg;
	bool ok;

	for (i = off / QUERN_PAGE_SIZE; i < end; i++) {
		pg = qpcache_find(v, i);
		if (pg == NULL)
			new ++;
		else
			qpage_put(v->v_fs->fs_k, pg);
	}
	if (new == 0)
		return 0;
	qspin_lock(&ts->ts_lock);
	ok = new <= ts->ts_maxpages - ts->ts_pages;
	if (ok) {
		ts->ts_pages += new;
		n->n_pages += new;
	}
	qspin_unlock(&ts->ts_lock);
	if (!ok)
		return -Q_ENOSPC;
	qvattr_begin(v);
	__atomic_store_n(&v->v_blocks, n->n_pages * (QUERN_PAGE_SIZE / 512),
	    __ATOMIC_RELEASE);
	qvattr_end(v);
	return 0;
}

static void
tmpfs_unreserve(struct qvnode *v, uint64_t off, uint64_t len)
{
	(void)off, (void)len;
	settle(node_of(v));
}

/* ---- directories ------------------------------------------------------------------ */

static struct entry *
find_entry(struct node *dir, const struct qname *name)
{
	struct entry *e;

	if (dir->n_chain == NULL)
		return NULL;
	for (e = dir->n_chain[name->n_hash & dir->n_mask]; e != NULL;
	     e = e->e_next)
		if (e->e_hash == name->n_hash && e->e_len == name->n_len &&
		    memcmp(e->e_name, name->n_name, name->n_len) == 0)
			return e;
	return NULL;
}

/* Room for one more entry in the table. */
static int
grow(struct node *dir)
{
	uint32_t n = dir->n_chain == NULL ? CHAINS_MIN : (dir->n_mask + 1) * 4;
	struct entry **chain, *e;
	struct qlist *l;

	if (dir->n_chain != NULL && dir->n_count <= 2 * dir->n_mask)
		return 0;
	chain = qzalloc(&tag_entry, n * sizeof(*chain));
	if (chain == NULL)
		return dir->n_chain != NULL ? 0 : -Q_ENOMEM;
	qfree(dir->n_chain);
	dir->n_chain = chain;
	dir->n_mask = n - 1;
	QLIST_FOREACH(l, &dir->n_order) {
		e = QLIST_ELEM(l, struct entry, e_order);
		e->e_next = chain[e->e_hash & dir->n_mask];
		chain[e->e_hash & dir->n_mask] = e;
	}
	return 0;
}

static int
make_entry(struct node *dir, const struct qname *name, struct entry **ep)
{
	struct entry *e = qalloc(&tag_entry, sizeof(*e) + name->n_len + 1);
	int error;

	if (e == NULL)
		return -Q_ENOMEM;
	error = grow(dir);
	if (error != 0) {
		qfree(e);
		return error;
	}
	e->e_hash = name->n_hash;
	e->e_len = name->n_len;
	memcpy(e->e_name, name->n_name, name->n_len);
	e->e_name[name->n_len] = '\0';
	*ep = e;
	return 0;
}

/* Enter it; takes over a reference to `v`. */
static void
add_entry(struct node *dir, struct entry *e, struct qvnode *v)
{
	struct entry **head = &dir->n_chain[e->e_hash & dir->n_mask];

	e->e_vnode = v;
	e->e_cookie = ++dir->n_cookie;
	e->e_next = *head;
	*head = e;
	qlist_append(&dir->n_order, &e->e_order);
	dir->n_count++;
	__atomic_store_n(&dir->n_vnode.v_size, dir->n_vnode.v_size + 32,
	    __ATOMIC_RELAXED);
}

static void
del_entry(struct node *dir, struct entry *e)
{
	struct entry **at = &dir->n_chain[e->e_hash & dir->n_mask];
	struct super *ts = super_of(dir->n_vnode.v_fs);

	while (*at != e)
		at = &(*at)->e_next;
	*at = e->e_next;
	qspin_lock(&ts->ts_lock);
	if (dir->n_hint == &e->e_order)
		dir->n_hint = NULL;
	qspin_unlock(&ts->ts_lock);
	qlist_del(&e->e_order);
	dir->n_count--;
	__atomic_store_n(&dir->n_vnode.v_size, dir->n_vnode.v_size - 32,
	    __ATOMIC_RELAXED);
}

static void
add_links(struct qvnode *v, int n)
{
	qvattr_begin(v);
	__atomic_store_n(&v->v_nlink, v->v_nlink + (uint32_t)n,
	    __ATOMIC_RELEASE);
	qvattr_end(v);
}

static int
tmpfs_lookup(struct qvnode *dir, const struct qname *name, struct qvnode **vp)
{
	struct entry *e = find_entry(node_of(dir), name);

	if (e == NULL)
		return -Q_ENOENT;
	qvnode_ref(e->e_vnode);
	*vp = e->e_vnode;
	return 0;
}

/* ---- extended attributes -------------------------------------------------------------- */

static struct xattr **
find_xattr(struct node *n, const char *name)
{
	struct xattr **x = &n->n_xattr;

	while (*x != NULL && qstrcmp((*x)->x_name, name) != 0)
		x = &(*x)->x_next;
	return x;
}

static void
free_xattr(struct xattr **at)
{
	struct xattr *x = *at;

	*at = x->x_next;
	qfree(x->x_value);
	qfree(x);
}

static int64_t
tmpfs_getxattr(struct qvnode *v, const char *name, void *buf, size_t len)
{
	struct xattr *x = *find_xattr(node_of(v), name);

	if (x == NULL)
		return -Q_ENODATA;
	if (len == 0)
		return (int64_t)x->x_len;
	if (len < x->x_len)
		return -Q_ERANGE;
	memcpy(buf, x->x_value, x->x_len);
	return (int64_t)x->x_len;
}

static int64_t
tmpfs_listxattr(struct qvnode *v, char *buf, size_t len)
{
	size_t done = 0, n;
	struct xattr *x;

	for (x = node_of(v)->n_xattr; x != NULL; x = x->x_next) {
		n = qstrlen(x->x_name) + 1;
		if (len != 0 && n > len - done)
			return -Q_ERANGE;
		if (len != 0)
			memcpy(buf + done, x->x_name, n);
		done += n;
	}
	return (int64_t)done;
}

static int
put_xattr(struct node *n, const char *name, const void *value, size_t len)
{
	struct xattr **at = find_xattr(n, name), *x;
	size_t namelen = qstrlen(name) + 1;
	void *copy = qalloc(&tag_xattr, len != 0 ? len : 1);

	if (copy == NULL)
		return -Q_ENOMEM;
	memcpy(copy, value, len);
	if (*at == NULL) {
		x = qalloc(&tag_xattr, sizeof(*x) + namelen);
		if (x == NULL) {
			qfree(copy);
			return -Q_ENOMEM;
		}
		memcpy(x->x_name, name, namelen);
		x->x_next = NULL;
		x->x_value = NULL;
		*at = x;
	}
	qfree((*at)->x_value);
	(*at)->x_value = copy;
	(*at)->x_len = len;
	return 0;
}

static int
tmpfs_setxattr(struct qvnode *v, const char *name, const void *value,
    size_t len, int flags)
{
	struct xattr **at = find_xattr(node_of(v), name);
	int error = 0;

	if ((flags & Q_XATTR_CREATE) != 0 && *at != NULL)
		return -Q_EEXIST;
	if ((flags & Q_XATTR_REPLACE) != 0 && *at == NULL)
		return -Q_ENODATA;
	if (value != NULL)
		error = put_xattr(node_of(v), name, value, len);
	else if (*at != NULL)
		free_xattr(at);
	if (error == 0)
		qvnode_touch(v, QVA_CTIME);
	return error;
}

/* ---- making and removing ----------------------------------------------------------------- */

static void
free_node(struct node *n)
{
	while (n->n_xattr != NULL)
		free_xattr(&n->n_xattr);
	qfree(n->n_target);
	qfree(n->n_chain);
	n->n_target = NULL;
	n->n_chain = NULL;
}

/* An inode as `new` says, ready, with the caller's reference. */
static int
make_node(struct qfs *fs, const struct qvnew *new, struct qvnode *dir,
    struct qvnode **vp)
{
	struct super *ts = super_of(fs);
	struct qvnode *v;
	struct node *n;
	uint64_t ino;
	int error = 0;

	if (!take_inode(ts, &ino))
		return -Q_ENOSPC;
	if (qvnode_get(fs, ino, &v) < 0) {
		qspin_lock(&ts->ts_lock);
		ts->ts_inodes--;
		qspin_unlock(&ts->ts_lock);
		return -Q_ENOMEM;
	}
	n = node_of(v);
	qlist_init(&n->n_order);
	v->v_ops = &node_ops;
	v->v_mode = new->vn_mode;
	v->v_uid = new->vn_uid;
	v->v_gid = new->vn_gid;
	v->v_rdev = new->vn_rdev;
	v->v_gen = (uint32_t)ino;
	v->v_atime = v->v_mtime = v->v_ctime = v->v_btime = qfs_now(fs);
	n->n_parent = dir != NULL ? dir : v;
	if ((new->vn_mode &Q_S_IFMT) == Q_S_IFDIR) {
		v->v_nlink = 2;
	} else if ((new->vn_mode &Q_S_IFMT) == Q_S_IFLNK) {
		v->v_size = new->vn_targetlen;
		n->n_target = qalloc(&tag_fs, new->vn_targetlen + 1);
		if (n->n_target == NULL)
			error = -Q_ENOMEM;
		else
			memcpy(n->n_target, new->vn_target,
			    new->vn_targetlen + 1);
	}
	if (error == 0 && new->vn_acl != NULL) {
		v->v_flags |= QV_ACL;
		error = put_xattr(n, "system.posix_acl_access", new->vn_acl,
		    new->vn_acllen);
	}
	if (error == 0 && new->vn_defacl != NULL) {
		v->v_flags |= QV_ACL;
		error = put_xattr(n, "system.posix_acl_default", new->vn_defacl,
		    new->vn_defacllen);
	}
	if (error != 0) {
		free_node(n);
		qspin_lock(&ts->ts_lock);
		ts->ts_inodes--;
		qspin_unlock(&ts->ts_lock);
		qvnode_fail(v);
		return error;
	}
	qvnode_ready(v);
	*vp = v;
	return 0;
}

static int
tmpfs_create(struct qvnode *dir, const struct qname *name,
    const struct qvnew *new, struct qvnode **vp)
{
	struct node *d = node_of(dir);
	struct entry *e;
	int error;

	error = make_entry(d, name, &e);
	if (error != 0)
		return error;
	error = make_node(dir->v_fs, new, dir, vp);
	if (error != 0) {
		qfree(e);
		return error;
	}
	qvnode_ref(*vp);
	add_entry(d, e, *vp);
	if (qvnode_isdir(*vp))
		add_links(dir, 1);
	qvnode_touch(dir, QVA_MTIME | QVA_CTIME);
	return 0;
}

static int
tmpfs_tmpfile(struct qvnode *dir, const struct qvnew *new, struct qvnode **vp)
{
	int error = make_node(dir->v_fs, new, dir, vp);

	if (error == 0)
		add_links(*vp, -1);
	return error;
}

static int
tmpfs_link(struct qvnode *dir, const struct qname *name, struct qvnode *v)
{
	struct entry *e;
	int error = make_entry(node_of(dir), name, &e);

	if (error != 0)
		return error;
	qvnode_ref(v);
	add_entry(node_of(dir), e, v);
	add_links(v, 1);
	qvnode_touch(v, QVA_CTIME);
	qvnode_touch(dir, QVA_MTIME | QVA_CTIME);
	return 0;
}

/* A name less; the entry's reference is not the last. */
static void
drop_name(struct node *dir, struct entry *e)
{
	struct qvnode *v = e->e_vnode;

	del_entry(dir, e);
	add_links(v, qvnode_isdir(v) ? -2 : -1);
	if (qvnode_isdir(v))
		add_links(&dir->n_vnode, -1);
	qvnode_touch(v, QVA_CTIME);
	qvnode_put(v);
	qfree(e);
}

static int
tmpfs_unlink(struct qvnode *dir, const struct qname *name, struct qvnode *v)
{
	struct entry *e = find_entry(node_of(dir), name);

	qassert(e != NULL && e->e_vnode == v);
	if (qvnode_isdir(v) && node_of(v)->n_count != 0)
		return -Q_ENOTEMPTY;
	drop_name(node_of(dir), e);
	qvnode_touch(dir, QVA_MTIME | QVA_CTIME);
	return 0;
}

/* A directory is in another one now. */
static void
set_parent(struct qvnode *v, struct qvnode *from, struct qvnode *to)
{
	if (!qvnode_isdir(v) || from == to)
		return;
	node_of(v)->n_parent = to;
	add_links(from, -1);
	add_links(to, 1);
}

static int
tmpfs_rename(struct qrename *r)
{
	struct node *od = node_of(r->r_olddir), *nd = node_of(r->r_newdir);
	struct entry *from = find_entry(od, &r->r_old), *to, *e;
	int error;

	qassert(from != NULL && from->e_vnode == r->r_vnode);
	to = find_entry(nd, &r->r_new);
	if (r->r_exchange) {
		qassert(to != NULL);
		from->e_vnode = r->r_target;
		to->e_vnode = r->r_vnode;
		set_parent(r->r_vnode, r->r_olddir, r->r_newdir);
		set_parent(r->r_target, r->r_newdir, r->r_olddir);
		qvnode_touch(r->r_target, QVA_CTIME);
	} else {
		if (r->r_target != NULL && qvnode_isdir(r->r_target) &&
		    node_of(r->r_target)->n_count != 0)
			return -Q_ENOTEMPTY;
		error = make_entry(nd, &r->r_new, &e);
		if (error != 0)
			return error;
		if (to != NULL)
			drop_name(nd, to);
		qvnode_ref(r->r_vnode);
		add_entry(nd, e, r->r_vnode);
		del_entry(od, from);
		qvnode_put(from->e_vnode);
		qfree(from);
		set_parent(r->r_vnode, r->r_olddir, r->r_newdir);
	}
	qvnode_touch(r->r_vnode, QVA_CTIME);
	qvnode_touch(r->r_olddir, QVA_MTIME | QVA_CTIME);
	if (r->r_newdir != r->r_olddir)
		qvnode_touch(r->r_newdir, QVA_MTIME | QVA_CTIME);
	return 0;
}

/* Positions: 0 ".", 1 "..", cookie + 1 of the entry before. */
static int
tmpfs_readdir(struct qvnode *dir, uint64_t *posp, qreaddir_fn *emit, void *arg)
{
	struct node *d = node_of(dir);
	struct super *ts = super_of(dir->v_fs);
	struct qlist *l = d->n_order.l_next;
	struct entry *e;

	if (*posp == 0) {
		if (emit(arg, ".", 1, dir->v_ino, Q_DT_DIR, 1) != 0)
			return 0;
		*posp = 1;
	}
	if (*posp == 1) {
		if (emit(arg, "..", 2, d->n_parent->v_ino, Q_DT_DIR, 2) != 0)
			return 0;
		*posp = 2;
	}
	qspin_lock(&ts->ts_lock);
	if (d->n_hint != NULL && d->n_hintpos <= *posp)
		l = d->n_hint;
	qspin_unlock(&ts->ts_lock);
	for (; l != &d->n_order; l = l->l_next) {
		e = QLIST_ELEM(l, struct entry, e_order);
		if (e->e_cookie + 1 < *posp)
			continue;
		if (emit(arg, e->e_name, e->e_len, e->e_vnode->v_ino,
			qvnode_type(e->e_vnode) >> 12, e->e_cookie + 2) != 0)
			break;
		*posp = e->e_cookie + 2;
	}
	qspin_lock(&ts->ts_lock);
	d->n_hint = l != &d->n_order ? l : NULL;
	d->n_hintpos = *posp;
	qspin_unlock(&ts->ts_lock);
	return 0;
}

/* ---- the rest of a vnode's operations --------------------------------------------------- */

static int
tmpfs_readlink(struct qvnode *v, char *buf, size_t len)
{
	size_t n = v->v_size < len ? v->v_size : len;

	memcpy(buf, node_of(v)->n_target, n);
	return (int)n;
}

static int
tmpfs_setattr(struct qvnode *v, const struct qvattr *a)
{
	if ((a->va_set & QVA_SIZE) != 0)
		settle(node_of(v));
	qvnode_apply(v, a);
	return 0;
}

/* Pages, zeroed, for what has none. */
static int
fill_range(struct qvnode *v, uint64_t off, uint64_t end)
{
	struct qpage *pg;
	uint64_t i;
	int error = 0;

	for (i = off / QUERN_PAGE_SIZE; error == 0 && i * QUERN_PAGE_SIZE < end;
	     i++) {
		error = qpcache_page(v, i, true, &pg);
		if (error == 0) {
			qpcache_dirty(v, pg);
			qpage_put(v->v_fs->fs_k, pg);
		}
	}
	settle(node_of(v));
	return error;
}

static int
tmpfs_fallocate(struct qvnode *v, uint32_t mode, uint64_t off, uint64_t len)
{
	uint32_t op = mode & ~(uint32_t)Q_FALLOC_FL_KEEP_SIZE;
	int error = 0;

	if (op != 0 && op != Q_FALLOC_FL_PUNCH_HOLE)
		return -Q_EOPNOTSUPP;
	if (op == 0)
		error = fill_range(v, off, off + len);
	else
		settle(node_of(v));
	if (error == 0 && (mode & Q_FALLOC_FL_KEEP_SIZE) == 0 &&
	    off + len > v->v_size)
		__atomic_store_n(&v->v_size, off + len, __ATOMIC_RELEASE);
	return error;
}

/* Entries of a directory that goes with its file system: not one in another. */
static void
doom_entries(struct node *dir, struct super *ts)
{
	struct entry *e;

	while (!qlist_empty(&dir->n_order)) {
		e = QLIST_ELEM(dir->n_order.l_next, struct entry, e_order);
		del_entry(dir, e);
		qlist_append(&ts->ts_doomed, &e->e_order);
	}
	if (ts->ts_draining)
		return;
	ts->ts_draining = true;
	while (!qlist_empty(&ts->ts_doomed)) {
		e = QLIST_ELEM(ts->ts_doomed.l_next, struct entry, e_order);
		qlist_del(&e->e_order);
		qvnode_put(e->e_vnode);
		qfree(e);
	}
	ts->ts_draining = false;
}

static void
tmpfs_evict(struct qvnode *v)
{
	struct super *ts = super_of(v->v_fs);
	struct node *n = node_of(v);

	if (qvnode_isdir(v) && n->n_count != 0)
		doom_entries(n, ts);
	qspin_lock(&ts->ts_lock);
	ts->ts_pages -= n->n_pages;
	ts->ts_inodes--;
	qspin_unlock(&ts->ts_lock);
	free_node(n);
}

static const struct qvnode_ops node_ops = {
	.vo_lookup = tmpfs_lookup,
	.vo_create = tmpfs_create,
	.vo_tmpfile = tmpfs_tmpfile,
	.vo_link = tmpfs_link,
	.vo_unlink = tmpfs_unlink,
	.vo_rename = tmpfs_rename,
	.vo_readdir = tmpfs_readdir,
	.vo_readlink = tmpfs_readlink,
	.vo_setattr = tmpfs_setattr,
	.vo_evict = tmpfs_evict,
	.vo_getxattr = tmpfs_getxattr,
	.vo_listxattr = tmpfs_listxattr,
	.vo_setxattr = tmpfs_setxattr,
	.vo_reserve = tmpfs_reserve,
	.vo_unreserve = tmpfs_unreserve,
	.vo_fallocate = tmpfs_fallocate,
};

/* ---- the file system --------------------------------------------------------------------- */

static int
tmpfs_statfs(struct qfs *fs, struct q_statfs *st)
{
	struct super *ts = super_of(fs);

	qspin_lock(&ts->ts_lock);
	st->f_blocks = ts->ts_maxpages;
	st->f_bfree = st->f_bavail = ts->ts_maxpages - ts->ts_pages;
	st->f_files = ts->ts_maxinodes;
	st->f_ffree = ts->ts_maxinodes - ts->ts_inodes;
	qspin_unlock(&ts->ts_lock);
	return 0;
}

static void
tmpfs_unmount(struct qfs *fs)
{
	qfree(fs->fs_priv);
}

static int
tmpfs_vget(struct qfs *fs, uint64_t ino, uint32_t gen, struct qvnode **vp)
{
	struct qvnode *v;
	int made = qvnode_get(fs, ino, &v);

	if (made == 1)
		qvnode_fail(v);
	if (made != 0)
		return made < 0 ? made : -Q_ESTALE;
	if (v->v_gen != gen ||
	    __atomic_load_n(&v->v_nlink, __ATOMIC_RELAXED) == 0) {
		qvnode_put(v);
		return -Q_ESTALE;
	}
	*vp = v;
	return 0;
}

static int
tmpfs_parent(struct qvnode *dir, struct qvnode **vp)
{
	*vp = node_of(dir)->n_parent;
	qvnode_ref(*vp);
	return 0;
}

static const struct qfs_ops fs_ops = { .fso_statfs = tmpfs_statfs,
	.fso_unmount = tmpfs_unmount,
	.fso_vget = tmpfs_vget,
	.fso_parent = tmpfs_parent };

/* A number in the given base, and what follows it. */
static const char *
number(const char *s, unsigned base, uint64_t *np)
{
	*np = 0;
	for (; *s >= '0' && *s < '0' + (char)base; s++)
		*np = *np * base + (uint64_t)(*s - '0');
	return s;
}

static const char *
size_option(struct qfs *fs, const char *s, uint64_t *pages)
{
	uint64_t n;

	s = number(s, 10, &n);
	switch (*s) {
	case '%':
		*pages = n * qpage_total(fs->fs_k) / 100;
		return s + 1;
	case 'k':
		n <<= 10;
		s++;
		break;
	case 'm':
		n <<= 20;
		s++;
		break;
	case 'g':
		n <<= 30;
		s++;
		break;
	}
	*pages = (n + QUERN_PAGE_SIZE - 1) / QUERN_PAGE_SIZE;
	return s;
}

/* Is the option `name`= at `s`?  What is behind it. */
static const char *
option(const char *s, const char *name)
{
	while (*name != '\0')
		if (*s++ != *name++)
			return NULL;
	return *s == '=' ? s + 1 : NULL;
}

static int
take_options(struct qfs *fs, struct super *ts, const char *s,
    struct qvnew *root)
{
	const char *v;
	uint64_t n;

	while (*s != '\0') {
		if ((v = option(s, "size")) != NULL) {
			s = size_option(fs, v, &ts->ts_maxpages);
		} else if ((v = option(s, "nr_inodes")) != NULL) {
			s = number(v, 10, &ts->ts_maxinodes);
		} else if ((v = option(s, "mode")) != NULL) {
			s = number(v, 8, &n);
			root->vn_mode = Q_S_IFDIR | (uint32_t)(n & 07777);
		} else if ((v = option(s, "uid")) != NULL) {
			s = number(v, 10, &n);
			root->vn_uid = (uint32_t)n;
		} else if ((v = option(s, "gid")) != NULL) {
			s = number(v, 10, &n);
			root->vn_gid = (uint32_t)n;
		} else {
			v = NULL;
		}
		if (v == NULL || s == v || (*s != ',' && *s != '\0')) {
			qfs_log(fs, QUERN_LOG_ERR, "bad option at '%s'", s);
			return -Q_EINVAL;
		}
		if (*s == ',')
			s++;
	}
	return 0;
}

static int
tmpfs_mount(struct qfs *fs, const char *options, bool probe)
{
	struct qvnew root = { .vn_mode = Q_S_IFDIR | 01777 };
	struct super *ts;
	int error;

	(void)probe;
	ts = qzalloc(&tag_fs, sizeof(*ts));
	if (ts == NULL)
		return -Q_ENOMEM;
	qspin_init(&ts->ts_lock);
	qlist_init(&ts->ts_doomed);
	ts->ts_maxpages = qpage_total(fs->fs_k) / 2;
	/* They are no pages, but what they are of should go with RAM, too. */
	ts->ts_maxinodes = ts->ts_maxpages > INODES_MIN ? ts->ts_maxpages :
							  INODES_MIN;
	ts->ts_nextino = 1;
	fs->fs_priv = ts;
	fs->fs_ops = &fs_ops;
	fs->fs_magic = TMPFS_MAGIC;
	error = take_options(fs, ts, options, &root);
	if (error == 0)
		error = make_node(fs, &root, NULL, &fs->fs_root);
	if (error != 0)
		qfree(ts);
	return error;
}

const struct qfs_type qtmpfs_type = { .ft_name = "tmpfs",
	.ft_vnode_size = sizeof(struct node),
	.ft_mount = tmpfs_mount };

static int
tmpfs_init(struct quern *k, void **statep)
{
	int error = qfs_register(k, &qtmpfs_type);

	*statep = NULL;
	if (error == 0 && !qvfs_has_root(k)) {
		error = qvfs_mount(k, "root", NULL, "tmpfs", 0, "mode=755");
		if (error != 0)
			qfs_unregister(k, &qtmpfs_type);
	}
	return error;
}

static void
tmpfs_fini(struct quern *k, void *state)
{
	(void)state;
	qfs_unregister(k, &qtmpfs_type);
}

static const struct quern_component *const needs[] = { &qvfs, NULL };

const struct quern_component qtmpfs = {
	.c_name = "tmpfs",
	.c_needs = needs,
	.c_init = tmpfs_init,
	.c_fini = tmpfs_fini,
};
