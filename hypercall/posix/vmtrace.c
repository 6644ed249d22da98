/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tracing a stub in place of giving it a filter (QUERN_POSIX_PTRACE).
 *
 * A thread of ours, the tracer, has the host's kernel stop the stub's process at
 * each system call before anything is done (PTRACE_SYSEMU).  It asks the program
 * that would be the filter (vmfilter.c) about the call, and does what the kernel
 * would with the answer: a call that may be made is gone back to and stepped
 * over, any other becomes a SIGSYS with the registers of the call.  For all else
 * there is no difference: turns, operations and registers pass as they do with
 * a filter.
 *
 * The process has one thread and is stopped while we look, so nothing changes
 * between asking and stepping, and the instruction stepped over is the stub's,
 * in memory that nobody can write.
 *
 * Unlike a filter this shows: the host tells a tracer's process by SIGCHLD and
 * wait() of every stop.  And the three calls of the vsyscall page, which the
 * host's kernel makes itself, are made.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/ptrace.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm.h"

#define SYSCALL_LEN  2u /* bytes of the instruction */
#define STOP_SYSCALL (SIGTRAP | 0x80)

struct tracer {
	pid_t tr_pid;                             /* [I] */
	pthread_t tr_thread;                      /* [I] */
	unsigned tr_nfilter;                      /* [I] */
	struct sock_filter tr_filter[FILTER_MAX]; /* [I] */

	pthread_mutex_t tr_lock;
	pthread_cond_t tr_cond;
	bool tr_ready; /* attached, or not: tr_error */
	int tr_error;

	/* The thread's own. */
	bool tr_stepping;                /* over a system call */
	bool tr_trapping;                /* a SIGSYS is on its way */
	struct user_regs_struct tr_regs; /* of the call that it is for */
	siginfo_t tr_info;
};

/* The host's ptrace(), whose requests libc has as an enum.  0 or -1. */
static long
trace(unsigned request, pid_t pid, uintptr_t addr, uintptr_t data)
{
	return syscall(SYS_ptrace, request, pid, addr, data);
}

/* Its next stop of any kind; false: it has ended. */
static bool
await_stop(struct tracer *tr, int *statusp)
{
	pid_t pid;

	do {
		pid = waitpid(tr->tr_pid, statusp, __WALL);
	} while (pid < 0 && errno == EINTR);
	return pid == tr->tr_pid && WIFSTOPPED(*statusp);
}

/* It is to go on, with a signal or none, up to the next call. */
static void
go_on(struct tracer *tr, int sig)
{
	(void)trace(PTRACE_SYSEMU, tr->tr_pid, 0, (uintptr_t)sig);
}

/* May the call be made at which it has stopped? */
static bool
call_allowed(struct tracer *tr, const struct ptrace_syscall_info *si)
{
	struct seccomp_data data;

	data.nr = (int)si->entry.nr;
	data.arch = si->arch;
	data.instruction_pointer = si->instruction_pointer;
	memcpy(data.args, si->entry.args, sizeof data.args);
	return host_filter_run(tr->tr_filter, tr->tr_nfilter, &data) ==
	    SECCOMP_RET_ALLOW;
}

static void
at_call(struct tracer *tr)
{
	struct user_regs_struct *r = &tr->tr_regs;
	struct ptrace_syscall_info si;

	memset(&si, 0, sizeof si);
	if (trace(PTRACE_GETREGS, tr->tr_pid, 0, (uintptr_t)r) != 0 ||
	    trace(PTRACE_GET_SYSCALL_INFO, tr->tr_pid, sizeof si,
		(uintptr_t)&si) < 0) {
		go_on(tr, SIGKILL);
		return;
	}
	r->rax = r->orig_rax;
	r->orig_rax = UINT64_MAX;
	if (call_allowed(tr, &si)) {
		r->rip -= SYSCALL_LEN;
		tr->tr_stepping = true;
		if (trace(PTRACE_SETREGS, tr->tr_pid, 0, (uintptr_t)r) == 0)
			(void)trace(PTRACE_SINGLESTEP, tr->tr_pid, 0, 0);
		return;
	}
	memset(&tr->tr_info, 0, sizeof tr->tr_info);
	tr->tr_info.si_signo = SIGSYS;
	tr->tr_info.si_code = 1; /* SYS_SECCOMP */
	tr->tr_info.si_call_addr = (void *)(uintptr_t)si.instruction_pointer;
	tr->tr_info.si_syscall = (int)si.entry.nr;
	tr->tr_info.si_arch = si.arch;
	tr->tr_trapping = true;
	go_on(tr, SIGSYS);
}

/* Leaving a call that was not made counts as a step: is it still before it? */
static bool
before_call(struct tracer *tr)
{
	struct user_regs_struct r;

	return trace(PTRACE_GETREGS, tr->tr_pid, 0, (uintptr_t)&r) == 0 &&
	    r.rip == tr->tr_regs.rip;
}

/* A signal is about to be delivered. */
static void
at_signal(struct tracer *tr, int sig)
{
	bool stepped = tr->tr_stepping && sig == SIGTRAP;

	if (stepped && before_call(tr)) {
		(void)trace(PTRACE_SINGLESTEP, tr->tr_pid, 0, 0);
		return;
	}
	if (sig == SIGSYS && tr->tr_trapping) {
		tr->tr_trapping = false;
		(void)trace(PTRACE_SETREGS, tr->tr_pid, 0,
		    (uintptr_t)&tr->tr_regs);
		(void)trace(PTRACE_SETSIGINFO, tr->tr_pid, 0,
		    (uintptr_t)&tr->tr_info);
	}
	tr->tr_stepping = false;
	go_on(tr, stepped ? 0 : sig);
}

/* Attach to it, and have it stop. */
static int
attach(struct tracer *tr)
{
	int status;

	if (trace(PTRACE_SEIZE, tr->tr_pid, 0,
		PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD) != 0 ||
	    trace(PTRACE_INTERRUPT, tr->tr_pid, 0, 0) != 0 ||
	    !await_stop(tr, &status))
		return -EOPNOTSUPP;
	go_on(tr, 0);
	return 0;
}

static void *
tracer_main(void *arg)
{
	struct tracer *tr = arg;
	int error = attach(tr), status;

	pthread_mutex_lock(&tr->tr_lock);
	tr->tr_error = error;
	tr->tr_ready = true;
	pthread_cond_signal(&tr->tr_cond);
	pthread_mutex_unlock(&tr->tr_lock);
	if (error != 0)
		return NULL;
	while (await_stop(tr, &status)) {
		if (status >> 16 != 0)
			go_on(tr, 0); /* an event: it has stopped as a whole */
		else if (WSTOPSIG(status) == STOP_SYSCALL)
			at_call(tr);
		else
			at_signal(tr, WSTOPSIG(status));
	}
	return NULL;
}

static void
tracer_free(struct tracer *tr)
{
	pthread_mutex_destroy(&tr->tr_lock);
	pthread_cond_destroy(&tr->tr_cond);
	free(tr);
}

int
host_trace_start(struct vmspace *v)
{
	struct tracer *tr = calloc(1, sizeof(*tr));
	int error;

	if (tr == NULL)
		return -ENOMEM;
	tr->tr_pid = v->v_pid;
	tr->tr_nfilter = host_filter_make(v, tr->tr_filter, FILTER_MAX);
	pthread_mutex_init(&tr->tr_lock, NULL);
	pthread_cond_init(&tr->tr_cond, NULL);
	error = host_thread_start(&tr->tr_thread, "quern-tracer", -1,
	    tracer_main, tr);
	if (error != 0) {
		tracer_free(tr);
		return error;
	}
	pthread_mutex_lock(&tr->tr_lock);
	while (!tr->tr_ready)
		pthread_cond_wait(&tr->tr_cond, &tr->tr_lock);
	error = tr->tr_error;
	pthread_mutex_unlock(&tr->tr_lock);
	if (error != 0) {
		pthread_join(tr->tr_thread, NULL);
		tracer_free(tr);
		return error;
	}
	v->v_tracer = tr;
	return 0;
}

void
host_trace_stop(struct vmspace *v)
{
	struct tracer *tr = v->v_tracer;

	if (tr == NULL)
		return;
	pthread_join(tr->tr_thread, NULL);
	tracer_free(tr);
	v->v_tracer = NULL;
}
