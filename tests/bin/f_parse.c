/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parser of the console: any text is a tree or an error within the text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bin/quern/parse.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "f_parse: %s\n", what);
		abort();
	}
}

static bool
is_call(const char *name)
{
	return strcmp(name, "read") == 0 || strcmp(name, "pipe2") == 0;
}

/* Every node lies in the text; what walks the tree must not go too deep. */
static void
check_node(const struct node *n, size_t len, unsigned depth)
{
	/* A level of the parser is a few of the tree at most. */
	must(depth < 70 * PARSE_DEPTH_MAX, "the tree is too deep");
	for (; n != NULL; n = n->n_next) {
		must(n->n_at <= n->n_end && n->n_end <= len,
		    "a node that is not in the text");
		must(n->n_text == NULL || n->n_text[n->n_len] == '\0',
		    "a text without its end");
		check_node(n->n_kid, len, depth + 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len != 0 ? len : 1);
	unsigned depth = 0;
	struct tree tr;
	const char *nl;
	size_t at, end;

	/* Of its own length, so that reading behind it is found. */
	if (text == NULL)
		abort();
	if (len != 0)
		memcpy(text, data, len);
	if (parse(&tr, text, len, is_call)) {
		check_node(tr.tr_first, len, 0);
	} else {
		must(tr.tr_at <= len, "an error that is not in the text");
		must(tr.tr_error[0] != '\0', "an error without a word");
	}
	tree_free(&tr);
	for (at = 0; at < len; at = end) {
		nl = memchr(text + at, '\n', len - at);
		end = nl != NULL ? (size_t)(nl - text) + 1 : len;
		(void)lex_line(text + at, end - at, &depth);
	}
	free(text);
	return 0;
}
