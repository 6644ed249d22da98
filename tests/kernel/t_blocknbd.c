/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks of NBD servers: nbdkit's, qemu-nbd's, and one of our own that says
 * nothing.  Each server listens on a socket in a directory of the test's and is
 * ended by its pid.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <kernel/block.h>
#include <kernel/impl.h>

#include "kmain.h"

#define SIZE    (4u << 20)
#define ARG_MAX 16

static char dir[64], sock[80], uri[128], file[80], text[80];
static pid_t server;
static struct quern *kernel;
static struct quern_posix_config host_config;
static const struct quern_posix_config quiet_config = { .pc_logfd = -1 };

/* ---- servers ------------------------------------------------------------------- */

static bool
have(const char *program)
{
	char path[64];

	snprintf(path, sizeof(path), "/usr/bin/%s", program);
	return access(path, X_OK) == 0;
}

static void
pause_ms(long ms)
{
	struct timespec ts = { 0, ms * 1000000 };

	nanosleep(&ts, NULL);
}

static void
stop_server(void)
{
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	server = 0;
}

static int
connect_to(const struct sockaddr *sa, socklen_t len)
{
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error = connect(fd, sa, len);

	close(fd);
	return error;
}

static void
unix_name(struct sockaddr_un *sa)
{
	*sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(sa->sun_path, sock, strlen(sock) + 1);
}

/* Run a program, ended by NULL; wait until it listens. */
static void
start_server(const char *const *argv, const struct sockaddr *sa, socklen_t len)
{
	int status;

	fflush(NULL);
	server = fork();
	ck_assert_int_ge(server, 0);
	if (server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	while (connect_to(sa, len) != 0) {
		ck_assert_msg(waitpid(server, &status, WNOHANG) == 0,
		    "%s ended", argv[0]);
		pause_ms(1);
	}
}

/* nbdkit on the socket, with arguments up to NULL. */
static void
nbdkit(const char *first, ...)
{
	const char *argv[ARG_MAX] = { "nbdkit", "-f", "-U", sock, first };
	struct sockaddr_un sa;
	va_list ap;
	int n = 4;

	va_start(ap, first);
	while (argv[n++] != NULL)
		argv[n] = va_arg(ap, const char *);
	va_end(ap);
	unlink(sock);
	unix_name(&sa);
	start_server(argv, (struct sockaddr *)&sa, sizeof(sa));
}

/* ---- around each test --------------------------------------------------------------- */

static struct quern *
make_kernel(unsigned ncpu, unsigned runners)
{
	struct quern_config c = { .host = quern_posix_with(&host_config),
		.ncpu = ncpu,
		.runners = runners };
	struct quern *k;

	ck_assert_int_eq(quern_create(&c, &k), 0);
	return k;
}

static void
set_up(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/nbd-XXXXXX",
	    tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
	ck_assert(mkdtemp(dir) != NULL);
	snprintf(sock, sizeof(sock), "%s/sock", dir);
	snprintf(uri, sizeof(uri), "nbd+unix:///exp?socket=%s", sock);
	snprintf(file, sizeof(file), "%s/file", dir);
	snprintf(text, sizeof(text), "%s/text", dir);
	host_config = (struct quern_posix_config){
		.pc_logfd = open(text, O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC,
		    0600),
	};
	kernel = make_kernel(1, 0);
}

static void
tear_down(void)
{
	uint64_t leaks = 0;

	if (kernel != NULL)
		ck_assert_int_eq(quern_destroy_count(kernel, &leaks), 0);
	ck_assert_uint_eq(leaks, 0);
	stop_server();
	close(host_config.pc_logfd);
	unlink(sock);
	unlink(file);
	unlink(text);
	ck_assert_int_eq(rmdir(dir), 0);
}

/* Does the log, or another file, have that in it? */
static bool
says(const char *path, const char *what)
{
	static char buf[65536];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd >= 0 ? read(fd, buf, sizeof(buf) - 1) : 0;

	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return strstr(buf, what) != NULL;
}

static struct qdisk *
open_disk(const char *name, struct quern_disk_info *di)
{
	struct quern_disk_options opt = { .do_name = "nbd" };
	struct quern_disk_info ignored;
	struct qdisk *d = NULL;

	ck_assert_int_eq(quern_disk_open(kernel, name, &opt, &d), 0);
	ck_assert_int_eq(quern_disk_info(d, di != NULL ? di : &ignored), 0);
	return d;
}

/* ---- what a disk must do -------------------------------------------------------------- */

static uint8_t model[SIZE], buffer[SIZE];

static uint64_t
draw(uint64_t below)
{
	static uint64_t rng = 1;

	rng = rng * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (rng >> 33) % below;
}

/* Random requests against the model. */
static void
exercise(struct qdisk *d, uint32_t sector, unsigned ops)
{
	uint64_t off, len, i;

	for (; ops > 0; ops--) {
		off = draw(SIZE / sector) * sector;
		len = (1 + draw(200)) * sector;
		if (len > SIZE - off)
			len = SIZE - off;
		switch (draw(4)) {
		case 0:
			for (i = 0; i < len; i++)
				model[off + i] = (uint8_t)draw(256);
			ck_assert_int_eq(quern_disk_write(d, off, model + off,
					     len),
			    0);
			break;
		case 1:
			memset(model + off, 0, len);
			ck_assert_int_eq(quern_disk_zero(d, off, len), 0);
			break;
		case 2:
			ck_assert_int_eq(quern_disk_flush(d), 0);
			break;
		default:
			ck_assert_int_eq(quern_disk_read(d, off, buffer, len),
			    0);
			ck_assert(memcmp(buffer, model + off, len) == 0);
			break;
		}
	}
	ck_assert_int_eq(quern_disk_read(d, 0, buffer, SIZE), 0);
	ck_assert(memcmp(buffer, model, SIZE) == 0);
}

#define MANY 64u

struct many {
	struct qwaitq wq;
	unsigned left, failed;
	struct qdisk *d;
	uint32_t sector;
};

static void
one_done(struct qbio *b)
{
	struct many *m = b->b_arg;

	qspin_lock(&m->wq.w_lock);
	m->failed += b->b_error != 0;
	if (--m->left == 0)
		(void)qwaitq_wake_locked(&m->wq);
	qspin_unlock(&m->wq.w_lock);
}

/*
 * Many at once: some are merged, in pieces that end within sectors; writes with
 * FUA; then all are read back.
 */
static int64_t
together(void *arg)
{
	static struct quern_iov iov[MANY][2];
	static struct qbio b[MANY];
	struct qbio *bp[MANY];
	struct many *m = arg;
	unsigned i, pass;

	for (pass = 0; pass < 2; pass++) {
		qwaitq_init(&m->wq);
		m->left = MANY;
		for (i = 0; i < MANY; i++) {
			uint64_t off = (i + i / 8) * m->sector;
			uint8_t *p = pass == 0 ? model : buffer;

			iov[i][0] = (struct quern_iov){ p + off, 100 };
			iov[i][1] = (struct quern_iov){ p + off + 100,
				m->sector - 100 };
			memset(p + off, pass == 0 ? (int)i + 1 : 0, m->sector);
			b[i] = (struct qbio){
				.b_cmd = pass == 0 ? QUERN_BLK_WRITE :
						     QUERN_BLK_READ,
				.b_flags = pass == 0 ? QUERN_BLK_FUA : 0,
				.b_iov = iov[i],
				.b_niov = 2,
				.b_off = off,
				.b_len = m->sector,
				.b_done = one_done,
				.b_arg = m,
			};
			bp[i] = &b[i];
		}
		qbio_submit_many(m->d, bp, MANY);
		qspin_lock(&m->wq.w_lock);
		while (m->left != 0) {
			(void)qwaitq_sleep(&m->wq, &m->wq.w_lock, 0,
			    QUERN_NEVER);
			qspin_lock(&m->wq.w_lock);
		}
		qspin_unlock(&m->wq.w_lock);
	}
	for (i = 0; i < MANY; i++)
		if (memcmp(buffer + (i + i / 8) * m->sector,
			model + (i + i / 8) * m->sector, m->sector) != 0)
			return -Q_EIO;
	return m->failed == 0 ? 0 : -Q_EIO;
}

static void
use(const char *name, uint32_t sector)
{
	struct quern_disk_info di;
	struct qdisk *d = open_disk(name, &di);
	struct many m = { .d = d, .sector = sector };
	uint32_t hint = 0;

	ck_assert_uint_eq(di.di_size, SIZE);
	ck_assert_uint_eq(di.di_sector, sector);
	memset(model, 0, sizeof(model));
	exercise(d, sector, 150);
	ck_assert_int_eq(host_call(kernel, NULL, &hint, together, &m), 0);
	ck_assert_int_eq(quern_disk_read(d, 0, buffer, SIZE), 0);
	ck_assert(memcmp(buffer, model, SIZE) == 0);
	if (di.di_discard != 0)
		ck_assert_int_eq(quern_disk_discard(d, 0, 8 * sector), 0);
	ck_assert_int_eq(quern_disk_close(d), 0);
}

/* ---- nbdkit ------------------------------------------------------------------------------ */

START_TEST(memory)
{
	nbdkit("memory", "4M", NULL);
	use(uri, 512);
}
END_TEST

static void
again_with(unsigned flags, unsigned ncpu, unsigned runners)
{
	ck_assert_int_eq(quern_destroy(kernel), 0);
	host_config.pc_flags = flags;
	kernel = make_kernel(ncpu, runners);
}

START_TEST(memory_noring)
{
	again_with(QUERN_POSIX_NORING, 1, 0);
	nbdkit("memory", "4M", NULL);
	use(uri, 512);
}
END_TEST

START_TEST(memory_runners)
{
	again_with(0, 2, 2);
	nbdkit("memory", "4M", NULL);
	use(uri, 512);
}
END_TEST

/* A server that takes 4 KiB to 64 KiB, and one that can hardly do a thing. */
START_TEST(constraints)
{
	nbdkit("--filter=blocksize-policy", "memory", "4M",
	    "blocksize-minimum=4096", "blocksize-preferred=4096",
	    "blocksize-maximum=64K", "blocksize-error-policy=error", NULL);
	use(uri, 4096);
	stop_server();
	nbdkit("--filter=blocksize-policy", "memory", "4M",
	    "blocksize-minimum=8192", "blocksize-preferred=8192",
	    "blocksize-maximum=64K", NULL);
	{
		struct qdisk *d;

		ck_assert_int_eq(quern_disk_open(kernel, uri, NULL, &d),
		    -Q_EINVAL);
	}
}
END_TEST

START_TEST(modest)
{
	nbdkit("--filter=nozero", "--filter=fua", "memory", "4M",
	    "zeromode=none", NULL);
	use(uri, 512);
	stop_server();
	nbdkit("--filter=nozero", "--filter=fua", "memory", "4M",
	    "zeromode=none", "fuamode=emulate", NULL);
	use(uri, 512);
}
END_TEST

START_TEST(read_only)
{
	struct quern_disk_info di;
	struct qdisk *d;
	int fd = open(file, O_CREAT | O_RDWR, 0600);

	memset(model, 7, SIZE);
	ck_assert_int_eq(write(fd, model, SIZE), SIZE);
	close(fd);
	nbdkit("-r", "file", file, NULL);
	d = open_disk(uri, &di);
	ck_assert_uint_eq(di.di_flags, QUERN_DISK_RDONLY);
	ck_assert_int_eq(quern_disk_write(d, 0, model, 512), -Q_EROFS);
	ck_assert_int_eq(quern_disk_read(d, 0, buffer, SIZE), 0);
	ck_assert(memcmp(buffer, model, SIZE) == 0);
	ck_assert_int_eq(quern_disk_close(d), 0);
}
END_TEST

START_TEST(errors)
{
	struct qdisk *d;

	nbdkit("--filter=error", "memory", "4M", "error-pread=EIO",
	    "error-pread-rate=100%", "error-pwrite=ENOSPC",
	    "error-pwrite-rate=100%", NULL);
	d = open_disk(uri, NULL);
	ck_assert_int_eq(quern_disk_read(d, 4096, buffer, 512), -Q_EIO);
	ck_assert_int_eq(quern_disk_write(d, 0, buffer, 512), -Q_ENOSPC);
	ck_assert(says(text, "disk nbd: read at sector 8, 1 sectors"));
	/* One error is no end. */
	ck_assert_int_eq(quern_disk_flush(d), 0);
	ck_assert_int_eq(quern_disk_close(d), 0);
}
END_TEST

/* A port on which nobody listens. */
static struct sockaddr_in
free_port(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, len), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	close(fd);
	return sa;
}

START_TEST(tcp)
{
	struct sockaddr_in sa = free_port();
	char port[16], name[64];
	const char *argv[] = { "nbdkit", "-f", "-i", "127.0.0.1", "-p", port,
		"memory", "4M", NULL };
	struct qdisk *d;

	snprintf(port, sizeof(port), "%u", ntohs(sa.sin_port));
	snprintf(name, sizeof(name), "nbd://127.0.0.1:%s/", port);
	ck_assert_int_eq(quern_disk_open(kernel, name, NULL, &d),
	    -Q_ECONNREFUSED);
	start_server(argv, (struct sockaddr *)&sa, sizeof(sa));
	use(name, 512);
}
END_TEST

/* ---- qemu-nbd ------------------------------------------------------------------------------ */

static void
run(const char *const *argv)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (freopen("/dev/null", "w", stdout) == NULL)
			_exit(126);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

START_TEST(qcow2)
{
	const char *create[] = { "qemu-img", "create", "-q", "-f", "qcow2",
		file, "4M", NULL };
	const char *check[] = { "qemu-img", "check", "-q", "-f", "qcow2", file,
		NULL };
	const char *serve[] = { "qemu-nbd", "-t", "-f", "qcow2", "--discard",
		"unmap", "-x", "exp", "-k", sock, file, NULL };
	struct sockaddr_un sa;
	struct qdisk *d;

	unix_name(&sa);
	run(create);
	start_server(serve, (struct sockaddr *)&sa, sizeof(sa));
	memset(model, 0, sizeof(model));
	d = open_disk(uri, NULL);
	exercise(d, 512, 150);
	ck_assert_int_eq(quern_disk_flush(d), 0);
	ck_assert_int_eq(quern_disk_close(d), 0);
	kill(server, SIGTERM);
	waitpid(server, NULL, 0);
	run(check);
	unlink(sock);
	start_server(serve, (struct sockaddr *)&sa, sizeof(sa));
	d = open_disk(uri, NULL);
	exercise(d, 512, 20);
	ck_assert_int_eq(quern_disk_close(d), 0);
}
END_TEST

/* ---- servers that fail ------------------------------------------------------------------------ */

START_TEST(names)
{
	char name[300];
	struct qdisk *d;

	ck_assert_int_eq(quern_disk_open(kernel, uri, NULL, &d), -Q_ENOENT);
	ck_assert(says(text, uri));
	snprintf(name, sizeof(name), "%s,timeout=0", uri);
	ck_assert_int_eq(quern_disk_open(kernel, name, NULL, &d), -Q_EINVAL);
	snprintf(name, sizeof(name), "%s,timeout=1x", uri);
	ck_assert_int_eq(quern_disk_open(kernel, name, NULL, &d), -Q_EINVAL);
	ck_assert_int_lt(quern_disk_open(kernel, "nbd:///x", NULL, &d), 0);
	ck_assert_int_eq(quern_disk_open(kernel, "nbds://localhost/", NULL, &d),
	    -Q_EPROTONOSUPPORT);
}
END_TEST

/* It takes connections and says nothing. */
START_TEST(mute)
{
	struct sockaddr_un sa;
	char name[300];
	struct qdisk *d;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unix_name(&sa);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	snprintf(name, sizeof(name), "%s,timeout=1", uri);
	ck_assert_int_eq(quern_disk_open(kernel, name, NULL, &d), -Q_ETIMEDOUT);
	close(fd);
}
END_TEST

/* It stops answering: given up after a while, and for good. */
START_TEST(stalled)
{
	char name[300];
	struct qdisk *d;

	nbdkit("--filter=delay", "memory", "4M", "delay-read=600", NULL);
	snprintf(name, sizeof(name), "%s,timeout=1", uri);
	d = open_disk(name, NULL);
	ck_assert_int_eq(quern_disk_write(d, 0, model, 512), 0);
	ck_assert_int_eq(quern_disk_read(d, 0, buffer, 512), -Q_EIO);
	ck_assert(says(text, "no answer for 1 seconds"));
	ck_assert(says(text, uri));
	ck_assert_int_eq(quern_disk_write(d, 0, model, 512), -Q_EIO);
	ck_assert_int_eq(quern_disk_flush(d), -Q_EIO);
	ck_assert_int_eq(quern_disk_close(d), 0);
}
END_TEST

static void *
read_once(void *arg)
{
	return (void *)(intptr_t)quern_disk_read(arg, 0, buffer, 512);
}

/* A reader whose request the server has got. */
static pthread_t
begin_read(struct qdisk *d)
{
	pthread_t t;

	ck_assert_int_eq(pthread_create(&t, NULL, read_once, d), 0);
	while (!says(file, "Read id=1"))
		pause_ms(1);
	return t;
}

static void
slow_server(void)
{
	char logfile[160];

	snprintf(logfile, sizeof(logfile), "logfile=%s", file);
	nbdkit("--filter=log", "--filter=delay", "memory", "4M",
	    "delay-read=600", logfile, NULL);
}

START_TEST(killed)
{
	struct qdisk *d;
	pthread_t t;
	void *r;

	again_with(0, 2, 0);
	slow_server();
	d = open_disk(uri, NULL);
	t = begin_read(d);
	stop_server();
	pthread_join(t, &r);
	ck_assert_int_eq((intptr_t)r, -Q_EIO);
	ck_assert(says(text, uri));
	ck_assert(says(text, "gone away"));
	ck_assert_int_eq(quern_disk_close(d), 0);
}
END_TEST

/* The kernel dies with a request in flight: its end waits for nobody. */
START_TEST(abandoned)
{
	struct qdisk *d;
	pthread_t t;
	void *r;

	again_with(0, 2, 0);
	slow_server();
	d = open_disk(uri, NULL);
	t = begin_read(d);
	quern_kill(kernel, "for a test");
	pthread_join(t, &r);
	ck_assert_int_eq((intptr_t)r, -Q_ENOTRECOVERABLE);
	ck_assert_int_eq(quern_disk_close(d), -Q_ENOTRECOVERABLE);
	ck_assert_int_eq(quern_destroy(kernel), 0);
	kernel = NULL;
}
END_TEST

/* Without libnbd the scheme is not known; with it, what follows is no name. */
static bool
have_libnbd(void)
{
	struct quern_config c = { .host = quern_posix_with(&quiet_config) };
	struct quern *k;
	struct qdisk *d;
	int error;

	if (quern_create(&c, &k) != 0)
		return true; /* the tests will say why */
	error = quern_disk_open(k, "nbd:", NULL, &d);
	return quern_destroy(k) != 0 || error != -Q_EPROTONOSUPPORT;
}

int
main(void)
{
	Suite *s = suite_create("blocknbd");
	TCase *tc = tcase_create("nbd");

	if (!have_libnbd() || !have("nbdkit")) {
		printf("SKIP: %s is absent\n",
		    have("nbdkit") ? "libnbd" : "nbdkit");
		return 0;
	}
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, memory);
	tcase_add_test(tc, memory_noring);
	tcase_add_test(tc, memory_runners);
	tcase_add_test(tc, constraints);
	tcase_add_test(tc, modest);
	tcase_add_test(tc, read_only);
	tcase_add_test(tc, errors);
	tcase_add_test(tc, tcp);
	if (have("qemu-nbd") && have("qemu-img"))
		tcase_add_test(tc, qcow2);
	else
		printf("SKIP: qemu-nbd is absent\n");
	tcase_add_test(tc, names);
	tcase_add_test(tc, mute);
	tcase_add_test(tc, stalled);
	tcase_add_test(tc, killed);
	tcase_add_test(tc, abandoned);
	suite_add_tcase(s, tc);
	return kmain(s);
}
