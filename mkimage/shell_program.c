/*
 * Which program a command means, and whether this host can run it.  Linux
 * would start a static FreeBSD program and kill it at its first system call,
 * and of others it says that their file is not there.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../imgfmt/bytes.h"
#include "../imgfmt/log.h"
#include "shell.h"

#define SEARCH "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"

enum {
	HEAD = 4096,
	EI_CLASS = 4,
	EI_DATA = 5,
	EI_OSABI = 7,
	CLASS_64 = 2,
	DATA_MSB = 2,
	OSABI_FREEBSD = 9,
	PT_NOTE = 4,
	NOTE_HEAD = 12, /* length of the name, of the text, type */
	SCRIPTS_MOST = 4,
};

struct elf {
	const uint8_t *head;
	size_t len;
	bool wide, msb;
};

/* n bytes (2, 4 or 8) in the file's order; 0 where the head ends before. */
static uint64_t
number(const struct elf *elf, uint64_t off, unsigned n)
{
	uint64_t value = 0;

	if (off > elf->len || n > elf->len - off)
		return 0;
	for (unsigned i = 0; i < n; i++)
		value =
		    value << 8 | elf->head[off + (elf->msb ? i : n - 1 - i)];
	return value;
}

static bool
note_is_freebsd(const struct elf *elf, uint64_t off)
{
	static const char name[] = "FreeBSD";

	return off < elf->len && elf->len - off >= NOTE_HEAD + sizeof(name) &&
	    number(elf, off, 4) == sizeof(name) &&
	    memcmp(elf->head + off + NOTE_HEAD, name, sizeof(name)) == 0;
}

/* ELF's two brands: in the header, and the ABI note of FreeBSD's crt1. */
static bool
is_freebsd(const uint8_t *head, size_t len)
{
	struct elf elf = {.head = head, .len = len};
	uint64_t table, size, n;

	if (len <= EI_OSABI || memcmp(head, "\177ELF", 4) != 0)
		return false;
	if (head[EI_OSABI] == OSABI_FREEBSD)
		return true;
	elf.wide = head[EI_CLASS] == CLASS_64;
	elf.msb = head[EI_DATA] == DATA_MSB;
	table = elf.wide ? number(&elf, 32, 8) : number(&elf, 28, 4);
	size = number(&elf, elf.wide ? 54 : 42, 2);
	n = number(&elf, elf.wide ? 56 : 44, 2);
	for (uint64_t i = 0; i < n && table < len; i++, table += size)
		if (number(&elf, table, 4) == PT_NOTE &&
		    note_is_freebsd(&elf,
			elf.wide ? number(&elf, table + 8, 8)
				 : number(&elf, table + 4, 4)))
			return true;
	return false;
}

/* The program of a script's first line, instead of the script. */
static bool
script_program(const uint8_t *head, size_t len, char path[PATH_MAX])
{
	const char *text = (const char *)head;
	size_t i = 2, n;

	if (len < 2 || text[0] != '#' || text[1] != '!')
		return false;
	while (i < len && (text[i] == ' ' || text[i] == '\t'))
		i++;
	for (n = 0; i + n < len && strchr(" \t\n", text[i + n]) == NULL; n++)
		continue;
	if (n == 0 || n >= PATH_MAX)
		return false;
	memcpy(path, text + i, n);
	path[n] = '\0';
	return true;
}

/* Whether path, or what interprets it, was made for FreeBSD; then path is it.
 */
static bool
wants_freebsd(char path[PATH_MAX])
{
	uint8_t head[HEAD];
	ssize_t len = 0;

	for (int i = 0; i < SCRIPTS_MOST; i++) {
		scoped(fdclosep) int fd = open(path, O_RDONLY | O_CLOEXEC);

		len = fd < 0 ? -1 : pread(fd, head, sizeof(head), 0);
		if (len <= 0)
			return false;
		if (!script_program(head, (size_t)len, path))
			break;
	}
	return is_freebsd(head, (size_t)len);
}

static bool
is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    access(path, X_OK) == 0;
}

static bool
search(const char *word, char path[PATH_MAX])
{
	char folders[] = SEARCH;
	char *rest = folders, *folder;

	while ((folder = strsep(&rest, ":")) != NULL)
		if (snprintf(path, PATH_MAX, "%s/%s", folder, word) <
			PATH_MAX &&
		    is_program(path))
			return true;
	return false;
}

int
shell_find_program(const char *word, char path[PATH_MAX])
{
	char program[PATH_MAX];

	if (strchr(word, '/') == NULL
		? !search(word, path)
		: snprintf(path, PATH_MAX, "%s", word) >= PATH_MAX ||
		    access(path, F_OK) < 0) {
		log_error("there is no '%s' in the tree", word);
		return SHELL_NOT_FOUND;
	}
	if (!is_program(path)) {
		log_error("'%s' in the tree is no program", word);
		return SHELL_CANNOT_RUN;
	}
	memcpy(program, path, PATH_MAX);
	if (compat_runs_freebsd() || !wants_freebsd(program))
		return 0;
	log_error("'%s' in the tree is a FreeBSD program, which does not run "
		  "here; edit the tree from outside ('relive mount') or let a "
		  "machine run it ('relive boot --session')",
	    program);
	return SHELL_CANNOT_RUN;
}

const char *
shell_default(void)
{
	const char *shell = getenv("SHELL");

	return shell != NULL && shell[0] == '/' && is_program(shell)
	    ? shell
	    : "/bin/sh";
}

int
shell_environment(const char *shell)
{
	static const char *const strange[] = {"BASH_ENV", "ENV", "LD_PRELOAD",
	    "LD_LIBRARY_PATH", "OLDPWD", "TMPDIR", "XDG_RUNTIME_DIR"};
	const char *const own[][2] = {
	    {"HOME", access("/root", X_OK) == 0 ? "/root" : "/"},
	    {"LOGNAME", "root"},
	    {"PATH", SEARCH},
	    {"PWD", "/"},
	    {"SHELL", shell},
	    {"USER", "root"},
	};

	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++)
		(void)unsetenv(strange[i]);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (setenv(own[i][0], own[i][1], 1) < 0)
			return -errno;
	return getenv("TERM") == NULL && setenv("TERM", "dumb", 1) < 0 ? -errno
								       : 0;
}

int
shell_exec_failed(const char *path, int error)
{
	log_error("'%s' in the tree cannot run: %s", path,
	    error == ENOENT ? "what is to load or interpret it is missing"
			    : strerror(error));
	return SHELL_CANNOT_RUN;
}
