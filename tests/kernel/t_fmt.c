/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's formatting, against the C library's.
 */
#include <limits.h>
#include <string.h>

#include <quern/base.h>

#include "kmain.h"

#define SAME(...)                                                            \
	do {                                                                 \
		char want_[300], got_[300];                                  \
		int n_ = snprintf(want_, sizeof(want_), __VA_ARGS__);        \
		ck_assert_int_eq(qsnprintf(got_, sizeof(got_), __VA_ARGS__), \
		    n_);                                                     \
		ck_assert_str_eq(got_, want_);                               \
	} while (0)

START_TEST(numbers)
{
	static const long v[] = { 0, 1, -1, 9, 10, -10, 255, 4096, 65535,
		1000000, INT_MAX, INT_MIN, LONG_MAX, LONG_MIN };
	unsigned i;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		SAME("%d %i", (int)v[i], (int)v[i]);
		SAME("%u %x", (unsigned)v[i], (unsigned)v[i]);
		SAME("%ld %li %lu %lx", v[i], v[i], (unsigned long)v[i],
		    (unsigned long)v[i]);
		SAME("%lld %llu %llx", (long long)v[i],
		    (unsigned long long)v[i], (unsigned long long)v[i]);
		SAME("%zu %zx", (size_t)v[i], (size_t)v[i]);
		SAME("%5d|%-5d|%05d", (int)v[i], (int)v[i], (int)v[i]);
		SAME("%12ld|%-12ld|%012ld", v[i], v[i], v[i]);
		SAME("%20lx|%-20lx|%020lx", (unsigned long)v[i],
		    (unsigned long)v[i], (unsigned long)v[i]);
		SAME("%2u%3x", (unsigned)v[i], (unsigned)v[i]);
	}
	SAME("%p", (void *)0x1234abcd);
	SAME("%p", (void *)&i);
}
END_TEST

START_TEST(strings)
{
	static const char raw[3] = { 'a', 'b', 'c' }; /* no 0 behind */
	char *volatile none = NULL;
	char buf[20];

	SAME("%s", "");
	SAME("%s%s", "ab", "cd");
	SAME("%10s|%-10s|", "right", "left");
	SAME("%2s", "longer than that");
	SAME("%.3s|%.0s|%.10s|", "abcdef", "abc", "abc");
	SAME("%8.3s|%-8.3s|", "abcdef", "abcdef");
	SAME("%c%c%c", 'x', '%', 'z');
	SAME("%3c|%-3c|", 'r', 'l');
	SAME("100%%");
	SAME("%%%d%%", 7);
	SAME("no conversion at all");
	ck_assert_int_eq(qsnprintf(buf, sizeof(buf), "%.3s", raw), 3);
	ck_assert_str_eq(buf, "abc");
	ck_assert_int_eq(qsnprintf(buf, sizeof(buf), "%s", none), 6);
	ck_assert_str_eq(buf, "(null)");
}
END_TEST

/* As much as fits, ended by a 0; the length that it would have had. */
START_TEST(truncation)
{
	char got[16], want[16];
	size_t len;

	for (len = 0; len <= sizeof(got); len++) {
		memset(got, '#', sizeof(got));
		memset(want, '#', sizeof(want));
		ck_assert_int_eq(qsnprintf(got, len, "%s-%05d", "abc", 42), 9);
		ck_assert_int_eq(snprintf(want, len, "%s-%05d", "abc", 42), 9);
		ck_assert_mem_eq(got, want, sizeof(got));
	}
	ck_assert_int_eq(qsnprintf(NULL, 0, "%d", 12345), 5);
}
END_TEST

START_TEST(primitives)
{
	static const char *const s[] = { "", "a", "ab", "abc", "b", "\xff",
		"\x01" };
	unsigned i, j;

	for (i = 0; i < sizeof(s) / sizeof(s[0]); i++) {
		ck_assert_uint_eq(qstrlen(s[i]), strlen(s[i]));
		for (j = 0; j < sizeof(s) / sizeof(s[0]); j++) {
			int want = strcmp(s[i], s[j]),
			    got = qstrcmp(s[i], s[j]);

			ck_assert_int_eq((got > 0) - (got < 0),
			    (want > 0) - (want < 0));
		}
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fmt");
	TCase *tc = tcase_create("fmt");

	tcase_add_test(tc, numbers);
	tcase_add_test(tc, strings);
	tcase_add_test(tc, truncation);
	tcase_add_test(tc, primitives);
	suite_add_tcase(s, tc);
	return kmain(s);
}
