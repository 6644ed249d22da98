/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that use one address space while it is forked, protected, and its
 * file written back and taken away.
 *
 * Each worker counts in words of its own, in pages that it shares with the
 * others: private memory, a private and a shared mapping of a file.  It knows what
 * each of its words is; so no store may get lost, whoever copied the page
 * meanwhile.  A child's words are such as they were at one moment, and stay so.
 */
#include <stdlib.h>
#include <string.h>

#include <quern/block.h>

#include <components/vm/impl.h>

#include "mpmap.h"
#include "tfile.h"

#define PG      QUERN_PAGE_SIZE
#define WORKERS 3u
#define PAGES   8u
#define AREAS   3u
#define RW      (Q_PROT_READ | Q_PROT_WRITE)

struct race {
	struct kenv *e;
	struct quern *k;
	struct mworld w;
	struct tfile file;
	struct qfile *f;
	struct qdisk *swap;
	struct qvmmap *m;
	uint64_t area[AREAS], extra;
	uint32_t worker, over; /* [a] */
	unsigned rounds;
	bool bug; /* planted: a fork that does not protect */
};

static uint64_t
word_at(struct race *r, unsigned area, unsigned page, unsigned worker)
{
	return r->area[area] + page * PG + 64 + worker * 8;
}

static void
worker_main(void *arg)
{
	struct race *r = arg;
	unsigned w = __atomic_fetch_add(&r->worker, 1, __ATOMIC_RELAXED), i;
	uint64_t mine[AREAS][PAGES] = { { 0 } }, n;
	unsigned a, p;
	int error;

	for (i = 0; i < r->rounds && !r->e->failed; i++) {
		a = (unsigned)mworld_some(&r->w, AREAS);
		p = (unsigned)mworld_some(&r->w, PAGES);
		n = 1;
		if (mworld_some(&r->w, 4) == 0) {
			error = qcopyin(qvm_uspace(r->m), &n,
			    word_at(r, a, p, w), 8);
			KCHECK_EQ(r->e, n, mine[a][p]);
			n++;
			if (error == 0)
				error = qcopyout(qvm_uspace(r->m),
				    word_at(r, a, p, w), &n, 8);
		} else {
			error = madd(r->m, word_at(r, a, p, w), &n);
			KCHECK_EQ(r->e, n, mine[a][p]);
		}
		KCHECK_EQ(r->e, error, 0);
		mine[a][p]++;
		if (i % 3 == 0)
			qthread_yield();
	}
	for (a = 0; a < AREAS; a++)
		for (p = 0; p < PAGES; p++) {
			KCHECK_EQ(r->e, mload(r->m, word_at(r, a, p, w), &n, 8),
			    0);
			KCHECK_EQ(r->e, n, mine[a][p]);
		}
	__atomic_fetch_add(&r->over, 1, __ATOMIC_RELEASE);
}

/* A child's private memory does not change any more, but by its own stores. */
static void
fork_once(struct race *r)
{
	uint64_t seen[WORKERS], n;
	struct qvmmap *c;
	unsigned p = (unsigned)mworld_some(&r->w, PAGES), w, i;
	unsigned a = (unsigned)mworld_some(&r->w, 2);

	if (!KCHECK_EQ(r->e, qvm_fork(r->m, &c), 0))
		return;
	for (w = 0; w < WORKERS; w++)
		KCHECK_EQ(r->e, mload(c, word_at(r, a, p, w), &seen[w], 8), 0);
	n = 1000;
	KCHECK_EQ(r->e, madd(c, word_at(r, a, p, 0), &n), 0);
	for (i = 0; i < 3; i++) {
		qthread_yield();
		for (w = 0; w < WORKERS; w++) {
			KCHECK_EQ(r->e, mload(c, word_at(r, a, p, w), &n, 8),
			    0);
			KCHECK_EQ(r->e, n, seen[w] + (w == 0 ? 1000 : 0));
		}
	}
	qvm_put(c);
}

static void
disturb(struct race *r)
{
	uint64_t at = r->extra, to = 0;

	switch (mworld_some(&r->w, 12)) {
	case 10:
	case 11:
		(void)swap_pages(vm_of(r->k), 1 + mworld_some(&r->w, 10));
		break;
	case 0:
	case 1:
	case 2:
		fork_once(r);
		break;
	case 3:
	case 4:
		(void)tfile_clean(&r->file, mworld_some(&r->w, 2 * PAGES));
		break;
	case 5:
	case 6:
		(void)tfile_reclaim(&r->file, mworld_some(&r->w, 2 * PAGES));
		break;
	case 7:
		KCHECK_EQ(r->e, qvm_protect(r->m, at, 2 * PG, Q_PROT_NONE), 0);
		KCHECK_EQ(r->e, qvm_protect(r->m, at, 4 * PG, RW), 0);
		break;
	case 8:
		KCHECK_EQ(r->e,
		    qvm_remap(r->m, at, 4 * PG, 6 * PG, Q_MREMAP_MAYMOVE, &to),
		    0);
		KCHECK_EQ(r->e, qvm_unmap(r->m, to + 4 * PG, 2 * PG), 0);
		r->extra = to;
		break;
	default:
		qvm_refresh(r->m);
		KCHECK_EQ(r->e, qvm_advise(r->m, at, 4 * PG, Q_MADV_DONTNEED),
		    0);
		break;
	}
}

/* Of the same priority as the workers, which go on meanwhile. */
static void
disturber_main(void *arg)
{
	struct race *r = arg;

	while (__atomic_load_n(&r->over, __ATOMIC_ACQUIRE) < WORKERS) {
		disturb(r);
		qthread_yield();
	}
}

static int64_t
in_kernel(void *arg)
{
	struct race *r = arg;
	uint64_t before = qpage_nfree(r->k);
	struct qthread *t[WORKERS + 1];
	unsigned i;

	mworld_set(r->k, &r->w);
	r->file.tf_e = r->e;
	r->file.tf_k = r->k;
	r->file.tf_disk = mworld_alloc(&r->w, TF_PAGES * PG);
	r->file.tf_size = 2 * PAGES * PG;
	if (!tfile_init(&r->file, &r->f) ||
	    !KCHECK_EQ(r->e, qvm_create(r->k, &mpmap_ops, &r->m), 0))
		return 0;
	KCHECK_EQ(r->e, qdisk_ram(r->k, "swap", 200 * PG, &r->swap), 0);
	KCHECK_EQ(r->e, qvm_swapon(r->k, r->swap), 0);
	r->w.mw_bug = r->bug ? MBUG_PROTECT : 0;
	KCHECK_EQ(r->e,
	    qvm_map(r->m, &r->area[0], PAGES * PG, RW,
		Q_MAP_PRIVATE | Q_MAP_ANONYMOUS, NULL, 0),
	    0);
	KCHECK_EQ(r->e,
	    qvm_map(r->m, &r->area[1], PAGES * PG, RW, Q_MAP_PRIVATE, r->f, 0),
	    0);
	KCHECK_EQ(r->e,
	    qvm_map(r->m, &r->area[2], PAGES * PG, RW, Q_MAP_SHARED, r->f,
		PAGES * PG),
	    0);
	KCHECK_EQ(r->e,
	    qvm_map(r->m, &r->extra, 4 * PG, RW,
		Q_MAP_PRIVATE | Q_MAP_ANONYMOUS, NULL, 0),
	    0);
	for (i = 0; i < WORKERS; i++)
		KCHECK_EQ(r->e,
		    qthread_create(r->k, "worker", worker_main, r, QPRIO_NORMAL,
			QCPU_ANY, &t[i]),
		    0);
	KCHECK_EQ(r->e,
	    qthread_create(r->k, "disturber", disturber_main, r, QPRIO_NORMAL,
		QCPU_ANY, &t[WORKERS]),
	    0);
	for (i = 0; i <= WORKERS; i++)
		qthread_join(t[i]);
	qvm_put(r->m);
	KCHECK_EQ(r->e, qvm_swapoff(r->k, r->swap), 0);
	qdisk_put(r->swap);
	qfile_put(r->f);
	tfile_fini(&r->file);
	KCHECK_EQ(r->e, r->w.mw_spaces, 0);
	KCHECK_EQ(r->e, qpage_nfree(r->k), before);
	return 0;
}

static void
run_race(struct kenv *e, bool bug)
{
	static const struct quern_component *const parts[] = { &qvm, NULL };
	struct quern_config qc = kenv_config(e);
	struct race *r = calloc(1, sizeof(*r));
	struct quern_proc *p;

	r->e = r->w.mw_e = e;
	r->bug = bug;
	r->rounds = e->sim != NULL ? 400 : 4000;
	r->w.mw_lazy = true;
	r->w.mw_rng = e->sim != NULL ? quern_sim_random(e->sim, 1u << 30) : 3;
	qc.components = parts;
	qc.ram = 1024 * PG;
	if (KCHECK_EQ(e, quern_create(&qc, &r->k), 0) &&
	    KCHECK_EQ(e, quern_proc_create(r->k, &p), 0)) {
		KCHECK_EQ(e, quern_run(p, in_kernel, r), 0);
		kenv_destroy(e, r->k);
	}
	mworld_freeall(&r->w);
	free(r);
}

static void
threads(struct kenv *e)
{
	run_race(e, false);
}

static void
bug_protect(struct kenv *e)
{
	run_race(e, true);
}

const struct kcase kvmrace_cases[] = {
	{ "threads", threads, 100, false, NULL },
	{ NULL, NULL, 0, false, NULL },
};

const struct kcase kvmrace_bugs[] = {
	{ "bug_protect", bug_protect, 500, true, NULL },
	{ NULL, NULL, 0, false, NULL },
};
