/*
 * Reading every file of an ISO 9660 volume with Rock Ridge, with nothing under
 * it: what loader.c and loader_efi.c have in common.  For each file a line
 * goes to the serial port: CRC-32, bytes, path; then how many there were.
 * Whoever includes this defines walk_read.
 */
#ifndef WALK_H
#define WALK_H

typedef unsigned char u8;
typedef unsigned u32;

enum {
	SECTOR = 2048,
	PIECE = 8, /* sectors read at once */
	DEPTH = 8, /* of directories, ISO 9660's own limit */
	SERIAL = 0x3f8,
};

/* n sectors of 2048 bytes from lba on; 0, or something went wrong. */
static int walk_read(u32 lba, u32 n, void *buf);

static struct {
	u8 sector[DEPTH][SECTOR]; /* of the directory on each level */
	u8 more[SECTOR];          /* of a continuation area */
	u8 piece[PIECE * SECTOR];
	char path[256];
	u32 files;
} walk;

static inline void
out8(unsigned short port, u8 value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline u8
in8(unsigned short port)
{
	u8 value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

/* Once the port has sent what it got before. */
static void
put_byte(char c)
{
	enum { STATUS = SERIAL + 5, SENT = 0x20 };

	while ((in8(STATUS) & SENT) == 0)
		continue;
	out8(SERIAL, (u8)c);
}

static void
put(const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '\n')
			put_byte('\r');
		put_byte(*s);
	}
}

static void
put_number(u32 n, u32 base, int digits)
{
	char text[12], *p = text + sizeof(text) - 1;

	*p = '\0';
	do {
		*--p = "0123456789abcdef"[n % base];
		n /= base;
		digits--;
	} while (n > 0 || digits > 0);
	put(p);
}

static void
halt(void)
{
	for (;;)
		__asm__ volatile("hlt");
}

static void
die(const char *why)
{
	put(why);
	put("\n");
	halt();
}

static u32
le32(const u8 *p)
{
	return p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24;
}

/* Half a byte at a time: a small table, and fast enough. */
static u32
crc(u32 sum, const u8 *p, u32 len)
{
	static const u32 table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8,
	    0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
	    0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0,
	    0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};

	for (; len > 0; len--) {
		sum ^= *p++;
		sum = sum >> 4 ^ table[sum & 15];
		sum = sum >> 4 ^ table[sum & 15];
	}
	return sum;
}

static void
walk_file(u32 lba, u32 size)
{
	u32 sum = ~0u;

	for (u32 done = 0; done < size;) {
		u32 len = size - done;

		if (len > sizeof(walk.piece))
			len = sizeof(walk.piece);
		if (walk_read(lba + done / SECTOR, (len + SECTOR - 1) / SECTOR,
			walk.piece) != 0)
			die("cannot read a file");
		sum = crc(sum, walk.piece, len);
		done += len;
	}
	put_number(~sum, 16, 8);
	put(" ");
	put_number(size, 10, 0);
	put(" ");
	put(walk.path);
	put("\n");
	walk.files++;
}

struct entry {
	u32 lba, size, mode, path_len;
	int is_dir;
};

/* System use entries in len bytes: the name and the mode. */
static void
take_rock_ridge(struct entry *e, const u8 *p, u32 len)
{
	while (len >= 4 && p[2] >= 4 && p[2] <= len) {
		u32 n = p[2];

		if (p[0] == 'P' && p[1] == 'X')
			e->mode = le32(p + 4);
		for (u32 i = 5; p[0] == 'N' && p[1] == 'M' && i < n; i++)
			walk.path[e->path_len++ & 255] = (char)p[i];
		if (p[0] == 'C' && p[1] == 'E') {
			if (walk_read(le32(p + 4), 1, walk.more) != 0)
				die("cannot read a continuation area");
			len = le32(p + 20);
			p = walk.more + le32(p + 12);
			continue; /* it comes last */
		}
		p += n;
		len -= n;
	}
}

static void
take_record(struct entry *e, const u8 *r, u32 path_len)
{
	u32 at = 33u + r[32] + (r[32] % 2 == 0);

	e->lba = le32(r + 2);
	e->size = le32(r + 10);
	e->is_dir = (r[25] & 2) != 0;
	e->mode = 0;
	e->path_len = path_len;
	walk.path[e->path_len++] = '/';
	take_rock_ridge(e, r + at, r[0] - at);
	if (e->path_len == path_len + 1) /* no name but the ISO's own */
		for (u32 i = 0; i < r[32] && r[33 + i] != ';'; i++)
			walk.path[e->path_len++] = (char)r[33 + i];
	walk.path[e->path_len & 255] = '\0';
}

static void
walk_dir(u32 lba, u32 size, u32 level, u32 path_len)
{
	enum { TYPE = 0170000, REGULAR = 0100000 };
	u8 *sector = walk.sector[level];

	if (level == DEPTH)
		die("directories are too deep");
	for (u32 i = 0; i < size / SECTOR; i++) {
		if (walk_read(lba + i, 1, sector) != 0)
			die("cannot read a directory");
		for (u32 at = 0; at < SECTOR && sector[at] != 0;
		     at += sector[at]) {
			const u8 *r = sector + at;
			struct entry e;

			if (r[32] == 1 && r[33] <= 1)
				continue; /* itself and its parent */
			take_record(&e, r, path_len);
			if (e.is_dir)
				walk_dir(e.lba, e.size, level + 1, e.path_len);
			else if (e.mode == 0 || (e.mode & TYPE) == REGULAR)
				walk_file(e.lba, e.size);
		}
	}
}

/* All of the volume; 0, or it is none. */
static int
walk_volume(void)
{
	u8 *pvd = walk.more;

	if (walk_read(16, 1, pvd) != 0 || pvd[0] != 1 || pvd[1] != 'C' ||
	    pvd[2] != 'D')
		return -1;
	walk_dir(le32(pvd + 158), le32(pvd + 166), 0, 0);
	put_number(walk.files, 10, 0);
	put(" files read\n");
	return 0;
}

#endif
