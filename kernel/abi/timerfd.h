/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timerfd_create(2) and timerfd_settime(2).
 */
#ifndef QUERN_ABI_TIMERFD_H
#define QUERN_ABI_TIMERFD_H

#include <quern/abi/fcntl.h>
#include <quern/abi/time.h>

#define Q_TFD_TIMER_ABSTIME       1
#define Q_TFD_TIMER_CANCEL_ON_SET 2
#define Q_TFD_CLOEXEC             Q_O_CLOEXEC
#define Q_TFD_NONBLOCK            Q_O_NONBLOCK

#endif /* QUERN_ABI_TIMERFD_H */
