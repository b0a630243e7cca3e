/* The ISO's own tree, staged (ISOTREE.md). */
#include <string.h>
#include <sys/stat.h>

#include "../../fusefs/session.h"
#include "../../imgfmt/iso_edit.h"
#include "image_kit.h"

/* live.iso: with boot/loader.conf, a.txt, and a UFS as boot/root.ufs. */
static bool
make_iso(void)
{
	kit_begin();
	if (!kit_has("genisoimage"))
		return false;
	kit_ufs("u", "x");
	CHECK_EQ(kit_sh("mkdir -p t/boot; cp u t/boot/root.ufs; "
			"seq 1 900 >t/boot/loader.conf; echo a >t/a.txt; "
			"find t -exec touch -d @1600000000 {} +; "
			"genisoimage -quiet -R -o live.iso t"),
	    0);
	return true;
}

static struct session *
open_iso(enum session_mode mode)
{
	const struct session_options options = {
	    .mode = mode, .content = SESSION_ISO};
	struct session *session = NULL;

	CHECK_EQ(session_open(kit_path("live.iso"), &options, &session), 0);
	return session;
}

/* The inode at path. */
static uint64_t
find(struct session *session, const char *path)
{
	struct ufs_attr attr = {.ino = UFS_ROOT};

	while (*path != '\0') {
		size_t n = strcspn(path, "/");

		CHECK_EQ(ufs_lookup(session->fs, attr.ino, path, n, &attr), 0);
		path += n + (path[n] == '/');
	}
	return attr.ino;
}

static int
count(void *arg, enum iso_edit_change change, const char *path)
{
	(void)change;
	(void)path;
	++*(int *)arg;
	return 0;
}

/* How many paths differ from the ISO. */
static int
changes(struct session *session)
{
	struct iso_edit_node *tree = NULL;
	int n = 0;

	CHECK_EQ(session_iso_tree(session, &tree), 0);
	CHECK_EQ(iso_edit_changes(session->image->iso, tree, count, &n), 0);
	iso_edit_free(tree);
	return n;
}

static void
the_tree_is_filled_once_and_whole(void)
{
	struct session *session;
	struct ufs_attr attr;

	if (!make_iso())
		SKIP("no genisoimage");
	/* with nothing durable yet, a reader fills one of its own */
	session = open_iso(SESSION_SNAPSHOT);
	CHECK_EQ(changes(session), 0);
	session_close(session);
	CHECK_EQ(kit_sh("test ! -e live.iso.relive"), 0);

	session = open_iso(SESSION_WRITE);
	CHECK_EQ(changes(session), 0);
	CHECK_EQ(ufs_remove(session->fs, UFS_ROOT, "a.txt", 5, false), 0);
	session_close(session); /* not flushed */
	session = open_iso(SESSION_WRITE);
	CHECK_EQ(changes(session), 0);
	CHECK_EQ(ufs_remove(session->fs, UFS_ROOT, "a.txt", 5, false), 0);
	CHECK_EQ(session_finish(session), 0);
	session_close(session);
	session = open_iso(SESSION_SNAPSHOT);
	CHECK_EQ(ufs_lookup(session->fs, UFS_ROOT, "a.txt", 5, &attr), -ENOENT);
	CHECK_EQ(changes(session), 1);
	session_close(session);
}

static void
data_is_taken_over_when_it_is_about_to_change(void)
{
	struct session *session;
	struct iso_node node;
	struct ufs_attr attr;
	char got[8] = "", want[8] = "";
	uint64_t ino;

	if (!make_iso())
		SKIP("no genisoimage");
	session = open_iso(SESSION_WRITE);
	ino = find(session, "boot/loader.conf");
	CHECK_EQ(session_iso_origin(session, ino, &node), 1);
	CHECK_EQ(ufs_getattr(session->fs, ino, &attr), 0);
	CHECK_EQ(attr.size, node.size);
	CHECK_EQ(session_iso_read(session, &node, 1000, want, 7), 7);
	CHECK_EQ(session_iso_read(session, &node, node.size - 3, want, 7), 3);
	CHECK_EQ(session_iso_read(session, &node, 1000, want, 7), 7);
	CHECK_EQ(session_iso_lift(session, ino, UINT64_MAX), 0);
	CHECK_EQ(session_iso_origin(session, ino, &node), 0);
	CHECK_EQ(ufs_read(session->fs, ino, 1000, got, 7), 7);
	CHECK(memcmp(got, want, 7) == 0);
	CHECK_EQ(ufs_getattr(session->fs, ino, &attr), 0);
	CHECK_EQ(attr.mtime.tv_sec, 1600000000);
	CHECK_EQ(session_iso_lift(session, ino, UINT64_MAX), 0);
	CHECK_EQ(changes(session), 1);
	/* Cut: no flush between lifting and truncating may find zeroes. */
	ino = find(session, "a.txt");
	CHECK_EQ(ufs_getattr(session->fs, ino, &attr), 0);
	CHECK(attr.size > 1);
	CHECK_EQ(session_iso_lift(session, ino, 1), 0);
	CHECK_EQ(ufs_getattr(session->fs, ino, &attr), 0);
	CHECK_EQ(attr.size, 1);
	session_close(session);
}

static void
images_keep_their_bytes_and_their_path(void)
{
	struct session *session;
	struct ufs_attr attr;
	uint64_t ino;

	if (!make_iso())
		SKIP("no genisoimage");
	session = open_iso(SESSION_WRITE);
	ino = find(session, "boot/root.ufs");
	CHECK_EQ(ufs_getattr(session->fs, ino, &attr), 0);
	CHECK((attr.flags & UFS_FLAG_SIMMUTABLE) != 0);
	CHECK_EQ(session_iso_lift(session, ino, UINT64_MAX), -EPERM);
	CHECK_EQ(ufs_getattr(session->fs, find(session, "boot"), &attr), 0);
	CHECK((attr.flags & UFS_FLAG_SNOUNLINK) != 0);
	session_close(session);
}

/* Wherever a commit in place of everything is cut, no edit is lost or done
 * twice. */
static void
a_whole_commit_ends_all_of_the_session(void)
{
	for (int cut = 0; cut < 3; cut++) {
		const struct session_options options = {.mode = SESSION_WRITE};
		struct session *session, *iso;
		int left;

		if (!make_iso())
			SKIP("no genisoimage");
		iso = open_iso(SESSION_WRITE);
		CHECK_EQ(ufs_remove(iso->fs, UFS_ROOT, "a.txt", 5, false), 0);
		CHECK_EQ(session_finish(iso), 0);
		session_close(iso);
		CHECK_EQ(
		    session_open(kit_path("live.iso"), &options, &session), 0);
		CHECK_EQ(session_finish(session), 0);
		CHECK(session_has_iso(session));
		CHECK_EQ(kit_sh("rm t/a.txt; genisoimage -quiet -R -o new.iso "
				"t"),
		    0);
		CHECK_EQ(session_record_successor(
			     session, kit_path("new.iso"), true),
		    0);
		if (cut > 0)
			CHECK_EQ(kit_sh("mv new.iso live.iso"), 0);
		if (cut > 1)
			CHECK_EQ(session_drop_overlay(session, true), 0);
		session_close(session);
		iso = open_iso(SESSION_WRITE);
		left = changes(iso);
		CHECK_EQ(left, cut == 0);
		session_close(iso);
		CHECK_EQ(session_discard(kit_path("live.iso"), NULL), 0);
		CHECK_EQ(kit_sh("test ! -e live.iso.relive"), 0);
	}
}

TESTS({"the tree is filled once, and whole", the_tree_is_filled_once_and_whole},
    {"data is taken over when it is about to change",
	data_is_taken_over_when_it_is_about_to_change},
    {"images keep their bytes and their path",
	images_keep_their_bytes_and_their_path},
    {"a whole commit ends all of the session",
	a_whole_commit_ends_all_of_the_session})
