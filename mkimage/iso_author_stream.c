/* Files of the tree as a class of IsoStream (libisofs.h, at that name). */
#include "iso_author_stream.h"

#include <string.h>

enum {
	STREAM_FS = 0x4001, /* an id that libisofs does not use itself */
};

struct content_stream {
	struct author_contents *contents;
	const struct author_file *file;
	uint64_t pos;
};

static int
content_open(IsoStream *stream)
{
	struct content_stream *s = stream->data;

	s->pos = 0;
	return 1;
}

static int
content_close(IsoStream *stream)
{
	(void)stream;
	return 1;
}

static off_t
content_size(IsoStream *stream)
{
	struct content_stream *s = stream->data;

	return (off_t)s->file->node->size;
}

/* Read on from pos into the buffer: libisofs asks for a sector at a time. */
static int
fill(const struct content_stream *s)
{
	struct author_contents *c = s->contents;
	uint64_t left = s->file->node->size - s->pos;
	size_t n = left < sizeof(c->buf) ? (size_t)left : sizeof(c->buf);
	int none = 0;
	int rc = tree_read(c->reader, s->file->node, s->pos, c->buf, n);

	c->of = rc < 0 ? NULL : s->file;
	c->off = s->pos;
	c->len = n;
	if (rc == 0)
		return 1;
	atomic_compare_exchange_strong(&c->rc, &none, rc);
	return (int)ISO_FILE_READ_ERROR;
}

static int
content_read(IsoStream *stream, void *buf, size_t count)
{
	struct content_stream *s = stream->data;
	struct author_contents *c = s->contents;
	size_t n;

	if (s->pos == s->file->node->size)
		return 0;
	if (c->of != s->file || s->pos < c->off || s->pos - c->off >= c->len) {
		int ret = fill(s);

		if (ret < 0)
			return ret;
	}
	n = c->len - (size_t)(s->pos - c->off);
	if (n > count)
		n = count;
	memcpy(buf, c->buf + (s->pos - c->off), n);
	s->pos += n;
	return (int)n;
}

static int
content_is_repeatable(IsoStream *stream)
{
	(void)stream;
	return 1;
}

static void
content_id(IsoStream *stream, unsigned int *fs, dev_t *dev, ino_t *ino)
{
	struct content_stream *s = stream->data;

	*fs = STREAM_FS;
	*dev = 0;
	*ino = s->file->rank + 1;
}

static void
content_free(IsoStream *stream)
{
	free(stream->data);
}

static int
content_update_size(IsoStream *stream)
{
	(void)stream;
	return 1;
}

static IsoStreamIface content_class = {
    .version = 1,
    .type = {'u', 's', 'e', 'r'},
    .open = content_open,
    .close = content_close,
    .get_size = content_size,
    .read = content_read,
    .is_repeatable = content_is_repeatable,
    .get_id = content_id,
    .free = content_free,
    .update_size = content_update_size,
};

int
author_stream_get(
    struct author_contents *contents, struct author_file *file, IsoStream **out)
{
	struct content_stream *s;
	IsoStream *stream = file->stream;

	if (stream == NULL) {
		stream = calloc(1, sizeof(*stream));
		s = calloc(1, sizeof(*s));
		if (stream == NULL || s == NULL) {
			free(stream);
			free(s);
			return (int)ISO_OUT_OF_MEM;
		}
		*s =
		    (struct content_stream){.contents = contents, .file = file};
		*stream = (IsoStream){&content_class, 1, s};
		file->stream = stream;
	}
	iso_stream_ref(stream);
	*out = stream;
	return 1;
}

void
author_streams_release(const struct author *a)
{
	for (size_t i = 0; i < a->nfiles; i++)
		if (a->files[i].stream != NULL)
			iso_stream_unref(a->files[i].stream);
}
