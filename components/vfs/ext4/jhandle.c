/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Handles: what file-system operations do with the journal.
 *
 * Credits.  A handle's credits are room in the log that it may still use.  They
 * become the transaction's (t_nbuf) as buffers join, and are given back when it
 * is closed.  J6 is kept by letting nobody have credits that would not fit.
 *
 * What a buffer is to the transaction of a handle is in one of two places: if
 * that is jb_trans, in the flags JB_*; if it is jb_next, in JB_N*.
 */
#include "jimpl.h"

static const struct qtag handle_tag = { "journal handle" };
static const struct qtag trans_tag = { "journal transaction" };
static const struct qtag jbuf_tag = { "journal buffer" };

/* ---- room ------------------------------------------------------------------------- */

uint32_t
j_space(const struct journal *j, uint32_t n)
{
	uint32_t tags;

	/* The first tag has a UUID behind it. */
	tags = (j->j_bsize - j_tail(j) - (uint32_t)sizeof(struct jheader) -
		   JUUID) /
	    j->j_tagsize;
	if (tags > j->j_nstage - 1)
		tags = j->j_nstage - 1;
	return n + (n + tags - 1) / tags + 1;
}

/* Under j_lock: is there room in `t` for `n` more? */
static bool
fits(const struct journal *j, const struct jtrans *t, uint32_t n)
{
	uint64_t need = (uint64_t)t->t_nbuf + t->t_credits + n;

	return need <= j->j_maxtrans && j_space(j, (uint32_t)need) <= j->j_free;
}

/* Under j_lock: have the thread look. */
static void
wake_thread(struct journal *j)
{
	(void)qwaitq_wake_all(&j->j_twait);
}

/* Under j_lock. */
static void
arm_timer(struct journal *j)
{
	qtimer_arm(&j->j_timer, qclock_mono(j->j_k) + j->j_cfg.jc_age);
}

/* ---- transactions -------------------------------------------------------------------- */

static struct jtrans *
alloc_trans(void)
{
	struct jtrans *t = qzalloc(&trans_tag, sizeof(*t));

	if (t == NULL)
		return NULL;
	qlist_init(&t->t_bufs);
	qlist_init(&t->t_cp);
	qlist_init(&t->t_orders);
	qlist_init(&t->t_commits);
	qlist_init(&t->t_link);
	return t;
}

void
j_free_trans(struct jtrans *t)
{
	struct jrevoke *r, *next;
	unsigned i;

	qassert(qlist_empty(&t->t_bufs) && qlist_empty(&t->t_cp));
	qassert(qlist_empty(&t->t_orders) && qlist_empty(&t->t_commits));
	for (i = 0; t->t_revoke != NULL && i < JRHASH; i++)
		for (r = t->t_revoke[i]; r != NULL; r = next) {
			next = r->rv_next;
			qfree(r);
		}
	qfree(t->t_revoke);
	qfree(t);
}

/* ---- begin and end ---------------------------------------------------------------------- */

static struct qlist *
handles_of(struct journal *j, const struct qthread *t)
{
	return &j->j_handles[t->t_id % JHASH];
}

/* Under j_lock: the handle that the thread has open, or NULL. */
static struct jhandle *
find_handle(struct journal *j, const struct qthread *t)
{
	struct qlist *l, *head = handles_of(j, t);
	struct jhandle *h;

	QLIST_FOREACH(l, head) {
		h = QLIST_ELEM(l, struct jhandle, h_link);
		if (h->h_thread == t)
			return h;
	}
	return NULL;
}

/*
 * Under j_lock: have `h` join the running transaction with `n` credits; *spare
 * becomes that if there is none.  0, -EROFS, 1: sleep and try again; 2: with a
 * spare.
 */
static int
try_join(struct journal *j, struct jhandle *h, uint32_t n,
    struct jtrans **spare)
{
	struct jtrans *t = j->j_running;

	if (journal_aborted(j) != 0)
		return -Q_EROFS;
	if (j->j_flushing > 0 || (t != NULL && t->t_state != JT_RUNNING))
		return 1;
	if (t == NULL && *spare == NULL)
		return 2;
	if (t == NULL) {
		t = *spare;
		if (j_space(j, n) > j->j_free) {
			j->j_room = true;
			wake_thread(j);
			return 1;
		}
		*spare = NULL;
		t->t_tid = j->j_tid++;
		j->j_running = t;
		/* Nobody stops it meanwhile: this is the only transaction. */
		arm_timer(j);
	} else if ((uint64_t)t->t_nbuf + t->t_credits + n > j->j_maxtrans) {
		if ((int32_t)(j->j_want - t->t_tid) < 0)
			j->j_want = t->t_tid;
		wake_thread(j);
		return 1;
	} else if (!fits(j, t, n)) {
		j->j_room = true;
		wake_thread(j);
		return 1;
	}
	t->t_updates++;
	t->t_credits += n;
	h->h_trans = t;
	h->h_tid = t->t_tid;
	h->h_credits = n;
	h->h_revokes = 0;
	return 0;
}

/* Join a transaction, sleeping until there is room. */
static int
join(struct journal *j, struct jhandle *h, uint32_t n)
{
	struct jtrans *spare = NULL;
	int r;

	if (n > j->j_maxtrans)
		return -Q_ENOSPC;
	qspin_lock(&j->j_lock);
	while ((r = try_join(j, h, n, &spare)) > 0) {
		if (r == 1) {
			j->j_stats.js_waits++;
			(void)qwaitq_sleep(&j->j_wait, &j->j_lock, 0,
			    QUERN_NEVER);
		} else {
			qspin_unlock(&j->j_lock);
			spare = alloc_trans();
			if (spare == NULL)
				return -Q_ENOMEM;
		}
		qspin_lock(&j->j_lock);
	}
	qspin_unlock(&j->j_lock);
	if (spare != NULL)
		j_free_trans(spare);
	return r;
}

int
journal_begin(struct journal *j, uint32_t nblocks, struct jhandle **hp)
{
	struct qthread *self = qthread_current();
	struct jhandle *h;
	int error = 0;

	qassert(j->j_started);
	qspin_lock(&j->j_lock);
	h = find_handle(j, self);
	if (h != NULL)
		h->h_depth++;
	qspin_unlock(&j->j_lock);
	if (h != NULL) {
		*hp = h;
		return 0;
	}
	h = qzalloc(&handle_tag, sizeof(*h));
	if (h == NULL)
		return -Q_ENOMEM;
	h->h_j = j;
	h->h_depth = 1;
	h->h_thread = self;
	if (j->j_super != NULL)
		error = join(j, h, nblocks);
	if (error != 0) {
		qfree(h);
		return error;
	}
	qspin_lock(&j->j_lock);
	if (h->h_trans == NULL)
		h->h_tid = j->j_tid;
	qlist_prepend(handles_of(j, self), &h->h_link);
	qspin_unlock(&j->j_lock);
	*hp = h;
	return 0;
}

/* Under j_lock: `h` is done with its transaction. */
static void
leave(struct journal *j, struct jhandle *h)
{
	struct jtrans *t = h->h_trans;

	qassert(t->t_updates > 0 && t->t_credits >= h->h_credits);
	t->t_credits -= h->h_credits;
	h->h_credits = 0;
	h->h_trans = NULL;
	if (--t->t_updates == 0 && t->t_state == JT_LOCKED)
		wake_thread(j);
}

int
journal_end(struct jhandle *h)
{
	struct journal *j = h->h_j;
	int error = 0;

	qspin_lock(&j->j_lock);
	qassert(h->h_depth > 0);
	if (j->j_error != 0)
		error = -Q_EROFS;
	else
		error = h->h_error;
	if (--h->h_depth > 0) {
		qspin_unlock(&j->j_lock);
		return error;
	}
	if (h->h_trans != NULL)
		leave(j, h);
	qlist_del(&h->h_link);
	qspin_unlock(&j->j_lock);
	qfree(h);
	return error;
}

int
journal_extend(struct jhandle *h, uint32_t nblocks)
{
	struct journal *j = h->h_j;
	struct jtrans *t = h->h_trans;
	int error = -Q_EAGAIN;

	if (j->j_super == NULL)
		return 0;
	qspin_lock(&j->j_lock);
	if (t != NULL && t->t_state == JT_RUNNING && fits(j, t, nblocks)) {
		t->t_credits += nblocks;
		h->h_credits += nblocks;
		error = 0;
	}
	qspin_unlock(&j->j_lock);
	return error;
}

int
journal_restart(struct jhandle *h, uint32_t nblocks)
{
	struct journal *j = h->h_j;
	int error = 0;

	if (h->h_depth > 1)
		return -Q_EBUSY;
	h->h_changed = false;
	if (j->j_super == NULL)
		return 0;
	qspin_lock(&j->j_lock);
	if (h->h_trans != NULL)
		leave(j, h);
	qspin_unlock(&j->j_lock);
	error = join(j, h, nblocks);
	if (error != 0)
		h->h_error = error;
	return error;
}

/* ---- buffers ------------------------------------------------------------------------------ */

bool
j_detach(struct journal *j, struct jbuf *jb)
{
	qassert(qspin_held(&j->j_lock));
	if (jb->jb_trans != NULL || jb->jb_cp != NULL)
		return false;
	qassert(jb->jb_next == NULL && jb->jb_frozen == NULL);
	jb->jb_buf->bf_journal = NULL;
	return true;
}

/* Under j_lock: what the buffer has of `t`'s flags, in places of jb_trans. */
static uint32_t
flags_in(const struct jbuf *jb, const struct jtrans *t)
{
	if (jb->jb_trans == t)
		return jb->jb_flags;
	return jb->jb_next == t ? jb->jb_flags >> JB_NEXT : 0;
}

static void
set_flags(struct jbuf *jb, const struct jtrans *t, uint32_t set, uint32_t clear)
{
	unsigned by = jb->jb_trans == t ? 0 : JB_NEXT;

	qassert(jb->jb_trans == t || jb->jb_next == t);
	jb->jb_flags = (jb->jb_flags & ~(clear << by)) | set << by;
}

/* Under j_lock: use a credit of the handle's, or of what is free. */
static bool
use_credit(struct journal *j, struct jhandle *h)
{
	struct jtrans *t = h->h_trans;

	if (h->h_credits > 0) {
		h->h_credits--;
		t->t_credits--;
	} else if (!fits(j, t, 1)) {
		qlog(j->j_k, QUERN_LOG_ERR,
		    "%s: journal: a handle has used up "
		    "its credits",
		    j->j_cfg.jc_name);
		return false;
	}
	t->t_nbuf++;
	return true;
}

/* The block is metadata again: under j_lock. */
static void
unrevoke(struct jtrans *t, uint64_t blk)
{
	struct jrevoke **at, *r;

	if (t->t_nrevoke == 0)
		return;
	for (at = &t->t_revoke[blk % JRHASH]; (r = *at) != NULL;
	     at = &r->rv_next)
		if (r->rv_blk == blk) {
			*at = r->rv_next;
			t->t_nrevoke--;
			qfree(r);
			return;
		}
}

/*
 * Does the committing transaction still need the data of `jb` as they are, to
 * log them?  Under j_lock.
 */
static bool
needs_copy(const struct journal *j, const struct jbuf *jb)
{
	return jb->jb_trans != NULL && jb->jb_trans == j->j_committing &&
	    (jb->jb_flags & (JB_DIRTY | JB_FORGOT | JB_LOGGED)) == JB_DIRTY &&
	    jb->jb_frozen == NULL && (j->j_cfg.jc_debug & JDEBUG_NOFROZEN) == 0;
}

/*
 * Copy the data for the committing transaction, which has not logged them.  With
 * bf_lock nobody else does, and the thread waits.  When there is no memory, wait
 * until it has.
 */
static void
freeze(struct journal *j, struct qbuf *b)
{
	uint8_t *copy = NULL;
	struct jbuf *jb;
	bool need;

	if ((j->j_cfg.jc_debug & JDEBUG_NOMEM) == 0)
		copy = qalloc(&jbuf_tag, j->j_bsize);
	qbuf_lock(b);
	qspin_lock(&j->j_lock);
	jb = b->bf_journal;
	need = jb != NULL && needs_copy(j, jb);
	qspin_unlock(&j->j_lock);
	if (need && copy != NULL) {
		memcpy(copy, b->bf_data, j->j_bsize);
		qspin_lock(&j->j_lock);
		/* Still the same: JB_LOGGED is set by who holds bf_lock. */
		qassert(b->bf_journal == jb && needs_copy(j, jb));
		jb->jb_frozen = copy;
		j->j_stats.js_frozen++;
		qspin_unlock(&j->j_lock);
		qbuf_unlock(b);
		return;
	}
	qbuf_unlock(b);
	qfree(copy);
	qspin_lock(&j->j_lock);
	jb = b->bf_journal;
	if (jb != NULL && needs_copy(j, jb) && journal_aborted(j) == 0)
		(void)qwaitq_sleep(&j->j_wait, &j->j_lock, 0, QUERN_NEVER);
	else
		qspin_unlock(&j->j_lock);
}

/* Under j_lock: the buffer of `h`'s transaction, which does not have it yet. */
static int
attach(struct journal *j, struct jhandle *h, struct jbuf *jb, uint32_t flags)
{
	struct jtrans *t = h->h_trans;

	if ((flags & JB_COUNTED) != 0 && !use_credit(j, h))
		return -Q_ENOSPC;
	if (jb->jb_trans == NULL) {
		qassert(qlist_empty(&jb->jb_link));
		jb->jb_trans = t;
		jb->jb_flags = flags;
		qlist_append(&t->t_bufs, &jb->jb_link);
		if ((j->j_cfg.jc_debug & JDEBUG_NOHELD) == 0)
			qbuf_set(jb->jb_buf, QBUF_HELD);
	} else {
		qassert(jb->jb_trans == j->j_committing && jb->jb_next == NULL);
		jb->jb_next = t;
		jb->jb_flags |= flags << JB_NEXT;
	}
	return 0;
}

static struct jbuf *
alloc_jbuf(struct qbuf *b)
{
	struct jbuf *jb = qzalloc(&jbuf_tag, sizeof(*jb));

	if (jb == NULL)
		return NULL;
	jb->jb_buf = b;
	qlist_init(&jb->jb_link);
	qlist_init(&jb->jb_cplink);
	return jb;
}

/*
 * Have the transaction of `h` have `b`, with `flags`: JB_COUNTED to change it,
 * JB_FORGOT to free it.
 */
static int
get(struct jhandle *h, struct qbuf *b, uint32_t flags)
{
	struct journal *j = h->h_j;
	struct jtrans *t = h->h_trans;
	struct jbuf *jb, *spare = NULL;
	int error = 0;

	for (;;) {
		qspin_lock(&j->j_lock);
		jb = b->bf_journal;
		if (journal_aborted(j) != 0 || t == NULL) {
			error = -Q_EROFS;
			break;
		}
		if (jb == NULL && spare == NULL) {
			qspin_unlock(&j->j_lock);
			spare = alloc_jbuf(b);
			if (spare == NULL)
				return -Q_ENOMEM;
			continue;
		}
		if (jb == NULL) {
			error = attach(j, h, spare, flags);
			if (error == 0) {
				qbuf_ref(b);
				b->bf_journal = spare;
				spare = NULL;
			}
			break;
		}
		if ((flags & JB_FORGOT) == 0 && needs_copy(j, jb)) {
			qspin_unlock(&j->j_lock);
			freeze(j, b);
			continue;
		}
		if (jb->jb_trans == t || jb->jb_next == t) {
			if ((flags & JB_COUNTED) != 0 &&
			    (flags_in(jb, t) & JB_COUNTED) == 0 &&
			    !use_credit(j, h))
				error = -Q_ENOSPC;
			else
				set_flags(jb, t, flags, JB_FORGOT & ~flags);
			break;
		}
		error = attach(j, h, jb, flags);
		break;
	}
	if (error == 0 && (flags & JB_FORGOT) == 0)
		unrevoke(t, b->bf_blk);
	qspin_unlock(&j->j_lock);
	qfree(spare);
	return error;
}

int
journal_get_write(struct jhandle *h, struct qbuf *b)
{
	qassert(qbuf_is(b, QBUF_VALID));
	if (h->h_j->j_super == NULL)
		return 0;
	return get(h, b, JB_COUNTED);
}

int
journal_get_create(struct jhandle *h, struct qbuf *b)
{
	return journal_get_write(h, b);
}

void
journal_dirty(struct jhandle *h, struct qbuf *b)
{
	struct journal *j = h->h_j;

	h->h_changed = true;
	if (j->j_super == NULL) {
		qbuf_dirty(b);
		qspin_lock(&j->j_lock);
		/* One timer for all that become dirty until it has fired. */
		if (!j->j_armed)
			arm_timer(j);
		j->j_armed = true;
		qspin_unlock(&j->j_lock);
		return;
	}
	qspin_lock(&j->j_lock);
	if (journal_aborted(j) == 0)
		set_flags(b->bf_journal, h->h_trans, JB_DIRTY, 0);
	qspin_unlock(&j->j_lock);
	if ((j->j_cfg.jc_debug & JDEBUG_NOHELD) != 0)
		qbuf_dirty(b);
}

/* ---- freeing ------------------------------------------------------------------------------- */

/* Add a revocation, for which `r` and `table` are memory that may be used. */
static int
revoke(struct jhandle *h, uint64_t blk, struct jrevoke **r,
    struct jrevoke ***table)
{
	struct journal *j = h->h_j;
	struct jtrans *t = h->h_trans;
	struct jrevoke *p;

	if (journal_aborted(j) != 0 || t == NULL)
		return -Q_EROFS;
	if (t->t_revoke == NULL) {
		t->t_revoke = *table;
		*table = NULL;
	}
	for (p = t->t_revoke[blk % JRHASH]; p != NULL; p = p->rv_next)
		if (p->rv_blk == blk)
			return 0;
	if (h->h_revokes % JREVOKES == 0 && !use_credit(j, h))
		return -Q_ENOSPC;
	h->h_revokes++;
	(*r)->rv_blk = blk;
	(*r)->rv_next = t->t_revoke[blk % JRHASH];
	t->t_revoke[blk % JRHASH] = *r;
	t->t_nrevoke++;
	*r = NULL;
	return 0;
}

static int
add_revoke(struct jhandle *h, uint64_t blk)
{
	struct journal *j = h->h_j;
	struct jrevoke *r = qalloc(&jbuf_tag, sizeof(*r)), **table = NULL;
	int error = -Q_ENOMEM;

	if (h->h_trans != NULL && h->h_trans->t_revoke == NULL)
		table = qzalloc(&jbuf_tag, JRHASH * sizeof(*table));
	if (r != NULL &&
	    (table != NULL || h->h_trans == NULL ||
		h->h_trans->t_revoke != NULL)) {
		qspin_lock(&j->j_lock);
		error = revoke(h, blk, &r, &table);
		qspin_unlock(&j->j_lock);
	}
	qfree(r);
	qfree(table);
	return error;
}

int
journal_forget(struct jhandle *h, struct qbuf *b, uint64_t blk)
{
	struct journal *j = h->h_j;
	bool known = false;
	int error = 0;

	if (b == NULL)
		b = qbuf_find(j->j_cache, blk);
	else
		blk = b->bf_blk;
	h->h_changed = true;
	if (j->j_super != NULL) {
		error = add_revoke(h, blk);
		if (error == 0 && b != NULL) {
			qspin_lock(&j->j_lock);
			known = b->bf_journal != NULL;
			qspin_unlock(&j->j_lock);
			if (known)
				error = get(h, b, JB_FORGOT);
		}
	}
	/* It stays in use: replay must not skip it. */
	if (known && error != 0) {
		qspin_lock(&j->j_lock);
		if (h->h_trans != NULL)
			unrevoke(h->h_trans, blk);
		qspin_unlock(&j->j_lock);
	}
	/* Nothing of the journal's depends on what it holds. */
	if (error == 0 && b != NULL && !known)
		qbuf_forget(b);
	qbuf_put(b);
	return error;
}

/* ---- ordered data, and who waits for commits --------------------------------------------------- */

void
journal_order_init(struct jorder *jo, struct qvnode *v)
{
	*jo = (struct jorder){ .jo_vnode = v };
	qlist_init(&jo->jo_link);
}

void
journal_order(struct jhandle *h, struct jorder *jo)
{
	struct journal *j = h->h_j;

	if (j->j_super == NULL)
		return;
	qspin_lock(&j->j_lock);
	if (h->h_trans == NULL) {
		qassert(journal_aborted(j) != 0);
	} else if (jo->jo_trans == NULL) {
		jo->jo_trans = h->h_trans;
		qlist_append(&h->h_trans->t_orders, &jo->jo_link);
	} else if (jo->jo_trans != h->h_trans) {
		qassert(jo->jo_trans == j->j_committing);
		jo->jo_again = true;
	}
	qspin_unlock(&j->j_lock);
}

void
journal_order_gone(struct journal *j, struct jorder *jo)
{
	qspin_lock(&j->j_lock);
	while (j->j_ordering == jo) {
		(void)qwaitq_sleep(&j->j_wait, &j->j_lock, 0, QUERN_NEVER);
		qspin_lock(&j->j_lock);
	}
	qlist_del(&jo->jo_link);
	jo->jo_trans = NULL;
	jo->jo_again = false;
	qspin_unlock(&j->j_lock);
}

void
journal_on_commit(struct jhandle *h, struct jcommit *jm)
{
	struct journal *j = h->h_j;

	if (j->j_super == NULL) {
		jm->jm_fn(jm, 0);
		return;
	}
	qspin_lock(&j->j_lock);
	if (h->h_trans != NULL) {
		qlist_append(&h->h_trans->t_commits, &jm->jm_link);
		jm = NULL;
	}
	qspin_unlock(&j->j_lock);
	if (jm != NULL)
		jm->jm_fn(jm, -Q_EROFS);
}
