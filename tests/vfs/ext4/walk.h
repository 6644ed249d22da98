/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A walk through an image that nobody has mounted: is it consistent, and what is
 * there?  It shares the layouts of ondisk.h with the driver and no code.
 *
 * For images of mke2fs's with the features that crash tests have: block maps and
 * extents, hash trees, checksums (which are not looked at), flex_bg, uninitialised
 * groups, orphans.  Not bigalloc, inline_data, meta_bg, ea_inode.
 */
#ifndef TESTS_VFS_EXT4_WALK_H
#define TESTS_VFS_EXT4_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Blocks of a file in a row. */
struct walk_run {
	uint32_t wr_lblk, wr_len;
	uint64_t wr_pblk;
	bool wr_unwritten;
};

struct walk_inode {
	bool wi_used;
	uint32_t wi_mode, wi_links, wi_flags;
	uint64_t wi_size, wi_sectors;
	uint64_t wi_blocks; /* owned, of data and trees and attributes */
	uint32_t wi_names, wi_subdirs;
	uint32_t wi_parent;       /* a directory's ".." */
	uint32_t wi_run, wi_nrun; /* in w_runs */
	uint8_t wi_block[60];
};

/* An entry but "." and "..". */
struct walk_name {
	uint32_t wn_dir, wn_ino;
	uint8_t wn_type, wn_len;
	char wn_name[256];
};

struct walk {
	/* the caller's: read `len` bytes at `off` of the image, 0 */
	int (*w_read)(void *arg, uint64_t off, void *buf, size_t len);
	void *w_arg;
	bool w_errors; /* the super block may tell of errors */
	/* what has been found; memory is kept for the next image */
	char w_wrong[300];
	uint32_t w_bsize, w_nblock, w_ninode, w_ngroup;
	struct walk_inode *w_inode; /* by number; 0 is not used */
	struct walk_name *w_names;
	size_t w_nname, w_maxname;
	struct walk_run *w_runs;
	size_t w_nrun, w_maxrun;
	uint8_t *w_super, *w_desc, *w_bits, *w_block[6];
	uint32_t *w_owner; /* of each block: an inode, or WALK_META; 0 */
	uint32_t w_first, w_bpg, w_ipg, w_isize, w_dsize, w_firstino;
	uint32_t w_compat, w_incompat, w_ro;
};

#define WALK_META UINT32_MAX

/*
 * Walk: NULL, or what is wrong, in w_wrong.  *w is zeroes but for the caller's
 * fields the first time.
 */
const char *walk_image(struct walk *w);

/* Contents of a file, `len` bytes from `off` on, which may be beyond its end. */
int walk_data(struct walk *w, uint32_t ino, uint64_t off, void *buf,
    size_t len);

/* The inode of a name in a directory, or 0. */
uint32_t walk_lookup(const struct walk *w, uint32_t dir, const char *name);

/* Free what it has. */
void walk_end(struct walk *w);

#endif /* TESTS_VFS_EXT4_WALK_H */
