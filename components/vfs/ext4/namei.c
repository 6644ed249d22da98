/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names: create, link, unlink and rename.  Each is one handle, so that a crash
 * leaves it done or not done.
 */
#include "alloc.h"

#define NAME_CREDITS (DIR_CREDITS + MAP_CREDITS + XATTR_CREDITS)

/* A directory that is going to be changed has blocks. */
static int
dir_ready(struct inode *dir)
{
	return inode_has(dir, EXT4_INLINE_DATA_FL) ? inline_end(dir) : 0;
}

/* One more subdirectory: beyond what can be counted there is 1 link. */
static int
can_link_dir(const struct inode *dir)
{
	if (dir->i_v.v_nlink + 1 < EXT4_LINK_MAX ||
	    has_ro(inode_fs(dir), EXT4_RO_DIR_NLINK))
		return 0;
	return -Q_EMLINK;
}

static void
link_dir(struct inode *dir, int by)
{
	uint32_t n = dir->i_v.v_nlink;

	/* 1 stays: nobody knows how many there are. */
	if (n == 1)
		by = 0;
	else if (by > 0 && n + 1 >= EXT4_LINK_MAX)
		by = 1 - (int)n;
	else if (by < 0 && n <= 2)
		by = 0;
	inode_link(dir, by);
}

static int
store(struct jhandle *h, struct inode *ip)
{
	int error;

	qmutex_lock(&ip->i_lock);
	error = inode_write(h, ip);
	qmutex_unlock(&ip->i_lock);
	return error;
}

/* A symlink's contents: in i_block, or a block. */
static int
set_target(struct jhandle *h, struct inode *ip, const struct qvnew *new)
{
	struct ext4 *x = inode_fs(ip);
	struct run r = { 0, 0, 1, 0 };
	struct qbuf *b;
	int error;

	ip->i_v.v_size = ip->i_disksize = new->vn_targetlen;
	if (new->vn_targetlen < EXT4_IBLOCK) {
		memcpy(ip->i_data, new->vn_target, new->vn_targetlen);
		return 0;
	}
	if (new->vn_targetlen >= x->x_bsize)
		return -Q_ENAMETOOLONG;
	qmutex_lock(&ip->i_lock);
	if (has_incompat(x, EXT4_INCOMPAT_EXTENTS)) {
		ip->i_flags |= EXT4_EXTENTS_FL;
		extent_init(ip);
	}
	error = alloc_meta(h, ip, 0, &r.r_pblk);
	if (error == 0) {
		error = map_insert(h, ip, &r);
		if (error != 0)
			unalloc_meta(h, ip, r.r_pblk);
	}
	qmutex_unlock(&ip->i_lock);
	if (error == 0)
		error = qbuf_get(x->x_bufs, r.r_pblk, &b);
	if (error != 0)
		return error;
	error = journal_get_create(h, b);
	if (error == 0) {
		qbuf_lock(b);
		memset(b->bf_data, 0, x->x_bsize);
		memcpy(b->bf_data, new->vn_target, new->vn_targetlen);
		qbuf_unlock(b);
		journal_dirty(h, b);
	}
	qbuf_put(b);
	return error;
}

static int
set_acls(struct jhandle *h, struct inode *ip, const struct qvnew *new)
{
	uint8_t *p;
	int64_t n;
	unsigned i;
	int error = 0;

	if (new->vn_acl == NULL &&new->vn_defacl == NULL)
		return 0;
	p = qalloc(&ext4_tag, inode_fs(ip)->x_bsize);
	if (p == NULL)
		return -Q_ENOMEM;
	for (i = 0; i < 2 && error == 0; i++) {
		const void *a = i == 0 ? new->vn_acl : new->vn_defacl;

		if (a == NULL)
			continue;
		n = acl_to_disk(a, i == 0 ? new->vn_acllen : new->vn_defacllen,
		    p, inode_fs(ip)->x_bsize);
		if (n < 0)
			error = (int)n;
		else
			error = xattr_store(h, ip,
			    i == 0 ? EXT4_XATTR_ACL : EXT4_XATTR_DEFACL, "", p,
			    (size_t)n, 0);
	}
	qfree(p);
	return error;
}

/* What a new file has before it has a name. */
static int
make(struct jhandle *h, struct inode *dir, const struct qvnew *new,
    struct inode *ip)
{
	uint32_t type = new->vn_mode &Q_S_IFMT;
	int error = 0;

	if (type == Q_S_IFLNK)
		error = set_target(h, ip, new);
	else if (type == Q_S_IFDIR)
		error = dir_init(h, ip, dir->i_v.v_ino);
	if (error == 0)
		error = set_acls(h, ip, new);
	if (error == 0)
		error = store(h, ip);
	return error;
}

/* It has no name: its eviction frees it, or the next mount. */
static int
nameless(struct jhandle *h, struct inode *ip)
{
	int error;

	inode_link(ip, -(int)ip->i_v.v_nlink);
	error = orphan_add(h, ip);
	if (error == 0)
		error = store(h, ip);
	if (error != 0)
		journal_abort(h->h_j, error);
	else
		h->h_changed = false;
	return error;
}

int
ext4_create(struct qvnode *v, const struct qname *name, const struct qvnew *new,
    struct qvnode **vp)
{
	struct inode *dir = inode_of(v), *ip = NULL;
	struct ext4 *x = inode_fs(dir);
	bool isdir = (new->vn_mode &Q_S_IFMT) == Q_S_IFDIR;
	struct jhandle *h;
	int error;

	error = dir_ready(dir);
	if (error == 0 && isdir)
		error = can_link_dir(dir);
	if (error == 0)
		error = tx_begin(x, NAME_CREDITS, &h);
	if (error != 0)
		return error;
	error = inode_new(h, dir, new, &ip);
	if (error == 0)
		error = make(h, dir, new, ip);
	if (error == 0 && isdir) {
		inode_link(ip, 1);
		error = store(h, ip);
	}
	/* What has been made can be freed; half of the directory can't. */
	h->h_changed = h->h_changed && ip == NULL;
	if (error == 0)
		error = dir_add(h, dir, name->n_name, name->n_len,
		    ip->i_v.v_ino, new->vn_mode);
	if (error == 0 && isdir) {
		link_dir(dir, 1);
		error = store(h, dir);
	}
	if (error != 0 && ip != NULL && !tx_half(h, error))
		(void)!nameless(h, ip);
	error = tx_end(x, h, error);
	if (error != 0 && ip != NULL)
		qvnode_put(&ip->i_v);
	else if (error == 0)
		*vp = &ip->i_v;
	return error;
}

int
ext4_tmpfile(struct qvnode *v, const struct qvnew *new, struct qvnode **vp)
{
	struct inode *dir = inode_of(v), *ip = NULL;
	struct ext4 *x = inode_fs(dir);
	struct jhandle *h;
	int error;

	error = tx_begin(x, NAME_CREDITS, &h);
	if (error != 0)
		return error;
	error = inode_new(h, dir, new, &ip);
	if (error == 0) {
		int e;

		error = make(h, dir, new, ip);
		e = nameless(h, ip);
		if (error == 0)
			error = e;
	}
	error = tx_end(x, h, error);
	if (error != 0 && ip != NULL)
		qvnode_put(&ip->i_v);
	else if (error == 0)
		*vp = &ip->i_v;
	return error;
}

int
ext4_link(struct qvnode *dv, const struct qname *name, struct qvnode *v)
{
	struct inode *dir = inode_of(dv), *ip = inode_of(v);
	struct ext4 *x = inode_fs(dir);
	struct jhandle *h;
	int error;

	if (v->v_nlink >= EXT4_LINK_MAX)
		return -Q_EMLINK;
	error = dir_ready(dir);
	if (error == 0)
		error = tx_begin(x, NAME_CREDITS, &h);
	if (error != 0)
		return error;
	error = inode_prepare(h, ip);
	if (error == 0)
		error = dir_add(h, dir, name->n_name, name->n_len, v->v_ino,
		    v->v_mode);
	if (error == 0) {
		inode_link(ip, 1);
		if (v->v_nlink == 1)
			error = orphan_del(h, ip);
		if (error == 0)
			error = store(h, ip);
	}
	return tx_end(x, h, error);
}

/* Where a name is, which must be that of `ip`. */
static int
place_of(struct inode *dir, const struct qname *name, const struct inode *ip,
    struct dirplace *dp)
{
	int error = dir_find(dir, name->n_name, name->n_len, dp);

	if (error == 0 && dp->dp_ino != ip->i_v.v_ino) {
		qbuf_put(dp->dp_buf);
		error = inode_damaged(dir, "an entry has become another");
	}
	return error;
}

/* A file has one name less. */
static int
drop(struct jhandle *h, struct inode *dir, struct inode *ip)
{
	int error = 0;

	if (qvnode_isdir(&ip->i_v)) {
		inode_link(ip, -(int)ip->i_v.v_nlink);
		link_dir(dir, -1);
		error = store(h, dir);
	} else {
		inode_link(ip, -1);
	}
	if (error == 0 && ip->i_v.v_nlink == 0)
		error = orphan_add(h, ip);
	return error == 0 ? store(h, ip) : error;
}

int
ext4_unlink(struct qvnode *dv, const struct qname *name, struct qvnode *v)
{
	struct inode *dir = inode_of(dv), *ip = inode_of(v);
	struct ext4 *x = inode_fs(dir);
	struct dirplace dp;
	struct jhandle *h;
	int error;

	error = dir_ready(dir);
	if (error == 0 && qvnode_isdir(v))
		error = dir_empty(ip);
	if (error == 0 && v->v_nlink == 0)
		error = inode_damaged(ip, "has a name and no links");
	if (error == 0)
		error = place_of(dir, name, ip, &dp);
	if (error != 0)
		return error;
	error = tx_begin(x, NAME_CREDITS, &h);
	if (error == 0) {
		error = inode_prepare(h, ip);
		if (error == 0)
			error = orphan_prepare(h, x);
		if (error == 0)
			error = dir_remove(h, dir, &dp);
		if (error == 0)
			error = drop(h, dir, ip);
		error = tx_end(x, h, error);
	}
	qbuf_put(dp.dp_buf);
	return error;
}

/* A directory has come from another: its "..", and both parents' links. */
static int
moved(struct jhandle *h, struct inode *ip, struct inode *from, struct inode *to)
{
	int error = 0;

	if (!qvnode_isdir(&ip->i_v) || from == to)
		return 0;
	error = dir_set_parent(h, ip, to->i_v.v_ino);
	link_dir(from, -1);
	link_dir(to, 1);
	if (error == 0)
		error = store(h, from);
	return error == 0 ? store(h, to) : error;
}

static int
exchange(struct jhandle *h, struct qrename *r, struct dirplace *a,
    struct dirplace *b)
{
	struct inode *from = inode_of(r->r_olddir), *to = inode_of(r->r_newdir);
	struct inode *ip = inode_of(r->r_vnode), *tp = inode_of(r->r_target);
	int error;

	error = dir_set(h, from, a, r->r_target->v_ino, r->r_target->v_mode);
	if (error == 0)
		error = dir_set(h, to, b, r->r_vnode->v_ino,
		    r->r_vnode->v_mode);
	if (error == 0)
		error = moved(h, ip, from, to);
	if (error == 0)
		error = moved(h, tp, to, from);
	inode_touch(ip, QVA_CTIME);
	inode_touch(tp, QVA_CTIME);
	if (error == 0)
		error = store(h, ip);
	return error == 0 ? store(h, tp) : error;
}

static int
replace(struct jhandle *h, struct qrename *r, struct dirplace *to_dp)
{
	struct inode *from = inode_of(r->r_olddir), *to = inode_of(r->r_newdir);
	struct inode *ip = inode_of(r->r_vnode);
	struct dirplace dp;
	int error;

	if (r->r_target != NULL) {
		error = dir_set(h, to, to_dp, r->r_vnode->v_ino,
		    r->r_vnode->v_mode);
		if (error == 0)
			error = drop(h, to, inode_of(r->r_target));
	} else {
		error = dir_add(h, to, r->r_new.n_name, r->r_new.n_len,
		    r->r_vnode->v_ino, r->r_vnode->v_mode);
	}
	if (error == 0 && (inode_fs(to)->x_debug & EXT4_DEBUG_HALVES) != 0)
		error = journal_restart(h, 2 * NAME_CREDITS);
	if (error != 0)
		return error;
	/* Adding may have moved it, in the same directory. */
	error = place_of(from, &r->r_old, ip, &dp);
	if (error == 0) {
		error = dir_remove(h, from, &dp);
		qbuf_put(dp.dp_buf);
	}
	if (error == 0)
		error = moved(h, ip, from, to);
	inode_touch(ip, QVA_CTIME);
	return error == 0 ? store(h, ip) : error;
}

/* The inodes that will be changed. */
static int
prepare(struct jhandle *h, struct qrename *r)
{
	int error = inode_prepare(h, inode_of(r->r_olddir));

	if (error == 0)
		error = inode_prepare(h, inode_of(r->r_newdir));
	if (error == 0)
		error = inode_prepare(h, inode_of(r->r_vnode));
	if (error == 0 && r->r_target != NULL)
		error = inode_prepare(h, inode_of(r->r_target));
	if (error == 0 && r->r_target != NULL && !r->r_exchange)
		error = orphan_prepare(h, inode_fs(inode_of(r->r_target)));
	return error;
}

int
ext4_rename(struct qrename *r)
{
	struct inode *from = inode_of(r->r_olddir), *to = inode_of(r->r_newdir);
	struct inode *ip = inode_of(r->r_vnode);
	struct ext4 *x = inode_fs(from);
	struct dirplace a = { 0 }, b = { 0 };
	struct jhandle *h;
	int error;

	error = dir_ready(from);
	if (error == 0)
		error = dir_ready(to);
	if (error == 0 && qvnode_isdir(&ip->i_v))
		error = dir_ready(ip);
	if (error == 0 && r->r_exchange && qvnode_isdir(r->r_target))
		error = dir_ready(inode_of(r->r_target));
	if (error == 0 && r->r_target != NULL && !r->r_exchange &&
	    qvnode_isdir(r->r_target))
		error = dir_empty(inode_of(r->r_target));
	if (error == 0 && qvnode_isdir(&ip->i_v) && from != to &&
	    r->r_target == NULL)
		error = can_link_dir(to);
	if (error == 0)
		error = place_of(from, &r->r_old, ip, &a);
	if (error == 0 && r->r_target != NULL)
		error = place_of(to, &r->r_new, inode_of(r->r_target), &b);
	/*
	 * A file that is written anew and moved over the old one, unsynced: its
	 * data are written first, though no cache is flushed for it, so that a
	 * crash leaves the one or the other and not an empty file.
	 */
	if (error == 0 && r->r_target != NULL && !r->r_exchange &&
	    qvnode_type(&ip->i_v) == Q_S_IFREG)
		error = qpcache_sync(&ip->i_v, 0, UINT64_MAX, true);
	if (error == 0)
		error = tx_begin(x, 2 * NAME_CREDITS, &h);
	if (error == 0) {
		error = prepare(h, r);
		if (error == 0 && r->r_exchange)
			error = exchange(h, r, &a, &b);
		else if (error == 0)
			error = replace(h, r, &b);
		error = tx_end(x, h, error);
	}
	qbuf_put(a.dp_buf);
	qbuf_put(b.dp_buf);
	return error;
}
