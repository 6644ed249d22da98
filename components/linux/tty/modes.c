/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Modes: what a terminal is told by termios(3), and what follows from that.
 */
#include "impl.h"

/* What a new terminal has: Linux's tty_std_termios. */
static const struct q_termios2 usual = {
	.c_iflag = Q_ICRNL | Q_IXON,
	.c_oflag = Q_OPOST | Q_ONLCR,
	.c_cflag = Q_B38400 | Q_CS8 | Q_CREAD | Q_HUPCL,
	.c_lflag = Q_ISIG | Q_ICANON | Q_ECHO | Q_ECHOE | Q_ECHOK | Q_ECHOCTL |
	    Q_ECHOKE | Q_IEXTEN,
	.c_cc = {
	    [Q_VINTR] = 3, [Q_VQUIT] = 28, [Q_VERASE] = 127, [Q_VKILL] = 21,
	    [Q_VEOF] = 4, [Q_VMIN] = 1, [Q_VSTART] = 17, [Q_VSTOP] = 19,
	    [Q_VSUSP] = 26, [Q_VREPRINT] = 18, [Q_VDISCARD] = 15,
	    [Q_VWERASE] = 23, [Q_VLNEXT] = 22,
	},
	.c_ispeed = 38400,
	.c_ospeed = 38400,
};

static void
mark(struct qtty *t, uint8_t c)
{
	t->t_special[c / 8] |= (uint8_t)(1u << c % 8);
}

static void
mark_canon(struct qtty *t)
{
	const uint8_t *cc = t->t_tio.c_cc;

	mark(t, cc[Q_VERASE]);
	mark(t, cc[Q_VKILL]);
	mark(t, cc[Q_VEOF]);
	mark(t, '\n');
	mark(t, cc[Q_VEOL]);
	if (!has_lflag(t, Q_IEXTEN))
		return;
	mark(t, cc[Q_VWERASE]);
	mark(t, cc[Q_VLNEXT]);
	mark(t, cc[Q_VEOL2]);
	if (has_lflag(t, Q_ECHO))
		mark(t, cc[Q_VREPRINT]);
}

/* Which characters of input need a closer look. */
static void
mark_special(struct qtty *t)
{
	const uint8_t *cc = t->t_tio.c_cc;

	__builtin_memset(t->t_special, 0, sizeof(t->t_special));
	if (has_iflag(t, Q_IGNCR | Q_ICRNL))
		mark(t, '\r');
	if (has_iflag(t, Q_INLCR))
		mark(t, '\n');
	if (has_lflag(t, Q_ICANON))
		mark_canon(t);
	if (has_iflag(t, Q_IXON)) {
		mark(t, cc[Q_VSTART]);
		mark(t, cc[Q_VSTOP]);
	}
	if (has_lflag(t, Q_ISIG)) {
		mark(t, cc[Q_VINTR]);
		mark(t, cc[Q_VQUIT]);
		mark(t, cc[Q_VSUSP]);
	}
	t->t_special[TTY_DISABLED / 8] &= (uint8_t) ~(1u << TTY_DISABLED % 8);
}

void
tty_modes_init(struct qtty *t)
{
	t->t_tio = usual;
	mark_special(t);
}

/* Input that is there becomes what it would be in the other mode. */
static void
turn_input(struct qtty *t)
{
	uint32_t last = (t->t_head - 1) % TTY_IN;

	__builtin_memset(t->t_eol, 0, sizeof(t->t_eol));
	t->t_push = has_lflag(t, Q_ICANON) && t->t_head != t->t_tail;
	t->t_canon = t->t_tail;
	if (t->t_push) {
		t->t_eol[last / 8] |= (uint8_t)(1u << last % 8);
		t->t_canon = t->t_head;
	}
	t->t_erasing = t->t_lnext = false;
}

/* Do VSTOP and VSTART have their usual effect? */
static bool
usual_flow(const struct q_termios2 *tio)
{
	return (tio->c_iflag & Q_IXON) != 0 && tio->c_cc[Q_VSTOP] == 19 &&
	    tio->c_cc[Q_VSTART] == 17;
}

void
tty_modes_set(struct qtty *t, const struct q_termios2 *tio)
{
	struct q_termios2 old = t->t_tio;
	bool extproc = ((old.c_lflag | tio->c_lflag) & Q_EXTPROC) != 0;
	bool flow = usual_flow(tio);

	t->t_tio = *tio;
	if (t->t_pty) {
		t->t_tio.c_cflag &= ~(uint32_t)(Q_CSIZE | Q_PARENB);
		t->t_tio.c_cflag |= Q_CS8 | Q_CREAD;
	}
	if (t->t_ops->to_packet != NULL &&
	    (flow != usual_flow(&old) || extproc))
		t->t_ops->to_packet(t, Q_TIOCPKT_DOSTOP | Q_TIOCPKT_NOSTOP,
		    (uint8_t)((flow ? Q_TIOCPKT_DOSTOP : Q_TIOCPKT_NOSTOP) |
			(extproc ? Q_TIOCPKT_IOCTL : 0)));
	if (((old.c_lflag ^ tio->c_lflag) & (Q_ICANON | Q_EXTPROC)) != 0)
		turn_input(t);
	mark_special(t);
	/* Nobody could start it any more. */
	if (!has_iflag(t, Q_IXON) && (old.c_iflag & Q_IXON) != 0 && !t->t_held)
		tty_start(t);
	qcv_broadcast(&t->t_rcv);
	qcv_broadcast(&t->t_wcv);
	qpollq_wake(&t->t_pollq, 0);
}

/* ---- speeds --------------------------------------------------------------------- */

/* By the bits of CBAUD: those without CBAUDEX, then those with. */
static const uint32_t speeds[] = { 0, 50, 75, 110, 134, 150, 200, 300, 600,
	1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400,
	460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000,
	2500000, 3000000, 3500000, 4000000 };

#define NSPEED ((uint32_t)QARRAYLEN(speeds))

/* The number that bits of c_cflag stand for; BOTHER: `other`. */
static uint32_t
speed_of(uint32_t bits, uint32_t other)
{
	uint32_t i = bits & 0xf;

	if ((bits & Q_CBAUD) == Q_BOTHER)
		return other;
	if ((bits & Q_CBAUDEX) != 0)
		i += 15;
	return i < NSPEED ? speeds[i] : 0;
}

/* Set the numbers by the bits. */
static void
set_speeds(struct q_termios2 *tio)
{
	uint32_t in = tio->c_cflag >> Q_IBSHIFT & Q_CBAUD;

	tio->c_ospeed = speed_of(tio->c_cflag, tio->c_ospeed);
	/* B0 for input is: the same. */
	tio->c_ispeed = in == Q_B0 ? tio->c_ospeed :
				     speed_of(in, tio->c_ispeed);
}

/* ---- ioctls ----------------------------------------------------------------------- */

static int64_t
get_modes(struct qtty *t, struct qsys *s, uint64_t arg, size_t len)
{
	struct q_termios2 tio;

	qmutex_lock(&t->t_lock);
	tio = t->t_tio;
	qmutex_unlock(&t->t_lock);
	return qcopyout(s->s_us, arg, &tio, len);
}

static int64_t
set_modes(struct qtty *t, struct qsys *s, uint64_t arg, size_t len, bool wait,
    bool flush)
{
	struct q_termios2 tio;
	int error = job_check(t, Q_SIGTTOU);

	if (error != 0)
		return error;
	qmutex_lock(&t->t_lock);
	tio = t->t_tio;
	qmutex_unlock(&t->t_lock);
	if (qcopyin(s->s_us, &tio, arg, len) != 0)
		return -Q_EFAULT;
	set_speeds(&tio);
	if (flush) {
		qmutex_lock(&t->t_lock);
		tty_flush_input(t);
		tty_unlock(t);
	}
	if (wait) {
		error = tty_drain(t);
		if (error != 0)
			return error;
	}
	qmutex_lock(&t->t_lock);
	tty_modes_set(t, &tio);
	tty_unlock(t);
	return 0;
}

_Static_assert(offsetof(struct q_termios2, c_ispeed) ==
	sizeof(struct q_termios),
    "one begins with the other");

int64_t
tty_modes_ioctl(struct qtty *t, struct qsys *s, uint32_t cmd, uint64_t arg)
{
	switch (cmd) {
	case Q_TCGETS:
		return get_modes(t, s, arg, sizeof(struct q_termios));
	case Q_TCGETS2:
		return get_modes(t, s, arg, sizeof(struct q_termios2));
	case Q_TCSETS:
	case Q_TCSETSW:
	case Q_TCSETSF:
		return set_modes(t, s, arg, sizeof(struct q_termios),
		    cmd != Q_TCSETS, cmd == Q_TCSETSF);
	case Q_TCSETS2:
	case Q_TCSETSW2:
	case Q_TCSETSF2:
		return set_modes(t, s, arg, sizeof(struct q_termios2),
		    cmd != Q_TCSETS2, cmd == Q_TCSETSF2);
	default:
		return -Q_ENOTTY;
	}
}
