/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host that is a simulator.
 *
 * A *world* holds any number of kernels, a virtual clock, and *tasks*: the
 * coroutines that stand for host threads, of which one runs at a time.  Every
 * hypercall that lets another go first, every lock and every wake-up in a
 * kernel is a decision, drawn from one seed.  Same seed, same binary: same
 * run, same hash, on any machine.
 *
 *	struct quern_sim_config sc = { .seed = 42 };
 *	quern_sim_create(&sc, &w);
 *	quern_sim_task(w, "client", body, arg);	body: quern_create with
 *						.host = quern_sim_host(w), ...
 *	error = quern_sim_run(w);
 *	quern_sim_destroy(w);
 *
 * Only tasks may enter the kernels of a world.  A world is used by one host
 * thread at a time; different worlds are independent.
 */
#ifndef QUERN_SIM_H
#define QUERN_SIM_H

#include <quern/hypercall.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quern_sim;

enum quern_sim_policy {
	QUERN_SIM_RANDOM = 0, /* each decision picks any that can run */
	QUERN_SIM_PCT         /* random priorities, few random changes */
};

/* The hypercalls that a config can make fail; see fail_call. */
struct quern_sim_config {
	uint64_t seed;
	enum quern_sim_policy policy;
	unsigned pct_changes; /* PCT: priority changes; 0: 3 */
	uint64_t pct_length;  /* PCT: steps among which they fall; 0: 1,000 */

	uint64_t max_steps; /* decisions before the run is given up; 0: 2^40 */

	/*
	 * The fail_n-th hypercall that can fail (0: none) does: the n-th of the
	 * entry named fail_call ("map"), or of all when that is NULL.
	 */
	const char *fail_call;
	uint64_t fail_n;

	/* The lose_kick-th cpu_kick is lost (0: none): a planted bug. */
	uint64_t lose_kick;

	/* Log lines; NULL: standard error. */
	void (*log)(void *arg, int level, const char *line);
	/* Told of every decision, for looking at a run. */
	void (*trace)(void *arg, uint64_t step, uint64_t now_ns,
	    const char *task, enum quern_yield why);
	void *arg;
};

/* Make a world.  -ENOMEM, -EINVAL. */
int quern_sim_create(const struct quern_sim_config *cfg, struct quern_sim **wp)
    __attribute__((warn_unused_result));

/*
 * End it, with whatever its kernels and tasks still own: also in the middle of
 * a run that went wrong.  Not from one of its tasks.
 */
void quern_sim_destroy(struct quern_sim *w);

/* A host for quern_config; any number of kernels may be made with it. */
struct quern_host quern_sim_host(struct quern_sim *w);

/*
 * Add a task that runs fn(arg); from outside a run or from another task.
 * `name` is kept.  -ENOMEM, -EAGAIN (over 1,000).
 */
int quern_sim_task(struct quern_sim *w, const char *name, void (*fn)(void *),
    void *arg) __attribute__((warn_unused_result));

/*
 * Disks.  A kernel of the world opens one as "sim:NAME".
 *
 * A disk is a medium and, in front of it, what has been written and not flushed.
 * The config declares what the medium guarantees; crashing draws one of the
 * states that those guarantees allow.
 */
struct quern_sim_disk;

struct quern_sim_disk_config {
	uint64_t size;   /* bytes, a multiple of `sector` */
	uint32_t sector; /* 512 .. 4096; 0: 512 */
	uint32_t atomic; /* bytes of a write that are never torn; 0: a sector */
	int cache;       /* writes are volatile until a flush, or FUA */
	int reorder;     /* the cache is written back in any order */
	int discard;     /* it understands discard; reads zero afterwards */
	int rdonly;
	int shared; /* many may write to it, as to a disk on a network */
	uint64_t latency_ns; /* an operation takes up to this; 0: no time */

	/* Faults: one in so many operations of the kind; 0: none. */
	uint32_t eio_read, eio_write;
	uint32_t eio_flush;   /* and nothing has been made safe */
	uint32_t lost_write;  /* acknowledged, never done */
	uint32_t misdirected; /* done somewhere else */
	uint32_t bit_rot;     /* a read finds a bit flipped, for good */

	/* What it holds at first, `imagelen` bytes; NULL: zeroes.  Copied. */
	const void *image;
	size_t imagelen;

	/*
	 * Told of every write and discard while it is under way, when a crash
	 * may tear it: it may fork, crash and read the disk, but not enter a
	 * kernel.  Not of those to disks made from this one.  NULL: nobody.
	 */
	void (*watch)(void *arg, struct quern_sim_disk *d);
	void *arg;
};

/* What has happened to a disk. */
struct quern_sim_disk_stats {
	uint64_t ds_reads, ds_writes, ds_flushes, ds_discards;
	uint64_t ds_faults;  /* injected */
	uint64_t ds_pending; /* writes that a crash may lose, now */
};

/*
 * Make a disk under a name of its own (copied, under 32 bytes).  It belongs to
 * the world.  -ENOMEM, -EINVAL, -EEXIST.
 */
int quern_sim_disk(struct quern_sim *w, const char *name,
    const struct quern_sim_disk_config *cfg, struct quern_sim_disk **dp)
    __attribute__((warn_unused_result));

/* Remove it; no kernel may have it open. */
void quern_sim_disk_destroy(struct quern_sim_disk *d);

/*
 * Have the power fail at the n-th write from now (1: the next): it and all that
 * follows is answered -EIO, and is on the medium or not as the guarantees say.
 * 0: no cut.
 */
void quern_sim_disk_cut(struct quern_sim_disk *d, uint64_t n);

/* Has that happened? */
int quern_sim_disk_is_cut(const struct quern_sim_disk *d);

/*
 * Make disk `name` from a state of `d` that may survive a crash now, drawn by
 * `seed`: seed 0 loses all that may be lost, 1 nothing.  Shares pages with `d`,
 * which goes on as it was.  -ENOMEM, -EEXIST.
 */
int quern_sim_disk_crash(struct quern_sim_disk *d, uint64_t seed,
    const char *name, struct quern_sim_disk **dp)
    __attribute__((warn_unused_result));

/*
 * quern_sim_disk_states says how many states of `d` may survive a crash now,
 * UINT64_MAX if they are 2^63 or more; quern_sim_disk_state makes disk `name` from
 * the index-th, as quern_sim_disk_crash does.  State 0 has nothing that may be
 * lost, the last has all.  Different indices are different survivals, though the
 * contents may be the same.  -EINVAL (index, too many), -ENOMEM, -EEXIST.
 */
uint64_t quern_sim_disk_states(const struct quern_sim_disk *d);
int quern_sim_disk_state(struct quern_sim_disk *d, uint64_t index,
    const char *name, struct quern_sim_disk **dp)
    __attribute__((warn_unused_result));

/*
 * Make disk `name` as `d` is now, with its config, what is pending and a cut
 * that is to come; both go on for themselves.  It shares pages with `d` and is
 * not open.  -ENOMEM, -EEXIST, -EINVAL (name).
 */
int quern_sim_disk_fork(struct quern_sim_disk *d, const char *name,
    struct quern_sim_disk **dp) __attribute__((warn_unused_result));

/*
 * quern_sim_disk_read and quern_sim_disk_write get at its contents behind the
 * kernels' backs.  Reading sees what is pending; what is written is safe at
 * once (`safe`), or pending like a kernel's write.  -EINVAL (range),
 * -ENOMEM.
 */
int quern_sim_disk_read(struct quern_sim_disk *d, uint64_t off, void *buf,
    size_t len);
int quern_sim_disk_write(struct quern_sim_disk *d, uint64_t off,
    const void *buf, size_t len, int safe);

/*
 * A hash of what is on the medium, without what is pending: as good as always,
 * disks with the same contents have the same and others don't.  Cheap: what
 * forks share is hashed once.
 */
uint64_t quern_sim_disk_hash(struct quern_sim_disk *d);

/* Counters. */
void quern_sim_disk_stats(const struct quern_sim_disk *d,
    struct quern_sim_disk_stats *st);

/*
 * Run until every task has ended, or only runner threads of kernels are left
 * and wait.  -EDEADLK: nobody can run and nothing will happen (the log says who
 * waits); -ETIME: max_steps; the world can only be destroyed then.
 */
int quern_sim_run(struct quern_sim *w) __attribute__((warn_unused_result));

/*
 * In a task: quern_sim_yield lets others run, quern_sim_sleep waits for `ns` of
 * virtual time.
 */
void quern_sim_yield(struct quern_sim *w);
void quern_sim_sleep(struct quern_sim *w, uint64_t ns);

/*
 * quern_sim_now is the virtual clock, quern_sim_steps the decisions so far,
 * quern_sim_hash the hash of all so far, quern_sim_seed the seed.
 */
uint64_t quern_sim_now(const struct quern_sim *w);
uint64_t quern_sim_steps(const struct quern_sim *w);
uint64_t quern_sim_hash(const struct quern_sim *w);
uint64_t quern_sim_seed(const struct quern_sim *w);

/*
 * quern_sim_failable counts the hypercalls so far that could have failed,
 * quern_sim_failed those that did as the config asked (at most 1).
 */
uint64_t quern_sim_failable(const struct quern_sim *w);
uint64_t quern_sim_failed(const struct quern_sim *w);

/* A random number of the world, in [0, below); 0: any.  For workloads. */
uint64_t quern_sim_random(struct quern_sim *w, uint64_t below);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_SIM_H */
