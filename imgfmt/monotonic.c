#include "monotonic.h"

#include <time.h>

uint64_t
monotonic_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int
monotonic_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int rc = pthread_condattr_init(&attr);

	if (rc != 0)
		return -rc;
	rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (rc == 0)
		rc = pthread_cond_init(cond, &attr);
	(void)pthread_condattr_destroy(&attr);
	return -rc;
}

int
monotonic_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until)
{
	const struct timespec end = {.tv_sec = (time_t)(until / 1000),
	    .tv_nsec = (long)(until % 1000) * 1000000};

	return -pthread_cond_timedwait(cond, lock, &end);
}
