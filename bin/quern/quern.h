/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The subcommands of quern(1).
 *
 * Exit statuses: 0, 1 (what was asked for did not work), 2 (usage).
 */
#ifndef BIN_QUERN_H
#define BIN_QUERN_H

struct quern_component;

#define EXIT_USAGE 2

/* `quern call`: the console over the system calls.  argv[0] is "call". */
int cmd_call(int argc, char **argv);

/* Its text for `quern help call`. */
extern const char call_usage[];

/* `quern fs`: files of an image.  argv[0] is "fs". */
int cmd_fs(int argc, char **argv);
extern const char fs_command_usage[];

/* The components that the program is linked with, ended by NULL. */
extern const struct quern_component *const linked_components[];

#endif /* BIN_QUERN_H */
