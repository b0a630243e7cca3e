#!/bin/bash
# relive create makes images of directories, archives and specifications that
# hold just what these held: our mount, sleuthkit, GRUB and our check agree.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/judges.sh"
need_root
need_fuse
need tar bsdtar setpriv

tree=$work/tree
make_tree "$tree"
mknod "$tree/dev/disk" b 30 131081
setfattr -n user.colour -v blue "$tree/etc/rc.conf" 2>/dev/null && xattrs=yes
chmod 700 "$tree"
manifest "$tree" >"$work/want"

# The image must hold what the file says.
holds() { # holds WHAT IMAGE MANIFEST
	check "$1: check" "$relive" check "$2"
	check "$1: mount" mount_at "$mnt" "$2" --ro
	manifest "$mnt" >"$work/got"
	same "$1: the tree" "$3" "$work/got"
	check "$1: umount" umount_at "$mnt"
	rm -rf "$2.relive"
}

# -- directories, in every geometry -------------------------------------------

for geometry in 1,4096,512 1,32768,4096 2,8192,1024 2,32768,4096 2,65536,8192; do
	IFS=, read -r version block frag <<<"$geometry"
	image=$work/dir-$geometry.ufs
	check "UFS$version $block/$frag" "$relive" create -q -o "$image" \
		--ufs "$version" --block "$block" --frag "$frag" "$tree"
	holds "UFS$version $block/$frag" "$image" "$work/want"
done
check "default" "$relive" create -q -o "$work/x.ufs" --label LIVE_1 "$tree"
check "default: mount" mount_at "$mnt" "$work/x.ufs" --ro
[ "${xattrs-}" = yes ] && check "extended attributes arrive" test \
	"$(getfattr --only-values -n user.colour "$mnt/etc/rc.conf")" = blue
check "holes stay holes" test "$(stat -c %b "$mnt/var/sparse")" -lt 300
judge_ufs "default" "$work/x.ufs" "$mnt"
check "default: umount" umount_at "$mnt"
rm -rf "$work/x.ufs.relive"
"$relive" info "$work/x.ufs" >"$work/info"
check "the label is there" grep -q LIVE_1 "$work/info"
check "the superblock is at 65536" test \
	"$(od -An -tx4 -j $((65536 + 1372)) -N4 "$work/x.ufs")" = " 19540119"
check "without check hashes" "$relive" create -q -o "$work/nohash.ufs" \
	--no-check-hashes "$tree"
holds "without check hashes" "$work/nohash.ufs" "$work/want"
flags() { # FS_METACKHASH (0x200) in fs_flags
	od -An -tx4 -j $((65536 + 1312)) -N4 "$1"
}
check "with check hashes" test "$(flags "$work/x.ufs")" = " 00000200"
check "and without" test "$(flags "$work/nohash.ufs")" = " 00000000"

# -- archives, without root ---------------------------------------------------

user=$work/user
mkdir "$user"
chmod 777 "$user" "$work"
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
for kind in gz,gzip xz,xz zst,zstd bz2,bzip2; do
	IFS=, read -r end tool <<<"$kind"
	command -v "$tool" >/dev/null || { skip "tar.$end" "no $tool"; continue; }
	tar --xattrs --sparse --format=pax -c -C "$tree" . |
		"$tool" >"$user/base.tar.$end"
	check "tar.$end without root" "${nobody[@]}" "$relive" create -q \
		-o "$user/$end.ufs" "$user/base.tar.$end"
	holds "tar.$end" "$user/$end.ufs" "$work/want"
done
tar --format=pax -c -C "$tree" . >"$user/base.tar"
(cd "$tree" && find . | LC_ALL=C sort | cpio -o -H newc --quiet) >"$user/base.cpio" 2>/dev/null &&
	check "cpio" "$relive" create -q -o "$user/cpio.ufs" "$user/base.cpio" &&
	check "cpio: check" "$relive" check "$user/cpio.ufs"

# What a tar of ours says about flags and attributes comes back.
cat >"$work/flags.mtree" <<'END'
#mtree
/set type=file uname=root gname=wheel
.               type=dir mode=0755
    etc         type=dir
        rc.conf mode=0444 flags=schg,uarch time=1234567890.000000007
    ..
./dev/null      type=char uname=root gname=operator mode=0666
./bin/noise     uid=7 gname=kmem mode=06551 \
                flags=uchg
./new           type=dir uname=uucp gid=12 mode=0710
./new/node      type=block mode=0640 device=freebsd,5,7
./new/link      type=link link=../etc/a\040b
END
check "an mtree specification on a tar" "${nobody[@]}" "$relive" create -q \
	-o "$user/spec.ufs" "$user/base.tar" "$work/flags.mtree"
check "spec: check" "$relive" check "$user/spec.ufs"
"$relive" ls -lRo "$user/spec.ufs" / >"$work/spec.list"
check "spec: flags" grep -Eq 'schg,uarch|uarch,schg' "$work/spec.list"
check "spec: mount" mount_at "$mnt" "$user/spec.ufs" --ro
stat -c '%n %a %u:%g %Y %t:%T' "$mnt"/etc/rc.conf "$mnt"/dev/null \
	"$mnt"/bin/noise "$mnt"/new "$mnt"/new/node | sed "s,$mnt,," |
	sed 's/ [0-9]* \([0-9a-f:]*\)$/ \1/' >"$work/got"
cat >"$work/want.spec" <<'END'
/etc/rc.conf 444 0:0 0:0
/dev/null 666 0:5 1:3
/bin/noise 6551 7:2 0:0
/new 710 66:12 0:0
/new/node 640 0:0 5:7
END
same "spec: attributes" "$work/want.spec" "$work/got"
check "spec: the time" test "$(stat -c %.9Y "$mnt/etc/rc.conf")" = 1234567890.000000007
check "spec: a link" test "$(readlink "$mnt/new/link")" = '../etc/a b'
check "spec: contents stay" cmp "$tree/etc/rc.conf" "$mnt/etc/rc.conf"
check "spec: umount" umount_at "$mnt"
rm -rf "$user/spec.ufs.relive"
check "to a tar of ours" "$relive" extract "$user/spec.ufs" / -o "$user/again.tar"
check "and back" "${nobody[@]}" "$relive" create -q -o "$user/again.ufs" "$user/again.tar"
"$relive" ls -lRo "$user/again.ufs" / >"$work/again.list"
same "with all attributes" "$work/spec.list" "$work/again.list"

# ISOs have device numbers in two fields, or both in the second one.
for maker in "genisoimage -quiet" "xorriso -as mkisofs -quiet"; do
	command -v "${maker%% *}" >/dev/null || continue
	$maker -R -o "$work/dev.iso" "$tree/dev" 2>/dev/null
	check "${maker%% *}: create" \
		"$relive" create -q -o "$work/dev.ufs" "$work/dev.iso"
	check "${maker%% *}: device numbers" eval \
		'"$relive" ls -l "$work/dev.ufs" / >"$work/devs" &&
		grep -q "^b.* 30,131081 .* disk$" "$work/devs" &&
		grep -q "^c.* 1,3 .* null$" "$work/devs"'
done

# -- layers -------------------------------------------------------------------

over=$work/over
mkdir -p "$over/etc/rc.d/service3" "$over/usr" "$over/data"
echo changed >"$over/etc/rc.conf"
echo in >"$over/etc/rc.d/service3/in"
echo was-a-link >"$over/usr/rc.conf"
echo new >"$over/data/new"
chmod 750 "$over/etc"
cp -a "$tree" "$work/merged"
rm "$work/merged/etc/rc.d/service3" "$work/merged/usr/rc.conf"
cp -a "$over/." "$work/merged/"
rm -rf "$work/merged/boot" "$work"/merged/etc/rc.d/service1?
echo 'set' >"$work/set"
install -m 644 "$work/set" "$work/merged/etc/extra"
cp "$work/set" "$work/merged/data/new"
printf 'hostname="other"\n' >"$work/merged/etc/rc.conf"
mkdir -p "$work/merged/boot"
chmod 755 "$work/merged/boot"
printf 'a_b="YES"\n' >"$work/merged/boot/loader.conf"
printf 'hostname="first"\n' >"$over/etc/rc.conf"
content() { # content DIR: names, modes and hashes
	(cd "$1" && find . -printf '%y|%m|%p|%l\n' | LC_ALL=C sort &&
		find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
}
content "$work/merged" >"$work/want.merged"
# shellcheck disable=SC2317 # called by check
layered() { # layered OUT FIRST
	"$relive" create -q -o "$1" --exclude 'service1?' --exclude /boot \
		--set-file etc/extra="$work/set" --set-file /data/new="$work/set" \
		--set-conf etc/rc.conf:hostname=other \
		--set-conf boot/loader.conf:a_b=YES "$2" "$over"
}
for first in "$tree" "$user/base.tar"; do
	check "layers on ${first##*/}" layered "$work/layer.ufs" "$first"
	check "layers: check" "$relive" check "$work/layer.ufs"
	check "layers: mount" mount_at "$mnt" "$work/layer.ufs" --ro
	content "$mnt" >"$work/got"
	same "layers: the tree" "$work/want.merged" "$work/got"
	check "layers: umount" umount_at "$mnt"
	rm -rf "$work/layer.ufs.relive"
done

# A setting arrives as it was given, whoever reads it: sh here.
# shellcheck disable=SC2016 # not to be expanded here
value='a "b" $c `d` \e'"'"
check "settings with quotes" "$relive" create -q -o "$work/conf.ufs" \
	--set-conf "etc/rc.conf:y=$value" --set-conf "etc/rc.conf:z='as \$it is'" \
	--set-conf 'boot/loader.conf:hw.a-b.c_0=it'"'"'s # 1;' \
	--set-conf 'boot/loader.conf:d="${e}"' --set-conf 'etc/rc.conf:q="' "$tree"
"$relive" cat "$work/conf.ufs" /etc/rc.conf >"$work/rc.conf"
# shellcheck disable=SC1091,SC2154
[ "$(. "$work/rc.conf" && echo "$y|$z|$q")" = "$value|as \$it is|\"" ] &&
	pass "sh reads them" || fail "sh reads them" "$work/rc.conf"
"$relive" cat "$work/conf.ufs" /boot/loader.conf | tail -n 2 >"$work/got"
printf '%s\n' 'hw.a-b.c_0="it'"'"'s # 1;"' 'd="${e}"' >"$work/want.conf"
same "the loader's have their form" "$work/want.conf" "$work/got"

# -- formats, sizes, again and again ------------------------------------------

export SOURCE_DATE_EPOCH=1700000000
for out in a.ufs a.ufs.uzip a.ufs.gz; do
	check "$out" "$relive" create -q -o "$work/$out" "$tree"
	cp "$work/$out" "$work/first"
	check "$out: again" "$relive" create -q -j 1 -o "$work/$out" "$tree"
	check "$out: the same bytes" cmp "$work/first" "$work/$out"
	holds "$out" "$work/$out" "$work/want"
done
check "unuzip" "$relive" unuzip "$work/a.ufs.uzip" -o "$work/un"
check "gunzip" sh -c "gzip -dc '$work/a.ufs.gz' >'$work/ungz'"
check "all formats hold the same image" cmp "$work/a.ufs" "$work/ungz"
check "also the uzip" cmp -n "$(stat -c %s "$work/a.ufs")" "$work/a.ufs" "$work/un"
"$relive" create -q -o "$user/tar1.ufs" "$user/base.tar"
"$relive" create -q -o "$user/tar2.ufs" "$user/base.tar"
check "from a tar: the same bytes" cmp "$user/tar1.ufs" "$user/tar2.ufs"
unset SOURCE_DATE_EPOCH
check "zstd" "$relive" create -q -A zstd -C 3 -d -s 64k -o "$work/z.uzip" "$tree"
holds "zstd" "$work/z.uzip" "$work/want"
check "a name that says nothing" "$relive" create -q --format uzip -o "$work/image" "$tree"
check "is still a uzip" "$relive" unuzip "$work/image" -o "$work/un"
avail() { # bytes that users can still fill
	mount_at "$mnt" "$1" --ro && df -B1 --output=avail "$mnt" | tail -n1
	umount_at "$mnt"
	rm -rf "$1.relive"
}
check "--free" "$relive" create -q --free 20M -o "$work/f.ufs" "$tree"
check "--free: is there" test "$(avail "$work/f.ufs")" -ge $((20 << 20))
check "--free 100%" "$relive" create -q --free 100% -o "$work/f.ufs" "$tree"
check "--free 100%: is there" test "$(avail "$work/f.ufs")" -ge \
	"$(du -sB1 "$tree" | cut -f1)"
check "--size" "$relive" create -q --size 64M -o "$work/s.ufs" "$tree"
check "--size: it is" test "$(stat -c %s "$work/s.ufs")" = $((64 << 20))
holds "--size" "$work/s.ufs" "$work/want"
check "--minfree 0 --density 16k" "$relive" create -q --minfree 0 \
	--density 16k -o "$work/s.ufs" "$tree"
holds "--minfree 0" "$work/s.ufs" "$work/want"
mkdir "$work/nothing"
touch -d @1600000000 "$work/nothing"
check "an empty tree" "$relive" create -q -o "$work/e.ufs" "$work/nothing"
check "an empty tree: check" "$relive" check "$work/e.ufs"

# An image of ours is edited and committed as any other.
check "edit: mount" mount_at "$mnt" "$work/a.ufs.uzip"
edit_tree "$mnt" 5
manifest "$mnt" >"$work/want.edited"
check "edit: umount" umount_at "$mnt"
check "edit: commit" "$relive" commit "$work/a.ufs.uzip" -o "$work/e.uzip"
holds "edited" "$work/e.uzip" "$work/want.edited"

# An output inside its own source is not part of it.
cp -a "$work/nothing" "$work/within"
check "an output within the source" "$relive" create -q -o "$work/within/w.ufs" "$work/within"
check "an output within the source, again" "$relive" create -q \
	-o "$work/within/w.ufs" "$work/within"
check "is not part of it" test -z "$("$relive" ls "$work/within/w.ufs" / |
	grep -v '^\.')"

# -- refusals: one line, and no output ----------------------------------------

out=$work/bad.ufs
bad() { # bad WHAT STATUS PATTERN ARGUMENT...
	local what=$1 status=$2 pattern=$3
	shift 3
	refuse "$what" "$status" "$pattern" "$relive" create -q -o "$out" "$@"
	check "$what: no output" test -z \
		"$(find "$work" -maxdepth 1 -name '*bad.ufs*')"
	rm -f "$out"
}
bad "a source that is not there" 1 "cannot open '$work/none'" "$work/none"
bad "no source" 2 'too few' --ufs 2
bad "a long label" 2 'too long' --label "$(printf 'L%.0s' $(seq 32))" "$tree"
bad "a size that is too small" 1 'too small' --size 1M "$tree"
bad "a format that is none" 2 "no format 'zip'" --format zip "$tree"
bad "--size with --free" 2 'exclude each other' --size 9M --free 1M "$tree"
size=$(stat -c %s "$user/base.tar.gz")
head -c $((size / 2)) "$user/base.tar.gz" >"$work/cut.tgz"
bad "a tar.gz that is cut short" 1 "cannot read '$work/cut.tgz'" "$work/cut.tgz"
head -c 700000 "$user/base.tar" >"$work/cut.tar"
bad "a tar that is cut short" 1 "cannot read '$work/cut.tar'" "$work/cut.tar"
tar -c --format=ustar -C "$tree" ./etc/rc.conf | head -c 1024 >"$work/end.tar"
bad "a tar without an end" 1 'cut short' "$work/end.tar"
seq 1 9999 >"$work/text"
bad "no archive at all" 1 "cannot read '$work/text'" "$work/text"
tar -cPf "$work/up.tar" -C "$work" --transform='s,^set$,../../set,' set
bad "a path that leads out" 1 'leads out of the tree' "$work/up.tar"
printf '#mtree\n./set type=dir mode=755 uid=4294967296 gid=0\n' >"$work/uid"
bsdtar -cf "$work/uid.tar" --format=pax "@$work/uid"
bad "an owner beyond 32 bits" 1 'owner of .set. is a number' "$work/uid.tar"
tar -cPf "$work/abs.tar" "$work/set"
check "an absolute path is made relative" "$relive" create -q -o "$out" "$work/abs.tar"
check "and lies inside" "$relive" cat "$out" "$work/set"
rm -f "$out"
mkdir "$work/t1"
ln -s /etc "$work/t1/lib"
tar -cf "$work/through.tar" -C "$work" --transform='s,^set$,lib/set,' set
bad "a path through a link" 1 'not a directory' "$work/t1" "$work/through.tar"
printf '#mtree\n./x type=file mode=9\n' >"$work/bad.mtree"
bad "a bad mode in a specification" 1 'line 2' "$work/bad.mtree"
printf '#mtree\n./x type=file mode=644 uname=nosuch\n' >"$work/bad.mtree"
bad "a user whom nobody knows" 1 "no user 'nosuch'" "$work/bad.mtree"
bad "a setting without a value" 2 'FILE:KEY=VALUE' --set-conf etc/rc.conf "$tree"
bad "a setting of no file" 2 'FILE:KEY=VALUE' --set-conf boot/loader.conf "$tree"
bad "a file to set without one" 2 'PATH=FILE' --set-file etc/b "$tree"
for file in boot/loader.conf etc/rc.conf; do
	bad "a name with a space in $file" 2 "'y z' is no name" \
		--set-conf "$file:y z=1" "$tree"
done
bad "a dot in a name of the shell's" 2 "'a.b' is no name" \
	--set-conf etc/rc.conf:a.b=1 "$tree"
for value in 'a "b"' 'a\b' '$c' $'\xc3\xa4'; do
	bad "a loader's setting of $value" 2 "has no form for the value" \
		--set-conf "boot/loader.conf:y=$value" "$tree"
done
bad "a level that zlib has not" 2 "zlib has 1 to 12" -C 15 --format uzip "$tree"
bad "a file to set that is not there" 1 "'$work/none'" --set-file "a=$work/none" "$tree"
mkdir "$work/secret"
echo s >"$work/secret/file"
chmod 600 "$work/secret/file"
refuse "an unreadable file" 1 "secret/file': Permission denied" \
	"${nobody[@]}" "$relive" create -q -o "$user/secret.ufs" "$work/secret"
check "leaves no output" test ! -e "$user/secret.ufs"
cp "$work/x.ufs" "$work/self.ufs"
refuse "the output as a source" 1 'input itself' \
	"$relive" create -q -o "$work/self.ufs" "$tree" "$work/self.ufs"

# A full disk: a small tmpfs.
mkdir "$work/small"
if mount -t tmpfs -o size=1m none "$work/small" 2>/dev/null; then
	our_mounts+=("$work/small")
	for f in x.ufs x.ufs.uzip x.ufs.gz; do
		refuse "$f on a full disk" 1 "small/$f.*No space" \
			"$relive" create -q -o "$work/small/$f" "$tree"
	done
	refuse "no room for the scratch file" 1 'No space' \
		"$relive" create -q -o "$work/small/x.ufs" "$user/base.tar"
	check "nothing is left there" test -z "$(ls -A "$work/small")"
	umount "$work/small"
else
	skip "a full disk" "no tmpfs"
fi
# What has been edited is not written over.
check "an image to edit" "$relive" create -q -o "$work/edited.uzip" "$tree"
check "mount it" mount_at "$mnt" "$work/edited.uzip"
echo new >"$mnt/etc/new"
check "umount it" umount_at "$mnt"
cp "$work/edited.uzip" "$work/kept"
head -c 100000 /dev/zero >"$work/default.raw"
for over in "create -q -o $work/edited.uzip $tree" \
	"uzip $work/default.raw -o $work/edited.uzip" \
	"commit -q $work/edited.uzip -o $work/edited.uzip"; do
	# shellcheck disable=SC2086 # words
	refuse "${over%% *} does not write over an image with a session" 1 \
		"has a session" "$relive" $over
done
check "it is as it was" cmp "$work/kept" "$work/edited.uzip"
check "its edits too" "$relive" cat "$work/edited.uzip.relive" /etc/new
end
