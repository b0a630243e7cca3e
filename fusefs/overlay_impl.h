/*
 * The overlay's inside: shared by overlay*.c, and by the tests, which put
 * another kind of file below it.
 */
#ifndef OVERLAY_IMPL_H
#define OVERLAY_IMPL_H

#include <pthread.h>

#include "overlay.h"
#include "overlay_format.h"
#include "overlay_map.h"

/*
 * The file below an overlay.  Reads may come from many threads, the rest from
 * one at a time.
 */
struct overlay_file;
struct overlay_file_ops {
	/* Whole, or an error; -EIO behind the end. */
	int (*read)(struct overlay_file *, uint64_t off, void *buf, size_t len);
	/* Whole, or an error; the file grows as needed. */
	int (*write)(
	    struct overlay_file *, uint64_t off, const void *buf, size_t len);
	/* Cut off what lies behind size. */
	int (*cut)(struct overlay_file *, uint64_t size);
	/* As fdatasync. */
	int (*sync)(struct overlay_file *);
	int (*size)(struct overlay_file *, uint64_t *size);
	/*
	 * Whether anybody has removed the file while it was in use: 1, its name
	 * is free; -EIO, said: another file has it.  NULL: cannot happen.
	 */
	int (*is_removed)(struct overlay_file *);
	/* Make an empty file that may take this one's place later. */
	int (*create)(struct overlay_file *, struct overlay_file **out);
	/*
	 * Give it the name of the old file, durably.  -errno: the old one has
	 * it still; 1: it has the name, but not durably.
	 */
	int (*replace)(struct overlay_file *, struct overlay_file *old);
	/* Remove a file that did not take the place. */
	void (*discard)(struct overlay_file *);
	void (*close)(struct overlay_file *);
};

struct overlay_file {
	const struct overlay_file_ops *ops;
	const char *name; /* for messages */
};

/* The host file at path; flags of open(2): O_RDONLY, or O_RDWR for a writer. */
MUST_CHECK int overlay_file_open(
    const char *path, int flags, struct overlay_file **out);

/* A new host file that will be at path once it is put in place. */
MUST_CHECK int overlay_file_new(const char *path, struct overlay_file **out);

/*
 * The log: the file as a sequence of records, and what is being appended.
 * A batch of records is staged in memory, then written in one piece.
 */
struct overlay_log {
	struct overlay_file *file; /* not owned */
	uint8_t salt[OVERLAY_SALT];
	uint64_t epoch;
	uint64_t seq;       /* of the last complete transaction */
	uint64_t end;       /* where the next record goes */
	uint64_t begin;     /* where the transaction in progress begins */
	uint64_t nrecords;  /* of it, written */
	uint64_t limit;     /* no larger file than this; 0: any size */
	uint32_t chain;     /* after these records */
	bool is_broken;     /* a sync failed: invariant 2 */
	bool may_have_tail; /* what a crash left may lie behind end */
	/* The batch. */
	uint8_t *stage;
	size_t staged, room;
	uint64_t staged_records;
	uint32_t staged_chain;
	void *lz4; /* state of the compressor */
};

/*
 * Begin a log in an empty file: write its header (h->salt is drawn here).
 * -ENOMEM, -EIO, -ENOSPC.
 */
MUST_CHECK int overlay_log_create(struct overlay_log *log,
    struct overlay_file *file, struct overlay_header *h);

/* Go on with a log whose seq, end and salt are set.  -EIO: no random bytes. */
MUST_CHECK int overlay_log_resume(struct overlay_log *log);

/*
 * Stage n blocks from no as DATA records; ext[0..] describe them, at most
 * overlay_log_extents(n) of them.  Returns how many; -ENOMEM.  buf holds
 * whole blocks; with plain only those that are zero are compressed.
 */
MUST_CHECK int overlay_log_data(struct overlay_log *log, uint64_t no,
    const void *buf, size_t n, bool plain, struct overlay_extent *ext);

static inline size_t
overlay_log_extents(size_t blocks)
{
	return (blocks + OVERLAY_RUN - 1) / OVERLAY_RUN;
}

/* Stage a TRIM or RESIZE.  -ENOMEM. */
MUST_CHECK int overlay_log_step(
    struct overlay_log *log, enum overlay_type type, uint64_t arg, uint64_t n);

/* Stage a NOTE; its header will lie at *off.  -ENOMEM. */
MUST_CHECK int overlay_log_note(
    struct overlay_log *log, const void *note, size_t len, uint64_t *off);

/*
 * Write what is staged; on failure it is dropped and nothing has changed.
 * -ENOSPC: the disk is full or the limit reached; -EIO.
 */
MUST_CHECK int overlay_log_write(struct overlay_log *log);

/* Forget what is staged. */
void overlay_log_drop(struct overlay_log *log);

/*
 * Complete the transaction: stage a COMMIT behind what is staged, write, and
 * sync.  -ENOSPC: as overlay_log_write, the transaction is still open; -EIO:
 * the log is broken.
 */
MUST_CHECK int overlay_log_commit(struct overlay_log *log);

/*
 * Append an INDEX and its trailer and cut off any tail.  Only between
 * transactions.  -ENOSPC, -EIO and others: there is no index, the log goes
 * on, unless broken.
 */
MUST_CHECK int overlay_log_index(struct overlay_log *log,
    const struct overlay_map *map, uint64_t size, uint64_t note_off);

/* Whether nothing was written since the last complete transaction. */
static inline bool
overlay_log_is_idle(const struct overlay_log *log)
{
	return log->nrecords == 0 && log->staged == 0;
}

void overlay_log_release(struct overlay_log *log);

/* What a log says: the state after its last complete transaction. */
struct overlay_state {
	struct overlay_map map;
	uint64_t size;      /* of the device, bytes */
	uint64_t base_size; /* bytes */
	uint64_t note_off;  /* of the NOTE's header, 0: none */
	uint8_t *note;      /* NULL: none */
	size_t note_len;
};

void overlay_state_release(struct overlay_state *state);

/*
 * Apply a record that is sane; the one meaning of each.  Uses up two reserved
 * calls of the map.
 */
void overlay_state_apply(
    struct overlay_state *state, const struct overlay_record *r);

/*
 * Read the file header.  -ECORRUPT, said; -ENOENT and such from below.
 */
MUST_CHECK int overlay_header_read(
    struct overlay_file *file, struct overlay_header *out);

/*
 * Find the last complete transaction of log->file and the state it leaves
 * (OVERLAY.md, "Recovery"); log->seq and log->end are set, log->salt is.
 * h: the file's header.  tries: how often to look again before damage is
 * believed; 1 unless somebody may be writing.  1: an index told; 0: the log
 * was read.  -ECORRUPT, said; -EIO, -ENOMEM.  *state is then empty.
 */
MUST_CHECK int overlay_recover(struct overlay_log *log,
    const struct overlay_header *h, unsigned tries,
    struct overlay_state *state);

/*
 * Load the index at the file's end.  1: done; 0: there is none to trust.
 * -EIO, -ENOMEM.  *state, empty before, is so again unless done.
 */
MUST_CHECK int overlay_index_load(
    struct overlay_log *log, uint64_t file_size, struct overlay_state *state);

/*
 * Read the record of this type at off with stored bytes of payload, header
 * and all, into buf, and check it.  -ECORRUPT, not said: it is not that
 * record, or damaged; -EIO.
 */
MUST_CHECK int overlay_record_read(const struct overlay_log *log,
    enum overlay_type type, uint64_t off, uint32_t stored,
    struct overlay_record *r, uint8_t *buf);

/*
 * Whether buf, of OVERLAY_RECORD + stored bytes that lie at off, is a whole
 * record of this type with stored bytes of payload; then *r is its header.
 */
bool overlay_record_check(const struct overlay_log *log, enum overlay_type type,
    uint64_t off, uint32_t stored, struct overlay_record *r,
    const uint8_t *buf);

/* Load the note whose header lies at off into *state.  As above; -ENOMEM. */
MUST_CHECK int overlay_note_load(
    const struct overlay_log *log, uint64_t off, struct overlay_state *state);

/* The device. */
struct overlay {
	struct blkdev dev;
	struct blkdev *base; /* owned */
	bool is_read_only;
	struct overlay_id id;
	pthread_mutex_t writing; /* one writer at a time; taken before lock */
	/*
	 * Guards file, state.map, state.size and dev.size: readers share it
	 * while they use an extent, a writer takes it to change the map.
	 */
	pthread_rwlock_t lock;
	struct overlay_file *file;
	struct overlay_log log;
	struct overlay_state state;
	void *new_note; /* for the next flush; NULL: none */
	size_t new_note_len;
	bool has_new_note;
	bool is_indexed;        /* the file ends with an index */
	uint64_t compact_after; /* garbage that brings the next try, bytes */
};

/*
 * Open over a file that is there already.  On success *out owns file and
 * base; on error the caller still does.  Errors as overlay_open.
 */
MUST_CHECK int overlay_open_file(struct overlay_file *file,
    const struct overlay_id *id, struct blkdev *base, unsigned flags,
    struct blkdev **out);

/* Write the header of a new overlay into an empty file, durably. */
MUST_CHECK int overlay_create_file(
    struct overlay_file *file, const struct overlay_id *id, uint64_t base_size);

/* overlay_dev.c; its close does without file or base. */
extern const struct blkdev_ops overlay_ops;

/* Flush; o->writing is held. */
MUST_CHECK int overlay_flush_locked(struct overlay *o);

/* Read blocks through the map, as the device's read does. */
MUST_CHECK int overlay_read_blocks(
    struct overlay *o, uint64_t off, void *buf, size_t len);

/* Compaction proper: nothing is pending, o->writing is held. */
MUST_CHECK int overlay_rewrite(struct overlay *o);

/* Bytes of the file that hold nothing of the present state. */
uint64_t overlay_garbage(const struct overlay *o);

#endif
