/* New ISOs: what is refused, and what goes wrong. */
#include <signal.h>

#include "../../mkimage/outfile.h"
#include "author_kit.h"
#include "blkdev_fault.h"

/* -- what is refused ---------------------------------------------------------
 */

static void
refuse(const struct iso_author *how, const char *said)
{
	struct blkdev *dev;

	CHECK_EQ(blkdev_mem_open(0, &dev), 0);
	kit_listen();
	CHECK(kit_author_to(how, dev) < 0);
	CHECK(kit_heard(said));
	CHECK_EQ(dev->size, 0);
	blkdev_close(dev);
}

static void
texts_that_do_not_fit_are_refused(void)
{
	struct tree t;
	struct iso_author good, how;
	char text[130];

	memset(text, 'x', 129);
	text[129] = '\0';
	kit_freebsd(&t, &good);
	how = good;
	how.label = "0123456789012345678901234567890123";
	refuse(&how, "too long");
	how.label = "0123456789012345678901234567890 ";
	refuse(&how, "ends with a space");
	how.label = "";
	refuse(&how, "needs a label");
	how.label = "Gr\xc3\xbc\xc3\x9f";
	refuse(&how, "printable ASCII");
	how.label = "tab\there";
	refuse(&how, "printable ASCII");
	how.label = "a/b";
	refuse(&how, "slash");
	how = good;
	how.volume_set = text;
	refuse(&how, "volume set");
	how = good;
	how.publisher = text;
	refuse(&how, "publisher");
	how = good;
	how.label = "01234567890123456789012345678901";
	CHECK_EQ(kit_author(&how, "label.iso"), 0);
	CHECK(kit_contains("label.iso", how.label, 32));
	tree_release(&t);
}

static void
what_cannot_boot_is_refused(void)
{
	static const char *const absent[] = {"nowhere"};
	struct tree t;
	struct iso_author good, how;

	kit_freebsd(&t, &good);
	kit_put(&t, "link", S_IFLNK | 0755, "boot/cdboot");
	kit_file(&t, "large", 70000, 1);
	kit_file(&t, "nothing", 0, 1);
	how = good;
	how.cdboot = "nowhere";
	refuse(&how, "no 'nowhere'");
	how.cdboot = "link";
	refuse(&how, "not a regular file");
	how.cdboot = "large";
	refuse(&how, "70000 bytes");
	how.cdboot = "nothing";
	refuse(&how, "0 bytes");
	how = good;
	how.loader_efi = "nothing";
	refuse(&how, "no UEFI loader");
	how = good;
	how.isoboot = "large";
	refuse(&how, "room for 1 to 31232");
	how = good;
	how.pmbr = "large";
	refuse(&how, "440 to 512");
	how = good;
	how.last = "nowhere";
	refuse(&how, "shall lie last");
	how = good;
	how.order = absent;
	how.norder = 1;
	refuse(&how, "shall lie first");
	how = good;
	kit_fill(tree_find(&t, "boot/loader"), 255 * 2048 + 1, 1, false);
	refuse(&how, "at most 522240");
	kit_put(&t, "boot/loader", S_IFLNK | 0755, "loader_lua");
	refuse(&how, "which cdboot starts, is not a regular file");
	tree_release(&t);
}

static void
files_that_an_iso_cannot_hold_are_refused(void)
{
	struct tree t;
	struct iso_author how;
	struct tree_node *node;

	kit_freebsd(&t, &how);
	node = kit_put(&t, "huge", S_IFREG | 0644, "");
	node->size = 0xfffff801; /* in one extent of whole sectors no more */
	refuse(&how, "'huge' has 4294965249 bytes");
	node->size = 1ull << 32;
	refuse(&how, "below 4 GiB");
	node->size = 0;
	kit_put(&t, "nothing", S_IFLNK | 0777, "");
	refuse(&how, "link 'nothing' has no target");
	tree_release(&t);
}

/* -- what goes wrong ---------------------------------------------------------
 */

static void
a_file_that_changes_meanwhile_is_told(void)
{
	const char *dir = kit_enter();
	struct tree t;
	struct iso_author how;
	struct blkdev *dev;
	char path[64];

	kit_freebsd(&t, &how);
	snprintf(path, sizeof(path), "%s/file", dir);
	kit_write(path, "before");
	CHECK_EQ(tree_add_directory(&t, dir), 0);
	kit_write(path, "after, and longer");
	CHECK_EQ(blkdev_mem_open(0, &dev), 0);
	kit_listen();
	CHECK_EQ(kit_author_to(&how, dev), -ESTALE);
	CHECK(kit_heard("has changed"));
	blkdev_close(dev);
	tree_release(&t);
	kit_leave(dir);
}

static void
each_failing_write_is_told_once(void)
{
	struct tree t;
	struct iso_author how;
	struct blkdev *mem, *dev;
	int rc = -1;

	kit_freebsd(&t, &how);
	for (unsigned n = 1; rc < 0 && n < 50; n++) {
		CHECK_EQ(blkdev_mem_open(0, &mem), 0);
		CHECK_EQ(blkdev_fault_open(mem, &dev), 0);
		blkdev_fault_arm(
		    dev, FAULT_WRITE | FAULT_RESIZE, n, -ENOSPC, true);
		kit_listen();
		rc = kit_author_to(&how, dev);
		if (rc < 0) {
			CHECK_EQ(rc, -ENOSPC);
			CHECK(kit_heard("No space left"));
		}
		blkdev_close(dev);
	}
	CHECK_EQ(rc, 0);
	tree_release(&t);
}

/* libisofs 1.5.4 fails on these; later ones may not. */
static void
too_many_long_names_are_written_or_refused(void)
{
	struct tree t;
	struct iso_author how;
	char path[300] = "names/";
	int rc;

	kit_freebsd(&t, &how);
	memset(path + 6, 'n', 255);
	for (unsigned i = 0; i < 58; i++) {
		snprintf(path + 6 + 252, 4, "%03u", i);
		kit_file(&t, path, 10, i);
	}
	kit_listen();
	rc = kit_author(&how, "long.iso");
	CHECK(rc == -EINVAL || rc == 0);
	if (rc < 0)
		CHECK(kit_heard("the 58 names of more than 120 bytes in "
				"directory 'names'"));
	else
		kit_check(&t, "long.iso");
	tree_release(&t);
}

static void
losses_are_told(void)
{
	struct tree t;
	struct iso_author how;

	kit_freebsd(&t, &how);
	tree_find(&t, "boot/loader")->flags = 1;
	kit_link(&t, "boot/loader", "loader");
	kit_listen();
	CHECK_EQ(kit_author(&how, "flags.iso"), 0);
	CHECK(kit_heard("flags of 1 files left out"));
	tree_release(&t);
}

/* The last test: from then on all is interrupted. */
static void
an_interrupt_stops_it(void)
{
	struct tree t;
	struct iso_author how;
	struct outfile *out;
	char path[128];

	scratch_need();
	kit_freebsd(&t, &how);
	kit_file(&t, "large", 30000000, 43);
	snprintf(path, sizeof(path), "%s/cut.iso", scratch);
	CHECK_EQ(outfile_create(path, &out), 0);
	kit_listen();
	CHECK_EQ(raise(SIGINT), 0);
	CHECK_EQ(kit_author_to(&how, outfile_dev(out)), -EINTR);
	CHECK_EQ(kit_lines, 0);
	outfile_abort(out);
	CHECK(access(path, F_OK) != 0);
	tree_release(&t);
}

#define T(f) \
	{ \
#f, f \
	}
TESTS(T(texts_that_do_not_fit_are_refused), T(what_cannot_boot_is_refused),
    T(files_that_an_iso_cannot_hold_are_refused),
    T(a_file_that_changes_meanwhile_is_told),
    T(each_failing_write_is_told_once),
    T(too_many_long_names_are_written_or_refused), T(losses_are_told),
    T(an_interrupt_stops_it))
