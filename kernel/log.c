/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Log lines: levels, and limits on what repeats itself.
 */
#include "impl.h"

#include <quern/abi/syslog.h>

#include "callimpl.h"

#define LINE_MAX 512

static const struct qtag tag_log = { "log" };

#define NS_PER_S UINT64_C(1000000000)

/* How often who waits for lines looks: who logs may be anywhere, and wakes nobody. */
#define LOOK_NS (NS_PER_S / 4)

/* Of a kind, so many lines in such a time. */
#define RATE_BURST 10u
#define RATE_NS    UINT64_C(5000000000)

static void
log_line(struct quern *k, enum quern_log_level level, char *line, size_t len)
{
	if (k->k_logfn != NULL)
		k->k_logfn(k->k_arg, level, line);
	else
		k->k_hyper->log(k->k_ctx, level, line, len);
}

/* ---- what syslog(2) reads ------------------------------------------------------ */

/*
 * The ring has the last lines, as dmesg prints them.  lg_end counts all bytes that
 * there ever were, and lg_read and lg_clear say up to where they were read and
 * cleared.
 */
static void
ring_put(struct quern_ring *lg, const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		lg->lg_buf[lg->lg_end++ % QLOG_RING] = s[i];
}

/* On any stack, also before there are threads and when the kernel has died. */
static void
ring_line(struct quern *k, enum quern_log_level level, const char *line)
{
	uint64_t us = (qclock_mono(k) - k->k_born) / 1000;
	struct quern_ring *lg = &k->k_log;
	char head[32];

	qsnprintf(head, sizeof(head), "<%u>[%lu.%06lu] ", (unsigned)level,
	    us / 1000000, us % 1000000);
	hspin_lock(k, &lg->lg_lock);
	ring_put(lg, head, qstrlen(head));
	ring_put(lg, line, qstrlen(line));
	ring_put(lg, "\n", 1);
	hspin_unlock(&lg->lg_lock);
}

/* The beginning of the first whole line at or after `at`.  [lg_lock] */
static uint64_t
ring_line_from(const struct quern_ring *lg, uint64_t at)
{
	uint64_t first = lg->lg_end > QLOG_RING ? lg->lg_end - QLOG_RING : 0;

	if (at <= first)
		at = first;
	if (at == 0 || (at > first && lg->lg_buf[(at - 1) % QLOG_RING] == '\n'))
		return at;
	while (at < lg->lg_end && lg->lg_buf[at % QLOG_RING] != '\n')
		at++;
	return at < lg->lg_end ? at + 1 : at;
}

/* Copy from `at` on up to `len` bytes; how many.  [lg_lock] */
static size_t
ring_get(const struct quern_ring *lg, uint64_t at, char *buf, size_t len)
{
	size_t n = 0;

	while (n < len && at < lg->lg_end)
		buf[n++] = lg->lg_buf[at++ % QLOG_RING];
	return n;
}

/* The last lines that fit, since they were cleared; SYSLOG_ACTION_READ_ALL. */
static int64_t
read_all(struct qsys *s, size_t len, bool clear)
{
	struct quern *k = s->s_proc->p_k;
	struct quern_ring *lg = &k->k_log;
	uint64_t at;
	char *buf;
	size_t n;
	int error;

	if (len > QLOG_RING)
		len = QLOG_RING;
	buf = qalloc(&tag_log, len);
	if (buf == NULL)
		return -Q_ENOMEM;
	hspin_lock(k, &lg->lg_lock);
	at = lg->lg_end > len ? lg->lg_end - len : 0;
	if (at < lg->lg_clear)
		at = lg->lg_clear;
	n = ring_get(lg, ring_line_from(lg, at), buf, len);
	if (clear)
		lg->lg_clear = lg->lg_end;
	hspin_unlock(&lg->lg_lock);
	error = qsys_out(s, 1, buf, n);
	qfree(buf);
	return error != 0 ? error : (int64_t)n;
}

static uint64_t
unread(struct quern *k)
{
	struct quern_ring *lg = &k->k_log;
	uint64_t n;

	hspin_lock(k, &lg->lg_lock);
	n = lg->lg_end - lg->lg_read;
	hspin_unlock(&lg->lg_lock);
	return n < QLOG_RING ? n : QLOG_RING;
}

/* Wait for lines that nobody has read so, and take them. */
static int64_t
read_next(struct qsys *s, size_t len)
{
	struct quern *k = s->s_proc->p_k;
	struct quern_ring *lg = &k->k_log;
	uint64_t first;
	char buf[256];
	size_t n;
	int error;

	while (unread(k) == 0) {
		error = qthread_sleep_until(qclock_mono(k) + LOOK_NS, true);
		if (error != 0 && error != -Q_ETIMEDOUT)
			return error;
	}
	hspin_lock(k, &lg->lg_lock);
	first = lg->lg_end > QLOG_RING ? lg->lg_end - QLOG_RING : 0;
	if (lg->lg_read < first)
		lg->lg_read = ring_line_from(lg, first);
	n = ring_get(lg, lg->lg_read, buf,
	    len < sizeof(buf) ? len : sizeof(buf));
	lg->lg_read += n;
	hspin_unlock(&lg->lg_lock);
	error = qsys_out(s, 1, buf, n);
	return error != 0 ? error : (int64_t)n;
}

QSYS(syslog)
{
	struct quern *k = s->s_proc->p_k;
	int what = qsys_int(s, 0), len = qsys_int(s, 2);
	bool reads = what == Q_SYSLOG_ACTION_READ ||
	    what == Q_SYSLOG_ACTION_READ_ALL ||
	    what == Q_SYSLOG_ACTION_READ_CLEAR;

	if (what < Q_SYSLOG_ACTION_CLOSE || what > Q_SYSLOG_ACTION_SIZE_BUFFER)
		return -Q_EINVAL;
	if (what != Q_SYSLOG_ACTION_READ_ALL &&
	    what != Q_SYSLOG_ACTION_SIZE_BUFFER &&
	    !qproc_capable(s->s_proc, Q_CAP_SYSLOG) &&
	    !qproc_capable(s->s_proc, Q_CAP_SYS_ADMIN))
		return -Q_EPERM;
	if (reads && (s->s_arg[1] == 0 || len < 0))
		return -Q_EINVAL;
	if (reads && len == 0)
		return 0;
	switch (what) {
	case Q_SYSLOG_ACTION_READ:
		return read_next(s, (size_t)len);
	case Q_SYSLOG_ACTION_READ_ALL:
	case Q_SYSLOG_ACTION_READ_CLEAR:
		return read_all(s, (size_t)len,
		    what == Q_SYSLOG_ACTION_READ_CLEAR);
	case Q_SYSLOG_ACTION_CLEAR:
		hspin_lock(k, &k->k_log.lg_lock);
		k->k_log.lg_clear = k->k_log.lg_end;
		hspin_unlock(&k->k_log.lg_lock);
		return 0;
	case Q_SYSLOG_ACTION_CONSOLE_LEVEL:
		return len >= 1 && len <= 8 ? 0 : -Q_EINVAL;
	case Q_SYSLOG_ACTION_SIZE_UNREAD:
		return (int64_t)unread(k);
	case Q_SYSLOG_ACTION_SIZE_BUFFER:
		return QLOG_RING;
	default:
		return 0; /* it is open; and what the console shows is the host's */
	}
}

/* ---- logging ------------------------------------------------------------------- */

/* Is anybody to see a line of this level? */
static bool
is_shown(struct quern *k, enum quern_log_level level)
{
	return (int)level <= __atomic_load_n(&k->k_log_level, __ATOMIC_RELAXED);
}

/* Is it kept for syslog(2), at least? */
static bool
is_logged(struct quern *k, enum quern_log_level level)
{
	return level <= QUERN_LOG_INFO || is_shown(k, level);
}

static void
vlog(struct quern *k, enum quern_log_level level, const char *fmt, va_list ap)
{
	char line[LINE_MAX];
	int n, m;

	n = qsnprintf(line, sizeof(line), "%s: ", k->k_name);
	m = qvsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	ring_line(k, level, line + n);
	n += m;
	if ((size_t)n >= sizeof(line))
		n = (int)sizeof(line) - 1;
	if (is_shown(k, level))
		log_line(k, level, line, (size_t)n);
}

void
qlog(struct quern *k, enum quern_log_level level, const char *fmt, ...)
{
	va_list ap;

	if (!is_logged(k, level))
		return;
	va_start(ap, fmt);
	vlog(k, level, fmt, ap);
	va_end(ap);
}

/*
 * Several may be here at once and count a line too many or too few; none is
 * lost without lr_lost saying so.
 */
static bool
rate_allows(struct quern *k, struct qlog_rate *lr, uint32_t *lostp)
{
	uint64_t now = qclock_mono(k);
	uint64_t since = __atomic_load_n(&lr->lr_since, __ATOMIC_RELAXED);

	*lostp = 0;
	if ((since == 0 || now - since >= RATE_NS) &&
	    __atomic_compare_exchange_n(&lr->lr_since, &since, now, false,
		__ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
		__atomic_store_n(&lr->lr_n, 0, __ATOMIC_RELAXED);
		*lostp = __atomic_exchange_n(&lr->lr_lost, 0, __ATOMIC_RELAXED);
	}
	if (__atomic_fetch_add(&lr->lr_n, 1, __ATOMIC_RELAXED) < RATE_BURST)
		return true;
	__atomic_fetch_add(&lr->lr_lost, 1, __ATOMIC_RELAXED);
	return false;
}

void
qlog_limited(struct quern *k, struct qlog_rate *lr, enum quern_log_level level,
    const char *fmt, ...)
{
	uint32_t lost;
	va_list ap;

	if (!is_logged(k, level) || !rate_allows(k, lr, &lost))
		return;
	if (lost != 0)
		qlog(k, level, "%u lines like the next were left out", lost);
	va_start(ap, fmt);
	vlog(k, level, fmt, ap);
	va_end(ap);
}

void
quern_log_level(struct quern *k, int level)
{
	if (k != NULL)
		__atomic_store_n(&k->k_log_level,
		    level != 0 ? level : QUERN_LOG_INFO, __ATOMIC_RELAXED);
}
