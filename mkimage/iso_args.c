#include "iso_args.h"

#include <string.h>

#include "tree_tar.h"

static int
set_layout(struct iso_args *args, const struct command *cmd, const char *value)
{
	if (layout_of_name(value, &args->layout.kind) < 0)
		return cmd_misused(
		    cmd, "no layout '%s' (plain, uzip, memroot)", value);
	args->layout_set = true;
	return CMD_DONE;
}

/* NAME or NAME=SOURCE */
static int
set_archive(struct iso_args *args, const struct command *cmd, const char *value)
{
	char *equals;

	free(args->archive);
	args->archive = strdup(value);
	if (args->archive == NULL)
		return cmd_exit(-ENOMEM);
	equals = strchr(args->archive, '=');
	if (equals != NULL)
		*equals = '\0';
	args->layout.archive = args->archive;
	args->layout.archive_source = equals != NULL ? equals + 1 : NULL;
	if (strchr(args->archive, '/') != NULL)
		return cmd_misused(cmd,
		    "'%s' has a slash: an archive lies at the top of the ISO",
		    args->archive);
	if (!tree_tar_is_name(args->archive))
		return cmd_misused(cmd,
		    "'%s' is no name of an archive: .txz, .tbz2, .tzst, .tgz "
		    "or .tar at its end",
		    args->archive);
	return CMD_DONE;
}

int
iso_args_set(
    struct iso_args *args, const struct command *cmd, int c, const char *value)
{
	struct layout_options *iso = &args->layout;

	if (c == ISO_LAYOUT)
		return set_layout(args, cmd, value);
	if (c < ISO_LAYOUT || c > ISO_ARCHIVE)
		return -1;
	args->set = true;
	switch (c) {
	case ISO_VOLUME_SET:
		iso->volume_set = value;
		return CMD_DONE;
	case ISO_PUBLISHER:
		iso->publisher = value;
		return CMD_DONE;
	case ISO_NO_TWEAK:
		iso->no_tweak = true;
		return CMD_DONE;
	case ISO_TRIM:
		iso->trim = true;
		return CMD_DONE;
	case ISO_GZIP_KERNEL:
		iso->gzip_kernel = true;
		return CMD_DONE;
	default:
		return set_archive(args, cmd, value);
	}
}

/* --layout makes an ISO, unless the name or --format says another thing. */
static int
check_layout(
    enum create_format *format, const struct command *cmd, const char *out)
{
	enum create_format named = create_format_named(out);

	if (*format == CREATE_BY_NAME && named != CREATE_BY_NAME &&
	    named != CREATE_ISO)
		return cmd_misused(cmd,
		    "--layout is for ISOs, and the name '%s' asks for another "
		    "form; --format iso overrules it",
		    out);
	if (*format != CREATE_BY_NAME && *format != CREATE_ISO)
		return cmd_misused(cmd, "--layout is for ISOs");
	*format = CREATE_ISO;
	return CMD_DONE;
}

/* What is an ISO: its options, and those of the image in it. */
static int
check_iso(const struct iso_args *args, const struct uzip_args *uzip,
    const struct command *cmd)
{
	const char *label = args->layout.label;

	if (args->layout.kind == LAYOUT_PLAIN &&
	    (uzip_args_for_uzip(uzip) || uzip->level_set))
		return cmd_misused(cmd,
		    "-A, -C, -L, -s, -d and -Z are for uzips; the plain layout "
		    "has none");
	return label != NULL && layout_check_label(label) < 0 ? CMD_USAGE
							      : CMD_DONE;
}

int
iso_args_check(struct iso_args *args, struct fs_args *fs,
    const struct uzip_args *uzip, const struct command *cmd, const char *out)
{
	enum create_format *format = &fs->fs.format;
	int bad = args->layout_set ? check_layout(format, cmd, out) : CMD_DONE;

	if (bad != CMD_DONE)
		return bad;
	if (*format == CREATE_BY_NAME)
		*format = create_format_of(out);
	if (*format != CREATE_ISO)
		return !args->set
		    ? CMD_DONE
		    : cmd_misused(cmd,
			  "--volume-set, --publisher, --no-tweak, --trim, "
			  "--gzip-kernel and --archive are for ISOs");
	args->layout.label = fs->fs.mkfs.label;
	fs->fs.mkfs.label = NULL;
	return check_iso(args, uzip, cmd);
}

void
iso_args_release(struct iso_args *args)
{
	free(args->archive);
}
