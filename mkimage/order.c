#include "order.h"

#include <inttypes.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "idmap.h"

static int
add_path(struct order *order, size_t *room, char *path)
{
	if (order->n == *room) {
		size_t more = *room > 0 ? 2 * *room : 256;
		char **paths = realloc(order->paths, more * sizeof(*paths));

		if (paths == NULL)
			return -ENOMEM;
		order->paths = paths;
		*room = more;
	}
	order->paths[order->n++] = path;
	return 0;
}

/* Add what one line says. */
static int
add_line(struct order *order, size_t *room, const char *line)
{
	char *path;
	int rc;

	if (line[strspn(line, " \t")] == '\0' || *line == '#')
		return 0;
	rc = tree_plain_path(line, &path);
	if (rc < 0)
		return rc;
	rc = *path != '\0' ? add_path(order, room, path) : 0;
	if (rc < 0 || *path == '\0')
		free(path);
	return rc;
}

static int
read_lines(FILE *f, const char *list, struct order *out)
{
	scoped(freep) char *line = NULL;
	size_t size = 0, room = 0;
	ssize_t len;

	errno = 0;
	for (uint64_t n = 1; (len = getline(&line, &size, f)) >= 0; n++) {
		int rc;

		if (len > 0 && line[len - 1] == '\n')
			line[len - 1] = '\0';
		rc = add_line(out, &room, line);
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

/* Whether files have the node for the first time; -ENOMEM. */
static int
is_first(struct idmap *seen, const struct tree_node *node)
{
	return idmap_put(seen, (uint64_t)(uintptr_t)node, NULL);
}

int
order_find(const struct order *order, const struct tree *t,
    struct order_file **files, size_t *n)
{
	struct idmap seen = {0};
	const char *example = NULL;
	uint64_t missing = 0;
	int rc = 0;

	*n = 0;
	*files = calloc(order->n + 1, sizeof(**files));
	if (*files == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < order->n && rc >= 0; i++) {
		const struct tree_node *node = tree_find(t, order->paths[i]);

		if (node == NULL) {
			missing++;
			example = example ? example : order->paths[i];
		} else if (S_ISREG(node->mode)) {
			rc = is_first(&seen, node);
			if (rc == 1)
				(*files)[(*n)++] =
				    (struct order_file){order->paths[i], node};
		}
	}
	idmap_release(&seen);
	if (missing > 0)
		log_warn("%" PRIu64 " of %zu paths to be ordered are not in "
			 "the tree, the first is '%s'",
		    missing, order->n, example);
	return rc < 0 ? rc : 0;
}
