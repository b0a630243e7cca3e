#!/usr/bin/env python3
"""Many processes at work in one mount, each sure of what is its own.

usage: parallel.py work DIR WORKERS OPERATIONS SEED
       parallel.py verify DIR WORKERS OPERATIONS SEED

Every worker has a folder of its own and a model of it; in a shared folder all
of them quarrel over a few names, where nothing but the kind of error is known.
"verify" computes the models again and compares them with what is there.
"""
import errno
import mmap
import os
import random
import sys

QUARREL = {errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR,
           errno.EISDIR, errno.ESTALE, errno.EINVAL, errno.ELOOP}


class Own:
    """The model of a worker's folder; with a path, the folder too."""

    def __init__(self, path, rng):
        self.path, self.rng, self.files = path, rng, {}

    def at(self, name):
        return os.path.join(self.path, name)

    def write(self):
        name = f'f{self.rng.randrange(12)}'
        data = self.rng.randbytes(self.rng.choice([10, 5000, 70000]))
        off = self.rng.choice([0, 0, 3000, 100000])
        old = self.files.get(name, b'').ljust(off, b'\0')
        self.files[name] = old[:off] + data + old[off + len(data):]
        if self.path:
            fd = os.open(self.at(name), os.O_RDWR | os.O_CREAT, 0o644)
            os.pwrite(fd, data, off)
            if off == 3000:
                os.fsync(fd)
            os.close(fd)

    def truncate(self):
        name = self.some()
        size = self.rng.randrange(80000)
        if name:
            self.files[name] = self.files[name][:size].ljust(size, b'\0')
            if self.path:
                os.truncate(self.at(name), size)

    def rename(self):
        name, new = self.some(), f'f{self.rng.randrange(12)}'
        if name:
            self.files[new] = self.files.pop(name)
            if self.path:
                os.rename(self.at(name), self.at(new))

    def remove(self):
        name = self.some()
        if name:
            del self.files[name]
            if self.path:
                os.unlink(self.at(name))

    def some(self):
        names = sorted(self.files)
        return self.rng.choice(names) if names else None

    def compare(self):
        if not self.path:
            return
        assert sorted(os.listdir(self.path)) == sorted(self.files), self.path
        for name, want in self.files.items():
            with open(self.at(name), 'rb') as f:
                if len(want) > 0 and len(name) % 2 == 0:
                    got = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[:]
                else:
                    got = f.read()
            assert got == want, f'{self.path}/{name}'

    def step(self):
        what = self.rng.choice([self.write, self.write, self.truncate,
                                self.rename, self.remove])
        what()


def quarrel(shared, rng):
    """Something in the folder that all of them use."""
    a, b = (os.path.join(shared, f's{rng.randrange(6)}') for _ in range(2))
    try:
        match rng.randrange(8):
            case 0:
                os.close(os.open(a, os.O_CREAT | os.O_RDWR))
            case 1:
                os.mkdir(a)
            case 2:
                os.rename(a, b)
            case 3:
                os.unlink(a)
            case 4:
                os.rmdir(a)
            case 5:
                os.link(a, b)
            case 6:
                for entry in os.scandir(shared):
                    entry.stat(follow_symlinks=False)
            case 7:
                os.symlink('s1', a)
    except OSError as e:
        if e.errno not in QUARREL | {errno.EPERM, errno.EACCES}:
            raise


def model(path, number, operations, seed, between=None):
    """Go through a worker's operations, in path or in mind alone."""
    own = Own(path, random.Random(f'{seed} {number}'))
    for i in range(operations):
        own.step()
        if between:
            between(i)
    return own


def worker(top, number, operations, seed):
    path, rng = os.path.join(top, f'own{number}'), random.Random(number)
    os.mkdir(path)

    def between(i):
        quarrel(os.path.join(top, 'shared'), rng)
        if i % 50 == 0:
            os.statvfs(top)
            os.sync()

    model(path, number, operations, seed, between).compare()


def work(top, workers, operations, seed):
    os.makedirs(os.path.join(top, 'shared'), exist_ok=True)
    children = []
    for number in range(workers):
        pid = os.fork()
        if pid == 0:
            worker(top, number, operations, seed)
            os._exit(0)
        children.append(pid)
    bad = [pid for pid in children if os.waitpid(pid, 0)[1] != 0]
    sys.exit(f'{len(bad)} workers failed' if bad else 0)


def verify(top, workers, operations, seed):
    for number in range(workers):
        own = model(None, number, operations, seed)
        own.path = os.path.join(top, f'own{number}')
        own.compare()


if __name__ == '__main__':
    command, folder, *numbers = sys.argv[1:]
    {'work': work, 'verify': verify}[command](folder, *map(int, numbers))
