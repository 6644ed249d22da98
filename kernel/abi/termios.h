/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Terminals, as the kernel has them: struct termios is not libc's.
 */
#ifndef QUERN_ABI_TERMIOS_H
#define QUERN_ABI_TERMIOS_H

#include <stdint.h>

#define Q_NCCS 19

/* TCGETS and its kind. */
struct q_termios {
	uint32_t c_iflag;
	uint32_t c_oflag;
	uint32_t c_cflag;
	uint32_t c_lflag;
	uint8_t c_line;
	uint8_t c_cc[Q_NCCS];
};

/* TCGETS2 and its kind: speeds as numbers. */
struct q_termios2 {
	uint32_t c_iflag;
	uint32_t c_oflag;
	uint32_t c_cflag;
	uint32_t c_lflag;
	uint8_t c_line;
	uint8_t c_cc[Q_NCCS];
	uint32_t c_ispeed;
	uint32_t c_ospeed;
};

struct q_winsize {
	uint16_t ws_row, ws_col;
	uint16_t ws_xpixel, ws_ypixel;
};

/* c_cc */
#define Q_VINTR    0
#define Q_VQUIT    1
#define Q_VERASE   2
#define Q_VKILL    3
#define Q_VEOF     4
#define Q_VTIME    5
#define Q_VMIN     6
#define Q_VSWTC    7
#define Q_VSTART   8
#define Q_VSTOP    9
#define Q_VSUSP    10
#define Q_VEOL     11
#define Q_VREPRINT 12
#define Q_VDISCARD 13
#define Q_VWERASE  14
#define Q_VLNEXT   15
#define Q_VEOL2    16

/* c_iflag */
#define Q_IGNBRK  0x1
#define Q_BRKINT  0x2
#define Q_IGNPAR  0x4
#define Q_PARMRK  0x8
#define Q_INPCK   0x10
#define Q_ISTRIP  0x20
#define Q_INLCR   0x40
#define Q_IGNCR   0x80
#define Q_ICRNL   0x100
#define Q_IUCLC   0x200
#define Q_IXON    0x400
#define Q_IXANY   0x800
#define Q_IXOFF   0x1000
#define Q_IMAXBEL 0x2000
#define Q_IUTF8   0x4000

/* c_oflag */
#define Q_OPOST  0x1
#define Q_OLCUC  0x2
#define Q_ONLCR  0x4
#define Q_OCRNL  0x8
#define Q_ONOCR  0x10
#define Q_ONLRET 0x20
#define Q_TABDLY 0x1800
#define Q_TAB0   0x0
#define Q_XTABS  0x1800

/* c_cflag */
#define Q_CBAUD   0x100f
#define Q_CBAUDEX 0x1000
#define Q_B0      0x0
#define Q_B50     0x1
#define Q_B9600   0xd
#define Q_B38400  0xf
#define Q_B57600  0x1001
#define Q_BOTHER  0x1000
#define Q_CSIZE   0x30
#define Q_CS8     0x30
#define Q_CREAD   0x80
#define Q_PARENB  0x100
#define Q_HUPCL   0x400
#define Q_CLOCAL  0x800
#define Q_IBSHIFT 16

/* c_lflag */
#define Q_ISIG    0x1
#define Q_ICANON  0x2
#define Q_ECHO    0x8
#define Q_ECHOE   0x10
#define Q_ECHOK   0x20
#define Q_ECHONL  0x40
#define Q_NOFLSH  0x80
#define Q_TOSTOP  0x100
#define Q_ECHOCTL 0x200
#define Q_ECHOPRT 0x400
#define Q_ECHOKE  0x800
#define Q_FLUSHO  0x1000
#define Q_PENDIN  0x4000
#define Q_IEXTEN  0x8000
#define Q_EXTPROC 0x10000

/* What TCXONC and TCFLSH are told. */
#define Q_TCOOFF    0
#define Q_TCOON     1
#define Q_TCIOFF    2
#define Q_TCION     3
#define Q_TCIFLUSH  0
#define Q_TCOFLUSH  1
#define Q_TCIOFLUSH 2

#endif /* QUERN_ABI_TERMIOS_H */
