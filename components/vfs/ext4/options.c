/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options of mount(2), as ext4(5) names them.
 *
 * What says how things are here anyway is accepted; what would have to change
 * something that we don't have is refused by name, rather than ignored.
 */
#include "impl.h"

/* What is so without being asked for. */
static const char *const granted[] = { "defaults", "acl", "user_xattr",
	"delalloc", "nodiscard", "barrier", "barrier=1", "data=ordered",
	"errors=remount-ro", "journal_checksum", "nojournal_checksum",
	"journal_async_commit", "noinit_itable", "nogrpid", "sysvgroups",
	"nouid32", "block_validity", "dioread_lock", "dioread_nolock",
	"auto_da_alloc", "quota", "noquota", "usrquota", "grpquota",
	"prjquota" };

static bool
same(const char *s, size_t len, const char *name)
{
	return qstrlen(name) == len && memcmp(s, name, len) == 0;
}

/* "NAME=NUMBER" of exactly that name. */
static bool
number_of(const char *s, size_t len, const char *name, uint32_t *np)
{
	size_t i = qstrlen(name);
	uint64_t n = 0;

	if (len <= i + 1 || memcmp(s, name, i) != 0 || s[i] != '=')
		return false;
	for (i++; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(s[i] - '0');
		if (n > UINT32_MAX)
			return false;
	}
	*np = (uint32_t)n;
	return true;
}

static int
take_one(struct ext4_options *o, const char *s, size_t len)
{
	uint32_t n;
	size_t i;

	if (same(s, len, "noload") || same(s, len, "norecovery")) {
		o->o_noload = true;
	} else if (number_of(s, len, "resuid", &n)) {
		o->o_resuid = n;
	} else if (number_of(s, len, "resgid", &n)) {
		o->o_resgid = n;
	} else if (number_of(s, len, "commit", &n) && n <= 900) {
		o->o_commit = n;
	} else {
		for (i = 0; i < QARRAYLEN(granted); i++)
			if (same(s, len, granted[i]))
				return 0;
		return -Q_EINVAL;
	}
	return 0;
}

int
options_parse(struct ext4 *x, const char *s, struct ext4_options *o)
{
	char name[60];
	size_t len;

	*o = (struct ext4_options){ .o_resuid = UINT32_MAX,
		.o_resgid = UINT32_MAX };
	while (*s != '\0') {
		for (len = 0; s[len] != ',' && s[len] != '\0'; len++)
			continue;
		if (len > 0 && take_one(o, s, len) != 0) {
			size_t n = len < sizeof(name) ? len : sizeof(name) - 1;

			memcpy(name, s, n);
			name[n] = '\0';
			qfs_log(x->x_fs, QUERN_LOG_ERR,
			    "not mounted: option '%s' is not supported", name);
			return -Q_EINVAL;
		}
		s += len + (s[len] == ',');
	}
	return 0;
}
