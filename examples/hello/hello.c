/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <quern/ext4.h>
#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/tmpfs.h>
#include <quern/vfs.h>

int
main(int argc, char **argv)
{
	static const struct quern_component *const parts[] = { &qvfs, &qtmpfs,
		&qext4, NULL };
	struct quern_config cfg = { .host = quern_posix(),
		.components = parts };
	struct quern *k;
	struct quern_proc *p;
	struct qdisk *d;
	char buf[4096];
	int64_t n;
	int fd;

	if (argc != 3 || quern_create(&cfg, &k) != 0 ||
	    quern_proc_create(k, &p) != 0 ||
	    quern_disk_open(k, argv[1], NULL, &d) != 0 ||
	    quern_mount(p, argv[1], "/", "ext4", 0, "") != 0)
		return (1);
	fd = quern_open(p, argv[2], 0, 0);
	while ((n = quern_read(p, fd, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	if (quern_close(p, fd) != 0 || quern_umount2(p, "/", 0) != 0 ||
	    quern_disk_close(d) != 0)
		return (1);
	return (quern_destroy(k) != 0);
}
