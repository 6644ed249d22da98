/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest programs; guest.h says how they get where they run. */

#define FUNC(name) .globl name; name

	.section .rodata.guest, "a", @progbits
	.balign	64
FUNC(guest_text):

/* One call, its registers all different, then stop for good. */
FUNC(g_call):
	mov	$39, %eax
	syscall
	ud2

/* Calls without end; %r15 counts. */
FUNC(g_call_loop):
	mov	$39, %eax
	syscall
	inc	%r15
	jmp	g_call_loop

/* As g_call_loop, by jumps to %r14; vector register and MXCSR as g_fp_get. */
FUNC(g_vmcall):
	movq	%xmm7, %rbx
	stmxcsr	-8(%rsp)
	mov	-8(%rsp), %ebp
	mov	$39, %eax
	lea	1f(%rip), %rcx
	jmp	*%r14
1:	inc	%r15
	jmp	g_vmcall

/* Odd flags across such a call, and what it leaves in %rcx and %r11. */
FUNC(g_vmflags):
	pushfq
	orl	$0x404c5, (%rsp)
	popfq
	mov	$6, %eax
	lea	1f(%rip), %rcx
	jmp	*%r14
1:	mov	%rcx, %r12
	pushfq
	pop	%rbx
	mov	$7, %eax
	syscall
	ud2

/* *%rdi = %rsi, call */
FUNC(g_store):
	mov	%rsi, (%rdi)
	mov	$1, %eax
	syscall
	jmp	g_store

/* %rbx = *%rdi, call */
FUNC(g_load):
	mov	(%rdi), %rbx
	mov	$2, %eax
	syscall
	jmp	g_load

FUNC(g_spin):
	inc	%r15
	mov	%r15, (%rdi)
	jmp	g_spin

FUNC(g_ud2):
	ud2
FUNC(g_int3):
	int3
	nop
FUNC(g_div):
	xor	%ecx, %ecx
	div	%ecx
FUNC(g_hlt):
	hlt

/* Set both bases, call, read them back into %rbx and %rbp, call. */
FUNC(g_bases):
	wrfsbase %rsi
	wrgsbase %rdi
	mov	$3, %eax
	syscall
	rdfsbase %rbx
	rdgsbase %rbp
	mov	$4, %eax
	syscall
	ud2

/* %rsi into a vector register and %edi into MXCSR, then calls without end. */
FUNC(g_fp_set):
	movq	%rsi, %xmm7
	mov	%edi, -8(%rsp)
	ldmxcsr	-8(%rsp)
/* Calls without end with these in %rbx and %ebp. */
FUNC(g_fp_get):
	movq	%xmm7, %rbx
	stmxcsr	-8(%rsp)
	mov	-8(%rsp), %ebp
	mov	$5, %eax
	syscall
	jmp	g_fp_get

/* Go to %r15 with registers as they are. */
FUNC(g_jump):
	jmp	*%r15

/* The same, stepping. */
FUNC(g_step_jump):
	pushfq
	orl	$0x100, (%rsp)
	popfq
	jmp	*%r15

/* Odd flags: direction, alignment check, nested task. */
FUNC(g_flags):
	pushfq
	orl	$0x44400, (%rsp)
	popfq
	mov	$6, %eax
	syscall
	pushfq
	pop	%rbx
	mov	$7, %eax
	syscall
	ud2

/* Null selectors. */
FUNC(g_segments):
	xor	%eax, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %fs
	mov	%eax, %gs
	mov	$8, %eax
	syscall
	ud2

FUNC(g_int80):
	mov	$20, %eax
	int	$0x80
	ud2

FUNC(g_sysenter):
	mov	$20, %eax
	mov	%rsp, %rbp
	sysenter
	ud2

FUNC(g_vsyscall):
	mov	$0xffffffffff600000, %rax
	xor	%edi, %edi
	xor	%esi, %esi
	call	*%rax
	ud2

/* Into a 32-bit code segment, and a call from there. */
FUNC(g_compat):
	pushq	$0x23
	lea	1f(%rip), %rax
	push	%rax
	lretq
	.code32
1:	mov	$20, %eax
	int	$0x80
	ud2
	.code64

/*
 * Tell the host again and again that it is its turn, as if a call had been made
 * (%rdi: c_turn, %rsi: c_sig, %edx: SIGSYS), and go on counting at %r8.
 */
FUNC(g_fake):
	mov	%edx, (%rsi)
	movl	$0, (%rdi)
	incq	(%r8)
	jmp	g_fake

/*
 * The same, and look through %rcx bytes at %rbx for anything that is not zero;
 * what is found goes to 8(%r8).
 */
FUNC(g_snoop):
	mov	%edx, (%rsi)
	movl	$0, (%rdi)
	incq	(%r8)
	lea	(%rbx, %rcx), %r10
	mov	%rbx, %r9
1:	mov	(%r9), %rax
	test	%rax, %rax
	jz	2f
	mov	%rax, 8(%r8)
2:	add	$8, %r9
	cmp	%r10, %r9
	jb	1b
	jmp	g_snoop

/*
 * Hand over the turn with a frame of its own choice (%rcx: c_uc, %rax), and wait
 * as the stub does, by its instructions (%r9).
 */
FUNC(g_forge):
	mov	%rax, (%rcx)
	mov	%edx, (%rsi)
	movl	$0, (%rdi)
	jmp	*%r9

FUNC(guest_end):
	.section .note.GNU-stack, "", @progbits
