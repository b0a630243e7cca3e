#!/bin/bash
# --view block: the device as one file, for whatever file system is on it, and
# what a kernel or a tool did to that file comes out of a commit.
# shellcheck disable=SC2016,SC2034 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs mkfs.ext4 debugfs e2fsck python3

make_tree "$work/tree"
disk=$mnt/disk
daemon_pid() { sed -n 's/^pid //p' "$1.relive/mount"; }

# -- a disk is what it is -----------------------------------------------------

make_ufs "$work/base.ufs" "$work/tree" 2 16384 2048 -b 30%
img=$work/live.uzip
"$relive" uzip -q "$work/base.ufs" -o "$img"
check "a UFS is mounted as a disk" mount_at "$mnt" "$img" --view block
check "whose only file is the disk" eval '[ "$(ls "$mnt")" = disk ]'
check "which is what unuzip gives" cmp "$disk" "$work/base.ufs"
refuse "the tree is not to be had beside it" 1 \
	"is mounted at '$mnt' \(process [0-9]+\)" "$relive" mount "$img" "$work/tree"
mkdir "$work/ro"
check "nor needed to look at it" eval 'mount_at "$work/ro" "$img" --ro --view block &&
	cmp "$work/ro/disk" "$disk" && ! true 2>/dev/null >>"$work/ro/disk"'
umount_at "$work/ro"

cat >"$work/ops.py" <<'END'
import errno, mmap, os, random, sys
path, model = sys.argv[1:3]
fd = os.open(path, os.O_RDWR)
size = os.fstat(fd).st_size
want = bytearray(open(model, 'rb').read())
assert size == len(want), 'size'

def fails(number, call, *args):
    try:
        call(*args)
    except OSError as e:
        assert e.errno == number, (e, number)
    else:
        raise AssertionError('no error')

fails(errno.EPERM, os.truncate, path, size - 1)
fails(errno.EPERM, os.truncate, path, size + 1)
os.truncate(path, size)
fails(errno.EPERM, os.chmod, path, 0o777)
fails(errno.ENOSPC, os.pwrite, fd, b'x', size)
fails(errno.ENOSPC, os.posix_fallocate, fd, size - 1, 2)
os.posix_fallocate(fd, 0, size)
fails(errno.EPERM, os.unlink, path)
fails(errno.EPERM, os.rename, path, path + '2')
fails(errno.EPERM, os.mkdir, path + '2')
fails(errno.EPERM, os.mknod, path + '2')
assert os.pwrite(fd, b'ab', size - 1) == 1, 'write across the end'
want[size - 1:] = b'a'
assert os.pread(fd, 10, size - 3) == bytes(want[size - 3:]), 'end'
vfs = os.statvfs(path)
assert vfs.f_blocks * vfs.f_frsize - size < vfs.f_frsize and vfs.f_bavail == 0

rng = random.Random(7)
libc = __import__('ctypes').CDLL(None, use_errno=True)
from ctypes import c_long, c_int
for i in range(300):
    at = rng.randrange(65536, size)
    n = min(rng.choice((1, 511, 512, 4096, 70000)), size - at)
    if rng.random() < .25:
        mode = rng.choice((3, 17, 16))
        assert libc.fallocate(fd, c_int(mode), c_long(at), c_long(n)) == 0
        want[at:at + n] = bytes(n)
    else:
        data = rng.randbytes(n)
        assert os.pwrite(fd, data, at) == n
        want[at:at + n] = data
    if i % 40 == 0:
        (os.fsync if i % 80 else os.fdatasync)(fd)
m = mmap.mmap(fd, size)
m[100000:100010] = b'0123456789'
want[100000:100010] = b'0123456789'
m.flush()
assert m[:] == bytes(want), 'mapped'
os.fsync(fd)
open(model, 'wb').write(want)
END
cp "$work/base.ufs" "$work/model"
check "it takes writes, trims, maps and no other size" \
	python3 "$work/ops.py" "$disk" "$work/model"
kill -KILL "$(daemon_pid "$img")"
sleep 0.2
check "what fsync confirmed outlives the daemon" eval \
	'mount_at "$mnt" "$img" --view block && cmp "$disk" "$work/model"'
check "dd without conv=notrunc is told the size is fixed" eval \
	'! dd if="$work/base.ufs" of="$disk" bs=1M 2>"$work/err" &&
	grep -q "not permitted" "$work/err"'
dd if="$work/base.ufs" of="$disk" bs=1M conv=notrunc status=none
check "umount" umount_at "$mnt"
check "the session's tree is the base's again" eval \
	'[ "$("$relive" cat "$img.relive" /etc/rc.conf)" = "hostname=\"live1\"" ]'
check "discard" "$relive" discard "$img"

# -- UFS, edited as a tree and as a disk in turn -------------------------------

mount_at "$mnt" "$img"
echo tree >"$mnt/etc/by"
exec 3>"$mnt/etc/open"
rm "$mnt/etc/open"
head -c 200000 /dev/zero | tr '\0' x >&3
sync "$mnt/etc/by"
kill -KILL "$(daemon_pid "$img")"
exec 3>&-
sleep 0.2
check "after a tree the disk holds a clean file system" eval \
	'mount_at "$mnt" "$img" --view block && "$relive" check "$disk"'
# fs_clean (formats.md 2.2); the superblock of this makefs lies at 8192
printf '\0' | dd of="$disk" bs=1 seek=$((8192 + 209)) conv=notrunc status=none
refuse "left unclean it is refused" 1 \
	"not left cleanly: unmount it .*fsck_ffs.*--view block" \
	"$relive" commit "$img" -o "$work/out.uzip"
printf '\1' | dd of="$disk" bs=1 seek=$((8192 + 209)) conv=notrunc status=none
check "left clean it is committed" "$relive" commit "$mnt" -o "$work/out.uzip"
umount_at "$mnt"
check "and has the file" eval '[ "$("$relive" cat "$work/out.uzip" /etc/by)" = tree ]'
check "and is whole" "$relive" check "$work/out.uzip"
check "a larger disk for a larger file system" \
	mount_at "$mnt" "$img" --view block --size 64m
check "has that size, with the file system in it" eval \
	'[ "$(stat -c %s "$disk")" = $((64 << 20)) ] && "$relive" check "$disk"'
umount_at "$mnt"
"$relive" discard "$img"

# -- ext4 in a uzip, by debugfs -----------------------------------------------

mkdir "$work/small"
cp -a "$work/tree/etc" "$work/tree/boot" "$work/small/"
rm -f "$work/small/etc/rc.d/service7"
truncate -s 48M "$work/base.ext4"
mkfs.ext4 -q -F -d "$work/small" -E lazy_itable_init=0 "$work/base.ext4"
img=$work/ext.uzip
"$relive" uzip -q "$work/base.ext4" -o "$img"
refuse "ext4 has no tree, but a way to it" 1 "ext2/3/4.*--view block" \
	"$relive" mount "$img" "$mnt"
check "ext4 is mounted as a disk" mount_at "$mnt" "$img" --view block
seq 1 99999 >"$work/file"
debugfs -w -R "write $work/file new" "$disk" >/dev/null 2>&1
debugfs -w -R "rm /etc/rc" "$disk" >/dev/null 2>&1
check "status counts bytes" eval '"$relive" status "$mnt" >"$work/status" &&
	grep -q "holds: *an ext2/3/4" "$work/status" &&
	grep -q "[1-9][0-9]* clusters of .* to compress" "$work/status"'
check "commit of the live mount" "$relive" commit "$mnt" -o "$work/new.uzip"
check "unuzip" "$relive" unuzip "$work/new.uzip" -o "$work/new.ext4"
check "e2fsck finds nothing" e2fsck -fn "$work/new.ext4"
debugfs -R "dump new $work/got" "$work/new.ext4" >/dev/null 2>&1
check "what was written is there" cmp "$work/file" "$work/got"
check "what was removed is not" eval \
	'! debugfs -R "stat /etc/rc" "$work/new.ext4" 2>&1 | grep -q Inode:'
cp "$disk" "$work/copy"
umount_at "$mnt"
check "the disk was what was committed" cmp "$work/copy" "$work/new.ext4"
check "clusters that nobody touched were copied" eval \
	'"$relive" commit "$img" -o "$work/new2.uzip" 2>"$work/err"
	[ "$(sed -n "s/.*clusters: \([0-9]*\) copied, .*/\1/p" "$work/err")" -gt 20 ]'
check "commit in place" "$relive" commit "$img" --in-place
check "drops the session's changes" eval \
	'"$relive" unuzip "$img" -o "$work/inplace.ext4" &&
	cmp "$work/new.ext4" "$work/inplace.ext4" && ! ls "$img.relive/"*.overlay'

# -- by a kernel ---------------------------------------------------------------

loop=
if mount_at "$mnt" "$img" --view block &&
	loop=$(losetup -f --show "$disk" 2>/dev/null) &&
	mount -t ext4 "$loop" "$work/ro" 2>/dev/null; then
	our_mounts+=("$work/ro")
	mkdir "$work/ro/dir"
	seq 1 300000 >"$work/ro/dir/kernel"
	sync "$work/ro/dir/kernel"
	refuse "while a kernel has it mounted it is refused" 1 \
		"not left cleanly: unmount it .*e2fsck" \
		"$relive" commit "$img" -o "$work/k.uzip"
	rm -r "$work/ro/boot"
	check "the kernel trims" fstrim "$work/ro"
	umount "$work/ro"
	losetup -d "$loop"
	check "umount" umount_at "$mnt"
	check "commit of what the kernel wrote" \
		"$relive" commit "$img" -o "$work/k.uzip"
	check "clusters went with the trims" eval \
		'"$relive" status "$img" | grep -q "to compress, [1-9][0-9]* to drop"'
	"$relive" unuzip "$work/k.uzip" -o "$work/k.ext4"
	check "e2fsck finds nothing" e2fsck -fn "$work/k.ext4"
	debugfs -R "dump dir/kernel $work/got" "$work/k.ext4" >/dev/null 2>&1
	seq 1 300000 >"$work/file"
	check "the kernel's file is there" cmp "$work/file" "$work/got"
else
	[ -z "$loop" ] || losetup -d "$loop"
	umount_at "$mnt"
	skip "ext4 by the kernel" "no loop device or no ext4"
fi

# -- other file systems, raw and on an ISO -------------------------------------

if command -v mkfs.fat >/dev/null && command -v mcopy >/dev/null; then
	truncate -s 40M "$work/fat.img"
	mkfs.fat -F 32 "$work/fat.img" >/dev/null 2>&1
	check "a raw FAT" mount_at "$mnt" "$work/fat.img" --view block
	mcopy -i "$disk" "$work/file" ::/FILE.TXT
	umount_at "$mnt"
	check "is committed" "$relive" commit "$work/fat.img" -o "$work/fat2.img"
	check "fsck.fat finds nothing" fsck.fat -n "$work/fat2.img"
	check "and it has the file" eval \
		'mcopy -n -i "$work/fat2.img" ::/FILE.TXT "$work/got2" && cmp "$work/file" "$work/got2"'
	mount_at "$mnt" "$work/fat.img" --view block
	printf '\1' | dd of="$disk" bs=1 seek=65 conv=notrunc status=none
	umount_at "$mnt"
	refuse "its dirty bit is seen" 1 "not left cleanly.*fsck.fat" \
		"$relive" commit "$work/fat.img" -o "$work/fat3.img"
else
	skip "FAT" "no mkfs.fat or mtools"
fi

if command -v genisoimage >/dev/null; then
	genisoimage -quiet -R -o "$work/inner.iso" "$work/small"
	"$relive" uzip -q "$work/inner.iso" -o "$work/cd.uzip"
	make_iso "$work/live.iso" "$work/cd.uzip" seed
	check "cd9660 in a uzip on an ISO" \
		mount_at "$mnt" "$work/live.iso" --view block
	check "is the disk" cmp -n "$(stat -c %s "$work/inner.iso")" \
		"$work/inner.iso" "$disk"
	genisoimage -quiet -R -o "$work/inner2.iso" "$work/small/etc"
	check "another one in its place" eval \
		'dd if="$work/inner2.iso" of="$disk" conv=notrunc bs=1M status=none'
	umount_at "$mnt"
	check "commit into the ISO" \
		"$relive" commit "$work/live.iso" -o "$work/new.iso"
	check "which is sound" "$relive" check "$work/new.iso"
	"$relive" cat --iso "$work/new.iso" /data/base.ufs.uzip >"$work/cd2.uzip"
	check "the image in it is what was written" eval \
		'"$relive" unuzip "$work/cd2.uzip" -o "$work/cd2" &&
		cmp -n "$(stat -c %s "$work/inner2.iso")" "$work/cd2" "$work/inner2.iso"'
else
	skip "cd9660" "no genisoimage"
fi

truncate -s 1M "$work/nothing.img"
check "what holds nothing yet is a disk too" \
	mount_at "$mnt" "$work/nothing.img" --view block
check "until it is one" mkfs.ext4 -q -F "$disk"
umount_at "$mnt"
check "and is committed as one" eval \
	'"$relive" commit "$work/nothing.img" --in-place &&
	e2fsck -fn "$work/nothing.img"'
refuse "there are no other views" 2 "there is no view 'x'" \
	"$relive" mount "$img" "$mnt" --view x
end
