/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Terminals: /dev/tty, pseudo-terminals (/dev/ptmx and the file system "devpts",
 * to be mounted on /dev/pts), and the console.
 *
 * Sessions and process groups are the kernel's (proc.h), as is the way to send
 * signals: a personality implements po_signal and po_sigstate.  For a process
 * without them signals do nothing, and it counts as ignoring them.
 */
#ifndef QUERN_TTY_H
#define QUERN_TTY_H

#include <quern/abi/termios.h>
#include <quern/component.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quern_proc;

/* The component.  Needs the vfs. */
extern const struct quern_component qttys;

/* Flags of qtty_console. */
#define QTTY_STAY 1u

/*
 * Make the console: a terminal whose other end is a channel of the host, `name`
 * as in hypercall.h ("stdio:").  It is /dev/console (5:1), which never becomes a
 * controlling terminal by being opened, and /dev/ttyS0 (4:64), the same one,
 * which does.  There is one a kernel, until its end.  In the kernel: through
 * quern_run.  -EEXIST, -ENOMEM, and what the host answers.
 *
 * The host's terminal should be in raw mode: the line discipline is here.  When
 * the channel ends the terminal is hung up; with QTTY_STAY in `flags` there is
 * only no more input.
 */
int qtty_console(struct quern *k, const char *name, unsigned flags);

/*
 * The console's window has another size; its foreground process group gets a
 * SIGWINCH if that is new.  In the kernel.  -ENXIO: there is no console.
 */
int qtty_console_resize(struct quern *k, const struct q_winsize *size);

/*
 * The device number of the controlling terminal of `p`, as in /proc/PID/stat,
 * and its foreground process group; false (0 and -1): it has none.  In the kernel.
 */
bool qtty_of(struct quern_proc *p, uint64_t *dev, int32_t *pgid);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_TTY_H */
