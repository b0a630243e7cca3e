/* Sessions: what they keep, whom they keep out, and when they end. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../fusefs/session.h"
#include "image_kit.h"

static bool
said(const char *a, const char *b)
{
	bool yes = kit_lines == 1 && strstr(kit_said, a) != NULL &&
	    strstr(kit_said, b) != NULL;

	if (!yes)
		printf("# %d lines, the last: %s\n", kit_lines, kit_said);
	kit_lines = 0;
	return yes;
}

/* The session of address in that mode, or NULL with *rc. */
static struct session *
open_in(const char *address, enum session_mode mode, const char *dir, int *rc)
{
	const struct session_options options = {.mode = mode, .dir = dir};
	struct session *session = NULL;

	*rc = session_open(address, &options, &session);
	CHECK((*rc == 0) == (session != NULL));
	return session;
}

static struct session *
must_open(const char *address, enum session_mode mode)
{
	int rc;
	struct session *session = open_in(address, mode, NULL, &rc);

	CHECK_EQ(rc, 0);
	if (rc < 0)
		printf("# %s\n", kit_said);
	return session;
}

/* A file of that name in the root, with its name in it. */
static uint64_t
put(struct session *session, const char *name)
{
	const struct ufs_new what = {.mode = 0100644};
	struct ufs_attr attr = {0};

	CHECK_EQ(
	    ufs_create(session->fs, UFS_ROOT, name, strlen(name), &what, &attr),
	    0);
	CHECK_EQ(ufs_write(session->fs, attr.ino, 0, name, strlen(name)),
	    (int64_t)strlen(name));
	return attr.ino;
}

static bool
has(struct session *session, const char *name)
{
	struct ufs_attr attr;
	char buf[64] = "";

	if (ufs_lookup(session->fs, UFS_ROOT, name, strlen(name), &attr) < 0)
		return false;
	return ufs_read(session->fs, attr.ino, 0, buf, sizeof(buf) - 1) ==
	    (int64_t)strlen(name) &&
	    strcmp(buf, name) == 0;
}

/* Open for writing, add a file, end in the orderly way. */
static void
edit(const char *address, const char *name)
{
	struct session *session = must_open(address, SESSION_WRITE);

	if (session == NULL)
		return;
	(void)put(session, name);
	CHECK_EQ(session_finish(session), 0);
	session_close(session);
}

static bool
shows(const char *address, enum session_mode mode, const char *name)
{
	struct session *session = must_open(address, mode);
	bool found = session != NULL && has(session, name);

	session_close(session);
	return found;
}

/* -- keeping --------------------------------------------------------------- */

static void
edits_are_there_the_next_time(void)
{
	const char *u;

	kit_begin();
	kit_ufs("u", "keep");
	CHECK_EQ(kit_sh("cp u copy"), 0);
	u = kit_path("u");
	edit(u, "one");
	edit(u, "two");
	CHECK(shows(u, SESSION_WRITE, "one"));
	CHECK(shows(u, SESSION_SNAPSHOT, "two"));
	CHECK(!shows(u, SESSION_BASE, "one"));
	CHECK_EQ(kit_sh("cmp u copy"), 0);
}

static void
what_was_not_flushed_is_gone_without_a_trace(void)
{
	struct session *session;
	const char *u;

	kit_begin();
	kit_ufs("u", "flush");
	u = kit_path("u");
	session = must_open(u, SESSION_WRITE);
	(void)put(session, "kept");
	CHECK_EQ(ufs_flush(session->fs), 0);
	(void)put(session, "lost");
	session_close(session);
	CHECK(shows(u, SESSION_WRITE, "kept"));
	CHECK(!shows(u, SESSION_WRITE, "lost"));
}

static void
a_snapshot_is_read_beside_a_writer(void)
{
	struct session *writer, *reader;

	kit_begin();
	kit_ufs("u", "beside");
	writer = must_open(kit_path("u"), SESSION_WRITE);
	(void)put(writer, "before");
	CHECK_EQ(ufs_flush(writer->fs), 0);
	reader = must_open(kit_path("u"), SESSION_SNAPSHOT);
	(void)put(writer, "after");
	CHECK_EQ(ufs_flush(writer->fs), 0);
	CHECK(reader != NULL && reader->exists);
	CHECK(has(reader, "before") && !has(reader, "after"));
	session_close(reader);
	session_close(writer);
}

static void
a_snapshot_without_a_session_is_the_base_and_makes_nothing(void)
{
	struct session *session;

	kit_begin();
	kit_ufs("u", "none");
	session = must_open(kit_path("u"), SESSION_SNAPSHOT);
	CHECK(session != NULL && !session->exists && session->overlay == NULL);
	session_close(session);
	CHECK_EQ(kit_sh("test ! -e u.relive"), 0);
}

static void
unlinked_open_files_are_freed_by_who_opens_next(void)
{
	struct session *session;
	struct ufs_attr attr;
	struct ufs_info before, after;
	uint64_t ino;
	const char *u;

	kit_begin();
	kit_ufs("u", "orphan");
	u = kit_path("u");
	edit(u, "first");
	session = must_open(u, SESSION_WRITE);
	ufs_info(session->fs, &before);
	ino = put(session, "open");
	CHECK_EQ(ufs_pin(session->fs, ino), 0);
	CHECK_EQ(ufs_remove(session->fs, UFS_ROOT, "open", 4, false), 0);
	CHECK_EQ(ufs_flush(session->fs), 0);
	CHECK_EQ(ufs_getattr(session->fs, ino, &attr), 0);
	CHECK_EQ(attr.nlink, 0);
	session_close(session); /* as if killed */
	for (int mode = SESSION_WRITE; mode <= SESSION_SNAPSHOT; mode++) {
		session = must_open(u, (enum session_mode)mode);
		ufs_info(session->fs, &after);
		CHECK_EQ(after.free, before.free);
		CHECK_EQ(after.free_inodes, before.free_inodes);
		CHECK_EQ(ufs_sync_to_device(session->fs), 0);
		CHECK_EQ(ufs_check(session->cache, NULL, 0, NULL, NULL), 0);
		session_close(session);
	}
}

static void
a_killed_writer_leaves_what_was_flushed(void)
{
	const char *u;
	pid_t child;
	int status;

	kit_begin();
	kit_ufs("u", "kill");
	u = kit_path("u");
	(void)fflush(stdout);
	child = fork();
	if (child == 0) {
		struct session *session = must_open(u, SESSION_WRITE);

		(void)put(session, "safe");
		if (ufs_flush(session->fs) == 0)
			(void)kill(getpid(), SIGKILL);
		_exit(1);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFSIGNALED(status));
	CHECK(shows(u, SESSION_WRITE, "safe"));
}

/* -- folders and addresses ------------------------------------------------- */

static void
the_folder_itself_is_an_address(void)
{
	kit_begin();
	kit_ufs("u", "addr");
	edit(kit_path("u"), "file");
	CHECK(shows(kit_path("u.relive"), SESSION_SNAPSHOT, "file"));
	CHECK(shows(kit_path("u.relive"), SESSION_WRITE, "file"));
	/* Both moved together are found as they lie. */
	CHECK_EQ(kit_sh("mkdir new && mv u u.relive new"), 0);
	CHECK(shows(kit_path("new/u.relive"), SESSION_SNAPSHOT, "file"));
	CHECK(shows(kit_path("new/u"), SESSION_SNAPSHOT, "file"));
}

static void
a_session_may_lie_elsewhere(void)
{
	struct session *session;
	char dir[128];
	int rc;

	kit_begin();
	kit_ufs("u", "else");
	(void)snprintf(dir, sizeof(dir), "%s/elsewhere", kit_dir);
	session = open_in(kit_path("u"), SESSION_WRITE, dir, &rc);
	CHECK_EQ(rc, 0);
	(void)put(session, "there");
	CHECK_EQ(session_finish(session), 0);
	session_close(session);
	CHECK_EQ(kit_sh("test ! -e u.relive"), 0);
	CHECK(shows(dir, SESSION_SNAPSHOT, "there"));
	CHECK_EQ(session_discard(kit_path("u"), dir), 0);
	CHECK_EQ(kit_sh("test ! -e elsewhere"), 0);
}

static void
a_folder_that_is_no_session_is_said(void)
{
	int rc;

	kit_begin();
	CHECK_EQ(kit_sh("mkdir d"), 0);
	CHECK(open_in(kit_path("d"), SESSION_WRITE, NULL, &rc) == NULL);
	CHECK_EQ(rc, -EINVAL);
	CHECK(said("/d'", "neither a session nor a mount"));
}

static void
a_session_whose_image_is_gone_is_said(void)
{
	int rc;

	kit_begin();
	kit_ufs("u", "gone");
	edit(kit_path("u"), "x");
	CHECK_EQ(kit_sh("rm u"), 0);
	CHECK(open_in(kit_path("u.relive"), SESSION_WRITE, NULL, &rc) == NULL);
	CHECK_EQ(rc, -ENOENT);
	CHECK(said("u.relive", "not at"));
}

static void
a_folder_that_cannot_be_made_asks_for_another(void)
{
	int rc;

	kit_begin();
	kit_ufs("u", "denied");
	CHECK_EQ(kit_sh("ln -s /proc/nothing u.relive"), 0);
	CHECK(open_in(kit_path("u"), SESSION_WRITE, NULL, &rc) == NULL);
	CHECK(rc < 0);
	CHECK(said("u.relive", "session folder"));
}

static void
what_cannot_be_edited_leaves_no_folder(void)
{
	int rc;

	kit_begin();
	kit_ufs("u", "dirty");
	/* fs_clean of the only superblock (formats.md 2.11). */
	CHECK_EQ(kit_sh("printf '\\0' | dd of=u bs=1 seek=$((65536 + 209)) "
			"conv=notrunc"),
	    0);
	CHECK(open_in(kit_path("u"), SESSION_WRITE, NULL, &rc) == NULL);
	CHECK(rc == -EROFS || rc == -ECORRUPT);
	CHECK_EQ(kit_sh("test ! -e u.relive"), 0);
	kit_file("x", 100000, 0, "hello", 5);
	CHECK(open_in(kit_path("x"), SESSION_WRITE, NULL, &rc) == NULL);
	CHECK_EQ(kit_sh("test ! -e x.relive"), 0);
}

/* -- the lock -------------------------------------------------------------- */

static void
two_writers_exclude_each_other(void)
{
	struct session *first, *second;
	char where[256];
	int rc;

	kit_begin();
	kit_ufs("u", "lock");
	first = must_open(kit_path("u"), SESSION_WRITE);
	second = open_in(kit_path("u"), SESSION_WRITE, NULL, &rc);
	CHECK(second == NULL);
	CHECK_EQ(rc, -EBUSY);
	CHECK(said("u.relive", "in use by another process"));
	CHECK_EQ(
	    session_mounted_at(kit_path("u"), NULL, where, sizeof(where)), 0);
	CHECK_EQ(session_mark_mounted(first, "/some/where", false), 0);
	/* The mount table knows better. */
	CHECK_EQ(
	    session_mounted_at(kit_path("u"), NULL, where, sizeof(where)), 0);
	CHECK(open_in(kit_path("u"), SESSION_WRITE, NULL, &rc) == NULL);
	CHECK(said("/some/where", "process"));
	CHECK_EQ(session_discard(kit_path("u"), NULL), -EBUSY);
	CHECK(said("/some/where", "mounted"));
	session_close(first);
	/* What the file says is of no weight once nobody holds the lock. */
	CHECK_EQ(
	    session_mounted_at(kit_path("u"), NULL, where, sizeof(where)), 0);
	session_close(must_open(kit_path("u"), SESSION_WRITE));
}

static void
a_writer_may_wait_for_the_one_before(void)
{
	const struct session_options options = {
	    .mode = SESSION_WRITE, .wait = true};
	struct session *session = NULL;
	const char *u;
	int ends[2];
	pid_t child;
	char c = 0;

	kit_begin();
	kit_ufs("u", "wait");
	u = kit_path("u");
	CHECK_EQ(pipe(ends), 0);
	(void)fflush(stdout);
	child = fork();
	if (child == 0) {
		session = must_open(u, SESSION_WRITE);
		if (write(ends[1], &c, 1) == 1)
			(void)usleep(200000);
		_exit(0);
	}
	CHECK_EQ(read(ends[0], &c, 1), 1);
	CHECK_EQ(session_open(u, &options, &session), 0);
	session_close(session);
	(void)waitpid(child, NULL, 0);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* -- identity -------------------------------------------------------------- */

static void
another_image_under_the_name_is_refused(void)
{
	int rc;

	kit_begin();
	kit_ufs("u", "mine");
	edit(kit_path("u"), "x");
	kit_ufs("u", "other");
	for (int mode = SESSION_WRITE; mode <= SESSION_SNAPSHOT; mode++) {
		CHECK(open_in(kit_path("u"), (enum session_mode)mode, NULL,
			  &rc) == NULL);
		CHECK_EQ(rc, -ESTALE);
		CHECK(said("u.relive", "another image"));
	}
	session_close(must_open(kit_path("u"), SESSION_BASE));
	CHECK_EQ(session_discard(kit_path("u"), NULL), 0);
	session_close(must_open(kit_path("u"), SESSION_WRITE));
}

static void
a_copy_of_the_image_is_the_same_image(void)
{
	kit_begin();
	kit_ufs("u", "copy");
	edit(kit_path("u"), "x");
	CHECK_EQ(kit_sh("cp u v && mv v u && touch u"), 0);
	CHECK(shows(kit_path("u"), SESSION_WRITE, "x"));
}

static void
an_identity_follows_the_bytes_that_matter(void)
{
	const struct image_options options = {.cache_max = 1 << 20};
	struct overlay_id ids[4];
	static const char *const names[] = {"u", "grown", "end", "z"};

	kit_begin();
	kit_ufs("u", "id");
	kit_uzip("z", "u");
	CHECK_EQ(kit_sh("cp u grown && truncate -s +4096 grown && cp u end && "
			"printf x | dd of=end bs=1 seek=2097000 conv=notrunc"),
	    0);
	for (size_t i = 0; i < 4; i++) {
		struct image *image = NULL;

		CHECK_EQ(
		    image_open(kit_path(names[i]), &options, 0, &image), 0);
		CHECK_EQ(session_identity(image, &ids[i]), 0);
		image_close(image);
		for (size_t j = 0; j < i; j++)
			CHECK(memcmp(&ids[i], &ids[j], sizeof(ids[i])) != 0);
	}
}

/* -- ends ------------------------------------------------------------------ */

static void
discarding_leaves_nothing(void)
{
	kit_begin();
	kit_ufs("u", "discard");
	edit(kit_path("u"), "x");
	CHECK_EQ(session_discard(kit_path("u"), NULL), 0);
	CHECK_EQ(kit_sh("test ! -e u.relive"), 0);
	CHECK_EQ(session_discard(kit_path("u"), NULL), -ENOENT);
	CHECK(said("u", "has no session"));
	CHECK(!shows(kit_path("u"), SESSION_SNAPSHOT, "x"));
}

/* What an in-place commit does, with `new` as the finished image. */
static void
commit_in_place(bool renamed, bool dropped)
{
	struct session *session = must_open(kit_path("u"), SESSION_WRITE);
	const struct ufs_options writable = {.writable = true};
	struct blkdev *dev = NULL;
	struct ufs *fs = NULL;

	/* The finished image holds the edit, as a commit's result does. */
	CHECK_EQ(kit_sh("cp u new"), 0);
	CHECK_EQ(
	    blkdev_file_adopt(open(kit_path("new"), O_RDWR), true, &dev), 0);
	CHECK_EQ(ufs_open(dev, &writable, &fs), 0);
	CHECK_EQ(ufs_setattr(fs, UFS_ROOT, UFS_SET_MODE,
		     &(struct ufs_attr){.mode = 0700}, &(struct ufs_attr){0}),
	    0);
	CHECK_EQ(ufs_flush(fs), 0);
	ufs_close(fs);
	CHECK_EQ(session_record_successor(session, kit_path("new"), false), 0);
	if (renamed)
		CHECK_EQ(kit_sh("mv new u"), 0);
	if (dropped)
		CHECK_EQ(session_drop_overlay(session, false), 0);
	session_close(session);
}

static void
a_commit_in_place_is_whole_wherever_it_is_cut(void)
{
	struct session *session;

	for (int cut = 0; cut < 3; cut++) {
		kit_begin();
		kit_ufs("u", "place");
		edit(kit_path("u"), "edited");
		commit_in_place(cut >= 1, cut >= 2);
		/* Before the rename: the edits. After: the new image alone. */
		CHECK_EQ(
		    shows(kit_path("u"), SESSION_SNAPSHOT, "edited"), cut == 0);
		session = must_open(kit_path("u"), SESSION_WRITE);
		CHECK_EQ(session != NULL && session->exists, cut == 0);
		CHECK_EQ(session != NULL && has(session, "edited"), cut == 0);
		session_close(session);
		edit(kit_path("u"), "again");
		CHECK(shows(kit_path("u"), SESSION_SNAPSHOT, "again"));
	}
}

static void
another_image_of_the_iso_keeps_its_edits(void)
{
	char one[200], two[200];
	struct session *session;
	int rc;

	if (!kit_has("xorriso"))
		SKIP("no xorriso");
	kit_begin();
	kit_ufs("u", "one");
	kit_ufs("v", "two");
	CHECK_EQ(kit_sh("mkdir t"), 0);
	kit_uzip("t/one.uzip", "u");
	kit_uzip("t/two.uzip", "v");
	CHECK_EQ(kit_sh("xorriso -as mkisofs -quiet -R -o live.iso t"), 0);
	(void)snprintf(one, sizeof(one), "%s/live.iso:/one.uzip", kit_dir);
	(void)snprintf(two, sizeof(two), "%s/live.iso:/two.uzip", kit_dir);
	edit(one, "in-one");
	edit(two, "in-two");
	CHECK(open_in(kit_path("live.iso.relive"), SESSION_SNAPSHOT, NULL,
		  &rc) == NULL);
	CHECK(said("one.uzip", "two.uzip"));
	/* one.uzip is committed; two.uzip moves. */
	kit_ufs("u", "another");
	CHECK_EQ(
	    kit_sh("head -c 70000 /dev/urandom >>t/one.uzip && mv t/one.uzip "
		   "t/x && mv t/x t/one.uzip && "
		   "xorriso -as mkisofs -quiet -R -o new.iso t"),
	    0);
	session = must_open(one, SESSION_WRITE);
	CHECK_EQ(
	    session_record_successor(session, kit_path("new.iso"), false), 0);
	CHECK_EQ(kit_sh("mv new.iso live.iso"), 0);
	CHECK_EQ(session_drop_overlay(session, false), 0);
	session_close(session);
	CHECK(!shows(one, SESSION_SNAPSHOT, "in-one"));
	CHECK(shows(two, SESSION_SNAPSHOT, "in-two"));
	CHECK(shows(two, SESSION_WRITE, "in-two"));
	CHECK_EQ(session_discard(two, NULL), 0);
	CHECK_EQ(kit_sh("test ! -e live.iso.relive"), 0);
}

static void
a_gz_is_kept_inflated_beside_its_overlay(void)
{
	kit_begin();
	kit_ufs("u", "gz");
	CHECK_EQ(kit_sh("gzip -n u"), 0);
	edit(kit_path("u.gz"), "x");
	CHECK_EQ(kit_sh("test $(ls u.gz.relive/*.inflated | wc -l) = 1"), 0);
	CHECK(shows(kit_path("u.gz"), SESSION_SNAPSHOT, "x"));
	CHECK_EQ(session_discard(kit_path("u.gz"), NULL), 0);
	CHECK_EQ(kit_sh("test ! -e u.gz.relive"), 0);
}

static void
a_damaged_base_file_is_said(void)
{
	int rc;

	kit_begin();
	kit_ufs("u", "base");
	edit(kit_path("u"), "x");
	CHECK_EQ(kit_sh("echo nonsense >u.relive/base"), 0);
	CHECK(open_in(kit_path("u"), SESSION_WRITE, NULL, &rc) == NULL);
	CHECK_EQ(rc, -EINVAL);
	CHECK(said("base", "not of this version"));
	CHECK_EQ(
	    kit_sh("printf 'relive session 1\\nno tabs' >u.relive/base"), 0);
	CHECK(open_in(kit_path("u"), SESSION_SNAPSHOT, NULL, &rc) == NULL);
	CHECK_EQ(rc, -EINVAL);
}

#define T(name) \
	{ \
#name, name \
	}
TESTS(T(edits_are_there_the_next_time),
    T(what_was_not_flushed_is_gone_without_a_trace),
    T(a_snapshot_is_read_beside_a_writer),
    T(a_snapshot_without_a_session_is_the_base_and_makes_nothing),
    T(unlinked_open_files_are_freed_by_who_opens_next),
    T(a_killed_writer_leaves_what_was_flushed),
    T(the_folder_itself_is_an_address), T(a_session_may_lie_elsewhere),
    T(a_folder_that_is_no_session_is_said),
    T(a_session_whose_image_is_gone_is_said),
    T(a_folder_that_cannot_be_made_asks_for_another),
    T(what_cannot_be_edited_leaves_no_folder),
    T(two_writers_exclude_each_other), T(a_writer_may_wait_for_the_one_before),
    T(another_image_under_the_name_is_refused),
    T(a_copy_of_the_image_is_the_same_image),
    T(an_identity_follows_the_bytes_that_matter), T(discarding_leaves_nothing),
    T(a_commit_in_place_is_whole_wherever_it_is_cut),
    T(another_image_of_the_iso_keeps_its_edits),
    T(a_gz_is_kept_inflated_beside_its_overlay), T(a_damaged_base_file_is_said))
