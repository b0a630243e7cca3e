/* relive convert: an image laid out afresh. */
#include "commands.h"
#include "convert.h"

enum { OPT_SESSION = CMD_LONG, OPT_ORDER };

static const struct option longs[] = {
    {"output", required_argument, NULL, 'o'},
    {"session", required_argument, NULL, OPT_SESSION},
    {"order", required_argument, NULL, OPT_ORDER},
    ISO_ARGS_LONGS,
    FS_ARGS_LONGS,
    UZIP_ARGS_LONGS,
    {NULL, 0, NULL, 0},
};

static const char usage[] =
    "convert IMAGE -o OUT [OPTION...]\n"
    "Lay IMAGE's files out afresh: without the traces of edits, in another "
    "form,\n"
    "or as another UFS.  Owners, flags, links, holes, attributes and all "
    "times\n"
    "stay; what no option names is as IMAGE has it.  IMAGE.relive, or "
    "--session,\n"
    "is IMAGE with what was edited.  OUT that ends in .ufs, .uzip or .gz is "
    "the\n"
    "image alone, else it is what IMAGE is: an ISO, a disk, a uzip.\n"
    "\n"
    "  -o, --output OUT      the file to write\n"
    "      --session DIR     with what the session in DIR changed\n"
    "      --format KIND     ufs, uzip or gz: the image alone, whatever OUT "
    "is\n"
    "                        called\n"
    "      --layout KIND     a new bootable ISO of the live root: plain, uzip "
    "or\n"
    "                        memroot (see create); settings of the old layout\n"
    "                        are replaced, which is said\n"
    "      --volume-set NAME --publisher NAME\n"
    "                        of that ISO; as the old one has them\n"
    "      --no-tweak        let its settings alone\n"
    "      --trim            without modules and boot files that a CD boot "
    "does\n"
    "                        not use\n"
    "      --gzip-kernel     with boot/kernel/kernel.gz\n"
    "      --archive NAME[=SOURCE]\n"
    "                        with an archive of the system (see create)\n"
    "      --order LIST      a file of paths: those lie first, in that order\n"
    "      --ufs N           1 or 2\n"
    "      --byte-order ORDER\n"
    "                        little or big\n"
    "      --block SIZE      of the file system\n"
    "      --frag SIZE       fragment size; with --block an eighth of it\n"
    "      --density SIZE    bytes per inode; as many inodes as the tree "
    "needs\n"
    "      --minfree N       percent that only root may fill\n"
    "      --label NAME      for /dev/ufs/NAME; with --layout, the ISO's\n"
    "      --free SPACE|N%   room beyond what the tree takes; about as IMAGE\n"
    "                        has, but none in an OUT that is a UFS\n"
    "      --size SIZE       of the file system; as large as needed\n"
    "      --no-check-hashes UFS2 without the check hashes of FreeBSD 13\n"
    "  -A, --algorithm NAME  of a uzip: zlib, lzma or zstd\n"
    "  -C, --level N         compression level, also of a gz; then all is\n"
    "                        compressed again\n"
    "  -L, --lzma            the same as -A lzma\n"
    "  -s, --cluster SIZE    bytes of a cluster\n"
    "  -d, --dedup           store equal clusters once\n"
    "  -Z, --keep-zeroes     compress clusters of zeroes too\n"
    "  -j, --threads N       threads that compress; one a processor\n";

static int
take_option(struct convert_options *opt, int c)
{
	int bad;

	switch (c) {
	case 'o':
		return cmd_output(&cmd_convert, optarg, &opt->out);
	case OPT_SESSION:
		opt->session_dir = optarg;
		return CMD_DONE;
	case OPT_ORDER:
		opt->order = optarg;
		return CMD_DONE;
	default:
		bad = fs_args_set(&opt->fs, &cmd_convert, c, optarg);
		if (bad < 0)
			bad = iso_args_set(&opt->iso, &cmd_convert, c, optarg);
		if (bad < 0)
			bad =
			    uzip_args_set(&opt->uzip, &cmd_convert, c, optarg);
		return bad;
	}
}

/* What does not depend on IMAGE. */
static int
check(struct convert_options *opt)
{
	enum create_format format = opt->fs.fs.format;
	int bad;

	if (opt->out == NULL)
		return cmd_misused(&cmd_convert, "-o OUT is missing");
	bad = opt->uzip.codec_set
	    ? uzip_args_check_level(&opt->uzip, &cmd_convert)
	    : CMD_DONE;
	if (bad != CMD_DONE)
		return bad;
	if (opt->iso.layout_set) {
		bad = iso_args_check(
		    &opt->iso, &opt->fs, &opt->uzip, &cmd_convert, opt->out);
		return bad != CMD_DONE ? bad
				       : fs_args_check(&opt->fs, &opt->uzip,
					     &cmd_convert, CREATE_ISO);
	}
	if (opt->iso.set)
		return cmd_misused(&cmd_convert,
		    "--volume-set, --publisher, --no-tweak, --trim, "
		    "--gzip-kernel and --archive go with --layout");
	if (format == CREATE_BY_NAME)
		format = convert_format_of(opt->out);
	if (format == CREATE_BY_NAME)
		format = CREATE_UZIP; /* which may have all options */
	return fs_args_check(&opt->fs, &opt->uzip, &cmd_convert, format);
}

static int
parse(struct convert_options *opt, int argc, char **argv)
{
	int c;

	while ((c = cmd_option(&cmd_convert, argc, argv, "o:" UZIP_ARGS_SHORTS,
		    longs)) != -1) {
		int bad = take_option(opt, c);

		if (bad != CMD_DONE)
			return bad;
	}
	if (!cmd_operands(&cmd_convert, argc, argv, 1, 1))
		return CMD_USAGE;
	opt->address = argv[optind];
	return check(opt);
}

static int
run(int argc, char **argv)
{
	struct convert_options opt = {0};
	int code = parse(&opt, argc, argv);

	if (code == CMD_DONE)
		code = cmd_exit(convert_run(&opt));
	iso_args_release(&opt.iso);
	return code;
}

const struct command cmd_convert = {
    "convert", "lay an image out afresh, or in another form", usage, run};
