/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address spaces: one thing after the other.
 */
#include <stdlib.h>
#include <string.h>

#include <quern/block.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>

#include <components/vm/impl.h>
#include <kernel/impl.h>
#include <kernel/syscall.h>

#include "mpmap.h"

#define PG QUERN_PAGE_SIZE
#define RW (Q_PROT_READ | Q_PROT_WRITE)

#define ANON   (Q_MAP_PRIVATE | Q_MAP_ANONYMOUS)
#define SHARED (Q_MAP_SHARED | Q_MAP_ANONYMOUS)

/* A test's kernel, process and file. */
struct vmtest {
	struct kenv *e;
	struct quern *k;
	struct quern_proc *p;
	struct mworld w;
	struct qvmmap *m;
	struct qfile *f; /* of FPAGES pages, page i full of i + 1 */
	void (*body)(struct vmtest *t);
};

#define FPAGES 40u

static int64_t
in_kernel(void *arg)
{
	struct vmtest *t = arg;
	uint64_t free = qpage_nfree(t->k);

	mworld_set(t->k, &t->w);
	t->f = qfd_get(t->p, 0);
	KCHECK_EQ(t->e, qvm_create(t->k, &mpmap_ops, &t->m), 0);
	t->body(t);
	qvm_put(t->m);
	qfile_put(t->f);
	KCHECK_EQ(t->e, t->w.mw_spaces, 0);
	KCHECK_EQ(t->e, qpage_nfree(t->k), free);
	return 0;
}

static void
run_test(struct kenv *e, uint64_t pages, void (*body)(struct vmtest *t))
{
	static const struct quern_component *const parts[] = { &qvfs, &qtmpfs,
		&qvm, NULL };
	struct quern_config c = kenv_config(e);
	struct vmtest t = { .e = e, .body = body, .w = { .mw_e = e } };
	uint8_t buf[PG];
	unsigned i;

	t.w.mw_rng = e->sim != NULL ? quern_sim_random(e->sim, 1u << 30) : 7;
	c.components = parts;
	c.ram = pages * PG;
	if (!KCHECK_EQ(e, quern_create(&c, &t.k), 0))
		return;
	KCHECK_EQ(e, quern_proc_create(t.k, &t.p), 0);
	KCHECK_EQ(e, quern_open(t.p, "/file", Q_O_RDWR | Q_O_CREAT, 0600), 0);
	for (i = 0; i < FPAGES; i++) {
		memset(buf, (int)i + 1, sizeof(buf));
		KCHECK_EQ(e, quern_write(t.p, 0, buf, sizeof(buf)), PG);
	}
	KCHECK_EQ(e, quern_run(t.p, in_kernel, &t), 0);
	KCHECK_EQ(e, quern_close(t.p, 0), 0);
	kenv_destroy(e, t.k);
}

static uint64_t
map_at(struct vmtest *t, uint64_t at, uint64_t pages, unsigned prot,
    unsigned flags)
{
	struct qfile *f = (flags & Q_MAP_ANONYMOUS) != 0 ? NULL : t->f;

	KCHECK_EQ(t->e, qvm_map(t->m, &at, pages * PG, prot, flags, f, 0), 0);
	return at;
}

static uint8_t
byte_at(struct vmtest *t, struct qvmmap *m, uint64_t at)
{
	uint8_t b = 0;

	KCHECK_EQ(t->e, mload(m, at, &b, 1), 0);
	return b;
}

static void
set_byte(struct vmtest *t, struct qvmmap *m, uint64_t at, uint8_t b)
{
	KCHECK_EQ(t->e, mstore(m, at, &b, 1), 0);
}

static void
anon_body(struct vmtest *t)
{
	uint64_t at = map_at(t, 0, 100, RW, ANON), i;
	uint8_t b = 1;

	for (i = 0; i < 100; i++) {
		KCHECK_EQ(t->e, byte_at(t, t->m, at + i * PG), 0);
		set_byte(t, t->m, at + i * PG + i, (uint8_t)i);
	}
	for (i = 0; i < 100; i++)
		KCHECK_EQ(t->e, byte_at(t, t->m, at + i * PG + i), i);
	KCHECK_EQ(t->e, mexec(t->m, at), Q_SIGSEGV);
	KCHECK_EQ(t->e, qvm_unmap(t->m, at + 10 * PG, 20 * PG), 0);
	KCHECK_EQ(t->e, mload(t->m, at + 10 * PG, &b, 1), Q_SIGSEGV);
	KCHECK_EQ(t->e, mstore(t->m, at + 29 * PG, &b, 1), Q_SIGSEGV);
	KCHECK_EQ(t->e, byte_at(t, t->m, at + 30 * PG + 30), 30);
	/* What is mapped there again is empty, and one with its neighbours. */
	KCHECK_EQ(t->e, t->m->m_n, 2);
	map_at(t, at + 10 * PG, 20, RW, ANON | Q_MAP_FIXED);
	KCHECK_EQ(t->e, byte_at(t, t->m, at + 15 * PG + 15), 0);
	KCHECK_EQ(t->e, byte_at(t, t->m, at + 9 * PG + 9), 9);
	KCHECK_EQ(t->e, qvm_unmap(t->m, at, 100 * PG), 0);
	KCHECK_EQ(t->e, t->m->m_n, 0);
	KCHECK_EQ(t->e, mpmap_pages(qvm_pmap(t->m)), 0);
}

static void
file_body(struct vmtest *t)
{
	uint64_t s = map_at(t, 0, FPAGES, RW, Q_MAP_SHARED);
	uint64_t p = map_at(t, 0, FPAGES + 2, RW, Q_MAP_PRIVATE), i;
	uint8_t b;

	for (i = 0; i < FPAGES; i++) {
		KCHECK_EQ(t->e, byte_at(t, t->m, s + i * PG), i + 1);
		KCHECK_EQ(t->e, byte_at(t, t->m, p + i * PG + 77), i + 1);
	}
	KCHECK_EQ(t->e, mload(t->m, p + FPAGES * PG, &b, 1), Q_SIGBUS);
	set_byte(t, t->m, s + 3 * PG, 99);
	KCHECK_EQ(t->e, byte_at(t, t->m, p + 3 * PG), 99);
	set_byte(t, t->m, p + 3 * PG, 50);
	KCHECK_EQ(t->e, byte_at(t, t->m, s + 3 * PG), 99);
	set_byte(t, t->m, s + 3 * PG, 98);
	KCHECK_EQ(t->e, byte_at(t, t->m, p + 3 * PG), 50);
	KCHECK_EQ(t->e, byte_at(t, t->m, p + 3 * PG + 1), 4);
	KCHECK_EQ(t->e, qvm_unmap(t->m, s, FPAGES * PG), 0);
	KCHECK_EQ(t->e, qvm_unmap(t->m, p, (FPAGES + 2) * PG), 0);
	KCHECK_EQ(t->e, mpmap_pages(qvm_pmap(t->m)), 0);
}

static void
fork_body(struct vmtest *t)
{
	uint64_t a = map_at(t, 0, 64, RW, ANON),
		 s = map_at(t, 0, 4, RW, SHARED);
	struct qvmmap *c, *g;
	unsigned i;

	for (i = 0; i < 40; i++)
		set_byte(t, t->m, a + i * PG, (uint8_t)(i + 1));
	KCHECK_EQ(t->e, qvm_fork(t->m, &c), 0);
	set_byte(t, t->m, a, 100);
	set_byte(t, c, a + PG, 101);
	KCHECK_EQ(t->e, qvm_fork(c, &g), 0);
	set_byte(t, c, a + PG, 102);
	set_byte(t, g, a + 2 * PG, 103);
	set_byte(t, c, s, 7);
	KCHECK_EQ(t->e, byte_at(t, t->m, a), 100);
	KCHECK_EQ(t->e, byte_at(t, t->m, a + PG), 2);
	KCHECK_EQ(t->e, byte_at(t, t->m, a + 2 * PG), 3);
	KCHECK_EQ(t->e, byte_at(t, c, a), 1);
	KCHECK_EQ(t->e, byte_at(t, c, a + PG), 102);
	KCHECK_EQ(t->e, byte_at(t, c, a + 2 * PG), 3);
	qvm_put(c);
	KCHECK_EQ(t->e, byte_at(t, g, a), 1);
	KCHECK_EQ(t->e, byte_at(t, g, a + PG), 101);
	KCHECK_EQ(t->e, byte_at(t, g, a + 2 * PG), 103);
	KCHECK_EQ(t->e, byte_at(t, g, s), 7);
	for (i = 3; i < 40; i++) {
		KCHECK_EQ(t->e, byte_at(t, g, a + i * PG), i + 1);
		set_byte(t, g, a + i * PG, 0);
		KCHECK_EQ(t->e, byte_at(t, t->m, a + i * PG), i + 1);
	}
	qvm_put(g);
	/* Nobody else is left: the chain has become one object. */
	set_byte(t, t->m, a + 5 * PG, 1);
	KCHECK(t->e, entry_at(t->m, a)->e_anon->a_back == NULL);
	for (i = 6; i < 40; i++)
		KCHECK_EQ(t->e, byte_at(t, t->m, a + i * PG), i + 1);
}

static void
protect_body(struct vmtest *t)
{
	uint64_t a = map_at(t, 0, 10, RW, ANON);
	uint8_t b = 5;

	set_byte(t, t->m, a, 1);
	set_byte(t, t->m, a + 5 * PG, 6);
	KCHECK_EQ(t->e, qvm_protect(t->m, a + 4 * PG, 2 * PG, Q_PROT_READ), 0);
	KCHECK_EQ(t->e, t->m->m_n, 3);
	KCHECK_EQ(t->e, mstore(t->m, a + 5 * PG, &b, 1), Q_SIGSEGV);
	KCHECK_EQ(t->e, byte_at(t, t->m, a + 5 * PG), 6);
	KCHECK_EQ(t->e, qvm_protect(t->m, a + 4 * PG, 2 * PG, Q_PROT_NONE), 0);
	KCHECK_EQ(t->e, mload(t->m, a + 5 * PG, &b, 1), Q_SIGSEGV);
	KCHECK_EQ(t->e, qvm_protect(t->m, a, 10 * PG, RW | Q_PROT_EXEC), 0);
	KCHECK_EQ(t->e, t->m->m_n, 1);
	KCHECK_EQ(t->e, byte_at(t, t->m, a + 5 * PG), 6);
	KCHECK_EQ(t->e, mexec(t->m, a), 0);
	set_byte(t, t->m, a + 5 * PG, 7);
	KCHECK_EQ(t->e, qvm_protect(t->m, a, 11 * PG, RW), -Q_ENOMEM);
	KCHECK_EQ(t->e, qvm_protect(t->m, a + 1, PG, RW), -Q_EINVAL);
	KCHECK_EQ(t->e, mexec(t->m, a), Q_SIGSEGV);
}

static void
heap_body(struct vmtest *t)
{
	uint64_t base = UINT64_C(0x10000000) + 123;
	char buf[64];

	qvm_set_brk(t->m, base);
	KCHECK_EQ(t->e, qvm_brk(t->m, 0), base);
	KCHECK_EQ(t->e, qvm_brk(t->m, base + 100000), base + 100000);
	KCHECK_EQ(t->e,
	    qcopyout(qvm_uspace(t->m), base + 5000, "hello world", 12), 0);
	KCHECK_EQ(t->e, qcopyinstr(qvm_uspace(t->m), buf, base + 5000, 64), 11);
	KCHECK(t->e, strcmp(buf, "hello world") == 0);
	KCHECK_EQ(t->e, qcopyinstr(qvm_uspace(t->m), buf, base + 5000, 5),
	    -Q_ENAMETOOLONG);
	KCHECK_EQ(t->e, qcopyin(qvm_uspace(t->m), buf, base + 200000, 1),
	    -Q_EFAULT);
	KCHECK_EQ(t->e, qvm_brk(t->m, base + 3000), base + 3000);
	KCHECK_EQ(t->e, qcopyin(qvm_uspace(t->m), buf, base + 5000, 1),
	    -Q_EFAULT);
	KCHECK_EQ(t->e, qvm_brk(t->m, base + 9000), base + 9000);
	KCHECK_EQ(t->e, qcopyin(qvm_uspace(t->m), buf, base + 5000, 1), 0);
	KCHECK_EQ(t->e, buf[0], 0);
	KCHECK_EQ(t->e, t->m->m_n, 1);
	KCHECK_EQ(t->e, qvm_brk(t->m, base - 1), base + 9000);
}

/* What a sweep costs the host: extents grow, and it is one change each. */
static void
extents_body(struct vmtest *t)
{
	uint64_t a, i, p, ops;

	for (i = 0; i < 3; i++) {
		a = map_at(t, 0, 1024, RW, ANON);
		ops = t->w.mw_ops;
		for (p = 0; p < 1024; p++)
			set_byte(t, t->m, a + p * PG, 1);
		KCHECK(t->e, t->w.mw_ops - ops < 24);
		ops = t->w.mw_ops;
		KCHECK_EQ(t->e, qvm_unmap(t->m, a, 1024 * PG), 0);
		KCHECK_EQ(t->e, t->w.mw_ops - ops, 1);
	}
	a = map_at(t, 0, 1024, RW, ANON);
	ops = t->w.mw_ops;
	KCHECK_EQ(t->e, qvm_unmap(t->m, a, 1024 * PG), 0);
	KCHECK_EQ(t->e, t->w.mw_ops, ops);
}

/* ---- promises, limits, locked memory ------------------------------------------- */

static int
try_map(struct vmtest *t, uint64_t pages, unsigned flags, uint64_t *at)
{
	*at = 0;
	return qvm_map(t->m, at, pages * PG, RW, flags, NULL, 0);
}

static void
promise_body(struct vmtest *t)
{
	uint64_t a, b, used, before, limit;
	unsigned how, ratio;
	struct qvmmap *c;

	/* 1,024 pages of RAM. */
	KCHECK_EQ(t->e, try_map(t, 1100, ANON, &a), -Q_ENOMEM);
	KCHECK_EQ(t->e, try_map(t, 1100, ANON | Q_MAP_NORESERVE, &a), 0);
	KCHECK_EQ(t->e, try_map(t, 1000, ANON, &b), 0);
	qvm_overcommit(t->k, &how, &ratio, &before, &limit);
	KCHECK_EQ(t->e, before, 1000);
	KCHECK_EQ(t->e, qvm_unmap(t->m, b, 990 * PG), 0);
	qvm_overcommit(t->k, &how, &ratio, &used, &limit);
	KCHECK_EQ(t->e, used, 10);
	qvm_set_overcommit(t->k, Q_OVERCOMMIT_NEVER, 50);
	qvm_overcommit(t->k, &how, &ratio, &used, &limit);
	KCHECK_EQ(t->e, limit, 512);
	KCHECK_EQ(t->e, try_map(t, 503, ANON | Q_MAP_NORESERVE, &b), -Q_ENOMEM);
	KCHECK_EQ(t->e, try_map(t, 300, SHARED, &b), 0);
	KCHECK_EQ(t->e, qvm_fork(t->m, &c), -Q_ENOMEM);
	KCHECK_EQ(t->e, qvm_unmap(t->m, b, 300 * PG), 0);
	KCHECK_EQ(t->e, qvm_fork(t->m, &c), 0);
	qvm_overcommit(t->k, &how, &ratio, &used, &limit);
	KCHECK_EQ(t->e, used, 20);
	qvm_put(c);
	qvm_set_overcommit(t->k, Q_OVERCOMMIT_ALWAYS, 50);
	KCHECK_EQ(t->e, try_map(t, 5000, ANON, &b), 0);
}

static void
limits_body(struct vmtest *t)
{
	struct quern_proc *p = qproc_current();
	struct qvm_stats st;
	uint64_t a, b;
	uint8_t x = 1;

	p->p_rlim[Q_RLIMIT_AS].rlim_cur = 100 * PG;
	KCHECK_EQ(t->e, try_map(t, 60, ANON, &a), 0);
	KCHECK_EQ(t->e, try_map(t, 41, ANON, &b), -Q_ENOMEM);
	KCHECK_EQ(t->e, try_map(t, 40, SHARED, &b), 0);
	KCHECK_EQ(t->e, qvm_unmap(t->m, b, 40 * PG), 0);
	p->p_rlim[Q_RLIMIT_AS].rlim_cur = Q_RLIM_INFINITY;
	p->p_rlim[Q_RLIMIT_DATA].rlim_cur = 64 * PG;
	KCHECK_EQ(t->e, try_map(t, 5, ANON, &b), -Q_ENOMEM);
	KCHECK_EQ(t->e, try_map(t, 5, SHARED, &b), 0);
	p->p_rlim[Q_RLIMIT_DATA].rlim_cur = Q_RLIM_INFINITY;
	/* A stack grows as far as its limit, and not into what is below it. */
	b = UINT64_C(0x40000000);
	KCHECK_EQ(t->e,
	    qvm_map_named(t->m, &b, 4 * PG, RW,
		ANON | Q_MAP_GROWSDOWN | Q_MAP_FIXED, NULL, 0, "[stack]"),
	    0);
	p->p_rlim[Q_RLIMIT_STACK].rlim_cur = 20 * PG;
	KCHECK_EQ(t->e, mstore(t->m, b - 10 * PG, &x, 1), 0);
	KCHECK_EQ(t->e, mstore(t->m, b - 17 * PG, &x, 1), Q_SIGSEGV);
	p->p_rlim[Q_RLIMIT_STACK].rlim_cur = Q_RLIM_INFINITY;
	a = b - 400 * PG;
	KCHECK_EQ(t->e, qvm_map(t->m, &a, PG, RW, ANON | Q_MAP_FIXED, NULL, 0),
	    0);
	KCHECK_EQ(t->e, mstore(t->m, b - 100 * PG, &x, 1), 0);
	KCHECK_EQ(t->e, mstore(t->m, b - 200 * PG, &x, 1), Q_SIGSEGV);
	qvm_stats(t->m, &st);
	KCHECK_EQ(t->e, st.vs_stack, 104);
	KCHECK_EQ(t->e, byte_at(t, t->m, b - 10 * PG), 1);
}

/* ---- from one process to another -------------------------------------------------- */

static int64_t
guest_call(struct quern_proc *p, unsigned nr, const uint64_t arg[6])
{
	struct qsys s = { .s_arg = arg,
		.s_proc = p,
		.s_us = qvm_uspace(qvm_of(p)) };

	return qsys_dispatch(&s, nr);
}

#define NR_READV  310u
#define NR_WRITEV 311u

static void
process_body(struct vmtest *t)
{
	struct quern_proc *me = qproc_current(), *p, *q;
	struct qvmmap *other;
	uint64_t a = map_at(t, 0, 8, RW, ANON), arg[6] = { 0 };
	struct q_iovec iov[2];
	uint64_t iovs = a + 7 * PG;

	KCHECK_EQ(t->e, qproc_create(t->k, me, NULL, QPROC_GUEST, NULL, &p), 0);
	KCHECK_EQ(t->e, qproc_create(t->k, me, NULL, QPROC_GUEST, NULL, &q), 0);
	KCHECK_EQ(t->e, qvm_fork(t->m, &other), 0);
	KCHECK_EQ(t->e, qvm_attach(p, t->m), 0);
	KCHECK_EQ(t->e, qvm_attach(q, other), 0);
	KCHECK(t->e, qvm_of(p) == t->m && qvm_of(me) == NULL);
	KCHECK_EQ(t->e, mstore(other, a + PG - 3, "abcdef", 6), 0);
	/* Two pieces there become one here, and the end has a hole. */
	iov[0] = (struct q_iovec){ (void *)(a + 10), 100 };
	iov[1] = (struct q_iovec){ (void *)(a + PG - 3), 6 };
	KCHECK_EQ(t->e, mstore(t->m, iovs, iov, sizeof(iov)), 0);
	arg[0] = q->p_pid;
	arg[1] = iovs;
	arg[2] = 1;
	arg[3] = iovs + sizeof(iov[0]);
	arg[4] = 1;
	KCHECK_EQ(t->e, guest_call(p, NR_READV, arg), 6);
	KCHECK_EQ(t->e, byte_at(t, t->m, a + 10), 'a');
	KCHECK_EQ(t->e, byte_at(t, t->m, a + 15), 'f');
	KCHECK_EQ(t->e, guest_call(p, NR_WRITEV, arg), 6);
	iov[1] = (struct q_iovec){ (void *)(a + 8 * PG - 4), 50 };
	KCHECK_EQ(t->e, mstore(t->m, iovs, iov, sizeof(iov)), 0);
	KCHECK_EQ(t->e, guest_call(p, NR_READV, arg), 4);
	iov[1] = (struct q_iovec){ (void *)(a + 8 * PG), 50 };
	KCHECK_EQ(t->e, mstore(t->m, iovs, iov, sizeof(iov)), 0);
	KCHECK_EQ(t->e, guest_call(p, NR_READV, arg), -Q_EFAULT);
	arg[0] = 30000;
	KCHECK_EQ(t->e, guest_call(p, NR_READV, arg), -Q_ESRCH);
	qvm_put(other);
	KCHECK_EQ(t->e, qvm_attach(q, NULL), 0);
	KCHECK_EQ(t->e, t->w.mw_spaces, 1);
	KCHECK_EQ(t->e, qproc_destroy(q), 0);
	KCHECK_EQ(t->e, qproc_destroy(p), 0);
}

/* ---- more than there is ------------------------------------------------------- */

#define MORE 400u

static void
swap_body(struct vmtest *t)
{
	uint64_t a = map_at(t, 0, MORE, RW, ANON | Q_MAP_NORESERVE), total,
		 left;
	uint64_t f = map_at(t, 0, FPAGES, RW, Q_MAP_PRIVATE);
	uint8_t b = 1;
	struct qvmmap *c;
	struct qdisk *d;
	int error = 0;
	unsigned i;

	/* Without a disk the guest has no memory, and that is all. */
	for (i = 0; i < MORE && error == 0; i++)
		error = mstore(t->m, a + i * PG, &b, 1);
	KCHECK_EQ(t->e, error, -Q_ENOMEM);
	KCHECK_EQ(t->e, qdisk_ram(t->k, "swap", 600 * PG, &d), 0);
	KCHECK_EQ(t->e, qvm_swapon(t->k, d), 0);
	KCHECK_EQ(t->e, qvm_swapon(t->k, d), -Q_EBUSY);
	for (i = 0; i < MORE; i++)
		set_byte(t, t->m, a + i * PG, (uint8_t)(i * 7));
	qvm_swapinfo(t->k, &total, &left);
	KCHECK_EQ(t->e, total, 599);
	KCHECK(t->e, left < 450);
	KCHECK_EQ(t->e, qvm_fork(t->m, &c), 0);
	for (i = 0; i < MORE; i++) {
		KCHECK_EQ(t->e, byte_at(t, t->m, a + i * PG), (uint8_t)(i * 7));
		if (i % 4 == 0)
			set_byte(t, c, a + i * PG, 1);
		if (i < FPAGES)
			KCHECK_EQ(t->e, byte_at(t, c, f + i * PG), i + 1);
	}
	for (i = 0; i < MORE; i++)
		KCHECK_EQ(t->e, byte_at(t, c, a + i * PG),
		    i % 4 == 0 ? 1 : (uint8_t)(i * 7));
	/* It does not fit into memory. */
	KCHECK_EQ(t->e, qvm_swapoff(t->k, d), -Q_ENOMEM);
	qvm_put(c);
	KCHECK_EQ(t->e, qvm_unmap(t->m, a + 100 * PG, (MORE - 100) * PG), 0);
	KCHECK_EQ(t->e, qvm_swapoff(t->k, d), 0);
	for (i = 0; i < 100; i++)
		KCHECK_EQ(t->e, byte_at(t, t->m, a + i * PG), (uint8_t)(i * 7));
	KCHECK_EQ(t->e, qvm_swapoff(t->k, d), -Q_EINVAL);
	qdisk_put(d);
}

/* ---- no memory ------------------------------------------------------------------ */

/* What may fail at any allocation: a bit of everything, tried once each. */
static void
try_all(struct vmtest *t, int *done)
{
	unsigned flags[] = { ANON, SHARED, Q_MAP_PRIVATE, Q_MAP_SHARED }, i;
	struct qvmmap *c;
	uint64_t at, to;
	uint8_t b = 1, got;

	for (i = 0; i < QARRAYLEN(flags); i++) {
		at = 0;
		if (qvm_map(t->m, &at, 20 * PG, RW, flags[i],
			(flags[i] & Q_MAP_ANONYMOUS) != 0 ? NULL : t->f,
			0) != 0)
			continue;
		*done += 1;
		if (mstore(t->m, at + 5 * PG, &b, 1) == 0) {
			*done += 1;
			if (mload(t->m, at + 5 * PG, &got, 1) == 0)
				KCHECK_EQ(t->e, got, 1);
		}
		*done += qvm_protect(t->m, at + 4 * PG, PG, Q_PROT_READ) == 0;
		c = NULL;
		if (qvm_fork(t->m, &c) == 0) {
			*done += 1;
			b = 2;
			*done += mstore(c, at + 5 * PG, &b, 1) == 0;
			b = 1;
			to = 0;
			*done += qvm_remap(c, at + 5 * PG, 2 * PG, 9 * PG,
				     Q_MREMAP_MAYMOVE, &to) == 0;
			*done += qvm_advise(c, at, 3 * PG, Q_MADV_DONTNEED) ==
			    0;
			qvm_put(c);
		}
		if (flags[i] == ANON && mload(t->m, at + 5 * PG, &got, 1) == 0)
			KCHECK(t->e, got == 0 || got == 1);
		to = 0;
		*done += qvm_remap(t->m, at, 4 * PG, 8 * PG, Q_MREMAP_MAYMOVE,
			     &to) == 0;
		*done += qvm_unmap(t->m, at + 6 * PG, 2 * PG) == 0;
	}
}

struct nomem {
	struct vmtest t;
	uint64_t from, to;
	int done;
};

static uint64_t
allocs_of(struct quern *k)
{
	return __atomic_load_n(&k->k_allocs, __ATOMIC_RELAXED);
}

static int64_t
nomem_body(void *arg)
{
	struct nomem *nm = arg;
	struct vmtest *t = &nm->t;

	mworld_set(t->k, &t->w);
	t->f = qfd_get(t->p, 0);
	nm->from = allocs_of(t->k);
	if (qvm_create(t->k, &mpmap_ops, &t->m) == 0) {
		try_all(t, &nm->done);
		qvm_put(t->m);
	}
	nm->to = allocs_of(t->k);
	KCHECK_EQ(t->e, t->w.mw_spaces, 0);
	qfile_put(t->f);
	return 0;
}

/* One run in which allocation number `fail` fails. */
static void
nomem_once(struct kenv *e, uint64_t fail, struct nomem *nm)
{
	static const struct quern_component *const parts[] = { &qvfs, &qtmpfs,
		&qvm, NULL };
	struct quern_config c = kenv_config(e);
	uint8_t buf[PG];
	unsigned i;

	memset(nm, 0, sizeof(*nm));
	memset(buf, 7, sizeof(buf));
	nm->t.e = nm->t.w.mw_e = e;
	c.components = parts;
	c.ram = 512 * PG;
	c.fail_alloc = fail;
	if (!KCHECK_EQ(e, quern_create(&c, &nm->t.k), 0))
		return;
	KCHECK_EQ(e, quern_proc_create(nm->t.k, &nm->t.p), 0);
	KCHECK_EQ(e, quern_open(nm->t.p, "/file", Q_O_RDWR | Q_O_CREAT, 0600),
	    0);
	for (i = 0; i < 24; i++)
		KCHECK_EQ(e, quern_write(nm->t.p, 0, buf, sizeof(buf)), PG);
	KCHECK_EQ(e, quern_run(nm->t.p, nomem_body, nm), 0);
	(void)quern_close(nm->t.p, 0);
	kenv_destroy(e, nm->t.k);
}

/* What a child and its parent touched after a fork, they have after the next. */
static void
hints_body(struct vmtest *t)
{
	uint64_t at = map_at(t, 0, 40, RW, ANON), i;
	uint64_t file = map_at(t, 0, 40, RW, Q_MAP_PRIVATE);
	struct qvmmap *child;

	for (i = 0; i < 40; i++)
		set_byte(t, t->m, at + i * PG, (uint8_t)(i + 1));
	KCHECK_EQ(t->e, qvm_fork(t->m, &child), 0);
	KCHECK_EQ(t->e, pmap_prot(child, at), 0);
	KCHECK_EQ(t->e, pmap_prot(t->m, at + 30 * PG), QVM_READ);
	set_byte(t, child, at, 100);
	KCHECK_EQ(t->e, byte_at(t, child, at + 20 * PG), 21);
	set_byte(t, child, file, 101);
	set_byte(t, t->m, at + 30 * PG, 102);
	qvm_put(child);
	KCHECK_EQ(t->e, qvm_fork(t->m, &child), 0);
	KCHECK_EQ(t->e, pmap_prot(child, at), QVM_READ | QVM_WRITE);
	KCHECK(t->e, pmap_prot(child, at + 20 * PG) != 0);
	KCHECK_EQ(t->e, pmap_prot(t->m, at + 30 * PG), QVM_READ | QVM_WRITE);
	/* A store to a file's mapping has not been. */
	KCHECK_EQ(t->e, pmap_prot(child, file) & QVM_WRITE, 0);
	KCHECK_EQ(t->e, byte_at(t, child, at), 1);
	KCHECK_EQ(t->e, byte_at(t, child, at + 30 * PG), 102);
	set_byte(t, child, at, 7);
	set_byte(t, t->m, at + 30 * PG, 8);
	KCHECK_EQ(t->e, byte_at(t, t->m, at), 1);
	KCHECK_EQ(t->e, byte_at(t, child, at + 30 * PG), 102);
	qvm_put(child);
}

/* Text is changed for one space alone. */
static void
poke_body(struct vmtest *t)
{
	const unsigned rx = Q_PROT_READ | Q_PROT_EXEC;
	static const uint8_t two[2] = { 2, 2 }, new[2] = { 77, 78 };
	uint64_t at = map_at(t, 0, 10, rx, Q_MAP_PRIVATE);
	uint64_t again = map_at(t, 0, 10, rx, Q_MAP_PRIVATE);
	uint64_t shared = map_at(t, 0, 10, rx, Q_MAP_SHARED), from = at + PG;
	uint64_t anon = map_at(t, 0, 1, rx, ANON), stored;
	static const uint8_t zero[2];
	struct qvmmap *child;
	uint8_t b = 9;

	stored = map_at(t, 0, 1, rx | Q_PROT_WRITE, ANON);
	KCHECK_EQ(t->e, mexec(t->m, from), 0);
	KCHECK_EQ(t->e, qvm_poke(t->m, from + 5, two, new, 2), 0);
	KCHECK_EQ(t->e, byte_at(t, t->m, from + 4), 2);
	KCHECK_EQ(t->e, byte_at(t, t->m, from + 5), 77);
	KCHECK_EQ(t->e, byte_at(t, t->m, from + 6), 78);
	KCHECK_EQ(t->e, mexec(t->m, from), 0);
	KCHECK_EQ(t->e, mstore(t->m, from + 5, &b, 1), Q_SIGSEGV);
	KCHECK_EQ(t->e, byte_at(t, t->m, again + PG + 5), 2);
	KCHECK_EQ(t->e, byte_at(t, t->m, shared + PG + 5), 2);
	/* It is what is there that counts. */
	KCHECK_EQ(t->e, qvm_poke(t->m, from + 5, two, new, 2), -Q_EAGAIN);
	KCHECK_EQ(t->e, qvm_poke(t->m, anon, zero, new, 2), 0);
	KCHECK_EQ(t->e, byte_at(t, t->m, anon + 1), 78);
	/* A copy has what there was, and then its own. */
	KCHECK_EQ(t->e, qvm_fork(t->m, &child), 0);
	KCHECK_EQ(t->e, byte_at(t, child, from + 5), 77);
	KCHECK_EQ(t->e, qvm_poke(child, from + 5, new, two, 2), 0);
	KCHECK_EQ(t->e, qvm_poke(t->m, anon, new, two, 2), 0);
	KCHECK_EQ(t->e, byte_at(t, child, from + 5), 2);
	KCHECK_EQ(t->e, byte_at(t, t->m, from + 5), 77);
	KCHECK_EQ(t->e, byte_at(t, child, anon), 77);
	KCHECK_EQ(t->e, byte_at(t, t->m, anon), 2);
	qvm_put(child);
	/* Not what is shared or can be stored to, is not there, or two pages. */
	KCHECK_EQ(t->e, qvm_poke(t->m, shared + PG, two, new, 2), -Q_EFAULT);
	KCHECK_EQ(t->e, qvm_poke(t->m, stored, zero, new, 2), -Q_EFAULT);
	KCHECK_EQ(t->e, qvm_poke(t->m, from + PG - 1, two, new, 2), -Q_EFAULT);
	KCHECK_EQ(t->e, qvm_unmap(t->m, at, 10 * PG), 0);
	KCHECK_EQ(t->e, qvm_poke(t->m, from + 5, new, two, 2), -Q_EFAULT);
}

static void
case_nomem(struct kenv *e)
{
	uint64_t from, to, n;
	struct nomem nm;
	int all;

	if (e->ncpu != 1 || e->runners != 0)
		return;
	nomem_once(e, UINT64_MAX, &nm);
	from = nm.from;
	to = nm.to;
	all = nm.done;
	KCHECK(e, to > from + 50 && all > 30);
	for (n = from + 1; n <= to && !e->failed; n++) {
		nomem_once(e, n, &nm);
		/* Something may not have worked, but not everything. */
		KCHECK(e, nm.done == 0 || nm.done > all / 2);
	}
}

#define CASE(name, pages)                          \
	static void case_##name(struct kenv *e)    \
	{                                          \
		run_test(e, (pages), name##_body); \
	}

CASE(anon, 1024)
CASE(file, 1024)
CASE(fork, 1024)
CASE(protect, 1024)
CASE(heap, 1024)
CASE(extents, 16384)
CASE(swap, 300)
CASE(process, 1024)
CASE(promise, 1024)
CASE(limits, 1024)
CASE(poke, 1024)
CASE(hints, 2048)

const struct kcase kvm_cases[] = {
	{ "anon", case_anon, 4, false, NULL },
	{ "file", case_file, 4, false, NULL },
	{ "fork", case_fork, 4, false, NULL },
	{ "protect", case_protect, 4, false, NULL },
	{ "heap", case_heap, 4, false, NULL },
	{ "extents", case_extents, 1, false, NULL },
	{ "swap", case_swap, 2, false, NULL },
	{ "promise", case_promise, 2, false, NULL },
	{ "limits", case_limits, 2, false, NULL },
	{ "poke", case_poke, 2, false, NULL },
	{ "hints", case_hints, 2, false, NULL },
	{ "process", case_process, 2, false, NULL },
	{ "nomem", case_nomem, 0, false, NULL },
	{ NULL, NULL, 0, false, NULL },
};
