/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * poll(2), select(2).
 */
#ifndef QUERN_ABI_POLL_H
#define QUERN_ABI_POLL_H

#include <stddef.h>
#include <stdint.h>

struct q_sigset;

#define Q_POLLIN     0x1
#define Q_POLLPRI    0x2
#define Q_POLLOUT    0x4
#define Q_POLLERR    0x8
#define Q_POLLHUP    0x10
#define Q_POLLNVAL   0x20
#define Q_POLLRDNORM 0x40
#define Q_POLLRDBAND 0x80
#define Q_POLLWRNORM 0x100
#define Q_POLLWRBAND 0x200
#define Q_POLLMSG    0x400
#define Q_POLLREMOVE 0x1000
#define Q_POLLRDHUP  0x2000

/* Descriptors in struct q_fd_set. */
#define Q_FD_SETSIZE 1024

struct q_pollfd {
	int32_t fd;
	int16_t events;
	int16_t revents;
};

/* Descriptor n is bit n % 64 of word n / 64. */
struct q_fd_set {
	uint64_t fds_bits[Q_FD_SETSIZE / 64];
};

/* The last argument of pselect6: a set of signals and its size, 8. */
struct q_pselect_sigset {
	const struct q_sigset *ss;
	size_t ss_len;
};

#endif /* QUERN_ABI_POLL_H */
