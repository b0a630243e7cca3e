#!/bin/bash
# The life of a mount: up before the command ends, down with everything
# durable, and what becomes of daemons that are killed.
# shellcheck disable=SC2016,SC2034 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs flock python3

make_tree "$work/tree"
make_ufs "$work/live.ufs" "$work/tree" 2 32768 4096
img=$work/live.ufs

daemon_pid() {
	sed -n 's/^pid //p' "$img.relive/mount"
}

check "mount returns once the mount is up" mount_at "$mnt" "$img"
check "and it is there at once" test -f "$mnt/etc/rc.conf"
check "in the mount table under its own type" \
	grep -q " $mnt fuse.relive rw,nosuid,nodev,.*default_permissions,allow_other" /proc/mounts
refuse "a second mount of the image is refused, with who has it" 1 \
	"is mounted at '$mnt' \(process [0-9]+\)" "$relive" mount "$img" "$work/tree"
refuse "a mount point that is in use is refused" 1 "is mounted already" \
	"$relive" mount "$work/live.ufs" "$mnt"
check "a read-only mount beside it works" eval \
	'mkdir "$work/ro" && mount_at "$work/ro" "$img" --ro && test -f "$work/ro/etc/rc"'
check "and is read-only" eval '! touch "$work/ro/x" 2>/dev/null'
check "and goes away" umount_at "$work/ro"

echo one >"$mnt/one"
exec 3>>"$mnt/one"
refuse "umount says when files are open" 1 "is in use" umount_at "$mnt"
check "and the mount is still there" test -f "$mnt/one"
exec 3>&-
pid=$(daemon_pid)
check "umount works once they are closed" umount_at "$mnt"
check "and the daemon has released the session" flock -n "$img.relive/lock" true
check "and left no sign of a mount" test ! -e "$img.relive/mount"
check "and ended" wait_gone "$pid" 100
refuse "umount of what is no mount" 1 "not a mount of relive" umount_at "$mnt"
check "what was written is there again" eval \
	'mount_at "$mnt" "$img" && grep -q one "$mnt/one"'

echo two >"$mnt/two"
pid=$(daemon_pid)
kill -USR2 "$pid"
sleep 0.2
kill -TERM "$pid"
check "SIGTERM ends the daemon, SIGUSR2 does nothing" wait_gone "$pid" 100
check "and the mount" eval '! mountpoint -q "$mnt"'
check "and what was written is kept" eval \
	'mount_at "$mnt" "$img" && grep -q two "$mnt/two"'

mount -t tmpfs none "$mnt"
our_mounts+=("$mnt")
pid=$(daemon_pid)
kill -TERM "$pid"
check "SIGTERM ends it though something is mounted over it" wait_gone "$pid" 100
check "which stays" eval 'grep -q "^none $mnt tmpfs" /proc/mounts && umount "$mnt"'
check "and what was written is kept" eval 'umount_at "$mnt" 2>"$work/err"
	mount_at "$mnt" "$img" && grep -q two "$mnt/two"'

exec 3>"$mnt/three"
echo three >&3
pid=$(daemon_pid)
kill -INT "$pid"
check "SIGINT ends it though a file is open" wait_gone "$pid" 100
exec 3>&-
check "and what was written is kept" eval \
	'mount_at "$mnt" "$img" && grep -q three "$mnt/three"'

for closed in "0<&- 1>&-" "1>&- 2>&-" "0<&- 1>&- 2>&-"; do
	umount_at "$mnt"
	check "mount without standard streams ($closed)" eval \
		'timeout -s KILL 20 "$relive" mount "$img" "$mnt" '"$closed"' &&
		grep -q three "$mnt/three"'
done

echo four >"$mnt/four"
check "umount(8) is as good" eval 'umount "$mnt" && mount_at "$mnt" "$img" &&
	grep -q four "$mnt/four"'

echo five >"$mnt/five"
sync "$mnt/five"
echo six >"$mnt/six"
pid=$(daemon_pid)
kill -KILL "$pid"
wait_gone "$pid" 100
check "after kill -9 the mount point is dead" eval '! ls "$mnt" 2>/dev/null'
check "mount heals it" mount_at "$mnt" "$img"
check "and what fsync had confirmed is there" grep -q five "$mnt/five"
check "and it is a clean file system" eval 'umount_at "$mnt" &&
	"$relive" check "$img.relive"'

mount_at "$mnt" "$img"
echo late >"$mnt/late"
sleep 6.5
kill -KILL "$(daemon_pid)"
sleep 0.2
check "what is 6 seconds old is kept without fsync" eval 'umount_at "$mnt" &&
	mount_at "$mnt" "$img" && grep -q late "$mnt/late"'
kill -KILL "$(daemon_pid)"
sleep 0.2
check "umount takes a dead mount away" umount_at "$mnt"

"$relive" mount -f --ro "$img" "$mnt" &
pid=$!
until mountpoint -q "$mnt"; do sleep 0.05; done
ls -l "$mnt" >/dev/null # the kernel knows it by heart
kill -KILL "$pid"
wait "$pid" 2>/dev/null
check "a dead mount that was read-only is healed too" eval \
	'mount_at "$mnt" "$img" && touch "$mnt/alive" && umount_at "$mnt"'

mount_at "$mnt" "$img"
python3 - "$mnt" <<'END'
import os, sys
keep = [os.open(f"{sys.argv[1]}/gone{i}", os.O_RDWR | os.O_CREAT)
	for i in range(50)]
for i, fd in enumerate(keep):
	os.write(fd, b"x" * 100000)
	os.unlink(f"{sys.argv[1]}/gone{i}")
assert all(os.fstat(fd).st_nlink == 0 for fd in keep)
os.fsync(keep[0])
END
kill -KILL "$(daemon_pid)"
sleep 0.2
check "files that were unlinked but open leave nothing behind" eval \
	'mount_at "$mnt" "$img" && umount_at "$mnt" &&
	"$relive" check "$img.relive"'

mkdir "$work/over"
cp "$img" "$work/over/live.ufs"
check "a mount may cover its own image and session" eval \
	'mount_at "$work/over" "$work/over/live.ufs" &&
	echo deep >"$work/over/deep" && sync "$work/over/deep" &&
	umount_at "$work/over" && test ! -e "$work/over/deep"'
check "and keeps its edits" eval \
	'mount_at "$work/over" "$work/over/live.ufs" &&
	grep -q deep "$work/over/deep" && umount_at "$work/over"'

check "and umount waits for its daemon as well" eval \
	'mount_at "$work/over" "$work/over/live.ufs" && echo more >"$work/over/more" &&
	umount_at "$work/over" 2>"$work/err" && test ! -s "$work/err" &&
	test ! -e "$work/over/live.ufs.relive/mount" &&
	flock -n "$work/over/live.ufs.relive/lock" true'

# An image whose host does not answer: one on a mount whose daemon is stopped.
mount_on_mount "$img"
sync "$work/inner/etc" "$work/host"
echo 3 >/proc/sys/vm/drop_caches
kill -STOP "$host_pid"
cat "$work/inner/boot/kernel/kernel" >"$work/kernel" &
reader=$!
sleep 0.5
check "a request that waits for the host holds up no other" eval \
	'timeout -s KILL 20 stat -f "$work/inner" && kill -0 "$reader"'
kill -CONT "$host_pid"
wait "$reader"
check "and is answered in the end" \
	cmp "$work/kernel" "$work/tree/boot/kernel/kernel"
umount_at "$work/inner"
umount_at "$work/host"

# An image that is moved while it is mounted.
mount_at "$mnt" "$img"
echo moved >"$mnt/moved"
mv "$img" "$img.elsewhere"
check "umount of an image that was moved" eval \
	'umount_at "$mnt" 2>"$work/err" && test ! -s "$work/err"'
check "waits for the daemon" test ! -e "$img.relive/mount"
mv "$img.elsewhere" "$img"

check "a session folder is an address" eval \
	'mount_at "$mnt" "$img.relive" && grep -q five "$mnt/five" &&
	umount_at "$mnt"'
check "--session puts it elsewhere" eval \
	'mount_at "$mnt" "$img" --session "$work/else" && test ! -e "$mnt/five" &&
	echo x >"$mnt/seven" && umount_at "$mnt" && test -d "$work/else" &&
	mount_at "$mnt" "$work/else" && test -e "$mnt/seven" && umount_at "$mnt"'

refuse "a mount point that is not there" 1 "No such file" \
	"$relive" mount "$img" "$work/nowhere"
refuse "a mount point that is a file" 1 "is not a folder" \
	"$relive" mount "$img" "$img"
refuse "an image that is not there" 1 "No such file" \
	"$relive" mount "$work/nothing" "$mnt"
refuse "an image of no kind" 1 "of no kind" \
	"$relive" mount "$work/tree/boot/kernel/kernel" "$mnt"
refuse "two options that exclude each other" 2 "exclude each other" \
	"$relive" mount -o fakeroot,default_permissions "$img" "$mnt"
refuse "a size that is none" 2 "'size=12q' is no size" \
	"$relive" mount -o size=12q "$img" "$mnt"
check "-o ro is --ro" eval 'mount_at "$mnt" "$img" -o ro && ! touch "$mnt/x" &&
	umount_at "$mnt"'
mount_at "$mnt" "$img"
echo 1 >"$mnt/kept"
setfattr -n relive.flags -v schg "$mnt/kept"
check "flags hold root up" eval '! echo 2 2>/dev/null >>"$mnt/kept"'
umount_at "$mnt"
mount_at "$mnt" "$img" -o noflags
check "-o noflags does not, and keeps them" eval 'echo 2 >>"$mnt/kept" &&
	getfattr -n relive.flags "$mnt/kept" | grep -q schg && rm "$mnt/kept"'
umount_at "$mnt"
if [ -d "$fixtures/ufs" ]; then
	xz -dc "$fixtures/ufs/newfs132-ufs2-suj.xz" >"$work/suj.ufs"
	mount_at "$mnt" "$work/suj.ufs" -o noflags
	sum=$(sha256sum <"$mnt/.sujournal")
	setfattr -n relive.flags -v "" "$mnt/.sujournal"
	for change in "rm -f" "truncate -s 0" "chmod 777" "mv -t $mnt/dir"; do
		refuse "the journal is nobody's: $change" 1 "not permitted" \
			eval "mkdir -p $mnt/dir; $change $mnt/.sujournal"
	done
	check "and is as it was" eval '[ "$(sha256sum <"$mnt/.sujournal")" = "$sum" ]'
	umount_at "$mnt"
	check "and its image is sound" "$relive" check "$work/suj.ufs.relive"
else
	skip "a journal of soft updates" "no fixtures at $fixtures"
fi
mkdir "$work/many" && for i in $(seq 300); do
	mkdir "$work/many/d$i" && : >"$work/many/d$i/f"
done
(
	ulimit -n 64
	"$relive" mount "$img" "$mnt"
)
check "64 descriptors are enough for any number of open files" eval '
	cp -r "$work/many" "$mnt/many" && python3 -c "
import os, sys
top = sys.argv[1]
files = [os.open(f\"{top}/d{i}/f\", os.O_RDWR) for i in range(1, 301)]
dirs = [os.scandir(f\"{top}/d{i}\") for i in range(1, 301)]
assert all([e.name for e in d] == [\"f\"] for d in dirs)
assert all(os.write(f, b\"x\") == 1 for f in files)
" "$mnt/many" && rm -r "$mnt/many"'
umount_at "$mnt"
check "-o grpid hands groups on" eval 'mount_at "$mnt" "$img" -o grpid &&
	mkdir "$mnt/g" && chgrp 99 "$mnt/g" && touch "$mnt/g/f" &&
	[ "$(stat -c %g "$mnt/g/f")" = 99 ]'
check "but no set-gid" eval 'chmod 755 "$work" "$mnt" && chmod 777 "$mnt/g" &&
	python3 -c "
import os, sys
os.umask(0)
os.setgroups([])
os.setresgid(1000, 1000, 1000)
os.setresuid(1000, 1000, 1000)
os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o6755)
" "$mnt/g/s" && [ "$(stat -c %g:%a "$mnt/g/s")" = 99:4755 ] && umount_at "$mnt"'
exec 9>"$work/callers-lock"
flock 9
mount_at "$mnt" "$img"
exec 9>&-
check "the daemon holds no file of its caller" flock -n "$work/callers-lock" true
umount_at "$mnt"
refuse "an option nobody knows" 2 "unknown mount option 'froboz'" \
	"$relive" mount -o froboz "$img" "$mnt"
end
