/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest's system call costs: to the host's user and back into the guest. */
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <quern/hypercall.h>
#include <quern/posix.h>

#include "tests/bench/guestcall.h"
#include "tests/hypercall/posix/guest.h"

#define RUNS  7
#define CALLS 10000

static struct quern_seat seats[2];

static int
compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* CALLS calls of a guest, answered each with a number. */
static int
calls(const struct quern_hyper *ops, void *ctx, struct quern_seat *seat,
    struct quern_vmframe *f, double *nsp)
{
	double start = now_ns();
	int i, error;

	for (i = 0; i < CALLS; i++) {
		f->f_reg[RAX] = (uint64_t)i;
		error = ops->vm_run(ctx, 0, 1, seat, f, QUERN_NEVER);
		if (error != 0)
			return error;
		if (f->f_why != QUERN_VM_SYSCALL)
			return -EIO;
	}
	*nsp = (now_ns() - start) / CALLS;
	return 0;
}

static int
measure(unsigned handover, struct quern_seat *seat, double *nsp)
{
	const struct quern_posix_config config = { .pc_handover = handover };
	struct quern_host host = quern_posix_with(&config);
	struct quern_machine qm = { .m_ncpu = 1, .m_name = "bench" };
	static const struct quern_upcalls up;
	const struct quern_hyper *ops = host.h_ops;
	struct quern_vmframe f = guest_frame(g_call_loop);
	double ns[RUNS + 1];
	void *ctx, *core, *ram;
	cpu_set_t cpu;
	int i, error;

	error = ops->begin(host.h_arg, &qm, &up, &ctx, &core);
	if (error != 0)
		return error;
	/* The machine has seen all CPUs; this thread keeps to one. */
	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	sched_setaffinity(0, sizeof cpu, &cpu);
	error = ops->ram_create(ctx, 1 << 20, &ram);
	if (error == 0)
		error = ops->vm_create(ctx, 1);
	if (error == 0)
		error = guest_install(ops, ctx, 1, ram);
	for (i = 0; error == 0 && i <= RUNS; i++)
		error = calls(ops, ctx, seat, &f, &ns[i]);
	ops->end(ctx);
	if (error != 0)
		return error;
	/* The first is for warming up. */
	qsort(&ns[1], RUNS, sizeof ns[0], compare);
	*nsp = ns[1 + RUNS / 2];
	return 0;
}

int
bench_guest_call(double *one_cpu_ns, double *two_cpu_ns)
{
	cpu_set_t all;
	int error;

	sched_getaffinity(0, sizeof all, &all);
	error = measure(QUERN_POSIX_YIELD, &seats[0], one_cpu_ns);
	sched_setaffinity(0, sizeof all, &all);
	*two_cpu_ns = 0;
	if (error == 0 && CPU_COUNT(&all) > 1)
		error = measure(QUERN_POSIX_SPIN, &seats[1], two_cpu_ns);
	sched_setaffinity(0, sizeof all, &all);
	return error;
}
