/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files: what calls on Quern's tmpfs cost in process, beside the host's system
 * calls on the host's tmpfs, both pinned to CPU 0 and measured in turn.
 *
 * The kernel has two vCPUs, so it may not skip its locked instructions.  What
 * is done with whole images is in image.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <quern/abi/fcntl.h>
#include <quern/abi/stat.h>
#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>

#include "image.h"

#define RUNS  9u
#define CALLS 100000u
#define PAGES 256
#define PAGE  4096

static FILE *out;
static struct quern *kernel;
static struct quern_proc *proc;
static char host_dir[64];
static char page[PAGE];
static int fd, host_fd;

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
	fprintf(stderr, "b_fs: %s: %s\n", what, strerror(errno));
	exit(1);
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

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
median(double *v)
{
	qsort(v, RUNS, sizeof(*v), compare);
	return v[RUNS / 2];
}

/* ---- one call each ------------------------------------------------------------ */

static void
q_stat_one(unsigned i)
{
	struct q_stat st;

	(void)i;
	if (quern_stat(proc, "/usr/share/doc/file", &st) != 0)
		die("stat");
}

static void
h_stat_one(unsigned i)
{
	struct stat st;

	(void)i;
	if (stat("usr/share/doc/file", &st) != 0)
		die("host's stat");
}

static void
q_open_close(unsigned i)
{
	(void)i;
	if (quern_close(proc,
		quern_open(proc, "/usr/share/doc/file", Q_O_RDONLY, 0)) != 0)
		die("open");
}

static void
h_open_close(unsigned i)
{
	(void)i;
	if (close(open("usr/share/doc/file", O_RDONLY)) != 0)
		die("host's open");
}

static void
q_pread(unsigned i)
{
	if (quern_pread64(proc, fd, page, PAGE, (int64_t)(i % PAGES) * PAGE) !=
	    PAGE)
		die("pread");
}

static void
h_pread(unsigned i)
{
	if (pread(host_fd, page, PAGE, (off_t)(i % PAGES) * PAGE) != PAGE)
		die("host's pread");
}

static void
q_pwrite(unsigned i)
{
	if (quern_pwrite64(proc, fd, page, PAGE, (int64_t)(i % PAGES) * PAGE) !=
	    PAGE)
		die("pwrite");
}

static void
h_pwrite(unsigned i)
{
	if (pwrite(host_fd, page, PAGE, (off_t)(i % PAGES) * PAGE) != PAGE)
		die("host's pwrite");
}

static void
q_create_unlink(unsigned i)
{
	(void)i;
	if (quern_close(proc,
		quern_open(proc, "/usr/share/doc/x", Q_O_CREAT | Q_O_RDWR,
		    0644)) != 0 ||
	    quern_unlink(proc, "/usr/share/doc/x") != 0)
		die("create");
}

static void
h_create_unlink(unsigned i)
{
	(void)i;
	if (close(open("usr/share/doc/x", O_CREAT | O_RDWR, 0644)) != 0 ||
	    unlink("usr/share/doc/x") != 0)
		die("host's create");
}

static double
per_call(void (*fn)(unsigned), unsigned n)
{
	double t = now_ns();
	unsigned i;

	for (i = 0; i < n; i++)
		fn(i);
	return (now_ns() - t) / n;
}

static void
row(const char *name, void (*ours)(unsigned), void (*theirs)(unsigned),
    unsigned n)
{
	double a[RUNS], b[RUNS], x, y;
	unsigned i;

	for (i = 0; i < RUNS; i++) {
		a[i] = per_call(ours, n);
		b[i] = per_call(theirs, n);
	}
	x = median(a);
	y = median(b);
	fprintf(out, "%s\t%.2f\tns\thost-tmpfs\t%.2f\t%.4f\n", name, x, y,
	    x / y);
	fflush(out);
}

/* ---- two threads in two directories --------------------------------------------- */

struct scaler {
	const char *path;
	int cpu;
	struct quern_proc *p;
	pthread_barrier_t *go;
};

static void *
scaler_main(void *arg)
{
	struct scaler *s = arg;
	struct q_stat st;
	unsigned i;

	pin(s->cpu);
	pthread_barrier_wait(s->go);
	for (i = 0; i < CALLS; i++) {
		int f = quern_open(s->p, s->path, Q_O_CREAT | Q_O_RDWR, 0644);

		if (f < 0 || quern_pwrite64(s->p, f, page, 64, 0) != 64 ||
		    quern_stat(s->p, s->path, &st) != 0 ||
		    quern_close(s->p, f) != 0)
			die("scale");
	}
	pthread_barrier_wait(s->go);
	return NULL;
}

/* Rounds a second of `n` threads. */
static double
scale(unsigned n, struct quern_proc *p[2])
{
	static const char *const paths[] = { "/one/file", "/two/file" };
	struct scaler s[2];
	pthread_barrier_t go;
	pthread_t t[2];
	double start;
	unsigned i;

	pthread_barrier_init(&go, NULL, n + 1);
	for (i = 0; i < n; i++) {
		s[i] = (struct scaler){ paths[i], (int)i, p[i], &go };
		if (pthread_create(&t[i], NULL, scaler_main, &s[i]) != 0)
			die("pthread_create");
	}
	pthread_barrier_wait(&go);
	start = now_ns();
	pthread_barrier_wait(&go);
	start = now_ns() - start;
	for (i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	return (double)n * CALLS / start * 1e9;
}

static void
scale_row(void)
{
	struct quern_proc *p[2];
	double v[RUNS];
	unsigned i;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		printf("scale2 left out: one CPU\n");
		return;
	}
	pin(-1);
	if (quern_proc_create(kernel, &p[0]) != 0 ||
	    quern_proc_create(kernel, &p[1]) != 0 ||
	    quern_mkdir(proc, "/one", 0755) != 0 ||
	    quern_mkdir(proc, "/two", 0755) != 0)
		die("scale2");
	for (i = 0; i < RUNS; i++) {
		double one = scale(1, p);

		v[i] = scale(2, p) / one;
	}
	fprintf(out, "scale2\t%.4f\tratio\t-\t-\t-\n", median(v));
}

/* ---- setting up --------------------------------------------------------------------- */

static void
set_up(void)
{
	static const struct quern_component *const comp[] = { &qvfs, &qtmpfs,
		NULL };
	struct quern_config cfg = { .host = quern_posix(),
		.ncpu = 2,
		.components = comp };
	int i;

	if (quern_create(&cfg, &kernel) != 0 ||
	    quern_proc_create(kernel, &proc) != 0 ||
	    quern_mkdir(proc, "/usr", 0755) != 0 ||
	    quern_mkdir(proc, "/usr/share", 0755) != 0 ||
	    quern_mkdir(proc, "/usr/share/doc", 0755) != 0)
		die("kernel");
	strcpy(host_dir, "/dev/shm/quern-bench.XXXXXX");
	if (mkdtemp(host_dir) == NULL || chdir(host_dir) != 0 ||
	    mkdir("usr", 0755) != 0 || mkdir("usr/share", 0755) != 0 ||
	    mkdir("usr/share/doc", 0755) != 0)
		die(host_dir);
	fd = quern_open(proc, "/usr/share/doc/file", Q_O_CREAT | Q_O_RDWR,
	    0644);
	host_fd = open("usr/share/doc/file", O_CREAT | O_RDWR, 0644);
	if (fd < 0 || host_fd < 0)
		die("file");
	for (i = 0; i < PAGES; i++) {
		q_pwrite((unsigned)i);
		h_pwrite((unsigned)i);
	}
}

static void
tear_down(void)
{
	char command[128];

	if (quern_destroy(kernel) != 0)
		die("destroy");
	snprintf(command, sizeof(command), "cd / && rm -rf '%s'", host_dir);
	if (system(command) != 0)
		die("rm");
}

int
main(int argc, char **argv)
{
	if (argc != 2 || (out = fopen(argv[1], "w")) == NULL)
		die("usage: b_fs FILE");
	set_up();
	pin(0);
	row("stat", q_stat_one, h_stat_one, CALLS);
	row("open_close", q_open_close, h_open_close, CALLS);
	row("pread4k", q_pread, h_pread, CALLS);
	row("pwrite4k", q_pwrite, h_pwrite, CALLS);
	row("create_unlink", q_create_unlink, h_create_unlink, CALLS / 5);
	image_rows(out, host_dir);
	scale_row();
	tear_down();
	return fclose(out) != 0;
}
