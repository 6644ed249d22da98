/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inodes: from the disk's record to the vnode.
 */
#include "impl.h"

int
inode_record(struct ext4 *x, uint64_t ino, struct ext4_inode **dip,
    struct qbuf **bp)
{
	uint32_t g = (uint32_t)((ino - 1) / x->x_ipg);
	uint64_t at = (ino - 1) % x->x_ipg * x->x_isize;
	int error;

	qassert(ino >= 1 && ino <= x->x_ninode);
	error = blk_read(x, x->x_groups[g].g_itable + (at >> x->x_bits), bp);
	if (error == 0)
		*dip = (void *)((*bp)->bf_data + (at & (x->x_bsize - 1)));
	return error;
}

/* Section 5.1, i_atime and i_atime_extra. */
static struct qtime
get_time(uint32_t lo, uint32_t extra)
{
	struct qtime t;

	t.t_sec = (int32_t)le32(lo) + ((int64_t)(le32(extra) & 3) << 32);
	t.t_nsec = le32(extra) >> 2;
	if (t.t_nsec >= 1000000000)
		t.t_nsec = 0;
	return t;
}

static void
get_times(struct inode *ip, const struct ext4_inode *di)
{
	struct qvnode *v = &ip->i_v;
	uint32_t extra = ip->i_extra;

	v->v_ctime = get_time(di->i_ctime_le,
	    EXT4_FITS(extra, i_ctime_extra_le) ? di->i_ctime_extra_le : 0);
	v->v_mtime = get_time(di->i_mtime_le,
	    EXT4_FITS(extra, i_mtime_extra_le) ? di->i_mtime_extra_le : 0);
	v->v_atime = get_time(di->i_atime_le,
	    EXT4_FITS(extra, i_atime_extra_le) ? di->i_atime_extra_le : 0);
	if (EXT4_FITS(extra, i_crtime_le))
		v->v_btime = get_time(di->i_crtime_le,
		    EXT4_FITS(extra, i_crtime_extra_le) ?
			di->i_crtime_extra_le :
			0);
}

static uint64_t
get_rdev(const struct inode *ip)
{
	uint32_t old, new;

	memcpy(&old, ip->i_data, 4);
	memcpy(&new, ip->i_data + 4, 4);
	old = le32(old);
	new = le32(new);
	if (old != 0)
		return qdev_make(old >> 8 & 0xff, old & 0xff);
	return qdev_make(new >> 8 & 0xfff,
	    (new & 0xff) | (new >> 12 & 0xfff00));
}

static uint64_t
get_blocks(const struct ext4 *x, const struct ext4_inode *di)
{
	uint64_t n = le32(di->i_blocks_lo_le);

	if (!has_ro(x, EXT4_RO_HUGE_FILE))
		return n;
	n |= (uint64_t)le16(di->i_blocks_hi_le) << 32;
	if ((le32(di->i_flags_le) & EXT4_HUGE_FILE_FL) != 0)
		n <<= x->x_bits - 9;
	return n;
}

/* What the VFS wants to know of i_flags. */
static uint32_t
vnode_flags(uint32_t fl)
{
	return (fl & EXT4_IMMUTABLE_FL ? QV_IMMUTABLE : 0) |
	    (fl & EXT4_APPEND_FL ? QV_APPEND : 0) |
	    (fl & EXT4_NOATIME_FL ? QV_NOATIME : 0) |
	    (fl & EXT4_NODUMP_FL ? QV_NODUMP : 0) |
	    (fl & EXT4_VERITY_FL ? QV_VERITY : 0) |
	    (fl & EXT4_SYNC_FL ? QV_SYNC : 0);
}

static void
get_attrs(struct inode *ip, const struct ext4_inode *di)
{
	struct ext4 *x = inode_fs(ip);
	struct qvnode *v = &ip->i_v;

	v->v_mode = le16(di->i_mode_le);
	v->v_uid = le16(di->i_uid_lo_le) |
	    (uint32_t)le16(di->i_uid_hi_le) << 16;
	v->v_gid = le16(di->i_gid_lo_le) |
	    (uint32_t)le16(di->i_gid_hi_le) << 16;
	/* With dir_nlink 1 says that they are not counted. */
	v->v_nlink = le16(di->i_links_count_le);
	v->v_gen = le32(di->i_generation_le);
	v->v_blocks = get_blocks(x, di);
	v->v_size = le32(di->i_size_lo_le);
	if (qvnode_type(v) == Q_S_IFREG ||
	    has_incompat(x, EXT4_INCOMPAT_LARGEDIR))
		v->v_size |= (uint64_t)le32(di->i_size_hi_le) << 32;
	ip->i_disksize = v->v_size;
	ip->i_flags = le32(di->i_flags_le);
	v->v_flags |= vnode_flags(ip->i_flags);
	ip->i_facl = le32(di->i_file_acl_lo_le);
	if (has_incompat(x, EXT4_INCOMPAT_64BIT))
		ip->i_facl |= (uint64_t)le16(di->i_file_acl_hi_le) << 32;
	memcpy(ip->i_data, di->i_block, sizeof(ip->i_data));
	ip->i_next = le32(di->i_dtime_le);
	if (EXT4_FITS(ip->i_extra, i_projid_le))
		ip->i_projid = le32(di->i_projid_le);
	get_times(ip, di);
}

bool
inode_is_fastlink(const struct inode *ip)
{
	return qvnode_type(&ip->i_v) == Q_S_IFLNK &&
	    ip->i_v.v_size < EXT4_IBLOCK &&
	    !inode_has(ip, EXT4_EXTENTS_FL | EXT4_INLINE_DATA_FL);
}

static int
check_record(struct inode *ip, const struct ext4_inode *di)
{
	struct ext4 *x = inode_fs(ip);
	uint32_t sum;

	if (x->x_isize > EXT4_GOOD_OLD_SIZE) {
		ip->i_extra = le16(di->i_extra_isize_le);
		if (ip->i_extra > x->x_isize - EXT4_GOOD_OLD_SIZE ||
		    (ip->i_extra & 3) != 0)
			return inode_damaged(ip, "i_extra_isize is %u",
			    ip->i_extra);
		/* One that an old kernel wrote has no room after the fields. */
		if (ip->i_extra != 0 &&
		    x->x_isize >= EXT4_GOOD_OLD_SIZE + ip->i_extra +
			    EXT4_XATTR_IBODY_HEAD + 4)
			ip->i_inxattr = true;
	}
	ip->i_seed = csum_inode_seed(x, ip->i_v.v_ino,
	    le32(di->i_generation_le));
	if (!x->x_csum)
		return 0;
	sum = le16(di->i_checksum_lo_le);
	if (inode_has_csum_hi(x, di))
		sum |= (uint32_t)le16(di->i_checksum_hi_le) << 16;
	if (csum_inode(x, ip->i_seed, di) != sum)
		return inode_damaged(ip, "wrong checksum");
	return 0;
}

static int
check_type(struct inode *ip)
{
	struct ext4 *x = inode_fs(ip);
	struct qvnode *v = &ip->i_v;
	uint32_t type = qvnode_type(v);
	bool data = type == Q_S_IFREG || type == Q_S_IFDIR ||
	    (type == Q_S_IFLNK && !inode_is_fastlink(ip));
	/* Freeing it was cut short after its blocks had gone. */
	bool gone = v->v_nlink == 0 && v->v_size == 0;

	if (type != Q_S_IFREG && type != Q_S_IFDIR && type != Q_S_IFLNK &&
	    type != Q_S_IFCHR && type != Q_S_IFBLK && type != Q_S_IFIFO &&
	    type != Q_S_IFSOCK)
		return inode_damaged(ip, "i_mode is %x", v->v_mode);
	if (inode_has(ip, EXT4_ENCRYPT_FL))
		return inode_damaged(ip, "is encrypted");
	if (inode_has(ip, EXT4_INLINE_DATA_FL) &&
	    (!has_incompat(x, EXT4_INCOMPAT_INLINE_DATA) || !ip->i_inxattr))
		return inode_damaged(ip, "has inline data without the feature");
	if (type == Q_S_IFDIR && !inode_has(ip, EXT4_INLINE_DATA_FL) && !gone &&
	    (v->v_size == 0 || (v->v_size & (x->x_bsize - 1)) != 0))
		return inode_damaged(ip, "a directory's size is %lu",
		    v->v_size);
	if (type == Q_S_IFLNK && !gone &&
	    (v->v_size == 0 || v->v_size >= QPATH_MAX))
		return inode_damaged(ip, "a symlink's size is %lu", v->v_size);
	if (v->v_size > (uint64_t)INT64_MAX)
		return inode_damaged(ip, "i_size is %lu", v->v_size);
	if (ip->i_facl != 0 && !blk_ok(x, ip->i_facl, 1))
		return inode_damaged(ip, "attributes outside, block %lu",
		    ip->i_facl);
	if (type == Q_S_IFCHR || type == Q_S_IFBLK)
		v->v_rdev = get_rdev(ip);
	if (data && inode_has(ip, EXT4_EXTENTS_FL) &&
	    !inode_has(ip, EXT4_INLINE_DATA_FL))
		return extent_check_root(ip);
	return 0;
}

/* Is a record in use, as far as `how` asks for? */
static int
check_use(struct inode *ip, const struct ext4_inode *di, uint32_t how)
{
	bool ea = (le32(di->i_flags_le) & EXT4_EA_INODE_FL) != 0;

	if (le16(di->i_mode_le) == 0 ||
	    (le16(di->i_links_count_le) == 0 && (how & IGET_ORPHAN) == 0)) {
		if ((how & IGET_HANDLE) != 0)
			return -Q_ESTALE;
		return inode_damaged(ip, "is free, but in use");
	}
	if (ea != ((how & IGET_EA) != 0) && (how & IGET_ORPHAN) == 0) {
		if ((how & IGET_HANDLE) != 0)
			return -Q_ESTALE;
		return inode_damaged(ip, "%s",
		    ea ? "holds an attribute" : "holds no attribute");
	}
	return 0;
}

int
inode_load(struct inode *ip, uint32_t how)
{
	struct ext4 *x = inode_fs(ip);
	struct ext4_inode *di;
	struct qbuf *b;
	int error;

	qmutex_init(&ip->i_lock, "ext4 inode");
	qlist_init(&ip->i_orphan);
	journal_order_init(&ip->i_order, &ip->i_v);
	error = inode_record(x, ip->i_v.v_ino, &di, &b);
	if (error != 0)
		return error;
	error = check_use(ip, di, how);
	if (error == 0)
		error = check_record(ip, di);
	if (error == 0) {
		get_attrs(ip, di);
		error = check_type(ip);
	}
	if (error == 0)
		ip->i_v.v_flags |= xattr_flags(ip, di);
	qbuf_put(b);
	return error;
}

const struct qvnode_ops *
inode_ops(const struct inode *ip)
{
	switch (qvnode_type(&ip->i_v)) {
	case Q_S_IFREG:
		return &ext4_file_ops;
	case Q_S_IFDIR:
		return &ext4_dir_ops;
	case Q_S_IFLNK:
		return &ext4_link_ops;
	default:
		return &ext4_special_ops;
	}
}

int
inode_get(struct ext4 *x, uint64_t ino, uint32_t how, struct inode **ipp)
{
	struct qvnode *v;
	int error;

	if (ino < 1 || ino > x->x_ninode ||
	    ((how & IGET_SPECIAL) == 0 && ino < x->x_firstino &&
		ino != EXT4_ROOT_INO)) {
		if ((how & IGET_HANDLE) != 0)
			return -Q_ESTALE;
		return qfs_damaged(x->x_fs, "inode number %lu in use", ino);
	}
	error = qvnode_get(x->x_fs, ino, &v);
	if (error < 0)
		return error;
	*ipp = inode_of(v);
	if (error == 0) {
		/* In memory already: what was asked for is known of it. */
		if (inode_has(*ipp, EXT4_EA_INODE_FL) !=
		    ((how & IGET_EA) != 0)) {
			error = (how & IGET_HANDLE) != 0 ?
			    -Q_ESTALE :
			    inode_damaged(*ipp, "is a file and an attribute");
			qvnode_put(v);
		}
		return error;
	}
	error = inode_load(*ipp, how);
	if (error != 0) {
		qvnode_fail(v);
		return error;
	}
	v->v_ops = inode_ops(*ipp);
	qvnode_ready(v);
	return 0;
}

int
inode_peek(struct ext4 *x, uint64_t ino, struct inode **ipp)
{
	struct inode *ip;
	int error;

	if (ino < 1 || ino > x->x_ninode)
		return qfs_damaged(x->x_fs, "inode number %lu in use", ino);
	ip = qzalloc(&ext4_tag, sizeof(*ip));
	if (ip == NULL)
		return -Q_ENOMEM;
	ip->i_v.v_fs = x->x_fs;
	ip->i_v.v_ino = ino;
	qseq_init(&ip->i_v.v_attr);
	error = inode_load(ip, IGET_SPECIAL);
	if (error != 0)
		qfree(ip);
	else
		*ipp = ip;
	return error;
}

void
inode_unpeek(struct inode *ip)
{
	qfree(ip);
}
