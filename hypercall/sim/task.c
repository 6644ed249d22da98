/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tasks: coroutines, and the decisions who runs.
 *
 * A task is READY, WAITING or ENDED; w_current is the one that runs and is
 * READY.  w_ready holds the READY ones in the order of their ids, so that a
 * draw names the same task in every run.
 *
 * Policies.  RANDOM: any ready task, evenly.  PCT (Burckhardt et al., ASPLOS
 * 2010): tasks have random priorities, the highest ready one runs, and at a few
 * random steps the one that runs is demoted below all; it finds a bug of depth
 * d with probability at least 1/(n k^(d-1)).  A task that spins is demoted too,
 * since it waits for somebody else; and so is whoever runs at every
 * PCT_FAIR-th step, since it may be waiting in a loop that does not look like
 * one.
 *
 * When nobody is ready the clock jumps to the next deadline or event; when
 * there is none, the world is deadlocked.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "impl.h"

/* Spins in a row by the only task that can run, before time is made to pass. */
#define LONE_SPINS 100u
/* And in all, with nothing to wait for, before it counts as a deadlock. */
#define LONE_SPINS_MAX 10000u
/* PCT: nobody runs for longer than this while others could. */
#define PCT_FAIR 1000u

uintptr_t sim_switch(void **save, void *to, uintptr_t arg, void *fiber);
void sim_task_start(void);

__asm__(QSAN_SWITCH_TEXT("sim_switch"));

/* ---- the set of ready tasks --------------------------------------------- */

static unsigned
ready_find(const struct quern_sim *w, unsigned id)
{
	unsigned lo = 0, hi = w->w_nready, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (w->w_ready[mid] < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void
ready_add(struct quern_sim *w, unsigned id)
{
	unsigned i = ready_find(w, id);

	memmove(&w->w_ready[i + 1], &w->w_ready[i],
	    (w->w_nready - i) * sizeof(w->w_ready[0]));
	w->w_ready[i] = id;
	w->w_nready++;
}

static void
ready_del(struct quern_sim *w, unsigned id)
{
	unsigned i = ready_find(w, id);

	w->w_nready--;
	memmove(&w->w_ready[i], &w->w_ready[i + 1],
	    (w->w_nready - i) * sizeof(w->w_ready[0]));
}

void
task_ready(struct task *t)
{
	if (t->t_state != TASK_WAITING)
		return;
	t->t_state = TASK_READY;
	ready_add(t->t_w, t->t_id);
}

/* ---- changing stacks ------------------------------------------------------ */

/* Leave the running stack for that of `to`; NULL: quern_sim_run's. */
static void
go(struct quern_sim *w, struct task *to, bool last)
{
	struct task *from = w->w_current;
	struct qsan *self = from != NULL ? &from->t_san : &w->w_san;
	struct qsan *other = to != NULL ? &to->t_san : &w->w_san;
	void **save = from != NULL ? &from->t_sp : &w->w_sp;

	if (from == to)
		return;
	san_host(self); /* a kernel's stack, as often as not */
	w->w_current = to;
	w->w_from = self;
	san_leave(self, other, last);
	(void)sim_switch(save, to != NULL ? to->t_sp : w->w_sp, 0,
	    other->sn_fiber);
	san_arrive(self, w->w_from);
}

static void
task_main(struct quern_sim *w)
{
	struct task *t = w->w_current;

	san_arrive(&t->t_san, w->w_from);
	t->t_fn(t->t_arg);
	t->t_state = TASK_ENDED;
	ready_del(w, t->t_id);
	w->w_nlive--;
	hash_mix(w, t->t_id);
	task_decide(w, QUERN_YIELD_SWITCH);
	abort(); /* an ended task is never chosen */
}

/* The first return address of a task; its world is in rbx. */
__asm__(".text\n"
	"	.type sim_task_start, @function\n"
	"sim_task_start:\n"
	"	.cfi_startproc\n"
	"	.cfi_undefined %rip\n"
	"	movq %rbx, %rdi\n"
	"	xorl %ebp, %ebp\n"
	"	call *%r12\n"
	"	ud2\n"
	"	.cfi_endproc\n"
	"	.size sim_task_start, . - sim_task_start\n");

struct task *
task_make(struct quern_sim *w, const char *name, void (*fn)(void *), void *arg)
{
	struct task *t;
	uintptr_t *sp;

	if (w->w_ntask == TASK_MAX)
		return NULL;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->t_stack = mmap(NULL, TASK_STACK, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (t->t_stack == MAP_FAILED ||
	    mprotect(t->t_stack, QUERN_PAGE_SIZE, PROT_NONE) != 0) {
		if (t->t_stack != MAP_FAILED)
			munmap(t->t_stack, TASK_STACK);
		free(t);
		return NULL;
	}
	t->t_w = w;
	t->t_id = w->w_ntask;
	t->t_name = name;
	t->t_fn = fn;
	t->t_arg = arg;
	t->t_prio = (UINT64_C(1) << 33) + rng_below(w->w_sched, 1u << 30);
	san_create(&t->t_own, (char *)t->t_stack + QUERN_PAGE_SIZE,
	    TASK_STACK - QUERN_PAGE_SIZE);
	t->t_san = t->t_own;
	sp = (uintptr_t *)((char *)t->t_stack + TASK_STACK);
	*--sp = 0;
	*--sp = 0; /* the stack is aligned at the call */
	*--sp = (uintptr_t)sim_task_start;
	*--sp = 0;                    /* rbp */
	*--sp = (uintptr_t)w;         /* rbx */
	*--sp = (uintptr_t)task_main; /* r12 */
	*--sp = 0;
	*--sp = 0;
	*--sp = 0; /* r13 - r15 */
	t->t_sp = sp;
	w->w_task[w->w_ntask++] = t;
	w->w_nlive++;
	t->t_state = TASK_READY;
	ready_add(w, t->t_id);
	return t;
}

void
task_free_stack(struct task *t)
{
	if (t->t_stack == NULL)
		return;
	san_destroy(&t->t_own);
	munmap(t->t_stack, TASK_STACK);
	t->t_stack = NULL;
}

/* ---- time ----------------------------------------------------------------- */

/* Make those ready whose time has come. */
static void
expire(struct quern_sim *w)
{
	struct task *t;
	unsigned i;

	w->w_due = QUERN_NEVER;
	for (i = 0; i < w->w_ntask; i++) {
		t = w->w_task[i];
		if (t->t_state != TASK_WAITING)
			continue;
		if (t->t_deadline <= w->w_now)
			task_ready(t);
		else if (t->t_deadline < w->w_due)
			w->w_due = t->t_deadline;
	}
	pending_wake(w);
}

/* When something will happen by itself. */
static uint64_t
next_instant(const struct quern_sim *w)
{
	uint64_t next = pending_next(w);
	unsigned i;

	for (i = 0; i < w->w_ntask; i++)
		if (w->w_task[i]->t_state == TASK_WAITING &&
		    w->w_task[i]->t_deadline < next)
			next = w->w_task[i]->t_deadline;
	return next;
}

/* Jump there.  False: nothing will ever happen. */
static bool
jump(struct quern_sim *w)
{
	uint64_t next = next_instant(w);

	if (next == QUERN_NEVER)
		return false;
	if (next > w->w_now)
		w->w_now = next;
	expire(w);
	return true;
}

/* ---- deciding --------------------------------------------------------------- */

static int
deadlock(struct quern_sim *w)
{
	bool stuck = false;
	unsigned i;

	for (i = 0; i < w->w_ntask; i++)
		stuck |= w->w_task[i]->t_state != TASK_ENDED &&
		    w->w_task[i]->t_runner == NULL;
	if (!stuck)
		return 0;
	sim_log(w, QUERN_LOG_ERR, "deadlock after %llu steps",
	    (unsigned long long)w->w_steps);
	for (i = 0; i < w->w_ntask; i++)
		if (w->w_task[i]->t_state != TASK_ENDED)
			sim_log(w, QUERN_LOG_ERR, "  task %u %s %s", i,
			    w->w_task[i]->t_name,
			    w->w_task[i]->t_state == TASK_WAITING ? "waits" :
								    "spins");
	return -EDEADLK;
}

static struct task *
best_prio(const struct quern_sim *w)
{
	struct task *t, *best = NULL;
	unsigned i;

	for (i = 0; i < w->w_nready; i++) {
		t = w->w_task[w->w_ready[i]];
		if (best == NULL || t->t_prio > best->t_prio)
			best = t;
	}
	return best;
}

static struct task *
choose(struct quern_sim *w, struct task *cur, enum quern_yield why)
{
	unsigned i, n = w->w_nready;

	if (w->w_cfg.policy == QUERN_SIM_PCT) {
		bool change = w->w_ichange < w->w_nchange &&
		    w->w_change[w->w_ichange] <= w->w_steps;

		if (change)
			w->w_ichange++;
		change |= w->w_steps % PCT_FAIR == 0;
		if (cur != NULL && (change || why == QUERN_YIELD_SPIN))
			cur->t_prio = w->w_pct_low--;
		return best_prio(w);
	}
	i = (unsigned)rng_below(w->w_sched, n);
	/* Who spins waits for another: not the same again if there is one. */
	if (why == QUERN_YIELD_SPIN && n > 1 && w->w_task[w->w_ready[i]] == cur)
		i = (i + 1 + (unsigned)rng_below(w->w_sched, n - 1)) % n;
	return w->w_task[w->w_ready[i]];
}

/* Spinning alone: let time pass, so that somebody may come.  False: never. */
static bool
lone_spin(struct quern_sim *w, struct task *cur)
{
	if (++cur->t_spins < LONE_SPINS)
		return true;
	return jump(w) || cur->t_spins < LONE_SPINS_MAX;
}

static void
end_run(struct quern_sim *w, int result)
{
	w->w_result = result;
	go(w, NULL, false);
}

void
task_decide(struct quern_sim *w, enum quern_yield why)
{
	struct task *cur = w->w_current, *next;
	bool alone;

	if (++w->w_steps > w->w_cfg.max_steps) {
		sim_log(w, QUERN_LOG_ERR, "gave up after %llu steps",
		    (unsigned long long)w->w_cfg.max_steps);
		end_run(w, -ETIME);
		return;
	}
	w->w_now += STEP_NS;
	if (w->w_due <= w->w_now)
		expire(w);
	else if (w->w_pending != NULL && w->w_pending->p_due <= w->w_now)
		pending_wake(w);
	while (w->w_nready == 0) {
		if (w->w_nlive == 0) {
			end_run(w, 0);
			return;
		}
		if (!jump(w)) {
			end_run(w, deadlock(w));
			return;
		}
	}
	alone = w->w_nready == 1 && cur != NULL && cur->t_state == TASK_READY;
	if (cur != NULL && why == QUERN_YIELD_SPIN && alone) {
		if (!lone_spin(w, cur)) {
			end_run(w, deadlock(w));
			return;
		}
	} else if (cur != NULL) {
		cur->t_spins = 0;
	}
	next = choose(w, cur, why);
	hash_mix(w, (uint64_t)why << 32 | next->t_id);
	if (w->w_cfg.trace != NULL)
		w->w_cfg.trace(w->w_cfg.arg, w->w_steps, w->w_now, next->t_name,
		    why);
	go(w, next, cur != NULL && cur->t_state == TASK_ENDED);
}

void
task_wait(struct quern_sim *w, uint64_t deadline)
{
	struct task *t = w->w_current;

	t->t_deadline = deadline;
	if (deadline < w->w_due)
		w->w_due = deadline;
	t->t_state = TASK_WAITING;
	ready_del(w, t->t_id);
	task_decide(w, QUERN_YIELD_SWITCH);
	t->t_deadline = QUERN_NEVER;
}

/* ---- for embedders ------------------------------------------------------------ */

int
quern_sim_task(struct quern_sim *w, const char *name, void (*fn)(void *),
    void *arg)
{
	if (w->w_ntask == TASK_MAX)
		return -EAGAIN;
	return task_make(w, name, fn, arg) != NULL ? 0 : -ENOMEM;
}

int
quern_sim_run(struct quern_sim *w)
{
	if (w->w_nlive == 0)
		return 0;
	w->w_result = 0;
	task_decide(w, QUERN_YIELD_SWITCH);
	return w->w_result;
}

void
quern_sim_yield(struct quern_sim *w)
{
	task_decide(w, QUERN_YIELD_SWITCH);
}

void
quern_sim_sleep(struct quern_sim *w, uint64_t ns)
{
	task_wait(w, w->w_now + ns);
}
