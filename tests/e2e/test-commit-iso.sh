#!/bin/bash
# Committing into ISOs of many shapes: every other file, the boot equipment
# and the labels stay; a second commit moves nothing.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs genisoimage xorriso bsdtar sgdisk

make_tree "$work/tree"
make_ufs "$work/one.ufs" "$work/tree" 1 8192 1024
"$relive" uzip "$work/one.ufs" -o "$work/base.uzip" || exit 1

# Hashes of every file but the image, by a reader that is not ours.
other_files() { # other_files ISO
	rm -rf "$work/unpacked"
	mkdir "$work/unpacked"
	bsdtar -C "$work/unpacked" -xf "$1" 2>/dev/null
	(cd "$work/unpacked" && find . -type f ! -iname 'base.ufs*' -print0 |
		LC_ALL=C sort -z | xargs -0 sha256sum
	find . -mindepth 1 -printf '%y %m %n %T@ %p %l\n' | LC_ALL=C sort)
	chmod -R u+w "$work/unpacked"
}

# What boots, without the addresses that may change.  That an ISO ends at a
# cylinder of 1 MiB (isohybrid's habit for old firmware) is not kept: it would
# make the ISO grow by more than the image did.
boot_equipment() { # boot_equipment ISO
	xorriso -indev "$1" -report_el_torito plain \
		-report_system_area plain 2>/dev/null |
		sed -E 's/ cyl-align-[a-z]*//
			/^(System area size|System area options|ISO image size|El Torito img blks)/d
			/^(MBR partition   |GPT start and size|GPT partition (start|array)|GPT lba|GPT backup|GPT array)/d
			s/[[:space:]]+[0-9]+$//'
}

boot_images() { # boot_images ISO: hashes of what El Torito points at
	xorriso -indev "$1" -report_el_torito plain 2>/dev/null |
		awk '/^El Torito boot img/ { print $12, $NF }' |
		while read -r sectors lba; do
			dd if="$1" bs=2048 skip="$lba" count=$(((sectors + 3) / 4)) \
				status=none | tail -c +65 | sha256sum
		done
}

try() { # try SHAPE
	local iso=$work/live.iso new=$work/new.iso shape=$1 grew
	rm -rf "$iso" "$iso.relive" "$work"/new*.iso
	make_iso "$iso" "$work/base.uzip" "$shape"
	check "$shape: check the base" "$relive" check "$iso"
	check "$shape: mount" mount_at "$mnt" "$iso"
	edit_tree "$mnt" 7
	manifest "$mnt" >"$work/want"
	check "$shape: umount" umount_at "$mnt"
	check "$shape: commit" sh -c \
		"'$relive' commit '$iso' -o '$new' 2>'$work/err'"
	# Names of 8.3 characters have no such suffix.
	[ "$shape" = plain ] || check "$shape: a stale side file is named" \
		grep -q base.bytes "$work/err"
	check "$shape: check the result" "$relive" check "$new"
	other_files "$iso" >"$work/a"
	other_files "$new" >"$work/b"
	same "$shape: every other file is as it was" \
		<(grep -v 'base.ufs\|BASE' "$work/a") \
		<(grep -v 'base.ufs\|BASE' "$work/b")
	boot_equipment "$iso" >"$work/a"
	boot_equipment "$new" >"$work/b"
	same "$shape: the boot equipment is the same" "$work/a" "$work/b"
	boot_images "$iso" >"$work/a"
	boot_images "$new" >"$work/b"
	same "$shape: the boot images have the same bytes" "$work/a" "$work/b"
	if head -c 520 "$iso" | tail -c 8 | grep -q "EFI PART"; then
		sgdisk -v "$iso" 2>&1 | grep -c 'Problem\|CRC' >"$work/a"
		sgdisk -v "$new" 2>&1 | grep -c 'Problem\|CRC' >"$work/b"
		same "$shape: the GPT is as good as before" "$work/a" "$work/b"
	fi
	grew=$(($(stat -c %s "$new") - $(stat -c %s "$iso")))
	"$relive" commit "$iso" --uzip "$work/new.uzip" 2>/dev/null
	check "$shape: grows no more than the image" [ "$grew" -le \
		$(($(stat -c %s "$work/new.uzip") -
			$(stat -c %s "$work/base.uzip") + 2048)) ]
	mount_at "$mnt" "$new"
	manifest "$mnt" >"$work/got"
	same "$shape: the result holds the edited tree" "$work/want" "$work/got"
	echo again >"$mnt/etc/again"
	umount_at "$mnt"
	check "$shape: commit again" \
		"$relive" commit "$new" -o "$work/new2.iso"
	other_places "$new" >"$work/a"
	other_places "$work/new2.iso" >"$work/b"
	same "$shape: the second commit moves nothing" "$work/a" "$work/b"
	rm -rf "$new.relive"
}

other_places() { # other_places ISO
	xorriso -indev "$1" -find / -type f -exec report_lba 2>/dev/null |
		grep -vi 'base.ufs'
}

for shape in seed joliet plain efi hybrid appended; do
	try "$shape"
done
end
