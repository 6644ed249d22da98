/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The language of the console: text into trees.  Knows neither calls nor
 * kernels; see quern-call(1) for what is written how.
 */
#ifndef BIN_QUERN_PARSE_H
#define BIN_QUERN_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parentheses, brackets and signs within each other. */
#define PARSE_DEPTH_MAX 64u
/* The most bytes of a command with all its lines. */
#define PARSE_TEXT_MAX ((size_t)64 << 20)

/* ---- tokens ------------------------------------------------------------- */

enum token_kind {
	T_END = 0, /* of the text */
	T_ERROR,
	T_NEXT, /* newline or ; outside of brackets */
	T_INT,
	T_STR,
	T_NAME,
	T_VAR,  /* $name */
	T_PUNCT /* t_int is the character, or two: '=' << 8 | '=' */
};

struct token {
	enum token_kind t_kind;
	size_t t_at, t_end; /* where in the text */
	int64_t t_int;
	char *t_bytes; /* T_STR, T_NAME, T_VAR, with a 0 behind; owned */
	size_t t_len;
};

/* Reading tokens.  On T_ERROR lx_error says what is wrong at t_at. */
struct lexer {
	const char *lx_text;
	size_t lx_len, lx_at;
	unsigned lx_depth; /* of open brackets */
	const char *lx_error;
};

/* Read the next token; the caller frees t_bytes. */
void lex(struct lexer *lx, struct token *t);

/*
 * Look at one line, its newline included.  Is the command at its end, rather
 * than in a bracket or before a newline that a \ precedes?  *depthp is 0 before
 * the first line of a command; for gathering lines until there is something to
 * parse.
 */
bool lex_line(const char *line, size_t len, unsigned *depthp);

/* ---- trees -------------------------------------------------------------- */

enum node_kind {
	/* expressions */
	N_DEFAULT,
	N_INT,
	N_STR,
	N_NAME, /* of a constant */
	N_VAR,
	N_LIST,
	N_STRUCT, /* kids: N_FIELD */
	N_FIELD,  /* n_text, or NULL; a kid */
	N_NEG,
	N_NOT,
	N_BINARY, /* n_int: | + - * */
	N_INDEX,
	N_SLICE, /* kids: what, from, to */
	N_MEMBER,
	N_CALL, /* n_text; kids: arguments */
	N_AS,   /* n_text: process; a kid */
	N_JOIN, /* n_text: job */
	/* commands */
	N_ASSIGN, /* n_text = a kid */
	N_EXPECT, /* n_int: 0, ==, ...; one or two kids */
	N_SPAWN,  /* n_text: job; a kid, N_CALL or N_AS */
	N_WORD,   /* n_text: the command; kids */
	N_EVAL    /* an expression for itself */
};

struct node {
	enum node_kind n_kind;
	size_t n_at, n_end; /* where in the text */
	int64_t n_int;
	char *n_text;
	size_t n_len;
	struct node *n_kid, *n_next;
	struct node *n_all; /* the one made before */
};

/* A text that has been parsed. */
struct tree {
	struct node *tr_first; /* the first command; n_next: the next */
	struct node *tr_all;
	/* What is wrong, if parsing failed, and where. */
	char tr_error[160];
	size_t tr_at;
};

/*
 * Parse commands.  `is_call` says whether a word begins a call rather than
 * being a constant's name.  False: there is an error.  To be ended with
 * tree_free in any case.
 */
bool parse(struct tree *tr, const char *text, size_t len,
    bool (*is_call)(const char *name));

void tree_free(struct tree *tr);

#endif /* BIN_QUERN_PARSE_H */
