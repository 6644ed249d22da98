/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unix sockets: cases by raw calls, on the host's kernel, which says whether they are
 * right, and on Quern, there on the host and in simulated worlds.
 */
#include <check.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/sim.h>
#include <quern/socket.h>
#include <quern/tmpfs.h>
#include <quern/unix.h>
#include <quern/vfs.h>

#include "cunix.h"

static const struct conf_case *
nth(int i)
{
	static const struct conf_case *const tables[] = { conf_unix,
		conf_message };
	const struct conf_case *cc;
	unsigned t;

	for (t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (cc = tables[t]; cc->name != NULL; cc++)
			if (i-- == 0)
				return cc;
	return NULL;
}

static int64_t
host_call(struct conf *c, unsigned nr, const uint64_t a[6])
{
	long r = syscall((long)nr, a[0], a[1], a[2], a[3], a[4], a[5]);

	(void)c;
	return r < 0 ? -errno : r;
}

START_TEST(host)
{
	struct conf c = { .c_call = host_call, .c_name = "host" };
	const char *tmp = getenv("TMPDIR");
	char dir[256], command[300];

	c.c_root = geteuid() == 0;
	umask(022);
	snprintf(dir, sizeof(dir), "%s/unix.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chmod(dir, 0755), 0);
	ck_assert_int_eq(chdir(dir), 0);
	if (c.c_root || (nth(_i)->needs & CONF_ROOT) == 0)
		nth(_i)->fn(&c);
	ck_assert_int_eq(chdir("/"), 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
	ck_assert_msg(c.c_failure[0] == '\0', "%s on the host: %s",
	    nth(_i)->name, c.c_failure);
}
END_TEST

static int64_t
quern_call(struct conf *c, unsigned nr, const uint64_t a[6])
{
	return quern_syscall(c->c_proc, nr, a);
}

static void
drop_line(void *arg, int level, const char *line)
{
	(void)arg;
	if (level <= QUERN_LOG_ERR)
		fprintf(stderr, "%s\n", line);
}

static void
note_panic(void *arg, const char *message)
{
	struct conf *c = arg;

	snprintf(c->c_failure, sizeof(c->c_failure), "panic: %s", message);
}

/* One case in a kernel of its own; nothing may be left. */
static void
run_quern(struct quern_host h, const struct conf_case *cc, char *failure,
    size_t len)
{
	static const struct quern_component *const components[] = { &qvfs,
		&qtmpfs, &qsockets, &qunix, NULL };
	struct quern_config cfg = { .host = h,
		.ncpu = 2,
		.components = components,
		.log = drop_line,
		.panic = note_panic };
	struct conf c = { .c_call = quern_call, .c_root = true };
	uint64_t leaks = 0;
	struct quern *k;
	int error;

	cfg.arg = &c;
	error = quern_create(&cfg, &k);
	if (error == 0)
		error = quern_proc_create(k, &c.c_proc);
	if (error != 0) {
		snprintf(failure, len, "no kernel: %d", error);
		return;
	}
	OK(&c, quern_mkdir(c.c_proc, "/work", 0755));
	OK(&c, quern_chdir(c.c_proc, "/work"));
	cc->fn(&c);
	error = quern_destroy_count(k, &leaks);
	if (c.c_failure[0] == '\0' && (error != 0 || leaks != 0))
		snprintf(c.c_failure, sizeof(c.c_failure),
		    "destroy: %d, %llu objects left", error,
		    (unsigned long long)leaks);
	snprintf(failure, len, "%s", c.c_failure);
}

START_TEST(posix)
{
	char failure[400] = "";

	run_quern(quern_posix(), nth(_i), failure, sizeof(failure));
	ck_assert_msg(failure[0] == '\0', "%s: %s", nth(_i)->name, failure);
}
END_TEST

struct task {
	struct quern_sim *w;
	const struct conf_case *cc;
	char failure[400];
};

static void
task_main(void *arg)
{
	struct task *t = arg;

	run_quern(quern_sim_host(t->w), t->cc, t->failure, sizeof(t->failure));
}

START_TEST(sim)
{
	struct quern_sim_config sc = { .log = drop_line };
	struct task t = { .cc = nth(_i) };

	for (sc.seed = 1; sc.seed <= 3; sc.seed++) {
		ck_assert_int_eq(quern_sim_create(&sc, &t.w), 0);
		ck_assert_int_eq(quern_sim_task(t.w, t.cc->name, task_main, &t),
		    0);
		ck_assert_int_eq(quern_sim_run(t.w), 0);
		quern_sim_destroy(t.w);
		ck_assert_msg(t.failure[0] == '\0', "%s, seed %llu: %s",
		    t.cc->name, (unsigned long long)sc.seed, t.failure);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("unix sockets by calls");
	const char *mode = getenv("QUERN_MODE");
	SRunner *sr;
	TCase *tc;
	int n = 0, failed;

	while (nth(n) != NULL)
		n++;
#define ADD(name)                            \
	tc = tcase_create(#name);            \
	tcase_add_loop_test(tc, name, 0, n); \
	suite_add_tcase(s, tc)
	if (mode == NULL || *mode == '\0') {
		ADD(host);
	}
	ADD(posix);
	ADD(sim);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
