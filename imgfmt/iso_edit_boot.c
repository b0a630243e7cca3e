/*
 * The boot images of an edited ISO.  What lies at the path of one afterwards is
 * what boots; if nothing does, what took over its directory record.
 */
#include <string.h>
#include <sys/stat.h>

#include "iso_edit_impl.h"
#include "log.h"

enum {
	NAMES_MAX = 64,  /* of boot images that are looked at */
	DEPTH_MAX = 256, /* of their directories */
	PATH_MAX_LEN = 4096,
};

/* A directory or a boot image's name in the old tree. */
struct place {
	uint64_t off, above; /* where it lies, and the directory with record */
	uint64_t record;
};

struct looking {
	struct iso_edit *edit;
	struct place *dirs, names[NAMES_MAX];
	size_t ndirs, room, nnames;
	char path[PATH_MAX_LEN]; /* of the name that was looked for last */
};

/* -- the old tree ---------------------------------------------------------- */

static bool
is_booted(const struct looking *l, uint64_t off)
{
	const struct iso_info *info = &l->edit->iso->info;

	for (unsigned i = 0; i < info->nboot; i++)
		if (info->boot[i].off == off)
			return true;
	return false;
}

static int
add_directory(struct looking *l, const struct place *place)
{
	if (l->ndirs == l->room) {
		size_t room = l->room == 0 ? 64 : 2 * l->room;
		void *more = realloc(l->dirs, room * sizeof(*l->dirs));

		if (more == NULL)
			return -ENOMEM;
		l->dirs = more;
		l->room = room;
	}
	l->dirs[l->ndirs++] = *place;
	return 0;
}

static int
on_record(void *arg, const struct iso_tree *tree,
    const struct iso_walk_dir *dir, const struct iso_record *rec)
{
	struct looking *l = arg;
	const struct place place = {rec->off, dir->off, rec->at};

	(void)tree;
	if (iso_record_is_dot(rec) || iso_record_is_dotdot(rec))
		return 0;
	if (rec->flags & ISO_FLAG_DIRECTORY)
		return add_directory(l, &place);
	if (rec->len > 0 && is_booted(l, rec->off) && l->nnames < NAMES_MAX)
		l->names[l->nnames++] = place;
	return 0;
}

/* -- the new one ----------------------------------------------------------- */

static struct iso_edit_node *
child_of(const struct iso_edit_node *dir, const char *name)
{
	struct iso_edit_node *n = dir != NULL ? dir->child : NULL;

	while (n != NULL && strcmp(n->name, name) != 0)
		n = n->next;
	return n;
}

/* *out: what is at the path of place now, or NULL.  l->path is that path. */
static int
look_up(struct looking *l, const struct place *place, int depth,
    struct iso_edit_node **out)
{
	const struct place *above = NULL;
	struct iso_edit_node *dir = l->edit->root;
	struct iso_node node;
	size_t len;
	int rc = iso_node_at(l->edit->iso, place->record, &node);

	*out = NULL;
	l->path[0] = '\0';
	if (rc < 0 || depth == DEPTH_MAX)
		return rc;
	if (place->above != l->edit->root->own->base.off) {
		for (size_t i = 0; i < l->ndirs && above == NULL; i++)
			if (l->dirs[i].off == place->above)
				above = &l->dirs[i];
		if (above == NULL)
			return 0;
		rc = look_up(l, above, depth + 1, &dir);
	}
	len = strlen(l->path);
	(void)snprintf(l->path + len, sizeof(l->path) - len, "%s%s",
	    len > 0 ? "/" : "", node.name);
	*out = child_of(dir, node.name);
	return rc;
}

/* Who has the record of a boot image now. */
static struct iso_edit_node *
who_replaces(const struct iso_edit *edit, uint64_t record)
{
	for (size_t i = 0; i < edit->ndirs; i++)
		for (struct iso_edit_node *n = edit->dirs[i]->child; n != NULL;
		     n = n->next)
			if (n->own->replaces == record)
				return n;
	return NULL;
}

static uint64_t
size_of(const struct iso_edit_node *node)
{
	return node->record != 0 ? node->own->base.size : node->size;
}

/* Whether node is the old image, or what hid one of the same name before. */
static bool
is_old(const struct iso_edit_node *node, const struct place *name)
{
	const struct iso_edit_own *own = node->own;

	return node->record != 0 &&
	    (own->base.off == name->off ||
		(own->replaces == node->record &&
		    own->parent->own->base.off == name->above));
}

/*
 * 1: node boots from now on; 0: the old image is there; -ENOENT: neither.
 * A node with old data gets a copy of it: boot images are written to.
 */
static int
take_over(
    struct looking *l, struct iso_edit_node *node, const struct place *name)
{
	struct iso_node old;
	int rc;

	if (node == NULL || !S_ISREG(node->mode) || size_of(node) == 0)
		return -ENOENT;
	if (is_old(node, name))
		return 0;
	rc = iso_node_at(l->edit->iso, name->record, &old);
	if (rc < 0)
		return rc;
	node->own->boot_off = name->off;
	node->own->boot_len = old.size;
	node->own->same = false;
	return 1;
}

/* As take_over, of all names of the boot image at off. */
static int
follow(struct looking *l, uint64_t off)
{
	struct iso_edit_node *node;
	int found = -ENOENT;

	for (int way = 0; way < 2 && found == -ENOENT; way++)
		for (size_t i = 0; i < l->nnames && found != 1; i++) {
			const struct place *name = &l->names[i];
			int rc = 0;

			if (name->off != off)
				continue;
			if (way == 0)
				rc = look_up(l, name, 0, &node);
			else
				node = who_replaces(l->edit, name->record);
			if (rc == 0)
				rc = take_over(l, node, name);
			if (rc < 0 && rc != -ENOENT)
				return rc;
			found = rc > found ? rc : found;
		}
	return found;
}

static int
follow_all(struct looking *l)
{
	const struct iso_info *info = &l->edit->iso->info;
	int rc = 0;

	for (unsigned i = 0; i < info->nboot && rc >= 0; i++) {
		struct iso_edit_node *node;
		uint64_t off = info->boot[i].off;
		const struct place *name = NULL;

		for (unsigned j = 0; j < i; j++)
			if (info->boot[j].off == off)
				off = 0;
		for (size_t j = l->nnames; j-- > 0;)
			if (l->names[j].off == off)
				name = &l->names[j];
		if (off == 0 || name == NULL)
			continue;
		rc = follow(l, off);
		if (rc == -ENOENT && (rc = look_up(l, name, 0, &node)) == 0)
			log_warn("the ISO goes on to boot what was '%s': there "
				 "is no such file any more",
			    l->path);
	}
	return rc < 0 ? rc : 0;
}

int
iso_edit_follow_boot(struct iso_edit *edit)
{
	scoped(freep) struct looking *l = calloc(1, sizeof(*l));
	struct iso_walker walker = {.record = on_record, .arg = l};
	int rc;

	if (l == NULL)
		return -ENOMEM;
	if (edit->iso->info.nboot == 0)
		return 0;
	l->edit = edit;
	rc = iso_walk(edit->iso, edit->tree, &walker);
	if (rc == 0)
		rc = follow_all(l);
	free(l->dirs);
	return rc;
}
