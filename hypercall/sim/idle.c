/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waiting, kicks and events.
 *
 * A seat's first word is the latch, 1 after a kick that nobody has consumed;
 * the second is the id of the task that waits there, plus one.
 */
#include <stdlib.h>

#include "impl.h"

enum { SEAT_LATCH = 0, SEAT_TASK = 1 };

/* ---- events ------------------------------------------------------------- */

int
pending_add(struct machine *m, struct quern_event *ev, int64_t result,
    uint64_t delay)
{
	struct quern_sim *w = m->m_w;
	struct pending *p = calloc(1, sizeof(*p)), **pp;

	if (p == NULL)
		return -ENOMEM;
	p->p_machine = m;
	p->p_ev = ev;
	p->p_result = result;
	p->p_due = w->w_now + delay;
	p->p_seq = w->w_pendseq++;
	for (pp = &w->w_pending; *pp != NULL && (*pp)->p_due <= p->p_due;
	     pp = &(*pp)->p_next)
		continue;
	p->p_next = *pp;
	*pp = p;
	return 0;
}

void
pending_drop(struct machine *m, struct quern_event *ev)
{
	struct pending **pp = &m->m_w->w_pending, *p;

	for (; (p = *pp) != NULL; pp = &p->p_next)
		if (p->p_machine == m && p->p_ev == ev) {
			*pp = p->p_next;
			free(p);
			return;
		}
}

static bool
awaited(const struct task *t, const struct pending *p)
{
	return t->t_state == TASK_WAITING && t->t_machine == p->p_machine &&
	    (t->t_cpus & (uint64_t)1 << p->p_ev->e_cpu) != 0;
}

/* Only what somebody waits for makes time pass. */
uint64_t
pending_next(const struct quern_sim *w)
{
	const struct pending *p;
	unsigned i;

	for (p = w->w_pending; p != NULL; p = p->p_next)
		for (i = 0; i < w->w_ntask; i++)
			if (awaited(w->w_task[i], p))
				return p->p_due;
	return QUERN_NEVER;
}

void
pending_wake(struct quern_sim *w)
{
	const struct pending *p;
	unsigned i;

	for (p = w->w_pending; p != NULL && p->p_due <= w->w_now; p = p->p_next)
		for (i = 0; i < w->w_ntask; i++)
			if (awaited(w->w_task[i], p))
				task_ready(w->w_task[i]);
}

/* Deliver what is due for these CPUs; returns how many. */
static int
deliver(struct machine *m, uint64_t cpus)
{
	struct quern_sim *w = m->m_w;
	struct pending **pp = &w->w_pending, *p;
	int n = 0;

	while ((p = *pp) != NULL && p->p_due <= w->w_now) {
		if (p->p_machine != m ||
		    (cpus & (uint64_t)1 << p->p_ev->e_cpu) == 0) {
			pp = &p->p_next;
			continue;
		}
		*pp = p->p_next;
		hash_mix(w, (uint64_t)p->p_result ^ p->p_seq << 32);
		m->m_up->event(m->m_core, p->p_ev, p->p_result);
		free(p);
		n++;
	}
	return n;
}

/* ---- waiting ------------------------------------------------------------ */

int
sim_cpu_idle(void *ctx, struct quern_seat *seat, uint64_t cpus,
    uint64_t deadline)
{
	struct machine *m = ctx;
	struct quern_sim *w = m->m_w;
	struct task *t = w->w_current;
	int n;

	task_decide(w, QUERN_YIELD_SWITCH);
	n = deliver(m, cpus);
	if (n > 0 || seat == NULL)
		return n;
	if (seat->s_word[SEAT_LATCH] == 0 && w->w_now < deadline) {
		t->t_machine = m;
		t->t_cpus = cpus;
		t->t_seat = seat;
		seat->s_word[SEAT_TASK] = t->t_id + 1u;
		task_wait(w, deadline);
		seat->s_word[SEAT_TASK] = 0;
		t->t_machine = NULL;
		t->t_seat = NULL;
		n = deliver(m, cpus);
		if (n > 0)
			return n;
	}
	if (seat->s_word[SEAT_LATCH] != 0) {
		seat->s_word[SEAT_LATCH] = 0;
		return -EINTR;
	}
	return w->w_now >= deadline ? -ETIMEDOUT : 0;
}

void
sim_cpu_kick(void *ctx, struct quern_seat *seat)
{
	struct machine *m = ctx;
	struct quern_sim *w = m->m_w;

	if (++w->w_kicks == w->w_cfg.lose_kick)
		return;
	seat->s_word[SEAT_LATCH] = 1;
	if (seat->s_word[SEAT_TASK] != 0)
		task_ready(w->w_task[seat->s_word[SEAT_TASK] - 1]);
	hash_mix(w, seat->s_word[SEAT_TASK]);
}
