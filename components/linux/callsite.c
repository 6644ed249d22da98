/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Call sites: system calls without the instruction.
 *
 * The instruction traps, which costs the host as much as all the rest of a simple
 * call.  Where a program has made TRAPS calls by one, the instruction before it is
 * replaced by a jump to a *trampoline*, which does what that did and jumps to the
 * address that the host has for calls (QUERN_VM_CALL).  What is replaced:
 *
 *	b8 imm32     0f 05	mov $nr,%eax        e9 rel32
 *	4c 8b 4c 24 08  0f 05	mov 8(%rsp),%r9     e9 rel32: libc's syscall()
 *	31 c0        0f 05	xor %eax,%eax       eb rel8, to a long nop near by,
 *						    whose last five bytes are no
 *						    more than an operand: there is
 *						    room for e9 rel32, and it is a
 *						    nop still
 *
 * C1  The system call instruction itself stays where it is.  So whoever jumps to
 *     it, was stopped between the two, or has the call made again (rip - 2) makes
 *     a true system call.
 * C2  Of a text page that is shared with a file or another process a private copy
 *     is made (qvm_poke); nobody else sees a change.  fork copies what there is,
 *     exec forgets it.
 * C3  Nobody runs in the space while bytes change (qvmspace_hold), and a thread
 *     that was stopped in what changes was stopped before it.
 * C4  What a site is, is read off its bytes as they are now; what is known of
 *     earlier traps only says when to look.  Everything that is stored is compared
 *     with what was seen first.
 * C5  A process has so many pages of trampolines and no more.
 *
 * That the bytes before the instruction are an instruction by themselves, and not
 * the end of a longer one, can't be known for sure.  But the number that they would
 * load is that of the call that came, and the bytes before them are looked at for
 * what longer instructions begin with.
 *
 * Who reads its own text sees the jumps; who single-steps does not (lcalls_step),
 * and where text is moved (mremap) it is as it was.  A program that copies its own
 * text elsewhere and runs it there gets jumps that go astray: such a one wants
 * calls that trap.
 */
#include "impl.h"

#include <quern/abi/mman.h>

#define PAGE 4096u

#define TRAPS 16u /* at a site, before it is looked at */
#define SITES 64u /* that are counted at a time */
#define AREAS 8u  /* pages of trampolines */

/* A trampoline: the instruction, lea back(%rip),%rcx, mov $call,%r11d, jmp *%r11. */
#define TRAMP       32u
#define LEA_LEN     7u
#define MOV_LEN     6u
#define JMP_LEN     3u
#define SYSCALL_LEN 2u
#define INSN_MAX    5u
#define JUMP_LEN    5u /* e9 rel32 */

/* How far it may be from its site. */
#define REACH UINT64_C(0x70000000)

#define RFLAGS_TF 0x100u

struct area {
	uint64_t ar_base; /* [a] 0: none */
	uint32_t ar_used;
};

/* What is known of a process's sites. */
struct lcalls {
	uint64_t lc_at[SITES];      /* [a] behind an instruction */
	uint16_t lc_n[SITES];       /* [a] traps of that; TRAPS: enough */
	struct area lc_area[AREAS]; /* changed with the vmspace held */
};

/* A site that can be replaced. */
struct site {
	uint64_t si_addr; /* of the instruction before the call */
	unsigned si_len;  /* its length: INSN_MAX, or 2 */
	uint64_t si_nop;  /* room for a jump, if it is 2 */
	unsigned char si_insn[INSN_MAX];
};

static const unsigned char insn_r9[INSN_MAX] = { 0x4c, 0x8b, 0x4c, 0x24, 0x08 };
static const unsigned char insn_xor[2] = { 0x31, 0xc0 };
static const unsigned char insn_syscall[SYSCALL_LEN] = { 0x0f, 0x05 };

/* nop 0(%rax,%rax,1), and what of it is its operand's, five bytes. */
static const unsigned char long_nop[8] = { 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0 };
#define NOP_OPERAND 3u

static const struct qtag tag_calls = { "call sites" };

/* ---- what there is --------------------------------------------------------- */

/* A page as far as it is near to what is behind the instruction. */
struct text {
	uint64_t tx_addr;
	unsigned tx_len, tx_at; /* the latter is behind it */
	unsigned char tx_byte[3 * 128];
};

static bool
read_text(const struct lthread *lt, struct text *tx)
{
	uint64_t end = lt->lt_f.f_rip, page = (end - 1) & ~(uint64_t)(PAGE - 1);
	uint64_t from = end - page > 128 ? end - 128 : page;
	uint64_t to = end + 128 < page + PAGE ? end + 128 : page + PAGE;

	tx->tx_addr = from;
	tx->tx_len = (unsigned)(to - from);
	tx->tx_at = (unsigned)(end - from);
	return qcopyin(qvm_uspace(qvm_of(lt->lt_proc->lp_proc)), tx->tx_byte,
		   from, tx->tx_len) == 0;
}

/* May what begins at p be an instruction, by the three bytes before it? */
static bool
begins_here(const unsigned char *p)
{
	unsigned i;

	/* REX and other prefixes make it a longer one. */
	if ((p[-1] & 0xf0) == 0x40 || p[-1] == 0x66 || p[-1] == 0xf2 ||
	    p[-1] == 0xf3)
		return false;
	/* Those that have a number of 32 bits behind a displacement of 8. */
	for (i = 2; i <= 3; i++)
		if (p[-(int)i] == 0xc7 || p[-(int)i] == 0x81 ||
		    p[-(int)i] == 0x69)
			return false;
	return true;
}

/* Room for a jump that a short one at `addr` reaches. */
static bool
find_nop(const struct text *tx, struct site *si)
{
	uint64_t next = si->si_addr + si->si_len, at;
	unsigned i;

	for (i = 0; i + sizeof(long_nop) <= tx->tx_len; i++) {
		if (memcmp(&tx->tx_byte[i], long_nop, sizeof(long_nop)) != 0)
			continue;
		at = tx->tx_addr + i + NOP_OPERAND;
		if (at - next + 128 < 256) {
			si->si_nop = at;
			return true;
		}
	}
	return false;
}

/* Is it a site of the call that has just come from there? */
static bool
find_site(const struct lthread *lt, const struct text *tx, struct site *si)
{
	uint64_t nr = lt->lt_f.f_reg[RAX];
	const unsigned char *end = &tx->tx_byte[tx->tx_at], *p;
	uint32_t imm;

	if (tx->tx_at < INSN_MAX + SYSCALL_LEN + 3 || nr > UINT32_MAX ||
	    memcmp(end - SYSCALL_LEN, insn_syscall, SYSCALL_LEN) != 0)
		return false;
	si->si_len = INSN_MAX;
	p = end - SYSCALL_LEN - INSN_MAX;
	memcpy(&imm, p + 1, sizeof(imm));
	if (!(p[0] == 0xb8 && imm == nr && begins_here(p)) &&
	    memcmp(p, insn_r9, INSN_MAX) != 0) {
		si->si_len = sizeof(insn_xor);
		p = end - SYSCALL_LEN - sizeof(insn_xor);
		if (nr != 0 || memcmp(p, insn_xor, sizeof(insn_xor)) != 0 ||
		    !begins_here(p))
			return false;
	}
	memcpy(si->si_insn, p, si->si_len);
	si->si_addr = lt->lt_f.f_rip - SYSCALL_LEN - si->si_len;
	return si->si_len == INSN_MAX || find_nop(tx, si);
}

/* ---- trampolines --------------------------------------------------------------- */

static bool
is_near(uint64_t a, uint64_t b)
{
	return a - b + REACH < 2 * REACH;
}

/* A page for them near a site; 0: there is no room. */
static uint64_t
make_area(struct qvmmap *m, uint64_t near)
{
	uint64_t addr, gap;

	for (gap = 16 * PAGE; gap < REACH; gap *= 2) {
		addr = (near - gap) & ~(uint64_t)(PAGE - 1);
		if (addr > near)
			break;
		if (qvm_map_named(m, &addr, PAGE, Q_PROT_READ | Q_PROT_EXEC,
			Q_MAP_PRIVATE | Q_MAP_ANONYMOUS | Q_MAP_FIXED_NOREPLACE,
			NULL, 0, "[calls]") == 0)
			return addr;
	}
	return 0;
}

/* Where a new one for that site may be; 0: nowhere. */
static uint64_t
place_tramp(struct lcalls *lc, struct qvmmap *m, uint64_t site)
{
	struct area *ar;
	unsigned i;

	for (i = 0; i < AREAS; i++) {
		ar = &lc->lc_area[i];
		if (ar->ar_base == 0) {
			ar->ar_used = 0;
			__atomic_store_n(&ar->ar_base, make_area(m, site),
			    __ATOMIC_RELAXED);
		}
		if (ar->ar_base == 0)
			break;
		if (ar->ar_used < PAGE / TRAMP && is_near(ar->ar_base, site))
			return ar->ar_base + ar->ar_used++ * TRAMP;
	}
	return 0;
}

/* Append `n` bytes and a displacement of 32 bits from behind it. */
static unsigned char *
put_rel32(unsigned char *p, const void *op, size_t n, uint64_t from,
    uint64_t to)
{
	uint32_t rel = (uint32_t)(to - from);

	memcpy(p, op, n);
	memcpy(p + n, &rel, sizeof(rel));
	return p + n + sizeof(rel);
}

static void
write_jump(unsigned char jump[JUMP_LEN], uint64_t at, uint64_t to)
{
	(void)put_rel32(jump, "\xe9", 1, at + JUMP_LEN, to);
}

/* The code of one at `at`, which goes on behind the site's call. */
static void
write_tramp(unsigned char code[TRAMP], const struct site *si, uint64_t at,
    uint64_t call)
{
	uint64_t back = si->si_addr + si->si_len + SYSCALL_LEN;
	unsigned char *p = code + si->si_len;
	uint32_t to = (uint32_t)call;

	memset(code, 0, TRAMP);
	memcpy(code, si->si_insn, si->si_len);
	p = put_rel32(p, "\x48\x8d\x0d", 3, at + si->si_len + LEA_LEN, back);
	memcpy(p, "\x41\xbb", 2);
	memcpy(p + 2, &to, sizeof(to));
	memcpy(p + MOV_LEN, "\x41\xff\xe3", JMP_LEN);
}

_Static_assert(INSN_MAX + LEA_LEN + MOV_LEN + JMP_LEN <= TRAMP, "trampoline");

/* What the site is replaced by: a jump, or a short one to that. */
static void
write_site(unsigned char code[INSN_MAX], const struct site *si, uint64_t at)
{
	if (si->si_len == INSN_MAX) {
		write_jump(code, si->si_addr, at);
		return;
	}
	code[0] = 0xeb;
	code[1] = (unsigned char)(si->si_nop - si->si_addr - si->si_len);
}

/* Replace it.  The vmspace is held. */
static void
replace(struct lthread *lt, struct lcalls *lc, const struct site *si)
{
	static const unsigned char nothing[TRAMP];
	struct qvmmap *m = qvm_of(lt->lt_proc->lp_proc);
	unsigned char tramp[TRAMP], jump[INSN_MAX];
	uint64_t at = place_tramp(lc, m, si->si_addr);

	if (at == 0)
		return;
	write_tramp(tramp, si, at, lt->lt_l->l_call);
	if (qvm_poke(m, at, nothing, tramp, TRAMP) != 0)
		return;
	if (si->si_len != INSN_MAX) {
		write_jump(jump, si->si_nop, at);
		if (qvm_poke(m, si->si_nop, long_nop + NOP_OPERAND, jump,
			JUMP_LEN) != 0)
			return;
	}
	write_site(jump, si, at);
	/* If this fails, nobody comes to the rest. */
	(void)!qvm_poke(m, si->si_addr, si->si_insn, jump, si->si_len);
}

/* ---- traps ----------------------------------------------------------------------- */

static struct lcalls *
calls_of(struct lproc *lp)
{
	struct lcalls *lc = __atomic_load_n(&lp->lp_calls, __ATOMIC_ACQUIRE);
	struct lcalls *none = NULL;

	if (lc != NULL)
		return lc;
	lc = qzalloc(&tag_calls, sizeof(*lc));
	if (lc == NULL ||
	    __atomic_compare_exchange_n(&lp->lp_calls, &none, lc, false,
		__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return lc;
	/* Another thread was faster. */
	qfree(lc);
	return none;
}

/* One more at `end`; true: these are enough. */
static bool
count_trap(struct lcalls *lc, uint64_t end)
{
	unsigned i = (unsigned)(end ^ end >> 6 ^ end >> 12) % SITES, n = 0;

	/* Another thread may count there, too: then it is some other number. */
	if (__atomic_load_n(&lc->lc_at[i], __ATOMIC_RELAXED) == end)
		n = __atomic_load_n(&lc->lc_n[i], __ATOMIC_RELAXED);
	else
		__atomic_store_n(&lc->lc_at[i], end, __ATOMIC_RELAXED);
	if (n < TRAPS)
		__atomic_store_n(&lc->lc_n[i], (uint16_t)(n + 1),
		    __ATOMIC_RELAXED);
	return n == TRAPS - 1;
}

void
lcalls_trap(struct lthread *lt)
{
	struct lcalls *lc = calls_of(lt->lt_proc);
	struct text tx;
	struct site si;

	if (lc == NULL || !count_trap(lc, lt->lt_f.f_rip) ||
	    (lt->lt_f.f_rflags & RFLAGS_TF) != 0)
		return;
	if (!read_text(lt, &tx) || !find_site(lt, &tx, &si))
		return;
	qvmspace_hold(lt->lt_vs);
	replace(lt, lc, &si);
	qvmspace_release(lt->lt_vs);
}

/* ---- steps ------------------------------------------------------------------------ */

/* The site whose trampoline is at `at`, if there is one. */
static bool
site_of(const struct lthread *lt, uint64_t at, struct site *si)
{
	const struct quspace *us = qvm_uspace(qvm_of(lt->lt_proc->lp_proc));
	unsigned char code[TRAMP], want[TRAMP];
	uint32_t rel;

	if (qcopyin(us, code, at, TRAMP) != 0)
		return false;
	si->si_len = code[0] == insn_xor[0] ? 2 : INSN_MAX;
	memcpy(si->si_insn, code, si->si_len);
	memcpy(&rel, code + si->si_len + 3, sizeof(rel));
	si->si_addr = at + si->si_len + LEA_LEN + (uint64_t)(int32_t)rel -
	    SYSCALL_LEN - si->si_len;
	write_tramp(want, si, at, lt->lt_l->l_call);
	return si->si_addr < QVM_TOP && memcmp(code, want, TRAMP) == 0;
}

/* The trampoline that it is in, or 0. */
static uint64_t
tramp_at(const struct lcalls *lc, uint64_t rip)
{
	uint64_t base;
	unsigned i;

	for (i = 0; i < AREAS; i++) {
		base = __atomic_load_n(&lc->lc_area[i].ar_base,
		    __ATOMIC_RELAXED);
		if (base != 0 && rip - base < PAGE)
			return rip & ~(uint64_t)(TRAMP - 1);
	}
	return 0;
}

/* That to which there is a jump at `rip`, or 0. */
static uint64_t
tramp_from(const struct lthread *lt, const struct lcalls *lc, uint64_t rip)
{
	const struct quspace *us = qvm_uspace(qvm_of(lt->lt_proc->lp_proc));
	unsigned char jump[JUMP_LEN];
	uint32_t rel;

	if (qcopyin(us, jump, rip, JUMP_LEN) != 0 || jump[0] != 0xe9)
		return 0;
	memcpy(&rel, jump + 1, sizeof(rel));
	return tramp_at(lc, rip + JUMP_LEN + (uint64_t)(int32_t)rel);
}

/* Have the site be as it was. */
static void
restore(struct lthread *lt, struct site *si, uint64_t at)
{
	struct qvmmap *m = qvm_of(lt->lt_proc->lp_proc);
	unsigned char jump[INSN_MAX];

	if (qcopyin(qvm_uspace(m), jump, si->si_addr, si->si_len) != 0)
		return;
	/* What a short one goes to is where it says. */
	si->si_nop = si->si_addr + 2 + (uint64_t)(int8_t)jump[1];
	write_site(jump, si, at);
	qvmspace_hold(lt->lt_vs);
	(void)!qvm_poke(m, si->si_addr, jump, si->si_insn, si->si_len);
	qvmspace_release(lt->lt_vs);
}

bool
lcalls_step(struct lthread *lt)
{
	struct lcalls *lc = __atomic_load_n(&lt->lt_proc->lp_calls,
	    __ATOMIC_ACQUIRE);
	uint64_t rip = lt->lt_f.f_rip, at;
	struct site si;

	if (lc == NULL)
		return false;
	at = tramp_at(lc, rip);
	if (at == 0)
		at = tramp_from(lt, lc, rip);
	if (at == 0 || !site_of(lt, at, &si))
		return false;
	restore(lt, &si, at);
	if (rip == si.si_addr)
		return false; /* about to come to it */
	/* It has jumped, or is further on. */
	if (rip - at < TRAMP && rip != at) {
		lt->lt_f.f_rip = si.si_addr + si.si_len;
		return false;
	}
	lt->lt_f.f_rip = si.si_addr;
	return true;
}

void
lcalls_moving(struct lthread *lt, uint64_t start, uint64_t len)
{
	struct lcalls *lc = __atomic_load_n(&lt->lt_proc->lp_calls,
	    __ATOMIC_ACQUIRE);
	struct site si;
	uint64_t base;
	unsigned i, j;

	for (i = 0; lc != NULL && i < AREAS; i++) {
		base = __atomic_load_n(&lc->lc_area[i].ar_base,
		    __ATOMIC_RELAXED);
		for (j = 0; base != 0 && j < PAGE / TRAMP; j++)
			if (site_of(lt, base + j * TRAMP, &si) &&
			    si.si_addr - start < len)
				restore(lt, &si, base + j * TRAMP);
	}
}

/* ---- processes ----------------------------------------------------------------------- */

void
lcalls_fork(struct lproc *lp, struct lproc *from)
{
	const struct lcalls *old = __atomic_load_n(&from->lp_calls,
	    __ATOMIC_ACQUIRE);
	struct qvmspace *vs = lthread_current()->lt_vs;
	struct lcalls *lc;

	if (old == NULL)
		return;
	/* Without it it only finds out for itself. */
	lc = qzalloc(&tag_calls, sizeof(*lc));
	if (lc == NULL)
		return;
	qvmspace_hold(vs);
	memcpy(lc->lc_area, old->lc_area, sizeof(lc->lc_area));
	qvmspace_release(vs);
	lp->lp_calls = lc;
}

void
lcalls_free(struct lproc *lp)
{
	qfree(lp->lp_calls);
	lp->lp_calls = NULL;
}
