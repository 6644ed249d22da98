/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a stub process may ask of the host's kernel, as a seccomp program.
 *
 * Every system call of the guest's is a SIGSYS.  The stub has two places from
 * which it makes its own, S1 and S2 (vmstub.S), and the program knows them by
 * the instruction pointer.  That is not enough: guest code may jump to S1 and S2
 * with registers of its choosing.  So
 *
 * F1  what may be done from S1 is harmless, whoever does it: yield, and wait or
 *     wake on the one word c_turn.  Coming out of it is coming out in the stub
 *     (T1 there).
 * F2  from S2 a call goes through only with three secrets of 32 bits in parts
 *     of the arguments that the kernel does not read: the high halves of
 *     mmap's prot, flags and fd, and of the fourth to sixth argument of munmap
 *     and mprotect.  They are new for each vmspace.
 * F3  even then a call maps nothing but RAM and touches nothing that is the
 *     stub's.
 *
 * The guest never sees the secrets: they are in its memory only while the stub
 * is known to be in its own code (vmturn.c), and gone before it resumes (T3).
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "vm.h"

/* A program under way.  Jumps are to the end of a block by their length. */
struct prog {
	struct sock_filter *p_at;
	unsigned p_n, p_max;
	unsigned p_weak; /* pc_weaken */
};

#define DATA_NR      offsetof(struct seccomp_data, nr)
#define DATA_ARCH    offsetof(struct seccomp_data, arch)
#define DATA_IP_LOW  offsetof(struct seccomp_data, instruction_pointer)
#define DATA_IP_HIGH (DATA_IP_LOW + 4)
#define DATA_LOW(n)  (offsetof(struct seccomp_data, args) + 8 * (n))
#define DATA_HIGH(n) (DATA_LOW(n) + 4)

static void
emit(struct prog *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	if (p->p_n < p->p_max)
		p->p_at[p->p_n] = (struct sock_filter){ code, jt, jf, k };
	p->p_n++;
}

static void
load(struct prog *p, size_t off)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)off, 0, 0);
}

static void
answer(struct prog *p, uint32_t action)
{
	emit(p, BPF_RET | BPF_K, action, 0, 0);
}

/* Trap unless the word at `off` is `value`. */
static void
require(struct prog *p, size_t off, uint32_t value)
{
	load(p, off);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0);
	answer(p, SECCOMP_RET_TRAP);
}

/* Trap unless the high half of argument `n` is a secret. */
static void
require_secret(struct prog *p, unsigned n, uint32_t secret)
{
	if ((p->p_weak & QUERN_POSIX_NOSECRETS) == 0)
		require(p, DATA_HIGH(n), secret);
}

/* Trap unless the address in argument 0 is in the guest's space. */
static void
require_guest(struct prog *p)
{
	if ((p->p_weak & QUERN_POSIX_NORANGE) != 0)
		return;
	load(p, DATA_HIGH(0));
	emit(p, BPF_JMP | BPF_JGT | BPF_K, 0, 3, 0);
	load(p, DATA_LOW(0));
	emit(p, BPF_JMP | BPF_JGE | BPF_K, VM_LOW, 1, 0);
	answer(p, SECCOMP_RET_TRAP);
}

/* Begin a block for when the accumulator is `value`; returns where. */
static unsigned
when(struct prog *p, uint32_t value)
{
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 0);
	return p->p_n - 1;
}

/* End it: another value comes here. */
static void
end_when(struct prog *p, unsigned at)
{
	if (at < p->p_max)
		p->p_at[at].jf = (uint8_t)(p->p_n - at - 1);
}

static void
from_s1(struct prog *p)
{
	unsigned block;

	load(p, DATA_NR);
	block = when(p, SYS_sched_yield);
	answer(p, SECCOMP_RET_ALLOW);
	end_when(p, block);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 1, 0);
	answer(p, SECCOMP_RET_TRAP);
	require(p, DATA_HIGH(0), 0);
	require(p, DATA_LOW(0), SLOT_BASE + C_TURN);
	load(p, DATA_LOW(1));
	emit(p, BPF_JMP | BPF_JGT | BPF_K, FUTEX_WAKE, 0, 1);
	answer(p, SECCOMP_RET_TRAP);
	answer(p, SECCOMP_RET_ALLOW);
}

static void
from_s2(struct prog *p, const uint32_t *secret)
{
	static const uint32_t changes[] = { SYS_munmap, SYS_mprotect };
	unsigned block, i, j;

	load(p, DATA_NR);
	block = when(p, SYS_mmap);
	require_secret(p, 2, secret[0]);
	require_secret(p, 3, secret[1]);
	require_secret(p, 4, secret[2]);
	require(p, DATA_LOW(4), STUB_FD_RAM);
	load(p, DATA_LOW(3));
	emit(p, BPF_ALU | BPF_AND | BPF_K, ~(uint32_t)MAP_POPULATE, 0, 0);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, MAP_SHARED | MAP_FIXED, 1, 0);
	answer(p, SECCOMP_RET_TRAP);
	require_guest(p);
	answer(p, SECCOMP_RET_ALLOW);
	end_when(p, block);
	for (i = 0; i < 2; i++) {
		block = when(p, changes[i]);
		for (j = 0; j < VM_NSECRET; j++)
			require_secret(p, 3 + j, secret[j]);
		require_guest(p);
		answer(p, SECCOMP_RET_ALLOW);
		end_when(p, block);
	}
	answer(p, SECCOMP_RET_TRAP);
}

unsigned
host_filter_make(const struct vmspace *v, struct sock_filter *at, unsigned max)
{
	struct prog p = { .p_at = at, .p_max = max, .p_weak = v->v_weak };
	unsigned block;

	if ((p.p_weak & QUERN_POSIX_NOARCH) == 0)
		require(&p, DATA_ARCH, AUDIT_ARCH_X86_64);
	require(&p, DATA_IP_HIGH, 0);
	load(&p, DATA_IP_LOW);
	block = when(&p, STUB_BASE + host_stub_offset[STUB_S1]);
	from_s1(&p);
	end_when(&p, block);
	block = when(&p, STUB_BASE + host_stub_offset[STUB_S2]);
	from_s2(&p, v->v_secret);
	end_when(&p, block);
	if ((p.p_weak & QUERN_POSIX_NOPLACE) != 0)
		from_s2(&p, v->v_secret);
	answer(&p, SECCOMP_RET_TRAP);
	return p.p_n;
}

uint32_t
host_filter_run(const struct sock_filter *at, unsigned n,
    const struct seccomp_data *data)
{
	uint32_t acc = 0;
	unsigned pc = 0;
	bool yes;

	for (; pc < n; pc++) {
		switch (at[pc].code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&acc, (const char *)data + at[pc].k, sizeof acc);
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			acc &= at[pc].k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = acc == at[pc].k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			yes = acc > at[pc].k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = acc >= at[pc].k;
			break;
		case BPF_RET | BPF_K:
			return at[pc].k;
		default: /* there are no others in ours */
			return SECCOMP_RET_TRAP;
		}
		pc += yes ? at[pc].jt : at[pc].jf;
	}
	return SECCOMP_RET_TRAP;
}

static uint64_t
prot_of(const struct quern_vm_op *op)
{
	return ((op->v_prot & QUERN_VM_READ) != 0 ? PROT_READ : 0) |
	    ((op->v_prot & QUERN_VM_WRITE) != 0 ? PROT_WRITE : 0) |
	    ((op->v_prot & QUERN_VM_EXEC) != 0 ? PROT_EXEC : 0);
}

void
host_filter_op(const struct vmspace *v, const struct quern_vm_op *op,
    struct stub_op *o)
{
	uint64_t secret[VM_NSECRET], flags;
	int i;

	for (i = 0; i < VM_NSECRET; i++)
		secret[i] = (uint64_t)v->v_secret[i] << 32;
	memset(o, 0, sizeof(*o));
	o->o_arg[0] = op->v_addr;
	o->o_arg[1] = op->v_len;
	switch ((enum quern_vm_cmd)op->v_cmd) {
	case QUERN_VM_MAP:
		flags = MAP_SHARED | MAP_FIXED;
		if ((op->v_prot & QUERN_VM_POPULATE) != 0)
			flags |= MAP_POPULATE;
		o->o_nr = SYS_mmap;
		o->o_arg[2] = prot_of(op) | secret[0];
		o->o_arg[3] = flags | secret[1];
		o->o_arg[4] = STUB_FD_RAM | secret[2];
		o->o_arg[5] = op->v_ram;
		return;
	case QUERN_VM_UNMAP:
		o->o_nr = SYS_munmap;
		break;
	case QUERN_VM_PROTECT:
		o->o_nr = SYS_mprotect;
		o->o_arg[2] = prot_of(op);
		break;
	}
	for (i = 0; i < VM_NSECRET; i++)
		o->o_arg[3 + i] = secret[i];
}
