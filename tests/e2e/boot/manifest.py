#!/usr/bin/env python3
"""What walk.h prints of a volume, of a folder: CRC-32, bytes, path."""
import os
import sys
import zlib

for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        path = os.path.join(folder, name)
        if os.path.islink(path) or not os.path.isfile(path):
            continue
        with open(path, 'rb') as f:
            data = f.read()
        print(f'{zlib.crc32(data):08x} {len(data)} '
              f'{path[len(sys.argv[1]):]}')
