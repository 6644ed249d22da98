/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdbool.h>

#include <quern/abi/errno.h>

#include "khost.h"

static const struct quern_hyper *inner;
static struct quern_hyper table;
static struct khost_count held;
static uint64_t calls, countdown, failures;

static void
add(int64_t *what, int64_t n)
{
	__atomic_fetch_add(what, n, __ATOMIC_RELAXED);
}

static void
count_call(void)
{
	__atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
}

/* Is it this call's turn to fail? */
static bool
fails(void)
{
	uint64_t n = __atomic_load_n(&countdown, __ATOMIC_RELAXED);

	count_call();
	while (n != 0 &&
	    !__atomic_compare_exchange_n(&countdown, &n, n - 1, false,
		__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		continue;
	if (n != 1)
		return false;
	__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
	return true;
}

static int
begin(void *arg, const struct quern_machine *m, const struct quern_upcalls *up,
    void **ctxp, void **corep)
{
	int error = fails() ? -Q_EMFILE : inner->begin(arg, m, up, ctxp, corep);

	add(&held.machines, error == 0);
	return error;
}

static void
end(void *ctx)
{
	count_call();
	add(&held.machines, -1);
	inner->end(ctx);
}

static int
map(void *ctx, size_t len, size_t align, unsigned flags, void **pp)
{
	int error = fails() ? -Q_ENOMEM :
			      inner->map(ctx, len, align, flags, pp);

	add(&held.maps, error == 0);
	add(&held.bytes, error == 0 ? (int64_t)len : 0);
	return error;
}

static void
unmap(void *ctx, void *p, size_t len)
{
	count_call();
	add(&held.maps, -1);
	add(&held.bytes, -(int64_t)len);
	inner->unmap(ctx, p, len);
}

static int
ram_create(void *ctx, size_t len, void **basep)
{
	return fails() ? -Q_ENOMEM : inner->ram_create(ctx, len, basep);
}

static int
cpu_start(void *ctx, unsigned runner, int pin)
{
	int error = fails() ? -Q_EAGAIN : inner->cpu_start(ctx, runner, pin);

	add(&held.runners, error == 0);
	return error;
}

static int
cpu_stop(void *ctx, unsigned runner)
{
	int error = inner->cpu_stop(ctx, runner);

	count_call();
	add(&held.runners, error == 0 ? -1 : 0);
	return error;
}

static int
cpu_idle(void *ctx, struct quern_seat *seat, uint64_t cpus, uint64_t deadline)
{
	count_call();
	return inner->cpu_idle(ctx, seat, cpus, deadline);
}

static void
cpu_kick(void *ctx, struct quern_seat *seat)
{
	count_call();
	inner->cpu_kick(ctx, seat);
}

static int
clock_read(void *ctx, enum quern_clock clock, uint64_t *nsp)
{
	count_call();
	return inner->clock_read(ctx, clock, nsp);
}

static int
get_random(void *ctx, void *buf, size_t len)
{
	return fails() ? -Q_EIO : inner->random(ctx, buf, len);
}

static int
chan_open(void *ctx, const char *name, uint32_t *idp)
{
	int error = fails() ? -Q_EMFILE : inner->chan_open(ctx, name, idp);

	add(&held.channels, error == 0);
	return error;
}

static void
chan_close(void *ctx, uint32_t id)
{
	count_call();
	add(&held.channels, -1);
	inner->chan_close(ctx, id);
}

struct quern_host
khost_wrap(struct quern_host host)
{
	inner = host.h_ops;
	table = *inner;
	table.begin = begin;
	table.end = end;
	table.map = map;
	table.unmap = unmap;
	table.ram_create = ram_create;
	table.cpu_start = cpu_start;
	table.cpu_stop = cpu_stop;
	table.cpu_idle = cpu_idle;
	table.cpu_kick = cpu_kick;
	table.clock_read = clock_read;
	table.random = get_random;
	table.chan_open = chan_open;
	table.chan_close = chan_close;
	held = (struct khost_count){ 0 };
	calls = countdown = failures = 0;
	host.h_ops = &table;
	return host;
}

void
khost_fail(uint64_t n)
{
	__atomic_store_n(&countdown, n, __ATOMIC_RELAXED);
	__atomic_store_n(&failures, 0, __ATOMIC_RELAXED);
}

int
khost_failed(void)
{
	return __atomic_load_n(&failures, __ATOMIC_RELAXED) != 0;
}

uint64_t
khost_calls(void)
{
	return __atomic_load_n(&calls, __ATOMIC_RELAXED);
}

struct khost_count
khost_held(void)
{
	return held;
}
