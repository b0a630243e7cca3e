/*
 * The machine: an ordinary PC whose hardware every FreeBSD since 9 knows, with
 * nothing in it that was not asked for; no network.  graphics=off lets the
 * BIOS show on the serial console, too, what goes to the screen through it, so
 * that boot programs are seen that know nothing of serial ports.
 */
#include <limits.h>
#include <stdarg.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "boot.h"

static const char qemu[] = "qemu-system-x86_64";

/* Firmware and an empty store for its variables, as Debian's ovmf has them. */
static const struct {
	const char *code, *vars;
} firmware[] = {
    {"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
    {"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},
};

void
boot_argv_add(struct boot_argv *args, const char *format, ...)
{
	char *text = NULL;
	va_list ap;

	if (args->n + 1 >= args->room) {
		size_t room = args->room * 2 + 16;
		char **argv = realloc(args->argv, room * sizeof(*argv));

		if (argv == NULL) {
			args->rc = -ENOMEM;
			return;
		}
		args->argv = argv;
		args->room = room;
	}
	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0) {
		text = NULL;
		args->rc = -ENOMEM;
	}
	va_end(ap);
	if (text != NULL)
		args->argv[args->n++] = text;
	args->argv[args->n] = NULL;
}

void
boot_argv_release(struct boot_argv *args)
{
	for (size_t i = 0; i < args->n; i++)
		free(args->argv[i]);
	free(args->argv);
	*args = (struct boot_argv){0};
}

int
boot_find_qemu(struct boot_argv *args)
{
	const char *path = getenv("PATH");
	size_t len;

	for (const char *dir = path; dir != NULL && *dir != '\0';
	     dir += len + (dir[len] == ':')) {
		char name[PATH_MAX];

		len = strcspn(dir, ":");
		if (snprintf(name, sizeof(name), "%.*s/%s", (int)len, dir,
			qemu) < (int)sizeof(name) &&
		    access(name, X_OK) == 0) {
			boot_argv_add(args, "%s", name);
			return args->rc;
		}
	}
	log_error(
	    "no '%s' here; Debian has it in the package qemu-system-x86", qemu);
	return -ENOENT;
}

/*
 * A path as a value in a list of QEMU's, where a comma is written twice.
 * NULL: no memory.
 */
static char *
in_list(const char *path)
{
	char *out = malloc(2 * strlen(path) + 1), *p = out;

	for (; out != NULL && *path != '\0'; path++) {
		*p++ = *path;
		if (*path == ',')
			*p++ = ',';
	}
	if (out != NULL)
		*p = '\0';
	return out;
}

static int
add_firmware(struct boot_argv *args)
{
	for (size_t i = 0; i < sizeof(firmware) / sizeof(*firmware); i++) {
		if (access(firmware[i].code, R_OK) < 0 ||
		    access(firmware[i].vars, R_OK) < 0)
			continue;
		boot_argv_add(args, "-drive");
		boot_argv_add(args,
		    "if=pflash,unit=0,format=raw,readonly=on,file=%s",
		    firmware[i].code);
		/* what it writes goes to a copy that nobody sees */
		boot_argv_add(args, "-drive");
		boot_argv_add(args,
		    "if=pflash,unit=1,format=raw,snapshot=on,file=%s",
		    firmware[i].vars);
		return 0;
	}
	log_error(
	    "no '%s'; Debian has it in the package ovmf", firmware[0].code);
	return -ENOENT;
}

/*
 * A disk may be written by what runs from it: into a copy that QEMU drops.
 */
static int
add_medium(const struct boot_options *options, struct boot_argv *args)
{
	static const char *const device[] = {
	    [BOOT_CD] = "ide-cd",
	    [BOOT_DISK] = "ide-hd",
	    [BOOT_USB] = "usb-storage,removable=on",
	};
	scoped(freep) char *path = in_list(options->path);

	if (path == NULL)
		return -ENOMEM;
	boot_argv_add(args, "-drive");
	boot_argv_add(args, "if=none,id=live,format=raw,%s=on,file=%s",
	    options->medium == BOOT_CD ? "readonly" : "snapshot", path);
	if (options->medium == BOOT_USB) {
		boot_argv_add(args, "-device");
		boot_argv_add(args, "qemu-xhci");
	}
	boot_argv_add(args, "-device");
	boot_argv_add(
	    args, "%s,drive=live,bootindex=0", device[options->medium]);
	return 0;
}

/*
 * Writes are through when the guest has flushed them.  Where the host is full
 * the guest is told so; QEMU's habit is to stop it and wait for a word.
 */
static int
add_second_disk(const char *disk, struct boot_argv *args)
{
	scoped(freep) char *path = in_list(disk);

	if (path == NULL)
		return -ENOMEM;
	boot_argv_add(args, "-drive");
	boot_argv_add(args,
	    "if=none,id=session,format=raw,cache=writeback,discard=unmap,"
	    "file=%s",
	    path);
	boot_argv_add(args, "-device");
	boot_argv_add(
	    args, "virtio-blk-pci,drive=session,serial=relive,werror=report");
	return 0;
}

static void
add_all(struct boot_argv *args, const char *const *list)
{
	for (; *list != NULL; list++)
		boot_argv_add(args, "%s", *list);
}

int
boot_describe(const struct boot_options *options, enum boot_accel accel,
    struct boot_argv *args)
{
	static const char *const always[] = {"-nodefaults", "-no-user-config",
	    "-no-reboot", "-machine", "pc,graphics=off", "-display", "none",
	    "-vga", "std", "-chardev", "stdio,id=console,signal=off", "-serial",
	    "chardev:console", NULL};
	static const char *const tcg[] = {"-accel", "tcg", NULL};
	static const char *const kvm[] = {
	    "-accel", "kvm", "-cpu", "host", NULL};
	int rc = 0;

	add_all(args, always);
	add_all(args, accel == BOOT_KVM ? kvm : tcg);
	boot_argv_add(args, "-m");
	boot_argv_add(
	    args, "%lluM", (unsigned long long)(options->memory >> 20));
	if (options->uefi)
		rc = add_firmware(args);
	if (rc == 0)
		rc = add_medium(options, args);
	if (rc == 0 && options->second_disk != NULL)
		rc = add_second_disk(options->second_disk, args);
	for (char *const *extra = options->extra;
	     extra != NULL && *extra != NULL; extra++)
		boot_argv_add(args, "%s", *extra);
	return rc < 0 ? rc : args->rc;
}
