/* relive create: an image from directories, archives and specifications. */
#include <string.h>

#include "commands.h"
#include "create.h"
#include "uzip_args.h"

enum {
	OPT_FORMAT = CMD_LONG,
	OPT_EXCLUDE,
	OPT_SET_FILE,
	OPT_SET_CONF,
	OPT_UFS,
	OPT_BLOCK,
	OPT_FRAG,
	OPT_DENSITY,
	OPT_MINFREE,
	OPT_LABEL,
	OPT_FREE,
	OPT_SIZE,
	OPT_NO_HASHES,
};

enum {
	DEFAULT_CLUSTER = 16384,
	DEFAULT_BLOCK = 32768,
	DEFAULT_MINFREE = 8, /* newfs's */
	FRAGS = 8,           /* of a block, at most */
	GZ_LEVEL_MAX = 9,
};

static const struct option longs[] = {
    {"output", required_argument, NULL, 'o'},
    {"format", required_argument, NULL, OPT_FORMAT},
    {"exclude", required_argument, NULL, OPT_EXCLUDE},
    {"set-file", required_argument, NULL, OPT_SET_FILE},
    {"set-conf", required_argument, NULL, OPT_SET_CONF},
    {"ufs", required_argument, NULL, OPT_UFS},
    {"block", required_argument, NULL, OPT_BLOCK},
    {"frag", required_argument, NULL, OPT_FRAG},
    {"density", required_argument, NULL, OPT_DENSITY},
    {"minfree", required_argument, NULL, OPT_MINFREE},
    {"label", required_argument, NULL, OPT_LABEL},
    {"free", required_argument, NULL, OPT_FREE},
    {"size", required_argument, NULL, OPT_SIZE},
    {"no-check-hashes", no_argument, NULL, OPT_NO_HASHES},
    {"algorithm", required_argument, NULL, 'A'},
    {"level", required_argument, NULL, 'C'},
    {"lzma", no_argument, NULL, 'L'},
    {"cluster", required_argument, NULL, 's'},
    {"dedup", no_argument, NULL, 'd'},
    {"keep-zeroes", no_argument, NULL, 'Z'},
    {"threads", required_argument, NULL, 'j'},
    {NULL, 0, NULL, 0},
};

static const char usage[] =
    "create -o OUT [OPTION...] SOURCE...\n"
    "Make a UFS image of directories, archives (tar and others, in any\n"
    "compression) and mtree(5) specifications; later ones lie on top of "
    "earlier\n"
    "ones.  Owners, flags, links, devices and times arrive without root.\n"
    "\n"
    "  -o, --output OUT      the file to write; .uzip and .gz are compressed\n"
    "      --format KIND     ufs, uzip or gz, whatever OUT is called\n"
    "      --exclude PATTERN leave out paths, or with no slash in it names,\n"
    "                        that match, and all below them\n"
    "      --set-file PATH=FILE\n"
    "                        let FILE be PATH in the image\n"
    "      --set-conf FILE:KEY=VALUE\n"
    "                        assign KEY in FILE of the image, e.g.\n"
    "                        boot/loader.conf:autoboot_delay=3\n"
    "      --ufs N           1 or 2 (default)\n"
    "      --block SIZE      of the file system; 32768\n"
    "      --frag SIZE       fragment size; an eighth of a block\n"
    "      --density SIZE    bytes per inode; as many inodes as the tree "
    "needs\n"
    "      --minfree N       percent that only root may fill; 8\n"
    "      --label NAME      for /dev/ufs/NAME\n"
    "      --free SPACE|N%   room beyond what the tree takes; N% of that\n"
    "      --size SIZE       of the file system; as large as needed\n"
    "      --no-check-hashes UFS2 without the check hashes of FreeBSD 13\n"
    "  -A, --algorithm NAME  of a uzip: zlib (default), lzma or zstd\n"
    "  -C, --level N         compression level, also of a gz\n"
    "  -L, --lzma            the same as -A lzma\n"
    "  -s, --cluster SIZE    bytes of a cluster; 16384\n"
    "  -d, --dedup           store equal clusters once\n"
    "  -Z, --keep-zeroes     compress clusters of zeroes too\n"
    "  -j, --threads N       threads that compress; one a processor\n";

/* Options that may be given more than once; room for all that there are. */
struct lists {
	const char **excludes, **set_files, **set_confs;
	size_t nexcludes, nset_files, nset_confs;
};

static int
set_format(struct create_options *opt, const char *name)
{
	if (strcmp(name, "ufs") == 0)
		opt->fs.format = CREATE_UFS;
	else if (strcmp(name, "uzip") == 0)
		opt->fs.format = CREATE_UZIP;
	else if (strcmp(name, "gz") == 0)
		opt->fs.format = CREATE_GZ;
	else
		return cmd_misused(
		    &cmd_create, "no format '%s' (ufs, uzip or gz)", name);
	return CMD_DONE;
}

/* A power of two from least to most. */
static int
set_power(uint32_t *to, const char *what, uint64_t least, uint64_t most)
{
	uint64_t size = 0;

	if (cmd_parse_size(optarg, &size) < 0 || size < least || size > most ||
	    (size & (size - 1)) != 0)
		return cmd_misused(&cmd_create,
		    "'%s' is no %s size: a power of 2 from %llu to %llu",
		    optarg, what, (unsigned long long)least,
		    (unsigned long long)most);
	*to = (uint32_t)size;
	return CMD_DONE;
}

static int
set_small(uint32_t *to, const char *what, long least, long most)
{
	long n = 0;

	if (cmd_parse_number(optarg, least, most, &n) < 0)
		return cmd_misused(&cmd_create, "'%s' is no %s: %ld to %ld",
		    optarg, what, least, most);
	*to = (uint32_t)n;
	return CMD_DONE;
}

static int
set_density(struct create_options *opt)
{
	uint64_t size = 0;

	if (cmd_parse_size(optarg, &size) < 0 || size < 512 || size > 1 << 30)
		return cmd_misused(&cmd_create,
		    "'%s' is no density: 512 bytes to 1G per inode", optarg);
	opt->fs.mkfs.bytes_per_inode = (uint32_t)size;
	return CMD_DONE;
}

static int
set_size(uint64_t *to, const char *what)
{
	if (cmd_parse_size(optarg, to) < 0 || *to > (uint64_t)1 << 50)
		return cmd_misused(
		    &cmd_create, "'%s' is no size for %s", optarg, what);
	return CMD_DONE;
}

static int
set_free(struct create_options *opt)
{
	char digits[8];
	size_t len = strlen(optarg);
	long n = 0;

	if (len == 0 || optarg[len - 1] != '%')
		return set_size(&opt->fs.free_bytes, "--free");
	len--;
	if (len < sizeof(digits)) {
		memcpy(digits, optarg, len);
		digits[len] = '\0';
	}
	if (len >= sizeof(digits) || cmd_parse_number(digits, 0, 10000, &n) < 0)
		return cmd_misused(
		    &cmd_create, "'%s' is no share: 0%% to 10000%%", optarg);
	opt->fs.free_percent = (unsigned)n;
	return CMD_DONE;
}

/* Options of the file system: CMD_DONE, CMD_USAGE, or -1: another one. */
static int
take_ufs_option(struct create_options *opt, int c)
{
	uint32_t version = 0;
	int bad;

	switch (c) {
	case OPT_UFS:
		bad = set_small(&version, "version of UFS", 1, 2);
		opt->fs.mkfs.version = (int)version;
		return bad;
	case OPT_BLOCK:
		return set_power(
		    &opt->fs.mkfs.block_size, "block", 4096, 65536);
	case OPT_FRAG:
		return set_power(
		    &opt->fs.mkfs.frag_size, "fragment", 512, 65536);
	case OPT_DENSITY:
		return set_density(opt);
	case OPT_MINFREE:
		return set_small(&opt->fs.mkfs.minfree, "percentage", 0, 99);
	case OPT_LABEL:
		opt->fs.mkfs.label = optarg;
		return CMD_DONE;
	case OPT_FREE:
		return set_free(opt);
	case OPT_SIZE:
		return set_size(&opt->fs.size, "--size");
	case OPT_NO_HASHES:
		opt->fs.mkfs.check_hashes = false;
		return CMD_DONE;
	default:
		return -1;
	}
}

static int
take_option(struct create_options *opt, struct lists *lists, int c)
{
	switch (c) {
	case 'o':
		opt->out = optarg;
		return CMD_DONE;
	case OPT_FORMAT:
		return set_format(opt, optarg);
	case OPT_EXCLUDE:
		lists->excludes[lists->nexcludes++] = optarg;
		return CMD_DONE;
	case OPT_SET_FILE:
		lists->set_files[lists->nset_files++] = optarg;
		return CMD_DONE;
	case OPT_SET_CONF:
		lists->set_confs[lists->nset_confs++] = optarg;
		return CMD_DONE;
	default:
		return take_ufs_option(opt, c);
	}
}

static int
check_ufs(struct create_options *opt)
{
	uint32_t block = opt->fs.mkfs.block_size;

	if (opt->fs.size != 0 &&
	    (opt->fs.free_bytes != 0 || opt->fs.free_percent != 0))
		return cmd_misused(
		    &cmd_create, "--size and --free exclude each other");
	if (opt->fs.mkfs.frag_size == 0)
		opt->fs.mkfs.frag_size = block / FRAGS;
	if (opt->fs.mkfs.frag_size > block ||
	    opt->fs.mkfs.frag_size < block / FRAGS)
		return cmd_misused(&cmd_create,
		    "fragments must be 1, 1/2, 1/4 or 1/8 of a block");
	return CMD_DONE;
}

/* What only all options together tell. */
static int
check(struct create_options *opt, const struct uzip_args *args)
{
	enum create_format format = opt->fs.format;
	bool uzip_only = args->codec_set || args->cluster_set ||
	    args->params.dedup || args->params.keep_zeroes;

	if (opt->out == NULL)
		return cmd_misused(&cmd_create, "-o OUT is missing");
	if (format == CREATE_BY_NAME)
		format = create_format_of(opt->out);
	if (format != CREATE_UZIP && uzip_only)
		return cmd_misused(
		    &cmd_create, "-A, -L, -s, -d and -Z are for uzips");
	if (format == CREATE_UFS && args->level_set)
		return cmd_misused(&cmd_create, "-C is for uzips and gz files");
	if (format == CREATE_GZ && args->params.level > GZ_LEVEL_MAX)
		return cmd_misused(
		    &cmd_create, "gz has levels 1 to %d", GZ_LEVEL_MAX);
	opt->fs.gz_level = args->params.level;
	opt->fs.uzip = args->params;
	opt->fs.jobs = (unsigned)args->threads;
	return check_ufs(opt);
}

static int
parse(struct create_options *opt, struct lists *lists, int argc, char **argv)
{
	struct uzip_args args = {.params.cluster = DEFAULT_CLUSTER};
	int c;

	while ((c = cmd_option(
		    &cmd_create, argc, argv, "o:A:C:Ls:dZj:", longs)) != -1) {
		int bad = take_option(opt, lists, c);

		if (bad < 0)
			bad = uzip_args_set(&args, &cmd_create, c, optarg);
		if (bad != CMD_DONE)
			return bad;
	}
	if (!cmd_operands(&cmd_create, argc, argv, 1, 0))
		return CMD_USAGE;
	opt->sources = (const char *const *)argv + optind;
	opt->nsources = (size_t)(argc - optind);
	opt->excludes = lists->excludes;
	opt->nexcludes = lists->nexcludes;
	opt->set_files = lists->set_files;
	opt->nset_files = lists->nset_files;
	opt->set_confs = lists->set_confs;
	opt->nset_confs = lists->nset_confs;
	return check(opt, &args);
}

static int
run(int argc, char **argv)
{
	struct create_options opt = {
	    .fs.mkfs = {.version = 2,
		.block_size = DEFAULT_BLOCK,
		.minfree = DEFAULT_MINFREE,
		.check_hashes = true},
	};
	scoped(freep) const char **room =
	    calloc(3 * (size_t)argc + 3, sizeof(*room));
	struct lists lists = {.excludes = room};
	int bad;

	if (room == NULL)
		return cmd_exit(-ENOMEM);
	lists.set_files = room + argc;
	lists.set_confs = room + 2 * (size_t)argc;
	bad = parse(&opt, &lists, argc, argv);
	return bad != CMD_DONE ? bad : cmd_exit(create_run(&opt));
}

const struct command cmd_create = {
    "create", "make an image of directories and archives", usage, run};
