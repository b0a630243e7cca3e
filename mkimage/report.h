/*
 * Facts about an image for people and for machines: the same calls print
 * aligned lines or build a JSON document.
 */
#ifndef REPORT_H
#define REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "../imgfmt/err.h"

struct json_object;

struct report {
	bool json;
	struct json_object *root;   /* with --json */
	struct json_object *layers; /* of root */
	struct json_object *layer;  /* the current one, of layers */
	struct json_object *list;   /* the current list, of layer */
	struct json_object *item;   /* the current item, of list */
	bool failed;                /* out of memory */
};

/* Begin an empty report. */
void report_start(struct report *r, bool json);

/* A new layer of that kind ("uzip"); what follows belongs to it. */
void report_layer(struct report *r, const char *kind, const char *title);

/*
 * A fact: key names it for machines, label for people; NULL leaves it out
 * there.  Text may come from an image: control bytes are made visible.
 */
void report_text(
    struct report *r, const char *key, const char *label, const char *text);
void report_number(
    struct report *r, const char *key, const char *label, uint64_t n);
/* Bytes; people see "16384 (16 KiB)". */
void report_bytes(
    struct report *r, const char *key, const char *label, uint64_t n);
/* People see a label only where it is true. */
void report_bool(struct report *r, const char *key, const char *label, bool is);
void report_real(struct report *r, const char *key, const char *label, double n,
    const char *unit);

/*
 * A list in the layer under key; report_item begins an entry, which people
 * see as line; what follows, with NULL labels, goes into it.
 */
void report_list(struct report *r, const char *key, const char *label);
void report_item(struct report *r, const char *line);
/* The facts that follow belong to the layer again. */
void report_list_end(struct report *r);

/*
 * Print the JSON document, if that is wanted; on one line, or for people's
 * eyes too.  -ENOMEM.
 */
MUST_CHECK int report_finish(struct report *r, bool one_line);

#endif
