#include "crash_world.h"

#include <stdlib.h>
#include <string.h>

#include "../../imgfmt/log.h"
#include "../../imgfmt/uzip.h"

enum { CLUSTER = 16384 };

static const struct tree_op first_ops[] = {
    {"", TREE_CREATE, "/a", NULL, 0, 0},
    {"", TREE_APPEND, "/a", NULL, 0, 5000},
    {"", TREE_CREATE, "/b", NULL, 0, 0},
    {"", TREE_APPEND, "/b", NULL, 0, 64000},
    {"", TREE_MKDIR, "/d", NULL, 0, 0},
    {"", TREE_CREATE, "/d/x", NULL, 0, 0},
    {"", TREE_APPEND, "/d/x", NULL, 0, 300},
    {"", TREE_MKDIR, "/e", NULL, 0, 0},
    {"", TREE_LINK, "/a", "/d/l", 0, 0},
};

/* Without its world there is nothing to test. */
static void
must(int rc, const char *what)
{
	if (rc == 0)
		return;
	printf("Bail out! %s: %s\n", what, strerror(-rc));
	exit(1);
}

static void
silent(enum log_level level, const char *line)
{
	if (level == LOG_ERROR_LEVEL && getenv("RELIVE_VERBOSE") != NULL)
		printf("# %s\n", line);
}

static int
note_orphans(void *arg, const uint64_t *orphans, size_t n)
{
	return overlay_set_note(arg, orphans, n * sizeof(*orphans));
}

int
world_mount(struct blkdev *dev, struct blkdev *overlay, struct ufs **out)
{
	const struct ufs_options options = {.writable = true,
	    .size_limit = WORLD_LIMIT,
	    .before_flush = note_orphans,
	    .arg = overlay};

	return ufs_open(dev, &options, out);
}

/* Files that leave no room. */
static void
fill(struct ufs *fs, struct tree *tree)
{
	static const char *const names[] = {"/y", "/z"};

	for (int i = 0; i < 2; i++) {
		struct tree_op op = {"", TREE_CREATE, names[i], NULL, 0, 0};

		must(tree_expect(tree, &op), "model");
		must(tree_do(fs, &op), "fill");
		op.verb = TREE_APPEND;
		op.len = 4096;
		for (int n = 0; n < 60 && tree_do(fs, &op) == 0; n++)
			must(tree_expect(tree, &op), "tree_expect");
	}
}

static void
populate(struct world *w, struct blkdev *dev)
{
	const struct ufs_options options = {.writable = true};
	struct ufs *fs = NULL;

	must(ufs_open(blkdev_ref(dev), &options, &fs), "ufs_open");
	tree_begin(&w->tree);
	for (size_t i = 0; i < sizeof(first_ops) / sizeof(first_ops[0]); i++) {
		must(tree_expect(&w->tree, &first_ops[i]), "tree_expect");
		must(tree_do(fs, &first_ops[i]), "tree_do");
	}
	if (w->full)
		fill(fs, &w->tree);
	must(ufs_flush(fs), "ufs_flush");
	ufs_close(fs);
}

/* The same, compressed. */
static struct blkdev *
compressed(struct blkdev *dev)
{
	const struct uzip_params params = {.cluster = CLUSTER};
	struct blkdev *file, *out = NULL;
	struct uzip_written written;
	struct uzip_writer *w;
	uint8_t buf[CLUSTER];

	must(blkdev_mem_open(0, &file), "blkdev_mem_open");
	must(uzip_writer_open(file, 0, WORLD_SIZE / CLUSTER, &params, NULL, &w),
	    "uzip_writer_open");
	for (uint64_t off = 0; off < WORLD_SIZE; off += CLUSTER) {
		must(blkdev_read(dev, off, buf, CLUSTER), "blkdev_read");
		must(uzip_writer_put(w, buf, CLUSTER), "uzip_writer_put");
	}
	must(uzip_writer_finish(w, &written), "uzip_writer_finish");
	uzip_writer_close(w);
	blkdev_close(dev);
	must(uzip_open(file, WORLD_SIZE, NULL, &out), "uzip_open");
	return out;
}

void
world_open(struct world *w)
{
	const struct ufs_mkfs how = {.version = w->version,
	    .big_endian = w->big_endian,
	    .block_size = w->bsize,
	    .frag_size = w->fsize,
	    .bytes_per_inode = 8192,
	    .check_hashes = w->version == 2,
	    .time = 1000000000};
	struct blkdev *dev;

	log_set_sink(silent);
	(void)setenv("SOURCE_DATE_EPOCH", "1100000000", 1);
	must(blkdev_mem_open(WORLD_SIZE, &dev), "blkdev_mem_open");
	must(ufs_mkfs(dev, &how), "ufs_mkfs");
	populate(w, dev);
	w->base = w->uzip ? compressed(dev) : dev;
	w->base->writable = false;
}

int
world_reap(struct ufs *fs, struct blkdev *overlay)
{
	size_t len;
	const uint64_t *note = overlay_note(overlay, &len);

	return len > 0 ? ufs_reap(fs, note, len / sizeof(*note)) : 0;
}

/* Something can be done, and be made durable: 0, or what is wrong. */
static const char *
life_goes_on(struct ufs *fs, struct blkdev *cache)
{
	static const struct tree_op more = {
	    "", TREE_MKDIR, "/after", NULL, 0, 0};

	if (tree_do(fs, &more) < 0)
		return "nothing can be made in it";
	if (ufs_flush(fs) < 0)
		return "it cannot be flushed";
	return ufs_check(cache, NULL, 0, NULL, NULL) != 0
	    ? "it is not clean after a change"
	    : NULL;
}

const char *
world_judge(struct blkdev *overlay, struct tree_listing *out)
{
	struct blkdev *cache = NULL;
	const char *wrong = NULL;
	struct ufs *fs;

	must(blkdev_cache_open(overlay, 8 << 20, 1 << 20, &cache),
	    "blkdev_cache_open");
	if (world_mount(cache, overlay, &fs) < 0) {
		blkdev_close(cache);
		return "no file system";
	}
	if (world_reap(fs, overlay) < 0)
		wrong = "what was unlinked but open cannot be freed";
	else if (ufs_sync_to_device(fs) < 0 ||
	    ufs_check(cache, NULL, 0, NULL, NULL) != 0)
		wrong = "it is not clean";
	else if (tree_list_fs(fs, out) < 0)
		wrong = "it cannot be read";
	else
		wrong = life_goes_on(fs, cache);
	ufs_close(fs);
	return wrong;
}

uint64_t
world_state_of(struct blkdev *overlay)
{
	static uint8_t buf[WORLD_LIMIT];
	struct blkdev_change c;
	size_t len;
	const void *note = overlay_note(overlay, &len);
	uint64_t h = hash_of(overlay->size, note, len), off = 0;

	while (
	    off < overlay->size && blkdev_next_change(overlay, off, &c) == 1) {
		h = hash_of(h, &c.off, sizeof(c.off));
		h = hash_of(h, &c.trimmed, sizeof(c.trimmed));
		must(blkdev_read(overlay, c.off, buf, c.len), "blkdev_read");
		if (!c.trimmed)
			h = hash_of(h, buf, c.len);
		off = c.off + c.len;
	}
	return h;
}

void
world_close(struct world *w)
{
	tree_end(&w->tree);
	set_clear(&w->states);
	blkdev_close(w->base);
}
