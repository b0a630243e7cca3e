"""The plain bytes of a uzip as a kernel would show them (formats.md 1.5).

usage: uzip_plain.py IMAGE OUT

By Python's own zlib and lzma and the zstd program; an image that kernels would
refuse is an error.  Prints how many clusters have more bytes than their stream.
"""

import lzma
import struct
import subprocess
import sys
import zlib


def most(letter, b):
    """The longest span of a cluster, for the strictest kernel."""
    if letter == "v":
        return b + (b >> 12) + (b >> 14) + 11
    if letter == "l":
        return b + b // 255 + 16
    return b + (b >> 8) + ((0x20000 - b) >> 11 if b < 0x20000 else 0)


def spans(data, letter, b, n):
    """Offset and length of each cluster; which one is the last."""
    start = 136 + 8 * (n + 1)
    media = len(data) // 512 * 512
    toc = list(struct.unpack(f">{n + 1}Q", data[136:start]))
    if data[12] < ord("4") or toc[n] == 0:
        toc[n] = media
    length, stored, last, frontier = [0] * n, {}, 0, toc[0]
    for i in range(n):
        assert start <= toc[i] <= media, f"cluster {i} lies outside"
        if toc[i] + 1 < frontier:
            length[i] = stored[toc[i]]
            continue
        last, j = i, i + 1
        while j < n and toc[j] < frontier:
            j += 1
        length[i] = toc[j] - toc[i]
        assert length[i] >= 0 and toc[j] <= media, f"cluster {i} is too long"
        frontier = toc[j]
        if length[i] > 0:
            stored.setdefault(toc[i], length[i])
    for i in range(n):
        assert i == last or length[i] <= most(letter, b), f"cluster {i}: over"
    return toc, length, last


def stream(letter, data):
    """Plain bytes of a stream and what is behind it; None: there is none."""
    coder = zlib.decompressobj() if letter == "v" else lzma.LZMADecompressor()
    try:
        plain = coder.decompress(data)
    except (zlib.error, lzma.LZMAError):
        return None
    return (plain, coder.unused_data) if coder.eof else None


def frames(pieces, b):
    """What zstd makes of all clusters, one behind the other."""
    plain = subprocess.run(["zstd", "-dqc"], input=b"".join(pieces),
                           stdout=subprocess.PIPE, check=True).stdout
    assert len(plain) == len(pieces) * b, "a cluster is not whole"
    return [plain[i * b:i * b + b] for i in range(len(pieces))]


def main():
    data = open(sys.argv[1], "rb").read()
    letter = chr(data[11]).lower()
    b, n = struct.unpack(">II", data[128:136])
    toc, length, last = spans(data, letter, b, n)
    used = [i for i in range(n) if length[i] > 0]
    pieces = [data[toc[i]:toc[i] + length[i]] for i in used]
    plain, slack = {}, 0
    if letter == "z":
        plain = dict(zip(used, frames(pieces, b)))
        slack = sum(b"\x50\x2a\x4d\x18" in piece for piece in pieces)
    for i, piece in zip(used, pieces) if letter != "z" else ():
        got = stream(letter, piece)
        if got is None:
            assert i == last and not any(piece), f"cluster {i}: no stream"
            continue
        assert len(got[0]) == b, f"cluster {i}: {len(got[0])} bytes"
        plain[i] = got[0]
        slack += len(got[1]) > 0 and i != last
    with open(sys.argv[2], "wb") as out:
        for i in range(n):
            out.write(plain.get(i, bytes(b)))
    print(slack)


main()
