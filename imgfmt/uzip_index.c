#include "uzip_index.h"

#include <assert.h>
#include <string.h>

#include "log.h"
#include "uzip_table.h"

enum {
	PAGE_ENTRIES = 512, /* and one more, so that each page is enough */
	PAGES = 64,
};

struct uzip_page {
	bool valid;
	uint32_t number;
	uint64_t entry[PAGE_ENTRIES + 1];
};

/* Turn an entry as it was read into its offset, in place. */
static uint64_t
decode_entry(uint64_t *entry)
{
	be64 v;

	memcpy(&v, entry, sizeof(v));
	*entry = be64_get(v);
	return *entry;
}

static int
read_raw(
    const struct uzip_index *x, uint64_t first, size_t count, uint64_t *entry)
{
	return blkdev_read(x->dev, uzip_entry_at(first), entry, count * 8);
}

int
uzip_index_read(
    const struct uzip_index *x, uint64_t first, size_t count, uint64_t *entry)
{
	int rc = read_raw(x, first, count, entry);

	for (size_t i = 0; rc == 0 && i < count; i++)
		(void)decode_entry(&entry[i]);
	return rc;
}

struct first_fault {
	uint64_t count, off;
	uint32_t cluster;
	const char *what;
};

static void
note_fault(void *arg, uint32_t cluster, uint64_t off, const char *what)
{
	struct first_fault *f = arg;

	if (f->count++ == 0) {
		f->cluster = cluster;
		f->off = off;
		f->what = what;
	}
}

/*
 * Go over to the table.  Called with the lock held, or alone.  Faults are
 * said, unless whoever opened the image asked to be spared; tolerate: they
 * are no error.
 */
static int
use_table(struct uzip_index *x, bool tolerate)
{
	struct uzip_table *t;
	struct first_fault f = {0};
	int rc = uzip_table_make(x, note_fault, &f, &t);

	if (rc < 0)
		return rc;
	if (f.count > 0 && !x->damaged)
		log_error("uzip index at byte %llu: cluster %u %s%s",
		    (unsigned long long)f.off, f.cluster, f.what,
		    f.count > 1 ? ", and more faults" : "");
	if (f.count > 0 && !tolerate) {
		uzip_table_free(t);
		return -ECORRUPT;
	}
	__atomic_store_n(&x->table, t, __ATOMIC_RELEASE);
	return 0;
}

/* The lazy index's first look: both ends, so that a short copy is noticed. */
static int
judge_ends(struct uzip_index *x)
{
	const uint32_t at[] = {0, x->n - 1};

	for (size_t k = 0; k < 2; k++) {
		uint64_t entry;
		int rc = uzip_index_read(x, at[k], 1, &entry);

		if (rc < 0)
			return rc;
		if (uzip_index_holds(x, entry))
			continue;
		log_error("uzip index at byte %llu: cluster %u begins at byte "
			  "%llu, but the container ends at %llu and its data "
			  "begin at %llu",
		    (unsigned long long)uzip_entry_at(at[k]), at[k],
		    (unsigned long long)entry, (unsigned long long)x->dev->size,
		    (unsigned long long)x->start);
		return -ECORRUPT;
	}
	return 0;
}

/* entry[n] counts only in version 4 and only if it is not 0 (1.3). */
static int
find_end(struct uzip_index *x, char version)
{
	int rc = uzip_index_read(x, x->n, 1, &x->stored_end);

	x->end = x->dev->size;
	if (rc < 0 || version < UZIP_TRUSTED_END || x->stored_end == 0)
		return rc;
	if (x->stored_end <= x->dev->size) {
		x->end = x->stored_end;
		return 0;
	}
	if (x->damaged)
		return 0;
	log_error("uzip index at byte %llu: the data end at byte %llu, but "
		  "the container at %llu",
	    (unsigned long long)uzip_entry_at(x->n),
	    (unsigned long long)x->stored_end,
	    (unsigned long long)x->dev->size);
	return -ECORRUPT;
}

int
uzip_index_open(struct uzip_index *x, struct blkdev *dev,
    const struct uzip_info *info, bool damaged)
{
	int rc;

	*x = (struct uzip_index){
	    .dev = dev,
	    .damaged = damaged,
	    .n = info->nclusters,
	    .most = uzip_most_read(info->codec, info->cluster),
	    .start = uzip_data_start(info->nclusters),
	};
	x->pages = calloc(PAGES, sizeof(*x->pages));
	if (x->pages == NULL)
		return -ENOMEM;
	pthread_mutex_init(&x->lock, NULL);
	rc = find_end(x, info->version);
	if (rc == 0 && uzip_letter_dedups(info->letter))
		rc = use_table(x, damaged);
	else if (rc == 0 && !damaged)
		rc = judge_ends(x);
	if (rc < 0)
		uzip_index_close(x);
	return rc;
}

void
uzip_index_close(struct uzip_index *x)
{
	if (x->pages == NULL)
		return;
	pthread_mutex_destroy(&x->lock);
	uzip_table_free(x->table);
	free(x->pages);
	x->pages = NULL;
}

/*
 * Decode entries, at least one.  Where nothing is stored, as in most of many an
 * image, they are all the same.  false: they do not ascend.
 */
static bool
decode_entries(uint64_t *entry, size_t count)
{
	uint64_t prev = 0;
	bool ascend = true;

	assert(count > 0);
	if (memcmp(entry, entry + 1, (count - 1) * sizeof(*entry)) == 0) {
		(void)decode_entry(entry);
		bytes_repeat(entry, sizeof(*entry), count);
		return true;
	}
	for (size_t k = 0; k < count; k++) {
		uint64_t off = decode_entry(&entry[k]);

		ascend &= prev <= off;
		prev = off;
	}
	return ascend;
}

/*
 * Entries first .. first + count of whole pages, the container's end in the
 * place of the last one of all.  1: they are in *entry.  0: they do not ascend.
 */
static int
read_pages(
    struct uzip_index *x, uint32_t first, uint32_t count, uint64_t *entry)
{
	bool ascend;
	int rc = read_raw(x, first, (size_t)count + 1, entry);

	if (rc < 0)
		return rc;
	ascend = decode_entries(entry, count);
	if (count == x->n - first)
		entry[count] = x->end;
	else
		(void)decode_entry(&entry[count]);
	return ascend && entry[count - 1] <= entry[count];
}

/*
 * Fetch the page that holds entries i and i + 1.  Called with the lock held.
 * 1: *out is it.  0: its entries do not ascend.
 */
static int
page_of(struct uzip_index *x, uint32_t i, const struct uzip_page **out)
{
	uint32_t number = i / PAGE_ENTRIES;
	uint32_t first = number * PAGE_ENTRIES;
	uint32_t left = x->n - first;
	uint32_t count = left < PAGE_ENTRIES ? left : PAGE_ENTRIES;
	struct uzip_page *page = &x->pages[number % PAGES];
	int rc;

	*out = page;
	if (page->valid && page->number == number)
		return 1;
	page->valid = false;
	rc = read_pages(x, first, count, page->entry);
	if (rc == 1) {
		page->valid = true;
		page->number = number;
	}
	return rc;
}

static int
page_span(const struct uzip_index *x, const struct uzip_page *page, uint32_t i,
    struct uzip_span *span, bool *last)
{
	const uint64_t *entry = &page->entry[i % PAGE_ENTRIES];
	uint64_t len = entry[1] - entry[0];

	*last = i == x->n - 1;
	if (!uzip_index_holds(x, entry[0]) || !uzip_index_holds(x, entry[1]))
		return -ECORRUPT;
	if (len > x->most && !*last)
		return -ECORRUPT;
	span->kind = len == 0 ? UZIP_ZERO : UZIP_STORED;
	span->off = entry[0];
	span->len = len > x->most ? x->most : (uint32_t)len;
	return 0;
}

int
uzip_index_lookup(
    struct uzip_index *x, uint32_t i, struct uzip_span *span, bool *last)
{
	const struct uzip_table *t =
	    __atomic_load_n(&x->table, __ATOMIC_ACQUIRE);
	const struct uzip_page *page;
	int rc = 0;

	if (t != NULL)
		return uzip_table_span(t, i, span, last);
	pthread_mutex_lock(&x->lock);
	if (x->table == NULL)
		rc = page_of(x, i, &page);
	if (rc == 1) {
		rc = page_span(x, page, i, span, last);
		pthread_mutex_unlock(&x->lock);
		return rc;
	}
	if (rc == 0 && x->table == NULL)
		rc = use_table(x, true);
	pthread_mutex_unlock(&x->lock);
	return rc < 0 ? rc : uzip_table_span(x->table, i, span, last);
}

int
uzip_index_span(
    struct uzip_index *x, uint32_t i, struct uzip_span *span, bool *last)
{
	int rc = uzip_index_lookup(x, i, span, last);

	if (rc == -ECORRUPT)
		log_error("uzip index at byte %llu: cluster %u does not lie "
			  "inside the container, or is longer than kernels "
			  "accept",
		    (unsigned long long)uzip_entry_at(i), i);
	return rc;
}

/* By whole pages, so that what is judged does not depend on what is asked. */
static int
page_stretch(
    struct uzip_index *x, uint32_t first, uint32_t n, struct uzip_stretch *s)
{
	uint32_t skip = first % PAGE_ENTRIES, from = first - skip;
	uint32_t left = x->n - from;
	uint32_t count = (skip + n + PAGE_ENTRIES - 1) / PAGE_ENTRIES;
	int rc;

	count = count * PAGE_ENTRIES < left ? count * PAGE_ENTRIES : left;
	rc = read_pages(x, from, count, s->room);
	if (rc != 1 || !uzip_index_holds(x, s->room[0]) ||
	    !uzip_index_holds(x, s->room[count]))
		return rc < 0 ? rc : 0;
	s->entry = s->room + skip;
	s->n = first + n == x->n ? n - 1 : n;
	return 0;
}

int
uzip_index_stretch(struct uzip_index *x, uint32_t first, uint32_t n,
    uint32_t most, struct uzip_stretch *s)
{
	const struct uzip_table *t =
	    __atomic_load_n(&x->table, __ATOMIC_ACQUIRE);
	uint32_t have, k = 0;
	int rc = 0;

	s->n = s->zero = 0;
	if (n > UZIP_STRETCH - PAGE_ENTRIES)
		n = UZIP_STRETCH - PAGE_ENTRIES;
	if (t != NULL)
		uzip_table_stretch(t, first, n, s);
	else
		rc = page_stretch(x, first, n, s);
	if (s->n > 0 && s->entry[s->n] == s->entry[0]) {
		s->zero = s->n; /* all free: the most of many an image */
		return rc;
	}
	for (have = s->n; k < have; k++) {
		uint64_t len = s->entry[k + 1] - s->entry[k];

		if (len > most)
			break;
		s->zero += len == 0;
	}
	s->n = k;
	return rc;
}

int
uzip_index_faults(struct uzip_index *x, uzip_index_fault *fault, void *arg)
{
	struct uzip_table *t = NULL;
	int rc = uzip_table_make(x, fault, arg, &t);

	if (rc < 0)
		return rc;
	/* Who checks will look at every cluster: keep it. */
	pthread_mutex_lock(&x->lock);
	if (x->table == NULL) {
		__atomic_store_n(&x->table, t, __ATOMIC_RELEASE);
		t = NULL;
	}
	pthread_mutex_unlock(&x->lock);
	uzip_table_free(t);
	return 0;
}
