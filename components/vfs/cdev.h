/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Character devices that other components implement.
 *
 * A device is known by its numbers: opening a node that has them, whatever file
 * system it is in, calls co_open, which says what was opened, and the others are
 * called with that.  What has a name is besides shown by devfs.
 */
#ifndef QUERN_CDEV_H
#define QUERN_CDEV_H

#include <quern/file.h>
#include <quern/list.h>
#include <quern/proc.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qcdev;

/* As the operations of struct qfile_ops; a NULL is what it is there. */
struct qcdev_ops {
	/*
	 * Open minor number `minor` for `p`, `flags` O_*.  *openp is given to
	 * the others, and to co_close once, whether a file came of it or not.
	 */
	int (*co_open)(struct qcdev *d, struct quern_proc *p, uint32_t minor,
	    uint32_t flags, void **openp);
	void (*co_close)(void *open);
	int64_t (*co_read)(void *open, struct qfile *f, struct quio *u);
	int64_t (*co_write)(void *open, struct qfile *f, struct quio *u);
	uint32_t (*co_poll)(void *open, struct qfile *f, struct qpollent *e);
	int64_t (*co_ioctl)(void *open, struct qfile *f, struct qsys *s,
	    uint32_t cmd, uint64_t arg);
};

/* A device, or `cd_nminor` of them in a row. */
struct qcdev {
	struct qlist cd_link;
	const char *cd_name; /* in devfs; NULL: not shown */
	uint32_t cd_major, cd_minor, cd_nminor;
	uint32_t cd_mode; /* permissions in devfs */
	const struct qcdev_ops *cd_ops;
	void *cd_arg; /* the owner's */
};

/*
 * Make a device known; it is the caller's, and stays until qcdev_unregister, which
 * is for a component's fini.  -EEXIST (the numbers or the name are taken).
 */
int qcdev_register(struct quern *k, struct qcdev *d) QMUSTCHECK;

/* The other way round; nobody has it open. */
void qcdev_unregister(struct quern *k, struct qcdev *d);

/* The n-th device that has a name, in the order of registration, or NULL. */
const struct qcdev *qcdev_named(struct quern *k, unsigned n);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_CDEV_H */
