#!/bin/bash
# A uzip that is a file of a UFS on a disk, NomadBSD's way: edited in place,
# and committed into that UFS by our own engine.
# shellcheck disable=SC2016,SC2034 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs sgdisk
. "$top/tests/e2e/judges.sh"

make_tree "$work/tree"
make_ufs "$work/inner.ufs" "$work/tree" 2 16384 2048
mkdir -p "$work/outer/uzip" "$work/outer/etc"
"$relive" uzip -q "$work/inner.ufs" -o "$work/outer/uzip/usr.local.uzip"
seq 1 9999 >"$work/outer/etc/other"
make_ufs "$work/outer.ufs" "$work/outer" 2 32768 4096 -b 20%
size=$(stat -c %s "$work/outer.ufs")
img=$work/disk.img
truncate -s $((size + (3 << 20))) "$img"
sgdisk -a 8 -n "1:2048:$((2047 + size / 512))" -t 1:a503 "$img" >/dev/null
dd if="$work/outer.ufs" of="$img" bs=1M seek=1 conv=notrunc status=none
at=$img:p1:/uzip/usr.local.uzip

check "what is in it can be read" eval \
	'"$relive" cat "$at" /etc/rc.conf | grep -q live1'
refuse "a file that is not there is named" 1 "'/uzip/x' in .*p1' is not there" \
	"$relive" mount "$img:p1:/uzip/x" "$mnt"
check "mount" mount_at "$mnt" "$at"
edit_tree "$mnt" 11
manifest "$mnt" >"$work/want"
check "commit of the live mount" "$relive" commit "$mnt" -o "$work/new.img"
check "umount" umount_at "$mnt"
check "the outer file system is sound" "$relive" check "$work/new.img:p1"
check "and so is what is in it" \
	"$relive" check "$work/new.img:p1:/uzip/usr.local.uzip"
check "mount of the result" \
	mount_at "$mnt" "$work/new.img:p1:/uzip/usr.local.uzip"
manifest "$mnt" >"$work/got"
same "holds the edited tree" "$work/want" "$work/got"
umount_at "$mnt"
check "the disk has its size, and its table" eval \
	'cmp -n $((1 << 20)) "$img" "$work/new.img" &&
	[ "$(stat -c %s "$work/new.img")" = "$(stat -c %s "$img")" ]'
check "other files are as they were" eval \
	'"$relive" cat "$work/new.img:p1" /etc/other | cmp - "$work/outer/etc/other"'
"$relive" cat "$work/new.img:p1" /uzip/usr.local.uzip >"$work/outer/uzip/usr.local.uzip"
dd if="$work/new.img" of="$work/p1" bs=1M skip=1 status=none
truncate -s "$size" "$work/p1"
judge_grub "outer" "$work/p1" "$work/outer"

mount_at "$mnt" "$at"
head -c "$size" /dev/urandom >"$mnt/big" 2>/dev/null
umount_at "$mnt"
refuse "what does not fit into the outer one is refused" 1 \
	"has no room for the changed '/uzip/usr.local.uzip'" \
	"$relive" commit -q "$at" -o "$work/no.img"
check "and nothing is written" [ ! -e "$work/no.img" ]
mount_at "$mnt" "$at"
rm "$mnt/big"
umount_at "$mnt"
check "commit in place" "$relive" commit "$at" --in-place
mount_at "$mnt" "$at"
manifest "$mnt" >"$work/got"
same "has the edits" <(grep -v '|\.|$' "$work/want") \
	<(grep -v '|\.|$' "$work/got")
umount_at "$mnt"
check "and the session has none" eval \
	'"$relive" status "$at" | grep -q "files: *0 added, 0 changed, 0 removed"'

cp "$work/outer.ufs" "$work/raw.ufs"
check "without a partition table too" eval \
	'mount_at "$mnt" "$work/raw.ufs:/uzip/usr.local.uzip" &&
	echo raw >"$mnt/raw" && umount_at "$mnt" &&
	"$relive" commit "$work/raw.ufs:/uzip/usr.local.uzip" -o "$work/raw2.ufs" &&
	"$relive" check "$work/raw2.ufs" &&
	[ "$("$relive" cat "$work/raw2.ufs:/uzip/usr.local.uzip" /raw)" = raw ]'
end
