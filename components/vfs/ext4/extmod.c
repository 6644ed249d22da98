/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changing the extent tree.
 *
 * A change goes down to a leaf (extent.c), changes entries there, and starts over
 * when that has moved what it stands on: a leaf without room is split, or the
 * tree becomes one level deeper, and then the way down is looked for again.  Room
 * is made before anything is taken away, so that a change that fails for lack of
 * space has changed nothing that is seen.
 *
 * The root is i_data; whoever changes it has the inode written (inode_write),
 * which each of these functions does before it returns.
 */
#include "alloc.h"
#include "extent.h"

void
extent_init(struct inode *ip)
{
	struct ext4_extent_header *h = (void *)ip->i_data;

	memset(ip->i_data, 0, sizeof(ip->i_data));
	h->eh_magic_le = to_le16(EXT4_EXT_MAGIC);
	h->eh_max_le = to_le16(ext_max(inode_fs(ip), true));
}

/* ---- nodes ------------------------------------------------------------------- */

static int
node_open(struct jhandle *h, struct extlevel *el)
{
	int error;

	if (el->el_buf == NULL) {
		/* The root, in memory: it must get into the inode now. */
		h->h_changed = true;
		return 0;
	}
	error = journal_get_write(h, el->el_buf);
	if (error == 0)
		qbuf_lock(el->el_buf);
	return error;
}

static void
node_close(struct jhandle *h, struct inode *ip, struct extlevel *el)
{
	size_t at = EXT_ENTRY * (1 + (size_t)le16(el->el_h->eh_max_le));
	le32_t sum;

	if (el->el_buf == NULL)
		return;
	if (inode_fs(ip)->x_csum) {
		sum = to_le32(csum_block(ip->i_seed, el->el_h, at));
		memcpy((uint8_t *)el->el_h + at, &sum, sizeof(sum));
	}
	qbuf_unlock(el->el_buf);
	journal_dirty(h, el->el_buf);
}

static void
put_ext(struct extlevel *el, int32_t at, const struct ext *e)
{
	struct ext4_extent *ee = (void *)ext_entry(el->el_h, (uint32_t)at);

	ee->ee_block_le = to_le32(e->e_lblk);
	ee->ee_len_le = to_le16(
	    e->e_len + (e->e_unwritten ? EXT4_EXT_INITMAX : 0));
	ee->ee_start_lo_le = to_le32(e->e_pblk);
	ee->ee_start_hi_le = to_le16(e->e_pblk >> 32);
}

static void
put_idx(struct ext4_extent_header *h, uint32_t at, uint64_t lblk, uint64_t blk)
{
	struct ext4_extent_idx *ix = (void *)ext_entry(h, at);

	ix->ei_block_le = to_le32(lblk);
	ix->ei_leaf_lo_le = to_le32(blk);
	ix->ei_leaf_hi_le = to_le16(blk >> 32);
	ix->ei_unused_le = 0;
}

/* Make a gap before entry `at`, or close that which it is. */
static void
move_entries(struct ext4_extent_header *h, uint32_t at, bool gap)
{
	uint32_t n = ext_count(h);

	if (gap) {
		memmove(ext_entry(h, at + 1), ext_entry(h, at),
		    (size_t)(n - at) * EXT_ENTRY);
		h->eh_entries_le = to_le16(n + 1);
	} else {
		memmove(ext_entry(h, at), ext_entry(h, at + 1),
		    (size_t)(n - at - 1) * EXT_ENTRY);
		h->eh_entries_le = to_le16(n - 1);
	}
}

/* The first key below a level has become `lblk`. */
static int
fix_keys(struct jhandle *h, struct inode *ip, struct extpath *p, uint32_t level,
    uint64_t lblk)
{
	int error;

	while (level-- > 0) {
		struct extlevel *el = &p->ep_level[level];
		struct ext4_extent_idx *ix = (void *)ext_entry(el->el_h,
		    (uint32_t)el->el_at);

		error = node_open(h, el);
		if (error != 0)
			return error;
		ix->ei_block_le = to_le32(lblk);
		node_close(h, ip, el);
		if (el->el_at != 0)
			break;
	}
	return 0;
}

/* A new block for a node, with an empty header of that depth. */
static int
new_node(struct jhandle *h, struct inode *ip, uint32_t depth, uint64_t *blk,
    struct qbuf **bp)
{
	struct ext4 *x = inode_fs(ip);
	struct ext4_extent_header *eh;
	int error;

	error = alloc_meta(h, ip, ip->i_goal, blk);
	if (error != 0)
		return error;
	error = qbuf_get(x->x_bufs, *blk, bp);
	if (error == 0) {
		error = journal_get_create(h, *bp);
		if (error != 0)
			qbuf_put(*bp);
	}
	if (error != 0) {
		unalloc_meta(h, ip, *blk);
		return error;
	}
	qbuf_lock(*bp);
	memset((*bp)->bf_data, 0, x->x_bsize);
	eh = (void *)(*bp)->bf_data;
	eh->eh_magic_le = to_le16(EXT4_EXT_MAGIC);
	eh->eh_max_le = to_le16(ext_max(x, false));
	eh->eh_depth_le = to_le16(depth);
	qbuf_set(*bp, QBUF_CHECKED);
	return 0;
}

/* All of the root moves into a block below it. */
static int
deepen(struct jhandle *h, struct inode *ip)
{
	struct ext4_extent_header *root = (void *)ip->i_data;
	uint32_t depth = le16(root->eh_depth_le), n = ext_count(root);
	le32_t first;
	struct extlevel el;
	uint64_t blk;
	int error;

	if (depth >= EXT4_EXT_MAXDEPTH)
		return -Q_EFBIG;
	error = new_node(h, ip, depth, &blk, &el.el_buf);
	if (error != 0)
		return error;
	el.el_h = (void *)el.el_buf->bf_data;
	memcpy(el.el_h + 1, root + 1, (size_t)n * EXT_ENTRY);
	el.el_h->eh_entries_le = to_le16(n);
	node_close(h, ip, &el);
	memcpy(&first, ext_entry(root, 0), sizeof(first));
	root->eh_depth_le = to_le16(depth + 1);
	root->eh_entries_le = to_le16(1);
	put_idx(root, 0, le32(first), blk);
	qbuf_put(el.el_buf);
	return inode_write(h, ip);
}

/*
 * Split the node at `level`, whose parent has room: what is behind the way down
 * goes into a new one, or, at the end of the file, just the last entry.
 */
static int
split(struct jhandle *h, struct inode *ip, struct extpath *p, uint32_t level)
{
	struct extlevel *el = &p->ep_level[level], *up = el - 1, new;
	uint32_t n = ext_count(el->el_h), from = n / 2;
	uint64_t blk;
	le32_t key;
	int error;

	if (el->el_at + 1 >= (int32_t)n && p->ep_next == UINT64_MAX)
		from = n - 1;
	error = new_node(h, ip, le16(el->el_h->eh_depth_le), &blk, &new.el_buf);
	if (error != 0)
		return error;
	new.el_h = (void *)new.el_buf->bf_data;
	memcpy(&key, ext_entry(el->el_h, from), sizeof(key));
	memcpy(new.el_h + 1, ext_entry(el->el_h, from),
	    (size_t)(n - from) * EXT_ENTRY);
	new.el_h->eh_entries_le = to_le16(n - from);
	node_close(h, ip, &new);
	qbuf_put(new.el_buf);
	error = node_open(h, el);
	if (error != 0)
		return error;
	el->el_h->eh_entries_le = to_le16(from);
	node_close(h, ip, el);
	error = node_open(h, up);
	if (error != 0)
		return error;
	move_entries(up->el_h, (uint32_t)up->el_at + 1, true);
	put_idx(up->el_h, (uint32_t)up->el_at + 1, le32(key), blk);
	node_close(h, ip, up);
	return inode_write(h, ip);
}

/* Go down to the leaf of `lblk` and make room for `n` more entries in it. */
static int
walk_room(struct jhandle *h, struct inode *ip, uint64_t lblk, uint32_t n,
    struct extpath *p)
{
	uint32_t tries, level;
	int error;

	for (tries = 0; tries < 4 * EXT4_EXT_MAXDEPTH; tries++) {
		struct extlevel *el;

		error = ext_walk(ip, lblk, p);
		if (error != 0)
			return error;
		el = ext_leaf(p);
		if (ext_count(el->el_h) + n <= le16(el->el_h->eh_max_le))
			return 0;
		/* The lowest node whose parent has room is split. */
		for (level = p->ep_depth; level > 0; level--) {
			struct ext4_extent_header *up =
			    p->ep_level[level - 1].el_h;

			if (ext_count(up) < le16(up->eh_max_le))
				break;
		}
		if (level == 0)
			error = deepen(h, ip);
		else if (ext_count(p->ep_level[level].el_h) < 2)
			error = inode_damaged(ip, "an extent node for %u",
			    le16(p->ep_level[level].el_h->eh_max_le));
		else
			error = split(h, ip, p, level);
		ext_put(p);
		if (error != 0)
			return error;
	}
	return inode_damaged(ip, "no room is made in its extent tree");
}

/* ---- entries ----------------------------------------------------------------- */

static bool
follows(const struct ext *a, const struct ext *b)
{
	uint32_t max = a->e_unwritten ? EXT4_EXT_UNINITMAX : EXT4_EXT_INITMAX;

	return a->e_unwritten == b->e_unwritten &&
	    a->e_lblk + a->e_len == b->e_lblk &&
	    a->e_pblk + a->e_len == b->e_pblk && a->e_len + b->e_len <= max;
}

/* Put an entry into a leaf with room, merged with its neighbours if it can be. */
static int
put_merged(struct jhandle *h, struct inode *ip, struct extpath *p,
    struct ext *e)
{
	struct extlevel *el = ext_leaf(p);
	bool left = false, right = false;
	struct ext l, r;
	int error = 0;

	if (el->el_at >= 0) {
		error = ext_get(ip, p, el->el_at, &l);
		left = error == 0 && follows(&l, e);
	}
	if (error == 0 && el->el_at + 1 < (int32_t)ext_count(el->el_h)) {
		error = ext_get(ip, p, el->el_at + 1, &r);
		right = error == 0 && follows(e, &r);
	}
	if (error == 0)
		error = node_open(h, el);
	if (error != 0)
		return error;
	if (left) {
		l.e_len += e->e_len;
		if (right && follows(&l, &r)) {
			l.e_len += r.e_len;
			move_entries(el->el_h, (uint32_t)el->el_at + 1, false);
		}
		put_ext(el, el->el_at, &l);
	} else if (right) {
		e->e_len += r.e_len;
		put_ext(el, el->el_at + 1, e);
	} else {
		move_entries(el->el_h, (uint32_t)(el->el_at + 1), true);
		put_ext(el, el->el_at + 1, e);
	}
	node_close(h, ip, el);
	if (!left && el->el_at < 0)
		error = fix_keys(h, ip, p, p->ep_depth, e->e_lblk);
	return error;
}

static int
insert(struct jhandle *h, struct inode *ip, struct ext *e)
{
	struct extpath p;
	int error;

	error = walk_room(h, ip, e->e_lblk, 1, &p);
	if (error != 0)
		return error;
	error = put_merged(h, ip, &p, e);
	ext_put(&p);
	return error;
}

int
extent_insert(struct jhandle *h, struct inode *ip, const struct run *r)
{
	struct ext e = { r->r_lblk, r->r_pblk, (uint32_t)r->r_len,
		(r->r_flags & QMAP_UNWRITTEN) != 0 };
	int error;

	qassert(r->r_len > 0 && r->r_len <= EXT4_EXT_UNINITMAX);
	ip->i_last.r_len = 0;
	error = insert(h, ip, &e);
	return error != 0 ? error : inode_write(h, ip);
}

/* Remove the leaf's entry `at`, and nodes that become empty. */
static int
delete_entry(struct jhandle *h, struct inode *ip, struct extpath *p, int32_t at)
{
	uint32_t level = p->ep_depth;
	struct extlevel *el = &p->ep_level[level];
	le32_t first;
	int error;

	error = node_open(h, el);
	if (error != 0)
		return error;
	move_entries(el->el_h, (uint32_t)at, false);
	node_close(h, ip, el);
	while (level > 0 && ext_count(p->ep_level[level].el_h) == 0) {
		el = &p->ep_level[level - 1];
		error = node_open(h, el);
		if (error != 0)
			return error;
		at = el->el_at;
		move_entries(el->el_h, (uint32_t)at, false);
		node_close(h, ip, el);
		qbuf_ref(p->ep_level[level].el_buf);
		error = free_meta(h, ip, p->ep_level[level].el_buf,
		    p->ep_level[level].el_buf->bf_blk);
		if (error != 0)
			return error;
		level--;
	}
	if (level == 0 && ext_count(p->ep_level[0].el_h) == 0)
		p->ep_level[0].el_h->eh_depth_le = 0;
	else if (at == 0) {
		memcpy(&first, ext_entry(p->ep_level[level].el_h, 0),
		    sizeof(first));
		error = fix_keys(h, ip, p, level, le32(first));
	}
	return error;
}

/* Store a changed entry. */
static int
store_entry(struct jhandle *h, struct inode *ip, struct extpath *p, int32_t at,
    const struct ext *e)
{
	struct extlevel *el = ext_leaf(p);
	int error;

	error = node_open(h, el);
	if (error != 0)
		return error;
	put_ext(el, at, e);
	node_close(h, ip, el);
	return at == 0 ? fix_keys(h, ip, p, p->ep_depth, e->e_lblk) : 0;
}

/*
 * The first extent that has blocks at or behind `lblk`: 1, with the way to it,
 * or 0.  `room` entries are free in its leaf.
 */
static int
next_extent(struct jhandle *h, struct inode *ip, uint64_t lblk, uint32_t room,
    struct extpath *p, int32_t *at, struct ext *e)
{
	uint32_t tries;
	int error;

	/* Behind the last of one leaf is the first of the next. */
	for (tries = 0; tries < 2; tries++) {
		struct extlevel *el;

		if (room > 0)
			error = walk_room(h, ip, lblk, room, p);
		else
			error = ext_walk(ip, lblk, p);
		if (error != 0)
			return error;
		el = ext_leaf(p);
		*at = el->el_at;
		if (*at >= 0) {
			error = ext_get(ip, p, *at, e);
			if (error == 0 && lblk < e->e_lblk + e->e_len)
				return 1;
		}
		if (error == 0 && *at + 1 < (int32_t)ext_count(el->el_h)) {
			error = ext_get(ip, p, ++*at, e);
			if (error == 0)
				return 1;
		}
		lblk = p->ep_next;
		ext_put(p);
		if (error != 0)
			return error;
		if (lblk == UINT64_MAX)
			return 0;
	}
	return inode_damaged(ip, "an empty leaf in its extent tree");
}

/* ---- unwritten to written ---------------------------------------------------- */

int
extent_convert(struct jhandle *h, struct inode *ip, uint64_t lblk, uint64_t n)
{
	uint64_t end = lblk + n;
	int error = 0;

	ip->i_last.r_len = 0;
	while (lblk < end) {
		struct ext e, mid, rest;
		struct extpath p;
		uint64_t e_end;
		int32_t at;

		error = next_extent(h, ip, lblk, 2, &p, &at, &e);
		if (error <= 0)
			break;
		e_end = e.e_lblk + e.e_len;
		if (!e.e_unwritten || e.e_lblk >= end) {
			ext_put(&p);
			error = 0;
			if (e.e_lblk >= end)
				break;
			lblk = e_end;
			continue;
		}
		mid = e;
		if (lblk > e.e_lblk) {
			mid.e_lblk = lblk;
			mid.e_pblk += lblk - e.e_lblk;
		}
		mid.e_len = (uint32_t)((e_end < end ? e_end : end) -
		    mid.e_lblk);
		mid.e_unwritten = false;
		rest = e;
		rest.e_lblk = mid.e_lblk + mid.e_len;
		rest.e_pblk = mid.e_pblk + mid.e_len;
		rest.e_len = (uint32_t)(e_end - rest.e_lblk);
		lblk = rest.e_lblk;
		/* What is before stays, or what is behind takes its place. */
		if (mid.e_lblk > e.e_lblk) {
			e.e_len = (uint32_t)(mid.e_lblk - e.e_lblk);
			error = store_entry(h, ip, &p, at, &e);
		} else if (rest.e_len > 0) {
			error = store_entry(h, ip, &p, at, &rest);
			rest.e_len = 0;
		} else {
			error = delete_entry(h, ip, &p, at);
		}
		ext_put(&p);
		if (error == 0)
			error = insert(h, ip, &mid);
		if (error == 0 && rest.e_len > 0)
			error = insert(h, ip, &rest);
		if (error != 0)
			break;
	}
	return error != 0 ? error : inode_write(h, ip);
}

/* ---- removing ---------------------------------------------------------------- */

/* Take [from, to) out of an extent and free the blocks. */
static int
cut(struct jhandle *h, struct inode *ip, struct extpath *p, int32_t at,
    struct ext *e, uint64_t from, uint64_t to)
{
	uint64_t e_end = e->e_lblk + e->e_len;
	uint64_t pblk = e->e_pblk + (from - e->e_lblk);
	struct ext rest = *e;
	int error;

	rest.e_lblk = to;
	rest.e_pblk = e->e_pblk + (to - e->e_lblk);
	rest.e_len = (uint32_t)(e_end - to);
	if (from > e->e_lblk) {
		e->e_len = (uint32_t)(from - e->e_lblk);
		error = store_entry(h, ip, p, at, e);
	} else if (rest.e_len > 0) {
		error = store_entry(h, ip, p, at, &rest);
		rest.e_len = 0;
	} else {
		error = delete_entry(h, ip, p, at);
	}
	ext_put(p);
	if (error == 0 && rest.e_len > 0)
		error = insert(h, ip, &rest);
	if (error == 0)
		error = free_data(h, ip, from, pblk, to - from);
	return error;
}

int
extent_remove(struct jhandle *h, struct inode *ip, uint64_t from, uint64_t end,
    uint64_t *donep)
{
	int error = 0;

	ip->i_last.r_len = 0;
	while (from < end) {
		struct extpath p;
		struct ext e;
		uint64_t a, b;
		int32_t at;
		bool inside;

		*donep = from;
		if (tx_low(h)) {
			error = -Q_EAGAIN;
			break;
		}
		error = next_extent(h, ip, from, 0, &p, &at, &e);
		if (error <= 0)
			break;
		error = 0;
		if (e.e_lblk >= end) {
			ext_put(&p);
			break;
		}
		/* A hole in the middle needs room, before anything is done. */
		inside = e.e_lblk < from && e.e_lblk + e.e_len > end;
		if (inside) {
			ext_put(&p);
			error = next_extent(h, ip, from, 1, &p, &at, &e);
			if (error <= 0)
				break;
		}
		a = e.e_lblk > from ? e.e_lblk : from;
		b = e.e_lblk + e.e_len < end ? e.e_lblk + e.e_len : end;
		error = cut(h, ip, &p, at, &e, a, b);
		if (error != 0)
			break;
		from = b;
	}
	if (error == 0)
		*donep = end;
	if (error == 0 || error == -Q_EAGAIN) {
		int e2 = inode_write(h, ip);

		if (e2 != 0)
			error = e2;
	}
	return error;
}

/* ---- moving ------------------------------------------------------------------ */

/*
 * What an extent has in [from, end), the first one or the last: 1, with the way
 * to it and *at; 0 if there is none.
 */
static int
edge_extent(struct jhandle *h, struct inode *ip, uint64_t from, uint64_t end,
    bool last, struct extpath *p, int32_t *at, struct ext *e)
{
	int error;

	if (!last) {
		error = next_extent(h, ip, from, 0, p, at, e);
	} else {
		error = ext_walk(ip, end - 1, p);
		if (error != 0)
			return error;
		*at = ext_leaf(p)->el_at;
		error = *at >= 0 ? ext_get(ip, p, *at, e) : 0;
		if (error != 0 || *at < 0)
			ext_put(p);
		else
			error = 1;
	}
	if (error == 1 && (e->e_lblk >= end || e->e_lblk + e->e_len <= from)) {
		ext_put(p);
		error = 0;
	}
	return error;
}

/* Have the part of an extent that begins at `part` be mapped `by` further on. */
static int
move_part(struct jhandle *h, struct inode *ip, struct ext part, int64_t by)
{
	struct extpath p;
	struct ext e;
	int32_t at;
	int error;

	/* Room where it goes, before it is taken away. */
	error = walk_room(h, ip, part.e_lblk + (uint64_t)by, 1, &p);
	if (error != 0)
		return error;
	ext_put(&p);
	error = next_extent(h, ip, part.e_lblk, 0, &p, &at, &e);
	if (error <= 0)
		return error < 0 ? error : -Q_EUCLEAN;
	if (part.e_lblk > e.e_lblk) {
		e.e_len = (uint32_t)(part.e_lblk - e.e_lblk);
		error = store_entry(h, ip, &p, at, &e);
	} else {
		error = delete_entry(h, ip, &p, at);
	}
	ext_put(&p);
	part.e_lblk += (uint64_t)by;
	if (error == 0)
		error = insert(h, ip, &part);
	/* Half of it has been done: the journal must not have it. */
	return error == 0 ? 0 : -Q_EIO;
}

int
extent_shift(struct jhandle *h, struct inode *ip, uint64_t *fromp,
    uint64_t *endp, int64_t by)
{
	int error = 0, e2;

	ip->i_last.r_len = 0;
	while (*fromp < *endp) {
		struct extpath p;
		struct ext e;
		int32_t at;

		if (tx_low(h)) {
			error = -Q_EAGAIN;
			break;
		}
		error = edge_extent(h, ip, *fromp, *endp, by > 0, &p, &at, &e);
		if (error <= 0)
			break;
		ext_put(&p);
		if (e.e_lblk < *fromp) {
			e.e_pblk += *fromp - e.e_lblk;
			e.e_len -= (uint32_t)(*fromp - e.e_lblk);
			e.e_lblk = *fromp;
		}
		error = move_part(h, ip, e, by);
		if (error != 0)
			break;
		if (by > 0)
			*endp = e.e_lblk;
		else
			*fromp = e.e_lblk + e.e_len;
	}
	if (error != 0 && error != -Q_EAGAIN)
		return error;
	e2 = inode_write(h, ip);
	return e2 != 0 ? e2 : error;
}
