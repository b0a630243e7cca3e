#!/bin/bash
# A client that asks for one small thing after another is served by a thread
# that follows it from processor to processor, and others go on beside it.
# shellcheck disable=SC2016,SC2034 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs python3 taskset pgrep
[ "$(nproc)" -gt 1 ] || skip_all "one processor"

make_tree "$work/tree"
make_ufs "$work/live.ufs" "$work/tree" 2 32768 4096
img=$work/live.ufs

cat >"$work/ask.py" <<'EOF'
# ask.py DIR [FILE]: look up names that are not there, until SIGUSR1 comes; then
# read FILE.
import itertools, os, signal, sys
told = []
signal.signal(signal.SIGUSR1, lambda *_: told.append(True))
for i in itertools.count():
    if told:
        break
    try:
        os.stat(f"{sys.argv[1]}/nothing-{os.getpid()}-{i}")
    except FileNotFoundError:
        pass
print("asked", flush=True)
sys.stdout.buffer.write(open(sys.argv[2], "rb").read())
EOF

daemon_pid() { sed -n 's/^pid //p' "${1-$img}.relive/mount"; }

threads() { # threads PID
	(cd "/proc/$1/task" && echo [0-9]*)
}

# Field 41 of proc(5)'s stat; the name before may hold anything.
policy() { # policy PID THREAD
	sed 's/.*) //' "/proc/$1/task/$2/stat" | cut -d' ' -f39
}

# The follower is the one whose policy is SCHED_IDLE.
follower() { # follower PID
	local thread
	for thread in $(threads "$1"); do
		[ "$(policy "$1" "$thread")" = 5 ] && echo "$thread"
	done
}

# As often, it was interrupted by a client that it had answered.
turns() { # turns PID THREAD
	sed -n 's/^nonvoluntary_ctxt_switches:[[:space:]]*//p' \
		"/proc/$1/task/$2/status"
}

cpus() { # cpus PID THREAD
	sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$1/task/$2/status"
}

follows() { # follows PID THREAD: within a while it has had many turns
	local before
	before=$(turns "$1" "$2")
	for _ in $(seq 300); do
		[ "$(turns "$1" "$2")" -gt $((before + 2000)) ] && return
		sleep 0.1
	done
	return 1
}

# On a busy machine it may be set free at times, and comes back.
in_place() { # in_place PID THREAD: it runs last, and on one processor
	for _ in $(seq 100); do
		[ "$(policy "$1" "$2")" = 5 ] &&
			cpus "$1" "$2" | grep -qx "[0-9]*" && return
		sleep 0.05
	done
	return 1
}

start_asking() { # start_asking DIR [FILE]
	python3 "$work/ask.py" "$@" >"$work/asked" 2>&1 &
	client=$!
}

stop_asking() {
	kill "$client" && wait "$client"
} 2>/dev/null

# -- one client ---------------------------------------------------------------
mount_at "$mnt" "$img"
pid=$(daemon_pid)
thread=$(follower "$pid")
all=$(cpus "$pid" "$thread")
check "one thread can follow, from anywhere" eval \
	'[ -n "$thread" ] && [ "$all" = "$(cpus "$pid" "$pid")" ]'
start_asking "$mnt"
check "it takes turns with a client" follows "$pid" "$thread"
check "on one processor" in_place "$pid" "$thread"
check "where the others need not be" eval \
	'[ "$all" = "$(cpus "$pid" "$pid")" ]'

# -- and others ---------------------------------------------------------------
check "another client finds what it should, at once" eval \
	'timeout -s KILL 60 diff -r "$work/tree/etc" "$mnt/etc"'
check "and writes" eval 'timeout -s KILL 60 cp -a "$work/tree/etc" "$mnt/copy" &&
	sync "$mnt/copy" && diff -r "$work/tree/etc" "$mnt/copy"'
stop_asking
for _ in $(seq 100); do
	grep -q futex "/proc/$pid/task/$thread/wchan" && break
	sleep 0.05
done
check "once its client has gone it waits for no request" \
	grep -q futex "/proc/$pid/task/$thread/wchan"

# Somebody moves it elsewhere.
mine=$(cpus "$pid" "$thread")
other=$(seq 0 $(($(nproc) - 1)) | grep -vx "$mine" | head -n 1)
taskset -p -c "$other" "$thread" >"$work/out"
start_asking "$mnt"
sleep 1
check "whoever says where it runs has the last word" eval \
	'[ "$(cpus "$pid" "$thread")" = "$other" ] && kill -0 "$client"'
stop_asking
check "umount" umount_at "$mnt"

# What others do for it runs anywhere, at their own priority: unpacking, which
# it was the first to need, and flushing, which it leaves to others.
"$relive" uzip -q "$work/live.ufs" -o "$work/live.uzip"
mount_at "$mnt" "$work/live.uzip"
pid=$(daemon_pid "$work/live.uzip")
thread=$(follower "$pid")
start_asking "$mnt" "$mnt/boot/kernel/kernel"
follows "$pid" "$thread"
kill -USR1 "$client"
wait "$client"
check "what it reads for its client is right" eval \
	'tail -c +7 "$work/asked" | cmp - "$work/tree/boot/kernel/kernel"'
policies() {
	local other
	for other in $(threads "$pid"); do
		[ "$other" = "$thread" ] ||
			echo "$(policy "$pid" "$other") $(cpus "$pid" "$other")"
	done | sort -u
}
check "no other thread has its place or its priority" \
	test "$(policies)" = "0 $all"
check "a client that writes and syncs much is served" eval \
	'timeout -s KILL 60 python3 - "$mnt" <<"EOF"
import os, sys
os.mkdir(sys.argv[1] + "/many")
for i in range(3000):
    with open(f"{sys.argv[1]}/many/{i}", "wb") as f:
        f.write(b"%d" % i * 9999)
        if i % 100 == 0:
            os.fsync(f.fileno())
EOF
	"$relive" umount "$mnt" && mount_at "$mnt" "$work/live.uzip" &&
	[ "$(cat "$mnt/many/2999" | tail -c 8)" = 29992999 ] &&
	[ "$(ls "$mnt/many" | wc -l)" = 3000 ]'
check "umount" umount_at "$mnt"

# -- the end of it ------------------------------------------------------------
mount_at "$mnt" "$img"
pid=$(daemon_pid)
thread=$(follower "$pid")
start_asking "$mnt"
follows "$pid" "$thread"
echo one >"$mnt/one"
check "umount is refused while it follows, as ever" eval \
	'! (cd "$mnt/etc" && umount_at "$mnt") 2>"$work/err" &&
	timeout -s KILL 20 cat "$mnt/one"'
kill -TERM "$pid"
check "SIGTERM ends the daemon while it follows" wait_gone "$pid"
stop_asking
check "and nothing is lost" eval \
	'! mountpoint -q "$mnt" && mount_at "$mnt" "$img" && grep -q one "$mnt/one"'

pid=$(daemon_pid)
thread=$(follower "$pid")
start_asking "$mnt"
follows "$pid" "$thread"
kill -KILL "$(pgrep -P "$pid")"
check "without its helper the daemon goes on" eval 'sleep 1 &&
	timeout -s KILL 20 diff -r "$work/tree/etc" "$mnt/etc" &&
	kill -0 "$client"'
stop_asking
kill -TERM "$pid"
check "and ends" wait_gone "$pid"

# -- a host that does not answer the follower -----------------------------------
mount_on_mount "$img"
ls "$work/inner/etc" >"$work/out"
echo 3 >/proc/sys/vm/drop_caches
inner=$(sed -n 's/^pid //p' "$work/inner.relive/mount")
thread=$(follower "$inner")
kill -STOP "$host_pid"
start_asking "$work/inner" "$work/inner/boot/kernel/kernel"
check "it follows as long as it needs no host that waits" \
	follows "$inner" "$thread"
kill -USR1 "$client"
for _ in $(seq 200); do
	[ -s "$work/asked" ] && break
	sleep 0.05
done
check "which holds up no other" eval \
	'timeout -s KILL 20 stat "$work/inner/not-there-$$" 2>"$work/err"
	grep -q "No such file" "$work/err" && kill -0 "$client"'
# It runs as any other does, or it was another that took the request.
freed() { # freed PID THREAD
	for _ in $(seq 100); do
		[ "$(policy "$1" "$2") $(cpus "$1" "$2")" = "0 $all" ] && return
		grep -q futex "/proc/$1/task/$2/wchan" && return
		sleep 0.05
	done
	return 1
}
check "as it has all processors and its priority by then" \
	freed "$inner" "$thread"
kill -CONT "$host_pid"
wait "$client"
check "and is answered in the end" eval \
	'tail -c +7 "$work/asked" | cmp - "$work/tree/boot/kernel/kernel"'
start_asking "$work/inner"
check "from then on it follows as before" eval \
	'follows "$inner" "$thread" && in_place "$inner" "$thread"'
stop_asking
umount_at "$work/inner"
umount_at "$work/host"
end
