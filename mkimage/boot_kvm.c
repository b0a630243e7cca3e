/*
 * That /dev/kvm can be opened says little: inside other virtual machines it
 * may be there and run a few instructions only.  So a guest of our own must
 * answer first.  It is 256 bytes at the end of a ROM, starts where a processor
 * starts, goes to 64-bit mode with paging, lets the number 42 pass through the
 * FPU and an SSE register, and hands it to QEMU's isa-debug-exit, which ends
 * QEMU with 2 * 42 + 1.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "../imgfmt/log.h"
#include "boot.h"

enum {
	ROM = 64 << 10,
	ANSWER = 2 * 42 + 1,
	PATIENCE_MS = 10000,
};

/* At 0xfff00; the tables of pages at 0x1000, 0x2000 and 0x3000. */
static const uint8_t guest[256] = {
    /* xor ax, ax; mov ds, ax */
    0x31, 0xc0, 0x8e, 0xd8,
    /* movl [0x1000], 0x2003; [0x2000], 0x3003; [0x3000], 0x83 */
    0x66, 0xc7, 0x06, 0x00, 0x10, 0x03, 0x20, 0x00, 0x00, 0x66, 0xc7, 0x06,
    0x00, 0x20, 0x03, 0x30, 0x00, 0x00, 0x66, 0xc7, 0x06, 0x00, 0x30, 0x83,
    0x00, 0x00, 0x00,
    /* lgdtl cs:[0xff98] */
    0x2e, 0x66, 0x0f, 0x01, 0x16, 0x98, 0xff,
    /* mov eax, PAE | OSFXSR | OSXMMEXCPT; mov cr4, eax */
    0x66, 0xb8, 0x20, 0x06, 0x00, 0x00, 0x0f, 0x22, 0xe0,
    /* mov eax, 0x1000; mov cr3, eax */
    0x66, 0xb8, 0x00, 0x10, 0x00, 0x00, 0x0f, 0x22, 0xd8,
    /* mov ecx, EFER; rdmsr; or ah, LME >> 8; wrmsr */
    0x66, 0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x80, 0xcc, 0x01, 0x0f,
    0x30,
    /* mov eax, PG | NE | PE; mov cr0, eax */
    0x66, 0xb8, 0x21, 0x00, 0x00, 0x80, 0x0f, 0x22, 0xc0,
    /* ljmpl 8:0xfff56 */
    0x66, 0xea, 0x56, 0xff, 0x0f, 0x00, 0x08, 0x00,
    /* finit; movl [0x4000], 42; fildl [0x4000]; fistpl [0x4004] */
    0x9b, 0xdb, 0xe3, 0xc7, 0x04, 0x25, 0x00, 0x40, 0x00, 0x00, 0x2a, 0x00,
    0x00, 0x00, 0xdb, 0x04, 0x25, 0x00, 0x40, 0x00, 0x00, 0xdb, 0x1c, 0x25,
    0x04, 0x40, 0x00, 0x00,
    /* movd xmm0, [0x4004]; movd eax, xmm0 */
    0x66, 0x0f, 0x6e, 0x04, 0x25, 0x04, 0x40, 0x00, 0x00, 0x66, 0x0f, 0x7e,
    0xc0,
    /* mov dx, 0x501; out dx, al; hlt; jmp to hlt */
    0x66, 0xba, 0x01, 0x05, 0xee, 0xf4, 0xeb, 0xfd,
    /* at 0x88: no segment; a 64-bit code segment */
    [0x95] = 0x9b, 0x20,
    /* at 0x98: where those are, for lgdt */
    0x00, 0x0f, 0x00, 0x88, 0xff, 0x0f, 0x00,
    /* where the processor starts: ljmp 0xf000:0xff00 */
    [0xf0] = 0xea, 0x00, 0xff, 0x00, 0xf0};

/* The ROM as a file at path, which ends in XXXXXX. */
static int
write_rom(char *path)
{
	scoped(fdclosep) int fd = mkostemp(path, O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, ROM) < 0 ||
	    pwrite(fd, guest, sizeof(guest), ROM - sizeof(guest)) !=
		sizeof(guest))
		return -EIO;
	return 0;
}

/*
 * Wait until the guest has answered or cannot any more.  QEMU stays when KVM
 * gives up on a guest, and says so.
 */
static void
await_answer(struct boot_child *child)
{
	char said[1024];
	struct pollfd fd = {.fd = child->err, .events = POLLIN};
	size_t n = 0;

	while (n < sizeof(said) - 1 && poll(&fd, 1, PATIENCE_MS) == 1) {
		ssize_t got = read(fd.fd, said + n, sizeof(said) - 1 - n);

		if (got <= 0)
			return;
		n += (size_t)got;
		said[n] = '\0';
		if (strstr(said, "internal error") != NULL)
			return;
	}
}

static int
ask_guest(const char *qemu, const char *accel, const char *rom)
{
	const char *const args[] = {qemu, "-accel", accel, "-machine", "pc",
	    "-nodefaults", "-no-user-config", "-display", "none", "-m", "16",
	    "-no-reboot", "-device", "isa-debug-exit,iobase=0x501,iosize=2",
	    "-bios", rom, NULL};
	struct boot_argv argv = {0};
	struct boot_child child;
	int rc, status;

	for (size_t i = 0; args[i] != NULL; i++)
		boot_argv_add(&argv, "%s", args[i]);
	rc = argv.rc < 0 ? argv.rc : boot_child_start(argv.argv, &child);
	boot_argv_release(&argv);
	if (rc < 0)
		return rc;
	await_answer(&child);
	status = boot_child_end(&child);
	return WIFEXITED(status) && WEXITSTATUS(status) == ANSWER;
}

int
boot_answers(const char *qemu, const char *accel)
{
	const char *dir = getenv("TMPDIR");
	scoped(freep) char *rom = NULL;
	int rc;

	if (asprintf(&rom, "%s/relive-rom.XXXXXX",
		dir != NULL && dir[0] != '\0' ? dir : "/tmp") < 0) {
		rom = NULL;
		return -ENOMEM;
	}
	rc = write_rom(rom);
	if (rc < 0) {
		log_error("cannot write '%s': %s", rom, strerror(-rc));
		return rc;
	}
	rc = ask_guest(qemu, accel, rom);
	(void)unlink(rom);
	return rc;
}
