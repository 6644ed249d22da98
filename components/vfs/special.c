/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices: those of memory, major number 1, that every program expects (null(4),
 * full(4), random(4)).  Others, and fifos, can't be opened yet.
 */
#include "impl.h"

#define MEM_MAJOR 1u

/* Zeroes, and room for what is thrown away, a chunk at a time. */
#define CHUNK 1024u

static int64_t
null_read(struct qfile *f, struct quio *u)
{
	(void)f, (void)u;
	return 0;
}

static int64_t
null_write(struct qfile *f, struct quio *u)
{
	size_t n = u->u_resid;

	(void)f;
	u->u_resid = 0;
	return (int64_t)n;
}

static int64_t
zero_read(struct qfile *f, struct quio *u)
{
	static const char zeroes[CHUNK];
	size_t all = u->u_resid, n;
	int error = 0;

	(void)f;
	while (u->u_resid > 0 && error == 0) {
		n = u->u_resid < CHUNK ? u->u_resid : CHUNK;
		error = quio_out(u, zeroes, n);
	}
	return all != u->u_resid ? (int64_t)(all - u->u_resid) : error;
}

static int64_t
full_write(struct qfile *f, struct quio *u)
{
	(void)f;
	return u->u_resid != 0 ? -Q_ENOSPC : 0;
}

static int64_t
random_read(struct qfile *f, struct quio *u)
{
	size_t all = u->u_resid, n;
	char buf[CHUNK];
	int error = 0;

	while (u->u_resid > 0 && error == 0) {
		n = u->u_resid < CHUNK ? u->u_resid : CHUNK;
		error = qrandom_fill(f->f_k, buf, n);
		if (error == 0)
			error = quio_out(u, buf, n);
	}
	return all != u->u_resid ? (int64_t)(all - u->u_resid) : error;
}

#define DEVICE(read, write)                                                  \
	{                                                                    \
		.fo_name = "device", .fo_read = (read), .fo_write = (write), \
		.fo_seek = qfile_seek_nowhere, .fo_stat = file_stat,         \
		.fo_release = file_release                                   \
	}

/* By minor number. */
static const struct qfile_ops mem_ops[] = {
	[3] = DEVICE(null_read, null_write),
	[5] = DEVICE(zero_read, null_write),
	[7] = DEVICE(zero_read, full_write),
	[8] = DEVICE(random_read, null_write),
	[9] = DEVICE(random_read, null_write),
};

int
special_open(struct quern_proc *p, const struct qpath *at, struct qvnode *v,
    uint32_t flags, struct qfile **fp)
{
	uint32_t minor = qdev_minor(v->v_rdev);

	if (qvnode_type(v) != Q_S_IFCHR || qdev_major(v->v_rdev) != MEM_MAJOR ||
	    minor >= QARRAYLEN(mem_ops) || mem_ops[minor].fo_read == NULL)
		return -Q_ENXIO;
	return open_make(p, at, flags, &mem_ops[minor],
	    QF_PREAD | QF_PWRITE | QF_NOWAIT, fp);
}

void
vnode_special_end(struct qvnode *v)
{
	(void)v;
}
