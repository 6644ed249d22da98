/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The side file of a copy-on-write view: its format, version 1.
 *
 *	header		512 bytes, zeroes up to 4,096
 *	map		a bit for each block of 4,096 bytes of the disk: is it
 *			in the side file?
 *	data		block b of the disk at SIDE_DATA + b * 4,096, where
 *			SIDE_DATA is the end of the map, rounded up to 4,096
 *
 * Numbers are little-endian.  The data has a place for every block, so the file
 * is sparse rather than compact, and nothing in it ever moves.  A header of
 * zeroes is that of a new side file; it is written last, as a whole.
 *
 * The map is made of units as large as a sector of the disk that the side file
 * is on, so that a unit is written as a whole or not at all: 4 bytes CRC-32 of
 * what follows, 4 bytes the unit's number, then bits, least significant first.
 * A unit of zeroes has no bit set; SIDE_MAP is where unit 0 is.
 *
 * Order.  A block's data are on stable storage before the unit that has its bit
 * is written: what the map says to be there is whole.  Bits are written at a
 * flush and at the end, so that a crash loses what was not flushed and nothing
 * else.
 *
 * The header ties the side file to the disk below by its size and by checksums
 * of its beginning and end, which tell the wrong image or one that was changed
 * in its superblock; they can't tell every change.
 */
#ifndef QUERN_BLOCKSIDE_H
#define QUERN_BLOCKSIDE_H

#include <stdint.h>

#define SIDE_MAGIC   "QUERNCOW"
#define SIDE_VERSION 1u
#define SIDE_MAP     4096u /* where the map begins */

/* Bytes of the disk below that are summed up. */
#define SIDE_FIRST 65536u
#define SIDE_LAST  4096u

/* The header. */
struct side_header {
	uint8_t sh_magic[8];
	uint8_t sh_version_le[4];
	uint8_t sh_unit_le[4];  /* bytes of a unit of the map */
	uint8_t sh_size_le[8];  /* bytes of the disk below */
	uint8_t sh_first_le[4]; /* CRC-32 of its first 64 KiB, or all of it */
	uint8_t sh_last_le[4];  /* of its last 4 KiB, or all of it */
	uint8_t sh_zero[476];
	uint8_t sh_crc_le[4]; /* CRC-32 of what precedes */
};

_Static_assert(sizeof(struct side_header) == 512, "a sector");

/* Bytes of a unit before its bits. */
#define SIDE_UNITHEAD 8u

#endif /* QUERN_BLOCKSIDE_H */
