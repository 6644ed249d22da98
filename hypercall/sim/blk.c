/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks: none of any scheme yet.
 */
#include "impl.h"

int
sim_blk_open(void *ctx, const char *name, unsigned flags,
    struct quern_blk_info *info, uint32_t *idp)
{
	(void)ctx, (void)name, (void)flags, (void)info, (void)idp;
	return -EPROTONOSUPPORT;
}

void
sim_blk_close(void *ctx, uint32_t id)
{
	(void)ctx, (void)id;
}

int
sim_blk_submit(void *ctx, unsigned cpu, struct quern_blk_op *ops, unsigned n)
{
	unsigned i;

	(void)ctx, (void)cpu;
	for (i = 0; i < n; i++)
		ops[i].b_result = -EBADF;
	return (int)n;
}
