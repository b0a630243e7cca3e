"""Paths and names: how calls find, make, move and drop them."""
import ctypes
import itertools
import os
import stat

from posix_kit import (NOBODY, OTHER, TYPES, UFS1, ask, bind, drop, facts,
                       group, make, moved, open_close, put, raw, tree, user)

NAME_MAX, PATH_MAX = 255, 4096

# -- paths --------------------------------------------------------------------

ON_A_PATH = {
    'stat': os.stat,
    'lstat': os.lstat,
    'readlink': os.readlink,
    'chmod': lambda p: os.chmod(p, 0o600),
    'chown': lambda p: os.chown(p, 5, 5),
    'lchown': lambda p: os.lchown(p, 5, 5),
    'truncate': lambda p: os.truncate(p, 10),
    'link from': lambda p: os.link(p, 'new'),
    'link to': lambda p: os.link('file', p),
    'mkdir': lambda p: os.mkdir(p, 0o755),
    'mkfifo': os.mkfifo,
    'mknod': lambda p: os.mknod(p, stat.S_IFCHR | 0o644, os.makedev(1, 2)),
    'bind': bind,
    'open': open_close,
    'open to write': lambda p: open_close(p, os.O_WRONLY),
    'create': lambda p: open_close(p, os.O_CREAT | os.O_WRONLY),
    'create new': lambda p: open_close(
        p, os.O_CREAT | os.O_EXCL | os.O_RDWR),
    'open no link': lambda p: open_close(p, os.O_NOFOLLOW),
    'open a directory': lambda p: open_close(p, os.O_DIRECTORY),
    'open and empty': lambda p: open_close(p, os.O_TRUNC | os.O_WRONLY),
    'rename from': lambda p: os.rename(p, 'new'),
    'rename to': lambda p: os.rename('file', p),
    'rename a directory to': lambda p: os.rename('away', p),
    'rmdir': os.rmdir,
    'symlink': lambda p: os.symlink('test', p),
    'unlink': os.unlink,
    'utimensat': lambda p: os.utime(p, (1, 2)),
    'utimensat of a link': lambda p: os.utime(
        p, (1, 2), follow_symlinks=False),
    'access': lambda p: None if os.access(p, os.W_OK) else 'no',
    'list': os.listdir,
    'statvfs': lambda p: os.statvfs(p).f_namemax,
    'getxattr': lambda p: os.getxattr(p, 'user.none'),
    'setxattr': lambda p: os.setxattr(p, 'user.some', b'1'),
    'listxattr': os.listxattr,
}
LOOKING = ['stat', 'lstat', 'readlink', 'access', 'list', 'statvfs', 'getxattr',
           'listxattr', 'open', 'open no link', 'open a directory']
LONG, TOO_LONG = 'n' * NAME_MAX, 'n' * (NAME_MAX + 1)
PATHS = [
    '', '.', '..', 'file', 'file/', 'file/.', 'file/x', 'dir', 'dir/',
    'dir/.', 'dir/..', 'dir/x', 'dir/x/', 'full', 'full/', 'full/..',
    'full/in', 'none', 'none/', 'none/x', 'none/..', 'fifo', 'fifo/x',
    'char/x', 'block/x', 'socket/x', 'link', 'link/', 'link/x', 'to-dir',
    'to-dir/', 'to-dir/x', 'to-file', 'to-file/', 'to-file/x', 'loop',
    'loop/x', 'dir/../loop-a/x', 'loop-a', LONG, TOO_LONG, f'{LONG}/x',
    f'{TOO_LONG}/x', f'dir/{LONG}', f'dir/{TOO_LONG}', 'dir//x', './/dir',
    'closed/in', 'closed/none', 'locked/in', 'locked/none', 'a/b/' * 1100,
    './' * ((PATH_MAX - 1) // 2) + 'x', './' * ((PATH_MAX - 2) // 2) + 'xx',
]


def furnish():
    for kind in ['fifo', 'block', 'char', 'socket']:
        make(kind, kind)
    for name in ['dir', 'full', 'away', 'closed', 'locked']:
        os.mkdir(name)
    for name in ['file', 'full/in', 'closed/in', 'locked/in']:
        make('regular', name)
    for target, name in [('none', 'link'), ('dir', 'to-dir'),
                         ('file', 'to-file'), ('loop', 'loop'),
                         ('loop-b', 'loop-a'), ('loop-a', 'loop-b')]:
        os.symlink(target, name)
    os.chmod('closed', 0o666)
    os.chmod('locked', 0o555)


def on_paths(uid, names):
    furnish()
    pristine = tree()
    for name, path in itertools.product(names, PATHS):
        if UFS1 and 'xattr' in name:
            continue
        with user(uid):
            answer = ask(ON_A_PATH[name], path)
        if name.endswith('stat') and not isinstance(answer, str):
            answer = oct(answer.st_mode)
        if isinstance(answer, list):
            answer = sorted(answer)
        label = path if len(path) < 50 else f'{path[:20]}...{len(path)}'
        after = tree() if name not in LOOKING else pristine
        yield f'{name} of "{label}"', (answer, after)
        if after != pristine:
            drop(*os.listdir('.'))
            furnish()


@group
def every_call_on_every_kind_of_path():
    yield from on_paths(0, ON_A_PATH)


@group
def the_same_for_one_who_may_not():
    yield from on_paths(NOBODY, ON_A_PATH)


@group
def the_same_for_the_owner():
    os.chown('.', NOBODY, NOBODY)
    yield from on_paths(NOBODY, ['chmod', 'chown', 'link from', 'mkdir',
                                 'create', 'rename from', 'rename to',
                                 'rmdir', 'unlink', 'symlink', 'utimensat'])


@group
def paths_as_long_as_they_may_be():
    path = ''
    while len(path) + 128 < PATH_MAX - 1:
        path += 'd' * 127 + '/'
        os.mkdir(path)
    full = path + 'x' * (PATH_MAX - 1 - len(path))
    os.close(os.open('file', os.O_CREAT))
    for name in ['create new', 'stat', 'chmod', 'chown', 'truncate',
                 'unlink', 'mkdir', 'rmdir', 'mkfifo', 'unlink', 'mknod',
                 'unlink', 'symlink', 'readlink', 'lchown', 'unlink',
                 'link to', 'unlink', 'rename to', 'rename from']:
        for at in [full, full + 'x']:
            answer = ask(ON_A_PATH[name], at)
            if not isinstance(answer, (int, str)):
                answer = oct(answer.st_mode)
            yield f'{name}, {len(at)} bytes', answer
    for n in [1, 59, 60, 119, 120, 1023, PATH_MAX - 1, PATH_MAX]:
        yield f'a target of {n}', (ask(os.symlink, 's' * n, f's{n}'),
                                   ask(lambda n=n: facts(f's{n}')),
                                   ask(os.readlink, f's{n}'))


@group
def addresses_that_are_none():
    bad = ctypes.c_void_p(-1)
    make('regular', 'f')
    for name, args in {
            'chmod': [0o644], 'chown': [0, 0], 'lchown': [0, 0],
            'truncate': [0], 'mkdir': [0o755], 'rmdir': [], 'unlink': [],
            'open': [0], 'mkfifo': [0o644], 'mknod': [0o20644, 258]}.items():
        for at in [None, bad]:
            yield f'{name} {at}', ask(raw, name, at, *args)
    for name in ['link', 'rename', 'symlink']:
        for a, b in [(None, b'x'), (b'f', None), (bad, b'x'), (b'f', bad)]:
            yield f'{name} {a} {b}', ask(raw, name, a, b)


# -- making -------------------------------------------------------------------

@group
def new_things_and_the_times_of_their_directory():
    calls = {'dir': os.mkdir, 'fifo': os.mkfifo,
             'char': lambda p, m: os.mknod(p, stat.S_IFCHR | m, 0x102),
             'block': lambda p, m: os.mknod(p, stat.S_IFBLK | m, 0x102),
             'plain': lambda p, m: os.mknod(p, m),
             'socket': lambda p, m: os.mknod(p, stat.S_IFSOCK | m),
             'regular': lambda p, m: open_close(p, os.O_CREAT, m)}
    for kind, call in calls.items():
        for mode, mask in itertools.product(
                [0, 0o151, 0o345, 0o644, 0o755, 0o777, 0o4777, 0o2755,
                 0o1777], [0, 0o022, 0o070, 0o501, 0o777]):
            old = os.umask(mask)
            yield f'{kind} {mode:o} {mask:o}', (ask(call, 'n', mode),
                                                facts('n'))
            os.umask(old)
            drop('n')
        yield f'times of {kind}', moved(['.'], call, 'n', 0o644)
        st, top = os.lstat('n'), os.lstat('.')
        yield f'{kind}: all times are its birth', (
            st.st_atime_ns == st.st_ctime_ns == st.st_mtime_ns,
            abs(st.st_ctime_ns - top.st_ctime_ns) < 10**8)
        yield f'{kind} again', moved(['.', 'n'], call, 'n', 0o644)
        with user(NOBODY):
            yield f'{kind} by nobody', moved(['.'], call, 'm', 0o644)
        drop('n')
    yield 'symlink', moved(['.'], os.symlink, 'test', 'n')
    yield 'symlink again', moved(['.', 'n'], os.symlink, 'test', 'n')
    yield 'link', moved(['.', 'n'], os.link, 'n', 'm', follow_symlinks=False)


@group
def owners_of_new_things():
    for mode, owner, uid, gid in itertools.product(
            [0o777, 0o2777, 0o1777, 0o3777], [(0, 0), (NOBODY, OTHER)],
            [0, NOBODY, OTHER], [NOBODY, OTHER, 60000]):
        os.mkdir('d')
        os.chown('d', *owner)
        os.chmod('d', mode)
        with user(uid, gid):
            for kind in TYPES:
                ask(make, kind, f'd/{kind}')
            ask(open_close, 'd/set', os.O_CREAT, 0o6755)
            ask(os.mkdir, 'd/setd', 0o6755)
            ask(os.mknod, 'd/setn', 0o6755)
        yield f'{mode:o} {owner} {uid} {gid}', tree('d')
        drop('d')


# -- names come and go --------------------------------------------------------

@group
def renaming_every_type_over_every_type():
    for a, b, same in itertools.product(
            TYPES + ['full'], ['none'] + TYPES + ['full'], [True, False]):
        os.mkdir('d')
        os.mkdir('e')
        to = 'd/b' if same else 'e/b'
        for kind, path in [(a, 'd/a'), (b, to)]:
            make('dir' if kind == 'full' else kind, path)
            if kind == 'full':
                make('regular', f'{path}/in')
            if kind != 'none':
                os.utime(path, (9, 9), follow_symlinks=False)
        linked = b not in ('none', 'dir', 'full')
        if linked:
            os.link(to, 'l', follow_symlinks=False)
        yield f'{a} over {b}', (
            moved(['d', 'e', to, 'l'], os.rename, 'd/a', to), tree())
        drop('d', 'e', 'l')


@group
def renaming_in_circles():
    os.makedirs('a/b/c')
    make('regular', 'f')
    os.link('f', 'g')
    for old, new in [('a', 'a'), ('a', 'a/b'), ('a', 'a/b/c'),
                     ('a', 'a/b/c/d'), ('a/b', 'a'), ('a/b/c', 'a'),
                     ('a/b/.', 'x'), ('a/b/..', 'x'), ('a', 'x/.'),
                     ('a', '.'), ('.', 'x'), ('..', 'x'), ('f', '..'),
                     ('f', 'g'), ('f', 'f'), ('g', 'f'), ('f', 'h/'),
                     ('a/b', 'h/'), ('h', 'a/b'), ('f', 'a/b/c/f')]:
        yield f'{old} to {new}', (ask(os.rename, old, new), tree())
    os.makedirs('p/q')
    os.mkdir('r')
    os.rename('p/q', 'r/q')
    yield 'its parent', (os.stat('r/q/..').st_ino == os.stat('r').st_ino,
                         os.stat('p').st_nlink, os.stat('r').st_nlink)
    for flags, (old, new) in itertools.product(
            [1, 2, 3, 4, 8], [('p', 'r'), ('f', 'p'), ('p', 'r/q/x'),
                              ('r', 'r/q'), ('r/q', 'r'), ('f', 'none'),
                              ('none', 'f'), ('f', 'a'), ('f', 'f')]):
        yield f'{old} {new} {flags}', (
            ask(raw, 'renameat2', -100, old.encode(), -100, new.encode(),
                flags), tree())


@group
def names_in_sticky_directories():
    ids = [0, NOBODY, OTHER]
    for a, b in itertools.product(TYPES, ['none'] + TYPES):
        for d_owner, owner, e_owner, to_owner in itertools.product(
                ids, ids, [NOBODY, OTHER], [NOBODY, OTHER]):
            if b in ('none', a, 'regular', 'dir'):
                yield f'{a} {b} {d_owner} {owner} {e_owner} {to_owner}', \
                    move_in_sticky(a, b, (d_owner, owner, e_owner, to_owner))


def move_in_sticky(a, b, owners):
    """Answers to nobody's rename and removal in two sticky directories."""
    for name, owner in [('d', owners[0]), ('e', owners[2])]:
        os.mkdir(name)
        os.chmod(name, 0o1777)
        os.chown(name, owner, owner)
    make(a, 'd/a', owners[1])
    make(b, 'e/b', owners[3])
    with user(NOBODY):
        out = [ask(os.rename, 'd/a', 'e/b')]
        inside = tree()
        out += [ask(os.rename, 'd/a', 'd/c'), ask(os.rename, 'e/b', 'e/c'),
                ask(os.unlink, 'd/c'), ask(os.rmdir, 'd/c'),
                ask(os.unlink, 'e/b'), ask(os.rmdir, 'e/b')]
    drop('d', 'e')
    return out, inside


@group
def links_and_unlinked_files():
    for kind in TYPES:
        make(kind, 'x')
        out = []
        for i in range(3):
            out.append((moved(['x', '.'], os.link, 'x', f'l{i}',
                              follow_symlinks=False), ask(facts, 'x')))
        yield f'{kind}: linked', (out, tree())
        yield f'{kind}: over another', ask(os.link, 'x', 'l0')
        with user(NOBODY):
            yield f'{kind}: denied', moved(['x'], os.link, 'x', 'l9')
            yield f'{kind}: unlinking denied', moved(['x'], os.unlink, 'x')
        yield f'{kind}: unlinked', (
            moved(['l0', 'l1', '.'], os.unlink, 'l0'), tree())
        drop(*os.listdir('.'))
    make('regular', 'f')
    put('f', b'data')
    fd = os.open('f', os.O_RDWR)
    os.link('f', 'g')
    os.unlink('f')
    yield 'one left', os.fstat(fd).st_nlink
    os.unlink('g')
    yield 'none left', (os.fstat(fd).st_nlink, os.fstat(fd).st_size,
                        os.pread(fd, 9, 0), os.pwrite(fd, b'more', 4),
                        ask(os.link, f'/proc/self/fd/{fd}', 'h'),
                        ask(os.fchmod, fd, 0o600), ask(os.ftruncate, fd, 1),
                        os.pread(fd, 9, 0), oct(os.fstat(fd).st_mode))
    os.close(fd)
    os.mkdir('d')
    fd = os.open('d', os.O_RDONLY)
    os.rmdir('d')
    yield 'a directory that went', (
        os.listdir(fd), os.fstat(fd).st_nlink,
        ask(os.mkdir, 'x', dir_fd=fd), ask(os.stat, '..', dir_fd=fd) != 0,
        ask(os.fchmod, fd, 0o700))
    os.close(fd)
