/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each entry of the table, passed on.
 *
 * The kernel's memory, its events and its upcalls are the inner host's own
 * business with the kernel: only the calls pass here.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "impl.h"

#define ARGS_MAX 256

const char *const wrap_name[W_NCALL] = { "begin", "end", "map", "unmap",
	"ram_create", "ram_discard", "clock_read", "clock_params", "random",
	"log", "param", "cpu_start", "cpu_stop", "cpu_idle", "cpu_kick",
	"cpu_yield", "cpu_fence", "blk_open", "blk_close", "blk_submit",
	"net_open", "net_close", "net_send", "net_recv", "chan_open",
	"chan_close", "chan_read", "chan_write", "vm_create", "vm_destroy",
	"vm_update", "vm_run" };

/* The inner host's clock, so that a simulator's stays the only one. */
static uint64_t
now(const struct wrap_machine *m)
{
	uint64_t ns = 0;

	(void)m->wm_ops->clock_read(m->wm_ctx, QUERN_CLOCK_MONOTONIC, &ns);
	return ns;
}

/* The beginning of a call: not 0 is its result, without calling. */
static int
enter(struct span *sp, struct wrap_machine *m, enum wrap_call call)
{
	struct wrap *w = m->wm_wrap;

	sp->sp_m = m;
	sp->sp_call = call;
	sp->sp_start = w->w_after != NULL ? now(m) : 0;
	return w->w_before != NULL ? w->w_before(w, call) : 0;
}

/* Its end. */
__attribute__((format(printf, 3, 4))) static void
leave(struct span *sp, int64_t ret, const char *fmt, ...)
{
	struct wrap *w = sp->sp_m->wm_wrap;
	char args[ARGS_MAX] = "";
	va_list ap;

	if (w->w_after == NULL)
		return;
	if (w->w_lines) {
		va_start(ap, fmt);
		vsnprintf(args, sizeof(args), fmt, ap);
		va_end(ap);
	}
	w->w_after(w, sp->sp_call, ret, now(sp->sp_m) - sp->sp_start, args);
}

/* ---- core ----------------------------------------------------------------- */

static int
wrap_begin(void *arg, const struct quern_machine *qm,
    const struct quern_upcalls *up, void **ctxp, void **corep)
{
	struct wrap *w = arg;
	struct wrap_machine *m;
	struct span sp;
	int ret;

	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return -ENOMEM;
	m->wm_wrap = w;
	m->wm_ops = w->w_host.h_ops;
	/* No machine yet whose clock could be read. */
	ret = w->w_before != NULL ? w->w_before(w, W_BEGIN) : 0;
	if (ret == 0)
		ret = m->wm_ops->begin(w->w_host.h_arg, qm, up, &m->wm_ctx,
		    corep);
	if (ret != 0) {
		if (w->w_after != NULL)
			w->w_after(w, W_BEGIN, ret, 0, "");
		free(m);
		return ret;
	}
	*ctxp = m;
	sp = (struct span){ m, W_BEGIN, w->w_after != NULL ? now(m) : 0 };
	leave(&sp, ret, "ncpu=%u, name=%s, core=%zu", qm->m_ncpu, qm->m_name,
	    qm->m_core);
	return 0;
}

static void
wrap_end(void *ctx)
{
	struct wrap_machine *m = ctx;
	struct wrap *w = m->wm_wrap;

	m->wm_ops->end(m->wm_ctx);
	free(m);
	if (w->w_after != NULL)
		w->w_after(w, W_END, 0, 0, "");
}

static int
wrap_map(void *ctx, size_t len, size_t align, unsigned flags, void **pp)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int ret = enter(&sp, m, W_MAP);

	if (ret == 0)
		ret = m->wm_ops->map(m->wm_ctx, len, align, flags, pp);
	leave(&sp, ret, "len=%zu, align=%zu, flags=%u", len, align, flags);
	return ret;
}

static void
wrap_unmap(void *ctx, void *p, size_t len)
{
	struct wrap_machine *m = ctx;
	struct span sp;

	(void)enter(&sp, m, W_UNMAP);
	m->wm_ops->unmap(m->wm_ctx, p, len);
	leave(&sp, 0, "len=%zu", len);
}

static int
wrap_ram_create(void *ctx, size_t len, void **basep)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int ret = enter(&sp, m, W_RAM_CREATE);

	if (ret == 0)
		ret = m->wm_ops->ram_create(m->wm_ctx, len, basep);
	leave(&sp, ret, "len=%zu", len);
	return ret;
}

static int
wrap_ram_discard(void *ctx, uint64_t off, size_t len)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int ret = enter(&sp, m, W_RAM_DISCARD);

	if (ret == 0)
		ret = m->wm_ops->ram_discard(m->wm_ctx, off, len);
	leave(&sp, ret, "off=%" PRIu64 ", len=%zu", off, len);
	return ret;
}

static int
wrap_clock_read(void *ctx, enum quern_clock clock, uint64_t *nsp)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int ret = enter(&sp, m, W_CLOCK_READ);

	if (ret == 0)
		ret = m->wm_ops->clock_read(m->wm_ctx, clock, nsp);
	leave(&sp, ret, "clock=%u", (unsigned)clock);
	return ret;
}

static int
wrap_clock_params(void *ctx, struct quern_clock_params *cp)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int ret = enter(&sp, m, W_CLOCK_PARAMS);

	if (ret == 0)
		ret = m->wm_ops->clock_params(m->wm_ctx, cp);
	leave(&sp, ret, "%s", "");
	return ret;
}

static int
wrap_random(void *ctx, void *buf, size_t len)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int ret = enter(&sp, m, W_RANDOM);

	if (ret == 0)
		ret = m->wm_ops->random(m->wm_ctx, buf, len);
	leave(&sp, ret, "len=%zu", len);
	return ret;
}

static void
wrap_log(void *ctx, enum quern_log_level level, const char *s, size_t len)
{
	struct wrap_machine *m = ctx;
	struct span sp;

	(void)enter(&sp, m, W_LOG);
	m->wm_ops->log(m->wm_ctx, level, s, len);
	leave(&sp, 0, "level=%u, \"%.*s\"", (unsigned)level, (int)len, s);
}

static int64_t
wrap_param(void *ctx, const char *name, void *buf, size_t len)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int64_t ret = enter(&sp, m, W_PARAM);

	if (ret == 0)
		ret = m->wm_ops->param(m->wm_ctx, name, buf, len);
	leave(&sp, ret, "name=%s, len=%zu", name, len);
	return ret;
}

/* ---- cpu ------------------------------------------------------------------ */

static int
wrap_cpu_start(void *ctx, unsigned runner, int pin)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int ret = enter(&sp, m, W_CPU_START);

	if (ret == 0)
		ret = m->wm_ops->cpu_start(m->wm_ctx, runner, pin);
	leave(&sp, ret, "runner=%u, pin=%d", runner, pin);
	return ret;
}

static int
wrap_cpu_stop(void *ctx, unsigned runner)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int ret = enter(&sp, m, W_CPU_STOP);

	if (ret == 0)
		ret = m->wm_ops->cpu_stop(m->wm_ctx, runner);
	leave(&sp, ret, "runner=%u", runner);
	return ret;
}

static int
wrap_cpu_idle(void *ctx, struct quern_seat *seat, uint64_t cpus,
    uint64_t deadline)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int ret = enter(&sp, m, W_CPU_IDLE);

	if (ret == 0)
		ret = m->wm_ops->cpu_idle(m->wm_ctx, seat, cpus, deadline);
	leave(&sp, ret, "%s, cpus=%#" PRIx64 ", deadline=%" PRId64,
	    seat != NULL ? "seat" : "no seat", cpus, (int64_t)deadline);
	return ret;
}

/* Async-signal-safe, as the inner one is. */
static void
wrap_cpu_kick(void *ctx, struct quern_seat *seat)
{
	struct wrap_machine *m = ctx;
	struct wrap *w = m->wm_wrap;

	if (w->w_after != NULL)
		w->w_after(w, W_CPU_KICK, 0, 0, NULL);
	m->wm_ops->cpu_kick(m->wm_ctx, seat);
}

static void
wrap_cpu_yield(void *ctx, enum quern_yield why)
{
	struct wrap_machine *m = ctx;
	struct span sp;

	(void)enter(&sp, m, W_CPU_YIELD);
	m->wm_ops->cpu_yield(m->wm_ctx, why);
	leave(&sp, 0, "why=%u", (unsigned)why);
}

static int
wrap_cpu_fence(void *ctx)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int ret = enter(&sp, m, W_CPU_FENCE);

	if (ret == 0)
		ret = m->wm_ops->cpu_fence(m->wm_ctx);
	leave(&sp, ret, "%s", "");
	return ret;
}

/* ---- block ---------------------------------------------------------------- */

static int
wrap_blk_open(void *ctx, const char *name, unsigned flags,
    struct quern_blk_info *info, uint32_t *idp)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int ret = enter(&sp, m, W_BLK_OPEN);

	if (ret == 0)
		ret = m->wm_ops->blk_open(m->wm_ctx, name, flags, info, idp);
	leave(&sp, ret, "name=%s, flags=%u", name, flags);
	return ret;
}

static void
wrap_blk_close(void *ctx, uint32_t id)
{
	struct wrap_machine *m = ctx;
	struct span sp;

	(void)enter(&sp, m, W_BLK_CLOSE);
	m->wm_ops->blk_close(m->wm_ctx, id);
	leave(&sp, 0, "id=%u", id);
}

/* Pass `n` requests on, and tell of each. */
static int
submit(struct wrap_machine *m, unsigned cpu, struct quern_blk_op *ops,
    unsigned n)
{
	struct wrap *w = m->wm_wrap;
	struct span sp = { m, W_BLK_SUBMIT, w->w_after != NULL ? now(m) : 0 };
	struct quern_blk_op op;
	int i, taken;

	taken = m->wm_ops->blk_submit(m->wm_ctx, cpu, ops, n);
	for (i = 0; i < taken && w->w_after != NULL; i++) {
		op = ops[i];
		leave(&sp, op.b_result,
		    "cpu=%u, id=%u, cmd=%u, flags=%u, off=%" PRIu64
		    ", len=%" PRIu64,
		    cpu, op.b_id, op.b_cmd, op.b_flags, op.b_off, op.b_len);
	}
	return taken;
}

/*
 * A request that fails is answered here, and those around it are passed on.
 * What the inner host does not take ends it, as its queue is full.
 */
static int
wrap_blk_submit(void *ctx, unsigned cpu, struct quern_blk_op *ops, unsigned n)
{
	struct wrap_machine *m = ctx;
	struct wrap *w = m->wm_wrap;
	unsigned i, first = 0;
	int error, taken;

	if (w->w_before == NULL)
		return submit(m, cpu, ops, n);
	for (i = 0; i < n; i++) {
		error = w->w_before(w, W_BLK_SUBMIT);
		if (error == 0)
			continue;
		if (i > first) {
			taken = submit(m, cpu, &ops[first], i - first);
			if (taken < (int)(i - first))
				return (int)first + (taken > 0 ? taken : 0);
		}
		ops[i].b_result = error;
		if (w->w_after != NULL)
			w->w_after(w, W_BLK_SUBMIT, error, 0, "");
		first = i + 1;
	}
	if (first == n)
		return (int)n;
	taken = submit(m, cpu, &ops[first], n - first);
	return (int)first + (taken > 0 ? taken : 0);
}

/* ---- net ------------------------------------------------------------------ */

static int
wrap_net_open(void *ctx, const char *name, struct quern_net_info *info,
    uint32_t *idp)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int ret = enter(&sp, m, W_NET_OPEN);

	if (ret == 0)
		ret = m->wm_ops->net_open(m->wm_ctx, name, info, idp);
	leave(&sp, ret, "name=%s", name);
	return ret;
}

static void
wrap_net_close(void *ctx, uint32_t id)
{
	struct wrap_machine *m = ctx;
	struct span sp;

	(void)enter(&sp, m, W_NET_CLOSE);
	m->wm_ops->net_close(m->wm_ctx, id);
	leave(&sp, 0, "id=%u", id);
}

static int
wrap_net_send(void *ctx, unsigned cpu, uint32_t id, struct quern_packet *p,
    unsigned n, struct quern_event *ev)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int ret = enter(&sp, m, W_NET_SEND);

	if (ret == 0)
		ret = m->wm_ops->net_send(m->wm_ctx, cpu, id, p, n, ev);
	leave(&sp, ret, "cpu=%u, id=%u, n=%u", cpu, id, n);
	return ret;
}

static int
wrap_net_recv(void *ctx, unsigned cpu, uint32_t id, struct quern_packet *p,
    unsigned n, struct quern_event *ev)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int ret = enter(&sp, m, W_NET_RECV);

	if (ret == 0)
		ret = m->wm_ops->net_recv(m->wm_ctx, cpu, id, p, n, ev);
	leave(&sp, ret, "cpu=%u, id=%u, n=%u", cpu, id, n);
	return ret;
}

/* ---- channel -------------------------------------------------------------- */

static int
wrap_chan_open(void *ctx, const char *name, uint32_t *idp)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int ret = enter(&sp, m, W_CHAN_OPEN);

	if (ret == 0)
		ret = m->wm_ops->chan_open(m->wm_ctx, name, idp);
	leave(&sp, ret, "name=%s", name);
	return ret;
}

static void
wrap_chan_close(void *ctx, uint32_t id)
{
	struct wrap_machine *m = ctx;
	struct span sp;

	(void)enter(&sp, m, W_CHAN_CLOSE);
	m->wm_ops->chan_close(m->wm_ctx, id);
	leave(&sp, 0, "id=%u", id);
}

static int64_t
wrap_chan_read(void *ctx, unsigned cpu, uint32_t id, void *buf, size_t len,
    struct quern_event *ev)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int64_t ret = enter(&sp, m, W_CHAN_READ);

	if (ret == 0)
		ret = m->wm_ops->chan_read(m->wm_ctx, cpu, id, buf, len, ev);
	leave(&sp, ret, "cpu=%u, id=%u, len=%zu", cpu, id, len);
	return ret;
}

static int64_t
wrap_chan_write(void *ctx, unsigned cpu, uint32_t id, const void *buf,
    size_t len, struct quern_event *ev)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int64_t ret = enter(&sp, m, W_CHAN_WRITE);

	if (ret == 0)
		ret = m->wm_ops->chan_write(m->wm_ctx, cpu, id, buf, len, ev);
	leave(&sp, ret, "cpu=%u, id=%u, len=%zu", cpu, id, len);
	return ret;
}

/* ---- vmspace -------------------------------------------------------------- */

static int
wrap_vm_create(void *ctx, uint32_t id)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int ret = enter(&sp, m, W_VM_CREATE);

	if (ret == 0)
		ret = m->wm_ops->vm_create(m->wm_ctx, id);
	leave(&sp, ret, "id=%u", id);
	return ret;
}

static int
wrap_vm_destroy(void *ctx, uint32_t id)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int ret = enter(&sp, m, W_VM_DESTROY);

	if (ret == 0)
		ret = m->wm_ops->vm_destroy(m->wm_ctx, id);
	leave(&sp, ret, "id=%u", id);
	return ret;
}

static int
wrap_vm_update(void *ctx, unsigned cpu, uint32_t id,
    const struct quern_vm_op *ops, unsigned n)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int ret = enter(&sp, m, W_VM_UPDATE);

	if (ret == 0)
		ret = m->wm_ops->vm_update(m->wm_ctx, cpu, id, ops, n);
	leave(&sp, ret, "cpu=%u, id=%u, n=%u", cpu, id, n);
	return ret;
}

static int
wrap_vm_run(void *ctx, unsigned cpu, uint32_t id, struct quern_seat *seat,
    struct quern_vmframe *f, uint64_t deadline)
{
	struct wrap_machine *m = ctx;
	struct span sp;
	int ret = enter(&sp, m, W_VM_RUN);

	if (ret == 0)
		ret = m->wm_ops->vm_run(m->wm_ctx, cpu, id, seat, f, deadline);
	leave(&sp, ret, "cpu=%u, id=%u, deadline=%" PRId64 ", why=%u", cpu, id,
	    (int64_t)deadline, f->f_why);
	return ret;
}

const struct quern_hyper wrap_hyper = {
	.hy_version = QUERN_HYPER_VERSION,
	.hy_size = sizeof(struct quern_hyper),
	.begin = wrap_begin,
	.end = wrap_end,
	.map = wrap_map,
	.unmap = wrap_unmap,
	.ram_create = wrap_ram_create,
	.ram_discard = wrap_ram_discard,
	.clock_read = wrap_clock_read,
	.clock_params = wrap_clock_params,
	.random = wrap_random,
	.log = wrap_log,
	.param = wrap_param,
	.cpu_start = wrap_cpu_start,
	.cpu_stop = wrap_cpu_stop,
	.cpu_idle = wrap_cpu_idle,
	.cpu_kick = wrap_cpu_kick,
	.cpu_yield = wrap_cpu_yield,
	.cpu_fence = wrap_cpu_fence,
	.blk_open = wrap_blk_open,
	.blk_close = wrap_blk_close,
	.blk_submit = wrap_blk_submit,
	.net_open = wrap_net_open,
	.net_close = wrap_net_close,
	.net_send = wrap_net_send,
	.net_recv = wrap_net_recv,
	.chan_open = wrap_chan_open,
	.chan_close = wrap_chan_close,
	.chan_read = wrap_chan_read,
	.chan_write = wrap_chan_write,
	.vm_create = wrap_vm_create,
	.vm_destroy = wrap_vm_destroy,
	.vm_update = wrap_vm_update,
	.vm_run = wrap_vm_run,
};
