/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What guests read of the clock, with a host whose clock says what the test wants.
 */
#include <string.h>

#include <components/linux/vdso/vdso.h>
#include <components/linux/vdso/vvar.h>
#include <components/vfs/tmpfs/tmpfs.h>
#include <components/vfs/vfs.h>
#include <kernel/abi/errno.h>
#include <kernel/abi/mman.h>
#include <kernel/thread.h>

#include "tests/vm/mpmap.h"

#define PG  QUERN_PAGE_SIZE
#define SEC UINT64_C(1000000000)

/* Cycles of 2 ns. */
#define SHIFT 32u
#define MULT  (UINT64_C(2) << SHIFT)

struct vtest {
	struct kenv *e;
	struct quern *k;
	struct mworld w;
	struct qvmmap *m;
	struct qvdso *v;
	uint64_t vvar;
	void (*body)(struct vtest *t);
};

static struct quern_hyper table;
static struct quern_clock_params params;
static int answer;

static int
fake_params(void *ctx, struct quern_clock_params *cp)
{
	(void)ctx;
	*cp = params;
	return answer;
}

/* From the next tick on the host's clock is at `mono` when the cycle is `c`. */
static void
clock_is(uint64_t c, uint64_t mono, uint64_t real)
{
	answer = 0;
	params = (struct quern_clock_params){ .cp_shift = SHIFT,
		.cp_cycle0 = c,
		.cp_mult = MULT,
		.cp_mono_ns = mono,
		.cp_real_ns = real };
}

static struct vvar
read_vvar(struct vtest *t)
{
	struct vvar vv = { 0 };

	KCHECK_EQ(t->e, mload(t->m, t->vvar, &vv, sizeof(vv)), 0);
	KCHECK_EQ(t->e, vv.vv_seq % 2, 0);
	return vv;
}

/* What a guest makes of it at cycle `c`. */
static uint64_t
time_at(const struct vvar *vv, uint64_t c)
{
	return vv->vv_mono +
	    ((c - vv->vv_cycle0) * vv->vv_mult >> vv->vv_shift);
}

static int64_t
in_kernel(void *arg)
{
	struct vtest *t = arg;
	uint64_t free = qpage_nfree(t->k), ehdr = 0;
	uint8_t magic[4];

	mworld_set(t->k, &t->w);
	answer = -Q_EAGAIN;
	t->v = qvdso_create(t->k);
	if (!KCHECK(t->e, t->v != NULL))
		return 0;
	KCHECK_EQ(t->e, qvm_create(t->k, &mpmap_ops, &t->m), 0);
	KCHECK_EQ(t->e, qvdso_map(t->v, t->m, &ehdr), 0);
	KCHECK_EQ(t->e, mload(t->m, ehdr, magic, 4), 0);
	KCHECK(t->e, memcmp(magic, "\177ELF", 4) == 0);
	t->vvar = ehdr - PG;
	t->body(t);
	qvm_put(t->m);
	qvdso_destroy(t->v);
	KCHECK_EQ(t->e, qpage_nfree(t->k), free);
	return 0;
}

static void
run_test(struct kenv *e, void (*body)(struct vtest *t))
{
	static const struct quern_component *const parts[] = { &qvfs, &qtmpfs,
		&qvm, NULL };
	struct quern_config c = kenv_config(e);
	struct vtest t = { .e = e, .body = body, .w = { .mw_e = e } };
	struct quern_proc *p = NULL;

	table = *c.host.h_ops;
	table.clock_params = fake_params;
	c.host.h_ops = &table;
	c.components = parts;
	c.ram = 64 * PG;
	if (!KCHECK_EQ(e, quern_create(&c, &t.k), 0))
		return;
	KCHECK_EQ(e, quern_proc_create(t.k, &p), 0);
	KCHECK_EQ(e, quern_run(p, in_kernel, &t), 0);
	kenv_destroy(e, t.k);
}

/* Nothing is told before something is known, and then the truth. */
static void
told_body(struct vtest *t)
{
	struct vvar vv;

	qvdso_tick(t->v, 1);
	vv = read_vvar(t);
	KCHECK_EQ(t->e, vv.vv_shift, 0);
	clock_is(1000, 5 * SEC, 9 * SEC);
	/* Asked again soon, but not at once. */
	qvdso_tick(t->v, 2);
	vv = read_vvar(t);
	KCHECK_EQ(t->e, vv.vv_shift, 0);
	qvdso_tick(t->v, SEC / 50);
	vv = read_vvar(t);
	KCHECK_EQ(t->e, vv.vv_shift, SHIFT);
	KCHECK_EQ(t->e, vv.vv_real, 4 * SEC);
	KCHECK_EQ(t->e, time_at(&vv, 1000), 5 * SEC);
	KCHECK_EQ(t->e, time_at(&vv, 1500), 5 * SEC + 1000);
	/* It stays for a second. */
	clock_is(2000, 7 * SEC, 9 * SEC);
	qvdso_tick(t->v, SEC);
	KCHECK_EQ(t->e, read_vvar(t).vv_cycle0, 1000);
	qvdso_tick(t->v, SEC + SEC / 10);
	KCHECK_EQ(t->e, read_vvar(t).vv_cycle0, 2000);
	KCHECK_EQ(t->e, read_vvar(t).vv_mono, 7 * SEC);
}

/* What was told too early is not taken back: time goes slower for a while. */
static void
ahead_body(struct vtest *t)
{
	const uint64_t second = SEC / 2; /* in cycles */
	struct vvar vv;

	clock_is(0, 10 * SEC, 10 * SEC);
	qvdso_tick(t->v, 10 * SEC);
	/* A second later by us, but the host is 1 ms behind that. */
	clock_is(second, 11 * SEC - SEC / 1000, 11 * SEC - SEC / 1000);
	qvdso_tick(t->v, 11 * SEC);
	vv = read_vvar(t);
	KCHECK_EQ(t->e, time_at(&vv, second), 11 * SEC);
	KCHECK(t->e, time_at(&vv, 2 * second) < 12 * SEC);
	KCHECK(t->e, time_at(&vv, 2 * second) > 12 * SEC - SEC / 200);
	/* Far ahead it does not stand still either. */
	clock_is(2 * second, 1 * SEC, 1 * SEC);
	qvdso_tick(t->v, 13 * SEC);
	vv = read_vvar(t);
	KCHECK(t->e, time_at(&vv, 2 * second) >= 12 * SEC - SEC / 200);
	KCHECK(t->e, time_at(&vv, 3 * second) > time_at(&vv, 2 * second));
}

/* The wall clock follows if it is set, and does not follow errors of measuring. */
static void
set_body(struct vtest *t)
{
	clock_is(0, 10 * SEC, 100 * SEC);
	qvdso_tick(t->v, 10 * SEC);
	KCHECK_EQ(t->e, read_vvar(t).vv_real, 90 * SEC);
	clock_is(SEC / 2, 11 * SEC, 101 * SEC + 300);
	qvdso_tick(t->v, 11 * SEC);
	KCHECK_EQ(t->e, read_vvar(t).vv_real, 90 * SEC);
	clock_is(SEC, 12 * SEC, 50 * SEC);
	qvdso_tick(t->v, 12 * SEC);
	KCHECK_EQ(t->e, read_vvar(t).vv_real, 38 * SEC);
}

/* Guests can't write it, whatever they ask for, nor execute it. */
static void
readonly_body(struct vtest *t)
{
	uint64_t word = 1;

	KCHECK_EQ(t->e,
	    qvm_protect(t->m, t->vvar, PG, Q_PROT_READ | Q_PROT_WRITE),
	    -Q_EACCES);
	KCHECK_EQ(t->e,
	    qvm_protect(t->m, t->vvar, PG, Q_PROT_READ | Q_PROT_EXEC),
	    -Q_EACCES);
	KCHECK(t->e, mstore(t->m, t->vvar, &word, sizeof(word)) > 0);
	/* The object is theirs to write to, as a copy. */
	KCHECK_EQ(t->e,
	    qvm_protect(t->m, t->vvar + PG, PG, Q_PROT_READ | Q_PROT_WRITE), 0);
	KCHECK_EQ(t->e, mstore(t->m, t->vvar + PG, &word, sizeof(word)), 0);
}

static void
told(struct kenv *e)
{
	run_test(e, told_body);
}

static void
ahead(struct kenv *e)
{
	run_test(e, ahead_body);
}

static void
set(struct kenv *e)
{
	run_test(e, set_body);
}

static void
readonly(struct kenv *e)
{
	run_test(e, readonly_body);
}

static int64_t
none_in_kernel(void *arg)
{
	struct vtest *t = arg;

	answer = -Q_EOPNOTSUPP;
	KCHECK(t->e, qvdso_create(t->k) == NULL);
	qvdso_destroy(NULL);
	return 0;
}

/* A host that can't say has guests ask the kernel. */
static void
none(struct kenv *e)
{
	struct quern_config c = kenv_config(e);
	struct vtest t = { .e = e };

	table = *c.host.h_ops;
	table.clock_params = fake_params;
	c.host.h_ops = &table;
	c.ram = 64 * PG;
	if (!KCHECK_EQ(e, quern_create(&c, &t.k), 0))
		return;
	KCHECK_EQ(e, kcall(t.k, none_in_kernel, &t), 0);
	kenv_destroy(e, t.k);
}

const struct kcase kvdso_cases[] = {
	{ "told", told, 20, false, NULL },
	{ "ahead", ahead, 20, false, NULL },
	{ "set", set, 20, false, NULL },
	{ "readonly", readonly, 20, false, NULL },
	{ "none", none, 20, false, NULL },
	{ 0 },
};
