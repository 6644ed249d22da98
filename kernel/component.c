/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting components in the order of their needs, stopping them in reverse.
 */
#include "impl.h"

#include "proc.h"

static bool
is_started(struct quern *k, const struct quern_component *c)
{
	unsigned i;

	for (i = 0; i < k->k_ncomp_up; i++)
		if (k->k_comp[i] == c)
			return true;
	return false;
}

/* The first need of `c` that is not started, or NULL. */
static const struct quern_component *
missing_need(struct quern *k, const struct quern_component *c)
{
	const struct quern_component *const *n;

	for (n = c->c_needs; n != NULL && *n != NULL; n++)
		if (!is_started(k, *n))
			return *n;
	return NULL;
}

static bool
is_listed(const struct quern_config *cfg, const struct quern_component *c)
{
	const struct quern_component *const *p;

	for (p = cfg->components; *p != NULL; p++)
		if (*p == c)
			return true;
	return false;
}

/* Say why nothing that is left can start, and with which error. */
static int
explain(struct quern *k, const struct quern_config *cfg)
{
	const struct quern_component *const *p, *const *n;
	char line[200];
	int len = 0, error = -Q_ELOOP;

	for (p = cfg->components; *p != NULL; p++) {
		if (is_started(k, *p))
			continue;
		for (n = (*p)->c_needs; n != NULL && *n != NULL; n++)
			if (!is_listed(cfg, *n)) {
				qlog(k, QUERN_LOG_ERR,
				    "component %s needs %s, which is not listed",
				    (*p)->c_name, (*n)->c_name);
				error = -Q_ENOENT;
			}
	}
	if (error == -Q_ENOENT)
		return error;
	line[0] = '\0';
	for (p = cfg->components; *p != NULL; p++) {
		const struct quern_component *need = missing_need(k, *p);

		if (is_started(k, *p) || need == NULL)
			continue;
		len += qsnprintf(line + len, sizeof(line) - (size_t)len,
		    " %s needs %s;", (*p)->c_name, need->c_name);
		if ((size_t)len >= sizeof(line))
			break;
	}
	qlog(k, QUERN_LOG_ERR, "components need each other:%s", line);
	return error;
}

static int
start_one(struct quern *k, const struct quern_component *c)
{
	void *state = NULL;
	int error;

	error = syscalls_install(k, c->c_calls);
	if (error != 0) {
		qlog(k, QUERN_LOG_ERR,
		    "component %s: a system call of its is another's",
		    c->c_name);
		return error;
	}
	if (c->c_init != NULL)
		error = c->c_init(k, &state);
	if (error != 0) {
		qlog(k, QUERN_LOG_ERR, "component %s: init failed: error %d",
		    c->c_name, -error);
		return error;
	}
	k->k_comp[k->k_ncomp_up] = c;
	k->k_comp_state[k->k_ncomp_up] = state;
	k->k_ncomp_up++;
	return 0;
}

int
component_start(struct quern *k, const struct quern_config *cfg)
{
	const struct quern_component *const *p, *const *q;
	bool progress = true;
	int error;

	if (cfg->components == NULL)
		return 0;
	for (p = cfg->components; *p != NULL; p++)
		for (q = cfg->components; q != p; q++)
			if (*p == *q) {
				qlog(k, QUERN_LOG_ERR,
				    "component %s is listed twice",
				    (*p)->c_name);
				return -Q_EEXIST;
			}
	while (k->k_ncomp_up < k->k_ncomp && progress) {
		progress = false;
		for (p = cfg->components; *p != NULL; p++) {
			if (is_started(k, *p) || missing_need(k, *p) != NULL)
				continue;
			error = start_one(k, *p);
			if (error != 0)
				return error;
			progress = true;
		}
	}
	return k->k_ncomp_up == k->k_ncomp ? 0 : explain(k, cfg);
}

void
component_stop(struct quern *k)
{
	const struct quern_component *c;

	while (k->k_ncomp_up > 0) {
		c = k->k_comp[--k->k_ncomp_up];
		if (c->c_fini != NULL)
			c->c_fini(k, k->k_comp_state[k->k_ncomp_up]);
	}
}

int64_t
quern_run(struct quern_proc *p, int64_t (*fn)(void *), void *arg)
{
	if (p == NULL || fn == NULL)
		return -Q_EFAULT;
	return host_call(p->p_k, p, &p->p_cpu, fn, arg);
}

void *
qcomponent_state(struct quern *k, const struct quern_component *c)
{
	unsigned i;

	for (i = 0; i < k->k_ncomp_up; i++)
		if (k->k_comp[i] == c)
			return k->k_comp_state[i];
	return NULL;
}
