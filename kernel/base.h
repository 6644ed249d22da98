/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every kernel file needs: fixed-width types, attributes, assertions,
 * memory and string primitives, logging and panic.
 */
#ifndef QUERN_BASE_H
#define QUERN_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quern/hypercall.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quern;

#define QMUSTCHECK    __attribute__((warn_unused_result))
#define QPRINTF(f, a) __attribute__((format(printf, f, a)))
#define QNORETURN     __attribute__((noreturn))
#define QCOLD         __attribute__((cold, noinline))

#define qlikely(x)   __builtin_expect(!!(x), 1)
#define qunlikely(x) __builtin_expect(!!(x), 0)

#define QARRAYLEN(a) (sizeof(a) / sizeof((a)[0]))
#define QCONTAINER(p, type, member) \
	((type *)(void *)((char *)(p)-offsetof(type, member)))
#define QROUNDUP(x, to) (((x) + (to)-1) / (to) * (to))

#ifndef __cplusplus
/*
 * memcpy, memmove, memset and memcmp are the compiler's run-time; whatever libc
 * the program has supplies them.
 */
void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
#endif

/* Length of `s` in bytes. */
size_t qstrlen(const char *s);

/* Compare as strcmp(3). */
int qstrcmp(const char *a, const char *b);

/*
 * Format into `buf` as snprintf(3) does; returns the length it would have had.
 * Understands %d %i %u %x %o %p %s %c %% with width, precision for %s, the flags
 * 0 and -, and the lengths l, ll, z.
 */
int qvsnprintf(char *buf, size_t len, const char *fmt, va_list ap)
    QPRINTF(3, 0);

/* Likewise, with the arguments in line. */
int qsnprintf(char *buf, size_t len, const char *fmt, ...) QPRINTF(3, 4);

/* Write one line to the kernel's log.  Any context, any level. */
void qlog(struct quern *k, enum quern_log_level level, const char *fmt, ...)
    QPRINTF(3, 4);

/* What limits the lines of a kind; zero at first, and never torn down. */
struct qlog_rate {
	uint64_t lr_since; /* [a] when the count began */
	uint32_t lr_n;     /* [a] lines since */
	uint32_t lr_lost;  /* [a] left out since the last that was written */
};

/*
 * The same, but no more than 10 lines in 5 seconds of those that share `lr`; how
 * many were left out is said before the next.  For what may go on for ever.
 */
void qlog_limited(struct quern *k, struct qlog_rate *lr,
    enum quern_log_level level, const char *fmt, ...) QPRINTF(4, 5);

/*
 * Mark the instance dead, report message and backtrace, tell the embedder, and
 * leave the kernel: the calling thread does not return.  Callable on a kernel
 * thread only.
 */
void qpanic(struct quern *k, const char *fmt, ...) QPRINTF(2, 3) QNORETURN;

/* The failure half of qassert. */
void qassert_fail(const char *expr, const char *file, int line,
    const char *func) QNORETURN;

/* Always on.  Panics the current thread's kernel; never for bad input. */
#define qassert(e) \
	(qlikely(e) ? (void)0 : qassert_fail(#e, __FILE__, __LINE__, __func__))

#ifdef __cplusplus
}
#endif

#endif /* QUERN_BASE_H */
