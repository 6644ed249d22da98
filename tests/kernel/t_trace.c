/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trace, the log and the counters on both hosts.
 */
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "kmain.h"

extern const struct kcase ktrace_cases[];
extern const struct kcase ktrace_repeats;

KCASE_TESTS(ktrace_cases)

/* Two worlds of one seed write the same bytes. */
START_TEST(same_bytes)
{
	struct {
		char *p;
		size_t len, max;
	} first = { NULL, 0, 0 };
	unsigned i;

	for (i = 0; i < 2; i++)
		kmust("repeats",
		    ktest_sim(ktrace_repeats.body, 3, 2, (uint64_t)_i,
			_i % 2 == 0 ? QUERN_SIM_RANDOM : QUERN_SIM_PCT,
			&first));
	free(first.p);
}
END_TEST

/* The checker of traces finds what it is there for. */
START_TEST(bad_traces)
{
#define HEAD "{\"traceEvents\":["
#define AT(ph, name, ts)                                          \
	"{\"ph\":\"" ph "\",\"pid\":1,\"tid\":2,\"name\":\"" name \
	"\",\"ts\":" ts "}"
	static const char *const bad[] = {
		"",
		"{",
		HEAD,
		HEAD "]}x",
		HEAD "{\"ph\":\"i\"}]}",
		HEAD AT("i", "a", "1") "," AT("i", "b", "0.5") "]}",
		HEAD AT("B", "a", "1") "," AT("E", "b", "2") "]}",
		HEAD AT("X", "a", "1") "]}",
		HEAD AT("i", "a\n", "1") "]}",
		HEAD AT("i", "a", "1") ",]}",
	};
	static const char good[] = HEAD AT("B", "a", "1") "," AT("E", "a",
	    "2") "]}";
	struct json_trace jt;
	unsigned i;

	ck_assert_ptr_null(json_check_trace(good, &jt));
	ck_assert_uint_eq(jt.events, 2);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(json_check_trace(bad[i], &jt) != NULL, "%s",
		    bad[i]);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("trace");
	TCase *tc = tcase_create("trace");

	KCASE_ADD(s, ktrace_cases);
	tcase_add_loop_test(tc, same_bytes, 1, 11);
	tcase_add_test(tc, bad_traces);
	suite_add_tcase(s, tc);
	return kmain(s);
}
