/* The overlay's file: on a real disk, and made by somebody with bad intent. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../../imgfmt/crc32c.h"
#include "../../imgfmt/log.h"
#include "check.h"
#include "overlay_mem.h"

enum {
	B = OVERLAY_BLOCK,
	BASE = 64 * B,
};

static const struct overlay_id id = {"id"};
static char last_line[1024];

static void
remember(enum log_level level, const char *line)
{
	(void)level;
	snprintf(last_line, sizeof(last_line), "%s", line);
}

static struct blkdev *
base_open(void)
{
	struct blkdev *base;

	log_set_sink(remember);
	last_line[0] = '\0';
	CHECK_EQ(blkdev_mem_open(BASE, &base), 0);
	base->writable = false;
	return base;
}

static void
fill(struct blkdev *dev, uint64_t no, size_t n, int value)
{
	scoped(freep) void *buf = malloc(n * B);

	memset(buf, value, n * B);
	CHECK_EQ(blkdev_write(dev, no * B, buf, n * B), 0);
}

static int
byte_at(struct blkdev *dev, uint64_t off)
{
	uint8_t c = 0;
	int rc = blkdev_read(dev, off, &c, 1);

	return rc < 0 ? rc : c;
}

/* A folder of our own; its name in path, room behind it. */
static void
temp_dir(char path[64])
{
	snprintf(path, 64, "/tmp/test_overlay.XXXXXX");
	CHECK(mkdtemp(path) != NULL);
}

static void
temp_remove(const char *dir, const char *file)
{
	CHECK_EQ(unlink(file), 0);
	CHECK_EQ(rmdir(dir), 0); /* also: nothing else was left in it */
}

static void
a_file_is_private_and_never_overwritten(void)
{
	char dir[64], path[80];
	struct overlay_id got;
	struct stat st;

	temp_dir(dir);
	snprintf(path, sizeof(path), "%s/o", dir);
	CHECK_EQ(overlay_create(path, &id, BASE), 0);
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_mode & 07777, 0600);
	CHECK_EQ(overlay_create(path, &id, BASE), -EEXIST);
	CHECK_EQ(overlay_read_id(path, &got), 0);
	CHECK(memcmp(&got, &id, sizeof(id)) == 0);
	temp_remove(dir, path);
	CHECK_EQ(overlay_create(path, &id, BASE), -ENOENT);
	CHECK_EQ(overlay_read_id(path, &got), -ENOENT);
}

static void
what_a_crashed_creation_left_is_replaced(void)
{
	char dir[64], path[80], temp[90];
	int fd;

	temp_dir(dir);
	snprintf(path, sizeof(path), "%s/o", dir);
	snprintf(temp, sizeof(temp), "%s/.o.new", dir);
	fd = open(temp, O_CREAT | O_WRONLY, 0644);
	CHECK(fd >= 0 && write(fd, "x", 1) == 1);
	close(fd);
	CHECK_EQ(overlay_create(path, &id, BASE), 0);
	temp_remove(dir, path);
}

static void
a_session_on_disk_survives(void)
{
	char dir[64], path[80], temp[90];
	struct blkdev *base = base_open(), *dev, *reader;
	struct stat before, after;

	temp_dir(dir);
	snprintf(path, sizeof(path), "%s/o", dir);
	CHECK_EQ(overlay_open(path, &id, base, 0, &dev), -ENOENT);
	CHECK_EQ(overlay_create(path, &id, BASE), 0);
	CHECK_EQ(overlay_open(path, &id, blkdev_ref(base), 0, &dev), 0);
	for (int i = 0; i < 100; i++) {
		fill(dev, (uint64_t)i % 30, 8, i);
		if (i % 9 == 0)
			CHECK_EQ(blkdev_flush(dev), 0);
	}
	CHECK_EQ(blkdev_flush(dev), 0);
	CHECK_EQ(overlay_open(
		     path, &id, blkdev_ref(base), OVERLAY_READ_ONLY, &reader),
	    0);
	CHECK_EQ(stat(path, &before), 0);
	CHECK_EQ(overlay_compact(dev), 0);
	CHECK_EQ(stat(path, &after), 0);
	CHECK(before.st_ino != after.st_ino);
	CHECK_EQ(after.st_mode & 07777, 0600);
	CHECK_EQ(byte_at(reader, 9 * B), 99);
	blkdev_close(reader);
	fill(dev, 50, 1, 'z');
	CHECK_EQ(overlay_finish(dev), 0);
	blkdev_close(dev);
	snprintf(temp, sizeof(temp), "%s/.o.new", dir);
	close(open(temp, O_CREAT | O_WRONLY, 0600)); /* a crash's */
	CHECK_EQ(overlay_open(path, &id, base, 0, &dev), 0);
	CHECK_EQ(byte_at(dev, 9 * B), 99);
	CHECK_EQ(byte_at(dev, 50 * B), 'z');
	blkdev_close(dev);
	temp_remove(dir, path);
}

/* A memory disk with a new overlay; what its header says. */
static struct memdisk *
new_disk(struct overlay_header *h)
{
	struct memdisk *disk = memdisk_new();
	struct overlay_header_disk d;
	const char *what;
	size_t len;

	CHECK_EQ(memdisk_create(disk, &id, BASE), 0);
	memcpy(&d, memdisk_data(disk, &len), sizeof(d));
	CHECK_EQ(overlay_header_decode(&d, h, &what), 0);
	return disk;
}

static int
open_rc(struct memdisk *disk, struct blkdev **dev)
{
	struct blkdev *base = base_open();
	int rc = memdisk_open(disk, &id, base, 0, dev);

	if (rc < 0)
		blkdev_close(base);
	return rc;
}

/* Set n bytes of the header, mend its checksum if asked; open. */
static int
open_with_header(size_t off, const char *bytes, size_t n, bool mend)
{
	struct overlay_header h;
	scoped(memdisk_freep) struct memdisk *disk = new_disk(&h);
	struct blkdev *dev;
	size_t len;
	uint8_t *data = memdisk_data(disk, &len);
	le32 crc;
	int rc;

	memcpy(data + off, bytes, n);
	crc = le32_set(crc32c(OVERLAY_CRC_NONE, data, OVERLAY_HEADER - 4));
	if (mend)
		memcpy(data + OVERLAY_HEADER - 4, &crc, 4);
	rc = open_rc(disk, &dev);
	if (rc == 0)
		blkdev_close(dev);
	return rc;
}

static void
a_header_with_another_magic_number_is_refused(void)
{
	CHECK_EQ(open_with_header(0, "RELIVEOX", 8, true), -ECORRUPT);
	CHECK(strstr(last_line, "not an overlay") != NULL);
}

static void
a_header_of_another_version_is_refused(void)
{
	CHECK_EQ(open_with_header(8, "\2", 1, true), -ECORRUPT);
	CHECK(strstr(last_line, "version") != NULL);
}

static void
a_header_with_a_wrong_checksum_is_refused(void)
{
	CHECK_EQ(open_with_header(16, "salt", 4, true), 0);
	CHECK_EQ(open_with_header(16, "salt", 4, false), -ECORRUPT);
	CHECK(strstr(last_line, "checksum") != NULL);
}

static void
a_header_with_another_block_size_is_refused(void)
{
	CHECK_EQ(open_with_header(12, "\0\20\1", 3, true), -ECORRUPT);
	CHECK(strstr(last_line, "block size") != NULL);
}

static void
a_header_with_an_impossible_base_is_refused(void)
{
	CHECK_EQ(open_with_header(32, "\1\0\0\0\0\0\0\20", 8, true), -ECORRUPT);
	CHECK(strstr(last_line, "base size") != NULL);
}

static void
a_file_shorter_than_a_header_is_refused(void)
{
	static const size_t lengths[] = {0, 1, OVERLAY_HEADER - 1};

	for (size_t i = 0; i < 3; i++) {
		struct overlay_header h;
		scoped(memdisk_freep) struct memdisk *disk = new_disk(&h);
		struct blkdev *dev;

		memdisk_resize(disk, lengths[i]);
		CHECK_EQ(open_rc(disk, &dev), -ECORRUPT);
		CHECK(strstr(last_line, "too short") != NULL);
	}
}

/* Append a record with correct checksums, whatever it says. */
static void
append(struct memdisk *disk, const struct overlay_header *h,
    struct overlay_record r, const void *payload, uint32_t *chain)
{
	struct overlay_record_disk d;
	size_t at, len;

	(void)memdisk_data(disk, &at);
	r.off = at;
	r.payload_crc = crc32c(OVERLAY_CRC_NONE, payload, r.stored);
	r.chain = *chain;
	overlay_record_encode(&r, h->salt, &d);
	memdisk_resize(
	    disk, at + OVERLAY_RECORD + (size_t)overlay_padded(r.stored));
	memcpy(memdisk_data(disk, &len) + at, &d, sizeof(d));
	if (r.stored > 0)
		memcpy(memdisk_data(disk, &len) + at + OVERLAY_RECORD, payload,
		    r.stored);
	*chain = overlay_chain(*chain, &d);
}

/* Open a file with one transaction that holds record r. */
static int
open_with_record(struct overlay_record r, bool read_all)
{
	static uint8_t payload[OVERLAY_NOTE_MAX + 1];
	static uint8_t got[BASE];
	struct overlay_header h;
	scoped(memdisk_freep) struct memdisk *disk = new_disk(&h);
	struct overlay_record commit = {.seq = 1,
	    .type = OVERLAY_COMMIT,
	    .arg = OVERLAY_HEADER,
	    .count = 1};
	uint32_t chain = OVERLAY_CRC_NONE;
	struct blkdev *dev;
	int rc;

	r.seq = 1;
	append(disk, &h, r, payload, &chain);
	append(disk, &h, commit, NULL, &chain);
	rc = open_rc(disk, &dev);
	if (rc < 0)
		return rc;
	if (read_all)
		rc = blkdev_read(dev, 0, got, dev->size);
	blkdev_close(dev);
	return rc;
}

static void
records_that_make_no_sense_are_refused(void)
{
	static const struct {
		struct overlay_record r;
		int want;
	} cases[] = {
	    {{.type = OVERLAY_DATA, .count = 1, .stored = B}, 0},
	    {{.type = OVERLAY_DATA, .count = 0, .stored = 0}, -ECORRUPT},
	    {{.type = OVERLAY_DATA, .count = 16, .stored = 16 * B}, 0},
	    {{.type = OVERLAY_DATA, .count = 17, .stored = 17 * B}, -ECORRUPT},
	    {{.type = OVERLAY_DATA, .arg = 63, .count = 1, .stored = B}, 0},
	    {{.type = OVERLAY_DATA, .arg = 64, .count = 1, .stored = B},
		-ECORRUPT},
	    {{.type = OVERLAY_DATA, .arg = 63, .count = 2, .stored = 2 * B},
		-ECORRUPT},
	    {{.type = OVERLAY_DATA,
		 .arg = UINT64_MAX,
		 .count = 2,
		 .stored = 2 * B},
		-ECORRUPT},
	    {{.type = OVERLAY_DATA, .count = 1, .stored = B - 1}, -ECORRUPT},
	    {{.type = OVERLAY_DATA,
		 .count = 1,
		 .stored = 0,
		 .coding = OVERLAY_LZ4},
		-ECORRUPT},
	    {{.type = OVERLAY_DATA,
		 .count = 1,
		 .stored = B,
		 .coding = OVERLAY_LZ4},
		-ECORRUPT},
	    {{.type = OVERLAY_DATA, .count = 1, .stored = 100, .coding = 2},
		-ECORRUPT},
	    {{.type = OVERLAY_TRIM, .arg = 60, .count = 4}, 0},
	    {{.type = OVERLAY_TRIM, .count = 0}, -ECORRUPT},
	    {{.type = OVERLAY_TRIM, .arg = 60, .count = 5}, -ECORRUPT},
	    {{.type = OVERLAY_TRIM, .arg = 65, .count = UINT64_MAX - 2},
		-ECORRUPT},
	    {{.type = OVERLAY_TRIM, .count = 1, .stored = 1}, -ECORRUPT},
	    {{.type = OVERLAY_TRIM, .count = 1, .coding = 1}, -ECORRUPT},
	    {{.type = OVERLAY_RESIZE, .arg = 5}, 0},
	    {{.type = OVERLAY_RESIZE, .arg = OVERLAY_SIZE_MAX + 1}, -ECORRUPT},
	    {{.type = OVERLAY_RESIZE, .arg = 5, .stored = 16}, -ECORRUPT},
	    {{.type = OVERLAY_NOTE, .stored = OVERLAY_NOTE_MAX}, 0},
	    {{.type = OVERLAY_NOTE, .stored = 8, .coding = 1}, -ECORRUPT},
	    {{.type = 7, .arg = 0}, -ECORRUPT},
	    {{.type = 0, .arg = 0}, -ECORRUPT},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc = open_with_record(cases[i].r, cases[i].want == 0);

		CHECK_EQ(rc, cases[i].want);
		if (rc != cases[i].want)
			printf("# in case %zu\n", i);
		if (rc < 0)
			CHECK(strstr(last_line, "at byte 4096") != NULL);
	}
}

static void
a_payload_that_is_too_long_to_check_ends_the_log(void)
{
	struct overlay_record r = {
	    .type = OVERLAY_NOTE, .stored = OVERLAY_NOTE_MAX + 1};

	/* As the last transaction it looks like a torn one. */
	CHECK_EQ(open_with_record(r, true), 0);
}

static void
a_payload_that_lz4_refuses_is_damage(void)
{
	struct overlay_record r = {.type = OVERLAY_DATA,
	    .count = 2,
	    .stored = 100,
	    .coding = OVERLAY_LZ4};

	CHECK_EQ(open_with_record(r, false), 0);
	CHECK_EQ(open_with_record(r, true), -ECORRUPT);
	CHECK(strstr(last_line, "at byte 4096") != NULL);
}

/* A finished disk with some extents; where its INDEX header lies. */
static struct memdisk *
indexed_disk(struct overlay_header *h, size_t *index)
{
	struct memdisk *disk = new_disk(h);
	struct overlay_trailer_disk t;
	struct blkdev *dev;
	size_t len;
	uint64_t off;

	CHECK_EQ(open_rc(disk, &dev), 0);
	fill(dev, 3, 4, 'a');
	fill(dev, 30, 4, 'b');
	CHECK_EQ(blkdev_trim(dev, 10 * B, B), 0);
	CHECK_EQ(overlay_set_note(dev, "note", 4), 0);
	CHECK_EQ(overlay_finish(dev), 0);
	blkdev_close(dev);
	(void)memdisk_data(disk, &len);
	memcpy(&t, memdisk_data(disk, &len) + len - sizeof(t), sizeof(t));
	CHECK(overlay_trailer_decode(&t, len, h->salt, &off));
	*index = (size_t)off;
	return disk;
}

/* Make the checksums of a changed INDEX right again. */
static void
mend_index(struct memdisk *disk, const struct overlay_header *h, size_t index)
{
	struct overlay_record_disk d;
	struct overlay_record r;
	size_t len;
	uint8_t *data = memdisk_data(disk, &len);

	memcpy(&d, data + index, sizeof(d));
	CHECK(overlay_record_decode(&d, index, h->salt, &r));
	r.payload_crc =
	    crc32c(OVERLAY_CRC_NONE, data + index + OVERLAY_RECORD, r.stored);
	overlay_record_encode(&r, h->salt, &d);
	memcpy(data + index, &d, sizeof(d));
}

/* Set bytes of the INDEX payload; does the right state open? */
static bool
opens_with_index(size_t off, const char *bytes, size_t n, bool mend)
{
	struct overlay_header h;
	size_t index, len;
	scoped(memdisk_freep) struct memdisk *disk = indexed_disk(&h, &index);
	uint8_t *at = memdisk_data(disk, &len) + index + OVERLAY_RECORD + off;
	struct blkdev *dev;
	bool ok;

	memcpy(at, bytes, n);
	if (mend)
		mend_index(disk, &h, index);
	if (open_rc(disk, &dev) < 0)
		return false;
	ok = byte_at(dev, 3 * B) == 'a' && byte_at(dev, 33 * B) == 'b' &&
	    byte_at(dev, 2 * B) == 0 && byte_at(dev, 10 * B) == 0 &&
	    memcmp(overlay_note(dev, &len), "note", 4) == 0 && len == 4;
	blkdev_close(dev);
	return ok;
}

static void
an_index_that_makes_no_sense_is_not_used(void)
{
	enum { E0 = OVERLAY_PROLOGUE, E1 = E0 + OVERLAY_EXTENT };
	static const struct {
		size_t off;
		const char *bytes;
		size_t n;
	} cases[] = {
	    {E0, "\2", 1},               /* the wrong block: by crc */
	    {0, "\0\1\0\0\0\0\0\0", 8},  /* note inside the header */
	    {0, "\xff\xff\xff\xff", 4},  /* note behind the index */
	    {0, "\0\20\0\0\0\0\0\0", 8}, /* note is another record */
	    {E0, "\x41", 1},             /* block behind the end */
	    {E0 + 8, "\0", 1},           /* no blocks */
	    {E0 + 8, "\5", 1},           /* more than its record has */
	    {E0 + 8, "\xff\xff\xff\xff\xff\xff\xff\xff", 8},
	    {E1, "\4", 1},            /* overlaps the one before */
	    {E0 + 16, "\0\10", 2},    /* points into the header */
	    {E0 + 16, "\1", 1},       /* is not aligned */
	    {E0 + 16, "\0\0\0\1", 4}, /* points behind the index */
	    {E0 + 24, "\0\0\0\0", 4}, /* no payload */
	    {E0 + 24, "\xff\xff", 2}, /* too long for its blocks */
	    {E0 + 28, "\4", 1},       /* skips all blocks */
	    {E0 + 30, "\0", 1},       /* a record of no blocks */
	    {E0 + 30, "\21", 1},      /* of too many */
	    {E1 + 28, "\1", 1},       /* a trim with a record */
	};

	CHECK(opens_with_index(0, "", 0, true));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool ok = opens_with_index(
		    cases[i].off, cases[i].bytes, cases[i].n, i > 0);

		CHECK(ok);
		if (!ok)
			printf("# in case %zu\n", i);
	}
}

/* Whether the index was used shows when the log before it is damaged. */
static void
an_index_counts_only_at_the_very_end(void)
{
	struct overlay_header h;
	size_t index, len;
	scoped(memdisk_freep) struct memdisk *disk = indexed_disk(&h, &index);
	struct blkdev *dev;

	memdisk_data(disk, &len)[OVERLAY_HEADER] ^= 1;
	CHECK_EQ(open_rc(disk, &dev), 0); /* the index does not look there */
	CHECK_EQ(byte_at(dev, 30 * B), 'b');
	CHECK_EQ(byte_at(dev, 3 * B), -ECORRUPT);
	CHECK(strstr(last_line, "damaged record at byte 4096") != NULL);
	blkdev_close(dev);
	memdisk_resize(disk, len + 16);
	CHECK_EQ(open_rc(disk, &dev), -ECORRUPT);
	CHECK(strstr(last_line, "damaged record at byte 4096") != NULL);
}

static void
a_map_entry_that_points_to_another_record_is_damage(void)
{
	struct overlay_header h;
	size_t index, len;
	scoped(memdisk_freep) struct memdisk *disk = indexed_disk(&h, &index);
	struct blkdev *dev;
	uint8_t *extents = memdisk_data(disk, &len) + index + OVERLAY_RECORD +
	    OVERLAY_PROLOGUE;

	/* The third extent's record for the first extent's blocks. */
	memcpy(extents + 16, extents + 2 * OVERLAY_EXTENT + 16, 16);
	mend_index(disk, &h, index);
	CHECK_EQ(open_rc(disk, &dev), 0);
	CHECK_EQ(byte_at(dev, 3 * B), -ECORRUPT);
	CHECK_EQ(byte_at(dev, 30 * B), 'b');
	blkdev_close(dev);
}

static void
damage_to_an_index_inside_the_log_is_told(void)
{
	struct overlay_header h;
	size_t index, len;
	scoped(memdisk_freep) struct memdisk *disk = indexed_disk(&h, &index);
	struct blkdev *dev;

	CHECK_EQ(open_rc(disk, &dev), 0);
	fill(dev, 5, 1, 'n');
	CHECK_EQ(blkdev_flush(dev), 0);
	blkdev_close(dev);
	memdisk_data(disk, &len)[index + 20] ^= 1;
	CHECK_EQ(open_rc(disk, &dev), -ECORRUPT);
	memdisk_data(disk, &len)[index + 20] ^= 1;
	CHECK_EQ(open_rc(disk, &dev), 0);
	CHECK_EQ(byte_at(dev, 5 * B), 'n');
	blkdev_close(dev);
}

TESTS({"a file is private and never overwritten",
	  a_file_is_private_and_never_overwritten},
    {"what a crashed creation left is replaced",
	what_a_crashed_creation_left_is_replaced},
    {"a session on disk survives", a_session_on_disk_survives},
    {"a header with another magic number is refused",
	a_header_with_another_magic_number_is_refused},
    {"a header of another version is refused",
	a_header_of_another_version_is_refused},
    {"a header with a wrong checksum is refused",
	a_header_with_a_wrong_checksum_is_refused},
    {"a header with another block size is refused",
	a_header_with_another_block_size_is_refused},
    {"a header with an impossible base is refused",
	a_header_with_an_impossible_base_is_refused},
    {"a file shorter than a header is refused",
	a_file_shorter_than_a_header_is_refused},
    {"records that make no sense are refused",
	records_that_make_no_sense_are_refused},
    {"a payload that is too long to check ends the log",
	a_payload_that_is_too_long_to_check_ends_the_log},
    {"a payload that LZ4 refuses is damage",
	a_payload_that_lz4_refuses_is_damage},
    {"an index that makes no sense is not used",
	an_index_that_makes_no_sense_is_not_used},
    {"an index counts only at the very end",
	an_index_counts_only_at_the_very_end},
    {"a map entry that points to another record is damage",
	a_map_entry_that_points_to_another_record_is_damage},
    {"damage to an index inside the log is told",
	damage_to_an_index_inside_the_log_is_told})
