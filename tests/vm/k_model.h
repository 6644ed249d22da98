/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_VM_K_MODEL_H
#define TESTS_VM_K_MODEL_H

#include "model.h"

/* Of one run on posix. */
#ifdef __SANITIZE_ADDRESS__
#define KMODEL_STEPS 20000u
#else
#define KMODEL_STEPS 100000u
#endif

extern const struct kcase kmodel_cases[], kmodel_bugs[];

#endif /* TESTS_VM_K_MODEL_H */
