/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory: RAM pages, the heap, what leaks and what is missing.
 */
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kernel/impl.h>
#include <quern/page.h>
#include <quern/slab.h>

#include "khost.h"
#include "kmain.h"

KCASE_TESTS(kmem_cases)

static const struct qtag apples = { "apples" }, pears = { "pears" };

/* Resident bytes of this process. */
static long
resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long size = 0, pages = 0;

	ck_assert(f != NULL && fscanf(f, "%ld %ld", &size, &pages) == 2);
	fclose(f);
	return pages * 4096;
}

static int64_t
take_some_pages(void *arg)
{
	struct quern *k = quern_current();
	struct qpage *pg[100];
	unsigned i;

	(void)arg;
	for (i = 0; i < 100; i++) {
		pg[i] = qpage_alloc(k, 0);
		if (pg[i] == NULL)
			return -1;
		memset(qpage_data(k, pg[i]), 1, QUERN_PAGE_SIZE);
	}
	for (i = 0; i < 100; i++)
		qpage_put(k, pg[i]);
	return 0;
}

/* RAM that nobody has used costs nothing, however much of it there is. */
START_TEST(lazy_ram)
{
	struct quern_config c = { .host = quern_posix(),
		.ram = (size_t)16 << 30 };
	struct quern *k;
	long before, after;

	/* The first kernel pays for what the process does once. */
	ck_assert_int_eq(quern_create(&c, &k), 0);
	ck_assert_int_eq(quern_destroy(k), 0);
	before = resident();
	ck_assert_int_eq(quern_create(&c, &k), 0);
	after = resident();
#if !defined(QSAN_ADDRESS) && !defined(QSAN_THREAD)
	ck_assert_int_lt(after - before, 1 << 20);
#endif
	ck_assert_int_eq(kcall(k, take_some_pages, NULL), 0);
#if !defined(QSAN_ADDRESS) && !defined(QSAN_THREAD)
	ck_assert_int_lt(resident() - after, 1 << 20);
	ck_assert_int_ge(resident() - after, 100 * 4096);
#endif
	ck_assert_int_eq(quern_destroy(k), 0);
	(void)before, (void)after;
}
END_TEST

/* ---- leaks ------------------------------------------------------------------ */

static char lines[4096];

static void
keep_line(void *arg, int level, const char *line)
{
	(void)arg, (void)level;
	strncat(lines, line, sizeof(lines) - strlen(lines) - 2);
	strcat(lines, "\n");
}

static int64_t
leak(void *arg)
{
	struct quern *k = quern_current();
	void *p;
	unsigned i;

	(void)arg;
	for (i = 0; i < 3; i++)
		(void)!qalloc(&apples, 100);
	(void)!qalloc(&pears, 10000);
	p = qalloc(&pears, 1);
	qfree(p);
	(void)!qpage_alloc(k, 2);
	return 0;
}

/* What is left behind is counted and named by tag. */
START_TEST(leak_report)
{
	struct quern_config c = { .host = khost_wrap(quern_posix()),
		.log = keep_line,
		.name = "leaky" };
	struct quern *k;
	uint64_t leaks = 99;
	struct khost_count held;

	ck_assert_int_eq(quern_create(&c, &k), 0);
	ck_assert_int_eq(quern_destroy_count(k, &leaks), 0);
	ck_assert_uint_eq(leaks, 0);
	ck_assert_str_eq(lines, "");
	ck_assert_int_eq(quern_create(&c, &k), 0);
	ck_assert_int_eq(kcall(k, leak, NULL), 0);
	ck_assert_int_eq(quern_destroy_count(k, &leaks), 0);
	ck_assert_uint_eq(leaks, 3 + 1 + 4);
	ck_assert_ptr_nonnull(
	    strstr(lines, "leaky: leak: apples: 3 objects, "));
	ck_assert_ptr_nonnull(strstr(lines, "leaky: leak: pears: 1 objects, "));
	ck_assert_ptr_nonnull(strstr(lines, "leaky: leak: 4 RAM pages\n"));
	/* The memory itself has gone back all the same. */
	held = khost_held();
	ck_assert_int_eq(held.maps, 0);
	ck_assert_int_eq(held.bytes, 0);
}
END_TEST

/* ---- no memory ----------------------------------------------------------------- */

static int64_t
until_empty(void *arg)
{
	static void *p[2000];
	size_t size = *(size_t *)arg;
	unsigned n, round;

	for (round = 0; round < 2; round++) {
		/* One map goes through, the second fails. */
		khost_fail(2);
		for (n = 0; n < 2000; n++)
			if ((p[n] = qalloc(&apples, size)) == NULL)
				break;
		if (n == 2000)
			return -1;
		/* It was only for the moment. */
		p[n] = qalloc(&apples, size);
		if (p[n] == NULL)
			return -2;
		for (n++; n-- > 0;)
			qfree(p[n]);
		/* The next round finds a slab full of free ones. */
		if (size <= QALLOC_SLAB)
			break;
	}
	return khost_failed() ? 0 : -3;
}

/* When the host has no memory qalloc answers NULL, and works afterwards. */
START_TEST(no_memory)
{
	static const size_t sizes[] = { 100, 2000, 4000, 10000 };
	struct quern_config c = { .host = khost_wrap(quern_posix()) };
	struct quern *k;
	struct khost_count held;
	uint64_t leaks = 99;
	size_t size = sizes[_i];

	ck_assert_int_eq(quern_create(&c, &k), 0);
	ck_assert_int_eq(kcall(k, until_empty, &size), 0);
	ck_assert_int_eq(quern_destroy_count(k, &leaks), 0);
	ck_assert_uint_eq(leaks, 0);
	held = khost_held();
	ck_assert_int_eq(held.maps, 0);
}
END_TEST

static int64_t
large_one(void *arg)
{
	/* Not for the compiler to see. */
	static volatile size_t absurd[] = { SIZE_MAX - 100, SIZE_MAX - 8,
		SIZE_MAX, SIZE_MAX / 2, (size_t)1 << 47 };
	struct khost_count before = khost_held(), during;
	void *p = qalloc(&apples, 1 << 20);
	unsigned i;

	(void)arg;
	during = khost_held();
	if (p == NULL || during.bytes - before.bytes < 1 << 20)
		return -1;
	if (qalloc_size(p) != 1 << 20)
		return -2;
	qfree(p);
	if (khost_held().bytes != before.bytes)
		return -3;
	for (i = 0; i < QARRAYLEN(absurd); i++)
		if (qalloc(&apples, absurd[i]) != NULL)
			return -4;
	return 0;
}

/* Large objects go back to the host at once; absurd sizes are refused. */
START_TEST(large_objects)
{
	struct quern_config c = { .host = khost_wrap(quern_posix()) };
	struct quern *k;

	ck_assert_int_eq(quern_create(&c, &k), 0);
	ck_assert_int_eq(kcall(k, large_one, NULL), 0);
	ck_assert_int_eq(quern_destroy(k), 0);
}
END_TEST

/* ---- redzones --------------------------------------------------------------------- */

#ifdef QSAN_ADDRESS
static const size_t zones[] = { 1, 15, 16, 17, 64, 100, 1000, 4080, 4096,
	5000 };

enum { AT_END, BEYOND_ROUNDING, AFTER_FREE, KINDS };

#define NOTICED 43

/* ASan calls this before it writes its report, which takes long. */
void __asan_on_error(void);

static bool expected;

void
__asan_on_error(void)
{
	if (expected)
		_exit(NOTICED);
}

static int64_t
trespass(void *arg)
{
	int i = *(int *)arg;
	size_t size = zones[i / KINDS];
	volatile char *p = qalloc(&apples, size);

	if (p == NULL)
		return 0;
	p[0] = p[size - 1] = 1;
	switch (i % KINDS) {
	case AT_END:
		p[size] = 1;
		break;
	case BEYOND_ROUNDING:
		p[size + QSAN_REDZONE - 1] = 1;
		break;
	default:
		qfree((void *)p);
		p[size / 2] = 1;
		break;
	}
	return 0;
}

/* Under ASan what is beyond an object, or was one, can't be touched. */
START_TEST(redzones)
{
	struct quern_config c = { .host = quern_posix() };
	struct quern *k;
	int status, which = _i;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (quern_create(&c, &k) != 0)
			_exit(0);
		expected = true;
		(void)kcall(k, trespass, &which);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == NOTICED,
	    "size %zu, kind %d went unnoticed", zones[_i / KINDS], _i % KINDS);
}
END_TEST
#endif

int
main(void)
{
	Suite *s = suite_create("mem");
	TCase *tc = tcase_create("host");

	KCASE_ADD(s, kmem_cases);
	tcase_add_test(tc, lazy_ram);
	tcase_add_test(tc, leak_report);
	tcase_add_loop_test(tc, no_memory, 0, 4);
	tcase_add_test(tc, large_objects);
#ifdef QSAN_ADDRESS
	tcase_add_loop_test(tc, redzones, 0,
	    KINDS * (int)(sizeof(zones) / sizeof(zones[0])));
#endif
	suite_add_tcase(s, tc);
	return kmain(s);
}
