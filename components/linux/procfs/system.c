/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The system as a whole: memory, processors, load, disks.
 */
#include "impl.h"

#include <quern/block.h>
#include <quern/page.h>

typedef unsigned long long ull;

#define NS_PER_S UINT64_C(1000000000)

static uint64_t
uptime_ns(struct quern *k)
{
	return qclock_mono(k) - qclock_boot(k);
}

/* ---- memory ------------------------------------------------------------------- */

int
show_meminfo(struct text *t, const struct subject *sub)
{
	uint64_t total = qpage_total(sub->s_k), free = qpage_nfree(sub->s_k);
	uint64_t swap, swapfree, committed, limit;
	unsigned how, ratio;

	qvm_swapinfo(sub->s_k, &swap, &swapfree);
	qvm_overcommit(sub->s_k, &how, &ratio, &committed, &limit);
	text_kib(t, "MemTotal", total);
	text_kib(t, "MemFree", free);
	text_kib(t, "MemAvailable", free);
	text_kib(t, "Buffers", 0);
	text_kib(t, "Cached", 0);
	text_kib(t, "SwapCached", 0);
	text_kib(t, "SwapTotal", swap);
	text_kib(t, "SwapFree", swapfree);
	text_kib(t, "Shmem", 0);
	text_kib(t, "SReclaimable", 0);
	text_kib(t, "CommitLimit", limit);
	text_kib(t, "Committed_AS", committed);
	return 0;
}

int
show_swaps(struct text *t, const struct subject *sub)
{
	uint64_t total, free;

	qvm_swapinfo(sub->s_k, &total, &free);
	text_add(t, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
	if (total != 0)
		text_add(t, "%-40spartition\t%llu\t\t%llu\t\t-2\n", "swap",
		    (ull)(total * (QUERN_PAGE_SIZE / 1024)),
		    (ull)((total - free) * (QUERN_PAGE_SIZE / 1024)));
	return 0;
}

int
show_vmstat(struct text *t, const struct subject *sub)
{
	text_add(t, "nr_free_pages %llu\n", (ull)qpage_nfree(sub->s_k));
	return 0;
}

/* ---- time and load -------------------------------------------------------------- */

int
show_uptime(struct text *t, const struct subject *sub)
{
	uint64_t up = uptime_ns(sub->s_k) / 10000000;
	uint64_t idle = up * qcpu_count(sub->s_k), busy, user, sys;

	qlproc_busy(sub->s_k, &user, &sys);
	busy = TICKS(user + sys);
	idle = idle > busy ? idle - busy : 0;
	text_add(t, "%llu.%02llu %llu.%02llu\n", (ull)(up / 100),
	    (ull)(up % 100), (ull)(idle / 100), (ull)(idle % 100));
	return 0;
}

int
show_loadavg(struct text *t, const struct subject *sub)
{
	uint32_t procs, threads, running, last;
	uint64_t load[3];
	unsigned i;

	qlproc_count(sub->s_k, &procs, &threads, &running, &last);
	qlproc_load(sub->s_k, load);
	for (i = 0; i < 3; i++) {
		load[i] += QLPROC_LOAD / 200;
		text_add(t, "%llu.%02llu ", (ull)(load[i] / QLPROC_LOAD),
		    (ull)(load[i] % QLPROC_LOAD * 100 / QLPROC_LOAD));
	}
	text_add(t, "%u/%u %u\n", running, threads, last);
	return 0;
}

int
show_sysstat(struct text *t, const struct subject *sub)
{
	uint32_t procs, threads, running, last;
	unsigned n = qcpu_count(sub->s_k), i;
	uint64_t up = TICKS(uptime_ns(sub->s_k)), user, sys, idle;

	qlproc_count(sub->s_k, &procs, &threads, &running, &last);
	qlproc_busy(sub->s_k, &user, &sys);
	user = TICKS(user);
	sys = TICKS(sys);
	idle = up * n > user + sys ? up * n - user - sys : 0;
	text_add(t, "cpu  %llu 0 %llu %llu 0 0 0 0 0 0\n", (ull)user, (ull)sys,
	    (ull)idle);
	/* Which of them it was is not counted. */
	for (i = 0; i < n; i++)
		text_add(t, "cpu%u %llu 0 %llu %llu 0 0 0 0 0 0\n", i,
		    (ull)(user / n), (ull)(sys / n), (ull)(idle / n));
	text_add(t, "intr 0\nctxt 0\nbtime %llu\nprocesses %u\n",
	    (ull)((qclock_real(sub->s_k) - uptime_ns(sub->s_k)) / NS_PER_S),
	    last);
	text_add(t, "procs_running %u\nprocs_blocked 0\n", running);
	return 0;
}

int
show_version(struct text *t, const struct subject *sub)
{
	(void)sub;
	text_add(t,
	    "Linux version " QUTS_RELEASE " (quern) " QUTS_VERSION "\n");
	return 0;
}

/* ---- processors ------------------------------------------------------------------- */

static void
cpuid(uint32_t leaf, uint32_t r[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
			 : "a"(leaf), "c"(0));
}

/* What programs ask for by name: leaf, register, bit. */
static const struct {
	uint32_t leaf;
	uint8_t reg, bit;
	const char *name;
} features[] = { { 1, 3, 0, "fpu" }, { 1, 3, 4, "tsc" }, { 1, 3, 8, "cx8" },
	{ 1, 3, 15, "cmov" }, { 1, 3, 19, "clflush" }, { 1, 3, 23, "mmx" },
	{ 1, 3, 24, "fxsr" }, { 1, 3, 25, "sse" }, { 1, 3, 26, "sse2" },
	{ 0x80000001, 3, 11, "syscall" }, { 0x80000001, 3, 20, "nx" },
	{ 0x80000001, 3, 29, "lm" }, { 1, 2, 0, "pni" },
	{ 1, 2, 1, "pclmulqdq" }, { 1, 2, 9, "ssse3" }, { 1, 2, 12, "fma" },
	{ 1, 2, 13, "cx16" }, { 1, 2, 19, "sse4_1" }, { 1, 2, 20, "sse4_2" },
	{ 1, 2, 22, "movbe" }, { 1, 2, 23, "popcnt" }, { 1, 2, 25, "aes" },
	{ 1, 2, 26, "xsave" }, { 1, 2, 28, "avx" }, { 1, 2, 29, "f16c" },
	{ 1, 2, 30, "rdrand" }, { 0x80000001, 2, 0, "lahf_lm" },
	{ 0x80000001, 2, 5, "abm" }, { 7, 1, 0, "fsgsbase" },
	{ 7, 1, 3, "bmi1" }, { 7, 1, 5, "avx2" }, { 7, 1, 8, "bmi2" },
	{ 7, 1, 9, "erms" }, { 7, 1, 16, "avx512f" }, { 7, 1, 17, "avx512dq" },
	{ 7, 1, 18, "rdseed" }, { 7, 1, 29, "sha_ni" },
	{ 7, 1, 30, "avx512bw" }, { 7, 1, 31, "avx512vl" } };

static void
add_features(struct text *t)
{
	uint32_t r[4];
	unsigned i;

	text_add(t, "flags\t\t:");
	for (i = 0; i < QARRAYLEN(features); i++) {
		cpuid(features[i].leaf & 0x80000000u, r);
		if (r[0] < features[i].leaf)
			continue;
		cpuid(features[i].leaf, r);
		if ((r[features[i].reg] >> features[i].bit & 1) != 0)
			text_add(t, " %s", features[i].name);
	}
	text_add(t, "\n");
}

static void
add_processor(struct text *t, unsigned id, unsigned n)
{
	uint32_t r[4], brand[13] = { 0 }, family, model;
	char vendor[13] = { 0 };
	unsigned i;

	cpuid(0, r);
	memcpy(vendor, &r[1], 4);
	memcpy(vendor + 4, &r[3], 4);
	memcpy(vendor + 8, &r[2], 4);
	for (i = 0; i < 3; i++)
		cpuid(0x80000002u + i, &brand[4 * i]);
	cpuid(1, r);
	family = r[0] >> 8 & 15;
	model = r[0] >> 4 & 15;
	if (family == 6 || family == 15)
		model |= r[0] >> 12 & 0xf0;
	if (family == 15)
		family += r[0] >> 20 & 0xff;
	text_add(t,
	    "processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\n"
	    "model\t\t: %u\nmodel name\t: %s\nstepping\t: %u\n",
	    id, vendor, family, model, (const char *)brand, r[0] & 15);
	text_add(t,
	    "physical id\t: 0\nsiblings\t: %u\ncore id\t\t: %u\n"
	    "cpu cores\t: %u\nfpu\t\t: yes\n",
	    n, id, n);
	add_features(t);
	text_add(t, "clflush size\t: 64\ncache_alignment\t: 64\n\n");
}

int
show_cpuinfo(struct text *t, const struct subject *sub)
{
	unsigned i, n = qcpu_count(sub->s_k);

	for (i = 0; i < n; i++)
		add_processor(t, i, n);
	return 0;
}

/* ---- devices ----------------------------------------------------------------------- */

int
show_devices(struct text *t, const struct subject *sub)
{
	(void)sub;
	text_add(t,
	    "Character devices:\n  1 mem\n  4 tty\n  5 /dev/tty\n"
	    "  5 /dev/console\n  5 /dev/ptmx\n136 pts\n\n"
	    "Block devices:\n%3u disk\n",
	    QDISK_MAJOR);
	return 0;
}

/* One line for each disk. */
static int
each_disk(struct text *t, struct quern *k, bool stats)
{
	struct qdisk *d;
	uint32_t num;

	for (num = 1; (d = qdisk_from(k, num)) != NULL; num++) {
		num = d->qd_num;
		if (stats)
			text_add(t,
			    "%4u %7u %s 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
			    QDISK_MAJOR, num, d->qd_name);
		else
			text_add(t, "%4u %8u %10llu %s\n", QDISK_MAJOR, num,
			    (ull)(qdisk_size(d) / 1024), d->qd_name);
		qdisk_put(d);
	}
	return 0;
}

int
show_partitions(struct text *t, const struct subject *sub)
{
	text_add(t, "major minor  #blocks  name\n\n");
	return each_disk(t, sub->s_k, false);
}

int
show_diskstats(struct text *t, const struct subject *sub)
{
	return each_disk(t, sub->s_k, true);
}
