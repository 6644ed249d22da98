/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of procfs share.  Never leaves the directory.  The theory is at
 * the head of procfs.c.
 */
#ifndef QUERN_PROCFS_IMPL_H
#define QUERN_PROCFS_IMPL_H

#include <quern/abi/fs.h>
#include <quern/cdev.h>
#include <quern/lproc.h>
#include <quern/slab.h>
#include <quern/vfs.h>
#include <quern/vm.h>

/* A text that grows.  The first failure is kept, and the rest comes to nothing. */
struct text {
	char *t_s;
	size_t t_len, t_room;
	int t_error;
};

/* What a file is about. */
struct subject {
	struct quern *s_k;
	struct quern_proc *s_reader; /* who opened the file */
	struct quern_proc *s_p;      /* held; NULL: the system */
	struct qlproc_info s_li;     /* of that */
	int s_fd;
};

/* A file's contents; a write of the whole of `s`, a copy ended by a 0. */
typedef int show_fn(struct text *t, const struct subject *sub);
typedef int store_fn(const struct subject *sub, char *s, size_t len);
/* Where a symlink leads to, with references. */
typedef int place_fn(struct quern_proc *p, struct qpath *out);

/* e_flags */
#define E_TRACE   1u /* only for who may look into the process */
#define E_PROCESS 2u /* not in directories of threads */

/* An entry that is always there, in a directory of a table. */
struct entry {
	const char *e_name;
	uint32_t e_mode;
	uint8_t e_dir; /* the system's: which directory it is in */
	uint8_t e_is;  /* and which it is, if it is one */
	uint8_t e_flags;
	show_fn *e_show; /* of a symlink: its text */
	store_fn *e_store;
	place_fn *e_place; /* a magic link */
};

/* Directories of the system. */
enum { D_ROOT = 1, D_SYS, D_KERNEL, D_RANDOM, D_VM, D_FS, D_INOTIFY, D_EPOLL };

/* What a node is. */
enum kind {
	N_FIXED = 0, /* of sys_entries; n_index */
	N_DIR,       /* of a process or thread */
	N_ENTRY,     /* in that, of pid_entries; n_index */
	N_TASKS,     /* task */
	N_FDS,       /* fd */
	N_FDINFOS,   /* fdinfo */
	N_FD,        /* in fd; n_fd */
	N_FDINFO,    /* in fdinfo */
	N_OBJECT     /* what has no name that a descriptor is */
};

struct node {
	struct qvnode n_v;
	enum kind n_kind;      /* [I] */
	uint32_t n_pid, n_tid; /* [I] n_tid 0: the process */
	uint64_t n_serial;     /* [I] of the process or thread */
	unsigned n_index;      /* [I] */
	int n_fd;              /* [I] */
	struct qfile *n_file;  /* [I] N_OBJECT: opening it is having this */
};

/* In the inode numbers of N_OBJECT. */
#define OBJECT_INO (UINT64_C(1) << 63)

static inline struct node *
node_of(struct qvnode *v)
{
	return QCONTAINER(v, struct node, n_v);
}

/* ---- procfs.c -------------------------------------------------------------- */

/* What a kernel has for it: the component's state. */
struct procfs {
	uint8_t p_boot_id[16]; /* [I] */
};

struct procfs *procfs_of(struct quern *k);

void text_add(struct text *t, const char *fmt, ...) QPRINTF(2, 3);
/* A line of a size that is given in pages, as /proc/meminfo has them. */
void text_kib(struct text *t, const char *name, uint64_t pages);
void text_bytes(struct text *t, const void *s, size_t len);
/* A name as in /proc/mounts and maps: spaces and the like as \040. */
void text_escaped(struct text *t, const char *s, const char *which);
/* The path of a place as `p` sees it; false: it sees none. */
bool text_path(struct text *t, struct quern_proc *p, const struct qpath *at,
    const char *escaped);

/* ---- node.c ------------------------------------------------------------------ */

int node_root(struct qfs *fs, struct qvnode **vp);
/* Have it belong to process `p`. */
void node_set_owner(struct qvnode *v, const struct quern_proc *p);
/* Its process and what there is to know of it; to be ended by subject_end. */
int subject_begin(const struct node *n, struct quern_proc *reader,
    struct subject *sub);
void subject_end(struct subject *sub);
/* The entry that an N_FIXED or N_ENTRY is, or NULL. */
const struct entry *node_entry(const struct node *n);

/* ---- object.c ---------------------------------------------------------------- */

/* A vnode without a name for `f`, which has no path; a descriptor of `p`'s. */
int node_object(struct qfs *fs, const struct quern_proc *p, struct qfile *f,
    struct qvnode **vp);

/* ---- file.c ------------------------------------------------------------------ */

int file_open(struct qvnode *v, struct quern_proc *p, uint32_t flags,
    const struct qcdev_ops **ops, void **openp);

/* ---- link.c ------------------------------------------------------------------- */

int link_read(struct qvnode *v, char *buf, size_t len);
int link_follow(struct qvnode *v, struct quern_proc *p, struct qpath *out,
    struct qvnode **vp);
show_fn show_self, show_thread_self, show_self_mounts;

/* ---- memory.c ----------------------------------------------------------------- */

/* What it uses; false: it has no memory any more, and *st is zeroes. */
bool stats_of(const struct subject *sub, struct qvm_stats *st);

/* ---- status.c, memory.c, mounts.c, system.c, sysctl.c -------------------------- */

show_fn show_stat, show_statm, show_status, show_limits, show_comm, show_fdinfo,
    show_zero, show_noid, show_cgroup;
store_fn store_comm;
show_fn show_cmdline, show_environ, show_auxv, show_maps, show_rollup,
    show_oom_score, show_oom_adj, show_io;
store_fn store_oom_adj;
show_fn show_mounts, show_mountinfo, show_filesystems;
show_fn show_meminfo, show_cpuinfo, show_loadavg, show_sysstat, show_uptime,
    show_version, show_devices, show_partitions, show_diskstats, show_swaps,
    show_vmstat, show_nothing;

extern const struct entry sys_entries[], pid_entries[];
extern const unsigned nsys_entries, npid_entries;

/* ns in USER_HZ, which programs are told is 100. */
#define TICKS(ns) ((ns) / UINT64_C(10000000))

#endif /* QUERN_PROCFS_IMPL_H */
