/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wait4(2) and waitid(2).
 */
#ifndef QUERN_ABI_WAIT_H
#define QUERN_ABI_WAIT_H

#define Q_WNOHANG     0x1
#define Q_WUNTRACED   0x2
#define Q_WSTOPPED    Q_WUNTRACED
#define Q_WEXITED     0x4
#define Q_WCONTINUED  0x8
#define Q_WNOWAIT     0x1000000
#define Q___WNOTHREAD 0x20000000
#define Q___WALL      0x40000000
#define Q___WCLONE    0x80000000u

#define Q_P_ALL   0
#define Q_P_PID   1
#define Q_P_PGID  2
#define Q_P_PIDFD 3

#endif /* QUERN_ABI_WAIT_H */
