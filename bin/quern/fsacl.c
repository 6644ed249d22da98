/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * POSIX ACLs: libarchive's entries, and the attributes that hold them, acl(5).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fsarchive.h"

/* On disk, in the CPU's order, which on x86-64 is that of the format. */
struct acl_head {
	uint32_t ah_version;
};

struct acl_entry {
	uint16_t ae_tag;
	uint16_t ae_perm;
	uint32_t ae_id;
};

#define VERSION 2
#define NO_ID   UINT32_MAX

static const struct {
	uint16_t tag;
	int theirs;
} tags[] = {
	{ 0x01, ARCHIVE_ENTRY_ACL_USER_OBJ },
	{ 0x02, ARCHIVE_ENTRY_ACL_USER },
	{ 0x04, ARCHIVE_ENTRY_ACL_GROUP_OBJ },
	{ 0x08, ARCHIVE_ENTRY_ACL_GROUP },
	{ 0x10, ARCHIVE_ENTRY_ACL_MASK },
	{ 0x20, ARCHIVE_ENTRY_ACL_OTHER },
};

#define NTAGS (sizeof(tags) / sizeof(tags[0]))

bool
fs_acl_add(struct archive_entry *e, int type, const void *value, size_t len)
{
	struct acl_head head;
	struct acl_entry ae;
	const char *p = value;
	size_t off, i;

	if (len < sizeof(head) || (len - sizeof(head)) % sizeof(ae) != 0)
		return false;
	memcpy(&head, p, sizeof(head));
	if (head.ah_version != VERSION)
		return false;
	for (off = sizeof(head); off < len; off += sizeof(ae)) {
		memcpy(&ae, p + off, sizeof(ae));
		for (i = 0; i < NTAGS && tags[i].tag != ae.ae_tag; i++)
			;
		if (i == NTAGS)
			return false;
		archive_entry_acl_add_entry(e, type, ae.ae_perm & 7,
		    tags[i].theirs, ae.ae_id == NO_ID ? -1 : (int)ae.ae_id,
		    NULL);
	}
	return true;
}

/* The order that the attribute must have. */
static int
compare(const void *a, const void *b)
{
	const struct acl_entry *x = a, *y = b;

	if (x->ae_tag != y->ae_tag)
		return x->ae_tag < y->ae_tag ? -1 : 1;
	return x->ae_id < y->ae_id ? -1 : x->ae_id > y->ae_id;
}

int64_t
fs_acl_value(struct archive_entry *e, int type, void *buf, size_t size)
{
	struct acl_head head = { VERSION };
	struct acl_entry ae[1024];
	int what, perm, tag, id;
	const char *name;
	size_t n = 0, i;

	if (archive_entry_acl_reset(e, type) == 0)
		return 0;
	while (archive_entry_acl_next(e, type, &what, &perm, &tag, &id,
		   &name) == ARCHIVE_OK) {
		for (i = 0; i < NTAGS && tags[i].theirs != tag; i++)
			;
		if (i == NTAGS)
			return -EINVAL;
		if (n == sizeof(ae) / sizeof(ae[0]))
			return -E2BIG;
		ae[n].ae_tag = tags[i].tag;
		ae[n].ae_perm = (uint16_t)(perm & 7);
		ae[n].ae_id = NO_ID;
		if (tag == ARCHIVE_ENTRY_ACL_USER ||
		    tag == ARCHIVE_ENTRY_ACL_GROUP) {
			if (id < 0)
				return -EINVAL;
			ae[n].ae_id = (uint32_t)id;
		}
		n++;
	}
	if (sizeof(head) + n * sizeof(ae[0]) > size)
		return -E2BIG;
	qsort(ae, n, sizeof(ae[0]), compare);
	memcpy(buf, &head, sizeof(head));
	memcpy((char *)buf + sizeof(head), ae, n * sizeof(ae[0]));
	return (int64_t)(sizeof(head) + n * sizeof(ae[0]));
}
