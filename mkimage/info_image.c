/* `relive info`: containers: ISO, partition table, uzip, gzip. */
#include <string.h>

#include "../imgfmt/gz.h"
#include "../imgfmt/part.h"
#include "../imgfmt/uzip.h"
#include "cmd.h"
#include "info.h"

enum { PEEK = 256 << 10 };

const char *
info_kind_token(enum image_kind kind)
{
	static const char *const tokens[] = {
	    [IMAGE_UNKNOWN] = "unknown",
	    [IMAGE_ISO] = "iso",
	    [IMAGE_UZIP] = "uzip",
	    [IMAGE_UFS] = "ufs",
	    [IMAGE_GZ] = "gz",
	    [IMAGE_PARTITIONED] = "partitioned",
	    [IMAGE_ZFS_POOL] = "zfs-pool",
	    [IMAGE_ZFS_STREAM] = "zfs-stream",
	    [IMAGE_CLOOP] = "cloop",
	    [IMAGE_SQUASHFS] = "squashfs",
	    [IMAGE_EXT] = "ext",
	    [IMAGE_FAT] = "fat",
	    [IMAGE_GELI] = "geli",
	    [IMAGE_LUKS] = "luks",
	    [IMAGE_XZ] = "xz",
	    [IMAGE_ZSTD] = "zstd",
	    [IMAGE_BZIP2] = "bzip2",
	    [IMAGE_ZIP] = "zip",
	    [IMAGE_QCOW] = "qcow",
	    [IMAGE_VMDK] = "vmdk",
	    [IMAGE_VDI] = "vdi",
	};

	return tokens[kind];
}

static void
title_of(
    char *buf, size_t len, const char *title, const char *what, uint64_t bytes)
{
	char size[32];

	snprintf(buf, len, "%s: %s, %s", title, what,
	    cmd_bytes(size, sizeof(size), bytes));
}

static const char *
platform_name(uint8_t platform)
{
	switch (platform) {
	case 0:
		return "BIOS";
	case 1:
		return "PowerPC";
	case 2:
		return "Mac";
	case 0xef:
		return "UEFI";
	default:
		return "unknown";
	}
}

static void
put_boot_entries(struct report *r, const struct iso_info *i)
{
	char text[96];

	if (i->nboot == 0)
		return;
	report_list(r, "boot", "boot entries");
	for (unsigned k = 0; k < i->nboot; k++) {
		const struct iso_boot *b = &i->boot[k];

		snprintf(text, sizeof(text), "%s%s, %llu bytes at %llu%s",
		    platform_name(b->platform),
		    b->media == 0 ? "" : " (emulation)",
		    (unsigned long long)b->len, (unsigned long long)b->off,
		    b->bootable ? "" : ", not bootable");
		report_item(r, text);
		report_text(r, "platform", NULL, platform_name(b->platform));
		report_bool(r, "bootable", NULL, b->bootable);
		report_bool(r, "emulation", NULL, b->media != 0);
		report_number(r, "offset", NULL, b->off);
		report_number(r, "bytes", NULL, b->len);
	}
	report_list_end(r);
}

static void
put_images(struct report *r, const struct image_found *found, int nfound)
{
	char size[32], text[1200];

	if (nfound <= 0 && !r->json) {
		report_text(r, NULL, "images in it", "none");
		return;
	}
	report_list(r, "images", "images in it");
	for (int k = 0; k < nfound; k++) {
		const struct image_found *f = &found[k];
		const char *advice = image_kind_advice(f->kind);

		snprintf(text, sizeof(text), "%s: %s, %s%s%s", f->path,
		    image_kind_name(f->kind),
		    cmd_bytes(size, sizeof(size), f->node.size),
		    advice != NULL ? "; " : "", advice != NULL ? advice : "");
		report_item(r, text);
		report_text(r, "path", NULL, f->path);
		report_text(r, "kind", NULL, info_kind_token(f->kind));
		report_number(r, "bytes", NULL, f->node.size);
		report_number(r, "offset", NULL, f->node.off);
		report_bool(r, "editable", NULL, advice == NULL);
	}
	report_list_end(r);
}

static const char *
hybrid_text(const struct iso_info *i)
{
	if (i->gpt)
		return i->gpt_backup ? "GPT, with a backup at the end"
				     : "GPT, without a backup";
	return i->mbr ? "MBR" : NULL;
}

void
info_iso(struct report *r, struct iso *iso, const struct image *image,
    const struct image_found *found, int nfound)
{
	const struct iso_info *i = iso_info(iso);
	struct view v = {.iso = iso};
	char text[1200];

	title_of(text, sizeof(text), image->path, "ISO 9660 image",
	    image->layer[0].dev->size);
	report_layer(r, "iso", text);
	report_text(r, "label", "label", i->label);
	if (i->publisher[0] != '\0')
		report_text(r, "publisher", "publisher", i->publisher);
	report_bytes(r, "bytes", NULL, image->layer[0].dev->size);
	report_bytes(r, "volume_size", "volume size", i->size);
	report_bool(r, "rock_ridge", NULL, i->rock_ridge);
	report_bool(r, "joliet", NULL, i->joliet);
	report_text(r, NULL, "names",
	    i->rock_ridge && i->joliet ? "Rock Ridge, Joliet"
		: i->rock_ridge        ? "Rock Ridge"
		: i->joliet            ? "Joliet"
				       : "plain ISO 9660");
	report_bool(r, "gpt", NULL, i->gpt);
	report_bool(r, "gpt_backup", NULL, i->gpt_backup);
	report_bool(r, "mbr", NULL, i->mbr);
	if (hybrid_text(i) != NULL)
		report_text(r, NULL, "hybrid", hybrid_text(i));
	put_boot_entries(r, i);
	if (info_kernel(&v, text, sizeof(text)) == 1)
		report_text(r, "kernel", "kernel", text);
	info_boot(r, &v);
	put_images(r, found, nfound);
}

/* What kind of content a part of dev has, or -errno. */
static int
kind_of_part(struct blkdev *dev, const struct part *p)
{
	struct blkdev *whole = blkdev_ref(dev), *slice = NULL;
	int kind = blkdev_slice_open(whole, p->off, p->len, &slice);

	if (kind < 0) {
		blkdev_close(whole);
		return kind;
	}
	kind = image_identify(slice);
	blkdev_close(slice);
	return kind;
}

int
info_partitions(struct report *r, struct blkdev *dev)
{
	scoped(freep) struct part_table *table = calloc(1, sizeof(*table));
	char size[32], text[320];
	int rc = table == NULL ? -ENOMEM : part_read(dev, table);

	if (rc < 0)
		return rc;
	report_list(r, "partitions", "partitions");
	for (unsigned i = 0; i < table->n; i++) {
		const struct part *p = &table->part[i];
		int kind = kind_of_part(dev, p);
		const char *name =
		    kind < 0 ? "unreadable" : image_kind_name(kind);

		snprintf(text, sizeof(text), "%-6s %s %s%s%s, %s, %s", p->name,
		    p->scheme, p->type, p->label[0] != '\0' ? " " : "",
		    p->label, cmd_bytes(size, sizeof(size), p->len), name);
		report_item(r, text);
		report_text(r, "name", NULL, p->name);
		report_text(r, "scheme", NULL, p->scheme);
		report_text(r, "type", NULL, p->type);
		report_text(r, "label", NULL, p->label);
		report_number(r, "offset", NULL, p->off);
		report_number(r, "bytes", NULL, p->len);
		report_text(r, "content", NULL,
		    kind < 0 ? "unreadable" : info_kind_token(kind));
	}
	report_list_end(r);
	return 0;
}

static void
put_clusters(struct report *r, struct blkdev *dev, const struct uzip_counts *c)
{
	char text[128];

	snprintf(text, sizeof(text), "%llu stored, %llu zero, %llu duplicates",
	    (unsigned long long)c->stored, (unsigned long long)c->zero,
	    (unsigned long long)c->backref);
	report_text(r, NULL, "clusters", text);
	report_number(r, "clusters", NULL, uzip_info(dev)->nclusters);
	report_number(r, "stored", NULL, c->stored);
	report_number(r, "zero", NULL, c->zero);
	report_number(r, "duplicates", NULL, c->backref);
	report_bytes(r, "stored_bytes", NULL, c->stored_bytes);
}

int
info_uzip(struct report *r, struct blkdev *container, const char *title,
    struct blkdev **out)
{
	struct blkdev *lower = blkdev_ref(container);
	const struct uzip_info *i;
	struct uzip_counts counts;
	char text[1200];
	int rc = uzip_open(lower, 0, NULL, out);

	if (rc < 0) {
		blkdev_close(lower);
		return rc;
	}
	i = uzip_info(*out);
	title_of(text, sizeof(text), title, "uzip", container->size);
	report_layer(r, "uzip", text);
	report_text(r, "codec", NULL, uzip_codec_name(i->codec));
	snprintf(text, sizeof(text), "%s (letter %c, version %c)",
	    uzip_codec_name(i->codec), i->letter, i->version);
	report_text(r, NULL, "codec", text);
	snprintf(text, sizeof(text), "%c", i->letter);
	report_text(r, "letter", NULL, text);
	report_number(r, "version", NULL, (uint64_t)(i->version - '0'));
	report_bytes(r, "cluster_size", "cluster size", i->cluster);
	report_bytes(r, "bytes", NULL, container->size);
	report_bytes(r, "raw_size", "uncompressed", (*out)->size);
	report_real(r, "ratio", "ratio",
	    (double)(*out)->size / (double)container->size, "");
	rc = uzip_count(*out, &counts);
	if (rc == 0)
		put_clusters(r, *out, &counts);
	return rc;
}

int
info_gz_holds(struct blkdev *dev)
{
	scoped(freep) void *head = malloc(PEEK);
	scoped(blkdev_closep) struct blkdev *mem = NULL;
	int64_t n = head == NULL ? -ENOMEM : gz_peek(dev, head, PEEK);
	int rc = n < 0 ? (int)n : blkdev_mem_open((uint64_t)n, &mem);

	if (rc == 0)
		rc = blkdev_write(mem, 0, head, (size_t)n);
	return rc < 0 ? rc : image_identify(mem);
}

int
info_gz(struct report *r, struct blkdev *dev, const char *title)
{
	char text[1200];
	int kind;

	title_of(text, sizeof(text), title, "gzip file", dev->size);
	report_layer(r, "gz", text);
	report_bytes(r, "bytes", NULL, dev->size);
	kind = info_gz_holds(dev);
	if (kind < 0)
		return kind;
	report_text(r, "content", NULL, info_kind_token(kind));
	report_text(r, NULL, "holds", image_kind_name(kind));
	return 0;
}
