/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files of a real file system that are mapped: the page cache and address spaces
 * together, with less RAM than there is to map, and e2fsck afterwards.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <quern/ext4.h>
#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>

#include <components/vm/impl.h>

#include "mpmap.h"

#define PG      4096ul
#define PAGES   3000u /* of the file */
#define RAM     1500u /* pages */
#define THREADS 3u

static const struct quern_component *const parts[] = { &qvfs, &qtmpfs, &qext4,
	&qvm, NULL };
static const char *const formats[] = { "ext4 -b 4096", "ext4 -b 1024", "ext2" };
static char image[3000];

struct ft {
	struct kenv e;
	struct mworld w;
	struct quern *k;
	struct quern_proc *p;
	struct qdisk *d;
	struct qfile *f;
	struct qvmmap *m;
	uint64_t at;
	uint32_t thread, over; /* [a] */
};

#define CHECK(ft, x)        KCHECK(&(ft)->e, x)
#define CHECK_EQ(ft, x, eq) KCHECK_EQ(&(ft)->e, x, eq)

/* What word `w` of page `i` is after pass `n`. */
static uint64_t
value(unsigned i, unsigned w, unsigned n)
{
	return ((uint64_t)i << 32 | w << 8 | n) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t
place(struct ft *t, unsigned i, unsigned w)
{
	return t->at + i * PG + 8 * w;
}

static struct quern *
boot(struct ft *t, int ncpu)
{
	struct quern_config c = { .host = quern_posix(),
		.components = parts,
		.ncpu = (unsigned)ncpu,
		.runners = (unsigned)ncpu - 1,
		.ram = RAM * PG };
	char name[3100];

	memset(t, 0, sizeof(*t));
	t->w.mw_e = &t->e;
	t->w.mw_lazy = true;
	ck_assert_int_eq(quern_create(&c, &t->k), 0);
	ck_assert_int_eq(quern_proc_create(t->k, &t->p), 0);
	snprintf(name, sizeof(name), "file:%s", image);
	ck_assert_int_eq(quern_disk_open(t->k, name, NULL, &t->d), 0);
	ck_assert_int_eq(quern_mount(t->p, name, "/", "ext4", 0, ""), 0);
	ck_assert_int_eq(quern_open(t->p, "/f", Q_O_RDWR | Q_O_CREAT, 0644), 0);
	return t->k;
}

static void
halt(struct ft *t)
{
	uint64_t leaks;

	ck_assert_msg(!t->e.failed, "%s", t->e.failure);
	ck_assert_int_eq(quern_close(t->p, 0), 0);
	ck_assert_int_eq(quern_umount2(t->p, "/", 0), 0);
	ck_assert_int_eq(quern_disk_close(t->d), 0);
	ck_assert_int_eq(quern_destroy_count(t->k, &leaks), 0);
	ck_assert_int_eq(leaks, 0);
	mworld_freeall(&t->w);
}

static void
begin(struct ft *t, uint64_t pages)
{
	mworld_set(t->k, &t->w);
	t->f = qfd_get(t->p, 0);
	CHECK_EQ(t, qvm_create(t->k, &mpmap_ops, &t->m), 0);
	t->at = 0;
	CHECK_EQ(t,
	    qvm_map(t->m, &t->at, pages * PG, Q_PROT_READ | Q_PROT_WRITE,
		Q_MAP_SHARED, t->f, 0),
	    0);
}

static void
end(struct ft *t)
{
	qvm_put(t->m);
	qfile_put(t->f);
}

/* Each thread stores to a word of its own in every page. */
static void
store_main(void *arg)
{
	struct ft *t = arg;
	unsigned w = __atomic_fetch_add(&t->thread, 1, __ATOMIC_RELAXED), n, i;
	uint64_t x;

	for (n = 0; n < 2; n++)
		for (i = 0; i < PAGES && !t->e.failed; i++) {
			if (n > 0) {
				CHECK_EQ(t, mload(t->m, place(t, i, w), &x, 8),
				    0);
				CHECK(t, x == value(i, w, 0));
			}
			x = value(i, w, n);
			CHECK_EQ(t, mstore(t->m, place(t, i, w), &x, 8), 0);
			if (i % 64 == w)
				qthread_yield();
		}
	__atomic_fetch_add(&t->over, 1, __ATOMIC_RELEASE);
}

static int64_t
fill(void *arg)
{
	struct qthread *th[THREADS];
	struct ft *t = arg;
	unsigned i;

	begin(t, PAGES);
	for (i = 0; i < THREADS; i++)
		CHECK_EQ(t,
		    qthread_create(t->k, "store", store_main, t, QPRIO_NORMAL,
			QCPU_ANY, &th[i]),
		    0);
	while (__atomic_load_n(&t->over, __ATOMIC_ACQUIRE) < THREADS) {
		(void)qthread_sleep_until(qclock_mono(t->k) + 1000000, false);
		CHECK_EQ(t, qvm_sync(t->m, t->at, 100 * PG, Q_MS_SYNC), 0);
	}
	for (i = 0; i < THREADS; i++)
		qthread_join(th[i]);
	end(t);
	return 0;
}

static int64_t
cut(void *arg)
{
	struct ft *t = arg;
	uint64_t x = 5;
	unsigned i;

	begin(t, PAGES);
	for (i = 0; i < 20; i++)
		CHECK_EQ(t, mload(t->m, place(t, i, 0), &x, 8), 0);
	return 0;
}

static int64_t
cut_after(void *arg)
{
	struct ft *t = arg;
	uint64_t x = 5;

	CHECK_EQ(t, mload(t->m, place(t, 9, 1), &x, 8), 0);
	CHECK(t, x == value(9, 1, 1));
	CHECK_EQ(t, mload(t->m, place(t, 10, 1), &x, 8), 0);
	CHECK_EQ(t, x, 0); /* the rest of the last page */
	CHECK_EQ(t, mload(t->m, place(t, 11, 0), &x, 8), Q_SIGBUS);
	CHECK_EQ(t, mstore(t->m, place(t, 12, 0), &x, 8), Q_SIGBUS);
	end(t);
	return 0;
}

static void
make_image(const char *format, unsigned mib)
{
	const char *tmp = getenv("TMPDIR");
	char cmd[8000];

	snprintf(image, sizeof(image), "%s/image", tmp != NULL ? tmp : "/tmp");
	snprintf(cmd, sizeof(cmd),
	    "rm -f %s && mke2fs -q -F -t %s %s %uM >/dev/null 2>&1", image,
	    format, image, mib);
	ck_assert_int_eq(system(cmd), 0);
}

static void
check_image(void)
{
	char cmd[8000];

	snprintf(cmd, sizeof(cmd), "e2fsck -fn %s >/dev/null 2>&1", image);
	ck_assert_int_eq(system(cmd), 0);
}

START_TEST(shared)
{
	struct ft t;
	uint64_t x;
	unsigned i, w;

	make_image(formats[_i % 3], 32);
	boot(&t, 1 + _i / 3);
	ck_assert_int_eq(quern_ftruncate(t.p, 0, PAGES * PG), 0);
	ck_assert_int_eq(quern_run(t.p, fill, &t), 0);
	/* By read, and from the disk. */
	for (i = 0; i < PAGES; i += 37)
		for (w = 0; w < THREADS; w++) {
			ck_assert_int_eq(quern_pread64(t.p, 0, &x, 8,
					     i * PG + 8 * w),
			    8);
			ck_assert(x == value(i, w, 1));
		}
	halt(&t);
	check_image();
	boot(&t, 1);
	for (i = 0; i < PAGES; i++)
		for (w = 0; w < THREADS; w++) {
			ck_assert_int_eq(quern_pread64(t.p, 0, &x, 8,
					     i * PG + 8 * w),
			    8);
			ck_assert(x == value(i, w, 1));
		}
	ck_assert_int_eq(quern_run(t.p, cut, &t), 0);
	ck_assert_int_eq(quern_ftruncate(t.p, 0, 10 * PG + 5), 0);
	ck_assert_int_eq(quern_run(t.p, cut_after, &t), 0);
	halt(&t);
	check_image();
}
END_TEST

static int64_t
overfill(void *arg)
{
	struct ft *t = arg;
	uint64_t x = 1;
	unsigned i, bus = 0;
	int sig;

	begin(t, PAGES);
	for (i = 0; i < PAGES; i++) {
		sig = mstore(t->m, place(t, i, 0), &x, 8);
		bus += sig == Q_SIGBUS;
		CHECK(t, sig == 0 || sig == Q_SIGBUS);
	}
	CHECK(t, bus > 100 && bus < PAGES - 100);
	end(t);
	return 0;
}

/* A hole that there is no room to fill: the store is a signal. */
START_TEST(no_room)
{
	struct ft t;

	make_image("ext4 -b 4096 -O ^has_journal", 8);
	boot(&t, 1);
	ck_assert_int_eq(quern_ftruncate(t.p, 0, PAGES * PG), 0);
	ck_assert_int_eq(quern_run(t.p, overfill, &t), 0);
	halt(&t);
	check_image();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("mapped files");
	TCase *tc = tcase_create("files");
	SRunner *sr;
	int failed;

	if (system("mke2fs -V >/dev/null 2>&1") != 0) {
		printf("SKIP: no mke2fs\n");
		return EXIT_SUCCESS;
	}
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, shared, 0, 6);
	tcase_add_test(tc, no_room);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
