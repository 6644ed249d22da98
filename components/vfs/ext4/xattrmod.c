/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changing extended attributes.
 *
 * All of an inode's attributes are taken into a list, the list is changed, and is
 * laid out again: behind the record what fits, the rest in a block.  A block that
 * others share is left to them.  A value that is too large for a block, or does
 * not fit, gets an inode of its own where the file system has those.
 */
#include "alloc.h"
#include "xattr.h"

#define ITEMS_MAX 512u

/* A value that is larger does not go into a block, nor behind a record. */
#define LARGE(x)                             \
	((x)->x_bsize - xattr_entry_len(3) - \
	    (uint32_t)sizeof(struct ext4_xattr_header) - 4)

struct item {
	const char *it_name;
	const uint8_t *it_value;
	uint32_t it_nlen, it_size, it_index, it_inum, it_hash;
	bool it_inode; /* behind the record */
};

struct set {
	struct inode *s_ip;
	uint8_t *s_ibody, *s_block; /* copies, that items point into */
	struct item *s_item;
	uint32_t s_n;
};

static size_t
item_len(const struct item *it)
{
	return xattr_entry_len(it->it_nlen) +
	    (it->it_inum != 0 ? 0 : (it->it_size + 3) & ~(size_t)3);
}

static size_t
ibody_room(const struct inode *ip)
{
	if (!ip->i_inxattr)
		return 0;
	return inode_fs(ip)->x_isize - EXT4_GOOD_OLD_SIZE - ip->i_extra -
	    EXT4_XATTR_IBODY_HEAD - 4;
}

/* Take the entries of an area, of which a copy is made. */
static int
gather(struct set *s, const struct xarea *xa, bool in_inode, uint8_t **copyp)
{
	size_t len = (size_t)(xa->xa_end - xa->xa_values);
	size_t at = (size_t)(xa->xa_first - xa->xa_values);
	uint8_t *copy = qalloc(&ext4_tag, len);
	const uint8_t *p;
	int error;

	if (copy == NULL)
		return -Q_ENOMEM;
	*copyp = copy;
	memcpy(copy, xa->xa_values, len);
	for (p = xa->xa_first; (error = xattr_check(s->s_ip, xa, p)) > 0;
	     p += xattr_entry_len(p[0])) {
		const struct ext4_xattr_entry *e = (const void *)(copy +
		    (p - xa->xa_first) + at);
		struct item *it = &s->s_item[s->s_n];

		if (s->s_n + 1 >= ITEMS_MAX)
			return -Q_ENOSPC;
		it->it_name = e->e_name;
		it->it_nlen = e->e_name_len;
		it->it_index = e->e_name_index;
		it->it_size = le32(e->e_value_size_le);
		it->it_inum = le32(e->e_value_inum_le);
		it->it_hash = le32(e->e_hash_le);
		it->it_value = copy + le16(e->e_value_offs_le);
		it->it_inode = in_inode;
		s->s_n++;
	}
	return error;
}

static void
set_end(struct set *s)
{
	qfree(s->s_item);
	qfree(s->s_ibody);
	qfree(s->s_block);
}

static int
set_load(struct set *s, struct inode *ip)
{
	struct xarea xa;
	int error;

	memset(s, 0, sizeof(*s));
	s->s_ip = ip;
	s->s_item = qalloc(&ext4_tag, ITEMS_MAX * sizeof(*s->s_item));
	if (s->s_item == NULL)
		return -Q_ENOMEM;
	error = xattr_ibody(ip, &xa);
	if (error > 0) {
		error = gather(s, &xa, true, &s->s_ibody);
		qbuf_put(xa.xa_buf);
	}
	if (error == 0) {
		error = xattr_block(ip, &xa);
		if (error > 0) {
			error = gather(s, &xa, false, &s->s_block);
			qbuf_put(xa.xa_buf);
		}
	}
	if (error != 0)
		set_end(s);
	return error;
}

/* As lookups in a block expect them. */
static int
compare(const struct item *a, const struct item *b)
{
	if (a->it_index != b->it_index)
		return a->it_index < b->it_index ? -1 : 1;
	if (a->it_nlen != b->it_nlen)
		return a->it_nlen < b->it_nlen ? -1 : 1;
	return memcmp(a->it_name, b->it_name, a->it_nlen);
}

static void
sort_items(struct set *s)
{
	uint32_t i, k;

	for (i = 1; i < s->s_n; i++) {
		struct item it = s->s_item[i];

		for (k = i; k > 0 && compare(&it, &s->s_item[k - 1]) < 0; k--)
			s->s_item[k] = s->s_item[k - 1];
		s->s_item[k] = it;
	}
}

/* Decide what goes where: bytes for the block, or -ENOSPC. */
static int64_t
place(struct set *s)
{
	size_t room = ibody_room(s->s_ip), used = 0, block = 0;
	uint8_t turn[ITEMS_MAX] = { 0 };
	uint32_t i, pass;

	for (i = 0; i < s->s_n; i++)
		if (s->s_item[i].it_inode)
			turn[i] = 1;
	/* Inline data have no other place; then what was there before. */
	for (pass = 0; pass < 3; pass++) {
		for (i = 0; i < s->s_n; i++) {
			struct item *it = &s->s_item[i];
			bool data = it->it_index == EXT4_XATTR_SYSTEM;

			if ((data ? 0 : turn[i] != 0 ? 1u : 2u) != pass)
				continue;
			it->it_inode = used + item_len(it) <= room;
			if (it->it_inode)
				used += item_len(it);
			else if (data)
				return -Q_ENOSPC;
			else
				block += item_len(it);
		}
	}
	return (int64_t)block;
}

static uint32_t
hash_name(const struct item *it)
{
	uint32_t hash = 0, i;

	for (i = 0; i < it->it_nlen; i++)
		hash = hash << 5 ^ hash >> 27 ^ (uint8_t)it->it_name[i];
	return hash;
}

static uint32_t
hash_of(const struct item *it)
{
	uint32_t hash, i;

	if (it->it_inum != 0)
		return it->it_hash;
	hash = hash_name(it);
	for (i = 0; i < it->it_size; i += 4) {
		le32_t w = 0;

		memcpy(&w, it->it_value + i,
		    it->it_size - i < 4 ? it->it_size - i : 4);
		hash = hash << 16 ^ hash >> 16 ^ le32(w);
	}
	return hash;
}

/* Write those of one kind from `p` on, values from the end: offsets from `base`. */
static uint32_t
lay_out(const struct set *s, bool in_inode, uint8_t *base, uint8_t *p,
    uint8_t *end)
{
	uint32_t i, sum = 0;

	for (i = 0; i < s->s_n; i++) {
		const struct item *it = &s->s_item[i];
		struct ext4_xattr_entry *e = (void *)p;
		uint32_t hash;

		if (it->it_inode != in_inode)
			continue;
		hash = hash_of(it);
		e->e_name_len = (uint8_t)it->it_nlen;
		e->e_name_index = (uint8_t)it->it_index;
		e->e_value_inum_le = to_le32(it->it_inum);
		e->e_value_size_le = to_le32(it->it_size);
		e->e_hash_le = to_le32(in_inode && it->it_inum == 0 ? 0 : hash);
		e->e_value_offs_le = 0;
		if (it->it_inum == 0 && it->it_size > 0) {
			end -= (it->it_size + 3) & ~(size_t)3;
			memcpy(end, it->it_value, it->it_size);
			e->e_value_offs_le = to_le16(end - base);
		}
		memcpy(e->e_name, it->it_name, it->it_nlen);
		p += xattr_entry_len(it->it_nlen);
		sum = sum << 16 ^ sum >> 16 ^ hash;
	}
	return sum;
}

static int
write_ibody(struct jhandle *h, struct set *s)
{
	struct inode *ip = s->s_ip;
	struct ext4 *x = inode_fs(ip);
	size_t at = EXT4_GOOD_OLD_SIZE + ip->i_extra;
	le32_t magic = to_le32(EXT4_XATTR_MAGIC);
	struct ext4_inode *di;
	struct qbuf *b;
	uint8_t *p;
	int error;

	if (!ip->i_inxattr)
		return 0;
	error = inode_record(x, ip->i_v.v_ino, &di, &b);
	if (error != 0)
		return error;
	error = journal_get_write(h, b);
	if (error == 0) {
		qbuf_lock(b);
		p = (uint8_t *)di + at;
		memset(p, 0, x->x_isize - at);
		memcpy(p, &magic, sizeof(magic));
		p += EXT4_XATTR_IBODY_HEAD;
		(void)lay_out(s, true, p, p, (uint8_t *)di + x->x_isize);
		inode_sum(x, ip->i_seed, di);
		qbuf_unlock(b);
		journal_dirty(h, b);
	}
	qbuf_put(b);
	return error;
}

static void
sum_block(const struct ext4 *x, struct qbuf *b)
{
	struct ext4_xattr_header *hd = (void *)b->bf_data;

	if (x->x_csum)
		hd->h_checksum_le = to_le32(csum_xattr(x, b->bf_blk, hd));
}

/* Let the block go, or one of those who share it. */
static int
drop_block(struct jhandle *h, struct inode *ip)
{
	struct ext4 *x = inode_fs(ip);
	struct ext4_xattr_header *hd;
	struct qbuf *b;
	uint32_t refs;
	int error;

	error = blk_read(x, ip->i_facl, &b);
	if (error != 0)
		return error;
	hd = (void *)b->bf_data;
	refs = le32(hd->h_refcount_le);
	if (refs > 1) {
		error = journal_get_write(h, b);
		if (error == 0) {
			qbuf_lock(b);
			hd->h_refcount_le = to_le32(refs - 1);
			sum_block(x, b);
			qbuf_unlock(b);
			journal_dirty(h, b);
			inode_add_blocks(ip, -1);
		}
		qbuf_put(b);
	} else {
		error = free_meta(h, ip, b, ip->i_facl);
	}
	if (error == 0)
		ip->i_facl = 0;
	return error;
}

/* The block to write to: the same if it is not shared, or a new one. */
static int
own_block(struct jhandle *h, struct inode *ip, struct qbuf **bp)
{
	struct ext4 *x = inode_fs(ip);
	struct ext4_xattr_header *hd;
	uint64_t blk;
	int error;

	if (ip->i_facl != 0) {
		error = blk_read(x, ip->i_facl, bp);
		if (error != 0)
			return error;
		hd = (void *)(*bp)->bf_data;
		if (le32(hd->h_refcount_le) <= 1) {
			error = journal_get_write(h, *bp);
			if (error != 0)
				qbuf_put(*bp);
			return error;
		}
		qbuf_put(*bp);
	}
	error = alloc_meta(h, ip, 0, &blk);
	if (error != 0)
		return error;
	error = qbuf_get(x->x_bufs, blk, bp);
	if (error == 0) {
		error = journal_get_create(h, *bp);
		if (error == 0 && ip->i_facl != 0)
			error = drop_block(h, ip);
		if (error != 0)
			qbuf_put(*bp);
	}
	if (error != 0)
		unalloc_meta(h, ip, blk);
	else
		ip->i_facl = blk;
	return error;
}

static int
write_block(struct jhandle *h, struct set *s, int64_t need)
{
	struct inode *ip = s->s_ip;
	struct ext4 *x = inode_fs(ip);
	struct ext4_xattr_header *hd;
	struct qbuf *b;
	int error;

	if (need == 0)
		return ip->i_facl == 0 ? 0 : drop_block(h, ip);
	error = own_block(h, ip, &b);
	if (error != 0)
		return error;
	qbuf_lock(b);
	memset(b->bf_data, 0, x->x_bsize);
	hd = (void *)b->bf_data;
	hd->h_magic_le = to_le32(EXT4_XATTR_MAGIC);
	hd->h_refcount_le = to_le32(1);
	hd->h_blocks_le = to_le32(1);
	hd->h_hash_le = to_le32(lay_out(s, false, b->bf_data,
	    b->bf_data + sizeof(*hd), b->bf_data + x->x_bsize));
	sum_block(x, b);
	qbuf_unlock(b);
	qbuf_set(b, QBUF_CHECKED);
	journal_dirty(h, b);
	qbuf_put(b);
	return 0;
}

/* Bytes for the block, or -ENOSPC: also when that is too small. */
static int64_t
place_all(struct set *s)
{
	int64_t need = place(s);

	if (need > 0 &&
	    (size_t)need + sizeof(struct ext4_xattr_header) + 4 >
		inode_fs(s->s_ip)->x_bsize)
		need = -Q_ENOSPC;
	return need;
}

/* Find room for all: `new`, an item of the set, may get an inode for it. */
static int64_t
make_room(struct jhandle *h, struct set *s, struct item *new)
{
	struct ext4 *x = inode_fs(s->s_ip);
	bool may = new != NULL &&has_incompat(x, EXT4_INCOMPAT_EA_INODE) &&
	    new->it_index != EXT4_XATTR_SYSTEM;
	uint32_t hash;
	int64_t need;
	int error;

	if (new == NULL || new->it_size <= LARGE(x)) {
		need = place_all(s);
		if (need != -Q_ENOSPC || !may || new->it_size == 0)
			return need;
	}
	if (!may)
		return -Q_ENOSPC;
	new->it_inum = UINT32_MAX; /* for now, to see whether that is enough */
	need = place_all(s);
	if (need < 0)
		return need;
	error = ea_make(h, s->s_ip, new->it_value, new->it_size, &new->it_inum,
	    &hash);
	if (error != 0)
		return error;
	new->it_hash = hash_name(new);
	new->it_hash = new->it_hash << 16 ^ new->it_hash >> 16 ^ hash;
	return need;
}

/* The attribute of that name in the set; s_n: none. */
static uint32_t
find_item(const struct set *s, const struct item *like)
{
	uint32_t i;

	for (i = 0; i < s->s_n && compare(&s->s_item[i], like) != 0; i++)
		continue;
	return i;
}

int
xattr_store(struct jhandle *h, struct inode *ip, uint32_t index,
    const char *name, const void *value, size_t len, int flags)
{
	struct item new = { name, value, (uint32_t)qstrlen(name), (uint32_t)len,
		index, 0, 0, index == EXT4_XATTR_SYSTEM };
	struct item old = { 0 };
	struct set s;
	int64_t need;
	uint32_t i;
	int error;

	error = set_load(&s, ip);
	if (error != 0)
		return error;
	i = find_item(&s, &new);
	if (i < s.s_n && (flags & Q_XATTR_CREATE) != 0 && value != NULL)
		error = -Q_EEXIST;
	else if (i == s.s_n &&
	    (value == NULL || (flags & Q_XATTR_REPLACE) != 0))
		error = -Q_ENODATA;
	if (error != 0)
		goto out;
	if (i < s.s_n) {
		old = s.s_item[i];
		new.it_inode = old.it_inode;
		s.s_item[i] = s.s_item[--s.s_n];
	}
	if (value != NULL)
		s.s_item[s.s_n++] = new;
	sort_items(&s);
	i = find_item(&s, &new);
	need = make_room(h, &s, value != NULL ? &s.s_item[i] : NULL);
	error = need < 0 ? (int)need : 0;
	if (error == 0) {
		error = write_block(h, &s, need);
		if (error != 0 && value != NULL && s.s_item[i].it_inum != 0)
			(void)!ea_drop(h, ip, s.s_item[i].it_inum,
			    s.s_item[i].it_size);
	}
	if (error == 0)
		error = write_ibody(h, &s);
	if (error == 0 && old.it_inum != 0)
		error = ea_drop(h, ip, old.it_inum, old.it_size);
	if (error == 0)
		error = inode_write(h, ip);
out:
	set_end(&s);
	return error;
}

int
xattr_free(struct jhandle *h, struct inode *ip)
{
	struct set s;
	uint32_t i;
	int error = 0;

	if (has_incompat(inode_fs(ip), EXT4_INCOMPAT_EA_INODE)) {
		error = set_load(&s, ip);
		if (error != 0)
			return error;
		for (i = 0; i < s.s_n && error == 0; i++)
			if (s.s_item[i].it_inum != 0)
				error = ea_drop(h, ip, s.s_item[i].it_inum,
				    s.s_item[i].it_size);
		/* Entries of what is gone must not be seen again. */
		s.s_n = 0;
		if (error == 0)
			error = write_ibody(h, &s);
		set_end(&s);
	}
	if (error == 0 && ip->i_facl != 0)
		error = drop_block(h, ip);
	return error;
}

int
xattr_set(struct qvnode *v, const char *name, const void *value, size_t len,
    int flags)
{
	struct inode *ip = inode_of(v);
	struct ext4 *x = inode_fs(ip);
	uint32_t credits = XATTR_CREDITS + MAP_CREDITS;
	uint8_t *acl = NULL;
	struct jhandle *h;
	const char *rest;
	uint32_t index;
	int64_t n;
	int error;

	error = xattr_parse(name, &index, &rest);
	if (error != 0)
		return error;
	if (qstrlen(rest) > 255)
		return -Q_ERANGE;
	if (value != NULL &&
	    (index == EXT4_XATTR_ACL || index == EXT4_XATTR_DEFACL)) {
		acl = qalloc(&ext4_tag, x->x_bsize);
		if (acl == NULL)
			return -Q_ENOMEM;
		n = acl_to_disk(value, len, acl, x->x_bsize);
		if (n < 0) {
			qfree(acl);
			return (int)n;
		}
		value = acl;
		len = (size_t)n;
	}
	if (has_incompat(x, EXT4_INCOMPAT_EA_INODE) && value != NULL)
		credits += MAP_CREDITS + (uint32_t)to_blocks(x, len);
	error = tx_begin(x, credits, &h);
	if (error == 0) {
		qmutex_lock(&ip->i_lock);
		inode_touch(ip, QVA_CTIME);
		error = xattr_store(h, ip, index, rest, value, len, flags);
		qmutex_unlock(&ip->i_lock);
		if (error == 0 && value != NULL) {
			__atomic_fetch_and(&v->v_flags, ~QV_NOSEC,
			    __ATOMIC_RELAXED);
			if (acl != NULL)
				__atomic_fetch_or(&v->v_flags, QV_ACL,
				    __ATOMIC_RELAXED);
		}
		error = tx_end(x, h, error);
	}
	qfree(acl);
	return error;
}
