/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hosts around a host.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/sim.h>
#include <quern/wrap.h>

static void
drop_line(void *arg, int level, const char *line)
{
	(void)arg, (void)level, (void)line;
}

static unsigned
count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* A kernel's life; the first error on the way, nothing being left of it. */
static int
live(struct quern_host host)
{
	struct quern_config c = { .host = host,
		.ncpu = 2,
		.runners = 1,
		.log = drop_line };
	struct quern_proc *p;
	uint64_t leaks = 0;
	struct quern *k;
	char buf[16];
	int fd[2], error, end;

	error = quern_create(&c, &k);
	if (error != 0)
		return error;
	error = quern_proc_create(k, &p);
	if (error == 0)
		error = quern_pipe2(p, fd, 0);
	if (error == 0 && quern_write(p, fd[1], "hello", 5) != 5)
		error = -EIO;
	if (error == 0 && quern_read(p, fd[0], buf, sizeof(buf)) != 5)
		error = -EIO;
	if (error == 0 && quern_getrandom(p, buf, sizeof(buf), 0) != 16)
		error = -EIO;
	do {
		end = quern_destroy_count(k, &leaks);
	} while (end == -EBUSY);
	ck_assert_int_eq(end, 0);
	ck_assert_uint_eq(leaks, 0);
	return error;
}

/* Whichever call fails, the kernel says so and leaves nothing. */
START_TEST(fails_once)
{
	struct quern_fault_config fc = { .host = quern_posix() };
	unsigned fds = count_fds();
	struct quern_fault *f;
	int error;

	for (fc.nth = 1;; fc.nth++) {
		ck_assert_int_eq(quern_fault_create(&fc, &f), 0);
		error = live(quern_fault_host(f));
		ck_assert_uint_eq(count_fds(), fds);
		if (quern_fault_count(f) == 0)
			break;
		ck_assert_uint_eq(quern_fault_count(f), 1);
		ck_assert_int_lt(error, 0);
		quern_fault_destroy(f);
	}
	ck_assert_int_eq(error, 0);
	/* At least: begin, RAM, two vCPUs, threads, a runner, random. */
	ck_assert_uint_ge(fc.nth, 8);
	ck_assert_uint_lt(quern_fault_calls(f), fc.nth);
	quern_fault_destroy(f);
}
END_TEST

START_TEST(one_entry)
{
	static const struct {
		const char *call;
		int error, want;
	} t[] = { { "begin", 0, -ENOMEM }, { "ram_create", 0, -ENOMEM },
		{ "cpu_start", 0, -EAGAIN }, { "cpu_start", -EPERM, -EPERM },
		{ "map", -EINTR, -EINTR } };
	struct quern_fault_config fc = { .host = quern_posix(), .nth = 1 };
	struct quern_fault *f;
	unsigned i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		fc.call = t[i].call;
		fc.error = t[i].error;
		ck_assert_int_eq(quern_fault_create(&fc, &f), 0);
		ck_assert_int_eq(live(quern_fault_host(f)), t[i].want);
		/* Only the first: the next life is whole. */
		ck_assert_int_eq(live(quern_fault_host(f)), 0);
		quern_fault_arm(f, 1);
		ck_assert_int_eq(live(quern_fault_host(f)), t[i].want);
		quern_fault_arm(f, 0);
		ck_assert_int_eq(live(quern_fault_host(f)), 0);
		ck_assert_uint_eq(quern_fault_count(f), 2);
		quern_fault_destroy(f);
	}
}
END_TEST

START_TEST(bad_config)
{
	struct quern_fault_config fc = { .host = quern_posix() };
	struct quern_hypertrace_config tc = { .host = quern_posix() };
	struct quern_hypertrace_stat st;
	struct quern_hypertrace *t;
	struct quern_fault *f;

	ck_assert_int_eq(quern_fault_create(NULL, &f), -EFAULT);
	ck_assert_int_eq(quern_fault_create(&fc, NULL), -EFAULT);
	fc.call = "cpu_kick"; /* can't fail */
	ck_assert_int_eq(quern_fault_create(&fc, &f), -EINVAL);
	fc.call = "no such";
	ck_assert_int_eq(quern_fault_create(&fc, &f), -EINVAL);
	fc.call = NULL;
	fc.error = 5;
	ck_assert_int_eq(quern_fault_create(&fc, &f), -EINVAL);
	fc.host.h_ops = NULL;
	ck_assert_int_eq(quern_fault_create(&fc, &f), -EFAULT);
	ck_assert_int_eq(quern_hypertrace_create(NULL, &t), -EFAULT);
	ck_assert_int_eq(quern_hypertrace_create(&tc, NULL), -EFAULT);
	ck_assert_int_eq(quern_hypertrace_create(&tc, &t), 0);
	ck_assert_int_eq(quern_hypertrace_stat(t, 32, &st), -ENOENT);
	quern_hypertrace_destroy(t);
	tc.host.h_ops = NULL;
	ck_assert_int_eq(quern_hypertrace_create(&tc, &t), -EFAULT);
}
END_TEST

/* ---- traces --------------------------------------------------------------- */

struct seen {
	unsigned lines, maps, ends;
};

static void
see_line(void *arg, const char *line)
{
	struct seen *s = arg;

	__atomic_fetch_add(&s->lines, 1, __ATOMIC_RELAXED);
	if (strncmp(line, "map(len=", 8) == 0 && strstr(line, ") = 0 <"))
		__atomic_fetch_add(&s->maps, 1, __ATOMIC_RELAXED);
	if (strncmp(line, "end() = 0", 9) == 0)
		__atomic_fetch_add(&s->ends, 1, __ATOMIC_RELAXED);
}

/* Each counter has the name of the entry at its place. */
START_TEST(names)
{
#define AT(x)                                       \
	{                                           \
#x, offsetof(struct quern_hyper, x) \
	}
	static const struct {
		const char *name;
		size_t off;
	} at[] = { AT(begin), AT(end), AT(map), AT(unmap), AT(ram_create),
		AT(ram_discard), AT(clock_read), AT(clock_params), AT(random),
		AT(log), AT(param), AT(cpu_start), AT(cpu_stop), AT(cpu_idle),
		AT(cpu_kick), AT(cpu_yield), AT(cpu_fence), AT(blk_open),
		AT(blk_close), AT(blk_submit), AT(net_open), AT(net_close),
		AT(net_send), AT(net_recv), AT(chan_open), AT(chan_close),
		AT(chan_read), AT(chan_write), AT(vm_create), AT(vm_destroy),
		AT(vm_update), AT(vm_run) };
	struct quern_hypertrace_config tc = { .host = quern_posix() };
	struct quern_hypertrace_stat st;
	struct quern_hypertrace *t;
	unsigned i;

	ck_assert_int_eq(quern_hypertrace_create(&tc, &t), 0);
	for (i = 0; quern_hypertrace_stat(t, i, &st) == 0; i++) {
		ck_assert_uint_lt(i, sizeof(at) / sizeof(at[0]));
		ck_assert_str_eq(st.hs_name, at[i].name);
		ck_assert_uint_eq(at[i].off, 8 + i * sizeof(void *));
	}
	ck_assert_uint_eq(8 + i * sizeof(void *), sizeof(struct quern_hyper));
	quern_hypertrace_destroy(t);
}
END_TEST

START_TEST(traced)
{
	struct seen seen = { 0 };
	struct quern_hypertrace_config tc = { .host = quern_posix(),
		.line = see_line,
		.arg = &seen };
	struct quern_fault_config fc = { .call = "random", .nth = 1 };
	struct quern_hypertrace_stat st;
	struct quern_hypertrace *t;
	struct quern_fault *f;
	uint64_t calls = 0, maps = 0, unmaps = 0, errors = 0;
	unsigned i;

	/* A fault inside a trace is seen, with the error. */
	ck_assert_int_eq(quern_hypertrace_create(&tc, &t), 0);
	fc.host = tc.host;
	ck_assert_int_eq(quern_fault_create(&fc, &f), 0);
	quern_hypertrace_destroy(t);
	tc.host = quern_fault_host(f);
	ck_assert_int_eq(quern_hypertrace_create(&tc, &t), 0);
	ck_assert_int_eq(live(quern_hypertrace_host(t)), -EIO);
	for (i = 0; quern_hypertrace_stat(t, i, &st) == 0; i++) {
		ck_assert_uint_ge(st.hs_total_ns, st.hs_max_ns);
		if (strcmp(st.hs_name, "cpu_kick") != 0)
			calls += st.hs_calls;
		if (strcmp(st.hs_name, "map") == 0)
			maps = st.hs_calls;
		if (strcmp(st.hs_name, "unmap") == 0)
			unmaps = st.hs_calls;
		if (strcmp(st.hs_name, "random") == 0)
			errors = st.hs_errors;
	}
	ck_assert_uint_eq(seen.lines, calls);
	ck_assert_uint_eq(seen.maps, maps);
	ck_assert_uint_eq(seen.ends, 1);
	ck_assert_uint_gt(maps, 3);
	ck_assert_uint_eq(unmaps, maps);
	ck_assert_uint_eq(errors, 1);
	quern_hypertrace_destroy(t);
	quern_fault_destroy(f);
}
END_TEST

/* ---- around a simulator ---------------------------------------------------- */

struct run {
	struct quern_host host;
	int error;
};

static void
task(void *arg)
{
	struct run *r = arg;

	r->error = live(r->host);
}

/* The hash of a life, and its result, through `wraps` wrappers. */
static uint64_t
world(uint64_t seed, unsigned wraps, uint32_t one_in, int *errorp,
    uint64_t *failed)
{
	struct quern_sim_config sc = { .seed = seed, .log = drop_line };
	struct quern_fault_config fc = { .one_in = one_in, .seed = seed };
	struct quern_hypertrace_config tc = { .line = see_line };
	struct quern_hypertrace *t = NULL;
	struct quern_fault *f = NULL;
	struct seen seen = { 0 };
	struct quern_sim *w;
	struct run r;
	uint64_t hash;

	ck_assert_int_eq(quern_sim_create(&sc, &w), 0);
	r.host = quern_sim_host(w);
	if (wraps > 0) {
		fc.host = r.host;
		ck_assert_int_eq(quern_fault_create(&fc, &f), 0);
		r.host = quern_fault_host(f);
	}
	if (wraps > 1) {
		tc.host = r.host;
		tc.arg = &seen;
		ck_assert_int_eq(quern_hypertrace_create(&tc, &t), 0);
		r.host = quern_hypertrace_host(t);
	}
	ck_assert_int_eq(quern_sim_task(w, "life", task, &r), 0);
	ck_assert_int_eq(quern_sim_run(w), 0);
	hash = quern_sim_hash(w);
	*errorp = r.error;
	*failed = f != NULL ? quern_fault_count(f) : 0;
	quern_sim_destroy(w);
	quern_hypertrace_destroy(t);
	quern_fault_destroy(f);
	return hash;
}

START_TEST(deterministic)
{
	uint64_t seed, h, failed, failed2, total = 0;
	int error, error2;

	for (seed = 1; seed <= 40; seed++) {
		/* A wrapper changes nothing of a run. */
		h = world(seed, 0, 0, &error, &failed);
		ck_assert_int_eq(error, 0);
		ck_assert_uint_eq(world(seed, 2, 0, &error, &failed), h);
		ck_assert_int_eq(error, 0);
		/* Its faults are the same each time. */
		h = world(seed, 1, 10, &error, &failed);
		ck_assert_uint_eq(world(seed, 2, 10, &error2, &failed2), h);
		ck_assert_int_eq(error, error2);
		ck_assert_uint_eq(failed, failed2);
		ck_assert(error == 0 || failed > 0);
		total += failed;
	}
	ck_assert_uint_gt(total, 5);
}
END_TEST

/* ---- requests of a batch ----------------------------------------------------- */

/* A host that takes so many requests at a time. */
struct disk_host {
	unsigned room;
	unsigned taken;
	uint64_t offs[64];
};

static int
fake_begin(void *arg, const struct quern_machine *m,
    const struct quern_upcalls *up, void **ctxp, void **corep)
{
	(void)m, (void)up;
	*ctxp = arg;
	*corep = NULL;
	return 0;
}

static void
fake_end(void *ctx)
{
	(void)ctx;
}

static int
fake_clock_read(void *ctx, enum quern_clock clock, uint64_t *nsp)
{
	(void)ctx, (void)clock;
	*nsp = 1;
	return 0;
}

static int
fake_blk_submit(void *ctx, unsigned cpu, struct quern_blk_op *ops, unsigned n)
{
	struct disk_host *d = ctx;
	unsigned i;

	(void)cpu;
	for (i = 0; i < n && d->room > 0; i++, d->room--) {
		d->offs[d->taken++] = ops[i].b_off;
		ops[i].b_result = (int64_t)ops[i].b_len;
	}
	return (int)i;
}

static const struct quern_hyper fake = { .hy_version = QUERN_HYPER_VERSION,
	.hy_size = sizeof(struct quern_hyper),
	.begin = fake_begin,
	.end = fake_end,
	.clock_read = fake_clock_read,
	.blk_submit = fake_blk_submit };

/* Request `nth` of 8 fails, with room for `room` inside. */
START_TEST(batches)
{
	struct quern_fault_config fc = { .call = "blk_submit" };
	struct quern_machine qm = { .m_ncpu = 1, .m_name = "t" };
	struct quern_blk_op ops[8];
	struct disk_host d;
	struct quern_fault *f;
	struct quern_host h;
	void *ctx, *core;
	unsigned room, i, want;
	int taken;

	for (fc.nth = 1; fc.nth <= 9; fc.nth++)
		for (room = 0; room <= 8; room++) {
			memset(&d, 0, sizeof(d));
			memset(ops, 0, sizeof(ops));
			d.room = room;
			for (i = 0; i < 8; i++) {
				ops[i].b_off = i;
				ops[i].b_len = 512;
			}
			fc.host = (struct quern_host){ &fake, &d };
			ck_assert_int_eq(quern_fault_create(&fc, &f), 0);
			h = quern_fault_host(f);
			ck_assert_int_eq(h.h_ops->begin(h.h_arg, &qm, NULL,
					     &ctx, &core),
			    0);
			taken = h.h_ops->blk_submit(ctx, 0, ops, 8);
			/* The faulty one takes no room, once it is reached. */
			want = room < fc.nth - 1 ? room : room + 1;
			if (fc.nth == 9)
				want = room;
			if (want > 8)
				want = 8;
			ck_assert_int_eq(taken, (int)want);
			for (i = 0; i < want; i++)
				ck_assert_int_eq(ops[i].b_result,
				    i + 1 == fc.nth ? -EIO : 512);
			for (i = 0; i < d.taken; i++)
				ck_assert_uint_eq(d.offs[i],
				    i + 1 < fc.nth ? i : i + 1);
			h.h_ops->end(ctx);
			quern_fault_destroy(f);
		}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("hypercall/wrap");
	TCase *tc = tcase_create("wrap");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, fails_once);
	tcase_add_test(tc, one_entry);
	tcase_add_test(tc, bad_config);
	tcase_add_test(tc, names);
	tcase_add_test(tc, traced);
	tcase_add_test(tc, deterministic);
	tcase_add_test(tc, batches);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
