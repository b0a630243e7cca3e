# Sourced behind workload.sh: ISOs of the images, and edits to commit.
#
# shellcheck shell=bash disable=SC2154 # lib.sh's

bytes_ratio() { # bytes_ratio FILE PEER-FILE
	awk -v a="$(stat -c %s "$1")" -v b="$(stat -c %s "$2")" \
		'BEGIN { printf "%.5f", a / b }'
}

iso_of() { # iso_of KIND [FILE]: an ISO with that image; $work/KIND.iso
	local file=${2:-$work/$1.iso}
	image_of "$1"
	mkdir "$work/stage"
	ln "$image" "$work/stage/base.ufs.uzip" 2>/dev/null ||
		cp "$image" "$work/stage/base.ufs.uzip"
	xorriso -as mkisofs -quiet -R -o "$file" "$work/stage" \
		>"$work/log" 2>&1 || fail "iso $1"
	rm -rf "$work/stage"
}

# Append a line to that many files.
touch_files() { # touch_files IMAGE COUNT
	"$relive" mount "$1" "$mnt" || fail "mount $1"
	find "$mnt" -type f 2>/dev/null | head -n "$2" |
		while read -r f; do echo edited >>"$f"; done
	"$relive" umount "$mnt" || fail "umount $1"
}

# What a commit will do, as relive tells: 'dirty N', 'freed N', 'clean N'.
clusters_of() { # clusters_of IMAGE
	"$relive" status --json "$1" |
		sed -n 's/.*"clusters_\([a-z]*\)":\([0-9]*\).*/\1 \2/p'
}
