/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page cache: data of regular files in RAM pages.
 *
 * A page belongs to one vnode at one index.  It is QPG_VALID when it holds the
 * file's contents (zeroes beyond the file's end), QPG_DIRTY when these are
 * newer than the disk's, QPG_BUSY while somebody fills it, writes it back or
 * takes it away.  Looking a valid page up takes no lock.
 *
 * Writing only makes pages dirty, and has the file system promise room for them
 * (vo_reserve).  They are written back, neighbours together, when fsync asks,
 * when they are old, when there are many, and when memory is short; a thread of
 * the component's does the last three.
 */
#ifndef QUERN_PCACHE_H
#define QUERN_PCACHE_H

#include <quern/page.h>
#include <quern/vnode.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What read-ahead knows of a reader: one an open file.  Zero at first. */
struct qreadahead {
	uint64_t ra_next;  /* page that a sequential reader asks for next */
	uint32_t ra_pages; /* how far it reads ahead now */
	uint32_t ra_off;   /* not 0: FADV_RANDOM */
	uint64_t ra_end;   /* pages below this have been asked for */
};

/* Begin and end a file's cache, empty.  For the makers of vnodes. */
void qpcache_init(struct qpcache *pc);

/*
 * Read at u_off up to the file's end.  Bytes, 0 at the end, -errno if none.
 * Sleeps.  `ra` may be NULL.
 */
int64_t qpcache_read(struct qvnode *v, struct quio *u, struct qreadahead *ra);

/*
 * Begin to read [off, off + len), up to the file's end (0: all the rest), as far
 * as it is not there.  Waits for memory only.
 */
void qpcache_willneed(struct qvnode *v, uint64_t off, uint64_t len);

/*
 * Write at u_off, past the end if need be.  v_lock is held for writing.  Sets
 * the size; times are the caller's.  Bytes, or -errno if none.  Waits when too
 * much is dirty.
 */
int64_t qpcache_write(struct qvnode *v, struct quio *u);

/*
 * The page at `index` with a reference, filled; for mappings and drivers.
 * `fill` false: its contents do not matter, it may be not valid and comes busy.
 * -EIO, -ENOMEM and what the driver answers.  Beyond the file's end: zeroes.
 */
int qpcache_page(struct qvnode *v, uint64_t index, bool fill,
    struct qpage **pgp) QMUSTCHECK;

/* The page at `index` with a reference if it is there and valid, or NULL. */
struct qpage *qpcache_find(struct qvnode *v, uint64_t index);

/*
 * A page that the caller holds a reference to is newer than the disk: after a
 * store through a mapping, or by a driver.  Room must have been promised.
 */
void qpcache_dirty(struct qvnode *v, struct qpage *pg);

/*
 * A store through a mapping is about to come to a busy page of the file: have
 * room promised for it, and qpcache_dirty.  -ENOSPC and the like.
 */
int qpcache_mkwrite(struct qvnode *v, struct qpage *pg) QMUSTCHECK;

/*
 * Write what is dirty in [off, end) back (`end` UINT64_MAX: all); `wait`: until
 * it is on the disk (not flushed) and vo_wrote is over; then the first error,
 * which the next of these does not return again.  What could not be written is
 * not dirty any more, unless memory was short.  Not with a transaction open.
 */
int qpcache_sync(struct qvnode *v, uint64_t off, uint64_t end, bool wait);

/*
 * Wait until what has been submitted to the disk is there: for drivers' commits.
 * Does not wait for vo_map or vo_wrote.
 */
void qpcache_wait(struct qvnode *v);

/*
 * The file now ends at `size`: pages beyond go, dirty or not, and promises with
 * them; the rest of the last one is zeroed.  v_lock is held for writing, v_size
 * is still the old one.
 */
int qpcache_truncate(struct qvnode *v, uint64_t size);

/*
 * The file is about to end further away, not by qpcache_write: what is behind
 * its end now, in its last page, is to read as zeroes, and be promised if that
 * page is dirty.  v_lock is held for writing.  -ENOSPC and the like.
 */
int qpcache_extend(struct qvnode *v, uint64_t size);

/*
 * Pages of [off, end), both multiples of the page size, go: `dirty` too, or
 * those are written back first.  Mappings are removed.  v_lock is held for
 * writing.
 */
int qpcache_drop(struct qvnode *v, uint64_t off, uint64_t end, bool dirty);

/* Zero [off, off + len) within one page of the cache, making it dirty. */
int qpcache_zero(struct qvnode *v, uint64_t off, size_t len);

/* All pages go; nobody uses the vnode any more.  For its eviction. */
void qpcache_evict(struct qvnode *v);

/*
 * First position from `off` on that is (`hole`) or is not in a hole, as dirty
 * pages and vo_map know it.  -ENXIO: beyond the end.
 */
int64_t qpcache_seek(struct qvnode *v, uint64_t off, bool hole);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_PCACHE_H */
