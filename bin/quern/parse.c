/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parser: recursive descent, a function for each level.
 *
 *	commands: { command ( ; | newline ) }
 *	command:  $name = expr | expect expr [ op expr ] | spawn name expr
 *		| WORD ... | expr
 *	expr:     sum { | sum }
 *	sum:      product { + product | - product }
 *	product:  unary { * unary }
 *	unary:    - unary | ~ unary | primary { [ expr ] | [ expr : expr ] | .name }
 *	primary:  INT | STR | $name | _ | NAME | ( expr ) | [ expr, ... ]
 *		| { [name =] expr, ... } | call | name : expr | join name
 *	call:     NAME ( expr, ... ) | NAME expr, ...
 *
 * The second form of a call is for the words that is_call knows.  Every level
 * that can contain itself goes through unary, which counts the depth.
 */
#include "parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "value.h"

struct parser {
	struct lexer p_lx;
	struct token p_t, p_ahead; /* the current one, the one after */
	struct tree *p_tree;
	unsigned p_depth;
	bool p_failed;
	bool (*p_is_call)(const char *name);
};

/* The words that are commands, and what follows them. */
static const struct {
	const char *word;
	const char *kids; /* n: a name, N: perhaps one, e: an expression */
} words[] = {
	{ "end", "n" },
	{ "exit", "" },
	{ "fork", "n" },
	{ "help", "N" },
	{ "interrupt", "N" },
	{ "print", "e" },
	{ "proc", "n" },
	{ "sleep", "e" },
	{ "use", "n" },
};

static struct node *parse_expr(struct parser *p);

__attribute__((format(printf, 3, 4))) static void
reject(struct parser *p, size_t at, const char *fmt, ...)
{
	va_list ap;

	if (p->p_failed)
		return;
	p->p_failed = true;
	p->p_tree->tr_at = at;
	va_start(ap, fmt);
	(void)vsnprintf(p->p_tree->tr_error, sizeof(p->p_tree->tr_error), fmt,
	    ap);
	va_end(ap);
}

/* ---- tokens ----------------------------------------------------------------- */

static void
advance(struct parser *p)
{
	free(p->p_t.t_bytes);
	p->p_t = p->p_ahead;
	p->p_ahead = (struct token){ .t_kind = T_END,
		.t_at = p->p_lx.lx_len,
		.t_end = p->p_lx.lx_len };
	if (p->p_t.t_kind == T_ERROR)
		reject(p, p->p_t.t_at, "%s", p->p_lx.lx_error);
	else if (p->p_t.t_kind != T_END)
		lex(&p->p_lx, &p->p_ahead);
}

static bool
at_punct(const struct parser *p, int c)
{
	return p->p_t.t_kind == T_PUNCT && p->p_t.t_int == c;
}

static bool
at_word(const struct parser *p, const char *word)
{
	return p->p_t.t_kind == T_NAME && strcmp(p->p_t.t_bytes, word) == 0;
}

static bool
ahead_punct(const struct parser *p, int c)
{
	return p->p_ahead.t_kind == T_PUNCT && p->p_ahead.t_int == c;
}

/* The end of a command. */
static bool
at_end(const struct parser *p)
{
	return p->p_t.t_kind == T_END || p->p_t.t_kind == T_NEXT ||
	    p->p_t.t_kind == T_ERROR;
}

/* Something else was wanted here. */
static void
unexpected(struct parser *p, const char *want)
{
	const struct token *t = &p->p_t;
	size_t len = t->t_end - t->t_at;

	if (t->t_kind == T_END || t->t_kind == T_NEXT)
		reject(p, t->t_at, "want %s, but the command ends here", want);
	else
		reject(p, t->t_at, "want %s, not '%.*s'", want,
		    (int)(len > 40 ? 40 : len), p->p_lx.lx_text + t->t_at);
}

static void
want_punct(struct parser *p, int c)
{
	char what[4] = { '\'', (char)c, '\'', '\0' };

	if (at_punct(p, c))
		advance(p);
	else
		unexpected(p, what);
}

/* ---- nodes ------------------------------------------------------------------- */

static struct node *
make(struct parser *p, enum node_kind kind, size_t at)
{
	struct node *n = xmalloc(sizeof(*n));

	n->n_kind = kind;
	n->n_at = at;
	n->n_end = p->p_t.t_end;
	n->n_all = p->p_tree->tr_all;
	p->p_tree->tr_all = n;
	return n;
}

/* Give `n` the text of the current token, and go on. */
static void
take_text(struct parser *p, struct node *n)
{
	n->n_text = p->p_t.t_bytes;
	n->n_len = p->p_t.t_len;
	n->n_end = p->p_t.t_end;
	p->p_t.t_bytes = NULL;
	advance(p);
}

/* Let the current token, a name, be the text of `n`. */
static void
want_name(struct parser *p, struct node *n, const char *what)
{
	if (p->p_t.t_kind == T_NAME)
		take_text(p, n);
	else
		unexpected(p, what);
}

static struct node *
wrap(struct parser *p, enum node_kind kind, struct node *a, struct node *b)
{
	struct node *n = make(p, kind, a->n_at);

	n->n_kid = a;
	a->n_next = b;
	n->n_end = b != NULL ? b->n_end : a->n_end;
	return n;
}

/* ---- expressions ---------------------------------------------------------------- */

/* Expressions with commas between, as kids of `n`, up to `close`. */
static void
parse_items(struct parser *p, struct node *n, int close)
{
	struct node **tail = &n->n_kid;
	size_t count = 0;

	while (!p->p_failed && !(close != 0 && at_punct(p, close))) {
		*tail = parse_expr(p);
		n->n_end = (*tail)->n_end;
		tail = &(*tail)->n_next;
		if (++count > VALUE_ELEMS_MAX)
			reject(p, n->n_at, "the list is too long");
		if (!at_punct(p, ','))
			break;
		advance(p);
	}
	if (close != 0) {
		n->n_end = p->p_t.t_end;
		want_punct(p, close);
	}
}

static struct node *
parse_struct(struct parser *p)
{
	struct node *n = make(p, N_STRUCT, p->p_t.t_at), *f;
	struct node **tail = &n->n_kid;

	advance(p);
	while (!p->p_failed && !at_punct(p, '}')) {
		f = make(p, N_FIELD, p->p_t.t_at);
		if (p->p_t.t_kind == T_NAME && ahead_punct(p, '=')) {
			take_text(p, f);
			advance(p);
		}
		f->n_kid = parse_expr(p);
		*tail = f;
		tail = &f->n_next;
		if (!at_punct(p, ','))
			break;
		advance(p);
	}
	n->n_end = p->p_t.t_end;
	want_punct(p, '}');
	return n;
}

/* Could an argument without parentheses begin here? */
static bool
at_argument(const struct parser *p)
{
	if (p->p_t.t_kind != T_PUNCT)
		return !at_end(p);
	return at_punct(p, '[') || at_punct(p, '{') || at_punct(p, '-') ||
	    at_punct(p, '~');
}

/* At a name: a call, a process, a job, or a constant. */
static struct node *
parse_name(struct parser *p)
{
	struct node *n = make(p, N_NAME, p->p_t.t_at);
	bool bare = p->p_is_call(p->p_t.t_bytes);

	if (at_word(p, "_")) {
		n->n_kind = N_DEFAULT;
		advance(p);
		return n;
	}
	if (at_word(p, "join") && p->p_ahead.t_kind == T_NAME) {
		n->n_kind = N_JOIN;
		advance(p);
		take_text(p, n);
		return n;
	}
	take_text(p, n);
	if (at_punct(p, ':')) {
		n->n_kind = N_AS;
		advance(p);
		n->n_kid = parse_expr(p);
		n->n_end = n->n_kid->n_end;
	} else if (at_punct(p, '(')) {
		n->n_kind = N_CALL;
		advance(p);
		parse_items(p, n, ')');
	} else if (bare) {
		n->n_kind = N_CALL;
		if (at_argument(p))
			parse_items(p, n, 0);
	}
	return n;
}

static struct node *
parse_primary(struct parser *p)
{
	struct node *n;

	switch (p->p_t.t_kind) {
	case T_INT:
		n = make(p, N_INT, p->p_t.t_at);
		n->n_int = p->p_t.t_int;
		advance(p);
		return n;
	case T_STR:
	case T_VAR:
		n = make(p, p->p_t.t_kind == T_STR ? N_STR : N_VAR,
		    p->p_t.t_at);
		take_text(p, n);
		return n;
	case T_NAME:
		return parse_name(p);
	default:
		break;
	}
	if (at_punct(p, '(')) {
		advance(p);
		n = parse_expr(p);
		want_punct(p, ')');
		return n;
	}
	if (at_punct(p, '[')) {
		n = make(p, N_LIST, p->p_t.t_at);
		advance(p);
		parse_items(p, n, ']');
		return n;
	}
	if (at_punct(p, '{'))
		return parse_struct(p);
	n = make(p, N_DEFAULT, p->p_t.t_at);
	unexpected(p, "a value");
	return n;
}

/* A primary with [..] and .name behind it. */
static struct node *
parse_postfix(struct parser *p)
{
	struct node *n = parse_primary(p), *i;
	unsigned count = 0;

	while (!p->p_failed && (at_punct(p, '[') || at_punct(p, '.'))) {
		/* Each is a level for whoever walks the tree. */
		if (++count > PARSE_DEPTH_MAX)
			reject(p, p->p_t.t_at, "too many parts of parts");
		if (at_punct(p, '.')) {
			advance(p);
			n = wrap(p, N_MEMBER, n, NULL);
			want_name(p, n, "a member's name");
			continue;
		}
		advance(p);
		i = parse_expr(p);
		n = wrap(p, N_INDEX, n, i);
		if (at_punct(p, ':')) {
			advance(p);
			n->n_kind = N_SLICE;
			i->n_next = parse_expr(p);
		}
		n->n_end = p->p_t.t_end;
		want_punct(p, ']');
	}
	return n;
}

static struct node *
parse_unary(struct parser *p)
{
	struct node *n;
	size_t at = p->p_t.t_at;
	bool neg = at_punct(p, '-');

	if (p->p_depth >= PARSE_DEPTH_MAX) {
		reject(p, at, "more than %u levels within each other",
		    PARSE_DEPTH_MAX);
		return make(p, N_DEFAULT, at);
	}
	p->p_depth++;
	if (neg || at_punct(p, '~')) {
		advance(p);
		n = wrap(p, neg ? N_NEG : N_NOT, parse_unary(p), NULL);
		n->n_at = at;
	} else {
		n = parse_postfix(p);
	}
	p->p_depth--;
	return n;
}

/* The operators, from what binds least. */
static const char *const levels[] = { "|", "+-", "*" };
#define NLEVELS (sizeof(levels) / sizeof(levels[0]))

static struct node *
parse_binary(struct parser *p, unsigned level)
{
	struct node *n;
	unsigned count = 0;
	int op;

	if (level == NLEVELS)
		return parse_unary(p);
	n = parse_binary(p, level + 1);
	while (!p->p_failed && p->p_t.t_kind == T_PUNCT && p->p_t.t_int < 128 &&
	    strchr(levels[level], (int)p->p_t.t_int) != NULL) {
		if (++count > PARSE_DEPTH_MAX)
			reject(p, p->p_t.t_at, "more than %u operators",
			    PARSE_DEPTH_MAX);
		op = (int)p->p_t.t_int;
		advance(p);
		n = wrap(p, N_BINARY, n, parse_binary(p, level + 1));
		n->n_int = op;
	}
	return n;
}

static struct node *
parse_expr(struct parser *p)
{
	return parse_binary(p, 0);
}

/* ---- commands -------------------------------------------------------------------- */

static bool
at_comparison(const struct parser *p)
{
	return p->p_t.t_kind == T_PUNCT &&
	    (p->p_t.t_int > 127 || at_punct(p, '<') || at_punct(p, '>') ||
		at_punct(p, '&'));
}

static struct node *
parse_expect(struct parser *p)
{
	struct node *n = make(p, N_EXPECT, p->p_t.t_at);

	advance(p);
	n->n_kid = parse_expr(p);
	n->n_end = n->n_kid->n_end;
	if (!p->p_failed && at_comparison(p)) {
		n->n_int = p->p_t.t_int;
		advance(p);
		n->n_kid->n_next = parse_expr(p);
		n->n_end = n->n_kid->n_next->n_end;
	}
	return n;
}

static struct node *
parse_spawn(struct parser *p)
{
	struct node *n = make(p, N_SPAWN, p->p_t.t_at), *call;

	advance(p);
	want_name(p, n, "a name for the call");
	call = n->n_kid = parse_expr(p);
	n->n_end = call->n_end;
	if (call->n_kind == N_AS)
		call = call->n_kid;
	if (call->n_kind != N_CALL)
		reject(p, call->n_at, "want a call to spawn");
	return n;
}

/* One of `words`, whose kids are `kids`. */
static struct node *
parse_word(struct parser *p, const char *kids)
{
	struct node *n = make(p, N_WORD, p->p_t.t_at), *kid;

	take_text(p, n);
	if (*kids == 'e') {
		n->n_kid = parse_expr(p);
	} else if (*kids == 'n' || (*kids == 'N' && !at_end(p))) {
		kid = n->n_kid = make(p, N_NAME, p->p_t.t_at);
		want_name(p, kid, "a name");
	}
	n->n_end = n->n_kid != NULL ? n->n_kid->n_end : n->n_end;
	return n;
}

static struct node *
parse_command(struct parser *p)
{
	struct node *n;
	size_t i;

	if (p->p_t.t_kind == T_VAR && ahead_punct(p, '=')) {
		n = make(p, N_ASSIGN, p->p_t.t_at);
		take_text(p, n);
		advance(p);
		n->n_kid = parse_expr(p);
		n->n_end = n->n_kid->n_end;
		return n;
	}
	/* A word that is a call, too, is one where parentheses follow. */
	if (p->p_t.t_kind == T_NAME &&
	    !(ahead_punct(p, '(') && p->p_is_call(p->p_t.t_bytes))) {
		if (at_word(p, "expect"))
			return parse_expect(p);
		if (at_word(p, "spawn"))
			return parse_spawn(p);
		for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (at_word(p, words[i].word))
				return parse_word(p, words[i].kids);
	}
	n = wrap(p, N_EVAL, parse_expr(p), NULL);
	if (n->n_kid->n_kind == N_NAME)
		reject(p, n->n_at, "there is no call or command '%.40s'",
		    n->n_kid->n_text);
	return n;
}

bool
parse(struct tree *tr, const char *text, size_t len,
    bool (*is_call)(const char *name))
{
	struct parser p = { .p_lx = { .lx_text = text, .lx_len = len },
		.p_tree = tr,
		.p_is_call = is_call };
	struct node **tail = &tr->tr_first;

	*tr = (struct tree){ .tr_first = NULL };
	if (len > PARSE_TEXT_MAX)
		reject(&p, 0, "the command is too long");
	p.p_ahead.t_kind = T_NEXT;
	advance(&p);
	while (!p.p_failed && p.p_t.t_kind != T_END) {
		if (p.p_t.t_kind == T_NEXT) {
			advance(&p);
			continue;
		}
		*tail = parse_command(&p);
		tail = &(*tail)->n_next;
		if (!p.p_failed && !at_end(&p))
			unexpected(&p, "the end of the command");
	}
	free(p.p_t.t_bytes);
	free(p.p_ahead.t_bytes);
	return !p.p_failed;
}

void
tree_free(struct tree *tr)
{
	struct node *n;

	while ((n = tr->tr_all) != NULL) {
		tr->tr_all = n->n_all;
		free(n->n_text);
		free(n);
	}
	tr->tr_first = NULL;
}
