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
	w->mw_rng = w->mw_rng * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	return (w->mw_rng >> 33) % n;
}

/* ---- memory --------------------------------------------------------------- */

struct mblock {
	struct mblock *b_next, **b_at;
};

void *
mworld_alloc(struct mworld *w, size_t size)
{
	struct mblock *b = calloc(1, sizeof(*b) + size);

	b->b_next = w->mw_blocks;
	b->b_at = &w->mw_blocks;
	if (b->b_next != NULL)
		b->b_next->b_at = &b->b_next;
	w->mw_blocks = b;
	return b + 1;
}

void
mworld_free(struct mworld *w, void *p)
{
	struct mblock *b;

	(void)w;
	if (p == NULL)
		return;
	b = (struct mblock *)p - 1;
	*b->b_at = b->b_next;
	if (b->b_next != NULL)
		b->b_next->b_at = b->b_at;
	free(b);
}

void
mworld_freeall(struct mworld *w)
{
	while (w->mw_blocks != NULL)
		mworld_free(w, w->mw_blocks + 1);
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

void
mpmap_run(struct mpmap *mp)
{
	unsigned i;

	for (i = 0; i < mp->mp_nwait; i++)
		apply_map(mp, &mp->mp_wait[i]);
	mp->mp_nwait = 0;
}

static void
apply_unmap(struct mpmap *mp, const struct quern_vm_op *op)
{
	uint64_t end = op->v_addr + op->v_len, va;
	struct mchunk *c;
	unsigned i;

	mpmap_run(mp);
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

	mpmap_run(mp);
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
	w->mw_ops++;
	switch (op->v_cmd) {
	case QUERN_VM_MAP:
		w->mw_maps++;
		KCHECK(w->mw_e, (op->v_prot & QUERN_VM_READ) != 0);
		KCHECK(w->mw_e,
		    op->v_ram + op->v_len <= qpage_total(mp->mp_k) * PG);
		mp->mp_wait[mp->mp_nwait++] = *op;
		if (!w->mw_lazy || mp->mp_nwait == MWAIT ||
		    mworld_some(w, 2) == 0)
			mpmap_run(mp);
		break;
	case QUERN_VM_UNMAP:
		w->mw_unmaps++;
		if (w->mw_bug != MBUG_UNMAP || mworld_some(w, 20) != 0)
			apply_unmap(mp, op);
		break;
	default:
		w->mw_protects++;
		if (w->mw_bug != MBUG_PROTECT || mworld_some(w, 20) != 0)
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

	w->mw_updates++;
	for (i = 0; i < n; i++) {
		if (w->mw_fail != 0 && mworld_some(w, w->mw_fail) == 0 &&
		    !is_whole(&ops[i]))
			return -Q_ENOMEM;
		apply(mp, &ops[i]);
	}
	return 0;
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
	mp->mp_w = the_world;
	mp->mp_k = k;
	the_world->mw_spaces++;
	*argp = mp;
	return 0;
}

static void
destroy(void *arg)
{
	struct mpmap *mp = arg;
	struct mchunk *c;

	mp->mp_w->mw_spaces--;
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

	mpmap_run(mp);
	for (c = mp->mp_chunk; c != NULL; c = c->c_next)
		for (i = 0; i < CPAGES; i++)
			n += c->c_pte[i].t_prot != 0;
	return n;
}

unsigned
mpmap_at(struct mpmap *mp, uint64_t va, uint64_t *ramp)
{
	struct mpte *t;

	mpmap_run(mp);
	t = find(mp, va, false);
	if (t == NULL || t->t_prot == 0)
		return 0;
	*ramp = t->t_ram;
	return t->t_prot;
}

/* ---- as a program ------------------------------------------------------------ */

/* Where the byte at `va` is, faulting until it may be accessed so. */
static int
reach(struct qvmmap *m, uint64_t va, unsigned access, uint8_t **pp)
{
	struct mpmap *mp = qvm_pmap(m);
	struct qvm_fault f = { 0, 0, 0 };
	struct qpage *pg;
	struct mpte *t;
	unsigned tries;
	int error;

	for (tries = 0; tries < 1000; tries++) {
		mpmap_run(mp);
		t = find(mp, va, false);
		if (t != NULL && t->t_prot != 0 && (access & ~t->t_prot) == 0) {
			pg = qpage_at(mp->mp_k, t->t_ram);
			KCHECK(mp->mp_w->mw_e, (pg->pg_flags & QPG_FREE) == 0);
			KCHECK(mp->mp_w->mw_e, qpage_mapped(pg));
			*pp = (uint8_t *)qpage_data(mp->mp_k, pg) + va % PG;
			return 0;
		}
		error = qvm_fault(m, va, access, &f);
		if (error == -Q_EFAULT) {
			KCHECK(mp->mp_w->mw_e,
			    f.qf_addr == va &&
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
access_all(struct qvmmap *m, uint64_t addr, void *in, const void *out,
    size_t len)
{
	uint8_t *p;
	size_t n;
	int sig;

	for (; len > 0; len -= n, addr += n) {
		n = PG - addr % PG < len ? PG - addr % PG : len;
		sig = reach(m, addr, out != NULL ? QVM_WRITE : QVM_READ, &p);
		if (sig != 0)
			return sig;
		if (out != NULL) {
			memcpy(p, out, n);
			out = (const uint8_t *)out + n;
		} else {
			memcpy(in, p, n);
			in = (uint8_t *)in + n;
		}
	}
	return 0;
}

int
mload(struct qvmmap *m, uint64_t addr, void *buf, size_t len)
{
	return access_all(m, addr, buf, NULL, len);
}

int
mstore(struct qvmmap *m, uint64_t addr, const void *buf, size_t len)
{
	return access_all(m, addr, NULL, buf, len);
}

int
mexec(struct qvmmap *m, uint64_t addr)
{
	uint8_t *p;

	return reach(m, addr, QVM_EXEC, &p);
}
