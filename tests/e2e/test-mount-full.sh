#!/bin/bash
# When the host has no space left: refused early, nothing lost, and on it goes
# once there is some.
# shellcheck disable=SC2016,SC2034 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs python3 prlimit

make_tree "$work/tree"
make_ufs "$work/live.ufs" "$work/tree" 2 32768 4096
mkdir "$work/small"
mount -t tmpfs -o size=24m none "$work/small" || skip_all "no tmpfs"
our_mounts+=("$work/small")
img=$work/live.ufs

check "a session on a small file system" \
	mount_at "$mnt" "$img" --session "$work/small/s"
check "df tells what there is room for" eval \
	'[ "$(df --output=avail -k "$mnt" | tail -1)" -le 24576 ]'

check "something that fits is confirmed" eval \
	'echo safe >"$mnt/safe" && sync "$mnt/safe"'
noise() { # noise MEGABYTES
	openssl enc -aes-128-ctr -pass pass:x -nosalt -in /dev/zero 2>/dev/null |
		head -c "$1"M
}
noise 40 >"$mnt/big" 2>"$work/err"
sync "$mnt/big" 2>>"$work/err"
check "what does not fit is refused at write or at sync" \
	grep -qi "no space left" "$work/err"
sleep 1.2
check "writers are then told at once" eval \
	'! echo more >"$mnt/more" 2>"$work/err" && grep -q "No space" "$work/err"'
check "reading goes on" grep -q safe "$mnt/safe"
check "removing is allowed" rm -f "$mnt/bin/zeroish"
refuse "umount says so and leaves the mount" 1 \
	"cannot be flushed and stays mounted: No space" umount_at "$mnt"
check "and nothing is lost" grep -q safe "$mnt/safe"
size=$(stat -c %s "$mnt/big")
sum=$(sha256sum <"$mnt/big")

mount -o remount,size=200m "$work/small"
sleep 1.2
check "once there is space, writing goes on" eval \
	'echo more >"$mnt/more" && sync "$mnt/more"'
check "umount works" umount_at "$mnt"
check "everything accepted is there" eval \
	'mount_at "$mnt" "$img" --session "$work/small/s" &&
	[ "$(stat -c %s "$mnt/big")" = "$size" ] &&
	[ "$(sha256sum <"$mnt/big")" = "$sum" ] && grep -q more "$mnt/more" &&
	[ ! -e "$mnt/bin/zeroish" ]'
check "and gone again" umount_at "$mnt"
check "and the file system is clean" "$relive" check "$work/small/s"

# kill -9 while full: the last confirmed state, still clean.
mount -o "remount,size=$(($(du -sm "$work/small" | cut -f1) + 8))m" "$work/small"
mount_at "$mnt" "$img" --session "$work/small/s"
noise 60 >"$mnt/big2" 2>/dev/null
sync "$mnt" 2>/dev/null
kill -KILL "$(sed -n 's/^pid //p' "$work/small/s/mount")"
sleep 0.3
check "killed while full, it opens as it was confirmed" eval \
	'umount_at "$mnt"; mount_at "$mnt" "$img" --session "$work/small/s" &&
	[ "$(sha256sum <"$mnt/big")" = "$sum" ] && grep -q more "$mnt/more"'
check "and is clean" eval 'umount_at "$mnt" && "$relive" check "$work/small/s"'

# Full, but nothing to write: no reason to wait.
mount_at "$mnt" "$img" --session "$work/small/s"
echo last >"$mnt/last"
sync "$mnt/last"
dd if=/dev/zero of="$work/small/filler" bs=64k status=none 2>/dev/null
check "with everything flushed, umount needs no space" \
	timeout 20 "$relive" umount "$mnt"
check "and the next mount is whole" eval 'rm "$work/small/filler" &&
	mount_at "$mnt" "$img" --session "$work/small/s" &&
	grep -q last "$mnt/last" && umount_at "$mnt"'

# What ulimit -f allows is as good as a full disk.
(
	ulimit -Sf 12288
	"$relive" mount "$img" "$mnt" --session "$work/limited"
)
our_mounts+=("$mnt")
pid=$(sed -n 's/^pid //p' "$work/limited/mount")
echo kept >"$mnt/kept"
noise 40 >"$mnt/big" 2>"$work/err"
sync "$mnt/big" 2>>"$work/err"
check "where the session may not get larger, writing is refused" eval \
	'grep -qi "no space left" "$work/err" && grep -q kept "$mnt/kept"'
prlimit --pid "$pid" --fsize=unlimited:
sleep 1.2
check "and nothing is lost" eval 'sync "$mnt/big" && umount_at "$mnt" &&
	"$relive" check "$work/limited"'

# The limit of --size is the file system's own.
rm -rf "$work/small/s"
mount -o remount,size=200m "$work/small"
check "--size bounds growth" eval 'mount_at "$mnt" "$img" --size 12M \
	--session "$work/small/s" &&
	! noise 40 >"$mnt/big" 2>"$work/err" && grep -q "No space" "$work/err"'
cat >"$work/zero.py" <<'END'
# Zeroing a range for which there is no room leaves size and data alone.
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.pwrite(fd, b"x" * 300000, 400000)
os.pwrite(fd, b"0123456789", 0)
os.fsync(fd)
try:
    with open(sys.argv[2], "wb", buffering=0) as filler:
        while filler.write(b"x" * 65536):
            pass
except OSError:
    os.truncate(sys.argv[2], os.stat(sys.argv[2]).st_size - 100000)
for mode, end in (17, 400000), (16, 400000), (16, 1 << 30):
    rc = libc.fallocate(fd, mode, ctypes.c_long(0), ctypes.c_long(end))
    assert rc < 0 and ctypes.get_errno() == errno.ENOSPC, (mode, end)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    assert os.pread(fd, 10, 0) == b"0123456789", (mode, end)
END
truncate -s -2M "$mnt/big"
check "where zeroing a range does not fit, nothing is zeroed" \
	python3 "$work/zero.py" "$mnt/some" "$mnt/filler"
umount_at "$mnt"
mount_at "$mnt" "$img" --size 12M --session "$work/small/s"
check "nor does its file grow" test "$(stat -c %s "$mnt/some")" = 700000
check "and leaves a working file system" eval 'rm "$mnt/big" "$mnt/filler" &&
	echo x >"$mnt/x" && umount_at "$mnt" && "$relive" check "$work/small/s"'
end
