/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checksums: CRC-32C by what the literature says it is, and csum_patch by
 * summing again.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <components/vfs/ext4/impl.h>

#define MOST 65536u

START_TEST(crc32c)
{
	/* RFC 3720, appendix B.4, complemented at both ends. */
	static const struct {
		int first, step;
		uint32_t sum;
	} v[] = { { 0, 0, 0x8a9136aa }, { 0xff, 0, 0x62a8ab43 },
		{ 0, 1, 0x46dd794e }, { 31, -1, 0x113fdb5c } };
	uint8_t p[32];
	unsigned i, k;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		for (k = 0; k < sizeof(p); k++)
			p[k] = (uint8_t)(v[i].first + (int)k * v[i].step);
		ck_assert_uint_eq(~ext4_crc32c(~0u, p, sizeof(p)), v[i].sum);
	}
}
END_TEST

/* Blocks of any size, changes of any length anywhere, any seed. */
START_TEST(patch)
{
	static uint8_t p[MOST];
	uint32_t seed, sum, was;
	size_t size, at, len, i;
	unsigned n;

	srand(4);
	for (i = 0; i < MOST; i++)
		p[i] = (uint8_t)rand();
	for (n = 0; n < 2000; n++) {
		size = 1 + (size_t)rand() % (n % 2 == 0 ? 300 : MOST);
		at = (size_t)rand() % size;
		len = (size_t)rand() % (size - at + 1) % 80;
		seed = (uint32_t)rand() * 5u;
		sum = ext4_crc32c(seed, p, size);
		was = ext4_crc32c(0, p + at, len);
		for (i = at; i < at + len; i++)
			p[i] ^= (uint8_t)rand();
		ck_assert_uint_eq(csum_patch(sum, was, p + at, len,
				      size - at - len),
		    ext4_crc32c(seed, p, size));
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("checksums");
	TCase *tc = tcase_create("checksums");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, crc32c);
	tcase_add_test(tc, patch);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
