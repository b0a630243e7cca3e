/* What loader.conf files tell the loader. */
#include "../../mkimage/loader_conf.h"

#include "tree_kit.h"

static bool
is(const struct loader_conf *conf, const char *key, const char *want)
{
	const char *got = loader_conf_get(conf, key);

	if (got == NULL || want == NULL)
		return got == want;
	if (strcmp(got, want) != 0)
		printf("# %s is '%s'\n", key, got);
	return strcmp(got, want) == 0;
}

static void
lines_are_read_as_the_loader_reads_them(void)
{
	static const char text[] =
	    "# comment\n"
	    "\n"
	    "  kernel=\"GENERIC\"\t# sub-directory\n"
	    "autoboot_delay=3\n"
	    "geom_uzip_load = \"YES\"\n"
	    "#zfs_load=\"YES\"\n"
	    "vfs.root.mountfrom=\"cd9660:/dev/iso9660/MY%20CD\"\n"
	    "quoted=\"a\\\"b\\\\c\"\n"
	    "bad=one two\n"
	    "no equals\n"
	    "=\"nothing\"\n"
	    "twice=\"first\"\r\n"
	    "twice=\"second\"\n"
	    "open=\"no end\n"
	    "last=\"x\"";
	struct loader_conf conf;
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	CHECK(kit_put(&t, "boot/loader.conf", S_IFREG | 0644, text) != NULL);
	CHECK_EQ(loader_conf_read(&t, &conf), 0);
	CHECK(is(&conf, "kernel", "GENERIC"));
	CHECK(is(&conf, "autoboot_delay", "3"));
	CHECK(is(&conf, "geom_uzip_load", "YES"));
	CHECK(is(&conf, "zfs_load", NULL));
	CHECK(is(&conf, "vfs.root.mountfrom", "cd9660:/dev/iso9660/MY%20CD"));
	CHECK(is(&conf, "quoted", "a\"b\\c"));
	CHECK(is(&conf, "bad", NULL));
	CHECK(is(&conf, "no", NULL));
	CHECK(is(&conf, "", NULL));
	CHECK(is(&conf, "twice", "second"));
	CHECK(is(&conf, "last", "x"));
	loader_conf_release(&conf);
	tree_release(&t);
}

static void
files_are_read_in_the_loader_s_order(void)
{
	struct loader_conf conf;
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	CHECK(
	    kit_put(&t, "boot/defaults/loader.conf", S_IFREG | 0644,
		"who=\"defaults\"\na=\"defaults\"\nd=\"defaults\"\n"
		"loader_conf_files=\"/boot/device.hints /boot/loader.conf\"\n"
		"loader_conf_dirs=\"/boot/loader.conf.d /nowhere\"\n") != NULL);
	CHECK(kit_put(&t, "boot/device.hints", S_IFREG | 0644,
		  "hint.uart.0.at=\"isa\"\nwho=\"hints\"\n") != NULL);
	CHECK(
	    kit_put(&t, "boot/loader.conf", S_IFREG | 0644,
		"who=\"conf\"\na=\"conf\"\n"
		"loader_conf_files=\"/boot/more.conf /boot/loader.conf\"\n") !=
	    NULL);
	CHECK(kit_put(&t, "boot/more.conf", S_IFREG | 0644,
		  "who=\"more\"\nmore=\"yes\"\n") != NULL);
	CHECK(kit_put(&t, "boot/loader.conf.d/b.conf", S_IFREG | 0644,
		  "who=\"b\"\n") != NULL);
	CHECK(kit_put(&t, "boot/loader.conf.d/a.conf", S_IFREG | 0644,
		  "who=\"a\"\nfrom_a=\"1\"\n") != NULL);
	CHECK(kit_put(&t, "boot/loader.conf.d/c.txt", S_IFREG | 0644,
		  "who=\"c\"\n") != NULL);
	CHECK_EQ(loader_conf_read(&t, &conf), 0);
	CHECK(is(&conf, "who", "b"));
	CHECK(is(&conf, "a", "conf"));
	CHECK(is(&conf, "d", "defaults"));
	CHECK(is(&conf, "more", "yes"));
	CHECK(is(&conf, "from_a", "1"));
	CHECK(is(&conf, "hint.uart.0.at", "isa"));
	loader_conf_release(&conf);

	CHECK(kit_put(&t, "boot/loader.conf.local", S_IFREG | 0644,
		  "who=\"local\"\n") != NULL);
	CHECK_EQ(loader_conf_read(&t, &conf), 0);
	CHECK(is(&conf, "who", "local"));
	loader_conf_release(&conf);
	tree_release(&t);
}

/* Whether conf loads name, as that type; NULL: as a module. */
static bool
loads(const struct loader_conf *conf, const char *name, const char *want)
{
	for (size_t i = 0; i < conf->n; i++) {
		const char *type = NULL;
		size_t len = 0;
		const char *what = loader_conf_load(conf, i, &len, &type);

		if (what != NULL && strlen(name) == len &&
		    strncmp(what, name, len) == 0)
			return want == NULL
			    ? type == NULL
			    : type != NULL && strcmp(type, want) == 0;
	}
	return false;
}

static void
loads_have_names_and_types(void)
{
	struct loader_conf conf;
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	CHECK(kit_put(&t, "boot/loader.conf", S_IFREG | 0644,
		  "geom_uzip_load=\"yes\"\n"
		  "screensave_load=\"YES\"\nscreensave_name=\"green_saver\"\n"
		  "mfsroot_load=\"YES\"\nmfsroot_type=\"md_image\"\n"
		  "mfsroot_name=\"/boot/memroot.ufs\"\n"
		  "zfs_load=\"NO\"\n_load=\"YES\"\nload=\"YES\"\n"
		  "unionfs_load=\"YES\"\nunionfs_type=\"\"\n") != NULL);
	CHECK_EQ(loader_conf_read(&t, &conf), 0);
	CHECK(loads(&conf, "geom_uzip", NULL));
	CHECK(loads(&conf, "green_saver", NULL));
	CHECK(!loads(&conf, "screensave", NULL));
	CHECK(loads(&conf, "/boot/memroot.ufs", "md_image"));
	CHECK(loads(&conf, "unionfs", NULL));
	CHECK(!loads(&conf, "zfs", NULL));
	CHECK(!loads(&conf, "", NULL));
	loader_conf_release(&conf);
	tree_release(&t);
}

static void
circles_and_nonsense_come_to_an_end(void)
{
	struct loader_conf conf;
	struct tree t;
	char text[64], path[64];

	CHECK_EQ(tree_init(&t), 0);
	for (int i = 0; i < 400; i++) {
		snprintf(
		    path, sizeof(path), i == 0 ? "boot/loader.conf" : "c%d", i);
		snprintf(text, sizeof(text),
		    "n=\"%d\"\nloader_conf_files=\"/c%d ../x c1 boot\"\n", i,
		    i + 1);
		CHECK(kit_put(&t, path, S_IFREG | 0644, text) != NULL);
	}
	CHECK_EQ(loader_conf_read(&t, &conf), 0);
	CHECK(loader_conf_get(&conf, "n") != NULL);
	CHECK(conf.nread <= 256);
	loader_conf_release(&conf);
	tree_release(&t);

	/* nothing at all */
	CHECK_EQ(tree_init(&t), 0);
	CHECK_EQ(loader_conf_read(&t, &conf), 0);
	CHECK_EQ(conf.n, 0);
	loader_conf_release(&conf);
	tree_release(&t);
}

static void
a_file_too_large_is_told(void)
{
	struct loader_conf conf;
	struct tree_node *node;
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	kit_listen();
	node = kit_put(&t, "boot/loader.conf", S_IFREG | 0644, "");
	CHECK(node != NULL);
	if (node != NULL)
		node->size = 2 << 20;
	CHECK_EQ(loader_conf_read(&t, &conf), -EFBIG);
	CHECK(kit_heard("'boot/loader.conf' is too large"));
	loader_conf_release(&conf);
	tree_release(&t);
}

#define T(f) \
	{ \
#f, f \
	}
TESTS(T(lines_are_read_as_the_loader_reads_them),
    T(files_are_read_in_the_loader_s_order), T(loads_have_names_and_types),
    T(circles_and_nonsense_come_to_an_end), T(a_file_too_large_is_told))
