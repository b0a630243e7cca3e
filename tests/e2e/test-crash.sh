#!/bin/bash
# kill -9 of the daemon at random moments under load: after the next mount
# everything that an fsync confirmed is there, nothing is half done, and the
# file system is clean.  ROUNDS sets how often; the seed of a round is its
# number, so that one can be repeated.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs

rounds=${ROUNDS:-200}
ledger=$work/ledger

if ! ${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -o "$ledger" \
	"$top/tests/e2e/ledger.c" 2>"$work/err"; then
	fail "the ledger builds" "$work/err"
	end
fi

make_tree "$work/tree"
make_ufs "$work/base.ufs" "$work/tree" 2 16384 2048
"$relive" uzip "$work/base.ufs" -o "$work/live.uzip" || exit 1

daemon_pid() {
	awk '/^pid/ { print $2 }' "$work/live.uzip.relive/mount"
}

one_round() { # one_round NUMBER: prints what was verified
	local n=$1 pid runner
	mount_at "$mnt" "$work/live.uzip" || return 1
	rm -rf "$mnt/r" && mkdir "$mnt/r" && sync "$mnt/r" || return 1
	: >"$work/told"
	"$ledger" run "$mnt/r" "$work/told" "$n" 2>/dev/null &
	runner=$!
	pid=$(daemon_pid)
	sleep "0.$((RANDOM % 9 + 2))"
	kill -9 "$pid" || return 1
	wait "$runner"
	umount -l "$mnt"
	mount_at "$mnt" "$work/live.uzip" || return 1
	"$ledger" verify "$mnt/r" "$work/told" "$n" || return 1
	umount_at "$mnt"
}

lost=0
ops=0
for ((i = 1; i <= rounds; i++)); do
	if ! one_round "$i" >"$work/round" 2>&1; then
		lost=$((lost + 1))
		{
			echo "round $i:"
			cat "$work/round"
		} >>"$work/rounds"
		umount -l "$mnt" 2>/dev/null
		continue
	fi
	ops=$((ops + $(tail -n 1 "$work/round" | cut -d' ' -f2)))
	[ $((i % 20)) = 0 ] || continue
	"$relive" check --session "$work/live.uzip.relive" "$work/live.uzip" \
		>>"$work/checks" 2>&1 || lost=$((lost + 1))
done
: >>"$work/rounds"
[ -s "$work/checks" ] && cat "$work/checks" >>"$work/rounds"
if [ "$lost" = 0 ]; then
	pass "$rounds rounds of kill -9, $ops operations: nothing confirmed is lost"
else
	fail "$lost of $rounds rounds of kill -9 lost something" "$work/rounds"
fi
end
