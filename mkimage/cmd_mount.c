/* relive mount, relive umount: arguments into the calls of fusefs/mount.h. */
#include <stdlib.h>
#include <string.h>

#include "../fusefs/mount.h"
#include "../imgfmt/log.h"
#include "commands.h"

static const char mount_usage[] =
    "mount [OPTION...] IMAGE DIR\n"
    "Mount the live root of IMAGE at DIR, read-write.  What is changed goes\n"
    "to the session beside the image; IMAGE itself is never written.\n"
    "\n"
    "  -o OPTION,...       ro, rw, fakeroot (act as root inside,\n"
    "                      where others have no access),\n"
    "                      allow_other, allow_root, default_permissions,\n"
    "                      suid, dev, exec, noatime, auto_unmount, grpid,\n"
    "                      noflags (chflags(1) is kept, not obeyed), size=\n"
    "      --view VIEW     tree: the live root (the default); block: one\n"
    "                      file, 'disk', the device that holds it, for a\n"
    "                      kernel or a virtual machine; all: of an ISO\n"
    "                      'root', the live root, 'iso', its own tree, and\n"
    "                      a folder for each further image\n"
    "      --ro            read-only: the last flushed state\n"
    "      --session DIR   where the session is, instead of IMAGE.relive\n"
    "      --size LIMIT    how large the file system may grow (4G); the\n"
    "                      default is its size and 4G.  With --view block:\n"
    "                      make the disk that large\n"
    "  -f, --foreground    do not become a daemon\n"
    "      --debug         show every request; implies -f\n";

enum { RO = CMD_LONG, SESSION, SIZE, VIEW, DEBUG };

/* Append text to the options given so far, after a comma. */
static int
join(char **options, const char *text)
{
	char *joined;

	if (asprintf(&joined, "%s%s%s", *options != NULL ? *options : "",
		*options != NULL ? "," : "", text) < 0)
		return -ENOMEM;
	free(*options);
	*options = joined;
	return 0;
}

static int
set_view(struct mount_options *m, const char *name)
{
	static const char *const names[] = {
	    [MOUNT_TREE] = "tree",
	    [MOUNT_BLOCK] = "block",
	    [MOUNT_ALL] = "all",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0) {
			m->view = (enum mount_view)i;
			return 0;
		}
	(void)cmd_misused(&cmd_mount, "there is no view '%s'", name);
	return -EINVAL;
}

static int
set_mount_option(struct mount_options *m, char **joined, int c)
{
	switch (c) {
	case 'o':
		return join(joined, optarg);
	case RO:
		m->read_only = true;
		return 0;
	case SESSION:
		m->session_dir = optarg;
		return 0;
	case SIZE:
		if (cmd_parse_size(optarg, &m->size_limit) == 0)
			return 0;
		(void)cmd_misused(&cmd_mount, "'%s' is no size", optarg);
		return -EINVAL;
	case VIEW:
		return set_view(m, optarg);
	case DEBUG:
		m->debug = true;
		return 0;
	default:
		m->foreground = true;
		return 0;
	}
}

static int
run_mount(int argc, char **argv)
{
	static const struct option longs[] = {
	    {"ro", no_argument, NULL, RO},
	    {"session", required_argument, NULL, SESSION},
	    {"size", required_argument, NULL, SIZE},
	    {"view", required_argument, NULL, VIEW},
	    {"foreground", no_argument, NULL, 'f'},
	    {"debug", no_argument, NULL, DEBUG},
	    {NULL, 0, NULL, 0},
	};
	scoped(freep) char *joined = NULL;
	struct mount_options m = {0};
	int c, rc = 0;

	while ((c = cmd_option(&cmd_mount, argc, argv, "o:f", longs)) != -1) {
		rc = set_mount_option(&m, &joined, c);
		if (rc < 0)
			return rc == -EINVAL ? CMD_USAGE : CMD_FAILED;
	}
	if (!cmd_operands(&cmd_mount, argc, argv, 2, 2))
		return CMD_USAGE;
	m.address = argv[optind];
	m.dir = argv[optind + 1];
	m.options = joined;
	rc = mount_run(&m);
	if (rc < 0)
		cmd_error_was_said(); /* by the daemon that could not start */
	return rc == -EINVAL ? CMD_USAGE : cmd_exit(rc);
}

const struct command cmd_mount = {
    "mount", "mount the live root read-write", mount_usage, run_mount};

static const char umount_usage[] =
    "umount [OPTION...] DIR...\n"
    "Flush, unmount, and return once everything is durable and nothing\n"
    "holds the image any more.\n";

static int
run_umount(int argc, char **argv)
{
	int worst = 0;

	while (cmd_option(&cmd_umount, argc, argv, "", NULL) != -1)
		continue;
	if (!cmd_operands(&cmd_umount, argc, argv, 1, 0))
		return CMD_USAGE;
	for (int i = optind; i < argc; i++) {
		int rc = mount_unmount(argv[i]);

		if (worst == 0)
			worst = rc;
	}
	return cmd_exit(worst);
}

const struct command cmd_umount = {
    "umount", "unmount, with everything durable", umount_usage, run_umount};
