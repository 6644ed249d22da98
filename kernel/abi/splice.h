/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moving data between files: splice(2), tee(2), vmsplice(2).
 */
#ifndef QUERN_ABI_SPLICE_H
#define QUERN_ABI_SPLICE_H

#define Q_SPLICE_F_MOVE     1
#define Q_SPLICE_F_NONBLOCK 2
#define Q_SPLICE_F_MORE     4
#define Q_SPLICE_F_GIFT     8

#endif /* QUERN_ABI_SPLICE_H */
