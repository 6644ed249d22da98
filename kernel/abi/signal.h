/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals, as the kernel has them: a set is one word, and an action's members
 * are in another order than libc's.
 */
#ifndef QUERN_ABI_SIGNAL_H
#define QUERN_ABI_SIGNAL_H

#include <stddef.h>
#include <stdint.h>

#define Q_SIGHUP    1
#define Q_SIGINT    2
#define Q_SIGQUIT   3
#define Q_SIGILL    4
#define Q_SIGTRAP   5
#define Q_SIGABRT   6
#define Q_SIGIOT    6
#define Q_SIGBUS    7
#define Q_SIGFPE    8
#define Q_SIGKILL   9
#define Q_SIGUSR1   10
#define Q_SIGSEGV   11
#define Q_SIGUSR2   12
#define Q_SIGPIPE   13
#define Q_SIGALRM   14
#define Q_SIGTERM   15
#define Q_SIGSTKFLT 16
#define Q_SIGCHLD   17
#define Q_SIGCONT   18
#define Q_SIGSTOP   19
#define Q_SIGTSTP   20
#define Q_SIGTTIN   21
#define Q_SIGTTOU   22
#define Q_SIGURG    23
#define Q_SIGXCPU   24
#define Q_SIGXFSZ   25
#define Q_SIGVTALRM 26
#define Q_SIGPROF   27
#define Q_SIGWINCH  28
#define Q_SIGIO     29
#define Q_SIGPOLL   29
#define Q_SIGPWR    30
#define Q_SIGSYS    31
#define Q_SIGRTMIN  32

/* How rt_sigprocmask changes the mask. */
#define Q_SIG_BLOCK   0
#define Q_SIG_UNBLOCK 1
#define Q_SIG_SETMASK 2

/* sa_flags. */
#define Q_SA_NOCLDSTOP      0x1
#define Q_SA_NOCLDWAIT      0x2
#define Q_SA_SIGINFO        0x4
#define Q_SA_EXPOSE_TAGBITS 0x800
#define Q_SA_RESTORER       0x4000000
#define Q_SA_ONSTACK        0x8000000
#define Q_SA_RESTART        0x10000000
#define Q_SA_NODEFER        0x40000000
#define Q_SA_RESETHAND      0x80000000u

/* Signal n is bit n - 1. */
struct q_sigset {
	uint64_t sig;
};

/* sa_func: an address in the program; 0: default, 1: ignore. */
struct q_sigaction {
	uint64_t sa_func;
	uint64_t sa_flags;
	uint64_t sa_restorer;
	struct q_sigset sa_mask;
};

struct q_stack {
	void *ss_sp;
	int32_t ss_flags;
	size_t ss_size;
};

/* ss_flags. */
#define Q_SS_ONSTACK    1
#define Q_SS_DISABLE    2
#define Q_SS_AUTODISARM 0x80000000u

#define Q_MINSIGSTKSZ 2048

/* si_code: who sent it ... */
#define Q_SI_USER    0
#define Q_SI_KERNEL  0x80
#define Q_SI_QUEUE   (-1)
#define Q_SI_TIMER   (-2)
#define Q_SI_MESGQ   (-3)
#define Q_SI_ASYNCIO (-4)
#define Q_SI_SIGIO   (-5)
#define Q_SI_TKILL   (-6)

/* ... or what a SIGILL, SIGFPE, SIGSEGV, SIGBUS, SIGTRAP, SIGCHLD is about. */
#define Q_ILL_ILLOPN    2
#define Q_FPE_INTDIV    1
#define Q_FPE_FLTDIV    3
#define Q_FPE_FLTOVF    4
#define Q_FPE_FLTUND    5
#define Q_FPE_FLTRES    6
#define Q_FPE_FLTINV    7
#define Q_SEGV_MAPERR   1
#define Q_SEGV_ACCERR   2
#define Q_BUS_ADRALN    1
#define Q_BUS_ADRERR    2
#define Q_TRAP_BRKPT    1
#define Q_TRAP_TRACE    2
#define Q_CLD_EXITED    1
#define Q_CLD_KILLED    2
#define Q_CLD_DUMPED    3
#define Q_CLD_TRAPPED   4
#define Q_CLD_STOPPED   5
#define Q_CLD_CONTINUED 6

/* What a signal carries: 128 bytes. */
struct q_siginfo {
	int32_t si_signo;
	int32_t si_errno;
	int32_t si_code;
	int32_t si_pad;
	union {
		struct {
			int32_t sg_pid;
			uint32_t sg_uid;
			union {
				int32_t sg_status;
				uint64_t sg_value;
			};
			int64_t sg_utime, sg_stime;
		};
		struct {
			int32_t sg_timerid;
			int32_t sg_overrun;
			uint64_t sg_timer_value;
		};
		struct {
			uint64_t sg_addr;
			int16_t sg_addr_lsb;
		};
		struct {
			uint64_t sg_call_addr;
			int32_t sg_syscall;
			uint32_t sg_arch;
		};
		int64_t sg_band;
		uint8_t sg_raw[112];
	};
};

#endif /* QUERN_ABI_SIGNAL_H */
