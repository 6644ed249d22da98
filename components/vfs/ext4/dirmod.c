/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changing directories.  Entries do not move, but when a block is split
 * (dxmod.c); one that goes is joined to the one before, and the room behind a
 * name is where the next goes.
 */
#include "alloc.h"

void
dir_set_reclen(struct ext4_dirent *d, const struct ext4 *x, uint32_t len)
{
	if (x->x_bsize < 65536)
		d->d_rec_len_le = to_le16(len);
	else if (len == 65536)
		d->d_rec_len_le = to_le16(65535);
	else
		d->d_rec_len_le = to_le16((len & 65532) | (len >> 16 & 3));
}

void
dir_tail(const struct ext4 *x, uint8_t *p)
{
	struct ext4_dirent_tail *t = (void *)(p + dir_room(x));

	if (!x->x_csum)
		return;
	memset(t, 0, sizeof(*t));
	t->dt_rec_len_le = to_le16(sizeof(*t));
	t->dt_type = EXT4_TAIL_TYPE;
}

void
dir_changed(struct jhandle *h, struct inode *dir, struct qbuf *b)
{
	const struct ext4 *x = inode_fs(dir);
	struct ext4_dirent_tail *t = (void *)(b->bf_data + dir_room(x));

	if (x->x_csum)
		t->dt_checksum_le = to_le32(
		    csum_block(dir->i_seed, b->bf_data, dir_room(x)));
	qbuf_unlock(b);
	journal_dirty(h, b);
}

/*
 * The same when only `len` bytes at `off` have changed, whose sum alone was
 * `was`.
 */
static void
dir_patched(struct jhandle *h, struct inode *dir, struct qbuf *b, uint32_t off,
    uint32_t len, uint32_t was)
{
	const struct ext4 *x = inode_fs(dir);
	struct ext4_dirent_tail *t = (void *)(b->bf_data + dir_room(x));

	if (x->x_csum)
		t->dt_checksum_le = to_le32(csum_patch(le32(t->dt_checksum_le),
		    was, b->bf_data + off, len, dir_room(x) - off - len));
	qbuf_unlock(b);
	journal_dirty(h, b);
}

uint8_t
dir_ft(const struct ext4 *x, uint32_t mode)
{
	if (!has_incompat(x, EXT4_INCOMPAT_FILETYPE))
		return EXT4_FT_UNKNOWN;
	switch (mode & Q_S_IFMT) {
	case Q_S_IFREG:
		return EXT4_FT_REG;
	case Q_S_IFDIR:
		return EXT4_FT_DIR;
	case Q_S_IFCHR:
		return EXT4_FT_CHR;
	case Q_S_IFBLK:
		return EXT4_FT_BLK;
	case Q_S_IFIFO:
		return EXT4_FT_FIFO;
	case Q_S_IFSOCK:
		return EXT4_FT_SOCK;
	default:
		return EXT4_FT_LNK;
	}
}

static uint32_t
name_room(uint32_t len)
{
	return (EXT4_DIRENT_HEAD + len + 3) & ~3u;
}

int
dir_put(struct inode *dir, const struct dirspan *s, const char *name,
    uint32_t len, uint64_t ino, uint32_t mode)
{
	const struct ext4 *x = inode_fs(dir);
	uint32_t want = name_room(len), off, used, rec;
	int error;

	for (off = 0; off < s->ds_len; off += rec) {
		struct ext4_dirent *d = (void *)(s->ds_p + off);

		error = dir_check_entry(dir, s, off);
		if (error != 0)
			return error;
		rec = dir_reclen(d, x);
		used = d->d_inode_le == 0 ? 0 : name_room(d->d_name_len);
		if (rec < used + want)
			continue;
		if (used > 0) {
			dir_set_reclen(d, x, used);
			d = (void *)(s->ds_p + off + used);
			dir_set_reclen(d, x, rec - used);
		}
		d->d_inode_le = to_le32(ino);
		d->d_name_len = (uint8_t)len;
		d->d_type = dir_ft(x, mode);
		memcpy(d->d_name, name, len);
		return 0;
	}
	return -Q_ENOSPC;
}

/*
 * Is there room?  Looked at before the block joins a transaction.  dir_put will
 * change *np bytes from *at on.
 */
static int
has_room(struct inode *dir, const struct dirspan *s, uint32_t len, uint32_t *at,
    uint32_t *np)
{
	const struct ext4 *x = inode_fs(dir);
	uint32_t off, used, rec;
	int error;

	for (off = 0; off < s->ds_len; off += rec) {
		const struct ext4_dirent *d = (const void *)(s->ds_p + off);

		error = dir_check_entry(dir, s, off);
		if (error != 0)
			return error;
		rec = dir_reclen(d, x);
		used = d->d_inode_le == 0 ? 0 : name_room(d->d_name_len);
		if (rec >= used + name_room(len)) {
			*at = off;
			*np = used + name_room(len);
			return 0;
		}
	}
	return -Q_ENOSPC;
}

static struct dirspan
span_of(struct inode *dir, struct qbuf *b)
{
	struct dirspan s = { b->bf_data, dir_room(inode_fs(dir)), b->bf_blk };

	return s;
}

int
dir_put_block(struct jhandle *h, struct inode *dir, struct qbuf *b,
    const char *name, uint32_t len, uint64_t ino, uint32_t mode)
{
	struct dirspan s = span_of(dir, b);
	uint32_t at, n, was;
	int error;

	error = has_room(dir, &s, len, &at, &n);
	if (error == 0)
		error = journal_get_write(h, b);
	if (error != 0)
		return error;
	qbuf_lock(b);
	was = ext4_crc32c(0, b->bf_data + at, n);
	error = dir_put(dir, &s, name, len, ino, mode);
	dir_patched(h, dir, b, at, n, was);
	return error;
}

int
dir_append(struct jhandle *h, struct inode *dir, uint64_t *lblk,
    struct qbuf **bp)
{
	struct ext4 *x = inode_fs(dir);
	struct run r = { dir_nblock(dir), 0, 1, 0 };
	uint64_t limit = has_incompat(x, EXT4_INCOMPAT_LARGEDIR) ?
	    UINT64_C(1) << 40 :
	    UINT64_C(1) << 31;
	uint64_t goal = 0;
	int error;

	if ((r.r_lblk + 1) << x->x_bits > limit)
		return -Q_ENOSPC;
	qmutex_lock(&dir->i_lock);
	if (r.r_lblk > 0) {
		struct run prev;

		error = map_find(dir, r.r_lblk - 1, &prev);
		if (error == 0 && prev.r_flags == 0)
			goal = prev.r_pblk + 1;
	}
	/* The rest of a cluster that it has already. */
	if (x->x_cbits > 0 && goal != 0 &&
	    (r.r_lblk & ((1u << x->x_cbits) - 1)) != 0) {
		r.r_pblk = goal;
		error = 0;
	} else {
		error = alloc_block(h, dir, goal, 0, &r.r_pblk);
	}
	if (error == 0) {
		error = map_insert(h, dir, &r);
		if (error != 0 && (r.r_pblk != goal || x->x_cbits == 0))
			unalloc_meta(h, dir, r.r_pblk);
	}
	if (error == 0) {
		dir->i_v.v_size += x->x_bsize;
		dir->i_disksize = dir->i_v.v_size;
		error = inode_write(h, dir);
	}
	qmutex_unlock(&dir->i_lock);
	if (error == 0)
		error = qbuf_get(x->x_bufs, r.r_pblk, bp);
	if (error != 0)
		return error;
	error = journal_get_create(h, *bp);
	if (error != 0) {
		qbuf_put(*bp);
		return error;
	}
	qbuf_lock(*bp);
	memset((*bp)->bf_data, 0, x->x_bsize);
	dir_set_reclen((void *)(*bp)->bf_data, x, dir_room(x));
	dir_tail(x, (*bp)->bf_data);
	dir_changed(h, dir, *bp);
	qbuf_set(*bp, QBUF_CHECKED);
	*lblk = r.r_lblk;
	return 0;
}

static int
add_linear(struct jhandle *h, struct inode *dir, const char *name, uint32_t len,
    uint64_t ino, uint32_t mode)
{
	struct ext4 *x = inode_fs(dir);
	uint64_t n = dir_nblock(dir), i, k;
	struct qbuf *b;
	int error;

	for (k = 0; k < n; k++) {
		i = (dir->i_dirhint + k) % n;
		error = dir_block(dir, i, false, &b);
		if (error != 0)
			return error;
		error = dir_put_block(h, dir, b, name, len, ino, mode);
		qbuf_put(b);
		if (error != -Q_ENOSPC) {
			dir->i_dirhint = (uint32_t)i;
			return error;
		}
	}
	if (n == 1 && (x->x_compat & EXT4_COMPAT_DIR_INDEX) != 0) {
		error = dx_make(h, dir);
		return error != 0 ? error :
				    dx_add(h, dir, name, len, ino, mode);
	}
	error = dir_append(h, dir, &i, &b);
	if (error != 0)
		return error;
	dir->i_dirhint = (uint32_t)i;
	error = dir_put_block(h, dir, b, name, len, ino, mode);
	qbuf_put(b);
	return error;
}

int
dir_add(struct jhandle *h, struct inode *dir, const char *name, uint32_t len,
    uint64_t ino, uint32_t mode)
{
	int error;

	qassert(!inode_has(dir, EXT4_INLINE_DATA_FL));
	error = inode_prepare(h, dir);
	if (error != 0)
		return error;
	if (inode_has(dir, EXT4_INDEX_FL))
		error = dx_add(h, dir, name, len, ino, mode);
	else
		error = add_linear(h, dir, name, len, ino, mode);
	if (error != 0)
		return error;
	inode_touch(dir, QVA_MTIME | QVA_CTIME);
	qmutex_lock(&dir->i_lock);
	error = inode_write(h, dir);
	qmutex_unlock(&dir->i_lock);
	return error;
}

int
dir_remove(struct jhandle *h, struct inode *dir, struct dirplace *dp)
{
	struct ext4 *x = inode_fs(dir);
	struct qbuf *b = dp->dp_buf;
	struct ext4_dirent *d = (void *)(b->bf_data + dp->dp_off), *prev;
	uint32_t at = dp->dp_prev != UINT32_MAX ? dp->dp_prev : dp->dp_off;
	uint32_t n = dp->dp_off + EXT4_DIRENT_HEAD - at, was;
	int error;

	error = inode_prepare(h, dir);
	if (error == 0)
		error = journal_get_write(h, b);
	if (error != 0)
		return error;
	qbuf_lock(b);
	was = ext4_crc32c(0, b->bf_data + at, n);
	if (dp->dp_prev != UINT32_MAX) {
		prev = (void *)(b->bf_data + dp->dp_prev);
		dir_set_reclen(prev, x, dir_reclen(prev, x) + dir_reclen(d, x));
	}
	d->d_inode_le = 0;
	d->d_type = 0;
	dir_patched(h, dir, b, at, n, was);
	inode_touch(dir, QVA_MTIME | QVA_CTIME);
	qmutex_lock(&dir->i_lock);
	error = inode_write(h, dir);
	qmutex_unlock(&dir->i_lock);
	return error;
}

int
dir_set(struct jhandle *h, struct inode *dir, struct dirplace *dp, uint64_t ino,
    uint32_t mode)
{
	struct qbuf *b = dp->dp_buf;
	struct ext4_dirent *d = (void *)(b->bf_data + dp->dp_off);
	uint32_t was;
	int error;

	error = inode_prepare(h, dir);
	if (error == 0)
		error = journal_get_write(h, b);
	if (error != 0)
		return error;
	qbuf_lock(b);
	was = ext4_crc32c(0, d, EXT4_DIRENT_HEAD);
	d->d_inode_le = to_le32(ino);
	d->d_type = dir_ft(inode_fs(dir), mode);
	dir_patched(h, dir, b, dp->dp_off, EXT4_DIRENT_HEAD, was);
	inode_touch(dir, QVA_MTIME | QVA_CTIME);
	qmutex_lock(&dir->i_lock);
	error = inode_write(h, dir);
	qmutex_unlock(&dir->i_lock);
	return error;
}

int
dir_init(struct jhandle *h, struct inode *dir, uint64_t parent)
{
	struct ext4 *x = inode_fs(dir);
	struct ext4_dirent *d;
	uint64_t lblk;
	struct qbuf *b;
	int error;

	error = dir_append(h, dir, &lblk, &b);
	if (error != 0)
		return error;
	qbuf_lock(b);
	d = (void *)b->bf_data;
	d->d_inode_le = to_le32(dir->i_v.v_ino);
	dir_set_reclen(d, x, 12);
	d->d_name_len = 1;
	d->d_type = dir_ft(x, Q_S_IFDIR);
	d->d_name[0] = '.';
	d = (void *)(b->bf_data + 12);
	d->d_inode_le = to_le32(parent);
	dir_set_reclen(d, x, dir_room(x) - 12);
	d->d_name_len = 2;
	d->d_type = dir_ft(x, Q_S_IFDIR);
	d->d_name[0] = d->d_name[1] = '.';
	dir_changed(h, dir, b);
	qbuf_put(b);
	return 0;
}

/* The sum of the first block of an index is not a leaf's. */
static void
root_changed(struct jhandle *h, struct inode *dir, struct qbuf *b)
{
	const struct ext4 *x = inode_fs(dir);
	uint32_t off = EXT4_DX_ROOT_INFO + 8;
	struct ext4_dx_countlimit *cl = (void *)(b->bf_data + off);
	struct ext4_dx_tail *t = (void *)(b->bf_data + off +
	    (size_t)le16(cl->dx_limit_le) * 8);

	if (x->x_csum)
		t->dt_checksum_le = to_le32(csum_dx(dir->i_seed, b->bf_data,
		    off + (size_t)le16(cl->dx_count_le) * 8, t));
	qbuf_unlock(b);
	journal_dirty(h, b);
}

int
dir_set_parent(struct jhandle *h, struct inode *dir, uint64_t parent)
{
	struct ext4_dirent *d;
	struct dirplace dp;
	int error;

	error = dir_find(dir, "..", 2, &dp);
	if (error != 0)
		return error == -Q_ENOENT ?
		    inode_damaged(dir, "has no \"..\"") :
		    error;
	error = journal_get_write(h, dp.dp_buf);
	if (error == 0) {
		qbuf_lock(dp.dp_buf);
		d = (void *)(dp.dp_buf->bf_data + dp.dp_off);
		d->d_inode_le = to_le32(parent);
		if (inode_has(dir, EXT4_INDEX_FL))
			root_changed(h, dir, dp.dp_buf);
		else
			dir_changed(h, dir, dp.dp_buf);
	}
	qbuf_put(dp.dp_buf);
	return error;
}

static int
not_dots(void *arg, const char *name, size_t len, uint64_t ino, uint32_t type,
    uint64_t pos)
{
	bool *found = arg;

	(void)ino;
	(void)type;
	(void)pos;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return 0;
	*found = true;
	return 1;
}

int
dir_empty(struct inode *dir)
{
	bool found = false;
	uint64_t pos = 0;
	int error;

	error = dir_readdir(&dir->i_v, &pos, not_dots, &found);
	return error != 0 ? error : found ? -Q_ENOTEMPTY : 0;
}
