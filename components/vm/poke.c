/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changing a program's text, as a debugger would.
 */
#include "impl.h"

/* Private, for executing, and not for storing to? */
static bool
may_poke(const struct entry *e)
{
	unsigned access = access_of(e->e_prot);

	return (e->e_flags & E_SHARED) == 0 && (access & QVM_EXEC) != 0 &&
	    (access & QVM_WRITE) == 0;
}

/* -EBUSY: the page is not the space's own yet.  [m] */
static int
poke_once(struct qvmmap *m, uint64_t addr, const void *from, const void *to,
    size_t len)
{
	struct entry *e = entry_at(m, addr);
	struct anon *a;
	char *at;
	void *p;
	int error = 0;

	if (e == NULL || !may_poke(e))
		return -Q_EFAULT;
	a = e->e_anon;
	/* A1: what is in an object without copies, only this space sees. */
	if (a == NULL || (e->e_flags & E_COPY) != 0)
		return -Q_EBUSY;
	qmutex_lock(&a->a_fam->fa_lock);
	p = ptree_get(&a->a_pages, entry_index(e, addr));
	if (!is_page(p)) {
		error = -Q_EBUSY;
	} else {
		at = (char *)qpage_data(m->m_k, p) + (addr & PAGE_MASK);
		if (memcmp(at, from, len) != 0)
			error = -Q_EAGAIN;
		else
			memcpy(at, to, len);
	}
	qmutex_unlock(&a->a_fam->fa_lock);
	return error;
}

int
qvm_poke(struct qvmmap *m, uint64_t addr, const void *from, const void *to,
    size_t len)
{
	int error;

	if (!quaddr_ok(addr, len) || len > PAGE_SIZE - (addr & PAGE_MASK))
		return -Q_EFAULT;
	for (;;) {
		qrw_rdlock(&m->m_lock);
		error = poke_once(m, addr, from, to, len);
		qrw_rdunlock(&m->m_lock);
		if (error != -Q_EBUSY)
			return error;
		error = fault_own(m, addr);
		if (error != 0)
			return error;
	}
}
