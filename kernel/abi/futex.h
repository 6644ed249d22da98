/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * futex(2) and robust lists.
 */
#ifndef QUERN_ABI_FUTEX_H
#define QUERN_ABI_FUTEX_H

#include <stdint.h>

#define Q_FUTEX_WAIT            0
#define Q_FUTEX_WAKE            1
#define Q_FUTEX_FD              2
#define Q_FUTEX_REQUEUE         3
#define Q_FUTEX_CMP_REQUEUE     4
#define Q_FUTEX_WAKE_OP         5
#define Q_FUTEX_LOCK_PI         6
#define Q_FUTEX_UNLOCK_PI       7
#define Q_FUTEX_TRYLOCK_PI      8
#define Q_FUTEX_WAIT_BITSET     9
#define Q_FUTEX_WAKE_BITSET     10
#define Q_FUTEX_WAIT_REQUEUE_PI 11
#define Q_FUTEX_CMP_REQUEUE_PI  12
#define Q_FUTEX_LOCK_PI2        13

#define Q_FUTEX_PRIVATE_FLAG   128
#define Q_FUTEX_CLOCK_REALTIME 256

#define Q_FUTEX_WAITERS    0x80000000u
#define Q_FUTEX_OWNER_DIED 0x40000000u
#define Q_FUTEX_TID_MASK   0x3fffffffu

#define Q_FUTEX_OP_SET         0
#define Q_FUTEX_OP_ADD         1
#define Q_FUTEX_OP_OR          2
#define Q_FUTEX_OP_ANDN        3
#define Q_FUTEX_OP_XOR         4
#define Q_FUTEX_OP_OPARG_SHIFT 8
#define Q_FUTEX_OP_CMP_EQ      0
#define Q_FUTEX_OP_CMP_NE      1
#define Q_FUTEX_OP_CMP_LT      2
#define Q_FUTEX_OP_CMP_LE      3
#define Q_FUTEX_OP_CMP_GT      4
#define Q_FUTEX_OP_CMP_GE      5

#define Q_FUTEX_BITSET_MATCH_ANY 0xffffffffu

struct q_robust_list_head {
	uint64_t list_next;
	int64_t futex_offset;
	uint64_t list_op_pending;
};

#endif /* QUERN_ABI_FUTEX_H */
