#!/bin/bash
# Mounts by ordinary users: permissions as the image says, or -o fakeroot.
# shellcheck disable=SC2016,SC2034 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs fusermount3 setpriv

# fusermount3 wants one that has a name.
uid=$(id -u games 2>/dev/null) || skip_all "no user 'games'"
open_fuse

user() {
	setpriv --reuid "$uid" --regid "$uid" --groups "$uid,77" \
		--inh-caps=-all "$@"
}

make_tree "$work/tree"
echo secret >"$work/tree/etc/master.passwd"
chmod 600 "$work/tree/etc/master.passwd"
echo group >"$work/tree/etc/group77"
chgrp 77 "$work/tree/etc/group77"
chmod 664 "$work/tree/etc/group77"
mkdir -m 700 "$work/tree/root"
mkdir "$work/tree/home"
chown "$uid:$uid" "$work/tree/home"
make_ufs "$work/live.ufs" "$work/tree" 2 32768 4096
chmod 755 "$work"
chown -R "$uid:$uid" "$work/live.ufs" "$mnt"
chmod 777 "$work"
img=$work/live.ufs
our_mounts+=("$mnt")

user "$relive" mount "$img" "$mnt" >"$work/out" 2>"$work/err"
check "a user mounts without root" grep -q " $mnt fuse.relive " /proc/mounts
check "and is told of fakeroot, once" eval \
	'[ "$(grep -c fakeroot "$work/err")" = 1 ]'
check "nosuid,nodev, and the kernel checks permissions" grep -q \
	" $mnt fuse.relive rw,nosuid,nodev,.*user_id=$uid,.*default_permissions" /proc/mounts
check "others have no access" eval '! ls "$mnt" 2>/dev/null'
check "what the world may read is read" user test -r "$mnt/etc/rc"
check "what it may not is not" eval \
	'! user cat "$mnt/etc/master.passwd" 2>/dev/null'
check "a closed folder stays closed" eval '! user ls "$mnt/root" 2>/dev/null'
check "files of root are not written" eval \
	'! user sh -c "echo x >>$mnt/etc/rc" 2>/dev/null'
check "nor removed" eval '! user rm -f "$mnt/etc/rc" 2>/dev/null'
check "nor new ones made beside them" eval \
	'! user touch "$mnt/etc/new" 2>/dev/null'
check "what a group may write is written" eval \
	'user sh -c "echo more >>$mnt/etc/group77"'
check "the user's own folder is his" eval 'user sh -c "cd $mnt/home &&
	echo x >f && mkdir d && mv f d/g && chmod 600 d/g && ln d/g h &&
	rm d/g && cat h >/dev/null"'
check "with his ids" eval '[ "$(user stat -c %u:%g "$mnt/home/h")" = $uid:$uid ]'
check "chown is not for users" eval '! user chown 0 "$mnt/home/h" 2>/dev/null'
check "sticky folders protect" eval '! user rm -f "$mnt/tmp/x" "$mnt/etc/rc" 2>/dev/null &&
	user touch "$mnt/tmp/mine" && user rm "$mnt/tmp/mine"'
check "the user unmounts" user "$relive" umount "$mnt"
check "and all is durable" flock -n "$img.relive/lock" true

user "$relive" mount -o fakeroot "$img" "$mnt" >"$work/out" 2>"$work/err"
check "-o fakeroot mounts without a word" eval \
	'grep -q " $mnt fuse.relive " /proc/mounts && [ ! -s "$work/err" ]'
check "and everything can be edited" eval 'user sh -c "cd $mnt &&
	cat etc/master.passwd >/dev/null && echo x >>etc/rc && rm etc/rc.conf &&
	echo new >etc/rc.conf && chown 80:90 etc/rc && chmod 4755 etc/rc &&
	mkdir root/.ssh && ls root >/dev/null"'
check "new files belong to root" eval \
	'[ "$(user stat -c %u:%g:%a "$mnt/etc/rc.conf")" = 0:0:644 ]'
check "ids are stored as given" eval \
	'[ "$(user stat -c %u:%g:%a "$mnt/etc/rc")" = 80:90:4755 ]'
check "tar restores owners" eval 'tar -C "$work/tree" --numeric-owner -cf \
	"$work/t.tar" etc/rc.d && user tar -C "$mnt/home" --same-owner \
	--numeric-owner -xpf "$work/t.tar" &&
	[ "$(user stat -c %u:%g "$mnt/home/etc/rc.d/service7")" = 4000000000:77 ]'
check "the user unmounts that too" user "$relive" umount "$mnt"
check "and it is clean" "$relive" check "$img.relive"

user "$relive" mount -o fakeroot,suid,dev "$img" "$mnt" >"$work/out" 2>"$work/err"
check "suid and dev are not dropped in silence" eval \
	'[ "$(grep -c "warning: .*nosuid,nodev" "$work/err")" = 1 ]'
user "$relive" umount "$mnt"
mkdir "$work/roots"
refuse "what fusermount3 says is all that is said" 1 "fusermount3: .*$work/roots" \
	user "$relive" mount -o fakeroot "$img" "$work/roots"
refuse "in the foreground too" 1 "fusermount3: .*$work/roots" \
	user "$relive" mount -f -o fakeroot "$img" "$work/roots"

"$relive" mount -o fakeroot,suid "$img" "$mnt"
echo '#!/bin/sh' >"$mnt/tool" && chmod 4755 "$mnt/tool"
check "root's -o fakeroot lets nobody else in" eval '! user ls "$mnt/etc" &&
	! user sh -c "echo x >>$mnt/tool" && ! user chown 0 "$mnt/home" &&
	[ "$(stat -c %u:%g:%a "$mnt/tool")" = 0:0:4755 ]'
rm "$mnt/tool"
umount_at "$mnt"
for shared in allow_other allow_root; do
	refuse "nor can it with $shared" 2 "fakeroot and $shared exclude" \
		"$relive" mount -o "fakeroot,$shared" "$img" "$mnt"
done

chown 0 "$img" && chmod 644 "$img" && rm -rf "$img.relive" && chmod 755 "$work"
refuse "where no folder can be made, --session is the advice" 1 \
	"name another with --session" user "$relive" mount "$img" "$mnt"
mkdir -m 777 "$work/free"
check "and works" eval 'user "$relive" mount "$img" "$mnt" \
	--session "$work/free/s" 2>"$work/err" && user "$relive" umount "$mnt"'
chmod 600 "$img"
refuse "an image that cannot be read" 1 "Permission denied" \
	user "$relive" mount "$img" "$mnt"
end
