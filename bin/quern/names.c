/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The names of calls and of constants, and what `--list` says of them.  All of
 * it is read from the descriptions.
 */
#include <stdlib.h>
#include <string.h>

#include <quern/abi/errno.h>

#include "call.h"

/* Called for every set of constants that an argument has to do with. */
typedef void set_fn(void *arg, const struct qsys_const *set);
typedef void command_fn(void *arg, const struct qsys_command *commands);

static void
struct_sets(const struct qsys_struct *t, set_fn *fn, void *arg)
{
	const struct qsys_field *f;

	for (f = t->t_fields; f->f_name != NULL; f++) {
		if (f->f_kind == QARG_FLAGS || f->f_kind == QARG_ENUM)
			fn(arg, f->f_set);
		else if (f->f_kind == QARG_STRUCT)
			struct_sets(f->f_set, fn, arg);
	}
}

static void
arg_sets(const struct qsys_arg *a, set_fn *fn, command_fn *cfn, void *arg)
{
	const struct qsys_command *m;

	if (a->a_kind == QARG_FLAGS || a->a_kind == QARG_ENUM)
		fn(arg, a->a_set);
	else if (a->a_kind == QARG_STRUCT)
		struct_sets(a->a_set, fn, arg);
	if (a->a_kind != QARG_BY)
		return;
	if (cfn != NULL)
		cfn(arg, a->a_set);
	for (m = a->a_set; m->m_name != NULL; m++)
		arg_sets(&m->m_arg, fn, cfn, arg);
}

/* ---- calls ------------------------------------------------------------------ */

const struct qsys_entry *
find_call(const char *name)
{
	const struct qsys_entry *e;

	for (e = qsys_entries; e->e_fn != NULL; e++)
		if (strcmp(qsys_descs[e->e_nr].d_name, name) == 0)
			return e;
	return NULL;
}

bool
is_call(const char *name)
{
	return find_call(name) != NULL;
}

/* ---- constants ---------------------------------------------------------------- */

/* All names that can be completed; constants sorted by name. */
static struct constant {
	const char *name;
	int64_t value;
} * constants;
static size_t nconstants;

static void
add_constant(const char *name, int64_t value)
{
	constants = xrealloc(constants, (nconstants + 1) * sizeof(*constants));
	constants[nconstants++] = (struct constant){ name, value };
}

static void
add_set(void *arg, const struct qsys_const *set)
{
	(void)arg;
	for (; set->c_name != NULL; set++)
		add_constant(set->c_name, (int64_t)set->c_value);
}

static void
add_commands(void *arg, const struct qsys_command *m)
{
	(void)arg;
	for (; m->m_name != NULL; m++)
		add_constant(m->m_name, (int64_t)m->m_value[0]);
}

static int
by_name(const void *a, const void *b)
{
	const struct constant *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Gather them the first time they are asked for. */
static void
gather(void)
{
	const struct qsys_entry *e;
	const struct qsys_desc *d;
	size_t i, n = 0;
	unsigned j;

	if (constants != NULL)
		return;
	for (e = qsys_entries; e->e_fn != NULL; e++) {
		d = &qsys_descs[e->e_nr];
		for (j = 0; j < d->d_nargs; j++)
			arg_sets(&d->d_args[j], add_set, add_commands, NULL);
	}
	for (j = 1; j < 4096; j++)
		if (qerror_name((int)j) != NULL)
			add_constant(qerror_name((int)j), -(int64_t)j);
	qsort(constants, nconstants, sizeof(*constants), by_name);
	for (i = 0; i < nconstants; i++)
		if (n == 0 ||
		    strcmp(constants[n - 1].name, constants[i].name) != 0)
			constants[n++] = constants[i];
	nconstants = n;
}

bool
find_constant(const char *name, int64_t *vp)
{
	struct constant key = { name, 0 }, *found;

	gather();
	found = bsearch(&key, constants, nconstants, sizeof(*constants),
	    by_name);
	if (found == NULL)
		return false;
	*vp = found->value;
	return true;
}

/* ---- completion ----------------------------------------------------------------- */

static const char *const keywords[] = { "end", "exit", "expect", "fork", "help",
	"interrupt", "join", "print", "proc", "sleep", "spawn", "use" };

const char *
complete_name(const char *prefix, size_t len, size_t i)
{
	const struct qsys_entry *e;
	size_t j;

	for (e = qsys_entries; e->e_fn != NULL; e++)
		if (strncmp(qsys_descs[e->e_nr].d_name, prefix, len) == 0 &&
		    i-- == 0)
			return qsys_descs[e->e_nr].d_name;
	for (j = 0; j < sizeof(keywords) / sizeof(keywords[0]); j++)
		if (strncmp(keywords[j], prefix, len) == 0 && i-- == 0)
			return keywords[j];
	gather();
	for (j = 0; j < nconstants; j++)
		if (strncmp(constants[j].name, prefix, len) == 0 && i-- == 0)
			return constants[j].name;
	return NULL;
}

/* ---- lists ------------------------------------------------------------------------ */

static void
print_set(void *arg, const struct qsys_const *set)
{
	unsigned col = 8;

	(void)arg;
	fputs("\n\t", stdout);
	for (; set->c_name != NULL; set++) {
		if (col > 8 && col + strlen(set->c_name) > 78) {
			fputs("\n\t", stdout);
			col = 8;
		}
		col += (unsigned)printf("%s%s", col > 8 ? " " : "",
		    set->c_name);
	}
	putchar('\n');
}

static void
print_commands(void *arg, const struct qsys_command *m)
{
	static const char *const dirs[] = { "", "in ", "out ", "inout " };
	const struct qsys_arg *a;

	(void)arg;
	putchar('\n');
	for (; m->m_name != NULL; m++) {
		a = &m->m_arg;
		printf("\t%-23s", m->m_name);
		if (a->a_kind == QARG_NONE)
			puts("nothing");
		else if (a->a_kind < QARG_STR)
			puts(a->a_kind == QARG_FLAGS ? "flags" : "a number");
		else if (a->a_kind == QARG_STRUCT)
			printf("%sstruct %s\n", dirs[a->a_dir & QARG_INOUT],
			    ((const struct qsys_struct *)a->a_set)->t_name);
		else
			printf("%sa pointer\n", dirs[a->a_dir & QARG_INOUT]);
	}
}

static void
print_struct(const struct qsys_struct *t)
{
	const struct qsys_field *f;

	printf("\n\tstruct %s {", t->t_name);
	for (f = t->t_fields; f->f_name != NULL; f++)
		printf("%s%s", f != t->t_fields ? ", " : "", f->f_name);
	puts("}");
}

bool
list_calls(const char *name)
{
	const struct qsys_entry *e;
	const struct qsys_desc *d;
	unsigned i;

	if (name == NULL) {
		for (e = qsys_entries; e->e_fn != NULL; e++)
			puts(e->e_decl);
		return true;
	}
	e = find_call(name);
	if (e == NULL)
		return false;
	d = &qsys_descs[e->e_nr];
	printf("%s\n\n%s", e->e_decl, e->e_text);
	for (i = 0; i < d->d_nargs; i++) {
		if (d->d_args[i].a_kind == QARG_STRUCT)
			print_struct(d->d_args[i].a_set);
		arg_sets(&d->d_args[i], print_set, print_commands, NULL);
	}
	return true;
}
