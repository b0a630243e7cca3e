#!/bin/bash
# The overlay of a real session, cut at random bytes as a crash could leave
# it: every cut opens to a clean file system, and a later cut never shows an
# earlier state.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs

cuts=${CUTS:-60}
make_tree "$work/tree"
make_ufs "$work/base.ufs" "$work/tree" 2 16384 2048
"$relive" uzip "$work/base.ufs" -o "$work/live.uzip" || exit 1

# Forty transactions, each confirmed by an fsync; the daemon is killed, so
# that the file ends in its log, not in an index.
check "mount" mount_at "$mnt" "$work/live.uzip"
for i in $(seq 1 40); do
	seq "$i" $((i * 500)) >"$mnt/etc/round"
	echo "$i" >"$mnt/etc/number"
	[ $((i % 3)) != 0 ] || rm -f "$mnt/rescue/link$i"
	sync "$mnt/etc/number"
done
kill -9 "$(awk '/^pid/ { print $2 }' "$work/live.uzip.relive/mount")"
umount -l "$mnt"

overlay=$work/live.uzip.relive/image.overlay
cp "$overlay" "$work/whole"
size=$(stat -c %s "$work/whole")
RANDOM=3
last=0
bad=0
mapfile -t places < <(for ((i = 0; i < cuts; i++)); do
	echo $((4096 + (RANDOM * 32768 + RANDOM) % (size - 4096)))
done | sort -n)
for at in "${places[@]}" "$size"; do
	cp "$work/whole" "$overlay"
	truncate -s "$at" "$overlay"
	if ! "$relive" check --session "$work/live.uzip.relive" \
		"$work/live.uzip" >"$work/out" 2>&1; then
		bad=$((bad + 1))
		{ echo "cut at $at:"; cat "$work/out"; } >>"$work/bad"
		continue
	fi
	now=$("$relive" cat --session "$work/live.uzip.relive" \
		"$work/live.uzip" /etc/number 2>/dev/null)
	if [ "${now:-0}" -lt "$last" ]; then
		bad=$((bad + 1))
		echo "cut at $at shows $now after $last" >>"$work/bad"
	fi
	last=${now:-0}
done
: >>"$work/bad"
if [ "$bad" = 0 ]; then
	pass "$((cuts + 1)) cuts open to a clean state, in order"
else
	fail "$bad of $((cuts + 1)) cuts" "$work/bad"
fi
if [ "$last" = 40 ]; then
	pass "the whole file shows everything confirmed"
else
	fail "the whole file shows only $last of 40"
fi
end
