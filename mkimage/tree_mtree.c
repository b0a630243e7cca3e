/*
 * An mtree(5) specification as a source.  Read by ourselves, because a spec
 * lies on top of other sources: what counts is which keywords a line gives,
 * and where contents= leads, and libarchive tells neither.
 *
 * A line without contents= changes what is in the tree already; what is not
 * gets made, if the line tells enough.  Hashes, sizes and link counts are not
 * compared: this is a recipe, not a check.
 */
#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "../imgfmt/fflags.h"
#include "../imgfmt/log.h"
#include "outfile.h"
#include "tree.h"
#include "tree_ids.h"

enum { PATH_LIMIT = 4096 };

/* Keywords that a line (or /set) has given. */
enum {
	GIVEN_TYPE = 1,
	GIVEN_MODE = 2,
	GIVEN_UID = 4,
	GIVEN_GID = 8,
	GIVEN_FLAGS = 16,
	GIVEN_TIME = 32,
	GIVEN_DEVICE = 64,
	GIVEN_OPTIONAL = 128,
	GIVEN_EMPTY = 256, /* size=0 */
};

struct words {
	unsigned given;
	uint32_t type, mode, uid, gid, flags;
	uint32_t rdev_major, rdev_minor;
	struct timespec time;
	char *link, *contents; /* within the line */
};

struct spec {
	struct tree *t;
	const char *source;
	unsigned long line;
	struct words set;     /* what /set said */
	char dir[PATH_LIMIT]; /* where names without a slash are; plain */
};

__attribute__((format(printf, 2, 3))) static int
wrong(const struct spec *s, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_error("'%s' line %lu: %s", s->source, s->line, text);
	return -EINVAL;
}

/* -- words ----------------------------------------------------------------- */

static bool
is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Undo vis(3), in place: \ooo, \s and C's letters. */
static void
unvis(char *text)
{
	static const char letters[] = "abfnrtvs0",
			  bytes[] = "\a\b\f\n\r\t\v \0";
	char *to = text;

	while (*text != '\0') {
		const char *letter;

		if (*text != '\\' || text[1] == '\0') {
			*to++ = *text++;
			continue;
		}
		text++;
		if (is_octal(text[0]) && is_octal(text[1]) &&
		    is_octal(text[2])) {
			*to++ = (char)((text[0] - '0') << 6 |
			    (text[1] - '0') << 3 | (text[2] - '0'));
			text += 3;
			continue;
		}
		letter = strchr(letters, *text);
		*to++ = letter != NULL ? bytes[letter - letters] : *text;
		text++;
	}
	*to = '\0';
}

static int
number(const struct spec *s, const char *word, const char *value, int base,
    uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(value, &end, base);
	if (!isdigit((unsigned char)*value) || *end != '\0' || errno != 0)
		return wrong(s, "'%s' is no number for %s", value, word);
	return 0;
}

static int
set_type(const struct spec *s, struct words *w, const char *value)
{
	static const struct {
		const char *name;
		uint32_t type;
	} types[] = {
	    {"file", S_IFREG},
	    {"dir", S_IFDIR},
	    {"link", S_IFLNK},
	    {"block", S_IFBLK},
	    {"char", S_IFCHR},
	    {"fifo", S_IFIFO},
	    {"socket", S_IFSOCK},
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (strcmp(types[i].name, value) == 0) {
			w->type = types[i].type;
			w->given |= GIVEN_TYPE;
			return 0;
		}
	return wrong(s, "no type '%s'", value);
}

static int
set_mode(const struct spec *s, struct words *w, const char *value)
{
	uint64_t n = 0;
	int rc = number(s, "mode", value, 8, &n);

	if (rc == 0 && n > 07777)
		rc = wrong(s, "'%s' is too large for mode", value);
	w->mode = (uint32_t)n;
	return rc;
}

/* uid= and gid= take numbers, uname= and gname= names. */
static int
set_id(const struct spec *s, enum tree_id_kind kind, uint32_t *to,
    const char *word, const char *value)
{
	uint64_t n = 0;
	int rc;

	if (strcmp(word + 1, "name") != 0) {
		rc = number(s, word, value, 10, &n);
		if (rc == 0 && n > UINT32_MAX)
			rc = wrong(s, "'%s' is too large for %s", value, word);
		*to = (uint32_t)n;
		return rc;
	}
	rc = tree_id(s->t, kind, value, to);
	if (rc == -EFBIG)
		return wrong(s, "the tree's list of names is too large");
	if (rc == -ENOENT)
		return wrong(s, "no %s '%s' in the tree's %s",
		    kind == TREE_USER ? "user" : "group", value,
		    kind == TREE_USER ? "etc/master.passwd" : "etc/group");
	return rc;
}

/* SECONDS.NANOSECONDS, the latter a number, not a fraction. */
static int
set_time(const struct spec *s, struct words *w, const char *value)
{
	char *end;
	long nsec = 0;

	errno = 0;
	w->time.tv_sec = strtoll(value, &end, 10);
	if (end > value && *end == '.')
		nsec = strtol(end + 1, &end, 10);
	if (end == value || *end != '\0' || errno != 0 || nsec < 0 ||
	    nsec > 999999999)
		return wrong(s, "'%s' is no time", value);
	w->time.tv_nsec = nsec;
	return 0;
}

/* FORMAT,MAJOR,MINOR, or FreeBSD's packed number (formats.md 2.8). */
static int
set_device(const struct spec *s, struct words *w, char *value)
{
	char *major = strchr(value, ','), *minor;
	uint64_t a = 0, b = 0;
	int rc;

	if (major == NULL) {
		rc = number(s, "device", value, 0, &a);
		w->rdev_major =
		    (uint32_t)((a >> 32 & 0xffffff00) | (a >> 8 & 0xff));
		w->rdev_minor =
		    (uint32_t)((a >> 24 & 0xff00) | (a & 0xffff00ff));
		return rc;
	}
	*major++ = '\0';
	minor = strchr(major, ',');
	if (minor == NULL)
		return wrong(s, "a device needs a major and a minor number");
	*minor++ = '\0';
	rc = number(s, "device", major, 0, &a);
	if (rc == 0)
		rc = number(s, "device", minor, 0, &b);
	if (rc == 0 && (a > UINT32_MAX || b > UINT32_MAX))
		rc = wrong(s, "a device number is too large");
	w->rdev_major = (uint32_t)a;
	w->rdev_minor = (uint32_t)b;
	return rc;
}

static int
set_flags(const struct spec *s, struct words *w, const char *value)
{
	if (strcmp(value, "none") == 0 || strcmp(value, "0") == 0)
		w->flags = 0;
	else if (fflags_parse(value, strlen(value), &w->flags) < 0)
		return wrong(s, "UFS does not know the flags '%s'", value);
	return 0;
}

/* Words that have no value, or one that is a text of the line. */
static bool
take_text(struct words *w, const char *word, char *value)
{
	if (strcmp(word, "optional") == 0) {
		w->given |= GIVEN_OPTIONAL;
	} else if (strcmp(word, "link") == 0 && value != NULL) {
		unvis(value);
		w->link = value;
	} else if ((strcmp(word, "contents") == 0 ||
		       strcmp(word, "content") == 0) &&
	    value != NULL) {
		unvis(value);
		w->contents = value;
	} else if (strcmp(word, "size") == 0 && value != NULL) {
		if (strcmp(value, "0") == 0)
			w->given |= GIVEN_EMPTY;
	} else {
		return false;
	}
	return true;
}

static unsigned
bit_of(const char *word)
{
	static const struct {
		const char *word;
		unsigned bit;
	} bits[] = {
	    {"type", GIVEN_TYPE},
	    {"mode", GIVEN_MODE},
	    {"uid", GIVEN_UID},
	    {"uname", GIVEN_UID},
	    {"gid", GIVEN_GID},
	    {"gname", GIVEN_GID},
	    {"flags", GIVEN_FLAGS},
	    {"time", GIVEN_TIME},
	    {"device", GIVEN_DEVICE},
	};

	for (size_t i = 0; i < sizeof(bits) / sizeof(*bits); i++)
		if (strcmp(bits[i].word, word) == 0)
			return bits[i].bit;
	return 0;
}

/* One KEYWORD or KEYWORD=VALUE; what we do not use is passed over. */
static int
take_word(const struct spec *s, struct words *w, char *word)
{
	char *value = strchr(word, '=');
	unsigned bit;

	if (value != NULL)
		*value++ = '\0';
	if (take_text(w, word, value))
		return 0;
	bit = bit_of(word);
	if (bit == 0)
		return 0;
	if (value == NULL)
		return wrong(s, "%s has no value", word);
	w->given |= bit;
	switch (bit) {
	case GIVEN_TYPE:
		return set_type(s, w, value);
	case GIVEN_MODE:
		return set_mode(s, w, value);
	case GIVEN_UID:
		return set_id(s, TREE_USER, &w->uid, word, value);
	case GIVEN_GID:
		return set_id(s, TREE_GROUP, &w->gid, word, value);
	case GIVEN_FLAGS:
		return set_flags(s, w, value);
	case GIVEN_TIME:
		return set_time(s, w, value);
	default:
		return set_device(s, w, value);
	}
}

static int
take_words(const struct spec *s, struct words *w, char *text)
{
	char *save, *word = strtok_r(text, " \t", &save);
	int rc = 0;

	for (; word != NULL && rc == 0; word = strtok_r(NULL, " \t", &save))
		rc = take_word(s, w, word);
	return rc;
}

/* -- entries --------------------------------------------------------------- */

static void
apply(struct tree_node *node, const struct words *w)
{
	if (w->given & GIVEN_MODE)
		node->mode = (node->mode & S_IFMT) | w->mode;
	if (w->given & GIVEN_UID)
		node->uid = w->uid;
	if (w->given & GIVEN_GID)
		node->gid = w->gid;
	if (w->given & GIVEN_FLAGS)
		node->flags = w->flags;
	if (w->given & GIVEN_TIME)
		tree_node_date(node, w->time);
	if (w->given & GIVEN_DEVICE) {
		node->rdev_major = w->rdev_major;
		node->rdev_minor = w->rdev_minor;
	}
}

static int
set_target(struct tree_node *node, const char *target)
{
	char *copy = strdup(target);

	if (copy == NULL)
		return -ENOMEM;
	free(node->target);
	node->target = copy;
	return 0;
}

/* What a new node needs to be whole. */
static int
fill(const struct spec *s, struct tree_node *node, const char *path,
    const struct words *w)
{
	if (S_ISLNK(node->mode))
		return w->link != NULL ? set_target(node, w->link)
				       : wrong(s, "'%s' needs link=", path);
	if (w->contents != NULL) {
		int rc = tree_file_content(s->t, node, w->contents);

		if (rc == 0)
			tree_node_date(node, node->mtime);
		return rc;
	}
	if (S_ISREG(node->mode) && !(w->given & GIVEN_EMPTY))
		return wrong(
		    s, "'%s' is not in the tree and has no contents=", path);
	if ((S_ISCHR(node->mode) || S_ISBLK(node->mode)) &&
	    !(w->given & GIVEN_DEVICE))
		return wrong(s, "'%s' needs device=", path);
	return 0;
}

static int
make_entry(struct spec *s, const char *path, const struct words *w)
{
	scoped(tree_node_freep) struct tree_node *node = NULL;
	struct tree_node *placed;
	int rc;

	if (!(w->given & GIVEN_TYPE))
		return wrong(
		    s, "'%s' is not in the tree and has no type=", path);
	if (w->contents != NULL && w->type != S_IFREG)
		return wrong(s, "only files have contents=");
	node =
	    tree_node_new(s->t, w->type | (w->type == S_IFREG ? 0644 : 0755));
	if (node == NULL)
		return -ENOMEM;
	rc = fill(s, node, path, w);
	if (rc < 0)
		return rc;
	apply(node, w);
	placed = node;
	node = NULL; /* the tree's */
	return tree_put(s->t, s->source, path, &placed);
}

static int
take_entry(struct spec *s, const char *path, const struct words *w)
{
	struct tree_node *node = tree_find(s->t, path);
	bool same_type = node != NULL &&
	    (!(w->given & GIVEN_TYPE) || w->type == (node->mode & S_IFMT));

	if (tree_is_excluded(s->t, path))
		return 0;
	if (same_type && w->contents == NULL) {
		apply(node, w);
		return S_ISLNK(node->mode) && w->link != NULL
		    ? set_target(node, w->link)
		    : 0;
	}
	if (node == NULL && (w->given & GIVEN_OPTIONAL))
		return 0;
	return make_entry(s, path, w);
}

/* Up one directory. */
static int
leave(struct spec *s)
{
	char *slash = strrchr(s->dir, '/');

	if (s->dir[0] == '\0')
		return 0; /* of the root itself */
	*(slash != NULL ? slash : s->dir) = '\0';
	return 0;
}

/* The path of an entry called name, plain, to be freed. */
static int
path_of(const struct spec *s, const char *name, char **out)
{
	scoped(freep) char *joined = NULL;
	bool full = strchr(name, '/') != NULL;
	int rc;

	if (asprintf(&joined, "%s/%s", full ? "" : s->dir, name) < 0) {
		joined = NULL;
		return -ENOMEM;
	}
	rc = tree_plain_path(joined, out);
	if (rc == -EINVAL)
		return wrong(s, "'%s' leads out of the tree", name);
	if (rc == -ENAMETOOLONG || (rc == 0 && strlen(*out) >= PATH_LIMIT)) {
		if (rc == 0)
			free(*out);
		return wrong(s, "'%.60s...' is too long", name);
	}
	return rc;
}

static int
entry_line(struct spec *s, char *name, char *rest)
{
	struct words w = s->set;
	scoped(freep) char *path = NULL;
	bool full, is_dir;
	int rc = take_words(s, &w, rest);

	if (rc < 0)
		return rc;
	unvis(name);
	rc = path_of(s, name, &path);
	if (rc < 0) {
		path = NULL;
		return rc;
	}
	full = strchr(name, '/') != NULL;
	rc = take_entry(s, path, &w);
	is_dir = (w.given & GIVEN_TYPE) && w.type == S_IFDIR;
	if (rc == 0 && is_dir && !full)
		memcpy(s->dir, path, strlen(path) + 1);
	return rc;
}

/* What later lines take over must not lie within this one. */
static int
set_line(struct spec *s, char *rest)
{
	int rc = take_words(s, &s->set, rest);

	if (rc == 0 && (s->set.link != NULL || s->set.contents != NULL))
		rc = wrong(
		    s, "link= and contents= are of one file, not for /set");
	return rc;
}

/* "/set" and "/unset". */
static int
special_line(struct spec *s, const char *name, char *rest)
{
	if (strcmp(name, "/set") == 0)
		return set_line(s, rest);
	if (strcmp(name, "/unset") == 0) {
		char *save, *word = strtok_r(rest, " \t", &save);

		for (; word != NULL; word = strtok_r(NULL, " \t", &save))
			s->set.given &=
			    strcmp(word, "all") == 0 ? 0 : ~bit_of(word);
		return 0;
	}
	return wrong(s, "no such command: '%s'", name);
}

static int
take_line(struct spec *s, char *line)
{
	char *name = line + strspn(line, " \t"), *rest;

	if (*name == '\0' || *name == '#')
		return 0;
	rest = name + strcspn(name, " \t");
	if (*rest != '\0')
		*rest++ = '\0';
	if (strcmp(name, "..") == 0)
		return leave(s);
	if (*name == '/')
		return special_line(s, name, rest);
	return entry_line(s, name, rest);
}

/* -- lines ----------------------------------------------------------------- */

/* A line without its end, joined with those it goes on in; 1, or 0: none. */
static int
next_line(struct spec *s, FILE *f, char **out)
{
	scoped(freep) char *part = NULL;
	size_t room = 0, len = 0;
	char *line = NULL;
	ssize_t n;

	while ((n = getline(&part, &room, f)) >= 0) {
		bool more;
		char *longer;

		s->line++;
		while (n > 0 && (part[n - 1] == '\n' || part[n - 1] == '\r'))
			n--;
		more = n > 0 && part[n - 1] == '\\';
		n -= more;
		longer = realloc(line, len + (size_t)n + 1);
		if (longer == NULL) {
			free(line);
			return -ENOMEM;
		}
		line = longer;
		memcpy(line + len, part, (size_t)n);
		len += (size_t)n;
		line[len] = '\0';
		if (!more)
			break;
	}
	*out = line;
	if (ferror(f)) {
		free(line);
		return -EIO;
	}
	return line != NULL;
}

int
tree_add_mtree(struct tree *t, const char *path)
{
	scoped(fileclosep) FILE *f = fopen(path, "re");
	struct spec s = {.t = t, .source = path};
	int rc = f == NULL ? -errno : 0;

	while (rc >= 0) {
		char *line = NULL;

		rc = next_line(&s, f, &line);
		if (rc <= 0)
			break;
		rc = interrupted() ? -EINTR : take_line(&s, line);
		free(line);
		if (rc < 0)
			return rc;
	}
	if (rc < 0)
		log_error("cannot read '%s': %s", path, strerror(-rc));
	return rc;
}
