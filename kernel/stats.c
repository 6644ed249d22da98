/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counters for people: the kernel's own, the heap's, and waiting for locks.
 *
 * Only waiting is counted, and only where it happens, in the slow paths: a lock
 * that is free costs nothing more.  Locks are told apart by name, a table of
 * LOCK_STATS of them that is searched by the name's address; shown, they are in
 * an order that does not depend on addresses.  The last entry stands for the
 * rest.
 */
#include "impl.h"

#include "slab.h"
#include "trace.h"

static const char *
lock_label(uint64_t name)
{
	return (const char *)(uintptr_t)name;
}

static const struct qtrace_event ev_wait = { .te_name = "lock",
	.te_cat = "lock",
	.te_phase = QTRACE_BEGIN,
	.te_label = lock_label };
static const struct qtrace_event ev_waited = { .te_name = "lock",
	.te_cat = "lock",
	.te_phase = QTRACE_END,
	.te_label = lock_label,
	.te_arg = { NULL, "slept" } };

/* ---- locks ------------------------------------------------------------------ */

uint64_t
lock_wait(const char *name)
{
	qtrace(qcpu_current(), &ev_wait, (uintptr_t)name, 0, 0);
	return qclock_mono(quern_current());
}

static struct lock_stat *
find_stat(struct quern *k, const char *name)
{
	struct lock_stat *ls = k->k_lock_stat;
	const char *is;

	for (; ls < &k->k_lock_stat[LOCK_STATS - 1]; ls++) {
		is = __atomic_load_n(&ls->ls_name, __ATOMIC_RELAXED);
		if (is == name)
			return ls;
		if (is == NULL &&
		    (__atomic_compare_exchange_n(&ls->ls_name, &is, name, false,
			 __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
			is == name))
			return ls;
	}
	__atomic_store_n(&ls->ls_name, "(others)", __ATOMIC_RELAXED);
	return ls;
}

void
lock_waited(const char *name, uint64_t since, unsigned slept)
{
	struct quern *k = quern_current();
	struct lock_stat *ls = find_stat(k, name);
	uint64_t ns = qclock_mono(k) - since, max;

	__atomic_fetch_add(&ls->ls_waits, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&ls->ls_sleeps, slept != 0, __ATOMIC_RELAXED);
	__atomic_fetch_add(&ls->ls_total_ns, ns, __ATOMIC_RELAXED);
	max = __atomic_load_n(&ls->ls_max_ns, __ATOMIC_RELAXED);
	while (ns > max &&
	    !__atomic_compare_exchange_n(&ls->ls_max_ns, &max, ns, false,
		__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		continue;
	qtrace(qcpu_current(), &ev_waited, (uintptr_t)name, slept, 0);
}

/* Copy what there is, counters of the same name together; returns how many. */
static unsigned
copy_stats(struct quern *k, struct quern_lock_stat *out)
{
	struct lock_stat *ls = k->k_lock_stat;
	struct quern_lock_stat *o;
	unsigned i, j, n = 0;
	const char *name;
	uint64_t max;

	for (i = 0; i < LOCK_STATS; i++, ls++) {
		name = __atomic_load_n(&ls->ls_name, __ATOMIC_RELAXED);
		if (name == NULL)
			continue;
		for (j = 0; j < n && qstrcmp(out[j].ls_name, name) != 0; j++)
			continue;
		o = &out[j];
		if (j == n) {
			memset(o, 0, sizeof(*o));
			o->ls_name = name;
			n++;
		}
		o->ls_waits += __atomic_load_n(&ls->ls_waits, __ATOMIC_RELAXED);
		o->ls_sleeps += __atomic_load_n(&ls->ls_sleeps,
		    __ATOMIC_RELAXED);
		o->ls_total_ns += __atomic_load_n(&ls->ls_total_ns,
		    __ATOMIC_RELAXED);
		max = __atomic_load_n(&ls->ls_max_ns, __ATOMIC_RELAXED);
		if (max > o->ls_max_ns)
			o->ls_max_ns = max;
	}
	return n;
}

/* Does `a` come before `b`? */
static bool
waited_more(const struct quern_lock_stat *a, const struct quern_lock_stat *b)
{
	if (a->ls_total_ns != b->ls_total_ns)
		return a->ls_total_ns > b->ls_total_ns;
	return qstrcmp(a->ls_name, b->ls_name) < 0;
}

int
quern_lock_stats(struct quern *k,
    void (*fn)(void *arg, const struct quern_lock_stat *), void *arg)
{
	struct quern_lock_stat st[LOCK_STATS], tmp;
	unsigned i, j, n;

	if (k == NULL || fn == NULL)
		return -Q_EFAULT;
	n = copy_stats(k, st);
	for (i = 1; i < n; i++)
		for (j = i; j > 0 && waited_more(&st[j], &st[j - 1]); j--) {
			tmp = st[j];
			st[j] = st[j - 1];
			st[j - 1] = tmp;
		}
	for (i = 0; i < n; i++)
		fn(arg, &st[i]);
	return 0;
}

/* ---- the heap ---------------------------------------------------------------- */

struct alloc_args {
	struct quern *aa_k;
	void (*aa_fn)(void *, const struct quern_alloc_stat *);
	void *aa_arg;
};

static int64_t
alloc_stats(void *arg)
{
	struct alloc_args *aa = arg;

	(void)heap_by_tag(aa->aa_k, aa->aa_fn, aa->aa_arg);
	return 0;
}

int
quern_alloc_stats(struct quern *k,
    void (*fn)(void *arg, const struct quern_alloc_stat *), void *arg)
{
	struct alloc_args aa = { k, fn, arg };
	uint32_t hint = 0;

	if (k == NULL || fn == NULL)
		return -Q_EFAULT;
	return (int)host_call(k, NULL, &hint, alloc_stats, &aa);
}

/* ---- the kernel's -------------------------------------------------------------- */

void
kernel_stats(struct quern *k, struct quern_stats *st, bool heap)
{
	struct qcpu_sched *r;
	unsigned i;

	memset(st, 0, sizeof(*st));
	st->st_allocs = __atomic_load_n(&k->k_allocs, __ATOMIC_RELAXED);
	for (i = 0; i < k->k_ncpu; i++) {
		r = k->k_cpu[i]->v_sched;
		st->st_switches += __atomic_load_n(&r->r_switches,
		    __ATOMIC_RELAXED);
		st->st_steals += __atomic_load_n(&r->r_steals,
		    __ATOMIC_RELAXED);
	}
	hspin_lock(k, &k->k_thread_lock);
	st->st_threads = k->k_nthread;
	hspin_unlock(&k->k_thread_lock);
	page_stats(k, &st->st_ram_total, &st->st_ram_free);
	if (heap)
		st->st_inuse = heap_inuse(k);
}

struct stats_args {
	struct quern *sa_k;
	struct quern_stats *sa_st;
};

static int64_t
stats_body(void *arg)
{
	struct stats_args *sa = arg;

	kernel_stats(sa->sa_k, sa->sa_st, true);
	return 0;
}

int
quern_stats(struct quern *k, struct quern_stats *st)
{
	struct stats_args sa = { k, st };
	uint32_t hint = 0;
	int64_t error;

	if (k == NULL || st == NULL)
		return -Q_EFAULT;
	/* In the kernel, where nobody changes the lists that it walks. */
	error = host_call(k, NULL, &hint, stats_body, &sa);
	if (error != -Q_ENOTRECOVERABLE)
		return (int)error;
	kernel_stats(k, st, false);
	return 0;
}
