#!/bin/bash
# What commit promises whatever the base: nothing changed gives the same
# bytes, outputs whole or not at all, the base replaced only by --in-place.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs

make_tree "$work/tree"
make_ufs "$work/base.ufs" "$work/tree" 2 16384 2048
"$relive" uzip "$work/base.ufs" -o "$work/base.uzip" || exit 1
gzip -9nc "$work/base.ufs" >"$work/base.ufs.gz"

fresh() { # fresh SOURCE NAME: a new base without a session
	rm -rf "${work:?}/$2" "${work:?}/$2.relive" "$work"/out.*
	cp "$work/$1" "$work/$2"
}

edit_once() {
	mount_at "$mnt" "$1" && echo changed >"$mnt/etc/rc.conf" &&
		umount_at "$mnt"
}

holds_edit() {
	[ "$("$relive" cat "$1" etc/rc.conf)" = changed ]
}

for base in base.uzip base.ufs base.ufs.gz; do
	fresh "$base" "live-$base"
	live=$work/live-$base
	check "$base: mount and umount" \
		sh -c "'$relive' mount '$live' '$mnt' && '$relive' umount '$mnt'"
	check "$base: commit without a change" \
		"$relive" commit "$live" -o "$work/out.1"
	check "$base: gives the same bytes" cmp "$live" "$work/out.1"
	cp "$live" "$work/out.before"
	check "$base: edit" edit_once "$live"
	check "$base: commit" "$relive" commit "$live" -o "$work/out.2"
	check "$base: the result is changed" holds_edit "$work/out.2"
	check "$base: and clean" "$relive" check "$work/out.2"
	check "$base: the base is not touched" cmp "$live" "$work/out.before"
	check "$base: commit in place" "$relive" commit "$live" --in-place
	check "$base: is the same as beside" cmp "$live" "$work/out.2"
	check "$base: the session is over" sh -c \
		"'$relive' status '$live' --json | grep -q '\"edited\": *false'"
done

fresh base.uzip live.uzip
live=$work/live.uzip
refuse "-o on the base itself" 1 'itself|same file' \
	"$relive" commit "$live" -o "$live"
refuse "no output named" 2 'where to' "$relive" commit "$live"
refuse "an odd cluster size" 2 'cluster' \
	"$relive" commit "$live" -o "$work/out.3" -s 1000
check "edit" edit_once "$live"
check "another codec and cluster" "$relive" commit "$live" \
	-o "$work/out.4" -A zstd -s 65536 -d
check "is clean" "$relive" check "$work/out.4"
check "holds the edit" holds_edit "$work/out.4"
check "--raw and --uzip beside" "$relive" commit "$live" \
	--raw "$work/out.raw" --uzip "$work/out.uzip"
check "raw is clean" "$relive" check "$work/out.raw"
check "uzip holds the edit" holds_edit "$work/out.uzip"
check "mount" mount_at "$mnt" "$live"
refuse "in place while mounted" 1 "mounted|busy|in use" \
	"$relive" commit "$live" --in-place
refuse "discard while mounted" 1 "mounted|busy|in use" \
	"$relive" discard "$live"
echo late >"$mnt/etc/late"
check "a commit sees what was just written" \
	"$relive" commit "$live" -o "$work/out.5"
check "it is there" sh -c \
	"[ \"\$('$relive' cat '$work/out.5' /etc/late)\" = late ]"
check "umount" umount_at "$mnt"

# A full disk: one clear line, no output file, the session as it was.
mkdir "$work/small"
our_mounts+=("$work/small")
mount -t tmpfs -o size=300k tmpfs "$work/small"
refuse "a full disk" 1 'space' \
	"$relive" commit "$live" -o "$work/small/out.uzip"
check "leaves nothing behind" sh -c "[ -z \"\$(ls -A '$work/small')\" ]"

# Ctrl-C: exit status 1, nothing left behind.
mkdir "$work/int"
"$relive" commit "$live" --raw "$work/int/out.raw" -A lzma -s 4096 \
	--uzip "$work/int/out.uzip" 2>/dev/null &
sleep 0.1
kill -INT $!
wait $!
check "an interrupted commit leaves nothing or all" sh -c \
	"! ls -A '$work/int' | grep -v '^out'"
check "discard" "$relive" discard "$live"
check "the session folder is gone" [ ! -e "$live.relive" ]
refuse "discard what is not there" 1 'no session|nothing' \
	"$relive" discard "$live"
end
