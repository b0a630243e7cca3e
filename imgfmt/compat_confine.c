/*
 * A process gives up for good what it does not need any more, so that an image
 * that takes it over gains little.
 *
 * Linux: three nets, each for what the others let through.
 *	capabilities  none, so that root's process is nobody's
 *	Landlock      of all paths only the folder's can be opened or changed
 *	seccomp       only the calls below are made at all
 * Files that are open stay open.  What is refused fails with an error number:
 * a call that a newer C library would rather make falls back to an older one,
 * and work that people have not saved is not lost.
 *
 * Landlock binds one thread and those that it starts: there must be no other.
 */
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compat.h"
#include "log.h"

#if defined(__linux__)
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* -- Landlock -------------------------------------------------------------- */

/*
 * include/uapi/linux/landlock.h of Linux 6.12; Debian 12's is older.  Fields
 * that a kernel does not know must be zero.
 */
struct landlock_rules {
	uint64_t fs;    /* what is refused but where a rule allows it */
	uint64_t net;   /* since ABI 4 */
	uint64_t scope; /* since ABI 6 */
};
struct landlock_beneath {
	uint64_t allowed;
	int32_t folder;
} __attribute__((packed));

enum {
	LANDLOCK_VERSION = 1, /* flag of landlock_create_ruleset */
	LANDLOCK_BENEATH = 1, /* kind of rule */
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_REG = 1 << 8,
	FS_TRUNCATE = 1 << 14,
};

/* All that the kernel can refuse, by the version of its interface. */
static struct landlock_rules
all_rules(long abi)
{
	static const uint64_t fs[] = {0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff};
	size_t last = sizeof(fs) / sizeof(fs[0]) - 1;
	size_t i = (size_t)abi - 1 < last ? (size_t)abi - 1 : last;

	return (struct landlock_rules){
	    .fs = fs[i],
	    .net = abi >= 4 ? 3 : 0,   /* bind, connect */
	    .scope = abi >= 6 ? 3 : 0, /* abstract sockets, signals */
	};
}

static int
allow_beneath(int rules, int folder, uint64_t known)
{
	const struct landlock_beneath rule = {
	    .allowed = known &
		(FS_READ_FILE | FS_WRITE_FILE | FS_READ_DIR | FS_REMOVE_FILE |
		    FS_MAKE_REG | FS_TRUNCATE),
	    .folder = folder,
	};

	return syscall(
		   SYS_landlock_add_rule, rules, LANDLOCK_BENEATH, &rule, 0) < 0
	    ? -errno
	    : 0;
}

/* The version of the interface, or -errno. */
static int
confine_paths(int folder)
{
	long abi = syscall(
	    SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_VERSION);
	scoped(fdclosep) int fd = -1;
	struct landlock_rules rules;
	int rc = 0;

	if (abi < 0)
		return -errno;
	rules = all_rules(abi);
	fd =
	    (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
	if (fd < 0)
		return -errno;
	if (folder >= 0)
		rc = allow_beneath(fd, folder, rules.fs);
	if (rc == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		rc = -errno;
	return rc < 0 ? rc : (int)abi;
}

/* -- capabilities ---------------------------------------------------------- */

/* Root in somebody else's folder must go on being let in. */
static bool
is_strangers(int folder)
{
	struct stat st;

	return folder >= 0 && geteuid() == 0 && fstat(folder, &st) == 0 &&
	    st.st_uid != 0;
}

static int
drop_capabilities(int folder)
{
	struct __user_cap_header_struct head = {
	    .version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct keep[2] = {{0}};

	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0;
	     cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (is_strangers(folder))
		keep[0].effective = keep[0].permitted = 1u << CAP_DAC_OVERRIDE;
	return syscall(SYS_capset, &head, keep) < 0 ? -errno : 0;
}

/* -- seccomp --------------------------------------------------------------- */

/* Whatever their arguments. */
static const int calls[] = {
    /* memory */
    SCMP_SYS(brk),
    SCMP_SYS(madvise),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    /* threads and signals */
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(futex),
    SCMP_SYS(futex_time64),
    SCMP_SYS(getpid),
    SCMP_SYS(getrusage),
    SCMP_SYS(gettid),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(rt_sigtimedwait_time64),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(sigreturn),
    SCMP_SYS(wait4),
    /* files that are open, and paths as far as Landlock lets them */
    SCMP_SYS(_llseek),
    SCMP_SYS(close),
    SCMP_SYS(fallocate),
    SCMP_SYS(fcntl),
    SCMP_SYS(fcntl64),
    SCMP_SYS(fdatasync),
    SCMP_SYS(flock),
    SCMP_SYS(fstat),
    SCMP_SYS(fstat64),
    SCMP_SYS(fstatat64),
    SCMP_SYS(fstatfs),
    SCMP_SYS(fstatfs64),
    SCMP_SYS(fsync),
    SCMP_SYS(ftruncate),
    SCMP_SYS(ftruncate64),
    SCMP_SYS(getdents64),
    SCMP_SYS(lseek),
    SCMP_SYS(newfstatat),
    SCMP_SYS(openat),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(read),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(statx),
    SCMP_SYS(unlinkat),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    /* facts */
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_gettime64),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(clock_nanosleep_time64),
    SCMP_SYS(geteuid),
    SCMP_SYS(getrandom),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getuid),
    SCMP_SYS(nanosleep),
    SCMP_SYS(sysinfo),
    SCMP_SYS(time),
};

/*
 * With one argument as told.  clone3 is not among them, since its arguments
 * lie in memory where no filter sees them: C libraries then make do with
 * clone, which starts threads and no processes.
 */
static const struct {
	int call;
	struct scmp_arg_cmp arg;
} bounded[] = {
    {SCMP_SYS(clone), {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD}},
    {SCMP_SYS(mmap), {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}},
    {SCMP_SYS(mmap2), {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}},
    {SCMP_SYS(mprotect), {2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0}},
    {SCMP_SYS(prlimit64), {2, SCMP_CMP_EQ, 0, 0}},         /* reads the limit */
    {SCMP_SYS(sched_setaffinity), {0, SCMP_CMP_EQ, 0, 0}}, /* its own */
    {SCMP_SYS(sendto), {4, SCMP_CMP_EQ, 0, 0}}, /* to whom it is bound */
    {SCMP_SYS(recvfrom), {4, SCMP_CMP_EQ, 0, 0}},
};

static int
add_calls(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp self = {
	    0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0};
	/* Its own thread's priority, and that only to the least. */
	const struct scmp_arg_cmp least[] = {
	    {0, SCMP_CMP_EQ, 0, 0}, {1, SCMP_CMP_EQ, SCHED_IDLE, 0}};
	int rc = 0;

	/* What an architecture does not have is no fault: -EDOM. */
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
		if (rc < 0 && rc != -EDOM)
			return rc;
	}
	for (size_t i = 0; i < sizeof(bounded) / sizeof(bounded[0]); i++) {
		rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW,
		    bounded[i].call, 1, &bounded[i].arg);
		if (rc < 0 && rc != -EDOM)
			return rc;
	}
	rc = seccomp_rule_add_array(
	    filter, SCMP_ACT_ALLOW, SCMP_SYS(sched_setscheduler), 2, least);
	if (rc < 0)
		return rc;
	return seccomp_rule_add_array(
	    filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &self);
}

static int
confine_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int rc;

	if (filter == NULL)
		return -ENOMEM;
	/* What is refused goes to the audit log, where there is one. */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	rc = add_calls(filter);
	if (rc == 0)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	return rc;
}

/* -- all of it ------------------------------------------------------------- */

static void *
end_thread(void *arg)
{
	pthread_exit(arg);
}

/* The C library loads what ends threads when the first one is ended. */
static void
load_what_ends_threads(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, end_thread, NULL) == 0)
		(void)pthread_join(thread, NULL);
}

static void
say_missing(const char *what, int rc)
{
	if (rc < 0)
		log_debug(
		    "this process goes on without %s: %s", what, strerror(-rc));
}

unsigned
compat_confine(int folder)
{
	int privileges, paths, capabilities, filter = -EPERM;

	load_what_ends_threads();
	privileges = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
	paths = confine_paths(folder);
	capabilities = drop_capabilities(folder);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (privileges == 0)
		filter = confine_calls();
	say_missing("Landlock", paths);
	say_missing("dropping its capabilities", capabilities);
	say_missing("a filter of system calls", filter);
	return (paths < 0 ? 0 : COMPAT_CONFINED_PATHS) |
	    (capabilities < 0 ? 0 : COMPAT_CONFINED_RIGHTS) |
	    (filter < 0 ? 0 : COMPAT_CONFINED_CALLS);
}

#else /* FreeBSD */
#include <sys/capsicum.h>

/*
 * Capsicum is all in one: from here on nothing is reached but through a
 * descriptor that is open, and paths only beneath a folder's.
 */
unsigned
compat_confine(int folder)
{
	(void)folder;
	if (cap_enter() == 0)
		return COMPAT_CONFINED_PATHS | COMPAT_CONFINED_RIGHTS |
		    COMPAT_CONFINED_CALLS;
	log_debug("this process goes on without capability mode: %s",
	    strerror(errno));
	return 0;
}

#endif
