/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the program is linked with besides the base: a line a component.
 */
#include <stddef.h>

#include <quern/component.h>
#include <quern/devfs.h>
#include <quern/ext4.h>
#include <quern/socket.h>
#include <quern/tmpfs.h>
#include <quern/tty.h>
#include <quern/unix.h>
#include <quern/vfs.h>

#include "quern.h"

const struct quern_component *const linked_components[] = {
	&qvfs,
	&qtmpfs,
	&qdevfs,
	&qext4,
	&qttys,
	&qsockets,
	&qunix,
	NULL,
};
