/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System calls: how handlers are written, installed and called.
 *
 * kernel/syscalls.def has a line for every call.  What is generated from it for
 * a unit: the wrappers quern_NAME of its calls, and the list of its handlers,
 * UNIT_calls, for its component descriptor.  The unit defines a handler for
 * each:
 *
 *	QSYS(dup)
 *	{
 *		int fd = qsys_int(s, 0);
 *		...
 *	}
 *
 * It runs on a kernel stack as a call of process s_proc, may sleep, and returns
 * the result or a negative errno.
 */
#ifndef QUERN_SYSCALL_H
#define QUERN_SYSCALL_H

#include <quern/uspace.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quern_proc;
struct qsys_handler;

/* One more than the highest number. */
#define QSYS_MAX 512u

/* A call in progress. */
struct qsys {
	const uint64_t *s_arg; /* six */
	struct quern_proc *s_proc;
	const struct quspace *s_us; /* where its pointers point to */
	const struct qsys_handler *s_call;
};

/* h_flags */
#define QSYS_GUEST 1u /* for guests only: -ENOSYS to others */

/* Who handles a call.  Lists end with an element without h_fn. */
struct qsys_handler {
	int64_t (*h_fn)(struct qsys *);
	uint32_t h_nr;
	uint32_t h_flags; /* QSYS_GUEST */
};

/* Begin the handler of call `name`. */
#define QSYS(name)                          \
	int64_t sys_##name(struct qsys *s); \
	int64_t sys_##name(struct qsys *s)

/* Argument `i` as what Linux takes it for: the upper half of an int is junk. */
static inline int
qsys_int(const struct qsys *s, unsigned i)
{
	return (int)s->s_arg[i];
}

/* Likewise. */
static inline uint32_t
qsys_uint(const struct qsys *s, unsigned i)
{
	return (uint32_t)s->s_arg[i];
}

/* Copy what argument `i` points to.  0 or -EFAULT. */
QMUSTCHECK static inline int
qsys_in(const struct qsys *s, unsigned i, void *dst, size_t len)
{
	return qcopyin(s->s_us, dst, s->s_arg[i], len);
}

/* Copy to where argument `i` points to.  0 or -EFAULT. */
QMUSTCHECK static inline int
qsys_out(const struct qsys *s, unsigned i, const void *src, size_t len)
{
	return qcopyout(s->s_us, s->s_arg[i], src, len);
}

/*
 * Make a call of `p` from outside the kernel: what wrappers do.  The handler's
 * result; -EFAULT (p is NULL), -ENOSYS (not installed in this kernel),
 * -ENOTRECOVERABLE (a dead kernel), -ENOMEM.
 */
int64_t qsys_call(struct quern_proc *p, const struct qsys_handler *h,
    const uint64_t args[6]);

/*
 * Make a call from inside the kernel, on the current thread, which serves
 * s_proc: what a guest's trap or a remote request comes to.  `s` has arguments,
 * process and memory.
 */
int64_t qsys_dispatch(struct qsys *s, unsigned nr);

/* How often call `nr` was asked for and not there. */
uint32_t qsys_missing(struct quern *k, unsigned nr);

/* The name of error number `error` (> 0), "EPERM", or NULL. */
const char *qerror_name(int error);

/* ---- descriptions: for traces, remote calls, fuzzers -------------------- */

enum qarg_kind {
	QARG_NONE = 0,
	QARG_FD,
	QARG_INT,
	QARG_UINT,
	QARG_LONG,
	QARG_ULONG,
	QARG_SIZE,
	QARG_OFF,
	QARG_PID,
	QARG_UID,
	QARG_GID,
	QARG_MODE,
	QARG_ADDR,  /* an address of the client's that isn't followed */
	QARG_HOLE,  /* ignored; not among the wrapper's parameters */
	QARG_FLAGS, /* a_set: struct qsys_const[]; a_elem: what C has */
	QARG_ENUM,  /* likewise */
	QARG_BY,    /* type by other arguments; a_set: struct qsys_command[] */
	/* pointers: a_dir and what they point to */
	QARG_STR,
	QARG_BUF,
	QARG_STRUCT, /* a_set: struct qsys_struct; a_size: of one */
	QARG_ARRAY,  /* a_elem: the kind of its elements, a_size: of one */
	QARG_IOVEC,  /* a_dir is that of the data */
	QARG_MSGHDR,
	QARG_FDSET,
	QARG_SIGSET
};

/* a_dir */
#define QARG_IN       1u
#define QARG_OUT      2u
#define QARG_INOUT    3u
#define QARG_OPTIONAL 4u /* NULL is fine */

/* How long what is pointed to is: a_len elements (bytes of a buffer) ... */
enum qarg_len {
	QLEN_CONST = 0, /* itself */
	QLEN_ARG,       /* the value of argument a_len */
	QLEN_PTR        /* the uint32_t that argument a_len points to */
};

/* One argument. */
struct qsys_arg {
	const char *a_name;
	const void *a_set;
	uint8_t a_kind, a_dir, a_elem, a_lenhow;
	uint16_t a_size, a_len;
	bool a_ret;       /* out: only as many as the call returns */
	uint8_t a_sel[2]; /* QARG_BY: the arguments that select; 2nd may be 0 */
};

/* A flag, or a value of an enum or of a field (mask).  Ended by no name. */
struct qsys_const {
	const char *c_name;
	uint64_t c_value;
	uint64_t c_mask; /* 0: the bits of c_value */
};

/* A member of a struct.  Ended by no name. */
struct qsys_field {
	const char *f_name;
	const void *f_set;      /* as a_set */
	uint16_t f_off, f_size; /* of one */
	uint16_t f_n;           /* an array of that many; 0: none */
	uint8_t f_kind;         /* QARG_STR: a string in an array */
};

/* A struct, but for the members that nobody names. */
struct qsys_struct {
	const char *t_name;
	const struct qsys_field *t_fields;
	size_t t_size;
};

/* What a command makes of an argument.  Ended by no name. */
struct qsys_command {
	const char *m_name;
	uint64_t m_value[2];
	struct qsys_arg m_arg;
};

/* A call.  One that no unit implements has a name only. */
struct qsys_desc {
	const char *d_name;
	const struct qsys_arg *d_args;
	uint8_t d_nargs, d_ret; /* enum qarg_kind */
	uint16_t d_flags;       /* QSYS_GUEST */
};

/* By number; holes have no name. */
extern const struct qsys_desc qsys_descs[QSYS_MAX];

/*
 * The wrapper of a call: a function of a process and of the call's arguments
 * without its holes.  Ended by no function.
 */
struct qsys_entry {
	unsigned e_nr;
	void (*e_fn)(void);
	const char *e_decl; /* "close(fd fd) = none" */
	const char *e_text; /* its contract, lines */
};

/*
 * All that a program is linked with.  Not in the library: made for programs
 * whose Makefile says SYSCALLS = yes.
 */
extern const struct qsys_entry qsys_entries[];

/* What is known of the memory that a call was given, for qsys_format. */
struct qsys_view {
	/*
	 * What was read from (QARG_IN) or stored (QARG_OUT) at `at`, the latter
	 * if `dir` has both: the first *keptp bytes of *lenp.  NULL: nothing.
	 */
	const char *(*v_find)(const struct qsys_view *v, quaddr_t at,
	    unsigned dir, size_t *lenp, size_t *keptp);
	size_t v_show; /* bytes shown of a buffer or string */
	bool v_hide;   /* a client's addresses are shown as ... */
};

/*
 * Write a call into `buf` much as strace does: `read(3, "hello"..., 100) = 64`.
 * `args` are six.  The length, without the 0 behind it; what has no room is
 * left out.  Follows no pointer but what v_find returns.
 */
size_t qsys_format(const struct qsys_desc *d, const uint64_t *args, int64_t ret,
    const struct qsys_view *v, char *buf, size_t size);

/*
 * What argument `i` of call `d` is with these arguments: d_args[i], what the
 * command among them makes of it, or NULL when that is unknown.
 */
const struct qsys_arg *qsys_argtype(const struct qsys_desc *d, unsigned i,
    const uint64_t *args);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_SYSCALL_H */
