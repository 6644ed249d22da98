/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmspaces: a guest's address space is that of a process of the host, which runs
 * the stub (vmstub.S) and, when told to, the guest.
 *
 * A vmspace shares two things with us: the RAM, of which it maps what it is told
 * to, and its slot, 32 KiB through which turns, registers and operations pass.
 * Its process has no other descriptor and no other system call (vmfilter.c).
 *
 * Operations on the address space are system calls that the stub makes for us
 * before it runs the guest again.  So an update only has to see to it that the
 * guest does not run: the stub is held (vmturn.c), and what is to be done waits in
 * v_pend for the next run, all in order.  Maps alone can wait for that even
 * while the guest runs.  While an operation is in the slot so are the secrets, and
 * then too the stub is held.
 *
 * If an operation fails, for want of memory, what waited behind it must not be
 * lost: pages may be others' by now.  Then all is unmapped, which always works,
 * and the caller maps again what is used.
 *
 * v_state says who has the vmspace: idle, nobody; running, a thread in vm_run;
 * updating, one that makes, changes or destroys it.  Only vm_run keeps it for
 * long, and an update that can't wait interrupts it.
 *
 * For a vmspace with several guest threads at once, which the next step needs,
 * this is not enough: one thread could read the secrets from the slot while
 * another is held.  Then operations must be made by a process that shares the
 * address space and nothing else with the guest's threads.
 */
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vm.h"

_Static_assert(VM_LOW == QUERN_VM_LOW && VM_TOP == QUERN_VM_TOP, "");

/* --- who has a vmspace -------------------------------------------------- */

struct vmspace **
host_vm_slot(struct vmhost *vh, uint32_t id)
{
	struct vmspace **vp = &vh->vh_hash[id % VM_NHASH];

	while (*vp != NULL && (*vp)->v_id != id)
		vp = &(*vp)->v_hash;
	return vp;
}

/*
 * Wait until v is idle and nobody with a better right wants it.  v_lock is held.
 * 0, -ENOENT (it went meanwhile), -EBUSY (running).
 */
static int
await_idle(struct vmspace *v, uint32_t gen, bool updater)
{
	struct timespec ts;
	uint64_t until = host_now() + 2 * NS_PER_SEC;

	while (v->v_gen == gen &&
	    (v->v_state != VM_IDLE || (!updater && v->v_updaters > 0))) {
		if (!updater && v->v_state == VM_RUNNING)
			return -EBUSY;
		ts.tv_sec = (time_t)(until / NS_PER_SEC);
		ts.tv_nsec = (long)(until % NS_PER_SEC);
		if (pthread_cond_timedwait(&v->v_cond, &v->v_lock, &ts) ==
		    ETIMEDOUT)
			return v->v_gen == gen ? -EBUSY : -ENOENT;
	}
	return v->v_gen == gen ? 0 : -ENOENT;
}

struct vmspace *
host_vm_find(struct vmhost *vh, uint32_t id)
{
	struct vmspace *v;

	pthread_mutex_lock(&vh->vh_lock);
	v = *host_vm_slot(vh, id);
	if (v != NULL)
		pthread_mutex_lock(&v->v_lock);
	pthread_mutex_unlock(&vh->vh_lock);
	return v;
}

int
host_vm_enter(struct vmhost *vh, uint32_t id, enum vm_state state, bool updater,
    struct vmspace **vp)
{
	struct vmspace *v = host_vm_find(vh, id);
	uint32_t gen;
	int error;

	if (v == NULL)
		return -ENOENT;
	gen = v->v_gen;
	if (updater && v->v_updaters++ == 0)
		atomic_store(&v->v_stop, 1);
	if (updater && v->v_state == VM_RUNNING)
		host_turn_kick(v);
	error = await_idle(v, gen, updater);
	if (updater && --v->v_updaters == 0)
		atomic_store(&v->v_stop, 0);
	if (error == 0)
		v->v_state = state;
	pthread_cond_broadcast(&v->v_cond);
	pthread_mutex_unlock(&v->v_lock);
	*vp = v;
	return error;
}

unsigned
host_vm_take(struct vmspace *v, struct quern_vm_op ops[STUB_NOPS])
{
	unsigned n;

	pthread_mutex_lock(&v->v_lock);
	n = v->v_npend;
	memcpy(ops, v->v_pend, n * sizeof(*ops));
	v->v_npend = 0;
	pthread_mutex_unlock(&v->v_lock);
	return n;
}

void
host_vm_leave(struct vmspace *v)
{
	pthread_mutex_lock(&v->v_lock);
	v->v_state = VM_IDLE;
	pthread_cond_broadcast(&v->v_cond);
	pthread_mutex_unlock(&v->v_lock);
}

/* --- changing one ------------------------------------------------------- */

static bool
op_valid(const struct machine *m, const struct quern_vm_op *op)
{
	const uint64_t mask = QUERN_PAGE_SIZE - 1;

	if (op->v_len == 0 || ((op->v_addr | op->v_len) & mask) != 0 ||
	    op->v_addr < VM_LOW || op->v_addr > VM_TOP ||
	    op->v_len > VM_TOP - op->v_addr)
		return false;
	if ((op->v_prot &
		~(QUERN_VM_READ | QUERN_VM_WRITE | QUERN_VM_EXEC |
		    QUERN_VM_POPULATE)) != 0)
		return false;
	if (op->v_cmd != QUERN_VM_MAP)
		return op->v_cmd == QUERN_VM_UNMAP ||
		    op->v_cmd == QUERN_VM_PROTECT;
	return (op->v_ram & mask) == 0 && op->v_ram <= m->m_ramlen &&
	    op->v_len <= m->m_ramlen - op->v_ram;
}

/* Is all of `a` within `b`? */
static bool
within(const struct quern_vm_op *a, const struct quern_vm_op *b)
{
	return a->v_addr >= b->v_addr &&
	    a->v_addr + a->v_len <= b->v_addr + b->v_len;
}

/* Put one behind those that wait; false: there is no room.  [v] */
static bool
leave_one(struct vmspace *v, const struct quern_vm_op *op)
{
	/* What it replaces need not be made. */
	while (op->v_cmd != QUERN_VM_PROTECT && v->v_npend > 0 &&
	    within(&v->v_pend[v->v_npend - 1], op))
		v->v_npend--;
	if (v->v_npend == STUB_NOPS)
		return false;
	v->v_pend[v->v_npend++] = *op;
	return true;
}

/* If all are maps and there is room, leave them for the next run.  [v] */
static bool
leave_maps(struct vmspace *v, const struct quern_vm_op *ops, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (ops[i].v_cmd != QUERN_VM_MAP)
			return false;
	if (n > STUB_NOPS - v->v_npend)
		return false;
	for (i = 0; i < n; i++)
		(void)leave_one(v, &ops[i]);
	return true;
}

/* Have the stub make up to STUB_NOPS changes.  0, -ENOMEM, -EIO. */
static int
session(struct vmhost *vh, struct vmspace *v, const struct quern_vm_op *ops,
    unsigned n)
{
	struct comm *c = vm_comm(v);
	struct stub_op *so = (struct stub_op *)(void *)(v->v_slot + SLOT_OPS);
	unsigned i;
	int error;

	error = host_turn_hold(vh, v);
	if (error != 0)
		return error;
	for (i = 0; i < n; i++)
		host_filter_op(v, &ops[i], &so[i]);
	c->c_nops = n;
	c->c_opi = c->c_operr = c->c_resume = 0;
	error = host_turn_pass(vh, v, NULL);
	/* It is held: these are what the stub has written. */
	if (error == 0 && c->c_operr != 0)
		error = -ENOMEM;
	else if (error == 0 && (c->c_opi != n || c->c_sig != 0))
		error = -EIO;
	memset(v->v_slot + SLOT_OPS, 0, n * OP_SIZE);
	return error;
}

int
host_vm_clear(struct vmhost *vh, struct vmspace *v, bool now)
{
	static const struct quern_vm_op all = { .v_cmd = QUERN_VM_UNMAP,
		.v_addr = VM_LOW,
		.v_len = VM_TOP - VM_LOW };
	int error = host_turn_hold(vh, v);

	if (error != 0)
		return error;
	pthread_mutex_lock(&v->v_lock);
	v->v_npend = now ? 0 : 1;
	v->v_pend[0] = all;
	pthread_mutex_unlock(&v->v_lock);
	return now && session(vh, v, &all, 1) != 0 ? -EIO : 0;
}

/* Make what waits.  0; -ENOMEM: nothing is mapped now; -EIO. */
static int
flush(struct vmhost *vh, struct vmspace *v)
{
	struct quern_vm_op pend[STUB_NOPS];
	unsigned n = host_vm_take(v, pend);
	int error = session(vh, v, pend, n);

	if (error == -ENOMEM && host_vm_clear(vh, v, true) != 0)
		error = -EIO;
	return error;
}

/* Leave all for the next run of a stub that is held.  0, -ENOMEM, -EIO. */
static int
leave_all(struct vmhost *vh, struct vmspace *v, const struct quern_vm_op *ops,
    unsigned n)
{
	int error = host_turn_hold(vh, v);
	unsigned i;
	bool left;

	for (i = 0; i < n && error == 0; i++) {
		pthread_mutex_lock(&v->v_lock);
		left = leave_one(v, &ops[i]);
		pthread_mutex_unlock(&v->v_lock);
		if (!left) {
			error = flush(vh, v);
			i--;
		}
	}
	return error;
}

int
host_vm_update(void *ctx, unsigned cpu, uint32_t id,
    const struct quern_vm_op *ops, unsigned n)
{
	struct machine *m = ctx;
	struct vmhost *vh = atomic_load(&m->m_vm);
	struct vmspace *v;
	unsigned i;
	bool left;
	int error;

	if (vh == NULL)
		return -ENOENT;
	if (cpu >= m->m_ncpu)
		return -EINVAL;
	for (i = 0; i < n; i++)
		if (!op_valid(m, &ops[i]))
			return -EINVAL;
	v = host_vm_find(vh, id);
	if (v == NULL)
		return -ENOENT;
	left = leave_maps(v, ops, n);
	pthread_mutex_unlock(&v->v_lock);
	if (left)
		return 0;
	error = host_vm_enter(vh, id, VM_UPDATING, true, &v);
	if (error != 0)
		return error;
	error = leave_all(vh, v, ops, n);
	if (error == -EIO) {
		/* Nothing is mapped in a process that is gone. */
		host_turn_kill(v);
		host_turn_await_death(v);
		error = 0;
	}
	host_vm_leave(v);
	return error;
}
