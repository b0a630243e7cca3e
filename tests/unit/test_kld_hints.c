/* linker.hints without files that are not there. */
#include "../../mkimage/kld_hints.h"

#include "../../imgfmt/bytes.h"
#include "hints_kit.h"
#include "tree_kit.h"

/* A directory with those files, and hints about more. */
static struct tree_node *
put_files(struct tree *t)
{
	CHECK(kit_put(t, "boot/kernel/kernel.gz", S_IFREG | 0555, "k") != NULL);
	CHECK(kit_put(t, "boot/kernel/zlib.ko", S_IFREG | 0555, "z") != NULL);
	CHECK(kit_put(t, "boot/kernel/usb.ko.gz", S_IFREG | 0555, "u") != NULL);
	return tree_find(t, "boot/kernel");
}

/* All that is known of kernel, if_em.ko (gone), zlib.ko, usb.ko; kept: only
 * what stays. */
static void
make_hints(struct hints *h, bool big, bool kept)
{
	hints_begin(h, big);
	hints_module(h, "kernel", "kernel");
	hints_version(h, "pci", 1, "kernel");
	hints_pnp(h, "pci", 3);
	if (!kept) {
		hints_module(h, "em", "if_em.ko");
		hints_version(h, "em", 1, "if_em.ko");
		hints_pnp(h, "pci", 40);
	}
	hints_module(h, "zlib", "zlib.ko");
	hints_version(h, "zlib", 1, "zlib.ko");
	if (!kept)
		hints_version(h, "odd", 7, "gone.ko");
	hints_module(h, "uhub", "usb.ko");
	hints_pnp(h, "uhub", 2);
}

static void
records_of_files_that_went_go(void)
{
	for (int big = 0; big < 2; big++) {
		struct hints all, kept;
		struct tree t;
		size_t len;

		CHECK_EQ(tree_init(&t), 0);
		make_hints(&all, big, false);
		make_hints(&kept, big, true);
		CHECK(kept.len < all.len);
		len = kld_hints_filter(all.bytes, all.len, put_files(&t));
		CHECK_EQ(len, kept.len);
		CHECK(memcmp(all.bytes, kept.bytes, kept.len) == 0);
		/* once is enough */
		CHECK_EQ(kld_hints_filter(
			     all.bytes, len, tree_find(&t, "boot/kernel")),
		    len);
		tree_release(&t);
	}
}

static void
hints_in_other_forms_stay(void)
{
	struct hints h, was;
	struct tree t;
	struct tree_node *dir;

	CHECK_EQ(tree_init(&t), 0);
	dir = put_files(&t);
	for (int i = 0; i < 4; i++) {
		make_hints(&h, false, false);
		if (i == 0)
			h.bytes[0] = 9; /* of a later version */
		else if (i == 1)
			h.len -= 4; /* cut short */
		else if (i == 2)
			h.bytes[4] += 2; /* lengths that do not add up */
		else
			h.len = 3;
		was = h;
		CHECK_EQ(kld_hints_filter(h.bytes, h.len, dir), h.len);
		CHECK(memcmp(h.bytes, was.bytes, h.len) == 0);
	}
	tree_release(&t);
}

static void
every_damage_is_survived(void)
{
	struct hints h, bad;
	struct tree t;
	struct tree_node *dir;
	unsigned shorter = 0;

	CHECK_EQ(tree_init(&t), 0);
	dir = put_files(&t);
	make_hints(&h, false, false);
	for (size_t i = 0; i < h.len; i++)
		for (int k = 0; k < 3; k++) {
			uint8_t *exact = malloc(h.len);
			size_t left;

			bad = h;
			bad.bytes[i] ^= (uint8_t)(k == 0 ? 0xff : k);
			CHECK(exact != NULL);
			if (exact == NULL)
				continue;
			memcpy(exact, bad.bytes, h.len);
			left = kld_hints_filter(exact, h.len, dir);
			CHECK(left <= h.len);
			shorter += left < h.len;
			free(exact);
		}
	CHECK(shorter > 0);
	tree_release(&t);
}

static void
the_file_in_the_tree_is_replaced(void)
{
	struct hints all, kept;
	struct tree t;
	struct tree_node *dir, *node;
	struct tree_reader r;
	uint8_t got[HINTS_ROOM];

	CHECK_EQ(tree_init(&t), 0);
	dir = put_files(&t);
	CHECK_EQ(kld_hints_prune(&t, dir), 0); /* there is none */
	CHECK_EQ(dir->n, 3);
	make_hints(&all, false, false);
	make_hints(&kept, false, true);
	node = hints_put(&t, "boot/kernel/linker.hints", &all);
	CHECK_EQ(
	    tree_put(&t, "test", "boot/kernel.old/linker.hints", &node), 0);
	CHECK_EQ(kld_hints_prune(&t, dir), 0);
	/* what another directory has stays as it was */
	CHECK(tree_find(&t, "boot/kernel.old/linker.hints") == node);
	CHECK(node != NULL && node->size == all.len && node->names == 1);
	node = tree_child(dir, "linker.hints");
	CHECK(node != NULL && node->size == kept.len);
	/* nothing to do: the same file */
	CHECK_EQ(kld_hints_prune(&t, dir), 0);
	CHECK(tree_child(dir, "linker.hints") == node);
	if (node != NULL && node->size == kept.len) {
		tree_reader_init(&r, &t);
		CHECK_EQ(tree_read(&r, node, 0, got, kept.len), 0);
		CHECK(memcmp(got, kept.bytes, kept.len) == 0);
		CHECK_EQ(tree_reader_finish(&r), 0);
	}
	tree_release(&t);
}

#define T(f) \
	{ \
#f, f \
	}
TESTS(T(records_of_files_that_went_go), T(hints_in_other_forms_stay),
    T(every_damage_is_survived), T(the_file_in_the_tree_is_replaced))
