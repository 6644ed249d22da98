/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What ext2, ext3 and ext4 keep on disk.
 *
 * Source: "ext4 Data Structures and Algorithms" of the Linux kernel's
 * documentation; the section is named above each structure.  All numbers are
 * little-endian and are read and stored through le16 ... to_le64; nothing need
 * be aligned.  No logic here.  The journal's are journal.c's.
 */
#ifndef QUERN_EXT4_ONDISK_H
#define QUERN_EXT4_ONDISK_H

#include <stddef.h>
#include <stdint.h>

typedef uint16_t le16_t __attribute__((aligned(1)));
typedef uint32_t le32_t __attribute__((aligned(1)));
typedef uint64_t le64_t __attribute__((aligned(1)));

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the accessors below want a little-endian machine"
#endif

static inline uint16_t
le16(uint16_t v)
{
	return v;
}

static inline uint32_t
le32(uint32_t v)
{
	return v;
}

static inline uint64_t
le64(uint64_t v)
{
	return v;
}

#define to_le16(v) le16((uint16_t)(v))
#define to_le32(v) le32((uint32_t)(v))
#define to_le64(v) le64((uint64_t)(v))

/* Two halves of a number. */
static inline uint64_t
le_pair(uint32_t lo, uint32_t hi)
{
	return le32(lo) | (uint64_t)le32(hi) << 32;
}

/* ---- 4.1 Super Block -------------------------------------------------------- */

#define EXT4_SUPER_OFF  1024u
#define EXT4_SUPER_SIZE 1024u
#define EXT4_MAGIC      0xef53u

#define EXT4_REV_DYNAMIC    1u
#define EXT4_GOOD_OLD_FIRST 11u
#define EXT4_GOOD_OLD_SIZE  128u

/* s_state */
#define EXT4_STATE_VALID  1u
#define EXT4_STATE_ERROR  2u
#define EXT4_STATE_ORPHAN 4u /* orphans are being dealt with */

/* s_errors */
#define EXT4_ERRORS_CONTINUE 1u
#define EXT4_ERRORS_RO       2u
#define EXT4_ERRORS_PANIC    3u

/* s_feature_compat */
#define EXT4_COMPAT_DIR_PREALLOC  0x0001u
#define EXT4_COMPAT_HAS_JOURNAL   0x0004u
#define EXT4_COMPAT_EXT_ATTR      0x0008u
#define EXT4_COMPAT_RESIZE_INODE  0x0010u
#define EXT4_COMPAT_DIR_INDEX     0x0020u
#define EXT4_COMPAT_SPARSE_SUPER2 0x0200u
#define EXT4_COMPAT_FAST_COMMIT   0x0400u
#define EXT4_COMPAT_ORPHAN_FILE   0x1000u

/* s_feature_incompat */
#define EXT4_INCOMPAT_COMPRESSION 0x00001u
#define EXT4_INCOMPAT_FILETYPE    0x00002u
#define EXT4_INCOMPAT_RECOVER     0x00004u
#define EXT4_INCOMPAT_JOURNAL_DEV 0x00008u
#define EXT4_INCOMPAT_META_BG     0x00010u
#define EXT4_INCOMPAT_EXTENTS     0x00040u
#define EXT4_INCOMPAT_64BIT       0x00080u
#define EXT4_INCOMPAT_MMP         0x00100u
#define EXT4_INCOMPAT_FLEX_BG     0x00200u
#define EXT4_INCOMPAT_EA_INODE    0x00400u
#define EXT4_INCOMPAT_DIRDATA     0x01000u
#define EXT4_INCOMPAT_CSUM_SEED   0x02000u
#define EXT4_INCOMPAT_LARGEDIR    0x04000u
#define EXT4_INCOMPAT_INLINE_DATA 0x08000u
#define EXT4_INCOMPAT_ENCRYPT     0x10000u
#define EXT4_INCOMPAT_CASEFOLD    0x20000u

/* s_feature_ro_compat */
#define EXT4_RO_SPARSE_SUPER   0x0001u
#define EXT4_RO_LARGE_FILE     0x0002u
#define EXT4_RO_BTREE_DIR      0x0004u
#define EXT4_RO_HUGE_FILE      0x0008u
#define EXT4_RO_GDT_CSUM       0x0010u
#define EXT4_RO_DIR_NLINK      0x0020u
#define EXT4_RO_EXTRA_ISIZE    0x0040u
#define EXT4_RO_QUOTA          0x0100u
#define EXT4_RO_BIGALLOC       0x0200u
#define EXT4_RO_METADATA_CSUM  0x0400u
#define EXT4_RO_READONLY       0x1000u
#define EXT4_RO_PROJECT        0x2000u
#define EXT4_RO_SHARED_BLOCKS  0x4000u
#define EXT4_RO_VERITY         0x8000u
#define EXT4_RO_ORPHAN_PRESENT 0x10000u

/* s_flags */
#define EXT4_FLAG_SIGNED_HASH   1u
#define EXT4_FLAG_UNSIGNED_HASH 2u

struct ext4_super {
	le32_t s_inodes_count_le;         /* 0x0 */
	le32_t s_blocks_count_lo_le;      /* 0x4 */
	le32_t s_r_blocks_count_lo_le;    /* 0x8 */
	le32_t s_free_blocks_count_lo_le; /* 0xc clusters, in fact */
	le32_t s_free_inodes_count_le;    /* 0x10 */
	le32_t s_first_data_block_le;     /* 0x14 */
	le32_t s_log_block_size_le;       /* 0x18 */
	le32_t s_log_cluster_size_le;     /* 0x1c */
	le32_t s_blocks_per_group_le;     /* 0x20 */
	le32_t s_clusters_per_group_le;   /* 0x24 */
	le32_t s_inodes_per_group_le;     /* 0x28 */
	le32_t s_mtime_le;                /* 0x2c */
	le32_t s_wtime_le;                /* 0x30 */
	le16_t s_mnt_count_le;            /* 0x34 */
	le16_t s_max_mnt_count_le;        /* 0x36 */
	le16_t s_magic_le;                /* 0x38 */
	le16_t s_state_le;                /* 0x3a */
	le16_t s_errors_le;               /* 0x3c */
	le16_t s_minor_rev_level_le;      /* 0x3e */
	le32_t s_lastcheck_le;            /* 0x40 */
	le32_t s_checkinterval_le;        /* 0x44 */
	le32_t s_creator_os_le;           /* 0x48 */
	le32_t s_rev_level_le;            /* 0x4c */
	le16_t s_def_resuid_le;           /* 0x50 */
	le16_t s_def_resgid_le;           /* 0x52 */
	le32_t s_first_ino_le;            /* 0x54 */
	le16_t s_inode_size_le;           /* 0x58 */
	le16_t s_block_group_nr_le;       /* 0x5a */
	le32_t s_feature_compat_le;       /* 0x5c */
	le32_t s_feature_incompat_le;     /* 0x60 */
	le32_t s_feature_ro_compat_le;    /* 0x64 */
	uint8_t s_uuid[16];               /* 0x68 */
	char s_volume_name[16];           /* 0x78 */
	char s_last_mounted[64];          /* 0x88 */
	le32_t s_algorithm_usage_le;      /* 0xc8 */
	uint8_t s_prealloc_blocks;        /* 0xcc */
	uint8_t s_prealloc_dir_blocks;    /* 0xcd */
	le16_t s_reserved_gdt_blocks_le;  /* 0xce */
	uint8_t s_journal_uuid[16];       /* 0xd0 */
	le32_t s_journal_inum_le;         /* 0xe0 */
	le32_t s_journal_dev_le;          /* 0xe4 */
	le32_t s_last_orphan_le;          /* 0xe8 */
	le32_t s_hash_seed_le[4];         /* 0xec */
	uint8_t s_def_hash_version;       /* 0xfc */
	uint8_t s_jnl_backup_type;        /* 0xfd */
	le16_t s_desc_size_le;            /* 0xfe */
	le32_t s_default_mount_opts_le;   /* 0x100 */
	le32_t s_first_meta_bg_le;        /* 0x104 */
	le32_t s_mkfs_time_le;            /* 0x108 */
	le32_t s_jnl_blocks_le[17];       /* 0x10c */
	le32_t s_blocks_count_hi_le;      /* 0x150 */
	le32_t s_r_blocks_count_hi_le;    /* 0x154 */
	le32_t s_free_blocks_count_hi_le; /* 0x158 */
	le16_t s_min_extra_isize_le;      /* 0x15c */
	le16_t s_want_extra_isize_le;     /* 0x15e */
	le32_t s_flags_le;                /* 0x160 */
	le16_t s_raid_stride_le;          /* 0x164 */
	le16_t s_mmp_interval_le;         /* 0x166 */
	le64_t s_mmp_block_le;            /* 0x168 */
	le32_t s_raid_stripe_width_le;    /* 0x170 */
	uint8_t s_log_groups_per_flex;    /* 0x174 */
	uint8_t s_checksum_type;          /* 0x175 1: crc32c */
	uint8_t s_encryption_level;       /* 0x176 */
	uint8_t s_reserved_pad;           /* 0x177 */
	le64_t s_kbytes_written_le;       /* 0x178 */
	le32_t s_snapshot_le[5];          /* 0x180 not used */
	le32_t s_error_count_le;          /* 0x194 */
	le32_t s_first_error_time_le;     /* 0x198 */
	le32_t s_first_error_ino_le;      /* 0x19c */
	le64_t s_first_error_block_le;    /* 0x1a0 */
	uint8_t s_first_error_func[32];   /* 0x1a8 */
	le32_t s_first_error_line_le;     /* 0x1c8 */
	le32_t s_last_error_time_le;      /* 0x1cc */
	le32_t s_last_error_ino_le;       /* 0x1d0 */
	le32_t s_last_error_line_le;      /* 0x1d4 */
	le64_t s_last_error_block_le;     /* 0x1d8 */
	uint8_t s_last_error_func[32];    /* 0x1e0 */
	char s_mount_opts[64];            /* 0x200 */
	le32_t s_usr_quota_inum_le;       /* 0x240 */
	le32_t s_grp_quota_inum_le;       /* 0x244 */
	le32_t s_overhead_blocks_le;      /* 0x248 */
	le32_t s_backup_bgs_le[2];        /* 0x24c sparse_super2 */
	uint8_t s_encrypt_algos[4];       /* 0x254 */
	uint8_t s_encrypt_pw_salt[16];    /* 0x258 */
	le32_t s_lpf_ino_le;              /* 0x268 */
	le32_t s_prj_quota_inum_le;       /* 0x26c */
	le32_t s_checksum_seed_le;        /* 0x270 */
	uint8_t s_wtime_hi;               /* 0x274 */
	uint8_t s_mtime_hi;               /* 0x275 */
	uint8_t s_mkfs_time_hi;           /* 0x276 */
	uint8_t s_lastcheck_hi;           /* 0x277 */
	uint8_t s_first_error_time_hi;    /* 0x278 */
	uint8_t s_last_error_time_hi;     /* 0x279 */
	uint8_t s_error_codes[2];         /* 0x27a */
	le16_t s_encoding_le;             /* 0x27c */
	le16_t s_encoding_flags_le;       /* 0x27e */
	le32_t s_orphan_file_inum_le;     /* 0x280 */
	le32_t s_reserved_le[94];         /* 0x284 */
	le32_t s_checksum_le;             /* 0x3fc */
};

_Static_assert(sizeof(struct ext4_super) == EXT4_SUPER_SIZE, "super block");
_Static_assert(offsetof(struct ext4_super, s_error_count_le) == 0x194, "");
_Static_assert(offsetof(struct ext4_super, s_mount_opts) == 0x200, "");
_Static_assert(offsetof(struct ext4_super, s_orphan_file_inum_le) == 0x280, "");

/* ---- 4.2 Block Group Descriptors -------------------------------------------- */

/* bg_flags */
#define EXT4_BG_INODE_UNINIT 1u
#define EXT4_BG_BLOCK_UNINIT 2u
#define EXT4_BG_INODE_ZEROED 4u

#define EXT4_DESC_SIZE   32u
#define EXT4_DESC_SIZE64 64u

struct ext4_group_desc {
	le32_t bg_block_bitmap_lo_le;      /* 0x0 */
	le32_t bg_inode_bitmap_lo_le;      /* 0x4 */
	le32_t bg_inode_table_lo_le;       /* 0x8 */
	le16_t bg_free_blocks_lo_le;       /* 0xc clusters */
	le16_t bg_free_inodes_lo_le;       /* 0xe */
	le16_t bg_used_dirs_lo_le;         /* 0x10 */
	le16_t bg_flags_le;                /* 0x12 */
	le32_t bg_exclude_bitmap_lo_le;    /* 0x14 */
	le16_t bg_block_bitmap_csum_lo_le; /* 0x18 */
	le16_t bg_inode_bitmap_csum_lo_le; /* 0x1a */
	le16_t bg_itable_unused_lo_le;     /* 0x1c */
	le16_t bg_checksum_le;             /* 0x1e */
	/* with 64bit and s_desc_size >= 64 */
	le32_t bg_block_bitmap_hi_le;      /* 0x20 */
	le32_t bg_inode_bitmap_hi_le;      /* 0x24 */
	le32_t bg_inode_table_hi_le;       /* 0x28 */
	le16_t bg_free_blocks_hi_le;       /* 0x2c */
	le16_t bg_free_inodes_hi_le;       /* 0x2e */
	le16_t bg_used_dirs_hi_le;         /* 0x30 */
	le16_t bg_itable_unused_hi_le;     /* 0x32 */
	le32_t bg_exclude_bitmap_hi_le;    /* 0x34 */
	le16_t bg_block_bitmap_csum_hi_le; /* 0x38 */
	le16_t bg_inode_bitmap_csum_hi_le; /* 0x3a */
	le32_t bg_reserved_le;             /* 0x3c */
};

_Static_assert(sizeof(struct ext4_group_desc) == EXT4_DESC_SIZE64, "group");

/* ---- 5.1 Index Nodes -------------------------------------------------------- */

#define EXT4_ROOT_INO      2u
#define EXT4_USR_QUOTA_INO 3u
#define EXT4_RESIZE_INO    7u
#define EXT4_JOURNAL_INO   8u

/* i_flags */
#define EXT4_SYNC_FL         0x00000008u
#define EXT4_IMMUTABLE_FL    0x00000010u
#define EXT4_APPEND_FL       0x00000020u
#define EXT4_NODUMP_FL       0x00000040u
#define EXT4_NOATIME_FL      0x00000080u
#define EXT4_ENCRYPT_FL      0x00000800u
#define EXT4_INDEX_FL        0x00001000u
#define EXT4_JOURNAL_DATA_FL 0x00004000u
#define EXT4_DIRSYNC_FL      0x00010000u
#define EXT4_TOPDIR_FL       0x00020000u
#define EXT4_HUGE_FILE_FL    0x00040000u
#define EXT4_EXTENTS_FL      0x00080000u
#define EXT4_VERITY_FL       0x00100000u
#define EXT4_EA_INODE_FL     0x00200000u
#define EXT4_INLINE_DATA_FL  0x10000000u
#define EXT4_PROJINHERIT_FL  0x20000000u
#define EXT4_CASEFOLD_FL     0x40000000u

/* What a new file has from its directory; regular files and others less. */
#define EXT4_FL_INHERITED                                                \
	(EXT4_SYNC_FL | EXT4_NODUMP_FL | EXT4_NOATIME_FL | 0x4u | 0x1u | \
	    0x400u | EXT4_DIRSYNC_FL | EXT4_PROJINHERIT_FL |             \
	    EXT4_JOURNAL_DATA_FL)
#define EXT4_FL_REG_MASK   (~(EXT4_DIRSYNC_FL | EXT4_TOPDIR_FL))
#define EXT4_FL_OTHER_MASK (EXT4_NODUMP_FL | EXT4_NOATIME_FL)

#define EXT4_NDIRECT  12u
#define EXT4_NBLOCK   15u
#define EXT4_IBLOCK   60u /* bytes of i_block */
#define EXT4_LINK_MAX 65000u

struct ext4_inode {
	le16_t i_mode_le;             /* 0x0 */
	le16_t i_uid_lo_le;           /* 0x2 */
	le32_t i_size_lo_le;          /* 0x4 */
	le32_t i_atime_le;            /* 0x8 */
	le32_t i_ctime_le;            /* 0xc */
	le32_t i_mtime_le;            /* 0x10 */
	le32_t i_dtime_le;            /* 0x14 or the next orphan */
	le16_t i_gid_lo_le;           /* 0x18 */
	le16_t i_links_count_le;      /* 0x1a */
	le32_t i_blocks_lo_le;        /* 0x1c */
	le32_t i_flags_le;            /* 0x20 */
	le32_t i_version_lo_le;       /* 0x24 an EA inode's: references, high */
	uint8_t i_block[EXT4_IBLOCK]; /* 0x28 */
	le32_t i_generation_le;       /* 0x64 */
	le32_t i_file_acl_lo_le;      /* 0x68 */
	le32_t i_size_hi_le;          /* 0x6c */
	le32_t i_obso_faddr_le;       /* 0x70 */
	le16_t i_blocks_hi_le;        /* 0x74 */
	le16_t i_file_acl_hi_le;      /* 0x76 */
	le16_t i_uid_hi_le;           /* 0x78 */
	le16_t i_gid_hi_le;           /* 0x7a */
	le16_t i_checksum_lo_le;      /* 0x7c */
	le16_t i_reserved_le;         /* 0x7e */
	/* with s_inode_size > 128; as many as i_extra_isize says */
	le16_t i_extra_isize_le;  /* 0x80 */
	le16_t i_checksum_hi_le;  /* 0x82 */
	le32_t i_ctime_extra_le;  /* 0x84 */
	le32_t i_mtime_extra_le;  /* 0x88 */
	le32_t i_atime_extra_le;  /* 0x8c */
	le32_t i_crtime_le;       /* 0x90 */
	le32_t i_crtime_extra_le; /* 0x94 */
	le32_t i_version_hi_le;   /* 0x98 */
	le32_t i_projid_le;       /* 0x9c */
};

_Static_assert(sizeof(struct ext4_inode) == 160, "inode");
_Static_assert(offsetof(struct ext4_inode, i_block) == 0x28, "i_block");

/* Does it lie within what i_extra_isize says is there? */
#define EXT4_FITS(extra, field) \
	(offsetof(struct ext4_inode, field) + sizeof(le32_t) <= 128u + (extra))

/* ---- 5.2 The contents of i_block: extents ----------------------------------- */

#define EXT4_EXT_MAGIC     0xf30au
#define EXT4_EXT_MAXDEPTH  5u
#define EXT4_EXT_INITMAX   32768u /* blocks; longer ones are unwritten */
#define EXT4_EXT_UNINITMAX 32767u

struct ext4_extent_header {
	le16_t eh_magic_le;
	le16_t eh_entries_le;
	le16_t eh_max_le;
	le16_t eh_depth_le; /* 0: leaves follow */
	le32_t eh_generation_le;
};

struct ext4_extent {
	le32_t ee_block_le;
	le16_t ee_len_le;
	le16_t ee_start_hi_le;
	le32_t ee_start_lo_le;
};

struct ext4_extent_idx {
	le32_t ei_block_le;
	le32_t ei_leaf_lo_le;
	le16_t ei_leaf_hi_le;
	le16_t ei_unused_le;
};

/* Behind the last entry that fits into a block. */
struct ext4_extent_tail {
	le32_t et_checksum_le;
};

_Static_assert(sizeof(struct ext4_extent_header) == 12, "header");
_Static_assert(sizeof(struct ext4_extent) == 12, "extent");
_Static_assert(sizeof(struct ext4_extent_idx) == 12, "index");

/* ---- 5.3 Directory Entries -------------------------------------------------- */

struct ext4_dirent {
	le32_t d_inode_le; /* 0: unused */
	le16_t d_rec_len_le;
	uint8_t d_name_len;
	uint8_t d_type; /* EXT4_FT_*; without filetype: length's high part */
	char d_name[];
};

#define EXT4_DIRENT_HEAD 8u

enum ext4_ft {
	EXT4_FT_UNKNOWN = 0,
	EXT4_FT_REG = 1,
	EXT4_FT_DIR = 2,
	EXT4_FT_CHR = 3,
	EXT4_FT_BLK = 4,
	EXT4_FT_FIFO = 5,
	EXT4_FT_SOCK = 6,
	EXT4_FT_LNK = 7
};

/* At a leaf's end with metadata_csum. */
struct ext4_dirent_tail {
	le32_t dt_zero_le;
	le16_t dt_rec_len_le; /* 12 */
	uint8_t dt_zero2;
	uint8_t dt_type; /* EXT4_TAIL_TYPE */
	le32_t dt_checksum_le;
};

#define EXT4_TAIL_TYPE 0xdeu

_Static_assert(sizeof(struct ext4_dirent_tail) == 12, "tail");

/* 5.3.2 Hash tree directories: behind ".", ".." of block 0. */
struct ext4_dx_root_info {
	le32_t dx_zero_le;
	uint8_t dx_hash;   /* EXT4_HASH_* */
	uint8_t dx_length; /* 8 */
	uint8_t dx_levels;
	uint8_t dx_flags;
};

#define EXT4_DX_ROOT_INFO 24u /* where it is in the block */
#define EXT4_DX_NODE      8u  /* entries in another node */

#define EXT4_HASH_LEGACY     0u
#define EXT4_HASH_HALF_MD4   1u
#define EXT4_HASH_TEA        2u
#define EXT4_HASH_LEGACY_U   3u
#define EXT4_HASH_HALF_MD4_U 4u
#define EXT4_HASH_TEA_U      5u
#define EXT4_HASH_SIPHASH    6u

/* The first one holds the limit and the count instead of a hash. */
struct ext4_dx_entry {
	le32_t dx_hash_le;
	le32_t dx_block_le;
};

struct ext4_dx_countlimit {
	le16_t dx_limit_le;
	le16_t dx_count_le;
};

/* Behind dx_limit entries, with metadata_csum. */
struct ext4_dx_tail {
	le32_t dt_reserved_le;
	le32_t dt_checksum_le;
};

_Static_assert(sizeof(struct ext4_dx_root_info) == 8, "dx_root_info");
_Static_assert(sizeof(struct ext4_dx_tail) == 8, "dx_tail");

/* ---- 5.4 Extended Attributes ------------------------------------------------ */

#define EXT4_XATTR_MAGIC  0xea020000u
#define EXT4_XATTR_REFMAX 1024u
#define EXT4_XATTR_PAD    4u

struct ext4_xattr_header {
	le32_t h_magic_le;
	le32_t h_refcount_le;
	le32_t h_blocks_le; /* 1 */
	le32_t h_hash_le;
	le32_t h_checksum_le;
	le32_t h_reserved_le[3];
};

/* In the inode there is only h_magic. */
#define EXT4_XATTR_IBODY_HEAD 4u

struct ext4_xattr_entry {
	uint8_t e_name_len;
	uint8_t e_name_index;
	le16_t e_value_offs_le;
	le32_t e_value_inum_le;
	le32_t e_value_size_le;
	le32_t e_hash_le;
	char e_name[];
};

#define EXT4_XATTR_ENTRY 16u

_Static_assert(sizeof(struct ext4_xattr_header) == 32, "xattr header");
_Static_assert(sizeof(struct ext4_xattr_entry) == EXT4_XATTR_ENTRY, "");

/* e_name_index */
#define EXT4_XATTR_USER     1u
#define EXT4_XATTR_ACL      2u
#define EXT4_XATTR_DEFACL   3u
#define EXT4_XATTR_TRUSTED  4u
#define EXT4_XATTR_SECURITY 6u
#define EXT4_XATTR_SYSTEM   7u
#define EXT4_XATTR_RICHACL  8u

/* 5.4.1 POSIX ACLs: a version, then entries, long only for two tags. */
#define EXT4_ACL_VERSION 1u

/* ---- orphan file ------------------------------------------------------------ */

struct ext4_orphan_tail {
	le32_t ob_magic_le;
	le32_t ob_checksum_le;
};

#define EXT4_ORPHAN_MAGIC 0x0b10ca04u

/* ---- 4.6 Multiple Mount Protection ------------------------------------------ */

#define EXT4_MMP_MAGIC 0x004d4d50u
#define EXT4_MMP_CLEAN 0xff4d4d50u
#define EXT4_MMP_FSCK  0xe24d4d50u

struct ext4_mmp {
	le32_t mmp_magic_le;
	le32_t mmp_seq_le;
	le64_t mmp_time_le;
	char mmp_nodename[64];
	char mmp_bdevname[32];
	le16_t mmp_check_interval_le;
	le16_t mmp_pad1_le;
	le32_t mmp_pad2_le[226];
	le32_t mmp_checksum_le;
};

_Static_assert(sizeof(struct ext4_mmp) == 1024, "mmp");

#endif /* QUERN_EXT4_ONDISK_H */
