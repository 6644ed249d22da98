/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System calls by sites that a guest's kernel replaces when they have been used
 * for a while (components/linux/callsite.c): nothing may differ for that, but
 * what a program reads of its own text.
 *
 * usage: g_calls [pages | forge]
 *
 * pages: say how many pages of trampolines there are.  forge: and rewrite one.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <sys/wait.h>

#include "guest.h"

#define MANY 200 /* calls, and a site has been replaced */

/*
 * Sites of each kind, as functions.  site_step is for stepping over: from there to
 * site_step_end there are three instructions.
 */
__asm__(".text\n"
	".balign 4096\n"
	"marker: .ascii \"the text begins here\"\n"
	".balign 16\n"
	".globl site_ppid, site_args, site_read, site_step, site_step_end\n"
	"site_ppid:\n"
	"	mov $110, %eax\n"
	"	syscall\n"
	"	ret\n"
	".balign 16\n"
	"site_args:\n" /* as libc's syscall(): number, arguments */
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	mov %rdx, %rsi\n"
	"	mov %rcx, %rdx\n"
	"	mov %r8, %r10\n"
	"	mov %r9, %r8\n"
	"	mov 8(%rsp), %r9\n"
	"	syscall\n"
	"	ret\n"
	".balign 16\n"
	"site_read:\n"
	"	xor %eax, %eax\n"
	"	syscall\n"
	"	ret\n"
	"	.byte 0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0\n"
	"site_step:\n"
	"	mov $110, %eax\n"
	"	syscall\n"
	"site_step_end:\n"
	"	ret\n"
	".balign 16\n"
	".globl site_zero, site_zero_end\n"
	"site_zero:\n"
	"	xor %eax, %eax\n"
	"	syscall\n"
	"site_zero_end:\n"
	"	ret\n");

extern const char site_step[], site_step_end[], site_zero[], site_zero_end[];
long site_ppid(void);
long site_args(long nr, long a, long b, long c, long d, long e, long f);
long site_read(int fd, void *buf, size_t len);

/* ---- results and registers ------------------------------------------------------ */

/* A call by site_ppid leaves all but %rax, %rcx and %r11 alone. */
static int
keeps_registers(void)
{
	uint64_t in[6] = { 1, 2, 3, 4, 5, 6 }, bad = 0;

	__asm__ volatile("mov 0(%1), %%rdi; mov 8(%1), %%rsi\n"
			 "mov 16(%1), %%rdx; mov 24(%1), %%r10\n"
			 "mov 32(%1), %%r8; mov 40(%1), %%r9\n"
			 "movq %%rdi, %%xmm5\n"
			 "mov %%rsp, %%r14\n"
			 "pushq $0x5a5a\n" /* the red zone of what we call */
			 "sub $8, %%rsp\n"
			 "std\n"
			 "call site_ppid\n"
			 "pushfq\n"
			 "cld\n"
			 "pop %%r12\n"
			 "and $0x400, %%r12; xor $0x400, %%r12\n"
			 "add $8, %%rsp\n"
			 "pop %%r13; xor $0x5a5a, %%r13\n"
			 "or %%r13, %%r12\n"
			 "sub %%rsp, %%r14; or %%r14, %%r12\n"
			 "movq %%xmm5, %%r13; xor %%rdi, %%r13\n"
			 "or %%r13, %%r12\n"
			 "xor 0(%1), %%rdi; or %%rdi, %%r12\n"
			 "xor 8(%1), %%rsi; or %%rsi, %%r12\n"
			 "xor 16(%1), %%rdx; or %%rdx, %%r12\n"
			 "xor 24(%1), %%r10; or %%r10, %%r12\n"
			 "xor 32(%1), %%r8; or %%r8, %%r12\n"
			 "xor 40(%1), %%r9; or %%r9, %%r12\n"
			 "mov %%r12, %0\n"
			 : "=r"(bad)
			 : "b"(in)
			 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10",
			 "r11", "r12", "r13", "r14", "xmm5", "memory", "cc");
	return bad == 0;
}

static void
test_results(void)
{
	int fd = open("/dev/zero", O_RDONLY), i, good = 0;
	pid_t ppid = getppid();
	char buf[8];

	for (i = 0; i < MANY; i++)
		good += site_ppid() == ppid;
	say("getppid %d", good);
	for (i = good = 0; i < MANY; i++)
		good += keeps_registers();
	say("registers kept %d", good);
	for (i = good = 0; i < MANY; i++)
		good += site_args(SYS_getppid, 0, 0, 0, 0, 0, 0) == ppid;
	say("getppid %d", good);
	for (i = good = 0; i < MANY; i++) {
		memset(buf, 1, sizeof buf);
		good += site_read(fd, buf, 3) == 3 && buf[2] == 0 &&
		    buf[3] == 1;
	}
	say("read %d", good);
	RESULT(site_read(-1, buf, 3));
	RESULT(site_read(fd, NULL, 3));
	/* Six arguments. */
	for (i = good = 0; i < MANY; i++) {
		void *p = (void *)site_args(SYS_mmap, 0, 4096, PROT_READ,
		    MAP_PRIVATE, fd, 0);

		good += munmap(p, 4096) == 0;
	}
	say("mmap %d", good);
	close(fd);
}

/* The file that the text is of has not changed. */
static void
test_file(const char *path)
{
	static const char *const marker = "the text begins here";
	static char buf[1 << 20];
	int fd = open(path, O_RDONLY), found = 0;
	ssize_t n = 0, got, i;

	while ((got = read(fd, buf + n, sizeof buf - (size_t)n)) > 0)
		n += got;
	close(fd);
	for (i = 0; i + 39 < n; i += 16)
		if (memcmp(buf + i, marker, strlen(marker)) == 0)
			found = memcmp(buf + i + 32, "\xb8\x6e\0\0\0\x0f\x05",
				    7) == 0;
	TRUE(found == 1);
}

/* ---- steps ------------------------------------------------------------------------- */

static volatile int nstep;
static volatile uintptr_t step_rip[64];

static void
on_step(int sig, siginfo_t *si, void *arg)
{
	ucontext_t *uc = arg;

	(void)sig, (void)si;
	if (nstep < 64)
		step_rip[nstep++] = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
}

/* Step through `f`; what of it was seen within [from, end]. */
static void
step(const char *name, const char *f, const char *end)
{
	char seen[256];
	size_t n = 0;
	int i;

	nstep = 0;
	__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq\n"
			 "call *%0\n"
			 "pushfq; andl $~0x100, (%%rsp); popfq\n"
			 :
			 : "r"(f), "D"(-1), "S"(0), "d"(0)
			 : "rax", "rcx", "r11", "memory", "cc");
	for (i = 0; i < nstep; i++)
		if (step_rip[i] >= (uintptr_t)f &&
		    step_rip[i] <= (uintptr_t)end)
			n += (size_t)snprintf(seen + n, sizeof seen - n, " %d",
			    (int)(step_rip[i] - (uintptr_t)f));
	say("%s: %d steps,%.200s", name, nstep, seen);
}

static void
test_steps(void)
{
	struct sigaction sa = { .sa_sigaction = on_step,
		.sa_flags = SA_SIGINFO };
	int i, round;

	sigaction(SIGTRAP, &sa, NULL);
	for (round = 0; round < 3; round++) {
		step("mov", site_step, site_step_end);
		step("xor", site_zero, site_zero_end);
		for (i = 0; i < MANY; i++) {
			((long (*)(void))(uintptr_t)site_step)();
			((long (*)(int, void *, size_t))(
			    uintptr_t)site_zero)(-1, NULL, 0);
		}
	}
	signal(SIGTRAP, SIG_DFL);
}

/* ---- other processes and threads ------------------------------------------------------ */

static int
count_good(int n)
{
	long ppid = syscall(SYS_getppid);
	int good = 0;

	while (n-- > 0)
		good += site_ppid() == ppid;
	return good;
}

static void
test_processes(void)
{
	int i, status, good = 0;
	pid_t pid;

	for (i = 0; i < 8; i++) {
		pid = fork();
		if (pid == 0)
			_exit(count_good(MANY) == MANY &&
				    site_ppid() != getpid() ?
				7 :
				1);
		good += waitpid(pid, &status, 0) == pid &&
		    WEXITSTATUS(status) == 7;
	}
	say("forked %d", good);
	pid = vfork();
	if (pid == 0)
		_exit(count_good(MANY) == MANY ? 8 : 1);
	RESULT(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 8);
	RESULT(count_good(MANY));
}

static void *
thread(void *arg)
{
	double x = 1;
	long i, n = (long)(intptr_t)arg, good = 0;

	for (i = 0; i < n; i++) {
		x = x * 1.5 + 1;
		good += site_args(SYS_getpid, 0, 0, 0, 0, 0, 0) == getpid();
		x = (x - 1) / 1.5;
	}
	return (void *)(intptr_t)(x == 1 ? good : -1);
}

static void
test_threads(void)
{
	pthread_t t[4];
	void *ret;
	long sum = 0;
	int i;

	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, thread, (void *)(intptr_t)1000);
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], &ret);
		sum += (long)(intptr_t)ret;
	}
	say("threads %ld", sum);
}

/* ---- signals ------------------------------------------------------------------------- */

static volatile int got;

static void
on_signal(int sig)
{
	(void)sig;
	got++;
	(void)site_ppid();
}

static void
test_signals(void)
{
	int p[2], i, good = 0, status;
	pid_t me = getpid(), pid;
	char c;

	signal(SIGUSR1, on_signal);
	pid = fork();
	if (pid == 0) {
		for (i = 0; i < 100; i++) {
			kill(me, SIGUSR1);
			sched_yield();
		}
		_exit(0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0)
		good |= count_good(50) != 50;
	TRUE(good == 0 && got > 0);
	/* A read that goes on after a handler. */
	RESULT(pipe(p));
	for (i = 0; i < MANY; i++)
		(void)site_read(-1, &c, 1);
	got = 0;
	pid = fork();
	if (pid == 0) {
		kill(me, SIGUSR1);
		usleep(10000);
		kill(me, SIGUSR1);
		usleep(10000);
		put(p[1]);
		_exit(0);
	}
	RESULT(site_read(p[0], &c, 1));
	TRUE(got > 0);
	RESULT(waitpid(pid, &status, 0) == pid);
	signal(SIGUSR1, SIG_DFL);
}

/* ---- text that is made and goes ---------------------------------------------------------- */

static void
write_site(unsigned char *p, uint32_t nr)
{
	static const unsigned char nops[8] = { 0x90, 0x90, 0x90, 0x90, 0x90,
		0x90, 0x90, 0x90 };

	memcpy(p, nops, 8);
	p[8] = 0xb8;
	memcpy(p + 9, &nr, 4);
	memcpy(p + 13, "\x0f\x05\xc3", 3);
}

static int
run_site(const unsigned char *p, long want)
{
	int i, good = 0;

	for (i = 0; i < MANY; i++)
		good += ((long (*)(void))(uintptr_t)p)() == want;
	return good;
}

static void
test_made(void)
{
	unsigned char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		      *q;

	write_site(p, SYS_getppid);
	write_site(p + 64, SYS_getuid);
	RESULT(mprotect(p, 4096, PROT_READ | PROT_EXEC));
	RESULT(run_site(p, getppid()));
	RESULT(run_site(p + 64, getuid()));
	/* Written anew, at the same place. */
	RESULT(mprotect(p, 4096, PROT_READ | PROT_WRITE));
	write_site(p, SYS_getpid);
	RESULT(mprotect(p, 4096, PROT_READ | PROT_EXEC));
	RESULT(run_site(p, getpid()));
	RESULT(run_site(p + 64, getuid()));
	/* Other memory there. */
	RESULT(munmap(p, 4096));
	q = mmap(p, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	TRUE(p == q);
	write_site(p, SYS_getegid);
	RESULT(mprotect(p, 4096, PROT_READ | PROT_EXEC));
	RESULT(run_site(p, getegid()));
	/* And moved, with what it is by then. */
	q = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	RESULT(mremap(p, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
	RESULT(run_site(q, getegid()));
	munmap(q, 65536);
	/* Shared memory is left as it is. */
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	write_site(p, SYS_getegid);
	RESULT(mprotect(p, 4096, PROT_READ | PROT_EXEC));
	RESULT(run_site(p, getegid()));
	TRUE(memcmp(p + 8, "\xb8\x6c\0\0\0\x0f\x05", 7) == 0);
}

/* ---- for vkernel alone --------------------------------------------------------------------- */

/* The pages of trampolines: the first, or 0; *np how many. */
static uintptr_t
find_pages(int *np)
{
	char line[300];
	uintptr_t first = 0;
	FILE *f;

	mkdir("/proc", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	f = fopen("/proc/self/maps", "r");
	*np = 0;
	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		if (strstr(line, " r-xp ") != NULL &&
		    strstr(line, "[calls]") != NULL && (*np)++ == 0)
			first = (uintptr_t)strtoull(line, NULL, 16);
	if (f != NULL)
		fclose(f);
	return first;
}

static sigjmp_buf out;

static void
on_fault(int sig)
{
	siglongjmp(out, sig);
}

/*
 * Rewrite the trampolines so that they go on anywhere, run and step through them:
 * all that it can bring about is its own faults.
 */
static void
forge(unsigned char *page)
{
	static const uint64_t to[] = { 0, 2, 0x100000, 0x100123, 0x110000,
		0x7ffffffff000, 0x8000000000000000, 0xffffffffff600000 };
	static volatile unsigned i;
	static int faults;
	int step;

	signal(SIGSEGV, on_fault);
	signal(SIGTRAP, on_fault);
	signal(SIGILL, on_fault);
	if (mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
		return;
	for (i = 0; i < 2 * sizeof to / sizeof to[0]; i++) {
		unsigned char *p = page + 2048 + i / 2 * 32;
		int32_t back = (int32_t)(to[i / 2] - (uintptr_t)p - 12);

		/* As the kernel's, as far as that is possible. */
		memcpy(p, page, 32);
		memcpy(p + 8, &back, 4);
		if (mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0)
			return;
		step = sigsetjmp(out, 1);
		if (step != 0) {
			faults++;
		} else if (i % 2 == 0) {
			__asm__ volatile("jmp *%0" : : "r"(p) : "memory");
		} else {
			__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq\n"
					 "jmp *%0"
					 :
					 : "r"(p)
					 : "memory");
		}
		if (mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) !=
		    0)
			return;
	}
	say("alive after %d faults", faults);
}

static int
alone(const char *what)
{
	uintptr_t page;
	int n, i;

	for (i = 0; i < MANY; i++)
		(void)site_ppid();
	page = find_pages(&n);
	say("pages %d", n);
	if (strcmp(what, "forge") == 0 && page != 0)
		forge((unsigned char *)page);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc > 1)
		return alone(argv[1]);
	test_results();
	test_file(argv[0]);
	test_steps();
	test_processes();
	test_threads();
	test_signals();
	test_made();
	return 0;
}
