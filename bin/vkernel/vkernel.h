/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of vkernel share.
 */
#ifndef VKERNEL_H
#define VKERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quern/quern.h>

/* Exit statuses of its own. */
#define VK_USAGE 125 /* bad usage, or it could not boot */
#define VK_PANIC 124

#define VK_MAXDISK 16

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
	const char **o_env; /* name=value; ended by NULL */
	unsigned o_nenv;
	bool o_single;
	unsigned o_verbose;
	const char *o_pidfile;
	const char *o_ramfile;
	const char *o_init;
	const char *o_trace; /* NULL: no */
	bool o_ptrace;
	const char *const *o_command; /* NULL: boot */
};

/* Read the command line; exits by itself for -h and bad usage. */
void vk_options(int argc, char **argv, struct vk_options *o);

/* Run a guest system to its end; what vkernel exits with. */
int vk_boot(const struct vk_options *o);

/* Print a line and exit with VK_USAGE. */
void vk_fail(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

#endif /* VKERNEL_H */
