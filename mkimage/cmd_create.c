/* relive create: an image from directories, archives and specifications. */
#include <string.h>

#include "commands.h"
#include "create.h"
#include "iso_args.h"

enum {
	OPT_EXCLUDE = CMD_LONG,
	OPT_SET_FILE,
	OPT_SET_CONF,
	OPT_ORDER,
};

#define DEFAULT_LABEL "LIVE"

enum {
	DEFAULT_CLUSTER = 16384,
	DEFAULT_BLOCK = 32768,
	DEFAULT_MINFREE = 8, /* newfs's */
};

static const struct option longs[] = {
    {"output", required_argument, NULL, 'o'},
    {"exclude", required_argument, NULL, OPT_EXCLUDE},
    {"set-file", required_argument, NULL, OPT_SET_FILE},
    {"set-conf", required_argument, NULL, OPT_SET_CONF},
    {"order", required_argument, NULL, OPT_ORDER},
    FS_ARGS_LONGS,
    ISO_ARGS_LONGS,
    UZIP_ARGS_LONGS,
    {NULL, 0, NULL, 0},
};

static const char usage[] =
    "create -o OUT [OPTION...] SOURCE...\n"
    "Make a bootable ISO, or a UFS image, of directories, archives (tar and\n"
    "others, in any compression) and mtree(5) specifications; later ones lie "
    "on\n"
    "top of earlier ones.  Owners, flags, links, devices and times arrive "
    "without\n"
    "root.\n"
    "\n"
    "  -o, --output OUT      the file to write: .iso is an ISO, .uzip and .gz\n"
    "                        are compressed images, all else is a plain one\n"
    "      --format KIND     iso, ufs, uzip or gz, whatever OUT is called\n"
    "      --layout KIND     of an ISO: uzip (default; the tree compressed),\n"
    "                        memroot (the same, writable at run time) or "
    "plain\n"
    "      --exclude PATTERN leave out paths, or with no slash in it names,\n"
    "                        that match, and all below them\n"
    "      --set-file PATH=FILE\n"
    "                        let FILE be PATH in the image\n"
    "      --set-conf FILE:KEY=VALUE\n"
    "                        assign KEY in FILE of the image, e.g.\n"
    "                        boot/loader.conf:autoboot_delay=3\n"
    "      --order LIST      let the files that LIST names, one a line, lie\n"
    "                        first and in that order; - is standard input\n"
    "      --ufs N           1 or 2 (default)\n"
    "      --byte-order ORDER\n"
    "                        little (default) or big\n"
    "      --block SIZE      of the file system; 32768\n"
    "      --frag SIZE       fragment size; an eighth of a block\n"
    "      --density SIZE    bytes per inode; as many inodes as the tree "
    "needs\n"
    "      --minfree N       percent that only root may fill; 8\n"
    "      --label NAME      for /dev/ufs/NAME, or of an ISO; LIVE\n"
    "      --volume-set NAME of an ISO\n"
    "      --publisher NAME  of an ISO\n"
    "      --no-tweak        leave fstab, rc.conf and loader.conf alone\n"
    "      --trim            leave out modules and boot files that a CD does\n"
    "                        not use to boot\n"
    "      --gzip-kernel     let the loader inflate the kernel\n"
    "      --archive NAME[=SOURCE]\n"
    "                        put the tree, or SOURCE alone, on the ISO as an\n"
    "                        archive too, e.g. base.txz\n"
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

/* Options that are ours alone: CMD_DONE, CMD_USAGE, or -1: another one. */
static int
take_option(struct create_options *opt, struct lists *lists, int c)
{
	switch (c) {
	case 'o':
		return cmd_output(&cmd_create, optarg, &opt->out);
	case OPT_EXCLUDE:
		lists->excludes[lists->nexcludes++] = optarg;
		return CMD_DONE;
	case OPT_SET_FILE:
		lists->set_files[lists->nset_files++] = optarg;
		return create_check_set_file(optarg) < 0 ? CMD_USAGE : CMD_DONE;
	case OPT_ORDER:
		opt->order = optarg;
		return CMD_DONE;
	case OPT_SET_CONF:
		lists->set_confs[lists->nset_confs++] = optarg;
		return create_check_set_conf(optarg) < 0 ? CMD_USAGE : CMD_DONE;
	default:
		return -1;
	}
}

/* What only all options together tell. */
static int
check(struct create_options *opt, struct fs_args *fs, struct iso_args *iso,
    const struct uzip_args *uzip)
{
	int bad;

	if (opt->out == NULL)
		return cmd_misused(&cmd_create, "-o OUT is missing");
	bad = iso_args_check(iso, fs, uzip, &cmd_create, opt->out);
	if (bad == CMD_DONE)
		bad = fs_args_check(fs, uzip, &cmd_create, fs->fs.format);
	if (bad == CMD_DONE)
		bad = uzip_args_check_level(uzip, &cmd_create);
	if (iso->layout.label == NULL)
		iso->layout.label = DEFAULT_LABEL;
	opt->fs = fs->fs;
	opt->layout = iso->layout;
	return bad;
}

static int
parse(struct create_options *opt, struct lists *lists, struct iso_args *iso,
    int argc, char **argv)
{
	struct uzip_args uzip = {.params.cluster = DEFAULT_CLUSTER};
	struct fs_args fs = {
	    .fs.mkfs = {.version = 2,
		.block_size = DEFAULT_BLOCK,
		.minfree = DEFAULT_MINFREE,
		.check_hashes = true},
	};
	int c;

	while ((c = cmd_option(&cmd_create, argc, argv, "o:" UZIP_ARGS_SHORTS,
		    longs)) != -1) {
		int bad = take_option(opt, lists, c);

		if (bad < 0)
			bad = fs_args_set(&fs, &cmd_create, c, optarg);
		if (bad < 0)
			bad = iso_args_set(iso, &cmd_create, c, optarg);
		if (bad < 0)
			bad = uzip_args_set(&uzip, &cmd_create, c, optarg);
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
	return check(opt, &fs, iso, &uzip);
}

static int
run(int argc, char **argv)
{
	struct create_options opt = {0};
	scoped(freep) const char **room =
	    calloc(3 * (size_t)argc + 3, sizeof(*room));
	struct iso_args iso = {.layout.kind = LAYOUT_UZIP};
	struct lists lists = {.excludes = room};
	int bad;

	if (room == NULL)
		return cmd_exit(-ENOMEM);
	lists.set_files = room + argc;
	lists.set_confs = room + 2 * (size_t)argc;
	bad = parse(&opt, &lists, &iso, argc, argv);
	if (bad == CMD_DONE)
		bad = cmd_exit(create_run(&opt));
	iso_args_release(&iso);
	return bad;
}

const struct command cmd_create = {"create",
    "make an ISO or an image of directories and archives", usage, run};
