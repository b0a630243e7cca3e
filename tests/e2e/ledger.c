/*
 * A ledger of confirmed operations, for killing the daemon under load.
 *
 *	ledger run DIR LEDGER SEED	random operations in DIR until one fails
 *	ledger verify DIR LEDGER SEED	DIR must be as after operation k, for
 *					some k from the last confirmed one to
 *					the last issued one
 *
 * Every operation is one system call that changes the file system, chosen by
 * the seed alone, so that verify can play them again against a model in
 * memory.  Before each the ledger says "issued k"; after an fsync it says
 * "confirmed k": the mount promises that all up to k is durable then.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	NAMES = 40,           /* f0 ... */
	SIZE_MAX_ = 96 << 10, /* of a file */
	WRITE_MAX = 24 << 10,
	HELD = 4, /* files kept open, so that unlinking leaves orphans */
};

enum op {
	OP_CREATE,
	OP_WRITE,
	OP_TRUNCATE,
	OP_RENAME,
	OP_UNLINK,
	OP_MKDIR,
	OP_RMDIR,
	OP_LINK,
	OP_SYMLINK,
	OP_CHMOD,
	OP_FSYNC,
};

/* What lies behind names: shared by hard links. */
struct body {
	char type; /* 'f', 'd', 'l' */
	unsigned mode, links;
	size_t size;
	uint8_t *data;
};

struct model {
	uint64_t rng, step;
	struct body *name[NAMES];
};

struct choice {
	enum op op;
	int a, b; /* names */
	size_t off, len;
	uint8_t fill;
	unsigned mode;
};

static uint64_t
rnd(struct model *m)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 7;
	m->rng ^= m->rng << 17;
	return m->rng;
}

/* What each operation wants of its names: a's type ('-': not there, 'n': no
 * directory, 'c': may be changed, '*': any), b's likewise. */
static const struct {
	char a, b;
} wants[] = {
    [OP_CREATE] = {'-', '*'},
    [OP_WRITE] = {'f', '*'},
    [OP_TRUNCATE] = {'f', '*'},
    [OP_RENAME] = {'r', '*'},
    [OP_UNLINK] = {'n', '*'},
    [OP_MKDIR] = {'-', '*'},
    [OP_RMDIR] = {'d', '*'},
    [OP_LINK] = {'f', '-'},
    [OP_SYMLINK] = {'-', '*'},
    [OP_CHMOD] = {'c', '*'},
    [OP_FSYNC] = {'f', '*'},
};

static bool
is_kind(const struct body *b, char kind)
{
	if (kind == '*')
		return true;
	if (b == NULL)
		return kind == '-';
	return kind == b->type || kind == 'r' ||
	    (kind == 'n' && b->type != 'd') || (kind == 'c' && b->type != 'l');
}

static bool
possible(const struct model *m, const struct choice *c)
{
	const struct body *a = m->name[c->a], *b = m->name[c->b];

	if (!is_kind(a, wants[c->op].a) || !is_kind(b, wants[c->op].b))
		return false;
	if (c->op != OP_RENAME || b == NULL)
		return true;
	return a != b && (a->type == 'd') == (b->type == 'd');
}

/* The next operation that can succeed, whatever the draw. */
static struct choice
choose(struct model *m)
{
	struct choice c;

	do {
		c = (struct choice){
		    .op = (enum op)(rnd(m) % 14),
		    .a = (int)(rnd(m) % NAMES),
		    .b = (int)(rnd(m) % NAMES),
		    .off = rnd(m) % (SIZE_MAX_ - WRITE_MAX),
		    .len = rnd(m) % WRITE_MAX + 1,
		    .fill = (uint8_t)rnd(m),
		    .mode = 0700 | (unsigned)(rnd(m) % 64),
		};
		if (c.op > OP_FSYNC)
			c.op = OP_WRITE;
	} while (!possible(m, &c));
	return c;
}

static struct body *
body_new(char type, unsigned mode, size_t size)
{
	struct body *b = calloc(1, sizeof(*b));

	*b = (struct body){type, mode, 1, size, calloc(1, SIZE_MAX_)};
	return b;
}

static void
drop(struct model *m, int i)
{
	struct body *b = m->name[i];

	m->name[i] = NULL;
	if (b != NULL && --b->links == 0) {
		free(b->data);
		free(b);
	}
}

static void
resize(struct body *b, size_t size)
{
	if (size < b->size)
		memset(b->data + size, 0, b->size - size);
	b->size = size;
}

static struct body *
made(const struct choice *c)
{
	struct body *b;

	if (c->op != OP_SYMLINK)
		return body_new(c->op == OP_MKDIR ? 'd' : 'f', c->mode, 0);
	b = body_new('l', 0777, c->len % 200 + 1);
	memset(b->data, 'a' + c->fill % 26, b->size);
	return b;
}

static void
apply(struct model *m, const struct choice *c)
{
	struct body *a = m->name[c->a];

	m->step++;
	switch (c->op) {
	case OP_CREATE:
	case OP_MKDIR:
	case OP_SYMLINK:
		m->name[c->a] = made(c);
		break;
	case OP_WRITE:
		if (a->size < c->off + c->len)
			resize(a, c->off + c->len);
		memset(a->data + c->off, c->fill, c->len);
		break;
	case OP_TRUNCATE:
		resize(a, c->off);
		break;
	case OP_CHMOD:
		a->mode = c->mode;
		break;
	case OP_UNLINK:
	case OP_RMDIR:
		drop(m, c->a);
		break;
	case OP_LINK:
		a->links++;
		m->name[c->b] = a;
		break;
	case OP_RENAME:
		drop(m, c->b);
		m->name[c->b] = a;
		m->name[c->a] = NULL;
		break;
	default:
		break;
	}
}

static int
write_at(const char *path, const struct choice *c)
{
	static uint8_t buf[WRITE_MAX];
	int fd = open(path, O_WRONLY);
	ssize_t n;

	if (fd < 0)
		return -1;
	memset(buf, c->fill, c->len);
	n = pwrite(fd, buf, c->len, (off_t)c->off);
	close(fd);
	return n == (ssize_t)c->len ? 0 : -1;
}

static int
create(const char *path, unsigned mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, mode);

	return fd < 0 ? -1 : close(fd);
}

static int
make_symlink(const char *path, const struct choice *c)
{
	char target[256] = "";

	memset(target, 'a' + c->fill % 26, c->len % 200 + 1);
	return symlink(target, path);
}

static int
sync_file(const char *path)
{
	int rc, fd = open(path, O_RDONLY);

	if (fd < 0)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

/* Keep some files open, so that their unlinking leaves orphans. */
static void
hold(const char *path, uint64_t step)
{
	static int held[HELD] = {-1, -1, -1, -1};
	int *fd = &held[step % HELD];

	if (*fd >= 0)
		close(*fd);
	*fd = open(path, O_RDONLY);
}

static int
perform(const struct choice *c, uint64_t step)
{
	char a[16], b[16];

	snprintf(a, sizeof(a), "f%d", c->a);
	snprintf(b, sizeof(b), "f%d", c->b);
	switch (c->op) {
	case OP_CREATE:
		return create(a, c->mode);
	case OP_MKDIR:
		return mkdir(a, c->mode);
	case OP_SYMLINK:
		return make_symlink(a, c);
	case OP_WRITE:
		return write_at(a, c);
	case OP_TRUNCATE:
		return truncate(a, (off_t)c->off);
	case OP_CHMOD:
		return chmod(a, c->mode);
	case OP_UNLINK:
		hold(a, step);
		return unlink(a);
	case OP_RMDIR:
		return rmdir(a);
	case OP_LINK:
		return link(a, b);
	case OP_RENAME:
		return rename(a, b);
	case OP_FSYNC:
		return sync_file(a);
	}
	return -1;
}

static void
note(int ledger, const char *what, uint64_t step)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%s %" PRIu64 "\n", what, step);

	if (write(ledger, line, (size_t)n) != n)
		exit(2);
}

static int
run(struct model *m, const char *path)
{
	int ledger = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);

	if (ledger < 0)
		return 2;
	for (;;) {
		struct choice c = choose(m);

		note(ledger, "issued", m->step + 1);
		if (perform(&c, m->step) < 0) {
			fprintf(stderr, "# operation %d: %s\n", (int)c.op,
			    strerror(errno));
			return 0;
		}
		apply(m, &c);
		if (c.op == OP_FSYNC)
			note(ledger, "confirmed", m->step);
	}
}

/* -- comparing --------------------------------------------------------------
 */

static bool
same_data(const char *path, const struct body *b)
{
	static uint8_t got[SIZE_MAX_ + 1];
	ssize_t n;
	int fd;

	if (b->type == 'd')
		return true;
	if (b->type == 'l') {
		n = readlink(path, (char *)got, sizeof(got));
	} else {
		fd = open(path, O_RDONLY);
		n = fd < 0 ? -1 : pread(fd, got, sizeof(got), 0);
		close(fd);
	}
	return n == (ssize_t)b->size && memcmp(got, b->data, b->size) == 0;
}

static bool
same_type(const struct stat *st, char type)
{
	return type == 'f' ? S_ISREG(st->st_mode)
	    : type == 'd'  ? S_ISDIR(st->st_mode)
			   : S_ISLNK(st->st_mode);
}

/* What is wrong with what lies at path, or NULL. */
static const char *
fault(const char *path, const struct body *b)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return b != NULL ? "is missing" : NULL;
	if (b == NULL)
		return "should not be there";
	if (!same_type(&st, b->type))
		return "has another type";
	if (b->type != 'l' && (st.st_mode & 07777) != b->mode)
		return "has another mode";
	if (b->type == 'd')
		return NULL;
	if (st.st_nlink != b->links)
		return "has another number of links";
	if ((size_t)st.st_size != b->size)
		return "has another size";
	return same_data(path, b) ? NULL : "has other content";
}

static bool
same_tree(const struct model *m, bool loud)
{
	bool same = true;

	for (int i = 0; i < NAMES && (same || loud); i++) {
		const char *what;
		char path[16];

		snprintf(path, sizeof(path), "f%d", i);
		what = fault(path, m->name[i]);
		if (what != NULL && loud)
			printf("# %s %s\n", path, what);
		same = same && what == NULL;
	}
	return same;
}

static int
verify(struct model *m, const char *path)
{
	uint64_t issued = 0, confirmed = 0, n;
	char what[16];
	FILE *ledger = fopen(path, "r");

	if (ledger == NULL)
		return 2;
	while (fscanf(ledger, "%15s %" SCNu64, what, &n) == 2)
		*(what[0] == 'i' ? &issued : &confirmed) = n;
	fclose(ledger);
	umask(0);
	for (;;) {
		struct choice c;

		if (m->step >= confirmed && same_tree(m, false)) {
			printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
			    confirmed, m->step, issued);
			return 0;
		}
		if (m->step >= issued)
			break;
		c = choose(m);
		apply(m, &c);
	}
	printf("# no state from %" PRIu64 " to %" PRIu64
	       " matches; against the last:\n",
	    confirmed, issued);
	same_tree(m, true);
	return 1;
}

int
main(int argc, char **argv)
{
	struct model m = {0};
	char *ledger;

	if (argc != 5)
		return 2;
	m.rng = strtoull(argv[4], NULL, 10) * 2654435761u + 88172645463325252u;
	ledger = realpath(argv[3], NULL);
	if (ledger == NULL || chdir(argv[2]) < 0)
		return 2;
	umask(0);
	return strcmp(argv[1], "run") == 0 ? run(&m, ledger)
					   : verify(&m, ledger);
}
