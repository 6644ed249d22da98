/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How far a long command is, on a line of the terminal's that goes at the end.
 * Nothing of it if standard error is no terminal.
 */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "fs.h"

#define PERIOD_NS 100000000
#define BAR_MAX   40

static int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int
columns(void)
{
	struct winsize ws;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) != 0 || ws.ws_col < 20)
		return 80;
	return ws.ws_col;
}

/* Draw the line: " 43% [=====     ] 71.2 of 165.3 MB, 88.1 MB/s". */
static void
draw(struct fs_progress *p, int64_t now)
{
	double mb = (double)p->pr_done / 1e6, all = (double)p->pr_total / 1e6;
	double s = (double)(now - p->pr_start) / 1e9;
	char text[80], bar[BAR_MAX + 1];
	int n, width, full;

	if (p->pr_total > 0)
		n = snprintf(text, sizeof(text), "%.1f of %.1f MB, %.1f MB/s",
		    mb, all, s > 0 ? mb / s : 0);
	else
		n = snprintf(text, sizeof(text), "%.1f MB, %.1f MB/s", mb,
		    s > 0 ? mb / s : 0);
	width = columns() - n - 10;
	if (width > BAR_MAX)
		width = BAR_MAX;
	fputc('\r', stderr);
	if (p->pr_total > 0 && width > 4) {
		full = mb < all ? (int)(mb / all * width) : width;
		memset(bar, ' ', (size_t)width);
		memset(bar, '=', (size_t)full);
		bar[width] = '\0';
		fprintf(stderr, "%3d%% [%s] ",
		    mb < all ? (int)(mb / all * 100) : 100, bar);
	}
	fprintf(stderr, "%s\033[K", text);
	fflush(stderr);
	p->pr_drawn = now;
	p->pr_shown = true;
}

void
fs_progress_begin(struct fs *f, int64_t total)
{
	struct fs_progress *p = &f->f_progress;

	memset(p, 0, sizeof(*p));
	p->pr_on = isatty(STDERR_FILENO) == 1;
	if (!p->pr_on)
		return;
	p->pr_total = total;
	p->pr_start = now_ns();
	draw(p, p->pr_start);
}

void
fs_progress(struct fs *f, int64_t bytes)
{
	struct fs_progress *p = &f->f_progress;
	int64_t now;

	if (!p->pr_on)
		return;
	p->pr_done += bytes;
	now = now_ns();
	if (now - p->pr_drawn >= PERIOD_NS)
		draw(p, now);
}

void
fs_progress_hide(struct fs *f)
{
	struct fs_progress *p = &f->f_progress;

	if (p->pr_shown)
		fputs("\r\033[K", stderr);
	p->pr_shown = false;
}

void
fs_progress_end(struct fs *f)
{
	fs_progress_hide(f);
	f->f_progress.pr_on = false;
}
