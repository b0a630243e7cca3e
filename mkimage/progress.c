#include "progress.h"

#include "../imgfmt/monotonic.h"
#include "cmd.h"
#include "outfile.h"

enum { WIDTH = 24, REDRAW_MS = 100 };

static struct progress *current;

void
progress_start(struct progress *p, const char *what, uint64_t total)
{
	uint64_t now = monotonic_ms();

	*p = (struct progress){
	    .what = what, .total = total, .start = now, .drawn = now};
	current = !cmd_quiet() && isatty(STDERR_FILENO) ? p : NULL;
}

void
progress_hide(void)
{
	if (current == NULL || !current->shown)
		return;
	fputs("\r\033[K", stderr);
	current->shown = false;
}

static void
draw_bar(const struct progress *p, uint64_t rate)
{
	char bar[WIDTH + 1];
	double part = (double)p->done / (double)p->total;
	int full = (int)(part * WIDTH);
	uint64_t left = rate > 0 ? (p->total - p->done) / rate : 0;

	for (int i = 0; i < WIDTH; i++)
		bar[i] = i < full ? '#' : '.';
	bar[WIDTH] = '\0';
	fprintf(stderr, " [%s] %3d%%", bar, (int)(part * 100));
	if (rate > 0)
		fprintf(stderr, " %u:%02u left", (unsigned)(left / 60),
		    (unsigned)(left % 60));
}

static void
draw(struct progress *p, uint64_t now)
{
	uint64_t ms = now - p->start;
	uint64_t rate = ms > 0 ? p->done / ms * 1000 : 0;
	char done[32], speed[32];

	fprintf(stderr, "\r\033[K%s %s, %s/s", p->what,
	    cmd_bytes(done, sizeof(done), p->done),
	    cmd_bytes(speed, sizeof(speed), rate));
	if (p->total > 0 && p->done <= p->total)
		draw_bar(p, rate);
	fflush(stderr);
	p->shown = true;
	p->drawn = now;
}

int
progress_update(void *arg, uint64_t done)
{
	struct progress *p = arg;

	p->done = done;
	if (current == p) {
		uint64_t now = monotonic_ms();

		if (now - p->drawn >= REDRAW_MS)
			draw(p, now);
	}
	return interrupted() ? -EINTR : 0;
}

void
progress_stop(struct progress *p)
{
	if (current != p)
		return;
	progress_hide();
	current = NULL;
}
