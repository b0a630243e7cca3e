#!/bin/bash
# Mounting, reading and committing without a change gives the same bytes, for
# everything that FreeBSD's own tools wrote.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need xz
[ -d "$fixtures/uzip" ] || skip_all "no fixtures at $fixtures"

try() { # try NAME IMAGE
	check "$1: mount" mount_at "$mnt" "$2"
	find "$mnt" -type f ! -name .sujournal -exec head -c 1 {} + \
		>/dev/null 2>&1
	check "$1: umount" umount_at "$mnt"
	check "$1: commit" "$relive" commit "$2" -o "$work/committed"
	check "$1: the same bytes" cmp "$2" "$work/committed"
	rm -rf "$2" "$2.relive" "$work/committed"
}

for f in "$fixtures"/uzip/*.uzip; do
	cp "$f" "$work/image"
	try "$(basename "$f")" "$work/image"
done
for f in "$fixtures"/ufs/*.xz "$fixtures"/iso/*.xz; do
	name=$(basename "$f" .xz)
	case $name in
	*.manifest | *-unclean) continue ;;
	esac
	xz -dc "$f" >"$work/image"
	try "$name" "$work/image"
done
end
