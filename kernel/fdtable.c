/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors.
 *
 * A table is an array of files and two bitmaps: descriptors in use (or
 * reserved) and close-on-exec.  Changes are made under fd_lock.  Look-ups take
 * no lock: file.c says why that is safe.  The array grows by being replaced;
 * since a look-up may be in the old one, that is kept until the table goes
 * (at one vCPU it goes at once).  It doubles, so all the old ones together are
 * smaller than the current one.
 *
 * A process's table changes by close_range(UNSHARE) only, which other calls of
 * the process do not wait for: who takes the lock makes sure that it is the
 * table still (lock_table), and the memory of a table goes after the epoch, so
 * whoever does not sleep may look at one that the process has left.
 *
 * D1  A descriptor with a file is in fa_open; one in fa_open without a file is
 *     reserved, and closed to everyone but who reserved it.
 * D2  All descriptors below fd_next are in fa_open.
 */
#include "callimpl.h"

#include "work.h"

#define FIRST    64u /* descriptors of a new table */
#define WORDS(n) ((n) / 64u)

struct fdarray {
	uint32_t fa_n; /* [I] a power of two, at least 64 */
	struct fdarray *fa_old;
	uint64_t *fa_open, *fa_cloexec; /* the bitmaps, behind the files */
	struct qfile *fa_file[];        /* [a] */
};

struct qfdtable {
	uint32_t fd_refs; /* [a] */
	struct qspin fd_lock;
	struct fdarray *fd_arr; /* [a] changed under the lock */
	uint32_t fd_next;
	struct qepoch_entry fd_epoch;
	uint8_t fd_pad[8]; /* two processes' are on lines of their own */
};

_Static_assert(sizeof(struct qfdtable) == 64, "lines of their own");

static const struct qtag tag_fdtable = { "fdtable" };

static struct fdarray *
array_create(uint32_t n)
{
	struct fdarray *a;

	a = qzalloc(&tag_fdtable,
	    sizeof(*a) + n * sizeof(a->fa_file[0]) +
		2 * WORDS(n) * sizeof(uint64_t));
	if (a == NULL)
		return NULL;
	a->fa_n = n;
	a->fa_open = (uint64_t *)(void *)&a->fa_file[n];
	a->fa_cloexec = a->fa_open + WORDS(n);
	return a;
}

/* Set or clear the bit of `fd`.  [lock] */
static inline void
bit_set(uint64_t *map, uint32_t fd, bool on)
{
	uint64_t bit = UINT64_C(1) << fd % 64;

	if (on)
		map[fd / 64] |= bit;
	else
		map[fd / 64] &= ~bit;
}

static inline bool
bit_get(const uint64_t *map, uint32_t fd)
{
	return (map[fd / 64] >> fd % 64 & 1) != 0;
}

static inline struct qfdtable *
table_of(const struct quern_proc *p)
{
	return __atomic_load_n(&p->p_fd, __ATOMIC_ACQUIRE);
}

/* The process's table, locked. */
static inline struct qfdtable *
lock_table(const struct quern_proc *p)
{
	struct qfdtable *t;

	for (;;) {
		t = table_of(p);
		qspin_lock(&t->fd_lock);
		if (qlikely(t == table_of(p)))
			return t;
		qspin_unlock(&t->fd_lock);
	}
}

/* ---- look-up ------------------------------------------------------------ */

/* Take a reference unless there is none (F2). */
static bool
file_tryget(struct qfile *f)
{
	uint32_t n = __atomic_load_n(&f->f_refs, __ATOMIC_RELAXED);

	do {
		if (n == 0)
			return false;
	} while (!__atomic_compare_exchange_n(&f->f_refs, &n, n + 1, true,
	    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	return true;
}

/* With several vCPUs: F3. */
static struct qfile *
get_smp(const struct quern_proc *p, uint32_t fd, struct qfile *f)
{
	struct qcpu *v = qcpu_current();
	struct fdarray *a;

	for (;;) {
		qchoice(v, QUERN_YIELD_ATOMIC);
		if (qlikely(file_tryget(f))) {
			a = __atomic_load_n(&table_of(p)->fd_arr,
			    __ATOMIC_ACQUIRE);
			if (qlikely(__atomic_load_n(&a->fa_file[fd],
					__ATOMIC_ACQUIRE) == f))
				return f;
			qfile_put(f);
		}
		a = __atomic_load_n(&table_of(p)->fd_arr, __ATOMIC_ACQUIRE);
		f = __atomic_load_n(&a->fa_file[fd], __ATOMIC_ACQUIRE);
		if (f == NULL)
			return NULL;
	}
}

struct qfile *
qfd_get_path(struct quern_proc *p, int fd)
{
	struct fdarray *a = __atomic_load_n(&table_of(p)->fd_arr,
	    __ATOMIC_ACQUIRE);
	struct qfile *f;

	if (qunlikely((uint32_t)fd >= a->fa_n))
		return NULL;
	f = __atomic_load_n(&a->fa_file[fd], __ATOMIC_ACQUIRE);
	if (qunlikely(f == NULL))
		return NULL;
	if (f->f_smp)
		return get_smp(p, (uint32_t)fd, f);
	f->f_refs++;
	return f;
}

struct qfile *
qfd_get(struct quern_proc *p, int fd)
{
	struct qfile *f = qfd_get_path(p, fd);

	if (f != NULL && qunlikely((f->f_mode & QF_PATH) != 0)) {
		qfile_put(f);
		return NULL;
	}
	return f;
}

/* ---- reserving, installing ----------------------------------------------- */

/* Make room for `fd`.  [lock] */
static int
grow(struct qfdtable *t, uint32_t fd)
{
	struct fdarray *a = t->fd_arr, *b;
	uint32_t n = a->fa_n, i;

	if (fd < n)
		return 0;
	while (n <= fd)
		n *= 2;
	b = array_create(n);
	if (b == NULL)
		return -Q_ENOMEM;
	for (i = 0; i < a->fa_n; i++)
		b->fa_file[i] = a->fa_file[i];
	memcpy(b->fa_open, a->fa_open, WORDS(a->fa_n) * sizeof(uint64_t));
	memcpy(b->fa_cloexec, a->fa_cloexec, WORDS(a->fa_n) * sizeof(uint64_t));
	b->fa_old = a;
	if (!qcpu_current()->v_smp) {
		b->fa_old = a->fa_old;
		qfree(a);
	}
	__atomic_store_n(&t->fd_arr, b, __ATOMIC_RELEASE);
	return 0;
}

/* The lowest descriptor from `from` up that isn't in use.  [lock] */
static uint32_t
find_free(const struct qfdtable *t, uint32_t from)
{
	const struct fdarray *a = t->fd_arr;
	uint64_t free;
	uint32_t w;

	if (from < t->fd_next)
		from = t->fd_next;
	for (w = from / 64; w < WORDS(a->fa_n); w++) {
		free = ~a->fa_open[w];
		if (w == from / 64)
			free &= ~UINT64_C(0) << from % 64;
		if (free != 0)
			return w * 64 + (uint32_t)__builtin_ctzll(free);
	}
	return a->fa_n > from ? a->fa_n : from;
}

int
qfd_reserve(struct quern_proc *p, uint32_t from, uint32_t flags)
{
	struct qfdtable *t = lock_table(p);
	uint32_t fd;
	int error;

	fd = find_free(t, from);
	if (fd >= __atomic_load_n(&p->p_nofile, __ATOMIC_RELAXED))
		error = -Q_EMFILE;
	else
		error = grow(t, fd);
	if (error == 0) {
		bit_set(t->fd_arr->fa_open, fd, true);
		bit_set(t->fd_arr->fa_cloexec, fd, (flags & Q_O_CLOEXEC) != 0);
		if (from <= t->fd_next)
			t->fd_next = fd + 1;
	}
	qspin_unlock(&t->fd_lock);
	return error != 0 ? error : (int)fd;
}

/* `fd` has no file any more.  [lock] */
static void
make_free(struct qfdtable *t, uint32_t fd)
{
	bit_set(t->fd_arr->fa_open, fd, false);
	bit_set(t->fd_arr->fa_cloexec, fd, false);
	if (fd < t->fd_next)
		t->fd_next = fd;
}

void
qfd_commit(struct quern_proc *p, int fd, struct qfile *f)
{
	struct qfdtable *t = lock_table(p);

	qassert(bit_get(t->fd_arr->fa_open, (uint32_t)fd));
	qassert(t->fd_arr->fa_file[fd] == NULL);
	__atomic_store_n(&t->fd_arr->fa_file[fd], f, __ATOMIC_RELEASE);
	qspin_unlock(&t->fd_lock);
}

void
qfd_cancel(struct quern_proc *p, int fd)
{
	struct qfdtable *t = lock_table(p);

	qassert(t->fd_arr->fa_file[fd] == NULL);
	make_free(t, (uint32_t)fd);
	qspin_unlock(&t->fd_lock);
}

int
qfd_install(struct quern_proc *p, struct qfile *f, uint32_t flags)
{
	int fd;

	fd = qfd_reserve(p, 0, flags);
	if (fd < 0)
		qfile_put(f);
	else
		qfd_commit(p, fd, f);
	return fd;
}

/* ---- closing, replacing --------------------------------------------------- */

/* A descriptor of the table let go of `f`. */
static int
drop(const struct qfdtable *t, struct qfile *f)
{
	int error = 0;

	if (f->f_ops->fo_flush != NULL)
		error = f->f_ops->fo_flush(f, t);
	qfile_put(f);
	return error;
}

/* Take the file out of `fd`; NULL: not open.  [lock] */
static struct qfile *
take_out(struct qfdtable *t, uint32_t fd)
{
	struct fdarray *a = t->fd_arr;
	struct qfile *f;

	if (fd >= a->fa_n || a->fa_file[fd] == NULL)
		return NULL;
	f = a->fa_file[fd];
	__atomic_store_n(&a->fa_file[fd], NULL, __ATOMIC_RELEASE);
	make_free(t, fd);
	return f;
}

int
qfd_close(struct quern_proc *p, int fd)
{
	struct qfdtable *t = lock_table(p);
	struct qfile *f;

	f = take_out(t, (uint32_t)fd);
	qspin_unlock(&t->fd_lock);
	return f == NULL ? -Q_EBADF : drop(t, f);
}

int
fd_replace(struct quern_proc *p, int fd, int to, uint32_t flags)
{
	struct qfile *f, *old = NULL;
	struct qfdtable *t;
	struct fdarray *a;
	int error;

	if ((uint32_t)to >= __atomic_load_n(&p->p_nofile, __ATOMIC_RELAXED))
		return -Q_EBADF;
	f = qfd_get_path(p, fd);
	if (f == NULL)
		return -Q_EBADF;
	t = lock_table(p);
	error = grow(t, (uint32_t)to);
	a = t->fd_arr;
	if (error == 0) {
		old = a->fa_file[to];
		if (old == NULL && bit_get(a->fa_open, (uint32_t)to))
			error = -Q_EBUSY;
	}
	if (error == 0) {
		bit_set(a->fa_open, (uint32_t)to, true);
		bit_set(a->fa_cloexec, (uint32_t)to,
		    (flags & Q_O_CLOEXEC) != 0);
		__atomic_store_n(&a->fa_file[to], f, __ATOMIC_RELEASE);
	}
	qspin_unlock(&t->fd_lock);
	if (error != 0) {
		qfile_put(f);
		return error;
	}
	if (old != NULL)
		(void)drop(t, old);
	return to;
}

int
fd_get_cloexec(struct quern_proc *p, int fd)
{
	struct qfdtable *t = lock_table(p);
	int ret = -Q_EBADF;

	if ((uint32_t)fd < t->fd_arr->fa_n && t->fd_arr->fa_file[fd] != NULL)
		ret = bit_get(t->fd_arr->fa_cloexec, (uint32_t)fd);
	qspin_unlock(&t->fd_lock);
	return ret;
}

int
fd_set_cloexec(struct quern_proc *p, int fd, bool on)
{
	struct qfdtable *t = lock_table(p);
	int ret = -Q_EBADF;

	if ((uint32_t)fd < t->fd_arr->fa_n && t->fd_arr->fa_file[fd] != NULL) {
		bit_set(t->fd_arr->fa_cloexec, (uint32_t)fd, on);
		ret = 0;
	}
	qspin_unlock(&t->fd_lock);
	return ret;
}

int
qfd_cloexec(struct quern_proc *p, int fd)
{
	return fd_get_cloexec(p, fd);
}

int
qfd_from(struct quern_proc *p, int from)
{
	struct qfdtable *t = lock_table(p);
	struct fdarray *a = t->fd_arr;
	uint32_t fd = (uint32_t)from;

	while (fd < a->fa_n && a->fa_file[fd] == NULL)
		fd++;
	if (fd >= a->fa_n)
		fd = UINT32_MAX;
	qspin_unlock(&t->fd_lock);
	return fd != UINT32_MAX ? (int)fd : -Q_EBADF;
}

uint32_t
fd_size(struct quern_proc *p)
{
	return __atomic_load_n(&table_of(p)->fd_arr, __ATOMIC_ACQUIRE)->fa_n;
}

/* Close those from `first` to `last`, or only those marked so. */
static void
close_some(struct qfdtable *t, uint32_t first, uint32_t last, bool cloexec_only)
{
	struct qfile *f;
	uint32_t fd;

	qspin_lock(&t->fd_lock);
	for (fd = first; fd <= last && fd < t->fd_arr->fa_n; fd++) {
		if (cloexec_only && !bit_get(t->fd_arr->fa_cloexec, fd))
			continue;
		f = take_out(t, fd);
		if (f == NULL)
			continue;
		qspin_unlock(&t->fd_lock);
		(void)drop(t, f);
		qspin_lock(&t->fd_lock);
	}
	qspin_unlock(&t->fd_lock);
}

/* ---- tables --------------------------------------------------------------- */

static struct qfdtable *
table_create(uint32_t n)
{
	struct qfdtable *t;

	t = qzalloc(&tag_fdtable, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->fd_arr = array_create(n);
	if (t->fd_arr == NULL) {
		qfree(t);
		return NULL;
	}
	t->fd_refs = 1;
	qspin_init(&t->fd_lock);
	return t;
}

int
qfdtable_create(struct quern *k, struct qfdtable **tp)
{
	(void)k;
	*tp = table_create(FIRST);
	return *tp == NULL ? -Q_ENOMEM : 0;
}

/* Copy what is open in `a` to the new, equally long `b`.  [lock of a's] */
static void
copy_files(const struct fdarray *a, struct fdarray *b)
{
	uint32_t fd;

	for (fd = 0; fd < a->fa_n; fd++) {
		if (a->fa_file[fd] == NULL)
			continue;
		qfile_get(a->fa_file[fd]);
		b->fa_file[fd] = a->fa_file[fd];
		bit_set(b->fa_open, fd, true);
		bit_set(b->fa_cloexec, fd, bit_get(a->fa_cloexec, fd));
	}
}

/* A copy of the process's table, which is left locked: *fromp. */
static int
copy_table(struct quern_proc *p, struct qfdtable **tp, struct qfdtable **fromp)
{
	struct qfdtable *t, *new;
	uint32_t n;

	for (;;) {
		n = fd_size(p);
		new = table_create(n);
		if (new == NULL)
			return -Q_ENOMEM;
		t = lock_table(p);
		if (t->fd_arr->fa_n == n)
			break;
		qspin_unlock(&t->fd_lock);
		qfdtable_put(new);
	}
	copy_files(t->fd_arr, new->fd_arr);
	*tp = new;
	*fromp = t;
	return 0;
}

int
qfdtable_copy(struct quern_proc *p, struct qfdtable **tp)
{
	struct qfdtable *from;
	int error = copy_table(p, tp, &from);

	if (error == 0)
		qspin_unlock(&from->fd_lock);
	return error;
}

struct qfdtable *
qfdtable_share(struct quern_proc *p)
{
	struct qfdtable *t = lock_table(p);

	qfdtable_get(t);
	qspin_unlock(&t->fd_lock);
	return t;
}

void
qfdtable_get(struct qfdtable *t)
{
	__atomic_fetch_add(&t->fd_refs, 1, __ATOMIC_RELAXED);
}

static void
table_free(struct qepoch_entry *e)
{
	struct qfdtable *t = QCONTAINER(e, struct qfdtable, fd_epoch);
	struct fdarray *a, *old;

	for (a = t->fd_arr; a != NULL; a = old) {
		old = a->fa_old;
		qfree(a);
	}
	qfree(t);
}

void
qfdtable_put(struct qfdtable *t)
{
	if (__atomic_sub_fetch(&t->fd_refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	close_some(t, 0, UINT32_MAX, false);
	if (qcpu_current()->v_smp)
		qepoch_defer(&t->fd_epoch, table_free);
	else
		table_free(&t->fd_epoch);
}

/* ---- many of a table ------------------------------------------------------- */

/*
 * Have a table of its own, if it shares one.  Other calls of the process may have
 * reserved descriptors, which they will want to find here, and nobody knows which
 * are theirs: all that are reserved are so in the copy, too.  Those that are not
 * theirs stay unused in it, and theirs in the other.
 */
int
qfdtable_unshare(struct quern_proc *p)
{
	struct qfdtable *own, *t = table_of(p);
	size_t len;
	int error;

	if (__atomic_load_n(&t->fd_refs, __ATOMIC_RELAXED) == 1)
		return 0;
	error = copy_table(p, &own, &t);
	if (error != 0)
		return error;
	len = WORDS(t->fd_arr->fa_n) * sizeof(uint64_t);
	memcpy(own->fd_arr->fa_open, t->fd_arr->fa_open, len);
	memcpy(own->fd_arr->fa_cloexec, t->fd_arr->fa_cloexec, len);
	__atomic_store_n(&p->p_fd, own, __ATOMIC_RELEASE);
	qspin_unlock(&t->fd_lock);
	qfdtable_put(t);
	return 0;
}

/* Likewise in the process's table, which closing must not outlive. */
static void
close_own(struct quern_proc *p, uint32_t first, uint32_t last,
    bool cloexec_only)
{
	struct qfdtable *t = lock_table(p);

	qfdtable_get(t);
	qspin_unlock(&t->fd_lock);
	close_some(t, first, last, cloexec_only);
	qfdtable_put(t);
}

int
fd_close_range(struct quern_proc *p, uint32_t first, uint32_t last,
    uint32_t flags)
{
	struct qfdtable *t;
	uint32_t fd;
	int error;

	if ((flags & Q_CLOSE_RANGE_UNSHARE) != 0) {
		error = qfdtable_unshare(p);
		if (error != 0)
			return error;
	}
	if ((flags & Q_CLOSE_RANGE_CLOEXEC) == 0) {
		close_own(p, first, last, false);
		return 0;
	}
	t = lock_table(p);
	for (fd = first; fd <= last && fd < t->fd_arr->fa_n; fd++)
		if (t->fd_arr->fa_file[fd] != NULL)
			bit_set(t->fd_arr->fa_cloexec, fd, true);
	qspin_unlock(&t->fd_lock);
	return 0;
}

void
qfdtable_exec(struct quern_proc *p)
{
	close_own(p, 0, UINT32_MAX, true);
}
