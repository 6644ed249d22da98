/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mappings of a space, in order of their addresses.
 *
 * They are on a list, for neighbours, and in a treap: a binary tree by address
 * that is a heap by random priorities, and so balanced whatever a guest does.
 * Each node knows the first and the last address of its subtree, and the longest
 * gap between two entries of it; so where there is room is found by one walk.
 */
#include "impl.h"

static const struct qtag tag_entry = { "mapping" };

/* What a node knows of its subtree. */
static void
update(struct entry *e)
{
	struct entry *l = e->e_left, *r = e->e_right;
	uint64_t gap = 0;

	e->e_first = e->e_start;
	e->e_last = e->e_end;
	if (l != NULL) {
		e->e_first = l->e_first;
		gap = l->e_gap;
		if (e->e_start - l->e_last > gap)
			gap = e->e_start - l->e_last;
	}
	if (r != NULL) {
		e->e_last = r->e_last;
		if (r->e_gap > gap)
			gap = r->e_gap;
		if (r->e_first - e->e_end > gap)
			gap = r->e_first - e->e_end;
	}
	e->e_gap = gap;
}

/* What begins below `va`, and the rest. */
static void
split(struct entry *t, uint64_t va, struct entry **lp, struct entry **rp)
{
	if (t == NULL) {
		*lp = *rp = NULL;
		return;
	}
	if (t->e_start < va) {
		split(t->e_right, va, &t->e_right, rp);
		*lp = t;
	} else {
		split(t->e_left, va, lp, &t->e_left);
		*rp = t;
	}
	update(t);
}

/* One tree of two, all of `r` being behind `l`. */
static struct entry *
join(struct entry *l, struct entry *r)
{
	if (l == NULL)
		return r;
	if (r == NULL)
		return l;
	if (l->e_prio >= r->e_prio) {
		l->e_right = join(l->e_right, r);
		update(l);
		return l;
	}
	r->e_left = join(l, r->e_left);
	update(r);
	return r;
}

/* The entry of that address has changed: see to those above it. */
static void
touch(struct entry *t, uint64_t start)
{
	if (t->e_start != start)
		touch(start < t->e_start ? t->e_left : t->e_right, start);
	update(t);
}

struct entry *
entry_from(struct qvmmap *m, uint64_t addr)
{
	struct entry *e = m->m_root, *found = NULL;

	while (e != NULL) {
		if (addr >= e->e_end) {
			e = e->e_right;
			continue;
		}
		found = e;
		if (addr >= e->e_start)
			break;
		e = e->e_left;
	}
	return found;
}

struct entry *
entry_at(struct qvmmap *m, uint64_t addr)
{
	struct entry *e = entry_from(m, addr);

	return e != NULL && e->e_start <= addr ? e : NULL;
}

struct entry *
entry_next(struct entry *e)
{
	struct qlist *l = e->e_link.l_next;

	return l != &e->e_map->m_entries ? QLIST_ELEM(l, struct entry, e_link) :
					   NULL;
}

struct entry *
entry_prev(struct entry *e)
{
	struct qlist *l = e->e_link.l_prev;

	return l != &e->e_map->m_entries ? QLIST_ELEM(l, struct entry, e_link) :
					   NULL;
}

static uint32_t
next_random(struct qvmmap *m)
{
	uint32_t x = m->m_seed;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return m->m_seed = x;
}

/* Count what is mapped: `n` pages more, or fewer. */
static void
count(struct entry *e, uint64_t n)
{
	struct qvmmap *m = e->e_map;

	m->m_pages += n;
	if (m->m_pages > m->m_peak)
		m->m_peak = m->m_pages;
	if ((e->e_flags & (E_SHARED | E_GROWSDOWN)) == 0 &&
	    (e->e_prot & Q_PROT_WRITE) != 0)
		m->m_data += n;
	if ((e->e_flags & E_LOCKED) != 0)
		m->m_locked += n;
	if ((e->e_flags & E_ACCOUNT) != 0) {
		m->m_account += n;
		__atomic_fetch_add(&m->m_vm->vm_committed, n, __ATOMIC_RELAXED);
	}
}

void
entry_insert(struct qvmmap *m, struct entry *e)
{
	struct entry *next = entry_from(m, e->e_start), *l, *r;

	qassert(e->e_start < e->e_end);
	qassert(next == NULL || next->e_start >= e->e_end);
	qlist_append(next != NULL ? &next->e_link : &m->m_entries, &e->e_link);
	e->e_prio = next_random(m);
	e->e_left = e->e_right = NULL;
	update(e);
	split(m->m_root, e->e_start, &l, &r);
	m->m_root = join(join(l, e), r);
	m->m_n++;
	count(e, entry_pages(e));
}

void
entry_remove(struct qvmmap *m, struct entry *e)
{
	struct entry *l, *r, *self;

	split(m->m_root, e->e_start, &l, &r);
	split(r, e->e_start + 1, &self, &r);
	qassert(self == e);
	m->m_root = join(l, r);
	qlist_del(&e->e_link);
	m->m_n--;
	count(e, 0 - entry_pages(e));
}

void
entry_change(struct entry *e, uint32_t flags, unsigned prot)
{
	count(e, 0 - entry_pages(e));
	entry_set(e, flags, ~flags);
	e->e_prot = (uint8_t)prot;
	count(e, entry_pages(e));
}

/* Keep everybody from looking at where it is, and no longer. */
static void
hold(struct entry *e)
{
	if (e->e_fobj != NULL)
		qmutex_lock(&e->e_fobj->fo_lock);
	if (e->e_anon != NULL)
		qmutex_lock(&e->e_anon->a_fam->fa_lock);
}

static void
release(struct entry *e)
{
	if (e->e_anon != NULL)
		qmutex_unlock(&e->e_anon->a_fam->fa_lock);
	if (e->e_fobj != NULL)
		qmutex_unlock(&e->e_fobj->fo_lock);
}

void
entry_resize(struct entry *e, uint64_t start, uint64_t end)
{
	uint64_t old = e->e_start;

	count(e, 0 - entry_pages(e));
	hold(e);
	e->e_index = e->e_index + (start >> PAGE_SHIFT) - (old >> PAGE_SHIFT);
	e->e_findex = e->e_findex + (start >> PAGE_SHIFT) - (old >> PAGE_SHIFT);
	e->e_start = start;
	e->e_end = end;
	release(e);
	count(e, entry_pages(e));
	/* Its place between its neighbours is the same. */
	touch(e->e_map->m_root, start);
}

void
entry_move(struct entry *e, uint64_t start)
{
	hold(e);
	e->e_end = start + (e->e_end - e->e_start);
	e->e_start = start;
	e->e_next = start;
	release(e);
}

/* ---- objects --------------------------------------------------------------- */

void
entry_set_anon(struct entry *e, struct anon *a, uint64_t i)
{
	qassert(e->e_anon == NULL);
	qmutex_lock(&a->a_fam->fa_lock);
	e->e_anon = a;
	e->e_index = i;
	qlist_append(&a->a_fam->fa_entries, &e->e_alink);
	qmutex_unlock(&a->a_fam->fa_lock);
}

void
entry_drop_anon(struct entry *e)
{
	struct anon *a = e->e_anon;

	if (a == NULL)
		return;
	qmutex_lock(&a->a_fam->fa_lock);
	qlist_del(&e->e_alink);
	e->e_anon = NULL;
	qmutex_unlock(&a->a_fam->fa_lock);
	anon_put(e->e_map->m_k, a);
}

int
entry_own(struct entry *e)
{
	struct anon *a = e->e_anon;
	struct family *fa;

	if (a == NULL || (e->e_flags & E_COPY) == 0)
		return 0;
	fa = a->a_fam;
	qmutex_lock(&fa->fa_lock);
	/* The reference to it goes over to the shadow. */
	if (!anon_ours(a, e->e_map))
		a = anon_shadow(a);
	if (a != NULL)
		e->e_anon = a;
	qmutex_unlock(&fa->fa_lock);
	if (a == NULL)
		return -Q_ENOMEM;
	entry_set(e, 0, E_COPY);
	return 0;
}

void
entry_tryown(struct entry *e)
{
	struct anon *a = e->e_anon;

	if (a == NULL || (e->e_flags & E_COPY) == 0)
		return;
	qmutex_lock(&a->a_fam->fa_lock);
	if (anon_ours(a, e->e_map))
		entry_set(e, 0, E_COPY);
	qmutex_unlock(&a->a_fam->fa_lock);
}

/* ---- room ------------------------------------------------------------------- */

/* From `a` to `b`, 0 if that is behind it. */
static inline uint64_t
distance(uint64_t a, uint64_t b)
{
	return b > a ? b - a : 0;
}

/*
 * The highest gap of `len` bytes below `high` and not below `low` between what
 * is in `t` and its neighbours, which end at `prev` and begin at `next`.
 */
static uint64_t
room_in(struct entry *t, uint64_t len, uint64_t low, uint64_t high,
    uint64_t prev, uint64_t next)
{
	uint64_t at;

	if (prev < low)
		prev = low;
	if (next > high)
		next = high;
	if (distance(prev, next) < len)
		return 0;
	if (t == NULL)
		return next - len;
	if (t->e_gap < len && distance(prev, t->e_first) < len &&
	    distance(t->e_last, next) < len)
		return 0;
	at = room_in(t->e_right, len, low, high, t->e_end, next);
	if (at == 0)
		at = room_in(t->e_left, len, low, high, prev, t->e_start);
	return at;
}

uint64_t
entry_room(struct qvmmap *m, uint64_t len, uint64_t low, uint64_t high)
{
	return room_in(m->m_root, len, low, high, 0, UINT64_MAX);
}

/* ---- memory ------------------------------------------------------------------ */

struct entry *
entry_alloc(struct qvmmap *m)
{
	struct entry *e = qzalloc(&tag_entry, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->e_map = m;
	e->e_around = AROUND_MIN;
	qlist_init(&e->e_link);
	qlist_init(&e->e_flink);
	qlist_init(&e->e_alink);
	return e;
}

struct entry *
entry_dup(const struct entry *e, struct qvmmap *m, uint64_t start, uint64_t end)
{
	struct entry *d = entry_alloc(m);

	if (d == NULL)
		return NULL;
	d->e_start = start;
	d->e_end = end;
	d->e_flags = e->e_flags;
	d->e_prot = e->e_prot;
	d->e_max = e->e_max;
	d->e_name = e->e_name;
	d->e_next = start;
	d->e_findex = entry_findex(e, start);
	if (e->e_anon != NULL) {
		anon_get(e->e_anon);
		entry_set_anon(d, e->e_anon, entry_index(e, start));
	}
	d->e_file = e->e_file;
	if (d->e_file != NULL)
		qfile_get(d->e_file);
	d->e_fobj = e->e_fobj;
	if (d->e_fobj != NULL) {
		fobj_ref(d->e_fobj);
		if ((d->e_flags & E_WRITER) != 0)
			/* There is one, so this is no news to anybody. */
			(void)d->e_fobj->fo_ops->pr_writers(d->e_fobj->fo_obj,
			    1, false);
		qmutex_lock(&d->e_fobj->fo_lock);
		qlist_append(&d->e_fobj->fo_entries, &d->e_flink);
		qmutex_unlock(&d->e_fobj->fo_lock);
	}
	return d;
}

void
entry_free(struct entry *e)
{
	entry_drop_anon(e);
	if (e->e_fobj != NULL) {
		qmutex_lock(&e->e_fobj->fo_lock);
		qlist_del(&e->e_flink);
		qmutex_unlock(&e->e_fobj->fo_lock);
		if ((e->e_flags & E_WRITER) != 0)
			(void)e->e_fobj->fo_ops->pr_writers(e->e_fobj->fo_obj,
			    -1, false);
		fobj_put(e->e_fobj);
	}
	if (e->e_file != NULL)
		qfile_put(e->e_file);
	qfree(e);
}
