/*
 * One test per check: something in a clean image is spoiled, with hashes made
 * good again, and exactly that has to be told.  Here: inodes, directories, and
 * images spoiled at random.
 */
#include "ufs_kit.h"
#include "ufs_verdict.h"

/* -- phase 1 -------------------------------------------------------------- */

/* Turn pointer i of the first indirect block of /big into to. */
static void
set_indirect(struct sample *s, uint32_t i, uint64_t to)
{
	unsigned width = s->sb.version == 2 ? 8 : 4;
	struct ufs_dinode d;
	uint8_t raw[8];

	sample_get(s, S_BIG, &d);
	put_number(s, raw, width, to);
	sample_write(s, ufs_frag_off(&s->sb, d.ib[0]) + i * width, raw, width);
}

static void
spoil_inode(struct sample *s, int k, struct ufs_dinode *d)
{
	switch (k) {
	case 0: /* 9216 bytes of frags behind the end */
		d->db[5] = d->db[0];
		break;
	case 1:
		d->ib[1] = d->db[0];
		break;
	case 2:
		d->size = 1ull << 60;
		break;
	case 3:
		d->blocks++;
		break;
	case 4: /* another's */
		d->db[0] += s->sb.frag * 64;
		break;
	case 5: /* no longer aligned */
		d->db[0] += 1;
		break;
	case 6:
		d->db[0] = s->sb.size;
		break;
	case 7: /* metadata of group 1 */
		d->db[0] = ufs_cgtod(&s->sb, 1);
		break;
	case 8:
		d->db[0] = 0;
		break;
	case 9:
		d->mode = 0150644;
		break;
	default:
		d->size = 0;
		break;
	}
}

struct inode_case {
	int k;
	uint64_t ino;
	const char *told;
	int n; /* with what follows in the maps; 0: any number */
};

static void
every_fault_of_an_inode_is_told(void)
{
	static const struct inode_case cases[] = {
	    {0, S_FILE, "inode 3: direct pointer 5", 1},
	    {1, S_FILE, "inode 3: indirect pointer 1", 1},
	    {1, S_BIG, "inode 4: indirect pointer 1", 1},
	    {2, S_FILE, "inode 3: impossible size", 0},
	    {2, S_SUB, "inode 5: impossible size", 0},
	    {3, S_FILE, "inode 3: di_blocks is 11, must be 10", 1},
	    {3, S_BIG, "inode 4: di_blocks", 1},
	    {3, S_DEV, "inode 8: di_blocks is 1, must be 0", 1},
	    {5, S_FILE, "are no place for data", 0},
	    {6, S_FILE, "are no place for data", 0},
	    {7, S_FILE, "are no place for data", 0},
	    {8, S_FILE, "inode 3: di_blocks is 10, must be 2", 0},
	    {8, S_LONG, "inode 9: its size of 200 ends in a hole", 0},
	    {9, S_FILE, "inode 3: unknown type", 0},
	    {10, S_SUB, "directory inode 5: size 0", 0},
	};

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const struct inode_case *c = &cases[i / 2];
		struct ufs_dinode d;
		struct sample s;

		sample_make(&s, 1 + (i & 1), false);
		sample_get(&s, c->ino, &d);
		spoil_inode(&s, c->k, &d);
		sample_put(&s, c->ino, &d);
		if (c->n > 0) {
			expect(s.dev, c->n, c->told);
		} else {
			CHECK(verdict(s.dev) > 0);
			CHECK(is_told(c->told));
		}
		blkdev_close(s.dev);
	}
}

/* /long takes its one fragment from elsewhere, which stays as used there. */
static void
a_fragment_with_two_owners_is_told(void)
{
	for (int version = 1; version <= 2; version++) {
		struct ufs_dinode d, file;
		struct sample s;

		sample_make(&s, version, false);
		sample_get(&s, S_FILE, &file);
		sample_get(&s, S_LONG, &d);
		d.db[0] = file.db[1];
		sample_put(&s, S_LONG, &d);
		CHECK(verdict(s.dev) > 1);
		CHECK(is_told("inode 9: fragment") &&
		    is_told("has another owner"));
		d.db[0] = s.sb.csaddr;
		sample_put(&s, S_LONG, &d);
		CHECK(verdict(s.dev) > 1);
		CHECK(is_told("belongs to the summary area"));
		blkdev_close(s.dev);
	}
}

static void
faults_in_indirect_blocks_are_told(void)
{
	for (int version = 1; version <= 2; version++) {
		struct ufs_dinode d;
		struct sample s;

		sample_make(&s, version, version == 1);
		sample_get(&s, S_BIG, &d);
		set_indirect(&s, 2, d.db[0]);
		expect(s.dev, 1, "has entries beyond the end of the file");
		set_indirect(&s, 2, 0);
		set_indirect(&s, 1, d.db[0]);
		CHECK(verdict(s.dev) > 0);
		CHECK(is_told("inode 4: fragment") &&
		    is_told("has another owner"));
		/* A block that maps itself is walked into once. */
		set_indirect(&s, 1, d.ib[0]);
		CHECK(verdict(s.dev) > 0);
		CHECK(is_told("has another owner"));
		set_indirect(&s, 1, 0);
		CHECK(verdict(s.dev) > 0);
		CHECK(is_told("ends in a hole"));
		blkdev_close(s.dev);
	}
}

static void
faults_of_inodes_without_blocks_are_told(void)
{
	struct ufs_dinode d;
	struct sample s;

	sample_make(&s, 2, false);
	sample_get(&s, S_DEV, &d);
	d.size = 1;
	sample_put(&s, S_DEV, &d);
	expect(s.dev, 1, "inode 8: special file with size 1");
	d.size = 0;
	d.db[0] = UINT64_MAX;
	sample_put(&s, S_DEV, &d);
	expect(s.dev, 1, "inode 8: device without a number");
	d.db[0] = 0x103;
	d.db[1] = 1;
	sample_put(&s, S_DEV, &d);
	expect(s.dev, 1, "inode 8: garbage");
	d.db[1] = 0;
	sample_put(&s, S_DEV, &d);
	sample_get(&s, S_LINK, &d);
	d.target[8] = 'x';
	sample_put(&s, S_LINK, &d);
	expect(s.dev, 1, "inode 7: garbage");
	blkdev_close(s.dev);
}

static void
a_free_inode_that_is_not_empty_is_told(void)
{
	static const uint8_t at[] = {0, 16, 112, 230};

	for (size_t i = 0; i < sizeof(at); i++) {
		struct sample s;

		sample_make(&s, 2, false);
		sample_write(
		    &s, ufs_ino_off(&s.sb, S_LAST + 1) + at[i], "\1", 1);
		expect(s.dev, 1, "inode 11: free but not empty");
		/* Those not initialised may hold anything. */
		sample_write(&s, ufs_ino_off(&s.sb, S_LAST + 1) + at[i], "", 1);
		sample_write(
		    &s, ufs_ino_off(&s.sb, 2 * s.sb.inopb) + at[i], "\1", 1);
		expect(s.dev, 0, "");
		blkdev_close(s.dev);
	}
}

static void
a_wrong_inode_hash_is_told(void)
{
	struct sample s;

	sample_make(&s, 2, false);
	sample_write(&s, ufs_ino_off(&s.sb, S_FILE) + 4, "x", 1); /* di_uid */
	expect(s.dev, 1, "inode 3: check hash is wrong");
	blkdev_close(s.dev);
}

static void
faults_of_extended_attributes_are_told(void)
{
	static const struct {
		uint8_t off, value;
		const char *told;
	} cases[] = {
	    {24, 25, "at byte 24 has a bad length (25)"},
	    {24, 32, "at byte 24 has a bad length (32)"},
	    {24, 16, "at byte 24 has a bad length (16)"},
	    {4, 3, "at byte 0 has no name or no name space"},
	    {6, 0, "at byte 0 has no name or no name space"},
	    {6, 200, "at byte 0 has a bad length (24)"},
	    {5, 9, "at byte 0 has a bad length (24)"},
	};
	struct ufs_dinode d;
	struct sample s;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sample_make(&s, 2, false);
		sample_get(&s, S_ATTR, &d);
		sample_write(&s, ufs_frag_off(&s.sb, d.extb[0]) + cases[i].off,
		    &cases[i].value, 1);
		expect(s.dev, 1, cases[i].told);
		blkdev_close(s.dev);
	}
	sample_make(&s, 2, false);
	sample_get(&s, S_ATTR, &d);
	d.extb[1] = d.extb[0];
	sample_put(&s, S_ATTR, &d);
	expect(s.dev, 1, "attribute pointer 1 is not needed");
	d.extb[1] = 0;
	d.extsize = 2 * S_BSIZE + 1;
	sample_put(&s, S_ATTR, &d);
	CHECK(verdict(s.dev) > 0);
	CHECK(is_told("is larger than two blocks"));
	d.extsize = 48;
	d.extb[0] = 0;
	sample_put(&s, S_ATTR, &d);
	CHECK(verdict(s.dev) > 0);
	CHECK(is_told("attribute pointer 0 is missing"));
	blkdev_close(s.dev);
}

/* -- phases 2 to 4 -------------------------------------------------------- */

struct name_case {
	uint64_t dir;
	const char *entry; /* whose entry is spoiled */
	int off;           /* in the entry */
	uint8_t width;
	uint32_t value;
	const char *told;
	int n;
};

/* Byte offset of the entry called name, on the device. */
static uint64_t
place_of(struct sample *s, uint64_t dir, const char *name)
{
	uint8_t chunk[UFS_DIRBLK];
	struct ufs_dinode d;
	uint64_t at;

	sample_get(s, dir, &d);
	at = ufs_frag_off(&s->sb, d.db[0]);
	sample_read(s, at, chunk, sizeof(chunk));
	for (uint32_t pos = 0; pos < UFS_DIRBLK;) {
		const struct ufs_dirent_disk *e =
		    (const struct ufs_dirent_disk *)(chunk + pos);

		if (strcmp((const char *)(e + 1), name) == 0)
			return at + pos;
		pos += raw16_get(e->reclen, s->sb.big);
	}
	CHECK(!"no such entry");
	return at;
}

static void
every_fault_of_a_directory_is_told(void)
{
	static const struct name_case cases[] = {
	    {S_SUB, ".", 0, 4, S_FILE, "'.' at byte 0 is inode 3", 1},
	    {S_SUB, ".", 6, 1, 8, "'.' at byte 0 has type 8", 1},
	    {S_SUB, ".", 8, 1, 'x', "has no '.'", 2},
	    {S_SUB, ".", 0, 4, 0, "has no '.'", 1},
	    {S_SUB, "..", 0, 4, S_INNER, "'..' is inode 10, must be 2", 1},
	    {S_SUB, "..", 6, 1, 0, "'..' at byte 12 has type 0", 1},
	    {S_SUB, "..", 0, 4, 0, "has no '..'", 1},
	    {S_INNER, "..", 0, 4, S_ROOT, "'..' is inode 2, must be 5", 1},
	    {S_ROOT, "..", 0, 4, S_SUB, "'..' is inode 5, must be 2", 1},
	    {S_ROOT, "hard", 8, 4, 0, "no possible name", 2},
	    {S_ROOT, "hard", 9, 1, '/', "no possible name", 2},
	    {S_ROOT, "hard", 12, 1, 'x', "no possible name", 2},
	    {S_ROOT, "hard", 7, 1, 0, "no possible name", 2},
	    {S_ROOT, "hard", 7, 1, 3, "no possible name", 2},
	    {S_ROOT, "hard", 7, 1, 200, "bad entry of 16 bytes", 1},
	    {S_ROOT, "hard", 4, 2, 0, "bad entry of 0 bytes", 1},
	    {S_ROOT, "hard", 4, 2, 15, "bad entry of 15 bytes", 1},
	    {S_ROOT, "hard", 4, 2, 512, "bad entry of 512 bytes", 1},
	    {S_ROOT, "hard", 0, 4, 0, "link count is 2, must be 1", 1},
	    {S_ROOT, "hard", 6, 1, 10, "has type 10, its inode 3", 1},
	    {S_ROOT, "hard", 0, 4, 12, "inode 12, which is free", 2},
	    {S_ROOT, "hard", 0, 4, 1 << 30, "beyond the last one", 2},
	    {S_ROOT, "hard", 0, 4, 1, "half a whiteout", 2},
	    {S_ROOT, "gone", 0, 4, S_FILE, "half a whiteout", 1},
	    {S_ROOT, "gone", 6, 1, 8, "half a whiteout", 1},
	    {S_ROOT, "big", 0, 4, 0, "inode 4: has no name", 1},
	    {S_ROOT, "sub", 0, 4, 0, "inode 5: cannot be reached", 1},
	    {S_SUB, "inner", 0, 4, S_SUB, "second name of directory inode 5",
		2},
	    {S_SUB, "inner", 0, 4, S_ROOT, "second name of directory inode 2",
		2},
	    {S_SUB, "deep", 9, 1, '.', "", 0},
	};

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const struct name_case *c = &cases[i / 2];
		uint8_t raw[4] = {0};
		struct sample s;

		sample_make(&s, 2, i % 2 == 1);
		put_number(&s, raw, c->width, c->value);
		sample_write(&s,
		    place_of(&s, c->dir, c->entry) + (uint64_t)c->off, raw,
		    c->width);
		expect(s.dev, c->n, c->told);
		blkdev_close(s.dev);
	}
}

static void
names_that_are_there_twice_are_told(void)
{
	struct sample s;

	sample_make(&s, 2, false);
	sample_write(&s, place_of(&s, S_ROOT, "hard") + 8, "file", 4);
	expect(s.dev, 1, "'file' is there twice");
	sample_write(&s, place_of(&s, S_ROOT, "long") + 8, "file", 4);
	expect(s.dev, 2, "'file' is there twice");
	blkdev_close(s.dev);
}

static void
further_dots_are_told(void)
{
	struct sample s;

	sample_make(&s, 2, false);
	sample_write(&s, place_of(&s, S_SUB, "inner") + 7, "\2..\0", 4);
	CHECK(verdict(s.dev) > 0);
	CHECK(is_told("'..' at byte 40 is out of place"));
	blkdev_close(s.dev);
}

static void
a_ring_of_directories_is_told_once(void)
{
	uint8_t raw[4];
	struct sample s;

	/* /sub is taken out of the root and put into its own child. */
	sample_make(&s, 2, false);
	sample_write(&s, place_of(&s, S_ROOT, "sub"), "\0\0\0\0", 4);
	{
		uint8_t chunk[UFS_DIRBLK] = {0};
		struct ufs_dinode d;
		uint32_t pos;

		pos = sample_entry(&s, chunk, 0, ".", S_INNER, 4);
		pos = sample_entry(&s, chunk, pos, "..", S_SUB, 4);
		sample_entry(&s, chunk, pos, "up", S_SUB, 4);
		sample_last(&s, chunk, pos);
		sample_get(&s, S_INNER, &d);
		sample_write(
		    &s, ufs_frag_off(&s.sb, d.db[0]), chunk, UFS_DIRBLK);
	}
	put_number(&s, raw, 4, S_INNER);
	sample_write(&s, place_of(&s, S_SUB, ".."), raw, 4);
	/* Also the link counts of the root and of /sub/inner are off. */
	expect(s.dev, 3, "cannot be reached from the root");
	blkdev_close(s.dev);
}

static void
wrong_link_counts_are_told(void)
{
	static const uint64_t inos[] = {S_ROOT, S_FILE, S_SUB, S_DEV, S_LINK};

	for (size_t i = 0; i < 5; i++) {
		struct ufs_dinode d;
		struct sample s;
		char told[64];

		sample_make(&s, 1 + (int)(i & 1), false);
		sample_get(&s, inos[i], &d);
		snprintf(told, sizeof(told),
		    "inode %d: link count is %d, must be %d", (int)inos[i],
		    (int)d.nlink + 1, (int)d.nlink);
		d.nlink++;
		sample_put(&s, inos[i], &d);
		expect(s.dev, 1, told);
		blkdev_close(s.dev);
	}
}

static void
the_path_of_what_is_at_fault_is_told(void)
{
	static const struct {
		uint64_t ino;
		const char *place;
	} cases[] = {
	    {S_ROOT, "inode 2 is '/'"},
	    {S_FILE, "inode 3 is '/file'"},
	    {S_SUB, "inode 5 is '/sub'"},
	    {S_ATTR, "inode 6 is '/sub/deep'"},
	    {S_INNER, "inode 10 is '/sub/inner'"},
	};

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		struct ufs_dinode d;
		struct sample s;

		sample_make(&s, 1 + (int)(i & 1), (i & 1) != 0);
		sample_get(&s, cases[i / 2].ino, &d);
		d.blocks++;
		sample_put(&s, cases[i / 2].ino, &d);
		expect(s.dev, 1, "di_blocks");
		CHECK(strcmp(place, cases[i / 2].place) == 0);
		blkdev_close(s.dev);
	}
	{
		struct sample s;

		/* What has no name has no path. */
		sample_make(&s, 2, false);
		sample_write(&s, place_of(&s, S_ROOT, "big"), "\0\0\0\0", 4);
		expect(s.dev, 1, "inode 4: has no name");
		CHECK(place[0] == '\0');
		blkdev_close(s.dev);
	}
}

static void
orphans_may_have_no_name(void)
{
	const uint64_t orphans[] = {S_BIG, 1ull << 40};
	struct sample s;

	sample_make(&s, 2, false);
	sample_write(&s, place_of(&s, S_ROOT, "big"), "\0\0\0\0", 4);
	CHECK_EQ(ufs_check(s.dev, orphans, 2, NULL, NULL), 0);
	expect(s.dev, 1, "inode 4: has no name");
	blkdev_close(s.dev);
}

/* -- hostile images ------------------------------------------------------- */

static uint64_t
next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

/* Spoil count bytes of what looks like metadata: whatever is not zero. */
static void
spoil_at_random(struct blkdev *dev, uint64_t *seed, int count)
{
	for (int tries = 0; count > 0 && tries < 1000; tries++) {
		uint64_t span = tries % 2 ? dev->size : 256 * 1024;
		uint64_t off =
		    next_random(seed) % (span < dev->size ? span : dev->size);
		uint8_t b = 0;

		CHECK_EQ(blkdev_read(dev, off, &b, 1), 0);
		if (b == 0)
			continue;
		b = (uint8_t)next_random(seed);
		CHECK_EQ(blkdev_write(dev, off, &b, 1), 0);
		count--;
	}
}

static void
spoilt_bytes_never_hurt(void)
{
	int rounds = getenv("RELIVE_LONG") != NULL ? 20000 : 300;
	uint64_t seed = 20240607;
	int noticed = 0;

	log_set_sink(catch_line);
	for (int i = 0; i < rounds; i++) {
		struct sample s;

		sample_make(&s, 1 + i % 2, i % 4 > 1);
		spoil_at_random(s.dev, &seed, 1 + i % 20);
		noticed += ufs_check(s.dev, NULL, 0, NULL, NULL) != 0;
		blkdev_close(s.dev);
	}
	log_set_sink(NULL);
	CHECK(noticed > rounds / 2);
}

static void
spoilt_fixtures_never_hurt(void)
{
	static const char *const names[] = {"newfs132-ufs2-4k512",
	    "newfs132-ufs1-8k1k", "makefs132-ufs2-be", "newfs132-ufs2-suj"};
	int rounds = getenv("RELIVE_LONG") != NULL ? 1000 : 10;
	uint64_t seed = 4711;

	for (size_t k = 0; k < 4; k++) {
		scoped(blkdev_closep) struct blkdev *dev = kit_device(names[k]);

		if (dev == NULL)
			SKIP("no fixtures");
		for (int i = 0; i < rounds; i++) {
			spoil_at_random(dev, &seed, 10);
			(void)verdict(dev);
		}
	}
}

TESTS({"every fault of an inode is told", every_fault_of_an_inode_is_told},
    {"a fragment with two owners is told", a_fragment_with_two_owners_is_told},
    {"faults in indirect blocks are told", faults_in_indirect_blocks_are_told},
    {"faults of inodes without blocks are told",
	faults_of_inodes_without_blocks_are_told},
    {"a free inode that is not empty is told",
	a_free_inode_that_is_not_empty_is_told},
    {"a wrong inode hash is told", a_wrong_inode_hash_is_told},
    {"faults of extended attributes are told",
	faults_of_extended_attributes_are_told},
    {"every fault of a directory is told", every_fault_of_a_directory_is_told},
    {"names that are there twice are told",
	names_that_are_there_twice_are_told},
    {"further dots are told", further_dots_are_told},
    {"a ring of directories is told once", a_ring_of_directories_is_told_once},
    {"wrong link counts are told", wrong_link_counts_are_told},
    {"the path of what is at fault is told",
	the_path_of_what_is_at_fault_is_told},
    {"orphans may have no name", orphans_may_have_no_name},
    {"spoilt bytes never hurt", spoilt_bytes_never_hurt},
    {"spoilt fixtures never hurt", spoilt_fixtures_never_hurt})
