/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks of the host: requests become hypercalls in batches, completions come
 * back as events.
 *
 * A request that the host has no room for waits on hd_wait.  It is offered again
 * when one of the disk's own that is in flight has ended, and besides after a
 * while, since it may be other disks that fill the host's queue.
 */
#include "impl.h"

#include "blockimpl.h"

#define BATCH    32u
#define RETRY_NS 1000000u

struct hostdisk {
	struct qdisk hd_disk;
	uint32_t hd_id;
	bool hd_direct; /* [I] opened with QUERN_BLK_DIRECT */
	struct qspin hd_lock;
	struct qlist hd_wait; /* [hd_lock] b_link */
	unsigned hd_inflight; /* [hd_lock] */
	bool hd_armed;        /* [hd_lock] hd_retry is, or is about to be */
	struct qtimer hd_retry;
};

static void submit_waiting(struct hostdisk *hd);
static void host_submit(struct qdisk *d, struct qbio **bios, unsigned n);

/*
 * What a request has while it is in flight, if it needs more than its own: all
 * pieces of a run in one array, or a copy of the data.
 */
struct lower {
	char *lo_data; /* the copy, or NULL */
	struct quern_iov lo_iov[];
};

/*
 * Past its cache the host takes and gives only memory that is aligned to
 * sectors.  Is all of a run?
 */
static bool
aligned(const struct hostdisk *hd, struct qbio *head)
{
	uintptr_t bits = 0;
	struct qbio *b;
	uint32_t i;

	QBIO_FOREACH(b, head)
	for (i = 0; i < b->b_niov; i++)
		bits |= (uintptr_t)b->b_iov[i].iov_base | b->b_iov[i].iov_len;
	return (bits & (hd->hd_disk.qd_sector - 1)) == 0;
}

/* Move data between a run and the copy of it. */
static void
copy_run(struct qbio *head, bool in)
{
	char *p = ((struct lower *)head->b_lower)->lo_data;
	const struct quern_iov *iov;
	struct qbio *b;
	uint32_t i;

	QBIO_FOREACH(b, head)
	for (i = 0; i < b->b_niov; i++) {
		iov = &b->b_iov[i];
		if (in)
			memcpy(p, iov->iov_base, iov->iov_len);
		else
			memcpy(iov->iov_base, p, iov->iov_len);
		p += iov->iov_len;
	}
}

/* One aligned piece in place of a run's. */
static int
bounce(const struct hostdisk *hd, struct qbio *head, struct quern_blk_op *op)
{
	uintptr_t mask = hd->hd_disk.qd_sector - 1;
	struct lower *lo;

	lo = block_alloc(
	    sizeof(*lo) + sizeof(lo->lo_iov[0]) + op->b_len + mask);
	if (lo == NULL)
		return -Q_ENOMEM;
	head->b_lower = lo;
	lo->lo_data = (char *)(((uintptr_t)&lo->lo_iov[1] + mask) & ~mask);
	lo->lo_iov[0].iov_base = lo->lo_data;
	lo->lo_iov[0].iov_len = op->b_len;
	if (head->b_cmd == QUERN_BLK_WRITE)
		copy_run(head, true);
	op->b_iov = lo->lo_iov;
	op->b_niov = 1;
	return 0;
}

/* The memory of a run, for as long as it is in flight. */
static int
gather(const struct hostdisk *hd, struct qbio *head, struct quern_blk_op *op)
{
	struct quern_iov *iov;
	struct lower *lo;
	struct qbio *b;
	uint32_t n = 0, i;

	op->b_len = 0;
	QBIO_FOREACH(b, head)
	{
		n += b->b_niov;
		op->b_len += b->b_len;
	}
	op->b_niov = n;
	op->b_iov = head->b_iov;
	if (hd->hd_direct && !aligned(hd, head))
		return bounce(hd, head, op);
	if (head->b_merged == NULL)
		return 0;
	lo = block_alloc(sizeof(*lo) + n * sizeof(*iov));
	if (lo == NULL)
		return -Q_ENOMEM;
	head->b_lower = lo;
	op->b_iov = iov = lo->lo_iov;
	QBIO_FOREACH(b, head)
	for (i = 0; i < b->b_niov; i++)
		*iov++ = b->b_iov[i];
	return 0;
}

static void
finish(struct qbio *b, int64_t result)
{
	struct lower *lo = b->b_lower;

	if (lo != NULL && lo->lo_data != NULL && result >= 0 &&
	    b->b_cmd == QUERN_BLK_READ)
		copy_run(b, false);
	qfree(lo);
	b->b_lower = NULL;
	/* It may have failed because the disk is not what it was. */
	if (qunlikely(result < 0))
		(void)qdisk_look(b->b_disk);
	qbio_end(b, result < 0 ? (int)result : 0);
}

static void
completed(void *k, struct quern_event *ev)
{
	struct qbio *b = QCONTAINER(ev, struct qbio, b_ev);
	struct hostdisk *hd = b->b_disk->qd_priv;

	(void)k;
	qspin_lock(&hd->hd_lock);
	hd->hd_inflight--;
	qspin_unlock(&hd->hd_lock);
	if (ev->e_result == -Q_ECANCELED) {
		/* The host thread that began it has ended: begin it again. */
		qfree(b->b_lower);
		b->b_lower = NULL;
		host_submit(&hd->hd_disk, &b, 1);
		return;
	}
	/* First: the disk may be gone once its last request has ended. */
	submit_waiting(hd);
	finish(b, ev->e_result);
}

static void
fill(struct hostdisk *hd, struct qbio *b, struct quern_blk_op *op)
{
	memset(&b->b_ev, 0, sizeof(b->b_ev));
	b->b_ev.e_fn = completed;
	op->b_id = hd->hd_id;
	op->b_cmd = b->b_cmd;
	op->b_flags = b->b_flags;
	op->b_off = b->b_off;
	op->b_ev = &b->b_ev;
	op->b_result = 0;
}

static void
enqueue(struct hostdisk *hd, struct qbio *b)
{
	bool armed;

	qlist_init(&b->b_link);
	/*
	 * Armed before the request is on the list: once it is, it may end, and
	 * the disk go.  And not under the lock, since arming waits for the
	 * function, which takes it.
	 */
	for (;;) {
		qspin_lock(&hd->hd_lock);
		armed = hd->hd_armed;
		if (armed)
			qlist_append(&hd->hd_wait, &b->b_link);
		hd->hd_armed = true;
		qspin_unlock(&hd->hd_lock);
		if (armed)
			return;
		qtimer_arm(&hd->hd_retry,
		    qclock_mono(hd->hd_disk.qd_k) + RETRY_NS);
	}
}

static void
retry(struct qtimer *tm)
{
	struct hostdisk *hd = tm->tm_arg;

	qspin_lock(&hd->hd_lock);
	hd->hd_armed = false;
	qspin_unlock(&hd->hd_lock);
	submit_waiting(hd);
}

/* Hand over a batch; what the host has no room for goes on hd_wait. */
static void
submit_batch(struct hostdisk *hd, struct qbio **bios, struct quern_blk_op *ops,
    unsigned n)
{
	struct qcpu *v = qcpu_current();
	struct quern *k = v->v_k;
	unsigned i;
	int taken;

	/*
	 * Counted before they are submitted: the events may come on another
	 * host thread before the hypercall returns.
	 */
	qspin_lock(&hd->hd_lock);
	hd->hd_inflight += n;
	qspin_unlock(&hd->hd_lock);
	__atomic_fetch_add(&v->v_sched->r_inflight, n, __ATOMIC_SEQ_CST);
	taken = k->k_hyper->blk_submit(k->k_ctx, v->v_id, ops, n);
	for (i = 0; i < n; i++) {
		if ((int)i < taken && ops[i].b_result == -Q_EINPROGRESS)
			continue;
		qspin_lock(&hd->hd_lock);
		hd->hd_inflight--;
		qspin_unlock(&hd->hd_lock);
		__atomic_fetch_sub(&v->v_sched->r_inflight, 1,
		    __ATOMIC_SEQ_CST);
		if ((int)i < taken) {
			finish(bios[i], ops[i].b_result);
		} else {
			qfree(bios[i]->b_lower);
			bios[i]->b_lower = NULL;
			enqueue(hd, bios[i]);
		}
	}
}

static void
host_submit(struct qdisk *d, struct qbio **bios, unsigned n)
{
	struct hostdisk *hd = d->qd_priv;
	struct quern_blk_op ops[BATCH];
	struct qbio *batch[BATCH];
	unsigned i, m = 0;
	int error;

	for (i = 0; i < n; i++) {
		bios[i]->b_lower = NULL;
		error = gather(hd, bios[i], &ops[m]);
		if (error != 0) {
			qbio_end(bios[i], error);
			continue;
		}
		fill(hd, bios[i], &ops[m]);
		batch[m++] = bios[i];
		if (m == BATCH) {
			submit_batch(hd, batch, ops, m);
			m = 0;
		}
	}
	if (m > 0)
		submit_batch(hd, batch, ops, m);
}

static void
submit_waiting(struct hostdisk *hd)
{
	struct qbio *b = NULL;

	if (qlist_empty(&hd->hd_wait))
		return;
	qspin_lock(&hd->hd_lock);
	if (!qlist_empty(&hd->hd_wait)) {
		b = QLIST_ELEM(hd->hd_wait.l_next, struct qbio, b_link);
		qlist_del(&b->b_link);
	}
	qspin_unlock(&hd->hd_lock);
	if (b != NULL)
		host_submit(&hd->hd_disk, &b, 1);
}

static void
host_release(struct qdisk *d)
{
	struct hostdisk *hd = d->qd_priv;

	(void)qtimer_stop(&hd->hd_retry);
	qassert(hd->hd_inflight == 0 && qlist_empty(&hd->hd_wait));
	d->qd_k->k_hyper->blk_close(d->qd_k->k_ctx, hd->hd_id);
	qfree(hd);
}

static uint64_t
host_size(struct qdisk *d)
{
	struct hostdisk *hd = d->qd_priv;
	struct quern *k = d->qd_k;
	char name[24], buf[24];
	uint64_t size = 0;
	int64_t len, i;

	qsnprintf(name, sizeof(name), "blk.%u", hd->hd_id);
	len = k->k_hyper->param(k->k_ctx, name, buf, sizeof(buf));
	if (len <= 0 || (size_t)len > sizeof(buf))
		return qdisk_size(d);
	for (i = 0; i < len && buf[i] >= '0' && buf[i] <= '9'; i++)
		size = size * 10 + (uint64_t)(buf[i] - '0');
	return size - size % d->qd_sector;
}

static const struct qdisk_ops host_ops = {
	.do_submit = host_submit,
	.do_release = host_release,
	.do_size = host_size,
};

void
block_drain(struct quern *k)
{
	struct hostdisk *hd;
	struct qdisk *d;
	struct qlist *l;

	QLIST_FOREACH(l, &k->k_disks) {
		d = QLIST_ELEM(l, struct qdisk, qd_link);
		if (d->qd_ops != &host_ops)
			continue;
		hd = d->qd_priv;
		k->k_hyper->blk_close(k->k_ctx, hd->hd_id);
	}
}

int
qdisk_open(struct quern *k, const char *name, unsigned flags, struct qdisk **dp)
{
	return qdisk_open_as(k, name, name, flags, dp);
}

int
qdisk_open_as(struct quern *k, const char *hostname, const char *name,
    unsigned flags, struct qdisk **dp)
{
	struct quern_blk_info info;
	struct hostdisk *hd;
	int error;

	hd = block_alloc(sizeof(*hd));
	if (hd == NULL)
		return -Q_ENOMEM;
	error = k->k_hyper->blk_open(k->k_ctx, hostname, flags, &info,
	    &hd->hd_id);
	if (error != 0) {
		qfree(hd);
		return error;
	}
	qspin_init(&hd->hd_lock);
	qlist_init(&hd->hd_wait);
	qtimer_init(&hd->hd_retry, retry, hd);
	hd->hd_direct = (flags & QUERN_BLK_DIRECT) != 0;
	hd->hd_disk.qd_ops = &host_ops;
	hd->hd_disk.qd_priv = hd;
	hd->hd_disk.qd_size = info.bi_size;
	hd->hd_disk.qd_sector = info.bi_sector;
	hd->hd_disk.qd_discard = info.bi_discard;
	if ((info.bi_flags & QUERN_BLK_RDONLY) != 0)
		hd->hd_disk.qd_flags |= QDISK_RDONLY;
	error = qdisk_attach(k, &hd->hd_disk, name);
	if (error != 0) {
		k->k_hyper->blk_close(k->k_ctx, hd->hd_id);
		qfree(hd);
		return error;
	}
	*dp = &hd->hd_disk;
	return 0;
}
