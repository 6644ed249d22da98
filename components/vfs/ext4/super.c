/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The super block: features, geometry, and its state on disk.
 *
 * Nothing read here is trusted before check_geometry has passed.  Afterwards
 *
 * I1	x_bsize is 1 .. 64 KiB, x_isize a power of two from 128 up to it;
 * I2	x_bpg = x_cpg << x_cbits, and a bitmap of x_cpg or x_ipg bits fits into a
 *	block;
 * I3	x_ngroup groups hold x_nblock - x_first blocks, the last at least one,
 *	and all blocks lie on the disk;
 * I4	x_ninode = x_ngroup * x_ipg.
 */
#include "impl.h"

struct feature {
	uint32_t f_bit;
	const char *f_name; /* as dumpe2fs prints it */
};

static const struct feature incompat_names[] = {
	{ EXT4_INCOMPAT_COMPRESSION, "compression" },
	{ EXT4_INCOMPAT_FILETYPE, "filetype" },
	{ EXT4_INCOMPAT_RECOVER, "needs_recovery" },
	{ EXT4_INCOMPAT_JOURNAL_DEV, "journal_dev" },
	{ EXT4_INCOMPAT_META_BG, "meta_bg" },
	{ EXT4_INCOMPAT_EXTENTS, "extent" },
	{ EXT4_INCOMPAT_64BIT, "64bit" },
	{ EXT4_INCOMPAT_MMP, "mmp" },
	{ EXT4_INCOMPAT_FLEX_BG, "flex_bg" },
	{ EXT4_INCOMPAT_EA_INODE, "ea_inode" },
	{ EXT4_INCOMPAT_DIRDATA, "dirdata" },
	{ EXT4_INCOMPAT_CSUM_SEED, "metadata_csum_seed" },
	{ EXT4_INCOMPAT_LARGEDIR, "large_dir" },
	{ EXT4_INCOMPAT_INLINE_DATA, "inline_data" },
	{ EXT4_INCOMPAT_ENCRYPT, "encrypt" },
	{ EXT4_INCOMPAT_CASEFOLD, "casefold" },
	{ 0, NULL },
};

static const struct feature ro_names[] = {
	{ EXT4_RO_SPARSE_SUPER, "sparse_super" },
	{ EXT4_RO_LARGE_FILE, "large_file" },
	{ EXT4_RO_HUGE_FILE, "huge_file" },
	{ EXT4_RO_GDT_CSUM, "uninit_bg" },
	{ EXT4_RO_DIR_NLINK, "dir_nlink" },
	{ EXT4_RO_EXTRA_ISIZE, "extra_isize" },
	{ 0x80u, "snapshot" },
	{ EXT4_RO_QUOTA, "quota" },
	{ EXT4_RO_BIGALLOC, "bigalloc" },
	{ EXT4_RO_METADATA_CSUM, "metadata_csum" },
	{ 0x800u, "replica" },
	{ EXT4_RO_READONLY, "read-only" },
	{ EXT4_RO_PROJECT, "project" },
	{ EXT4_RO_SHARED_BLOCKS, "shared_blocks" },
	{ EXT4_RO_VERITY, "verity" },
	{ EXT4_RO_ORPHAN_PRESENT, "orphan_present" },
	{ 0, NULL },
};

#define INCOMPAT_READ                                                         \
	(EXT4_INCOMPAT_FILETYPE | EXT4_INCOMPAT_RECOVER |                     \
	    EXT4_INCOMPAT_META_BG | EXT4_INCOMPAT_EXTENTS |                   \
	    EXT4_INCOMPAT_64BIT | EXT4_INCOMPAT_MMP | EXT4_INCOMPAT_FLEX_BG | \
	    EXT4_INCOMPAT_EA_INODE | EXT4_INCOMPAT_CSUM_SEED |                \
	    EXT4_INCOMPAT_LARGEDIR | EXT4_INCOMPAT_INLINE_DATA)

#define RO_WRITE                                                             \
	(EXT4_RO_SPARSE_SUPER | EXT4_RO_LARGE_FILE | EXT4_RO_BTREE_DIR |     \
	    EXT4_RO_HUGE_FILE | EXT4_RO_GDT_CSUM | EXT4_RO_DIR_NLINK |       \
	    EXT4_RO_EXTRA_ISIZE | EXT4_RO_BIGALLOC | EXT4_RO_METADATA_CSUM | \
	    EXT4_RO_ORPHAN_PRESENT | EXT4_RO_PROJECT | EXT4_RO_VERITY)

/* The names of `bits`, separated by commas, into buf. */
static const char *
feature_names(const struct feature *f, char letter, uint32_t bits, char *buf,
    size_t len)
{
	size_t at = 0;
	unsigned bit;

	buf[0] = '\0';
	for (bit = 0; bit < 32 && at < len; bit++) {
		const struct feature *p = f;
		const char *sep = at == 0 ? "" : ", ";
		uint32_t b = UINT32_C(1) << bit;

		if ((bits & b) == 0)
			continue;
		while (p->f_name != NULL && p->f_bit != b)
			p++;
		if (p->f_name != NULL)
			at += (size_t)qsnprintf(buf + at, len - at, "%s%s", sep,
			    p->f_name);
		else
			at += (size_t)qsnprintf(buf + at, len - at,
			    "%sFEATURE_%c%u", sep, letter, bit);
	}
	return buf;
}

/* May it be written?  If not, the log says what is in the way. */
bool
super_writable(struct ext4 *x)
{
	uint32_t bits = x->x_ro & ~RO_WRITE;
	char names[160];

	if (bits == 0)
		return true;
	qfs_log(x->x_fs, QUERN_LOG_WARN,
	    "mounted read-only: these features are not known for writing: %s",
	    feature_names(ro_names, 'R', bits, names, sizeof(names)));
	return false;
}

static int
check_features(struct ext4 *x)
{
	const struct ext4_super *sb = x->x_super;
	char names[200];
	uint32_t bits;

	if (le32(sb->s_rev_level_le) >= EXT4_REV_DYNAMIC) {
		x->x_compat = le32(sb->s_feature_compat_le);
		x->x_incompat = le32(sb->s_feature_incompat_le);
		x->x_ro = le32(sb->s_feature_ro_compat_le);
	}
	bits = x->x_incompat & ~INCOMPAT_READ;
	if (bits != 0) {
		qfs_log(x->x_fs, QUERN_LOG_ERR,
		    "not mounted: features not supported: %s",
		    feature_names(incompat_names, 'I', bits, names,
			sizeof(names)));
		return -Q_EOPNOTSUPP;
	}
	if ((x->x_compat & EXT4_COMPAT_HAS_JOURNAL) != 0 &&
	    le32(sb->s_journal_inum_le) == 0) {
		qfs_log(x->x_fs, QUERN_LOG_ERR,
		    "not mounted: external journals are not supported");
		return -Q_EOPNOTSUPP;
	}
	return 0;
}

static bool
power_of_two(uint32_t v)
{
	return v != 0 && (v & (v - 1)) == 0;
}

static int
bad_super(struct ext4 *x, const char *what, uint64_t value)
{
	return qfs_damaged(x->x_fs, "super block: %s is %lu", what, value);
}

static int
check_sizes(struct ext4 *x)
{
	const struct ext4_super *sb = x->x_super;
	uint32_t logb = le32(sb->s_log_block_size_le);
	uint32_t logc = le32(sb->s_log_cluster_size_le);

	if (logb > 6)
		return bad_super(x, "s_log_block_size", logb);
	x->x_bits = 10 + logb;
	x->x_bsize = UINT32_C(1) << x->x_bits;
	x->x_bpg = le32(sb->s_blocks_per_group_le);
	x->x_cpg = x->x_bpg;
	if (has_ro(x, EXT4_RO_BIGALLOC)) {
		if (logc < logb || logc > 20)
			return bad_super(x, "s_log_cluster_size", logc);
		x->x_cbits = logc - logb;
		x->x_cpg = le32(sb->s_clusters_per_group_le);
	}
	if (x->x_cpg == 0 || x->x_cpg > 8 * x->x_bsize || (x->x_cpg & 7) != 0 ||
	    (uint64_t)x->x_cpg << x->x_cbits != x->x_bpg)
		return bad_super(x, "s_blocks_per_group", x->x_bpg);
	x->x_isize = EXT4_GOOD_OLD_SIZE;
	x->x_firstino = EXT4_GOOD_OLD_FIRST;
	if (le32(sb->s_rev_level_le) >= EXT4_REV_DYNAMIC) {
		x->x_isize = le16(sb->s_inode_size_le);
		x->x_firstino = le32(sb->s_first_ino_le);
	}
	if (x->x_isize < EXT4_GOOD_OLD_SIZE || !power_of_two(x->x_isize) ||
	    x->x_isize > x->x_bsize)
		return bad_super(x, "s_inode_size", x->x_isize);
	if (x->x_firstino < EXT4_GOOD_OLD_FIRST)
		return bad_super(x, "s_first_ino", x->x_firstino);
	x->x_ipg = le32(sb->s_inodes_per_group_le);
	if (x->x_ipg < x->x_bsize / x->x_isize || x->x_ipg > 8 * x->x_bsize ||
	    (x->x_ipg & 7) != 0)
		return bad_super(x, "s_inodes_per_group", x->x_ipg);
	x->x_desc_size = EXT4_DESC_SIZE;
	if (has_incompat(x, EXT4_INCOMPAT_64BIT)) {
		x->x_desc_size = le16(sb->s_desc_size_le);
		if (x->x_desc_size < EXT4_DESC_SIZE64 ||
		    x->x_desc_size > 1024 || !power_of_two(x->x_desc_size))
			return bad_super(x, "s_desc_size", x->x_desc_size);
	}
	x->x_desc_per_block = x->x_bsize / x->x_desc_size;
	return 0;
}

static int
check_geometry(struct ext4 *x)
{
	const struct ext4_super *sb = x->x_super;
	uint64_t size = qdisk_size(x->x_fs->fs_disk), n;
	int error;

	error = check_sizes(x);
	if (error != 0)
		return error;
	x->x_nblock = le32(sb->s_blocks_count_lo_le);
	if (has_incompat(x, EXT4_INCOMPAT_64BIT))
		x->x_nblock = le_pair(sb->s_blocks_count_lo_le,
		    sb->s_blocks_count_hi_le);
	x->x_first = le32(sb->s_first_data_block_le);
	if (x->x_first > 1 ||
	    (x->x_first == 1) != (x->x_bsize == 1024 && x->x_cbits == 0))
		return bad_super(x, "s_first_data_block", x->x_first);
	if (x->x_nblock <= x->x_first + 1 || x->x_nblock >> 48 != 0)
		return bad_super(x, "s_blocks_count", x->x_nblock);
	if (x->x_nblock > size >> x->x_bits) {
		qfs_log(x->x_fs, QUERN_LOG_ERR,
		    "not mounted: it has %lu blocks of %u bytes, the disk only "
		    "%lu",
		    x->x_nblock, x->x_bsize, size >> x->x_bits);
		return -Q_EINVAL;
	}
	n = (x->x_nblock - x->x_first + x->x_bpg - 1) / x->x_bpg;
	x->x_ninode = le32(sb->s_inodes_count_le);
	if (n * x->x_ipg != x->x_ninode)
		return bad_super(x, "s_inodes_count", x->x_ninode);
	x->x_ngroup = (uint32_t)n;
	if (has_incompat(x, EXT4_INCOMPAT_META_BG) &&
	    le32(sb->s_first_meta_bg_le) > group_desc_blocks(x))
		return bad_super(x, "s_first_meta_bg",
		    le32(sb->s_first_meta_bg_le));
	x->x_flexbits = 0;
	if (has_incompat(x, EXT4_INCOMPAT_FLEX_BG) &&
	    sb->s_log_groups_per_flex < 32)
		x->x_flexbits = sb->s_log_groups_per_flex;
	return 0;
}

static int
check_checksum(struct ext4 *x)
{
	const struct ext4_super *sb = x->x_super;

	x->x_csum = has_ro(x, EXT4_RO_METADATA_CSUM);
	x->x_gdtcsum = !x->x_csum && has_ro(x, EXT4_RO_GDT_CSUM);
	if (x->x_csum && sb->s_checksum_type != 1)
		return bad_super(x, "s_checksum_type", sb->s_checksum_type);
	if (x->x_csum && csum_super(sb) != le32(sb->s_checksum_le))
		return qfs_damaged(x->x_fs, "super block: wrong checksum");
	x->x_seed = has_incompat(x, EXT4_INCOMPAT_CSUM_SEED) ?
	    le32(sb->s_checksum_seed_le) :
	    ext4_crc32c(~0u, sb->s_uuid, sizeof(sb->s_uuid));
	return 0;
}

/* What has no name of its own in the super block is worked out once. */
static void
take_hints(struct ext4 *x)
{
	const struct ext4_super *sb = x->x_super;
	unsigned i;

	for (i = 0; i < 4; i++)
		x->x_hashseed[i] = le32(sb->s_hash_seed_le[i]);
	/* Without either flag the machine that made it decides: ours, x86. */
	x->x_hash_unsigned = (le32(sb->s_flags_le) & EXT4_FLAG_UNSIGNED_HASH) !=
	    0;
}

/* Look at a disk: is it one of ours, and may it be read? */
int
super_read(struct ext4 *x, bool probe)
{
	struct qdisk *d = x->x_fs->fs_disk;
	size_t len = EXT4_SUPER_OFF + EXT4_SUPER_SIZE;
	uint8_t *buf;
	int error;

	len = QROUNDUP(len, d->qd_sector);
	if (qdisk_size(d) < len)
		return -Q_EINVAL;
	buf = qalloc(&ext4_tag, len);
	if (buf == NULL)
		return -Q_ENOMEM;
	error = qdisk_read(d, 0, buf, len);
	if (error != 0) {
		qfree(buf);
		return error;
	}
	memcpy(x->x_super, buf + EXT4_SUPER_OFF, sizeof(*x->x_super));
	qfree(buf);
	if (le16(x->x_super->s_magic_le) != EXT4_MAGIC) {
		if (!probe)
			qfs_log(x->x_fs, QUERN_LOG_ERR,
			    "not mounted: no ext2, ext3 or ext4 super block");
		return -Q_EINVAL;
	}
	error = check_features(x);
	if (error == 0)
		error = check_checksum(x);
	if (error == 0)
		error = check_geometry(x);
	if (error == 0)
		take_hints(x);
	return error;
}

/* Is there a copy of the super block in group `g`? */
bool
super_in_group(const struct ext4 *x, uint32_t g)
{
	uint32_t p;

	if (g == 0)
		return true;
	if ((x->x_compat & EXT4_COMPAT_SPARSE_SUPER2) != 0)
		return g == le32(x->x_super->s_backup_bgs_le[0]) ||
		    g == le32(x->x_super->s_backup_bgs_le[1]);
	if (g == 1 || !has_ro(x, EXT4_RO_SPARSE_SUPER))
		return true;
	for (p = 3; p <= 7; p += 2) {
		uint64_t v = p;

		while (v < g)
			v *= p;
		if (v == g)
			return true;
	}
	return false;
}

/*
 * Clusters that hold no file's data, as Linux counts them for statfs: what the
 * super block says, or else copies of it, descriptors, bitmaps and tables of
 * inodes, and the journal.
 */
uint64_t
super_overhead(const struct ext4 *x, uint64_t journal_blocks)
{
	const struct ext4_super *sb = x->x_super;
	uint64_t blocks = x->x_first, said = le32(sb->s_overhead_blocks_le);
	uint32_t per = (uint32_t)to_blocks(x, (uint64_t)x->x_ipg * x->x_isize);
	uint32_t g;

	if (said != 0 && said < x->x_nblock >> x->x_cbits)
		return said;
	for (g = 0; g < x->x_ngroup; g++)
		blocks += group_base_blocks(x, g) + per + 2;
	blocks += journal_blocks;
	return (blocks + (UINT64_C(1) << x->x_cbits) - 1) >> x->x_cbits;
}
