/*
 * An ISO of which several parts were edited: its own tree first, then one
 * image after the other, each step from what the one before has written.  The
 * images come last, so that the next commit moves nothing.
 */
#include <fcntl.h>
#include <string.h>

#include "../imgfmt/compat.h"
#include "../imgfmt/log.h"
#include "commit_impl.h"
#include "container.h"

struct chain {
	struct commit *c;
	struct blkdev *from; /* what the next step starts with; owned */
	struct blkdev *last; /* where the last step writes; not owned */
	unsigned steps;      /* still to go */
};

/* A file for a step between: it has no name, and lies where the result will. */
static int
scratch(const struct commit *c, struct blkdev **out)
{
	scoped(freep) char *dir = strdup(c->where);
	char *slash = dir != NULL ? strrchr(dir, '/') : NULL;
	int fd;

	if (dir == NULL)
		return -ENOMEM;
	if (slash != NULL)
		slash[slash == dir] = '\0';
	fd = compat_nameless_file(slash != NULL ? dir : ".");
	if (fd == -EOPNOTSUPP) {
		FILE *f = tmpfile();

		fd = f == NULL ? -errno : fcntl(fileno(f), F_DUPFD_CLOEXEC, 0);
		if (f != NULL)
			(void)fclose(f);
	}
	if (fd < 0) {
		log_error("'%s': no temporary file: %s", dir, strerror(-fd));
		return fd;
	}
	return blkdev_file_adopt(fd, true, out);
}

/* Where the next step writes. */
static int
next_out(struct chain *chain, struct blkdev **out)
{
	if (--chain->steps > 0)
		return scratch(chain->c, out);
	*out = blkdev_ref(chain->last);
	return 0;
}

/* What was written is what the next step starts with. */
static int
go_on(struct chain *chain, struct blkdev *out, int rc)
{
	if (rc < 0) {
		blkdev_close(out);
		return rc;
	}
	blkdev_close(chain->from);
	chain->from = out;
	return 0;
}

static int64_t
read_file(void *arg, uint64_t id, uint64_t off, void *buf, size_t len)
{
	return ufs_read(arg, id, off, buf, len);
}

/* The loader was there for cdboot, and is not any more. */
static int
warn_loader(struct iso *before, struct blkdev *after)
{
	uint64_t len, was;
	struct iso *iso;
	int rc;

	if (iso_cdboot_finds_loader(before, &was) != 1)
		return 0;
	rc = iso_open(after, &iso);
	if (rc < 0)
		return rc;
	rc = iso_cdboot_finds_loader(iso, &len);
	iso_close(iso);
	if (rc == 0)
		log_warn("cdboot will find no /boot/loader on the ISO");
	else if (rc == 1 && len > ISO_LOADER_MOST && was <= ISO_LOADER_MOST)
		log_warn("cdboot loads no /boot/loader of more than %d bytes, "
			 "and this one has %llu",
		    ISO_LOADER_MOST, (unsigned long long)len);
	return rc < 0 ? rc : 0;
}

static int
edit_tree(struct chain *chain)
{
	struct parts *parts = &chain->c->parts;
	const struct iso_edit_source source = {
	    .read = read_file, .arg = parts->iso->fs};
	struct blkdev *out;
	int rc = next_out(chain, &out);

	if (rc == 0)
		rc = go_on(chain, out,
		    iso_edit_write(
			parts->iso->image->iso, parts->tree, &source, out));
	if (rc == 0)
		rc = warn_loader(parts->iso->image->iso, chain->from);
	if (rc == 0)
		log_info("the ISO's own tree: %lu added, %lu changed, %lu "
			 "removed",
		    parts->changes[ISO_EDIT_ADDED],
		    parts->changes[ISO_EDIT_CHANGED],
		    parts->changes[ISO_EDIT_REMOVED]);
	return rc;
}

/* Put the image of c into the ISO as it is by now. */
static int
put_image(struct chain *chain, struct commit *c)
{
	const char *path = c->image->layer[c->target].name;
	struct iso_node node;
	struct blkdev *out;
	struct iso *iso;
	int rc = iso_open(chain->from, &iso);

	if (rc < 0)
		return rc;
	rc = iso_lookup(iso, path, &node);
	if (rc == 0)
		rc = next_out(chain, &out);
	if (rc == 0)
		rc = go_on(chain, out,
		    container_write_iso(iso, &node, out, commit_put_target, c));
	iso_close(iso);
	return rc;
}

int
commit_write_whole(struct commit *c, bool with_first, struct blkdev *out)
{
	struct chain chain = {
	    .c = c,
	    .from = blkdev_ref(c->image->layer[0].dev),
	    .last = out,
	    .steps = with_first + c->nothers + (c->parts.iso != NULL),
	};
	int rc = c->parts.iso != NULL ? edit_tree(&chain) : 0;

	if (rc == 0 && with_first)
		rc = put_image(&chain, c);
	for (unsigned i = 0; i < c->nothers && rc == 0; i++) {
		struct commit *other = &c->others[i];

		rc = put_image(&chain, other);
		if (rc == 0)
			log_info("'%s': image of %llu bytes (%+lld)",
			    c->parts.path[i],
			    (unsigned long long)other->report_new,
			    (long long)other->report_new -
				(long long)other->report_base);
	}
	blkdev_close(chain.from);
	return rc;
}
