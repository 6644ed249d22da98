/* SPDX-License-Identifier: BSD-2-Clause */
/* /proc: links that lead to things themselves, and what programs parse. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "guest.h"

static char text[65536];

/* All of a file, by reads of `step` bytes, ended by a 0; its length or -1. */
static ssize_t
slurp(const char *path, size_t step)
{
	size_t len = 0;
	ssize_t n;
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		return -1;
	do {
		if (step > sizeof text - 1 - len)
			step = sizeof text - 1 - len;
		n = read(fd, text + len, step);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0);
	close(fd);
	text[len] = '\0';
	return n < 0 ? -1 : (ssize_t)len;
}

static const char *
link_of(const char *path)
{
	static char buf[4096];
	ssize_t n = readlink(path, buf, sizeof buf - 1);

	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

/* The line of the text last read that begins so, or "". */
static const char *
line_of(const char *begins)
{
	static char line[256];
	const char *s = text;

	while (s != NULL && strncmp(s, begins, strlen(begins)) != 0) {
		s = strchr(s, '\n');
		s = s != NULL ? s + 1 : NULL;
	}
	snprintf(line, sizeof line, "%.*s",
	    s != NULL ? (int)strcspn(s, "\n") : 0, s != NULL ? s : "");
	return line;
}

static void
test_self(void)
{
	char name[64], cwd[4096];
	struct stat a, b;

	snprintf(name, sizeof name, "%d", (int)getpid());
	TRUE(strcmp(link_of("/proc/self"), name) == 0);
	snprintf(name, sizeof name, "%d/task/%d", (int)getpid(), (int)gettid());
	TRUE(strcmp(link_of("/proc/thread-self"), name) == 0);
	TRUE(strcmp(link_of("/proc/mounts"), "self/mounts") == 0);
	TRUE(stat("/proc/self", &a) == 0 && S_ISDIR(a.st_mode));
	TRUE(stat("/proc/thread-self/stat", &a) == 0 && S_ISREG(a.st_mode));
	TRUE(stat("/proc/self/exe", &a) == 0);
	TRUE(stat("/proc/self/root", &a) == 0 && stat("/", &b) == 0 &&
	    a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	OK(chdir("/tmp"));
	TRUE(strcmp(link_of("/proc/self/cwd"), getcwd(cwd, sizeof cwd)) == 0);
	OK(chdir("/proc/self"));
	snprintf(name, sizeof name, "/proc/%d", (int)getpid());
	TRUE(strcmp(getcwd(cwd, sizeof cwd), name) == 0);
	OK(chdir("/"));
	OK(open("/proc/self/nothing", O_RDONLY));
	OK(open("/proc/999999999", O_RDONLY));
	OK(open("/proc/self/stat", O_WRONLY));
	OK(mkdir("/proc/self/x", 0700));
}

static void
test_child(void)
{
	char name[64];
	int p[2], fd, status;
	pid_t pid;
	char c;

	if (pipe(p) != 0)
		abort();
	pid = fork();
	if (pid == 0) {
		close(p[1]);
		_exit(read(p[0], &c, 1) != 0);
	}
	close(p[0]);
	snprintf(name, sizeof name, "/proc/%d/stat", (int)pid);
	fd = open(name, O_RDONLY);
	TRUE(fd >= 0 && read(fd, text, 100) == 100);
	close(p[1]);
	waitid(P_PID, (id_t)pid, NULL, WEXITED | WNOWAIT);
	snprintf(name, sizeof name, "/proc/%d/status", (int)pid);
	slurp(name, 4096);
	say("%s", line_of("State:"));
	snprintf(name, sizeof name, "/proc/%d/exe", (int)pid);
	RESULT(readlink(name, text, 100));
	snprintf(name, sizeof name, "/proc/%d/cmdline", (int)pid);
	RESULT(slurp(name, 100));
	snprintf(name, sizeof name, "/proc/%d/fd/0", (int)pid);
	OK(readlink(name, text, 100));
	waitpid(pid, &status, 0);
	RESULT(status);
	RESULT(pread(fd, text, 100, 0));
	close(fd);
	snprintf(name, sizeof name, "/proc/%d", (int)pid);
	OK(access(name, F_OK));
}

static void
test_files(void)
{
	char name[64], path[64];
	struct stat a, b;
	int p[2], s[2], fd, again;
	char c;

	fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	if (fd < 0)
		fd = memfd_create("x", 0);
	TRUE(write(fd, "hello", 5) == 5);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY);
	TRUE(read(again, text, 10) == 5 && memcmp(text, "hello", 5) == 0);
	TRUE(fstat(fd, &a) == 0 && stat(path, &b) == 0 &&
	    a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	TRUE(lstat(path, &a) == 0 && S_ISLNK(a.st_mode));
	RESULT(a.st_mode & 0700);
	TRUE(strstr(link_of(path), " (deleted)") != NULL);
	close(again);
	close(fd);
	if (pipe(p) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, s) != 0)
		abort();
	snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
	TRUE(strncmp(link_of(path), "pipe:[", 6) == 0);
	TRUE(stat(path, &a) == 0 && S_ISFIFO(a.st_mode));
	again = open(path, O_WRONLY);
	TRUE(again >= 0);
	TRUE(write(again, "z", 1) == 1 && read(p[0], &c, 1) == 1 && c == 'z');
	close(again);
	snprintf(path, sizeof path, "/proc/self/fd/%d", p[1]);
	again = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	TRUE(write(again, "y", 1) == 1 && read(p[0], &c, 1) == 1 && c == 'y');
	close(again);
	close(p[1]);
	RESULT(read(p[0], &c, 1));
	snprintf(path, sizeof path, "/proc/self/fd/%d", s[0]);
	TRUE(strncmp(link_of(path), "socket:[", 8) == 0);
	OK(open(path, O_RDWR));
	snprintf(name, sizeof name, "/proc/self/fd/%d", p[1]);
	OK(open(name, O_RDWR));
	close(p[0]);
	close(s[0]);
	close(s[1]);
}

/* Through /dev, what a descriptor is is opened anew, and nobody waits. */
static void
test_stdio(void)
{
	char path[64], num[64];
	struct stat a, b;
	int p[2], fd, status;
	struct pollfd pfd;
	char c = 0;

	if (pipe(p) != 0)
		abort();
	if (fork() == 0) {
		dup2(p[0], 0);
		close(p[0]);
		close(p[1]);
		fd = open("/dev/stdin", O_RDONLY);
		_exit(read(fd, &c, 1) == 1 ? c : 0);
	}
	TRUE(write(p[1], "q", 1) == 1);
	RESULT(wait(&status) > 0 && WEXITSTATUS(status) == 'q');
	/* A reader's end, for who reads and for who writes. */
	snprintf(path, sizeof path, "/dev/fd/%d", p[0]);
	close(p[1]);
	fd = open(path, O_RDONLY);
	RESULT(read(fd, &c, 1));
	close(fd);
	fd = open(path, O_WRONLY | O_NONBLOCK);
	RESULT(write(fd, "w", 1));
	RESULT(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
	pfd = (struct pollfd){ p[0], POLLIN, 0 };
	RESULT(poll(&pfd, 1, 0));
	close(fd);
	/* Its number is what stat says, and no other pipe's. */
	TRUE(fstat(p[0], &a) == 0 && stat(path, &b) == 0);
	TRUE(S_ISFIFO(b.st_mode) && a.st_mode == b.st_mode);
	snprintf(num, sizeof num, "pipe:[%lu]", (unsigned long)a.st_ino);
	TRUE(strcmp(link_of(path), num) == 0);
	close(p[0]);
	if (pipe(p) != 0)
		abort();
	TRUE(fstat(p[0], &b) == 0 && a.st_ino != b.st_ino);
	TRUE(fstat(p[1], &a) == 0 && a.st_ino == b.st_ino);
	close(p[0]);
	close(p[1]);
	/* What we write to, whatever it is. */
	fd = open("/dev/stdout", O_WRONLY | O_APPEND);
	status = write(fd, "to stdout\n", 10) == 10;
	lseek(1, 0, SEEK_END);
	TRUE(status);
	close(fd);
	fd = eventfd(0, 0);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	TRUE(strcmp(link_of(path), "anon_inode:[eventfd]") == 0);
	OK(open(path, O_RDWR));
	close(fd);
}

/* How a descriptor was opened is what its link may. */
static void
test_modes(void)
{
	char path[64];
	struct stat st;
	int fd, i;
	static const int how[] = { O_RDONLY, O_WRONLY, O_RDWR, O_PATH };

	for (i = 0; i < 4; i++) {
		fd = open("/dev/null", how[i]);
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		RESULT(lstat(path, &st));
		say("%d: %o", i, st.st_mode & 0777);
		close(fd);
	}
}

/* Of another user's process the secrets are not to be had. */
static void
test_access(void)
{
	static const char *const files[] = { "environ", "maps", "auxv", "io",
		"fd", "cwd/", "exe", "stat", "status", "cmdline", "limits",
		"mounts", "oom_score_adj", NULL };
	char path[64];
	int status, i, fd;
	pid_t pid = getpid();

	if (getenv("NO_ROOT") != NULL)
		return;
	if (fork() == 0) {
		if (setresgid(1000, 1000, 1000) != 0 ||
		    setresuid(1000, 1000, 1000) != 0)
			_exit(1);
		for (i = 0; files[i] != NULL; i++) {
			snprintf(path, sizeof path, "/proc/%d/%s", (int)pid,
			    files[i]);
			fd = open(path, O_RDONLY);
			say("%s: %s", files[i],
			    fd < 0 ? strerrorname_np(errno) : "ok");
		}
		snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)pid);
		OK(open(path, O_WRONLY));
		/* It has changed its ids: its own are not its own either. */
		OK(open("/proc/self/environ", O_RDONLY));
		OK(access("/proc/self/exe", F_OK));
		_exit(0);
	}
	RESULT(wait(&status) > 0 && status == 0);
}

static void
test_oom(void)
{
	int fd = open("/proc/self/oom_score_adj", O_RDWR);
	int status;

	TRUE(slurp("/proc/self/oom_score", 64) > 0);
	RESULT(write(fd, "300\n", 4));
	RESULT(write(fd, "1001", 4));
	RESULT(write(fd, "x", 1));
	if (fork() == 0) {
		slurp("/proc/self/oom_score_adj", 64);
		say("%s", text);
		_exit(0);
	}
	wait(&status);
	RESULT(write(fd, "0\n", 2));
	slurp("/proc/self/oom_score_adj", 64);
	say("%s", text);
	close(fd);
}

static void
test_magic(void)
{
	struct open_how how = { .flags = O_RDONLY,
		.resolve = RESOLVE_NO_MAGICLINKS };

	OK(syscall(SYS_openat2, AT_FDCWD, "/proc/self/root", &how, sizeof how));
	OK(syscall(SYS_openat2, AT_FDCWD, "/proc/self/stat", &how, sizeof how));
	OK(open("/proc/self/exe", O_RDONLY | O_NOFOLLOW));
	OK(open("/proc/self/cwd/", O_RDONLY | O_DIRECTORY));
	OK(open("/proc/self/exe/", O_RDONLY));
	OK(access("/proc/self/root/proc/self/root/tmp", F_OK));
}

static void
test_texts(void)
{
	static const char *const files[] = { "stat", "statm", "status", "maps",
		"cmdline", "environ", "limits", "mounts", "mountinfo", "comm",
		"cgroup", "oom_score", "task", "fdinfo/0", "auxv", "io",
		"smaps_rollup", "oom_score_adj", NULL };
	static char first[65536];
	char path[64];
	struct statfs sf;
	int fields = 0, i, fd;
	char *s;

	for (i = 0; files[i] != NULL; i++) {
		snprintf(path, sizeof path, "/proc/self/%s", files[i]);
		say("%s: %d", path, slurp(path, 4096) > 0);
	}
	slurp("/proc/self/maps", 65536);
	TRUE(strstr(text, "[stack]\n") != NULL);
	TRUE(strstr(text, "g_procfs\n") != NULL);
	slurp("/proc/self/status", 7);
	memcpy(first, text, sizeof first);
	TRUE(strncmp(text, "Name:\tg_procfs\n", 15) == 0);
	say("%s", line_of("Threads:"));
	say("%s", line_of("SigIgn:"));
	say("%s", line_of("Umask:"));
	slurp("/proc/self/stat", 4096);
	for (s = strrchr(text, ')'); s != NULL && *s != '\0'; s++)
		fields += *s == ' ';
	RESULT(fields);
	slurp("/proc/self/limits", 65536);
	say("%.80s", line_of("Limit"));
	TRUE(slurp("/proc/self/cmdline", 3) > 9 &&
	    strstr(text, "g_procfs") != NULL);
	fd = open("/proc/self/comm", O_RDWR);
	RESULT(write(fd, "a name longer than there is room\n", 33));
	RESULT(lseek(fd, 0, SEEK_SET));
	RESULT(read(fd, text, 100));
	close(fd);
	slurp("/proc/self/status", 4096);
	say("%s", line_of("Name:"));
	TRUE(statfs("/proc", &sf) == 0 && sf.f_type == 0x9fa0);
	slurp("/proc/meminfo", 65536);
	TRUE(strncmp(line_of("MemTotal:"), "MemTotal:  ", 11) == 0);
	slurp("/proc/filesystems", 65536);
	TRUE(strstr(text, "nodev\tproc\n") != NULL);
	slurp("/proc/sys/kernel/ostype", 3);
	say("%s", text);
	TRUE(slurp("/proc/sys/kernel/random/uuid", 64) == 37);
	TRUE(slurp("/proc/self/auxv", 64) % 16 == 0);
	slurp("/proc/self/io", 4096);
	say("%.7s", line_of("wchar:"));
	TRUE(slurp("/proc/uptime", 64) > 0);
	TRUE(slurp("/proc/loadavg", 64) > 0);
	TRUE(slurp("/proc/cpuinfo", 64) > 0);
}

int
main(void)
{
	static const long dfl[4];
	int sig;

	/* Whoever runs it may ignore some, also what libc keeps for itself. */
	for (sig = 1; sig <= 64; sig++)
		syscall(SYS_rt_sigaction, sig, dfl, NULL, 8);
	umask(022);
	test_self();
	test_child();
	test_files();
	test_stdio();
	test_modes();
	test_access();
	test_oom();
	test_magic();
	test_texts();
	return 0;
}
