/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The line discipline's input: what is typed becomes signals, flow control,
 * editing, echo, and what is read.  In each detail it does what Linux's N_TTY
 * does, which tests compare character by character.
 *
 * Source: POSIX, General Terminal Interface; termios(3).
 */
#include "impl.h"

/* ---- characters ------------------------------------------------------------------ */

bool
is_control(uint8_t c)
{
	return c < 32 || c == 127;
}

static bool
is_lower(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 223 && c != 247);
}

static bool
is_upper(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 192 && c <= 222 && c != 215);
}

static bool
is_word(uint8_t c)
{
	return is_lower(c) || is_upper(c) || (c >= '0' && c <= '9') || c == '_';
}

uint8_t
to_upper(uint8_t c)
{
	return is_lower(c) ? (uint8_t)(c - 32) : c;
}

bool
is_continuation(const struct qtty *t, uint8_t c)
{
	return has_iflag(t, Q_IUTF8) && (c & 0xc0) == 0x80;
}

/* ---- the ring -------------------------------------------------------------------- */

static uint8_t *
in_at(struct qtty *t, uint32_t i)
{
	return &t->t_in[i % TTY_IN];
}

static void
keep(struct qtty *t, uint8_t c)
{
	*in_at(t, t->t_head++) = c;
}

/* A character that is data; 0xff is two if errors are marked by one. */
static void
keep_data(struct qtty *t, uint8_t c)
{
	if (c == 0xff && has_iflag(t, Q_PARMRK))
		keep(t, c);
	keep(t, c);
}

/* A character that ends a line. */
static void
keep_end(struct qtty *t, uint8_t c)
{
	uint32_t i = t->t_head % TTY_IN;

	t->t_eol[i / 8] |= (uint8_t)(1u << i % 8);
	keep(t, c);
	t->t_canon = t->t_head;
}

void
tty_flush_input(struct qtty *t)
{
	t->t_head = t->t_tail = t->t_canon = 0;
	__builtin_memset(t->t_eol, 0, sizeof(t->t_eol));
	t->t_push = t->t_lnext = t->t_erasing = false;
	if (t->t_ops->to_packet != NULL)
		t->t_ops->to_packet(t, 0, Q_TIOCPKT_FLUSHREAD);
	if (t->t_ops->to_room != NULL)
		t->t_ops->to_room(t);
}

/*
 * How many characters there is room for.  When one line fills all of it, one:
 * it takes the place of the last, so that the line can be ended or edited.
 */
static int32_t
room_for(const struct qtty *t)
{
	int32_t room = (int32_t)(TTY_IN - (t->t_head - t->t_tail));

	if (has_iflag(t, Q_PARMRK))
		room = (room + 2) / 3;
	return room - 1;
}

static bool
is_one_line(const struct qtty *t)
{
	return has_lflag(t, Q_ICANON) && t->t_canon == t->t_tail;
}

bool
tty_has_room(const struct qtty *t)
{
	return room_for(t) > 0 || is_one_line(t);
}

/* ---- echo ------------------------------------------------------------------------- */

/*
 * Echoes that there is no room for are lost.  A 0xff moves the cursor and is not
 * changed.
 */
static void
echo_raw(struct qtty *t, uint8_t c)
{
	if (c == 0xff) {
		if (tty_put_raw(t, c, TTY_OUT_ECHO))
			t->t_column++;
	} else if (has_oflag(t, Q_OPOST)) {
		(void)tty_put_char(t, c, TTY_OUT_ECHO);
	} else {
		(void)tty_put_raw(t, c, TTY_OUT_ECHO);
	}
}

static void
echo(struct qtty *t, uint8_t c)
{
	if (c == 0xff || !has_lflag(t, Q_ECHOCTL) || !is_control(c) ||
	    c == '\t') {
		echo_raw(t, c);
		return;
	}
	(void)tty_put_raw(t, '^', TTY_OUT_ECHO);
	(void)tty_put_raw(t, c ^ 0100, TTY_OUT_ECHO);
	t->t_column += 2;
}

/* Before anything else is echoed: the end of what ECHOPRT shows. */
static void
finish_erasing(struct qtty *t)
{
	if (t->t_erasing) {
		echo_raw(t, '/');
		t->t_erasing = false;
	}
}

/* A character of a line; the first one says where the line begins. */
static void
echo_typed(struct qtty *t, uint8_t c)
{
	if (t->t_canon == t->t_head)
		t->t_canoncol = t->t_column;
	echo(t, c);
}

/* ---- editing ------------------------------------------------------------------------ */

/* Go back over a tab, which is as wide as what was before it makes it. */
static void
erase_tab(struct qtty *t)
{
	uint32_t i = t->t_head, cols = 0, back;
	bool after_tab = false;
	uint8_t c;

	while (i != t->t_canon && !after_tab) {
		c = *in_at(t, --i);
		if (c == '\t')
			after_tab = true;
		else if (is_control(c))
			cols += has_lflag(t, Q_ECHOCTL) ? 2 : 0;
		else if (!is_continuation(t, c))
			cols++;
	}
	cols &= 7;
	if (!after_tab)
		cols += t->t_canoncol;
	for (back = 8 - (cols & 7); back > 0; back--) {
		(void)tty_put_raw(t, '\b', TTY_OUT_ECHO);
		if (t->t_column > 0)
			t->t_column--;
	}
}

static void
rub_out(struct qtty *t)
{
	echo_raw(t, '\b');
	echo_raw(t, ' ');
	echo_raw(t, '\b');
}

/* Show that the character `c`, `len` bytes from t_head on, is erased. */
static void
show_erased(struct qtty *t, uint8_t c, uint32_t len, bool one)
{
	uint32_t i;

	if (has_lflag(t, Q_ECHOPRT)) {
		if (!t->t_erasing) {
			echo_raw(t, '\\');
			t->t_erasing = true;
		}
		echo(t, c);
		for (i = 1; i < len; i++) {
			echo_raw(t, *in_at(t, t->t_head + i));
			if (t->t_column > 0)
				t->t_column--;
		}
	} else if (one && !has_lflag(t, Q_ECHOE)) {
		echo(t, t->t_tio.c_cc[Q_VERASE]);
	} else if (c == '\t') {
		erase_tab(t);
	} else {
		if (is_control(c) && has_lflag(t, Q_ECHOCTL))
			rub_out(t);
		if (!is_control(c) || has_lflag(t, Q_ECHOCTL))
			rub_out(t);
	}
}

/* VKILL where it is not shown character by character. */
static void
kill_line(struct qtty *t)
{
	t->t_head = t->t_canon;
	if (!has_lflag(t, Q_ECHO))
		return;
	finish_erasing(t);
	echo(t, t->t_tio.c_cc[Q_VKILL]);
	if (has_lflag(t, Q_ECHOK))
		echo_raw(t, '\n');
}

/* VERASE, VWERASE, VKILL. */
static void
erase(struct qtty *t, uint8_t key)
{
	const uint8_t *cc = t->t_tio.c_cc;
	bool one = key == cc[Q_VERASE], word = !one && key == cc[Q_VWERASE];
	const uint32_t gently = Q_ECHO | Q_ECHOK | Q_ECHOKE | Q_ECHOE;
	bool seen_word = false;
	uint32_t i, len;
	uint8_t c;

	if (t->t_head == t->t_canon)
		return;
	if (!one && !word && (t->t_tio.c_lflag & gently) != gently) {
		kill_line(t);
		return;
	}
	while (t->t_head != t->t_canon) {
		i = t->t_head;
		do {
			c = *in_at(t, --i);
		} while (is_continuation(t, c) && i != t->t_canon);
		if (is_continuation(t, c))
			break; /* half a character is left alone */
		if (word && is_word(c))
			seen_word = true;
		else if (word && seen_word)
			break;
		len = t->t_head - i;
		t->t_head = i;
		if (has_lflag(t, Q_ECHO))
			show_erased(t, c, len, one);
		if (one)
			break;
	}
	if (t->t_head == t->t_canon && has_lflag(t, Q_ECHO))
		finish_erasing(t);
}

/* VREPRINT: show the line again. */
static void
reprint(struct qtty *t, uint8_t key)
{
	uint32_t i;

	finish_erasing(t);
	echo(t, key);
	echo_raw(t, '\n');
	for (i = t->t_canon; i != t->t_head; i++)
		echo(t, *in_at(t, i));
}

/* ---- flow control and signals --------------------------------------------------------- */

void
tty_stop(struct qtty *t)
{
	if (t->t_stopped)
		return;
	t->t_stopped = true;
	t->t_outstop = t->t_outhead;
	t->t_stopcolumn = t->t_column;
	t->t_stopcanoncol = t->t_canoncol;
	if (t->t_ops->to_packet != NULL)
		t->t_ops->to_packet(t, Q_TIOCPKT_START, Q_TIOCPKT_STOP);
}

void
tty_start(struct qtty *t)
{
	if (!t->t_stopped || t->t_held)
		return;
	t->t_stopped = false;
	if (t->t_ops->to_packet != NULL)
		t->t_ops->to_packet(t, Q_TIOCPKT_STOP, Q_TIOCPKT_START);
	t->t_ops->to_output(t);
	qcv_broadcast(&t->t_wcv);
	qpollq_wake(&t->t_pollq, TTY_POLL_OUT);
}

/* Any character starts the output again, with IXANY. */
static void
start_by_any(struct qtty *t)
{
	if ((t->t_tio.c_iflag & (Q_IXON | Q_IXANY)) == (Q_IXON | Q_IXANY))
		tty_start(t);
}

static void
signal_char(struct qtty *t, int sig, uint8_t c)
{
	t->t_sigs |= UINT32_C(1) << sig;
	if (!has_lflag(t, Q_NOFLSH)) {
		tty_flush_output(t);
		tty_flush_input(t);
	}
	if (has_iflag(t, Q_IXON))
		tty_start(t);
	if (has_lflag(t, Q_ECHO))
		echo(t, c);
}

/* Flow control and signals; true: that is what it was. */
static bool
control_char(struct qtty *t, uint8_t c)
{
	const uint8_t *cc = t->t_tio.c_cc;

	if (has_iflag(t, Q_IXON)) {
		if (c == cc[Q_VSTART]) {
			tty_start(t);
			return true;
		}
		if (c == cc[Q_VSTOP]) {
			tty_stop(t);
			return true;
		}
	}
	if (!has_lflag(t, Q_ISIG))
		return false;
	if (c == cc[Q_VINTR])
		signal_char(t, Q_SIGINT, c);
	else if (c == cc[Q_VQUIT])
		signal_char(t, Q_SIGQUIT, c);
	else if (c == cc[Q_VSUSP])
		signal_char(t, Q_SIGTSTP, c);
	else
		return false;
	return true;
}

/* ---- characters as they come ------------------------------------------------------------ */

static void
data_char(struct qtty *t, uint8_t c)
{
	if (has_lflag(t, Q_ECHO)) {
		finish_erasing(t);
		echo_typed(t, c);
	}
	keep_data(t, c);
}

/* VLNEXT: what comes next is data; meanwhile a ^ shows. */
static void
quote_next(struct qtty *t)
{
	t->t_lnext = true;
	if (!has_lflag(t, Q_ECHO))
		return;
	finish_erasing(t);
	if (has_lflag(t, Q_ECHOCTL)) {
		echo_raw(t, '^');
		echo_raw(t, '\b');
	}
}

/* The end of a line; true: that is what it was. */
static bool
end_char(struct qtty *t, uint8_t c)
{
	const uint8_t *cc = t->t_tio.c_cc;

	if (c == '\n') {
		if (has_lflag(t, Q_ECHO | Q_ECHONL))
			echo_raw(t, c);
	} else if (c == cc[Q_VEOF]) {
		c = TTY_DISABLED;
	} else if (c == cc[Q_VEOL] ||
	    (c == cc[Q_VEOL2] && has_lflag(t, Q_IEXTEN))) {
		if (has_lflag(t, Q_ECHO))
			echo_typed(t, c);
		if (c == 0xff && has_iflag(t, Q_PARMRK))
			keep(t, c);
	} else {
		return false;
	}
	keep_end(t, c);
	qcv_broadcast(&t->t_rcv);
	qpollq_wake(&t->t_pollq, TTY_POLL_IN);
	return true;
}

/* Editing; true: that is what it was. */
static bool
edit_char(struct qtty *t, uint8_t c)
{
	const uint8_t *cc = t->t_tio.c_cc;
	bool more = has_lflag(t, Q_IEXTEN);

	if (c == cc[Q_VERASE] || c == cc[Q_VKILL] ||
	    (more && c == cc[Q_VWERASE]))
		erase(t, c);
	else if (more && c == cc[Q_VLNEXT])
		quote_next(t);
	else if (more && c == cc[Q_VREPRINT] && has_lflag(t, Q_ECHO))
		reprint(t, c);
	else
		return end_char(t, c);
	return true;
}

static void
special_char(struct qtty *t, uint8_t c)
{
	if (control_char(t, c))
		return;
	start_by_any(t);
	if (c == '\r') {
		if (has_iflag(t, Q_IGNCR))
			return;
		if (has_iflag(t, Q_ICRNL))
			c = '\n';
	} else if (c == '\n' && has_iflag(t, Q_INLCR)) {
		c = '\r';
	}
	if (has_lflag(t, Q_ICANON) && edit_char(t, c))
		return;
	if (c == '\n' && has_lflag(t, Q_ECHO)) {
		finish_erasing(t);
		echo_raw(t, c);
		keep(t, c);
		return;
	}
	data_char(t, c);
}

static void
receive_one(struct qtty *t, uint8_t c)
{
	if (has_iflag(t, Q_ISTRIP))
		c &= 0x7f;
	if (has_iflag(t, Q_IUCLC) && has_lflag(t, Q_IEXTEN) && is_upper(c))
		c += 32;
	if (has_lflag(t, Q_EXTPROC)) {
		keep(t, c);
	} else if (t->t_lnext) {
		t->t_lnext = false;
		start_by_any(t);
		data_char(t, c);
	} else if ((t->t_special[c / 8] >> c % 8 & 1) != 0) {
		special_char(t, c);
	} else {
		start_by_any(t);
		data_char(t, c);
	}
}

size_t
tty_receive(struct qtty *t, const uint8_t *p, size_t n)
{
	size_t done = 0;
	int32_t room;

	while (done < n) {
		room = room_for(t);
		if (room <= 0) {
			if (!is_one_line(t))
				break;
			if (room < 0)
				t->t_head--;
			room = 1;
		}
		while (room-- > 0 && done < n)
			receive_one(t, p[done++]);
	}
	if (!is_canon(t) && t->t_head != t->t_tail) {
		qcv_broadcast(&t->t_rcv);
		qpollq_wake(&t->t_pollq, TTY_POLL_IN);
	}
	if (tty_out_ready(t) != 0)
		t->t_ops->to_output(t);
	return done;
}
