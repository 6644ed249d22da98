/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Replay: any journal is replayed, as far as it goes, or refused.
 *
 * The first byte of the input chooses, the rest is the journal.  A fuzzer does not
 * guess checksums, so the harness may put the right ones in.  What was not refused
 * must be clean after it, and good for handles.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <components/vfs/ext4/jimpl.h>
#include <kernel/impl.h>
#include <quern/posix.h>
#include <quern/quern.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Bits of the first byte. */
#define RIGHT 1u /* right checksums v3, */
#define SUPER 2u /* and a right one in the superblock only */
#define SPLIT 4u /* the journal is in two pieces */

#define BSIZE  1024u
#define BLOCKS 96u
#define JLEN   40u
#define AT     30u

struct run {
	struct quern *k;
	uint8_t *disk;
	bool split;
};

static void
must(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "f_journal: %s\n", what);
		abort();
	}
}

static int
map(void *arg, uint32_t lblk, uint64_t *blkp, uint32_t *np)
{
	const struct run *r = arg;

	if (!r->split) {
		*blkp = AT + lblk;
	} else if (lblk < 17) {
		*blkp = AT + 20 + lblk;
		*np = *np < 17 - lblk ? *np : 17 - lblk;
	} else {
		*blkp = AT - 5 + lblk - 17;
	}
	return 0;
}

static uint8_t *
block(struct run *r, uint32_t lblk)
{
	uint32_t n = JLEN;
	uint64_t blk;

	(void)map(r, lblk, &blk, &n);
	return r->disk + blk * BSIZE;
}

/* ---- right checksums ----------------------------------------------------------- */

static void
put(uint8_t *p, uint32_t x)
{
	x = jbe32(x);
	memcpy(p, &x, 4);
}

static uint32_t
get(const uint8_t *p)
{
	uint32_t x;

	memcpy(&x, p, 4);
	return jbe32(x);
}

static void
right_blocks(struct run *r, uint32_t seed)
{
	uint32_t i, n, at, sum;
	uint8_t *b;

	for (i = 1; i < JLEN; i++) {
		b = block(r, i);
		if (get(b) != JMAGIC)
			continue;
		switch (get(b + 4)) {
		case JTYPE_DESC:
			n = i;
			for (at = 12; at + 20 <= BSIZE && n + 1 < JLEN;) {
				sum = ext4_crc32c(seed, b + 8, 4);
				sum = ext4_crc32c(sum, block(r, ++n), BSIZE);
				put(b + at + 12, sum);
				if ((get(b + at + 4) & JTAG_LAST) != 0)
					break;
				at += (get(b + at + 4) & JTAG_SAME) != 0 ? 16 :
									   32;
			}
			put(b + BSIZE - 4, 0);
			put(b + BSIZE - 4, ext4_crc32c(seed, b, BSIZE));
			i = n;
			break;
		case JTYPE_REVOKE:
			put(b + BSIZE - 4, 0);
			put(b + BSIZE - 4, ext4_crc32c(seed, b, BSIZE));
			break;
		case JTYPE_COMMIT:
			put(b + 16, 0);
			put(b + 16, ext4_crc32c(seed, b, BSIZE));
			break;
		default:
			break;
		}
	}
}

static void
right(struct run *r, uint8_t flags)
{
	struct jsuper *s = (struct jsuper *)(void *)block(r, 0);

	s->js_h.jh_magic_be = jbe32(JMAGIC);
	s->js_h.jh_type_be = jbe32(JTYPE_SB2);
	s->js_bsize_be = jbe32(BSIZE);
	if ((flags & RIGHT) != 0) {
		s->js_incompat_be = jbe32(
		    (jbe32(s->js_incompat_be) & ~JINCOMPAT_CSUM2) |
		    JINCOMPAT_CSUM3);
		right_blocks(r, ext4_crc32c(~0u, s->js_uuid, JUUID));
	}
	s->js_csumtype = JCSUM_CRC32C;
	s->js_csum_be = 0;
	s->js_csum_be = jbe32(ext4_crc32c(~0u, s, sizeof(*s)));
}

/* ---- replay ---------------------------------------------------------------------- */

static void
use(struct journal *j, struct qbufcache *c)
{
	struct jhandle *h;
	struct qbuf *b;

	must(journal_start(j) == 0, "a clean journal does not start");
	must(journal_begin(j, 2, &h) == 0, "a handle that does not open");
	must(qbuf_read(c, 1, &b) == 0, "a block that can't be read");
	must(journal_get_write(h, b) == 0, "a block that can't be changed");
	qbuf_lock(b);
	b->bf_data[0] ^= 1;
	qbuf_unlock(b);
	journal_dirty(h, b);
	qbuf_put(b);
	must(journal_end(h) == 0 && journal_commit(j, true) == 0,
	    "a commit that does not work");
}

static int64_t
replay(void *arg)
{
	struct run *r = arg;
	struct journal_config jc = { .jc_name = "fuzz",
		.jc_len = JLEN,
		.jc_map = map,
		.jc_blocks = BLOCKS,
		.jc_arg = r };
	struct journal *j;
	struct qdisk *d;
	int error;

	must(qdisk_memory(r->k, "m", r->disk, BLOCKS * BSIZE, 0, &d) == 0 &&
		qbufcache_create(d, BSIZE, 0, &jc.jc_cache) == 0,
	    "no disk");
	error = journal_open(&jc, &j);
	must(error == 0 || error == -Q_EUCLEAN || error == -Q_EOPNOTSUPP,
	    "an error that there is not");
	if (error == 0) {
		error = journal_replay(j);
		must(error == 0 || error == -Q_EOPNOTSUPP, "a replay fails");
		if (error == 0) {
			must(!journal_unclean(j), "not clean after a replay");
			use(j, jc.jc_cache);
		}
		must(journal_destroy(j) == 0, "it does not end");
	}
	qbufcache_destroy(jc.jc_cache);
	qdisk_put(d);
	return 0;
}

static void
drop(void *arg, int level, const char *line)
{
	(void)arg, (void)level, (void)line;
}

static int64_t
enter(struct run *r)
{
	uint32_t hint = 0;

	return host_call(r->k, NULL, &hint, replay, r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct quern_config qc = { .host = quern_posix(), .log = drop };
	struct run r = { .k = NULL };
	uint64_t leaks = 0;
	uint32_t i;
	size_t n;

	if (len < 1)
		return 0;
	r.split = (data[0] & SPLIT) != 0;
	r.disk = calloc(BLOCKS, BSIZE);
	for (i = 0, n = 1; i < JLEN && n < len; i++, n += BSIZE)
		memcpy(block(&r, i), data + n,
		    len - n < BSIZE ? len - n : BSIZE);
	if ((data[0] & (RIGHT | SUPER)) != 0)
		right(&r, data[0]);
	must(quern_create(&qc, &r.k) == 0, "no kernel");
	must(enter(&r) == 0, "no call");
	must(quern_destroy_count(r.k, &leaks) == 0 && leaks == 0, "a leak");
	free(r.disk);
	return 0;
}
