/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checksums of metadata: CRC-32C with metadata_csum, CRC-16 of group
 * descriptors with gdt_csum.
 *
 * What is summed is in the section on each structure; nearly everywhere it is
 * seeded with the file system's UUID (or s_checksum_seed) and with what the
 * structure belongs to, so that a block of another file does not pass.
 *
 * A CRC is linear: the entry of a table for i is the sum of those for i's bits.
 * So 8 constants make a table, and all tables are constant expressions.  And what
 * a change of some bytes does to the sum of a block depends on those bytes and
 * their place only (csum_patch).
 */
#include "impl.h"

#define PICK(i, a, b, c, d, e, f, g, h)                                   \
	(((i)&1 ? (a) : 0) ^ ((i)&2 ? (b) : 0) ^ ((i)&4 ? (c) : 0) ^      \
	    ((i)&8 ? (d) : 0) ^ ((i)&16 ? (e) : 0) ^ ((i)&32 ? (f) : 0) ^ \
	    ((i)&64 ? (g) : 0) ^ ((i)&128 ? (h) : 0))

/* CRC-32C of a byte and k zeroes behind it. */
#define T0(i)                                                               \
	PICK(i, 0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf, 0x105ec76f, \
	    0x20bd8ede, 0x417b1dbc, 0x82f63b78)
#define T1(i)                                                               \
	PICK(i, 0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8, 0x3fc5f181, \
	    0x7f8be302, 0xff17c604, 0xfbc3faf9)
#define T2(i)                                                               \
	PICK(i, 0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5, 0x70a27d8a, \
	    0xe144fb14, 0xc76580d9, 0x8b277743)
#define T3(i)                                                               \
	PICK(i, 0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6, 0xe964b13d, \
	    0xd725148b, 0xaba65fe7, 0x52a0c93f)
#define T4(i)                                                               \
	PICK(i, 0x38116fac, 0x7022df58, 0xe045beb0, 0xc5670b91, 0x8f2261d3, \
	    0x1ba8b557, 0x37516aae, 0x6ea2d55c)
#define T5(i)                                                               \
	PICK(i, 0xef306b19, 0xdb8ca0c3, 0xb2f53777, 0x6006181f, 0xc00c303e, \
	    0x85f4168d, 0x0e045beb, 0x1c08b7d6)
#define T6(i)                                                               \
	PICK(i, 0x68032cc8, 0xd0065990, 0xa5e0c5d1, 0x4e2dfd53, 0x9c5bfaa6, \
	    0x3d5b83bd, 0x7ab7077a, 0xf56e0ef4)
#define T7(i)                                                               \
	PICK(i, 0x493c7d27, 0x9278fa4e, 0x211d826d, 0x423b04da, 0x847609b4, \
	    0x0d006599, 0x1a00cb32, 0x34019664)
#define T8(i)                                                               \
	PICK(i, 0xf43ed648, 0xed91da61, 0xdecfc233, 0xb873f297, 0x750b93df, \
	    0xea1727be, 0xd1c2398d, 0xa66805eb)
#define T9(i)                                                               \
	PICK(i, 0xcb567ba5, 0x934081bb, 0x236d7587, 0x46daeb0e, 0x8db5d61c, \
	    0x1e87dac9, 0x3d0fb592, 0x7a1f6b24)
#define T10(i)                                                              \
	PICK(i, 0x9771f7c1, 0x2b0f9973, 0x561f32e6, 0xac3e65cc, 0x5d90bd69, \
	    0xbb217ad2, 0x73ae8355, 0xe75d06aa)
#define T11(i)                                                              \
	PICK(i, 0x3171d430, 0x62e3a860, 0xc5c750c0, 0x8e62d771, 0x1929d813, \
	    0x3253b026, 0x64a7604c, 0xc94ec098)
#define T12(i)                                                              \
	PICK(i, 0x30d23865, 0x61a470ca, 0xc348e194, 0x837db5d9, 0x03171d43, \
	    0x062e3a86, 0x0c5c750c, 0x18b8ea18)
#define T13(i)                                                              \
	PICK(i, 0x54075546, 0xa80eaa8c, 0x55f123e9, 0xabe247d2, 0x5228f955, \
	    0xa451f2aa, 0x4d4f93a5, 0x9a9f274a)
#define T14(i)                                                              \
	PICK(i, 0x678efd01, 0xcf1dfa02, 0x9bd782f5, 0x3243731b, 0x6486e636, \
	    0xc90dcc6c, 0x97f7ee29, 0x2a03aaa3)
#define T15(i)                                                              \
	PICK(i, 0xf20c0dfe, 0xe1f46d0d, 0xc604aceb, 0x89e52f27, 0x162628bf, \
	    0x2c4c517e, 0x5898a2fc, 0xb13145f8)

#define X4(t, i)  t(i), t((i) + 1), t((i) + 2), t((i) + 3)
#define X16(t, i) X4(t, i), X4(t, (i) + 4), X4(t, (i) + 8), X4(t, (i) + 12)
#define X64(t, i) \
	X16(t, i), X16(t, (i) + 16), X16(t, (i) + 32), X16(t, (i) + 48)
#define X256(t) X64(t, 0), X64(t, 64), X64(t, 128), X64(t, 192)

static const uint32_t crc32c_table[16][256] = {
	{ X256(T0) },
	{ X256(T1) },
	{ X256(T2) },
	{ X256(T3) },
	{ X256(T4) },
	{ X256(T5) },
	{ X256(T6) },
	{ X256(T7) },
	{ X256(T8) },
	{ X256(T9) },
	{ X256(T10) },
	{ X256(T11) },
	{ X256(T12) },
	{ X256(T13) },
	{ X256(T14) },
	{ X256(T15) },
};

uint32_t
ext4_crc32c(uint32_t crc, const void *buf, size_t len)
{
	const uint32_t(*t)[256] = crc32c_table;
	const uint8_t *p = buf;
	uint64_t w, w2;

	/* What does not need the last step's result can run beside it. */
	for (; len >= 16; len -= 16, p += 16) {
		memcpy(&w, p, 8);
		memcpy(&w2, p + 8, 8);
		w = le64(w) ^ crc;
		w2 = le64(w2);
		crc = t[15][w & 0xff] ^ t[14][w >> 8 & 0xff] ^
		    t[13][w >> 16 & 0xff] ^ t[12][w >> 24 & 0xff] ^
		    t[11][w >> 32 & 0xff] ^ t[10][w >> 40 & 0xff] ^
		    t[9][w >> 48 & 0xff] ^ t[8][w >> 56] ^ t[7][w2 & 0xff] ^
		    t[6][w2 >> 8 & 0xff] ^ t[5][w2 >> 16 & 0xff] ^
		    t[4][w2 >> 24 & 0xff] ^ t[3][w2 >> 32 & 0xff] ^
		    t[2][w2 >> 40 & 0xff] ^ t[1][w2 >> 48 & 0xff] ^
		    t[0][w2 >> 56];
	}
	if (len >= 8) {
		memcpy(&w, p, 8);
		w = le64(w) ^ crc;
		crc = t[7][w & 0xff] ^ t[6][w >> 8 & 0xff] ^
		    t[5][w >> 16 & 0xff] ^ t[4][w >> 24 & 0xff] ^
		    t[3][w >> 32 & 0xff] ^ t[2][w >> 40 & 0xff] ^
		    t[1][w >> 48 & 0xff] ^ t[0][w >> 56];
		len -= 8;
		p += 8;
	}
	for (; len > 0; len--, p++)
		crc = crc >> 8 ^ t[0][(crc ^ *p) & 0xff];
	return crc;
}

/* Multiply two polynomials modulo CRC-32C's, all reflected. */
static uint32_t
multiply(uint32_t a, uint32_t b)
{
	uint32_t r = 0;
	unsigned i;

	for (i = 0; i < 32; i++) {
		r ^= b & -(a >> 31);
		a <<= 1;
		b = b >> 1 ^ (0x82f63b78 & -(b & 1));
	}
	return r;
}

/* What `crc` becomes with `n` zeroes behind it: n bytes are a factor x^8n. */
static uint32_t
append_zeroes(uint32_t crc, size_t n)
{
	/* x to the 8 times 64, 128, ... */
	static const uint32_t powers[] = { 0xb82be955, 0xb8fdb1e7, 0x88e56f72,
		0x74c360a4, 0xe4172b16, 0x0d65762a, 0x35d73a62, 0x28461564,
		0xbf455269, 0xe2ea32dc, 0xfe7740e6 };
	static const uint8_t zeroes[63];
	unsigned i;

	crc = ext4_crc32c(crc, zeroes, n & 63);
	for (i = 0, n >>= 6; n != 0; i++, n >>= 1)
		if ((n & 1) != 0)
			crc = multiply(powers[i], crc);
	return crc;
}

uint32_t
csum_patch(uint32_t sum, uint32_t was, const void *p, size_t len, size_t rest)
{
	return sum ^ append_zeroes(was ^ ext4_crc32c(0, p, len), rest);
}

/* The reflected CRC-16 of polynomial 0x8005, as bg_checksum uses it. */
static uint16_t
crc16(uint16_t crc, const void *buf, size_t len)
{
	const uint8_t *p = buf;
	unsigned i;

	while (len-- > 0) {
		crc ^= *p++;
		for (i = 0; i < 8; i++)
			crc = (uint16_t)(crc >> 1 ^ (0xa001 & -(crc & 1)));
	}
	return crc;
}

/* Section 4.1, s_checksum: unseeded. */
uint32_t
csum_super(const struct ext4_super *sb)
{
	return ext4_crc32c(~0u, sb, offsetof(struct ext4_super, s_checksum_le));
}

/* Section 4.2, bg_checksum. */
uint16_t
csum_group(const struct ext4 *x, uint32_t g, const struct ext4_group_desc *gd)
{
	size_t at = offsetof(struct ext4_group_desc, bg_checksum_le);
	le32_t g_le = to_le32(g);
	uint16_t zero = 0, sum;
	uint32_t crc;

	if (x->x_csum) {
		crc = ext4_crc32c(x->x_seed, &g_le, sizeof(g_le));
		crc = ext4_crc32c(crc, gd, at);
		crc = ext4_crc32c(crc, &zero, sizeof(zero));
		crc = ext4_crc32c(crc, (const uint8_t *)gd + at + 2,
		    x->x_desc_size - at - 2);
		return (uint16_t)crc;
	}
	if (!x->x_gdtcsum)
		return 0;
	sum = crc16(0xffff, x->x_super->s_uuid, 16);
	sum = crc16(sum, &g_le, sizeof(g_le));
	sum = crc16(sum, gd, at);
	if (x->x_desc_size > at + 2)
		sum = crc16(sum, (const uint8_t *)gd + at + 2,
		    x->x_desc_size - at - 2);
	return sum;
}

/* Section 4.3: of the `len` bytes of a bitmap that mean something. */
uint32_t
csum_bitmap(const struct ext4 *x, const void *bits, size_t len)
{
	return ext4_crc32c(x->x_seed, bits, len);
}

/* What blocks that belong to an inode are seeded with. */
uint32_t
csum_inode_seed(const struct ext4 *x, uint64_t ino, uint32_t gen)
{
	le32_t ino_le = to_le32(ino), gen_le = to_le32(gen);
	uint32_t crc = ext4_crc32c(x->x_seed, &ino_le, sizeof(ino_le));

	return ext4_crc32c(crc, &gen_le, sizeof(gen_le));
}

/* Section 5.1, i_checksum: of the whole record, its own fields as zeroes. */
uint32_t
csum_inode(const struct ext4 *x, uint32_t seed, const struct ext4_inode *di)
{
	size_t lo = offsetof(struct ext4_inode, i_checksum_lo_le);
	size_t hi = offsetof(struct ext4_inode, i_checksum_hi_le);
	const uint8_t *p = (const uint8_t *)di;
	uint16_t zero = 0;
	uint32_t crc;
	size_t at = lo + 2;

	crc = ext4_crc32c(seed, p, lo);
	crc = ext4_crc32c(crc, &zero, 2);
	if (inode_has_csum_hi(x, di)) {
		crc = ext4_crc32c(crc, p + at, hi - at);
		crc = ext4_crc32c(crc, &zero, 2);
		at = hi + 2;
	}
	crc = ext4_crc32c(crc, p + at, x->x_isize - at);
	return inode_has_csum_hi(x, di) ? crc : crc & 0xffff;
}

/* Sections 5.3.1, 5.2: of a directory's leaf, and of an extent block. */
uint32_t
csum_block(uint32_t seed, const void *p, size_t len)
{
	return ext4_crc32c(seed, p, len);
}

/* Section 5.3.2: of `used` bytes of a node, then its tail without the sum. */
uint32_t
csum_dx(uint32_t seed, const void *p, size_t used,
    const struct ext4_dx_tail *tail)
{
	uint32_t crc = ext4_crc32c(seed, p, used), zero = 0;

	crc = ext4_crc32c(crc, &tail->dt_reserved_le, sizeof(le32_t));
	return ext4_crc32c(crc, &zero, sizeof(zero));
}

/* Section 5.4: a block of attributes, seeded with where it is. */
uint32_t
csum_xattr(const struct ext4 *x, uint64_t blk, const void *p)
{
	size_t at = offsetof(struct ext4_xattr_header, h_checksum_le);
	le64_t blk_le = to_le64(blk);
	uint32_t crc = ext4_crc32c(x->x_seed, &blk_le, sizeof(blk_le));
	uint32_t zero = 0;

	crc = ext4_crc32c(crc, p, at);
	crc = ext4_crc32c(crc, &zero, sizeof(zero));
	return ext4_crc32c(crc, (const uint8_t *)p + at + 4,
	    x->x_bsize - at - 4);
}

/* Section 4.6. */
uint32_t
csum_mmp(const struct ext4 *x, const struct ext4_mmp *m)
{
	return ext4_crc32c(x->x_seed, m,
	    offsetof(struct ext4_mmp, mmp_checksum_le));
}
