/* What a source is: a directory, a specification or an archive. */
#include <string.h>

#include "../imgfmt/log.h"
#include "tree.h"

/* Text from the start, as no archive is: their headers have zeroes in them. */
int
tree_is_mtree(const char *path)
{
	FILE *f = fopen(path, "re");
	char head[512];
	bool failed;
	size_t n;

	if (f == NULL)
		return -errno;
	n = fread(head, 1, sizeof(head), f);
	failed = ferror(f) != 0;
	(void)fclose(f);
	if (failed)
		return -EIO;
	return n > 0 && strchr("#./", head[0]) != NULL &&
	    memchr(head, '\0', n) == NULL;
}

int
tree_add_source(struct tree *t, const char *path)
{
	struct stat st;
	int rc;

	if (stat(path, &st) < 0) {
		rc = -errno;
		log_error("cannot open '%s': %s", path, strerror(-rc));
		return rc;
	}
	if (S_ISDIR(st.st_mode))
		return tree_add_directory(t, path);
	rc = S_ISREG(st.st_mode) ? tree_is_mtree(path) : 0;
	if (rc < 0) {
		log_error("cannot read '%s': %s", path, strerror(-rc));
		return rc;
	}
	return rc > 0 ? tree_add_mtree(t, path) : tree_add_archive(t, path);
}
