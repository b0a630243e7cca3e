/* Sessions of gzipped images that are none, or damaged. */
#include "../../fusefs/session.h"
#include "image_kit.h"

/* A thousand times its size, for nothing. */
static void
a_gz_of_no_image_is_not_inflated(void)
{
	const struct session_options options = {.mode = SESSION_WRITE};
	struct session *session;

	kit_begin();
	CHECK_EQ(kit_sh("head -c 30M /dev/zero | gzip >bomb.gz"), 0);
	CHECK_EQ(
	    session_open(kit_path("bomb.gz"), &options, &session), -EINVAL);
	CHECK(strstr(kit_said, "no kind") != NULL);
	CHECK_EQ(kit_lines, 1);
	CHECK_EQ(kit_sh("test ! -e bomb.gz.relive"), 0);
}

static void
a_gz_that_cannot_be_opened_leaves_no_folder(void)
{
	const struct session_options options = {.mode = SESSION_WRITE};
	struct session *session;

	kit_begin();
	kit_ufs("u", "gz");
	CHECK_EQ(kit_sh("head -c 100k u | gzip >cut.gz"), 0);
	CHECK(session_open(kit_path("cut.gz"), &options, &session) < 0);
	CHECK_EQ(kit_sh("test ! -e cut.gz.relive"), 0);
}

TESTS({"a .gz of no image is not inflated", a_gz_of_no_image_is_not_inflated},
    {"a .gz that cannot be opened leaves no folder",
	a_gz_that_cannot_be_opened_leaves_no_folder})
