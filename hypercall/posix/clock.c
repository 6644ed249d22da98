/* SPDX-License-Identifier: BSD-2-Clause */
/* Clocks. */
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "impl.h"

/* m_tsc */
#define TSC_TRUSTED     1u
#define TSC_NOT_TRUSTED 2u

/* The least time over which the TSC's rate is taken. */
#define BASELINE_NS (10 * NS_PER_MS)

static uint64_t
clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

uint64_t
host_now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int
host_clock_read(void *ctx, enum quern_clock clock, uint64_t *nsp)
{
	(void)ctx;
	switch (clock) {
	case QUERN_CLOCK_MONOTONIC:
		*nsp = clock_ns(CLOCK_MONOTONIC);
		return 0;
	case QUERN_CLOCK_REALTIME:
		*nsp = clock_ns(CLOCK_REALTIME);
		return 0;
	case QUERN_CLOCK_CPU:
		*nsp = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		return 0;
	case QUERN_CLOCK_COARSE:
		*nsp = clock_ns(CLOCK_REALTIME_COARSE);
		return 0;
	case QUERN_NCLOCK:
		break;
	}
	return -EINVAL;
}

/*
 * Read the TSC and a clock at one instant, as nearly as can be: of some tries
 * the one during which the fewest cycles passed.
 */
static void
sample(uint64_t *tscp, uint64_t *monop, uint64_t *realp)
{
	uint64_t best = UINT64_MAX, t0, t1, mono, real;
	int i;

	for (i = 0; i < 5; i++) {
		t0 = __builtin_ia32_rdtsc();
		mono = clock_ns(CLOCK_MONOTONIC);
		t1 = __builtin_ia32_rdtsc();
		real = clock_ns(CLOCK_REALTIME);
		if (t1 - t0 >= best)
			continue;
		best = t1 - t0;
		*tscp = t0 + best / 2;
		*monop = mono;
		/* `real` was read later than `mono` by about as much. */
		*realp = real;
	}
}

void
host_clock_begin(struct machine *m)
{
	uint64_t real;

	sample(&m->m_tsc0, &m->m_mono0, &real);
}

/* Does the host itself take its time from the TSC? */
static bool
read_clocksource(void)
{
	char buf[8];
	ssize_t n;
	int fd;

	fd = open("/sys/devices/system/clocksource/clocksource0/"
		  "current_clocksource",
	    O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, buf, sizeof buf);
	close(fd);
	return n == 4 && memcmp(buf, "tsc\n", 4) == 0;
}

/* Asked once: later the process may not be allowed to open files any more. */
static bool
tsc_trusted(struct machine *m)
{
	uint32_t known = atomic_load(&m->m_tsc);

	if (known == 0) {
		known = read_clocksource() ? TSC_TRUSTED : TSC_NOT_TRUSTED;
		atomic_store(&m->m_tsc, known);
	}
	return known == TSC_TRUSTED;
}

/*
 * The rate comes from two readings, now and when the machine began, so nothing
 * is measured in a loop here.  A reading is good to some 30 ns: 6 ppm over the
 * shortest baseline, and better with every call; who serves clocks from this
 * asks again every second or so, which also follows the host's slewing.
 */
int
host_clock_params(void *ctx, struct quern_clock_params *cp)
{
	struct machine *m = ctx;
	uint64_t tsc, mono, real, cycles, ns;
	unsigned shift = 32;

	if (!tsc_trusted(m))
		return -EOPNOTSUPP;
	sample(&tsc, &mono, &real);
	cycles = tsc - m->m_tsc0;
	ns = mono - m->m_mono0;
	if (ns < BASELINE_NS)
		return -EAGAIN;
	if (cycles == 0 || tsc < m->m_tsc0)
		return -EOPNOTSUPP;
	memset(cp, 0, sizeof(*cp));
	cp->cp_shift = shift;
	cp->cp_mult = (uint64_t)(((unsigned __int128)ns << shift) / cycles);
	cp->cp_cycle0 = tsc;
	cp->cp_mono_ns = mono;
	cp->cp_real_ns = real;
	return 0;
}
