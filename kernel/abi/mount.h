/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mount(2) and umount(2) of the Linux x86-64 ABI.
 */
#ifndef QUERN_ABI_MOUNT_H
#define QUERN_ABI_MOUNT_H

#define Q_MS_RDONLY      0x1
#define Q_MS_NOSUID      0x2
#define Q_MS_NODEV       0x4
#define Q_MS_NOEXEC      0x8
#define Q_MS_SYNCHRONOUS 0x10
#define Q_MS_REMOUNT     0x20
#define Q_MS_MANDLOCK    0x40
#define Q_MS_DIRSYNC     0x80
#define Q_MS_NOATIME     0x400
#define Q_MS_NODIRATIME  0x800
#define Q_MS_BIND        0x1000
#define Q_MS_MOVE        0x2000
#define Q_MS_REC         0x4000
#define Q_MS_SILENT      0x8000
#define Q_MS_POSIXACL    0x10000
#define Q_MS_UNBINDABLE  0x20000
#define Q_MS_PRIVATE     0x40000
#define Q_MS_SLAVE       0x80000
#define Q_MS_SHARED      0x100000
#define Q_MS_RELATIME    0x200000
#define Q_MS_I_VERSION   0x800000
#define Q_MS_STRICTATIME 0x1000000
#define Q_MS_LAZYTIME    0x2000000
#define Q_MS_MGC_VAL     0xc0ed0000
#define Q_MS_MGC_MSK     0xffff0000

#define Q_MNT_FORCE       1
#define Q_MNT_DETACH      2
#define Q_MNT_EXPIRE      4
#define Q_UMOUNT_NOFOLLOW 8

#endif /* QUERN_ABI_MOUNT_H */
