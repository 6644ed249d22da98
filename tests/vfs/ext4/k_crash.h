/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_VFS_EXT4_K_CRASH_H
#define TESTS_VFS_EXT4_K_CRASH_H

#include <tests/kernel/ktest.h>

/* A file system as mke2fs makes it. */
struct kcrash_image {
	const char *ki_name, *ki_options;
	unsigned ki_kib;  /* size */
	unsigned ki_fill; /* blocks to leave free, about */
	bool ki_extents;
	uint8_t *ki_data;
	size_t ki_len;
};

/* What a world does, and what came of it. */
struct kcrash {
	const struct kcrash_image *kc_image; /* NULL: the seed chooses */
	unsigned kc_ops;                     /* of each thread */
	unsigned kc_states;  /* to look at of each write, at most */
	unsigned kc_fsck;    /* one in so many is shown to e2fsck; 0: none */
	uint64_t kc_latency; /* of the disk; 0: the seed chooses */
	uint32_t kc_debug;   /* EXT4_DEBUG_* */
	uint32_t kc_jdebug;  /* JDEBUG_* */
	/* sums over worlds */
	uint64_t kc_seen, kc_same, kc_writes, kc_replays, kc_fscks, kc_wraps;
	uint64_t kc_ns; /* of looking */
};

extern struct kcrash_image kcrash_images[];
#define KCRASH_EXT3 2 /* which of them has block maps */

/* Have mke2fs make them, once.  How many; 0: it is absent. */
unsigned kcrash_make_images(void);

/* Does e2fsck find nothing wrong with a disk that has such an image? */
bool kcrash_fsck(const struct kcrash_image *ki, struct quern_sim_disk *d);

/* Plant bugs, EXT4_DEBUG_* and JDEBUG_*, into the ext4 that a kernel has mounted. */
void kcrash_plant(struct quern *k, uint32_t debug, uint32_t jdebug);

/* The body; e->arg is a struct kcrash. */
void kcrash(struct kenv *e);

/* Run `n` worlds from seed `first` on: NULL or a message. */
const char *kcrash_explore(uint64_t first, unsigned n, struct kcrash *kc);

#endif /* TESTS_VFS_EXT4_K_CRASH_H */
