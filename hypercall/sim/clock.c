/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual clocks and seeded bytes.
 */
#include <string.h>

#include "impl.h"

/* Simulated worlds begin at 2020-01-01 00:00:00 UTC. */
#define EPOCH_NS (UINT64_C(1577836800) * 1000000000)

int
sim_clock_read(void *ctx, enum quern_clock clock, uint64_t *nsp)
{
	struct machine *m = ctx;

	if ((unsigned)clock >= QUERN_NCLOCK)
		return -EINVAL;
	*nsp = m->m_w->w_now +
	    (clock == QUERN_CLOCK_REALTIME || clock == QUERN_CLOCK_COARSE ?
		    EPOCH_NS :
		    0);
	return 0;
}

int
sim_clock_params(void *ctx, struct quern_clock_params *cp)
{
	/* Virtual time can't be computed from a cycle counter. */
	(void)ctx, (void)cp;
	return -EOPNOTSUPP;
}

int
sim_random(void *ctx, void *buf, size_t len)
{
	struct machine *m = ctx;
	uint8_t *p = buf;
	uint64_t x;
	size_t n;

	if (sim_fails(m->m_w, "random"))
		return -EIO;
	for (; len > 0; len -= n, p += n) {
		x = rng_next(m->m_w->w_bytes);
		n = len < sizeof(x) ? len : sizeof(x);
		memcpy(p, &x, n);
	}
	hash_mix(m->m_w, 1);
	return 0;
}
