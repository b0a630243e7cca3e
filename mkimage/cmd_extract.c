/* relive extract: a tree out of an image, to a directory or a tar. */
#include <string.h>

#include "../imgfmt/log.h"
#include "commands.h"
#include "outfile.h"
#include "tree_out.h"
#include "tree_tar.h"

struct extract {
	struct view_options options;
	const char *out;
	bool tar;
	struct tree_out_counts counts;
};

static const char usage[] =
    "extract [OPTION...] IMAGE [PATH...] -o OUT\n"
    "Write files of the live root, and all below them, under their whole\n"
    "paths to the directory OUT, or to a tar when OUT ends in .tar, .tgz,\n"
    ".txz, .tbz, .tbz2, .tzst, .tar.gz, .tar.xz, .tar.bz2, .tar.zst or is "
    "'-'.\n"
    "Hard links, holes, owners, times and attributes are kept; what cannot be\n"
    "done is counted and said.\n"
    "\n"
    "  -o, --output OUT    where to\n"
    "      --tar           a tar, whatever OUT is called\n"
    "      --iso           of the ISO's own tree, not of the image in it\n"
    "      --session DIR   with what the session in DIR changed\n";

/* All of paths (n of them; none: the root) to t. */
static int
add_all(
    struct extract *x, struct tree_out *t, struct view *v, char **paths, int n)
{
	int rc = n == 0 ? tree_out_add(t, v, "/") : 0;

	for (int i = 0; rc == 0 && i < n; i++)
		rc = tree_out_add(t, v, paths[i]);
	if (rc == 0)
		rc = tree_out_finish(t, &x->counts);
	return rc;
}

static int
to_directory(struct extract *x, struct view *v, char **paths, int n)
{
	struct tree_out *t = NULL;
	int rc = tree_out_directory(x->out, &t);

	if (rc == 0)
		rc = add_all(x, t, v, paths, n);
	tree_out_free(t);
	return rc;
}

static int
to_tar(struct extract *x, struct view *v, char **paths, int n)
{
	scoped(outfile_abortp) struct outfile *o = NULL;
	struct tree_out *t = NULL;
	uint64_t off;
	int fd = STDOUT_FILENO, rc = 0;

	if (strcmp(x->out, "-") != 0) {
		rc = outfile_create(x->out, &o);
		interrupts_end_at_once(); /* xz works on for many seconds */
		if (rc == 0)
			rc = blkdev_locate(outfile_dev(o), 0, &fd, &off);
	}
	if (rc == 0)
		rc = tree_out_tar(fd, x->out, &t);
	if (rc == 0)
		rc = add_all(x, t, v, paths, n);
	tree_out_free(t);
	if (rc == 0 && o != NULL) {
		rc = outfile_commit(o);
		o = NULL;
	}
	return rc;
}

static void
report_one(uint64_t n, const char *what)
{
	if (n > 0)
		log_warn("%llu %s", (unsigned long long)n, what);
}

static int
report(const struct tree_out_counts *c)
{
	char bytes[32];

	log_info("%llu files, %s of data", (unsigned long long)c->files,
	    cmd_bytes(bytes, sizeof(bytes), c->bytes));
	report_one(c->owners, "files belong to you: only root can give away");
	report_one(c->devices, "device nodes or sockets not made");
	report_one(c->flags, "files' flags not kept: a tar keeps them");
	report_one(c->xattrs, "extended attributes not kept: a tar keeps them");
	report_one(c->snapshots, "file system snapshots not copied");
	if (c->failed == 0)
		return 0;
	log_error(
	    "%llu files could not be extracted", (unsigned long long)c->failed);
	return c->damaged > 0 ? -ECORRUPT : -EIO;
}

/* paths, n of them, of address; none: all there is. */
static int
extract(struct extract *x, const char *address, char **paths, int n)
{
	struct view v;
	int rc = view_open(address, &x->options, &v);

	if (rc < 0)
		return rc;
	/* a slip is told before anything is made */
	for (int i = 0; rc == 0 && i < n; i++)
		rc = tree_out_check(&v, paths[i]);
	if (rc == 0)
		rc = x->tar ? to_tar(x, &v, paths, n)
			    : to_directory(x, &v, paths, n);
	if (rc == 0)
		rc = report(&x->counts);
	view_close(&v);
	return rc;
}

static int
run(int argc, char **argv)
{
	enum { TAR = CMD_LONG, ISO, SESSION };
	static const struct option longs[] = {
	    {"output", required_argument, NULL, 'o'},
	    {"tar", no_argument, NULL, TAR},
	    {"iso", no_argument, NULL, ISO},
	    {"session", required_argument, NULL, SESSION},
	    {NULL, 0, NULL, 0},
	};
	struct extract x = {0};
	int c;

	while ((c = cmd_option(&cmd_extract, argc, argv, "o:", longs)) != -1) {
		if (c == 'o')
			x.out = optarg;
		else if (c == TAR)
			x.tar = true;
		else if (c == ISO)
			x.options.iso = true;
		else
			x.options.session = optarg;
	}
	if (!cmd_operands(&cmd_extract, argc, argv, 1, 0))
		return CMD_USAGE;
	if (x.out == NULL)
		return cmd_misused(&cmd_extract, "-o OUT is missing");
	if (strcmp(x.out, "-") == 0 || tree_tar_is_name(x.out))
		x.tar = true;
	return cmd_exit(
	    extract(&x, argv[optind], argv + optind + 1, argc - optind - 1));
}

const struct command cmd_extract = {
    "extract", "copy files out, to a directory or a tar", usage, run};
