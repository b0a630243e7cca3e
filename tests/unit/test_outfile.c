#include "../../mkimage/outfile.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../../imgfmt/log.h"
#include "check.h"

static char dir[] = "/tmp/relive-outfile.XXXXXX";

static void
quiet(enum log_level level, const char *line)
{
	(void)level;
	(void)line;
}

static int
files_in_dir(void)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int n = 0;

	if (d == NULL)
		return -1;
	while ((e = readdir(d)) != NULL)
		n +=
		    strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n;
}

static const char *
in_dir(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static struct outfile *
start(const char *name, const char *text)
{
	struct outfile *o = NULL;

	CHECK_EQ(outfile_create(in_dir(name), &o), 0);
	if (o == NULL)
		return NULL;
	CHECK_EQ(blkdev_resize(outfile_dev(o), strlen(text)), 0);
	CHECK_EQ(blkdev_write(outfile_dev(o), 0, text, strlen(text)), 0);
	return o;
}

static void
file_appears_only_when_committed(void)
{
	struct outfile *o = start("a", "hello");
	struct stat st;

	CHECK(stat(in_dir("a"), &st) < 0);
	CHECK_EQ(outfile_commit(o), 0);
	CHECK_EQ(stat(in_dir("a"), &st), 0);
	CHECK_EQ(st.st_size, 5);
	CHECK_EQ(files_in_dir(), 1);
	CHECK_EQ(unlink(in_dir("a")), 0);
}

static void
abort_keeps_what_was_there(void)
{
	struct stat st;

	CHECK_EQ(outfile_commit(start("a", "old")), 0);
	outfile_abort(start("a", "something new"));
	CHECK_EQ(stat(in_dir("a"), &st), 0);
	CHECK_EQ(st.st_size, 3);
	CHECK_EQ(files_in_dir(), 1);
	CHECK_EQ(unlink(in_dir("a")), 0);
}

static void
existing_file_keeps_its_mode_and_links_are_followed(void)
{
	char target[256];
	struct stat st;

	CHECK_EQ(outfile_commit(start("a", "old")), 0);
	CHECK_EQ(chmod(in_dir("a"), 0640), 0);
	snprintf(target, sizeof(target), "%s", in_dir("a"));
	CHECK_EQ(symlink(target, in_dir("link")), 0);
	CHECK_EQ(outfile_commit(start("link", "newer")), 0);
	CHECK_EQ(stat(target, &st), 0);
	CHECK_EQ(st.st_size, 5);
	CHECK_EQ(st.st_mode & 0777, 0640);
	CHECK_EQ(lstat(in_dir("link"), &st), 0);
	CHECK(S_ISLNK(st.st_mode));
	CHECK_EQ(unlink(in_dir("link")), 0);
	CHECK_EQ(unlink(target), 0);
}

static void
what_is_no_regular_file_is_never_replaced(void)
{
	struct outfile *o = NULL;

	CHECK_EQ(mkfifo(in_dir("fifo"), 0600), 0);
	CHECK_EQ(outfile_create(in_dir("fifo"), &o), -EINVAL);
	CHECK_EQ(outfile_create("/dev/null", &o), -EINVAL);
	CHECK_EQ(outfile_create(dir, &o), -EISDIR);
	CHECK_EQ(outfile_create(in_dir("no/such"), &o), -ENOENT);
	CHECK_EQ(unlink(in_dir("fifo")), 0);
	CHECK_EQ(files_in_dir(), 0);
}

static void
input_is_recognised_under_another_name(void)
{
	char first[256];

	CHECK_EQ(outfile_commit(start("a", "x")), 0);
	snprintf(first, sizeof(first), "%s", in_dir("a"));
	CHECK_EQ(link(first, in_dir("b")), 0);
	CHECK_EQ(outfile_not_input(first, in_dir("b")), -EINVAL);
	CHECK_EQ(outfile_not_input(first, in_dir("none")), 0);
	CHECK_EQ(unlink(in_dir("b")), 0);
	CHECK_EQ(unlink(first), 0);
}

/* In a child, since the flag never goes back. */
static int
status_of_interrupted_child(int nsignals)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		struct outfile *o = start("a", "x");

		for (int i = 0; i < nsignals; i++)
			(void)raise(SIGINT);
		_exit(!(interrupted() && outfile_commit(o) == -EINTR));
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

static void
interrupt_leaves_nothing_behind(void)
{
	CHECK_EQ(status_of_interrupted_child(1), 0);
	CHECK_EQ(files_in_dir(), 0);
}

static void
second_interrupt_ends_at_once_and_leaves_nothing(void)
{
	int status = status_of_interrupted_child(2);

	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
	CHECK_EQ(files_in_dir(), 0);
}

static const struct test tests[] = {
    {"file appears only when committed", file_appears_only_when_committed},
    {"abort keeps what was there", abort_keeps_what_was_there},
    {"existing file keeps its mode, links are followed",
	existing_file_keeps_its_mode_and_links_are_followed},
    {"what is no regular file is never replaced",
	what_is_no_regular_file_is_never_replaced},
    {"input is recognised under another name",
	input_is_recognised_under_another_name},
    {"interrupt leaves nothing behind", interrupt_leaves_nothing_behind},
    {"second interrupt ends at once and leaves nothing",
	second_interrupt_ends_at_once_and_leaves_nothing},
};

int
main(void)
{
	int rc;

	log_set_sink(quiet);
	if (mkdtemp(dir) == NULL)
		return 1;
	rc = check_run(tests, sizeof(tests) / sizeof(*tests));
	(void)rmdir(dir);
	return rc;
}
