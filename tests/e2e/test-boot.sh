#!/bin/bash
# Real firmware, SeaBIOS and OVMF, starts boot programs of our own from CD and
# from USB, and reads every file of the ISO: of ISOs that were just made, after
# a commit of an edit, and after one that moves what booting needs.  Four boots,
# the ones that prove most; RELIVE_LONG=1 tries all combinations.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need qemu-system-x86_64 clang lld-link xorriso bsdtar makefs mformat mcopy \
	python3
[ -r /usr/share/OVMF/OVMF_CODE_4M.fd ] || skip_all "no OVMF"
here=$top/tests/e2e/boot
long=${RELIVE_LONG:-}

# -- making -------------------------------------------------------------------

"$here/build" "$work/programs" || exit 1
programs=$work/programs/boot

# Something like a system, and in it the file that a machine will edit.
make_live() { # make_live DIR
	mkdir -p "$1"/{bin,etc,usr/share}
	printf 'relive boot: before\n' >"$1/etc/marked"
	seq 1 20000 >>"$1/etc/marked"
	seq 1 50000 >"$1/usr/share/words"
	echo 'root_rw_mount="NO"' >"$1/etc/rc.conf"
}

# As FreeBSD's releases are made (formats.md 3.5), from a tree with the boot
# programs in it; IMAGE, a path in the tree, lies before everything else.
make_release() { # make_release OUT TREE IMAGE
	local out=$1 tree=$2 image=$3
	mkdir -p "$tree/zzz"
	truncate -s 1440K "$tree/zzz/efi.img"
	mformat -i "$tree/zzz/efi.img" -f 1440 -N 12345678 ::
	mmd -i "$tree/zzz/efi.img" ::/EFI ::/EFI/BOOT
	mcopy -i "$tree/zzz/efi.img" "$tree/boot/loader.efi" \
		::/EFI/BOOT/BOOTX64.EFI
	xorriso -as mkisofs -quiet -R -l -ldots -allow-lowercase \
		-allow-multidot -V RELEASE -b boot/cdboot -no-emul-boot \
		-eltorito-alt-boot -e zzz/efi.img -no-emul-boot \
		--sort-weight 100 "/$image" -o "$out" "$tree" 2>/dev/null
	"$here/hybrid.py" "$out" "$tree/boot/pmbr" "$tree/boot/isoboot"
}

# A commit after an edit that lets the image grow by some 300 kB.
edit_and_commit() { # edit_and_commit ISO INNER OUT
	mount_at "$mnt" "$1:$2" --session "$work/session" &&
		openssl enc -aes-128-ctr -pass pass:x -nosalt -in /dev/zero \
			2>/dev/null | head -c 300000 >"$mnt/usr/share/noise" &&
		echo edited >"$mnt/etc/edited" &&
		umount_at "$mnt" &&
		"$relive" commit -q "$1:$2" --session "$work/session" -o "$3" &&
		"$relive" check -q "$3" &&
		[ "$("$relive" cat "$3:$2" /etc/edited)" = edited ]
	local rc=$?
	rm -rf "$work/session"
	return "$rc"
}

# -- judging ------------------------------------------------------------------

# Every file of the ISO as libarchive reads it.
expect_files() { # expect_files ISO
	rm -rf "$work/unpacked"
	mkdir "$work/unpacked"
	bsdtar -C "$work/unpacked" -xf "$1" &&
		"$here/manifest.py" "$work/unpacked" |
		grep -v ' /boot\.catalog$' | LC_ALL=C sort >"$work/want"
	grep -q ' /boot/loader$' "$work/want" || fail "$1 can be unpacked"
	chmod -R u+w "$work/unpacked"
}

# The chain of programs that a way of booting starts.
chain() { # chain WAY
	case $1 in
	bios-cd) echo cdboot loader ;;
	bios-usb) echo pmbr isoboot loader ;;
	uefi-*) echo loader.efi ;;
	esac
}

# Boot that way: each program of the chain speaks, and every file read through
# the firmware is what it is.
boots() { # boots WAY ISO WHAT [OPTION...]
	local way=$1 iso=$2 what="$3, $1" program log=$work/console
	local -a options=(--accel tcg --timeout 120 --serial-log "$log")
	shift 3
	case $way in uefi-*) options+=(--uefi) ;; esac
	case $way in *-usb) options+=(--usb) ;; esac
	expect_files "$iso"
	check "$what: runs to its end" "$relive" boot "${options[@]}" "$@" \
		--expect 'the end' "$iso"
	for program in $(chain "$way"); do
		check "$what: $program" grep -aq "$program: started" "$log"
	done
	tr -d '\r' <"$log" | grep -aE '^[0-9a-f]{8} [0-9]+ /' |
		grep -v ' /boot\.catalog$' | LC_ALL=C sort >"$work/got"
	same "$what: every file through the firmware" "$work/want" "$work/got"
}

# In the long run all ways; else the given one, or none.
boots_all() { # boots_all WAY ISO WHAT
	local way
	if [ -n "$long" ]; then
		for way in bios-cd bios-usb uefi-cd uefi-usb; do
			boots "$way" "$2" "$3"
		done
	elif [ "$1" != - ]; then
		boots "$1" "$2" "$3"
	fi
}

lies_at() { # lies_at ISO PATH: its address
	xorriso -indev "$1" -find "$2" -exec report_lba 2>/dev/null |
		awk '/^File data/ { print $6 }'
}

# -- an ISO as FreeBSD makes it -----------------------------------------------

make_live "$work/live"
make_ufs "$work/base.ufs" "$work/live" 2 16384 2048 -b 10%
mkdir -p "$work/tree/data"
cp -a "$programs" "$work/tree/boot"
"$relive" uzip -q "$work/base.ufs" -o "$work/tree/data/base.ufs.uzip"
seq 1 30000 >"$work/tree/data/long.name.with.many.dots.and_UPPER.case"
release=$work/release.iso
make_release "$release" "$work/tree" data/base.ufs.uzip
boots_all - "$release" "as a release"

moved=$work/moved.iso
check "commit into the middle of it" \
	edit_and_commit "$release" /data/base.ufs.uzip "$moved"
for file in /boot/loader /boot/cdboot /zzz/efi.img; do
	check "it moves $file" [ "$(lies_at "$release" "$file")" != \
		"$(lies_at "$moved" "$file")" ]
done
check "sgdisk finds no other fault than before" diff \
	<(sgdisk -v "$release" 2>&1 | grep -c 'Problem\|CRC') \
	<(sgdisk -v "$moved" 2>&1 | grep -c 'Problem\|CRC')
boots_all uefi-usb "$moved" "moved"

# On this one a machine edits: the loader writes to the second disk.
boots bios-cd "$moved" "moved, with its session" --session
check "the machine edited the session" grep -aq 'disk edited' "$work/console"
"$relive" cat "$moved.relive" /etc/marked | head -n 1 >"$work/got"
echo 'relive boot: after!' >"$work/want"
same "the session holds the edit" "$work/want" "$work/got"
check "the edit is committed" \
	"$relive" commit -q "$moved" -o "$work/by-machine.iso"
check "and the result is whole" "$relive" check "$work/by-machine.iso"
"$relive" cat "$work/by-machine.iso" /etc/marked | head -n 1 >"$work/got"
same "it has the edit" "$work/want" "$work/got"
boots_all - "$work/by-machine.iso" "edited by a machine"
end
