/*
 * An address such as live.iso, base.ufs.uzip, live.iso:/data/base.ufs.uzip,
 * disk.img:p2 or disk.img:p2:/uzip/usr.local.uzip, opened layer by layer down
 * to the device that holds a file system.  Content decides what each layer is,
 * never its name.
 */
#ifndef IMAGE_H
#define IMAGE_H

#include <limits.h>

#include "../imgfmt/blkdev.h"
#include "../imgfmt/iso.h"
#include "../imgfmt/pool.h"

/* What a run of bytes turns out to be. */
enum image_kind {
	IMAGE_UNKNOWN,
	IMAGE_ISO,
	IMAGE_UZIP,
	IMAGE_UFS,
	IMAGE_GZ,
	IMAGE_PARTITIONED, /* GPT, MBR or BSD label */
	/* recognised, not edited: image_kind_advice says what to do */
	IMAGE_ZFS_POOL,
	IMAGE_ZFS_STREAM,
	IMAGE_CLOOP, /* Linux cloop 3, 4 or a uzip letter nobody knows */
	IMAGE_SQUASHFS,
	IMAGE_EXT,
	IMAGE_FAT,
	IMAGE_GELI, /* encrypted on FreeBSD */
	IMAGE_LUKS, /* encrypted on Linux */
	IMAGE_XZ,
	IMAGE_ZSTD,
	IMAGE_BZIP2,
	IMAGE_ZIP,
	IMAGE_QCOW,
	IMAGE_VMDK,
	IMAGE_VDI,
};

/* Look at dev's content.  A kind, or -errno. */
MUST_CHECK int image_identify(struct blkdev *dev);
/* "a UFS file system", "a squashfs image" ... */
const char *image_kind_name(enum image_kind kind);
/* What the user can do with a kind that relive does not edit; or NULL. */
const char *image_kind_advice(enum image_kind kind);

/* Whether what is inside can only be read after unpacking. */
bool image_kind_is_packed(enum image_kind kind);

/*
 * Split an address into the host file (or folder), as realpath(3) gives it,
 * and the rest, "" for none: the longest prefix that exists, cut at a ':' or
 * at the end.  Both are the caller's to free.  -ENOENT and others, said.
 */
MUST_CHECK int image_split(const char *address, char **path, char **inner);

/* One step from the host file to the file system. */
struct image_layer {
	enum image_kind kind;
	char *name; /* path in the ISO, partition; "" for what needs none */
	/* This layer's own bytes.  For a uzip and a gz: the container. */
	struct blkdev *dev;
	uint64_t off; /* in the host file where plain, else UINT64_MAX */
};

enum { IMAGE_LAYERS_MAX = 8 };

struct image {
	char *path;       /* of the host file, as realpath(3) gives it */
	char *inner;      /* the rest of the address, "" for none; canonical:
			     also filled in when an ISO has one image only */
	unsigned nlayers; /* layer[0] is the host file as a whole, the last
			     one is what holds the file system (IMAGE_UFS;
			     with IMAGE_ANY also another kind) */
	struct image_layer layer[IMAGE_LAYERS_MAX];
	struct iso *iso;          /* or NULL; of the layer of kind ISO */
	struct iso_node iso_node; /* the image's file in it */
	struct blkdev *uzip;      /* or NULL: the uzip device, from uzip_open */
	/* Uncompressed, read-only: holds the file system.  NULL where the
	 * flags made image_open stop before it. */
	struct blkdev *dev;
	bool inflated; /* dev is a copy that gz_inflate made */
};

struct image_options {
	struct pool *pool;  /* or NULL; borrowed */
	uint64_t cache_max; /* bytes of decompressed clusters kept */
	/* Where a .gz is inflated to and looked for: a folder that exists;
	 * NULL: an unlinked file in TMPDIR. */
	const char *scratch;
};

enum {
	IMAGE_TOP_ONLY = 1, /* stop at the address's own layer, whatever kind it
			       is: `info` of an ISO with several images, `ls`
			       of its tree */
	IMAGE_NO_INFLATE = 2, /* stop at a gz */
	IMAGE_ANY = 4,        /* what the containers hold need not be a UFS */
	IMAGE_FIRST = 8, /* of several system images on an ISO the first one */
};

/*
 * Open address: the longest prefix that exists is the host file.  An ISO or a
 * disk that holds exactly one system image needs no inner path; with several
 * the error lists them.  -EINVAL, said: what it is instead, and the advice.
 * Others as the layers', said.
 */
MUST_CHECK int image_open(const char *address,
    const struct image_options *options, unsigned flags, struct image **out);
void image_close(struct image *image);

static inline void
image_closep(struct image **image)
{
	image_close(*image);
}

/*
 * The layer that holds the image as one run of bytes, compressed or not: the
 * first that is neither ISO nor partitioned.
 */
const struct image_layer *image_container(const struct image *image);

struct ufs;
struct ufs_attr;

/* Find path in a UFS; follows no symbolic link.  -ENOENT, -ENOTDIR. */
MUST_CHECK int image_ufs_lookup(
    struct ufs *fs, const char *path, struct ufs_attr *out);

/*
 * Regular file ino as a device, which owns fs from now on (after an error the
 * caller still does).  Its flush is ufs_flush.
 */
MUST_CHECK int image_ufs_file(
    struct ufs *fs, uint64_t ino, bool writable, struct blkdev **out);

/*
 * What files of a session are called that belong to the image with this inner
 * address: "image" where it is empty, else '/' becomes '%' (and '%' "%%").
 */
void image_overlay_name(const char *inner, char out[NAME_MAX + 1]);

/* A system image found on an ISO. */
struct image_found {
	char path[1024];
	enum image_kind
	    kind; /* as identified; what is in a gz is not looked at */
	struct iso_node node;
};
/*
 * Search the ISO's tree for files that look like images (every regular file
 * of 2 KiB and more: its first bytes); at most n are stored, how many there are
 * is returned, or -errno.
 */
MUST_CHECK int image_find(
    struct iso *iso, struct image_found *found, unsigned n);
/*
 * As image_find, but only those that an address without a path may mean: uzip
 * and UFS images, or where there are none, such in a gz; of the first n files
 * that look like images.
 */
MUST_CHECK int image_find_systems(
    struct iso *iso, struct image_found *found, unsigned n);
/* Only those that can be edited; not more than n; how many. */
MUST_CHECK int image_find_editable(
    struct iso *iso, struct image_found *found, unsigned n);

#endif
