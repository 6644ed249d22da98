/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * POSIX ACLs: on disk an entry has an id only where it means something, in system
 * calls always.
 *
 * Source: section 5.4.1; acl(5) and the attribute's form of version 2 for system
 * calls (Linux's include/uapi/linux/posix_acl_xattr.h, as getfattr shows it).
 */
#include "impl.h"

#define TAG_USER  2u
#define TAG_GROUP 8u

#define CALL_VERSION 2u
#define CALL_ENTRY   8u

struct acl_entry {
	le16_t ae_tag_le, ae_perm_le;
	le32_t ae_id_le;
};

static bool
tag_ok(uint32_t tag)
{
	return tag == 1 || tag == 2 || tag == 4 || tag == 8 || tag == 16 ||
	    tag == 32;
}

static uint32_t
entry_len(uint32_t tag)
{
	return tag == TAG_USER || tag == TAG_GROUP ? 8 : 4;
}

int64_t
acl_from_disk(struct qfs *fs, const uint8_t *p, size_t n, uint8_t *to,
    size_t len)
{
	size_t at = 4, out = 4;
	le32_t version;

	if (n < 4)
		return qfs_damaged(fs, "an ACL of %zu bytes", n);
	memcpy(&version, p, 4);
	if (le32(version) != EXT4_ACL_VERSION)
		return qfs_damaged(fs, "an ACL of version %u", le32(version));
	while (at < n) {
		struct acl_entry e = { 0 };
		uint32_t tag;

		if (n - at < 4)
			return qfs_damaged(fs, "an ACL of %zu bytes", n);
		memcpy(&e, p + at, 4);
		tag = le16(e.ae_tag_le);
		if (!tag_ok(tag) || n - at < entry_len(tag))
			return qfs_damaged(fs, "an ACL with tag %u", tag);
		e.ae_id_le = to_le32(UINT32_MAX);
		if (entry_len(tag) == 8)
			memcpy(&e, p + at, 8);
		if (out + CALL_ENTRY <= len)
			memcpy(to + out, &e, CALL_ENTRY);
		at += entry_len(tag);
		out += CALL_ENTRY;
	}
	version = to_le32(CALL_VERSION);
	if (len >= 4)
		memcpy(to, &version, 4);
	return len != 0 && out > len ? -Q_ERANGE : (int64_t)out;
}

int64_t
acl_to_disk(const uint8_t *p, size_t n, uint8_t *to, size_t len)
{
	size_t at, out = 4;
	le32_t version;

	if (n < 4 || (n - 4) % CALL_ENTRY != 0)
		return -Q_EINVAL;
	memcpy(&version, p, 4);
	if (le32(version) != CALL_VERSION)
		return -Q_EOPNOTSUPP;
	for (at = 4; at < n; at += CALL_ENTRY) {
		struct acl_entry e;
		uint32_t tag;

		memcpy(&e, p + at, CALL_ENTRY);
		tag = le16(e.ae_tag_le);
		if (!tag_ok(tag))
			return -Q_EINVAL;
		if (out + entry_len(tag) > len)
			return -Q_ENOSPC;
		memcpy(to + out, &e, entry_len(tag));
		out += entry_len(tag);
	}
	version = to_le32(EXT4_ACL_VERSION);
	memcpy(to, &version, 4);
	return (int64_t)out;
}
