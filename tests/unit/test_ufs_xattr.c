/* Extended attributes as they are read, crafted by hand. */
#include "check.h"

#include "ufs_lab.h"

enum { INO = 10 };

/* An attribute area that grows. */
struct area {
	uint8_t bytes[16384];
	uint32_t len;
};

static uint32_t
add(struct lab *lab, struct area *area, int space, const char *name,
    const void *value, uint32_t len)
{
	uint32_t head = (7 + (uint32_t)strlen(name) + 7) & ~7u;
	uint32_t whole = (head + len + 7) & ~7u, at = area->len;
	struct ufs_ea_disk disk = {
	    .length = raw32_set(whole, lab->big),
	    .space = (uint8_t)space,
	    .contentpad = (uint8_t)(whole - head - len),
	    .namelen = (uint8_t)strlen(name),
	};

	memset(area->bytes + at, 0, whole);
	memcpy(area->bytes + at, &disk, sizeof(disk));
	memcpy(area->bytes + at + 7, name, strlen(name));
	memcpy(area->bytes + at + head, value, len);
	area->len += whole;
	return at;
}

static void
put_area(struct lab *lab, const struct area *area)
{
	struct ufs_dinode d = {.mode = 0100644, .extsize = area->len};

	for (int i = 0; i < 2; i++) {
		d.extb[i] = lab_block(lab);
		lab_put(lab, d.extb[i], area->bytes + 8192 * i, 8192);
	}
	if (area->len <= 8192)
		d.extb[1] = 0;
	lab_inode(lab, INO, &d);
}

static int
join(void *arg, enum ufs_ea_space space, const char *name, size_t len)
{
	sprintf((char *)arg + strlen(arg), "%d:%s=%zu ", (int)space, name, len);
	return 0;
}

static void
attributes_are_listed_and_got(void)
{
	static uint8_t large[9000], got[9000];

	for (int big = 0; big < 2; big++) {
		struct area area = {.len = 0};
		char text[200] = "", buf[10];
		struct lab lab;

		memset(large, 'L', sizeof(large));
		lab_make(&lab, 2, big);
		add(&lab, &area, 1, "a", "value", 5);
		add(&lab, &area, 2, "a", "", 0);
		add(&lab, &area, 1, "large", large, sizeof(large));
		add(&lab, &area, 1, "aa", "12345678", 8);
		put_area(&lab, &area);
		lab_open(&lab);
		CHECK_EQ(ufs_xattr_list(lab.fs, INO, join, text), 0);
		CHECK(strcmp(text, "1:a=5 2:a=0 1:large=9000 1:aa=8 ") == 0);
		CHECK_EQ(
		    ufs_xattr_get(lab.fs, INO, UFS_EA_USER, "a", buf, 10), 5);
		CHECK(memcmp(buf, "value", 5) == 0);
		CHECK_EQ(
		    ufs_xattr_get(lab.fs, INO, UFS_EA_SYSTEM, "a", buf, 9), 0);
		CHECK_EQ(
		    ufs_xattr_get(lab.fs, INO, UFS_EA_USER, "a", NULL, 0), 5);
		CHECK_EQ(ufs_xattr_get(lab.fs, INO, UFS_EA_USER, "a", buf, 4),
		    -ERANGE);
		CHECK_EQ(ufs_xattr_get(lab.fs, INO, UFS_EA_USER, "b", buf, 4),
		    -ENOXATTR);
		/* Over both blocks. */
		CHECK_EQ(ufs_xattr_get(lab.fs, INO, UFS_EA_USER, "large", got,
			     sizeof(got)),
		    sizeof(got));
		CHECK(memcmp(got, large, sizeof(got)) == 0);
		CHECK_EQ(kit_lines, 0);
		lab_close(&lab);
	}
}

static void
zeroes_end_the_area(void)
{
	struct area area = {.len = 0};
	char text[100] = "";
	struct lab lab;

	lab_make(&lab, 2, false);
	add(&lab, &area, 1, "a", "value", 5);
	area.len += 100;
	put_area(&lab, &area);
	lab_open(&lab);
	CHECK_EQ(ufs_xattr_list(lab.fs, INO, join, text), 0);
	CHECK(strcmp(text, "1:a=5 ") == 0);
	CHECK_EQ(kit_lines, 0);
	lab_close(&lab);
}

static void
every_fault_of_a_record_is_refused_and_said(void)
{
	static const struct {
		uint32_t at, value; /* a byte of the second record */
		const char *said;
	} faults[] = {
	    {0, 28, "runs past the area"},
	    {0, 32, "runs past the area"},
	    {1, 1, "runs past the area"},
	    {3, 0x80, "runs past the area"},
	    {5, 13, "its parts do not fit"},
	    {6, 0, "its parts do not fit"},
	    {6, 200, "its parts do not fit"},
	    {7, 0, "its name contains a zero"},
	};

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct area area = {.len = 0};
		char text[100] = "", buf[10];
		struct lab lab;
		uint32_t at;

		lab_make(&lab, 2, false);
		add(&lab, &area, 1, "a", "value", 5);
		at = add(&lab, &area, 1, "b", "value", 5);
		area.bytes[at + faults[i].at] = (uint8_t)faults[i].value;
		put_area(&lab, &area);
		lab_open(&lab);
		CHECK_EQ(ufs_xattr_list(lab.fs, INO, join, text), -ECORRUPT);
		CHECK(kit_said(faults[i].said));
		CHECK(strcmp(text, "1:a=5 ") == 0);
		CHECK_EQ(
		    ufs_xattr_get(lab.fs, INO, UFS_EA_USER, "a", buf, 10), 5);
		CHECK_EQ(ufs_xattr_get(lab.fs, INO, UFS_EA_USER, "z", buf, 10),
		    -ECORRUPT);
		lab_close(&lab);
	}
}

static void
an_area_at_an_impossible_address_is_refused(void)
{
	struct ufs_dinode d = {.mode = 0100644, .extsize = 100};
	struct lab lab;
	char buf[10];

	lab_make(&lab, 2, false);
	lab_open(&lab);
	for (uint64_t i = 0; i < 3; i++) {
		static const uint64_t bad[] = {0, 1, 1u << 30};

		d.extb[0] = bad[i];
		lab_inode(&lab, INO + i, &d);
		kit_capture();
		CHECK_EQ(
		    ufs_xattr_get(lab.fs, INO + i, UFS_EA_USER, "a", buf, 1),
		    -ECORRUPT);
		CHECK(kit_said("address is impossible"));
	}
	lab_close(&lab);
}

static void
ufs1_and_devices_have_no_attributes(void)
{
	struct ufs_dinode dev = {.mode = 0020644}, file = {.mode = 0100644};
	char text[10] = "";
	struct lab lab;

	lab_make(&lab, 1, false);
	lab_open(&lab);
	CHECK_EQ(ufs_xattr_list(lab.fs, UFS_ROOT, join, text), -EOPNOTSUPP);
	lab_close(&lab);
	lab_make(&lab, 2, false);
	lab_inode(&lab, INO, &dev);
	lab_inode(&lab, INO + 1, &file);
	lab_open(&lab);
	CHECK_EQ(
	    ufs_xattr_get(lab.fs, INO, UFS_EA_USER, "a", text, 1), -EOPNOTSUPP);
	CHECK_EQ(ufs_xattr_list(lab.fs, INO + 1, join, text), 0);
	CHECK_EQ(ufs_xattr_get(lab.fs, INO + 1, UFS_EA_USER, "a", text, 1),
	    -ENOXATTR);
	lab_close(&lab);
}

#define T(name) \
	{ \
#name, name \
	}
TESTS(T(attributes_are_listed_and_got), T(zeroes_end_the_area),
    T(every_fault_of_a_record_is_refused_and_said),
    T(an_area_at_an_impossible_address_is_refused),
    T(ufs1_and_devices_have_no_attributes))
