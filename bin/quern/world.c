/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel that is called, on the host or in a simulated world, and its
 * processes.
 *
 * In a simulation the console is a task like any other: time passes only while
 * it is in the kernel, or asleep.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <quern/abi/errno.h>
#include <quern/component.h>

#include "call.h"
#include "quern.h"

/* The most components, those that others need included. */
#define COMPONENTS_MAX 64u

/* ---- components ---------------------------------------------------------------- */

static const struct quern_component *
find_component(const char *name)
{
	const struct quern_component *const *cp;

	for (cp = linked_components; *cp != NULL; cp++)
		if (strcmp((*cp)->c_name, name) == 0)
			return *cp;
	return NULL;
}

/* Add `q` and all that it needs to a list that is ended by NULL. */
static bool
add_component(const struct quern_component **list,
    const struct quern_component *q)
{
	unsigned i;

	for (i = 0; list[i] != NULL; i++)
		if (list[i] == q)
			return true;
	if (i + 1 == COMPONENTS_MAX)
		return false;
	list[i] = q;
	for (i = 0; q->c_needs != NULL && q->c_needs[i] != NULL; i++)
		if (!add_component(list, q->c_needs[i]))
			return false;
	return true;
}

/* The names in `with`, separated by commas.  False: said what is wrong. */
static bool
choose_components(char *with, const struct quern_component **list)
{
	const struct quern_component *const *cp, *q;
	char *name, *rest = with;

	while ((name = strsep(&rest, ",")) != NULL) {
		if (*name == '\0')
			continue;
		if (strcmp(name, "all") == 0) {
			for (cp = linked_components; *cp != NULL; cp++)
				(void)add_component(list, *cp);
			continue;
		}
		q = find_component(name);
		if (q != NULL && add_component(list, q))
			continue;
		fprintf(stderr, "quern call: there is no component '%s'; ",
		    name);
		fputs(linked_components[0] != NULL ? "there are:" :
						     "there is only the base",
		    stderr);
		for (cp = linked_components; *cp != NULL; cp++)
			fprintf(stderr, " %s", (*cp)->c_name);
		fputc('\n', stderr);
		return false;
	}
	return true;
}

/* ---- processes ------------------------------------------------------------------- */

struct client *
client_find(const struct console *c, const char *name)
{
	struct client *cl;

	for (cl = c->c_clients; cl != NULL; cl = cl->cl_next)
		if (strcmp(cl->cl_name, name) == 0)
			return cl;
	return NULL;
}

/* "EAGAIN", of a negative result. */
static const char *
error_name(int64_t ret)
{
	const char *name = qerror_name((int)-ret);

	return name != NULL ? name : "an unknown error";
}

bool
client_add(struct console *c, size_t at, const char *name, struct client *from)
{
	struct quern_proc *p = NULL;
	struct client *cl;
	int error;

	if (client_find(c, name) != NULL)
		return complain(c, at, "there is a process '%.60s' already",
		    name);
	error = from != NULL ? quern_proc_fork(from->cl_proc, &p) :
			       quern_proc_create(c->c_k, &p);
	if (error != 0)
		return complain(c, at, "no process could be made: %s",
		    error_name(error));
	cl = xmalloc(sizeof(*cl));
	cl->cl_name = xstrndup(name, strlen(name));
	cl->cl_proc = p;
	cl->cl_next = c->c_clients;
	c->c_clients = cl;
	if (c->c_cur == NULL)
		c->c_cur = cl;
	return true;
}

static void
client_free(struct client *cl)
{
	free(cl->cl_name);
	free(cl);
}

bool
client_end(struct console *c, size_t at, struct client *cl)
{
	struct client **clp = &c->c_clients;
	int error;

	if (job_busy(c, cl))
		return complain(c, at, "a call of '%.60s' is not joined",
		    cl->cl_name);
	if (cl->cl_next == NULL)
		return complain(c, at, "'%.60s' ends with the console",
		    cl->cl_name);
	error = quern_proc_destroy(cl->cl_proc);
	if (error != 0)
		return complain(c, at, "the process could not be ended: %s",
		    error_name(error));
	while (*clp != cl)
		clp = &(*clp)->cl_next;
	*clp = cl->cl_next;
	if (c->c_cur == cl)
		for (c->c_cur = c->c_clients; c->c_cur->cl_next != NULL;)
			c->c_cur = c->c_cur->cl_next;
	client_free(cl);
	return true;
}

/* ---- time ------------------------------------------------------------------------ */

void
world_pause(struct console *c, unsigned n)
{
	struct timespec ts = { 0, 1000000 };

	if (c->c_sim != NULL)
		quern_sim_sleep(c->c_sim, UINT64_C(2000) << n);
	else
		(void)nanosleep(&ts, NULL);
}

bool
world_sleep(struct console *c, uint64_t ns)
{
	struct timespec ts = { (time_t)(ns / 1000000000),
		(long)(ns % 1000000000) };

	if (c->c_sim != NULL) {
		quern_sim_sleep(c->c_sim, ns);
		return true;
	}
	while (interrupted == 0 && ending == 0)
		if (nanosleep(&ts, &ts) == 0 || errno != EINTR)
			return true;
	interrupted = 0;
	return false;
}

/* ---- the run ---------------------------------------------------------------------- */

static void
panicked(void *arg, const char *message)
{
	struct console *c = arg;

	(void)message; /* the log has it */
	c->c_status = 1;
}

static void
destroy(struct console *c)
{
	struct client *cl;
	uint64_t leaks = 0;
	int error;

	while ((cl = c->c_clients) != NULL) {
		c->c_clients = cl->cl_next;
		client_free(cl);
	}
	error = quern_destroy_count(c->c_k, &leaks);
	if (error != 0 || leaks != 0) {
		fflush(stdout);
		fprintf(stderr, "quern call: the kernel left %s\n",
		    error != 0 ? error_name(error) : "objects behind");
		c->c_status = 1;
	}
}

/* The console's life in a kernel. */
static void
run(void *arg)
{
	struct console *c = arg;
	const struct options *o = c->c_opt;
	struct quern_posix_config pc = { .pc_param = o->o_param,
		.pc_nparam = o->o_nparam };
	struct quern_config cfg = { .ram = o->o_ram,
		.ncpu = o->o_cpus,
		.runners = o->o_runners,
		.components = c->c_components,
		.panic = panicked,
		.arg = c,
		.trace_calls = o->o_trace };
	int error;

	cfg.host = c->c_sim != NULL ? quern_sim_host(c->c_sim) :
				      quern_posix_with(&pc);
	error = quern_create(&cfg, &c->c_k);
	if (error != 0) {
		fprintf(stderr, "quern call: no kernel could be made: %s\n",
		    error_name(error));
		c->c_status = 1;
		return;
	}
	if (client_add(c, 0, "main", NULL))
		run_all(c);
	if (!jobs_end(c)) {
		fflush(stdout);
		fprintf(stderr, "quern call: a spawned call never ends\n");
		_exit(1);
	}
	variables_free(c);
	destroy(c);
}

/* In a world.  When it gets stuck the console's stack is not come back to. */
static void
run_sim(struct console *c)
{
	struct quern_sim_config sc = { .seed = c->c_opt->o_seed,
		.policy = c->c_opt->o_pct ? QUERN_SIM_PCT : QUERN_SIM_RANDOM };
	int error;

	error = quern_sim_create(&sc, &c->c_sim);
	if (error == 0)
		error = quern_sim_task(c->c_sim, "console", run, c);
	if (error != 0) {
		fprintf(stderr, "quern call: no world could be made: %s\n",
		    strerror(-error));
		exit(1);
	}
	error = quern_sim_run(c->c_sim);
	if (error != 0) {
		fflush(stdout);
		fprintf(stderr, "%s:%u: the call waits for ever: %s\n",
		    c->c_file != NULL ? c->c_file : "quern call", c->c_line,
		    error == -EDEADLK ? "nothing can happen any more" :
					strerror(-error));
		fflush(stderr);
		_exit(1);
	}
	quern_sim_destroy(c->c_sim);
}

int
world_run(const struct options *o)
{
	const struct quern_component *list[COMPONENTS_MAX] = { NULL };
	struct console c = { .c_opt = o, .c_components = list };

	if (o->o_with != NULL && !choose_components(o->o_with, list))
		return EXIT_USAGE;
	if (o->o_sim)
		run_sim(&c);
	else
		run(&c);
	return c.c_status;
}
