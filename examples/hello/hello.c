/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <quern/quern.h>
#include <quern/posix.h>

int
main(void)
{
	struct quern_config cfg = { .host = quern_posix() };
	struct quern *k;
	struct quern_proc *p;
	int fd[2];
	char buf[6];

	if (quern_create(&cfg, &k) != 0 || quern_proc_create(k, &p) != 0)
		return (1);
	if (quern_pipe2(p, fd, 0) == 0 &&
	    quern_write(p, fd[1], "hello\n", 6) == 6 &&
	    quern_read(p, fd[0], buf, sizeof(buf)) == 6)
		fwrite(buf, 1, sizeof(buf), stdout);
	quern_proc_destroy(p);
	return (quern_destroy(k) != 0);
}
