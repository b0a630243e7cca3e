#!/bin/bash
# The daemon confines itself once it is mounted, and goes on doing all its
# work: flush, compaction, growth, messages, every way to the end.
# shellcheck disable=SC2016,SC2034 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs flock setpriv python3

make_tree "$work/tree"
make_ufs "$work/live.ufs" "$work/tree" 2 32768 4096
img=$work/live.ufs

daemon_pid() { sed -n 's/^pid //p' "${1-$img.relive}/mount"; }
helper_pid() { pgrep -P "$1"; }

# What all threads of a process have to say of that.
of_threads() { # of_threads PID FIELD
	cat /proc/"$1"/task/*/status | sed -n "s/^$2:[[:space:]]*//p" | sort -u
}

confined() { # confined PID
	[ "$(of_threads "$1" NoNewPrivs)" = 1 ] &&
		[ "$(of_threads "$1" Seccomp)" = 2 ] &&
		[ "$(of_threads "$1" CapEff)" = 0000000000000000 ] &&
		[ "$(of_threads "$1" CapPrm)" = 0000000000000000 ] &&
		[ "$(of_threads "$1" CapBnd)" = 0000000000000000 ]
}

# -- what it is ---------------------------------------------------------------
mount_at "$mnt" "$img"
pid=$(daemon_pid)
helper=$(helper_pid "$pid")
find "$mnt" -type f -exec cat {} + >/dev/null # so that all threads are there
seq 1 50000 >"$mnt/new"
sync "$mnt/new"
check "all threads of the daemon are confined" confined "$pid"
check "there are several" eval '[ "$(sed -n "s/^Threads://p" "/proc/$pid/status")" -gt 3 ]'
check "the session is its user's alone" eval \
	'[ "$(stat -c %a "$img.relive")" = 700 ] &&
	! find "$img.relive" -type f -perm /077 | grep .'
check "the helper has no file open but its ends of two socket pairs" eval \
	'[ "$(readlink /proc/$helper/fd/* | grep -v /dev/null | grep -vc socket:)" = 0 ] &&
	[ "$(readlink /proc/$helper/fd/* | grep -c socket:)" = 2 ]'
check "an ordinary user cannot look into the daemon" eval \
	'! setpriv --reuid 65534 --clear-groups ls /proc/$pid/fd >/dev/null 2>&1'

# -- its work -----------------------------------------------------------------
edit_tree "$mnt" 7
check "growing works" eval 'head -c 12M /dev/urandom >"$mnt/large" &&
	sync "$mnt/large" && rm "$mnt/large" && sync "$mnt"'
manifest "$mnt" >"$work/edited"
check "status and commit beside it work" eval '"$relive" status "$img" &&
	"$relive" commit -q "$img" -o "$work/out.ufs" && "$relive" check "$work/out.ufs"'
size=$(stat -c %s "$img.relive/image.overlay")
check "umount works" umount_at "$mnt"
check "and has compacted the overlay" test \
	"$(stat -c %s "$img.relive/image.overlay")" -lt $((size / 2))
check "daemon and helper are gone" eval 'wait_gone "$pid" && wait_gone "$helper"'
mount_at "$mnt" "$img"
manifest "$mnt" >"$work/again"
same "and every edit is there" "$work/edited" "$work/again"

# -- ways to the end ----------------------------------------------------------
echo one >"$mnt/one"
pid=$(daemon_pid)
kill -TERM "$pid"
check "SIGTERM unmounts and flushes" eval 'wait_gone "$pid" &&
	! mountpoint -q "$mnt" && mount_at "$mnt" "$img" && grep -q one "$mnt/one"'

exec 3>"$mnt/two"
echo two >&3
pid=$(daemon_pid)
kill -TERM "$pid"
check "SIGTERM takes the mount from whoever uses it" eval \
	'wait_gone "$pid" && ! mountpoint -q "$mnt"'
exec 3>&-
check "and flushes" eval 'mount_at "$mnt" "$img" && grep -q two "$mnt/two"'

echo three >"$mnt/three"
pid=$(daemon_pid)
helper=$(helper_pid "$pid")
kill -TERM "$helper"
check "the helper is not ended by what ends the daemon" kill -0 "$helper"
kill -KILL "$helper"
kill -TERM "$pid"
check "without a helper the daemon ends all the same" wait_gone "$pid"
check "and has flushed" eval \
	'mount_at "$mnt" "$img" && grep -q three "$mnt/three"'

pid=$(daemon_pid)
helper=$(helper_pid "$pid")
kill -KILL "$pid"
check "the helper ends with a daemon that is killed" wait_gone "$helper"
check "and holds nothing" flock -n "$img.relive/lock" true
umount_at "$mnt" 2>/dev/null

check "-o auto_unmount does what it says" eval \
	'mount_at "$mnt" "$img" -o auto_unmount && pid=$(daemon_pid) &&
	confined "$pid" && kill -KILL "$pid" && wait_gone "$pid" && sleep 0.3 &&
	! mountpoint -q "$mnt"'

# -- other mounts -------------------------------------------------------------
"$relive" mount -v -f "$img" "$mnt" 2>"$work/err" &
our_mounts+=("$mnt")
for _ in $(seq 100); do mountpoint -q "$mnt" && break; sleep 0.05; done
ls "$mnt" >/dev/null
check "in the foreground too" confined "$!"
check "which -v tells" grep -q \
	"confined: paths yes, rights yes, system calls yes" "$work/err"
check "and it ends well" eval 'umount_at "$mnt" && wait "$!"'

mount_at "$mnt" "$img" --ro
pid=$(pgrep -f -x -- "$relive mount $img $mnt --ro" | head -n 1)
check "a read-only mount too" eval 'cat "$mnt/one" && confined "$pid"'
umount_at "$mnt"

chown -R 65534:65534 "$img.relive"
mount_at "$mnt" "$img"
pid=$(daemon_pid)
seq 1 200000 >"$mnt/four"
rm "$mnt/four"
echo four >"$mnt/five"
check "root in a stranger's session keeps one right" test \
	"$(of_threads "$pid" CapEff)" = 0000000000000002
check "and does its work" eval 'sync "$mnt/five" && umount_at "$mnt" &&
	mount_at "$mnt" "$img" && grep -q four "$mnt/five" && umount_at "$mnt"'
check "after all that the file system is clean" "$relive" check "$img.relive"
chmod 755 "$work"
refuse "who may not look into a session is told" 1 \
	"Permission denied; it is its user's alone" \
	setpriv --reuid 1 --clear-groups "$relive" status "$img"

# -- messages -----------------------------------------------------------------
# syslog is answered twice, as by one that was restarted meanwhile.
listen() { # listen FILE: a line of syslog into FILE
	python3 - "$1" <<'END' &
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.settimeout(20)
s.bind("/dev/log")
os.chmod("/dev/log", 0o666)
try:
    line = s.recv(4096)
    os.unlink("/dev/log")
    open(sys.argv[1], "wb").write(line + b"\n")
except socket.timeout:
    os.unlink("/dev/log")
END
	for _ in $(seq 100); do [ -S /dev/log ] && return; sleep 0.05; done
}
if [ -e /dev/log ]; then
	skip "messages reach syslog" "there is one already"
else
	mkdir "$work/small"
	mount -t tmpfs -o size=2m none "$work/small"
	our_mounts+=("$work/small")
	mount_at "$mnt" "$img" --session "$work/small/s"
	pid=$(daemon_pid "$work/small/s")
	listen "$work/said1"
	head -c 4M /dev/urandom >"$mnt/big" 2>/dev/null
	sync "$mnt/big" 2>/dev/null
	wait
	check "messages reach syslog, under the daemon's number" grep -q \
		"relive\[$pid\]: .*no space left on the host" "$work/said1"
	mount -o remount,size=50m "$work/small"
	listen "$work/said2"
	sync "$mnt/big" || sync "$mnt/big"
	wait
	check "and one that was started anew" grep -q \
		"relive\[$pid\]: .*is flushed again" "$work/said2"
	check "whatever was said" umount_at "$mnt"
fi
end
