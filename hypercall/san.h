/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changing stacks, and what sanitizers must be told of it: for the kernel's
 * scheduler and for hosts whose CPUs are coroutines.  The one place with #if:
 * without sanitizers the san_ functions are empty.
 *
 * ASan is told from C: san_leave on the old stack right before the switch,
 * san_arrive first thing on the new one.  TSan keeps a shadow call stack, so
 * the call must not sit between a function's entry and its exit on different
 * stacks: the assembly of switch.c makes it (QSAN_ASM_SWITCH).
 */
#ifndef QUERN_SAN_H
#define QUERN_SAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__SANITIZE_ADDRESS__)
#define QSAN_ADDRESS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define QSAN_ADDRESS 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define QSAN_THREAD 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define QSAN_THREAD 1
#endif
#endif

/* Kernel stacks, guard page and thread structure included: 1 << this. */
#if defined(QSAN_ADDRESS) || defined(QSAN_THREAD)
#define QSTACK_SHIFT 18
#else
#define QSTACK_SHIFT 16
#endif

/* Bytes behind every heap object that no one may touch. */
#ifdef QSAN_ADDRESS
#define QSAN_REDZONE 16u
#else
#define QSAN_REDZONE 0u
#endif

/* One stack, a kernel thread's or a host thread's own. */
struct qsan {
	void *sn_fiber;        /* TSan's */
	void *sn_fake;         /* ASan's fake stack while switched away */
	const void *sn_bottom; /* lowest address */
	size_t sn_size;
};

#ifdef QSAN_ADDRESS
void __sanitizer_start_switch_fiber(void **fake, const void *bottom,
    size_t size);
void __sanitizer_finish_switch_fiber(void *fake, const void **bottom,
    size_t *size);
void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
void __asan_poison_memory_region(void const volatile *addr, size_t size);
#else
static inline void
__asan_unpoison_memory_region(void const volatile *addr, size_t size)
{
	(void)addr, (void)size;
}
static inline void
__asan_poison_memory_region(void const volatile *addr, size_t size)
{
	(void)addr, (void)size;
}
#endif

#ifdef QSAN_THREAD
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
/* Switch to the fiber in %rdi; %rsp is 16-byte aligned. */
#define QSAN_ASM_SWITCH      \
	"	xorl %esi, %esi\n" \
	"	call __tsan_switch_to_fiber@PLT\n"
#else
#define QSAN_ASM_SWITCH ""
#endif

/*
 * The text of a function
 *	uintptr_t NAME(void **save, void *to, uintptr_t arg, void *fiber)
 * that saves the current context in *save and goes on at `to`; it returns the
 * `arg` of whoever comes back.  A saved context is a stack pointer, at which
 * lie r15 r14 r13 r12 rbx rbp and a return address.  Control words of the FPU
 * belong to the host thread and are not switched.
 */
#define QSAN_SWITCH_TEXT(name)                                        \
	".text\n"                                                     \
	"	.p2align 4\n"                                               \
	"	.globl " name "\n"                                    \
	"	.type " name ", @function\n" name ":\n"               \
	"	.cfi_startproc\n"                                           \
	"	endbr64\n"                                                  \
	"	pushq %rbp\n"                                               \
	"	.cfi_adjust_cfa_offset 8\n"                                 \
	"	.cfi_rel_offset %rbp, 0\n"                                  \
	"	pushq %rbx\n"                                               \
	"	.cfi_adjust_cfa_offset 8\n"                                 \
	"	.cfi_rel_offset %rbx, 0\n"                                  \
	"	pushq %r12\n"                                               \
	"	.cfi_adjust_cfa_offset 8\n"                                 \
	"	.cfi_rel_offset %r12, 0\n"                                  \
	"	pushq %r13\n"                                               \
	"	.cfi_adjust_cfa_offset 8\n"                                 \
	"	.cfi_rel_offset %r13, 0\n"                                  \
	"	pushq %r14\n"                                               \
	"	.cfi_adjust_cfa_offset 8\n"                                 \
	"	.cfi_rel_offset %r14, 0\n"                                  \
	"	pushq %r15\n"                                               \
	"	.cfi_adjust_cfa_offset 8\n"                                 \
	"	.cfi_rel_offset %r15, 0\n"                                  \
	"	movq %rsp, (%rdi)\n"                                        \
	"	movq %rsi, %rbx\n"                                          \
	"	movq %rdx, %r12\n"                                          \
	"	movq %rcx, %rdi\n"                                          \
	"	subq $8, %rsp\n" QSAN_ASM_SWITCH "	movq %rbx, %rsp\n" \
	"	movq %r12, %rax\n"                                          \
	"	popq %r15\n"                                                \
	"	popq %r14\n"                                                \
	"	popq %r13\n"                                                \
	"	popq %r12\n"                                                \
	"	popq %rbx\n"                                                \
	"	popq %rbp\n"                                                \
	"	.cfi_def_cfa %rsp, 8\n"                                     \
	"	ret\n"                                                      \
	"	.cfi_endproc\n"                                             \
	"	.size " name ", . - " name "\n"

/* Registers that a context made by hand has room for below its start. */
#define QSAN_SWITCH_REGS 6u

/* A stack of the kernel's own has been made. */
static inline void
san_create(struct qsan *s, const void *bottom, size_t size)
{
	s->sn_fake = NULL;
	s->sn_bottom = bottom;
	s->sn_size = size;
#ifdef QSAN_THREAD
	s->sn_fiber = __tsan_create_fiber(0);
#endif
}

/*
 * What was on it is done with or abandoned; it will be used afresh from its
 * top.  A new fiber, since frames that never returned are still on the old
 * one's shadow stack.
 */
static inline void
san_clear(struct qsan *s)
{
	s->sn_fake = NULL;
	__asan_unpoison_memory_region(s->sn_bottom, s->sn_size);
#ifdef QSAN_THREAD
	__tsan_destroy_fiber(s->sn_fiber);
	s->sn_fiber = __tsan_create_fiber(0);
#endif
}

/* It is about to be unmapped; nothing runs on it. */
static inline void
san_destroy(struct qsan *s)
{
	__asan_unpoison_memory_region(s->sn_bottom, s->sn_size);
#ifdef QSAN_THREAD
	__tsan_destroy_fiber(s->sn_fiber);
#endif
	s->sn_fiber = NULL;
}

/* The calling host thread is about to enter the kernel. */
static inline void
san_host(struct qsan *s)
{
	(void)s;
#ifdef QSAN_THREAD
	s->sn_fiber = __tsan_get_current_fiber();
#endif
}

/* About to switch from `from` to `to`; `last`: `from` is done with. */
static inline void
san_leave(struct qsan *from, struct qsan *to, bool last)
{
	(void)from, (void)to, (void)last;
#ifdef QSAN_ADDRESS
	__sanitizer_start_switch_fiber(last ? NULL : &from->sn_fake,
	    to->sn_bottom, to->sn_size);
#endif
}

/* Arrived on `self` from `from`, a host's stack perhaps: learn where it is. */
static inline void
san_arrive(struct qsan *self, struct qsan *from)
{
	(void)self, (void)from;
#ifdef QSAN_ADDRESS
	__sanitizer_finish_switch_fiber(self->sn_fake, &from->sn_bottom,
	    &from->sn_size);
#endif
}

#ifdef __cplusplus
}
#endif

#endif /* QUERN_SAN_H */
