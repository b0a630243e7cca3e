#!/bin/bash
# relive convert --layout: a live ISO in another layout, ours or hand-made, is
# the same system with other settings, each of which is said; what lies beside
# the image stays, label and boot entries too.
# shellcheck disable=SC2016,SC2034 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/live.sh"
need_root
need_fuse
need genisoimage xorriso bsdtar openssl mkfs.fat mcopy

export SOURCE_DATE_EPOCH=1700000000
tree=$work/tree
make_live "$tree"

# The live root of an ISO, as the file says; its settings in $work/settings.
holds() { # holds WHAT LAYOUT ISO WANT
	local root=$mnt
	check "$1: check" "$relive" check "$3"
	if [ "$2" = plain ]; then
		root=$work/root
		rm -rf "$root"
		mkdir "$root"
		check "$1: bsdtar reads it" bsdtar -xpf "$3" -C "$root"
	else
		check "$1: mount" mount_at "$mnt" "$3" --ro
	fi
	contents_of "$root" >"$work/got"
	same "$1: the tree" "$4" "$work/got"
	cat "$root/etc/fstab" "$root/etc/rc.conf" >"$work/settings"
	[ "$2" = plain ] || check "$1: umount" umount_at "$mnt"
	bsdtar -xOf "$3" boot/loader.conf >>"$work/settings"
	bsdtar -tf "$3" | sort >"$work/names"
}

boots() { # boots WHAT ISO LABEL
	xorriso -indev "$2" -report_el_torito plain -pvd_info \
		>"$work/report" 2>&1
	check "$1: by BIOS" grep -Eq \
		'El Torito boot img : +1 +BIOS +y +none' "$work/report"
	check "$1: by UEFI" grep -Eq \
		'El Torito boot img : +2 +UEFI +y +none' "$work/report"
	check "$1: from cdboot" grep -Eq \
		'El Torito img path : +1 +/boot/cdboot' "$work/report"
	check "$1: the label" grep -Eq "Volume (id|Id) *: *'?$3'?$" "$work/report"
}

says() { # says WHAT LINE: in what the last check showed
	check "$1: says '$2'" grep -qF -- "$2" "$work/said"
}

has() { # has WHAT LINE
	check "$1: has $2" grep -qxF -- "$2" "$work/settings"
}

has_not() { # has_not WHAT PATTERN
	check "$1: has no $2" eval '! grep -q "$2" "$work/settings"' "$@"
}

convert() { # convert WHAT ARGUMENT...: also a second time
	local what=$1
	shift
	check "$what" "$relive" convert "$@" -o "$work/new.iso"
	cp "$work/out" "$work/said"
	check "$what: again" "$relive" convert -q -j 1 "$@" -o "$work/again.iso"
	check "$what: the same bytes" cmp "$work/new.iso" "$work/again.iso"
	rm "$work/again.iso"
}

# -- ours, to each other ------------------------------------------------------

contents_of "$tree" >"$work/want"
for layout in plain uzip memroot; do
	"$relive" create -q -o "$work/$layout.iso" --layout "$layout" \
		--label 'My Live' --volume-set Lives --publisher US "$tree" || exit 1
done
device=/dev/iso9660/My%20Live

for from in uzip memroot; do
	convert "$from to plain" "$work/$from.iso" --layout plain
	boots "$from to plain" "$work/new.iso" 'My Live'
	holds "$from to plain" plain "$work/new.iso" "$work/want"
	has "$from to plain" \
		"vfs.root.mountfrom=\"cd9660:$device cd9660:/dev/cd0 cd9660:/dev/acd0\""
	has "$from to plain" 'autoboot_delay="2"'
	has_not "$from to plain" '^init_\|^mfsroot_'
	says "$from to plain" 'boot/loader.conf: without init_chroot="'
	check "$from to plain: no image is left" eval \
		'! grep -q "uzip$\|memroot\|newroot" "$work/names"'
done
says "memroot to plain" 'boot/loader.conf: without mfsroot_load="YES"'
check "volume set and publisher stay" eval \
	'isoinfo -d -i "$work/new.iso" | grep -qx "Volume set id: Lives" &&
	isoinfo -d -i "$work/new.iso" | grep -qx "Publisher id: US"'

for from in plain memroot; do
	convert "$from to uzip" "$work/$from.iso" --layout uzip
	boots "$from to uzip" "$work/new.iso" 'My Live'
	holds "$from to uzip" uzip "$work/new.iso" "$work/want"
	has "$from to uzip" 'init_script="/newroot.rc"'
	has "$from to uzip" 'root_rw_mount="NO"'
	has_not "$from to uzip" '^mfsroot_'
	check "$from to uzip: its script is there" grep -qx newroot.rc "$work/names"
done

for from in plain uzip; do
	convert "$from to memroot" "$work/$from.iso" --layout memroot \
		--label OTHER -A zstd
	boots "$from to memroot" "$work/new.iso" OTHER
	holds "$from to memroot" memroot "$work/new.iso" "$work/want"
	has "$from to memroot" 'mfsroot_type="mfs_root"'
	has "$from to memroot" 'init_script="/baseroot.rc"'
	check "$from to memroot: no old script" eval \
		'! grep -qx newroot.rc "$work/names"'
	check "$from to memroot: zstd" eval \
		'"$relive" info "$work/new.iso" | grep -q zstd'
done

convert "the same layout" "$work/uzip.iso" --layout uzip
says "the same layout" "has this layout"
check "the system area is not made anew" cmp -n 32768 "$work/uzip.iso" \
	"$work/new.iso"
holds "the same layout" uzip "$work/new.iso" "$work/want"

# What was edited goes along.
check "edit: mount" mount_at "$mnt" "$work/uzip.iso"
echo edited >"$mnt/etc/motd"
rm "$mnt/usr/bin/tool7"
touch -d @1700000001 "$mnt/etc/motd" # ISOs know whole seconds only
touch -d @1700000001 "$mnt/etc" "$mnt/usr/bin"
contents_of "$mnt" >"$work/want.edited"
check "edit: umount" umount_at "$mnt"
convert "a session" "$work/uzip.iso.relive" --layout plain
holds "a session" plain "$work/new.iso" "$work/want.edited"
rm -rf "$work/uzip.iso.relive"

# An image alone, and no ISO around it.
check "an image" "$relive" create -q -o "$work/root.ufs" "$tree"
convert "an image" "$work/root.ufs" --layout uzip --label ALONE
boots "an image" "$work/new.iso" ALONE
holds "an image" uzip "$work/new.iso" "$work/want"

# -- hand-made ones -----------------------------------------------------------

# After the recipe: what boots is on the ISO alone, settings there and in the
# live root differ, other files lie beside the image.
make_recipe() { # make_recipe OUT
	local cd=$work/cd root=$work/liveroot
	rm -rf "$cd" "$root"
	cp -a "$tree" "$root"
	mkdir -p "$cd/dev" "$cd/newroot" "$cd/data" "$cd/docs"
	cp -a "$tree/boot" "$tree/rescue" "$cd/"
	rm -rf "$root"/boot/{cdboot,loader,loader.efi,pmbr,isoboot,kernel}
	echo 'beastie_disable="NO"' >"$root/boot/loader.conf"
	gzip -n "$cd/boot/kernel/kernel"
	cat >"$cd/boot/loader.conf" <<'END'
autoboot_delay="2"
init_path="/rescue/init"
init_shell="/rescue/sh"
  init_script="/newroot.rc"
init_chroot="/newroot"
md_load="YES"
md_type="md_image"
md_name="/boot/extra.img"
vfs.root.mountfrom.options="ro"
END
	seq 1 9 >"$cd/boot/extra.img"
	echo 'init_exec="/x"' >"$cd/boot/loader.conf.local"
	echo '#!/bin/sh' >"$cd/newroot.rc"
	echo 12345 >"$cd/data/R.ufs.bytes"
	seq 1 100 >"$cd/docs/README"
	seq 1 200 >"$cd/docs/linked"
	ln "$cd/docs/linked" "$cd/docs/link"
	mkfs.fat -C "$cd/efi.img" 1440 >/dev/null
	mcopy -i "$cd/efi.img" "$tree/boot/loader.efi" ::
	makefs -t ffs -o version=1 "$work/R.ufs" "$root" >/dev/null
	"$relive" uzip -q "$work/R.ufs" -o "$cd/data/R.ufs.uzip"
	genisoimage -quiet -R -l -ldots -allow-lowercase -allow-multidot \
		-V 'By Hand' -no-emul-boot -b boot/cdboot -c boot.catalog \
		-eltorito-alt-boot -e efi.img -no-emul-boot -o "$1" "$cd" 2>/dev/null
	# what the new live root is to be: all that boots comes from the ISO
	cp -a "$cd"/boot/{cdboot,loader,loader.efi,pmbr,isoboot,kernel} "$root/boot/"
	echo >"$root/boot/loader.conf.local"
	contents_of "$root" | grep -v loader.conf.local >"$work/want.hand"
}
make_recipe "$work/hand.iso"

convert "by hand to memroot" "$work/hand.iso" --layout memroot
boots "by hand to memroot" "$work/new.iso" 'By Hand'
check "by hand to memroot: mount" mount_at "$mnt" "$work/new.iso" --ro
contents_of "$mnt" | grep -v loader.conf.local >"$work/got"
same "by hand to memroot: the tree" "$work/want.hand" "$work/got"
check "by hand to memroot: umount" umount_at "$mnt"
bsdtar -xOf "$work/new.iso" boot/loader.conf >"$work/settings"
bsdtar -xOf "$work/new.iso" boot/loader.conf.local >>"$work/settings"
bsdtar -tf "$work/new.iso" | sort >"$work/names"
has "by hand" 'autoboot_delay="2"'
has "by hand" 'init_script="/baseroot.rc"'
has_not "by hand" '^md_\|init_exec\|mountfrom.options\|newroot\|beastie'
says "by hand" 'boot/loader.conf: as on the ISO, not as in the live root'
says "by hand" 'boot/loader.conf: without md_name="/boot/extra.img"'
says "by hand" 'boot/loader.conf.local: without init_exec="/x"'
says "by hand" "'R.ufs.bytes' on the ISO is left out"
says "by hand" '3 files beside the image stay on the ISO'
check "by hand: they do" test \
	"$(bsdtar -xOf "$work/new.iso" docs/README | wc -l)" = 100
check "by hand: as links" test "$(xorriso -indev "$work/new.iso" -find /docs \
	-name 'link*' -exec report_lba -- 2>/dev/null |
	awk -F, '/^File data/ { print $2 }' | sort -u | wc -l)" = 1
check "by hand: and nothing else" eval \
	'! grep -q "R.ufs.uzip\|newroot\|extra.img\|efi.img\|boot.catalog\|bytes" "$work/names"'
check "by hand: the UFS is what it was" eval \
	'"$relive" info "$work/new.iso" | grep -q UFS1'
convert "by hand to plain" "$work/hand.iso" --layout plain
check "by hand to plain: the others are in the tree" eval \
	'[ "$(bsdtar -xOf "$work/new.iso" docs/README | wc -l)" = 100 ]'

# A plain one with its boot records in sight.
cp -a "$tree" "$work/sight"
cp "$work/cd/efi.img" "$work/sight/boot/efi.img"
genisoimage -quiet -R -l -ldots -allow-lowercase -allow-multidot -V SIGHT \
	-no-emul-boot -b boot/cdboot -c boot/boot.catalog -eltorito-alt-boot \
	-e boot/efi.img -no-emul-boot -o "$work/sight.iso" "$work/sight" 2>/dev/null
convert "boot records in sight" "$work/sight.iso" --layout uzip
boots "boot records in sight" "$work/new.iso" SIGHT
# genisoimage makes hard links of rescue/ by their extents only
sed -E 's/^(rescue[^|]*(\|[^|]*){4}\|)[0-9]+/\1N/' "$work/want" >"$work/want.sight"
check "boot records in sight: mount" mount_at "$mnt" "$work/new.iso" --ro
contents_of "$mnt" | sed -E 's/^(rescue[^|]*(\|[^|]*){4}\|)[0-9]+/\1N/' >"$work/got"
same "boot records in sight: gone from the tree" "$work/want.sight" "$work/got"
check "boot records in sight: umount" umount_at "$mnt"

# -- refusals -----------------------------------------------------------------

out=$work/bad.iso
bad() { # bad WHAT STATUS PATTERN ARGUMENT...
	local what=$1 status=$2 pattern=$3
	shift 3
	refuse "$what" "$status" "$pattern" "$relive" convert -q "$@" -o "$out"
	check "$what: no output" test -z \
		"$(find "$work" -maxdepth 1 -name '*bad.iso*')"
}
bad "no such layout" 2 "no layout 'fancy'" "$work/uzip.iso" --layout fancy
bad "options of a layout without one" 2 "go with --layout" "$work/uzip.iso" --trim
bad "a layout and a form" 2 "for ISOs" "$work/uzip.iso" --layout uzip --format gz
refuse "a layout and a name of another form" 2 "asks for another form" \
	"$relive" convert -q "$work/uzip.iso" --layout plain -o "$work/no.ufs.gz"
"$relive" create -q -o "$work/usr.uzip" "$tree/usr"
mkdir -p "$work/part/uzip" "$work/part/boot"
cp "$work/usr.uzip" "$work/part/uzip/"
genisoimage -quiet -R -V PART -o "$work/part.iso" "$work/part" 2>/dev/null
bad "a part of a system" 1 "no whole system" "$work/part.iso" --layout plain
rm "$work/part/uzip/usr.uzip"
head -c 4096 /dev/urandom >"$work/part/boot/loader"
genisoimage -quiet -R -V NONE -o "$work/none.iso" "$work/part" 2>/dev/null
bad "an ISO without a system" 1 "holds no uzip or UFS" "$work/none.iso" --layout uzip
mkdir -p "$work/norescue"
cp -a "$tree/." "$work/norescue/"
rm -r "$work/norescue/rescue"
: >"$work/norescue/sbin/init"
"$relive" create -q -o "$work/norescue.uzip" "$work/norescue"
bad "a system without rescue" 1 "has no 'rescue/init'" "$work/norescue.uzip" \
	--layout memroot
rm "$work/norescue/boot/cdboot"
"$relive" create -q -o "$work/nocdboot.uzip" "$work/norescue"
bad "a system without cdboot" 1 "has no 'boot/cdboot'" "$work/nocdboot.uzip" \
	--layout plain
bad "a label that is too long" 2 "1 to 32 bytes" "$work/uzip.iso" \
	--layout plain --label "$(printf 'L%.0s' {1..33})"
cp "$work/plain.iso" "$work/dir.iso"
python3 - "$work/dir.iso" <<'END'
import sys
with open(sys.argv[1], 'r+b') as f:
    f.seek(16 * 2048 + 156 + 2)
    root = int.from_bytes(f.read(4), 'little') * 2048
    record = 0
    for _ in range(2):  # behind those of the directory and its parent
        f.seek(root + record)
        record += f.read(1)[0]
    f.seek(root + record + 10)
    f.write(b'\xff' * 8)  # the size of the first entry
END
refuse_damage() {
	"$relive" convert -q "$work/dir.iso" --layout uzip -o "$out" 2>"$work/err"
	[ $? = 3 ] && [ -s "$work/err" ] && [ ! -e "$out" ]
}
check "a damaged ISO" refuse_damage
end
