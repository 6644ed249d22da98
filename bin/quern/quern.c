/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quern(1): one program with subcommands, each in a file of its own.
 */
#include <stdio.h>
#include <string.h>

#include "quern.h"

/* The subcommands, in the order in which help shows them. */
static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
	const char *usage;
} commands[] = {
	{ "call", cmd_call, "call a kernel by hand or by script", call_usage },
	{ "fs", cmd_fs, "look at the files of a disk image, or change them",
	    fs_command_usage },
};

#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *
find_command(const char *name)
{
	size_t i;

	for (i = 0; i < NCOMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	fprintf(stderr, "quern: there is no command '%s'\n", name);
	return NULL;
}

static void
usage(FILE *f)
{
	size_t i;

	fprintf(f,
	    "usage: quern COMMAND [ARGUMENT...]\n"
	    "       quern help [COMMAND]\n"
	    "       quern --version\n\n");
	for (i = 0; i < NCOMMANDS; i++)
		fprintf(f, "  %-10s%s\n", commands[i].name,
		    commands[i].summary);
}

static int
help(int argc, char **argv)
{
	const struct command *c;

	if (argc > 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (argc < 2) {
		usage(stdout);
		return 0;
	}
	c = find_command(argv[1]);
	if (c == NULL)
		return EXIT_USAGE;
	fputs(c->usage, stdout);
	return 0;
}

int
main(int argc, char **argv)
{
	const struct command *c;

	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("quern " QUERN_VERSION);
		return 0;
	}
	if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
	    strcmp(argv[1], "-h") == 0)
		return help(argc - 1, argv + 1);
	c = find_command(argv[1]);
	if (c == NULL) {
		fprintf(stderr, "quern: `quern help` shows what there is\n");
		return EXIT_USAGE;
	}
	return c->run(argc - 1, argv + 1);
}
