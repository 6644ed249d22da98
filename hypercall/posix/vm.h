/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the vmspace calls share: vmspace.c (update),
 * vmcreate.c (create, destroy), vmrun.c (run, kick), vmturn.c (whose turn it is), vmwarden.c (birth,
 * death, deadlines), vmfilter.c (what a stub may do), vmtrace.c (without a filter), vmstub.S (the stub).
 *
 * Letters at members:	[I] constant while the vmspace exists; [a] atomic;
 *			[h] vh_lock; [v] v_lock; [o] whoever set v_state to
 *			other than idle.
 * Lock order: vh_birthlock, vh_lock, v_lock; leaves otherwise.
 */
#ifndef QUERN_POSIX_VM_H
#define QUERN_POSIX_VM_H

#include <sys/types.h>

#include "impl.h"
#include "vmstub.h"

#define VM_NSLOT   4096u /* vmspaces of a machine */
#define VM_NHASH   256u
#define STOP_WORDS ((STOP_MASK + 1) / 64)
#define VM_NKEPT   16u /* processes without one, for the next */

/* The first page of a slot.  Guest code may write all of it at any time. */
struct comm {
	_Atomic uint32_t c_turn;   /* 0 the host's, 1 the stub's */
	_Atomic uint32_t c_gate;   /* where a stub is held, see vmturn.c */
	_Atomic uint32_t c_hsleep; /* the host sleeps on c_turn */
	_Atomic uint32_t c_ssleep; /* the stub does */
	uint32_t c_spins;          /* looks before it yields */
	uint32_t c_yields;         /* yields before it sleeps */
	uint32_t c_left;           /* of these */
	_Atomic uint32_t c_pend;   /* a kick came while the stub ran */
	uint32_t c_resume;         /* RESUME_*, after the operations */
	uint32_t c_nops, c_opi;    /* operations, and how many are done */
	uint32_t c_operr;          /* one failed */
	uint32_t c_sig;            /* what stopped the guest: a signal,
	                              STOP_CALL, or 0 */
	_Atomic uint32_t c_hold;   /* don't spin or yield: sleep */
	uint64_t c_uc, c_info;     /* its frame, addresses in the stub */
	uint64_t c_sp, c_fp;
	uint64_t c_fsbase, c_gsbase;
	uint64_t c_reg[16];
	uint64_t c_rip, c_rflags;
	uint64_t c_xmask;              /* the components to load */
	uint64_t c_sleepy[STOP_WORDS]; /* see vmturn.c */
};

/* A system call for the stub, or for a child on its way to it. */
struct stub_op {
	uint64_t o_nr;
	uint64_t o_arg[6];
	uint64_t o_ret; /* a child's: the result that it must have, or 0 */
};

/* How a child is made, and what became of that. */
struct spawn {
	uint64_t s_flags;
	int32_t s_pidfd, s_pad;
	int64_t s_error; /* of its list */
	const struct stub_op *s_ops;
	int64_t s_nops;
};

/* What is said to the nurse, and by it; see vmwarden.c. */
struct nurse {
	_Atomic uint32_t n_word; /* 1: make a child, 2: done */
	uint32_t n_pad;
	struct spawn n_self;
	int64_t n_pid; /* of the child, or -errno */
	struct spawn n_child;
};

enum stub_offset {
	STUB_HANDLER,
	STUB_RESTORER,
	STUB_S1,
	STUB_S2,
	STUB_CALL,
	STUB_NOFF
};

enum vm_state {
	VM_IDLE = 0,
	VM_RUNNING, /* in vm_run */
	VM_UPDATING /* in vm_update, or being made or destroyed */
};

/* Secrets by which the filter knows the host's operations; see vmfilter.c. */
#define VM_NSECRET 3

struct vmspace {
	struct vmspace *v_hash; /* [h] */
	uint32_t v_index;       /* [I] in vh_slot */
	bool v_used;            /* [h] */
	bool v_kept;            /* [h] not used, but has a process: emptied */
	bool v_watched;         /* [h] by the warden: it has a process */
	uint32_t v_birth; /* [h] of its process, for late news of a death */
	uint32_t v_gen;   /* [h] of v_used */
	uint32_t v_id;    /* [I] the caller's */
	pid_t v_pid;      /* [I] for sched_setaffinity only */
	int v_pidfd;      /* [I] */
	unsigned char *v_slot;         /* [I] our mapping of the slot */
	uint32_t v_secret[VM_NSECRET]; /* [I] */
	unsigned v_weak;               /* [I] pc_weaken */
	struct tracer *v_tracer;       /* [I] or NULL: it has a filter */

	pthread_mutex_t v_lock;
	pthread_cond_t v_cond;       /* v_state became idle, v_updaters 0 */
	enum vm_state v_state;       /* [v] */
	unsigned v_updaters;         /* [v] wait for it to be idle */
	_Atomic uint32_t v_stop;     /* [a] leave vm_run, an updater waits */
	_Atomic uint32_t v_dead;     /* [a] its process ended or was killed */
	_Atomic uint64_t v_deadline; /* [a] of the present run */
	_Atomic uint32_t v_overdue;  /* [a] the warden kicked it */
	_Atomic uint32_t v_kicked;   /* [a] a signal was sent since it ran */

	bool v_held;         /* [o] the stub has not run guest code since it was
	                        last known to be in its own */
	bool v_gated;        /* [o] it sleeps on c_gate */
	uint64_t v_owner;    /* [o] f_host[0] of the frame whose extended state
	                        is in the slot ... */
	uint64_t v_fp, v_sp; /* [o] ... and where; what the stack must spare */
	bool v_live;         /* [o] or it is still in the stub's registers */
	int v_cpu;           /* [o] host CPU that the stub is kept on, or -1 */
	unsigned v_handover; /* [o] enum quern_posix_handover of this turn */
	unsigned v_stopped;  /* [o] the kind of its last stop */

	struct quern_vm_op v_pend[STUB_NOPS]; /* [v] changes for the next run */
	unsigned v_npend;                     /* [v] */
};

/* What a machine has for its guests. */
struct vmhost {
	struct machine *vh_m;   /* [I] */
	int vh_stubfd;          /* [I] the stub's program */
	int vh_epfd, vh_wakefd; /* [I] */
	pthread_t vh_warden;    /* [I] */
	size_t vh_xsavelen;     /* [I] bytes of extended state ... */
	uint64_t vh_xmask;      /* [I] ... and its components */

	pthread_mutex_t vh_birthlock;  /* one birth at a time; goes first */
	struct nurse vh_nurse;         /* its; n_self and the word's end [I] */
	struct stub_op vh_nurseops[3]; /* [I] n_self's list */
	pid_t vh_nursepid;             /* [I] */
	_Atomic uint32_t vh_nursedead; /* [a] */

	pthread_mutex_t vh_lock;
	pthread_cond_t vh_cond;            /* vh_ready */
	bool vh_ready, vh_quit;            /* [h] the warden is, should */
	int vh_error;                      /* [h] why it is not */
	struct vmspace *vh_hash[VM_NHASH]; /* [h] by v_id */
	uint32_t vh_nslot;                 /* [h] slots that were ever used */
	uint32_t vh_nkept;                 /* [h] of v_kept */
	struct vmspace *_Atomic vh_slot[VM_NSLOT]; /* [a] kept until the end */

	_Atomic uint64_t vh_next;    /* [a] when the warden looks next */
	_Atomic uint64_t vh_runs;    /* [a] numbers for v_owner */
	_Atomic uint32_t vh_kicking; /* [a] threads in host_vm_kick */
	_Atomic uint64_t vh_sleepy[STOP_WORDS];  /* [a] see vmturn.c */
	_Atomic uint8_t vh_level[STOP_MASK + 1]; /* [a] the same */
};

extern const unsigned char host_stub_image[], host_stub_image_end[];
extern const uint32_t host_stub_offset[STUB_NOFF];
int64_t host_nurse_start(struct nurse *);

static inline struct comm *
vm_comm(const struct vmspace *v)
{
	return (struct comm *)(void *)v->v_slot;
}

/* vmspace.c */

/* Where `id` is in vh_hash, or where it would be.  vh_lock is held. */
struct vmspace **host_vm_slot(struct vmhost *, uint32_t id);

/* The vmspace `id` with its v_lock held, or NULL. */
struct vmspace *host_vm_find(struct vmhost *, uint32_t id);

/*
 * Get vmspace `id` for `state`, waiting for those who change it; an updater
 * interrupts a run.  -ENOENT, -EBUSY (running, and not an updater or it does not
 * stop).
 */
int host_vm_enter(struct vmhost *, uint32_t id, enum vm_state state,
    bool updater, struct vmspace **);
void host_vm_leave(struct vmspace *);

/*
 * Have nothing mapped, and forget what waits.  `now`: rather than by its next
 * run.  0, -EIO: it does not answer.
 */
int host_vm_clear(struct vmhost *, struct vmspace *, bool now);

/* Take the changes that wait; how many. */
unsigned host_vm_take(struct vmspace *, struct quern_vm_op ops[STUB_NOPS]);

/* vmwarden.c */
int host_warden_start(struct vmhost *);
void host_warden_stop(struct vmhost *);

/* Make v's process.  Errors of vm_create. */
int host_warden_birth(struct vmhost *, struct vmspace *, int slotfd);

/* v_deadline is `deadline` now: see to it that the warden knows. */
void host_warden_deadline(struct vmhost *, uint64_t deadline);

/* The process is about to be ended and its descriptor closed. */
void host_warden_unwatch(struct vmhost *, struct vmspace *);

/* vmturn.c */

/* Interrupt the stub and whoever waits for it.  Signal-safe. */
void host_turn_kick(struct vmspace *);

/* Wait until the host's kernel has taken the process apart. */
void host_turn_await_death(struct vmspace *);

/* Kill it; it is dead for us at once. */
void host_turn_kill(struct vmspace *);

/*
 * Give the turn to the stub and wait until it comes back.  `word` is that of
 * the seat that may be kicked, or NULL.  0, or -EIO: the process is dead.
 */
int host_turn_pass(struct vmhost *, struct vmspace *, const uint64_t *word);

/* It has stopped, or is about to run; see vmturn.c. */
void host_turn_stopped(struct vmspace *, unsigned kind);
void host_turn_learn(struct vmhost *, struct vmspace *);

/*
 * Make sure that the stub is in its own code and will stay there until it is
 * told to resume.  0, or -EIO.
 */
int host_turn_hold(struct vmhost *, struct vmspace *);

/* vmfilter.c */

#define FILTER_MAX 160u /* instructions */

/* The program, and where it goes: at most `max` instructions. */
struct sock_filter;
unsigned host_filter_make(const struct vmspace *, struct sock_filter *,
    unsigned max);

/* What the program of `n` instructions answers, as the host's kernel runs it. */
struct seccomp_data;
uint32_t host_filter_run(const struct sock_filter *, unsigned n,
    const struct seccomp_data *);

/* One operation on the address space, secrets and all. */
void host_filter_op(const struct vmspace *, const struct quern_vm_op *,
    struct stub_op *);

/* vmtrace.c */

/* Trace v's process, which has no filter.  -ENOMEM, -EAGAIN, -EOPNOTSUPP. */
int host_trace_start(struct vmspace *);

/* The process has been killed: let go of it, if it was traced. */
void host_trace_stop(struct vmspace *);

#endif /* QUERN_POSIX_VM_H */
