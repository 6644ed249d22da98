/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mapping, unmapping and protecting ranges.
 *
 * Neighbours that are alike are made one entry, so that programs which map or
 * protect piece by piece have few; a heap that grows is one.  Of memory that is
 * anonymous this needs one object for both: one of the two has none yet, and the
 * other's is nobody else's (can_take).
 */
#include "impl.h"

/* Those that MAP_SHARED_VALIDATE lets pass; no file can do MAP_SYNC. */
#define KNOWN_FLAGS                                                            \
	(Q_MAP_TYPE | Q_MAP_FIXED | Q_MAP_ANONYMOUS | Q_MAP_32BIT |            \
	    Q_MAP_GROWSDOWN | Q_MAP_DENYWRITE | Q_MAP_EXECUTABLE |             \
	    Q_MAP_LOCKED | Q_MAP_NORESERVE | Q_MAP_POPULATE | Q_MAP_NONBLOCK | \
	    Q_MAP_STACK | Q_MAP_HUGETLB)

#define STACK_LIMIT ((uint64_t)8 << 20)

uint64_t
map_limit(unsigned which)
{
	struct quern_proc *p = qproc_current();

	if (p == NULL)
		return which == Q_RLIMIT_STACK ? STACK_LIMIT : Q_RLIM_INFINITY;
	return __atomic_load_n(&p->p_rlim[which].rlim_cur, __ATOMIC_RELAXED);
}

/* ---- joining and splitting ---------------------------------------------------- */

void
gone_free(struct gone *g)
{
	struct entry *e;

	while (!qlist_empty(&g->g_entries)) {
		e = QLIST_ELEM(g->g_entries.l_next, struct entry, e_link);
		qlist_del(&e->e_link);
		entry_free(e);
	}
}

static void
dispose(struct qvmmap *m, struct entry *e, struct gone *g)
{
	entry_remove(m, e);
	qlist_append(&g->g_entries, &e->e_link);
}

int
map_clip(struct qvmmap *m, uint64_t va)
{
	struct entry *e = entry_at(m, va), *d;

	if (e == NULL || e->e_start == va)
		return 0;
	if (m->m_n >= QVM_MAXMAP)
		return -Q_ENOMEM;
	entry_tryown(e);
	d = entry_dup(e, m, va, e->e_end);
	if (d == NULL)
		return -Q_ENOMEM;
	entry_resize(e, e->e_start, va);
	entry_insert(m, d);
	return 0;
}

/*
 * May `e` come to have other indices of its object besides those that it has:
 * nobody else has any, and nothing is beneath?
 */
static bool
can_take(struct entry *e)
{
	if (e->e_anon == NULL)
		return true;
	if ((e->e_flags & E_SHARED) != 0 || e->e_anon->a_back != NULL ||
	    !anon_alone(e->e_anon))
		return false;
	entry_set(e, 0, E_COPY);
	return true;
}

/*
 * The mapping's object is its own, but not alone: a mapping that it was split
 * from has it, too.  Give it a new one beside that, with its pages.
 */
static int
leave_object(struct entry *e)
{
	struct anon *a = e->e_anon, *new;
	struct family *fa = a->a_fam;
	int error = -Q_ENOMEM;

	qmutex_lock(&fa->fa_lock);
	new = anon_beside(fa, a->a_back);
	if (new != NULL)
		error = anon_move(a, new, e->e_index, entry_pages(e));
	if (error == 0)
		e->e_anon = new;
	qmutex_unlock(&fa->fa_lock);
	if (error == 0)
		anon_put(e->e_map->m_k, a);
	else if (new != NULL)
		anon_put(e->e_map->m_k, new);
	return error;
}

/* Have nothing in its object `below` pages before it and `behind` after it. */
static int
clear_object(struct entry *e, uint64_t below, uint64_t behind)
{
	struct quern *k = e->e_map->m_k;
	int error;

	if (e->e_anon == NULL || (e->e_flags & E_SHARED) != 0)
		return 0;
	if (e->e_index < below)
		return -Q_ENOMEM;
	error = entry_own(e);
	if (error == 0 && !anon_alone(e->e_anon))
		error = leave_object(e);
	/* What is there of a mapping that it was once part of. */
	if (error == 0)
		error = anon_drop(k, e->e_anon, e->e_index - below, below,
		    true);
	if (error == 0)
		error = anon_drop(k, e->e_anon, e->e_index + entry_pages(e),
		    behind, true);
	return error;
}

int
map_extend_object(struct entry *e, uint64_t n)
{
	return clear_object(e, 0, n);
}

int
map_extend(struct entry *e, uint64_t start, uint64_t end)
{
	int error;

	error = clear_object(e, (e->e_start - start) >> PAGE_SHIFT,
	    (end - e->e_end) >> PAGE_SHIFT);
	if (error == 0)
		entry_resize(e, start, end);
	return error;
}

/* Are they alike, what is in them aside? */
static bool
are_alike(const struct entry *a, const struct entry *b)
{
	return ((a->e_flags ^ b->e_flags) & E_SAME) == 0 &&
	    a->e_prot == b->e_prot && a->e_max == b->e_max &&
	    a->e_name == b->e_name && a->e_fobj == b->e_fobj &&
	    a->e_file == b->e_file &&
	    (a->e_fobj == NULL ||
		a->e_findex + entry_pages(a) == b->e_findex) &&
	    (a->e_flags & E_GROWSDOWN) == 0;
}

/* Make one of `a` and `b`, which is right behind it, if possible. */
static bool
join_two(struct qvmmap *m, struct entry *a, struct entry *b, struct gone *g)
{
	uint64_t start = a->e_start, end = b->e_end;

	if (a->e_end != b->e_start || !are_alike(a, b))
		return false;
	if (a->e_anon != NULL && b->e_anon == a->e_anon) {
		if (a->e_index + entry_pages(a) != b->e_index ||
		    ((a->e_flags ^ b->e_flags) & E_COPY) != 0)
			return false;
		dispose(m, b, g);
		entry_resize(a, start, end);
		return true;
	}
	if (b->e_anon == NULL && can_take(a)) {
		dispose(m, b, g);
		return map_extend(a, start, end) == 0;
	}
	if (a->e_anon == NULL && b->e_index >= entry_pages(a) && can_take(b)) {
		dispose(m, a, g);
		return map_extend(b, start, end) == 0;
	}
	return false;
}

void
map_join(struct qvmmap *m, uint64_t start, uint64_t end, struct gone *g)
{
	struct entry *e = entry_from(m, start), *next;

	if (e != NULL && entry_prev(e) != NULL)
		e = entry_prev(e);
	for (; e != NULL && e->e_start <= end; e = next) {
		next = entry_next(e);
		if (next == NULL)
			break;
		if (join_two(m, e, next, g))
			/* One of both is left: begin with it. */
			next = entry_at(m,
			    start < e->e_start ? start : e->e_start);
	}
}

bool
map_covers(struct qvmmap *m, uint64_t start, uint64_t end)
{
	struct entry *e;

	for (e = entry_at(m, start); e != NULL && start < end;
	     e = entry_next(e)) {
		if (e->e_start > start)
			return false;
		start = e->e_end;
	}
	return start >= end;
}

/* ---- unmapping -------------------------------------------------------------------- */

int
map_remove(struct qvmmap *m, uint64_t start, uint64_t end, struct gone *g)
{
	struct entry *e = entry_from(m, start), *next, *prev;
	uint64_t low, high;
	int error;

	if (e == NULL || e->e_start >= end)
		return 0;
	error = map_clip(m, start);
	if (error == 0)
		error = map_clip(m, end);
	if (error != 0)
		return error;
	e = entry_from(m, start);
	prev = entry_prev(e);
	low = prev != NULL ? prev->e_end : 0;
	next = entry_from(m, end);
	high = next != NULL ? next->e_start : QVM_TOP;
	pmap_remove(m, start, end, low, high);
	for (; e != next; e = entry_next(e)) {
		entry_tryown(e);
		if (e->e_anon == NULL || (e->e_flags & (E_SHARED | E_COPY)))
			continue;
		/* If it is all of the object, that goes as a whole. */
		if (!anon_alone(e->e_anon))
			(void)anon_drop(m->m_k, e->e_anon, e->e_index,
			    entry_pages(e), false);
	}
	while ((e = entry_from(m, start)) != next)
		dispose(m, e, g);
	return 0;
}

/* The arguments of munmap and mprotect.  -EINVAL */
static int
check_range(uint64_t addr, uint64_t *lenp)
{
	uint64_t len = *lenp;

	if ((addr & PAGE_MASK) != 0 || addr > QVM_TOP || len > QVM_TOP - addr)
		return -Q_EINVAL;
	*lenp = page_up(len);
	return 0;
}

int
qvm_unmap(struct qvmmap *m, uint64_t addr, uint64_t len)
{
	struct gone g;
	int error;

	error = check_range(addr, &len);
	if (error == 0 && len == 0)
		error = -Q_EINVAL;
	if (error != 0)
		return error;
	gone_init(&g);
	qrw_wrlock(&m->m_lock);
	error = map_remove(m, addr, addr + len, &g);
	qrw_wrunlock(&m->m_lock);
	gone_free(&g);
	return error;
}

/* ---- mapping ------------------------------------------------------------------------ */

/* Is [addr, addr + len) free, and not too near to a stack? */
static bool
is_free(struct qvmmap *m, uint64_t addr, uint64_t len)
{
	struct entry *e = entry_from(m, addr);

	if (e == NULL)
		return true;
	if ((e->e_flags & E_GROWSDOWN) != 0)
		return addr + len + GUARD_GAP <= e->e_start;
	return addr + len <= e->e_start;
}

/* Room for `len` bytes within [low, high), as high as possible; 0: none. */
static uint64_t
find_room(struct qvmmap *m, uint64_t len, uint64_t low, uint64_t high)
{
	struct entry *e;
	uint64_t at;

	while (
	    (at = entry_room(m, len, low, high)) != 0 && !is_free(m, at, len)) {
		e = entry_from(m, at);
		if (e->e_start < GUARD_GAP)
			return 0;
		high = e->e_start - GUARD_GAP;
	}
	return at;
}

int
map_place(struct qvmmap *m, uint64_t *addrp, uint64_t len, unsigned flags)
{
	uint64_t addr = *addrp;

	if (len > QVM_TOP - QVM_LOW)
		return -Q_ENOMEM;
	if ((flags & (Q_MAP_FIXED | Q_MAP_FIXED_NOREPLACE)) != 0) {
		if ((addr & PAGE_MASK) != 0)
			return -Q_EINVAL;
		if (addr > QVM_TOP - len)
			return -Q_ENOMEM;
		if (addr < QVM_LOW)
			return -Q_EPERM;
		if ((flags & Q_MAP_FIXED_NOREPLACE) == 0)
			return 0;
		return entry_from(m, addr) == NULL ||
			entry_from(m, addr)->e_start >= addr + len ?
		    0 :
		    -Q_EEXIST;
	}
	addr &= ~PAGE_MASK;
	if (addr >= QVM_LOW && addr <= QVM_TOP - len &&
	    ((flags & Q_MAP_32BIT) == 0 || addr + len <= (UINT64_C(1) << 31)) &&
	    is_free(m, addr, len)) {
		*addrp = addr;
		return 0;
	}
	if ((flags & Q_MAP_32BIT) != 0) {
		*addrp = find_room(m, len, UINT64_C(1) << 30,
		    UINT64_C(1) << 31);
	} else {
		*addrp = find_room(m, len, QVM_LOW, m->m_top);
		if (*addrp == 0)
			*addrp = find_room(m, len, QVM_LOW, QVM_TOP);
	}
	return *addrp != 0 ? 0 : -Q_ENOMEM;
}

/* A mapping to be made. */
struct request {
	struct qvmmap *rq_map;
	uint64_t rq_addr, rq_len, rq_off;
	unsigned rq_prot, rq_max, rq_flags; /* Q_PROT_*, Q_MAP_* */
	struct qfile *rq_file;
	const char *rq_name;
	struct fobj *rq_fobj;
	bool rq_writer;
};

/* What the file says to it. */
static int
ask_file(struct request *rq)
{
	struct qmmap mm = { .mm_off = rq->rq_off,
		.mm_len = rq->rq_len,
		.mm_prot = rq->rq_prot,
		.mm_flags = rq->rq_flags };
	struct qfile *f = rq->rq_file;
	bool shared = (rq->rq_flags & Q_MAP_TYPE) != Q_MAP_PRIVATE;
	int error;

	if ((f->f_mode & QF_READ) == 0)
		return -Q_EACCES;
	if (shared && (f->f_mode & QF_WRITE) == 0) {
		if ((rq->rq_prot & Q_PROT_WRITE) != 0)
			return -Q_EACCES;
		rq->rq_max &= ~(unsigned)Q_PROT_WRITE;
	}
	if (f->f_ops->fo_mmap == NULL)
		return -Q_ENODEV;
	error = f->f_ops->fo_mmap(f, &mm);
	if (error != 0)
		return error;
	rq->rq_max &= ~mm.mm_never;
	if (mm.mm_kind == QMMAP_ANON)
		return 0;
	error = fobj_get(rq->rq_map->m_vm, &mm, &rq->rq_fobj);
	if (error != 0)
		return error;
	if (shared && (rq->rq_max & Q_PROT_WRITE) != 0 &&
	    rq->rq_fobj->fo_ops->pr_writers != NULL) {
		error = rq->rq_fobj->fo_ops->pr_writers(rq->rq_fobj->fo_obj, 1,
		    true);
		if (error == -Q_EPERM && (rq->rq_prot & Q_PROT_WRITE) == 0) {
			rq->rq_max &= ~(unsigned)Q_PROT_WRITE;
			error = 0;
		} else {
			rq->rq_writer = error == 0;
		}
	}
	return error;
}

static uint32_t
entry_flags(const struct request *rq)
{
	uint32_t flags = rq->rq_map->m_future;

	if ((rq->rq_flags & Q_MAP_TYPE) != Q_MAP_PRIVATE)
		flags |= E_SHARED;
	if ((rq->rq_flags & Q_MAP_GROWSDOWN) != 0)
		flags |= E_GROWSDOWN;
	if ((rq->rq_flags & Q_MAP_NORESERVE) != 0)
		flags |= E_NORESERVE;
	if ((rq->rq_flags & Q_MAP_LOCKED) != 0)
		flags |= E_LOCKED;
	if (rq->rq_writer)
		flags |= E_WRITER;
	return flags;
}

/* The entry of a request whose place is known; what it has, that has then. */
static struct entry *
make_entry(struct request *rq)
{
	struct entry *e = entry_alloc(rq->rq_map);

	if (e == NULL)
		return NULL;
	e->e_start = rq->rq_addr;
	e->e_end = rq->rq_addr + rq->rq_len;
	e->e_prot = (uint8_t)(rq->rq_prot &
	    (Q_PROT_READ | Q_PROT_WRITE | Q_PROT_EXEC));
	e->e_max = (uint8_t)rq->rq_max;
	e->e_name = rq->rq_name;
	e->e_flags = entry_flags(rq);
	e->e_next = e->e_start;
	if (rq->rq_fobj == NULL && (e->e_flags & E_SHARED) != 0) {
		/* Whatever becomes of the mapping, this is what is shared. */
		uint64_t i = e->e_start >> PAGE_SHIFT;
		struct anon *a = anon_create(e->e_map->m_vm, true,
		    i + entry_pages(e));

		if (a == NULL) {
			entry_free(e);
			return NULL;
		}
		entry_set_anon(e, a, i);
	}
	if (rq->rq_fobj != NULL) {
		e->e_fobj = rq->rq_fobj;
		e->e_findex = rq->rq_off >> PAGE_SHIFT;
		e->e_file = rq->rq_file;
		qfile_get(e->e_file);
		rq->rq_fobj = NULL;
		rq->rq_writer = false;
		qmutex_lock(&e->e_fobj->fo_lock);
		qlist_append(&e->e_fobj->fo_entries, &e->e_flink);
		qmutex_unlock(&e->e_fobj->fo_lock);
	}
	return e;
}

static uint64_t
data_limit(void)
{
	return map_limit(Q_RLIMIT_DATA) >> PAGE_SHIFT;
}

/* Find its place, and make it. */
static int
place(struct request *rq, struct gone *g)
{
	struct qvmmap *m = rq->rq_map;
	uint64_t limit = map_limit(Q_RLIMIT_AS) >> PAGE_SHIFT;
	struct entry *e;
	int error;

	error = map_place(m, &rq->rq_addr, rq->rq_len, rq->rq_flags);
	if (error != 0)
		return error;
	if (m->m_n >= QVM_MAXMAP ||
	    m->m_pages + (rq->rq_len >> PAGE_SHIFT) > limit)
		return -Q_ENOMEM;
	e = make_entry(rq);
	if (e == NULL)
		return -Q_ENOMEM;
	if (map_counts(m->m_vm, e->e_flags, e->e_prot, e->e_fobj)) {
		error = map_commit(m->m_vm, entry_pages(e));
		entry_set(e, E_ACCOUNT, 0);
	}
	if (error == 0 && (e->e_flags & (E_SHARED | E_GROWSDOWN)) == 0 &&
	    (e->e_prot & Q_PROT_WRITE) != 0 &&
	    m->m_data + entry_pages(e) > data_limit())
		error = -Q_ENOMEM;
	if (error == 0)
		error = map_remove(m, e->e_start, e->e_end, g);
	if (error != 0) {
		qlist_append(&g->g_entries, &e->e_link);
		return error;
	}
	entry_insert(m, e);
	map_join(m, e->e_start, e->e_end, g);
	return 0;
}

/* Is there something to be mapped, of a size that there is? */
static int
check_size(struct request *rq, uint64_t len)
{
	if (len == 0 || (rq->rq_off & PAGE_MASK) != 0)
		return -Q_EINVAL;
	if (len > QVM_TOP)
		return -Q_ENOMEM;
	rq->rq_len = page_up(len);
	return rq->rq_file != NULL && rq->rq_off > INT64_MAX - rq->rq_len ?
	    -Q_EOVERFLOW :
	    0;
}

/* Are the flags such as mmap(2) takes? */
static int
check_flags(const struct request *rq)
{
	unsigned type = rq->rq_flags & Q_MAP_TYPE;

	if (type != Q_MAP_SHARED && type != Q_MAP_PRIVATE &&
	    type != Q_MAP_SHARED_VALIDATE)
		return -Q_EINVAL;
	if ((rq->rq_flags & Q_MAP_HUGETLB) != 0)
		return -Q_ENOMEM; /* of those pages there are none */
	if ((rq->rq_flags & Q_MAP_GROWSDOWN) != 0 &&
	    (type != Q_MAP_PRIVATE || rq->rq_file != NULL))
		return -Q_EINVAL;
	if (type != Q_MAP_SHARED_VALIDATE)
		return 0;
	/* Every flag is known, or it is refused. */
	if (rq->rq_file == NULL)
		return -Q_EINVAL;
	return (rq->rq_flags & ~(unsigned)KNOWN_FLAGS) != 0 ? -Q_EOPNOTSUPP : 0;
}

/* All that can be said before the mapping has a place for good. */
static int
check_request(struct request *rq, uint64_t len)
{
	struct qvmmap *m = rq->rq_map;
	uint64_t addr = rq->rq_addr;
	int error;

	error = check_size(rq, len);
	if (error == 0 &&
	    (rq->rq_file != NULL ||
		(rq->rq_flags & (Q_MAP_FIXED | Q_MAP_FIXED_NOREPLACE)) != 0)) {
		/* Where comes first, and is looked at again. */
		qrw_rdlock(&m->m_lock);
		error = map_place(m, &addr, rq->rq_len, rq->rq_flags);
		qrw_rdunlock(&m->m_lock);
	}
	if (error == 0)
		error = check_flags(rq);
	if (error == 0 && rq->rq_file != NULL)
		error = ask_file(rq);
	return error;
}

int
qvm_map_named(struct qvmmap *m, uint64_t *addr, uint64_t len, unsigned prot,
    unsigned flags, struct qfile *f, uint64_t off, const char *name)
{
	struct request rq = { .rq_map = m,
		.rq_addr = *addr,
		.rq_off = off,
		.rq_prot = prot,
		.rq_max = Q_PROT_READ | Q_PROT_WRITE | Q_PROT_EXEC,
		.rq_flags = flags,
		.rq_file = f,
		.rq_name = name };
	bool now = (flags & (Q_MAP_POPULATE | Q_MAP_NONBLOCK)) ==
	    Q_MAP_POPULATE;
	struct gone g;
	int error;

	error = check_request(&rq, len);
	gone_init(&g);
	if (error == 0) {
		qrw_wrlock(&m->m_lock);
		error = place(&rq, &g);
		if ((m->m_future & (E_LOCKED | E_ONFAULT)) == E_LOCKED)
			now = true;
		qrw_wrunlock(&m->m_lock);
	}
	gone_free(&g);
	if (rq.rq_writer)
		(void)rq.rq_fobj->fo_ops->pr_writers(rq.rq_fobj->fo_obj, -1,
		    false);
	if (rq.rq_fobj != NULL)
		fobj_put(rq.rq_fobj);
	if (error != 0)
		return error;
	*addr = rq.rq_addr;
	if (now || (flags & Q_MAP_LOCKED) != 0)
		(void)fault_range(m, rq.rq_addr, rq.rq_len,
		    (prot & Q_PROT_WRITE) != 0 &&
			    (flags & Q_MAP_TYPE) == Q_MAP_PRIVATE ?
			QVM_WRITE :
			QVM_READ);
	return 0;
}

int
qvm_map(struct qvmmap *m, uint64_t *addr, uint64_t len, unsigned prot,
    unsigned flags, struct qfile *f, uint64_t off)
{
	return qvm_map_named(m, addr, len, prot, flags, f, off, NULL);
}

/* ---- promising --------------------------------------------------------------------- */

/* The pages that may be promised under Q_OVERCOMMIT_NEVER. */
static uint64_t
commit_limit(const struct vm *vm)
{
	return qpage_total(vm->vm_k) *
	    __atomic_load_n(&vm->vm_ratio, __ATOMIC_RELAXED) / 100 +
	    __atomic_load_n(&vm->vm_swap, __ATOMIC_RELAXED);
}

void
qvm_set_overcommit(struct quern *k, unsigned how, unsigned ratio)
{
	struct vm *vm = vm_of(k);

	__atomic_store_n(&vm->vm_overcommit, how, __ATOMIC_RELAXED);
	__atomic_store_n(&vm->vm_ratio, ratio, __ATOMIC_RELAXED);
}

void
qvm_overcommit(struct quern *k, unsigned *howp, unsigned *ratiop,
    uint64_t *committedp, uint64_t *limitp)
{
	struct vm *vm = vm_of(k);

	*howp = __atomic_load_n(&vm->vm_overcommit, __ATOMIC_RELAXED);
	*ratiop = __atomic_load_n(&vm->vm_ratio, __ATOMIC_RELAXED);
	*committedp = __atomic_load_n(&vm->vm_committed, __ATOMIC_RELAXED);
	*limitp = commit_limit(vm);
}

int
map_commit(struct vm *vm, uint64_t n)
{
	uint64_t total = qpage_total(vm->vm_k);
	uint32_t how = __atomic_load_n(&vm->vm_overcommit, __ATOMIC_RELAXED);

	if (how == Q_OVERCOMMIT_ALWAYS)
		return 0;
	if (how == Q_OVERCOMMIT_GUESS)
		return n <= total + vm->vm_swap ? 0 : -Q_ENOMEM;
	return __atomic_load_n(&vm->vm_committed, __ATOMIC_RELAXED) + n <=
		commit_limit(vm) ?
	    0 :
	    -Q_ENOMEM;
}

bool
map_counts(const struct vm *vm, uint32_t flags, unsigned prot,
    const struct fobj *fo)
{
	uint32_t how = __atomic_load_n(&vm->vm_overcommit, __ATOMIC_RELAXED);

	if ((flags & E_NORESERVE) != 0 && how != Q_OVERCOMMIT_NEVER)
		return false;
	if ((flags & E_SHARED) != 0)
		return fo == NULL;
	return (prot & Q_PROT_WRITE) != 0;
}

/* ---- protecting ------------------------------------------------------------------------ */

/* [m], clipped. */
static int
protect_entry(struct entry *e, unsigned prot)
{
	struct qvmmap *m = e->e_map;
	uint32_t flags = e->e_flags;

	if (e->e_prot == prot)
		return 0;
	/* What may have been stored to stays counted. */
	if ((flags & E_ACCOUNT) == 0 &&
	    map_counts(m->m_vm, flags, prot, e->e_fobj)) {
		if (map_commit(m->m_vm, entry_pages(e)) != 0)
			return -Q_ENOMEM;
		flags |= E_ACCOUNT;
	}
	entry_change(e, flags, prot);
	if (prot == Q_PROT_NONE)
		pmap_remove(m, e->e_start, e->e_end, e->e_start, e->e_end);
	else
		pmap_protect(m, e->e_start, e->e_end, access_of(prot));
	return 0;
}

static int
protect_range(struct qvmmap *m, uint64_t start, uint64_t end, unsigned prot,
    struct gone *g)
{
	uint64_t va = start;
	struct entry *e;
	int error = 0;

	for (; va < end && error == 0; va = e->e_end) {
		e = entry_at(m, va);
		if (e == NULL) {
			error = -Q_ENOMEM;
			break;
		}
		if ((prot & ~(unsigned)e->e_max) != 0) {
			error = -Q_EACCES;
			break;
		}
		error = map_clip(m, va);
		if (error == 0)
			error = map_clip(m, end);
		e = entry_at(m, va);
		if (error == 0)
			error = protect_entry(e, prot);
	}
	map_join(m, start, end, g);
	return error;
}

int
qvm_protect(struct qvmmap *m, uint64_t addr, uint64_t len, unsigned prot)
{
	unsigned grows = prot & (Q_PROT_GROWSDOWN | Q_PROT_GROWSUP);
	uint64_t end = addr + page_up(len);
	struct entry *e;
	struct gone g;
	int error = 0;

	prot &= ~grows;
	if ((addr & PAGE_MASK) != 0)
		return -Q_EINVAL;
	if (len == 0)
		return 0;
	if (end <= addr)
		return -Q_ENOMEM;
	if ((grows & Q_PROT_GROWSUP) != 0 ||
	    (prot &
		~(unsigned)(Q_PROT_READ | Q_PROT_WRITE | Q_PROT_EXEC |
		    Q_PROT_SEM)) != 0)
		return -Q_EINVAL;
	prot &= ~(unsigned)Q_PROT_SEM;
	gone_init(&g);
	qrw_wrlock(&m->m_lock);
	e = entry_from(m, addr);
	if (e != NULL && grows != 0 && (e->e_flags & E_GROWSDOWN) == 0)
		error = -Q_EINVAL;
	else if (e != NULL && grows != 0 && e->e_start < addr)
		addr = e->e_start;
	if (error == 0)
		error = protect_range(m, addr, end, prot, &g);
	qrw_wrunlock(&m->m_lock);
	gone_free(&g);
	return error;
}

/* ---- stacks and the heap ---------------------------------------------------------------- */

int
map_grow(struct qvmmap *m, struct entry *e, uint64_t va)
{
	uint64_t end = e->e_end, n = (e->e_start - va) >> PAGE_SHIFT;
	struct entry *prev = entry_prev(e);

	if (end - va > map_limit(Q_RLIMIT_STACK) || va < QVM_LOW ||
	    m->m_pages + n > map_limit(Q_RLIMIT_AS) >> PAGE_SHIFT)
		return -Q_ENOMEM;
	/* What may not be accessed is as good as a gap. */
	if (prev != NULL && prev->e_prot != 0 &&
	    (prev->e_flags & E_GROWSDOWN) == 0 && va - prev->e_end < GUARD_GAP)
		return -Q_ENOMEM;
	if (prev != NULL && va < prev->e_end)
		return -Q_ENOMEM;
	if (e->e_anon != NULL && e->e_index < n)
		return -Q_ENOMEM;
	entry_resize(e, va, end);
	return 0;
}

void
qvm_set_brk(struct qvmmap *m, uint64_t start)
{
	qrw_wrlock(&m->m_lock);
	m->m_brkstart = m->m_brk = start;
	qrw_wrunlock(&m->m_lock);
}

void
qvm_set_top(struct qvmmap *m, uint64_t top)
{
	qrw_wrlock(&m->m_lock);
	m->m_top = top & ~PAGE_MASK;
	qrw_wrunlock(&m->m_lock);
}

/* The heap is to reach from `from` to `to`, pages. */
static int
grow_heap(struct qvmmap *m, uint64_t from, uint64_t to, struct gone *g)
{
	struct request rq = { .rq_map = m,
		.rq_addr = from,
		.rq_len = to - from,
		.rq_prot = Q_PROT_READ | Q_PROT_WRITE,
		.rq_max = Q_PROT_READ | Q_PROT_WRITE | Q_PROT_EXEC,
		.rq_flags = Q_MAP_PRIVATE | Q_MAP_FIXED };

	if (to > QVM_TOP || from < QVM_LOW || !is_free(m, from, to - from))
		return -Q_ENOMEM;
	return place(&rq, g);
}

uint64_t
qvm_brk(struct qvmmap *m, uint64_t end)
{
	uint64_t limit = map_limit(Q_RLIMIT_DATA), from, to;
	struct gone g;
	int error = 0;
	bool now;

	gone_init(&g);
	qrw_wrlock(&m->m_lock);
	from = page_up(m->m_brk);
	to = page_up(end);
	if (end < m->m_brkstart || end > QVM_TOP || end - m->m_brkstart > limit)
		error = -Q_ENOMEM;
	else if (to < from)
		error = map_remove(m, to, from, &g);
	else if (to > from)
		error = grow_heap(m, from, to, &g);
	if (error == 0)
		m->m_brk = end;
	end = m->m_brk;
	now = error == 0 && to > from &&
	    (m->m_future & (E_LOCKED | E_ONFAULT)) == E_LOCKED;
	qrw_wrunlock(&m->m_lock);
	gone_free(&g);
	if (now)
		(void)fault_range(m, from, to - from, QVM_WRITE);
	return end;
}
