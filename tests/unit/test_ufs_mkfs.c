#include <fcntl.h>
#include <sys/stat.h>

#include "../../imgfmt/log.h"
#include "../../imgfmt/ufs.h"
#include "../../imgfmt/ufs_format.h"
#include "check.h"

enum { MIB = 1024 * 1024 };

/* A device of size bytes with garbage in it, made into a file system. */
static struct blkdev *
made(uint64_t size, const struct ufs_mkfs *how)
{
	struct blkdev *dev = NULL;
	uint8_t junk[4096];

	CHECK_EQ(blkdev_mem_open(size, &dev), 0);
	memset(junk, 0xa5, sizeof(junk));
	for (uint64_t off = 0; off + sizeof(junk) <= size; off += 64 * 1024)
		CHECK_EQ(blkdev_write(dev, off, junk, sizeof(junk)), 0);
	CHECK_EQ(ufs_mkfs(dev, how), 0);
	return dev;
}

static int
verdict(struct blkdev *dev)
{
	return ufs_check(dev, NULL, 0, NULL, NULL);
}

static void
read_super(struct blkdev *dev, struct ufs_super *sb)
{
	uint8_t raw[UFS_SBLOCK_SIZE];

	for (int i = 0; i < 2; i++) {
		CHECK_EQ(
		    blkdev_read(dev, ufs_super_places[i], raw, sizeof(raw)), 0);
		if (ufs_super_decode(raw, ufs_super_places[i], dev->size, sb) ==
		    0)
			return;
	}
	CHECK(!"no superblock");
}

/* What the matrix consists of. */
static const struct {
	uint32_t bsize, fsize;
} sizes[] = {
    {0, 0},
    {4096, 512},
    {4096, 4096},
    {8192, 1024},
    {8192, 8192},
    {16384, 2048},
    {32768, 4096},
    {32768, 32768},
    {65536, 8192},
    {65536, 16384},
    {65536, 65536},
};

static void
every_geometry_is_judged_clean(void)
{
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (int k = 0; k < 16; k++) {
			struct ufs_mkfs how = {
			    .version = 1 + (k & 1),
			    .big_endian = (k & 2) != 0,
			    .block_size = sizes[i].bsize,
			    .frag_size = sizes[i].fsize,
			    .minfree = k & 4 ? 8 : 0,
			    .check_hashes = (k & 4) != 0,
			    .ncg = k & 8 ? 3 : 0,
			    .label = "live",
			    .time = 1700000000,
			};
			scoped(blkdev_closep) struct blkdev *dev =
			    made(9 * MIB + 123 * 512, &how);

			CHECK_EQ(verdict(dev), 0);
		}
}

static void
densities_and_sizes_are_judged_clean(void)
{
	static const uint32_t densities[] = {512, 2000, 4096, 65536, 1 << 30};

	for (int version = 1; version <= 2; version++)
		for (size_t i = 0; i < 5; i++)
			for (uint64_t mib = 3; mib <= 96; mib = mib * 2 + 1) {
				struct ufs_mkfs how = {
				    .version = version,
				    .block_size = 4096,
				    .frag_size = 512,
				    .bytes_per_inode = densities[i],
				    .minfree = 8,
				};
				scoped(blkdev_closep) struct blkdev *dev =
				    made(mib * MIB - 512 * mib, &how);

				CHECK_EQ(verdict(dev), 0);
			}
}

static void
groups_are_as_few_as_geometry_allows(void)
{
	struct ufs_mkfs how = {.version = 2, .minfree = 8};
	struct ufs_super sb;
	struct blkdev *dev = made(64 * MIB, &how);

	read_super(dev, &sb);
	CHECK_EQ(sb.ncg, 1);
	CHECK_EQ(sb.ipg, 64 * MIB / 8192);
	blkdev_close(dev);
	how.block_size = 4096;
	how.frag_size = 512;
	dev = made(64 * MIB, &how);
	read_super(dev, &sb);
	CHECK(sb.ncg > 1 && sb.ncg < 12);
	/* One fragment more in a group would not fit its block. */
	CHECK(180 + sb.ipg / 8 + sb.fpg / 8 + 64 + sb.fpg / 64 > 4096 * 7 / 8);
	blkdev_close(dev);
	how.ncg = 20;
	dev = made(64 * MIB, &how);
	read_super(dev, &sb);
	CHECK_EQ(sb.ncg, 20);
	CHECK_EQ(verdict(dev), 0);
	blkdev_close(dev);
}

static void
more_than_one_fragment_of_summaries_is_judged_clean(void)
{
	struct ufs_mkfs how = {
	    .version = 2, .block_size = 4096, .frag_size = 512, .ncg = 100};
	struct ufs_super sb;
	scoped(blkdev_closep) struct blkdev *dev = made(64 * MIB, &how);

	read_super(dev, &sb);
	CHECK_EQ(sb.cssize, 2048);
	CHECK_EQ(verdict(dev), 0);
}

static void
a_last_group_without_room_is_left_out(void)
{
	struct ufs_mkfs how = {
	    .version = 2, .block_size = 4096, .frag_size = 512, .ncg = 4};
	struct ufs_super sb;

	/* Sizes around a border of groups. */
	for (uint64_t size = 16 * MIB; size < 17 * MIB; size += 20 * 4096) {
		scoped(blkdev_closep) struct blkdev *dev = made(size, &how);

		CHECK_EQ(verdict(dev), 0);
		read_super(dev, &sb);
		CHECK(ufs_cg_frags(&sb, sb.ncg - 1) > sb.dblkno);
	}
}

static void
check_hashes_are_there_when_asked_for(void)
{
	for (int k = 0; k < 4; k++) {
		struct ufs_mkfs how = {
		    .version = 1 + (k & 1), .check_hashes = (k & 2) != 0};
		struct ufs_super sb;
		scoped(blkdev_closep) struct blkdev *dev = made(4 * MIB, &how);

		read_super(dev, &sb);
		CHECK_EQ(sb.metackhash, k == 3 ? 7 : 0);
		CHECK_EQ(sb.flags, k == 3 ? UFS_FS_METACKHASH : 0);
	}
}

static void
only_flags_of_treatment_are_taken(void)
{
	for (int version = 1; version <= 2; version++) {
		struct ufs_mkfs how = {.version = version,
		    .check_hashes = true,
		    .flags = UFS_FS_ACLS | UFS_FS_DOSOFTDEP | UFS_FS_UNCLEAN |
			UFS_FS_SUJ};
		struct ufs_super sb;
		scoped(blkdev_closep) struct blkdev *dev = made(4 * MIB, &how);

		read_super(dev, &sb);
		CHECK_EQ(sb.flags & ~UFS_FS_METACKHASH,
		    UFS_FS_ACLS | UFS_FS_DOSOFTDEP);
		CHECK_EQ(sb.metackhash, version == 2 ? 7 : 0);
		CHECK_EQ(verdict(dev), 0);
	}
}

static void
the_same_input_gives_the_same_bytes(void)
{
	struct ufs_mkfs how = {.version = 2, .check_hashes = true, .time = 7};
	struct blkdev *a = made(4 * MIB, &how), *b = made(4 * MIB, &how);
	static uint8_t x[4 * MIB], y[4 * MIB];

	CHECK_EQ(blkdev_read(a, 0, x, sizeof(x)), 0);
	CHECK_EQ(blkdev_read(b, 0, y, sizeof(y)), 0);
	CHECK(memcmp(x, y, sizeof(x)) == 0);
	blkdev_close(a);
	blkdev_close(b);
}

static char last_line[1024];

static void
catch_line(enum log_level level, const char *line)
{
	(void)level;
	snprintf(last_line, sizeof(last_line), "%s", line);
}

static void
impossible_wishes_are_refused_and_said(void)
{
	static const struct {
		struct ufs_mkfs how;
		uint64_t size;
		int want;
		const char *said;
	} cases[] = {
	    {{.version = 3}, MIB, -EINVAL, "version"},
	    {{.version = 2, .block_size = 2048}, MIB, -EINVAL, "block size"},
	    {{.version = 2, .block_size = 131072}, MIB, -EINVAL, "block size"},
	    {{.version = 2, .block_size = 12288}, MIB, -EINVAL, "block size"},
	    {{.version = 2, .block_size = 8192, .frag_size = 512}, MIB, -EINVAL,
		"fragment size"},
	    {{.version = 2, .block_size = 4096, .frag_size = 256}, MIB, -EINVAL,
		"fragment size"},
	    {{.version = 2, .block_size = 4096, .frag_size = 8192}, MIB,
		-EINVAL, "fragment size"},
	    {{.version = 2, .block_size = 4096, .frag_size = 1000}, MIB,
		-EINVAL, "fragment size"},
	    {{.version = 2, .minfree = 100}, MIB, -EINVAL, "minfree"},
	    {{.version = 2, .bytes_per_inode = 300}, MIB, -EINVAL, "inode"},
	    {{.version = 2, .ncg = 1000}, MIB, -EINVAL, "groups"},
	    {{.version = 2, .block_size = 4096, .frag_size = 512, .ncg = 1},
		64 * MIB, -EINVAL, "groups"},
	    {{.version = 2}, 0, -ENOSPC, "room"},
	    {{.version = 2}, 8 * 32768 - 1, -ENOSPC, "room"},
	    {{.version = 2,
		 .block_size = 4096,
		 .frag_size = 512,
		 .bytes_per_inode = 512},
		100 * 1024, -ENOSPC, "room"},
	};

	log_set_sink(catch_line);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct blkdev *dev;

		last_line[0] = '\0';
		CHECK_EQ(blkdev_mem_open(cases[i].size, &dev), 0);
		CHECK_EQ(ufs_mkfs(dev, &cases[i].how), cases[i].want);
		CHECK(strstr(last_line, cases[i].said) != NULL);
		blkdev_close(dev);
	}
	log_set_sink(NULL);
}

static void
every_size_is_made_clean_or_refused(void)
{
	int nmade = 0;

	log_set_sink(catch_line);
	for (uint64_t size = 64 * 1024; size < 700 * 1024; size += 8192) {
		struct ufs_mkfs how = {.version = 1 + (size / 8192 & 1),
		    .block_size = 8192,
		    .frag_size = 1024};
		scoped(blkdev_closep) struct blkdev *dev = NULL;
		int r;

		CHECK_EQ(blkdev_mem_open(size, &dev), 0);
		r = ufs_mkfs(dev, &how);
		CHECK(r == 0 || r == -ENOSPC);
		nmade += r == 0;
		if (r == 0)
			CHECK_EQ(verdict(dev), 0);
	}
	log_set_sink(NULL);
	CHECK(nmade > 50);
}

/* Whether a command's output has a line that begins with what is wanted. */
static bool
answers(const char *command, const char *want)
{
	FILE *f = popen(command, "r");
	char line[512];
	bool found = false;

	if (f == NULL)
		return false;
	while (fgets(line, sizeof(line), f) != NULL)
		found |= strncmp(line, want, strlen(want)) == 0;
	(void)pclose(f);
	return found;
}

static void
store(struct blkdev *dev, const char *path)
{
	scoped(freep) uint8_t *all = malloc(dev->size);
	scoped(fileclosep) FILE *f = fopen(path, "wb");

	CHECK(f != NULL && all != NULL);
	if (f == NULL || all == NULL)
		return;
	CHECK_EQ(blkdev_read(dev, 0, all, dev->size), 0);
	CHECK_EQ(fwrite(all, 1, dev->size, f), dev->size);
}

static void
others_recognise_what_is_made(void)
{
	bool has_tsk = system("command -v fsstat >/dev/null") == 0;
	bool has_grub = system("command -v grub-fstest >/dev/null") == 0;

	for (int k = 0; k < 4; k++) {
		char path[] = "/tmp/test_ufs_mkfs.XXXXXX";
		char command[128];
		struct ufs_mkfs how = {
		    .version = 1 + (k & 1),
		    .block_size = k & 2 ? 8192 : 0,
		    .frag_size = k & 2 ? 1024 : 0,
		    .minfree = 8,
		    .label = "live",
		    .check_hashes = true,
		};
		scoped(blkdev_closep) struct blkdev *dev = made(9 * MIB, &how);
		scoped(fdclosep) int fd = mkstemp(path);

		CHECK(fd >= 0);
		store(dev, path);
		snprintf(command, sizeof(command), "fsstat -f ufs%d %s 2>&1",
		    how.version, path);
		CHECK(!has_tsk ||
		    answers(command,
			how.version == 1 ? "File System Type: UFS 1"
					 : "File System Type: UFS 2"));
		snprintf(command, sizeof(command),
		    "grub-fstest %s ls -- -l '(loop0)' 2>&1", path);
		CHECK(!has_grub ||
		    answers(command,
			how.version == 1
			    ? "Device loop0: Filesystem type ufs1"
			    : "Device loop0: Filesystem type ufs2"));
		CHECK_EQ(unlink(path), 0);
	}
	if (!has_tsk || !has_grub)
		printf("# no sleuthkit or no grub-fstest: not asked\n");
}

TESTS({"every geometry is judged clean", every_geometry_is_judged_clean},
    {"densities and sizes are judged clean",
	densities_and_sizes_are_judged_clean},
    {"groups are as few as geometry allows",
	groups_are_as_few_as_geometry_allows},
    {"more than one fragment of summaries is judged clean",
	more_than_one_fragment_of_summaries_is_judged_clean},
    {"a last group without room is left out",
	a_last_group_without_room_is_left_out},
    {"check hashes are there when asked for",
	check_hashes_are_there_when_asked_for},
    {"only flags of treatment are taken", only_flags_of_treatment_are_taken},
    {"the same input gives the same bytes",
	the_same_input_gives_the_same_bytes},
    {"impossible wishes are refused and said",
	impossible_wishes_are_refused_and_said},
    {"every size is made clean or refused",
	every_size_is_made_clean_or_refused},
    {"others recognise what is made", others_recognise_what_is_made})
