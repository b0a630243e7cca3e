/* The FAT image of a UEFI boot entry, as mtools and fsck.fat see it. */
#include "../../imgfmt/fat.h"
#include "check.h"
#include "iso_tools.h"

enum { WHEN = 1600000000 };

/* A PE file of len bytes for that machine, to be freed. */
static uint8_t *
loader(size_t len, unsigned machine)
{
	uint8_t *pe = malloc(len);

	CHECK(pe != NULL && len >= 128);
	if (pe == NULL)
		exit(1);
	for (size_t i = 0; i < len; i++)
		pe[i] = (uint8_t)(i * 7 + i / 512);
	memcpy(pe, "MZ", 2);
	memcpy(pe + 0x3c, "\x40\0\0", 4);
	memcpy(pe + 0x40, "PE\0", 4);
	pe[0x44] = (uint8_t)machine;
	pe[0x45] = (uint8_t)(machine >> 8);
	return pe;
}

static void
save(const char *name, const void *bytes, size_t len)
{
	struct blkdev *dev = create_scratch(name);

	CHECK_EQ(blkdev_resize(dev, len), 0);
	CHECK_EQ(blkdev_write(dev, 0, bytes, len), 0);
	blkdev_close(dev);
}

/* The image for a loader of that size and machine, as fat.img; its size. */
static size_t
make(size_t len, unsigned machine)
{
	uint8_t *pe = loader(len, machine), *image = NULL;
	size_t size = 0;

	scratch_need();
	CHECK_EQ(fat_efi_make(pe, len, WHEN, 0x12345678, &image, &size), 0);
	if (image != NULL) {
		save("fat.img", image, size);
		save("loader", pe, len);
	}
	free(image);
	free(pe);
	return size;
}

static void
tools_find_the_loader_by_its_architecture(void)
{
	static const struct {
		unsigned machine;
		const char *name;
	} table[] = {
	    {0x8664, "BOOTX64.EFI"},
	    {0x14c, "BOOTIA32.EFI"},
	    {0xaa64, "BOOTAA64.EFI"},
	    {0x1c2, "BOOTARM.EFI"},
	    {0x5064, "BOOTRISCV64.EFI"},
	};

	if (!have("mtype") || !have("fsck.fat"))
		SKIP("mtools or dosfstools are not installed");
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		CHECK_EQ(make(300000, table[i].machine), 2 << 20);
		CHECK_EQ(sh("mtype -i fat.img ::EFI/BOOT/%s >got && "
			    "cmp got loader && "
			    "test $(mdir -b -/ -i fat.img :: | wc -l) = 3",
			     table[i].name),
		    0);
		CHECK_EQ(sh("fsck.fat -n fat.img"), 0);
	}
}

static void
label_serial_and_times_are_set(void)
{
	if (!have("mdir"))
		SKIP("mtools are not installed");
	make(1000, 0x8664);
	CHECK_EQ(sh("mdir -i fat.img ::EFI/BOOT >got && cat got && "
		    "grep -q 'Volume in drive : is EFISYS' got && "
		    "grep -q 'Serial Number is 1234-5678' got && "
		    "grep -Eq 'BOOTX64 +EFI +1000 +2020-09-13 +12:26' got"),
	    0);
}

static void
every_size_is_a_sound_file_system(void)
{
	/* at the edges of a sector, of 2 MiB, of FAT12, and beyond */
	static const struct {
		size_t len, size;
	} table[] = {
	    {128, 2 << 20},
	    {512, 2 << 20},
	    {513, 2 << 20},
	    {4035 * 512, 2 << 20},
	    {4035 * 512 + 1, 0},
	    {4084 * 512, 0},
	    {4198 * 512, 0},
	    {4198 * 512 + 1, 0},
	    {10000000, 0},
	    {FAT_BYTES_MAX - (1 + 2 * 254 + 32 + 2) * 512, 0},
	};

	if (!have("mtype") || !have("fsck.fat"))
		SKIP("mtools or dosfstools are not installed");
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		size_t size = make(table[i].len, 0x8664);

		CHECK_EQ(size % 2048, 0);
		if (table[i].size != 0)
			CHECK_EQ(size, table[i].size);
		else
			CHECK(size > 2 << 20 &&
			    size < table[i].len + table[i].len / 100 + 131072);
		CHECK_EQ(sh("fsck.fat -n fat.img && "
			    "mtype -i fat.img ::EFI/BOOT/BOOTX64.EFI >got && "
			    "cmp got loader"),
		    0);
	}
}

static void
a_loader_too_large_is_refused(void)
{
	size_t len = 34 << 20, size;
	uint8_t *pe = loader(len, 0x8664), *image = NULL;

	CHECK_EQ(fat_efi_make(pe, len, WHEN, 1, &image, &size), -EFBIG);
	/* boot sector, FATs of 254 sectors, root and directories */
	len = FAT_BYTES_MAX - (1 + 2 * 254 + 32 + 2) * 512 + 1;
	CHECK_EQ(fat_efi_make(pe, len, WHEN, 1, &image, &size), -EFBIG);
	free(pe);
}

static void
what_is_no_loader_is_refused(void)
{
	uint8_t *pe = loader(256, 0x8664), *image = NULL;
	size_t size;

	CHECK(fat_efi_name(pe, 256) != NULL);
	CHECK(fat_efi_name(pe, 0x46) != NULL);
	CHECK(fat_efi_name(pe, 0x45) == NULL); /* the machine is cut off */
	CHECK(fat_efi_name(pe, 0x3f) == NULL);
	CHECK(fat_efi_name(pe, 0) == NULL);
	pe[0x44]++; /* a machine that we do not know */
	CHECK_EQ(fat_efi_make(pe, 256, WHEN, 1, &image, &size), -EINVAL);
	pe[0x44]--;
	memcpy(pe + 0x3c, "\xff\xff\xff\xff", 4); /* far behind the end */
	CHECK_EQ(fat_efi_make(pe, 256, WHEN, 1, &image, &size), -EINVAL);
	memcpy(pe + 0x3c, "\x41\0\0", 4);
	CHECK_EQ(fat_efi_make(pe, 256, WHEN, 1, &image, &size), -EINVAL);
	pe[0] = 0;
	CHECK_EQ(fat_efi_make(pe, 256, WHEN, 1, &image, &size), -EINVAL);
	free(pe);
}

static void
times_out_of_range_are_the_nearest(void)
{
	static const time_t when[] = {0, -1, 315532800, 5000000000};
	uint8_t *pe = loader(256, 0x8664);

	if (!have("fsck.fat"))
		SKIP("dosfstools are not installed");
	scratch_need();
	for (size_t i = 0; i < sizeof(when) / sizeof(when[0]); i++) {
		uint8_t *image = NULL;
		size_t size;

		CHECK_EQ(fat_efi_make(pe, 256, when[i], 1, &image, &size), 0);
		save("fat.img", image, size);
		CHECK_EQ(sh("fsck.fat -n fat.img && mdir -i fat.img ::EFI | "
			    "grep -Eq '(1980-01-01|2107-12-31)'"),
		    0);
		free(image);
	}
	free(pe);
}

#define T(f) \
	{ \
#f, f \
	}
TESTS(T(tools_find_the_loader_by_its_architecture),
    T(label_serial_and_times_are_set), T(every_size_is_a_sound_file_system),
    T(a_loader_too_large_is_refused), T(what_is_no_loader_is_refused),
    T(times_out_of_range_are_the_nearest))
