/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Limits and use of resources: prlimit64(2), getrusage(2).
 */
#ifndef QUERN_ABI_RESOURCE_H
#define QUERN_ABI_RESOURCE_H

#include <stdint.h>

#include <quern/abi/time.h>

#define Q_RLIMIT_CPU        0
#define Q_RLIMIT_FSIZE      1
#define Q_RLIMIT_DATA       2
#define Q_RLIMIT_STACK      3
#define Q_RLIMIT_CORE       4
#define Q_RLIMIT_RSS        5
#define Q_RLIMIT_NPROC      6
#define Q_RLIMIT_NOFILE     7
#define Q_RLIMIT_MEMLOCK    8
#define Q_RLIMIT_AS         9
#define Q_RLIMIT_LOCKS      10
#define Q_RLIMIT_SIGPENDING 11
#define Q_RLIMIT_MSGQUEUE   12
#define Q_RLIMIT_NICE       13
#define Q_RLIMIT_RTPRIO     14
#define Q_RLIMIT_RTTIME     15
#define Q_RLIM_NLIMITS      16

#define Q_RLIM_INFINITY UINT64_MAX

#define Q_RUSAGE_SELF     0
#define Q_RUSAGE_CHILDREN (-1)
#define Q_RUSAGE_THREAD   1

struct q_rlimit {
	uint64_t rlim_cur;
	uint64_t rlim_max;
};

struct q_rusage {
	struct q_timeval ru_utime;
	struct q_timeval ru_stime;
	int64_t ru_maxrss;
	int64_t ru_ixrss;
	int64_t ru_idrss;
	int64_t ru_isrss;
	int64_t ru_minflt;
	int64_t ru_majflt;
	int64_t ru_nswap;
	int64_t ru_inblock;
	int64_t ru_oublock;
	int64_t ru_msgsnd;
	int64_t ru_msgrcv;
	int64_t ru_nsignals;
	int64_t ru_nvcsw;
	int64_t ru_nivcsw;
};

#endif /* QUERN_ABI_RESOURCE_H */
