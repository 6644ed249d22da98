/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests on the scheduler: hand-made programs of a few instructions run in
 * address spaces of their own, on the vCPU of a kernel thread, beside each
 * other, beside clients of the same kernel and beside another kernel.
 */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quern/abi/errno.h>
#include <quern/guest.h>
#include <quern/page.h>
#include <quern/posix.h>

#include "kernel/impl.h"

#define CODE     UINT64_C(0x400000)
#define DATA     UINT64_C(0x10000000)
#define CALLS    1000u
#define SLICE_NS 500000u
#define HAMMER   2000u /* calls of a bystander */

enum { RAX = 0, RBX = 1, RDI = 5, RSP = 7, R15 = 15 };

/*
 * A guest that makes CALLS calls of number 39 and adds up what they answer,
 * reads DATA, writes DATA + 8 and exits (60) with the sum; and one that counts
 * in r15 for ever.
 */
extern const char guest_calls[], guest_spin[], guest_end[];
__asm__(".pushsection .rodata\n"
	"	.globl guest_calls, guest_spin, guest_end\n"
	"guest_calls:\n"
	"	movl $1000, %r12d\n"
	"	xorl %ebx, %ebx\n"
	"1:	movl $39, %eax\n"
	"	syscall\n"
	"	addq %rax, %rbx\n"
	"	decl %r12d\n"
	"	jnz 1b\n"
	"	movl $0x10000000, %edi\n"
	"	movq (%rdi), %rax\n"
	"	movq %rax, 8(%rdi)\n"
	"	movq %rbx, %rdi\n"
	"	movl $60, %eax\n"
	"	syscall\n"
	"	ud2\n"
	"guest_spin:\n"
	"1:	incq %r15\n"
	"	jmp 1b\n"
	"guest_end:\n"
	"	.popsection\n");

struct guest {
	struct quern *k;
	uint32_t id;
	uint64_t entry;
	uint64_t slice;
	struct qpage *code, *data;
	struct quern_vmframe f;
	uint64_t exit; /* what it exited with */
	unsigned calls, reads, writes, kicks;
	uint32_t running; /* [a] has been kicked at least once */
	uint32_t stop;    /* [a] */
	int error;
};

/* ---- the kernel side: what a vmspace manager will do --------------------- */

static int
update(struct guest *g, uint64_t addr, struct qpage *pg, uint32_t prot)
{
	struct quern_vm_op op = {
		.v_cmd = QUERN_VM_MAP,
		.v_prot = prot,
		.v_addr = addr,
		.v_len = QUERN_PAGE_SIZE,
		.v_ram = qpage_offset(g->k, pg),
	};

	return g->k->k_hyper->vm_update(g->k->k_ctx, qcpu_current()->v_id,
	    g->id, &op, 1);
}

static int
guest_setup(struct guest *g)
{
	char *code;
	int error;

	g->code = qpage_alloc(g->k, 0);
	g->data = qpage_alloc(g->k, 0);
	if (g->code == NULL || g->data == NULL)
		return -Q_ENOMEM;
	code = qpage_data(g->k, g->code);
	memcpy(code, guest_calls, (size_t)(guest_end - guest_calls));
	*(uint64_t *)qpage_data(g->k, g->data) = 0x1234;
	memset(&g->f, 0, sizeof(g->f));
	g->f.f_rip = g->entry;
	g->f.f_rflags = 0x202;
	error = g->k->k_hyper->vm_create(g->k->k_ctx, g->id);
	if (error == 0)
		error = update(g, CODE, g->code, QUERN_VM_READ | QUERN_VM_EXEC);
	return error;
}

static int
guest_fault(struct guest *g)
{
	uint32_t prot = QUERN_VM_READ;

	if (g->f.f_addr < DATA || g->f.f_addr >= DATA + 16)
		return -Q_EFAULT;
	if (g->f.f_error & 2) {
		g->writes++;
		prot |= QUERN_VM_WRITE;
	} else {
		g->reads++;
	}
	return update(g, DATA, g->data, prot);
}

/* One event of the guest.  1: it has exited. */
static int
guest_event(struct guest *g)
{
	switch (g->f.f_why) {
	case QUERN_VM_SYSCALL:
		if (g->f.f_reg[RAX] == 60) {
			g->exit = g->f.f_reg[RDI];
			return 1;
		}
		if (g->f.f_reg[RAX] != 39)
			return -Q_ENOSYS;
		g->calls++;
		g->f.f_reg[RAX] = g->calls;
		return 0;
	case QUERN_VM_FAULT:
		return guest_fault(g);
	case QUERN_VM_KICK:
		g->kicks++;
		__atomic_store_n(&g->running, 1, __ATOMIC_RELEASE);
		qthread_yield();
		return 0;
	default:
		return -Q_EIO;
	}
}

static void
guest_thread(void *arg)
{
	struct guest *g = arg;

	while (g->error == 0 && !__atomic_load_n(&g->stop, __ATOMIC_ACQUIRE)) {
		g->error = qguest_run(g->id, &g->f, g->slice, NULL);
		if (g->error == 0)
			g->error = guest_event(g);
	}
	if (g->error > 0)
		g->error = 0;
}

static void
guest_undo(struct guest *g)
{
	int error = g->k->k_hyper->vm_destroy(g->k->k_ctx, g->id);

	if (g->error == 0)
		g->error = error;
	qpage_put(g->k, g->code);
	qpage_put(g->k, g->data);
}

/* ---- two guests on one vCPU, clients of it, and another kernel ------------- */

struct pair {
	struct guest calls, spin;
	struct qthread *spinner;
};

static int64_t
start_spin(void *arg)
{
	struct pair *p = arg;
	int error;

	error = guest_setup(&p->spin);
	if (error != 0)
		return error;
	return qthread_create(p->spin.k, "spin", guest_thread, &p->spin,
	    QPRIO_NORMAL, QCPU_ANY, &p->spinner);
}

static int64_t
run_calls(void *arg)
{
	struct pair *p = arg;
	struct qthread *t;
	int error;

	error = guest_setup(&p->calls);
	if (error != 0)
		return error;
	error = qthread_create(p->calls.k, "calls", guest_thread, &p->calls,
	    QPRIO_NORMAL, QCPU_ANY, &t);
	if (error != 0)
		return error;
	qthread_join(t);
	guest_undo(&p->calls);
	return p->calls.error;
}

static int64_t
end_spin(void *arg)
{
	struct pair *p = arg;

	__atomic_store_n(&p->spin.stop, 1, __ATOMIC_RELEASE);
	qthread_alert(p->spinner);
	qthread_join(p->spinner);
	guest_undo(&p->spin);
	return p->spin.error;
}

static int64_t
null_call(void *arg)
{
	return *(int *)arg;
}

struct hammer {
	struct quern *k;
	uint32_t stop, count; /* [a] */
};

static void *
hammer_main(void *arg)
{
	struct hammer *h = arg;
	uint32_t hint = 0;
	int n = 7;

	/* Bounded: more busy threads than CPUs make everything slow. */
	while (!__atomic_load_n(&h->stop, __ATOMIC_ACQUIRE) &&
	    __atomic_load_n(&h->count, __ATOMIC_RELAXED) < HAMMER) {
		if (host_call(h->k, NULL, &hint, null_call, &n) != 7)
			return "a call of a bystander failed";
		__atomic_add_fetch(&h->count, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static struct quern *
make_kernel(unsigned ncpu, unsigned runners)
{
	struct quern_config c = {
		.host = quern_posix(),
		.ncpu = ncpu,
		.runners = runners,
	};
	struct quern *k;

	ck_assert_int_eq(quern_create(&c, &k), 0);
	return k;
}

/* Guests may be impossible here: no seccomp, no memfd. */
static bool
have_guests(void)
{
	struct quern_config c = { .host = quern_posix() };
	struct quern *k;
	int error;

	/* Not a test: nothing of libcheck's may be used. */
	if (quern_create(&c, &k) != 0)
		return true; /* the tests will say why */
	error = k->k_hyper->vm_create(k->k_ctx, 1);
	if (error == 0)
		(void)k->k_hyper->vm_destroy(k->k_ctx, 1);
	(void)quern_destroy(k);
	return error != -Q_EOPNOTSUPP;
}

static void
check_calls(const struct guest *g)
{
	ck_assert_int_eq(g->error, 0);
	ck_assert_uint_eq(g->calls, CALLS);
	ck_assert_uint_eq(g->exit, CALLS * (CALLS + 1) / 2);
	ck_assert_uint_eq(g->reads, 1);
	ck_assert_uint_eq(g->writes, 1);
}

static void
run_pair(unsigned ncpu, unsigned runners)
{
	struct quern *a = make_kernel(ncpu, runners), *b = make_kernel(2, 1);
	struct hammer ha = { .k = a }, hb = { .k = b };
	struct pair p;
	pthread_t ta, tb;
	void *why;
	uint32_t hint = 0;

	memset(&p, 0, sizeof(p));
	p.calls =
	    (struct guest){ .k = a, .id = 1, .entry = CODE, .slice = SLICE_NS };
	p.spin = (struct guest){ .k = a,
		.id = 2,
		.slice = SLICE_NS,
		.entry = CODE + (uint64_t)(guest_spin - guest_calls) };
	ck_assert_int_eq(host_call(a, NULL, &hint, start_spin, &p), 0);
	pthread_create(&ta, NULL, hammer_main, &ha);
	pthread_create(&tb, NULL, hammer_main, &hb);
	/* The spinning guest is preempted, or this never returns. */
	ck_assert_int_eq(host_call(a, NULL, &hint, run_calls, &p), 0);
	check_calls(&p.calls);
	/* Clients get in between guests that never stop. */
	while (__atomic_load_n(&ha.count, __ATOMIC_RELAXED) < 20 ||
	    __atomic_load_n(&hb.count, __ATOMIC_RELAXED) < 20)
		(void)quern_poll(a, 1000000);
	ck_assert_int_eq(host_call(a, NULL, &hint, end_spin, &p), 0);
	ck_assert_uint_gt(p.spin.f.f_reg[R15], 0);
	ck_assert_uint_gt(p.spin.kicks, 0);
	__atomic_store_n(&ha.stop, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&hb.stop, 1, __ATOMIC_RELEASE);
	pthread_join(ta, &why);
	ck_assert_ptr_null(why);
	pthread_join(tb, &why);
	ck_assert_ptr_null(why);
	ck_assert_int_eq(quern_destroy(a), 0);
	ck_assert_int_eq(quern_destroy(b), 0);
}

START_TEST(two_kernels_one_cpu)
{
	run_pair(1, 0);
}
END_TEST

START_TEST(two_kernels_two_cpus)
{
	run_pair(2, 2);
}
END_TEST

/* ---- a panic reaches a guest that never comes out ---------------------------- */

static void *
join_spin(void *arg)
{
	struct pair *p = arg;
	uint32_t hint = 0;

	return (void *)(intptr_t)host_call(p->spin.k, NULL, &hint, end_spin, p);
}

static int64_t
spin_here(void *arg)
{
	struct pair *p = arg;

	guest_thread(&p->spin);
	return p->spin.error;
}

static void *
spin_main(void *arg)
{
	struct pair *p = arg;
	uint32_t hint = 0;

	return (
	    void *)(intptr_t)host_call(p->spin.k, NULL, &hint, spin_here, p);
}

static void
drop_line(void *arg, int level, const char *line)
{
	(void)arg, (void)level, (void)line;
}

static int64_t
setup_spin(void *arg)
{
	return guest_setup(arg);
}

START_TEST(panic_with_guest)
{
	struct quern_config c = { .host = quern_posix(), .log = drop_line };
	struct pair p;
	pthread_t t, t2;
	uint32_t hint = 0;
	void *r;

	memset(&p, 0, sizeof(p));
	ck_assert_int_eq(quern_create(&c, &p.spin.k), 0);
	p.spin.id = 1;
	p.spin.slice = QUERN_NEVER;
	p.spin.entry = CODE + (uint64_t)(guest_spin - guest_calls);
	ck_assert_int_eq(host_call(p.spin.k, NULL, &hint, setup_spin, &p.spin),
	    0);
	pthread_create(&t, NULL, spin_main, &p);
	/* Wants the only vCPU, gets it once, and joins nobody: blocks. */
	while (!__atomic_load_n(&p.spin.k->k_cpu[0]->v_guest, __ATOMIC_ACQUIRE))
		sched_yield();
	ck_assert_int_eq(quern_destroy(p.spin.k), -Q_EBUSY);
	quern_kill(p.spin.k, "test");
	pthread_join(t, &r);
	ck_assert_int_eq((intptr_t)r, -Q_ENOTRECOVERABLE);
	pthread_create(&t2, NULL, join_spin, &p);
	pthread_join(t2, &r);
	ck_assert_int_eq((intptr_t)r, -Q_ENOTRECOVERABLE);
	ck_assert_int_eq(quern_destroy(p.spin.k), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("guest");
	TCase *tc = tcase_create("spike");
	SRunner *sr;
	int failed;

	if (!have_guests()) {
		printf("SKIP: this host can't have guests (seccomp, memfd)\n");
		return 0;
	}
	tcase_add_test(tc, two_kernels_one_cpu);
	tcase_add_test(tc, two_kernels_two_cpus);
	tcase_add_test(tc, panic_with_guest);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
