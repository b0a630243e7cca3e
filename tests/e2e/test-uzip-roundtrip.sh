#!/bin/bash
# relive uzip and unuzip: every option, judged by programs that are not ours.
. "$(dirname "$0")/lib.sh"
need makefs cmp

make_tree "$work/tree"
make_ufs "$work/raw" "$work/tree" 2 8192 1024
size=$(stat -c %s "$work/raw")

# The raw image, padded to whole clusters.
padded() { # padded CLUSTER
	cp "$work/raw" "$work/padded"
	truncate -s $(((size + $1 - 1) / $1 * $1)) "$work/padded"
}

try() { # try CLUSTER OPTION...
	local cluster=$1
	shift
	check "uzip -s $cluster $*" "$relive" uzip -s "$cluster" "$@" \
		"$work/raw" -o "$work/x.uzip"
	check "unuzip it" "$relive" unuzip "$work/x.uzip" -o "$work/back"
	padded "$cluster"
	check "it comes back" cmp "$work/padded" "$work/back"
	check "it passes the checker" "$relive" check "$work/x.uzip"
	[ $(($(stat -c %s "$work/x.uzip") % 512)) = 0 ] &&
		pass "its size is a multiple of 512" ||
		fail "its size is a multiple of 512"
}

for cluster in 512 4096 16384 19456 65536 262144; do
	try $cluster
	try $cluster -d -Z
done
try 16384 -A lzma
try 65536 -A lzma -d
try 16384 -A zstd
try 262144 -A zstd -C 15 -d
try 16384 -C 1 -j 1
try 16384 -C 12 -j 8

"$relive" uzip "$work/raw" -o "$work/a" -j 1
"$relive" uzip "$work/raw" -o "$work/b" -j 7
check "the bytes do not depend on the threads" cmp "$work/a" "$work/b"

# Independent readers: no elided clusters, no back-references, version 2.
"$relive" uzip -Z "$work/raw" -o "$work/plain.uzip"
padded 16384
if command -v qemu-img >/dev/null; then
	check "qemu-img reads it" qemu-img convert -f cloop -O raw \
		"$work/plain.uzip" "$work/qemu.raw"
	check "and sees the same bytes" cmp "$work/padded" "$work/qemu.raw"
else
	skip "qemu-img reads it" "no qemu-img"
fi
if command -v extract_compressed_fs >/dev/null; then
	extract_compressed_fs "$work/plain.uzip" "$work/cloop.raw" \
		>/dev/null 2>&1 ||
		extract_compressed_fs "$work/plain.uzip" >"$work/cloop.raw" 2>/dev/null
	check "extract_compressed_fs sees the same bytes" \
		cmp "$work/padded" "$work/cloop.raw"
else
	skip "extract_compressed_fs reads it" "no cloop-utils"
fi

# Every stream by itself, with Python's zlib and lzma, by formats.md 1.5.
cat >"$work/decode.py" <<'PY'
import lzma, struct, sys, zlib
data = open(sys.argv[1], 'rb').read()
cluster, n = struct.unpack('>II', data[128:136])
toc = struct.unpack(f'>{n + 1}Q', data[136:136 + 8 * (n + 1)])
out, lengths, frontier = [], {}, toc[0] - 1
for i in range(n):
    at = toc[i]
    if at >= frontier:  # else a back-reference, of a length seen before
        following = [e for e in toc[i + 1:n] if e > frontier] + [len(data)]
        lengths[at] = following[0] - at
        frontier = following[0] - 1
    span = data[at:at + lengths[at]]
    if lengths[at] == 0 or not span.strip(b'\0'):
        out.append(bytes(cluster))
    elif chr(data[11]).upper() == 'V':
        out.append(zlib.decompressobj().decompress(span))
    else:
        out.append(lzma.LZMADecompressor().decompress(span))
sys.stdout.buffer.write(b''.join(out))
PY
for how in '-d' '-A lzma' '-s 4096'; do
	# shellcheck disable=SC2086 # options
	"$relive" uzip $how "$work/raw" -o "$work/x.uzip"
	case $how in *4096*) padded 4096 ;; *) padded 16384 ;; esac
	python3 "$work/decode.py" "$work/x.uzip" >"$work/python.raw" 2>"$work/err"
	check "Python decodes uzip $how" cmp "$work/padded" "$work/python.raw"
done

# Outputs appear whole or not at all.
: >"$work/empty"
refuse "an empty image" 1 'empty' \
	"$relive" uzip "$work/empty" -o "$work/none.uzip"
refuse "the input as output" 1 'input itself' \
	"$relive" uzip "$work/raw" -o "$work/raw"
refuse "a directory as output" 1 'Is a directory' \
	"$relive" uzip "$work/raw" -o "$work"
refuse "unuzip of what is none" 1 'uzip' \
	"$relive" unuzip "$work/raw" -o "$work/none.raw"
mkdir "$work/dir"
timeout -s INT 0.2 "$relive" uzip -A lzma -C 9 -j 1 "$work/raw" \
	-o "$work/dir/int.uzip" 2>/dev/null
[ -z "$(ls -A "$work/dir")" ] &&
	pass "an interrupt leaves nothing behind" ||
	fail "an interrupt leaves nothing behind: $(ls -A "$work/dir")"
echo old >"$work/dir/kept"
timeout -s TERM 0.2 "$relive" uzip -A lzma -C 9 -j 1 "$work/raw" \
	-o "$work/dir/kept" 2>/dev/null
[ "$(cat "$work/dir/kept")" = old ] &&
	pass "and keeps what was there" || fail "and keeps what was there"
end
