/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel process: a guest system, from its kernel to its end.
 *
 * The main thread starts the system and then takes the supervisor's orders; the
 * kernel's runners do the rest.  Whoever learns of the end - the command's, a
 * reboot call's, a panic's - reports it and ends the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quern/abi/reboot.h>
#include <quern/chan.h>
#include <quern/devfs.h>
#include <quern/ext4.h>
#include <quern/linux.h>
#include <quern/posix.h>
#include <quern/socket.h>
#include <quern/procfs.h>
#include <quern/tmpfs.h>
#include <quern/tty.h>
#include <quern/unix.h>
#include <quern/vfs.h>
#include <quern/vm.h>

#include "vkernel.h"

/* How long processes are given to end when the system does. */
#define STOP_NS UINT64_C(2000000000)

static const struct quern_component *const parts[] = { &qvfs, &qtmpfs, &qdevfs,
	&qext4, &qvm, &qttys, &qsockets, &qunix, &qlinux, &qprocfs, NULL };

struct boot {
	const struct vk_options *b_o;
	const struct vk_stdio *b_s;
	int b_sock;
	struct quern *b_k;
	struct quern_proc *b_p;
	uint32_t b_over;  /* [a] somebody has reported the end */
	uint32_t b_asked; /* [a] 1: b_end is being said, 2: it has been */
	struct vk_report b_end;
	int b_endfd; /* an eventfd: to be seen to now */
	bool b_up;   /* everything is mounted */
	struct qlinux_start b_start;
	const char *b_path;
	int b_console; /* descriptor of b_p's, or -1 */
};

/* ---- the end --------------------------------------------------------------------- */

/* The first to say so says how it ends. */
static void __attribute__((noreturn))
finish(struct boot *b, int kind, int status)
{
	struct vk_report re = { .re_kind = kind, .re_status = status };

	if (__atomic_exchange_n(&b->b_over, 1, __ATOMIC_SEQ_CST) != 0)
		for (;;)
			pause();
	(void)!send(b->b_sock, &re, sizeof re, MSG_NOSIGNAL);
	_exit(0);
}

/* Have the main thread end the system; on a guest's thread, in the kernel. */
static void
ask_end(struct boot *b, int kind, int status)
{
	const uint64_t one = 1;

	if (__atomic_exchange_n(&b->b_asked, 1, __ATOMIC_SEQ_CST) != 0)
		return;
	b->b_end = (struct vk_report){ kind, status };
	__atomic_store_n(&b->b_asked, 2, __ATOMIC_RELEASE);
	(void)!write(b->b_endfd, &one, sizeof one);
}

static void
on_ended(void *arg, int status)
{
	struct boot *b = arg;

	if (WIFSIGNALED(status)) {
		if (b->b_o->o_command == NULL)
			vk_warn("init was killed by signal %d (%s)",
			    WTERMSIG(status), strsignal(WTERMSIG(status)));
		ask_end(b, VK_ENDED, 128 + WTERMSIG(status));
		return;
	}
	/* Process 1 may not end while the system runs. */
	if (b->b_o->o_command == NULL)
		vk_warn("init exited with status %d", WEXITSTATUS(status));
	ask_end(b, VK_ENDED, WEXITSTATUS(status));
}

static void
on_reboot(void *arg, uint32_t cmd)
{
	bool again = cmd == Q_LINUX_REBOOT_CMD_RESTART ||
	    cmd == Q_LINUX_REBOOT_CMD_RESTART2;

	ask_end(arg, again ? VK_REBOOT : VK_ENDED, 0);
}

static void
on_panic(void *arg, const char *message)
{
	(void)message; /* the log has it */
	finish(arg, VK_DIED, VK_PANIC);
}

static void
on_log(void *arg, int level, const char *line)
{
	const struct boot *b = arg;

	/* Of what fails before it is up we say it ourselves, shorter. */
	if (b->b_up || level != QUERN_LOG_ERR || b->b_o->o_verbose > 0)
		vk_line(line);
}

static void
on_running(void *arg)
{
	struct boot *b = arg;
	uint64_t us = (vk_now() - b->b_o->o_started) / 1000;

	if (b->b_o->o_verbose > 0)
		vk_warn("first guest instruction after %lu.%03lu ms",
		    (unsigned long)(us / 1000), (unsigned long)(us % 1000));
}

/* ---- the kernel and its disks -------------------------------------------------------- */

static void
make_kernel(struct boot *b)
{
	const struct vk_options *o = b->b_o;
	static struct quern_posix_config host;
	struct quern_config cfg = {
		.components = parts,
		.ram = o->o_ram,
		.ncpu = o->o_ncpu,
		.runners = o->o_ncpu,
		.name = "vkernel",
		.log = on_log,
		.panic = on_panic,
		.arg = b,
		.log_level = QUERN_LOG_WARN,
		.trace_calls = o->o_trace != NULL,
		.trace_only = o->o_trace,
	};
	int error;

	host.pc_ramfile = o->o_ramfile;
	/* What the host has to say we say ourselves, shorter. */
	host.pc_logfd = o->o_verbose > 0 ? 0 : -1;
	host.pc_vmspace = o->o_ptrace ? QUERN_POSIX_PTRACE : 0;
	host.pc_flags = o->o_trap ? QUERN_POSIX_NOCALL : 0;
	cfg.host = quern_posix_with(&host);
	/* A command's output is its own. */
	if (o->o_command != NULL)
		cfg.log_level = QUERN_LOG_ERR;
	if (o->o_verbose > 0 || o->o_trace != NULL)
		cfg.log_level = o->o_verbose > 1 ? QUERN_LOG_DEBUG :
						   QUERN_LOG_INFO;
	error = quern_create(&cfg, &b->b_k);
	if (error == -ENOMEM)
		vk_fail("not enough memory for %zu MiB", o->o_ram >> 20);
	if (error != 0 && o->o_ramfile != NULL)
		vk_fail("%s: %s", o->o_ramfile, strerror(-error));
	if (error != 0)
		vk_fail("no kernel: %s", strerror(-error));
	if (quern_proc_create(b->b_k, &b->b_p) != 0)
		vk_fail("out of memory");
}

static const char *
disk_problem(int error)
{
	switch (error) {
	case -EBUSY:
		return "in use by another program";
	case -EINVAL:
		return "not a disk image: its size is not whole sectors";
	default:
		return strerror(-error);
	}
}

/* Disk number `i` becomes vda, vdb, ... */
static void
open_disk(struct boot *b, unsigned i)
{
	const struct vk_disk *d = &b->b_o->o_disk[i];
	char host[4200], name[8];
	struct quern_disk_options opt = { .do_flags = d->d_flags,
		.do_name = name };
	struct qdisk *disk;
	int error;

	snprintf(name, sizeof name, "vd%c", 'a' + (int)i);
	if (strncmp(d->d_image, "nbd", 3) == 0 &&
	    strstr(d->d_image, "://") != NULL)
		snprintf(host, sizeof host, "%s", d->d_image);
	else
		snprintf(host, sizeof host, "file:%s", d->d_image);
	error = quern_disk_open(b->b_k, host, &opt, &disk);
	if (error != 0)
		vk_fail("%s: %s", d->d_image, disk_problem(error));
}

static void
mount_root(struct boot *b)
{
	const struct vk_disk *d = &b->b_o->o_disk[0];
	uint64_t flags = (d->d_flags & QUERN_DISK_RDONLY) != 0 ? 1 : 0;
	int error;

	error = quern_mount(b->b_p, "vda", "/", "ext4", flags, "");
	if (error == -EINVAL)
		vk_fail("%s: no ext4 file system on it", d->d_image);
	if (error != 0)
		vk_fail("%s: can't mount it: %s", d->d_image, strerror(-error));
}

/* What every system finds, if its root has a place for it. */
static void
mount_others(struct boot *b)
{
	static const struct {
		const char *dir, *type;
	} fs[] = { { "/dev", "devtmpfs" }, { "/dev/pts", "devpts" },
		{ "/dev/shm", "tmpfs" }, { "/proc", "proc" } };
	size_t i;
	int error;

	for (i = 0; i < sizeof fs / sizeof fs[0]; i++) {
		error = quern_mount(b->b_p, fs[i].type, fs[i].dir, fs[i].type,
		    0, "");
		if (error != 0 && error != -ENOENT && b->b_o->o_verbose > 0)
			vk_warn("%s: can't mount it: %s", fs[i].dir,
			    strerror(-error));
	}
}

/* Disks that have been given names are found by them, as udev would have it. */
static void
name_disks(struct boot *b)
{
	const struct vk_options *o = b->b_o;
	char name[4200], target[16];
	unsigned i;

	for (i = 0; i < o->o_ndisk; i++) {
		if (o->o_disk[i].d_serno == NULL)
			continue;
		(void)!quern_mkdir(b->b_p, "/dev/disk", 0755);
		(void)!quern_mkdir(b->b_p, "/dev/disk/by-id", 0755);
		snprintf(name, sizeof name, "/dev/disk/by-id/virtio-%s",
		    o->o_disk[i].d_serno);
		snprintf(target, sizeof target, "../../vd%c", 'a' + (int)i);
		if (quern_symlink(b->b_p, target, name) < 0 && o->o_verbose > 0)
			vk_warn("%s: can't make it", name);
	}
}

/* ---- the first process ------------------------------------------------------------------ */

static int64_t
console_body(void *arg)
{
	struct boot *b = arg;
	const bool *tty = b->b_s->s_tty;

	/* What is no terminal may end, and the system goes on. */
	if (b->b_o->o_command == NULL)
		return qtty_console(b->b_k, "stdio:", tty[0] ? 0 : QTTY_STAY);
	if (tty[0] && tty[1])
		return qtty_console(b->b_k, "stdio:", 0);
	if (tty[0])
		return qtty_console(b->b_k, "fd:0", 0);
	return qtty_console(b->b_k, tty[1] ? "fd:-,1" : "fd:-,2", QTTY_STAY);
}

/* Is there a terminal that it is to see? */
static bool
wants_console(const struct boot *b)
{
	const bool *tty = b->b_s->s_tty;

	return b->b_o->o_command == NULL || tty[0] || tty[1] || tty[2];
}

/*
 * Open the console.  Before the root disk is mounted there is a /dev that every
 * kernel has, if we make it; with the disk there may be none.
 */
static void
open_console(struct boot *b)
{
	const char *name = b->b_o->o_command != NULL ? "/dev/ttyS0" :
						       "/dev/console";
	int64_t fd;

	fd = quern_open(b->b_p, name, O_RDWR | O_NOCTTY, 0);
	if (fd < 0)
		return;
	if (b->b_console >= 0)
		(void)!quern_close(b->b_p, b->b_console);
	b->b_console = (int)fd;
}

static void
make_console(struct boot *b)
{
	int error;

	b->b_console = -1;
	if (!wants_console(b))
		return;
	error = (int)quern_run(b->b_p, console_body, b);
	if (error == 0)
		error = quern_mkdir(b->b_p, "/dev", 0755);
	if (error == 0)
		error = quern_mount(b->b_p, "devfs", "/dev", "devfs", 0, "");
	if (error != 0)
		vk_fail("console: %s", strerror(-error));
	open_console(b);
}

/* One of descriptors 0 to 2 for it: the terminal, or what ours is. */
static struct qfile *
make_stdio(struct boot *b, int fd)
{
	char name[16];
	struct qfile *f = NULL;
	int error;

	if (b->b_s->s_closed[fd])
		return NULL; /* for it, too */
	if (b->b_s->s_tty[fd] || b->b_o->o_command == NULL)
		return qfd_get(b->b_p, b->b_console);
	snprintf(name, sizeof name, fd == 0 ? "fd:%d,-" : "fd:-,%d", fd);
	error = qchanfile_create(b->b_k, name, fd == 0 ? O_RDONLY : O_WRONLY,
	    &f);
	if (error != 0)
		vk_fail("descriptor %d: %s", fd, strerror(-error));
	return f;
}

static int64_t
stdio_body(void *arg)
{
	struct boot *b = arg;
	int fd;

	for (fd = 0; fd < 3; fd++)
		b->b_start.ls_file[fd] = make_stdio(b, fd);
	return 0;
}

static int64_t
start_body(void *arg)
{
	struct boot *b = arg;

	return qlinux_start(b->b_k, &b->b_start);
}

/* Its environment: a few usual names, and the user's. */
static const char *const *
environment(const struct boot *b)
{
	const struct vk_options *o = b->b_o;
	static char term[128];
	const char **env, *t = getenv("TERM");
	unsigned n = 0, i, j;
	size_t len;

	env = calloc(o->o_nenv + 8, sizeof *env);
	if (env == NULL)
		vk_fail("out of memory");
	env[n++] = "HOME=/";
	env[n++] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
		   "/sbin:/bin";
	snprintf(term, sizeof term, "TERM=%s", t != NULL ? t : "linux");
	env[n++] = term;
	for (i = 0; i < o->o_nenv; i++) {
		len = strcspn(o->o_env[i], "=") + 1;
		for (j = 0; j < n && strncmp(env[j], o->o_env[i], len) != 0;
		     j++)
			;
		env[j] = o->o_env[i];
		if (j == n)
			n++;
	}
	return env;
}

static int
try_start(struct boot *b, const char *path, const char *const *argv)
{
	b->b_path = path;
	b->b_start.ls_path = path;
	b->b_start.ls_argv = argv;
	return (int)quern_run(b->b_p, start_body, b);
}

static void
start_init(struct boot *b)
{
	static const char *const places[] = { "/sbin/init", "/etc/init",
		"/bin/init", "/bin/sh" };
	const struct vk_options *o = b->b_o;
	const char *argv[3] = { NULL, o->o_single ? "single" : NULL, NULL };
	size_t i;
	int error = -ENOENT;

	if (o->o_init != NULL) {
		argv[0] = o->o_init;
		error = try_start(b, o->o_init, argv);
		if (error != 0)
			vk_fail("%s: %s: %s", o->o_disk[0].d_image, o->o_init,
			    strerror(-error));
		return;
	}
	for (i = 0; i < sizeof places / sizeof places[0]; i++) {
		argv[0] = places[i];
		error = try_start(b, places[i], argv);
		if (error == 0)
			return;
		if (error != -ENOENT)
			vk_fail("%s: %s: %s", o->o_disk[0].d_image, places[i],
			    strerror(-error));
	}
	vk_fail("%s: no init on it (--init PATH, or -- command)",
	    o->o_disk[0].d_image);
}

/* As a shell would: by the path, or by PATH if there is no slash in it. */
static void
start_command(struct boot *b)
{
	const char *const *argv = b->b_o->o_command;
	const char *const *env = b->b_start.ls_envp;
	const char *path = "", *end;
	char name[4200];
	int error = -ENOENT;

	if (strchr(argv[0], '/') != NULL) {
		error = try_start(b, argv[0], argv);
	} else {
		for (; *env != NULL; env++)
			if (strncmp(*env, "PATH=", 5) == 0)
				path = *env + 5;
		for (; *path != '\0' && error != 0; path = end) {
			end = path + strcspn(path, ":");
			snprintf(name, sizeof name, "%.*s/%s",
			    (int)(end - path), path, argv[0]);
			if (*end == ':')
				end++;
			error = try_start(b, name, argv);
			if (error != -ENOENT && error != -ENOTDIR)
				break;
		}
	}
	if (error == 0)
		return;
	vk_warn("%s: %s", argv[0], strerror(-error));
	finish(b, VK_ENDED,
	    error == -ENOENT || error == -ENOTDIR ? VK_NOENT : VK_NOEXEC);
}

/* ---- orders --------------------------------------------------------------------------------- */

struct signal_args {
	struct boot *sa_b;
	const struct vk_order *sa_or;
};

static int64_t
signal_body(void *arg)
{
	struct signal_args *a = arg;

	return qlinux_signal(a->sa_b->b_k, a->sa_or->or_sig);
}

static int64_t
window_body(void *arg)
{
	struct signal_args *a = arg;
	struct q_winsize ws = { .ws_row = a->sa_or->or_rows,
		.ws_col = a->sa_or->or_cols };

	return qtty_console_resize(a->sa_b->b_k, &ws);
}

static int64_t
poweroff_body(void *arg)
{
	static const char *const places[] = { "/sbin/poweroff",
		"/usr/sbin/poweroff", "/bin/poweroff" };
	struct signal_args *a = arg;
	struct boot *b = a->sa_b;
	const char *argv[2] = { NULL, NULL };
	size_t i;
	int error = -ENOENT;

	for (i = 0; i < sizeof places / sizeof places[0] && error != 0; i++) {
		argv[0] = places[i];
		error = qlinux_spawn(b->b_k, argv[0], argv, b->b_start.ls_envp);
	}
	return error;
}

static int64_t
put_file_body(void *arg)
{
	qfile_put(arg);
	return 0;
}

static int64_t
stop_body(void *arg)
{
	struct boot *b = arg;

	return qlinux_stop(b->b_k, STOP_NS);
}

static int64_t
sync_body(void *arg)
{
	struct boot *b = arg;

	return qvfs_sync(b->b_k);
}

/* All processes end, and every file system is left as if nobody had used it. */
static void __attribute__((noreturn)) end_system(struct boot *b)
{
	static const char *const dirs[] = { "/proc", "/dev/shm", "/dev/pts",
		"/dev", "/" };
	int64_t error;
	size_t i;

	(void)quern_run(b->b_p, stop_body, b);
	for (i = 0; i < 3; i++)
		if (b->b_start.ls_file[i] != NULL)
			(void)quern_run(b->b_p, put_file_body,
			    b->b_start.ls_file[i]);
	if (b->b_console >= 0)
		(void)!quern_close(b->b_p, b->b_console);
	for (i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
		error = quern_umount2(b->b_p, dirs[i], 0);
		if (error == 0 || i + 1 < sizeof dirs / sizeof dirs[0])
			continue;
		if (b->b_o->o_verbose > 0)
			vk_warn("the root disk is still in use: %s",
			    strerror((int)-error));
		(void)quern_run(b->b_p, sync_body, b);
	}
	finish(b, b->b_end.re_kind, b->b_end.re_status);
}

static void
obey(struct boot *b, const struct vk_order *ord)
{
	struct signal_args a = { b, ord };

	switch (ord->or_kind) {
	case VK_WINDOW:
		(void)quern_run(b->b_p, window_body, &a);
		break;
	case VK_SIGNAL:
		if (b->b_o->o_command != NULL)
			(void)quern_run(b->b_p, signal_body, &a);
		else if (ord->or_sig == SIGTERM &&
		    quern_run(b->b_p, poweroff_body, &a) != 0)
			vk_warn("no poweroff on the root disk; "
				"once more to end it all the same");
		break;
	case VK_INSIST:
		(void)quern_run(b->b_p, sync_body, b);
		finish(b, VK_ENDED, 128 + SIGTERM);
		break;
	default:
		break;
	}
}

/* Obey until it is to end. */
static void __attribute__((noreturn)) serve(struct boot *b)
{
	struct pollfd pfd[2] = { { .fd = b->b_sock, .events = POLLIN },
		{ .fd = b->b_endfd, .events = POLLIN } };
	struct vk_order ord;

	for (;;) {
		if (poll(pfd, 2, -1) < 0)
			continue;
		if (__atomic_load_n(&b->b_asked, __ATOMIC_ACQUIRE) == 2)
			end_system(b);
		if (pfd[0].revents == 0)
			continue;
		if (recv(b->b_sock, &ord, sizeof ord, 0) != (ssize_t)sizeof ord)
			_exit(VK_FAILED); /* the supervisor is gone */
		obey(b, &ord);
	}
}

void
vk_boot(const struct vk_options *o, const struct vk_stdio *s, int sock)
{
	static struct boot boot;
	struct boot *b = &boot;
	unsigned i;

	b->b_o = o;
	b->b_s = s;
	b->b_sock = sock;
	b->b_endfd = eventfd(0, EFD_CLOEXEC);
	if (b->b_endfd < 0)
		vk_fail("eventfd: %s", strerror(errno));
	vk_confine_files(o);
	if (o->o_escape)
		vk_escape(true);
	make_kernel(b);
	for (i = 0; i < o->o_ndisk; i++)
		open_disk(b, i);
	make_console(b);
	mount_root(b);
	mount_others(b);
	name_disks(b);
	if (b->b_console >= 0)
		open_console(b);
	b->b_up = true;
	(void)quern_run(b->b_p, stdio_body, b);
	/* All doors that it needs are open. */
	vk_confine_calls(o);
	if (o->o_escape)
		vk_escape(false);
	b->b_start.ls_envp = environment(b);
	b->b_start.ls_command = o->o_command != NULL;
	b->b_start.ls_ended = on_ended;
	b->b_start.ls_reboot = on_reboot;
	b->b_start.ls_running = on_running;
	b->b_start.ls_arg = b;
	if (o->o_command != NULL)
		start_command(b);
	else
		start_init(b);
	if (o->o_panic)
		quern_kill(b->b_k, "asked for by --panic");
	serve(b);
}
