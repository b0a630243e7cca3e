#include "uzip_args.h"

#include <string.h>

#include "../imgfmt/uzip_codec.h"

enum { LEVEL_MAX = 22, THREADS_MAX = 256, CLUSTER_MAX = 1 << 20 };

static int
set_codec(struct uzip_args *args, const struct command *cmd, const char *name)
{
	static const struct {
		const char *name;
		enum uzip_codec codec;
	} codecs[] = {
	    {"zlib", UZIP_ZLIB},
	    {"lzma", UZIP_LZMA},
	    {"xz", UZIP_LZMA},
	    {"zstd", UZIP_ZSTD},
	};

	for (size_t i = 0; i < sizeof(codecs) / sizeof(*codecs); i++) {
		if (strcmp(codecs[i].name, name) != 0)
			continue;
		args->params.codec = codecs[i].codec;
		args->codec_set = true;
		return CMD_DONE;
	}
	return cmd_misused(cmd, "no algorithm '%s' (zlib, lzma or zstd)", name);
}

static int
set_cluster(struct uzip_args *args, const struct command *cmd, const char *text)
{
	uint64_t size = 0;

	if (cmd_parse_size(text, &size) < 0 || size == 0 || size % 512 != 0 ||
	    size > CLUSTER_MAX)
		return cmd_misused(cmd,
		    "'%s' is no cluster size: a multiple of 512 up to 1M",
		    text);
	args->params.cluster = (uint32_t)size;
	args->cluster_set = true;
	return CMD_DONE;
}

static int
set_number(const struct command *cmd, const char *what, long most, long *out,
    const char *text)
{
	if (cmd_parse_number(text, 1, most, out) < 0)
		return cmd_misused(
		    cmd, "'%s' is no %s: 1 to %ld", text, what, most);
	return CMD_DONE;
}

int
uzip_args_set(
    struct uzip_args *args, const struct command *cmd, int c, const char *value)
{
	long level = 0;

	switch (c) {
	case 'A':
		return set_codec(args, cmd, value);
	case 'L':
		return set_codec(args, cmd, "lzma");
	case 'C':
		if (set_number(cmd, "level", LEVEL_MAX, &level, value) != 0)
			return CMD_USAGE;
		args->params.level = (int)level;
		args->level_set = true;
		return CMD_DONE;
	case 's':
		return set_cluster(args, cmd, value);
	case 'd':
		args->params.dedup = true;
		return CMD_DONE;
	case 'Z':
		args->params.keep_zeroes = true;
		return CMD_DONE;
	case 'j':
		return set_number(cmd, "number of threads", THREADS_MAX,
		    &args->threads, value);
	default:
		return cmd_misused(cmd, "no option '-%c'", c);
	}
}

int
uzip_args_check_level(const struct uzip_args *args, const struct command *cmd)
{
	int def, low, high;

	if (!args->level_set)
		return CMD_DONE;
	uzip_levels(args->params.codec, &def, &low, &high);
	if (args->params.level >= low && args->params.level <= high)
		return CMD_DONE;
	return cmd_misused(cmd, "level %d: %s has 1 to %d", args->params.level,
	    uzip_codec_name(args->params.codec), high);
}
