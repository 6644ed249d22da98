/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Block devices.
 *
 * A disk is an object with a size in bytes, a sector size, and a queue that
 * takes requests (struct qbio).  There are disks of the host's, in memory, made
 * of the embedder's callbacks, and disks made from others: a partition, a
 * read-only view, a copy-on-write view.  All are used alike.
 *
 * Order: none is promised between requests in flight.  A flush covers the
 * writes that had completed when it was submitted; FUA, the write that carries
 * it.
 */
#ifndef QUERN_BLOCK_H
#define QUERN_BLOCK_H

#include <quern/list.h>
#include <quern/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qdisk;
struct quern_disk_callbacks;

/* The longest request, and the most pieces of one. */
#define QBIO_MAXLEN ((uint64_t)1 << 20)
#define QBIO_MAXIOV 256u

/*
 * A request.  The caller fills the first part and owns all of it again when
 * b_done is called; the buffers stay in place until then.
 */
struct qbio {
	uint16_t b_cmd;   /* enum quern_blk_cmd */
	uint16_t b_flags; /* QUERN_BLK_FUA */
	uint32_t b_niov;
	struct quern_iov *b_iov; /* read, write: sums to b_len */
	uint64_t b_off;          /* bytes, multiples of the sector size */
	uint64_t b_len;
	/*
	 * Called once, maybe before qbio_submit returns, on a kernel stack,
	 * where it must not sleep.
	 */
	void (*b_done)(struct qbio *);
	void *b_arg; /* the caller's */
	int b_error; /* set when done: 0 or -errno */

	/* the block layer's */
	struct qdisk *b_disk;
	struct qlist b_link;
	struct qbio *b_merged; /* those that ride along */
	struct quern_event b_ev;
	uint64_t b_trace; /* its number in the trace; 0: it has none */
	void *b_lower;    /* of the driver, while it has the request */
};

/* A driver. */
struct qdisk_ops {
	/*
	 * Take `n` valid requests; qbio_end each, now or later.  Not to sleep.
	 */
	void (*do_submit)(struct qdisk *d, struct qbio **bios, unsigned n);
	/* The last reference has gone; nothing is in flight.  May sleep. */
	void (*do_release)(struct qdisk *d);
	/* How many bytes it has now.  Not to sleep.  NULL: as at first. */
	uint64_t (*do_size)(struct qdisk *d);
};

/* qd_flags */
#define QDISK_RDONLY  1u
#define QDISK_NOMERGE 2u /* the driver gains nothing from long requests */

/* The longest name, with its 0. */
#define QDISK_NAMELEN 256u

struct qdisk {
	const struct qdisk_ops *qd_ops; /* [I] */
	struct quern *qd_k;             /* [I] */
	void *qd_priv;                  /* the driver's */
	uint64_t qd_size;               /* [a] bytes; qdisk_size() */
	uint32_t qd_sector;             /* [I] 512 .. 4096 */
	uint32_t qd_flags;              /* [I] QDISK_* */
	uint32_t qd_discard;            /* [I] granularity in bytes, 0: none */
	uint32_t qd_num;                /* [I] 1 .., no other's has it */
	uint32_t qd_refs;               /* [a] */
	uint32_t qd_cpu;             /* [a] vCPU of the embedder's last call */
	uint64_t qd_errors;          /* [a] */
	struct qlog_rate qd_rate;    /* of lines about them */
	struct qlist qd_link;        /* [k_disk_lock] */
	char qd_name[QDISK_NAMELEN]; /* [I] */
};

/*
 * Register a disk of a driver's own, with one reference; `d` is the driver's
 * memory, zeroed but for qd_ops, qd_priv, qd_size, qd_sector, qd_flags,
 * qd_discard.  -EINVAL (sector size, size), -EEXIST (name).
 */
int qdisk_attach(struct quern *k, struct qdisk *d, const char *name) QMUSTCHECK;

/*
 * Open the host's disk `name` ("file:PATH", "sim:NAME", ...); `flags`
 * QUERN_BLK_*.  One reference.  Errors as of the hypercall blk_open and of
 * qdisk_attach, -ENOMEM.  qdisk_open_as gives it another name here.
 *
 * It may become larger or smaller behind the host's back.  Its size follows
 * when qdisk_look asks and when a request fails.  Before that, a read beyond
 * the end of one that has become smaller fails with -EIO, and a write there
 * makes a file of the host's larger again.
 */
int qdisk_open(struct quern *k, const char *name, unsigned flags,
    struct qdisk **dp) QMUSTCHECK;
int qdisk_open_as(struct quern *k, const char *hostname, const char *name,
    unsigned flags, struct qdisk **dp) QMUSTCHECK;

/* A disk of `size` zeroed bytes in the kernel's heap.  -ENOMEM, -EINVAL. */
int qdisk_ram(struct quern *k, const char *name, uint64_t size,
    struct qdisk **dp) QMUSTCHECK;

/*
 * A disk that is `buf`, `len` bytes of the embedder's, until its last reference
 * goes.  -ENOMEM, -EINVAL (length, not whole sectors).
 */
int qdisk_memory(struct quern *k, const char *name, void *buf, uint64_t len,
    unsigned flags, struct qdisk **dp) QMUSTCHECK;

/*
 * A disk made of callbacks (quern.h).  `cb` and `arg` are kept.  -ENOMEM,
 * -EINVAL.
 */
int qdisk_callback(struct quern *k, const char *name, uint64_t size,
    uint32_t sector, const struct quern_disk_callbacks *cb, void *arg,
    struct qdisk **dp) QMUSTCHECK;

/*
 * Views of `lower`, of which they take a reference: qdisk_slice is `len` bytes
 * from `off` (a partition), qdisk_readonly refuses writes with -EROFS, qdisk_cow
 * keeps what is written in memory, to vanish with it.  -ENOMEM, -EINVAL (range).
 * Only a read-only view follows when `lower` becomes larger or smaller.
 */
int qdisk_slice(struct qdisk *lower, const char *name, uint64_t off,
    uint64_t len, struct qdisk **dp) QMUSTCHECK;
int qdisk_readonly(struct qdisk *lower, const char *name,
    struct qdisk **dp) QMUSTCHECK;
int qdisk_cow(struct qdisk *lower, const char *name,
    struct qdisk **dp) QMUSTCHECK;

/*
 * As qdisk_cow, but what is written is kept on disk `side`, of which it takes a
 * reference too, in the format of blockside.h, and is there again when the next
 * view is made of both.  One whose first 512 bytes are zeroes is made ready
 * first.  A flush covers it.  Sleeps.  -ENOSPC (it is too small), -ESTALE (it belongs to
 * another disk), -EUCLEAN (damaged, or something else), -EINVAL (its sectors are
 * larger than those of `lower`), -EROFS, -ENOMEM, -EIO; the log says more.
 */
int qdisk_cow_side(struct qdisk *lower, struct qdisk *side, const char *name,
    struct qdisk **dp) QMUSTCHECK;

/* Find by name and take a reference.  NULL: none. */
struct qdisk *qdisk_find(struct quern *k, const char *name);

/*
 * The disk with the lowest number from `num` on, with a reference.  NULL: none.
 */
struct qdisk *qdisk_from(struct quern *k, uint32_t num);

/* The major number of disks as devices; the minor number is qd_num. */
#define QDISK_MAJOR 259u

/* qdisk_get takes a reference, qdisk_put drops one; the last may sleep. */
void qdisk_get(struct qdisk *d);
void qdisk_put(struct qdisk *d);

/* Drop the last reference.  Sleeps.  -EBUSY: there are others. */
int qdisk_close(struct qdisk *d) QMUSTCHECK;

/* Its size in bytes as last seen. */
static inline uint64_t
qdisk_size(const struct qdisk *d)
{
	return __atomic_load_n(&d->qd_size, __ATOMIC_RELAXED);
}

/* Look how large it is now, which is its size from here on.  Does not sleep. */
uint64_t qdisk_look(struct qdisk *d);

/*
 * qbio_submit starts a request; qbio_submit_many several, of one disk, in any
 * order, merging neighbours.  Bad ones end at once: -EINVAL (alignment, range,
 * length), -EROFS, -EOPNOTSUPP.  Do not sleep.
 */
void qbio_submit(struct qdisk *d, struct qbio *b);
void qbio_submit_many(struct qdisk *d, struct qbio **bios, unsigned n);

/* For drivers: the request is over.  Does not sleep. */
void qbio_end(struct qbio *b, int error);

/* Do one and sleep until it is done.  0 or -errno. */
int qbio_wait(struct qdisk *d, struct qbio *b);

/*
 * qdisk_read, qdisk_write, qdisk_flush, qdisk_discard and qdisk_zero do it on
 * whole sectors, any length, and sleep until it is done.  0 or -errno.
 * qdisk_zero writes zeroes where the disk can't make them.
 */
int qdisk_read(struct qdisk *d, uint64_t off, void *buf, size_t len);
int qdisk_write(struct qdisk *d, uint64_t off, const void *buf, size_t len);
int qdisk_flush(struct qdisk *d);
int qdisk_discard(struct qdisk *d, uint64_t off, uint64_t len);
int qdisk_zero(struct qdisk *d, uint64_t off, uint64_t len);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_BLOCK_H */
