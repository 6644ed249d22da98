/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Data of regular files: where the page cache finds them.
 */
#include "impl.h"

void
file_mapping_of(const struct ext4 *x, const struct run *r, struct qmapping *m)
{
	uint64_t max = (uint64_t)INT64_MAX >> x->x_bits;

	m->m_off = r->r_lblk << x->x_bits;
	m->m_len = (r->r_len < max - r->r_lblk ? r->r_len : max - r->r_lblk)
	    << x->x_bits;
	m->m_disk = (r->r_flags & QMAP_HOLE) != 0 ? 0 : r->r_pblk << x->x_bits;
	m->m_flags = r->r_flags;
	m->m_held = NULL;
}

int
file_map(struct qvnode *v, uint64_t off, uint64_t len, enum qmap_how how,
    struct qmapping *m)
{
	struct inode *ip = inode_of(v);
	struct ext4 *x = inode_fs(ip);
	struct run r;
	int error;

	if (how != QMAP_READ)
		return file_mapped_write(v, off, len, m);
	if (inode_has(ip, EXT4_INLINE_DATA_FL)) {
		/* SEEK_HOLE asks too: all of it is data, of no block. */
		r.r_lblk = 0;
		r.r_len = 1;
		r.r_pblk = 0;
		r.r_flags = QMAP_UNWRITTEN;
		file_mapping_of(x, &r, m);
		return 0;
	}
	qmutex_lock(&ip->i_lock);
	error = map_find(ip, off >> x->x_bits, &r);
	qmutex_unlock(&ip->i_lock);
	if (error == 0)
		file_mapping_of(x, &r, m);
	return error;
}

int
file_fill(struct qvnode *v, struct qpage *pg)
{
	struct inode *ip = inode_of(v);
	struct quern *k = v->v_fs->fs_k;
	uint8_t *p = qpage_data(k, pg);
	int n;

	if (!inode_has(ip, EXT4_INLINE_DATA_FL))
		return -Q_ENOTBLK;
	n = inline_read(ip, pg->pg_index * 4096, p, 4096);
	if (n < 0)
		return n;
	memset(p + n, 0, 4096 - (size_t)n);
	return 0;
}
