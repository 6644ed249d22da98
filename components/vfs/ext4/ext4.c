/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ext2, ext3 and ext4: the component, mounting, and the file system as a whole.
 *
 * One driver reads all three: what an image has is said by its features, never
 * by the name it is mounted by.  Metadata go through buffers (buf.h), data of
 * files through the page cache; so do neither directories nor symlinks.
 */
#include "alloc.h"

const struct qtag ext4_tag = { "ext4" };

static void
release(struct ext4 *x)
{
	uint32_t g;

	mount_end(x);
	if (x->x_jinode != NULL)
		inode_unpeek(x->x_jinode);
	if (x->x_bufs != NULL)
		qbufcache_destroy(x->x_bufs);
	for (g = 0; x->x_groups != NULL && g < x->x_ngroup; g++)
		qfree(x->x_groups[g].g_busy);
	qfree(x->x_groups);
	qfree(x->x_orphan_blk);
	qfree(x->x_super);
	qfree(x);
}

static void
ext4_unmount(struct qfs *fs)
{
	release(ext4_of(fs));
	fs->fs_priv = NULL;
}

/* Whom blocks are kept for, and how often is committed. */
static void
take_options(struct ext4 *x, const struct ext4_options *o)
{
	const struct ext4_super *sb = x->x_super;

	x->x_resuid = o->o_resuid != UINT32_MAX ? o->o_resuid :
						  le16(sb->s_def_resuid_le);
	x->x_resgid = o->o_resgid != UINT32_MAX ? o->o_resgid :
						  le16(sb->s_def_resgid_le);
	if (o->o_commit != 0)
		x->x_opt.o_commit = o->o_commit;
}

static uint64_t
reserved_blocks(const struct ext4 *x)
{
	const struct ext4_super *sb = x->x_super;

	return le_pair(sb->s_r_blocks_count_lo_le,
	    has_incompat(x, EXT4_INCOMPAT_64BIT) ? sb->s_r_blocks_count_hi_le :
						   0);
}

/* As Linux: what is overhead is not counted as the file system's. */
static int
ext4_statfs(struct qfs *fs, struct q_statfs *st)
{
	struct ext4 *x = ext4_of(fs);
	uint64_t resvd = reserved_blocks(x) + (x->x_resvd << x->x_cbits), free;

	qmutex_lock(&x->x_alloc);
	free = x->x_free > x->x_promised ? x->x_free - x->x_promised : 0;
	st->f_ffree = x->x_ifree;
	qmutex_unlock(&x->x_alloc);
	st->f_blocks = x->x_nblock - (x->x_overhead << x->x_cbits);
	st->f_bfree = free << x->x_cbits;
	st->f_bavail = st->f_bfree > resvd ? st->f_bfree - resvd : 0;
	st->f_files = x->x_ninode;
	return 0;
}

static int
ext4_vget(struct qfs *fs, uint64_t ino, uint32_t gen, struct qvnode **vp)
{
	struct inode *ip;
	int error;

	error = inode_get(ext4_of(fs), ino, IGET_HANDLE, &ip);
	if (error != 0)
		return error;
	if (ip->i_v.v_gen != gen) {
		qvnode_put(&ip->i_v);
		return -Q_ESTALE;
	}
	*vp = &ip->i_v;
	return 0;
}

static int
ext4_parent(struct qvnode *v, struct qvnode **vp)
{
	struct inode *dir = inode_of(v), *ip;
	uint32_t ino;
	int error;

	error = dir_parent(dir, &ino);
	if (error == 0)
		error = inode_get(inode_fs(dir), ino, 0, &ip);
	if (error == 0)
		*vp = &ip->i_v;
	return error;
}

static int
ext4_remount(struct qfs *fs, uint32_t flags, const char *options)
{
	struct ext4 *x = ext4_of(fs);
	struct ext4_options o;
	int error = options_parse(x, options, &o);

	if (error != 0)
		return error;
	take_options(x, &o);
	if ((flags & QFS_RDONLY) != 0) {
		mount_end(x);
		return 0;
	}
	if (x->x_journal != NULL)
		return 0;
	if (x->x_opt.o_noload) {
		qfs_log(fs, QUERN_LOG_ERR,
		    "can't become writable, mounted with noload");
		return -Q_EROFS;
	}
	return mount_writable(x);
}

static const struct qfs_ops ext4_ops = {
	.fso_sync = ext4_sync,
	.fso_remount = ext4_remount,
	.fso_trim = alloc_trim,
	.fso_statfs = ext4_statfs,
	.fso_unmount = ext4_unmount,
	.fso_vget = ext4_vget,
	.fso_parent = ext4_parent,
};

static void
describe(struct ext4 *x)
{
	struct qfs *fs = x->x_fs;
	uint64_t blocks = has_incompat(x, EXT4_INCOMPAT_EXTENTS) ?
	    UINT32_MAX :
	    blockmap_maxblocks(x);

	fs->fs_ops = &ext4_ops;
	fs->fs_magic = EXT4_MAGIC;
	fs->fs_bsize = x->x_bsize;
	fs->fs_namelen = QNAME_MAX;
	fs->fs_maxsize = blocks << x->x_bits;
	/* Sections 5.1: 34 bits of seconds where the record has room for them. */
	fs->fs_time_min = INT32_MIN;
	fs->fs_time_max = INT32_MAX;
	fs->fs_time_gran = 1000000000;
	if (x->x_isize > EXT4_GOOD_OLD_SIZE) {
		fs->fs_time_max += INT64_C(3) << 32;
		fs->fs_time_gran = 1;
	}
	memcpy(fs->fs_uuid, x->x_super->s_uuid, sizeof(fs->fs_uuid));
}

static int
get_root(struct ext4 *x)
{
	struct inode *root;
	int error;

	error = inode_get(x, EXT4_ROOT_INO, 0, &root);
	if (error != 0)
		return error;
	if (!qvnode_isdir(&root->i_v)) {
		error = inode_damaged(root, "the root is no directory");
		qvnode_put(&root->i_v);
		return error;
	}
	x->x_fs->fs_root = &root->i_v;
	return 0;
}

static int
open_fs(struct ext4 *x, bool probe)
{
	int error;

	error = super_read(x, probe);
	if (error != 0)
		return error;
	error = qbufcache_create(x->x_fs->fs_disk, x->x_bsize, 0, &x->x_bufs);
	if (error != 0)
		return error;
	x->x_groups = qzalloc(&ext4_tag, sizeof(struct group) * x->x_ngroup);
	if (x->x_groups == NULL)
		return -Q_ENOMEM;
	error = groups_load(x);
	if (error == 0)
		error = mount_journal(x);
	if (error != 0)
		return error;
	x->x_overhead = super_overhead(x,
	    x->x_jinode == NULL ? 0 : x->x_jinode->i_v.v_size >> x->x_bits);
	x->x_resvd = (x->x_nblock >> x->x_cbits) / 50;
	if (x->x_resvd > 4096)
		x->x_resvd = 4096;
	x->x_rootresv = reserved_blocks(x) >> x->x_cbits;
	take_options(x, &x->x_opt);
	describe(x);
	if ((x->x_fs->fs_flags & QFS_RDONLY) == 0) {
		error = mount_writable(x);
		if (error == -Q_EROFS)
			__atomic_fetch_or(&x->x_fs->fs_flags, QFS_RDONLY,
			    __ATOMIC_RELAXED);
		else if (error != 0)
			return error;
	}
	return get_root(x);
}

static int
ext4_mount(struct qfs *fs, const char *options, bool probe)
{
	struct ext4 *x;
	int error;

	x = qzalloc(&ext4_tag, sizeof(*x));
	if (x == NULL)
		return -Q_ENOMEM;
	x->x_fs = fs;
	fs->fs_priv = x;
	qmutex_init(&x->x_alloc, "ext4 alloc");
	qmutex_init(&x->x_orphan, "ext4 orphans");
	qlist_init(&x->x_orphans);
	x->x_super = qalloc(&ext4_tag, sizeof(*x->x_super));
	error = x->x_super == NULL ? -Q_ENOMEM :
				     options_parse(x, options, &x->x_opt);
	if (error == 0 && x->x_opt.o_noload &&
	    (fs->fs_flags & QFS_RDONLY) == 0) {
		qfs_log(fs, QUERN_LOG_ERR,
		    "not mounted: noload is for read-only mounts");
		error = -Q_EINVAL;
	}
	if (error == 0)
		error = open_fs(x, probe);
	if (error != 0) {
		release(x);
		fs->fs_priv = NULL;
		return error;
	}
	return 0;
}

static const struct qfs_type types[] = {
	{ "ext4", QFT_DISK, sizeof(struct inode), ext4_mount },
	{ "ext3", QFT_DISK, sizeof(struct inode), ext4_mount },
	{ "ext2", QFT_DISK, sizeof(struct inode), ext4_mount },
};

static int
ext4_init(struct quern *k, void **statep)
{
	unsigned i;
	int error = 0;

	(void)statep;
	for (i = 0; i < QARRAYLEN(types) && error == 0; i++)
		error = qfs_register(k, &types[i]);
	return error;
}

static const struct quern_component *const needs[] = { &qvfs, NULL };

const struct quern_component qext4 = {
	.c_name = "ext4",
	.c_needs = needs,
	.c_init = ext4_init,
};
