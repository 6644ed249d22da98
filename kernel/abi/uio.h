/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vectors of buffers: readv(2), preadv2(2).
 */
#ifndef QUERN_ABI_UIO_H
#define QUERN_ABI_UIO_H

#include <stddef.h>

/* The most elements of a vector. */
#define Q_UIO_MAXIOV 1024

/* Flags of preadv2 and pwritev2. */
#define Q_RWF_HIPRI  0x1
#define Q_RWF_DSYNC  0x2
#define Q_RWF_SYNC   0x4
#define Q_RWF_NOWAIT 0x8
#define Q_RWF_APPEND 0x10

struct q_iovec {
	void *iov_base;
	size_t iov_len;
};

#endif /* QUERN_ABI_UIO_H */
