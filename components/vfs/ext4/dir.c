/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Directories: blocks of entries, each as long as it says, which fill the block.
 *
 * Source: section 5.3.
 *
 * Positions for readdir.  Where names may be hashed, at once or when the
 * directory grows, entries come in the order of their hashes, and a position is a
 * hash: entries move between blocks, but their hashes stay.  In other directories
 * an entry stays where it is while it lives, and a position is an offset; one in
 * inline data has that which it will have in the first block.
 */
#include "impl.h"

uint32_t
dir_room(const struct ext4 *x)
{
	return x->x_bsize -
	    (x->x_csum ? (uint32_t)sizeof(struct ext4_dirent_tail) : 0);
}

/* Blocks of 64 KiB have lengths that 16 bits do not hold. */
uint32_t
dir_reclen(const struct ext4_dirent *d, const struct ext4 *x)
{
	uint32_t len = le16(d->d_rec_len_le);

	if (x->x_bsize < 65536)
		return len;
	if (len == 0 || len == 65535)
		return x->x_bsize;
	return (len & 65532) | (len & 3) << 16;
}

static int
bad_entry(struct inode *dir, const struct dirspan *s, uint32_t off,
    const char *what)
{
	return inode_damaged(dir, "directory block %lu: entry at %u: %s",
	    s->ds_blk, off, what);
}

/* Is there an entry at `off` that can be used? */
int
dir_check_entry(struct inode *dir, const struct dirspan *s, uint32_t off)
{
	struct ext4 *x = inode_fs(dir);
	const struct ext4_dirent *d = (const void *)(s->ds_p + off);
	uint32_t len;

	if (s->ds_len - off < EXT4_DIRENT_HEAD)
		return bad_entry(dir, s, off, "no room for one");
	len = dir_reclen(d, x);
	if (len < EXT4_DIRENT_HEAD + 4 || (len & 3) != 0)
		return bad_entry(dir, s, off, "bad length");
	if (len > s->ds_len - off)
		return bad_entry(dir, s, off, "longer than the block");
	if (d->d_name_len + EXT4_DIRENT_HEAD > len)
		return bad_entry(dir, s, off, "name longer than the entry");
	if (le32(d->d_inode_le) > x->x_ninode)
		return bad_entry(dir, s, off, "no such inode");
	return 0;
}

/* The checksum of a block of entries is in what looks like an unused one. */
static int
check_leaf(struct inode *dir, uint64_t lblk, struct qbuf *b)
{
	const struct ext4 *x = inode_fs(dir);
	const struct ext4_dirent_tail *t = (const void *)(b->bf_data +
	    dir_room(x));

	if (!x->x_csum)
		return 0;
	if (t->dt_zero_le != 0 || le16(t->dt_rec_len_le) != sizeof(*t) ||
	    t->dt_zero2 != 0 || t->dt_type != EXT4_TAIL_TYPE)
		return inode_damaged(dir,
		    "directory block %lu, at %lu: no checksum", lblk,
		    b->bf_blk);
	if (csum_block(dir->i_seed, b->bf_data, dir_room(x)) !=
	    le32(t->dt_checksum_le))
		return inode_damaged(dir,
		    "directory block %lu, at %lu: wrong checksum", lblk,
		    b->bf_blk);
	return 0;
}

/* Where the entries of an index block are, or 0: it is none. */
static uint32_t
index_offset(const struct ext4 *x, const uint8_t *p)
{
	const struct ext4_dirent *d = (const void *)p, *dd;
	const struct ext4_dx_root_info *ri;

	if (le16(d->d_rec_len_le) == 12) {
		dd = (const void *)(p + 12);
		ri = (const void *)(p + EXT4_DX_ROOT_INFO);
		if (dir_reclen(dd, x) != x->x_bsize - 12 ||
		    ri->dx_zero_le != 0 || ri->dx_length != 8)
			return 0;
		return EXT4_DX_ROOT_INFO + 8;
	}
	if (d->d_inode_le == 0 && d->d_name_len == 0 &&
	    dir_reclen(d, x) == x->x_bsize)
		return EXT4_DX_NODE;
	return 0;
}

static int
check_index(struct inode *dir, uint64_t lblk, struct qbuf *b)
{
	const struct ext4 *x = inode_fs(dir);
	uint32_t off = index_offset(x, b->bf_data), limit, count;
	const struct ext4_dx_countlimit *cl;
	const struct ext4_dx_tail *t;

	if (off == 0)
		return inode_damaged(dir,
		    "directory block %lu, at %lu: is no index", lblk,
		    b->bf_blk);
	cl = (const void *)(b->bf_data + off);
	limit = le16(cl->dx_limit_le);
	count = le16(cl->dx_count_le);
	if (off + limit * 8 + (x->x_csum ? sizeof(*t) : 0) > x->x_bsize ||
	    count == 0 || count > limit)
		return inode_damaged(dir,
		    "directory block %lu, at %lu: %u index entries of %u", lblk,
		    b->bf_blk, count, limit);
	if (!x->x_csum)
		return 0;
	t = (const void *)(b->bf_data + off + limit * 8);
	if (csum_dx(dir->i_seed, b->bf_data, off + count * 8, t) !=
	    le32(t->dt_checksum_le))
		return inode_damaged(dir,
		    "directory block %lu, at %lu: wrong checksum", lblk,
		    b->bf_blk);
	return 0;
}

int
dir_block(struct inode *dir, uint64_t lblk, bool index, struct qbuf **bp)
{
	struct ext4 *x = inode_fs(dir);
	struct run r;
	int error;

	if (lblk >= dir_nblock(dir))
		return inode_damaged(dir,
		    "directory block %lu is beyond its "
		    "end",
		    lblk);
	qmutex_lock(&dir->i_lock);
	error = map_find(dir, lblk, &r);
	qmutex_unlock(&dir->i_lock);
	if (error != 0)
		return error;
	if (r.r_flags != 0)
		return inode_damaged(dir, "directory block %lu is missing",
		    lblk);
	error = blk_read(x, r.r_pblk, bp);
	if (error != 0)
		return error;
	/* An index must be one each time: a leaf may have been checked as such. */
	if (index)
		error = check_index(dir, lblk, *bp);
	else if (!qbuf_is(*bp, QBUF_CHECKED))
		error = check_leaf(dir, lblk, *bp);
	if (error != 0)
		qbuf_put(*bp);
	else
		qbuf_set(*bp, QBUF_CHECKED);
	return error;
}

int
dir_search(struct inode *dir, const struct dirspan *s, const char *name,
    uint32_t len, struct dirplace *dp)
{
	const struct ext4 *x = inode_fs(dir);
	uint32_t off, prev = UINT32_MAX;
	int error;

	for (off = 0; off < s->ds_len;) {
		const struct ext4_dirent *d = (const void *)(s->ds_p + off);

		error = dir_check_entry(dir, s, off);
		if (error != 0)
			return error;
		if (d->d_name_len == len && d->d_inode_le != 0 &&
		    memcmp(d->d_name, name, len) == 0) {
			dp->dp_off = off;
			dp->dp_prev = prev;
			dp->dp_ino = le32(d->d_inode_le);
			dp->dp_type = d->d_type;
			return 0;
		}
		prev = off;
		off += dir_reclen(d, x);
	}
	return -Q_ENOENT;
}

static int
find_inline(struct inode *dir, const char *name, uint32_t len,
    struct dirplace *dp)
{
	struct dirspan s = { 0 };
	uint8_t *p;
	uint32_t n;
	int error;

	error = inline_dir(dir, &p, &n);
	if (error != 0)
		return error;
	/* The two parts are apart: an entry does not reach into the next. */
	s.ds_p = p + 4;
	s.ds_len = (n < EXT4_IBLOCK ? n : EXT4_IBLOCK) - 4;
	error = dir_search(dir, &s, name, len, dp);
	if (error == 0) {
		dp->dp_off += 4;
	} else if (error == -Q_ENOENT && n > EXT4_IBLOCK) {
		s.ds_p = p + EXT4_IBLOCK;
		s.ds_len = n - EXT4_IBLOCK;
		error = dir_search(dir, &s, name, len, dp);
		if (error == 0)
			dp->dp_off += EXT4_IBLOCK;
	}
	dp->dp_buf = NULL;
	qfree(p);
	return error;
}

static int
find_linear(struct inode *dir, const char *name, uint32_t len,
    struct dirplace *dp)
{
	uint64_t n = dir_nblock(dir), i;
	int error = -Q_ENOENT;

	for (i = 0; i < n && error == -Q_ENOENT; i++) {
		struct dirspan s = { 0 };
		struct qbuf *b;

		error = dir_block(dir, i, false, &b);
		if (error != 0)
			return error;
		s.ds_p = b->bf_data;
		s.ds_len = dir_room(inode_fs(dir));
		s.ds_blk = b->bf_blk;
		error = dir_search(dir, &s, name, len, dp);
		dp->dp_buf = b;
		dp->dp_lblk = i;
		if (error != 0)
			qbuf_put(b);
	}
	return error;
}

/* ".." is in the first block, where the index begins. */
static int
find_dotdot(struct inode *dir, struct dirplace *dp)
{
	struct dirspan s = { 0 };
	struct qbuf *b;
	int error;

	error = dir_block(dir, 0, true, &b);
	if (error != 0)
		return error;
	s.ds_p = b->bf_data;
	s.ds_len = inode_fs(dir)->x_bsize;
	s.ds_blk = b->bf_blk;
	error = dir_search(dir, &s, "..", 2, dp);
	dp->dp_buf = b;
	dp->dp_lblk = 0;
	if (error != 0)
		qbuf_put(b);
	return error;
}

int
dir_find(struct inode *dir, const char *name, uint32_t len, struct dirplace *dp)
{
	if (inode_has(dir, EXT4_INLINE_DATA_FL))
		return find_inline(dir, name, len, dp);
	if (!inode_has(dir, EXT4_INDEX_FL))
		return find_linear(dir, name, len, dp);
	if (len == 2 && memcmp(name, "..", 2) == 0)
		return find_dotdot(dir, dp);
	return dx_find(dir, name, len, dp);
}

/* ---- readdir --------------------------------------------------------------- */

/* An entry to be told of. */
struct item {
	uint64_t it_pos;
	uint32_t it_off;
};

/* Entries on their way to the reader, in order. */
struct listing {
	struct inode *ls_dir;
	uint8_t *ls_p; /* copies of the blocks they are in */
	uint32_t ls_len, ls_max;
	struct item *ls_item;
	uint32_t ls_n, ls_maxitem;
	uint32_t ls_version; /* of the hash */
};

#define POS_END ((uint64_t)INT64_MAX)

static const uint8_t dt_of[] = { Q_DT_UNKNOWN, Q_DT_REG, Q_DT_DIR, Q_DT_CHR,
	Q_DT_BLK, Q_DT_FIFO, Q_DT_SOCK, Q_DT_LNK };

static uint32_t
entry_type(const struct ext4 *x, const struct ext4_dirent *d)
{
	if (!has_incompat(x, EXT4_INCOMPAT_FILETYPE) ||
	    d->d_type >= sizeof(dt_of))
		return Q_DT_UNKNOWN;
	return dt_of[d->d_type];
}

/* 0 and 1 are "." and "..". */
static uint64_t
hash_pos(const struct dxhash *h)
{
	uint64_t pos = (uint64_t)(h->dh_major >> 1) << 32 | h->dh_minor;

	return pos < 2 ? 2 : pos;
}

static bool
is_dots(const struct ext4_dirent *d)
{
	return (d->d_name_len == 1 && d->d_name[0] == '.') ||
	    (d->d_name_len == 2 && d->d_name[0] == '.' && d->d_name[1] == '.');
}

static int
grow(void **p, uint32_t have, uint32_t *max, uint32_t want, size_t size)
{
	uint32_t n = *max == 0 ? 64 : *max;
	void *q;

	if (want <= *max)
		return 0;
	while (n < want)
		n *= 2;
	q = qalloc(&ext4_tag, n * size);
	if (q == NULL)
		return -Q_ENOMEM;
	if (have > 0)
		memcpy(q, *p, have * size);
	qfree(*p);
	*p = q;
	*max = n;
	return 0;
}

/* Take the entries of a span that come at `from` or later. */
static int
list_span(struct listing *ls, const struct dirspan *s, uint64_t from)
{
	struct ext4 *x = inode_fs(ls->ls_dir);
	uint32_t off, base = ls->ls_len;
	void *p = ls->ls_p;
	int error;

	error = grow(&p, ls->ls_len, &ls->ls_max, base + s->ds_len, 1);
	ls->ls_p = p;
	if (error != 0)
		return error;
	memcpy(ls->ls_p + base, s->ds_p, s->ds_len);
	ls->ls_len += s->ds_len;
	for (off = 0; off < s->ds_len;) {
		const struct ext4_dirent *d;
		struct dirspan copy = { ls->ls_p + base, s->ds_len, s->ds_blk };
		struct dxhash h;
		uint64_t pos;

		error = dir_check_entry(ls->ls_dir, &copy, off);
		if (error != 0)
			return error;
		d = (const void *)(ls->ls_p + base + off);
		if (d->d_inode_le != 0 && d->d_name_len > 0 && !is_dots(d)) {
			dx_hash(x, ls->ls_version, d->d_name, d->d_name_len,
			    &h);
			pos = hash_pos(&h);
			p = ls->ls_item;
			if (pos >= from)
				error = grow(&p, ls->ls_n, &ls->ls_maxitem,
				    ls->ls_n + 1, sizeof(struct item));
			ls->ls_item = p;
			if (error != 0)
				return error;
			if (pos >= from) {
				ls->ls_item[ls->ls_n].it_pos = pos;
				ls->ls_item[ls->ls_n++].it_off = base + off;
			}
		}
		off += dir_reclen(d, x);
	}
	return 0;
}

/* By position, in place. */
static void
sift(struct item *a, uint32_t i, uint32_t n)
{
	uint32_t c;

	while ((c = 2 * i + 1) < n) {
		struct item t = a[i];

		if (c + 1 < n && a[c + 1].it_pos > a[c].it_pos)
			c++;
		if (a[c].it_pos <= t.it_pos)
			return;
		a[i] = a[c];
		a[c] = t;
		i = c;
	}
}

static void
sort_items(struct item *a, uint32_t n)
{
	uint32_t i;

	for (i = n / 2; i-- > 0;)
		sift(a, i, n);
	for (i = n; i-- > 1;) {
		struct item t = a[0];

		a[0] = a[i];
		a[i] = t;
		sift(a, 0, i);
	}
}

/*
 * Tell of what was listed; `next` is the position behind it.  1: the reader has
 * had enough.
 */
static int
emit_list(struct listing *ls, uint64_t next, uint64_t *posp, qreaddir_fn *emit,
    void *arg)
{
	struct ext4 *x = inode_fs(ls->ls_dir);
	uint32_t i;

	sort_items(ls->ls_item, ls->ls_n);
	for (i = 0; i < ls->ls_n; i++) {
		const struct ext4_dirent *d = (const void *)(ls->ls_p +
		    ls->ls_item[i].it_off);
		uint64_t after = i + 1 < ls->ls_n ? ls->ls_item[i + 1].it_pos :
						    next;

		*posp = ls->ls_item[i].it_pos;
		if (emit(arg, d->d_name, d->d_name_len, le32(d->d_inode_le),
			entry_type(x, d), after) != 0)
			return 1;
		*posp = after;
	}
	*posp = next;
	ls->ls_n = ls->ls_len = 0;
	return 0;
}

/* The leaves of an index from position `from` on. */
static int
read_indexed(struct listing *ls, uint64_t *posp, qreaddir_fn *emit, void *arg)
{
	struct inode *dir = ls->ls_dir;
	uint64_t left = dir_nblock(dir), lblk;
	struct dxpath dx;
	int error, more;

	error = dx_probe(dir, (uint32_t)(*posp >> 32) << 1, &dx);
	if (error != 0)
		return error;
	do {
		uint32_t hash = 0;

		/* With what goes on in the next: a hash that both have. */
		do {
			struct dirspan s = { 0 };
			struct qbuf *b;

			if (left-- == 0) {
				error = inode_damaged(dir,
				    "its index has more leaves than blocks");
				goto out;
			}
			error = dx_leaf(dir, &dx, &lblk);
			if (error == 0)
				error = dir_block(dir, lblk, false, &b);
			if (error != 0)
				goto out;
			s.ds_p = b->bf_data;
			s.ds_len = dir_room(inode_fs(dir));
			s.ds_blk = b->bf_blk;
			error = list_span(ls, &s, *posp);
			qbuf_put(b);
			if (error != 0)
				goto out;
			more = dx_next(dir, &dx, &hash);
			if (more < 0) {
				error = more;
				goto out;
			}
		} while (more > 0 && (hash & 1) != 0);
		error = emit_list(ls,
		    more > 0 ? (uint64_t)(hash >> 1) << 32 : POS_END, posp,
		    emit, arg);
	} while (error == 0 && more > 0);
out:
	dx_put(&dx);
	return error;
}

static int
read_inline_hashed(struct listing *ls, uint64_t *posp)
{
	struct dirspan s = { 0 };
	uint8_t *p;
	uint32_t n;
	int error;

	error = inline_dir(ls->ls_dir, &p, &n);
	if (error != 0)
		return error;
	s.ds_p = p + 4;
	s.ds_len = (n < EXT4_IBLOCK ? n : EXT4_IBLOCK) - 4;
	error = list_span(ls, &s, *posp);
	if (error == 0 && n > EXT4_IBLOCK) {
		s.ds_p = p + EXT4_IBLOCK;
		s.ds_len = n - EXT4_IBLOCK;
		error = list_span(ls, &s, *posp);
	}
	qfree(p);
	return error;
}

static int
read_hashed(struct inode *dir, uint64_t *posp, qreaddir_fn *emit, void *arg)
{
	struct listing ls = { .ls_dir = dir };
	struct dirspan s = { 0 };
	struct qbuf *b;
	int error;

	error = dx_version(dir, &ls.ls_version);
	if (error != 0)
		return error;
	if (inode_has(dir, EXT4_INLINE_DATA_FL)) {
		error = read_inline_hashed(&ls, posp);
	} else if (inode_has(dir, EXT4_INDEX_FL)) {
		error = read_indexed(&ls, posp, emit, arg);
		goto out;
	} else {
		error = dir_block(dir, 0, false, &b);
		if (error != 0)
			return error;
		s.ds_p = b->bf_data;
		s.ds_len = dir_room(inode_fs(dir));
		s.ds_blk = b->bf_blk;
		error = list_span(&ls, &s, *posp);
		qbuf_put(b);
	}
	if (error == 0)
		error = emit_list(&ls, POS_END, posp, emit, arg);
out:
	qfree(ls.ls_p);
	qfree(ls.ls_item);
	return error > 0 ? 0 : error;
}

int
dir_parent(struct inode *dir, uint32_t *ino)
{
	struct dirplace dp;
	le32_t n;
	int error;

	if (inode_has(dir, EXT4_INLINE_DATA_FL)) {
		memcpy(&n, dir->i_data, sizeof(n));
		*ino = le32(n);
		return 0;
	}
	error = dir_find(dir, "..", 2, &dp);
	if (error != 0)
		return error == -Q_ENOENT ?
		    inode_damaged(dir, "has no \"..\"") :
		    error;
	*ino = dp.dp_ino;
	qbuf_put(dp.dp_buf);
	return 0;
}

/* The entries of a span from position *posp on; its first is at `base`. */
static int
emit_span(struct inode *dir, const struct dirspan *s, uint64_t base,
    uint64_t *posp, qreaddir_fn *emit, void *arg)
{
	struct ext4 *x = inode_fs(dir);
	uint32_t off;
	int error;

	for (off = 0; off < s->ds_len;) {
		const struct ext4_dirent *d = (const void *)(s->ds_p + off);
		uint64_t after;

		error = dir_check_entry(dir, s, off);
		if (error != 0)
			return error;
		after = base + off + dir_reclen(d, x);
		if (base + off >= *posp && d->d_inode_le != 0 &&
		    d->d_name_len > 0) {
			*posp = base + off;
			if (emit(arg, d->d_name, d->d_name_len,
				le32(d->d_inode_le), entry_type(x, d),
				after) != 0)
				return 1;
			*posp = after;
		}
		off += dir_reclen(d, x);
	}
	return 0;
}

static int
read_linear(struct inode *dir, uint64_t *posp, qreaddir_fn *emit, void *arg)
{
	struct ext4 *x = inode_fs(dir);
	uint64_t lblk = *posp >> x->x_bits;
	int error = 0;

	for (; lblk < dir_nblock(dir) && error == 0; lblk++) {
		uint64_t base = lblk << x->x_bits;
		struct dirspan s = { 0 };
		struct qbuf *b;

		error = dir_block(dir, lblk, false, &b);
		if (error != 0)
			return error;
		s.ds_p = b->bf_data;
		s.ds_len = dir_room(x);
		s.ds_blk = b->bf_blk;
		error = emit_span(dir, &s, base, posp, emit, arg);
		if (error == 0 && *posp < base + x->x_bsize)
			*posp = base + x->x_bsize;
		qbuf_put(b);
	}
	return error > 0 ? 0 : error;
}

/* The offset that the first entry has, once there is a block. */
#define INLINE_BASE 24u

static int
read_inline(struct inode *dir, uint64_t *posp, qreaddir_fn *emit, void *arg)
{
	struct dirspan s = { 0 };
	uint32_t n, ino;
	uint8_t *p;
	int error;

	error = inline_dir(dir, &p, &n);
	if (error != 0)
		return error;
	if (*posp == 0) {
		if (emit(arg, ".", 1, dir->i_v.v_ino, Q_DT_DIR, 12) != 0)
			goto out;
		*posp = 12;
	}
	if (*posp <= 12) {
		error = dir_parent(dir, &ino);
		if (error != 0 ||
		    emit(arg, "..", 2, ino, Q_DT_DIR, INLINE_BASE) != 0)
			goto out;
		*posp = INLINE_BASE;
	}
	s.ds_p = p + 4;
	s.ds_len = (n < EXT4_IBLOCK ? n : EXT4_IBLOCK) - 4;
	error = emit_span(dir, &s, INLINE_BASE, posp, emit, arg);
	if (error == 0 && n > EXT4_IBLOCK) {
		s.ds_p = p + EXT4_IBLOCK;
		s.ds_len = n - EXT4_IBLOCK;
		error = emit_span(dir, &s, INLINE_BASE + EXT4_IBLOCK - 4, posp,
		    emit, arg);
	}
out:
	qfree(p);
	return error > 0 ? 0 : error;
}

/* May the directory be, or become, an index? */
static bool
is_hashed(const struct inode *dir)
{
	if ((inode_fs(dir)->x_compat & EXT4_COMPAT_DIR_INDEX) == 0)
		return false;
	return inode_has(dir, EXT4_INDEX_FL | EXT4_INLINE_DATA_FL) ||
	    dir_nblock(dir) == 1;
}

int
dir_readdir(struct qvnode *v, uint64_t *posp, qreaddir_fn *emit, void *arg)
{
	struct inode *dir = inode_of(v);
	uint32_t ino;
	int error;

	if (!is_hashed(dir)) {
		if (inode_has(dir, EXT4_INLINE_DATA_FL))
			return read_inline(dir, posp, emit, arg);
		return read_linear(dir, posp, emit, arg);
	}
	if (*posp >= POS_END)
		return 0;
	if (*posp == 0) {
		if (emit(arg, ".", 1, v->v_ino, Q_DT_DIR, 1) != 0)
			return 0;
		*posp = 1;
	}
	if (*posp == 1) {
		error = dir_parent(dir, &ino);
		if (error != 0)
			return error;
		if (emit(arg, "..", 2, ino, Q_DT_DIR, 2) != 0)
			return 0;
		*posp = 2;
	}
	return read_hashed(dir, posp, emit, arg);
}
