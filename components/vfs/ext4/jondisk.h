/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The journal on the disk: jbd2's format, as described in Linux's Documentation/
 * filesystems/ext4/journal.rst.  Everything is big-endian.
 */
#ifndef EXT4_JONDISK_H
#define EXT4_JONDISK_H

#include <quern/base.h>

#define JMAGIC 0xc03b3998u

/* jh_type: "Block Header". */
#define JTYPE_DESC   1u
#define JTYPE_COMMIT 2u
#define JTYPE_SB1    3u
#define JTYPE_SB2    4u
#define JTYPE_REVOKE 5u

/* "Super Block": features. */
#define JCOMPAT_CHECKSUM 1u
#define JINCOMPAT_REVOKE 1u
#define JINCOMPAT_64BIT  2u
#define JINCOMPAT_ASYNC  4u
#define JINCOMPAT_CSUM2  8u
#define JINCOMPAT_CSUM3  16u
#define JINCOMPAT_FAST   32u
#define JINCOMPAT_ALL    63u

/* Checksum types. */
#define JCSUM_CRC32  1u
#define JCSUM_CRC32C 4u

/* Flags of a tag. */
#define JTAG_ESCAPE  1u
#define JTAG_SAME    2u /* no UUID behind it */
#define JTAG_DELETED 4u
#define JTAG_LAST    8u

#define JUUID 16u

struct jheader {
	uint32_t jh_magic_be;
	uint32_t jh_type_be;
	uint32_t jh_seq_be;
};

/* "Super Block". */
struct jsuper {
	struct jheader js_h;
	uint32_t js_bsize_be;
	uint32_t js_maxlen_be;
	uint32_t js_first_be;
	uint32_t js_seq_be;
	uint32_t js_start_be;
	uint32_t js_errno_be;
	/* what follows, since version 2 */
	uint32_t js_compat_be;
	uint32_t js_incompat_be;
	uint32_t js_rocompat_be;
	uint8_t js_uuid[JUUID];
	uint32_t js_users_be;
	uint32_t js_dynsuper_be;
	uint32_t js_maxtrans_be;
	uint32_t js_maxdata_be;
	uint8_t js_csumtype;
	uint8_t js_pad0[3];
	uint32_t js_nfast_be;
	uint32_t js_head_be;
	uint32_t js_pad[40];
	uint32_t js_csum_be;
	uint8_t js_ids[16 * 48];
};

/* "Descriptor Block": the tag of checksums v3, */
struct jtag3 {
	uint32_t jt_blk_be;
	uint32_t jt_flags_be;
	uint32_t jt_high_be;
	uint32_t jt_csum_be;
};

/*
 * and that of all others, the first 8 bytes of it without 64BIT.  Checksums v2
 * add two bytes behind either that mean nothing.
 */
struct jtag {
	uint32_t jt_blk_be;
	uint16_t jt_csum_be;
	uint16_t jt_flags_be;
	uint32_t jt_high_be;
};

/* "Revocation Block": jr_count counts bytes, with this header. */
struct jrevhead {
	struct jheader jr_h;
	uint32_t jr_count_be;
};

/* "Commit Block". */
struct jcommithead {
	struct jheader jc_h;
	uint8_t jc_csumtype;
	uint8_t jc_csumsize;
	uint8_t jc_pad[2];
	uint32_t jc_csum_be[8];
	uint64_t jc_sec_be;
	uint32_t jc_nsec_be;
};

/* "Fast commits": a tag and its length, little-endian; then the first tag's. */
struct jfast {
	uint16_t jf_tag_le;
	uint16_t jf_len_le;
	uint32_t jf_features_le;
	uint32_t jf_tid_le;
};

#define JFAST_TAIL 8u
#define JFAST_HEAD 9u

_Static_assert(sizeof(struct jsuper) == 1024, "superblock");
_Static_assert(offsetof(struct jsuper, js_uuid) == 0x30, "uuid");
_Static_assert(offsetof(struct jsuper, js_csumtype) == 0x50, "type");
_Static_assert(offsetof(struct jsuper, js_csum_be) == 0xfc, "checksum");
_Static_assert(sizeof(struct jtag3) == 16 && sizeof(struct jtag) == 12, "tag");
_Static_assert(sizeof(struct jrevhead) == 16, "revoke");
_Static_assert(offsetof(struct jcommithead, jc_sec_be) == 0x30, "commit");
_Static_assert(sizeof(struct jfast) == 12, "fast commit");

/* To and from the disk's order. */
static inline uint32_t
jbe32(uint32_t x)
{
	return __builtin_bswap32(x);
}

static inline uint16_t
jbe16(uint16_t x)
{
	return __builtin_bswap16(x);
}

static inline uint64_t
jbe64(uint64_t x)
{
	return __builtin_bswap64(x);
}

#endif /* EXT4_JONDISK_H */
