/* Single files of the new tree, from the command line. */
#include <string.h>

#include "../imgfmt/log.h"
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
create_set_file(struct tree *t, const char *what)
{
	const char *equals = strchr(what, '=');
	scoped(freep) char *path = NULL;
	struct tree_node *node;
	int rc;

	if (equals == NULL || equals == what || equals[1] == '\0') {
		log_error("--set-file takes PATH=FILE, not '%s'", what);
		return -EINVAL;
	}
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

/* text with the assignment, to be freed; NULL: no memory. */
static char *
edited(const char *text, const char *assignment)
{
	size_t keylen = strcspn(assignment, "=");
	const char *value = assignment + keylen + 1;
	const char *quote = *value == '"' || *value == '\'' ? "" : "\"";
	const char *at = last_assignment(text, assignment, keylen);
	const char *rest;
	bool joined;
	char *out;

	if (at == NULL)
		at = text + strlen(text);
	rest = strchrnul(at, '\n');
	rest += *rest == '\n';
	joined = at > text && at[-1] != '\n';
	if (asprintf(&out, "%.*s%s%.*s=%s%s%s\n%s", (int)(at - text), text,
		joined ? "\n" : "", (int)keylen, assignment, quote, value,
		quote, rest) < 0)
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
assign(struct tree *t, struct tree_node *node, const char *assignment)
{
	scoped(freep) char *text = NULL;
	char *changed;
	int rc = tree_text(t, node, &text);

	if (rc < 0)
		return rc;
	changed = edited(text, assignment);
	return changed == NULL ? -ENOMEM : set_text(t, node, changed);
}

int
create_set_conf(struct tree *t, const char *what)
{
	const char *colon = strchr(what, ':');
	const char *equals = colon != NULL ? strchr(colon, '=') : NULL;
	scoped(freep) char *path = NULL;
	struct tree_node *node;
	int rc;

	if (equals == NULL || colon == what || equals == colon + 1 ||
	    strchr(what, '\n') != NULL) {
		log_error("--set-conf takes FILE:KEY=VALUE, not '%s'", what);
		return -EINVAL;
	}
	path = strndup(what, (size_t)(colon - what));
	if (path == NULL)
		return -ENOMEM;
	rc = file_at(t, "--set-conf", path, &node);
	if (rc < 0)
		return rc;
	rc = assign(t, node, colon + 1);
	if (rc == -EFBIG)
		log_error(
		    "--set-conf: '%s' is too large for a file of settings",
		    path);
	return rc;
}
