/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening and controlling descriptors: open(2), fcntl(2), flock(2), and the
 * flags of the *at calls.  Q_O_LARGEFILE is the kernel's, which libc has as 0.
 */
#ifndef QUERN_ABI_FCNTL_H
#define QUERN_ABI_FCNTL_H

#include <stdint.h>

/* Flags of open, pipe2, dup3. */
#define Q_O_ACCMODE   03
#define Q_O_RDONLY    0
#define Q_O_WRONLY    01
#define Q_O_RDWR      02
#define Q_O_CREAT     0100
#define Q_O_EXCL      0200
#define Q_O_NOCTTY    0400
#define Q_O_TRUNC     01000
#define Q_O_APPEND    02000
#define Q_O_NONBLOCK  04000
#define Q_O_NDELAY    04000
#define Q_O_DSYNC     010000
#define Q_FASYNC      020000
#define Q_O_DIRECT    040000
#define Q_O_LARGEFILE 0100000
#define Q_O_DIRECTORY 0200000
#define Q_O_NOFOLLOW  0400000
#define Q_O_NOATIME   01000000
#define Q_O_CLOEXEC   02000000
#define Q_O_SYNC      04010000
#define Q_O_PATH      010000000
#define Q_O_TMPFILE   020200000

/* Commands of fcntl. */
#define Q_F_DUPFD            0
#define Q_F_GETFD            1
#define Q_F_SETFD            2
#define Q_F_GETFL            3
#define Q_F_SETFL            4
#define Q_F_GETLK            5
#define Q_F_SETLK            6
#define Q_F_SETLKW           7
#define Q_F_SETOWN           8
#define Q_F_GETOWN           9
#define Q_F_SETSIG           10
#define Q_F_GETSIG           11
#define Q_F_SETOWN_EX        15
#define Q_F_GETOWN_EX        16
#define Q_F_GETOWNER_UIDS    17
#define Q_F_OFD_GETLK        36
#define Q_F_OFD_SETLK        37
#define Q_F_OFD_SETLKW       38
#define Q_F_SETLEASE         1024
#define Q_F_GETLEASE         1025
#define Q_F_NOTIFY           1026
#define Q_F_CANCELLK         1029
#define Q_F_DUPFD_CLOEXEC    1030
#define Q_F_SETPIPE_SZ       1031
#define Q_F_GETPIPE_SZ       1032
#define Q_F_ADD_SEALS        1033
#define Q_F_GET_SEALS        1034
#define Q_F_GET_RW_HINT      1035
#define Q_F_SET_RW_HINT      1036
#define Q_F_GET_FILE_RW_HINT 1037
#define Q_F_SET_FILE_RW_HINT 1038

#define Q_FD_CLOEXEC 1

#define Q_F_SEAL_SEAL         0x1
#define Q_F_SEAL_SHRINK       0x2
#define Q_F_SEAL_GROW         0x4
#define Q_F_SEAL_WRITE        0x8
#define Q_F_SEAL_FUTURE_WRITE 0x10

/* l_type of struct q_flock. */
#define Q_F_RDLCK 0
#define Q_F_WRLCK 1
#define Q_F_UNLCK 2

/* type of struct q_f_owner_ex. */
#define Q_F_OWNER_TID  0
#define Q_F_OWNER_PID  1
#define Q_F_OWNER_PGRP 2

/* Operations of flock. */
#define Q_LOCK_SH 1
#define Q_LOCK_EX 2
#define Q_LOCK_NB 4
#define Q_LOCK_UN 8

/* lseek, and l_whence of struct q_flock. */
#define Q_SEEK_SET  0
#define Q_SEEK_CUR  1
#define Q_SEEK_END  2
#define Q_SEEK_DATA 3
#define Q_SEEK_HOLE 4

/* The directory and flags of the *at calls. */
#define Q_AT_FDCWD              (-100)
#define Q_AT_SYMLINK_NOFOLLOW   0x100
#define Q_AT_EACCESS            0x200
#define Q_AT_REMOVEDIR          0x200
#define Q_AT_SYMLINK_FOLLOW     0x400
#define Q_AT_NO_AUTOMOUNT       0x800
#define Q_AT_EMPTY_PATH         0x1000
#define Q_AT_STATX_SYNC_TYPE    0x6000
#define Q_AT_STATX_SYNC_AS_STAT 0x0
#define Q_AT_STATX_FORCE_SYNC   0x2000
#define Q_AT_STATX_DONT_SYNC    0x4000
#define Q_AT_RECURSIVE          0x8000

#define Q_RENAME_NOREPLACE 1
#define Q_RENAME_EXCHANGE  2
#define Q_RENAME_WHITEOUT  4

#define Q_CLOSE_RANGE_UNSHARE 2
#define Q_CLOSE_RANGE_CLOEXEC 4

/* A lock on a range of a file; l_len 0 is up to its end. */
struct q_flock {
	int16_t l_type;
	int16_t l_whence;
	int64_t l_start;
	int64_t l_len;
	int32_t l_pid;
};

struct q_f_owner_ex {
	int32_t type;
	int32_t pid;
};

#endif /* QUERN_ABI_FCNTL_H */
