#!/bin/bash
# Everything programs ask of a file system, on UFS2; and the file system is
# sound and the same after it.
# shellcheck disable=SC2016 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs python3

make_tree "$work/tree"
make_ufs "$work/live.ufs" "$work/tree" 2 32768 4096
mount_at "$mnt" "$work/live.ufs" -o dev,suid
chmod 755 "$work" # others come in
mkdir "$mnt/ops"
run_tap "UFS2" python3 "$(dirname "$0")/mount_ops.py" "$mnt/ops"
manifest "$mnt" >"$work/before"
check "unmounting" umount_at "$mnt"
check "the file system is sound" "$relive" check "$work/live.ufs.relive"
mount_at "$mnt" "$work/live.ufs" -o dev,suid
manifest "$mnt" >"$work/after"
same "it is the same after mounting it again" "$work/before" "$work/after"
umount_at "$mnt"
end
