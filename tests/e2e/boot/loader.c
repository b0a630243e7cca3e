/*
 * What stands in for FreeBSD's boot/loader: started by cdboot or isoboot at
 * 0x1000:0 with the drive in dl and, in dh, how many of its sectors make 2048
 * bytes.  It reads every file of the ISO through the BIOS.  Where there is a
 * hard disk beside the medium it started from, it looks for a sector there
 * that starts with MARK and writes into it, as a guest that edits.
 */
__asm__(".code16gcc\n"
	".section .start, \"ax\"\n"
	"cli\n"
	"movw %cs, %ax\n"
	"movw %ax, %ds\n"
	"movw %ax, %es\n"
	"movw %ax, %ss\n"
	"movl $0xfff0, %esp\n"
	"sti\n"
	"movl $__bss_start, %edi\n"
	"movl $_end, %ecx\n"
	"subl %edi, %ecx\n"
	"xorl %eax, %eax\n"
	"cld\n"
	"rep stosb\n"
	"movzwl %dx, %eax\n"
	"call loader\n"
	".text\n");

#include "walk.h"

enum {
	SEGMENT = 0x1000,
	READ = 0x42,
	WRITE = 0x43,
	DISK_SECTOR = 512,
	DISK_MOST = 128 << 20,
};

static const char mark[] = "relive boot: before";
static const char written[] = "relive boot: after!";

static u32 drive, unit;

/* n sectors, of whatever size the drive has, from or to buf. */
static int
bios(u32 function, u32 which, u32 lba, u32 n, void *buf)
{
	struct {
		unsigned short size, count, off, segment;
		u32 lba, high;
	} packet = {sizeof(packet), (unsigned short)n, (unsigned short)(u32)buf,
	    SEGMENT, lba, 0};
	u32 ax = function << 8;
	u8 failed;

	__asm__ volatile("int $0x13\n"
			 "setc %1"
			 : "+a"(ax), "=q"(failed)
			 : "d"(which), "S"(&packet)
			 : "memory", "cc");
	return failed;
}

static int
walk_read(u32 lba, u32 n, void *buf)
{
	return bios(READ, drive, lba * unit, n * unit, buf);
}

static int
same(const u8 *a, const char *b, u32 len)
{
	while (len > 0 && *a == (u8)*b) {
		a++;
		b++;
		len--;
	}
	return len == 0;
}

static void
edit(u32 disk)
{
	const u32 n = sizeof(walk.piece) / DISK_SECTOR;

	for (u32 lba = 0; lba < DISK_MOST / DISK_SECTOR; lba += n) {
		if (bios(READ, disk, lba, n, walk.piece) != 0)
			break;
		for (u32 i = 0; i < n; i++) {
			u8 *at = walk.piece + i * DISK_SECTOR;

			if (!same(at, mark, sizeof(mark) - 1))
				continue;
			for (u32 j = 0; j < sizeof(written) - 1; j++)
				at[j] = (u8)written[j];
			if (bios(WRITE, disk, lba + i, 1, at) != 0)
				die("cannot write to the disk");
			put("disk edited\n");
			return;
		}
	}
	put("nothing to edit on the disk\n");
}

__attribute__((used, regparm(1))) void
loader(u32 dx)
{
	const u32 disk = 0x80;

	drive = dx & 255;
	unit = dx >> 8;
	put("loader: started\n");
	if (walk_volume() != 0)
		die("no volume");
	if (drive != disk && bios(READ, disk, 0, 1, walk.more) == 0)
		edit(disk);
	put("the end\n");
	halt();
}
