/*
 * A piece is in one list: those with some objects in use and some free, or
 * those with none in use; one with all in use is in neither.
 */
#include "slab.h"

#include <stdint.h>
#include <sys/mman.h>

#include "compat.h"

/* In front of each object. */
struct head {
	struct slab_piece *piece;
	struct head *next; /* among the free ones of the piece */
};

struct slab_piece {
	struct slab_piece *prev, *next;
	struct head *free;
	unsigned used; /* objects */
	unsigned cut;  /* objects that were ever in use lie first */
	_Alignas(16) uint8_t bytes[];
};

static size_t
stride_of(const struct slab *slab)
{
	return (sizeof(struct head) + slab->size + 15) & ~(size_t)15;
}

static size_t
piece_bytes(const struct slab *slab)
{
	return sizeof(struct slab_piece) + slab->per_piece * stride_of(slab);
}

static void
link_piece(struct slab_piece **list, struct slab_piece *piece)
{
	piece->prev = NULL;
	piece->next = *list;
	if (*list != NULL)
		(*list)->prev = piece;
	*list = piece;
}

static void
unlink_piece(struct slab_piece **list, struct slab_piece *piece)
{
	*(piece->prev != NULL ? &piece->prev->next : list) = piece->next;
	if (piece->next != NULL)
		piece->next->prev = piece->prev;
}

static struct slab_piece *
new_piece(const struct slab *slab)
{
	size_t len = piece_bytes(slab);
	struct slab_piece *piece = mmap(NULL, len, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (piece == MAP_FAILED)
		return NULL;
	compat_memory_fault_in(piece, len);
	return piece; /* all zero */
}

/* A piece with a free object, in the list of those with some in use. */
static struct slab_piece *
piece_with_room(struct slab *slab)
{
	struct slab_piece *piece = slab->some;

	if (piece != NULL)
		return piece;
	piece = slab->empty;
	if (piece != NULL)
		unlink_piece(&slab->empty, piece);
	else
		piece = new_piece(slab);
	if (piece != NULL)
		link_piece(&slab->some, piece);
	return piece;
}

void *
slab_get(struct slab *slab)
{
	struct slab_piece *piece = piece_with_room(slab);
	struct head *head;

	if (piece == NULL)
		return NULL;
	head = piece->free;
	if (head != NULL) {
		piece->free = head->next;
	} else {
		head = (struct head *)(void *)(piece->bytes +
		    piece->cut++ * stride_of(slab));
		head->piece = piece;
	}
	if (++piece->used == slab->per_piece)
		unlink_piece(&slab->some, piece);
	return head + 1;
}

void
slab_put(struct slab *slab, void *object)
{
	struct head *head = (struct head *)object - 1;
	struct slab_piece *piece = head->piece;

	head->next = piece->free;
	piece->free = head;
	if (piece->used-- == slab->per_piece)
		link_piece(&slab->some, piece);
	if (piece->used > 0)
		return;
	unlink_piece(&slab->some, piece);
	link_piece(&slab->empty, piece);
}

size_t
slab_trim(struct slab *slab)
{
	size_t len = piece_bytes(slab), sum = 0;

	while (slab->empty != NULL) {
		struct slab_piece *piece = slab->empty;

		unlink_piece(&slab->empty, piece);
		(void)munmap(piece, len);
		sum += len;
	}
	return sum;
}
