/*
 * Read whatever claims to be a session's text files.  What was read and is
 * written reads the same again.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "../../fusefs/session_impl.h"
#include "fuzz.h"

static void
put(int folder, const char *name, const uint8_t *data, size_t size)
{
	scoped(fdclosep) int fd =
	    openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
}

static void
same(const struct session_base *a, const struct session_base *b)
{
	if (a->n != b->n)
		abort();
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->line[i].verb, b->line[i].verb) != 0 ||
		    strcmp(a->line[i].name, b->line[i].name) != 0 ||
		    strcmp(a->line[i].value, b->line[i].value) != 0)
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int folder = -1;
	struct session_base base, again;
	struct session_mount mount;

	if (folder < 0) {
		/* a folder in the place of the file */
		const char *path = fuzz_file("session", data, 0);

		if (unlink(path) < 0 || mkdir(path, 0700) < 0)
			abort();
		folder = open(path, O_RDONLY | O_DIRECTORY);
	}
	put(folder, "mount", data, size);
	(void)!session_read_mount(folder, &mount);
	put(folder, "base", data, size);
	if (session_base_read(folder, &base) < 0)
		return 0;
	(void)session_base_get(&base, "image", NULL, 1);
	if (session_base_write(folder, &base) < 0 ||
	    session_base_read(folder, &again) < 0)
		abort();
	same(&base, &again);
	session_base_drop(&base, NULL, "image");
	session_base_release(&again);
	session_base_release(&base);
	return 0;
}
