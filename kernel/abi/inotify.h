/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inotify(7) of the Linux x86-64 ABI.
 */
#ifndef QUERN_ABI_INOTIFY_H
#define QUERN_ABI_INOTIFY_H

#include <stdint.h>

#define Q_IN_ACCESS        0x00000001
#define Q_IN_MODIFY        0x00000002
#define Q_IN_ATTRIB        0x00000004
#define Q_IN_CLOSE_WRITE   0x00000008
#define Q_IN_CLOSE_NOWRITE 0x00000010
#define Q_IN_OPEN          0x00000020
#define Q_IN_MOVED_FROM    0x00000040
#define Q_IN_MOVED_TO      0x00000080
#define Q_IN_CREATE        0x00000100
#define Q_IN_DELETE        0x00000200
#define Q_IN_DELETE_SELF   0x00000400
#define Q_IN_MOVE_SELF     0x00000800
#define Q_IN_ALL_EVENTS    0x00000fff

/* These come whether they were asked for or not. */
#define Q_IN_UNMOUNT    0x00002000
#define Q_IN_Q_OVERFLOW 0x00004000
#define Q_IN_IGNORED    0x00008000
#define Q_IN_ISDIR      0x40000000

/* These are for inotify_add_watch. */
#define Q_IN_ONLYDIR     0x01000000
#define Q_IN_DONT_FOLLOW 0x02000000
#define Q_IN_EXCL_UNLINK 0x04000000
#define Q_IN_MASK_CREATE 0x10000000
#define Q_IN_MASK_ADD    0x20000000
#define Q_IN_ONESHOT     0x80000000u

#define Q_IN_CLOEXEC  0x80000
#define Q_IN_NONBLOCK 0x800

/* What read(2) gives; a name of `len` bytes, zeroes at its end, follows. */
struct q_inotify_event {
	int32_t wd;
	uint32_t mask;
	uint32_t cookie;
	uint32_t len;
};

#endif /* QUERN_ABI_INOTIFY_H */
