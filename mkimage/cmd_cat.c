/* relive cat: files of an image, to standard output. */
#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/log.h"
#include "commands.h"
#include "view.h"

static const char usage[] =
    "cat [OPTION...] IMAGE PATH...\n"
    "Write files of the live root to standard output.\n"
    "\n"
    "      --iso           of the ISO's own tree, not of the image in it\n"
    "      --session DIR   with what the session in DIR changed\n";

static int
put(void *arg, uint64_t off, const void *buf, size_t len)
{
	(void)arg;
	(void)off;
	if (cmd_write_stdout(buf, len))
		return 0;
	(void)!cmd_flush_stdout();
	return -EPIPE;
}

static int
cat(struct view *v, const char *path)
{
	struct view_node node;
	int rc = view_lookup(v, path, true, &node);

	if (rc == 0 && S_ISDIR(node.mode))
		rc = -EISDIR;
	else if (rc == 0 && !S_ISREG(node.mode))
		rc = -EINVAL;
	if (rc < 0) {
		log_error("'%s': %s", path,
		    rc == -EINVAL ? "not a regular file" : strerror(-rc));
		return rc;
	}
	rc = view_copy(v, &node, put, NULL);
	if (rc < 0 && rc != -EIO && rc != -EPIPE && rc != -ECORRUPT)
		log_error("'%s': %s", path, strerror(-rc));
	return rc;
}

static int
run(int argc, char **argv)
{
	enum { ISO = CMD_LONG, SESSION };
	static const struct option longs[] = {
	    {"iso", no_argument, NULL, ISO},
	    {"session", required_argument, NULL, SESSION},
	    {NULL, 0, NULL, 0},
	};
	struct view_options options = {0};
	struct view v;
	int c, rc, worst = 0;

	while ((c = cmd_option(&cmd_cat, argc, argv, "", longs)) != -1) {
		if (c == ISO)
			options.iso = true;
		else
			options.session = optarg;
	}
	if (!cmd_operands(&cmd_cat, argc, argv, 2, 0))
		return CMD_USAGE;
	rc = view_open(argv[optind], &options, &v);
	worst = rc;
	for (int i = optind + 1; rc == 0 && i < argc; i++) {
		int one = cat(&v, argv[i]);

		if (worst == 0 || one == -ECORRUPT)
			worst = one;
		if (one == -EPIPE) /* nobody takes what follows either */
			break;
	}
	if (worst == 0)
		worst = cmd_flush_stdout();
	view_close(&v);
	return cmd_exit(worst);
}

const struct command cmd_cat = {
    "cat", "print files of the live root", usage, run};
