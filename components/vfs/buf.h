/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Buffers: blocks of a disk in memory, for file systems' metadata.
 *
 * A cache belongs to one file system; its blocks all have the file system's
 * block size.  There is at most one buffer for a block.  It is QBUF_VALID when
 * its data are the block's contents, QBUF_DIRTY when they are newer than the
 * disk's.  Finding one takes no lock.
 *
 * Contents change only between qbuf_lock and qbuf_unlock, which also keeps them
 * from being written meanwhile; then qbuf_dirty, or journal_dirty.  Who only
 * reads needs no lock of the buffer's: what keeps others from changing what is
 * looked at is the file system's business.
 *
 * Without a journal, dirty buffers are written by qbufcache_sync, and when there
 * are many.  With one, a buffer that a transaction has is QBUF_HELD and is not
 * written before that has committed.
 */
#ifndef QUERN_BUF_H
#define QUERN_BUF_H

#include <quern/abi/errno.h>
#include <quern/block.h>
#include <quern/list.h>
#include <quern/lock.h>
#include <quern/work.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qbufcache;

#define QBUF_MINSIZE 512u
#define QBUF_MAXSIZE 65536u

/* bf_flags [a] */
#define QBUF_VALID   1u  /* holds the block's contents */
#define QBUF_DIRTY   2u  /* newer than the disk */
#define QBUF_CHECKED 4u  /* its owner has verified it since it was read */
#define QBUF_ERROR   8u  /* the last write of it failed; it is still dirty */
#define QBUF_HELD    16u /* not to be written: a transaction has it */
#define QBUF_BUSY    32u /* being filled */
#define QBUF_USED    64u /* found since it was last looked at for eviction */

struct qbuf {
	uint64_t bf_blk;            /* [I] */
	uint8_t *bf_data;           /* [I] qbufcache_bsize bytes */
	struct qbufcache *bf_cache; /* [I] */
	void *bf_journal;           /* the journal's */
	uint32_t bf_refs;           /* [a] dead with BUF_DEAD */
	uint32_t bf_flags;          /* [a] QBUF_* */
	struct qmutex bf_lock;      /* the contents */
	struct qwaitq bf_wq;        /* for QBUF_BUSY to end */
	struct qbuf *bf_next;       /* [a] in its chain */
	struct qlist bf_all;        /* [cache] */
	struct qlist bf_dirty;      /* [cache] */
	uint64_t bf_seq;            /* [cache] order of becoming dirty */
	struct qepoch_entry bf_epoch;
};

/*
 * Make a cache of `d`, of which it takes a reference, with blocks of `bsize`
 * bytes: a power of two, QBUF_MINSIZE to QBUF_MAXSIZE, at least the disk's sector.
 * Unused clean buffers go when there are more than `limit`; 0: a default.
 * -EINVAL (sizes), -ENOMEM.
 */
int qbufcache_create(struct qdisk *d, uint32_t bsize, uint32_t limit,
    struct qbufcache **cp) QMUSTCHECK;

/*
 * End it.  All references have been dropped; what is still dirty is lost, and
 * the log says how many buffers that were.  Sleeps.
 */
void qbufcache_destroy(struct qbufcache *c);

/*
 * qbufcache_disk is its disk, qbufcache_bsize its block size, qbufcache_blocks the
 * number of blocks that the disk has now.
 */
struct qdisk *qbufcache_disk(const struct qbufcache *c);
uint32_t qbufcache_bsize(const struct qbufcache *c);
uint64_t qbufcache_blocks(const struct qbufcache *c);

/*
 * The buffer of a block, with a reference, without reading it: for a block that
 * is about to be written as a whole.  If it was not valid, it is now, and zeroed;
 * but it may be valid, with what the block held before it was freed.
 * -EUCLEAN (the disk has no such block), -ENOMEM.  Sleeps.
 */
int qbuf_get(struct qbufcache *c, uint64_t blk, struct qbuf **bp) QMUSTCHECK;

/* The same with the block's contents.  Also -EIO and whatever the disk says. */
int qbuf_read(struct qbufcache *c, uint64_t blk, struct qbuf **bp) QMUSTCHECK;

/* The buffer of a block with a reference if it is there and valid, or NULL. */
struct qbuf *qbuf_find(struct qbufcache *c, uint64_t blk);

/*
 * Start reading those of `n` blocks from `blk` on that are not there, in few
 * requests, and don't wait.  Reads less when memory is short or an error occurs.
 */
void qbuf_ahead(struct qbufcache *c, uint64_t blk, uint32_t n);

/* Take another reference. */
static inline void
qbuf_ref(struct qbuf *b)
{
	__atomic_fetch_add(&b->bf_refs, 1, __ATOMIC_RELAXED);
}

/* Drop one; NULL is nothing.  Does not sleep. */
void qbuf_put(struct qbuf *b);

/* Has the flag? */
static inline bool
qbuf_is(const struct qbuf *b, uint32_t flag)
{
	return (__atomic_load_n(&b->bf_flags, __ATOMIC_ACQUIRE) & flag) != 0;
}

/* qbuf_set and qbuf_clear change QBUF_CHECKED or, the journal, QBUF_HELD. */
static inline void
qbuf_set(struct qbuf *b, uint32_t flag)
{
	__atomic_fetch_or(&b->bf_flags, flag, __ATOMIC_ACQ_REL);
}

/* The opposite. */
static inline void
qbuf_clear(struct qbuf *b, uint32_t flag)
{
	__atomic_fetch_and(&b->bf_flags, ~flag, __ATOMIC_ACQ_REL);
}

/*
 * Begin and end changing the contents.  Sleeps: also while the buffer is being
 * written.  Nothing that may wait for the journal (journal.h) between the two.
 * Several may be locked by one thread if all do so in the same order.
 */
static inline void
qbuf_lock(struct qbuf *b)
{
	qmutex_lock(&b->bf_lock);
}

/* The end of it. */
static inline void
qbuf_unlock(struct qbuf *b)
{
	qmutex_unlock(&b->bf_lock);
}

/* Its contents are newer than the disk's: without a journal.  Does not sleep. */
void qbuf_dirty(struct qbuf *b);

/* Its contents need not be written.  It is locked.  For the journal. */
void qbuf_clean(struct qbuf *b);

/*
 * The block is being freed: the contents do not matter, and are not valid any
 * more.  Waits while it is being written.
 */
void qbuf_forget(struct qbuf *b);

/*
 * Write those of `n` buffers that are dirty and not held, and wait; `bufs` is
 * sorted on the way, neighbours are written together.  The caller has a
 * reference to each and none of them locked.  The first error; the rest is
 * written all the same.  No flush.
 */
int qbuf_write_many(struct qbufcache *c, struct qbuf **bufs, size_t n);

/* Write one, likewise. */
int qbuf_write(struct qbuf *b);

/*
 * Write every buffer that was dirty when called and is not held, and wait.  No
 * flush.  The first error; what could not be written stays dirty.
 */
int qbufcache_sync(struct qbufcache *c);

/* Drop all that is clean and unused, as a reader of the bare disk wants. */
void qbufcache_shrink(struct qbufcache *c);

/* What a cache holds. */
struct qbuf_stats {
	uint64_t bs_bufs;                      /* buffers */
	uint64_t bs_dirty;                     /* of them, dirty */
	uint64_t bs_hits, bs_reads, bs_writes; /* blocks found, read, written */
	uint64_t bs_bios;                      /* write requests made */
};

/* Look at the counters. */
void qbufcache_stats(const struct qbufcache *c, struct qbuf_stats *st);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_BUF_H */
