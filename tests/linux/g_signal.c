/* SPDX-License-Identifier: BSD-2-Clause */
/* Signals: actions, masks, queues, frames, interrupted calls. */
#include <fcntl.h>
#include <fenv.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>

#include "guest.h"

static volatile int count, last, last_code, last_value;
static sigjmp_buf jump;

static void
on_count(int sig)
{
	count++;
	last = sig;
}

static void
on_info(int sig, siginfo_t *si, void *ctx)
{
	(void)ctx;
	count++;
	last = sig;
	last_code = si->si_code;
	last_value = si->si_value.sival_int;
	say("got %d code %d", sig, si->si_code);
}

static void
action(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = { .sa_sigaction = fn,
		.sa_flags = flags | SA_SIGINFO };

	sigaction(sig, &sa, NULL);
}

static void
simple(int sig, int flags)
{
	struct sigaction sa = { .sa_handler = on_count, .sa_flags = flags };

	sigaction(sig, &sa, NULL);
}

static void
test_basic(void)
{
	sigset_t set, old;
	struct sigaction sa;

	simple(SIGUSR1, 0);
	raise(SIGUSR1);
	TRUE(count == 1 && last == SIGUSR1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	RESULT(sigprocmask(SIG_BLOCK, &set, &old));
	raise(SIGUSR1);
	raise(SIGUSR1);
	TRUE(count == 1);
	sigpending(&set);
	TRUE(sigismember(&set, SIGUSR1));
	RESULT(sigprocmask(SIG_SETMASK, &old, NULL));
	TRUE(count == 2);
	simple(SIGUSR2, SA_RESETHAND);
	raise(SIGUSR2);
	TRUE(count == 3);
	sigaction(SIGUSR2, NULL, &sa);
	TRUE(sa.sa_handler == SIG_DFL);
	RESULT(sigaction(SIGKILL, &sa, NULL));
	RESULT(sigaction(SIGSTOP, &sa, NULL));
	RESULT(sigaction(0, NULL, &sa));
	RESULT(sigaction(65, NULL, &sa));
	sigfillset(&set);
	RESULT(sigprocmask(SIG_SETMASK, &set, NULL));
	sigprocmask(SIG_SETMASK, NULL, &set);
	TRUE(!sigismember(&set, SIGKILL) && !sigismember(&set, SIGSTOP));
	sigprocmask(SIG_SETMASK, &old, NULL);
	RESULT(sigprocmask(77, &old, NULL));
	count = 0;
}

static void
test_queue(void)
{
	union sigval v;
	sigset_t set, old;
	siginfo_t si;
	struct timespec ts = { 0, 10000000 };
	int i;

	action(SIGRTMIN, on_info, 0);
	action(SIGRTMIN + 1, on_info, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &set, &old);
	for (i = 0; i < 3; i++) {
		v.sival_int = 10 + i;
		sigqueue(getpid(), SIGRTMIN + 1, v);
		v.sival_int = 20 + i;
		sigqueue(getpid(), SIGRTMIN, v);
	}
	for (i = 0; i < 2; i++) {
		TRUE(sigwaitinfo(&set, &si) == SIGRTMIN);
		say("value %d code %d", si.si_value.sival_int, si.si_code);
		TRUE(si.si_pid == getpid());
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	TRUE(count == 4);
	count = 0;
	sigprocmask(SIG_BLOCK, &set, &old);
	RESULT(sigtimedwait(&set, &si, &ts));
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void
test_mask_in_handler(void)
{
	simple(SIGUSR1, SA_NODEFER);
	raise(SIGUSR1);
	TRUE(count == 1);
	count = 0;
}

static void
on_fault(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;

	(void)uc;
	say("fault %d code %d addr %s", sig, si->si_code,
	    (uintptr_t)si->si_addr < 4096         ? "low" :
		(uintptr_t)si->si_addr >> 47 == 0 ? "user" :
						    "high");
	siglongjmp(jump, 1);
}

static void
test_faults(void)
{
	char *p = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	    0);

	action(SIGSEGV, on_fault, 0);
	action(SIGBUS, on_fault, 0);
	action(SIGILL, on_fault, 0);
	action(SIGFPE, on_fault, 0);
	action(SIGTRAP, on_fault, 0);
	if (sigsetjmp(jump, 1) == 0)
		*(volatile int *)8 = 1;
	if (sigsetjmp(jump, 1) == 0)
		*(volatile char *)p = 1;
	if (sigsetjmp(jump, 1) == 0)
		(void)*(volatile char *)0x8000000000000000ul;
	if (sigsetjmp(jump, 1) == 0)
		((void (*)(void))p)();
	if (sigsetjmp(jump, 1) == 0)
		__asm__ volatile("ud2");
	if (sigsetjmp(jump, 1) == 0)
		__asm__ volatile("int3");
	if (sigsetjmp(jump, 1) == 0)
		__asm__ volatile("hlt");
	if (sigsetjmp(jump, 1) == 0)
		__asm__ volatile(
		    "xor %%edx, %%edx; xor %%ecx, %%ecx; div %%ecx" ::
			: "eax", "ecx", "edx");
	munmap(p, 8192);
	if (sigsetjmp(jump, 1) == 0)
		(void)*(volatile char *)p;
	signal(SIGTRAP, SIG_DFL);
}

static void
on_skip(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;

	(void)sig;
	(void)si;
	/* Over the two bytes of ud2, and another result. */
	uc->uc_mcontext.gregs[REG_RIP] += 2;
	uc->uc_mcontext.gregs[REG_RAX] = 1234;
}

static void
test_frame(void)
{
	double d[4] = { 1.5, 2.5, 3.5, 4.5 }, e[4];
	long rax;

	action(SIGILL, on_skip, 0);
	__asm__ volatile("movupd (%2), %%xmm5\n"
			 "movupd 16(%2), %%xmm11\n"
			 "mov $1, %%eax\n"
			 "ud2\n"
			 "movupd %%xmm5, (%1)\n"
			 "movupd %%xmm11, 16(%1)\n"
			 : "=&a"(rax)
			 : "r"(e), "r"(d)
			 : "xmm5", "xmm11", "memory");
	TRUE(rax == 1234);
	TRUE(memcmp(d, e, sizeof d) == 0);
}

static volatile double spoil;

static void
on_float(int sig)
{
	(void)sig;
	spoil = spoil * 3.25 + 1.0;
	__asm__ volatile("pcmpeqd %%xmm5, %%xmm5\n"
			 "pcmpeqd %%xmm0, %%xmm0\n" ::
			     : "xmm0", "xmm5");
	count++;
}

static void
test_float(void)
{
	struct sigaction sa = { .sa_handler = on_float };
	struct itimerval it = { { 0, 500 }, { 0, 500 } };
	double x = 0;
	long i;

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	while (count < 20) {
		x = 0;
		for (i = 1; i < 20000; i++)
			x += 1.0 / (double)i;
		if (x < 10.48 || x > 10.5) {
			say("sum is wrong");
			break;
		}
	}
	memset(&it, 0, sizeof it);
	setitimer(ITIMER_REAL, &it, NULL);
	TRUE(x > 10.48 && x < 10.5);
	count = 0;
}

static char altstack[65536];

static void
on_alt(int sig)
{
	char here;
	stack_t ss;

	(void)sig;
	TRUE(&here >= altstack && &here < altstack + sizeof altstack);
	sigaltstack(NULL, &ss);
	say("ss_flags %d", ss.ss_flags);
	RESULT(sigaltstack(&ss, NULL));
}

static void
test_altstack(void)
{
	stack_t ss = { .ss_sp = altstack, .ss_size = sizeof altstack }, old;
	struct sigaction sa = { .sa_handler = on_alt, .sa_flags = SA_ONSTACK };

	RESULT(sigaltstack(&ss, &old));
	say("old flags %d", old.ss_flags);
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	ss.ss_size = 100;
	RESULT(sigaltstack(&ss, NULL));
	ss.ss_flags = 0x40;
	RESULT(sigaltstack(&ss, NULL));
	ss.ss_flags = SS_DISABLE;
	RESULT(sigaltstack(&ss, NULL));
	sigaltstack(NULL, &ss);
	say("flags %d", ss.ss_flags);
}

/* Have a child send us a signal once we sleep, and end. */
static pid_t
poke(int sig, int us)
{
	pid_t me = getpid(), pid = fork();

	if (pid == 0) {
		usleep((useconds_t)us);
		kill(me, sig);
		_exit(0);
	}
	return pid;
}

/* The same until it is told to stop: we may not have been asleep yet. */
static pid_t
nag(int sig, int us)
{
	pid_t me = getpid(), pid = fork();

	while (pid == 0) {
		usleep((useconds_t)us);
		kill(me, sig);
	}
	return pid;
}

static void
unnag(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void
test_restart(void)
{
	struct timespec ts = { 5, 0 }, rem = { 0, 0 };
	struct pollfd pfd;
	int p[2], status;
	pid_t pid;
	char c;

	RESULT(pipe(p));
	simple(SIGUSR1, 0);
	pid = nag(SIGUSR1, 20000);
	RESULT(read(p[0], &c, 1));
	unnag(pid);
	/* With SA_RESTART the read goes on, until there is something. */
	simple(SIGUSR1, SA_RESTART);
	pid = fork();
	if (pid == 0) {
		usleep(20000);
		kill(getppid(), SIGUSR1);
		usleep(20000);
		put(p[1]);
		_exit(0);
	}
	RESULT(read(p[0], &c, 1));
	waitpid(pid, &status, 0);
	/* These never do. */
	pfd.fd = p[0];
	pfd.events = POLLIN;
	pid = nag(SIGUSR1, 20000);
	RESULT(poll(&pfd, 1, 5000));
	unnag(pid);
	pid = nag(SIGUSR1, 20000);
	RESULT(nanosleep(&ts, &rem));
	TRUE(rem.tv_sec >= 1 && rem.tv_sec <= 4);
	unnag(pid);
	pid = nag(SIGUSR1, 20000);
	RESULT(pause());
	unnag(pid);
	/* An ignored signal ends nothing, a stop neither. */
	signal(SIGUSR1, SIG_IGN);
	pid = fork();
	if (pid == 0) {
		usleep(10000);
		kill(getppid(), SIGUSR1);
		usleep(10000);
		put(p[1]);
		_exit(0);
	}
	RESULT(poll(&pfd, 1, 5000));
	RESULT(read(p[0], &c, 1));
	waitpid(pid, &status, 0);
	pid = fork();
	if (pid == 0) {
		_exit(read(p[0], &c, 1) == 1 ? c : 1);
	}
	usleep(10000);
	kill(pid, SIGSTOP);
	waitpid(pid, &status, WUNTRACED);
	kill(pid, SIGCONT);
	usleep(10000);
	put(p[1]);
	waitpid(pid, &status, 0);
	TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 'x');
	/* wait4 is restarted, too. */
	simple(SIGUSR1, SA_RESTART);
	pid = fork();
	if (pid == 0) {
		usleep(10000);
		kill(getppid(), SIGUSR1);
		usleep(10000);
		_exit(8);
	}
	TRUE(waitpid(pid, &status, 0) == pid);
	simple(SIGUSR1, 0);
	pid = nag(SIGUSR1, 20000);
	RESULT(waitpid(pid, &status, 0));
	unnag(pid);
	close(p[0]);
	close(p[1]);
	count = 0;
}

static void
test_suspend(void)
{
	struct timespec ts = { 5, 0 };
	sigset_t block, empty, old;
	pid_t pid;

	simple(SIGUSR1, 0);
	sigemptyset(&block);
	sigemptyset(&empty);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, &old);
	raise(SIGUSR1);
	TRUE(count == 0);
	RESULT(sigsuspend(&empty));
	TRUE(count == 1);
	sigprocmask(SIG_SETMASK, NULL, &empty);
	TRUE(sigismember(&empty, SIGUSR1));
	sigemptyset(&empty);
	pid = poke(SIGUSR1, 10000);
	RESULT(ppoll(NULL, 0, &ts, &empty));
	TRUE(count == 2);
	waitpid(pid, NULL, 0);
	raise(SIGUSR1);
	RESULT(pselect(0, NULL, NULL, NULL, &ts, &empty));
	TRUE(count == 3);
	sigprocmask(SIG_SETMASK, &old, NULL);
	count = 0;
}

static void
test_child(void)
{
	int status;
	pid_t pid;

	action(SIGCHLD, on_info, SA_RESTART);
	pid = fork();
	if (pid == 0)
		_exit(3);
	waitpid(pid, &status, 0);
	TRUE(count == 1);
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	kill(pid, SIGSTOP);
	waitpid(pid, &status, WUNTRACED);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	say("children told %d", count);
	action(SIGCHLD, on_info, SA_RESTART | SA_NOCLDSTOP | SA_NOCLDWAIT);
	count = 0;
	pid = fork();
	if (pid == 0)
		_exit(3);
	RESULT(waitpid(pid, &status, 0));
	signal(SIGCHLD, SIG_DFL);
	count = 0;
}

static void
test_signalfd(void)
{
	struct signalfd_siginfo ssi;
	struct pollfd pfd;
	sigset_t set, old;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, &old);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	TRUE(fd >= 0);
	RESULT(read(fd, &ssi, sizeof ssi));
	pfd.fd = fd;
	pfd.events = POLLIN;
	RESULT(poll(&pfd, 1, 0));
	raise(SIGUSR1);
	RESULT(poll(&pfd, 1, 0));
	RESULT(read(fd, &ssi, 10));
	RESULT(read(fd, &ssi, sizeof ssi));
	say("ssi %u code %d", ssi.ssi_signo, ssi.ssi_code);
	TRUE(ssi.ssi_pid == (uint32_t)getpid());
	RESULT(read(fd, &ssi, sizeof ssi));
	close(fd);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

/* ---- no stack ---------------------------------------------------------------- */

static sigjmp_buf away;

static void
on_no_stack(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	say("signal %d code %d", sig, si->si_code);
	siglongjmp(away, 1);
}

/* A handler that has no stack is a fault, whose handler may have one. */
static void
test_no_stack(void)
{
	static char other[65536];
	stack_t ss = { .ss_sp = other, .ss_size = sizeof other };
	int pid, status;

	sigaltstack(&ss, NULL);
	action(SIGUSR1, on_info, 0);
	action(SIGSEGV, on_no_stack, SA_ONSTACK);
	if (sigsetjmp(away, 1) == 0)
		__asm__ volatile("mov %%rsp, %%rbx; mov $16, %%rsp; syscall;"
				 "mov %%rbx, %%rsp"
				 :
				 : "a"(SYS_kill), "D"(getpid()), "S"(SIGUSR1)
				 : "rbx", "rcx", "r11", "memory");
	/* And if that has none either it is the end. */
	pid = fork();
	if (pid == 0) {
		action(SIGSEGV, on_no_stack, 0);
		__asm__ volatile("mov $16, %%rsp; syscall; ud2"
				 :
				 : "a"(SYS_kill), "D"(getpid()), "S"(SIGUSR1)
				 : "rcx", "r11", "memory");
		_exit(1);
	}
	waitpid(pid, &status, 0);
	TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGUSR1, SIG_DFL);
	ss.ss_flags = SS_DISABLE;
	sigaltstack(&ss, NULL);
	count = 0;
}

/* ---- nowhere ----------------------------------------------------------------- */

/* A handler that can't be, and a frame that leads nowhere, are faults. */
static void
test_nowhere(void)
{
	static const uintptr_t places[] = { 0x7ffffffff000, 0x800000000000,
		0xffffffff80000000 };
	struct sigaction sa;
	size_t i;
	int status;
	pid_t pid;

	for (i = 0; i < 3; i++) {
		pid = fork();
		if (pid == 0) {
			memset(&sa, 0, sizeof sa);
			sa.sa_handler = (void (*)(int))places[i];
			sigaction(SIGUSR1, &sa, NULL);
			kill(getpid(), SIGUSR1);
			_exit(1);
		}
		waitpid(pid, &status, 0);
		say("killed by %d", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	}
}

/* ---- how many wait ---------------------------------------------------------- */

/* A user has so many queued signals, and no more. */
static void
test_pending(void)
{
	/* Others of the user may have some waiting, too. */
	struct rlimit lim = { 1000, 1000 };
	struct timespec now = { 0, 0 };
	union sigval v = { 0 };
	sigset_t all;
	int n, status;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
		RESULT(setrlimit(RLIMIT_SIGPENDING, &lim));
		for (n = 0; n < 2000; n++)
			if (sigqueue(getpid(), SIGRTMIN + 1, v) != 0)
				break;
		TRUE(n >= 100 && n <= 1000 && errno == EAGAIN);
		/* Not refused: legacy ones, and kill's. */
		RESULT(sigqueue(getpid(), SIGUSR1, v));
		RESULT(kill(getpid(), SIGRTMIN + 2));
		sigpending(&all);
		TRUE(sigismember(&all, SIGUSR1) == 1);
		TRUE(sigismember(&all, SIGRTMIN + 2) == 1);
		RESULT(sigqueue(getpid(), SIGRTMIN + 3, v));
		/* Those that are taken make room for others. */
		sigemptyset(&all);
		sigaddset(&all, SIGRTMIN + 1);
		while (n > 0 && sigtimedwait(&all, NULL, &now) == SIGRTMIN + 1)
			n--;
		TRUE(n == 0);
		RESULT(sigqueue(getpid(), SIGRTMIN + 3, v));
		_exit(0);
	}
	waitpid(pid, &status, 0);
	TRUE(WIFEXITED(status));
}

/* ---- floating point ------------------------------------------------------------ */

static sigjmp_buf out;

static void
on_fpe(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	say("signal %d code %d", sig, si->si_code);
	siglongjmp(out, 1);
}

static void
test_fpe_codes(void)
{
	static const int flags[] = { FE_DIVBYZERO, FE_OVERFLOW, FE_UNDERFLOW,
		FE_INEXACT, FE_INVALID };
	static const double a[] = { 1, 1e308, 1e-308, 1, 0 };
	static const double b[] = { 0, 1e-308, 1e308, 3, 0 };
	volatile double x, y, z;
	volatile long double lx, ly, lz;
	size_t i;

	action(SIGFPE, on_fpe, SA_NODEFER);
	for (i = 0; i < 5; i++) {
		x = a[i];
		y = b[i];
		if (sigsetjmp(out, 1) == 0) {
			feenableexcept(flags[i]);
			z = x / y;
			say("no signal");
		}
		fedisableexcept(FE_ALL_EXCEPT);
		feclearexcept(FE_ALL_EXCEPT);
	}
	lx = 1;
	ly = 0;
	if (sigsetjmp(out, 1) == 0) {
		feenableexcept(FE_DIVBYZERO);
		lz = lx / ly;
		lz = lz + 1;
		say("no signal");
	}
	fedisableexcept(FE_ALL_EXCEPT);
	feclearexcept(FE_ALL_EXCEPT);
	signal(SIGFPE, SIG_DFL);
	(void)z;
}

int
main(void)
{
	test_basic();
	test_queue();
	test_mask_in_handler();
	test_faults();
	test_frame();
	test_float();
	test_altstack();
	test_restart();
	test_suspend();
	test_child();
	test_signalfd();
	test_no_stack();
	test_nowhere();
	test_pending();
	test_fpe_codes();
	return 0;
}
