/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files of the Linux x86-64 ABI: directory entries, fallocate(2), utimensat(2),
 * posix_fadvise(2).
 */
#ifndef QUERN_ABI_FS_H
#define QUERN_ABI_FS_H

#include <stdint.h>

/* What getdents64 and getdents store; d_name is ended by a 0. */
struct q_dirent64 {
	uint64_t d_ino;
	int64_t d_off; /* where the next one is */
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

struct q_dirent {
	uint64_t d_ino;
	uint64_t d_off;
	uint16_t d_reclen;
	char d_name[]; /* the type is the last byte of d_reclen */
};

/* d_type. */
#define Q_DT_UNKNOWN 0
#define Q_DT_FIFO    1
#define Q_DT_CHR     2
#define Q_DT_DIR     4
#define Q_DT_BLK     6
#define Q_DT_REG     8
#define Q_DT_LNK     10
#define Q_DT_SOCK    12

/* tv_nsec of utimensat. */
#define Q_UTIME_NOW  0x3fffffff
#define Q_UTIME_OMIT 0x3ffffffe

/* Modes of fallocate. */
#define Q_FALLOC_FL_KEEP_SIZE      0x01
#define Q_FALLOC_FL_PUNCH_HOLE     0x02
#define Q_FALLOC_FL_COLLAPSE_RANGE 0x08
#define Q_FALLOC_FL_ZERO_RANGE     0x10
#define Q_FALLOC_FL_INSERT_RANGE   0x20
#define Q_FALLOC_FL_UNSHARE_RANGE  0x40

/* Advice of fadvise64. */
#define Q_POSIX_FADV_NORMAL     0
#define Q_POSIX_FADV_RANDOM     1
#define Q_POSIX_FADV_SEQUENTIAL 2
#define Q_POSIX_FADV_WILLNEED   3
#define Q_POSIX_FADV_DONTNEED   4
#define Q_POSIX_FADV_NOREUSE    5

/* Flags of sync_file_range. */
#define Q_SYNC_FILE_RANGE_WAIT_BEFORE 1
#define Q_SYNC_FILE_RANGE_WRITE       2
#define Q_SYNC_FILE_RANGE_WAIT_AFTER  4

#endif /* QUERN_ABI_FS_H */
