/* The daemon's parts that need no kernel: options, held inodes, flushing. */
#include "../../fusefs/fuse_impl.h"
#include "image_kit.h"

/* -- options --------------------------------------------------------------- */

static struct mount_plan plan;

static int
plan_of(const char *options)
{
	const struct mount_options given = {.options = options};

	mount_plan_release(&plan);
	log_set_sink(kit_sink);
	return mount_plan_make(&given, &plan);
}

/* Whether the kernel is told that word. */
static bool
told(const char *word)
{
	size_t len = strlen(word);

	for (const char *p = plan.kernel; p != NULL && *p != '\0';) {
		size_t n = strcspn(p, ",");

		if (n == len && memcmp(p, word, n) == 0)
			return true;
		p += n + (p[n] == ',');
	}
	return false;
}

static void
a_mount_is_safe_unless_asked_otherwise(void)
{
	CHECK_EQ(plan_of(NULL), 0);
	CHECK(told("nosuid") && told("nodev") && told("default_permissions"));
	CHECK_EQ(told("allow_other"), geteuid() == 0);
	CHECK(!told("ro") && !plan.read_only && !plan.fakeroot);
	CHECK_EQ(plan_of("suid,dev,noatime"), 0);
	CHECK(told("suid") && told("dev") && told("noatime"));
	CHECK(!told("nosuid") && !told("nodev"));
	CHECK_EQ(plan_of(",,rw,atime,"), 0);
	CHECK(told("nosuid") && !told("rw"));
}

static void
our_own_options_stay_with_us(void)
{
	CHECK_EQ(plan_of("ro,grpid,noflags,size=3g"), 0);
	CHECK(plan.read_only && plan.grpid && plan.no_flags && told("ro"));
	CHECK(!told("grpid") && !told("noflags") &&
	    plan.size_limit == (uint64_t)3 << 30);
	CHECK_EQ(plan_of("fakeroot"), 0);
	CHECK(plan.fakeroot && !told("fakeroot"));
	CHECK(!told("default_permissions") && !told("allow_other"));
	CHECK_EQ(plan_of("allow_root"), 0);
	CHECK(told("allow_root") && !told("allow_other"));
}

static void
options_that_make_no_sense_are_said(void)
{
	static const char *const bad[] = {"froboz",
	    "fakeroot,default_permissions", "fakeroot,allow_other",
	    "allow_root,fakeroot", "size=", "size=x", "size=1q", "size=-1",
	    "size=1kk", "size=99999999999g", "fsname=x"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		kit_lines = 0;
		CHECK_EQ(plan_of(bad[i]), -EINVAL);
		CHECK_EQ(kit_lines, 1);
	}
	mount_plan_release(&plan);
}

static void
the_roots_of_fuse_and_ufs_are_swapped(void)
{
	CHECK_EQ(swap_root(FUSE_ROOT_ID), UFS_ROOT);
	CHECK_EQ(swap_root(UFS_ROOT), FUSE_ROOT_ID);
	CHECK_EQ(swap_root(3), 3);
}

/* -- a server without a kernel --------------------------------------------- */

static struct server server;

static bool
server_begin(void)
{
	const struct session_options options = {.mode = SESSION_WRITE};
	int rc;

	kit_begin();
	kit_ufs("u", "fuse");
	server = (struct server){.ready_fd = -1};
	rc = session_open(kit_path("u"), &options, &server.session);
	CHECK_EQ(rc, 0);
	if (rc < 0)
		return false;
	server.fs = server.session->fs;
	CHECK_EQ(nodes_open(server.fs, &server.nodes), 0);
	CHECK_EQ(flusher_open(&server, &server.flusher), 0);
	return true;
}

static void
server_end(void)
{
	flusher_close(server.flusher);
	nodes_close(server.nodes);
	session_close(server.session);
}

static uint64_t
make_file(const char *name)
{
	const struct ufs_new what = {.mode = 0100644};
	struct ufs_attr attr = {0};

	CHECK_EQ(
	    ufs_create(server.fs, UFS_ROOT, name, strlen(name), &what, &attr),
	    0);
	return attr.ino;
}

static void
an_inode_lives_until_it_is_forgotten_as_often_as_it_was_held(void)
{
	struct ufs_attr attr;
	uint64_t ino;

	if (!server_begin())
		return;
	ino = make_file("f");
	for (int i = 0; i < 3; i++)
		CHECK_EQ(nodes_hold(server.nodes, ino), 0);
	CHECK_EQ(ufs_remove(server.fs, UFS_ROOT, "f", 1, false), 0);
	CHECK_EQ(ufs_getattr(server.fs, ino, &attr), 0);
	CHECK_EQ(attr.nlink, 0);
	CHECK_EQ(nodes_forget(server.nodes, ino, 2), 0);
	CHECK_EQ(ufs_getattr(server.fs, ino, &attr), 0);
	CHECK_EQ(nodes_forget(server.nodes, ino, 1), 1);
	CHECK_EQ(ufs_getattr(server.fs, ino, &attr), -ESTALE);
	CHECK_EQ(nodes_forget(server.nodes, ino, 1), 0);
	CHECK_EQ(nodes_hold(server.nodes, ino), -ESTALE);
	/* Read-only mounts hold nothing. */
	CHECK_EQ(nodes_hold(NULL, ino), 0);
	CHECK_EQ(nodes_forget(NULL, ino, 1), 0);
	server_end();
}

static void
many_inodes_are_held_and_all_given_back_at_the_end(void)
{
	struct ufs_info before, after;
	uint64_t inos[200];
	char name[16];

	if (!server_begin())
		return;
	ufs_info(server.fs, &before);
	for (int i = 0; i < 200; i++) {
		(void)snprintf(name, sizeof(name), "f%d", i);
		inos[i] = make_file(name);
		CHECK_EQ(nodes_hold(server.nodes, inos[i]), 0);
		CHECK_EQ(
		    ufs_remove(server.fs, UFS_ROOT, name, strlen(name), false),
		    0);
	}
	nodes_close(server.nodes);
	server.nodes = NULL;
	ufs_info(server.fs, &after);
	CHECK_EQ(after.free_inodes - before.free_inodes,
	    after.inodes - before.inodes);
	server_end();
}

static uint64_t
transactions(void)
{
	struct overlay_info info;

	overlay_info(server.session->overlay, &info);
	return info.transactions;
}

static void *
change_and_flush(void *arg)
{
	struct ufs_attr attr = {0};

	for (uint32_t i = 0; i < 25; i++) {
		attr.mode = i;
		if (ufs_setattr(server.fs, *(uint64_t *)arg, UFS_SET_MODE,
			&attr, &attr) < 0)
			return (void *)1;
		flush_changed(server.flusher);
		if (flush_now(server.flusher) < 0)
			return (void *)1;
	}
	return NULL;
}

static void
who_flushes_at_once_shares_flushes(void)
{
	pthread_t threads[8];
	uint64_t before, ino;
	void *failed;

	if (!server_begin())
		return;
	ino = make_file("f");
	flush_changed(server.flusher);
	CHECK_EQ(flush_now(server.flusher), 0);
	before = transactions();
	for (int i = 0; i < 8; i++)
		CHECK_EQ(
		    pthread_create(&threads[i], NULL, change_and_flush, &ino),
		    0);
	for (int i = 0; i < 8; i++) {
		CHECK_EQ(pthread_join(threads[i], &failed), 0);
		CHECK(failed == NULL);
	}
	/* Each of the 200 waited for one that began after its change. */
	CHECK(transactions() > before && transactions() - before <= 200);
	server_end();
}

static void
what_is_clean_is_not_flushed_again(void)
{
	uint64_t before;

	if (!server_begin())
		return;
	(void)make_file("f");
	flush_changed(server.flusher);
	CHECK_EQ(flush_now(server.flusher), 0);
	before = transactions();
	CHECK(before > 0);
	CHECK_EQ(flush_now(server.flusher), 0);
	CHECK_EQ(transactions(), before);
	server_end();
}

static void
a_full_host_is_said_before_writing_and_forgiven_after(void)
{
	uint64_t ino;
	char *data = calloc(1, 1 << 20);

	if (data == NULL || !server_begin())
		return;
	for (uint32_t i = 0; i < 1 << 20; i++)
		data[i] = (char)(i * i >> 7);
	CHECK_EQ(flush_now(server.flusher), 0);
	CHECK_EQ(flush_admit(server.flusher), 0);
	overlay_set_limit(server.session->overlay, 20000);
	ino = make_file("big");
	CHECK_EQ(ufs_write(server.fs, ino, 0, data, 1 << 20), 1 << 20);
	flush_changed(server.flusher);
	kit_lines = 0;
	CHECK_EQ(flush_now(server.flusher), -ENOSPC);
	CHECK_EQ(kit_lines, 1);
	CHECK_EQ(flush_admit(server.flusher), -ENOSPC);
	CHECK_EQ(flush_now(server.flusher), -ENOSPC);
	CHECK_EQ(kit_lines, 1); /* said once */
	overlay_set_limit(server.session->overlay, 0);
	CHECK_EQ(flush_now(server.flusher), 0);
	CHECK_EQ(flush_admit(server.flusher), 0);
	server_end();
	free(data);
}

static void
a_read_only_mount_admits_no_change(void)
{
	CHECK_EQ(flush_admit(NULL), -EROFS);
	CHECK_EQ(flush_now(NULL), 0);
	flush_changed(NULL);
}

/* -- flags, owners --------------------------------------------------------- */

static void
set_flags(uint64_t ino, uint32_t flags)
{
	struct ufs_attr attr = {.flags = flags};

	CHECK_EQ(ufs_setattr(server.fs, ino, UFS_SET_FLAGS, &attr, &attr), 0);
}

static void
flags_forbid_what_chflags_says(void)
{
	static const struct {
		uint32_t flag;
		int write, append, own, enter, leave, unlink;
	} rules[] = {
	    {0, 0, 0, 0, 0, 0, 0},
	    {UFS_FLAG_UIMMUTABLE, 1, 1, 1, 1, 1, 1},
	    {UFS_FLAG_SIMMUTABLE, 1, 1, 1, 1, 1, 1},
	    {UFS_FLAG_UAPPEND, 1, 0, 1, 0, 1, 1},
	    {UFS_FLAG_SAPPEND, 1, 0, 1, 0, 1, 1},
	    {UFS_FLAG_UNOUNLINK, 0, 0, 0, 0, 0, 1},
	    {UFS_FLAG_SNOUNLINK, 0, 0, 0, 0, 0, 1},
	};
	uint64_t ino;

	if (!server_begin())
		return;
	ino = make_file("f");
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const int want[] = {rules[i].write, rules[i].append,
		    rules[i].own, rules[i].enter, rules[i].leave,
		    rules[i].unlink};

		set_flags(ino, rules[i].flag);
		for (int act = PERM_WRITE; act <= PERM_UNLINK; act++)
			CHECK_EQ(perm_check(&server, ino, (enum perm_act)act),
			    want[act] ? -EPERM : 0);
		CHECK_EQ(perm_check_name(&server, UFS_ROOT, "f"),
		    want[PERM_UNLINK] ? -EPERM : 0);
	}
	set_flags(ino, 0);
	server.no_flags = true;
	CHECK_EQ(perm_check_name(&server, UFS_ROOT, "f"), 0);
	server.journal = ino;
	CHECK_EQ(perm_check(&server, ino, PERM_WRITE), -EPERM);
	CHECK_EQ(perm_check_name(&server, UFS_ROOT, "f"), -EPERM);
	server_end();
}

static void
set_gid_is_for_members_of_the_group(void)
{
	const struct fuse_ctx none = {.uid = 1001, .gid = 1002};
	const struct fuse_ctx member = {.uid = 1001, .gid = 77};
	const struct fuse_ctx root = {.uid = 0, .gid = 1002};
	struct ufs_attr top = {.gid = 77};
	struct ufs_new new;

	if (!server_begin())
		return;
	CHECK_EQ(ufs_setattr(server.fs, UFS_ROOT, UFS_SET_GID, &top, &top), 0);
	CHECK_EQ(perm_new(&server, &none, UFS_ROOT, 0106755, &new), 0);
	CHECK(new.gid == 1002 && new.mode == 0106755);
	server.grpid = true;
	CHECK_EQ(perm_new(&server, &none, UFS_ROOT, 0106755, &new), 0);
	CHECK(new.gid == 77 && new.mode == 0104755);
	CHECK_EQ(perm_new(&server, &none, UFS_ROOT, 0102705, &new), 0);
	CHECK(new.mode == 0100705);
	CHECK_EQ(perm_new(&server, &member, UFS_ROOT, 0106755, &new), 0);
	CHECK(new.mode == 0106755);
	CHECK_EQ(perm_new(&server, &root, UFS_ROOT, 0106755, &new), 0);
	CHECK(new.mode == 0106755);
	server_end();
}

static void
new_files_belong_to_whom_they_should(void)
{
	const struct fuse_ctx ctx = {.uid = 1001, .gid = 1002};
	struct ufs_attr root = {.mode = 02755, .gid = 77};
	struct ufs_new new;

	if (!server_begin())
		return;
	CHECK_EQ(perm_new(&server, &ctx, UFS_ROOT, 0100640, &new), 0);
	CHECK(new.uid == 1001 && new.gid == 1002 && new.mode == 0100640);
	CHECK_EQ(
	    ufs_setattr(server.fs, UFS_ROOT, UFS_SET_GID, &root, &root), 0);
	server.grpid = true;
	CHECK_EQ(perm_new(&server, &ctx, UFS_ROOT, 0040755, &new), 0);
	CHECK(new.gid == 77 && new.mode == 0040755);
	server.grpid = false;
	root.mode = 02755;
	CHECK_EQ(
	    ufs_setattr(server.fs, UFS_ROOT, UFS_SET_MODE, &root, &root), 0);
	CHECK_EQ(perm_new(&server, &ctx, UFS_ROOT, 0100640, &new), 0);
	CHECK(new.gid == 77 && new.mode == 0100640);
	CHECK_EQ(perm_new(&server, &ctx, UFS_ROOT, 0040755, &new), 0);
	CHECK(new.gid == 77 && new.mode == 0042755);
	server.fakeroot = true;
	CHECK_EQ(perm_new(&server, &ctx, UFS_ROOT, 0100640, &new), 0);
	CHECK(new.uid == 0 && new.gid == 77);
	set_flags(UFS_ROOT, UFS_FLAG_SIMMUTABLE);
	CHECK_EQ(perm_new(&server, &ctx, UFS_ROOT, 0100640, &new), -EPERM);
	server_end();
}

#define T(name) \
	{ \
#name, name \
	}
TESTS(T(a_mount_is_safe_unless_asked_otherwise),
    T(our_own_options_stay_with_us), T(options_that_make_no_sense_are_said),
    T(the_roots_of_fuse_and_ufs_are_swapped),
    T(an_inode_lives_until_it_is_forgotten_as_often_as_it_was_held),
    T(many_inodes_are_held_and_all_given_back_at_the_end),
    T(who_flushes_at_once_shares_flushes),
    T(what_is_clean_is_not_flushed_again),
    T(a_full_host_is_said_before_writing_and_forgiven_after),
    T(a_read_only_mount_admits_no_change), T(flags_forbid_what_chflags_says),
    T(new_files_belong_to_whom_they_should),
    T(set_gid_is_for_members_of_the_group))
