#!/bin/bash
# Commits at the edges: of a mount that is just ending, of a disk's partition,
# as root over a user's file, without an edit but into another form.
# shellcheck disable=SC2016,SC2034 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs sgdisk python3

make_tree "$work/tree"
make_ufs "$work/base.ufs" "$work/tree" 2 16384 2048
img=$work/live.ufs

# umount(2) alone: umount(8) looks at the mount before, which a stopped daemon
# would keep waiting.
umount_call() { # umount_call DIR
	timeout 10 python3 - "$1" <<'END'
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
sys.exit(libc.umount2(sys.argv[1].encode(), 0) != 0)
END
}

# A daemon that has lost its mount and not yet flushed: stopped, so that it
# stays that way for as long as we like.
ending_mount() { # ending_mount TEXT: the daemon's pid in $pid
	mount_at "$mnt" "$img" && pid=$(sed -n 's/^pid //p' "$img.relive/mount") &&
		echo "$1" >"$mnt/etc/late" && kill -STOP "$pid" || return
	umount_call "$mnt" && return
	kill -CONT "$pid"
	return 1
}

resume_later() {
	(
		sleep 0.5
		kill -CONT "$pid"
	) &
}

cp "$work/base.ufs" "$img"
check "umount(2) does not wait for the daemon" ending_mount first
resume_later
check "commit does" "$relive" commit "$img" -o "$work/out.ufs"
check "and misses nothing" eval \
	'[ "$("$relive" cat "$work/out.ufs" /etc/late)" = first ]'
check "again" ending_mount "second, and longer"
resume_later
check "cat of the session waits too" eval \
	'[ "$("$relive" cat "$img.relive" /etc/late)" = "second, and longer" ]'
check "once more" ending_mount third
resume_later
check "so does a read-only mount" eval 'mount_at "$mnt" "$img" --ro &&
	grep -q third "$mnt/etc/late" && umount_at "$mnt"'

# What a killed daemon left does not speak for who holds the session next.
mount_at "$mnt" "$img"
kill -KILL "$(sed -n 's/^pid //p' "$img.relive/mount")"
umount_at "$mnt" 2>/dev/null
check "commit in place after a kill" "$relive" commit "$img" --in-place
check "leaves no sign of a mount" test ! -e "$img.relive/mount"

refuse "an image that is not there is said once" 1 "No such file" \
	"$relive" status "$work/nothing"
refuse "by commit too" 1 "No such file" \
	"$relive" commit "$work/nothing" -o "$work/out"
refuse "a session folder that is not there is no session" 1 \
	"session folder '.*/slip': No such file" \
	"$relive" commit "$img" --session "$work/slip" -o "$work/out"
refuse "one file for two outputs" 2 "cannot be one file" \
	"$relive" commit "$img" --raw "$work/x" --uzip "$work/x"
mkfifo "$work/fifo"
refuse "a pipe is no image" 1 "neither a file nor a disk" \
	"$relive" info "$work/fifo"

# Root replaces a user's image: it stays the user's.
"$relive" uzip "$work/base.ufs" -o "$work/own.uzip"
chown 1234:1235 "$work/own.uzip"
chmod 640 "$work/own.uzip"
check "in place without an edit, but with another codec" \
	"$relive" commit "$work/own.uzip" --in-place -A zstd
check "converts" eval '"$relive" info --json "$work/own.uzip" | grep -q zstd'
check "and keeps owner and mode" eval \
	'[ "$(stat -c "%u %g %a" "$work/own.uzip")" = "1234 1235 640" ]'

# A base with next to nothing in it tells nothing of what new files will take.
mkdir "$work/little"
truncate -s 8M "$work/little/holes"
printf end >>"$work/little/holes"
make_ufs "$work/little.ufs" "$work/little" 2 16384 2048 -s 12m
"$relive" uzip "$work/little.ufs" -o "$work/little.uzip"
mount_at "$mnt" "$work/little.uzip"
head -c 8000000 /dev/urandom >"$mnt/noise"
umount_at "$mnt"
check "the size after a commit is guessed with sense" eval \
	'[ "$("$relive" status --json "$work/little.uzip" |
	sed -n "s/.*\"image_bytes_after\": *\([0-9]*\).*/\1/p")" -gt 3000000 ]'

# A partition has its size, and the file system may not outgrow it.
size=$(stat -c %s "$work/base.ufs")
truncate -s $((size + (4 << 20))) "$work/disk.img"
sgdisk -a 8 -n "1:2048:$((2047 + size / 512))" -t 1:a503 \
	"$work/disk.img" >/dev/null
dd if="$work/base.ufs" of="$work/disk.img" bs=1M seek=1 conv=notrunc status=none
check "mount of a partition" mount_at "$mnt" "$work/disk.img"
check "what does not fit is refused when written" eval \
	'! head -c "$size" /dev/urandom >"$mnt/big" 2>/dev/null; rm -f "$mnt/big"'
echo changed >"$mnt/etc/rc.conf"
check "umount" umount_at "$mnt"
check "commit of the disk" \
	"$relive" commit "$work/disk.img" -o "$work/new.img"
check "holds the edit" eval \
	'[ "$("$relive" cat "$work/new.img:p1" /etc/rc.conf)" = changed ]'
check "is clean" "$relive" check "$work/new.img"
check "and the partition table is what it was" cmp -n $((1 << 20)) \
	"$work/disk.img" "$work/new.img"
# -- holes --------------------------------------------------------------------
# A sparse base stays sparse, in a folder that has no room for its holes.
mkdir "$work/room" "$work/few"
mount -t tmpfs -o size=24m none "$work/room"
our_mounts+=("$work/room")
seq 100 >"$work/few/seq"
"$relive" create -q -o "$work/room/big.ufs" --size 1G "$work/few"
check "commit of a sparse image, nothing edited" eval \
	'"$relive" mount -q "$work/room/big.ufs" "$mnt" && our_mounts+=("$mnt") &&
	umount_at "$mnt" && "$relive" commit -q "$work/room/big.ufs" -o "$work/room/same.ufs" &&
	cmp "$work/room/big.ufs" "$work/room/same.ufs" && rm "$work/room/same.ufs"'
check "and edited" eval 'mount_at "$mnt" "$work/room/big.ufs" &&
	echo new >"$mnt/new" && umount_at "$mnt" &&
	"$relive" commit -q "$work/room/big.ufs" -o "$work/room/new.ufs" &&
	"$relive" check -q "$work/room/new.ufs" &&
	[ "$("$relive" cat "$work/room/new.ufs" /new)" = new ] &&
	"$relive" cat "$work/room/new.ufs" /seq | cmp - "$work/few/seq"'
check "and in place" eval '"$relive" commit -q "$work/room/big.ufs" --in-place &&
	cmp "$work/room/big.ufs" "$work/room/new.ufs"'

# -- outputs that are links, or two names of one --------------------------------
new=$work/room/new.ufs
mkdir "$work/elsewhere"
ln -s elsewhere/real.ufs "$work/link.ufs"
check "a link to what is not there yet is followed" eval \
	'"$relive" commit -q "$new" -o "$work/link.ufs" && [ -L "$work/link.ufs" ] &&
	cmp "$new" "$work/elsewhere/real.ufs"'
(cd "$work" && refuse "two outputs by two names of one file" 2 'cannot be one file' \
	"$relive" commit "$new" -o x.ufs --raw ./x.ufs
refuse "or through a link" 2 'cannot be one file' \
	"$relive" commit "$new" -o link.ufs --raw "$work/elsewhere/real.ufs"
echo "$tests_run $tests_failed" >"$work/counts")
read -r tests_run tests_failed <"$work/counts"

# What no other command takes is no image, unless somebody is editing it.
echo hi >"$work/text"
cp "$work/base.ufs" "$work/ruined.ufs"
dd if=/dev/zero of="$work/ruined.ufs" bs=64k count=4 conv=notrunc status=none
for f in text ruined.ufs; do
	refuse "commit of $f" 1 "of no kind" \
		"$relive" commit "$work/$f" -o "$work/no"
	refuse "status of $f" 1 "of no kind" "$relive" status "$work/$f"
	refuse "commit of $f in place" 1 "of no kind" \
		"$relive" commit "$work/$f" --in-place
done
check "nothing is written" test ! -e "$work/no"
truncate -s 1M "$work/blank.img"
check "mount of a blank disk" mount_at "$mnt" "$work/blank.img" --view block
check "has a status" "$relive" status "$work/blank.img"
umount_at "$mnt"

# Of what is compressed as a whole, the size on disk is told.
gzip -nk "$work/base.ufs"
after() { # after IMAGE BOTH-SIZES WHEN
	"$relive" status --json "$1" | tr -d ' \n' |
		grep -Eo '"image_bytes":.*' >"$work/got"
	echo "\"image_bytes\":$2}" >"$work/want"
	same "status of $(basename "$1"), $3" "$work/want" "$work/got"
}
gz=$(stat -c %s "$work/base.ufs.gz")
after "$work/base.ufs.gz" "$gz,\"image_bytes_after\":$gz" untouched
mount_at "$mnt" "$work/base.ufs.gz"
echo changed >"$mnt/etc/rc.conf"
umount_at "$mnt"
after "$work/base.ufs.gz" "$gz,\"image_bytes_after\":null" edited

# A name makes nothing another form, and whoever gives one is told.
said() { # said WHAT PATTERN COMMAND...: it succeeds with one such line
	local what=$1 pattern=$2
	shift 2
	if "$@" 2>"$work/err" && [ "$(grep -c . "$work/err")" = 1 ] &&
		grep -Eq -- "$pattern" "$work/err"; then
		pass "$what"
	else
		fail "$what" "$work/err"
	fi
}
cp "$work/base.ufs" "$work/named.ufs"
said "a UFS called a uzip" "named.uzip' is a UFS file system as .*named.ufs'" \
	"$relive" commit -q "$work/named.ufs" -o "$work/named.uzip"
check "no word where the name is true" eval \
	'[ -z "$("$relive" commit -q "$work/named.ufs" -o "$work/n2.ufs" 2>&1)" ]'

# Wishes for a uzip where none is written are not passed over.
for image in named.ufs base.ufs.gz disk.img; do
	for wish in "-A zstd" "-s 64k" "-d" "-C 9"; do
		# shellcheck disable=SC2086 # two words
		refuse "$wish for $image" 1 "are for uzips" \
			"$relive" commit -q "$work/$image" -o "$work/no" $wish
	done
done
refuse "nor in place" 1 "are for uzips" \
	"$relive" commit "$work/named.ufs" --in-place -d
refuse "nor where --raw is all" 2 "are for uzips" \
	"$relive" commit "$work/little.uzip" --raw "$work/no" -A zstd
check "nothing is written" test ! -e "$work/no"
check "a uzip made beside may be any" "$relive" commit -q "$work/named.ufs" \
	--uzip "$work/yes.uzip" -A zstd
end
