/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Linux personality: unmodified Linux x86-64 programs as guests.
 *
 * A kernel with `qlinux` among its components starts none by itself.  The
 * embedder makes the first process with qlinux_start; everything else comes from
 * that by fork.
 */
#ifndef QUERN_LINUX_H
#define QUERN_LINUX_H

#include <quern/component.h>
#include <quern/file.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The component. */
extern const struct quern_component qlinux;

/* What qlinux_start is told.  Borrowed during the call. */
struct qlinux_start {
	const char *ls_path;        /* the program */
	const char *const *ls_argv; /* ended by NULL */
	const char *const *ls_envp; /* likewise */
	/* Descriptors 0, 1 and 2 of it, borrowed; NULL: closed. */
	struct qfile *ls_file[3];
	/*
	 * The process is a child of a built-in process 1, which reaps orphans,
	 * and has a session with the first of its files that is a terminal;
	 * otherwise it is process 1 itself.
	 */
	bool ls_command;
	/* Called once, when it has ended, with its status as wait(2) tells. */
	void (*ls_ended)(void *arg, int status);
	/* reboot(2) was called with that command. */
	void (*ls_reboot)(void *arg, uint32_t cmd);
	/* It is about to run its first instruction. */
	void (*ls_running)(void *arg);
	void *ls_arg;
};

/*
 * Start the first process.  In the kernel (quern_run); sleeps.  -EEXIST (there is
 * one), and what execve answers.
 */
int qlinux_start(struct quern *k, const struct qlinux_start *ls) QMUSTCHECK;

/*
 * Start another program, as a child of process 1, with its descriptors 0 to 2 on
 * /dev/null.  In the kernel; sleeps.  What execve answers.
 */
int qlinux_spawn(struct quern *k, const char *path, const char *const *argv,
    const char *const *envp) QMUSTCHECK;

/*
 * End every process, and wait until they have ended, for up to `ns`.  In the
 * kernel; sleeps.  -ETIMEDOUT.
 */
int qlinux_stop(struct quern *k, uint64_t ns) QMUSTCHECK;

/*
 * Send a signal to the process that qlinux_start made.  In the kernel.  -ESRCH.
 */
int qlinux_signal(struct quern *k, int sig);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_LINUX_H */
