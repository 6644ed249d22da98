/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of vkernel share.
 *
 * vkernel is two processes.  The one that the user started, the supervisor
 * (super.c), owns the terminal, the pidfile and the exit status; its child, the
 * kernel process (boot.c), is the guest system.  They talk by a pair of sockets:
 * struct vk_order one way, struct vk_report the other.
 */
#ifndef VKERNEL_H
#define VKERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quern/quern.h>

/* Exit statuses of its own. */
#define VK_PANIC  121 /* the kernel died */
#define VK_FAILED 125 /* bad usage, or it could not begin */
#define VK_NOEXEC 126 /* as of a shell: the command can't be executed ... */
#define VK_NOENT  127 /* ... or is not there */

#define VK_MAXDISK 16
#define VK_MAXENV  64

/* A disk of the command line. */
struct vk_disk {
	const char *d_image;
	const char *d_serno; /* or NULL */
	unsigned d_flags;    /* QUERN_DISK_* */
};

/* What the command line says. */
struct vk_options {
	size_t o_ram;
	unsigned o_ncpu;
	struct vk_disk o_disk[VK_MAXDISK];
	unsigned o_ndisk;
	const char *o_env[VK_MAXENV]; /* name=value */
	unsigned o_nenv;
	bool o_single;
	unsigned o_verbose;
	const char *o_pidfile;
	const char *o_ramfile;
	const char *o_init;
	const char *o_trace; /* NULL: no */
	bool o_ptrace;
	bool o_trap; /* --calls=trap */
	bool o_unconfined;
	bool o_panic;                 /* for tests: panic once it runs ... */
	bool o_escape;                /* ... try to get out of confinement */
	const char *const *o_command; /* NULL: boot */
	uint64_t o_started;           /* monotonic ns */
};

/* From the supervisor. */
enum vk_order_kind {
	VK_SIGNAL = 1, /* to the command, or the system is to shut down */
	VK_WINDOW,     /* o_rows, o_cols: the terminal's size now */
	VK_INSIST      /* end at once */
};

struct vk_order {
	int32_t or_kind;
	int32_t or_sig;
	uint16_t or_rows, or_cols;
};

/* From the kernel process, its last word. */
enum vk_report_kind { VK_ENDED = 1, VK_REBOOT, VK_DIED };

struct vk_report {
	int32_t re_kind;
	int32_t re_status; /* ENDED: to exit with */
};

/* What descriptors 0, 1 and 2 are, and whether the terminal is raw. */
struct vk_stdio {
	bool s_tty[3], s_closed[3];
	bool s_raw;
};

/* Read the command line; exits by itself for -h and bad usage. */
void vk_options(int argc, char **argv, struct vk_options *o);

/* Start the kernel process and stay until its end; what to exit with. */
int vk_supervise(const struct vk_options *o, char **argv);

/* The kernel process: run a guest system to its end.  Does not return. */
void vk_boot(const struct vk_options *o, const struct vk_stdio *s, int sock)
    __attribute__((noreturn));

/*
 * Have the kernel process reach no files but those of the command line: before
 * it has threads.  See confine.c.
 */
void vk_confine_files(const struct vk_options *o);

/* Have it make no system calls but what it needs: before guests run. */
void vk_confine_calls(const struct vk_options *o);

/* Try what these, or the first alone, forbid, and say how it went. */
void vk_escape(bool early);

/* Print a line, the kernel's, to standard error. */
void vk_line(const char *line);

/* Print a line of one's own. */
void vk_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same, and exit with VK_FAILED. */
void vk_fail(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

/* Lines end in CR LF from here on: the terminal is in raw mode. */
void vk_raw_lines(void);

/* Monotonic time in ns. */
uint64_t vk_now(void);

#endif /* VKERNEL_H */
