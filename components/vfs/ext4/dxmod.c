/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Growing hash trees (htree.c): a leaf without room is split by its names'
 * hashes, which adds an entry to the index above; an index without room is split
 * in turn, and a root without room gets another level.
 */
#include "alloc.h"

/* Entries of an index that fit behind `off`. */
static uint32_t
limit_at(const struct ext4 *x, uint32_t off)
{
	return (x->x_bsize - off -
		   (x->x_csum ? (uint32_t)sizeof(struct ext4_dx_tail) : 0)) /
	    8;
}

static uint32_t
offset_of(const struct dxframe *f)
{
	return (uint32_t)((uint8_t *)f->df_entries - f->df_buf->bf_data);
}

/* The end of a change of an index node. */
static void
node_changed(struct jhandle *h, struct inode *dir, struct dxframe *f)
{
	struct ext4_dx_countlimit *cl = (void *)f->df_entries;
	struct ext4_dx_tail *t = (void *)(f->df_entries + f->df_limit);

	cl->dx_limit_le = to_le16(f->df_limit);
	cl->dx_count_le = to_le16(f->df_count);
	if (inode_fs(dir)->x_csum) {
		t->dt_reserved_le = 0;
		t->dt_checksum_le = to_le32(
		    csum_dx(dir->i_seed, f->df_buf->bf_data,
			offset_of(f) + (size_t)f->df_count * 8, t));
	}
	qbuf_unlock(f->df_buf);
	journal_dirty(h, f->df_buf);
}

/* Enter a block behind the place that a frame is at. */
static int
node_insert(struct jhandle *h, struct inode *dir, struct dxframe *f,
    uint32_t hash, uint64_t lblk)
{
	struct ext4_dx_entry *e = f->df_entries + f->df_at + 1;
	int error;

	qassert(f->df_count < f->df_limit);
	error = journal_get_write(h, f->df_buf);
	if (error != 0)
		return error;
	qbuf_lock(f->df_buf);
	memmove(e + 1, e, (size_t)(f->df_count - f->df_at - 1) * sizeof(*e));
	e->dx_hash_le = to_le32(hash);
	e->dx_block_le = to_le32(lblk);
	f->df_count++;
	node_changed(h, dir, f);
	return 0;
}

/* Make an appended block an index node without entries. */
static int
new_node(struct jhandle *h, struct inode *dir, struct dxframe *f,
    uint64_t *lblk)
{
	struct ext4 *x = inode_fs(dir);
	int error;

	error = dir_append(h, dir, lblk, &f->df_buf);
	if (error != 0)
		return error;
	qbuf_lock(f->df_buf);
	memset(f->df_buf->bf_data, 0, x->x_bsize);
	dir_set_reclen((void *)f->df_buf->bf_data, x, x->x_bsize);
	f->df_entries = (void *)(f->df_buf->bf_data + EXT4_DX_NODE);
	f->df_limit = limit_at(x, EXT4_DX_NODE);
	f->df_count = 0;
	f->df_at = 0;
	return 0;
}

/* All that the root has goes into a node below it. */
static int
add_level(struct jhandle *h, struct inode *dir, struct dxpath *dx)
{
	struct ext4 *x = inode_fs(dir);
	struct dxframe *root = &dx->dx_frame[0], f;
	struct ext4_dx_root_info *ri = (void *)(root->df_buf->bf_data +
	    EXT4_DX_ROOT_INFO);
	uint32_t max = has_incompat(x, EXT4_INCOMPAT_LARGEDIR) ? 2 : 1;
	uint64_t lblk;
	int error;

	if (ri->dx_levels >= max)
		return -Q_ENOSPC;
	error = journal_get_write(h, root->df_buf);
	if (error == 0)
		error = new_node(h, dir, &f, &lblk);
	if (error != 0)
		return error;
	memcpy(f.df_entries, root->df_entries,
	    (size_t)root->df_count * sizeof(*f.df_entries));
	f.df_count = root->df_count;
	node_changed(h, dir, &f);
	qbuf_put(f.df_buf);
	qbuf_lock(root->df_buf);
	root->df_count = 1;
	root->df_entries[0].dx_block_le = to_le32(lblk);
	ri->dx_levels++;
	node_changed(h, dir, root);
	return 0;
}

/* The upper half of a node goes into a new one. */
static int
split_node(struct jhandle *h, struct inode *dir, struct dxframe *up,
    struct dxframe *f)
{
	uint32_t from = f->df_count / 2;
	struct dxframe new;
	uint32_t hash;
	uint64_t lblk;
	int error;

	error = journal_get_write(h, f->df_buf);
	if (error == 0)
		error = new_node(h, dir, &new, &lblk);
	if (error != 0)
		return error;
	hash = le32(f->df_entries[from].dx_hash_le);
	memcpy(new.df_entries, f->df_entries + from,
	    (size_t)(f->df_count - from) * sizeof(*new.df_entries));
	new.df_count = f->df_count - from;
	node_changed(h, dir, &new);
	qbuf_put(new.df_buf);
	qbuf_lock(f->df_buf);
	f->df_count = from;
	node_changed(h, dir, f);
	return node_insert(h, dir, up, hash, lblk);
}

/* Have room for one more entry in the lowest node: 1 if that changed the way. */
static int
make_room(struct jhandle *h, struct inode *dir, struct dxpath *dx)
{
	uint32_t n = dx->dx_n;
	int error;

	if (dx->dx_frame[n - 1].df_count < dx->dx_frame[n - 1].df_limit)
		return 0;
	while (n > 0 &&
	    dx->dx_frame[n - 1].df_count >= dx->dx_frame[n - 1].df_limit)
		n--;
	if (n == 0)
		error = add_level(h, dir, dx);
	else
		error = split_node(h, dir, &dx->dx_frame[n - 1],
		    &dx->dx_frame[n]);
	return error != 0 ? error : 1;
}

/* ---- leaves ------------------------------------------------------------------ */

struct leafname {
	uint32_t ln_hash;
	uint32_t ln_off;
};

/* Names of a block with their hashes, in order of these. */
static int
hash_names(struct inode *dir, const uint8_t *p, uint32_t off, uint32_t version,
    struct leafname *ln, uint32_t *np)
{
	const struct ext4 *x = inode_fs(dir);
	uint32_t n = 0, i;

	while (off < dir_room(x)) {
		const struct ext4_dirent *d = (const void *)(p + off);
		struct dxhash hash;

		if (d->d_inode_le != 0 && d->d_name_len != 0) {
			dx_hash(x, version, d->d_name, d->d_name_len, &hash);
			for (i = n; i > 0 && ln[i - 1].ln_hash > hash.dh_major;
			     i--)
				ln[i] = ln[i - 1];
			ln[i].ln_hash = hash.dh_major;
			ln[i].ln_off = off;
			n++;
		}
		off += dir_reclen(d, x);
	}
	*np = n;
	return n < 2 ? -Q_ENOSPC : 0;
}

/* Lay names out in a block, packed; the last has the rest. */
static void
pack(const struct ext4 *x, uint8_t *to, const uint8_t *from,
    const struct leafname *ln, uint32_t n)
{
	uint32_t at = 0, i, len;
	struct ext4_dirent *d = (void *)to;

	memset(to, 0, x->x_bsize);
	for (i = 0; i < n; i++) {
		const struct ext4_dirent *s = (const void *)(from +
		    ln[i].ln_off);

		len = (EXT4_DIRENT_HEAD + s->d_name_len + 3) & ~3u;
		d = (void *)(to + at);
		memcpy(d, s, EXT4_DIRENT_HEAD + s->d_name_len);
		dir_set_reclen(d, x, len);
		at += len;
	}
	if (n == 0)
		dir_set_reclen(d, x, dir_room(x));
	else
		dir_set_reclen(d, x, dir_reclen(d, x) + dir_room(x) - at);
	dir_tail(x, to);
}

/* Which names go into the new block: from this one on. */
static uint32_t
split_at(const struct ext4 *x, const uint8_t *p, const struct leafname *ln,
    uint32_t n)
{
	uint32_t size = 0, i;

	for (i = n; i > 1; i--) {
		const struct ext4_dirent *d = (const void *)(p +
		    ln[i - 1].ln_off);

		size += (EXT4_DIRENT_HEAD + d->d_name_len + 3) & ~3u;
		if (size > x->x_bsize / 2)
			break;
	}
	return i < 1 ? 1 : i == n ? n - 1 : i;
}

static int
split_leaf(struct jhandle *h, struct inode *dir, struct dxpath *dx,
    struct qbuf *b)
{
	const struct ext4 *x = inode_fs(dir);
	struct leafname *ln = qalloc(&ext4_tag,
	    (size_t)x->x_bsize / 12 * sizeof(*ln));
	uint8_t *copy = qalloc(&ext4_tag, x->x_bsize);
	uint32_t n, at, hash;
	struct qbuf *nb;
	uint64_t lblk;
	int error = -Q_ENOMEM;

	if (ln == NULL || copy == NULL)
		goto out;
	memcpy(copy, b->bf_data, x->x_bsize);
	error = hash_names(dir, copy, 0, dx->dx_version, ln, &n);
	if (error == 0)
		error = journal_get_write(h, b);
	if (error == 0)
		error = dir_append(h, dir, &lblk, &nb);
	if (error != 0)
		goto out;
	at = split_at(x, copy, ln, n);
	/* Names of one hash on both sides: the index says so. */
	hash = ln[at].ln_hash + (ln[at].ln_hash == ln[at - 1].ln_hash);
	qbuf_lock(nb);
	pack(x, nb->bf_data, copy, ln + at, n - at);
	dir_changed(h, dir, nb);
	qbuf_put(nb);
	qbuf_lock(b);
	pack(x, b->bf_data, copy, ln, at);
	dir_changed(h, dir, b);
	error = node_insert(h, dir, &dx->dx_frame[dx->dx_n - 1], hash, lblk);
out:
	qfree(ln);
	qfree(copy);
	return error;
}

int
dx_add(struct jhandle *h, struct inode *dir, const char *name, uint32_t len,
    uint64_t ino, uint32_t mode)
{
	unsigned tries;
	int error;

	/* A split each time, at most one a level and two of the leaf. */
	for (tries = 0; tries < 8; tries++) {
		struct dxhash hash;
		struct dxpath dx;
		struct qbuf *b;
		uint64_t lblk;

		error = dx_version(dir, &dx.dx_version);
		if (error != 0)
			return error;
		dx_hash(inode_fs(dir), dx.dx_version, name, len, &hash);
		error = dx_probe(dir, hash.dh_major, &dx);
		if (error != 0)
			return error;
		error = dx_leaf(dir, &dx, &lblk);
		if (error == 0)
			error = dir_block(dir, lblk, false, &b);
		if (error != 0) {
			dx_put(&dx);
			return error;
		}
		error = dir_put_block(h, dir, b, name, len, ino, mode);
		if (error == -Q_ENOSPC) {
			error = make_room(h, dir, &dx);
			if (error == 0)
				error = split_leaf(h, dir, &dx, b);
			if (error >= 0)
				error = 1;
		}
		qbuf_put(b);
		dx_put(&dx);
		if (error <= 0)
			return error;
	}
	return -Q_ENOSPC;
}

int
dx_make(struct jhandle *h, struct inode *dir)
{
	struct ext4 *x = inode_fs(dir);
	struct leafname *ln = qalloc(&ext4_tag,
	    (size_t)x->x_bsize / 12 * sizeof(*ln));
	uint8_t *copy = qalloc(&ext4_tag, x->x_bsize);
	struct ext4_dx_root_info *ri;
	struct dxframe f = { 0 };
	uint32_t version, n, at;
	struct qbuf *nb;
	uint64_t lblk;
	int error = -Q_ENOMEM;

	if (ln == NULL || copy == NULL)
		goto out;
	error = dx_version(dir, &version);
	if (error == 0)
		error = dir_block(dir, 0, false, &f.df_buf);
	if (error != 0)
		goto out;
	memcpy(copy, f.df_buf->bf_data, x->x_bsize);
	/* "." and ".." stay. */
	at = 12 + dir_reclen((const void *)(copy + 12), x);
	if (dir_reclen((const void *)copy, x) != 12)
		error = inode_damaged(dir, "does not begin with \".\"");
	if (error == 0)
		error = hash_names(dir, copy, at, version, ln, &n);
	if (error == 0)
		error = journal_get_write(h, f.df_buf);
	if (error == 0)
		error = dir_append(h, dir, &lblk, &nb);
	if (error != 0)
		goto out;
	qbuf_lock(nb);
	pack(x, nb->bf_data, copy, ln, n);
	dir_changed(h, dir, nb);
	qbuf_put(nb);
	qbuf_lock(f.df_buf);
	memset(f.df_buf->bf_data + EXT4_DX_ROOT_INFO, 0,
	    x->x_bsize - EXT4_DX_ROOT_INFO);
	dir_set_reclen((void *)(f.df_buf->bf_data + 12), x, x->x_bsize - 12);
	ri = (void *)(f.df_buf->bf_data + EXT4_DX_ROOT_INFO);
	ri->dx_hash = (uint8_t)(version % EXT4_HASH_LEGACY_U);
	ri->dx_length = 8;
	f.df_entries = (void *)(ri + 1);
	f.df_limit = limit_at(x, EXT4_DX_ROOT_INFO + 8);
	f.df_count = 1;
	f.df_entries[0].dx_block_le = to_le32(lblk);
	node_changed(h, dir, &f);
	qmutex_lock(&dir->i_lock);
	dir->i_flags |= EXT4_INDEX_FL;
	error = inode_write(h, dir);
	qmutex_unlock(&dir->i_lock);
out:
	qbuf_put(f.df_buf);
	qfree(ln);
	qfree(copy);
	return error;
}
