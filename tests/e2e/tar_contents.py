#!/usr/bin/env python3
"""List what a tar of `relive extract` tells beyond `relive ls --json`.

tar_contents.py FILE: a line for each file, sorted: name, which file it is a
link to, its extended attributes with their values, a hash of its contents.
"""
import base64
import hashlib
import sys
import tarfile


def attributes(headers):
    found = {}
    for key, value in headers.items():
        if key.startswith('LIBARCHIVE.xattr.'):
            padded = value + '=' * (-len(value) % 4)
            found[key[17:]] = base64.b64decode(padded).hex()
    return ' '.join(f'{k}={v}' for k, v in sorted(found.items()))


def line(tar, info):
    content = ''
    if info.isreg():
        content = hashlib.sha256(tar.extractfile(info).read()).hexdigest()
    return f'{info.name}|{info.linkname}|{attributes(info.pax_headers)}|' \
        f'{content}'


def main():
    with tarfile.open(sys.argv[1]) as tar:
        print('\n'.join(sorted(line(tar, info) for info in tar)))


main()
