#!/bin/bash
# POSIX's questions, put to a mount with the default options and to the host's
# own file system: the same answers, on UFS2 and, as far as its format goes,
# on UFS1.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs python3

mkdir "$work/tree" "$work/ref"
chmod 755 "$work" "$work/ref" # others come in
for kind in "2 32768 4096 -B le" "1 8192 1024 -B be"; do
	rm -rf "$work/live.ufs" "$work/live.ufs.relive"
	# shellcheck disable=SC2086 # version, block size, fragment size, order
	make_ufs "$work/live.ufs" "$work/tree" $kind -s 8m
	check "UFS $kind: mounting" mount_at "$mnt" "$work/live.ufs"
	chmod 755 "$mnt"
	more=()
	[ "${kind%% *}" = 2 ] || more=(ufs1)
	run_tap "UFS $kind" python3 "$(dirname "$0")/posix.py" \
		"$work/ref" "$mnt" "${more[@]}"
	check "UFS $kind: unmounting" umount_at "$mnt"
	check "UFS $kind: it is sound" \
		"$relive" check "$work/live.ufs.relive"
done
end
