#!/bin/bash
# Damaged images, mounted and used: whatever fails, the daemon does not crash,
# hang or grow.  Sanitized by `make asan`; a seed is the same for all time.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs python3 genisoimage

# Leaks are looked for by tracing, which a confined process does not do.
[ -z "${ASAN_OPTIONS-}" ] || export ASAN_OPTIONS="$ASAN_OPTIONS:detect_leaks=0"

mkdir -p "$work/tree/dir/deep"
seq 1 9000 >"$work/tree/dir/numbers"
for i in $(seq 30); do echo "$i" >"$work/tree/dir/deep/file$i"; done
ln "$work/tree/dir/numbers" "$work/tree/linked"
ln -s dir "$work/tree/symlink"
ln -s "$(printf 'x%.0s' $(seq 1 200))" "$work/tree/long"
truncate -s 3M "$work/tree/hole"
echo end >>"$work/tree/hole"

make_ufs "$work/two" "$work/tree" 2 4096 512 -b 10%
make_ufs "$work/one" "$work/tree" 1 8192 1024 -b 10%
"$relive" uzip -q -s 4096 "$work/two" -o "$work/zlib"
"$relive" uzip -q -A zstd -s 16384 "$work/one" -o "$work/zstd"
mkdir "$work/stage"
cp "$work/zlib" "$work/stage/base.uzip"
genisoimage -quiet -R -o "$work/iso" "$work/stage"

check "damaged images do no harm" python3 "$top/tests/e2e/damaged.py" \
	"$relive" "$work" "${RELIVE_DAMAGED:-200}" two one zlib zstd two iso
tail -n 1 "$work/out" | sed 's/^/# /'
end
