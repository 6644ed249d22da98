/* SPDX-License-Identifier: BSD-2-Clause */
/* The vDSO: found as C libraries find it, and telling the time. */
#include <elf.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "guest.h"

#define NS 1000000000LL

/* What is between two readings may take this long on a busy machine. */
#define SLACK (5 * NS)

static const char *base;
static const Elf64_Sym *syms;
static const char *strings;
static const Elf64_Half *versions;
static const Elf64_Verdef *verdef;
static Elf64_Word nsym;

/* Find the tables; 0 if there is no vDSO here. */
static int
find_tables(void)
{
	const Elf64_Ehdr *eh = (const void *)getauxval(AT_SYSINFO_EHDR);
	const Elf64_Phdr *ph;
	const Elf64_Dyn *d = NULL;
	int i;

	if (eh == NULL)
		return 0;
	base = (const char *)eh;
	ph = (const void *)(base + eh->e_phoff);
	for (i = 0; i < eh->e_phnum; i++)
		if (ph[i].p_type == PT_DYNAMIC)
			d = (const void *)(base + ph[i].p_offset);
	for (; d != NULL && d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_SYMTAB)
			syms = (const void *)(base + d->d_un.d_ptr);
		else if (d->d_tag == DT_STRTAB)
			strings = base + d->d_un.d_ptr;
		else if (d->d_tag == DT_HASH)
			nsym = ((const Elf64_Word *)(base + d->d_un.d_ptr))[1];
		else if (d->d_tag == DT_VERSYM)
			versions = (const void *)(base + d->d_un.d_ptr);
		else if (d->d_tag == DT_VERDEF)
			verdef = (const void *)(base + d->d_un.d_ptr);
	}
	return 1;
}

/* The function of that name and of version LINUX_2.6, or NULL. */
static void *
find(const char *name)
{
	const Elf64_Verdef *vd;
	const Elf64_Verdaux *va;
	Elf64_Word i;

	for (i = 0; i < nsym; i++) {
		if (strcmp(strings + syms[i].st_name, name) != 0 ||
		    ELF64_ST_TYPE(syms[i].st_info) != STT_FUNC)
			continue;
		for (vd = verdef;;
		     vd = (const void *)((const char *)vd + vd->vd_next))
			if (vd->vd_ndx == (versions[i] & 0x7fff) ||
			    vd->vd_next == 0)
				break;
		va = (const void *)((const char *)vd + vd->vd_aux);
		if (strcmp(strings + va->vda_name, "LINUX_2.6") == 0)
			return (void *)(uintptr_t)(base + syms[i].st_value);
	}
	return NULL;
}

static long long
by_call(int clock)
{
	struct timespec ts;

	syscall(SYS_clock_gettime, clock, &ts);
	return ts.tv_sec * NS + ts.tv_nsec;
}

typedef int gettime_fn(int, struct timespec *);

/* Each clock, between two system calls. */
static void
clocks(gettime_fn *gettime)
{
	static const int ids[] = { CLOCK_REALTIME, CLOCK_MONOTONIC,
		CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI };
	struct timespec ts;
	long long before, t, after;
	size_t i;

	for (i = 0; i < sizeof ids / sizeof ids[0]; i++) {
		before = by_call(ids[i]);
		printf("clock %d: %d", ids[i], gettime(ids[i], &ts));
		after = by_call(ids[i]);
		t = ts.tv_sec * NS + ts.tv_nsec;
		printf(" %d %d\n", t > before - SLACK && t < after + SLACK,
		    ts.tv_nsec >= 0 && ts.tv_nsec < NS);
	}
	printf("no clock: %d\n", gettime(77, &ts));
}

/* For longer than the kernel tells it the same: never back, always on. */
static void
never_back(gettime_fn *gettime)
{
	long long end = by_call(CLOCK_MONOTONIC) + NS * 5 / 4, t, last = 0;
	struct timespec ts;
	int back = 0;
	long n = 0;

	do {
		gettime(CLOCK_MONOTONIC, &ts);
		t = ts.tv_sec * NS + ts.tv_nsec;
		back += t < last;
		last = t;
	} while (t < end && ++n < 1000000000);
	printf("back %d times, there at last: %d\n", back, t >= end);
}

static void
others(void)
{
	int (*gettimeofday_fn)(struct timeval *,
	    struct timezone *) = (int (*)(struct timeval *,
	    struct timezone *))(uintptr_t)find("__vdso_gettimeofday");
	long (*time_fn)(long *) = (long (*)(long *))(uintptr_t)find(
	    "__vdso_time");
	long (
	    *getcpu_fn)(unsigned *, unsigned *, void *) = (long (*)(unsigned *,
	    unsigned *, void *))(uintptr_t)find("__vdso_getcpu");
	struct timeval tv;
	struct timezone tz = { 1, 1 };
	unsigned cpu = 9999, node = 9999;
	long now = time(NULL), t = 0;

	printf("gettimeofday %d", gettimeofday_fn(&tv, NULL));
	printf(" %d\n", tv.tv_sec >= now - 5 && tv.tv_sec <= now + 60);
	printf("zone %d", gettimeofday_fn(&tv, &tz));
	printf(" %d\n", tz.tz_minuteswest);
	printf("time %d", time_fn(&t) >= now - 1);
	printf(" %d\n", t >= now - 1);
	printf("getcpu %ld", getcpu_fn(&cpu, &node, NULL));
	printf(" %d %u\n", cpu < 1024, node);
}

/* Nobody writes to what it reads. */
static void
read_only(void)
{
	char line[256], name[64];
	unsigned long from = 0, to = 0;
	FILE *f = fopen("/proc/self/maps", "r");

	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		name[0] = '\0';
		sscanf(line, "%lx-%lx %*s %*s %*s %*s %63s", &from, &to, name);
		if (strcmp(name, "[vvar]") == 0)
			break;
		from = 0;
	}
	if (f != NULL)
		fclose(f);
	printf("vvar %d", from != 0);
	errno = 0;
	printf(" %d", mprotect((void *)from, 4096, PROT_READ | PROT_WRITE));
	printf(" %d\n", errno);
}

int
main(void)
{
	gettime_fn *gettime;

	if (!find_tables()) {
		printf("no vDSO\n");
		return 0;
	}
	gettime = (gettime_fn *)(uintptr_t)find("__vdso_clock_gettime");
	printf("names: %d %d\n", gettime != NULL,
	    find("__vdso_clock_getres") != NULL);
	clocks(gettime);
	others();
	never_back(gettime);
	read_only();
	return 0;
}
