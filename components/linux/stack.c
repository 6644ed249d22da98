/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program finds on its stack: arguments, environment, auxiliary vector.
 *
 * From the top: the program's name, the environment's and the arguments'
 * strings, the platform's name, random bytes; then, aligned to 16, the vector,
 * the pointers and the number of arguments, where the stack pointer is.
 */
#include "impl.h"

#include <quern/abi/elf.h>
#include <quern/abi/mman.h>

#define PAGE      ((uint64_t)QUERN_PAGE_SIZE)
#define STACK_TOP (QVM_TOP - PAGE)
/* What is mapped at first; it grows by itself. */
#define STACK_FIRST ((uint64_t)132 << 10)
#define NAUX        24u

#define USER_HZ         100u
#define HWCAP2_FSGSBASE 2u

struct stack {
	const struct quspace *st_us;
	uint64_t st_sp;
	int st_error;
};

static void
push(struct stack *st, const void *p, size_t len)
{
	st->st_sp -= len;
	if (st->st_error == 0)
		st->st_error = qcopyout(st->st_us, st->st_sp, p, len);
}

/* Write pointers to the `n` strings at `at`, and NULL; where that ends. */
static uint64_t
put_pointers(struct stack *st, uint64_t to, const struct lstrings *ss,
    uint64_t at)
{
	const char *p = ss->ss_p;
	uint64_t addr, batch[32];
	unsigned i, n = 0;
	size_t len;

	for (i = 0; i <= ss->ss_n; i++) {
		addr = 0;
		if (i < ss->ss_n) {
			addr = at;
			len = qstrlen(p) + 1;
			p += len;
			at += len;
		}
		batch[n++] = addr;
		if (n < QARRAYLEN(batch) && i < ss->ss_n)
			continue;
		if (st->st_error == 0)
			st->st_error = qcopyout(st->st_us, to, batch,
			    n * sizeof(addr));
		to += n * sizeof(addr);
		n = 0;
	}
	return to;
}

/* What the processor is: feature bits of cpuid leaf 1, as Linux tells. */
static uint64_t
hwcap(struct lsys *l)
{
	uint32_t a = 1, b, c = 0, d;

	/* Where we are a guest ourselves it takes some 50 us. */
	d = (uint32_t)__atomic_load_n(&l->l_hwcap, __ATOMIC_RELAXED);
	if (d == 0) {
		__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
		__atomic_store_n(&l->l_hwcap, d, __ATOMIC_RELAXED);
	}
	return d;
}

static unsigned
make_aux(struct quern_proc *p, const struct limage *im, uint64_t platform,
    uint64_t random, uint64_t name, uint64_t aux[NAUX][2])
{
	const struct qcred *c = &p->p_cred;
	const uint64_t all[][2] = {
		{ Q_AT_SYSINFO_EHDR, im->im_vdso },
		{ Q_AT_MINSIGSTKSZ, linux_of(p->p_k)->l_xsave + 1024 },
		{ Q_AT_HWCAP, hwcap(linux_of(p->p_k)) },
		{ Q_AT_PAGESZ, PAGE },
		{ Q_AT_CLKTCK, USER_HZ },
		{ Q_AT_PHDR, im->im_phdr },
		{ Q_AT_PHENT, sizeof(struct q_elf64_phdr) },
		{ Q_AT_PHNUM, im->im_phnum },
		{ Q_AT_BASE, im->im_base },
		{ Q_AT_FLAGS, 0 },
		{ Q_AT_ENTRY, im->im_start },
		{ Q_AT_UID, c->c_uid },
		{ Q_AT_EUID,
		    im->im_uid != UINT32_MAX ? im->im_uid : c->c_euid },
		{ Q_AT_GID, c->c_gid },
		{ Q_AT_EGID,
		    im->im_gid != UINT32_MAX ? im->im_gid : c->c_egid },
		{ Q_AT_SECURE, im->im_secure },
		{ Q_AT_RANDOM, random },
		{ Q_AT_HWCAP2, HWCAP2_FSGSBASE },
		{ Q_AT_EXECFN, name },
		{ Q_AT_PLATFORM, platform },
		{ Q_AT_NULL, 0 },
	};
	/* Without a vDSO nothing is said about one. */
	unsigned skip = im->im_vdso == 0 ? 1 : 0;

	_Static_assert(QARRAYLEN(all) <= NAUX, "");
	memcpy(aux, all + skip, sizeof(all) - skip * sizeof(all[0]));
	return (unsigned)QARRAYLEN(all) - skip;
}

/* Everything above the pointers; where strings are goes to im_at. */
static int
push_all(struct quern_proc *p, struct limage *im, struct stack *st)
{
	uint64_t aux[NAUX][2], name, platform, random, at, n, argc;
	uint8_t seed[16];
	unsigned naux;
	int error;

	error = qrandom_fill(p->p_k, seed, sizeof(seed));
	if (error != 0)
		return error;
	push(st, im->im_name, qstrlen(im->im_name) + 1);
	name = st->st_sp;
	im->im_at[3] = st->st_sp;
	push(st, im->im_envp.ss_p, im->im_envp.ss_len);
	im->im_at[2] = im->im_at[1] = st->st_sp;
	push(st, im->im_argv.ss_p, im->im_argv.ss_len);
	im->im_at[0] = st->st_sp;
	push(st, "x86_64", 7);
	platform = st->st_sp;
	st->st_sp &= ~UINT64_C(15);
	push(st, seed, sizeof(seed));
	random = st->st_sp;
	naux = make_aux(p, im, platform, random, name, aux);
	n = 1 + im->im_argv.ss_n + 1 + im->im_envp.ss_n + 1 + 2 * naux;
	at = (st->st_sp - n * sizeof(uint64_t)) & ~UINT64_C(15);
	im->im_sp = at;
	argc = im->im_argv.ss_n;
	if (st->st_error == 0)
		st->st_error = qcopyout(st->st_us, at, &argc, sizeof(argc));
	at = put_pointers(st, at + 8, &im->im_argv, im->im_at[0]);
	at = put_pointers(st, at, &im->im_envp, im->im_at[2]);
	im->im_at[4] = at;
	im->im_at[5] = at + naux * sizeof(aux[0]);
	if (st->st_error == 0)
		st->st_error = qcopyout(st->st_us, at, aux,
		    naux * sizeof(aux[0]));
	return st->st_error == -Q_EFAULT ? -Q_E2BIG : st->st_error;
}

int
stack_make(struct quern_proc *p, struct limage *im)
{
	struct stack st = { .st_us = qvm_uspace(im->im_map) };
	uint64_t top, start, r = 0;
	unsigned prot = Q_PROT_READ | Q_PROT_WRITE;
	int error;

	(void)!qrandom_fill(p->p_k, &r, sizeof(r));
	top = STACK_TOP - (r & 0x3fffff) * PAGE;
	start = top - STACK_FIRST;
	if (im->im_execstack)
		prot |= Q_PROT_EXEC;
	error = qvm_map_named(im->im_map, &start, STACK_FIRST, prot,
	    Q_MAP_PRIVATE | Q_MAP_ANONYMOUS | Q_MAP_FIXED | Q_MAP_GROWSDOWN,
	    NULL, 0, "[stack]");
	if (error != 0)
		return error;
	/* Not where the name of the page before could be read. */
	st.st_sp = top - 8 - (r >> 32 & 0xff0);
	return push_all(p, im, &st);
}
