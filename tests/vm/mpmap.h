/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pmap in a table: what a host would do with the changes, and a program that
 * loads and stores through it.
 *
 * An access and a change exclude each other, as they do where a change returns
 * after every processor has seen it.  Maps may be kept back until the program runs, as the contract allows.  Each
 * access asserts what it is all about: the page that is accessed is not free,
 * and it knows that it is mapped.
 */
#ifndef TESTS_VM_MPMAP_H
#define TESTS_VM_MPMAP_H

#include <components/vm/vm.h>
#include <kernel/lock.h>
#include <kernel/page.h>

#include "../kernel/ktest.h"

struct mchunk;
struct mblock;

/* What all pmaps of a test share. */
struct mworld {
	struct kenv *mw_e;
	uint64_t mw_rng;
	bool mw_lazy;     /* keep maps back at random */
	uint32_t mw_fail; /* one in so many updates has no memory */
	uint32_t mw_bug;  /* MBUG_* */
	uint32_t mw_rare; /* so many times it does not show */
	struct qspin mw_lock;
	struct mblock *mw_blocks; /* memory of the test's */
	int64_t mw_spaces;        /* there now */
	uint64_t mw_updates, mw_ops, mw_maps, mw_unmaps, mw_protects;
};

#define MBUG_UNMAP   1u /* an unmap gets lost */
#define MBUG_PROTECT 2u /* a protect gets lost */

#define MWAIT 64u

struct mpmap {
	struct qspin mp_lock; /* the table, and accesses by what it says */
	struct mworld *mp_w;
	struct quern *mp_k;
	struct mchunk *mp_chunk;
	struct quern_vm_op mp_wait[MWAIT]; /* maps that wait */
	unsigned mp_nwait;
};

extern const struct qpmap_ops mpmap_ops;

/* The world that pmaps of this kernel come to be in; in the kernel. */
void mworld_set(struct quern *k, struct mworld *w);

/*
 * Memory for the test, zeroed.  mworld_freeall gives back what is left: in a
 * kernel that has died nobody else does.
 */
void *mworld_alloc(struct mworld *w, size_t size);
void mworld_free(struct mworld *w, void *p);
void mworld_freeall(struct mworld *w);

/* A random number below `n`. */
uint64_t mworld_some(struct mworld *w, uint64_t n);

/* What waits is mapped: the program is about to run. */
void mpmap_run(struct mpmap *mp);

/* How a page is mapped, QUERN_VM_*, and where it is; 0: it is not. */
unsigned mpmap_at(struct mpmap *mp, uint64_t va, uint64_t *ramp);

/* Pages that it has mapped. */
uint64_t mpmap_pages(struct mpmap *mp);

/*
 * Have the program of a space access memory: faults and all.  0, or the signal
 * that ended it; -ENOMEM.
 */
int mload(struct qvmmap *m, uint64_t addr, void *buf, size_t len);
int mstore(struct qvmmap *m, uint64_t addr, const void *buf, size_t len);
int mexec(struct qvmmap *m, uint64_t addr);
/* Add *n to the word at `addr`; *n is what it was. */
int madd(struct qvmmap *m, uint64_t addr, uint64_t *n);

#endif /* TESTS_VM_MPMAP_H */
