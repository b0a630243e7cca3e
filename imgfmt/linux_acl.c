#include "linux_acl.h"

#include <assert.h>
#include <string.h>

#include "bytes.h"

enum { VERSION = 2 };

struct entry {
	le16 tag, perm;
	le32 id;
};
struct list {
	le32 version;
	struct entry entry[UFS_ACL_MOST];
};
static_assert(sizeof(struct list) == LINUX_ACL_MAX, "as Linux has it");

static const char *const names[] = {
    [UFS_ACL_ACCESS] = "system.posix_acl_access",
    [UFS_ACL_DEFAULT] = "system.posix_acl_default",
};

bool
linux_acl_is(const char *name, enum ufs_acl_kind *kind)
{
	for (int i = 0; i < 2; i++)
		if (strcmp(names[i], name) == 0) {
			*kind = (enum ufs_acl_kind)i;
			return true;
		}
	return false;
}

const char *
linux_acl_name(enum ufs_acl_kind kind)
{
	return names[kind];
}

int
linux_acl_parse(const void *value, size_t len, struct ufs_acl *out)
{
	struct list in;
	size_t n;

	if (len < sizeof(in.version) ||
	    (len - sizeof(in.version)) % sizeof(struct entry) != 0)
		return -EINVAL;
	n = (len - sizeof(in.version)) / sizeof(struct entry);
	if (n > UFS_ACL_MOST)
		return -ENOSPC;
	memcpy(&in, value, len);
	if (le32_get(in.version) != VERSION)
		return -EINVAL;
	*out = (struct ufs_acl){.n = (unsigned)n};
	for (size_t i = 0; i < n; i++)
		out->entry[i] = (struct ufs_acl_entry){
		    .tag = le16_get(in.entry[i].tag),
		    .perm = le16_get(in.entry[i].perm) & 7,
		    .id = le32_get(in.entry[i].id),
		};
	return 0;
}

size_t
linux_acl_make(const struct ufs_acl *acl, uint8_t value[LINUX_ACL_MAX])
{
	struct list out = {.version = le32_set(VERSION)};
	size_t len = sizeof(out.version) + acl->n * sizeof(struct entry);

	for (unsigned i = 0; i < acl->n; i++) {
		const struct ufs_acl_entry *e = &acl->entry[i];
		bool named = (e->tag & (UFS_ACL_USER | UFS_ACL_GROUP)) != 0;

		out.entry[i].tag = le16_set(e->tag);
		out.entry[i].perm = le16_set(e->perm);
		out.entry[i].id = le32_set(named ? e->id : UINT32_MAX);
	}
	memcpy(value, &out, len);
	return len;
}
