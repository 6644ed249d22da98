/* SPDX-License-Identifier: BSD-2-Clause */
/* The posix host: machines, memory, clocks, parameters, waiting and kicking. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"

/* --- machines --------------------------------------------------------- */

START_TEST(begin_refuses)
{
	struct quern_host h = quern_posix();
	struct quern_machine qm = { .m_ncpu = 0, .m_name = "x" };
	struct quern_upcalls up = { 0 };
	void *ctx, *core;

	ck_assert_uint_eq(h.h_ops->hy_version, QUERN_HYPER_VERSION);
	ck_assert_uint_eq(h.h_ops->hy_size, sizeof(struct quern_hyper));
	ck_assert_int_eq(h.h_ops->begin(h.h_arg, &qm, &up, &ctx, &core),
	    -EINVAL);
	qm.m_ncpu = QUERN_MAXCPU + 1;
	ck_assert_int_eq(h.h_ops->begin(h.h_arg, &qm, &up, &ctx, &core),
	    -EINVAL);
}
END_TEST

/* A machine that was asked for nothing has nothing. */
START_TEST(begin_is_cheap)
{
	struct test_machine t[32];
	unsigned fds = test_count_fds(), tasks = test_count_tasks(), i;

	for (i = 0; i < 32; i++)
		test_begin(&t[i], NULL, i % 2 != 0 ? 1 : QUERN_MAXCPU);
	ck_assert_uint_eq(test_count_fds(), fds);
	ck_assert_uint_eq(test_count_tasks(), tasks);
	for (i = 0; i < 32; i++)
		test_end(&t[i]);
}
END_TEST

/* --- memory ----------------------------------------------------------- */

START_TEST(map_aligned)
{
	static const size_t aligns[] = { 4096, 8192, 65536, 1 << 21 };
	struct test_machine t;
	unsigned i;
	void *p;

	test_begin(&t, NULL, 1);
	for (i = 0; i < 4; i++) {
		ck_assert_int_eq(t.t_ops->map(t.t_ctx, 3 * 4096, aligns[i], 0,
				     &p),
		    0);
		ck_assert_uint_eq((uintptr_t)p % aligns[i], 0);
		ck_assert_uint_eq(((unsigned char *)p)[0], 0);
		memset(p, 0xa5, 3 * 4096);
		t.t_ops->unmap(t.t_ctx, p, 3 * 4096);
	}
	test_end(&t);
}
END_TEST

START_TEST(map_refuses)
{
	struct test_machine t;
	void *p;

	test_begin(&t, NULL, 1);
	ck_assert_int_eq(t.t_ops->map(t.t_ctx, 0, 4096, 0, &p), -EINVAL);
	ck_assert_int_eq(t.t_ops->map(t.t_ctx, 100, 4096, 0, &p), -EINVAL);
	ck_assert_int_eq(t.t_ops->map(t.t_ctx, 4096, 512, 0, &p), -EINVAL);
	ck_assert_int_eq(t.t_ops->map(t.t_ctx, 4096, 12288, 0, &p), -EINVAL);
	ck_assert_int_eq(t.t_ops->map(t.t_ctx, 4096, 4096, 8, &p), -EINVAL);
	ck_assert_int_eq(t.t_ops->map(t.t_ctx, SIZE_MAX - 4095, 8192, 0, &p),
	    -ENOMEM);
	ck_assert_int_eq(t.t_ops->map(t.t_ctx, (size_t)1 << 60, 4096, 0, &p),
	    -ENOMEM);
	test_end(&t);
}
END_TEST

/* Touching the guard page is the end of the process. */
START_TEST(map_guard)
{
	struct test_machine t;
	volatile char *area;
	void *p;
	int status;
	pid_t pid;

	test_begin(&t, NULL, 1);
	ck_assert_int_eq(t.t_ops->map(t.t_ctx, 65536, 65536, QUERN_MAP_GUARD,
			     &p),
	    0);
	area = p;
	area[4096] = 1;
	area[65535] = 1;
	pid = fork();
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		area[4095] = 1;
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	t.t_ops->unmap(t.t_ctx, p, 65536);
	test_end(&t);
}
END_TEST

/* With guests, and without. */
START_TEST(ram)
{
	const struct quern_posix_config config = {
		.pc_flags = _i == 0 ? 0 : QUERN_POSIX_NOGUESTS
	};
	struct test_machine t;
	const size_t len = (size_t)1 << 30;
	unsigned fds = test_count_fds();
	unsigned char *ram;
	void *p;

	test_begin(&t, &config, 1);
	ck_assert_int_eq(t.t_ops->ram_discard(t.t_ctx, 0, 4096), -EINVAL);
	ck_assert_int_eq(t.t_ops->ram_create(t.t_ctx, 0, &p), -EINVAL);
	ck_assert_int_eq(t.t_ops->ram_create(t.t_ctx, 4097, &p), -EINVAL);
	ck_assert_int_eq(t.t_ops->ram_create(t.t_ctx, len, &p), 0);
	ram = p;
	ck_assert_int_eq(t.t_ops->ram_create(t.t_ctx, len, &p), -EEXIST);
	ck_assert_uint_eq(ram[len - 1], 0);
	memset(ram + 4096, 1, 3 * 4096);
	ck_assert_int_eq(t.t_ops->ram_discard(t.t_ctx, 8192, 4096), 0);
	ck_assert_uint_eq(ram[8191], 1);
	ck_assert_uint_eq(ram[8192], 0);
	ck_assert_uint_eq(ram[12287], 0);
	ck_assert_uint_eq(ram[12288], 1);
	ck_assert_int_eq(t.t_ops->ram_discard(t.t_ctx, 0, 0), 0);
	ck_assert_int_eq(t.t_ops->ram_discard(t.t_ctx, 1, 4096), -EINVAL);
	ck_assert_int_eq(t.t_ops->ram_discard(t.t_ctx, 0, 1), -EINVAL);
	ck_assert_int_eq(t.t_ops->ram_discard(t.t_ctx, len, 4096), -EINVAL);
	ck_assert_int_eq(t.t_ops->ram_discard(t.t_ctx, 4096, SIZE_MAX - 4095),
	    -EINVAL);
	/* Where pages may be large. */
	memset(ram + len / 2 - 4096, 1, 3 * 4096);
	ck_assert_int_eq(t.t_ops->ram_discard(t.t_ctx, len / 2, 4096), 0);
	ck_assert_uint_eq(ram[len / 2 - 1], 1);
	ck_assert_uint_eq(ram[len / 2], 0);
	ck_assert_uint_eq(ram[len / 2 + 4096], 1);
	if (_i != 0)
		ck_assert_int_eq(t.t_ops->vm_create(t.t_ctx, 1), -EOPNOTSUPP);
	test_end(&t);
	ck_assert_uint_eq(test_count_fds(), fds);
}
END_TEST

/* --- clocks, random, parameters, log ---------------------------------- */

START_TEST(clocks)
{
	struct test_machine t;
	uint64_t a, b, last = 0;
	struct timespec ts;
	int i;

	test_begin(&t, NULL, 1);
	for (i = 0; i < 1000; i++) {
		a = test_now(&t);
		ck_assert_uint_ge(a, last);
		last = a;
	}
	ck_assert_int_eq(t.t_ops->clock_read(t.t_ctx, QUERN_CLOCK_REALTIME, &a),
	    0);
	clock_gettime(CLOCK_REALTIME, &ts);
	ck_assert_uint_lt((uint64_t)ts.tv_sec - a / TEST_S, 60);
	/* The cheap one is behind, by no more than a tick or a few. */
	ck_assert_int_eq(t.t_ops->clock_read(t.t_ctx, QUERN_CLOCK_COARSE, &b),
	    0);
	ck_assert_uint_lt((uint64_t)ts.tv_sec - b / TEST_S, 60);
	ck_assert_int_eq(t.t_ops->clock_read(t.t_ctx, QUERN_CLOCK_CPU, &a), 0);
	for (i = 0; i < 1000000; i++)
		atomic_signal_fence(memory_order_seq_cst);
	ck_assert_int_eq(t.t_ops->clock_read(t.t_ctx, QUERN_CLOCK_CPU, &b), 0);
	ck_assert_uint_gt(b, a);
	ck_assert_int_eq(t.t_ops->clock_read(t.t_ctx, QUERN_NCLOCK, &a),
	    -EINVAL);
	ck_assert_int_eq(t.t_ops->clock_read(t.t_ctx, (enum quern_clock)77, &a),
	    -EINVAL);
	test_end(&t);
}
END_TEST

/* A time computed from the parameters lies near the clock's. */
START_TEST(clock_params)
{
	struct quern_clock_params cp;
	struct quern_seat seat = { 0 };
	struct test_machine t;
	uint64_t before, after, ns;
	int error;

	test_begin(&t, NULL, 1);
	error = t.t_ops->clock_params(t.t_ctx, &cp);
	if (error == -EOPNOTSUPP) {
		puts("SKIP: the host's clock source is not the TSC");
		test_end(&t);
		return;
	}
	ck_assert(error == 0 || error == -EAGAIN);
	t.t_ops->cpu_idle(t.t_ctx, &seat, 0, test_now(&t) + 50 * TEST_MS);
	ck_assert_int_eq(t.t_ops->clock_params(t.t_ctx, &cp), 0);
	ck_assert_uint_eq(cp.cp_seq % 2, 0);
	t.t_ops->cpu_idle(t.t_ctx, &seat, 0, test_now(&t) + 50 * TEST_MS);
	before = test_now(&t);
	ns = cp.cp_mono_ns +
	    (uint64_t)((unsigned __int128)(__builtin_ia32_rdtsc() -
			   cp.cp_cycle0) *
		    cp.cp_mult >>
		cp.cp_shift);
	after = test_now(&t);
	/* 100 ppm of 50 ms, and what a reading is off. */
	ck_assert_uint_gt(ns, before - 20000);
	ck_assert_uint_lt(ns, after + 20000);
	test_end(&t);
}
END_TEST

START_TEST(random_bytes)
{
	static unsigned char a[100000], b[100000];
	struct test_machine t;
	unsigned i, count[256] = { 0 };

	test_begin(&t, NULL, 1);
	ck_assert_int_eq(t.t_ops->random(t.t_ctx, a, sizeof a), 0);
	ck_assert_int_eq(t.t_ops->random(t.t_ctx, b, sizeof b), 0);
	ck_assert_int_eq(t.t_ops->random(t.t_ctx, b, 0), 0);
	ck_assert(memcmp(a, b, sizeof a) != 0);
	for (i = 0; i < sizeof a; i++)
		count[a[i]]++;
	for (i = 0; i < 256; i++)
		ck_assert(count[i] > 200 && count[i] < 600);
	test_end(&t);
}
END_TEST

START_TEST(params)
{
	static const struct quern_posix_param p[] = {
		{ "root", "ext4:disk" },
		{ "empty", "" },
	};
	struct quern_posix_config config = { .pc_param = p, .pc_nparam = 2 };
	struct test_machine t;
	char buf[16] = "################";

	test_begin(&t, &config, 1);
	ck_assert_int_eq(t.t_ops->param(t.t_ctx, "host", buf, 16), 5);
	ck_assert_int_eq(memcmp(buf, "posix###", 8), 0);
	ck_assert_int_eq(t.t_ops->param(t.t_ctx, "root", buf, 4), 9);
	ck_assert_int_eq(memcmp(buf, "ext4x###", 8), 0);
	ck_assert_int_eq(t.t_ops->param(t.t_ctx, "root", NULL, 0), 9);
	ck_assert_int_eq(t.t_ops->param(t.t_ctx, "empty", buf, 16), 0);
	ck_assert_int_eq(t.t_ops->param(t.t_ctx, "none", buf, 16), -ENOENT);
	ck_assert_int_eq(t.t_ops->param(t.t_ctx, "", buf, 16), -ENOENT);
	ck_assert_int_eq(t.t_ops->param(t.t_ctx, "pty.", buf, 16), -ENOENT);
	ck_assert_int_eq(t.t_ops->param(t.t_ctx, "pty.9", buf, 16), -ENOENT);
	ck_assert_int_eq(t.t_ops->param(t.t_ctx, "pty.-1", buf, 16), -ENOENT);
	ck_assert_int_eq(t.t_ops->param(t.t_ctx, "pty.99999999999999999999",
			     buf, 16),
	    -ENOENT);
	ck_assert_int_ge(test_param(&t, "ncpu"), 1);
	test_end(&t);
}
END_TEST

START_TEST(log_lines)
{
	struct quern_posix_config config = { 0 };
	struct test_machine t;
	char buf[4096], big[3000];
	ssize_t n;
	int fd[2];

	ck_assert_int_eq(pipe(fd), 0);
	config.pc_logfd = fd[1];
	test_begin(&t, &config, 1);
	t.t_ops->log(t.t_ctx, QUERN_LOG_DEBUG, "no", 2);
	t.t_ops->log(t.t_ctx, QUERN_LOG_INFO, "hello", 5);
	t.t_ops->log(t.t_ctx, QUERN_LOG_ERR, "", 0);
	n = read(fd[0], buf, sizeof buf);
	ck_assert_int_eq(n, 12 + 14);
	ck_assert_int_eq(memcmp(buf, "test: hello\ntest: error: \n", 26), 0);
	memset(big, 'x', sizeof big);
	t.t_ops->log(t.t_ctx, QUERN_LOG_WARN, big, sizeof big);
	n = read(fd[0], buf, sizeof buf);
	ck_assert_int_gt(n, 500);
	ck_assert_int_eq(buf[n - 1], '\n');
	/* Nobody reads: no signal, and nothing left pending. */
	close(fd[0]);
	signal(SIGPIPE, SIG_DFL);
	t.t_ops->log(t.t_ctx, QUERN_LOG_INFO, "hello", 5);
	test_end(&t);
	config.pc_logfd = -1;
	test_begin(&t, &config, 1);
	t.t_ops->log(t.t_ctx, QUERN_LOG_EMERG, "nowhere", 7);
	test_end(&t);
	close(fd[1]);
}
END_TEST

/* --- runners ---------------------------------------------------------- */

static void
note_runner(struct test_machine *t, unsigned runner)
{
	_Atomic unsigned *seen = t->t_arg;
	sigset_t mask;
	cpu_set_t cpus;
	int sig;

	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	for (sig = 1; sig < 32; sig++)
		if (sig != SIGKILL && sig != SIGSTOP &&
		    sigismember(&mask, sig) != 1)
			return;
	ck_assert_int_eq(pthread_getaffinity_np(pthread_self(), sizeof cpus,
			     &cpus),
	    0);
	if (runner == 0 && CPU_COUNT(&cpus) != 1)
		return;
	atomic_fetch_or(seen, 1u << runner);
}

START_TEST(runners)
{
	_Atomic unsigned seen = 0;
	struct test_machine t;
	unsigned tasks = test_count_tasks(), i, round;
	cpu_set_t cpus;
	int pin;

	sched_getaffinity(0, sizeof cpus, &cpus);
	for (pin = 0; !CPU_ISSET(pin, &cpus); pin++)
		;
	test_begin(&t, NULL, 4);
	t.t_runner = note_runner;
	t.t_arg = &seen;
	for (round = 0; round < 2; round++) {
		atomic_store(&seen, 0);
		for (i = 0; i < 4; i++) {
			ck_assert_int_eq(t.t_ops->cpu_start(t.t_ctx, i,
					     i == 0 ? pin : -1),
			    0);
			ck_assert_int_eq(t.t_ops->cpu_start(t.t_ctx, i, -1),
			    -EEXIST);
		}
		for (i = 0; i < 4; i++)
			ck_assert_int_eq(t.t_ops->cpu_stop(t.t_ctx, i), 0);
		ck_assert_uint_eq(atomic_load(&seen), 15);
	}
	ck_assert_int_eq(t.t_ops->cpu_stop(t.t_ctx, 0), -ESRCH);
	ck_assert_int_eq(t.t_ops->cpu_stop(t.t_ctx, 99), -ESRCH);
	ck_assert_int_eq(t.t_ops->cpu_start(t.t_ctx, 4, -1), -EINVAL);
	ck_assert_int_eq(t.t_ops->cpu_start(t.t_ctx, 0, 1000), -EINVAL);
	ck_assert_int_eq(t.t_ops->cpu_start(t.t_ctx, 0, 1 << 30), -EINVAL);
	t.t_ops->cpu_yield(t.t_ctx, QUERN_YIELD_SPIN);
	t.t_ops->cpu_yield(t.t_ctx, QUERN_YIELD_LOCK);
	test_end(&t);
	test_await_tasks(tasks);
}
END_TEST

/* --- waiting and kicking ---------------------------------------------- */

START_TEST(idle_without_seat)
{
	struct test_machine t;

	test_begin(&t, NULL, 2);
	ck_assert_int_eq(t.t_ops->cpu_idle(t.t_ctx, NULL, 3, 0), 0);
	ck_assert_int_eq(t.t_ops->cpu_idle(t.t_ctx, NULL, 0, QUERN_NEVER), 0);
	ck_assert_int_eq(t.t_ops->cpu_idle(t.t_ctx, NULL, UINT64_MAX,
			     QUERN_NEVER),
	    0);
	test_end(&t);
}
END_TEST

/* A kick with nobody waiting ends the next wait, once. */
START_TEST(kick_is_latched)
{
	struct quern_seat seat = { 0 };
	struct test_machine t;
	uint64_t cpus = (uint64_t)_i;

	test_begin(&t, NULL, 2);
	t.t_ops->cpu_kick(t.t_ctx, &seat);
	t.t_ops->cpu_kick(t.t_ctx, &seat);
	ck_assert_int_eq(t.t_ops->cpu_idle(t.t_ctx, &seat, cpus, QUERN_NEVER),
	    -EINTR);
	ck_assert_int_eq(t.t_ops->cpu_idle(t.t_ctx, &seat, cpus, 0),
	    -ETIMEDOUT);
	ck_assert_int_eq(t.t_ops->cpu_idle(t.t_ctx, &seat, cpus,
			     test_now(&t) + TEST_MS),
	    -ETIMEDOUT);
	/* The kick counts even where the deadline has passed. */
	t.t_ops->cpu_kick(t.t_ctx, &seat);
	ck_assert_int_eq(t.t_ops->cpu_idle(t.t_ctx, &seat, cpus, 0), -EINTR);
	test_end(&t);
}
END_TEST

/* Never early, in any of the beds. */
START_TEST(deadlines)
{
	static const uint64_t waits[] = { 1, 1000, 50000, 1000000, 3333333,
		20000001 };
	struct quern_seat seat = { 0 };
	struct quern_event ev = { 0 };
	struct test_machine t;
	uint64_t end, now;
	char name[16];
	unsigned i, round;
	uint32_t id;
	int fd[2], error;
	char c;

	test_begin(&t, &test_config[_i / 2], 2);
	ck_assert_int_eq(pipe(fd), 0);
	if (_i % 2 != 0) { /* with an operation in flight */
		snprintf(name, sizeof name, "fd:%d,1", fd[0]);
		ck_assert_int_eq(t.t_ops->chan_open(t.t_ctx, name, &id), 0);
		ck_assert_int_eq(t.t_ops->chan_read(t.t_ctx, 0, id, &c, 1, &ev),
		    -EAGAIN);
	}
	for (round = 0; round < 10; round++) {
		for (i = 0; i < 6; i++) {
			end = test_now(&t) + waits[i];
			error = t.t_ops->cpu_idle(t.t_ctx, &seat, 3, end);
			now = test_now(&t);
			ck_assert_int_eq(error, -ETIMEDOUT);
			ck_assert_uint_ge(now, end);
		}
	}
	test_end(&t);
}
END_TEST

/* Threads in a ring, each of which kicks the next when it is kicked. */
#define NPARK  8
#define ROUNDS 2000

struct park {
	struct test_machine *p_t;
	struct quern_seat *p_seat;
	unsigned p_index;
	uint64_t p_cpus;
	unsigned p_kicked;
	pthread_t p_thread;
};

static void *
park_main(void *arg)
{
	struct park *p = arg;
	struct test_machine *t = p->p_t;
	int error;

	while (p->p_kicked < ROUNDS) {
		error = t->t_ops->cpu_idle(t->t_ctx, &p->p_seat[p->p_index],
		    p->p_cpus, test_now(t) + TEST_LONG);
		if (error == 0)
			continue;
		if (error != -EINTR)
			return "timed out";
		p->p_kicked++;
		t->t_ops->cpu_kick(t->t_ctx,
		    &p->p_seat[(p->p_index + 1) % NPARK]);
	}
	return NULL;
}

START_TEST(kick_ring)
{
	static struct quern_seat seat[NPARK];
	struct park p[NPARK];
	struct test_machine t;
	unsigned i;
	void *complaint;

	test_begin(&t, &test_config[_i], 2);
	memset(seat, 0, sizeof seat);
	for (i = 0; i < NPARK; i++) {
		p[i] = (struct park){ .p_t = &t,
			.p_seat = seat,
			.p_index = i,
			.p_cpus = i == 0 ? 3 : 0 };
		pthread_create(&p[i].p_thread, NULL, park_main, &p[i]);
	}
	t.t_ops->cpu_kick(t.t_ctx, &seat[0]);
	for (i = 0; i < NPARK; i++) {
		pthread_join(p[i].p_thread, &complaint);
		ck_assert_ptr_null(complaint);
	}
	test_end(&t);
}
END_TEST

/* A descriptor of ours that is called this in /proc, or -1. */
static int
find_fd(const char *what)
{
	char path[64], name[64];
	ssize_t n;
	int fd;

	for (fd = 0; fd < 256; fd++) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		n = readlink(path, name, sizeof name - 1);
		if (n < 0)
			continue;
		name[n] = '\0';
		if (strcmp(name, what) == 0)
			return fd;
	}
	return -1;
}

/* What a ring may do is settled: nothing can be registered any more. */
START_TEST(ring_is_restricted)
{
	static struct quern_seat seat;
	struct test_machine t;
	uint32_t efd = 0;
	int fd;

	test_begin(&t, &test_config[_i], 1);
	t.t_ops->cpu_kick(t.t_ctx, &seat);
	(void)t.t_ops->cpu_idle(t.t_ctx, &seat, 1, 0);
	fd = find_fd("anon_inode:[io_uring]");
	if (fd < 0) {
		printf("# no ring in this configuration\n");
	} else {
		ck_assert_int_eq(syscall(SYS_io_uring_register, fd,
				     4 /* an eventfd */, &efd, 1),
		    -1);
		ck_assert_int_eq(errno, EACCES);
	}
	test_end(&t);
}
END_TEST

/* Many kick one that waits for as many kicks as it can tell apart. */
struct storm {
	struct test_machine *s_t;
	struct quern_seat s_seat;
	_Atomic uint64_t s_sent;
	_Atomic int s_done;
};

static void *
storm_main(void *arg)
{
	struct storm *s = arg;

	while (!atomic_load(&s->s_done)) {
		atomic_fetch_add(&s->s_sent, 1);
		s->s_t->t_ops->cpu_kick(s->s_t->t_ctx, &s->s_seat);
	}
	return NULL;
}

START_TEST(kick_storm)
{
	static struct storm s;
	pthread_t thread[4];
	struct test_machine t;
	uint64_t seen = 0, sent;
	unsigned i, woken = 0;

	test_begin(&t, NULL, 1);
	memset(&s, 0, sizeof s);
	s.s_t = &t;
	for (i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, storm_main, &s);
	while (woken < 20000) {
		/* Whatever was sent before a wait began must end it. */
		sent = atomic_load(&s.s_sent);
		ck_assert_int_eq(t.t_ops->cpu_idle(t.t_ctx, &s.s_seat,
				     woken % 2, QUERN_NEVER),
		    -EINTR);
		ck_assert_uint_ge(sent, seen);
		seen = sent;
		woken++;
	}
	atomic_store(&s.s_done, 1);
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	test_end(&t);
}
END_TEST

/* cpu_kick from a signal handler, on the thread that waits. */
static struct test_machine *alarm_machine;
static struct quern_seat alarm_seat;

static void
on_alarm(int sig)
{
	(void)sig;
	alarm_machine->t_ops->cpu_kick(alarm_machine->t_ctx, &alarm_seat);
}

START_TEST(kick_from_handler)
{
	struct itimerval it = { .it_value.tv_usec = 20000 };
	struct sigaction sa = { .sa_handler = on_alarm };
	struct test_machine t;

	test_begin(&t, NULL, 1);
	alarm_machine = &t;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	ck_assert_int_eq(t.t_ops->cpu_idle(t.t_ctx, &alarm_seat, (uint64_t)_i,
			     test_now(&t) + TEST_LONG),
	    -EINTR);
	test_end(&t);
}
END_TEST

/* A signal that has nothing to do with us ends nothing. */
static void
on_nothing(int sig)
{
	(void)sig;
}

START_TEST(signals_are_not_kicks)
{
	struct itimerval it = { .it_value.tv_usec = 2000,
		.it_interval.tv_usec = 2000 };
	struct sigaction sa = { .sa_handler = on_nothing };
	struct quern_seat seat = { 0 };
	struct test_machine t;

	test_begin(&t, NULL, 1);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	ck_assert_int_eq(t.t_ops->cpu_idle(t.t_ctx, &seat, (uint64_t)_i,
			     test_now(&t) + 30 * TEST_MS),
	    -ETIMEDOUT);
	it = (struct itimerval){ 0 };
	setitimer(ITIMER_REAL, &it, NULL);
	test_end(&t);
}
END_TEST

/* --- pollfd ----------------------------------------------------------- */

static bool
readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

START_TEST(pollfd_deadline)
{
	struct test_machine t;
	uint64_t end;
	int fd;

	test_begin(&t, &test_config[_i], 2);
	fd = (int)test_param(&t, "pollfd");
	ck_assert_int_eq(test_param(&t, "pollfd"), fd);
	t.t_ops->cpu_idle(t.t_ctx, NULL, 3, QUERN_NEVER);
	ck_assert(!readable(fd, 0));
	end = test_now(&t) + 10 * TEST_MS;
	t.t_ops->cpu_idle(t.t_ctx, NULL, 3, end);
	ck_assert(readable(fd, 10000));
	ck_assert_uint_ge(test_now(&t), end);
	/* What was announced and has passed stays so. */
	t.t_ops->cpu_idle(t.t_ctx, NULL, 3, end);
	ck_assert(readable(fd, 0));
	t.t_ops->cpu_idle(t.t_ctx, NULL, 3, QUERN_NEVER);
	ck_assert(!readable(fd, 0));
	t.t_ops->cpu_idle(t.t_ctx, NULL, 3, 0);
	ck_assert(readable(fd, 0));
	t.t_ops->cpu_idle(t.t_ctx, NULL, 3, QUERN_NEVER);
	ck_assert(!readable(fd, 0));
	test_end(&t);
}
END_TEST

START_TEST(pollfd_event)
{
	struct quern_event ev = { 0 };
	struct test_machine t;
	char name[16], c;
	uint64_t end;
	uint32_t id;
	int fd, p[2];

	test_begin(&t, &test_config[_i], 2);
	fd = (int)test_param(&t, "pollfd");
	t.t_ops->cpu_idle(t.t_ctx, NULL, 3, QUERN_NEVER);
	ck_assert_int_eq(pipe(p), 0);
	snprintf(name, sizeof name, "fd:%d,1", p[0]);
	ck_assert_int_eq(t.t_ops->chan_open(t.t_ctx, name, &id), 0);
	ck_assert_int_eq(t.t_ops->chan_read(t.t_ctx, 1, id, &c, 1, &ev),
	    -EAGAIN);
	ck_assert(!readable(fd, 0));
	ck_assert_int_eq(write(p[1], "x", 1), 1);
	ck_assert(readable(fd, 20000));
	/* Not one of the CPUs asked for: it stays. */
	ck_assert_int_eq(t.t_ops->cpu_idle(t.t_ctx, NULL, 1, QUERN_NEVER), 0);
	while (t.t_ops->cpu_idle(t.t_ctx, NULL, 3, QUERN_NEVER) == 0)
		ck_assert(readable(fd, 20000));
	ck_assert_ptr_eq(t.t_got[0].g_ev, &ev);
	ck_assert_uint_eq(ev.e_cpu, 1);
	/* The poller may be about to say so once more. */
	for (end = test_now(&t) + TEST_LONG; readable(fd, 0);) {
		ck_assert_uint_lt(test_now(&t), end);
		t.t_ops->cpu_idle(t.t_ctx, NULL, 3, QUERN_NEVER);
	}
	test_end(&t);
}
END_TEST

/* --- block and net, which have no schemes yet -------------------------- */

START_TEST(no_devices)
{
	struct quern_blk_op op[2] = { { .b_id = 3 }, { .b_id = 4 } };
	struct quern_blk_info bi;
	struct quern_net_info ni;
	struct test_machine t;
	uint32_t id;

	test_begin(&t, NULL, 1);
	ck_assert_int_eq(t.t_ops->blk_open(t.t_ctx, "nosuch:x", 0, &bi, &id),
	    -EPROTONOSUPPORT);
	ck_assert_int_eq(t.t_ops->net_open(t.t_ctx, "tap:x", &ni, &id),
	    -EPROTONOSUPPORT);
	ck_assert_int_eq(t.t_ops->blk_submit(t.t_ctx, 0, op, 2), 2);
	ck_assert_int_eq(op[0].b_result, -EBADF);
	ck_assert_int_eq(op[1].b_result, -EBADF);
	ck_assert_int_eq(t.t_ops->net_send(t.t_ctx, 0, 0, NULL, 0, NULL),
	    -EBADF);
	ck_assert_int_eq(t.t_ops->net_recv(t.t_ctx, 0, 0, NULL, 0, NULL),
	    -EBADF);
	t.t_ops->blk_close(t.t_ctx, 1);
	t.t_ops->net_close(t.t_ctx, 1);
	test_end(&t);
}
END_TEST

static Suite *
posix_suite(void)
{
	Suite *s = suite_create("hypercall/posix");
	TCase *tc = tcase_create("core");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, begin_refuses);
	tcase_add_test(tc, begin_is_cheap);
	tcase_add_test(tc, map_aligned);
	tcase_add_test(tc, map_refuses);
	tcase_add_test(tc, map_guard);
	tcase_add_loop_test(tc, ram, 0, 2);
	tcase_add_test(tc, clocks);
	tcase_add_test(tc, clock_params);
	tcase_add_test(tc, random_bytes);
	tcase_add_test(tc, params);
	tcase_add_test(tc, log_lines);
	tcase_add_test(tc, runners);
	tcase_add_test(tc, no_devices);
	suite_add_tcase(s, tc);

	tc = tcase_create("idle");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, idle_without_seat);
	tcase_add_loop_test(tc, kick_is_latched, 0, 4);
	tcase_add_loop_test(tc, deadlines, 0, 4);
	tcase_add_loop_test(tc, kick_ring, 0, TEST_NBACKEND);
	tcase_add_loop_test(tc, ring_is_restricted, 0, TEST_NBACKEND);
	tcase_add_test(tc, kick_storm);
	tcase_add_loop_test(tc, kick_from_handler, 0, 2);
	tcase_add_loop_test(tc, signals_are_not_kicks, 0, 2);
	tcase_add_loop_test(tc, pollfd_deadline, 0, TEST_NBACKEND);
	tcase_add_loop_test(tc, pollfd_event, 0, TEST_NBACKEND);
	suite_add_tcase(s, tc);
	return s;
}

int
main(void)
{
	SRunner *sr = srunner_create(posix_suite());
	int failed;

	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
