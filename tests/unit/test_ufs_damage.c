/*
 * Changing damaged images: bytes of metadata are altered at random, then
 * operations are done.  They may fail, and the result may be as damaged as the
 * image was; but nothing crashes, hangs, or reads beyond its buffers.
 * RELIVE_LONG=N and RELIVE_SEED as in test_ufs_random.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../imgfmt/log.h"
#include "../../imgfmt/ufs_impl.h"
#include "check.h"
#include "ufs_model.h"

static struct model model;
static struct scratch scratch;

/* Alter some bytes of the n that lie at byte off. */
static void
alter(uint64_t off, uint64_t n)
{
	uint8_t bytes[8];
	uint64_t at = off + (model_random(&model, n) & ~3ull);
	size_t len = 1 + model_random(&model, 8);

	if (at + len > scratch.dev->size)
		return;
	CHECK_EQ(blkdev_read(scratch.dev, at, bytes, len), 0);
	for (size_t i = 0; i < len; i++)
		switch (model_random(&model, 4)) {
		case 0:
			bytes[i] = (uint8_t)model_random(&model, 256);
			break;
		case 1:
			bytes[i] ^= (uint8_t)(1u << model_random(&model, 8));
			break;
		case 2:
			bytes[i] = 0;
			break;
		default:
			break;
		}
	CHECK_EQ(blkdev_write(scratch.dev, at, bytes, len), 0);
}

static const struct model_node *
some_node(void)
{
	const struct model_node *n;

	do /* the root is always there */
		n = &model.node[model_random(&model, MODEL_NODES)];
	while (n->ino == 0);
	return n;
}

/* Damage an inode, a directory, an indirect block or a group's maps. */
static void
damage(const struct ufs_super *sb)
{
	const struct model_node *n = some_node();
	uint32_t cgx = (uint32_t)model_random(&model, sb->ncg);
	struct ufs_node *node;
	uint64_t fsb;

	switch (model_random(&model, 4)) {
	case 0:
		alter(ufs_frag_off(sb, ufs_cgtod(sb, cgx)), sb->cgsize);
		return;
	case 1:
		alter(ufs_ino_off(sb, n->ino), sb->dinode_size);
		return;
	default:
		break;
	}
	if (ufs_node_get(scratch.fs, n->ino, &node) < 0)
		return;
	fsb = ufs_is_dir(node) ? node->d.db[0] : node->d.ib[0];
	if ((ufs_is_dir(node) || ufs_is_reg(node)) && fsb != 0 &&
	    fsb < sb->size)
		alter(ufs_frag_off(sb, fsb), ufs_is_dir(node) ? 512 : 64);
	ufs_node_put(scratch.fs, node);
}

static void
quiet(enum log_level level, const char *line)
{
	(void)level;
	(void)line;
}

static void
run(const struct scratch_shape *shape, uint64_t seed)
{
	struct scratch_shape small = *shape;

	small.bytes = (uint64_t)shape->bsize * 400;
	small.ncg = 0;
	small.hashes = false;
	scratch_make(&scratch, &small);
	model_init(&model, &scratch, UFS_ROOT, seed);
	model.total_max = 8 << 20;
	for (int i = 0; i < 250; i++)
		model_step(&model);
	model_unpin_all(&model);
	CHECK_EQ(scratch_faults(&scratch), 0);
	for (int i = 1 + (int)model_random(&model, 12); i > 0; i--)
		damage(&scratch.fs->sb);
	ufs_close(scratch.fs);
	log_set_sink(quiet);
	scratch.limit = 1 << 26;
	scratch_open(&scratch);
	model.wrong = 1000; /* says nothing from now on */
	for (int i = 0; i < 200; i++)
		model_step(&model);
	CHECK(ufs_flush(scratch.fs) <= 0);
	CHECK(ufs_check(scratch.dev, NULL, 0, NULL, NULL) != -EINVAL);
	log_set_sink(NULL);
	model_free(&model);
	scratch_close(&scratch);
}

static void
damaged_metadata_does_no_harm(void)
{
	const char *text = getenv("RELIVE_LONG");
	int rounds = text != NULL ? atoi(text) : 1;
	uint64_t seed = text != NULL ? (uint64_t)time(NULL) * 1000 : 1;

	if (getenv("RELIVE_SEED") != NULL)
		seed = strtoull(getenv("RELIVE_SEED"), NULL, 10);
	for (int r = 0; r < 5 * rounds; r++)
		for (const struct scratch_shape *s = scratch_shapes; s->name;
		     s++) {
			if (text != NULL)
				fprintf(stderr, "# seed %llu %s\n",
				    (unsigned long long)seed, s->name);
			run(s, seed++);
		}
}

#define T(name) \
	{ \
#name, name \
	}

TESTS(T(damaged_metadata_does_no_harm))
