/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside the terminals.  Never leaves the directory.
 *
 * Lock letters:
 *	[I] immutable after creation	[a] atomic
 *	[t] t_lock			[p] k_proc_lock (qproc_lock_all)
 *	[x] tt_lock
 *
 * Lock order: tt_lock, t_lock, k_proc_lock.  Signals are sent when t_lock has been
 * given back (tty_unlock).
 */
#ifndef QUERN_TTY_IMPL_H
#define QUERN_TTY_IMPL_H

#include <quern/abi/errno.h>
#include <quern/abi/fcntl.h>
#include <quern/abi/ioctl.h>
#include <quern/abi/signal.h>
#include <quern/abi/termios.h>
#include <quern/cdev.h>
#include <quern/chan.h>
#include <quern/file.h>
#include <quern/proc.h>
#include <quern/slab.h>
#include <quern/vfs.h>
#include <quern/work.h>

#include "tty.h"

/* What the line discipline holds of input, as Linux's. */
#define TTY_IN 4096u
/* The ring of output; how much of it writes fill, and how much echoes. */
#define TTY_OUT       16384u
#define TTY_OUT_WRITE 8192u
#define TTY_OUT_ECHO  12288u

/* A character of c_cc that is none. */
#define TTY_DISABLED 0

#define TTY_POLL_IN     (Q_POLLIN | Q_POLLRDNORM)
#define TTY_POLL_OUT    (Q_POLLOUT | Q_POLLWRNORM)
#define TTY_POLL_HUNGUP (TTY_POLL_IN | TTY_POLL_OUT | Q_POLLERR | Q_POLLHUP)

/* Minor numbers of major 5. */
#define TTY_AUX_MAJOR 5u
#define PTS_MAJOR     136u
#define PTY_MAX       4096u

struct qtty;
struct pty;
struct console;

/* The other end.  All under t_lock; a NULL is nothing. */
struct tty_ops {
	/* There is output that may be taken, or there was none to wait for. */
	void (*to_output)(struct qtty *t);
	/* There is room for input again. */
	void (*to_room)(struct qtty *t);
	/* For packet mode: `clear` and `set` Q_TIOCPKT_*. */
	void (*to_packet)(struct qtty *t, uint8_t clear, uint8_t set);
	/* Output has been thrown away. */
	void (*to_flushed)(struct qtty *t);
	/* The last file goes. */
	void (*to_closed)(struct qtty *t);
	/* The last reference is gone.  Not under t_lock. */
	void (*to_free)(struct qtty *t);
};

/* A terminal. */
struct qtty {
	struct quern *t_k;           /* [I] */
	const struct tty_ops *t_ops; /* [I] */
	uint64_t t_dev;              /* [I] as in st_rdev */
	bool t_pty;                  /* [I] */
	void *t_priv;                /* [I] the other end's */
	uint32_t t_refs;             /* [a] */
	struct qmutex t_lock;
	struct qcv t_rcv, t_wcv; /* readers; writers, and who drains */
	struct qpollq t_pollq;

	struct q_termios2 t_tio;    /* [t] */
	struct q_winsize t_winsize; /* [t] */
	uint8_t t_special[256 / 8]; /* [t] input that is not just data */
	uint32_t t_nopen;           /* [t] files */
	uint32_t t_hangups;         /* [t] files of before are hung up */
	bool t_ended;               /* [t] hung up for good */
	bool t_excl;                /* [t] */
	bool t_writing;             /* [t] one write at a time */
	uint32_t t_sigs;            /* [t] to be sent when unlocking: bits */

	/*
	 * Input: t_in[t_tail .. t_head) modulo TTY_IN.  In canonical mode lines
	 * are complete up to t_canon; the last character of each has its bit in
	 * t_eol, and is TTY_DISABLED if it was VEOF and is not to be read.
	 */
	uint8_t *t_in;                    /* [t] */
	uint32_t t_head, t_tail, t_canon; /* [t] */
	uint8_t t_eol[TTY_IN / 8];        /* [t] */
	bool t_push;    /* [t] the end at t_canon - 1 is none of a line */
	bool t_lnext;   /* [t] the next character is quoted */
	bool t_erasing; /* [t] between \ and / of ECHOPRT */

	/*
	 * Output: t_out[t_outtail .. t_outhead) modulo TTY_OUT, of which the
	 * other end gets what is before t_outstop while it is stopped.
	 */
	uint8_t *t_out;                           /* [t] */
	uint32_t t_outhead, t_outtail, t_outstop; /* [t] */
	bool t_stopped;                           /* [t] by VSTOP or TCOOFF */
	bool t_held;                              /* [t] by TCOOFF */
	uint32_t t_column;                        /* [t] of the cursor */
	uint32_t t_canoncol; /* [t] where the line that is typed began */
	uint32_t t_stopcolumn, t_stopcanoncol; /* [t] these, at t_outstop */

	uint32_t t_sid;  /* [p][a] the session that it controls, or 0 */
	uint32_t t_pgrp; /* [p][a] its foreground group, or 0 */
};

/* A process's part: its controlling terminal. */
struct ctty {
	struct qtty *c_tty; /* [p][a] with a reference, or NULL */
	uint32_t c_oldpgrp; /* [p] foreground when that was hung up */
};

/* An open file of a terminal. */
struct tty_file {
	struct qtty *tf_tty;
	uint32_t tf_hangups; /* [I] t_hangups when it was opened */
};

/* All of it in one kernel. */
struct ttys {
	struct quern *tt_k;
	unsigned tt_slot; /* [I] of processes' parts */
	struct qmutex tt_lock;
	struct pty **tt_pty;        /* [x] by number */
	uint32_t tt_npty;           /* [x] room in it */
	uint32_t tt_serial;         /* [x] ptys so far */
	struct console *tt_console; /* [x] */
	struct qcdev tt_devtty, tt_ptmx, tt_pts;
};

static inline struct ttys *
ttys_of(struct quern *k)
{
	return qcomponent_state(k, &qttys);
}

/* ---- tty.c ---------------------------------------------------------------- */

/* A terminal with one reference and usual modes.  -ENOMEM. */
int tty_create(struct quern *k, const struct tty_ops *ops, uint64_t dev,
    struct qtty **tp);
void tty_get(struct qtty *t);
void tty_put(struct qtty *t);
/* Give t_lock back, and send what signals came up under it. */
void tty_unlock(struct qtty *t);
/* Count a file in; t_lock is not held.  -EBUSY (TIOCEXCL). */
int tty_open(struct qtty *t, struct quern_proc *p, uint32_t flags, bool noctty,
    void **openp);
extern const struct qcdev_ops console_ops;

static inline bool
is_hungup(const struct tty_file *tf)
{
	return tf->tf_tty->t_ended || tf->tf_hangups != tf->tf_tty->t_hangups;
}

/* ---- modes.c ---------------------------------------------------------------- */

void tty_modes_init(struct qtty *t);
/* Take on new modes.  [t] */
void tty_modes_set(struct qtty *t, const struct q_termios2 *tio);
/* The ioctls about modes: -ENOTTY is none of these. */
int64_t tty_modes_ioctl(struct qtty *t, struct qsys *s, uint32_t cmd,
    uint64_t arg);

static inline bool
has_iflag(const struct qtty *t, uint32_t flag)
{
	return (t->t_tio.c_iflag & flag) != 0;
}

static inline bool
has_oflag(const struct qtty *t, uint32_t flag)
{
	return (t->t_tio.c_oflag & flag) != 0;
}

static inline bool
has_lflag(const struct qtty *t, uint32_t flag)
{
	return (t->t_tio.c_lflag & flag) != 0;
}

/* Lines are edited here, rather than taken as they come. */
static inline bool
is_canon(const struct qtty *t)
{
	return (t->t_tio.c_lflag & (Q_ICANON | Q_EXTPROC)) == Q_ICANON;
}

/* ---- input.c ---------------------------------------------------------------- */

/* Take characters of the other end's: how many there was room for.  [t] */
size_t tty_receive(struct qtty *t, const uint8_t *p, size_t n);
/* Is there room for any?  [t] */
bool tty_has_room(const struct qtty *t);
/* Forget what was typed and not read.  [t] */
void tty_flush_input(struct qtty *t);
/* VSTOP and VSTART.  [t] */
void tty_stop(struct qtty *t);
void tty_start(struct qtty *t);
/* Of Latin-1, as Linux has it. */
bool is_control(uint8_t c);
uint8_t to_upper(uint8_t c);
bool is_continuation(const struct qtty *t, uint8_t c);

/* ---- output.c --------------------------------------------------------------- */

int64_t tty_write(struct tty_file *tf, struct qfile *f, struct quio *u);
/* Output one character as OPOST has it; false: no room up to `limit`.  [t] */
bool tty_put_char(struct qtty *t, uint8_t c, uint32_t limit);
/* The same as it is. */
bool tty_put_raw(struct qtty *t, uint8_t c, uint32_t limit);
/* How much the other end may take now.  [t] */
uint32_t tty_out_ready(const struct qtty *t);
/* The next of it in one piece; and it has taken `n`.  [t] */
uint32_t tty_out_piece(const struct qtty *t, const uint8_t **pp);
void tty_out_taken(struct qtty *t, uint32_t n);
/* Throw away what it may not take yet.  [t] */
void tty_flush_output(struct qtty *t);
/* Sleep until all output has been taken.  -EINTR. */
int tty_drain(struct qtty *t);
/* Is there room for a write?  [t] */
bool tty_can_write(const struct qtty *t);

/* ---- read.c ----------------------------------------------------------------- */

int64_t tty_read(struct tty_file *tf, struct qfile *f, struct quio *u);
/* What FIONREAD and poll say.  [t] */
uint32_t tty_in_count(const struct qtty *t);
bool tty_in_ready(const struct qtty *t, bool poll);

/* ---- job.c ------------------------------------------------------------------ */

int job_init(struct ttys *tt);
/*
 * May the current process use it so, for which background processes get `sig`?
 * -EIO, -EINTR (the signal was sent).
 */
int job_check(struct qtty *t, int sig);
/* It was opened: become the controlling terminal, if it can.  -ENOMEM. */
int job_opened(struct qtty *t, struct quern_proc *p);
/* The controlling terminal with a reference, or NULL. */
struct qtty *job_tty(struct quern_proc *p);
/* Hang up what is open of it; `ended` the session has. */
void job_hangup(struct qtty *t, bool ended);
/* The ioctls about jobs; `own` it was asked through the terminal itself. */
int64_t job_ioctl(struct qtty *t, struct qfile *f, struct qsys *s, bool own,
    uint32_t cmd, uint64_t arg);
/* Another window. */
void job_resize(struct qtty *t, const struct q_winsize *size);

/* ---- ioctl.c ---------------------------------------------------------------- */

/* What a terminal and a pty's master both understand; -ENOTTY. */
int64_t tty_common_ioctl(struct qtty *t, struct qfile *f, struct qsys *s,
    bool own, uint32_t cmd, uint64_t arg);
int64_t tty_ioctl(struct tty_file *tf, struct qfile *f, struct qsys *s,
    uint32_t cmd, uint64_t arg);

/* ---- pty.c ------------------------------------------------------------------ */

struct pty {
	struct qtty *p_tty; /* [I] the slave's */
	uint32_t p_num;     /* [I] */
	uint32_t p_serial;  /* [I] */
	/* The node, as it is when no vnode is there.  [x] */
	bool p_kept; /* it was changed: all of these count */
	uint32_t p_mode, p_uid, p_gid;
	struct qtime p_atime, p_mtime, p_ctime;
	bool p_master;           /* [t] is open */
	bool p_locked;           /* [t] the slave can't be opened yet */
	bool p_gone;             /* [t] the slave was open, and no longer is */
	bool p_packet;           /* [t] */
	uint8_t p_status;        /* [t] Q_TIOCPKT_* that were not read yet */
	struct qcv p_rcv, p_wcv; /* who reads and writes at the master */
	struct qpollq p_pollq;
};

extern const struct qcdev_ops ptmx_ops;
/* co_open of slaves. */
int pts_open(struct qcdev *d, struct quern_proc *proc, uint32_t minor,
    uint32_t flags, void **openp);
/* The pty of that number, while its master is open.  [x] */
struct pty *pty_find(struct ttys *tt, uint32_t num);

/* ---- devpts.c --------------------------------------------------------------- */

extern const struct qfs_type devpts_type;

/* ---- console.c --------------------------------------------------------------- */

/* co_open of the console's devices. */
int console_open(struct qcdev *d, struct quern_proc *p, uint32_t minor,
    uint32_t flags, void **openp);
void console_end(struct ttys *tt);

#endif /* QUERN_TTY_IMPL_H */
