/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Debian's User-mode Linux ends with a segmentation fault on processors with
 * AMX: it keeps less of the extended state than there is, and the host refuses
 * what it hands back.  This, loaded before libc, makes it as long as the host
 * wants it, without tile data, which costs nothing that matters.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define NT_X86_XSTATE 0x202
#define XSTATE_BV     512
#define TILES         (UINT64_C(3) << 17)

static char full[16384] __attribute__((aligned(64)));
static size_t full_len;

static long
get_state(long pid, struct iovec *theirs)
{
	struct iovec all = { full, sizeof full };
	long ret = syscall(SYS_ptrace, PTRACE_GETREGSET, pid, NT_X86_XSTATE,
	    &all);

	if (ret != 0)
		return ret;
	full_len = all.iov_len;
	if (theirs->iov_len > full_len)
		theirs->iov_len = full_len;
	memcpy(theirs->iov_base, full, theirs->iov_len);
	return 0;
}

static long
set_state(long pid, const struct iovec *theirs)
{
	struct iovec all = { full, full_len };
	uint64_t bv;

	if (full_len == 0 || theirs->iov_len > full_len) {
		errno = EINVAL;
		return -1;
	}
	memset(full + theirs->iov_len, 0, full_len - theirs->iov_len);
	memcpy(full, theirs->iov_base, theirs->iov_len);
	memcpy(&bv, full + XSTATE_BV, sizeof bv);
	bv &= ~TILES;
	memcpy(full + XSTATE_BV, &bv, sizeof bv);
	return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, NT_X86_XSTATE, &all);
}

long
ptrace(enum __ptrace_request req, ...)
{
	long pid, addr, data, word, ret;
	va_list ap;

	va_start(ap, req);
	pid = va_arg(ap, long);
	addr = va_arg(ap, long);
	data = va_arg(ap, long);
	va_end(ap);
	if (req == PTRACE_GETREGSET && addr == NT_X86_XSTATE)
		return get_state(pid, (struct iovec *)data);
	if (req == PTRACE_SETREGSET && addr == NT_X86_XSTATE)
		return set_state(pid, (const struct iovec *)data);
	/* The kernel stores what libc returns. */
	if (req == PTRACE_PEEKTEXT || req == PTRACE_PEEKDATA ||
	    req == PTRACE_PEEKUSER) {
		ret = syscall(SYS_ptrace, req, pid, addr, &word);
		return ret < 0 ? ret : word;
	}
	return syscall(SYS_ptrace, req, pid, addr, data);
}
