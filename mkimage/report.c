#include "report.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "json_text.h"

enum { LABEL_WIDTH = 16 };

/* Where a fact goes at present. */
static struct json_object *
place(const struct report *r)
{
	if (r->item != NULL)
		return r->item;
	return r->layer != NULL ? r->layer : r->root;
}

static void
put(struct report *r, const char *key, struct json_object *value)
{
	if (value == NULL || json_object_object_add(place(r), key, value) < 0)
		r->failed = true;
}

static void
line(const char *label, const char *text)
{
	printf("  %-*s ", LABEL_WIDTH, label);
	cmd_put_name(stdout, text, false);
	putchar('\n');
}

void
report_start(struct report *r, bool json)
{
	*r = (struct report){.json = json};
	if (json)
		r->root = json_object_new_object();
}

void
report_layer(struct report *r, const char *kind, const char *title)
{
	report_list_end(r);
	if (!r->json) {
		cmd_put_name(stdout, title, false);
		putchar('\n');
		return;
	}
	if (r->layers == NULL) {
		r->layer = NULL;
		r->layers = json_object_new_array();
		put(r, "layers", r->layers);
	}
	r->layer = json_object_new_object();
	if (r->layer == NULL || json_object_array_add(r->layers, r->layer) < 0)
		r->failed = true;
	report_text(r, "kind", NULL, kind);
}

void
report_text(
    struct report *r, const char *key, const char *label, const char *text)
{
	if (r->json && key != NULL)
		put(r, key, json_text(text));
	else if (!r->json && label != NULL)
		line(label, text);
}

void
report_number(struct report *r, const char *key, const char *label, uint64_t n)
{
	if (r->json && key != NULL)
		put(r, key, json_object_new_uint64(n));
	else if (!r->json && label != NULL)
		printf(
		    "  %-*s %llu\n", LABEL_WIDTH, label, (unsigned long long)n);
}

void
report_bytes(struct report *r, const char *key, const char *label, uint64_t n)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB"};
	unsigned unit = 0;
	uint64_t whole = n;
	char text[32];

	if (r->json || label == NULL) {
		report_number(r, key, label, n);
		return;
	}
	while (whole >= 1024 && whole % 1024 == 0 && unit < 3) {
		whole /= 1024;
		unit++;
	}
	if (unit > 0 && whole < 10000)
		snprintf(text, sizeof(text), "%llu %s",
		    (unsigned long long)whole, units[unit]);
	else
		(void)cmd_bytes(text, sizeof(text), n);
	if (n < 1000)
		printf("  %-*s %s\n", LABEL_WIDTH, label, text);
	else
		printf("  %-*s %llu (%s)\n", LABEL_WIDTH, label,
		    (unsigned long long)n, text);
}

void
report_bool(struct report *r, const char *key, const char *label, bool is)
{
	if (r->json && key != NULL)
		put(r, key, json_object_new_boolean(is));
	else if (!r->json && label != NULL && is)
		printf("  %s\n", label);
}

void
report_real(struct report *r, const char *key, const char *label, double n,
    const char *unit)
{
	char text[32];

	snprintf(text, sizeof(text), "%.2f", n);
	if (r->json && key != NULL)
		put(r, key, json_object_new_double_s(n, text));
	else if (!r->json && label != NULL)
		printf("  %-*s %s%s\n", LABEL_WIDTH, label, text, unit);
}

void
report_list(struct report *r, const char *key, const char *label)
{
	report_list_end(r);
	if (!r->json) {
		printf("  %s\n", label);
		return;
	}
	r->list = json_object_new_array();
	put(r, key, r->list);
}

void
report_item(struct report *r, const char *text)
{
	if (!r->json) {
		fputs("    ", stdout);
		cmd_put_name(stdout, text, false);
		putchar('\n');
		return;
	}
	r->item = json_object_new_object();
	if (r->item == NULL || json_object_array_add(r->list, r->item) < 0)
		r->failed = true;
}

void
report_list_end(struct report *r)
{
	r->list = NULL;
	r->item = NULL;
}

int
report_finish(struct report *r, bool one_line)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE;
	const char *text = NULL;

	if (!r->json)
		return 0;
	if (!one_line)
		flags |= JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED;
	if (!r->failed)
		text = json_object_to_json_string_ext(r->root, flags);
	if (text != NULL) {
		cmd_write_stdout(text, strlen(text));
		putchar('\n');
	}
	json_object_put(r->root);
	return text != NULL ? 0 : -ENOMEM;
}
