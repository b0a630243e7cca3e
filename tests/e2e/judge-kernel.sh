# Sourced: the Linux kernel's own ufs and isofs drivers as judges of our
# images, booted in QEMU.  Nothing is installed: the kernel package is
# downloaded and unpacked under build/.  One boot judges many images.
#
# shellcheck shell=bash disable=SC2034,SC2154 # names shared with lib.sh

kernel_cache=${RELIVE_KERNEL_CACHE:-$top/build/kernel}
kernel_images=() # TYPE=IMAGE, to be judged by the next boot
kernel_why=      # why it cannot run

# Lines that this shell's busybox and the guest's print alike: for every name
# type and mode, links, owner, size, time, device, target; hashes of files.
kernel_manifest_script() {
	cat <<'SH'
find . -path ./.sujournal -prune -o -print0 |
	xargs -0 busybox stat -c '%f|%h|%u:%g|%s|%Y|%t:%T|%N' | sort
find . -type f ! -name .sujournal -print0 | xargs -0 busybox sha256sum | sort
SH
}

# The same manifest of a directory on this host.
kernel_manifest() { # kernel_manifest DIR
	(cd "$1" && LC_ALL=C bash -c "$(kernel_manifest_script)")
}

# The kernel package unpacked, once.
kernel_unpack() {
	local package dir
	ls "$kernel_cache"/x/boot/vmlinuz-* >/dev/null 2>&1 && return
	package=$(apt-cache depends linux-image-amd64 2>/dev/null |
		awk '/Depends: linux-image/ { print $2; exit }')
	[ -n "$package" ] || { kernel_why="apt knows no linux-image-amd64"; return 1; }
	dir=$(mktemp -d "$work/kernel.XXXXXX")
	# only what the guest needs of the 400 MB
	(cd "$dir" && apt-get download "$package" >/dev/null 2>&1 && mkdir x &&
		dpkg-deb --fsys-tarfile "$package"*.deb | tar -x -C x --wildcards \
			'./boot/vmlinuz-*' './lib/modules/*/modules.*' \
			'./lib/modules/*/kernel/fs/*' './lib/modules/*/kernel/lib/*' \
			'./lib/modules/*/kernel/drivers/virtio/*' \
			'./lib/modules/*/kernel/drivers/block/*' \
			'./lib/modules/*/kernel/drivers/cdrom/*') ||
		{ kernel_why="$package could not be downloaded"; return 1; }
	mkdir -p "$kernel_cache"
	# another test may have been faster
	mv -T "$dir/x" "$kernel_cache/x" 2>/dev/null || [ -d "$kernel_cache/x" ]
}

kernel_init() { # the guest's /init
	cat <<'SH'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
while read -r module; do insmod "$module"; done </modules
mkdir /mnt
n=0
for type in $(cat /proc/cmdline); do
	case $type in judge=*) types=${type#judge=} ;; esac
done
for type in $(echo "$types" | tr , ' '); do
	disk=/dev/vd$(printf "\\x$(printf %x $((97 + n)))")
	echo "== $n"
	case $type in
	iso) mount -t iso9660 -o ro $disk /mnt ;;
	*) mount -t ufs -o ro,ufstype=$type $disk /mnt ;;
	esac && (cd /mnt && LC_ALL=C sh /manifest.sh) && umount /mnt
	n=$((n + 1))
done >/out 2>&1
disk=/dev/vd$(printf "\\x$(printf %x $((97 + n)))")
{ printf '%-511d\n' "$(wc -c </out)"; cat /out; } | dd of=$disk bs=64k 2>/dev/null
sync
poweroff -f
SH
}

kernel_initrd() { # kernel_initrd OUT
	local root=$work/initrd version
	version=$(basename "$kernel_cache"/x/boot/vmlinuz-*)
	version=${version#vmlinuz-}
	rm -rf "$root"
	mkdir -p "$root"/{bin,proc,dev,modules.d}
	cp "$(command -v busybox)" "$root/bin/busybox"
	kernel_init >"$root/init"
	kernel_manifest_script >"$root/manifest.sh"
	chmod 755 "$root/init"
	depmod -b "$kernel_cache/x" "$version" 2>/dev/null
	for module in virtio_pci virtio_blk ufs isofs nls_utf8; do
		modprobe -d "$kernel_cache/x" -S "$version" --show-depends "$module"
	done 2>/dev/null | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
		while read -r file; do
			cp "$file" "$root/modules.d/"
			echo "/modules.d/$(basename "$file")"
		done >"$root/modules"
	(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$1"
}

# Whether the judge can work here; kernel_why says why not.
kernel_ready() {
	local p
	for p in qemu-system-x86_64 busybox cpio depmod modprobe apt-get dpkg-deb; do
		command -v "$p" >/dev/null || { kernel_why="no $p"; return 1; }
	done
	kernel_unpack
}

kernel_add() { # kernel_add TYPE IMAGE: 44bsd (UFS1), ufs2 or iso
	kernel_images+=("$1=$2")
}

# Boot once and judge all that was added: their manifests are then in
# $work/kernel.0, kernel.1 ..., in order.
kernel_boot() {
	local -a drives=()
	local image types='' n=0 len out=$work/kernel.disk
	for image in "${kernel_images[@]}"; do
		types=$types${types:+,}${image%%=*}
		drives+=(-drive "file=${image#*=},format=raw,if=virtio,readonly=on")
	done
	truncate -s 64M "$out"
	drives+=(-drive "file=$out,format=raw,if=virtio")
	[ -e "$work/initrd.gz" ] || kernel_initrd "$work/initrd.gz"
	timeout 240 qemu-system-x86_64 -accel tcg -m 512 -nodefaults -no-reboot \
		-display none -serial "file:$work/kernel.log" \
		-kernel "$kernel_cache"/x/boot/vmlinuz-* -initrd "$work/initrd.gz" \
		-append "console=ttyS0 quiet panic=-1 judge=$types" \
		"${drives[@]}" >"$work/qemu.log" 2>&1 || return 1
	len=$(head -c 511 "$out" | tr -dc 0-9)
	[ -n "$len" ] || return 1
	tail -c +513 "$out" | head -c "$len" >"$work/kernel.out"
	for image in "${kernel_images[@]}"; do
		awk -v n="$n" '/^== [0-9]+$/ { on = $2 == n; next } on' \
			"$work/kernel.out" >"$work/kernel.$n"
		n=$((n + 1))
	done
	kernel_images=()
}
