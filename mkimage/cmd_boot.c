/* relive boot: arguments into a machine that boots the image. */
#include <string.h>

#include "../fusefs/session.h"
#include "../imgfmt/log.h"
#include "boot.h"
#include "commands.h"

enum {
	OPT_UEFI = CMD_LONG,
	OPT_USB,
	OPT_EXPECT,
	OPT_TIMEOUT,
	OPT_LOG,
	OPT_MEMORY,
	OPT_ACCEL,
	OPT_SESSION,
	OPT_SIZE,
};

struct boot_command {
	struct boot_options options;
	struct boot_session session;
	bool edits;          /* --session */
	const char *follows; /* the argument behind --session without =DIR */
};

enum {
	MEMORY = 1 << 30, /* a memory root is a copy of its image */
	MEMORY_LEAST = 16 << 20,
	EXPECT_TIMEOUT = 600,
	TIMEOUT_MOST = 7 * 24 * 3600,
};

#define MEMORY_MOST ((uint64_t)1 << 40)

static const struct option longs[] = {
    {"uefi", no_argument, NULL, OPT_UEFI},
    {"usb", no_argument, NULL, OPT_USB},
    {"expect", required_argument, NULL, OPT_EXPECT},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"serial-log", required_argument, NULL, OPT_LOG},
    {"memory", required_argument, NULL, OPT_MEMORY},
    {"accel", required_argument, NULL, OPT_ACCEL},
    {"session", optional_argument, NULL, OPT_SESSION},
    {"size", required_argument, NULL, OPT_SIZE},
    {NULL, 0, NULL, 0},
};

static const char usage[] =
    "boot IMAGE [OPTION...] [-- ARGUMENT...]\n"
    "Boot an ISO or a disk image in QEMU, its serial console on this\n"
    "terminal; Ctrl-] ends the machine.  IMAGE is never written.  There is "
    "no\n"
    "network: '-- -nic user,model=virtio' gives it one.  ARGUMENTs go to "
    "QEMU.\n"
    "\n"
    "      --uefi           with UEFI firmware instead of a BIOS\n"
    "      --usb            from a USB stick instead of a CD\n"
    "      --expect TEXT    test: succeed as soon as TEXT appears on the\n"
    "                       console, fail when the machine ends without\n"
    "      --timeout S      end it after S seconds; 600 with --expect\n"
    "      --serial-log F   write to F what comes from the console\n"
    "      --memory SIZE    of the machine; 1G\n"
    "      --accel tcg|kvm  emulate, or use KVM; by default KVM where a\n"
    "                       small guest of our own answers under it\n"
    "      --session[=DIR], --session DIR\n"
    "                       attach what the session in DIR, or beside IMAGE,\n"
    "                       made of the image in IMAGE as a second disk, to "
    "be\n"
    "                       edited by the machine; see relive(1)\n"
    "      --size SIZE      make that disk, and the UFS on it, so large\n";

static int
set_expect(struct boot_options *opt, const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > EXPECT_TEXT_MAX)
		return cmd_misused(&cmd_boot,
		    "--expect takes a text of 1 to %d bytes", EXPECT_TEXT_MAX);
	opt->expect = text;
	return CMD_DONE;
}

static int
set_timeout(struct boot_options *opt, const char *text)
{
	long n;

	if (cmd_parse_number(text, 1, TIMEOUT_MOST, &n) < 0)
		return cmd_misused(
		    &cmd_boot, "'%s' is no number of seconds", text);
	opt->timeout = (unsigned)n;
	return CMD_DONE;
}

static int
set_memory(struct boot_options *opt, const char *text)
{
	if (cmd_parse_size(text, &opt->memory) < 0 ||
	    opt->memory < MEMORY_LEAST || opt->memory > MEMORY_MOST)
		return cmd_misused(
		    &cmd_boot, "'%s' is no size of a memory", text);
	return CMD_DONE;
}

static int
set_accel(struct boot_options *opt, const char *text)
{
	if (strcmp(text, "tcg") == 0)
		opt->accel = BOOT_TCG;
	else if (strcmp(text, "kvm") == 0)
		opt->accel = BOOT_KVM;
	else
		return cmd_misused(
		    &cmd_boot, "--accel takes tcg or kvm, not '%s'", text);
	return CMD_DONE;
}

static int
set_session(struct boot_command *cmd, int c)
{
	if (c == OPT_SESSION) {
		cmd->edits = true;
		cmd->session.dir = optarg;
	} else if (cmd_parse_size(optarg, &cmd->session.size) < 0) {
		return cmd_misused(&cmd_boot, "'%s' is no size", optarg);
	}
	return CMD_DONE;
}

static int
set_option(struct boot_command *cmd, int c)
{
	struct boot_options *opt = &cmd->options;

	switch (c) {
	case OPT_UEFI:
		opt->uefi = true;
		return CMD_DONE;
	case OPT_USB:
		opt->medium = BOOT_USB;
		return CMD_DONE;
	case OPT_EXPECT:
		return set_expect(opt, optarg);
	case OPT_TIMEOUT:
		return set_timeout(opt, optarg);
	case OPT_LOG:
		opt->serial_log = optarg;
		return CMD_DONE;
	case OPT_MEMORY:
		return set_memory(opt, optarg);
	case OPT_ACCEL:
		return set_accel(opt, optarg);
	default:
		return set_session(cmd, c);
	}
}

/*
 * --session DIR, as other commands take it: only where there is another
 * argument to be the image.
 */
static bool
take_folder(struct boot_command *cmd, int argc, char **argv)
{
	char **rest = argv + optind;

	if (argc - optind != 2 || cmd->session.dir != NULL ||
	    (cmd->follows != rest[0] && cmd->follows != rest[1]))
		return false;
	cmd->session.dir = cmd->follows;
	if (cmd->follows == rest[0])
		rest[0] = rest[1];
	rest[1] = NULL;
	return true;
}

/* What follows "--" is QEMU's; argc becomes what is ours. */
static char *const *
split_extra(int *argc, char **argv)
{
	for (int i = 1; i < *argc; i++)
		if (strcmp(argv[i], "--") == 0) {
			*argc = i;
			argv[i] = NULL;
			return argv + i + 1;
		}
	return NULL;
}

/* From a CD, firmware starts what the ISO's boot catalogue names. */
static int
check_catalogue(const struct boot_options *opt, struct blkdev *dev)
{
	const uint8_t platform = opt->uefi ? 0xef : 0;
	const struct iso_info *info;
	struct iso *iso;
	bool found = false;
	int rc = iso_open(dev, &iso);

	if (rc < 0)
		return rc;
	info = iso_info(iso);
	for (unsigned i = 0; i < info->nboot; i++)
		found = found ||
		    (info->boot[i].bootable &&
			info->boot[i].platform == platform);
	iso_close(iso);
	if (found)
		return 0;
	log_error("'%s' has no boot entry for %s", opt->path,
	    opt->uefi ? "UEFI" : "a BIOS; is there one for --uefi?");
	return -EINVAL;
}

/* Whether firmware can boot the file, and as what. */
static int
choose_medium(struct boot_options *opt, const struct image *image)
{
	enum image_kind kind = image->layer[0].kind;

	if (kind == IMAGE_PARTITIONED) {
		if (opt->medium == BOOT_CD)
			opt->medium = BOOT_DISK;
		return 0;
	}
	if (kind != IMAGE_ISO) {
		log_error("'%s' is %s; a machine boots ISOs and disk images",
		    image->path, image_kind_name(kind));
		return -EINVAL;
	}
	return opt->medium == BOOT_CD
	    ? check_catalogue(opt, image->layer[0].dev)
	    : 0;
}

static int
boot_image(struct boot_options *opt, const char *address)
{
	const struct image_options how = {0};
	scoped(image_closep) struct image *image = NULL;
	int rc = image_open(address, &how, IMAGE_TOP_ONLY, &image);

	if (rc < 0)
		return rc;
	if (image->nlayers > 1) {
		log_error("'%s' is in another image; a machine boots '%s' "
			  "as a whole",
		    image->inner, image->path);
		return -EINVAL;
	}
	opt->path = image->path;
	rc = choose_medium(opt, image);
	return rc < 0 ? rc : boot_run(opt);
}

/* Boot what the image that is edited lies on. */
static int
boot_session(struct boot_options *opt, const struct boot_session *session)
{
	const struct session_options how = {
	    .mode = SESSION_BASE,
	    .content = SESSION_DEVICE,
	    .dir = session->dir,
	    .wait = true,
	};
	scoped(session_closep) struct session *s = NULL;
	scoped(freep) char *path = NULL;
	int rc = session_open(session->address, &how, &s);

	if (rc < 0)
		return rc;
	path = strdup(s->image->path);
	if (path == NULL)
		return -ENOMEM;
	opt->path = path;
	rc = choose_medium(opt, s->image);
	session_close(s);
	s = NULL;
	return rc < 0 ? rc : boot_run_session(opt, session);
}

static int
run(int argc, char **argv)
{
	struct boot_command cmd = {.options = {.memory = MEMORY}};
	struct boot_options *opt = &cmd.options;
	int c, bad;

	opt->extra = split_extra(&argc, argv);
	while ((c = cmd_option(&cmd_boot, argc, argv, "", longs)) != -1) {
		bad = set_option(&cmd, c);
		if (bad != CMD_DONE)
			return bad;
		if (c == OPT_SESSION)
			cmd.follows = argv[optind];
	}
	if (take_folder(&cmd, argc, argv))
		argc--;
	if (!cmd_operands(&cmd_boot, argc, argv, 1, 1))
		return CMD_USAGE;
	if (cmd.session.size > 0 && !cmd.edits)
		return cmd_misused(&cmd_boot, "--size goes with --session");
	if (opt->expect != NULL && opt->timeout == 0)
		opt->timeout = EXPECT_TIMEOUT;
	cmd.session.address = argv[optind];
	return cmd_exit(cmd.edits ? boot_session(opt, &cmd.session)
				  : boot_image(opt, argv[optind]));
}

const struct command cmd_boot = {
    .name = "boot",
    .summary = "boot an ISO or a disk image in QEMU",
    .usage = usage,
    .run = run,
};
