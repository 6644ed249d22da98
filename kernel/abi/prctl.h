/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * prctl(2), arch_prctl(2), rseq(2).
 */
#ifndef QUERN_ABI_PRCTL_H
#define QUERN_ABI_PRCTL_H

#define Q_PR_SET_PDEATHSIG            1
#define Q_PR_GET_PDEATHSIG            2
#define Q_PR_GET_DUMPABLE             3
#define Q_PR_SET_DUMPABLE             4
#define Q_PR_GET_KEEPCAPS             7
#define Q_PR_SET_KEEPCAPS             8
#define Q_PR_GET_TIMING               13
#define Q_PR_SET_TIMING               14
#define Q_PR_SET_NAME                 15
#define Q_PR_GET_NAME                 16
#define Q_PR_GET_SECCOMP              21
#define Q_PR_CAPBSET_READ             23
#define Q_PR_CAPBSET_DROP             24
#define Q_PR_GET_TSC                  25
#define Q_PR_SET_TSC                  26
#define Q_PR_GET_SECUREBITS           27
#define Q_PR_SET_SECUREBITS           28
#define Q_PR_SET_TIMERSLACK           29
#define Q_PR_GET_TIMERSLACK           30
#define Q_PR_TASK_PERF_EVENTS_DISABLE 31
#define Q_PR_TASK_PERF_EVENTS_ENABLE  32
#define Q_PR_MCE_KILL_GET             34
#define Q_PR_SET_CHILD_SUBREAPER      36
#define Q_PR_GET_CHILD_SUBREAPER      37
#define Q_PR_SET_NO_NEW_PRIVS         38
#define Q_PR_GET_NO_NEW_PRIVS         39
#define Q_PR_GET_TID_ADDRESS          40
#define Q_PR_SET_THP_DISABLE          41
#define Q_PR_GET_THP_DISABLE          42
#define Q_PR_CAP_AMBIENT              47
#define Q_PR_GET_IO_FLUSHER           58

/* Arguments of some. */
#define Q_PR_TSC_ENABLE            1
#define Q_PR_MCE_KILL_DEFAULT      2
#define Q_PR_CAP_AMBIENT_IS_SET    1
#define Q_PR_CAP_AMBIENT_RAISE     2
#define Q_PR_CAP_AMBIENT_LOWER     3
#define Q_PR_CAP_AMBIENT_CLEAR_ALL 4

#define Q_ARCH_SET_GS    0x1001
#define Q_ARCH_SET_FS    0x1002
#define Q_ARCH_GET_FS    0x1003
#define Q_ARCH_GET_GS    0x1004
#define Q_ARCH_GET_CPUID 0x1011
#define Q_ARCH_SET_CPUID 0x1012

#define Q_RSEQ_FLAG_UNREGISTER 1

#endif /* QUERN_ABI_PRCTL_H */
