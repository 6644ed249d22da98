/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The journal.
 *
 * A *transaction* is running (handles join it), locked (no more do; it waits for
 * those that are open), committing (being written to the log), committed (its
 * blocks wait to be written in place) and then gone.  One at most is running or
 * locked, one at most committing.  All of this but joining is done by one thread,
 * the journal's, which never opens a handle and so never waits for itself.
 *
 *	running -> locked -> committing		j_commit
 *	committing -> committed -> gone		j_commit, j_checkpoint
 *
 * A *buffer* that the journal knows (struct jbuf) belongs to jb_trans, which is
 * running or committing; if that is committing, maybe to the running one as well
 * (jb_next); and to the checkpoint of jb_cp, the last that committed it.
 *
 * J1  A buffer of jb_trans is QBUF_HELD: it is not written in place.
 * J2  What a committing transaction logs of a buffer are its contents when the
 *     last of its handles closed: either they have been copied to the log
 *     (JB_LOGGED), or jb_frozen is a copy, or nobody changes them, since
 *     journal_get_write of a later handle makes one of the former come true first.
 * J3  Log and data order: ordered data have been written and the disk flushed
 *     before the commit block; that is written with FUA, before anybody is told.
 * J4  A transaction's blocks in the log are not used again before every block
 *     that it logged has been written in place, or was logged or revoked by a
 *     later one that has committed; the disk was flushed; and the superblock on
 *     the disk begins after it.
 * J5  A block that a transaction frees stays as it was, on the disk and held,
 *     until the transaction has committed; then it is never written any more.
 * J6  Room: j_free is at least what the running transaction needs if all open
 *     handles use all of their credits.  So a commit never waits for room, and a
 *     checkpoint needs no more than commits.
 * J7  Numbers in the log rise by one from transaction to transaction and are not
 *     used twice: after a replay they go on behind any that a stale block can
 *     have.  Transaction ids (tid) count also those that had nothing to log.
 *
 * An error in writing the log or in place aborts the journal: nothing more is
 * committed, what is held stays held, and the log is left for the next replay.
 */
#include "jimpl.h"

#include <quern/block.h>

static const struct qtag journal_tag = { "journal" };

/* ---- blocks of the journal ------------------------------------------------------ */

uint64_t
j_map(const struct journal *j, uint32_t lblk, uint32_t *np)
{
	uint32_t lo = 0, hi = j->j_next, mid;
	const struct jextent *e;

	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		if (j->j_ext[mid].je_lblk <= lblk)
			lo = mid;
		else
			hi = mid;
	}
	e = &j->j_ext[lo];
	qassert(lblk >= e->je_lblk && lblk - e->je_lblk < e->je_len);
	*np = e->je_len - (lblk - e->je_lblk);
	return e->je_blk + (lblk - e->je_lblk);
}

int
j_io(struct journal *j, uint32_t cmd, uint32_t lblk, uint32_t n, void *buf,
    uint16_t flags)
{
	struct quern_iov iov;
	struct qbio b;
	uint32_t run, max = (uint32_t)(QBIO_MAXLEN / j->j_bsize);
	uint64_t blk;
	int error = 0;

	for (; n > 0 && error == 0; n -= run, lblk += run) {
		blk = j_map(j, lblk, &run);
		if (run > n)
			run = n;
		if (run > max)
			run = max;
		iov.iov_base = buf;
		iov.iov_len = (size_t)run * j->j_bsize;
		b = (struct qbio){ .b_cmd = (uint16_t)cmd,
			.b_flags = flags,
			.b_iov = &iov,
			.b_niov = 1,
			.b_off = blk * j->j_bsize,
			.b_len = iov.iov_len };
		error = qbio_wait(j->j_disk, &b);
		buf = (uint8_t *)buf + iov.iov_len;
	}
	return error;
}

uint32_t
j_after(const struct journal *j, uint32_t lblk, uint32_t n)
{
	uint32_t len = j->j_last - j->j_first;

	return j->j_first + (uint32_t)(((uint64_t)lblk - j->j_first + n) % len);
}

int
j_do_flush(struct journal *j)
{
	qspin_lock(&j->j_lock);
	j->j_stats.js_flushes++;
	qspin_unlock(&j->j_lock);
	return qdisk_flush(j->j_disk);
}

uint32_t
j_block_csum(const struct journal *j, const void *block)
{
	static const uint8_t zero[4];
	uint32_t crc = ext4_crc32c(j->j_seed, block, j->j_bsize - 4);

	return ext4_crc32c(crc, zero, 4);
}

/* ---- the superblock ---------------------------------------------------------------- */

static uint32_t
super_csum(const struct jsuper *s)
{
	struct jsuper copy = *s;

	copy.js_csum_be = 0;
	return ext4_crc32c(~0u, &copy, sizeof(copy));
}

int
j_write_super(struct journal *j, uint32_t start, uint32_t seq)
{
	struct jsuper *s = j->j_super;
	int error;

	s->js_start_be = jbe32(start);
	s->js_seq_be = jbe32(seq);
	if (j->j_csum != 0)
		s->js_csum_be = jbe32(super_csum(s));
	qspin_lock(&j->j_lock);
	j->j_stats.js_flushes++;
	qspin_unlock(&j->j_lock);
	error = j_io(j, QUERN_BLK_WRITE, 0, 1, s, QUERN_BLK_FUA);
	if (error == 0)
		j->j_active = start != 0;
	return error;
}

static int
bad(struct journal *j, int error, const char *what)
{
	qlog(j->j_k, QUERN_LOG_ERR, "%s: journal: %s", j->j_cfg.jc_name, what);
	return error;
}

static int
check_features(struct journal *j)
{
	const struct jsuper *s = j->j_super;
	uint32_t type = jbe32(s->js_h.jh_type_be), in;

	if (type == JTYPE_SB1)
		return 0;
	j->j_compat = jbe32(s->js_compat_be);
	j->j_incompat = in = jbe32(s->js_incompat_be);
	if ((in & ~JINCOMPAT_ALL) != 0 || s->js_rocompat_be != 0) {
		qlog(j->j_k, QUERN_LOG_ERR,
		    "%s: journal: unknown features %x, %x", j->j_cfg.jc_name,
		    in & ~JINCOMPAT_ALL, jbe32(s->js_rocompat_be));
		return -Q_EOPNOTSUPP;
	}
	if ((in & JINCOMPAT_CSUM2) != 0 && (in & JINCOMPAT_CSUM3) != 0)
		return bad(j, -Q_EUCLEAN, "checksums of two kinds");
	if ((in & (JINCOMPAT_CSUM2 | JINCOMPAT_CSUM3)) != 0) {
		if (s->js_csumtype != JCSUM_CRC32C)
			return bad(j, -Q_EOPNOTSUPP, "unknown checksum type");
		if (jbe32(s->js_csum_be) != super_csum(s))
			return bad(j, -Q_EUCLEAN, "superblock checksum");
	}
	return 0;
}

void
j_set_format(struct journal *j)
{
	uint32_t in = j->j_incompat;

	j->j_csum = (in & JINCOMPAT_CSUM3) != 0 ? 3 :
	    (in & JINCOMPAT_CSUM2) != 0         ? 2 :
						  0;
	j->j_seed = ext4_crc32c(~0u, j->j_super->js_uuid, JUUID);
	if (j->j_csum == 3)
		j->j_tagsize = sizeof(struct jtag3);
	else
		j->j_tagsize = ((in & JINCOMPAT_64BIT) != 0 ? 12 : 8) +
		    (j->j_csum == 2 ? 2 : 0);
}

static int
check_super(struct journal *j)
{
	const struct jsuper *s = j->j_super;
	uint32_t type = jbe32(s->js_h.jh_type_be), nfast = 0, start;
	int error;

	if (jbe32(s->js_h.jh_magic_be) != JMAGIC ||
	    (type != JTYPE_SB1 && type != JTYPE_SB2))
		return bad(j, -Q_EUCLEAN, "no superblock");
	error = check_features(j);
	if (error != 0)
		return error;
	if (jbe32(s->js_bsize_be) != j->j_bsize)
		return bad(j, -Q_EUCLEAN, "block size");
	j->j_first = jbe32(s->js_first_be);
	j->j_last = jbe32(s->js_maxlen_be);
	if (j->j_last > j->j_cfg.jc_len || j->j_first == 0)
		return bad(j, -Q_EUCLEAN, "size");
	if ((j->j_incompat & JINCOMPAT_FAST) != 0) {
		nfast = jbe32(s->js_nfast_be);
		nfast = nfast == 0 ? 256 : nfast;
		if (nfast >= j->j_last)
			return bad(j, -Q_EUCLEAN, "fast commit area");
		j->j_last -= nfast;
	}
	if (j->j_last < j->j_first || j->j_last - j->j_first < JMINLEN)
		return bad(j, -Q_EUCLEAN, "too small");
	start = jbe32(s->js_start_be);
	if (start != 0 && (start < j->j_first || start >= j->j_last))
		return bad(j, -Q_EUCLEAN, "start of the log");
	j->j_olderror = (int)jbe32(s->js_errno_be);
	if (j->j_olderror > 0)
		j->j_olderror = -j->j_olderror;
	j_set_format(j);
	return 0;
}

/* ---- opening ------------------------------------------------------------------------- */

static int
add_extent(struct journal *j, uint32_t lblk, uint64_t blk, uint32_t n)
{
	struct jextent *e, *new;
	uint32_t i = j->j_next;

	if (i > 0) {
		e = &j->j_ext[i - 1];
		if (e->je_blk + e->je_len == blk) {
			e->je_len += n;
			return 0;
		}
	}
	/* The array doubles at every power of two. */
	if ((i & (i - 1)) == 0) {
		new = qalloc(&journal_tag, (i > 0 ? 2ul * i : 1) * sizeof(*e));
		if (new == NULL)
			return -Q_ENOMEM;
		if (i > 0)
			memcpy(new, j->j_ext, i * sizeof(*e));
		qfree(j->j_ext);
		j->j_ext = new;
	}
	j->j_ext[j->j_next++] = (struct jextent){ lblk, n, blk };
	return 0;
}

static int
map_all(struct journal *j)
{
	uint64_t blk, blocks = qbufcache_blocks(j->j_cache);
	uint32_t lblk, n;
	int error;

	for (lblk = 0; lblk < j->j_cfg.jc_len; lblk += n) {
		n = j->j_cfg.jc_len - lblk;
		error = j->j_cfg.jc_map(j->j_cfg.jc_arg, lblk, &blk, &n);
		if (error != 0)
			return error;
		if (n == 0 || n > j->j_cfg.jc_len - lblk || blk == 0 ||
		    blk >= blocks || n > blocks - blk)
			return bad(j, -Q_EUCLEAN, "outside of the disk");
		error = add_extent(j, lblk, blk, n);
		if (error != 0)
			return error;
	}
	return 0;
}

static void
timer_fired(struct qtimer *tm)
{
	struct journal *j = tm->tm_arg;

	qspin_lock(&j->j_lock);
	j->j_due = true;
	qspin_unlock(&j->j_lock);
	(void)qwaitq_wake_all(&j->j_twait);
}

static void
init(struct journal *j, const struct journal_config *cfg)
{
	unsigned i;

	j->j_cfg = *cfg;
	j->j_cache = cfg->jc_cache;
	j->j_disk = qbufcache_disk(cfg->jc_cache);
	j->j_k = j->j_disk->qd_k;
	j->j_bsize = qbufcache_bsize(cfg->jc_cache);
	if (j->j_cfg.jc_age == 0)
		j->j_cfg.jc_age = UINT64_C(5000000000);
	if (j->j_cfg.jc_blocks > qbufcache_blocks(j->j_cache))
		j->j_cfg.jc_blocks = qbufcache_blocks(j->j_cache);
	qspin_init(&j->j_lock);
	qwaitq_init(&j->j_wait);
	qwaitq_init(&j->j_twait);
	qtimer_init(&j->j_timer, timer_fired, j);
	for (i = 0; i < JHASH; i++)
		qlist_init(&j->j_handles[i]);
	qlist_init(&j->j_cps);
	j->j_tid = 1;
}

static void
free_journal(struct journal *j)
{
	qfree(j->j_ext);
	qfree(j->j_super);
	qfree(j->j_stage);
	qfree(j);
}

static int
open_log(struct journal *j)
{
	int error;

	j->j_super = qalloc(&journal_tag, j->j_bsize);
	if (j->j_super == NULL)
		return -Q_ENOMEM;
	if (j->j_bsize < sizeof(struct jsuper))
		return bad(j, -Q_EUCLEAN, "block size");
	error = map_all(j);
	if (error == 0)
		error = j_io(j, QUERN_BLK_READ, 0, 1, j->j_super, 0);
	if (error == 0)
		error = check_super(j);
	if (error != 0)
		return error;
	j->j_nstage = JSTAGE_BYTES / j->j_bsize;
	if (j->j_nstage > JSTAGE)
		j->j_nstage = JSTAGE;
	j->j_stage = qalloc(&journal_tag, (size_t)j->j_nstage * j->j_bsize);
	return j->j_stage != NULL ? 0 : -Q_ENOMEM;
}

int
journal_open(const struct journal_config *cfg, struct journal **jp)
{
	struct journal *j = qzalloc(&journal_tag, sizeof(*j));
	int error = 0;

	if (j == NULL)
		return -Q_ENOMEM;
	init(j, cfg);
	if (cfg->jc_len > 0)
		error = open_log(j);
	if (error != 0)
		free_journal(j);
	else
		*jp = j;
	return error;
}

bool
journal_unclean(const struct journal *j)
{
	return j->j_super != NULL && j->j_super->js_start_be != 0;
}

int
journal_errno(const struct journal *j)
{
	return j->j_olderror;
}

/* ---- starting ------------------------------------------------------------------------- */

/* Turn on what this kernel writes; the log is empty. */
static void
set_features(struct journal *j)
{
	struct jsuper *s = j->j_super;

	if (jbe32(s->js_h.jh_type_be) == JTYPE_SB1) {
		memset((char *)s + offsetof(struct jsuper, js_compat_be), 0,
		    sizeof(*s) - offsetof(struct jsuper, js_compat_be));
		s->js_h.jh_type_be = jbe32(JTYPE_SB2);
		s->js_users_be = jbe32(1);
	}
	j->j_incompat |= JINCOMPAT_REVOKE;
	if (j->j_cfg.jc_64bit || j->j_cfg.jc_blocks > UINT32_MAX)
		j->j_incompat |= JINCOMPAT_64BIT;
	if (j->j_cfg.jc_csum && (j->j_incompat & JINCOMPAT_CSUM2) == 0)
		j->j_incompat |= JINCOMPAT_CSUM3;
	if ((j->j_incompat & (JINCOMPAT_CSUM2 | JINCOMPAT_CSUM3)) != 0) {
		j->j_compat &= ~JCOMPAT_CHECKSUM;
		s->js_csumtype = JCSUM_CRC32C;
	}
	s->js_compat_be = jbe32(j->j_compat);
	s->js_incompat_be = jbe32(j->j_incompat);
	s->js_errno_be = 0;
	j_set_format(j);
}

static void journal_main(void *arg);

int
journal_start(struct journal *j)
{
	uint32_t len = j->j_last - j->j_first;
	int error;

	qassert(!j->j_started && !journal_unclean(j));
	if ((j->j_disk->qd_flags & QDISK_RDONLY) != 0)
		return -Q_EROFS;
	if (j->j_super != NULL) {
		set_features(j);
		j->j_head = j->j_first;
		j->j_seq = jbe32(j->j_super->js_seq_be) + 1;
		/* One stays free, so that a full log is not an empty one. */
		j->j_free = len - 1;
		j->j_maxtrans = j->j_cfg.jc_maxtrans;
		if (j->j_maxtrans == 0 || j->j_maxtrans > len / 4)
			j->j_maxtrans = len / 4;
		error = j_write_super(j, 0, j->j_seq);
		if (error != 0)
			return error;
	}
	error = qthread_create(j->j_k, "journal", journal_main, j, QPRIO_NORMAL,
	    QCPU_ANY, &j->j_thread);
	if (error != 0)
		return error;
	j->j_started = true;
	return 0;
}

/* ---- the thread ------------------------------------------------------------------------ */

/* Without a journal: what is dirty is written. */
static int
write_all(struct journal *j)
{
	int error;

	qspin_lock(&j->j_lock);
	j->j_armed = false;
	qspin_unlock(&j->j_lock);
	error = qbufcache_sync(j->j_cache);
	return error != 0 ? error : j_do_flush(j);
}

/* One round of the thread, of what it has been asked for. */
static void
work(struct journal *j, bool commit, bool room, bool flush)
{
	uint32_t len = j->j_last - j->j_first;

	if (j->j_super == NULL) {
		j->j_olderror = write_all(j);
		qspin_lock(&j->j_lock);
		/* There is no log to be ended: it has done what it has to. */
		j->j_failed = j->j_error != 0;
		qspin_unlock(&j->j_lock);
		return;
	}
	if (journal_aborted(j) != 0) {
		j_fail(j);
		return;
	}
	if (commit || flush)
		j_commit(j);
	if (flush)
		j_checkpoint(j, UINT32_MAX);
	else if (j->j_ncp * j->j_bsize > JPINNED)
		j_checkpoint(j, j->j_free + (len - j->j_free) / 2);
	else if (room || j->j_free < len / 4)
		j_checkpoint(j, len / 2);
	if (journal_aborted(j) != 0)
		j_fail(j);
}

static void
journal_main(void *arg)
{
	struct journal *j = arg;
	bool commit, room, stop;
	uint32_t flush;
	uint64_t ticket;

	for (;;) {
		qspin_lock(&j->j_lock);
		commit = j->j_due || (int32_t)(j->j_want - j->j_ended) > 0;
		room = j->j_room;
		flush = j->j_flushing;
		stop = j->j_stop;
		ticket = j->j_ticket;
		if (!commit && !room && flush == 0 && !stop &&
		    (j->j_error == 0 || j->j_failed)) {
			(void)qwaitq_sleep(&j->j_twait, &j->j_lock, 0,
			    QUERN_NEVER);
			continue;
		}
		j->j_due = j->j_room = false;
		qspin_unlock(&j->j_lock);
		work(j, commit, room, flush > 0 || stop);
		qspin_lock(&j->j_lock);
		j->j_flushing -= flush;
		j->j_served = ticket;
		qspin_unlock(&j->j_lock);
		(void)qwaitq_wake_all(&j->j_wait);
		if (stop)
			return;
	}
}

int
journal_flush(struct journal *j)
{
	uint64_t mine;

	if (j->j_super == NULL)
		return write_all(j);
	qspin_lock(&j->j_lock);
	j->j_flushing++;
	mine = ++j->j_ticket;
	(void)qwaitq_wake_all(&j->j_twait);
	while (j->j_served < mine) {
		(void)qwaitq_sleep(&j->j_wait, &j->j_lock, 0, QUERN_NEVER);
		qspin_lock(&j->j_lock);
	}
	qspin_unlock(&j->j_lock);
	return journal_aborted(j) != 0 ? -Q_EIO : 0;
}

/* ---- commits on request ------------------------------------------------------------------- */

int
journal_force(struct journal *j, uint32_t tid)
{
	uint64_t begun;
	bool covered;

	if (j->j_super == NULL)
		return write_all(j);
	qspin_lock(&j->j_lock);
	begun = j->j_fbegun;
	if ((int32_t)(tid - j->j_tid) >= 0)
		tid = j->j_tid - 1;
	if ((int32_t)(tid - j->j_want) > 0)
		j->j_want = tid;
	if ((int32_t)(tid - j->j_ended) > 0)
		(void)qwaitq_wake_all(&j->j_twait);
	while ((int32_t)(tid - j->j_ended) > 0 && j->j_error == 0) {
		(void)qwaitq_sleep(&j->j_wait, &j->j_lock, 0, QUERN_NEVER);
		qspin_lock(&j->j_lock);
	}
	covered = j->j_fdone > begun;
	qspin_unlock(&j->j_lock);
	if (journal_aborted(j) != 0)
		return -Q_EIO;
	return covered ? 0 : j_do_flush(j);
}

int
journal_commit(struct journal *j, bool wait)
{
	uint32_t tid;

	qspin_lock(&j->j_lock);
	tid = j->j_tid - 1;
	if (!wait) {
		if ((int32_t)(tid - j->j_want) > 0)
			j->j_want = tid;
		if (j->j_armed)
			j->j_due = true;
		(void)qwaitq_wake_all(&j->j_twait);
	}
	qspin_unlock(&j->j_lock);
	if (wait)
		return journal_force(j, tid);
	return journal_aborted(j) != 0 ? -Q_EIO : 0;
}

bool
journal_committed(struct journal *j, uint32_t tid)
{
	bool done;

	qspin_lock(&j->j_lock);
	done = (int32_t)(tid - j->j_done) <= 0;
	qspin_unlock(&j->j_lock);
	return done;
}

/* ---- the end ------------------------------------------------------------------------------ */

int
journal_destroy(struct journal *j)
{
	int error = 0;

	if (j->j_started) {
		qspin_lock(&j->j_lock);
		qassert(j->j_running == NULL || j->j_running->t_updates == 0);
		j->j_stop = true;
		qspin_unlock(&j->j_lock);
		(void)qwaitq_wake_all(&j->j_twait);
		qthread_join(j->j_thread);
		(void)qtimer_stop(&j->j_timer);
		error = j->j_error;
		if (error == 0 && j->j_super == NULL)
			error = j->j_olderror;
		j_drop_all(j);
		qassert(error != 0 || j->j_super == NULL || !j->j_active);
	}
	free_journal(j);
	return error;
}

int
journal_aborted(const struct journal *j)
{
	return __atomic_load_n(&j->j_error, __ATOMIC_ACQUIRE);
}

void
journal_abort(struct journal *j, int error)
{
	bool tell = false;

	qassert(error < 0);
	qspin_lock(&j->j_lock);
	if (j->j_error == 0) {
		__atomic_store_n(&j->j_error, error, __ATOMIC_RELEASE);
		tell = true;
	}
	qspin_unlock(&j->j_lock);
	if (!tell)
		return;
	qlog(j->j_k, QUERN_LOG_ERR, "%s: journal: aborted, error %d",
	    j->j_cfg.jc_name, -error);
	if (j->j_cfg.jc_abort != NULL)
		j->j_cfg.jc_abort(j->j_cfg.jc_arg, error);
	(void)qwaitq_wake_all(&j->j_twait);
	(void)qwaitq_wake_all(&j->j_wait);
}

void
journal_stats(struct journal *j, struct journal_stats *st)
{
	qspin_lock(&j->j_lock);
	*st = j->j_stats;
	st->js_free = j->j_free;
	st->js_len = j->j_last - j->j_first;
	qspin_unlock(&j->j_lock);
}
