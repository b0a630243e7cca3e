#!/bin/bash
# The disk fails: each call of the program on the base, the session and the
# output fails in turn, with EIO, with ENOSPC, or by doing half of it
# (faults.c); while mounting, editing, committing, discarding.  Every time: no
# crash, one message, nothing confirmed is lost, nothing half done is left,
# and the next try succeeds.  STRIDE 0 takes every call; else they are taken
# ever less densely.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs genisoimage

stride=${STRIDE:-8}
export SOURCE_DATE_EPOCH=1700000000
run=$work/run
log=$work/log
if ! ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -shared -fPIC -O1 \
	-o "$work/faults.so" "$top/tests/e2e/faults.c" -ldl 2>"$work/err"; then
	fail "the library builds" "$work/err"
	end
fi

# A small tree, edited once; pristine/NAME holds an image and its session.
mkdir -p "$work/tree/etc" "$work/tree/bin"
seq 1 2000 >"$work/tree/etc/kept"
seq 1 20000 >"$work/tree/bin/prog"
make_ufs "$work/base" "$work/tree" 2 16384 2048 -s 2m
mkdir -p "$work"/pristine/{raw,uzip,iso}
cp "$work/base" "$work/pristine/raw/image"
"$relive" uzip -q -s 16384 "$work/base" -o "$work/pristine/uzip/image" || exit 1
mkdir -p "$work/stage/data"
seq 1 5000 >"$work/stage/loader"
cp "$work/pristine/uzip/image" "$work/stage/data/base.ufs.uzip"
genisoimage -quiet -R -V FAULTS -o "$work/pristine/iso/image" "$work/stage" ||
	exit 1
for kind in raw uzip iso; do
	mount_at "$mnt" "$work/pristine/$kind/image" || exit 1
	echo edited >"$mnt/etc/edited" && seq 5 9000 >"$mnt/bin/prog" &&
		umount_at "$mnt" || exit 1
	cp -a "$work/pristine/$kind" "$run"
	"$relive" commit -q "$run/image" -o "$work/expected.$kind" || exit 1
	rm -rf "$run"
done

faulty() { # faulty HOW NTH COMMAND...
	FAULT_DIR=$run FAULT_HOW=$1 FAULT_NTH=$2 FAULT_LOG=$log \
		LD_PRELOAD=$work/faults.so "${@:3}"
}

wrong() { # wrong WHAT: this try went wrong
	{
		echo "$try ($(tr '\n' ' ' <"$log")), status $status: $1"
		cat "$work/err"
	} >>"$work/wrong"
}

shows_edits() {
	[ "$("$relive" cat "$run/image.relive" /etc/edited)" = edited ]
}

# How the command ended: by itself, and saying why if it failed.
judge_end() {
	if [ "$status" -gt 3 ]; then
		wrong "crashed"
	elif [ "$status" != 0 ] && ! grep -q '^relive: ' "$work/err"; then
		wrong "failed in silence"
	elif [ "$status" != 0 ] && [ "$(grep -c . "$work/err")" -gt 2 ]; then
		wrong "failed in many words"
	fi
}

nothing_stray() { # nothing_stray NAME...: besides these
	local found
	found=$(find "$run" -mindepth 1 -maxdepth 1 -printf '%f\n' |
		grep -vxF "$(printf '%s\n' image image.relive "$@")")
	# What could not be unlinked stays.
	[ -z "$found" ] || grep -q unlink "$log" || wrong "left $found"
}

commit_out() {
	faulty "$1" "$2" "$relive" commit "$run/image" -o "$run/out" \
		>/dev/null 2>"$work/err"
	status=$?
	judge_end
	cmp -s "$run/image" "$work/pristine/$kind/image" || wrong "base changed"
	if [ "$status" = 0 ] || [ -e "$run/out" ]; then
		cmp -s "$run/out" "$work/expected.$kind" || wrong "bad output"
	fi
	shows_edits || wrong "edits lost"
	nothing_stray out
	rm -f "$run"/.out* "$run/out"
	"$relive" commit -q "$run/image" -o "$run/out" &&
		cmp -s "$run/out" "$work/expected.$kind" || wrong "no second try"
}

commit_in_place() {
	faulty "$1" "$2" "$relive" commit "$run/image" --in-place \
		>/dev/null 2>"$work/err"
	status=$?
	judge_end
	if [ "$status" = 0 ]; then
		cmp -s "$run/image" "$work/expected.$kind" || wrong "bad output"
	else
		cmp -s "$run/image" "$work/expected.$kind" ||
			cmp -s "$run/image" "$work/pristine/$kind/image" ||
			wrong "base is neither old nor new"
	fi
	shows_edits 2>"$work/err" ||
		[ "$("$relive" cat "$run/image" /etc/edited)" = edited ] ||
		wrong "edits lost"
	nothing_stray
	"$relive" commit -q "$run/image" --in-place 2>"$work/err" &&
		cmp -s "$run/image" "$work/expected.$kind" || wrong "no second try"
}

discard() {
	faulty "$1" "$2" "$relive" discard "$run/image" >/dev/null 2>"$work/err"
	status=$?
	judge_end
	if [ "$status" = 0 ]; then
		[ ! -e "$run/image.relive" ] || wrong "still there"
	elif [ -e "$run/image.relive" ]; then
		"$relive" discard "$run/image" 2>"$work/err" || wrong "no second try"
	fi
	cmp -s "$run/image" "$work/pristine/$kind/image" || wrong "base changed"
}

look() {
	for command in status check "info --json"; do
		# shellcheck disable=SC2086 # words
		faulty "$1" "$2" "$relive" $command "$run/image" \
			>"$work/out" 2>"$work/err"
		status=$?
		[ "$status" -le 3 ] || wrong "$command crashed"
		[ "$status" = 0 ] || [ -s "$work/err" ] || wrong "$command: silent"
	done
	shows_edits || wrong "edits lost"
}

# Mount, edit, fsync, unmount; what fsync or umount confirmed is there.
live() {
	local confirmed='' more='' pid=''
	our_mounts+=("$mnt")
	faulty "$1" "$2" "$relive" mount "$run/image" "$mnt" 2>"$work/err"
	status=$?
	judge_end
	if [ "$status" = 0 ]; then
		pid=$(sed -n 's/^pid //p' "$run/image.relive/mount" 2>/dev/null)
		echo confirmed >"$mnt/etc/new" && sync "$mnt/etc/new" && confirmed=1
		if rm -f "$mnt/etc/edited" && seq 1 30000 >"$mnt/etc/more"; then
			sync "$mnt" && more=1
			timeout 20 "$relive" umount "$mnt" && more=1
		else
			timeout 20 "$relive" umount "$mnt"
		fi
	fi 2>"$work/err"
	umount -l "$mnt" 2>/dev/null
	[ -z "${pid-}" ] || kill -9 "$pid" 2>/dev/null
	if ! mount_at "$mnt" "$run/image" 2>"$work/err"; then
		wrong "cannot be mounted any more"
		return
	fi
	cmp -s "$mnt/etc/kept" "$work/tree/etc/kept" || wrong "old data"
	[ -z "$confirmed" ] || grep -q confirmed "$mnt/etc/new" ||
		wrong "lost what was confirmed"
	[ -z "$more" ] || [ "$(wc -l <"$mnt/etc/more")" = 30000 ] ||
		wrong "lost more of what was confirmed"
	[ -n "$more" ] || [ -e "$mnt/etc/edited" ] || [ -e "$mnt/etc/new" ] ||
		wrong "the removal came before what was made"
	echo again >"$mnt/etc/again" && umount_at "$mnt" 2>"$work/err" ||
		wrong "cannot be edited any more"
	"$relive" check "$run/image.relive" >"$work/err" 2>&1 || wrong "not clean"
}

# sweep WHAT KIND FUNCTION: until no call is left to fail.
sweep() {
	local kind=$2 how nth count=0
	: >"$work/wrong"
	for how in eio enospc short; do
		for ((nth = 1; ; nth += stride ? 1 + nth / stride : 1)); do
			rm -rf "$run" && cp -a "$work/pristine/$kind" "$run"
			: >"$log"
			try="$how at call $nth"
			"$3" "$how" "$nth"
			[ -s "$log" ] || break
			count=$((count + $(wc -l <"$log")))
		done
	done
	injected=$((injected + count))
	[ -z "${VERBOSE-}" ] || times | sed -n "2s,^,# ,p"
	if [ -s "$work/wrong" ]; then
		fail "$1, $2: $count faults" "$work/wrong"
	else
		pass "$1, $2: $count faults"
	fi
}

injected=0
for kind in uzip raw iso; do
	sweep "commit" $kind commit_out
	sweep "commit in place" $kind commit_in_place
done
sweep "discard" uzip discard
sweep "looking" uzip look
sweep "a live session" uzip live
sweep "a live session" raw live
echo "# $injected faults injected"
end
