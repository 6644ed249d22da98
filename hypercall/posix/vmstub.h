/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the host and the stub (vmstub.S) both know: addresses, and offsets in
 * the slot that they share.  Plain numbers, for the assembler.
 */
#ifndef QUERN_POSIX_VMSTUB_H
#define QUERN_POSIX_VMSTUB_H

/* The guest's address space: what is below VM_LOW is the stub's. */
#define STUB_BASE 0x100000 /* its program, read and execute */
#define SLOT_BASE 0x110000 /* the slot, read and write, aligned to its size */
#define VM_LOW    0x200000
#define VM_TOP    0x7ffffffff000

/* The slot. */
#define SLOT_COMM  0x0000 /* struct comm */
#define SLOT_OPS   0x1000 /* struct stub_op[STUB_NOPS] */
#define SLOT_FP    0x2000 /* extended state that the host loads */
#define SLOT_STACK 0x4000 /* alternate signal stack, to the end */
#define SLOT_LEN   0x8000
#define STUB_NOPS  64
#define FP_MAX     0x2000

/* Kinds of stops: the number of a system call, below, or this. */
#define STOP_FAULT 511
#define STOP_MASK  511

/* In C_SIG: no signal, a jump to the stub's `call`. */
#define STOP_CALL 256

/* In C_RESUME; 0: when the operations are done, it is the host's turn again. */
#define RESUME_LOAD  1 /* run the guest, with extended state from C_FP */
#define RESUME_LIVE  2 /* with that which is in the registers */
#define RESUME_FAST  3 /* the same, as a system call returns */
#define RESUME_STORE 4 /* put that into SLOT_FP; the host's turn */

/* Descriptors of a new stub; it closes the first. */
#define STUB_FD_SLOT 3
#define STUB_FD_RAM  4

/* struct comm */
#define C_TURN   0
#define C_GATE   4
#define C_HSLEEP 8
#define C_SSLEEP 12
#define C_SPINS  16
#define C_YIELDS 20
#define C_LEFT   24
#define C_PEND   28
#define C_RESUME 32
#define C_NOPS   36
#define C_OPI    40
#define C_OPERR  44
#define C_SIG    48
#define C_HOLD   52
#define C_UC     56
#define C_INFO   64
#define C_SP     72
#define C_FP     80
#define C_FSBASE 88
#define C_GSBASE 96
#define C_REG    104 /* in the order of struct quern_vmframe */
#define C_RIP    232
#define C_RFLAGS 240
#define C_XMASK  248
#define C_SLEEPY 256

/* struct stub_op */
#define OP_NR   0
#define OP_ARG  8
#define OP_RET  56
#define OP_SIZE 64

/* struct nurse */
#define NURSE_WORD        0
#define NURSE_FLAGS       8
#define NURSE_PIDFD       16
#define NURSE_ERROR       24
#define NURSE_OPS         32
#define NURSE_NOPS        40
#define NURSE_PID         48
#define NURSE_SPAWN_FLAGS 56
#define NURSE_SPAWN_PIDFD 64
#define NURSE_SPAWN_ERROR 72
#define NURSE_SPAWN_OPS   80
#define NURSE_SPAWN_NOPS  88

/* Linux's, whose own headers are not for the assembler. */
#define K_PROT_RW            3
#define K_MAP_SHARED_FIXED   0x11
#define K_FUTEX_WAIT         0
#define K_FUTEX_WAKE         1
#define K_SIGUSR1            10
#define K_SIGSYS             31
#define K_FUTEX_WAIT_PRIVATE 128
#define K_FUTEX_WAKE_PRIVATE 129

#endif /* QUERN_POSIX_VMSTUB_H */
