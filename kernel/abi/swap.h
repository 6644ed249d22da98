/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swapon(2).
 */
#ifndef QUERN_ABI_SWAP_H
#define QUERN_ABI_SWAP_H

#define Q_SWAP_FLAG_PRIO_MASK     0x7fff
#define Q_SWAP_FLAG_PREFER        0x8000
#define Q_SWAP_FLAG_DISCARD       0x10000
#define Q_SWAP_FLAG_DISCARD_ONCE  0x20000
#define Q_SWAP_FLAG_DISCARD_PAGES 0x40000
#define Q_SWAP_FLAGS              0x7ffff

#endif /* QUERN_ABI_SWAP_H */
