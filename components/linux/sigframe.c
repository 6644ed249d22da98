/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signal frames: what a handler finds on its stack, and sigreturn.
 *
 * The layout is that of Linux's struct rt_sigframe on x86-64, from the top of the
 * stack downwards: extended state (as XSAVE writes it, with Linux's two magic
 * words), siginfo, ucontext, return address.  Handlers read and change it, so
 * does whoever unwinds a stack.
 */
#include "impl.h"

struct sigcontext {
	uint64_t sc_r8, sc_r9, sc_r10, sc_r11, sc_r12, sc_r13, sc_r14, sc_r15;
	uint64_t sc_rdi, sc_rsi, sc_rbp, sc_rbx, sc_rdx, sc_rax, sc_rcx, sc_rsp;
	uint64_t sc_rip, sc_rflags;
	uint16_t sc_cs, sc_gs, sc_fs, sc_ss;
	uint64_t sc_err, sc_trapno, sc_oldmask, sc_cr2;
	uint64_t sc_fpstate;
	uint64_t sc_pad[8];
};

struct ucontext {
	uint64_t uc_flags, uc_link;
	uint64_t uc_ss_sp;
	int32_t uc_ss_flags, uc_pad;
	uint64_t uc_ss_size;
	struct sigcontext uc_mcontext;
	uint64_t uc_sigmask;
};

struct sigframe {
	uint64_t sf_return;
	struct ucontext sf_uc;
	struct q_siginfo sf_info;
};

_Static_assert(sizeof(struct sigcontext) == 256, "Linux's");
_Static_assert(offsetof(struct sigframe, sf_info) == 312, "Linux's");
_Static_assert(sizeof(struct q_siginfo) == 128, "Linux's");

#define UC_FP_XSTATE         1u
#define UC_SIGCONTEXT_SS     2u
#define UC_STRICT_RESTORE_SS 4u

/* The legacy area of XSAVE has room for software at its end. */
#define XSAVE_SW         464u
#define XSAVE_HEADER     512u
#define XSAVE_MXCSR      24u
#define XSAVE_LEGACY     576u
#define FP_XSTATE_MAGIC1 0x46505853u
#define FP_XSTATE_MAGIC2 0x46505845u

struct fpx_sw {
	uint32_t fx_magic1, fx_extended;
	uint64_t fx_features;
	uint32_t fx_size, fx_pad[7];
};

_Static_assert(sizeof(struct fpx_sw) == 48, "Linux's");

#define CS_USER   0x33u
#define SS_USER   0x2bu
#define RFLAGS_DF 0x400u
#define RFLAGS_TF 0x100u
#define RFLAGS_RF 0x10000u
/* What sigreturn takes: the arithmetic flags, DF, TF, AC, RF. */
#define RFLAGS_SET 0x50dd5u

/* Handlers leave this much of the stack of the interrupted function alone. */
#define RED_ZONE 128u

/* ---- entering a handler ----------------------------------------------------------- */

static bool
on_altstack(const struct lthread *lt, uint64_t sp)
{
	uint64_t base = (uintptr_t)lt->lt_alt.ss_sp;

	return (lt->lt_alt.ss_flags & Q_SS_DISABLE) == 0 && sp > base &&
	    sp - base <= lt->lt_alt.ss_size;
}

static void
save_registers(const struct quern_vmframe *f, struct sigcontext *sc)
{
	sc->sc_r8 = f->f_reg[R8];
	sc->sc_r9 = f->f_reg[R9];
	sc->sc_r10 = f->f_reg[R10];
	sc->sc_r11 = f->f_reg[R11];
	sc->sc_r12 = f->f_reg[R12];
	sc->sc_r13 = f->f_reg[R13];
	sc->sc_r14 = f->f_reg[R14];
	sc->sc_r15 = f->f_reg[R15];
	sc->sc_rdi = f->f_reg[RDI];
	sc->sc_rsi = f->f_reg[RSI];
	sc->sc_rbp = f->f_reg[RBP];
	sc->sc_rbx = f->f_reg[RBX];
	sc->sc_rdx = f->f_reg[RDX];
	sc->sc_rax = f->f_reg[RAX];
	sc->sc_rcx = f->f_reg[RCX];
	sc->sc_rsp = f->f_reg[RSP];
	sc->sc_rip = f->f_rip;
	sc->sc_rflags = f->f_rflags;
	sc->sc_cs = CS_USER;
	sc->sc_ss = SS_USER;
	sc->sc_err = f->f_error;
	sc->sc_trapno = f->f_trap;
	sc->sc_cr2 = f->f_addr;
}

/* Write the extended state to `fp`. */
static int
push_xsave(struct lthread *lt, const struct quspace *us, uint64_t fp)
{
	uint32_t len = (uint32_t)lt->lt_l->l_xsave, magic2 = FP_XSTATE_MAGIC2;
	char *area = lt->lt_f.f_xsave;
	struct fpx_sw sw = {
		.fx_magic1 = FP_XSTATE_MAGIC1,
		.fx_extended = len + sizeof(magic2),
		.fx_features = lt->lt_l->l_xmask,
		.fx_size = len,
	};
	int error = qvmspace_save(lt->lt_vs, &lt->lt_f);

	if (error != 0)
		return error;
	memcpy(area + XSAVE_SW, &sw, sizeof(sw));
	error = qcopyout(us, fp, area, len);
	if (error == 0)
		error = qcopyout(us, fp + len, &magic2, sizeof(magic2));
	return error;
}

/* A handler begins as a program does: no exception is pending or unmasked. */
static void
reset_xsave(struct lthread *lt)
{
	static const uint16_t fcw = 0x37f;
	static const uint32_t mxcsr = 0x1f80;
	char *area = lt->lt_f.f_xsave;

	qvmspace_forget(lt->lt_vs, &lt->lt_f);
	memset(lt->lt_f.f_host, 0, sizeof(lt->lt_f.f_host));
	memset(area, 0, lt->lt_l->l_xsave);
	memcpy(area, &fcw, sizeof(fcw));
	memcpy(area + XSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
}

int
sigframe_push(struct lthread *lt, int sig, const struct q_sigaction *act,
    const struct q_siginfo *info)
{
	const struct quspace *us = qvm_uspace(qvm_of(lt->lt_proc->lp_proc));
	struct quern_vmframe *f = &lt->lt_f;
	struct sigframe sf;
	uint64_t sp = f->f_reg[RSP] - RED_ZONE, fp;
	int error;

	if ((act->sa_flags & Q_SA_RESTORER) == 0)
		return -Q_EFAULT;
	if ((act->sa_flags & Q_SA_ONSTACK) != 0 &&
	    (lt->lt_alt.ss_flags & Q_SS_DISABLE) == 0 &&
	    !on_altstack(lt, f->f_reg[RSP]))
		sp = (uintptr_t)lt->lt_alt.ss_sp + lt->lt_alt.ss_size;
	fp = (sp - lt->lt_l->l_xsave - sizeof(uint32_t)) & ~UINT64_C(63);
	sp = ((fp - sizeof(sf)) & ~UINT64_C(15)) - 8;
	memset(&sf, 0, sizeof(sf));
	sf.sf_return = act->sa_restorer;
	sf.sf_uc.uc_flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS |
	    UC_STRICT_RESTORE_SS;
	sf.sf_uc.uc_ss_sp = (uintptr_t)lt->lt_alt.ss_sp;
	sf.sf_uc.uc_ss_flags = lt->lt_alt.ss_flags;
	sf.sf_uc.uc_ss_size = lt->lt_alt.ss_size;
	save_registers(f, &sf.sf_uc.uc_mcontext);
	sf.sf_uc.uc_mcontext.sc_fpstate = fp;
	sf.sf_uc.uc_sigmask = lt->lt_restore ? lt->lt_saved : lt->lt_mask;
	sf.sf_uc.uc_mcontext.sc_oldmask = sf.sf_uc.uc_sigmask;
	sf.sf_info = *info;
	error = push_xsave(lt, us, fp);
	if (error == 0)
		error = qcopyout(us, sp, &sf, sizeof(sf));
	if (error != 0)
		return error;
	reset_xsave(lt);
	if ((lt->lt_alt.ss_flags & (int32_t)Q_SS_AUTODISARM) != 0)
		lt->lt_alt = (struct q_stack){ NULL, Q_SS_DISABLE, 0 };
	f->f_reg[RDI] = (uint64_t)sig;
	f->f_reg[RSI] = sp + offsetof(struct sigframe, sf_info);
	f->f_reg[RDX] = sp + offsetof(struct sigframe, sf_uc);
	f->f_reg[RAX] = 0;
	f->f_reg[RSP] = sp;
	f->f_rip = act->sa_func;
	f->f_rflags &= ~(uint64_t)(RFLAGS_DF | RFLAGS_TF | RFLAGS_RF);
	return 0;
}

/* ---- and coming back ------------------------------------------------------------------ */

static void
load_registers(struct quern_vmframe *f, const struct sigcontext *sc)
{
	f->f_reg[R8] = sc->sc_r8;
	f->f_reg[R9] = sc->sc_r9;
	f->f_reg[R10] = sc->sc_r10;
	f->f_reg[R11] = sc->sc_r11;
	f->f_reg[R12] = sc->sc_r12;
	f->f_reg[R13] = sc->sc_r13;
	f->f_reg[R14] = sc->sc_r14;
	f->f_reg[R15] = sc->sc_r15;
	f->f_reg[RDI] = sc->sc_rdi;
	f->f_reg[RSI] = sc->sc_rsi;
	f->f_reg[RBP] = sc->sc_rbp;
	f->f_reg[RBX] = sc->sc_rbx;
	f->f_reg[RDX] = sc->sc_rdx;
	f->f_reg[RAX] = sc->sc_rax;
	f->f_reg[RCX] = sc->sc_rcx;
	f->f_reg[RSP] = sc->sc_rsp;
	f->f_rip = sc->sc_rip;
	f->f_rflags = (f->f_rflags & ~(uint64_t)RFLAGS_SET) |
	    (sc->sc_rflags & RFLAGS_SET);
}

/*
 * Extended state as a program left it: whatever the processor would refuse to
 * load is made harmless.
 */
static int
load_xsave(struct lthread *lt, const struct quspace *us, uint64_t fp)
{
	char *area = lt->lt_f.f_xsave;
	struct fpx_sw sw;
	uint64_t header[8];
	uint32_t mxcsr;
	int error;

	qvmspace_forget(lt->lt_vs, &lt->lt_f);
	memset(lt->lt_f.f_host, 0, sizeof(lt->lt_f.f_host));
	if (fp == 0) {
		memset(area, 0, lt->lt_l->l_xsave);
		return 0;
	}
	error = qcopyin(us, area, fp, XSAVE_HEADER);
	memcpy(&sw, area + XSAVE_SW, sizeof(sw));
	memset(header, 0, sizeof(header));
	header[0] = 3; /* x87 and SSE */
	if (error == 0 && sw.fx_magic1 == FP_XSTATE_MAGIC1 &&
	    sw.fx_size == lt->lt_l->l_xsave) {
		error = qcopyin(us, area + XSAVE_HEADER, fp + XSAVE_HEADER,
		    lt->lt_l->l_xsave - XSAVE_HEADER);
		memcpy(header, area + XSAVE_HEADER, sizeof(header[0]));
		header[0] &= sw.fx_features & lt->lt_l->l_xmask;
	}
	memcpy(area + XSAVE_HEADER, header, sizeof(header));
	memcpy(&mxcsr, area + XSAVE_MXCSR, sizeof(mxcsr));
	mxcsr &= 0xffff;
	memcpy(area + XSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
	return error;
}

QSYS(rt_sigreturn)
{
	struct lthread *lt = lthread_current();
	struct quern_vmframe *f = &lt->lt_f;
	struct q_siginfo info = { .si_signo = Q_SIGSEGV,
		.si_code = Q_SI_KERNEL };
	struct ucontext uc;
	int error;

	/* The handler's return has taken the first word. */
	error = qcopyin(s->s_us, &uc,
	    f->f_reg[RSP] - 8 + offsetof(struct sigframe, sf_uc), sizeof(uc));
	if (error == 0)
		error = load_xsave(lt, s->s_us, uc.uc_mcontext.sc_fpstate);
	lt->lt_nr = LT_NOCALL;
	if (error != 0) {
		lsig_force(lt, &info);
		return 0;
	}
	load_registers(f, &uc.uc_mcontext);
	lsig_setmask(lt, uc.uc_sigmask);
	lt->lt_alt.ss_sp = (void *)(uintptr_t)uc.uc_ss_sp;
	lt->lt_alt.ss_flags = uc.uc_ss_flags & ~Q_SS_ONSTACK;
	lt->lt_alt.ss_size = uc.uc_ss_size;
	return (int64_t)f->f_reg[RAX];
}

/* ---- sigaltstack ----------------------------------------------------------------------- */

QSYS(sigaltstack)
{
	struct lthread *lt = lthread_current();
	bool on = on_altstack(lt, lt->lt_f.f_reg[RSP]);
	struct q_stack old = lt->lt_alt, alt;
	uint32_t mode;
	int error;

	if (on)
		old.ss_flags |= Q_SS_ONSTACK;
	if (s->s_arg[0] != 0) {
		error = qsys_in(s, 0, &alt, sizeof(alt));
		if (error != 0)
			return error;
		if (on)
			return -Q_EPERM;
		mode = (uint32_t)alt.ss_flags & ~Q_SS_AUTODISARM;
		if (mode != 0 && mode != Q_SS_DISABLE && mode != Q_SS_ONSTACK)
			return -Q_EINVAL;
		if (mode == Q_SS_DISABLE)
			alt.ss_sp = NULL, alt.ss_size = 0;
		else if (alt.ss_size < Q_MINSIGSTKSZ)
			return -Q_ENOMEM;
		alt.ss_flags &= ~Q_SS_ONSTACK;
		lt->lt_alt = alt;
	}
	return s->s_arg[1] == 0 ? 0 : qsys_out(s, 1, &old, sizeof(old));
}
