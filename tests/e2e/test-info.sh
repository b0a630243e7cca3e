#!/bin/bash
# relive info tells what an image is, layer by layer, for people and as JSON,
# and never reads the whole image for it.
. "$(dirname "$0")/lib.sh"
need makefs genisoimage jq

make_tree "$work/tree"
cat >"$work/tree/bin/freebsd-version" <<'SH'
#!/bin/sh
USERLAND_VERSION="13.2-RELEASE-p4"
SH
make_ufs "$work/raw" "$work/tree" 2 8192 1024
"$relive" uzip -A zstd -s 65536 -d "$work/raw" -o "$work/base.uzip" || exit 1

# tells WHAT ADDRESS JQ-FILTER WANT: what the filter makes of the JSON.
tells() {
	"$relive" info --json "$2" >"$work/json" 2>"$work/err"
	jq -c "$3" <"$work/json" >"$work/got" 2>>"$work/err"
	echo "$4" >"$work/want"
	same "$1" "$work/want" "$work/got"
}
says() { # says WHAT ADDRESS PATTERN: for people
	"$relive" info "$2" >"$work/got" 2>&1
	grep -Eq -- "$3" "$work/got" && pass "$1" || fail "$1" "$work/got"
}

tells "a raw image" "$work/raw" '[.layers[].kind]' '["ufs"]'
tells "its geometry" "$work/raw" \
	'.layers[0] | [.version, .block_size, .fragment_size, .clean]' \
	'[2,8192,1024,true]'
nfiles=$(find "$work/tree" ! -type d -printf '%i\n' | sort -u | wc -l)
ndirs=$(find "$work/tree" -type d | wc -l)
tells "files are what is no directory" "$work/raw" \
	'.layers[0] | [.files, .directories]' "[$nfiles,$ndirs]"
check "create counts them so" eval \
	'"$relive" create -o "$work/made" "$work/tree" 2>&1 |
	grep -q ": $nfiles files, "'
check "and extract" eval '"$relive" extract "$work/raw" -o "$work/out.tar" 2>&1 |
	grep -q ": $(find "$work/tree" ! -type d | wc -l) files, "'
tells "its release" "$work/raw" '.layers[0].release' \
	'"FreeBSD 13.2-RELEASE-p4"'
tells "a uzip" "$work/base.uzip" '[.layers[].kind]' '["uzip","ufs"]'
tells "its codec" "$work/base.uzip" \
	'.layers[0] | [.codec, .letter, .version, .cluster_size]' \
	'["zstd","z",4,65536]'
tells "its clusters add up" "$work/base.uzip" \
	'.layers[0] | .stored + .zero + .duplicates == .clusters' true
says "for people" "$work/base.uzip" 'codec +zstd \(letter z, version 4\)'

for shape in seed joliet efi hybrid; do
	make_iso "$work/$shape.iso" "$work/base.uzip" $shape 2>/dev/null
	tells "$shape: its layers" "$work/$shape.iso" '[.layers[].kind]' \
		'["iso","uzip","ufs"]'
	tells "$shape: the image in it" "$work/$shape.iso" \
		'[.layers[0].images[] | select(.editable).path]' \
		'["/data/base.ufs.uzip"]'
done
genisoimage -quiet -R -V PLAIN -o "$work/noimage.iso" "$work/tree/etc"
says "an ISO without an image" "$work/noimage.iso" 'images in it +none'
tells "and as JSON" "$work/noimage.iso" '.layers[0].images' '[]'
make_iso "$work/boot.iso" "$work/tree/bin/noise" seed 2>/dev/null
for iso in noimage boot; do # the other one has a FAT that UEFI boots
	for c in ls "cat /rc" "extract -o $work/x" "mount $mnt"; do
		read -ra words <<<"$c"
		refuse "${words[0]} of $iso.iso hints at --iso" 1 \
			"no uzip or UFS image: .*--iso" "$relive" "${words[0]}" \
			"$work/$iso.iso" "${words[@]:1}"
	done
done
tells "BIOS boot" "$work/seed.iso" \
	'.layers[0] | [.label, .rock_ridge, .joliet, [.boot[].platform]]' \
	'["My FreeBSD",true,false,["BIOS"]]'
tells "UEFI boot" "$work/efi.iso" '[.layers[0].boot[].platform]' \
	'["BIOS","UEFI"]'
tells "a hybrid" "$work/hybrid.iso" '.layers[0] | [.joliet, .mbr]' '[true,true]'
says "hybrid, for people" "$work/hybrid.iso" 'hybrid +(GPT|MBR)'

# Boot patterns of livecds.md 1c.
boots() { # boots PATTERN LINE...
	local pattern=$1 dir=$work/boot
	shift
	rm -rf "$dir"
	mkdir -p "$dir/boot" "$dir/data"
	printf '%s\n' "$@" >"$dir/boot/loader.conf"
	cp "$work/base.uzip" "$dir/data/system.uzip"
	genisoimage -quiet -R -o "$work/boot.iso" "$dir" 2>/dev/null
	tells "boots by $pattern" "$work/boot.iso" \
		'.layers[0].boot_pattern' "\"$pattern\""
}
boots cd9660-init-script 'geom_uzip_load="YES"' \
	'init_script="/boot/init_script"' \
	'vfs.root.mountfrom="cd9660:/dev/iso9660/LIVE"'
boots ramdisk-reroot 'mfsroot_load="YES"' 'mfsroot_type="md_image"' \
	'mfsroot_name="/data/ramdisk.ufs"' 'vfs.root.mountfrom="ufs:/dev/md0"' \
	'init_script="/init.sh"'
boots memroot 'mfsroot_load="YES"' 'mfsroot_type="mfs_root"' \
	'mfsroot_name="/boot/memroot.ufs"' 'init_script="/baseroot.rc"'
boots mfsroot 'mfs_load="YES"' 'mfs_type="mfs_root"' 'mfs_name="/mfsroot"'
boots uzip-preloaded 'mdroot_type="md_image"' \
	'vfs.root.mountfrom="ufs:/dev/md0.uzip"'
boots init-chroot 'init_chroot=/sysroot' 'init_path="/rescue/init"'

# Several images, none, and what is not ours.
mkdir -p "$work/two/a" "$work/two/b"
cp "$work/base.uzip" "$work/two/a/usr.uzip"
cp "$work/raw" "$work/two/b/var.ufs"
gzip -c "$work/raw" >"$work/two/b/ramdisk.ufs.gz"
genisoimage -quiet -R -o "$work/two.iso" "$work/two" 2>/dev/null
tells "several images are listed" "$work/two.iso" \
	'[.layers[0].images[] | .kind] | sort' '["gz","ufs","uzip"]'
refuse "and one must be chosen" 1 'a/usr.uzip.*b/var.ufs|b/var.ufs.*a/usr.uzip' \
	"$relive" ls "$work/two.iso"
tells "one of them" "$work/two.iso:/b/var.ufs" '.layers[-1].kind' '"ufs"'
tells "a gzipped one" "$work/two/b/ramdisk.ufs.gz" \
	'.layers[0] | [.kind, .content]' '["gz","ufs"]'
genisoimage -quiet -R -o "$work/none.iso" "$work/tree/etc" 2>/dev/null
tells "an ISO without an image" "$work/none.iso" '[.layers[].kind]' '["iso"]'
if command -v mksquashfs >/dev/null; then
	mksquashfs "$work/tree/etc" "$work/x.sqfs" -quiet -no-progress >/dev/null
	tells "squashfs" "$work/x.sqfs" '.layers[0].kind' '"squashfs"'
	says "with advice" "$work/x.sqfs" 'unsquashfs'
	refuse "and is refused with it" 1 'squashfs.*unsquashfs' \
		"$relive" ls "$work/x.sqfs"
fi
head -c 400000 /dev/urandom >"$work/unknown"
"$relive" uzip "$work/unknown" -o "$work/unknown.uzip"
tells "a uzip of no known content" "$work/unknown.uzip" '[.layers[].kind]' \
	'["uzip","unknown"]'
"$relive" check "$work/unknown.uzip" >"$work/got" 2>&1 &&
	grep -q 'content is not judged' "$work/got" &&
	pass "its clusters can be judged all the same" ||
	fail "its clusters can be judged all the same" "$work/got"
xz -k0 "$work/raw"
tells "xz" "$work/raw.xz" '.layers[0].kind' '"xz"'
if command -v sgdisk >/dev/null; then
	truncate -s 20M "$work/disk.img"
	sgdisk -n 1:2048:+16M -t 1:a503 -c 1:rootfs "$work/disk.img" >/dev/null
	dd if="$work/raw" of="$work/disk.img" bs=1M seek=1 conv=notrunc status=none
	tells "a partitioned disk" "$work/disk.img" \
		'.layers[0] | [.kind, .partitions[0].name, .partitions[0].content]' \
		'["partitioned","p1","ufs"]'
	tells "and its partition" "$work/disk.img:p1" '.layers[-1].kind' '"ufs"'
fi

# A large image costs no more than a small one.
if command -v strace >/dev/null; then
	truncate -s 2G "$work/big.ufs"
	dd if="$work/raw" of="$work/big.ufs" conv=notrunc status=none
	strace -f -e trace=pread64 -o "$work/trace" \
		"$relive" info "$work/big.ufs" >/dev/null 2>&1
	bytes=$(awk '{ n += $NF } END { print n + 0 }' "$work/trace")
	[ "$bytes" -lt 4000000 ] && pass "2 GB are not read through" ||
		fail "2 GB are not read through: $bytes bytes"
else
	skip "2 GB are not read through" "no strace"
fi
end
