/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ioprio_set(2).
 */
#ifndef QUERN_ABI_IOPRIO_H
#define QUERN_ABI_IOPRIO_H

#define Q_IOPRIO_WHO_PROCESS 1
#define Q_IOPRIO_WHO_PGRP    2
#define Q_IOPRIO_WHO_USER    3

/* The class and, below it, the level within it. */
#define Q_IOPRIO_CLASS_SHIFT 13
#define Q_IOPRIO_LEVELS      8

#define Q_IOPRIO_CLASS_NONE 0
#define Q_IOPRIO_CLASS_RT   1
#define Q_IOPRIO_CLASS_BE   2
#define Q_IOPRIO_CLASS_IDLE 3

#endif /* QUERN_ABI_IOPRIO_H */
