/* `relive create`: sources to a tree, the tree to an image. */
#include "create.h"

#include <inttypes.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "cmd.h"
#include "create_impl.h"
#include "outfile.h"

struct creation {
	const struct create_options *opt;
	struct create_fs_options how;
	struct order order;
	struct tree tree;
	struct create_fs fs;       /* of an image alone */
	struct layout_sizes sizes; /* of an ISO */
	struct outfile *to;
};

static bool
ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), n = strlen(end);

	return len > n && strcmp(name + len - n, end) == 0;
}

enum create_format
create_format_named(const char *name)
{
	static const struct {
		const char *end;
		enum create_format format;
	} ends[] = {
	    {".uzip", CREATE_UZIP},
	    {".uzst", CREATE_UZIP},
	    {".ulzma", CREATE_UZIP},
	    {".iso", CREATE_ISO},
	    {".gz", CREATE_GZ},
	    {".ufs", CREATE_UFS},
	};

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		if (ends_with(name, ends[i].end))
			return ends[i].format;
	return CREATE_BY_NAME;
}

enum create_format
create_format_of(const char *name)
{
	enum create_format format = create_format_named(name);

	return format == CREATE_BY_NAME ? CREATE_UFS : format;
}

/* -- the tree ---------------------------------------------------------------
 */

/* An output that is a source would be lost, or read while it is written. */
static int
check_sources(const struct create_options *opt)
{
	int rc = 0;

	for (size_t i = 0; i < opt->nsources && rc == 0; i++)
		rc = outfile_not_input(opt->out, opt->sources[i]);
	return rc;
}

static int
read_tree(struct creation *c)
{
	const struct create_options *opt = c->opt;
	int rc = 0;

	c->tree.excludes = opt->excludes;
	c->tree.nexcludes = opt->nexcludes;
	c->tree.beside = opt->out;
	for (size_t i = 0; i < opt->nsources && rc == 0; i++)
		rc = tree_add_source(&c->tree, opt->sources[i]);
	if (rc == 0)
		rc = tree_prune(&c->tree);
	for (size_t i = 0; i < opt->nset_files && rc == 0; i++)
		rc = create_set_file(&c->tree, opt->set_files[i]);
	for (size_t i = 0; i < opt->nset_confs && rc == 0; i++)
		rc = create_set_conf(&c->tree, opt->set_confs[i]);
	return rc;
}

static void
summarize(const struct creation *c)
{
	char a[32], b[32], d[32];

	if (c->how.format == CREATE_ISO) {
		log_info("'%s': %" PRIu64 " files, %s of data, in an ISO of %s",
		    c->opt->out, c->sizes.files,
		    cmd_bytes(a, sizeof(a), c->sizes.tree),
		    cmd_bytes(b, sizeof(b), c->sizes.iso));
		layout_tell_sizes(c->opt->layout.kind, &c->sizes);
		return;
	}
	log_info("'%s': %" PRIu64 " files, %s of data, in %s of UFS%d, "
		 "%s written",
	    c->opt->out, c->fs.need.files,
	    cmd_bytes(a, sizeof(a), c->fs.need.contents),
	    cmd_bytes(b, sizeof(b), c->fs.layout.meta->size),
	    c->fs.layout.info.version, cmd_bytes(d, sizeof(d), c->fs.written));
}

static int
write_image(struct creation *c)
{
	struct tree_reader reader;
	int rc;

	order_tell_missing(&c->order, &c->tree, NULL);
	rc = create_fs_lay_out(&c->fs, &c->how, &c->tree);
	if (rc < 0)
		return rc;
	tree_reader_init(&reader, &c->tree);
	rc = create_fs_write(&c->fs, &reader, outfile_dev(c->to), 0);
	if (rc == 0)
		rc = tree_reader_finish(&reader);
	tree_reader_release(&reader);
	return rc;
}

static int
write_iso(struct creation *c)
{
	struct layout_options opt = c->opt->layout;

	opt.out = c->opt->out;
	opt.fs = c->how;
	return layout_write(&c->tree, &opt, outfile_dev(c->to), &c->sizes);
}

static int
create(struct creation *c)
{
	int rc = check_sources(c->opt);

	if (rc == 0 && c->opt->order != NULL) {
		c->how.order = &c->order;
		rc = order_read(c->opt->order, &c->order);
	}
	if (rc == 0)
		rc = tree_init(&c->tree);
	/* the output first: it shows whether it can be made, and ^C is heard */
	if (rc == 0)
		rc = outfile_create(c->opt->out, &c->to);
	if (rc == 0) {
		tree_skip(&c->tree, c->opt->out);
		tree_skip(&c->tree, outfile_temporary(c->to));
		rc = read_tree(c);
	}
	if (rc == 0)
		rc =
		    c->how.format == CREATE_ISO ? write_iso(c) : write_image(c);
	if (rc == 0) {
		rc = outfile_commit(c->to);
		c->to = NULL;
	}
	return rc;
}

int
create_run(const struct create_options *opt)
{
	struct creation c = {.opt = opt, .how = opt->fs};
	unsigned said = cmd_errors_said();
	int rc;

	c.tree.spool = -1;
	c.how.name = opt->out;
	if (c.how.format == CREATE_BY_NAME)
		c.how.format = create_format_of(opt->out);
	rc = create(&c);
	if (rc == 0) {
		create_tell_losses(&c.tree, &c.fs.layout);
		summarize(&c);
	} else if (rc == -EINTR && cmd_errors_said() == said) {
		log_error("interrupted, '%s' not written", opt->out);
	}
	outfile_abort(c.to);
	create_fs_release(&c.fs);
	order_release(&c.order);
	tree_release(&c.tree);
	return rc;
}
