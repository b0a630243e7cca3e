#include "tree_ids.h"

#include <string.h>

enum { TEXT_MAX = 1 << 20 };

/* Names as FreeBSD's own etc/master.passwd and etc/group number them. */
static const struct {
	const char *name;
	uint32_t id;
} users[] =
    {
	{"root", 0},
	{"toor", 0},
	{"daemon", 1},
	{"operator", 2},
	{"bin", 3},
	{"tty", 4},
	{"kmem", 5},
	{"games", 7},
	{"news", 8},
	{"man", 9},
	{"sshd", 22},
	{"smmsp", 25},
	{"mailnull", 26},
	{"bind", 53},
	{"unbound", 59},
	{"proxy", 62},
	{"_pflogd", 64},
	{"_dhcp", 65},
	{"uucp", 66},
	{"pop", 68},
	{"auditdistd", 78},
	{"www", 80},
	{"ntpd", 123},
	{"_ypldap", 160},
	{"hast", 845},
	{"tests", 977},
	{"nobody", 65534},
},
  groups[] = {
      {"wheel", 0},
      {"daemon", 1},
      {"kmem", 2},
      {"sys", 3},
      {"tty", 4},
      {"operator", 5},
      {"mail", 6},
      {"bin", 7},
      {"news", 8},
      {"man", 9},
      {"games", 13},
      {"ftp", 14},
      {"staff", 20},
      {"sshd", 22},
      {"smmsp", 25},
      {"mailnull", 26},
      {"guest", 31},
      {"video", 44},
      {"realtime", 47},
      {"bind", 53},
      {"unbound", 59},
      {"proxy", 62},
      {"authpf", 63},
      {"_pflogd", 64},
      {"_dhcp", 65},
      {"uucp", 66},
      {"dialer", 68},
      {"network", 69},
      {"audit", 77},
      {"www", 80},
      {"ntpd", 123},
      {"_ypldap", 160},
      {"hast", 845},
      {"tests", 977},
      {"nogroup", 65533},
      {"nobody", 65534},
};

int
tree_text(const struct tree *t, const struct tree_node *node, char **out)
{
	scoped(freep) char *text = NULL;
	struct tree_reader r;
	int rc, closed;

	if (node->size > TEXT_MAX)
		return -EFBIG;
	text = calloc(1, (size_t)node->size + 1);
	if (text == NULL)
		return -ENOMEM;
	tree_reader_init(&r, t);
	rc = tree_read(&r, node, 0, text, (size_t)node->size);
	closed = tree_reader_finish(&r);
	if (rc == 0)
		rc = closed;
	if (rc < 0)
		return rc;
	*out = text;
	text = NULL; /* the caller's */
	return 0;
}

/* The third field of a line "name:password:ID:...". */
static int
id_in(const char *line, const char *end, uint32_t *out)
{
	const char *colon = memchr(line, ':', (size_t)(end - line));
	unsigned long n;
	char *rest;

	if (colon != NULL)
		colon = memchr(colon + 1, ':', (size_t)(end - colon - 1));
	if (colon == NULL)
		return -ENOENT;
	n = strtoul(colon + 1, &rest, 10);
	if (rest == colon + 1 || n > UINT32_MAX)
		return -ENOENT;
	*out = (uint32_t)n;
	return 0;
}

static int
search(const char *text, const char *name, uint32_t *out)
{
	size_t len = strlen(name);

	while (*text != '\0') {
		const char *end = strchrnul(text, '\n');

		if (strncmp(text, name, len) == 0 && text[len] == ':' &&
		    id_in(text, end, out) == 0)
			return 0;
		text = *end != '\0' ? end + 1 : end;
	}
	return -ENOENT;
}

static int
search_file(
    const struct tree *t, const char *path, const char *name, uint32_t *out)
{
	const struct tree_node *node = tree_find(t, path);
	scoped(freep) char *text = NULL;
	int rc;

	if (node == NULL || !S_ISREG(node->mode))
		return -ENOENT;
	rc = tree_text(t, node, &text);
	return rc < 0 ? rc : search(text, name, out);
}

int
tree_id(const struct tree *t, enum tree_id_kind kind, const char *name,
    uint32_t *out)
{
	int rc;

	if (kind == TREE_GROUP) {
		rc = search_file(t, "etc/group", name, out);
	} else {
		rc = search_file(t, "etc/master.passwd", name, out);
		if (rc == -ENOENT)
			rc = search_file(t, "etc/passwd", name, out);
	}
	if (rc != -ENOENT)
		return rc;
	for (size_t i = 0;
	     kind == TREE_USER && i < sizeof(users) / sizeof(*users); i++)
		if (strcmp(users[i].name, name) == 0) {
			*out = users[i].id;
			return 0;
		}
	for (size_t i = 0;
	     kind == TREE_GROUP && i < sizeof(groups) / sizeof(*groups); i++)
		if (strcmp(groups[i].name, name) == 0) {
			*out = groups[i].id;
			return 0;
		}
	return -ENOENT;
}
