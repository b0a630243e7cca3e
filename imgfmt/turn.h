/*
 * Threads that serve one queue take turns at it.  Whoever has the turn keeps it
 * over work that is quick, which spares waking another; before work that may
 * take long (a disk, decompression, a flush) it passes the turn on.
 */
#ifndef TURN_H
#define TURN_H

/*
 * What passes on the turn of the calling thread: pass(arg), from turn_pass.
 * NULL, as at a thread's begin: it serves no queue.
 */
void turn_set(void (*pass)(void *arg), void *arg);

/* What follows may take long.  Cheap, and may be said more than once. */
void turn_pass(void);

#endif
