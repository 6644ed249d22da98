/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The calls on memory beside the host's: the same random calls are made by a
 * child process of the host's kernel and by a guest's process of Quern, at the
 * same addresses.  Results, what is read, and what is mapped with which
 * protection must agree.
 *
 * SEED=n is the first seed; HOST_TRACE=1 tells of every call.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>

#include <components/vm/impl.h>
#include <kernel/syscall.h>

#include "mpmap.h"

#define PG     4096ul
#define WINDOW 64u
#define USED   44u /* where calls are about */
#define BASE   UINT64_C(0x200000000000)
#define FPAGES 20u
#define STEPS  1500u
#define LOOK   25u /* calls between two looks at what is mapped */

enum { FD_RDWR = 20, FD_RDONLY, FD_PIPE_IN, FD_PIPE_OUT };

/* A call, or an access. */
struct op {
	int nr; /* SYS_*, or one of these */
	uint64_t arg[6];
};
#define OP_LOAD  (-1)
#define OP_STORE (-2)
#define OP_LOOK  (-3)

/* What came of it. */
struct result {
	int64_t ret;
	uint8_t data[8];
	uint8_t prot[WINDOW]; /* OP_LOOK: 0x80 | shared << 4 | Q_PROT_* */
	uint64_t off[WINDOW]; /* in the file */
};

static uint64_t rng;

static uint64_t
some(uint64_t n)
{
	rng = rng * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	return (rng >> 33) % n;
}

/* ---- calls ------------------------------------------------------------------- */

static uint64_t
some_addr(void)
{
	uint64_t at = BASE + some(USED) * PG;

	return some(25) == 0 ? at + 1 + some(PG - 1) : at;
}

static uint64_t
some_len(void)
{
	static const uint64_t odd[] = { 0, 1, PG - 1, PG + 1, UINT64_C(1) << 47,
		UINT64_MAX, UINT64_MAX - PG };

	if (some(30) == 0)
		return odd[some(sizeof(odd) / sizeof(odd[0]))];
	return (1 + some(some(3) == 0 ? 20 : 5)) * PG;
}

static void
make_mmap(struct op *op)
{
	static const unsigned prots[] = { 3, 3, 3, 1, 0, 5, 2, 4, 7 };
	unsigned flags = some(2) == 0 ? MAP_SHARED : MAP_PRIVATE;

	op->nr = SYS_mmap;
	op->arg[0] = some_addr();
	op->arg[1] = some_len();
	op->arg[2] = prots[some(9)];
	op->arg[4] = (uint64_t)-1;
	if (some(2) == 0) {
		op->arg[4] = some(4) == 0 ? FD_RDONLY : FD_RDWR;
		op->arg[5] = some(FPAGES + 2) * PG;
		if (some(40) == 0)
			op->arg[5] += 5;
	} else {
		flags |= MAP_ANONYMOUS;
	}
	if (some(20) == 0)
		flags ^= some(2) == 0 ? MAP_SHARED : MAP_PRIVATE;
	if (some(20) == 0)
		flags ^= MAP_ANONYMOUS;
	if (some(5) != 0)
		flags |= MAP_FIXED;
	else if (some(2) != 0)
		flags |= MAP_FIXED_NOREPLACE;
	if (some(10) == 0)
		flags |= MAP_NORESERVE;
	if (some(10) == 0)
		flags |= MAP_POPULATE;
	op->arg[3] = flags;
	/* Of this much of nothing there is nowhere. */
	if (op->arg[1] > WINDOW * PG)
		op->arg[3] &= ~(uint64_t)MAP_FIXED;
}

static void
make_mremap(struct op *op)
{
	op->nr = SYS_mremap;
	op->arg[0] = some_addr();
	op->arg[1] = some(15) == 0 ? 0 : (1 + some(8)) * PG;
	op->arg[2] = some(30) == 0 ? 0 : (1 + some(12)) * PG;
	op->arg[3] = some(5) == 0 ? some(16) : some(4);
	op->arg[4] = some_addr();
	/* Newer kernels than some move several mappings at once. */
	if ((op->arg[3] & MREMAP_FIXED) != 0 && op->arg[2] > PG &&
	    op->arg[2] <= op->arg[1])
		op->arg[2] = op->arg[1] + PG;
}

static void
make_op(struct op *op)
{
	static const int advices[] = { 0, 1, 2, 3, 4, 4, 4, 8, 10, 11, 16, 17,
		18, 19, 20, 22, 23, 24, 5, 6, 7, 30, 99, -1 };
	uint64_t r = some(100);

	memset(op, 0, sizeof(*op));
	op->arg[0] = some_addr();
	op->arg[1] = some_len();
	if (r < 18) {
		make_mmap(op);
	} else if (r < 24) {
		op->nr = SYS_munmap;
		if (op->arg[1] > WINDOW * PG && op->arg[0] % PG == 0)
			op->arg[1] = PG;
	} else if (r < 34) {
		op->nr = SYS_mprotect;
		op->arg[2] = some(15) == 0 ? some(64) : some(8);
	} else if (r < 44) {
		make_mremap(op);
	} else if (r < 54) {
		op->nr = SYS_madvise;
		/* Beyond are other mappings of the process. */
		if (op->arg[1] == UINT64_C(1) << 47)
			op->arg[1] = WINDOW * PG;
		op->arg[2] = (uint64_t)(int64_t)
		    advices[some(sizeof(advices) / sizeof(advices[0]))];
	} else if (r < 57) {
		op->nr = SYS_msync;
		op->arg[2] = some(9);
	} else if (r < 62) {
		op->nr = some(2) == 0 ? SYS_mlock : SYS_munlock;
		if (op->arg[1] > WINDOW * PG)
			op->arg[1] = PG;
	} else {
		op->nr = r < 80 ? OP_LOAD : OP_STORE;
		op->arg[0] = BASE + some(USED) * PG + some(PG - 8);
		op->arg[1] = some(UINT32_MAX);
	}
}

/* A result that both kernels can have: where in the window, or elsewhere. */
static int64_t
where(int64_t ret)
{
	if (ret < 0 && ret > -4096)
		return ret;
	if (ret >= (int64_t)BASE && ret < (int64_t)(BASE + WINDOW * PG))
		return ret;
	return ret == 0 ? 0 : 1;
}

/* ---- the host ------------------------------------------------------------------- */

static int64_t
host_call(int nr, const uint64_t *a)
{
	long ret = syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);

	return ret == -1 ? -errno : ret;
}

static void
host_look(struct result *r)
{
	unsigned long start, end, off, va;
	FILE *f = fopen("/proc/self/maps", "r");
	char line[400], prot[8];
	unsigned i;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%lx-%lx %7s %lx", &start, &end, prot, &off) !=
		    4)
			continue;
		for (va = start; va < end; va += PG) {
			if (va < BASE || va >= BASE + WINDOW * PG)
				break;
			i = (unsigned)((va - BASE) / PG);
			r->prot[i] = (uint8_t)(0x80 | (prot[0] == 'r') |
			    (prot[1] == 'w') << 1 | (prot[2] == 'x') << 2 |
			    (prot[3] == 's') << 4);
			/* Those of shared memory have a file of their own. */
			r->off[i] = strstr(line, "vmtest") != NULL ?
			    off + (va - start) :
			    0;
		}
	}
	if (f != NULL)
		fclose(f);
}

static void
host_do(const struct op *op, struct result *r)
{
	int64_t ret = 0;

	switch (op->nr) {
	case OP_LOOK:
		host_look(r);
		break;
	case OP_LOAD:
		ret = write(FD_PIPE_OUT, (void *)op->arg[0], 8);
		if (ret == 8)
			ret = read(FD_PIPE_IN, r->data, 8) == 8 ? 0 : -1;
		else
			ret = -errno;
		break;
	case OP_STORE:
		if (write(FD_PIPE_OUT, &op->arg[1], 8) != 8)
			_exit(3);
		ret = read(FD_PIPE_IN, (void *)op->arg[0], 8);
		if (ret != 8) {
			ret = -errno;
			if (read(FD_PIPE_IN, r->data, 8) != 8)
				_exit(4);
			memset(r->data, 0, 8);
		} else {
			ret = 0;
		}
		break;
	default:
		ret = host_call(op->nr, op->arg);
		r->ret = where(ret);
		/* What went elsewhere goes. */
		if (r->ret == 1 && ret > 0)
			munmap((void *)ret,
			    op->nr == SYS_mremap ? op->arg[2] : op->arg[1]);
		return;
	}
	r->ret = ret;
}

static void
host_main(const struct op *op, struct result *r, unsigned n)
{
	uint8_t page[PG];
	int fd = memfd_create("vmtest", 0), p[2];
	char name[40];
	unsigned i;

	for (i = 0; i < FPAGES; i++) {
		memset(page, (int)i + 1, sizeof(page));
		if (write(fd, page, sizeof(page)) != sizeof(page))
			_exit(1);
	}
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	if (dup2(fd, FD_RDWR) < 0 ||
	    dup2(open(name, O_RDONLY), FD_RDONLY) < 0 || pipe(p) != 0 ||
	    dup2(p[0], FD_PIPE_IN) < 0 || dup2(p[1], FD_PIPE_OUT) < 0)
		_exit(2);
	for (i = 0; i < n; i++)
		host_do(&op[i], &r[i]);
	_exit(0);
}

/* ---- Quern ------------------------------------------------------------------------ */

struct side {
	struct quern *k;
	struct quern_proc *p;
	struct kenv e;
	struct mworld w;
	const struct op *op;
	struct result *r;
	unsigned n;
};

static int
look_region(void *arg, const struct qvm_region *q)
{
	struct result *r = arg;
	uint64_t va;
	unsigned i;

	for (va = q->qr_start; va < q->qr_end; va += PG) {
		if (va < BASE || va >= BASE + WINDOW * PG)
			break;
		i = (unsigned)((va - BASE) / PG);
		r->prot[i] = (uint8_t)(0x80 | q->qr_prot |
		    ((q->qr_flags & QVM_R_SHARED) != 0) << 4);
		r->off[i] = q->qr_file != NULL ?
		    q->qr_off + (va - q->qr_start) :
		    0;
	}
	return 0;
}

static void
quern_do(struct quern_proc *p, struct qvmmap *m, const struct op *op,
    struct result *r)
{
	struct qsys s = { .s_arg = op->arg,
		.s_proc = p,
		.s_us = qvm_uspace(m) };
	int64_t ret;

	switch (op->nr) {
	case OP_LOOK:
		(void)qvm_each(m, look_region, r);
		r->ret = 0;
		break;
	case OP_LOAD:
		r->ret = qcopyin(qvm_uspace(m), r->data, op->arg[0], 8);
		break;
	case OP_STORE:
		r->ret = qcopyout(qvm_uspace(m), op->arg[0], &op->arg[1], 8);
		break;
	default:
		ret = qsys_dispatch(&s, (unsigned)op->nr);
		r->ret = where(ret);
		if (r->ret == 1 && ret > 0)
			(void)!qvm_unmap(m, (uint64_t)ret,
			    op->nr == SYS_mremap ? op->arg[2] : op->arg[1]);
		break;
	}
}

static int64_t
quern_main(void *arg)
{
	struct side *sd = arg;
	struct quern_proc *p;
	struct qvmmap *m;
	unsigned i;

	mworld_set(sd->k, &sd->w);
	if (qproc_create(sd->k, sd->p, NULL, QPROC_GUEST, NULL, &p) != 0 ||
	    qvm_create(sd->k, &mpmap_ops, &m) != 0 || qvm_attach(p, m) != 0)
		return -1;
	for (i = 0; i < sd->n; i++)
		quern_do(p, m, &sd->op[i], &sd->r[i]);
	qvm_put(m);
	return qproc_destroy(p);
}

static void
quern_side(const struct op *op, struct result *r, unsigned n)
{
	static const struct quern_component *const parts[] = { &qvfs, &qtmpfs,
		&qvm, NULL };
	struct side *sd = calloc(1, sizeof(*sd));
	struct quern_config c = { .host = quern_posix(), .components = parts };
	uint8_t page[PG];
	uint64_t leaks;
	unsigned i;
	int fd;

	sd->op = op;
	sd->r = r;
	sd->n = n;
	sd->w.mw_e = &sd->e;
	ck_assert_int_eq(quern_create(&c, &sd->k), 0);
	ck_assert_int_eq(quern_proc_create(sd->k, &sd->p), 0);
	fd = quern_open(sd->p, "/vmtest", Q_O_RDWR | Q_O_CREAT, 0600);
	for (i = 0; i < FPAGES; i++) {
		memset(page, (int)i + 1, sizeof(page));
		ck_assert_int_eq(quern_write(sd->p, fd, page, PG), PG);
	}
	ck_assert_int_eq(quern_dup2(sd->p, fd, FD_RDWR), FD_RDWR);
	fd = quern_open(sd->p, "/vmtest", Q_O_RDONLY, 0);
	ck_assert_int_eq(quern_dup2(sd->p, fd, FD_RDONLY), FD_RDONLY);
	ck_assert_int_eq(quern_run(sd->p, quern_main, sd), 0);
	ck_assert_msg(!sd->e.failed, "%s", sd->e.failure);
	ck_assert_int_eq(quern_destroy_count(sd->k, &leaks), 0);
	ck_assert_int_eq(leaks, 0);
	free(sd);
}

/* ---- comparing ----------------------------------------------------------------------- */

static void
say(uint64_t seed, unsigned i, const struct op *op, const struct result *h,
    const struct result *q)
{
	fprintf(stderr,
	    "seed %lu, call %u: %d(%lx, %lx, %lx, %lx, %lx, %lx): host %ld, "
	    "quern %ld\n",
	    seed, i, op->nr, op->arg[0], op->arg[1], op->arg[2], op->arg[3],
	    op->arg[4], op->arg[5], (long)h->ret, (long)q->ret);
}

static void
compare(uint64_t seed, const struct op *op, const struct result *h,
    const struct result *q, unsigned n)
{
	bool trace = getenv("HOST_TRACE") != NULL;
	unsigned i, p;

	for (i = 0; i < n; i++) {
		if (trace)
			say(seed, i, &op[i], &h[i], &q[i]);
		/*
		 * What the host has joined may be two mappings here, or the
		 * other way round, since it has pages of zeroes that belong to
		 * nobody.  From here on they differ.
		 */
		if (op[i].nr == SYS_mremap && h[i].ret != q[i].ret &&
		    (h[i].ret == -EFAULT || q[i].ret == -EFAULT))
			return;
		if (h[i].ret != q[i].ret ||
		    memcmp(h[i].data, q[i].data, 8) != 0) {
			say(seed, i, &op[i], &h[i], &q[i]);
			ck_abort_msg("seed %lu: call %u differs", seed, i);
		}
		for (p = 0; p < WINDOW; p++)
			ck_assert_msg(h[i].prot[p] == q[i].prot[p] &&
				h[i].off[p] == q[i].off[p],
			    "seed %lu: before call %u page %u is %x at %lx, "
			    "on the host %x at %lx",
			    seed, i, p, q[i].prot[p], q[i].off[p], h[i].prot[p],
			    h[i].off[p]);
	}
}

static void
run_seed(uint64_t seed)
{
	struct op *op = calloc(STEPS, sizeof(*op));
	struct result *q = calloc(STEPS, sizeof(*q)), *h;
	unsigned i;
	int status;
	pid_t pid;

	rng = seed;
	for (i = 0; i < STEPS; i++) {
		if (i % LOOK == LOOK - 1)
			op[i].nr = OP_LOOK;
		else
			make_op(&op[i]);
	}
	h = mmap(NULL, STEPS * sizeof(*h), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(h, MAP_FAILED);
	pid = fork();
	if (pid == 0)
		host_main(op, h, STEPS);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	quern_side(op, q, STEPS);
	compare(seed, op, h, q, STEPS);
	munmap(h, STEPS * sizeof(*h));
	free(op);
	free(q);
}

START_TEST(same)
{
	const char *s = getenv("SEED");

	run_seed(s != NULL ? strtoull(s, NULL, 0) : (uint64_t)_i + 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("memory calls beside the host's");
	TCase *tc = tcase_create("same");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, same, 0, 60);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
