/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * capabilities(7): the numbers of the bits of a set.
 */
#ifndef QUERN_ABI_CAPABILITY_H
#define QUERN_ABI_CAPABILITY_H

#include <stdint.h>

/* The versions of capget(2)'s structs. */
#define Q_LINUX_CAPABILITY_VERSION_1 0x19980330
#define Q_LINUX_CAPABILITY_VERSION_2 0x20071026
#define Q_LINUX_CAPABILITY_VERSION_3 0x20080522

struct q_cap_header {
	uint32_t version;
	int32_t pid;
};

struct q_cap_data {
	uint32_t effective;
	uint32_t permitted;
	uint32_t inheritable;
};

#define Q_CAP_CHOWN              0
#define Q_CAP_DAC_OVERRIDE       1
#define Q_CAP_DAC_READ_SEARCH    2
#define Q_CAP_FOWNER             3
#define Q_CAP_FSETID             4
#define Q_CAP_KILL               5
#define Q_CAP_SETGID             6
#define Q_CAP_SETUID             7
#define Q_CAP_SETPCAP            8
#define Q_CAP_LINUX_IMMUTABLE    9
#define Q_CAP_NET_BIND_SERVICE   10
#define Q_CAP_NET_BROADCAST      11
#define Q_CAP_NET_ADMIN          12
#define Q_CAP_NET_RAW            13
#define Q_CAP_IPC_LOCK           14
#define Q_CAP_IPC_OWNER          15
#define Q_CAP_SYS_MODULE         16
#define Q_CAP_SYS_RAWIO          17
#define Q_CAP_SYS_CHROOT         18
#define Q_CAP_SYS_PTRACE         19
#define Q_CAP_SYS_PACCT          20
#define Q_CAP_SYS_ADMIN          21
#define Q_CAP_SYS_BOOT           22
#define Q_CAP_SYS_NICE           23
#define Q_CAP_SYS_RESOURCE       24
#define Q_CAP_SYS_TIME           25
#define Q_CAP_SYS_TTY_CONFIG     26
#define Q_CAP_MKNOD              27
#define Q_CAP_LEASE              28
#define Q_CAP_AUDIT_WRITE        29
#define Q_CAP_AUDIT_CONTROL      30
#define Q_CAP_SETFCAP            31
#define Q_CAP_MAC_OVERRIDE       32
#define Q_CAP_MAC_ADMIN          33
#define Q_CAP_SYSLOG             34
#define Q_CAP_WAKE_ALARM         35
#define Q_CAP_BLOCK_SUSPEND      36
#define Q_CAP_AUDIT_READ         37
#define Q_CAP_PERFMON            38
#define Q_CAP_BPF                39
#define Q_CAP_CHECKPOINT_RESTORE 40
#define Q_CAP_LAST_CAP           40

#endif /* QUERN_ABI_CAPABILITY_H */
