/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clone(2) and scheduling policies.
 */
#ifndef QUERN_ABI_SCHED_H
#define QUERN_ABI_SCHED_H

#define Q_CSIGNAL              0xff
#define Q_CLONE_VM             0x100
#define Q_CLONE_FS             0x200
#define Q_CLONE_FILES          0x400
#define Q_CLONE_SIGHAND        0x800
#define Q_CLONE_PIDFD          0x1000
#define Q_CLONE_PTRACE         0x2000
#define Q_CLONE_VFORK          0x4000
#define Q_CLONE_PARENT         0x8000
#define Q_CLONE_THREAD         0x10000
#define Q_CLONE_NEWNS          0x20000
#define Q_CLONE_SYSVSEM        0x40000
#define Q_CLONE_SETTLS         0x80000
#define Q_CLONE_PARENT_SETTID  0x100000
#define Q_CLONE_CHILD_CLEARTID 0x200000
#define Q_CLONE_DETACHED       0x400000
#define Q_CLONE_UNTRACED       0x800000
#define Q_CLONE_CHILD_SETTID   0x1000000
#define Q_CLONE_NEWCGROUP      0x2000000
#define Q_CLONE_NEWUTS         0x4000000
#define Q_CLONE_NEWIPC         0x8000000
#define Q_CLONE_NEWUSER        0x10000000
#define Q_CLONE_NEWPID         0x20000000
#define Q_CLONE_NEWNET         0x40000000
#define Q_CLONE_IO             0x80000000u
#define Q_CLONE_NEWTIME        0x80
#define Q_CLONE_CLEAR_SIGHAND  0x100000000ull
#define Q_CLONE_INTO_CGROUP    0x200000000ull

#define Q_SCHED_NORMAL   0
#define Q_SCHED_FIFO     1
#define Q_SCHED_RR       2
#define Q_SCHED_BATCH    3
#define Q_SCHED_IDLE     5
#define Q_SCHED_DEADLINE 6

#endif /* QUERN_ABI_SCHED_H */
