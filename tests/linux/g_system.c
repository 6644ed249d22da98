/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What there is of the system and of who one is: its log, its load, CPU time,
 * capabilities, what is shared with others.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/ioprio.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/auxv.h>
#include <sys/klog.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>

#include "guest.h"

/* Run `body` in a child, and wait. */
static void
in_child(void (*body)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		body();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	RESULT(status);
}

/* ---- time ---------------------------------------------------------------------- */

/* Guests are told who runs them. */
static bool
is_host(void)
{
	return getenv("GUEST") == NULL;
}

static uint64_t
us_of(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * 1000000 + (uint64_t)tv->tv_usec;
}

static uint64_t
cpu_ns(clockid_t clock)
{
	struct timespec ts = { 0, 0 };

	if (clock_gettime(clock, &ts) != 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Use the CPU until it has been ours for so long. */
static void
compute(uint64_t ns)
{
	volatile unsigned long n = 0;
	int i;

	while (cpu_ns(CLOCK_THREAD_CPUTIME_ID) < ns)
		for (i = 0; i < 1000000; i++)
			n = n + 1;
}

static void
use_kernel(void)
{
	static char buf[1 << 20];
	int fd = open("/dev/zero", O_RDONLY), i;

	for (i = 0; i < 2000; i++)
		if (read(fd, buf, sizeof buf) != (ssize_t)sizeof buf)
			abort();
	close(fd);
}

static void
test_cputime(void)
{
	struct rusage ru, later;
	clockid_t clock;
	struct tms tms;
	uint64_t user, sys;
	int status, p[2];
	pid_t pid;
	char c;

	/* A host may count in ticks: long enough for some. */
	compute(150000000);
	getrusage(RUSAGE_SELF, &ru);
	user = us_of(&ru.ru_utime);
	sys = us_of(&ru.ru_stime);
	TRUE(user + sys >= 140000);
	/* A host that counts ticks may be far off, and is not what is tested. */
	TRUE(is_host() || sys < user / 2);
	use_kernel();
	getrusage(RUSAGE_SELF, &later);
	TRUE(us_of(&later.ru_utime) >= user && us_of(&later.ru_stime) >= sys);
	TRUE(is_host() || us_of(&later.ru_stime) - sys > 10000);
	TRUE(later.ru_maxrss >= 500 && later.ru_minflt > 0);
	TRUE(times(&tms) != (clock_t)-1 && tms.tms_utime + tms.tms_stime >= 14);
	TRUE(cpu_ns(CLOCK_PROCESS_CPUTIME_ID) >= 50000000);
	/* A child's, while it is there, and when it has been waited for. */
	if (pipe(p) != 0)
		abort();
	pid = fork();
	if (pid == 0) {
		compute(30000000);
		put(p[1]);
		pause();
	}
	TRUE(read(p[0], &c, 1) == 1);
	RESULT(clock_getcpuclockid(pid, &clock));
	TRUE(cpu_ns(clock) >= 30000000);
	getrusage(RUSAGE_CHILDREN, &ru);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	getrusage(RUSAGE_CHILDREN, &later);
	TRUE(us_of(&later.ru_utime) + us_of(&later.ru_stime) >=
	    us_of(&ru.ru_utime) + us_of(&ru.ru_stime) + 30000);
	TRUE(clock_getcpuclockid(pid, &clock) != 0);
	OK(clock_gettime((clockid_t)(~1000000u << 3 | 2),
	    &(struct timespec){ 0 }));
	OK(clock_getres((clockid_t)(~0u << 3 | 2), &(struct timespec){ 0 }));
	close(p[0]);
	close(p[1]);
}

/* ---- the system ---------------------------------------------------------------- */

static void
test_sysinfo(void)
{
	struct sysinfo si;

	RESULT(sysinfo(&si));
	TRUE(si.procs > 0 && si.mem_unit > 0 && si.totalram >= si.freeram);
	TRUE(si.totalswap >= si.freeswap);
}

static void
log_unprivileged(void)
{
	char buf[100];

	if (setresuid(1000, 1000, 1000) != 0)
		abort();
	OK(klogctl(5, NULL, 0));
	OK(klogctl(2, buf, sizeof buf));
}

static void
test_log(void)
{
	char buf[100];

	TRUE(klogctl(10, NULL, 0) > 1000);
	OK(klogctl(3, NULL, 100));
	OK(klogctl(3, buf, -1));
	OK(klogctl(99, buf, 1));
	if (getenv("NO_ROOT") == NULL)
		in_child(log_unprivileged);
}

static void
test_swap(void)
{
	int fd;

	OK(swapon("/nothing", 0));
	OK(swapon("/dev/null", 0));
	OK(swapon("/dev/null", 0x1000000));
	OK(swapoff("/dev/null"));
	fd = open("/dev/null", O_RDONLY);
	RESULT(syscall(SYS_setns, -1, 0));
	RESULT(syscall(SYS_setns, fd, 0));
	close(fd);
}

/* ---- what is shared -------------------------------------------------------------- */

static char stack[65536];

static int
move_away(void *arg)
{
	(void)arg;
	return chdir("/proc");
}

static int
move_alone(void *arg)
{
	(void)arg;
	if (unshare(CLONE_FS | CLONE_FILES) != 0 || chdir("/dev") != 0)
		return 1;
	return close(1);
}

static int
open_more(void *arg)
{
	(void)arg;
	return open("/dev/null", O_RDONLY) < 0;
}

/* Run one that shares, and where that leaves us. */
static void
share(int (*fn)(void *), int flags)
{
	char cwd[100];
	int status = -1, fd;
	pid_t pid;

	if (chdir("/tmp") != 0)
		abort();
	pid = clone(fn, stack + sizeof stack, flags | SIGCHLD, NULL);
	waitpid(pid, &status, 0);
	fd = dup(0);
	say("%x: %d, %s, %d", (unsigned)flags, status, getcwd(cwd, sizeof cwd),
	    fd);
	close(fd);
}

static void
test_share(void)
{
	close_range(3, ~0u, 0);
	share(move_away, 0);
	share(move_away, CLONE_FS);
	share(move_alone, CLONE_FS | CLONE_FILES);
	share(open_more, 0);
	share(open_more, CLONE_FILES);
	close(dup(0) - 1);
	RESULT(unshare(0));
	RESULT(unshare(CLONE_FS));
	RESULT(unshare(CLONE_FILES));
	RESULT(unshare(CLONE_SYSVSEM));
	OK(unshare(1));
	if (chdir("/") != 0)
		abort();
}

/* ---- who one is ------------------------------------------------------------------ */

/* The sets: effective, permitted, inheritable, and one bit of the others. */
static void
tell_caps(const char *what)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d) != 0)
		abort();
	say("%s: %d %d %d %d %d", what, d[0].effective >> CAP_KILL & 1,
	    d[0].permitted >> CAP_KILL & 1, d[0].inheritable >> CAP_KILL & 1,
	    prctl(PR_CAPBSET_READ, CAP_KILL),
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0));
}

static void
set_inheritable(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d) != 0)
		abort();
	d[0].inheritable |= 1u << CAP_KILL;
	RESULT(syscall(SYS_capset, &h, d));
}

static void
exec_again(const char *name)
{
	execl("/proc/self/exe", name, NULL);
	abort();
}

static void
keeps_caps(void)
{
	RESULT(prctl(PR_SET_KEEPCAPS, 1));
	RESULT(prctl(PR_GET_SECUREBITS));
	set_inheritable();
	tell_caps("root");
	RESULT(setresuid(1000, 1000, 1000));
	tell_caps("kept");
	RESULT(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
	tell_caps("ambient");
	exec_again("caps");
}

static void
drops_caps(void)
{
	RESULT(prctl(PR_CAPBSET_DROP, CAP_KILL));
	tell_caps("dropped");
	exec_again("caps");
}

static void
loses_caps(void)
{
	RESULT(setresuid(1000, 1000, 1000));
	tell_caps("lost");
	OK(prctl(PR_CAPBSET_DROP, CAP_CHOWN));
	OK(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT));
	OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
	OK(prctl(PR_CAP_AMBIENT, 9, CAP_KILL, 0, 0));
}

static void
no_root(void)
{
	RESULT(prctl(PR_SET_SECUREBITS,
	    SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED));
	OK(prctl(PR_SET_SECUREBITS, 0));
	OK(prctl(PR_SET_KEEPCAPS, 1));
	exec_again("caps");
}

/* ---- set-user-ID ------------------------------------------------------------------- */

static char suid[] = "/tmp/suid.XXXXXX";

/* As another user, execute what is root's. */
static void
become_root(bool no_new)
{
	if (setresgid(1000, 1000, 1000) != 0 || setgroups(0, NULL) != 0 ||
	    setresuid(1000, 1000, 1000) != 0)
		abort();
	if (no_new)
		RESULT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	execl(suid, "secure", NULL);
	abort();
}

static void
suid_plain(void)
{
	become_root(false);
}

static void
suid_no_new(void)
{
	become_root(true);
}

static void
test_suid(void)
{
	char buf[65536];
	int from = open("/proc/self/exe", O_RDONLY), to = mkstemp(suid);
	ssize_t n;

	while ((n = read(from, buf, sizeof buf)) > 0)
		if (write(to, buf, (size_t)n) != n)
			abort();
	fchmod(to, 04755);
	close(from);
	close(to);
	in_child(suid_plain);
	in_child(suid_no_new);
	unlink(suid);
}

/* What a program finds that was executed above. */
static int
execed(const char *name)
{
	if (strcmp(name, "caps") == 0) {
		tell_caps("executed");
		RESULT(prctl(PR_GET_SECUREBITS));
		return 0;
	}
	say("secure %lu, AT_EUID %lu, euid %d, uid %d, dumpable %d",
	    getauxval(AT_SECURE), getauxval(AT_EUID), (int)geteuid(),
	    (int)getuid(), prctl(PR_GET_DUMPABLE));
	return 0;
}

static void
test_prctl(void)
{
	RESULT(prctl(PR_GET_TIMERSLACK));
	RESULT(prctl(PR_SET_TIMERSLACK, 1000));
	RESULT(prctl(PR_GET_TIMERSLACK));
	RESULT(prctl(PR_SET_TIMERSLACK, 0));
	RESULT(prctl(PR_GET_TIMERSLACK));
	RESULT(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	RESULT(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	RESULT(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
	OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
	OK(prctl(PR_CAPBSET_READ, 100));
	OK(prctl(12345));
}

static void
test_ioprio(void)
{
	RESULT(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0));
	RESULT(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
	    IOPRIO_CLASS_BE << 13 | 3));
	RESULT(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, getpid()));
	RESULT(syscall(SYS_ioprio_get, 4, 0));
	RESULT(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 1000000));
	RESULT(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, 5 << 13));
}

int
main(int argc, char **argv)
{
	(void)argc;
	if (strchr(argv[0], '/') == NULL)
		return execed(argv[0]);
	test_cputime();
	test_sysinfo();
	test_log();
	test_swap();
	test_share();
	test_prctl();
	test_ioprio();
	if (getenv("NO_ROOT") == NULL) {
		in_child(keeps_caps);
		in_child(drops_caps);
		in_child(loses_caps);
		in_child(no_root);
		test_suid();
	}
	return 0;
}
