#!/bin/bash
# Many processes at once in one mount: each finds what it wrote, at once and
# after the next mount, while others read, list, commit and sync beside it.
# Run with RELIVE=build/tsan/main it shows races (make tsan).
# shellcheck disable=SC2016,SC2034 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs python3

operations=${RELIVE_PARALLEL:-150}
workers=6
make_tree "$work/tree"
make_ufs "$work/live.ufs" "$work/tree" 2 16384 2048
"$relive" uzip -q "$work/live.ufs" -o "$work/live.uzip" 2>/dev/null ||
	skip_all "no uzip"
img=$work/live.uzip
our_mounts+=("$mnt")

# In the foreground, so that what a sanitizer says is seen.
serve() { # serve LOG
	"$relive" mount -f "$img" "$mnt" 2>"$1" &
	daemon=$!
	for _ in $(seq 200); do
		mountpoint -q "$mnt" && return
		sleep 0.05
	done
	return 1
}

check "a mount" serve "$work/log"
python3 "$top/tests/e2e/parallel.py" work "$mnt" $workers "$operations" 1 \
	>"$work/told" 2>&1 &
workers_pid=$!
readers=()
for _ in 1 2 3; do
	(for _ in 1 2 3; do
		find "$mnt/etc" "$mnt/rescue" -type f -exec cat {} + || exit 1
	done >/dev/null) &
	readers+=($!)
done
check "a commit goes on beside them" eval \
	'"$relive" commit -q "$img" -o "$work/out" && "$relive" check "$work/out"'
for pid in "${readers[@]}"; do
	check "a reader is not disturbed" wait "$pid"
done
if wait $workers_pid; then
	pass "every writer finds what it wrote"
else
	fail "every writer finds what it wrote" "$work/told"
fi
check "umount" umount_at "$mnt"
if wait "$daemon" && [ ! -s "$work/log" ]; then
	pass "the daemon has nothing to say"
else
	fail "the daemon has nothing to say" "$work/log"
fi
check "the next mount" serve "$work/log"
check "has it all" python3 "$top/tests/e2e/parallel.py" verify "$mnt" \
	$workers "$operations" 1
check "and what nobody touched" diff -r "$work/tree/etc" "$mnt/etc"
mkdir "$mnt/again"
python3 "$top/tests/e2e/parallel.py" work "$mnt/again" $workers 100000 2 \
	>/dev/null 2>&1 &
workers_pid=$!
until [ -s "$mnt/again/own0/f1" ]; do sleep 0.05; done
kill -TERM "$daemon"
if wait "$daemon" && [ ! -s "$work/log" ]; then
	pass "SIGTERM in the midst of it ends the daemon well"
else
	fail "SIGTERM in the midst of it ends the daemon well" "$work/log"
fi
check "and nothing is mounted" eval '! mountpoint -q "$mnt"'
wait $workers_pid
check "what had been there is there" eval 'serve "$work/log" &&
	python3 "$top/tests/e2e/parallel.py" verify "$mnt" $workers "$operations" 1 &&
	umount_at "$mnt" && wait "$daemon"'
check "and the file system is clean" "$relive" check "$img.relive"
end
