/*
 * A small good file system, damaged as the input says, then worked on as the
 * input says.  What was not damaged must stay faultless.
 *
 * The input: which file system; how many damages, and each of them: which of
 * the words that are not zero, and what becomes of it; then operations.
 */
#include <sys/stat.h>

#include "../../imgfmt/ufs.h"
#include "fuzz.h"

enum {
	SIZE = 384 << 10,
	GROWTH = 256 << 10,
	CACHE = 1 << 20,
	SHAPES = 4,
	NODES = 16,
	OPERATIONS_MAX = 60,
	BYTES_MAX = 100000,
};

struct work {
	struct fuzz_words in;
	struct ufs *fs;
	uint64_t node[NODES]; /* inodes seen; [0] is the root */
	char name[UFS_NAME_MAX + 1];
	size_t len;
};

/* A good file system, and where it is not zero, in words of 8 bytes. */
struct shape {
	uint8_t *bytes;
	uint32_t *words;
	size_t nwords;
};

static const char text[BYTES_MAX];

/* -- the good ones --------------------------------------------------------- */

static struct ufs *
open_over(struct blkdev *dev, bool writable)
{
	const struct ufs_options options = {
	    .writable = writable, .size_limit = writable ? SIZE + GROWTH : 0};
	struct blkdev *cache;
	struct ufs *fs;

	if (blkdev_cache_open(dev, CACHE, CACHE, &cache) < 0) {
		blkdev_close(dev);
		return NULL;
	}
	if (ufs_open(cache, &options, &fs) == 0)
		return fs;
	blkdev_close(cache);
	return NULL;
}

static uint64_t
add(struct ufs *fs, uint64_t dir, const char *name, uint32_t mode, size_t size)
{
	const struct ufs_new what = {
	    .mode = mode, .target = "t", .target_len = 1};
	struct ufs_attr attr;

	if (ufs_create(fs, dir, name, strlen(name), &what, &attr) < 0 ||
	    (size > 0 &&
		ufs_write(fs, attr.ino, 0, text, size) != (int64_t)size))
		abort();
	return attr.ino;
}

/* One of each: holes, indirect blocks, attributes, links, directories. */
static void
fill(struct ufs *fs)
{
	uint64_t dir = add(fs, UFS_ROOT, "dir", S_IFDIR | 0755, 0);
	uint64_t deep = add(fs, dir, "deep", S_IFDIR | 0755, 0);
	uint64_t file = add(fs, UFS_ROOT, "n1", S_IFREG | 0644, 60000);
	struct ufs_attr attr;

	(void)!ufs_write(fs, file, 20 << 20, text, 5000);
	(void)add(fs, UFS_ROOT, "n2", S_IFREG | 0600, 700);
	(void)add(fs, UFS_ROOT, "n3", S_IFLNK | 0777, 0);
	(void)add(fs, deep, "n4", S_IFCHR | 0600, 0);
	(void)!ufs_link(fs, file, deep, "n5", 2, &attr);
	(void)!ufs_xattr_set(fs, file, UFS_EA_USER, "x", "value", 5, 0);
	for (char name[] = "a1"; name[0] <= 'z'; name[0]++)
		(void)add(fs, dir, name, S_IFREG | 0644, 0);
}

static void
make(struct shape *shape, unsigned number)
{
	static const struct ufs_mkfs how[SHAPES] = {
	    {.version = 2, .block_size = 4096, .frag_size = 512},
	    {.version = 1, .block_size = 4096, .frag_size = 512},
	    {.version = 1,
		.big_endian = true,
		.block_size = 8192,
		.frag_size = 1024,
		.ncg = 2},
	    {.version = 2,
		.block_size = 4096,
		.frag_size = 1024,
		.check_hashes = true,
		.flags = 0x010, /* access control lists */
		.ncg = 2},
	};
	struct blkdev *dev, *keep;
	struct ufs *fs;

	if (blkdev_mem_open(SIZE, &dev) < 0 || ufs_mkfs(dev, &how[number]) < 0)
		abort();
	keep = blkdev_ref(dev);
	fs = open_over(dev, true);
	if (fs == NULL)
		abort();
	fill(fs);
	if (ufs_flush(fs) < 0)
		abort();
	ufs_close(fs);
	shape->bytes = malloc(SIZE);
	shape->words = calloc(SIZE / 8, sizeof(*shape->words));
	if (blkdev_read(keep, 0, shape->bytes, SIZE) < 0)
		abort();
	for (uint32_t off = 0; off < SIZE; off += 8)
		if (memcmp(shape->bytes + off, text, 8) != 0)
			shape->words[shape->nwords++] = off;
	blkdev_close(keep);
}

/* -- damage ---------------------------------------------------------------- */

static void
damage(struct fuzz_words *in, const struct shape *shape, struct blkdev *dev)
{
	uint32_t how = fuzz_word(in, 1);
	uint32_t off = shape->words[fuzz_word(in, 2) % shape->nwords];
	uint32_t other = shape->words[fuzz_word(in, 2) % shape->nwords];
	uint8_t word[8];

	memcpy(word, shape->bytes + off, sizeof(word));
	if (how % 4 == 0) /* what stands elsewhere */
		memcpy(word, shape->bytes + other, sizeof(word));
	else if (how % 4 == 1)
		memset(word, how & 16 ? 0xff : 0, how / 32 + 1);
	else
		for (uint32_t i = 0; i <= how / 64; i++)
			word[(how / 4 + i) % 8] = (uint8_t)fuzz_word(in, 1);
	if (blkdev_write(dev, off, word, sizeof(word)) < 0)
		abort();
}

/* -- operations ------------------------------------------------------------ */

static uint64_t *
some_node(struct work *w)
{
	return &w->node[fuzz_word(&w->in, 1) % NODES];
}

static const char *
some_name(struct work *w)
{
	uint32_t number = fuzz_word(&w->in, 1);

	w->len = (size_t)snprintf(w->name, sizeof(w->name), "n%u", number % 32);
	if (number >= 248) { /* long names fill directories */
		memset(w->name + w->len, 'l', UFS_NAME_MAX - w->len);
		w->len = UFS_NAME_MAX;
	}
	return w->name;
}

static int
see(void *arg, const struct ufs_dirent *entry)
{
	struct work *w = arg;

	w->node[1 + entry->namelen % (NODES - 1)] = entry->ino;
	return 0;
}

static int
see_xattr(void *arg, enum ufs_ea_space space, const char *name, size_t len)
{
	char value[200];

	(void)!ufs_xattr_get(((struct work *)arg)->fs, UFS_ROOT, space, name,
	    value, sizeof(value));
	return len > (size_t)1 << 30;
}

static void
do_create(struct work *w)
{
	static const uint32_t types[] = {
	    S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFREG};
	uint64_t dir = *some_node(w), *node = some_node(w);
	const char *name = some_name(w);
	const struct ufs_new what = {
	    .mode = types[fuzz_word(&w->in, 1) % 5] | 0755,
	    .target = w->name,
	    .target_len = w->len};
	struct ufs_attr attr;

	if (ufs_create(w->fs, dir, name, w->len, &what, &attr) == 0)
		*node = attr.ino;
}

static void
do_link(struct work *w)
{
	uint64_t node = *some_node(w), dir = *some_node(w);
	const char *name = some_name(w);
	struct ufs_attr attr;

	(void)!ufs_link(w->fs, node, dir, name, w->len, &attr);
}

static void
do_remove(struct work *w)
{
	uint64_t dir = *some_node(w);
	const char *name = some_name(w);

	(void)!ufs_remove(w->fs, dir, name, w->len, fuzz_word(&w->in, 1) % 2);
}

static void
do_rename(struct work *w)
{
	struct ufs_name from = {.dir = *some_node(w)};
	struct ufs_name to = {.dir = *some_node(w)};
	char name[UFS_NAME_MAX + 1];

	memcpy(name, some_name(w), sizeof(name));
	from.name = name;
	from.len = w->len;
	to.name = some_name(w);
	to.len = w->len;
	(void)!ufs_rename(w->fs, &from, &to, fuzz_word(&w->in, 1) % 3);
}

static void
do_write(struct work *w)
{
	uint64_t node = *some_node(w);
	uint64_t off = (uint64_t)fuzz_word(&w->in, 3)
	    << fuzz_word(&w->in, 1) % 40;

	(void)!ufs_write(
	    w->fs, node, off, text, fuzz_word(&w->in, 2) % BYTES_MAX);
}

static void
do_read(struct work *w)
{
	static char buf[BYTES_MAX];
	uint64_t node = *some_node(w);
	uint64_t off = (uint64_t)fuzz_word(&w->in, 2)
	    << fuzz_word(&w->in, 1) % 50;
	struct ufs_run run;

	(void)!ufs_read(w->fs, node, off, buf, sizeof(buf));
	(void)!ufs_readlink(w->fs, node, buf, sizeof(buf));
	(void)!ufs_seek(w->fs, node, off, off % 2);
	(void)!ufs_map(w->fs, node, off, &run);
}

static void
do_setattr(struct work *w)
{
	uint64_t node = *some_node(w);
	uint32_t set = fuzz_word(&w->in, 1);
	const struct ufs_attr attr = {.mode = set,
	    .uid = set,
	    .size = (uint64_t)fuzz_word(&w->in, 3) << fuzz_word(&w->in, 1) % 40,
	    .flags = fuzz_word(&w->in, 1) & ~(uint32_t)UFS_FLAG_SNAPSHOT};
	struct ufs_attr out;

	(void)!ufs_setattr(w->fs, node, set, &attr, &out);
}

static void
do_allocate(struct work *w)
{
	uint64_t node = *some_node(w), off = fuzz_word(&w->in, 3);
	int how = (int)fuzz_word(&w->in, 1) % 5;

	(void)!ufs_allocate(
	    w->fs, node, how, off, fuzz_word(&w->in, 3) / 32 + 1);
}

static void
do_xattr(struct work *w)
{
	uint64_t node = *some_node(w);
	const char *name = some_name(w);
	uint32_t size = fuzz_word(&w->in, 2) / 4;

	if (size % 3 == 0)
		(void)!ufs_xattr_remove(w->fs, node, UFS_EA_USER, name);
	else
		(void)!ufs_xattr_set(
		    w->fs, node, UFS_EA_USER, name, text, size, 0);
	(void)!ufs_xattr_list(w->fs, node, see_xattr, w);
}

static void
do_acl(struct work *w)
{
	static const uint16_t tags[] = {UFS_ACL_USER_OBJ, UFS_ACL_GROUP_OBJ,
	    UFS_ACL_OTHER, UFS_ACL_USER, UFS_ACL_GROUP, UFS_ACL_MASK};
	uint64_t node = *some_node(w);
	uint32_t n = fuzz_word(&w->in, 1), kind = n / 64 % 2;
	struct ufs_acl acl = {.n = n % 40 < UFS_ACL_MOST ? n % 40 : 3};

	for (unsigned i = 0; i < acl.n; i++)
		acl.entry[i] = (struct ufs_acl_entry){
		    .tag = i < 3 ? tags[i] : tags[fuzz_word(&w->in, 1) % 6],
		    .perm = 5,
		    .id = i};
	if (n < 64) /* whatever an image may hold */
		(void)!ufs_xattr_set(w->fs, node, UFS_EA_SYSTEM,
		    kind ? "posix1e.acl_default" : "posix1e.acl_access", &acl,
		    n * 8 % sizeof(acl), 0);
	else
		(void)!ufs_acl_set(w->fs, node, kind, &acl);
	(void)!ufs_acl_get(w->fs, node, kind, &acl);
}

/* Names for many blocks of directory; those in the middle go again. */
static void
do_crowd(struct work *w)
{
	const struct ufs_new what = {.mode = S_IFREG | 0600};
	uint64_t dir = *some_node(w);
	struct ufs_attr attr;

	for (int i = 0; i < 60; i++) {
		int len = snprintf(
		    w->name, sizeof(w->name), "%0100d", i < 40 ? i : i - 20);

		if (i < 40)
			(void)!ufs_create(
			    w->fs, dir, w->name, (size_t)len, &what, &attr);
		else
			(void)!ufs_remove(
			    w->fs, dir, w->name, (size_t)len, false);
	}
}

static void
do_look(struct work *w)
{
	uint64_t dir = *some_node(w), *node = some_node(w);
	const char *name = some_name(w);
	struct ufs_attr attr;

	if (ufs_lookup(w->fs, dir, name, w->len, &attr) == 0)
		*node = attr.ino;
	(void)!ufs_readdir(w->fs, dir, 0, see, w);
	(void)!ufs_getattr(w->fs, *node, &attr);
}

static void
do_pin(struct work *w)
{
	uint64_t node = *some_node(w);

	if (ufs_pin(w->fs, node) == 0) {
		do_remove(w);
		do_write(w);
		(void)!ufs_unpin(w->fs, node, 1);
	}
}

static void
do_flush(struct work *w)
{
	struct ufs_info info;

	if (fuzz_word(&w->in, 1) % 4 == 0)
		(void)!ufs_grow(w->fs, 40000);
	(void)!ufs_flush(w->fs);
	ufs_info(w->fs, &info);
}

static void
operate(struct work *w)
{
	static void (*const operation[])(struct work *) = {do_create, do_link,
	    do_remove, do_rename, do_write, do_read, do_setattr, do_allocate,
	    do_xattr, do_look, do_pin, do_flush, do_acl, do_crowd};
	const size_t n = sizeof(operation) / sizeof(operation[0]);

	w->node[0] = UFS_ROOT;
	(void)!ufs_readdir(w->fs, UFS_ROOT, 0, see, w);
	for (int i = 0; i < OPERATIONS_MAX && w->in.at < w->in.end; i++)
		operation[fuzz_word(&w->in, 1) % n](w);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct shape shapes[SHAPES];
	struct work w = {.in = {data, data + size}};
	unsigned number = fuzz_word(&w.in, 1) % SHAPES;
	unsigned damages = fuzz_word(&w.in, 1) % 8;
	struct shape *shape = &shapes[number];
	struct blkdev *dev;
	int rc = 0;

	log_set_sink(fuzz_silence);
	if (shape->bytes == NULL)
		make(shape, number);
	if (blkdev_mem_open(SIZE, &dev) < 0)
		return 0;
	if (blkdev_write(dev, 0, shape->bytes, SIZE) < 0)
		abort();
	for (unsigned i = 0; i < damages; i++)
		damage(&w.in, shape, dev);
	w.fs = open_over(blkdev_ref(dev), true);
	if (w.fs == NULL)
		w.fs = open_over(blkdev_ref(dev), false);
	if (w.fs != NULL) {
		const uint64_t nameless = 3 + damages;

		if (damages > 4) /* as a session's note claims */
			(void)!ufs_reap(w.fs, &nameless, 1);
		operate(&w);
		rc = ufs_flush(w.fs);
		ufs_close(w.fs);
		if (ufs_check(dev, NULL, 0, NULL, NULL) != 0 && rc == 0 &&
		    damages == 0)
			abort();
	}
	blkdev_close(dev);
	return 0;
}
