/* The wanted tree against the old one: what is tied to what, what differs. */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "iso_edit_impl.h"
#include "log.h"

/* -- nodes ----------------------------------------------------------------- */

struct iso_edit_node *
iso_edit_new(const char *name)
{
	struct iso_edit_node *node = calloc(1, sizeof(*node));

	if (node == NULL)
		return NULL;
	node->name = strdup(name);
	if (node->name == NULL) {
		free(node);
		return NULL;
	}
	return node;
}

static void
free_own(struct iso_edit_own *own)
{
	if (own == NULL)
		return;
	for (int i = 0; i < 3; i++)
		free(own->area[i]);
	free(own->listed);
	free(own->content.slot);
	free(own->content.old);
	free(own);
}

/* The tree may be deep: children are put behind what is yet to be freed. */
void
iso_edit_free(struct iso_edit_node *node)
{
	struct iso_edit_node *last = node;

	if (node != NULL)
		node->next = NULL;
	while (node != NULL) {
		struct iso_edit_node *next;

		last->next = node->child;
		while (last->next != NULL)
			last = last->next;
		next = node->next;
		free(node->name);
		free(node->target);
		free_own(node->own);
		if (last == node)
			last = next;
		free(node);
		node = next;
	}
}

/* -- what the ISO is like -------------------------------------------------- */

struct learning {
	struct iso_dialect *dialect;
	const char *why;
};

static void
learn_identifier(struct iso_dialect *d, const struct iso_record *rec)
{
	const char *version = memchr(rec->name, ';', rec->name_len);
	size_t len =
	    version != NULL ? (size_t)(version - rec->name) : rec->name_len;
	const char *dot = memchr(rec->name, '.', len);
	bool is_dir = (rec->flags & ISO_FLAG_DIRECTORY) != 0;

	for (size_t i = 0; i < len; i++)
		d->seen[(uint8_t)rec->name[i]] = true;
	d->version |= version != NULL;
	d->long_names |= len > (is_dir ? 8 : 12);
	d->dot |= len > 0 && rec->name[len - 1] == '.';
	d->dots |= dot != NULL &&
	    memchr(dot + 1, '.', len - (size_t)(dot + 1 - rec->name)) != NULL;
}

static int
learn_record(void *arg, const struct iso_tree *tree,
    const struct iso_walk_dir *dir, const struct iso_record *rec)
{
	struct learning *l = arg;

	(void)tree;
	(void)dir;
	if (iso_record_is_dot(rec) || iso_record_is_dotdot(rec))
		return 0;
	learn_identifier(l->dialect, rec);
	return 0;
}

/* Our numbers go down from the end: those of earlier edits are not free. */
static void
learn_serial(struct iso_dialect *d, const struct iso_entry *entry)
{
	le32 field;
	uint32_t serial;

	d->px_len = entry->raw[2] >= 44 ? 44 : 36;
	if (d->px_len == 36)
		return;
	memcpy(&field, entry->raw + 36, sizeof(field));
	serial = le32_get(field);
	if (serial > UINT32_MAX / 2 && serial < d->serials)
		d->serials = serial;
}

static int
learn_entry(
    void *arg, const struct iso_tree *tree, const struct iso_entry *entry)
{
	struct learning *l = arg;
	struct iso_dialect *d = l->dialect;

	(void)tree;
	if (iso_entry_is(entry, "CL", 4) || iso_entry_is(entry, "RE", 4))
		l->why = "it has relocated directories";
	else if (iso_entry_is(entry, "RR", 5))
		d->rr_entry = true;
	else if (iso_entry_is(entry, "PX", 36))
		learn_serial(d, entry);
	else if (iso_entry_is(entry, "TF", 5) && d->tf_flags == 0)
		d->tf_flags = entry->raw[4];
	return 0;
}

int
iso_edit_learn(struct iso *iso, struct iso_dialect *out, const char **why)
{
	struct learning l = {.dialect = out};
	struct iso_walker walker = {
	    .record = learn_record, .entry = learn_entry, .arg = &l};
	int rc;

	*out = (struct iso_dialect){
	    .rock_ridge = iso->main->susp, .px_len = 36, .serials = UINT32_MAX};
	rc = iso_walk(iso, iso->main, &walker);
	if (out->tf_flags == 0)
		out->tf_flags = ISO_TF_MODIFY;
	if (why != NULL)
		*why = l.why;
	return rc;
}

const char *
iso_edit_why_not(struct iso *iso, int *rc)
{
	struct iso_dialect dialect;
	struct iso_plan *plan;
	const char *why = NULL;

	*rc = 0;
	if (iso->ntrees > 1)
		return iso->info.joliet
		    ? "it has a second tree, of Joliet names"
		    : "it has a second tree";
	if (iso->session != 0)
		return "it has several sessions";
	*rc = iso_plan_make_append(iso, &plan);
	if (*rc < 0)
		return NULL;
	if (plan->several_sessions)
		why = "it has several sessions";
	else if (plan->ntrees > 1)
		why = "it has a copy of its tree for a partition";
	iso_plan_free(plan);
	if (why == NULL)
		*rc = iso_edit_learn(iso, &dialect, &why);
	return why;
}

/* -- binding --------------------------------------------------------------- */

/* What a directory of the base lists. */
struct listing {
	struct iso_node *node;
	size_t n, room;
};

static int
list_one(void *arg, const struct iso_node *node)
{
	struct listing *list = arg;

	if (list->n == list->room) {
		size_t room = list->room == 0 ? 64 : 2 * list->room;
		struct iso_node *more =
		    realloc(list->node, room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		list->node = more;
		list->room = room;
	}
	list->node[list->n++] = *node;
	return 0;
}

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

bool
iso_edit_lists(const struct iso_edit_node *dir, uint64_t at)
{
	const struct iso_edit_own *own = dir->own;

	return own->nlisted > 0 &&
	    bsearch(&at, own->listed, own->nlisted, sizeof(at), by_number) !=
	    NULL;
}

static int
by_name(const void *a, const void *b)
{
	const struct iso_node *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order != 0 ? order : by_number(&x->record_off, &y->record_off);
}

/*
 * Note the records that can be seen: of several with one name the first.  The
 * others nobody could want to be gone.
 */
static int
keep_listed(struct iso_edit_node *dir, struct listing *list)
{
	struct iso_edit_own *own = dir->own;
	const struct iso_node *node = list->node;

	own->listed = calloc(list->n + 1, sizeof(*own->listed));
	if (own->listed == NULL)
		return -ENOMEM;
	if (list->n > 0)
		qsort(list->node, list->n, sizeof(*list->node), by_name);
	for (size_t i = 0; i < list->n; i++) {
		if (i > 0 && strcmp(node[i - 1].name, node[i].name) == 0)
			continue;
		own->listed[own->nlisted++] = node[i].record_off;
		own->base_dirs += S_ISDIR(node[i].mode);
	}
	qsort(own->listed, own->nlisted, sizeof(*own->listed), by_number);
	return 0;
}

static bool
is_as_base(const struct iso_edit_node *node, bool rock_ridge)
{
	const struct iso_node *base = &node->own->base;

	if (node->record == 0 || !node->own->here ||
	    strcmp(node->name, base->name) != 0 ||
	    node->mtime.tv_sec != base->mtime.tv_sec)
		return false;
	return !rock_ridge ||
	    (node->mode == base->mode && node->uid == base->uid &&
		node->gid == base->gid &&
		node->rdev_major == base->rdev_major &&
		node->rdev_minor == base->rdev_minor);
}

/* The first of that name in a list in order. */
static const struct iso_node *
find_name(const struct listing *list, const char *name)
{
	size_t low = 0, high = list->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(list->node[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < list->n && strcmp(list->node[low].name, name) == 0
	    ? &list->node[low]
	    : NULL;
}

/* Whether a child of dir comes from that record, and keeps its name. */
static bool
is_kept(const struct iso_edit_node *dir, const struct iso_node *base)
{
	for (const struct iso_edit_node *n = dir->child; n != NULL; n = n->next)
		if (n->record == base->record_off)
			return strcmp(n->name, base->name) == 0;
	return false;
}

static int
bind_child(struct iso_edit *edit, struct iso_edit_node *dir,
    struct iso_edit_node *node, const struct listing *list)
{
	struct iso_edit_own *own = calloc(1, sizeof(*own));
	const struct iso_node *named;
	int rc = 0;

	if (own == NULL)
		return -ENOMEM;
	free_own(node->own); /* of an earlier look */
	node->own = own;
	own->parent = dir;
	if (node->record != 0)
		rc = iso_node_at(edit->iso, node->record, &own->base);
	if (rc < 0)
		return rc == -EINVAL ? -ECORRUPT : rc;
	own->here = node->record != 0 && iso_edit_lists(dir, node->record);
	own->same = is_as_base(node, edit->dialect.rock_ridge);
	if (own->here && strcmp(node->name, own->base.name) == 0)
		own->replaces = node->record;
	else if ((named = find_name(list, node->name)) != NULL &&
	    !is_kept(dir, named) && S_ISDIR(named->mode) == S_ISDIR(node->mode))
		own->replaces = named->record_off;
	return 0;
}

/* The entries of dir, which is bound itself. */
static int
bind_children(struct iso_edit *edit, struct iso_edit_node *dir)
{
	struct listing list = {0};
	int rc = 0;

	if (dir->record != 0) {
		rc = iso_list(edit->iso, &dir->own->base, list_one, &list);
		if (rc == 0)
			rc = keep_listed(dir, &list);
	}
	for (struct iso_edit_node *n = dir->child; n != NULL && rc == 0;
	     n = n->next)
		rc = bind_child(edit, dir, n, &list);
	free(list.node);
	return rc;
}

static int
add_dir(struct iso_edit *edit, struct iso_edit_node *dir)
{
	if (edit->ndirs == edit->dirs_room) {
		size_t room = edit->dirs_room == 0 ? 64 : 2 * edit->dirs_room;
		void *more = realloc(edit->dirs, room * sizeof(*edit->dirs));

		if (more == NULL)
			return -ENOMEM;
		edit->dirs = more;
		edit->dirs_room = room;
	}
	edit->dirs[edit->ndirs++] = dir;
	return 0;
}

int
iso_edit_bind(struct iso_edit *edit)
{
	struct iso_edit_node *root = edit->root;
	int rc;

	free_own(root->own);
	root->own = calloc(1, sizeof(*root->own));
	if (root->own == NULL)
		return -ENOMEM;
	rc = iso_root(edit->iso, &root->own->base);
	root->record = root->own->base.record_off;
	root->own->here = true;
	root->own->same = is_as_base(root, edit->dialect.rock_ridge);
	if (rc == 0)
		rc = add_dir(edit, root);
	for (size_t i = 0; i < edit->ndirs && rc == 0; i++) {
		rc = bind_children(edit, edit->dirs[i]);
		for (struct iso_edit_node *n = edit->dirs[i]->child;
		     n != NULL && rc == 0; n = n->next)
			if (iso_edit_is_dir(n))
				rc = add_dir(edit, n);
	}
	return rc;
}

const char *
iso_edit_path_of(const struct iso_edit_node *node, char buf[ISO_EDIT_PATH_MAX])
{
	size_t at = ISO_EDIT_PATH_MAX - 1;

	buf[at] = '\0';
	for (; node->own->parent != NULL; node = node->own->parent) {
		size_t len = strlen(node->name);

		if (len + 1 > at)
			break;
		if (buf[at] != '\0')
			buf[--at] = '/';
		at -= len;
		memcpy(buf + at, node->name, len);
	}
	return buf + at;
}

/* -- changes --------------------------------------------------------------- */

struct telling {
	struct iso_edit *edit;
	int (*each)(void *arg, enum iso_edit_change change, const char *path);
	void *arg;
	char path[4096];
	size_t len;
};

static int
tell(struct telling *t, enum iso_edit_change change, const char *name,
    bool is_dir)
{
	int n = snprintf(t->path + t->len, sizeof(t->path) - t->len, "%s%s",
	    name, is_dir ? "/" : "");

	if (n < 0 || (size_t)n >= sizeof(t->path) - t->len)
		return -ENAMETOOLONG;
	return t->each(t->arg, change, t->path);
}

/* What dir of the base lists and nobody wants under that name any more. */
static int
tell_removed(struct telling *t, const struct iso_edit_node *dir)
{
	for (size_t i = 0; i < dir->own->nlisted; i++) {
		struct iso_node gone;
		bool wanted = false;
		int rc = iso_node_at(t->edit->iso, dir->own->listed[i], &gone);

		for (const struct iso_edit_node *n = dir->child;
		     n != NULL && rc == 0 && !wanted; n = n->next)
			wanted = strcmp(n->name, gone.name) == 0;
		if (rc == 0 && !wanted)
			rc = tell(
			    t, ISO_EDIT_REMOVED, gone.name, S_ISDIR(gone.mode));
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int tell_dir(struct telling *t, const struct iso_edit_node *dir);

static int
tell_child(struct telling *t, const struct iso_edit_node *node)
{
	size_t was = t->len;
	int rc = 0;

	if (node->own->replaces == 0)
		rc = tell(t, ISO_EDIT_ADDED, node->name, iso_edit_is_dir(node));
	else if (!node->own->same)
		rc = tell(
		    t, ISO_EDIT_CHANGED, node->name, iso_edit_is_dir(node));
	if (rc != 0 || !iso_edit_is_dir(node))
		return rc;
	t->len += strlen(node->name) + 1;
	if (t->len >= sizeof(t->path))
		return -ENAMETOOLONG;
	memcpy(t->path + was, node->name, t->len - was - 1);
	t->path[t->len - 1] = '/';
	rc = tell_dir(t, node);
	t->len = was;
	return rc;
}

/* As deep as a path is long. */
static int
tell_dir(struct telling *t, const struct iso_edit_node *dir)
{
	int rc = 0;

	if (dir->own->here || dir->own->parent == NULL)
		rc = tell_removed(t, dir);
	for (const struct iso_edit_node *n = dir->child; n != NULL && rc == 0;
	     n = n->next)
		rc = tell_child(t, n);
	return rc;
}

int
iso_edit_changes(struct iso *iso, struct iso_edit_node *root,
    int (*each)(void *arg, enum iso_edit_change change, const char *path),
    void *arg)
{
	struct iso_edit edit = {.iso = iso, .tree = iso->main};
	scoped(freep) struct telling *t = calloc(1, sizeof(*t));
	int rc;

	if (t == NULL)
		return -ENOMEM;
	edit.root = root;
	rc = iso_edit_learn(iso, &edit.dialect, NULL);
	if (rc == 0)
		rc = iso_edit_bind(&edit);
	t->edit = &edit;
	t->each = each;
	t->arg = arg;
	if (rc == 0)
		rc = tell_dir(t, root);
	free(edit.dirs);
	return rc;
}
