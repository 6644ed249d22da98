/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ELF for x86-64, as far as exec reads it (System V ABI, AMD64 supplement), and
 * the auxiliary vector.
 */
#ifndef QUERN_ABI_ELF_H
#define QUERN_ABI_ELF_H

#include <stdint.h>

#define Q_EI_NIDENT   16
#define Q_EI_CLASS    4
#define Q_EI_DATA     5
#define Q_ELFCLASS64  2
#define Q_ELFDATA2LSB 1
#define Q_ET_EXEC     2
#define Q_ET_DYN      3
#define Q_EM_X86_64   62

#define Q_PT_LOAD      1
#define Q_PT_INTERP    3
#define Q_PT_PHDR      6
#define Q_PT_GNU_STACK 0x6474e551

#define Q_PF_X 1
#define Q_PF_W 2
#define Q_PF_R 4

struct q_elf64_hdr {
	uint8_t e_ident[Q_EI_NIDENT];
	uint16_t e_type;
	uint16_t e_machine;
	uint32_t e_version;
	uint64_t e_entry;
	uint64_t e_phoff;
	uint64_t e_shoff;
	uint32_t e_flags;
	uint16_t e_ehsize;
	uint16_t e_phentsize;
	uint16_t e_phnum;
	uint16_t e_shentsize;
	uint16_t e_shnum;
	uint16_t e_shstrndx;
};

struct q_elf64_phdr {
	uint32_t p_type;
	uint32_t p_flags;
	uint64_t p_offset;
	uint64_t p_vaddr;
	uint64_t p_paddr;
	uint64_t p_filesz;
	uint64_t p_memsz;
	uint64_t p_align;
};

#define Q_AT_NULL         0
#define Q_AT_PHDR         3
#define Q_AT_PHENT        4
#define Q_AT_PHNUM        5
#define Q_AT_PAGESZ       6
#define Q_AT_BASE         7
#define Q_AT_FLAGS        8
#define Q_AT_ENTRY        9
#define Q_AT_UID          11
#define Q_AT_EUID         12
#define Q_AT_GID          13
#define Q_AT_EGID         14
#define Q_AT_PLATFORM     15
#define Q_AT_HWCAP        16
#define Q_AT_CLKTCK       17
#define Q_AT_SECURE       23
#define Q_AT_RANDOM       25
#define Q_AT_HWCAP2       26
#define Q_AT_EXECFN       31
#define Q_AT_SYSINFO_EHDR 33
#define Q_AT_MINSIGSTKSZ  51

#endif /* QUERN_ABI_ELF_H */
