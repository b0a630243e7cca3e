/* Single files of the new tree, from the command line. */
#include <ctype.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "create.h"
#include "create_impl.h"
#include "tree_ids.h"

/*
 * The regular file at path, made (0644, of root) where there is none.  Given
 * in the terms of option, for messages.
 */
static int
file_at(
    struct tree *t, const char *option, const char *raw, struct tree_node **out)
{
	scoped(freep) char *path = NULL;
	struct tree_node *node;
	int rc = tree_plain_path(raw, &path);

	if (rc == 0 && *path == '\0')
		rc = -EISDIR;
	if (rc < 0) {
		log_error("%s: '%s' is no path in the tree", option, raw);
		return rc;
	}
	node = tree_find(t, path);
	if (node == NULL) {
		node = tree_node_new(t, S_IFREG | 0644);
		rc = node == NULL ? -ENOMEM : tree_put(t, option, path, &node);
	} else if (!S_ISREG(node->mode)) {
		log_error("%s: '%s' is not a regular file", option, path);
		rc = -EINVAL;
	}
	*out = node;
	return rc;
}

int
create_check_set_file(const char *what)
{
	const char *equals = strchr(what, '=');

	if (equals != NULL && equals != what && equals[1] != '\0')
		return 0;
	log_error("--set-file takes PATH=FILE, not '%s'", what);
	return -EINVAL;
}

int
create_set_file(struct tree *t, const char *what)
{
	const char *equals = strchr(what, '=');
	scoped(freep) char *path = NULL;
	struct tree_node *node;
	int rc = create_check_set_file(what);

	if (rc < 0)
		return rc;
	path = strndup(what, (size_t)(equals - what));
	if (path == NULL)
		return -ENOMEM;
	rc = file_at(t, "--set-file", path, &node);
	if (rc == 0)
		rc = tree_file_content(t, node, equals + 1);
	if (rc == 0)
		tree_node_date(node, node->mtime);
	return rc;
}

/* -- assignments ------------------------------------------------------------
 */

/*
 * sh(1) reads most files of settings.  What the loader and sysctl(8) read knows
 * quotes too, but nothing that would put one, or a variable's $, into a value;
 * and the loader's Lua takes ASCII alone.
 */
static bool
is_shell(const char *path)
{
	const char *name = strrchr(path, '/');

	path += strspn(path, "./");
	return strncmp(path, "boot/", 5) != 0 &&
	    strcmp(name != NULL ? name + 1 : path, "sysctl.conf") != 0;
}

static bool
is_name(const char *key, size_t len, bool shell)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)key[i];

		if (c > 0x7f ||
		    (!isalnum(c) && c != '_' &&
			(shell || (c != '.' && c != '-'))))
			return false;
	}
	return len > 0 && !(shell && isdigit((unsigned char)key[0]));
}

static bool
is_plain(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~' ||
		    strchr("\"\\$", text[i]) != NULL)
			return false;
	return true;
}

/* Whether the value is one quoted string, to be written as it is. */
static bool
is_quoted(const char *value, bool shell)
{
	size_t len = strlen(value);
	char quote = value[0];

	if (len < 2 || value[len - 1] != quote ||
	    (quote != '"' && !(shell && quote == '\'')))
		return false;
	for (const char *p = value + 1; p < value + len - 1; p++) {
		if (*p == quote)
			return false;
		if (quote == '"' && shell && *p == '\\')
			p++;
		if (p == value + len - 1) /* the end is escaped */
			return false;
	}
	return true;
}

/* The value as the file at path has it, to be freed; NULL: no memory. */
static char *
quoted(const char *path, const char *value)
{
	bool shell = is_shell(path);
	char *text, *to;

	if (is_quoted(value, shell))
		return strdup(value);
	text = to = calloc(2 * strlen(value) + 3, 1);
	if (text == NULL)
		return NULL;
	*to++ = '"';
	for (; *value != '\0'; value++) {
		if (shell && strchr("\"\\$`", *value) != NULL)
			*to++ = '\\';
		*to++ = *value;
	}
	*to = '"';
	return text;
}

int
create_check_set_conf(const char *what)
{
	const char *colon = strchr(what, ':');
	const char *equals = colon != NULL ? strchr(colon, '=') : NULL;
	scoped(freep) char *path = NULL;
	bool shell;

	if (equals == NULL || colon == what || equals == colon + 1 ||
	    strchr(what, '\n') != NULL) {
		log_error("--set-conf takes FILE:KEY=VALUE, not '%s'", what);
		return -EINVAL;
	}
	path = strndup(what, (size_t)(colon - what));
	if (path == NULL)
		return -ENOMEM;
	shell = is_shell(path);
	if (!is_name(colon + 1, (size_t)(equals - colon - 1), shell)) {
		log_error("--set-conf: '%.*s' is no name for a setting of '%s'",
		    (int)(equals - colon - 1), colon + 1, path);
		return -EINVAL;
	}
	if (shell || is_quoted(equals + 1, false) ||
	    is_plain(equals + 1, strlen(equals + 1)))
		return 0;
	log_error("--set-conf: '%s' has no form for the value '%s': it takes "
		  "ASCII without \" \\ $; one in \"\" is written as it is",
	    path, equals + 1);
	return -EINVAL;
}

/* Whether the line assigns to key: leading blanks are allowed, '#' is not. */
static bool
assigns(const char *line, const char *key, size_t len)
{
	line += strspn(line, " \t");
	return strncmp(line, key, len) == 0 && line[len] == '=';
}

/* The last line of text that assigns to key, which is the one that counts. */
static const char *
last_assignment(const char *text, const char *key, size_t len)
{
	const char *found = NULL;

	while (*text != '\0') {
		if (assigns(text, key, len))
			found = text;
		text = strchrnul(text, '\n');
		text += *text == '\n';
	}
	return found;
}

/* text with key assigned the value, to be freed; NULL: no memory. */
static char *
edited(const char *text, const char *assignment, const char *value)
{
	size_t keylen = strcspn(assignment, "=");
	const char *at = last_assignment(text, assignment, keylen);
	const char *rest;
	bool joined;
	char *out;

	if (at == NULL)
		at = text + strlen(text);
	rest = strchrnul(at, '\n');
	rest += *rest == '\n';
	joined = at > text && at[-1] != '\n';
	if (asprintf(&out, "%.*s%s%.*s=%s\n%s", (int)(at - text), text,
		joined ? "\n" : "", (int)keylen, assignment, value, rest) < 0)
		return NULL;
	return out;
}

static int
set_text(struct tree *t, struct tree_node *node, char *text)
{
	tree_drop_content(node);
	node->content.kind = CONTENT_TEXT;
	node->content.text = text;
	node->size = strlen(text);
	tree_node_date(node, t->now);
	return node->size > 0 ? tree_add_run(node, 0, node->size, 0) : 0;
}

static int
assign(struct tree *t, struct tree_node *node, const char *path,
    const char *assignment)
{
	scoped(freep) char *text = NULL;
	scoped(freep) char *value = quoted(path, strchr(assignment, '=') + 1);
	char *changed;
	int rc = value == NULL ? -ENOMEM : tree_text(t, node, &text);

	if (rc < 0)
		return rc;
	changed = edited(text, assignment, value);
	return changed == NULL ? -ENOMEM : set_text(t, node, changed);
}

int
create_set_conf(struct tree *t, const char *what)
{
	const char *colon = strchr(what, ':');
	scoped(freep) char *path = NULL;
	struct tree_node *node;
	int rc = create_check_set_conf(what);

	if (rc < 0)
		return rc;
	path = strndup(what, (size_t)(colon - what));
	if (path == NULL)
		return -ENOMEM;
	rc = file_at(t, "--set-conf", path, &node);
	if (rc < 0)
		return rc;
	rc = assign(t, node, path, colon + 1);
	if (rc == -EFBIG)
		log_error(
		    "--set-conf: '%s' is too large for a file of settings",
		    path);
	return rc;
}
