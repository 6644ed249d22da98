/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kinds, permissions and attributes of files: stat(2), statx(2), statfs(2).
 */
#ifndef QUERN_ABI_STAT_H
#define QUERN_ABI_STAT_H

#include <stdint.h>

#include <quern/abi/time.h>

/* st_mode: kind, then permissions. */
#define Q_S_IFMT   0170000
#define Q_S_IFSOCK 0140000
#define Q_S_IFLNK  0120000
#define Q_S_IFREG  0100000
#define Q_S_IFBLK  060000
#define Q_S_IFDIR  040000
#define Q_S_IFCHR  020000
#define Q_S_IFIFO  010000
#define Q_S_ISUID  04000
#define Q_S_ISGID  02000
#define Q_S_ISVTX  01000
#define Q_S_IRWXU  0700
#define Q_S_IRUSR  0400
#define Q_S_IWUSR  0200
#define Q_S_IXUSR  0100
#define Q_S_IRWXG  070
#define Q_S_IRGRP  040
#define Q_S_IWGRP  020
#define Q_S_IXGRP  010
#define Q_S_IRWXO  07
#define Q_S_IROTH  04
#define Q_S_IWOTH  02
#define Q_S_IXOTH  01

/* stx_mask. */
#define Q_STATX_TYPE        0x1
#define Q_STATX_MODE        0x2
#define Q_STATX_NLINK       0x4
#define Q_STATX_UID         0x8
#define Q_STATX_GID         0x10
#define Q_STATX_ATIME       0x20
#define Q_STATX_MTIME       0x40
#define Q_STATX_CTIME       0x80
#define Q_STATX_INO         0x100
#define Q_STATX_SIZE        0x200
#define Q_STATX_BLOCKS      0x400
#define Q_STATX_BASIC_STATS 0x7ff
#define Q_STATX_BTIME       0x800
#define Q_STATX_MNT_ID      0x1000
#define Q_STATX_DIOALIGN    0x2000
#define Q_STATX__RESERVED   0x80000000u

/* stx_attributes. */
#define Q_STATX_ATTR_COMPRESSED 0x4
#define Q_STATX_ATTR_IMMUTABLE  0x10
#define Q_STATX_ATTR_APPEND     0x20
#define Q_STATX_ATTR_NODUMP     0x40
#define Q_STATX_ATTR_ENCRYPTED  0x800
#define Q_STATX_ATTR_AUTOMOUNT  0x1000
#define Q_STATX_ATTR_MOUNT_ROOT 0x2000
#define Q_STATX_ATTR_VERITY     0x100000
#define Q_STATX_ATTR_DAX        0x200000

struct q_stat {
	uint64_t st_dev;
	uint64_t st_ino;
	uint64_t st_nlink;
	uint32_t st_mode;
	uint32_t st_uid;
	uint32_t st_gid;
	uint32_t st_pad0;
	uint64_t st_rdev;
	int64_t st_size;
	int64_t st_blksize;
	int64_t st_blocks;
	struct q_timespec st_atim;
	struct q_timespec st_mtim;
	struct q_timespec st_ctim;
	int64_t st_pad1[3];
};

struct q_statx_timestamp {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t tv_pad;
};

struct q_statx {
	uint32_t stx_mask;
	uint32_t stx_blksize;
	uint64_t stx_attributes;
	uint32_t stx_nlink;
	uint32_t stx_uid;
	uint32_t stx_gid;
	uint16_t stx_mode;
	uint16_t stx_pad0;
	uint64_t stx_ino;
	uint64_t stx_size;
	uint64_t stx_blocks;
	uint64_t stx_attributes_mask;
	struct q_statx_timestamp stx_atime;
	struct q_statx_timestamp stx_btime;
	struct q_statx_timestamp stx_ctime;
	struct q_statx_timestamp stx_mtime;
	uint32_t stx_rdev_major;
	uint32_t stx_rdev_minor;
	uint32_t stx_dev_major;
	uint32_t stx_dev_minor;
	uint64_t stx_mnt_id;
	uint32_t stx_dio_mem_align;
	uint32_t stx_dio_offset_align;
	uint64_t stx_pad1[12];
};

struct q_statfs {
	int64_t f_type;
	int64_t f_bsize;
	uint64_t f_blocks;
	uint64_t f_bfree;
	uint64_t f_bavail;
	uint64_t f_files;
	uint64_t f_ffree;
	int32_t f_fsid[2];
	int64_t f_namelen;
	int64_t f_frsize;
	int64_t f_flags;
	int64_t f_spare[4];
};

#endif /* QUERN_ABI_STAT_H */
