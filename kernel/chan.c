/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Channels of the host.
 *
 * The host takes one event a direction.  It is armed by the first call that
 * would wait (d_armed), and while it is, others ask without one: when it comes,
 * c_ready tells everybody.  c_ready is called under c_wq's lock, which is what
 * lets qchan_close know that it is over.
 */
#include "impl.h"

#include <quern/abi/signal.h>

#include "chan.h"
#include "file.h"
#include "proc.h"
#include "slab.h"

struct direction {
	struct quern_event d_ev;
	uint32_t d_armed; /* [a] the host has d_ev */
	uint32_t d_poll;  /* [I] what it is an event of */
	struct qchan *d_chan;
	struct qmutex d_lock; /* one call at a time */
};

struct qchan {
	struct quern *c_k;
	uint32_t c_id;
	struct direction c_in, c_out;
	void (*c_ready)(void *arg, uint32_t events);
	void *c_arg;
	struct qwaitq c_wq; /* qchan_close, for events to come back */
	bool c_closing;     /* [c_wq] */
};

static const struct qtag tag_chan = { "channel" };

static void
chan_event(void *k, struct quern_event *ev)
{
	struct direction *d = QCONTAINER(ev, struct direction, d_ev);
	struct qchan *c = d->d_chan;

	(void)k;
	qspin_lock(&c->c_wq.w_lock);
	__atomic_store_n(&d->d_armed, 0, __ATOMIC_RELEASE);
	if (c->c_closing)
		(void)qwaitq_wake_locked(&c->c_wq);
	else
		c->c_ready(c->c_arg, d->d_poll);
	qspin_unlock(&c->c_wq.w_lock);
}

static void
direction_init(struct direction *d, struct qchan *c, uint32_t events)
{
	d->d_chan = c;
	d->d_poll = events;
	d->d_ev.e_fn = chan_event;
	qmutex_init(&d->d_lock, "channel");
}

int
qchan_open(struct quern *k, const char *name,
    void (*ready)(void *arg, uint32_t events), void *arg, struct qchan **cp)
{
	struct qchan *c = qzalloc(&tag_chan, sizeof(*c));
	int error;

	if (c == NULL)
		return -Q_ENOMEM;
	c->c_k = k;
	c->c_ready = ready;
	c->c_arg = arg;
	qwaitq_init(&c->c_wq);
	direction_init(&c->c_in, c, Q_POLLIN);
	direction_init(&c->c_out, c, Q_POLLOUT);
	error = k->k_hyper->chan_open(k->k_ctx, name, &c->c_id);
	if (error != 0) {
		qfree(c);
		return error;
	}
	*cp = c;
	return 0;
}

static bool
is_armed(const struct direction *d)
{
	return __atomic_load_n(&d->d_armed, __ATOMIC_ACQUIRE) != 0;
}

void
qchan_close(struct qchan *c)
{
	qspin_lock(&c->c_wq.w_lock);
	c->c_closing = true;
	qspin_unlock(&c->c_wq.w_lock);
	c->c_k->k_hyper->chan_close(c->c_k->k_ctx, c->c_id);
	qspin_lock(&c->c_wq.w_lock);
	while (is_armed(&c->c_in) || is_armed(&c->c_out)) {
		(void)qwaitq_sleep(&c->c_wq, &c->c_wq.w_lock, 0, QUERN_NEVER);
		qspin_lock(&c->c_wq.w_lock);
	}
	qspin_unlock(&c->c_wq.w_lock);
	qfree(c);
}

/* The event, to be given to the host; NULL: the host has it. */
static struct quern_event *
arm(struct qcpu *v, struct direction *d)
{
	if (is_armed(d))
		return NULL;
	/* Counted before: it may come before the hypercall returns. */
	__atomic_store_n(&d->d_armed, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&v->v_sched->r_inflight, 1, __ATOMIC_SEQ_CST);
	return &d->d_ev;
}

/* The host has answered `n`, and keeps the event only with -EAGAIN. */
static void
disarm(struct qcpu *v, struct direction *d, struct quern_event *ev, int64_t n)
{
	if (ev == NULL || n == -Q_EAGAIN)
		return;
	__atomic_store_n(&d->d_armed, 0, __ATOMIC_RELEASE);
	__atomic_fetch_sub(&v->v_sched->r_inflight, 1, __ATOMIC_SEQ_CST);
}

int64_t
qchan_read(struct qchan *c, void *buf, size_t len)
{
	struct quern_event *ev;
	struct qcpu *v;
	int64_t n;

	qmutex_lock(&c->c_in.d_lock);
	v = qcpu_current();
	ev = arm(v, &c->c_in);
	n = c->c_k->k_hyper->chan_read(c->c_k->k_ctx, v->v_id, c->c_id, buf,
	    len, ev);
	disarm(v, &c->c_in, ev, n);
	qmutex_unlock(&c->c_in.d_lock);
	return n;
}

int64_t
qchan_write(struct qchan *c, const void *buf, size_t len)
{
	struct quern_event *ev;
	struct qcpu *v;
	int64_t n;

	qmutex_lock(&c->c_out.d_lock);
	v = qcpu_current();
	ev = arm(v, &c->c_out);
	n = c->c_k->k_hyper->chan_write(c->c_k->k_ctx, v->v_id, c->c_id, buf,
	    len, ev);
	disarm(v, &c->c_out, ev, n);
	qmutex_unlock(&c->c_out.d_lock);
	return n;
}

/* ---- files -------------------------------------------------------------------- */

/* Bytes that go through memory of ours at a time. */
#define CHUNK 4096u

struct chanfile {
	struct qchan *cf_chan;
	struct qwaitq cf_wq;
	uint32_t cf_seq; /* [cf_wq] times that something became ready */
	struct qpollq cf_pollq;
	struct qmutex cf_lock;
	char *cf_buf;           /* [cf_lock] CHUNK bytes */
	uint32_t cf_at, cf_end; /* [cf_lock] what of it was not taken yet */
	bool cf_eof, cf_full;   /* [cf_lock], [a] */
	uint64_t cf_ino;        /* [I] */
};

static void
file_ready(void *arg, uint32_t events)
{
	struct chanfile *cf = arg;

	qspin_lock(&cf->cf_wq.w_lock);
	cf->cf_seq++;
	if ((events & Q_POLLOUT) != 0)
		__atomic_store_n(&cf->cf_full, false, __ATOMIC_RELAXED);
	(void)qwaitq_wake_locked(&cf->cf_wq);
	qspin_unlock(&cf->cf_wq.w_lock);
	qpollq_wake(&cf->cf_pollq, events);
}

static uint32_t
ready_seq(struct chanfile *cf)
{
	uint32_t seq;

	qspin_lock(&cf->cf_wq.w_lock);
	seq = cf->cf_seq;
	qspin_unlock(&cf->cf_wq.w_lock);
	return seq;
}

/* Sleep until something has become ready since `seq`. */
static int
await_ready(struct chanfile *cf, uint32_t seq)
{
	int error;

	qspin_lock(&cf->cf_wq.w_lock);
	if (cf->cf_seq != seq) {
		qspin_unlock(&cf->cf_wq.w_lock);
		return 0;
	}
	error = qwaitq_sleep(&cf->cf_wq, &cf->cf_wq.w_lock, QSLEEP_INTR,
	    QUERN_NEVER);
	return error;
}

/* Have up to `len` bytes in cf_buf.  Bytes, 0 at the end, -EAGAIN.  [cf_lock] */
static int64_t
fetch(struct chanfile *cf, size_t len)
{
	int64_t n;

	if (cf->cf_at != cf->cf_end)
		return cf->cf_end - cf->cf_at;
	n = qchan_read(cf->cf_chan, cf->cf_buf, len < CHUNK ? len : CHUNK);
	if (n > 0) {
		cf->cf_at = 0;
		cf->cf_end = (uint32_t)n;
	}
	return n;
}

static int64_t
chanfile_read(struct qfile *f, struct quio *u)
{
	struct chanfile *cf = f->f_obj;
	uint32_t seq;
	int64_t n;

	if (u->u_resid == 0)
		return 0;
	for (;;) {
		seq = ready_seq(cf);
		qmutex_lock(&cf->cf_lock);
		n = fetch(cf, u->u_resid);
		if (n > (int64_t)u->u_resid)
			n = (int64_t)u->u_resid;
		if (n > 0 && quio_out(u, cf->cf_buf + cf->cf_at, n) != 0)
			n = -Q_EFAULT;
		if (n > 0)
			cf->cf_at += (uint32_t)n;
		qmutex_unlock(&cf->cf_lock);
		if (n != -Q_EAGAIN || qfile_nowait(f, u))
			return n;
		n = await_ready(cf, seq);
		if (n != 0)
			return n;
	}
}

/* Write all of it, unless that would wait and must not: bytes, or -errno. */
static int64_t
push(struct chanfile *cf, const char *buf, size_t len, bool nowait)
{
	size_t done = 0;
	uint32_t seq;
	int64_t n = 0;

	while (done < len) {
		seq = ready_seq(cf);
		n = qchan_write(cf->cf_chan, buf + done, len - done);
		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		if (n == -Q_EAGAIN) {
			__atomic_store_n(&cf->cf_full, true, __ATOMIC_RELAXED);
			if (!nowait)
				n = await_ready(cf, seq);
		}
		if (n < 0)
			break;
	}
	return done != 0 ? (int64_t)done : n;
}

static int64_t
chanfile_write(struct qfile *f, struct quio *u)
{
	struct chanfile *cf = f->f_obj;
	int64_t done = 0, n = 0;
	char *buf;
	size_t len;

	if (u->u_resid == 0)
		return 0;
	buf = qalloc(&tag_chan, CHUNK);
	if (buf == NULL)
		return -Q_ENOMEM;
	while (u->u_resid > 0) {
		len = u->u_resid < CHUNK ? u->u_resid : CHUNK;
		n = quio_in(u, buf, len);
		if (n == 0)
			n = push(cf, buf, len, qfile_nowait(f, u));
		if (n > 0)
			done += n;
		if (n < (int64_t)len)
			break;
	}
	qfree(buf);
	if (done != 0)
		return done;
	if (n == -Q_EPIPE)
		qproc_signal(qproc_current(), Q_SIGPIPE);
	return n;
}

/*
 * Whether there is something to read the host says only by giving it, so a byte
 * is taken ahead.
 */
static uint32_t
chanfile_poll(struct qfile *f, struct qpollent *e)
{
	struct chanfile *cf = f->f_obj;
	uint32_t ready = 0;
	int64_t n;

	qpollq_add(&cf->cf_pollq, e, Q_POLLIN | Q_POLLOUT);
	if ((f->f_mode & QF_READ) != 0) {
		qmutex_lock(&cf->cf_lock);
		n = cf->cf_eof ? 0 : fetch(cf, 1);
		cf->cf_eof |= n == 0;
		qmutex_unlock(&cf->cf_lock);
		if (n != -Q_EAGAIN)
			ready |= Q_POLLIN | Q_POLLRDNORM;
		if (n == 0)
			ready |= Q_POLLHUP;
	}
	if ((f->f_mode & QF_WRITE) != 0 &&
	    !__atomic_load_n(&cf->cf_full, __ATOMIC_RELAXED))
		ready |= Q_POLLOUT | Q_POLLWRNORM;
	return ready;
}

static int
chanfile_stat(struct qfile *f, struct q_stat *st)
{
	const struct chanfile *cf = f->f_obj;

	st->st_ino = cf->cf_ino;
	st->st_mode = Q_S_IFIFO | 0600;
	st->st_nlink = 1;
	st->st_blksize = CHUNK;
	return 0;
}

static void
chanfile_free(struct chanfile *cf)
{
	if (cf->cf_chan != NULL)
		qchan_close(cf->cf_chan);
	qfree(cf->cf_buf);
	qfree(cf);
}

static void
chanfile_release(struct qfile *f)
{
	chanfile_free(f->f_obj);
}

static const struct qfile_ops chanfile_ops = {
	.fo_name = "channel",
	.fo_read = chanfile_read,
	.fo_write = chanfile_write,
	.fo_poll = chanfile_poll,
	.fo_stat = chanfile_stat,
	.fo_release = chanfile_release,
};

int
qchanfile_create(struct quern *k, const char *name, uint32_t flags,
    struct qfile **fp)
{
	struct chanfile *cf = qzalloc(&tag_chan, sizeof(*cf));
	int error = -Q_ENOMEM;

	if (cf == NULL)
		return error;
	qwaitq_init(&cf->cf_wq);
	qpollq_init(&cf->cf_pollq);
	qmutex_init(&cf->cf_lock, "channel file");
	cf->cf_ino = qfile_serial(k);
	cf->cf_buf = qalloc(&tag_chan, CHUNK);
	if (cf->cf_buf != NULL)
		error = qchan_open(k, name, file_ready, cf, &cf->cf_chan);
	if (error == 0)
		error = qfile_create(k, &chanfile_ops, cf,
		    flags & (Q_O_ACCMODE | Q_O_NONBLOCK), QF_NOWAIT, fp);
	if (error != 0)
		chanfile_free(cf);
	return error;
}
