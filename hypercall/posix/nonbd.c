/* SPDX-License-Identifier: BSD-2-Clause */
/* In the place of nbd.c where there is no libnbd: says so. */
#include <string.h>

#include "blk.h"

bool
host_nbd_is(const char *name)
{
	return strncmp(name, "nbd:", 4) == 0 ||
	    strncmp(name, "nbd+unix:", 9) == 0;
}

int
host_nbd_open(struct machine *m, const char *name, unsigned flags,
    struct quern_blk_info *info, struct bdev *b)
{
	static const char line[] = "nbd: built without libnbd";

	(void)name, (void)flags, (void)info, (void)b;
	host_log(m, QUERN_LOG_ERR, line, strlen(line));
	return -EPROTONOSUPPORT;
}

int
host_nbd_add(struct bdev *b, const struct quern_blk_op *op)
{
	(void)b, (void)op;
	return -EPROTONOSUPPORT;
}

void
host_nbd_close(struct bdev *b)
{
	(void)b;
}
