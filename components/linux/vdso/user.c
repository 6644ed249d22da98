/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The functions of the vDSO.  They run in guests, on the guest's stack, and know
 * nothing but their arguments, the page `vvar`, and the system calls for what
 * can't be told from that.  Names and versions are those that C libraries look
 * up; see vdso(7).
 */
#include "vvar.h"

#define NS_PER_SEC 1000000000u
#define NS_PER_US  1000u

#define NR_GETTIMEOFDAY  96
#define NR_TIME          201
#define NR_CLOCK_GETTIME 228
#define NR_CLOCK_GETRES  229
#define NR_GETCPU        309

/* The kernel reads the same for all of these. */
#define CLOCK_REALTIME         0
#define CLOCK_MONOTONIC        1
#define CLOCK_MONOTONIC_RAW    4
#define CLOCK_REALTIME_COARSE  5
#define CLOCK_MONOTONIC_COARSE 6
#define CLOCK_BOOTTIME         7

#define REAL_CLOCKS (1u << CLOCK_REALTIME | 1u << CLOCK_REALTIME_COARSE)
#define MONO_CLOCKS                                          \
	(1u << CLOCK_MONOTONIC | 1u << CLOCK_MONOTONIC_RAW | \
	    1u << CLOCK_MONOTONIC_COARSE | 1u << CLOCK_BOOTTIME)

struct timespec {
	int64_t tv_sec, tv_nsec;
};

struct timeval {
	int64_t tv_sec, tv_usec;
};

struct timezone {
	int32_t tz_minuteswest, tz_dsttime;
};

extern const volatile struct vvar vvar __attribute__((visibility("hidden")));

int __vdso_clock_gettime(int clock, struct timespec *ts);
int __vdso_clock_getres(int clock, struct timespec *ts);
int __vdso_gettimeofday(struct timeval *tv, struct timezone *tz);
int64_t __vdso_time(int64_t *t);
int __vdso_getcpu(uint32_t *cpu, uint32_t *node, void *unused);

static long
call(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}

/* Nothing before it is done after it, and the other way round. */
static uint64_t
cycles(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc; lfence"
			 : "=a"(low), "=d"(high)
			 :
			 : "memory");
	return (uint64_t)high << 32 | low;
}

/* The time in ns; 0: not known here. */
static uint64_t
now(int real)
{
	uint64_t cycle0, mult, base, tsc;
	uint32_t seq, shift;

	do {
		seq = __atomic_load_n(&vvar.vv_seq, __ATOMIC_ACQUIRE);
		shift = vvar.vv_shift;
		if (shift == 0)
			return 0;
		cycle0 = vvar.vv_cycle0;
		mult = vvar.vv_mult;
		base = vvar.vv_mono + (real ? vvar.vv_real : 0);
		tsc = cycles();
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while ((seq & 1) != 0 ||
	    __atomic_load_n(&vvar.vv_seq, __ATOMIC_RELAXED) != seq);
	/* Another processor's may be a little behind. */
	if (tsc < cycle0)
		return base;
	return base +
	    (uint64_t)(((unsigned __int128)(tsc - cycle0) * mult) >> shift);
}

int
__vdso_clock_gettime(int clock, struct timespec *ts)
{
	uint32_t bit = clock >= 0 && clock < 32 ? 1u << clock : 0;
	uint64_t ns;

	if ((bit & (REAL_CLOCKS | MONO_CLOCKS)) != 0) {
		ns = now((bit & REAL_CLOCKS) != 0);
		if (ns != 0) {
			ts->tv_sec = (int64_t)(ns / NS_PER_SEC);
			ts->tv_nsec = (int64_t)(ns % NS_PER_SEC);
			return 0;
		}
	}
	return (int)call(NR_CLOCK_GETTIME, clock, (long)ts, 0);
}

int
__vdso_clock_getres(int clock, struct timespec *ts)
{
	return (int)call(NR_CLOCK_GETRES, clock, (long)ts, 0);
}

int
__vdso_gettimeofday(struct timeval *tv, struct timezone *tz)
{
	uint64_t ns = tv != 0 ? now(1) : 0;

	/* The time zone is the kernel's to tell. */
	if (ns == 0 || tz != 0)
		return (int)call(NR_GETTIMEOFDAY, (long)tv, (long)tz, 0);
	tv->tv_sec = (int64_t)(ns / NS_PER_SEC);
	tv->tv_usec = (int64_t)(ns % NS_PER_SEC / NS_PER_US);
	return 0;
}

int64_t
__vdso_time(int64_t *t)
{
	uint64_t ns = now(1);
	int64_t s;

	if (ns == 0)
		return call(NR_TIME, (long)t, 0, 0);
	s = (int64_t)(ns / NS_PER_SEC);
	if (t != 0)
		*t = s;
	return s;
}

/* Guests move between virtual CPUs, of which the processor knows nothing. */
int
__vdso_getcpu(uint32_t *cpu, uint32_t *node, void *unused)
{
	return (int)call(NR_GETCPU, (long)cpu, (long)node, (long)unused);
}

#define ALIAS(name)                           \
	extern __typeof__(__vdso_##name) name \
	    __attribute__((weak, alias("__vdso_" #name)));

ALIAS(clock_gettime)
ALIAS(clock_getres)
ALIAS(gettimeofday)
ALIAS(time)
ALIAS(getcpu)
