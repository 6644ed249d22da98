/* SPDX-License-Identifier: BSD-2-Clause */
/* Processes: fork, exec, wait, groups, sessions. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "guest.h"

extern char **environ;

static void
tell_status(const char *what, int status)
{
	if (WIFEXITED(status))
		say("%s: exited %d", what, WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		say("%s: killed %d", what, WTERMSIG(status));
	else if (WIFSTOPPED(status))
		say("%s: stopped %d", what, WSTOPSIG(status));
	else if (WIFCONTINUED(status))
		say("%s: continued", what);
	else
		say("%s: status %x", what, status);
}

static void
test_fork(void)
{
	int status, i, value = 1, p[2];
	pid_t pid;
	char c;

	for (i = 0; i < 5; i++) {
		pid = fork();
		if (pid == 0)
			_exit(i * 50);
		TRUE(waitpid(pid, &status, 0) == pid);
		tell_status("child", status);
	}
	RESULT(waitpid(-1, &status, 0));
	RESULT(pipe(p));
	pid = fork();
	if (pid == 0) {
		value = 2;
		TRUE(getppid() != 1 && value == 2);
		put(p[1]);
		_exit(0);
	}
	TRUE(read(p[0], &c, 1) == 1 && c == 'x');
	TRUE(wait(&status) == pid);
	TRUE(value == 1);
	close(p[0]);
	close(p[1]);
}

static void
test_deaths(void)
{
	static const int sigs[] = { SIGKILL, SIGTERM, SIGSEGV, SIGUSR1,
		SIGALRM };
	volatile int *null = NULL;
	int status;
	size_t i;
	pid_t pid;

	for (i = 0; i < sizeof sigs / sizeof sigs[0]; i++) {
		pid = fork();
		if (pid == 0) {
			kill(getpid(), sigs[i]);
			_exit(99);
		}
		waitpid(pid, &status, 0);
		tell_status("by signal", status);
	}
	pid = fork();
	if (pid == 0) {
		*null = 1;
		_exit(99);
	}
	waitpid(pid, &status, 0);
	tell_status("null", status);
	pid = fork();
	if (pid == 0)
		abort();
	waitpid(pid, &status, 0);
	tell_status("abort", status);
	pid = fork();
	if (pid == 0) {
		__asm__ volatile("ud2");
		_exit(99);
	}
	waitpid(pid, &status, 0);
	tell_status("ud2", status);
	pid = fork();
	if (pid == 0) {
		__asm__ volatile(
		    "xor %%edx, %%edx; xor %%ecx, %%ecx; div %%ecx" ::
			: "eax", "ecx", "edx");
		_exit(99);
	}
	waitpid(pid, &status, 0);
	tell_status("div", status);
	pid = fork();
	if (pid == 0) {
		__asm__ volatile("hlt");
		_exit(99);
	}
	waitpid(pid, &status, 0);
	tell_status("hlt", status);
}

static void
test_wait(void)
{
	int status = 0;
	siginfo_t si;
	pid_t pid, pid2;
	int p[2];
	char c;

	RESULT(pipe(p));
	pid = fork();
	if (pid == 0) {
		TRUE(read(p[0], &c, 1) == 1);
		_exit(17);
	}
	RESULT(waitpid(pid, &status, WNOHANG));
	RESULT(waitpid(pid + 1000, &status, 0));
	RESULT(waitpid(-getpgrp(), &status, WNOHANG));
	memset(&si, 1, sizeof si);
	RESULT(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG));
	TRUE(si.si_pid == 0 && si.si_signo == 0);
	RESULT(waitid(P_PID, (id_t)pid, &si, 0));
	put(p[1]);
	RESULT(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT));
	TRUE(si.si_pid == pid && si.si_signo == SIGCHLD);
	say("code %d status %d", si.si_code, si.si_status);
	RESULT(waitid(P_ALL, 0, &si, WEXITED));
	TRUE(si.si_pid == pid);
	RESULT(waitid(P_ALL, 0, &si, WEXITED));
	pid = fork();
	if (pid == 0) {
		for (;;)
			pause();
	}
	kill(pid, SIGSTOP);
	TRUE(waitpid(pid, &status, WUNTRACED) == pid);
	tell_status("stop", status);
	RESULT(waitpid(pid, &status, WUNTRACED | WNOHANG));
	kill(pid, SIGCONT);
	TRUE(waitpid(pid, &status, WCONTINUED) == pid);
	tell_status("cont", status);
	kill(pid, SIGTERM);
	TRUE(waitpid(pid, &status, 0) == pid);
	tell_status("term", status);
	/* Those of a group, and of another. */
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		_exit(1);
	}
	setpgid(pid, pid);
	pid2 = fork();
	if (pid2 == 0)
		_exit(2);
	TRUE(waitpid(-pid, &status, 0) == pid);
	TRUE(waitpid(0, &status, 0) == pid2);
	tell_status("group", status);
	close(p[0]);
	close(p[1]);
}

static void
test_orphan(void)
{
	int p[2], status;
	pid_t pid, me = getpid();
	char c;

	RESULT(prctl(PR_SET_CHILD_SUBREAPER, 1));
	RESULT(pipe(p));
	pid = fork();
	if (pid == 0) {
		if (fork() == 0) {
			TRUE(read(p[0], &c, 1) == 1);
			TRUE(getppid() == me);
			_exit(5);
		}
		_exit(4);
	}
	TRUE(waitpid(pid, &status, 0) == pid);
	tell_status("parent", status);
	put(p[1]);
	TRUE(wait(&status) > 0);
	tell_status("orphan", status);
	RESULT(prctl(PR_SET_CHILD_SUBREAPER, 0));
	signal(SIGCHLD, SIG_IGN);
	if (fork() == 0)
		_exit(0);
	RESULT(wait(&status));
	signal(SIGCHLD, SIG_DFL);
	close(p[0]);
	close(p[1]);
}

static void
test_groups(void)
{
	int status;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		RESULT(setpgid(0, 0));
		TRUE(getpgrp() == getpid());
		RESULT(setsid()); /* leads a group */
		if (fork() == 0) {
			TRUE(setsid() == getpid());
			TRUE(getsid(0) == getpid() && getpgrp() == getpid());
			RESULT(setpgid(0, 0));
			RESULT(setpgid(1, 1));
			_exit(0);
		}
		wait(NULL);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	tell_status("groups", status);
	RESULT(getpgid(-1));
	RESULT(getsid(99999));
	RESULT(kill(99999, 0));
	RESULT(kill(getpid(), 0));
	RESULT(kill(getpid(), 65));
	RESULT(kill(-99999, SIGTERM));
}

/* A child's group may be changed until it executes something else. */
static void
test_group_of_child(void)
{
	int p[2], status;
	pid_t pid;
	char c;

	if (pipe2(p, O_CLOEXEC) != 0)
		abort();
	pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "pausing", NULL);
		_exit(1);
	}
	RESULT(setpgid(pid, pid) == 0 || errno == EACCES);
	close(p[1]);
	RESULT(read(p[0], &c, 1)); /* it has executed */
	close(p[0]);
	RESULT(setpgid(pid, pid));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	tell_status("executed", status);
	RESULT(setpgid(pid, pid));
}

static int
clone_body(void *arg)
{
	*(int *)arg = 77;
	return 3;
}

static void
test_clone(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	int value = 0, status;
	pid_t pid, tid = 0;

	pid = vfork();
	if (pid == 0) {
		value = 5;
		_exit(6);
	}
	TRUE(value == 5);
	waitpid(pid, &status, 0);
	tell_status("vfork", status);
	pid = clone(clone_body, stack + sizeof stack,
	    CLONE_VM | CLONE_VFORK | SIGCHLD, &value);
	TRUE(pid > 0 && value == 77);
	waitpid(pid, &status, 0);
	tell_status("clone", status);
	pid = clone(clone_body, stack + sizeof stack,
	    CLONE_PARENT_SETTID | SIGURG, &value, &tid);
	TRUE(pid == tid);
	RESULT(waitpid(pid, &status, WNOHANG)); /* not a SIGCHLD child */
	TRUE(waitpid(pid, &status, __WALL) == pid);
	tell_status("clone 2", status);
	RESULT(clone(clone_body, stack + sizeof stack, CLONE_THREAD, NULL));
	RESULT(clone(clone_body, stack + sizeof stack, CLONE_SIGHAND, NULL));
	RESULT(syscall(SYS_clone3, NULL, 0));
	RESULT(syscall(SYS_clone3, NULL, 88));
}

static const char *
make_file(const char *text, mode_t mode)
{
	static char path[256];
	const char *tmp = getenv("TMPDIR");
	int fd;

	snprintf(path, sizeof path, "%s/g_proc.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	fd = mkstemp(path);
	TRUE(fd >= 0 && write(fd, text, strlen(text)) > 0);
	fchmod(fd, mode);
	close(fd);
	return path;
}

/* A script that is known by a descriptor only: its interpreter finds it. */
static void
exec_by_fd(const char *file, char **argv, char **envp)
{
	int fd = open(file, O_RDONLY),
	    closing = open(file, O_RDONLY | O_CLOEXEC);
	int status;
	pid_t pid;

	/* Numbers that are the same wherever we run. */
	dup2(fd, 30);
	dup3(closing, 31, O_CLOEXEC);
	close(fd);
	close(closing);
	pid = fork();
	if (pid == 0) {
		argv[0] = "by descriptor";
		RESULT(
		    syscall(SYS_execveat, 31, "", argv, envp, AT_EMPTY_PATH));
		syscall(SYS_execveat, 30, "", argv, envp, AT_EMPTY_PATH);
		_exit(97);
	}
	waitpid(pid, &status, 0);
	tell_status("by descriptor", status);
	close(30);
	close(31);
}

static void
test_exec(const char *self)
{
	char *argv[] = { "again", "one", "", "three", NULL };
	char *envp[] = { "A=1", "B=", NULL };
	char line[512];
	const char *file;
	int status, fd;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		fd = open("/", O_RDONLY | O_CLOEXEC);
		dup2(fd, 20);
		fcntl(21, F_GETFD);
		dup2(fd, 21);
		fcntl(21, F_SETFD, FD_CLOEXEC);
		signal(SIGUSR1, SIG_IGN);
		signal(SIGUSR2, (void (*)(int))(void *)tell_status);
		execve(self, argv, envp);
		_exit(99);
	}
	waitpid(pid, &status, 0);
	tell_status("exec", status);
	RESULT(execve("/nonexistent", argv, envp));
	RESULT(execve("/", argv, envp));
	RESULT(execve("", argv, envp));
	RESULT(syscall(SYS_execve, NULL, argv, envp));
	RESULT(syscall(SYS_execve, self, 1, envp));
	file = make_file("garbage\n", 0644);
	RESULT(execve(file, argv, envp));
	chmod(file, 0755);
	RESULT(execve(file, argv, envp));
	unlink(file);
	snprintf(line, sizeof line, "#!%s --script\n", self);
	file = make_file(line, 0755);
	pid = fork();
	if (pid == 0) {
		argv[0] = "script";
		execve(file, argv, envp);
		_exit(98);
	}
	waitpid(pid, &status, 0);
	tell_status("script", status);
	exec_by_fd(file, argv, envp);
	unlink(file);
	argv[0] = "spawned";
	if (posix_spawn(&pid, self, NULL, NULL, argv, envp) != 0)
		say("spawn failed");
	waitpid(pid, &status, 0);
	tell_status("spawn", status);
}

/* The other side of test_exec. */
static int
execed(int argc, char **argv)
{
	struct sigaction sa;
	int i;

	for (i = 0; i < argc; i++)
		say("arg %d: '%s'", i,
		    strchr(argv[i], '/') != NULL &&
			    strncmp(argv[i], "/dev/fd/", 8) != 0 ?
			"a path" :
			argv[i]);
	for (i = 0; environ[i] != NULL; i++)
		say("env %d: '%s'", i, environ[i]);
	RESULT(fcntl(20, F_GETFD));
	RESULT(fcntl(21, F_GETFD));
	sigaction(SIGUSR1, NULL, &sa);
	TRUE(sa.sa_handler == SIG_IGN || strcmp(argv[0], "again") != 0);
	sigaction(SIGUSR2, NULL, &sa);
	TRUE(sa.sa_handler == SIG_DFL);
	return 42;
}

static void
test_limits(void)
{
	struct rlimit rl = { 20, 20 };
	struct rusage ru;
	int status;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		RESULT(setrlimit(RLIMIT_NOFILE, &rl));
		RESULT(dup2(0, 25));
		RESULT(dup2(0, 19));
		rl.rlim_cur = 30;
		RESULT(setrlimit(RLIMIT_NOFILE, &rl));
		_exit(0);
	}
	waitpid(pid, &status, 0);
	RESULT(getrusage(RUSAGE_SELF, &ru));
	RESULT(getrusage(RUSAGE_CHILDREN, &ru));
	RESULT(getrusage(7, &ru));
	RESULT(getpriority(PRIO_PROCESS, 0));
	RESULT(setpriority(PRIO_PROCESS, 0, 5));
	RESULT(getpriority(PRIO_PROCESS, 0));
}

/* A child shares our memory and does not go on: we can be ended all the same. */
static void
test_vfork_killed(void)
{
	int p[2], status;
	pid_t pid, child = 0;

	RESULT(pipe(p));
	pid = fork();
	if (pid == 0) {
		if (vfork() == 0) {
			child = getpid();
			(void)!write(p[1], &child, sizeof child);
			for (;;)
				pause();
		}
		_exit(1);
	}
	RESULT(read(p[0], &child, sizeof child));
	RESULT(kill(pid, SIGKILL));
	TRUE(waitpid(pid, &status, 0) == pid);
	TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	RESULT(kill(child, SIGKILL));
	close(p[0]);
	close(p[1]);
}

/* Processor time is limited. */
static void
test_cpu_limit(void)
{
	struct rlimit lim = { 1, 20 };
	int status;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		setrlimit(RLIMIT_CPU, &lim);
		for (;;)
			;
	}
	waitpid(pid, &status, 0);
	TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU);
}

static volatile sig_atomic_t hups;

static void
on_hup(int sig)
{
	(void)sig;
	hups++;
}

/* A child's end is no reason to hang up a group that was an orphan before. */
static void
test_orphans(void)
{
	int status;
	pid_t leader, stopped, pid;

	leader = fork();
	if (leader == 0) {
		setsid();
		signal(SIGHUP, on_hup);
		stopped = fork();
		if (stopped == 0) {
			raise(SIGSTOP);
			_exit(5);
		}
		waitpid(stopped, &status, WUNTRACED);
		pid = fork();
		if (pid == 0)
			_exit(0);
		waitpid(pid, &status, 0);
		usleep(20000);
		TRUE(hups == 0);
		TRUE(waitpid(stopped, &status, WNOHANG | WCONTINUED) == 0);
		kill(stopped, SIGKILL);
		waitpid(stopped, &status, 0);
		_exit(hups);
	}
	waitpid(leader, &status, 0);
	TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int
main(int argc, char **argv)
{
	if (strcmp(argv[0], "again") == 0 || strcmp(argv[0], "spawned") == 0 ||
	    (argc > 1 && strcmp(argv[1], "--script") == 0))
		return execed(argc, argv);
	if (strcmp(argv[0], "pausing") == 0)
		return pause();
	/* As process 1 of a single-user system. */
	if (argc > 1 && strcmp(argv[1], "single") == 0)
		return *(volatile int *)0;
	test_fork();
	test_vfork_killed();
	test_orphans();
	test_cpu_limit();
	test_deaths();
	test_wait();
	test_orphan();
	test_groups();
	test_group_of_child();
	test_clone();
	test_exec(argv[0]);
	test_limits();
	return 0;
}
