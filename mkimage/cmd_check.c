/* relive check: judge an image, layer by layer, as kernels and fsck would. */
#include <string.h>

#include "../fusefs/session.h"
#include "../imgfmt/log.h"
#include "../imgfmt/uzip.h"
#include "commands.h"
#include "info.h"
#include "outfile.h"
#include "progress.h"
#include "view.h"

enum { FOUND_MAX = 64 };

struct check {
	struct pool *pool;
	long faults;
	unsigned said; /* error lines before the layer under way */
	int rc;        /* the first error that kept us from judging */
};

static const char usage[] =
    "check [OPTION...] IMAGE|SESSION\n"
    "Verify every layer: ISO structures, each cluster and the index of a\n"
    "uzip, and the file system as fsck_ffs(8) would.  Of IMAGE.relive, or\n"
    "with --session, the merged state is judged.  Exit code 3 means damaged.\n"
    "\n"
    "      --session DIR   with what the session in DIR changed\n"
    "  -j, --threads N     threads that decompress; one a processor\n";

/* Count a layer's result: faults found, or an error. */
static void
add(struct check *check, const char *what, int rc)
{
	if (rc > 0) {
		check->faults += rc;
	} else if (rc == -ECORRUPT) {
		check->faults++; /* said by who found it */
	} else if (rc < 0) {
		if (check->rc == 0)
			check->rc = rc;
		if (rc == -EINTR)
			log_error("interrupted");
		else if (cmd_errors_said() == check->said)
			log_error(
			    "cannot check the %s: %s", what, strerror(-rc));
	} else {
		log_debug("%s: no fault", what);
	}
	check->said = cmd_errors_said();
}

static void
check_uzip(struct check *check, struct blkdev *dev)
{
	struct progress bar;
	int rc;

	progress_start(&bar, "checking clusters", dev->size);
	rc = uzip_check(dev, check->pool, progress_update, &bar);
	progress_stop(&bar);
	add(check, "uzip", rc);
}

static int
inodes_done(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	(void)done;
	(void)total;
	return interrupted() ? -EINTR : 0;
}

static void
check_ufs(struct check *check, struct blkdev *dev)
{
	add(check, "file system", ufs_check(dev, NULL, 0, inodes_done, NULL));
}

/* Whether what is in a uzip can be judged; said where not. */
static bool
is_judged(const char *address, struct blkdev *dev)
{
	int kind = image_identify(dev);

	/* what cannot be read is told when it is opened */
	if (kind < 0 ||
	    (kind != IMAGE_UNKNOWN && kind != IMAGE_ISO &&
		image_kind_advice((enum image_kind)kind) == NULL))
		return true;
	log_warn("'%s': the content is not judged: it is %s", address,
	    image_kind_name((enum image_kind)kind));
	return false;
}

enum container { NO_CONTAINER, GO_ON, NO_FURTHER };

/*
 * The uzip that address leads to, opened even if its index is faulty, so that
 * all its faults are told; and whether what is in it can be judged.
 */
static enum container
check_container(
    struct check *check, const char *address, const struct image *top)
{
	const struct image_layer *last = &top->layer[top->nlayers - 1];
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	struct blkdev *container;
	int rc;

	if (last->kind != IMAGE_UZIP)
		return NO_CONTAINER;
	container = blkdev_ref(last->dev);
	rc = uzip_open_damaged(container, 0, check->pool, &dev);
	if (rc < 0) {
		blkdev_close(container);
		add(check, "uzip", rc);
		return GO_ON;
	}
	check_uzip(check, dev);
	return is_judged(address, dev) ? GO_ON : NO_FURTHER;
}

/* The layers below the ISO; top is opened at the address's own layer. */
static void
check_image(struct check *check, const char *address, const struct image *top,
    const struct image_options *options)
{
	scoped(image_closep) struct image *image = NULL;
	long before = check->faults;
	enum container state = check_container(check, address, top);
	int rc;

	if (check->rc < 0 || state == NO_FURTHER)
		return;
	rc = image_open(address, options, 0, &image);
	if (rc == -ECORRUPT && check->faults > before)
		return; /* a fault told already hides the file system */
	if (rc < 0) {
		add(check, "image", rc);
		return;
	}
	if (image->uzip != NULL && state == NO_CONTAINER)
		check_uzip(check, image->uzip);
	check_ufs(check, image->dev);
}

/* Whether a gzip file on the ISO holds nothing to judge, as most do. */
static bool
is_other_gz(struct iso *iso, const struct image_found *found)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	int kind;

	if (found->kind != IMAGE_GZ ||
	    iso_file_open(iso, &found->node, &dev) < 0)
		return false;
	kind = info_gz_holds(dev);
	return kind >= 0 && kind != IMAGE_UFS && kind != IMAGE_UZIP;
}

/* One image of an ISO that may hold several. */
static void
check_found(struct check *check, const char *path,
    const struct image_found *found, const struct image_options *options)
{
	scoped(image_closep) struct image *image = NULL;
	scoped(freep) char *address = NULL;
	int rc;

	if (asprintf(&address, "%s:%s", path, found->path) < 0) {
		address = NULL;
		add(check, "image", -ENOMEM);
		return;
	}
	if (image_kind_advice(found->kind) != NULL) {
		log_warn("'%s' is not judged: %s", address,
		    image_kind_name(found->kind));
		return;
	}
	rc = image_open(address, options, IMAGE_TOP_ONLY, &image);
	if (rc == 0)
		check_image(check, address, image, options);
	else
		add(check, "image", rc);
}

static void
check_found_all(struct check *check, const char *path, struct iso *iso,
    const struct image_options *options)
{
	scoped(freep) struct image_found *found =
	    calloc(FOUND_MAX, sizeof(*found));
	int n = found == NULL ? -ENOMEM : image_find(iso, found, FOUND_MAX);

	if (n < 0)
		add(check, "ISO", n);
	for (int i = 0; i < n && i < FOUND_MAX; i++)
		if (!is_other_gz(iso, &found[i]))
			check_found(check, path, &found[i], options);
}

/* An ISO as a whole: its own structure, and every image in it. */
static void
check_iso(
    struct check *check, struct image *top, const struct image_options *options)
{
	struct iso *iso = NULL;
	int rc = iso_open(top->layer[0].dev, &iso);

	if (rc < 0) {
		add(check, "ISO", rc);
		return;
	}
	add(check, "ISO", iso_check(iso));
	check_found_all(check, top->path, iso, options);
	iso_close(iso);
}

static void
check_base(struct check *check, const char *address)
{
	struct image_options options = {.pool = check->pool};
	scoped(image_closep) struct image *image = NULL;
	int rc = image_open(address, &options, IMAGE_TOP_ONLY, &image);

	if (rc == 0 && image->nlayers == 1 &&
	    image->layer[0].kind == IMAGE_ISO) {
		check_iso(check, image, &options);
		return;
	}
	if (rc < 0) {
		add(check, "image", rc);
		return;
	}
	if (image->iso != NULL)
		add(check, "ISO", iso_check(image->iso));
	check_image(check, address, image, &options);
}

static void
check_session(struct check *check, const char *address, const char *dir)
{
	scoped(session_closep) struct session *s = NULL;
	int rc = view_session(address, dir, &s);

	if (rc < 0) {
		add(check, "session", rc);
		return;
	}
	if (s->image->iso != NULL)
		add(check, "ISO", iso_check(s->image->iso));
	if (s->image->uzip != NULL)
		check_uzip(check, s->image->uzip);
	check_ufs(check, s->cache != NULL ? s->cache : s->image->dev);
}

static int
verdict(const struct check *check, const char *address)
{
	if (check->faults > 0) {
		log_error("'%s' is damaged: %ld fault%s", address,
		    check->faults, check->faults == 1 ? "" : "s");
		return CMD_DAMAGED;
	}
	if (check->rc < 0)
		return cmd_exit(check->rc);
	if (!cmd_quiet())
		printf("%s: no fault found\n", address);
	return cmd_exit(cmd_flush_stdout());
}

static int
run(int argc, char **argv)
{
	enum { SESSION = CMD_LONG };
	static const struct option longs[] = {
	    {"session", required_argument, NULL, SESSION},
	    {"threads", required_argument, NULL, 'j'},
	    {NULL, 0, NULL, 0},
	};
	struct check check = {0};
	const char *dir = NULL, *address;
	long threads = 0;
	int c, rc;

	while ((c = cmd_option(&cmd_check, argc, argv, "j:", longs)) != -1) {
		if (c == SESSION)
			dir = optarg;
		else if (cmd_parse_number(optarg, 1, 256, &threads) < 0)
			return cmd_misused(
			    &cmd_check, "'%s' is no number of threads", optarg);
	}
	if (!cmd_operands(&cmd_check, argc, argv, 1, 1))
		return CMD_USAGE;
	address = argv[optind];
	rc = pool_open((unsigned)threads, &check.pool);
	if (rc < 0)
		return cmd_exit(rc);
	if (dir != NULL || view_is_session(address))
		check_session(&check, address, dir);
	else
		check_base(&check, address);
	pool_close(check.pool);
	return verdict(&check, address);
}

const struct command cmd_check = {
    "check", "verify every layer of an image", usage, run};
