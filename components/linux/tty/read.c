/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading a terminal: a line at a time in canonical mode, otherwise by VMIN and
 * VTIME:
 *
 *	VMIN	VTIME
 *	> 0	0	wait for so many characters
 *	> 0	> 0	likewise, but no longer than that after each of them
 *	0	> 0	wait that long for the first
 *	0	0	take what there is
 */
#include "impl.h"

#define TENTH UINT64_C(100000000)

static bool
is_end(const struct qtty *t, uint32_t i)
{
	i %= TTY_IN;
	return (t->t_eol[i / 8] >> i % 8 & 1) != 0;
}

/* An end that is a VEOF and nothing more.  [t] */
static bool
is_bare_end(const struct qtty *t, uint32_t i)
{
	return is_end(t, i) && t->t_in[i % TTY_IN] == TTY_DISABLED;
}

/* Done with the end of a line at `i`. */
static void
clear_end(struct qtty *t, uint32_t i)
{
	i %= TTY_IN;
	t->t_eol[i / 8] &= (uint8_t) ~(1u << i % 8);
}

uint32_t
tty_in_count(const struct qtty *t)
{
	uint32_t n, i;

	if (!has_lflag(t, Q_ICANON))
		return t->t_head - t->t_tail;
	n = t->t_canon - t->t_tail;
	for (i = t->t_tail; i != t->t_canon; i++)
		if (is_bare_end(t, i))
			n--;
	return n;
}

bool
tty_in_ready(const struct qtty *t, bool poll)
{
	uint32_t least = 1;

	if (is_canon(t))
		return t->t_canon != t->t_tail;
	if (poll && t->t_tio.c_cc[Q_VTIME] == 0 && t->t_tio.c_cc[Q_VMIN] != 0)
		least = t->t_tio.c_cc[Q_VMIN];
	return t->t_head - t->t_tail >= least;
}

/* Move `n` characters from t_tail on to the reader, `skip` more go. */
static int
give(struct qtty *t, struct quio *u, uint32_t n, uint32_t skip)
{
	uint32_t at = t->t_tail % TTY_IN, first = TTY_IN - at;
	int error;

	if (first > n)
		first = n;
	error = quio_out(u, &t->t_in[at], first);
	if (error == 0 && n > first)
		error = quio_out(u, t->t_in, n - first);
	if (error == 0) {
		t->t_tail += n + skip;
		if (t->t_ops->to_room != NULL)
			t->t_ops->to_room(t);
	}
	return error;
}

/* A line, or as much of it as there is room for.  [t] */
static int64_t
take_line(struct qtty *t, struct quio *u)
{
	uint32_t n = 0, most = t->t_canon - t->t_tail, skip = 0, end;
	bool found = false;
	int error;

	if (most > u->u_resid)
		most = (uint32_t)u->u_resid;
	while (n < most && !found)
		found = is_end(t, t->t_tail + n++);
	end = t->t_tail + n - 1;
	if (found && !t->t_push && is_bare_end(t, end))
		skip = 1;
	error = give(t, u, n - skip, skip);
	if (error != 0)
		return error;
	if (found) {
		clear_end(t, end);
		t->t_push = false;
	} else if (t->t_tail != t->t_canon && is_bare_end(t, t->t_tail)) {
		/* A read that it fits ends with it, or the next were empty. */
		clear_end(t, t->t_tail++);
	}
	return n - skip;
}

/* What there is.  [t] */
static int64_t
take_raw(struct qtty *t, struct quio *u)
{
	uint32_t n = t->t_head - t->t_tail;
	int error;

	if (n > u->u_resid)
		n = (uint32_t)u->u_resid;
	error = give(t, u, n, 0);
	return error != 0 ? error : (int64_t)n;
}

/* How long to wait, and for how much. */
struct patience {
	uint32_t pa_least;
	uint64_t pa_until, pa_gap;
};

static struct patience
patience_of(const struct qtty *t)
{
	uint64_t time = t->t_tio.c_cc[Q_VTIME] * TENTH;
	struct patience pa = { .pa_least = 1, .pa_until = QUERN_NEVER };

	if (has_lflag(t, Q_ICANON))
		return pa;
	if (t->t_tio.c_cc[Q_VMIN] != 0) {
		pa.pa_least = t->t_tio.c_cc[Q_VMIN];
		pa.pa_gap = time;
	} else {
		pa.pa_until = time != 0 ? qclock_mono(t->t_k) + time : 0;
	}
	return pa;
}

/* Sleep for more; 1: what there is has to do.  [t] */
static int
wait_input(struct tty_file *tf, const struct patience *pa, bool nowait)
{
	struct qtty *t = tf->tf_tty;
	int error;

	if (is_hungup(tf) || pa->pa_until == 0)
		return 1;
	if (nowait)
		return -Q_EAGAIN;
	error = qcv_wait(&t->t_rcv, &t->t_lock, QSLEEP_INTR, pa->pa_until);
	return error == -Q_ETIMEDOUT ? 1 : error;
}

static int64_t
read_locked(struct tty_file *tf, struct quio *u, bool nowait)
{
	struct qtty *t = tf->tf_tty;
	struct patience pa = patience_of(t);
	int64_t done = 0, n = 0;

	while (u->u_resid > 0) {
		if (!tty_in_ready(t, false)) {
			n = wait_input(tf, &pa, nowait);
			if (n != 0)
				break;
			continue;
		}
		n = is_canon(t) ? take_line(t, u) : take_raw(t, u);
		if (n < 0)
			break;
		done += n;
		if (is_canon(t) || done >= pa.pa_least)
			break;
		if (pa.pa_gap != 0)
			pa.pa_until = qclock_mono(t->t_k) + pa.pa_gap;
	}
	return done != 0 || n > 0 ? done : n;
}

int64_t
tty_read(struct tty_file *tf, struct qfile *f, struct quio *u)
{
	struct qtty *t = tf->tf_tty;
	bool hungup;
	int64_t n;

	qmutex_lock(&t->t_lock);
	hungup = is_hungup(tf);
	qmutex_unlock(&t->t_lock);
	if (hungup)
		return 0;
	n = job_check(t, Q_SIGTTIN);
	if (n != 0)
		return n;
	qmutex_lock(&t->t_lock);
	n = is_hungup(tf) ? 0 : read_locked(tf, u, qfile_nowait(f, u));
	tty_unlock(t);
	return n;
}
