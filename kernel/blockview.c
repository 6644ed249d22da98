/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks made from other disks: a slice (which partitions are) and a read-only
 * view.  Copy-on-write views are in blockcow.c.
 *
 * A view passes a request on under its own completion: the request itself is in
 * use by whoever submitted it, so what goes down is a copy of it in memory of
 * the view's.
 */
#include "impl.h"

#include "blockimpl.h"

#define BATCH 32u

struct view {
	struct qdisk vw_disk;
	struct qdisk *vw_lower; /* a reference */
	uint64_t vw_off;
};

/* ---- slices and read-only views ------------------------------------------------ */

static void
pass_done(struct qbio *low)
{
	struct qbio *b = low->b_arg;
	int error = low->b_error;

	qfree(low);
	/* It was within this disk: what is below has become smaller. */
	qbio_end(b, error != -Q_EINVAL ? error : -Q_EIO);
}

static struct qbio *
pass_make(const struct view *vw, struct qbio *b)
{
	struct qbio *low = block_alloc(sizeof(*low));

	if (low == NULL)
		return NULL;
	low->b_cmd = b->b_cmd;
	low->b_flags = b->b_flags;
	low->b_iov = b->b_iov;
	low->b_niov = b->b_niov;
	low->b_off = b->b_off + vw->vw_off;
	low->b_len = b->b_len;
	low->b_done = pass_done;
	low->b_arg = b;
	return low;
}

static void
pass_submit(struct qdisk *d, struct qbio **bios, unsigned n)
{
	struct view *vw = d->qd_priv;
	struct qbio *low[BATCH];
	unsigned i, m = 0;

	for (i = 0; i < n; i++) {
		low[m] = pass_make(vw, bios[i]);
		if (low[m] == NULL) {
			qbio_end(bios[i], -Q_ENOMEM);
			continue;
		}
		if (++m == BATCH) {
			qbio_submit_many(vw->vw_lower, low, m);
			m = 0;
		}
	}
	if (m > 0)
		qbio_submit_many(vw->vw_lower, low, m);
}

static void
view_free(struct view *vw)
{
	qdisk_put(vw->vw_lower);
	qfree(vw);
}

static void
pass_release(struct qdisk *d)
{
	view_free(d->qd_priv);
}

static const struct qdisk_ops pass_ops = {
	.do_submit = pass_submit,
	.do_release = pass_release,
};

/* Only a read-only view is as large as what is below. */
static uint64_t
readonly_size(struct qdisk *d)
{
	struct view *vw = d->qd_priv;

	return qdisk_look(vw->vw_lower);
}

static const struct qdisk_ops readonly_ops = {
	.do_submit = pass_submit,
	.do_release = pass_release,
	.do_size = readonly_size,
};

static struct view *
view_make(struct qdisk *lower)
{
	struct view *vw = block_alloc(sizeof(*vw));

	if (vw == NULL)
		return NULL;
	qdisk_get(lower);
	vw->vw_lower = lower;
	vw->vw_disk.qd_priv = vw;
	vw->vw_disk.qd_size = qdisk_size(lower);
	vw->vw_disk.qd_sector = lower->qd_sector;
	vw->vw_disk.qd_discard = lower->qd_discard;
	/* What is below merges. */
	vw->vw_disk.qd_flags = lower->qd_flags | QDISK_NOMERGE;
	return vw;
}

int
qdisk_slice(struct qdisk *lower, const char *name, uint64_t off, uint64_t len,
    struct qdisk **dp)
{
	struct view *vw;
	int error;

	if (len == 0 || off > qdisk_size(lower) ||
	    len > qdisk_size(lower) - off || off % lower->qd_sector != 0)
		return -Q_EINVAL;
	vw = view_make(lower);
	if (vw == NULL)
		return -Q_ENOMEM;
	vw->vw_off = off;
	vw->vw_disk.qd_size = len;
	vw->vw_disk.qd_ops = &pass_ops;
	error = qdisk_attach(lower->qd_k, &vw->vw_disk, name);
	if (error != 0) {
		view_free(vw);
		return error;
	}
	*dp = &vw->vw_disk;
	return 0;
}

int
qdisk_readonly(struct qdisk *lower, const char *name, struct qdisk **dp)
{
	struct view *vw = view_make(lower);
	int error;

	if (vw == NULL)
		return -Q_ENOMEM;
	vw->vw_disk.qd_flags |= QDISK_RDONLY;
	vw->vw_disk.qd_ops = &readonly_ops;
	error = qdisk_attach(lower->qd_k, &vw->vw_disk, name);
	if (error != 0) {
		view_free(vw);
		return error;
	}
	*dp = &vw->vw_disk;
	return 0;
}
