/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vDSO's pages, and keeping the clock in them right.
 *
 * The first page is what guests read (vvar.h), the others are the shared object.
 * They are the pages of a file that nobody can open, mapped as files are.
 *
 * The host says how its clock follows from the processor's cycles
 * (clock_params), as of now: it corrects its own clock all the time, so what we
 * tell guests is renewed every second.  What they have read before must not be
 * in the future then: if we were ahead of the host, time goes on from where we
 * were, and more slowly for a second.
 */
#include <quern/vdso.h>

#include <quern/abi/errno.h>
#include <quern/abi/fcntl.h>
#include <quern/abi/mman.h>
#include <quern/file.h>
#include <quern/page.h>
#include <quern/pager.h>
#include <quern/slab.h>
#include <quern/thread.h>
#include <quern/vm.h>

#include "vvar.h"

#define PAGE ((uint64_t)QUERN_PAGE_SIZE)

#define NS_PER_SEC UINT64_C(1000000000)
#define NS_PER_MS  UINT64_C(1000000)

/* How soon to ask a host again that could not say yet. */
#define RETRY_NS (10 * NS_PER_MS)

/* The real-time clock has been set if it is off by more; less is in measuring. */
#define STEP_NS 20000

/* Room for the object: some 3 KiB. */
#define IMAGE_PAGES 2u

static const struct qtag tag_vdso = { "vDSO" };

extern const unsigned char vdso_image[], vdso_image_end[];

struct qvdso {
	struct quern *vd_k;
	struct qfile *vd_file;                  /* [I] */
	struct qpage *vd_page[1 + IMAGE_PAGES]; /* [I] */
	uint32_t vd_npage;
	uint64_t vd_next;     /* [a] when to renew it */
	struct qspin vd_lock; /* who renews it */
	struct vvar *vd_vvar; /* [vd_lock] to write */
};

/* ---- as a file -------------------------------------------------------------- */

static void
vdso_letgo(void *hold)
{
	/* It is there as long as there are spaces. */
	(void)hold;
}

static uint64_t
vdso_size(void *obj)
{
	const struct qvdso *v = obj;

	return v->vd_npage * PAGE;
}

static struct qpage *
vdso_find(void *obj, uint64_t index)
{
	struct qvdso *v = obj;

	if (index >= v->vd_npage)
		return NULL;
	qpage_get(v->vd_page[index]);
	return v->vd_page[index];
}

static int
vdso_page(void *obj, uint64_t index, struct qpage **pgp)
{
	*pgp = vdso_find(obj, index);
	return *pgp != NULL ? 0 : -Q_EIO;
}

static const struct qpager_ops vdso_pager = {
	.pr_letgo = vdso_letgo,
	.pr_size = vdso_size,
	.pr_page = vdso_page,
	.pr_find = vdso_find,
};

static int
vdso_mmap(struct qfile *f, struct qmmap *mm)
{
	mm->mm_kind = QMMAP_FILE;
	mm->mm_ops = &vdso_pager;
	mm->mm_obj = mm->mm_hold = f->f_obj;
	/* A copy of the clock would stand still. */
	if (mm->mm_off == 0)
		mm->mm_never = Q_PROT_WRITE | Q_PROT_EXEC;
	return 0;
}

static const struct qfile_ops vdso_ops = {
	.fo_name = "vdso",
	.fo_mmap = vdso_mmap,
};

int
qvdso_map(struct qvdso *v, struct qvmmap *m, uint64_t *ehdr)
{
	uint64_t addr = 0, len = v->vd_npage * PAGE, image;
	int error;

	error = qvm_map_named(m, &addr, len, Q_PROT_READ, Q_MAP_PRIVATE,
	    v->vd_file, 0, "[vvar]");
	if (error != 0)
		return error;
	image = addr + PAGE;
	error = qvm_map_named(m, &image, len - PAGE, Q_PROT_READ | Q_PROT_EXEC,
	    Q_MAP_PRIVATE | Q_MAP_FIXED, v->vd_file, PAGE, "[vdso]");
	if (error == 0)
		*ehdr = image;
	return error;
}

/* ---- the clock ------------------------------------------------------------------ */

/* What guests read at the cycle of `cp`, if they read anything. */
static uint64_t
time_told(const struct vvar *vv, const struct quern_clock_params *cp)
{
	uint64_t cycles = cp->cp_cycle0 - vv->vv_cycle0;

	return vv->vv_mono +
	    (uint64_t)(((unsigned __int128)cycles * vv->vv_mult) >>
		vv->vv_shift);
}

/* [vd_lock] */
static void
tell(struct vvar *vv, const struct quern_clock_params *cp)
{
	uint64_t mono = cp->cp_mono_ns, mult = cp->cp_mult, told, ahead;
	uint64_t real = cp->cp_real_ns - mono, slower;
	int64_t off;

	if (vv->vv_shift != 0) {
		told = time_told(vv, cp);
		if (told > mono) {
			ahead = told - mono;
			if (ahead > NS_PER_SEC / 2)
				ahead = NS_PER_SEC / 2;
			slower = (uint64_t)((unsigned __int128)mult * ahead /
			    NS_PER_SEC);
			mult -= slower;
			mono = told;
		}
		off = (int64_t)(real - vv->vv_real);
		if (off > -STEP_NS && off < STEP_NS)
			real = vv->vv_real;
	}
	__atomic_store_n(&vv->vv_seq, vv->vv_seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	vv->vv_shift = cp->cp_shift;
	vv->vv_cycle0 = cp->cp_cycle0;
	vv->vv_mult = mult;
	vv->vv_mono = mono;
	vv->vv_real = real;
	__atomic_store_n(&vv->vv_seq, vv->vv_seq + 1, __ATOMIC_RELEASE);
}

static QCOLD void
renew(struct qvdso *v, uint64_t now)
{
	struct quern_clock_params cp;
	int error;

	qspin_lock(&v->vd_lock);
	error = qclock_params(v->vd_k, &cp);
	if (error == 0)
		tell(v->vd_vvar, &cp);
	__atomic_store_n(&v->vd_next,
	    now + (error == -Q_EAGAIN ? RETRY_NS : NS_PER_SEC),
	    __ATOMIC_RELAXED);
	qspin_unlock(&v->vd_lock);
}

void
qvdso_tick(struct qvdso *v, uint64_t now)
{
	if (now >= __atomic_load_n(&v->vd_next, __ATOMIC_RELAXED))
		renew(v, now);
}

/* ---- beginning and end -------------------------------------------------------- */

static int
make_pages(struct qvdso *v)
{
	size_t len = (size_t)(vdso_image_end - vdso_image), n;
	struct qpage *pg;
	unsigned char *data;
	unsigned i;

	v->vd_npage = 1 + (uint32_t)((len + PAGE - 1) / PAGE);
	qassert(v->vd_npage <= QARRAYLEN(v->vd_page));
	for (i = 0; i < v->vd_npage; i++) {
		pg = qpage_alloc(v->vd_k, 0);
		if (pg == NULL)
			return -Q_ENOMEM;
		v->vd_page[i] = pg;
		data = qpage_data(v->vd_k, pg);
		memset(data, 0, PAGE);
		if (i > 0) {
			n = len - (i - 1) * PAGE;
			memcpy(data, vdso_image + (i - 1) * PAGE,
			    n < PAGE ? n : PAGE);
		}
		pg->pg_obj = v;
		pg->pg_index = i;
		(void)qpage_flags(pg, QPG_VALID, 0);
	}
	v->vd_vvar = qpage_data(v->vd_k, v->vd_page[0]);
	return 0;
}

struct qvdso *
qvdso_create(struct quern *k)
{
	struct quern_clock_params cp;
	struct qvdso *v;
	int error;

	error = qclock_params(k, &cp);
	if (error != 0 && error != -Q_EAGAIN)
		return NULL;
	v = qzalloc(&tag_vdso, sizeof(*v));
	if (v == NULL)
		return NULL;
	v->vd_k = k;
	qspin_init(&v->vd_lock);
	error = make_pages(v);
	if (error == 0)
		error = qfile_create(k, &vdso_ops, v, Q_O_RDWR, 0, &v->vd_file);
	if (error != 0) {
		qvdso_destroy(v);
		return NULL;
	}
	return v;
}

void
qvdso_destroy(struct qvdso *v)
{
	unsigned i;

	if (v == NULL)
		return;
	if (v->vd_file != NULL)
		qfile_put(v->vd_file);
	for (i = 0; i < v->vd_npage && v->vd_page[i] != NULL; i++) {
		v->vd_page[i]->pg_obj = NULL;
		(void)qpage_flags(v->vd_page[i], 0, QPG_VALID);
		qpage_put(v->vd_k, v->vd_page[i]);
	}
	qfree(v);
}
