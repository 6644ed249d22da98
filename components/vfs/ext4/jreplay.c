/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Replay.
 *
 * Three passes over the log.  The first finds how far it is whole: transactions
 * follow each other, numbered without gaps, until something is not what it should
 * be; with checksums that includes the blocks themselves.  The second gathers
 * revocations, the third writes what is left to its place.
 *
 * Everything in the log is anybody's: each tag, count and number is checked in
 * the first pass, and the other two see the same blocks, so they take nothing that
 * it refused.  No pass looks at more blocks than the log has.
 */
#include "jimpl.h"

#include <quern/block.h>

enum pass { PASS_SCAN, PASS_REVOKE, PASS_REPLAY };

#define RHASH 4096u

struct record {
	struct record *rc_next;
	uint64_t rc_blk;
	uint32_t rc_seq; /* the last transaction that revokes it */
};

struct replay {
	struct journal *rp_j;
	enum pass rp_pass;
	uint32_t rp_seq;  /* of the transaction that is looked at */
	uint32_t rp_end;  /* the first that is not whole */
	uint32_t rp_pos;  /* the next block */
	uint32_t rp_left; /* blocks that may still be looked at */
	uint32_t rp_crc;  /* of the transaction so far: checksums v1 */
	bool rp_bad;      /* the transaction has a damaged block */
	bool rp_damaged;  /* so has one with a commit block */
	uint32_t rp_stage, rp_nstage; /* what of the log is in j_stage */
	uint8_t *rp_desc;             /* a copy of the descriptor */
	struct record **rp_hash;
	uint64_t rp_blocks, rp_revoked;
};

static const struct qtag replay_tag = { "journal replay" };

/* ---- reading the log ------------------------------------------------------------------- */

/* The next block of the log; 0, -EIO, or 1: the log has been gone round. */
static int
next_block(struct replay *rp, uint8_t **bp)
{
	struct journal *j = rp->rp_j;
	uint32_t n, run, at = rp->rp_pos;
	int error;

	if (rp->rp_left == 0)
		return 1;
	if (at < rp->rp_stage || at - rp->rp_stage >= rp->rp_nstage) {
		n = j->j_last - at;
		if (n > j->j_nstage)
			n = j->j_nstage;
		(void)j_map(j, at, &run);
		if (n > run)
			n = run;
		rp->rp_nstage = 0;
		error = j_io(j, QUERN_BLK_READ, at, n, j->j_stage, 0);
		if (error != 0)
			return error;
		rp->rp_stage = at;
		rp->rp_nstage = n;
	}
	*bp = j->j_stage + (size_t)(at - rp->rp_stage) * j->j_bsize;
	rp->rp_pos = j_after(j, at, 1);
	rp->rp_left--;
	return 0;
}

/* CRC-32, most significant bit first, as checksums v1 have it. */
static uint32_t
crc32_be(uint32_t crc, const uint8_t *p, size_t len)
{
	unsigned i;

	while (len-- > 0) {
		crc ^= (uint32_t)*p++ << 24;
		for (i = 0; i < 8; i++)
			crc = crc << 1 ^ (0x04c11db7u & -(crc >> 31));
	}
	return crc;
}

static bool
tail_ok(const struct journal *j, const uint8_t *block)
{
	uint32_t csum_be;

	if (j->j_csum == 0)
		return true;
	memcpy(&csum_be, block + j->j_bsize - 4, 4);
	return jbe32(csum_be) == j_block_csum(j, block);
}

/* ---- revocations ----------------------------------------------------------------------- */

static struct record *
find_record(const struct replay *rp, uint64_t blk)
{
	struct record *r;

	for (r = rp->rp_hash[blk % RHASH]; r != NULL; r = r->rc_next)
		if (r->rc_blk == blk)
			return r;
	return NULL;
}

static int
add_record(struct replay *rp, uint64_t blk)
{
	struct record *r = find_record(rp, blk);

	/* Transactions come in order, so the number only grows. */
	if (r == NULL) {
		r = qalloc(&replay_tag, sizeof(*r));
		if (r == NULL)
			return -Q_ENOMEM;
		r->rc_blk = blk;
		r->rc_next = rp->rp_hash[blk % RHASH];
		rp->rp_hash[blk % RHASH] = r;
	}
	r->rc_seq = rp->rp_seq;
	return 0;
}

/* Is what transaction rp_seq logged of the block void? */
static bool
is_revoked(const struct replay *rp, uint64_t blk)
{
	const struct record *r = find_record(rp, blk);

	return r != NULL && (int32_t)(rp->rp_seq - r->rc_seq) <= 0;
}

/* A block of revocations.  1: it is no good. */
static int
do_revokes(struct replay *rp, const uint8_t *block)
{
	struct journal *j = rp->rp_j;
	uint32_t size = (j->j_incompat & JINCOMPAT_64BIT) != 0 ? 8 : 4;
	uint32_t count, at, low;
	struct jrevhead h;
	uint64_t blk;
	int error = 0;

	memcpy(&h, block, sizeof(h));
	count = jbe32(h.jr_count_be);
	if (count < sizeof(h) || count > j->j_bsize - j_tail(j) ||
	    !tail_ok(j, block))
		return 1;
	if (rp->rp_pass != PASS_REVOKE)
		return 0;
	for (at = sizeof(h); at + size <= count && error == 0; at += size) {
		if (size == 8) {
			memcpy(&blk, block + at, 8);
			blk = jbe64(blk);
		} else {
			memcpy(&low, block + at, 4);
			blk = jbe32(low);
		}
		error = add_record(rp, blk);
	}
	return error;
}

/* ---- descriptors ------------------------------------------------------------------------ */

struct tag {
	uint64_t tg_blk;
	uint32_t tg_flags;
	uint32_t tg_csum; /* as much of it as there is */
};

/* The tag at *atp, which is moved behind it.  False: there is none. */
static bool
get_tag(const struct journal *j, const uint8_t *desc, uint32_t *atp,
    struct tag *tg)
{
	uint32_t end = j->j_bsize - j_tail(j), len = j->j_tagsize;
	struct jtag3 t3;
	struct jtag t = { 0 };

	if (*atp + len > end)
		return false;
	if (j->j_csum == 3) {
		memcpy(&t3, desc + *atp, sizeof(t3));
		tg->tg_blk = jbe32(t3.jt_blk_be);
		if ((j->j_incompat & JINCOMPAT_64BIT) != 0)
			tg->tg_blk |= (uint64_t)jbe32(t3.jt_high_be) << 32;
		tg->tg_flags = jbe32(t3.jt_flags_be);
		tg->tg_csum = jbe32(t3.jt_csum_be);
	} else {
		memcpy(&t, desc + *atp, len < sizeof(t) ? len : sizeof(t));
		tg->tg_blk = jbe32(t.jt_blk_be);
		if ((j->j_incompat & JINCOMPAT_64BIT) != 0)
			tg->tg_blk |= (uint64_t)jbe32(t.jt_high_be) << 32;
		tg->tg_flags = jbe16(t.jt_flags_be);
		tg->tg_csum = jbe16(t.jt_csum_be);
	}
	*atp += len + ((tg->tg_flags & JTAG_SAME) != 0 ? 0 : JUUID);
	return true;
}

/* Is a block of the log what its tag says? */
static bool
data_ok(const struct replay *rp, const struct tag *tg, const uint8_t *data)
{
	const struct journal *j = rp->rp_j;
	uint32_t seq_be = jbe32(rp->rp_seq), csum;

	if (j->j_csum == 0)
		return true;
	csum = ext4_crc32c(j->j_seed, &seq_be, 4);
	csum = ext4_crc32c(csum, data, j->j_bsize);
	return tg->tg_csum == (j->j_csum == 3 ? csum : (uint16_t)csum);
}

static int
write_block(struct replay *rp, const struct tag *tg, const uint8_t *data)
{
	struct journal *j = rp->rp_j;
	uint32_t magic_be = jbe32(JMAGIC);
	struct qbuf *b;
	int error;

	if (is_revoked(rp, tg->tg_blk)) {
		rp->rp_revoked++;
		return 0;
	}
	error = qbuf_get(j->j_cache, tg->tg_blk, &b);
	if (error != 0)
		return error;
	qbuf_lock(b);
	memcpy(b->bf_data, data, j->j_bsize);
	if ((tg->tg_flags & JTAG_ESCAPE) != 0)
		memcpy(b->bf_data, &magic_be, 4);
	qbuf_clear(b, QBUF_CHECKED);
	qbuf_unlock(b);
	qbuf_dirty(b);
	qbuf_put(b);
	rp->rp_blocks++;
	return 0;
}

/* A descriptor and its blocks.  1: the log ends here. */
static int
do_blocks(struct replay *rp, const uint8_t *block)
{
	struct journal *j = rp->rp_j;
	uint32_t at = sizeof(struct jheader);
	uint8_t *data;
	struct tag tg;
	int error;

	if (!tail_ok(j, block))
		return 1;
	memcpy(rp->rp_desc, block, j->j_bsize);
	if (rp->rp_pass == PASS_SCAN && (j->j_compat & JCOMPAT_CHECKSUM) != 0)
		rp->rp_crc = crc32_be(rp->rp_crc, block, j->j_bsize);
	do {
		if (!get_tag(j, rp->rp_desc, &at, &tg))
			break;
		error = next_block(rp, &data);
		if (error != 0)
			return error;
		if (rp->rp_pass == PASS_REPLAY) {
			error = write_block(rp, &tg, data);
			if (error != 0)
				return error;
		} else if (rp->rp_pass == PASS_SCAN) {
			if (tg.tg_blk >= j->j_cfg.jc_blocks ||
			    !data_ok(rp, &tg, data))
				rp->rp_bad = true;
			if ((j->j_compat & JCOMPAT_CHECKSUM) != 0)
				rp->rp_crc = crc32_be(rp->rp_crc, data,
				    j->j_bsize);
		}
	} while ((tg.tg_flags & JTAG_LAST) == 0);
	return 0;
}

/* ---- commits ------------------------------------------------------------------------------ */

/* A commit block: is the transaction whole?  1: no. */
static int
do_commit(struct replay *rp, const uint8_t *block)
{
	struct journal *j = rp->rp_j;
	struct jcommithead h;
	uint32_t csum, crc = rp->rp_crc;
	uint8_t *copy = rp->rp_desc;

	rp->rp_crc = ~0u;
	if (rp->rp_pass != PASS_SCAN)
		return 0;
	memcpy(&h, block, sizeof(h));
	csum = jbe32(h.jc_csum_be[0]);
	if (j->j_csum != 0) {
		memcpy(copy, block, j->j_bsize);
		memset(copy + offsetof(struct jcommithead, jc_csum_be), 0, 4);
		if (csum != ext4_crc32c(j->j_seed, copy, j->j_bsize))
			return 1;
	} else if ((j->j_compat & JCOMPAT_CHECKSUM) != 0) {
		/* Without a type there is none, and it is 0. */
		if (!(h.jc_csumtype == JCSUM_CRC32 && h.jc_csumsize == 4 &&
			csum == crc) &&
		    !(h.jc_csumtype == 0 && h.jc_csumsize == 0 && csum == 0))
			rp->rp_bad = true;
	}
	if (!rp->rp_bad)
		return 0;
	/* With asynchronous commits the commit block may well be first. */
	rp->rp_damaged = (j->j_incompat & JINCOMPAT_ASYNC) == 0;
	return 1;
}

/* One block and those that belong to it.  1: the log ends here. */
static int
step(struct replay *rp)
{
	struct jheader h;
	uint8_t *block;
	int error = next_block(rp, &block);

	if (error != 0)
		return error;
	memcpy(&h, block, sizeof(h));
	if (jbe32(h.jh_magic_be) != JMAGIC || jbe32(h.jh_seq_be) != rp->rp_seq)
		return 1;
	switch (jbe32(h.jh_type_be)) {
	case JTYPE_DESC:
		return do_blocks(rp, block);
	case JTYPE_REVOKE:
		return do_revokes(rp, block);
	case JTYPE_COMMIT:
		error = do_commit(rp, block);
		if (error == 0)
			rp->rp_seq++;
		return error;
	default:
		return 1;
	}
}

static int
run_pass(struct replay *rp, enum pass pass)
{
	struct journal *j = rp->rp_j;
	int error = 0;

	rp->rp_pass = pass;
	rp->rp_seq = jbe32(j->j_super->js_seq_be);
	rp->rp_pos = jbe32(j->j_super->js_start_be);
	rp->rp_left = j->j_last - j->j_first;
	rp->rp_crc = ~0u;
	while (error == 0 && (pass == PASS_SCAN || rp->rp_seq != rp->rp_end))
		error = step(rp);
	if (pass == PASS_SCAN)
		rp->rp_end = rp->rp_seq;
	/* What ended the first pass does not turn up in the others. */
	if (error == 1 && pass != PASS_SCAN)
		return -Q_EIO;
	return error < 0 ? error : 0;
}

/* ---- fast commits --------------------------------------------------------------------------- */

/*
 * Are there fast commits on top of the last transaction?  Their area begins with
 * a head that has the number of the next one.
 */
static int
check_fast(struct replay *rp)
{
	struct journal *j = rp->rp_j;
	struct jfast f;
	int error;

	if ((j->j_incompat & JINCOMPAT_FAST) == 0 ||
	    j->j_last + 1 >= jbe32(j->j_super->js_maxlen_be))
		return 0;
	rp->rp_nstage = 0;
	/* The first block of their area is not used. */
	error = j_io(j, QUERN_BLK_READ, j->j_last + 1, 1, j->j_stage, 0);
	if (error != 0)
		return error;
	memcpy(&f, j->j_stage, sizeof(f));
	if (f.jf_tag_le != JFAST_HEAD || f.jf_len_le < 8 ||
	    f.jf_tid_le != rp->rp_end)
		return 0;
	qlog(j->j_k, QUERN_LOG_ERR,
	    "%s: journal: has fast commits (fast_commit), which only e2fsck "
	    "replays",
	    j->j_cfg.jc_name);
	return -Q_EOPNOTSUPP;
}

/* ---- all of it -------------------------------------------------------------------------------- */

static void
free_replay(struct replay *rp)
{
	struct record *r, *next;
	unsigned i;

	for (i = 0; rp->rp_hash != NULL && i < RHASH; i++)
		for (r = rp->rp_hash[i]; r != NULL; r = next) {
			next = r->rc_next;
			qfree(r);
		}
	qfree(rp->rp_hash);
	qfree(rp->rp_desc);
}

/* Everything is in the cache: have it on the disk, then empty the log. */
static int
finish(struct replay *rp)
{
	struct journal *j = rp->rp_j;
	int error = qbufcache_sync(j->j_cache);

	if (error == 0)
		error = j_do_flush(j);
	/* J7: no stale block can have a number so far on. */
	if (error == 0)
		error = j_write_super(j, 0,
		    rp->rp_end + (j->j_last - j->j_first));
	return error;
}

int
journal_replay(struct journal *j)
{
	struct replay rp = { .rp_j = j };
	uint32_t first;
	int error;

	qassert(!j->j_started);
	if (!journal_unclean(j))
		return 0;
	if ((j->j_disk->qd_flags & QDISK_RDONLY) != 0)
		return -Q_EROFS;
	first = jbe32(j->j_super->js_seq_be);
	rp.rp_hash = qzalloc(&replay_tag, RHASH * sizeof(rp.rp_hash[0]));
	rp.rp_desc = qalloc(&replay_tag, j->j_bsize);
	error = rp.rp_hash != NULL && rp.rp_desc != NULL ? 0 : -Q_ENOMEM;
	if (error == 0)
		error = run_pass(&rp, PASS_SCAN);
	if (error == 0)
		error = check_fast(&rp);
	if (error == 0)
		error = run_pass(&rp, PASS_REVOKE);
	if (error == 0)
		error = run_pass(&rp, PASS_REPLAY);
	if (error == 0)
		error = finish(&rp);
	free_replay(&rp);
	if (error != 0)
		return error;
	if (rp.rp_damaged) {
		j->j_olderror = -Q_EUCLEAN;
		qlog(j->j_k, QUERN_LOG_ERR,
		    "%s: journal: transaction %u is damaged; it and later "
		    "ones are lost",
		    j->j_cfg.jc_name, rp.rp_end);
	}
	j->j_stats.js_replayed = rp.rp_end - first;
	qlog(j->j_k, QUERN_LOG_INFO,
	    "%s: journal: replayed %u transactions, %lu blocks, %lu revoked",
	    j->j_cfg.jc_name, rp.rp_end - first, rp.rp_blocks, rp.rp_revoked);
	return 0;
}
