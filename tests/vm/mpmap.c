/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include <quern/abi/signal.h>

#include "mpmap.h"

#define PG     QUERN_PAGE_SIZE
#define CPAGES 512u

/* A page of the table: where it is in RAM, and QUERN_VM_*; 0: not mapped. */
struct mpte {
	uint64_t t_ram;
	uint32_t t_prot;
};

struct mchunk {
	struct mchunk *c_next;
	uint64_t c_base;
	struct mpte c_pte[CPAGES];
};

static struct mpte *
find(struct mpmap *mp, uint64_t va, bool make)
{
	uint64_t base = va / (CPAGES * PG) * (CPAGES * PG);
	struct mchunk *c;

	for (c = mp->mp_chunk; c != NULL && c->c_base != base; c = c->c_next)
		continue;
	if (c == NULL && make) {
		c = mworld_alloc(mp->mp_w, sizeof(*c));
		c->c_base = base;
		c->c_next = mp->mp_chunk;
		mp->mp_chunk = c;
	}
	return c != NULL ? &c->c_pte[(va - base) / PG] : NULL;
}

uint64_t
mworld_some(struct mworld *w, uint64_t n)
{
	uint64_t r;

	qspin_lock(&w->mw_lock);
	r = w->mw_rng = w->mw_rng * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	qspin_unlock(&w->mw_lock);
	return (r >> 33) % n;
}

static void
bump(uint64_t *n)
{
	__atomic_fetch_add(n, 1, __ATOMIC_RELAXED);
}

/* ---- memory --------------------------------------------------------------- */

struct mblock {
	struct mblock *b_next, **b_at;
};

void *
mworld_alloc(struct mworld *w, size_t size)
{
	struct mblock *b = calloc(1, sizeof(*b) + size);

	qspin_lock(&w->mw_lock);
	b->b_next = w->mw_blocks;
	b->b_at = &w->mw_blocks;
	if (b->b_next != NULL)
		b->b_next->b_at = &b->b_next;
	w->mw_blocks = b;
	qspin_unlock(&w->mw_lock);
	return b + 1;
}

void
mworld_free(struct mworld *w, void *p)
{
	struct mblock *b;

	if (p == NULL)
		return;
	b = (struct mblock *)p - 1;
	qspin_lock(&w->mw_lock);
	*b->b_at = b->b_next;
	if (b->b_next != NULL)
		b->b_next->b_at = b->b_at;
	qspin_unlock(&w->mw_lock);
	free(b);
}

void
mworld_freeall(struct mworld *w)
{
	struct mblock *b;

	/* Outside of any kernel. */
	while ((b = w->mw_blocks) != NULL) {
		w->mw_blocks = b->b_next;
		free(b);
	}
}

/* ---- as a host ------------------------------------------------------------ */

static void
apply_map(struct mpmap *mp, const struct quern_vm_op *op)
{
	struct mpte *t;
	uint64_t o;

	for (o = 0; o < op->v_len; o += PG) {
		t = find(mp, op->v_addr + o, true);
		t->t_ram = op->v_ram + o;
		t->t_prot = op->v_prot;
	}
}

static void
run_waiting(struct mpmap *mp)
{
	unsigned i;

	for (i = 0; i < mp->mp_nwait; i++)
		apply_map(mp, &mp->mp_wait[i]);
	mp->mp_nwait = 0;
}

void
mpmap_run(struct mpmap *mp)
{
	qspin_lock(&mp->mp_lock);
	run_waiting(mp);
	qspin_unlock(&mp->mp_lock);
}

static void
apply_unmap(struct mpmap *mp, const struct quern_vm_op *op)
{
	uint64_t end = op->v_addr + op->v_len, va;
	struct mchunk *c;
	unsigned i;

	run_waiting(mp);
	for (c = mp->mp_chunk; c != NULL; c = c->c_next)
		for (i = 0; i < CPAGES; i++) {
			va = c->c_base + i * PG;
			if (va >= op->v_addr && va < end)
				c->c_pte[i].t_prot = 0;
		}
}

static void
apply_protect(struct mpmap *mp, const struct quern_vm_op *op)
{
	struct mpte *t;
	uint64_t o;

	run_waiting(mp);
	for (o = 0; o < op->v_len; o += PG) {
		t = find(mp, op->v_addr + o, false);
		if (KCHECK(mp->mp_w->mw_e, t != NULL && t->t_prot != 0))
			t->t_prot = op->v_prot;
	}
}

static bool
is_whole(const struct quern_vm_op *op)
{
	return op->v_cmd == QUERN_VM_UNMAP && op->v_len == QVM_TOP - QVM_LOW;
}

static void
apply(struct mpmap *mp, const struct quern_vm_op *op)
{
	struct mworld *w = mp->mp_w;

	KCHECK(w->mw_e,
	    op->v_addr % PG == 0 && op->v_len % PG == 0 && op->v_len != 0 &&
		op->v_addr >= QVM_LOW && op->v_len <= QVM_TOP - op->v_addr);
	bump(&w->mw_ops);
	switch (op->v_cmd) {
	case QUERN_VM_MAP:
		bump(&w->mw_maps);
		KCHECK(w->mw_e, (op->v_prot & QUERN_VM_READ) != 0);
		KCHECK(w->mw_e,
		    op->v_ram + op->v_len <= qpage_total(mp->mp_k) * PG);
		mp->mp_wait[mp->mp_nwait++] = *op;
		if (!w->mw_lazy || mp->mp_nwait == MWAIT ||
		    mworld_some(w, 2) == 0)
			run_waiting(mp);
		break;
	case QUERN_VM_UNMAP:
		bump(&w->mw_unmaps);
		if (w->mw_bug != MBUG_UNMAP ||
		    mworld_some(w, w->mw_rare + 1) != 0)
			apply_unmap(mp, op);
		break;
	default:
		bump(&w->mw_protects);
		if (w->mw_bug != MBUG_PROTECT ||
		    mworld_some(w, w->mw_rare + 1) != 0)
			apply_protect(mp, op);
		break;
	}
}

static int
update(void *arg, const struct quern_vm_op *ops, unsigned n)
{
	struct mpmap *mp = arg;
	struct mworld *w = mp->mp_w;
	unsigned i;
	int error = 0;

	qspin_lock(&mp->mp_lock);
	bump(&w->mw_updates);
	for (i = 0; i < n && error == 0; i++) {
		if (w->mw_fail != 0 && mworld_some(w, w->mw_fail) == 0 &&
		    !is_whole(&ops[i]))
			error = -Q_ENOMEM;
		else
			apply(mp, &ops[i]);
	}
	qspin_unlock(&mp->mp_lock);
	return error;
}

/* The one world of this program's; tests run one kernel at a time. */
static struct mworld *the_world;

void
mworld_set(struct quern *k, struct mworld *w)
{
	(void)k;
	the_world = w;
}

static int
create(struct quern *k, void *parent, void **argp)
{
	struct mpmap *mp;

	if (parent != NULL)
		KCHECK(the_world->mw_e,
		    ((struct mpmap *)parent)->mp_w == the_world);
	if (the_world->mw_fail != 0 &&
	    mworld_some(the_world, the_world->mw_fail) == 0)
		return -Q_EAGAIN;
	mp = mworld_alloc(the_world, sizeof(*mp));
	qspin_init(&mp->mp_lock);
	mp->mp_w = the_world;
	mp->mp_k = k;
	__atomic_fetch_add(&the_world->mw_spaces, 1, __ATOMIC_RELAXED);
	*argp = mp;
	return 0;
}

static void
destroy(void *arg)
{
	struct mpmap *mp = arg;
	struct mchunk *c;

	__atomic_fetch_sub(&mp->mp_w->mw_spaces, 1, __ATOMIC_RELAXED);
	while ((c = mp->mp_chunk) != NULL) {
		mp->mp_chunk = c->c_next;
		mworld_free(mp->mp_w, c);
	}
	mworld_free(mp->mp_w, mp);
}

const struct qpmap_ops mpmap_ops = { .pm_create = create,
	.pm_destroy = destroy,
	.pm_update = update };

uint64_t
mpmap_pages(struct mpmap *mp)
{
	struct mchunk *c;
	uint64_t n = 0;
	unsigned i;

	qspin_lock(&mp->mp_lock);
	run_waiting(mp);
	for (c = mp->mp_chunk; c != NULL; c = c->c_next)
		for (i = 0; i < CPAGES; i++)
			n += c->c_pte[i].t_prot != 0;
	qspin_unlock(&mp->mp_lock);
	return n;
}

unsigned
mpmap_at(struct mpmap *mp, uint64_t va, uint64_t *ramp)
{
	struct mpte *t;
	unsigned prot = 0;

	qspin_lock(&mp->mp_lock);
	run_waiting(mp);
	t = find(mp, va, false);
	if (t != NULL && t->t_prot != 0) {
		*ramp = t->t_ram;
		prot = t->t_prot;
	}
	qspin_unlock(&mp->mp_lock);
	return prot;
}

/* ---- as a program ------------------------------------------------------------ */

/* An access within a page. */
struct access {
	uint64_t va;
	unsigned how; /* QVM_* */
	void *in;
	const void *out;
	uint64_t *add; /* add this to a word, and here is what it was */
	size_t n;
};

/* As a processor does: false is a page fault. */
static bool
try_access(struct mpmap *mp, const struct access *ac)
{
	struct qpage *pg;
	struct mpte *t;
	uint8_t *p;
	bool ok;

	qspin_lock(&mp->mp_lock);
	run_waiting(mp);
	t = find(mp, ac->va, false);
	ok = t != NULL && t->t_prot != 0 && (ac->how & ~t->t_prot) == 0;
	if (ok) {
		pg = qpage_at(mp->mp_k, t->t_ram);
		KCHECK(mp->mp_w->mw_e,
		    (__atomic_load_n(&pg->pg_flags, __ATOMIC_RELAXED) &
			QPG_FREE) == 0);
		KCHECK(mp->mp_w->mw_e, qpage_mapped(pg));
		p = (uint8_t *)qpage_data(mp->mp_k, pg) + ac->va % PG;
		if (ac->add != NULL)
			*ac->add = __atomic_fetch_add((uint64_t *)(void *)p,
			    *ac->add, __ATOMIC_RELAXED);
		else if (ac->out != NULL)
			memcpy(p, ac->out, ac->n);
		else if (ac->in != NULL)
			memcpy(ac->in, p, ac->n);
	}
	qspin_unlock(&mp->mp_lock);
	return ok;
}

static int
do_access(struct qvmmap *m, const struct access *ac)
{
	struct mpmap *mp = qvm_pmap(m);
	struct qvm_fault f = { 0, 0, 0 };
	unsigned tries;
	int error;

	for (tries = 0; tries < 1000; tries++) {
		if (try_access(mp, ac))
			return 0;
		error = qvm_fault(m, ac->va, ac->how, &f);
		if (error == -Q_EFAULT) {
			KCHECK(mp->mp_w->mw_e,
			    f.qf_addr == ac->va &&
				(f.qf_sig == Q_SIGSEGV ||
				    f.qf_sig == Q_SIGBUS));
			return f.qf_sig;
		}
		if (error != 0)
			return error;
	}
	KCHECK(mp->mp_w->mw_e, tries < 1000);
	return -Q_EIO;
}

static int
access_all(struct qvmmap *m, struct access ac, size_t len)
{
	int sig;

	for (; len > 0; len -= ac.n, ac.va += ac.n) {
		ac.n = PG - ac.va % PG < len ? PG - ac.va % PG : len;
		sig = do_access(m, &ac);
		if (sig != 0)
			return sig;
		if (ac.out != NULL)
			ac.out = (const uint8_t *)ac.out + ac.n;
		else
			ac.in = (uint8_t *)ac.in + ac.n;
	}
	return 0;
}

int
mload(struct qvmmap *m, uint64_t addr, void *buf, size_t len)
{
	struct access ac = { .va = addr, .how = QVM_READ, .in = buf };

	return access_all(m, ac, len);
}

int
mstore(struct qvmmap *m, uint64_t addr, const void *buf, size_t len)
{
	struct access ac = { .va = addr, .how = QVM_WRITE, .out = buf };

	return access_all(m, ac, len);
}

int
madd(struct qvmmap *m, uint64_t addr, uint64_t *n)
{
	struct access ac = { .va = addr,
		.how = QVM_READ | QVM_WRITE,
		.add = n };

	return do_access(m, &ac);
}

int
mexec(struct qvmmap *m, uint64_t addr)
{
	struct access ac = { .va = addr, .how = QVM_EXEC };

	return do_access(m, &ac);
}
