/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside the simulator.  Never leaves the directory.  One task of a world runs
 * at a time, so nothing here is locked.
 */
#ifndef QUERN_SIM_IMPL_H
#define QUERN_SIM_IMPL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quern/hypercall.h>
#include <quern/san.h>
#include <quern/sim.h>

#define TASK_STACK ((size_t)256 << 10)
#define TASK_MAX   1000u
#define STEP_NS    50u /* virtual time that a decision takes */

enum task_state {
	TASK_READY = 0, /* can run; the one that does is w_current */
	TASK_WAITING,   /* in cpu_idle, until kick, event or deadline */
	TASK_ENDED
};

struct task {
	struct quern_sim *t_w;
	unsigned t_id; /* from 0, in order of creation */
	const char *t_name;
	void (*t_fn)(void *);
	void *t_arg;
	enum task_state t_state;
	uint64_t t_deadline;       /* while waiting */
	struct machine *t_machine; /* while waiting: whose events, */
	uint64_t t_cpus;           /* and of which CPUs */
	struct quern_seat *t_seat; /* and where */
	uint64_t t_prio;           /* PCT: the highest runs */
	unsigned t_spins;          /* in a row, with nobody else able to run */
	struct machine *t_runner;  /* it is a runner thread of this machine */
	void *t_sp;
	void *t_stack;     /* NULL once given back */
	struct qsan t_own; /* of its own stack */
	struct qsan t_san; /* of the stack it was suspended on */
};

/* An event that will be delivered. */
struct pending {
	struct pending *p_next;
	struct machine *p_machine;
	struct quern_event *p_ev;
	int64_t p_result;
	uint64_t p_due;
	uint64_t p_seq; /* ties go by age */
};

struct area {
	struct area *a_next, **a_prevp;
	void *a_base; /* of the whole mapping, guard included */
	size_t a_len;
	void *a_given;
};

struct chan_end;

/* One kernel's host. */
struct machine {
	struct quern_sim *m_w;
	struct machine *m_next, **m_prevp;
	const struct quern_upcalls *m_up;
	void *m_core; /* the cookie of upcalls */
	size_t m_corelen;
	unsigned m_ncpu;
	unsigned m_id;
	char m_name[32];
	struct area *m_areas;
	void *m_ram;
	size_t m_ramlen;
	struct task *m_runner[QUERN_MAXCPU];
	struct chan_end *m_chan[16];
	struct quern_sim_disk *m_disk[64];
};

struct quern_sim_disk;

/* The ends of a loop: channel have one of these each. */
struct chan_end {
	char ce_name[32];
	struct machine *ce_machine;
	struct chan_end *ce_peer;
	struct chan_end *ce_next; /* w_chans: those without a peer */
	struct quern_event *ce_rev, *ce_wev;
	bool ce_hungup;         /* the peer has closed */
	size_t ce_head, ce_len; /* bytes that wait to be read here */
	uint8_t ce_buf[4096];
};

struct quern_sim {
	struct quern_sim_config w_cfg;
	uint64_t w_sched[4]; /* xoshiro256**: decisions */
	uint64_t w_bytes[4]; /* random(), latencies, workloads */
	uint64_t w_now, w_steps, w_hash;
	uint64_t w_due; /* no task's deadline is earlier */
	uint64_t w_failable, w_failed, w_fail_match, w_kicks;
	uint64_t w_pct_low;    /* next priority of a demoted task */
	uint64_t w_change[16]; /* PCT: steps of change, sorted */
	unsigned w_nchange, w_ichange;
	unsigned w_ntask, w_nlive;
	struct task *w_task[TASK_MAX];
	unsigned w_nready;
	unsigned w_ready[TASK_MAX]; /* ids, ascending */
	struct task *w_current;     /* NULL: the runner of quern_sim_run */
	void *w_sp;
	struct qsan w_san;
	struct qsan *w_from; /* the stack that was left last */
	int w_result;
	struct machine *w_machines;
	unsigned w_nmachine;
	struct pending *w_pending; /* by due time, then age */
	uint64_t w_pendseq;
	struct chan_end *w_chans;
	struct quern_sim_disk *w_disks;
};

/* ---- sim.c ----------------------------------------------------------- */

extern const struct quern_hyper sim_hyper;

uint64_t rng_next(uint64_t s[4]);
/* In [0, n), n > 0. */
uint64_t rng_below(uint64_t s[4], uint64_t n);

/* Mix a value into the trace hash: never an address. */
static inline void
hash_mix(struct quern_sim *w, uint64_t x)
{
	w->w_hash = (w->w_hash ^ x) * UINT64_C(0x9e3779b97f4a7c15);
	w->w_hash ^= w->w_hash >> 29;
}

/* Is this the call of entry `name` that must fail?  Counts it. */
bool sim_fails(struct quern_sim *w, const char *name);

/* A line of the world's own log. */
void sim_log(struct quern_sim *w, int level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- task.c ---------------------------------------------------------- */

struct task *task_make(struct quern_sim *w, const char *name,
    void (*fn)(void *), void *arg);
/* A decision: who goes on. */
void task_decide(struct quern_sim *w, enum quern_yield why);
/* Wait until made ready by task_ready, or `deadline`. */
void task_wait(struct quern_sim *w, uint64_t deadline);
void task_ready(struct task *t);
void task_free_stack(struct task *t);

/* ---- idle.c ---------------------------------------------------------- */

/* Have `ev` delivered to its CPU in `delay` ns of virtual time. */
int pending_add(struct machine *m, struct quern_event *ev, int64_t result,
    uint64_t delay);
void pending_drop(struct machine *m, struct quern_event *ev);
/* When the earliest undelivered event is due. */
uint64_t pending_next(const struct quern_sim *w);
/* Wake the tasks that wait for events that are due by now. */
void pending_wake(struct quern_sim *w);

/* ---- the table's entries, by file ------------------------------------- */

int sim_begin(void *arg, const struct quern_machine *m,
    const struct quern_upcalls *up, void **ctxp, void **corep);
void sim_end(void *ctx);
int sim_map(void *ctx, size_t len, size_t align, unsigned flags, void **pp);
void sim_unmap(void *ctx, void *p, size_t len);
int sim_ram_create(void *ctx, size_t len, void **basep);
int sim_ram_discard(void *ctx, uint64_t off, size_t len);
int sim_clock_read(void *ctx, enum quern_clock clock, uint64_t *nsp);
int sim_clock_params(void *ctx, struct quern_clock_params *cp);
int sim_random(void *ctx, void *buf, size_t len);
void sim_log_line(void *ctx, enum quern_log_level level, const char *s,
    size_t len);
int64_t sim_param(void *ctx, const char *name, void *buf, size_t len);
int sim_cpu_start(void *ctx, unsigned runner, int pin);
int sim_cpu_stop(void *ctx, unsigned runner);
int sim_cpu_idle(void *ctx, struct quern_seat *seat, uint64_t cpus,
    uint64_t deadline);
void sim_cpu_kick(void *ctx, struct quern_seat *seat);
int sim_cpu_fence(void *ctx);
void sim_cpu_yield(void *ctx, enum quern_yield why);
int sim_blk_open(void *ctx, const char *name, unsigned flags,
    struct quern_blk_info *info, uint32_t *idp);
void sim_blk_close(void *ctx, uint32_t id);
int sim_blk_submit(void *ctx, unsigned cpu, struct quern_blk_op *ops,
    unsigned n);
int sim_net_open(void *ctx, const char *name, struct quern_net_info *info,
    uint32_t *idp);
void sim_net_close(void *ctx, uint32_t id);
int sim_net_send(void *ctx, unsigned cpu, uint32_t id, struct quern_packet *p,
    unsigned n, struct quern_event *ev);
int sim_net_recv(void *ctx, unsigned cpu, uint32_t id, struct quern_packet *p,
    unsigned n, struct quern_event *ev);
int sim_chan_open(void *ctx, const char *name, uint32_t *idp);
void sim_chan_close(void *ctx, uint32_t id);
int64_t sim_chan_read(void *ctx, unsigned cpu, uint32_t id, void *buf,
    size_t len, struct quern_event *ev);
int64_t sim_chan_write(void *ctx, unsigned cpu, uint32_t id, const void *buf,
    size_t len, struct quern_event *ev);
int sim_vm_create(void *ctx, uint32_t id);
int sim_vm_destroy(void *ctx, uint32_t id);
int sim_vm_update(void *ctx, unsigned cpu, uint32_t id,
    const struct quern_vm_op *ops, unsigned n);
int sim_vm_run(void *ctx, unsigned cpu, uint32_t id, struct quern_seat *seat,
    struct quern_vmframe *f, uint64_t deadline);

/* Free what a machine owns; events are not delivered. */
void machine_free(struct machine *m);
void mem_free_all(struct machine *m);
void chan_free_all(struct machine *m);
void disk_close_all(struct machine *m);

#endif /* QUERN_SIM_IMPL_H */
