/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clocks and times: clock_gettime(2), nanosleep(2), timerfd_settime(2) and others.
 */
#ifndef QUERN_ABI_TIME_H
#define QUERN_ABI_TIME_H

#include <stdint.h>

/* Clocks. */
#define Q_CLOCK_REALTIME           0
#define Q_CLOCK_MONOTONIC          1
#define Q_CLOCK_PROCESS_CPUTIME_ID 2
#define Q_CLOCK_THREAD_CPUTIME_ID  3
#define Q_CLOCK_MONOTONIC_RAW      4
#define Q_CLOCK_REALTIME_COARSE    5
#define Q_CLOCK_MONOTONIC_COARSE   6
#define Q_CLOCK_BOOTTIME           7
#define Q_CLOCK_REALTIME_ALARM     8
#define Q_CLOCK_BOOTTIME_ALARM     9
#define Q_CLOCK_TAI                11

#define Q_TIMER_ABSTIME 1

#define Q_ITIMER_REAL    0
#define Q_ITIMER_VIRTUAL 1
#define Q_ITIMER_PROF    2

struct q_timespec {
	int64_t tv_sec;
	int64_t tv_nsec;
};

struct q_timeval {
	int64_t tv_sec;
	int64_t tv_usec;
};

struct q_timezone {
	int32_t tz_minuteswest;
	int32_t tz_dsttime;
};

struct q_itimerspec {
	struct q_timespec it_interval;
	struct q_timespec it_value;
};

struct q_itimerval {
	struct q_timeval it_interval;
	struct q_timeval it_value;
};

#endif /* QUERN_ABI_TIME_H */
