/* SPDX-License-Identifier: BSD-2-Clause */
/* A world for a test: bodies run as its first task, checks end the test. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <quern/hypercall.h>
#include <quern/sim.h>

/* Also where there is no test. */
#define MUST(e)                                                         \
	((e) ? (void)0 :                                                \
	       (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #e), \
		   abort()))

/* What a run came to. */
struct run {
	int result; /* of quern_sim_run */
	uint64_t hash, steps, now, failed, failable;
	char log[2000]; /* its lines */
};

/* Run body(w, arg) as task "main" of a world; `cfg` NULL: seed 1. */
struct run world_run(const struct quern_sim_config *cfg,
    void (*body)(struct quern_sim *w, void *arg), void *arg);

/* Add a task, checked. */
void world_task(struct quern_sim *w, const char *name, void (*fn)(void *),
    void *arg);

/* A machine of a world, with upcalls that write down. */
struct test_machine {
	struct quern_sim *t_w;
	const struct quern_hyper *t_ops;
	void *t_ctx;
	void *t_core;
	unsigned t_ngot;
	struct {
		struct quern_event *g_ev;
		int64_t g_result;
	} t_got[64];
	void (*t_runner)(struct test_machine *, unsigned);
	unsigned t_ran;
};

void machine_begin(struct test_machine *m, struct quern_sim *w, unsigned ncpu);
void machine_end(struct test_machine *m);

/* quern_create, quern_destroy and the like, for a test's main. */
int world_main(Suite *s);

#endif /* TESTS_SIM_WORLD_H */
