/* Trees for tests: made by hand, and what was said about them. */
#ifndef TREE_KIT_H
#define TREE_KIT_H

#include <fcntl.h>
#include <stdlib.h>

#include "../../imgfmt/log.h"
#include "../../mkimage/tree.h"
#include "check.h"

static char kit_said[1024]; /* the last line */
static int kit_lines;

static inline void
kit_sink(enum log_level level, const char *line)
{
	if (level > LOG_WARN_LEVEL)
		return;
	kit_lines++;
	snprintf(kit_said, sizeof(kit_said), "%s", line);
}

/* Nothing has been said from now on. */
static inline void
kit_listen(void)
{
	log_set_sink(kit_sink);
	kit_lines = 0;
	kit_said[0] = '\0';
}

/* Exactly one line was said, with text in it. */
static inline bool
kit_heard(const char *text)
{
	bool yes = kit_lines == 1 && strstr(kit_said, text) != NULL;

	if (!yes)
		printf("# %d lines, the last '%s'\n", kit_lines, kit_said);
	kit_listen();
	return yes;
}

/* A node at path: of mode, and for files with text in it. */
static inline struct tree_node *
kit_put(struct tree *t, const char *path, uint32_t mode, const char *text)
{
	struct tree_node *node = tree_node_new(t, mode);

	if (node == NULL)
		return NULL;
	if (S_ISLNK(mode))
		node->target = strdup(text);
	if (S_ISREG(mode) && text != NULL) {
		node->content.kind = CONTENT_TEXT;
		node->content.text = strdup(text);
		node->size = strlen(text);
		if (node->size > 0 && tree_add_run(node, 0, node->size, 0) < 0)
			return NULL;
	}
	return tree_put(t, "test", path, &node) == 0 ? node : NULL;
}

/* A file of the host with text in it. */
static inline void
kit_write(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	CHECK(f != NULL);
	if (f == NULL)
		return;
	CHECK(fputs(text, f) >= 0);
	CHECK(fclose(f) == 0);
}

/* A fresh directory to work in, removed by kit_leave. */
static inline const char *
kit_enter(void)
{
	static char dir[] = "/tmp/relive-tree.XXXXXX";

	memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
	CHECK(mkdtemp(dir) != NULL);
	return dir;
}

static inline void
kit_leave(const char *dir)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	CHECK_EQ(system(command), 0);
}

#endif
