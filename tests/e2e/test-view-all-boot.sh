#!/bin/bash
# --view all: what boots an ISO goes on to boot it, whatever is done to the
# files it boots from.
# shellcheck disable=SC2016,SC2034 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs xorriso sgdisk

make_tree "$work/tree"
make_ufs "$work/one.ufs" "$work/tree" 2 16384 2048
"$relive" uzip -q "$work/one.ufs" -o "$work/base.uzip"
iso=$work/live.iso
new=$work/new.iso
head -c 1600000 /dev/urandom >"$work/efi"

begin() { # begin SHAPE: of make_iso, or "gaps"
	rm -rf "$iso" "$iso.relive" "$new"
	if [ "$1" = gaps ]; then
		make_iso "$work/any.iso" "$work/base.uzip" efi
		xorriso -as mkisofs -quiet -R -V GAPS -efi-boot-part \
			--efi-boot-image -e zzz/efi.img -no-emul-boot \
			-o "$iso" "$work/stage" 2>/dev/null
	else
		make_iso "$iso" "$work/base.uzip" "$1"
	fi
	mount_at "$mnt" "$iso" --view all
}

commit() { # commit WHAT
	umount_at "$mnt"
	check "$1: commit" "$relive" commit "$iso" -o "$new"
	check "$1: relive check" "$relive" check "$new"
}

sound_gpt() { sgdisk -v "$1" | grep -q '^No problems found'; }

# From a stick firmware takes neither of two partitions that overlap.
begin gaps
check "gaps: the ISO's partitions are sound" sound_gpt "$iso"
cp "$work/efi" "$mnt/iso/zzz/efi.img"
commit gaps
check "gaps: they still are" sound_gpt "$new"
check "gaps: the EFI partition is the new image" eval \
	'first=$(sgdisk -i 2 "$new" | sed -n "s/First sector: \([0-9]*\).*/\1/p") &&
	dd if="$new" bs=512 skip="$first" status=none |
	cmp -n 1600000 - "$work/efi"'

# The place and the size, in 512-byte sectors, of boot image N.
boot_entry() { # boot_entry ISO N
	xorriso -indev "$1" -report_el_torito plain 2>/dev/null |
		awk -v n="$2" '/^El Torito boot img/ && $6 == n { print $NF, $12 }'
}

boots() { # boots WHAT N FILE: the new ISO does, with that file at N
	local entry
	entry=$(boot_entry "$new" "$2")
	check "$1: boot image $2 is ${3##*/}" eval \
		'dd if="$new" bs=2048 skip="${entry% *}" count=2000 status=none |
		cmp -n "$(stat -c %s "'"$3"'")" - "'"$3"'"'
}

# It is the path that counts, not how the new image came there.
begin gaps
cp "$work/efi" "$mnt/iso/zzz/new.img"
umount_at "$mnt"
check "rename: commit in place" "$relive" commit "$iso" --in-place
mount_at "$mnt" "$iso" --view all
mv "$mnt/iso/zzz/new.img" "$mnt/iso/zzz/efi.img"
commit rename
boots rename 1 "$work/efi"
check "rename: with its size" eval \
	'set -- $(boot_entry "$new" 1) && [ "$2" = 3128 ]'
check "rename: the partitions are sound" sound_gpt "$new"
check "rename: the EFI partition is the boot image" eval \
	'set -- $(boot_entry "$new" 1) &&
	sgdisk -i 2 "$new" | grep -q "^First sector: $(($1 * 4)) "'

begin efi
mkdir "$mnt/iso/zzz.new"
cp "$mnt/iso/zzz/l"* "$mnt/iso/zzz.new/"
cp "$work/efi" "$mnt/iso/zzz.new/efi.img"
rm -r "$mnt/iso/zzz"
mv "$mnt/iso/zzz.new" "$mnt/iso/zzz"
commit "a new directory"
boots "a new directory" 1 "$work/stage/boot/cdboot"
boots "a new directory" 2 "$work/efi"

begin efi
rm "$mnt/iso/zzz/efi.img"
commit "no boot image" 2>"$work/err"
check "no boot image: that is said" eval \
	'"$relive" commit "$iso" -o "$work/again.iso" 2>"$work/err" &&
	[ "$(grep -c "warning: the ISO goes on to boot what was .zzz/efi.img.: there is no such file any more" "$work/err")" = 1 ]'
boots "no boot image" 2 "$work/stage/zzz/efi.img"
end
