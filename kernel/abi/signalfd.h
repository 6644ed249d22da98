/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * signalfd(2), pidfd_open(2).
 */
#ifndef QUERN_ABI_SIGNALFD_H
#define QUERN_ABI_SIGNALFD_H

#include <stdint.h>

#include <quern/abi/fcntl.h>

#define Q_SFD_CLOEXEC  Q_O_CLOEXEC
#define Q_SFD_NONBLOCK Q_O_NONBLOCK

#define Q_PIDFD_NONBLOCK Q_O_NONBLOCK

/* What is read: 128 bytes. */
struct q_signalfd_siginfo {
	uint32_t ssi_signo;
	int32_t ssi_errno;
	int32_t ssi_code;
	uint32_t ssi_pid;
	uint32_t ssi_uid;
	int32_t ssi_fd;
	uint32_t ssi_tid;
	uint32_t ssi_band;
	uint32_t ssi_overrun;
	uint32_t ssi_trapno;
	int32_t ssi_status;
	int32_t ssi_int;
	uint64_t ssi_ptr;
	uint64_t ssi_utime;
	uint64_t ssi_stime;
	uint64_t ssi_addr;
	uint16_t ssi_addr_lsb;
	uint16_t ssi_pad2;
	int32_t ssi_syscall;
	uint64_t ssi_call_addr;
	uint32_t ssi_arch;
	uint8_t ssi_pad[28];
};

#endif /* QUERN_ABI_SIGNALFD_H */
