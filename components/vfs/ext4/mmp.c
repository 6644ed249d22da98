/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Protection against being mounted twice (the mmp feature).
 *
 * A block of the disk holds a number that whoever writes the file system changes
 * every few seconds.  Before writing begins it is looked at for long enough to
 * see it change; then a number of our own is put there and looked at for as long,
 * in case somebody else did the same at once.  From then on a work changes it,
 * until EXT4_MMP_CLEAN says that nobody writes any more.
 *
 * Source: section 4.7, "Multiple Mount Protection".  The block goes past the
 * buffer cache, which would answer with what was there before.
 */
#include <quern/proc.h>

#include "impl.h"

#define MMP_MAGIC     0x004d4d50u
#define MMP_CLEAN     0xff4d4d50u
#define MMP_FSCK      0xe24d4d50u
#define MMP_SEQ_MAX   0xe24d4d4fu
#define MMP_MIN_CHECK 5u /* seconds */
#define MMP_MAX_CHECK 600u

#define SECOND UINT64_C(1000000000)

struct mmp {
	struct ext4 *mm_x;         /* [I] */
	struct ext4_mmp *mm_block; /* as long as a block */
	uint32_t mm_seq;           /* what we wrote last */
	uint32_t mm_update;        /* [I] seconds between changes */
	uint32_t mm_check;         /* [I] seconds after which others may come */
	uint64_t mm_last;          /* when that was */
	struct qworkq *mm_q;
	struct qwork mm_work;
};

static uint64_t
now(const struct ext4 *x)
{
	return qclock_mono(x->x_fs->fs_k);
}

static int
mmp_read(struct mmp *mm)
{
	struct ext4 *x = mm->mm_x;
	uint64_t blk = le64(x->x_super->s_mmp_block_le);
	int error;

	if (!blk_ok(x, blk, 1))
		return qfs_damaged(x->x_fs, "mmp: block %lu is outside", blk);
	error = qdisk_read(x->x_fs->fs_disk, blk << x->x_bits, mm->mm_block,
	    x->x_bsize);
	if (error != 0)
		return error;
	if (le32(mm->mm_block->mmp_magic_le) != MMP_MAGIC)
		return qfs_damaged(x->x_fs, "mmp: block %lu: bad magic", blk);
	if (x->x_csum &&
	    csum_mmp(x, mm->mm_block) != le32(mm->mm_block->mmp_checksum_le))
		return qfs_damaged(x->x_fs, "mmp: block %lu: wrong checksum",
		    blk);
	return 0;
}

/* Write `seq`, and who we are. */
static int
mmp_write(struct mmp *mm, uint32_t seq)
{
	struct ext4 *x = mm->mm_x;
	struct ext4_mmp *b = mm->mm_block;
	uint64_t off = le64(x->x_super->s_mmp_block_le) << x->x_bits;
	int error;

	b->mmp_seq_le = to_le32(seq);
	b->mmp_time_le = to_le64((uint64_t)qfs_now(x->x_fs).t_sec);
	qsnprintf(b->mmp_nodename, sizeof(b->mmp_nodename), "quern");
	qsnprintf(b->mmp_bdevname, sizeof(b->mmp_bdevname), "%s",
	    x->x_fs->fs_disk->qd_name);
	b->mmp_check_interval_le = to_le16(mm->mm_check);
	if (x->x_csum)
		b->mmp_checksum_le = to_le32(csum_mmp(x, b));
	error = qdisk_write(x->x_fs->fs_disk, off, b, x->x_bsize);
	if (error == 0)
		error = qdisk_flush(x->x_fs->fs_disk);
	if (error == 0) {
		mm->mm_seq = seq;
		mm->mm_last = now(x);
	}
	return error;
}

/* Wait so long that whoever writes must have changed it, and see.  -EBUSY. */
static int
mmp_watch(struct mmp *mm, uint32_t check)
{
	uint32_t seq = le32(mm->mm_block->mmp_seq_le);
	uint32_t wait = check < 60 ? 2 * check + 1 : check + 60;
	struct ext4 *x = mm->mm_x;
	int error;

	qfs_log(x->x_fs, QUERN_LOG_INFO,
	    "looks for %u s whether anybody else writes to it (mmp)", wait);
	error = qthread_sleep_until(now(x) + wait * SECOND, true);
	if (error == 0)
		error = mmp_read(mm);
	if (error == 0 && le32(mm->mm_block->mmp_seq_le) != seq) {
		qfs_log(x->x_fs, QUERN_LOG_ERR,
		    "not mounted: \"%.64s\" writes to it (mmp)",
		    mm->mm_block->mmp_nodename);
		error = -Q_EBUSY;
	}
	return error;
}

/* Take it, if nobody has it. */
static int
mmp_take(struct mmp *mm)
{
	struct ext4 *x = mm->mm_x;
	uint32_t check, seq = 0;
	int error = mmp_read(mm);

	if (error != 0)
		return error;
	check = le16(mm->mm_block->mmp_check_interval_le);
	if (check > MMP_MAX_CHECK)
		return qfs_damaged(x->x_fs, "mmp: an interval of %u s", check);
	if (check < mm->mm_check)
		check = mm->mm_check;
	seq = le32(mm->mm_block->mmp_seq_le);
	if (seq == MMP_FSCK) {
		qfs_log(x->x_fs, QUERN_LOG_ERR,
		    "not mounted: e2fsck is at work on it, or was killed (mmp)");
		return -Q_EBUSY;
	}
	if (seq != MMP_CLEAN)
		error = mmp_watch(mm, check);
	if (error == 0)
		error = qrandom_fill(x->x_fs->fs_k, &seq, sizeof(seq));
	if (error == 0)
		error = mmp_write(mm, seq % MMP_SEQ_MAX + 1);
	if (error == 0)
		error = mmp_watch(mm, check);
	/* At once: whoever waits just as long has seen nothing change so far. */
	if (error == 0)
		error = mmp_write(mm, mm->mm_seq % MMP_SEQ_MAX + 1);
	return error;
}

/* Long silence: has somebody taken us for dead? */
static int
mmp_still_ours(struct mmp *mm)
{
	int error;

	if (now(mm->mm_x) - mm->mm_last < mm->mm_check * SECOND)
		return 0;
	error = mmp_read(mm);
	if (error == 0 && le32(mm->mm_block->mmp_seq_le) != mm->mm_seq) {
		qfs_log(mm->mm_x->x_fs, QUERN_LOG_ERR,
		    "\"%.64s\" writes to it too (mmp)",
		    mm->mm_block->mmp_nodename);
		error = -Q_EBUSY;
	}
	return error;
}

static void
mmp_update(struct qwork *wk)
{
	struct mmp *mm = QCONTAINER(wk, struct mmp, mm_work);
	struct ext4 *x = mm->mm_x;
	int error = mmp_still_ours(mm);

	if (error == 0)
		error = mmp_write(mm, mm->mm_seq % MMP_SEQ_MAX + 1);
	if (error != 0) {
		journal_abort(x->x_journal, error);
		return;
	}
	(void)qwork_delay(mm->mm_q, wk, now(x) + mm->mm_update * SECOND);
}

int
mmp_start(struct ext4 *x)
{
	uint32_t update = le16(x->x_super->s_mmp_interval_le);
	struct mmp *mm;
	int error = -Q_ENOMEM;

	if (!has_incompat(x, EXT4_INCOMPAT_MMP))
		return 0;
	mm = qzalloc(&ext4_tag, sizeof(*mm));
	if (mm == NULL)
		return -Q_ENOMEM;
	mm->mm_x = x;
	mm->mm_update = update == 0 ? 5 : update < 300 ? update : 300;
	mm->mm_check = 2 * mm->mm_update;
	if (mm->mm_check < MMP_MIN_CHECK)
		mm->mm_check = MMP_MIN_CHECK;
	mm->mm_block = qalloc(&ext4_tag, x->x_bsize);
	if (mm->mm_block != NULL)
		error = mmp_take(mm);
	if (error == 0)
		error = qworkq_create(x->x_fs->fs_k, "mmp", QPRIO_NORMAL,
		    &mm->mm_q);
	if (error != 0) {
		qfree(mm->mm_block);
		qfree(mm);
		return error;
	}
	qwork_init(&mm->mm_work, mmp_update);
	x->x_mmp = mm;
	return 0;
}

void
mmp_run(struct ext4 *x)
{
	struct mmp *mm = x->x_mmp;

	if (mm != NULL)
		(void)qwork_delay(mm->mm_q, &mm->mm_work,
		    now(x) + mm->mm_update * SECOND);
}

void
mmp_halt(struct ext4 *x)
{
	if (x->x_mmp != NULL)
		(void)qwork_cancel(&x->x_mmp->mm_work);
}

void
mmp_stop(struct ext4 *x)
{
	struct mmp *mm = x->x_mmp;
	int error;

	if (mm == NULL)
		return;
	x->x_mmp = NULL;
	(void)qwork_cancel(&mm->mm_work);
	qworkq_destroy(mm->mm_q);
	error = mmp_still_ours(mm);
	if (error == 0)
		error = mmp_write(mm, MMP_CLEAN);
	if (error != 0)
		qfs_log(x->x_fs, QUERN_LOG_ERR, "mmp can't be ended, error %d",
		    -error);
	qfree(mm->mm_block);
	qfree(mm);
}
