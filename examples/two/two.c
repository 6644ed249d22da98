/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two kernels in one process: each has its own processes, descriptors and
 * memory.  A line goes through a pipe of the one into a pipe of the other; then
 * one of them dies, and the other does not notice.
 */
#include <stdio.h>
#include <string.h>

#include <quern/posix.h>
#include <quern/quern.h>

/* A kernel, a process of it, and a pipe of that. */
struct side {
	struct quern *k;
	struct quern_proc *p;
	int fd[2];
};

static int
open_side(struct side *s, const char *name)
{
	struct quern_config cfg = { .host = quern_posix(), .name = name };

	if (quern_create(&cfg, &s->k) != 0)
		return -1;
	if (quern_proc_create(s->k, &s->p) != 0)
		return -1;
	return quern_pipe2(s->p, s->fd, 0);
}

int
main(void)
{
	static const char line[] = "from one kernel to the other\n";
	struct side a, b;
	char buf[sizeof(line)];
	int64_t n;

	if (open_side(&a, "a") != 0 || open_side(&b, "b") != 0)
		return 1;
	if (quern_write(a.p, a.fd[1], line, strlen(line)) < 0)
		return 1;
	n = quern_read(a.p, a.fd[0], buf, sizeof(buf));
	if (n < 0 || quern_write(b.p, b.fd[1], buf, (size_t)n) != n)
		return 1;

	quern_kill(a.k, "on purpose");
	n = quern_read(a.p, a.fd[0], buf, sizeof(buf));
	printf("a: %d\n", (int)n);

	n = quern_read(b.p, b.fd[0], buf, sizeof(buf));
	if (n != (int64_t)strlen(line))
		return 1;
	printf("b: %.*s", (int)n, buf);
	return quern_destroy(a.k) != 0 || quern_destroy(b.k) != 0;
}
