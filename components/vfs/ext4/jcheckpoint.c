/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checkpoints: what has committed is written in place, so that its room in the
 * log can be used again (J4).  On the journal's thread.
 *
 * A transaction's checkpoint is over when none of its buffers is dirty: they may
 * also have been written because memory was short.  One that a later transaction
 * has is held and can't be written: that one commits first, and it is then on its
 * list instead.
 */
#include "jimpl.h"

/* The journal need not know it any more. */
static void
release(struct journal *j, struct jbuf *jb)
{
	struct qbuf *b = jb->jb_buf;
	bool gone;

	qassert(qspin_held(&j->j_lock));
	qlist_del(&jb->jb_cplink);
	jb->jb_cp = NULL;
	j->j_ncp--;
	gone = j_detach(j, jb);
	qassert(gone);
	qfree(jb);
	qbuf_put(b);
}

/*
 * Drop those of a transaction's buffers that have been written, and put others
 * that can be into j_check, from `n` on.  How many there are then.
 */
static size_t
collect(struct journal *j, struct jtrans *t, size_t n)
{
	struct qlist *l, *next;
	struct jbuf *jb;

	qspin_lock(&j->j_lock);
	QLIST_FOREACH_SAFE(l, next, &t->t_cp) {
		jb = QLIST_ELEM(l, struct jbuf, jb_cplink);
		if (jb->jb_trans != NULL)
			continue;
		if (!qbuf_is(jb->jb_buf, QBUF_DIRTY)) {
			release(j, jb);
		} else if (n < JCHECK) {
			qbuf_ref(jb->jb_buf);
			j->j_check[n++] = jb->jb_buf;
		}
	}
	qspin_unlock(&j->j_lock);
	return n;
}

/* Write what is in j_check. */
static int
write_some(struct journal *j, size_t n)
{
	int error = qbuf_write_many(j->j_cache, j->j_check, n);
	size_t i;

	for (i = 0; i < n; i++)
		qbuf_put(j->j_check[i]);
	return error;
}

/* Take the oldest away while their checkpoints are over; their blocks. */
static uint32_t
reap(struct journal *j)
{
	struct jtrans *t;
	uint32_t blocks = 0;

	while (!qlist_empty(&j->j_cps)) {
		t = QLIST_ELEM(j->j_cps.l_next, struct jtrans, t_link);
		(void)collect(j, t, JCHECK);
		if (!qlist_empty(&t->t_cp))
			break;
		qlist_del(&t->t_link);
		blocks += t->t_blocks;
		j_free_trans(t);
	}
	return blocks;
}

/* `blocks` at the log's tail are not needed: J4. */
static int
move_tail(struct journal *j, uint32_t blocks, bool empty)
{
	struct jtrans *t;
	uint32_t start = j->j_head, seq = j->j_seq;
	int error = 0;

	if (!qlist_empty(&j->j_cps)) {
		t = QLIST_ELEM(j->j_cps.l_next, struct jtrans, t_link);
		start = t->t_start;
		seq = t->t_seq;
	} else if (empty) {
		start = 0;
	}
	if ((j->j_cfg.jc_debug & JDEBUG_NOCPFLUSH) == 0)
		error = j_do_flush(j);
	if (error == 0)
		error = j_write_super(j, start, seq);
	if (error != 0)
		return error;
	qspin_lock(&j->j_lock);
	j->j_free += blocks;
	j->j_stats.js_checkpoints++;
	qassert(j->j_free < j->j_last - j->j_first);
	qspin_unlock(&j->j_lock);
	(void)qwaitq_wake_all(&j->j_wait);
	return 0;
}

/* Write the oldest until `more` blocks would be free.  0: they can't be. */
static size_t
pick(struct journal *j, uint32_t more)
{
	struct qlist *l;
	struct jtrans *t;
	uint64_t blocks = 0;
	size_t n = 0;

	QLIST_FOREACH(l, &j->j_cps) {
		t = QLIST_ELEM(l, struct jtrans, t_link);
		n = collect(j, t, n);
		blocks += t->t_blocks;
		if (n == JCHECK || blocks >= more)
			break;
	}
	return n;
}

static bool
has_running(struct journal *j)
{
	bool has;

	qspin_lock(&j->j_lock);
	has = j->j_running != NULL;
	qspin_unlock(&j->j_lock);
	return has;
}

void
j_checkpoint(struct journal *j, uint32_t want)
{
	uint32_t freed = 0;
	bool all = want == UINT32_MAX;
	size_t n;
	int error = 0;

	for (;;) {
		freed += reap(j);
		if (journal_aborted(j) != 0)
			return;
		if (!all && (uint64_t)j->j_free + freed >= want)
			break;
		if (qlist_empty(&j->j_cps)) {
			if (freed > 0 || all || !has_running(j))
				break;
			j_commit(j);
			continue;
		}
		n = pick(j, all ? UINT32_MAX : want - j->j_free - freed);
		if (n > 0)
			error = write_some(j, n);
		else
			j_commit(j);
		if (error != 0)
			break;
	}
	if (error == 0 && (freed > 0 || (all && j->j_active)))
		error = move_tail(j, freed, all);
	if (error != 0)
		journal_abort(j, error);
}

void
j_add_checkpoint(struct journal *j, struct jtrans *t)
{
	if (t->t_blocks == 0) {
		/* Nothing was logged, so nothing is to be written. */
		j_free_trans(t);
		return;
	}
	qlist_append(&j->j_cps, &t->t_link);
}

/* ---- the end -------------------------------------------------------------------- */

/* Under no lock; nobody uses the journal any more. */
static void
drop_buf(struct jbuf *jb)
{
	struct qbuf *b = jb->jb_buf;

	qbuf_lock(b);
	qlist_del(&jb->jb_link);
	qlist_del(&jb->jb_cplink);
	b->bf_journal = NULL;
	qbuf_clean(b);
	qbuf_clear(b, QBUF_HELD);
	qbuf_unlock(b);
	qfree(jb->jb_frozen);
	qfree(jb);
	qbuf_put(b);
}

static void
drop_trans(struct jtrans *t)
{
	if (t == NULL)
		return;
	while (!qlist_empty(&t->t_bufs))
		drop_buf(QLIST_ELEM(t->t_bufs.l_next, struct jbuf, jb_link));
	while (!qlist_empty(&t->t_cp))
		drop_buf(QLIST_ELEM(t->t_cp.l_next, struct jbuf, jb_cplink));
	j_free_trans(t);
}

void
j_drop_all(struct journal *j)
{
	struct jtrans *t;

	qassert(j->j_running == NULL);
	while (!qlist_empty(&j->j_cps)) {
		t = QLIST_ELEM(j->j_cps.l_next, struct jtrans, t_link);
		qlist_del(&t->t_link);
		drop_trans(t);
	}
	drop_trans(j->j_committing);
	drop_trans(j->j_dead);
}
