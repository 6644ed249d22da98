/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Partition tables: any disk gives a table that lies within it, or an error.
 *
 * The first byte of the input chooses, the rest is the disk.  A fuzzer does not
 * guess checksums, so the harness may put the right ones into GPT headers.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quern/abi/errno.h>
#include <quern/posix.h>
#include <quern/quern.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Bits of the first byte. */
#define LARGE   1u /* sectors of 4,096 bytes */
#define PRIMARY 2u /* right checksums in the GPT header at sector 1 ... */
#define BACKUP  4u /* ... and in that in the last sector */

#define DISK_MAX (256u << 10)

struct disk {
	uint8_t *d_data;
	uint64_t d_size;
	uint32_t d_sector;
};

static void
must(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "f_partition: %s\n", what);
		abort();
	}
}

static int
disk_read(void *arg, uint64_t off, void *buf, size_t len)
{
	struct disk *d = arg;

	must(off % d->d_sector == 0 && len % d->d_sector == 0 &&
		off <= d->d_size && len <= d->d_size - off,
	    "a read that is not on the disk");
	memcpy(buf, d->d_data + off, len);
	return 0;
}

static const struct quern_disk_callbacks callbacks = { .dc_read = disk_read };

static uint64_t
get(const uint8_t *p, unsigned bytes)
{
	uint64_t x = 0;

	while (bytes-- > 0)
		x = x << 8 | p[bytes];
	return x;
}

static void
put32(uint8_t *p, uint32_t x)
{
	unsigned i;

	for (i = 0; i < 4; i++)
		p[i] = (uint8_t)(x >> 8 * i);
}

static uint32_t
crc32(const uint8_t *p, uint64_t len)
{
	uint32_t c = UINT32_MAX;
	unsigned i;

	while (len-- > 0)
		for (c ^= *p++, i = 0; i < 8; i++)
			c = c >> 1 ^ (c & 1 ? UINT32_C(0xedb88320) : 0);
	return ~c;
}

/* Right checksums, as far as what they are of is there. */
static void
mend(struct disk *d, uint64_t lba)
{
	uint8_t *h = d->d_data + lba * d->d_sector;
	uint64_t len = get(h + 12, 4), at = get(h + 72, 8) * d->d_sector;
	uint64_t entries = get(h + 80, 4) * get(h + 84, 4);

	if (at <= d->d_size && entries <= d->d_size - at)
		put32(h + 88, crc32(d->d_data + at, entries));
	if (len <= d->d_sector) {
		put32(h + 16, 0);
		put32(h + 16, crc32(h, len));
	}
}

static struct quern *one;

static void
give_back(void)
{
	must(quern_destroy(one) == 0, "it is in use");
}

static struct quern *
kernel(void)
{
	static const struct quern_posix_config pc = { .pc_logfd = -1 };
	struct quern_config c = { .host = quern_posix_with(&pc) };

	if (one == NULL) {
		must(quern_create(&c, &one) == 0, "no kernel");
		/* Whoever looks for leaks does not see what it refers to. */
		must(atexit(give_back) == 0, "no memory");
	}
	return one;
}

static void
look(struct disk *d)
{
	static struct quern_disk_part part[256];
	struct qdisk *disk;
	int i, n;

	must(quern_disk_callback(kernel(), "d", d->d_size, d->d_sector,
		 &callbacks, d, &disk) == 0,
	    "no disk");
	n = quern_disk_parts(disk, part, 256);
	must(n >= 0 || n == -Q_EUCLEAN, "another error than of a damaged disk");
	must(n <= 128, "too many partitions");
	for (i = 0; i < n; i++)
		must(part[i].pt_off % d->d_sector == 0 && part[i].pt_off > 0 &&
			part[i].pt_len > 0 &&
			part[i].pt_len % d->d_sector == 0 &&
			part[i].pt_off < d->d_size &&
			part[i].pt_len <= d->d_size - part[i].pt_off &&
			part[i].pt_number > 0 &&
			memchr(part[i].pt_label, 0, sizeof part[i].pt_label) !=
			    NULL,
		    "a partition that is not on the disk");
	must(quern_disk_close(disk) == 0, "it is held");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct disk d = { .d_sector = 512 };
	unsigned how;

	if (len < 1)
		return 0;
	how = *data++;
	len--;
	if ((how & LARGE) != 0)
		d.d_sector = 4096;
	if (len < 3 * (size_t)d.d_sector || len > DISK_MAX)
		return 0;
	d.d_size = len - len % d.d_sector;
	d.d_data = malloc(d.d_size);
	must(d.d_data != NULL, "no memory");
	memcpy(d.d_data, data, d.d_size);
	if ((how & PRIMARY) != 0)
		mend(&d, 1);
	if ((how & BACKUP) != 0)
		mend(&d, d.d_size / d.d_sector - 1);
	look(&d);
	free(d.d_data);
	return 0;
}
