/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_run: a guest thread's registers into the stub, and what stopped it out.
 *
 * The stub's signal handler leaves the frame that the host's kernel made on its
 * alternate stack in the slot, and says where; all registers are read from
 * there.  Everything in the slot is the guest's to write, so each field is read
 * once, an address must lie where a frame can be, and what cannot be is a dead
 * guest.  Registers themselves are only the guest's own.
 *
 * Extended state stays where the host's kernel saved it, in that frame, and is
 * loaded from there when the same guest thread is run again (v_owner names the
 * thread).  For another it is copied into the slot from the thread's f_xsave; that
 * of the first is lost then if nobody has asked for it.
 *
 * A call that comes by a jump to the stub (STOP_CALL) is told in the slot itself,
 * and leaves extended state in the registers (v_live), as the stub does until the
 * guest goes on.  If it goes on as after a system call, there is a shorter way to
 * have it do so (RESUME_FAST).
 */
#include <linux/audit.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "vm.h"

/* Room for frames of SIGUSR1 below the guest's own. */
#define STACK_SPARE 0x1800u

/* What a guest may have in its flags (not NT, which iretq can't), and has. */
#define RFLAGS_USER  0x250dd5u
#define RFLAGS_FIXED 0x202u

/* What only iretq can give it: a step, and RF. */
#define RFLAGS_IRET 0x10100u

/* Page-fault error code of fetching an instruction where nothing is. */
#define PF_USER_FETCH 0x14u

#define TRAP_GP 13u
#define TRAP_PF 14u

#define CS_64 0x33u

/* In f_reg. */
#define F_RAX 0u
#define F_RCX 2u
#define F_R11 11u

/* The host's order of struct quern_vmframe's f_reg. */
static const unsigned char reg_order[16] = { REG_RAX, REG_RBX, REG_RCX, REG_RDX,
	REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8, REG_R9, REG_R10, REG_R11,
	REG_R12, REG_R13, REG_R14, REG_R15 };

_Static_assert(C_TURN == offsetof(struct comm, c_turn), "");
_Static_assert(C_GATE == offsetof(struct comm, c_gate), "");
_Static_assert(C_HSLEEP == offsetof(struct comm, c_hsleep), "");
_Static_assert(C_SSLEEP == offsetof(struct comm, c_ssleep), "");
_Static_assert(C_SPINS == offsetof(struct comm, c_spins), "");
_Static_assert(C_YIELDS == offsetof(struct comm, c_yields), "");
_Static_assert(C_LEFT == offsetof(struct comm, c_left), "");
_Static_assert(C_PEND == offsetof(struct comm, c_pend), "");
_Static_assert(C_RESUME == offsetof(struct comm, c_resume), "");
_Static_assert(C_NOPS == offsetof(struct comm, c_nops), "");
_Static_assert(C_OPI == offsetof(struct comm, c_opi), "");
_Static_assert(C_OPERR == offsetof(struct comm, c_operr), "");
_Static_assert(C_SIG == offsetof(struct comm, c_sig), "");
_Static_assert(C_HOLD == offsetof(struct comm, c_hold), "");
_Static_assert(C_UC == offsetof(struct comm, c_uc), "");
_Static_assert(C_INFO == offsetof(struct comm, c_info), "");
_Static_assert(C_SP == offsetof(struct comm, c_sp), "");
_Static_assert(C_FP == offsetof(struct comm, c_fp), "");
_Static_assert(C_FSBASE == offsetof(struct comm, c_fsbase), "");
_Static_assert(C_GSBASE == offsetof(struct comm, c_gsbase), "");
_Static_assert(C_REG == offsetof(struct comm, c_reg), "");
_Static_assert(C_RIP == offsetof(struct comm, c_rip), "");
_Static_assert(C_RFLAGS == offsetof(struct comm, c_rflags), "");
_Static_assert(C_XMASK == offsetof(struct comm, c_xmask), "");
_Static_assert(C_SLEEPY == offsetof(struct comm, c_sleepy), "");
_Static_assert(sizeof(struct comm) <= SLOT_OPS, "");
_Static_assert(OP_SIZE == sizeof(struct stub_op), "");
_Static_assert(OP_ARG == offsetof(struct stub_op, o_arg), "");
_Static_assert(OP_RET == offsetof(struct stub_op, o_ret), "");
_Static_assert(SLOT_OPS + STUB_NOPS * OP_SIZE <= SLOT_FP, "");
_Static_assert(SLOT_BASE % SLOT_LEN == 0 && SLOT_BASE + SLOT_LEN <= VM_LOW, "");
_Static_assert(K_SIGUSR1 == SIGUSR1 && K_SIGSYS == SIGSYS, "");

bool
host_vm_kick(struct machine *m, uint64_t *word)
{
	struct vmhost *vh = atomic_load(&m->m_vm);
	uint64_t old;
	bool done;

	/* While it is counted, no descriptor goes that it may use. */
	atomic_fetch_add(&vh->vh_kicking, 1);
	old = __atomic_load_n(word, __ATOMIC_SEQ_CST);
	done = (old & SEAT_MASK) == SEAT_GUEST &&
	    __atomic_compare_exchange_n(word, &old, SEAT_KICKED, false,
		__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	if (done)
		host_turn_kick(atomic_load(&vh->vh_slot[old / SEAT_INDEX]));
	atomic_fetch_sub(&vh->vh_kicking, 1);
	return done;
}

static bool
canonical(uint64_t addr)
{
	return (uint64_t)((int64_t)(addr << 16) >> 16) == addr;
}

static bool
frame_possible(const struct vmhost *vh, const struct quern_vmframe *f)
{
	return f->f_rip < VM_TOP && canonical(f->f_fsbase) &&
	    canonical(f->f_gsbase) &&
	    (f->f_xsave == NULL || f->f_xsavelen >= vh->vh_xsavelen);
}

/* Keep the stub where the hand-over wants it. */
static void
place(struct vmhost *vh, struct vmspace *v)
{
	unsigned want = vh->vh_m->m_config->pc_handover;
	int here = sched_getcpu(), there = here;
	const cpu_set_t *allowed = &vh->vh_m->m_allowed;
	cpu_set_t set;

	v->v_handover = want != QUERN_POSIX_AUTO ? want : QUERN_POSIX_YIELD;
	/* A tracer has to run in between, wherever it is. */
	if (v->v_tracer != NULL)
		v->v_handover = QUERN_POSIX_FUTEX;
	if (v->v_handover == QUERN_POSIX_FUTEX)
		return;
	if (v->v_handover == QUERN_POSIX_SPIN && v->v_cpu >= 0 &&
	    v->v_cpu != here)
		return;
	if (v->v_handover == QUERN_POSIX_SPIN) {
		for (there = 0; there < CPU_SETSIZE; there++)
			if (there != here && CPU_ISSET(there, allowed))
				break;
		if (there == CPU_SETSIZE) {
			v->v_handover = QUERN_POSIX_YIELD;
			there = here;
		}
	}
	if (there == v->v_cpu)
		return;
	CPU_ZERO(&set);
	CPU_SET(there, &set);
	if (sched_setaffinity(v->v_pid, sizeof set, &set) == 0)
		v->v_cpu = there;
}

/* In an area of extended state. */
#define XSAVE_FCW       0
#define XSAVE_MXCSR     24
#define XSAVE_XSTATE_BV 512

/* Nothing is there: all components are to be as after a reset. */
static bool
xsave_void(const unsigned char *area)
{
	uint64_t xstate_bv;
	uint32_t mxcsr;

	memcpy(&xstate_bv, area + XSAVE_XSTATE_BV, sizeof xstate_bv);
	memcpy(&mxcsr, area + XSAVE_MXCSR, sizeof mxcsr);
	return xstate_bv == 0 && mxcsr == 0;
}

/* Extended state of `f`, which is not in the slot, into it. */
static void
load_xsave(struct vmhost *vh, struct vmspace *v, const struct quern_vmframe *f)
{
	static const uint32_t mxcsr = 0x1f80;
	static const uint16_t fcw = 0x37f;
	unsigned char *area = v->v_slot + SLOT_FP;

	if (f->f_xsave != NULL && !xsave_void(f->f_xsave)) {
		memcpy(area, f->f_xsave, vh->vh_xsavelen);
	} else {
		memset(area, 0, vh->vh_xsavelen);
		memcpy(area + XSAVE_FCW, &fcw, sizeof fcw);
		memcpy(area + XSAVE_MXCSR, &mxcsr, sizeof mxcsr);
	}
	v->v_fp = SLOT_BASE + SLOT_FP;
	v->v_sp = SLOT_BASE + SLOT_LEN;
	v->v_live = false;
}

/* How it is to go on, with its extended state where v says. */
static unsigned
resume_kind(const struct vmspace *v, const struct quern_vmframe *f)
{
	if (!v->v_live)
		return RESUME_LOAD;
	if (f->f_reg[F_RCX] == f->f_rip && f->f_reg[F_R11] == f->f_rflags &&
	    (f->f_rflags & (RFLAGS_IRET | RFLAGS_FIXED)) == RFLAGS_FIXED &&
	    (f->f_rflags & ~(uint64_t)(RFLAGS_USER | RFLAGS_FIXED)) == 0)
		return RESUME_FAST;
	return RESUME_LIVE;
}

/* Registers from `f` into the slot, and how to go on with them. */
static void
load_frame(struct vmhost *vh, struct vmspace *v, const struct quern_vmframe *f)
{
	struct comm *c = vm_comm(v);

	memcpy(c->c_reg, f->f_reg, sizeof c->c_reg);
	c->c_rip = f->f_rip;
	c->c_rflags = (f->f_rflags & RFLAGS_USER) | RFLAGS_FIXED;
	c->c_fsbase = f->f_fsbase;
	c->c_gsbase = f->f_gsbase;
	if (f->f_host[0] == 0 || f->f_host[0] != v->v_owner) {
		load_xsave(vh, v, f);
		v->v_owner = 0;
	}
	c->c_fp = v->v_fp;
	c->c_xmask = vh->vh_xmask;
	c->c_sp = v->v_sp;
	c->c_resume = resume_kind(v, f);
}

/* Our view of `len` bytes at a stub's address on its stack, or NULL. */
static const void *
on_stack(const struct vmspace *v, uint64_t addr, size_t len, size_t align)
{
	if ((addr < SLOT_BASE + SLOT_STACK ||
		addr > SLOT_BASE + SLOT_LEN - len || addr % align != 0) &&
	    (v->v_weak & QUERN_POSIX_NOFRAMES) == 0)
		return NULL;
	return (const void *)((uintptr_t)v->v_slot + (addr - SLOT_BASE));
}

/*
 * Where the extended state of the frame at `uc` is; false if it can't be.  One
 * that is so low on the stack that there is no room below is moved.
 */
static bool
note_xsave(struct vmhost *vh, struct vmspace *v, uint64_t uc, uint64_t fp)
{
	const void *area = on_stack(v, fp, vh->vh_xsavelen, 64);

	if (area == NULL)
		return false;
	v->v_live = false;
	v->v_fp = fp;
	v->v_sp = uc - sizeof(uint64_t);
	if (v->v_sp < SLOT_BASE + SLOT_STACK + STACK_SPARE) {
		memcpy(v->v_slot + SLOT_FP, area, vh->vh_xsavelen);
		v->v_fp = SLOT_BASE + SLOT_FP;
		v->v_sp = SLOT_BASE + SLOT_LEN;
	}
	return true;
}

/* As if nothing were mapped where the guest went, which is the stub's. */
static void
fault_fetch(struct quern_vmframe *f)
{
	f->f_why = QUERN_VM_FAULT;
	f->f_addr = f->f_rip;
	f->f_error = PF_USER_FETCH;
	f->f_trap = TRAP_PF;
}

static void
trap(struct quern_vmframe *f, unsigned vector, uint32_t error)
{
	f->f_why = QUERN_VM_TRAP;
	f->f_trap = vector;
	f->f_error = error;
}

/* SIGSYS: a system call, or one in a way that no 64-bit program has. */
static bool
note_sigsys(const struct vmspace *v, struct quern_vmframe *f, uint64_t info,
    unsigned cs)
{
	const siginfo_t *si = on_stack(v, info, sizeof(*si), 8);
	uint32_t arch;

	if (si == NULL)
		return false;
	memcpy(&arch, &si->si_arch, sizeof arch);
	if (arch == AUDIT_ARCH_X86_64 && cs == CS_64) {
		f->f_why = QUERN_VM_SYSCALL;
		return true;
	}
	/* `int $0x80` on a machine that has no such gate. */
	f->f_rip -= 2;
	trap(f, TRAP_GP, 0x80 << 3 | 2);
	return true;
}

/* Is that where the stub is, and no guest can go on? */
static bool
in_stub(const struct vmspace *v, uint64_t rip)
{
	return rip >= STUB_BASE && rip < VM_LOW &&
	    (v->v_weak & QUERN_POSIX_NORETURN) == 0;
}

/* A call by a jump, from the slot into `f`. */
static void
store_call(struct vmspace *v, struct quern_vmframe *f)
{
	const struct comm *c = vm_comm(v);

	memcpy(f->f_reg, c->c_reg, sizeof f->f_reg);
	f->f_rip = c->c_rip;
	f->f_rflags = c->c_rflags;
	f->f_fsbase = c->c_fsbase;
	f->f_gsbase = c->c_gsbase;
	/* As the instruction leaves them. */
	f->f_reg[F_RCX] = f->f_rip;
	f->f_reg[F_R11] = f->f_rflags;
	v->v_live = true;
	v->v_fp = SLOT_BASE + SLOT_FP;
	v->v_sp = SLOT_BASE + SLOT_LEN;
	host_turn_stopped(v, (unsigned)f->f_reg[F_RAX] & STOP_MASK);
	f->f_why = QUERN_VM_CALL;
	if (in_stub(v, f->f_rip) || f->f_rip >= VM_TOP)
		fault_fetch(f);
}

/* What stopped the guest, from the slot into `f`; false: it spoilt that. */
static bool
store_frame(struct vmhost *vh, struct vmspace *v, struct quern_vmframe *f)
{
	struct comm *c = vm_comm(v);
	uint64_t uc_addr = c->c_uc, info = c->c_info;
	unsigned sig = c->c_sig, i;
	const ucontext_t *uc;
	greg_t g[NGREG];
	uint64_t fp;

	/* Turned round before the guest ran: nothing has changed. */
	if (sig == SIGUSR1 && uc_addr == 0) {
		f->f_why = QUERN_VM_KICK;
		return true;
	}
	if (sig == STOP_CALL) {
		store_call(v, f);
		return true;
	}
	uc = on_stack(v, uc_addr, offsetof(ucontext_t, __fpregs_mem), 8);
	if (uc == NULL)
		return false;
	memcpy(g, uc->uc_mcontext.gregs, sizeof g);
	memcpy(&fp, &uc->uc_mcontext.fpregs, sizeof fp);
	if (!note_xsave(vh, v, uc_addr, fp))
		return false;
	for (i = 0; i < 16; i++)
		f->f_reg[i] = (uint64_t)g[reg_order[i]];
	f->f_rip = (uint64_t)g[REG_RIP];
	f->f_rflags = (uint64_t)g[REG_EFL];
	f->f_fsbase = c->c_fsbase;
	f->f_gsbase = c->c_gsbase;
	host_turn_stopped(v,
	    sig == SIGSYS ? (unsigned)f->f_reg[0] & STOP_MASK : STOP_FAULT);
	if (sig == SIGUSR1) {
		f->f_why = QUERN_VM_KICK;
	} else if (in_stub(v, f->f_rip)) {
		fault_fetch(f);
	} else if (sig == SIGSYS) {
		return note_sigsys(v, f, info,
		    (unsigned)g[REG_CSGSFS] & 0xffff);
	} else if (g[REG_TRAPNO] == TRAP_PF) {
		f->f_why = QUERN_VM_FAULT;
		f->f_addr = (uint64_t)g[REG_CR2];
		f->f_error = (uint32_t)g[REG_ERR];
		f->f_trap = TRAP_PF;
	} else {
		trap(f, (unsigned)g[REG_TRAPNO] & 0xff, (uint32_t)g[REG_ERR]);
	}
	return true;
}

/* From now on a kick of the seat is one of the guest; false: it was kicked. */
static bool
seat_take(struct quern_seat *seat, const struct vmspace *v)
{
	uint64_t old = SEAT_EMPTY;

	return __atomic_compare_exchange_n(seat_word(seat), &old,
	    SEAT_GUEST + SEAT_INDEX * v->v_index, false, __ATOMIC_SEQ_CST,
	    __ATOMIC_SEQ_CST);
}

static void
seat_leave(struct quern_seat *seat, const struct vmspace *v)
{
	uint64_t old = SEAT_GUEST + SEAT_INDEX * v->v_index;

	/* A kick stays where it is until somebody has an ear for it. */
	__atomic_compare_exchange_n(seat_word(seat), &old, SEAT_EMPTY, false,
	    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Was the seat kicked?  It is not any more. */
static bool
seat_kicked(struct quern_seat *seat)
{
	if (__atomic_load_n(seat_word(seat), __ATOMIC_SEQ_CST) != SEAT_KICKED)
		return false;
	__atomic_exchange_n(seat_word(seat), SEAT_EMPTY, __ATOMIC_SEQ_CST);
	return true;
}

/* Put the waiting changes before the resumption; how many, or -EIO. */
static int
queue_changes(struct vmhost *vh, struct vmspace *v)
{
	struct comm *c = vm_comm(v);
	struct stub_op *ops = (struct stub_op *)(void *)(v->v_slot + SLOT_OPS);
	struct quern_vm_op changes[STUB_NOPS];
	unsigned i, n;
	int error;

	c->c_nops = c->c_opi = c->c_operr = 0;
	n = host_vm_take(v, changes);
	if (n == 0)
		return 0;
	error = host_turn_hold(vh, v);
	if (error != 0)
		return error;
	for (i = 0; i < n; i++)
		host_filter_op(v, &changes[i], &ops[i]);
	c->c_nops = n;
	return (int)n;
}

/*
 * One stretch in the guest.  0; -EIO; -ENOMEM (of a change: nothing is mapped
 * now), -EINTR (kicked).
 */
static int
run_once(struct vmhost *vh, struct vmspace *v, struct quern_seat *seat,
    const struct quern_vmframe *f, uint64_t deadline)
{
	struct comm *c = vm_comm(v);
	int error, nops;

	load_frame(vh, v, f);
	/*
	 * Forget what was for earlier runs.  From here on every kick either
	 * finds the run, and its signal is remembered, or was before and is
	 * seen now.
	 */
	atomic_store(&c->c_pend, 0);
	atomic_store(&v->v_overdue, 0);
	atomic_store(&v->v_kicked, 0);
	if (!seat_take(seat, v))
		return -EINTR;
	if (atomic_load(&v->v_stop) != 0) {
		seat_leave(seat, v);
		return -EINTR;
	}
	error = nops = queue_changes(vh, v);
	if (nops >= 0) {
		atomic_store(&v->v_deadline, deadline);
		if (deadline != QUERN_NEVER)
			host_warden_deadline(vh, deadline);
		host_turn_learn(vh, v);
		v->v_held = false;
		error = host_turn_pass(vh, v, seat_word(seat));
		atomic_store(&v->v_deadline, QUERN_NEVER);
	}
	seat_leave(seat, v);
	if (nops > 0 && error == 0 && c->c_operr != 0) {
		/* Then the stub has not wiped them. */
		memset(v->v_slot + SLOT_OPS, 0, (size_t)nops * OP_SIZE);
		error = host_vm_clear(vh, v, true) != 0 ? -EIO : -ENOMEM;
	}
	return error;
}

/* Run until there is a reason to come back.  0, -ENOMEM. */
static int
run(struct vmhost *vh, struct vmspace *v, struct quern_seat *seat,
    struct quern_vmframe *f, uint64_t deadline)
{
	int error;

	f->f_why = QUERN_VM_KICK;
	for (;;) {
		if (seat_kicked(seat) || atomic_load(&v->v_stop) != 0 ||
		    (deadline != QUERN_NEVER && host_now() >= deadline))
			return 0;
		error = run_once(vh, v, seat, f, deadline);
		if (error == -EINTR)
			continue;
		if (error == -ENOMEM)
			return error;
		if (error != 0 || !store_frame(vh, v, f)) {
			if (atomic_load(&v->v_dead) == 0)
				host_turn_kill(v);
			f->f_why = QUERN_VM_DEAD;
			return 0;
		}
		v->v_owner = f->f_host[0] = atomic_fetch_add(&vh->vh_runs, 1);
		/* A kick that nobody sent, or that was for an earlier run. */
		if (f->f_why != QUERN_VM_KICK)
			return 0;
	}
}

/* Have the stub store what is in its registers. */
static void
store_live(struct vmhost *vh, struct vmspace *v)
{
	struct comm *c = vm_comm(v);

	/* What XSAVE leaves as it is, and XRSTOR wants to be 0. */
	memset(v->v_slot + SLOT_FP + XSAVE_XSTATE_BV, 0, 64);
	c->c_xmask = vh->vh_xmask;
	c->c_sp = v->v_sp;
	c->c_nops = c->c_opi = c->c_operr = 0;
	c->c_resume = RESUME_STORE;
	(void)host_turn_pass(vh, v, NULL);
}

/* The extended state of `f` into f_xsave, if it is not there already. */
static void
save(struct vmhost *vh, struct vmspace *v, struct quern_vmframe *f)
{
	if (f->f_xsave == NULL || f->f_host[0] == 0 ||
	    f->f_host[0] != v->v_owner || atomic_load(&v->v_dead) != 0)
		return;
	if (v->v_live) {
		place(vh, v);
		store_live(vh, v);
	}
	memcpy(f->f_xsave, v->v_slot + (v->v_fp - SLOT_BASE), vh->vh_xsavelen);
}

int
host_vm_run(void *ctx, unsigned cpu, uint32_t id, struct quern_seat *seat,
    struct quern_vmframe *f, uint64_t deadline)
{
	struct machine *m = ctx;
	struct vmhost *vh = atomic_load(&m->m_vm);
	struct vmspace *v;
	int error;

	if (vh == NULL)
		return -ENOENT;
	if (cpu >= m->m_ncpu || !frame_possible(vh, f) ||
	    (seat == NULL && (f->f_flags & QUERN_VM_SAVE) == 0))
		return -EINVAL;
	error = host_vm_enter(vh, id, VM_RUNNING, false, &v);
	if (error != 0)
		return error;
	if ((f->f_flags & QUERN_VM_SAVE) != 0) {
		save(vh, v, f);
		host_vm_leave(v);
		return 0;
	}
	f->f_addr = 0;
	f->f_error = f->f_trap = 0;
	if (atomic_load(&v->v_dead) != 0) {
		f->f_why = QUERN_VM_DEAD;
	} else if (in_stub(v, f->f_rip)) {
		fault_fetch(f);
	} else {
		place(vh, v);
		error = run(vh, v, seat, f, deadline);
	}
	host_vm_leave(v);
	return error;
}
