# Sourced by the benchmarks: a place to work, measuring, telling.  Every figure
# stands beside its peer's of the same run, measured in turn.
#
# shellcheck shell=bash

set -u
bench=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$bench/../.." && pwd)
relive=${RELIVE:-$top/relive}
runs=${RUNS:-5}
# shellcheck disable=SC2034 # the parts use it
few=$(((runs + 1) / 2)) # of what takes a minute
part=$(basename "$0")
work=$(mktemp -d "${TMPDIR:-/var/tmp}/relive-bench.XXXXXX")
share=${BENCH_SHARE:-$work} # what the parts of one run use in turn
mnt=$work/mnt
out=${OUT:-$top/build/bench.txt}
summary=${SUMMARY:-$work/summary}
mkdir -p "$mnt" "$top/build"
trap 'exit 130' INT TERM
trap 'clean_up' EXIT

# What this shell started and mounted; parts add to both.
mounted=()
clean_up() {
	local dir
	mountpoint -q "$mnt" && "$relive" umount "$mnt"
	for dir in "${mounted[@]}"; do
		mountpoint -q "$dir" && umount "$dir"
	done
	rm -rf "$work"
}

say() {
	echo "$*" | tee -a "$out"
}

# Is all that is needed there?  Where not, one line says what is left out.
can() { # can WHAT PROGRAM|root...
	local what=$1 one
	shift
	for one; do
		if [ "$one" = root ]; then
			[ "$(id -u)" = 0 ] && continue
			say "left out: $what: not root"
			return 1
		fi
		command -v "$one" >/dev/null && continue
		say "left out: $what: no $one"
		return 1
	done
}

fail() {
	say "failed: $part: $1"
	cat "$work/log"
	exit 1
}

# Run a command.  A line of seconds goes to the file: wall, CPU (with that of
# the processes in $pid, which serve it), that of those, and its peak in KB.
pid=
measure() { # measure FILE COMMAND...
	local file=$1
	shift
	"$share/measure" "$file" "$pid" "$@" >/dev/null 2>"$work/log" ||
		fail "$*"
}

[ -x "$share/measure" ] ||
	cc -O2 -o "$share/measure" "$bench/measure.c" || exit 1

median() { # median FILE [COLUMN]
	cut -d' ' -f"${2:-1}" "$1" | sort -g | awk '{ v[NR] = $1 }
		END { print v[int((NR + 1) / 2)] }'
}

ms() { # ms FILE: the median wall in milliseconds
	awk -v s="$(median "$1")" 'BEGIN { printf "%.1f", 1000 * s }'
}

row() { # row NAME FILE: medians, and wall/cpu of each run
	say "$(awk -v n="$1" -v w="$(median "$2" 1)" -v c="$(median "$2" 2)" \
		-v d="$(median "$2" 3)" -v p="$(median "$2" 4)" '
		{ raw = raw sprintf(" %.3f/%.3f", $1, $2) }
		END { printf "%-38s wall %8.3f s  cpu %8.3f s (daemon %.3f)" \
			"  peak %d KB  [%s]", n, w, c, d, p, substr(raw, 2) }' "$2")"
}

# How a ratio stands to its target: 'at-least 2' of a peer's cost is the peer's
# by ours, 'at-most 1.2' is ours by the peer's.  A target informs, it never
# fails.  The row goes to the summary too.
target() { # target ITEM WHAT FILE PEER-FILE at-least|at-most LIMIT [wall|cpu]
	local line
	line=$(awk -v item="$1" -v what="$2" -v dir="$5" -v limit="$6" \
		-v of="${7:-both}" \
		-v w="$(median "$3" 1)" -v pw="$(median "$4" 1)" \
		-v c="$(median "$3" 2)" -v pc="$(median "$4" 2)" '
	function ratio(a, b,  r) {
		r = dir == "at-least" ? b / (a ? a : 1e-9) : a / (b ? b : 1e-9)
		return sprintf("%.3g", r) "x " \
			((dir == "at-least" ? r >= limit : r <= limit) ? "met" : "missed")
	}
	BEGIN {
		printf "| %s | %s | %.3g / %.3g s | %.3g / %.3g s | %s %sx | %s | %s |", \
			item, what, w, c, pw, pc, dir == "at-least" ? ">=" : "<=", limit, \
			of == "cpu" ? "-" : ratio(w, pw), of == "wall" ? "-" : ratio(c, pc)
	}')
	say "$line"
	echo "$line" >>"$summary"
}

# A figure of ours alone against a number.
limit() { # limit ITEM WHAT VALUE UNIT at-least|at-most LIMIT
	local line
	line=$(awk -v item="$1" -v what="$2" -v v="$3" -v unit="$4" -v dir="$5" \
		-v limit="$6" 'BEGIN {
		printf "| %s | %s | %.6g %s | - | %s %s %s | %s | - |", item, what, \
			v, unit, dir == "at-least" ? ">=" : "<=", limit, unit, \
			(dir == "at-least" ? v >= limit : v <= limit) ? "met" : "missed"
	}')
	say "$line"
	echo "$line" >>"$summary"
}
