/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading partition tables.
 *
 * Everything read is hostile: lengths and counts are checked against the disk
 * before they are used, chains of extended partitions are bounded, and a
 * partition that does not lie within the disk is damage, not a smaller one.
 *
 * Sources: the MBR as all systems write it (signature 55 AA at 510, four entries
 * of 16 bytes at 446; types 05, 0F and 85 hold a chain of further tables, each
 * with one partition relative to itself and a link relative to the first); UEFI
 * specification 2.10, section 5.3 (GPT header, entries, CRC-32).
 */
#include "impl.h"

#include "blockimpl.h"
#include "partition.h"

#define MBR_ENTRIES  446u
#define MBR_ENTRY    16u
#define EXTENDED_MAX 60u /* logical partitions, which stops a circle */

#define GPT_ENTRY_MAX 4096u
#define GPT_COUNT_MAX 1024u

static uint32_t
le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24;
}

static uint64_t
le64(const uint8_t *p)
{
	return le32(p) | (uint64_t)le32(p + 4) << 32;
}

/* Bit by bit: tables are a few sectors long. */
uint32_t
block_crc32(const uint8_t *p, size_t len)
{
	uint32_t crc = UINT32_MAX;
	unsigned i;

	while (len-- > 0) {
		crc ^= *p++;
		for (i = 0; i < 8; i++)
			crc = crc >> 1 ^ (UINT32_C(0xedb88320) & -(crc & 1));
	}
	return ~crc;
}

static int
damaged(struct qdisk *d, const char *what, uint64_t lba)
{
	qlog(d->qd_k, QUERN_LOG_ERR,
	    "disk %s: partition table: %s at sector %lu", d->qd_name, what,
	    lba);
	return -Q_EUCLEAN;
}

/* Note a partition given in sectors. */
static int
add(struct qdisk *d, struct qpart_table *t, unsigned number, uint64_t lba,
    uint64_t count)
{
	uint64_t total = qdisk_size(d) / d->qd_sector;
	struct quern_disk_part *pt;

	if (count == 0 || lba == 0 || lba >= total || count > total - lba)
		return damaged(d, "a partition outside the disk", lba);
	if (t->pt_n == QPART_MAX)
		return damaged(d, "too many partitions", lba);
	pt = &t->pt_part[t->pt_n++];
	pt->pt_number = number;
	pt->pt_off = lba * d->qd_sector;
	pt->pt_len = count * d->qd_sector;
	return 0;
}

/* ---- MBR ------------------------------------------------------------------- */

static bool
is_mbr(const uint8_t *sector)
{
	const uint8_t *e;
	unsigned i;

	if (sector[510] != 0x55 || sector[511] != 0xaa)
		return false;
	/* A boot sector of a file system has the signature, but code here. */
	for (i = 0; i < 4; i++) {
		e = sector + MBR_ENTRIES + i * MBR_ENTRY;
		if ((e[0] & 0x7f) != 0)
			return false;
	}
	return true;
}

static bool
is_extended(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

static int
read_extended(struct qdisk *d, struct qpart_table *t, uint8_t *buf,
    uint64_t first)
{
	uint64_t lba = first, total = qdisk_size(d) / d->qd_sector;
	const uint8_t *e;
	unsigned n;
	int error;

	for (n = 0; n < EXTENDED_MAX; n++) {
		if (lba == 0 || lba >= total)
			return damaged(d,
			    "an extended partition outside the "
			    "disk",
			    lba);
		error = qdisk_read(d, lba * d->qd_sector, buf, d->qd_sector);
		if (error != 0)
			return error;
		if (buf[510] != 0x55 || buf[511] != 0xaa)
			return damaged(d,
			    "no signature in an extended "
			    "partition",
			    lba);
		e = buf + MBR_ENTRIES;
		if (e[4] != 0) {
			error = add(d, t, 5 + n, lba + le32(e + 8),
			    le32(e + 12));
			if (error != 0)
				return error;
			t->pt_part[t->pt_n - 1].pt_type = e[4];
		}
		e += MBR_ENTRY;
		if (!is_extended(e[4]))
			return 0;
		lba = first + le32(e + 8);
	}
	return damaged(d, "an endless chain of extended partitions", first);
}

static int
read_mbr(struct qdisk *d, struct qpart_table *t, uint8_t *buf)
{
	uint64_t extended = 0;
	const uint8_t *e;
	unsigned i;
	int error;

	t->pt_scheme = QPART_MBR;
	for (i = 0; i < 4; i++) {
		e = buf + MBR_ENTRIES + i * MBR_ENTRY;
		if (e[4] == 0)
			continue;
		if (is_extended(e[4])) {
			extended = le32(e + 8);
			continue;
		}
		error = add(d, t, i + 1, le32(e + 8), le32(e + 12));
		if (error != 0)
			return error;
		t->pt_part[t->pt_n - 1].pt_type = e[4];
	}
	return extended != 0 ? read_extended(d, t, buf, extended) : 0;
}

/* ---- GPT ------------------------------------------------------------------- */

/* A header that is what it says; offsets of its fields as in the source. */
static bool
gpt_valid(const struct qdisk *d, uint8_t *h, uint64_t lba)
{
	uint32_t len = le32(h + 12), crc = le32(h + 16);
	uint32_t size = le32(h + 84), count = le32(h + 80);
	bool ok;

	if (memcmp(h, "EFI PART", 8) != 0 || len < 92 || len > d->qd_sector ||
	    le64(h + 24) != lba)
		return false;
	memset(h + 16, 0, 4);
	ok = block_crc32(h, len) == crc;
	return ok && size >= 128 && size <= GPT_ENTRY_MAX && size % 8 == 0 &&
	    count <= GPT_COUNT_MAX;
}

static int
gpt_entry(struct qdisk *d, struct qpart_table *t, unsigned i, const uint8_t *e)
{
	static const uint8_t unused[16];
	uint64_t first = le64(e + 32), last = le64(e + 40);
	struct quern_disk_part *pt;
	unsigned c;
	int error;

	if (memcmp(e, unused, 16) == 0)
		return 0;
	if (last < first)
		return damaged(d, "a partition that ends before it begins",
		    first);
	error = add(d, t, i + 1, first, last - first + 1);
	if (error != 0)
		return error;
	pt = &t->pt_part[t->pt_n - 1];
	memcpy(pt->pt_guid, e, 16);
	for (c = 0; c < 36 && (e[56 + 2 * c] != 0 || e[57 + 2 * c] != 0); c++)
		pt->pt_label[c] = e[57 + 2 * c] == 0 && e[56 + 2 * c] >= ' ' &&
			e[56 + 2 * c] < 0x7f ?
		    (char)e[56 + 2 * c] :
		    '?';
	return 0;
}

static int
gpt_entries(struct qdisk *d, struct qpart_table *t, const uint8_t *h)
{
	uint64_t lba = le64(h + 72), total = qdisk_size(d) / d->qd_sector;
	uint32_t count = le32(h + 80), size = le32(h + 84);
	uint64_t len = QROUNDUP((uint64_t)count * size, d->qd_sector);
	uint8_t *buf;
	unsigned i;
	int error;

	if (lba < 2 || lba >= total || len / d->qd_sector > total - lba)
		return damaged(d, "the GPT's entries are outside the disk",
		    lba);
	if (len == 0)
		return 0;
	buf = block_alloc(len);
	if (buf == NULL)
		return -Q_ENOMEM;
	error = qdisk_read(d, lba * d->qd_sector, buf, len);
	if (error == 0 &&
	    block_crc32(buf, (size_t)count * size) != le32(h + 88))
		error = damaged(d, "the GPT's entries have a wrong checksum",
		    lba);
	for (i = 0; i < count && error == 0; i++)
		error = gpt_entry(d, t, i, buf + (size_t)i * size);
	qfree(buf);
	return error;
}

static int
try_gpt(struct qdisk *d, struct qpart_table *t, uint8_t *buf, uint64_t lba)
{
	int error;

	error = qdisk_read(d, lba * d->qd_sector, buf, d->qd_sector);
	if (error != 0)
		return error;
	if (!gpt_valid(d, buf, lba))
		return -Q_EUCLEAN;
	t->pt_n = 0;
	return gpt_entries(d, t, buf);
}

static int
read_gpt(struct qdisk *d, struct qpart_table *t, uint8_t *buf)
{
	uint64_t total = qdisk_size(d) / d->qd_sector;
	int error;

	t->pt_scheme = QPART_GPT;
	if (total < 3)
		return damaged(d, "a protective MBR on a tiny disk", 0);
	error = try_gpt(d, t, buf, 1);
	if (error != -Q_EUCLEAN)
		return error;
	t->pt_backup = true;
	qlog(d->qd_k, QUERN_LOG_WARN,
	    "disk %s: the GPT at sector 1 is damaged, trying the backup",
	    d->qd_name);
	error = try_gpt(d, t, buf, total - 1);
	return error != -Q_EUCLEAN ? error :
				     damaged(d, "no valid GPT", total - 1);
}

/* ---- both ------------------------------------------------------------------- */

int
qpart_read(struct qdisk *d, struct qpart_table *t)
{
	uint8_t *buf;
	unsigned i;
	bool protective = false;
	int error;

	memset(t, 0, sizeof(*t));
	if (qdisk_size(d) < 512)
		return 0;
	buf = block_alloc(d->qd_sector);
	if (buf == NULL)
		return -Q_ENOMEM;
	error = qdisk_read(d, 0, buf, d->qd_sector);
	if (error == 0 && is_mbr(buf)) {
		for (i = 0; i < 4; i++)
			protective |= buf[MBR_ENTRIES + i * MBR_ENTRY + 4] ==
			    0xee;
		error = protective ? read_gpt(d, t, buf) : read_mbr(d, t, buf);
	}
	qfree(buf);
	return error;
}

int
qpart_open(struct qdisk *d, unsigned number, const char *name,
    struct qdisk **dp)
{
	struct qpart_table *t;
	char own[QDISK_NAMELEN + 16];
	unsigned i;
	int error;

	t = block_alloc(sizeof(*t));
	if (t == NULL)
		return -Q_ENOMEM;
	error = qpart_read(d, t);
	if (error == 0) {
		error = -Q_ENOENT;
		for (i = 0; i < t->pt_n; i++)
			if (t->pt_part[i].pt_number == number)
				break;
		if (i < t->pt_n) {
			qsnprintf(own, sizeof(own), "%s,part=%u", d->qd_name,
			    number);
			error = qdisk_slice(d, name != NULL ? name : own,
			    t->pt_part[i].pt_off, t->pt_part[i].pt_len, dp);
		}
	}
	qfree(t);
	return error;
}
