/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside the kernel base.  Never leaves the directory.
 *
 * Lock letters:
 *	[I] immutable after creation		[a] atomic
 *	[v] the vCPU's runner			[i] k_idle_lock
 *	[r] the run queue's lock		[t] k_thread_lock
 *	[w] the wheel's lock			[p] k_proc_lock
 *
 * Lock order: k_proc_lock, wait queue, wheel, run queue, k_thread_lock,
 * k_idle_lock.  The last four are struct hspin: taken also on host stacks.
 */
#ifndef QUERN_KERNEL_IMPL_H
#define QUERN_KERNEL_IMPL_H

#include <quern/abi/errno.h>
#include <quern/base.h>
#include <quern/component.h>
#include <quern/list.h>
#include <quern/lock.h>
#include <quern/quern.h>
#include <quern/san.h>
#include <quern/thread.h>
#include <quern/timer.h>

/* A spin lock for code that may be on a host stack; a few instructions long. */
struct hspin {
	uint32_t hs_held; /* [a] */
};

/* The most components of one kernel. */
#define QCOMPONENT_MAX 64u

/* Why a host thread's stack is switched to. */
enum qhost_cmd {
	QHOST_LEAVE = 1, /* its call is over */
	QHOST_WAIT,      /* nothing to run: give the vCPU away and wait */
	QHOST_TURN       /* look after another vCPU for a while */
};

/* What a host thread inside the kernel is waiting for, if anything. */
enum qhost_idle {
	QIDLE_NONE = 0,
	QIDLE_PARKED, /* for its call to end, or to become leader */
	QIDLE_LEADER, /* the same, and for events and timers of every vCPU */
	QIDLE_WANTER  /* for a vCPU to enter on */
};

/*
 * A host thread inside the kernel: its seat and the context of its own stack.
 * Lives in a kernel thread's room, so its memory stays until the end and a late
 * kick is harmless.
 */
struct qhost {
	struct quern_seat h_seat;
	struct quern *h_k;        /* [I] */
	struct qthread *h_thread; /* [I] the stack it came with */
	struct qcpu *h_cpu;       /* the vCPU it runs, or ran last */
	void *h_sp;               /* its own stack while it runs the kernel */
	struct qsan h_san;
	struct qlist h_link;  /* [i] k_idlers */
	uint32_t h_idle;      /* [i] enum qhost_idle */
	uint32_t h_kicked;    /* [i] a wanter that was told to try again */
	struct qcpu *h_given; /* [a] a wanter was given this one */
	uint32_t h_done;      /* [a] the call is over, h_ret is valid */
	uint32_t h_seeks;     /* [a] a runner that owns a vCPU or is about to */
	bool h_poll;          /* quern_poll: leave rather than wait */
	bool h_ran;           /* it ran something */
	bool h_runner;        /* a runner thread */
	int64_t h_ret;
	uint64_t h_deadline; /* quern_poll: wait no longer than this */
};

/* The last lines of the log, for syslog(2); log.c. */
#define QLOG_RING 16384u
struct quern_ring {
	struct hspin lg_lock;
	uint64_t lg_end, lg_read, lg_clear; /* [lg_lock] bytes so far */
	char lg_buf[QLOG_RING];             /* [lg_lock] */
};

/* The levels and slots of a timer wheel: 64^8 * 2^10 ns is 9 years. */
#define QWHEEL_LEVELS 8u
#define QWHEEL_SLOTS  64u
#define QWHEEL_SHIFT  10u /* a tick is 1,024 ns */

struct qwheel {
	struct hspin wh_lock;
	uint64_t wh_now;                 /* [w] in ticks */
	uint64_t wh_bits[QWHEEL_LEVELS]; /* [w] slots in use */
	struct qtimer *wh_running;       /* [w] whose function runs */
	struct qlist wh_slot[QWHEEL_LEVELS][QWHEEL_SLOTS]; /* [w] */
	bool wh_ready; /* [w] slots initialised */
};

/* What a vCPU has deferred until nobody looks; epoch.c. */
struct epoch_state {
	struct qepoch_entry *es_next; /* [v] newest first */
	struct qepoch_entry *es_wait; /* [v] for the snapshot to pass */
	uint64_t es_owned;            /* [v] vCPUs that it waits for */
	bool es_armed;                /* [v] es_timer will look */
	struct qtimer es_timer;
	uint64_t es_quiet[QUERN_MAXCPU]; /* [v] the snapshot */
};

/* The scheduler's part of a vCPU. */
struct qcpu_sched {
	struct hspin r_lock;
	uint32_t r_bits;              /* [r] priorities with a thread */
	struct qlist r_queue[QNPRIO]; /* [r] */
	uint32_t r_count __attribute__((aligned(64))); /* [a] */
	uint32_t r_movable;  /* [a] those of them that any vCPU may run */
	uint32_t r_inflight; /* [a] events the host owes us */
	struct quern_event *r_inbox;   /* [a] delivered, newest first */
	uint64_t r_next;               /* [a] when the first timer is due */
	struct qthread *r_prev;        /* [v] whom we switched away from */
	struct qsan *r_san;            /* [v] and from which stack */
	uint64_t r_switches, r_steals; /* [a] written by the runner */
	uint32_t r_tick;               /* [v] switches since the last poll */
	uint64_t r_vmin;     /* [r] to write, [a] to read; see share.c */
	uint64_t r_now;      /* [v] when a thread was charged last */
	uint64_t r_balanced; /* [v] when it was compared with other vCPUs */
	uint64_t r_alone;    /* [v] threads wait since then, and vCPUs idle */
	struct qwheel r_wheel;
	struct epoch_state r_epoch;
};

/* k_trace: what is traced. */
#define QTRACE_CALLS 1u /* log a line a call */
#define QTRACE_RINGS 2u /* record what is to be recorded */

/* Waiting for locks of one name; stats.c. */
#define LOCK_STATS 64u

struct lock_stat {
	const char *ls_name;  /* [a] */
	uint64_t ls_waits;    /* [a] */
	uint64_t ls_sleeps;   /* [a] */
	uint64_t ls_total_ns; /* [a] */
	uint64_t ls_max_ns;   /* [a] */
};

struct quern {
	const struct quern_hyper *k_hyper;      /* [I] */
	void *k_ctx;                            /* [I] the host's */
	struct qcpu *k_cpu[QUERN_MAXCPU];       /* [I] */
	unsigned k_ncpu;                        /* [I] */
	uint32_t k_nextguest;                   /* [a] numbers of vmspaces */
	unsigned k_nrunner;                     /* [I] */
	struct qthread *k_runner[QUERN_MAXCPU]; /* [I] their stacks */
	bool k_choice;                          /* [I] */
	bool k_fence;                           /* [I] the host has cpu_fence */
	bool k_up;                              /* components have started */
	uint32_t k_dead;                        /* [a] */
	uint32_t k_stop;                        /* [a] runners are to end */
	uint32_t k_intr; /* [a] a process was interrupted */

	struct hspin k_idle_lock __attribute__((aligned(64)));
	struct qlist k_idlers;   /* [i] host threads that wait */
	struct qlist k_wanters;  /* [i] those that wait for a vCPU */
	struct qhost *k_leader;  /* [i] */
	uint64_t k_leader_until; /* [a] the leader's deadline */
	uint64_t k_leader_cpus;  /* [a] whose events it waits for */
	uint32_t k_nidle;        /* [a] waiting, wanters aside */
	uint32_t k_nwant;        /* [a] wanters */
	uint32_t k_surplus;      /* [a] an alert found every vCPU owned */
	uint32_t k_barrier;  /* [a] nothing but the operand of full_barrier */
	uint64_t k_deferred; /* [a] entries that epochs wait for */
	uint32_t k_pollfd;   /* [a] the embedder has asked for one */
	struct hspin k_announce_lock;
	uint64_t k_announced; /* [k_announce_lock] what was said of it last */
	uint32_t k_inside;    /* [a] host threads off the fast path */
	uint32_t k_runners_left;  /* [a] */
	struct quern_seat k_seat; /* where destroy waits for the runners */

	struct hspin k_thread_lock __attribute__((aligned(64)));
	struct qlist k_threads; /* [t] all */
	struct qlist k_spares;  /* [t] those without work, by t_link */
	uint64_t k_nthread;     /* [t] */

	struct qwaitq k_join; /* ends of threads */

	struct qmutex k_disk_lock;
	struct qlist k_disks; /* [k_disk_lock] */

	struct qmutex k_proc_lock;
	struct qlist k_procs; /* [p] */
	uint32_t k_nextpid;   /* [p] */

	/* memory: page.c, slab.c */
	struct qmutex k_reclaim_lock;
	struct qlist k_reclaimers; /* [k_reclaim_lock] */
	struct qpages *k_pages;
	struct qheap *k_heap;
	uint64_t k_fail_alloc; /* [I] */
	uint64_t k_allocs;     /* [a] */

	struct qsys_table *k_calls; /* [I] */
	unsigned k_ncomp, k_ncomp_up;
	const struct quern_component *k_comp[QCOMPONENT_MAX]; /* as started */
	void *k_comp_state[QCOMPONENT_MAX];

	void (*k_logfn)(void *, int, const char *);
	void (*k_panicfn)(void *, const char *);
	void *k_arg;
	int k_log_level; /* [a] lines above it are dropped */
	char k_name[32];

	uint64_t k_born;   /* [I] when it was made, monotonic */
	uint64_t k_fileno; /* [a] qfile_serial's last */

	struct qspin k_uts;
	char k_host[QHOST_NAMELEN], k_domain[QHOST_NAMELEN]; /* [k_uts] */

	/* trace.c, stats.c */
	uint32_t k_trace;                        /* [a] QTRACE_* */
	uint64_t k_trace_bio;                    /* [a] disk requests */
	uint64_t k_trace_order;                  /* [a] records made, in sim */
	struct trace_ring *k_ring[QUERN_MAXCPU]; /* see quern_trace_start */
	struct lock_stat k_lock_stat[LOCK_STATS];

	char k_panicmsg[256];

	struct quern_ring k_log; /* last: most of it is not touched */
};

/* On a host's stack: a point where a simulated host may let another go on. */
static inline void
host_choice(struct quern *k)
{
	if (qunlikely(k->k_choice))
		k->k_hyper->cpu_yield(k->k_ctx, QUERN_YIELD_ATOMIC);
}

/* ---- hspin ---------------------------------------------------------- */

/* As one that TSan can follow: a fence of its own it does not understand. */
static inline void
full_barrier(struct quern *k)
{
	(void)__atomic_fetch_add(&k->k_barrier, 0, __ATOMIC_SEQ_CST);
}

/* Take one from any stack; yields to the host while it spins. */
static inline void
hspin_lock(struct quern *k, struct hspin *s)
{
	while (qunlikely(__atomic_exchange_n(&s->hs_held, 1, __ATOMIC_ACQUIRE)))
		k->k_hyper->cpu_yield(k->k_ctx, QUERN_YIELD_SPIN);
}

static inline void
hspin_unlock(struct hspin *s)
{
	__atomic_store_n(&s->hs_held, 0, __ATOMIC_RELEASE);
}

/* Take one that only runners of vCPUs take: free when there is one vCPU. */
static inline void
vspin_lock(struct quern *k, struct hspin *s)
{
	if (k->k_ncpu > 1)
		hspin_lock(k, s);
}

static inline void
vspin_unlock(struct quern *k, struct hspin *s)
{
	if (k->k_ncpu > 1)
		hspin_unlock(s);
}

/* Is the thread at its end?  Its state may be changing to anything else. */
static inline bool
thread_is_done(const struct qthread *t)
{
	return __atomic_load_n(&t->t_state, __ATOMIC_RELAXED) == QT_DONE;
}

/* ---- switch.c ------------------------------------------------------- */

/* What the body of a client call answers. */
struct qclient_ret {
	int64_t cr_ret;
	uint64_t cr_moved; /* it has slept: the host's stack is elsewhere */
};

/*
 * Save the current context in *save and go on at `to`; returns `arg` of who
 * comes back.
 */
uintptr_t ctx_switch(void **save, void *to, uintptr_t arg, void *fiber);

/*
 * Run body(t, frame) on the kernel stack that ends at `t`.  The caller's stack
 * becomes a context, saved in *save, at which host_loop(t, arg) runs if it is
 * ever switched to.
 */
int64_t ctx_enter(struct qthread *t, void *frame, struct qsan *kernel,
    struct qsan *host, void **save,
    struct qclient_ret (*body)(struct qthread *, void *));

/* Where a new thread starts: calls sched_thread_start. */
void ctx_thread_tramp(void);
QNORETURN void sched_thread_start(void);
int64_t host_loop(struct qthread *t, uintptr_t cmd);
QNORETURN void sched_client_exit(struct qthread *t, int64_t ret);

/* ---- sched.c -------------------------------------------------------- */

void sched_init_cpu(struct quern *k, struct qcpu *v);
/* Give up the vCPU; the state says whether to come back. */
void sched_switch(void);
/* Make `t` runnable on this vCPU or on the one it is bound to. */
void sched_ready(struct qthread *t);
/* Move a sleeper to ready with `why`; false when it was not sleeping. */
bool sched_wake(struct qthread *t, int why);
/* The vCPU's own thread: what it does when nothing else can run. */
void sched_idle_loop(void *arg);
/* Leave a dead kernel at once. */
QNORETURN void sched_leave_dead(void);
/* Are there threads on the queue of `v` that another vCPU could run? */
bool sched_has_surplus(struct qcpu *v);
/* Has something come for `v` from outside: events, an interrupt? */
bool sched_has_event(struct qcpu *v);
/* Do threads wait for it? */
bool sched_has_ready(struct qcpu *v);
/* Is there anything that a host thread could run on `v`? */
bool sched_has_work(struct qcpu *v, uint64_t now);

/* ---- share.c -------------------------------------------------------- */

/* How long one that is alone on its vCPU runs before that looks at others. */
#define QBALANCE_NS UINT64_C(50000000)

/* The current thread has run until now: before anybody may wake it. */
void share_charge(struct qthread *t);
/* A new one, made by the current thread. */
void share_begin(struct qthread *t);
/* Put it on the run queue.  [r] */
void share_queue(struct qcpu *v, struct qthread *t);
/* `v` runs it next, having taken it from the queue of `from`. */
void share_pick(const struct qcpu *v, const struct qcpu *from,
    struct qthread *t);
/* The current thread, charged, lets one other go first. */
void share_stand_back(struct qthread *t);

/* ---- host.c --------------------------------------------------------- */

/* Does any host thread wait for work? */
static inline bool
host_has_idle(const struct quern *k)
{
	return __atomic_load_n(&k->k_nidle, __ATOMIC_RELAXED) != 0;
}

/* Put work on a host thread that waits, if there is one and a free vCPU. */
void host_alert(struct quern *k);
void host_kick_all(struct quern *k);
/* Is there a free vCPU with work, and nobody but us to do it? */
bool host_neglects(struct qcpu *v);
/* Have every entry and exit take the slow path from now on. */
void host_special(struct quern *k);
/* See to it that the leader, if there is one, waits for `v`'s events. */
void host_cover(struct quern *k, struct qcpu *v);
/* Own `v` if nobody does. */
bool cpu_try(struct qcpu *v);

static inline bool
cpu_is_owned(struct qcpu *v)
{
	return __atomic_load_n(&v->v_owner, __ATOMIC_SEQ_CST) == QCPU_OWNED;
}

/* The call of `h` is over; called off its stack. */
void host_done(struct qhost *h);
/*
 * Lend the calling host thread to the kernel: as runner, on a stack made for
 * it, until k_stop; else until it has run something or the deadline.  1, 0 or
 * -ENOTRECOVERABLE.
 */
int host_run(struct quern *k, struct qthread *runner, uint64_t deadline);
/*
 * Run fn(arg) in the kernel as a call of process `p`, on vCPU *hint if it is
 * free; *hint follows.
 */
int64_t host_call(struct quern *k, struct quern_proc *p, uint32_t *hint,
    int64_t (*fn)(void *), void *arg);

/* ---- thread.c ------------------------------------------------------- */

int thread_alloc(struct quern *k, struct qthread **tp);
void thread_free(struct qthread *t);
void thread_destroy_all(struct quern *k);
void thread_setup(struct qthread *t, const char *name, void (*fn)(void *),
    void *arg, enum qprio prio);

/* ---- epoch.c -------------------------------------------------------- */

void epoch_init_cpu(struct qcpu *v);
/* Call what is due; returns how many.  Between threads only. */
unsigned epoch_poll(struct qcpu *v);

/* A quiet point within the ownership of a vCPU. */
static inline void
epoch_quiet(struct qcpu *v)
{
	if (v->v_smp)
		__atomic_fetch_add(&v->v_quiet, 1, __ATOMIC_SEQ_CST);
	else
		v->v_quiet++;
}

/* ---- timer.c -------------------------------------------------------- */

void wheel_init(struct qwheel *w, uint64_t now);
/* Run what is due; returns how many. */
unsigned wheel_run(struct qcpu *v, uint64_t now);

/* ---- mem.c ---------------------------------------------------------- */

/* Is this the allocation that must fail?  Counts only when one must. */
static inline bool
qalloc_fails(struct quern *k)
{
	return k->k_fail_alloc != 0 &&
	    __atomic_add_fetch(&k->k_allocs, 1, __ATOMIC_RELAXED) ==
	    k->k_fail_alloc;
}

int heap_init(struct quern *k);
int heap_init_cpu(struct quern *k, struct qcpu *v);
void heap_fini(struct quern *k);
uint64_t heap_leaks(struct quern *k);
uint64_t heap_inuse(struct quern *k);
int page_init(struct quern *k, size_t ram);
void page_fini(struct quern *k);
void page_stats(struct quern *k, uint64_t *total, uint64_t *free);

int mem_init(struct quern *k, size_t ram);
int mem_init_cpus(struct quern *k);
/* Report by tag what was left allocated; returns how many objects. */
uint64_t mem_leaks(struct quern *k);
void mem_fini(struct quern *k);

/* ---- trace.c, stats.c ------------------------------------------------ */

/* Record that `v` goes from the current thread to `next`. */
void trace_switch(struct qcpu *v, const struct qthread *next) QCOLD;
void trace_fini(struct quern *k);

/* When a wait for a lock begins; to be given to lock_waited. */
uint64_t lock_wait(const char *name);
/* It is over; `slept` times the thread gave the vCPU away. */
void lock_waited(const char *name, uint64_t since, unsigned slept);

/* As quern_stats, in the kernel; `heap`: st_inuse too. */
void kernel_stats(struct quern *k, struct quern_stats *st, bool heap);

/* What the heap holds, by tag. */
uint64_t heap_by_tag(struct quern *k,
    void (*fn)(void *, const struct quern_alloc_stat *), void *arg);

/* ---- the rest ------------------------------------------------------- */

/* Panics have a kernel stack to leave; this is for host stacks. */
#define qassert_host(k, e) \
	(qlikely(e) ? (void)0 : host_assert_fail(k, #e, __FILE__, __LINE__))
void host_assert_fail(struct quern *k, const char *expr, const char *file,
    int line) QNORETURN;

int syscalls_init(struct quern *k);
/* Which calls trace_calls logs; see trace_only in quern.h.  -EINVAL. */
int syscalls_trace(struct quern *k, const char *only);
void syscalls_fini(struct quern *k);
int syscalls_install(struct quern *k, const struct qsys_handler *calls);

void proc_init(struct quern *k);
/* End every process, in the kernel.  -EBUSY: one is in a call. */
int proc_end_all(struct quern *k);

void proc_interrupts(struct quern *k);
void trace_backtrace(struct quern *k, struct qthread *t, uintptr_t fp);
/*
 * Have the host end what disks still have in flight, before the memory goes that
 * it is for: of a kernel that died.  On a host's stack; nobody is inside.
 */
void block_drain(struct quern *k);
int component_start(struct quern *k, const struct quern_config *cfg);
void component_stop(struct quern *k);

#endif /* QUERN_KERNEL_IMPL_H */
