/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Log lines: levels, and limits on what repeats itself.
 */
#include "impl.h"

#define LINE_MAX 512

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

static void
vlog(struct quern *k, enum quern_log_level level, const char *fmt, va_list ap)
{
	char line[LINE_MAX];
	int n, m;

	n = qsnprintf(line, sizeof(line), "%s: ", k->k_name);
	m = qvsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	n += m;
	if ((size_t)n >= sizeof(line))
		n = (int)sizeof(line) - 1;
	log_line(k, level, line, (size_t)n);
}

/* Is anybody to see a line of this level? */
static bool
is_logged(struct quern *k, enum quern_log_level level)
{
	return (int)level <= __atomic_load_n(&k->k_log_level, __ATOMIC_RELAXED);
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
