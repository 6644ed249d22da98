/* SPDX-License-Identifier: BSD-2-Clause */
/* In place of ring.c where liburing is not installed: every ring is refused. */
#include "impl.h"

int
host_ring_open(struct machine *m, unsigned cpu, struct ring **rp)
{
	(void)m, (void)cpu, (void)rp;
	return -ENOSYS;
}

void
host_ring_close(struct machine *m, unsigned cpu)
{
	(void)m, (void)cpu;
}

int
host_ring_fd(const struct ring *r)
{
	(void)r;
	return -1;
}

int
host_ring_poll(struct machine *m, unsigned cpu, int fd, short mask,
    uint64_t key)
{
	(void)m, (void)cpu, (void)fd, (void)mask, (void)key;
	return -ENOSYS;
}

void
host_ring_unpoll(struct machine *m, unsigned cpu, uint64_t key)
{
	(void)m, (void)cpu, (void)key;
}

bool
host_ring_ready(struct ring *r)
{
	(void)r;
	return false;
}

int
host_ring_reap(struct machine *m, unsigned cpu)
{
	(void)m, (void)cpu;
	return 0;
}

unsigned
host_ring_blk(struct machine *m, unsigned cpu, struct quern_blk_op **ops,
    const int *fds, unsigned n)
{
	(void)m, (void)cpu, (void)ops, (void)fds, (void)n;
	return 0;
}
