/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sequences of system calls, made of the descriptions that syscalls.def gives.
 *
 * The input says which calls two processes make, one after the other, and with
 * what: descriptors that may be open, flags and commands of the argument's own
 * set, lengths that are right, short, none or absurd, pointers to memory as long
 * as the call is told, NULL, and what can be no address.  The kernel runs in a
 * simulated world; a second task interrupts whoever blocks, so no call hangs,
 * and virtual time makes sleeping free.  What is checked: nothing crashes, every
 * result is one that the call may have, no lock or object stays behind.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quern/abi/errno.h>
#include <quern/abi/limits.h>
#include <quern/abi/socket.h>
#include <quern/quern.h>
#include <quern/sim.h>
#include <quern/socket.h>
#include <quern/syscall.h>
#include <quern/tmpfs.h>
#include <quern/unix.h>
#include <quern/vfs.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CALLS_MAX 64u
/* Memory whose length is pointed to: more than what is ever stored there. */
#define PTR_ROOM 1024u

/* Memory of one argument. */
#define MEM_MAX 8192u

struct fuzz {
	const uint8_t *f_data;
	size_t f_len;
	struct quern_sim *f_sim;
	struct quern *f_k;
	struct quern_proc *f_proc[2];
	void *f_mem[32]; /* of the call that is made */
	unsigned f_nmem;
	bool f_done;
};

static void
must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "f_calls: %s\n", what);
		abort();
	}
}

/* The next byte of the input, 0 behind its end. */
static uint8_t
byte(struct fuzz *f)
{
	if (f->f_len == 0)
		return 0;
	f->f_len--;
	return *f->f_data++;
}

static uint64_t
word(struct fuzz *f)
{
	uint64_t w = 0;
	unsigned i;

	for (i = 0; i < 8; i++)
		w = w << 8 | byte(f);
	return w;
}

/* ---- numbers -------------------------------------------------------------------- */

static uint64_t
some_flags(struct fuzz *f, const struct qsys_const *set)
{
	uint64_t v = 0, pick = word(f);
	unsigned i;

	for (i = 0; set[i].c_name != NULL; i++)
		if ((pick >> (i % 64) & 3) == 3)
			v |= set[i].c_value;
	return (pick & 0xff) == 0x55 ? pick : v;
}

static uint64_t
some_enum(struct fuzz *f, const struct qsys_const *set)
{
	unsigned n = 0, i = byte(f);

	while (set[n].c_name != NULL)
		n++;
	return i >= 250 ? word(f) : set[i % n].c_value;
}

static uint64_t
some_number(struct fuzz *f)
{
	static const uint64_t odd[] = { 0, 1, 2, 7, 8, 9, 63, 64, 65, 1023,
		1024, 1025, 4095, 4096, 65536, INT32_MAX, UINT32_MAX,
		UINT64_C(1) << 32, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX,
		(uint64_t)-2, (uint64_t)-100 };
	uint8_t b = byte(f);

	if (b < 128)
		return b % 16;
	if (b < 250)
		return odd[b % (sizeof(odd) / sizeof(odd[0]))];
	return word(f);
}

static uint64_t
scalar(struct fuzz *f, const struct qsys_arg *a)
{
	uint8_t b;

	switch (a->a_kind) {
	case QARG_FD:
		b = byte(f);
		return b < 240 ? b % 12 : some_number(f);
	case QARG_FLAGS:
		return some_flags(f, a->a_set);
	case QARG_ENUM:
		return some_enum(f, a->a_set);
	case QARG_HOLE:
	case QARG_NONE:
		return word(f);
	default:
		return some_number(f);
	}
}

/* ---- memory --------------------------------------------------------------------- */

/* Memory of just that length; ASan sees what goes beyond. */
static char *
memory(struct fuzz *f, size_t size)
{
	char *p = malloc(size != 0 ? size : 1);

	must(p != NULL && f->f_nmem < sizeof(f->f_mem) / sizeof(f->f_mem[0]),
	    "no memory");
	memset(p, 0, size);
	f->f_mem[f->f_nmem++] = p;
	return p;
}

static void
fill_struct(struct fuzz *f, const struct qsys_struct *t, char *mem)
{
	const struct qsys_field *fl;
	struct qsys_arg a;
	uint64_t v;
	unsigned i;

	for (fl = t->t_fields; fl->f_name != NULL; fl++) {
		if (fl->f_kind == QARG_STRUCT) {
			fill_struct(f, fl->f_set, mem + fl->f_off);
			continue;
		}
		a = (struct qsys_arg){ .a_kind = fl->f_kind,
			.a_set = fl->f_set };
		for (i = 0; i < (fl->f_n != 0 ? fl->f_n : 1u); i++) {
			v = fl->f_kind == QARG_ADDR ? byte(f) % 2 :
						      scalar(f, &a);
			memcpy(mem + fl->f_off + i * fl->f_size, &v,
			    fl->f_size < 8 ? fl->f_size : 8);
		}
	}
}

/* Vectors: of elements as long as they say. */
static void
fill_iovec(struct fuzz *f, struct q_iovec *iov, size_t n)
{
	size_t i, len;
	uint8_t b;

	for (i = 0; i < n; i++) {
		b = byte(f);
		len = b < 200 ? b : b * 16u;
		iov[i].iov_len = len;
		iov[i].iov_base = NULL;
		if (b % 32 == 31)
			iov[i].iov_len = (size_t)-1 - b;
		else if (b % 16 != 7 && i < 8)
			iov[i].iov_base = memory(f, len);
	}
}

/* A message: what it points to is as long as it says, or it is not there. */
static void
fill_msghdr(struct fuzz *f, struct q_msghdr *h)
{
	size_t i;

	h->msg_namelen = byte(f) % 140;
	h->msg_iovlen = byte(f) % 4;
	h->msg_controllen = byte(f);
	if (byte(f) % 4 == 0) {
		h->msg_name = memory(f, h->msg_namelen);
		for (i = 0; i < h->msg_namelen && i < 8; i++)
			((char *)h->msg_name)[i] = (char)byte(f);
	}
	h->msg_iov = (void *)memory(f, h->msg_iovlen * sizeof(*h->msg_iov));
	fill_iovec(f, h->msg_iov, h->msg_iovlen);
	if (byte(f) % 4 == 0)
		return;
	h->msg_control = memory(f, h->msg_controllen);
	/* Descriptors, or what is nearly that. */
	if (h->msg_controllen < 20)
		return;
	((size_t *)h->msg_control)[0] = byte(f) % 8 != 0 ? 20 : byte(f);
	((int32_t *)h->msg_control)[2] = Q_SOL_SOCKET;
	((int32_t *)h->msg_control)[3] = byte(f) % 4;
	((int32_t *)h->msg_control)[4] = byte(f) % 12;
}

static void
fill_memory(struct fuzz *f, const struct qsys_arg *a, char *mem, size_t size)
{
	struct qsys_arg e = { .a_kind = a->a_elem };
	size_t i;
	uint64_t v;

	if (a->a_kind == QARG_IOVEC) {
		fill_iovec(f, (struct q_iovec *)(void *)mem,
		    size / sizeof(struct q_iovec));
		return;
	}
	if (a->a_kind == QARG_MSGHDR) {
		fill_msghdr(f, (struct q_msghdr *)(void *)mem);
		return;
	}
	if (a->a_kind == QARG_STRUCT || a->a_kind == QARG_ARRAY) {
		for (i = 0; i + a->a_size <= size; i += a->a_size) {
			if (a->a_kind == QARG_STRUCT) {
				fill_struct(f, a->a_set, mem + i);
				continue;
			}
			v = scalar(f, &e);
			memcpy(mem + i, &v, a->a_size < 8 ? a->a_size : 8);
		}
		return;
	}
	for (i = 0; i < size && i < 64; i++)
		mem[i] = (char)byte(f);
	if (a->a_kind == QARG_STR)
		mem[size - 1] = '\0';
}

static size_t
size_of(const struct qsys_arg *a, uint64_t n)
{
	switch (a->a_kind) {
	case QARG_STR:
		return n + 1;
	case QARG_FDSET:
		return (n + 63) / 64 * 8;
	case QARG_BUF:
	case QARG_SIGSET:
		return n;
	default:
		return n * a->a_size;
	}
}

/* ---- calls ---------------------------------------------------------------------- */

static uint64_t
pointer(struct fuzz *f, const struct qsys_desc *d, const struct qsys_arg *a,
    uint64_t *args)
{
	uint64_t n = a->a_len;
	uint8_t how = byte(f);
	size_t size;
	char *mem;

	if (how >= 250)
		return how % 2 == 0 ? 8 : QUADDR_END + how;
	if (how >= 230)
		return 0;
	if (a->a_kind == QARG_STR)
		n = byte(f);
	else if (a->a_lenhow == QLEN_PTR)
		n = PTR_ROOM; /* whatever is said of it */
	else if (a->a_lenhow == QLEN_ARG)
		n = args[a->a_len];
	/* What is narrow is cut as the handler cuts it. */
	if (a->a_lenhow == QLEN_ARG &&
	    (d->d_args[a->a_len].a_kind == QARG_INT ||
		d->d_args[a->a_len].a_kind == QARG_UINT))
		n = (uint32_t)n;
	if (n > MEM_MAX || size_of(a, n) > 4 * MEM_MAX) {
		/* More than there is here: a length for what is no pointer. */
		if (how % 2 == 0)
			return 0;
		n = how % 16;
		args[a->a_len] = n;
	}
	size = size_of(a, n);
	mem = memory(f, size);
	fill_memory(f, a, mem, size);
	return (uintptr_t)mem;
}

static void
check_result(const struct qsys_desc *d, int64_t ret)
{
	if (ret < 0 && d->d_ret != QARG_LONG && d->d_ret != QARG_OFF &&
	    (ret < -4095 || qerror_name((int)-ret) == NULL) &&
	    d->d_ret != QARG_UID && d->d_ret != QARG_GID) {
		fprintf(stderr, "f_calls: %s returned %lld\n", d->d_name,
		    (long long)ret);
		abort();
	}
	must(ret != -Q_ENOSYS, "a call of the table that is not there");
	must(ret != -Q_ENOTRECOVERABLE, "the kernel has panicked");
}

static void
one_call(struct fuzz *f, unsigned nr, struct quern_proc *p)
{
	const struct qsys_desc *d = &qsys_descs[nr];
	uint64_t args[6] = { 0 };
	const struct qsys_arg *a;
	unsigned i;

	/* Numbers first: commands say what others are, lengths how long. */
	for (i = 0; i < d->d_nargs; i++)
		if (d->d_args[i].a_kind < QARG_BY)
			args[i] = scalar(f, &d->d_args[i]);
	for (i = 0; i < d->d_nargs; i++) {
		if (d->d_args[i].a_kind < QARG_BY)
			continue;
		a = qsys_argtype(d, i, args);
		if (a == NULL || a->a_kind == QARG_NONE)
			args[i] = byte(f) % 2 == 0 ? 0 : 1;
		else if (a->a_kind < QARG_BY)
			args[i] = scalar(f, a);
		else
			args[i] = pointer(f, d, a, args);
	}
	check_result(d, quern_syscall(p, nr, args));
	while (f->f_nmem > 0)
		free(f->f_mem[--f->f_nmem]);
}

/* The calls that there are, by number; how many. */
static unsigned
all_calls(uint16_t *nrs)
{
	unsigned nr, n = 0;

	for (nr = 0; nr < QSYS_MAX; nr++)
		if (qsys_descs[nr].d_name != NULL &&
		    qsys_descs[nr].d_ret != QARG_NONE &&
		    (qsys_descs[nr].d_flags & QSYS_GUEST) == 0)
			nrs[n++] = (uint16_t)nr;
	return n;
}

static void
no_log(void *arg, int level, const char *line)
{
	(void)arg, (void)level, (void)line;
}

static void
client(void *arg)
{
	static const struct quern_component *const all[] = { &qvfs, &qtmpfs,
		&qsockets, &qunix, NULL };
	struct quern_config cfg = { .ram = 16 << 20,
		.log = no_log,
		.components = all };
	uint16_t nrs[QSYS_MAX];
	struct fuzz *f = arg;
	uint64_t leaks = 0;
	unsigned n, i;
	uint8_t b;

	cfg.host = quern_sim_host(f->f_sim);
	cfg.trace_calls = byte(f) % 2;
	cfg.ncpu = 1 + byte(f) % 2;
	must(quern_create(&cfg, &f->f_k) == 0, "no kernel");
	must(quern_proc_create(f->f_k, &f->f_proc[0]) == 0, "no process");
	must(quern_proc_fork(f->f_proc[0], &f->f_proc[1]) == 0, "no fork");
	n = all_calls(nrs);
	for (i = 0; i < CALLS_MAX && f->f_len > 0; i++) {
		b = byte(f);
		one_call(f, nrs[byte(f) % n], f->f_proc[b % 2]);
	}
	f->f_done = true;
	/* The other task must not be in the kernel when it goes. */
	quern_sim_sleep(f->f_sim, UINT64_C(1) << 42);
	must(quern_proc_destroy(f->f_proc[1]) == 0, "a busy process");
	must(quern_destroy_count(f->f_k, &leaks) == 0, "a busy kernel");
	must(leaks == 0, "objects left behind");
}

/* Whoever blocks is interrupted after some time, which costs none. */
static void
waker(void *arg)
{
	struct fuzz *f = arg;

	while (!f->f_done) {
		quern_sim_sleep(f->f_sim, UINT64_C(1) << 40);
		if (f->f_done || f->f_proc[1] == NULL)
			continue;
		quern_interrupt(f->f_proc[0]);
		quern_interrupt(f->f_proc[1]);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct quern_sim_config sc = { .log = no_log };
	struct fuzz f = { .f_data = data, .f_len = len };

	sc.seed = byte(&f);
	must(quern_sim_create(&sc, &f.f_sim) == 0 &&
		quern_sim_task(f.f_sim, "client", client, &f) == 0 &&
		quern_sim_task(f.f_sim, "waker", waker, &f) == 0,
	    "no world");
	must(quern_sim_run(f.f_sim) == 0, "a call that never ends");
	quern_sim_destroy(f.f_sim);
	return 0;
}
