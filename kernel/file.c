/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Open files.
 *
 * Finding the file of a descriptor is on the path of every read and write, and
 * takes no lock.  What makes that safe:
 *
 * F1  Memory that has been a struct qfile remains one until the kernel ends:
 *     it goes to the free list and comes back as another file.  So a pointer
 *     that was read from a table may be looked at however old it is.
 * F2  f_refs is 0 exactly while the file is free or being released.  Only
 *     qfile_create makes it other than 0 from there; a reference is taken
 *     either by someone who has one or by file_tryget, which refuses 0.
 * F3  A table entry owns a reference.  If, after file_tryget, the table's
 *     current array still has the file in its place, then the reference is to
 *     the file of that descriptor: had the file been freed and made anew in
 *     between, its entry would be gone, and we would see that, since
 *     file_tryget read what qfile_create wrote.
 *
 * With one vCPU nobody else runs in between, and references are plain numbers.
 */
#include "callimpl.h"

struct file_chunk {
	struct file_chunk *fc_next;
	struct qfile fc_file[];
};

/* Files that are allocated at a time. */
#define CHUNK 24u

static const struct qtag tag_file = { "file" };

/*
 * Free files that a vCPU keeps for itself, so that opening and closing on several
 * does not fight for one list, nor for the files' memory.  Kernel code is not
 * preempted, so no lock is needed.
 */
struct file_cache {
	struct qfile *fc_free; /* linked by f_obj */
	uint32_t fc_n;
	uint8_t fc_pad[52];
};

_Static_assert(sizeof(struct file_cache) == 64, "lines of their own");

/* A vCPU keeps up to the first, and fetches and returns the second at a time. */
#define CACHE_MAX   48u
#define CACHE_BATCH 24u

int
files_init(struct quern *k)
{
	struct qsys_table *ct = k->k_calls;

	qspin_init(&ct->ct_file_lock);
	qmutex_init(&ct->ct_ep_lock, "epoll nesting");
	ct->ct_file_cache = qzalloc(&tag_file,
	    k->k_ncpu * sizeof(ct->ct_file_cache[0]));
	return ct->ct_file_cache == NULL ? -Q_ENOMEM : 0;
}

/* How many are on a list. */
static uint32_t
list_len(const struct qfile *f)
{
	uint32_t n = 0;

	for (; f != NULL; f = f->f_obj)
		n++;
	return n;
}

void
files_fini(struct quern *k)
{
	struct qsys_table *ct = k->k_calls;
	uint32_t left = ct->ct_nfile - list_len(ct->ct_file_free), i;
	struct file_chunk *c;

	for (i = 0; ct->ct_file_cache != NULL && i < k->k_ncpu; i++)
		left -= list_len(ct->ct_file_cache[i].fc_free);
	if (left != 0 && !k->k_dead)
		qlog(k, QUERN_LOG_ERR, "%u files were left open", left);
	while ((c = ct->ct_file_chunks) != NULL) {
		ct->ct_file_chunks = c->fc_next;
		qfree(c);
	}
	qfree(ct->ct_file_cache);
}

/* Put a chunk of files on the free list.  [f] */
static int
add_chunk(struct quern *k)
{
	struct qsys_table *ct = k->k_calls;
	struct file_chunk *c;
	struct qfile *f;
	unsigned i;

	if (ct->ct_nfile + CHUNK > FILE_MAX)
		return -Q_ENFILE;
	c = qzalloc(&tag_file, sizeof(*c) + CHUNK * sizeof(c->fc_file[0]));
	if (c == NULL)
		return -Q_ENOMEM;
	c->fc_next = ct->ct_file_chunks;
	ct->ct_file_chunks = c;
	ct->ct_nfile += CHUNK;
	for (i = CHUNK; i-- > 0;) {
		f = &c->fc_file[i];
		f->f_k = k;
		f->f_smp = k->k_ncpu > 1;
		f->f_obj = ct->ct_file_free;
		ct->ct_file_free = f;
	}
	return 0;
}

/* Move up to `n` files from one list to another: how many. */
static uint32_t
move_files(struct qfile **from, struct qfile **to, uint32_t n)
{
	struct qfile *f;
	uint32_t i;

	for (i = 0; i < n && (f = *from) != NULL; i++) {
		*from = f->f_obj;
		f->f_obj = *to;
		*to = f;
	}
	return i;
}

/* Fetch files for a vCPU that has none. */
static int
cache_fill(struct quern *k, struct file_cache *fc)
{
	struct qsys_table *ct = k->k_calls;
	int error = 0;

	qspin_lock(&ct->ct_file_lock);
	if (ct->ct_file_free == NULL)
		error = add_chunk(k);
	fc->fc_n += move_files(&ct->ct_file_free, &fc->fc_free, CACHE_BATCH);
	qspin_unlock(&ct->ct_file_lock);
	return error;
}

/* NULL: *errorp says why. */
static inline struct qfile *
file_alloc(struct quern *k, int *errorp)
{
	struct file_cache *fc =
	    &k->k_calls->ct_file_cache[qcpu_current()->v_id];
	struct qfile *f;

	if (qunlikely(fc->fc_free == NULL)) {
		*errorp = cache_fill(k, fc);
		if (*errorp != 0)
			return NULL;
	}
	f = fc->fc_free;
	fc->fc_free = f->f_obj;
	fc->fc_n--;
	return f;
}

static inline void
file_free(struct qfile *f)
{
	struct qsys_table *ct = f->f_k->k_calls;
	struct file_cache *fc = &ct->ct_file_cache[qcpu_current()->v_id];

	f->f_obj = fc->fc_free;
	fc->fc_free = f;
	if (qlikely(++fc->fc_n <= CACHE_MAX))
		return;
	qspin_lock(&ct->ct_file_lock);
	fc->fc_n -= move_files(&fc->fc_free, &ct->ct_file_free, CACHE_BATCH);
	qspin_unlock(&ct->ct_file_lock);
}

uint64_t
qfile_serial(struct quern *k)
{
	return __atomic_add_fetch(&k->k_fileno, 1, __ATOMIC_RELAXED);
}

int
qfile_create(struct quern *k, const struct qfile_ops *ops, void *obj,
    uint32_t flags, uint32_t mode, struct qfile **fp)
{
	struct qfile *f;
	int error;

	f = file_alloc(k, &error);
	if (f == NULL)
		return error;
	/* By the bits of "one more": 3, which Linux knows, is neither. */
	if (((flags + 1) & Q_O_ACCMODE & 1) != 0)
		mode |= QF_READ;
	if (((flags + 1) & Q_O_ACCMODE & 2) != 0)
		mode |= QF_WRITE;
	f->f_flags = flags & ~(uint32_t)Q_O_CLOEXEC;
	f->f_mode = mode;
	f->f_ops = ops;
	f->f_obj = obj;
	f->f_off = 0;
	f->f_polled = false;
	qmutex_init(&f->f_offlock, "file offset");
	qspin_init(&f->f_eplock);
	qlist_init(&f->f_epoll);
	__atomic_store_n(&f->f_refs, 1, __ATOMIC_RELEASE);
	*fp = f;
	return 0;
}

void
qfile_release(struct qfile *f)
{
	qassert(qthread_current()->t_spins == 0);
	qepoll_forget(f);
	if (f->f_ops->fo_release != NULL)
		f->f_ops->fo_release(f);
	file_free(f);
}

int64_t
qfile_seek_nowhere(struct qfile *f, int64_t off, int whence)
{
	(void)off, (void)whence;
	return f->f_off;
}
