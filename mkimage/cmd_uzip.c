/* relive uzip, relive unuzip: what mkuzip(8) does, and back. */
#include <string.h>

#include "../fusefs/image.h"
#include "../imgfmt/log.h"
#include "../imgfmt/uzip.h"
#include "commands.h"
#include "outfile.h"
#include "progress.h"
#include "uzip_args.h"

enum { DEFAULT_CLUSTER = 16384, PIECE = 4 << 20 };

struct uzip_job {
	struct uzip_args args;
	bool summary;
	const char *in, *out;
	struct blkdev *from;
	struct outfile *to;
	struct pool *pool;
	struct uzip_writer *writer;
	struct uzip_written written;
};

static const struct option longs[] = {
    {"output", required_argument, NULL, 'o'},
    {"summary", no_argument, NULL, 'S'},
    UZIP_ARGS_LONGS,
    {NULL, 0, NULL, 0},
};

static const char uzip_usage[] =
    "uzip [OPTION...] RAW -o OUT.uzip\n"
    "Compress the raw disk image RAW into a geom_uzip image, with the option\n"
    "letters of mkuzip(8).  OUT appears whole or not at all.\n"
    "\n"
    "  -o, --output OUT      the file to write\n"
    "  -A, --algorithm NAME  zlib (default), lzma or zstd\n"
    "  -C, --level N         compression level of the algorithm\n"
    "  -L, --lzma            the same as -A lzma\n"
    "  -s, --cluster SIZE    bytes of a cluster, a multiple of 512 up to 1M;\n"
    "                        16384\n"
    "  -d, --dedup           store equal clusters once\n"
    "  -Z, --keep-zeroes     compress clusters of zeroes too\n"
    "  -S, --summary         print a summary to standard output\n"
    "  -j, --threads N       threads that compress; one a processor\n";

static void
job_release(struct uzip_job *job)
{
	uzip_writer_close(job->writer);
	pool_close(job->pool);
	outfile_abort(job->to);
	blkdev_close(job->from);
}

static int
parse(struct uzip_job *job, int argc, char **argv)
{
	int c;

	while ((c = cmd_option(&cmd_uzip, argc, argv, "o:S" UZIP_ARGS_SHORTS,
		    longs)) != -1) {
		int bad = 0;

		if (c == 'o')
			bad = cmd_output(&cmd_uzip, optarg, &job->out);
		else if (c == 'S')
			job->summary = true;
		else
			bad = uzip_args_set(&job->args, &cmd_uzip, c, optarg);
		if (bad != 0)
			return bad;
	}
	if (!cmd_operands(&cmd_uzip, argc, argv, 1, 1))
		return CMD_USAGE;
	job->in = argv[optind];
	if (job->out == NULL)
		return cmd_misused(&cmd_uzip, "-o OUT is missing");
	return uzip_args_check_level(&job->args, &cmd_uzip);
}

/* The device to read, whose size gives the number of clusters. */
static int
open_input(struct uzip_job *job, uint32_t *nclusters)
{
	uint64_t cluster = job->args.params.cluster, n;
	int rc = blkdev_file_open(job->in, &job->from);

	if (rc < 0) {
		log_error("cannot open '%s': %s", job->in, strerror(-rc));
		return rc;
	}
	n = job->from->size / cluster + (job->from->size % cluster != 0);
	if (n == 0 || n >= UINT32_MAX) {
		log_error("'%s' cannot be compressed: %s", job->in,
		    n == 0 ? "it is empty" : "too many clusters; choose -s");
		return n == 0 ? -EINVAL : -EFBIG;
	}
	*nclusters = (uint32_t)n;
	return 0;
}

static int
compress_all(struct uzip_job *job)
{
	scoped(freep) void *buf = malloc(PIECE);
	struct progress bar;
	uint64_t off = 0;
	int rc = buf == NULL ? -ENOMEM : 0;

	progress_start(&bar, "compressing", job->from->size);
	while (rc == 0 && off < job->from->size) {
		uint64_t left = job->from->size - off;
		size_t n = left < PIECE ? (size_t)left : PIECE;

		rc = blkdev_read(job->from, off, buf, n);
		if (rc == 0)
			rc = uzip_writer_put(job->writer, buf, n);
		off += n;
		if (rc == 0)
			rc = progress_update(&bar, off);
	}
	if (rc == 0)
		rc = uzip_writer_finish(job->writer, &job->written);
	progress_stop(&bar);
	if (rc < 0 && rc != -EINTR && rc != -EOVERFLOW)
		log_error("cannot compress '%s' to '%s': %s", job->in, job->out,
		    strerror(-rc));
	if (rc == -EINTR)
		log_error("interrupted, '%s' not written", job->out);
	return rc;
}

static void
print_summary(const struct uzip_job *job)
{
	const struct uzip_written *w = &job->written;

	printf("data size %llu bytes, compressed to %llu bytes "
	       "(%.1f %%)\n%llu clusters compressed, %llu zero, "
	       "%llu duplicates\n",
	    (unsigned long long)job->from->size, (unsigned long long)w->bytes,
	    100.0 * (double)w->bytes / (double)job->from->size,
	    (unsigned long long)w->compressed, (unsigned long long)w->zero,
	    (unsigned long long)w->backref);
}

static int
do_uzip(struct uzip_job *job)
{
	uint32_t nclusters;
	int rc = open_input(job, &nclusters);

	if (rc == 0)
		rc = outfile_not_input(job->out, job->in);
	if (rc == 0)
		rc = pool_open((unsigned)job->args.threads, &job->pool);
	if (rc == 0)
		rc = outfile_create(job->out, &job->to);
	if (rc == 0)
		rc = uzip_writer_open(outfile_dev(job->to), 0, nclusters,
		    &job->args.params, job->pool, &job->writer);
	if (rc == 0)
		rc = compress_all(job);
	if (rc == 0) {
		rc = outfile_commit(job->to);
		job->to = NULL;
	}
	return rc;
}

static int
run_uzip(int argc, char **argv)
{
	struct uzip_job job = {.args.params.cluster = DEFAULT_CLUSTER};
	int rc = parse(&job, argc, argv);

	if (rc != CMD_DONE)
		return rc;
	rc = do_uzip(&job);
	if (rc == 0 && job.summary) {
		print_summary(&job);
		rc = cmd_flush_stdout();
	}
	job_release(&job);
	return cmd_exit(rc);
}

const struct command cmd_uzip = {
    "uzip", "compress a raw disk image", uzip_usage, run_uzip};

/* -- unuzip --------------------------------------------------------------- */

static const char unuzip_usage[] =
    "unuzip [OPTION...] IMAGE.uzip -o RAW\n"
    "Decompress a geom_uzip image, also one inside an ISO\n"
    "(live.iso:/data/system.uzip).  Zeroes become holes.\n"
    "\n"
    "  -o, --output RAW      the file to write\n"
    "  -j, --threads N       threads that decompress; one a processor\n";

/* The decompressed view of the uzip at address, whatever is in it. */
static int
open_uzip(const char *address, struct pool *pool, struct image **image,
    struct blkdev **out)
{
	struct image_options options = {.pool = pool};
	const struct image_layer *last;
	int rc = image_open(address, &options, IMAGE_TOP_ONLY, image);

	if (rc < 0)
		return rc;
	last = &(*image)->layer[(*image)->nlayers - 1];
	if (last->kind == IMAGE_UZIP) {
		struct blkdev *container = blkdev_ref(last->dev);

		rc = uzip_open(container, 0, pool, out);
		if (rc < 0)
			blkdev_close(container);
		return rc;
	}
	/* an ISO or a disk: then its one system image must be a uzip */
	image_close(*image);
	*image = NULL;
	rc = image_open(address, &options, 0, image);
	if (rc < 0)
		return rc;
	if ((*image)->uzip == NULL) {
		log_error("'%s' is not a uzip", address);
		return -EINVAL;
	}
	*out = blkdev_ref((*image)->uzip);
	return 0;
}

static int
copy_sparse(struct blkdev *from, struct blkdev *to)
{
	scoped(freep) uint8_t *buf = malloc(PIECE);
	struct progress bar;
	uint64_t off = 0;
	int rc = buf == NULL ? -ENOMEM : blkdev_resize(to, from->size);

	progress_start(&bar, "decompressing", from->size);
	while (rc == 0 && off < from->size) {
		uint64_t left = from->size - off;
		size_t n = left < PIECE ? (size_t)left : PIECE;

		rc = blkdev_read(from, off, buf, n);
		if (rc == 0)
			rc = blkdev_write_sparse(to, off, buf, n);
		off += n;
		if (rc == 0)
			rc = progress_update(&bar, off);
	}
	progress_stop(&bar);
	return rc;
}

static int
do_unuzip(const char *in, const char *out, unsigned threads)
{
	scoped(image_closep) struct image *image = NULL;
	scoped(outfile_abortp) struct outfile *to = NULL;
	struct blkdev *from = NULL;
	struct pool *pool = NULL;
	int rc = outfile_not_input(out, in);

	if (rc == 0)
		rc = pool_open(threads, &pool);
	if (rc == 0)
		rc = open_uzip(in, pool, &image, &from);
	if (rc == 0)
		rc = outfile_create(out, &to);
	if (rc == 0) {
		rc = copy_sparse(from, outfile_dev(to));
		if (rc < 0)
			log_error("cannot decompress '%s' to '%s': %s", in, out,
			    strerror(-rc));
	}
	if (rc == 0) {
		rc = outfile_commit(to);
		to = NULL;
	}
	blkdev_close(from);
	image_close(image);
	image = NULL;
	pool_close(pool);
	return rc;
}

static int
run_unuzip(int argc, char **argv)
{
	static const struct option unuzip_longs[] = {
	    {"output", required_argument, NULL, 'o'},
	    {"threads", required_argument, NULL, 'j'},
	    {NULL, 0, NULL, 0},
	};
	struct uzip_args args = {0};
	const char *out = NULL;
	int c;

	while ((c = cmd_option(
		    &cmd_unuzip, argc, argv, "o:j:", unuzip_longs)) != -1) {
		int bad = c == 'o'
		    ? cmd_output(&cmd_unuzip, optarg, &out)
		    : uzip_args_set(&args, &cmd_unuzip, c, optarg);

		if (bad != CMD_DONE)
			return bad;
	}
	if (!cmd_operands(&cmd_unuzip, argc, argv, 1, 1))
		return CMD_USAGE;
	if (out == NULL)
		return cmd_misused(&cmd_unuzip, "-o RAW is missing");
	return cmd_exit(do_unuzip(argv[optind], out, (unsigned)args.threads));
}

const struct command cmd_unuzip = {
    "unuzip", "decompress a uzip", unuzip_usage, run_unuzip};
