/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Simulated disks, between disk.c (contents) and blk.c (hypercalls).
 */
#ifndef QUERN_SIM_DISK_H
#define QUERN_SIM_DISK_H

#include "impl.h"

#define DISK_PAGE  4096u
#define LEAF_PAGES 512u

/*
 * A page of contents, shared by disks that were forked from each other.  The data
 * are aligned, which makes copying them a half faster.
 */
struct page {
	uint8_t p_data[DISK_PAGE] __attribute__((aligned(64)));
	uint32_t p_refs;
	bool p_hashed;
	uint64_t p_hash; /* if so, of the data */
};

/* 512 pages, 2 MiB; shared likewise.  A NULL page reads as zeroes. */
struct leaf {
	uint32_t l_refs;
	struct page *l_page[LEAF_PAGES];
};

/* A write that the medium may not have yet, oldest first on d_pending. */
struct wlog {
	struct wlog *g_next;
	uint64_t g_off;
	size_t g_len;   /* 0 with g_zero unset: nothing */
	bool g_zero;    /* a discard: zeroes, no data */
	bool g_cut;     /* under way as the power failed: may be torn */
	uint64_t g_due; /* when it is acknowledged */
	uint8_t g_data[];
};

struct quern_sim_disk {
	struct quern_sim *d_w;
	struct quern_sim_disk *d_next, **d_prevp;
	struct quern_sim_disk_config d_cfg;
	char d_name[32];
	uint64_t d_nleaf;
	struct leaf **d_medium; /* what is safe */
	struct wlog *d_pending, **d_tail;
	uint64_t d_npending;
	uint64_t d_cut; /* writes until the power fails; 0: never */
	bool d_dead;    /* it has */
	unsigned d_opens;
	bool d_written; /* the one that has it open may write */
	struct quern_sim_disk_stats d_stats;
};

/* The contents as a reader sees them, pending writes included. */
void disk_get(const struct quern_sim_disk *d, uint64_t off, void *buf,
    size_t len);

/*
 * Write (data NULL: zeroes).  With a cache it is pending until disk_sync,
 * unless `fua`.  -ENOMEM.
 */
int disk_put(struct quern_sim_disk *d, uint64_t off, const void *data,
    size_t len, bool fua);

/*
 * Make what is pending and was acknowledged by `now` safe; UINT64_MAX: all of it.
 * -ENOMEM.
 */
int disk_sync(struct quern_sim_disk *d, uint64_t now);

/* The newest that is pending will be acknowledged at `due`, not before. */
void disk_due(struct quern_sim_disk *d, uint64_t due);

/*
 * disk_launch makes a write pending that is under way, whatever the disk is
 * like; disk_land takes it back.  -ENOMEM.
 */
int disk_launch(struct quern_sim_disk *d, uint64_t off, const void *data,
    size_t len);
void disk_land(struct quern_sim_disk *d);

/* Flip a bit of the medium. */
int disk_rot(struct quern_sim_disk *d, uint64_t bit);

struct quern_sim_disk *disk_find(struct quern_sim *w, const char *name);

#endif /* QUERN_SIM_DISK_H */
