/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runner threads and the choice point.
 */
#include "impl.h"

static void
runner_main(void *arg)
{
	struct machine *m = arg;
	unsigned i;

	for (i = 0; i < m->m_ncpu; i++)
		if (m->m_runner[i] == m->m_w->w_current)
			m->m_up->runner(m->m_core, i);
}

int
sim_cpu_start(void *ctx, unsigned runner, int pin)
{
	struct machine *m = ctx;

	/* The simulated host has one CPU, number 0. */
	if (runner >= m->m_ncpu || pin > 0)
		return -EINVAL;
	if (m->m_runner[runner] != NULL)
		return -EEXIST;
	if (sim_fails(m->m_w, "cpu_start"))
		return -EAGAIN;
	m->m_runner[runner] = task_make(m->m_w, "runner", runner_main, m);
	if (m->m_runner[runner] == NULL)
		return -EAGAIN;
	m->m_runner[runner]->t_runner = m;
	return 0;
}

int
sim_cpu_stop(void *ctx, unsigned runner)
{
	struct machine *m = ctx;
	struct task *t;

	if (runner >= m->m_ncpu || m->m_runner[runner] == NULL)
		return -ESRCH;
	t = m->m_runner[runner];
	while (t->t_state != TASK_ENDED)
		task_decide(m->m_w, QUERN_YIELD_SPIN);
	task_free_stack(t);
	m->m_runner[runner] = NULL;
	return 0;
}

void
sim_cpu_yield(void *ctx, enum quern_yield why)
{
	struct machine *m = ctx;

	task_decide(m->m_w, why);
}

int
sim_cpu_fence(void *ctx)
{
	struct machine *m = ctx;

	/* One task runs at a time and stores are seen at once. */
	task_decide(m->m_w, QUERN_YIELD_ATOMIC);
	return 0;
}
