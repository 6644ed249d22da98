/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The line discipline beside the host's: random modes, random typing and random
 * output, on a pty of the host's and on one of Quern's, have to look the same at
 * both ends.
 *
 * The host moves characters in the background, but a read that finds none waits
 * until that is done: so both ends are read empty after each step.  And what it
 * shows of characters that come together with a ^C or ^S depends on how they are
 * grouped, so these come alone.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <quern/abi/ioctl.h>
#include <quern/abi/termios.h>
#include <quern/devfs.h>
#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/tmpfs.h>
#include <quern/tty.h>
#include <quern/vfs.h>

#include "ldisc.h"

#define STEPS 24
#define ROOM  65536

/* A pty somewhere, and what was seen at its ends. */
struct side {
	struct quern_proc *p; /* NULL: the host's */
	int master, slave;
	char *seen;
	size_t len;
};

struct random {
	uint64_t state;
};

static uint32_t
draw(struct random *r, uint32_t below)
{
	r->state = r->state * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	return (uint32_t)((r->state >> 33) % below);
}

/* ---- both sides ----------------------------------------------------------------- */

static int64_t
call(struct side *s, unsigned nr, uint64_t a, uint64_t b, uint64_t c)
{
	const uint64_t arg[6] = { a, b, c };
	long r;

	if (s->p != NULL)
		return quern_syscall(s->p, nr, arg);
	r = syscall((long)nr, a, b, c);
	return r < 0 ? -errno : r;
}

static void note(struct side *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
note(struct side *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	s->len += (size_t)vsnprintf(s->seen + s->len, ROOM - s->len, fmt, ap);
	va_end(ap);
	ck_assert_uint_lt(s->len, ROOM - 20000);
}

static void
note_bytes(struct side *s, const uint8_t *buf, int64_t n)
{
	int64_t i;

	for (i = 0; i < n; i++)
		note(s,
		    buf[i] >= 32 && buf[i] < 127 && buf[i] != '\\' ? "%c" :
								     "\\%03o",
		    buf[i]);
}

static bool
side_open(struct side *s, struct quern_proc *p)
{
	int32_t zero = 0, num;
	char path[40];

	s->p = p;
	s->len = 0;
	s->seen[0] = '\0';
	s->master = (int)call(s, SYS_open, (uintptr_t) "/dev/ptmx",
	    O_RDWR | O_NOCTTY | O_NONBLOCK, 0);
	if (s->master < 0 ||
	    call(s, SYS_ioctl, s->master, Q_TIOCSPTLCK, (uintptr_t)&zero) !=
		0 ||
	    call(s, SYS_ioctl, s->master, Q_TIOCGPTN, (uintptr_t)&num) != 0)
		return false;
	snprintf(path, sizeof(path), "/dev/pts/%d", num);
	s->slave = (int)call(s, SYS_open, (uintptr_t)path,
	    O_RDWR | O_NOCTTY | O_NONBLOCK, 0);
	return s->slave >= 0;
}

static void
side_close(struct side *s)
{
	(void)call(s, SYS_close, s->slave, 0, 0);
	(void)call(s, SYS_close, s->master, 0, 0);
}

/* Read an end empty, `size` bytes at a time. */
static void
drain(struct side *s, int fd, const char *what, size_t size)
{
	uint8_t buf[8192];
	int64_t n;
	int zeroes = 0;

	note(s, "%s:", what);
	for (;;) {
		n = call(s, SYS_read, fd, (uintptr_t)buf, size);
		if (n < 0)
			break;
		/* An empty line; but VMIN 0 gives that for ever. */
		if (n == 0 && ++zeroes > 20)
			break;
		/* The master's bytes come in pieces of any size. */
		note_bytes(s, buf, n);
		if (fd == s->slave)
			note(s, "|");
	}
	note(s, "(%lld)\n", (long long)n);
}

static void
look(struct side *s, size_t size)
{
	int32_t in = -1;

	drain(s, s->slave, "slave", size);
	drain(s, s->master, "master", 4096);
	(void)call(s, SYS_ioctl, s->slave, Q_FIONREAD, (uintptr_t)&in);
	note(s, "left %d\n", in);
}

/* ---- what is done to them ------------------------------------------------------------ */

static const uint32_t iflags[] = { Q_ISTRIP, Q_INLCR, Q_IGNCR, Q_ICRNL, Q_IUCLC,
	Q_IXON, Q_IXANY, Q_PARMRK, Q_IUTF8, Q_IMAXBEL, Q_IGNBRK, Q_IXOFF };
static const uint32_t oflags[] = { Q_OPOST, Q_OLCUC, Q_ONLCR, Q_OCRNL, Q_ONOCR,
	Q_ONLRET, Q_XTABS };
static const uint32_t lflags[] = { Q_ISIG, Q_ICANON, Q_ECHO, Q_ECHOE, Q_ECHOK,
	Q_ECHONL, Q_NOFLSH, Q_ECHOCTL, Q_ECHOPRT, Q_ECHOKE, Q_IEXTEN };

/* Each flag of a set by one chance in `n`, of those that are usual not. */
static uint32_t
some(struct random *r, const uint32_t *set, unsigned n, uint32_t usual,
    uint32_t odds)
{
	uint32_t flags = usual;
	unsigned i;

	for (i = 0; i < n; i++)
		if (draw(r, odds) == 0)
			flags ^= set[i];
	return flags;
}

#define SOME(r, set, usual, odds) \
	some((r), (set), sizeof(set) / sizeof((set)[0]), (usual), (odds))

static void
draw_modes(struct random *r, struct q_termios *tio)
{
	static const uint8_t usual[Q_NCCS] = { 3, 28, 127, 21, 4, 0, 1, 0, 17,
		19, 26, 0, 18, 15, 23, 22, 0 };
	uint32_t odds = 2 + draw(r, 6);

	memset(tio, 0, sizeof(*tio));
	tio->c_iflag = SOME(r, iflags, Q_ICRNL | Q_IXON, odds);
	tio->c_oflag = SOME(r, oflags, Q_OPOST | Q_ONLCR, odds);
	tio->c_cflag = Q_B38400 | Q_CS8 | Q_CREAD;
	tio->c_lflag = SOME(r, lflags,
	    Q_ISIG | Q_ICANON | Q_ECHO | Q_ECHOE | Q_ECHOK | Q_ECHOCTL |
		Q_ECHOKE | Q_IEXTEN,
	    odds);
	memcpy(tio->c_cc, usual, sizeof(usual));
	if (draw(r, 3) == 0)
		tio->c_cc[Q_VEOL] = 'x';
	if (draw(r, 3) == 0)
		tio->c_cc[Q_VEOL2] = draw(r, 2) ? 'y' : 0xff;
	if (draw(r, 6) == 0)
		tio->c_cc[Q_VKILL] = 0;
	if (draw(r, 6) == 0)
		tio->c_cc[Q_VERASE] = '#';
	if (draw(r, 6) == 0)
		tio->c_cc[Q_VEOF] = draw(r, 2) ? 0 : '\r';
	if (draw(r, 6) == 0)
		tio->c_cc[Q_VMIN] = (uint8_t)draw(r, 4);
}

/* Is it one of those that have to come alone? */
static bool
comes_alone(uint8_t c)
{
	return c == 3 || c == 28 || c == 26 || c == 17 || c == 19;
}

static uint8_t
draw_char(struct random *r)
{
	static const uint8_t odd[] = { '\n', '\n', '\r', '\t', '\b', 127, 127,
		21, 4, 23, 23, 22, 18, 0, 1, 27, 'x', 'y', '#', ' ', '_', 0xff,
		0xc3, 0xa9, 0xe2, 0x82, 0xac, 0x80, 0xdf, 0xf7, 0xe0, 0xc5, 15,
		3, 19, 17, 17, 26, 28, 0x9b, '\f', '\v' };

	if (draw(r, 2) == 0)
		return odd[draw(r, sizeof(odd))];
	return (
	    uint8_t)(draw(r, 4) == 0 ? 'A' + draw(r, 26) : 'a' + draw(r, 26));
}

static unsigned
draw_text(struct random *r, uint8_t *buf, unsigned most)
{
	unsigned n = 1 + draw(r, most), i;

	for (i = 0; i < n; i++) {
		buf[i] = draw_char(r);
		if (comes_alone(buf[i])) {
			if (i > 0)
				return i;
			return 1;
		}
	}
	return n;
}

/* A step: the same on both sides. */
static void
step(struct random *r, struct side *s)
{
	uint32_t what = draw(r, 20);
	struct q_termios tio;
	uint8_t buf[64];
	unsigned n;
	int64_t ret;
	size_t size = draw(r, 3) == 0 ? 1 + draw(r, 5) : 4096;

	if (what < 12) {
		n = draw_text(r, buf, 12);
		note(s, "type ");
		note_bytes(s, buf, n);
		ret = call(s, SYS_write, s->master, (uintptr_t)buf, n);
	} else if (what < 17) {
		n = draw_text(r, buf, 40);
		note(s, "write ");
		note_bytes(s, buf, n);
		ret = call(s, SYS_write, s->slave, (uintptr_t)buf, n);
	} else {
		/*
		 * Echoes that are held become what they are when started: do
		 * that first, twice, since the first may be quoted.
		 */
		(void)call(s, SYS_write, s->master, (uintptr_t) "\021", 1);
		look(s, size);
		(void)call(s, SYS_write, s->master, (uintptr_t) "\021", 1);
		look(s, size);
		draw_modes(r, &tio);
		note(s, "modes i%x o%x l%x", tio.c_iflag, tio.c_oflag,
		    tio.c_lflag);
		ret = call(s, SYS_ioctl, s->slave,
		    what == 17 ? Q_TCSETSF : Q_TCSETS, (uintptr_t)&tio);
	}
	note(s, " = %lld\n", (long long)ret);
	look(s, size);
}

static struct quern_proc *
make_kernel(struct quern **kp)
{
	static const struct quern_component *const components[] = { &qvfs,
		&qtmpfs, &qdevfs, &qttys, NULL };
	struct quern_config cfg = { .host = quern_posix(),
		.components = components };
	struct quern_proc *p;

	ck_assert_int_eq(quern_create(&cfg, kp), 0);
	ck_assert_int_eq(quern_proc_create(*kp, &p), 0);
	ck_assert_int_eq(quern_mkdir(p, "/dev", 0755), 0);
	ck_assert_int_eq(quern_mount(p, "dev", "/dev", "devfs", 0, NULL), 0);
	ck_assert_int_eq(quern_mount(p, "pts", "/dev/pts", "devpts", 0, NULL),
	    0);
	return p;
}

/* Where two texts differ, with what was before. */
static void
must_be_same(uint64_t seed, const struct side *host, const struct side *ours)
{
	size_t i = 0, from;

	if (strcmp(host->seen, ours->seen) == 0)
		return;
	while (host->seen[i] == ours->seen[i])
		i++;
	from = i > 700 ? i - 700 : 0;
	ck_abort_msg("seed %llu: after\n%.*s\n--- the host has\n%.300s\n"
		     "--- Quern has\n%.300s",
	    (unsigned long long)seed, (int)(i - from), host->seen + from,
	    host->seen + i, ours->seen + i);
}

/* The same steps on both; `bug`: ours does not rub out what is erased. */
static void
run_both(uint64_t seed, struct side *host, struct side *ours,
    struct quern_proc *p, bool bug)
{
	struct side *const both[2] = { host, ours };
	struct q_termios tio;
	struct random r;
	unsigned i, j;

	ck_assert(side_open(host, NULL));
	ck_assert(side_open(ours, p));
	if (bug) {
		(void)call(ours, SYS_ioctl, ours->slave, Q_TCGETS,
		    (uintptr_t)&tio);
		tio.c_lflag &= ~(uint32_t)Q_ECHOE;
		(void)call(ours, SYS_ioctl, ours->slave, Q_TCSETS,
		    (uintptr_t)&tio);
	}
	for (i = 0; i < 2; i++) {
		r.state = seed * UINT64_C(0x9e3779b97f4a7c15);
		for (j = 0; j < STEPS; j++)
			step(&r, both[i]);
		side_close(both[i]);
	}
}

/* A difference that there is must be seen within a few seeds. */
static bool
bug_is_found(struct side *host, struct side *ours, struct quern_proc *p)
{
	uint64_t seed;

	for (seed = 1; seed <= 40; seed++) {
		run_both(seed, host, ours, p, true);
		if (strcmp(host->seen, ours->seen) != 0)
			return true;
	}
	return false;
}

/*
 * With ECHOPRT, Linux 6.18 now and then loses its place in its buffer of echoes, and
 * all of it, zeroes, follows the next output.
 */
static bool
is_lost(const struct side *host)
{
	char zeroes[64 * 4 + 1];
	size_t i;

	for (i = 0; i < 64; i++)
		memcpy(zeroes + i * 4, "\\000", 5);
	return strstr(host->seen, zeroes) != NULL;
}

bool
ldisc_compare(uint64_t first, uint64_t n, bool (*more)(void))
{
	static char text[2][ROOM];
	struct side host = { .seen = text[0] }, ours = { .seen = text[1] };
	struct quern_proc *p;
	struct quern *k;
	uint64_t seed;

	if (!side_open(&host, NULL))
		return false;
	side_close(&host);
	p = make_kernel(&k);
	ck_assert(bug_is_found(&host, &ours, p));
	for (seed = first; seed - first < n && more(); seed++) {
		run_both(seed, &host, &ours, p, false);
		if (!is_lost(&host))
			must_be_same(seed, &host, &ours);
	}
	ck_assert_int_eq(quern_destroy(k), 0);
	return true;
}
