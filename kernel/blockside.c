/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A disk as the store of a copy-on-write view: blockside.h has the format.
 *
 * The map is in memory as it is on the disk, but for the checksums, which a
 * unit gets as it is written.
 */
#include "impl.h"

#include "blockimpl.h"
#include "blockside.h"

struct side {
	struct cow_store sd_store;
	struct qdisk *sd_disk;  /* a reference */
	struct qdisk *sd_lower; /* the view's */
	uint64_t sd_nblk;       /* blocks of the disk below */
	uint64_t sd_data;       /* where block 0 is */
	uint32_t sd_unit;
	uint64_t sd_nunit;
	uint8_t *sd_map;   /* sd_nunit units */
	uint8_t *sd_dirty; /* a byte for each: it is to be written */
};

static void
put32(uint8_t *p, uint32_t x)
{
	unsigned i;

	for (i = 0; i < 4; i++)
		p[i] = (uint8_t)(x >> 8 * i);
}

static uint32_t
get32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24;
}

static uint64_t
get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

/* Has it nothing but zeroes? */
static bool
is_zero(const uint8_t *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static int
refuse(const struct side *sd, int error, const char *why)
{
	qlog(sd->sd_disk->qd_k, QUERN_LOG_ERR,
	    "disk %s: as side file of %s: %s", sd->sd_disk->qd_name,
	    sd->sd_lower->qd_name, why);
	return error;
}

/* ---- geometry ------------------------------------------------------------------ */

static uint64_t
count_blocks(uint64_t size)
{
	return size / COW_BLOCK + (size % COW_BLOCK != 0);
}

static uint64_t
count_units(uint64_t nblk, uint32_t unit)
{
	uint64_t per = (unit - SIDE_UNITHEAD) * 8;

	return (nblk + per - 1) / per;
}

static uint64_t
data_start(uint64_t nunit, uint32_t unit)
{
	return QROUNDUP(SIDE_MAP + nunit * unit, COW_BLOCK);
}

uint64_t
quern_disk_side_size(uint64_t size, uint32_t sector)
{
	uint64_t nblk = count_blocks(size);

	if (sector < 512)
		sector = 512;
	return data_start(count_units(nblk, sector), sector) + nblk * COW_BLOCK;
}

/* The unit with the bit of a block, and the byte with it in *byte. */
static uint64_t
locate(const struct side *sd, uint64_t blk, uint8_t **bytep)
{
	uint64_t per = (sd->sd_unit - SIDE_UNITHEAD) * 8;
	uint64_t u = blk / per, bit = blk % per;

	*bytep = sd->sd_map + u * sd->sd_unit + SIDE_UNITHEAD + bit / 8;
	return u;
}

/* The bit of a block within its byte. */
static uint8_t
bit_of(const struct side *sd, uint64_t blk)
{
	return (uint8_t)(1u << blk % ((sd->sd_unit - SIDE_UNITHEAD) * 8) % 8);
}

/* ---- as a store ------------------------------------------------------------------- */

static bool
side_has(struct cow_store *so, uint64_t blk)
{
	struct side *sd = (struct side *)so;
	uint8_t *byte;

	(void)locate(sd, blk, &byte);
	return (*byte & bit_of(sd, blk)) != 0;
}

static int
side_read(struct cow_store *so, uint64_t off, void *buf, size_t len)
{
	struct side *sd = (struct side *)so;

	return qdisk_read(sd->sd_disk, sd->sd_data + off, buf, len);
}

static int
side_write(struct cow_store *so, uint64_t off, const void *buf, size_t len)
{
	struct side *sd = (struct side *)so;
	uint64_t blk, end = count_blocks(off + len), u;
	uint8_t *byte;
	int error;

	error = buf != NULL ?
	    qdisk_write(sd->sd_disk, sd->sd_data + off, buf, len) :
	    qdisk_zero(sd->sd_disk, sd->sd_data + off, len);
	if (error != 0)
		return error;
	for (blk = off / COW_BLOCK; blk < end; blk++) {
		u = locate(sd, blk, &byte);
		if ((*byte & bit_of(sd, blk)) == 0) {
			*byte |= bit_of(sd, blk);
			sd->sd_dirty[u] = 1;
		}
	}
	return 0;
}

static int
write_unit(struct side *sd, uint64_t u)
{
	uint8_t *p = sd->sd_map + u * sd->sd_unit;
	int error;

	put32(p + 4, (uint32_t)u);
	put32(p, block_crc32(p + 4, sd->sd_unit - 4));
	error = qdisk_write(sd->sd_disk, SIDE_MAP + u * sd->sd_unit, p,
	    sd->sd_unit);
	if (error == 0)
		sd->sd_dirty[u] = 0;
	return error;
}

static int
side_flush(struct cow_store *so)
{
	struct side *sd = (struct side *)so;
	uint64_t u;
	bool wrote = false;
	int error;

	/* The data before the bits. */
	error = qdisk_flush(sd->sd_disk);
	for (u = 0; u < sd->sd_nunit && error == 0; u++)
		if (sd->sd_dirty[u]) {
			error = write_unit(sd, u);
			wrote = true;
		}
	if (error == 0 && wrote)
		error = qdisk_flush(sd->sd_disk);
	return error;
}

static void
side_destroy(struct side *sd)
{
	qdisk_put(sd->sd_disk);
	qfree(sd->sd_map);
	qfree(sd->sd_dirty);
	qfree(sd);
}

static void
side_free(struct cow_store *so)
{
	struct side *sd = (struct side *)so;

	if (side_flush(so) != 0)
		(void)refuse(sd, 0, "what was not flushed is lost");
	side_destroy(sd);
}

static const struct cow_store side_store = {
	.so_has = side_has,
	.so_read = side_read,
	.so_write = side_write,
	.so_flush = side_flush,
	.so_free = side_free,
};

/* ---- opening ------------------------------------------------------------------------ */

/* The checksum of a piece of the disk below. */
static int
sum_lower(const struct side *sd, uint64_t off, uint64_t len, uint32_t *sump)
{
	uint8_t *buf = block_alloc(len);
	int error;

	if (buf == NULL)
		return -Q_ENOMEM;
	error = qdisk_read(sd->sd_lower, off, buf, len);
	if (error == 0)
		*sump = block_crc32(buf, len);
	qfree(buf);
	return error;
}

/* The header that a side file of this disk must have. */
static int
expected(const struct side *sd, struct side_header *sh)
{
	uint64_t size = qdisk_size(sd->sd_lower);
	uint64_t first = size < SIDE_FIRST ? size : SIDE_FIRST;
	uint64_t last = size < SIDE_LAST ? size : SIDE_LAST;
	uint32_t sum;
	int error;

	memcpy(sh->sh_magic, SIDE_MAGIC, sizeof(sh->sh_magic));
	put32(sh->sh_version_le, SIDE_VERSION);
	put32(sh->sh_unit_le, sd->sd_unit);
	put32(sh->sh_size_le, (uint32_t)size);
	put32(sh->sh_size_le + 4, (uint32_t)(size >> 32));
	error = sum_lower(sd, 0, first, &sum);
	if (error != 0)
		return error;
	put32(sh->sh_first_le, sum);
	error = sum_lower(sd, size - last, last, &sum);
	if (error != 0)
		return error;
	put32(sh->sh_last_le, sum);
	put32(sh->sh_crc_le, block_crc32((const uint8_t *)sh, sizeof(*sh) - 4));
	return 0;
}

static int
check_header(const struct side *sd, const struct side_header *got,
    const struct side_header *want)
{
	if (memcmp(got->sh_magic, want->sh_magic, sizeof(got->sh_magic)) != 0)
		return refuse(sd, -Q_EUCLEAN, "it is something else");
	if (get32(got->sh_crc_le) !=
	    block_crc32((const uint8_t *)got, sizeof(*got) - 4))
		return refuse(sd, -Q_EUCLEAN, "its header is damaged");
	if (get32(got->sh_version_le) != SIDE_VERSION)
		return refuse(sd, -Q_EUCLEAN, "its version is not known");
	if (get32(got->sh_unit_le) != sd->sd_unit)
		return refuse(sd, -Q_EUCLEAN,
		    "it was made with another sector size");
	if (get64(got->sh_size_le) != get64(want->sh_size_le))
		return refuse(sd, -Q_ESTALE,
		    "it belongs to a disk of another size");
	if (memcmp(got, want, sizeof(*got)) != 0)
		return refuse(sd, -Q_ESTALE,
		    "it belongs to another disk, or this has been changed");
	return 0;
}

/* Do its bits and its checksum make sense? */
static bool
unit_valid(const struct side *sd, uint64_t u)
{
	const uint8_t *p = sd->sd_map + u * sd->sd_unit;
	uint64_t per = (sd->sd_unit - SIDE_UNITHEAD) * 8, bit;

	if (is_zero(p, sd->sd_unit))
		return true;
	if (get32(p) != block_crc32(p + 4, sd->sd_unit - 4) ||
	    get32(p + 4) != (uint32_t)u)
		return false;
	/* No bits for blocks behind the end. */
	for (bit = sd->sd_nblk - u * per; bit < per; bit++)
		if ((p[SIDE_UNITHEAD + bit / 8] & 1u << bit % 8) != 0)
			return false;
	return true;
}

static int
read_map(struct side *sd)
{
	uint64_t u;
	int error;

	error = qdisk_read(sd->sd_disk, SIDE_MAP, sd->sd_map,
	    sd->sd_nunit * sd->sd_unit);
	for (u = 0; u < sd->sd_nunit && error == 0; u++)
		if (!unit_valid(sd, u))
			error = refuse(sd, -Q_EUCLEAN, "its map is damaged");
	return error;
}

/* Begin a new one: the header last, so that it is new until it is ready. */
static int
format(const struct side *sd, const struct side_header *sh)
{
	int error;

	error = qdisk_zero(sd->sd_disk, SIDE_MAP, sd->sd_nunit * sd->sd_unit);
	if (error == 0)
		error = qdisk_flush(sd->sd_disk);
	if (error == 0)
		error = qdisk_write(sd->sd_disk, 0, sh, sd->sd_unit);
	return error == 0 ? qdisk_flush(sd->sd_disk) : error;
}

static int
side_load(struct side *sd, struct side_header *got, struct side_header *want)
{
	int error;

	error = expected(sd, want);
	if (error == 0)
		error = qdisk_read(sd->sd_disk, 0, got, sd->sd_unit);
	if (error != 0)
		return error;
	if (is_zero((const uint8_t *)got, sizeof(*got)))
		return format(sd, want);
	error = check_header(sd, got, want);
	return error == 0 ? read_map(sd) : error;
}

static int
side_open(struct side *sd)
{
	uint8_t *sh;
	int error;

	if ((sd->sd_disk->qd_flags & QDISK_RDONLY) != 0)
		return refuse(sd, -Q_EROFS, "it is read-only");
	if (sd->sd_disk->qd_sector > sd->sd_lower->qd_sector)
		return refuse(sd, -Q_EINVAL, "its sectors are too large");
	if (qdisk_size(sd->sd_disk) <
	    quern_disk_side_size(qdisk_size(sd->sd_lower), sd->sd_unit))
		return refuse(sd, -Q_ENOSPC, "it is too small");
	sd->sd_map = block_alloc(sd->sd_nunit * sd->sd_unit);
	sd->sd_dirty = block_alloc(sd->sd_nunit);
	sh = block_alloc(2 * SIDE_MAP); /* each in a sector, whatever that is */
	error = sd->sd_map == NULL || sd->sd_dirty == NULL || sh == NULL ?
	    -Q_ENOMEM :
	    side_load(sd, (struct side_header *)sh,
		(struct side_header *)(sh + SIDE_MAP));
	qfree(sh);
	return error;
}

int
qdisk_cow_side(struct qdisk *lower, struct qdisk *side, const char *name,
    struct qdisk **dp)
{
	struct side *sd = block_alloc(sizeof(*sd));
	int error;

	if (sd == NULL)
		return -Q_ENOMEM;
	sd->sd_store = side_store;
	sd->sd_disk = side;
	qdisk_get(side);
	sd->sd_lower = lower;
	sd->sd_unit = side->qd_sector;
	sd->sd_nblk = count_blocks(qdisk_size(lower));
	sd->sd_nunit = count_units(sd->sd_nblk, sd->sd_unit);
	sd->sd_data = data_start(sd->sd_nunit, sd->sd_unit);
	error = side_open(sd);
	if (error == 0)
		error = cow_make(lower, name, &sd->sd_store, dp);
	if (error != 0)
		side_destroy(sd);
	return error;
}
