/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VM: address spaces.
 *
 * Reading order: vm.h; here; entry.c (the mappings of a space in order), map.c
 * (mmap and its like), anon.c (memory that is copied when it is stored to), fobj.c
 * (files), fault.c (which page is to be where), pmap.c (which page is where),
 * fork.c, copy.c (copyin), calls.c.
 *
 * Definitions.  A *mapping* (struct entry) is a range of addresses.  What it shows
 * comes from two layers: pages of its own, in an anonymous object and those that
 * this is a copy of; beneath these a file, or zeroes.  A mapping that is shared
 * has one layer, a file or an object.  The *pmap* is a table of which page is at
 * which address now.
 *
 * V1  A page goes back to the allocator, and a write protection counts, only
 *     after every pmap that had it has lost it and its host has acknowledged
 *     (design, section 6): whoever takes a page out of an object first removes it
 *     from pmaps, and a page's count of mappings (pg_maps) falls after the
 *     acknowledgement; the allocator asserts that it is 0.
 * V2  A page that may be stored to through a pmap is seen by nobody else in a
 *     private mapping (A1, anon.c), or is a file's that has been made dirty, or
 *     is one that nobody needs to know to be dirty.
 * V3  Pages of files come into pmaps while they are busy and the file's, and so
 *     leave them (fobj.c) before they leave the file.
 *
 * Lock order: v_lock and what else a file has, m_lock, a page's being busy, the
 * reverse map of the page (fo_lock within), fa_lock, pm_mutex, pm_lock (a spin
 * lock).  vm_flock is a leaf.  User memory is not touched with any of them held;
 * nor are files let go of.
 */
#include "impl.h"

static const struct qtag tag_vm = { "vm" };

extern const struct qsys_handler vm_calls[];

/* A fork begins without a space: whoever forks attaches it. */
static int
proc_fork(struct quern_proc *from, void *state, struct quern_proc *to,
    void **statep)
{
	(void)from, (void)state, (void)to;
	*statep = NULL;
	return 0;
}

static void
proc_end(struct quern_proc *p, void *state)
{
	(void)p;
	qvm_put(state);
}

static const struct qproc_part spaces = {
	.pp_fork = proc_fork,
	.pp_end = proc_end,
};

struct qvmmap *
qvm_of(struct quern_proc *p)
{
	struct vm *vm = vm_of(p->p_k);

	if (vm == NULL)
		return NULL;
	return __atomic_load_n(&p->p_part[vm->vm_slot], __ATOMIC_ACQUIRE);
}

struct qvmmap *
qvm_hold(struct quern_proc *p)
{
	struct vm *vm = vm_of(p->p_k);
	struct qvmmap *m;

	if (vm == NULL)
		return NULL;
	qspin_lock(&vm->vm_attach);
	m = qvm_of(p);
	if (m != NULL)
		qvm_get(m);
	qspin_unlock(&vm->vm_attach);
	return m;
}

int
qvm_attach(struct quern_proc *p, struct qvmmap *m)
{
	struct vm *vm = vm_of(p->p_k);
	struct qvmmap *old;

	if (vm == NULL)
		return -Q_ENOSYS;
	if (m != NULL)
		qvm_get(m);
	qspin_lock(&vm->vm_attach);
	old = __atomic_exchange_n(&p->p_part[vm->vm_slot], m, __ATOMIC_ACQ_REL);
	qspin_unlock(&vm->vm_attach);
	if (old != NULL)
		qvm_put(old);
	return 0;
}

void *
qvm_pmap(struct qvmmap *m)
{
	return m->pm_arg;
}

void
qvm_set_oom(struct quern *k, bool (*fn)(void *arg), void *arg)
{
	struct vm *vm = vm_of(k);

	vm->vm_oomarg = arg;
	vm->vm_oom = fn;
}

/* ---- what there is ------------------------------------------------------------- */

/* What it is called in /proc/PID/maps, if it is no file. */
static const char *
name_of(const struct entry *e)
{
	const struct qvmmap *m = e->e_map;

	if (e->e_name != NULL)
		return e->e_name;
	if (e->e_fobj == NULL && e->e_start < m->m_brk &&
	    e->e_end > m->m_brkstart)
		return "[heap]";
	return NULL;
}

static unsigned
region_flags(const struct entry *e)
{
	static const struct {
		uint32_t e, r;
	} same[] = { { E_SHARED, QVM_R_SHARED },
		{ E_GROWSDOWN, QVM_R_GROWSDOWN }, { E_LOCKED, QVM_R_LOCKED },
		{ E_NORESERVE, QVM_R_NORESERVE },
		{ E_DONTFORK, QVM_R_DONTFORK },
		{ E_DONTDUMP, QVM_R_DONTDUMP } };
	unsigned i, flags = 0;

	for (i = 0; i < QARRAYLEN(same); i++)
		if ((e->e_flags & same[i].e) != 0)
			flags |= same[i].r;
	return flags;
}

int
qvm_each(struct qvmmap *m, int (*fn)(void *arg, const struct qvm_region *r),
    void *arg)
{
	struct qvm_region r;
	struct entry *e;
	struct qlist *l;
	int ret = 0;

	qrw_rdlock(&m->m_lock);
	QLIST_FOREACH(l, &m->m_entries) {
		e = QLIST_ELEM(l, struct entry, e_link);
		r.qr_start = e->e_start;
		r.qr_end = e->e_end;
		r.qr_prot = e->e_prot;
		r.qr_flags = region_flags(e);
		r.qr_off = e->e_fobj != NULL ? e->e_findex << PAGE_SHIFT : 0;
		r.qr_file = e->e_file;
		r.qr_name = name_of(e);
		r.qr_rss = pmap_count(m, e->e_start, e->e_end);
		ret = fn(arg, &r);
		if (ret != 0)
			break;
	}
	qrw_rdunlock(&m->m_lock);
	return ret;
}

/* Count a mapping where it belongs. */
static void
add_entry(struct qvm_stats *st, const struct entry *e)
{
	uint64_t n = entry_pages(e);
	bool own = (e->e_flags & E_SHARED) == 0;

	if ((e->e_flags & E_GROWSDOWN) != 0)
		st->vs_stack += n;
	else if (own && (e->e_prot & Q_PROT_WRITE) != 0)
		st->vs_data += n;
	if (own && e->e_fobj != NULL &&
	    (e->e_prot & (Q_PROT_WRITE | Q_PROT_EXEC)) == Q_PROT_EXEC)
		st->vs_text += n;
	if ((e->e_flags & E_LOCKED) != 0)
		st->vs_locked += n;
}

void
qvm_stats(struct qvmmap *m, struct qvm_stats *st)
{
	struct qlist *l;

	memset(st, 0, sizeof(*st));
	qrw_rdlock(&m->m_lock);
	QLIST_FOREACH(l, &m->m_entries)
		add_entry(st, QLIST_ELEM(l, struct entry, e_link));
	st->vs_size = m->m_pages;
	st->vs_peaksize = m->m_peak;
	st->vs_brkstart = m->m_brkstart;
	st->vs_brk = m->m_brk;
	qrw_rdunlock(&m->m_lock);
	qspin_lock(&m->pm_lock);
	st->vs_anon = m->pm_n[PK_ANON];
	st->vs_file = m->pm_n[PK_FILE];
	st->vs_shmem = m->pm_n[PK_SHMEM];
	st->vs_peakrss = m->pm_peak;
	st->vs_tables = m->pm_tables;
	qspin_unlock(&m->pm_lock);
	st->vs_minflt = __atomic_load_n(&m->m_minflt, __ATOMIC_RELAXED);
	st->vs_majflt = __atomic_load_n(&m->m_majflt, __ATOMIC_RELAXED);
}

uint64_t
qvm_rss(struct qvmmap *m)
{
	uint64_t n = 0;
	unsigned i;

	for (i = 0; i < PK_N; i++)
		n += __atomic_load_n(&m->pm_n[i], __ATOMIC_RELAXED);
	return n;
}

uint64_t
qvm_peak(struct qvmmap *m)
{
	return __atomic_load_n(&m->pm_peak, __ATOMIC_RELAXED);
}

/* ---- the component --------------------------------------------------------------- */

static int
vm_init(struct quern *k, void **statep)
{
	struct vm *vm = qzalloc(&tag_vm, sizeof(*vm));
	unsigned i;
	int error;

	if (vm == NULL)
		return -Q_ENOMEM;
	vm->vm_k = k;
	vm->vm_ratio = 50;
	qspin_init(&vm->vm_attach);
	qmutex_init(&vm->vm_flock, "mapped files");
	for (i = 0; i < QARRAYLEN(vm->vm_fobj); i++)
		qlist_init(&vm->vm_fobj[i]);
	qmutex_init(&vm->vm_falock, "families");
	qlist_init(&vm->vm_families);
	error = qrandom_fill(k, &vm->vm_seed, sizeof(vm->vm_seed));
	if (error == 0)
		error = qproc_part_add(k, &spaces);
	if (error < 0) {
		qfree(vm);
		return error;
	}
	vm->vm_slot = (unsigned)error;
	error = swap_init(vm);
	if (error != 0) {
		qfree(vm);
		return error;
	}
	*statep = vm;
	return 0;
}

static void
vm_fini(struct quern *k, void *state)
{
	(void)k;
	swap_fini(state);
	qfree(state);
}

const struct quern_component qvm = {
	.c_name = "vm",
	.c_init = vm_init,
	.c_fini = vm_fini,
	.c_calls = vm_calls,
};
