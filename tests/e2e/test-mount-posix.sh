#!/bin/bash
# POSIX's questions, put to a mount with the default options and to the host's
# own file system: the same answers, on UFS2 and, as far as its format goes and
# where the kernel is older, on UFS1.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs python3

older=$work/older.so
check "the older kernel builds" \
	"${CC:-cc}" -D_GNU_SOURCE -shared -fPIC -o "$older" "$top/tests/e2e/older.c"
echo 0 >"$work/said"
mkdir "$work/tree" "$work/ref"
chmod 755 "$work" "$work/ref" # others come in

ask() { # ask KIND PRELOADED [WHAT-IT-LACKS...]
	rm -rf "$work/live.ufs" "$work/live.ufs.relive"
	# shellcheck disable=SC2086 # version, block size, fragment size, order
	make_ufs "$work/live.ufs" "$work/tree" $1 -s 8m
	LD_PRELOAD=$2 OLDER=$work/said \
		check "UFS $1: mounting" mount_at "$mnt" "$work/live.ufs"
	chmod 755 "$mnt"
	run_tap "UFS $1" python3 "$(dirname "$0")/posix.py" \
		"$work/ref" "$mnt" "${@:3}"
	check "UFS $1: unmounting" umount_at "$mnt"
	check "UFS $1: it is sound" "$relive" check "$work/live.ufs.relive"
}

ask "2 32768 4096 -B le" ""
ask "1 8192 1024 -B be" "$older" ufs1 older
check "the kernel was older there" grep -q 1 "$work/said"
end
