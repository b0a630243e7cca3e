#include "cmd.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "../imgfmt/log.h"
#include "progress.h"

enum { LONGS_MAX = 40, SHORTS_MAX = 64, NAME_MAX_LEN = 31 };

static bool quiet;
static unsigned errors_said;
static int write_error; /* errno of the first write to stdout that failed */

static const char common_usage[] =
    "\n"
    "  -q, --quiet     no progress bar, no remarks\n"
    "  -v, --verbose   say more\n"
    "  -h, --help      this text\n";

static const struct option common_longs[] = {
    {"help", no_argument, NULL, 'h'},
    {"quiet", no_argument, NULL, 'q'},
    {"verbose", no_argument, NULL, 'v'},
};

static void
sink(enum log_level level, const char *line)
{
	progress_hide();
	if (level == LOG_ERROR_LEVEL)
		errors_said++;
	fprintf(stderr, "relive: %s%s\n",
	    level == LOG_WARN_LEVEL ? "warning: " : "", line);
}

void
cmd_log_init(void)
{
	log_set_sink(sink);
}

unsigned
cmd_errors_said(void)
{
	return errors_said;
}

void
cmd_error_was_said(void)
{
	errors_said++;
}

bool
cmd_quiet(void)
{
	return quiet;
}

static void
print_help(const struct command *cmd)
{
	printf("usage: relive %s%s", cmd->usage, common_usage);
}

/* The command's own options and those that all have, in one table. */
static const struct option *
all_longs(const struct option *longs)
{
	static struct option all[LONGS_MAX];
	int n = 0;

	while (longs != NULL && longs->name != NULL &&
	    n < LONGS_MAX - (int)(sizeof(common_longs) / sizeof(*common_longs)))
		all[n++] = *longs++;
	memcpy(all + n, common_longs, sizeof(common_longs));
	return all;
}

int
cmd_option(const struct command *cmd, int argc, char **argv, const char *shorts,
    const struct option *longs)
{
	char all[SHORTS_MAX];
	int c;

	snprintf(all, sizeof(all), ":hqv%s", shorts);
	for (;;) {
		c = getopt_long(argc, argv, all, all_longs(longs), NULL);
		switch (c) {
		case 'h':
			print_help(cmd);
			exit(cmd_exit(cmd_flush_stdout()));
		case 'q':
			quiet = true;
			log_set_level(LOG_WARN_LEVEL);
			break;
		case 'v':
			log_set_level(LOG_DEBUG_LEVEL);
			break;
		case ':':
			exit(cmd_misused(cmd, "option '%s' needs a value",
			    argv[optind - 1]));
		case '?':
			/* optopt is 0 for a long option nobody knows */
			if (optopt > 0 && optopt < CMD_LONG)
				exit(cmd_misused(
				    cmd, "no option '-%c'", optopt));
			exit(cmd_misused(
			    cmd, "no option '%s'", argv[optind - 1]));
		default:
			return c;
		}
	}
}

bool
cmd_operands(
    const struct command *cmd, int argc, char **argv, int least, int most)
{
	int n = argc - optind;

	if (n < least)
		(void)cmd_misused(cmd, "too few arguments");
	else if (most > 0 && n > most)
		(void)cmd_misused(
		    cmd, "one argument too many: '%s'", argv[optind + most]);
	else
		return true;
	return false;
}

int
cmd_misused(const struct command *cmd, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	log_error("%s: %s; see 'relive %s --help'", cmd->name, text, cmd->name);
	return CMD_USAGE;
}

int
cmd_output(const struct command *cmd, const char *name, const char **out)
{
	if (strcmp(name, "-") == 0)
		return cmd_misused(cmd,
		    "an image cannot go to standard output: it is not written "
		    "in one go");
	*out = name;
	return CMD_DONE;
}

int
cmd_exit(int rc)
{
	if (rc >= 0)
		return CMD_DONE;
	return rc == -ECORRUPT ? CMD_DAMAGED : CMD_FAILED;
}

int
cmd_parse_size(const char *text, uint64_t *out)
{
	static const char units[] = "kmgt";
	unsigned long long n;
	const char *unit;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno != 0)
		return -ERANGE;
	unit =
	    *end != '\0' ? strchr(units, tolower((unsigned char)*end)) : NULL;
	if (unit != NULL) {
		int shift = 10 * (int)(unit - units + 1);

		if (n > UINT64_MAX >> shift)
			return -ERANGE;
		n <<= shift;
		end++;
		if (end[0] == 'i' && end[1] == 'B')
			end++;
	}
	if (*end == 'B')
		end++;
	if (*end != '\0')
		return -EINVAL;
	*out = n;
	return 0;
}

int
cmd_parse_number(const char *text, long least, long most, long *out)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (end == text || *end != '\0' || isspace((unsigned char)*text))
		return -EINVAL;
	if (errno != 0 || n < least || n > most)
		return -ERANGE;
	*out = n;
	return 0;
}

const char *
cmd_bytes(char *buf, size_t len, uint64_t bytes)
{
	static const char units[] = "kMGTPE";
	double n = (double)bytes;
	int unit = -1;

	while (n >= 999.5 && unit < 5) {
		n /= 1000;
		unit++;
	}
	if (unit < 0)
		snprintf(buf, len, "%u bytes", (unsigned)bytes);
	else
		snprintf(buf, len, n < 9.95 ? "%.1f %cB" : "%.0f %cB", n,
		    units[unit]);
	return buf;
}

void
cmd_put_name(FILE *f, const char *name, bool raw)
{
	if (raw) {
		fputs(name, f);
		return;
	}
	for (const char *p = name; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;

		if (c < 0x20 || c == 0x7f || c == '\\')
			fprintf(f, "\\%03o", c);
		else
			putc(c, f);
	}
}

bool
cmd_write_stdout(const void *bytes, size_t len)
{
	if (fwrite(bytes, 1, len, stdout) == len)
		return true;
	if (write_error == 0)
		write_error = errno;
	return false;
}

int
cmd_flush_stdout(void)
{
	int rc = fflush(stdout) != 0 ? -errno : ferror(stdout) ? -EIO : 0;

	if (write_error != 0)
		rc = -write_error;

	if (rc < 0)
		log_error("cannot write to standard output: %s", strerror(-rc));
	return rc;
}

static int
least_of(int a, int b, int c)
{
	int least = a < b ? a : b;

	return least < c ? least : c;
}

/* Letters to change, drop or add to make a out of b; both cut at 31. */
static int
distance(const char *a, const char *b)
{
	int row[NAME_MAX_LEN + 1];
	int na = (int)strnlen(a, NAME_MAX_LEN);
	int nb = (int)strnlen(b, NAME_MAX_LEN);

	for (int j = 0; j <= nb; j++)
		row[j] = j;
	for (int i = 1; i <= na; i++) {
		int diagonal = row[0];

		row[0] = i;
		for (int j = 1; j <= nb; j++) {
			int above = row[j];

			row[j] = least_of(above + 1, row[j - 1] + 1,
			    diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[nb];
}

int
cmd_nearest(const char *text, const char *const *names, int n)
{
	int best = -1, best_distance = 3; /* two slips are still a typo */

	for (int i = 0; i < n; i++) {
		int d = distance(text, names[i]);

		if (d < best_distance && d < (int)strlen(names[i])) {
			best = i;
			best_distance = d;
		}
	}
	return best;
}
