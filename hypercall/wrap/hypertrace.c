/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a kernel asks of its host: counted, timed, and a line each.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "impl.h"

#define LINE_MAX 400

struct counter {
	_Atomic uint64_t c_calls, c_errors, c_total, c_max;
};

struct quern_hypertrace {
	struct wrap t_wrap;
	void (*t_line)(void *, const char *);
	void *t_arg;
	struct counter t_count[W_NCALL];
};

/* `args` is NULL where nothing but counting is allowed. */
static void
trace_after(struct wrap *w, enum wrap_call call, int64_t ret, uint64_t ns,
    const char *args)
{
	struct quern_hypertrace *t = (struct quern_hypertrace *)w;
	struct counter *c = &t->t_count[call];
	uint64_t max = atomic_load(&c->c_max);
	char line[LINE_MAX];

	atomic_fetch_add(&c->c_calls, 1);
	if (ret < 0 && ret != -EAGAIN && ret != -ETIMEDOUT &&
	    ret != -EINPROGRESS)
		atomic_fetch_add(&c->c_errors, 1);
	atomic_fetch_add(&c->c_total, ns);
	while (ns > max && !atomic_compare_exchange_weak(&c->c_max, &max, ns))
		continue;
	if (t->t_line == NULL || args == NULL)
		return;
	snprintf(line, sizeof(line), "%s(%s) = %" PRId64 " <%" PRIu64 " ns>",
	    wrap_name[call], args, ret, ns);
	t->t_line(t->t_arg, line);
}

int
quern_hypertrace_create(const struct quern_hypertrace_config *cfg,
    struct quern_hypertrace **tp)
{
	struct quern_hypertrace *t;

	if (cfg == NULL || tp == NULL || cfg->host.h_ops == NULL)
		return -EFAULT;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	t->t_wrap.w_host = cfg->host;
	t->t_wrap.w_lines = cfg->line != NULL;
	t->t_wrap.w_after = trace_after;
	t->t_line = cfg->line;
	t->t_arg = cfg->arg;
	*tp = t;
	return 0;
}

void
quern_hypertrace_destroy(struct quern_hypertrace *t)
{
	free(t);
}

struct quern_host
quern_hypertrace_host(struct quern_hypertrace *t)
{
	return (struct quern_host){ .h_ops = &wrap_hyper, .h_arg = t };
}

int
quern_hypertrace_stat(const struct quern_hypertrace *t, unsigned i,
    struct quern_hypertrace_stat *st)
{
	const struct counter *c;

	if (i >= W_NCALL)
		return -ENOENT;
	c = &t->t_count[i];
	st->hs_name = wrap_name[i];
	st->hs_calls = atomic_load(&c->c_calls);
	st->hs_errors = atomic_load(&c->c_errors);
	st->hs_total_ns = atomic_load(&c->c_total);
	st->hs_max_ns = atomic_load(&c->c_max);
	return 0;
}
