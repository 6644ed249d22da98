/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The embedder's calls for disks (quern.h).
 *
 * A disk that is opened with options is a stack of views: the host's disk, a
 * partition of it, copy-on-write over that.  The topmost has the name that was
 * asked for and is what the embedder holds; each holds the next by a reference.
 * Those below are in the kernel's list as "NAME,whole" and "NAME,part=N".
 */
#include "impl.h"

#include "blockimpl.h"
#include "partition.h"

/* So that the names of those below fit as well. */
#define NAME_LONGEST 200u

/* Run `fn` in the kernel, on the vCPU where the disk was last used. */
static int
disk_call(struct qdisk *d, int64_t (*fn)(void *), void *arg)
{
	return (int)host_call(d->qd_k, NULL, &d->qd_cpu, fn, arg);
}

static int
kernel_call(struct quern *k, int64_t (*fn)(void *), void *arg)
{
	uint32_t hint = 0;

	return (int)host_call(k, NULL, &hint, fn, arg);
}

/* ---- opening ---------------------------------------------------------------- */

struct opening {
	struct quern *og_k;
	const char *og_hostname, *og_name;
	const struct quern_disk_options *og_opt;
	struct qdisk *og_disk; /* the topmost so far */
	bool og_cow;
};

/* The next view has been made over the topmost, or not. */
static int
stack(struct opening *og, struct qdisk *view, int error)
{
	qdisk_put(og->og_disk);
	og->og_disk = error == 0 ? view : NULL;
	return error;
}

static int
open_whole(struct opening *og)
{
	const struct quern_disk_options *opt = og->og_opt;
	char name[QDISK_NAMELEN];
	unsigned flags = 0;
	bool below = og->og_cow || opt->do_part != 0;

	if (og->og_cow || (opt->do_flags & QUERN_DISK_RDONLY) != 0)
		flags |= QUERN_BLK_RDONLY;
	if ((opt->do_flags & QUERN_DISK_DIRECT) != 0)
		flags |= QUERN_BLK_DIRECT;
	qsnprintf(name, sizeof(name), below ? "%s,whole" : "%s", og->og_name);
	return qdisk_open_as(og->og_k, og->og_hostname, name, flags,
	    &og->og_disk);
}

static int
open_part(struct opening *og)
{
	struct qdisk *view = NULL;
	char name[QDISK_NAMELEN];
	unsigned part = og->og_opt->do_part;
	int error;

	qsnprintf(name, sizeof(name), og->og_cow ? "%s,part=%u" : "%s",
	    og->og_name, part);
	error = qpart_open(og->og_disk, part, name, &view);
	return stack(og, view, error);
}

static int
open_cow(struct opening *og)
{
	const char *sidename = og->og_opt->do_side;
	struct qdisk *side = NULL, *view = NULL;
	char name[QDISK_NAMELEN];
	unsigned flags = 0;
	int error;

	if (sidename == NULL) {
		error = qdisk_cow(og->og_disk, og->og_name, &view);
		return stack(og, view, error);
	}
	if ((og->og_opt->do_flags & QUERN_DISK_DIRECT) != 0)
		flags |= QUERN_BLK_DIRECT;
	qsnprintf(name, sizeof(name), "%s,side", og->og_name);
	error = qdisk_open_as(og->og_k, sidename, name, flags, &side);
	if (error == 0) {
		error = qdisk_cow_side(og->og_disk, side, og->og_name, &view);
		qdisk_put(side);
	}
	return stack(og, view, error);
}

static int64_t
do_open(void *arg)
{
	struct opening *og = arg;
	int error;

	error = open_whole(og);
	if (error == 0 && og->og_opt->do_part != 0)
		error = open_part(og);
	if (error == 0 && og->og_cow)
		error = open_cow(og);
	return error;
}

int
quern_disk_open(struct quern *k, const char *hostname,
    const struct quern_disk_options *opt, struct qdisk **dp)
{
	static const struct quern_disk_options none;
	struct opening og = { .og_k = k, .og_hostname = hostname };
	const unsigned all = QUERN_DISK_RDONLY | QUERN_DISK_DIRECT |
	    QUERN_DISK_COW;
	int error;

	if (k == NULL || hostname == NULL || dp == NULL)
		return -Q_EFAULT;
	og.og_opt = opt != NULL ? opt : &none;
	og.og_name = og.og_opt->do_name != NULL ? og.og_opt->do_name : hostname;
	og.og_cow = (og.og_opt->do_flags & QUERN_DISK_COW) != 0 ||
	    og.og_opt->do_side != NULL;
	if ((og.og_opt->do_flags & ~all) != 0 ||
	    (og.og_cow && (og.og_opt->do_flags & QUERN_DISK_RDONLY) != 0) ||
	    qstrlen(og.og_name) > NAME_LONGEST)
		return -Q_EINVAL;
	error = kernel_call(k, do_open, &og);
	if (error == 0)
		*dp = og.og_disk;
	return error;
}

/* ---- those that are no disk of the host's ------------------------------------- */

struct making {
	struct quern *mk_k;
	const char *mk_name;
	void *mk_buf;
	uint64_t mk_size;
	unsigned mk_flags;
	uint32_t mk_sector;
	const struct quern_disk_callbacks *mk_cb;
	void *mk_arg;
	struct qdisk *mk_disk;
};

static int64_t
do_make(void *arg)
{
	struct making *mk = arg;

	if (mk->mk_cb != NULL)
		return qdisk_callback(mk->mk_k, mk->mk_name, mk->mk_size,
		    mk->mk_sector, mk->mk_cb, mk->mk_arg, &mk->mk_disk);
	if (mk->mk_buf != NULL)
		return qdisk_memory(mk->mk_k, mk->mk_name, mk->mk_buf,
		    mk->mk_size, mk->mk_flags, &mk->mk_disk);
	return qdisk_ram(mk->mk_k, mk->mk_name, mk->mk_size, &mk->mk_disk);
}

static int
make(struct making *mk, struct qdisk **dp)
{
	int error;

	if (mk->mk_k == NULL || mk->mk_name == NULL || dp == NULL)
		return -Q_EFAULT;
	error = kernel_call(mk->mk_k, do_make, mk);
	if (error == 0)
		*dp = mk->mk_disk;
	return error;
}

int
quern_disk_ram(struct quern *k, const char *name, uint64_t size,
    struct qdisk **dp)
{
	struct making mk = { .mk_k = k, .mk_name = name, .mk_size = size };

	return make(&mk, dp);
}

int
quern_disk_memory(struct quern *k, const char *name, void *buf, size_t len,
    unsigned flags, struct qdisk **dp)
{
	struct making mk = { .mk_k = k,
		.mk_name = name,
		.mk_buf = buf,
		.mk_size = len };

	if (buf == NULL)
		return -Q_EFAULT;
	if ((flags & ~QUERN_DISK_RDONLY) != 0)
		return -Q_EINVAL;
	mk.mk_flags = flags != 0 ? QUERN_BLK_RDONLY : 0;
	return make(&mk, dp);
}

int
quern_disk_callback(struct quern *k, const char *name, uint64_t size,
    uint32_t sector, const struct quern_disk_callbacks *cb, void *arg,
    struct qdisk **dp)
{
	struct making mk = { .mk_k = k,
		.mk_name = name,
		.mk_size = size,
		.mk_sector = sector,
		.mk_cb = cb,
		.mk_arg = arg };

	if (cb == NULL)
		return -Q_EFAULT;
	return make(&mk, dp);
}

static int64_t
do_close(void *arg)
{
	return qdisk_close(arg);
}

int
quern_disk_close(struct qdisk *d)
{
	/* The disk, and with it the hint, is gone when the call returns. */
	return d != NULL ? kernel_call(d->qd_k, do_close, d) : -Q_EFAULT;
}

/* ---- using them ------------------------------------------------------------------ */

struct transfer {
	struct qdisk *tr_disk;
	unsigned tr_cmd; /* enum quern_blk_cmd */
	uint64_t tr_off, tr_len;
	void *tr_buf;
};

static int64_t
do_transfer(void *arg)
{
	struct transfer *tr = arg;
	struct qdisk *d = tr->tr_disk;
	int error;

	/* Closing it meanwhile is -EBUSY. */
	qdisk_get(d);
	switch (tr->tr_cmd) {
	case QUERN_BLK_READ:
		error = qdisk_read(d, tr->tr_off, tr->tr_buf, tr->tr_len);
		break;
	case QUERN_BLK_WRITE:
		error = qdisk_write(d, tr->tr_off, tr->tr_buf, tr->tr_len);
		break;
	case QUERN_BLK_DISCARD:
		error = qdisk_discard(d, tr->tr_off, tr->tr_len);
		break;
	case QUERN_BLK_ZERO:
		error = qdisk_zero(d, tr->tr_off, tr->tr_len);
		break;
	default:
		error = qdisk_flush(d);
		break;
	}
	qdisk_put(d);
	return error;
}

static int
transfer(struct qdisk *d, unsigned cmd, uint64_t off, uint64_t len, void *buf)
{
	struct transfer tr = { d, cmd, off, len, buf };

	if (d == NULL ||
	    (buf == NULL && len != 0 &&
		(cmd == QUERN_BLK_READ || cmd == QUERN_BLK_WRITE)))
		return -Q_EFAULT;
	return disk_call(d, do_transfer, &tr);
}

int
quern_disk_read(struct qdisk *d, uint64_t off, void *buf, size_t len)
{
	return transfer(d, QUERN_BLK_READ, off, len, buf);
}

int
quern_disk_write(struct qdisk *d, uint64_t off, const void *buf, size_t len)
{
	return transfer(d, QUERN_BLK_WRITE, off, len, (void *)(uintptr_t)buf);
}

int
quern_disk_flush(struct qdisk *d)
{
	return transfer(d, QUERN_BLK_FLUSH, 0, 0, NULL);
}

int
quern_disk_discard(struct qdisk *d, uint64_t off, uint64_t len)
{
	return transfer(d, QUERN_BLK_DISCARD, off, len, NULL);
}

int
quern_disk_zero(struct qdisk *d, uint64_t off, uint64_t len)
{
	return transfer(d, QUERN_BLK_ZERO, off, len, NULL);
}

struct inquiry {
	struct qdisk *in_disk;
	struct quern_disk_info *in_info;
	struct quern_disk_part *in_parts;
	unsigned in_n;
};

static int64_t
do_info(void *arg)
{
	struct inquiry *in = arg;
	struct qdisk *d = in->in_disk;

	*in->in_info = (struct quern_disk_info){
		.di_size = qdisk_look(d),
		.di_errors = __atomic_load_n(&d->qd_errors, __ATOMIC_RELAXED),
		.di_sector = d->qd_sector,
		.di_discard = d->qd_discard,
		.di_flags = (d->qd_flags & QDISK_RDONLY) != 0 ?
		    QUERN_DISK_RDONLY :
		    0,
	};
	return 0;
}

int
quern_disk_info(struct qdisk *d, struct quern_disk_info *di)
{
	struct inquiry in = { .in_disk = d, .in_info = di };

	if (d == NULL || di == NULL)
		return -Q_EFAULT;
	return disk_call(d, do_info, &in);
}

static int64_t
do_parts(void *arg)
{
	struct inquiry *in = arg;
	struct qpart_table *t = block_alloc(sizeof(*t));
	unsigned i;
	int error;

	if (t == NULL)
		return -Q_ENOMEM;
	qdisk_get(in->in_disk);
	error = qpart_read(in->in_disk, t);
	qdisk_put(in->in_disk);
	for (i = 0; error == 0 && i < t->pt_n && i < in->in_n; i++)
		in->in_parts[i] = t->pt_part[i];
	if (error == 0)
		error = (int)t->pt_n;
	qfree(t);
	return error;
}

int
quern_disk_parts(struct qdisk *d, struct quern_disk_part *parts, unsigned n)
{
	struct inquiry in = { .in_disk = d, .in_parts = parts, .in_n = n };

	if (d == NULL || (parts == NULL && n != 0))
		return -Q_EFAULT;
	return disk_call(d, do_parts, &in);
}
