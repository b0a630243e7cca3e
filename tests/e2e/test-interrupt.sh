#!/bin/bash
# Long work: a progress bar on a terminal and nothing elsewhere; an interrupt
# leaves nothing behind, neither files nor a locked session.  Nor does a limit.
# shellcheck disable=SC2016 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs script

# 28 MB of text that is slow to compress.
mkdir -p "$work/tree/etc" "$work/here"
for i in $(seq 1 4); do seq "$i" 1000003 >"$work/tree/part$i"; done
echo old >"$work/tree/etc/rc.conf"
make_ufs "$work/raw" "$work/tree" 1 32768 4096
"$relive" uzip -q -C 1 "$work/raw" -o "$work/live.uzip"
mount_at "$mnt" "$work/live.uzip"
echo new >"$mnt/etc/rc.conf"
umount_at "$mnt"

# interrupted WHAT SIGNAL OUT COMMAND...: a signal after a while ends it, with
# one line, an exit code of 1, and nothing of OUT there.
interrupted() {
	local what=$1 signal=$2 out=$3 pid got i
	shift 3
	"$@" 2>"$work/err" &
	pid=$!
	for ((i = 0; i < 100; i++)); do # until it has begun to write
		[ -z "$(ls -A "$work/here")" ] || break
		sleep 0.02
	done
	sleep 0.2
	kill -s "$signal" "$pid"
	wait "$pid"
	got=$?
	[ $got = 1 ] && [ "$(grep -c . "$work/err")" = 1 ] &&
		grep -q interrupted "$work/err" &&
		pass "$what by SIG$signal says so" || {
		echo "exit status $got" >>"$work/err"
		fail "$what by SIG$signal says so" "$work/err"
	}
	[ ! -e "$out" ] && [ -z "$(ls -A "$work/here")" ] &&
		pass "and leaves nothing behind" ||
		fail "and leaves nothing behind: $(ls -A "$work/here")"
}

set -m # or background commands would ignore SIGINT
interrupted "uzip stopped" INT "$work/here/x.uzip" \
	"$relive" uzip -A lzma -C 9 "$work/raw" -o "$work/here/x.uzip"
interrupted "commit stopped" INT "$work/here/x.uzip" \
	"$relive" commit -q "$work/live.uzip" -A lzma -C 9 -o "$work/here/x.uzip"
interrupted "commit stopped" TERM "$work/here/x.uzip" \
	"$relive" commit -q "$work/live.uzip" -A zstd -C 19 -o "$work/here/x.uzip"
interrupted "extracting a tar stopped" INT "$work/here/x.tar.xz" \
	"$relive" extract "$work/live.uzip" -o "$work/here/x.tar.xz"
interrupted "converting stopped" INT "$work/here/x.uzip" \
	"$relive" convert -q "$work/live.uzip.relive" -A lzma -C 9 -o "$work/here/x.uzip"

# xz works on for many seconds at what it has been given.
mkdir "$work/noise"
head -c 70000000 /dev/urandom >"$work/noise/noise"
"$relive" create -q -o "$work/noise.ufs" "$work/noise"
"$relive" extract "$work/noise.ufs" -o "$work/here/x.tar.xz" 2>"$work/err" &
pid=$!
sleep 1
kill -INT "$pid"
check "extracting a tar.xz ends at once" wait_gone "$pid" 60
check "and leaves nothing behind" test -z "$(ls -A "$work/here")"

# To a directory: a file is whole, or not there.
"$relive" extract -q "$work/noise.ufs" -o "$work/dir" 2>"$work/err" &
pid=$!
for ((i = 0; i < 1000; i++)); do
	[ ! -s "$work/dir/noise" ] || break
	sleep 0.002
done
kill -INT "$pid"
wait "$pid"
check "extracting to a directory stopped by SIGINT leaves no part of a file" \
	eval '[ ! -e "$work/dir/noise" ] || cmp "$work/dir/noise" "$work/noise/noise"'
set +m
mkdir "$work/small"
mount -t tmpfs -o size=16m none "$work/small"
our_mounts+=("$work/small")
"$relive" extract "$work/live.uzip" -o "$work/small/x" 2>"$work/err"
check "nor does a full disk" eval '[ -s "$work/small/x/part1" ] &&
	grep -q "No space" "$work/err" &&
	(cd "$work/small/x" && find . -type f) >"$work/list" &&
	(while read -r f; do
		[ "$f" = ./etc/rc.conf ] ||
			cmp "$work/small/x/$f" "$work/tree/$f" || exit 1
	done <"$work/list")'

# Who reads what is told may go away.
{
	sleep 0.2
	"$relive" commit "$work/live.uzip" -A zstd -o "$work/here/x.uzip" 2>&1
	echo $? >"$work/status"
} | true
check "commit goes on where nobody reads its remarks" eval \
	'[ "$(cat "$work/status")" = 0 ] && "$relive" check -q "$work/here/x.uzip"'
rm "$work/here/x.uzip"

check "the session is as it was" \
	test "$("$relive" cat "$work/live.uzip.relive" /etc/rc.conf)" = new
check "and can be committed" \
	"$relive" commit "$work/live.uzip" -o "$work/new.uzip"
check "with a sound result" "$relive" check "$work/new.uzip"

rm -f "$work/new.uzip"
limited() {
	(ulimit -f 100 && "$@")
}
mount_at "$mnt" "$work/live.uzip"
echo newer >"$mnt/etc/rc.conf"
umount_at "$mnt"
refuse "a commit that may not write so much says so" 1 "File too large" \
	limited "$relive" commit -q "$work/live.uzip" -o "$work/here/x.uzip"
check "and leaves nothing behind" test -z "$(ls -A "$work/here")"

script -qec "'$relive' uzip -C 9 '$work/raw' -o '$work/bar.uzip'" /dev/null \
	</dev/null >"$work/terminal" 2>&1
grep -aq 'compressing .* [kM]B, .*/s \[#*\.*\] *[0-9]*% .* left' "$work/terminal" &&
	pass "a terminal sees a progress bar" ||
	fail "a terminal sees a progress bar" "$work/terminal"
script -qec "'$relive' uzip -q -C 9 '$work/raw' -o '$work/bar.uzip'" /dev/null \
	</dev/null >"$work/terminal" 2>&1
[ ! -s "$work/terminal" ] && pass "not with -q" || fail "not with -q"
"$relive" uzip -C 9 "$work/raw" -o "$work/bar.uzip" >"$work/terminal" 2>&1
[ ! -s "$work/terminal" ] && pass "nor without a terminal" ||
	fail "nor without a terminal" "$work/terminal"
end
