/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages of files for mappings: how address spaces and files meet.
 *
 * mmap(2) asks the file (fo_mmap) and gets an object, a vnode for instance, with
 * operations.  Whoever maps a page of it
 *
 *	1. gets it by pr_page or pr_find, with a reference;
 *	2. makes it busy, and looks whether it is still the object's (qpager_has)
 *	   and below pr_size;
 *	3. calls pr_dirty if a store is to come;
 *	4. counts the mapping (qpage_map, with a mapper that finds all mappings
 *	   of the object), maps it, ends its being busy and drops the reference.
 *
 * The owner takes the page away, or writes it back, while it has it busy, and
 * calls qpage_invalidate or qpage_clean then.  Pages that are mapped are not
 * reclaimed by the owner, who needs no reference to see that.
 */
#ifndef QUERN_PAGER_H
#define QUERN_PAGER_H

#include <quern/page.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Operations of an object that has pages.  All but pr_find may sleep. */
struct qpager_ops {
	/* Let go of mm_hold: the object is not needed any more. */
	void (*pr_letgo)(void *hold);

	/* Its size in bytes: pages beyond are not to be mapped. */
	uint64_t (*pr_size)(void *obj);

	/*
	 * The page at `index`, filled, with a reference.  Called with no page
	 * busy.  -EIO, -ENOMEM, and what the file system answers.
	 */
	int (*pr_page)(void *obj, uint64_t index, struct qpage **pgp);

	/* The same if it is there already; NULL. */
	struct qpage *(*pr_find)(void *obj, uint64_t index);

	/* Begin to read pages [index, index + n).  NULL: nothing. */
	void (*pr_willneed)(void *obj, uint64_t index, uint64_t n);

	/*
	 * A store to the busy page is about to come: promise room for it and
	 * mark it dirty.  -ENOSPC and the like.  NULL: nobody needs to know.
	 */
	int (*pr_dirty)(void *obj, struct qpage *pg);

	/*
	 * Write what is dirty in the bytes [off, end) back; `wait`: to stable
	 * storage.  Called with no lock held.  NULL: 0.
	 */
	int (*pr_sync)(void *obj, uint64_t off, uint64_t end, bool wait);

	/*
	 * A hole in the bytes [off, off + len).  Called with no lock held.
	 * NULL: -EOPNOTSUPP.
	 */
	int (*pr_punch)(void *obj, uint64_t off, uint64_t len);

	/*
	 * Shared mappings that allow stores, or may come to, are more by `n`.
	 * `first`: -EPERM refuses it (a seal); others are parts or copies of
	 * those that there are.  Does not sleep.  NULL: 0.
	 */
	int (*pr_writers)(void *obj, int n, bool first);
};

/* mm_kind */
enum qmmap_kind {
	QMMAP_FILE = 0, /* mm_ops, mm_obj */
	QMMAP_SHMEM,    /* the same, and counted as shared memory: tmpfs */
	QMMAP_ANON      /* anonymous memory: /dev/zero */
};

/* A mapping to be: what fo_mmap is told, and what it answers. */
struct qmmap {
	uint64_t mm_off, mm_len; /* bytes, checked; mm_off page-aligned */
	uint32_t mm_prot;        /* Q_PROT_* */
	uint32_t mm_flags;       /* Q_MAP_* */
	/* answers; zero before */
	uint32_t mm_never;               /* Q_PROT_* that it may never have */
	uint32_t mm_kind;                /* enum qmmap_kind */
	const struct qpager_ops *mm_ops; /* unless QMMAP_ANON */
	void *mm_obj;  /* the same for all files of the same contents */
	void *mm_hold; /* keeps it: the caller's, for pr_letgo */
};

/* Is the busy page still the object's at that place, and valid? */
static inline bool
qpager_has(void *obj, const struct qpage *pg, uint64_t index)
{
	return pg->pg_obj == obj && pg->pg_index == index &&
	    (__atomic_load_n(&pg->pg_flags, __ATOMIC_ACQUIRE) & QPG_VALID) != 0;
}

#ifdef __cplusplus
}
#endif

#endif /* QUERN_PAGER_H */
