/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * epoll(7).  The events have the values of poll's.
 */
#ifndef QUERN_ABI_EPOLL_H
#define QUERN_ABI_EPOLL_H

#include <stdint.h>

#define Q_EPOLLIN        0x1
#define Q_EPOLLPRI       0x2
#define Q_EPOLLOUT       0x4
#define Q_EPOLLERR       0x8
#define Q_EPOLLHUP       0x10
#define Q_EPOLLNVAL      0x20
#define Q_EPOLLRDNORM    0x40
#define Q_EPOLLRDBAND    0x80
#define Q_EPOLLWRNORM    0x100
#define Q_EPOLLWRBAND    0x200
#define Q_EPOLLMSG       0x400
#define Q_EPOLLRDHUP     0x2000
#define Q_EPOLLEXCLUSIVE 0x10000000
#define Q_EPOLLWAKEUP    0x20000000
#define Q_EPOLLONESHOT   0x40000000
#define Q_EPOLLET        0x80000000u

/* Operations of epoll_ctl. */
#define Q_EPOLL_CTL_ADD 1
#define Q_EPOLL_CTL_DEL 2
#define Q_EPOLL_CTL_MOD 3

/* Flags of epoll_create1. */
#define Q_EPOLL_CLOEXEC 0x80000

/* Packed, on x86-64 only, to be as on i386. */
struct q_epoll_event {
	uint32_t events;
	uint64_t data;
} __attribute__((packed));

#endif /* QUERN_ABI_EPOLL_H */
