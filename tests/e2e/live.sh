# Sourced: makes trees shaped like a FreeBSD system that can go live.  The boot
# programs are stand-ins: of the right kind and size, but they start nothing.
#
# shellcheck shell=bash

noise() { # noise BYTES SEED: the same bytes each time
	openssl enc -aes-128-ctr -pass "pass:$2" -nosalt -in /dev/zero \
		2>/dev/null | head -c "$1"
}

# A file that says it is an EFI program for machine (4 hexadecimal digits).
make_efi() { # make_efi FILE MACHINE
	{
		printf 'MZ'
		head -c 58 /dev/zero
		printf '\x80\0\0\0'
		head -c 64 /dev/zero
		printf 'PE\0\0'
		# shellcheck disable=SC2059 # the machine, little-endian
		printf "\\x${2:2:2}\\x${2:0:2}"
		noise 300000 efi
	} >"$1"
}

make_live() { # make_live DIR
	local dir=$1 i
	mkdir -p "$dir"/{bin,boot/{kernel,defaults,lua,modules},dev,etc/rc.d,rescue,sbin,tmp,usr/bin,var/db}
	{
		noise 1000 cdboot
		printf '\x55\xaa'
	} >"$dir/boot/cdboot"
	noise 400000 loader >"$dir/boot/loader"
	make_efi "$dir/boot/loader.efi" 8664
	noise 440 pmbr >"$dir/boot/pmbr"
	printf '\0%.0s' {1..70} >>"$dir/boot/pmbr"
	printf '\x55\xaa' >>"$dir/boot/pmbr"
	noise 13000 isoboot >"$dir/boot/isoboot"
	seq 1 200000 >"$dir/boot/kernel/kernel"
	for i in geom_uzip unionfs nullfs zlib snd_hda; do
		noise 20000 "$i" >"$dir/boot/kernel/$i.ko"
	done
	echo 'loader_conf_files="/boot/loader.conf /boot/loader.conf.local"' \
		>"$dir/boot/defaults/loader.conf"
	printf '# local settings\nautoboot_delay="2"\n' >"$dir/boot/loader.conf"
	echo 'print("beastie")' >"$dir/boot/lua/loader.lua"
	noise 600000 rescue >"$dir/rescue/sh"
	for i in init mount mount_{cd9660,nullfs,unionfs} mdconfig mdmfs newfs \
		kenv mkdir sleep ls cat; do
		ln "$dir/rescue/sh" "$dir/rescue/$i"
	done
	chmod 555 "$dir"/rescue/*
	cat >"$dir/etc/fstab" <<'END'
# Device	Mountpoint	FStype	Options	Dump	Pass#
/dev/ada0p2	/	ufs	rw	1	1
/dev/ada0p3	none	swap	sw	0	0
tmpfs	/tmp	tmpfs	rw	0	0
/dev/da0s1	/mnt	msdosfs	rw,noauto	0	0
END
	printf 'hostname="live"\nroot_rw_mount="YES"\n' >"$dir/etc/rc.conf"
	echo '#!/bin/sh' >"$dir/etc/rc"
	chmod 755 "$dir/etc/rc"
	for i in $(seq 1 40); do
		seq "$i" $((i * 211)) >"$dir/usr/bin/tool$i"
	done
	noise 300000 libc >"$dir/usr/bin/noise"
	ln -s ../etc/rc.conf "$dir/usr/rc.conf"
	truncate -s 5M "$dir/var/db/sparse"
	printf 'end' >>"$dir/var/db/sparse"
	chmod 1777 "$dir/tmp"
	find "$dir" -exec touch -h -d @1700000000 {} +
}

# What must arrive, whatever the layout: all but settings and mount points.
contents_of() { # contents_of DIR
	(
		cd "$1" || exit
		find . ! -path ./etc/fstab ! -path ./etc/rc.conf \
			! -path ./boot/loader.conf ! -path ./cdrom ! -path . \
			\( -type f -printf '%P|%y|%m|%U:%G|%s|%n|%T@\n' -o \
			-printf '%P|%y|%m|%U:%G|%l\n' \) | LC_ALL=C sort
		find . -type f ! -path ./etc/fstab ! -path ./etc/rc.conf \
			! -path ./boot/loader.conf -print0 | LC_ALL=C sort -z |
			xargs -0 sha256sum
	)
}
