/* How a live system boots, and which system it is: small files of its tree. */
#include <ctype.h>
#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/bytes.h"
#include "info.h"

enum { TEXT_MAX = 64 << 10, VALUE_MAX = 256, KERNEL_MAX = 96 << 20 };

int
info_read_text(struct view *v, const char *path, char *buf, size_t len)
{
	struct view_node node;
	int rc = view_lookup(v, path, true, &node);
	int64_t n;

	if (rc < 0)
		return rc;
	if (!S_ISREG(node.mode))
		return -EINVAL;
	n = view_read(v, &node, 0, buf, len - 1);
	if (n < 0)
		return (int)n;
	buf[n] = '\0';
	return 0;
}

/*
 * The value of key in text of lines `key="value"` or `key=value`; the last
 * one counts, as for loader and sh.  false: there is none.
 */
static bool
value_of(const char *text, const char *key, char *buf, size_t len)
{
	size_t n = strlen(key);
	bool found = false;

	for (const char *p = text; p != NULL && *p != '\0';
	     p = strchr(p, '\n')) {
		size_t value;

		p += strspn(p, " \t\n");
		if (strncmp(p, key, n) != 0 || p[n] != '=')
			continue;
		p += n + 1;
		p += *p == '"';
		value = strcspn(p, "\"\n");
		snprintf(buf, len, "%.*s", (int)value, p);
		found = true;
	}
	return found;
}

/* -- boot pattern --------------------------------------------------------- */

/* A pattern holds when each key that it names begins with its value. */
static const struct pattern {
	const char *id, *text;
	struct {
		const char *key, *begins;
	} want[3];
} patterns[] = {
    {"ramdisk-reroot", "preloaded ramdisk, then another root (reroot)",
	{{"mfsroot_type", "md_image"}, {"init_script", ""}}},
    {"uzip-preloaded", "uzip preloaded as a memory disk",
	{{"mdroot_type", "md_image"},
	    {"vfs.root.mountfrom", "ufs:/dev/md0.uzip"}}},
    {"memroot",
	"small root preloaded into memory, images mounted by an init "
	"script",
	{{"mfsroot_load", ""}, {"mfsroot_type", "mfs_root"},
	    {"init_script", ""}}},
    {"mfsroot", "whole system preloaded into memory",
	{{"mfs_load", ""}, {"mfs_type", "mfs_root"}}},
    {"mfsroot", "whole system preloaded into memory",
	{{"mfsroot_load", ""}, {"mfsroot_type", "mfs_root"}}},
    {"ramdisk-reroot", "preloaded ramdisk",
	{{"mfsroot_load", ""}, {"mfsroot_name", ""}}},
    {"cd9660-init-script", "root on the ISO, images mounted by an init script",
	{{"init_script", ""}, {"vfs.root.mountfrom", "cd9660:"}}},
    {"init-script", "an init script prepares the root", {{"init_script", ""}}},
    {"init-chroot", "init runs in a chroot", {{"init_chroot", "/"}}},
    {"cd9660", "root on the ISO", {{"vfs.root.mountfrom", "cd9660:"}}},
    {"ufs", "root on a UFS", {{"vfs.root.mountfrom", "ufs:"}}},
};

static bool
holds(const struct pattern *p, const char *text)
{
	char value[VALUE_MAX];

	for (size_t i = 0; i < 3 && p->want[i].key != NULL; i++) {
		const char *begins = p->want[i].begins;

		if (!value_of(text, p->want[i].key, value, sizeof(value)) ||
		    strncmp(value, begins, strlen(begins)) != 0)
			return false;
	}
	return true;
}

void
info_boot(struct report *r, struct view *v)
{
	static const char *const keys[] = {"vfs.root.mountfrom", "init_script",
	    "init_chroot", "init_path", "mfsroot_name", "mfs_name",
	    "mdroot_name"};
	scoped(freep) char *text = malloc(TEXT_MAX);
	char value[VALUE_MAX];

	if (text == NULL ||
	    info_read_text(v, "/boot/loader.conf", text, TEXT_MAX) < 0)
		return;
	report_list_end(r);
	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
		if (!holds(&patterns[i], text))
			continue;
		report_text(r, "boot_pattern", NULL, patterns[i].id);
		report_text(r, NULL, "boots with", patterns[i].text);
		break;
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (value_of(text, keys[i], value, sizeof(value)))
			report_text(r, keys[i], keys[i], value);
}

/* -- release -------------------------------------------------------------- */

/*
 * FreeBSD's programs carry an ELF note of type 1 named "FreeBSD" with
 * __FreeBSD_version, early in the file: 1302001 is 13.2.
 */
static bool
version_from_note(const uint8_t *file, size_t n, char *buf, size_t len)
{
	static const uint8_t note[] = {8, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 'F',
	    'r', 'e', 'e', 'B', 'S', 'D', 0};
	const uint8_t *at = memmem(file, n, note, sizeof(note));
	const le32 *field;
	uint32_t version;

	if (at == NULL || (size_t)(file + n - at) < sizeof(note) + 4)
		return false;
	field = (const le32 *)(at + sizeof(note));
	version = le32_get(*field);
	snprintf(buf, len, "FreeBSD %u.%u (%u)", version / 100000,
	    version / 1000 % 100, version);
	return true;
}

static bool
release_from_programs(struct view *v, char *buf, size_t len)
{
	static const char *const programs[] = {
	    "/bin/sh", "/sbin/init", "/rescue/sh", "/bin/ls"};
	enum { HEAD = 4096 };
	char head[HEAD];

	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
		struct view_node node;
		int64_t n;

		if (view_lookup(v, programs[i], true, &node) < 0 ||
		    !S_ISREG(node.mode))
			continue;
		n = view_read(v, &node, 0, head, sizeof(head));
		if (n > 0 &&
		    version_from_note(
			(const uint8_t *)head, (size_t)n, buf, len))
			return true;
	}
	return false;
}

/* "FreeBSD 13.2-RELEASE-p4" in the n bytes at text: its length, or 0. */
static size_t
release_at(const char *text, size_t n)
{
	static const char letters[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	    "0123456789.-_";
	size_t at = strlen("FreeBSD "), most = n < 60 ? n : 60;

	if (at >= n || !isdigit((unsigned char)text[at]))
		return 0;
	while (
	    at < most && text[at] != '\0' && strchr(letters, text[at]) != NULL)
		at++;
	if (memchr(text, '.', at) == NULL || memchr(text, '-', at) == NULL)
		return 0;
	return at;
}

static bool
find_release(const char *text, size_t n, char *buf, size_t len)
{
	static const char sign[] = "FreeBSD ";
	const char *at = text;

	while ((at = memmem(at, n - (size_t)(at - text), sign,
		    sizeof(sign) - 1)) != NULL) {
		size_t found = release_at(at, n - (size_t)(at - text));

		if (found > 0) {
			snprintf(buf, len, "%.*s", (int)found, at);
			return true;
		}
		at++;
	}
	return false;
}

int
info_kernel(struct view *v, char *buf, size_t len)
{
	enum { PIECE = 1 << 20, OVERLAP = 80 };
	scoped(freep) char *piece = malloc(PIECE);
	struct view_node node;

	if (piece == NULL ||
	    view_lookup(v, "/boot/kernel/kernel", true, &node) < 0 ||
	    !S_ISREG(node.mode))
		return 0;
	for (uint64_t off = 0; off < node.size && off < KERNEL_MAX;
	     off += PIECE - OVERLAP) {
		int64_t n = view_read(v, &node, off, piece, PIECE);

		if (n <= 0)
			return 0;
		if (find_release(piece, (size_t)n, buf, len))
			return 1;
	}
	return 0;
}

int
info_release(struct view *v, char *buf, size_t len)
{
	scoped(freep) char *text = malloc(TEXT_MAX);
	char value[VALUE_MAX];

	if (text == NULL)
		return 0;
	if (info_read_text(v, "/bin/freebsd-version", text, TEXT_MAX) == 0 &&
	    value_of(text, "USERLAND_VERSION", value, sizeof(value))) {
		snprintf(buf, len, "FreeBSD %s", value);
		return 1;
	}
	if (release_from_programs(v, buf, len) || info_kernel(v, buf, len) == 1)
		return 1;
	if (info_read_text(v, "/etc/os-release", text, TEXT_MAX) == 0 &&
	    value_of(text, "PRETTY_NAME", value, sizeof(value))) {
		snprintf(buf, len, "%s", value);
		return 1;
	}
	return 0;
}
