/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The base: what a kernel, a call, a lock, a switch and an allocation cost, each
 * beside what the host has to offer, both sides measured in turn in this run.
 *
 * A figure is the median of RUNS runs.  Except where a row says otherwise the
 * process is pinned to CPU 0, the kernel has two vCPUs and a second thread
 * exists, so that neither side takes a short cut for single-threaded programs.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <kernel/impl.h>
#include <kernel/rwlock.h>
#include <kernel/slab.h>
#include <quern/posix.h>
#include <quern/sim.h>

#include "blk.h"
#include "guestcall.h"

#define RUNS 9u

static FILE *out;

static double
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void
die(const char *what)
{
	fprintf(stderr, "b_base: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Have the compiler believe that somebody looks at what `p` points to. */
static inline void
escape(const void *p)
{
	__asm__ volatile("" : : "g"(p) : "memory");
}

static void
pin(int cpu)
{
	cpu_set_t set;
	int i;

	CPU_ZERO(&set);
	for (i = 0; i < CPU_SETSIZE; i++)
		if (cpu < 0 || i == cpu)
			CPU_SET(i, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		die("sched_setaffinity");
}

/* ---- rows ---------------------------------------------------------------- */

typedef double (*measure)(void *arg); /* one run's figure */

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

/* At least three significant digits, no exponent. */
static void
put_number(double x)
{
	fprintf(out, "%.*f", x >= 100 ? 1 : x >= 1 ? 3 : 6, x);
}

static void
put_row(const char *name, double ours, const char *unit, const char *peer,
    double theirs)
{
	fprintf(out, "%s\t", name);
	put_number(ours);
	fprintf(out, "\t%s\t", unit);
	if (peer != NULL) {
		fprintf(out, "%s\t", peer);
		put_number(theirs);
		fputc('\t', out);
		put_number(ours / theirs);
		fputc('\n', out);
	} else {
		fputs("-\t-\t-\n", out);
	}
	fflush(out);
}

/* Measure both sides in turn. */
static void
row(const char *name, const char *unit, measure ours, void *arg,
    const char *peer, measure theirs, void *peerarg)
{
	double a[RUNS], b[RUNS] = { 0 };
	unsigned i;

	for (i = 0; i < RUNS; i++) {
		a[i] = ours(arg);
		if (peer != NULL)
			b[i] = theirs(peerarg);
	}
	put_row(name, median(a, RUNS), unit, peer, median(b, RUNS));
}

/* ---- instances ------------------------------------------------------------ */

static struct quern_config
config(unsigned ncpu)
{
	return (struct quern_config){ .host = quern_posix(), .ncpu = ncpu };
}

static double
create_destroy(void *arg)
{
	struct quern_config c = config(2);
	struct quern *k;
	double t = now_ns();
	unsigned i, n = 100;

	(void)arg;
	for (i = 0; i < n; i++)
		if (quern_create(&c, &k) != 0 || quern_destroy(k) != 0)
			die("create, destroy");
	return (now_ns() - t) / n / 1e3;
}

static double
rss_kib(void)
{
	long size, resident;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f == NULL || fscanf(f, "%ld %ld", &size, &resident) != 2)
		die("/proc/self/statm");
	fclose(f);
	return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1024;
}

/* What a kernel that has made a process and served a call keeps resident. */
static double
create_rss(void *arg)
{
	enum { N = 16 };
	struct quern_config c = config(2);
	struct quern *k[N];
	struct quern_proc *p;
	double before = rss_kib(), after;
	unsigned i;

	(void)arg;
	for (i = 0; i < N; i++)
		if (quern_create(&c, &k[i]) != 0 ||
		    quern_proc_create(k[i], &p) != 0 || quern_getpid(p) < 0)
			die("create");
	after = rss_kib();
	for (i = 0; i < N; i++)
		if (quern_destroy(k[i]) != 0)
			die("destroy");
	return (after - before) / N;
}

/* ---- calls ------------------------------------------------------------------ */

#define CALLS 1000000u

static struct quern *kernel;
static struct quern_proc *proc;

static double
null_call(void *arg)
{
	struct quern_proc *p = arg != NULL ? arg : proc;
	double t = now_ns();
	unsigned i;

	for (i = 0; i < CALLS; i++)
		if (quern_getpid(p) <= 0)
			die("getpid");
	return (now_ns() - t) / CALLS;
}

static double
host_null_call(void *arg)
{
	double t = now_ns();
	unsigned i;

	(void)arg;
	for (i = 0; i < CALLS; i++)
		if (syscall(SYS_getppid) < 0)
			die("getppid");
	return (now_ns() - t) / CALLS;
}

struct twin {
	measure fn;
	void *arg;
	double ns;
	pthread_barrier_t *start;
};

static void *
twin_main(void *arg)
{
	struct twin *t = arg;

	pthread_barrier_wait(t->start);
	t->ns = t->fn(t->arg);
	return NULL;
}

/* Two threads at once, each a process of its own: the mean of both. */
static double
twice(measure fn, struct quern_proc *a, struct quern_proc *b)
{
	pthread_barrier_t start;
	struct twin t[2] = { { fn, a, 0, &start }, { fn, b, 0, &start } };
	pthread_t tid[2];
	cpu_set_t set;
	unsigned i;

	pthread_barrier_init(&start, NULL, 2);
	for (i = 0; i < 2; i++) {
		if (pthread_create(&tid[i], NULL, twin_main, &t[i]) != 0)
			die("pthread_create");
		CPU_ZERO(&set);
		CPU_SET(i % (unsigned)sysconf(_SC_NPROCESSORS_ONLN), &set);
		pthread_setaffinity_np(tid[i], sizeof(set), &set);
	}
	for (i = 0; i < 2; i++)
		pthread_join(tid[i], NULL);
	pthread_barrier_destroy(&start);
	return (t[0].ns + t[1].ns) / 2;
}

static struct quern_proc *second;

static double
null_call_twice(void *arg)
{
	(void)arg;
	return twice(null_call, proc, second);
}

static double
host_null_call_twice(void *arg)
{
	(void)arg;
	return twice(host_null_call, NULL, NULL);
}

#define BYTES 300000u

/* What `exe` --pipe-byte prints; 0: it does not run. */
static double
other_pipe_byte(const char *exe)
{
	char command[512];
	double ns = 0;
	FILE *f;

	snprintf(command, sizeof(command), "exec '%s' --pipe-byte", exe);
	f = popen(command, "r");
	if (f == NULL)
		die("popen");
	if (fscanf(f, "%lf", &ns) != 1)
		ns = 0;
	if (pclose(f) != 0)
		ns = 0;
	return ns;
}

/*
 * The trace compiled in and off over a build without: both as processes of
 * their own, in turn, so that neither has the other's memory behind it.
 */
static void
trace_row(void)
{
	const char *without = getenv("QUERN_BENCH_NOTRACE");
	double a[RUNS], b[RUNS];
	char self[256];
	ssize_t n;
	unsigned i;

	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		die("/proc/self/exe");
	self[n] = '\0';
	for (i = 0; i < RUNS && without != NULL; i++) {
		a[i] = other_pipe_byte(self);
		b[i] = other_pipe_byte(without);
		if (a[i] <= 0 || b[i] <= 0)
			without = NULL;
	}
	if (without == NULL)
		printf("trace_off_overhead left out: "
		       "QUERN_BENCH_NOTRACE names no build without it\n");
	else
		put_row("trace_off_overhead", median(a, RUNS) / median(b, RUNS),
		    "ratio", NULL, 0);
}

static double
pipe_byte(void *arg)
{
	int *fd = arg;
	double t = now_ns();
	char c = 'q';
	unsigned i;

	for (i = 0; i < BYTES; i++)
		if (quern_write(proc, fd[1], &c, 1) != 1 ||
		    quern_read(proc, fd[0], &c, 1) != 1)
			die("pipe");
	return (now_ns() - t) / BYTES;
}

static double
host_pipe_byte(void *arg)
{
	int *fd = arg;
	double t = now_ns();
	char c = 'q';
	unsigned i;

	for (i = 0; i < BYTES; i++)
		if (write(fd[1], &c, 1) != 1 || read(fd[0], &c, 1) != 1)
			die("host's pipe");
	return (now_ns() - t) / BYTES;
}

/* b_base --pipe-byte: one figure on standard output. */
static int
only_pipe_byte(void)
{
	double v[RUNS];
	unsigned i;
	int fd[2];

	if (quern_pipe2(proc, fd, 0) != 0)
		die("pipe");
	for (i = 0; i < RUNS; i++)
		v[i] = pipe_byte(fd);
	printf("%f\n", median(v, RUNS));
	return 0;
}

/* ---- locks and memory: in the kernel ------------------------------------------ */

#define LOCKS 3000000u

static uint32_t hint;

static int64_t
in_kernel(int64_t (*fn)(void *), void *arg)
{
	int64_t r = host_call(kernel, NULL, &hint, fn, arg);

	if (r < 0)
		die("host_call");
	return r;
}

static int64_t
mutex_body(void *arg)
{
	struct qmutex m;
	double t;
	unsigned i;

	qmutex_init(&m, "bench");
	t = now_ns();
	for (i = 0; i < LOCKS; i++) {
		qmutex_lock(&m);
		escape(&m);
		qmutex_unlock(&m);
	}
	*(double *)arg = (now_ns() - t) / LOCKS;
	return 0;
}

static double
mutex(void *arg)
{
	double ns;

	(void)arg;
	(void)in_kernel(mutex_body, &ns);
	return ns;
}

/* For reading once, for writing once. */
static int64_t
rwlock_body(void *arg)
{
	struct qrwlock rw;
	double t;
	unsigned i;

	qrw_init(&rw, "bench");
	t = now_ns();
	for (i = 0; i < LOCKS; i++) {
		qrw_rdlock(&rw);
		escape(&rw);
		qrw_rdunlock(&rw);
		qrw_wrlock(&rw);
		escape(&rw);
		qrw_wrunlock(&rw);
	}
	*(double *)arg = (now_ns() - t) / LOCKS;
	return 0;
}

static double
rwlock(void *arg)
{
	double ns;

	(void)arg;
	(void)in_kernel(rwlock_body, &ns);
	return ns;
}

static double
host_rwlock(void *arg)
{
	pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
	double t = now_ns();
	unsigned i;

	(void)arg;
	for (i = 0; i < LOCKS; i++) {
		pthread_rwlock_rdlock(&rw);
		escape(&rw);
		pthread_rwlock_unlock(&rw);
		pthread_rwlock_wrlock(&rw);
		escape(&rw);
		pthread_rwlock_unlock(&rw);
	}
	return (now_ns() - t) / LOCKS;
}

static double
host_mutex(void *arg)
{
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	double t = now_ns();
	unsigned i;

	(void)arg;
	for (i = 0; i < LOCKS; i++) {
		pthread_mutex_lock(&m);
		escape(&m);
		pthread_mutex_unlock(&m);
	}
	return (now_ns() - t) / LOCKS;
}

struct alloc {
	size_t size;
	double ns;
};

static const struct qtag bench_tag = { "bench" };

static int64_t
slab_body(void *arg)
{
	struct alloc *a = arg;
	double t = now_ns();
	unsigned i;
	void *p;

	for (i = 0; i < LOCKS; i++) {
		p = qalloc(&bench_tag, a->size);
		escape(p);
		qfree(p);
	}
	a->ns = (now_ns() - t) / LOCKS;
	return 0;
}

static double
slab(void *arg)
{
	struct alloc a = { *(size_t *)arg, 0 };

	(void)in_kernel(slab_body, &a);
	return a.ns;
}

static double
host_malloc(void *arg)
{
	size_t size = *(size_t *)arg;
	double t = now_ns();
	unsigned i;
	void *p;

	for (i = 0; i < LOCKS; i++) {
		p = malloc(size);
		escape(p);
		free(p);
	}
	return (now_ns() - t) / LOCKS;
}

/* ---- switching and waking -------------------------------------------------------- */

#define SWITCHES 200000u

static void
yielder(void *arg)
{
	unsigned i;

	(void)arg;
	for (i = 0; i < SWITCHES; i++)
		qthread_yield();
}

static int64_t
switch_body(void *arg)
{
	struct qthread *t[2];
	double start;
	unsigned i;

	start = now_ns();
	for (i = 0; i < 2; i++)
		if (qthread_create(kernel, "yielder", yielder, NULL,
			QPRIO_NORMAL, 0, &t[i]) != 0)
			return -Q_ENOMEM;
	for (i = 0; i < 2; i++)
		qthread_join(t[i]);
	*(double *)arg = (now_ns() - start) / SWITCHES;
	return 0;
}

static double
thread_switch(void *arg)
{
	double ns;

	(void)arg;
	(void)in_kernel(switch_body, &ns);
	return ns;
}

#define FUTEX_ROUNDS 50000u

struct ball {
	uint32_t turn;
};

static void
futex_play(struct ball *b, uint32_t me, unsigned rounds)
{
	unsigned i;

	for (i = 0; i < rounds; i++) {
		while (__atomic_load_n(&b->turn, __ATOMIC_ACQUIRE) != me)
			syscall(SYS_futex, &b->turn, FUTEX_WAIT_PRIVATE, 1 - me,
			    NULL, NULL, 0);
		__atomic_store_n(&b->turn, 1 - me, __ATOMIC_RELEASE);
		syscall(SYS_futex, &b->turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL,
		    0);
	}
}

static void *
futex_other(void *arg)
{
	futex_play(arg, 1, FUTEX_ROUNDS);
	return NULL;
}

/* There and back between two threads that are pinned to one CPU. */
static double
futex_pingpong(void *arg)
{
	struct ball b = { 0 };
	pthread_t t;
	double start;

	(void)arg;
	if (pthread_create(&t, NULL, futex_other, &b) != 0)
		die("pthread_create");
	start = now_ns();
	futex_play(&b, 0, FUTEX_ROUNDS);
	pthread_join(t, NULL);
	return (now_ns() - start) / FUTEX_ROUNDS;
}

#define WAKES 2000u

struct pair {
	struct qspin lock;
	struct qwaitq wq;
	unsigned turn; /* [lock] */
	uint32_t stop; /* [a] */
};

struct player {
	struct pair *pair;
	unsigned me;
};

static void
wake_player(void *arg)
{
	struct player *pl = arg;
	struct pair *p = pl->pair;
	unsigned i;

	for (i = 0; i < WAKES; i++) {
		qspin_lock(&p->lock);
		while (p->turn != pl->me) {
			(void)qwaitq_sleep(&p->wq, &p->lock, 0, QUERN_NEVER);
			qspin_lock(&p->lock);
		}
		p->turn = 1 - pl->me;
		qspin_unlock(&p->lock);
		(void)qwaitq_wake_all(&p->wq);
	}
}

/* Keeps a vCPU busy and lets others run all the time. */
static void
busy(void *arg)
{
	struct pair *p = arg;

	while (!__atomic_load_n(&p->stop, __ATOMIC_ACQUIRE))
		qthread_yield();
}

static int64_t
wake_body(void *arg)
{
	struct pair p;
	struct player pl[2] = { { &p, 0 }, { &p, 1 } };
	struct qthread *t[2], *b[2];
	double start;
	int i;

	memset(&p, 0, sizeof(p));
	qspin_init(&p.lock);
	qwaitq_init(&p.wq);
	for (i = 0; i < 2; i++)
		if (qthread_create(kernel, "busy", busy, &p, QPRIO_NORMAL, i,
			&b[i]) != 0)
			return -Q_ENOMEM;
	start = now_ns();
	for (i = 0; i < 2; i++)
		if (qthread_create(kernel, "player", wake_player, &pl[i],
			QPRIO_NORMAL, i, &t[i]) != 0)
			return -Q_ENOMEM;
	for (i = 0; i < 2; i++)
		qthread_join(t[i]);
	*(double *)arg = (now_ns() - start) / WAKES;
	__atomic_store_n(&p.stop, 1, __ATOMIC_RELEASE);
	for (i = 0; i < 2; i++)
		qthread_join(b[i]);
	return 0;
}

/* Two vCPUs run by two host threads on two CPUs, both busy. */
static double
wake_other(void *arg)
{
	struct quern_config c = config(2);
	struct quern *was = kernel;
	double ns;

	(void)arg;
	c.runners = 2;
	if (quern_create(&c, &kernel) != 0)
		die("create");
	(void)in_kernel(wake_body, &ns);
	if (quern_destroy(kernel) != 0)
		die("destroy");
	kernel = was;
	return ns;
}

/* ---- the simulator ------------------------------------------------------------------ */

struct world {
	struct quern_sim *w;
	int64_t (*fn)(void *);
	double seconds; /* of virtual time to sleep */
};

static int64_t
sim_yields(void *arg)
{
	struct qthread *t[2];
	double ns;

	(void)arg;
	(void)ns;
	if (qthread_create(quern_current(), "a", yielder, NULL, QPRIO_NORMAL,
		QCPU_ANY, &t[0]) != 0 ||
	    qthread_create(quern_current(), "b", yielder, NULL, QPRIO_NORMAL,
		QCPU_ANY, &t[1]) != 0)
		return -Q_ENOMEM;
	qthread_join(t[0]);
	qthread_join(t[1]);
	return 0;
}

static int64_t
sim_sleep_day(void *arg)
{
	struct quern *k = quern_current();

	(void)arg;
	return qthread_sleep_until(qclock_mono(k) +
		UINT64_C(86400) * 1000000000,
	    false);
}

static void
sim_main(void *arg)
{
	struct world *sw = arg;
	struct quern_config c = { .host = quern_sim_host(sw->w), .ncpu = 2 };
	struct quern *k;
	uint32_t h = 0;

	if (quern_create(&c, &k) != 0 ||
	    host_call(k, NULL, &h, sw->fn, NULL) < 0 || quern_destroy(k) != 0)
		die("simulated kernel");
}

/* Run fn in a kernel in a world; real ns, and how many decisions it took. */
static double
run_world(int64_t (*fn)(void *), double *steps)
{
	struct quern_sim_config sc = { .seed = 1 };
	struct world sw = { .fn = fn };
	double t = now_ns();

	if (quern_sim_create(&sc, &sw.w) != 0 ||
	    quern_sim_task(sw.w, "main", sim_main, &sw) != 0 ||
	    quern_sim_run(sw.w) != 0)
		die("world");
	*steps = (double)quern_sim_steps(sw.w);
	quern_sim_destroy(sw.w);
	return now_ns() - t;
}

static double
sim_decisions(void *arg)
{
	double steps, ns = run_world(sim_yields, &steps);

	(void)arg;
	return steps / (ns / 1e9);
}

static double
sim_idle_day(void *arg)
{
	double steps;

	(void)arg;
	return run_world(sim_sleep_day, &steps) / 1e6;
}

/* ---- all rows -------------------------------------------------------------------------- */

static void *
bystander(void *arg)
{
	pthread_barrier_wait(arg);
	return NULL;
}

static void
call_rows(void)
{
	int fd[2], hostfd[2];

	if (quern_pipe2(proc, fd, 0) != 0 || pipe(hostfd) != 0)
		die("pipe");
	row("null_call", "ns", null_call, NULL, "getppid", host_null_call,
	    NULL);
	row("pipe_byte", "ns", pipe_byte, fd, "pipe", host_pipe_byte, hostfd);
	pin(-1);
	row("null_call_2threads", "ns", null_call_twice, NULL, "getppid",
	    host_null_call_twice, NULL);
	pin(0);
	close(hostfd[0]);
	close(hostfd[1]);
}

static void
memory_rows(void)
{
	static size_t sizes[] = { 64, 512, 4096 };
	static const char *const names[] = { "slab64", "slab512", "slab4096" };
	unsigned i;

	row("mutex", "ns", mutex, NULL, "pthread_mutex", host_mutex, NULL);
	row("rwlock", "ns", rwlock, NULL, "pthread_rwlock", host_rwlock, NULL);
	for (i = 0; i < 3; i++)
		row(names[i], "ns", slab, &sizes[i], "malloc", host_malloc,
		    &sizes[i]);
}

static void
guest_rows(void)
{
	double one[5], two[5];
	unsigned i;

	pin(-1);
	for (i = 0; i < 5; i++)
		if (bench_guest_call(&one[i], &two[i]) != 0) {
			printf("guest_call_ns, guest_call_2cpu_ns left out: "
			       "this host can't have guests\n");
			return;
		}
	put_row("guest_call_ns", median(one, 5), "ns", NULL, 0);
	put_row("guest_call_2cpu_ns", median(two, 5), "ns", NULL, 0);
}

int
main(int argc, char **argv)
{
	struct quern_config c = config(2);
	pthread_barrier_t over;
	pthread_t t;

	pin(0);
	pthread_barrier_init(&over, NULL, 2);
	if (pthread_create(&t, NULL, bystander, &over) != 0)
		die("pthread_create");
	if (quern_create(&c, &kernel) != 0 ||
	    quern_proc_create(kernel, &proc) != 0 ||
	    quern_proc_create(kernel, &second) != 0)
		die("create");
	if (argc == 2 && strcmp(argv[1], "--pipe-byte") == 0)
		return only_pipe_byte();
	if (argc != 2 || (out = fopen(argv[1], "w")) == NULL)
		die("usage: b_base FILE");
	row("create_rss_kib", "KiB", create_rss, NULL, NULL, NULL, NULL);
	row("create_destroy_us", "us", create_destroy, NULL, NULL, NULL, NULL);
	call_rows();
	trace_row();
	memory_rows();
	row("switch", "ns", thread_switch, NULL, "futex", futex_pingpong, NULL);
	row("sim_decisions_per_s", "1/s", sim_decisions, NULL, NULL, NULL,
	    NULL);
	row("sim_idle_day_ms", "ms", sim_idle_day, NULL, NULL, NULL, NULL);
	pin(-1);
	row("wake_other_ns", "ns", wake_other, NULL, NULL, NULL, NULL);
	guest_rows();
	if (bench_blk(put_row) != 0)
		die("disks");
	pthread_barrier_wait(&over);
	pthread_join(t, NULL);
	if (quern_destroy(kernel) != 0 || fclose(out) != 0)
		die("end");
	return 0;
}
