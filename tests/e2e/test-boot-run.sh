#!/bin/bash
# relive boot around QEMU: arguments, exit codes, the console, the end of it.
# A script stands in for QEMU, so that each case takes no time; test-boot.sh
# has real firmware.
#
# shellcheck disable=SC2016 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
need xorriso python3 sgdisk

bin=$work/bin
mkdir "$bin" "$work/tree" "$work/tmp"
export work TMPDIR=$work/tmp PATH=$bin:$PATH
seq 1 2000 >"$work/tree/file"
xorriso -as mkisofs -quiet -R -b file -no-emul-boot -o "$work/bios.iso" \
	"$work/tree" 2>/dev/null
xorriso -as mkisofs -quiet -R -e file -no-emul-boot -o "$work/efi,v2.iso" \
	"$work/tree" 2>/dev/null
sha256sum "$work"/*.iso >"$work/before"

# QEMU is what stands in $work/behaviour, a script; its arguments go to a file.
cat >"$bin/qemu-system-x86_64" <<SH
#!/bin/bash
case "\$*" in
*isa-debug-exit*) . "$work/kvm" ;;
*) printf '%s\n' "\$@" >"$work/args"; echo \$\$ >"$work/pid"
	. "$work/behaviour" ;;
esac
SH
chmod 755 "$bin/qemu-system-x86_64"
echo 'exit 1' >"$work/kvm"

behave() { # behave: the stand-in does what standard input says
	cat >"$work/behaviour"
}

has_arg() { # has_arg PATTERN: of the last run
	grep -q -- "$1" "$work/args"
}

ended() { # the stand-in of the last run is gone, even if nobody reaps it
	local stat
	stat=$(cat "/proc/$(cat "$work/pid")/stat" 2>/dev/null) || return 0
	case $stat in *') Z '*) return 0 ;; esac
	return 1
}

boot() {
	"$relive" boot --accel tcg "$@"
}

# What the stand-in does with the session's disk, and what comes of it.
try_session() {
	local find='disk=$(sed -n "s/.*id=session.*file=//p" "$work/args")'
	behave <<SH
$find
[ "\$(stat -c %s "\$disk")" = \$((4 << 20)) ] || exit 1
at=\$(grep -abo -m 1 '^39999$' "\$disk" | cut -d : -f 1)
printf 'EDIT!' | dd of="\$disk" bs=1 seek="\$at" conv=notrunc status=none
SH
	check "a session is a second disk" boot --session "$live"
	check "it is one for virtio" has_arg 'virtio-blk-pci,drive=session'
	check "which a full host does not freeze" has_arg 'werror=report'
	check "the session holds what was written" eval \
		'"$relive" cat "$live.relive" /edited | grep -qx "EDIT!"'
	check "which is committed" \
		"$relive" commit -q "$live" -o "$work/new.iso"
	check "into the new image" eval \
		'"$relive" cat "$work/new.iso" /edited | grep -qx "EDIT!"'
	rm "$work/new.iso"

	# fs_clean (formats.md 2.2); the superblock of this makefs lies at 8192
	behave <<SH
$find
printf '\0' | dd of="\$disk" bs=1 seek=$((8192 + 209)) conv=notrunc status=none
SH
	refuse "a file system that was not unmounted is reported" 1 \
		'not left cleanly: unmount it .*fsck_ffs' \
		"$relive" boot -q --session --accel tcg "$live"
	refuse "and not committed" 1 'not left cleanly' \
		"$relive" commit "$live" -o "$work/no.iso"
	behave <<SH
$find
printf '\1' | dd of="\$disk" bs=1 seek=$((8192 + 209)) conv=notrunc status=none
SH
	check "until a machine has repaired it" boot --session "$live"

	behave <<SH
$find
stat -c %s "\$disk"
SH
	mkdir "$work/elsewhere"
	check "a larger disk, of a session elsewhere" eval '[ "$(boot -q \
		"--session=$work/elsewhere" --size 64M "$live")" = 67108864 ]'
	check "its folder may be an argument of its own" eval '[ "$(boot -q \
		--session "$work/elsewhere" --size 64M "$live")" = 67108864 ] &&
		[ "$(boot -q "$live" --size 64M --session \
			"$work/elsewhere")" = 67108864 ]'
	check "with the file system grown" "$relive" check "$work/elsewhere"

	behave <<'SH'
kill -KILL $(sed -n 's/^pid //p' "$work/live.iso.relive/mount")
SH
	boot -q --session "$live" 2>"$work/err"
	check "the daemon is killed: exit code 1" [ $? = 1 ]
	check "the daemon is killed: said" \
		grep -q 'session ended before the machine' "$work/err"
	check "the daemon is killed: the mount is gone" unmounted

	behave <<'SH'
echo 'no such option' >&2
exit 1
SH
	refuse "QEMU fails" 1 'no such option' \
		"$relive" boot -q --session --accel tcg "$live"
	check "the disk is gone" unmounted
	end_sessions
	refuse "what is mounted is not attached" 1 "is mounted at" eval \
		'mount_at "$mnt" "$live" && boot -q --session "$live"'
	umount_at "$mnt"
	refuse "no folder for the disk" 1 "cannot make '/nosuch/" env \
		TMPDIR=/nosuch "$relive" boot -q --session --accel tcg "$live"
	refuse "an image that nothing boots" 1 'boots ISOs and disk images' \
		boot --session "$work/tree/data/live.uzip"
}

unmounted() { # no mount is left of those that sessions had
	! grep -q " $TMPDIR/" /proc/mounts
}

# However relive ends, the disk is unmounted and the lock free.
end_sessions() {
	local signal
	behave <<'SH'
exec sleep 1000
SH
	for signal in TERM KILL; do
		rm -f "$work/pid"
		"$relive" boot --session --accel tcg "$live" </dev/null \
			>"$work/out" 2>"$work/err" &
		until [ -s "$work/pid" ]; do sleep 0.05; done
		check "the disk is there" has_arg "id=session.*file=$TMPDIR/"
		kill -s "$signal" $!
		wait $! 2>/dev/null
		for _ in $(seq 100); do
			[ -n "$(ls -A "$TMPDIR")" ] || break
			sleep 0.05
		done
		check "SIG$signal: the disk is unmounted" unmounted
		check "SIG$signal: QEMU has been ended" ended
	done
}

# -- what is expected ---------------------------------------------------------

behave <<'SH'
printf 'boot\r\n\033[1mlog\033[0min: '
exec sleep 1000
SH
check "the text is found across escape sequences" \
	boot "$work/bios.iso" --expect 'login:' --serial-log "$work/log"
check "and QEMU has been ended" ended
printf 'boot\r\n\033[1mlog\033[0min: ' >"$work/want"
same "the log has the console byte for byte" "$work/want" "$work/log"
check "nothing is printed" [ ! -s "$work/out" ]

boot "$work/bios.iso" --expect missing --timeout 1 >"$work/out" 2>"$work/err"
check "time up: exit code 1" [ $? = 1 ]
check "time up: said" grep -q "'missing' did not appear within 1 sec" \
	"$work/err"
check "time up: the last lines are shown" grep -q '^login:' "$work/err"
check "time up: QEMU has been ended" ended

behave <<'SH'
echo 'panic: no root'
SH
boot "$work/bios.iso" --expect login: 2>"$work/err"
check "an end without the text: exit code 1" [ $? = 1 ]
check "an end without the text: said" \
	grep -q "'login:' had not appeared when the machine ended" "$work/err"
check "an end without the text: the last lines are shown" \
	grep -qx 'panic: no root' "$work/err"

behave <<'SH'
head -c 300000 /dev/zero | tr '\0' x
echo ' at last'
SH
check "a text that comes right before the end is found" \
	boot "$work/bios.iso" --expect 'x at last'

behave <<'SH'
trap '' TERM
echo deaf
while :; do sleep 1; done
SH
check "a QEMU that does not end is killed" timeout 30 \
	"$relive" boot --accel tcg "$work/bios.iso" --expect deaf
check "it is gone" ended
behave <<'SH'
setsid sleep 1000 &
echo $! >"$work/left"
echo 'left behind'
SH
refuse "what QEMU leaves behind does not outlast the time" 1 'after 1 seconds' \
	timeout 30 "$relive" boot --accel tcg "$work/bios.iso" --timeout 1
kill "$(cat "$work/left")"

# -- without ------------------------------------------------------------------

behave <<'SH'
IFS= read -r line && echo "got $line"
SH
echo hello | boot "$work/bios.iso" >"$work/got"
check "standard input goes to the console, its output comes back" \
	grep -qx 'got hello' "$work/got"

behave <<'SH'
echo "qemu-system-x86_64: warning: something" >&2
echo "qemu-system-x86_64: -foo: invalid option" >&2
exit 1
SH
boot "$work/bios.iso" -- -foo </dev/null 2>"$work/err"
check "QEMU fails: exit code 1" [ $? = 1 ]
echo 'relive: warning: qemu-system-x86_64: warning: something
relive: qemu-system-x86_64: -foo: invalid option' >"$work/want"
same "QEMU fails: in its words" "$work/want" "$work/err"
check "its last argument is ours" [ "$(tail -n 1 "$work/args")" = -foo ]

behave <<'SH'
exec sleep 1000
SH
refuse "a time limit ends the machine" 1 'still running after 1 seconds' \
	boot "$work/bios.iso" --timeout 1
for signal in INT TERM HUP; do
	rm -f "$work/pid"
	# a shell starts background jobs with SIGINT ignored
	python3 -c 'import signal, os, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$relive" boot --accel tcg \
		"$work/bios.iso" </dev/null >"$work/out" 2>"$work/err" &
	until [ -s "$work/pid" ]; do sleep 0.05; done
	kill -s "$signal" $!
	wait $!
	check "SIG$signal: exit code 1" [ $? = 1 ]
	check "SIG$signal: QEMU has been ended" ended
done
rm -f "$work/pid"
"$relive" boot --accel tcg "$work/bios.iso" </dev/null >/dev/null 2>&1 &
until [ -s "$work/pid" ]; do sleep 0.05; done
kill -9 $!
wait $! 2>/dev/null
for _ in $(seq 100); do ended && break; sleep 0.05; done
check "QEMU dies with us" ended

# -- on a terminal ------------------------------------------------------------

behave <<'SH'
echo ready
exec cat
SH
cat >"$work/terminal.py" <<'PY'
import os, pty, sys, termios, tty
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
def until(text):
    got = b''
    while text not in got:
        got += os.read(fd, 1000)
    return got
until(b'ready')
os.write(fd, b'\x03abc\r')         # Ctrl-C goes to the guest
assert b'\x03abc\r' in until(b'abc\r')
assert os.waitpid(pid, os.WNOHANG) == (0, 0)
os.write(fd, b'\x1d')              # Ctrl-] is ours
_, status = os.waitpid(pid, 0)
assert status == 0, status
assert termios.tcgetattr(fd)[tty.LFLAG] & termios.ECHO
PY
check "keys go to the guest, Ctrl-] ends, the terminal is put back" \
	timeout 30 python3 "$work/terminal.py" "$relive" boot --accel tcg \
	"$work/bios.iso"

# -- the machine --------------------------------------------------------------

behave </dev/null
check "a CD by default" boot "$work/bios.iso"
check "it is read-only" has_arg 'readonly=on.*bios.iso'
check "1 GiB of memory" has_arg '^1024M$'
check "no network" sh -c "! grep -q 'nic\|netdev' '$work/args'"
check "--usb" boot "$work/efi,v2.iso" --usb --memory 256M
check "a stick's changes are dropped, commas are doubled" \
	has_arg 'snapshot=on,file=.*efi,,v2.iso'
check "--memory" has_arg '^256M$'
truncate -s 4M "$work/disk.img"
sgdisk -n 1:2048:4095 "$work/disk.img" >/dev/null
sha256sum "$work/disk.img" >"$work/disk.before"
check "a disk image" boot "$work/disk.img"
check "is a disk whose changes are dropped" has_arg 'snapshot=on.*disk.img'
check "on an ordinary controller" has_arg '^ide-hd,drive=live'
check "it is untouched" sha256sum --quiet -c "$work/disk.before"
echo 'exit 85' >"$work/kvm"
if [ -w /dev/kvm ]; then
	check "KVM where a guest answers" "$relive" boot "$work/bios.iso"
	check "it is used" has_arg '^kvm$'
	echo 'echo "KVM internal error. Suberror: 1" >&2; exec sleep 1000' \
		>"$work/kvm"
	check "none where one does not" timeout 9 \
		"$relive" boot "$work/bios.iso"
	check "it is not used" has_arg '^tcg$'
	refuse "no folder for that guest" 1 "cannot write '/nosuch/" \
		env TMPDIR=/nosuch "$relive" boot "$work/bios.iso"
else
	skip "KVM where a guest answers" "no /dev/kvm"
fi
check "--accel kvm asks nobody" "$relive" boot --accel kvm "$work/bios.iso"
check "it is used as said" has_arg '^kvm$'

# -- what cannot be -----------------------------------------------------------

refuse "no boot entry for a BIOS" 1 'no boot entry for a BIOS' \
	boot "$work/efi,v2.iso"
refuse "no boot entry for UEFI" 1 'no boot entry for UEFI' \
	boot --uefi "$work/bios.iso"
truncate -s 1M "$work/zero"
refuse "no image" 1 'a machine boots ISOs and disk images' boot "$work/zero"
refuse "a missing image" 1 nosuch boot "$work/nosuch.iso"
refuse "the image as its own log" 1 'is the input itself' \
	boot "$work/bios.iso" --serial-log "$work/bios.iso"
refuse "a log that cannot be" 1 "cannot create '/nosuch/log'" \
	boot "$work/bios.iso" --serial-log /nosuch/log
behave <<'SH'
echo words
SH
refuse "a log on a full disk" 1 "cannot write '/dev/full': No space" \
	boot "$work/bios.iso" --expect words --serial-log /dev/full
refuse "a full disk behind standard output" 1 'standard output: No space' \
	sh -c "'$relive' boot --accel tcg '$work/bios.iso' >/dev/full"
refuse "an empty text" 2 'takes a text' boot "$work/bios.iso" --expect ''
refuse "a bad time" 2 'no number of seconds' boot "$work/bios.iso" --timeout 0
refuse "a bad size" 2 'no size of a memory' boot "$work/bios.iso" --memory 1k
refuse "a bad accelerator" 2 'tcg or kvm' boot --accel hvf "$work/bios.iso"
refuse "two images" 2 'one argument too many' \
	boot "$work/bios.iso" "$work/bios.iso"
refuse "no QEMU" 1 'package qemu-system-x86' \
	env PATH=/nonexistent "$relive" boot "$work/bios.iso"

# -- a session ----------------------------------------------------------------

if [ "$(id -u)" = 0 ] && [ -w /dev/fuse ] && command -v makefs >/dev/null; then
	mkdir -p "$work/tree/data" "$work/live"
	seq 1 40000 >"$work/live/edited"
	make_ufs "$work/base.ufs" "$work/live" 2 16384 2048 -s 4m
	"$relive" uzip -q "$work/base.ufs" -o "$work/tree/data/live.uzip"
	live=$work/live.iso
	xorriso -as mkisofs -quiet -R -b file -no-emul-boot -o "$live" \
		"$work/tree" 2>/dev/null
	sha256sum "$work"/*.iso >"$work/before"
	try_session
else
	skip "a session" "not root, no FUSE, or no makefs"
fi

sha256sum "$work"/*.iso >"$work/after"
same "the images are what they were" "$work/before" "$work/after"
check "no temporary file is left" [ -z "$(ls -A "$TMPDIR")" ]
end
