#!/bin/bash
# What a mount stands on is pulled away: base and overlay removed, cut off,
# replaced or used twice while mounted, the clock set back, memory short.
# Nothing crashes, what cannot be confirmed is not, and what was confirmed is
# there once things are back in place.
# shellcheck disable=SC2016,SC2034 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs prlimit

make_tree "$work/tree"
make_ufs "$work/base" "$work/tree" 2 16384 2048
"$relive" uzip -q "$work/base" -o "$work/live.uzip" || exit 1
cp "$work/live.uzip" "$work/spare"
img=$work/live.uzip
overlay=$img.relive/image.overlay
sum=$(sha256sum <"$work/tree/boot/kernel/kernel")

begin() { # a new mount, with something confirmed
	umount -l "$mnt" 2>/dev/null
	rm -rf "$img.relive"
	cp --remove-destination "$work/spare" "$img"
	mount_at "$mnt" "$img" && echo safe >"$mnt/safe" && sync "$mnt/safe"
}

alive() {
	kill -0 "$(sed -n 's/^pid //p' "$img.relive/mount")"
}

intact() { # mounted again it shows what was confirmed, and is clean
	mount_at "$mnt" "$img" && grep -q safe "$mnt/safe" &&
		[ "$(sha256sum <"$mnt/boot/kernel/kernel")" = "$sum" ] &&
		umount_at "$mnt" && "$relive" check "$img.relive"
}

# -- the base -----------------------------------------------------------------

begin
check "the base removed: reading, writing and umount go on" eval 'rm "$img" &&
	[ "$(sha256sum <"$mnt/boot/kernel/kernel")" = "$sum" ] &&
	echo more >"$mnt/more" && sync "$mnt/more" && umount_at "$mnt"'
refuse "it cannot be mounted without" 1 "No such file" mount_at "$mnt" "$img"
check "back in place everything is there" eval 'cp "$work/spare" "$img" &&
	intact && [ "$("$relive" cat "$img.relive" /more)" = more ]'

begin
check "the base replaced: the mount keeps the old one" eval \
	'head -c 100000 /dev/zero >"$work/other" && mv "$work/other" "$img" &&
	[ "$(sha256sum <"$mnt/boot/kernel/kernel")" = "$sum" ] &&
	echo more >"$mnt/more" && umount_at "$mnt"'
check "what replaced it is not mistaken for it" eval \
	'! mount_at "$mnt" "$img" 2>"$work/err" && [ -s "$work/err" ]'
check "the old one back in place everything is there" eval \
	'mv "$work/spare" "$img" && cp "$img" "$work/spare" && intact &&
	[ "$("$relive" cat "$img.relive" /more)" = more ]'

begin
truncate -s 40000 "$img"
check "the base cut off: an error where it is gone" eval \
	'! cat "$mnt/bin/noise" >/dev/null 2>"$work/err" &&
	grep -q "Input/output error" "$work/err"'
check "and the mount lives" eval 'alive && grep -q safe "$mnt/safe"'
check "and umount keeps what was written" eval \
	'echo more >"$mnt/safe2" && umount_at "$mnt"'
check "a base that was cut off is refused, and said" eval \
	'! mount_at "$mnt" "$img" 2>"$work/err" && [ -s "$work/err" ]'
check "whole again everything is there" eval \
	'cp "$work/spare" "$img" && intact &&
	[ "$("$relive" cat "$img.relive" /safe2)" = more ]'

# -- the overlay --------------------------------------------------------------

begin
check "the overlay removed: it is written again" eval 'rm "$overlay" &&
	echo more >"$mnt/more" && sync "$mnt/more" && umount_at "$mnt" &&
	[ -e "$overlay" ] && intact &&
	[ "$("$relive" cat "$img.relive" /more)" = more ]'

begin
check "the overlay replaced: nothing is confirmed any more" eval \
	'echo theirs >"$work/other" && mv "$work/other" "$overlay" &&
	{ echo more >"$mnt/more"; ! sync "$mnt/more"; } 2>"$work/err" &&
	grep -q "Input/output error" "$work/err"'
check "and what is there can be read" grep -q safe "$mnt/safe"
check "and the other file is left alone" grep -qx theirs "$overlay"
kill -9 "$(sed -n 's/^pid //p' "$img.relive/mount")"

begin
check "the overlay cut off: nothing is confirmed any more" eval \
	'truncate -s 5000 "$overlay" &&
	{ echo more >"$mnt/more"; ! sync "$mnt/more"; } 2>"$work/err" && alive'
kill -9 "$(sed -n 's/^pid //p' "$img.relive/mount")"

begin
check "the folder removed: nothing is confirmed any more" eval \
	'pid=$(sed -n "s/^pid //p" "$img.relive/mount") && rm -r "$img.relive" &&
	{ echo more >"$mnt/more"; ! sync "$mnt/more"; } 2>"$work/err" &&
	kill -0 "$pid" && grep -q safe "$mnt/safe"'
kill -9 "$pid"

begin
refuse "a second writer is refused" 1 "is mounted at" \
	"$relive" mount "$img" "$work/tree"
refuse "also by another name" 1 "is mounted at" \
	"$relive" mount "$img.relive" "$work/tree"
refuse "discard is refused" 1 "is mounted at" "$relive" discard "$img"
check "the other commands read beside it" eval \
	'"$relive" check "$img.relive" && "$relive" status "$img" &&
	[ "$("$relive" cat "$img.relive" /safe)" = safe ]'

# -- busy, and told to end ----------------------------------------------------

exec 3>"$mnt/busy"
refuse "umount while a file is open is refused" 1 "is in use" umount_at "$mnt"
echo late >&3
pid=$(sed -n 's/^pid //p' "$img.relive/mount")
kill -TERM "$pid"
for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
exec 3>&-
check "SIGTERM while it is open keeps what was written" eval \
	'intact && [ "$("$relive" cat "$img.relive" /busy)" = late ]'

# -- the clock ----------------------------------------------------------------

begin && umount_at "$mnt"
if ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -shared -fPIC -o "$work/clock.so" \
	"$top/tests/e2e/clock.c"; then
	LD_PRELOAD=$work/clock.so "$relive" mount "$img" "$mnt"
	for i in $(seq 1 40); do
		echo "$i" >"$mnt/file$i" && echo "$i" >>"$mnt/all"
	done
	check "a clock that goes back is in the times" eval \
		'old=$(find "$mnt" -name "file*" ! -newermt -5years | wc -l) &&
		[ "$old" -gt 5 ] && [ "$old" -lt 35 ]'
	check "and harms nothing" eval 'sync "$mnt/all" && umount_at "$mnt" &&
		intact && [ "$("$relive" cat "$img.relive" /all)" = "$(seq 40)" ]'
	LD_PRELOAD=$work/clock.so "$relive" commit -q "$img" -o "$work/new.uzip"
	check "nor a commit" eval '"$relive" check "$work/new.uzip" &&
		[ "$("$relive" cat "$work/new.uzip" /file7)" = 7 ]'
	rm -f "$work/new.uzip"
else
	fail "the library builds"
fi

# -- memory -------------------------------------------------------------------

umount -l "$mnt" 2>/dev/null
begin && umount_at "$mnt"
limited() { # limited KILOBYTES COMMAND...
	prlimit --as=$(($1 * 1024)) "${@:2}"
}
least=8000
while ! limited $least "$relive" --version >/dev/null 2>&1; do
	least=$((least + 250))
done

# short WHAT COMMAND...: in ever more memory, until it succeeds
short() {
	local what=$1 kb=$least tries=0 status
	shift
	: >"$work/wrong"
	while [ $kb -lt 4000000 ]; do
		rm -f "$work/new.uzip"
		limited $kb timeout 60 "$@" >"$work/out" 2>"$work/err"
		status=$?
		[ $status != 0 ] || break
		tries=$((tries + 1))
		if [ $status -gt 3 ] || ! grep -q '^relive: ' "$work/err" ||
			[ -e "$work/new.uzip" ]; then
			{
				echo "$kb kB, status $status:"
				cat "$work/err"
			} >>"$work/wrong"
		fi
		kb=$((kb + (kb - least) / 8 + 150))
	done
	if [ -s "$work/wrong" ] || [ $status != 0 ]; then
		fail "$what in little memory" "$work/wrong"
	else
		pass "$what in little memory: $tries refusals, done with $kb kB"
	fi
}
short "info" "$relive" info "$img"
short "ls" "$relive" ls -R "$img.relive"
short "check" "$relive" check "$img.relive"
short "status" "$relive" status "$img"
short "commit" "$relive" commit -q "$img" -o "$work/new.uzip"

# A mount with edits: whatever the daemon refuses, the rest is sound.
edit() {
	rm -rf "$mnt/edits"
	mkdir "$mnt/edits" && seq 1 200000 >"$mnt/edits/many" &&
		cp "$mnt/boot/kernel/kernel" "$mnt/edits/" && sync "$mnt/edits"
}
: >"$work/wrong"
refused=0 halted=0 done=0
for ((kb = least; kb < 600000; kb += (kb - least) / 5 + 700)); do
	limited $kb "$relive" mount "$img" "$mnt" 2>"$work/err"
	status=$?
	if [ $status = 0 ]; then
		if edit 2>/dev/null; then done=$((done + 1)); else
			halted=$((halted + 1))
		fi
		timeout 30 "$relive" umount "$mnt" 2>/dev/null
	else
		refused=$((refused + 1))
		[ $status -le 3 ] && grep -q '^relive: ' "$work/err" ||
			echo "$kb kB, status $status" >>"$work/wrong"
	fi
	umount -l "$mnt" 2>/dev/null
	intact >"$work/out" 2>&1 ||
		{ echo "$kb kB:" && cat "$work/out"; } >>"$work/wrong"
done
what="$refused mounts refused, $halted halted, $done done"
if [ -s "$work/wrong" ]; then
	fail "in little memory: $what" "$work/wrong"
else
	pass "in little memory nothing is lost: $what"
fi
end
