/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console: a terminal whose other end is a channel of the host.
 *
 * Input is taken by a thread of its own, since a ^C counts though nobody reads;
 * it reads no more than the line discipline has room for.  Output is given to the
 * channel by whoever makes it, and by that thread when the channel was full.
 */
#include "impl.h"

#define CHUNK 512u

struct console {
	struct qtty *co_tty;
	struct qchan *co_chan;
	struct qworkq *co_q;
	struct qwork co_work;
	struct qcdev co_dev, co_line; /* as console, as ttyS0 */
	bool co_closing;              /* [t] the channel goes */
	bool co_stay;                 /* [I] its end is no hang-up */
	bool co_mute;                 /* the thread's: it has ended */
	/* The thread's: what has no room yet, co_at .. co_end. */
	uint8_t co_buf[CHUNK];
	size_t co_at, co_end;
};

static const struct qtag tag_console = { "console" };

static void
ready(void *arg, uint32_t events)
{
	struct console *co = arg;

	(void)events;
	(void)qwork_queue(co->co_q, &co->co_work);
}

/* Give the channel what it takes; what it can't take ever is lost.  [t] */
static void
push_output(struct qtty *t)
{
	struct console *co = t->t_priv;
	const uint8_t *p;
	uint32_t n;
	int64_t done;

	if (co->co_closing)
		return;
	while ((n = tty_out_piece(t, &p)) != 0) {
		done = qchan_write(co->co_chan, p, n);
		if (done == -Q_EAGAIN)
			break;
		tty_out_taken(t, done > 0 ? (uint32_t)done : n);
	}
}

static void
have_room(struct qtty *t)
{
	struct console *co = t->t_priv;

	(void)qwork_queue(co->co_q, &co->co_work);
}

static const struct tty_ops console_end_ops = {
	.to_output = push_output,
	.to_room = have_room,
};

/* Move input on; false: there is none, or no room. */
static bool
pull_input(struct console *co)
{
	struct qtty *t = co->co_tty;
	int64_t n;

	if (co->co_mute)
		return false;
	if (co->co_at == co->co_end) {
		n = qchan_read(co->co_chan, co->co_buf, sizeof(co->co_buf));
		if (n == -Q_EAGAIN)
			return false;
		if (n <= 0) {
			/* Nobody will ever type again. */
			qmutex_lock(&t->t_lock);
			t->t_ended = !co->co_stay;
			qmutex_unlock(&t->t_lock);
			if (!co->co_stay)
				job_hangup(t, false);
			co->co_mute = true;
			return false;
		}
		co->co_at = 0;
		co->co_end = (size_t)n;
	}
	qmutex_lock(&t->t_lock);
	co->co_at += tty_receive(t, &co->co_buf[co->co_at],
	    co->co_end - co->co_at);
	tty_unlock(t);
	return co->co_at == co->co_end;
}

static void
work(struct qwork *wk)
{
	struct console *co = QCONTAINER(wk, struct console, co_work);
	struct qtty *t = co->co_tty;
	bool ended;

	qmutex_lock(&t->t_lock);
	push_output(t);
	ended = t->t_ended;
	qmutex_unlock(&t->t_lock);
	while (!ended && pull_input(co)) {
		qmutex_lock(&t->t_lock);
		ended = t->t_ended;
		qmutex_unlock(&t->t_lock);
	}
}

int
console_open(struct qcdev *d, struct quern_proc *p, uint32_t minor,
    uint32_t flags, void **openp)
{
	struct console *co = d->cd_arg;

	(void)minor;
	return tty_open(co->co_tty, p, flags, d == &co->co_dev, openp);
}

static int
register_devices(struct quern *k, struct console *co)
{
	int error;

	co->co_dev = (struct qcdev){ .cd_name = "console",
		.cd_major = TTY_AUX_MAJOR,
		.cd_minor = 1,
		.cd_nminor = 1,
		.cd_mode = 0600,
		.cd_ops = &console_ops,
		.cd_arg = co };
	co->co_line = co->co_dev;
	co->co_line.cd_name = "ttyS0";
	co->co_line.cd_major = 4;
	co->co_line.cd_minor = 64;
	error = qcdev_register(k, &co->co_dev);
	if (error != 0)
		return error;
	error = qcdev_register(k, &co->co_line);
	if (error != 0)
		qcdev_unregister(k, &co->co_dev);
	return error;
}

/* From when the thread leaves the channel alone, it can go. */
static void
console_free(struct console *co)
{
	if (co->co_chan != NULL) {
		qmutex_lock(&co->co_tty->t_lock);
		co->co_closing = co->co_tty->t_ended = true;
		qmutex_unlock(&co->co_tty->t_lock);
		(void)qwork_cancel(&co->co_work);
		qchan_close(co->co_chan);
	}
	if (co->co_q != NULL)
		qworkq_destroy(co->co_q);
	if (co->co_tty != NULL)
		tty_put(co->co_tty);
	qfree(co);
}

/* [x] */
static int
console_make(struct ttys *tt, const char *name, unsigned flags,
    struct console **cop)
{
	struct console *co = qzalloc(&tag_console, sizeof(*co));
	int error;

	if (co == NULL)
		return -Q_ENOMEM;
	qwork_init(&co->co_work, work);
	co->co_stay = (flags & QTTY_STAY) != 0;
	error = tty_create(tt->tt_k, &console_end_ops, qdev_make(4, 64),
	    &co->co_tty);
	if (error == 0) {
		co->co_tty->t_priv = co;
		error = qworkq_create(tt->tt_k, "console", QPRIO_HIGH,
		    &co->co_q);
	}
	if (error == 0)
		error = qchan_open(tt->tt_k, name, ready, co, &co->co_chan);
	if (error == 0)
		error = register_devices(tt->tt_k, co);
	if (error != 0) {
		console_free(co);
		return error;
	}
	*cop = co;
	return 0;
}

int
qtty_console(struct quern *k, const char *name, unsigned flags)
{
	struct ttys *tt = ttys_of(k);
	struct console *co;
	int error = -Q_EEXIST;

	qmutex_lock(&tt->tt_lock);
	if (tt->tt_console == NULL) {
		error = console_make(tt, name, flags, &co);
		if (error == 0) {
			tt->tt_console = co;
			(void)qwork_queue(co->co_q, &co->co_work);
		}
	}
	qmutex_unlock(&tt->tt_lock);
	return error;
}

int
qtty_console_resize(struct quern *k, const struct q_winsize *size)
{
	struct ttys *tt = ttys_of(k);

	qmutex_lock(&tt->tt_lock);
	if (tt->tt_console != NULL)
		job_resize(tt->tt_console->co_tty, size);
	qmutex_unlock(&tt->tt_lock);
	return tt->tt_console != NULL ? 0 : -Q_ENXIO;
}

void
console_end(struct ttys *tt)
{
	struct console *co = tt->tt_console;

	if (co == NULL)
		return;
	qcdev_unregister(tt->tt_k, &co->co_dev);
	qcdev_unregister(tt->tt_k, &co->co_line);
	tt->tt_console = NULL;
	console_free(co);
}
