/*
 * Reading through the map.  An extent is used under the shared lock, so that
 * compaction cannot take the file away; the base, which never changes, is
 * read without it: decompression there goes on in parallel with writing.
 */
#include <lz4.h>
#include <stdlib.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "overlay_impl.h"

/* A record is read to the front and decoded behind it; grows as needed. */
struct scratch {
	uint8_t *mem;
	size_t room;
};

static void
scratch_release(struct scratch *s)
{
	free(s->mem);
}

/* Room for the record of e, header and all, and for what it decodes to. */
static int
scratch_fit(struct scratch *s, const struct overlay_extent *e)
{
	size_t need = OVERLAY_RECORD + (size_t)e->stored +
	    (size_t)e->blocks * OVERLAY_BLOCK;

	if (need <= s->room)
		return 0;
	free(s->mem);
	s->mem = malloc(need);
	s->room = s->mem != NULL ? need : 0;
	return s->mem != NULL ? 0 : -ENOMEM;
}

static uint64_t
min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The base's bytes, zeroes behind its end. */
static int
read_base(struct overlay *o, uint64_t off, uint8_t *buf, size_t len)
{
	uint64_t size = o->base->size;
	size_t n = off < size ? (size_t)min64(len, size - off) : 0;

	memset(buf + n, 0, len - n);
	return n > 0 ? blkdev_read(o->base, off, buf, n) : 0;
}

static int
damaged(const struct overlay *o, const struct overlay_extent *e)
{
	log_error("'%s': damaged record at byte %llu", o->file->name,
	    (unsigned long long)e->off);
	return -ECORRUPT;
}

/*
 * Decode the record that e points to; *blocks is where its blocks are.  into:
 * room for all of them, to be used instead of the scratch, or NULL.
 */
static int
decode(const struct overlay *o, const struct overlay_extent *e,
    struct scratch *s, uint8_t *into, const uint8_t **blocks)
{
	int full = e->blocks * OVERLAY_BLOCK;
	uint8_t *payload = s->mem + OVERLAY_RECORD;
	uint8_t *plain = into != NULL ? into : payload + e->stored;
	struct overlay_record r;
	int rc = overlay_record_read(
	    &o->log, OVERLAY_DATA, e->off, e->stored, &r, s->mem);

	if (rc == 0 &&
	    (r.arg != e->no - e->skip || r.count != e->blocks ||
		!overlay_record_is_sane(&r, OVERLAY_SIZE_MAX)))
		rc = -ECORRUPT;
	if (rc < 0)
		return rc == -ECORRUPT ? damaged(o, e) : rc;
	if (r.coding == OVERLAY_PLAIN) {
		*blocks = payload;
		return 0;
	}
	if (LZ4_decompress_safe((const char *)payload, (char *)plain,
		(int)e->stored, full) != full)
		return damaged(o, e);
	*blocks = plain;
	return 0;
}

/* Read len bytes at off, all within extent e. */
static int
read_extent(struct overlay *o, const struct overlay_extent *e, uint64_t off,
    uint8_t *buf, size_t len, struct scratch *s)
{
	uint64_t begin = (e->no - e->skip) * OVERLAY_BLOCK;
	const uint8_t *blocks;
	bool is_all;
	int rc;

	if (e->off == 0) {
		memset(buf, 0, len);
		return 0;
	}
	rc = scratch_fit(s, e);
	if (rc < 0)
		return rc;
	is_all = off == begin && len == (size_t)e->blocks * OVERLAY_BLOCK;
	rc = decode(o, e, s, is_all ? buf : NULL, &blocks);
	if (rc == 0 && blocks != buf)
		memcpy(buf, blocks + (off - begin), len);
	return rc;
}

/* Read up to len bytes at off, as far as one source holds them: how many. */
static int64_t
read_some(struct overlay *o, uint64_t off, uint8_t *buf, size_t len,
    struct scratch *s)
{
	const struct overlay_extent *e;
	size_t n = len;
	int rc;

	pthread_rwlock_rdlock(&o->lock);
	e = overlay_map_find(&o->state.map, off / OVERLAY_BLOCK);
	if (e != NULL && e->no * OVERLAY_BLOCK <= off) {
		n = (size_t)min64(len, (e->no + e->n) * OVERLAY_BLOCK - off);
		rc = read_extent(o, e, off, buf, n, s);
		pthread_rwlock_unlock(&o->lock);
	} else {
		if (e != NULL)
			n = (size_t)min64(len, e->no * OVERLAY_BLOCK - off);
		pthread_rwlock_unlock(&o->lock);
		rc = read_base(o, off, buf, n);
	}
	return rc < 0 ? rc : (int64_t)n;
}

int
overlay_read_blocks(struct overlay *o, uint64_t off, void *buf, size_t len)
{
	scoped(scratch_release) struct scratch s = {NULL, 0};
	uint8_t *p = buf;

	while (len > 0) {
		int64_t n = read_some(o, off, p, len, &s);

		if (n < 0)
			return (int)n;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}
