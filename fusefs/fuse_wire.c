/*
 * The wire between the kernel and libfuse.  Requests and answers come by here,
 * for the follower to count, and for what libfuse 3.14 does not know of: that
 * the daemon may take set-id bits off by itself (FUSE_HANDLE_KILLPRIV_V2).  A
 * kernel that has to do it asks for an attribute before each write, and for
 * the mode before each change of the owner.
 *
 * All numbers are the kernel's: <linux/fuse.h>.
 */
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuse_impl.h"

enum {
	/* struct fuse_in_header */
	OPCODE = 4,
	UID = 24,
	PID = 32,
	BODY = 40,

	/* struct fuse_init_in; and in fuse_init_out, which has no header */
	OP_INIT = 26,
	INIT_FLAGS = 12,
	HANDLE_KILLPRIV_V2 = 1 << 28,

	/* struct fuse_write_in */
	OP_WRITE = 16,
	WRITE_FLAGS = 20,
	WRITE_KILL_SUIDGID = 1 << 2,

	/* struct fuse_setattr_in */
	OP_SETATTR = 4,
	SETATTR_VALID = 0,
	FATTR_FH = 1 << 6,
	FATTR_LOCKOWNER = 1 << 9,
	FATTR_KILL_SUIDGID = 1 << 11,

	OP_FALLOCATE = 43,

	SMALL = 256, /* an answer that is cheaper to copy */
};

/* What the kernel was told; before any other request it has. */
static _Atomic bool are_ours;

/* Of the request that this thread works on. */
static _Thread_local struct {
	bool offered; /* it is the first, and the bits may be ours */
	bool set_id_goes;
} here;

static uint32_t
word_at(const char *request, size_t len, size_t at)
{
	uint32_t word = 0;

	if (at + sizeof(word) <= len)
		memcpy(&word, request + at, sizeof(word));
	return word;
}

/*
 * Whether the request has set-id bits go.  In front of a write the kernel
 * says so by a change of nothing.  Of fallocate(2) it says nothing itself:
 * root keeps the bits, as for a write.
 */
static bool
has_set_id_go(const char *request, size_t len)
{
	uint32_t valid;

	switch (word_at(request, len, OPCODE)) {
	case OP_WRITE:
		return (word_at(request, len, BODY + WRITE_FLAGS) &
			   WRITE_KILL_SUIDGID) != 0;
	case OP_SETATTR:
		valid = word_at(request, len, BODY + SETATTR_VALID);
		return (valid & FATTR_KILL_SUIDGID) != 0 ||
		    (valid & ~(FATTR_FH | FATTR_LOCKOWNER)) == 0;
	case OP_FALLOCATE:
		return word_at(request, len, UID) != 0;
	default:
		return false;
	}
}

static ssize_t
take_request(int fd, void *buf, size_t len, void *userdata)
{
	ssize_t n = follow_read(fd, buf, len);

	(void)userdata;
	if (n < BODY)
		return n;
	follow_count((int)word_at(buf, (size_t)n, PID), (size_t)n);
	here.offered = word_at(buf, (size_t)n, OPCODE) == OP_INIT &&
	    (word_at(buf, (size_t)n, BODY + INIT_FLAGS) & HANDLE_KILLPRIV_V2);
	here.set_id_goes =
	    atomic_load(&are_ours) && has_set_id_go(buf, (size_t)n);
	return n;
}

/* Accept, in libfuse's answer, what it does not know. */
static void
accept_offer(const struct iovec *answer)
{
	uint32_t flags;

	if (answer->iov_len < INIT_FLAGS + sizeof(flags))
		return;
	memcpy(&flags, (char *)answer->iov_base + INIT_FLAGS, sizeof(flags));
	flags |= HANDLE_KILLPRIV_V2;
	memcpy((char *)answer->iov_base + INIT_FLAGS, &flags, sizeof(flags));
	atomic_store(&are_ours, true);
}

/* A small answer in one piece: the kernel pins the pages of each. */
static ssize_t
send_at_once(int fd, const struct iovec *head, const struct iovec *body)
{
	char answer[SMALL];

	memcpy(answer, head->iov_base, head->iov_len);
	memcpy(answer + head->iov_len, body->iov_base, body->iov_len);
	return write(fd, answer, head->iov_len + body->iov_len);
}

static ssize_t
send_answer(int fd, struct iovec *iov, int n, void *userdata)
{
	(void)userdata;
	if (here.offered && n == 2) /* a header and struct fuse_init_out */
		accept_offer(&iov[1]);
	here.offered = false;
	if (n == 2 && iov[0].iov_len + iov[1].iov_len <= SMALL)
		return send_at_once(fd, &iov[0], &iov[1]);
	return writev(fd, iov, n);
}

void
wire_open(struct fuse_session *session)
{
	static const struct fuse_custom_io io = {
	    .read = take_request, .writev = send_answer};

	if (fuse_session_custom_io(session, &io, fuse_session_fd(session)) != 0)
		log_debug("libfuse keeps the wire to itself");
}

enum set_id
wire_set_id(void)
{
	if (!atomic_load(&are_ours))
		return SET_ID_KERNELS;
	return here.set_id_goes ? SET_ID_GOES : SET_ID_STAYS;
}
