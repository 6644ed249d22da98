/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks in memory and disks of the embedder's callbacks: all complete at once.
 */
#include "impl.h"

#include "blockimpl.h"

struct memdisk {
	struct qdisk md_disk;
	char *md_buf;
	bool md_ours; /* from the heap */
	const struct quern_disk_callbacks *md_cb;
	void *md_arg;
};

/* ---- memory ---------------------------------------------------------------- */

static void
mem_move(struct memdisk *md, const struct qbio *b)
{
	char *p = md->md_buf + b->b_off;
	uint32_t i;

	for (i = 0; i < b->b_niov; i++) {
		if (b->b_cmd == QUERN_BLK_READ)
			memcpy(b->b_iov[i].iov_base, p, b->b_iov[i].iov_len);
		else
			memcpy(p, b->b_iov[i].iov_base, b->b_iov[i].iov_len);
		p += b->b_iov[i].iov_len;
	}
}

static void
mem_submit(struct qdisk *d, struct qbio **bios, unsigned n)
{
	struct memdisk *md = d->qd_priv;
	struct qbio *b;
	unsigned i;

	for (i = 0; i < n; i++) {
		b = bios[i];
		if (b->b_cmd == QUERN_BLK_READ || b->b_cmd == QUERN_BLK_WRITE)
			mem_move(md, b);
		else if (b->b_cmd != QUERN_BLK_FLUSH)
			memset(md->md_buf + b->b_off, 0, b->b_len);
		qbio_end(b, 0);
	}
}

/* ---- callbacks --------------------------------------------------------------- */

static int
cb_move(struct memdisk *md, const struct qbio *b)
{
	const struct quern_disk_callbacks *cb = md->md_cb;
	uint64_t off = b->b_off;
	uint32_t i;
	int error = 0;

	if (b->b_cmd == QUERN_BLK_READ ? cb->dc_read == NULL :
					 cb->dc_write == NULL)
		return -Q_EOPNOTSUPP;
	for (i = 0; i < b->b_niov && error == 0; i++) {
		if (b->b_cmd == QUERN_BLK_READ)
			error = cb->dc_read(md->md_arg, off,
			    b->b_iov[i].iov_base, b->b_iov[i].iov_len);
		else
			error = cb->dc_write(md->md_arg, off,
			    b->b_iov[i].iov_base, b->b_iov[i].iov_len);
		off += b->b_iov[i].iov_len;
	}
	return error;
}

/* Zeroes, a page at a time: there is no callback for them. */
static int
cb_zero(struct memdisk *md, const struct qbio *b)
{
	static const char zeroes[QUERN_PAGE_SIZE];
	uint64_t off = b->b_off, end = off + b->b_len;
	size_t n;
	int error = 0;

	if (md->md_cb->dc_write == NULL)
		return -Q_EOPNOTSUPP;
	for (; off < end && error == 0; off += n) {
		n = end - off < sizeof(zeroes) ? end - off : sizeof(zeroes);
		error = md->md_cb->dc_write(md->md_arg, off, zeroes, n);
	}
	return error;
}

static int
cb_do(struct memdisk *md, const struct qbio *b)
{
	const struct quern_disk_callbacks *cb = md->md_cb;
	int error;

	switch (b->b_cmd) {
	case QUERN_BLK_FLUSH:
		return cb->dc_flush != NULL ? cb->dc_flush(md->md_arg) : 0;
	case QUERN_BLK_DISCARD:
		return cb->dc_discard(md->md_arg, b->b_off, b->b_len);
	case QUERN_BLK_ZERO:
		error = cb_zero(md, b);
		break;
	default:
		error = cb_move(md, b);
		break;
	}
	if (error == 0 && (b->b_flags & QUERN_BLK_FUA) != 0 &&
	    cb->dc_flush != NULL)
		error = cb->dc_flush(md->md_arg);
	return error;
}

static void
cb_submit(struct qdisk *d, struct qbio **bios, unsigned n)
{
	unsigned i;
	int error;

	for (i = 0; i < n; i++) {
		error = cb_do(d->qd_priv, bios[i]);
		qbio_end(bios[i], error <= 0 ? error : -Q_EIO);
	}
}

/* ---- making and unmaking -------------------------------------------------------- */

static void
mem_release(struct qdisk *d)
{
	struct memdisk *md = d->qd_priv;

	if (md->md_ours)
		qfree(md->md_buf);
	if (md->md_cb != NULL && md->md_cb->dc_release != NULL)
		md->md_cb->dc_release(md->md_arg);
	qfree(md);
}

static const struct qdisk_ops mem_ops = {
	.do_submit = mem_submit,
	.do_release = mem_release,
};

static const struct qdisk_ops cb_ops = {
	.do_submit = cb_submit,
	.do_release = mem_release,
};

static int
make(struct quern *k, const char *name, const struct memdisk *from,
    struct qdisk **dp)
{
	struct memdisk *md;
	int error;

	md = block_alloc(sizeof(*md));
	if (md == NULL)
		return -Q_ENOMEM;
	*md = *from;
	md->md_disk.qd_priv = md;
	md->md_disk.qd_flags |= QDISK_NOMERGE;
	error = qdisk_attach(k, &md->md_disk, name);
	if (error != 0) {
		qfree(md);
		return error;
	}
	*dp = &md->md_disk;
	return 0;
}

int
qdisk_ram(struct quern *k, const char *name, uint64_t size, struct qdisk **dp)
{
	struct memdisk md = { .md_ours = true };
	int error;

	if (size == 0 || size % 512 != 0)
		return -Q_EINVAL;
	md.md_buf = block_alloc(size);
	if (md.md_buf == NULL)
		return -Q_ENOMEM;
	md.md_disk.qd_ops = &mem_ops;
	md.md_disk.qd_size = size;
	md.md_disk.qd_sector = 512;
	md.md_disk.qd_discard = 512;
	error = make(k, name, &md, dp);
	if (error != 0)
		qfree(md.md_buf);
	return error;
}

int
qdisk_memory(struct quern *k, const char *name, void *buf, uint64_t len,
    unsigned flags, struct qdisk **dp)
{
	struct memdisk md = { .md_buf = buf };

	if (buf == NULL || len == 0)
		return -Q_EINVAL;
	md.md_disk.qd_ops = &mem_ops;
	md.md_disk.qd_size = len;
	md.md_disk.qd_sector = 512;
	if ((flags & QUERN_BLK_RDONLY) != 0)
		md.md_disk.qd_flags = QDISK_RDONLY;
	return make(k, name, &md, dp);
}

int
qdisk_callback(struct quern *k, const char *name, uint64_t size,
    uint32_t sector, const struct quern_disk_callbacks *cb, void *arg,
    struct qdisk **dp)
{
	struct memdisk md = { .md_cb = cb, .md_arg = arg };

	if (cb == NULL || cb->dc_read == NULL || size == 0)
		return -Q_EINVAL;
	md.md_disk.qd_ops = &cb_ops;
	md.md_disk.qd_size = size;
	md.md_disk.qd_sector = sector;
	if (cb->dc_discard != NULL)
		md.md_disk.qd_discard = sector;
	if (cb->dc_write == NULL)
		md.md_disk.qd_flags = QDISK_RDONLY;
	return make(k, name, &md, dp);
}
