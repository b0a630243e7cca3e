/* `relive info`: the file system and the session. */
#include "info.h"

#include <string.h>
#include <time.h>

#include "cmd.h"

static void
put_time(struct report *r, const char *key, const char *label, int64_t when)
{
	time_t t = (time_t)when;
	char text[40];
	struct tm tm;

	if (gmtime_r(&t, &tm) != NULL &&
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
		report_text(r, key, label, text);
}

static void
put_state(struct report *r, const struct ufs_info *i)
{
	report_bool(r, "clean", NULL, i->clean);
	report_text(r, NULL, "state", i->clean ? "clean" : "not clean");
	report_bool(r, "soft_updates", "soft updates", i->softdep);
	report_bool(r, "journal", "soft-updates journal", i->suj);
	report_bool(r, "snapshots", "snapshots", i->snapshots);
	report_bool(r, "check_hashes", "check hashes", i->metackhash != 0);
	report_number(r, "flags", NULL, i->flags);
	report_bool(r, "writable", NULL, i->read_only_why == NULL);
	if (i->read_only_why != NULL)
		report_text(
		    r, "read_only_why", "read-only, for", i->read_only_why);
}

static void
put_space(struct report *r, const struct ufs_info *i)
{
	uint64_t used = i->inodes - i->free_inodes;

	report_bytes(r, "size", "size", i->size);
	report_bytes(r, "block_size", "block size", i->block_size);
	report_bytes(r, "fragment_size", "fragment size", i->frag_size);
	report_bytes(r, "free", "free", i->free);
	report_number(r, "minfree_percent", NULL, i->minfree);
	report_number(r, "files", "files",
	    used > i->directories ? used - i->directories : 0);
	report_number(r, "directories", "directories", i->directories);
	report_number(r, "free_inodes", "free inodes", i->free_inodes);
	report_number(r, "groups", NULL, i->ncg);
	report_number(r, "superblock", NULL, i->superblock_off);
}

void
info_ufs(struct report *r, struct view *v, const char *title)
{
	struct ufs_info i;
	char text[256];

	ufs_info(v->fs, &i);
	snprintf(text, sizeof(text), "%s%sUFS%d%s file system", title,
	    *title != '\0' ? ": " : "", i.version,
	    i.big_endian ? " (big-endian)" : "");
	report_layer(r, "ufs", text);
	report_number(r, "version", NULL, (uint64_t)i.version);
	report_bool(r, "big_endian", NULL, i.big_endian);
	if (i.label[0] != '\0')
		report_text(r, "label", "label", i.label);
	snprintf(text, sizeof(text), "%08x%08x", i.id[0], i.id[1]);
	report_text(r, "id", NULL, text);
	put_space(r, &i);
	put_state(r, &i);
	put_time(r, "time", "last written", i.time);
	if (info_release(v, text, sizeof(text)) == 1)
		report_text(r, "release", "system", text);
	info_boot(r, v);
}

void
info_session(struct report *r, const struct session *s)
{
	struct overlay_info i;
	char text[64];

	if (s->overlay == NULL)
		return;
	overlay_info(s->overlay, &i);
	snprintf(text, sizeof(text), "session");
	report_layer(r, "session", text);
	report_text(r, "folder", "folder", s->dir);
	report_bytes(r, "changed", "changed", i.changed_bytes);
	report_bytes(r, "trimmed", "freed", i.trimmed_bytes);
	report_bytes(r, "file_bytes", "overlay file", i.file_bytes);
	report_number(r, "transactions", NULL, i.transactions);
}
