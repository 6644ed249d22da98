/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ELF programs into an address space.
 *
 * Headers are a stranger's: every number is checked before it is used.  A
 * segment is mapped from the file, private, so that all who execute it share the
 * page cache's pages; what is beyond its file size is zeroed or anonymous.
 */
#include "impl.h"

#include <quern/abi/elf.h>
#include <quern/abi/mman.h>

static const struct qtag tag_elf = { "elf headers" };

#define PHNUM_MAX    ((size_t)65536 / sizeof(struct q_elf64_phdr))
#define INTERP_MAX   4096u
#define PAGE         ((uint64_t)QUERN_PAGE_SIZE)
#define PAGE_DOWN(x) ((x) & ~(PAGE - 1))
#define PAGE_UP(x)   (((x) + PAGE - 1) & ~(PAGE - 1))

/* Where position-independent programs go that have an interpreter. */
#define DYN_BASE UINT64_C(0x555555554000)

/* A program or an interpreter while it is being loaded. */
struct elf {
	struct qfile *e_file;
	struct q_elf64_hdr e_h;
	struct q_elf64_phdr *e_ph;
	uint64_t e_bias;        /* added to its addresses */
	uint64_t e_low, e_high; /* of its segments, before that */
};

/* ---- headers ------------------------------------------------------------------------- */

static int
check_segments(struct elf *e)
{
	const struct q_elf64_phdr *ph;
	unsigned i;

	e->e_low = UINT64_MAX;
	for (i = 0; i < e->e_h.e_phnum; i++) {
		ph = &e->e_ph[i];
		if (ph->p_type != Q_PT_LOAD)
			continue;
		if (ph->p_filesz > ph->p_memsz || ph->p_vaddr > QVM_TOP ||
		    ph->p_memsz > QVM_TOP - ph->p_vaddr ||
		    ph->p_vaddr % PAGE != ph->p_offset % PAGE ||
		    ph->p_offset > (uint64_t)INT64_MAX - ph->p_filesz)
			return -Q_ENOEXEC;
		if (ph->p_memsz == 0)
			continue;
		/* In ascending order, as the ABI has it. */
		if (e->e_low != UINT64_MAX && ph->p_vaddr < e->e_high)
			return -Q_ENOEXEC;
		if (e->e_low == UINT64_MAX)
			e->e_low = PAGE_DOWN(ph->p_vaddr);
		e->e_high = ph->p_vaddr + ph->p_memsz;
	}
	return e->e_low == UINT64_MAX ? -Q_ENOEXEC : 0;
}

static int
read_headers(struct elf *e)
{
	static const uint8_t magic[4] = { 0x7f, 'E', 'L', 'F' };
	struct q_elf64_hdr *h = &e->e_h;
	size_t len;
	int64_t n;

	n = linux_pread(e->e_file, h, sizeof(*h), 0);
	if (n < 0)
		return (int)n;
	if (n != sizeof(*h) || memcmp(h->e_ident, magic, sizeof(magic)) != 0 ||
	    h->e_ident[Q_EI_CLASS] != Q_ELFCLASS64 ||
	    h->e_ident[Q_EI_DATA] != Q_ELFDATA2LSB ||
	    h->e_machine != Q_EM_X86_64 ||
	    (h->e_type != Q_ET_EXEC && h->e_type != Q_ET_DYN) ||
	    h->e_phentsize != sizeof(struct q_elf64_phdr) || h->e_phnum == 0 ||
	    h->e_phnum > PHNUM_MAX || h->e_phoff > INT64_MAX / 2)
		return -Q_ENOEXEC;
	len = h->e_phnum * sizeof(struct q_elf64_phdr);
	e->e_ph = qalloc(&tag_elf, len);
	if (e->e_ph == NULL)
		return -Q_ENOMEM;
	n = linux_pread(e->e_file, e->e_ph, len, h->e_phoff);
	if (n < 0)
		return (int)n;
	return n == (int64_t)len ? check_segments(e) : -Q_ENOEXEC;
}

/* ---- mapping ------------------------------------------------------------------------------ */

static unsigned
prot_of(const struct q_elf64_phdr *ph)
{
	return ((ph->p_flags & Q_PF_R) != 0 ? Q_PROT_READ : 0) |
	    ((ph->p_flags & Q_PF_W) != 0 ? Q_PROT_WRITE : 0) |
	    ((ph->p_flags & Q_PF_X) != 0 ? Q_PROT_EXEC : 0);
}

/* Zero from `at` to the end of its page. */
static int
zero_tail(struct qvmmap *m, uint64_t at)
{
	static const char zeroes[256];
	uint64_t n, len = PAGE_UP(at) - at;
	int error = 0;

	for (; len > 0 && error == 0; at += n, len -= n) {
		n = len < sizeof(zeroes) ? len : sizeof(zeroes);
		error = qcopyout(qvm_uspace(m), at, zeroes, n);
	}
	return error;
}

static int
map_segment(struct qvmmap *m, const struct elf *e,
    const struct q_elf64_phdr *ph)
{
	uint64_t start = PAGE_DOWN(ph->p_vaddr) + e->e_bias;
	uint64_t fileend = ph->p_vaddr + e->e_bias + ph->p_filesz;
	uint64_t end = ph->p_vaddr + e->e_bias + ph->p_memsz, anon;
	const unsigned fixed = Q_MAP_PRIVATE | Q_MAP_FIXED;
	int error = 0;

	anon = start;
	if (ph->p_filesz != 0) {
		error = qvm_map(m, &start, PAGE_UP(fileend) - start,
		    prot_of(ph), fixed, e->e_file, PAGE_DOWN(ph->p_offset));
		anon = PAGE_UP(fileend);
		if (error == 0 && end > fileend && anon != fileend &&
		    (ph->p_flags & Q_PF_W) != 0)
			error = zero_tail(m, fileend);
	}
	if (error == 0 && end > anon)
		error = qvm_map(m, &anon, PAGE_UP(end) - anon, prot_of(ph),
		    fixed | Q_MAP_ANONYMOUS, NULL, 0);
	return error;
}

/* Find room for all of it at once, at `hint` or (0) where mmap would put it. */
static int
choose_bias(struct qvmmap *m, struct elf *e, uint64_t hint)
{
	uint64_t addr = hint, len = PAGE_UP(e->e_high) - e->e_low;
	int error;

	if (e->e_h.e_type == Q_ET_EXEC)
		return 0;
	error = qvm_map(m, &addr, len, Q_PROT_NONE,
	    Q_MAP_PRIVATE | Q_MAP_ANONYMOUS | Q_MAP_NORESERVE, NULL, 0);
	if (error == 0)
		error = qvm_unmap(m, addr, len);
	e->e_bias = addr - e->e_low;
	return error;
}

static int
map_elf(struct qvmmap *m, struct elf *e, uint64_t hint)
{
	unsigned i;
	int error;

	error = choose_bias(m, e, hint);
	for (i = 0; i < e->e_h.e_phnum && error == 0; i++)
		if (e->e_ph[i].p_type == Q_PT_LOAD && e->e_ph[i].p_memsz != 0)
			error = map_segment(m, e, &e->e_ph[i]);
	return error;
}

/* ---- programs and their interpreters ---------------------------------------------------------- */

/* A random number of pages below 1 << `bits`, in bytes. */
static uint64_t
random_pages(struct quern *k, unsigned bits)
{
	uint64_t r = 0;

	(void)!qrandom_fill(k, &r, sizeof(r));
	return (r & ((UINT64_C(1) << bits) - 1)) * PAGE;
}

static int
load_interp(struct quern_proc *p, struct limage *im, const char *name)
{
	struct elf e = { 0 };
	struct qpath path = { NULL, NULL };
	int error;

	error = qvfs_walk(p, Q_AT_FDCWD, name, QWALK_FOLLOW, &path);
	if (error != 0)
		return error;
	error = qvfs_open(p, &path, Q_O_RDONLY, &e.e_file);
	if (error == 0) {
		error = read_headers(&e);
		if (error == -Q_ENOEXEC)
			error = -Q_ELIBBAD;
	}
	if (error == 0)
		error = map_elf(im->im_map, &e, 0);
	im->im_base = e.e_bias;
	im->im_entry = e.e_h.e_entry + e.e_bias;
	qfree(e.e_ph);
	if (e.e_file != NULL)
		qfile_put(e.e_file);
	qpath_put(&path);
	return error;
}

/* The interpreter's name into `name`, or "" if there is none. */
static int
read_interp(const struct elf *e, char *name)
{
	const struct q_elf64_phdr *ph;
	unsigned i;
	int64_t n;

	name[0] = '\0';
	for (i = 0; i < e->e_h.e_phnum; i++) {
		ph = &e->e_ph[i];
		if (ph->p_type != Q_PT_INTERP)
			continue;
		if (ph->p_filesz < 2 || ph->p_filesz > INTERP_MAX)
			return -Q_ENOEXEC;
		n = linux_pread(e->e_file, name, ph->p_filesz, ph->p_offset);
		if (n < 0)
			return (int)n;
		if (n != (int64_t)ph->p_filesz || name[n - 1] != '\0')
			return -Q_ENOEXEC;
		break;
	}
	return 0;
}

/* Where the program headers are in memory; 0: nowhere. */
static uint64_t
phdr_address(const struct elf *e)
{
	const struct q_elf64_phdr *ph;
	unsigned i;

	for (i = 0; i < e->e_h.e_phnum; i++) {
		ph = &e->e_ph[i];
		if (ph->p_type == Q_PT_PHDR)
			return ph->p_vaddr + e->e_bias;
	}
	for (i = 0; i < e->e_h.e_phnum; i++) {
		ph = &e->e_ph[i];
		if (ph->p_type == Q_PT_LOAD && ph->p_offset <= e->e_h.e_phoff &&
		    e->e_h.e_phoff - ph->p_offset < ph->p_filesz)
			return e->e_h.e_phoff - ph->p_offset + ph->p_vaddr +
			    e->e_bias;
	}
	return 0;
}

static void
note_stack(const struct elf *e, struct limage *im)
{
	unsigned i;

	im->im_execstack = true;
	for (i = 0; i < e->e_h.e_phnum; i++)
		if (e->e_ph[i].p_type == Q_PT_GNU_STACK)
			im->im_execstack = (e->e_ph[i].p_flags & Q_PF_X) != 0;
}

static int
load_program(struct quern_proc *p, struct limage *im, struct elf *e,
    char *interp)
{
	uint64_t hint = 0;
	int error;

	error = read_headers(e);
	if (error == 0)
		error = read_interp(e, interp);
	if (error != 0)
		return error;
	if (interp[0] != '\0')
		hint = DYN_BASE + random_pages(p->p_k, 28);
	error = map_elf(im->im_map, e, hint);
	if (error != 0)
		return error;
	note_stack(e, im);
	im->im_start = im->im_entry = e->e_h.e_entry + e->e_bias;
	im->im_phdr = phdr_address(e);
	im->im_phnum = e->e_h.e_phnum;
	im->im_brk = PAGE_UP(e->e_high + e->e_bias) + random_pages(p->p_k, 13);
	qvm_set_brk(im->im_map, im->im_brk);
	return interp[0] != '\0' ? load_interp(p, im, interp) : 0;
}

int
elf_load(struct quern_proc *p, struct limage *im)
{
	struct elf e = { .e_file = im->im_file };
	char *interp = qalloc(&tag_elf, INTERP_MAX);
	int error;

	if (interp == NULL)
		return -Q_ENOMEM;
	error = load_program(p, im, &e, interp);
	qfree(e.e_ph);
	qfree(interp);
	return error;
}
