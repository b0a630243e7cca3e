#!/bin/sh
# Whether other programs see the same equipment and the same files on two
# ISOs, but for one file (its name on the ISO may be changed by Joliet or
# plain names) that has the bytes of IMAGE in the new one.
#
# usage: iso_same.sh OLD NEW IMAGE NAME     in a scratch directory
old=$1 new=$2 image=$3 name=$4
bad=0

# Boot equipment without the addresses, which may change.
report() {
	xorriso -indev "$1" -report_el_torito plain \
		-report_system_area plain 2>report.log |
		sed -E -e '/ISO image size/d' -e '/GPT lba range/d' \
			-e '/El Torito catalog/d' -e '/img blks/d' \
			-e '/APM start/d' -e '/APM partition path/d' -e '/System area options/d' \
			-e 's/cyl-align-[a-z]* ?//' \
			-e '/El Torito boot img/s/ [0-9]+$//' \
			-e '/MBR partition  /s/ +[0-9]+ +[0-9]+$//' \
			-e '/GPT start and size/s/:( +[0-9]+) .*/:\1/' \
			-e 's/ *$//'
	sgdisk -v "$1" 2>&1 | grep -c -e Problem -e Warning
}

# The files; a boot catalog and boot images with a table hold addresses.
unpack() {
	mkdir "$2" || return
	bsdtar -C "$2" -xf "$1" 2>tar.log ||
		xorriso -osirrox on -indev "$1" -extract / "$2" 2>tar.log ||
		cat tar.log
	chmod -R u+rwx "$2"
	# One inode, but two copies of the data, by some programs.
	find "$2" -iname 'zlinked*' -delete
	find "$2" -iname 'boot.cat*' -delete
	find "$2" -iname 'isolinux.bin*' | while read -r file; do
		for at in 8 2548; do
			head -c 16 /dev/zero | dd of="$file" bs=1 seek=$at \
				conv=notrunc 2>dd.log
		done
	done
}

report "$old" >report.old
report "$new" >report.new
diff report.old report.new || bad=1
rm -rf unpacked.old unpacked.new
unpack "$old" unpacked.old || bad=1
unpack "$new" unpacked.new || bad=1
file=$(find unpacked.old -ipath "unpacked.old/$name*")
find unpacked.old -samefile "$file" >links
while read -r link; do
	cp --remove-destination "$image" "$link" || bad=1
done <links
diff -r --no-dereference unpacked.old unpacked.new || bad=1
rm -rf unpacked.old unpacked.new
exit $bad
