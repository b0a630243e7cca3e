/*
 * What tells one base from another (DESIGN of the project, "Base identity"):
 * sizes, places and samples of the container, and the file system's own id and
 * time.  Never a path, never a date of the host, never all of the bytes.
 */
#include <assert.h>
#include <string.h>

#include "../imgfmt/bytes.h"
#include "../imgfmt/crc32c.h"
#include "session_impl.h"

enum {
	SAMPLE = 64 << 10,
	TABLES =
	    256 << 10, /* the superblock of UFS2, and what lies behind it */
};

/* The identity's bytes. */
struct id_disk {
	le64 file_size;   /* of the host file */
	le64 off, len;    /* of the image in it; off all ones: not plain */
	le32 first, last; /* CRC-32C of its first and last 64 KiB */
	le32 fs_id[2];
	le64 fs_time;
	/* Of what is not compressed: CRC-32C of TABLES bytes after the first
	 * 64 KiB, and of 64 KiB in the middle.  Two builds of one date have the
	 * same fs_id and fs_time.  Zero in sessions of older versions. */
	le32 tables, middle;
	uint8_t zero[8];
};
static_assert(sizeof(struct id_disk) == OVERLAY_ID_MAX, "identity");

static int
sample(struct blkdev *dev, uint64_t off, size_t len, le32 *out)
{
	scoped(freep) uint8_t *buf = malloc(len > 0 ? len : 1);
	int rc = buf == NULL ? -ENOMEM : blkdev_read(dev, off, buf, len);

	if (rc == 0)
		*out = le32_set(crc32c(0xffffffff, buf, len));
	return rc;
}

static int
add_fs(const struct image *image, struct id_disk *id)
{
	struct blkdev *dev = blkdev_ref(image->dev);
	const struct ufs_options read_only = {0};
	struct ufs_info info;
	struct ufs *fs;
	int rc = ufs_open(dev, &read_only, &fs);

	if (rc < 0) {
		blkdev_close(dev);
		return rc;
	}
	ufs_info(fs, &info);
	ufs_close(fs);
	id->fs_id[0] = le32_set(info.id[0]);
	id->fs_id[1] = le32_set(info.id[1]);
	id->fs_time = le64_set((uint64_t)info.time);
	return 0;
}

static int
add_samples(struct blkdev *dev, struct id_disk *id)
{
	uint64_t rest = dev->size > SAMPLE ? dev->size - SAMPLE : 0;
	int rc;

	if (rest == 0)
		return 0;
	rc = sample(
	    dev, SAMPLE, rest < TABLES ? (size_t)rest : TABLES, &id->tables);
	return rc < 0 ? rc : sample(dev, rest / 2, SAMPLE, &id->middle);
}

int
session_identity(const struct image *image, struct overlay_id *out)
{
	const struct image_layer *container = image_container(image);
	struct blkdev *dev = container->dev;
	size_t n = dev->size < SAMPLE ? (size_t)dev->size : SAMPLE;
	struct id_disk id = {
	    .file_size = le64_set(image->layer[0].dev->size),
	    .off = le64_set(container->off),
	    .len = le64_set(dev->size),
	};
	int rc = sample(dev, 0, n, &id.first);

	if (rc == 0)
		rc = sample(dev, dev->size - n, n, &id.last);
	/* The first bytes of a uzip are its index, which tells them all. */
	if (rc == 0 && container->kind != IMAGE_GZ &&
	    container->kind != IMAGE_UZIP)
		rc = add_samples(dev, &id);
	/*
	 * A .gz tells by its checksum at the end, and is not inflated here; of
	 * other file systems than UFS no id is known.
	 */
	if (rc == 0 && container->kind != IMAGE_GZ &&
	    image->layer[image->nlayers - 1].kind == IMAGE_UFS)
		rc = add_fs(image, &id);
	memcpy(out->bytes, &id, sizeof(id));
	return rc;
}

void
session_id_to_hex(const struct overlay_id *id, char hex[SESSION_ID_HEX])
{
	for (size_t i = 0; i < OVERLAY_ID_MAX; i++)
		(void)sprintf(hex + 2 * i, "%02x", id->bytes[i]);
}

/* As an older version knew it. */
static struct overlay_id
without_samples(const struct overlay_id *id)
{
	struct overlay_id older = *id;
	struct id_disk *disk = (struct id_disk *)older.bytes;

	disk->tables = disk->middle = le32_set(0);
	return older;
}

bool
session_id_same(const struct overlay_id *id, const struct overlay_id *other)
{
	struct overlay_id older = without_samples(id);

	return memcmp(other, id, sizeof(*id)) == 0 ||
	    memcmp(other, &older, sizeof(older)) == 0;
}

bool
session_id_is(const struct overlay_id *id, const char *hex)
{
	struct overlay_id older = without_samples(id);
	char mine[SESSION_ID_HEX], before[SESSION_ID_HEX];

	session_id_to_hex(id, mine);
	session_id_to_hex(&older, before);
	return strcmp(mine, hex) == 0 || strcmp(before, hex) == 0;
}
