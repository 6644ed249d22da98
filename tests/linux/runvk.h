/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs run as guests of vkernel, and on the host.
 */
#ifndef TESTS_LINUX_RUNVK_H
#define TESTS_LINUX_RUNVK_H

#include <stdbool.h>
#include <stddef.h>

/* What a program did. */
struct ran {
	int r_status; /* as of a shell; -1: it did not end in time */
	char *r_out;  /* standard output and standard error, in one */
	size_t r_len;
};

/* Run argv[], with `input` as standard input, for up to `seconds`. */
void run(struct ran *r, const char *const *argv, const char *input,
    unsigned seconds);
void ran_free(struct ran *r);

/* Where a program of this build is. */
const char *built(const char *name);

/*
 * An image with an ext4 file system, of directories /bin (with the guest
 * programs `names`, ended by NULL, and busybox if the host has a static one),
 * /dev, /etc, /proc, /tmp: its path, or NULL with the reason told: no mke2fs.
 */
const char *guest_image(const char *const *names);

/* Is there a static busybox? */
bool have_busybox(void);

/* Remove what guest_image made. */
void guest_image_remove(void);

#endif /* TESTS_LINUX_RUNVK_H */
