/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside the page cache and the write-back.  The theory is in pcache.c.
 *
 * Lock letters:
 *	[p] pc_lock of the file	[l] wb_lrulock	[w] wb_lock
 *	[b] the page is busy	[a] atomic	[I] immutable
 */
#ifndef QUERN_PCIMPL_H
#define QUERN_PCIMPL_H

#include <quern/block.h>

#include "impl.h"

#define PAGE_SHIFT 12u
#define PAGE_SIZE  ((uint64_t)1 << PAGE_SHIFT)
_Static_assert(PAGE_SIZE == QUERN_PAGE_SIZE, "pages");

/* No file has a page there. */
#define NO_PAGE (UINT64_MAX >> PAGE_SHIFT)

/* Pages of the longest request. */
#define RUN_PAGES ((unsigned)(QBIO_MAXLEN >> PAGE_SHIFT))
_Static_assert(RUN_PAGES <= QBIO_MAXIOV, "a page a piece");

/* ---- pctree.c: pages by index ------------------------------------------- */

#define NODE_BITS  6u
#define NODE_SLOTS (1u << NODE_BITS)

/* What is known of a page by the nodes above it. */
enum pctag {
	PCT_PRESENT = 0,
	PCT_DIRTY, /* QPG_DIRTY, as of when pc_lock was held last */
	PCT_WRITE, /* being written back */
	PCT_N
};

struct qpcache_node {
	uint32_t n_shift;              /* [I] bits of the index below it */
	struct qpcache_node *n_parent; /* [p] */
	uint64_t n_tag[PCT_N];         /* [p] a bit a slot */
	void *n_slot[NODE_SLOTS];      /* [a] changed under [p] */
	struct qepoch_entry n_epoch;
};

/* The page, without a reference.  [p] or in an epoch section */
struct qpage *pctree_lookup(struct qpcache *pc, uint64_t index);

/* Without a reference, for who knows that it stays. */
struct qpage *pctree_peek(struct qpcache *pc, uint64_t index);

/* With a reference, or NULL.  Takes no lock. */
struct qpage *pctree_get(struct qpcache *pc, uint64_t index);

/*
 * Have the CPU's cache fetch the beginning of a page, if it is there, that is
 * going to be copied soon: its prefetching ends with the page before.
 */
void pctree_warm(struct quern *k, struct qpcache *pc, uint64_t index);

/* Enter a page.  -EEXIST, -ENOMEM.  [p] */
int pctree_insert(struct qpcache *pc, uint64_t index, struct qpage *pg);

/* Take what is there out, with its tags.  [p] */
void pctree_remove(struct qpcache *pc, uint64_t index);

/* Has the page the tag?  Set or clear it.  [p] */
bool pctree_is(struct qpcache *pc, uint64_t index, enum pctag tag);
void pctree_set(struct qpcache *pc, uint64_t index, enum pctag tag, bool on);

/* First page at or after *index that has the tag, and *index where.  [p] */
struct qpage *pctree_next(struct qpcache *pc, uint64_t *index, enum pctag tag);

/* ---- all of it in one kernel -------------------------------------------- */

/* wb_why */
#define WB_LATER 1u /* something may be old enough */
#define WB_MANY  2u /* more is dirty than should be */
#define WB_SHORT 4u /* memory is short: write everything */
#define WB_STOP  8u

struct writeback {
	struct quern *wb_k;     /* [I] */
	struct vfs *wb_vf;      /* [I] */
	uint64_t wb_limit;      /* [I] dirty pages at which writers wait */
	uint64_t wb_background; /* [I] at which they are written */
	uint32_t wb_window;     /* [I] pages that are read ahead at most */

	/* Pages of files that have a disk, for reclaim. */
	struct qspin wb_lrulock;
	struct qlist wb_active, wb_inactive; /* [l] */
	uint64_t wb_nactive, wb_ninactive;   /* [l] */
	struct qreclaimer wb_reclaimer;

	uint64_t wb_ndirty __attribute__((aligned(64))); /* [a] PCT_DIRTY */
	uint64_t wb_nwrite;                              /* [a] PCT_WRITE */
	uint64_t wb_nread;   /* [a] being read by runs */
	uint64_t wb_rderror; /* [a] pages that could not be read */

	struct qspin wb_lock __attribute__((aligned(64)));
	uint32_t wb_why;           /* [w] what the thread is to do */
	bool wb_armed;             /* [w] the timer */
	bool wb_busy;              /* [w] the thread is at it */
	uint64_t wb_passes;        /* [w] times it has been */
	uint64_t wb_done;          /* [w] pages written or given up */
	struct qfs *wb_fs;         /* [w] which it is at */
	struct qwaitq wb_work;     /* the thread, for wb_why */
	struct qwaitq wb_progress; /* for wb_done, wb_passes or wb_fs */
	struct qtimer wb_timer;
	struct qthread *wb_thread;
	struct qworkq *wb_doneq; /* for vo_wrote */
};

static inline struct writeback *
wb_of(const struct qvnode *v)
{
	return v->v_fs->fs_wb;
}

static inline uint32_t
page_flags(const struct qpage *pg)
{
	return __atomic_load_n(&pg->pg_flags, __ATOMIC_ACQUIRE);
}

static inline void
page_set(struct qpage *pg, uint32_t flags)
{
	(void)qpage_flags(pg, flags, 0);
}

static inline void
page_unset(struct qpage *pg, uint32_t flags)
{
	(void)qpage_flags(pg, 0, flags);
}

/* It is used.  The first use of what was read ahead says nothing yet. */
static inline void
page_touch(struct qpage *pg)
{
	uint32_t f = __atomic_load_n(&pg->pg_flags, __ATOMIC_RELAXED);

	if (qlikely((f & QPG_REFERENCED) != 0))
		return;
	if ((f & QPG_FRESH) != 0)
		page_unset(pg, QPG_FRESH);
	else
		page_set(pg, QPG_REFERENCED);
}

/* Are its pages all there is of it (tmpfs)? */
static inline bool
is_diskless(const struct qvnode *v)
{
	return v->v_ops->vo_map == NULL;
}

/* Give the promise of room for a page back. */
static inline void
page_unpromise(struct qvnode *v, uint64_t index)
{
	if (v->v_ops->vo_unreserve != NULL)
		v->v_ops->vo_unreserve(v, index << PAGE_SHIFT, PAGE_SIZE);
}

/* ---- pcache.c ----------------------------------------------------------- */

/*
 * A page for the cache, asking for others' to be written if there is none:
 * sleeps.  Nothing may be busy.  NULL: no memory.
 */
struct qpage *page_alloc(struct writeback *wb);

/*
 * Enter a busy page of `v`, which takes over a reference.  -EEXIST, -ENOMEM,
 * -EAGAIN (cut; see cut_wait).  [p]
 */
int page_enter(struct qvnode *v, struct qpage *pg, uint64_t index);

/* Wait until the file's place on the disk has changed. */
void cut_wait(struct qvnode *v);

/* Where the file ends, or will when a truncation is over. */
uint64_t file_end(struct qvnode *v);

/* The page at `index`, made if need be; busy, with a reference. */
int page_take(struct qvnode *v, uint64_t index, struct qpage **pgp);

/* Take a busy page out, discarding it.  Uses up a reference; sleeps. */
void page_discard(struct qvnode *v, struct qpage *pg);

/* ---- pcread.c ----------------------------------------------------------- */

/* Make a busy page valid.  Sleeps.  0 or -errno. */
int page_fill(struct qvnode *v, struct qpage *pg);

/* ---- pclru.c ------------------------------------------------------------ */

void lru_init(struct writeback *wb);
void lru_fini(struct writeback *wb);
/* Busy pages come and go. */
void lru_add(struct writeback *wb, struct qpage **pg, unsigned n);
void lru_del(struct writeback *wb, struct qpage *pg);

/* ---- writeback.c -------------------------------------------------------- */

/* Have the thread look, for `why` WB_*.  Does not sleep. */
void writeback_kick(struct writeback *wb, uint32_t why);

/*
 * Have the thread look and wait until something has been written.  False: there
 * is nothing that it can write.  Sleeps; nothing may be busy.
 */
bool writeback_help(struct writeback *wb, uint32_t why);

/* Writers wait here while too much is dirty. */
static inline bool
writeback_over(const struct writeback *wb)
{
	return __atomic_load_n(&wb->wb_ndirty, __ATOMIC_RELAXED) +
	    __atomic_load_n(&wb->wb_nwrite, __ATOMIC_RELAXED) >
	    wb->wb_limit;
}

/* A page has got (n 1) or lost (n -1) the tag PCT_DIRTY. */
void writeback_count(struct qvnode *v, int64_t n);

/* All that is being written, in whatever state, is over.  Sleeps. */
void writeback_settle(struct qvnode *v);

#endif /* QUERN_PCIMPL_H */
