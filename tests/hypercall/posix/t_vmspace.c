/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The posix host: guests.  Hand-made programs (guest.S) are run in address
 * spaces of their own by the hypercalls alone; there is no kernel.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"
#include "machine.h"

/* The stub and its slot, as a hostile guest knows them. */
#include "hypercall/posix/vm.h"

#define RAM_LEN (16u << 20)
#define ID      7u
#define RW      (QUERN_VM_READ | QUERN_VM_WRITE)

/* Handovers, for loop tests. */
#define NHANDOVER 4
static const struct quern_posix_config handover[NHANDOVER] = {
	{ .pc_handover = QUERN_POSIX_YIELD },
	{ .pc_handover = QUERN_POSIX_FUTEX },
	{ .pc_handover = QUERN_POSIX_SPIN },
	{ .pc_vmspace = QUERN_POSIX_PTRACE },
};

struct guest {
	struct test_machine t;
	unsigned char *ram;
	struct quern_vmframe f;
};

/* A seat is the host's until the machine ends; each test is a process. */
static struct quern_seat seat;

static void
begin(struct guest *g, const struct quern_posix_config *config)
{
	void *p;

	test_begin(&g->t, config, 2);
	ck_assert_int_eq(g->t.t_ops->ram_create(g->t.t_ctx, RAM_LEN, &p), 0);
	g->ram = p;
}

/* With one vmspace in it. */
static void
begin_guest(struct guest *g, const struct quern_posix_config *config)
{
	begin(g, config);
	ck_assert_int_eq(g->t.t_ops->vm_create(g->t.t_ctx, ID), 0);
	ck_assert_int_eq(guest_install(g->t.t_ops, g->t.t_ctx, ID, g->ram), 0);
}

/* Another in place of one that is dead. */
static void
reborn(struct guest *g)
{
	const struct quern_hyper *ops = g->t.t_ops;

	ck_assert_int_eq(ops->vm_destroy(g->t.t_ctx, ID), 0);
	ck_assert_int_eq(ops->vm_create(g->t.t_ctx, ID), 0);
	ck_assert_int_eq(guest_install(ops, g->t.t_ctx, ID, g->ram), 0);
}

static void
end(struct guest *g)
{
	test_end(&g->t);
}

static unsigned
run_until(struct guest *g, uint64_t deadline)
{
	ck_assert_int_eq(g->t.t_ops->vm_run(g->t.t_ctx, 0, ID, &seat, &g->f,
			     deadline),
	    0);
	return g->f.f_why;
}

/* Run; what it came back for. */
static unsigned
run(struct guest *g)
{
	return run_until(g, QUERN_NEVER);
}

static int
update(struct guest *g, unsigned cmd, uint64_t addr, uint64_t len, uint64_t ram,
    unsigned prot)
{
	const struct quern_vm_op op = { cmd, prot, addr, len, ram };

	return g->t.t_ops->vm_update(g->t.t_ctx, 0, ID, &op, 1);
}

/* --- system calls, registers ---------------------------------------------- */

START_TEST(syscall_registers)
{
	struct guest g;
	unsigned i;

	begin_guest(&g, &handover[_i]);
	g.f = guest_frame(g_call);
	for (i = 0; i < 16; i++)
		if (i != RSP)
			g.f.f_reg[i] = UINT64_C(0x1111111100000000) * (i + 1);
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	for (i = 0; i < 16; i++) {
		if (i == RAX)
			ck_assert_uint_eq(g.f.f_reg[i], 39);
		else if (i == RCX) /* as the instruction leaves it */
			ck_assert_uint_eq(g.f.f_reg[i], g.f.f_rip);
		else if (i == R11)
			ck_assert_uint_eq(g.f.f_reg[i] & 0xff, 0x02);
		else if (i != RSP)
			ck_assert_uint_eq(g.f.f_reg[i],
			    UINT64_C(0x1111111100000000) * (i + 1));
	}
	ck_assert_uint_eq(g.f.f_reg[RSP], GUEST_STACK + 0x3f00);
	ck_assert_uint_eq(g.f.f_rip, GUEST(g_call) + 7);
	/* Going on, it comes to the next instruction. */
	ck_assert_uint_eq(run(&g), QUERN_VM_TRAP);
	ck_assert_uint_eq(g.f.f_trap, 6);
	ck_assert_uint_eq(g.f.f_rip, GUEST(g_call) + 7);
	end(&g);
}
END_TEST

START_TEST(many_syscalls)
{
	struct guest g;
	unsigned i;

	begin_guest(&g, &handover[_i]);
	g.f = guest_frame(g_call_loop);
	for (i = 0; i < 5000; i++) {
		ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
		ck_assert_uint_eq(g.f.f_reg[RAX], 39);
		ck_assert_uint_eq(g.f.f_reg[R15], i);
		g.f.f_reg[RAX] = i;
	}
	end(&g);
}
END_TEST

START_TEST(bases)
{
	struct guest g;

	begin_guest(&g, NULL);
	g.f = guest_frame(g_bases);
	g.f.f_reg[RSI] = 0x1234567000;
	g.f.f_reg[RDI] = 0x7654321000;
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	ck_assert_uint_eq(g.f.f_fsbase, 0x1234567000);
	ck_assert_uint_eq(g.f.f_gsbase, 0x7654321000);
	g.f.f_fsbase = 0x1111000;
	g.f.f_gsbase = UINT64_C(0xffff800000000000);
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	ck_assert_uint_eq(g.f.f_reg[RBX], 0x1111000);
	ck_assert_uint_eq(g.f.f_reg[RBP], UINT64_C(0xffff800000000000));
	end(&g);
}
END_TEST

START_TEST(flags)
{
	struct guest g;

	begin_guest(&g, NULL);
	g.f = guest_frame(g_flags);
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	ck_assert_uint_eq(g.f.f_reg[RAX], 6);
	ck_assert_uint_eq(g.f.f_rflags & 0x40400, 0x40400);
	g.f.f_rflags = UINT64_MAX & ~UINT64_C(0x100); /* all but stepping */
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	ck_assert_uint_eq(g.f.f_reg[RAX], 7);
	/* Its own bits, interrupts on, and neither IOPL nor NT. */
	ck_assert_uint_eq(g.f.f_reg[RBX] & 0x7fff, 0xed7);
	end(&g);
}
END_TEST

START_TEST(null_segments)
{
	struct guest g;

	begin_guest(&g, NULL);
	g.f = guest_frame(g_segments);
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	ck_assert_uint_eq(g.f.f_reg[RAX], 8);
	ck_assert_uint_eq(run(&g), QUERN_VM_TRAP);
	end(&g);
}
END_TEST

/* Have its extended state be in f_xsave. */
static void
save(struct guest *g, struct quern_vmframe *f)
{
	const struct quern_vmframe before = *f;

	f->f_flags = QUERN_VM_SAVE;
	ck_assert_int_eq(g->t.t_ops->vm_run(g->t.t_ctx, 0, ID, NULL, f, 0), 0);
	f->f_flags = 0;
	ck_assert_mem_eq(f, &before, sizeof before);
}

/* Two guest threads in turn, with vector registers and MXCSR of their own. */
START_TEST(extended_state)
{
	struct quern_vmframe a, b;
	struct guest g;
	size_t len;
	int i;

	begin_guest(&g, NULL);
	len = (size_t)test_param(&g.t, "vm.xsave");
	ck_assert_uint_ge(len, 576);
	a = guest_frame(g_fp_get);
	a.f_xsave = calloc(1, len);
	a.f_xsavelen = (uint32_t)len;
	/* As after a reset. */
	g.f = a;
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	ck_assert_uint_eq(g.f.f_reg[RBX], 0);
	ck_assert_uint_eq(g.f.f_reg[RBP], 0x1f80);

	a.f_rip = GUEST(g_fp_set);
	b = a;
	b.f_xsave = calloc(1, len);
	b.f_reg[RSP] -= 64;
	a.f_reg[RSI] = 0xaaaa;
	a.f_reg[RDI] = 0x1fa0;
	b.f_reg[RSI] = 0xbbbb;
	b.f_reg[RDI] = 0x1fc0;
	for (i = 0; i < 50; i++) {
		g.f = a;
		ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
		ck_assert_uint_eq(g.f.f_reg[RBX], 0xaaaa);
		ck_assert_uint_eq(g.f.f_reg[RBP], 0x1fa0);
		a = g.f;
		if (i % 3 == 0)
			continue; /* the same again: from where it lies */
		save(&g, &a);
		g.f = b;
		ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
		ck_assert_uint_eq(g.f.f_reg[RBX], 0xbbbb);
		ck_assert_uint_eq(g.f.f_reg[RBP], 0x1fc0);
		b = g.f;
		save(&g, &b);
	}
	/* Once more is no harm, nor is it for one that did not run last. */
	memset(b.f_xsave, 0, len);
	save(&g, &b);
	save(&g, &a);
	b.f_host[0] = 0;
	b.f_rip = GUEST(g_fp_get);
	g.f = b;
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	ck_assert_uint_eq(g.f.f_reg[RBX], 0xbbbb);
	/* A fork: a copy of thread and state runs on by itself. */
	b.f_host[0] = 0;
	memcpy(b.f_xsave, a.f_xsave, len);
	b.f_rip = GUEST(g_fp_get);
	g.f = b;
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	ck_assert_uint_eq(g.f.f_reg[RBX], 0xaaaa);
	/* Too short a buffer. */
	b.f_xsavelen = (uint32_t)len - 1;
	ck_assert_int_eq(g.t.t_ops->vm_run(g.t.t_ctx, 0, ID, &seat, &b,
			     QUERN_NEVER),
	    -EINVAL);
	free(a.f_xsave);
	free(b.f_xsave);
	end(&g);
}
END_TEST

/* --- calls by a jump -------------------------------------------------------- */

#define VM_CALL (STUB_BASE + host_stub_offset[STUB_CALL])

/* A thread with these in a vector register and MXCSR, about to make calls so. */
static struct quern_vmframe
vmcall_frame(struct guest *g, uint64_t vector, uint32_t mxcsr, void *xsave)
{
	g->f = guest_frame(g_fp_set);
	g->f.f_xsave = xsave;
	g->f.f_xsavelen = FP_MAX;
	g->f.f_reg[RSI] = vector;
	g->f.f_reg[RDI] = mxcsr;
	ck_assert_uint_eq(run(g), QUERN_VM_SYSCALL);
	g->f.f_rip = GUEST(g_vmcall);
	g->f.f_reg[R14] = VM_CALL;
	return g->f;
}

START_TEST(jump_is_a_call)
{
	static unsigned char xsave[2][FP_MAX];
	struct quern_vmframe a, b;
	struct guest g;
	unsigned i;

	begin_guest(&g, &handover[_i]);
	if (handover[_i].pc_vmspace != QUERN_POSIX_PTRACE)
		ck_assert_int_eq(test_param(&g.t, "vm.call"), VM_CALL);
	b = vmcall_frame(&g, 0xbbbb, 0x1fc0, xsave[1]);
	save(&g, &b);
	a = vmcall_frame(&g, 0xaaaa, 0x1fa0, xsave[0]);
	b.f_reg[RSP] -= 64;
	for (i = 0; i < 2000; i++) {
		g.f = a;
		ck_assert_uint_eq(run(&g), QUERN_VM_CALL);
		ck_assert_uint_eq(g.f.f_reg[RAX], 39);
		ck_assert_uint_eq(g.f.f_reg[RBX], 0xaaaa);
		ck_assert_uint_eq(g.f.f_reg[RBP], 0x1fa0);
		ck_assert_uint_eq(g.f.f_reg[R15], i);
		ck_assert_uint_eq(g.f.f_reg[RCX], g.f.f_rip);
		ck_assert_uint_eq(g.f.f_reg[R11], g.f.f_rflags);
		g.f.f_reg[RAX] = i;
		/* Go on in another way, or after another thread. */
		if (i % 5 == 0)
			g.f.f_reg[RCX] = 0;
		a = g.f;
		if (i % 3 == 0)
			save(&g, &a);
		if (i % 6 != 0)
			continue;
		g.f = b;
		ck_assert_uint_eq(run(&g), QUERN_VM_CALL);
		ck_assert_uint_eq(g.f.f_reg[RBX], 0xbbbb);
		ck_assert_uint_eq(g.f.f_reg[RBP], 0x1fc0);
		b = g.f;
		save(&g, &b);
	}
	end(&g);
}
END_TEST

START_TEST(jump_keeps_registers)
{
	struct guest g;
	uint64_t next;
	unsigned i;

	begin_guest(&g, NULL);
	g.f = guest_frame(g_vmflags);
	for (i = 0; i < 16; i++)
		if (i != RSP && i != R14)
			g.f.f_reg[i] = UINT64_C(0x1111111100000000) * (i + 1);
	g.f.f_reg[R14] = VM_CALL;
	g.f.f_fsbase = 0x1234567000;
	g.f.f_gsbase = 0x7654321000;
	ck_assert_uint_eq(run(&g), QUERN_VM_CALL);
	for (i = 0; i < 16; i++)
		if (i != RSP && i != R14 && i != RAX && i != RCX && i != R11)
			ck_assert_uint_eq(g.f.f_reg[i],
			    UINT64_C(0x1111111100000000) * (i + 1));
	ck_assert_uint_eq(g.f.f_reg[RSP], GUEST_STACK + 0x3f00);
	ck_assert_uint_eq(g.f.f_fsbase, 0x1234567000);
	ck_assert_uint_eq(g.f.f_gsbase, 0x7654321000);
	ck_assert_uint_eq(g.f.f_rflags & 0x404d5, 0x404c5);
	next = g.f.f_rip;
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	ck_assert_uint_eq(g.f.f_reg[RBX] & 0x404d5, 0x404c5);
	ck_assert_uint_eq(g.f.f_reg[R12], next);
	ck_assert_uint_eq(g.f.f_fsbase, 0x1234567000);
	end(&g);
}
END_TEST

/* To addresses where no thread can be, the stub's among them. */
START_TEST(jump_back_nowhere)
{
	const uint64_t to[] = { 0, STUB_BASE, VM_CALL, SLOT_BASE, VM_TOP,
		UINT64_C(0x8000000000000000), UINT64_MAX };
	struct guest g;
	unsigned i;

	begin_guest(&g, &handover[_i]);
	for (i = 0; i < sizeof to / sizeof to[0]; i++) {
		g.f = guest_frame(g_jump);
		g.f.f_reg[R15] = VM_CALL;
		g.f.f_reg[RCX] = to[i];
		if (to[i] == 0) {
			ck_assert_uint_eq(run(&g), QUERN_VM_CALL);
			ck_assert_uint_eq(run(&g), QUERN_VM_FAULT);
		} else {
			ck_assert_uint_eq(run(&g), QUERN_VM_FAULT);
			ck_assert_uint_eq(g.f.f_error, 0x14);
		}
		ck_assert_uint_eq(g.f.f_addr, to[i]);
	}
	end(&g);
}
END_TEST

/* --- faults, traps, memory -------------------------------------------------- */

START_TEST(fault_and_map)
{
	const uint64_t addr = 0x10000000;
	struct guest g;
	unsigned i;

	begin_guest(&g, &handover[_i]);
	for (i = 0; i < 200; i++) {
		g.f = guest_frame(g_store);
		g.f.f_reg[RDI] = addr + 0x123;
		g.f.f_reg[RSI] = i + 1;
		ck_assert_uint_eq(run(&g), QUERN_VM_FAULT);
		ck_assert_uint_eq(g.f.f_addr, addr + 0x123);
		ck_assert_uint_eq(g.f.f_error,
		    6); /* user, write, nothing there */
		ck_assert_uint_eq(g.f.f_rip, GUEST(g_store));
		/* Readable only, and not necessarily there yet. */
		ck_assert_int_eq(update(&g, QUERN_VM_MAP, addr, 4096,
				     GUEST_RAM_FREE, QUERN_VM_READ),
		    0);
		ck_assert_uint_eq(run(&g), QUERN_VM_FAULT);
		ck_assert_uint_eq(g.f.f_error & 6, 6);
		ck_assert_int_eq(update(&g, QUERN_VM_MAP, addr, 4096,
				     GUEST_RAM_FREE, RW),
		    0);
		ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
		/* What it wrote is in RAM, and the other way round. */
		ck_assert_uint_eq(g.ram[GUEST_RAM_FREE + 0x123],
		    (unsigned char)(i + 1));
		g.ram[GUEST_RAM_FREE] = (unsigned char)(i + 2);
		g.f = guest_frame(g_load);
		g.f.f_reg[RDI] = addr;
		ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
		ck_assert_uint_eq(g.f.f_reg[RBX] & 0xff,
		    (unsigned char)(i + 2));
		/* Gone again. */
		ck_assert_int_eq(update(&g, QUERN_VM_UNMAP, addr, 4096, 0, 0),
		    0);
		ck_assert_uint_eq(run(&g), QUERN_VM_FAULT);
		ck_assert_uint_eq(g.f.f_error, 4);
	}
	end(&g);
}
END_TEST

START_TEST(protect)
{
	struct guest g;

	begin_guest(&g, &handover[_i]);
	g.f = guest_frame(g_store);
	g.f.f_reg[RDI] = GUEST_DATA;
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	ck_assert_int_eq(update(&g, QUERN_VM_PROTECT, GUEST_DATA, 4096, 0,
			     QUERN_VM_READ),
	    0);
	ck_assert_uint_eq(run(&g), QUERN_VM_FAULT);
	ck_assert_uint_eq(g.f.f_error, 7);
	ck_assert_int_eq(update(&g, QUERN_VM_PROTECT, GUEST_DATA, 4096, 0, RW),
	    0);
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	ck_assert_int_eq(update(&g, QUERN_VM_PROTECT, GUEST_DATA, 4096, 0, 0),
	    0);
	ck_assert_uint_eq(run(&g), QUERN_VM_FAULT);
	/* Where nothing is mapped there is nothing to protect: all goes. */
	ck_assert_int_eq(update(&g, QUERN_VM_PROTECT, 0x20000000, 4096, 0, RW),
	    0);
	g.f = guest_frame(g_call);
	ck_assert_int_eq(g.t.t_ops->vm_run(g.t.t_ctx, 0, ID, &seat, &g.f,
			     QUERN_NEVER),
	    -ENOMEM);
	ck_assert_uint_eq(run(&g), QUERN_VM_FAULT);
	ck_assert_uint_eq(g.f.f_addr, g.f.f_rip);
	ck_assert_int_eq(guest_install(g.t.t_ops, g.t.t_ctx, ID, g.ram), 0);
	/* No execution of data. */
	g.f = guest_frame(g_call);
	g.f.f_rip = GUEST_STACK;
	ck_assert_uint_eq(run(&g), QUERN_VM_FAULT);
	ck_assert_uint_eq(g.f.f_error, 0x15);
	ck_assert_uint_eq(g.f.f_addr, GUEST_STACK);
	end(&g);
}
END_TEST

/* More changes than fit into one turn, maps and removals mixed. */
START_TEST(many_changes)
{
	static struct quern_vm_op ops[300];
	struct guest g;
	unsigned i;

	begin_guest(&g, NULL);
	for (i = 0; i < 300; i++)
		ops[i] = MAP_OP(0x10000000 + i * 8192u,
		    GUEST_RAM_FREE + i * 4096u, 4096, RW);
	ck_assert_int_eq(g.t.t_ops->vm_update(g.t.t_ctx, 0, ID, ops, 300), 0);
	for (i = 0; i < 300; i += 2)
		ops[i].v_cmd = QUERN_VM_UNMAP;
	ck_assert_int_eq(g.t.t_ops->vm_update(g.t.t_ctx, 0, ID, ops, 300), 0);
	for (i = 0; i < 300; i++) {
		g.f = guest_frame(g_store);
		g.f.f_reg[RDI] = 0x10000000 + i * 8192u;
		g.f.f_reg[RSI] = i;
		ck_assert_uint_eq(run(&g),
		    i % 2 == 0 ? QUERN_VM_FAULT : QUERN_VM_SYSCALL);
	}
	for (i = 1; i < 300; i += 2)
		ck_assert_uint_eq(g.ram[GUEST_RAM_FREE + i * 4096u],
		    (unsigned char)i);
	ck_assert_int_eq(g.t.t_ops->vm_update(g.t.t_ctx, 0, ID, NULL, 0), 0);
	end(&g);
}
END_TEST

/* What is discarded reads as zero, here and there. */
START_TEST(discard)
{
	struct guest g;

	begin_guest(&g, NULL);
	g.f = guest_frame(g_load);
	g.f.f_reg[RDI] = GUEST_DATA;
	g.ram[GUEST_RAM_DATA] = 77;
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	ck_assert_uint_eq(g.f.f_reg[RBX], 77);
	ck_assert_int_eq(g.t.t_ops->ram_discard(g.t.t_ctx, GUEST_RAM_DATA,
			     4096),
	    0);
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	ck_assert_uint_eq(g.f.f_reg[RBX], 0);
	end(&g);
}
END_TEST

START_TEST(traps)
{
	static const struct {
		const char *label;
		unsigned trap, after;
	} t[] = {
		{ g_ud2, 6, 0 },
		{ g_int3, 3, 1 },
		{ g_div, 0, 2 },
		{ g_hlt, 13, 0 },
	};
	struct guest g;
	unsigned i;

	begin_guest(&g, NULL);
	for (i = 0; i < 4; i++) {
		g.f = guest_frame(t[i].label);
		ck_assert_uint_eq(run(&g), QUERN_VM_TRAP);
		ck_assert_uint_eq(g.f.f_trap, t[i].trap);
		ck_assert_uint_eq(g.f.f_rip, GUEST(t[i].label) + t[i].after);
	}
	/* A single step. */
	g.f = guest_frame(g_spin);
	g.f.f_rflags |= 0x100;
	ck_assert_uint_eq(run(&g), QUERN_VM_TRAP);
	ck_assert_uint_eq(g.f.f_trap, 1);
	ck_assert_uint_eq(g.f.f_reg[R15], 1);
	/* A stack that is none matters to nobody but the guest. */
	g.f = guest_frame(g_call);
	g.f.f_reg[RSP] = UINT64_C(0xdead00000000beef);
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	ck_assert_uint_eq(g.f.f_reg[RSP], UINT64_C(0xdead00000000beef));
	/* Jumps to nowhere. */
	g.f = guest_frame(g_jump);
	g.f.f_reg[R15] = 0;
	ck_assert_uint_eq(run(&g), QUERN_VM_FAULT);
	ck_assert_uint_eq(g.f.f_addr, 0);
	ck_assert_uint_eq(g.f.f_error, 0x14);
	g.f = guest_frame(g_jump);
	g.f.f_reg[R15] = UINT64_C(0x8000000000000000);
	ck_assert_uint_eq(run(&g), QUERN_VM_TRAP);
	ck_assert_uint_eq(g.f.f_trap, 13);
	end(&g);
}
END_TEST

/* --- kicks and deadlines ---------------------------------------------------- */

struct kicker {
	struct guest *k_g;
	volatile uint64_t *k_count; /* where the guest counts */
	unsigned k_kicks;
	_Atomic unsigned k_seen; /* kicks that ended a run */
};

static void *
kick_main(void *arg)
{
	struct kicker *k = arg;
	struct test_machine *t = &k->k_g->t;
	uint64_t last;
	unsigned i;

	for (i = 0; i < k->k_kicks; i++) {
		/* Not before it has got somewhere. */
		last = __atomic_load_n(k->k_count, __ATOMIC_RELAXED);
		while (__atomic_load_n(k->k_count, __ATOMIC_RELAXED) == last)
			sched_yield();
		t->t_ops->cpu_kick(t->t_ctx, &seat);
		/* Two before it is noticed are one. */
		while (atomic_load(&k->k_seen) == i)
			sched_yield();
	}
	return NULL;
}

START_TEST(kick_endless_loop)
{
	struct guest g;
	struct kicker k = { .k_g = &g, .k_kicks = 100 };
	pthread_t thread;
	uint64_t last = 0;
	unsigned i;

	begin_guest(&g, &handover[_i]);
	g.f = guest_frame(g_spin);
	g.f.f_reg[RDI] = GUEST_DATA;
	k.k_count = (volatile uint64_t *)(void *)(g.ram + GUEST_RAM_DATA);
	pthread_create(&thread, NULL, kick_main, &k);
	for (i = 0; i < k.k_kicks; i++) {
		ck_assert_uint_eq(run_until(&g, test_now(&g.t) + TEST_LONG),
		    QUERN_VM_KICK);
		ck_assert_uint_ge(g.f.f_reg[R15], last);
		last = g.f.f_reg[R15];
		atomic_store(&k.k_seen, i + 1);
	}
	ck_assert_uint_gt(last, 0);
	pthread_join(thread, NULL);
	end(&g);
}
END_TEST

/* A kick from before ends the next run at once; one is one. */
START_TEST(kick_is_latched)
{
	struct guest g;
	struct quern_vmframe before;

	begin_guest(&g, NULL);
	g.f = guest_frame(g_call);
	before = g.f;
	g.t.t_ops->cpu_kick(g.t.t_ctx, &seat);
	g.t.t_ops->cpu_kick(g.t.t_ctx, &seat);
	ck_assert_uint_eq(run(&g), QUERN_VM_KICK);
	ck_assert_int_eq(memcmp(g.f.f_reg, before.f_reg, sizeof before.f_reg),
	    0);
	ck_assert_uint_eq(g.f.f_rip, before.f_rip);
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	/* And one that no guest's run has noticed is cpu_idle's. */
	g.t.t_ops->cpu_kick(g.t.t_ctx, &seat);
	ck_assert_int_eq(g.t.t_ops->cpu_idle(g.t.t_ctx, &seat, 0, QUERN_NEVER),
	    -EINTR);
	end(&g);
}
END_TEST

START_TEST(deadline)
{
	static const uint64_t slices[] = { 1, 20000, 1000000, 5000000 };
	struct guest g;
	uint64_t until;
	unsigned i, round;

	begin_guest(&g, &handover[_i]);
	g.f = guest_frame(g_spin);
	g.f.f_reg[RDI] = GUEST_DATA;
	for (round = 0; round < 10; round++) {
		for (i = 0; i < 4; i++) {
			until = test_now(&g.t) + slices[i];
			ck_assert_uint_eq(run_until(&g, until), QUERN_VM_KICK);
			ck_assert_uint_ge(test_now(&g.t), until);
		}
		ck_assert_uint_eq(run_until(&g, 0), QUERN_VM_KICK);
	}
	ck_assert_uint_gt(g.f.f_reg[R15], 0);
	end(&g);
}
END_TEST

/*
 * Kicks at every point of a run: the guest makes calls, another thread kicks
 * as fast as it can, and no call is lost or made twice.
 */
struct storm {
	struct guest *s_g;
	_Atomic int s_done;
	_Atomic unsigned s_kicks;
};

static void *
storm_main(void *arg)
{
	struct storm *s = arg;
	struct test_machine *t = &s->s_g->t;
	unsigned i;

	while (!atomic_load(&s->s_done)) {
		t->t_ops->cpu_kick(t->t_ctx, &seat);
		atomic_fetch_add(&s->s_kicks, 1);
		for (i = atomic_load(&s->s_kicks) % 64; i > 0; i--)
			__builtin_ia32_pause();
	}
	return NULL;
}

START_TEST(kick_storm)
{
	static unsigned char xsave[FP_MAX];
	struct guest g;
	struct storm s = { .s_g = &g };
	unsigned calls = 0, kicks = 0, r;
	bool jumps = _i >= NHANDOVER;
	pthread_t thread;

	begin_guest(&g, &handover[_i % NHANDOVER]);
	g.f = guest_frame(g_call_loop);
	if (jumps)
		(void)vmcall_frame(&g, 0xaaaa, 0x1fa0, xsave);
	pthread_create(&thread, NULL, storm_main, &s);
	/* The other thread may not have begun yet. */
	while (calls < 3000 || kicks < 100) {
		r = run(&g);
		if (r == QUERN_VM_KICK) {
			kicks++;
			/* Remap what it uses, for operations in the slot. */
			if (kicks % 7 == 0)
				ck_assert_int_eq(update(&g, QUERN_VM_MAP,
						     GUEST_DATA, 4096,
						     GUEST_RAM_DATA, RW),
				    0);
			if (kicks % 11 == 0)
				ck_assert_int_eq(update(&g, QUERN_VM_UNMAP,
						     0x30000000, 4096, 0, 0),
				    0);
			if (jumps && kicks % 5 == 0)
				save(&g, &g.f);
			continue;
		}
		ck_assert_uint_eq(r, jumps ? QUERN_VM_CALL : QUERN_VM_SYSCALL);
		ck_assert_uint_eq(g.f.f_reg[RAX], 39);
		ck_assert_uint_eq(g.f.f_reg[R15], calls);
		if (jumps) {
			ck_assert_uint_eq(g.f.f_reg[RBX], 0xaaaa);
			ck_assert_uint_eq(g.f.f_reg[RBP], 0x1fa0);
		}
		g.f.f_reg[RAX] = 0;
		calls++;
	}
	atomic_store(&s.s_done, 1);
	pthread_join(thread, NULL);
	ck_assert_uint_gt(kicks, 0);
	end(&g);
}
END_TEST

/* --- one vmspace, several threads of ours -------------------------------------- */

struct remote {
	struct guest *r_g;
	_Atomic int r_done;
	int r_error;
};

static void *
update_main(void *arg)
{
	struct remote *r = arg;
	int i;

	for (i = 0; i < 200 && r->r_error == 0; i++) {
		r->r_error = update(r->r_g, QUERN_VM_MAP, 0x10000000, 4096,
		    GUEST_RAM_FREE, RW);
		if (r->r_error == 0)
			r->r_error = update(r->r_g, QUERN_VM_UNMAP, 0x10000000,
			    4096, 0, 0);
	}
	atomic_store(&r->r_done, 1);
	r->r_g->t.t_ops->cpu_kick(r->r_g->t.t_ctx, &seat);
	return NULL;
}

/* An update while the guest runs interrupts it, and takes effect. */
START_TEST(update_while_running)
{
	struct guest g;
	struct remote r = { .r_g = &g };
	pthread_t thread;

	begin_guest(&g, &handover[_i]);
	g.f = guest_frame(g_spin);
	g.f.f_reg[RDI] = GUEST_DATA;
	pthread_create(&thread, NULL, update_main, &r);
	while (!atomic_load(&r.r_done))
		ck_assert_uint_eq(run(&g), QUERN_VM_KICK);
	pthread_join(thread, NULL);
	ck_assert_int_eq(r.r_error, 0);
	end(&g);
}
END_TEST

static void *
busy_main(void *arg)
{
	struct remote *r = arg;
	struct guest *g = r->r_g;
	static struct quern_seat other;
	struct quern_vmframe f = guest_frame(g_call);
	volatile uint64_t *count = (volatile uint64_t *)(void *)(g->ram +
	    GUEST_RAM_DATA);

	while (__atomic_load_n(count, __ATOMIC_RELAXED) == 0)
		sched_yield();
	r->r_error = g->t.t_ops->vm_run(g->t.t_ctx, 1, ID, &other, &f,
	    QUERN_NEVER);
	if (r->r_error == -EBUSY)
		r->r_error = g->t.t_ops->vm_destroy(g->t.t_ctx, ID);
	g->t.t_ops->cpu_kick(g->t.t_ctx, &seat);
	return NULL;
}

START_TEST(busy)
{
	struct guest g;
	struct remote r = { .r_g = &g };
	pthread_t thread;

	begin_guest(&g, NULL);
	g.f = guest_frame(g_spin);
	g.f.f_reg[RDI] = GUEST_DATA;
	pthread_create(&thread, NULL, busy_main, &r);
	ck_assert_uint_eq(run(&g), QUERN_VM_KICK);
	pthread_join(thread, NULL);
	ck_assert_int_eq(r.r_error, -EBUSY);
	ck_assert_int_eq(g.t.t_ops->vm_destroy(g.t.t_ctx, ID), 0);
	end(&g);
}
END_TEST

/* --- errors ---------------------------------------------------------------- */

START_TEST(bad_calls)
{
	struct guest g;
	const struct quern_hyper *ops;
	void *ctx;

	test_begin(&g.t, NULL, 2);
	ops = g.t.t_ops;
	ctx = g.t.t_ctx;
	g.f = guest_frame(g_call);
	/* No RAM yet, and no vmspace. */
	ck_assert_int_eq(ops->vm_create(ctx, 1), -EINVAL);
	ck_assert_int_eq(ops->vm_destroy(ctx, 1), -ENOENT);
	ck_assert_int_eq(ops->vm_update(ctx, 0, 1, NULL, 0), -ENOENT);
	ck_assert_int_eq(ops->vm_run(ctx, 0, 1, &seat, &g.f, 0), -ENOENT);
	test_end(&g.t);

	begin_guest(&g, NULL);
	ops = g.t.t_ops;
	ctx = g.t.t_ctx;
	g.f = guest_frame(g_call);
	ck_assert_int_eq(ops->vm_create(ctx, ID), -EEXIST);
	ck_assert_int_eq(ops->vm_destroy(ctx, ID + 256), -ENOENT);
	ck_assert_int_eq(ops->vm_update(ctx, 0, ID + 1, NULL, 0), -ENOENT);
	ck_assert_int_eq(ops->vm_run(ctx, 0, ID + 1, &seat, &g.f, 0), -ENOENT);
	ck_assert_int_eq(ops->vm_run(ctx, 2, ID, &seat, &g.f, 0), -EINVAL);
	ck_assert_int_eq(ops->vm_update(ctx, 2, ID, NULL, 0), -EINVAL);
	/* Frames that no thread can have. */
	g.f.f_rip = UINT64_C(0x7ffffffff000);
	ck_assert_int_eq(ops->vm_run(ctx, 0, ID, &seat, &g.f, 0), -EINVAL);
	g.f = guest_frame(g_call);
	g.f.f_fsbase = UINT64_C(0x800000000000);
	ck_assert_int_eq(ops->vm_run(ctx, 0, ID, &seat, &g.f, 0), -EINVAL);
	g.f = guest_frame(g_call);
	g.f.f_gsbase = UINT64_C(0x7fff000000000000);
	ck_assert_int_eq(ops->vm_run(ctx, 0, ID, &seat, &g.f, 0), -EINVAL);
	end(&g);
}
END_TEST

START_TEST(bad_changes)
{
	static const struct quern_vm_op bad[] = {
		{ 7, RW, 0x10000000, 4096, 0 },
		{ QUERN_VM_MAP, RW, 0x10000000, 0, 0 },
		{ QUERN_VM_MAP, RW, 0x10000001, 4096, 0 },
		{ QUERN_VM_MAP, RW, 0x10000000, 4095, 0 },
		{ QUERN_VM_MAP, RW, 0x10000000, 4096, 5 },
		{ QUERN_VM_MAP, RW, 0x10000000, 4096, RAM_LEN },
		{ QUERN_VM_MAP, RW, 0x10000000, 8192, RAM_LEN - 4096 },
		{ QUERN_VM_MAP, RW, 0x10000000, 4096, UINT64_MAX - 4095 },
		{ QUERN_VM_MAP, 64, 0x10000000, 4096, 0 },
		{ QUERN_VM_MAP, RW, 0x1ff000, 4096, 0 },
		{ QUERN_VM_MAP, RW, 0, 4096, 0 },
		{ QUERN_VM_MAP, RW, STUB_BASE, 4096, 0 },
		{ QUERN_VM_MAP, RW, UINT64_C(0x7ffffffff000), 4096, 0 },
		{ QUERN_VM_MAP, RW, UINT64_C(0xffff800000000000), 4096, 0 },
		{ QUERN_VM_UNMAP, 0, SLOT_BASE, 4096, 0 },
		{ QUERN_VM_UNMAP, 0, 0x200000, UINT64_C(0x7ffffffff000), 0 },
		{ QUERN_VM_UNMAP, 0, 0x200000, UINT64_MAX - 4095, 0 },
		{ QUERN_VM_PROTECT, RW, STUB_BASE, 4096, 0 },
		{ QUERN_VM_PROTECT, 128, 0x400000, 4096, 0 },
	};
	struct quern_vm_op two[2];
	struct guest g;
	unsigned i;

	begin_guest(&g, NULL);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		ck_assert_msg(g.t.t_ops->vm_update(g.t.t_ctx, 0, ID, &bad[i],
				  1) == -EINVAL,
		    "%u", i);
		/* One bad, none applied. */
		two[0] = (struct quern_vm_op){ QUERN_VM_UNMAP, 0, GUEST_TEXT,
			0x4000, 0 };
		two[1] = bad[i];
		ck_assert_int_eq(g.t.t_ops->vm_update(g.t.t_ctx, 0, ID, two, 2),
		    -EINVAL);
	}
	g.f = guest_frame(g_call);
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	end(&g);
}
END_TEST

/* The whole of a guest's space is its own, to the last page. */
START_TEST(edges)
{
	static const uint64_t edge[] = { 0x200000, UINT64_C(0x7fffffffe000) };
	struct guest g;
	unsigned i;

	begin_guest(&g, NULL);
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(update(&g, QUERN_VM_MAP, edge[i], 4096,
				     GUEST_RAM_FREE, RW),
		    0);
		g.f = guest_frame(g_store);
		g.f.f_reg[RDI] = edge[i];
		g.f.f_reg[RSI] = 0x77;
		ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
		ck_assert_uint_eq(g.ram[GUEST_RAM_FREE], 0x77);
	}
	ck_assert_int_eq(update(&g, QUERN_VM_UNMAP, 0x200000,
			     UINT64_C(0x7ffffffff000) - 0x200000, 0, 0),
	    0);
	ck_assert_uint_eq(run(&g), QUERN_VM_FAULT);
	ck_assert_uint_eq(g.f.f_error, 0x14);
	end(&g);
}
END_TEST

/* --- birth and death --------------------------------------------------------- */

START_TEST(hundred)
{
	unsigned fds = test_count_fds(), tasks = test_count_tasks(), i, round;
	unsigned children = test_count_children();
	struct guest g;
	int status;

	for (round = 0; round < 2; round++) {
		begin(&g, NULL);
		for (i = 0; i < 100; i++) {
			ck_assert_int_eq(g.t.t_ops->vm_create(g.t.t_ctx,
					     i * 256),
			    0);
			if (i % 10 == 0)
				ck_assert_int_eq(guest_install(g.t.t_ops,
						     g.t.t_ctx, i * 256, g.ram),
				    0);
		}
		ck_assert_uint_eq(test_count_children(), children + 101);
		/* None of them is the embedder's to wait for. */
		ck_assert_int_eq(waitpid(-1, &status, WNOHANG), -1);
		ck_assert_int_eq(errno, ECHILD);
		for (i = 0; i < 100; i += 10) {
			g.f = guest_frame(g_call);
			ck_assert_int_eq(g.t.t_ops->vm_run(g.t.t_ctx, 0,
					     i * 256, &seat, &g.f, QUERN_NEVER),
			    0);
			ck_assert_uint_eq(g.f.f_why, QUERN_VM_SYSCALL);
		}
		/* Half of them by hand, the others at the end. */
		for (i = 0; i < 100; i += 2)
			ck_assert_int_eq(g.t.t_ops->vm_destroy(g.t.t_ctx,
					     i * 256),
			    0);
		/* Some are kept for the next. */
		ck_assert_uint_eq(test_count_children(), children + 51 + 16);
		for (i = 0; i < 100; i += 20)
			ck_assert_int_eq(g.t.t_ops->vm_create(g.t.t_ctx,
					     i * 256),
			    0);
		end(&g);
		ck_assert_uint_eq(test_count_children(), children);
		ck_assert_uint_eq(test_count_fds(), fds);
	}
	test_await_tasks(tasks);
}
END_TEST

/*
 * A process is used again: nothing of the old guest is there for the new one,
 * neither memory nor registers.
 */
START_TEST(kept_is_empty)
{
	static const uint64_t mark[] = { 0xff0, SLOT_OPS, SLOT_FP - 8,
		SLOT_STACK - 8, SLOT_STACK, SLOT_STACK + 0x800 };
	struct guest g;
	unsigned i;
	pid_t pid;

	begin_guest(&g, &handover[_i]);
	pid = test_guest_pid();
	g.f = guest_frame(g_fp_set);
	g.f.f_reg[RSI] = UINT64_C(0xfeedfacecafebeef);
	g.f.f_reg[RDI] = 0x1f00;
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	ck_assert_uint_eq(g.f.f_reg[RBP], 0x1f00);
	ck_assert_int_eq(g.t.t_ops->vm_destroy(g.t.t_ctx, ID), 0);
	ck_assert_int_eq(g.t.t_ops->vm_create(g.t.t_ctx, ID + 1), 0);
	ck_assert_int_eq(test_guest_pid(), pid);
	g.f = guest_frame(g_call);
	ck_assert_int_eq(g.t.t_ops->vm_run(g.t.t_ctx, 0, ID + 1, &seat, &g.f,
			     QUERN_NEVER),
	    0);
	ck_assert_uint_eq(g.f.f_why, QUERN_VM_FAULT);
	ck_assert_uint_eq(g.f.f_addr, g.f.f_rip);
	ck_assert_int_eq(guest_install(g.t.t_ops, g.t.t_ctx, ID + 1, g.ram), 0);
	g.f = guest_frame(g_fp_get);
	ck_assert_int_eq(g.t.t_ops->vm_run(g.t.t_ctx, 0, ID + 1, &seat, &g.f,
			     QUERN_NEVER),
	    0);
	ck_assert_uint_eq(g.f.f_reg[RBX], 0);
	ck_assert_uint_eq(g.f.f_reg[RBP], 0x1f80);
	/* The slot, too, in which it has left a mark here and there. */
	for (i = 0; i < sizeof mark / sizeof mark[0]; i++) {
		g.f = guest_frame(g_store);
		g.f.f_reg[RDI] = SLOT_BASE + mark[i];
		g.f.f_reg[RSI] = UINT64_MAX;
		ck_assert_int_eq(g.t.t_ops->vm_run(g.t.t_ctx, 0, ID + 1, &seat,
				     &g.f, QUERN_NEVER),
		    0);
	}
	ck_assert_int_eq(g.t.t_ops->vm_destroy(g.t.t_ctx, ID + 1), 0);
	ck_assert_int_eq(g.t.t_ops->vm_create(g.t.t_ctx, ID), 0);
	ck_assert_int_eq(test_guest_pid(), pid);
	ck_assert_int_eq(guest_install(g.t.t_ops, g.t.t_ctx, ID, g.ram), 0);
	for (i = 0; i < sizeof mark / sizeof mark[0]; i++) {
		g.f = guest_frame(g_load);
		g.f.f_reg[RDI] = SLOT_BASE + mark[i];
		ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
		ck_assert_uint_eq(g.f.f_reg[RBX], 0);
	}
	end(&g);
}
END_TEST

/* Those that are kept are killed: there are others. */
START_TEST(kept_killed)
{
	struct guest g;
	pid_t pid;

	begin_guest(&g, &handover[_i]);
	pid = test_guest_pid();
	g.f = guest_frame(g_call);
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	ck_assert_int_eq(g.t.t_ops->vm_destroy(g.t.t_ctx, ID), 0);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	do {
		ck_assert_int_eq(g.t.t_ops->vm_create(g.t.t_ctx, ID), 0);
		ck_assert_int_eq(guest_install(g.t.t_ops, g.t.t_ctx, ID, g.ram),
		    0);
		g.f = guest_frame(g_call);
		/* Until its death is known it is as good as any other. */
		if (run(&g) != QUERN_VM_DEAD)
			break;
		ck_assert_int_eq(g.t.t_ops->vm_destroy(g.t.t_ctx, ID), 0);
	} while (1);
	ck_assert_uint_eq(g.f.f_why, QUERN_VM_SYSCALL);
	ck_assert_int_ne(test_guest_pid(), pid);
	end(&g);
}
END_TEST

/* The embedder's SIGCHLD stays silent. */
static volatile sig_atomic_t sigchlds;

static void
on_sigchld(int sig)
{
	(void)sig;
	sigchlds++;
}

START_TEST(no_sigchld)
{
	struct guest g;

	signal(SIGCHLD, on_sigchld);
	begin_guest(&g, NULL);
	g.f = guest_frame(g_call);
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	ck_assert_int_eq(g.t.t_ops->vm_destroy(g.t.t_ctx, ID), 0);
	end(&g);
	ck_assert_int_eq(sigchlds, 0);
	/* Nor does ignoring it matter. */
	signal(SIGCHLD, SIG_IGN);
	begin_guest(&g, NULL);
	ck_assert_int_eq(g.t.t_ops->vm_destroy(g.t.t_ctx, ID), 0);
	end(&g);
}
END_TEST

/* Killed from outside while it waits, and while it runs. */
START_TEST(guest_killed)
{
	struct guest g;
	unsigned fds = test_count_fds(), running;
	pid_t pid;

	for (running = 0; running < 2; running++) {
		begin_guest(&g, &handover[_i]);
		pid = test_guest_pid();
		ck_assert_int_gt(pid, 0);
		g.f = guest_frame(running != 0 ? g_spin : g_call);
		g.f.f_reg[RDI] = GUEST_DATA;
		if (running != 0) {
			pid_t killer = fork();

			if (killer == 0) {
				volatile uint64_t *n =
				    (volatile uint64_t *)(void *)(g.ram +
					GUEST_RAM_DATA);

				while (*n == 0)
					sched_yield();
				kill(pid, SIGKILL);
				_exit(0);
			}
			ck_assert_uint_eq(run(&g), QUERN_VM_DEAD);
			waitpid(killer, NULL, 0);
		} else {
			kill(pid, SIGKILL);
			while (run(&g) == QUERN_VM_SYSCALL)
				g.f = guest_frame(g_call);
			ck_assert_uint_eq(g.f.f_why, QUERN_VM_DEAD);
		}
		/* It stays dead; changes are no trouble. */
		ck_assert_uint_eq(run(&g), QUERN_VM_DEAD);
		ck_assert_int_eq(update(&g, QUERN_VM_UNMAP, GUEST_DATA, 4096, 0,
				     0),
		    0);
		ck_assert_int_eq(g.t.t_ops->vm_destroy(g.t.t_ctx, ID), 0);
		ck_assert_int_eq(g.t.t_ops->vm_create(g.t.t_ctx, ID), 0);
		ck_assert_int_eq(guest_install(g.t.t_ops, g.t.t_ctx, ID, g.ram),
		    0);
		g.f = guest_frame(g_call);
		ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
		end(&g);
		ck_assert_uint_eq(test_count_fds(), fds);
	}
}
END_TEST

/* It does not answer a kick, being stopped: the watchdog's case. */
START_TEST(guest_silent)
{
	struct quern_posix_config config = { .pc_vm_answer_ms = 50,
		.pc_handover = handover[_i].pc_handover };
	struct guest g;
	uint64_t start;
	pid_t pid;

	begin_guest(&g, &config);
	pid = test_guest_pid();
	ck_assert_int_gt(pid, 0);
	g.f = guest_frame(g_spin);
	g.f.f_reg[RDI] = GUEST_DATA;
	kill(pid, SIGSTOP);
	start = test_now(&g.t);
	/* On a busy host the first slices may end before they begin. */
	while (run_until(&g, test_now(&g.t) + 5 * TEST_MS) == QUERN_VM_KICK)
		ck_assert_uint_lt(test_now(&g.t), start + TEST_LONG);
	ck_assert_uint_eq(g.f.f_why, QUERN_VM_DEAD);
	ck_assert_uint_ge(test_now(&g.t), start + 50 * TEST_MS);
	end(&g);
}
END_TEST

/* The embedder is killed: its guests go with it, running or not. */
START_TEST(embedder_killed)
{
	struct guest g;
	pid_t embedder, pids[2] = { 0, 0 };
	int p[2], i;
	char ready;

	ck_assert_int_eq(pipe(p), 0);
	embedder = fork();
	if (embedder == 0) {
		begin_guest(&g, &handover[_i]);
		pids[0] = test_guest_pid();
		ck_assert_int_eq(g.t.t_ops->vm_create(g.t.t_ctx, ID + 1), 0);
		(void)!write(p[1], pids, sizeof pids[0]);
		g.f = guest_frame(g_spin);
		g.f.f_reg[RDI] = GUEST_DATA;
		(void)!write(p[1], "r", 1);
		run(&g);
		_exit(0);
	}
	ck_assert_int_eq(read(p[0], pids, sizeof pids[0]),
	    (ssize_t)sizeof pids[0]);
	ck_assert_int_eq(read(p[0], &ready, 1), 1);
	ck_assert_int_gt(pids[0], 0);
	ck_assert_int_eq(kill(pids[0], 0), 0);
	kill(embedder, SIGKILL);
	ck_assert_int_eq(waitpid(embedder, NULL, 0), embedder);
	close(p[1]);
	/* The guest holds no end of the pipe, so that can't tell; ask. */
	for (i = 0; i < 20000; i++) {
		char path[64], state = 'Z';
		FILE *f;

		snprintf(path, sizeof path, "/proc/%d/stat", (int)pids[0]);
		f = fopen(path, "r");
		if (f == NULL)
			break;
		if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			state = 'Z';
		fclose(f);
		if (state == 'Z' || state == 'X')
			break; /* of whoever adopted it */
		usleep(1000);
	}
	ck_assert_int_lt(i, 20000);
	close(p[0]);
}
END_TEST

/* The process that makes guests is killed: they go, and no more come. */
START_TEST(nurse_killed)
{
	unsigned fds = test_count_fds();
	char path[64];
	struct guest g;
	long nurse = 0;
	pid_t pid;
	FILE *f;

	begin_guest(&g, NULL);
	pid = test_guest_pid();
	ck_assert_int_gt(pid, 0);
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%*d (%*[^)]) %*c %ld", &nurse), 1);
	fclose(f);
	ck_assert_int_ne(nurse, (long)getpid());
	kill((pid_t)nurse, SIGKILL);
	do {
		g.f = guest_frame(g_call);
	} while (run(&g) == QUERN_VM_SYSCALL);
	ck_assert_uint_eq(g.f.f_why, QUERN_VM_DEAD);
	ck_assert_int_eq(g.t.t_ops->vm_create(g.t.t_ctx, ID + 1), -EAGAIN);
	ck_assert_int_eq(g.t.t_ops->vm_destroy(g.t.t_ctx, ID), 0);
	end(&g);
	ck_assert_uint_eq(test_count_fds(), fds);
	ck_assert_uint_eq(test_count_children(), 0);
}
END_TEST

/* The host's kernel has no memory for a mapping. */
START_TEST(no_memory)
{
	struct quern_vm_op both[40] = {
		MAP_OP(0x20000000, GUEST_RAM_FREE, 4096, RW),
		{ QUERN_VM_UNMAP, 0, 0x30000000, 4096, 0 },
	};
	struct rlimit rl, none = { 4096, 4096 };
	struct guest g;
	unsigned i, n;
	pid_t pid;

	begin_guest(&g, &handover[_i]);
	g.f = guest_frame(g_call_loop);
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	pid = test_guest_pid();
	ck_assert_int_eq(prlimit(pid, RLIMIT_AS, NULL, &rl), 0);
	none.rlim_max = rl.rlim_max;
	ck_assert_int_eq(prlimit(pid, RLIMIT_AS, &none, NULL), 0);
	/* By itself, with others behind it, and if there are too many to wait. */
	for (i = 0; i < 3; i++) {
		n = i == 0 ? 1 : 2;
		g.f = guest_frame(g_call_loop);
		ck_assert_int_eq(g.t.t_ops->vm_update(g.t.t_ctx, 0, ID, both,
				     n),
		    0);
		ck_assert_int_eq(g.t.t_ops->vm_run(g.t.t_ctx, 0, ID, &seat,
				     &g.f, QUERN_NEVER),
		    -ENOMEM);
		/* The guest has not run, and nothing is left to it. */
		ck_assert_uint_eq(g.f.f_reg[R15], 0);
		ck_assert_uint_eq(run(&g), QUERN_VM_FAULT);
		ck_assert_uint_eq(g.f.f_addr, g.f.f_rip);
	}
	for (i = 0; i < 40; i++)
		both[i] = (struct quern_vm_op)MAP_OP(0x20000000 + i * 8192,
		    GUEST_RAM_FREE, 4096, RW);
	both[0].v_cmd = QUERN_VM_PROTECT;
	ck_assert_int_eq(g.t.t_ops->vm_update(g.t.t_ctx, 0, ID, both, 40), 0);
	ck_assert_int_eq(g.t.t_ops->vm_update(g.t.t_ctx, 0, ID, both, 40),
	    -ENOMEM);
	ck_assert_int_eq(prlimit(pid, RLIMIT_AS, &rl, NULL), 0);
	ck_assert_uint_eq(run(&g), QUERN_VM_FAULT);
	ck_assert_int_eq(guest_install(g.t.t_ops, g.t.t_ctx, ID, g.ram), 0);
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	ck_assert_int_eq(g.t.t_ops->vm_update(g.t.t_ctx, 0, ID, &both[1], 39),
	    0);
	g.f = guest_frame(g_load);
	g.f.f_reg[RDI] = both[39].v_addr;
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	end(&g);
}
END_TEST

/* With every limit of descriptors: made, or refused and nothing kept. */
START_TEST(few_descriptors)
{
	struct rlimit rl, tight;
	unsigned fds = test_count_fds();
	struct guest g;
	int error = -1;

	getrlimit(RLIMIT_NOFILE, &rl);
	tight = rl;
	/* Descriptors beyond the limit, which we may have, do no harm. */
	for (tight.rlim_cur = 0; tight.rlim_cur < fds + 20; tight.rlim_cur++) {
		begin(&g, NULL);
		setrlimit(RLIMIT_NOFILE, &tight);
		error = g.t.t_ops->vm_create(g.t.t_ctx, ID);
		setrlimit(RLIMIT_NOFILE, &rl);
		ck_assert_msg(error == 0 || error == -EMFILE, "%d", error);
		if (error != 0)
			ck_assert_int_eq(g.t.t_ops->vm_create(g.t.t_ctx, ID),
			    0);
		end(&g);
		ck_assert_uint_eq(test_count_fds(), fds);
		ck_assert_uint_eq(test_count_children(), 0);
	}
	ck_assert_int_eq(error, 0);
}
END_TEST

/* Where the host's kernel allows less than it takes there are no guests. */
static void
refuse(unsigned nr, unsigned error)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof f / sizeof f[0], f };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
}

START_TEST(refused)
{
	static const struct {
		unsigned nr, error;
		int result;
	} t[] = {
		{ SYS_seccomp, EPERM, -EOPNOTSUPP },
		{ SYS_execveat, EACCES, -EOPNOTSUPP },
		{ SYS_close_range, ENOSYS, -EOPNOTSUPP },
		{ SYS_memfd_create, ENOSYS, -EOPNOTSUPP },
	};
	unsigned fds, tasks = test_count_tasks();
	struct guest g;

	begin(&g, NULL);
	fds = test_count_fds();
	refuse(t[_i].nr, t[_i].error);
	ck_assert_int_eq(g.t.t_ops->vm_create(g.t.t_ctx, ID), t[_i].result);
	ck_assert_int_eq(test_guest_pid(), -1);
	end(&g);
	ck_assert_uint_le(test_count_fds(), fds);
	test_await_tasks(tasks);
}
END_TEST

/* --- hostile guests ----------------------------------------------------------- */

/* Jump at one of the stub's system calls with registers of the guest's choice. */
START_TEST(jump_at_stub)
{
	static const struct {
		uint64_t nr, a, b, c, d, e, f;
	} t[] = {
		{ SYS_mmap, 0x20000000, 4096, 3, 0x11, STUB_FD_RAM, 5 << 20 },
		{ SYS_mmap, 0x20000000, 4096, 3, 0x32, UINT64_MAX, 0 },
		{ SYS_mprotect, GUEST_TEXT, 4096, 7, 0, 0, 0 },
		{ SYS_munmap, STUB_BASE, 4096, 0, 0, 0, 0 },
		{ SYS_munmap, SLOT_BASE, SLOT_LEN, 0, 0, 0, 0 },
		{ SYS_open, GUEST_DATA, 0, 0, 0, 0, 0 },
		{ SYS_rt_sigreturn, 0, 0, 0, 0, 0, 0 },
		{ SYS_futex, SLOT_BASE + C_TURN, 3, 1, 1, SLOT_BASE, 0 },
		{ SYS_futex, SLOT_BASE + C_TURN, 0x80, 0, 0, 0, 0 },
		{ SYS_futex, SLOT_BASE + C_GATE, 0, 0, 0, 0, 0 },
		{ SYS_futex, GUEST_DATA, 1, 1, 0, 0, 0 },
		{ SYS_futex, UINT64_C(0x100000000) + SLOT_BASE, 1, 1, 0, 0, 0 },
		{ SYS_clone, 0x11, 0, 0, 0, 0, 0 },
		{ SYS_fork, 0, 0, 0, 0, 0, 0 },
		{ SYS_exit_group, 0, 0, 0, 0, 0, 0 },
		{ SYS_getppid, 0, 0, 0, 0, 0, 0 },
		{ SYS_sched_yield | 0x40000000, 0, 0, 0, 0, 0, 0 },
	};
	/* A call from there is known by the address behind it. */
	const uint64_t site = STUB_BASE +
	    host_stub_offset[_i == 0 ? STUB_S1 : STUB_S2];
	struct guest g;
	unsigned i;

	begin_guest(&g, NULL);
	for (i = 0; i < sizeof t / sizeof t[0]; i++) {
		g.f = guest_frame(g_jump);
		g.f.f_reg[RAX] = t[i].nr;
		g.f.f_reg[RDI] = t[i].a;
		g.f.f_reg[RSI] = t[i].b;
		g.f.f_reg[RDX] = t[i].c;
		g.f.f_reg[R10] = t[i].d;
		g.f.f_reg[R8] = t[i].e;
		g.f.f_reg[R9] = t[i].f;
		g.f.f_reg[R15] = site - 2;
		ck_assert_uint_eq(run(&g), QUERN_VM_FAULT);
		ck_assert_uint_eq(g.f.f_addr, site);
		ck_assert_uint_eq(g.f.f_error, 0x14);
		/* It can't go on there by itself, */
		ck_assert_uint_eq(run(&g), QUERN_VM_FAULT);
		ck_assert_uint_eq(g.f.f_addr, site);
		/* and all is as before. */
		g.f = guest_frame(g_load);
		g.f.f_reg[RDI] = 0x20000000;
		ck_assert_uint_eq(run(&g), QUERN_VM_FAULT);
		g.f = guest_frame(g_store);
		g.f.f_reg[RDI] = GUEST_TEXT;
		ck_assert_uint_eq(run(&g), QUERN_VM_FAULT);
		ck_assert_uint_eq(g.f.f_error, 7);
		g.f = guest_frame(g_call);
		ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	}
	end(&g);
}
END_TEST

/* Jump anywhere into the stub: the guest may spoil its own run, no more. */
START_TEST(jump_everywhere)
{
	struct quern_posix_config config = { .pc_vm_answer_ms = 100,
		.pc_handover = handover[_i].pc_handover };
	unsigned at, len = (unsigned)(host_stub_image_end - host_stub_image);
	unsigned deaths = 0;
	struct guest g;

	begin_guest(&g, &config);
	for (at = 0; at < len; at++) {
		g.f = guest_frame(at % 2 != 0 ? g_jump : g_step_jump);
		g.f.f_reg[R15] = STUB_BASE + at;
		g.f.f_reg[RDI] = GUEST_DATA;
		g.f.f_reg[RBX] = GUEST_DATA;
		g.f.f_reg[RDX] = GUEST_DATA;
		g.f.f_reg[R12] = GUEST_DATA;
		run_until(&g, test_now(&g.t) + 2 * TEST_MS);
		if (g.f.f_why != QUERN_VM_DEAD) {
			/* A removal that is answered has happened. */
			ck_assert_int_eq(update(&g, QUERN_VM_UNMAP, GUEST_DATA,
					     4096, 0, 0),
			    0);
			g.f = guest_frame(g_load);
			g.f.f_reg[RDI] = GUEST_DATA;
			run_until(&g, test_now(&g.t) + 2000 * TEST_MS);
			ck_assert(g.f.f_why == QUERN_VM_FAULT ||
			    g.f.f_why == QUERN_VM_DEAD);
		}
		if (g.f.f_why == QUERN_VM_DEAD) {
			deaths++;
			reborn(&g);
		}
		ck_assert_int_eq(guest_install(g.t.t_ops, g.t.t_ctx, ID, g.ram),
		    0);
	}
	ck_assert_uint_lt(deaths, len / 2);
	end(&g);
}
END_TEST

START_TEST(other_doors)
{
	struct guest g;

	begin_guest(&g, NULL);
	g.f = guest_frame(g_int80);
	ck_assert_uint_eq(run(&g), QUERN_VM_TRAP);
	ck_assert_uint_eq(g.f.f_trap, 13);
	ck_assert_uint_eq(g.f.f_rip, GUEST(g_int80) + 5);

	g.f = guest_frame(g_sysenter);
	run(&g);
	ck_assert(g.f.f_why == QUERN_VM_TRAP || g.f.f_why == QUERN_VM_FAULT);

	/* A call like any other, or nothing there. */
	g.f = guest_frame(g_vsyscall);
	run(&g);
	if (g.f.f_why == QUERN_VM_SYSCALL)
		ck_assert_uint_eq(g.f.f_reg[RAX], SYS_gettimeofday);
	else
		ck_assert_uint_eq(g.f.f_why, QUERN_VM_FAULT);

	g.f = guest_frame(g_compat);
	ck_assert_uint_eq(run(&g), QUERN_VM_TRAP);
	ck_assert_uint_eq(g.f.f_trap, 13);

	/* x32 is a system call with an odd number. */
	g.f = guest_frame(g_call);
	g.f.f_rip += 5;
	g.f.f_reg[RAX] = 39 | 0x40000000;
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	ck_assert_uint_eq(g.f.f_reg[RAX], 39 | 0x40000000);
	end(&g);
}
END_TEST

/*
 * A guest that says it is the host's turn and runs on, looking through the slot.
 * What it says is a call is one; but no removal is believed, and no secret
 * written, before it has really stopped.
 */
START_TEST(fake_turn)
{
	struct quern_posix_config config = {
		.pc_handover = handover[_i].pc_handover
	};
	struct guest g;
	uint64_t *seen;
	unsigned i;

	begin_guest(&g, &config);
	seen = (uint64_t *)(void *)(g.ram + GUEST_RAM_DATA);
	for (i = 0; i < 300; i++) {
		/* A true call first, so that there is a frame to point at. */
		g.f = guest_frame(g_call);
		ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
		g.f = guest_frame(g_snoop);
		g.f.f_reg[RDI] = SLOT_BASE + C_TURN;
		g.f.f_reg[RSI] = SLOT_BASE + C_SIG;
		g.f.f_reg[RDX] = SIGSYS;
		g.f.f_reg[R8] = GUEST_DATA;
		g.f.f_reg[RBX] = SLOT_BASE + SLOT_OPS;
		g.f.f_reg[RCX] = STUB_NOPS * OP_SIZE;
		run_until(&g, test_now(&g.t) + TEST_MS);
		if (g.f.f_why == QUERN_VM_DEAD) {
			reborn(&g); /* the host saw through it */
			continue;
		}
		/* Were it believed, these would show it what to say at S2. */
		ck_assert_int_eq(update(&g, QUERN_VM_UNMAP, 0x10000000, 4096, 0,
				     0),
		    0);
		ck_assert_int_eq(update(&g, QUERN_VM_PROTECT, GUEST_TEXT, 4096,
				     0, QUERN_VM_READ | QUERN_VM_EXEC),
		    0);
	}
	/* It did run, and found nothing. */
	ck_assert_uint_gt(seen[0], 0);
	ck_assert_uint_eq(seen[1], 0);
	end(&g);
}
END_TEST

/* What it can't reach any more it can't reach, whatever it pretends. */
START_TEST(fake_turn_unmapped)
{
	struct guest g;
	volatile uint64_t *count;
	uint64_t last;
	unsigned i, j;

	begin_guest(&g, &handover[_i]);
	count = (volatile uint64_t *)(void *)(g.ram + GUEST_RAM_FREE);
	g.f = guest_frame(g_call);
	ck_assert_uint_eq(run(&g), QUERN_VM_SYSCALL);
	for (i = 0; i < 50; i++) {
		ck_assert_int_eq(update(&g, QUERN_VM_MAP, 0x10000000, 4096,
				     GUEST_RAM_FREE, RW),
		    0);
		g.f = guest_frame(g_fake);
		g.f.f_reg[RDI] = SLOT_BASE + C_TURN;
		g.f.f_reg[RSI] = SLOT_BASE + C_SIG;
		g.f.f_reg[RDX] = SIGUSR1;
		g.f.f_reg[R8] = 0x10000000;
		run_until(&g, test_now(&g.t) + TEST_MS);
		if (g.f.f_why == QUERN_VM_DEAD) {
			reborn(&g);
			continue;
		}
		ck_assert_int_eq(update(&g, QUERN_VM_UNMAP, 0x10000000, 4096, 0,
				     0),
		    0);
		last = __atomic_load_n(count, __ATOMIC_RELAXED);
		for (j = 0; j < 100; j++)
			sched_yield();
		ck_assert_uint_eq(__atomic_load_n(count, __ATOMIC_RELAXED),
		    last);
	}
	end(&g);
}
END_TEST

/* Its process: two tasks of ours apart, it has RAM and nothing else. */
START_TEST(process_is_bare)
{
	char path[64], line[512];
	unsigned nfd = 0, ranges = 0;
	struct guest g;
	FILE *f;
	pid_t pid;

	begin(&g, NULL);
	ck_assert_int_eq(g.t.t_ops->vm_create(g.t.t_ctx, ID), 0);
	pid = test_guest_pid();
	ck_assert_int_gt(pid, 0);
	snprintf(path, sizeof path, "ls /proc/%d/fd", (int)pid);
	f = popen(path, "r");
	while (fgets(line, sizeof line, f) != NULL)
		nfd += atoi(line) != STUB_FD_RAM ? 100 : 1;
	pclose(f);
	ck_assert_uint_eq(nfd, 1);
	snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof line, f) != NULL) {
		/* The kernel's own page above it all is not a mapping. */
		if (strstr(line, "[vsyscall]") != NULL)
			continue;
		ck_assert_msg(strtoull(line, NULL, 16) < VM_LOW, "%s", line);
		ranges++;
	}
	fclose(f);
	ck_assert_uint_eq(ranges, 2);
	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	f = fopen(path, "r");
	while (fgets(line, sizeof line, f) != NULL) {
		if (strncmp(line, "NoNewPrivs:", 11) == 0)
			ck_assert_int_eq(atoi(line + 11), 1);
		if (strncmp(line, "Seccomp:", 8) == 0)
			ck_assert_int_eq(atoi(line + 8), 2);
	}
	fclose(f);
	end(&g);
}
END_TEST

/* Several machines, each with guests, in threads of their own. */
static void *
machine_main(void *arg)
{
	static struct quern_seat seats[4];
	unsigned n = (unsigned)(uintptr_t)arg, i;
	struct quern_host h = quern_posix();
	struct quern_machine qm = { .m_ncpu = 1, .m_name = "m", .m_core = 64 };
	static const struct quern_upcalls up;
	struct quern_vmframe f;
	void *ctx, *core, *ram;

	if (h.h_ops->begin(h.h_arg, &qm, &up, &ctx, &core) != 0 ||
	    h.h_ops->ram_create(ctx, RAM_LEN, &ram) != 0 ||
	    h.h_ops->vm_create(ctx, n) != 0 ||
	    guest_install(h.h_ops, ctx, n, ram) != 0)
		return "begin";
	f = guest_frame(g_store);
	f.f_reg[RDI] = GUEST_DATA;
	for (i = 0; i < 500; i++) {
		f.f_reg[RSI] = n * 1000 + i;
		if (h.h_ops->vm_run(ctx, 0, n, &seats[n], &f, QUERN_NEVER) !=
			0 ||
		    f.f_why != QUERN_VM_SYSCALL)
			return "run";
		if (*(uint32_t *)(void *)((char *)ram + GUEST_RAM_DATA) !=
		    n * 1000 + i)
			return "another's memory";
	}
	h.h_ops->end(ctx);
	return NULL;
}

START_TEST(machines)
{
	pthread_t thread[4];
	unsigned fds = test_count_fds(), i;
	void *complaint;

	for (i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, machine_main,
		    (void *)(uintptr_t)i);
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], &complaint);
		ck_assert_msg(complaint == NULL, "%s", (char *)complaint);
	}
	ck_assert_uint_eq(test_count_fds(), fds);
	ck_assert_uint_eq(test_count_children(), 0);
}
END_TEST

static void
add_running(TCase *tc)
{
	tcase_add_loop_test(tc, syscall_registers, 0, NHANDOVER);
	tcase_add_loop_test(tc, many_syscalls, 0, NHANDOVER);
	tcase_add_test(tc, bases);
	tcase_add_test(tc, flags);
	tcase_add_test(tc, null_segments);
	tcase_add_test(tc, extended_state);
	tcase_add_loop_test(tc, jump_is_a_call, 0, NHANDOVER);
	tcase_add_test(tc, jump_keeps_registers);
	tcase_add_loop_test(tc, jump_back_nowhere, 0, NHANDOVER);
	tcase_add_loop_test(tc, fault_and_map, 0, NHANDOVER);
	tcase_add_loop_test(tc, protect, 0, NHANDOVER);
	tcase_add_test(tc, many_changes);
	tcase_add_test(tc, discard);
	tcase_add_test(tc, traps);
	tcase_add_loop_test(tc, kick_endless_loop, 0, NHANDOVER);
	tcase_add_test(tc, kick_is_latched);
	tcase_add_loop_test(tc, deadline, 0, NHANDOVER);
	tcase_add_loop_test(tc, kick_storm, 0, 2 * NHANDOVER);
	tcase_add_loop_test(tc, update_while_running, 0, NHANDOVER);
	tcase_add_test(tc, busy);
	tcase_add_test(tc, bad_calls);
	tcase_add_test(tc, bad_changes);
	tcase_add_test(tc, edges);
}

static Suite *
vm_suite(void)
{
	Suite *s = suite_create("hypercall/posix guests");
	TCase *tc = tcase_create("running");

	tcase_set_timeout(tc, 120);
	add_running(tc);
	suite_add_tcase(s, tc);

	tc = tcase_create("life");
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, hundred);
	tcase_add_loop_test(tc, kept_is_empty, 0, NHANDOVER);
	tcase_add_loop_test(tc, kept_killed, 0, NHANDOVER);
	tcase_add_test(tc, no_sigchld);
	tcase_add_loop_test(tc, guest_killed, 0, NHANDOVER);
	tcase_add_loop_test(tc, guest_silent, 0, NHANDOVER);
	tcase_add_loop_test(tc, embedder_killed, 0, NHANDOVER);
	tcase_add_test(tc, nurse_killed);
	tcase_add_loop_test(tc, no_memory, 0, NHANDOVER);
	tcase_add_test(tc, few_descriptors);
	tcase_add_loop_test(tc, refused, 0, 4);
	tcase_add_test(tc, process_is_bare);
	tcase_add_test(tc, machines);
	suite_add_tcase(s, tc);

	tc = tcase_create("hostile");
	tcase_set_timeout(tc, 240);
	tcase_add_loop_test(tc, jump_at_stub, 0, 2);
	tcase_add_loop_test(tc, jump_everywhere, 0, NHANDOVER);
	tcase_add_test(tc, other_doors);
	tcase_add_loop_test(tc, fake_turn, 0, NHANDOVER);
	tcase_add_loop_test(tc, fake_turn_unmapped, 0, NHANDOVER);
	suite_add_tcase(s, tc);
	return s;
}

/* Can this host have guests at all? */
static bool
supported(void)
{
	const struct quern_hyper *ops = quern_posix().h_ops;
	struct quern_machine qm = { .m_ncpu = 1 };
	static const struct quern_upcalls up;
	void *ctx, *core, *ram;
	int error;

	if (ops->begin(NULL, &qm, &up, &ctx, &core) != 0)
		return true;
	error = ops->ram_create(ctx, RAM_LEN, &ram);
	if (error == 0)
		error = ops->vm_create(ctx, ID);
	ops->end(ctx);
	if (error == -EOPNOTSUPP)
		puts("SKIP: this host can't have guests");
	return error != -EOPNOTSUPP;
}

int
main(void)
{
	SRunner *sr;
	int failed;

	if (!supported())
		return EXIT_SUCCESS;
	sr = srunner_create(vm_suite());
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
