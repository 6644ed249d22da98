/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests: what calls, faults and processes cost in vkernel, natively, in
 * User-mode Linux and in gVisor, by one static program (g_bench.c).
 *
 * All are pinned to CPU 0; rows that end in _smp are the same unpinned, on two
 * virtual CPUs.  They take turns, ROUNDS times, and each row is the median.  A
 * peer that is not there, or does not run here, is left out with a word.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS  3
#define MAXROW  32
#define SECONDS 60

enum side { QUERN = 0, NATIVE, UML, GVISOR, NSIDE };

static const char *const side_name[] = { "quern", "native", "uml", "gvisor" };

struct figures {
	char name[MAXROW][32];
	double ns[MAXROW][ROUNDS];
	unsigned got[MAXROW], n;
};

static struct figures all[NSIDE][2]; /* pinned, and not */
static double boot_ms[NSIDE][ROUNDS];
static char work[256], image[300], program[300], vkernel[1024], shim[300];
static const char *top_dir;
static FILE *out;

static void
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("b_guest: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static double
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void
shell(const char *fmt, ...)
{
	char cmd[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof cmd, fmt, ap);
	va_end(ap);
	if (system(cmd) != 0)
		die("failed: %s", cmd);
}

/* ---- running one ------------------------------------------------------------------- */

/* How each is started with an argument for g_bench. */
static const char **
command(enum side side, int smp, const char *arg)
{
	static const char *argv[24];
	static char root[400], init[400];
	unsigned n = 0;

	switch (side) {
	case QUERN:
		argv[n++] = vkernel;
		argv[n++] = "-m";
		argv[n++] = "256m";
		argv[n++] = "-n";
		argv[n++] = smp ? "2" : "1";
		argv[n++] = "-R";
		argv[n++] = image;
		argv[n++] = "--";
		argv[n++] = "/g_bench";
		break;
	case NATIVE:
		argv[n++] = program;
		break;
	case UML:
		snprintf(root, sizeof root, "rootflags=%s/root", work);
		snprintf(init, sizeof init, "init=/g_bench");
		argv[n++] = "/usr/bin/linux.uml";
		argv[n++] = "mem=256M";
		argv[n++] = "rootfstype=hostfs";
		argv[n++] = root;
		argv[n++] = "rw";
		argv[n++] = "quiet";
		argv[n++] = "con=null";
		argv[n++] = "con0=fd:0,fd:1";
		argv[n++] = init;
		if (arg != NULL)
			argv[n++] = "--";
		break;
	case GVISOR:
	default:
		argv[n++] = "/usr/bin/runsc";
		argv[n++] = "--rootless";
		argv[n++] = "--network=none";
		argv[n++] = "--platform=ptrace";
		argv[n++] = "do";
		argv[n++] = program;
		break;
	}
	if (arg != NULL)
		argv[n++] = arg;
	argv[n] = NULL;
	return argv;
}

static void
child(enum side side, int smp, const char *arg, int fd)
{
	int null = open("/dev/null", O_RDWR);
	cpu_set_t set;

	(void)setsid();
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (!smp)
		(void)sched_setaffinity(0, sizeof set, &set);
	(void)dup2(null, 0);
	(void)dup2(fd, 1);
	(void)dup2(null, 2);
	if (side == UML)
		(void)setenv("LD_PRELOAD", shim, 1);
	execv(command(side, smp, arg)[0],
	    (char *const *)(uintptr_t)command(side, smp, arg));
	_exit(127);
}

/* Start it; its output is *fdp. */
static pid_t
start(enum side side, int smp, const char *arg, int *fdp)
{
	int p[2];
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) != 0)
		die("pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid == 0)
		child(side, smp, arg, p[1]);
	close(p[1]);
	*fdp = p[0];
	return pid;
}

/* The next line within SECONDS, or 0. */
static int
next_line(int fd, char *line, size_t size)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	size_t n = 0;

	while (n + 1 < size) {
		if (poll(&pfd, 1, SECONDS * 1000) <= 0 ||
		    read(fd, line + n, 1) != 1)
			return 0;
		if (line[n] == '\n' || line[n] == '\r')
			break;
		n++;
	}
	line[n] = '\0';
	return 1;
}

static void
stop(pid_t pid, int fd)
{
	close(fd);
	/* It made a session, and may have left something of it. */
	(void)kill(-pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void
note(struct figures *f, const char *name, double ns)
{
	unsigned i;

	for (i = 0; i < f->n && strcmp(f->name[i], name) != 0; i++)
		;
	if (i == MAXROW)
		return;
	if (i == f->n) {
		snprintf(f->name[i], sizeof f->name[i], "%s", name);
		f->n++;
	}
	if (f->got[i] < ROUNDS)
		f->ns[i][f->got[i]++] = ns;
}

/* One round of all rows; 0: it does not run. */
static int
round_of(enum side side, int smp)
{
	char line[256], name[32];
	int fd, rows = 0;
	double ns;
	pid_t pid = start(side, smp, NULL, &fd);

	while (rows < 11 && next_line(fd, line, sizeof line))
		if (sscanf(line, "%31[a-z0-9_] %lf", name, &ns) == 2 &&
		    strchr(line, '.') != NULL) {
			note(&all[side][smp], name, ns);
			rows++;
		}
	stop(pid, fd);
	return rows == 11;
}

/* From its start to its first word, in ms; 0: it does not run. */
static double
boot_of(enum side side)
{
	char line[256];
	double t = now_ms();
	int fd, ok;
	pid_t pid = start(side, 0, "idle", &fd);

	do
		ok = next_line(fd, line, sizeof line);
	while (ok && strncmp(line, "ready", 5) != 0);
	t = now_ms() - t;
	stop(pid, fd);
	return ok ? t : 0;
}

/* ---- what an idle one takes ----------------------------------------------------------- */

/* KiB of `key` in a process's smaps_rollup. */
static long
rollup(pid_t pid, const char *key)
{
	char path[64], line[256];
	long kib = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%ld/smaps_rollup", (long)pid);
	f = fopen(path, "r");
	if (f == NULL)
		return 0;
	while (fgets(line, sizeof line, f) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			kib = atol(line + strlen(key));
	fclose(f);
	return kib;
}

/* Processes of a session, by /proc; what they have but RAM, which is shared. */
static double
idle_mib(void)
{
	char line[256], cmd[128];
	long kib = 0;
	pid_t pid, p;
	int fd;
	FILE *f;

	pid = start(QUERN, 0, "idle", &fd);
	if (!next_line(fd, line, sizeof line))
		die("vkernel does not run");
	snprintf(cmd, sizeof cmd, "ps -o pid= -s %ld", (long)pid);
	f = popen(cmd, "r");
	while (f != NULL && fscanf(f, "%d", &p) == 1)
		kib += rollup(p, "Pss:") - rollup(p, "Pss_Shmem:");
	if (f != NULL)
		pclose(f);
	stop(pid, fd);
	return (double)kib / 1024;
}

/* ---- that the rows reach the kernel ------------------------------------------------------ */

static void
check_trace(void)
{
	static const char *const calls[] = { "getppid(", "read(", "newfstatat(",
		"openat(", "mmap(", "munmap(", "madvise(", "wait4(", "execve(",
		"write(", "pread64(", "exit_group(" };
	char cmd[2400], line[64];
	size_t i;
	FILE *f;

	shell(
	    "%s --trace -m 256m -R %s -- /g_bench count >/dev/null 2>%s/trace",
	    vkernel, image, work);
	for (i = 0; i < sizeof calls / sizeof calls[0]; i++) {
		snprintf(cmd, sizeof cmd, "grep -cF ' %s' %s/trace", calls[i],
		    work);
		f = popen(cmd, "r");
		if (f == NULL || fgets(line, sizeof line, f) == NULL)
			die("no trace");
		pclose(f);
		if (atoi(line) < (strcmp(calls[i], "execve(") == 0 ? 1 : 5))
			die("the trace shows %s %d times", calls[i],
			    atoi(line));
	}
}

/* ---- rows ---------------------------------------------------------------------------------- */

static int
compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double
median(double *v, unsigned n)
{
	qsort(v, n, sizeof *v, compare);
	return v[n / 2];
}

static double
figure_of(struct figures *f, const char *name)
{
	unsigned i;

	for (i = 0; i < f->n; i++)
		if (strcmp(f->name[i], name) == 0 && f->got[i] > 0)
			return median(f->ns[i], f->got[i]);
	return 0;
}

static void
print_rows(int smp)
{
	struct figures *f = &all[QUERN][smp];
	double mine, theirs;
	unsigned i, side;

	for (i = 0; i < f->n; i++) {
		mine = figure_of(f, f->name[i]);
		for (side = NATIVE; side < NSIDE; side++) {
			theirs = figure_of(&all[side][smp], f->name[i]);
			if (theirs == 0)
				continue;
			fprintf(out, "%s%s\t%.1f\tns\t%s\t%.1f\t%.3f\n",
			    f->name[i], smp ? "_smp" : "", mine,
			    side_name[side], theirs, mine / theirs);
		}
	}
}

static void
print_boot(void)
{
	double mine = median(boot_ms[QUERN], ROUNDS), theirs;
	unsigned side;

	for (side = UML; side < NSIDE; side++) {
		theirs = median(boot_ms[side], ROUNDS);
		if (theirs == 0)
			continue;
		fprintf(out, "boot_ms\t%.2f\tms\t%s\t%.1f\t%.4f\n", mine,
		    side_name[side], theirs, mine / theirs);
	}
	if (median(boot_ms[UML], ROUNDS) == 0 &&
	    median(boot_ms[GVISOR], ROUNDS) == 0)
		fprintf(out, "boot_ms\t%.2f\tms\t-\t-\t-\n", mine);
}

/* ---- the run ---------------------------------------------------------------------------------- */

static void
clean(void)
{
	if (work[0] != '\0')
		shell("rm -rf %s", work);
}

static void
prepare(void)
{
	const char *tmp = getenv("TMPDIR"), *build = getenv("QUERN_BUILD");
	char here[600];

	if (getcwd(here, sizeof here) == NULL)
		die("getcwd");
	if (build == NULL)
		build = "build";
	top_dir = here;
	snprintf(vkernel, sizeof vkernel, "%s%s%s/bin/vkernel",
	    build[0] == '/' ? "" : here, build[0] == '/' ? "" : "/", build);
	snprintf(work, sizeof work, "%s/b_guest.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(work) == NULL)
		die("%s: %s", work, strerror(errno));
	atexit(clean);
	snprintf(image, sizeof image, "%s/img", work);
	snprintf(program, sizeof program, "%s/root/g_bench", work);
	snprintf(shim, sizeof shim, "%s/umlshim.so", work);
	shell("mkdir -p %s/root/dev %s/root/tmp && cp %s/tests/bench/g_bench "
	      "%s/root/ && (mknod -m 666 %s/root/dev/zero c 1 5 2>/dev/null || "
	      ": >%s/root/dev/zero)",
	    work, work, build, work, work, work);
	shell("PATH=$PATH:/sbin:/usr/sbin mke2fs -q -F -t ext4 -d %s/root %s "
	      "32M >/dev/null 2>&1",
	    work, image);
	shell("${CC:-cc} -shared -fPIC -o %s tests/bench/umlshim.c", shim);
}

int
main(int argc, char **argv)
{
	int runs[NSIDE] = { 1, 1, access("/usr/bin/linux.uml", X_OK) == 0,
		access("/usr/bin/runsc", X_OK) == 0 };
	unsigned i, side;
	int smp;

	if (argc != 2 || (out = fopen(argv[1], "w")) == NULL)
		die("usage: b_guest FILE");
	prepare();
	check_trace();
	for (i = 0; i < ROUNDS; i++)
		for (side = 0; side < NSIDE; side++) {
			for (smp = 0; smp < 2 && runs[side]; smp++)
				runs[side] = round_of((enum side)side, smp);
			if (runs[side])
				boot_ms[side][i] = boot_of((enum side)side);
			if (!runs[side] && i == 0)
				fprintf(stderr, "b_guest: no %s here\n",
				    side_name[side]);
		}
	if (!runs[QUERN])
		die("vkernel does not run");
	print_rows(0);
	print_rows(1);
	print_boot();
	fprintf(out, "idle_rss_mib\t%.2f\tMiB\t-\t-\t-\n", idle_mib());
	return fclose(out) == 0 ? 0 : 1;
}
