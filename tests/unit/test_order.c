/* Files in the order in which they are read at boot. */
#include "../../mkimage/order.h"

#include "../../imgfmt/ufs.h"
#include "../../mkimage/create_impl.h"
#include "tree_kit.h"

enum { FILES = 900, FIRST = 300, MOST = 150000 };

static int
read_text(const char *text, struct order *out)
{
	const char *dir = kit_enter();
	char path[256];
	int rc;

	snprintf(path, sizeof(path), "%s/list", dir);
	kit_write(path, text);
	kit_listen();
	rc = order_read(path, out);
	kit_leave(dir);
	return rc;
}

static void
lists_have_one_path_a_line(void)
{
	struct order o;

	CHECK_EQ(
	    read_text("# first\n\n/boot/loader\n  \t\nboot//kernel/./kernel\n"
		      "a b/c d\n/\n#last",
		&o),
	    0);
	CHECK_EQ(o.n, 3);
	if (o.n == 3) {
		CHECK(strcmp(o.paths[0], "boot/loader") == 0);
		CHECK(strcmp(o.paths[1], "boot/kernel/kernel") == 0);
		CHECK(strcmp(o.paths[2], "a b/c d") == 0);
	}
	order_release(&o);
	CHECK_EQ(read_text("", &o), 0);
	CHECK_EQ(o.n, 0);
	order_release(&o);
}

static void
bad_lists_are_told_with_their_line(void)
{
	struct order o;

	CHECK_EQ(read_text("a\n../b\n", &o), -EINVAL);
	CHECK(kit_heard("line 2: '../b' is no path"));
	order_release(&o);
	CHECK_EQ(order_read("/nowhere/list", &o), -ENOENT);
	CHECK(kit_heard("cannot read '/nowhere/list'"));
	order_release(&o);
	CHECK_EQ(order_read("/", &o), -EISDIR);
	CHECK(kit_heard("cannot read '/'"));
	order_release(&o);
}

static void
files_are_found_once_and_missing_ones_told(void)
{
	struct order o, found;
	struct tree t, other;
	struct tree_node *node;

	CHECK_EQ(tree_init(&t), 0);
	CHECK(kit_put(&t, "d/b", S_IFREG | 0644, "b") != NULL);
	CHECK(kit_put(&t, "d/l", S_IFLNK | 0777, "b") != NULL);
	node = kit_put(&t, "d/a", S_IFREG | 0644, "a");
	CHECK_EQ(tree_put(&t, "test", "e/a", &node), 0);
	CHECK_EQ(
	    read_text("e/a\nd\nd/l\nx\nd/b\nd/a\nd/b\ny/z\nd/b/c\n", &o), 0);
	CHECK_EQ(order_of_tree(&o, &t, &found), 0);
	CHECK_EQ(kit_lines, 0);
	order_tell_missing(&o, &t, NULL);
	CHECK(kit_heard("3 of 9 paths to be ordered are not in the tree, the "
			"first is 'x'"));
	CHECK_EQ(found.n, 2);
	if (found.n == 2) {
		CHECK(strcmp(found.paths[0], "e/a") == 0);
		CHECK(strcmp(found.paths[1], "d/b") == 0);
	}
	order_release(&found);

	/* what another tree has is not missing, nor what is compressed */
	CHECK_EQ(tree_init(&other), 0);
	CHECK(kit_put(&other, "x.gz", S_IFREG | 0644, "x") != NULL);
	CHECK(kit_put(&other, "y/z", S_IFREG | 0644, "z") != NULL);
	order_tell_missing(&o, &t, &other);
	CHECK(kit_heard("1 of 9 paths to be ordered are not in the tree, the "
			"first is 'd/b/c'"));
	CHECK_EQ(order_of_tree(&o, &other, &found), 0);
	CHECK_EQ(found.n, 2);
	if (found.n == 2)
		CHECK(strcmp(found.paths[0], "x.gz") == 0);
	order_release(&found);
	tree_release(&other);
	order_release(&o);
	tree_release(&t);
}

/* -- layout -----------------------------------------------------------------
 */

static uint32_t state;

static uint32_t
draw(uint32_t below)
{
	state = state * 1664525u + 1013904223u;
	return (state >> 8) % below;
}

/* FILES files of all sizes; each knows its number by its owner. */
static void
make_tree(struct tree *t)
{
	char path[64];

	state = 7;
	CHECK_EQ(tree_init(t), 0);
	for (unsigned i = 0; i < FILES; i++) {
		uint32_t size =
		    draw(4) == 0 ? draw(MOST) : draw(4) * 4096 + draw(3000);
		struct tree_node *node;
		char *text = calloc(1, size + 1);

		CHECK(text != NULL);
		if (text == NULL)
			return;
		memset(text, 'a' + (int)(i % 26), size);
		snprintf(path, sizeof(path), "d%u/e%u/f%u", i % 13, i % 7, i);
		node = kit_put(t, path, S_IFREG | 0644, text);
		CHECK(node != NULL);
		if (node != NULL)
			node->uid = i;
		free(text);
	}
}

/* Every third file, as they come to lie when drawn; to be released. */
static void
make_order(struct order *o)
{
	o->n = FIRST;
	o->paths = calloc(FIRST, sizeof(*o->paths));
	CHECK(o->paths != NULL);
	for (unsigned i = 0; o->paths != NULL && i < FIRST; i++) {
		unsigned f = (i * 77u % FIRST) * 3;

		if (asprintf(&o->paths[i], "d%u/e%u/f%u", f % 13, f % 7, f) < 0)
			o->paths[i] = NULL;
		CHECK(o->paths[i] != NULL);
	}
}

static bool
is_first(const struct create_extent *e)
{
	return e->node->uid % 3 == 0;
}

/* Where the file begins. */
static uint64_t
place_of(const struct create_layout *layout, const struct tree_node *node)
{
	for (size_t i = 0; i < layout->n; i++)
		if (layout->extents[i].node == node &&
		    layout->extents[i].off == 0)
			return layout->extents[i].dev_off;
	return 0;
}

/* Files that begin well before the ones before them in the order. */
static unsigned
steps_back(const struct create_layout *layout, const struct tree *t,
    const struct order *order, uint32_t block)
{
	uint64_t most = 0;
	unsigned back = 0;

	for (size_t i = 0; i < order->n; i++) {
		uint64_t at = place_of(layout, tree_find(t, order->paths[i]));

		back += at != 0 && at + 5ull * block < most;
		most = at > most ? at : most;
	}
	return back;
}

/*
 * Up to the last extent of the first files there is nothing of others but
 * tails in what their tails left, and no gap but where a group begins.
 */
static void
check_places(const struct create_layout *layout, uint32_t block)
{
	uint64_t end = 0, own = 0, others = 0, at = 0;
	unsigned gaps = 0, blocks = 0;

	for (size_t i = 0; i < layout->n; i++)
		if (is_first(&layout->extents[i]))
			end =
			    layout->extents[i].dev_off + layout->extents[i].len;
	for (size_t i = 0; i < layout->n; i++) {
		const struct create_extent *e = &layout->extents[i];

		if (e->dev_off >= end)
			break;
		gaps += at != 0 && e->dev_off > at + block;
		blocks += !is_first(e) && e->len >= block;
		own += is_first(e) ? e->len : 0;
		others += is_first(e) ? 0 : e->len;
		at = e->dev_off + e->len;
	}
	printf("# %llu KiB of the first, %llu of others, %u gaps\n",
	    (unsigned long long)own >> 10, (unsigned long long)others >> 10,
	    gaps);
	CHECK_EQ(blocks, 0);
	CHECK(others < own / 16);
	CHECK(gaps < layout->info.ncg);
}

/* Lay the tree out in a file system of that kind, and judge it. */
static void
lay_out(
    struct tree *t, const struct create_fs_options *opt, struct create_fs *fs)
{
	CHECK_EQ(create_fs_lay_out(fs, opt, t), 0);
	CHECK_EQ(ufs_check(fs->layout.meta, NULL, 0, NULL, NULL), 0);
}

static void
ordered_files_lie_first_in_every_geometry(void)
{
	static const struct {
		int version;
		uint32_t block, frag, density, groups;
	} ways[] = {{2, 32768, 4096, 0, 0}, {1, 4096, 512, 0, 0},
	    {2, 4096, 4096, 0, 0}, {2, 8192, 1024, 2048, 0},
	    {1, 4096, 512, 0, 11}, {2, 8192, 1024, 0, 40}};
	struct order order = {0};
	struct tree t;

	make_tree(&t);
	make_order(&order);
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		struct create_fs_options opt = {
		    .name = "test",
		    .format = CREATE_UFS,
		    .mkfs = {.version = ways[i].version,
			.block_size = ways[i].block,
			.frag_size = ways[i].frag,
			.bytes_per_inode = ways[i].density,
			.ncg = ways[i].groups,
			.check_hashes = true},
		    .order = &order,
		};
		struct create_fs fs;

		lay_out(&t, &opt, &fs);
		printf("# %u groups\n", fs.layout.info.ncg);
		check_places(&fs.layout, ways[i].block);
		CHECK_EQ(steps_back(&fs.layout, &t, &order, ways[i].block), 0);
		create_fs_release(&fs);
	}
	order_release(&order);
	tree_release(&t);
}

static uint64_t
total(const struct create_layout *layout)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < layout->n; i++)
		sum += layout->extents[i].len;
	return sum;
}

static void
each_file_is_laid_out_once_and_always_alike(void)
{
	struct create_fs_options opt = {.name = "test",
	    .format = CREATE_UFS,
	    .mkfs = {.version = 2, .block_size = 4096, .frag_size = 512}};
	struct create_fs plain, one, two;
	struct order order = {0};
	struct tree t;
	unsigned moved = 0;

	make_tree(&t);
	make_order(&order);
	lay_out(&t, &opt, &plain);
	opt.order = &order;
	lay_out(&t, &opt, &one);
	lay_out(&t, &opt, &two);
	CHECK_EQ(total(&one.layout), total(&plain.layout));
	CHECK_EQ(one.layout.n, two.layout.n);
	for (size_t i = 0; i < one.layout.n && i < two.layout.n; i++) {
		const struct create_extent *a = &one.layout.extents[i];
		const struct create_extent *b = &two.layout.extents[i];

		moved += a->node != b->node || a->dev_off != b->dev_off ||
		    a->off != b->off || a->len != b->len;
	}
	CHECK_EQ(moved, 0);
	create_fs_release(&plain);
	create_fs_release(&one);
	create_fs_release(&two);
	order_release(&order);
	tree_release(&t);
}

static void
hard_links_and_empty_files_may_be_ordered(void)
{
	static char names[4][8] = {"d/none", "e/link", "d/file", "d/sub"};
	char *paths[] = {names[0], names[1], names[2], names[3]};
	struct order order = {paths, 4, 4};
	struct create_fs_options opt = {.name = "test",
	    .format = CREATE_UFS,
	    .mkfs = {.version = 2, .block_size = 4096, .frag_size = 512},
	    .order = &order};
	struct create_fs fs;
	struct tree_node *node;
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	CHECK(kit_put(&t, "a", S_IFREG | 0644, "first by name") != NULL);
	CHECK(kit_put(&t, "d/none", S_IFREG | 0644, "") != NULL);
	CHECK(kit_put(&t, "d/sub", S_IFDIR | 0755, NULL) != NULL);
	node = kit_put(&t, "d/file", S_IFREG | 0644, "data");
	CHECK_EQ(tree_put(&t, "test", "e/link", &node), 0);
	lay_out(&t, &opt, &fs);
	CHECK_EQ(fs.layout.n, 2);
	if (fs.layout.n == 2)
		CHECK(fs.layout.extents[0].node == node);
	create_fs_release(&fs);
	tree_release(&t);
}

#define T(f) \
	{ \
#f, f \
	}
TESTS(T(lists_have_one_path_a_line), T(bad_lists_are_told_with_their_line),
    T(files_are_found_once_and_missing_ones_told),
    T(ordered_files_lie_first_in_every_geometry),
    T(each_file_is_laid_out_once_and_always_alike),
    T(hard_links_and_empty_files_may_be_ordered))
