"""Calls, and what is seen of them: for the groups of posix.py."""
import contextlib
import ctypes
import errno
import os
import socket
import stat
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
UFS1 = 'ufs1' in sys.argv[3:]  # no late times, no attributes
OLDER = 'older' in sys.argv[3:]  # the kernel takes set-id bits off
NOBODY, OTHER = 65534, 65533
TYPES = ['regular', 'dir', 'fifo', 'block', 'char', 'socket', 'symlink']
COARSE = 5  # the clock by which Linux stamps files
groups = []


def group(f):
    """Decorate what yields a group's questions and answers."""
    groups.append(f)
    return f


def ask(f, *args, **kwargs):
    """What a call answers: its result, or the name of its error."""
    try:
        out = f(*args, **kwargs)
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))
    return 0 if out is None else out


def raw(name, *args):
    """A call of the C library with arguments that Python would refuse."""
    if getattr(libc, name)(*args) < 0:
        raise OSError(ctypes.get_errno(), name)


def open_close(path, flags=os.O_RDONLY, mode=0o644):
    os.close(os.open(path, flags | os.O_NONBLOCK, mode))


def utimens(path, atime, mtime, flags=0):
    """utimensat(2) with times of (seconds, nanoseconds)."""
    times = (ctypes.c_long * 4)(*atime, *mtime)
    raw('utimensat', -100, path.encode(), times, flags)


def bind(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)


def make(kind, path, owner=None, mode=None):
    if kind == 'regular':
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    elif kind == 'dir':
        os.mkdir(path, 0o755)
    elif kind == 'fifo':
        os.mkfifo(path, 0o644)
    elif kind == 'block':
        os.mknod(path, stat.S_IFBLK | 0o644, os.makedev(1, 2))
    elif kind == 'char':
        os.mknod(path, stat.S_IFCHR | 0o644, os.makedev(1, 2))
    elif kind == 'socket':
        bind(path)
    elif kind == 'symlink':
        os.symlink('test', path)
    if mode is not None and kind != 'symlink':
        os.chmod(path, mode)
    if owner is not None and kind != 'none':
        os.lchown(path, owner, owner)


def drop(*paths):
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISDIR(os.lstat(path).st_mode):
                drop(*(f'{path}/{name}' for name in os.listdir(path)))
                os.rmdir(path)
            else:
                os.unlink(path)


@contextlib.contextmanager
def user(uid, gid=None, more=()):
    os.setgroups(more)
    os.setegid(uid if gid is None else gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups([])


def facts(path):
    st = os.lstat(path)
    return (oct(st.st_mode), st.st_uid, st.st_gid, st.st_nlink, st.st_rdev,
            None if stat.S_ISDIR(st.st_mode) else st.st_size)


def tree(top='.'):
    """All there is below, except where names are very long."""
    out = []
    for name in sorted(os.listdir(top)):
        path = f'{top}/{name}'
        out.append((name, facts(path), ask(os.readlink, path)))
        if out[-1][1][0].startswith('0o4'):
            out += tree(path)
    return out


def tick():
    """Let the clock by which file systems stamp go on."""
    start = time.clock_gettime_ns(COARSE)
    while time.clock_gettime_ns(COARSE) == start:
        time.sleep(0)


def stamps(path):
    try:
        st = os.lstat(path)
    except OSError as e:
        return errno.errorcode[e.errno]
    return {'m': st.st_mtime_ns, 'c': st.st_ctime_ns}


def moved(paths, f, *args, **kwargs):
    """What f answers and which times of the paths it moves."""
    before = {path: stamps(path) for path in paths}
    tick()
    out = [ask(f, *args, **kwargs)]
    for path in paths:
        was, now = before[path], stamps(path)
        if isinstance(was, dict) and isinstance(now, dict):
            out.append((path, [k for k in was if was[k] != now[k]]))
        else:
            out.append((path, isinstance(was, dict), isinstance(now, dict)))
    return out


def put(path, data, flags=os.O_WRONLY, at=0):
    fd = os.open(path, flags)
    try:
        os.pwrite(fd, data, at)
    finally:
        os.close(fd)


def get(path, size, at=0):
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.pread(fd, size, at)
    finally:
        os.close(fd)


def allocate(path, mode, off, size):
    fd = os.open(path, os.O_RDWR)
    try:
        raw('fallocate', fd, mode, ctypes.c_long(off), ctypes.c_long(size))
    finally:
        os.close(fd)


def answers_in(top, f):
    where = f'{top}/{f.__name__}'
    os.makedirs(f'{where}/in')
    for path in (where, f'{where}/in'):
        os.chmod(path, 0o755)
    os.chdir(f'{where}/in')
    try:
        return list(f())
    finally:
        os.chdir('/')
        drop(where)


def differences(want, got, at=''):
    """Where two answers differ, down to the parts that do."""
    if isinstance(want, (tuple, list)) and type(want) is type(got) and \
            len(want) == len(got):
        name = at or want[0]
        for w, g in zip(want, got):
            if w != g:
                yield from differences(w, g, name)
    else:
        yield at, got, want
