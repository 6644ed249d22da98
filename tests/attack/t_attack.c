/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attacks of guests on the host: each fails, and succeeds when the defence that
 * it is about is left out (pc_weaken), so it would be seen if it did.  Run by
 * root they are made by nobody.
 */
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <unistd.h>

#include <check.h>

#include "tests/hypercall/posix/guest.h"
#include "tests/hypercall/posix/machine.h"

#include "hypercall/posix/vm.h"

#define RAM_LEN (16u << 20)
#define ID      7u
#define RW      (QUERN_VM_READ | QUERN_VM_WRITE)

/* Where in RAM there is something that is none of the guest's, and what. */
#define SECRET_RAM (5u << 20)
#define SECRET     UINT64_C(0x5ec2e75ec2e75ec2)

struct attack {
	struct test_machine t;
	unsigned char *ram;
	struct quern_vmframe f;
};

static struct quern_seat seat;

static void
make(struct attack *a, uint32_t id)
{
	ck_assert_int_eq(a->t.t_ops->vm_create(a->t.t_ctx, id), 0);
	ck_assert_int_eq(guest_install(a->t.t_ops, a->t.t_ctx, id, a->ram), 0);
}

static void
destroy(struct attack *a, uint32_t id)
{
	ck_assert_int_eq(a->t.t_ops->vm_destroy(a->t.t_ctx, id), 0);
}

static unsigned
run_until(struct attack *a, uint64_t deadline)
{
	ck_assert_int_eq(a->t.t_ops->vm_run(a->t.t_ctx, 0, ID, &seat, &a->f,
			     deadline),
	    0);
	return a->f.f_why;
}

static unsigned
run(struct attack *a)
{
	return run_until(a, QUERN_NEVER);
}

static void
update(struct attack *a, unsigned cmd, uint64_t addr, uint64_t len,
    uint64_t ram)
{
	const struct quern_vm_op op = { cmd, RW, addr, len, ram };

	ck_assert_int_eq(a->t.t_ops->vm_update(a->t.t_ctx, 0, ID, &op, 1), 0);
}

/* Can the guest read that, and is it the secret? */
static bool
reads_secret(struct attack *a, uint64_t addr)
{
	a->f = guest_frame(g_load);
	a->f.f_reg[RDI] = addr;
	return run(a) == QUERN_VM_SYSCALL && a->f.f_reg[RBX] == SECRET;
}

/* Jump to `to` with the registers of a system call. */
static void
jump(struct attack *a, uint64_t to, const uint64_t call[7])
{
	static const unsigned char order[7] = { RAX, RDI, RSI, RDX, R10, R8,
		R9 };
	unsigned i;

	a->f = guest_frame(g_jump);
	for (i = 0; i < 7; i++)
		a->f.f_reg[order[i]] = call[i];
	a->f.f_reg[R15] = to;
	/* Wherever it comes out, it is not of its own will. */
	(void)run_until(a, test_now(&a->t) + 50 * TEST_MS);
}

static const uint64_t map_secret[7] = { SYS_mmap, 0x20000000, 4096, 3, 0x11,
	STUB_FD_RAM, SECRET_RAM };

/* ---- the attacks: did it succeed? -------------------------------------------- */

/* Memory of the kernel's or another guest's, by the stub's own instruction. */
static bool
map_at_stub(struct attack *a)
{
	jump(a, STUB_BASE + host_stub_offset[STUB_S2] - 2, map_secret);
	return reads_secret(a, 0x20000000);
}

/* The same by an instruction of its own. */
static bool
map_directly(struct attack *a)
{
	jump(a, GUEST(g_call) + 5, map_secret);
	return reads_secret(a, 0x20000000);
}

/* Take the stub's own memory away. */
static bool
unmap_stub(struct attack *a)
{
	static const uint64_t call[7] = { SYS_munmap, STUB_BASE, 4096, 0, 0, 0,
		0 };

	jump(a, STUB_BASE + host_stub_offset[STUB_S2] - 2, call);
	return a->f.f_why == QUERN_VM_DEAD;
}

/* Have a call end at the stub's instruction, with the registers for it. */
static bool
map_by_return(struct attack *a)
{
	const uint64_t back = STUB_BASE + host_stub_offset[STUB_S2] - 2;

	a->f = guest_frame(g_jump);
	a->f.f_reg[RCX] = back;
	a->f.f_reg[RAX] = 39;
	a->f.f_reg[RDI] = map_secret[1];
	a->f.f_reg[RSI] = map_secret[2];
	a->f.f_reg[RDX] = map_secret[3];
	a->f.f_reg[R10] = map_secret[4];
	a->f.f_reg[R8] = map_secret[5];
	a->f.f_reg[R9] = map_secret[6];
	a->f.f_reg[R15] = STUB_BASE + host_stub_offset[STUB_CALL];
	if (run(a) == QUERN_VM_CALL) {
		/* A call that answers the number of the next. */
		a->f.f_reg[RAX] = map_secret[0];
		(void)run_until(a, test_now(&a->t) + 50 * TEST_MS);
	}
	return reads_secret(a, 0x20000000);
}

/* A file of the host's, whose name is at that address, is it there? */
static char victim[] = "/tmp/quern-attack.XXXXXX";

/* unlink() has the number in 32-bit calls that mprotect() has in others. */
static bool
unlink_by_int80(struct attack *a)
{
	int fd = mkstemp(victim);
	bool gone;

	ck_assert_int_ge(fd, 0);
	close(fd);
	memcpy(a->ram + GUEST_RAM_DATA, victim, sizeof victim);
	a->f = guest_frame(g_int80);
	/* Past the instruction that sets another number. */
	a->f.f_rip += 5;
	a->f.f_reg[RAX] = 10;
	a->f.f_reg[RBX] = GUEST_DATA;
	a->f.f_reg[RDI] = GUEST_DATA;
	(void)run_until(a, test_now(&a->t) + 50 * TEST_MS);
	gone = access(victim, F_OK) != 0;
	if (!gone)
		unlink(victim);
	memcpy(victim + sizeof victim - 7, "XXXXXX", 6);
	return gone;
}

/*
 * Say that it waits and go on, and still have a page that was taken away: others
 * would see it count.
 */
static bool
keep_unmapped(struct attack *a)
{
	volatile uint64_t *count = (volatile uint64_t *)(void *)(a->ram +
	    GUEST_RAM_FREE);
	bool kept = false;
	unsigned i, j;
	uint64_t last;

	a->f = guest_frame(g_call);
	ck_assert_uint_eq(run(a), QUERN_VM_SYSCALL);
	for (i = 0; i < 200 && !kept; i++) {
		update(a, QUERN_VM_MAP, 0x10000000, 4096, GUEST_RAM_FREE);
		a->f = guest_frame(g_fake);
		a->f.f_reg[RDI] = SLOT_BASE + C_TURN;
		a->f.f_reg[RSI] = SLOT_BASE + C_SIG;
		a->f.f_reg[RDX] = SIGUSR1;
		a->f.f_reg[R8] = 0x10000000;
		if (run_until(a, test_now(&a->t) + TEST_MS) == QUERN_VM_DEAD) {
			destroy(a, ID);
			make(a, ID);
			continue;
		}
		update(a, QUERN_VM_UNMAP, 0x10000000, 4096, 0);
		last = __atomic_load_n(count, __ATOMIC_RELAXED);
		for (j = 0; j < 100; j++)
			sched_yield();
		kept = __atomic_load_n(count, __ATOMIC_RELAXED) != last;
	}
	return kept;
}

/* Where in our own memory slots are mapped: the first of them. */
static uintptr_t
find_slot(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	uintptr_t start = 0;
	char line[300];

	ck_assert_ptr_nonnull(f);
	while (start == 0 && fgets(line, sizeof line, f) != NULL)
		if (strstr(line, "quern-slot") != NULL)
			start = (uintptr_t)strtoull(line, NULL, 16);
	fclose(f);
	ck_assert_uint_ne(start, 0);
	return start;
}

/* What it shall take for a frame of the guest's; nothing of it is. */
static ucontext_t ours;

/* Say that its frame is at an address that is one of ours, and not its own. */
static bool
forge_frame(struct attack *a)
{
	uint64_t at = (uintptr_t)&ours - find_slot() + SLOT_BASE;
	uint64_t fp = SLOT_BASE + SLOT_STACK + 0x2000;

	ours.uc_mcontext.gregs[REG_RBX] = (greg_t)SECRET;
	ours.uc_mcontext.gregs[REG_RIP] = GUEST_TEXT;
	memcpy(&ours.uc_mcontext.fpregs, &fp, sizeof fp);
	a->f = guest_frame(g_forge);
	a->f.f_reg[RDI] = SLOT_BASE + C_TURN;
	a->f.f_reg[RSI] = SLOT_BASE + C_SIG;
	a->f.f_reg[RDX] = SIGSEGV;
	a->f.f_reg[RCX] = SLOT_BASE + C_UC;
	a->f.f_reg[RAX] = at;
	a->f.f_reg[R8] = SLOT_BASE + C_HSLEEP;
	a->f.f_reg[R9] = STUB_BASE + host_stub_offset[STUB_S1];
	(void)run_until(a, test_now(&a->t) + 50 * TEST_MS);
	return a->f.f_reg[RBX] == SECRET;
}

/* What the guest before left in the memory that it had. */
static bool
read_predecessor(struct attack *a)
{
	update(a, QUERN_VM_MAP, 0x20000000, 4096, SECRET_RAM);
	ck_assert(reads_secret(a, 0x20000000));
	destroy(a, ID);
	ck_assert_int_eq(a->t.t_ops->vm_create(a->t.t_ctx, ID), 0);
	ck_assert_int_eq(guest_install(a->t.t_ops, a->t.t_ctx, ID, a->ram), 0);
	return reads_secret(a, 0x20000000);
}

static const struct {
	const char *at_name;
	bool (*at_try)(struct attack *);
	unsigned at_weaken;
	bool at_filter; /* a filter's, and so a tracer's, too */
} attacks[] = {
	{ "map at stub", map_at_stub, QUERN_POSIX_NOSECRETS, true },
	{ "map directly", map_directly,
	    QUERN_POSIX_NOSECRETS | QUERN_POSIX_NOPLACE, true },
	{ "map by return", map_by_return,
	    QUERN_POSIX_NOSECRETS | QUERN_POSIX_NORETURN, true },
	{ "unmap stub", unmap_stub, QUERN_POSIX_NOSECRETS | QUERN_POSIX_NORANGE,
	    true },
	{ "unlink by int 0x80", unlink_by_int80,
	    QUERN_POSIX_NOSECRETS | QUERN_POSIX_NOPLACE | QUERN_POSIX_NOARCH,
	    false },
	{ "keep unmapped", keep_unmapped, QUERN_POSIX_NOHOLD, false },
	{ "forge frame", forge_frame, QUERN_POSIX_NOFRAMES, true },
	{ "read predecessor", read_predecessor, QUERN_POSIX_NOEMPTY, true },
};

#define NATTACK ((int)(sizeof attacks / sizeof attacks[0]))

static void
be_nobody(void)
{
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(setgroups(0, NULL), 0);
	ck_assert_int_eq(setresgid(65534, 65534, 65534), 0);
	ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
	/* Which keeps it from looking at itself. */
	ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1), 0);
}

static void
attempt(int i, const struct quern_posix_config *config, bool want)
{
	struct attack a;
	void *p;

	be_nobody();
	test_begin(&a.t, config, 2);
	ck_assert_int_eq(a.t.t_ops->ram_create(a.t.t_ctx, RAM_LEN, &p), 0);
	a.ram = p;
	*(uint64_t *)(void *)(a.ram + SECRET_RAM) = SECRET;
	make(&a, ID);
	ck_assert_msg(attacks[i].at_try(&a) == want, "%s: %s",
	    attacks[i].at_name, want ? "no success" : "success");
	test_end(&a.t);
}

START_TEST(fails)
{
	static const struct quern_posix_config filter = { .pc_logfd = -1,
		.pc_handover = QUERN_POSIX_YIELD };

	attempt(_i, &filter, false);
}
END_TEST

START_TEST(fails_traced)
{
	static const struct quern_posix_config traced = { .pc_logfd = -1,
		.pc_vmspace = QUERN_POSIX_PTRACE };

	attempt(_i, &traced, false);
}
END_TEST

/* Without its defence; traced too if that is the same one. */
START_TEST(succeeds)
{
	struct quern_posix_config weak = { .pc_logfd = -1,
		.pc_handover = QUERN_POSIX_YIELD };

	weak.pc_weaken = attacks[_i].at_weaken;
	attempt(_i, &weak, true);
}
END_TEST

START_TEST(succeeds_traced)
{
	struct quern_posix_config weak = { .pc_logfd = -1,
		.pc_vmspace = QUERN_POSIX_PTRACE };

	if (!attacks[_i].at_filter)
		return;
	weak.pc_weaken = attacks[_i].at_weaken;
	attempt(_i, &weak, true);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("attacks");
	TCase *tc = tcase_create("attacks");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, fails, 0, NATTACK);
	tcase_add_loop_test(tc, succeeds, 0, NATTACK);
	tcase_add_loop_test(tc, fails_traced, 0, NATTACK);
	tcase_add_loop_test(tc, succeeds_traced, 0, NATTACK);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
