/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest system, from its kernel to its end.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quern/devfs.h>
#include <quern/ext4.h>
#include <quern/linux.h>
#include <quern/posix.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>
#include <quern/vm.h>

#include "vkernel.h"

static const struct quern_component *const parts[] = { &qvfs, &qtmpfs, &qdevfs,
	&qext4, &qvm, &qlinux, NULL };

struct guest {
	const struct vk_options *g_o;
	struct quern *g_k;
	struct quern_proc *g_p;
	volatile int g_ended;
	int g_status;
	struct qlinux_start g_start;
};

static void
ended(void *arg, int status)
{
	struct guest *g = arg;

	g->g_status = status;
	__atomic_store_n(&g->g_ended, 1, __ATOMIC_RELEASE);
	quern_interrupt(g->g_p);
}

static int64_t
start(void *arg)
{
	struct guest *g = arg;

	return qlinux_start(g->g_k, &g->g_start);
}

int
vk_boot(const struct vk_options *o)
{
	struct quern_config cfg = { .host = quern_posix(),
		.components = parts,
		.ram = o->o_ram,
		.ncpu = o->o_ncpu,
		.runners = o->o_ncpu,
		.trace_calls = o->o_trace != NULL,
		.log_level = o->o_verbose ? QUERN_LOG_DEBUG : QUERN_LOG_WARN };
	struct guest g = { .g_o = o };
	struct quern_disk_options dopt = { .do_name = "vd0" };
	static const char *const noenv[] = {
		"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/", NULL
	};
	struct qdisk *d;
	char name[4200];
	int error;

	error = quern_create(&cfg, &g.g_k);
	if (error != 0)
		vk_fail("no kernel: %s", strerror(-error));
	if (quern_proc_create(g.g_k, &g.g_p) != 0)
		vk_fail("no process");
	snprintf(name, sizeof name, "file:%s", o->o_disk[0].d_image);
	dopt.do_flags = o->o_disk[0].d_flags;
	error = quern_disk_open(g.g_k, name, &dopt, &d);
	if (error != 0)
		vk_fail("%s: %s", o->o_disk[0].d_image, strerror(-error));
	error = quern_mount(g.g_p, "vd0", "/", "ext4", 0, "");
	if (error != 0)
		vk_fail("%s: mount: %s", o->o_disk[0].d_image,
		    strerror(-error));
	error = quern_mount(g.g_p, "dev", "/dev", "devfs", 0, "");
	if (error != 0)
		vk_fail("/dev: mount: %s", strerror(-error));
	g.g_start.ls_path = o->o_command[0];
	g.g_start.ls_argv = o->o_command;
	g.g_start.ls_envp = noenv;
	g.g_start.ls_command = true;
	g.g_start.ls_ended = ended;
	g.g_start.ls_arg = &g;
	error = (int)quern_run(g.g_p, start, &g);
	if (error != 0)
		vk_fail("%s: %s", o->o_command[0], strerror(-error));
	while (!__atomic_load_n(&g.g_ended, __ATOMIC_ACQUIRE))
		usleep(1000);
	if (WIFSIGNALED(g.g_status))
		return 128 + WTERMSIG(g.g_status);
	return WEXITSTATUS(g.g_status);
}
