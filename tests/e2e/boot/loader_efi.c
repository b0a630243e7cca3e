/*
 * What stands in for FreeBSD's loader.efi: it greets through the firmware's
 * console, finds the disk that its own volume is on, and reads every file of
 * the ISO there through Block I/O.  Only what is needed of the UEFI tables
 * (UEFI specification 4, 7, 9 and 13) is declared.
 */
#include "walk.h"

typedef unsigned long long u64;
typedef unsigned short u16;

struct guid {
	u32 a;
	u16 b, c;
	u8 d[8];
};

struct text_output {
	void *reset;
	u64 (*output_string)(struct text_output *self, const u16 *text);
};

struct media {
	u32 id;
	u8 removable, present, logical_partition, read_only, caching;
	u32 block_size, io_align;
	u64 last_block;
};

struct block_io {
	u64 revision;
	struct media *media;
	void *reset;
	u64 (*read_blocks)(
	    struct block_io *self, u32 id, u64 lba, u64 len, void *buf);
};

struct loaded_image {
	u32 revision;
	void *parent, *system, *device;
};

struct boot_services {
	u8 header[24];
	void *before_handle_protocol[16];
	u64 (*handle_protocol)(
	    void *handle, const struct guid *protocol, void **out);
	void *before_locate[19];
	u64 (*locate_handle_buffer)(u32 how, const struct guid *protocol,
	    void *key, u64 *n, void ***handles);
};

struct system_table {
	u8 header[24];
	void *vendor;
	u32 revision;
	void *in_handle, *in, *out_handle;
	struct text_output *out;
	void *err_handle, *err, *runtime;
	struct boot_services *boot;
};

static const struct guid block_io_guid = {0x964e5b21, 0x6459, 0x11d2,
    {0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
static const struct guid loaded_image_guid = {0x5b1b31a1, 0x9562, 0x11d2,
    {0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
static const struct guid device_path_guid = {0x09576e91, 0x6d3f, 0x11d2,
    {0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};

static struct boot_services *boot;
static struct block_io *disk;

/* The compiler may call it. */
void *memset(void *p, int c, u64 n);
void *
memset(void *p, int c, u64 n)
{
	for (u8 *at = p; n > 0; n--)
		*at++ = (u8)c;
	return p;
}

static int
walk_read(u32 lba, u32 n, void *buf)
{
	struct media *media = disk->media;

	return disk->read_blocks(disk, media->id,
		   (u64)lba * SECTOR / media->block_size, (u64)n * SECTOR,
		   buf) != 0;
}

static void *
protocol(void *handle, const struct guid *guid)
{
	void *out;

	return boot->handle_protocol(handle, guid, &out) == 0 ? out : (void *)0;
}

/* Whether the device with path a is, or has on it, the one with path b. */
static int
holds(const u8 *a, const u8 *b)
{
	enum { END = 0x7f };

	if (a == (void *)0 || b == (void *)0)
		return 0;
	while (a[0] != END) {
		u32 len = a[2] | (u32)a[3] << 8;

		for (u32 i = 0; i < len; i++)
			if (a[i] != b[i])
				return 0;
		a += len;
		b += len;
	}
	return 1;
}

/* The whole disk that the volume we came from is on. */
static void
find_disk(void *self)
{
	struct loaded_image *image = protocol(self, &loaded_image_guid);
	const u8 *ours = protocol(image->device, &device_path_guid);
	void **handles;
	u64 n;

	if (boot->locate_handle_buffer(
		2, &block_io_guid, (void *)0, &n, &handles) != 0)
		die("no block devices");
	for (u64 i = 0; i < n; i++) {
		struct block_io *io = protocol(handles[i], &block_io_guid);

		if (io->media->present && !io->media->logical_partition &&
		    holds(protocol(handles[i], &device_path_guid), ours))
			disk = io;
	}
	if (disk == (void *)0)
		die("our volume's disk is missing");
}

u64 efi_main(void *self, struct system_table *table);
u64
efi_main(void *self, struct system_table *table)
{
	boot = table->boot;
	table->out->output_string(table->out, u"loader.efi: started\r\n");
	find_disk(self);
	put("blocks of ");
	put_number(disk->media->block_size, 10, 0);
	put(" bytes\n");
	if (walk_volume() != 0)
		die("no volume");
	put("the end\n");
	halt();
	return 0;
}
