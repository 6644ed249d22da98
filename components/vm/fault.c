/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults: which page is to be where, and with it those around.
 *
 * A fault looks with m_lock held for reading.  If the mapping itself has to
 * change - it needs an object, or a shadow of the one it has - it begins again
 * with the lock held for writing.  Whatever has to wait, for memory or for a
 * file's page, waits with neither a page busy nor a family locked, and looks
 * again after that.
 *
 * Anonymous memory that is touched for the first time comes in extents: as many
 * pages as the mapping's e_around says, aligned to that, of contiguous RAM if
 * there is, so that it is one mapping of the host's and one operation.  Touching
 * the page behind the last extent doubles it; another place starts again with
 * AROUND_MIN.
 */
#include "impl.h"

#define SEGV_MAPERR 1
#define SEGV_ACCERR 2
#define BUS_ADRERR  2

/* fault_step's answers besides 0 and -errno. */
#define AGAIN 1 /* look again */

/* A fault in progress. */
struct fault {
	struct qvmmap *ft_map;
	uint64_t ft_va;     /* the page's */
	unsigned ft_access; /* QVM_* */
	bool ft_write;
	bool ft_force; /* whatever the mapping allows */
	bool ft_early; /* nobody was there yet */
	bool ft_excl;  /* m_lock is held for writing */
	bool ft_nomem; /* -ENOMEM: it may help to wait for memory */
	bool ft_major; /* there was I/O */
	struct qvm_fault ft_sig;
};

static int
fault_signal(struct fault *ft, int sig, int code)
{
	ft->ft_sig.qf_sig = sig;
	ft->ft_sig.qf_code = code;
	return -Q_EFAULT;
}

/* How a page that is the mapping's own may be accessed. */
static unsigned
own_access(const struct entry *e)
{
	return access_of(e->e_prot);
}

/* And one that others see too. */
static unsigned
other_access(const struct entry *e)
{
	return access_of(e->e_prot) & ~QVM_WRITE;
}

/* ---- the mapping ------------------------------------------------------------- */

/*
 * Give the entry an object that can take what is to come.  1: m_lock has to be
 * held for writing.
 */
static int
entry_prepare(struct fault *ft, struct entry *e)
{
	uint64_t i = e->e_start >> PAGE_SHIFT;
	struct anon *a = e->e_anon;

	if (a != NULL) {
		if ((e->e_flags & E_COPY) == 0 || !ft->ft_write)
			return 0;
		return ft->ft_excl ? entry_own(e) : AGAIN;
	}
	/* Of a file only what is stored to is the mapping's own. */
	if (e->e_fobj != NULL &&
	    (!ft->ft_write || (e->e_flags & E_SHARED) != 0))
		return 0;
	if (!ft->ft_excl)
		return AGAIN;
	a = anon_create(ft->ft_map->m_vm, false, 0);
	if (a == NULL)
		return -Q_ENOMEM;
	entry_set_anon(e, a, i);
	return 0;
}

/* ---- extents -------------------------------------------------------------------- */

/* Where to map around `va`: [*startp, *endp), within the entry and one leaf. */
static void
choose_extent(struct entry *e, uint64_t va, uint64_t *startp, uint64_t *endp)
{
	uint64_t n = __atomic_load_n(&e->e_around, __ATOMIC_RELAXED), len;

	if ((e->e_flags & E_RANDOM) != 0) {
		n = 1;
	} else if ((e->e_flags & E_SEQ) != 0) {
		n = AROUND_MAX;
	} else if (va == __atomic_load_n(&e->e_next, __ATOMIC_RELAXED)) {
		if (n < AROUND_MAX)
			n *= 2;
	} else {
		n = AROUND_MIN;
	}
	__atomic_store_n(&e->e_around, (uint16_t)n, __ATOMIC_RELAXED);
	/* Rather slower than nobody else gets any. */
	if (qpage_nfree(e->e_map->m_k) < 8 * n)
		n = 1;
	len = n << PAGE_SHIFT;
	*startp = va & ~(len - 1);
	*endp = *startp + len;
	if (*startp < e->e_start)
		*startp = e->e_start;
	if (*endp > e->e_end)
		*endp = e->e_end;
	__atomic_store_n(&e->e_next, *endp, __ATOMIC_RELAXED);
}

/*
 * The run of indices around `i`, within [first, end), at which nothing is, from
 * `a` down.  [f]
 */
static void
find_empty(struct anon *a, uint64_t i, uint64_t *firstp, uint64_t *endp)
{
	uint64_t at, low = *firstp, high = *endp;

	for (; a != NULL; a = a->a_back) {
		if (a->a_pages.pt_n == 0)
			continue;
		at = i + 1;
		if (ptree_next(&a->a_pages, &at) != NULL && at < high)
			high = at;
		for (at = i; at > low; at--)
			if (ptree_get(&a->a_pages, at - 1) != NULL)
				low = at;
	}
	*firstp = low;
	*endp = high;
}

/*
 * Fill [i, end) of `a`, where nothing is, with zeroed pages of their own, which
 * go to out[].  How many; fewer if there is no memory.  [f]
 */
static unsigned
fill_zero(struct quern *k, struct anon *a, uint64_t i, uint64_t end,
    struct qpage **out)
{
	struct qpage *pg;
	unsigned order = 9, n = 0, j;

	while (i < end) {
		while ((UINT64_C(1) << order) > end - i)
			order--;
		while ((pg = qpage_alloc_zeroed(k, order)) == NULL && order > 0)
			order--;
		if (pg == NULL)
			break;
		qpage_split(pg, order);
		for (j = 0; j < 1u << order; j++, i++) {
			if (anon_enter(a, i, pg + j) != 0)
				break;
			out[n++] = pg + j;
		}
		if (j < 1u << order) {
			for (; j < 1u << order; j++)
				qpage_put(k, pg + j);
			break;
		}
		order = 9;
	}
	return n;
}

/* ---- anonymous memory ------------------------------------------------------------ */

static void
count_pages(struct quern *k, struct qpage **pages, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (pages[i] != NULL)
			qpage_map(k, pages[i], NULL);
}

static enum pkind
anon_kind(const struct anon *a)
{
	return a->a_shared ? PK_SHMEM : PK_ANON;
}

/* Nothing is there: an extent of zeroes.  [f] */
static int
fault_zero(struct fault *ft, struct entry *e)
{
	struct qpage *pages[AROUND_MAX];
	uint64_t start, end, first, last, i = entry_index(e, ft->ft_va);
	struct qvmmap *m = ft->ft_map;
	struct anon *a = e->e_anon;
	unsigned n, access;

	choose_extent(e, ft->ft_va, &start, &end);
	first = entry_index(e, start);
	last = entry_index(e, end);
	if (a->a_shared && last > a->a_end)
		last = a->a_end;
	find_empty(a, i, &first, &last);
	n = fill_zero(m->m_k, a, first, last, pages);
	if (first + n <= i) {
		/* As far as it went, unused; where it matters, the least. */
		n = fill_zero(m->m_k, a, i, i + 1, pages);
		first = i;
		if (n == 0) {
			ft->ft_nomem = true;
			return -Q_ENOMEM;
		}
	}
	access = (e->e_flags & E_COPY) != 0 ? other_access(e) : own_access(e);
	count_pages(m->m_k, pages, n);
	return pmap_enter(m, e->e_start + ((first - e->e_index) << PAGE_SHIFT),
	    pages, n, access, anon_kind(a), ft->ft_va);
}

/*
 * A page is there, in `o`: map it, and its neighbours, as they are: those within
 * AROUND_MIN, and further ones of the same extent, which are no change more for
 * the host.  [f]
 */
static int
fault_present(struct fault *ft, struct entry *e, struct anon *o,
    const struct qpage *here)
{
	struct qpage *pages[AROUND_PRESENT];
	uint64_t len = AROUND_PRESENT << PAGE_SHIFT, start, end, va;
	uint64_t near = ~(((uint64_t)AROUND_MIN << PAGE_SHIFT) - 1), off;
	struct anon *a = e->e_anon, *from;
	struct qvmmap *m = ft->ft_map;
	unsigned n = 0;
	bool own = o == a && (e->e_flags & E_COPY) == 0;
	void *p;

	start = ft->ft_va & ~(len - 1);
	end = start + len;
	if (start < e->e_start)
		start = e->e_start;
	if (end > e->e_end)
		end = e->e_end;
	off = qpage_offset(m->m_k, here) - ft->ft_va;
	for (va = start; va < end; va += PAGE_SIZE) {
		p = anon_find(a, entry_index(e, va), &from);
		if (!is_page(p) || (from == a) != (o == a) ||
		    (((va ^ ft->ft_va) & near) != 0 &&
			qpage_offset(m->m_k, p) - va != off))
			p = NULL;
		pages[n++] = p;
	}
	count_pages(m->m_k, pages, n);
	return pmap_enter(m, start, pages, n,
	    own ? own_access(e) : other_access(e), anon_kind(a), ft->ft_va);
}

/* A page of the mapping's own is to have the contents of `from`.  [f] */
static int
fault_copy(struct fault *ft, struct entry *e, struct qpage *from)
{
	struct qvmmap *m = ft->ft_map;
	struct qpage *pg = qpage_alloc(m->m_k, 0);

	if (pg == NULL) {
		ft->ft_nomem = true;
		return -Q_ENOMEM;
	}
	memcpy(qpage_data(m->m_k, pg), qpage_data(m->m_k, from), PAGE_SIZE);
	if (anon_enter(e->e_anon, entry_index(e, ft->ft_va), pg) != 0) {
		qpage_put(m->m_k, pg);
		return -Q_ENOMEM;
	}
	qpage_map(m->m_k, pg, NULL);
	return pmap_enter(m, ft->ft_va, &pg, 1, own_access(e), PK_ANON,
	    ft->ft_va);
}

/*
 * The page is in the mapping's object, or nowhere.  1: in the file, if it has
 * that.
 */
static int
fault_anon(struct fault *ft, struct entry *e)
{
	uint64_t i = entry_index(e, ft->ft_va);
	struct anon *a = e->e_anon, *o;
	int error = 0;
	void *p;

	if (a->a_shared && i >= a->a_end)
		return fault_signal(ft, Q_SIGBUS, BUS_ADRERR);
	qmutex_lock(&a->a_fam->fa_lock);
	p = anon_find(a, i, &o);
	if (is_swapped(p)) {
		ft->ft_major = true;
		error = swap_in(ft->ft_map->m_vm, o, i, p);
		ft->ft_nomem = error == -Q_ENOMEM;
		p = anon_find(a, i, &o);
	}
	if (error == -Q_ENOMEM)
		;
	else if (error != 0)
		error = fault_signal(ft, Q_SIGBUS, BUS_ADRERR);
	else if (!is_page(p))
		error = e->e_fobj != NULL ? AGAIN : fault_zero(ft, e);
	else if (ft->ft_write && o != a)
		error = fault_copy(ft, e, p);
	else
		error = fault_present(ft, e, o, p);
	qmutex_unlock(&a->a_fam->fa_lock);
	return error;
}

/* ---- files --------------------------------------------------------------------------- */

static bool
is_inside(struct fobj *fo, uint64_t index)
{
	return index < (fo->fo_ops->pr_size(fo->fo_obj) + PAGE_MASK) >>
	    PAGE_SHIFT;
}

/* The busy page of the file with a reference, or why not. */
static int
file_get(struct fault *ft, struct fobj *fo, uint64_t index, struct qpage **pgp)
{
	struct quern *k = ft->ft_map->m_k;
	struct qpage *pg;
	int error;

	for (;;) {
		if (!is_inside(fo, index))
			return fault_signal(ft, Q_SIGBUS, BUS_ADRERR);
		pg = fo->fo_ops->pr_find(fo->fo_obj, index);
		if (pg == NULL) {
			ft->ft_major = true;
			if (fo->fo_ops->pr_willneed != NULL)
				fo->fo_ops->pr_willneed(fo->fo_obj, index,
				    AROUND_FILE);
			error = fo->fo_ops->pr_page(fo->fo_obj, index, &pg);
			if (error == -Q_ENOMEM)
				return error;
			if (error != 0)
				return fault_signal(ft, Q_SIGBUS, BUS_ADRERR);
		}
		qpage_busy(k, pg);
		if (qpager_has(fo->fo_obj, pg, index) && is_inside(fo, index)) {
			*pgp = pg;
			return 0;
		}
		qpage_unbusy(k, pg);
		qpage_put(k, pg);
	}
}

static enum pkind
file_kind(const struct fobj *fo)
{
	return fo->fo_kind == QMMAP_SHMEM ? PK_SHMEM : PK_FILE;
}

/*
 * Neighbours of the file's page, as far as they are there, busy and with a
 * reference.
 */
static void
file_around(struct fault *ft, struct entry *e, uint64_t start,
    struct qpage **pages, unsigned n)
{
	struct fobj *fo = e->e_fobj;
	struct quern *k = ft->ft_map->m_k;
	struct anon *o;
	struct qpage *pg;
	uint64_t va, index;
	unsigned i;
	void *own;

	for (i = 0; i < n; i++) {
		va = start + ((uint64_t)i << PAGE_SHIFT);
		index = entry_findex(e, va);
		if (va == ft->ft_va)
			continue;
		pages[i] = NULL;
		if (!is_inside(fo, index) || pmap_prot(ft->ft_map, va) != 0)
			continue;
		/* What the mapping has of its own is in front of it. */
		if (e->e_anon != NULL) {
			own = anon_find(e->e_anon, entry_index(e, va), &o);
			if (own != NULL && own != NO_PAGE)
				continue;
		}
		pg = fo->fo_ops->pr_find(fo->fo_obj, index);
		if (pg == NULL)
			continue;
		if (!qpage_trybusy(pg)) {
			qpage_put(k, pg);
			continue;
		}
		pages[i] = pg;
		if (qpager_has(fo->fo_obj, pg, index) && is_inside(fo, index))
			continue;
		qpage_unbusy(k, pg);
		qpage_put(k, pg);
		pages[i] = NULL;
	}
}

/* Map the busy page of the file, and what is there around it. */
static int
file_map(struct fault *ft, struct entry *e, struct qpage *pg, unsigned access)
{
	struct qpage *pages[AROUND_FILE], *held[AROUND_FILE];
	uint64_t len = AROUND_FILE << PAGE_SHIFT, start, end;
	struct fobj *fo = e->e_fobj;
	struct qvmmap *m = ft->ft_map;
	unsigned n, i;
	int error;

	start = ft->ft_va & ~(len - 1);
	end = start + len;
	/* Others must not become writable without being dirty. */
	if ((e->e_flags & E_RANDOM) != 0 || (access & QVM_WRITE) != 0) {
		start = ft->ft_va;
		end = start + PAGE_SIZE;
	}
	if (start < e->e_start)
		start = e->e_start;
	if (end > e->e_end)
		end = e->e_end;
	n = (unsigned)((end - start) >> PAGE_SHIFT);
	pages[(ft->ft_va - start) >> PAGE_SHIFT] = pg;
	file_around(ft, e, start, pages, n);
	for (i = 0; i < n; i++) {
		held[i] = pages[i];
		if (pages[i] != NULL)
			qpage_map(m->m_k, pages[i], &fo->fo_mapper);
	}
	error = pmap_enter(m, start, pages, n, access, file_kind(fo),
	    ft->ft_va);
	for (i = 0; i < n; i++) {
		if (held[i] == NULL || held[i] == pg)
			continue;
		qpage_unbusy(m->m_k, held[i]);
		qpage_put(m->m_k, held[i]);
	}
	return error;
}

/* A mapping that shows the file itself. */
static int
fault_shared(struct fault *ft, struct entry *e, struct qpage *pg)
{
	struct fobj *fo = e->e_fobj;
	int error = 0;

	if (fo->fo_ops->pr_dirty == NULL)
		return file_map(ft, e, pg, own_access(e));
	if (!ft->ft_write)
		return file_map(ft, e, pg, other_access(e));
	error = fo->fo_ops->pr_dirty(fo->fo_obj, pg);
	if (error == -Q_ENOMEM)
		return error;
	if (error != 0)
		return fault_signal(ft, Q_SIGBUS, BUS_ADRERR);
	return file_map(ft, e, pg, own_access(e));
}

/* One that has copies of what was stored to. */
static int
fault_private(struct fault *ft, struct entry *e, struct qpage *pg)
{
	struct anon *a = e->e_anon, *o;
	void *own;
	int error;

	if (a == NULL)
		return file_map(ft, e, pg, other_access(e));
	qmutex_lock(&a->a_fam->fa_lock);
	own = anon_find(a, entry_index(e, ft->ft_va), &o);
	if (own != NULL && own != NO_PAGE)
		error = AGAIN; /* another thread was here */
	else if (ft->ft_write)
		error = fault_copy(ft, e, pg);
	else
		error = file_map(ft, e, pg, other_access(e));
	qmutex_unlock(&a->a_fam->fa_lock);
	return error;
}

static int
fault_file(struct fault *ft, struct entry *e)
{
	struct quern *k = ft->ft_map->m_k;
	struct qpage *pg;
	int error;

	error = file_get(ft, e->e_fobj, entry_findex(e, ft->ft_va), &pg);
	if (error != 0)
		return error;
	if ((e->e_flags & E_SHARED) != 0)
		error = fault_shared(ft, e, pg);
	else
		error = fault_private(ft, e, pg);
	qpage_unbusy(k, pg);
	qpage_put(k, pg);
	return error;
}

/* ---- all of it ------------------------------------------------------------------------- */

/* Does the entry allow it? */
static bool
is_allowed(const struct entry *e, unsigned access)
{
	unsigned may = access_of(e->e_prot);

	if ((access & (QVM_WRITE | QVM_EXEC)) == 0)
		access = QVM_READ;
	return (access & ~may) == 0;
}

/* A stack may reach further down, as the fault wants.  1: look again. */
static int
grow_down(struct fault *ft)
{
	struct qvmmap *m = ft->ft_map;
	struct entry *e = entry_from(m, ft->ft_va);

	if (e == NULL || (e->e_flags & E_GROWSDOWN) == 0)
		return fault_signal(ft, Q_SIGSEGV, SEGV_MAPERR);
	if (!ft->ft_excl) {
		ft->ft_excl = true;
		return AGAIN;
	}
	if (map_grow(m, e, ft->ft_va) != 0)
		return fault_signal(ft, Q_SIGSEGV, SEGV_MAPERR);
	return AGAIN;
}

/* One look.  0: done; 1: look again, from the beginning. */
static int
fault_step(struct fault *ft)
{
	struct qvmmap *m = ft->ft_map;
	struct entry *e = entry_at(m, ft->ft_va);
	unsigned have;
	int error;

	if (e == NULL)
		return ft->ft_early ? -Q_EFAULT : grow_down(ft);
	if (!ft->ft_force && !is_allowed(e, ft->ft_access))
		return fault_signal(ft, Q_SIGSEGV, SEGV_ACCERR);
	have = pmap_prot(m, ft->ft_va);
	if (have != 0 && (ft->ft_access & ~have) == 0)
		return pmap_again(m, ft->ft_va);
	error = entry_prepare(ft, e);
	if (error == AGAIN)
		ft->ft_excl = true;
	if (error != 0)
		return error;
	if (e->e_anon != NULL) {
		error = fault_anon(ft, e);
		if (error != AGAIN || e->e_fobj == NULL)
			return error;
	}
	/* Until somebody really stores, what is seen is the file's. */
	if (ft->ft_early && ft->ft_write)
		return -Q_EFAULT;
	return fault_file(ft, e);
}

/* The same, with the lock that it needs. */
static int
fault_look(struct fault *ft)
{
	struct qvmmap *m = ft->ft_map;
	int error;

	if (ft->ft_excl) {
		qrw_wrlock(&m->m_lock);
		error = fault_step(ft);
		qrw_wrunlock(&m->m_lock);
	} else {
		qrw_rdlock(&m->m_lock);
		error = fault_step(ft);
		qrw_rdunlock(&m->m_lock);
	}
	return error;
}

/* Wait for memory: is there hope? */
static bool
wait_memory(struct fault *ft, unsigned *triesp)
{
	struct quern *k = ft->ft_map->m_k;
	struct qpage *pg;

	if (!ft->ft_nomem || ++*triesp > 16)
		return false;
	pg = qpage_alloc_wait(k, 0);
	if (pg == NULL)
		return qpage_wait(k);
	qpage_put(k, pg);
	return true;
}

static int
fault(struct fault *ft)
{
	struct qvmmap *m = ft->ft_map;
	unsigned tries = 0;
	int error;

	for (;;) {
		ft->ft_nomem = false;
		error = fault_look(ft);
		if (error == AGAIN)
			continue;
		if (error == -Q_ENOMEM && wait_memory(ft, &tries))
			continue;
		__atomic_fetch_add(ft->ft_major ? &m->m_majflt : &m->m_minflt,
		    1, __ATOMIC_RELAXED);
		return error;
	}
}

int
qvm_fault(struct qvmmap *m, uint64_t addr, unsigned access, struct qvm_fault *f)
{
	struct fault ft = { .ft_map = m, .ft_va = addr & ~PAGE_MASK };
	int error;

	ft.ft_access = access & (QVM_READ | QVM_WRITE | QVM_EXEC);
	ft.ft_write = (access & QVM_WRITE) != 0;
	if (addr < QVM_LOW || addr >= QVM_TOP)
		error = fault_signal(&ft, Q_SIGSEGV, SEGV_MAPERR);
	else
		error = fault(&ft);
	if (error == 0)
		hints_note(m, ft.ft_va, ft.ft_access);
	if (error == -Q_EFAULT && f != NULL) {
		*f = ft.ft_sig;
		f->qf_addr = addr;
	}
	return error;
}

int
fault_early(struct qvmmap *m, uint64_t addr, unsigned access)
{
	struct fault ft = { .ft_map = m,
		.ft_va = addr & ~PAGE_MASK,
		.ft_access = access,
		.ft_write = (access & QVM_WRITE) != 0,
		.ft_early = true };
	int error;

	do
		error = fault_look(&ft);
	while (error == AGAIN);
	return error;
}

int
fault_own(struct qvmmap *m, uint64_t addr)
{
	struct fault ft = { .ft_map = m,
		.ft_va = addr & ~PAGE_MASK,
		.ft_access = QVM_WRITE,
		.ft_write = true,
		.ft_force = true };

	return fault(&ft);
}

int
fault_range(struct qvmmap *m, uint64_t addr, uint64_t len, unsigned access)
{
	uint64_t end = addr + len, va;
	int error = 0;

	for (va = addr & ~PAGE_MASK; va < end && error == 0; va += PAGE_SIZE)
		if ((access & ~pmap_prot(m, va)) != 0)
			error = qvm_fault(m, va, access, NULL);
	return error;
}
