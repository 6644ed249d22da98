/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of hypercall/posix share.
 *
 * Letters at members:	[I] set in begin(), then constant; [a] atomic;
 *			[m] machine's m_lock; [c] channel's ch_lock;
 *			[o] whoever holds c_reaping.
 * Lock order: ch_lock, m_lock, r_lock of a ring.  Each is held for a bounded
 * number of steps that do not wait.
 */
#ifndef QUERN_POSIX_IMPL_H
#define QUERN_POSIX_IMPL_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "posix.h"

#define HOST_NCHAN  256u /* channels of a machine */
#define HOST_NDISK  64u  /* disks of a machine */
#define HOST_MAXCPU QUERN_MAXCPU

#define NS_PER_SEC UINT64_C(1000000000)
#define NS_PER_MS  UINT64_C(1000000)

/* Directions of a channel. */
enum { DIR_READ = 0, DIR_WRITE = 1, DIR_N = 2 };

/* The state of a seat, s_word[0]; see idle.c. */
enum seat_state {
	SEAT_EMPTY = 0,
	SEAT_KICKED = 1, /* a kick waits to be noticed */
	SEAT_FUTEX = 2,  /* its owner sleeps on the word */
	SEAT_POLL = 3,   /* its owner sleeps in the machine's epoll */
	SEAT_GUEST = 4 /* its owner runs a guest; which, is SEAT_INDEX times */
};

#define SEAT_MASK  UINT64_C(0xff)
#define SEAT_INDEX UINT64_C(0x100)

/* Where the events of a CPU come from, c_backend. */
enum backend { BACKEND_NONE = 0, BACKEND_RING, BACKEND_POLLER };

struct ring;
struct poller;
struct bdev;
struct blkworker;
struct chan;
struct vmhost;

/* What the host keeps for a virtual CPU. */
struct hcpu {
	_Atomic uint32_t c_backend;  /* [a] enum backend; set under m_lock */
	_Atomic uint32_t c_inflight; /* [a] completions its ring still owes */
	_Atomic uint32_t c_reaping;  /* [a] try-lock: someone empties it */
	struct quern_event *_Atomic c_done; /* [a] posted, newest first */
	struct ring *c_ring;                /* with BACKEND_RING */
} __attribute__((aligned(64)));

/* A host thread that cpu_start made. */
struct runner {
	struct machine *r_m;
	unsigned r_index;
	bool r_started; /* [m] */
	pthread_t r_thread;
};

/* What begin() makes: `ctx` of every hypercall. */
struct machine {
	const struct quern_posix_config *m_config; /* [I] */
	const struct quern_upcalls *m_up;          /* [I] */
	void *m_core;     /* [I] the kernel's memory, cookie of the upcalls */
	size_t m_corelen; /* [I] */
	char m_name[32];  /* [I] */
	unsigned m_ncpu;  /* [I] */
	cpu_set_t m_allowed; /* [I] host CPUs that the process may use ... */
	unsigned m_hostcpus; /* [I] ... and how many */
	uint64_t m_tsc0, m_mono0; /* [I] one instant on both clocks */
	_Atomic uint32_t m_tsc;   /* [a] whether to trust it, once asked */

	pthread_mutex_t m_lock;

	/* Who waits with a set of CPUs; see idle.c. */
	struct quern_seat *_Atomic m_waiter; /* [a] */
	_Atomic uint64_t m_waitcpus;         /* [a] */

	_Atomic int m_epfd; /* [a] rings and m_kickfd, or -1; set under [m] */
	int m_kickfd;       /* ends an epoll wait; valid with m_epfd */
	_Atomic int
	    m_pollfd;  /* [a] what param "pollfd" gives, or -1; set [m] */
	int m_postfd;  /* readable while an event is posted */
	int m_timerfd; /* readable from m_announced on */
	_Atomic uint32_t m_posted;    /* [a] m_postfd is to be drained */
	_Atomic uint64_t m_announced; /* [a] of m_timerfd; set under m_lock */

	struct poller *_Atomic m_poller; /* [a] set under m_lock */

	int m_ramfd;     /* [m] or -1: none, or private */
	void *m_ram;     /* [m] */
	size_t m_ramlen; /* [m] */
	struct chan *_Atomic m_chan[HOST_NCHAN]; /* [a] kept until end() */
	struct vmhost *_Atomic m_vm;             /* [a] set under m_lock */
	struct bdev *_Atomic m_bdev[HOST_NDISK]; /* [a] set under m_lock */
	struct blkworker *_Atomic m_blkworker;   /* [a] set under m_lock */
	struct runner m_runner[HOST_MAXCPU];
	struct hcpu m_cpu[];
};

/* errno as a hypercall's answer.  Here both sides' numbers are Linux's. */
static inline int
host_error(void)
{
	return errno > 0 ? -errno : -EIO;
}

static inline void
cpu_relax(void)
{
	__builtin_ia32_pause();
}

/* Nanoseconds on QUERN_CLOCK_MONOTONIC. */
uint64_t host_now(void);

/* Move `fd`, which is taken, to a number above `low`.  -EMFILE. */
int host_fd_above(int fd, int low);

/* write() that gives -EPIPE instead of a SIGPIPE, which the caller's is. */
int64_t host_write_nosigpipe(int fd, const void *buf, size_t len);

/*
 * pthread_create with every signal blocked.  `pin` >= 0: on that host CPU.
 * -EAGAIN, -EINVAL.
 */
int host_thread_start(pthread_t *tp, const char *name, int pin,
    void *(*fn)(void *), void *arg);

/* mem.c */
int host_map(void *, size_t, size_t, unsigned, void **);
void host_unmap(void *, void *, size_t);
int host_ram_create(void *, size_t, void **);
int host_ram_discard(void *, uint64_t, size_t);
void host_ram_destroy(struct machine *);

/* clock.c */
int host_clock_read(void *, enum quern_clock, uint64_t *);
int host_clock_params(void *, struct quern_clock_params *);
void host_clock_begin(struct machine *);

/* cpu.c */
int host_cpu_start(void *, unsigned, int);
int host_cpu_stop(void *, unsigned);
void host_cpu_yield(void *, enum quern_yield);
int host_cpu_fence(void *);

/* idle.c */
int host_cpu_idle(void *, struct quern_seat *, uint64_t, uint64_t);
void host_cpu_kick(void *, struct quern_seat *);

/* The word of a seat. */
static inline uint64_t *
seat_word(struct quern_seat *seat)
{
	return &seat->s_word[0];
}

/*
 * event.c: events on their way to cpu_idle.
 *
 * host_event_poll arms: when `fd` has one of `mask` (POLLIN, POLLOUT), take
 * the event that host_chan_take(m, `key`) names and deliver it to `cpu`.
 * -ENOMEM, -EMFILE, -EAGAIN.  host_event_unpoll gives up; the event may already
 * be on its way, host_chan_take must refuse a key that is no longer armed.
 * `ring` is what host_event_poll said through *ringp.
 */
int host_event_poll(struct machine *, unsigned cpu, int fd, short mask,
    uint64_t key, bool *ringp);
void host_event_unpoll(struct machine *, unsigned cpu, int fd, uint64_t key,
    bool ring);

/* The back end of `cpu`, made if need be: enum backend or -errno. */
int host_event_backend(struct machine *, unsigned cpu);

/* Queue `ev` for delivery by cpu_idle; never waits, may wake a waiter. */
void host_event_post(struct machine *, struct quern_event *, int64_t result);

/* Deliver what is ready for the CPUs in the set; how many. */
int host_event_reap(struct machine *, uint64_t cpus);

/* Is anything ready for them?  May miss what comes at the same time. */
bool host_event_ready(struct machine *, uint64_t cpus);

/* Does a ring owe a completion to one of them? */
bool host_event_inflight(struct machine *, uint64_t cpus);

/* End the present wait of a set that has `cpu` in it, if it sleeps. */
void host_event_nudge(struct machine *, unsigned cpu, bool futex_only);

/* The fd for param "pollfd".  -EMFILE, -ENOMEM. */
int host_event_pollfd(struct machine *);

/* Say when the pollfd is to be readable and drain what was noticed. */
void host_event_announce(struct machine *, uint64_t deadline);

void host_event_end(struct machine *);

/* ring.c, or noring.c without liburing */
int host_ring_open(struct machine *, unsigned cpu, struct ring **);
void host_ring_close(struct machine *, unsigned cpu);
int host_ring_fd(const struct ring *);
int host_ring_poll(struct machine *, unsigned cpu, int fd, short mask,
    uint64_t key);
void host_ring_unpoll(struct machine *, unsigned cpu, uint64_t key);
bool host_ring_ready(struct ring *);
int host_ring_reap(struct machine *, unsigned cpu);

/* poller.c */
int host_poller_poll(struct machine *, int fd, short mask, uint64_t key);
void host_poller_unpoll(struct machine *, int fd);
void host_poller_end(struct machine *);

/* chan.c, chanopen.c */
int host_chan_open(void *, const char *, uint32_t *);
void host_chan_close(void *, uint32_t);
int64_t host_chan_read(void *, unsigned, uint32_t, void *, size_t,
    struct quern_event *);
int64_t host_chan_write(void *, unsigned, uint32_t, const void *, size_t,
    struct quern_event *);
void host_chan_end(struct machine *);
void host_chan_free(struct machine *);

/* The event armed under `key`, which is disarmed, or NULL. */
struct quern_event *host_chan_take(struct machine *, uint64_t key);

/* Parameter of a channel, "pty" or "tcp": a malloc()ed string or NULL. */
char *host_chan_param(struct machine *, const char *kind, uint32_t id);

/* param.c */
int64_t host_param(void *, const char *, void *, size_t);
int host_random(void *, void *, size_t);
void host_log(void *, enum quern_log_level, const char *, size_t);

/* blk.c, net.c */
int host_blk_open(void *, const char *, unsigned, struct quern_blk_info *,
    uint32_t *);
void host_blk_close(void *, uint32_t);
int host_blk_submit(void *, unsigned, struct quern_blk_op *, unsigned);
void host_blk_end(struct machine *);

/* How many bytes the disk with that number, in decimal, has now.  -ENOENT. */
int64_t host_blk_size(struct machine *, const char *id);

int host_net_open(void *, const char *, struct quern_net_info *, uint32_t *);
void host_net_close(void *, uint32_t);
int host_net_send(void *, unsigned, uint32_t, struct quern_packet *, unsigned,
    struct quern_event *);
int host_net_recv(void *, unsigned, uint32_t, struct quern_packet *, unsigned,
    struct quern_event *);

/* vmspace.c */
int host_vm_create(void *, uint32_t);
int host_vm_destroy(void *, uint32_t);
int host_vm_update(void *, unsigned, uint32_t, const struct quern_vm_op *,
    unsigned);
int host_vm_run(void *, unsigned, uint32_t, struct quern_seat *,
    struct quern_vmframe *, uint64_t);
void host_vm_end(struct machine *);

/*
 * If the word of a seat says that its owner runs a guest, kick that.  False:
 * it no longer does.  Signal-safe.
 */
bool host_vm_kick(struct machine *, uint64_t *word);

/*
 * Bytes of extended state, which vm_run needs for f_xsave, and the components
 * in it; 0: there can be no guests here.
 */
size_t host_vm_xsave(uint64_t *maskp);

/* Parameter "vm.call", or 0. */
uint64_t host_vm_call(const struct machine *);

#endif /* QUERN_POSIX_IMPL_H */
