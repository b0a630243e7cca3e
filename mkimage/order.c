#include "order.h"

#include <inttypes.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "idmap.h"

/* Add path, which becomes order's, also after an error. */
static int
add_path(struct order *order, char *path)
{
	if (order->n == order->room) {
		size_t room = order->room > 0 ? 2 * order->room : 256;
		char **paths = realloc(order->paths, room * sizeof(*paths));

		if (paths == NULL) {
			free(path);
			return -ENOMEM;
		}
		order->paths = paths;
		order->room = room;
	}
	order->paths[order->n++] = path;
	return 0;
}

/* Add what one line says. */
static int
add_line(struct order *order, const char *line)
{
	char *path;
	int rc;

	if (line[strspn(line, " \t")] == '\0' || *line == '#')
		return 0;
	rc = tree_plain_path(line, &path);
	if (rc < 0)
		return rc;
	if (*path != '\0')
		return add_path(order, path);
	free(path);
	return 0;
}

static int
read_lines(FILE *f, const char *list, struct order *out)
{
	scoped(freep) char *line = NULL;
	size_t size = 0;
	ssize_t len;

	errno = 0;
	for (uint64_t n = 1; (len = getline(&line, &size, f)) >= 0; n++) {
		int rc;

		if (len > 0 && line[len - 1] == '\n')
			line[len - 1] = '\0';
		rc = add_line(out, line);
		if (rc == -EINVAL || rc == -ENAMETOOLONG)
			log_error("'%s', line %" PRIu64
				  ": '%.200s' is no path in a tree",
			    list, n, line);
		if (rc < 0)
			return rc;
		errno = 0;
	}
	if (ferror(f) == 0)
		return 0;
	log_error("cannot read '%s': %s", list, strerror(errno));
	return errno != 0 ? -errno : -EIO;
}

int
order_read(const char *list, struct order *out)
{
	scoped(fileclosep) FILE *f = NULL;

	*out = (struct order){0};
	if (strcmp(list, "-") == 0)
		return read_lines(stdin, "standard input", out);
	f = fopen(list, "re");
	if (f == NULL) {
		int rc = -errno;

		log_error("cannot read '%s': %s", list, strerror(-rc));
		return rc;
	}
	return read_lines(f, list, out);
}

void
order_release(struct order *order)
{
	for (size_t i = 0; i < order->n; i++)
		free(order->paths[i]);
	free(order->paths);
	*order = (struct order){0};
}

/* What is at path, or else at path.gz; *found is that path, to be freed. */
static int
find(const struct tree *t, const char *path, const struct tree_node **node,
    char **found)
{
	*node = tree_find(t, path);
	if (*node != NULL)
		*found = strdup(path);
	else if (asprintf(found, "%s.gz", path) < 0)
		*found = NULL;
	if (*found == NULL)
		return -ENOMEM;
	if (*node == NULL)
		*node = tree_find(t, *found);
	return 0;
}

int
order_of_tree(
    const struct order *order, const struct tree *t, struct order *out)
{
	struct idmap seen = {0};
	int rc = 0;

	*out = (struct order){0};
	for (size_t i = 0; i < order->n && rc >= 0; i++) {
		const struct tree_node *node;
		char *path;

		rc = find(t, order->paths[i], &node, &path);
		if (rc < 0)
			break;
		if (node != NULL && S_ISREG(node->mode))
			rc = idmap_put(&seen, (uint64_t)(uintptr_t)node, NULL);
		if (rc == 1)
			rc = add_path(out, path);
		else
			free(path);
	}
	idmap_release(&seen);
	return rc < 0 ? rc : 0;
}

static bool
is_in(const struct tree *t, const char *path)
{
	const struct tree_node *node;
	char *found = NULL;
	int rc = find(t, path, &node, &found);

	free(found);
	return rc == 0 && node != NULL;
}

void
order_tell_missing(
    const struct order *order, const struct tree *t, const struct tree *other)
{
	const char *first = NULL;
	uint64_t missing = 0;

	for (size_t i = 0; i < order->n; i++)
		if (!is_in(t, order->paths[i]) &&
		    (other == NULL || !is_in(other, order->paths[i]))) {
			missing++;
			first = first != NULL ? first : order->paths[i];
		}
	if (missing > 0)
		log_warn("%" PRIu64 " of %zu paths to be ordered are not in "
			 "the tree, the first is '%s'",
		    missing, order->n, first);
}
