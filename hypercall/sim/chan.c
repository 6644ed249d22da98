/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Channels of a world: "loop:NAME".  The first to open a name and the second
 * are the two ends of one stream, of any two kernels of the world; a third
 * begins the next pair.  Bytes arrive at once, readiness after a random delay.
 */
#include <stdlib.h>
#include <string.h>

#include "impl.h"

#define NCHAN    (sizeof(((struct machine *)0)->m_chan) / sizeof(void *))
#define READY_NS 20000u

static struct chan_end *
chan_get(struct machine *m, uint32_t id)
{
	return id < NCHAN ? m->m_chan[id] : NULL;
}

/* Deliver an armed event some time soon. */
static void
fire(struct quern_sim *w, struct chan_end *ce, struct quern_event **evp,
    int64_t result)
{
	struct quern_event *ev = *evp;

	if (ev == NULL)
		return;
	*evp = NULL;
	if (pending_add(ce->ce_machine, ev, result,
		rng_below(w->w_bytes, READY_NS)) != 0)
		abort(); /* out of host memory: the run means nothing now */
}

static void
pair_up(struct quern_sim *w, struct chan_end *ce)
{
	struct chan_end **cp, *peer;

	for (cp = &w->w_chans; (peer = *cp) != NULL; cp = &peer->ce_next)
		if (strcmp(peer->ce_name, ce->ce_name) == 0) {
			*cp = peer->ce_next;
			peer->ce_peer = ce;
			ce->ce_peer = peer;
			fire(w, peer, &peer->ce_wev, 0);
			return;
		}
	ce->ce_next = w->w_chans;
	w->w_chans = ce;
}

int
sim_chan_open(void *ctx, const char *name, uint32_t *idp)
{
	struct machine *m = ctx;
	struct chan_end *ce;
	uint32_t id;

	if (strncmp(name, "loop:", 5) != 0)
		return -EPROTONOSUPPORT;
	if (strlen(name + 5) >= sizeof(ce->ce_name))
		return -EINVAL;
	if (sim_fails(m->m_w, "chan_open"))
		return -EMFILE;
	for (id = 0; id < NCHAN && m->m_chan[id] != NULL; id++)
		continue;
	if (id == NCHAN)
		return -EMFILE;
	ce = calloc(1, sizeof(*ce));
	if (ce == NULL)
		return -ENOMEM;
	strcpy(ce->ce_name, name + 5);
	ce->ce_machine = m;
	m->m_chan[id] = ce;
	pair_up(m->m_w, ce);
	*idp = id;
	return 0;
}

static void
chan_free(struct machine *m, uint32_t id)
{
	struct chan_end *ce = m->m_chan[id], *peer = ce->ce_peer, **cp;
	struct quern_sim *w = m->m_w;

	if (peer != NULL) {
		peer->ce_peer = NULL;
		peer->ce_hungup = true;
		fire(w, peer, &peer->ce_rev, 0);
		fire(w, peer, &peer->ce_wev, 0);
	}
	for (cp = &w->w_chans; *cp != NULL; cp = &(*cp)->ce_next)
		if (*cp == ce) {
			*cp = ce->ce_next;
			break;
		}
	m->m_chan[id] = NULL;
	free(ce);
}

void
sim_chan_close(void *ctx, uint32_t id)
{
	struct machine *m = ctx;
	struct chan_end *ce = chan_get(m, id);

	if (ce == NULL)
		return;
	fire(m->m_w, ce, &ce->ce_rev, -ECANCELED);
	fire(m->m_w, ce, &ce->ce_wev, -ECANCELED);
	chan_free(m, id);
}

void
chan_free_all(struct machine *m)
{
	uint32_t id;

	for (id = 0; id < NCHAN; id++)
		if (m->m_chan[id] != NULL) {
			m->m_chan[id]->ce_rev = m->m_chan[id]->ce_wev = NULL;
			chan_free(m, id);
		}
}

static int64_t
arm(struct quern_event **slot, unsigned cpu, struct quern_event *ev)
{
	if (ev == NULL)
		return -EAGAIN;
	if (*slot != NULL)
		return -EBUSY;
	ev->e_cpu = cpu;
	*slot = ev;
	return -EAGAIN;
}

int64_t
sim_chan_read(void *ctx, unsigned cpu, uint32_t id, void *buf, size_t len,
    struct quern_event *ev)
{
	struct machine *m = ctx;
	struct chan_end *ce = chan_get(m, id);
	uint8_t *p = buf;
	size_t n;

	task_decide(m->m_w, QUERN_YIELD_ATOMIC);
	if (ce == NULL)
		return -EBADF;
	if (sim_fails(m->m_w, "chan_read"))
		return -EIO;
	if (ce->ce_len == 0 && len > 0)
		return ce->ce_hungup ? 0 : arm(&ce->ce_rev, cpu, ev);
	for (n = 0; n < len && ce->ce_len > 0; n++, ce->ce_len--) {
		p[n] = ce->ce_buf[ce->ce_head];
		ce->ce_head = (ce->ce_head + 1) % sizeof(ce->ce_buf);
	}
	if (ce->ce_peer != NULL)
		fire(m->m_w, ce->ce_peer, &ce->ce_peer->ce_wev, 0);
	hash_mix(m->m_w, n);
	return (int64_t)n;
}

int64_t
sim_chan_write(void *ctx, unsigned cpu, uint32_t id, const void *buf,
    size_t len, struct quern_event *ev)
{
	struct machine *m = ctx;
	struct chan_end *ce = chan_get(m, id), *to;
	const uint8_t *p = buf;
	size_t n;

	task_decide(m->m_w, QUERN_YIELD_ATOMIC);
	if (ce == NULL)
		return -EBADF;
	if (ce->ce_hungup)
		return -EPIPE;
	if (sim_fails(m->m_w, "chan_write"))
		return -EIO;
	to = ce->ce_peer;
	if (to == NULL || (to->ce_len == sizeof(to->ce_buf) && len > 0))
		return arm(&ce->ce_wev, cpu, ev);
	for (n = 0; n < len && to->ce_len < sizeof(to->ce_buf); n++) {
		to->ce_buf[(to->ce_head + to->ce_len) % sizeof(to->ce_buf)] =
		    p[n];
		to->ce_len++;
	}
	fire(m->m_w, to, &to->ce_rev, 0);
	hash_mix(m->m_w, n);
	return (int64_t)n;
}
