"""Access control lists: set, enforced, inherited, and changed by chmod."""
import errno
import itertools
import os
import struct

from posix_kit import (NOBODY, OTHER, TYPES, UFS1, ask, drop, facts, group,
                       make, moved, open_close, put, user)

ACCESS, DEFAULT = 'system.posix_acl_access', 'system.posix_acl_default'
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, ANY = 1, 2, 4, 8, 16, 32
NO_ID = 2**32 - 1


def pack(*entries):
    return struct.pack('<I', 2) + b''.join(
        struct.pack('<HHI', tag, perm, NO_ID if who is None else who)
        for tag, perm, who in entries)


def list_of(owner, named, group_obj, mask, other, more=()):
    return pack((USER_OBJ, owner, None), *((USER, p, w) for w, p in named),
                (GROUP_OBJ, group_obj, None),
                *((GROUP, p, w) for w, p in more), (MASK, mask, None),
                (ANY, other, None))


LISTS = {
    'minimal': pack((USER_OBJ, 6, None), (GROUP_OBJ, 4, None),
                    (ANY, 0, None)),
    'one user': list_of(6, [(OTHER, 7)], 0, 7, 0),
    'masked': list_of(7, [(OTHER, 7)], 7, 4, 4),
    'groups': list_of(7, [(NOBODY, 0)], 5, 7, 0, [(60000, 6), (60001, 1)]),
    'most': list_of(7, [(i, 7) for i in range(1, 29)], 5, 7, 0),
    'no mask': pack((USER_OBJ, 6, None), (USER, 6, 1), (GROUP_OBJ, 4, None),
                    (ANY, 0, None)),
    'wrong version': b'\1\0\0\0',
    'short': b'\2\0\0',
    'none': pack(),
}


def lists(path):
    return [ask(os.getxattr, path, name, follow_symlinks=False)
            for name in (ACCESS, DEFAULT)]


def supported():
    """UFS1 has none; then both sides go without, and so they do in turn."""
    try:
        os.getxattr('.', ACCESS)
    except OSError as e:
        return e.errno == errno.ENODATA and not UFS1
    return True


@group
def access_control_lists_are_set_and_follow_the_mode():
    if not supported():
        return
    for kind, (name, value), which in itertools.product(
            TYPES, LISTS.items(), (ACCESS, DEFAULT)):
        if kind in ('block', 'char'):
            continue  # UFS keeps no attributes of devices
        make(kind, 'x', NOBODY)
        yield f'{kind} {name} {which}', (
            moved(['x', '.'], os.setxattr, 'x', which, value,
                  follow_symlinks=False),
            lists('x'), facts('x'),
            sorted(ask(os.listxattr, 'x', follow_symlinks=False)))
        for mode in (0o751, 0o2004, 0o60):
            if kind != 'symlink':
                os.chmod('x', mode)
            yield f'{kind} {name} {which} {mode:o}', (lists('x'), facts('x'))
        yield f'{kind} {name} {which} removed', (
            ask(os.removexattr, 'x', which, follow_symlinks=False),
            lists('x'), facts('x'))
        drop('x')


@group
def access_control_lists_are_obeyed():
    if not supported():
        return
    for kind, name, mode in itertools.product(
            ['regular', 'dir'], ['one user', 'masked', 'groups'],
            [None, 0o740, 0o707]):
        make(kind, 'x', 1)
        os.setxattr('x', ACCESS, LISTS[name])
        if mode is not None:
            os.chmod('x', mode)
        for uid, gid, more in [
                (1, 1, ()), (NOBODY, 5, ()), (OTHER, 5, ()), (5, 1, ()),
                (5, 60000, ()), (5, 5, (60000,)), (5, 5, (60001,)),
                (5, 5, (60000, 60001)), (5, 5, ()), (0, 0, ())]:
            with user(uid, gid, more):
                yield f'{kind} {name} {mode} {uid}:{gid}:{more}', (
                    [os.access('x', how, effective_ids=True)
                     for how in range(1, 8)],
                    ask(open_close, 'x', os.O_RDWR), ask(put, 'x', b'1'),
                    ask(os.listdir, 'x'), ask(os.mkdir, 'x/y'),
                    ask(os.rmdir, 'x/y'),
                    ask(os.setxattr, 'x', ACCESS, LISTS['masked'])
                    if uid not in (0, 1) else None)
        drop('x')
    make('regular', 'x', NOBODY, 0o2777)
    with user(NOBODY, OTHER):
        yield 'set-gid of a stranger to the group', (
            ask(os.setxattr, 'x', ACCESS, LISTS['one user']), facts('x'))


@group
def default_lists_are_inherited():
    if not supported():
        return
    for name, umask, mode in itertools.product(
            ['minimal', 'one user', 'masked', 'groups'], [0, 0o77, 0o777],
            [0o777, 0o640, 0o2751, 0]):
        os.mkdir('d')
        os.setxattr('d', DEFAULT, LISTS[name])
        old = os.umask(umask)
        for what, f in {
                'file': lambda: open_close('d/x', os.O_CREAT, mode),
                'dir': lambda: os.mkdir('d/x', mode),
                'fifo': lambda: os.mkfifo('d/x', mode),
                'node': lambda: os.mknod('d/x', mode),
                'link': lambda: os.symlink('to', 'd/x')}.items():
            yield f'{name} {umask:o} {mode:o} {what}', (
                ask(f), facts('d/x'), lists('d/x'))
            drop('d/x')
        os.umask(old)
        drop('d')
