/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that run beside the script: each on a thread of its own, or as a task
 * of the simulated world.  What they print comes when they are joined, so that
 * the output does not depend on who was faster.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"

/* Waiting for a call in a simulation, where every pause is twice as long. */
#define PAUSES_SIM 48u
/* Pauses of a millisecond for a call that has been interrupted. */
#define PAUSES_END 10000u

struct job {
	struct job *j_next;
	char *j_name;
	struct call j_call;
	pthread_t j_thread;
	uint32_t j_done; /* [a] */
};

static void
job_body(void *arg)
{
	struct job *j = arg;

	call_make(&j->j_call);
	__atomic_store_n(&j->j_done, 1, __ATOMIC_RELEASE);
}

static void *
job_main(void *arg)
{
	job_body(arg);
	return NULL;
}

static bool
is_done(const struct job *j)
{
	return __atomic_load_n(&j->j_done, __ATOMIC_ACQUIRE) != 0;
}

/* Ctrl-C is for the script's thread. */
static int
start_thread(struct job *j)
{
	sigset_t all, old;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&j->j_thread, NULL, job_main, j);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error;
}

static struct job **
find_job(struct console *c, const char *name)
{
	struct job **jp;

	for (jp = &c->c_jobs; *jp != NULL; jp = &(*jp)->j_next)
		if (strcmp((*jp)->j_name, name) == 0)
			break;
	return jp;
}

static void
job_free(struct job *j)
{
	call_free(&j->j_call);
	free(j->j_name);
	free(j);
}

bool
job_spawn(struct console *c, const struct node *n)
{
	const struct node *call = n->n_kid;
	struct client *old = c->c_cur;
	struct job *j;
	bool ok;
	int error;

	if (*find_job(c, n->n_text) != NULL)
		return complain(c, n->n_at, "'%.60s' has not been joined",
		    n->n_text);
	if (call->n_kind == N_AS) {
		c->c_cur = client_find(c, call->n_text);
		call = call->n_kid;
	}
	if (c->c_cur == NULL) {
		c->c_cur = old;
		return complain(c, n->n_kid->n_at,
		    "there is no process '%.60s'", n->n_kid->n_text);
	}
	j = xmalloc(sizeof(*j));
	ok = call_prepare(c, call, &j->j_call);
	c->c_cur = old;
	j->j_name = xstrndup(n->n_text, n->n_len);
	if (ok) {
		error = c->c_sim != NULL ?
		    quern_sim_task(c->c_sim, "spawn", job_body, j) :
		    start_thread(j);
		if (error != 0)
			ok = complain(c, n->n_at, "cannot have another thread");
	}
	if (!ok) {
		job_free(j);
		return false;
	}
	j->j_next = c->c_jobs;
	c->c_jobs = j;
	return true;
}

/* False: it never ends. */
static bool
wait_for(struct console *c, struct job *j)
{
	unsigned n;

	if (c->c_sim == NULL) {
		call_begin(&j->j_call);
		pthread_join(j->j_thread, NULL);
		in_call = NULL;
		return true;
	}
	for (n = 0; !is_done(j); n++) {
		if (n == PAUSES_SIM)
			return false;
		world_pause(c, n);
	}
	return true;
}

bool
job_join(struct console *c, const struct node *n, int64_t *retp)
{
	struct job **jp = find_job(c, n->n_text), *j = *jp;

	if (j == NULL)
		return complain(c, n->n_at, "no call '%.60s' was spawned",
		    n->n_text);
	fflush(stdout);
	if (!wait_for(c, j))
		return complain(c, n->n_at, "the call '%.60s' never ends",
		    n->n_text);
	*jp = j->j_next;
	call_finish(c, &j->j_call);
	*retp = j->j_call.k_ret;
	job_free(j);
	return true;
}

bool
job_busy(const struct console *c, const struct client *cl)
{
	const struct job *j;

	for (j = c->c_jobs; j != NULL; j = j->j_next)
		if (j->j_call.k_client == cl)
			return true;
	return false;
}

bool
jobs_end(struct console *c)
{
	struct job *j;
	unsigned n;

	while ((j = c->c_jobs) != NULL) {
		for (n = 0; !is_done(j); n++) {
			if (n == (c->c_sim != NULL ? PAUSES_SIM : PAUSES_END))
				return false;
			quern_interrupt(j->j_call.k_client->cl_proc);
			world_pause(c, n);
		}
		if (c->c_sim == NULL)
			pthread_join(j->j_thread, NULL);
		c->c_jobs = j->j_next;
		job_free(j);
	}
	return true;
}
