/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "world.h"

struct starter {
	struct quern_sim *w;
	void (*body)(struct quern_sim *, void *);
	void *arg;
};

static void
start(void *arg)
{
	struct starter *s = arg;

	s->body(s->w, s->arg);
}

static void
keep(void *arg, int level, const char *line)
{
	struct run *r = arg;

	(void)level;
	strncat(r->log, line, sizeof(r->log) - strlen(r->log) - 2);
	strcat(r->log, "\n");
}

struct run
world_run(const struct quern_sim_config *cfg,
    void (*body)(struct quern_sim *w, void *arg), void *arg)
{
	struct quern_sim_config sc = { .seed = 1 };
	struct starter s = { .body = body, .arg = arg };
	struct run r = { 0 };

	if (cfg != NULL)
		sc = *cfg;
	if (sc.max_steps == 0)
		sc.max_steps = 2000000;
	if (sc.trace == NULL) {
		sc.log = keep;
		sc.arg = &r;
	}
	MUST(quern_sim_create(&sc, &s.w) == 0);
	MUST(quern_sim_seed(s.w) == sc.seed);
	world_task(s.w, "main", start, &s);
	r.result = quern_sim_run(s.w);
	r.hash = quern_sim_hash(s.w);
	r.steps = quern_sim_steps(s.w);
	r.now = quern_sim_now(s.w);
	r.failed = quern_sim_failed(s.w);
	r.failable = quern_sim_failable(s.w);
	quern_sim_destroy(s.w);
	return r;
}

void
world_task(struct quern_sim *w, const char *name, void (*fn)(void *), void *arg)
{
	MUST(quern_sim_task(w, name, fn, arg) == 0);
}

/* ---- machines ------------------------------------------------------------- */

/* The cookie is the core memory: the machine's address is in it. */
static struct test_machine *
machine_of(void *cookie)
{
	return *(struct test_machine **)cookie;
}

static void
on_runner(void *cookie, unsigned runner)
{
	struct test_machine *m = machine_of(cookie);

	m->t_ran |= 1u << runner;
	if (m->t_runner != NULL)
		m->t_runner(m, runner);
}

static void
on_event(void *cookie, struct quern_event *ev, int64_t result)
{
	struct test_machine *m = machine_of(cookie);

	ck_assert_uint_lt(m->t_ngot, 64);
	m->t_got[m->t_ngot].g_ev = ev;
	m->t_got[m->t_ngot++].g_result = result;
}

static const struct quern_upcalls upcalls = { on_runner, on_event };

void
machine_begin(struct test_machine *m, struct quern_sim *w, unsigned ncpu)
{
	struct quern_host host = quern_sim_host(w);
	struct quern_machine qm = { ncpu, "test machine", 5000 };
	size_t i;
	int any;

	*m = (struct test_machine){ .t_w = w, .t_ops = host.h_ops };
	ck_assert_uint_eq(host.h_ops->hy_version, QUERN_HYPER_VERSION);
	ck_assert_uint_eq(host.h_ops->hy_size, sizeof(struct quern_hyper));
	ck_assert_int_eq(host.h_ops->begin(host.h_arg, &qm, &upcalls, &m->t_ctx,
			     &m->t_core),
	    0);
	ck_assert_uint_eq((uintptr_t)m->t_core % QUERN_PAGE_SIZE, 0);
	/* A line of libcheck's log a check, not a byte. */
	for (i = any = 0; i < qm.m_core; i++)
		any |= ((char *)m->t_core)[i];
	ck_assert_int_eq(any, 0);
	*(struct test_machine **)m->t_core = m;
}

void
machine_end(struct test_machine *m)
{
	m->t_ops->end(m->t_ctx);
}

int
world_main(Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
