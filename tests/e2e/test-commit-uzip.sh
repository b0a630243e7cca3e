#!/bin/bash
# Editing and committing bare uzips of every kind: the new image holds exactly
# the edited tree, has its base's form, and passes the checker.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs

make_tree "$work/tree"
make_ufs "$work/one.ufs" "$work/tree" 1 8192 1024
make_ufs "$work/two.ufs" "$work/tree" 2 32768 4096

form() { # what must survive a commit
	"$relive" info --json "$1" |
		grep -E '"(codec|version|cluster_size|letter|deduplicated)"'
}

try() { # try RAW UZIP-OPTION...
	local raw=$1
	shift
	rm -rf "$work"/live.* "$work"/new.*
	check "compress $raw $*" \
		"$relive" uzip "$work/$raw" -o "$work/live.uzip" "$@"
	check "mount" mount_at "$mnt" "$work/live.uzip"
	edit_tree "$mnt" 42
	check "commit while mounted" \
		"$relive" commit "$mnt" -o "$work/new.uzip" --verify=full
	manifest "$mnt" >"$work/want"
	check "umount" umount_at "$mnt"
	check "check the session" \
		"$relive" check --session "$work/live.uzip.relive" "$work/live.uzip"
	check "check the result" "$relive" check "$work/new.uzip"
	check "mount the result" mount_at "$mnt" "$work/new.uzip" --ro
	manifest "$mnt" >"$work/got"
	check "umount it" umount_at "$mnt"
	same "$raw $*: the result holds the edited tree" \
		"$work/want" "$work/got"
	form "$work/live.uzip" >"$work/want"
	form "$work/new.uzip" >"$work/got"
	same "$raw $*: codec, version, cluster and habits stay" \
		"$work/want" "$work/got"
	check "commit the idle session again" \
		"$relive" commit "$work/live.uzip" -o "$work/new2.uzip"
	check "the same bytes, mounted or idle" \
		cmp "$work/new.uzip" "$work/new2.uzip"
}

try one.ufs
try one.ufs -d
try one.ufs -Z -d -s 19456
try one.ufs -A lzma -s 65536
try two.ufs -A zstd -d -s 262144
try two.ufs -A zstd -s 16384
try two.ufs -s 512
try two.ufs -s 1048576 -A zstd
end
