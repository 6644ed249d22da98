/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands of ioctl(2) that more than one kind of file understands.
 */
#ifndef QUERN_ABI_IOCTL_H
#define QUERN_ABI_IOCTL_H

#define Q_FIONREAD 0x541b
#define Q_FIONBIO  0x5421
#define Q_FIONCLEX 0x5450
#define Q_FIOCLEX  0x5451
#define Q_FIOASYNC 0x5452
#define Q_FIOQSIZE 0x5460

/* Terminals'. */
#define Q_TCGETS      0x5401
#define Q_TCSETS      0x5402
#define Q_TCSETSW     0x5403
#define Q_TCSETSF     0x5404
#define Q_TCSBRK      0x5409
#define Q_TCXONC      0x540a
#define Q_TCFLSH      0x540b
#define Q_TIOCEXCL    0x540c
#define Q_TIOCNXCL    0x540d
#define Q_TIOCSCTTY   0x540e
#define Q_TIOCGPGRP   0x540f
#define Q_TIOCSPGRP   0x5410
#define Q_TIOCOUTQ    0x5411
#define Q_TIOCSTI     0x5412
#define Q_TIOCGWINSZ  0x5413
#define Q_TIOCSWINSZ  0x5414
#define Q_TIOCINQ     0x541b
#define Q_TIOCPKT     0x5420
#define Q_TIOCNOTTY   0x5422
#define Q_TIOCSETD    0x5423
#define Q_TIOCGETD    0x5424
#define Q_TCSBRKP     0x5425
#define Q_TIOCSBRK    0x5427
#define Q_TIOCCBRK    0x5428
#define Q_TIOCGSID    0x5429
#define Q_TCGETS2     0x802c542a
#define Q_TCSETS2     0x402c542b
#define Q_TCSETSW2    0x402c542c
#define Q_TCSETSF2    0x402c542d
#define Q_TIOCGPTN    0x80045430
#define Q_TIOCSPTLCK  0x40045431
#define Q_TIOCGDEV    0x80045432
#define Q_TIOCSIG     0x40045436
#define Q_TIOCVHANGUP 0x5437
#define Q_TIOCGPKT    0x80045438
#define Q_TIOCGPTLCK  0x80045439
#define Q_TIOCGEXCL   0x80045440
#define Q_TIOCGPTPEER 0x5441

/* Bits of the byte that a read in packet mode begins with. */
#define Q_TIOCPKT_DATA       0
#define Q_TIOCPKT_FLUSHREAD  1
#define Q_TIOCPKT_FLUSHWRITE 2
#define Q_TIOCPKT_STOP       4
#define Q_TIOCPKT_START      8
#define Q_TIOCPKT_NOSTOP     16
#define Q_TIOCPKT_DOSTOP     32
#define Q_TIOCPKT_IOCTL      64

/* File systems'. */
#define Q_FIBMAP   0x1
#define Q_FIGETBSZ 0x2
#define Q_FITRIM   0xc0185879

/* Disks'. */
#define Q_BLKROGET     0x125e
#define Q_BLKGETSIZE   0x1260
#define Q_BLKFLSBUF    0x1261
#define Q_BLKSSZGET    0x1268
#define Q_BLKBSZGET    0x80081270
#define Q_BLKGETSIZE64 0x80081272
#define Q_BLKDISCARD   0x1277
#define Q_BLKPBSZGET   0x127b
#define Q_BLKZEROOUT   0x127f

#endif /* QUERN_ABI_IOCTL_H */
