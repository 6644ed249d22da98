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

void
files_init(struct quern *k)
{
	qspin_init(&k->k_calls->ct_file_lock);
	qmutex_init(&k->k_calls->ct_ep_lock, "epoll nesting");
}

void
files_fini(struct quern *k)
{
	struct qsys_table *ct = k->k_calls;
	struct file_chunk *c;

	if (ct->ct_nfile != 0 && !k->k_dead)
		qlog(k, QUERN_LOG_ERR, "%u files were left open", ct->ct_nfile);
	while ((c = ct->ct_file_chunks) != NULL) {
		ct->ct_file_chunks = c->fc_next;
		qfree(c);
	}
}

/* Put a chunk of files on the free list.  [f] */
static int
add_chunk(struct quern *k)
{
	struct qsys_table *ct = k->k_calls;
	struct file_chunk *c;
	struct qfile *f;
	unsigned i;

	c = qzalloc(&tag_file, sizeof(*c) + CHUNK * sizeof(c->fc_file[0]));
	if (c == NULL)
		return -Q_ENOMEM;
	c->fc_next = ct->ct_file_chunks;
	ct->ct_file_chunks = c;
	for (i = CHUNK; i-- > 0;) {
		f = &c->fc_file[i];
		f->f_k = k;
		f->f_smp = k->k_ncpu > 1;
		f->f_obj = ct->ct_file_free;
		ct->ct_file_free = f;
	}
	return 0;
}

/* NULL: *errorp says why. */
static struct qfile *
file_alloc(struct quern *k, int *errorp)
{
	struct qsys_table *ct = k->k_calls;
	struct qfile *f = NULL;
	int error = 0;

	qspin_lock(&ct->ct_file_lock);
	if (ct->ct_nfile >= FILE_MAX)
		error = -Q_ENFILE;
	else if (ct->ct_file_free == NULL)
		error = add_chunk(k);
	if (error == 0) {
		f = ct->ct_file_free;
		ct->ct_file_free = f->f_obj;
		ct->ct_nfile++;
	}
	qspin_unlock(&ct->ct_file_lock);
	*errorp = error;
	return f;
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
	if ((flags & Q_O_ACCMODE) != Q_O_WRONLY)
		mode |= QF_READ;
	if ((flags & Q_O_ACCMODE) != Q_O_RDONLY)
		mode |= QF_WRITE;
	f->f_flags = flags & ~(uint32_t)Q_O_CLOEXEC;
	f->f_mode = mode;
	f->f_ops = ops;
	f->f_obj = obj;
	f->f_off = 0;
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
	struct qsys_table *ct = f->f_k->k_calls;

	qassert(qthread_current()->t_spins == 0);
	qepoll_forget(f);
	if (f->f_ops->fo_release != NULL)
		f->f_ops->fo_release(f);
	qspin_lock(&ct->ct_file_lock);
	f->f_obj = ct->ct_file_free;
	ct->ct_file_free = f;
	ct->ct_nfile--;
	qspin_unlock(&ct->ct_file_lock);
}

int64_t
qfile_seek_nowhere(struct qfile *f, int64_t off, int whence)
{
	(void)off, (void)whence;
	return f->f_off;
}
