/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commits: on the journal's thread.
 *
 * What goes to the log is first put together in j_stage: blocks of revocations,
 * then descriptors, each with the blocks that it describes behind it, and is
 * written whenever that is full.  So blocks are copied once, and the copy is what
 * is checksummed, escaped and written, whatever happens to the buffer.
 */
#include "jimpl.h"

#include <quern/block.h>

/* The log being written. */
struct logw {
	struct journal *lw_j;
	struct jtrans *lw_t;
	uint32_t lw_pos;  /* where the stage's first block goes */
	uint32_t lw_fill; /* blocks in it */
	int lw_error;     /* the first; nothing is written after it */
};

/* ---- the log ------------------------------------------------------------------------ */

/* Write what is staged. */
static void
flush_stage(struct logw *lw)
{
	struct journal *j = lw->lw_j;
	uint8_t *at = j->j_stage;
	uint32_t n;

	while (lw->lw_fill > 0) {
		n = j->j_last - lw->lw_pos;
		if (n > lw->lw_fill)
			n = lw->lw_fill;
		if (lw->lw_error == 0)
			lw->lw_error = j_io(j, QUERN_BLK_WRITE, lw->lw_pos, n,
			    at, 0);
		lw->lw_t->t_blocks += n;
		lw->lw_pos = j_after(j, lw->lw_pos, n);
		lw->lw_fill -= n;
		at += (size_t)n * j->j_bsize;
	}
}

/* The next block of the stage, of which there are `n`, or it is written. */
static uint8_t *
stage(struct logw *lw, uint32_t n)
{
	struct journal *j = lw->lw_j;

	qassert(n <= j->j_nstage);
	if (lw->lw_fill + n > j->j_nstage)
		flush_stage(lw);
	return j->j_stage + (size_t)lw->lw_fill++ * j->j_bsize;
}

static void
put_header(const struct logw *lw, uint8_t *block, uint32_t type)
{
	struct jheader *h = (struct jheader *)(void *)block;

	memset(block, 0, lw->lw_j->j_bsize);
	h->jh_magic_be = jbe32(JMAGIC);
	h->jh_type_be = jbe32(type);
	h->jh_seq_be = jbe32(lw->lw_t->t_seq);
}

static void
put_tail(const struct journal *j, uint8_t *block)
{
	uint32_t csum;

	if (j->j_csum == 0)
		return;
	csum = jbe32(j_block_csum(j, block));
	memcpy(block + j->j_bsize - 4, &csum, 4);
}

/* ---- revocations ---------------------------------------------------------------------- */

static void
end_revokes(const struct journal *j, uint8_t *block, uint32_t bytes)
{
	struct jrevhead *h = (struct jrevhead *)(void *)block;

	if (block == NULL)
		return;
	h->jr_count_be = jbe32(bytes);
	put_tail(j, block);
}

static void
log_revokes(struct logw *lw)
{
	struct journal *j = lw->lw_j;
	struct jtrans *t = lw->lw_t;
	uint32_t size = (j->j_incompat & JINCOMPAT_64BIT) != 0 ? 8 : 4;
	uint32_t i, at = 0, n = 0, low;
	uint8_t *block = NULL;
	struct jrevoke *r;
	uint64_t blk;

	for (i = 0; i < JRHASH && n < t->t_nrevoke; i++)
		for (r = t->t_revoke[i]; r != NULL; r = r->rv_next, n++) {
			if (block == NULL ||
			    at + size > j->j_bsize - j_tail(j)) {
				end_revokes(j, block, at);
				block = stage(lw, 1);
				put_header(lw, block, JTYPE_REVOKE);
				at = sizeof(struct jrevhead);
			}
			blk = jbe64(r->rv_blk);
			low = jbe32((uint32_t)r->rv_blk);
			memcpy(block + at,
			    size == 8 ? (void *)&blk : (void *)&low, size);
			at += size;
		}
	end_revokes(j, block, at);
	qassert(n == t->t_nrevoke);
}

/* ---- blocks ----------------------------------------------------------------------------- */

/* Copy what the transaction logs of it (J2); escaped.  The tag's flags. */
static uint32_t
copy_block(struct journal *j, struct jbuf *jb, uint8_t *to)
{
	struct qbuf *b = jb->jb_buf;
	uint8_t *frozen;
	uint32_t magic;

	qbuf_lock(b);
	qspin_lock(&j->j_lock);
	frozen = jb->jb_frozen;
	qspin_unlock(&j->j_lock);
	memcpy(to, frozen != NULL ? frozen : b->bf_data, j->j_bsize);
	qspin_lock(&j->j_lock);
	jb->jb_flags |= JB_LOGGED;
	jb->jb_frozen = NULL;
	qspin_unlock(&j->j_lock);
	qbuf_unlock(b);
	qfree(frozen);
	memcpy(&magic, to, 4);
	if (magic != jbe32(JMAGIC))
		return 0;
	memset(to, 0, 4);
	return JTAG_ESCAPE;
}

/* Put a tag at `at`; how long it is. */
static uint32_t
put_tag(const struct logw *lw, uint8_t *at, uint64_t blk, uint32_t flags,
    const uint8_t *data)
{
	const struct journal *j = lw->lw_j;
	uint32_t seq_be = jbe32(lw->lw_t->t_seq), csum = 0;
	struct jtag3 t3;
	struct jtag t;
	uint32_t len = j->j_tagsize;

	if (j->j_csum != 0) {
		csum = ext4_crc32c(j->j_seed, &seq_be, 4);
		csum = ext4_crc32c(csum, data, j->j_bsize);
	}
	if (j->j_csum == 3) {
		t3 = (struct jtag3){ .jt_blk_be = jbe32((uint32_t)blk),
			.jt_flags_be = jbe32(flags),
			.jt_high_be = jbe32((uint32_t)(blk >> 32)),
			.jt_csum_be = jbe32(csum) };
		memcpy(at, &t3, sizeof(t3));
	} else {
		t = (struct jtag){ .jt_blk_be = jbe32((uint32_t)blk),
			.jt_csum_be = jbe16((uint16_t)csum),
			.jt_flags_be = jbe16((uint16_t)flags),
			.jt_high_be = jbe32((uint32_t)(blk >> 32)) };
		memcpy(at, &t, len < sizeof(t) ? len : sizeof(t));
	}
	if ((flags & JTAG_SAME) == 0) {
		memcpy(at + len, j->j_super->js_uuid, JUUID);
		len += JUUID;
	}
	return len;
}

/* Under j_lock: does the transaction log it? */
static bool
is_logged(const struct jbuf *jb)
{
	return (jb->jb_flags & (JB_DIRTY | JB_FORGOT)) == JB_DIRTY;
}

static uint32_t
count_logged(struct journal *j, struct jtrans *t)
{
	struct qlist *l;
	uint32_t n = 0;

	qspin_lock(&j->j_lock);
	QLIST_FOREACH(l, &t->t_bufs)
		n += is_logged(QLIST_ELEM(l, struct jbuf, jb_link));
	qspin_unlock(&j->j_lock);
	return n;
}

/* A descriptor and its `n` blocks, the next from *lp on. */
static void
log_some(struct logw *lw, struct qlist **lp, uint32_t n)
{
	struct journal *j = lw->lw_j;
	uint8_t *desc = stage(lw, n + 1), *data;
	uint32_t at = sizeof(struct jheader), i = 0, flags;
	struct jbuf *jb;
	bool log;

	put_header(lw, desc, JTYPE_DESC);
	for (; i < n; *lp = (*lp)->l_next) {
		qassert(*lp != &lw->lw_t->t_bufs);
		jb = QLIST_ELEM(*lp, struct jbuf, jb_link);
		qspin_lock(&j->j_lock);
		log = is_logged(jb);
		qspin_unlock(&j->j_lock);
		if (!log)
			continue;
		data = stage(lw, 1);
		flags = copy_block(j, jb, data);
		flags |= i > 0 ? JTAG_SAME : 0;
		flags |= ++i == n ? JTAG_LAST : 0;
		at += put_tag(lw, desc + at, jb->jb_buf->bf_blk, flags, data);
	}
	qassert(at <= j->j_bsize - j_tail(j));
	put_tail(j, desc);
}

static void
log_blocks(struct logw *lw, uint32_t n)
{
	struct journal *j = lw->lw_j;
	struct qlist *l = lw->lw_t->t_bufs.l_next;
	uint32_t room = j->j_bsize - j_tail(j) -
	    (uint32_t)sizeof(struct jheader) - JUUID;
	uint32_t max = room / j->j_tagsize, some;

	if (max > j->j_nstage - 1)
		max = j->j_nstage - 1;
	for (; n > 0; n -= some) {
		some = n < max ? n : max;
		log_some(lw, &l, some);
	}
	/* Those who could not make a copy wait for this. */
	(void)qwaitq_wake_all(&j->j_wait);
}

/* ---- the commit block ---------------------------------------------------------------------- */

static int
write_commit_block(struct logw *lw)
{
	struct journal *j = lw->lw_j;
	struct jcommithead *h;
	uint64_t now = qclock_real(j->j_k);
	uint8_t *block = stage(lw, 1);
	int error;

	qassert(block == j->j_stage);
	put_header(lw, block, JTYPE_COMMIT);
	h = (struct jcommithead *)(void *)block;
	h->jc_sec_be = jbe64(now / 1000000000u);
	h->jc_nsec_be = jbe32((uint32_t)(now % 1000000000u));
	if (j->j_csum != 0)
		h->jc_csum_be[0] = jbe32(
		    ext4_crc32c(j->j_seed, block, j->j_bsize));
	error = j_io(j, QUERN_BLK_WRITE, lw->lw_pos, 1, block, QUERN_BLK_FUA);
	lw->lw_pos = j_after(j, lw->lw_pos, 1);
	lw->lw_fill = 0;
	lw->lw_t->t_blocks++;
	return error;
}

/* J3.  `n` blocks are to be logged. */
static int
write_log(struct journal *j, struct jtrans *t, uint32_t n)
{
	struct logw lw = { .lw_j = j, .lw_t = t, .lw_pos = j->j_head };
	uint64_t flush;
	int error;

	t->t_start = j->j_head;
	t->t_seq = j->j_seq;
	t->t_blocks = 0;
	if ((j->j_cfg.jc_debug & JDEBUG_NOREVOKE) == 0)
		log_revokes(&lw);
	log_blocks(&lw, n);
	flush_stage(&lw);
	error = lw.lw_error;
	if (error == 0 && !j->j_active)
		error = j_write_super(j, t->t_start, t->t_seq);
	if (error != 0)
		return error;
	qspin_lock(&j->j_lock);
	flush = ++j->j_fbegun;
	qspin_unlock(&j->j_lock);
	if ((j->j_cfg.jc_debug & JDEBUG_NOFLUSH) == 0)
		error = j_do_flush(j);
	/* By whoever saw that what is logged is wrong. */
	if (error == 0)
		error = journal_aborted(j);
	if (error == 0)
		error = write_commit_block(&lw);
	if (error != 0)
		return error;
	j->j_head = lw.lw_pos;
	j->j_seq++;
	qspin_lock(&j->j_lock);
	j->j_fdone = flush;
	j->j_stats.js_blocks += n;
	j->j_stats.js_revokes += t->t_nrevoke;
	j->j_stats.js_commits++;
	j->j_stats.js_flushes++;
	qspin_unlock(&j->j_lock);
	return 0;
}

/* ---- before and after ----------------------------------------------------------------------- */

/* Lock what is running and wait for its handles; NULL: nothing, or aborted. */
static struct jtrans *
lock_running(struct journal *j)
{
	struct jtrans *t;

	qspin_lock(&j->j_lock);
	t = j->j_running;
	if (t != NULL)
		t->t_state = JT_LOCKED;
	qspin_unlock(&j->j_lock);
	if (t == NULL)
		return NULL;
	/* Nobody makes another, whose timer this would be. */
	(void)qtimer_stop(&j->j_timer);
	qspin_lock(&j->j_lock);
	j->j_due = false;
	while (t->t_updates > 0) {
		(void)qwaitq_sleep(&j->j_twait, &j->j_lock, 0, QUERN_NEVER);
		qspin_lock(&j->j_lock);
	}
	qassert(t->t_credits == 0);
	qspin_unlock(&j->j_lock);
	return t;
}

static void
wait_orders(struct journal *j, struct jtrans *t)
{
	struct jorder *jo;

	for (;;) {
		qspin_lock(&j->j_lock);
		if (qlist_empty(&t->t_orders))
			break;
		jo = QLIST_ELEM(t->t_orders.l_next, struct jorder, jo_link);
		qlist_del(&jo->jo_link);
		j->j_ordering = jo;
		qspin_unlock(&j->j_lock);
		if ((j->j_cfg.jc_debug & JDEBUG_NOORDER) == 0)
			j->j_cfg.jc_wait(j->j_cfg.jc_arg, jo->jo_vnode);
		qspin_lock(&j->j_lock);
		j->j_ordering = NULL;
		jo->jo_trans = NULL;
		if (jo->jo_again) {
			/* By a handle of the running one, which is there. */
			jo->jo_again = false;
			jo->jo_trans = j->j_running;
			qlist_append(&j->j_running->t_orders, &jo->jo_link);
		}
		qspin_unlock(&j->j_lock);
		(void)qwaitq_wake_all(&j->j_wait);
	}
	qspin_unlock(&j->j_lock);
}

/* Under j_lock. */
static void
leave_checkpoint(struct journal *j, struct jbuf *jb)
{
	if (jb->jb_cp == NULL)
		return;
	qlist_del(&jb->jb_cplink);
	jb->jb_cp = NULL;
	j->j_ncp--;
}

/*
 * The transaction has committed: where does its buffer go?  J1, J4, J5.  True:
 * the journal has no more to do with it.
 */
static bool
refile(struct journal *j, struct jtrans *t, struct jbuf *jb)
{
	struct qbuf *b = jb->jb_buf;
	uint32_t flags = jb->jb_flags;

	qassert(jb->jb_trans == t && jb->jb_frozen == NULL);
	qlist_del(&jb->jb_link);
	if ((flags & JB_FORGOT) != 0) {
		leave_checkpoint(j, jb);
	} else if ((flags & JB_DIRTY) != 0) {
		leave_checkpoint(j, jb);
		jb->jb_cp = t;
		qlist_append(&t->t_cp, &jb->jb_cplink);
		j->j_ncp++;
		qbuf_dirty(b);
	}
	jb->jb_trans = jb->jb_next;
	jb->jb_next = NULL;
	jb->jb_flags = flags >> JB_NEXT;
	if (jb->jb_trans != NULL) {
		qlist_append(&jb->jb_trans->t_bufs, &jb->jb_link);
		return false;
	}
	if ((flags & JB_FORGOT) != 0)
		qbuf_clean(b);
	qbuf_clear(b, QBUF_HELD);
	return j_detach(j, jb);
}

static void
refile_all(struct journal *j, struct jtrans *t)
{
	struct jbuf *jb;
	struct qbuf *b;
	bool gone;

	while (!qlist_empty(&t->t_bufs)) {
		jb = QLIST_ELEM(t->t_bufs.l_next, struct jbuf, jb_link);
		b = jb->jb_buf;
		/* A write in place that began before it was held ends first. */
		qbuf_lock(b);
		qspin_lock(&j->j_lock);
		gone = refile(j, t, jb);
		qspin_unlock(&j->j_lock);
		qbuf_unlock(b);
		if (gone) {
			qfree(jb);
			qbuf_put(b);
		}
	}
}

/* Tell those who wait for the commit. */
static void
call_back(struct journal *j, struct jtrans *t, int error)
{
	struct jcommit *jm;

	for (;;) {
		qspin_lock(&j->j_lock);
		if (qlist_empty(&t->t_commits))
			break;
		jm = QLIST_ELEM(t->t_commits.l_next, struct jcommit, jm_link);
		qlist_del(&jm->jm_link);
		qspin_unlock(&j->j_lock);
		jm->jm_fn(jm, error);
	}
	qspin_unlock(&j->j_lock);
}

void
j_commit(struct journal *j)
{
	struct jtrans *t = lock_running(j);
	uint32_t room, n, tid;
	int error = 0;

	if (t == NULL || journal_aborted(j) != 0)
		return;
	qspin_lock(&j->j_lock);
	room = t->t_nbuf > 0 ? j_space(j, t->t_nbuf) : 0;
	qassert(room <= j->j_free); /* J6 */
	j->j_free -= room;
	t->t_state = JT_COMMITTING;
	tid = t->t_tid;
	j->j_committing = t;
	j->j_running = NULL;
	qspin_unlock(&j->j_lock);
	(void)qwaitq_wake_all(&j->j_wait);

	wait_orders(j, t);
	n = count_logged(j, t);
	if (n > 0 || t->t_nrevoke > 0)
		error = write_log(j, t, n);
	if (error != 0) {
		journal_abort(j, error);
		return;
	}
	qassert(t->t_blocks <= room);
	refile_all(j, t);
	qspin_lock(&j->j_lock);
	j->j_free += room - t->t_blocks;
	t->t_state = JT_COMMITTED;
	j->j_committing = NULL;
	j->j_done = j->j_ended = tid;
	qspin_unlock(&j->j_lock);
	(void)qwaitq_wake_all(&j->j_wait);
	call_back(j, t, 0);
	j_add_checkpoint(j, t);
}

/* ---- when it has been aborted ------------------------------------------------------------------ */

static void
fail_trans(struct journal *j, struct jtrans *t)
{
	struct jorder *jo;

	if (t == NULL)
		return;
	qspin_lock(&j->j_lock);
	while (!qlist_empty(&t->t_orders)) {
		jo = QLIST_ELEM(t->t_orders.l_next, struct jorder, jo_link);
		qlist_del(&jo->jo_link);
		jo->jo_trans = NULL;
	}
	j->j_ended = t->t_tid;
	qspin_unlock(&j->j_lock);
	call_back(j, t, -Q_EIO);
}

void
j_fail(struct journal *j)
{
	struct jtrans *t;

	/* Once is enough: nobody begins another transaction. */
	if (j->j_failed)
		return;
	t = lock_running(j);
	/* For whoever mounts it next; it may well not work. */
	j->j_super->js_errno_be = jbe32((uint32_t)j->j_error);
	(void)j_write_super(j, jbe32(j->j_super->js_start_be),
	    jbe32(j->j_super->js_seq_be));
	fail_trans(j, j->j_committing);
	fail_trans(j, t);
	qspin_lock(&j->j_lock);
	if (t != NULL) {
		j->j_dead = t;
		j->j_running = NULL;
	}
	j->j_failed = true;
	qspin_unlock(&j->j_lock);
	(void)qwaitq_wake_all(&j->j_wait);
}
