/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mremap(2): mappings that become longer or shorter, or move.
 *
 * What moves is the entry; its object has the pages at the same indices as
 * before, so nothing is copied.  Pages come to the new place by faults.
 */
#include <quern/syscall.h>

#include "impl.h"

struct remap {
	struct qvmmap *rm_map;
	uint64_t rm_old, rm_oldlen, rm_new, rm_newlen;
	unsigned rm_flags; /* Q_MREMAP_* */
	bool rm_locked;    /* fault in what is new */
	struct gone rm_gone;
};

/* Is `n` pages more of what `e` is within the limits? */
static int
check_limits(const struct entry *e, uint64_t n)
{
	struct qvmmap *m = e->e_map;

	if (m->m_pages + n > map_limit(Q_RLIMIT_AS) >> PAGE_SHIFT)
		return -Q_ENOMEM;
	if ((e->e_flags & (E_SHARED | E_GROWSDOWN)) == 0 &&
	    (e->e_prot & Q_PROT_WRITE) != 0 &&
	    m->m_data + n > map_limit(Q_RLIMIT_DATA) >> PAGE_SHIFT)
		return -Q_ENOMEM;
	if ((e->e_flags & E_LOCKED) != 0 && !map_may_lock(m, n))
		return -Q_EAGAIN;
	if ((e->e_flags & E_ACCOUNT) != 0)
		return map_commit(m->m_vm, n);
	return 0;
}

/* Have the mapping that ends with the old range reach further, where it is. */
static int
grow_in_place(struct remap *rm, struct entry *e)
{
	uint64_t end = rm->rm_old + rm->rm_newlen;
	struct entry *next = entry_next(e);
	uint64_t guard = 0;

	if (e->e_end != rm->rm_old + rm->rm_oldlen || end > QVM_TOP)
		return -Q_ENOMEM;
	if (next != NULL && (next->e_flags & E_GROWSDOWN) != 0)
		guard = GUARD_GAP;
	if (next != NULL && end + guard > next->e_start)
		return -Q_ENOMEM;
	return map_extend(e, e->e_start, end);
}

/* A second view of what is shared, for an old length of 0. */
static int
make_second(struct remap *rm, unsigned fixed)
{
	struct qvmmap *m = rm->rm_map;
	struct entry *e = entry_at(m, rm->rm_old), *d;
	int error;

	if (e == NULL)
		return -Q_EFAULT;
	if ((e->e_flags & E_SHARED) == 0)
		return -Q_EINVAL;
	if ((rm->rm_flags & Q_MREMAP_MAYMOVE) == 0)
		return -Q_ENOMEM;
	error = check_limits(e, rm->rm_newlen >> PAGE_SHIFT);
	if (error == 0)
		error = map_place(m, &rm->rm_new, rm->rm_newlen, fixed);
	if (error != 0)
		return error;
	if (rm->rm_new <= rm->rm_old &&
	    rm->rm_old < rm->rm_new + rm->rm_newlen) {
		/* As Linux: the place is cleared first, and it with that. */
		error = map_remove(m, rm->rm_new, rm->rm_new + rm->rm_newlen,
		    &rm->rm_gone);
		return error != 0 ? error : -Q_EFAULT;
	}
	d = entry_dup(e, m, rm->rm_old, rm->rm_old + rm->rm_newlen);
	if (d == NULL)
		return -Q_ENOMEM;
	error = map_remove(m, rm->rm_new, rm->rm_new + rm->rm_newlen,
	    &rm->rm_gone);
	if (error != 0) {
		qlist_append(&rm->rm_gone.g_entries, &d->e_link);
		return error;
	}
	entry_move(d, rm->rm_new);
	entry_insert(m, d);
	return 0;
}

/* The mapping `e`, which is the old range exactly, moves. */
static int
move_entry(struct remap *rm, struct entry *e)
{
	struct qvmmap *m = rm->rm_map;
	struct entry *left = NULL, *prev, *next;
	uint64_t low, high;

	if ((rm->rm_flags & Q_MREMAP_DONTUNMAP) != 0) {
		left = entry_dup(e, m, e->e_start, e->e_end);
		if (left == NULL)
			return -Q_ENOMEM;
		if ((e->e_flags & E_SHARED) == 0) {
			entry_drop_anon(left);
			entry_set(left, 0, E_COPY);
		}
		entry_set(left, 0, (E_LOCKED | E_ONFAULT));
	}
	prev = entry_prev(e);
	next = entry_next(e);
	low = prev != NULL ? prev->e_end : 0;
	high = next != NULL ? next->e_start : QVM_TOP;
	pmap_remove(m, e->e_start, e->e_end, low, high);
	entry_remove(m, e);
	entry_move(e, rm->rm_new);
	entry_insert(m, e);
	if (left != NULL)
		entry_insert(m, left);
	return 0;
}

/* Move [old, old + oldlen), or as much as is to remain, to rm_new. */
static int
move(struct remap *rm)
{
	uint64_t len = rm->rm_oldlen < rm->rm_newlen ? rm->rm_oldlen :
						       rm->rm_newlen;
	struct qvmmap *m = rm->rm_map;
	struct entry *e;
	int error;

	/* Nothing may fail any more once something has moved. */
	if (m->m_n + 4 > QVM_MAXMAP)
		return -Q_ENOMEM;
	error = map_clip(m, rm->rm_old);
	if (error == 0)
		error = map_clip(m, rm->rm_old + len);
	if (error == 0)
		error = map_remove(m, rm->rm_new, rm->rm_new + rm->rm_newlen,
		    &rm->rm_gone);
	if (error != 0)
		return error;
	e = entry_at(m, rm->rm_old);
	if (rm->rm_newlen > len) {
		/* Its object first: that may fail, and the place is free. */
		error = map_extend_object(e,
		    (rm->rm_newlen - len) >> PAGE_SHIFT);
		if (error != 0)
			return error;
	}
	error = move_entry(rm, e);
	if (error != 0)
		return error;
	if (rm->rm_newlen > len)
		entry_resize(e, rm->rm_new, rm->rm_new + rm->rm_newlen);
	if (rm->rm_oldlen > len)
		error = map_remove(m, rm->rm_old + len,
		    rm->rm_old + rm->rm_oldlen, &rm->rm_gone);
	return error;
}

/* [m] */
static int
remap_locked(struct remap *rm)
{
	unsigned fixed = (rm->rm_flags & Q_MREMAP_FIXED) != 0 ? Q_MAP_FIXED : 0;
	struct qvmmap *m = rm->rm_map;
	struct entry *e;
	uint64_t keep;
	int error;

	if (rm->rm_oldlen == 0)
		return make_second(rm, fixed);
	e = entry_at(m, rm->rm_old);
	if (e == NULL)
		return -Q_EFAULT;
	/* As it is: whatever there is behind the first mapping. */
	if (fixed == 0 && (rm->rm_flags & Q_MREMAP_DONTUNMAP) == 0 &&
	    rm->rm_newlen == rm->rm_oldlen) {
		rm->rm_new = rm->rm_old;
		return 0;
	}
	keep = rm->rm_oldlen < rm->rm_newlen ? rm->rm_oldlen : rm->rm_newlen;
	/* What is cut off may be anything, or nothing. */
	if ((fixed != 0 || rm->rm_newlen >= rm->rm_oldlen) &&
	    keep > e->e_end - rm->rm_old)
		return -Q_EFAULT;
	rm->rm_locked = (e->e_flags & (E_LOCKED | E_ONFAULT)) == E_LOCKED;
	/* Shorter, where it is: the rest goes. */
	if (fixed == 0 && rm->rm_newlen < rm->rm_oldlen) {
		rm->rm_new = rm->rm_old;
		return map_remove(m, rm->rm_old + rm->rm_newlen,
		    rm->rm_old + rm->rm_oldlen, &rm->rm_gone);
	}
	if (rm->rm_newlen > rm->rm_oldlen) {
		error = check_limits(e,
		    (rm->rm_newlen - rm->rm_oldlen) >> PAGE_SHIFT);
		if (error != 0)
			return error;
		if (fixed == 0 && grow_in_place(rm, e) == 0) {
			rm->rm_new = rm->rm_old;
			return 0;
		}
	}
	if ((rm->rm_flags & Q_MREMAP_MAYMOVE) == 0)
		return -Q_ENOMEM;
	if ((rm->rm_flags & Q_MREMAP_DONTUNMAP) != 0) {
		error = check_limits(e, rm->rm_newlen >> PAGE_SHIFT);
		if (error != 0)
			return error;
	}
	error = map_place(m, &rm->rm_new, rm->rm_newlen, fixed);
	return error != 0 ? error : move(rm);
}

/* The arguments. */
static int
check(struct remap *rm)
{
	unsigned flags = rm->rm_flags;

	if ((flags &
		~(unsigned)(Q_MREMAP_MAYMOVE | Q_MREMAP_FIXED |
		    Q_MREMAP_DONTUNMAP)) != 0 ||
	    (rm->rm_old & PAGE_MASK) != 0)
		return -Q_EINVAL;
	if ((flags & Q_MREMAP_FIXED) != 0 && (flags & Q_MREMAP_MAYMOVE) == 0)
		return -Q_EINVAL;
	if ((flags & Q_MREMAP_DONTUNMAP) != 0 &&
	    ((flags & Q_MREMAP_MAYMOVE) == 0 ||
		page_up(rm->rm_oldlen) != page_up(rm->rm_newlen)))
		return -Q_EINVAL;
	if (rm->rm_newlen == 0 || rm->rm_newlen > QVM_TOP ||
	    rm->rm_oldlen > QVM_TOP || rm->rm_old > QVM_TOP)
		return -Q_EINVAL;
	rm->rm_oldlen = page_up(rm->rm_oldlen);
	rm->rm_newlen = page_up(rm->rm_newlen);
	if ((flags & (Q_MREMAP_FIXED | Q_MREMAP_DONTUNMAP)) == 0) {
		rm->rm_new = 0;
		return 0;
	}
	if ((rm->rm_new & PAGE_MASK) != 0 || rm->rm_new > QVM_TOP ||
	    rm->rm_newlen > QVM_TOP - rm->rm_new)
		return -Q_EINVAL;
	if (rm->rm_old < rm->rm_new + rm->rm_newlen &&
	    rm->rm_new < rm->rm_old + rm->rm_oldlen)
		return -Q_EINVAL;
	return 0;
}

int
qvm_remap(struct qvmmap *m, uint64_t old, uint64_t oldlen, uint64_t newlen,
    unsigned flags, uint64_t *newp)
{
	struct remap rm = { .rm_map = m,
		.rm_old = old,
		.rm_oldlen = oldlen,
		.rm_new = *newp,
		.rm_newlen = newlen,
		.rm_flags = flags };
	int error;

	error = check(&rm);
	if (error != 0)
		return error;
	gone_init(&rm.rm_gone);
	qrw_wrlock(&m->m_lock);
	error = remap_locked(&rm);
	if (error == 0)
		map_join(m, rm.rm_new, rm.rm_new + rm.rm_newlen, &rm.rm_gone);
	qrw_wrunlock(&m->m_lock);
	gone_free(&rm.rm_gone);
	if (error != 0)
		return error;
	*newp = rm.rm_new;
	if (rm.rm_locked && rm.rm_newlen > rm.rm_oldlen)
		(void)fault_range(m, rm.rm_new, rm.rm_newlen, QVM_READ);
	return 0;
}

QSYS(mremap)
{
	struct qvmmap *m = qvm_of(s->s_proc);
	uint64_t new = s->s_arg[4];
	int error;

	if (m == NULL)
		return -Q_ENOSYS;
	error = qvm_remap(m, s->s_arg[0], s->s_arg[1], s->s_arg[2],
	    (unsigned)s->s_arg[3], &new);
	return error != 0 ? error : (int64_t) new;
}
