/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tokens of the console's language.
 *
 * A line ends a command unless a bracket is open or a \ precedes the newline.
 * # begins a comment where a token could begin.
 */
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "value.h"

static bool
is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alpha(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* The value of a digit, 36 for what is none. */
static unsigned
digit(int c)
{
	if (is_digit(c))
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A') + 10;
	return 36;
}

/* The character `ahead` of the next, or -1. */
static int
peek(const struct lexer *lx, size_t ahead)
{
	return lx->lx_at + ahead < lx->lx_len ?
	    (unsigned char)lx->lx_text[lx->lx_at + ahead] :
	    -1;
}

static void
fail(struct lexer *lx, struct token *t, size_t at, const char *why)
{
	t->t_kind = T_ERROR;
	t->t_at = at;
	lx->lx_error = why;
	lx->lx_at = lx->lx_len;
}

/* Over blanks, comments, and newlines that end nothing. */
static void
skip_blanks(struct lexer *lx)
{
	int c;

	for (;;) {
		c = peek(lx, 0);
		if (c == ' ' || c == '\t' || c == '\r' ||
		    (c == '\n' && lx->lx_depth > 0)) {
			lx->lx_at++;
		} else if (c == '\\' && peek(lx, 1) == '\n') {
			lx->lx_at += 2;
		} else if (c == '\\' && peek(lx, 1) == '\r' &&
		    peek(lx, 2) == '\n') {
			lx->lx_at += 3;
		} else if (c == '#') {
			while (peek(lx, 0) != '\n' && peek(lx, 0) != -1)
				lx->lx_at++;
		} else {
			return;
		}
	}
}

/* What a number may have behind it. */
static const struct {
	const char *name;
	uint64_t factor;
} suffixes[] = {
	{ "", 1 },
	{ "K", 1024 },
	{ "M", 1024 * 1024 },
	{ "G", 1024 * 1024 * 1024 },
	{ "ns", 1 },
	{ "us", 1000 },
	{ "ms", 1000000 },
	{ "s", 1000000000 },
};

/* What the letters behind a number say; 0: nothing. */
static uint64_t
lex_suffix(struct lexer *lx)
{
	const char *s = lx->lx_text + lx->lx_at;
	size_t i, n;

	for (n = 0; is_alpha(peek(lx, n)) || is_digit(peek(lx, n)); n++)
		continue;
	lx->lx_at += n;
	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (strlen(suffixes[i].name) == n &&
		    memcmp(suffixes[i].name, s, n) == 0)
			return suffixes[i].factor;
	return 0;
}

static void
lex_number(struct lexer *lx, struct token *t)
{
	unsigned base = 10, d;
	uint64_t v = 0, factor;
	bool large = false;

	if (peek(lx, 0) == '0') {
		base = 8;
		if (peek(lx, 1) == 'x' || peek(lx, 1) == 'X') {
			base = 16;
			lx->lx_at += 2;
			if (digit(peek(lx, 0)) >= 16) {
				fail(lx, t, t->t_at, "0x without digits");
				return;
			}
		}
	}
	for (; (d = digit(peek(lx, 0))) < base; lx->lx_at++)
		large |= __builtin_mul_overflow(v, base, &v) ||
		    __builtin_add_overflow(v, d, &v);
	factor = lex_suffix(lx);
	if (factor == 0) {
		fail(lx, t, t->t_at, "this is no number");
		return;
	}
	large |= __builtin_mul_overflow(v, factor, &v);
	if (large) {
		fail(lx, t, t->t_at, "the number is too large");
		return;
	}
	t->t_kind = T_INT;
	t->t_int = (int64_t)v;
}

/* What follows a backslash; -1: nothing that has a meaning. */
static int
lex_escape(struct lexer *lx)
{
	static const char plain[] = "n\nt\tr\r\\\\\"\"''a\ab\bf\fv\ve\033";
	int c = peek(lx, 0), v = 0, i;

	if (c == 'x') {
		lx->lx_at++;
		if (digit(peek(lx, 0)) >= 16 || digit(peek(lx, 1)) >= 16)
			return -1;
		v = (int)(digit(peek(lx, 0)) * 16 + digit(peek(lx, 1)));
		lx->lx_at += 2;
		return v;
	}
	if (c >= '0' && c <= '7') {
		for (i = 0; i < 3 && digit(peek(lx, 0)) < 8; i++, lx->lx_at++)
			v = v * 8 + (int)digit(peek(lx, 0));
		return v < 256 ? v : -1;
	}
	for (i = 0; plain[i] != '\0'; i += 2)
		if (plain[i] == c) {
			lx->lx_at++;
			return (unsigned char)plain[i + 1];
		}
	return -1;
}

/* "string" or 'c', a number. */
static void
lex_string(struct lexer *lx, struct token *t)
{
	int quote = peek(lx, 0), c;
	size_t at, room = 1;

	t->t_kind = T_STR;
	t->t_bytes = xmalloc(room);
	for (lx->lx_at++; (c = peek(lx, 0)) != quote;) {
		at = lx->lx_at++;
		if (c == -1 || c == '\n') {
			fail(lx, t, t->t_at, "the quote is not closed");
			return;
		}
		if (c == '\\' && (c = lex_escape(lx)) < 0) {
			fail(lx, t, at,
			    "this escape means nothing (\\n \\t \\r \\0 \\\\ "
			    "\\\" \\x41 \\101 do)");
			return;
		}
		if (t->t_len + 1 >= room) {
			room = 2 * room + 32;
			t->t_bytes = xrealloc(t->t_bytes, room);
		}
		t->t_bytes[t->t_len++] = (char)c;
	}
	lx->lx_at++;
	t->t_bytes[t->t_len] = '\0';
	if (quote != '\'')
		return;
	t->t_kind = T_INT;
	t->t_int = (unsigned char)t->t_bytes[0];
	if (t->t_len != 1)
		fail(lx, t, t->t_at, "want one character between ' and '");
}

static void
lex_name(struct lexer *lx, struct token *t)
{
	size_t start = lx->lx_at;

	while (is_alpha(peek(lx, 0)) || is_digit(peek(lx, 0)))
		lx->lx_at++;
	t->t_len = lx->lx_at - start;
	t->t_bytes = xstrndup(lx->lx_text + start, t->t_len);
}

/* $name or $? */
static void
lex_variable(struct lexer *lx, struct token *t)
{
	t->t_kind = T_VAR;
	lx->lx_at++;
	if (peek(lx, 0) == '?') {
		lx->lx_at++;
		t->t_bytes = xstrndup("?", 1);
		t->t_len = 1;
	} else if (is_alpha(peek(lx, 0))) {
		lex_name(lx, t);
	} else {
		fail(lx, t, t->t_at, "$ without a name");
	}
}

static void
lex_punct(struct lexer *lx, struct token *t)
{
	int c = peek(lx, 0);

	t->t_kind = T_PUNCT;
	t->t_int = c;
	if ((c == '=' || c == '!' || c == '<' || c == '>') &&
	    peek(lx, 1) == '=') {
		t->t_int = c << 8 | '=';
		lx->lx_at += 2;
		return;
	}
	if (c == '\0' || strchr("()[]{},=<>&|+-*~:.", c) == NULL) {
		fail(lx, t, t->t_at, "this character has no meaning here");
		return;
	}
	lx->lx_at++;
	if (c == '(' || c == '[' || c == '{')
		lx->lx_depth++;
	else if ((c == ')' || c == ']' || c == '}') && lx->lx_depth > 0)
		lx->lx_depth--;
}

void
lex(struct lexer *lx, struct token *t)
{
	int c;

	*t = (struct token){ .t_kind = T_END };
	skip_blanks(lx);
	t->t_at = lx->lx_at;
	c = peek(lx, 0);
	if (c == '\n' || c == ';') {
		t->t_kind = T_NEXT;
		lx->lx_at++;
	} else if (is_digit(c)) {
		lex_number(lx, t);
	} else if (c == '"' || c == '\'') {
		lex_string(lx, t);
	} else if (is_alpha(c)) {
		t->t_kind = T_NAME;
		lex_name(lx, t);
	} else if (c == '$') {
		lex_variable(lx, t);
	} else if (c != -1) {
		lex_punct(lx, t);
	}
	t->t_end = lx->lx_at;
}

bool
lex_line(const char *line, size_t len, unsigned *depthp)
{
	struct lexer lx = { .lx_text = line,
		.lx_len = len,
		.lx_depth = *depthp };
	enum token_kind last = T_END;
	struct token t;

	for (;;) {
		lex(&lx, &t);
		free(t.t_bytes);
		if (t.t_kind == T_ERROR)
			return true; /* for the parser to tell */
		if (t.t_kind == T_END)
			break;
		last = t.t_kind;
	}
	*depthp = lx.lx_depth;
	if (len == 0 || line[len - 1] != '\n')
		return true; /* the last line of all */
	return lx.lx_depth == 0 && last == T_NEXT;
}
