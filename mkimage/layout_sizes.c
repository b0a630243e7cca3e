/*
 * What a layout's parts take, and what the other layouts would take: by the
 * rules of an ISO where those tell, by compressing a sample where not.
 */
#include <inttypes.h>
#include <string.h>

#include "../imgfmt/iso.h"
#include "../imgfmt/log.h"
#include "../imgfmt/uzip_codec.h"
#include "cmd.h"
#include "layout_impl.h"

enum {
	STEP = 16,    /* of so many clusters of files one is compressed */
	RECORD = 160, /* bytes of a directory record with Rock Ridge, about */
	START = 96 << 10, /* descriptors, path tables, GPT: about */
	EFI = 2 << 20,    /* an EFI boot image */
	SCRIPT = 4096,
};

/* Sums over all files below a node, each counted once. */
struct tally {
	uint64_t files, bytes; /* contents */
	uint64_t iso;          /* what an ISO takes for them */
};

/* How well contents compress: bytes of a sample before and after. */
struct sample {
	struct tree_reader *reader;
	struct uzip_encoder *encoder;
	size_t cluster, room;
	uint8_t *plain, *packed;
	unsigned step, turn;
	bool lost; /* what cannot be read is said once, not for each cluster */
	uint64_t in, out;
};

static uint64_t
sectors(uint64_t bytes)
{
	return (bytes + ISO_SECTOR - 1) / ISO_SECTOR * ISO_SECTOR;
}

/* Compress one cluster of the file. */
static void
take_cluster(struct sample *s, const struct tree_node *node, uint64_t off)
{
	size_t len = node->size - off < s->cluster ? (size_t)(node->size - off)
						   : s->cluster;
	size_t used;

	s->lost = tree_read(s->reader, node, off, s->plain, len) < 0;
	if (s->lost ||
	    uzip_encode(s->encoder, s->plain, len, s->packed, s->room, &used) <
		0)
		return;
	s->in += len;
	s->out += used;
}

static void
take_sample(struct sample *s, const struct tree_node *node)
{
	for (uint64_t off = 0; off < node->size && !s->lost; off += s->cluster)
		if (s->turn++ % s->step == 0)
			take_cluster(s, node, off);
}

static void
unmark(struct tree_node *node)
{
	node->ino = 0;
	for (size_t i = 0; i < node->n; i++)
		unmark(node->entries[i].node);
}

/* Nodes that have been counted have an ino, which nobody else needs now. */
static void
count(struct tally *sum, struct tree_node *node, struct sample *s)
{
	if (node->ino != 0)
		return;
	node->ino = 1;
	if (S_ISDIR(node->mode)) {
		sum->iso += sectors((node->n + 2) * RECORD);
	} else {
		sum->files++;
		sum->bytes += node->size;
		sum->iso += sectors(node->size);
		if (s != NULL && S_ISREG(node->mode))
			take_sample(s, node);
	}
	for (size_t i = 0; i < node->n; i++)
		count(sum, node->entries[i].node, s);
}

static struct tally
tally(const struct tree *t, const char *path, struct sample *s)
{
	struct tally sum = {0};
	struct tree_node *node = tree_find(t, path);

	if (node != NULL) {
		unmark(node);
		count(&sum, node, s);
	}
	return sum;
}

/* -- compression ------------------------------------------------------------
 */

static void
sample_close(struct sample *s)
{
	uzip_encoder_close(s->encoder);
	free(s->plain);
	free(s->packed);
}

static int
sample_open(struct sample *s, struct layout *l, unsigned step)
{
	const struct uzip_params *params = &l->opt->fs.uzip;
	int rc;

	*s = (struct sample){.reader = &l->reader, .step = step};
	s->cluster = params->cluster;
	s->room = 2 * s->cluster + 1024;
	s->plain = malloc(s->cluster);
	s->packed = malloc(s->room);
	if (s->plain == NULL || s->packed == NULL)
		rc = -ENOMEM;
	else
		rc = uzip_encoder_open(
		    params->codec, params->level, params->cluster, &s->encoder);
	if (rc < 0)
		sample_close(s);
	return rc;
}

/* About what the contents below path give when compressed. */
static uint64_t
compressed(struct layout *l, const char *path, unsigned step)
{
	struct sample s;
	struct tally sum;

	if (sample_open(&s, l, step) < 0)
		return 0;
	sum = tally(l->system, path, &s);
	sample_close(&s);
	return s.in > 0
	    ? (uint64_t)((double)sum.bytes * (double)s.out / (double)s.in)
	    : 0;
}

/* -- the whole --------------------------------------------------------------
 */

void
layout_measure(struct layout *l, uint64_t iso)
{
	struct layout_sizes *z = &l->sizes;
	const struct tree *cd =
	    l->opt->kind == LAYOUT_PLAIN ? l->system : &l->cd;
	struct tally all = tally(l->system, "", NULL);
	uint64_t rescue = tally(l->system, "rescue", NULL).iso;
	uint64_t boot = tally(cd, "boot", NULL).iso + sectors(z->archive);
	uint64_t image = z->image, memroot = z->memroot;
	uint64_t efi = tree_find(cd, LAYOUT_LOADER_EFI) != NULL ? EFI : 0;

	if (image == 0)
		image = compressed(l, "", STEP);
	if (memroot == 0)
		memroot = compressed(l, "rescue", 1);
	else
		boot -= sectors(memroot);
	z->files = all.files;
	z->tree = all.bytes;
	z->iso = iso;
	boot += efi;
	z->as[LAYOUT_PLAIN] = START + efi + all.iso + sectors(z->archive);
	z->as[LAYOUT_UZIP] = START + SCRIPT + boot + rescue + sectors(image);
	z->as[LAYOUT_MEMROOT] =
	    START + SCRIPT + boot + sectors(memroot) + sectors(image);
	z->as[l->opt->kind] = iso;
}

static void
tell(const char *what, uint64_t bytes, const char *note)
{
	char text[32];

	if (bytes > 0)
		log_info("  %-24s %10s%s", what,
		    cmd_bytes(text, sizeof(text), bytes), note);
}

void
layout_tell_sizes(enum layout_kind kind, const struct layout_sizes *z)
{
	static const char *const names[] = {
	    "as plain", "as uzip", "as memroot"};

	log_info("sizes:");
	tell("the tree's files", z->tree, "");
	tell("image, raw", z->raw, "");
	tell("image, compressed", z->image, "");
	tell("memory root, compressed", z->memroot, "");
	tell("archive", z->archive, "");
	for (int i = 0; i < 3; i++)
		tell(names[i], z->as[i],
		    i == (int)kind ? "  (this ISO)" : "  (about)");
}
