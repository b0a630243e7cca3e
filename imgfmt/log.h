/*
 * One-line messages to one sink.  The function that finds a fault says it,
 * once: lower case, no full stop, the subject in quotes, with its byte offset
 * where there is one.  All others pass the error number up in silence.
 */
#ifndef LOG_H
#define LOG_H

enum log_level {
	LOG_ERROR_LEVEL,
	LOG_WARN_LEVEL,
	LOG_INFO_LEVEL,  /* shown unless -q */
	LOG_DEBUG_LEVEL, /* shown with -v */
};

/* Where a finished line goes; line carries no newline. */
typedef void log_sink(enum log_level level, const char *line);

/*
 * Send lines to sink from now on; NULL is the default: standard error,
 * "relive: " in front.  Not for use while other threads log.
 */
void log_set_sink(log_sink *sink);

/* Drop lines above level from now on; the default is LOG_INFO_LEVEL. */
void log_set_level(enum log_level level);

/* Whether lines of this level are shown. */
int log_shows(enum log_level level);

/* How many errors have been said: for who would say one in general terms. */
unsigned log_errors_said(void);

#define LOG_PRINTF __attribute__((format(printf, 1, 2)))
LOG_PRINTF void log_error(const char *format, ...);
LOG_PRINTF void log_warn(const char *format, ...);
LOG_PRINTF void log_info(const char *format, ...);
LOG_PRINTF void log_debug(const char *format, ...);

#endif
