/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Anonymous memory: objects, and copies of them.
 *
 * An object has pages by index.  Forking makes no copy: both entries refer to
 * one object and have E_COPY.  Who is first to store to such an entry gets a new,
 * empty object, a *shadow* of the old one, which is its a_back: what is not in
 * the shadow is looked for there.  So objects come to be chains.
 *
 * A1  An object that an entry may store to (private, without E_COPY) has no
 *     shadows, and no other space has it.  So what is in it is seen by that
 *     space only, and its pages may go when they are unmapped there.
 * A2  All of a chain, and all chains that meet, are one family, with one lock
 *     and one space of indices.
 * A3  An object of which there is only one shadow, and no entry, is merged with
 *     that (collapse): whoever of the two has fewer pages gives them to the
 *     other.  A page beneath which the shadow has one of its own goes.
 * A4  NO_PAGE in an object hides what is beneath: discarded memory is zero, or
 *     the file's, and not what it was before a fork.
 */
#include "impl.h"

static const struct qtag tag_anon = { "anonymous memory" };

void
family_put(struct family *fa)
{
	struct vm *vm = fa->fa_vm;

	if (__atomic_sub_fetch(&fa->fa_refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	qmutex_lock(&vm->vm_falock);
	qlist_del(&fa->fa_link);
	vm->vm_nfamily--;
	qmutex_unlock(&vm->vm_falock);
	qfree(fa);
}

struct family *
family_turn(struct vm *vm)
{
	struct family *fa = NULL;
	uint64_t left;
	uint32_t refs;

	qmutex_lock(&vm->vm_falock);
	for (left = vm->vm_nfamily; left > 0; left--) {
		fa = QLIST_ELEM(vm->vm_families.l_next, struct family, fa_link);
		qlist_del(&fa->fa_link);
		qlist_append(&vm->vm_families, &fa->fa_link);
		/* One that is going waits for vm_falock. */
		refs = __atomic_load_n(&fa->fa_refs, __ATOMIC_RELAXED);
		while (refs != 0 &&
		    !__atomic_compare_exchange_n(&fa->fa_refs, &refs, refs + 1,
			false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			continue;
		if (refs != 0)
			break;
		fa = NULL;
	}
	qmutex_unlock(&vm->vm_falock);
	return fa;
}

static struct anon *
make_anon(struct family *fa, bool shared)
{
	struct anon *a = qzalloc(&tag_anon, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->a_fam = fa;
	a->a_refs = 1;
	a->a_shared = shared;
	qlist_init(&a->a_shadows);
	qlist_init(&a->a_sibling);
	return a;
}

struct anon *
anon_create(struct vm *vm, bool shared, uint64_t end)
{
	struct family *fa = qalloc(&tag_anon, sizeof(*fa));
	struct anon *a;

	if (fa == NULL)
		return NULL;
	qmutex_init(&fa->fa_lock, "anonymous memory");
	fa->fa_refs = 1;
	qlist_init(&fa->fa_entries);
	fa->fa_vm = vm;
	qlist_init(&fa->fa_link);
	a = make_anon(fa, shared);
	if (a == NULL) {
		qfree(fa);
		return NULL;
	}
	a->a_end = end;
	qmutex_lock(&vm->vm_falock);
	qlist_append(&vm->vm_families, &fa->fa_link);
	vm->vm_nfamily++;
	qmutex_unlock(&vm->vm_falock);
	return a;
}

struct anon *
anon_beside(struct family *fa, struct anon *back)
{
	struct anon *a = make_anon(fa, false);

	if (a == NULL)
		return NULL;
	__atomic_fetch_add(&fa->fa_refs, 1, __ATOMIC_RELAXED);
	a->a_back = back;
	if (back != NULL) {
		back->a_refs++;
		qlist_append(&back->a_shadows, &a->a_sibling);
	}
	return a;
}

struct anon *
anon_shadow(struct anon *a)
{
	struct anon *s = anon_beside(a->a_fam, a);

	if (s != NULL)
		a->a_refs--;
	return s;
}

void
anon_get(struct anon *a)
{
	qmutex_lock(&a->a_fam->fa_lock);
	a->a_refs++;
	qmutex_unlock(&a->a_fam->fa_lock);
}

bool
anon_alone(struct anon *a)
{
	bool alone;

	qmutex_lock(&a->a_fam->fa_lock);
	alone = a->a_refs == 1;
	qmutex_unlock(&a->a_fam->fa_lock);
	return alone;
}

bool
anon_ours(const struct anon *a, const struct qvmmap *m)
{
	const struct entry *e;
	struct qlist *l;

	if (a->a_refs == 1)
		return true;
	if (!qlist_empty(&a->a_shadows))
		return false;
	QLIST_FOREACH(l, &a->a_fam->fa_entries) {
		e = QLIST_ELEM(l, struct entry, e_alink);
		if (e->e_anon == a && e->e_map != m)
			return false;
	}
	return true;
}

/* ---- pages ------------------------------------------------------------------ */

static void
free_page(struct quern *k, void *p)
{
	struct qpage *pg = p;

	if (is_swapped(p))
		swap_free(vm_of(k), swap_slot(p));
	if (!is_page(p))
		return;
	pg->pg_obj = NULL;
	qpage_put(k, pg);
}

void *
anon_find(struct anon *a, uint64_t i, struct anon **op)
{
	void *p = NULL;

	for (; a != NULL; a = a->a_back) {
		p = ptree_get(&a->a_pages, i);
		if (p != NULL)
			break;
	}
	*op = a;
	return p;
}

int
anon_enter(struct anon *a, uint64_t i, struct qpage *pg)
{
	int error;

	qassert(qmutex_held(&a->a_fam->fa_lock));
	error = ptree_set(&a->a_pages, i, pg);
	if (error == 0) {
		pg->pg_obj = a->a_fam;
		pg->pg_index = i;
	}
	return error;
}

/* Hide what is beneath `a` at [i, end). */
static int
hide_range(struct anon *a, uint64_t i, uint64_t end)
{
	struct anon *b;
	uint64_t at;
	int error;

	for (b = a->a_back; b != NULL; b = b->a_back)
		for (at = i; ptree_next(&b->a_pages, &at) != NULL && at < end;
		     at++) {
			error = ptree_set(&a->a_pages, at, NO_PAGE);
			if (error != 0)
				return error;
		}
	return 0;
}

int
anon_drop(struct quern *k, struct anon *a, uint64_t i, uint64_t n, bool hide)
{
	uint64_t at = i;
	void *p;
	int error = 0;

	qmutex_lock(&a->a_fam->fa_lock);
	while ((p = ptree_next(&a->a_pages, &at)) != NULL && at < i + n) {
		(void)ptree_del(&a->a_pages, at);
		free_page(k, p);
	}
	if (hide)
		error = hide_range(a, i, i + n);
	qmutex_unlock(&a->a_fam->fa_lock);
	return error;
}

int
anon_move(struct anon *from, struct anon *to, uint64_t i, uint64_t n)
{
	uint64_t at = i;
	void *p;

	while ((p = ptree_next(&from->a_pages, &at)) != NULL && at < i + n) {
		if (ptree_set(&to->a_pages, at, p) != 0)
			break;
		at++;
	}
	if (p != NULL && at < i + n) {
		/* As it was: `to` had nothing there. */
		for (at = i; ptree_next(&to->a_pages, &at) != NULL;)
			(void)ptree_del(&to->a_pages, at);
		return -Q_ENOMEM;
	}
	for (at = i; ptree_next(&from->a_pages, &at) != NULL && at < i + n;)
		(void)ptree_del(&from->a_pages, at);
	return 0;
}

void
anon_unmap(struct family *fa, struct qpage *pg)
{
	uint64_t i = pg->pg_index;
	struct entry *e;
	struct qlist *l;

	qassert(qmutex_held(&fa->fa_lock));
	QLIST_FOREACH(l, &fa->fa_entries) {
		e = QLIST_ELEM(l, struct entry, e_alink);
		if (!qpage_mapped(pg))
			break;
		if (i < e->e_index || i - e->e_index >= entry_pages(e))
			continue;
		if (pmap_page(e->e_map,
			e->e_start + ((i - e->e_index) << PAGE_SHIFT), pg,
			true))
			qpage_unmap(e->e_map->m_k, pg, 1);
	}
}

/* ---- the end, and collapsing -------------------------------------------------- */

static void
free_pages(struct quern *k, struct anon *a)
{
	uint64_t at = 0;
	void *p;

	while ((p = ptree_next(&a->a_pages, &at)) != NULL) {
		(void)ptree_del(&a->a_pages, at);
		free_page(k, p);
	}
}

/*
 * Give all of `from` to `to`; where both have something, `over` says whether
 * that of `from` is what counts.  False: no memory, `from` has the rest.
 */
static bool
move_pages(struct quern *k, struct ptree *from, struct ptree *to, bool over)
{
	uint64_t at = 0;
	void *p, *old;

	while ((p = ptree_next(from, &at)) != NULL) {
		old = ptree_get(to, at);
		if (old == NULL || over) {
			if (ptree_set(to, at, p) != 0)
				return false;
		} else {
			old = p;
		}
		(void)ptree_del(from, at);
		free_page(k, old);
	}
	return true;
}

/* The only one that needs `b` is its shadow: make them one, if possible. */
static void
collapse(struct quern *k, struct anon *b)
{
	struct anon *s = QLIST_ELEM(b->a_shadows.l_next, struct anon,
	    a_sibling);
	struct ptree t;

	qassert(b->a_refs == 1 && s->a_back == b && !b->a_shared);
	if (s->a_pages.pt_n >= b->a_pages.pt_n) {
		if (!move_pages(k, &b->a_pages, &s->a_pages, false))
			return;
	} else {
		if (!move_pages(k, &s->a_pages, &b->a_pages, true))
			return;
		t = s->a_pages;
		s->a_pages = b->a_pages;
		b->a_pages = t;
	}
	qlist_del(&s->a_sibling);
	s->a_back = b->a_back;
	if (b->a_back != NULL) {
		qlist_del(&b->a_sibling);
		qlist_append(&b->a_back->a_shadows, &s->a_sibling);
	}
	family_put(b->a_fam);
	qfree(b);
}

void
anon_put(struct quern *k, struct anon *a)
{
	struct family *fa = a->a_fam;
	struct anon *back;

	/* Objects go one after the other; the family is to stay till the end. */
	__atomic_fetch_add(&fa->fa_refs, 1, __ATOMIC_RELAXED);
	qmutex_lock(&fa->fa_lock);
	for (; a != NULL; a = back) {
		qassert(a->a_refs > 0);
		if (--a->a_refs > 0) {
			if (a->a_refs == 1 && !qlist_empty(&a->a_shadows))
				collapse(k, a);
			break;
		}
		qassert(qlist_empty(&a->a_shadows));
		free_pages(k, a);
		back = a->a_back;
		qlist_del(&a->a_sibling);
		qfree(a);
		family_put(fa);
	}
	qmutex_unlock(&fa->fa_lock);
	family_put(fa);
}
