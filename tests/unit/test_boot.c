#include "../../mkimage/boot.h"
#include "check.h"

/* Whether text is found in console, fed in pieces of step bytes. */
static bool
finds(const char *text, const char *console, size_t step)
{
	struct expect e;
	size_t n = strlen(console);

	expect_init(&e, text);
	for (size_t i = 0; i < n; i += step)
		expect_feed(&e, console + i, n - i < step ? n - i : step);
	return e.found;
}

static void
text_is_found_however_it_arrives(void)
{
	static const struct {
		const char *text, *console;
		bool found;
	} cases[] = {
	    {"login:", "FreeBSD/amd64 (live) (ttyu0)\r\n\r\nlogin: ", true},
	    {"login:", "logi", false},
	    {"aab", "aaaab", true},
	    {"abab", "ababab", true},
	    /* colours, cursor positions, a charset, a title, a DCS string */
	    {"Shell>", "\033[08;01H\033[1m\033[33mShe\033[0;40mll> ", true},
	    {"login:", "log\033(Bin\033[?25l:", true},
	    {"login:", "log\033]0;a title\ain:", true},
	    {"login:", "log\033]0;a title\033\\in:", true},
	    {"login:", "log\033P1$r0m\033\\in:", true},
	    {"login:", "log\033cin:", true},
	    {"title", "\033]0;a title\a", false},
	    {"08", "\033[08;01H", false},
	    /* what a spinner leaves */
	    {"kernel ok", "kernel |\b/\b-\b\\\b \bok", true},
	    {"a\nb", "a\r\nb", true},
	    {"b", "\bb", true},
	    /* a sequence without an end swallows nothing but its line */
	    {"login:", "\033]junk\nlogin:", true},
	    {"login:", "\033[1;\nlogin:", true},
	    {"login:", "\033]junk\033[1mlogin:", true},
	    {"login:", "\033\033[1mlogin:", true},
	    {"login:", "lo\001\177gin:", true},
	    {"gr\303\274n", "gr\303\274n", true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (size_t step = 1; step < 40; step++) {
			printf("# case %zu, pieces of %zu\n", i, step);
			CHECK_EQ(finds(cases[i].text, cases[i].console, step),
			    cases[i].found);
		}
}

static void
zero_bytes_are_noise(void)
{
	struct expect e;

	expect_init(&e, "login:");
	expect_feed(&e, "\033\0log\0in:", 10);
	CHECK(e.found);
}

static void
long_console_is_searched_to_its_end(void)
{
	static char text[EXPECT_TEXT_MAX + 1];
	struct expect e;

	memset(text, 'x', EXPECT_TEXT_MAX - 1);
	text[EXPECT_TEXT_MAX - 1] = '!';
	/* the text lies across every place where the tail is moved */
	for (size_t before = 0; before < 2 * EXPECT_TAIL; before += 97) {
		expect_init(&e, text);
		for (size_t i = 0; i < before; i++)
			expect_feed(&e, "-", 1);
		CHECK(!e.found);
		expect_feed(&e, text, EXPECT_TEXT_MAX - 1);
		CHECK(!e.found);
		expect_feed(&e, "!", 1);
		CHECK(e.found);
	}
}

static void
last_lines_are_the_last_that_show_something(void)
{
	struct expect e;
	char line[32];

	expect_init(&e, NULL);
	CHECK(strcmp(expect_last_lines(&e, 3), "") == 0);
	for (int i = 0; i < 2000; i++) {
		int n = snprintf(line, sizeof(line), "line %d\r\n \r\n\n", i);

		expect_feed(&e, line, (size_t)n);
	}
	CHECK(strcmp(expect_last_lines(&e, 2), "line 1998\nline 1999") == 0);
	expect_feed(&e, "\nmounting\033[0m root", 18);
	CHECK(
	    strcmp(expect_last_lines(&e, 2), "line 1999\nmounting root") == 0);
	CHECK(!e.found);
}

/* Emulated, our guest must answer; under an accelerator nobody has, not. */
static void
probe_tells_whether_a_guest_answers(void)
{
	struct boot_argv qemu = {0};

	if (boot_find_qemu(&qemu) < 0)
		SKIP("no QEMU");
	CHECK_EQ(boot_answers(qemu.argv[0], "tcg"), 1);
	CHECK_EQ(boot_answers(qemu.argv[0], "nosuch"), 0);
	CHECK_EQ(boot_answers("/bin/true", "tcg"), 0);
	CHECK_EQ(boot_answers("/nonexistent", "tcg"), 0);
	boot_argv_release(&qemu);
}

/* Where pattern is in the arguments, or NULL. */
static const char *
argument(const struct boot_argv *args, const char *pattern)
{
	for (size_t i = 0; i < args->n; i++)
		if (strstr(args->argv[i], pattern) != NULL)
			return args->argv[i];
	return NULL;
}

static void
image_is_never_writable_to_qemu(void)
{
	static const enum boot_medium media[] = {BOOT_CD, BOOT_DISK, BOOT_USB};
	char extra[] = "-snapshot";
	char *const list[] = {extra, NULL};

	for (size_t i = 0; i < 3; i++) {
		struct boot_options options = {.path = "/a,b/live.iso",
		    .medium = media[i],
		    .memory = 256 << 20,
		    .extra = list};
		struct boot_argv args = {0};
		const char *drive;

		CHECK_EQ(boot_describe(&options, BOOT_TCG, &args), 0);
		drive = argument(&args, "live.iso");
		CHECK(drive != NULL &&
		    strstr(drive, "file=/a,,b/live.iso") != NULL &&
		    (strstr(drive, "readonly=on") != NULL ||
			strstr(drive, "snapshot=on") != NULL));
		CHECK(argument(&args, "256M") != NULL);
		CHECK(argument(&args, "nic") == NULL);
		CHECK(argument(&args, "kvm") == NULL);
		CHECK(strcmp(args.argv[args.n - 1], extra) == 0);
		boot_argv_release(&args);
	}
}

#define T(f) \
	{ \
#f, f \
	}
TESTS(T(text_is_found_however_it_arrives), T(zero_bytes_are_noise),
    T(long_console_is_searched_to_its_end),
    T(last_lines_are_the_last_that_show_something),
    T(probe_tells_whether_a_guest_answers), T(image_is_never_writable_to_qemu))
