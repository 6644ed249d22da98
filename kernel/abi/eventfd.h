/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * eventfd(2).
 */
#ifndef QUERN_ABI_EVENTFD_H
#define QUERN_ABI_EVENTFD_H

#define Q_EFD_SEMAPHORE 0x1
#define Q_EFD_NONBLOCK  0x800
#define Q_EFD_CLOEXEC   0x80000

#endif /* QUERN_ABI_EVENTFD_H */
