#include "../../mkimage/cmd.h"
#include "check.h"

static void
sizes_are_read_with_their_units(void)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t size;
	} cases[] = {
	    {"0", 0, 0},
	    {"512", 0, 512},
	    {"16k", 0, 16384},
	    {"512M", 0, 512ull << 20},
	    {"4G", 0, 4ull << 30},
	    {"1TiB", 0, 1ull << 40},
	    {"2MB", 0, 2 << 20},
	    {"", -EINVAL, 0},
	    {"-1", -EINVAL, 0},
	    {" 1", -EINVAL, 0},
	    {"1x", -EINVAL, 0},
	    {"1kk", -EINVAL, 0},
	    {"18446744073709551616", -ERANGE, 0},
	    {"16777216T", -ERANGE, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t size = 0;

		printf("# '%s'\n", cases[i].text);
		CHECK_EQ(cmd_parse_size(cases[i].text, &size), cases[i].rc);
		CHECK_EQ(size, cases[i].size);
	}
}

static void
numbers_outside_their_range_are_refused(void)
{
	long n = 0;

	CHECK_EQ(cmd_parse_number("12", 1, 12, &n), 0);
	CHECK_EQ(n, 12);
	CHECK_EQ(cmd_parse_number("13", 1, 12, &n), -ERANGE);
	CHECK_EQ(cmd_parse_number("0", 1, 12, &n), -ERANGE);
	CHECK_EQ(cmd_parse_number("", 1, 12, &n), -EINVAL);
	CHECK_EQ(cmd_parse_number(" 2", 1, 12, &n), -EINVAL);
	CHECK_EQ(cmd_parse_number("2 ", 1, 12, &n), -EINVAL);
}

static void
bytes_are_shown_for_people(void)
{
	char buf[32];

	CHECK(strcmp(cmd_bytes(buf, sizeof(buf), 999), "999 bytes") == 0);
	CHECK(strcmp(cmd_bytes(buf, sizeof(buf), 1000), "1.0 kB") == 0);
	CHECK(strcmp(cmd_bytes(buf, sizeof(buf), 999600), "1.0 MB") == 0);
	CHECK(strcmp(cmd_bytes(buf, sizeof(buf), 64000000000), "64 GB") == 0);
	CHECK(strcmp(cmd_bytes(buf, sizeof(buf), UINT64_MAX), "18 EB") == 0);
}

static void
a_typo_finds_its_command(void)
{
	static const char *const names[] = {"mount", "umount", "commit", "ls"};

	CHECK_EQ(cmd_nearest("comit", names, 4), 2);
	CHECK_EQ(cmd_nearest("mout", names, 4), 0);
	CHECK_EQ(cmd_nearest("unmount", names, 4), 1);
	CHECK_EQ(cmd_nearest("l", names, 4), 3);
	CHECK_EQ(cmd_nearest("frobnicate", names, 4), -1);
	CHECK_EQ(cmd_nearest("xy", names, 4), -1);
}

static void
names_cannot_steer_a_terminal(void)
{
	char buf[64] = "";
	FILE *f = fmemopen(buf, sizeof(buf), "w");

	CHECK(f != NULL);
	if (f == NULL)
		return;
	cmd_put_name(f, "a\033[2Jb\\\n\303\274", false);
	fclose(f);
	CHECK(strcmp(buf, "a\\033[2Jb\\134\\012\303\274") == 0);
}

TESTS({"sizes are read with their units", sizes_are_read_with_their_units},
    {"numbers outside their range are refused",
	numbers_outside_their_range_are_refused},
    {"bytes are shown for people", bytes_are_shown_for_people},
    {"a typo finds its command", a_typo_finds_its_command},
    {"names cannot steer a terminal", names_cannot_steer_a_terminal})
