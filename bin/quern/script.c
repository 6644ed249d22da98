/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands: running those of a text, of a file, of a terminal.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"

/* How much of an expectation and of a value is shown when they differ. */
#define SHOW_TEXT 200

bool
complain(struct console *c, size_t at, const char *fmt, ...)
{
	unsigned line = c->c_line, col = 1;
	va_list ap;
	size_t i;

	for (i = 0; i < at && i < c->c_len; i++) {
		col++;
		if (c->c_text[i] == '\n') {
			line++;
			col = 1;
		}
	}
	fflush(stdout);
	fprintf(stderr, "%s:%u:%u: ", c->c_file != NULL ? c->c_file : "quern",
	    line, col);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	c->c_status = 1;
	return false;
}

/* ---- expectations ---------------------------------------------------------------- */

static bool
compare_ints(int op, int64_t a, int64_t b)
{
	switch (op) {
	case '<':
		return a < b;
	case '>':
		return a > b;
	case '<' << 8 | '=':
		return a <= b;
	case '>' << 8 | '=':
		return a >= b;
	default: /* & */
		return (a & b) == b;
	}
}

/* Does `a` stand in the relation to `b`?  -1: that can't be asked. */
static int
holds(struct console *c, const struct node *n, const struct value *a,
    const struct value *b)
{
	int op = (int)n->n_int;

	if (op == ('=' << 8 | '='))
		return value_equal(a, b);
	if (op == ('!' << 8 | '='))
		return !value_equal(a, b);
	if (a->v_kind != V_INT || b->v_kind != V_INT) {
		complain(c, n->n_at, "only numbers can be compared so");
		return -1;
	}
	return op == 0 ? a->v_int >= 0 : compare_ints(op, a->v_int, b->v_int);
}

/* "expected SOURCE, got VALUE". */
static void
tell_failure(struct console *c, const struct node *n, const struct value *got)
{
	char source[SHOW_TEXT + 1], *text = NULL;
	const char *name = NULL;
	size_t i, len = 0;
	FILE *f = open_memstream(&text, &len);

	for (i = 0; i < SHOW_TEXT && n->n_kid->n_at + i < n->n_end; i++) {
		source[i] = c->c_text[n->n_kid->n_at + i];
		if (source[i] == '\n')
			source[i] = ' ';
	}
	source[i] = '\0';
	if (f != NULL) {
		value_print(f, got);
		fclose(f);
	}
	if (got->v_kind == V_INT && got->v_int < 0 && got->v_int > -4096)
		name = qerror_name((int)-got->v_int);
	complain(c, n->n_at, "expected %s%s, got %.*s%s%s%s%s", source,
	    n->n_kid->n_at + i < n->n_end ? "..." : "", SHOW_TEXT,
	    text != NULL ? text : "", len > SHOW_TEXT ? "..." : "",
	    name != NULL ? " (" : "", name != NULL ? name : "",
	    name != NULL ? ")" : "");
	free(text);
}

static bool
run_expect(struct console *c, const struct node *n)
{
	struct value a, b = value_int(0);
	int ok;

	if (!eval(c, n->n_kid, &a))
		return false;
	if (n->n_kid->n_next != NULL && !eval(c, n->n_kid->n_next, &b)) {
		value_free(&a);
		return false;
	}
	ok = holds(c, n, &a, &b);
	if (ok == 0)
		tell_failure(c, n, &a);
	value_free(&a);
	value_free(&b);
	return ok == 1 || (ok == 0 && c->c_opt->o_keep);
}

/* ---- commands ---------------------------------------------------------------------- */

static bool
run_sleep(struct console *c, const struct node *n)
{
	struct value v;
	bool ok;

	if (!eval(c, n->n_kid, &v))
		return false;
	ok = v.v_kind == V_INT && v.v_int >= 0;
	if (!ok)
		complain(c, n->n_kid->n_at,
		    "want a time, in nanoseconds or as 10ms");
	else if (!world_sleep(c, (uint64_t)v.v_int))
		ok = complain(c, n->n_at, "interrupted");
	value_free(&v);
	return ok;
}

static bool
run_print(struct console *c, const struct node *n)
{
	struct value v;

	if (!eval(c, n, &v))
		return false;
	value_print(stdout, &v);
	putchar('\n');
	value_free(&v);
	return true;
}

static void
show_help(void)
{
	puts("NAME(ARGUMENT, ...)       make a call; help NAME tells of it\n"
	     "$x = EXPRESSION           a variable; so is an argument $x that "
	     "is stored\n"
	     "expect A == B             or != < > <= >= & ; or: expect CALL\n"
	     "proc P; fork P; end P     make and end a process\n"
	     "P: CALL; use P            call as that process; from now on\n"
	     "spawn J CALL; join J      a call beside this one; its end\n"
	     "interrupt [P]; sleep 1ms; print X; exit");
}

/* Those with the name of a process, if they have one. */
static bool
run_client_word(struct console *c, const struct node *n)
{
	const struct node *kid = n->n_kid;
	struct client *cl = c->c_cur;

	if (strcmp(n->n_text, "proc") == 0)
		return client_add(c, kid->n_at, kid->n_text, NULL);
	if (strcmp(n->n_text, "fork") == 0)
		return client_add(c, kid->n_at, kid->n_text, cl);
	if (kid != NULL) {
		cl = client_find(c, kid->n_text);
		if (cl == NULL)
			return complain(c, kid->n_at,
			    "there is no process '%.60s'", kid->n_text);
	}
	if (strcmp(n->n_text, "end") == 0)
		return client_end(c, kid->n_at, cl);
	if (strcmp(n->n_text, "use") == 0)
		c->c_cur = cl;
	else
		quern_interrupt(cl->cl_proc);
	return true;
}

static bool
run_word(struct console *c, const struct node *n)
{
	if (strcmp(n->n_text, "exit") == 0) {
		c->c_quit = true;
		return false;
	}
	if (strcmp(n->n_text, "sleep") == 0)
		return run_sleep(c, n);
	if (strcmp(n->n_text, "print") == 0)
		return run_print(c, n->n_kid);
	if (strcmp(n->n_text, "help") != 0)
		return run_client_word(c, n);
	if (n->n_kid == NULL)
		show_help();
	else if (!list_calls(n->n_kid->n_text))
		return complain(c, n->n_kid->n_at, "there is no call '%.60s'",
		    n->n_kid->n_text);
	return true;
}

/* Does it print by itself what it comes to? */
static bool
is_shown(const struct node *n)
{
	return n->n_kind == N_CALL || n->n_kind == N_JOIN ||
	    (n->n_kind == N_AS && is_shown(n->n_kid));
}

static bool
run_command(struct console *c, const struct node *n)
{
	struct value v;

	switch (n->n_kind) {
	case N_ASSIGN:
		if (strcmp(n->n_text, "?") == 0)
			return complain(c, n->n_at,
			    "$? is what the last call returned");
		if (!eval(c, n->n_kid, &v))
			return false;
		variable_set(c, n->n_text, v);
		return true;
	case N_EXPECT:
		return run_expect(c, n);
	case N_SPAWN:
		return job_spawn(c, n);
	case N_WORD:
		return run_word(c, n);
	default:
		break;
	}
	if (!is_shown(n->n_kid))
		return run_print(c, n->n_kid);
	if (!eval(c, n->n_kid, &v))
		return false;
	value_free(&v);
	return true;
}

/* Run the commands in a text.  False: stop here. */
static bool
run_text(struct console *c, const char *text, size_t len)
{
	const struct node *n;
	struct tree tr;
	bool ok;

	c->c_text = text;
	c->c_len = len;
	ok = parse(&tr, text, len, is_call);
	if (!ok)
		complain(c, tr.tr_at, "%s", tr.tr_error);
	for (n = tr.tr_first; ok && n != NULL; n = n->n_next)
		ok = run_command(c, n);
	tree_free(&tr);
	fflush(stdout);
	c->c_text = NULL;
	c->c_len = 0;
	return ok;
}

/* ---- where commands come from -------------------------------------------------------- */

/* Lines that are gathered until they are a command. */
struct gather {
	char *g_text;
	size_t g_len;
	unsigned g_depth;
	unsigned g_lines;
};

/* Add a line; true: there is something to run. */
static bool
gather(struct gather *g, const char *line, size_t len)
{
	g->g_text = xrealloc(g->g_text, g->g_len + len + 1);
	memcpy(g->g_text + g->g_len, line, len);
	g->g_len += len;
	g->g_lines++;
	return lex_line(line, len, &g->g_depth) || g->g_len > PARSE_TEXT_MAX;
}

/* Run what was gathered, and begin again. */
static bool
run_gathered(struct console *c, struct gather *g)
{
	bool ok = run_text(c, g->g_text, g->g_len);

	c->c_line += g->g_lines;
	g->g_len = 0;
	g->g_depth = 0;
	g->g_lines = 0;
	return ok;
}

static bool
run_file(struct console *c, FILE *f, const char *name)
{
	struct gather g = { NULL, 0, 0, 0 };
	bool ok = true, too_long = false;
	size_t len;
	char *line;

	c->c_file = name;
	c->c_line = 1;
	while (ok && (line = read_line(f, &len, &too_long)) != NULL) {
		if (gather(&g, line, len))
			ok = run_gathered(c, &g);
		free(line);
	}
	if (ok && (too_long || ferror(f) != 0)) {
		c->c_line += g.g_lines;
		ok = complain(c, 0, "%s",
		    too_long ? "the line is too long" : strerror(errno));
	}
	if (ok && g.g_len > 0)
		ok = run_gathered(c, &g);
	free(g.g_text);
	return ok;
}

static void
run_terminal(struct console *c)
{
	struct gather g = { NULL, 0, 0, 0 };
	struct edit *ed;
	char prompt[80], *line;
	size_t len;
	bool intr;

	c->c_interactive = true;
	c->c_file = "tty";
	c->c_line = 1;
	signals_init();
	ed = edit_open();
	while (!c->c_quit && ending == 0) {
		snprintf(prompt, sizeof(prompt), "%.60s%s ",
		    c->c_cur->cl_next != NULL ? c->c_cur->cl_name : "quern",
		    g.g_len > 0 ? "..." : ">");
		intr = false;
		line = edit_line(ed, prompt, &len, &intr);
		if (intr) {
			putchar('\n');
			g.g_len = g.g_depth = 0;
			g.g_lines = 0;
		} else if (line == NULL) {
			break;
		} else if (gather(&g, line, len)) {
			(void)run_gathered(c, &g);
		}
		free(line);
	}
	edit_close(ed);
	free(g.g_text);
	/* Mistakes that somebody has seen are no failure. */
	c->c_status = 0;
}

static bool
run_named(struct console *c, const char *name)
{
	FILE *f;
	bool ok;

	if (strcmp(name, "-") == 0)
		return run_file(c, stdin, "<stdin>");
	f = fopen(name, "r");
	if (f == NULL) {
		fprintf(stderr, "quern call: %s: %s\n", name, strerror(errno));
		c->c_status = 1;
		return false;
	}
	ok = run_file(c, f, name);
	fclose(f);
	return ok;
}

void
run_all(struct console *c)
{
	const struct options *o = c->c_opt;
	unsigned i;
	bool ok = true;

	for (i = 0; ok && i < o->o_ncommand; i++) {
		c->c_file = "-e";
		c->c_line = 1;
		ok = run_text(c, o->o_command[i], strlen(o->o_command[i]));
	}
	for (i = 0; ok && (int)i < o->o_nfile; i++)
		ok = run_named(c, o->o_file[i]);
	if (o->o_ncommand != 0 || o->o_nfile != 0)
		return;
	if (isatty(STDIN_FILENO))
		run_terminal(c);
	else
		(void)run_file(c, stdin, "<stdin>");
}
