/* How clusters enter the container: encoded, zero, or as back-references. */
#include <string.h>

#include "log.h"
#include "uzip_write.h"

struct uzip_packer {
	struct uzip_packer *next;
	struct uzip_encoder *encoder;
};

int
uzip_packer_get(struct uzip_writer *w, struct uzip_packer **out)
{
	struct uzip_packer *p;
	int rc;

	pthread_mutex_lock(&w->lock);
	p = w->idle;
	if (p != NULL)
		w->idle = p->next;
	pthread_mutex_unlock(&w->lock);
	if (p == NULL) {
		p = malloc(sizeof(*p));
		if (p == NULL)
			return -ENOMEM;
		rc = uzip_encoder_open(w->params.codec, w->params.level,
		    w->params.cluster, &p->encoder);
		if (rc < 0) {
			free(p);
			return rc;
		}
	}
	*out = p;
	return 0;
}

void
uzip_packer_put(struct uzip_writer *w, struct uzip_packer *p)
{
	pthread_mutex_lock(&w->lock);
	p->next = w->idle;
	w->idle = p;
	pthread_mutex_unlock(&w->lock);
}

void
uzip_packers_close(struct uzip_writer *w)
{
	while (w->idle != NULL) {
		struct uzip_packer *p = w->idle;

		w->idle = p->next;
		uzip_encoder_close(p->encoder);
		free(p);
	}
}

/* Duplicates are compared byte by byte: this only has to find them. */
static uint64_t
hash_of(const uint8_t *p, size_t len)
{
	uint64_t h = len * 0x9e3779b97f4a7c15u + 1;

	for (; len >= 8; p += 8, len -= 8) {
		uint64_t v;

		memcpy(&v, p, 8);
		h = (h ^ v) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	while (len-- > 0)
		h = (h ^ *p++) * 0x100000001b3u;
	h ^= h >> 29;
	return h != 0 ? h : 1;
}

void
uzip_set_packed(const struct uzip_writer *w, const uint8_t *out, size_t len,
    struct uzip_packed *k)
{
	*k = (struct uzip_packed){.len = len};
	if (w->params.dedup)
		k->hash = hash_of(out, len);
}

int
uzip_pack(struct uzip_writer *w, struct uzip_packer *p, const uint8_t *plain,
    uint8_t *out, struct uzip_packed *k)
{
	uint32_t cluster = w->params.cluster;
	size_t len;
	int rc;

	*k = (struct uzip_packed){
	    .zero = !w->params.keep_zeroes && bytes_are_zero(plain, cluster)};
	if (k->zero)
		return 0;
	rc = uzip_encode(p->encoder, plain, cluster, out, w->room, &len);
	if (rc == 0)
		uzip_set_packed(w, out, len, k);
	return rc;
}

int
uzip_emit_entry(struct uzip_writer *w, uint64_t off)
{
	w->last_off = off;
	return uzip_entries_put(&w->entries, off);
}

/*
 * Not to the last cluster that is no back-reference: kernels would take that
 * one for a zero cluster.  Nor to one of a single byte at the very end, which
 * no stream is, but a copied span may be.
 */
bool
uzip_may_refer(const struct uzip_writer *w, uint64_t off)
{
	return w->params.dedup && off != w->last_off && off + 1 < w->sink.pos;
}

int
uzip_emit_backref(struct uzip_writer *w, uint64_t off)
{
	w->count.backref++;
	return uzip_entries_put(&w->entries, off);
}

static int
too_long(const struct uzip_writer *w, size_t len)
{
	log_error("cluster %u does not shrink: %zu bytes of %s, kernels take "
		  "%u; use %s",
	    w->entries.next, len, uzip_codec_name(w->params.codec), w->most,
	    w->params.codec == UZIP_LZMA
		? "clusters of at least 16384 bytes, or zlib or zstd"
		: "larger clusters");
	return -EOVERFLOW;
}

static void
count_packed(struct uzip_writer *w, const struct uzip_packed *k)
{
	if (k->copied) {
		w->count.copied++;
		w->count.copied_bytes += k->len;
	} else {
		w->count.compressed++;
		w->count.compressed_bytes += k->len;
	}
}

/* Refer back to the same encoded bytes, or append them. */
static int
emit_encoded(
    struct uzip_writer *w, const uint8_t *p, const struct uzip_packed *k)
{
	const struct uzip_place *same;
	uint64_t off = w->sink.pos;
	int rc;

	if (k->len > w->most)
		return too_long(w, k->len);
	same = w->params.dedup ? uzip_map_find(&w->seen, k->hash) : NULL;
	if (same != NULL && same->len == k->len &&
	    uzip_may_refer(w, same->off)) {
		rc = uzip_sink_holds(&w->sink, same->off, p, k->len, w->tmp);
		if (rc != 0)
			return rc < 0 ? rc : uzip_emit_backref(w, same->off);
	}
	rc = uzip_sink_put(&w->sink, p, k->len);
	if (rc == 0)
		rc = uzip_emit_entry(w, off);
	if (rc < 0)
		return rc;
	count_packed(w, k);
	w->open_end = w->sink.pos;
	w->open_len = k->len;
	if (!w->params.dedup || same != NULL)
		return 0;
	return uzip_map_add(
	    &w->seen, &(struct uzip_place){k->hash, off, (uint32_t)k->len});
}

int
uzip_emit_packed(
    struct uzip_writer *w, const uint8_t *p, const struct uzip_packed *k)
{
	return k->zero ? uzip_emit_zeroes(w, 1) : emit_encoded(w, p, k);
}

static int
pack_one(struct uzip_writer *w, const uint8_t *plain, uint8_t *out,
    struct uzip_packed *k)
{
	struct uzip_packer *p;
	int rc = uzip_packer_get(w, &p);

	if (rc < 0)
		return rc;
	rc = uzip_pack(w, p, plain, out, k);
	uzip_packer_put(w, p);
	return rc;
}

int
uzip_emit_plain(struct uzip_writer *w, const uint8_t *plain)
{
	scoped(freep) uint8_t *buf = malloc(w->room);
	struct uzip_packed k;
	int rc;

	if (buf == NULL)
		return -ENOMEM;
	rc = pack_one(w, plain, buf, &k);
	return rc < 0 ? rc : uzip_emit_packed(w, buf, &k);
}

/* With -Z zero clusters are encoded: once for all of them. */
static int
prepare_zero(struct uzip_writer *w)
{
	scoped(freep) uint8_t *plain = NULL;

	if (w->zero != NULL)
		return 0;
	plain = calloc(1, w->params.cluster);
	w->zero = malloc(w->room);
	if (plain == NULL || w->zero == NULL)
		return -ENOMEM;
	return pack_one(w, plain, w->zero, &w->zero_packed);
}

int
uzip_emit_zeroes(struct uzip_writer *w, uint32_t n)
{
	int rc;

	if (!w->params.keep_zeroes) {
		w->count.zero += n;
		w->last_off = n > 0 ? w->sink.pos : w->last_off;
		w->open_end = n > 0 ? 0 : w->open_end;
		return uzip_entries_fill(&w->entries, w->sink.pos, n);
	}
	rc = prepare_zero(w);
	for (; n > 0 && rc == 0; n--)
		rc = emit_encoded(w, w->zero, &w->zero_packed);
	return rc;
}
