/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Confinement of the kernel process, should a guest ever get hold of it.
 *
 * It takes two steps.  Before anything is made, Landlock leaves it the files of
 * the command line and nothing else of the host's: no other file, no TCP port, no
 * abstract socket, no signal to others.  When the disks are open and before the
 * first guest runs, a seccomp program leaves it the system calls that a kernel
 * with its doors open needs: on descriptors that it has, on memory, on its own
 * threads, and to make guests' processes, which inherit all of this.
 *
 * What is refused is refused with EPERM, so that a library which merely tries
 * something goes on, and so that the stricter answer of a guest's own program
 * (SIGSYS) prevails.  Operations of an io_uring are no system calls: the host
 * layer has each ring restricted when it makes it (hypercall/posix/ring.c).
 *
 * Where the host's kernel lacks Landlock the rest stands, and -v says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vkernel.h"

/* ---- files: Landlock --------------------------------------------------------- */

/* <linux/landlock.h> of the present, which may not be installed. */
#define SYS_RULESET_CREATE 444
#define SYS_RULE_ADD       445
#define SYS_RESTRICT_SELF  446
#define RULESET_VERSION    1u
#define RULE_PATH          1
#define FS_EXECUTE         (UINT64_C(1) << 0)
#define FS_WRITE_FILE      (UINT64_C(1) << 1)
#define FS_READ_FILE       (UINT64_C(1) << 2)
#define FS_READ_DIR        (UINT64_C(1) << 3)
#define FS_TRUNCATE        (UINT64_C(1) << 14)
#define FS_IOCTL_DEV       (UINT64_C(1) << 15)

struct ruleset_attr {
	uint64_t ra_fs, ra_net, ra_scoped;
};

struct path_attr {
	uint64_t pa_access;
	int32_t pa_fd;
} __attribute__((packed));

/* What version `abi` knows of, all to be refused. */
static size_t
all_known(long abi, struct ruleset_attr *ra)
{
	static const unsigned fs_bits[] = { 0, 13, 14, 15, 15, 16 };
	const long last = (long)(sizeof fs_bits / sizeof fs_bits[0]) - 1;

	ra->ra_fs = (UINT64_C(1) << fs_bits[abi < last ? abi : last]) - 1;
	ra->ra_net = abi >= 4 ? 3 : 0;    /* bind and connect TCP */
	ra->ra_scoped = abi >= 6 ? 3 : 0; /* abstract sockets, signals */
	return (abi >= 6 ? 3 : abi >= 4 ? 2 : 1) * sizeof(uint64_t);
}

/* Leave `access` to what `fd`, which may be -1, is; closes it. */
static void
leave_fd(int set, const struct ruleset_attr *ra, int fd, uint64_t access)
{
	struct path_attr pa = { access & ra->ra_fs, fd };

	/* A pipe has no path and needs no rule. */
	if (fd < 0)
		return;
	(void)syscall(SYS_RULE_ADD, set, RULE_PATH, &pa, 0);
	close(fd);
}

static void
leave(int set, const struct ruleset_attr *ra, const char *path, uint64_t access)
{
	leave_fd(set, ra, open(path, O_PATH | O_CLOEXEC), access);
}

static bool
is_nbd(const struct vk_disk *d)
{
	return strncmp(d->d_image, "nbd", 3) == 0 &&
	    strstr(d->d_image, "://") != NULL;
}

static void
leave_files(int set, struct ruleset_attr *ra, const struct vk_options *o)
{
	const uint64_t in = FS_READ_FILE, out = FS_WRITE_FILE | FS_TRUNCATE;
	unsigned i;
	int fd;

	for (i = 0; i < o->o_ndisk; i++)
		if (!is_nbd(&o->o_disk[i]))
			leave(set, ra, o->o_disk[i].d_image,
			    in | FS_IOCTL_DEV |
				(o->o_disk[i].d_flags == 0 ? out : 0));
		else
			/* Libraries, resolver, certificates. */
			leave(set, ra, "/", in | FS_READ_DIR | FS_EXECUTE);
	if (o->o_ramfile != NULL) {
		fd = open(o->o_ramfile, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		leave_fd(set, ra, fd, in | out);
	}
	/* To be opened again without O_NONBLOCK being everybody's. */
	for (fd = 0; fd < 3; fd++)
		leave_fd(set, ra, fcntl(fd, F_DUPFD_CLOEXEC, 3),
		    in | out | FS_IOCTL_DEV);
	/* Which clock to trust, how many processors there are. */
	leave(set, ra, "/sys/devices/system", in | FS_READ_DIR);
}

void
vk_confine_files(const struct vk_options *o)
{
	long abi = syscall(SYS_RULESET_CREATE, NULL, 0, RULESET_VERSION);
	struct ruleset_attr ra = { 0 };
	unsigned i;
	size_t len;
	int set;

	if (o->o_unconfined)
		return;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		vk_fail("no_new_privs: %s", strerror(errno));
	if (abi < 1) {
		if (o->o_verbose > 0)
			vk_warn("the host has no Landlock: its files are not "
				"kept from the kernel process");
		return;
	}
	len = all_known(abi, &ra);
	for (i = 0; i < o->o_ndisk; i++)
		if (is_nbd(&o->o_disk[i]))
			ra.ra_net = ra.ra_scoped = 0;
	set = (int)syscall(SYS_RULESET_CREATE, &ra, len, 0);
	if (set < 0)
		vk_fail("Landlock: %s", strerror(errno));
	leave_files(set, &ra, o);
	if (syscall(SYS_RESTRICT_SELF, set, 0) != 0)
		vk_fail("Landlock: %s", strerror(errno));
	close(set);
	if (o->o_verbose > 0)
		vk_warn("confined to its files by Landlock (version %ld)", abi);
}

/* ---- calls: seccomp ---------------------------------------------------------- */

/* Harmless whatever the arguments; in the order of their numbers. */
static const uint16_t plain[] = { SYS_read, SYS_write, SYS_close, SYS_fstat,
	SYS_poll, SYS_lseek, SYS_mmap, SYS_mprotect, SYS_munmap, SYS_brk,
	SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_pread64,
	SYS_pwrite64, SYS_readv, SYS_writev, SYS_sched_yield, SYS_mremap,
	SYS_msync, SYS_mincore, SYS_madvise, SYS_dup, SYS_dup2, SYS_nanosleep,
	SYS_getpid, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg,
	SYS_shutdown, SYS_getsockname, SYS_getpeername, SYS_getsockopt,
	SYS_exit, SYS_wait4, SYS_uname, SYS_fcntl, SYS_flock, SYS_fsync,
	SYS_fdatasync, SYS_ftruncate, SYS_gettimeofday, SYS_getrlimit,
	SYS_getrusage, SYS_sysinfo, SYS_times, SYS_getuid, SYS_getgid,
	SYS_geteuid, SYS_getegid, SYS_getppid, SYS_rt_sigpending,
	SYS_rt_sigtimedwait, SYS_rt_sigsuspend, SYS_sigaltstack,
	SYS_sched_getparam, SYS_sched_getscheduler, SYS_mlock, SYS_munlock,
	SYS_arch_prctl, SYS_setrlimit, SYS_gettid, SYS_time, SYS_futex,
	SYS_sched_setaffinity, SYS_sched_getaffinity, SYS_set_tid_address,
	SYS_restart_syscall, SYS_fadvise64, SYS_clock_gettime, SYS_clock_getres,
	SYS_clock_nanosleep, SYS_exit_group, SYS_epoll_wait, SYS_epoll_ctl,
	SYS_waitid, SYS_ppoll, SYS_set_robust_list, SYS_get_robust_list,
	SYS_sync_file_range, SYS_epoll_pwait, SYS_fallocate,
	SYS_timerfd_settime, SYS_timerfd_gettime, SYS_eventfd2,
	SYS_epoll_create1, SYS_dup3, SYS_preadv, SYS_pwritev, SYS_getcpu,
	SYS_seccomp, SYS_getrandom, SYS_memfd_create, SYS_membarrier,
	SYS_preadv2, SYS_pwritev2, SYS_rseq, SYS_pidfd_send_signal,
	SYS_io_uring_enter, 436 /* close_range */, 441 /* epoll_pwait2 */ };

#define NPLAIN (sizeof plain / sizeof plain[0])

static const uint32_t ioctls[] = { TCGETS, TCSETS, TCSETSW, TCSETSF, TIOCGWINSZ,
	FIONREAD, BLKGETSIZE64, BLKSSZGET };

static const uint32_t prctls[] = { PR_SET_PDEATHSIG, PR_SET_NAME, PR_GET_NAME,
	PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE, PR_SET_VMA };

#define NAMESPACES                                                     \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | \
	    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME)

struct prog {
	struct sock_filter p_at[512];
	unsigned p_n;
};

#define DATA_NR     offsetof(struct seccomp_data, nr)
#define DATA_ARCH   offsetof(struct seccomp_data, arch)
#define DATA_ARG(n) (offsetof(struct seccomp_data, args) + 8 * (n))

static void
emit(struct prog *p, uint16_t code, uint32_t k, unsigned jt, unsigned jf)
{
	if (p->p_n < sizeof p->p_at / sizeof p->p_at[0])
		p->p_at[p->p_n] = (struct sock_filter){ code, (uint8_t)jt,
			(uint8_t)jf, k };
	p->p_n++;
}

static void
load(struct prog *p, size_t off)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)off, 0, 0);
}

static void
answer(struct prog *p, uint32_t what)
{
	emit(p, BPF_RET | BPF_K, what, 0, 0);
}

#define REFUSE (SECCOMP_RET_ERRNO | EPERM)

/*
 * Go on behind this if the accumulator is none of plain[lo..hi).  A tree, since
 * guests' calls come this way, too.
 */
static void
search(struct prog *p, unsigned lo, unsigned hi)
{
	unsigned mid, at;

	if (hi - lo <= 4) {
		for (; lo < hi; lo++) {
			emit(p, BPF_JMP | BPF_JEQ | BPF_K, plain[lo], 0, 1);
			answer(p, SECCOMP_RET_ALLOW);
		}
		return;
	}
	mid = lo + (hi - lo) / 2;
	at = p->p_n;
	emit(p, BPF_JMP | BPF_JGE | BPF_K, plain[mid], 0, 0);
	search(p, lo, mid);
	/* To the end of the right half, where both halves' misses meet. */
	emit(p, BPF_JMP | BPF_JA, 0, 0, 0);
	p->p_at[at].jt = (uint8_t)(p->p_n - at - 1);
	at = p->p_n - 1;
	search(p, mid, hi);
	p->p_at[at].k = p->p_n - at - 1;
}

/* Call `nr` only with an argument whose lower half is one of `values`. */
static void
only_with(struct prog *p, uint32_t nr, unsigned arg, const uint32_t *values,
    unsigned n)
{
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 2 * n + 2);
	load(p, DATA_ARG(arg));
	for (; n > 0; n--, values++) {
		emit(p, BPF_JMP | BPF_JEQ | BPF_K, *values, 0, 1);
		answer(p, SECCOMP_RET_ALLOW);
	}
	answer(p, REFUSE);
}

static void
make_program(struct prog *p, bool ptrace)
{
	const uint32_t none = 0, self = (uint32_t)getpid();
	const uint32_t empty = AT_EMPTY_PATH;

	load(p, DATA_ARCH);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	answer(p, REFUSE);
	load(p, DATA_NR);
	search(p, 0, NPLAIN);
	only_with(p, SYS_ioctl, 1, ioctls, sizeof ioctls / sizeof ioctls[0]);
	only_with(p, SYS_prctl, 0, prctls, sizeof prctls / sizeof prctls[0]);
	only_with(p, SYS_tgkill, 0, &self, 1);
	only_with(p, SYS_prlimit64, 0, &none, 1);
	/* The stub's program, which has no name. */
	only_with(p, SYS_execveat, 4, &empty, 1);
	if (ptrace) {
		emit(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1);
		answer(p, SECCOMP_RET_ALLOW);
	}
	/* Its flags are in memory: libc takes clone instead. */
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
	answer(p, SECCOMP_RET_ERRNO | ENOSYS);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3);
	load(p, DATA_ARG(0));
	emit(p, BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 1, 0);
	answer(p, SECCOMP_RET_ALLOW);
	answer(p, REFUSE);
}

void
vk_confine_calls(const struct vk_options *o)
{
	static struct prog p;
	struct sock_fprog fprog = { .filter = p.p_at };

	if (o->o_unconfined)
		return;
	make_program(&p, o->o_ptrace);
	if (p.p_n > sizeof p.p_at / sizeof p.p_at[0])
		vk_fail("the list of system calls is too long");
	fprog.len = (unsigned short)p.p_n;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		SECCOMP_FILTER_FLAG_TSYNC, &fprog) == 0)
		return;
	/* Guests without it run traced, and that still is a way. */
	if (!o->o_ptrace)
		vk_fail("seccomp: %s", strerror(errno));
	if (o->o_verbose > 0)
		vk_warn("seccomp: %s: the kernel process may make any call",
		    strerror(errno));
}
