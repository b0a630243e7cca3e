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
end
