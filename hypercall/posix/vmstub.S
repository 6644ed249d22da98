/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stub: all the code that a guest's host process has of its own, and the
 * nurse, which makes such processes.
 *
 * From host_stub_image on the bytes are a complete static program.  The host
 * puts them into a memfd and executes that, so nothing of the embedder is left
 * in the new process: no libc, no thread-local storage, no vDSO after the first
 * operations.  It is in assembly so that no compiler's or sanitizer's idea of a
 * function can add to it, and written so that
 *
 * T1  no instruction after S1 relies on a register.  Guest code may jump to any
 *     instruction here with registers of its choosing, but if it waits at S1
 *     it comes out in the stub's hands;
 * T2  SIGUSR1 may stop the thread at any instruction.  If that is one of the
 *     stub's it is remembered in C_PEND and the thread goes on exactly where
 *     it was, unless that is between looking at C_PEND and the guest: then
 *     the guest has not run yet, and the turn is given back, saying so;
 * T3  no secret (vmfilter.c) outlives the operations: not in a register (all are
 *     loaded on resuming), not in the slot, not in a signal frame.
 *
 * The guest's extended state is in one of two places.  After a signal it is in the
 * frame that the host's kernel has made, and loaded from there or, for another
 * thread, from where the host has put it.  After a call (below) it is still in the
 * registers, which the stub does not use, and stays there: the host has it stored
 * when it needs it.  A signal that comes in the stub takes it out of the registers
 * into its own frame; so the handler loads it again (T2).
 *
 * The stack is the slot's end, also in the signal handler.  C_SP is below the
 * signal frame of the guest's last stop, where that holds its extended state: what
 * is pushed, and any frame of a signal that comes in the stub, goes below that.
 */
#include <asm/unistd.h>

#include "vmstub.h"

/* In struct ucontext. */
#define UC_R8	  40
#define UC_R9	  48
#define UC_R10	  56
#define UC_R11	  64
#define UC_R12	  72
#define UC_R13	  80
#define UC_R14	  88
#define UC_R15	  96
#define UC_RDI	  104
#define UC_RSI	  112
#define UC_RBP	  120
#define UC_RBX	  128
#define UC_RDX	  136
#define UC_RAX	  144
#define UC_RCX	  152
#define UC_RSP	  160
#define UC_RIP	  168
#define UC_RFLAGS 176
#define UC_FPREGS 224

#define ET_EXEC	  2
#define EM_X86_64 62
#define PT_LOAD	  1
#define PT_STACK  0x6474e551

	.section .rodata.quern_stub, "a", @progbits
	.balign	64
	.globl	host_stub_image, host_stub_image_end, host_stub_offset
	.hidden	host_stub_image, host_stub_image_end, host_stub_offset

host_stub_image:
	/* Elf64_Ehdr */
	.byte	0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0
	.short	ET_EXEC, EM_X86_64
	.long	1
	.quad	STUB_BASE + (start - host_stub_image)
	.quad	phdr - host_stub_image
	.quad	0
	.long	0
	.short	64, 56, 2, 0, 0, 0
phdr:	.long	PT_LOAD, 5		/* read, execute */
	.quad	0, STUB_BASE, STUB_BASE
	.quad	image_end - host_stub_image
	.quad	image_end - host_stub_image
	.quad	0x1000
	.long	PT_STACK, 6		/* read, write: not executable */
	.quad	0, 0, 0, 0, 0, 16

/*
 * Map the slot.  What the host has written there before is the first turn.
 */
start:
	mov	$__NR_mmap, %eax
	mov	$SLOT_BASE, %edi
	mov	$SLOT_LEN, %esi
	mov	$K_PROT_RW, %edx
	mov	$K_MAP_SHARED_FIXED, %r10d
	mov	$STUB_FD_SLOT, %r8d
	xor	%r9d, %r9d
	syscall
	cmp	$SLOT_BASE, %rax
	je	wait
	mov	$__NR_exit_group, %eax
	mov	$1, %edi
	syscall
	ud2

/*
 * Every signal comes here: %rdi its number, %rsi siginfo, %rdx ucontext, %rsp
 * the frame, whose second word the ucontext is.
 */
handler:
	mov	$SLOT_BASE, %ebx
	mov	UC_RIP(%rdx), %rax
	sub	$STUB_BASE, %rax	/* an offset in the program? */
	cmp	$(image_end - host_stub_image), %rax
	jae	1f
	cmp	$K_SIGUSR1, %edi
	je	kicked
	/* Any other signal in here is the guest's doing. */
1:	mov	%edi, C_SIG(%rbx)
	mov	%rsi, C_INFO(%rbx)
	mov	%rdx, C_UC(%rbx)
	mov	%rsp, C_SP(%rbx)
	rdfsbase %rax
	mov	%rax, C_FSBASE(%rbx)
	rdgsbase %rax
	mov	%rax, C_GSBASE(%rbx)
	/* After stops of some kinds the host wants it asleep. */
	mov	$STOP_FAULT, %eax
	cmp	$K_SIGSYS, %edi
	jne	stopped
	mov	UC_RAX(%rdx), %eax
	and	$STOP_MASK, %eax
stopped:
	bt	%eax, C_SLEEPY(%rbx)
	jnc	handover
	movl	$1, C_HOLD(%rbx)
	jmp	handover

/* SIGUSR1 came while the stub ran, at offset %rax: T2. */
kicked:
	mov	%rax, %rcx
	mov	UC_FPREGS(%rdx), %rdi
	mov	%rdx, %rsi
	mov	C_XMASK(%rbx), %eax
	mov	C_XMASK + 4(%rbx), %edx
	xrstor64 (%rdi)
	mov	%rsi, %rdx
	cmp	$(resume - host_stub_image), %rcx
	jae	turned
	movl	$1, C_PEND(%rbx)
	mov	UC_RSP(%rdx), %rax
	pushq	$0x2b
	push	%rax
	pushq	UC_RFLAGS(%rdx)
	pushq	$0x33
	pushq	UC_RIP(%rdx)
#define FRAME(reg) (6 * 8 + reg)(%rsp)
	mov	FRAME(UC_R8), %r8
	mov	FRAME(UC_R9), %r9
	mov	FRAME(UC_R10), %r10
	mov	FRAME(UC_R11), %r11
	mov	FRAME(UC_R12), %r12
	mov	FRAME(UC_R13), %r13
	mov	FRAME(UC_R14), %r14
	mov	FRAME(UC_R15), %r15
	mov	FRAME(UC_RDI), %rdi
	mov	FRAME(UC_RSI), %rsi
	mov	FRAME(UC_RBP), %rbp
	mov	FRAME(UC_RBX), %rbx
	mov	FRAME(UC_RDX), %rdx
	mov	FRAME(UC_RAX), %rax
	mov	FRAME(UC_RCX), %rcx
	/* These may have been an operation's: T3. */
	movq	$0, FRAME(UC_R8)
	movq	$0, FRAME(UC_R9)
	movq	$0, FRAME(UC_R10)
	movq	$0, FRAME(UC_RDX)
	iretq

/*
 * Guest code jumps here for a system call without the host's kernel (vm.call in
 * hypercall.h), with the registers of one and the address to go on at in %rcx.
 * They go where the host reads them; it believes them no more than a frame.
 */
call:
	mov	%rax, SLOT_BASE + C_REG + 0 * 8
	mov	%rbx, SLOT_BASE + C_REG + 1 * 8
	mov	%rcx, SLOT_BASE + C_RIP
	mov	%rdx, SLOT_BASE + C_REG + 3 * 8
	mov	%rsi, SLOT_BASE + C_REG + 4 * 8
	mov	%rdi, SLOT_BASE + C_REG + 5 * 8
	mov	%rbp, SLOT_BASE + C_REG + 6 * 8
	mov	%rsp, SLOT_BASE + C_REG + 7 * 8
	mov	%r8, SLOT_BASE + C_REG + 8 * 8
	mov	%r9, SLOT_BASE + C_REG + 9 * 8
	mov	%r10, SLOT_BASE + C_REG + 10 * 8
	mov	%r12, SLOT_BASE + C_REG + 12 * 8
	mov	%r13, SLOT_BASE + C_REG + 13 * 8
	mov	%r14, SLOT_BASE + C_REG + 14 * 8
	mov	%r15, SLOT_BASE + C_REG + 15 * 8
	mov	$SLOT_BASE, %ebx
	lea	SLOT_LEN(%rbx), %rsp
	pushfq
	popq	C_RFLAGS(%rbx)
	mov	%rsp, C_SP(%rbx)
	rdfsbase %rcx
	mov	%rcx, C_FSBASE(%rbx)
	rdgsbase %rcx
	mov	%rcx, C_GSBASE(%rbx)
	movl	$STOP_CALL, C_SIG(%rbx)
	and	$STOP_MASK, %eax
	jmp	stopped

/*
 * Give the turn to the host, and wait for it to come back.
 */
handover:
	mov	$SLOT_BASE, %ebx
	mov	C_YIELDS(%rbx), %eax
	mov	%eax, C_LEFT(%rbx)
	xor	%eax, %eax
	xchg	%eax, C_TURN(%rbx)
wake:
	mov	$SLOT_BASE, %ebx
	mov	C_SP(%rbx), %rsp
	cmpl	$0, C_HSLEEP(%rbx)
	je	wait
	mov	$__NR_futex, %eax
	lea	C_TURN(%rbx), %rdi
	mov	$K_FUTEX_WAKE, %esi
	mov	$1, %edx
	jmp	3f
wait:
	mov	$SLOT_BASE, %ebx
	mov	C_SP(%rbx), %rsp
	pushq	$2			/* no DF, NT, AC or TF of the guest's */
	popfq
	mov	C_SPINS(%rbx), %ecx
1:	cmpl	$0, C_TURN(%rbx)
	jne	dispatch
	cmpl	$0, C_HOLD(%rbx)	/* the host wants it to sleep */
	jne	2f
	pause
	sub	$1, %ecx
	jge	1b
	mov	$__NR_sched_yield, %eax
	subl	$1, C_LEFT(%rbx)
	jge	3f
	/* Say that we sleep, and only then look for the last time. */
2:	mov	$1, %eax
	xchg	%eax, C_SSLEEP(%rbx)
	cmpl	$0, C_TURN(%rbx)
	jne	dispatch
	mov	$__NR_futex, %eax
	lea	C_TURN(%rbx), %rdi
	mov	$K_FUTEX_WAIT, %esi
	xor	%edx, %edx
	xor	%r10d, %r10d
3:	syscall
S1:	jmp	wait

/*
 * It is our turn: the operations first.
 */
dispatch:
	movl	$0, C_SSLEEP(%rbx)
ops:
	mov	$SLOT_BASE, %ebx
	mov	C_OPI(%rbx), %r12d
	cmp	C_NOPS(%rbx), %r12d
	jae	4f
	shl	$6, %r12		/* times OP_SIZE */
	lea	SLOT_OPS(%rbx, %r12), %r12
	mov	OP_NR(%r12), %rax
	mov	OP_ARG(%r12), %rdi
	mov	OP_ARG + 8(%r12), %rsi
	mov	OP_ARG + 16(%r12), %rdx
	mov	OP_ARG + 24(%r12), %r10
	mov	OP_ARG + 32(%r12), %r8
	mov	OP_ARG + 40(%r12), %r9
	syscall
S2:	mov	%rax, OP_RET(%r12)
	cmp	$-4096, %rax
	ja	3f
	addl	$1, C_OPI(%rbx)
	jmp	ops
3:	movl	$1, C_OPERR(%rbx)
	movl	$0, C_SIG(%rbx)
	jmp	handover
4:	mov	C_RESUME(%rbx), %ecx
	test	%ecx, %ecx
	jz	6f
	cmp	$RESUME_STORE, %ecx
	jne	5f
	mov	C_XMASK(%rbx), %eax
	mov	C_XMASK + 4(%rbx), %edx
	xsave64	SLOT_FP(%rbx)
6:	movl	$0, C_SIG(%rbx)
	jmp	handover
5:	/* T3.  There may have been none. */
	mov	C_NOPS(%rbx), %ecx
	shl	$3, %ecx
	lea	SLOT_OPS(%rbx), %rdi
	xor	%eax, %eax
	rep stosq

/*
 * Run the guest, unless a kick came meanwhile.
 */
resume:
	xor	%eax, %eax
	xchg	%eax, C_PEND(%rbx)
	test	%eax, %eax
	jnz	turned
	cmpl	$RESUME_LOAD, C_RESUME(%rbx)
	jne	7f
	mov	C_FP(%rbx), %rcx
	mov	C_XMASK(%rbx), %eax
	mov	C_XMASK + 4(%rbx), %edx
	xrstor64 (%rcx)
7:	mov	C_FSBASE(%rbx), %rax
	wrfsbase %rax
	mov	C_GSBASE(%rbx), %rax
	wrgsbase %rax
	mov	C_SP(%rbx), %rsp
	cmpl	$RESUME_FAST, C_RESUME(%rbx)
	je	fast
	pushq	$0x2b
	pushq	C_REG + 7 * 8(%rbx)
	pushq	C_RFLAGS(%rbx)
	pushq	$0x33
	pushq	C_RIP(%rbx)
	mov	C_REG + 0 * 8(%rbx), %rax
	mov	C_REG + 2 * 8(%rbx), %rcx
	mov	C_REG + 3 * 8(%rbx), %rdx
	mov	C_REG + 4 * 8(%rbx), %rsi
	mov	C_REG + 5 * 8(%rbx), %rdi
	mov	C_REG + 6 * 8(%rbx), %rbp
	mov	C_REG + 8 * 8(%rbx), %r8
	mov	C_REG + 9 * 8(%rbx), %r9
	mov	C_REG + 10 * 8(%rbx), %r10
	mov	C_REG + 11 * 8(%rbx), %r11
	mov	C_REG + 12 * 8(%rbx), %r12
	mov	C_REG + 13 * 8(%rbx), %r13
	mov	C_REG + 14 * 8(%rbx), %r14
	mov	C_REG + 15 * 8(%rbx), %r15
	mov	C_REG + 1 * 8(%rbx), %rbx
	iretq
/*
 * As a system call returns: to %rcx, with the flags in %r11.  The guest's stack is
 * taken while we are still here, so the end of ours may be a signal's.
 */
fast:
	pushq	C_RFLAGS(%rbx)
	popfq
	mov	C_REG + 0 * 8(%rbx), %rax
	mov	C_REG + 2 * 8(%rbx), %rcx
	mov	C_REG + 3 * 8(%rbx), %rdx
	mov	C_REG + 4 * 8(%rbx), %rsi
	mov	C_REG + 5 * 8(%rbx), %rdi
	mov	C_REG + 6 * 8(%rbx), %rbp
	mov	C_REG + 7 * 8(%rbx), %rsp
	mov	C_REG + 8 * 8(%rbx), %r8
	mov	C_REG + 9 * 8(%rbx), %r9
	mov	C_REG + 10 * 8(%rbx), %r10
	mov	C_REG + 11 * 8(%rbx), %r11
	mov	C_REG + 12 * 8(%rbx), %r12
	mov	C_REG + 13 * 8(%rbx), %r13
	mov	C_REG + 14 * 8(%rbx), %r14
	mov	C_REG + 15 * 8(%rbx), %r15
	mov	C_REG + 1 * 8(%rbx), %rbx
	jmp	*%rcx
turned:
	mov	$SLOT_BASE, %ebx
	movl	$K_SIGUSR1, C_SIG(%rbx)
	movq	$0, C_UC(%rbx)
	jmp	handover
restorer:
	ud2				/* no handler returns */
image_end:
host_stub_image_end:

	/* What the host has to know of it, in the order of enum stub_offset. */
	.balign	4
host_stub_offset:
	.long	handler - host_stub_image
	.long	restorer - host_stub_image
	.long	S1 - host_stub_image
	.long	S2 - host_stub_image
	.long	call - host_stub_image

/*
 * int64_t host_nurse_start(struct nurse *)
 *
 * clone() the nurse (vmwarden.c), which shares our memory and never executes a
 * program: it does the system calls of its list, and then, whenever NURSE_WORD
 * is 1, makes a child that shares the memory until it executes a program,
 * with a list of its own; 2 says that NURSE_PID is its number or -errno.
 * Returns the nurse's process id or -errno.
 *
 * NURSE_ERROR, SPAWN_ERROR is what ended one that did not come to the end of its
 * list: each call there must succeed and where a result is given, give that.
 *
 * Both run on registers alone and call nothing, since they have no stack and no
 * thread-local storage.
 */
	.text
	.globl	host_nurse_start
	.hidden	host_nurse_start
	.type	host_nurse_start, @function
host_nurse_start:
	.cfi_startproc
	mov	%rdi, %r9		/* a system call keeps it */
	mov	NURSE_FLAGS(%r9), %rdi
	xor	%esi, %esi
	lea	NURSE_PIDFD(%r9), %rdx
	xor	%r10d, %r10d
	xor	%r8d, %r8d
	mov	$__NR_clone, %eax
	syscall
	test	%rax, %rax
	jz	1f
	ret

1:	mov	%r9, %rbx
	lea	NURSE_ERROR(%rbx), %r13
	mov	NURSE_OPS(%rbx), %r12
	mov	NURSE_NOPS(%rbx), %r14
	lea	wait_for_word(%rip), %r15
do_list:				/* %r13 error, %r12 list, %r14 length, %r15 after */
	sub	$1, %r14
	jl	4f
	mov	OP_NR(%r12), %rax
	mov	OP_ARG(%r12), %rdi
	mov	OP_ARG + 8(%r12), %rsi
	mov	OP_ARG + 16(%r12), %rdx
	mov	OP_ARG + 24(%r12), %r10
	mov	OP_ARG + 32(%r12), %r8
	mov	OP_ARG + 40(%r12), %r9
	syscall
	cmp	$-4096, %rax
	ja	5f
	mov	OP_RET(%r12), %rcx
	add	$OP_SIZE, %r12
	test	%rcx, %rcx
	jz	do_list
	cmp	%rcx, %rax
	je	do_list
	mov	$-3, %rax		/* -ESRCH: the parent is another */
5:	mov	%rax, (%r13)
	mov	$__NR_exit_group, %eax
	mov	$127, %edi
	syscall
	ud2
4:	jmp	*%r15

wait_for_word:
	mov	NURSE_WORD(%rbx), %edx
	cmp	$1, %edx
	je	6f
	mov	$__NR_futex, %eax
	lea	NURSE_WORD(%rbx), %rdi
	mov	$K_FUTEX_WAIT_PRIVATE, %esi
	xor	%r10d, %r10d
	syscall
	jmp	wait_for_word
6:	mov	NURSE_SPAWN_FLAGS(%rbx), %rdi
	xor	%esi, %esi
	lea	NURSE_SPAWN_PIDFD(%rbx), %rdx
	xor	%r10d, %r10d
	xor	%r8d, %r8d
	mov	$__NR_clone, %eax
	syscall
	test	%rax, %rax
	jz	7f
	mov	%rax, NURSE_PID(%rbx)
	mov	$2, %eax
	xchg	%eax, NURSE_WORD(%rbx)
	mov	$__NR_futex, %eax
	lea	NURSE_WORD(%rbx), %rdi
	mov	$K_FUTEX_WAKE_PRIVATE, %esi
	mov	$0x7fffffff, %edx
	syscall
	jmp	wait_for_word
7:	lea	NURSE_SPAWN_ERROR(%rbx), %r13
	mov	NURSE_SPAWN_OPS(%rbx), %r12
	mov	NURSE_SPAWN_NOPS(%rbx), %r14
	lea	8f(%rip), %r15
	jmp	do_list
8:	ud2				/* it executes another program */
	.cfi_endproc
	.size	host_nurse_start, . - host_nurse_start

	.section .note.GNU-stack, "", @progbits
