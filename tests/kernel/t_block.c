/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Block devices on both hosts, and what crashes may leave of a simulated disk.
 */
#include <errno.h>
#include <string.h>

#include "kmain.h"

extern const struct kcase kblock_cases[];

KCASE_TESTS(kblock_cases)

#define SECTOR 512u
#define UNITS  8u

/* What is in the sectors of a crashed state: bit i: sector i is new. */
static unsigned
survivors(struct quern_sim_disk *d, uint64_t seed, unsigned n)
{
	struct quern_sim_disk *s;
	unsigned char buf[SECTOR];
	unsigned i, bits = 0;

	ck_assert_int_eq(quern_sim_disk_crash(d, seed, "crashed", &s), 0);
	for (i = 0; i < n; i++) {
		ck_assert_int_eq(quern_sim_disk_read(s, i * SECTOR, buf,
				     SECTOR),
		    0);
		ck_assert(buf[0] == buf[SECTOR - 1]);
		bits |= (unsigned)(buf[0] != 0) << i;
	}
	quern_sim_disk_destroy(s);
	return bits;
}

/* Eight sectors pending: which states are there? */
static void
states(const struct quern_sim_disk_config *dc, unsigned writes,
    unsigned char seen[1u << UNITS])
{
	struct quern_sim_config sc = { .seed = 1 };
	struct quern_sim *w;
	struct quern_sim_disk *d;
	unsigned char buf[UNITS * SECTOR];
	size_t len = UNITS / writes * SECTOR;
	unsigned i;

	memset(seen, 0, 1u << UNITS);
	memset(buf, 1, sizeof(buf));
	ck_assert_int_eq(quern_sim_create(&sc, &w), 0);
	ck_assert_int_eq(quern_sim_disk(w, "d", dc, &d), 0);
	for (i = 0; i < writes; i++)
		ck_assert_int_eq(quern_sim_disk_write(d, i * len, buf, len, 0),
		    0);
	ck_assert_uint_eq(survivors(d, 0, UNITS), 0);
	ck_assert_uint_eq(survivors(d, 1, UNITS), (1u << UNITS) - 1);
	for (i = 2; i < 4000; i++)
		seen[survivors(d, i, UNITS)] = 1;
	quern_sim_destroy(w);
}

START_TEST(crash_in_order)
{
	struct quern_sim_disk_config dc = { .size = 65536, .cache = 1 };
	unsigned char seen[1u << UNITS];
	unsigned i;

	states(&dc, UNITS, seen);
	for (i = 0; i < sizeof(seen); i++)
		ck_assert_msg(seen[i] == ((i & (i + 1)) == 0),
		    "state %x is%s there", i, seen[i] ? "" : " not");
}
END_TEST

START_TEST(crash_reordered)
{
	struct quern_sim_disk_config dc = { .size = 65536,
		.cache = 1,
		.reorder = 1 };
	unsigned char seen[1u << UNITS];
	unsigned i, n = 0;

	states(&dc, UNITS, seen);
	for (i = 0; i < sizeof(seen); i++)
		n += seen[i];
	ck_assert_uint_gt(n, 250);
}
END_TEST

START_TEST(crash_torn)
{
	struct quern_sim_disk_config dc = { .size = 65536,
		.cache = 1,
		.atomic = 2 * SECTOR };
	unsigned char seen[1u << UNITS];
	unsigned i, n = 0;

	states(&dc, 1, seen);
	for (i = 0; i < sizeof(seen); i++) {
		n += seen[i];
		/* Never half of an atomic unit. */
		ck_assert(!seen[i] || ((i ^ i >> 1) & 0x55) == 0);
	}
	ck_assert_uint_eq(n, 16);
}
END_TEST

/* ---- all states, by number -------------------------------------------------- */

/* The sectors that are new in the state with that number. */
static unsigned
state(struct quern_sim_disk *d, uint64_t index)
{
	struct quern_sim_disk *s;
	unsigned bits;

	ck_assert_int_eq(quern_sim_disk_state(d, index, "state", &s), 0);
	bits = survivors(s, 1, UNITS);
	ck_assert_uint_eq(quern_sim_disk_states(s), 1);
	quern_sim_disk_destroy(s);
	return bits;
}

/*
 * `writes` of equal length over eight sectors: there are `count` states, no two
 * alike, and random draws find most of these and no others.
 */
static void
enumerate(const struct quern_sim_disk_config *dc, unsigned writes,
    uint64_t count)
{
	struct quern_sim_config sc = { .seed = 1 };
	struct quern_sim *w;
	struct quern_sim_disk *d, *fork;
	unsigned char buf[UNITS * SECTOR], seen[1u << UNITS] = { 0 };
	size_t len = UNITS / writes * SECTOR;
	uint64_t i;
	unsigned found = 0, bits;

	memset(buf, 1, sizeof(buf));
	ck_assert_int_eq(quern_sim_create(&sc, &w), 0);
	ck_assert_int_eq(quern_sim_disk(w, "d", dc, &d), 0);
	for (i = 0; i < writes; i++)
		ck_assert_int_eq(quern_sim_disk_write(d, i * len, buf, len, 0),
		    0);
	ck_assert_uint_eq(quern_sim_disk_states(d), count);
	ck_assert_int_eq(quern_sim_disk_state(d, count, "s", &fork), -EINVAL);
	ck_assert_int_eq(quern_sim_disk_fork(d, "fork", &fork), 0);
	ck_assert_int_eq(quern_sim_disk_fork(d, "fork", &fork), -EEXIST);
	for (i = 0; i < count; i++) {
		bits = state(d, i);
		ck_assert(!seen[bits]);
		seen[bits] = 1;
		ck_assert_uint_eq(state(fork, i), bits);
	}
	if (count > 1)
		ck_assert_uint_eq(state(d, 0), 0);
	ck_assert_uint_eq(state(d, count - 1), (1u << UNITS) - 1);
	for (i = 2; i < 3000; i++) {
		bits = survivors(d, i, UNITS);
		ck_assert_msg(seen[bits], "state %x has no number", bits);
		found += seen[bits] == 1;
		seen[bits] = 2;
	}
	ck_assert_uint_ge(found, count - count / 4);
	/* A fork goes on for itself. */
	ck_assert_int_eq(quern_sim_disk_write(fork, 60000, buf, SECTOR, 0), 0);
	ck_assert_uint_eq(quern_sim_disk_states(d), count);
	if (dc->cache)
		ck_assert_uint_gt(quern_sim_disk_states(fork), count);
	quern_sim_destroy(w);
}

START_TEST(states_by_number)
{
	struct quern_sim_disk_config dc = { .size = 65536 };

	enumerate(&dc, 1, 1); /* no cache: nothing is pending */
	dc.cache = 1;
	enumerate(&dc, 8, 9);
	enumerate(&dc, 1, 256);
	enumerate(&dc, 4, 4 * 3 + 1);
	dc.atomic = 4 * SECTOR;
	enumerate(&dc, 1, 4);
	dc.reorder = 1;
	enumerate(&dc, 2, 4);
	dc.atomic = SECTOR;
	enumerate(&dc, 2, 256);
}
END_TEST

/* A hash is of what is on the medium, however it got there. */
START_TEST(hashes)
{
	struct quern_sim_disk_config dc = { .size = 8 << 20, .cache = 1 };
	struct quern_sim_config sc = { .seed = 1 };
	unsigned char buf[3 * SECTOR];
	struct quern_sim_disk *d, *e, *fork;
	struct quern_sim *w;
	uint64_t empty, one;

	memset(buf, 7, sizeof(buf));
	ck_assert_int_eq(quern_sim_create(&sc, &w), 0);
	ck_assert_int_eq(quern_sim_disk(w, "d", &dc, &d), 0);
	empty = quern_sim_disk_hash(d);
	ck_assert_int_eq(quern_sim_disk_write(d, 0, buf, SECTOR, 0), 0);
	ck_assert_uint_eq(quern_sim_disk_hash(d), empty);
	ck_assert_int_eq(quern_sim_disk_crash(d, 1, "e", &e), 0);
	one = quern_sim_disk_hash(e);
	ck_assert_uint_ne(one, empty);
	ck_assert_int_eq(quern_sim_disk_fork(e, "fork", &fork), 0);
	ck_assert_uint_eq(quern_sim_disk_hash(fork), one);
	/* The same bytes elsewhere: in the page, in another, in another leaf. */
	for (uint64_t at = SECTOR; at < 8u << 20; at *= 4) {
		ck_assert_int_eq(quern_sim_disk_write(fork, at, buf, SECTOR, 1),
		    0);
		ck_assert_uint_ne(quern_sim_disk_hash(fork), one);
		memset(buf, 0, SECTOR);
		ck_assert_int_eq(quern_sim_disk_write(fork, at, buf, SECTOR, 1),
		    0);
		ck_assert_uint_eq(quern_sim_disk_hash(fork), one);
		memset(buf, 7, SECTOR);
	}
	memset(buf, 0, SECTOR);
	ck_assert_int_eq(quern_sim_disk_write(fork, 0, buf, SECTOR, 1), 0);
	ck_assert_uint_eq(quern_sim_disk_hash(fork), empty);
	quern_sim_destroy(w);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("block");
	TCase *tc = tcase_create("crash");

	KCASE_ADD(s, kblock_cases);
	tcase_add_test(tc, crash_in_order);
	tcase_add_test(tc, crash_reordered);
	tcase_add_test(tc, crash_torn);
	tcase_add_test(tc, states_by_number);
	tcase_add_test(tc, hashes);
	suite_add_tcase(s, tc);
	return kmain(s);
}
