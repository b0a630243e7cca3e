/* A tree in memory: paths, layers, names, what is left out. */
#include "../../imgfmt/ufs.h"
#include "tree_kit.h"

static bool
plain_is(const char *path, const char *want)
{
	char *got = NULL;
	int rc = tree_plain_path(path, &got);
	bool yes = rc == 0 && strcmp(got, want) == 0;

	free(got);
	return yes;
}

static int
plain_fails(const char *path)
{
	char *got = NULL;
	int rc = tree_plain_path(path, &got);

	free(got);
	return rc;
}

static void
paths_become_plain(void)
{
	CHECK(plain_is("", ""));
	CHECK(plain_is("./", ""));
	CHECK(plain_is("/", ""));
	CHECK(plain_is("///a//./b/.", "a/b"));
	CHECK(plain_is("..a/b..", "..a/b.."));
}

static void
bad_paths_are_refused(void)
{
	char deep[2 * TREE_DEPTH_MAX + 3], wide[UFS_NAME_MAX + 2];

	CHECK_EQ(plain_fails(".."), -EINVAL);
	CHECK_EQ(plain_fails("/../etc"), -EINVAL);
	CHECK_EQ(plain_fails("a/../b"), -EINVAL);
	memset(wide, 'w', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';
	CHECK_EQ(plain_fails(wide), -ENAMETOOLONG);
	wide[UFS_NAME_MAX] = '\0';
	CHECK_EQ(plain_fails(wide), 0);
	for (size_t i = 0; i < sizeof(deep) - 1; i++)
		deep[i] = i % 2 == 0 ? 'd' : '/';
	deep[sizeof(deep) - 1] = '\0';
	CHECK_EQ(plain_fails(deep), -ENAMETOOLONG);
	deep[2 * TREE_DEPTH_MAX - 1] = '\0';
	CHECK_EQ(plain_fails(deep), 0);
}

static void
directories_merge_and_the_rest_is_replaced(void)
{
	struct tree t;
	struct tree_node *dir;

	CHECK_EQ(tree_init(&t), 0);
	CHECK(kit_put(&t, "etc", S_IFDIR | 0755, NULL) != NULL);
	CHECK(kit_put(&t, "etc/a", S_IFREG | 0644, "one") != NULL);
	CHECK(kit_put(&t, "etc/sub/x", S_IFREG | 0644, "x") != NULL);
	dir = kit_put(&t, "etc", S_IFDIR | 0700, NULL);
	CHECK(dir != NULL && dir->n == 2 && (dir->mode & 07777) == 0700);
	CHECK(kit_put(&t, "etc/a", S_IFLNK | 0777, "there") != NULL);
	CHECK(S_ISLNK(tree_find(&t, "etc/a")->mode));
	CHECK(kit_put(&t, "etc/sub", S_IFREG | 0600, "file") != NULL);
	CHECK(tree_find(&t, "etc/sub/x") == NULL);
	CHECK(kit_put(&t, "etc/a", S_IFDIR | 0711, NULL) != NULL);
	CHECK(S_ISDIR(tree_find(&t, "etc/a")->mode));
	tree_release(&t);
}

static void
missing_directories_are_made(void)
{
	struct tree t;
	const struct tree_node *dir;

	CHECK_EQ(tree_init(&t), 0);
	CHECK(kit_put(&t, "usr/local/bin/x", S_IFREG | 0755, "") != NULL);
	dir = tree_find(&t, "usr/local");
	CHECK(dir != NULL && dir->mode == (S_IFDIR | 0755) && dir->uid == 0);
	tree_release(&t);
}

static void
a_way_through_a_link_is_refused(void)
{
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	CHECK(kit_put(&t, "lib", S_IFLNK | 0777, "/etc") != NULL);
	kit_listen();
	CHECK(kit_put(&t, "lib/x", S_IFREG | 0644, "") == NULL);
	CHECK(kit_heard("'lib/x' lies below 'lib', which is not a directory"));
	CHECK(tree_find(&t, "lib/x") == NULL);
	tree_release(&t);
}

static void
the_root_takes_attributes_but_stays(void)
{
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	CHECK(kit_put(&t, "a", S_IFREG | 0644, "") != NULL);
	CHECK(kit_put(&t, "", S_IFDIR | 0500, NULL) == t.root);
	CHECK((t.root->mode & 07777) == 0500 && t.root->n == 1);
	kit_listen();
	CHECK(kit_put(&t, "", S_IFREG | 0644, "") == NULL);
	CHECK(kit_heard("root is not a directory"));
	tree_release(&t);
}

static void
names_of_one_file_live_apart(void)
{
	struct tree t;
	struct tree_node *node;

	CHECK_EQ(tree_init(&t), 0);
	node = kit_put(&t, "dir/a", S_IFREG | 0644, "text");
	CHECK_EQ(tree_put(&t, "test", "b", &node), 0);
	CHECK_EQ(tree_put(&t, "test", "b", &node), 0);
	CHECK_EQ(node->names, 2);
	CHECK(tree_find(&t, "b") == tree_find(&t, "dir/a"));
	/* over the directory that holds its first name */
	CHECK_EQ(tree_put(&t, "test", "dir", &node), 0);
	CHECK(tree_find(&t, "dir") == tree_find(&t, "b"));
	CHECK_EQ(node->names, 2);
	CHECK(kit_put(&t, "b", S_IFREG | 0600, "new") != NULL);
	CHECK_EQ(node->names, 1);
	tree_release(&t);
}

static void
names_are_kept_in_order(void)
{
	static const char *const names[] = {"m", "a", "z", "b", "n", "aa", "Z"};
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		CHECK(kit_put(&t, names[i], S_IFREG | 0644, "") != NULL);
	for (size_t i = 1; i < t.root->n; i++)
		CHECK(strcmp(t.root->entries[i - 1].name,
			  t.root->entries[i].name) < 0);
	CHECK_EQ(t.root->n, sizeof(names) / sizeof(*names));
	tree_release(&t);
}

static void
patterns_leave_out(void)
{
	static const char *const patterns[] = {
	    "*.o", "/usr/src", "boot/*.bak", "cache"};
	struct tree t;

	CHECK_EQ(tree_init(&t), 0);
	t.excludes = patterns;
	t.nexcludes = sizeof(patterns) / sizeof(*patterns);
	CHECK(tree_is_excluded(&t, "a/b/x.o"));
	CHECK(tree_is_excluded(&t, "usr/src"));
	CHECK(!tree_is_excluded(&t, "home/usr/src"));
	CHECK(tree_is_excluded(&t, "boot/a.bak"));
	CHECK(!tree_is_excluded(&t, "boot/kernel/a.bak"));
	CHECK(tree_is_excluded(&t, "var/cache"));
	CHECK(!tree_is_excluded(&t, "var/caches"));
	CHECK(kit_put(&t, "var/cache/deep/file", S_IFREG | 0644, "") != NULL);
	CHECK(kit_put(&t, "var/kept", S_IFREG | 0644, "") != NULL);
	CHECK(kit_put(&t, "x.o", S_IFREG | 0644, "") != NULL);
	CHECK_EQ(tree_prune(&t), 0);
	CHECK(tree_find(&t, "var/cache") == NULL);
	CHECK(tree_find(&t, "x.o") == NULL);
	CHECK(tree_find(&t, "var/kept") != NULL);
	tree_release(&t);
}

static int
xattr(struct tree *t, struct tree_node *node, const char *name)
{
	return tree_add_xattr(t, node, name, "v", 1);
}

static void
attributes_find_their_name_space(void)
{
	struct tree t;
	struct tree_node *n;

	CHECK_EQ(tree_init(&t), 0);
	n = kit_put(&t, "a", S_IFREG | 0644, "");
	CHECK_EQ(xattr(&t, n, "system.b"), 0);
	CHECK_EQ(xattr(&t, n, "user.z"), 0);
	CHECK_EQ(xattr(&t, n, "trusted.freebsd.user.a"), 0);
	CHECK_EQ(xattr(&t, n, "user.z"), 0); /* replaces */
	CHECK_EQ(t.lost_xattrs, 0);
	CHECK(n->xattrs->space == UFS_EA_USER &&
	    strcmp(n->xattrs->name, "a") == 0);
	CHECK(strcmp(n->xattrs->next->name, "z") == 0);
	CHECK(n->xattrs->next->next->space == UFS_EA_SYSTEM);
	CHECK(n->xattrs->next->next->next == NULL);
	CHECK_EQ(xattr(&t, n, "security.capability"), 0);
	CHECK_EQ(xattr(&t, n, "system.posix_acl_access"), 0);
	CHECK_EQ(xattr(&t, n, "user."), 0);
	CHECK_EQ(t.lost_xattrs, 3);
	CHECK_EQ(tree_add_xattr(&t, n, "relive.flags", "schg", 4), 0);
	CHECK_EQ(n->flags, UFS_FLAG_SIMMUTABLE);
	tree_release(&t);
}

static void
access_control_lists_of_linux_become_freebsds(void)
{
	/* Version 2; the owner 7, user 5 has 6, the mask 4. */
	static const uint8_t list[] = {2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255,
	    255, 2, 0, 6, 0, 5, 0, 0, 0, 16, 0, 4, 0, 255, 255, 255, 255};
	const struct tree_xattr *x;
	struct tree t;
	struct tree_node *n;

	CHECK_EQ(tree_init(&t), 0);
	n = kit_put(&t, "a", S_IFREG | 0644, "");
	CHECK_EQ(tree_add_xattr(
		     &t, n, "system.posix_acl_default", list, sizeof(list)),
	    0);
	x = n->xattrs;
	CHECK(t.acls && t.lost_xattrs == 0 && x != NULL);
	if (x != NULL) {
		CHECK_EQ(x->space, UFS_EA_SYSTEM);
		CHECK_EQ(strcmp(x->name, "posix1e.acl_default"), 0);
		CHECK(x->len == 388 && x->value[0] == 3);
		CHECK(x->value[16] == 2 && x->value[20] == 5 &&
		    x->value[24] == 6);
	}
	CHECK_EQ(tree_add_xattr(
		     &t, n, "system.posix_acl_access", list, sizeof(list) - 1),
	    0);
	CHECK_EQ(t.lost_xattrs, 1);
	tree_release(&t);
}

static void
runs_join(void)
{
	struct tree t;
	struct tree_node *n;

	CHECK_EQ(tree_init(&t), 0);
	n = kit_put(&t, "a", S_IFREG | 0644, "");
	CHECK_EQ(tree_add_run(n, 0, 10, 100), 0);
	CHECK_EQ(tree_add_run(n, 10, 5, 110), 0);
	CHECK_EQ(n->content.nruns, 1);
	CHECK_EQ(n->content.runs[0].len, 15);
	CHECK_EQ(tree_add_run(n, 15, 5, 200), 0);
	CHECK_EQ(tree_add_run(n, 30, 5, 205), 0);
	CHECK_EQ(n->content.nruns, 3);
	tree_drop_content(n);
	CHECK_EQ(n->content.nruns, 0);
	tree_release(&t);
}

static void
what_is_missing_is_added_and_outlives_its_tree(void)
{
	struct tree_node *n;
	struct tree t, from;

	CHECK_EQ(tree_init(&t), 0);
	CHECK_EQ(tree_init(&from), 0);
	CHECK(kit_put(&t, "boot/loader", S_IFREG | 0644, "mine") != NULL);
	CHECK(kit_put(&t, "etc", S_IFREG | 0644, "no directory") != NULL);
	CHECK(kit_put(&from, "boot/loader", S_IFREG | 0644, "theirs") != NULL);
	CHECK(kit_put(&from, "boot/lua/x.lua", S_IFREG | 0444, "x") != NULL);
	CHECK(kit_put(&from, "etc/rc", S_IFREG | 0755, "rc") != NULL);
	n = tree_find(&from, "boot/lua/x.lua");
	CHECK_EQ(tree_put(&from, "test", "linked", &n), 0);
	CHECK_EQ(tree_add_missing(&t, &from), 0);
	tree_release(&from);
	n = tree_find(&t, "boot/loader");
	CHECK(n != NULL && strcmp(n->content.text, "mine") == 0);
	n = tree_find(&t, "boot/lua/x.lua");
	CHECK(n != NULL && n == tree_find(&t, "linked") && n->names == 2);
	CHECK(n != NULL && strcmp(n->content.text, "x") == 0);
	CHECK(tree_find(&t, "etc/rc") == NULL);
	tree_release(&t);
}

TESTS({"paths become plain", paths_become_plain},
    {"bad paths are refused", bad_paths_are_refused},
    {"directories merge and the rest is replaced",
	directories_merge_and_the_rest_is_replaced},
    {"missing directories are made", missing_directories_are_made},
    {"a way through a link is refused", a_way_through_a_link_is_refused},
    {"the root takes attributes but stays",
	the_root_takes_attributes_but_stays},
    {"the names of one file live apart", names_of_one_file_live_apart},
    {"names are kept in order", names_are_kept_in_order},
    {"patterns leave out", patterns_leave_out},
    {"attributes find their name space", attributes_find_their_name_space},
    {"access control lists of Linux become FreeBSD's",
	access_control_lists_of_linux_become_freebsds},
    {"what is missing is added and outlives its tree",
	what_is_missing_is_added_and_outlives_its_tree},
    {"runs of data join", runs_join})
