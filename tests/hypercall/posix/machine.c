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

/* One line of /proc/PID/stat. */
struct proc_stat {
	long pid, ppid;
	char name[32];
};

static bool
read_stat(const char *pid, struct proc_stat *p)
{
	char path[300];
	bool ok;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%s/stat", pid);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	ok = fscanf(f, "%ld (%31[^)]) %*c %ld", &p->pid, p->name, &p->ppid) ==
	    3;
	fclose(f);
	return ok;
}

/* Is `pid` a child of ours, or a child's child? */
static bool
descends(const struct proc_stat *p)
{
	struct proc_stat parent;
	char pid[24];

	if (p->ppid == (long)getpid())
		return true;
	snprintf(pid, sizeof pid, "%ld", p->ppid);
	return read_stat(pid, &parent) && parent.ppid == (long)getpid();
}

unsigned
test_count_children(void)
{
	struct proc_stat p;
	struct dirent *de;
	DIR *d = opendir("/proc");
	unsigned n = 0;

	ck_assert_ptr_nonnull(d);
	while ((de = readdir(d)) != NULL)
		n += de->d_name[0] >= '1' && de->d_name[0] <= '9' &&
		    read_stat(de->d_name, &p) && descends(&p);
	closedir(d);
	return n;
}

pid_t
test_guest_pid(void)
{
	struct proc_stat p;
	struct dirent *de;
	DIR *d = opendir("/proc");
	pid_t pid = -1;

	ck_assert_ptr_nonnull(d);
	while ((de = readdir(d)) != NULL)
		if (de->d_name[0] >= '1' && de->d_name[0] <= '9' &&
		    read_stat(de->d_name, &p) && descends(&p) &&
		    strcmp(p.name, "quern-guest") == 0)
			pid = (pid_t)p.pid;
	closedir(d);
	return pid;
}
