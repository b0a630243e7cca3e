/* The session of a device: whatever it holds, nobody's tree on top. */
#include <string.h>

#include "../../fusefs/session.h"
#include "image_kit.h"

/* The session of u with its tree, or NULL and *rc. */
static struct session *
open_tree(int *rc)
{
	const struct session_options options = {.mode = SESSION_WRITE};
	struct session *session = NULL;

	*rc = session_open(kit_path("u"), &options, &session);
	return session;
}

/* The session of u as a device. */
static struct session *
open_device(enum session_mode mode, uint64_t size)
{
	const struct session_options options = {
	    .mode = mode, .content = SESSION_DEVICE, .size_limit = size};
	struct session *session = NULL;

	CHECK_EQ(session_open(kit_path("u"), &options, &session), 0);
	CHECK(session != NULL && session->fs == NULL);
	return session;
}

static void
a_device_shows_what_the_tree_wrote_and_nothing_unlinked(void)
{
	struct ufs_info before, after;
	struct session *session;
	const struct ufs_new what = {.mode = 0100644};
	struct ufs_attr attr;
	int rc;

	kit_begin();
	kit_ufs("u", "x");
	session = open_tree(&rc);
	ufs_info(session->fs, &before);
	CHECK_EQ(ufs_create(session->fs, UFS_ROOT, "open", 4, &what, &attr), 0);
	CHECK_EQ(ufs_pin(session->fs, attr.ino), 0);
	CHECK_EQ(ufs_remove(session->fs, UFS_ROOT, "open", 4, false), 0);
	CHECK_EQ(ufs_flush(session->fs), 0);
	session_close(session);

	session = open_device(SESSION_WRITE, 0);
	CHECK_EQ(session->kind, IMAGE_UFS);
	CHECK_EQ(ufs_check(session->cache, NULL, 0, NULL, NULL), 0);
	CHECK_EQ(session_finish(session), 0);
	session_close(session);
	session = open_tree(&rc);
	ufs_info(session->fs, &after);
	CHECK_EQ(after.free_inodes, before.free_inodes);
	session_close(session);
}

static void
a_device_may_be_made_larger_with_the_file_system_in_it(void)
{
	struct session *session;
	uint64_t size;

	kit_begin();
	kit_ufs("u", "x");
	session = open_device(SESSION_WRITE, 0);
	size = session->cache->size + (32 << 20);
	session_close(session);
	session = open_device(SESSION_WRITE, size);
	CHECK(session->cache->size > size - (1 << 20));
	CHECK_EQ(ufs_check(session->cache, NULL, 0, NULL, NULL), 0);
	session_close(session);
}

static void
a_device_holds_anything_and_a_tree_only_ufs(void)
{
	struct session *session;
	uint8_t zeroes[4096] = {0};
	int rc;

	kit_begin();
	CHECK_EQ(kit_sh("truncate -s 1M u"), 0);
	CHECK(open_tree(&rc) == NULL);
	CHECK_EQ(rc, -EINVAL);
	session = open_device(SESSION_WRITE, 0);
	CHECK_EQ(session->kind, IMAGE_UNKNOWN);
	CHECK_EQ(blkdev_write(session->cache, 999, "here", 4), 0);
	CHECK_EQ(session_finish(session), 0);
	session_close(session);
	session = open_device(SESSION_SNAPSHOT, 0);
	CHECK_EQ(blkdev_read(session->cache, 999, zeroes, 4), 0);
	CHECK(memcmp(zeroes, "here", 4) == 0);
	session_close(session);

	/* what was a UFS and is none any more has no tree */
	kit_begin();
	kit_ufs("u", "x");
	session = open_device(SESSION_WRITE, 0);
	for (uint64_t off = 0; off < session->cache->size; off += 4096)
		CHECK_EQ(blkdev_trim(session->cache, off,
			     session->cache->size - off < 4096
				 ? session->cache->size - off
				 : 4096),
		    0);
	CHECK_EQ(session_finish(session), 0);
	session_close(session);
	CHECK(open_tree(&rc) == NULL);
	CHECK_EQ(rc, -EINVAL);
	CHECK(strstr(kit_said, "--view block") != NULL);
}

TESTS({"a device shows what the tree wrote, and nothing unlinked",
	  a_device_shows_what_the_tree_wrote_and_nothing_unlinked},
    {"a device may be made larger with the file system in it",
	a_device_may_be_made_larger_with_the_file_system_in_it},
    {"a device holds anything, and a tree only UFS",
	a_device_holds_anything_and_a_tree_only_ufs})
