/*
 * A line is blank, a comment, or KEY="VALUE" or KEY=WORD with perhaps a comment
 * behind it; what else stands in a file is nothing to the loader.  A file may
 * name others to be read after it.
 */
#include "loader_conf.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "../imgfmt/log.h"
#include "tree_ids.h"

enum { FILES_MAX = 256, DEPTH_MAX = 16 };

/* -- settings ---------------------------------------------------------------
 */

static struct loader_setting *
find(const struct loader_conf *conf, const char *key, size_t len)
{
	for (size_t i = 0; i < conf->n; i++)
		if (strncmp(conf->settings[i].key, key, len) == 0 &&
		    conf->settings[i].key[len] == '\0')
			return &conf->settings[i];
	return NULL;
}

const char *
loader_conf_get(const struct loader_conf *conf, const char *key)
{
	const struct loader_setting *s = find(conf, key, strlen(key));

	return s != NULL ? s->value : NULL;
}

/* value becomes conf's, also after an error. */
static int
set(struct loader_conf *conf, const char *key, size_t len, char *value)
{
	struct loader_setting *s = find(conf, key, len);
	char *copy;

	if (s != NULL) {
		free(s->value);
		s->value = value;
		return 0;
	}
	copy = strndup(key, len);
	if (copy != NULL && conf->n == conf->room) {
		size_t room = conf->room > 0 ? 2 * conf->room : 64;
		struct loader_setting *more =
		    realloc(conf->settings, room * sizeof(*more));

		if (more != NULL) {
			conf->settings = more;
			conf->room = room;
		}
	}
	if (copy == NULL || conf->n == conf->room) {
		free(copy);
		free(value);
		return -ENOMEM;
	}
	conf->settings[conf->n++] = (struct loader_setting){copy, value};
	return 0;
}

static bool
is_yes(const char *value)
{
	return value != NULL && strcasecmp(value, "YES") == 0;
}

/* The value of "KEY_suffix", key being len bytes long. */
static const char *
part(const struct loader_conf *conf, const char *key, size_t len,
    const char *suffix)
{
	for (size_t i = 0; i < conf->n; i++) {
		const struct loader_setting *s = &conf->settings[i];

		if (strncmp(s->key, key, len) == 0 &&
		    strcmp(s->key + len, suffix) == 0)
			return s->value[0] != '\0' ? s->value : NULL;
	}
	return NULL;
}

const char *
loader_conf_load(
    const struct loader_conf *conf, size_t i, size_t *len, const char **type)
{
	const struct loader_setting *s = &conf->settings[i];
	size_t n = strlen(s->key);
	const char *name;

	if (n <= 5 || strcmp(s->key + n - 5, "_load") != 0 || !is_yes(s->value))
		return NULL;
	*type = part(conf, s->key, n - 5, "_type");
	name = part(conf, s->key, n - 5, "_name");
	*len = name != NULL ? strlen(name) : n - 5;
	return name != NULL ? name : s->key;
}

/* -- lines ------------------------------------------------------------------
 */

static bool
is_word(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '.';
}

/* The value that begins at p, unquoted, and in *end what stands behind it. */
static char *
value_at(const char *p, const char **end)
{
	char *value = malloc(strcspn(p, "\n") + 1), *to = value;

	if (value == NULL)
		return NULL;
	if (*p == '"') {
		for (p++; *p != '"' && *p != '\n' && *p != '\0'; p++) {
			if (*p == '\\' && p[1] != '\n' && p[1] != '\0')
				p++;
			*to++ = *p;
		}
		p += *p == '"';
	} else {
		while (is_word(*p))
			*to++ = *p++;
	}
	*to = '\0';
	*end = p;
	return value;
}

static int
parse_line(struct loader_conf *conf, const char *p)
{
	const char *key, *end;
	size_t len = 0;
	char *value;

	key = p += strspn(p, " \t");
	while (is_word(key[len]))
		len++;
	p += len;
	p += strspn(p, " \t");
	if (len == 0 || *p != '=')
		return 0;
	p++;
	p += strspn(p, " \t");
	value = value_at(p, &end);
	if (value == NULL)
		return -ENOMEM;
	end += strspn(end, " \t\r");
	if (*end == '\n' || *end == '\0' || *end == '#')
		return set(conf, key, len, value);
	free(value);
	return 0;
}

static int
parse(struct loader_conf *conf, const char *text)
{
	int rc = 0;

	while (rc == 0 && *text != '\0') {
		rc = parse_line(conf, text);
		text = strchrnul(text, '\n');
		text += *text == '\n';
	}
	return rc;
}

/* -- files ------------------------------------------------------------------
 */

/* 1: path is noted as read; 0: it was, or there are too many. */
static int
note_read(struct loader_conf *conf, const char *path)
{
	char *copy;

	for (size_t i = 0; i < conf->nread; i++)
		if (strcmp(conf->read[i], path) == 0)
			return 0;
	if (conf->nread == FILES_MAX)
		return 0;
	if (conf->read == NULL)
		conf->read = calloc(FILES_MAX, sizeof(*conf->read));
	copy = conf->read != NULL ? strdup(path) : NULL;
	if (copy == NULL)
		return -ENOMEM;
	conf->read[conf->nread++] = copy;
	return 1;
}

static int
parse_file(const struct tree *t, struct loader_conf *conf, const char *path)
{
	const struct tree_node *node = tree_find(t, path);
	scoped(freep) char *text = NULL;
	int rc;

	if (node == NULL || !S_ISREG(node->mode))
		return 0;
	rc = tree_text(t, node, &text);
	if (rc == -EFBIG)
		log_error("'%s' is too large for a file of settings", path);
	return rc < 0 ? rc : parse(conf, text);
}

static int read_files(const struct tree *t, struct loader_conf *conf,
    const char *list, int depth);

/* The file at path, and those that it names. */
static int
read_file(
    const struct tree *t, struct loader_conf *conf, const char *raw, int depth)
{
	static const char files[] = "loader_conf_files";
	scoped(freep) char *path = NULL;
	scoped(freep) char *more = NULL;
	struct loader_setting *s;
	int rc = tree_plain_path(raw, &path);

	if (rc < 0)
		return rc == -ENOMEM ? rc : 0; /* no such file */
	rc = note_read(conf, path);
	if (rc <= 0)
		return rc;
	s = find(conf, files, strlen(files));
	if (s != NULL)
		s->value[0] = '\0';
	rc = parse_file(t, conf, path);
	s = find(conf, files, strlen(files));
	if (rc < 0 || s == NULL || depth == DEPTH_MAX)
		return rc;
	more = strdup(s->value);
	return more == NULL ? -ENOMEM : read_files(t, conf, more, depth + 1);
}

/* Those of a list with blanks between. */
static int
read_files(
    const struct tree *t, struct loader_conf *conf, const char *list, int depth)
{
	int rc = 0;

	while (rc == 0 && *(list += strspn(list, " \t")) != '\0') {
		size_t len = strcspn(list, " \t");
		scoped(freep) char *path = strndup(list, len);

		rc = path == NULL ? -ENOMEM : read_file(t, conf, path, depth);
		list += len;
	}
	return rc;
}

/* The files called *.conf of one directory. */
static int
read_directory(const struct tree *t, struct loader_conf *conf, const char *raw)
{
	scoped(freep) char *path = NULL;
	const struct tree_node *dir;
	int rc = tree_plain_path(raw, &path);

	if (rc < 0)
		return rc == -ENOMEM ? rc : 0;
	dir = tree_find(t, path);
	for (size_t i = 0;
	     rc == 0 && dir != NULL && S_ISDIR(dir->mode) && i < dir->n; i++) {
		const char *name = dir->entries[i].name;
		size_t len = strlen(name);
		scoped(freep) char *file = NULL;

		if (len < 5 || strcmp(name + len - 5, ".conf") != 0)
			continue;
		if (asprintf(&file, "%s/%s", path, name) < 0) {
			file = NULL;
			return -ENOMEM;
		}
		rc = read_file(t, conf, file, 0);
	}
	return rc;
}

/* A copy of key's value, or of otherwise where it is not set. */
static char *
value_or(const struct loader_conf *conf, const char *key, const char *otherwise)
{
	const char *value = loader_conf_get(conf, key);

	return strdup(value != NULL ? value : otherwise);
}

static int
read_directories(const struct tree *t, struct loader_conf *conf)
{
	scoped(freep) char *dirs =
	    value_or(conf, "loader_conf_dirs", "/boot/loader.conf.d");
	char *rest = dirs, *dir;
	int rc = dirs == NULL ? -ENOMEM : 0;

	while (rc == 0 && (dir = strsep(&rest, " \t")) != NULL)
		if (*dir != '\0')
			rc = read_directory(t, conf, dir);
	return rc;
}

int
loader_conf_read(const struct tree *t, struct loader_conf *out)
{
	static const char defaults[] = "boot/defaults/loader.conf";
	scoped(freep) char *local = NULL;
	int rc;

	*out = (struct loader_conf){0};
	rc = read_file(t, out, defaults, 0);
	/* of a tree that brings no defaults */
	if (rc == 0 && tree_find(t, defaults) == NULL)
		rc = read_file(t, out, "boot/loader.conf", 0);
	if (rc == 0)
		rc = read_directories(t, out);
	if (rc < 0)
		return rc;
	local =
	    value_or(out, "local_loader_conf_files", "/boot/loader.conf.local");
	return local == NULL ? -ENOMEM : read_files(t, out, local, 0);
}

/*
 * stand/lua/config.lua: "kernel" is a directory of boot, or a path; "bootfile"
 * a name, or several with ';' between, or a path.
 */
int
loader_conf_kernel(const struct loader_conf *conf, char **path)
{
	scoped(freep) char *dir = value_or(conf, "kernel", "");
	scoped(freep) char *file = value_or(conf, "bootfile", "");
	scoped(freep) char *raw = NULL;

	if (dir == NULL || file == NULL)
		return -ENOMEM;
	file[strcspn(file, ";")] = '\0';
	if (*file == '/')
		return tree_plain_path(file, path);
	if (asprintf(&raw, "%s%s/%s", *dir == '/' ? "" : "boot/",
		*dir != '\0' ? dir : "kernel",
		*file != '\0' ? file : "kernel") < 0) {
		raw = NULL;
		return -ENOMEM;
	}
	return tree_plain_path(raw, path);
}

void
loader_conf_release(struct loader_conf *conf)
{
	for (size_t i = 0; i < conf->n; i++) {
		free(conf->settings[i].key);
		free(conf->settings[i].value);
	}
	for (size_t i = 0; i < conf->nread; i++)
		free(conf->read[i]);
	free(conf->settings);
	free(conf->read);
	*conf = (struct loader_conf){0};
}
