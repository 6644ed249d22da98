/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks as hypercalls: "sim:NAME".
 *
 * An operation takes effect when it is submitted and is answered at once or, if
 * the disk has a latency, by an event; a flush covers what was acknowledged
 * before it was submitted, which is all a kernel may rely on, and no more.
 */
#include <stdlib.h>
#include <string.h>

#include "disk.h"

#define NDISK (sizeof(((struct machine *)0)->m_disk) / sizeof(void *))

int
sim_blk_open(void *ctx, const char *name, unsigned flags,
    struct quern_blk_info *info, uint32_t *idp)
{
	struct machine *m = ctx;
	struct quern_sim_disk *d;
	uint32_t id;

	if (strncmp(name, "sim:", 4) != 0)
		return -EPROTONOSUPPORT;
	d = disk_find(m->m_w, name + 4);
	if (d == NULL)
		return -ENOENT;
	/* As of files: any number of readers, or one writer. */
	if (d->d_opens != 0 && !d->d_cfg.shared &&
	    ((flags & QUERN_BLK_RDONLY) == 0 || d->d_written))
		return -EBUSY;
	if (d->d_cfg.rdonly && (flags & QUERN_BLK_RDONLY) == 0)
		return -EACCES;
	if (sim_fails(m->m_w, "blk_open"))
		return -EMFILE;
	for (id = 0; id < NDISK && m->m_disk[id] != NULL; id++)
		continue;
	if (id == NDISK)
		return -EMFILE;
	m->m_disk[id] = d;
	d->d_opens++;
	d->d_written = (flags & QUERN_BLK_RDONLY) == 0;
	*info = (struct quern_blk_info){
		.bi_size = d->d_cfg.size,
		.bi_sector = d->d_cfg.sector,
		.bi_flags = flags & QUERN_BLK_RDONLY,
		.bi_atomic = d->d_cfg.atomic,
		.bi_discard = d->d_cfg.discard ? d->d_cfg.sector : 0,
	};
	*idp = id;
	return 0;
}

void
sim_blk_close(void *ctx, uint32_t id)
{
	struct machine *m = ctx;

	if (id >= NDISK || m->m_disk[id] == NULL)
		return;
	m->m_disk[id]->d_opens--;
	m->m_disk[id] = NULL;
}

void
disk_close_all(struct machine *m)
{
	uint32_t id;

	for (id = 0; id < NDISK; id++)
		sim_blk_close(m, id);
}

/* Is it one of `one_in`? */
static bool
strikes(struct quern_sim_disk *d, uint32_t one_in)
{
	if (one_in == 0 || rng_below(d->d_w->w_bytes, one_in) != 0)
		return false;
	d->d_stats.ds_faults++;
	return true;
}

static int64_t
do_read(struct quern_sim_disk *d, const struct quern_blk_op *op)
{
	uint64_t off = op->b_off;
	uint32_t i;

	d->d_stats.ds_reads++;
	if (strikes(d, d->d_cfg.eio_read))
		return -EIO;
	if (strikes(d, d->d_cfg.bit_rot) &&
	    disk_rot(d,
		op->b_off * 8 + rng_below(d->d_w->w_bytes, op->b_len * 8)) != 0)
		return -ENOMEM;
	for (i = 0; i < op->b_niov; i++) {
		disk_get(d, off, op->b_iov[i].iov_base, op->b_iov[i].iov_len);
		off += op->b_iov[i].iov_len;
	}
	return (int64_t)op->b_len;
}

/* The data of a write in one piece. */
static void *
gather(const struct quern_blk_op *op)
{
	uint8_t *data = malloc(op->b_len), *p = data;
	uint32_t i;

	for (i = 0; data != NULL && i < op->b_niov; i++) {
		memcpy(p, op->b_iov[i].iov_base, op->b_iov[i].iov_len);
		p += op->b_iov[i].iov_len;
	}
	return data;
}

/* The power fails in the middle of this write. */
static void
cut(struct quern_sim_disk *d, uint64_t off, const void *data, size_t len)
{
	(void)disk_launch(d, off, data, len);
	d->d_dead = true;
}

/* Let somebody see the write while it is under way. */
static void
show(struct quern_sim_disk *d, uint64_t off, const void *data, size_t len)
{
	if (d->d_cfg.watch == NULL || disk_launch(d, off, data, len) != 0)
		return;
	d->d_cfg.watch(d->d_cfg.arg, d);
	disk_land(d);
}

static int64_t
do_write(struct quern_sim_disk *d, const struct quern_blk_op *op)
{
	uint64_t off = op->b_off, room;
	bool fua = (op->b_flags & QUERN_BLK_FUA) != 0;
	void *data = NULL;
	int error = 0;

	if (d->d_cfg.rdonly)
		return -EROFS;
	d->d_stats.ds_writes++;
	if (op->b_cmd == QUERN_BLK_WRITE && (data = gather(op)) == NULL)
		return -ENOMEM;
	if (d->d_cut != 0 && --d->d_cut == 0) {
		cut(d, off, data, op->b_len);
		error = -EIO;
	} else if (strikes(d, d->d_cfg.eio_write)) {
		error = -EIO;
	} else if (!strikes(d, d->d_cfg.lost_write)) {
		room = (d->d_cfg.size - op->b_len) / d->d_cfg.sector + 1;
		if (strikes(d, d->d_cfg.misdirected))
			off = rng_below(d->d_w->w_bytes, room) *
			    d->d_cfg.sector;
		show(d, off, data, op->b_len);
		error = disk_put(d, off, data, op->b_len, fua);
	}
	free(data);
	return error != 0 ? error : (int64_t)op->b_len;
}

static int64_t
do_op(struct quern_sim_disk *d, const struct quern_blk_op *op)
{
	uint64_t mask = d->d_cfg.sector - 1;

	if (d->d_dead)
		return -EIO;
	if (op->b_cmd == QUERN_BLK_FLUSH) {
		d->d_stats.ds_flushes++;
		return strikes(d, d->d_cfg.eio_flush) ?
		    -EIO :
		    disk_sync(d, d->d_w->w_now);
	}
	if (((op->b_off | op->b_len) & mask) != 0 || op->b_len == 0 ||
	    op->b_off > d->d_cfg.size || op->b_len > d->d_cfg.size - op->b_off)
		return -EINVAL;
	switch (op->b_cmd) {
	case QUERN_BLK_READ:
		return do_read(d, op);
	case QUERN_BLK_DISCARD:
		if (!d->d_cfg.discard)
			return -EOPNOTSUPP;
		d->d_stats.ds_discards++;
		return do_write(d, op);
	case QUERN_BLK_WRITE:
	case QUERN_BLK_ZERO:
		return do_write(d, op);
	default:
		return -EINVAL;
	}
}

int
sim_blk_submit(void *ctx, unsigned cpu, struct quern_blk_op *ops, unsigned n)
{
	struct machine *m = ctx;
	struct quern_sim *w = m->m_w;
	struct quern_sim_disk *d;
	uint64_t pending, delay;
	int64_t result;
	unsigned i;

	task_decide(w, QUERN_YIELD_ATOMIC);
	for (i = 0; i < n; i++) {
		d = ops[i].b_id < NDISK ? m->m_disk[ops[i].b_id] : NULL;
		if (d == NULL) {
			ops[i].b_result = -EBADF;
			continue;
		}
		pending = d->d_npending;
		result = sim_fails(w, "blk_submit") ? -EIO : do_op(d, &ops[i]);
		hash_mix(w,
		    (uint64_t)result ^ ops[i].b_off << 8 ^ ops[i].b_cmd);
		ops[i].b_result = result;
		if (d->d_cfg.latency_ns == 0 || ops[i].b_ev == NULL)
			continue;
		ops[i].b_ev->e_cpu = cpu;
		delay = rng_below(w->w_bytes, d->d_cfg.latency_ns);
		if (pending_add(m, ops[i].b_ev, result, delay) != 0)
			continue;
		ops[i].b_result = -EINPROGRESS;
		if (d->d_npending > pending)
			disk_due(d, w->w_now + delay);
	}
	return (int)n;
}
