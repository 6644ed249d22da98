/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The supervisor: terminal, signals, pidfile, restart and exit status.
 *
 * Everything that has to be put right again at the end is this process's, so
 * that it is put right whatever becomes of the kernel process.  It waits for
 * signals and for the report, and does nothing else.
 *
 * The kernel process dies with it (PDEATHSIG), and takes the guests' processes
 * along.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "vkernel.h"

/* Signals that are for the guest, and some that are for us. */
static const int taken[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2,
	SIGWINCH, SIGCHLD, SIGTSTP, SIGCONT, SIGALRM };

struct super {
	const struct vk_options *su_o;
	struct vk_stdio su_stdio;
	struct termios su_saved; /* of descriptor 0, if s_raw */
	pid_t su_kernel;
	int su_sock, su_sigfd;
	bool su_asked; /* SIGTERM once */
	bool su_reported;
	struct vk_report su_report;
};

/* ---- the terminal ------------------------------------------------------------ */

static void
terminal_raw(struct super *su)
{
	struct termios t = su->su_saved;

	cfmakeraw(&t);
	(void)tcsetattr(0, TCSADRAIN, &t);
}

static void
terminal_restore(struct super *su)
{
	if (su->su_stdio.s_raw)
		(void)tcsetattr(0, TCSADRAIN, &su->su_saved);
}

/* Have no descriptor of ours be taken for one that the user has closed. */
static void
note_closed(struct super *su)
{
	int i, fd;

	for (i = 0; i < 3; i++) {
		su->su_stdio.s_closed[i] = fcntl(i, F_GETFD) < 0;
		if (!su->su_stdio.s_closed[i])
			continue;
		fd = open("/dev/null", O_RDWR);
		if (fd >= 0 && fd != i) {
			(void)dup2(fd, i);
			close(fd);
		}
	}
}

/* Find out what standard input and output are, and take the terminal. */
static void
take_stdio(struct super *su)
{
	struct vk_stdio *s = &su->su_stdio;
	int i;

	for (i = 0; i < 3; i++)
		s->s_tty[i] = !s->s_closed[i] && isatty(i) == 1;
	/* In the background it is the shell's. */
	s->s_raw = s->s_tty[0] && tcgetpgrp(0) == getpgrp() &&
	    tcgetattr(0, &su->su_saved) == 0;
	if (!s->s_raw)
		return;
	terminal_raw(su);
	vk_raw_lines();
}

/* ---- telling the kernel process -------------------------------------------------- */

static void
order(struct super *su, int kind, int sig)
{
	struct vk_order ord = { .or_kind = kind, .or_sig = sig };
	struct winsize ws;
	int i;

	for (i = 0; i < 3; i++)
		if (su->su_stdio.s_tty[i] && ioctl(i, TIOCGWINSZ, &ws) == 0) {
			ord.or_rows = ws.ws_row;
			ord.or_cols = ws.ws_col;
			break;
		}
	(void)!send(su->su_sock, &ord, sizeof ord, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* ^Z typed at a terminal that is not raw, or sent: stop as other programs do. */
static void
stop(struct super *su)
{
	terminal_restore(su);
	(void)kill(su->su_kernel, SIGSTOP);
	(void)kill(getpid(), SIGSTOP);
	(void)kill(su->su_kernel, SIGCONT);
	if (su->su_stdio.s_raw)
		terminal_raw(su);
	order(su, VK_WINDOW, 0);
}

static void
take_signal(struct super *su, int sig)
{
	switch (sig) {
	case SIGCHLD:
	case SIGCONT:
	case SIGALRM:
		break;
	case SIGWINCH:
		order(su, VK_WINDOW, 0);
		break;
	case SIGTSTP:
		stop(su);
		break;
	case SIGTERM:
		order(su, su->su_asked ? VK_INSIST : VK_SIGNAL, sig);
		su->su_asked = true;
		break;
	default:
		order(su, VK_SIGNAL, sig);
		break;
	}
}

/* ---- beginning ----------------------------------------------------------------------- */

static void
become_kernel(struct super *su, int sock, pid_t parent)
{
	sigset_t none;
	size_t i;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(VK_FAILED);
	/* What the terminal sends to all of us is the supervisor's to tell. */
	for (i = 0; i < sizeof taken / sizeof taken[0]; i++)
		if (taken[i] != SIGCHLD)
			signal(taken[i], SIG_IGN);
	signal(SIGTTIN, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	close(su->su_sock);
	close(su->su_sigfd);
	vk_boot(su->su_o, &su->su_stdio, sock);
}

static void
start_kernel(struct super *su)
{
	pid_t self = getpid();
	sigset_t set;
	int sock[2];
	size_t i;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock) != 0)
		vk_fail("socketpair: %s", strerror(errno));
	sigemptyset(&set);
	for (i = 0; i < sizeof taken / sizeof taken[0]; i++)
		sigaddset(&set, taken[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGTTOU, SIG_IGN);
	su->su_sigfd = signalfd(-1, &set, SFD_CLOEXEC);
	if (su->su_sigfd < 0)
		vk_fail("signalfd: %s", strerror(errno));
	su->su_sock = sock[0];
	take_stdio(su);
	su->su_kernel = fork();
	if (su->su_kernel == 0)
		become_kernel(su, sock[1], self);
	close(sock[1]);
	if (su->su_kernel < 0) {
		terminal_restore(su);
		vk_fail("fork: %s", strerror(errno));
	}
}

static void
write_pidfile(const struct vk_options *o)
{
	FILE *f;

	if (o->o_pidfile == NULL)
		return;
	f = fopen(o->o_pidfile, "w");
	if (f == NULL || fprintf(f, "%ld\n", (long)getpid()) < 0 ||
	    fclose(f) != 0)
		vk_fail("%s: %s", o->o_pidfile, strerror(errno));
}

/* ---- the end ---------------------------------------------------------------------------- */

static void
watch(struct super *su)
{
	struct pollfd pfd[2] = { { .fd = su->su_sigfd, .events = POLLIN },
		{ .fd = su->su_sock, .events = POLLIN } };
	struct signalfd_siginfo si;
	ssize_t n;

	for (;;) {
		if (poll(pfd, 2, -1) < 0)
			continue;
		if ((pfd[0].revents & POLLIN) != 0 &&
		    read(su->su_sigfd, &si, sizeof si) == (ssize_t)sizeof si)
			take_signal(su, (int)si.ssi_signo);
		if (pfd[1].revents == 0)
			continue;
		n = recv(su->su_sock, &su->su_report, sizeof su->su_report, 0);
		if (n == (ssize_t)sizeof su->su_report)
			su->su_reported = true;
		/* It closed its end before it read all we said: once. */
		else if (n >= 0 || errno != ECONNRESET)
			return; /* it has closed its end */
	}
}

static int
exit_status(struct super *su)
{
	int status;

	while (waitpid(su->su_kernel, &status, 0) < 0)
		if (errno != EINTR)
			return VK_PANIC;
	if (su->su_reported && su->su_report.re_kind == VK_DIED)
		return VK_PANIC;
	if (su->su_reported)
		return su->su_report.re_status;
	if (WIFSIGNALED(status)) {
		vk_warn("the kernel process was killed by signal %d (%s)",
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
		return 128 + WTERMSIG(status);
	}
	return WEXITSTATUS(status);
}

int
vk_supervise(const struct vk_options *o, char **argv)
{
	struct super su = { .su_o = o };
	sigset_t none;
	int status;

	note_closed(&su);
	write_pidfile(o);
	start_kernel(&su);
	order(&su, VK_WINDOW, 0);
	watch(&su);
	status = exit_status(&su);
	terminal_restore(&su);
	if (su.su_reported && su.su_report.re_kind == VK_REBOOT) {
		sigemptyset(&none);
		close(su.su_sigfd);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execv("/proc/self/exe", argv);
		vk_warn("restart: %s", strerror(errno));
		status = VK_FAILED;
	}
	if (o->o_pidfile != NULL)
		(void)unlink(o->o_pidfile);
	return status;
}
