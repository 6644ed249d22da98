/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory: mmap(2), mremap(2), madvise(2), mlock(2), msync(2), memfd_create(2),
 * swapon(2).
 */
#ifndef QUERN_ABI_MMAN_H
#define QUERN_ABI_MMAN_H

#define Q_PROT_NONE      0x0
#define Q_PROT_READ      0x1
#define Q_PROT_WRITE     0x2
#define Q_PROT_EXEC      0x4
#define Q_PROT_SEM       0x8
#define Q_PROT_GROWSDOWN 0x1000000
#define Q_PROT_GROWSUP   0x2000000

#define Q_MAP_TYPE            0xf
#define Q_MAP_SHARED          0x1
#define Q_MAP_PRIVATE         0x2
#define Q_MAP_SHARED_VALIDATE 0x3
#define Q_MAP_FIXED           0x10
#define Q_MAP_ANONYMOUS       0x20
#define Q_MAP_32BIT           0x40
#define Q_MAP_GROWSDOWN       0x100
#define Q_MAP_DENYWRITE       0x800
#define Q_MAP_EXECUTABLE      0x1000
#define Q_MAP_LOCKED          0x2000
#define Q_MAP_NORESERVE       0x4000
#define Q_MAP_POPULATE        0x8000
#define Q_MAP_NONBLOCK        0x10000
#define Q_MAP_STACK           0x20000
#define Q_MAP_HUGETLB         0x40000
#define Q_MAP_SYNC            0x80000
#define Q_MAP_FIXED_NOREPLACE 0x100000

#define Q_MREMAP_MAYMOVE   1
#define Q_MREMAP_FIXED     2
#define Q_MREMAP_DONTUNMAP 4

#define Q_MS_ASYNC      1
#define Q_MS_INVALIDATE 2
#define Q_MS_SYNC       4

#define Q_MCL_CURRENT 1
#define Q_MCL_FUTURE  2
#define Q_MCL_ONFAULT 4

#define Q_MLOCK_ONFAULT 0x1

#define Q_MADV_NORMAL          0
#define Q_MADV_RANDOM          1
#define Q_MADV_SEQUENTIAL      2
#define Q_MADV_WILLNEED        3
#define Q_MADV_DONTNEED        4
#define Q_MADV_FREE            8
#define Q_MADV_REMOVE          9
#define Q_MADV_DONTFORK        10
#define Q_MADV_DOFORK          11
#define Q_MADV_MERGEABLE       12
#define Q_MADV_UNMERGEABLE     13
#define Q_MADV_HUGEPAGE        14
#define Q_MADV_NOHUGEPAGE      15
#define Q_MADV_DONTDUMP        16
#define Q_MADV_DODUMP          17
#define Q_MADV_WIPEONFORK      18
#define Q_MADV_KEEPONFORK      19
#define Q_MADV_COLD            20
#define Q_MADV_PAGEOUT         21
#define Q_MADV_POPULATE_READ   22
#define Q_MADV_POPULATE_WRITE  23
#define Q_MADV_DONTNEED_LOCKED 24
#define Q_MADV_COLLAPSE        25
#define Q_MADV_HWPOISON        100
#define Q_MADV_SOFT_OFFLINE    101

#define Q_MFD_CLOEXEC       0x1
#define Q_MFD_ALLOW_SEALING 0x2
#define Q_MFD_HUGETLB       0x4

#define Q_OVERCOMMIT_GUESS  0
#define Q_OVERCOMMIT_ALWAYS 1
#define Q_OVERCOMMIT_NEVER  2

#endif /* QUERN_ABI_MMAN_H */
