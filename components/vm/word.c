/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Single words of memory: what futexes need.
 */
#include "impl.h"

int
qvm_key(struct qvmmap *m, uint64_t addr, struct qvm_key *key)
{
	struct entry *e;
	int error = 0;

	if (!quaddr_ok(addr, sizeof(uint32_t)))
		return -Q_EFAULT;
	key->k_obj = m;
	key->k_off = addr;
	qrw_rdlock(&m->m_lock);
	e = entry_at(m, addr);
	if (e == NULL) {
		error = -Q_EFAULT;
	} else if ((e->e_flags & E_SHARED) != 0 && e->e_fobj != NULL) {
		key->k_obj = e->e_fobj->fo_obj;
		key->k_off = (entry_findex(e, addr) << PAGE_SHIFT) +
		    (addr & PAGE_MASK);
	} else if ((e->e_flags & E_SHARED) != 0 && e->e_anon != NULL) {
		key->k_obj = e->e_anon;
		key->k_off = (entry_index(e, addr) << PAGE_SHIFT) +
		    (addr & PAGE_MASK);
	}
	qrw_rdunlock(&m->m_lock);
	return error;
}

int
qvm_cas32(struct qvmmap *m, uint64_t addr, uint32_t from, uint32_t to)
{
	uint32_t *p;
	bool done;
	int error;

	if (!quaddr_ok(addr, sizeof(*p)) || addr % sizeof(*p) != 0)
		return -Q_EFAULT;
	for (;;) {
		qspin_lock(&m->pm_lock);
		p = pmap_data(m, addr, QVM_WRITE);
		/* Guest code may be storing there at the same time. */
		done = p != NULL &&
		    __atomic_compare_exchange_n(p, &from, to, false,
			__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		qspin_unlock(&m->pm_lock);
		if (p != NULL)
			return done ? 0 : -Q_EAGAIN;
		error = qvm_fault(m, addr, QVM_WRITE, NULL);
		if (error != 0)
			return error;
	}
}
