/* Access control lists: the bytes FreeBSD keeps, and what becomes of them. */
#include <stdlib.h>
#include <string.h>

#include "../../imgfmt/ufs_impl.h"
#include "check.h"
#include "ufs_scratch.h"

static struct scratch scratch;

static const struct ufs_acl sample = {.n = 5,
    .entry = {{UFS_ACL_USER_OBJ, 6, 0}, {UFS_ACL_USER, 7, 1001},
	{UFS_ACL_GROUP_OBJ, 4, 0}, {UFS_ACL_MASK, 5, 0},
	{UFS_ACL_OTHER, 1, 0}}};

/* The geometries of UFS2 (or UFS1), each with an empty file of mode 644. */
static void
over(int version, void (*body)(const struct scratch_shape *, uint64_t ino))
{
	for (const struct scratch_shape *s = scratch_shapes; s->name; s++) {
		if (s->version != version)
			continue;
		scratch_make(&scratch, s);
		body(s,
		    (uint64_t)scratch_create(&scratch, UFS_ROOT, "f", 0100644));
		CHECK_EQ(scratch_faults(&scratch), 0);
		scratch_close(&scratch);
	}
}

static uint32_t
flags_now(void)
{
	struct ufs_info info;

	ufs_info(scratch.fs, &info);
	return info.flags;
}

static uint32_t
mode_now(uint64_t ino)
{
	return scratch_attr(&scratch, ino).mode;
}

static void
bytes(const struct scratch_shape *s, uint64_t ino)
{
	/* Count; then tag, id (32 bits) and permissions (16, 2 of padding). */
	static const uint32_t words[] = {
	    5, 1, 0, 6, 2, 1001, 7, 4, 0, 4, 16, 0, 5, 32, 0, 1};
	uint8_t raw[400];
	struct ufs_acl back;

	CHECK_EQ(flags_now() & UFS_FS_ACLS, 0);
	CHECK_EQ(
	    ufs_acl_get(scratch.fs, ino, UFS_ACL_ACCESS, &back), -ENOXATTR);
	CHECK_EQ(ufs_acl_set(scratch.fs, ino, UFS_ACL_ACCESS, &sample), 0);
	CHECK_EQ(ufs_xattr_get(scratch.fs, ino, UFS_EA_SYSTEM,
		     "posix1e.acl_access", raw, sizeof(raw)),
	    388);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		const uint8_t *at = raw + 4 * i;

		if (i > 0 && i % 3 == 0) /* permissions */
			CHECK_EQ(at[s->big ? 1 : 0], words[i]);
		else
			CHECK_EQ(at[s->big ? 3 : 0] | at[s->big ? 2 : 1] << 8,
			    words[i]);
	}
	for (size_t i = sizeof(words); i < 388; i++)
		CHECK_EQ(raw[i], 0);
	CHECK_EQ(mode_now(ino), 0100651);
	CHECK_EQ(scratch_faults(&scratch), 0);
	CHECK_EQ(flags_now() & UFS_FS_ACLS, UFS_FS_ACLS);
	ufs_close(scratch.fs);
	scratch_open(&scratch);
	CHECK_EQ(flags_now() & UFS_FS_ACLS, UFS_FS_ACLS);
	CHECK_EQ(ufs_acl_get(scratch.fs, ino, UFS_ACL_ACCESS, &back), 0);
	CHECK_EQ(memcmp(&back, &sample, sizeof(back)), 0);
}

static void
the_bytes_are_those_of_freebsd(void)
{
	over(2, bytes);
}

static void
follows(const struct scratch_shape *s, uint64_t ino)
{
	struct ufs_attr attr = {.mode = 0317};
	struct ufs_acl acl;

	(void)s;
	CHECK_EQ(ufs_acl_set(scratch.fs, ino, UFS_ACL_ACCESS, &sample), 0);
	CHECK_EQ(ufs_setattr(scratch.fs, ino, UFS_SET_MODE, &attr, &attr), 0);
	CHECK_EQ(ufs_acl_get(scratch.fs, ino, UFS_ACL_ACCESS, &acl), 0);
	CHECK_EQ(acl.entry[0].perm, 3);
	CHECK_EQ(acl.entry[2].perm, 4); /* the group's own stays */
	CHECK_EQ(acl.entry[3].perm, 1);
	CHECK_EQ(acl.entry[4].perm, 7);
	/* A list that says no more than a mode leaves just that. */
	acl = (struct ufs_acl){.n = 3,
	    .entry = {{UFS_ACL_USER_OBJ, 4, 0}, {UFS_ACL_GROUP_OBJ, 2, 0},
		{UFS_ACL_OTHER, 0, 0}}};
	CHECK_EQ(ufs_acl_set(scratch.fs, ino, UFS_ACL_ACCESS, &acl), 0);
	CHECK_EQ(mode_now(ino), 0100420);
	CHECK_EQ(ufs_acl_get(scratch.fs, ino, UFS_ACL_ACCESS, &acl), -ENOXATTR);
	CHECK_EQ(scratch_attr(&scratch, ino).blocks, 0);
	acl.n = 0;
	CHECK_EQ(ufs_acl_set(scratch.fs, ino, UFS_ACL_ACCESS, &acl), 0);
	CHECK_EQ(
	    ufs_acl_set(scratch.fs, ino, UFS_ACL_DEFAULT, &sample), -EACCES);
}

static void
list_and_mode_are_one(void)
{
	over(2, follows);
}

static void
inherits(const struct scratch_shape *s, uint64_t ino)
{
	struct ufs_new what = {.umask = 077};
	struct ufs_attr attr;
	struct ufs_acl acl;

	(void)s;
	(void)ino;
	what.mode = 0100666;
	CHECK_EQ(ufs_create(scratch.fs, UFS_ROOT, "a", 1, &what, &attr), 0);
	CHECK_EQ(attr.mode, 0100600);
	CHECK_EQ(
	    ufs_acl_set(scratch.fs, UFS_ROOT, UFS_ACL_DEFAULT, &sample), 0);
	CHECK_EQ(ufs_create(scratch.fs, UFS_ROOT, "b", 1, &what, &attr), 0);
	CHECK_EQ(attr.mode, 0100640); /* not the umask's */
	CHECK_EQ(ufs_acl_get(scratch.fs, attr.ino, UFS_ACL_ACCESS, &acl), 0);
	CHECK_EQ(acl.entry[1].perm, 7);
	CHECK_EQ(acl.entry[3].perm, 4);
	CHECK_EQ(ufs_acl_get(scratch.fs, attr.ino, UFS_ACL_DEFAULT, &acl),
	    -ENOXATTR);
	what.mode = 0040777;
	CHECK_EQ(ufs_create(scratch.fs, UFS_ROOT, "d", 1, &what, &attr), 0);
	CHECK_EQ(attr.mode, 0040651);
	CHECK_EQ(ufs_acl_get(scratch.fs, attr.ino, UFS_ACL_DEFAULT, &acl), 0);
	CHECK_EQ(memcmp(&acl, &sample, sizeof(acl)), 0);
	/* No attributes of devices: the group gets its own, not the mask's. */
	what.mode = 0020777;
	CHECK_EQ(ufs_create(scratch.fs, UFS_ROOT, "c", 1, &what, &attr), 0);
	CHECK_EQ(attr.mode, 0020641);
}

static void
directories_hand_their_default_list_on(void)
{
	over(2, inherits);
}

static void
refused(const struct scratch_shape *s, uint64_t ino)
{
	struct ufs_acl acl = sample;

	CHECK_EQ(ufs_acl_set(scratch.fs, ino, UFS_ACL_ACCESS, &acl),
	    s->version == 1 ? -EOPNOTSUPP : 0);
	acl.n = UFS_ACL_MOST + 1;
	CHECK_EQ(ufs_acl_set(scratch.fs, ino, UFS_ACL_ACCESS, &acl), -ENOSPC);
}

static void
what_the_format_cannot_hold_is_refused(void)
{
	over(1, refused);
	over(2, refused);
}

static void
strange(const struct scratch_shape *s, uint64_t ino)
{
	uint8_t raw[388] = {0};
	struct ufs_acl acl = sample;

	CHECK_EQ(ufs_xattr_set(scratch.fs, ino, UFS_EA_SYSTEM,
		     "posix1e.acl_access", raw, 10, UFS_EA_ANY),
	    0);
	/* Not obeyed before the superblock says so. */
	CHECK_EQ(ufs_acl_get(scratch.fs, ino, UFS_ACL_ACCESS, &acl), -ENOXATTR);
	scratch.fs->sb.flags |= UFS_FS_ACLS;
	CHECK_EQ(ufs_acl_get(scratch.fs, ino, UFS_ACL_ACCESS, &acl), -EPERM);
	raw[s->big ? 3 : 0] = 33;
	CHECK_EQ(ufs_xattr_set(scratch.fs, ino, UFS_EA_SYSTEM,
		     "posix1e.acl_access", raw, sizeof(raw), UFS_EA_ANY),
	    0);
	CHECK_EQ(ufs_acl_get(scratch.fs, ino, UFS_ACL_ACCESS, &acl), -EPERM);
	scratch.fs->sb.flags &= ~(uint32_t)UFS_FS_ACLS;
	scratch.fs->sb.flags |= UFS_FS_NFS4ACLS;
	CHECK_EQ(
	    ufs_acl_set(scratch.fs, ino, UFS_ACL_ACCESS, &sample), -EOPNOTSUPP);
}

static void
attributes_that_are_no_lists_are_not_obeyed(void)
{
	over(2, strange);
}

static void
an_attribute_changes_its_byte_order_whole(void)
{
	uint8_t little[UFS_ACL_BYTES], big[UFS_ACL_BYTES], nfs4[4088] = {0};

	ufs_acl_encode(&sample, false, little);
	ufs_acl_encode(&sample, true, big);
	ufs_acl_reorder("posix1e.acl_other", little, sizeof(little));
	ufs_acl_reorder("posix1e.acl_access", little, sizeof(little) - 1);
	CHECK_EQ(little[0], 5); /* neither is a list */
	ufs_acl_reorder("posix1e.acl_default", little, sizeof(little));
	CHECK_EQ(memcmp(little, big, sizeof(big)), 0);
	/* maxcnt, cnt, four spare; then tag, id, perm, and two half words */
	nfs4[0] = 254;
	nfs4[4] = 1;
	nfs4[24] = 0x40;
	nfs4[32] = 7;
	nfs4[36] = 1;
	nfs4[38] = 2;
	nfs4[4084] = 9;
	ufs_acl_reorder("nfs4.acl", nfs4, sizeof(nfs4));
	CHECK(nfs4[3] == 254 && nfs4[7] == 1 && nfs4[27] == 0x40 &&
	    nfs4[35] == 7 && nfs4[37] == 1 && nfs4[39] == 2 && nfs4[4085] == 9);
}

#define T(name) \
	{ \
#name, name \
	}

TESTS(T(the_bytes_are_those_of_freebsd), T(list_and_mode_are_one),
    T(directories_hand_their_default_list_on),
    T(what_the_format_cannot_hold_is_refused),
    T(attributes_that_are_no_lists_are_not_obeyed),
    T(an_attribute_changes_its_byte_order_whole))
