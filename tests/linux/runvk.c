/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include "tests/linux/runvk.h"

static char image[512], work[400];

const char *
built(const char *name)
{
	static char path[4][1024];
	static unsigned n;
	const char *build = getenv("QUERN_BUILD");

	n = (n + 1) % 4;
	snprintf(path[n], sizeof path[n], "%s/%s",
	    build != NULL ? build : "build", name);
	return path[n];
}

static char *
contents(FILE *f, size_t *lenp)
{
	size_t room = 65536, len = 0, n;
	char *text = malloc(room);

	rewind(f);
	while ((n = fread(text + len, 1, room - len - 1, f)) > 0) {
		len += n;
		if (len + 1 == room)
			text = realloc(text, room *= 2);
		ck_assert_ptr_nonnull(text);
	}
	text[len] = '\0';
	*lenp = len;
	return text;
}

static void
child(const char *const *argv, FILE *in, FILE *out)
{
	/* A group of its own, so that its signals are its own. */
	(void)setsid();
	/* It ends with threads running, as any program may. */
	(void)setenv("TSAN_OPTIONS", "report_thread_leaks=0", 1);
	(void)dup2(fileno(in), 0);
	(void)dup2(fileno(out), 1);
	(void)dup2(fileno(out), 2);
	execv(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

void
run(struct ran *r, const char *const *argv, const char *input, unsigned seconds)
{
	FILE *in = tmpfile(), *out = tmpfile();
	struct pollfd pfd;
	int status = 0;
	pid_t pid;

	ck_assert_ptr_nonnull(in);
	ck_assert_ptr_nonnull(out);
	if (input != NULL)
		fputs(input, in);
	rewind(in);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		child(argv, in, out);
	pfd.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	pfd.events = POLLIN;
	r->r_status = 0;
	if (poll(&pfd, 1, (int)seconds * 1000) == 0) {
		r->r_status = -1;
		kill(pid, SIGKILL);
	}
	close(pfd.fd);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (r->r_status == 0)
		r->r_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
						    WEXITSTATUS(status);
	r->r_out = contents(out, &r->r_len);
	fclose(in);
	fclose(out);
}

void
ran_free(struct ran *r)
{
	free(r->r_out);
}

bool
have_busybox(void)
{
	return access("/bin/busybox", X_OK) == 0;
}

static void
shell(const char *fmt, ...)
{
	char cmd[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof cmd, fmt, ap);
	va_end(ap);
	ck_assert_msg(system(cmd) == 0, "%s", cmd);
}

const char *
guest_image(const char *const *names)
{
	const char *tmp = getenv("TMPDIR");

	if (system("PATH=$PATH:/sbin:/usr/sbin mke2fs -V >/dev/null 2>&1") !=
	    0) {
		printf("SKIP: there is no mke2fs\n");
		return NULL;
	}
	snprintf(work, sizeof work, "%s/guest.%ld", tmp != NULL ? tmp : "/tmp",
	    (long)getpid());
	snprintf(image, sizeof image, "%s/img", work);
	setenv("GUEST_WORK", work, 1);
	shell(
	    "mkdir -p %s/t && cd %s/t && mkdir bin dev etc proc sbin tmp sys && "
	    "chmod 1777 tmp",
	    work, work);
	for (; *names != NULL; names++)
		shell("cp %s %s/t/bin/", built(*names), work);
	if (have_busybox())
		shell("cp /bin/busybox %s/t/bin/ && cd %s/t/bin && "
		      "for a in $(/bin/busybox --list); do "
		      "[ -e $a ] || ln -s busybox $a; done",
		    work, work);
	shell(
	    "cd %s/t/etc && printf '#!/bin/g_proc --script\\n' >script && "
	    "chmod 755 script && echo x >noexec && echo garbage >garbage && "
	    "chmod 755 garbage && printf 'root:x:0:0:root:/:/bin/sh\\nnobody:x:65534:65534::/:/bin/sh\\n' >passwd",
	    work);
	shell("cd %s/t && ln -s ../bin/busybox sbin/init && "
	      "ln -s ../bin/busybox sbin/poweroff && "
	      "ln -s ../bin/busybox sbin/reboot && "
	      "printf '::sysinit:/bin/echo up and running\\n"
	      "ttyS0::respawn:-/bin/sh\\n::ctrlaltdel:/sbin/reboot\\n' "
	      ">etc/inittab",
	    work);
	shell("PATH=$PATH:/sbin:/usr/sbin mke2fs -q -F -t ext4 -d %s/t %s 48M "
	      ">/dev/null 2>&1",
	    work, image);
	return image;
}

void
guest_image_remove(void)
{
	if (work[0] != '\0')
		shell("rm -rf %s", work);
	work[0] = '\0';
}
