# Sourced behind lib.sh: the tree that is worked on, and images of it.
#
# TREE=DIR        this tree
# BENCH_CACHE=DIR where a tree that was made, and the peers' images, are kept
# MEGABYTES=N     a part of the tree only, to try things
#
# shellcheck shell=bash disable=SC2154 # lib.sh's

keep=${BENCH_CACHE:-$share}
mkdir -p "$keep"

# The whole tree: a given one, one of Debian packages, or what this machine has.
whole_tree() {
	tree=${TREE:-$keep/tree}
	[ -d "$tree" ] && return
	if [ -z "${MEGABYTES:-}" ] && [ "$(id -u)" = 0 ] &&
		command -v debootstrap >/dev/null; then
		"$bench/tree" "$tree" >"$work/log" 2>&1 || fail "tree $tree"
		return
	fi
	tree=/usr
	[ -n "${MEGABYTES:-}" ] || MEGABYTES=1000
}

# Directories of the whole tree until there are enough megabytes.
part_of_tree() {
	local dir have
	while read -r dir; do
		[ -e "$share/part$dir" ] && continue
		mkdir -p "$share/part$(dirname "$dir")"
		cp -a "$tree$dir" "$share/part$dir" 2>/dev/null
		have=$(du -sm "$share/part" | cut -f1)
		[ "$have" -lt "$MEGABYTES" ] || break
	done < <(cd "$tree" && find . -mindepth 1 -maxdepth 3 -xdev -type d |
		sed 's,^\.,,' | grep -E '^(/usr)?/(share|include|bin|lib)/[^/]*$' |
		LC_ALL=C sort)
	tree=$share/part
}

# $tree is the tree to work on; $name tells trees apart.
the_tree() {
	local files mb
	whole_tree
	if [ -d "$share/part" ]; then
		tree=$share/part
	elif [ -n "${MEGABYTES:-}" ]; then
		part_of_tree
	fi
	files=$(find "$tree" | wc -l)
	mb=$(du -sm --apparent-size "$tree" | cut -f1)
	name=$mb-$files
	say "tree: $mb MB, $files files"
}

# A file made once in the run (or, by others' programs, once in the cache).
made() { # made FILE COMMAND...: the command's last argument is the file to be
	local file=$1
	shift
	[ -e "$file" ] && return
	"$@" "$file.part" >"$work/log" 2>&1 || fail "$*"
	mv "$file.part" "$file"
}

# One file of half a gigabyte of programs, alone in a directory.
make_big() {
	local i
	mkdir -p "$1"
	for ((i = 0; i < 64; i++)); do
		find "$tree" -type f -size +50k -exec cat {} +
	done | head -c 512M >"$1/file"
	[ -s "$1/file" ]
}

# That many small files, a hundred in a directory.
make_files() { # make_files COUNT DIR
	mkdir -p "$2"
	seq 0 $((($1 - 1) / 100)) | (cd "$2" && xargs mkdir)
	awk -v n="$1" -v dir="$2" 'BEGIN {
		for (i = 0; i < n; i++) {
			file = dir "/" int(i / 100) "/" i
			print i >file
			close(file)
		}
	}'
}

make_squashfs() {
	mksquashfs "${of:-$tree}" "$1" -comp gzip -quiet -no-progress -noappend
}

make_ext4() {
	truncate -s $(($(du -sm "$tree" | cut -f1) * 3 / 2 + 1500))M "$1" &&
		mkfs.ext4 -q -N 200000 -d "$tree" "$1"
}

# relive's own are anew in each run: the program is what is measured.
# files-N has N small files; sparse-N and tree-N are file systems of N GB with few
# files or with the tree; sparse-N-dedup is of the letters whose index is scanned.
image_of() { # image_of KIND: the file is $image
	local size
	local create=("$relive" create -q --format uzip)
	image=$share/$1.uzip
	case $1 in
	main) made "$image" "${create[@]}" "$tree" -o ;;
	ufs1) made "$image" "${create[@]}" --ufs 1 --block 8192 --frag 1024 \
		"$tree" -o ;;
	more) ;; # reflink made it
	zstd) made "$image" "${create[@]}" -A zstd -s 131072 "$tree" -o ;;
	big)
		made "$share/big" make_big
		made "$image" "${create[@]}" "$share/big" -o
		;;
	big-squashfs)
		image=$share/big.squashfs
		made "$share/big" make_big
		of=$share/big made "$image" make_squashfs
		;;
	files-*)
		made "$share/$1" make_files "${1#*-}"
		made "$image" "${create[@]}" "$share/$1" -o
		;;
	sparse-*-dedup)
		made "$share/little" make_files 1000
		size=${1#*-}
		made "$image" "${create[@]}" -d --size "${size%-*}G" \
			"$share/little" -o
		;;
	sparse-*)
		made "$share/little" make_files 1000
		made "$image" "${create[@]}" --size "${1#*-}G" "$share/little" -o
		;;
	tree-*) made "$image" "${create[@]}" --size "${1#*-}G" "$tree" -o ;;
	squashfs)
		image=$keep/$name.squashfs
		made "$image" make_squashfs
		;;
	ext4)
		image=$keep/$name.ext4
		made "$image" make_ext4
		;;
	esac
}
