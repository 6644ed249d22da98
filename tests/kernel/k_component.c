/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Components: in which order they start and stop, and what is said when they
 * can't.
 *
 * d needs c, c needs a and b, b needs a.  `order` is what init and fini did.
 */
#include <stdio.h>
#include <string.h>

#include <kernel/impl.h>
#include <quern/slab.h>

#include "ktest.h"

static const struct qtag tag = { "component" };

static const struct quern_component ka, kb, kc, kd;

/* One body at a time. */
static char order[64];
static char lines[2000];
static int fail_with;      /* what c's init answers */
static bool panic_in_init; /* c's, too */
static struct kenv *env;

static void
note(const char *what)
{
	strncat(order, what, sizeof(order) - strlen(order) - 1);
}

static void
keep_line(void *arg, int level, const char *line)
{
	(void)arg, (void)level;
	strncat(lines, line, sizeof(lines) - strlen(lines) - 2);
	strcat(lines, "\n");
}

/* A component's state: memory, and a thread that waits for the end. */
struct state {
	char name;
	struct qwaitq w;
	bool stop; /* [w.w_lock] */
	struct qthread *t;
};

static void
state_main(void *arg)
{
	struct state *st = arg;

	qspin_lock(&st->w.w_lock);
	while (!st->stop) {
		(void)qwaitq_sleep(&st->w, &st->w.w_lock, 0, QUERN_NEVER);
		qspin_lock(&st->w.w_lock);
	}
	qspin_unlock(&st->w.w_lock);
}

static int
state_make(struct quern *k, char name, void **statep)
{
	char text[2] = { name, 0 };
	struct state *st = qzalloc(&tag, sizeof(*st));
	int error;

	if (st == NULL)
		return -Q_ENOMEM;
	st->name = name;
	qwaitq_init(&st->w);
	/* It may sleep. */
	(void)qthread_sleep_until(qclock_mono(k) + 3000, false);
	error = qthread_create(k, "component", state_main, st, QPRIO_NORMAL,
	    QCPU_ANY, &st->t);
	if (error != 0) {
		qfree(st);
		return error;
	}
	note(text);
	*statep = st;
	return 0;
}

static void
state_end(void *state, char name)
{
	char text[2] = { (char)(name - 'a' + 'A'), 0 };
	struct state *st = state;

	KCHECK(env, st->name == name);
	qspin_lock(&st->w.w_lock);
	st->stop = true;
	qspin_unlock(&st->w.w_lock);
	(void)qwaitq_wake_all(&st->w);
	qthread_join(st->t);
	qfree(st);
	note(text);
}

static int
a_init(struct quern *k, void **statep)
{
	KCHECK(env, qcomponent_state(k, &ka) == NULL);
	return state_make(k, 'a', statep);
}

static void
a_fini(struct quern *k, void *state)
{
	(void)k;
	state_end(state, 'a');
}

static int
b_init(struct quern *k, void **statep)
{
	struct state *a = qcomponent_state(k, &ka);

	KCHECK(env, a != NULL && a->name == 'a');
	return state_make(k, 'b', statep);
}

static void
b_fini(struct quern *k, void *state)
{
	KCHECK(env, qcomponent_state(k, &ka) != NULL);
	state_end(state, 'b');
}

static int
c_init(struct quern *k, void **statep)
{
	KCHECK(env, qcomponent_state(k, &ka) != NULL);
	KCHECK(env, qcomponent_state(k, &kb) != NULL);
	KCHECK(env, qcomponent_state(k, &kd) == NULL);
	if (panic_in_init)
		qpanic(k, "init went wrong");
	if (fail_with != 0)
		return fail_with;
	return state_make(k, 'c', statep);
}

static void
c_fini(struct quern *k, void *state)
{
	KCHECK(env, qcomponent_state(k, &kb) != NULL);
	KCHECK(env, qcomponent_state(k, &kd) == NULL);
	state_end(state, 'c');
}

static int
d_init(struct quern *k, void **statep)
{
	KCHECK(env, qcomponent_state(k, &kc) != NULL);
	return state_make(k, 'd', statep);
}

static void
d_fini(struct quern *k, void *state)
{
	KCHECK(env, qcomponent_state(k, &kc) != NULL);
	state_end(state, 'd');
}

static const struct quern_component *const need_a[] = { &ka, NULL };
static const struct quern_component *const need_ab[] = { &ka, &kb, NULL };
static const struct quern_component *const need_c[] = { &kc, NULL };

static const struct quern_component ka = { "aleph", NULL, a_init, a_fini,
	NULL };
static const struct quern_component kb = { "beth", need_a, b_init, b_fini,
	NULL };
static const struct quern_component kc = { "gimel", need_ab, c_init, c_fini,
	NULL };
static const struct quern_component kd = { "daleth", need_c, d_init, d_fini,
	NULL };

/* Two that need each other, one that needs itself, one that does nothing. */
static const struct quern_component kx, ky, kz;
static const struct quern_component *const need_y[] = { &ky, NULL };
static const struct quern_component *const need_x[] = { &kx, NULL };
static const struct quern_component *const need_z[] = { &kz, NULL };
static const struct quern_component kx = { .c_name = "castor",
	.c_needs = need_y };
static const struct quern_component ky = { .c_name = "pollux",
	.c_needs = need_x };
static const struct quern_component kz = { .c_name = "narcissus",
	.c_needs = need_z };
static const struct quern_component kn = { .c_name = "nobody" };

static int
create(struct kenv *e, const struct quern_component *const *list,
    struct quern **kp)
{
	struct quern_config c = kenv_config(e);

	env = e;
	order[0] = lines[0] = '\0';
	c.components = list;
	c.log = keep_line;
	*kp = NULL;
	return quern_create(&c, kp);
}

/* In whichever order they are listed. */
static void
any_order(struct kenv *e)
{
	static const struct quern_component *const all[] = { &ka, &kb, &kc,
		&kd };
	const struct quern_component *list[5];
	struct quern *k;
	unsigned i, n, p, used;

	for (p = 0; p < 24; p++) {
		for (i = used = 0, n = p; i < 4; n /= 4 - i, i++) {
			unsigned skip = n % (4 - i), j = 0;

			while (used & 1u << j || skip-- > 0)
				j++;
			used |= 1u << j;
			list[i] = all[j];
		}
		list[4] = NULL;
		KCHECK_EQ(e, create(e, list, &k), 0);
		KCHECK_EQ(e, strcmp(order, "abcd"), 0);
		if (k == NULL)
			return;
		KCHECK_EQ(e, ((struct state *)qcomponent_state(k, &kc))->name,
		    'c');
		KCHECK(e, qcomponent_state(k, &kn) == NULL);
		kenv_destroy(e, k);
		KCHECK_EQ(e, strcmp(order, "abcdDCBA"), 0);
	}
}

static void
missing(struct kenv *e)
{
	const struct quern_component *list[] = { &kd, &kb, &ka, NULL };
	struct quern *k;

	KCHECK_EQ(e, create(e, list, &k), -Q_ENOENT);
	KCHECK(e, k == NULL);
	/* What could start has been stopped again. */
	KCHECK_EQ(e, strcmp(order, "abBA"), 0);
	KCHECK(e, strstr(lines, "daleth") != NULL);
	KCHECK(e, strstr(lines, "gimel") != NULL);
}

static void
cycle(struct kenv *e)
{
	const struct quern_component *two[] = { &ka, &kx, &ky, NULL };
	const struct quern_component *one[] = { &kz, &ka, NULL };
	struct quern *k;

	KCHECK_EQ(e, create(e, two, &k), -Q_ELOOP);
	KCHECK(e, k == NULL);
	KCHECK(e, strstr(lines, "castor") != NULL);
	KCHECK(e, strstr(lines, "pollux") != NULL);
	KCHECK(e, strstr(lines, "aleph") == NULL);
	KCHECK_EQ(e, strcmp(order, "aA"), 0);
	KCHECK_EQ(e, create(e, one, &k), -Q_ELOOP);
	KCHECK(e, strstr(lines, "narcissus") != NULL);
	KCHECK_EQ(e, strcmp(order, "aA"), 0);
}

static void
twice(struct kenv *e)
{
	const struct quern_component *list[] = { &ka, &kb, &ka, NULL };
	struct quern *k;

	KCHECK_EQ(e, create(e, list, &k), -Q_EEXIST);
	KCHECK(e, k == NULL);
	KCHECK(e, strstr(lines, "aleph") != NULL);
	KCHECK_EQ(e, strcmp(order, ""), 0);
}

static void
init_fails(struct kenv *e)
{
	const struct quern_component *list[] = { &kd, &kc, &kb, &ka, NULL };
	struct quern *k;

	fail_with = -Q_EIO;
	KCHECK_EQ(e, create(e, list, &k), -Q_EIO);
	fail_with = 0;
	KCHECK(e, k == NULL);
	KCHECK_EQ(e, strcmp(order, "abBA"), 0);
	KCHECK(e, strstr(lines, "gimel") != NULL);
	KCHECK(e, strstr(lines, "daleth") == NULL);
}

/* A dead kernel runs no fini. */
static void
init_panics(struct kenv *e)
{
	const struct quern_component *list[] = { &kd, &kc, &kb, &ka, NULL };
	struct quern *k;

	panic_in_init = true;
	KCHECK_EQ(e, create(e, list, &k), -Q_ENOTRECOVERABLE);
	panic_in_init = false;
	KCHECK(e, k == NULL);
	KCHECK_EQ(e, strcmp(order, "ab"), 0);
	KCHECK(e, strstr(lines, "init went wrong") != NULL);
}

static void
nothing_to_do(struct kenv *e)
{
	const struct quern_component *list[] = { &kn, NULL },
				     *none[] = { NULL };
	struct quern *k;

	KCHECK_EQ(e, create(e, list, &k), 0);
	KCHECK(e, k != NULL && qcomponent_state(k, &kn) == NULL);
	kenv_destroy(e, k);
	KCHECK_EQ(e, create(e, none, &k), 0);
	kenv_destroy(e, k);
}

/* Exactly as many as there may be. */
static void
most(struct kenv *e)
{
	static struct quern_component c[QCOMPONENT_MAX + 1];
	static char names[QCOMPONENT_MAX + 1][8];
	const struct quern_component *list[QCOMPONENT_MAX + 2];
	struct quern *k;
	unsigned i;

	for (i = 0; i <= QCOMPONENT_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "c%u", i);
		c[i].c_name = names[i];
		list[i] = &c[i];
	}
	list[i] = NULL;
	KCHECK_EQ(e, create(e, list, &k), -Q_EINVAL);
	KCHECK(e, strstr(lines, "config: components") != NULL);
	list[QCOMPONENT_MAX] = NULL;
	KCHECK_EQ(e, create(e, list, &k), 0);
	kenv_destroy(e, k);
}

const struct kcase kcomponent_cases[] = {
	{ "any_order", any_order, 40, false, NULL },
	{ "missing", missing, 50, false, NULL },
	{ "cycle", cycle, 50, false, NULL },
	{ "twice", twice, 10, false, NULL },
	{ "init_fails", init_fails, 100, false, NULL },
	{ "init_panics", init_panics, 200, false, NULL },
	{ "nothing_to_do", nothing_to_do, 10, false, NULL },
	{ "most", most, 5, false, NULL },
	{ 0 },
};
