/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The beginning and the end of spaces, and copies of them.
 */
#include "impl.h"

static const struct qtag tag_map = { "address space" };

/* Mappings are made below this, so that a stack has room above. */
#define TOP_GAP ((uint64_t)129 << 20)

static int
map_make(struct quern *k, const struct qpmap_ops *ops, void *parent,
    struct qvmmap **mp)
{
	struct qvmmap *m = qzalloc(&tag_map, sizeof(*m));
	struct vm *vm = vm_of(k);
	int error;

	if (m == NULL)
		return -Q_ENOMEM;
	m->m_us.us_ops = &vm_uspace_ops;
	m->m_vm = vm;
	m->m_k = k;
	m->m_refs = 1;
	qrw_init(&m->m_lock, "address space");
	qlist_init(&m->m_entries);
	m->m_seed = __atomic_add_fetch(&vm->vm_seed, UINT32_C(0x9e3779b9),
	    __ATOMIC_RELAXED);
	if (m->m_seed == 0)
		m->m_seed = 1;
	m->m_top = QVM_TOP - TOP_GAP;
	qmutex_init(&m->pm_mutex, "pmap");
	qspin_init(&m->pm_lock);
	m->pm_ops = ops;
	error = ops->pm_create(k, parent, &m->pm_arg);
	if (error != 0) {
		qfree(m);
		return error;
	}
	*mp = m;
	return 0;
}

int
qvm_create(struct quern *k, const struct qpmap_ops *ops, struct qvmmap **mp)
{
	return map_make(k, ops, NULL, mp);
}

void
qvm_get(struct qvmmap *m)
{
	uint32_t old = __atomic_fetch_add(&m->m_refs, 1, __ATOMIC_RELAXED);

	qassert(old != 0);
}

void
qvm_put(struct qvmmap *m)
{
	struct entry *e;

	if (__atomic_sub_fetch(&m->m_refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	/* The host's goes first: then nothing needs to be unmapped there. */
	qmutex_lock(&m->pm_mutex);
	m->pm_ops->pm_destroy(m->pm_arg);
	m->pm_ops = &pmap_nothing;
	qmutex_unlock(&m->pm_mutex);
	pmap_fini(m);
	__atomic_fetch_sub(&m->m_vm->vm_committed, m->m_account,
	    __ATOMIC_RELAXED);
	while (!qlist_empty(&m->m_entries)) {
		e = QLIST_ELEM(m->m_entries.l_next, struct entry, e_link);
		qlist_del(&e->e_link);
		entry_free(e);
	}
	hints_fini(m);
	qfree(m);
}

/* The child's mapping for one of its parent's. */
static int
fork_entry(struct entry *e, struct qvmmap *to)
{
	struct entry *d;

	/*
	 * Nobody stores to the object any more, not even who was split from
	 * this mapping: copies of that see what is in it, at any index (A1).
	 */
	if (e->e_anon != NULL && (e->e_flags & E_SHARED) == 0)
		entry_set(e, E_COPY, 0);
	if ((e->e_flags & E_DONTFORK) != 0)
		return 0;
	d = entry_dup(e, to, e->e_start, e->e_end);
	if (d == NULL)
		return -Q_ENOMEM;
	if ((e->e_flags & E_WIPE) != 0)
		entry_drop_anon(d);
	entry_set(d, 0, (E_LOCKED | E_ONFAULT));
	entry_insert(to, d);
	return 0;
}

int
qvm_fork(struct qvmmap *from, struct qvmmap **top)
{
	struct qvmmap *to;
	struct qlist *l;
	int error;

	error = map_make(from->m_k, from->pm_ops, from->pm_arg, &to);
	if (error != 0)
		return error;
	qrw_wrlock(&from->m_lock);
	qrw_wrlock(&to->m_lock);
	hints_prepare(from, to);
	to->m_top = from->m_top;
	to->m_brkstart = from->m_brkstart;
	to->m_brk = from->m_brk;
	error = map_commit(from->m_vm, from->m_account);
	for (l = from->m_entries.l_next; error == 0 && l != &from->m_entries;
	     l = l->l_next)
		error = fork_entry(QLIST_ELEM(l, struct entry, e_link), to);
	/* What is shared now, also if this fails, is not stored to any more. */
	pmap_fork(from);
	qrw_wrunlock(&to->m_lock);
	qrw_wrunlock(&from->m_lock);
	if (error != 0) {
		qvm_put(to);
		return error;
	}
	hints_forked(from, to);
	*top = to;
	return 0;
}
