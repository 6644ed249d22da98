/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RAM pages: memory that may reach a guest.  Each has a struct qpage.
 *
 * Who holds a reference may use the page; the object (page cache, anonymous
 * memory) that owns it keeps one while it is the page's pg_obj.  The state bits
 * are changed atomically; QPG_BUSY is the page's sleeping lock, for whoever
 * fills, writes or moves it.
 *
 * Invariant (design, section 6): a page goes back to the allocator, and a write
 * protection counts, only after every address space that may map it has
 * acknowledged.  The allocator asserts what it can see: no mapping is counted
 * (pg_maps) and nobody holds the page busy or pinned.
 */
#ifndef QUERN_PAGE_H
#define QUERN_PAGE_H

#include <quern/list.h>
#include <quern/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qpage;

/* The largest block is 1 << this pages: 4 MiB. */
#define QPAGE_MAXORDER 10u

/* pg_flags */
#define QPG_FREE       1u   /* on a free list, head of its block */
#define QPG_BUSY       2u   /* being filled, written or moved */
#define QPG_WANTED     4u   /* somebody sleeps for QPG_BUSY */
#define QPG_DIRTY      8u   /* newer than what is on disk */
#define QPG_VALID      16u  /* contents are what they should be */
#define QPG_REFERENCED 32u  /* used since the last look */
#define QPG_ACTIVE     64u  /* the owner's: which of its lists it is on */
#define QPG_FRESH      128u /* the owner's: not used yet */

/*
 * Who knows all mappings of a page, of a file for instance: embedded in the
 * mapper's own structure, for any number of pages.  The page calls back to have
 * its mappings removed or made read-only; both are synchronous: on return no
 * address space can (write) access the page.  The callbacks run with the page
 * busy and its reverse-map mutex held: they may sleep, but not call qpage_map or
 * qpage_unmap.
 */
struct qpage_mapper {
	const struct qpage_mapper_ops *pm_ops;
};

struct qpage_mapper_ops {
	/* Remove all mappings of the page; how many that were. */
	uint32_t (*po_invalidate)(struct qpage_mapper *, struct qpage *);
	/* Make them read-only; the next write faults again. */
	void (*po_protect)(struct qpage_mapper *, struct qpage *);
};

/* 64 bytes; the array is in host memory that is touched as pages are used. */
struct qpage {
	uint32_t pg_flags; /* [a] QPG_* */
	uint32_t pg_refs;  /* [a] */
	uint32_t pg_pins;  /* [a] for I/O by address */
	uint8_t pg_order;  /* of the block it heads, free or not */
	uint8_t pg_pad[3];
	struct qlist pg_link; /* free list; the owner's when allocated */
	struct qpage_mapper *pg_mapper; /* [reverse-map mutex] or NULL */
	uint32_t pg_maps;               /* [a] mappings in all address spaces */
	uint32_t pg_pad2;
	void *pg_obj;      /* [busy] the owner */
	uint64_t pg_index; /* [busy] where in it, in pages */
};

/* Allocate 1 << `order` contiguous pages, not zeroed; one reference on the
 * first.  NULL: none left.  Does not sleep. */
struct qpage *qpage_alloc(struct quern *k, unsigned order) QMUSTCHECK;

/* The same, zeroed: which costs nothing for pages that have never been used. */
struct qpage *qpage_alloc_zeroed(struct quern *k, unsigned order) QMUSTCHECK;

/*
 * Make the pages of a block of that order single ones, each of which has a
 * reference of its own.  Nobody else knows of the block yet.
 */
void qpage_split(struct qpage *pg, unsigned order);

/*
 * Who can give pages back when there are few; embedded in the giver's own
 * structure.  rc_reclaim is asked by qpage_alloc_wait for `n` pages and answers
 * how many it has freed, at least some if it can; it may sleep.
 */
struct qreclaimer {
	struct qlist rc_link;
	uint64_t (*rc_reclaim)(struct qreclaimer *, uint64_t n);
	/*
	 * Wait until something that it could not free before has become what it
	 * can, dirty pages written for instance.  False: nothing is going to.
	 * It is not taken out before all who might wait have gone.  NULL: never.
	 */
	bool (*rc_wait)(struct qreclaimer *);
};

/*
 * qpage_reclaimer_add enters one; qpage_reclaimer_del takes it out again, and
 * waits until it is not being asked.
 */
void qpage_reclaimer_add(struct quern *k, struct qreclaimer *r);
void qpage_reclaimer_del(struct quern *k, struct qreclaimer *r);

/*
 * As qpage_alloc, asking the reclaimers as often as that frees something.
 * Sleeps; not for a reclaimer itself.
 */
struct qpage *qpage_alloc_wait(struct quern *k, unsigned order) QMUSTCHECK;

/*
 * After qpage_alloc_wait found nothing: wait until it is worth trying again.
 * False: it is not.  Sleeps, for disks too; nothing may be busy.
 */
bool qpage_wait(struct quern *k) QMUSTCHECK;

/* qpage_total is the pages of RAM in all, qpage_nfree those that are free. */
uint64_t qpage_total(struct quern *k);
uint64_t qpage_nfree(struct quern *k);

/* Take a reference. */
void qpage_get(struct qpage *pg);

/* Drop one; the last frees the block.  Does not sleep. */
void qpage_put(struct quern *k, struct qpage *pg);

/* Where the kernel sees the page. */
void *qpage_data(struct quern *k, const struct qpage *pg);

/*
 * qpage_offset is its offset in the RAM arena, qpage_at the way back.  NULL: out
 * of range.
 */
uint64_t qpage_offset(struct quern *k, const struct qpage *pg);
struct qpage *qpage_at(struct quern *k, uint64_t off);

/*
 * qpage_busy makes it busy, sleeping until it is not; qpage_trybusy does not
 * sleep and says whether it did; qpage_unbusy ends it.
 */
void qpage_busy(struct quern *k, struct qpage *pg);
bool qpage_trybusy(struct qpage *pg);
void qpage_unbusy(struct quern *k, struct qpage *pg);

/*
 * qpage_pin keeps it in place for I/O until qpage_unpin; pins nest.  A pinned
 * page is not reclaimed.
 */
void qpage_pin(struct qpage *pg);
void qpage_unpin(struct qpage *pg);

/* Set flags and take others away, atomically; those that it had. */
uint32_t qpage_flags(struct qpage *pg, uint32_t set, uint32_t unset);

/* Set QPG_DIRTY; true when it was clean. */
bool qpage_dirty(struct qpage *pg);

/*
 * Begin to write a dirty page back: protect every mapping, then clear
 * QPG_DIRTY, so that a store after this makes it dirty again.  Caller holds it
 * busy.  True when it was dirty.  May sleep.
 */
bool qpage_clean(struct quern *k, struct qpage *pg);

/*
 * Count a mapping that is about to be made.  `m` knows of it from here on; NULL
 * where the page is the mapper's own and nobody will ask.  With `m`, the caller
 * holds the page busy, and may sleep.
 */
void qpage_map(struct quern *k, struct qpage *pg, struct qpage_mapper *m);

/*
 * `n` mappings are gone, and every address space has acknowledged.  May sleep,
 * and not under a lock that the mapper's callbacks take.
 */
void qpage_unmap(struct quern *k, struct qpage *pg, uint32_t n);

/*
 * Have the mapper remove all mappings, and wait for those that somebody is just
 * removing.  Caller holds it busy; may sleep.
 */
void qpage_invalidate(struct quern *k, struct qpage *pg);

/* Is anyone mapping it? */
static inline bool
qpage_mapped(const struct qpage *pg)
{
	return __atomic_load_n(&pg->pg_maps, __ATOMIC_ACQUIRE) != 0;
}

#ifdef __cplusplus
}
#endif

#endif /* QUERN_PAGE_H */
