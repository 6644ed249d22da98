/* SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"

const struct quern_posix_config test_config[TEST_NBACKEND] = {
	{ .pc_flags = 0 },
	{ .pc_flags = QUERN_POSIX_NORING },
};

static void
on_runner(void *cookie, unsigned runner)
{
	struct test_machine *t = *(struct test_machine **)cookie;

	if (t->t_runner != NULL)
		t->t_runner(t, runner);
}

static void
on_event(void *cookie, struct quern_event *ev, int64_t result)
{
	struct test_machine *t = *(struct test_machine **)cookie;
	unsigned n = atomic_load(&t->t_ngot);

	ck_assert_uint_lt(n, 64);
	t->t_got[n].g_ev = ev;
	t->t_got[n].g_result = result;
	atomic_store(&t->t_ngot, n + 1);
}

void
test_begin(struct test_machine *t, const struct quern_posix_config *config,
    unsigned ncpu)
{
	struct quern_host host = config != NULL ? quern_posix_with(config) :
						  quern_posix();
	struct quern_machine qm = {
		.m_ncpu = ncpu,
		.m_name = "test",
		.m_core = sizeof(t),
	};
	struct test_machine **core;
	void *p;

	memset(t, 0, sizeof(*t));
	t->t_ops = host.h_ops;
	t->t_up.runner = on_runner;
	t->t_up.event = on_event;
	ck_assert_int_eq(t->t_ops->begin(host.h_arg, &qm, &t->t_up, &t->t_ctx,
			     &p),
	    0);
	core = p;
	ck_assert_uint_eq((uintptr_t)core % QUERN_PAGE_SIZE, 0);
	ck_assert_ptr_null(*core);
	*core = t;
}

void
test_end(struct test_machine *t)
{
	t->t_ops->end(t->t_ctx);
}

long
test_param(struct test_machine *t, const char *name)
{
	char buf[32] = "";
	int64_t n = t->t_ops->param(t->t_ctx, name, buf, sizeof buf - 1);

	ck_assert_int_ge(n, 0);
	return atol(buf);
}

uint64_t
test_now(struct test_machine *t)
{
	uint64_t ns;

	ck_assert_int_eq(t->t_ops->clock_read(t->t_ctx, QUERN_CLOCK_MONOTONIC,
			     &ns),
	    0);
	return ns;
}

static unsigned
count_entries(const char *path)
{
	struct dirent *de;
	DIR *d = opendir(path);
	unsigned n = 0;

	ck_assert_ptr_nonnull(d);
	while ((de = readdir(d)) != NULL)
		n += de->d_name[0] != '.';
	closedir(d);
	return n;
}

unsigned
test_count_fds(void)
{
	return count_entries("/proc/self/fd");
}

static void *
note_tid(void *arg)
{
	*(pid_t *)arg = gettid();
	return NULL;
}

unsigned
test_count_tasks(void)
{
	pthread_t thread;
	pid_t tid;

	/* A sanitizer starts a thread of its own with the first of ours. */
	ck_assert_int_eq(pthread_create(&thread, NULL, note_tid, &tid), 0);
	pthread_join(thread, NULL);
	while (tgkill(getpid(), tid, 0) == 0)
		sched_yield();
	return count_entries("/proc/self/task");
}

void
test_await_tasks(unsigned n)
{
	time_t end = time(NULL) + 20;

	while (count_entries("/proc/self/task") > n) {
		ck_assert_int_lt(time(NULL), end);
		sched_yield();
	}
}

unsigned
test_count_children(void)
{
	unsigned n = 0;
	struct dirent *de;
	char path[300];
	FILE *f;
	long pid, ppid;
	DIR *d = opendir("/proc");

	ck_assert_ptr_nonnull(d);
	while ((de = readdir(d)) != NULL) {
		if (de->d_name[0] < '1' || de->d_name[0] > '9')
			continue;
		snprintf(path, sizeof path, "/proc/%s/stat", de->d_name);
		f = fopen(path, "re");
		if (f == NULL)
			continue;
		if (fscanf(f, "%ld (%*[^)]) %*c %ld", &pid, &ppid) == 2)
			n += ppid == (long)getpid();
		fclose(f);
	}
	closedir(d);
	return n;
}
