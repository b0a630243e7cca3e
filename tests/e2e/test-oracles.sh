#!/bin/bash
# After random edits and commits, sleuthkit, GRUB and a Debian kernel's own
# drivers see exactly the tree that our mount shows.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/judges.sh"
. "$(dirname "$0")/judge-kernel.sh"
need_root
need_fuse
need makefs busybox

[ -x "$top/build/mkfs" ] || skip_all "no build/mkfs: run make e2e"

kernel=yes
kernel_ready || kernel=no
judged=()

# Edit an image, commit, and let the judges compare the committed raw image
# with what a mount of it shows.
try() { # try WHAT KERNEL-TYPE IMAGE SEED
	local what=$1 type=$2 image=$3 seed=$4 new=$work/${#judged[@]}.new
	check "$what: mount" mount_at "$mnt" "$image"
	edit_any "$mnt" "$seed" 150
	check "$what: umount" umount_at "$mnt"
	check "$what: commit" "$relive" commit "$image" --raw "$new"
	rm -rf "$image.relive"
	check "$what: check" "$relive" check "$new"
	check "$what: mount the result" mount_at "$mnt" "$new" --ro
	judge_ufs "$what" "$new" "$mnt"
	kernel_manifest "$mnt" >"$work/want.${#judged[@]}"
	check "$what: umount it" umount_at "$mnt"
	rm -rf "$new.relive"
	kernel_add "$type" "$new"
	judged+=("$what")
}

# An empty file system of ours, filled through a mount.
filled() { # filled OUT VERSION BSIZE FSIZE
	"$top/build/mkfs" "$1" 33554432 "$2" "$3" "$4" &&
		mount_at "$mnt" "$1" &&
		cp -a "$work/tree/." "$mnt/" &&
		umount_at "$mnt" &&
		"$relive" commit "$1" --in-place
}

make_tree "$work/tree"
seed=1
for geometry in 4096,512 8192,1024 32768,4096; do
	make_ufs "$work/1-$geometry" "$work/tree" 1 "${geometry%,*}" "${geometry#*,}"
	try "makefs UFS1 $geometry" 44bsd "$work/1-$geometry" $seed
	check "our mkfs UFS2 $geometry" \
		filled "$work/2-$geometry" 2 "${geometry%,*}" "${geometry#*,}"
	try "our UFS2 $geometry" ufs2 "$work/2-$geometry" $((seed + 1))
	seed=$((seed + 2))
done
for name in newfs132-ufs2-default newfs132-ufs1-8k1k makefs132-ufs2; do
	[ -e "$fixtures/ufs/$name.xz" ] || continue
	xz -dc "$fixtures/ufs/$name.xz" >"$work/$name"
	case $name in *ufs1*) type=44bsd ;; *) type=ufs2 ;; esac
	try "$name" "$type" "$work/$name" $seed
	seed=$((seed + 1))
done

# Images that create lays out, of a directory and of a tar.
made() { # made VERSION KERNEL-TYPE SOURCE
	local what="create --ufs $1 of ${3##*/}" image=$work/${#judged[@]}.made
	check "$what" "$relive" create -q --ufs "$1" -o "$image" "$3"
	check "$what: mount" mount_at "$mnt" "$image" --ro
	judge_ufs "$what" "$image" "$mnt"
	kernel_manifest "$mnt" >"$work/want.${#judged[@]}"
	check "$what: umount" umount_at "$mnt"
	rm -rf "$image.relive"
	kernel_add "$2" "$image"
	judged+=("$what")
}
tar -czf "$work/tree.tgz" -C "$work/tree" .
made 1 44bsd "$work/tree"
made 2 ufs2 "$work/tree.tgz"

if [ $kernel = no ]; then
	skip "the Debian kernel sees the same trees" "$kernel_why"
	end
fi
if kernel_boot; then
	pass "a Debian kernel boots in QEMU and answers"
	for i in "${!judged[@]}"; do
		[ -s "$work/kernel.$i" ] || echo nothing >"$work/kernel.$i"
		# its driver keeps eight bits of each half of a device number
		sed -i -E '/^[26]1/ { s/\|[0-9a-f]+([0-9a-f]{2}:)/|\1/
			s/:[0-9a-f]+([0-9a-f]{2}\|)/:\1/ }' "$work/want.$i"
		same "${judged[i]}: the kernel's ufs driver sees the same tree" \
			"$work/want.$i" "$work/kernel.$i"
	done
else
	fail "a Debian kernel boots in QEMU and answers" "$work/kernel.log"
fi

# ISO: the kernel's isofs against our reader, after a commit that moves files.
make_ufs "$work/one" "$work/tree" 1 8192 1024
"$relive" uzip -q "$work/one" -o "$work/one.uzip"
for shape in seed joliet; do
	make_iso "$work/$shape.iso" "$work/one.uzip" $shape 2>/dev/null
	mount_at "$mnt" "$work/$shape.iso" && edit_tree "$mnt" 3 &&
		umount_at "$mnt"
	check "ISO $shape: commit" \
		"$relive" commit "$work/$shape.iso" -o "$work/$shape.new"
	kernel_add iso "$work/$shape.new"
	"$relive" extract -q --iso "$work/$shape.new" -o "$work/$shape.tree"
	(cd "$work/$shape.tree" && find . -type f -print0 |
		xargs -0 busybox sha256sum | LC_ALL=C sort) >"$work/want.$shape"
done
if kernel_boot; then
	n=0
	for shape in seed joliet; do
		grep -E '^[0-9a-f]{64} ' "$work/kernel.$n" >"$work/got"
		same "ISO $shape: the kernel's isofs reads the same files" \
			"$work/want.$shape" "$work/got"
		n=$((n + 1))
	done
else
	fail "a Debian kernel boots in QEMU and answers" "$work/kernel.log"
fi
end
