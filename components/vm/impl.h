/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside the VM.  Never leaves the directory.  The theory is in vm.c.
 *
 * Lock letters:
 *	[I] immutable	[a] atomic	[m] m_lock of the map
 *	[o] fo_lock of the file's object	[f] fa_lock of the family
 *	[p] pm_mutex of the map	[t] pm_lock of the map
 */
#ifndef QUERN_VM_IMPL_H
#define QUERN_VM_IMPL_H

#include <quern/abi/mman.h>
#include <quern/abi/signal.h>
#include <quern/pager.h>
#include <quern/proc.h>
#include <quern/rwlock.h>
#include <quern/slab.h>

#include "vm.h"

#define PAGE_SHIFT 12u
#define PAGE_SIZE  ((uint64_t)1 << PAGE_SHIFT)
#define PAGE_MASK  (PAGE_SIZE - 1)
_Static_assert(PAGE_SIZE == QUERN_PAGE_SIZE, "pages");

/* Faults map so many pages at once, at first and at most. */
#define AROUND_MIN  16u
#define AROUND_MAX  512u
#define AROUND_FILE 16u

/* And so many of one extent that are there already. */
#define AROUND_PRESENT 64u

/* Between a stack and what is below it. */
#define GUARD_GAP ((uint64_t)256 << PAGE_SHIFT)

/* ---- ptree.c: pages by index ---------------------------------------------- */

#define NODE_BITS  6u
#define NODE_SLOTS (1u << NODE_BITS)

/* Pages, or marks, by index.  Zeroed: empty. */
struct ptree {
	struct pnode *pt_root;
	struct pnode *pt_leaf; /* where something was found last, or NULL */
	uint64_t pt_n;         /* slots in use */
};

/* What is at `i`, or NULL. */
void *ptree_get(struct ptree *t, uint64_t i);
/* Put it there, where nothing or something else is.  -ENOMEM. */
int ptree_set(struct ptree *t, uint64_t i, void *p);
/* Nothing is there from here on; what was there. */
void *ptree_del(struct ptree *t, uint64_t i);
/* The first at or after *ip, and *ip where; NULL. */
void *ptree_next(struct ptree *t, uint64_t *ip);

/* ---- anon.c: anonymous memory ---------------------------------------------- */

/*
 * Objects that came of one by copying.  They have one space of indices, so that
 * a page is at the same index in whichever it is.
 */
struct family {
	struct vm *fa_vm;     /* [I] */
	struct qlist fa_link; /* [vm_falock] */
	struct qmutex fa_lock;
	uint32_t fa_refs;        /* [a] objects */
	struct qlist fa_entries; /* [f] whose e_anon is of it */
};

/* Anonymous memory. */
struct anon {
	struct family *a_fam;   /* [I] with a reference */
	uint32_t a_refs;        /* [f] entries and shadows */
	bool a_shared;          /* [I] MAP_SHARED */
	uint64_t a_end;         /* [I] shared: where it ends */
	struct anon *a_back;    /* [f] what it is a copy of, with a reference */
	struct qlist a_shadows; /* [f] of those whose a_back it is */
	struct qlist a_sibling; /* [f] in a_back's list */
	struct ptree a_pages;   /* [f] struct qpage, or NO_PAGE */
};

/* In a_pages: nothing is here, whatever a_back has. */
#define NO_PAGE ((void *)1)

/* Is what a tree has a page? */
static inline bool
is_page(const void *p)
{
	return p != NULL && ((uintptr_t)p & 1) == 0;
}

/* In a_pages: it is on a swap disk, in that slot. */
static inline void *
swap_mark(uint64_t slot)
{
	return (void *)(uintptr_t)(slot << 2 | 3);
}

static inline bool
is_swapped(const void *p)
{
	return ((uintptr_t)p & 3) == 3;
}

static inline uint64_t
swap_slot(const void *p)
{
	return (uintptr_t)p >> 2;
}

/* An object of a family of its own, with a reference.  NULL: no memory. */
struct anon *anon_create(struct vm *vm, bool shared, uint64_t end);
/* The next family in turn, with a reference; NULL: none. */
struct family *family_turn(struct vm *vm);
void family_put(struct family *fa);
/* An object that no entry has yet, with `a` (or nothing) beneath.  [f] */
struct anon *anon_beside(struct family *fa, struct anon *back);
/* Pages [i, i + n) of `from` go to `to`, which is empty.  -ENOMEM.  [f] */
int anon_move(struct anon *from, struct anon *to, uint64_t i, uint64_t n);
/* Remove every mapping of a page that is in an object of the family.  [f] */
void anon_unmap(struct family *fa, struct qpage *pg);
/* A copy of `a`, whose reference it takes over.  NULL: no memory.  [f] */
struct anon *anon_shadow(struct anon *a);
/* Drop an entry's reference. */
void anon_put(struct quern *k, struct anon *a);
/* Another entry has it. */
void anon_get(struct anon *a);
/* Has nobody else it, who would see what is stored? */
bool anon_alone(struct anon *a);
/* Has nobody but entries of map `m` it, or a copy of it?  [f] */
bool anon_ours(const struct anon *a, const struct qvmmap *m);
/*
 * What is at `i`, from `a` down, and *op where: a page or a mark; NULL or
 * NO_PAGE: nothing.  [f]
 */
void *anon_find(struct anon *a, uint64_t i, struct anon **op);
/* Enter a page, which takes over the reference.  -ENOMEM.  [f] */
int anon_enter(struct anon *a, uint64_t i, struct qpage *pg);
/*
 * Pages [i, i + n) of `a`, which nobody maps any more, go; `hide`: so that what
 * is beneath is not seen either.  -ENOMEM: some may have gone.
 */
int anon_drop(struct quern *k, struct anon *a, uint64_t i, uint64_t n,
    bool hide);

/* ---- fobj.c: mapped files ---------------------------------------------------- */

struct fobj {
	struct qpage_mapper fo_mapper;
	struct vm *fo_vm;                /* [I] */
	uint32_t fo_refs;                /* [vm_flock] entries */
	uint32_t fo_kind;                /* [I] enum qmmap_kind */
	const struct qpager_ops *fo_ops; /* [I] */
	void *fo_obj;                    /* [I] */
	void *fo_hold;                   /* [I] */
	struct qlist fo_link;            /* [vm_flock] */
	struct qmutex fo_lock;
	struct qlist fo_entries; /* [o] who maps it */
};

/* The object of what fo_mmap answered; takes over mm_hold, also if it fails. */
int fobj_get(struct vm *vm, const struct qmmap *mm, struct fobj **fp);
void fobj_ref(struct fobj *fo);
void fobj_put(struct fobj *fo);

/* ---- entry.c: the mappings of a space, in order ------------------------------- */

/* e_flags */
#define E_SHARED    1u
#define E_COPY      2u /* e_anon is to be copied before the first store */
#define E_GROWSDOWN 4u
#define E_LOCKED    8u
#define E_NORESERVE 16u
#define E_DONTFORK  32u
#define E_DONTDUMP  64u
#define E_WIPE      128u /* WIPEONFORK */
#define E_ACCOUNT   256u /* counted in vm_committed */
#define E_RANDOM    512u
#define E_ONFAULT   1024u
#define E_WRITER    2048u /* counted by pr_writers */
#define E_SEQ       4096u

/* Flags of which neighbours differ if they are to stay apart. */
#define E_SAME (~E_COPY)

/* A mapping.  Where it is is changed under [m] and, if it has these, [o], [f]. */
struct entry {
	uint64_t e_start, e_end;
	uint32_t e_flags;      /* [a] */
	uint8_t e_prot, e_max; /* Q_PROT_* */
	uint16_t e_around;     /* [a] pages that a fault maps */
	uint64_t e_next;       /* [a] where a sequential one is next */
	struct anon *e_anon;   /* NULL: none yet */
	uint64_t e_index;      /* of e_start in it */
	struct qlist e_alink;  /* [f] */
	struct fobj *e_fobj;   /* what is beneath, or NULL: zeroes */
	uint64_t e_findex;     /* of e_start in it */
	struct qlist e_flink;  /* [o] */
	struct qfile *e_file;  /* with a reference, or NULL */
	const char *e_name;    /* or NULL */
	struct qvmmap *e_map;  /* [I] */
	struct qlist e_link;   /* m_entries */
	/* the tree: a treap with the gaps within each subtree */
	struct entry *e_left, *e_right;
	uint64_t e_first, e_last, e_gap;
	uint32_t e_prio;
};

/* The entry that has `addr`, or NULL. */
struct entry *entry_at(struct qvmmap *m, uint64_t addr);
/* That, or the first one behind it, or NULL. */
struct entry *entry_from(struct qvmmap *m, uint64_t addr);
/* Its neighbours, or NULL. */
struct entry *entry_next(struct entry *e);
struct entry *entry_prev(struct entry *e);
void entry_insert(struct qvmmap *m, struct entry *e);
void entry_remove(struct qvmmap *m, struct entry *e);
/* Its limits are going to be these, between the neighbours it has. */
void entry_resize(struct entry *e, uint64_t start, uint64_t end);
/* It has these flags and this protection from here on, and is counted so. */
void entry_change(struct entry *e, uint32_t flags, unsigned prot);
/* An entry that is in no map begins somewhere else, all of it. */
void entry_move(struct entry *e, uint64_t start);
/* Give it an object, whose reference it has then; `i` for e_start. */
void entry_set_anon(struct entry *e, struct anon *a, uint64_t i);
/* Let go of the object. */
void entry_drop_anon(struct entry *e);
/*
 * Have its object be one of its own, to store to: a shadow if others have it.
 * -ENOMEM.  [m] for writing
 */
int entry_own(struct entry *e);
/* The same if it costs nothing: those who had it are gone.  [m] for writing */
void entry_tryown(struct entry *e);
/* The highest free range of `len` bytes within [low, high); 0: none. */
uint64_t entry_room(struct qvmmap *m, uint64_t len, uint64_t low,
    uint64_t high);
/* Memory for one, zeroed; free_entry drops what it refers to, too. */
struct entry *entry_alloc(struct qvmmap *m);
void entry_free(struct entry *e);
/* A copy for [start, end) of it, with references of its own, in map `m`. */
struct entry *entry_dup(const struct entry *e, struct qvmmap *m, uint64_t start,
    uint64_t end);

/* Set flags and take others away: [m] for writing; who reclaims looks without. */
static inline void
entry_set(struct entry *e, uint32_t set, uint32_t clear)
{
	__atomic_store_n(&e->e_flags, (e->e_flags & ~clear) | set,
	    __ATOMIC_RELAXED);
}

/* Is it locked in memory?  Without a lock. */
static inline bool
entry_locked(const struct entry *e)
{
	return (__atomic_load_n(&e->e_flags, __ATOMIC_RELAXED) & E_LOCKED) != 0;
}

static inline uint64_t
entry_pages(const struct entry *e)
{
	return (e->e_end - e->e_start) >> PAGE_SHIFT;
}

static inline uint64_t
entry_index(const struct entry *e, uint64_t va)
{
	return e->e_index + ((va - e->e_start) >> PAGE_SHIFT);
}

static inline uint64_t
entry_findex(const struct entry *e, uint64_t va)
{
	return e->e_findex + ((va - e->e_start) >> PAGE_SHIFT);
}

/* ---- a space ------------------------------------------------------------------ */

/* Kinds of pages that are mapped. */
enum pkind { PK_ANON = 0, PK_FILE, PK_SHMEM, PK_N };

/* All of it in one kernel. */
struct vm {
	struct quern *vm_k;
	unsigned vm_slot; /* of processes' spaces */
	struct qmutex vm_flock;
	struct qlist vm_fobj[64]; /* [vm_flock] by object */
	struct qspin vm_attach;   /* for processes to change spaces */
	uint32_t vm_seed;         /* [a] */
	uint32_t vm_overcommit;   /* [a] Q_OVERCOMMIT_* */
	uint32_t vm_ratio;        /* [a] percent of RAM, for _NEVER */
	uint64_t vm_committed;    /* [a] pages promised */
	uint64_t vm_swap;         /* [a] pages of swap disks */
	struct swap *vm_swapper;  /* [I] */
	struct qreclaimer vm_reclaimer;
	struct qmutex vm_falock;
	struct qlist vm_families; /* [vm_falock] */
	uint64_t vm_nfamily;      /* [vm_falock] */
	uint32_t vm_hand;         /* [vm_flock] chain to unmap files of next */
	bool (*vm_oom)(void *);   /* [I] once it is set; NULL */
	void *vm_oomarg;
};

struct qvmmap {
	struct quspace m_us;
	struct vm *m_vm;   /* [I] */
	struct quern *m_k; /* [I] */
	uint32_t m_refs;   /* [a] */

	struct qrwlock m_lock;
	struct qlist m_entries;     /* [m] in order */
	struct entry *m_root;       /* [m] */
	uint32_t m_n;               /* [m] entries */
	uint32_t m_seed;            /* [m] */
	uint64_t m_pages;           /* [m] mapped */
	uint64_t m_peak;            /* [m] */
	uint64_t m_data;            /* [m] pages, private and writable */
	uint64_t m_account;         /* [m] pages, counted in vm_committed */
	uint64_t m_locked;          /* [m] pages */
	uint64_t m_top;             /* [m] where to map */
	uint64_t m_brkstart, m_brk; /* [m] */
	uint32_t m_future;          /* [m] E_LOCKED, E_ONFAULT for new ones */

	/* pmap.c */
	struct qmutex pm_mutex;
	struct qspin pm_lock;
	uint64_t *pm_root;   /* [t] the table */
	uint64_t *pm_leaf;   /* [t] of pm_leafva, or NULL */
	uint64_t pm_leafva;  /* [t] */
	uint64_t pm_n[PK_N]; /* [t] pages mapped, by kind */
	uint64_t pm_peak;    /* [t] and [a] */
	uint64_t pm_tables;  /* [t] */
	bool pm_lost;        /* [p] the host has forgotten some of it */
	const struct qpmap_ops *pm_ops; /* [I] */
	void *pm_arg;                   /* [I] */

	uint64_t m_minflt, m_majflt; /* [a] */

	/* hints.c */
	struct hints
	    *m_hints; /* [m] also [a], what its forks are like, or NULL */
	struct hints *m_born; /* [I] those of the space that made it, or NULL */
	uint32_t m_selfleft, m_bornleft; /* [a] faults to note in these */
};

/* What a space has when its own pmap is gone. */
extern const struct qpmap_ops pmap_nothing;

/* ---- pmap.c: which page is where ----------------------------------------------- */

/*
 * Map pages at `va` onwards; where pages[] has NULL nothing is changed.  `prot`
 * QVM_*.  Each that comes to be mapped has been counted by qpage_map, and is
 * counted off again if it is not mapped for want of memory, or since it was
 * mapped already.  Only the page at `must` replaces another one.  -ENOMEM: the
 * page at `must` is not mapped.
 */
int pmap_enter(struct qvmmap *m, uint64_t va, struct qpage **pages, unsigned n,
    unsigned prot, enum pkind kind, uint64_t must);
/*
 * Remove what is mapped in [start, end), and tables that are of use for nothing
 * within [low, high), which has no other mappings.
 */
void pmap_remove(struct qvmmap *m, uint64_t start, uint64_t end, uint64_t low,
    uint64_t high);
/* What is mapped in [start, end) allows no more than `prot` from here on. */
void pmap_protect(struct qvmmap *m, uint64_t start, uint64_t end,
    unsigned prot);
/* The same for all entries with E_COPY, against stores. */
void pmap_fork(struct qvmmap *m);
/* Remove (true) or write-protect one page, if it is mapped there; is it? */
bool pmap_page(struct qvmmap *m, uint64_t va, struct qpage *pg, bool remove);
/* How a page is mapped there: QVM_*, 0 if it is not. */
unsigned pmap_prot(struct qvmmap *m, uint64_t va);
/* Pages that are mapped in [start, end). */
uint64_t pmap_count(struct qvmmap *m, uint64_t start, uint64_t end);
/* The host may have lost it: map again what is mapped at `va`.  -ENOMEM. */
int pmap_again(struct qvmmap *m, uint64_t va);
/* The kernel's view of what is at `va`, if it allows `prot`.  [t] */
void *pmap_data(struct qvmmap *m, uint64_t va, unsigned prot);
/* All goes; nobody uses the space any more, and the host's is gone. */
void pmap_fini(struct qvmmap *m);

/* ---- map.c ---------------------------------------------------------------------- */

/*
 * What an operation takes away is put here, and let go of when m_lock has been
 * given back: files may be closed by that.
 */
struct gone {
	struct qlist g_entries;
};

static inline void
gone_init(struct gone *g)
{
	qlist_init(&g->g_entries);
}

void gone_free(struct gone *g);

/* Have no entry begin before and end behind `va`.  -ENOMEM.  [m] for writing */
int map_clip(struct qvmmap *m, uint64_t va);
/* Unmap [start, end).  -ENOMEM: nothing has happened.  [m] for writing */
int map_remove(struct qvmmap *m, uint64_t start, uint64_t end, struct gone *g);
/*
 * Have `e` reach from `start` to `end`, further than now: nothing is mapped or
 * known there.  -ENOMEM.  [m] for writing
 */
int map_extend(struct entry *e, uint64_t start, uint64_t end);
/*
 * The same, but for its limits: it may become longer at its end by `n` pages.
 */
int map_extend_object(struct entry *e, uint64_t n);
/* Make one of neighbours around and within [start, end).  [m] for writing */
void map_join(struct qvmmap *m, uint64_t start, uint64_t end, struct gone *g);
/* Let a stack reach down to `va`.  -ENOMEM.  [m] for writing */
int map_grow(struct qvmmap *m, struct entry *e, uint64_t va);
/* Is [start, end) without holes? [m] */
bool map_covers(struct qvmmap *m, uint64_t start, uint64_t end);
/*
 * Where to map: at `addr` or near it, as mmap(2)'s flags want.  -ENOMEM, -EPERM,
 * -EEXIST.  [m]
 */
int map_place(struct qvmmap *m, uint64_t *addrp, uint64_t len, unsigned flags);
/*
 * May `n` pages more be promised?  -ENOMEM.
 */
int map_commit(struct vm *vm, uint64_t n);
/* Are mappings of this kind counted in vm_committed? */
bool map_counts(const struct vm *vm, uint32_t flags, unsigned prot,
    const struct fobj *fo);
/* The limit of that number of the process that runs, Q_RLIM_INFINITY if none. */
uint64_t map_limit(unsigned which);

static inline uint64_t
page_up(uint64_t x)
{
	return (x + PAGE_MASK) & ~PAGE_MASK;
}

/* QVM_* of Q_PROT_*. */
static inline unsigned
access_of(unsigned prot)
{
	return ((prot & Q_PROT_READ) != 0 ? QVM_READ : 0) |
	    ((prot & Q_PROT_WRITE) != 0 ? QVM_READ | QVM_WRITE : 0) |
	    ((prot & Q_PROT_EXEC) != 0 ? QVM_READ | QVM_EXEC : 0);
}

/* advise.c: may `n` pages more be locked?  [m] */
bool map_may_lock(struct qvmmap *m, uint64_t n);

/* ---- fault.c --------------------------------------------------------------------- */

/* Make sure that [addr, addr + len) is there, for reading or writing. */
int fault_range(struct qvmmap *m, uint64_t addr, uint64_t len, unsigned access);
/*
 * Have the page at `addr` be one that only this space sees, as a store would,
 * whether or not the mapping lets programs store.  Errors of qvm_fault.
 */
int fault_own(struct qvmmap *m, uint64_t addr);

/* Have it now if it is allowed and there is memory: nobody waits for it. */
int fault_early(struct qvmmap *m, uint64_t addr, unsigned access);

/* ---- hints.c ---------------------------------------------------------------------- */

/* A fault has been. */
void hints_note(struct qvmmap *m, uint64_t va, unsigned access);
/* `to` is going to be a copy of `from`, whose m_lock is held for writing. */
void hints_prepare(struct qvmmap *from, struct qvmmap *to);
/* It is one: have what both of them will touch first.  No locks are held. */
void hints_forked(struct qvmmap *from, struct qvmmap *to);
/* The end of a space. */
void hints_fini(struct qvmmap *m);

/* ---- swap.c ----------------------------------------------------------------------- */

int swap_init(struct vm *vm);
void swap_fini(struct vm *vm);
/*
 * Bring back what is swapped out at `i` of `a`.  -ENOMEM; -EIO and the like: it
 * can't be read.  [f]
 */
int swap_in(struct vm *vm, struct anon *a, uint64_t i, void *mark);
/* A slot is free again. */
void swap_free(struct vm *vm, uint64_t slot);
/* Unmap, or swap out, up to `want` pages; how many.  Nothing may be locked. */
uint64_t swap_pages(struct vm *vm, uint64_t want);

/* copy.c */
extern const struct quspace_ops vm_uspace_ops;

static inline struct vm *
vm_of(struct quern *k)
{
	return qcomponent_state(k, &qvm);
}

#endif /* QUERN_VM_IMPL_H */
