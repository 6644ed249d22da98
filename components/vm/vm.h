/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address spaces.
 *
 * A struct qvmmap is the memory of one or more guest processes: what is mapped
 * where (mmap(2) and the like), and which page is at which address right now.
 * Where the mappings really are, in a host process, in a test's table, is behind
 * struct qpmap_ops.
 *
 * Needs no guests: a program creates a space, maps memory and files in it, and
 * reads and writes it by qvm_uspace.
 */
#ifndef QUERN_VM_H
#define QUERN_VM_H

#include <quern/component.h>
#include <quern/file.h>
#include <quern/uspace.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qdisk;
struct qvmmap;

/* The component. */
extern const struct quern_component qvm;

/* Addresses that can be mapped, and the largest number of mappings. */
#define QVM_LOW    QUERN_VM_LOW
#define QVM_TOP    QUERN_VM_TOP
#define QVM_MAXMAP 65530u

/* Ways of access. */
#define QVM_READ  QUERN_VM_READ
#define QVM_WRITE QUERN_VM_WRITE
#define QVM_EXEC  QUERN_VM_EXEC

/*
 * Where the mappings of spaces really are.  Called with locks of the space held,
 * mutexes only: they may sleep, but not use the space.
 */
struct qpmap_ops {
	/*
	 * A new, empty one.  `parent`: that of the space that is forked, or
	 * NULL.  -ENOMEM, -EAGAIN and the like.
	 */
	int (*pm_create)(struct quern *k, void *parent, void **argp);

	/* It goes, with all that is mapped; nobody runs in it. */
	void (*pm_destroy)(void *arg);

	/*
	 * Apply changes in order, as the hypercall vm_update: maps may wait
	 * until somebody runs there next; what is unmapped or protected is so
	 * for everybody who runs there, when this returns.  Unmapping what is
	 * not mapped is nothing; only what was mapped is protected.  -ENOMEM:
	 * some were not applied, and the space is asked to unmap more instead.
	 * A space that can't be changed for another reason has to be made one
	 * that nobody ever runs in again; then 0.
	 */
	int (*pm_update)(void *arg, const struct quern_vm_op *ops, unsigned n);
};

/*
 * The host has lost mappings, or has too many: forget them all there.  What is in
 * use comes back by faults.
 */
void qvm_refresh(struct qvmmap *m);

/* Make an empty space, with one reference.  -ENOMEM, and what pm_create says. */
int qvm_create(struct quern *k, const struct qpmap_ops *ops,
    struct qvmmap **mp) QMUSTCHECK;

/* Take a reference. */
void qvm_get(struct qvmmap *m);

/* Drop one; the last tears everything down.  Sleeps. */
void qvm_put(struct qvmmap *m);

/*
 * Make a copy of it, whose private memory is copied page by page when one of
 * both writes.  -ENOMEM, and what pm_create says.
 */
int qvm_fork(struct qvmmap *from, struct qvmmap **to) QMUSTCHECK;

/* What pm_create made for it. */
void *qvm_pmap(struct qvmmap *m);

/*
 * Its memory, for copyin and copyout through the kernel's mapping of RAM; pages
 * are faulted in.  Lasts as long as the space.
 */
const struct quspace *qvm_uspace(struct qvmmap *m);

/*
 * From here on `p` has this space (NULL: none), with a reference of its own; it
 * drops that of the one before.  A fork of `p` has none.  Not while another
 * thread is in a call of `p` that uses it.
 */
int qvm_attach(struct quern_proc *p, struct qvmmap *m) QMUSTCHECK;

/* The space of `p`, which keeps it, or NULL. */
struct qvmmap *qvm_of(struct quern_proc *p);

/*
 * The same with a reference, though `p` may be executing or ending meanwhile; it
 * is not destroyed.
 */
struct qvmmap *qvm_hold(struct quern_proc *p);

/* ---- faults ---------------------------------------------------------------- */

/* The signal that a fault ends in. */
struct qvm_fault {
	int qf_sig;  /* SIGSEGV or SIGBUS */
	int qf_code; /* si_code: SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR */
	uint64_t qf_addr;
};

/*
 * Somebody who runs in the space could not access `addr`; `access` QVM_* says
 * how (0 and QVM_READ: read).  0: it may try again.  -EFAULT: *f (NULL: nobody
 * asks) is the signal for it.  -ENOMEM: no memory is left.  Sleeps.
 */
int qvm_fault(struct qvmmap *m, uint64_t addr, unsigned access,
    struct qvm_fault *f) QMUSTCHECK;

/*
 * Have fn(arg) called when memory is short while the kernel itself accesses a
 * space: true if it made some free, or ended somebody who will, so that trying
 * again is worth it.  Called with no locks held but those of whoever copies.
 */
void qvm_set_oom(struct quern *k, bool (*fn)(void *arg), void *arg);

/*
 * What a word of shared memory is, whatever its address: equal for all who map
 * it.  Private memory is known by space and address.
 */
struct qvm_key {
	const void *k_obj;
	uint64_t k_off;
};

/* The key of the word at `addr`.  -EFAULT, -ENOMEM. */
int qvm_key(struct qvmmap *m, uint64_t addr, struct qvm_key *key) QMUSTCHECK;

/*
 * Read the 32-bit word at `addr`, aligned, by one step, as qvm_cas32 writes it.
 * -EFAULT.
 */
int qvm_load32(struct qvmmap *m, uint64_t addr, uint32_t *value) QMUSTCHECK;

/*
 * Change the 32-bit word at `addr`, aligned, from `from` to `to` by one atomic
 * step.  -EAGAIN: it is another; -EFAULT, -ENOMEM.
 */
int qvm_cas32(struct qvmmap *m, uint64_t addr, uint32_t from,
    uint32_t to) QMUSTCHECK;

/*
 * Have `to` be at `addr`, `len` bytes within one page, if `from` is there, in
 * memory that is private, can be executed and can't be stored to: what else shows
 * the same pages, a file or another space, keeps them as they are.  Who runs in
 * the space meanwhile may see a part of it.  -EFAULT (no such memory), -EAGAIN (it
 * is another), -ENOMEM.  Sleeps.
 */
int qvm_poke(struct qvmmap *m, uint64_t addr, const void *from, const void *to,
    size_t len) QMUSTCHECK;

/* ---- mappings, for the kernel ----------------------------------------------- */

/*
 * Map `len` bytes as mmap(2) does: `prot` Q_PROT_*, `flags` Q_MAP_*, at *addr
 * (which may be 0) or where there is room; *addr is where.  `f` NULL: anonymous
 * memory.  -EINVAL, -ENOMEM, -EEXIST, -EPERM, -EACCES, -ENODEV, -EOVERFLOW.
 */
int qvm_map(struct qvmmap *m, uint64_t *addr, uint64_t len, unsigned prot,
    unsigned flags, struct qfile *f, uint64_t off) QMUSTCHECK;

/* The same, with a name, a constant, for /proc/PID/maps: "[vdso]". */
int qvm_map_named(struct qvmmap *m, uint64_t *addr, uint64_t len, unsigned prot,
    unsigned flags, struct qfile *f, uint64_t off, const char *name) QMUSTCHECK;

/* Unmap a range, page-aligned at its beginning.  -EINVAL, -ENOMEM. */
int qvm_unmap(struct qvmmap *m, uint64_t addr, uint64_t len) QMUSTCHECK;

/* Change protection as mprotect(2).  -EINVAL, -ENOMEM, -EACCES. */
int qvm_protect(struct qvmmap *m, uint64_t addr, uint64_t len,
    unsigned prot) QMUSTCHECK;

/* As mremap(2): *where is where it is to be with Q_MREMAP_FIXED, and where it is. */
int qvm_remap(struct qvmmap *m, uint64_t old, uint64_t oldlen, uint64_t newlen,
    unsigned flags, uint64_t *where) QMUSTCHECK;

/* As madvise(2), Q_MADV_*. */
int qvm_advise(struct qvmmap *m, uint64_t addr, uint64_t len, int advice);

/* As msync(2), Q_MS_*. */
int qvm_sync(struct qvmmap *m, uint64_t addr, uint64_t len, unsigned flags);

/* The heap begins there, and is empty. */
void qvm_set_brk(struct qvmmap *m, uint64_t start);

/* Move the heap's end; where it is then: not moved if that can't be. */
uint64_t qvm_brk(struct qvmmap *m, uint64_t end);

/*
 * Mappings without an address are made below `top`, as long as there is room.
 * At first some way below QVM_TOP.
 */
void qvm_set_top(struct qvmmap *m, uint64_t top);

/* ---- promising memory -------------------------------------------------------- */

/*
 * How much memory may be promised: Q_OVERCOMMIT_*, the first at first; `ratio`
 * percent of RAM, with all swap disks, is the limit for Q_OVERCOMMIT_NEVER.
 */
void qvm_set_overcommit(struct quern *k, unsigned how, unsigned ratio);

/* What is set, the pages that are promised, and the limit. */
void qvm_overcommit(struct quern *k, unsigned *howp, unsigned *ratiop,
    uint64_t *committedp, uint64_t *limitp);

/* ---- swap -------------------------------------------------------------------- */

/* The most swap disks. */
#define QVM_NSWAP 8u

/*
 * Use a disk for pages that are not needed; takes a reference.  All of it but
 * the first page, which is left as it is.  -EINVAL (too small), -EBUSY (in use
 * so), -EPERM (there are QVM_NSWAP), -ENOMEM.
 */
int qvm_swapon(struct quern *k, struct qdisk *d) QMUSTCHECK;

/*
 * Bring everything back from it and let go of it.  -EINVAL (not in use so),
 * -ENOMEM, -EBUSY, -EIO: it stays.
 */
int qvm_swapoff(struct quern *k, struct qdisk *d) QMUSTCHECK;

/* How many pages swap disks have, and how many of these are free. */
void qvm_swapinfo(struct quern *k, uint64_t *totalp, uint64_t *freep);

/* ---- what there is ----------------------------------------------------------- */

/* qr_flags */
#define QVM_R_SHARED    1u
#define QVM_R_GROWSDOWN 2u
#define QVM_R_LOCKED    4u
#define QVM_R_NORESERVE 8u
#define QVM_R_DONTFORK  16u
#define QVM_R_DONTDUMP  32u

/* One mapping. */
struct qvm_region {
	uint64_t qr_start, qr_end;
	unsigned qr_prot, qr_flags; /* Q_PROT_*, QVM_R_* */
	uint64_t qr_off;            /* in the file, bytes */
	struct qfile *qr_file;      /* or NULL; the mapping's */
	const char *qr_name;        /* "[heap]", "[stack]", or NULL */
	uint64_t qr_rss;            /* pages that are mapped right now */
};

/*
 * Tell of each mapping in order until fn answers not 0, which it returns.  fn
 * must not use the space.
 */
int qvm_each(struct qvmmap *m, int (*fn)(void *arg, const struct qvm_region *r),
    void *arg);

/* In pages. */
struct qvm_stats {
	uint64_t vs_size;                    /* mapped */
	uint64_t vs_anon, vs_file, vs_shmem; /* there right now, of what kind */
	uint64_t vs_peaksize, vs_peakrss;    /* the most so far */
	uint64_t vs_locked, vs_stack, vs_data, vs_text;
	uint64_t vs_swap, vs_tables;
	uint64_t vs_minflt, vs_majflt; /* faults so far; with I/O */
	uint64_t vs_brkstart, vs_brk;  /* bytes */
};

/*
 * Pages that are mapped right now, as well as can be told without a lock: does
 * not sleep.
 */
uint64_t qvm_rss(struct qvmmap *m);

/* The most that it was so far, likewise. */
uint64_t qvm_peak(struct qvmmap *m);

/* Sizes and counts of a space.  Sleeps. */
void qvm_stats(struct qvmmap *m, struct qvm_stats *st);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_VM_H */
