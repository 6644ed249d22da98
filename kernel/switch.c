/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changing stacks on x86-64.
 *
 * What a saved context looks like is in <quern/san.h>.  Kernel code does no
 * floating point.
 *
 * Call-frame information: ctx_enter keeps its frame pointer on the host's
 * stack, so unwinding leaves the kernel stack at its bottom and goes on in the
 * client.  The frame is marked as a signal frame, since debuggers take a frame
 * that lies "inside" an earlier one for corruption otherwise.
 */
#include "impl.h"

__asm__(QSAN_SWITCH_TEXT("ctx_switch"));

/*
 * int64_t ctx_enter(struct qthread *t, void *frame, struct qsan *kernel,
 *     struct qsan *host, void **save,
 *     struct qclient_ret (*body)(struct qthread *, void *))
 *
 * The host's stack: return address, rbp (the frame pointer points here), rbx,
 * r12 - r15, t; below that the context of ctx_host, which finds its way back by
 * the fixed distance.  A TSan fiber is the first member of a struct qsan.
 */
_Static_assert(offsetof(struct qsan, sn_fiber) == 0, "see above");

/* clang-format off */
__asm__(".text\n"
	"	.p2align 4\n"
	"	.globl ctx_enter\n"
	"	.type ctx_enter, @function\n"
	"ctx_enter:\n"
	"	.cfi_startproc\n"
	"	.cfi_signal_frame\n"
	"	endbr64\n"
	"	pushq %rbp\n"
	"	.cfi_def_cfa_offset 16\n"
	"	.cfi_offset %rbp, -16\n"
	"	movq %rsp, %rbp\n"
	"	.cfi_def_cfa_register %rbp\n"
	"	pushq %rbx\n"
	"	.cfi_offset %rbx, -24\n"
	"	pushq %r12\n"
	"	.cfi_offset %r12, -32\n"
	"	pushq %r13\n"
	"	.cfi_offset %r13, -40\n"
	"	pushq %r14\n"
	"	.cfi_offset %r14, -48\n"
	"	pushq %r15\n"
	"	.cfi_offset %r15, -56\n"
	"	pushq %rdi\n"
	"	leaq ctx_host(%rip), %rax\n"
	"	movq %rax, -8(%rsp)\n"
	"	leaq -56(%rsp), %rax\n"
	"	movq %rax, (%r8)\n"
	"	movq %rdi, %rbx\n"
	"	movq %rsi, %r12\n"
	"	movq %rdx, %r13\n"
	"	movq %rcx, %r15\n"
	"	movq %r9, %r14\n"
	"	subq $64, %rsp\n" /* the context just written is below */
	"	movq (%r13), %rdi\n" QSAN_ASM_SWITCH
	"	movq %rbx, %rsp\n"
	"	movq %rbx, %rdi\n"
	"	movq %r12, %rsi\n"
	"	call *%r14\n"
	"	testq %rdx, %rdx\n"
	"	jnz 1f\n"
	"	movq %rax, %r12\n"
	"	movq (%r15), %rdi\n" QSAN_ASM_SWITCH
	"	movq %r12, %rax\n"
	"	leaq -40(%rbp), %rsp\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	.cfi_remember_state\n"
	"	.cfi_def_cfa %rsp, 8\n"
	"	ret\n"
	"	.cfi_restore_state\n"
	"1:	movq %rbx, %rdi\n"
	"	movq %rax, %rsi\n"
	"	call sched_client_exit\n"
	"	ud2\n"
	"	.cfi_endproc\n"
	"	.size ctx_enter, . - ctx_enter\n");
/* clang-format on */

/*
 * The context that ctx_enter left on the host's stack: call
 * host_loop(t, arg) and return its result from ctx_enter.
 */
__asm__(".text\n"
	"	.p2align 4\n"
	"	.type ctx_host, @function\n"
	"ctx_host:\n"
	"	.cfi_startproc\n"
	"	.cfi_def_cfa %rsp, 64\n"
	"	.cfi_offset %rbp, -16\n"
	"	.cfi_offset %rbx, -24\n"
	"	.cfi_offset %r12, -32\n"
	"	.cfi_offset %r13, -40\n"
	"	.cfi_offset %r14, -48\n"
	"	.cfi_offset %r15, -56\n"
	"	movq (%rsp), %rdi\n"
	"	movq %rax, %rsi\n"
	"	call host_loop\n"
	"	addq $8, %rsp\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	.cfi_def_cfa %rsp, 8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	"	.size ctx_host, . - ctx_host\n");

/* A new thread "returns" here; nothing is above it. */
__asm__(".text\n"
	"	.p2align 4\n"
	"	.globl ctx_thread_tramp\n"
	"	.type ctx_thread_tramp, @function\n"
	"ctx_thread_tramp:\n"
	"	.cfi_startproc\n"
	"	.cfi_undefined %rip\n"
	"	xorl %ebp, %ebp\n"
	"	call sched_thread_start\n"
	"	ud2\n"
	"	.cfi_endproc\n"
	"	.size ctx_thread_tramp, . - ctx_thread_tramp\n");
