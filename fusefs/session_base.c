#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../imgfmt/log.h"
#include "session_impl.h"

enum {
	LINES_MAX = 4096,
	TEXT_MAX = 8 << 20,
};
static const char headline[] = "relive session 1";

void
session_base_release(struct session_base *base)
{
	for (size_t i = 0; i < base->n; i++) {
		free(base->line[i].verb);
		free(base->line[i].name);
		free(base->line[i].value);
	}
	free(base->line);
	*base = (struct session_base){0};
}

const char *
session_base_get(const struct session_base *base, const char *verb,
    const char *name, size_t i)
{
	for (size_t at = 0; at < base->n; at++) {
		const struct session_line *line = &base->line[at];

		if (strcmp(line->verb, verb) == 0 &&
		    (name == NULL || strcmp(line->name, name) == 0) && i-- == 0)
			return line->value;
	}
	return NULL;
}

int
session_base_add(struct session_base *base, const char *verb, const char *name,
    const char *value)
{
	struct session_line *grown;
	struct session_line line;

	if (strpbrk(name, "\t\n") != NULL || strchr(value, '\n') != NULL) {
		log_error("'%s': names with line breaks or tabs cannot have a "
			  "session",
		    value);
		return -EINVAL;
	}
	if (base->n == LINES_MAX)
		return -EFBIG;
	grown = realloc(base->line, (base->n + 1) * sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	base->line = grown;
	line.verb = strdup(verb);
	line.name = strdup(name);
	line.value = strdup(value);
	base->line[base->n++] = line;
	if (line.verb == NULL || line.name == NULL || line.value == NULL)
		return -ENOMEM;
	return 0;
}

void
session_base_drop(struct session_base *base, const char *verb, const char *name)
{
	size_t kept = 0;

	for (size_t i = 0; i < base->n; i++) {
		struct session_line line = base->line[i];

		if (strcmp(line.name, name) == 0 &&
		    (verb == NULL || strcmp(line.verb, verb) == 0)) {
			free(line.verb);
			free(line.name);
			free(line.value);
		} else
			base->line[kept++] = line;
	}
	base->n = kept;
}

int
session_base_check(
    const struct session_base *base, const char *dir, const char *path)
{
	const char *recorded = session_base_get(base, "path", "", 0);
	struct stat before, now;

	if (recorded == NULL || strcmp(recorded, path) == 0 ||
	    stat(recorded, &before) < 0 || stat(path, &now) < 0 ||
	    (before.st_dev == now.st_dev && before.st_ino == now.st_ino))
		return 0;
	log_error("the session '%s' is that of '%s': name another folder for "
		  "'%s'",
	    dir, recorded, path);
	return -EINVAL;
}

static int
parse_line(struct session_base *base, char *text)
{
	char *name = strchr(text, '\t');
	char *value = name != NULL ? strchr(name + 1, '\t') : NULL;

	if (value == NULL)
		return -EINVAL;
	*name = *value = '\0';
	return session_base_add(base, text, name + 1, value + 1);
}

static int
parse(struct session_base *base, FILE *f)
{
	scoped(freep) char *text = NULL;
	size_t size = 0, total = 0;
	bool first = true;
	ssize_t len;
	int rc = 0;

	while (rc == 0 && (len = getline(&text, &size, f)) > 0) {
		total += (size_t)len;
		if (text[len - 1] != '\n' || total > TEXT_MAX)
			return -EINVAL;
		text[len - 1] = '\0';
		if (first)
			rc = strcmp(text, headline) == 0 ? 0 : -EINVAL;
		else
			rc = parse_line(base, text);
		first = false;
	}
	/* Not to be read is not to end. */
	if (rc == 0 && !feof(f))
		return -EIO;
	return rc < 0 ? rc : first ? -EINVAL : 0;
}

int
session_open_file(int folder, const char *name, int flags)
{
	int fd =
	    openat(folder, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	(void)close(fd);
	return -EINVAL;
}

int
session_create_file(int folder, const char *name)
{
	int fd;

	if (unlinkat(folder, name, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(folder, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

int
session_base_read(int folder, struct session_base *out)
{
	int fd = session_open_file(folder, "base", O_RDONLY);
	scoped(fileclosep) FILE *f = NULL;
	int rc;

	*out = (struct session_base){0};
	if (fd == -ENOENT)
		return 0;
	f = fd < 0 ? NULL : fdopen(fd, "r");
	rc = fd < 0 ? fd : f == NULL ? -errno : parse(out, f);
	if (rc < 0) {
		log_error("the session's file 'base' cannot be read: %s",
		    rc == -EINVAL ? "not of this version" : strerror(-rc));
		session_base_release(out);
	}
	return rc;
}

static int
write_text(int fd, const struct session_base *base)
{
	scoped(fileclosep) FILE *f = fdopen(fd, "w");

	if (f == NULL)
		return -errno;
	(void)fprintf(f, "%s\n", headline);
	for (size_t i = 0; i < base->n; i++)
		(void)fprintf(f, "%s\t%s\t%s\n", base->line[i].verb,
		    base->line[i].name, base->line[i].value);
	if (fflush(f) != 0 || ferror(f) || fsync(fd) < 0)
		return errno != 0 ? -errno : -EIO;
	return 0;
}

int
session_base_write(int folder, const struct session_base *base)
{
	static const char temporary[] = "base.new";
	int fd = session_create_file(folder, temporary);
	int rc = fd < 0 ? fd : write_text(fd, base);

	if (rc == 0 && renameat(folder, temporary, folder, "base") < 0)
		rc = -errno;
	if (rc == 0 && fsync(folder) < 0)
		rc = -errno;
	if (rc < 0) {
		log_error("the session's file 'base' cannot be written: %s",
		    strerror(-rc));
		(void)unlinkat(folder, temporary, 0);
	}
	return rc;
}
