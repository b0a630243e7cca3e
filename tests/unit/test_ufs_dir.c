/* Directories and their index, crafted by hand. */
#include "check.h"

#include "ufs_lab.h"

/* -- reading directories ------------------------------------------------------
 */

static int
join_names(void *arg, const struct ufs_dirent *entry)
{
	strcat(arg, entry->name);
	strcat(arg, entry->type == 14 ? "(whiteout) " : " ");
	return strcmp(entry->name, "stop") == 0 ? 7 : 0;
}

static void
entries_come_in_order_and_free_ones_are_skipped(void)
{
	for (int kind = 0; kind < 4; kind++) {
		uint8_t bytes[1024] = {0}, *p = bytes;
		struct ufs_attr attr;
		char text[200] = "";
		struct lab lab;

		lab_make(&lab, 1 + kind / 2, kind % 2);
		p = lab_entry(&lab, p, 10, 12, 4, ".");
		p = lab_entry(&lab, p, 2, 12, 4, "..");
		p = lab_entry(&lab, p, 0, 24, 8, "deleted");
		p = lab_entry(&lab, p, 1, 20, 14, "white");
		lab_entry(&lab, p, 10, 444, 4, "last");
		p = lab_entry(&lab, bytes + 512, 0, 256, 0, "");
		lab_entry(&lab, p, 2, 256, 4, "root");
		lab_dir(&lab, 10, bytes, sizeof(bytes));
		lab_open(&lab);
		CHECK_EQ(ufs_readdir(lab.fs, 10, 0, join_names, text), 0);
		CHECK(strcmp(text, ". .. white(whiteout) last root ") == 0);
		CHECK_EQ(ufs_lookup(lab.fs, 10, "root", 4, &attr), 0);
		CHECK_EQ(attr.ino, 2);
		CHECK_EQ(ufs_lookup(lab.fs, 10, "..", 2, &attr), 0);
		CHECK_EQ(attr.ino, 2);
		CHECK_EQ(ufs_lookup(lab.fs, 10, ".", 1, &attr), 0);
		CHECK_EQ(attr.ino, 10);
		CHECK_EQ(ufs_lookup(lab.fs, 10, "deleted", 7, &attr), -ENOENT);
		CHECK_EQ(ufs_lookup(lab.fs, 10, "white", 5, &attr), -ENOENT);
		CHECK_EQ(ufs_lookup(lab.fs, 10, "roo", 3, &attr), -ENOENT);
		CHECK_EQ(ufs_lookup(lab.fs, 10, "roott", 5, &attr), -ENOENT);
		CHECK_EQ(ufs_lookup(lab.fs, 10, "", 0, &attr), -ENOENT);
		CHECK_EQ(
		    ufs_lookup(lab.fs, 10, text, 256, &attr), -ENAMETOOLONG);
		CHECK_EQ(kit_lines, 0);
		lab_close(&lab);
	}
}

static void
slots_tell_where_an_entry_and_the_one_before_it_lie(void)
{
	uint8_t bytes[1024] = {0}, *p = bytes;
	struct ufs_node *dir;
	struct ufs_slot slot;
	struct lab lab;

	lab_make(&lab, 2, false);
	p = lab_entry(&lab, p, 10, 12, 4, ".");
	lab_entry(&lab, p, 2, 500, 4, "..");
	p = lab_entry(&lab, bytes + 512, 2, 100, 4, "a");
	lab_entry(&lab, p, 2, 412, 4, "b");
	lab_dir(&lab, 10, bytes, sizeof(bytes));
	lab_open(&lab);
	CHECK_EQ(ufs_node_get(lab.fs, 10, &dir), 0);
	CHECK_EQ(ufs_dir_find(lab.fs, dir, "..", 2, &slot), 0);
	CHECK_EQ(slot.entry.off, 12);
	CHECK_EQ(slot.prev, 0);
	CHECK_EQ(ufs_dir_find(lab.fs, dir, "a", 1, &slot), 0);
	CHECK_EQ(slot.entry.off, 512);
	CHECK_EQ(slot.prev, 512);
	CHECK_EQ(ufs_dir_find(lab.fs, dir, "b", 1, &slot), 0);
	CHECK_EQ(slot.entry.off, 612);
	CHECK_EQ(slot.prev, 512);
	ufs_node_put(lab.fs, dir);
	lab_close(&lab);
}

static void
a_visitor_that_has_enough_stops_the_reading(void)
{
	uint8_t bytes[512] = {0}, *p = bytes;
	char text[100] = "";
	struct lab lab;

	lab_make(&lab, 2, false);
	p = lab_entry(&lab, p, 10, 12, 4, "one");
	p = lab_entry(&lab, p, 10, 16, 4, "stop");
	lab_entry(&lab, p, 10, 484, 4, "not");
	lab_dir(&lab, 10, bytes, sizeof(bytes));
	lab_open(&lab);
	CHECK_EQ(ufs_readdir(lab.fs, 10, 0, join_names, text), 7);
	CHECK(strcmp(text, "one stop ") == 0);
	lab_close(&lab);
}

/* Each a chunk that begins well and goes wrong at byte 24. */
static void
every_fault_of_an_entry_is_refused_and_said(void)
{
	static const struct {
		uint32_t ino;
		uint16_t reclen;
		uint8_t namelen;
		const char *name;
		const char *said;
	} faults[] = {
	    {2, 0, 1, "a", "runs past its chunk"},
	    {2, 4, 1, "a", "runs past its chunk"},
	    {2, 490, 1, "a", "runs past its chunk"},
	    {2, 492, 1, "a", "runs past its chunk"},
	    {0, 0, 0, "", "runs past its chunk"},
	    {0, 492, 0, "", "runs past its chunk"},
	    {2, 12, 4, "abcd", "its name does not fit"},
	    {2, 12, 255, "abcd", "its name does not fit"},
	    {2, 488, 0, "", "its name is no name"},
	    {2, 488, 3, "a/b", "its name is no name"},
	    {2, 488, 3, "a\0b", "its name is no name"},
	    {2, 484, 1, "a", "runs past its chunk"}, /* 4 bytes left */
	};

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		uint8_t bytes[512] = {0}, *p = bytes;
		struct ufs_attr attr;
		char text[600] = "";
		struct lab lab;

		lab_make(&lab, 2, false);
		p = lab_entry(&lab, p, 10, 12, 4, ".");
		p = lab_entry(&lab, p, 2, 12, 4, "..");
		lab_entry(&lab, p, faults[i].ino, faults[i].reclen, 4, "");
		p[7] = faults[i].namelen;
		if (faults[i].namelen < 10)
			memcpy(p + 8, faults[i].name, faults[i].namelen);
		lab_dir(&lab, 10, bytes, sizeof(bytes));
		lab_open(&lab);
		kit_capture();
		CHECK_EQ(
		    ufs_readdir(lab.fs, 10, 0, join_names, text), -ECORRUPT);
		CHECK(kit_said(faults[i].said));
		CHECK(strncmp(text, ". .. ", 5) == 0);
		/* What comes before the fault is still found. */
		CHECK_EQ(ufs_lookup(lab.fs, 10, "..", 2, &attr), 0);
		CHECK_EQ(ufs_lookup(lab.fs, 10, "zz", 2, &attr), -ECORRUPT);
		lab_close(&lab);
	}
}

static void
a_directory_that_is_no_multiple_of_a_chunk_is_refused(void)
{
	uint8_t bytes[512] = {0};
	char text[100] = "";
	struct lab lab;

	lab_make(&lab, 2, false);
	lab_entry(&lab, bytes, 10, 512, 4, ".");
	lab_dir(&lab, 10, bytes, 500);
	lab_open(&lab);
	CHECK_EQ(ufs_readdir(lab.fs, 10, 0, join_names, text), -ECORRUPT);
	CHECK(kit_said("no multiple of 512"));
	lab_close(&lab);
}

static void
a_hole_in_a_directory_is_refused(void)
{
	struct ufs_dinode d = {.mode = 0040755, .size = 512};
	char text[100] = "";
	struct lab lab;

	lab_make(&lab, 2, false);
	lab_inode(&lab, 10, &d);
	lab_open(&lab);
	CHECK_EQ(ufs_readdir(lab.fs, 10, 0, join_names, text), -ECORRUPT);
	CHECK_EQ(kit_lines, 1);
	lab_close(&lab);
}

static void
an_entry_of_a_free_inode_is_said_to_be_one(void)
{
	uint8_t bytes[512] = {0}, *p = bytes;
	struct ufs_attr attr;
	struct lab lab;

	lab_make(&lab, 2, false);
	p = lab_entry(&lab, p, 30, 12, 8, "a");
	lab_entry(&lab, p, UINT32_MAX, 500, 8, "b");
	lab_dir(&lab, 10, bytes, sizeof(bytes));
	lab_open(&lab);
	CHECK_EQ(ufs_lookup(lab.fs, 10, "a", 1, &attr), -ECORRUPT);
	CHECK(kit_said("points to a free inode"));
	CHECK_EQ(ufs_lookup(lab.fs, 10, "b", 1, &attr), -ECORRUPT);
	CHECK(kit_said("points to a free inode"));
	lab_close(&lab);
}

static void
only_directories_have_entries(void)
{
	struct ufs_dinode d = {.mode = 0100644, .size = 512};
	struct ufs_attr attr;
	char text[10];
	struct lab lab;

	lab_make(&lab, 2, false);
	lab_inode(&lab, 10, &d);
	lab_open(&lab);
	CHECK_EQ(ufs_lookup(lab.fs, 10, "a", 1, &attr), -ENOTDIR);
	CHECK_EQ(ufs_readdir(lab.fs, 10, 0, join_names, text), -ENOTDIR);
	CHECK_EQ(ufs_lookup(lab.fs, 11, "a", 1, &attr), -ESTALE);
	lab_close(&lab);
}

/* Before 4.4BSD the name's length took two bytes (formats.md 2.2). */
static void
directories_before_4_4bsd_are_read_in_both_orders(void)
{
	for (int big = 0; big < 2; big++) {
		uint8_t bytes[512] = {0};
		raw32 none = raw32_set(0, big);
		struct ufs_attr attr;
		struct ufs_info info;
		struct lab lab;

		lab_make(&lab, 1, big);
		CHECK_EQ(blkdev_write(lab.dev, 8192 + 1320, &none, 4), 0);
		lab_entry(&lab, bytes, 2, 512, 0, "name");
		bytes[6] = big ? 0 : 4;
		bytes[7] = big ? 4 : 0;
		lab_dir(&lab, 10, bytes, sizeof(bytes));
		lab_open(&lab);
		CHECK_EQ(ufs_lookup(lab.fs, 10, "name", 4, &attr), 0);
		ufs_info(lab.fs, &info);
		CHECK(info.read_only_why != NULL);
		lab_close(&lab);
	}
}

static void
names_for_new_entries_are_judged(void)
{
	char longest[256];

	memset(longest, 'n', sizeof(longest));
	CHECK_EQ(ufs_name_ok("a", 1), 0);
	CHECK_EQ(ufs_name_ok("...", 3), 0);
	CHECK_EQ(ufs_name_ok(".a", 2), 0);
	CHECK_EQ(ufs_name_ok(longest, 255), 0);
	CHECK_EQ(ufs_name_ok(longest, 256), -ENAMETOOLONG);
	CHECK_EQ(ufs_name_ok("", 0), -EINVAL);
	CHECK_EQ(ufs_name_ok(".", 1), -EINVAL);
	CHECK_EQ(ufs_name_ok("..", 2), -EINVAL);
	CHECK_EQ(ufs_name_ok("a/b", 3), -EINVAL);
	CHECK_EQ(ufs_name_ok("a\0b", 3), -EINVAL);
}

/* -- the index
 * ------------------------------------------------------------------ */

enum { NAMES = 400 };

/* A directory of one block and a half, 24 names a chunk. */
static void
large_dir(struct lab *lab, uint64_t ino)
{
	struct ufs_dinode d = {.mode = 0040755, .size = 16384};
	uint8_t bytes[16384] = {0};

	for (int i = 0; i < 32; i++) {
		uint8_t *p = bytes + 512 * i;

		for (int k = 0; k < 24; k++) {
			char name[20];

			snprintf(name, sizeof(name), "name%d", 24 * i + k);
			p = lab_entry(lab, p, 24 * i + k < NAMES ? 2 : 0,
			    k < 23 ? 20 : 52, 4, name);
		}
	}
	for (int i = 0; i < 2; i++) {
		d.db[i] = lab_block(lab);
		lab_put(lab, d.db[i], bytes + 8192 * i, 8192);
	}
	lab_inode(lab, ino, &d);
}

static int
found(struct lab *lab, struct ufs_node *dir, const char *name)
{
	struct ufs_slot slot;

	return ufs_dir_find(lab->fs, dir, name, strlen(name), &slot);
}

static void
a_large_directory_is_read_once_and_then_asked(void)
{
	struct ufs_node *dir;
	unsigned before;
	struct lab lab;
	char name[20];

	lab_make(&lab, 2, false);
	large_dir(&lab, 10);
	lab_open(&lab);
	CHECK_EQ(ufs_node_get(lab.fs, 10, &dir), 0);
	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "name%d", i);
		CHECK_EQ(found(&lab, dir, name), 0);
	}
	CHECK(dir->index != NULL);
	before = blkdev_fault_calls(lab.dev, FAULT_READ);
	CHECK_EQ(found(&lab, dir, "name400"), -ENOENT);
	CHECK_EQ(found(&lab, dir, "absent"), -ENOENT);
	CHECK_EQ(blkdev_fault_calls(lab.dev, FAULT_READ), before);
	CHECK_EQ(found(&lab, dir, "name399"), 0);
	CHECK_EQ(blkdev_fault_calls(lab.dev, FAULT_READ), before + 1);
	ufs_node_put(lab.fs, dir);
	lab_close(&lab);
}

/* Names that come and go, many more than the index first had room for. */
static void
the_index_follows_what_it_is_told(void)
{
	struct ufs_chunks chunks;
	struct ufs_node *dir;
	struct lab lab;
	char name[20];

	lab_make(&lab, 2, false);
	large_dir(&lab, 10);
	lab_open(&lab);
	CHECK_EQ(ufs_node_get(lab.fs, 10, &dir), 0);
	ufs_dirindex_add(lab.fs, dir, "early", 5, 0); /* no index: nothing */
	CHECK_EQ(found(&lab, dir, "name0"), 0);
	for (uint64_t i = 0; i < 20000; i++) {
		int len = snprintf(name, sizeof(name), "new%d", (int)i);

		ufs_dirindex_add(lab.fs, dir, name, (size_t)len, 512 * i);
		if (i % 2)
			ufs_dirindex_remove(
			    lab.fs, dir, name, (size_t)len, 512 * i + 30);
	}
	for (uint64_t i = 0; i < 20000; i += 999) {
		int len = snprintf(name, sizeof(name), "new%d", (int)i);

		CHECK_EQ(
		    ufs_dirindex_find(lab.fs, dir, name, (size_t)len, &chunks),
		    1);
		CHECK_EQ(chunks.n, i % 2 == 0);
		if (chunks.n == 1)
			CHECK_EQ(chunks.chunk[0], i);
	}
	CHECK_EQ(found(&lab, dir, "name399"), 0);
	CHECK(lab.fs->dirindexes.bytes > 16384 * 8);
	CHECK(lab.fs->dirindexes.bytes < 65536 * 8 + 1000);
	ufs_dirindex_drop(lab.fs, dir);
	CHECK_EQ(lab.fs->dirindexes.bytes, 0);
	CHECK(dir->index == NULL);
	CHECK_EQ(found(&lab, dir, "name399"), 0);
	ufs_node_put(lab.fs, dir);
	lab_close(&lab);
}

static void
one_name_in_too_many_places_is_searched_for(void)
{
	struct ufs_chunks chunks;
	struct ufs_node *dir;
	struct lab lab;

	lab_make(&lab, 2, false);
	large_dir(&lab, 10);
	lab_open(&lab);
	CHECK_EQ(ufs_node_get(lab.fs, 10, &dir), 0);
	CHECK_EQ(found(&lab, dir, "name5"), 0);
	for (uint64_t i = 20; i < 20 + UFS_CHUNKS_MAX; i++)
		ufs_dirindex_add(lab.fs, dir, "name5", 5, 512 * i);
	CHECK_EQ(ufs_dirindex_find(lab.fs, dir, "name5", 5, &chunks), 0);
	CHECK_EQ(found(&lab, dir, "name5"), 0);
	ufs_node_put(lab.fs, dir);
	lab_close(&lab);
}

static void
all_indices_together_are_bounded(void)
{
	struct ufs_node *dir[4];
	struct lab lab;
	char name[20];

	lab_make(&lab, 2, false);
	lab_open(&lab);
	for (uint64_t k = 0; k < 4; k++) {
		large_dir(&lab, 10 + k);
		CHECK_EQ(ufs_node_get(lab.fs, 10 + k, &dir[k]), 0);
		CHECK_EQ(found(&lab, dir[k], "name5"), 0);
		for (int i = 0; i < 1600000; i++) {
			int len = snprintf(name, sizeof(name), "n%d", i);

			ufs_dirindex_add(
			    lab.fs, dir[k], name, (size_t)len, 512);
			if (i == 10 && getenv("RELIVE_LONG") == NULL)
				break;
		}
		CHECK(lab.fs->dirindexes.bytes <= 64 << 20);
	}
	if (getenv("RELIVE_LONG") != NULL)
		CHECK(dir[0]->index == NULL);
	CHECK(dir[3]->index != NULL);
	for (int k = 0; k < 4; k++) {
		CHECK_EQ(found(&lab, dir[k], "name399"), 0);
		ufs_node_put(lab.fs, dir[k]);
	}
	lab_close(&lab);
}

static void
a_damaged_large_directory_is_searched_up_to_the_damage(void)
{
	struct ufs_attr attr;
	struct lab lab;

	lab_make(&lab, 2, false);
	large_dir(&lab, 10);
	CHECK_EQ(
	    blkdev_write(lab.dev,
		ufs_frag_off(&lab.sb, lab.next - 16) + 5 * 512 + 4, "\1\1", 2),
	    0);
	lab_open(&lab);
	CHECK_EQ(ufs_lookup(lab.fs, 10, "name5", 5, &attr), 0);
	CHECK_EQ(kit_lines, 1);
	CHECK_EQ(ufs_lookup(lab.fs, 10, "name5", 5, &attr), 0);
	CHECK_EQ(kit_lines, 1);
	CHECK_EQ(ufs_lookup(lab.fs, 10, "name300", 7, &attr), -ECORRUPT);
	lab_close(&lab);
}

#define T(name) \
	{ \
#name, name \
	}
TESTS(T(entries_come_in_order_and_free_ones_are_skipped),
    T(slots_tell_where_an_entry_and_the_one_before_it_lie),
    T(a_visitor_that_has_enough_stops_the_reading),
    T(every_fault_of_an_entry_is_refused_and_said),
    T(a_directory_that_is_no_multiple_of_a_chunk_is_refused),
    T(a_hole_in_a_directory_is_refused),
    T(an_entry_of_a_free_inode_is_said_to_be_one),
    T(only_directories_have_entries),
    T(directories_before_4_4bsd_are_read_in_both_orders),
    T(names_for_new_entries_are_judged),
    T(a_large_directory_is_read_once_and_then_asked),
    T(the_index_follows_what_it_is_told),
    T(one_name_in_too_many_places_is_searched_for),
    T(all_indices_together_are_bounded),
    T(a_damaged_large_directory_is_searched_up_to_the_damage))
