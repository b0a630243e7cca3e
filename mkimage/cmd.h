/*
 * What every command of relive shares: the table's entry, options that all
 * take (--help, -q, -v), sizes, exit codes.  A command parses, calls, replies;
 * it alone may print.
 */
#ifndef CMD_H
#define CMD_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

#include "../imgfmt/err.h"

#define RELIVE_VERSION "0.1.0"

/* Exit codes of every command. */
enum {
	CMD_DONE = 0,
	CMD_FAILED = 1,
	CMD_USAGE = 2,
	CMD_DAMAGED = 3, /* the image contradicts its format */
};

struct command {
	const char *name;
	const char *summary; /* one line for `relive --help` */
	/* The text of `relive CMD --help`, after "usage: relive ", but for the
	 * options that all commands have. */
	const char *usage;
	int (*run)(int argc, char **argv); /* argv[0] is the name; exit code */
};

/* Values of long options without a letter start here. */
enum { CMD_LONG = 256 };

/*
 * The next option of cmd's arguments, as getopt_long(3) with shorts and longs
 * (may be NULL) gives it; -1 at the first operand, optind is its index.
 * Handles -h, --help, -q, -v and mistakes itself: those it answers by
 * printing and exiting.  Options may follow operands.
 */
int cmd_option(const struct command *cmd, int argc, char **argv,
    const char *shorts, const struct option *longs);

/*
 * Whether the operands that are left are at least `least` and at most `most`
 * (0: any number); says what is wrong when not.
 */
bool cmd_operands(
    const struct command *cmd, int argc, char **argv, int least, int most);

/* Say what is wrong with the arguments; CMD_USAGE. */
__attribute__((format(printf, 2, 3))) int cmd_misused(
    const struct command *cmd, const char *format, ...);

/*
 * Take the name of an output that is no stream: it is written in any order, and
 * read again.  CMD_DONE, or CMD_USAGE, said.
 */
int cmd_output(const struct command *cmd, const char *name, const char **out);

/* The exit code for an error number or a good result. */
int cmd_exit(int rc);

/* -q was given. */
bool cmd_quiet(void);

/*
 * A number of bytes: digits and one of k K M G T (powers of 1024), "B" or
 * "iB" may follow.  -EINVAL, -ERANGE; nothing is said.
 */
MUST_CHECK int cmd_parse_size(const char *text, uint64_t *out);

/* A plain decimal number from least to most.  -EINVAL, -ERANGE. */
MUST_CHECK int cmd_parse_number(
    const char *text, long least, long most, long *out);

/* "1.4 GB": bytes for people, in powers of 1000; into buf, returned. */
const char *cmd_bytes(char *buf, size_t len, uint64_t bytes);

/*
 * Print name with control bytes, and what could fool a terminal, as \ooo;
 * raw prints it as it is.
 */
void cmd_put_name(FILE *f, const char *name, bool raw);

/*
 * Write to standard output.  false: it failed; why, cmd_flush_stdout tells.
 */
bool cmd_write_stdout(const void *bytes, size_t len);

/* Flush standard output; -errno, said, when it could not be written. */
MUST_CHECK int cmd_flush_stdout(void);

/* How many lines of log_error have been shown so far. */
unsigned cmd_errors_said(void);

/* An error has been said by another way than our log's sink. */
void cmd_error_was_said(void);

/* Install the sink that counts errors and respects the progress bar. */
void cmd_log_init(void);

/* Index of the name in names (n of them) most like text, or -1. */
int cmd_nearest(const char *text, const char *const *names, int n);

#endif
