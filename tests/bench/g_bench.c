/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What b_guest runs natively and in each kind of guest: a line "NAME NS" a row.
 *
 * usage: g_bench [count | idle | exit]
 *
 * count: a few rounds of each, for a trace that shows that they reach the kernel.
 * idle: say "ready" and sleep.  exit: what fork_exec executes.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE  4096
#define SWEEP ((size_t)16 << 20)

static int few;

static double
now_ns(void)
{
	struct timespec ts;

	/* The call, so that no vDSO makes a difference. */
	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void
row(const char *name, double ns)
{
	printf("%s %.1f\n", name, ns);
	fflush(stdout);
}

static void
must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

#define ROW(name, rounds, ...)                    \
	do {                                      \
		int n_ = few ? 10 : (rounds), i_; \
		double t_ = now_ns();             \
		for (i_ = 0; i_ < n_; i_++) {     \
			__VA_ARGS__;              \
		}                                 \
		row(name, (now_ns() - t_) / n_);  \
	} while (0)

static void
calls(const char *self)
{
	struct stat st;
	char c;
	int fd = open("/dev/zero", O_RDONLY);

	must(fd >= 0, "/dev/zero");
	ROW("getppid", 20000, syscall(SYS_getppid));
	ROW("read1", 20000, must(read(fd, &c, 1) == 1, "read"));
	ROW("stat", 10000, must(stat(self, &st) == 0, "stat"));
	ROW("open_close", 10000,
	    must(close(open(self, O_RDONLY)) == 0, "open"));
	close(fd);
}

static void
touch(char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i += PAGE)
		p[i] = 1;
}

static void
memory(void)
{
	size_t len = few ? 10 * PAGE : SWEEP;
	double start, best = 0, ns;
	int i;
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED, "mmap");
	madvise(p, len, MADV_NOHUGEPAGE);
	start = now_ns();
	touch(p, len);
	row("page_fault_cold", (now_ns() - start) / (double)(len / PAGE));
	for (i = 0; i < 5; i++) {
		must(madvise(p, len, MADV_DONTNEED) == 0, "madvise");
		start = now_ns();
		touch(p, len);
		ns = (now_ns() - start) / (double)(len / PAGE);
		if (i == 0 || ns < best)
			best = ns;
	}
	row("page_fault", best);
	munmap(p, len);
	ROW("mmap_unmap", 3000,
	    p = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	    must(p != MAP_FAILED, "mmap"); p[0] = 1;
	    must(munmap(p, 65536) == 0, "munmap"));
}

static void
processes(const char *self)
{
	int status;
	pid_t pid;

	ROW("fork_wait", 200, pid = fork(); if (pid == 0) _exit(0);
	    must(waitpid(pid, &status, 0) == pid, "wait"));
	ROW(
	    "fork_exec", 100, pid = fork(); if (pid == 0) {
		    execl(self, self, "exit", (char *)NULL);
		    _exit(1);
	    } must(waitpid(pid, &status, 0) == pid && status == 0, "exec"));
}

static void
pipes(void)
{
	int a[2], b[2], status;
	pid_t pid;
	char c = 0;

	must(pipe(a) == 0 && pipe(b) == 0, "pipe");
	pid = fork();
	if (pid == 0) {
		close(a[1]);
		while (read(a[0], &c, 1) == 1)
			must(write(b[1], &c, 1) == 1, "write");
		_exit(0);
	}
	close(a[0]);
	ROW("pipe_pingpong", 5000, must(write(a[1], &c, 1) == 1, "write");
	    must(read(b[0], &c, 1) == 1, "read"));
	close(a[1]);
	waitpid(pid, &status, 0);
}

static void
data(const char *self)
{
	static char buf[65536];
	int fd = open(self, O_RDONLY);

	must(pread(fd, buf, sizeof buf, 0) == sizeof buf, "pread");
	ROW("pread64k", 2000,
	    must(pread(fd, buf, sizeof buf, 0) == sizeof buf, "pread"));
	close(fd);
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	const char *self = argv[0];

	if (strcmp(what, "exit") == 0)
		_exit(0);
	if (strcmp(what, "idle") == 0) {
		row("ready", 1);
		sleep(600);
	}
	few = strcmp(what, "count") == 0;
	calls(self);
	memory();
	processes(self);
	pipes();
	data(self);
	/* As process 1 it is the whole system. */
	if (getpid() == 1)
		reboot(RB_POWER_OFF);
	return 0;
}
