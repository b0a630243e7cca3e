#!/usr/bin/env python3
"""Do the same random things to two directories and compare what comes of it.

usage: twin.py REFERENCE SUBJECT SEED STEPS [no-xattr]

Every call's result or error number must be the same in both, and so must the
trees at the end.  What the reference's file system cannot do is left out.
"""
import ctypes
import errno
import hashlib
import mmap
import os
import random
import stat
import sys

ref, subject = sys.argv[1], sys.argv[2]
seed, steps = int(sys.argv[3]), int(sys.argv[4])
pick = random.Random(seed)
libc = ctypes.CDLL(None, use_errno=True)
NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g' * 255, 'h' * 60, 'i', 'j', 'k']
OFFSETS = [0, 1, 100, 511, 512, 4095, 4096, 4097, 32767, 32768, 40000, 65536,
           131072]
opened = []


def some_path():
    return '/'.join(pick.choice(NAMES)
                    for _ in range(pick.choice([1, 2, 2, 3, 3, 4])))


def some_off():
    return pick.choice(OFFSETS + [pick.randrange(1 << 20),
                                  pick.randrange(1 << 23), 1 << 26])


def some_bytes(*sizes):
    return pick.randbytes(pick.choice(sizes))


def open_file(path, flags):
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)


class Opened:
    """A descriptor for a with statement; a file, or it skips."""

    def __init__(self, path, flags):
        self.fd = open_file(path, flags)

    def __enter__(self):
        return self.fd

    def __exit__(self, *_):
        os.close(self.fd)


def is_file(fd):
    return stat.S_ISREG(os.fstat(fd).st_mode)


def call_libc(name, *args):
    if getattr(libc, name)(*args) < 0:
        raise OSError(ctypes.get_errno(), name)


def facts(path):
    st = os.lstat(path)
    is_dir = stat.S_ISDIR(st.st_mode)
    return (st.st_mode, st.st_uid, st.st_gid, st.st_rdev,
            None if is_dir else (st.st_nlink, st.st_size))


def content(path):
    with Opened(path, os.O_RDONLY) as fd:
        if not is_file(fd):
            return None
        digest = hashlib.md5()
        while block := os.read(fd, 1 << 20):
            digest.update(block)
        return digest.hexdigest()


# Each makes its random choices once and returns what to do in one directory.

def op_write():
    path, off = some_path(), some_off()
    data = some_bytes(1, 10, 511, 4096, 5000, 40000, 200000)
    create = os.O_CREAT if pick.random() < .8 else 0

    def do(d):
        with Opened(f'{d}/{path}', os.O_WRONLY | create) as fd:
            return os.pwrite(fd, data, off)
    return do


def op_append():
    path, data = some_path(), some_bytes(1, 100, 5000)

    def do(d):
        with Opened(f'{d}/{path}',
                    os.O_WRONLY | os.O_APPEND | os.O_CREAT) as fd:
            return os.write(fd, data)
    return do


def op_truncate():
    path, size = some_path(), some_off()
    return lambda d: None if os.path.islink(f'{d}/{path}') \
        else os.truncate(f'{d}/{path}', size)


def op_map():
    path, off, data = some_path(), some_off(), some_bytes(1, 4096, 50000)

    def do(d):
        with Opened(f'{d}/{path}', os.O_RDWR) as fd:
            size = os.fstat(fd).st_size
            if not is_file(fd) or size <= off:
                return None
            mapped = mmap.mmap(fd, size)
            n = min(len(data), size - off)
            mapped[off:off + n] = data[:n]
            mapped.close()
            return n
    return do


def op_allocate():
    path, mode = some_path(), pick.choice(allocations)
    off = some_off() % (1 << 22)
    size = pick.choice([1, 4096, 32768, 100000, 1000000])

    def do(d):
        with Opened(f'{d}/{path}', os.O_RDWR) as fd:
            if is_file(fd):
                call_libc('fallocate', fd, mode, ctypes.c_long(off),
                          ctypes.c_long(size))
    return do


def op_mkdir():
    path, mode = some_path(), pick.choice([0o755, 0o700, 0o2775, 0o1777])
    return lambda d: os.mkdir(f'{d}/{path}', mode)


def op_rmdir():
    path = some_path()
    return lambda d: os.rmdir(f'{d}/{path}')


def op_unlink():
    path = some_path()
    return lambda d: os.unlink(f'{d}/{path}')


def op_rename():
    old, new = some_path(), some_path()
    flags = pick.choice([0, 0, 0, 1, 2])
    return lambda d: call_libc('renameat2', -100, f'{d}/{old}'.encode(), -100,
                               f'{d}/{new}'.encode(), flags)


def op_link():
    old, new = some_path(), some_path()
    return lambda d: os.link(f'{d}/{old}', f'{d}/{new}',
                             follow_symlinks=False)


def op_symlink():
    path = some_path()
    target = 't' * pick.choice([1, 59, 60, 119, 120, 121, 1000])
    return lambda d: os.symlink(target, f'{d}/{path}')


def op_mknod():
    path, mode = some_path(), pick.choice(
        [stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK]) | 0o644
    # 240 is for local use: no driver answers an open.
    dev = os.makedev(240, pick.randrange(256))
    return lambda d: os.mknod(f'{d}/{path}', mode, dev)


def op_chmod():
    path = some_path()
    mode = pick.choice([0o644, 0o600, 0o4755, 0o2755, 0o777, 0o1777])
    return lambda d: None if os.path.islink(f'{d}/{path}') \
        else os.chmod(f'{d}/{path}', mode)


def op_chown():
    path = some_path()
    uid, gid = pick.choice([0, 1000, 4000000000]), pick.choice([0, 5, 60000])
    return lambda d: os.lchown(f'{d}/{path}', uid, gid)


def op_utime():
    path = some_path()
    t = pick.choice([0, 10**9 + 123456789, 1234567890 * 10**9, -5 * 10**9])
    return lambda d: os.utime(f'{d}/{path}', ns=(t, t), follow_symlinks=False)


def op_xattr():
    path, what = some_path(), pick.choice(['set', 'get', 'remove', 'list'])
    name = 'user.' + pick.choice(['k', 'kk', 'x' * 200])
    value = some_bytes(0, 1, 100, 1000)

    def do(d):
        path_d = f'{d}/{path}'
        mode = os.lstat(path_d).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return None
        if what == 'set':
            return os.setxattr(path_d, name, value)
        if what == 'get':
            return os.getxattr(path_d, name)
        if what == 'remove':
            return os.removexattr(path_d, name)
        return sorted(x for x in os.listxattr(path_d) if x[:5] == 'user.')
    return do


def op_facts():
    path = some_path()
    return lambda d: facts(f'{d}/{path}')


def op_content():
    path = some_path()
    return lambda d: content(f'{d}/{path}')


def op_list():
    path = os.path.dirname(some_path())
    return lambda d: sorted(os.listdir(f'{d}/{path}'))


def op_open():
    """Keep a file open in both, so that it may be unlinked."""
    path = some_path()
    if len(opened) > 20:
        for fd in opened.pop(0):
            os.close(fd)

    def do(d):
        fd = open_file(f'{d}/{path}', os.O_RDWR)
        if not is_file(fd):
            os.close(fd)
            return None
        if d == ref:
            opened.append([fd])
        else:
            opened[-1].append(fd)
        return True
    return do


def op_use_open():
    if not opened or len(opened[-1]) != 2:
        return None
    fds, off = pick.choice(opened), some_off()
    data = some_bytes(1, 3000) if pick.random() < .5 else None

    def do(d):
        fd = fds[d != ref]
        if data:
            os.pwrite(fd, data, off)
        st = os.fstat(fd)
        return st.st_size, st.st_nlink, st.st_mode, os.pread(
            fd, 100000, max(0, off - 50))
    return do


def result(f, d):
    try:
        return f(d)
    except OSError as e:
        return errno.errorcode[e.errno]


def works(f):
    name = f'{ref}/probe'
    try:
        with Opened(name, os.O_RDWR | os.O_CREAT) as fd:
            f(fd)
        return True
    except OSError:
        return False
    finally:
        os.unlink(name)


def tree(top):
    out = {}
    for d, dirs, files in os.walk(top):
        for name in dirs + files:
            path = os.path.join(d, name)
            entry = [facts(path)]
            if os.path.islink(path):
                entry.append(os.readlink(path))
            elif os.path.isfile(path):
                entry.append(content(path))
            out[os.path.relpath(path, top)] = entry
    return out


allocations = [mode for mode in (0, 3, 16, 17) if works(
    lambda fd, m=mode: call_libc('fallocate', fd, m, ctypes.c_long(0),
                                 ctypes.c_long(4096)))]
ops = [op_write] * 6 + [op_append, op_truncate, op_mkdir, op_unlink,
                        op_rename, op_map] * 2
ops += [op_rmdir, op_link, op_symlink, op_mknod, op_chmod, op_chown, op_utime,
        op_facts, op_content, op_list, op_open, op_use_open]
if allocations:
    ops += [op_allocate] * 2
if sys.argv[5:] != ['no-xattr'] and works(
        lambda fd: os.setxattr(fd, 'user.x', b'')):
    ops.append(op_xattr)

os.umask(0)
bad = 0
for step in range(steps):
    op = pick.choice(ops)
    do = op()
    if do is None:
        continue
    want, got = result(do, ref), result(do, subject)
    if want != got:
        bad += 1
        print(f'step {step} {op.__name__}: {str(got)[:200]}, '
              f'want {str(want)[:200]}')
        if bad > 5:
            break
for fds in opened:
    for fd in fds:
        os.close(fd)
want, got = tree(ref), tree(subject)
for path in sorted(set(want) | set(got)):
    if want.get(path) != got.get(path):
        bad += 1
        print(f'{path[:100]}: {got.get(path)}, want {want.get(path)}')
print(f'{len(want)} files, {bad} differences')
sys.exit(bad != 0)
