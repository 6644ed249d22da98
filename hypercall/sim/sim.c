/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulator: worlds and machines.
 *
 * Theory.  All that a kernel can learn from its host is decided here: who runs
 * next (task.c), what time it is, which bytes are random, when an event comes.
 * Each is drawn from generators that the seed starts, in an order that only
 * depends on earlier draws, so a run is a function of seed and binary.
 *
 * D1  No decision, no hash and no order depends on an address or on the real
 *     clock.
 * D2  Schedule and data have generators of their own: a workload that draws
 *     one more number does not change the schedule.
 * D3  Virtual time passes by STEP_NS a decision, and jumps to the next deadline
 *     or event when nobody can run.
 * D4  The hash covers every decision and every hypercall with its result.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "impl.h"

const struct quern_hyper sim_hyper = {
	.hy_version = QUERN_HYPER_VERSION,
	.hy_size = sizeof(struct quern_hyper),
	.begin = sim_begin,
	.end = sim_end,
	.map = sim_map,
	.unmap = sim_unmap,
	.ram_create = sim_ram_create,
	.ram_discard = sim_ram_discard,
	.clock_read = sim_clock_read,
	.clock_params = sim_clock_params,
	.random = sim_random,
	.log = sim_log_line,
	.param = sim_param,
	.cpu_start = sim_cpu_start,
	.cpu_stop = sim_cpu_stop,
	.cpu_idle = sim_cpu_idle,
	.cpu_kick = sim_cpu_kick,
	.cpu_yield = sim_cpu_yield,
	.cpu_fence = sim_cpu_fence,
	.blk_open = sim_blk_open,
	.blk_close = sim_blk_close,
	.blk_submit = sim_blk_submit,
	.net_open = sim_net_open,
	.net_close = sim_net_close,
	.net_send = sim_net_send,
	.net_recv = sim_net_recv,
	.chan_open = sim_chan_open,
	.chan_close = sim_chan_close,
	.chan_read = sim_chan_read,
	.chan_write = sim_chan_write,
	.vm_create = sim_vm_create,
	.vm_destroy = sim_vm_destroy,
	.vm_update = sim_vm_update,
	.vm_run = sim_vm_run,
};

/* ---- random numbers ---------------------------------------------------- */

/* splitmix64, to fill a generator's state from a seed. */
static void
rng_seed(uint64_t s[4], uint64_t seed)
{
	uint64_t z;
	unsigned i;

	for (i = 0; i < 4; i++) {
		z = seed += UINT64_C(0x9e3779b97f4a7c15);
		z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
		s[i] = z ^ (z >> 31);
	}
}

static inline uint64_t
rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

/* xoshiro256** (Blackman, Vigna 2018). */
uint64_t
rng_next(uint64_t s[4])
{
	uint64_t r = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return r;
}

uint64_t
rng_below(uint64_t s[4], uint64_t n)
{
	return (uint64_t)(((unsigned __int128)rng_next(s) * n) >> 64);
}

/* ---- worlds ------------------------------------------------------------ */

static int
compare_steps(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
plan_changes(struct quern_sim *w)
{
	const unsigned max = sizeof(w->w_change) / sizeof(w->w_change[0]);
	uint64_t length = w->w_cfg.pct_length;
	unsigned i;

	w->w_nchange = w->w_cfg.pct_changes != 0 ? w->w_cfg.pct_changes : 3;
	if (w->w_nchange > max)
		w->w_nchange = max;
	for (i = 0; i < w->w_nchange; i++)
		w->w_change[i] = 1 +
		    rng_below(w->w_sched, length != 0 ? length : 1000);
	qsort(w->w_change, w->w_nchange, sizeof(w->w_change[0]), compare_steps);
}

int
quern_sim_create(const struct quern_sim_config *cfg, struct quern_sim **wp)
{
	struct quern_sim *w;

	if (cfg == NULL || wp == NULL)
		return -EFAULT;
	if (cfg->policy != QUERN_SIM_RANDOM && cfg->policy != QUERN_SIM_PCT)
		return -EINVAL;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -ENOMEM;
	w->w_cfg = *cfg;
	if (w->w_cfg.max_steps == 0)
		w->w_cfg.max_steps = UINT64_C(1) << 40;
	rng_seed(w->w_sched, cfg->seed);
	rng_seed(w->w_bytes, ~cfg->seed);
	w->w_now = UINT64_C(1000000000);
	w->w_due = QUERN_NEVER;
	w->w_pct_low = UINT64_C(1) << 32;
	hash_mix(w, cfg->seed);
	if (cfg->policy == QUERN_SIM_PCT)
		plan_changes(w);
	*wp = w;
	return 0;
}

void
quern_sim_destroy(struct quern_sim *w)
{
	struct pending *p;
	unsigned i;

	while (w->w_machines != NULL)
		machine_free(w->w_machines);
	while (w->w_disks != NULL)
		quern_sim_disk_destroy(w->w_disks);
	for (i = 0; i < w->w_ntask; i++) {
		task_free_stack(w->w_task[i]);
		free(w->w_task[i]);
	}
	while ((p = w->w_pending) != NULL) {
		w->w_pending = p->p_next;
		free(p);
	}
	free(w);
}

struct quern_host
quern_sim_host(struct quern_sim *w)
{
	return (struct quern_host){ .h_ops = &sim_hyper, .h_arg = w };
}

uint64_t
quern_sim_now(const struct quern_sim *w)
{
	return w->w_now;
}

uint64_t
quern_sim_steps(const struct quern_sim *w)
{
	return w->w_steps;
}

uint64_t
quern_sim_hash(const struct quern_sim *w)
{
	return w->w_hash;
}

uint64_t
quern_sim_seed(const struct quern_sim *w)
{
	return w->w_cfg.seed;
}

uint64_t
quern_sim_failable(const struct quern_sim *w)
{
	return w->w_failable;
}

uint64_t
quern_sim_failed(const struct quern_sim *w)
{
	return w->w_failed;
}

uint64_t
quern_sim_random(struct quern_sim *w, uint64_t below)
{
	return below == 0 ? rng_next(w->w_bytes) : rng_below(w->w_bytes, below);
}

bool
sim_fails(struct quern_sim *w, const char *name)
{
	const struct quern_sim_config *c = &w->w_cfg;

	w->w_failable++;
	if (c->fail_n == 0 ||
	    (c->fail_call != NULL && strcmp(c->fail_call, name) != 0))
		return false;
	if (++w->w_fail_match != c->fail_n)
		return false;
	w->w_failed++;
	hash_mix(w, w->w_failable);
	return true;
}

void
sim_log(struct quern_sim *w, int level, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (w->w_cfg.log != NULL)
		w->w_cfg.log(w->w_cfg.arg, level, line);
	else
		fprintf(stderr, "sim seed %llu: %s\n",
		    (unsigned long long)w->w_cfg.seed, line);
}

/* ---- machines ---------------------------------------------------------- */

int
sim_begin(void *arg, const struct quern_machine *qm,
    const struct quern_upcalls *up, void **ctxp, void **corep)
{
	struct quern_sim *w = arg;
	struct machine *m;

	if (qm->m_ncpu < 1 || qm->m_ncpu > QUERN_MAXCPU)
		return -EINVAL;
	if (sim_fails(w, "begin"))
		return -ENOMEM;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return -ENOMEM;
	m->m_corelen = qm->m_core != 0 ? qm->m_core : 1;
	m->m_core = mmap(NULL, m->m_corelen, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m->m_core == MAP_FAILED) {
		free(m);
		return -ENOMEM;
	}
	m->m_w = w;
	m->m_up = up;
	m->m_ncpu = qm->m_ncpu;
	m->m_id = w->w_nmachine++;
	snprintf(m->m_name, sizeof(m->m_name), "%s", qm->m_name);
	m->m_next = w->w_machines;
	m->m_prevp = &w->w_machines;
	if (m->m_next != NULL)
		m->m_next->m_prevp = &m->m_next;
	w->w_machines = m;
	*ctxp = m;
	*corep = m->m_core;
	return 0;
}

void
machine_free(struct machine *m)
{
	struct quern_sim *w = m->m_w;
	struct pending **pp = &w->w_pending, *p;

	while ((p = *pp) != NULL) {
		if (p->p_machine == m) {
			*pp = p->p_next;
			free(p);
		} else {
			pp = &p->p_next;
		}
	}
	chan_free_all(m);
	disk_close_all(m);
	mem_free_all(m);
	if (m->m_next != NULL)
		m->m_next->m_prevp = m->m_prevp;
	*m->m_prevp = m->m_next;
	free(m);
}

void
sim_end(void *ctx)
{
	struct machine *m = ctx;

	hash_mix(m->m_w, m->m_id);
	machine_free(m);
}

void
sim_log_line(void *ctx, enum quern_log_level level, const char *s, size_t len)
{
	struct machine *m = ctx;

	sim_log(m->m_w, level, "%.*s", (int)len, s);
}
