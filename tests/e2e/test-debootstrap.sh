#!/bin/bash
# A real client: a Debian system is installed into a mounted image, packages
# are added in a chroot there, the result is committed to an ISO, and dpkg
# finds every file of every package as it should be.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need debootstrap makefs xorriso
mirror=${DEBIAN_MIRROR:-$(sed -n 's/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' \
	/etc/apt/sources.list 2>/dev/null | head -n 1)}
[ -n "$mirror" ] || mirror=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p' \
	/etc/apt/sources.list.d/*.sources 2>/dev/null | head -n 1)
[ -n "$mirror" ] || skip_all "no Debian mirror in /etc/apt"

# A tiny image without room: it grows as the packages come.
mkdir "$work/empty"
echo relive >"$work/empty/README"
make_ufs "$work/base.ufs" "$work/empty" 2 16384 2048 -M 1m
"$relive" uzip "$work/base.ufs" -o "$work/base.uzip" || exit 1
make_iso "$work/live.iso" "$work/base.uzip" seed 2>/dev/null

check "mount" mount_at "$mnt" "$work/live.iso" -o dev,suid
mountpoint -q "$mnt" || end
check "debootstrap of a minbase" debootstrap --variant=minbase \
	--no-check-gpg bookworm "$mnt" "$mirror"
cp /etc/apt/sources.list "$mnt/etc/apt/" 2>/dev/null
cp -r /etc/apt/sources.list.d /etc/apt/apt.conf.d "$mnt/etc/apt/" 2>/dev/null
cp /etc/resolv.conf "$mnt/etc/resolv.conf"
check "apt-get install of git in a chroot" chroot "$mnt" sh -c \
	"apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qqy \
	--no-install-recommends install git"
check "dpkg --verify in the mount" sh -c \
	"! chroot '$mnt' dpkg --verify | grep ."
check "git works in the mount" chroot "$mnt" sh -c \
	'cd /tmp && git init -q r && cd r && git -c user.name=a \
	-c user.email=b commit -q --allow-empty -m x && git fsck --strict'
check "commit to an ISO while mounted" \
	"$relive" commit "$mnt" -o "$work/new.iso"
manifest "$mnt" >"$work/want" 2>/dev/null
check "umount" umount_at "$mnt"
check "check the ISO" "$relive" check "$work/new.iso"
check "mount the ISO" mount_at "$mnt" "$work/new.iso" -o dev,suid
check "dpkg --verify in the result: clean" sh -c \
	"! chroot '$mnt' dpkg --verify | grep ."
manifest "$mnt" >"$work/got" 2>/dev/null
same "the result holds the tree" "$work/want" "$work/got"
check "umount it" umount_at "$mnt"
end
