#!/bin/bash
# Real firmware, SeaBIOS and OVMF, starts boot programs of our own from CD and
# from USB, and reads every file of the ISO: of ISOs that were just made, after
# a commit of an edit, and after one that moves what booting needs.  Four boots,
# the ones that prove most; RELIVE_LONG=1 tries all combinations.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/live.sh"
need_root
need_fuse
need qemu-system-x86_64 clang lld-link xorriso bsdtar mformat mcopy python3 \
	openssl sgdisk
[ "$(uname -m)" = x86_64 ] || skip_all "the boot programs are made on amd64"
[ -r /usr/share/OVMF/OVMF_CODE_4M.fd ] || skip_all "no OVMF"
here=$top/tests/e2e/boot
long=${RELIVE_LONG:-}

# -- making -------------------------------------------------------------------

"$here/build" "$work/programs" || exit 1

# A system with our boot programs, and a file that a machine will edit.
make_live "$work/live"
for program in cdboot loader pmbr isoboot loader.efi; do
	cp "$work/programs/boot/$program" "$work/live/boot/$program"
done
printf 'relive boot: before\n' >"$work/live/etc/marked"
seq 1 20000 >>"$work/live/etc/marked"

create() { # create LAYOUT: $work/LAYOUT.iso
	check "create a $1 ISO" "$relive" create -q -o "$work/$1.iso" \
		--layout "$1" --label "LIVE" "$work/live"
}

# The same files on an ISO as FreeBSD's releases are made (formats.md 3.5), but
# with the image before everything else.
make_release() { # make_release OUT ISO IMAGE
	local out=$1 tree=$work/release image=$3
	rm -rf "$tree"
	mkdir "$tree"
	bsdtar -C "$tree" -xpf "$2"
	mkdir "$tree/zzz"
	truncate -s 1440K "$tree/zzz/efi.img"
	mformat -i "$tree/zzz/efi.img" -f 1440 -N 12345678 ::
	mmd -i "$tree/zzz/efi.img" ::/EFI ::/EFI/BOOT
	mcopy -i "$tree/zzz/efi.img" "$tree/boot/loader.efi" \
		::/EFI/BOOT/BOOTX64.EFI
	xorriso -as mkisofs -quiet -R -l -ldots -allow-lowercase \
		-allow-multidot -V LIVE -b boot/cdboot -no-emul-boot \
		-eltorito-alt-boot -e zzz/efi.img -no-emul-boot \
		--sort-weight 100 "$image" -o "$out" "$tree" 2>/dev/null
	"$here/hybrid.py" "$out" "$tree/boot/pmbr" "$tree/boot/isoboot"
}

# A commit after an edit that lets the image grow by some 300 kB.
edit_and_commit() { # edit_and_commit ISO OUT
	mount_at "$mnt" "$1" && noise 300000 edit >"$mnt/usr/bin/edit" &&
		echo edited >"$mnt/etc/edited" && umount_at "$mnt" &&
		"$relive" commit -q "$1" -o "$2" && "$relive" check -q "$2" &&
		[ "$("$relive" cat "$2" /etc/edited)" = edited ]
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

# Made as a release, and after a commit into the middle of it.
try_moved() { # try_moved WAY LAYOUT IMAGE
	local release=$work/$2-release.iso moved=$work/$2-moved.iso file
	make_release "$release" "$work/$2.iso" "$3"
	boots_all - "$release" "$2 as a release"
	check "$2: commit into the middle of it" \
		edit_and_commit "$release" "$moved"
	for file in /boot/loader /boot/cdboot /zzz/efi.img; do
		check "$2: it moves $file" [ "$(lies_at "$release" "$file")" != \
			"$(lies_at "$moved" "$file")" ]
	done
	same "$2: sgdisk finds no other fault than before" \
		<(sgdisk -v "$release" 2>&1 | grep -c 'Problem\|CRC') \
		<(sgdisk -v "$moved" 2>&1 | grep -c 'Problem\|CRC')
	boots_all "$1" "$moved" "$2, moved"
}

# A machine edits: the loader writes to the second disk.
try_machine() { # try_machine ISO
	local out=$work/by-machine.iso
	boots bios-cd "$1" "with a session" --session
	check "the machine edited the session" \
		grep -aq 'disk edited' "$work/console"
	"$relive" cat "$1.relive" /etc/marked | head -n 1 >"$work/got"
	echo 'relive boot: after!' >"$work/want"
	same "the session holds the edit" "$work/want" "$work/got"
	check "it is committed" "$relive" commit -q "$1" -o "$out"
	check "the result is whole" "$relive" check "$out"
	"$relive" cat "$out" /etc/marked | head -n 1 >"$work/got"
	same "and has it" "$work/want" "$work/got"
	boots_all - "$out" "edited by a machine"
}

# -- from plain to what was edited and moved ----------------------------------

create plain
boots_all uefi-cd "$work/plain.iso" "plain"

create uzip
boots_all - "$work/uzip.iso" "uzip"
check "uzip: commit of an edit" \
	edit_and_commit "$work/uzip.iso" "$work/uzip-edited.iso"
boots_all bios-usb "$work/uzip-edited.iso" "uzip, edited"
[ -z "$long" ] || try_moved - uzip /R.ufs.uzip

create memroot
boots_all - "$work/memroot.iso" "memroot"
if [ -n "$long" ]; then
	check "memroot: commit of an edit" \
		edit_and_commit "$work/memroot.iso" "$work/memroot-edited.iso"
	boots_all - "$work/memroot-edited.iso" "memroot, edited"
fi
try_moved uefi-usb memroot /data/base.ufs.uzip
if [ -n "$long" ]; then
	check "memroot: convert" "$relive" convert -q --ufs 1 -A zstd \
		"$work/memroot-moved.iso" -o "$work/memroot-converted.iso"
	boots_all - "$work/memroot-converted.iso" "memroot, converted"
	for layout in plain uzip; do
		check "memroot to $layout" "$relive" convert -q --layout "$layout" \
			"$work/memroot-moved.iso" -o "$work/other.iso"
		boots_all - "$work/other.iso" "memroot to $layout"
	done
fi
try_machine "$work/memroot-moved.iso"
end
