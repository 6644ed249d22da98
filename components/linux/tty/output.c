/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The line discipline's output: what is written, as c_oflag changes it, waits in
 * a ring for the other end to take it.  Echoes go there too, and have room of
 * their own behind what writes can fill.
 */
#include "impl.h"

/* Bytes of a write that are looked at under one holding of the lock. */
#define CHUNK 512u

static uint32_t
used(const struct qtty *t)
{
	return t->t_outhead - t->t_outtail;
}

uint32_t
tty_out_ready(const struct qtty *t)
{
	return (t->t_stopped ? t->t_outstop : t->t_outhead) - t->t_outtail;
}

uint32_t
tty_out_piece(const struct qtty *t, const uint8_t **pp)
{
	uint32_t at = t->t_outtail % TTY_OUT, n = tty_out_ready(t);

	*pp = &t->t_out[at];
	return n < TTY_OUT - at ? n : TTY_OUT - at;
}

void
tty_out_taken(struct qtty *t, uint32_t n)
{
	qassert(n <= tty_out_ready(t));
	if (n == 0)
		return;
	t->t_outtail += n;
	qcv_broadcast(&t->t_wcv);
	qpollq_wake(&t->t_pollq, TTY_POLL_OUT);
}

void
tty_flush_output(struct qtty *t)
{
	if (t->t_stopped) {
		t->t_outhead = t->t_outstop;
		t->t_column = t->t_stopcolumn;
		t->t_canoncol = t->t_stopcanoncol;
	}
	if (t->t_ops->to_flushed != NULL)
		t->t_ops->to_flushed(t);
	qcv_broadcast(&t->t_wcv);
	qpollq_wake(&t->t_pollq, TTY_POLL_OUT);
}

bool
tty_can_write(const struct qtty *t)
{
	return !t->t_stopped && used(t) < TTY_OUT_WRITE;
}

/* ---- characters --------------------------------------------------------------------- */

bool
tty_put_raw(struct qtty *t, uint8_t c, uint32_t limit)
{
	if (used(t) >= limit)
		return false;
	t->t_out[t->t_outhead++ % TTY_OUT] = c;
	return true;
}

static bool
put_newline(struct qtty *t, uint32_t limit)
{
	if (has_oflag(t, Q_ONLRET))
		t->t_column = 0;
	if (has_oflag(t, Q_ONLCR)) {
		if (used(t) + 2 > limit)
			return false;
		t->t_column = t->t_canoncol = 0;
		(void)tty_put_raw(t, '\r', limit);
	} else {
		t->t_canoncol = t->t_column;
	}
	return tty_put_raw(t, '\n', limit);
}

static bool
put_return(struct qtty *t, uint32_t limit)
{
	uint8_t c = '\r';

	if (has_oflag(t, Q_ONOCR) && t->t_column == 0)
		return true;
	if (has_oflag(t, Q_OCRNL)) {
		c = '\n';
		if (has_oflag(t, Q_ONLRET))
			t->t_canoncol = t->t_column = 0;
	} else {
		t->t_canoncol = t->t_column = 0;
	}
	return tty_put_raw(t, c, limit);
}

static bool
put_tab(struct qtty *t, uint32_t limit)
{
	uint32_t n = 8 - (t->t_column & 7);

	if ((t->t_tio.c_oflag & Q_TABDLY) != Q_XTABS) {
		t->t_column += n;
		return tty_put_raw(t, '\t', limit);
	}
	if (used(t) + n > limit)
		return false;
	t->t_column += n;
	while (n-- > 0)
		(void)tty_put_raw(t, ' ', limit);
	return true;
}

bool
tty_put_char(struct qtty *t, uint8_t c, uint32_t limit)
{
	if (used(t) >= limit)
		return false;
	switch (c) {
	case '\n':
		return put_newline(t, limit);
	case '\r':
		return put_return(t, limit);
	case '\t':
		return put_tab(t, limit);
	case '\b':
		if (t->t_column > 0)
			t->t_column--;
		break;
	default:
		if (is_control(c))
			break;
		if (has_oflag(t, Q_OLCUC))
			c = to_upper(c);
		if (!is_continuation(t, c))
			t->t_column++;
		break;
	}
	return tty_put_raw(t, c, limit);
}

/* Output what there is room for: how much.  [t] */
static size_t
put_some(struct qtty *t, const uint8_t *p, size_t n)
{
	bool post = has_oflag(t, Q_OPOST);
	size_t i;

	if (!tty_can_write(t))
		return 0;
	for (i = 0; i < n; i++)
		if (post ? !tty_put_char(t, p[i], TTY_OUT_WRITE) :
			   !tty_put_raw(t, p[i], TTY_OUT_WRITE))
			break;
	if (i > 0)
		t->t_ops->to_output(t);
	return i;
}

/* ---- writes ------------------------------------------------------------------------- */

/* Output all of it, waiting for room: how much, -EIO, -EAGAIN, -EINTR.  [t] */
static int64_t
put_all(struct tty_file *tf, const uint8_t *p, size_t n, bool nowait)
{
	struct qtty *t = tf->tf_tty;
	size_t done = 0;
	int error = 0;

	while (error == 0) {
		if (is_hungup(tf)) {
			error = -Q_EIO;
			break;
		}
		done += put_some(t, p + done, n - done);
		if (done == n)
			break;
		error = nowait ?
		    -Q_EAGAIN :
		    qcv_wait(&t->t_wcv, &t->t_lock, QSLEEP_INTR, QUERN_NEVER);
	}
	return done != 0 ? (int64_t)done : error;
}

/* One write at a time, so that lines of several are not mixed.  [t] */
static int
begin_write(struct qtty *t, bool nowait)
{
	int error = 0;

	while (t->t_writing && error == 0)
		error = nowait ?
		    -Q_EAGAIN :
		    qcv_wait(&t->t_wcv, &t->t_lock, QSLEEP_INTR, QUERN_NEVER);
	if (error == 0)
		t->t_writing = true;
	return error;
}

int64_t
tty_write(struct tty_file *tf, struct qfile *f, struct quio *u)
{
	struct qtty *t = tf->tf_tty;
	bool nowait = qfile_nowait(f, u), tostop;
	int64_t n = 0, done = 0;
	uint8_t buf[CHUNK];
	size_t len;

	qmutex_lock(&t->t_lock);
	tostop = has_lflag(t, Q_TOSTOP);
	n = is_hungup(tf) ? -Q_EIO : begin_write(t, nowait);
	qmutex_unlock(&t->t_lock);
	if (n != 0)
		return n;
	if (tostop)
		n = job_check(t, Q_SIGTTOU);
	while (n == 0 && u->u_resid > 0) {
		len = u->u_resid < CHUNK ? u->u_resid : CHUNK;
		n = quio_in(u, buf, len);
		if (n != 0)
			break;
		qmutex_lock(&t->t_lock);
		n = put_all(tf, buf, len, nowait);
		tty_unlock(t);
		if (n < 0)
			break;
		done += n;
		n = n < (int64_t)len ? 1 : 0;
	}
	qmutex_lock(&t->t_lock);
	t->t_writing = false;
	qcv_broadcast(&t->t_wcv);
	qmutex_unlock(&t->t_lock);
	return done != 0 ? done : n;
}

int
tty_drain(struct qtty *t)
{
	int error = 0;

	/* A pty has passed on what it can. */
	if (t->t_pty)
		return 0;
	qmutex_lock(&t->t_lock);
	while (error == 0 && tty_out_ready(t) != 0)
		error = qcv_wait(&t->t_wcv, &t->t_lock, QSLEEP_INTR,
		    QUERN_NEVER);
	qmutex_unlock(&t->t_lock);
	return error;
}
