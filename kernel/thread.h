/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel threads and virtual CPUs, as the kernel and its components see them.
 * The theory is at the head of sched.c.
 */
#ifndef QUERN_THREAD_H
#define QUERN_THREAD_H

#include <quern/base.h>
#include <quern/list.h>
#include <quern/san.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qhost;
struct trace_ring;
struct quern_proc;

#define QSTACK_SIZE ((size_t)1 << QSTACK_SHIFT)

/* Priorities: 0 runs first. */
enum qprio {
	QPRIO_HIGH = 0,   /* interrupt-like work: completions, protocol input */
	QPRIO_CLIENT = 1, /* calls of clients */
	QPRIO_NORMAL = 2, /* kernel threads */
	QPRIO_LOW = 3,    /* background: reclaim, scrubbing */
	QPRIO_GUEST = 4,  /* what guests run: in fair shares, see share.c */
	QNPRIO = 5
};

/* How long a thread with QPRIO_GUEST runs while others wait. */
#define QSLICE_NS UINT64_C(4000000)

/* States of a thread; sched.c says who moves between them. */
enum qtstate { QT_FREE = 0, QT_RUNNING, QT_READY, QT_SLEEPING, QT_DONE };

/* v_owner; see host.c. */
#define QCPU_FREE    0u
#define QCPU_OWNED   1u
#define QCPU_SPECIAL 2u

/* Bound to no vCPU. */
#define QCPU_ANY (-1)

/*
 * A vCPU, as much of it as inline functions need.  Everything but v_owner is
 * the runner's own unless marked.
 */
struct qcpu {
	uint32_t v_owner __attribute__((aligned(64))); /* [a] QCPU_* */
	uint32_t v_free;         /* [a] what v_owner is when it is not owned */
	struct quern *v_k;       /* [I] */
	unsigned v_id;           /* [I] */
	bool v_choice;           /* [I] tell the host of choice points */
	bool v_smp;              /* [I] there are other vCPUs */
	bool v_fence;            /* [I] the host has cpu_fence */
	struct qthread *v_spare; /* thread for the next client */
	struct qhost *v_host;    /* [a] who runs it, or ran it last */
	uint32_t v_guest;        /* [a] it is in vm_run: kick for its events */
	uint32_t v_deferred;     /* entries for epochs since the last look */
	uint64_t v_quiet;        /* [a] quiet points passed; epoch.c */
	void **v_mag;            /* [I] the slab allocator's, by class */
	struct qthread *v_idle;  /* [I] */
	struct qcpu_sched *v_sched; /* [I] run queue, timers, inbox */
	struct trace_ring *v_ring;  /* [a] where to record, or NULL */
};

/*
 * A kernel thread.  It lies at the top of its own stack, which is aligned to
 * its size, so that the current thread is a mask away from the stack pointer.
 */
struct qthread {
	struct qcpu *t_cpu;        /* [a] vCPU it is running or queued on */
	struct quern *t_k;         /* [I] */
	struct quern_proc *t_proc; /* whose call it serves, or NULL */
	struct qhost *t_host;      /* [I] the seat that goes with the stack */
	uint32_t t_state;          /* [a] enum qtstate */
	uint32_t t_oncpu;          /* [a] its registers are live on some vCPU */
	uint32_t t_spins;          /* spin locks held: no sleeping */
	uint8_t t_prio;            /* enum qprio */
	bool t_moved;        /* has been switched away from since it entered */
	bool t_intr;         /* its sleep may be interrupted */
	bool t_client;       /* serves a host thread's call */
	int32_t t_bound;     /* vCPU it must run on, or QCPU_ANY */
	int32_t t_wake;      /* why it was woken: 0 or -errno */
	uint64_t t_switches; /* times it was switched to */
	uint64_t t_ranks;    /* of the locks it holds; lock.h */
	struct qlist t_link; /* run queue */
	struct qlist t_wait; /* wait queue */
	struct qlist t_all;  /* [t] every thread of the kernel */
	void *t_sp;          /* saved stack pointer */
	struct qsan t_san;
	void (*t_fn)(void *);
	void *t_arg;
	int64_t t_ret;
	struct qtimer *t_timer;    /* [I] for sleeps with a deadline */
	const struct qwaitq *t_wq; /* what it sleeps on, for debuggers */
	uint64_t t_trace;          /* trace of system calls: start time */
	uint64_t t_started; /* call under way is one that began then, or 0 */
	uint64_t t_began;   /* when a call last reckoned a deadline */
	uint64_t t_ran;     /* ns that it has run, if t_account */
	uint64_t t_since;   /* running since then, as far as it is charged */
	uint64_t t_turn;    /* running since then, if t_account */
	uint64_t t_vtime;   /* its virtual time, see share.c ... */
	uint64_t t_vkey;    /* ... and place in a run queue */
	uint32_t t_rate;    /* [a] virtual by real time */
	uint32_t t_alert;   /* [a] no sleep that may be interrupted */
	uint32_t t_tid;     /* a guest's number for it, or 0 */
	bool t_account;     /* keep t_ran */
	bool t_detached;    /* nobody joins it */
	uint32_t t_id;      /* [I] of the stack: for traces */
	char t_name[24];
};

/* Room that the thread takes at the top of its stack. */
#define QTHREAD_ROOM 1024u

/* The running thread.  Valid on kernel stacks only. */
static inline struct qthread *
qthread_current(void)
{
	uintptr_t sp;

	__asm__("movq %%rsp, %0" : "=r"(sp));
	return (struct qthread *)((sp | (QSTACK_SIZE - 1)) + 1 - QTHREAD_ROOM);
}

/* The vCPU that runs the caller; it may be another after any sleep. */
static inline struct qcpu *
qcpu_current(void)
{
	return *(struct qcpu *volatile *)&qthread_current()->t_cpu;
}

/* The caller's kernel. */
static inline struct quern *
quern_current(void)
{
	return qthread_current()->t_k;
}

/*
 * Make a thread that runs fn(arg) and queue it on this vCPU, or on `cpu` when
 * that is not QCPU_ANY.  `name` is copied.  It ends when fn returns; the
 * creator owns *tp and must qthread_join it.  Does not block.  -ENOMEM,
 * -EINVAL (cpu).
 */
int qthread_create(struct quern *k, const char *name, void (*fn)(void *),
    void *arg, enum qprio prio, int cpu, struct qthread **tp) QMUSTCHECK;

/* Wait for its end and give it back.  Sleeps.  Once a thread. */
void qthread_join(struct qthread *t);

/*
 * Have the current thread be given back by itself when it ends; its creator
 * does not join it then.
 */
void qthread_detach(void);

/*
 * How `t` of priority QPRIO_GUEST shares with others: -20 (most) to 19.  It is
 * 0 or what its maker has.  Anybody may, while it exists.
 */
void qthread_setnice(struct qthread *t, int nice);

/* Let others run: those of the same or a better priority go first. */
void qthread_yield(void);

/*
 * Let others run if it is their turn, having looked at timers and at what the
 * host has to say.
 */
void qthread_pause(void);

/*
 * From now on sleeps of `t` that may be interrupted end with -EINTR, the present
 * one too, and a guest that it runs comes out with QUERN_VM_KICK, until the
 * thread itself says qthread_calm.  The caller sees to it that `t` exists.  Does
 * not sleep.
 */
void qthread_alert(struct qthread *t);

/* Sleeps of the current thread are undisturbed again. */
static inline void
qthread_calm(void)
{
	__atomic_store_n(&qthread_current()->t_alert, 0, __ATOMIC_SEQ_CST);
}

/* How long `t`, which accounts for its time, has run: nanoseconds. */
uint64_t qthread_ran(const struct qthread *t);

/*
 * Sleep until `deadline` on the monotonic clock.  0, or -EINTR when `intr` and
 * the process was interrupted.
 */
int qthread_sleep_until(uint64_t deadline, bool intr);

/* The time on the monotonic clock in nanoseconds. */
uint64_t qclock_mono(struct quern *k);

/* What that was when the kernel was made. */
uint64_t qclock_boot(const struct quern *k);

/* The wall clock: nanoseconds since 1970, UTC. */
uint64_t qclock_real(struct quern *k);
/* The same, perhaps some milliseconds ago, for a fraction of the time. */
uint64_t qclock_coarse(struct quern *k);

/*
 * How the clocks follow from the processor's cycles, as the hypercall
 * clock_params.  -EOPNOTSUPP, -EAGAIN.
 */
int qclock_params(struct quern *k, struct quern_clock_params *cp) QMUSTCHECK;

/* Fill with the host's random bytes, fit for keys.  -EIO. */
int qrandom_fill(struct quern *k, void *buf, size_t len) QMUSTCHECK;

/* How many vCPUs the kernel has. */
unsigned qcpu_count(const struct quern *k);

/* qchoice_slow is the half of qchoice that is not inline. */
void qchoice_slow(struct qcpu *v, enum quern_yield why);

/* A point where a simulated host may go on with another vCPU. */
static inline void
qchoice(struct qcpu *v, enum quern_yield why)
{
	if (qunlikely(v->v_choice))
		qchoice_slow(v, why);
}

/* What uname(2) tells, and the names of the system: up to this, with the 0. */
#define QUTS_RELEASE  "6.1.0-quern"
#define QUTS_VERSION  "#1 Quern 0.1"
#define QHOST_NAMELEN 65u

/* The system's name, or its domain's: zeroes behind it. */
void qhostname(struct quern *k, bool domain, char buf[QHOST_NAMELEN]);

/* Change it; `len` is below QHOST_NAMELEN. */
void qhostname_set(struct quern *k, bool domain, const char *name, size_t len);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_THREAD_H */
