/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hash trees: the index of a directory by the hash of its names.
 *
 * Source: section 5.3.2, "Hash Tree Directories".  The hashes are a function of
 * the name's bytes, as signed or unsigned numbers, and the super block's seed;
 * MD4 is RFC 1320's with fewer steps, TEA that of Wheeler and Needham.
 *
 * A leaf holds the names from its hash to that of the next leaf.  Names of one
 * hash may fill several: those that go on have the lowest bit of their hash set
 * in the index, which no name's hash has.
 */
#include "impl.h"

static uint32_t
rotate(uint32_t v, unsigned by)
{
	return v << by | v >> (32 - by);
}

/* A round's step: `i` counts, so that a, b, c, d change places. */
static void
half_md4(uint32_t hash[4], const uint32_t in[8])
{
	static const uint8_t order[3][8] = { { 0, 1, 2, 3, 4, 5, 6, 7 },
		{ 1, 3, 5, 7, 0, 2, 4, 6 }, { 3, 7, 2, 6, 1, 5, 0, 4 } };
	static const uint8_t shift[3][4] = { { 3, 7, 11, 19 }, { 3, 5, 9, 13 },
		{ 3, 9, 11, 15 } };
	static const uint32_t add[3] = { 0, 0x5a827999, 0x6ed9eba1 };
	uint32_t w[4], f;
	unsigned r, i;

	memcpy(w, hash, sizeof(w));
	for (r = 0; r < 3; r++) {
		for (i = 0; i < 8; i++) {
			uint32_t *a = &w[(4 - i % 4) % 4];
			uint32_t b = w[(5 - i % 4) % 4];
			uint32_t c = w[(6 - i % 4) % 4];
			uint32_t d = w[(7 - i % 4) % 4];

			if (r == 0)
				f = d ^ (b & (c ^ d));
			else if (r == 1)
				f = (b & c) + ((b ^ c) & d);
			else
				f = b ^ c ^ d;
			*a = rotate(*a + f + in[order[r][i]] + add[r],
			    shift[r][i % 4]);
		}
	}
	for (i = 0; i < 4; i++)
		hash[i] += w[i];
}

static void
tea(uint32_t hash[4], const uint32_t in[4])
{
	uint32_t sum = 0, b0 = hash[0], b1 = hash[1];
	unsigned n;

	for (n = 0; n < 16; n++) {
		sum += 0x9e3779b9;
		b0 += ((b1 << 4) + in[0]) ^ (b1 + sum) ^ ((b1 >> 5) + in[1]);
		b1 += ((b0 << 4) + in[2]) ^ (b0 + sum) ^ ((b0 >> 5) + in[3]);
	}
	hash[0] += b0;
	hash[1] += b1;
}

/* A byte of a name as the machine that made the index took it. */
static uint32_t
byte_at(const char *name, uint32_t i, bool is_unsigned)
{
	return is_unsigned ? (uint32_t)(uint8_t)name[i] :
			     (uint32_t)(int32_t)(int8_t)name[i];
}

static uint32_t
legacy(const char *name, uint32_t len, bool is_unsigned)
{
	uint32_t h, h0 = 0x12a3fe2d, h1 = 0x37abe8f9, i;

	for (i = 0; i < len; i++) {
		h = h1 + (h0 ^ (byte_at(name, i, is_unsigned) * 7152373u));
		if ((h & 0x80000000u) != 0)
			h -= 0x7fffffffu;
		h1 = h0;
		h0 = h;
	}
	return h0 << 1;
}

/* Four bytes a word, filled up with the length. */
static void
words_of(const char *name, uint32_t len, uint32_t *w, uint32_t n,
    bool is_unsigned)
{
	uint32_t pad = len | len << 8, v, i, k = 0;

	pad |= pad << 16;
	v = pad;
	if (len > n * 4)
		len = n * 4;
	for (i = 0; i < len; i++) {
		v = byte_at(name, i, is_unsigned) + (v << 8);
		if (i % 4 == 3) {
			w[k++] = v;
			v = pad;
		}
	}
	if (k < n)
		w[k++] = v;
	while (k < n)
		w[k++] = pad;
}

void
dx_hash(const struct ext4 *x, uint32_t version, const char *name, uint32_t len,
    struct dxhash *h)
{
	uint32_t w[4] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476 };
	bool is_unsigned = version >= EXT4_HASH_LEGACY_U;
	uint32_t in[8], at;

	if (is_unsigned)
		version -= EXT4_HASH_LEGACY_U;
	if ((x->x_hashseed[0] | x->x_hashseed[1] | x->x_hashseed[2] |
		x->x_hashseed[3]) != 0)
		memcpy(w, x->x_hashseed, sizeof(w));
	h->dh_minor = 0;
	if (version == EXT4_HASH_LEGACY) {
		h->dh_major = legacy(name, len, is_unsigned);
	} else if (version == EXT4_HASH_HALF_MD4) {
		for (at = 0; at < len; at += 32) {
			words_of(name + at, len - at, in, 8, is_unsigned);
			half_md4(w, in);
		}
		h->dh_major = w[1];
		h->dh_minor = w[2];
	} else {
		for (at = 0; at < len; at += 16) {
			words_of(name + at, len - at, in, 4, is_unsigned);
			tea(w, in);
		}
		h->dh_major = w[0];
		h->dh_minor = w[1];
	}
	h->dh_major &= ~1u;
	/* That one means the end, to readdir. */
	if (h->dh_major == 0xfffffffeu)
		h->dh_major = 0xfffffffcu;
}

static int
check_version(struct inode *dir, uint32_t v, uint32_t *version)
{
	const struct ext4 *x = inode_fs(dir);

	if (v > EXT4_HASH_TEA)
		return inode_damaged(dir, "names are hashed by method %u", v);
	*version = v + (x->x_hash_unsigned ? EXT4_HASH_LEGACY_U : 0);
	return 0;
}

int
dx_version(struct inode *dir, uint32_t *version)
{
	const struct ext4 *x = inode_fs(dir);
	const struct ext4_dx_root_info *ri;
	struct qbuf *b;
	int error;

	if (!inode_has(dir, EXT4_INDEX_FL)) {
		uint32_t v = x->x_super->s_def_hash_version;

		return check_version(dir,
		    v > EXT4_HASH_TEA ? EXT4_HASH_HALF_MD4 : v, version);
	}
	error = dir_block(dir, 0, true, &b);
	if (error != 0)
		return error;
	ri = (const void *)(b->bf_data + EXT4_DX_ROOT_INFO);
	error = check_version(dir, ri->dx_hash, version);
	qbuf_put(b);
	return error;
}

void
dx_put(struct dxpath *dx)
{
	uint32_t i;

	for (i = 0; i < dx->dx_n; i++)
		qbuf_put(dx->dx_frame[i].df_buf);
	dx->dx_n = 0;
}

static uint64_t
child_of(const struct dxframe *f)
{
	return le32(f->df_entries[f->df_at].dx_block_le) & 0x0fffffff;
}

/* Read an index node as the next frame. */
static int
push(struct inode *dir, struct dxpath *dx, uint64_t lblk, uint32_t off)
{
	struct dxframe *f = &dx->dx_frame[dx->dx_n];
	const struct ext4_dx_countlimit *cl;
	int error;

	error = dir_block(dir, lblk, true, &f->df_buf);
	if (error != 0)
		return error;
	/* dir_block has checked a node of either kind; it must be this one. */
	cl = (const void *)(f->df_buf->bf_data + off);
	f->df_entries = (void *)(f->df_buf->bf_data + off);
	f->df_count = le16(cl->dx_count_le);
	f->df_limit = le16(cl->dx_limit_le);
	f->df_at = 0;
	if (f->df_count == 0 || f->df_count > f->df_limit ||
	    off + (size_t)f->df_limit * 8 > inode_fs(dir)->x_bsize) {
		qbuf_put(f->df_buf);
		return inode_damaged(dir, "directory block %lu: bad index",
		    lblk);
	}
	dx->dx_n++;
	return 0;
}

static void
search_node(struct dxframe *f, uint32_t major)
{
	uint32_t lo = 1, hi = f->df_count;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (le32(f->df_entries[mid].dx_hash_le) <= major)
			lo = mid + 1;
		else
			hi = mid;
	}
	f->df_at = lo - 1;
}

int
dx_probe(struct inode *dir, uint32_t major, struct dxpath *dx)
{
	const struct ext4 *x = inode_fs(dir);
	const struct ext4_dx_root_info *ri;
	uint32_t levels, max, i;
	int error;

	dx->dx_n = 0;
	error = push(dir, dx, 0, EXT4_DX_ROOT_INFO + 8);
	if (error != 0)
		return error;
	ri = (const void *)(dx->dx_frame[0].df_buf->bf_data +
	    EXT4_DX_ROOT_INFO);
	levels = ri->dx_levels;
	max = has_incompat(x, EXT4_INCOMPAT_LARGEDIR) ? 2 : 1;
	error = check_version(dir, ri->dx_hash, &dx->dx_version);
	if (error == 0 && (levels > max || (ri->dx_flags & 1) != 0))
		error = inode_damaged(dir, "its index has %u levels", levels);
	for (i = 0; error == 0; i++) {
		search_node(&dx->dx_frame[i], major);
		if (i == levels)
			return 0;
		error = push(dir, dx, child_of(&dx->dx_frame[i]), EXT4_DX_NODE);
	}
	dx_put(dx);
	return error;
}

int
dx_leaf(struct inode *dir, const struct dxpath *dx, uint64_t *lblk)
{
	*lblk = child_of(&dx->dx_frame[dx->dx_n - 1]);
	if (*lblk == 0)
		return inode_damaged(dir, "its index is its own leaf");
	return 0;
}

int
dx_next(struct inode *dir, struct dxpath *dx, uint32_t *hash)
{
	uint32_t want = dx->dx_n, n = dx->dx_n;
	int error;

	while (n > 0 &&
	    dx->dx_frame[n - 1].df_at + 1 >= dx->dx_frame[n - 1].df_count)
		n--;
	if (n == 0)
		return 0;
	while (dx->dx_n > n)
		qbuf_put(dx->dx_frame[--dx->dx_n].df_buf);
	dx->dx_frame[n - 1].df_at++;
	*hash = le32(dx->dx_frame[n - 1]
			 .df_entries[dx->dx_frame[n - 1].df_at]
			 .dx_hash_le);
	while (dx->dx_n < want) {
		error = push(dir, dx, child_of(&dx->dx_frame[dx->dx_n - 1]),
		    EXT4_DX_NODE);
		if (error != 0)
			return error;
	}
	return 1;
}

/* A hash and the name it is of, looked for in the leaves that may have it. */
int
dx_find(struct inode *dir, const char *name, uint32_t len, struct dirplace *dp)
{
	uint64_t left = dir_nblock(dir), lblk;
	uint32_t version, hash;
	struct dxhash h;
	struct dxpath dx;
	int error;

	error = dx_version(dir, &version);
	if (error != 0)
		return error;
	dx_hash(inode_fs(dir), version, name, len, &h);
	error = dx_probe(dir, h.dh_major, &dx);
	if (error != 0)
		return error;
	for (;;) {
		struct dirspan s = { 0 };
		struct qbuf *b;

		error = dx_leaf(dir, &dx, &lblk);
		if (error == 0)
			error = dir_block(dir, lblk, false, &b);
		if (error != 0)
			break;
		s.ds_p = b->bf_data;
		s.ds_len = dir_room(inode_fs(dir));
		s.ds_blk = b->bf_blk;
		error = dir_search(dir, &s, name, len, dp);
		dp->dp_buf = b;
		dp->dp_lblk = lblk;
		if (error != -Q_ENOENT) {
			if (error != 0)
				qbuf_put(b);
			break;
		}
		qbuf_put(b);
		error = dx_next(dir, &dx, &hash);
		if (error < 0)
			break;
		if (error == 0 || hash != (h.dh_major | 1)) {
			error = -Q_ENOENT;
			break;
		}
		if (left-- == 0) {
			error = inode_damaged(dir,
			    "its index has more leaves than blocks");
			break;
		}
	}
	dx_put(&dx);
	return error;
}
