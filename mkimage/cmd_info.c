/* relive info: what is this, layer by layer. */
#include <string.h>

#include "../imgfmt/log.h"
#include "commands.h"
#include "info.h"

enum { FOUND_MAX = 64 };

static const char usage[] =
    "info [OPTION...] IMAGE|SESSION\n"
    "Tell what an image is, layer by layer: ISO, partitions, uzip, file\n"
    "system, the system in it and how it boots.  Reads no more than it needs\n"
    "to know.\n"
    "\n"
    "      --json          for machines\n"
    "      --session DIR   with what the session in DIR changed\n";

struct info {
	struct report report;
	const char *address;
	struct image *top;
	struct iso *iso; /* of layer 0, or NULL; ours */
	struct image_found *found;
	int nfound;
};

/* How a layer is called in its heading. */
static const char *
title_of(const struct image *image, unsigned i)
{
	return image->layer[i].name[0] != '\0' ? image->layer[i].name
	    : i == 0                           ? image->path
					       : "";
}

/* The file system of address and the session's changes, if that is one. */
static int
tell_file_system(struct info *info, const char *title, const char *session)
{
	scoped(session_closep) struct session *s = NULL;
	struct view v = {0};
	int rc = view_session(info->address, session, &s);

	if (rc < 0)
		return rc;
	v.fs = s->fs;
	info_ufs(&info->report, &v, title);
	info_session(&info->report, s);
	return 0;
}

/* Content that is not a file system of ours: its name and what to do. */
static int
tell_other(struct info *info, enum image_kind kind, const char *title,
    const struct blkdev *dev)
{
	const char *advice = image_kind_advice(kind);
	char text[1200], size[32];

	if (kind == IMAGE_UNKNOWN && dev == info->top->layer[0].dev) {
		log_error("'%s' is nothing that relive knows", info->address);
		return -EINVAL;
	}
	snprintf(text, sizeof(text), "%s%s%s, %s", title,
	    *title != '\0' ? ": " : "", image_kind_name(kind),
	    cmd_bytes(size, sizeof(size), dev->size));
	report_layer(&info->report, info_kind_token(kind), text);
	report_number(&info->report, "bytes", NULL, dev->size);
	if (advice != NULL)
		report_text(&info->report, "advice", "advice", advice);
	return 0;
}

static int
tell_uzip(struct info *info, struct blkdev *container, const char *title)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	int rc = info_uzip(&info->report, container, title, &dev);

	if (rc < 0)
		return rc;
	rc = image_identify(dev);
	if (rc < 0)
		return rc;
	if (rc == IMAGE_PARTITIONED)
		return info_partitions(&info->report, dev);
	return rc == IMAGE_UFS ? tell_file_system(info, "", NULL)
			       : tell_other(info, rc, "", dev);
}

static int
tell_last(struct info *info, const struct image_layer *last, const char *title)
{
	switch (last->kind) {
	case IMAGE_UZIP:
		return tell_uzip(info, last->dev, title);
	case IMAGE_GZ:
		return info_gz(&info->report, last->dev, title);
	case IMAGE_UFS:
		return tell_file_system(info, title, NULL);
	default:
		return tell_other(info, last->kind, title, last->dev);
	}
}

/*
 * The one image of an ISO that an address without a path means, or -1: of the
 * plain ones, and only where there are none, of the gzipped ones.
 */
static int
only_candidate(const struct info *info)
{
	int plain = 0, gz = 0, last_plain = -1, last_gz = -1;

	for (int i = 0; i < info->nfound; i++) {
		enum image_kind kind = info->found[i].kind;

		if (kind == IMAGE_UZIP || kind == IMAGE_UFS) {
			plain++;
			last_plain = i;
		} else if (kind == IMAGE_GZ) {
			gz++;
			last_gz = i;
		}
	}
	if (plain > 0)
		return plain == 1 ? last_plain : -1;
	return gz == 1 ? last_gz : -1;
}

static int
tell_image_in_iso(struct info *info, const struct image_found *found)
{
	struct image_layer layer = {.kind = found->kind};
	int rc = iso_file_open(info->iso, &found->node, &layer.dev);

	if (rc < 0)
		return rc;
	rc = tell_last(info, &layer, found->path);
	blkdev_close(layer.dev);
	return rc;
}

/* Whether a gzip file on the ISO holds an image; many do not. */
static bool
gz_holds_image(struct info *info, const struct image_found *found)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	int kind;

	if (iso_file_open(info->iso, &found->node, &dev) < 0)
		return false;
	kind = info_gz_holds(dev);
	return kind == IMAGE_UFS || kind == IMAGE_UZIP;
}

static int
find_images(struct info *info)
{
	int n, kept = 0;
	int rc = iso_open(info->top->layer[0].dev, &info->iso);

	if (rc < 0)
		return rc;
	info->found = calloc(FOUND_MAX, sizeof(*info->found));
	if (info->found == NULL)
		return -ENOMEM;
	n = image_find(info->iso, info->found, FOUND_MAX);
	for (int i = 0; i < n && i < FOUND_MAX; i++)
		if (info->found[i].kind != IMAGE_GZ ||
		    gz_holds_image(info, &info->found[i]))
			info->found[kept++] = info->found[i];
	info->nfound = kept;
	return n < 0 ? n : 0;
}

/* An ISO of which a part is missing. */
static int
tell_cut(struct info *info)
{
	uint64_t is = info->top->layer[0].dev->size;

	log_error("'%s' is cut short: %llu of %llu bytes", info->address,
	    (unsigned long long)is,
	    (unsigned long long)iso_info(info->iso)->size);
	return -ECORRUPT;
}

static int
tell_image(struct info *info)
{
	const struct image *top = info->top;
	unsigned i = 0;
	int one, rc = 0;

	if (top->layer[0].kind == IMAGE_ISO) {
		rc = find_images(info);
		if (rc < 0)
			return rc;
		info_iso(&info->report, info->iso, info->top, info->found,
		    info->nfound);
		if (iso_info(info->iso)->size > top->layer[0].dev->size)
			return tell_cut(info);
		one = only_candidate(info);
		if (top->nlayers == 1)
			return one < 0
			    ? 0
			    : tell_image_in_iso(info, &info->found[one]);
		i = 1;
	}
	for (; i < top->nlayers && rc == 0; i++) {
		const struct image_layer *layer = &top->layer[i];

		if (layer->kind == IMAGE_PARTITIONED) {
			rc = tell_other(
			    info, layer->kind, title_of(top, i), layer->dev);
			if (rc == 0)
				rc = info_partitions(&info->report, layer->dev);
		} else if (i + 1 == top->nlayers) {
			rc = tell_last(info, layer, title_of(top, i));
		}
	}
	return rc;
}

static int
run(int argc, char **argv)
{
	enum { JSON = CMD_LONG, SESSION };
	static const struct option longs[] = {
	    {"json", no_argument, NULL, JSON},
	    {"session", required_argument, NULL, SESSION},
	    {NULL, 0, NULL, 0},
	};
	struct info info = {0};
	const char *session = NULL;
	bool json = false;
	int c, rc, finished;

	while ((c = cmd_option(&cmd_info, argc, argv, "", longs)) != -1) {
		if (c == JSON)
			json = true;
		else
			session = optarg;
	}
	if (!cmd_operands(&cmd_info, argc, argv, 1, 1))
		return CMD_USAGE;
	info.address = argv[optind];
	report_start(&info.report, json);
	report_text(&info.report, "address", NULL, info.address);
	if (session != NULL || view_is_session(info.address)) {
		rc = tell_file_system(&info, info.address, session);
	} else {
		rc = image_open(info.address, &(struct image_options){0},
		    IMAGE_TOP_ONLY, &info.top);
		if (rc == 0)
			rc = tell_image(&info);
	}
	finished = report_finish(&info.report, false);
	if (rc == 0)
		rc = finished < 0 ? finished : cmd_flush_stdout();
	iso_close(info.iso);
	image_close(info.top);
	free(info.found);
	return cmd_exit(rc);
}

const struct command cmd_info = {
    "info", "tell what an image is, layer by layer", usage, run};
