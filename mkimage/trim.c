/*
 * How the loader finds modules (stand/lua/config.lua, stand/common/module.c of
 * FreeBSD 13): module_path is boot/KERNEL, then what loader.conf says; a name
 * that loader.conf loads is a path, or else a module that linker.hints knows,
 * or else a file's name.  Each dependency in a module's metadata that neither
 * the kernel nor what is loaded satisfies is looked up in the same way.
 *
 * Here every file that could be what the loader takes is kept, so that it does
 * not matter which one it would be.
 */
#include "trim.h"

#include <string.h>

#include "../imgfmt/gz.h"
#include "../imgfmt/log.h"
#include "kld_hints.h"
#include "kmod.h"
#include "loader_conf.h"
#include "tree_gzip.h"
#include "tree_ids.h"

enum {
	IMAGE_MAX = 512 << 20, /* bytes of a kernel or module */
	DIRS_MAX = 32,
};

/* A module's file. */
struct module {
	struct tree_node *dir;
	char *path;       /* in the tree */
	const char *name; /* its end: the file's name */
	struct kmod says;
	int unread; /* why says is empty: -errno */
	bool needed;
};

struct trimming {
	struct tree *t;
	struct trim_counts *counts;
	struct tree_reader reader;
	struct loader_conf conf;
	struct tree_node *dirs[DIRS_MAX]; /* that hold modules */
	size_t ndirs;
	struct kmod kernel; /* without records: nothing is known of it */
	struct module *modules;
	size_t n, room;
	size_t *queue; /* those needed, whose needs are looked at in turn */
	size_t queued;
};

static bool
ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), n = strlen(end);

	return len > n && strcmp(name + len - n, end) == 0;
}

/* -- reading ----------------------------------------------------------------
 */

/* The bytes of a file, inflated if it is compressed; NULL in *out: too many. */
static int
read_image(
    struct trimming *w, const struct tree_node *node, void **out, size_t *len)
{
	scoped(blkdev_closep) struct blkdev *dev = NULL;
	scoped(blkdev_closep) struct blkdev *plain = NULL;
	struct blkdev *from;
	int rc = tree_dev_open(&w->reader, node, &dev);

	*out = NULL;
	if (rc == 0)
		rc = gz_probe(dev);
	from = dev;
	if (rc == 1) {
		rc = blkdev_mem_open(0, &plain);
		if (rc == 0)
			rc = gz_inflate(dev, plain, IMAGE_MAX);
		from = plain;
	}
	if (rc < 0 || from->size > IMAGE_MAX)
		return rc;
	*len = (size_t)from->size;
	*out = malloc(*len + 1);
	return *out == NULL ? -ENOMEM : blkdev_read(from, 0, *out, *len);
}

/* What a file says of itself; -errno of that in *why, others are returned. */
static int
read_metadata(struct trimming *w, const struct tree_node *node,
    struct kmod *says, int *why)
{
	scoped(freep) void *image = NULL;
	size_t len = 0;
	int rc = read_image(w, node, &image, &len);

	*why = 0;
	*says = (struct kmod){0};
	if (rc == -ECORRUPT || rc == -EFBIG || (rc == 0 && image == NULL)) {
		*why = rc == 0 ? -EFBIG : rc;
		return 0;
	}
	if (rc == 0)
		rc = kmod_read(image, len, says);
	if (rc == -ECORRUPT || rc == -EOPNOTSUPP) {
		*why = rc;
		rc = 0;
	}
	return rc;
}

static int
add_module(struct trimming *w, struct tree_node *dir, const char *dirname,
    const char *name)
{
	struct module m = {.dir = dir};
	int rc;

	if (w->n == w->room) {
		size_t room = w->room > 0 ? 2 * w->room : 64;
		struct module *more = realloc(w->modules, room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		w->modules = more;
		w->room = room;
	}
	if (asprintf(&m.path, "%s/%s", dirname, name) < 0)
		return -ENOMEM;
	m.name = m.path + strlen(dirname) + 1;
	rc = read_metadata(w, tree_child(dir, name), &m.says, &m.unread);
	w->modules[w->n++] = m;
	return rc;
}

static bool
is_known(const struct trimming *w, const struct tree_node *dir)
{
	for (size_t i = 0; i < w->ndirs; i++)
		if (w->dirs[i] == dir)
			return true;
	return false;
}

static bool
is_module(const struct tree_entry *e)
{
	return S_ISREG(e->node->mode) &&
	    (ends_with(e->name, ".ko") || ends_with(e->name, ".ko.gz"));
}

/* All modules of a directory, unless it was one before. */
static int
add_directory(struct trimming *w, const char *raw)
{
	scoped(freep) char *path = NULL;
	struct tree_node *dir;
	int rc = tree_plain_path(raw, &path);

	if (rc < 0)
		return rc == -ENOMEM ? rc : 0;
	dir = *path != '\0' ? tree_find(w->t, path) : NULL;
	if (dir == NULL || !S_ISDIR(dir->mode) || is_known(w, dir) ||
	    w->ndirs == DIRS_MAX)
		return 0;
	w->dirs[w->ndirs++] = dir;
	for (size_t i = 0; rc == 0 && i < dir->n; i++) {
		const struct tree_entry *e = &dir->entries[i];

		if (is_module(e))
			rc = add_module(w, dir, path, e->name);
	}
	return rc;
}

static int
read_kernel(struct trimming *w, const char *path)
{
	scoped(freep) char *packed = NULL;
	const struct tree_node *node;
	int rc = 0, why = 0;

	if (asprintf(&packed, "%s.gz", path) < 0) {
		packed = NULL;
		return -ENOMEM;
	}
	node = tree_find(w->t, path);
	if (node == NULL)
		node = tree_find(w->t, packed);
	if (node != NULL && S_ISREG(node->mode))
		rc = read_metadata(w, node, &w->kernel, &why);
	if (rc == 0 && w->kernel.n == 0)
		log_warn("'%s' does not tell its modules: not known which "
			 "others are missing",
		    path);
	return rc;
}

/* The directories of the loader's module_path. */
static int
add_path(struct trimming *w)
{
	const char *path = loader_conf_get(&w->conf, "module_path");
	scoped(freep) char *copy = strdup(path != NULL ? path : "");
	char *rest = copy, *part;
	int rc = copy == NULL ? -ENOMEM : 0;

	while (rc == 0 && (part = strsep(&rest, ";")) != NULL)
		rc = add_directory(w, part);
	return rc;
}

static int
read_all(struct trimming *w)
{
	scoped(freep) char *kernel = NULL;
	char *slash;
	int rc = loader_conf_read(w->t, &w->conf);

	if (rc == 0)
		rc = loader_conf_kernel(&w->conf, &kernel);
	if (rc == 0)
		rc = read_kernel(w, kernel);
	if (rc < 0)
		return rc;
	slash = strrchr(kernel, '/');
	if (slash != NULL) {
		*slash = '\0';
		rc = add_directory(w, kernel);
	}
	if (rc == 0)
		rc = add_directory(w, "boot/kernel");
	if (rc == 0)
		rc = add_directory(w, "boot/modules");
	return rc < 0 ? rc : add_path(w);
}

/* -- what is needed ---------------------------------------------------------
 */

/* Whether the metadata offers a module in one of the versions wanted; wanted
 * NULL: in any. */
static bool
offers(
    const struct kmod *says, const char *name, const struct kmod_record *wanted)
{
	for (size_t i = 0; i < says->n; i++) {
		const struct kmod_record *r = &says->records[i];

		if (r->kind == KMOD_VERSION && strcmp(r->name, name) == 0 &&
		    (wanted == NULL ||
			(r->preferred >= wanted->least &&
			    r->preferred <= wanted->most)))
			return true;
	}
	return false;
}

/* Whether the loader finds m's file when it looks for name. */
static bool
is_called(const struct module *m, const char *name)
{
	size_t len = strlen(name);
	const char *file = m->name;

	if (strchr(name, '/') != NULL) {
		name += *name == '/';
		len = strlen(name);
		file = m->path;
	}
	if (strncmp(file, name, len) != 0)
		return false;
	file += len;
	if (strncmp(file, ".ko", 3) == 0)
		file += 3;
	return *file == '\0' || strcmp(file, ".gz") == 0;
}

static void
need(struct trimming *w, size_t i)
{
	struct module *m = &w->modules[i];

	if (m->needed)
		return;
	m->needed = true;
	w->queue[w->queued++] = i;
	if (m->unread != 0)
		log_warn("'%s' is %s: not known what it needs", m->path,
		    m->unread == -EOPNOTSUPP ? "of an unknown machine"
					     : "damaged or too large");
}

/* Keep what is found by a name; false: nothing is. */
static bool
keep(struct trimming *w, const char *name)
{
	bool found = false;

	for (size_t i = 0; i < w->n; i++)
		if (is_called(&w->modules[i], name) ||
		    offers(&w->modules[i].says, name, NULL)) {
			need(w, i);
			found = true;
		}
	return found;
}

/* Keep what a setting loads. */
static void
need_by_name(struct trimming *w, const char *name)
{
	if (keep(w, name) || offers(&w->kernel, name, NULL))
		return;
	w->counts->missing++;
	log_warn("loader.conf loads '%s', which is not in the tree", name);
}

/* Keep what module m depends on, by one of its records. */
static void
need_by_record(
    struct trimming *w, const struct module *m, const struct kmod_record *r)
{
	bool found = false;

	if (offers(&w->kernel, r->name, r))
		return;
	for (size_t i = 0; i < w->n; i++)
		if (offers(&w->modules[i].says, r->name, r)) {
			need(w, i);
			found = true;
		}
	for (size_t i = 0; i < w->n && !found; i++)
		if (is_called(&w->modules[i], r->name)) {
			need(w, i);
			found = true;
		}
	if (found || w->kernel.n == 0)
		return;
	w->counts->missing++;
	log_warn("'%s' needs module '%s' in version %d to %d, which is neither "
		 "in the kernel nor in the tree",
	    m->path, r->name, r->least, r->most);
}

/* Keep what lines of rc.conf load: kld_list="a b". */
static void
keep_of_rc(struct trimming *w, char *line)
{
	static const char key[] = "kld_list";
	char *rest, *word;

	line += strspn(line, " \t");
	rest = strchr(line, '=');
	if (strncmp(line, key, strlen(key)) != 0 || rest == NULL)
		return;
	while ((word = strsep(&rest, "= \t\"'")) != NULL)
		if (*word != '\0' && *word != '#')
			keep(w, word);
}

/* Keep the file system of a line of fstab: mount(8) loads it by its name. */
static void
keep_of_fstab(struct trimming *w, char *line)
{
	char type[32];

	if (sscanf(line, " %*[^# \t]%*s %31s", type) == 1)
		keep(w, type);
}

static int
each_line(struct trimming *w, const char *path,
    void (*take)(struct trimming *w, char *line))
{
	const struct tree_node *node = tree_find(w->t, path);
	scoped(freep) char *text = NULL;
	char *rest, *line;
	int rc;

	if (node == NULL || !S_ISREG(node->mode))
		return 0;
	rc = tree_text(w->t, node, &text);
	for (rest = text; rc == 0 && (line = strsep(&rest, "\n")) != NULL;)
		take(w, line);
	return rc;
}

/* Where the tree is the live root, too: what that loads as it comes up. */
static int
find_wanted(struct trimming *w)
{
	int rc = each_line(w, "etc/rc.conf", keep_of_rc);

	if (rc == 0)
		rc = each_line(w, "etc/rc.conf.local", keep_of_rc);
	return rc < 0 ? rc : each_line(w, "etc/fstab", keep_of_fstab);
}

static int
find_needed(struct trimming *w)
{
	int rc;

	w->queue = calloc(w->n + 1, sizeof(*w->queue));
	if (w->queue == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < w->conf.n; i++) {
		scoped(freep) char *name = NULL;
		const char *type, *what;
		size_t len;

		what = loader_conf_load(&w->conf, i, &len, &type);
		if (what == NULL || type != NULL)
			continue;
		name = strndup(what, len);
		if (name == NULL)
			return -ENOMEM;
		need_by_name(w, name);
	}
	rc = find_wanted(w);
	if (rc < 0)
		return rc;
	for (size_t next = 0; next < w->queued; next++) {
		const struct module *m = &w->modules[w->queue[next]];

		for (size_t i = 0; i < m->says.n; i++)
			if (m->says.records[i].kind == KMOD_DEPEND)
				need_by_record(w, m, &m->says.records[i]);
	}
	return 0;
}

/* -- leaving out ------------------------------------------------------------
 */

static void
count(struct tree_node *node, uint64_t *files, uint64_t *bytes)
{
	if (!S_ISDIR(node->mode))
		++*files;
	if (S_ISREG(node->mode))
		*bytes += node->size;
	for (size_t i = 0; i < node->n; i++)
		count(node->entries[i].node, files, bytes);
}

static void
drop_modules(struct trimming *w)
{
	struct trim_counts *c = w->counts;

	for (size_t i = 0; i < w->n; i++) {
		const struct module *m = &w->modules[i];

		if (m->needed) {
			c->kept++;
			continue;
		}
		log_debug("left out: '%s'", m->path);
		count(
		    tree_child(m->dir, m->name), &c->modules, &c->module_bytes);
		tree_remove(m->dir, m->name);
	}
}

/* Leave name, if it is there, out of dir. */
static void
drop(struct trimming *w, struct tree_node *dir, const char *name)
{
	struct tree_node *node = dir != NULL ? tree_child(dir, name) : NULL;

	if (node == NULL)
		return;
	log_debug("left out: '%s'", name);
	count(node, &w->counts->files, &w->counts->file_bytes);
	tree_remove(dir, name);
}

static void
drop_symbols(struct trimming *w)
{
	struct tree_node *lib = tree_find(w->t, "usr/lib");

	for (size_t k = 0; k < w->ndirs; k++) {
		struct tree_node *dir = w->dirs[k];

		for (size_t i = dir->n; i-- > 0;)
			if (ends_with(dir->entries[i].name, ".symbols") ||
			    ends_with(dir->entries[i].name, ".debug"))
				drop(w, dir, dir->entries[i].name);
	}
	if (lib != NULL && S_ISDIR(lib->mode))
		drop(w, lib, "debug");
}

/*
 * What FreeBSD 13 has in /boot for other ways to boot: from disks (MBR, BSD
 * label, GPT, ZFS), the network, and within bhyve.  A CD needs cdboot, loader
 * and loader.efi, and pmbr and isoboot to boot from USB as well.
 */
static const char *const other_boots[] = {"boot", "boot0", "boot0sio", "boot1",
    "boot1.efi", "boot2", "gptboot", "gptboot.efi", "gptzfsboot", "mbr",
    "pxeboot", "userboot.so", "userboot_4th.so", "userboot_lua.so", "zfsboot"};

/* Loaders besides the one that the CD boots; often that one's other names. */
static const struct {
	const char *name, *used;
} other_loaders[] = {
    {"loader_4th", "loader"},
    {"loader_lua", "loader"},
    {"loader_simp", "loader"},
    {"zfsloader", "loader"},
    {"loader_4th.efi", "loader.efi"},
    {"loader_lua.efi", "loader.efi"},
    {"loader_simp.efi", "loader.efi"},
};

static void
drop_boot_files(struct trimming *w)
{
	struct tree_node *boot = tree_find(w->t, "boot");

	if (boot == NULL || !S_ISDIR(boot->mode))
		return;
	for (size_t i = 0; i < sizeof(other_boots) / sizeof(*other_boots); i++)
		drop(w, boot, other_boots[i]);
	for (size_t i = 0; i < sizeof(other_loaders) / sizeof(*other_loaders);
	     i++) {
		const struct tree_node *used =
		    tree_child(boot, other_loaders[i].used);

		if (used != NULL &&
		    tree_child(boot, other_loaders[i].name) != used)
			drop(w, boot, other_loaders[i].name);
	}
}

static int
leave_out(struct trimming *w)
{
	int rc = 0;

	drop_modules(w);
	drop_symbols(w);
	drop_boot_files(w);
	for (size_t i = 0; i < w->ndirs && rc == 0; i++)
		rc = kld_hints_prune(w->t, w->dirs[i]);
	return rc;
}

/* -- all of it --------------------------------------------------------------
 */

static void
release(struct trimming *w)
{
	for (size_t i = 0; i < w->n; i++) {
		kmod_release(&w->modules[i].says);
		free(w->modules[i].path);
	}
	free(w->modules);
	free(w->queue);
	kmod_release(&w->kernel);
	loader_conf_release(&w->conf);
	tree_reader_release(&w->reader);
}

int
trim_boot(struct tree *t, struct trim_counts *counts)
{
	struct trimming w = {.t = t, .counts = counts};
	int rc;

	*counts = (struct trim_counts){0};
	tree_reader_init(&w.reader, t);
	rc = read_all(&w);
	if (rc == 0)
		rc = tree_reader_finish(&w.reader);
	if (rc == 0)
		rc = find_needed(&w);
	if (rc == 0)
		rc = leave_out(&w);
	release(&w);
	return rc;
}
