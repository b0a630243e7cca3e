#!/usr/bin/env python3
"""Put POSIX's questions to two directories and compare the answers, as TAP.

usage: posix.py REFERENCE SUBJECT [ufs1] [older]    as root

Each group below walks a table of cases in an empty directory of either file
system: calls with their error numbers, what they leave behind, and which
times they move.  A group passes when all answers are the same.
"""
import itertools
import os
import subprocess
import sys

import posix_acl  # noqa: F401 for its groups
import posix_names  # noqa: F401 for its groups
from posix_kit import (NOBODY, OLDER, OTHER, TYPES, UFS1, allocate,
                       answers_in, ask, differences, drop, facts, get, group,
                       groups, make, moved, open_close, put, stamps, tick,
                       user, utimens)

NOW, OMIT = (1 << 30) - 1, (1 << 30) - 2  # UTIME_NOW, UTIME_OMIT

# -- mode and owner -----------------------------------------------------------

@group
def modes_and_owners_of_every_type():
    for kind in TYPES:
        make(kind, 'x')
        os.symlink('x', 'to-x')
        for mode in [0o111, 0o222, 0o644, 0o4755, 0o2755, 0o1755, 0o7777, 0]:
            if kind != 'symlink':
                yield f'{kind} {mode:o}', (
                    moved(['x', 'to-x', '.'], os.chmod, 'to-x', mode),
                    facts('x'), facts('to-x'))
        for owner in [(123, 456), (0, 0), (-1, 5), (5, -1), (-1, -1),
                      (4294967294, 4294967294)]:
            if kind != 'symlink':
                os.chmod('x', 0o6555)
                yield f'{kind} {owner}', (
                    moved(['x', 'to-x', '.'], os.chown, 'to-x', *owner)[0],
                    facts('x'), facts('to-x'))
            answer = moved(['x', '.'], os.lchown, 'x', *owner)
            if owner == (-1, -1):  # POSIX leaves it open: Linux moves ctime
                answer = answer[0]
            yield f'{kind} itself {owner}', (answer, facts('x'))
        drop('x', 'to-x')


@group
def who_may_change_modes_and_owners():
    attempts = {
        'mode': lambda p: os.chmod(p, 0o111),
        'sticky': lambda p: os.chmod(p, 0o1644),
        'set-id': lambda p: os.chmod(p, 0o6755),
        'set-gid': lambda p: os.chmod(p, 0o2755),
        'owner': lambda p: os.lchown(p, OTHER, -1),
        'same owner': lambda p: os.lchown(p, NOBODY, -1),
        'group': lambda p: os.lchown(p, -1, 65531),
        'both': lambda p: os.lchown(p, NOBODY, 65531),
        'other group': lambda p: os.lchown(p, -1, 65530),
        'neither': lambda p: os.lchown(p, -1, -1)}
    for kind, owner, (uid, gid, more) in itertools.product(
            TYPES, [(NOBODY, OTHER), (0, 0), (NOBODY, 65531)],
            [(NOBODY, 65532, (65531,)), (NOBODY, OTHER, ()),
             (OTHER, OTHER, (65531,)), (0, 0, ())]):
        for what, f in attempts.items():
            if kind == 'symlink' and what in ('mode', 'sticky', 'set-id',
                                              'set-gid'):
                continue
            for mode in [0o644, 0o6555, 0o4775, 0o2745, 0o2705]:
                if kind == 'symlink' and mode != 0o644:
                    continue
                if owner[1] in more and mode & 0o2010 == 0o2000:
                    continue  # Linux keeps this bit, POSIX does not
                make(kind, 'x', mode=mode)
                os.lchown('x', *owner)
                if kind != 'symlink':
                    os.chmod('x', mode)
                with user(uid, gid, more):
                    answer = ask(f, 'x')
                if (what == 'neither' and uid not in (0, owner[0]) and
                        mode & 0o6000 and kind != 'dir' and not OLDER):
                    # Nothing is done, by which FreeBSD is content, Linux not.
                    answer = answer in (0, 'EPERM')
                yield f'{kind} {mode:o} of {owner}, {what} by {uid}', (
                    answer, facts('x'))
                drop('x')
        make(kind, 'x', 0)
        with user(NOBODY):
            yield f'{kind}: failing moves no time', moved(
                ['x'], os.lchown, 'x', NOBODY, NOBODY)
        drop('x')


@group
def set_id_bits_when_written():
    attempts = {
        'write': lambda p: put(p, b'x'),
        'write nothing': lambda p: put(p, b''),
        'truncate': lambda p: os.truncate(p, 2),
        'truncate to the same': lambda p: os.truncate(p, 4),
        'empty': lambda p: open_close(p, os.O_WRONLY | os.O_TRUNC),
        'open': lambda p: open_close(p, os.O_RDWR),
        'fallocate': lambda p: allocate(p, 0, 0, 9000),
        'punch': lambda p: allocate(p, 3, 0, 2)}
    for mode, (what, f), (uid, gid) in itertools.product(
            [0o4777, 0o2777, 0o6777, 0o2767, 0o6666, 0o1777],
            attempts.items(),
            [(0, 0), (NOBODY, NOBODY), (OTHER, OTHER), (OTHER, NOBODY)]):
        make('regular', 'f', NOBODY)
        put('f', b'1234')
        os.chmod('f', mode)
        with user(uid, gid):
            yield f'{what} {mode:o} by {uid}:{gid}', (ask(f, 'f'), facts('f'))
        drop('f')


@group
def set_id_bits_when_written_by_others():
    """By who was let in earlier, or by a group that is not the main one."""
    attempts = {
        'write': lambda fd: os.write(fd, b'x'),
        'truncate': lambda fd: os.ftruncate(fd, 2),
        'fallocate': lambda fd: os.posix_fallocate(fd, 0, 9000)}
    for mode, (what, f), (uid, gid, more) in itertools.product(
            [0o4755, 0o6755, 0o4775, 0o4757, 0o2664, 0o2674],
            attempts.items(),
            [(NOBODY, NOBODY, ()), (NOBODY, NOBODY, (OTHER,)),
             (NOBODY, OTHER, ())]):
        if mode & 0o2010 == 0o2000 and (
                OTHER not in more or what == 'truncate'):
            continue  # by whether they are in the group, which we cannot ask
        make('regular', 'f', 0)
        put('f', b'1234')
        os.chown('f', 0, OTHER)
        os.chmod('f', mode)
        fd = os.open('f', os.O_RDWR)
        with user(uid, gid, more):
            answer = ask(f, fd)
        # asks for the mode alone, which the kernel may know without us
        known = subprocess.check_output(['stat', '-c', '%a', 'f'])
        os.close(fd)
        yield f'{what} {mode:o} by {uid}:{gid}:{more}', (
            answer, known, facts('f'))
        drop('f')


@group
def permission_bits_of_each_class():
    for kind, mode, (uid, gid, more) in itertools.product(
            ['regular', 'dir', 'fifo'],
            [bits << at for bits in range(8) for at in (6, 3, 0)] + [0o2010],
            [(NOBODY, 1, ()), (OTHER, NOBODY, ()), (OTHER, 1, (NOBODY,)),
             (OTHER, 1, ()), (0, 0, ())]):
        make(kind, 'x', NOBODY, mode)
        answers = []
        with user(uid, gid, more):
            for flags in [os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND,
                          os.O_RDONLY | os.O_TRUNC]:
                answers.append(ask(open_close, 'x', flags))
            answers += [os.access('x', how, effective_ids=True)
                        for how in (os.R_OK, os.W_OK, os.X_OK)]
            answers += [ask(os.mkdir, 'x/d'), ask(os.rmdir, 'x/d'),
                        ask(os.listdir, 'x'), ask(os.truncate, 'x', 0)]
        yield f'{kind} {mode:o} for {uid}:{gid}', answers
        drop('x')


# -- times --------------------------------------------------------------------

@group
def who_may_set_times():
    for atime, mtime, mode, (uid, gid) in itertools.product(
            [(1, 0), (0, NOW), (0, OMIT)], [(2, 5), (0, NOW), (0, OMIT)],
            [0o644, 0o666, 0o444, 0o466],
            [(0, 0), (NOBODY, NOBODY), (OTHER, OTHER)]):
        make('regular', 'f', NOBODY, mode)
        os.utime('f', (7, 8))
        before = stamps('f')
        tick()
        with user(uid, gid):
            answer = ask(utimens, 'f', atime, mtime)
        st = os.stat('f')
        yield f'{atime} {mtime} {mode:o} by {uid}', (
            answer, st.st_atime if st.st_atime < 99 else 'now',
            st.st_mtime if st.st_mtime < 99 else 'now',
            before['c'] != st.st_ctime_ns)
        drop('f')
    make('regular', 'f')
    for t in [(0, 10**9), (0, -1), (0, (1 << 30) - 3)]:
        yield f'nonsense {t}', ask(utimens, 'f', t, t)
    for kind in TYPES:
        make(kind, 'x')
        os.symlink('x', 'to-x')
        for path, flags in [('x', 0), ('x', 0x100), ('to-x', 0),
                            ('to-x', 0x100)]:
            yield f'{kind} {path} {flags}', (
                moved(['x', 'to-x'], utimens, path, (5, flags), (6, flags),
                      flags), 
                kind != 'symlink' and os.lstat('x').st_atime_ns,
                min(99, os.lstat('to-x').st_mtime))
        drop('x', 'to-x')


@group
def times_of_all_ages():
    make('regular', 'f')
    times = [0, 1, -1, 1900000000, 2**31 - 1, -2**31 + 1]
    if not UFS1:
        times += [2**31, 2**32 - 1, 2**32, 2**33]
    for s, ns in itertools.product(times, [0, 1, 100000000, 999999999]):
        answer = ask(utimens, 'f', (s, ns), (s, 999999999 - ns))
        st = os.stat('f')
        yield f'{s}.{ns}', (answer, st.st_atime_ns, st.st_mtime_ns)


@group
def what_moves_which_time():
    os.mkdir('d')
    os.mkdir('e')
    for kind in TYPES:
        make(kind, 'd/x')
        seen = ['d', 'e', 'd/x', 'd/y', 'e/x']
        for label, f, args in [
                ('rename', os.rename, ('d/x', 'd/y')),
                ('rename back', os.rename, ('d/y', 'd/x')),
                ('move', os.rename, ('d/x', 'e/x')),
                ('move back', os.rename, ('e/x', 'd/x')),
                ('link', os.link, ('d/x', 'e/x')),
                ('rename to the same', os.rename, ('d/x', 'e/x')),
                ('unlink', os.unlink, ('e/x',)),
                ('unlink none', os.unlink, ('e/x',)),
                ('truncate', os.truncate, ('d/x', 7)),
                ('truncate to the same', os.truncate, ('d/x', 7)),
                ('truncate badly', os.truncate, ('d/x', -1)),
                ('empty', open_close, ('d/x', os.O_WRONLY | os.O_TRUNC)),
                ('empty again', open_close, ('d/x', os.O_RDWR | os.O_TRUNC)),
                ('open', open_close, ('d/x', os.O_RDWR | os.O_CREAT)),
                ('write', put, ('d/x', b'data')),
                ('write nothing', put, ('d/x', b'')),
                ('rmdir', os.rmdir, ('d/x',)),
                ('chmod', os.chmod, ('d/x', 0o640))]:
            if kind in ('char', 'block', 'fifo', 'socket', 'symlink') and \
                    label.split()[0] in ('truncate', 'empty', 'open',
                                         'write', 'chmod'):
                continue
            yield f'{kind}: {label}', moved(seen, f, *args)
            if label == 'link':
                yield f'{kind}: links', ask(facts, 'd/x')
            with user(NOBODY):
                yield f'{kind}: {label} denied', moved(seen, f, *args)
        drop('d/x', 'e/x')
    make('regular', 'f')
    fd = os.open('f', os.O_RDWR)
    for label, f, args in [
            ('ftruncate', os.ftruncate, (fd, 9)),
            ('ftruncate to the same', os.ftruncate, (fd, 9)),
            ('fchmod', os.fchmod, (fd, 0o600)),
            ('fchown', os.fchown, (fd, 1, 1)),
            ('fallocate', allocate, ('f', 0, 0, 90000)),
            ('punch', allocate, ('f', 3, 0, 90000)),
            ('read', os.pread, (fd, 9, 0)),
            ('fsync', os.fsync, (fd,))]:
        yield f'of an open file: {label}', moved(['f', '.'], f, *args)
    os.close(fd)


# -- data ---------------------------------------------------------------------

@group
def sizes_and_what_is_in_them():
    make('regular', 'f')
    put('f', bytes(range(256)) * 300)
    for size in [1234567, 567, 0, 40000, 39999, 32768, 1, 5, 65536, -1,
                 2**31 + 1, 2**33, 2**33 - 4097, 100]:
        yield f'truncate {size}', (
            ask(os.truncate, 'f', size), os.stat('f').st_size,
            get('f', 70000), get('f', 100, max(0, size - 100)))
    for at in [2**31 - 5, 2**32 - 5, 2**35]:
        put('f', b'0123456789', at=at)
        yield f'at {at}', (os.stat('f').st_size, get('f', 20, at - 5))
    for flags in [os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_APPEND | 1]:
        fd = os.open('f', flags)
        yield f'flags {flags}', (
            ask(os.ftruncate, fd, 50), ask(os.ftruncate, fd, -1),
            ask(os.pwrite, fd, b'ab', 3), ask(os.write, fd, b'cd'),
            ask(os.pread, fd, 90, 0), ask(os.lseek, fd, -9, 0),
            ask(os.lseek, fd, 9, os.SEEK_END), os.fstat(fd).st_size)
        os.close(fd)
    yield 'closed', (ask(os.ftruncate, fd, 0), ask(os.fsync, fd))
    for what, args in itertools.product(
            [0, 1, 2, 3, 16, 17, 8, 32, 64, 99],
            [(0, 5000), (0, 0), (-1, 5), (5, -1), (4096, 8192), (45, 3)]):
        if (what, args) in (((1), (0, 5000)), (1, (4096, 8192))):
            continue  # beyond the end: UFS has no blocks there
        if what in (8, 32):
            continue  # collapse and insert, which ext4 has
        put('f', b'x' * 9000)
        yield f'fallocate {what} {args}', (
            ask(allocate, 'f', what, *args), os.stat('f').st_size,
            get('f', 20000))
        os.truncate('f', 50)
    for kind in ['dir', 'fifo', 'socket']:
        make(kind, kind)
        yield f'truncate a {kind}', ask(os.truncate, kind, 0)
    for kind in TYPES[1:]:
        make(kind, f'x{kind}')
        os.symlink(f'x{kind}', f'to-{kind}')
        for flags in [os.O_CREAT | os.O_EXCL, os.O_NOFOLLOW,
                      os.O_DIRECTORY, os.O_RDWR, os.O_WRONLY, os.O_CREAT,
                      os.O_PATH, os.O_TRUNC, os.O_RDONLY]:
            if kind not in ('block', 'char') or flags & (
                    os.O_EXCL | os.O_PATH):
                yield f'open {kind} {flags}', (
                    ask(open_close, f'x{kind}', flags),
                    ask(open_close, f'to-{kind}', flags))


@group
def a_program_that_runs_is_not_written_to():
    with open('/bin/sleep', 'rb') as f:
        program = f.read()
    make('regular', 'run', mode=0o755)
    put('run', program)
    ready, hold = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ready[0])
        os.execv('run', ['run', '60'])
    os.close(ready[1])
    os.read(ready[0], 1)  # closed by exec
    for label, f in [('write', lambda: open_close('run', os.O_WRONLY)),
                     ('append', lambda: open_close(
                         'run', os.O_RDWR | os.O_APPEND)),
                     ('empty', lambda: open_close(
                         'run', os.O_WRONLY | os.O_TRUNC)),
                     ('truncate', lambda: os.truncate('run', 1)),
                     ('read', lambda: open_close('run')),
                     ('unlink', lambda: os.unlink('run'))]:
        yield label, ask(f)
    os.kill(child, 9)
    os.waitpid(child, 0)
    for fd in (ready[0], *hold):
        os.close(fd)


# -- both sides ---------------------------------------------------------------

def main():
    old = os.umask(0)
    bad = asked = 0
    print(f'1..{len(groups)}')
    for i, f in enumerate(groups, 1):
        want, got = (answers_in(top, f) for top in sys.argv[1:3])
        if not want:
            print(f'ok {i} - {f.__name__.replace("_", " ")} '
                  '# SKIP one of both has no such thing')
            continue
        wrong = [(w, g) for w, g in itertools.zip_longest(want, got)
                 if w != g]
        asked += len(want)
        bad += bool(wrong)
        print(f'{"not " if wrong else ""}ok {i} - '
              f'{f.__name__.replace("_", " ")}: {len(want)} answers')
        for w, g in wrong[:8]:
            for at, is_, should in differences(w, g):
                print(f'# {at}: {str(is_)[:200]}, want {str(should)[:200]}')
    os.umask(old)
    print(f'# {asked} questions')
    return bad != 0


if __name__ == '__main__':
    sys.exit(main())