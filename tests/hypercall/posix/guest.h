/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hand-made guests for t_vmspace and the benchmark.  guest_text .. guest_end is
 * copied into RAM and mapped at GUEST_TEXT; GUEST(label) is where label is
 * then.
 */
#ifndef TESTS_POSIX_GUEST_H
#define TESTS_POSIX_GUEST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <quern/hypercall.h>

#define GUEST_TEXT  UINT64_C(0x400000)
#define GUEST_DATA  UINT64_C(0x500000)
#define GUEST_STACK UINT64_C(0x7fff0000)

#define GUEST_RAM_TEXT  0x0000
#define GUEST_RAM_DATA  0x4000
#define GUEST_RAM_STACK 0x8000
#define GUEST_RAM_FREE  0x10000

extern const char guest_text[], guest_end[];
extern const char g_call[], g_call_loop[], g_store[], g_load[], g_spin[];
extern const char g_ud2[], g_int3[], g_div[], g_hlt[], g_bases[], g_fp_set[];
extern const char g_fp_get[], g_jump[], g_int80[], g_sysenter[], g_vsyscall[];
extern const char g_compat[], g_fake[], g_snoop[], g_step_jump[];
extern const char g_vmcall[], g_vmflags[];
extern const char g_flags[], g_segments[], g_forge[];

#define GUEST(label) (GUEST_TEXT + (uint64_t)((label)-guest_text))

enum {
	RAX,
	RBX,
	RCX,
	RDX,
	RSI,
	RDI,
	RBP,
	RSP,
	R8,
	R9,
	R10,
	R11,
	R12,
	R13,
	R14,
	R15
};

#define MAP_OP(addr, ram, len, prot) \
	((struct quern_vm_op){ QUERN_VM_MAP, (prot), (addr), (len), (ram) })

/* Write the programs into RAM and map them, data and a stack: four pages each. */
static inline int
guest_install(const struct quern_hyper *ops, void *ctx, uint32_t id, void *ram)
{
	const struct quern_vm_op maps[] = {
		MAP_OP(GUEST_TEXT, GUEST_RAM_TEXT, 0x4000,
		    QUERN_VM_READ | QUERN_VM_EXEC),
		MAP_OP(GUEST_DATA, GUEST_RAM_DATA, 0x4000,
		    QUERN_VM_READ | QUERN_VM_WRITE),
		MAP_OP(GUEST_STACK, GUEST_RAM_STACK, 0x4000,
		    QUERN_VM_READ | QUERN_VM_WRITE | QUERN_VM_POPULATE),
	};

	memcpy((char *)ram + GUEST_RAM_TEXT, guest_text,
	    (size_t)(guest_end - guest_text));
	return ops->vm_update(ctx, 0, id, maps, 3);
}

/* A thread about to run `label`. */
static inline struct quern_vmframe
guest_frame(const char *label)
{
	struct quern_vmframe f;

	memset(&f, 0, sizeof f);
	f.f_rip = GUEST(label);
	f.f_reg[RSP] = GUEST_STACK + 0x3f00;
	f.f_rflags = 0x202;
	return f;
}

#endif /* TESTS_POSIX_GUEST_H */
