#!/usr/bin/env python3
"""Mount damaged images and use them for all they are worth.

usage: damaged.py RELIVE FOLDER SEEDS IMAGE...

Each seed damages one of the images in FOLDER, mounts it, reads and changes
everything, and unmounts.  Anything may fail there; but the daemon must not
crash, hang, take much memory, or be silenced by a sanitizer.
"""
import os
import random
import resource
import shutil
import subprocess
import sys
import time

PATIENCE_S = 20     # for what takes milliseconds
MEMORY_KB = 400000  # the daemon's, at most
SERVED = {0, 1, 3}  # how a daemon may end


def damage(data, rng):
    """Hurt data in one of the ways that images get hurt, or are made up."""
    words = [i for i in range(0, len(data) - 8, 8) if any(data[i:i + 8])]
    for _ in range(rng.choice([1, 1, 3, 10, 40])):
        at = rng.choice(words)
        match rng.randrange(6):
            case 0:
                data[at + rng.randrange(8)] ^= 1 << rng.randrange(8)
            case 1:
                data[at:at + 8] = rng.randbytes(8)
            case 2:
                data[at:at + 8] = bytes([rng.choice([0, 255])] * 8)
            case 3:  # what stands elsewhere: circles, things held twice
                other = rng.choice(words)
                data[at:at + 8] = data[other:other + 8]
            case 4:
                at -= at % 512
                data[at:at + 512] = bytes(len(data[at:at + 512]))
            case 5:
                value = rng.choice([1, 2, 0x7fffffff, 0xffffffff, 1 << 62])
                order = rng.choice(['little', 'big'])
                data[at:at + 8] = value.to_bytes(8, order)
    if rng.randrange(10) == 0:
        del data[rng.randrange(len(data)):]


def quietly(act, *args, **kwargs):
    try:
        return act(*args, **kwargs)
    except (OSError, ValueError):
        return None


def read(path):
    with open(path, 'rb') as f:
        f.read(300000)
        f.seek(-5000, os.SEEK_END)
        f.read(10000)


def change(path, rng):
    """One change of what is there, of some kind."""
    other = path + 'x'
    match rng.randrange(9):
        case 0:
            with open(path, 'r+b') as f:
                f.seek(rng.choice([0, 4000, 70000, 1 << 24]))
                f.write(bytes(rng.choice([1, 5000, 40000])))
        case 1:
            os.truncate(path, rng.choice([0, 100, 50000, 1 << 30]))
        case 2:
            os.unlink(path)
        case 3:
            os.rename(path, other)
        case 4:
            os.link(path, other)
        case 5:
            os.setxattr(path, 'user.x', bytes(300))
        case 6:
            shutil.rmtree(path, ignore_errors=True)
        case 7:
            os.mkdir(other)
            open(os.path.join(other, 'new'), 'w').close()
        case 8:
            os.chmod(path, 0o700)


def use(top, rng):
    """Walk, read, change; a circle of folders is left after a while."""
    seen = []
    for folder, _, names in os.walk(top):
        if len(seen) > 150 or folder.count('/') > 40:
            break
        quietly(os.statvfs, folder)
        for name in names:
            seen.append(os.path.join(folder, name))
            for act in (os.lstat, os.readlink, os.listxattr):
                quietly(act, seen[-1])
            if os.path.isfile(seen[-1]):
                quietly(read, seen[-1])
        seen.append(folder)
    for path in rng.sample(seen, min(len(seen), 15)):
        quietly(change, path, rng)
    for i in range(5):
        quietly(shutil.copy, __file__, os.path.join(top, f'new{i}'))
    quietly(lambda: os.fsync(os.open(top, os.O_RDONLY)))


def mounted(top, daemon):
    """Whether it was mounted; False: the daemon ended instead."""
    device = os.stat(os.path.dirname(top)).st_dev
    while daemon.poll() is None:
        if os.path.ismount(top) and os.lstat(top).st_dev != device:
            return True
        time.sleep(0.001)
    return False


def user(top, rng):
    """Use the mount in a process that cannot hang for ever."""
    pid = os.fork()
    if pid == 0:
        use(top, rng)
        os._exit(0)
    end = time.time() + PATIENCE_S
    while time.time() < end:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return None
        time.sleep(0.002)
    return 'using it hangs'


def fault(relive, folder, image, rng):
    """What was wrong with the daemon, or None; and whether it mounted."""
    path, top = os.path.join(folder, 'hurt'), os.path.join(folder, 'top')
    data = bytearray(open(os.path.join(folder, image), 'rb').read())
    damage(data, rng)
    with open(path, 'wb') as f:
        f.write(data)
    shutil.rmtree(path + '.relive', ignore_errors=True)
    log = open(os.path.join(folder, 'log'), 'w+')
    daemon = subprocess.Popen([relive, 'mount', '-f', path, top], stderr=log,
                              stdin=subprocess.DEVNULL)
    said, used = None, mounted(top, daemon)
    if used:
        said = user(top, rng)
        subprocess.run([relive, 'umount', top], stderr=subprocess.DEVNULL,
                       timeout=PATIENCE_S)
        if os.path.ismount(top):
            subprocess.run(['umount', '-l', top])
    try:
        daemon.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
        said = said or 'the daemon does not end'
    log.seek(0)
    text = log.read()
    if daemon.returncode not in SERVED:
        said = said or f'the daemon ended with {daemon.returncode}'
    if 'Sanitizer' in text or 'runtime error' in text:
        said = said or 'a sanitizer complains'
    return said and f'{said}\n{text[:3000]}', used


def main(relive, folder, seeds, *images):
    os.makedirs(os.path.join(folder, 'top'), exist_ok=True)
    bad = mounts = 0
    for seed in range(int(seeds)):
        image = images[seed % len(images)]
        said, used = fault(relive, folder, image, random.Random(seed))
        mounts += used
        if said:
            bad += 1
            print(f'seed {seed}, {image}: {said}')
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    if most > MEMORY_KB and 'ASAN_OPTIONS' not in os.environ:
        bad += 1
        print(f'a daemon took {most} KiB')
    print(f'{seeds} images, {mounts} of them mounted, {bad} bad ends, '
          f'{most} KiB at most')
    sys.exit(bad != 0 or mounts == 0)


main(*sys.argv[1:])
