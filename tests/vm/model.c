/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A model of address spaces.
 *
 * Spaces have a window of WPAGES pages.  The model knows of each page what it
 * shows: bytes of its own, a page of shared memory, or one of the file that
 * nothing was stored to yet; stores and loads go to both, and must agree.  Every
 * so often all that any pmap has is compared, byte by byte, with what the model
 * says is there and may be accessed so: a mapping that should have gone, or
 * should have become read-only, is one that shows something else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quern/abi/signal.h>

#include <quern/block.h>

#include <components/vm/impl.h>

#include "model.h"
#include "tfile.h"

#define PG     QUERN_PAGE_SIZE
#define WPAGES 48u
#define BASE   (QVM_LOW + 512 * PG - 24 * PG) /* across two tables */
#define SPACES 4u
#define SHARES 64u

enum kind { K_NONE = 0, K_OWN, K_SHARED, K_FILE, K_FILEPRIV };

/* A page of a space. */
struct mpage {
	enum kind kind;
	unsigned prot;
	unsigned share;  /* K_SHARED: which object */
	unsigned index;  /* in it, or in the file */
	bool fork, wipe; /* copied by fork; as new there */
	bool file;       /* there is a file beneath */
	uint8_t *own;    /* K_OWN: bytes; NULL: zeroes */
};

struct share {
	uint8_t *data; /* WPAGES pages, or NULL */
	unsigned refs; /* pages that show it */
	unsigned n;    /* its size in pages */
};

struct space {
	struct qvmmap *m;
	struct mpage page[WPAGES];
};

struct model {
	struct kenv *e;
	struct quern *k;
	const struct model_config *c;
	struct mworld w;
	struct tfile file;
	struct qfile *f;
	uint8_t *fdata;
	uint64_t fsize;
	struct qdisk *swap;
	uint64_t swapped; /* or unmapped */
	struct share share[SHARES];
	struct space space[SPACES];
	uint64_t step;
	bool trace; /* MODEL_TRACE: say what is done, and look after each */
};

static uint64_t
some(struct model *o, uint64_t n)
{
	return mworld_some(&o->w, n);
}

static uint64_t
va_of(unsigned i)
{
	return BASE + i * PG;
}

static const uint8_t zeroes[PG];

/* What a page shows, or NULL: a signal. */
static const uint8_t *
shown(struct model *o, const struct mpage *p)
{
	switch (p->kind) {
	case K_OWN:
		return p->own != NULL ? p->own : zeroes;
	case K_SHARED:
		if (p->index >= o->share[p->share].n)
			return NULL;
		return o->share[p->share].data + p->index * PG;
	case K_FILE:
	case K_FILEPRIV:
		if (p->index * PG >= o->fsize)
			return NULL;
		return o->fdata + p->index * PG;
	default:
		return NULL;
	}
}

static void
note(struct model *o, struct space *s, const char *what, unsigned first,
    unsigned n, unsigned to, int ret)
{
	if (o->trace)
		fprintf(stderr, "%lu: space %d %s %u+%u %u = %d\n",
		    (unsigned long)o->step,
		    s != NULL ? (int)(s - o->space) : -1, what, first, n, to,
		    ret);
}

/* ---- changing the model ------------------------------------------------------- */

static void
drop_page(struct model *o, struct mpage *p)
{
	if (p->kind == K_OWN) {
		mworld_free(&o->w, p->own);
	} else if (p->kind == K_SHARED) {
		struct share *s = &o->share[p->share];

		if (--s->refs == 0) {
			mworld_free(&o->w, s->data);
			s->data = NULL;
		}
	}
	memset(p, 0, sizeof(*p));
}

static void
copy_page(struct model *o, struct mpage *to, const struct mpage *from)
{
	*to = *from;
	if (from->kind == K_OWN && from->own != NULL) {
		to->own = mworld_alloc(&o->w, PG);
		memcpy(to->own, from->own, PG);
	} else if (from->kind == K_SHARED) {
		o->share[from->share].refs++;
	}
}

/* Where a store goes to. */
static uint8_t *
stored(struct model *o, struct mpage *p)
{
	uint8_t *own;

	if (p->kind == K_OWN && p->own == NULL)
		p->own = mworld_alloc(&o->w, PG);
	if (p->kind == K_FILEPRIV) {
		own = mworld_alloc(&o->w, PG);
		memcpy(own, o->fdata + p->index * PG, PG);
		p->kind = K_OWN;
		p->own = own;
	}
	return (uint8_t *)(uintptr_t)shown(o, p);
}

/* ---- operations ------------------------------------------------------------------ */

static struct space *
some_space(struct model *o)
{
	unsigned i = (unsigned)some(o, SPACES), n;

	for (n = 0; n < SPACES; n++, i = (i + 1) % SPACES)
		if (o->space[i].m != NULL)
			return &o->space[i];
	return NULL;
}

static void
some_range(struct model *o, unsigned *first, unsigned *n)
{
	*first = (unsigned)some(o, WPAGES);
	*n = 1 + (unsigned)some(o, some(o, 4) == 0 ? WPAGES : 8);
	if (*n > WPAGES - *first)
		*n = WPAGES - *first;
}

static unsigned
some_prot(struct model *o)
{
	static const unsigned prots[] = { Q_PROT_READ | Q_PROT_WRITE,
		Q_PROT_READ | Q_PROT_WRITE, Q_PROT_READ | Q_PROT_WRITE,
		Q_PROT_READ, Q_PROT_NONE, Q_PROT_READ | Q_PROT_EXEC };

	return prots[some(o, QARRAYLEN(prots))];
}

static void
unmap_model(struct model *o, struct space *s, unsigned first, unsigned n)
{
	unsigned i;

	for (i = first; i < first + n; i++)
		drop_page(o, &s->page[i]);
}

static unsigned
free_share(struct model *o)
{
	unsigned i;

	for (i = 0; i < SHARES; i++)
		if (o->share[i].data == NULL)
			return i;
	return SHARES;
}

static void
op_map(struct model *o, struct space *s)
{
	unsigned first, n, i, how = (unsigned)some(o, 6), prot = some_prot(o);
	unsigned flags = how < 3 ? Q_MAP_PRIVATE : Q_MAP_SHARED, index = 0;
	unsigned share = free_share(o);
	uint64_t at;
	bool file = how == 2 || how >= 4;
	int error;

	some_range(o, &first, &n);
	at = va_of(first);
	if (file)
		index = (unsigned)some(o, TF_PAGES);
	else
		flags |= Q_MAP_ANONYMOUS;
	if (some(o, 3) != 0) {
		flags |= Q_MAP_FIXED;
	} else {
		for (i = first; i < first + n; i++)
			if (s->page[i].kind != K_NONE)
				break;
		if (some(o, 2) != 0)
			flags |= Q_MAP_FIXED_NOREPLACE;
	}
	/* That would copy a file's pages. */
	if (some(o, 8) == 0 && how != 2)
		flags |= Q_MAP_POPULATE;
	if (how == 3 && share == SHARES)
		return;
	error = qvm_map(s->m, &at, n * PG, prot, flags, file ? o->f : NULL,
	    index * PG);
	if (error != 0) {
		KCHECK(o->e, error == -Q_ENOMEM || error == -Q_EEXIST);
		return;
	}
	if (at < BASE || at + n * PG > va_of(WPAGES)) {
		KCHECK_EQ(o->e, qvm_unmap(s->m, at, n * PG), 0);
		return;
	}
	first = (unsigned)((at - BASE) / PG);
	note(o, s,
	    how == 2     ? "map file private" :
		how == 3 ? "map shared" :
		how > 3  ? "map file" :
			   "map anon",
	    first, n, prot, (int)index);
	if ((flags & Q_MAP_FIXED) == 0)
		for (i = first; i < first + n; i++)
			KCHECK_EQ(o->e, s->page[i].kind, K_NONE);
	unmap_model(o, s, first, n);
	if (how == 3) {
		o->share[share].data = mworld_alloc(&o->w, WPAGES * PG);
		o->share[share].n = n;
	}
	for (i = first; i < first + n; i++) {
		struct mpage *p = &s->page[i];

		p->kind = !file ? (how == 3 ? K_SHARED : K_OWN) :
		    how == 2    ? K_FILEPRIV :
				  K_FILE;
		p->prot = prot;
		p->fork = true;
		p->file = file;
		p->index = file ? index + i - first : i - first;
		if (how == 3) {
			p->share = share;
			o->share[share].refs++;
		}
	}
}

static void
op_unmap(struct model *o, struct space *s)
{
	unsigned first, n;
	int error;

	some_range(o, &first, &n);
	error = qvm_unmap(s->m, va_of(first), n * PG);
	note(o, s, "unmap", first, n, 0, error);
	if (error == 0)
		unmap_model(o, s, first, n);
	else
		KCHECK_EQ(o->e, error, -Q_ENOMEM);
}

static void
op_protect(struct model *o, struct space *s)
{
	unsigned first, n, i, prot = some_prot(o);
	int error;

	some_range(o, &first, &n);
	error = qvm_protect(s->m, va_of(first), n * PG, prot);
	note(o, s, "protect", first, n, prot, error);
	for (i = first; i < first + n && s->page[i].kind != K_NONE; i++)
		s->page[i].prot = prot;
	KCHECK_EQ(o->e, error, i < first + n ? -Q_ENOMEM : 0);
}

static void
op_remap(struct model *o, struct space *s)
{
	unsigned first, n, new, i, to = (unsigned)some(o, WPAGES);
	unsigned flags = some(o, 3) != 0 ? Q_MREMAP_MAYMOVE : 0;
	struct mpage *p, tail, moved[WPAGES];
	uint64_t at;
	int error;

	some_range(o, &first, &n);
	new = 1 + (unsigned)some(o, 12);
	if (flags != 0 && some(o, 3) == 0)
		flags |= Q_MREMAP_FIXED;
	if (to + new > WPAGES)
		to = WPAGES - new;
	at = va_of(to);
	error = qvm_remap(s->m, va_of(first), n * PG, new *PG, flags, &at);
	if (error != 0) {
		KCHECK(o->e,
		    error == -Q_ENOMEM || error == -Q_EFAULT ||
			error == -Q_EINVAL);
		/* The new place may have been cleared for it. */
		return;
	}
	if (at == va_of(first) && new <= n) {
		unmap_model(o, s, first + new, n - new);
		return;
	}
	if (at < BASE || at + new *PG > va_of(WPAGES)) {
		KCHECK_EQ(o->e, qvm_unmap(s->m, at, new *PG), 0);
		unmap_model(o, s, first, n);
		return;
	}
	to = (unsigned)((at - BASE) / PG);
	memset(moved, 0, sizeof(moved));
	for (i = 0; i < new &&i < n; i++)
		copy_page(o, &moved[i], &s->page[first + i]);
	/* What is new goes on where the last page is. */
	copy_page(o, &tail, &s->page[first + n - 1]);
	unmap_model(o, s, first, n);
	unmap_model(o, s, to, new);
	for (i = 0; i < new; i++) {
		p = &s->page[to + i];
		if (i < n) {
			*p = moved[i];
			continue;
		}
		p->prot = tail.prot;
		p->fork = tail.fork;
		p->wipe = tail.wipe;
		p->kind = tail.kind;
		p->index = tail.index + i - n + 1;
		if (tail.kind == K_SHARED) {
			p->share = tail.share;
			o->share[tail.share].refs++;
		}
		/* A copied page of a file is followed by the file's next. */
		if (tail.kind == K_OWN && tail.file)
			p->kind = K_FILEPRIV;
		p->file = tail.file;
	}
	drop_page(o, &tail);
}

/* Has the space a page of its own there? */
static bool
is_copied(struct space *s, unsigned i)
{
	struct entry *e = entry_at(s->m, va_of(i));
	struct anon *a = e->e_anon, *from;
	struct qpage *pg;

	if (a == NULL)
		return false;
	pg = anon_find(a, entry_index(e, va_of(i)), &from);
	return pg != NULL && pg != NO_PAGE;
}

static void
op_access(struct model *o, struct space *s, bool store)
{
	unsigned i = (unsigned)some(o, WPAGES);
	size_t off = some(o, PG), len = 1 + some(o, 64);
	struct mpage *p = &s->page[i];
	uint8_t buf[64], seen[64];
	const uint8_t *data = shown(o, p);
	unsigned need = store ? Q_PROT_WRITE : 0;
	int got, want = 0;

	if (len > PG - off)
		len = PG - off;
	for (got = 0; got < (int)len; got++)
		buf[got] = (uint8_t)(some(o, 255) + 1);
	if (p->kind == K_NONE || p->prot == 0 || (p->prot & need) != need)
		want = Q_SIGSEGV;
	else if (data == NULL || (p->kind == K_SHARED && p->index >= WPAGES))
		want = Q_SIGBUS;
	if (some(o, 4) == 0) {
		/* By the kernel. */
		got = store ?
		    qcopyout(qvm_uspace(s->m), va_of(i) + off, buf, len) :
		    qcopyin(qvm_uspace(s->m), seen, va_of(i) + off, len);
		if (want != 0)
			want = -Q_EFAULT;
		else if (got == -Q_EFAULT)
			got = -Q_ENOMEM; /* the host had none */
	} else {
		got = store ? mstore(s->m, va_of(i) + off, buf, len) :
			      mload(s->m, va_of(i) + off, seen, len);
	}
	note(o, s, store ? "store" : "load", i, (unsigned)len, (unsigned)off,
	    got);
	if (got == -Q_ENOMEM) {
		KCHECK(o->e, o->c->fail != 0 || o->c->ram < 1024);
		/* What a store does before it fails: its page may be there. */
		if (store && p->kind == K_FILEPRIV && is_copied(s, i))
			(void)stored(o, p);
		return;
	}
	if (!KCHECK_EQ(o->e, got, want) || want != 0)
		return;
	if (store)
		memcpy(stored(o, p) + off, buf, len);
	else
		KCHECK(o->e, memcmp(data + off, seen, len) == 0);
}

static void
op_fork(struct model *o, struct space *s)
{
	struct space *to = NULL;
	unsigned i;
	int error;

	for (i = 0; i < SPACES; i++)
		if (o->space[i].m == NULL)
			to = &o->space[i];
	if (to == NULL)
		return;
	error = qvm_fork(s->m, &to->m);
	note(o, s, "fork", 0, 0, (unsigned)(to - o->space), error);
	if (error != 0) {
		KCHECK(o->e, error == -Q_ENOMEM || error == -Q_EAGAIN);
		to->m = NULL;
		return;
	}
	for (i = 0; i < WPAGES; i++) {
		if (!s->page[i].fork)
			continue;
		copy_page(o, &to->page[i], &s->page[i]);
		if (s->page[i].wipe) {
			mworld_free(&o->w, to->page[i].own);
			to->page[i].own = NULL;
		}
	}
}

/* Plant a bug: a page of an object that others look through is lost. */
static void
lose_page(struct model *o)
{
	struct anon *a;
	struct entry *e;
	struct qpage *pg;
	uint64_t i;
	unsigned n;

	for (n = 0; n < SPACES; n++) {
		if (o->space[n].m == NULL)
			continue;
		for (e = entry_from(o->space[n].m, 0); e != NULL;
		     e = entry_next(e)) {
			a = e->e_anon;
			if (a == NULL || a->a_back == NULL)
				continue;
			i = e->e_index + some(o, entry_pages(e));
			pg = ptree_get(&a->a_back->a_pages, i);
			if (!is_page(pg) || qpage_mapped(pg) ||
			    ptree_get(&a->a_pages, i) != NULL)
				continue;
			qmutex_lock(&a->a_fam->fa_lock);
			(void)ptree_del(&a->a_back->a_pages, i);
			qmutex_unlock(&a->a_fam->fa_lock);
			qpage_put(o->k, pg);
			return;
		}
	}
}

static void
op_end(struct model *o, struct space *s)
{
	unsigned i, n = 0;

	for (i = 0; i < SPACES; i++)
		n += o->space[i].m != NULL;
	if (n == 1)
		return;
	note(o, s, "end", 0, 0, 0, 0);
	qvm_put(s->m);
	s->m = NULL;
	unmap_model(o, s, 0, WPAGES);
}

static void
op_advise(struct model *o, struct space *s)
{
	static const int advices[] = { Q_MADV_DONTNEED, Q_MADV_DONTNEED,
		Q_MADV_DONTNEED, Q_MADV_RANDOM, Q_MADV_SEQUENTIAL,
		Q_MADV_NORMAL, Q_MADV_DONTFORK, Q_MADV_DOFORK,
		Q_MADV_KEEPONFORK, Q_MADV_POPULATE_READ, Q_MADV_WILLNEED };
	int advice = advices[some(o, QARRAYLEN(advices))], error;
	unsigned first, n, i;
	struct mpage *p;
	bool hole = false;

	some_range(o, &first, &n);
	error = qvm_advise(s->m, va_of(first), n * PG, advice);
	note(o, s, "advise", first, n, (unsigned)advice, error);
	for (i = first; i < first + n; i++) {
		p = &s->page[i];
		hole |= p->kind == K_NONE;
		if (p->kind == K_NONE)
			continue;
		if (advice == Q_MADV_DONTNEED && p->kind == K_OWN) {
			mworld_free(&o->w, p->own);
			p->own = NULL;
			if (p->file)
				p->kind = K_FILEPRIV;
		}
		if (advice == Q_MADV_DONTFORK)
			p->fork = false;
		if (advice == Q_MADV_DOFORK)
			p->fork = true;
	}
	if (advice == Q_MADV_POPULATE_READ)
		return;
	KCHECK_EQ(o->e, error, hole ? -Q_ENOMEM : 0);
}

static void
op_file(struct model *o)
{
	uint64_t size, off;
	uint8_t buf[100];
	size_t n, i;

	switch (some(o, 8)) {
	case 0:
		size = some(o, 2) == 0 ? some(o, TF_PAGES * PG) : TF_PAGES * PG;
		tfile_truncate(&o->file, size);
		note(o, NULL, "truncate", (unsigned)(size / PG), 0, 0, 0);
		o->fsize = size;
		memset(o->fdata + size, 0, TF_PAGES * PG - size);
		break;
	case 1:
	case 2:
		(void)tfile_clean(&o->file, some(o, TF_PAGES));
		break;
	case 3:
	case 4:
		if (o->fsize <= sizeof(buf))
			break;
		n = 1 + some(o, sizeof(buf));
		off = some(o, o->fsize - n);
		note(o, NULL, "write", (unsigned)(off / PG), (unsigned)n, 0, 0);
		for (i = 0; i < n; i++)
			buf[i] = (uint8_t)some(o, 256);
		if (tfile_write(&o->file, off, buf, n) == 0)
			memcpy(o->fdata + off, buf, n);
		break;
	default:
		(void)tfile_reclaim(&o->file, some(o, TF_PAGES));
		break;
	}
}

/* ---- comparing ---------------------------------------------------------------------- */

/* All that a pmap has is what the model says. */
static void
check_space(struct model *o, struct space *s)
{
	struct mpmap *mp = qvm_pmap(s->m);
	uint64_t ram, n = 0;
	const uint8_t *data;
	struct qpage *pg;
	unsigned i, prot, may;

	for (i = 0; i < WPAGES && !o->e->failed; i++) {
		prot = mpmap_at(mp, va_of(i), &ram);
		if (prot == 0)
			continue;
		n++;
		pg = qpage_at(o->k, ram);
		may = access_of(s->page[i].prot);
		KCHECK(o->e, (prot & ~may & 7u) == 0);
		KCHECK(o->e, (pg->pg_flags & QPG_FREE) == 0);
		KCHECK(o->e, qpage_mapped(pg));
		data = shown(o, &s->page[i]);
		if (KCHECK(o->e, data != NULL))
			KCHECK(o->e,
			    memcmp(data, qpage_data(o->k, pg), PG) == 0);
		/* Nobody else may see what is stored to this one. */
		if ((prot & QVM_WRITE) != 0 && s->page[i].kind == K_OWN)
			KCHECK_EQ(o->e, pg->pg_maps, 1);
		if ((prot & QVM_WRITE) != 0 && s->page[i].kind == K_FILE)
			KCHECK(o->e, (pg->pg_flags & QPG_DIRTY) != 0);
		KCHECK(o->e,
		    (prot & QVM_WRITE) == 0 || s->page[i].kind != K_FILEPRIV);
	}
	KCHECK_EQ(o->e, mpmap_pages(mp), n);
}

static void
check_all(struct model *o)
{
	unsigned i;

	for (i = 0; i < SPACES; i++)
		if (o->space[i].m != NULL)
			check_space(o, &o->space[i]);
}

/* ---- running ---------------------------------------------------------------------------- */

static void
step(struct model *o)
{
	struct space *s = some_space(o);
	uint64_t r = some(o, 100);

	if (r < 10)
		op_map(o, s);
	else if (r < 12)
		op_unmap(o, s);
	else if (r < 16)
		op_protect(o, s);
	else if (r < 20)
		op_remap(o, s);
	else if (r < 23)
		op_fork(o, s);
	else if (r < 25)
		op_end(o, s);
	else if (r < 29)
		op_advise(o, s);
	else if (r < 36)
		op_file(o);
	else if (r < 37 && some(o, 2) == 0)
		qvm_refresh(s->m);
	else if (r < 37)
		o->swapped += swap_pages(vm_of(o->k), some(o, 20));
	else
		op_access(o, s, r < 70);
	if (o->swap != NULL && some(o, 2000) == 0) {
		int error = qvm_swapoff(o->k, o->swap);

		note(o, NULL, "swapoff", 0, 0, 0, error);
		KCHECK(o->e, error == 0 || error == -Q_ENOMEM);
		if (error == 0)
			KCHECK_EQ(o->e, qvm_swapon(o->k, o->swap), 0);
	}
	if (o->c->bug == BUG_COLLAPSE && some(o, 50) == 0)
		lose_page(o);
	if (o->step % 64 == 0 || o->trace)
		check_all(o);
}

static int64_t
in_kernel(void *arg)
{
	struct model *o = arg;
	uint64_t before = qpage_nfree(o->k);
	unsigned i;

	mworld_set(o->k, &o->w);
	o->file.tf_e = o->e;
	o->file.tf_k = o->k;
	if (o->c->swap != 0 &&
	    KCHECK_EQ(o->e,
		qdisk_ram(o->k, "swap", (o->c->swap + 1) * PG, &o->swap), 0))
		KCHECK_EQ(o->e, qvm_swapon(o->k, o->swap), 0);
	o->file.tf_disk = mworld_alloc(&o->w, TF_PAGES * PG);
	o->file.tf_bug = o->c->bug == BUG_FREE;
	if (!tfile_init(&o->file, &o->f))
		return 0;
	o->fdata = mworld_alloc(&o->w, TF_PAGES * PG);
	KCHECK_EQ(o->e, qvm_create(o->k, &mpmap_ops, &o->space[0].m), 0);
	qvm_set_top(o->space[0].m, va_of(WPAGES));
	o->w.mw_fail = o->c->fail;
	for (o->step = 0; o->step < o->c->steps && !o->e->failed; o->step++)
		step(o);
	check_all(o);
	for (i = 0; i < SPACES; i++)
		if (o->space[i].m != NULL) {
			qvm_put(o->space[i].m);
			unmap_model(o, &o->space[i], 0, WPAGES);
		}
	KCHECK(o->e, o->step < 10000 || o->swapped > 100);
	if (o->swap != NULL) {
		KCHECK_EQ(o->e, qvm_swapoff(o->k, o->swap), 0);
		qdisk_put(o->swap);
	}
	qfile_put(o->f);
	tfile_fini(&o->file);
	mworld_free(&o->w, o->fdata);
	KCHECK_EQ(o->e, o->w.mw_spaces, 0);
	KCHECK_EQ(o->e, qpage_nfree(o->k), before);
	return 0;
}

void
model_run(struct kenv *e, const struct model_config *c)
{
	static const struct quern_component *const parts[] = { &qvm, NULL };
	struct quern_config qc = kenv_config(e);
	struct model *o = calloc(1, sizeof(*o));
	struct quern_proc *p;
	int64_t ret;

	o->e = o->w.mw_e = e;
	o->c = c;
	o->trace = getenv("MODEL_TRACE") != NULL;
	o->w.mw_rng = c->seed;
	o->w.mw_lazy = c->lazy;
	o->w.mw_rare = 19;
	o->w.mw_bug = c->bug == BUG_UNMAP ? MBUG_UNMAP :
	    c->bug == BUG_PROTECT         ? MBUG_PROTECT :
					    0;
	qc.components = parts;
	qc.ram = c->ram * PG;
	if (KCHECK_EQ(e, quern_create(&qc, &o->k), 0) &&
	    KCHECK_EQ(e, quern_proc_create(o->k, &p), 0)) {
		ret = quern_run(p, in_kernel, o);
		KCHECK_EQ(e, ret, 0);
		kenv_destroy(e, o->k);
	}
	mworld_freeall(&o->w);
	free(o);
}
