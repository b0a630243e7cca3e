#!/bin/bash
# Random operations on a mount and on the host's own file system: the same
# results, the same errors, the same trees; afterwards the image is sound.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs python3

steps=${TWIN_STEPS:-1200}
mkdir "$work/tree"
seed=${TWIN_SEED:-1}
for kind in "2 32768 4096" "2 4096 512" "2 65536 8192" "1 16384 2048" \
	"1 8192 1024"; do
	rm -rf "$work/live.ufs" "$work/live.ufs.relive"
	# shellcheck disable=SC2086 # version, block size, fragment size
	make_ufs "$work/live.ufs" "$work/tree" $kind -s 8m
	more=()
	[ "${kind%% *}" = 2 ] || more=(no-xattr)
	check "UFS $kind: mounting" mount_at "$mnt" "$work/live.ufs" -o dev,suid
	for _ in 1 2; do
		rm -rf "$work/ref" "$mnt/sub"
		mkdir "$work/ref" "$mnt/sub"
		check "UFS $kind: seed $seed" python3 \
			"$(dirname "$0")/twin.py" "$work/ref" "$mnt/sub" \
			"$seed" "$steps" "${more[@]}"
		seed=$((seed + 1))
	done
	check "UFS $kind: unmounting" umount_at "$mnt"
	check "UFS $kind: it is sound" \
		"$relive" check "$work/live.ufs.relive"
done
end
