/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host that is a Linux process.
 *
 *	struct quern_host host = quern_posix();
 *
 * A machine of this host makes no signal handler, changes no signal mask but
 * its own threads' (which block every signal), changes no flag of a descriptor
 * that others hold, and leaves no child that the embedder's wait() could find.
 * Any number of machines live side by side in one process.  A child made by
 * fork() must not use its parent's machines.
 */
#ifndef QUERN_POSIX_H
#define QUERN_POSIX_H

#include <quern/hypercall.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A parameter of the machine, for hypercall param(). */
struct quern_posix_param {
	const char *pp_name, *pp_value;
};

/* pc_flags */
#define QUERN_POSIX_NORING 1u /* don't use io_uring */
/*
 * There will be no guests: RAM is memory of this process alone, in large pages
 * where the host has them, which saves most of the time that filling it for the
 * first time takes.  vm_create is -EOPNOTSUPP.
 */
#define QUERN_POSIX_NOGUESTS 2u

/* Parameter "vm.call" is not there: guests make calls by the instruction. */
#define QUERN_POSIX_NOCALL 4u

/* How vm_run hands the processor to a guest and gets it back. */
enum quern_posix_handover {
	QUERN_POSIX_AUTO = 0, /* chosen by where the caller may run */
	QUERN_POSIX_FUTEX,    /* sleep: for a guest on any other CPU */
	QUERN_POSIX_YIELD,    /* sched_yield: both on one CPU */
	QUERN_POSIX_SPIN      /* spin: each on a CPU of its own */
};

/*
 * How guests are kept in their address spaces.  With the second the embedder
 * gets SIGCHLD for each of their stops, must not wait for any child, as wait()
 * does, but for its own by their numbers, and vm_create is -EOPNOTSUPP where the
 * host lets nobody trace.
 */
enum quern_posix_vmspace {
	QUERN_POSIX_SECCOMP = 0, /* a filter has every call of theirs trap */
	QUERN_POSIX_PTRACE       /* traced: some fifty times slower */
};

/*
 * pc_weaken: defences against guests that tests leave out, to see that it is
 * these that stop an attack.  Never for anything else.
 */
#define QUERN_POSIX_NOSECRETS 1u   /* calls at the stub's place need none */
#define QUERN_POSIX_NOPLACE   2u   /* and may be made from anywhere */
#define QUERN_POSIX_NOARCH    4u   /* and by numbers of another kind */
#define QUERN_POSIX_NORANGE   8u   /* the stub's own memory may be changed */
#define QUERN_POSIX_NOHOLD    16u  /* a guest that says it waits is believed */
#define QUERN_POSIX_NOFRAMES  32u  /* and so is where it says its frame is */
#define QUERN_POSIX_NOEMPTY   64u  /* a process is used again as it is */
#define QUERN_POSIX_NORETURN  128u /* a guest may go on in the stub's code */

/* Options; zero is the default of each. */
struct quern_posix_config {
	unsigned pc_flags;    /* QUERN_POSIX_* */
	int pc_logfd;         /* where log lines go; 0: stderr, -1: nowhere */
	unsigned pc_loglevel; /* the last level shown; 0: QUERN_LOG_INFO */
	const struct quern_posix_param *pc_param;
	unsigned pc_nparam;
	const int
	    *pc_pin; /* host CPU of runner n, or -1; cpu_start goes first */
	unsigned pc_npin;
	unsigned pc_handover;     /* enum quern_posix_handover */
	unsigned pc_vm_answer_ms; /* a guest process silent for so long after a
	                             kick is killed; 0: 2,000 */
	const char *pc_ramfile;   /* RAM is this file, made if need be; NULL:
	                             memory without a name */
	unsigned pc_vmspace;      /* enum quern_posix_vmspace */
	unsigned pc_weaken;       /* for tests */
};

/* The host with default options. */
struct quern_host quern_posix(void);

/*
 * The host with options.  `config` and all that it points to is borrowed until
 * the last machine begun with the result has ended.
 */
struct quern_host quern_posix_with(const struct quern_posix_config *config);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_POSIX_H */
