#!/usr/bin/env python3
"""What POSIX and Linux promise, asked of a mounted live tree, as TAP.

usage: mount_ops.py DIR     as root; the mount has -o dev,suid
"""
import ctypes
import errno
import fcntl
import mmap
import os
import stat
import struct
import subprocess
import sys
import threading
import time

root = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
tests = []


def test(f):
    tests.append(f)
    return f


def path(name):
    return os.path.join(root, name)


def put(name, data=b'', mode=0o644):
    fd = os.open(path(name), os.O_RDWR | os.O_CREAT, mode)
    os.write(fd, data)
    os.close(fd)
    os.chmod(path(name), mode)
    return path(name)


def get(name):
    with open(path(name), 'rb') as f:
        return f.read()


def fails(want, f, *args, **kwargs):
    try:
        f(*args, **kwargs)
    except OSError as e:
        assert e.errno == want, f'{errno.errorcode[e.errno]} instead of ' \
            f'{errno.errorcode[want]}'
        return
    raise AssertionError(f'no {errno.errorcode[want]}')


def write_at(name, mode, at=0):
    """Open, as mode says, and write: either may fail."""
    with open(path(name), mode, buffering=0) as f:
        f.seek(at)
        f.write(b'z')


def allocate(name, mode, length=8192):
    with open(path(name), 'r+b') as f:
        fallocate(f.fileno(), mode, 0, length)


def rename2(old, new, flags):
    if libc.renameat2(-100, path(old).encode(), -100, path(new).encode(),
                      flags) < 0:
        raise OSError(ctypes.get_errno(), 'renameat2')


def fallocate(fd, mode, off, length):
    if libc.fallocate(fd, mode, ctypes.c_long(off),
                      ctypes.c_long(length)) < 0:
        raise OSError(ctypes.get_errno(), 'fallocate')


def as_user(uid, gid, groups, f):
    """Run f in a child with these ids; its OSError's number, or 0."""
    child = os.fork()
    if child == 0:
        code = 0
        try:
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            f()
        except OSError as e:
            code = e.errno
        except BaseException:
            code = 255
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@test
def an_unlinked_open_file_has_no_links_and_keeps_its_data():
    put('gone', b'data')
    fd = os.open(path('gone'), os.O_RDWR)
    os.unlink(path('gone'))
    assert os.fstat(fd).st_nlink == 0
    os.pwrite(fd, b'more', 4)
    os.fsync(fd)
    assert os.pread(fd, 100, 0) == b'datamore'
    fails(errno.ENOENT, os.stat, path('gone'))
    put('gone', b'another')
    assert os.pread(fd, 100, 0) == b'datamore'
    os.close(fd)


@test
def a_removed_open_directory_is_empty_and_takes_nothing():
    os.mkdir(path('gonedir'))
    fd = os.open(path('gonedir'), os.O_RDONLY)
    os.rmdir(path('gonedir'))
    assert os.listdir(fd) == []
    assert os.fstat(fd).st_nlink == 0
    fails(errno.ENOENT, os.open, 'x', os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    os.close(fd)


@test
def a_file_renamed_over_while_open_lives_on():
    put('old', b'old')
    put('new', b'new')
    fd = os.open(path('old'), os.O_RDONLY)
    os.rename(path('new'), path('old'))
    assert os.read(fd, 10) == b'old' and get('old') == b'new'
    assert os.fstat(fd).st_nlink == 0
    os.close(fd)


@test
def names_have_255_bytes_at_most():
    put('n' * 255)
    fails(errno.ENAMETOOLONG, put, 'n' * 256)
    fails(errno.ENAMETOOLONG, os.mkdir, path('n' * 256))
    fails(errno.ENAMETOOLONG, os.symlink, 'x', path('n' * 256))
    fails(errno.ENAMETOOLONG, os.rename, path('n' * 255), path('n' * 256))
    fails(errno.ENAMETOOLONG, os.link, path('n' * 255), path('m' * 256))
    fails(errno.ENAMETOOLONG, os.stat, path('n' * 256))


@test
def set_gid_directories_hand_their_group_on():
    os.mkdir(path('sgid'))
    os.chown(path('sgid'), 0, 77)
    os.chmod(path('sgid'), 0o2777)
    put('sgid/f')
    os.mkdir(path('sgid/d'))
    assert os.stat(path('sgid/f')).st_gid == 77
    st = os.stat(path('sgid/d'))
    assert st.st_gid == 77 and st.st_mode & stat.S_ISGID
    put('plain')
    assert os.stat(path('plain')).st_gid == os.getegid()
    # Set-gid is not for who is not of the group.
    for mode in 0o2755, 0o2705:
        assert as_user(1000, 1000, [], lambda: os.close(os.open(
            path('sgid/its'), os.O_CREAT | os.O_WRONLY, mode))) == 0
        st = os.stat(path('sgid/its'))
        assert st.st_gid == 77 and st.st_mode & 0o7777 == mode & 0o777
        os.unlink(path('sgid/its'))


@test
def set_id_bits_go_when_others_write_and_stay_when_root_does():
    def write(name):
        with open(path(name), 'ab') as f:
            f.write(b'x')
    os.chmod(root, 0o777)
    put('suid', b'x', 0o6777)
    write('suid')
    assert os.stat(path('suid')).st_mode & 0o7777 == 0o6777
    assert as_user(1000, 1000, [], lambda: write('suid')) == 0
    assert os.stat(path('suid')).st_mode & 0o7777 == 0o777
    put('suid2', b'xxx', 0o6777)
    assert as_user(1000, 1000, [], lambda: os.truncate(path('suid2'), 1)) == 0
    assert os.stat(path('suid2')).st_mode & 0o7777 == 0o777
    put('suid3', b'xxx', 0o6777)
    assert as_user(1000, 1000, [], lambda: os.close(os.open(
        path('suid3'), os.O_WRONLY | os.O_TRUNC))) == 0
    assert os.stat(path('suid3')).st_mode & 0o7777 == 0o777
    put('suid4', b'x', 0o6755)
    os.chown(path('suid4'), 1000, 1000)
    assert os.stat(path('suid4')).st_mode & 0o6000 == 0
    os.chmod(path('suid4'), 0o6755)
    assert os.stat(path('suid4')).st_mode & 0o6000 == 0o6000


@test
def permissions_are_checked_for_others():
    put('private', b'x', 0o600)
    put('grouped', b'x', 0o640)
    os.chown(path('grouped'), 0, 77)
    os.mkdir(path('closed'), 0o700)
    os.mkdir(path('sticky'))
    os.chmod(path('sticky'), 0o1777)
    put('sticky/f', b'', 0o666)

    def read(name):
        return lambda: os.close(os.open(path(name), os.O_RDONLY))
    assert as_user(1000, 1000, [], read('private')) == errno.EACCES
    assert as_user(1000, 1000, [], read('grouped')) == errno.EACCES
    assert as_user(1000, 1000, [77], read('grouped')) == 0
    assert as_user(1000, 1000, [], lambda: os.stat(path('closed/x'))) == \
        errno.EACCES
    assert as_user(1000, 1000, [], lambda: os.unlink(path('sticky/f'))) == \
        errno.EPERM
    assert as_user(1000, 1000, [], lambda: os.chmod(
        path('sticky/f'), 0o600)) == errno.EPERM
    assert as_user(1000, 1000, [], lambda: os.chown(
        path('sticky/f'), 1000, 1000)) == errno.EPERM
    assert as_user(1000, 1000, [], lambda: os.utime(path('sticky/f'))) == 0
    assert as_user(1000, 1000, [], lambda: os.utime(
        path('sticky/f'), (1, 1))) == errno.EPERM


@test
def the_umask_counts():
    old = os.umask(0o027)
    try:
        os.close(os.open(path('masked'), os.O_CREAT | os.O_WRONLY, 0o666))
        os.mkdir(path('maskedd'), 0o777)
    finally:
        os.umask(old)
    assert os.stat(path('masked')).st_mode & 0o777 == 0o640
    assert os.stat(path('maskedd')).st_mode & 0o777 == 0o750


@test
def times_have_nanoseconds_and_reading_changes_none():
    put('times', b'x' * 10000)
    os.utime(path('times'), ns=(1234567890123456789, 987654321987654321))
    st = os.stat(path('times'))
    assert st.st_atime_ns == 1234567890123456789
    assert st.st_mtime_ns == 987654321987654321
    get('times')
    os.listdir(root)
    assert os.stat(path('times')).st_atime_ns == 1234567890123456789
    before = os.stat(path('times')).st_ctime_ns
    time.sleep(0.02)
    os.chmod(path('times'), 0o600)
    st = os.stat(path('times'))
    assert st.st_ctime_ns > before and st.st_mtime_ns == 987654321987654321
    os.utime(path('times'), None)
    assert abs(os.stat(path('times')).st_mtime - time.time()) < 5


@test
def writing_moves_mtime_and_ctime_and_those_of_the_directory():
    os.mkdir(path('mt'))
    put('mt/f', b'x')
    st, dst = os.stat(path('mt/f')), os.stat(path('mt'))
    time.sleep(0.02)
    with open(path('mt/f'), 'r+b') as f:
        f.write(b'y')
    assert os.stat(path('mt/f')).st_mtime_ns > st.st_mtime_ns
    assert os.stat(path('mt')).st_mtime_ns == dst.st_mtime_ns
    os.link(path('mt/f'), path('mt/g'))
    assert os.stat(path('mt')).st_mtime_ns > dst.st_mtime_ns
    assert os.stat(path('mt/f')).st_ctime_ns > st.st_ctime_ns


@test
def links_are_counted():
    os.mkdir(path('links'))
    put('links/a')
    for i in range(200):
        os.link(path('links/a'), path(f'links/{i}'))
    assert os.stat(path('links/a')).st_nlink == 201
    for i in range(199):
        os.unlink(path(f'links/{i}'))
    assert os.stat(path('links/199')).st_nlink == 2
    n = os.stat(path('links')).st_nlink
    os.mkdir(path('links/d'))
    assert os.stat(path('links')).st_nlink == n + 1
    os.mkdir(path('other'))
    os.rename(path('links/d'), path('other/d'))
    assert os.stat(path('links')).st_nlink == n
    assert os.stat(path('other')).st_nlink == 3
    fails(errno.EPERM, os.link, path('other'), path('links/x'))


@test
def rename_knows_its_flags():
    put('ra', b'a')
    put('rb', b'b')
    fails(errno.EEXIST, rename2, 'ra', 'rb', 1)
    rename2('ra', 'rc', 1)
    rename2('rb', 'rc', 2)
    assert get('rb') == b'a' and get('rc') == b'b'
    fails(errno.EINVAL, rename2, 'rb', 'rc', 4)
    os.mkdir(path('rd'))
    fails(errno.EINVAL, os.rename, path('rd'), path('rd/in'))
    fails(errno.EISDIR, os.rename, path('rb'), path('rd'))
    fails(errno.ENOTDIR, os.rename, path('rd'), path('rb'))
    put('rd/x')
    os.mkdir(path('re'))
    fails(errno.ENOTEMPTY, os.rename, path('re'), path('rd'))
    os.rename(path('rd'), path('re'))
    assert os.listdir(path('re')) == ['x']


@test
def every_kind_of_file_can_be_made():
    os.mkfifo(path('fifo'), 0o644)
    os.mknod(path('sock'), stat.S_IFSOCK | 0o600)
    os.mknod(path('chr'), stat.S_IFCHR | 0o600, os.makedev(200, 70000))
    os.mknod(path('blk'), stat.S_IFBLK | 0o600, os.makedev(8, 1))
    assert stat.S_ISFIFO(os.stat(path('fifo')).st_mode)
    assert stat.S_ISSOCK(os.stat(path('sock')).st_mode)
    assert os.stat(path('chr')).st_rdev == os.makedev(200, 70000)
    assert stat.S_ISBLK(os.stat(path('blk')).st_mode)
    os.mknod(path('null'), stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with open(path('null'), 'rb') as f:
        assert f.read() == b''
    for n in (1, 59, 60, 119, 120, 1023):
        os.symlink('s' * n, path(f'sym{n}'))
        assert os.readlink(path(f'sym{n}')) == 's' * n
        assert os.lstat(path(f'sym{n}')).st_size == n


@test
def holes_are_holes():
    fd = os.open(path('holes'), os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, b'x' * 100, 1 << 20)
    os.pwrite(fd, b'y' * 100, 8 << 20)
    assert os.fstat(fd).st_blocks * 512 < 1 << 20
    at = os.lseek(fd, 0, os.SEEK_DATA)
    assert 0 < at <= 1 << 20
    end = os.lseek(fd, 1 << 20, os.SEEK_HOLE)
    assert (1 << 20) + 100 <= end < 8 << 20
    assert os.lseek(fd, 0, os.SEEK_HOLE) == 0
    fails(errno.ENXIO, os.lseek, fd, 9 << 20, os.SEEK_DATA)
    fallocate(fd, 3, 1 << 20, 1 << 20)
    assert os.pread(fd, 100, 1 << 20) == bytes(100)
    assert os.fstat(fd).st_size == (8 << 20) + 100
    fallocate(fd, 0, 0, 1 << 20)
    assert os.fstat(fd).st_blocks * 512 >= 1 << 20
    fallocate(fd, 16, 9 << 20, 4096)
    assert os.fstat(fd).st_size == (9 << 20) + 4096
    os.close(fd)


@test
def space_without_data_is_what_ufs_can_hold():
    fd = os.open(path('space'), os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, b'x' * 300000, 0)
    fails(errno.EOPNOTSUPP, fallocate, fd, 1, 0, 300001)
    fails(errno.EOPNOTSUPP, fallocate, fd, 1, 1 << 20, 4096)
    fallocate(fd, 1, 0, 300000)
    fallocate(fd, 3, 0, 1 << 30)
    st = os.fstat(fd)
    assert st.st_size == 300000
    # UFS has no hole as the last block.
    assert 0 < st.st_blocks * 512 <= 32768
    assert os.lseek(fd, 0, os.SEEK_DATA) == 300000 // 32768 * 32768
    assert get('space') == bytes(300000)
    fallocate(fd, 17, 0, 1 << 30)
    assert os.fstat(fd).st_size == 300000
    for mode in (8, 32, 64, 4):
        fails(errno.EOPNOTSUPP, fallocate, fd, mode, 0, 32768)
    os.close(fd)


@test
def free_space_counts_what_growing_adds():
    st = os.statvfs(root)
    assert st.f_namemax == 255 and st.f_bavail * st.f_frsize > 1 << 30
    assert st.f_bavail <= st.f_bfree <= st.f_blocks
    assert 0 < st.f_ffree <= st.f_files
    fd = os.open(path('taken'), os.O_RDWR | os.O_CREAT)
    fallocate(fd, 0, 0, 16 << 20)
    os.close(fd)
    now = os.statvfs(root)
    # What growing adds is not all for data: a group's own blocks go off.
    less = (st.f_bfree - now.f_bfree) * st.f_frsize
    assert 16 << 20 <= less < 24 << 20, less
    os.unlink(path('taken'))


@test
def ranges_are_copied_between_files():
    put('from', os.urandom(500000))
    put('to', b'')
    a, b = os.open(path('from'), os.O_RDONLY), os.open(path('to'), os.O_RDWR)
    done = 0
    while done < 400000:
        n = os.copy_file_range(a, b, 400000 - done, 50000 + done, 7 + done)
        assert n > 0
        done += n
    assert get('to')[7:] == get('from')[50000:450000]
    assert os.copy_file_range(a, b, 10, 500000, 0) == 0
    fails(errno.EBADF, os.copy_file_range, b, a, 10)
    os.close(a)
    os.close(b)


class Handle(ctypes.Structure):
    _fields_ = [('bytes', ctypes.c_uint), ('type', ctypes.c_int),
                ('handle', ctypes.c_ubyte * 128)]


def handle_of(name):
    handle, mount = Handle(128, 0), ctypes.c_int()
    if libc.name_to_handle_at(-100, path(name).encode(),
                              ctypes.byref(handle), ctypes.byref(mount),
                              0) < 0:
        raise OSError(ctypes.get_errno(), 'name_to_handle_at')
    return handle


def open_handle(handle):
    top = os.open(root, os.O_RDONLY)
    fd = libc.open_by_handle_at(top, ctypes.byref(handle), os.O_RDONLY)
    number = ctypes.get_errno()
    os.close(top)
    if fd < 0:
        raise OSError(number, 'open_by_handle_at')
    return fd


def forget_all():
    with open('/proc/sys/vm/drop_caches', 'w', encoding='ascii') as f:
        f.write('2')


@test
def handles_outlive_caches_and_not_their_files():
    os.makedirs(path('h/d'))
    put('h/d/f', b'by handle')
    handles = {name: handle_of(name) for name in ('h/d/f', 'h/d')}
    forget_all()
    fd = open_handle(handles['h/d/f'])
    assert os.read(fd, 20) == b'by handle'
    os.close(fd)
    fd = open_handle(handles['h/d'])
    assert os.listdir(fd) == ['f']
    os.close(fd)
    ino = os.stat(path('h/d/f')).st_ino
    os.unlink(path('h/d/f'))
    forget_all()
    fails(errno.ESTALE, open_handle, handles['h/d/f'])
    for i in range(100):  # until the number is used again
        put(f'h/d/new{i}')
        if os.stat(path(f'h/d/new{i}')).st_ino == ino:
            break
    else:
        raise AssertionError('the number is not used again')
    forget_all()
    fails(errno.ESTALE, open_handle, handles['h/d/f'])


@test
def a_file_has_32767_names_and_a_directory_100000_entries():
    os.mkdir(path('large'))
    os.mkdir(path('small'))
    top = os.open(path('large'), os.O_RDONLY)
    n = 0
    for i in range(4):
        os.close(os.open(f'file{i}', os.O_CREAT, dir_fd=top))
        links = 1
        while n < 100000:
            try:
                os.link(f'file{i}', f'name{n}', src_dir_fd=top,
                        dst_dir_fd=top)
            except OSError as e:
                assert e.errno == errno.EMLINK and links == 32767, links
                break
            links += 1
            n += 1
        assert os.stat(f'file{i}', dir_fd=top).st_nlink == links
    assert len(os.listdir(top)) == 100004
    os.close(top)

    def seconds(name):
        """The fastest of some rounds of looking for what is not there."""
        seconds.round += 1
        start = time.monotonic()
        for i in range(300):
            assert not os.path.exists(path(f'{name}/{seconds.round}.{i}'))
        return time.monotonic() - start
    seconds.round = 0
    small = min(seconds('small') for _ in range(5))
    large = min(seconds('large') for _ in range(5))
    assert large < 10 * small, f'{large} s, {small} s in a small one'
    subprocess.run(['rm', '-rf', path('large')], check=True)


@test
def shared_mappings_reach_the_file():
    put('mapped', b'a' * 10000)
    fd = os.open(path('mapped'), os.O_RDWR)
    m = mmap.mmap(fd, 10000)
    m[5000:5004] = b'mmap'
    assert os.pread(fd, 4, 5000) == b'mmap'
    os.pwrite(fd, b'write', 100)
    assert m[100:105] == b'write'
    m.flush()
    m.close()
    os.close(fd)
    os.truncate(path('mapped'), 5002)
    os.truncate(path('mapped'), 9000)
    assert get('mapped')[5000:5004] == b'mm\0\0'


@test
def a_listing_survives_what_happens_meanwhile():
    os.mkdir(path('many'))
    for i in range(3000):
        put(f'many/f{i:04}')
    seen = []
    with os.scandir(path('many')) as entries:
        for entry in entries:
            seen.append(entry.name)
            os.unlink(path(f'many/{entry.name}'))
            if len(seen) % 7 == 0:
                put(f'many/added{len(seen)}')
    old = [name for name in seen if name.startswith('f')]
    assert len(old) == len(set(old)) == 3000
    assert all(n.startswith('added') for n in os.listdir(path('many')))
    subprocess.run(['rm', '-rf', path('many')], check=True)


@test
def rewinding_a_directory_shows_it_as_it_is():
    os.mkdir(path('rewind'))
    put('rewind/a')
    fd = os.open(path('rewind'), os.O_RDONLY)
    assert os.listdir(fd) == ['a']
    put('rewind/b')
    os.unlink(path('rewind/a'))
    os.lseek(fd, 0, os.SEEK_SET)
    assert os.listdir(fd) == ['b']
    os.close(fd)


@test
def places_in_a_directory_can_be_gone_back_to():
    os.mkdir(path('seek'))
    for i in range(100):
        put(f'seek/{i}')
    libc.opendir.restype = ctypes.c_void_p
    libc.readdir.restype = ctypes.c_void_p
    libc.telldir.restype = ctypes.c_long
    d = ctypes.c_void_p(libc.opendir(path('seek').encode()))

    def name(entry):
        return ctypes.string_at(entry + 19)
    places = []
    while True:
        at = libc.telldir(d)
        entry = libc.readdir(d)
        if not entry:
            break
        places.append((at, name(entry)))
    for i in range(0, 50):
        os.unlink(path(f'seek/{i}'))
    left = {str(i).encode() for i in range(50, 100)}
    for at, was in reversed(places):
        if was in left:
            libc.seekdir(d, ctypes.c_long(at))
            assert name(libc.readdir(d)) == was
    libc.closedir(d)


@test
def extended_attributes_of_both_name_spaces():
    put('ea')
    os.setxattr(path('ea'), 'user.name', b'value')
    os.setxattr(path('ea'), 'trusted.freebsd.system.sys', b'\0\1')
    assert sorted(os.listxattr(path('ea'))) == [
        'trusted.freebsd.system.sys', 'user.name']
    assert os.getxattr(path('ea'), 'user.name') == b'value'
    fails(errno.EEXIST, os.setxattr, path('ea'), 'user.name', b'x',
          os.XATTR_CREATE)
    fails(errno.ENODATA, os.setxattr, path('ea'), 'user.none', b'x',
          os.XATTR_REPLACE)
    fails(errno.ENODATA, os.getxattr, path('ea'), 'user.none')
    fails(errno.EOPNOTSUPP, os.setxattr, path('ea'), 'trusted.other', b'x')
    fails(errno.EOPNOTSUPP, os.getxattr, path('ea'), 'security.capability')
    os.mkfifo(path('eafifo'))
    os.setxattr(path('eafifo'), 'trusted.freebsd.user.u', b'fifo')
    assert os.listxattr(path('eafifo')) == ['trusted.freebsd.user.u']
    os.symlink('x', path('ealink'))
    os.setxattr(path('ealink'), 'trusted.freebsd.user.u', b'l',
                follow_symlinks=False)
    assert os.getxattr(path('ealink'), 'trusted.freebsd.user.u',
                       follow_symlinks=False) == b'l'
    os.removexattr(path('ea'), 'user.name')
    os.removexattr(path('ea'), 'trusted.freebsd.system.sys')
    assert os.listxattr(path('ea')) == []


@test
def access_control_lists_have_32_entries_at_most_and_one_name():
    def acl(n):
        entries = [(1, 6, None)] + [(2, 7, i) for i in range(n - 4)] + \
            [(4, 4, None), (16, 5, None), (32, 0, None)]
        return struct.pack('<I', 2) + b''.join(
            struct.pack('<HHI', tag, perm, 2**32 - 1 if who is None else who)
            for tag, perm, who in entries)
    put('acl')
    os.setxattr(path('acl'), 'system.posix_acl_access', acl(32))
    assert os.listxattr(path('acl')) == ['system.posix_acl_access']
    fails(errno.ENOSPC, os.setxattr, path('acl'), 'system.posix_acl_access',
          acl(33))
    raw = os.getxattr(path('acl'),
                      'trusted.freebsd.system.posix1e.acl_access')
    assert len(raw) == 388 and raw[0] == 32
    nfs4 = bytes(4088)
    os.setxattr(path('acl'), 'trusted.freebsd.system.nfs4.acl', nfs4)
    assert os.getxattr(path('acl'), 'trusted.freebsd.system.nfs4.acl') == nfs4
    assert 'trusted.freebsd.system.nfs4.acl' in os.listxattr(path('acl'))
    put('flagged')
    os.setxattr(path('flagged'), 'relive.flags', b'uappnd')
    fails(errno.EPERM, os.setxattr, path('flagged'),
          'system.posix_acl_access', acl(5))
    os.setxattr(path('flagged'), 'relive.flags', b'')


@test
def file_flags_protect_even_from_root():
    put('flag', b'x')
    os.setxattr(path('flag'), 'relive.flags', b'schg,nodump')
    assert os.getxattr(path('flag'), 'relive.flags') in (
        b'schg,nodump', b'nodump,schg')
    assert os.listxattr(path('flag')) == []
    for mode in ['r+b', 'ab', 'wb']:
        fails(errno.EPERM, write_at, 'flag', mode)
    for mode in [0, 1, 3, 16]:
        fails(errno.EPERM, allocate, 'flag', mode)
    assert get('flag') == b'x'
    fails(errno.EPERM, os.unlink, path('flag'))
    fails(errno.EPERM, os.rename, path('flag'), path('flag2'))
    fails(errno.EPERM, os.link, path('flag'), path('flag2'))
    fails(errno.EPERM, os.chmod, path('flag'), 0o600)
    fails(errno.EPERM, os.truncate, path('flag'), 0)
    fails(errno.EPERM, os.setxattr, path('flag'), 'user.x', b'')
    assert get('flag') == b'x'
    fails(errno.EINVAL, os.setxattr, path('flag'), 'relive.flags',
          b'nonsense')
    os.setxattr(path('flag'), 'relive.flags', b'sunlnk')
    put('flag', b'y')
    fails(errno.EPERM, os.unlink, path('flag'))
    os.removexattr(path('flag'), 'relive.flags')
    os.unlink(path('flag'))
    os.mkdir(path('flagdir'))
    put('flagdir/f')
    os.setxattr(path('flagdir'), 'relive.flags', b'uchg')
    fails(errno.EPERM, put, 'flagdir/g')
    fails(errno.EPERM, os.unlink, path('flagdir/f'))
    fails(errno.EPERM, os.rename, path('flagdir/f'), path('flagg'))
    os.setxattr(path('flagdir'), 'relive.flags', b'')
    os.unlink(path('flagdir/f'))


@test
def what_was_stored_before_a_flag_was_set_is_not_lost():
    put('stored', b'x' * 8192)
    with open(path('stored'), 'r+b') as f:
        with mmap.mmap(f.fileno(), 0) as m:
            m[4097] = ord('z')
            os.setxattr(path('stored'), 'relive.flags', b'schg')
    with open(path('stored'), 'rb') as f:
        assert libc.syncfs(f.fileno()) == 0
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    assert get('stored') == b'x' * 4097 + b'z' + b'x' * 4094
    fails(errno.EPERM, write_at, 'stored', 'r+b')
    os.setxattr(path('stored'), 'relive.flags', b'')


@test
def flags_are_of_everything_and_in_any_form():
    os.mkdir(path('ff'))
    os.mkfifo(path('ff/fifo'))
    os.symlink('nowhere', path('ff/link'))
    put('ff/file')
    os.mknod(path('ff/dev'), stat.S_IFCHR | 0o600, os.makedev(200, 1))

    def flags(name, value=None):
        if value is not None:
            os.setxattr(path(name), 'relive.flags', value,
                        follow_symlinks=False)
        return os.getxattr(path(name), 'relive.flags', follow_symlinks=False)
    for name in ['ff', 'ff/fifo', 'ff/link', 'ff/file', 'ff/dev']:
        assert flags(name) == b''
        assert flags(name, b'uarch,hidden') == b'uarch,hidden'
        assert flags(name, b'04001') == b'nodump,uarch'
        assert os.listxattr(path(name), follow_symlinks=False) == []
        assert flags(name, b'none') == b''
    flags('ff/link', b'schg')
    fails(errno.EPERM, os.unlink, path('ff/link'))
    flags('ff/link', b'-')
    fails(errno.EPERM, flags, 'ff/file', b'snapshot')
    fails(errno.ENODATA, os.getxattr, path('ff'), 'relive.nothing')
    fails(errno.EOPNOTSUPP, os.setxattr, path('ff'), 'relive.nothing', b'')


@test
def flags_are_changed_by_whom_chflags_lets():
    os.mkdir(path('fw'), 0o777)
    os.chmod(path('fw'), 0o777)
    put('fw/f', b'', 0o666)
    os.chown(path('fw/f'), 1000, 1000)

    def by(uid, flags):
        return as_user(uid, uid, [], lambda: os.setxattr(
            path('fw/f'), 'relive.flags', flags))
    assert by(1000, b'uchg') == 0
    assert by(1000, b'') == errno.EPERM or \
        os.getxattr(path('fw/f'), 'relive.flags') == b''
    os.setxattr(path('fw/f'), 'relive.flags', b'')
    assert by(1001, b'nodump') == errno.EPERM
    assert by(1000, b'schg') == errno.EPERM
    os.setxattr(path('fw/f'), 'relive.flags', b'sunlnk')
    assert by(1000, b'sunlnk,nodump') == errno.EPERM
    assert by(1000, b'') == errno.EPERM
    os.setxattr(path('fw/f'), 'relive.flags', b'')


@test
def birth_times_are_shown_set_and_go_back_with_earlier_changes():
    before = time.time()
    put('born')

    def birth(value=None):
        if value is not None:
            os.setxattr(path('born'), 'relive.birthtime', value)
        return os.getxattr(path('born'), 'relive.birthtime')
    assert before - 1 <= float(birth()) <= time.time() + 1
    assert 'relive.birthtime' not in os.listxattr(path('born'))
    assert birth(b'1500000000.25') == b'1500000000.250000000'
    os.utime(path('born'), (1600000000, 1600000000))
    assert birth() == b'1500000000.250000000'
    os.utime(path('born'), ns=(5, 1400000000000000009))
    assert birth() == b'1400000000.000000009'
    assert birth(b'-5') == b'-5.000000000'
    for wrong in [b'', b'x', b'1.x', b'1 ', b'1' * 30]:
        fails(errno.EINVAL, birth, wrong)
    assert as_user(1000, 1000, [], lambda: birth(b'1')) in (
        errno.EPERM, errno.EACCES)


@test
def append_only_files_grow_only():
    put('append', b'one')
    os.setxattr(path('append'), 'relive.flags', b'sappnd')
    with open(path('append'), 'ab') as f:
        f.write(b'two')
    for mode, at in [('r+b', 0), ('r+b', 6), ('wb', 0)]:
        fails(errno.EPERM, write_at, 'append', mode, at)
    fails(errno.EPERM, allocate, 'append', 3)
    allocate('append', 1, 6)
    fails(errno.EPERM, os.truncate, path('append'), 0)
    fails(errno.EPERM, os.unlink, path('append'))
    os.setxattr(path('append'), 'relive.flags', b'')
    assert get('append') == b'onetwo'


@test
def chattr_and_lsattr_speak_of_the_same_flags():
    put('chattr', b'x')
    fd = os.open(path('chattr'), os.O_RDONLY)
    buf = bytearray(8)
    fcntl.ioctl(fd, 0x80086601, buf)
    assert int.from_bytes(buf[:4], 'little') == 0
    before = os.stat(path('chattr')).st_ctime_ns
    time.sleep(0.02)
    fcntl.ioctl(fd, 0x40086602, (0x10).to_bytes(8, 'little'))
    assert os.stat(path('chattr')).st_ctime_ns > before
    assert os.getxattr(path('chattr'), 'relive.flags') == b'schg'
    fails(errno.EPERM, os.unlink, path('chattr'))
    fcntl.ioctl(fd, 0x40086602, (0x40).to_bytes(8, 'little'))
    assert os.getxattr(path('chattr'), 'relive.flags') == b'nodump'
    os.close(fd)
    os.unlink(path('chattr'))


@test
def locks_are_kept():
    put('lock')
    a = os.open(path('lock'), os.O_RDWR)
    b = os.open(path('lock'), os.O_RDWR)
    fcntl.flock(a, fcntl.LOCK_EX)
    fails(errno.EWOULDBLOCK, fcntl.flock, b, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(a, fcntl.LOCK_UN)
    fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.lockf(a, fcntl.LOCK_EX)
    assert as_user(0, 0, [], lambda: fcntl.lockf(os.open(
        path('lock'), os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)) in (
            errno.EAGAIN, errno.EACCES)
    os.close(a)
    os.close(b)


@test
def programs_run_from_it():
    busybox = '/bin/busybox'
    if not os.path.exists(busybox):
        busybox = '/bin/true'
    with open(busybox, 'rb') as f:
        put('true', f.read(), 0o755)
    assert subprocess.run([path('true')], stdout=subprocess.DEVNULL,
                          check=False).returncode == 0
    with open('/bin/true', 'rb') as f:
        assert f.read(4) == b'\x7fELF'
    running = subprocess.Popen(['/bin/sleep', '0'])
    running.wait()


@test
def writers_and_readers_at_once_see_whole_things():
    os.mkdir(path('par'))
    errors = []

    def work(k):
        try:
            for i in range(60):
                name = path(f'par/{k}-{i % 5}')
                with open(name + '.tmp', 'wb') as f:
                    f.write(bytes([k]) * (i * 1000))
                os.rename(name + '.tmp', name)
                with open(name, 'rb') as f:
                    data = f.read()
                assert set(data) <= {k}
                os.fsync(os.open(root, os.O_RDONLY)) if i % 20 == 0 else 0
        except BaseException as e:
            errors.append(e)
    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 7)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == [], errors
    assert len(os.listdir(path('par'))) == 30


@test
def many_syncs_share_their_flushes():
    put('sync')
    fds = [os.open(path('sync'), os.O_RDWR) for _ in range(8)]

    def work(fd):
        for i in range(20):
            os.pwrite(fd, b'x', i)
            os.fdatasync(fd)
    threads = [threading.Thread(target=work, args=(fd,)) for fd in fds]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for fd in fds:
        os.close(fd)


@test
def what_is_not_there_is_said_so():
    fails(errno.ENOENT, os.stat, path('nothing'))
    fails(errno.ENOENT, os.stat, path('nothing'))
    put('nothing', b'something')
    assert get('nothing') == b'something'
    fails(errno.ENOTDIR, os.stat, path('nothing/x'))
    fails(errno.EISDIR, os.unlink, path('sgid'))
    fails(errno.ENOTDIR, os.rmdir, path('nothing'))
    fails(errno.ENOTEMPTY, os.rmdir, path('sgid'))
    fails(errno.EEXIST, os.mkdir, path('sgid'))
    # Debian 12's libfuse has no such request.
    fails(errno.EOPNOTSUPP, os.open, root, os.O_TMPFILE | os.O_RDWR)


def main():
    print(f'1..{len(tests)}')
    bad = 0
    for i, f in enumerate(tests, 1):
        try:
            f()
            print(f'ok {i} - {f.__name__.replace("_", " ")}')
        except BaseException as e:
            import traceback
            line = traceback.extract_tb(e.__traceback__)
            bad += 1
            print(f'not ok {i} - {f.__name__.replace("_", " ")}')
            for frame in line:
                print(f'# line {frame.lineno}: {frame.line}')
            print(f'# {type(e).__name__}: {e}')
    return bad != 0


sys.exit(main())
