#!/bin/bash
# Folders of sessions: which are taken for one, what their addresses show, and
# that nothing else is touched.
# shellcheck disable=SC2016,SC2034 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs genisoimage python3

make_tree "$work/tree"
make_ufs "$work/live.ufs" "$work/tree" 2 32768 4096
"$relive" uzip -q "$work/live.ufs" -o "$work/live.uzip"
img=$work/live.uzip

# -- folders that are none ----------------------------------------------------
# A slip in --session must neither delete nor add anything there.
mkdir "$work/docs" "$work/empty"
echo mine >"$work/docs/lock"
echo mine >"$work/docs/mount"
echo mine >"$work/docs/data.overlay"
echo mine >"$work/docs/notes"
cp -r "$work/docs" "$work/docs.before"
for command in discard status ls "commit -o $work/new"; do
	# shellcheck disable=SC2086 # a command and its options
	refuse "${command%% *}: a folder with other things is no session" 1 \
		'docs.* is no session: there is' \
		"$relive" $command "$img" --session "$work/docs"
done
refuse "mount: the same" 1 'docs.* is no session: there is' \
	"$relive" mount "$img" "$mnt" --session "$work/docs"
same "and nothing there is touched" "$work/docs.before" "$work/docs"
refuse "discard: an empty folder is no session" 1 'empty.* is no session' \
	"$relive" discard "$img" --session "$work/empty"
refuse "status: neither" 1 'empty.* is no session' \
	"$relive" status "$img" --session "$work/empty"
check "it stays" test -d "$work/empty"
check "but can become one" eval 'mount_at "$mnt" "$img" --session "$work/empty" &&
	echo new >"$mnt/new" && umount_at "$mnt" &&
	[ "$("$relive" cat "$img" --session "$work/empty" /new)" = new ]'

# -- in somebody else's folder ---------------------------------------------------
# What root mounts may lie beside traps: nothing is written through a link, and
# nothing waits for a pipe.
cp "$img" "$work/trap.uzip"
trap=$work/trap.uzip.relive
echo precious >"$work/victim"
for name in base.new mount mount.new lock; do
	mkdir "$trap"
	ln -s "$work/victim" "$trap/$name"
	# It may be refused or done.
	timeout 20 "$relive" mount "$work/trap.uzip" "$mnt" 2>"$work/err"
	status=$?
	our_mounts+=("$mnt")
	check "a link $name is not followed" eval '[ "$status" != 124 ] &&
		[ "$(cat "$work/victim")" = precious ]'
	mountpoint -q "$mnt" && umount_at "$mnt"
	rm -rf "$trap"
done
for name in base mount lock; do
	mkdir "$trap"
	mkfifo "$trap/$name"
	timeout 20 "$relive" status "$work/trap.uzip" >"$work/out" 2>&1
	check "status does not wait for a pipe $name" test $? != 124
	timeout 20 "$relive" discard "$work/trap.uzip" >"$work/out" 2>&1
	check "nor does discard" test $? != 124
	rm -rf "$trap"
done
mkdir "$work/private"
ln -s "$work/private" "$trap"
refuse "a link to a folder is none" 1 'trap.uzip.relive' \
	"$relive" mount "$work/trap.uzip" "$mnt"
check "nothing is written there" test -z "$(ls -A "$work/private")"
rm "$trap"
mount_at "$mnt" "$work/trap.uzip" && echo new >"$mnt/new" && umount_at "$mnt"
mv "$trap/image.overlay" "$work/overlay"
ln -s "$work/overlay" "$trap/image.overlay"
refuse "nor is a link an overlay" 1 'image.overlay' \
	"$relive" mount "$work/trap.uzip" "$mnt"
rm -rf "$trap"

# -- what a killed compaction leaves ------------------------------------------
mount_at "$mnt" "$work/trap.uzip" && echo new >"$mnt/new" && umount_at "$mnt"
cp "$trap/image.overlay" "$trap/.image.overlay.new"
check "discard removes what a killed daemon left" eval \
	'"$relive" discard "$work/trap.uzip" && [ ! -e "$trap" ]'

# -- the same address, whichever command --------------------------------------
mkdir -p "$work/top/uzip" "$work/top/boot"
cp "$img" "$work/top/uzip/usr.uzip"
cp "$img" "$work/top/uzip/var.uzip"
echo 'beastie="no"' >"$work/top/boot/loader.conf"
seq 100000 >"$work/top/boot/kernel"
ln "$work/top/boot/kernel" "$work/top/boot/kernel.old"
genisoimage -quiet -R -cache-inodes -o "$work/two.iso" "$work/top"
iso=$work/two.iso
mount_at "$mnt" "$iso:/uzip/usr.uzip" --view all
echo root >"$mnt/root/etc/edited"
echo var >"$mnt/var/etc/edited"
echo 'foo="1"' >>"$mnt/iso/boot/loader.conf"
mkdir "$mnt/iso/new"
rm "$mnt/iso/boot/kernel.old"

# Without any pause: what was just written is there.
check "ls of a mount point shows what was just written" \
	"$relive" ls "$mnt" /etc/edited
echo later >"$mnt/root/etc/later"
check "so does cat" eval '[ "$("$relive" cat "$mnt" /etc/later)" = later ]'
echo last >"$mnt/root/etc/last"
check "and extract" eval '"$relive" extract -q "$mnt" etc -o - |
	tar -tf - 2>/dev/null | grep -qx etc/last'
check "the ISO's tree of a mount point" eval \
	'"$relive" cat --iso "$mnt" boot/loader.conf | grep -q foo'
check "umount" umount_at "$mnt"

dir=$iso.relive
for part in usr var; do
	at=$dir:/uzip/$part.uzip
	text=$([ "$part" = usr ] && echo root || echo var)
	check "cat SESSION:/$part shows the edit" eval \
		'[ "$("$relive" cat "$at" /etc/edited)" = "$text" ]'
	check "ls too" "$relive" ls "$at" etc/edited
	check "extract too" eval \
		'"$relive" extract -q "$at" etc/edited -o "$work/out-$part" &&
		[ "$(cat "$work/out-$part/etc/edited")" = "$text" ]'
	check "check takes it" "$relive" check -q "$at"
	check "info too" eval '"$relive" info "$at" | grep -q overlay'
done
check "what is no edited part has no edit" eval \
	'! "$relive" cat "$iso:/uzip/var.uzip" /etc/edited 2>"$work/err"'

# -- the ISO's own tree as it was edited ---------------------------------------
for how in "--session $dir $iso" "$dir"; do
	# shellcheck disable=SC2086 # options and an address
	check "cat --iso ${how%% *}: the edited file" eval \
		'[ "$("$relive" cat --iso $how boot/loader.conf |
			tr "\n" " ")" = "beastie=\"no\" foo=\"1\" " ]'
	# shellcheck disable=SC2086
	check "ls --iso: what is new, and not what is gone" eval \
		'"$relive" ls --iso $how | grep -qx new &&
		! "$relive" ls --iso $how boot | grep -q kernel.old'
done
check "extract --iso: all of it" eval \
	'"$relive" extract -q --iso "$dir" -o "$work/edited" &&
	cmp "$work/edited/boot/kernel" "$work/top/boot/kernel" &&
	cmp "$work/edited/uzip/var.uzip" "$img" && [ -d "$work/edited/new" ] &&
	[ ! -e "$work/edited/boot/kernel.old" ]'
check "without the session it is the base's" eval \
	'[ "$("$relive" cat --iso "$iso" boot/loader.conf)" = "beastie=\"no\"" ]'

# -- what status says -----------------------------------------------------------
cp "$work/two.iso" "$work/three.iso"
mount_at "$mnt" "$work/three.iso:/uzip/usr.uzip" --view all
echo 'foo="1"' >>"$mnt/iso/boot/loader.conf"
check "umount" umount_at "$mnt"
check "status: the ISO's tree alone was edited" eval \
	'! "$relive" status "$work/three.iso.relive" | grep "nothing edited" &&
	"$relive" status --json "$work/three.iso.relive" |
	python3 -c "import json, sys; sys.exit(not json.load(sys.stdin)[\"edited\"])"'

# -- all of an ISO, no image of which is named ----------------------------------
iso4=$work/four.iso
cp "$work/two.iso" "$iso4"
mount_at "$mnt" "$iso4:/uzip/var.uzip"
echo var >"$mnt/etc/edited"
umount_at "$mnt"
check "status of an ISO: of the image that was edited" eval \
	'"$relive" status "$iso4" | grep -q "^files: *1 added"'
refuse "a mount is of one image" 1 "holds 2 system images, name one of" \
	"$relive" mount "$iso4" "$mnt"
check "but for one of all" mount_at "$mnt" "$iso4" --view all
check "which shows them" eval \
	'[ "$(cat "$mnt"/{usr,var,root}/etc/edited 2>/dev/null)" = var ] &&
	[ "$(find "$mnt" -mindepth 1 -maxdepth 1 | wc -l)" = 3 ]'
for part in "$mnt"/*; do
	echo "${part##*/}" >"$part/new"
done
check "status tells of both" eval '"$relive" status "$iso4" >"$work/out" &&
	grep -q "^also: .*/uzip/usr.uzip.: files 1 added" "$work/out" &&
	grep -q "^files: *2 added" "$work/out" && grep -q "^ISO" "$work/out"'
check "umount" umount_at "$mnt"
check "commit takes all" "$relive" commit "$iso4" -o "$work/all.iso"
check "commit: both images" eval '
	[ "$("$relive" cat "$work/all.iso:/uzip/var.uzip" /etc/edited)" = var ] &&
	"$relive" cat "$work/all.iso:/uzip/usr.uzip" /new &&
	"$relive" cat "$work/all.iso:/uzip/var.uzip" /new &&
	[ "$("$relive" cat --iso "$work/all.iso" new)" = iso ]'
refuse "commit of one image wants its name" 1 "name one of" \
	"$relive" commit "$iso4" --uzip "$work/one.uzip"
check "commit in place" "$relive" commit "$iso4" --in-place
check "leaves nothing to commit" eval \
	'"$relive" status "$iso4" | grep -q "nothing edited" &&
	cmp "$iso4" "$work/all.iso"'
rm -r "$iso4.relive"
check "a view of all without a session: the first is said" eval \
	'mount_at "$mnt" "$iso4" --view all 2>"$work/err" &&
	grep -q "/uzip/usr.uzip. comes first" "$work/err" &&
	[ -e "$mnt/root" ] && [ -e "$mnt/var" ] && umount_at "$mnt"'

# -- discard --------------------------------------------------------------------
refuse "discard: a part that the session has not" 1 "nothing of '/uzip/typo'" \
	"$relive" discard "$iso:/uzip/typo"
check "discard: one part" eval '"$relive" discard "$iso:/uzip/var.uzip" &&
	! "$relive" cat "$dir:/uzip/var.uzip" /etc/edited 2>"$work/err" &&
	[ "$("$relive" cat "$dir:/uzip/usr.uzip" /etc/edited)" = root ]'
rm "$iso"
refuse "status: the image is gone" 1 'bring it back, or drop the session' \
	"$relive" status "$dir"
check "discard needs it no more" eval '"$relive" discard "$dir" && [ ! -e "$dir" ]'

# The notes in a session's folder are lines.
broken=$work/line$'\n'break
mkdir "$broken"
our_mounts+=("$broken")
cp "$work/live.ufs" "$work/lines.ufs"
refuse "a mount point with a line break" 1 'has a line break' \
	"$relive" mount "$work/lines.ufs" "$broken"
check "leaves no session" test ! -e "$work/lines.ufs.relive"
end
