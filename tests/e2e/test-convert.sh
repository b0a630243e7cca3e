#!/bin/bash
# relive convert: whatever form, version, geometry or byte order an image gets,
# its tree stays what it was, to the last flag, time and attribute; edits leave
# no traces; what is damaged or no UFS is refused.
# shellcheck disable=SC2016,SC2034 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/judges.sh"
need_root
need_fuse
need makefs genisoimage xorriso bsdtar sgdisk python3 jq xz cc

# All that there is to tell about a tree but where it lies.
everything() { # everything IMAGE
	"$relive" ls -R --json "$1" / | jq -c 'select(.path != "/.sujournal") |
		del(.id, .blocks) | .xattrs |= sort | if .mode_text[0:1] == "d" then del(.size)
		else . end' | LC_ALL=C sort
	"$relive" ls -d --json "$1" / | jq -c 'del(.id, .blocks, .size)'
	"$relive" extract -q "$1" -o "$work/everything.tar" 2>/dev/null
	python3 "$top/tests/e2e/tar_contents.py" "$work/everything.tar" |
		grep -v '^.sujournal|'
}

# UFS1 has neither birth times nor attributes.
as_ufs1() {
	sed -E 's/"birth":"[^"]*"//; s/"xattrs":\[[^]]*\]//
		s/^([^{|][^|]*\|[^|]*\|)[^|]*/\1/' "$1"
}

# The converted image must hold what the file says, and be sound.
holds() { # holds WHAT IMAGE EVERYTHING
	check "$1: check" "$relive" check "$2"
	everything "$2" >"$work/got"
	same "$1: the tree" "$3" "$work/got"
}

fact() { # fact IMAGE KEY: of relive info
	"$relive" info --json "$1" | jq -r ".. | .$2? // empty" | head -n1
}

# -- a tree with everything ---------------------------------------------------

tree=$work/tree
make_tree "$tree"
setfattr -n user.colour -v blue "$tree/etc/rc.conf"
cat >"$work/flags.mtree" <<'END'
#mtree
./etc/rc.conf type=file mode=0444 flags=schg,nodump time=1234567890.000000007
./bin/noise   type=file mode=04711 uid=4000000000 gid=7 flags=uappnd
END
base=$work/base.ufs.uzip
"$relive" create -q -o "$base" --label LIVE_1 --minfree 3 -A zstd -s 32k \
	"$tree" "$work/flags.mtree" || exit 1
check "mount" mount_at "$mnt" "$base"
setfattr -n trusted.freebsd.system.posix1e.acl_access -v acl "$mnt/etc/rc"
touch -a -d @1111111111.25 "$mnt/etc/rc"
check "umount" umount_at "$mnt"
check "commit" "$relive" commit -q "$base" --in-place
everything "$base" >"$work/want"
as_ufs1 "$work/want" >"$work/want1"
check "there is something to lose" eval '[ "$(grep -c "schg\|uappnd\|acl_access" \
	"$work/want")" -ge 3 ]'

# -- forms --------------------------------------------------------------------

for end in ufs ufs.uzip ufs.gz img; do
	out=$work/out.$end
	check "to $end" "$relive" convert -q "$base" -o "$out"
	holds "to $end" "$out" "$work/want"
done
check "as the base unless told" cmp <(fact "$base" codec; fact "$base" label
	fact "$base" cluster_size; fact "$base" minfree; fact "$base" block_size) \
	<(fact "$work/out.img" codec; fact "$work/out.img" label
	fact "$work/out.img" cluster_size; fact "$work/out.img" minfree
	fact "$work/out.img" block_size)
check "a uzip stays as small" test "$(stat -c %s "$work/out.ufs.uzip")" -le \
	$(($(stat -c %s "$base") * 101 / 100))
check "gz to uzip" "$relive" convert -q "$work/out.ufs.gz" -A lzma -C 1 -s 64k \
	-o "$work/x.uzip"
check "with that codec" test "$(fact "$work/x.uzip" codec)" = xz
holds "gz to uzip" "$work/x.uzip" "$work/want"
check "a name that says nothing" "$relive" convert -q --format gz "$base" \
	-o "$work/image"
check "is still a gz" gzip -t "$work/image"

# -- versions, geometries, byte orders: judged by others too ------------------

n=0
for how in "--ufs 1" "--ufs 2 --block 4096" "--byte-order big" \
	"--ufs 1 --byte-order big --block 8192 --frag 1024" \
	"--ufs 2 --byte-order little --block 65536 --minfree 0"; do
	n=$((n + 1))
	from=${to:-$base}
	to=$work/step$n.ufs
	want=$work/want
	case $how in *"--ufs 1"*) want=$work/want1 ;; esac
	# $how is a list of options
	# shellcheck disable=SC2086
	check "$how" "$relive" convert -q $how "$base" -o "$to"
	check "$how: check" "$relive" check "$to"
	everything "$to" >"$work/got"
	[ "$want" = "$work/want" ] || as_ufs1 "$work/got" >"$work/got1"
	[ "$want" = "$work/want" ] || cp "$work/got1" "$work/got"
	same "$how: the tree" "$want" "$work/got"
done
check "from UFS1 to UFS2" "$relive" convert -q --ufs 2 "$work/step1.ufs" \
	-o "$work/two.ufs"
everything "$work/two.ufs" | sed -E 's/"birth":"[^"]*"//' >"$work/got"
everything "$work/step1.ufs" | sed -E 's/"birth":"[^"]*"//' >"$work/want.step"
same "from UFS1 to UFS2: the tree" "$work/want.step" "$work/got"
check "lost attributes are counted" eval \
	'"$relive" convert --ufs 1 "$base" -o "$work/x.ufs" 2>&1 |
	grep -q "2 extended attributes left out: UFS1"'
check "from big to little" "$relive" convert -q --byte-order little \
	"$work/step3.ufs" -o "$work/little.ufs"
holds "from big to little" "$work/little.ufs" "$work/want"
check "mount the little one" mount_at "$mnt" "$work/little.ufs" --ro
judge_ufs "from big to little" "$work/little.ufs" "$mnt"
check "umount the little one" umount_at "$mnt"
check "the byte order stays unless told" "$relive" convert -q \
	"$work/step3.ufs" -o "$work/x.ufs"
check "so it is big" test "$(od -An -tx1 -j $((65536 + 1372)) -N4 \
	"$work/x.ufs")" = " 19 54 01 19"

# Debian's makefs puts the superblock of UFS2 at 8192 (formats.md, trap 49).
make_ufs "$work/dialect.ufs" "$tree" 2 16384 2048
check "out of the dialect" "$relive" convert -q "$work/dialect.ufs" \
	-o "$work/standard.ufs"
check "its superblock is at 65536" test "$(od -An -tx4 -j $((65536 + 1372)) \
	-N4 "$work/standard.ufs")" = " 19540119"
everything "$work/dialect.ufs" >"$work/want.dialect"
holds "out of the dialect" "$work/standard.ufs" "$work/want.dialect"

# -- again and again ----------------------------------------------------------

export SOURCE_DATE_EPOCH=1700000000
for end in ufs ufs.uzip ufs.gz; do
	check "$end" "$relive" convert -q "$base" -o "$work/a.$end"
	check "$end again" "$relive" convert -q -j 1 "$base" -o "$work/b.$end"
	check "$end: the same bytes" cmp "$work/a.$end" "$work/b.$end"
	check "$end of that one" "$relive" convert -q "$work/a.$end" -o "$work/b.$end"
	check "$end of that one: the same bytes" cmp "$work/a.$end" "$work/b.$end"
done
unset SOURCE_DATE_EPOCH

# -- what edits leave behind --------------------------------------------------

live=$work/live.uzip
cp "$base" "$live"
check "edit: mount" mount_at "$mnt" "$live"
head -c 6000000 /dev/urandom >"$mnt/usr/noise"
edit_tree "$mnt" 5 100 2>/dev/null # flags protect some files
rm "$mnt/usr/noise"
check "edit: convert while mounted" "$relive" convert -q "$mnt" \
	-o "$work/merged.uzip"
manifest "$mnt" >"$work/want.manifest"
check "edit: umount" umount_at "$mnt"
everything "$live.relive" >"$work/want.live"
holds "what was mounted" "$work/merged.uzip" "$work/want.live"
check "the session's state" "$relive" convert -q "$live.relive" -o "$work/m.ufs"
holds "the session's state" "$work/m.ufs" "$work/want.live"
check "with --session" "$relive" convert -q "$live" --session "$live.relive" \
	-o "$work/m.ufs"
holds "with --session" "$work/m.ufs" "$work/want.live"
check "the base alone" "$relive" convert -q "$live" -o "$work/b.ufs"
holds "the base alone" "$work/b.ufs" "$work/want"
check "mount the merged one" mount_at "$mnt" "$work/merged.uzip" --ro
manifest "$mnt" >"$work/got"
same "the kernel sees the edited tree" "$work/want.manifest" "$work/got"
check "umount the merged one" umount_at "$mnt"
# Clusters that hold a deleted file and one that stays keep both.
check "delete: mount" mount_at "$mnt" "$live"
for i in $(seq 1 2 59); do rm -f "$mnt/etc/rc.d/service$i"; done
rm -rf "${mnt:?}/boot"
check "delete: umount" umount_at "$mnt"
check "delete: commit" "$relive" commit -q "$live" --in-place
check "delete: convert" "$relive" convert -q "$live" -o "$work/small.uzip"
check "the converted one is smaller" test "$(stat -c %s "$work/small.uzip")" -lt \
	"$(stat -c %s "$live")"
avail() { # avail IMAGE: bytes that users can still fill
	mount_at "$mnt" "$1" --ro && df -B1 --output=avail "$mnt" | tail -n1
	umount_at "$mnt"
}
check "free space stays, but for a few blocks" test \
	"$(avail "$work/small.uzip")" -ge $(($(avail "$live") - 40 * 32768))
check "unless told otherwise" "$relive" convert -q --free 0 "$live" \
	-o "$work/tight.uzip"
check "then it goes" test "$(avail "$work/tight.uzip")" -lt "$(avail "$live")"

# -- what is packed already ---------------------------------------------------

# A uzip of another program: which of its bytes are there again?
mkdir "$work/large"
for i in $(seq 3000); do
	find "$top/imgfmt" -name '*.c' -exec cat {} +
done 2>/dev/null | head -c 6000000 >"$work/large/text"
printf 'tail' >"$work/large/small"
"$relive" create -q -o "$work/large.ufs" "$work/large"
cc -O2 -o "$work/pack" "$top/tests/bench/mkuzip_loop.c" -lz
"$work/pack" "$work/large.ufs" "$work/large.uzip"
came_along() { # came_along FROM TO: how many of FROM's streams are in TO
	python3 - "$@" <<'END'
import struct, sys
was, now = (open(f, 'rb').read() for f in sys.argv[1:])
n = struct.unpack_from('>I', was, 132)[0]
at = struct.unpack_from(f'>{n + 1}Q', was, 136)
print(sum(b - a > 1000 and was[a:b] in now for a, b in zip(at, at[1:])))
END
}
check "again: convert" "$relive" convert -q "$work/large.uzip" -o "$work/r.uzip"
check "again: contents are not packed anew" test \
	"$(came_along "$work/large.uzip" "$work/r.uzip")" -ge 366
everything "$work/large.uzip" >"$work/want.large"
holds "again" "$work/r.uzip" "$work/want.large"
check "again: for ever" "$relive" convert -q --block 16384 --frag 2048 \
	"$work/r.uzip" -o "$work/r2.uzip"
check "again: also in other blocks" test \
	"$(came_along "$work/large.uzip" "$work/r2.uzip")" -ge 366
check "again: duplicates" "$relive" convert -q -d "$work/large.uzip" -o "$work/r.uzip"
holds "again: duplicates" "$work/r.uzip" "$work/want.large"
check "again: to find them all is packed anew" test \
	"$(came_along "$work/large.uzip" "$work/r.uzip")" = 0
check "again: duplicates stay" "$relive" convert -q "$work/r.uzip" -o "$work/r2.uzip"
check "again: and come along" test \
	"$(came_along "$work/r.uzip" "$work/r2.uzip")" -ge 100
holds "again: duplicates that came along" "$work/r2.uzip" "$work/want.large"
check "again: at another level" "$relive" convert -q -C 12 "$work/large.uzip" \
	-o "$work/r.uzip"
check "again: then all are" test "$(came_along "$work/large.uzip" "$work/r.uzip")" = 0
check "again: mount" mount_at "$mnt" "$work/large.uzip"
printf 'changed' | dd of="$mnt/text" bs=1 seek=3000000 conv=notrunc status=none
fallocate -p -o 2000000 -l 500000 "$mnt/text"
dd if=/dev/urandom of="$mnt/text" bs=1k seek=4000 count=100 conv=notrunc status=none
check "again: umount" umount_at "$mnt"
everything "$work/large.uzip.relive" >"$work/want.large"
check "again: convert what was edited" "$relive" convert -q \
	"$work/large.uzip.relive" -o "$work/r.uzip"
holds "again: what was edited" "$work/r.uzip" "$work/want.large"
check "again: what was not comes along" test \
	"$(came_along "$work/large.uzip" "$work/r.uzip")" -ge 300
"$relive" discard "$work/large.uzip"

# -- containers ---------------------------------------------------------------

other_files() { # other_files ISO: all but the image, by a reader not ours
	rm -rf "$work/unpacked"
	mkdir "$work/unpacked"
	bsdtar -C "$work/unpacked" -xf "$1" 2>/dev/null
	(cd "$work/unpacked" && find . -type f ! -name 'base.ufs*' -print0 |
		LC_ALL=C sort -z | xargs -0 sha256sum
	find . -mindepth 1 -printf '%y %m %n %T@ %p %l\n' | LC_ALL=C sort)
	chmod -R u+w "$work/unpacked"
}
for shape in seed hybrid; do
	iso=$work/$shape.iso
	make_iso "$iso" "$live" "$shape" 2>/dev/null
	check "$shape: convert" "$relive" convert -q "$iso" -o "$work/new.iso"
	cp "$work/out" "$work/said"
	check "$shape: a stale side file is named" grep -q base.bytes "$work/said"
	check "$shape: is smaller" test "$(stat -c %s "$work/new.iso")" -lt \
		"$(stat -c %s "$iso")"
	everything "$iso" >"$work/want.iso"
	holds "$shape" "$work/new.iso" "$work/want.iso"
	other_files "$iso" >"$work/a"
	other_files "$work/new.iso" >"$work/b"
	same "$shape: all other files stay" "$work/a" "$work/b"
	for i in "$iso" "$work/new.iso"; do
		xorriso -indev "$i" -report_el_torito plain 2>/dev/null |
			sed -E '/img blks/d; s/[[:space:]]+[0-9]+$//' >"$i.boot"
		isoinfo -d -i "$i" | grep -i 'volume .*id' >>"$i.boot"
	done
	same "$shape: it boots as before" "$iso.boot" "$work/new.iso.boot"
done
check "a changed kernel: mount" mount_at "$mnt" "$work/seed.iso"
mkdir -p "$mnt/boot/kernel"
echo new >"$mnt/boot/kernel/kernel"
check "a changed kernel: umount" umount_at "$mnt"
check "a changed kernel: convert" \
	"$relive" convert -q "$work/seed.iso.relive" -o "$work/x.iso"
cp "$work/out" "$work/said"
check "a changed kernel is named" grep -q "kernel inside the image was changed" \
	"$work/said"
check "the edits that stay behind are named" eval '"$relive" convert -q \
	"$work/seed.iso" -o "$work/x.iso" 2>&1 | grep -q "seed.iso.relive. is not"'
"$relive" discard "$work/seed.iso"
check "an edited ISO: mount" mount_at "$mnt" "$work/seed.iso" --view all
echo more >>"$mnt/iso/boot/loader.conf"
echo more >>"$mnt/root/etc/rc"
check "an edited ISO: umount" umount_at "$mnt"
refuse "an edited ISO is to be committed first" 1 "other parts of the ISO" \
	"$relive" convert -q "$work/seed.iso.relive" -o "$work/y.iso"
check "and is not written" test ! -e "$work/y.iso"
check "but its image alone is" "$relive" convert -q "$work/seed.iso.relive" \
	-o "$work/alone.ufs"
"$relive" discard "$work/seed.iso"
check "the image alone, out of an ISO" "$relive" convert -q "$work/seed.iso" \
	-o "$work/alone.ufs"
holds "the image alone" "$work/alone.ufs" "$work/want.iso"
check "by its address" "$relive" convert -q \
	"$work/seed.iso:/data/base.ufs.uzip" -o "$work/alone.ufs"

size=$(stat -c %s "$work/dialect.ufs")
truncate -s $((size + (4 << 20))) "$work/disk.img"
sgdisk -a 8 -n "1:2048:$((2047 + size / 512))" -t 1:a503 "$work/disk.img" >/dev/null
dd if="$work/dialect.ufs" of="$work/disk.img" bs=1M seek=1 conv=notrunc status=none
check "a disk" "$relive" convert -q "$work/disk.img" -o "$work/new.img"
holds "a disk" "$work/new.img" "$work/want.dialect"
refuse "a partition that is too small" 1 "too small for the tree" "$relive" \
	convert -q "$work/new.img" --block 65536 --frag 65536 -o "$work/x.img"
check "its partition table stays" cmp -n $((1 << 20)) "$work/disk.img" "$work/new.img"

# Files that makefs packed may want more of the partition than their UFS has.
make_ufs "$work/tight.ufs" "$tree" 2 32768 4096
size=$(stat -c %s "$work/tight.ufs")
truncate -s $((size + (6 << 20))) "$work/tight.img"
sgdisk -a 8 -n "1:2048:$((2047 + size / 512 + 4096))" -t 1:a503 \
	"$work/tight.img" >/dev/null
dd if="$work/tight.ufs" of="$work/tight.img" bs=1M seek=1 conv=notrunc status=none
check "a full UFS in a larger partition" "$relive" convert -q "$work/tight.img" \
	-o "$work/tight2.img"
check "is sound" "$relive" check "$work/tight2.img"
check "and holds the tree" eval '"$relive" extract -q "$work/tight2.img" -o - |
	tar -xf - -C "$(mkdir "$work/tight" && echo "$work/tight")" etc &&
	diff -r "$tree/etc" "$work/tight/etc"'

# -- FreeBSD's own images -----------------------------------------------------

if [ -d "$fixtures/ufs" ]; then
	for name in makefs2019-ufs2-sb8192 makefs132-ufs1-be newfs132-ufs2-acl \
		newfs132-ufs2-suj newfs132-ufs2-full newfs132-ufs1-64k64k; do
		xz -dc "$fixtures/ufs/$name.xz" >"$work/fixture"
		everything "$work/fixture" >"$work/want.fixture"
		check "$name" "$relive" convert -q "$work/fixture" -o "$work/x.ufs"
		holds "$name" "$work/x.ufs" "$work/want.fixture"
	done
	xz -dc "$fixtures/ufs/newfs132-ufs2-acl.xz" >"$work/fixture"
	"$relive" convert -q "$work/fixture" -o "$work/x.ufs"
	check "ACLs stay switched on" test $((0x$(od -An -tx4 \
		-j $((65536 + 1312)) -N4 "$work/x.ufs" | tr -d ' ') & 0x10)) = 16
	xz -dc "$fixtures/ufs/newfs132-ufs2-unclean.xz" >"$work/unclean"
else
	skip "FreeBSD's own images" "no fixtures at $fixtures"
fi

# -- refusals: no output ------------------------------------------------------

out=$work/bad.uzip
bad() { # bad WHAT STATUS PATTERN ARGUMENT...
	local what=$1 status=$2 pattern=$3
	shift 3
	"$relive" convert -q "$@" -o "$out" >"$work/out" 2>"$work/err"
	echo "status $?" >>"$work/err"
	check "$what" grep -Eq -- "$pattern" "$work/err"
	check "$what: status $status" grep -qx "status $status" "$work/err"
	check "$what: no output" test -z \
		"$(find "$work" -maxdepth 1 -name '*bad.uzip*')"
}
bad "an image that is not there" 1 "No such file" "$work/none"
bad "no image" 2 "too few"
bad "no such version" 2 "no version of UFS" --ufs 3 "$base"
bad "no such byte order" 2 "no byte order 'middle'" --byte-order middle "$base"
bad "what is no image" 1 "of no kind that relive knows" "$tree/etc/rc.conf"
check "a name that says what is not made" eval '
	"$relive" convert -q "$base" -o "$work/named.iso" 2>"$work/err" &&
	grep -Eq "^relive: warning: .*named.iso. is a .* as .* is" "$work/err"'
bad "options for another form" 2 "are for uzips" --format ufs -A zstd "$base"
cp "$base" "$out"
refuse "the image as the output" 1 "input itself" \
	"$relive" convert -q "$out" -o "$out"
check "it is still there" cmp "$base" "$out"
rm "$out"
out=$work/bad
refuse "options for a form that shows later" 1 "are for uzips" \
	"$relive" convert -q "$work/out.ufs.gz" -A zstd -o "$out"
refuse "a size that is too small" 1 "too small" \
	"$relive" convert -q "$base" --size 1M -o "$out"
check "neither leaves an output" test ! -e "$out"
out=$work/bad.uzip

# A byte of a file's data, in a cluster of its own: only reading tells.
cp "$base" "$work/cluster.uzip"
printf '\377\377\377\377\377\377' | dd of="$work/cluster.uzip" bs=1 \
	seek=$(($(stat -c %s "$base") / 2)) conv=notrunc status=none
bad "a cluster that does not decode" 3 "cluster" "$work/cluster.uzip"
# A link count that is wrong: reading would not tell.
"$relive" convert -q --no-check-hashes "$base" -o "$work/count.ufs"
python3 - "$work/count.ufs" <<'END'
import struct, sys
with open(sys.argv[1], 'r+b') as f:
    sb = (f.seek(65536), f.read(1376))[1]
    sblkno, cblkno, iblkno = struct.unpack_from('<3i', sb, 8)
    fsize = struct.unpack_from('<i', sb, 52)[0]
    f.seek(iblkno * fsize + 2 * 256 + 2)
    f.write(struct.pack('<h', 77))  # of the root
END
bad "a wrong link count" 3 "count.ufs' is damaged: [0-9]+ fault" "$work/count.ufs"
[ ! -e "$work/unclean" ] ||
	bad "an unclean file system" 3 "not marked clean" "$work/unclean"
if command -v mksquashfs >/dev/null; then
	mksquashfs "$tree/etc" "$work/x.sqfs" -quiet -no-progress >/dev/null
	bad "a squashfs" 1 "squashfs" "$work/x.sqfs"
fi
mkdir "$work/small"
if mount -t tmpfs -o size=300k none "$work/small" 2>/dev/null; then
	our_mounts+=("$work/small")
	for end in ufs uzip gz; do
		refuse "$end on a full disk" 1 "small/x.$end.*No space" \
			"$relive" convert -q "$base" -o "$work/small/x.$end"
	done
	check "nothing is left there" test -z "$(ls -A "$work/small")"
	umount "$work/small"
else
	skip "a full disk" "no tmpfs"
fi
genisoimage -quiet -R -V PLAIN -o "$work/plain.iso" "$tree/etc" 2>/dev/null
bad "an ISO without an image" 1 "holds no uzip or UFS" "$work/plain.iso"
end
