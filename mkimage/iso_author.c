/* Writing a new ISO: what is asked for is checked, then it is written. */
#include "iso_author.h"

#include <inttypes.h>
#include <string.h>

#include "../imgfmt/bytes.h"
#include "../imgfmt/crc32c.h"
#include "../imgfmt/fat.h"
#include "../imgfmt/log.h"
#include "iso_author_impl.h"

enum {
	SECTOR = 2048,
	LABEL_MAX = 32,
	FIELD_MAX = 128,
	CDBOOT_MAX = 64 << 10,
	LOADER_MAX = 255 * SECTOR, /* trap 68 */
};

/* -- texts of the volume ----------------------------------------------------
 */

/* Printable ASCII; a space at the end would be lost. */
static int
check_text(const char *what, const char *text, size_t most)
{
	size_t len = text == NULL ? 0 : strlen(text);

	if (len > most) {
		log_error("%s '%s' is too long for an ISO: at most %zu bytes",
		    what, text, most);
		return -EINVAL;
	}
	for (size_t i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~') {
			log_error("%s '%s' has characters that an ISO cannot "
				  "hold: only printable ASCII",
			    what, text);
			return -EINVAL;
		}
	if (len > 0 && text[len - 1] == ' ') {
		log_error("%s '%s' ends with a space, which an ISO cannot hold",
		    what, text);
		return -EINVAL;
	}
	return 0;
}

static int
check_texts(const struct iso_author *how)
{
	int rc = check_text("label", how->label, LABEL_MAX);

	if (rc == 0 && (how->label == NULL || how->label[0] == '\0')) {
		log_error("an ISO needs a label");
		return -EINVAL;
	}
	if (rc == 0 && strchr(how->label, '/') != NULL) {
		log_error("label '%s' has a slash, which /dev/iso9660 cannot "
			  "show",
		    how->label);
		return -EINVAL;
	}
	if (rc == 0)
		rc = check_text("volume set", how->volume_set, FIELD_MAX);
	return rc == 0 ? check_text("publisher", how->publisher, FIELD_MAX)
		       : rc;
}

/* -- files that booting needs -----------------------------------------------
 */

/* The regular file at path, with something in it, or NULL for no path. */
static int
find_file(const struct iso_author *how, const char *path, const char *what,
    const struct tree_node **out)
{
	const struct tree_node *node;

	*out = NULL;
	if (path == NULL)
		return 0;
	node = tree_find(how->tree, path);
	if (node == NULL) {
		log_error("the tree has no '%s', %s", path, what);
		return -EINVAL;
	}
	if (!S_ISREG(node->mode)) {
		log_error("'%s', %s, is not a regular file", path, what);
		return -EINVAL;
	}
	*out = node;
	return 0;
}

static int
find_files(struct author *a)
{
	const struct iso_author *how = a->how;
	bool usb = how->pmbr != NULL && how->isoboot != NULL;
	int rc = find_file(how, how->cdboot, "the boot image", &a->cdboot);

	if (rc == 0)
		rc = find_file(
		    how, how->loader_efi, "the UEFI loader", &a->loader_efi);
	if (rc == 0 && usb)
		rc = find_file(
		    how, how->pmbr, "the boot code of disks", &a->pmbr);
	if (rc == 0 && usb)
		rc = find_file(
		    how, how->isoboot, "the boot code of disks", &a->isoboot);
	if (rc == 0)
		rc =
		    find_file(how, how->last, "which shall lie last", &a->last);
	return rc;
}

/* What cdboot needs; it follows no links and knows no Rock Ridge (3.2). */
static int
check_cdboot(const struct author *a)
{
	const struct tree_node *loader;
	int rc;

	if (a->cdboot == NULL)
		return 0;
	if (a->cdboot->size == 0 || a->cdboot->size > CDBOOT_MAX) {
		log_error("'%s' has %" PRIu64 " bytes: a boot image has 1 to "
			  "%d",
		    a->how->cdboot, a->cdboot->size, CDBOOT_MAX);
		return -EINVAL;
	}
	rc = find_file(a->how, "boot/loader", "which cdboot starts", &loader);
	if (rc == 0 && loader->size > LOADER_MAX) {
		log_error("'boot/loader' has %" PRIu64 " bytes: cdboot loads "
			  "at most %d",
		    loader->size, LOADER_MAX);
		return -EINVAL;
	}
	return rc;
}

/* -- the UEFI entry ---------------------------------------------------------
 */

/* Make its file system; the serial number differs with label and loader. */
static int
make_fat(struct author *a)
{
	const struct tree_node *node = a->loader_efi;
	const struct iso_author *how = a->how;
	scoped(freep) uint8_t *loader = NULL;
	uint32_t serial;
	le64 now = le64_set((uint64_t)how->now);
	int rc;

	if (node == NULL)
		return 0;
	rc = node->size > FAT_BYTES_MAX ? -EFBIG
					: author_read_file(a, node, &loader);
	if (rc == 0) {
		serial = crc32c(0xffffffff, loader, (size_t)node->size);
		serial = crc32c(serial, how->label, strlen(how->label));
		serial = crc32c(serial, &now, sizeof(now));
		rc = fat_efi_make(loader, (size_t)node->size, how->now, serial,
		    &a->fat, &a->fat_size);
	}
	if (rc == -EINVAL)
		log_error("'%s' is no UEFI loader of a machine that FreeBSD "
			  "boots on",
		    how->loader_efi);
	if (rc == -EFBIG)
		log_error("'%s' has %" PRIu64 " bytes: a UEFI boot entry has "
			  "at most 32 MiB",
		    how->loader_efi, node->size);
	return rc;
}

/* -- the whole --------------------------------------------------------------
 */

static int
prepare(struct author *a)
{
	int rc = check_texts(a->how);

	if (rc == 0)
		rc = find_files(a);
	if (rc == 0)
		rc = check_cdboot(a);
	if (rc == 0)
		rc = author_list_files(a);
	if (rc == 0)
		rc = make_fat(a);
	return rc == 0 ? author_plan_hybrid(a) : rc;
}

static void
tell_losses(const struct author *a)
{
	if (a->lost_flags > 0)
		log_warn("flags of %" PRIu64 " files left out: an ISO has none",
		    a->lost_flags);
	if (a->lost_xattrs > 0)
		log_warn("extended attributes of %" PRIu64 " files left out: "
			 "an ISO has none",
		    a->lost_xattrs);
}

int
iso_author_write(const struct iso_author *how, struct tree_reader *reader,
    struct progress *bar, struct blkdev *out)
{
	struct author a = {.how = how, .reader = reader};
	int rc = prepare(&a);

	if (rc == 0)
		rc = author_write_image(&a, bar, out);
	if (rc == 0) {
		rc = author_write_hybrid(&a, out);
		if (rc < 0 && rc != -ENOMEM)
			log_error("cannot write the ISO: %s", strerror(-rc));
	}
	if (rc == -ENOMEM)
		log_error("cannot make the ISO: %s", strerror(ENOMEM));
	if (rc == 0)
		tell_losses(&a);
	free(a.pmbr_code);
	free(a.isoboot_code);
	free(a.fat);
	free(a.files);
	return rc;
}
