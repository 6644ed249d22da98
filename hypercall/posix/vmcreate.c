/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_create and vm_destroy: a stub process, from its program to its end.
 *
 * The host writes a new stub's first turn before it exists: to clear its address
 * space, set up its signals and lock itself in.
 */
#include <assert.h>
#include <cpuid.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vm.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif

#define HWCAP2_FSGSBASE_BIT 2ul
#define XFEATURE_TILEDATA   18u
#define SA_RESTORER_FLAG    0x04000000ul

/* --- what a machine has for its guests -------------------------------- */

size_t
host_vm_xsave(uint64_t *maskp)
{
	unsigned a, b, c, d, i, low, high;
	size_t len = 576;

	if (!__get_cpuid(1, &a, &b, &c, &d) || (c & bit_OSXSAVE) == 0 ||
	    (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT) == 0)
		return 0;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	/* Tile data needs a permission that stubs don't ask for. */
	low &= ~(1u << XFEATURE_TILEDATA);
	*maskp = low;
	for (i = 2; i < 32; i++) {
		if ((low >> i & 1) == 0)
			continue;
		__cpuid_count(0xd, i, a, b, c, d);
		if (a != 0 && (size_t)a + b > len)
			len = (size_t)a + b;
	}
	return len <= FP_MAX ? len : 0;
}

uint64_t
host_vm_call(const struct machine *m)
{
	const struct quern_posix_config *config = m->m_config;

	if ((config->pc_flags & (QUERN_POSIX_NOGUESTS | QUERN_POSIX_NOCALL)) !=
		0 ||
	    config->pc_vmspace == QUERN_POSIX_PTRACE)
		return 0;
	return STUB_BASE + host_stub_offset[STUB_CALL];
}

/* Put the stub's program where it can be executed and not be changed. */
static int
make_program(void)
{
	size_t len = (size_t)(host_stub_image_end - host_stub_image);
	int fd, high;

	fd = memfd_create("quern-guest",
	    MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("quern-guest",
		    MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE ? host_error() :
							    -EOPNOTSUPP;
	if (write(fd, host_stub_image, len) != (ssize_t)len ||
	    fcntl(fd, F_ADD_SEALS,
		F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) !=
		0) {
		close(fd);
		return -ENOMEM;
	}
	high = host_fd_above(fd, STUB_FD_RAM);
	return high;
}

static int
make_vmhost(struct machine *m, struct vmhost **vhp)
{
	struct vmhost *vh;
	uint64_t xmask;
	size_t xsavelen = host_vm_xsave(&xmask);
	int error;

	if (xsavelen == 0)
		return -EOPNOTSUPP;
	vh = calloc(1, sizeof(*vh));
	if (vh == NULL)
		return -ENOMEM;
	vh->vh_m = m;
	vh->vh_xsavelen = xsavelen;
	vh->vh_xmask = xmask;
	atomic_init(&vh->vh_next, 0);
	atomic_init(&vh->vh_runs, 1);
	pthread_mutex_init(&vh->vh_lock, NULL);
	pthread_mutex_init(&vh->vh_birthlock, NULL);
	pthread_cond_init(&vh->vh_cond, NULL);
	vh->vh_stubfd = error = make_program();
	if (error >= 0)
		error = host_warden_start(vh);
	if (error != 0) {
		if (vh->vh_stubfd >= 0)
			close(vh->vh_stubfd);
		free(vh);
		return error;
	}
	*vhp = vh;
	return 0;
}

static int
get_vmhost(struct machine *m, struct vmhost **vhp)
{
	int error = 0;

	*vhp = atomic_load(&m->m_vm);
	if (*vhp != NULL)
		return 0;
	pthread_mutex_lock(&m->m_lock);
	*vhp = atomic_load(&m->m_vm);
	if ((m->m_config->pc_flags & QUERN_POSIX_NOGUESTS) != 0)
		error = -EOPNOTSUPP;
	else if (m->m_ramfd < 0)
		error = -EINVAL;
	else if (*vhp == NULL && (error = make_vmhost(m, vhp)) == 0)
		atomic_store(&m->m_vm, *vhp);
	pthread_mutex_unlock(&m->m_lock);
	return error;
}

/* --- making one --------------------------------------------------------- */

/* The slot to use: one that has a process, one that was used, or none yet. */
static uint32_t
choose_slot(const struct vmhost *vh)
{
	uint32_t i, free = vh->vh_nslot;
	const struct vmspace *v;

	for (i = 0; i < vh->vh_nslot; i++) {
		v = atomic_load(&vh->vh_slot[i]);
		if (v->v_used)
			continue;
		if (v->v_kept)
			return i;
		if (free == vh->vh_nslot) {
			free = i;
			if (vh->vh_nkept == 0)
				break;
		}
	}
	return free;
}

/* A slot for `id`, which nobody has; it is the caller's, updating. */
static int
take_slot(struct vmhost *vh, uint32_t id, struct vmspace **vp)
{
	pthread_condattr_t attr;
	struct vmspace *v = NULL;
	int error = 0;
	uint32_t i;

	pthread_mutex_lock(&vh->vh_lock);
	i = choose_slot(vh);
	if (i < vh->vh_nslot)
		v = atomic_load(&vh->vh_slot[i]);
	if (*host_vm_slot(vh, id) != NULL) {
		error = -EEXIST;
	} else if (i == VM_NSLOT) {
		error = -EAGAIN;
	} else if (i == vh->vh_nslot && (v = calloc(1, sizeof(*v))) == NULL) {
		error = -ENOMEM;
	} else if (i == vh->vh_nslot) {
		pthread_mutex_init(&v->v_lock, NULL);
		pthread_condattr_init(&attr);
		pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
		pthread_cond_init(&v->v_cond, &attr);
		pthread_condattr_destroy(&attr);
		v->v_index = i;
		v->v_pidfd = -1;
		atomic_store(&vh->vh_slot[i], v);
		vh->vh_nslot++;
	}
	if (error == 0) {
		pthread_mutex_lock(&v->v_lock);
		v->v_used = true;
		vh->vh_nkept -= v->v_kept;
		v->v_kept = false;
		v->v_id = id;
		v->v_state = VM_UPDATING;
		v->v_hash = NULL;
		v->v_owner = 0;
		v->v_live = false;
		atomic_store(&v->v_deadline, QUERN_NEVER);
		*host_vm_slot(vh, id) = v;
		pthread_mutex_unlock(&v->v_lock);
		*vp = v;
	}
	pthread_mutex_unlock(&vh->vh_lock);
	return error;
}

/*
 * Give it back; `kept`: with its process, counted in vh_nkept.  Whoever waits for
 * it learns that it is gone.
 */
static void
give_slot(struct vmhost *vh, struct vmspace *v, bool kept)
{
	pthread_mutex_lock(&vh->vh_lock);
	pthread_mutex_lock(&v->v_lock);
	*host_vm_slot(vh, v->v_id) = v->v_hash;
	v->v_used = false;
	v->v_kept = kept;
	v->v_gen++;
	v->v_state = VM_IDLE;
	pthread_cond_broadcast(&v->v_cond);
	pthread_mutex_unlock(&v->v_lock);
	pthread_mutex_unlock(&vh->vh_lock);
}

/* Map a new slot's memory; the descriptor for the stub is *fdp. */
static int
map_slot(struct vmspace *v, int *fdp)
{
	int fd;
	void *p;

	fd = memfd_create("quern-slot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return host_error();
	fd = host_fd_above(fd, STUB_FD_RAM);
	if (fd < 0)
		return fd;
	if (ftruncate(fd, SLOT_LEN) != 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) !=
		0) {
		close(fd);
		return -ENOMEM;
	}
	p = mmap(NULL, SLOT_LEN, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_POPULATE, fd, 0);
	if (p == MAP_FAILED) {
		close(fd);
		return -ENOMEM;
	}
	v->v_slot = p;
	*fdp = fd;
	return 0;
}

/* What rt_sigaction and the filter are told, in SLOT_FP until the first run. */
struct setup {
	struct {
		uint64_t a_handler, a_flags, a_restorer, a_mask;
	} su_action;
	struct {
		uint64_t s_sp, s_flags, s_size;
	} su_stack;
	uint64_t su_mask;
	struct {
		uint64_t p_len, p_filter;
	} su_prog;
	char su_name[16];
	struct sock_filter su_filter[FILTER_MAX];
};

_Static_assert(sizeof(struct setup) <= FP_MAX, "");

static const int stub_signals[] = { SIGSYS, SIGSEGV, SIGBUS, SIGILL, SIGFPE,
	SIGTRAP, SIGUSR1 };

#define NSIGNAL (sizeof stub_signals / sizeof stub_signals[0])

static void
add_op(struct comm *c, struct stub_op *ops, uint64_t nr, uint64_t a, uint64_t b,
    uint64_t d, uint64_t e)
{
	assert(c->c_nops < STUB_NOPS);
	ops[c->c_nops++] = (struct stub_op){ nr, { a, b, d, e, 0, 0 }, 0 };
}

/* The first turn of a new stub: from an executed program to a bare guest. */
static void
write_setup(struct vmspace *v, bool traced)
{
	struct comm *c = vm_comm(v);
	struct stub_op *ops = (struct stub_op *)(void *)(v->v_slot + SLOT_OPS);
	struct setup *su = (struct setup *)(void *)(v->v_slot + SLOT_FP);
	const uint64_t at = SLOT_BASE + SLOT_FP;
	size_t i;

	su->su_action.a_handler = STUB_BASE + host_stub_offset[STUB_HANDLER];
	su->su_action.a_restorer = STUB_BASE + host_stub_offset[STUB_RESTORER];
	/* No signal is blocked in the handler, as it never returns. */
	su->su_action.a_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER |
	    SA_RESTORER_FLAG;
	su->su_stack.s_sp = SLOT_BASE + SLOT_STACK;
	su->su_stack.s_size = SLOT_LEN - SLOT_STACK;
	/* Signals to the embedder's process group are none of a guest's. */
	su->su_mask = ~UINT64_C(0);
	for (i = 0; i < NSIGNAL; i++)
		su->su_mask &= ~(UINT64_C(1) << (stub_signals[i] - 1));
	memcpy(su->su_name, "quern-guest", sizeof "quern-guest");
	su->su_prog.p_len = host_filter_make(v, su->su_filter, FILTER_MAX);
	assert(su->su_prog.p_len <= FILTER_MAX);
	su->su_prog.p_filter = at + offsetof(struct setup, su_filter);

	add_op(c, ops, SYS_munmap, VM_LOW, VM_TOP - VM_LOW, 0, 0);
	add_op(c, ops, SYS_prctl, PR_SET_NAME,
	    at + offsetof(struct setup, su_name), 0, 0);
	for (i = 0; i < NSIGNAL; i++)
		add_op(c, ops, SYS_rt_sigaction, (uint64_t)stub_signals[i],
		    at + offsetof(struct setup, su_action), 0, 8);
	add_op(c, ops, SYS_sigaltstack, at + offsetof(struct setup, su_stack),
	    0, 0, 0);
	add_op(c, ops, SYS_rt_sigprocmask, SIG_SETMASK,
	    at + offsetof(struct setup, su_mask), 0, 8);
	add_op(c, ops, SYS_close, STUB_FD_SLOT, 0, 0, 0);
	add_op(c, ops, SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0);
	if (!traced)
		add_op(c, ops, SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0,
		    at + offsetof(struct setup, su_prog), 0);
	c->c_sp = SLOT_BASE + SLOT_LEN;
	atomic_store(&c->c_turn, 1);
}

/* Wait for the end of its first turn, in which it has no way out. */
static int
await_setup(struct vmhost *vh, struct vmspace *v)
{
	struct comm *c = vm_comm(v);
	int error;

	v->v_handover = QUERN_POSIX_FUTEX;
	error = host_turn_pass(vh, v, NULL);
	if (error == 0 && c->c_operr != 0)
		error = -EIO;
	memset(v->v_slot + SLOT_OPS, 0, SLOT_STACK - SLOT_OPS);
	return error == 0 ? 0 : -EOPNOTSUPP;
}

/* End its process, and wait until the host's kernel has taken it apart. */
static void
end_process(struct vmhost *vh, struct vmspace *v)
{
	host_warden_unwatch(vh, v);
	host_turn_kill(v);
	host_trace_stop(v);
	host_turn_await_death(v);
	/* While somebody kicks it its descriptor must not be another's. */
	while (atomic_load(&vh->vh_kicking) != 0)
		sched_yield();
	close(v->v_pidfd);
	v->v_pidfd = -1;
	munmap(v->v_slot, SLOT_LEN);
}

static int
make_process(struct vmhost *vh, struct vmspace *v)
{
	bool traced = vh->vh_m->m_config->pc_vmspace == QUERN_POSIX_PTRACE;
	int error, fd;

	v->v_weak = vh->vh_m->m_config->pc_weaken;
	v->v_held = true; /* no guest code has run yet */
	v->v_gated = false;
	v->v_cpu = -1;
	v->v_npend = 0;
	atomic_store(&v->v_dead, 0);
	error = map_slot(v, &fd);
	if (error != 0)
		return error;
	if (getrandom(v->v_secret, sizeof v->v_secret, 0) !=
	    (ssize_t)sizeof v->v_secret) {
		error = -EAGAIN;
	} else {
		write_setup(v, traced);
		error = host_warden_birth(vh, v, fd);
	}
	close(fd);
	if (error != 0) {
		munmap(v->v_slot, SLOT_LEN);
		return error;
	}
	error = await_setup(vh, v);
	if (error == 0 && traced)
		error = host_trace_start(v);
	if (error != 0)
		end_process(vh, v);
	return error;
}

int
host_vm_create(void *ctx, uint32_t id)
{
	struct machine *m = ctx;
	struct vmhost *vh;
	struct vmspace *v;
	int error;

	error = get_vmhost(m, &vh);
	if (error != 0)
		return error;
	error = take_slot(vh, id, &v);
	if (error != 0)
		return error;
	if (v->v_pidfd >= 0 && atomic_load(&v->v_dead) != 0)
		end_process(vh, v);
	if (v->v_pidfd < 0)
		error = make_process(vh, v);
	if (error != 0)
		give_slot(vh, v, false);
	else
		host_vm_leave(v);
	return error;
}

/* --- keeping a process for the next ------------------------------------- */

/* Is there room for one more?  Then it is counted. */
static bool
reserve(struct vmhost *vh)
{
	bool room;

	pthread_mutex_lock(&vh->vh_lock);
	room = vh->vh_nkept < VM_NKEPT;
	vh->vh_nkept += room;
	pthread_mutex_unlock(&vh->vh_lock);
	return room;
}

static void
unreserve(struct vmhost *vh)
{
	pthread_mutex_lock(&vh->vh_lock);
	vh->vh_nkept--;
	pthread_mutex_unlock(&vh->vh_lock);
}

/*
 * Leave no trace of the guest.  The stub sleeps in its own code, and takes the
 * mappings apart before it runs the next guest; its processor state is loaded
 * anew by that.
 */
static bool
empty(struct vmhost *vh, struct vmspace *v)
{
	struct comm *c = vm_comm(v);

	/* A late signal would come with the guest's registers on the stack. */
	while (atomic_load(&vh->vh_kicking) != 0)
		sched_yield();
	/* When it has done something for us it has seen the earlier ones. */
	if ((v->v_weak & QUERN_POSIX_NOEMPTY) != 0)
		return true;
	if (atomic_load(&v->v_dead) != 0 || host_turn_hold(vh, v) != 0 ||
	    host_vm_clear(vh, v, atomic_load(&v->v_kicked) != 0) != 0)
		return false;
	c->c_uc = c->c_info = 0;
	c->c_sp = SLOT_BASE + SLOT_LEN;
	memset(v->v_slot + offsetof(struct comm, c_fp), 0,
	    SLOT_LEN - offsetof(struct comm, c_fp));
	return true;
}

static void
destroy(struct vmhost *vh, struct vmspace *v)
{
	bool kept = reserve(vh);

	if (kept && !empty(vh, v)) {
		unreserve(vh);
		kept = false;
	}
	if (!kept)
		end_process(vh, v);
	give_slot(vh, v, kept);
}

int
host_vm_destroy(void *ctx, uint32_t id)
{
	struct machine *m = ctx;
	struct vmhost *vh = atomic_load(&m->m_vm);
	struct vmspace *v;
	int error;

	if (vh == NULL)
		return -ENOENT;
	error = host_vm_enter(vh, id, VM_UPDATING, false, &v);
	if (error == 0)
		destroy(vh, v);
	return error;
}

void
host_vm_end(struct machine *m)
{
	struct vmhost *vh = atomic_load(&m->m_vm);
	struct vmspace *v;
	uint32_t i;

	if (vh == NULL)
		return;
	for (i = 0; i < vh->vh_nslot; i++) {
		v = atomic_load(&vh->vh_slot[i]);
		if (v->v_pidfd >= 0)
			end_process(vh, v);
	}
	host_warden_stop(vh);
	for (i = 0; i < vh->vh_nslot; i++) {
		v = atomic_load(&vh->vh_slot[i]);
		pthread_mutex_destroy(&v->v_lock);
		pthread_cond_destroy(&v->v_cond);
		free(v);
	}
	close(vh->vh_stubfd);
	pthread_mutex_destroy(&vh->vh_birthlock);
	pthread_mutex_destroy(&vh->vh_lock);
	pthread_cond_destroy(&vh->vh_cond);
	free(vh);
}
