/*
 * -o: ours, the kernel's, and the defaults.  Whoever mounts gets nosuid,nodev
 * and the kernel's permission checks; root shares the mount with everybody,
 * but for fakeroot: where nobody is checked there is nobody else.
 */
#include <string.h>

#include "../imgfmt/log.h"
#include "fuse_impl.h"

/* Handed on as they are. */
static const char *const handed_on[] = {"allow_other", "allow_root",
    "auto_unmount", "default_permissions", "exec", "noexec", "noatime",
    "nodiratime", "sync", "dirsync"};

/* Accepted, and what the mount does anyway. */
static const char *const no_news[] = {"rw", "nosuid", "nodev", "atime",
    "diratime", "async", "defaults", "nogrpid", "sysvgroups"};

struct parse {
	struct mount_plan *plan;
	bool suid, dev;
	const char *own_checks, *shared; /* the word that says so, or NULL */
};

static bool
is_one_of(const char *word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(word, words[i]) == 0)
			return true;
	return false;
}

/* Append a word to the kernel's options. */
static int
tell_kernel(struct mount_plan *plan, const char *word)
{
	char *joined;

	if (asprintf(&joined, "%s%s%s",
		plan->kernel != NULL ? plan->kernel : "",
		plan->kernel != NULL ? "," : "", word) < 0)
		return -ENOMEM;
	free(plan->kernel);
	plan->kernel = joined;
	return 0;
}

/* A number with one of k M G T behind it. */
static int
parse_size(const char *text, uint64_t *out)
{
	static const char units[] = "kmgt";
	char *end;
	unsigned long long n = strtoull(text, &end, 10);
	const char *unit = *end != '\0' ? strchr(units, *end | 0x20) : NULL;
	unsigned shift = unit != NULL ? 10 * (unsigned)(unit - units + 1) : 0;

	if (end == text || text[0] == '-' || (*end != '\0' && unit == NULL) ||
	    (unit != NULL && end[1] != '\0') || n > (UINT64_MAX >> shift)) {
		log_error("'size=%s' is no size", text);
		return -EINVAL;
	}
	*out = (uint64_t)n << shift;
	return 0;
}

/* Options that mean something to us: 1, not ours: 0. */
static int
parse_own(struct parse *p, const char *word)
{
	struct mount_plan *plan = p->plan;

	if (strcmp(word, "ro") == 0)
		plan->read_only = true;
	else if (strcmp(word, "fakeroot") == 0)
		plan->fakeroot = true;
	else if (strcmp(word, "grpid") == 0 || strcmp(word, "bsdgroups") == 0)
		plan->grpid = true;
	else if (strcmp(word, "noflags") == 0)
		plan->no_flags = true;
	else if (strcmp(word, "suid") == 0)
		p->suid = true;
	else if (strcmp(word, "dev") == 0)
		p->dev = true;
	else
		return 0;
	return 1;
}

static int
parse_word(struct parse *p, const char *word)
{
	struct mount_plan *plan = p->plan;

	if (word[0] == '\0' || parse_own(p, word) > 0 ||
	    is_one_of(word, no_news, sizeof(no_news) / sizeof(no_news[0])))
		return 0;
	if (strncmp(word, "size=", 5) == 0)
		return parse_size(word + 5, &plan->size_limit);
	if (strcmp(word, "default_permissions") == 0)
		p->own_checks = word;
	if (strncmp(word, "allow_", 6) == 0)
		p->shared = word;
	if (is_one_of(
		word, handed_on, sizeof(handed_on) / sizeof(handed_on[0])))
		return tell_kernel(plan, word);
	log_error("unknown mount option '%s'", word);
	return -EINVAL;
}

/* fusermount3 leaves both out, without a word. */
static void
warn_of_root(const struct parse *p)
{
	if (geteuid() != 0 && (p->suid || p->dev))
		log_warn("suid and dev are root's to give: the mount is "
			 "nosuid,nodev");
}

static int
add_defaults(struct parse *p)
{
	struct mount_plan *plan = p->plan;
	int rc = 0;

	if (plan->read_only)
		rc = tell_kernel(plan, "ro");
	if (rc == 0)
		rc = tell_kernel(plan, p->suid ? "suid" : "nosuid");
	if (rc == 0)
		rc = tell_kernel(plan, p->dev ? "dev" : "nodev");
	if (plan->fakeroot)
		return rc;
	if (rc == 0 && geteuid() == 0 && p->shared == NULL)
		rc = tell_kernel(plan, "allow_other");
	if (rc == 0 && p->own_checks == NULL)
		rc = tell_kernel(plan, "default_permissions");
	return rc;
}

/*
 * Also allow_root: what the kernel has cached it hands to everybody then, as
 * libfuse, which is to refuse others, is not asked.
 */
static int
check_fakeroot(const struct parse *p)
{
	const char *other = p->own_checks != NULL ? p->own_checks : p->shared;

	if (!p->plan->fakeroot || other == NULL)
		return 0;
	log_error("fakeroot and %s exclude each other", other);
	return -EINVAL;
}

int
mount_plan_make(const struct mount_options *options, struct mount_plan *out)
{
	scoped(freep) char *words =
	    strdup(options->options != NULL ? options->options : "");
	struct parse p = {.plan = out};
	char *rest = words, *word;
	int rc = words == NULL ? -ENOMEM : 0;

	*out = (struct mount_plan){.read_only = options->read_only};
	while (rc == 0 && (word = strsep(&rest, ",")) != NULL)
		rc = parse_word(&p, word);
	if (rc == 0)
		rc = check_fakeroot(&p);
	if (rc == 0) {
		warn_of_root(&p);
		rc = add_defaults(&p);
	}
	if (rc < 0)
		mount_plan_release(out);
	return rc;
}

void
mount_plan_release(struct mount_plan *plan)
{
	free(plan->kernel);
	*plan = (struct mount_plan){0};
}
