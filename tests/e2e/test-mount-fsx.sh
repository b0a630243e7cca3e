#!/bin/bash
# Random operations on a file against a model, on file systems of several
# geometries and both byte orders; with RELIVE_LONG=1 some hundred times more.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs

steps=3000 rounds=2
[ -z "${RELIVE_LONG-}" ] || rounds=200
check "fsx builds" "${CC:-cc}" -std=c11 -D_GNU_SOURCE -O1 -o "$work/fsx" \
	"$top/tests/e2e/fsx.c"
mkdir "$work/tree"
seed=${FSX_SEED:-1}
for kind in "2 32768 4096 le" "2 4096 512 be" "2 65536 8192 le" \
	"1 16384 2048 be" "1 8192 1024 le"; do
	read -r version bsize fsize order <<<"$kind"
	rm -rf "$work/live.ufs" "$work/live.ufs.relive"
	make_ufs "$work/live.ufs" "$work/tree" "$version" "$bsize" "$fsize" \
		-B "$order" -s 8m
	mount_at "$mnt" "$work/live.ufs"
	for ((i = 0; i < rounds; i++)); do
		check "UFS $kind: seed $seed" \
			"$work/fsx" "$mnt/f$seed" "$seed" "$steps"
		((i < 4)) || rm "$mnt/f$seed"
		seed=$((seed + 1))
	done
	manifest "$mnt" >"$work/before"
	check "UFS $kind: unmounting" umount_at "$mnt"
	check "UFS $kind: it is sound" "$relive" check "$work/live.ufs.relive"
	mount_at "$mnt" "$work/live.ufs"
	manifest "$mnt" >"$work/after"
	same "UFS $kind: it is the same after mounting it again" \
		"$work/before" "$work/after"
	umount_at "$mnt"
done
end
