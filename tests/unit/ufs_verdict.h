/* Spoil a sample image, and see what the verifier tells. */
#ifndef UFS_VERDICT_H
#define UFS_VERDICT_H

#include "../../imgfmt/log.h"
#include "ufs_sample.h"

/* -- what is told --------------------------------------------------------- */

static char lines[8][1024];
static char place[1024]; /* the last path that was told */
static int nerrors, nwarnings;

static inline void
catch_line(enum log_level level, const char *line)
{
	if (level == LOG_ERROR_LEVEL && nerrors < 8)
		snprintf(lines[nerrors], sizeof(lines[0]), "%s", line);
	if (level == LOG_INFO_LEVEL)
		snprintf(place, sizeof(place), "%s", line);
	nerrors += level == LOG_ERROR_LEVEL;
	nwarnings += level == LOG_WARN_LEVEL;
}

static inline int
verdict(struct blkdev *dev)
{
	int r;

	nerrors = nwarnings = 0;
	memset(lines, 0, sizeof(lines));
	place[0] = '\0';
	log_set_sink(catch_line);
	r = ufs_check(dev, NULL, 0, NULL, NULL);
	log_set_sink(NULL);
	return r;
}

static inline bool
is_told(const char *what)
{
	for (int i = 0; i < 8; i++)
		if (strstr(lines[i], what) != NULL)
			return true;
	return false;
}

/* The verdict: n faults, one line each, and what was told. */
static inline void
expect(struct blkdev *dev, int n, const char *what)
{
	int r = verdict(dev);

	CHECK_EQ(r, n);
	CHECK_EQ(nerrors, n);
	CHECK(is_told(what));
	if (r == n && is_told(what))
		return;
	printf("# wanted \"%s\", told was:\n", what);
	for (int i = 0; i < 8 && lines[i][0] != '\0'; i++)
		printf("#   %s\n", lines[i]);
}

/* -- spoiling ------------------------------------------------------------- */

static inline uint32_t
sbsize_of(const struct sample *s)
{
	return s->sb.sbsize;
}

/* Hash the superblock anew, as it lies. */
static inline void
reseal_super(struct sample *s)
{
	struct ufs_super_disk *d = (struct ufs_super_disk *)s->super;

	if (s->sb.version == 2) {
		d->ckhash = raw32_set(0, false);
		d->ckhash = raw32_set(
		    crc32c(0xffffffff, s->super, sbsize_of(s)), s->sb.big);
	}
	sample_write(s, s->sb.loc, s->super, sbsize_of(s));
}

static inline void
reseal_cg(struct sample *s, uint32_t cgx)
{
	struct ufs_cg_disk *cg = (struct ufs_cg_disk *)s->cg;

	if (s->sb.version == 2)
		cg->ckhash = raw32_set(ufs_cg_hash(&s->sb, s->cg), s->sb.big);
	sample_write(s, ufs_frag_off(&s->sb, ufs_cgtod(&s->sb, cgx)), s->cg,
	    s->sb.cgsize);
}

static inline void
load_cg(struct sample *s, uint32_t cgx)
{
	sample_read(s, ufs_frag_off(&s->sb, ufs_cgtod(&s->sb, cgx)), s->cg,
	    s->sb.cgsize);
}

/* Store a number of 1, 2, 4 or 8 bytes in the image's order. */
static inline void
put_number(const struct sample *s, uint8_t *at, unsigned width, uint64_t n)
{
	for (unsigned i = 0; i < width; i++)
		at[s->sb.big ? width - 1 - i : i] = (uint8_t)(n >> 8 * i);
}

#endif
