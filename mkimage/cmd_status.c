/* relive status: what a session changed and what a commit will cost. */
#include <json-c/json.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "commands.h"
#include "commit.h"
#include "json_text.h"
#include "parts.h"
#include "status.h"

enum {
	OPT_SESSION = CMD_LONG,
	OPT_JSON,
	CACHE_MAX = 16 << 20,
};

#define ISO_WARN ((uint64_t)3584 << 20) /* DESIGN.md 6, "Growth" */

static const struct option longs[] = {
    {"session", required_argument, NULL, OPT_SESSION},
    {"json", no_argument, NULL, OPT_JSON},
    {NULL, 0, NULL, 0},
};

static int
print_name(void *arg, enum status_change change, const char *path)
{
	(void)arg;
	printf("%c ", "AMD"[change]);
	cmd_put_name(stdout, path, false);
	putchar('\n');
	return ferror(stdout) ? -EIO : 0;
}

static void
print_counts(const char *what, const struct status_counts *n)
{
	printf("%-13s%llu added, %llu changed, %llu removed\n", what,
	    (unsigned long long)n->added, (unsigned long long)n->changed,
	    (unsigned long long)n->removed);
}

/* Whether there is anything to commit, in this image or beside it. */
static bool
is_edited(const struct session *s, const struct parts *parts)
{
	return s->exists || parts_any(parts);
}

static void
print_plain(const struct session *s, const struct status *st, bool edited)
{
	char a[32], b[32], c[32];

	printf("%-13s%s", "session:", s->dir);
	printf(edited ? "\n" : " (nothing edited)\n");
	if (st->has_files) {
		print_counts("files:", &st->files);
		print_counts("directories:", &st->dirs);
	} else
		printf("%-13s%s\n", "holds:", image_kind_name(s->kind));
	printf("%-13s%s written, %s freed, overlay of %s\n",
	    "data:", cmd_bytes(a, sizeof(a), st->written_bytes),
	    cmd_bytes(b, sizeof(b), st->trimmed_bytes),
	    cmd_bytes(c, sizeof(c), st->overlay_bytes));
	if (st->grown > 0)
		printf("%-13sby %s\n",
		    "grown:", cmd_bytes(a, sizeof(a), st->grown));
	if (st->cluster > 0)
		printf("%-13s%llu clusters of %u bytes to compress, %llu to "
		       "drop, %llu to copy\n",
		    "commit:", (unsigned long long)st->clusters[PLAN_DIRTY],
		    st->cluster, (unsigned long long)st->clusters[PLAN_FREE],
		    (unsigned long long)st->clusters[PLAN_CLEAN]);
	printf("%-13s%s", "image:", cmd_bytes(a, sizeof(a), st->base_bytes));
	if (st->has_guess)
		printf(", about %s after a commit",
		    cmd_bytes(b, sizeof(b), st->guess_bytes));
	putchar('\n');
}

/* A further image of the ISO, in a few words. */
static int
print_image(struct session *s, const char *path)
{
	struct status st;
	char a[32];
	int rc = status_compute(s, &st);

	if (rc < 0)
		return rc;
	printf("%-13s'%s': ", "also:", path);
	if (st.has_files)
		printf("files %llu added, %llu changed, %llu removed; ",
		    (unsigned long long)st.files.added,
		    (unsigned long long)st.files.changed,
		    (unsigned long long)st.files.removed);
	printf("%s written\n", cmd_bytes(a, sizeof(a), st.written_bytes));
	return 0;
}

static int
print_iso_name(void *arg, enum iso_edit_change change, const char *path)
{
	(void)arg;
	printf("%c iso:/", "AMD"[change]);
	cmd_put_name(stdout, path, false);
	putchar('\n');
	return ferror(stdout) ? -EIO : 0;
}

/* What else is changed on the ISO. */
static int
print_parts(const struct parts *parts)
{
	int rc = 0;

	for (unsigned i = 0; i < parts->n && rc == 0; i++)
		rc = print_image(parts->image[i], parts->path[i]);
	if (parts->iso != NULL)
		printf("%-13s%lu added, %lu changed, %lu removed\n",
		    "ISO's tree:", parts->changes[ISO_EDIT_ADDED],
		    parts->changes[ISO_EDIT_CHANGED],
		    parts->changes[ISO_EDIT_REMOVED]);
	return rc;
}

static int
print_names(
    struct session *s, const struct status *st, const struct parts *parts)
{
	int rc = st->has_files ? status_walk(s, print_name, NULL) : 0;

	if (rc < 0 || parts->iso == NULL)
		return rc;
	return iso_edit_changes(
	    parts->iso->image->iso, parts->tree, print_iso_name, NULL);
}

static json_object *
json_counts(const struct status_counts *n)
{
	json_object *o = json_object_new_object();

	json_object_object_add(o, "added", json_object_new_uint64(n->added));
	json_object_object_add(
	    o, "changed", json_object_new_uint64(n->changed));
	json_object_object_add(
	    o, "removed", json_object_new_uint64(n->removed));
	return o;
}

static json_object *
json_parts(const struct parts *parts)
{
	json_object *o = json_object_new_array();

	for (unsigned i = 0; i < parts->n; i++)
		json_object_array_add(o, json_text(parts->path[i]));
	return o;
}

static void
print_json(
    const struct session *s, const struct status *st, const struct parts *parts)
{
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
	    {"written_bytes", st->written_bytes},
	    {"freed_bytes", st->trimmed_bytes},
	    {"overlay_bytes", st->overlay_bytes},
	    {"grown_bytes", st->grown},
	    {"cluster_size", st->cluster},
	    {"clusters_dirty", st->clusters[PLAN_DIRTY]},
	    {"clusters_freed", st->clusters[PLAN_FREE]},
	    {"clusters_clean", st->clusters[PLAN_CLEAN]},
	    {"image_bytes", st->base_bytes},
	};
	json_object *o = json_object_new_object();
	const char *text;

	json_object_object_add(o, "session", json_text(s->dir));
	json_object_object_add(
	    o, "edited", json_object_new_boolean(is_edited(s, parts)));
	json_object_object_add(
	    o, "holds", json_object_new_string(image_kind_name(s->kind)));
	if (st->has_files) {
		json_object_object_add(o, "files", json_counts(&st->files));
		json_object_object_add(
		    o, "directories", json_counts(&st->dirs));
	}
	json_object_object_add(o, "also_edited", json_parts(parts));
	json_object_object_add(o, "iso_tree",
	    json_counts(&(struct status_counts){parts->changes[ISO_EDIT_ADDED],
		parts->changes[ISO_EDIT_CHANGED],
		parts->changes[ISO_EDIT_REMOVED]}));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		json_object_object_add(o, numbers[i].name,
		    json_object_new_uint64(numbers[i].value));
	json_object_object_add(o, "image_bytes_after",
	    st->has_guess ? json_object_new_uint64(st->guess_bytes) : NULL);
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY);
	if (text != NULL) {
		cmd_write_stdout(text, strlen(text));
		putchar('\n');
	}
	json_object_put(o);
}

static int
tell(struct session *s, const struct parts *parts, bool as_json, bool names)
{
	struct status st;
	int flushed, rc = status_compute(s, &st);

	if (rc < 0)
		return rc;
	if (as_json)
		print_json(s, &st, parts);
	else {
		print_plain(s, &st, is_edited(s, parts));
		rc = print_parts(parts);
	}
	if (s->image->iso != NULL &&
	    (st.has_guess ? st.guess_bytes : st.base_bytes) > ISO_WARN)
		log_warn("the image may pass 3.5 GB; FreeBSD reads no file of "
			 "4 GiB or more from an ISO");
	if (rc == 0 && names && !as_json)
		rc = print_names(s, &st, parts);
	flushed = cmd_flush_stdout();
	return rc < 0 ? rc : flushed;
}

static int
run(int argc, char **argv)
{
	struct session_options how = {
	    .mode = SESSION_SNAPSHOT,
	    .content = SESSION_ANY,
	    .wait = true,
	    .whole = true,
	    .image = {.cache_max = CACHE_MAX},
	};
	scoped(session_closep) struct session *s = NULL;
	struct parts parts = {0};
	bool as_json = false;
	int c, rc;

	while ((c = cmd_option(&cmd_status, argc, argv, "", longs)) != -1) {
		if (c == OPT_JSON)
			as_json = true;
		else
			how.dir = optarg;
	}
	if (!cmd_operands(&cmd_status, argc, argv, 1, 1))
		return CMD_USAGE;
	rc = session_sync_mount(argv[optind], how.dir);
	if (rc >= 0)
		rc = session_open(argv[optind], &how, &s);
	if (rc >= 0)
		rc = parts_open(s, &how, &parts);
	if (rc >= 0)
		rc = tell(s, &parts, as_json, log_shows(LOG_DEBUG_LEVEL));
	parts_close(&parts);
	return cmd_exit(rc);
}

const struct command cmd_status = {
    .name = "status",
    .summary = "what was edited, and what a commit will cost",
    .usage = "status IMAGE|DIR [--json] [--session DIR]\n"
	     "Tell what the session of IMAGE changed and what a commit will\n"
	     "write.  With -v, also the paths: A added, M changed, D "
	     "removed.\n"
	     "\n"
	     "      --json         for machines\n"
	     "      --session DIR  the session's folder, if not "
	     "IMAGE.relive\n",
    .run = run,
};
