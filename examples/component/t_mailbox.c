/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A unit test of a component, with libcheck: on threads of this process, in a
 * hundred simulated worlds, and with every allocation failing once.
 */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include <quern/abi/errno.h>
#include <quern/posix.h>
#include <quern/sim.h>

#include "mailbox.h"

#define LETTERS 50

static const struct quern_component *const components[] = { &mailbox, NULL };

static int
make(struct quern_host host, uint64_t fail_alloc, struct quern **kp)
{
	struct quern_config cfg = { .host = host,
		.ncpu = 2,
		.components = components,
		.fail_alloc = fail_alloc };

	return quern_create(&cfg, kp);
}

/* One thread or task: writes all the letters, or reads and adds them up. */
struct client {
	struct quern *k;
	int writes;
	int done;
	int64_t sum;
};

static void
client_main(void *arg)
{
	struct client *c = arg;
	struct quern_proc *p;
	int64_t r;
	int i;

	if (quern_proc_create(c->k, &p) != 0)
		return;
	for (i = 1; i <= LETTERS; i++) {
		r = c->writes ? mailbox_put(p, i) : mailbox_get(p);
		if (r < 0)
			break;
		c->sum += c->writes ? i : r;
	}
	quern_proc_destroy(p);
	c->done = 1;
}

static void *
client_thread(void *arg)
{
	client_main(arg);
	return NULL;
}

START_TEST(with_threads)
{
	struct client reader = { 0 }, writer = { .writes = 1 };
	struct quern *k;
	pthread_t t;

	ck_assert_int_eq(make(quern_posix(), 0, &k), 0);
	reader.k = writer.k = k;
	ck_assert_int_eq(pthread_create(&t, NULL, client_thread, &reader), 0);
	client_main(&writer);
	pthread_join(t, NULL);
	ck_assert_int_eq(writer.sum, LETTERS * (LETTERS + 1) / 2);
	ck_assert_int_eq(reader.sum, writer.sum);
	ck_assert_int_eq(quern_destroy(k), 0);
}
END_TEST

/* The same in a world; the first task makes the kernel and ends it. */
static void
world_main(void *arg)
{
	struct quern_sim *w = arg;
	struct client reader = { 0 }, writer = { .writes = 1 };
	uint64_t leaks;
	struct quern *k;

	ck_assert_int_eq(make(quern_sim_host(w), 0, &k), 0);
	reader.k = writer.k = k;
	ck_assert_int_eq(quern_sim_task(w, "reader", client_main, &reader), 0);
	client_main(&writer);
	while (!reader.done) /* nobody may call in when the kernel goes */
		quern_sim_sleep(w, 1000000);
	ck_assert_int_eq(quern_destroy_count(k, &leaks), 0);
	ck_assert_uint_eq(leaks, 0);
	ck_assert_int_eq(reader.sum, LETTERS * (LETTERS + 1) / 2);
}

START_TEST(in_worlds)
{
	struct quern_sim_config sc = { .seed = (uint64_t)_i };
	struct quern_sim *w;

	ck_assert_int_eq(quern_sim_create(&sc, &w), 0);
	ck_assert_int_eq(quern_sim_task(w, "main", world_main, w), 0);
	ck_assert_msg(quern_sim_run(w) == 0, "seed %d", _i);
	quern_sim_destroy(w);
}
END_TEST

START_TEST(without_memory)
{
	struct quern_proc *p;
	uint64_t n, leaks;
	struct quern *k;
	int64_t r = -1;

	for (n = 1; r != 0; n++) {
		ck_assert_uint_lt(n, 10000);
		r = make(quern_posix(), n, &k);
		if (r == 0) {
			r = quern_proc_create(k, &p);
			if (r == 0)
				r = mailbox_put(p, 7);
			ck_assert_int_eq(quern_destroy_count(k, &leaks), 0);
			ck_assert_uint_eq(leaks, 0);
		}
		ck_assert_msg(r == 0 || r == -Q_ENOMEM, "%d", (int)r);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("mailbox");
	TCase *tc = tcase_create("mailbox");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, with_threads);
	tcase_add_loop_test(tc, in_worlds, 1, 101);
	tcase_add_test(tc, without_memory);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
