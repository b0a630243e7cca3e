/* What kernel modules say about themselves, on every kind of machine. */
#include "../../mkimage/kmod.h"

#include "kmod_kit.h"
#include "tree_kit.h"

/* How FreeBSD makes modules: amd64's are relocatable, the others linked. */
static const struct {
	const char *name, *command;
} ways[] = {
    {"relocatable, 64 bits", "cc -c -o $TO $SOURCE"},
    {"without debug symbols",
	"cc -g -c -o $TO $SOURCE && strip --strip-debug $TO"},
    {"sections for all data", "cc -c -fdata-sections -o $TO $SOURCE"},
    {"joined of parts, as amd64's",
	"cc -c -o $TO.o $SOURCE && ld -r -d -o $TO $TO.o"},
    {"joined by lld",
	"clang --target=x86_64-freebsd13 -c -o $TO.o $SOURCE && "
	"ld.lld -r -o $TO $TO.o && llvm-objcopy --strip-debug $TO"},
    {"linked, 64 bits", "cc -shared -fPIC -o $TO $SOURCE"},
    {"linked and stripped",
	"cc -shared -fPIC -o $TO $SOURCE && strip --strip-all $TO"},
    {"at fixed addresses, as a kernel",
	"cc -static -nostdlib -no-pie -Wl,-e,work -o $TO $SOURCE"},
    {"i386, relocatable", "clang --target=i386-freebsd13 -c -o $TO $SOURCE"},
    {"powerpc64, relocatable",
	"clang --target=powerpc64-freebsd13 -c -o $TO $SOURCE"},
    {"i386, linked",
	"clang --target=i386-freebsd13 -fPIC -c -o $TO.o $SOURCE && "
	"ld.lld -shared -o $TO $TO.o"},
    {"arm, linked",
	"clang --target=armv7-freebsd13 -fPIC -c -o $TO.o $SOURCE && "
	"ld.lld -shared -o $TO $TO.o"},
    {"aarch64, linked",
	"clang --target=aarch64-freebsd13 -fPIC -c -o $TO.o $SOURCE && "
	"ld.lld -shared -o $TO $TO.o"},
    {"aarch64, symbols bound in the end",
	"clang --target=aarch64-freebsd13 -fPIC -c -o $TO.o $SOURCE && "
	"ld.lld -shared --apply-dynamic-relocs -s -o $TO $TO.o"},
    {"riscv64, linked",
	"clang --target=riscv64-freebsd13 -fPIC -c -o $TO.o $SOURCE && "
	"ld.lld -shared -o $TO $TO.o"},
    {"powerpc64, linked",
	"clang --target=powerpc64-freebsd13 -fPIC -c -o $TO.o $SOURCE && "
	"ld.lld -shared -o $TO $TO.o"},
};

static const char geom_uzip[] =
    "MODULE(g_uzip); DEPEND(kernel, 1302001, 1302001, 1399999);\n"
    "VERSION(geom_uzip, 7); DEPEND(zlib, 1, 1, 1); PNP(pci);\n"
    "DEPEND(xz, 1, 2, 3);\n";

/* Whether k has exactly one such record. */
static bool
has(const struct kmod *k, enum kmod_kind kind, const char *name, int least,
    int preferred, int most)
{
	int n = 0;

	for (size_t i = 0; i < k->n; i++) {
		const struct kmod_record *r = &k->records[i];

		n += r->kind == kind && strcmp(r->name, name) == 0 &&
		    r->least == least && r->preferred == preferred &&
		    r->most == most;
	}
	return n == 1;
}

static bool
is_geom_uzip(const struct kmod *k)
{
	return k->n == 5 && has(k, KMOD_MODULE, "g_uzip", 0, 0, 0) &&
	    has(k, KMOD_VERSION, "geom_uzip", 7, 7, 7) &&
	    has(k, KMOD_DEPEND, "kernel", 1302001, 1302001, 1399999) &&
	    has(k, KMOD_DEPEND, "zlib", 1, 1, 1) &&
	    has(k, KMOD_DEPEND, "xz", 1, 2, 3);
}

static bool
has_tool(const char *command)
{
	if (strncmp(command, "cc ", 3) == 0)
		return true;
	if (system("command -v clang >/dev/null") != 0)
		return false;
	return strstr(command, "ld.lld") == NULL ||
	    system("command -v ld.lld >/dev/null") == 0;
}

static void
every_machine_s_modules_are_read(void)
{
	const char *dir = kit_enter();
	char path[256];
	int made = 0;

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		size_t len = 0;
		char *image;
		struct kmod k;

		if (!has_tool(ways[i].command)) {
			printf("# not tried: %s\n", ways[i].name);
			continue;
		}
		snprintf(path, sizeof(path), "%s/%zu.ko", dir, i);
		CHECK(kmod_compile(ways[i].command, geom_uzip, path));
		image = kmod_load(path, &len);
		CHECK(image != NULL);
		CHECK_EQ(kmod_read(image, len, &k), 0);
		if (!is_geom_uzip(&k)) {
			printf("# %s: %zu records\n", ways[i].name, k.n);
			CHECK(false);
		}
		kmod_release(&k);
		free(image);
		made++;
	}
	CHECK(made >= 6);
	kit_leave(dir);
}

static void
what_is_no_module_says_nothing(void)
{
	static char texts[][32] = {"", "\177ELF", "\177ELF\2\1\1",
	    "#!/bin/sh\n", "\x1f\x8b\x08 compressed"};
	const char *dir = kit_enter();
	char path[256];
	size_t len = 0;
	char *image;
	struct kmod k;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		CHECK_EQ(kmod_read(texts[i], strlen(texts[i]), &k), 0);
		CHECK_EQ(k.n, 0);
		kmod_release(&k);
	}
	snprintf(path, sizeof(path), "%s/none.o", dir);
	CHECK(kmod_compile("cc -c -o $TO $SOURCE", "", path));
	image = kmod_load(path, &len);
	CHECK_EQ(kmod_read(image, len, &k), 0);
	CHECK_EQ(k.n, 0);
	kmod_release(&k);
	free(image);
	kit_leave(dir);
}

/* A module made in one way, and its bytes. */
static char *
module(const char *command, size_t *len)
{
	const char *dir = kit_enter();
	char path[256];
	char *image = NULL;

	snprintf(path, sizeof(path), "%s/m.ko", dir);
	if (kmod_compile(command, geom_uzip, path))
		image = kmod_load(path, len);
	CHECK(image != NULL);
	kit_leave(dir);
	return image;
}

/* Read a copy that is just as long, so that reading beyond it shows. */
static int
read_exactly(const char *image, size_t len, struct kmod *k)
{
	char *copy = malloc(len > 0 ? len : 1);
	int rc;

	CHECK(copy != NULL);
	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, image, len);
	rc = kmod_read(copy, len, k);
	CHECK(memcmp(copy, image, len) == 0);
	free(copy);
	return rc;
}

static void
damaged_and_cut_modules_are_survived(void)
{
	static const char *const made[] = {
	    "cc -c -o $TO $SOURCE", "cc -shared -fPIC -s -o $TO $SOURCE"};
	unsigned bad = 0, fine = 0;

	for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++) {
		size_t len = 0;
		char *image = module(made[i], &len);
		struct kmod k;

		for (size_t n = 0; image != NULL && n < len; n += 7) {
			int rc = read_exactly(image, n, &k);

			CHECK(rc == 0 || rc == -ECORRUPT);
			kmod_release(&k);
		}
		for (size_t n = 0; image != NULL && n < len; n++) {
			char was = image[n];
			int rc;

			image[n] = (char)(was ^ (n % 3 == 0 ? 0xff : 0x41));
			rc = read_exactly(image, len, &k);
			CHECK(rc == 0 || rc == -ECORRUPT || rc == -EOPNOTSUPP);
			bad += rc < 0;
			fine += rc == 0 && is_geom_uzip(&k);
			kmod_release(&k);
			image[n] = was;
		}
		free(image);
	}
	printf("# %u damages found, %u of no matter\n", bad, fine);
	CHECK(bad > 0 && fine > 0);
}

static void
a_name_without_an_end_is_refused(void)
{
	const char *dir = kit_enter();
	char path[256], text[512];
	size_t len = 0;
	char *image;
	struct kmod k;

	snprintf(path, sizeof(path), "%s/long.ko", dir);
	snprintf(text, sizeof(text),
	    "static const char longname[] = \"%0256d\";\n"
	    "RECORD(x, 2, 0, longname);\n",
	    0);
	CHECK(kmod_compile("cc -c -o $TO $SOURCE", text, path));
	image = kmod_load(path, &len);
	CHECK_EQ(kmod_read(image, len, &k), -ECORRUPT);
	CHECK_EQ(k.n, 0);
	kmod_release(&k);
	free(image);
	kit_leave(dir);
}

static void
an_unknown_machine_is_told_from_damage(void)
{
	size_t len = 0;
	char *image = module("cc -c -o $TO $SOURCE", &len);
	struct kmod k;

	if (image == NULL)
		return;
	image[18] = 8; /* e_machine: MIPS */
	image[19] = 0;
	CHECK_EQ(kmod_read(image, len, &k), -EOPNOTSUPP);
	kmod_release(&k);
	free(image);
}

#define T(f) \
	{ \
#f, f \
	}
TESTS(T(every_machine_s_modules_are_read), T(what_is_no_module_says_nothing),
    T(damaged_and_cut_modules_are_survived),
    T(a_name_without_an_end_is_refused),
    T(an_unknown_machine_is_told_from_damage))
