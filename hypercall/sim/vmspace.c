/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests: the simulated host has no back end for them yet.
 */
#include "impl.h"

int
sim_vm_create(void *ctx, uint32_t id)
{
	(void)ctx, (void)id;
	return -EOPNOTSUPP;
}

int
sim_vm_destroy(void *ctx, uint32_t id)
{
	(void)ctx, (void)id;
	return -ENOENT;
}

int
sim_vm_update(void *ctx, unsigned cpu, uint32_t id,
    const struct quern_vm_op *ops, unsigned n)
{
	(void)ctx, (void)cpu, (void)id, (void)ops, (void)n;
	return -ENOENT;
}

int
sim_vm_run(void *ctx, unsigned cpu, uint32_t id, struct quern_seat *seat,
    struct quern_vmframe *f, uint64_t deadline)
{
	(void)ctx, (void)cpu, (void)id, (void)seat, (void)f, (void)deadline;
	return -ENOENT;
}
