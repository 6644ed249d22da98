/* SPDX-License-Identifier: BSD-2-Clause */
/* Host threads that run virtual CPUs. */
#include <sched.h>
#include <stdio.h>

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "impl.h"

static void *
runner_main(void *arg)
{
	struct runner *r = arg;

	r->r_m->m_up->runner(r->r_m->m_core, r->r_index);
	return NULL;
}

int
host_cpu_start(void *ctx, unsigned runner, int pin)
{
	struct machine *m = ctx;
	struct runner *r;
	char name[24];
	int error;

	if (runner >= m->m_ncpu)
		return -EINVAL;
	if (pin < 0 && runner < m->m_config->pc_npin)
		pin = m->m_config->pc_pin[runner];
	snprintf(name, sizeof name, "quern-run%u", runner);
	r = &m->m_runner[runner];
	pthread_mutex_lock(&m->m_lock);
	if (r->r_started) {
		error = -EEXIST;
	} else {
		error = host_thread_start(&r->r_thread, name, pin, runner_main,
		    r);
		r->r_started = error == 0;
	}
	pthread_mutex_unlock(&m->m_lock);
	return error;
}

int
host_cpu_stop(void *ctx, unsigned runner)
{
	struct machine *m = ctx;
	struct runner *r;
	pthread_t thread;

	if (runner >= m->m_ncpu)
		return -ESRCH;
	r = &m->m_runner[runner];
	pthread_mutex_lock(&m->m_lock);
	if (!r->r_started) {
		pthread_mutex_unlock(&m->m_lock);
		return -ESRCH;
	}
	thread = r->r_thread;
	r->r_started = false;
	pthread_mutex_unlock(&m->m_lock);
	pthread_join(thread, NULL);
	return 0;
}

void
host_cpu_yield(void *ctx, enum quern_yield why)
{
	(void)ctx;
	if (why == QUERN_YIELD_SPIN)
		sched_yield();
}

int
host_cpu_fence(void *ctx)
{
	(void)ctx;
	/* Not registered yet (or forked): do that first; it is per process. */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) ==
	    0)
		return 0;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
		0, 0) != 0 ||
	    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) !=
		0)
		return -EOPNOTSUPP;
	return 0;
}
