/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * getrandom(2).
 */
#ifndef QUERN_ABI_RANDOM_H
#define QUERN_ABI_RANDOM_H

#define Q_GRND_NONBLOCK 1
#define Q_GRND_RANDOM   2
#define Q_GRND_INSECURE 4

#endif /* QUERN_ABI_RANDOM_H */
