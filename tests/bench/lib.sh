# Sourced by the benchmarks: a place to work, a tree, measuring, telling.  Every
# figure stands beside its peer's of the same run, measured in turn.
#
# shellcheck shell=bash

set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
relive=$top/relive
want=${MEGABYTES:-1100} # of the tree, at least
# shellcheck disable=SC2034 # used by those that source this
runs=${RUNS:-5}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/relive-bench.XXXXXX")
mnt=$work/mnt
out=${OUT:-$top/build/bench.txt}
mkdir -p "$mnt" "$top/build"
trap 'mountpoint -q "$mnt" && "$relive" umount "$mnt"; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

say() {
	echo "$*" | tee -a "$out"
}

# A tree of at least that many megabytes out of this machine's own files.
make_tree() {
	local have=0 dir
	mkdir "$work/tree"
	for dir in ${BENCH_DIRS:-/usr/share /usr/include /usr/bin /usr/lib/*}; do
		[ -d "$dir" ] && [ ! -L "$dir" ] || continue
		[ -e "$work/tree$dir" ] && continue
		mkdir -p "$work/tree$(dirname "$dir")"
		cp -a "$dir" "$work/tree$dir"
		have=$(du -sm "$work/tree" | cut -f1)
		[ "$have" -lt "$want" ] || break
	done
	say "tree: $have MB, $(find "$work/tree" | wc -l) files"
}

# Run a command; one line "wall cpu peak-KB" goes to the file.
measure() { # measure FILE COMMAND...
	local file=$1
	shift
	/usr/bin/time -o "$work/time" -f '%e %U %S %M' "$@" \
		>"$work/log" 2>&1 || {
		echo "failed: $*"
		cat "$work/log"
		exit 1
	}
	awk '{ printf "%.2f %.2f %d\n", $1, $2 + $3, $4 }' "$work/time" \
		>>"$file"
}

median() { # median FILE COLUMN
	cut -d' ' -f"$2" "$1" | sort -n | awk '{ v[NR] = $1 }
		END { print v[int((NR + 1) / 2)] }'
}

row() { # row NAME FILE
	say "$(printf '%-34s wall %8.2f s  cpu %8.2f s  peak %7d KB  (%s)' \
		"$1" "$(median "$2" 1)" "$(median "$2" 2)" "$(median "$2" 3)" \
		"$(tr '\n' ';' <"$2")")"
}

ratio() { # ratio NAME FILE PEER-FILE
	say "$(awk -v n="$1" -v a="$(median "$2" 1)" -v b="$(median "$3" 1)" \
		-v c="$(median "$2" 2)" -v d="$(median "$3" 2)" 'BEGIN {
		printf "  %s: wall %.4g, cpu %.4g of the peer", n, a / b, c / d }')"
}
