#!/bin/bash
# Every image that FreeBSD's own tools and kernel wrote takes a random edit
# and a commit; the result holds the edited tree and is clean.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
[ -d "$fixtures/ufs" ] || skip_all "no fixtures at $fixtures"
need xz

edit_one() { # edit_one NAME SEED
	local raw=$work/$1.ufs
	xz -dc "$fixtures/ufs/$1.xz" >"$raw"
	check "$1: the fixture is clean" "$relive" check "$raw"
	check "$1: mount" mount_at "$mnt" "$raw"
	edit_any "$mnt" "$2" 150
	manifest "$mnt" >"$work/want" 2>/dev/null
	check "$1: commit while mounted" \
		"$relive" commit "$mnt" -o "$work/new.ufs"
	check "$1: umount" umount_at "$mnt"
	check "$1: check the result" "$relive" check "$work/new.ufs"
	check "$1: mount the result" mount_at "$mnt" "$work/new.ufs" --ro
	manifest "$mnt" >"$work/got" 2>/dev/null
	check "$1: umount it" umount_at "$mnt"
	same "$1: the result holds the edited tree" "$work/want" "$work/got"
	rm -rf "$raw" "$raw.relive" "$work/new.ufs"
}

seed=1
for xz in "$fixtures"/ufs/*.xz; do
	name=$(basename "$xz" .xz)
	case $name in
	*.manifest | *-unclean) continue ;;
	esac
	edit_one "$name" "$seed"
	seed=$((seed + 1))
done

xz -dc "$fixtures/ufs/newfs132-ufs2-unclean.xz" >"$work/unclean.ufs"
refuse "an unclean file system is refused for writing" 1 \
	'clean|snapshot|fsck' mount_at "$mnt" "$work/unclean.ufs"
check "and readable" mount_at "$mnt" "$work/unclean.ufs" --ro
check "its files can be read" sh -c \
	"find '$mnt' -name .snap -prune -o -type f -exec cat {} + >/dev/null"
check "umount" umount_at "$mnt"

xz -dc "$fixtures/iso/freebsd-hybrid.iso.xz" >"$work/live.iso"
check "hybrid ISO: mount" mount_at "$mnt" "$work/live.iso"
edit_any "$mnt" 99
manifest "$mnt" >"$work/want" 2>/dev/null
check "hybrid ISO: umount" umount_at "$mnt"
check "hybrid ISO: commit" "$relive" commit "$work/live.iso" -o "$work/new.iso"
check "hybrid ISO: check" "$relive" check "$work/new.iso"
check "hybrid ISO: mount the result" mount_at "$mnt" "$work/new.iso" --ro
manifest "$mnt" >"$work/got" 2>/dev/null
check "hybrid ISO: umount it" umount_at "$mnt"
same "hybrid ISO: the result holds the edited tree" "$work/want" "$work/got"
if command -v xorriso >/dev/null; then
	for iso in live new; do
		dd if="$work/$iso.iso" bs=2048 skip="$(xorriso -indev \
			"$work/$iso.iso" -report_el_torito plain 2>/dev/null |
			awk '/boot img.*UEFI/ { print $NF }')" count=20 \
			status=none | sha256sum >"$work/$iso.efi"
	done
	same "hybrid ISO: the hidden EFI image is there, unchanged" \
		"$work/live.efi" "$work/new.efi"
fi
if command -v sgdisk >/dev/null; then
	# It has no backup at the end, as the base has none.
	for iso in live new; do
		sgdisk -p "$work/$iso.iso" 2>&1 | grep -i 'crc\|damaged\|invalid' \
			>"$work/$iso.gpt"
	done
	same "hybrid ISO: its GPT is as good as it was" \
		"$work/live.gpt" "$work/new.gpt"
fi
end
