/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Block devices: the list of disks, requests, merging.
 *
 * The way of a request: qbio_submit checks it against the disk; the driver's
 * do_submit gets it; qbio_end calls b_done.  A view (blockview.c) is a driver
 * that passes requests on to another disk.
 *
 * Merging.  Requests that are submitted together are sorted by command and
 * offset; a run of neighbours with the same flags becomes one request to the
 * driver, the first of the run, on whose b_merged list the others ride: a
 * driver looks at the chain through qbio_pieces only.
 *
 * B1  A request is the layer's from qbio_submit until b_done is called, exactly
 *     once; its b_link is on a driver's list at most.
 * B2  A disk with requests in flight has a reference: the submitter's.
 */
#include "impl.h"

#include "blockimpl.h"
#include "trace.h"

/* A request begins, and ends somewhere else: by enum quern_blk_cmd. */
#define REQUEST(name, phase, ...)                                          \
	{                                                                  \
		.te_name = (name), .te_cat = "block", .te_phase = (phase), \
		.te_arg = {                                                \
			NULL,                                              \
			__VA_ARGS__                                        \
		}                                                          \
	}
#define BEGIN(name) REQUEST(name, QTRACE_ASYNC_BEGIN, "off", "len")
#define END(name)   REQUEST(name, QTRACE_ASYNC_END, "error")

static const struct qtrace_event ev_begin[] = { BEGIN("read"), BEGIN("write"),
	BEGIN("flush"), BEGIN("discard"), BEGIN("zero") };
static const struct qtrace_event ev_end[] = { END("read"), END("write"),
	END("flush"), END("discard"), END("zero") };

_Static_assert(QUERN_BLK_ZERO == 4 && QARRAYLEN(ev_begin) == 5,
    "an event for each command");

static const struct qtag block_tag = { "block" };

/* ---- disks ----------------------------------------------------------------- */

static struct qdisk *
find_locked(struct quern *k, const char *name)
{
	struct qlist *l;
	struct qdisk *d;

	QLIST_FOREACH(l, &k->k_disks) {
		d = QLIST_ELEM(l, struct qdisk, qd_link);
		if (qstrcmp(d->qd_name, name) == 0)
			return d;
	}
	return NULL;
}

/* The list is in the order of numbers, and the first that is free is taken. */
static void
insert_locked(struct quern *k, struct qdisk *d)
{
	struct qlist *l;

	d->qd_num = 1;
	QLIST_FOREACH(l, &k->k_disks) {
		if (QLIST_ELEM(l, struct qdisk, qd_link)->qd_num != d->qd_num)
			break;
		d->qd_num++;
	}
	qlist_append(l, &d->qd_link); /* before it */
}

int
qdisk_attach(struct quern *k, struct qdisk *d, const char *name)
{
	int error = 0;

	if (d->qd_sector < 512 || d->qd_sector > 4096 ||
	    (d->qd_sector & (d->qd_sector - 1)) != 0 ||
	    d->qd_size % d->qd_sector != 0 ||
	    qstrlen(name) >= sizeof(d->qd_name))
		return -Q_EINVAL;
	d->qd_k = k;
	d->qd_refs = 1;
	qsnprintf(d->qd_name, sizeof(d->qd_name), "%s", name);
	qmutex_lock(&k->k_disk_lock);
	if (find_locked(k, name) != NULL)
		error = -Q_EEXIST;
	else
		insert_locked(k, d);
	qmutex_unlock(&k->k_disk_lock);
	return error;
}

struct qdisk *
qdisk_find(struct quern *k, const char *name)
{
	struct qdisk *d;

	qmutex_lock(&k->k_disk_lock);
	d = find_locked(k, name);
	if (d != NULL)
		qdisk_get(d);
	qmutex_unlock(&k->k_disk_lock);
	return d;
}

struct qdisk *
qdisk_from(struct quern *k, uint32_t num)
{
	struct qdisk *d = NULL;
	struct qlist *l;

	qmutex_lock(&k->k_disk_lock);
	QLIST_FOREACH(l, &k->k_disks) {
		d = QLIST_ELEM(l, struct qdisk, qd_link);
		if (d->qd_num >= num)
			break;
		d = NULL;
	}
	if (d != NULL)
		qdisk_get(d);
	qmutex_unlock(&k->k_disk_lock);
	return d;
}

void
qdisk_get(struct qdisk *d)
{
	uint32_t old = __atomic_fetch_add(&d->qd_refs, 1, __ATOMIC_RELAXED);

	qassert(old != 0);
}

/* Drop a reference; with `last_only`, none but the last: -EBUSY. */
static int
drop(struct qdisk *d, bool last_only)
{
	struct quern *k = d->qd_k;
	uint32_t old;

	/* The lock keeps qdisk_find from reviving what has no reference. */
	qmutex_lock(&k->k_disk_lock);
	old = __atomic_load_n(&d->qd_refs, __ATOMIC_ACQUIRE);
	if (last_only && old != 1) {
		qmutex_unlock(&k->k_disk_lock);
		return -Q_EBUSY;
	}
	old = __atomic_fetch_sub(&d->qd_refs, 1, __ATOMIC_ACQ_REL);
	qassert(old != 0);
	if (old == 1)
		qlist_del(&d->qd_link);
	qmutex_unlock(&k->k_disk_lock);
	if (old == 1)
		d->qd_ops->do_release(d);
	return 0;
}

void
qdisk_put(struct qdisk *d)
{
	(void)drop(d, false);
}

int
qdisk_close(struct qdisk *d)
{
	return drop(d, true);
}

uint64_t
qdisk_look(struct qdisk *d)
{
	uint64_t old, now;

	if (d->qd_ops->do_size == NULL)
		return qdisk_size(d);
	now = d->qd_ops->do_size(d);
	old = __atomic_exchange_n(&d->qd_size, now, __ATOMIC_RELAXED);
	if (old != now)
		qlog(d->qd_k, QUERN_LOG_WARN,
		    "disk %s: has become %s: %lu bytes, was %lu", d->qd_name,
		    now < old ? "smaller" : "larger", now, old);
	return now;
}

/* ---- requests ---------------------------------------------------------------- */

static int
check(const struct qdisk *d, const struct qbio *b)
{
	uint64_t mask = d->qd_sector - 1, len = 0, size = qdisk_size(d);
	uint32_t i;

	if (b->b_cmd == QUERN_BLK_FLUSH)
		return 0;
	if (((b->b_off | b->b_len) & mask) != 0 || b->b_len == 0 ||
	    b->b_off > size || b->b_len > size - b->b_off)
		return -Q_EINVAL;
	if (b->b_cmd != QUERN_BLK_READ && (d->qd_flags & QDISK_RDONLY) != 0)
		return -Q_EROFS;
	switch (b->b_cmd) {
	case QUERN_BLK_READ:
	case QUERN_BLK_WRITE:
		if (b->b_len > QBIO_MAXLEN || b->b_niov > QBIO_MAXIOV)
			return -Q_EINVAL;
		for (i = 0; i < b->b_niov; i++)
			len += b->b_iov[i].iov_len;
		return len == b->b_len ? 0 : -Q_EINVAL;
	case QUERN_BLK_DISCARD:
		return d->qd_discard != 0 ? 0 : -Q_EOPNOTSUPP;
	case QUERN_BLK_ZERO:
		return 0;
	default:
		return -Q_EINVAL;
	}
}

static const char *
cmd_name(unsigned cmd)
{
	static const char *const names[] = { "read", "write", "flush",
		"discard", "write-zeroes" };

	return cmd < QARRAYLEN(names) ? names[cmd] : "request";
}

/* Errors of the medium are worth a line; those of the caller are not. */
static void
report(struct qbio *b, int error)
{
	struct qdisk *d = b->b_disk;

	if (error == -Q_EINVAL || error == -Q_EROFS || error == -Q_EOPNOTSUPP)
		return;
	(void)__atomic_fetch_add(&d->qd_errors, 1, __ATOMIC_RELAXED);
	qlog_limited(d->qd_k, &d->qd_rate, QUERN_LOG_ERR,
	    "disk %s: %s at sector %lu, %lu sectors: error %d", d->qd_name,
	    cmd_name(b->b_cmd), b->b_off / d->qd_sector,
	    b->b_len / d->qd_sector, -error);
}

/* Number it and record that it begins: which it is, by its device and range. */
static QCOLD void
trace_request(struct qdisk *d, struct qbio *b)
{
	if (b->b_cmd >= QARRAYLEN(ev_begin))
		return;
	b->b_trace = __atomic_add_fetch(&d->qd_k->k_trace_bio, 1,
	    __ATOMIC_RELAXED);
	qtrace_put(qcpu_current(), &ev_begin[b->b_cmd], b->b_trace, b->b_off,
	    b->b_len);
}

void
qbio_end(struct qbio *b, int error)
{
	struct qbio *next;

	if (qunlikely(error != 0))
		report(b, error);
	for (; b != NULL; b = next) {
		next = b->b_merged;
		b->b_merged = NULL;
		b->b_error = error;
		if (b->b_trace != 0)
			qtrace(qcpu_current(), &ev_end[b->b_cmd], b->b_trace,
			    (uint64_t)(int64_t)error, 0);
		b->b_done(b);
	}
}

/* May `b` ride behind `a`, whose run is `len` bytes in `niov` pieces so far? */
static bool
mergeable(const struct qbio *a, uint64_t len, uint32_t niov,
    const struct qbio *b)
{
	return (b->b_cmd == QUERN_BLK_READ || b->b_cmd == QUERN_BLK_WRITE) &&
	    a->b_cmd == b->b_cmd && a->b_flags == b->b_flags &&
	    a->b_off + len == b->b_off && len + b->b_len <= QBIO_MAXLEN &&
	    niov + b->b_niov <= QBIO_MAXIOV;
}

static bool
goes_after(const struct qbio *a, const struct qbio *b)
{
	if (a->b_cmd != b->b_cmd)
		return a->b_cmd > b->b_cmd;
	return a->b_off > b->b_off;
}

/* Insertion sort: submitters hand over few, mostly in order. */
static void
sort(struct qbio **bios, unsigned n)
{
	struct qbio *b;
	unsigned i, j;

	for (i = 1; i < n; i++) {
		b = bios[i];
		for (j = i; j > 0 && goes_after(bios[j - 1], b); j--)
			bios[j] = bios[j - 1];
		bios[j] = b;
	}
}

/* Make runs of neighbours one request each; returns how many are left. */
static unsigned
merge(struct qbio **bios, unsigned n)
{
	struct qbio *head, *tail;
	uint64_t len;
	uint32_t niov;
	unsigned i, m = 0;

	sort(bios, n);
	for (i = 0; i < n;) {
		head = tail = bios[i++];
		len = head->b_len;
		niov = head->b_niov;
		while (i < n && mergeable(head, len, niov, bios[i])) {
			tail->b_merged = bios[i];
			tail = bios[i++];
			len += tail->b_len;
			niov += tail->b_niov;
		}
		bios[m++] = head;
	}
	return m;
}

void
qbio_submit_many(struct qdisk *d, struct qbio **bios, unsigned n)
{
	unsigned i, m = 0;
	int error;

	for (i = 0; i < n; i++) {
		bios[i]->b_disk = d;
		bios[i]->b_merged = NULL;
		bios[i]->b_trace = 0;
		if (qtrace_on(qcpu_current()))
			trace_request(d, bios[i]);
		error = check(d, bios[i]);
		if (error != 0)
			qbio_end(bios[i], error);
		else
			bios[m++] = bios[i];
	}
	if (m > 1 && (d->qd_flags & QDISK_NOMERGE) == 0)
		m = merge(bios, m);
	if (m > 0)
		d->qd_ops->do_submit(d, bios, m);
}

void
qbio_submit(struct qdisk *d, struct qbio *b)
{
	qbio_submit_many(d, &b, 1);
}

/* ---- waiting ------------------------------------------------------------------- */

/* Requests that one sleeper waits for. */
struct waiter {
	struct qwaitq wt_wq;
	unsigned wt_left;
	int wt_error;
};

static void
waiter_done(struct qbio *b)
{
	struct waiter *wt = b->b_arg;

	qspin_lock(&wt->wt_wq.w_lock);
	if (wt->wt_error == 0)
		wt->wt_error = b->b_error;
	if (--wt->wt_left == 0)
		(void)qwaitq_wake_locked(&wt->wt_wq);
	/* The waiter's stack frame, which this lock is in, may go now. */
	qspin_unlock(&wt->wt_wq.w_lock);
}

static int
waiter_wait(struct waiter *wt)
{
	for (;;) {
		qspin_lock(&wt->wt_wq.w_lock);
		if (wt->wt_left == 0)
			break;
		(void)qwaitq_sleep(&wt->wt_wq, &wt->wt_wq.w_lock, 0,
		    QUERN_NEVER);
	}
	qspin_unlock(&wt->wt_wq.w_lock);
	return wt->wt_error;
}

int
qbio_wait(struct qdisk *d, struct qbio *b)
{
	struct waiter wt = { .wt_left = 1 };

	qwaitq_init(&wt.wt_wq);
	b->b_done = waiter_done;
	b->b_arg = &wt;
	qbio_submit(d, b);
	return waiter_wait(&wt);
}

static int
transfer(struct qdisk *d, unsigned cmd, uint64_t off, void *buf, size_t len)
{
	struct quern_iov iov;
	struct qbio b;
	size_t n;
	int error = 0;

	for (; len > 0 && error == 0; len -= n, off += n) {
		n = len < QBIO_MAXLEN ? len : QBIO_MAXLEN;
		iov.iov_base = buf;
		iov.iov_len = n;
		b = (struct qbio){
			.b_cmd = (uint16_t)cmd,
			.b_iov = &iov,
			.b_niov = 1,
			.b_off = off,
			.b_len = n,
		};
		error = qbio_wait(d, &b);
		buf = (char *)buf + n;
	}
	return error;
}

int
qdisk_read(struct qdisk *d, uint64_t off, void *buf, size_t len)
{
	return transfer(d, QUERN_BLK_READ, off, buf, len);
}

int
qdisk_write(struct qdisk *d, uint64_t off, const void *buf, size_t len)
{
	return transfer(d, QUERN_BLK_WRITE, off, (void *)(uintptr_t)buf, len);
}

int
qdisk_flush(struct qdisk *d)
{
	struct qbio b = { .b_cmd = QUERN_BLK_FLUSH };

	return qbio_wait(d, &b);
}

int
qdisk_discard(struct qdisk *d, uint64_t off, uint64_t len)
{
	struct qbio b = { .b_cmd = QUERN_BLK_DISCARD };

	if (len == 0)
		return 0;
	b.b_off = off;
	b.b_len = len;
	return qbio_wait(d, &b);
}

/* Where write-zeroes is not known: as writes of this many bytes at a time. */
#define ZERO_CHUNK ((size_t)64 << 10)

static int
write_zeroes(struct qdisk *d, uint64_t off, uint64_t len)
{
	char *buf = block_alloc(ZERO_CHUNK);
	size_t n;
	int error = 0;

	if (buf == NULL)
		return -Q_ENOMEM;
	for (; len > 0 && error == 0; off += n, len -= n) {
		n = len < ZERO_CHUNK ? len : ZERO_CHUNK;
		error = qdisk_write(d, off, buf, n);
	}
	qfree(buf);
	return error;
}

int
qdisk_zero(struct qdisk *d, uint64_t off, uint64_t len)
{
	struct qbio b = { .b_cmd = QUERN_BLK_ZERO };
	int error;

	if (len == 0)
		return 0;
	b.b_off = off;
	b.b_len = len;
	error = qbio_wait(d, &b);
	return error != -Q_EOPNOTSUPP ? error : write_zeroes(d, off, len);
}

void *
block_alloc(size_t size)
{
	return qzalloc(&block_tag, size);
}
