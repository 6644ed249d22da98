/* SPDX-License-Identifier: BSD-2-Clause */
/* The shared object that user.c became, to be copied into pages. */
	.section .rodata.vdso, "a", @progbits
	.balign	64
	.globl	vdso_image, vdso_image_end
	.hidden	vdso_image, vdso_image_end
vdso_image:
	.incbin	"user.so"
vdso_image_end:

	.section .note.GNU-stack, "", @progbits
