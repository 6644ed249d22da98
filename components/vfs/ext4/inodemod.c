/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inodes: from the vnode to the disk's record; making and freeing them.
 */
#include "alloc.h"

/* Section 5.1: 2 bits of seconds beyond 2038, 30 of nanoseconds. */
static void
put_time(const struct qtime *from, le32_t *lo, le32_t *extra)
{
	struct qtime t;

	qtime_load(&t, from);
	*lo = to_le32((uint32_t)t.t_sec);
	if (extra != NULL)
		*extra = to_le32(
		    ((uint64_t)(t.t_sec - (int32_t)t.t_sec) >> 32 & 3) |
		    t.t_nsec << 2);
}

static void
put_times(const struct inode *ip, struct ext4_inode *di)
{
	const struct qvnode *v = &ip->i_v;
	uint32_t e = ip->i_extra;

	put_time(&v->v_ctime, &di->i_ctime_le,
	    EXT4_FITS(e, i_ctime_extra_le) ? &di->i_ctime_extra_le : NULL);
	put_time(&v->v_mtime, &di->i_mtime_le,
	    EXT4_FITS(e, i_mtime_extra_le) ? &di->i_mtime_extra_le : NULL);
	put_time(&v->v_atime, &di->i_atime_le,
	    EXT4_FITS(e, i_atime_extra_le) ? &di->i_atime_extra_le : NULL);
	if (EXT4_FITS(e, i_crtime_le))
		put_time(&v->v_btime, &di->i_crtime_le,
		    EXT4_FITS(e, i_crtime_extra_le) ? &di->i_crtime_extra_le :
						      NULL);
}

static void
put_blocks(const struct ext4 *x, struct inode *ip, struct ext4_inode *di)
{
	uint64_t n = ip->i_v.v_blocks;

	/* Others look at the flags without a lock. */
	__atomic_fetch_and(&ip->i_flags, ~EXT4_HUGE_FILE_FL, __ATOMIC_RELAXED);
	if (n >> 32 != 0 && has_ro(x, EXT4_RO_HUGE_FILE) && n >> 48 != 0) {
		n >>= x->x_bits - 9;
		__atomic_fetch_or(&ip->i_flags, EXT4_HUGE_FILE_FL,
		    __ATOMIC_RELAXED);
	}
	di->i_blocks_lo_le = to_le32(n);
	if (has_ro(x, EXT4_RO_HUGE_FILE))
		di->i_blocks_hi_le = to_le16(n >> 32);
}

void
inode_sum(const struct ext4 *x, uint32_t seed, struct ext4_inode *di)
{
	uint32_t sum;

	if (!x->x_csum)
		return;
	sum = csum_inode(x, seed, di);
	di->i_checksum_lo_le = to_le16(sum);
	if (inode_has_csum_hi(x, di))
		di->i_checksum_hi_le = to_le16(sum >> 16);
}

static void
fill_record(struct inode *ip, struct ext4_inode *di)
{
	struct ext4 *x = inode_fs(ip);
	struct qvnode *v = &ip->i_v;
	uint32_t links = v->v_nlink;

	di->i_mode_le = to_le16(__atomic_load_n(&v->v_mode, __ATOMIC_RELAXED));
	di->i_uid_lo_le = to_le16(v->v_uid);
	di->i_uid_hi_le = to_le16(v->v_uid >> 16);
	di->i_gid_lo_le = to_le16(v->v_gid);
	di->i_gid_hi_le = to_le16(v->v_gid >> 16);
	di->i_links_count_le = to_le16(links);
	di->i_size_lo_le = to_le32(ip->i_disksize);
	if (qvnode_type(v) == Q_S_IFREG || qvnode_isdir(v))
		di->i_size_hi_le = to_le32(ip->i_disksize >> 32);
	put_blocks(x, ip, di);
	di->i_flags_le = to_le32(ip->i_flags);
	memcpy(di->i_block, ip->i_data, EXT4_IBLOCK);
	di->i_generation_le = to_le32(v->v_gen);
	di->i_file_acl_lo_le = to_le32(ip->i_facl);
	if (has_incompat(x, EXT4_INCOMPAT_64BIT))
		di->i_file_acl_hi_le = to_le16(ip->i_facl >> 32);
	di->i_dtime_le = to_le32(ip->i_next);
	if (x->x_isize > EXT4_GOOD_OLD_SIZE)
		di->i_extra_isize_le = to_le16(ip->i_extra);
	if (EXT4_FITS(ip->i_extra, i_projid_le))
		di->i_projid_le = to_le32(ip->i_projid);
	put_times(ip, di);
	inode_sum(x, ip->i_seed, di);
}

static int
write_record(struct jhandle *h, struct inode *ip, bool new)
{
	struct ext4 *x = inode_fs(ip);
	struct ext4_inode *di;
	struct qbuf *b;
	int error;

	error = inode_record(x, ip->i_v.v_ino, &di, &b);
	if (error != 0)
		return error;
	error = journal_get_write(h, b);
	if (error == 0) {
		qmutex_lock(&x->x_orphan);
		qbuf_lock(b);
		if (new)
			memset(di, 0, x->x_isize);
		fill_record(ip, di);
		qbuf_unlock(b);
		qmutex_unlock(&x->x_orphan);
		journal_dirty(h, b);
		inode_in_tx(h, ip);
	}
	qbuf_put(b);
	return error;
}

int
inode_write(struct jhandle *h, struct inode *ip)
{
	return write_record(h, ip, false);
}

int
inode_prepare(struct jhandle *h, struct inode *ip)
{
	struct ext4_inode *di;
	struct qbuf *b;
	int error;

	error = inode_record(inode_fs(ip), ip->i_v.v_ino, &di, &b);
	if (error != 0)
		return error;
	error = journal_get_write(h, b);
	qbuf_put(b);
	return error;
}

int
inode_write_new(struct jhandle *h, struct inode *ip)
{
	return write_record(h, ip, true);
}

int
inode_write_dtime(struct jhandle *h, struct ext4 *x, uint64_t ino,
    uint32_t dtime)
{
	struct ext4_inode *di;
	struct qbuf *b;
	int error;

	error = inode_record(x, ino, &di, &b);
	if (error != 0)
		return error;
	error = journal_get_write(h, b);
	if (error == 0) {
		qbuf_lock(b);
		di->i_dtime_le = to_le32(dtime);
		inode_sum(x, csum_inode_seed(x, ino, le32(di->i_generation_le)),
		    di);
		qbuf_unlock(b);
		journal_dirty(h, b);
	}
	qbuf_put(b);
	return error;
}

void
inode_touch(struct inode *ip, uint32_t which)
{
	struct qvnode *v = &ip->i_v;
	struct qtime now = qfs_now(v->v_fs);

	qvattr_begin(v);
	if ((which & QVA_ATIME) != 0)
		qtime_store(&v->v_atime, now);
	if ((which & QVA_MTIME) != 0)
		qtime_store(&v->v_mtime, now);
	if ((which & QVA_CTIME) != 0)
		qtime_store(&v->v_ctime, now);
	if (qvnode_isdir(v) && (which & QVA_MTIME) != 0)
		v->v_version++;
	qvattr_end(v);
}

void
inode_link(struct inode *ip, int by)
{
	struct qvnode *v = &ip->i_v;

	qvattr_begin(v);
	__atomic_store_n(&v->v_nlink, v->v_nlink + (uint32_t)by,
	    __ATOMIC_RELAXED);
	qvattr_end(v);
	inode_touch(ip, QVA_CTIME);
}

void
inode_add_blocks(struct inode *ip, int64_t clusters)
{
	struct qvnode *v = &ip->i_v;
	struct ext4 *x = inode_fs(ip);

	qvattr_begin(v);
	__atomic_store_n(&v->v_blocks,
	    v->v_blocks + ((uint64_t)clusters << (x->x_cbits + x->x_bits - 9)),
	    __ATOMIC_RELAXED);
	qvattr_end(v);
}

static void
put_rdev(struct inode *ip, uint64_t rdev)
{
	uint32_t ma = qdev_major(rdev), mi = qdev_minor(rdev);
	le32_t old = 0, new = 0;

	if (ma < 256 && mi < 256)
		old = to_le32(ma << 8 | mi);
	else
		new = to_le32((mi & 0xff) | ma << 8 | (mi & ~0xffu) << 12);
	memcpy(ip->i_data, &old, 4);
	memcpy(ip->i_data + 4, &new, 4);
}

static void
set_flags(struct inode *ip, const struct inode *dir, uint32_t mode)
{
	struct ext4 *x = inode_fs(dir);
	uint32_t fl = dir->i_flags & EXT4_FL_INHERITED, type = mode & Q_S_IFMT;

	if (type == Q_S_IFREG)
		fl &= EXT4_FL_REG_MASK;
	else if (type != Q_S_IFDIR)
		fl &= EXT4_FL_OTHER_MASK;
	/* Data are not journaled here, whoever asked for it. */
	fl &= ~EXT4_JOURNAL_DATA_FL;
	if (type != Q_S_IFDIR)
		fl &= ~EXT4_PROJINHERIT_FL;
	if (has_incompat(x, EXT4_INCOMPAT_EXTENTS) &&
	    (type == Q_S_IFREG || type == Q_S_IFDIR))
		fl |= EXT4_EXTENTS_FL;
	ip->i_flags = fl;
	if (inode_has(dir, EXT4_PROJINHERIT_FL))
		ip->i_projid = dir->i_projid;
	if (has_incompat(x, EXT4_INCOMPAT_EXTENTS) && fl & EXT4_EXTENTS_FL)
		extent_init(ip);
}

static void
fill_new(struct inode *ip, const struct inode *dir, const struct qvnew *new)
{
	struct ext4 *x = inode_fs(dir);
	struct qvnode *v = &ip->i_v;
	struct qtime now = qfs_now(v->v_fs);

	qmutex_init(&ip->i_lock, "ext4 inode");
	qlist_init(&ip->i_orphan);
	journal_order_init(&ip->i_order, v);
	v->v_mode = new->vn_mode;
	v->v_uid = new->vn_uid;
	v->v_gid = new->vn_gid;
	v->v_nlink = 1;
	v->v_gen = x->x_gen++;
	v->v_atime = v->v_mtime = v->v_ctime = v->v_btime = now;
	if (x->x_isize > EXT4_GOOD_OLD_SIZE) {
		ip->i_extra = le16(x->x_super->s_want_extra_isize_le);
		if (ip->i_extra < 32 || (ip->i_extra & 3) != 0 ||
		    ip->i_extra > x->x_isize - EXT4_GOOD_OLD_SIZE)
			ip->i_extra = 32;
		ip->i_inxattr = x->x_isize >= EXT4_GOOD_OLD_SIZE + ip->i_extra +
			EXT4_XATTR_IBODY_HEAD + 4;
	}
	ip->i_seed = csum_inode_seed(x, v->v_ino, v->v_gen);
	set_flags(ip, dir, new->vn_mode);
	v->v_flags |= QV_NOSEC;
	if (qvnode_type(v) == Q_S_IFCHR || qvnode_type(v) == Q_S_IFBLK) {
		v->v_rdev = new->vn_rdev;
		put_rdev(ip, new->vn_rdev);
	}
}

int
inode_new(struct jhandle *h, struct inode *dir, const struct qvnew *new,
    struct inode **ipp)
{
	struct ext4 *x = inode_fs(dir);
	struct qvnode *v;
	struct inode *ip;
	uint64_t ino;
	int error;

	error = ialloc(h, dir, new->vn_mode, &ino);
	if (error != 0)
		return error;
	error = qvnode_get(x->x_fs, ino, &v);
	if (error == 0) {
		qvnode_put(v);
		return qfs_damaged(x->x_fs, "inode %lu was free, and is in use",
		    ino);
	}
	if (error > 0) {
		ip = inode_of(v);
		fill_new(ip, dir, new);
		v->v_ops = inode_ops(ip);
		error = inode_write_new(h, ip);
		if (error == 0) {
			qvnode_ready(v);
			*ipp = ip;
			return 0;
		}
		qvnode_fail(v);
	}
	/* It is the first that its handle changes. */
	if (ifree(h, x, ino, (new->vn_mode &Q_S_IFMT) == Q_S_IFDIR) == 0)
		h->h_changed = false;
	return error;
}

int
ext4_update(struct qvnode *v)
{
	struct inode *ip = inode_of(v);
	struct ext4 *x = inode_fs(ip);
	struct jhandle *h;
	int error, e;

	if (x->x_journal == NULL)
		return -Q_EROFS;
	error = journal_begin(x->x_journal, 4, &h);
	if (error != 0)
		return error;
	qmutex_lock(&ip->i_lock);
	error = inode_write(h, ip);
	qmutex_unlock(&ip->i_lock);
	e = journal_end(h);
	return error != 0 ? error : e;
}

/* There are credits for what comes, perhaps in the next transaction. */
static int
have_credits(struct jhandle *h, uint32_t n)
{
	int error = journal_extend(h, n);

	return error == -Q_EAGAIN ? journal_restart(h, n) : error;
}

/*
 * Nobody has it any more, in memory or by a name.  Between two transactions its
 * record says what it still has.
 */
static int
free_inode(struct inode *ip)
{
	struct ext4 *x = inode_fs(ip);
	struct qvnode *v = &ip->i_v;
	bool isdir = qvnode_isdir(v),
	     data = isdir || qvnode_type(v) == Q_S_IFREG ||
	    (qvnode_type(v) == Q_S_IFLNK && !inode_is_fastlink(ip));
	struct jhandle *h;
	int error;

	error = journal_begin(x->x_journal, MAP_CREDITS, &h);
	if (error != 0)
		return error;
	v->v_size = ip->i_disksize = 0;
	if (data && !inode_has(ip, EXT4_INLINE_DATA_FL))
		error = truncate_range(h, ip, 0, UINT64_MAX);
	if (error == 0)
		error = have_credits(h, XATTR_CREDITS);
	if (error == 0)
		error = xattr_free(h, ip);
	if (error == 0)
		error = inode_write(h, ip);
	if (error == 0)
		error = have_credits(h, 12);
	if (error == 0)
		error = orphan_del(h, ip);
	if (error == 0) {
		ip->i_next = (uint32_t)qfs_now(v->v_fs).t_sec;
		error = inode_write(h, ip);
	}
	/* After this somebody else may have the number. */
	if (error == 0)
		error = ifree(h, x, v->v_ino, isdir);
	return tx_end(x, h, error);
}

void
ext4_evict(struct qvnode *v)
{
	struct inode *ip = inode_of(v);
	struct ext4 *x = inode_fs(ip);
	int error;

	resv_end(ip);
	if (v->v_nlink == 0 && x->x_journal != NULL && !qfs_rdonly(v->v_fs)) {
		/* Without memory once more; others need the list to be whole. */
		error = free_inode(ip);
		if (error == -Q_ENOMEM)
			error = free_inode(ip);
		if (error != 0 && ip->i_isorphan)
			journal_abort(x->x_journal, error);
	}
	qmutex_lock(&x->x_orphan);
	qlist_del(&ip->i_orphan);
	qmutex_unlock(&x->x_orphan);
	if (x->x_journal != NULL)
		journal_order_gone(x->x_journal, &ip->i_order);
}
