/*
 * Layouts of an ISO, without the ISO: parts of trees, the kernel's spelling of
 * labels, and the settings that make a system come up.
 */
#include "../../mkimage/layout_impl.h"
#include "../../mkimage/tree_ids.h"
#include "tree_kit.h"

static bool
holds(const struct tree *t, const char *path, const char *want)
{
	const struct tree_node *node = tree_find(t, path);
	char *text = NULL;
	bool same;

	if (node == NULL || tree_text(t, node, &text) < 0)
		return false;
	same = strcmp(text, want) == 0;
	if (!same)
		printf("# %s holds '%s', want '%s'\n", path, text, want);
	free(text);
	return same;
}

/* -- parts ------------------------------------------------------------------
 */

static void
make_whole(struct tree *t)
{
	struct tree_node *sh;

	CHECK_EQ(tree_init(t), 0);
	CHECK(kit_put(t, "boot", S_IFDIR | 0711, NULL) != NULL);
	CHECK(kit_put(t, "boot/loader.conf", S_IFREG | 0640, "a=\"1\"\n") !=
	    NULL);
	CHECK(
	    kit_put(t, "boot/kernel/kernel", S_IFREG | 0555, "kernel") != NULL);
	sh = kit_put(t, "rescue/sh", S_IFREG | 0555, "rescue");
	CHECK(sh != NULL);
	CHECK_EQ(tree_put(t, "test", "rescue/init", &sh), 0);
}

static void
shared_parts(void)
{
	struct tree whole, part;

	make_whole(&whole);
	CHECK_EQ(tree_init_part(&part, &whole), 0);
	CHECK_EQ(tree_share(&part, "boot"), 0);
	CHECK_EQ(tree_share(&part, "rescue/init"), 0);
	CHECK_EQ(tree_share(&part, "nothing"), -ENOENT);
	CHECK_EQ(tree_find(&part, "boot")->mode, S_IFDIR | 0711);
	CHECK(tree_find(&part, "boot") != tree_find(&whole, "boot"));
	CHECK(tree_find(&part, "boot/kernel/kernel") ==
	    tree_find(&whole, "boot/kernel/kernel"));
	CHECK(tree_find(&part, "rescue/sh") == NULL);
	CHECK_EQ(tree_find(&part, "rescue/init")->names, 3);

	/* what is changed or removed in the part stays in the whole */
	CHECK_EQ(
	    tree_put_text(&part, "boot/loader.conf", 0644, strdup("b=\"2\"\n")),
	    0);
	CHECK(holds(&part, "boot/loader.conf", "b=\"2\"\n"));
	CHECK(holds(&whole, "boot/loader.conf", "a=\"1\"\n"));
	CHECK_EQ(tree_find(&part, "boot/loader.conf")->mode, S_IFREG | 0640);
	tree_remove(tree_find(&part, "boot"), "kernel");
	CHECK(tree_find(&part, "boot/kernel") == NULL);
	CHECK(holds(&whole, "boot/kernel/kernel", "kernel"));
	tree_release(&part);
	CHECK_EQ(tree_find(&whole, "rescue/sh")->names, 2);
	tree_release(&whole);
}

/* -- labels -----------------------------------------------------------------
 */

static void
labels(void)
{
	static const char *const cases[][2] = {
	    {"LIVE", "/dev/iso9660/LIVE"},
	    {"My FreeBSD", "/dev/iso9660/My%20FreeBSD"},
	    {"trailing  ", "/dev/iso9660/trailing"},
	    {"50%\"", "/dev/iso9660/50%25%22"},
	    {"\xc3\xbc", "/dev/iso9660/%C3%BC"},
	    /* of 32 bytes the kernel takes 31, and then no blank at the end */
	    {"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345",
		"/dev/iso9660/ABCDEFGHIJKLMNOPQRSTUVWXYZ01234"},
	    {"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123 5",
		"/dev/iso9660/ABCDEFGHIJKLMNOPQRSTUVWXYZ0123"},
	    /* and of the name 63 characters */
	    {"A A A A A A A A A A A A A A A A",
		"/dev/iso9660/A%20A%20A%20A%20A%20A%20A%20A%20A%20A%20A%20A%20"
		"A%20A%2"},
	};
	char device[LAYOUT_DEVICE_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		layout_device(cases[i][0], device);
		CHECK_EQ(strcmp(device, cases[i][1]), 0);
	}
}

/* -- settings ---------------------------------------------------------------
 */

static const char fstab[] = "# Device\tMountpoint\n"
			    "/dev/ada0p2 / ufs rw 1 1\n"
			    "\n"
			    "/dev/ada0p3\tnone\tswap\tsw\t0\t0\n"
			    "tmpfs /tmp tmpfs rw 0 0\n"
			    "/dev/da0s1 /mnt msdosfs rw,noauto 0 0\n"
			    "md /scratch mfs rw,-s1m 2 0\n"
			    "md none swap sw,file=/swap 0 0\n"
			    "tmpfs / tmpfs rw 0 0\n"
			    "proc /proc procfs rw 0 0";

static void
tweak(enum layout_kind kind, struct tree *t)
{
	const struct layout_options opt = {.kind = kind, .label = "LIVE"};
	struct layout l = {.opt = &opt, .system = t};

	layout_device(opt.label, l.device);
	CHECK_EQ(layout_tweak_system(&l), 0);
	CHECK_EQ(layout_tweak_loader(&l, t), 0);
}

static void
a_disk_s_fstab(void)
{
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	CHECK(kit_put(&t, "etc/fstab", S_IFREG | 0640, fstab) != NULL);
	CHECK(kit_put(&t, "etc/rc.conf", S_IFREG | 0644,
		  "root_rw_mount=YES # as always\n") != NULL);
	tweak(LAYOUT_PLAIN, &t);
	CHECK(holds(&t, "etc/fstab",
	    "# Device\tMountpoint\n"
	    "#/dev/ada0p2 / ufs rw 1 1\n"
	    "\n"
	    "#/dev/ada0p3\tnone\tswap\tsw\t0\t0\n"
	    "tmpfs /tmp tmpfs rw 0 0\n"
	    "/dev/da0s1 /mnt msdosfs rw,noauto 0 0\n"
	    "md /scratch mfs rw,-s1m 2 0\n"
	    "#md none swap sw,file=/swap 0 0\n"
	    "#tmpfs / tmpfs rw 0 0\n"
	    "proc /proc procfs rw 0 0\n"));
	CHECK(holds(&t, "etc/rc.conf", "root_rw_mount=\"NO\"\n"));
	CHECK(holds(&t, "boot/loader.conf",
	    "boot_cdrom=\"YES\"\n"
	    "vfs.root.mountfrom=\"cd9660:/dev/iso9660/LIVE "
	    "cd9660:/dev/cd0 cd9660:/dev/acd0\"\n"));
	CHECK_EQ(tree_find(&t, "etc/fstab")->mode, S_IFREG | 0640);
	CHECK(tree_find(&t, "dev") != NULL);

	/* a second time nothing changes, and nothing is said */
	kit_listen();
	tweak(LAYOUT_PLAIN, &t);
	CHECK_EQ(kit_lines, 0);
	CHECK(holds(&t, "etc/rc.conf", "root_rw_mount=\"NO\"\n"));
	tree_release(&t);
}

static void
no_settings_at_all(void)
{
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	tweak(LAYOUT_MEMROOT, &t);
	/* fsck fails without one, and the boot with it */
	CHECK(holds(&t, "etc/fstab",
	    "# Device\tMountpoint\tFStype\tOptions\tDump\tPass#\n"));
	CHECK(holds(&t, "boot/loader.conf",
	    "geom_uzip_load=\"YES\"\n"
	    "unionfs_load=\"YES\"\n"
	    "nullfs_load=\"YES\"\n"
	    "mfsroot_load=\"YES\"\n"
	    "mfsroot_type=\"mfs_root\"\n"
	    "mfsroot_name=\"/boot/memroot.ufs\"\n"
	    "vfs.root.mountfrom=\"ufs:/dev/md0\"\n"
	    "init_path=\"/rescue/init\"\n"
	    "init_shell=\"/rescue/sh\"\n"
	    "init_script=\"/baseroot.rc\"\n"
	    "init_chroot=\"/baseroot\"\n"));
	CHECK(tree_find(&t, "cdrom") != NULL);
	tree_release(&t);
}

static void
another_root(void)
{
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	CHECK(kit_put(&t, "boot/loader.conf", S_IFREG | 0644,
		  "vfs.root.mountfrom=\"zfs:zroot\"\nboot_cdrom=\"YES\"\n") !=
	    NULL);
	tweak(LAYOUT_PLAIN, &t);
	CHECK(holds(&t, "boot/loader.conf",
	    "vfs.root.mountfrom=\"cd9660:/dev/iso9660/LIVE "
	    "cd9660:/dev/cd0 cd9660:/dev/acd0\"\nboot_cdrom=\"YES\"\n"));
	tree_release(&t);
	/* with it, the kernel would take the CD for its root */
	CHECK_EQ(tree_init(&t), 0);
	CHECK(kit_put(&t, "boot/loader.conf", S_IFREG | 0644,
		  "boot_cdrom=\"YES\"\n") != NULL);
	tweak(LAYOUT_MEMROOT, &t);
	CHECK_EQ(strncmp(tree_find(&t, "boot/loader.conf")->content.text,
		     "boot_cdrom=\"NO\"\n", 16),
	    0);
	tree_release(&t);
}

static void
a_file_that_wins(void)
{
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	CHECK(kit_put(&t, "boot/loader.conf.local", S_IFREG | 0644,
		  "boot_cdrom=\"NO\"\n") != NULL);
	CHECK(kit_put(&t, "boot/defaults/loader.conf", S_IFREG | 0644,
		  "loader_conf_files=\"/boot/loader.conf "
		  "/boot/loader.conf.local\"\n") != NULL);
	kit_listen();
	tweak(LAYOUT_PLAIN, &t);
	CHECK(kit_heard("sets boot_cdrom to 'NO'"));
	tree_release(&t);

	CHECK_EQ(tree_init(&t), 0);
	CHECK(kit_put(&t, "etc/rc.conf.d/root", S_IFREG | 0644,
		  "root_rw_mount=\"YES\"\n") != NULL);
	CHECK(kit_put(&t, "etc/rc.conf.local", S_IFREG | 0644,
		  "root_rw_mount=NO\n") != NULL);
	kit_listen();
	tweak(LAYOUT_PLAIN, &t);
	CHECK(kit_heard("etc/rc.conf.d/root sets root_rw_mount=\"YES\""));
	tree_release(&t);
}

/* What init runs instead of the script of the layout. */
static void
another_init(void)
{
	const struct layout_options opt = {.kind = LAYOUT_UZIP, .label = "L"};
	struct tree t;
	struct layout l = {.opt = &opt, .system = &t};

	CHECK_EQ(tree_init(&t), 0);
	CHECK(kit_put(&t, "boot/loader.conf", S_IFREG | 0644,
		  "init_exec=\"/sbin/mine\"\n") != NULL);
	kit_listen();
	CHECK_EQ(layout_tweak_loader(&l, &t), 0);
	CHECK(kit_heard("init_exec to '/sbin/mine'"));
	tree_release(&t);
}

/* The root is named elsewhere, or in a way of writing that lua allows. */
static void
another_root_elsewhere(void)
{
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	CHECK(kit_put(&t, "boot/loader.conf", S_IFREG | 0644,
		  "vfs.root.mountfrom = \"zfs:zroot\"\n") != NULL);
	tweak(LAYOUT_PLAIN, &t);
	CHECK(holds(&t, "boot/loader.conf",
	    "vfs.root.mountfrom = \"zfs:zroot\"\n"
	    "boot_cdrom=\"YES\"\n"
	    "vfs.root.mountfrom=\"cd9660:/dev/iso9660/LIVE "
	    "cd9660:/dev/cd0 cd9660:/dev/acd0\"\n"));
	tree_release(&t);

	CHECK_EQ(tree_init(&t), 0);
	CHECK(kit_put(&t, "boot/loader.conf.d/zfs.conf", S_IFREG | 0644,
		  "vfs.root.mountfrom=\"zfs:zroot\"\n") != NULL);
	kit_listen();
	tweak(LAYOUT_PLAIN, &t);
	CHECK(kit_heard("sets vfs.root.mountfrom to 'zfs:zroot'"));
	tree_release(&t);
}

/* Where a link leads is not changed, and it does not become a file. */
static void
links_instead_of_settings(void)
{
	static const char *const files[] = {
	    "etc/fstab", "etc/rc.conf", "boot/loader.conf"};
	const struct layout_options opt = {.label = "LIVE"};

	for (size_t i = 0; i < 3; i++) {
		struct tree t;
		struct layout l = {.opt = &opt, .system = &t};
		int rc;

		layout_device(opt.label, l.device);
		CHECK_EQ(tree_init(&t), 0);
		CHECK(kit_put(&t, files[i], S_IFLNK | 0777, "/x") != NULL);
		kit_listen();
		rc = layout_tweak_system(&l);
		if (rc == 0)
			rc = layout_tweak_loader(&l, &t);
		CHECK_EQ(rc, -EINVAL);
		CHECK(kit_heard(files[i]));
		tree_release(&t);
	}
}

/* -- scripts ----------------------------------------------------------------
 */

static void
scripts(void)
{
	char *uzip = layout_script(LAYOUT_UZIP, "/dev/iso9660/X");
	char *memroot = layout_script(LAYOUT_MEMROOT, "/dev/iso9660/X");

	CHECK(uzip != NULL && strncmp(uzip, "#!/rescue/sh\n", 13) == 0);
	CHECK(uzip != NULL && strstr(uzip, "/R.ufs.uzip") != NULL);
	CHECK(memroot != NULL &&
	    strstr(memroot,
		"devices=\"/dev/iso9660/X /dev/cd0 /dev/acd0\"\n") != NULL);
	CHECK(memroot != NULL && strchr(memroot, '@') == NULL);
	free(uzip);
	free(memroot);
}

/* -- sizes ------------------------------------------------------------------
 */

/* The ISO is done when its sizes are guessed; what is lost then is said once.
 */
static void
a_file_that_goes_before_its_size_is_guessed(void)
{
	struct layout_options opt = {.kind = LAYOUT_PLAIN, .label = "LIVE"};
	struct tree t;
	struct layout l = {.opt = &opt, .system = &t};
	char dir[] = "/tmp/layout.XXXXXX", path[64], piece[32768];
	int fd;

	CHECK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	memset(piece, 'x', sizeof(piece));
	for (int i = 0; i < 64; i++)
		CHECK_EQ(write(fd, piece, sizeof(piece)), sizeof(piece));
	opt.fs.uzip = (struct uzip_params){
	    .codec = UZIP_ZLIB, .level = 1, .cluster = 16384};
	CHECK_EQ(tree_init(&t), 0);
	CHECK_EQ(tree_add_source(&t, dir), 0);
	tree_reader_init(&l.reader, &t);
	CHECK(ftruncate(fd, 1000) == 0);
	kit_listen();
	layout_measure(&l, 1 << 20);
	CHECK(kit_heard("has changed"));
	tree_reader_release(&l.reader);
	tree_release(&t);
	close(fd);
	unlink(path);
	rmdir(dir);
}

/* -- what cannot boot -------------------------------------------------------
 */

static void
trees_that_cannot_boot(void)
{
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	kit_listen();
	CHECK_EQ(layout_check_tree(&t, LAYOUT_PLAIN), -EINVAL);
	CHECK(kit_heard("boot/cdboot"));
	CHECK(kit_put(&t, "boot/cdboot", S_IFREG | 0444, "x") != NULL);
	CHECK_EQ(layout_check_tree(&t, LAYOUT_PLAIN), -EINVAL);
	CHECK(kit_heard("boot/loader"));
	CHECK(kit_put(&t, "boot/loader", S_IFREG | 0444, "x") != NULL);
	CHECK_EQ(layout_check_tree(&t, LAYOUT_PLAIN), -EINVAL);
	CHECK(kit_heard("boot/kernel/kernel"));
	CHECK(
	    kit_put(&t, "boot/kernel/kernel.gz", S_IFREG | 0444, "x") != NULL);
	CHECK_EQ(layout_check_tree(&t, LAYOUT_PLAIN), 0);
	CHECK_EQ(layout_check_tree(&t, LAYOUT_UZIP), -EINVAL);
	CHECK(kit_heard("rescue/init"));

	/* the loader takes another kernel, where modules are, too */
	CHECK(kit_put(&t, "boot/loader.conf", S_IFREG | 0644,
		  "kernel=\"MINE\"\nbootfile=\"k;kernel\"\n") != NULL);
	CHECK_EQ(layout_check_tree(&t, LAYOUT_PLAIN), -EINVAL);
	CHECK(kit_heard("boot/MINE/k'"));
	CHECK(kit_put(&t, "boot/MINE/k", S_IFREG | 0444, "x") != NULL);
	CHECK_EQ(layout_check_tree(&t, LAYOUT_PLAIN), 0);
	tree_release(&t);
}

/* mount and mdmfs run others, which are in /rescue as well. */
static void
tools_of_the_scripts(void)
{
	static const char *const common[] = {
	    "init", "sh", "mount", "mdconfig", "kenv"};
	static const char *const more[] = {"mkdir", "sleep", "mdmfs", "newfs",
	    "mount_cd9660", "mount_nullfs", "mount_unionfs"};
	static const char *const boot[] = {"boot/cdboot", "boot/loader",
	    "boot/kernel/kernel", "boot/kernel/geom_uzip.ko",
	    "boot/kernel/unionfs.ko", "boot/kernel/nullfs.ko"};
	struct tree t;
	char path[64];

	CHECK_EQ(tree_init(&t), 0);
	for (size_t i = 0; i < sizeof(boot) / sizeof(*boot); i++)
		CHECK(kit_put(&t, boot[i], S_IFREG | 0444, "x") != NULL);
	for (size_t i = 0; i < sizeof(common) / sizeof(*common); i++) {
		snprintf(path, sizeof(path), "rescue/%s", common[i]);
		CHECK(kit_put(&t, path, S_IFREG | 0555, "x") != NULL);
	}
	kit_listen();
	for (size_t i = 0; i < sizeof(more) / sizeof(*more); i++) {
		snprintf(path, sizeof(path), "rescue/%s", more[i]);
		CHECK_EQ(layout_check_tree(&t, LAYOUT_MEMROOT), -EINVAL);
		CHECK(kit_heard(path));
		CHECK(kit_put(&t, path, S_IFREG | 0555, "x") != NULL);
	}
	CHECK_EQ(layout_check_tree(&t, LAYOUT_MEMROOT), 0);
	CHECK_EQ(kit_lines, 0);
	tree_release(&t);
}

TESTS({"parts of trees", shared_parts}, {"labels", labels},
    {"a disk's fstab", a_disk_s_fstab},
    {"no settings at all", no_settings_at_all}, {"another root", another_root},
    {"another init", another_init},
    {"another root elsewhere", another_root_elsewhere},
    {"a file that wins", a_file_that_wins},
    {"links instead of settings", links_instead_of_settings},
    {"scripts", scripts},
    {"a file that goes", a_file_that_goes_before_its_size_is_guessed},
    {"trees that cannot boot", trees_that_cannot_boot},
    {"tools of the scripts", tools_of_the_scripts})
