/* SPDX-License-Identifier: BSD-2-Clause */
#include "impl.h"
int
host_vm_create(void *ctx, uint32_t id)
{
	(void)ctx, (void)id;
	return -EOPNOTSUPP;
}
int
host_vm_destroy(void *ctx, uint32_t id)
{
	(void)ctx, (void)id;
	return -ENOENT;
}
int
host_vm_update(void *ctx, unsigned cpu, uint32_t id,
    const struct quern_vm_op *o, unsigned n)
{
	(void)ctx, (void)id, (void)cpu, (void)o, (void)n;
	return -ENOENT;
}
int
host_vm_run(void *ctx, unsigned cpu, uint32_t id, struct quern_seat *s,
    struct quern_vmframe *f, uint64_t d)
{
	(void)ctx, (void)id, (void)cpu, (void)s, (void)f, (void)d;
	return -ENOENT;
}
void
host_vm_end(struct machine *m)
{
	(void)m;
}
void
host_vm_kick(struct machine *m, struct quern_seat *seat)
{
	(void)m, (void)seat;
}
