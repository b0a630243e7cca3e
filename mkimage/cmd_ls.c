/* relive ls: list an image's tree. */
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "../imgfmt/fflags.h"
#include "../imgfmt/log.h"
#include "commands.h"
#include "idmap.h"
#include "outfile.h"
#include "report.h"
#include "view.h"

/* Deeper than any path that FreeBSD takes. */
enum { DEPTH_MAX = 1024, LINK_MAX = 4096 };

struct ls {
	struct view view;
	struct idmap seen; /* directories; a damaged image may have circles */
	bool is_long, recursive, directory, flags, raw, json;
	bool headings; /* several things are listed */
	bool first;
	int worst;
};

static const char usage[] =
    "ls [OPTION...] IMAGE [PATH...]\n"
    "List the live root, without mounting.  PATH is '/' by default.\n"
    "\n"
    "  -l                  mode, links, owner, group, size, time (UTC), name\n"
    "  -o                  as -l, with file flags\n"
    "  -R                  directories with all that is in them\n"
    "  -d                  directories themselves, not what is in them\n"
    "      --json          a line of JSON with everything for each name\n"
    "      --raw           names as they are; else control bytes show as\n"
    "                      \\ooo\n"
    "      --iso           the ISO's own tree, not that of the image in it\n"
    "      --session DIR   with what the session in DIR changed\n";

static void
note(struct ls *ls, int rc)
{
	if (rc < 0 && ls->worst != -ECORRUPT)
		ls->worst = rc;
}

static char
type_letter(uint32_t mode)
{
	static const char letters[] = "?pc?d?b?-?l?s?w?";

	return letters[(mode >> 12) & 0xf];
}

static void
mode_text(uint32_t mode, char text[11])
{
	static const char bits[] = "rwxrwxrwx";

	text[0] = type_letter(mode);
	for (int i = 0; i < 9; i++)
		text[i + 1] = (mode >> (8 - i)) & 1 ? bits[i] : '-';
	if ((mode & S_ISUID) != 0)
		text[3] = (mode & 0100) != 0 ? 's' : 'S';
	if ((mode & S_ISGID) != 0)
		text[6] = (mode & 010) != 0 ? 's' : 'S';
	if ((mode & S_ISVTX) != 0)
		text[9] = (mode & 1) != 0 ? 't' : 'T';
	text[10] = '\0';
}

static void
print_target(struct ls *ls, const struct view_node *node)
{
	char target[LINK_MAX];
	int64_t n = view_readlink(&ls->view, node, target, sizeof(target));

	if (n < 0) {
		note(ls, (int)n);
		return;
	}
	fputs(" -> ", stdout);
	cmd_put_name(stdout, target, ls->raw);
}

static void
print_long(struct ls *ls, const struct view_node *node)
{
	char mode[11], size[32], when[32], flags[128];
	time_t t = (time_t)node->mtime.tv_sec;
	struct tm tm;

	mode_text(node->mode, mode);
	if (S_ISCHR(node->mode) || S_ISBLK(node->mode))
		snprintf(size, sizeof(size), "%u,%u", node->rdev_major,
		    node->rdev_minor);
	else
		snprintf(
		    size, sizeof(size), "%llu", (unsigned long long)node->size);
	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(when, sizeof(when), "@%lld", (long long)t);
	printf("%s %3u %5u %5u ", mode, node->nlink, node->uid, node->gid);
	if (ls->flags)
		printf("%-10s ",
		    node->flags == 0
			? "-"
			: fflags_text(node->flags, flags, sizeof(flags)));
	printf("%10s %s ", size, when);
}

static void
put_time(struct report *r, const char *key, const struct timespec *t)
{
	char text[48];

	snprintf(
	    text, sizeof(text), "%lld.%09ld", (long long)t->tv_sec, t->tv_nsec);
	report_text(r, key, NULL, text);
}

static int
put_xattr(void *arg, enum ufs_ea_space space, const char *name,
    const void *value, size_t len)
{
	struct report *r = arg;

	(void)value;
	report_item(r, name);
	report_text(r, "space", NULL, space == UFS_EA_USER ? "user" : "system");
	report_text(r, "name", NULL, name);
	report_number(r, "bytes", NULL, len);
	return 0;
}

static void
put_attributes(struct report *r, const struct view_node *n)
{
	char mode[11], flags[160];

	mode_text(n->mode, mode);
	report_number(r, "id", NULL, n->id);
	report_text(r, "mode_text", NULL, mode);
	snprintf(mode, sizeof(mode), "%06o", n->mode);
	report_text(r, "mode", NULL, mode);
	report_number(r, "nlink", NULL, n->nlink);
	report_number(r, "uid", NULL, n->uid);
	report_number(r, "gid", NULL, n->gid);
	report_number(r, "size", NULL, n->size);
	report_number(r, "blocks", NULL, n->blocks);
	report_number(r, "flag_bits", NULL, n->flags);
	report_text(
	    r, "flags", NULL, fflags_text(n->flags, flags, sizeof(flags)));
	report_number(r, "major", NULL, n->rdev_major);
	report_number(r, "minor", NULL, n->rdev_minor);
	put_time(r, "mtime", &n->mtime);
	put_time(r, "ctime", &n->ctime);
	put_time(r, "atime", &n->atime);
	if (n->has_birth)
		put_time(r, "birth", &n->birth);
}

/* All there is to tell, on one line. */
static void
print_json(struct ls *ls, const struct view_node *node, const char *path)
{
	char target[LINK_MAX];
	struct report r;

	report_start(&r, true);
	report_text(&r, "path", NULL, path);
	put_attributes(&r, node);
	if (S_ISLNK(node->mode) &&
	    view_readlink(&ls->view, node, target, sizeof(target)) >= 0)
		report_text(&r, "target", NULL, target);
	report_list(&r, "xattrs", NULL);
	note(ls, view_xattrs(&ls->view, node, put_xattr, &r));
	report_list_end(&r);
	note(ls, report_finish(&r, true));
}

static void
print_one(struct ls *ls, const struct view_node *node, const char *name)
{
	if (ls->is_long)
		print_long(ls, node);
	cmd_put_name(stdout, name, ls->raw);
	if (ls->is_long && S_ISLNK(node->mode))
		print_target(ls, node);
	putchar('\n');
}

static void
heading(struct ls *ls, const char *path)
{
	if (ls->headings && !ls->json) {
		if (!ls->first)
			putchar('\n');
		cmd_put_name(stdout, path, ls->raw);
		fputs(":\n", stdout);
	}
	ls->first = false;
}

/* path and name with one slash between them; NULL without memory, noted. */
static char *
join(struct ls *ls, const char *path, const char *name)
{
	char *joined;

	if (asprintf(&joined, "%s/%s", strcmp(path, "/") == 0 ? "" : path,
		name) >= 0)
		return joined;
	note(ls, -ENOMEM);
	return NULL;
}

static void
print_entry(struct ls *ls, const struct view_entry *e, const char *path)
{
	scoped(freep) char *whole = NULL;
	struct view_node node = {0};

	if (ls->is_long || ls->json) {
		int rc = view_get(&ls->view, e, &node);

		note(ls, rc);
		if (rc < 0)
			return;
	}
	if (!ls->json) {
		print_one(ls, &node, e->name);
		return;
	}
	whole = join(ls, path, e->name);
	if (whole != NULL)
		print_json(ls, &node, whole);
}

static void list_dir(
    struct ls *ls, const struct view_node *dir, const char *path, int depth);

/* The directories among the entries, one after the other. */
static void
descend(
    struct ls *ls, const struct view_list *list, const char *path, int depth)
{
	for (size_t i = 0; i < list->n && !interrupted(); i++) {
		scoped(freep) char *below = NULL;
		struct view_node node;
		int rc = view_get(&ls->view, &list->entry[i], &node);

		note(ls, rc);
		if (rc < 0 || !S_ISDIR(node.mode))
			continue;
		below = join(ls, path, list->entry[i].name);
		if (below == NULL)
			return;
		list_dir(ls, &node, below, depth + 1);
	}
}

static void
list_dir(
    struct ls *ls, const struct view_node *dir, const char *path, int depth)
{
	struct view_list list;
	int rc;

	if (depth > DEPTH_MAX ||
	    (depth > 0 && idmap_put(&ls->seen, dir->id, NULL) == 0)) {
		log_error("'%s': directories go round in a circle", path);
		note(ls, -ECORRUPT);
		return;
	}
	heading(ls, path);
	rc = view_list(&ls->view, dir, &list);
	note(ls, rc);
	for (size_t i = 0; i < list.n; i++)
		print_entry(ls, &list.entry[i], path);
	if (ls->recursive)
		descend(ls, &list, path, depth);
	view_list_release(&list);
}

static void
list_path(struct ls *ls, const char *path)
{
	struct view_node node;
	int rc =
	    view_lookup(&ls->view, path, !ls->is_long && !ls->directory, &node);

	if (rc < 0) {
		log_error("'%s': %s", path, strerror(-rc));
		note(ls, rc);
		return;
	}
	if (S_ISDIR(node.mode) && !ls->directory)
		list_dir(ls, &node, path, 0);
	else if (ls->json)
		print_json(ls, &node, path);
	else
		print_one(ls, &node, path);
}

enum { RAW = CMD_LONG, ISO, SESSION, JSON };

static void
set_option(struct ls *ls, struct view_options *options, int c)
{
	switch (c) {
	case 'l':
		ls->is_long = true;
		break;
	case 'o':
		ls->is_long = ls->flags = true;
		break;
	case 'R':
		ls->recursive = true;
		break;
	case 'd':
		ls->directory = true;
		break;
	case RAW:
		ls->raw = true;
		break;
	case JSON:
		ls->json = true;
		break;
	case ISO:
		options->iso = true;
		break;
	default:
		options->session = optarg;
	}
}

static int
run(int argc, char **argv)
{
	static const struct option longs[] = {
	    {"json", no_argument, NULL, JSON},
	    {"raw", no_argument, NULL, RAW},
	    {"iso", no_argument, NULL, ISO},
	    {"session", required_argument, NULL, SESSION},
	    {NULL, 0, NULL, 0},
	};
	struct view_options options = {0};
	struct ls ls = {.first = true};
	int c, rc;

	while ((c = cmd_option(&cmd_ls, argc, argv, "loRd", longs)) != -1)
		set_option(&ls, &options, c);
	if (!cmd_operands(&cmd_ls, argc, argv, 1, 0))
		return CMD_USAGE;
	rc = view_open(argv[optind], &options, &ls.view);
	if (rc < 0)
		return cmd_exit(rc);
	ls.headings = ls.recursive || argc - optind > 2;
	if (optind + 1 == argc)
		list_path(&ls, "/");
	for (int i = optind + 1; i < argc; i++)
		list_path(&ls, argv[i]);
	note(&ls, cmd_flush_stdout());
	idmap_release(&ls.seen);
	view_close(&ls.view);
	return cmd_exit(ls.worst);
}

const struct command cmd_ls = {"ls", "list the live root", usage, run};
