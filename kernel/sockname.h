/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sockets that have a path: what a file system does for them.  Networks and files
 * meet here, and know no more of each other.
 */
#ifndef QUERN_SOCKNAME_H
#define QUERN_SOCKNAME_H

#include <quern/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quern_proc;

/* A node of type socket, held: the same node, the same key. */
struct qsockname {
	const void *sn_key;
	void *sn_held[2]; /* the file system's */
};

/* What files are installs, once a kernel. */
struct qsockname_ops {
	int (*sn_make)(struct quern_proc *p, const char *path,
	    struct qsockname *n);
	int (*sn_find)(struct quern_proc *p, const char *path,
	    struct qsockname *n);
	void (*sn_put)(struct qsockname *n);
};

/* For the init of that component. */
void qsockname_install(struct quern *k, const struct qsockname_ops *ops);

/*
 * Make a node at `path` for process `p`, its mode 0777 less the umask, and hold it.
 * -EADDRINUSE (something is there), and as mknod; -EOPNOTSUPP (no files).  Sleeps.
 */
int qsockname_make(struct quern_proc *p, const char *path,
    struct qsockname *n) QMUSTCHECK;

/*
 * Find the node at `path` and hold it.  -ECONNREFUSED (not a socket), -EACCES (may
 * not be written), and as stat.  Sleeps.
 */
int qsockname_find(struct quern_proc *p, const char *path,
    struct qsockname *n) QMUSTCHECK;

/* Let go of it.  Sleeps. */
void qsockname_put(struct quern *k, struct qsockname *n);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_SOCKNAME_H */
