/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From reading to writing and back: the journal, and what the super block says
 * of the file system's state.
 *
 * While it is writable there is an x_journal, even without a journal on disk:
 * handles are the same then, and nothing is logged.  On disk the super block says
 * needs_recovery with a journal, and is not EXT4_STATE_VALID without.
 */
#include "alloc.h"

int
tx_begin(struct ext4 *x, uint32_t credits, struct jhandle **hp)
{
	if (x->x_journal == NULL || qfs_rdonly(x->x_fs))
		return -Q_EROFS;
	return journal_begin(x->x_journal, credits, hp);
}

int
tx_end(struct ext4 *x, struct jhandle *h, int error)
{
	int e;

	/* Half of a change must not get to the disk. */
	if (error == -Q_EUCLEAN ||
	    (tx_half(h, error) && (x->x_debug & EXT4_DEBUG_NOABORT) == 0))
		journal_abort(x->x_journal, error);
	e = journal_end(h);
	return error != 0 ? error : e;
}

void
inode_in_tx(struct jhandle *h, struct inode *ip)
{
	__atomic_store_n(&ip->i_tid, h->h_tid, __ATOMIC_RELAXED);
}

static int
map_journal(void *arg, uint32_t lblk, uint64_t *blkp, uint32_t *np)
{
	struct ext4 *x = arg;
	struct run r;
	int error;

	qmutex_lock(&x->x_jinode->i_lock);
	error = map_find(x->x_jinode, lblk, &r);
	qmutex_unlock(&x->x_jinode->i_lock);
	if (error != 0)
		return error;
	if (r.r_flags != 0)
		return inode_damaged(x->x_jinode,
		    "block %u of the journal is missing", lblk);
	*blkp = r.r_pblk;
	if (*np > r.r_len)
		*np = (uint32_t)r.r_len;
	return 0;
}

static void
wait_data(void *arg, struct qvnode *v)
{
	(void)arg;
	qpcache_wait(v);
}

static void
journal_gone(void *arg, int error)
{
	struct ext4 *x = arg;

	__atomic_fetch_or(&x->x_fs->fs_flags, QFS_RDONLY | QFS_ERROR,
	    __ATOMIC_RELAXED);
	qfs_log(x->x_fs, QUERN_LOG_ERR,
	    "the journal has been aborted, error %d: read-only from now on",
	    -error);
}

static int
open_journal(struct ext4 *x)
{
	struct journal_config cfg = { 0 };
	int error;

	cfg.jc_cache = x->x_bufs;
	cfg.jc_name = x->x_fs->fs_name;
	cfg.jc_map = map_journal;
	cfg.jc_blocks = x->x_nblock;
	cfg.jc_64bit = has_incompat(x, EXT4_INCOMPAT_64BIT);
	cfg.jc_csum = x->x_csum;
	cfg.jc_wait = wait_data;
	cfg.jc_abort = journal_gone;
	cfg.jc_arg = x;
	cfg.jc_age = (uint64_t)x->x_opt.o_commit * 1000000000u;
	if ((x->x_compat & EXT4_COMPAT_HAS_JOURNAL) != 0) {
		if (x->x_jinode == NULL) {
			error = inode_peek(x,
			    le32(x->x_super->s_journal_inum_le), &x->x_jinode);
			if (error != 0)
				return error;
		}
		if (qvnode_type(&x->x_jinode->i_v) != Q_S_IFREG ||
		    x->x_jinode->i_v.v_size >> x->x_bits == 0 ||
		    x->x_jinode->i_v.v_size >> x->x_bits > UINT32_MAX)
			return inode_damaged(x->x_jinode, "is no journal");
		cfg.jc_len = (uint32_t)(x->x_jinode->i_v.v_size >> x->x_bits);
	}
	return journal_open(&cfg, &x->x_journal);
}

/* ---- the super block ---------------------------------------------------------- */

static void
fill_super(struct ext4 *x, uint8_t *to)
{
	struct ext4_super *sb = x->x_super;
	uint64_t free;

	qmutex_lock(&x->x_alloc);
	free = x->x_free;
	sb->s_free_inodes_count_le = to_le32(x->x_ifree);
	qmutex_unlock(&x->x_alloc);
	sb->s_free_blocks_count_lo_le = to_le32(free);
	if (has_incompat(x, EXT4_INCOMPAT_64BIT))
		sb->s_free_blocks_count_hi_le = to_le32(free >> 32);
	sb->s_wtime_le = to_le32(qfs_now(x->x_fs).t_sec);
	sb->s_feature_incompat_le = to_le32(x->x_incompat);
	sb->s_feature_ro_compat_le = to_le32(x->x_ro);
	sb->s_checksum_le = to_le32(
	    x->x_csum ? csum_super(sb) : le32(sb->s_checksum_le));
	memcpy(to, sb, sizeof(*sb));
}

int
super_buf(struct ext4 *x, struct qbuf **bp, uint8_t **p)
{
	int error = blk_read(x, EXT4_SUPER_OFF >> x->x_bits, bp);

	if (error == 0)
		*p = (*bp)->bf_data + (EXT4_SUPER_OFF & (x->x_bsize - 1));
	return error;
}

/* With what else changes it: [o], or nobody else is there. */
int
super_log(struct jhandle *h, struct ext4 *x)
{
	struct qbuf *b;
	uint8_t *p;
	int error;

	error = super_buf(x, &b, &p);
	if (error != 0)
		return error;
	error = journal_get_write(h, b);
	if (error == 0) {
		qbuf_lock(b);
		fill_super(x, p);
		qbuf_unlock(b);
		journal_dirty(h, b);
	}
	qbuf_put(b);
	return error;
}

/* The list of orphans begins with another now.  [o] */
int
super_log_orphan(struct jhandle *h, struct ext4 *x, uint32_t ino)
{
	size_t at = offsetof(struct ext4_super, s_last_orphan_le);
	size_t end = offsetof(struct ext4_super, s_checksum_le);
	struct ext4_super *sb;
	struct qbuf *b;
	uint8_t *p;
	uint32_t was;
	int error;

	error = super_buf(x, &b, &p);
	if (error != 0)
		return error;
	error = journal_get_write(h, b);
	if (error == 0) {
		qbuf_lock(b);
		sb = (void *)p;
		was = ext4_crc32c(0, &sb->s_last_orphan_le, 4);
		sb->s_last_orphan_le = to_le32(ino);
		if (x->x_csum)
			sb->s_checksum_le = to_le32(
			    csum_patch(le32(sb->s_checksum_le), was,
				&sb->s_last_orphan_le, 4, end - at - 4));
		x->x_super->s_last_orphan_le = sb->s_last_orphan_le;
		qbuf_unlock(b);
		journal_dirty(h, b);
	}
	qbuf_put(b);
	return error;
}

/* Outside of the journal, at once. */
static int
super_store(struct ext4 *x)
{
	struct qbuf *b;
	uint8_t *p;
	int error;

	error = super_buf(x, &b, &p);
	if (error != 0)
		return error;
	qbuf_lock(b);
	fill_super(x, p);
	qbuf_unlock(b);
	qbuf_dirty(b);
	error = qbuf_write(b);
	qbuf_put(b);
	if (error == 0)
		error = qdisk_flush(x->x_fs->fs_disk);
	return error;
}

static bool
disk_rdonly(const struct ext4 *x)
{
	return (x->x_fs->fs_disk->qd_flags & QDISK_RDONLY) != 0;
}

int
mount_journal(struct ext4 *x)
{
	bool unclean = has_incompat(x, EXT4_INCOMPAT_RECOVER);
	int error;

	if ((x->x_compat & EXT4_COMPAT_HAS_JOURNAL) == 0 || x->x_opt.o_noload)
		return 0;
	error = open_journal(x);
	if (error != 0)
		return error;
	unclean = unclean && journal_unclean(x->x_journal);
	if (unclean && disk_rdonly(x)) {
		qfs_log(x->x_fs, QUERN_LOG_ERR,
		    "not mounted: its journal has "
		    "to be replayed, and the disk is read-only");
		error = -Q_EROFS;
	} else if (unclean) {
		error = journal_replay(x->x_journal);
	}
	if (error == 0 && journal_errno(x->x_journal) != 0) {
		qfs_log(x->x_fs, QUERN_LOG_WARN,
		    "its journal was aborted before, error %d",
		    -journal_errno(x->x_journal));
		x->x_super->s_state_le |= to_le16(EXT4_STATE_ERROR);
	}
	(void)journal_destroy(x->x_journal);
	x->x_journal = NULL;
	if (error != 0 || !unclean)
		return error;
	/* What was read before is out of date. */
	error = super_read(x, false);
	if (error == 0)
		error = groups_load(x);
	if (error != 0)
		return error;
	x->x_incompat &= ~EXT4_INCOMPAT_RECOVER;
	return super_store(x);
}

/* ---- writing ------------------------------------------------------------------- */

static int
start_writing(struct ext4 *x)
{
	struct ext4_super *sb = x->x_super;
	uint16_t state = le16(sb->s_state_le);
	int error;

	error = open_journal(x);
	if (error != 0)
		return error;
	if ((x->x_compat & EXT4_COMPAT_HAS_JOURNAL) != 0)
		x->x_incompat |= EXT4_INCOMPAT_RECOVER;
	else
		state &= (uint16_t)~EXT4_STATE_VALID;
	if ((x->x_compat & EXT4_COMPAT_ORPHAN_FILE) != 0)
		x->x_ro |= EXT4_RO_ORPHAN_PRESENT;
	sb->s_state_le = to_le16(state);
	sb->s_mnt_count_le = to_le16(le16(sb->s_mnt_count_le) + 1);
	sb->s_mtime_le = to_le32(qfs_now(x->x_fs).t_sec);
	error = super_store(x);
	if (error == 0)
		error = journal_start(x->x_journal);
	return error;
}

int
mount_writable(struct ext4 *x)
{
	int error;

	if (disk_rdonly(x)) {
		qfs_log(x->x_fs, QUERN_LOG_WARN,
		    "mounted read-only, as the disk is");
		return -Q_EROFS;
	}
	if (!super_writable(x))
		return -Q_EROFS;
	error = mmp_start(x);
	if (error == 0)
		error = start_writing(x);
	if (error == 0) {
		mmp_run(x);
		error = orphans_load(x);
	}
	if (error != 0) {
		mount_end(x);
		mmp_stop(x);
	}
	return error;
}

void
mount_end(struct ext4 *x)
{
	struct ext4_super *sb = x->x_super;
	bool had = x->x_journal != NULL, damaged;
	int error = 0;

	if (!had)
		return;
	mmp_halt(x);
	error = journal_destroy(x->x_journal);
	x->x_journal = NULL;
	damaged = error != 0 ||
	    (__atomic_load_n(&x->x_fs->fs_flags, __ATOMIC_RELAXED) &
		QFS_ERROR) != 0;
	if (damaged) {
		sb->s_state_le |= to_le16(EXT4_STATE_ERROR);
		sb->s_error_count_le = to_le32(le32(sb->s_error_count_le) + 1);
	} else {
		x->x_incompat &= ~EXT4_INCOMPAT_RECOVER;
		x->x_ro &= ~EXT4_RO_ORPHAN_PRESENT;
		sb->s_state_le |= to_le16(EXT4_STATE_VALID);
	}
	error = super_store(x);
	if (error != 0)
		qfs_log(x->x_fs, QUERN_LOG_ERR,
		    "the super block can't be written, error %d", -error);
	mmp_stop(x);
}

int
ext4_sync(struct qfs *fs, bool wait)
{
	struct ext4 *x = ext4_of(fs);
	struct jhandle *h;
	int error;

	if (x->x_journal == NULL)
		return 0;
	error = tx_begin(x, 2, &h);
	if (error != 0)
		return error == -Q_EROFS ? 0 : error;
	qmutex_lock(&x->x_orphan);
	error = super_log(h, x);
	qmutex_unlock(&x->x_orphan);
	error = tx_end(x, h, error);
	if (error == 0)
		error = journal_commit(x->x_journal, wait);
	return error;
}

int
ext4_fsync(struct qvnode *v, bool data)
{
	struct inode *ip = inode_of(v);
	struct ext4 *x = inode_fs(ip);
	uint32_t tid = __atomic_load_n(&ip->i_tid, __ATOMIC_RELAXED);

	(void)data;
	if (x->x_journal == NULL)
		return 0;
	if (tid == 0)
		return journal_commit(x->x_journal, true);
	return journal_force(x->x_journal, tid);
}
