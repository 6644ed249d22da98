/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network devices: none of any scheme yet.
 */
#include "impl.h"

int
sim_net_open(void *ctx, const char *name, struct quern_net_info *info,
    uint32_t *idp)
{
	(void)ctx, (void)name, (void)info, (void)idp;
	return -EPROTONOSUPPORT;
}

void
sim_net_close(void *ctx, uint32_t id)
{
	(void)ctx, (void)id;
}

int
sim_net_send(void *ctx, unsigned cpu, uint32_t id, struct quern_packet *p,
    unsigned n, struct quern_event *ev)
{
	(void)ctx, (void)cpu, (void)id, (void)p, (void)n, (void)ev;
	return -EBADF;
}

int
sim_net_recv(void *ctx, unsigned cpu, uint32_t id, struct quern_packet *p,
    unsigned n, struct quern_event *ev)
{
	(void)ctx, (void)cpu, (void)id, (void)p, (void)n, (void)ev;
	return -EBADF;
}
