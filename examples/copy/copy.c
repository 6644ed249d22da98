/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two kernels in one process, each with an image of its own: a file of the one
 * is copied into the other.
 *
 *	copy file:FROM-IMAGE PATH file:TO-IMAGE PATH
 *
 * There is nothing between them but this program's buffer: a descriptor belongs
 * to a process, a process to a kernel, and neither kernel knows of the other.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quern/abi/fcntl.h>
#include <quern/abi/mount.h>
#include <quern/abi/stat.h>
#include <quern/ext4.h>
#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>

/* A kernel, a process of it, and the image that is mounted on its root. */
struct side {
	const char *name;
	struct quern *k;
	struct quern_proc *p;
	struct qdisk *d;
	int fd;
};

static void
check(const struct side *s, const char *what, int64_t r)
{
	if (r < 0) {
		fprintf(stderr, "%s: %s: %s\n", s->name, what,
		    strerror((int)-r));
		exit(1);
	}
}

static void
open_side(struct side *s, uint32_t mount_flags, const char *path, int flags)
{
	static const struct quern_component *const parts[] = { &qvfs, &qtmpfs,
		&qext4, NULL };
	struct quern_config cfg = { .host = quern_posix(),
		.components = parts,
		.name = s->name };
	const struct quern_disk_options opt = {
		.do_flags = (mount_flags & Q_MS_RDONLY) != 0 ?
		    QUERN_DISK_RDONLY :
		    0
	};

	check(s, "create", quern_create(&cfg, &s->k));
	check(s, "process", quern_proc_create(s->k, &s->p));
	check(s, "disk", quern_disk_open(s->k, s->name, &opt, &s->d));
	check(s, "mount",
	    quern_mount(s->p, s->name, "/", "ext4", mount_flags, ""));
	s->fd = quern_open(s->p, path, flags, 0600);
	check(s, path, s->fd);
}

/* What was written is on the disk when the file system has been unmounted. */
static void
close_side(struct side *s)
{
	check(s, "close", quern_close(s->p, s->fd));
	check(s, "unmount", quern_umount2(s->p, "/", 0));
	check(s, "disk", quern_disk_close(s->d));
	check(s, "destroy", quern_destroy(s->k));
}

int
main(int argc, char **argv)
{
	static char buf[65536];
	struct side from = { 0 }, to = { 0 };
	struct q_stat st;
	int64_t n, done, w;

	if (argc != 5) {
		fprintf(stderr, "usage: copy IMAGE PATH IMAGE PATH\n");
		return 2;
	}
	from.name = argv[1];
	to.name = argv[3];
	open_side(&from, Q_MS_RDONLY, argv[2], Q_O_RDONLY);
	open_side(&to, 0, argv[4], Q_O_WRONLY | Q_O_CREAT | Q_O_TRUNC);

	while ((n = quern_read(from.p, from.fd, buf, sizeof(buf))) > 0)
		for (done = 0; done < n; done += w) {
			w = quern_write(to.p, to.fd, buf + done,
			    (size_t)(n - done));
			check(&to, argv[4], w);
		}
	check(&from, argv[2], n);

	check(&from, argv[2], quern_fstat(from.p, from.fd, &st));
	check(&to, argv[4],
	    quern_fchmod(to.p, to.fd, (uint32_t)st.st_mode & 07777));
	printf("%lld bytes from %s to %s\n", (long long)st.st_size, argv[2],
	    argv[4]);
	close_side(&from);
	close_side(&to);
	return 0;
}
