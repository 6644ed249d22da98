/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Orphans: inodes that the next mount has to finish, since they have no name any
 * more but are in use, or are just being truncated.
 *
 * They form a list on disk, s_last_orphan and then i_dtime of each; x_orphans is
 * the same list in memory.  With an orphan file they have slots in its blocks
 * instead, as far as there are.
 *
 * Source: sections 4.1 (s_last_orphan) and "Orphan file".
 */
#include "alloc.h"

static uint32_t
slots_in_block(const struct ext4 *x)
{
	return (x->x_bsize - (uint32_t)sizeof(struct ext4_orphan_tail)) / 4;
}

/* Set a slot of the orphan file, and sum the block.  [o] */
static int
set_slot(struct jhandle *h, struct ext4 *x, uint32_t slot, uint32_t ino)
{
	uint32_t per = slots_in_block(x);
	struct ext4_orphan_tail *t;
	le32_t ino_le = to_le32(ino);
	struct qbuf *b;
	le64_t blk_le;
	uint32_t sum;
	int error;

	error = blk_read(x, x->x_orphan_blk[slot / per], &b);
	if (error != 0)
		return error;
	error = journal_get_write(h, b);
	if (error == 0) {
		qbuf_lock(b);
		memcpy(b->bf_data + (size_t)(slot % per) * 4, &ino_le, 4);
		if (x->x_csum) {
			t = (void *)(b->bf_data + x->x_bsize - sizeof(*t));
			blk_le = to_le64(b->bf_blk);
			sum = ext4_crc32c(x->x_orphan_seed, &blk_le,
			    sizeof(blk_le));
			sum = ext4_crc32c(sum, b->bf_data, (size_t)per * 4);
			t->ob_checksum_le = to_le32(sum);
		}
		qbuf_unlock(b);
		journal_dirty(h, b);
	}
	qbuf_put(b);
	return error;
}

/* A slot that is free, or -ENOSPC.  [o] */
static int
find_slot(struct ext4 *x, uint32_t *slot)
{
	uint32_t per = slots_in_block(x), i, k;
	int error;

	for (i = 0; i < x->x_orphan_nblk; i++) {
		struct qbuf *b;
		le32_t n;

		error = blk_read(x, x->x_orphan_blk[i], &b);
		if (error != 0)
			return error;
		for (k = 0; k < per; k++) {
			memcpy(&n, b->bf_data + (size_t)k * 4, 4);
			if (n == 0)
				break;
		}
		qbuf_put(b);
		if (k < per) {
			*slot = i * per + k;
			return 0;
		}
	}
	return -Q_ENOSPC;
}

static int
add_locked(struct jhandle *h, struct inode *ip)
{
	struct ext4 *x = inode_fs(ip);
	uint32_t slot;
	int error;

	if (x->x_orphan_nblk > 0) {
		error = find_slot(x, &slot);
		if (error == 0) {
			error = set_slot(h, x, slot, (uint32_t)ip->i_v.v_ino);
			if (error == 0)
				ip->i_slot = slot + 1;
			return error;
		}
		if (error != -Q_ENOSPC)
			return error;
	}
	ip->i_next = le32(x->x_super->s_last_orphan_le);
	error = inode_write_dtime(h, x, ip->i_v.v_ino, ip->i_next);
	if (error != 0)
		return error;
	qlist_prepend(&x->x_orphans, &ip->i_orphan);
	return super_log_orphan(h, x, (uint32_t)ip->i_v.v_ino);
}

int
orphan_add(struct jhandle *h, struct inode *ip)
{
	struct ext4 *x = inode_fs(ip);
	int error = 0;

	if ((x->x_debug & EXT4_DEBUG_NOORPHAN) != 0)
		return 0;
	qmutex_lock(&x->x_orphan);
	if (!ip->i_isorphan) {
		error = add_locked(h, ip);
		if (error == 0)
			ip->i_isorphan = true;
	}
	qmutex_unlock(&x->x_orphan);
	return error;
}

int
orphan_prepare(struct jhandle *h, struct ext4 *x)
{
	struct qbuf *b;
	uint32_t slot;
	uint8_t *p;
	int error = -Q_ENOSPC;

	if (x->x_orphan_nblk > 0) {
		qmutex_lock(&x->x_orphan);
		error = find_slot(x, &slot);
		qmutex_unlock(&x->x_orphan);
		if (error == 0)
			error = blk_read(x,
			    x->x_orphan_blk[slot / slots_in_block(x)], &b);
	}
	if (error == -Q_ENOSPC)
		error = super_buf(x, &b, &p);
	if (error != 0)
		return error;
	error = journal_get_write(h, b);
	qbuf_put(b);
	return error;
}

static int
del_locked(struct jhandle *h, struct inode *ip)
{
	struct ext4 *x = inode_fs(ip);
	struct inode *prev;
	int error;

	if (ip->i_slot != 0) {
		error = set_slot(h, x, ip->i_slot - 1, 0);
		ip->i_slot = 0;
		return error;
	}
	if (ip->i_orphan.l_prev == &x->x_orphans) {
		error = super_log_orphan(h, x, ip->i_next);
	} else {
		prev = QLIST_ELEM(ip->i_orphan.l_prev, struct inode, i_orphan);
		prev->i_next = ip->i_next;
		error = inode_write_dtime(h, x, prev->i_v.v_ino, prev->i_next);
	}
	qlist_del(&ip->i_orphan);
	ip->i_next = 0;
	return error;
}

int
orphan_del(struct jhandle *h, struct inode *ip)
{
	struct ext4 *x = inode_fs(ip);
	int error = 0;

	qmutex_lock(&x->x_orphan);
	if (ip->i_isorphan) {
		error = del_locked(h, ip);
		ip->i_isorphan = false;
	}
	qmutex_unlock(&x->x_orphan);
	return error;
}

/* ---- at mount ------------------------------------------------------------------ */

/* Where the blocks of the orphan file are, for good. */
static int
load_file(struct ext4 *x)
{
	struct inode *ip;
	uint64_t n, i;
	int error;

	if ((x->x_compat & EXT4_COMPAT_ORPHAN_FILE) == 0 ||
	    x->x_orphan_blk != NULL)
		return 0;
	error = inode_peek(x, le32(x->x_super->s_orphan_file_inum_le), &ip);
	if (error != 0)
		return error;
	n = ip->i_v.v_size >> x->x_bits;
	x->x_orphan_seed = ip->i_seed;
	if (n == 0 || n > 4096)
		error = inode_damaged(ip, "an orphan file of %lu blocks", n);
	else
		x->x_orphan_blk = qalloc(&ext4_tag, n * sizeof(uint64_t));
	if (error == 0 && x->x_orphan_blk == NULL)
		error = -Q_ENOMEM;
	for (i = 0; i < n && error == 0; i++) {
		struct run r;

		error = map_find(ip, i, &r);
		if (error == 0 && r.r_flags != 0)
			error = inode_damaged(ip, "block %lu is missing", i);
		x->x_orphan_blk[i] = r.r_pblk;
	}
	if (error == 0)
		x->x_orphan_nblk = n;
	inode_unpeek(ip);
	return error;
}

/* Finish one: free it, or cut what is beyond its size. */
static int
finish(struct ext4 *x, struct inode *ip)
{
	struct jhandle *h;
	int error;

	if (ip->i_v.v_nlink == 0) {
		/* Its eviction frees it, and takes it off the list. */
		qvnode_put(&ip->i_v);
		return 0;
	}
	error = tx_begin(x, MAP_CREDITS, &h);
	if (error == 0) {
		if (qvnode_type(&ip->i_v) == Q_S_IFREG &&
		    !inode_has(ip, EXT4_INLINE_DATA_FL))
			error = truncate_range(h, ip,
			    to_blocks(x, ip->i_disksize), UINT64_MAX);
		if (error == 0)
			error = orphan_del(h, ip);
		if (error == 0)
			error = inode_write(h, ip);
		error = tx_end(x, h, error);
	}
	qvnode_put(&ip->i_v);
	return error;
}

static int
finish_list(struct ext4 *x, uint32_t *done)
{
	uint32_t ino, left = x->x_ninode;
	struct inode *ip;
	int error;

	while ((ino = le32(x->x_super->s_last_orphan_le)) != 0) {
		if (left-- == 0)
			return qfs_damaged(x->x_fs,
			    "the list of orphans has no end");
		error = inode_get(x, ino, IGET_ORPHAN, &ip);
		if (error != 0)
			return error;
		qmutex_lock(&x->x_orphan);
		if (!ip->i_isorphan) {
			ip->i_isorphan = true;
			qlist_prepend(&x->x_orphans, &ip->i_orphan);
		}
		qmutex_unlock(&x->x_orphan);
		error = finish(x, ip);
		if (error != 0)
			return error;
		if (le32(x->x_super->s_last_orphan_le) == ino)
			return -Q_EIO;
		(*done)++;
	}
	return 0;
}

static int
finish_slots(struct ext4 *x, uint32_t *done)
{
	uint32_t per = slots_in_block(x), i;
	int error;

	for (i = 0; i < per * x->x_orphan_nblk; i++) {
		struct inode *ip;
		struct qbuf *b;
		le32_t n;

		error = blk_read(x, x->x_orphan_blk[i / per], &b);
		if (error != 0)
			return error;
		memcpy(&n, b->bf_data + (size_t)(i % per) * 4, 4);
		qbuf_put(b);
		if (n == 0)
			continue;
		error = inode_get(x, le32(n), IGET_ORPHAN, &ip);
		if (error != 0)
			return error;
		ip->i_slot = i + 1;
		ip->i_isorphan = true;
		error = finish(x, ip);
		if (error != 0)
			return error;
		(*done)++;
	}
	return 0;
}

int
orphans_load(struct ext4 *x)
{
	uint32_t done = 0;
	int error;

	error = load_file(x);
	if (error == 0)
		error = finish_list(x, &done);
	if (error == 0)
		error = finish_slots(x, &done);
	if (done > 0)
		qfs_log(x->x_fs, QUERN_LOG_INFO, "%u orphans finished", done);
	return error;
}
