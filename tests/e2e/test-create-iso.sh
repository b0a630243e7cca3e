#!/bin/bash
# relive create makes bootable ISOs in each layout: xorriso, bsdtar and our own
# readers agree on what is on them, and they can be mounted, edited, committed.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/live.sh"
need_root
need_fuse
need xorriso bsdtar openssl gzip

export SOURCE_DATE_EPOCH=1700000000
tree=$work/tree
make_live "$tree"

contents_of "$tree" >"$work/want"

iso_file() { # iso_file ISO PATH: its bytes
	bsdtar -xOf "$1" "$2"
}

boot_records() { # boot_records WHAT ISO
	xorriso -indev "$2" -report_el_torito plain -report_system_area plain \
		>"$work/report" 2>/dev/null
	check "$1: a BIOS entry without emulation" \
		grep -Eq 'El Torito boot img : +1 +BIOS +y +none' "$work/report"
	check "$1: a UEFI entry" \
		grep -Eq 'El Torito boot img : +2 +UEFI +y +none' "$work/report"
	check "$1: cdboot is the boot image" \
		grep -Eq 'El Torito img path : +1 +/boot/cdboot' "$work/report"
	check "$1: BIOS from USB: a freebsd-boot partition" \
		grep -Eq 'GPT type GUID +: +1 +9d6bbd83' "$work/report"
	check "$1: UEFI from USB: an efi partition" \
		grep -Eq 'GPT type GUID +: +2 +28732ac1' "$work/report"
	check "$1: check" "$relive" check "$2"
	check "$1: the label" grep -q "Volume id *: *'LIVE'" \
		<(xorriso -indev "$2" -pvd_info 2>&1)
}

assigns() { # assigns WHAT FILE LINE
	check "$1: $3" grep -qxF -- "$3" "$2"
}

# The live root of an ISO, as a directory $root.
show_root() { # show_root WHAT LAYOUT ISO
	root=$mnt
	if [ "$2" = plain ]; then
		root=$work/root
		mkdir "$root"
		check "$1: bsdtar reads the tree" bsdtar -xpf "$3" -C "$root"
	else
		check "$1: mount" mount_at "$mnt" "$3" --ro
	fi
}

hide_root() { # hide_root WHAT LAYOUT ISO
	if [ "$2" = plain ]; then
		rm -rf "$root"
	else
		check "$1: umount" umount_at "$mnt"
		rm -rf "$3.relive"
	fi
}

# Files for which the root directory of the ISO's own tree has no room.
grow_root() { # grow_root WHAT ISO
	check "$1: its own tree can be edited" mount_at "$mnt" "$2" --view all
	(cd "$mnt/iso" && seq -f file%g 90 | xargs touch)
	umount_at "$mnt"
	check "$1: commit" "$relive" commit "$2" -o "$work/more.iso"
	check "$1: bsdtar reads it when the root has outgrown its place" \
		test "$(bsdtar -tf "$work/more.iso" | grep -c "^file")" = 90
	check "$1: create too" \
		"$relive" create -q -o "$work/more.ufs" "$work/more.iso"
	rm -r "$work/more".* "$2.relive"
}

tab=$(printf '\t')
for layout in plain uzip memroot; do
	iso=$work/$layout.iso
	check "$layout: create" "$relive" create -o "$iso" --layout "$layout" "$tree"
	cp "$work/out" "$work/said"
	boot_records "$layout" "$iso"
	iso_file "$iso" boot/loader.conf >"$work/loader.conf"
	assigns "$layout" "$work/loader.conf" 'autoboot_delay="2"'
	check "$layout: changes are said" \
		grep -q 'etc/fstab: now a comment: /dev/ada0p2' "$work/said"
	check "$layout: those of rc.conf too" \
		grep -q 'etc/rc.conf: root_rw_mount="NO" (was "YES")' "$work/said"
	cat "$work/said" >>"$work/sizes"
	check "$layout: sizes are said" grep -Eq "as $layout .*this ISO" "$work/said"
	show_root "$layout" "$layout" "$iso"
	contents_of "$root" >"$work/got"
	same "$layout: the tree" "$work/want" "$work/got"
	assigns "$layout" "$root/etc/rc.conf" 'root_rw_mount="NO"'
	assigns "$layout" "$root/etc/fstab" \
		"#/dev/ada0p2$tab/${tab}ufs${tab}rw${tab}1${tab}1"
	assigns "$layout" "$root/etc/fstab" "tmpfs$tab/tmp${tab}tmpfs${tab}rw${tab}0${tab}0"
	check "$layout: none for the root, which mount -a would refuse" \
		eval '! grep "^[^#].*[[:space:]]/[[:space:]]" "$root/etc/fstab"'
	hide_root "$layout" "$layout" "$iso"
	check "$layout: again" "$relive" create -q -o "$work/again.iso" \
		--layout "$layout" "$tree"
	check "$layout: gives the same bytes" cmp "$iso" "$work/again.iso"
	rm -f "$work/again.iso"
	[ "$layout" = plain ] || grow_root "$layout" "$iso"

	case $layout in
	plain)
		assigns plain "$work/loader.conf" 'boot_cdrom="YES"'
		assigns plain "$work/loader.conf" 'vfs.root.mountfrom="cd9660:/dev/iso9660/LIVE cd9660:/dev/cd0 cd9660:/dev/acd0"'
		;;
	uzip)
		assigns uzip "$work/loader.conf" 'init_script="/newroot.rc"'
		assigns uzip "$work/loader.conf" 'init_chroot="/newroot"'
		assigns uzip "$work/loader.conf" 'geom_uzip_load="YES"'
		iso_file "$iso" newroot.rc >"$work/script"
		same "uzip: its script" "$top/mkimage/newroot.rc" "$work/script"
		check "uzip: links of rescue share one extent" test \
			"$(xorriso -indev "$iso" -find /rescue -type f -exec report_lba -- \
				2>/dev/null | awk -F, '/^File data/ { print $2 }' | sort -u | wc -l)" = 1
		;;
	memroot)
		assigns memroot "$work/loader.conf" 'mfsroot_name="/boot/memroot.ufs"'
		assigns memroot "$work/loader.conf" 'vfs.root.mountfrom="ufs:/dev/md0"'
		iso_file "$iso" boot/memroot.ufs.gz >"$work/memroot.ufs.gz"
		check "memroot: gzip inflates it" gzip -dk "$work/memroot.ufs.gz"
		check "memroot: check of the memory root" "$relive" check "$work/memroot.ufs"
		"$relive" cat "$work/memroot.ufs" /baseroot.rc >"$work/script"
		assigns memroot "$work/script" \
			'devices="/dev/iso9660/LIVE /dev/cd0 /dev/acd0"'
		check "memroot: sh reads its script" sh -n "$work/script"
		check "memroot: all of rescue is there" test \
			"$("$relive" ls "$work/memroot.ufs" /rescue | wc -l)" = 14
		;;
	esac
done

# What one layout says of another one is right within a tenth.
awk '/as (plain|uzip|memroot)/ {
	n = $4 * ($5 == "MB" ? 1000 : 1)
	if (/this ISO/) real[$3] = n; else guess[$3] = guess[$3] " " n
} END {
	for (layout in real) {
		n = split(guess[layout], g, " ")
		if (n != 2) print layout, n, "guesses"
		for (i = 1; i <= n; i++)
			if (g[i] < real[layout] * .9 || g[i] > real[layout] * 1.1)
				print layout, real[layout], g[i]
	}
}' "$work/sizes" >"$work/wrong"
same "sizes of the other layouts are about right" /dev/null "$work/wrong"

# -- and on it goes: edit, commit ---------------------------------------------

for layout in uzip memroot; do
	iso=$work/$layout.iso
	check "$layout: mount to edit" mount_at "$mnt" "$iso"
	noise 5000000 edit >"$mnt/usr/bin/noise"
	rm "$mnt/usr/bin/tool7"
	check "$layout: umount" umount_at "$mnt"
	check "$layout: commit" "$relive" commit -q "$iso" -o "$work/new.iso"
	boot_records "$layout, committed" "$work/new.iso"
	check "$layout: the edit is in it" cmp <(noise 5000000 edit) \
		<("$relive" cat "$work/new.iso" /usr/bin/noise)
	check "$layout: boot files stay" cmp <(iso_file "$iso" boot/loader) \
		<(iso_file "$work/new.iso" boot/loader)
	rm -rf "$work/new.iso" "$iso.relive"
done

# -- options ------------------------------------------------------------------

check "all options" "$relive" create -q -o "$work/all.iso" --layout uzip \
	--label 'My FreeBSD' --volume-set 'My FreeBSDs' --publisher 'Us, & others' --ufs 1 \
	-A zstd -s 64k --free 20% --gzip-kernel --trim --archive base.txz "$tree"
xorriso -indev "$work/all.iso" -pvd_info >"$work/pvd" 2>&1
check "the volume's label" grep -q "'My FreeBSD'" "$work/pvd"
check "the volume set" grep -q "My FreeBSDs" "$work/pvd"
check "the publisher as given" grep -q "Us, & others" "$work/pvd"
iso_file "$work/all.iso" boot/loader.conf >"$work/loader.conf"
check "the label as the kernel spells it" \
	grep -q 'mountfrom="cd9660:/dev/iso9660/My%20FreeBSD ' "$work/loader.conf"
check "the kernel, smaller" cmp "$tree/boot/kernel/kernel" \
	<(iso_file "$work/all.iso" boot/kernel/kernel.gz | gzip -dc)
check "a plain one would win" \
	sh -c "! bsdtar -tf '$work/all.iso' | grep -x boot/kernel/kernel"
bsdtar -tf "$work/all.iso" >"$work/names"
check "a module that the loader loads" grep -qx boot/kernel/geom_uzip.ko "$work/names"
check "no other one" test "$(grep -c '\.ko$' "$work/names")" = 1
check "the image keeps them" "$relive" ls "$work/all.iso" /boot/kernel/snd_hda.ko
check "and its kernel" "$relive" ls "$work/all.iso" /boot/kernel/kernel
"$relive" info "$work/all.iso" >"$work/info"
check "UFS1 in a zstd uzip" grep -Eqi 'zstd' "$work/info"
mkdir "$work/untar"
iso_file "$work/all.iso" base.txz | tar -xJp -C "$work/untar"
check "the archive holds the tree" cmp "$tree/usr/bin/noise" "$work/untar/usr/bin/noise"
mkdir -p "$work/over/etc"
echo 'hostname="over"' >"$work/over/etc/rc.conf.local"
check "an archive of one source" "$relive" create -q -o "$work/part.iso" \
	--archive "over.tgz=$work/over" "$tree" "$work/over"
check "holds it alone" test "$(iso_file "$work/part.iso" over.tgz | tar -tz | grep -c .)" -lt 5
check "no tweaks" "$relive" create -q -o "$work/raw.iso" --layout plain \
	--no-tweak "$tree"
check "leave fstab alone" cmp "$tree/etc/fstab" <(iso_file "$work/raw.iso" etc/fstab)
check "and loader.conf" cmp "$tree/boot/loader.conf" \
	<(iso_file "$work/raw.iso" boot/loader.conf)

# What the tree has in places that a layout, or the loader, gives a meaning.
other=$work/other
cp -a "$tree" "$other"
mv "$other/boot/kernel" "$other/boot/MINE"
echo 'kernel="MINE"' >>"$other/boot/loader.conf"
echo stale >"$other/boot/memroot.ufs"
check "another kernel, an old memory root" "$relive" create -q \
	-o "$work/other.iso" --layout memroot --gzip-kernel --trim "$other"
bsdtar -tf "$work/other.iso" >"$work/names"
check "that kernel, smaller" cmp "$other/boot/MINE/kernel" \
	<(iso_file "$work/other.iso" boot/MINE/kernel.gz | gzip -dc)
check "no plain one" sh -c "! grep -x boot/MINE/kernel '$work/names'"
check "its modules" grep -qx boot/MINE/unionfs.ko "$work/names"
check "the old memory root would win" \
	sh -c "! grep -x boot/memroot.ufs '$work/names'"
rm -rf "$other"

# -- what cannot be -----------------------------------------------------------

none() { # none FILE: it must not be there, nor what it was written as
	check "nothing is left" test -z "$(find "$work" -maxdepth 1 \
		\( -name "$(basename "$1")" -o -name '.*relive*' \))"
}
bad=$work/bad.iso
mv "$tree/boot/cdboot" "$work/cdboot"
refuse "no cdboot" 1 "no 'boot/cdboot'" "$relive" create -q -o "$bad" "$tree"
none "$bad"
mv "$work/cdboot" "$tree/boot/cdboot"
refuse "a label too long" 2 "label.*32 bytes" "$relive" create -q -o "$bad" \
	--label 123456789012345678901234567890123 "$tree"
none "$bad"
# shellcheck disable=SC2016 # nothing to expand
refuse "a label that the shell would expand" 2 'one of' "$relive" create -q \
	-o "$bad" --label 'a$HOME' "$tree"
none "$bad"
tar -cf "$work/whole.tar" -C "$tree" .
head -c 3000000 "$work/whole.tar" >"$work/cut.tar"
refuse "an archive cut short" 1 "cut.tar" "$relive" create -q -o "$bad" "$work/cut.tar"
none "$bad"
tar -cf "$work/out.tar" -P --transform 's,^etc/rc$,../../escaped,' -C "$tree" etc/rc
refuse "a path out of the tree" 1 "escaped" "$relive" create -q -o "$bad" \
	"$tree" "$work/out.tar"
none "$bad"
truncate -s 4G "$tree/usr/huge"
refuse "a file of 4 GiB on an ISO" 1 "huge.*4 GiB" \
	"$relive" create -q -o "$bad" --layout plain "$tree"
none "$bad"
rm "$tree/usr/huge"
refuse "no layout of that name" 2 "no layout 'grub'" "$relive" create \
	-o "$bad" --layout grub "$tree"
for end in uzip ufs ufs.gz; do
	refuse "a layout and a name in .$end" 2 "asks for another form" \
		"$relive" create -o "$work/x.$end" --layout uzip "$tree"
	none "$work/x.$end"
done
for wish in -A=zstd -C=9 -s=64k -L -d -Z; do
	# shellcheck disable=SC2086 # two words
	refuse "${wish%=*} in the plain layout" 2 "are for uzips" "$relive" \
		create -o "$bad" --layout plain ${wish/=/ } "$tree"
done
refuse "an option for ISOs alone" 2 "for ISOs" "$relive" create \
	-o "$work/x.ufs" --trim "$tree"
mkdir "$work/small"
check "a small disk" mount -t tmpfs -o size=2m none "$work/small"
our_mounts+=("$work/small")
for layout in plain uzip memroot; do
	refuse "$layout: a full disk" 1 "No space left" "$relive" create -q \
		-o "$work/small/x.iso" --layout "$layout" "$tree"
	check "$layout: nothing is left on it" test -z "$(ls -A "$work/small")"
done
end
