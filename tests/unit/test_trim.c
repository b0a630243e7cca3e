/* What stays of a boot tree that goes onto a CD. */
#include "../../mkimage/trim.h"

#include "../../mkimage/tree_gzip.h"
#include "hints_kit.h"
#include "kmod_kit.h"

static const char relocatable[] = "cc -c -o $TO $SOURCE";
static const char linked[] = "cc -shared -fPIC -s -o $TO $SOURCE";

/* A module of those records at path. */
static struct tree_node *
put_module(struct tree *t, const char *dir, const char *path,
    const char *command, const char *records)
{
	struct tree_node *node = kit_put(t, path, S_IFREG | 0555, "");
	char file[256];
	size_t len = 0;
	uint64_t at = 0;
	char *image = NULL;

	snprintf(file, sizeof(file), "%s/m", dir);
	if (kmod_compile(command, records, file))
		image = kmod_load(file, &len);
	CHECK(node != NULL && image != NULL);
	if (node == NULL || image == NULL)
		return NULL;
	CHECK_EQ(tree_spool(t, image, len, &at), 0);
	free(image);
	tree_drop_content(node);
	node->content.kind = CONTENT_SPOOL;
	node->size = len;
	CHECK_EQ(tree_add_run(node, 0, len, at), 0);
	return node;
}

/* A system with few modules: file names and module names differ, as for
 * many of FreeBSD's. */
static void
put_system(struct tree *t, const char *dir)
{
	static const struct {
		const char *path, *records;
	} modules[] = {
	    {"boot/kernel/geom_uzip.ko",
		"MODULE(g_uzip); VERSION(geom_uzip, 1);"
		"DEPEND(kernel, 1302001, 1302001, 1399999);"
		"DEPEND(xz, 1, 1, 1); DEPEND(pci, 1, 1, 1);"},
	    {"boot/kernel/xz.ko",
		"MODULE(xz); VERSION(xz, 1);"
		"DEPEND(deeper_module, 2, 3, 4);"},
	    {"boot/kernel/deep.ko", "VERSION(deeper_module, 4);"},
	    {"boot/kernel/older.ko", "VERSION(deeper_module, 1);"},
	    {"boot/kernel/zlib.ko", "MODULE(zlib); VERSION(zlib, 1);"},
	    {"boot/kernel/if_em.ko", "MODULE(em); DEPEND(pci, 1, 1, 1);"},
	    {"boot/modules/extra.ko", "MODULE(extra);"},
	};

	put_module(t, dir, "boot/kernel/kernel", linked,
	    "VERSION(kernel, 1302001); VERSION(pci, 1);");
	for (size_t i = 0; i < sizeof(modules) / sizeof(*modules); i++)
		put_module(
		    t, dir, modules[i].path, relocatable, modules[i].records);
}

static void
put_conf(struct tree *t, const char *text)
{
	CHECK(kit_put(t, "boot/loader.conf", S_IFREG | 0644, text) != NULL);
}

static bool
has(const struct tree *t, const char *path)
{
	return tree_find(t, path) != NULL;
}

static void
what_is_loaded_stays_with_what_it_needs(void)
{
	const char *dir = kit_enter();
	struct trim_counts c;
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	put_system(&t, dir);
	put_conf(&t,
	    "geom_uzip_load=\"YES\"\n#zlib_load=\"YES\"\nif_em_load=\"NO\"\n"
	    "mfsroot_load=\"YES\"\nmfsroot_type=\"md_image\"\n"
	    "mfsroot_name=\"/boot/memroot.ufs\"\n");
	kit_listen();
	CHECK_EQ(trim_boot(&t, &c), 0);
	CHECK_EQ(kit_lines, 0);
	CHECK(has(&t, "boot/kernel/kernel"));
	CHECK(has(&t, "boot/kernel/geom_uzip.ko"));
	CHECK(has(&t, "boot/kernel/xz.ko"));
	CHECK(has(&t, "boot/kernel/deep.ko"));
	CHECK(!has(&t, "boot/kernel/older.ko"));
	CHECK(!has(&t, "boot/kernel/zlib.ko"));
	CHECK(!has(&t, "boot/kernel/if_em.ko"));
	CHECK(!has(&t, "boot/modules/extra.ko"));
	CHECK(has(&t, "boot/modules"));
	CHECK_EQ(c.modules, 4);
	CHECK_EQ(c.kept, 3);
	CHECK(c.module_bytes > 4 * 500);
	CHECK_EQ(c.missing, 0);
	/* trimmed trees stay as they are */
	CHECK_EQ(trim_boot(&t, &c), 0);
	CHECK_EQ(c.modules + c.files, 0);
	CHECK_EQ(c.kept, 3);
	tree_release(&t);
	kit_leave(dir);
}

/* A live root without them would not come up, or not as it should. */
static void
what_the_system_loads_stays_in_a_live_root(void)
{
	const char *dir = kit_enter();
	struct trim_counts c;
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	put_system(&t, dir);
	put_module(&t, dir, "boot/kernel/fdescfs.ko", relocatable,
	    "VERSION(fdescfs, 1); DEPEND(zlib, 1, 1, 1);");
	put_module(
	    &t, dir, "boot/kernel/nullfs.ko", relocatable, "MODULE(nullfs);");
	CHECK(kit_put(&t, "etc/rc.conf", S_IFREG | 0644,
		  "kld_list=\"/boot/modules/extra.ko none\"\n"
		  "#kld_list=\"older\"\n") != NULL);
	CHECK(kit_put(&t, "etc/rc.conf.local", S_IFREG | 0644,
		  "kld_list+=' if_em'\n") != NULL);
	CHECK(kit_put(&t, "etc/fstab", S_IFREG | 0644,
		  "fdesc\t/dev/fd\tfdescfs\trw\t0\t0\n"
		  "#/a /b nullfs ro 0 0\nproc /proc procfs rw 0 0\n") != NULL);
	kit_listen();
	CHECK_EQ(trim_boot(&t, &c), 0);
	CHECK_EQ(kit_lines, 0);
	CHECK(has(&t, "boot/modules/extra.ko"));
	CHECK(has(&t, "boot/kernel/if_em.ko"));
	CHECK(has(&t, "boot/kernel/fdescfs.ko"));
	CHECK(has(&t, "boot/kernel/zlib.ko"));
	CHECK(!has(&t, "boot/kernel/nullfs.ko"));
	CHECK_EQ(c.kept, 4);
	tree_release(&t);
	kit_leave(dir);
}

static void
names_are_of_files_or_modules_or_paths(void)
{
	const char *dir = kit_enter();
	struct trim_counts c;
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	put_system(&t, dir);
	put_conf(&t,
	    "a_load=\"YES\"\na_name=\"/boot/modules/extra.ko\"\n"
	    "if_em.ko_load=\"YES\"\n"
	    "deeper_module_load=\"YES\"\npci_load=\"YES\"\n");
	kit_listen();
	CHECK_EQ(trim_boot(&t, &c), 0);
	CHECK_EQ(kit_lines, 0);
	CHECK(has(&t, "boot/modules/extra.ko"));
	CHECK(has(&t, "boot/kernel/if_em.ko"));
	CHECK(has(&t, "boot/kernel/deep.ko"));
	CHECK(has(&t, "boot/kernel/older.ko"));
	CHECK(!has(&t, "boot/kernel/geom_uzip.ko"));
	CHECK_EQ(c.kept, 4);
	tree_release(&t);
	kit_leave(dir);
}

static void
compressed_modules_and_kernels_are_read_too(void)
{
	static const char *const packed[] = {"boot/kernel/kernel",
	    "boot/kernel/geom_uzip.ko", "boot/kernel/xz.ko",
	    "boot/kernel/zlib.ko"};
	const char *dir = kit_enter();
	struct trim_counts c;
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	put_system(&t, dir);
	for (size_t i = 0; i < sizeof(packed) / sizeof(*packed); i++)
		CHECK_EQ(tree_gzip(&t, packed[i], 6), 0);
	put_conf(&t, "geom_uzip_load=\"YES\"\n");
	kit_listen();
	CHECK_EQ(trim_boot(&t, &c), 0);
	CHECK_EQ(kit_lines, 0);
	CHECK(has(&t, "boot/kernel/kernel.gz"));
	CHECK(has(&t, "boot/kernel/geom_uzip.ko.gz"));
	CHECK(has(&t, "boot/kernel/xz.ko.gz"));
	CHECK(has(&t, "boot/kernel/deep.ko"));
	CHECK(!has(&t, "boot/kernel/zlib.ko.gz"));
	CHECK_EQ(c.kept, 3);
	tree_release(&t);
	kit_leave(dir);
}

static void
another_kernel_s_modules_are_those_of_its_directory(void)
{
	const char *dir = kit_enter();
	struct trim_counts c;
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	put_module(
	    &t, dir, "boot/MINE/kernel", linked, "VERSION(kernel, 1302001);");
	put_module(&t, dir, "boot/MINE/a.ko", relocatable,
	    "VERSION(a, 1);"
	    "DEPEND(b, 1, 1, 1); DEPEND(kernel, 1302001, 1302001, 1399999);");
	put_module(&t, dir, "boot/MINE/c.ko", relocatable, "VERSION(c, 1);");
	put_module(&t, dir, "opt/kmod/b.ko", relocatable, "VERSION(b, 1);");
	put_module(&t, dir, "opt/kmod/d.ko", relocatable, "VERSION(d, 1);");
	put_conf(&t,
	    "kernel=\"MINE\"\nmodule_path=\"/boot/modules;/opt/kmod/\"\n"
	    "a_load=\"YES\"\n");
	kit_listen();
	CHECK_EQ(trim_boot(&t, &c), 0);
	CHECK_EQ(kit_lines, 0);
	CHECK(has(&t, "boot/MINE/a.ko") && has(&t, "opt/kmod/b.ko"));
	CHECK(!has(&t, "boot/MINE/c.ko") && !has(&t, "opt/kmod/d.ko"));
	tree_release(&t);
	kit_leave(dir);
}

static void
what_is_missing_is_told(void)
{
	const char *dir = kit_enter();
	struct trim_counts c;
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	put_system(&t, dir);
	put_conf(&t, "geom_uzip_load=\"YES\"\nzfs_load=\"YES\"\n");
	kit_listen();
	CHECK_EQ(trim_boot(&t, &c), 0);
	CHECK(kit_heard("loader.conf loads 'zfs', which is not in the tree"));
	CHECK_EQ(c.missing, 1);

	tree_remove(tree_find(&t, "boot/kernel"), "deep.ko");
	put_conf(&t, "geom_uzip_load=\"YES\"\n");
	CHECK_EQ(trim_boot(&t, &c), 0);
	CHECK(kit_heard("'boot/kernel/xz.ko' needs module 'deeper_module' in "
			"version 2 to 4"));
	CHECK_EQ(c.missing, 1);

	/* a kernel that does not tell what it has: no guessing */
	CHECK(kit_put(&t, "boot/kernel/kernel", S_IFREG | 0555, "?") != NULL);
	CHECK_EQ(trim_boot(&t, &c), 0);
	CHECK(kit_heard("'boot/kernel/kernel' does not tell its modules"));
	CHECK_EQ(c.missing, 0);
	CHECK(has(&t, "boot/kernel/xz.ko"));
	tree_release(&t);
	kit_leave(dir);
}

static void
a_damaged_module_is_told_when_it_is_needed(void)
{
	const char *dir = kit_enter();
	struct trim_counts c;
	struct tree_node *node;
	struct tree t;
	char file[256];
	size_t len = 0;
	char *image;

	CHECK_EQ(tree_init(&t), 0);
	put_system(&t, dir);
	put_conf(&t, "geom_uzip_load=\"YES\"\n");
	/* an object whose machine nobody knows */
	snprintf(file, sizeof(file), "%s/odd", dir);
	CHECK(kmod_compile(relocatable, "VERSION(xz, 1);", file));
	image = kmod_load(file, &len);
	node = tree_find(&t, "boot/kernel/xz.ko");
	CHECK(image != NULL && node != NULL);
	if (image != NULL && node != NULL) {
		uint64_t at = 0;

		image[18] = 99;
		CHECK_EQ(tree_spool(&t, image, len, &at), 0);
		tree_drop_content(node);
		node->content.kind = CONTENT_SPOOL;
		node->size = len;
		CHECK_EQ(tree_add_run(node, 0, len, at), 0);
	}
	free(image);
	kit_listen();
	CHECK_EQ(trim_boot(&t, &c), 0);
	CHECK(kit_heard("'boot/kernel/xz.ko' is of an unknown machine"));
	CHECK(has(&t, "boot/kernel/xz.ko"));
	CHECK(!has(&t, "boot/kernel/deep.ko"));
	tree_release(&t);
	kit_leave(dir);
}

static void
files_for_other_ways_to_boot_go(void)
{
	static const char *const stay[] = {"boot/cdboot", "boot/loader",
	    "boot/loader.efi", "boot/loader_lua", "boot/loader_ia32.efi",
	    "boot/pmbr", "boot/isoboot", "boot/device.hints",
	    "boot/lua/loader.lua", "boot/defaults/loader.conf",
	    "boot/firmware/ucode.bin", "boot/dtb/x.dtb", "usr/lib/libc.a",
	    "boot/kernel/kernel", "boot/loader.help.bios", "etc/gptboot"};
	static const char *const go[] = {"boot/boot", "boot/boot0",
	    "boot/boot0sio", "boot/boot1", "boot/boot2", "boot/gptboot",
	    "boot/gptzfsboot", "boot/mbr", "boot/pxeboot", "boot/userboot.so",
	    "boot/zfsboot", "boot/loader_4th", "boot/loader_simp",
	    "boot/loader_4th.efi", "boot/kernel/kernel.symbols",
	    "boot/kernel/a.ko.symbols"};
	struct trim_counts c;
	struct tree_node *node;
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	for (size_t i = 0; i < sizeof(stay) / sizeof(*stay); i++)
		CHECK(kit_put(&t, stay[i], S_IFREG | 0444, "12345") != NULL);
	for (size_t i = 0; i < sizeof(go) / sizeof(*go); i++)
		CHECK(kit_put(&t, go[i], S_IFREG | 0444, "12345") != NULL);
	CHECK(kit_put(&t, "usr/lib/debug/boot/x.debug", S_IFREG | 0444,
		  "123456789") != NULL);
	/* what boot/loader is called otherwise costs nothing */
	node = tree_find(&t, "boot/loader");
	CHECK_EQ(tree_put(&t, "test", "boot/loader_lua", &node), 0);
	CHECK_EQ(tree_put(&t, "test", "boot/zfsloader", &node), 0);
	kit_listen();
	CHECK_EQ(trim_boot(&t, &c), 0);
	for (size_t i = 0; i < sizeof(stay) / sizeof(*stay); i++)
		if (!has(&t, stay[i])) {
			printf("# %s is gone\n", stay[i]);
			CHECK(false);
		}
	for (size_t i = 0; i < sizeof(go) / sizeof(*go); i++)
		if (has(&t, go[i])) {
			printf("# %s is there\n", go[i]);
			CHECK(false);
		}
	CHECK(has(&t, "boot/zfsloader"));
	CHECK(has(&t, "usr/lib") && !has(&t, "usr/lib/debug"));
	CHECK_EQ(c.files, sizeof(go) / sizeof(*go) + 1);
	CHECK_EQ(c.file_bytes, 5 * sizeof(go) / sizeof(*go) + 9);
	CHECK_EQ(c.modules, 0);
	tree_release(&t);
}

static void
hints_tell_only_what_is_left(void)
{
	const char *dir = kit_enter();
	struct trim_counts c;
	struct hints h;
	struct tree_node *node;
	struct tree t;
	uint64_t before;

	CHECK_EQ(tree_init(&t), 0);
	put_system(&t, dir);
	put_conf(&t, "geom_uzip_load=\"YES\"\n");
	hints_begin(&h, false);
	hints_module(&h, "em", "if_em.ko");
	hints_pnp(&h, "pci", 100);
	hints_module(&h, "xz", "xz.ko");
	hints_version(&h, "xz", 1, "xz.ko");
	node = hints_put(&t, "boot/kernel/linker.hints", &h);
	before = node != NULL ? node->size : 0;
	CHECK_EQ(trim_boot(&t, &c), 0);
	node = tree_find(&t, "boot/kernel/linker.hints");
	CHECK(node != NULL && node->size > 4 && node->size + 400 < before);
	CHECK_EQ(c.files, 0);
	tree_release(&t);
	kit_leave(dir);
}

static void
a_tree_that_boots_nothing_loses_nothing(void)
{
	struct trim_counts c;
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	CHECK(kit_put(&t, "boot", S_IFREG | 0644, "a file") != NULL);
	CHECK(kit_put(&t, "x.ko", S_IFREG | 0644, "") != NULL);
	CHECK_EQ(trim_boot(&t, &c), 0);
	CHECK_EQ(c.modules + c.files + c.kept, 0);
	CHECK_EQ(t.root->n, 2);
	tree_release(&t);
}

#define T(f) \
	{ \
#f, f \
	}
TESTS(T(what_is_loaded_stays_with_what_it_needs),
    T(what_the_system_loads_stays_in_a_live_root),
    T(names_are_of_files_or_modules_or_paths),
    T(compressed_modules_and_kernels_are_read_too),
    T(another_kernel_s_modules_are_those_of_its_directory),
    T(what_is_missing_is_told), T(a_damaged_module_is_told_when_it_is_needed),
    T(files_for_other_ways_to_boot_go), T(hints_tell_only_what_is_left),
    T(a_tree_that_boots_nothing_loses_nothing))
