/*
 * Settings without which a live system does not come up multi-user
 * (formats.md 3.7 to 3.10).  Each change is said.
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "layout_impl.h"
#include "loader_conf.h"
#include "tree_ids.h"

#define FSTAB   "etc/fstab"
#define RC_CONF "etc/rc.conf"

/*
 * The kernel takes 31 of the 32 bytes of a volume id (strlcpy in
 * g_label_iso9660.c), no blanks at their end, and of the name it makes of them
 * no more than 63 characters (g_label_create in g_label.c).
 */
void
layout_device(const char *label, char device[LAYOUT_DEVICE_MAX])
{
	const size_t most = strlen("/dev/") + LAYOUT_PROVIDER_MAX;
	size_t len = strnlen(label, LAYOUT_LABEL_SHOWN), n;

	while (len > 0 && label[len - 1] == ' ')
		len--;
	n = (size_t)snprintf(device, LAYOUT_DEVICE_MAX, "/dev/iso9660/");
	for (size_t i = 0; i < len && n < most; i++) {
		unsigned char c = (unsigned char)label[i];

		if (isgraph(c) && c != '"' && c != '%')
			n += (size_t)snprintf(
			    device + n, LAYOUT_DEVICE_MAX - n, "%c", c);
		else
			n += (size_t)snprintf(
			    device + n, LAYOUT_DEVICE_MAX - n, "%%%02X", c);
	}
	device[n < most ? n : most] = '\0';
}

/* -- assignments ------------------------------------------------------------
 */

struct setting {
	const char *key, *value;
};

/* What file of t assigns to key at last, to be freed; NULL: nothing. */
static int
assigned(const struct tree *t, const char *file, const char *key, char **out)
{
	const struct tree_node *node = tree_find(t, file);
	scoped(freep) char *text = NULL;
	size_t len = strlen(key);
	int rc;

	*out = NULL;
	if (node == NULL || !S_ISREG(node->mode))
		return 0;
	rc = tree_text(t, node, &text);
	if (rc < 0)
		return rc;
	for (char *save, *line = strtok_r(text, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save)) {
		line += strspn(line, " \t");
		if (strncmp(line, key, len) != 0 || line[len] != '=')
			continue;
		free(*out);
		*out = strdup(line + len + 1);
		if (*out == NULL)
			return -ENOMEM;
	}
	return 0;
}

/* Whether a value as it stands in the file, quoted or not, is text. */
static bool
is_value(const char *value, const char *text)
{
	char quote = *value;
	size_t n = strlen(text);

	if (quote == '"' || quote == '\'')
		return strncmp(value + 1, text, n) == 0 &&
		    value[n + 1] == quote;
	return strncmp(value, text, n) == 0 &&
	    (value[n] == '\0' || isspace((unsigned char)value[n]));
}

/* Let t have a file of its own where other trees have it too. */
static int
own_text(struct tree *t, const char *file)
{
	const struct tree_node *node = tree_find(t, file);
	char *text = NULL;
	int rc;

	if (node == NULL || !S_ISREG(node->mode) || t->whole == NULL)
		return 0;
	rc = tree_text(t, node, &text);
	return rc < 0 ? rc : tree_put_text(t, file, node->mode & 07777, text);
}

/*
 * What is to be changed must be a file: where a link leads is another file,
 * perhaps of another tree, and cd9660 of the loader follows none.
 */
static int
check_changeable(const struct tree *t, const char *file)
{
	const struct tree_node *node = tree_find(t, file);

	if (node == NULL || S_ISREG(node->mode))
		return 0;
	log_error("'%s' of the tree is not a regular file: it cannot be "
		  "changed so that the ISO comes up (--no-tweak leaves it)",
	    file);
	return -EINVAL;
}

static int
set(struct tree *t, const char *file, const struct setting *s)
{
	scoped(freep) char *old = NULL, *what = NULL;
	int rc = check_changeable(t, file);

	if (rc == 0)
		rc = assigned(t, file, s->key, &old);
	if (rc < 0 || (old != NULL && is_value(old, s->value)))
		return rc;
	if (asprintf(&what, "%s:%s=\"%s\"", file, s->key, s->value) < 0) {
		what = NULL;
		return -ENOMEM;
	}
	rc = own_text(t, file);
	if (rc == 0)
		rc = create_set_conf(t, what);
	if (rc == 0 && old != NULL)
		log_info("%s: %s=\"%s\" (was %s)", file, s->key, s->value, old);
	else if (rc == 0)
		log_info("%s: %s=\"%s\"", file, s->key, s->value);
	return rc;
}

static int
set_all(
    struct tree *t, const char *file, const struct setting *settings, size_t n)
{
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = set(t, file, &settings[i]);
	return rc;
}

/* -- loader.conf ------------------------------------------------------------
 */

/*
 * Assign in loader.conf; another file that the loader reads may still say
 * otherwise, and later (loader.conf.local, loader.conf.d).
 */
static int
set_loader(struct tree *t, const struct setting *settings, size_t n)
{
	struct loader_conf conf;
	int rc = set_all(t, LAYOUT_LOADER_CONF, settings, n);

	if (rc < 0)
		return rc;
	rc = loader_conf_read(t, &conf);
	for (size_t i = 0; i < n && rc == 0; i++) {
		const char *value = loader_conf_get(&conf, settings[i].key);

		if (value == NULL || strcmp(value, settings[i].value) == 0)
			continue;
		log_warn("another file than %s sets %s to '%s': the ISO will "
			 "not come up",
		    LAYOUT_LOADER_CONF, settings[i].key, value);
	}
	loader_conf_release(&conf);
	return rc;
}

/* Where the kernel looks for its root: by label, which a stick has too. */
static void
root_devices(const struct layout *l, char *text, size_t len)
{
	static const char *const more[] = {"/dev/cd0", "/dev/acd0"};
	size_t n = (size_t)snprintf(text, len, "cd9660:%s", l->device);

	for (size_t i = 0; i < sizeof(more) / sizeof(*more); i++) {
		if (n + strlen(" cd9660:") + strlen(more[i]) > LAYOUT_KENV_MAX)
			break;
		n += (size_t)snprintf(text + n, len - n, " cd9660:%s", more[i]);
	}
}

/* Assign where the loader is told otherwise, in whatever file. */
static int
set_loader_if_set(struct tree *t, const struct setting *s)
{
	struct loader_conf conf;
	int rc = loader_conf_read(t, &conf);
	bool is_set = rc == 0 && loader_conf_get(&conf, s->key) != NULL;

	loader_conf_release(&conf);
	return is_set ? set_loader(t, s, 1) : rc;
}

static int
tweak_plain(struct tree *t, const char *root)
{
	const struct setting settings[] = {
	    {"boot_cdrom", "YES"},
	    {"vfs.root.mountfrom", root},
	};

	return set_loader(t, settings, sizeof(settings) / sizeof(*settings));
}

static int
tweak_uzip(struct tree *t, const char *root)
{
	const struct setting settings[] = {
	    {"geom_uzip_load", "YES"},
	    {"boot_cdrom", "YES"},
	    {"vfs.root.mountfrom", root},
	    {"init_path", "/rescue/init"},
	    {"init_shell", "/rescue/sh"},
	    {"init_script", "/newroot.rc"},
	    {"init_chroot", "/newroot"},
	};

	return set_loader(t, settings, sizeof(settings) / sizeof(*settings));
}

static int
tweak_memroot(struct tree *t)
{
	const struct setting settings[] = {
	    {"geom_uzip_load", "YES"},
	    {"unionfs_load", "YES"},
	    {"nullfs_load", "YES"},
	    {"mfsroot_load", "YES"},
	    {"mfsroot_type", "mfs_root"},
	    {"mfsroot_name", "/boot/memroot.ufs"},
	    {"vfs.root.mountfrom", "ufs:/dev/md0"},
	    {"init_path", "/rescue/init"},
	    {"init_shell", "/rescue/sh"},
	    {"init_script", "/baseroot.rc"},
	    {"init_chroot", "/baseroot"},
	};
	/* with it, the kernel would try the CD before the memory root */
	const struct setting no_cd = {"boot_cdrom", "NO"};
	int rc = set_loader(t, settings, sizeof(settings) / sizeof(*settings));

	return rc < 0 ? rc : set_loader_if_set(t, &no_cd);
}

/* init runs that instead of anything else, our script too (formats.md 3.9). */
static int
warn_init_exec(const struct tree *t)
{
	struct loader_conf conf;
	int rc = loader_conf_read(t, &conf);
	const char *value =
	    rc == 0 ? loader_conf_get(&conf, "init_exec") : NULL;

	if (value != NULL && *value != '\0')
		log_warn("loader.conf sets init_exec to '%s': init runs it "
			 "instead of init_script, the ISO will not come up",
		    value);
	loader_conf_release(&conf);
	return rc;
}

int
layout_tweak_loader(struct layout *l, struct tree *t)
{
	char root[LAYOUT_KENV_MAX + LAYOUT_DEVICE_MAX];
	int rc;

	root_devices(l, root, sizeof(root));
	if (l->opt->kind == LAYOUT_PLAIN)
		return tweak_plain(t, root);
	rc = l->opt->kind == LAYOUT_UZIP ? tweak_uzip(t, root)
					 : tweak_memroot(t);
	return rc < 0 ? rc : warn_init_exec(t);
}

/* -- fstab ------------------------------------------------------------------
 */

/* Whether a line mounts what a live system has, or nothing by itself. */
static bool
is_harmless(const char *line)
{
	static const char *const types[] = {"tmpfs", "procfs", "fdescfs",
	    "linprocfs", "linsysfs", "devfs", "mfs", "nullfs"};
	char fields[4][256] = {{0}};

	line += strspn(line, " \t");
	if (*line == '\0' || *line == '#')
		return true;
	/* device, mount point, type, options */
	if (sscanf(line, "%255s %255s %255s %255s", fields[0], fields[1],
		fields[2], fields[3]) < 3 ||
	    strcmp(fields[1], "/") == 0 || strcmp(fields[2], "swap") == 0)
		return false;
	if (strstr(fields[3], "noauto") != NULL)
		return true;
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (strcmp(fields[2], types[i]) == 0)
			return true;
	return strcmp(fields[0], "md") == 0;
}

/* Say what became of a line of fstab, its tabs as blanks. */
static void
say_line(const char *what, const char *line)
{
	char text[200];

	snprintf(text, sizeof(text), "%s", line);
	for (char *p = text; *p != '\0'; p++)
		if (*p == '\t')
			*p = ' ';
	log_info("%s: %s%s", FSTAB, what, text);
}

/* Copy old to f; what a live system cannot mount becomes comments. */
static void
copy_fstab(FILE *f, char *old)
{
	for (char *line = strsep(&old, "\n"); line != NULL;
	     line = strsep(&old, "\n")) {
		if (*line == '\0' && old == NULL)
			break; /* behind the last newline */
		if (is_harmless(line)) {
			fprintf(f, "%s\n", line);
		} else {
			fprintf(f, "#%s\n", line);
			say_line("now a comment: ", line);
		}
	}
}

/*
 * Nothing for the root, in no layout: rc.d/mountcritlocal's mount -a mounts it
 * once more ("can always be remounted", mount.c), and cd9660_mount refuses that
 * when the device is not the very one that the root came from.  This may be
 * /dev/cd0 (boot_cdrom) or the label's.
 */
static int
tweak_fstab(struct tree *t)
{
	const struct tree_node *node = tree_find(t, FSTAB);
	scoped(freep) char *old = NULL, *text = NULL;
	size_t len;
	FILE *f;
	int rc = check_changeable(t, FSTAB);

	if (rc == 0 && node != NULL)
		rc = tree_text(t, node, &old);
	if (rc < 0)
		return rc;
	f = open_memstream(&text, &len);
	if (f == NULL)
		return -ENOMEM;
	if (old != NULL) {
		copy_fstab(f, old);
	} else {
		/* without an fstab at all, fsck fails and boot stops */
		fprintf(
		    f, "# Device\tMountpoint\tFStype\tOptions\tDump\tPass#\n");
		log_info("%s: an empty one", FSTAB);
	}
	if (fclose(f) != 0)
		return -ENOMEM;
	rc = tree_put_text(t, FSTAB, 0644, text);
	text = NULL; /* the tree's */
	return rc;
}

/* -- rc.conf ----------------------------------------------------------------
 */

/*
 * The root is not to be made writable.  Other files that rc.d/root reads
 * (rc.subr's load_rc_config) may say otherwise, and later.
 */
static int
tweak_rc(struct tree *t)
{
	static const char *const later[] = {"etc/rc.conf.local",
	    "etc/rc.conf.d/root", "usr/local/etc/rc.conf.d/root"};
	const struct setting ro = {"root_rw_mount", "NO"};
	int rc = set(t, RC_CONF, &ro);

	for (size_t i = 0; i < sizeof(later) / sizeof(*later) && rc == 0; i++) {
		scoped(freep) char *old = NULL;

		rc = assigned(t, later[i], ro.key, &old);
		if (rc == 0 && old != NULL && !is_value(old, ro.value))
			log_warn("%s sets %s=%s: if that makes the root "
				 "writable, the system does not come up",
			    later[i], ro.key, old);
	}
	return rc;
}

/* -- the live root ----------------------------------------------------------
 */

static int
need_dir(struct tree *t, const char *path)
{
	struct tree_node *node = tree_find(t, path);
	int rc;

	if (node != NULL && S_ISDIR(node->mode))
		return 0;
	if (node != NULL) {
		log_error("'%s' of the tree is not a directory", path);
		return -ENOTDIR;
	}
	node = tree_node_new(t, S_IFDIR | 0755);
	rc = node == NULL ? -ENOMEM : tree_put(t, path, path, &node);
	if (rc == 0)
		log_info("%s: a mount point", path);
	return rc;
}

int
layout_tweak_system(struct layout *l)
{
	struct tree *t = l->system;
	int rc = need_dir(t, "dev");

	if (rc == 0 && l->opt->kind == LAYOUT_MEMROOT)
		rc = need_dir(t, "cdrom");
	if (rc < 0 || l->opt->no_tweak)
		return rc;
	rc = tweak_rc(t);
	return rc < 0 ? rc : tweak_fstab(t);
}
