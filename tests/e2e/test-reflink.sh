#!/bin/bash
# Committing on a host file system that shares bytes between files: it does,
# the result is what a commit elsewhere shows, and hardly larger.
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs genisoimage openssl python3 zstd filefrag losetup
host=$work/host
mkdir "$host"

# Text that compresses by a quarter, so that runs are long, in files to edit.
make_tree "$work/tree"
mkdir -p "$work/tree/usr/lib"
for i in {1..24}; do
	openssl enc -aes-128-ctr -pass "pass:$i" -nosalt -in /dev/zero \
		2>/dev/null | head -c 900000 | base64 -w 0 >"$work/tree/usr/lib/$i"
done
make_ufs "$work/image.ufs" "$work/tree" 2 32768 4096

host_up() { # host_up xfs|btrfs
	command -v "mkfs.$1" >/dev/null || { skip "$1" "no mkfs.$1"; return 1; }
	rm -f "$work/disk"
	truncate -s 2G "$work/disk"
	case $1 in
	xfs) mkfs.xfs -q -f -m reflink=1 "$work/disk" ;;
	btrfs) mkfs.btrfs -q -f "$work/disk" ;;
	esac >"$work/log" 2>&1 || { skip "$1" "mkfs.$1 fails"; return 1; }
	mount -o loop "$work/disk" "$host" 2>/dev/null ||
		{ skip "$1" "this kernel does not mount it"; return 1; }
	our_mounts+=("$host")
}

used() { # KB that the host has given out
	sync -f "$host"
	df --output=used "$host" | tail -n 1
}

# Percent of a file's blocks that the host says are another file's too.
shared() { # shared FILE
	sync "$1"
	filefrag -v "$1" | awk '
		$1 ~ /^[0-9]+:$/ { n = $6; sub(":", "", n); all += n
			if (/shared/) s += n }
		END { printf "%d", all ? 100 * s / all : 0 }'
}

edit() { # edit IMAGE SEED
	mount_at "$mnt" "$1"
	echo "line $2" >>"$mnt/usr/lib/3"
	printf 'patch %s' "$2" | dd of="$mnt/usr/lib/11" bs=1 seek=500000 \
		conv=notrunc status=none
	rm -f "$mnt/usr/lib/$((15 + $2))"
	seq "$2" 5000 >"$mnt/usr/new$2"
	manifest "$mnt" >"$work/want"
	umount_at "$mnt"
}

# Its tree by us, its clusters by others.
judge() { # judge WHAT IMAGE UZIP
	check "$1: check" "$relive" check "$2"
	mount_at "$mnt" "$2" -o ro
	manifest "$mnt" >"$work/got"
	umount_at "$mnt"
	same "$1: the tree is the edited one" "$work/want" "$work/got"
	check "$1: kernels would take it" \
		python3 "$top/tests/e2e/uzip_plain.py" "$3" "$work/plain"
	slack=$(cat "$work/out")
	check "$1: and see what we see" sh -c "'$relive' unuzip -q '$3' \
		-o '$work/ours' && cmp '$work/plain' '$work/ours'"
}

not_larger() { # not_larger WHAT FILE PEER
	check "$1" [ $(($(stat -c %s "$2") * 1000)) -le \
		$(($(stat -c %s "$3") * 1005)) ]
}

commits() { # commits FS WHAT KIND [UZIP-OPTION...]
	local what="$1: $2" kind=$3 new=$host/new i before after size
	local base=$host/live.$3 part=$work/part.uzip
	shift 3
	rm -rf "${host:?}"/*
	"$relive" uzip -q "$work/image.ufs" -o "$work/base.uzip" "$@"
	if [ "$kind" = iso ]; then
		make_iso "$base" "$work/base.uzip" plain
	else
		cp "$work/base.uzip" "$base"
	fi
	for i in 1 2 3; do
		edit "$base" "$i"
		before=$(used)
		check "$what: commit $i" "$relive" commit -v "$base" -o "$new"
		grep -q 'bytes: [1-9][0-9]* on disk shared' "$work/out" &&
			pass "$what: it tells what is shared" ||
			fail "$what: it tells what is shared" "$work/out"
		after=$(used)
		size=$(($(stat -c %s "$new") / 1024))
		check "$what: little of $size KB is new on disk: $((after - before))" \
			[ $((after - before)) -lt $((size / 4)) ]
		check "$what: most of it lies where the base does" \
			[ "$(shared "$new")" -gt 80 ]
		part=$new
		if [ "$kind" = iso ]; then
			part=$work/part.uzip
			iso_image "$new" "$part"
		fi
		judge "$what" "$new" "$part"
		[ "$slack" -gt 0 ] && pass "$what: $slack clusters are padded" ||
			fail "$what: nothing is padded"
		check "$what: the same again" sh -c \
			"'$relive' commit -q '$base' -o '$host/again' &&
				cmp '$new' '$host/again'"
		# by what was written anew, at the same settings
		"$relive" uzip -q "$work/ours" -o "$work/whole.uzip" "$@"
		not_larger "$what: as large as all of it anew" "$part" \
			"$work/whole.uzip"
		mv "$new" "$base"
		rm -rf "$base.relive" "$host/again"
	done
	# elsewhere nothing is shared, and nothing padded
	cp "$base" "$work/base.$kind"
	edit "$work/base.$kind" 4
	check "$what: commit elsewhere" "$relive" commit -v "$work/base.$kind" \
		-o "$host/far"
	grep -q 'bytes: 0 on disk.* 0 of padding' \
		"$work/out" && pass "$what: pads nothing" ||
		fail "$what: pads nothing" "$work/out"
	rm -rf "$work/base.$kind" "$work/base.$kind.relive"
}

# The image out of an ISO, by a program that is not ours.
iso_image() { # iso_image ISO OUT
	isoinfo -i "$1" -x '/DATA/BASE_UFS.UZI;1' >"$2"
}

for fs in xfs btrfs; do
	host_up "$fs" || continue
	commits "$fs" "ISO, zlib" iso
	commits "$fs" "zstd, de-duplicated" uzip -A zstd -s 64k -d
	[ "$fs" != xfs ] || commits "$fs" "xz" uzip -A lzma -s 64k -C 1
	[ "$fs" != xfs ] || commits "$fs" "all stored" uzip -Z
	umount "$host"
done
end
