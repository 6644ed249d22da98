/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * madvise(2), mlock(2) and its like, msync(2), mincore(2).
 *
 * What looks at a range goes from mapping to mapping; holes do not end it, but
 * make the result -ENOMEM.  What has to wait for a file does so without m_lock,
 * and goes on from the address that it had come to.
 */
#include <quern/syscall.h>

#include "impl.h"

/* ---- advice -------------------------------------------------------------------- */

/* Private memory of [start, end), within `e`, is to be as when it was new.  [m] */
static int
discard(struct entry *e, uint64_t start, uint64_t end)
{
	struct qvmmap *m = e->e_map;
	int error;

	if ((e->e_flags & E_SHARED) != 0 || e->e_anon == NULL) {
		pmap_remove(m, start, end, start, end);
		return 0;
	}
	error = entry_own(e);
	if (error != 0)
		return error;
	pmap_remove(m, start, end, start, end);
	return anon_drop(m->m_k, e->e_anon, entry_index(e, start),
	    (end - start) >> PAGE_SHIFT, true);
}

static bool
is_private_anon(const struct entry *e)
{
	return (e->e_flags & E_SHARED) == 0 && e->e_fobj == NULL;
}

/* Flags that an advice sets and takes away; false: it is another one. */
static bool
flags_of(int advice, uint32_t *setp, uint32_t *clearp)
{
	static const struct {
		int advice;
		uint32_t set, clear;
	} all[] = { { Q_MADV_NORMAL, 0, E_RANDOM | E_SEQ },
		{ Q_MADV_RANDOM, E_RANDOM, E_SEQ },
		{ Q_MADV_SEQUENTIAL, E_SEQ, E_RANDOM },
		{ Q_MADV_DONTFORK, E_DONTFORK, 0 },
		{ Q_MADV_DOFORK, 0, E_DONTFORK },
		{ Q_MADV_DONTDUMP, E_DONTDUMP, 0 },
		{ Q_MADV_DODUMP, 0, E_DONTDUMP },
		{ Q_MADV_WIPEONFORK, E_WIPE, 0 },
		{ Q_MADV_KEEPONFORK, 0, E_WIPE } };
	unsigned i;

	for (i = 0; i < QARRAYLEN(all); i++)
		if (all[i].advice == advice) {
			*setp = all[i].set;
			*clearp = all[i].clear;
			return true;
		}
	return false;
}

/* Set and clear flags in [start, end).  [m] */
static int
change_flags(struct qvmmap *m, uint64_t start, uint64_t end, uint32_t set,
    uint32_t clear)
{
	struct entry *e;
	int error;

	error = map_clip(m, start);
	if (error == 0)
		error = map_clip(m, end);
	if (error != 0)
		return error;
	for (e = entry_from(m, start); e != NULL && e->e_start < end;
	     e = entry_next(e)) {
		if ((set & E_WIPE) != 0 && !is_private_anon(e))
			return -Q_EINVAL;
		entry_change(e, (e->e_flags & ~clear) | set, e->e_prot);
	}
	return 0;
}

/* One mapping, or part of it.  [m] */
static int
advise_entry(struct entry *e, uint64_t start, uint64_t end, int advice)
{
	switch (advice) {
	case Q_MADV_DONTNEED:
		if ((e->e_flags & E_LOCKED) != 0)
			return -Q_EINVAL;
		return discard(e, start, end);
	case Q_MADV_DONTNEED_LOCKED:
		return discard(e, start, end);
	case Q_MADV_FREE:
		/* It may be gone at once. */
		if (!is_private_anon(e) || (e->e_flags & E_LOCKED) != 0)
			return -Q_EINVAL;
		return discard(e, start, end);
	case Q_MADV_COLD:
	case Q_MADV_PAGEOUT:
		return (e->e_flags & E_LOCKED) != 0 ? -Q_EINVAL : 0;
	default:
		return 0;
	}
}

/* From mapping to mapping.  [m] */
static int
advise_range(struct qvmmap *m, uint64_t start, uint64_t end, int advice)
{
	uint64_t at = start, stop;
	bool hole = false;
	struct entry *e;
	int error;

	for (e = entry_from(m, start); e != NULL && e->e_start < end;
	     e = entry_from(m, at)) {
		if (e->e_start > at) {
			hole = true;
			at = e->e_start;
		}
		stop = e->e_end < end ? e->e_end : end;
		error = advise_entry(e, at, stop, advice);
		if (error != 0)
			return error;
		at = stop;
		if (at == end)
			break;
	}
	return hole || at < end ? -Q_ENOMEM : 0;
}

/* A file that is mapped in a range, to be used without m_lock. */
struct part {
	struct fobj *pa_fobj;      /* with a reference */
	uint64_t pa_off, pa_len;   /* bytes in it */
	uint64_t pa_end;           /* the address where the next part begins */
	uint32_t pa_flags, pa_max; /* the mapping's */
};

/*
 * The next part of [at, end).  1: pa_fobj is NULL where there is no file; 0:
 * there is nothing more.  *hole: there was a hole before it.
 */
static int
next_part(struct qvmmap *m, uint64_t at, uint64_t end, struct part *pa,
    bool *hole)
{
	struct entry *e;
	int found = 0;

	qrw_rdlock(&m->m_lock);
	e = entry_from(m, at);
	if (e == NULL || e->e_start >= end) {
		*hole |= at < end;
	} else {
		*hole |= e->e_start > at;
		if (e->e_start > at)
			at = e->e_start;
		pa->pa_end = e->e_end < end ? e->e_end : end;
		pa->pa_fobj = e->e_fobj;
		pa->pa_off = entry_findex(e, at) << PAGE_SHIFT;
		pa->pa_len = pa->pa_end - at;
		pa->pa_flags = e->e_flags;
		pa->pa_max = e->e_max;
		if (e->e_fobj != NULL)
			fobj_ref(e->e_fobj);
		found = 1;
	}
	qrw_rdunlock(&m->m_lock);
	return found;
}

static int
advise_file(const struct part *pa, int advice)
{
	struct fobj *fo = pa->pa_fobj;

	if (advice == Q_MADV_WILLNEED) {
		if (fo != NULL && fo->fo_ops->pr_willneed != NULL)
			fo->fo_ops->pr_willneed(fo->fo_obj,
			    pa->pa_off >> PAGE_SHIFT, pa->pa_len >> PAGE_SHIFT);
		return 0;
	}
	/* REMOVE */
	if ((pa->pa_flags & E_LOCKED) != 0 || fo == NULL)
		return -Q_EINVAL;
	if ((pa->pa_flags & E_SHARED) == 0 || (pa->pa_max & Q_PROT_WRITE) == 0)
		return -Q_EACCES;
	if (fo->fo_ops->pr_punch == NULL)
		return -Q_EOPNOTSUPP;
	return fo->fo_ops->pr_punch(fo->fo_obj, pa->pa_off, pa->pa_len);
}

/* Advice that files take. */
static int
advise_files(struct qvmmap *m, uint64_t start, uint64_t end, int advice)
{
	struct part pa = { .pa_end = start };
	bool hole = false;
	int error = 0;

	while (error == 0 && pa.pa_end < end &&
	    next_part(m, pa.pa_end, end, &pa, &hole) != 0) {
		error = advise_file(&pa, advice);
		if (pa.pa_fobj != NULL)
			fobj_put(pa.pa_fobj);
	}
	return error == 0 && hole ? -Q_ENOMEM : error;
}

/*
 * Touch all of it, from mapping to mapping.  -ENOMEM: a hole; -EINVAL: what may
 * not be accessed so; -EFAULT: behind the end of a file.
 */
static int
advise_populate(struct qvmmap *m, uint64_t start, uint64_t end, bool write)
{
	unsigned need = write ? Q_PROT_WRITE : Q_PROT_READ, prot;
	uint64_t at = start, stop;
	struct entry *e;
	int error = 0;

	while (at < end && error == 0) {
		qrw_rdlock(&m->m_lock);
		e = entry_at(m, at);
		prot = e != NULL ? e->e_prot : 0;
		stop = e != NULL && e->e_end < end ? e->e_end : end;
		qrw_rdunlock(&m->m_lock);
		if (e == NULL)
			return -Q_ENOMEM;
		if ((prot & need) == 0)
			return -Q_EINVAL;
		error = fault_range(m, at, stop - at,
		    write ? QVM_WRITE : QVM_READ);
		at = stop;
	}
	return error;
}

static bool
is_advice(int advice)
{
	return (advice >= Q_MADV_NORMAL && advice <= Q_MADV_DONTNEED) ||
	    (advice >= Q_MADV_FREE && advice <= Q_MADV_COLLAPSE);
}

int
qvm_advise(struct qvmmap *m, uint64_t addr, uint64_t len, int advice)
{
	uint64_t end = addr + page_up(len);
	uint32_t set, clear;
	struct gone g;
	int error;

	if (advice == Q_MADV_HWPOISON || advice == Q_MADV_SOFT_OFFLINE)
		return -Q_EPERM;
	if (!is_advice(advice) || (addr & PAGE_MASK) != 0 ||
	    (len != 0 && end <= addr))
		return -Q_EINVAL;
	if (len == 0)
		return 0;
	if (advice == Q_MADV_WILLNEED || advice == Q_MADV_REMOVE)
		return advise_files(m, addr, end, advice);
	if (advice == Q_MADV_POPULATE_READ || advice == Q_MADV_POPULATE_WRITE)
		return advise_populate(m, addr, end,
		    advice == Q_MADV_POPULATE_WRITE);
	gone_init(&g);
	qrw_wrlock(&m->m_lock);
	if (flags_of(advice, &set, &clear)) {
		error = change_flags(m, addr, end, set, clear);
		if (error == 0 && !map_covers(m, addr, end))
			error = -Q_ENOMEM;
		map_join(m, addr, end, &g);
	} else {
		error = advise_range(m, addr, end, advice);
	}
	qrw_wrunlock(&m->m_lock);
	gone_free(&g);
	return error;
}

QSYS(madvise)
{
	struct qvmmap *m = qvm_of(s->s_proc);

	if (m == NULL)
		return -Q_ENOSYS;
	return qvm_advise(m, s->s_arg[0], s->s_arg[1], qsys_int(s, 2));
}

/* ---- writing back ---------------------------------------------------------------- */

int
qvm_sync(struct qvmmap *m, uint64_t addr, uint64_t len, unsigned flags)
{
	uint64_t end = addr + page_up(len); /* which may wrap to nothing */
	struct part pa = { .pa_end = addr };
	struct fobj *fo;
	bool hole = false;
	int error = 0;

	if ((flags & ~(unsigned)(Q_MS_ASYNC | Q_MS_SYNC | Q_MS_INVALIDATE)) !=
		0 ||
	    (addr & PAGE_MASK) != 0 ||
	    (flags & (Q_MS_ASYNC | Q_MS_SYNC)) == (Q_MS_ASYNC | Q_MS_SYNC))
		return -Q_EINVAL;
	if (end < addr)
		return -Q_ENOMEM;
	while (error == 0 && pa.pa_end < end &&
	    next_part(m, pa.pa_end, end, &pa, &hole) != 0) {
		fo = pa.pa_fobj;
		if ((flags & Q_MS_INVALIDATE) != 0 &&
		    (pa.pa_flags & E_LOCKED) != 0)
			error = -Q_EBUSY;
		else if (fo != NULL && (pa.pa_flags & E_SHARED) != 0 &&
		    (flags & Q_MS_SYNC) != 0 && fo->fo_ops->pr_sync != NULL)
			error = fo->fo_ops->pr_sync(fo->fo_obj, pa.pa_off,
			    pa.pa_off + pa.pa_len, true);
		if (fo != NULL)
			fobj_put(fo);
	}
	return error == 0 && hole ? -Q_ENOMEM : error;
}

QSYS(msync)
{
	struct qvmmap *m = qvm_of(s->s_proc);

	if (m == NULL)
		return -Q_ENOSYS;
	return qvm_sync(m, s->s_arg[0], s->s_arg[1], qsys_uint(s, 2));
}

/* ---- locking ----------------------------------------------------------------------- */

bool
map_may_lock(struct qvmmap *m, uint64_t n)
{
	struct quern_proc *p = qproc_current();
	uint64_t limit = map_limit(Q_RLIMIT_MEMLOCK) >> PAGE_SHIFT;

	return (p != NULL && qproc_capable(p, Q_CAP_IPC_LOCK)) ||
	    m->m_locked + n <= limit;
}

/* Pages of [start, end) that are not locked yet.  [m] */
static uint64_t
count_unlocked(struct qvmmap *m, uint64_t start, uint64_t end)
{
	struct entry *e;
	uint64_t n = 0, low, high;

	for (e = entry_from(m, start); e != NULL && e->e_start < end;
	     e = entry_next(e)) {
		low = e->e_start > start ? e->e_start : start;
		high = e->e_end < end ? e->e_end : end;
		if ((e->e_flags & E_LOCKED) == 0)
			n += (high - low) >> PAGE_SHIFT;
	}
	return n;
}

/* Lock, or unlock, a range, as far as there is no hole. */
static int
lock_range(struct qvmmap *m, uint64_t start, uint64_t end, uint32_t set)
{
	uint64_t stop = start;
	struct entry *e;
	struct gone g;
	int error = 0;

	gone_init(&g);
	qrw_wrlock(&m->m_lock);
	if ((set & E_LOCKED) != 0 &&
	    !map_may_lock(m, count_unlocked(m, start, end)))
		error = -Q_ENOMEM;
	while (error == 0 && stop < end && (e = entry_at(m, stop)) != NULL)
		stop = e->e_end < end ? e->e_end : end;
	if (error == 0 && stop > start)
		error = change_flags(m, start, stop, set,
		    (E_LOCKED | E_ONFAULT) & ~set);
	if (error == 0 && stop < end)
		error = -Q_ENOMEM;
	map_join(m, start, end, &g);
	qrw_wrunlock(&m->m_lock);
	gone_free(&g);
	return error;
}

/*
 * Touch all that is mapped, to have it in memory.  -ENOMEM: some may not be
 * accessed, or is behind the end of a file; `on`: go on then.
 */
static int
touch_all(struct qvmmap *m, uint64_t start, uint64_t end, bool on)
{
	uint64_t at = start, stop;
	unsigned prot, shared;
	struct entry *e;
	int error;

	while (at < end) {
		qrw_rdlock(&m->m_lock);
		e = entry_from(m, at);
		if (e == NULL || e->e_start >= end) {
			qrw_rdunlock(&m->m_lock);
			return 0;
		}
		if (e->e_start > at)
			at = e->e_start;
		stop = e->e_end < end ? e->e_end : end;
		prot = e->e_prot;
		shared = e->e_flags & E_SHARED;
		qrw_rdunlock(&m->m_lock);
		error = -Q_EFAULT;
		if (prot != Q_PROT_NONE)
			error = fault_range(m, at, stop - at,
			    (prot & Q_PROT_WRITE) != 0 && shared == 0 ?
				QVM_WRITE :
				QVM_READ);
		if (error != 0 && !on)
			return error == -Q_EFAULT ? -Q_ENOMEM : error;
		at = stop;
	}
	return 0;
}

static int64_t
do_lock(struct qsys *s, uint32_t set)
{
	struct qvmmap *m = qvm_of(s->s_proc);
	uint64_t addr = s->s_arg[0] & ~PAGE_MASK, len = s->s_arg[1], end;
	int error;

	if (m == NULL)
		return -Q_ENOSYS;
	if (len > QVM_TOP || s->s_arg[0] > QVM_TOP)
		return -Q_ENOMEM;
	end = page_up(s->s_arg[0] + len);
	if (len == 0)
		return 0;
	error = lock_range(m, addr, end, set);
	if (error == 0 && set == E_LOCKED)
		error = touch_all(m, addr, end, false);
	return error;
}

QSYS(mlock)
{
	return do_lock(s, E_LOCKED);
}

QSYS(mlock2)
{
	uint32_t flags = qsys_uint(s, 2);

	if ((flags & ~(uint32_t)Q_MLOCK_ONFAULT) != 0)
		return -Q_EINVAL;
	return do_lock(s, flags != 0 ? E_LOCKED | E_ONFAULT : E_LOCKED);
}

QSYS(munlock)
{
	return do_lock(s, 0);
}

/* All mappings, and those to come. */
static int
lock_all(struct qvmmap *m, uint32_t now, uint32_t future)
{
	struct gone g;
	struct entry *e;
	struct qlist *l;
	int error = 0;

	gone_init(&g);
	qrw_wrlock(&m->m_lock);
	if (((now | future) & E_LOCKED) != 0 &&
	    !map_may_lock(m,
		(now & E_LOCKED) != 0 ? m->m_pages - m->m_locked : 0))
		error = -Q_ENOMEM;
	if (error == 0) {
		m->m_future = future;
		QLIST_FOREACH(l, &m->m_entries) {
			e = QLIST_ELEM(l, struct entry, e_link);
			if (now != 0 || future == 0)
				entry_change(e,
				    (e->e_flags & ~(E_LOCKED | E_ONFAULT)) |
					now,
				    e->e_prot);
		}
		map_join(m, QVM_LOW, QVM_TOP, &g);
	}
	qrw_wrunlock(&m->m_lock);
	gone_free(&g);
	return error;
}

QSYS(mlockall)
{
	struct qvmmap *m = qvm_of(s->s_proc);
	uint32_t flags = qsys_uint(s, 0), how = E_LOCKED;
	int error;

	if (m == NULL)
		return -Q_ENOSYS;
	if (flags == 0 || flags == Q_MCL_ONFAULT ||
	    (flags &
		~(uint32_t)(Q_MCL_CURRENT | Q_MCL_FUTURE | Q_MCL_ONFAULT)) != 0)
		return -Q_EINVAL;
	if ((flags & Q_MCL_ONFAULT) != 0)
		how |= E_ONFAULT;
	error = lock_all(m, (flags & Q_MCL_CURRENT) != 0 ? how : 0,
	    (flags & Q_MCL_FUTURE) != 0 ? how : 0);
	if (error == 0 && (flags & Q_MCL_CURRENT) != 0 && how == E_LOCKED)
		(void)touch_all(m, QVM_LOW, QVM_TOP, true);
	return error;
}

QSYS(munlockall)
{
	struct qvmmap *m = qvm_of(s->s_proc);

	return m != NULL ? lock_all(m, 0, 0) : -Q_ENOSYS;
}

/* ---- what is in memory --------------------------------------------------------------- */

#define CORE_CHUNK 256u

/* Is the page at `va` in memory?  [m] */
static bool
is_core(struct entry *e, uint64_t va)
{
	struct anon *a = e->e_anon, *o;
	struct fobj *fo = e->e_fobj;
	struct qpage *pg = NULL;
	void *p;

	if (pmap_prot(e->e_map, va) != 0)
		return true;
	if (a != NULL) {
		qmutex_lock(&a->a_fam->fa_lock);
		p = anon_find(a, entry_index(e, va), &o);
		qmutex_unlock(&a->a_fam->fa_lock);
		if (p != NULL && p != NO_PAGE)
			return is_page(p);
	}
	if (fo == NULL)
		return false;
	pg = fo->fo_ops->pr_find(fo->fo_obj, entry_findex(e, va));
	if (pg != NULL)
		qpage_put(e->e_map->m_k, pg);
	return pg != NULL;
}

QSYS(mincore)
{
	struct qvmmap *m = qvm_of(s->s_proc);
	uint64_t va = s->s_arg[0], len = s->s_arg[1], out = s->s_arg[2];
	uint8_t vec[CORE_CHUNK];
	struct entry *e;
	uint64_t end, n;
	int error = 0;

	if (m == NULL)
		return -Q_ENOSYS;
	if ((va & PAGE_MASK) != 0)
		return -Q_EINVAL;
	if (len > QVM_TOP || va > QVM_TOP - len)
		return -Q_ENOMEM;
	end = page_up(va + len);
	for (; va < end && error == 0; out += n) {
		qrw_rdlock(&m->m_lock);
		for (n = 0; va < end && n < CORE_CHUNK; n++, va += PAGE_SIZE) {
			e = entry_at(m, va);
			if (e == NULL)
				break;
			vec[n] = is_core(e, va);
		}
		qrw_rdunlock(&m->m_lock);
		if (n == 0)
			return -Q_ENOMEM;
		error = qcopyout(s->s_us, out, vec, (size_t)n);
	}
	return error;
}
