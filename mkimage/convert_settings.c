/*
 * What loader.conf and the others say for the old layout alone.  The new
 * one's settings are made in layout_tweak.c.
 */
#include <string.h>

#include "../imgfmt/log.h"
#include "convert_impl.h"
#include "tree_ids.h"

#define LOADER_CONF "boot/loader.conf"

enum { KEY_MOST = 256 };

bool
convert_is_memory_disk(const char *type)
{
	return type != NULL &&
	    (strcmp(type, "md_image") == 0 || strcmp(type, "mfs_root") == 0);
}

struct tree_node *
convert_settings_at(const struct tree *t, const char *path)
{
	struct tree_node *node = tree_find(t, path);

	return node != NULL && S_ISREG(node->mode) &&
		strncmp(path, "boot/defaults/", 14) != 0
	    ? node
	    : NULL;
}

enum role {
	ROLE_NONE,
	ROLE_ROOT, /* no layout of ours has it */
	ROLE_INIT, /* those with an image have it */
	ROLE_DISK, /* a memory disk to load */
	ROLE_MFSROOT,
};

static bool
is_key(const char *line, size_t len, const char *key)
{
	return len == strlen(key) && memcmp(line, key, len) == 0;
}

/* What the key of len bytes says of a memory disk that the loader loads. */
static enum role
disk_role(const struct loader_conf *conf, const char *line, size_t len)
{
	static const char *const parts[] = {"load", "type", "name"};
	char key[KEY_MOST];

	for (size_t i = 0; i < conf->n; i++) {
		const char *type = NULL, *name = conf->settings[i].key;
		size_t n;

		if (loader_conf_load(conf, i, &n, &type) == NULL ||
		    !convert_is_memory_disk(type))
			continue;
		n = strlen(name) - strlen("load");
		for (size_t k = 0; k < sizeof(parts) / sizeof(*parts); k++) {
			snprintf(
			    key, sizeof(key), "%.*s%s", (int)n, name, parts[k]);
			if (is_key(line, len, key))
				return strncmp(key, "mfsroot_", 8) == 0
				    ? ROLE_MFSROOT
				    : ROLE_DISK;
		}
	}
	return ROLE_NONE;
}

static enum role
role_of(const struct loader_conf *conf, const char *line)
{
	static const struct {
		const char *key;
		enum role role;
	} known[] = {
	    {"init_exec", ROLE_ROOT},
	    {"vfs.root.mountfrom.options", ROLE_ROOT},
	    {"init_path", ROLE_INIT},
	    {"init_shell", ROLE_INIT},
	    {"init_script", ROLE_INIT},
	    {"init_chroot", ROLE_INIT},
	};
	size_t len = strcspn(line, "=");

	if (line[len] != '=')
		return ROLE_NONE;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (is_key(line, len, known[i].key))
			return known[i].role;
	return disk_role(conf, line, len);
}

/*
 * Whether a setting goes.  What the new layout has too stays where it will be
 * replaced: in loader.conf itself (layout_tweak.c).
 */
static bool
goes(enum role role, enum layout_kind kind, bool is_main)
{
	switch (role) {
	case ROLE_NONE:
		return false;
	case ROLE_INIT:
		return kind == LAYOUT_PLAIN || !is_main;
	case ROLE_MFSROOT:
		return kind != LAYOUT_MEMROOT || !is_main;
	default:
		return true;
	}
}

/* Write text, the file at path, to f without what goes; how many lines went. */
static int
copy_settings(struct conversion *c, const struct loader_conf *conf,
    const char *path, char *text, FILE *f)
{
	enum layout_kind kind = c->opt->iso.layout.kind;
	bool is_main = strcmp(path, LOADER_CONF) == 0;
	int dropped = 0;

	for (char *line = strsep(&text, "\n"); line != NULL;
	     line = strsep(&text, "\n")) {
		const char *word = line + strspn(line, " \t");

		if (goes(role_of(conf, word), kind, is_main)) {
			log_info("%s: without %s", path, word);
			dropped++;
		} else if (*line != '\0' || text != NULL) {
			fprintf(f, "%s\n", line);
		}
	}
	return dropped;
}

static int
drop_settings(
    struct conversion *c, const struct loader_conf *conf, const char *path)
{
	scoped(freep) char *text = NULL;
	char *kept = NULL;
	size_t len;
	FILE *f;
	int dropped, rc = tree_text(&c->tree, tree_find(&c->tree, path), &text);

	if (rc < 0)
		return rc;
	f = open_memstream(&kept, &len);
	if (f == NULL)
		return -ENOMEM;
	dropped = copy_settings(c, conf, path, text, f);
	if (fclose(f) != 0)
		rc = -ENOMEM;
	if (rc == 0 && dropped > 0)
		return tree_put_text(&c->tree, path, 0644, kept);
	free(kept);
	return rc;
}

int
convert_drop_settings(struct conversion *c)
{
	struct loader_conf conf;
	int rc =
	    c->opt->iso.layout.no_tweak ? 0 : loader_conf_read(&c->tree, &conf);

	if (rc < 0 || c->opt->iso.layout.no_tweak)
		return rc;
	for (size_t i = 0; rc == 0 && i < conf.nread; i++)
		if (convert_settings_at(&c->tree, conf.read[i]) != NULL)
			rc = drop_settings(c, &conf, conf.read[i]);
	loader_conf_release(&conf);
	return rc;
}
