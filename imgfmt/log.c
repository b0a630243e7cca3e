#include "log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static void
log_to_stderr(enum log_level level, const char *line)
{
	fprintf(stderr, "relive: %s%s\n",
	    level == LOG_WARN_LEVEL ? "warning: " : "", line);
}

static log_sink *current_sink = log_to_stderr;
static enum log_level current_level = LOG_INFO_LEVEL;
static atomic_uint errors;

void
log_set_sink(log_sink *sink)
{
	current_sink = sink != NULL ? sink : log_to_stderr;
}

void
log_set_level(enum log_level level)
{
	current_level = level;
}

int
log_shows(enum log_level level)
{
	return level <= current_level;
}

unsigned
log_errors_said(void)
{
	return atomic_load(&errors);
}

__attribute__((format(printf, 2, 0))) static void
emit(enum log_level level, const char *format, va_list ap)
{
	char line[1024];

	if (level == LOG_ERROR_LEVEL)
		atomic_fetch_add(&errors, 1);
	if (!log_shows(level))
		return;
	vsnprintf(line, sizeof(line), format, ap);
	/* Names come from untrusted images: no control byte gets out. */
	for (char *p = line; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	current_sink(level, line);
}

#define LOG_FUNCTION(name, level) \
	void name(const char *format, ...) \
	{ \
		va_list ap; \
\
		va_start(ap, format); \
		emit(level, format, ap); \
		va_end(ap); \
	}

LOG_FUNCTION(log_error, LOG_ERROR_LEVEL)
LOG_FUNCTION(log_warn, LOG_WARN_LEVEL)
LOG_FUNCTION(log_info, LOG_INFO_LEVEL)
LOG_FUNCTION(log_debug, LOG_DEBUG_LEVEL)
