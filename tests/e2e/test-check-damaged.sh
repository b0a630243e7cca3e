#!/bin/bash
# relive check finds damage in every layer, says where, and exits 3; nothing
# that is damaged makes a command crash or hang.
. "$(dirname "$0")/lib.sh"
need makefs genisoimage python3

make_tree "$work/tree"
make_ufs "$work/raw" "$work/tree" 2 8192 1024
"$relive" uzip "$work/raw" -o "$work/base.uzip" || exit 1
make_iso "$work/live.iso" "$work/base.uzip" seed 2>/dev/null

poke() { # poke FILE OFFSET BYTES: write there, as printf gives them
	# shellcheck disable=SC2059 # escapes are meant
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# damaged WHAT PATTERN FILE: check exits 3 and says something that matches.
damaged() {
	timeout 60 "$relive" check "$3" >"$work/out" 2>&1
	local got=$?
	[ $got = 3 ] && grep -Eiq -- "$2" "$work/out" && pass "$1" ||
		{ echo "exit status $got" >>"$work/out"; fail "$1" "$work/out"; }
}

for image in raw base.uzip live.iso; do
	check "$image is sound" "$relive" check "$work/$image"
done

# uzip
cp "$work/base.uzip" "$work/x"
data=$(python3 -c "import struct
d = open('$work/x', 'rb').read(200)
print(struct.unpack('>Q', d[136:144])[0])")
poke "$work/x" $((data + 40)) '\377\376\375\374'
damaged "a cluster that does not decode" 'cluster' "$work/x"
cp "$work/base.uzip" "$work/x"
poke "$work/x" 136 '\377\377\377\377\377\377\377\377'
damaged "an index entry outside the file" 'offset|entry|index|cluster' "$work/x"
head -c 300000 "$work/base.uzip" >"$work/x"
damaged "a uzip cut short" . "$work/x"

# UFS: the backup superblock, a cylinder group, an inode, a directory.
cp "$work/raw" "$work/x"
python3 - "$work/x" <<'PY'
import struct, sys
f = open(sys.argv[1], 'r+b')
f.seek(8192)
sb = f.read(8192)
iblkno, cblkno, fpg, fsize = (struct.unpack_from('<i', sb, 16)[0],
    struct.unpack_from('<i', sb, 12)[0], struct.unpack_from('<i', sb, 188)[0],
    struct.unpack_from('<i', sb, 52)[0])
open(sys.argv[1] + '.at', 'w').write(f'{cblkno * fsize} {iblkno * fsize}')
PY
read -r group inodes <"$work/x.at"
poke "$work/x" $((group + 4)) '\0\0\0\0'
damaged "a cylinder group without its magic" 'group|magic' "$work/x"
cp "$work/raw" "$work/x"
poke "$work/x" $((inodes + 256 * 2 + 2)) '\144\0'
damaged "the root's link count" 'link' "$work/x"
cp "$work/raw" "$work/x"
poke "$work/x" $((inodes + 256 * 2 + 112)) '\377\377\377\177'
damaged "a block address outside the file system" . "$work/x"
"$relive" ls -R "$work/x" >/dev/null 2>"$work/err"
[ $? = 3 ] && pass "ls of it says damaged too" ||
	fail "ls of it says damaged too" "$work/err"

# ISO
cp "$work/live.iso" "$work/x"
record=$(python3 -c "import struct
d = open('$work/x', 'rb').read(1 << 20)
at = struct.unpack_from('<I', d, 32768 + 156 + 2)[0] * 2048
at += d[at]  # .
at += d[at]  # ..
print(at)")
poke "$work/x" $((record + 2)) '\377\377\377\177\177\377\377\377'
damaged "a directory record that points outside" . "$work/x"

# Random damage: no crash, no hang, a sensible exit code.
RANDOM=11
bad=
for i in $(seq 1 60); do
	case $((i % 3)) in 0) src=raw ;; 1) src=base.uzip ;; 2) src=live.iso ;; esac
	cp "$work/$src" "$work/x"
	for _ in 1 2 3 4 5 6; do
		# mostly where the structures are
		poke "$work/x" $((RANDOM * (RANDOM % 12))) \
			"\\$(printf %o $((RANDOM % 256)))"
	done
	for cmd in check info 'ls -lR' 'extract --tar -o /dev/stdout'; do
		case $cmd in extract*) cmd="extract -o -" ;; esac
		# shellcheck disable=SC2086 # a command and its options
		timeout 60 "$relive" $cmd "$work/x" >/dev/null 2>"$work/err"
		got=$?
		[ $got -le 3 ] || bad="$bad $i:$src:${cmd%% *}:$got"
	done
	# what can be laid out afresh is sound then
	[ $((i % 2)) = 0 ] || continue
	rm -f "$work/fresh"
	timeout 60 "$relive" convert -q "$work/x" -o "$work/fresh" 2>"$work/err"
	got=$?
	[ $got -le 3 ] || bad="$bad $i:$src:convert:$got"
	[ $got = 0 ] || [ ! -e "$work/fresh" ] || bad="$bad $i:$src:left"
	[ $got != 0 ] || "$relive" check -q "$work/fresh" 2>"$work/err" ||
		bad="$bad $i:$src:unsound"
done
[ -z "$bad" ] && pass "random damage never crashes nor hangs a command" ||
	fail "random damage never crashes nor hangs a command:$bad"
end
