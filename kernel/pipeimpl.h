/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside pipes: what pipe.c and splice.c share.  The theory is in pipe.c.
 */
#ifndef QUERN_KERNEL_PIPEIMPL_H
#define QUERN_KERNEL_PIPEIMPL_H

#include <quern/abi/limits.h>
#include <quern/pipe.h>

#include "callimpl.h"

#define PIPE_PAGE ((size_t)QUERN_PAGE_SIZE)

_Static_assert(Q_PIPE_BUF <= QUERN_PAGE_SIZE, "a page takes an atomic write");

struct pipe_buf {
	char *b_page;
	uint16_t b_off, b_len; /* what is left to read */
	bool b_packet;         /* one read takes it, and takes no more */
};

/* [p] p_lock */
struct qpipe {
	struct qmutex p_lock;
	uint32_t p_head, p_tail;   /* [p] */
	uint32_t p_size;           /* [p] buffers, a power of two */
	uint32_t p_readers;        /* [p] files open for reading */
	uint32_t p_writers;        /* [p] and for writing */
	uint32_t p_rwait, p_wwait; /* [p] who sleeps */
	struct pipe_buf *p_bufs;   /* [p] */
	char *p_spare;             /* [p] a page, or NULL */
	uint32_t p_ropens;         /* [p] how often it was opened for reading */
	uint32_t p_wopens;         /* [p] and for writing */
	uint32_t p_refs;           /* [a] its files, and who else has it */
	uint64_t p_ino;            /* [I] 0: it has a name */
	struct qcv p_rcv, p_wcv;
	struct qpollq p_pollq;
};

#define PIPE_POLL_IN  (Q_POLLIN | Q_POLLRDNORM)
#define PIPE_POLL_OUT (Q_POLLOUT | Q_POLLWRNORM)

static inline bool
pipe_empty(const struct qpipe *p)
{
	return p->p_head == p->p_tail;
}

static inline bool
pipe_full(const struct qpipe *p)
{
	return p->p_head - p->p_tail >= p->p_size;
}

static inline struct pipe_buf *
pipe_buf(struct qpipe *p, uint32_t i)
{
	return &p->p_bufs[i & (p->p_size - 1)];
}

/* Make P2 true and give the lock back. */
static inline void
pipe_unlock(struct qpipe *p)
{
	bool rd = qunlikely(p->p_rwait != 0) && !pipe_empty(p);
	bool wr = qunlikely(p->p_wwait != 0) && !pipe_full(p);

	qmutex_unlock(&p->p_lock);
	if (rd)
		qcv_signal(&p->p_rcv);
	if (wr)
		qcv_signal(&p->p_wcv);
}

/* A page for a buffer, and its end.  [p] */
char *pipe_page_get(struct qpipe *p);
void pipe_page_put(struct qpipe *p, char *page);

/* Sleep until there may be a free buffer; readers are told of what is there. */
int pipe_wait_room(struct qpipe *p);

/* The pipe that an open file is, or NULL. */
struct qpipe *pipe_of(const struct qfile *f);

#endif /* QUERN_KERNEL_PIPEIMPL_H */
