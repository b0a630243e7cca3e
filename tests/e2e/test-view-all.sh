#!/bin/bash
# --view all: the live root, the ISO's own tree and a further image side by
# side, edited together and committed into one ISO.
# shellcheck disable=SC2016,SC2034 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs genisoimage xorriso bsdtar isoinfo python3 setfacl

make_tree "$work/tree"
make_ufs "$work/one.ufs" "$work/tree" 2 16384 2048
"$relive" uzip -q "$work/one.ufs" -o "$work/base.uzip"
mkdir "$work/mem"
echo rc >"$work/mem/rc"
make_ufs "$work/memroot.ufs" "$work/mem" 1 4096 512 -s 4m
gzip -n "$work/memroot.ufs"
iso=$work/live.iso

daemon_pid() { sed -n 's/^pid //p' "$iso.relive/mount"; }

# The seed article's options, with a memroot.
make_live() {
	rm -rf "$iso" "$iso.relive" "$work/new.iso"
	make_iso "$iso" "$work/base.uzip" seed 2>/dev/null
	cp "$work/memroot.ufs.gz" "$work/stage/boot/"
	touch -d @1600000000 "$work/stage/boot/memroot.ufs.gz" \
		"$work/stage/boot"
	genisoimage -quiet -R -l -ldots -allow-lowercase -allow-multidot \
		-V 'My FreeBSD' -hide boot.catalog -no-emul-boot \
		-b boot/cdboot -o "$iso" "$work/stage" 2>/dev/null
}

# Type, mode, size of files, time to the second, name, target.  Times of links
# and of the root depend on who unpacks.
list() { # list DIR
	(cd "$1" && find . -printf '%y %m %U:%G %s %Ts %p %l\n' |
		sed -E 's/^(d [^ ]* [^ ]*) [^ ]*/\1 -/
			s/^(l [^ ]* [^ ]* [^ ]*) [^ ]*/\1 -/
			s/ [^ ]* \. $/ ./' | LC_ALL=C sort &&
		find . -type f ! -name '*.uzip' ! -name '*.gz' -print0 |
		LC_ALL=C sort -z | xargs -0 sha256sum)
}

unpack() { # unpack ISO: into $work/unpacked, as xorriso sees it
	chmod -R u+w "$work/unpacked" 2>/dev/null
	rm -rf "$work/unpacked"
	xorriso -indev "$1" -osirrox on -extract / "$work/unpacked" \
		>"$work/out" 2>&1
}

# What other readers say of an ISO: the same tree, and nothing wrong.
judge() { # judge WHAT ISO: against $work/want
	unpack "$2"
	list "$work/unpacked" | grep -vE '\.(uzip|gz)' >"$work/got"
	same "$1: xorriso sees what was edited" "$work/want" "$work/got"
	rm -rf "$work/tar"
	mkdir "$work/tar"
	check "$1: bsdtar reads it" bsdtar -C "$work/tar" -xpf "$2"
	# The root's own mode it has only of some ISOs.
	list "$work/tar" | grep -vE '\.(uzip|gz)|^d .* \.$' >"$work/got"
	grep -v '^d .* \.$' "$work/want" >"$work/a"
	same "$1: bsdtar sees the same" "$work/a" "$work/got"
	isoinfo -i "$2" -R -f | sed 's,^/,./,' | LC_ALL=C sort >"$work/got"
	(cd "$work/tar" && find . -mindepth 1) | LC_ALL=C sort >"$work/names"
	same "$1: isoinfo names the same" "$work/names" "$work/got"
	check "$1: relive check" "$relive" check "$2"
}

make_live
cp "$iso" "$work/before.iso"
unpack "$iso"
list "$work/unpacked" >"$work/want"
check "mount" mount_at "$mnt" "$iso" --view all
check "shows all parts" eval \
	'[ "$(ls "$mnt" | tr "\n" " ")" = "iso memroot root " ]'
list "$mnt/iso" >"$work/got"
same "iso/ is the ISO's own tree" "$work/want" "$work/got"
check "the parts have their contents" eval \
	'grep -q live1 "$mnt/root/etc/rc.conf" && grep -q rc "$mnt/memroot/rc"'
check "status: nothing is edited" eval \
	'! "$relive" status "$mnt" | grep -q "ISO.s tree"'
check "a commit gives the same ISO" eval \
	'"$relive" commit "$mnt" -o "$work/new.iso" && cmp "$work/new.iso" "$iso"'

# -- edits ---------------------------------------------------------------------

cat >"$work/edit.sh" <<'END'
set -e
cd "$1"
echo 'autoboot_delay="3"' >>boot/loader.conf
mkdir -p boot/new.d/deep
cp "$2"/etc/rc.d/service1 "$2"/etc/rc.d/service2 boot/new.d/deep/
cp "$2/etc/rc" "boot/new.d/A long Name, with (odd) characters.tar.gz"
ln -s ../../loader.conf boot/new.d/deep/link
mv zzz/linked boot/new.d/moved
mv zzz/last zzz/renamed
rm zzz/symlink
chmod 600 boot/loader
printf patch | dd of=boot/loader bs=1 seek=5000 conv=notrunc status=none
truncate -s 100 isolinux/isolinux.bin 2>/dev/null || :
for i in $(seq 1 90); do echo "$i" >"zzz/many$i"; done
mkdir gone && touch gone/x && rm -r gone
: >empty
head -c 3000000 /dev/zero | tr '\0' z >large
mkfifo fifo
find . -newermt @1600000001 -exec touch -h -d @1650000000 {} +
END
check "edits" bash "$work/edit.sh" "$mnt/iso" "$work/tree"
list "$mnt/iso" | grep -vE '\.(uzip|gz)' >"$work/want"
check "mmap of what lies in the ISO" python3 -c '
import mmap, sys
f = open(sys.argv[1], "r+b")
m = mmap.mmap(f.fileno(), 0)
assert m[:5] == b"1\n2\n3"
m[0:1] = b"1"
m.flush()' "$mnt/iso/boot/cdboot"
touch -d @1600000000 "$mnt/iso/boot/cdboot"
echo root >"$mnt/root/etc/new"
echo mem >"$mnt/memroot/new"
check "links are refused as link(2) says" eval \
	'! ln "$mnt/iso/boot/loader" "$mnt/iso/l" 2>"$work/err" &&
	grep -q "not permitted" "$work/err"'
check "from one part to another only copies go" python3 -c '
import errno, os, sys
for call in os.rename, os.link:
    try: call(sys.argv[1] + "/root/etc/rc", sys.argv[1] + "/iso/rc"); assert 0
    except OSError as e: assert e.errno == errno.EXDEV or \
        (call is os.link and e.errno == errno.EPERM), e' "$mnt"
check "images are edited in their own folders" eval \
	'! echo x 2>/dev/null >>"$mnt/iso/data/base.ufs.uzip" &&
	! rm -f "$mnt/iso/boot/memroot.ufs.gz" 2>/dev/null &&
	! mv "$mnt/iso/data" "$mnt/iso/data2" 2>/dev/null'
check "there are no attributes" eval \
	'! setfattr -n user.x -v y "$mnt/iso/boot" 2>/dev/null'
check "no file of 4 GiB: FreeBSD reads none from an ISO" eval \
	': >"$mnt/iso/toolarge" && truncate -s 4294967295 "$mnt/iso/toolarge" &&
	! truncate -s 4G "$mnt/iso/toolarge" 2>"$work/err" &&
	grep -q "File too large" "$work/err" &&
	! dd if=/dev/zero of="$mnt/iso/toolarge" bs=1 seek=4294967295 count=1 \
		conv=notrunc 2>/dev/null &&
	[ "$(stat -c %s "$mnt/iso/toolarge")" = 4294967295 ] && rm "$mnt/iso/toolarge"'
check "no target of a link that is too long for an ISO" python3 -c '
import errno, os, sys
link = sys.argv[1] + "/iso/" + "l" * 255
try: os.symlink("t" * 1024, link); assert 0
except OSError as e: assert e.errno == errno.ENAMETOOLONG, e
os.symlink("t" * 1024, sys.argv[1] + "/root/link")
os.symlink("t" * 1023, link)
os.unlink(link)
os.unlink(sys.argv[1] + "/root/link")' "$mnt"
check "inode numbers are one mount's" eval '[ -z "$(find "$mnt" -type d \
	-printf "%i\n" | sort | uniq -d)" ]'
check "a write by others takes set-id bits off in each part" eval \
	'(for f in "$mnt"/{root,iso,memroot}/set-id; do
		: >"$f" && chmod 4755 "$f" && setpriv --clear-groups \
			--regid 65534 --reuid 65534 echo x >"$f" &&
			[ "$(stat -c %a "$f")" = 755 ] && rm "$f" || exit 1
	done)'
check "but not one that is refused" eval \
	'f=$mnt/root/set-id && : >"$f" && chmod 4755 "$f" && exec 3<>"$f" &&
	setfattr -n relive.flags -v schg "$f" && ! python3 -c "
import os
os.setegid(65534)
os.seteuid(65534)
os.posix_fallocate(3, 0, 9)" 2>"$work/err"
	exec 3>&- && grep -q PermissionError "$work/err" &&
	[ "$(stat -c "%a" "$f")" = 4755 ] &&
	setfattr -n relive.flags -v "" "$f" && rm "$f"'
check "status tells all parts" eval '"$relive" status -v "$mnt" >"$work/st" &&
	grep -q "^also: *./boot/memroot.ufs.gz.: files 1 added" "$work/st" &&
	grep -qx "A etc/new" "$work/st" &&
	grep -qx "M iso:/boot/loader.conf" "$work/st" &&
	grep -qx "D iso:/zzz/symlink" "$work/st" &&
	grep -qx "A iso:/boot/new.d/moved" "$work/st"'
check "and --json" eval '"$relive" status --json "$mnt" | python3 -c "
import json, sys
st = json.load(sys.stdin)
assert st[\"also_edited\"] == [\"/boot/memroot.ufs.gz\"]
assert st[\"iso_tree\"][\"removed\"] == 3, st[\"iso_tree\"]"'

check "commit of the live mount" \
	"$relive" commit "$mnt" -o "$work/new.iso"
judge "the result" "$work/new.iso"
check "has the root's edit" eval \
	'[ "$("$relive" cat "$work/new.iso" /etc/new)" = root ]'
check "and the memroot's" eval \
	'[ "$("$relive" cat "$work/new.iso:/boot/memroot.ufs.gz" /new)" = mem ]'
boots() { xorriso -indev "$1" -report_el_torito plain 2>/dev/null |
	awk '/^El Torito boot img/ { print $NF }'; }
check "El Torito follows cdboot" cmp -n 1092 "$work/stage/boot/cdboot" \
	<(dd if="$work/new.iso" bs=2048 skip="$(boots "$work/new.iso")" status=none)
places() { # places ISO: of files that nobody edited
	xorriso -indev "$1" -find /isolinux /zzz -name "*i*" -type f \
		-exec report_lba 2>/dev/null | grep efi.img
}
check "the image lies last" eval '[ "$(xorriso -indev "$work/new.iso" -find / \
	-type f -exec report_lba 2>/dev/null | sed "s/,//g" |
	sort -n -k 5 | tail -1 | grep -c -e "\.gz" -e uzip)" = 1 ]'

check "the session's folder stands for all of it" eval \
	'"$relive" status "$iso.relive" >"$work/st2" 2>&1 &&
	grep -q "ISO.s tree" "$work/st2"'

# -- crashes -------------------------------------------------------------------

echo kept >"$mnt/iso/kept"
sync "$mnt/iso/kept"
echo changed >"$mnt/iso/kept"
kill -KILL "$(daemon_pid)"
check "after kill -9 what fsync confirmed is there" eval \
	'mount_at "$mnt" "$iso" --view all && grep -q kept "$mnt/iso/kept"'
list "$mnt/iso" | grep -v kept | grep -vE '\.(uzip|gz)' >"$work/got"
grep -v ' \. $' "$work/want" >"$work/a"
grep -v ' \. $' "$work/got" >"$work/b"
same "and all before it" "$work/a" "$work/b"
rm "$mnt/iso/kept"
touch -d @1650000000 "$mnt/iso"
exec 3<"$mnt/iso/zzz/many7"
rm "$mnt/iso/zzz/many7"
check "what is open is read on after rm" eval '[ "$(cat <&3)" = 7 ]'
exec 3<&-
echo 7 >"$mnt/iso/zzz/many7"
touch -d @1650000000 "$mnt/iso/zzz/many7" "$mnt/iso/zzz"
umount_at "$mnt"
check "a tree mount and all of it take turns" eval \
	'mount_at "$mnt" "$iso" && grep -q root "$mnt/etc/new" && umount_at "$mnt"'
check "a look without changing" eval 'mount_at "$mnt" "$iso" --view all --ro &&
	grep -q mem "$mnt/memroot/new" && [ -e "$mnt/iso/large" ] &&
	! touch "$mnt/iso/x" 2>/dev/null && umount_at "$mnt"'

check "commit in place" "$relive" commit "$iso" --in-place
judge "in place" "$iso"
check "nothing is left to commit" eval \
	'! ls "$iso.relive/"*.overlay 2>/dev/null &&
	"$relive" commit "$iso" -o "$work/new2.iso" && cmp "$iso" "$work/new2.iso"'

# Only the ISO's own tree: nothing else moves, and discard forgets it.
other_places() {
	xorriso -indev "$1" -find / -type f -exec report_lba 2>/dev/null |
		grep -v loader.conf
}
mount_at "$mnt" "$iso" --view all
echo 'one="more"' >>"$mnt/iso/boot/loader.conf"
umount_at "$mnt"
rm -f "$work/new.iso"
check "commit of one small file" "$relive" commit "$iso" -o "$work/new.iso"
other_places "$iso" >"$work/a"
other_places "$work/new.iso" >"$work/b"
same "moves nothing else" "$work/a" "$work/b"
check "costs what it takes" [ $(($(stat -c %s "$work/new.iso") - \
	$(stat -c %s "$iso"))) -le 4096 ]
check "discard" "$relive" discard "$iso"
check "drops it" eval 'mount_at "$mnt" "$iso" --view all &&
	! grep -q more "$mnt/iso/boot/loader.conf" && umount_at "$mnt"'
check "discard by the folder" eval \
	'"$relive" discard "$iso.relive" && [ ! -e "$iso.relive" ]'

# -- other shapes --------------------------------------------------------------

make_iso "$iso" "$work/base.uzip" efi
mount_at "$mnt" "$iso" --view all
head -c 1600000 /dev/urandom >"$work/efi"
cp "$work/efi" "$mnt/iso/zzz/efi.img"
umount_at "$mnt"
check "efi: commit" "$relive" commit "$iso" --in-place
check "efi: the boot entry follows, with its size" eval \
	'set -- $(xorriso -indev "$iso" -report_el_torito plain 2>/dev/null |
	awk "/^El Torito boot img : *2/ { print \$12, \$NF }") &&
	[ "$1" = 3128 ] && dd if="$iso" bs=2048 skip="$2" status=none |
	cmp -n 1600000 - "$work/efi"'
check "efi: relive check" "$relive" check "$iso"

# Hybrid, for sticks: partitions, the isolinux table, the MBR's address.
if [ -f /usr/lib/ISOLINUX/isohdpfx.bin ]; then
	rm -rf "$iso" "$iso.relive"
	xorriso -as mkisofs -quiet -R -V HYBRID \
		-isohybrid-mbr /usr/lib/ISOLINUX/isohdpfx.bin \
		-b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot \
		-boot-load-size 4 -boot-info-table -eltorito-alt-boot \
		-e zzz/efi.img -no-emul-boot -isohybrid-gpt-basdat \
		-o "$iso" "$work/stage" 2>/dev/null
	mount_at "$mnt" "$iso" --view all
	cp "$work/efi" "$mnt/iso/zzz/efi.img"
	cp "$work/stage/isolinux/isolinux.bin" "$mnt/iso/isolinux/tmp"
	mv "$mnt/iso/isolinux/tmp" "$mnt/iso/isolinux/isolinux.bin"
	umount_at "$mnt"
	check "hybrid: commit" "$relive" commit "$iso" -o "$work/hybrid.iso"
	xorriso -indev "$work/hybrid.iso" -report_el_torito plain \
		-report_system_area plain >"$work/got" 2>/dev/null
	check "hybrid: boot entries and partitions follow" eval \
		'for line in "boot img :   2  UEFI .* 3128 " \
			"img opts :   1  boot-info-table isohybrid-suitable" \
			"img path :   2  /zzz/efi.img" \
			"MBR partition path :   2  /zzz/efi.img" \
			"GPT partition path :   2  /zzz/efi.img"; do
			grep -q "$line" "$work/got" || { cat "$work/got"; false; break; }
		done'
	check "hybrid: relive check" "$relive" check "$work/hybrid.iso"
else
	skip "hybrid" "no isolinux"
fi

make_iso "$iso" "$work/base.uzip" appended
rm -rf "$iso.relive"
mount_at "$mnt" "$iso" --view all
echo more >"$mnt/iso/boot/more"
umount_at "$mnt"
check "appended partition: commit" "$relive" commit "$iso" -o "$work/app.iso"
check "appended partition: relive check" "$relive" check "$work/app.iso"
check "appended partition: it is what it was" eval \
	'part() { sgdisk -i 2 "$1" | sed -n "s/First sector: \([0-9]*\).*/\1/p"; }
	cmp -n 1474560 -i "$(($(part "$iso") * 512)):$(($(part "$work/app.iso") * 512))" \
	"$iso" "$work/app.iso"'

# Edits on top of edits, in an ISO whose files have serial numbers.
make_iso "$iso" "$work/base.uzip" efi
rm -rf "$iso.relive"
mkdir -p "$work/stage/deep/below/more"
for i in 1 2 3 4; do
	echo "$i" >"$work/stage/deep/f$i"
	echo "below $i" >"$work/stage/deep/below/b$i"
	touch -d "@160000000$i" "$work/stage/deep/f$i"
done
seq 9 99 >"$work/stage/deep/below/more/m"
makefs -t cd9660 -o rockridge "$iso" "$work/stage" >/dev/null
mount_at "$mnt" "$iso" --view all
check "twice: a time before its record's place is a time" eval \
	'touch -d @5 "$mnt/iso/boot/loader" && touch -d @6 "$mnt/iso/deep/below" &&
	cmp "$mnt/iso/boot/loader" "$work/stage/boot/loader" &&
	grep -q "below 1" "$mnt/iso/deep/below/b1"'
mv "$mnt/iso/deep/f1" "$mnt/iso/deep/f2"
mv "$mnt/iso/deep/f3" "$mnt/iso/deep/below/b1"
for i in $(seq 100 130); do echo "$i" >"$mnt/iso/deep/n$i"; done
list "$mnt/iso" | grep -vE '\.(uzip|gz)' >"$work/want"
umount_at "$mnt"
check "twice: commit" "$relive" commit "$iso" --in-place
judge "twice: the first" "$iso"
mount_at "$mnt" "$iso" --view all
mkdir "$mnt/iso/deep/d"
for i in $(seq 100 130); do echo "x$i" >"$mnt/iso/deep/d/o$i"; done
mv "$mnt/iso/deep/f2" "$mnt/iso/deep/n101"
list "$mnt/iso" | grep -vE '\.(uzip|gz)' >"$work/want"
umount_at "$mnt"
check "twice: images stay, with noflags too" eval \
	'mount_at "$mnt" "$iso" --view all -o noflags &&
	! rm -f "$mnt/iso/data/base.ufs.uzip" 2>/dev/null && umount_at "$mnt"'
check "twice: commit again" "$relive" commit "$iso" --in-place
judge "twice: the second" "$iso"
check "twice: no two files have one serial number" python3 -c '
import re, sys
data = open(sys.argv[1], "rb").read()
names = {}
for m in re.finditer(rb"NM\x09\x01\x00([no]1[0-3][0-9])PX,\x01", data):
    names.setdefault(data[m.end() + 32:m.end() + 36], set()).add(m[1])
assert len(names) >= 62, len(names)
assert all(len(n) == 1 for n in names.values()), names' "$iso"

# Names of 8.3 for more files than three digits tell apart, and two files of
# one name, of which one is seen.
make_iso "$iso" "$work/base.uzip" plain
rm -rf "$iso.relive"
mkdir "$work/stage/many"
echo first >"$work/stage/many/twin.a"
echo second >"$work/stage/many/twin.b"
genisoimage -quiet -R -o "$iso" "$work/stage" 2>/dev/null
python3 -c '
import sys
data = open(sys.argv[1], "rb").read()
assert data.count(b"twin.b") == 1
open(sys.argv[1], "wb").write(data.replace(b"twin.b", b"twin.a"))' "$iso"
mount_at "$mnt" "$iso" --view all 2>"$work/err"
check "many: a second file of one name is told of" \
	grep -q "'twin.a' on the ISO cannot be shown" "$work/err"
for i in $(seq 1 1100); do echo "$i"; done |
	(cd "$mnt/iso/many" && split -l 1 -d -a 5 - a-long-name)
umount_at "$mnt"
check "many: commit" "$relive" commit "$iso" --in-place
check "many: all are there" eval \
	'[ "$(isoinfo -i "$iso" -f | grep "^/MANY/A_" | sort -u | wc -l)" = 1100 ] &&
	[ "$(isoinfo -i "$iso" -R -x /many/a-long-name01099)" = 1100 ]'
check "many: the second of one name too" eval \
	'[ "$(isoinfo -i "$iso" -x "/MANY/TWIN.B;1")" = second ]'
check "many: relive check" "$relive" check "$iso"

# An empty file's address may be any, but libarchive takes that of its directory
# for a loop: genisoimage's is where the directory goes.
rm -rf "$iso" "$iso.relive" "$work/stage"
mkdir -p "$work/stage/z"
cp "$work/base.uzip" "$work/stage/"
echo x >"$work/stage/z/x"
: >"$work/stage/z/zz"
genisoimage -quiet -R -o "$iso" "$work/stage"
mount_at "$mnt" "$iso" --view all
(cd "$mnt/iso/z" && seq -f empty%g 60 | xargs touch)
umount_at "$mnt"
check "empty files: commit" "$relive" commit "$iso" -o "$work/empty.iso"
check "empty files: bsdtar sees no loop" \
	test "$(bsdtar -tf "$work/empty.iso" | grep -c ^z/)" = 62

make_iso "$iso" "$work/base.uzip" joliet
rm -rf "$iso.relive"
mount_at "$mnt" "$iso" --view all 2>"$work/err"
check "joliet: the tree is shown read-only, with the reason" eval \
	'grep -q "read-only: it has a second tree, of Joliet" "$work/err" &&
	! touch "$mnt/iso/x" 2>/dev/null && [ -e "$mnt/iso/boot/loader" ]'
check "joliet: the root is editable all the same" eval \
	'echo j >"$mnt/root/j" && umount_at "$mnt" &&
	"$relive" commit "$iso" -o "$work/j.iso" &&
	[ "$("$relive" cat "$work/j.iso" /j)" = j ]'

make_iso "$iso" "$work/base.uzip" plain
rm -rf "$iso.relive"
mount_at "$mnt" "$iso" --view all
check "plain ISO 9660: its names are allowed, in the case that is shown" eval \
	'[ -e "$mnt/iso/boot/loader.con" ] && ! find "$mnt/iso" -printf "%f\n" | grep "[A-Z]" &&
	echo x >"$mnt/iso/boot/new.cnf" && mkdir "$mnt/iso/dir"'
check "others are not" python3 -c '
import errno, os, sys
for call in (lambda: open(sys.argv[1] + "/Upper.txt", "w"),
    lambda: open(sys.argv[1] + "/UPPER.TXT", "w"),
    lambda: os.mkdir(sys.argv[1] + "/DIR2"),
    lambda: open(sys.argv[1] + "/toolongname.conf", "w"),
    lambda: os.mkdir(sys.argv[1] + "/d.x"),
    lambda: os.rename(sys.argv[1] + "/dir", sys.argv[1] + "/a-b")):
    try: call(); assert 0
    except OSError as e: assert e.errno == errno.EINVAL, e
for call in (lambda: os.symlink("x", sys.argv[1] + "/sym"),
    lambda: os.chmod(sys.argv[1] + "/dir", 0o700)):
    try: call(); assert 0
    except OSError as e: assert e.errno == errno.EPERM, e' "$mnt/iso"
umount_at "$mnt"
check "plain: commit" "$relive" commit "$iso" --in-place
check "plain: the bare names are there" eval \
	'isoinfo -i "$iso" -f | grep -qx "/BOOT/NEW.CNF;1"'
check "plain: relive check" "$relive" check "$iso"

# Access control lists, of the part that has them.
make_live
mount_at "$mnt" "$iso" --view all
chmod 755 "$work" "$mnt/root" "$mnt/memroot"
for part in root iso memroot; do
	echo x >"$mnt/$part/acl" && chmod 640 "$mnt/$part/acl"
	chown 0:77 "$mnt/$part/acl"
done
setfacl -m u:1001:r,g::-,m:rw "$mnt/root/acl"
as() { # as UID GID MODE FILE: opens it
	python3 -c '
import os, sys
os.setgroups([])
os.setresgid(*[int(sys.argv[2])] * 3)
os.setresuid(*[int(sys.argv[1])] * 3)
with open(sys.argv[4], sys.argv[3]) as f:
    f.read() if sys.argv[3] == "r" else f.write("x")' "$@" 2>/dev/null
}
check "lists: who is named reads" as 1001 1001 r "$mnt/root/acl"
check "and no more, nor does a group whose bits are the mask" eval \
	'! as 1001 1001 a "$mnt/root/acl" && ! as 1002 77 r "$mnt/root/acl" &&
	! as 1002 1002 r "$mnt/root/acl"'
check "where there are none, the mode counts" eval \
	'for part in iso memroot; do
		as 1002 77 r "$mnt/$part/acl" && ! as 1002 77 a "$mnt/$part/acl" &&
		! as 1001 1001 r "$mnt/$part/acl" &&
		! setfacl -m u:1001:r "$mnt/$part/acl" 2>/dev/null || exit
	done'
check "and the umask, or the default list" eval \
	'mkdir "$mnt/root/given" && setfacl -d -m u:1001:r "$mnt/root/given" &&
	(umask 027 && for dir in root root/given iso memroot; do
		: >"$mnt/$dir/new"; done) && as 1001 1001 r "$mnt/root/given/new" &&
	for part in root iso memroot; do
		[ "$(stat -c %a "$mnt/$part/new")" = 640 ] || exit; done'
umount_at "$mnt"
check "and their parts are sound" "$relive" check "$iso.relive"

# An ISO on a mount whose daemon is stopped: a part that waits for it, and one
# who waits to write to that part, hold up no other part.
make_iso "$work/host.iso" "$work/base.uzip" seed
mount_on_mount "$work/host.iso" --view all
ls -l "$work/inner/root" "$work/inner/iso" >"$work/out"
sync "$work/inner" "$work/host"
echo 3 >/proc/sys/vm/drop_caches
ls -l "$work/inner/iso" "$work/inner/root/boot/kernel" >"$work/out"
kill -STOP "$host_pid"
cat "$work/inner/root/boot/kernel/kernel" >"$work/kernel" &
reader=$!
sleep 0.5
mkdir "$work/inner/root/new" &
writer=$!
sleep 0.5
check "a part that waits for the host holds up no other" eval \
	'timeout -s KILL 20 stat -f "$work/inner/iso" &&
	kill -0 "$reader" && kill -0 "$writer"'
kill -CONT "$host_pid"
wait "$reader" "$writer"
check "and goes on in the end" eval '[ -d "$work/inner/root/new" ] &&
	cmp "$work/kernel" "$work/tree/boot/kernel/kernel"'
umount_at "$work/inner"
umount_at "$work/host"

refuse "what is no ISO has no such view" 1 "is no ISO" \
	"$relive" mount "$work/base.uzip" "$mnt" --view all
end
