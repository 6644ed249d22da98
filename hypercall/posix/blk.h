/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks, between blk.c (files), ring.c and blkworker.c (who does the work).
 *
 * While an operation is in flight its event's own words say what it is:
 * e_host[1] is the struct bdev, e_host[0] the result that means success.
 */
#ifndef QUERN_POSIX_BLK_H
#define QUERN_POSIX_BLK_H

#include <fcntl.h>
#include <linux/falloc.h>

#include "impl.h"

struct nbdev;

struct bdev {
	int b_fd;            /* -1: b_nbd */
	struct nbdev *b_nbd; /* nbd.c's, or NULL */
	uint64_t b_size;     /* of that, in bytes */
	bool b_rdonly, b_isblk;
	uint32_t b_sector;
	_Atomic uint32_t b_inflight;
};

/*
 * fallocate(2)'s mode for a discard or for zeroes.  In a file both are holes,
 * which every file system has that has either; ZERO_RANGE is rarer.
 */
static inline int
host_blk_falloc(const struct bdev *b, const struct quern_blk_op *op)
{
	return op->b_cmd == QUERN_BLK_ZERO && b->b_isblk ?
	    FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE :
	    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
}

/* The disk of an operation in flight. */
static inline const struct bdev *
host_blk_bdev(const struct quern_blk_op *op)
{
	return (const struct bdev *)(uintptr_t)op->b_ev->e_host[1];
}

/* The hypercall's result of an operation that is over. */
static inline int64_t
host_blk_result(struct quern_event *ev, int64_t res)
{
	struct bdev *b = (struct bdev *)(uintptr_t)ev->e_host[1];
	int64_t want = (int64_t)ev->e_host[0];

	atomic_fetch_sub(&b->b_inflight, 1);
	if (res < 0)
		return res;
	/* A file that has become shorter, or a disk that is full. */
	return res == want ? res : -EIO;
}

/*
 * nbd.c, or nonbd.c without libnbd.  Is the name one of an NBD server's?  Open
 * it: waits until the server has answered or its time is over; errors as of
 * blk_open, -ETIMEDOUT and what connect(2) says.  Have its thread do an
 * operation: -ENOMEM.  Close it: what is in flight ends with -EIO, now.
 */
bool host_nbd_is(const char *name);
int host_nbd_open(struct machine *, const char *name, unsigned flags,
    struct quern_blk_info *, struct bdev *);
int host_nbd_add(struct bdev *, const struct quern_blk_op *op);
void host_nbd_close(struct bdev *);

/* Begin operations on a ring; how many, from the first, were taken. */
unsigned host_ring_blk(struct machine *, unsigned cpu,
    struct quern_blk_op **ops, const int *fds, unsigned n);

/*
 * Have the machine's worker thread do them: where there is no ring.  Iovecs are
 * copied.  -ENOMEM, -EAGAIN (no thread).
 */
int host_blkworker_add(struct machine *, const struct quern_blk_op *op, int fd);
void host_blkworker_end(struct machine *);

#endif /* QUERN_POSIX_BLK_H */
