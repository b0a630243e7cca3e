#include "fs_args.h"

#include <string.h>

enum {
	FRAGS = 8, /* of a block, at most */
	GZ_LEVEL_MAX = 9,
};

static int
set_format(struct fs_args *args, const struct command *cmd, const char *name)
{
	if (strcmp(name, "ufs") == 0)
		args->fs.format = CREATE_UFS;
	else if (strcmp(name, "uzip") == 0)
		args->fs.format = CREATE_UZIP;
	else if (strcmp(name, "gz") == 0)
		args->fs.format = CREATE_GZ;
	else if (strcmp(name, "iso") == 0)
		args->fs.format = CREATE_ISO;
	else
		return cmd_misused(
		    cmd, "no format '%s' (iso, ufs, uzip or gz)", name);
	return CMD_DONE;
}

/* A power of two from least to 65536. */
static int
set_power(const struct command *cmd, const char *what, uint64_t least,
    const char *value, uint32_t *to)
{
	enum { MOST = 65536 };
	uint64_t size = 0;

	if (cmd_parse_size(value, &size) < 0 || size < least || size > MOST ||
	    (size & (size - 1)) != 0)
		return cmd_misused(cmd,
		    "'%s' is no %s size: a power of 2 from %llu to %d", value,
		    what, (unsigned long long)least, MOST);
	*to = (uint32_t)size;
	return CMD_DONE;
}

static int
set_version(struct fs_args *args, const struct command *cmd, const char *value)
{
	long n = 0;

	if (cmd_parse_number(value, 1, 2, &n) < 0)
		return cmd_misused(
		    cmd, "'%s' is no version of UFS: 1 to 2", value);
	args->fs.mkfs.version = (int)n;
	return CMD_DONE;
}

static int
set_byte_order(
    struct fs_args *args, const struct command *cmd, const char *value)
{
	bool big = strcmp(value, "big") == 0;

	if (!big && strcmp(value, "little") != 0)
		return cmd_misused(
		    cmd, "no byte order '%s' (little or big)", value);
	args->fs.mkfs.big_endian = big;
	args->order_set = true;
	return CMD_DONE;
}

static int
set_minfree(struct fs_args *args, const struct command *cmd, const char *value)
{
	long n = 0;

	if (cmd_parse_number(value, 0, 99, &n) < 0)
		return cmd_misused(
		    cmd, "'%s' is no percentage: 0 to 99", value);
	args->fs.mkfs.minfree = (uint32_t)n;
	args->minfree_set = true;
	return CMD_DONE;
}

static int
set_density(struct fs_args *args, const struct command *cmd, const char *value)
{
	uint64_t size = 0;

	if (cmd_parse_size(value, &size) < 0 || size < 512 || size > 1 << 30)
		return cmd_misused(cmd,
		    "'%s' is no density: 512 bytes to 1G per inode", value);
	args->fs.mkfs.bytes_per_inode = (uint32_t)size;
	return CMD_DONE;
}

static int
set_size(const struct command *cmd, const char *what, const char *value,
    uint64_t *to)
{
	if (cmd_parse_size(value, to) < 0 || *to > (uint64_t)1 << 50)
		return cmd_misused(cmd, "'%s' is no size for %s", value, what);
	return CMD_DONE;
}

static int
set_free(struct fs_args *args, const struct command *cmd, const char *value)
{
	char digits[8];
	size_t len = strlen(value);
	long n = 0;

	args->free_set = true;
	if (len == 0 || value[len - 1] != '%')
		return set_size(cmd, "--free", value, &args->fs.free_bytes);
	len--;
	if (len < sizeof(digits)) {
		memcpy(digits, value, len);
		digits[len] = '\0';
	}
	if (len >= sizeof(digits) || cmd_parse_number(digits, 0, 10000, &n) < 0)
		return cmd_misused(
		    cmd, "'%s' is no share: 0%% to 10000%%", value);
	args->fs.free_percent = (unsigned)n;
	return CMD_DONE;
}

int
fs_args_set(
    struct fs_args *args, const struct command *cmd, int c, const char *value)
{
	switch (c) {
	case FS_FORMAT:
		return set_format(args, cmd, value);
	case FS_UFS:
		return set_version(args, cmd, value);
	case FS_BYTE_ORDER:
		return set_byte_order(args, cmd, value);
	case FS_BLOCK:
		return set_power(
		    cmd, "block", 4096, value, &args->fs.mkfs.block_size);
	case FS_FRAG:
		return set_power(
		    cmd, "fragment", 512, value, &args->fs.mkfs.frag_size);
	case FS_DENSITY:
		return set_density(args, cmd, value);
	case FS_MINFREE:
		return set_minfree(args, cmd, value);
	case FS_LABEL:
		args->fs.mkfs.label = value;
		return CMD_DONE;
	case FS_FREE:
		return set_free(args, cmd, value);
	case FS_SIZE:
		return set_size(cmd, "--size", value, &args->fs.size);
	case FS_NO_HASHES:
		args->fs.mkfs.check_hashes = false;
		args->hashes_set = true;
		return CMD_DONE;
	default:
		return -1;
	}
}

static int
check_ufs(struct fs_args *args, const struct command *cmd)
{
	struct ufs_mkfs *mkfs = &args->fs.mkfs;
	uint32_t block = mkfs->block_size;

	if (args->fs.size != 0 &&
	    (args->fs.free_bytes != 0 || args->fs.free_percent != 0))
		return cmd_misused(cmd, "--size and --free exclude each other");
	if (create_fs_check_label(mkfs->label) < 0)
		return CMD_USAGE;
	if (block == 0)
		return CMD_DONE;
	if (mkfs->frag_size == 0)
		mkfs->frag_size = block / FRAGS;
	if (mkfs->frag_size > block || mkfs->frag_size < block / FRAGS)
		return cmd_misused(
		    cmd, "fragments must be 1, 1/2, 1/4 or 1/8 of a block");
	return CMD_DONE;
}

int
fs_args_check(struct fs_args *args, const struct uzip_args *uzip,
    const struct command *cmd, enum create_format format)
{
	if (format != CREATE_UZIP && format != CREATE_ISO &&
	    uzip_args_for_uzip(uzip))
		return cmd_misused(cmd, "-A, -L, -s, -d and -Z are for uzips");
	if (format == CREATE_UFS && uzip->level_set)
		return cmd_misused(cmd, "-C is for uzips and gz files");
	if (format == CREATE_GZ && uzip->params.level > GZ_LEVEL_MAX)
		return cmd_misused(cmd, "gz has levels 1 to %d", GZ_LEVEL_MAX);
	args->fs.gz_level = uzip->params.level;
	args->fs.uzip = uzip->params;
	args->fs.jobs = (unsigned)uzip->threads;
	return check_ufs(args, cmd);
}
