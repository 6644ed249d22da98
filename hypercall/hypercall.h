/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The contract between a Quern kernel and its host.
 *
 * To the kernel, the host is a small machine: host threads that run virtual
 * CPUs, RAM, clocks, and devices that complete asynchronously.  The machine
 * is one table of functions, struct quern_hyper; what the host tells the
 * kernel comes through a second one, struct quern_upcalls.  There are no
 * thread, mutex or condition-variable calls: the kernel has a scheduler of its
 * own.
 *
 * Rules that hold for every entry unless its comment says otherwise:
 *
 * R1  It returns at once.  Only cpu_idle and vm_run may wait (cpu_stop waits
 *     for the last instructions of a thread that has already returned).
 * R2  It may be called by any host thread, by several at once, on a kernel
 *     stack of 64 KiB, of which it may use 16 KiB.
 * R3  Results are >= 0 or a negative Linux errno.  The host translates its own
 *     errors; the kernel never sees another numbering.
 * R4  Pointers are borrowed for the length of the call, except buffers and
 *     struct quern_event of an operation that answered -EINPROGRESS, which the
 *     host holds until it has delivered the event.
 * R5  `ctx` is the machine that begin() made: one kernel's, never shared.
 * R6  `cpu` is the index of a virtual CPU that the caller is running.
 * R7  Nothing here calls back into the kernel but through the upcalls, and an
 *     upcall other than runner() only queues: it takes no lock, allocates
 *     nothing, makes no hypercall.
 *
 * A wrapper (fault injection, tracing) is a struct quern_host around another
 * one; it looks like any host.
 *
 * This header is freestanding and includes only <stdint.h> and <stddef.h>.
 */
#ifndef QUERN_HYPERCALL_H
#define QUERN_HYPERCALL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUERN_HYPER_VERSION 1u

/* The most virtual CPUs of one kernel; a set of them is a uint64_t. */
#define QUERN_MAXCPU 64u

/* "No deadline": an instant on QUERN_CLOCK_MONOTONIC that never comes. */
#define QUERN_NEVER UINT64_MAX

/* The host's page size and that of RAM; nothing else is supported. */
#define QUERN_PAGE_SIZE 4096u

struct quern_hyper;
struct quern_upcalls;

/* A host: a table and what its begin() wants to be told.  Plain value. */
struct quern_host {
	const struct quern_hyper *h_ops;
	void *h_arg;
};

/* What begin() is told about the machine that the kernel wants. */
struct quern_machine {
	unsigned m_ncpu;    /* virtual CPUs, 1 .. QUERN_MAXCPU */
	const char *m_name; /* for messages and traces; to be copied */
	size_t m_core;      /* bytes of memory for the kernel's own state */
};

/*
 * Where one host thread waits inside the kernel, and what wakes it.  Owned by
 * the kernel, zeroed before the first use, valid until end().  The host keeps
 * its own words in it and nowhere else, so that a kick needs no look-up and a
 * late one is harmless.
 */
struct quern_seat {
	uint64_t s_word[8];
} __attribute__((aligned(64)));

/*
 * One completion or readiness notice.  Owned by the kernel; the host's from the
 * call that takes it until upcall event() hands it back.
 */
struct quern_event {
	struct quern_event *e_next; /* the kernel's, for its queue */
	void (*e_fn)(void *k, struct quern_event *); /* the kernel's */
	int64_t e_result;   /* set by the kernel from event() */
	uint32_t e_cpu;     /* set by the host: CPU it was asked on */
	uint32_t e_flags;   /* the kernel's */
	uint64_t e_host[2]; /* the host's */
};

enum quern_clock {
	QUERN_CLOCK_MONOTONIC = 0, /* never goes back; counts from any origin */
	QUERN_CLOCK_REALTIME = 1,  /* since 1970-01-01 UTC */
	QUERN_CLOCK_CPU = 2,       /* time used by the calling host thread */
	QUERN_CLOCK_COARSE = 3,    /* as REALTIME, some ms behind, for less */
	QUERN_NCLOCK = 4
};

/*
 * How to read a clock without the host: ns = base + ((tsc - cycle0) * mult
 * >> shift), valid while `seq` is even and unchanged.  For a vDSO.
 */
struct quern_clock_params {
	uint32_t cp_seq, cp_shift;
	uint64_t cp_cycle0, cp_mult, cp_mono_ns, cp_real_ns;
};

/* Why cpu_yield is called; simulated hosts decide and hash by it. */
enum quern_yield {
	QUERN_YIELD_SPIN = 0, /* waiting for another vCPU: let it run */
	QUERN_YIELD_ENTER,    /* a client took or is about to give a vCPU */
	QUERN_YIELD_LOCK,     /* about to take a lock */
	QUERN_YIELD_UNLOCK,   /* gave a lock back */
	QUERN_YIELD_WAKE,     /* made a thread runnable */
	QUERN_YIELD_SWITCH,   /* between two threads */
	QUERN_YIELD_ATOMIC    /* before a lock-free step that others may see */
};

/* Log levels, as in syslog(3). */
enum quern_log_level {
	QUERN_LOG_EMERG = 0,
	QUERN_LOG_ERR = 3,
	QUERN_LOG_WARN = 4,
	QUERN_LOG_INFO = 6,
	QUERN_LOG_DEBUG = 7
};

/* Flags of map(). */
#define QUERN_MAP_GUARD 1u /* the first page of the area faults on access */

/* ---- block ---------------------------------------------------------- */

enum quern_blk_cmd {
	QUERN_BLK_READ = 0,
	QUERN_BLK_WRITE,
	QUERN_BLK_FLUSH,
	QUERN_BLK_DISCARD,
	QUERN_BLK_ZERO
};

#define QUERN_BLK_FUA 1u /* b_flags: on stable storage when it completes */

#define QUERN_BLK_RDONLY 1u /* blk_open flags and bi_flags: no writes */
#define QUERN_BLK_DIRECT 2u /* blk_open: past the host's cache */

struct quern_iov {
	void *iov_base;
	size_t iov_len;
};

/* One request.  Offsets and lengths are bytes, multiples of bi_sector. */
struct quern_blk_op {
	uint32_t b_id;    /* from blk_open */
	uint16_t b_cmd;   /* enum quern_blk_cmd */
	uint16_t b_flags; /* QUERN_BLK_FUA */
	uint64_t b_off;
	uint64_t b_len;
	const struct quern_iov *b_iov; /* read, write: sums to b_len */
	uint32_t b_niov;
	struct quern_event *b_ev; /* delivered if b_result is INPROGRESS */
	int64_t b_result;         /* bytes, -errno or -EINPROGRESS */
};

struct quern_blk_info {
	uint64_t bi_size;    /* bytes */
	uint32_t bi_sector;  /* smallest unit, a power of two, 512 .. 4096 */
	uint32_t bi_flags;   /* QUERN_BLK_RDONLY */
	uint32_t bi_atomic;  /* bytes written all or not at all */
	uint32_t bi_discard; /* discard granularity in bytes; 0: none */
};

/* ---- net (draft: may change until the first back end has landed) ------- */

#define QUERN_NET_CSUM    1u /* p_flags: checksum from p_csum_start to fill in */
#define QUERN_NET_CSUM_OK 2u /* p_flags: received and found right */

struct quern_packet {
	struct quern_iov *p_iov;
	uint32_t p_niov;
	uint32_t p_len;   /* out of net_recv: bytes received */
	uint16_t p_flags; /* QUERN_NET_* */
	uint16_t p_csum_start, p_csum_off;
	uint16_t p_gso_size, p_gso_type;
};

struct quern_net_info {
	uint8_t ni_mac[6];
	uint16_t ni_mtu;
	uint32_t ni_offload; /* QUERN_NET_* understood */
};

/* ---- vmspace (draft: may change until vkernel is built on it) ----------- */

enum quern_vm_cmd {
	QUERN_VM_MAP =
	    0, /* pages of RAM at an address, replacing what is there */
	QUERN_VM_UNMAP,
	QUERN_VM_PROTECT
};

/* The addresses that a guest may have mapped. */
#define QUERN_VM_LOW UINT64_C(0x200000)
#define QUERN_VM_TOP UINT64_C(0x7ffffffff000)

#define QUERN_VM_READ     1u
#define QUERN_VM_WRITE    2u
#define QUERN_VM_EXEC     4u
#define QUERN_VM_POPULATE 8u /* map now rather than on the first touch */

/* One change of an address space; all but v_cmd in bytes, page-aligned. */
struct quern_vm_op {
	uint32_t v_cmd;  /* enum quern_vm_cmd */
	uint32_t v_prot; /* QUERN_VM_* */
	uint64_t v_addr;
	uint64_t v_len;
	uint64_t v_ram; /* MAP: offset in the RAM arena */
};

enum quern_vm_why {
	QUERN_VM_NONE = 0,
	QUERN_VM_SYSCALL, /* registers as at the instruction; rip behind it */
	QUERN_VM_CALL,    /* the same, but by a jump to "vm.call" */
	QUERN_VM_FAULT,   /* f_addr, f_error as a page fault pushes them */
	QUERN_VM_TRAP,    /* f_trap: the processor's exception vector */
	QUERN_VM_KICK,    /* cpu_kick, or the deadline */
	QUERN_VM_DEAD     /* the guest's host process is gone; destroy it */
};

/* f_flags: run nothing, only bring f_xsave up to date; all else stays as it is. */
#define QUERN_VM_SAVE 1u

/*
 * Registers of one guest thread.  In and out of vm_run.
 *
 * Extended state (vector registers and the like) is opaque, as many bytes as
 * parameter "vm.xsave" says; zeros mean a new thread's.  Where a frame has run
 * it stays with the host, as f_host tells, and f_xsave is out of date, until
 * vm_run is told QUERN_VM_SAVE.  That has to be before another frame is run in the
 * vmspace, which would lose it, and before f_xsave is read.  f_xsave is read where
 * the host has no state of this frame: zero f_host in a copy of a frame, which is
 * another thread, and where f_xsave was changed.  With f_xsave NULL, extended
 * state lasts only until another frame is run in the vmspace.
 */
struct quern_vmframe {
	uint64_t f_reg[16]; /* rax rbx rcx rdx rsi rdi rbp rsp r8 .. r15 */
	uint64_t f_rip, f_rflags, f_fsbase, f_gsbase;
	uint64_t f_addr;  /* out: faulting address */
	uint32_t f_error; /* out: page-fault error code */
	uint32_t f_trap;  /* out: exception vector */
	uint32_t f_why;   /* out: enum quern_vm_why */
	uint32_t f_flags; /* in: QUERN_VM_SAVE */
	void *f_xsave;    /* extended state or NULL */
	uint32_t f_xsavelen;
	uint32_t f_pad;
	uint64_t f_host[4]; /* the host's; zeroed when the thread is made */
};

/*
 * The machine.
 */
struct quern_hyper {
	uint32_t hy_version; /* QUERN_HYPER_VERSION */
	uint32_t hy_size;    /* sizeof(struct quern_hyper) */

	/* -- core: 11 -- */

	/*
	 * Make a machine for one kernel.  `arg` is h_arg of struct quern_host;
	 * `up` is kept until end().  *corep is m_core bytes of zeroed,
	 * page-aligned memory until end(); its address is the cookie of the
	 * upcalls.  -ENOMEM, -EINVAL (m_ncpu), -EMFILE.
	 */
	int (*begin)(void *arg, const struct quern_machine *m,
	    const struct quern_upcalls *up, void **ctxp, void **corep);

	/*
	 * Give the machine back.  No host thread is inside the kernel or in a
	 * hypercall, no runner is left; operations in flight are cancelled or
	 * waited for, their events are not delivered.  `ctx` is invalid after.
	 */
	void (*end)(void *ctx);

	/*
	 * Get zeroed memory of the kernel's own, never visible to a guest.
	 * `len` in bytes, a multiple of the page size; `align` a power of two,
	 * at least the page size; memory is committed on first touch.  The
	 * caller owns it until unmap.  -ENOMEM, -EINVAL.
	 */
	int (*map)(void *ctx, size_t len, size_t align, unsigned flags,
	    void **pp);

	/* Give back what map() gave, whole. */
	void (*unmap)(void *ctx, void *p, size_t len);

	/*
	 * Reserve the RAM arena, once, `len` bytes, zeroed, committed on first
	 * touch; the pages that guests may map.  *basep stays mapped until
	 * end().  -ENOMEM, -EINVAL (not page-aligned), -EEXIST (second call).
	 */
	int (*ram_create)(void *ctx, size_t len, void **basep);

	/*
	 * Give the host back the memory behind [off, off + len) of RAM; it reads
	 * as zero afterwards, in guests too.  -EINVAL (range).
	 */
	int (*ram_discard)(void *ctx, uint64_t off, size_t len);

	/* Read a clock, in nanoseconds.  -EINVAL (no such clock). */
	int (*clock_read)(void *ctx, enum quern_clock clock, uint64_t *nsp);

	/*
	 * How to compute the clocks from the TSC; to be asked again every second
	 * or so.  -EOPNOTSUPP: it can't be; -EAGAIN: not yet, ask later.
	 */
	int (*clock_params)(void *ctx, struct quern_clock_params *cp);

	/* Fill `buf` with random bytes fit for keys.  -EIO. */
	int (*random)(void *ctx, void *buf, size_t len);

	/*
	 * Write one line, `len` bytes without newline, to the host's log.  May
	 * be called from any context, also while panicking.
	 */
	void (*log)(void *ctx, enum quern_log_level level, const char *s,
	    size_t len);

	/*
	 * Read the parameter `name` into `buf`, at most `len` bytes, returning
	 * its full length.  Known: "host" ("posix", "sim"), "ncpu" (CPUs it can
	 * run, decimal), "pollfd" (a host file descriptor, decimal, readable
	 * while events are ready and from the deadline on that cpu_idle was last
	 * given without a seat since "pollfd" was first asked for), "choice"
	 * (there where cpu_yield decides who goes on: call it at every point
	 * that could matter), "vm.xsave" (see struct quern_vmframe, decimal),
	 * "vm.call" (an address, decimal, to which guest code may jump in place
	 * of a system call, with the registers of one but for rcx, the address
	 * at which to go on, and r11, any; cheaper than the instruction),
	 * "blk.ID" (how many bytes an open disk has now, decimal) and those of
	 * channels.  Others are the embedder's.  -ENOENT.
	 */
	int64_t (*param)(void *ctx, const char *name, void *buf, size_t len);

	/* -- cpu: 6 -- */

	/*
	 * Start host thread number `runner` (0 .. m_ncpu - 1), which calls
	 * upcall runner() and ends when that returns.  `pin` >= 0: keep it on
	 * that CPU of the host.  -EAGAIN, -EINVAL (no such host CPU), -EEXIST.
	 */
	int (*cpu_start)(void *ctx, unsigned runner, int pin);

	/* Join a runner whose upcall has returned or is about to.  -ESRCH. */
	int (*cpu_stop)(void *ctx, unsigned runner);

	/*
	 * Deliver the events that are ready for the CPUs in the set `cpus`
	 * through upcall event(), and, when `seat` is not NULL and there were
	 * none, wait until there are, until `seat` is kicked, or until
	 * `deadline` on QUERN_CLOCK_MONOTONIC.  A kick that came since the last
	 * cpu_idle of this seat ends the next one at once.  Returns the number
	 * of events delivered, -EINTR when it was kicked, -ETIMEDOUT; 0 is also
	 * a spurious return.  One thread at a time waits with a non-empty set;
	 * any may wait with an empty one.  Without a seat nothing waits, and
	 * `deadline` is when "pollfd" is to become readable at the latest.
	 */
	int (*cpu_idle)(void *ctx, struct quern_seat *seat, uint64_t cpus,
	    uint64_t deadline);

	/*
	 * Wake who waits on `seat`, in cpu_idle or vm_run, or the next to do so.
	 * Async-signal-safe; callable from any thread, also an outsider's.
	 */
	void (*cpu_kick)(void *ctx, struct quern_seat *seat);

	/*
	 * A point where another vCPU may well go on: a hint on a real host
	 * (QUERN_YIELD_SPIN only), a decision in a simulated one.
	 */
	void (*cpu_yield)(void *ctx, enum quern_yield why);

	/*
	 * Have every other host thread of the kernel that is running pass a full
	 * memory barrier before this returns, so that the frequent side of a
	 * handshake can do without one.  Tens of microseconds are fine.
	 * -EOPNOTSUPP: the host can't; the first call tells for good.
	 */
	int (*cpu_fence)(void *ctx);

	/* -- block: 3 -- */

	/*
	 * Open a disk.  `name` is "scheme:rest", `flags` QUERN_BLK_*.  Fills
	 * `info`; *idp is the host's until blk_close.  -ENOENT, -EACCES, -EBUSY
	 * (locked by another), -EINVAL, -EPROTONOSUPPORT (scheme not known).
	 */
	int (*blk_open)(void *ctx, const char *name, unsigned flags,
	    struct quern_blk_info *info, uint32_t *idp);

	/*
	 * Close it.  Requests in flight (a kernel that died) are waited for;
	 * their events are not delivered.
	 */
	void (*blk_close)(void *ctx, uint32_t id);

	/*
	 * Start `n` requests, in any order.  Returns how many were taken, from
	 * the first; b_result of each of those says whether it completed at
	 * once, failed, or will by event (-EINPROGRESS).  Fewer than n: the
	 * host's queue is full, try again after an event.
	 */
	int (*blk_submit)(void *ctx, unsigned cpu, struct quern_blk_op *ops,
	    unsigned n);

	/* -- net: 4, draft -- */

	/* Open a network device "scheme:rest".  Errors as of blk_open. */
	int (*net_open)(void *ctx, const char *name,
	    struct quern_net_info *info, uint32_t *idp);

	/* Close it. */
	void (*net_close)(void *ctx, uint32_t id);

	/* Send packets; how many were taken, or -EAGAIN and `ev` later. */
	int (*net_send)(void *ctx, unsigned cpu, uint32_t id,
	    struct quern_packet *p, unsigned n, struct quern_event *ev);

	/* Receive packets; how many, or -EAGAIN and `ev` later. */
	int (*net_recv)(void *ctx, unsigned cpu, uint32_t id,
	    struct quern_packet *p, unsigned n, struct quern_event *ev);

	/* -- channel: 4 -- */

	/*
	 * Open a byte stream.  `name`: "stdio:" (descriptors 0 and 1),
	 * "fd:N[,M]" (existing descriptors to read and write, not closed; "-":
	 * none: -EBADF),
	 * "pty:" (a new one; parameter "pty.ID" is the other end's path),
	 * "unix:PATH", "unix-listen:PATH", "tcp:HOST:PORT" and
	 * "tcp-listen:HOST:PORT" with numeric hosts ("[::1]" for IPv6).
	 * Listeners accept one peer at a time: when the reader has been told of
	 * the end of the stream, its next read is from the next peer; until then
	 * writes still go to the last.  Parameter "tcp.ID" is the address of a
	 * tcp listener, with the port that the host chose for 0.  A tcp
	 * connection may still be in the making; if it fails, the first read
	 * or write says why.  -ENOENT, -EACCES, -ECONNREFUSED, -EADDRINUSE, -EINVAL,
	 * -EPROTONOSUPPORT, -EMFILE.
	 */
	int (*chan_open)(void *ctx, const char *name, uint32_t *idp);

	/* Close it.  An event armed on it comes back with -ECANCELED first. */
	void (*chan_close)(void *ctx, uint32_t id);

	/*
	 * Read up to `len` bytes: > 0, 0 at end of stream, -EAGAIN and, when `ev`
	 * is not NULL, one event to `cpu` when it is worth trying again (result
	 * 0).  At most one event a direction and channel: -EBUSY.  -EIO,
	 * -ECONNRESET, -EBADF (no such channel).
	 */
	int64_t (*chan_read)(void *ctx, unsigned cpu, uint32_t id, void *buf,
	    size_t len, struct quern_event *ev);

	/* Write likewise; short counts are usual.  -EPIPE besides. */
	int64_t (*chan_write)(void *ctx, unsigned cpu, uint32_t id,
	    const void *buf, size_t len, struct quern_event *ev);

	/* -- vmspace: 4, draft -- */

	/*
	 * Make an empty guest address space under a number of the caller's,
	 * after ram_create.  -EEXIST, -ENOMEM, -EAGAIN, -EMFILE, -EINVAL (no
	 * RAM), -EOPNOTSUPP (the host can't have guests).
	 */
	int (*vm_create)(void *ctx, uint32_t id);

	/* Destroy it with all its mappings.  -ENOENT, -EBUSY (running). */
	int (*vm_destroy)(void *ctx, uint32_t id);

	/*
	 * Apply `n` changes in order.  When it returns no guest thread sees what
	 * was removed, or has an access that was taken away, any more, which
	 * may take a kick of one that runs elsewhere; what is mapped is seen, and
	 * lost what was there before, by the next run.  -ENOENT, -EINVAL
	 * (alignment, range, RAM offset: none applied), -ENOMEM (as of vm_run:
	 * nothing is mapped any more), -EBUSY (the guest runs elsewhere and does
	 * not stop when kicked).
	 */
	int (*vm_update)(void *ctx, unsigned cpu, uint32_t id,
	    const struct quern_vm_op *ops, unsigned n);

	/*
	 * Run guest code from `f` on `cpu` until f_why has a reason.  Waits;
	 * cpu_kick(seat) and `deadline` end it with QUERN_VM_KICK.  The caller
	 * keeps the vCPU.  With QUERN_VM_SAVE in f_flags nothing runs, `seat`
	 * and `deadline` mean nothing, and of a dead process there is nothing to
	 * save.  -ENOENT, -EINVAL (a frame no thread can have),
	 * -EBUSY (running elsewhere), -ENOMEM (a change since the last run can't
	 * be made, also one that protects what is not mapped: it has not run, and
	 * nothing is mapped any more; map again what is needed).
	 */
	int (*vm_run)(void *ctx, unsigned cpu, uint32_t id,
	    struct quern_seat *seat, struct quern_vmframe *f,
	    uint64_t deadline);
};

/*
 * What a host tells its kernel.  `cookie` is the address of its core memory.
 */
struct quern_upcalls {
	/* The body of a host thread that cpu_start made.  Runs the kernel. */
	void (*runner)(void *cookie, unsigned runner);

	/*
	 * An operation completed or a channel became ready.  Called from
	 * cpu_idle only; queues `ev` on CPU e_cpu.
	 */
	void (*event)(void *cookie, struct quern_event *ev, int64_t result);
};

#ifdef __cplusplus
}
#endif

#endif /* QUERN_HYPERCALL_H */
