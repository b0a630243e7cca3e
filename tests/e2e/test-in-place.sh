#!/bin/bash
# commit --in-place replaces the base of everything that was edited: killed at
# any call nothing is lost, and where something would be, it is refused.
# shellcheck disable=SC2016,SC2034 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs genisoimage

mkdir -p "$work/tree/etc" "$work/small/etc"
echo small >"$work/small/etc/rc.conf"
for i in $(seq 20); do seq "$i" 2000 >"$work/tree/etc/$i"; done
make_ufs "$work/live.ufs" "$work/tree" 2 16384 2048 -s 4m
make_ufs "$work/small.ufs" "$work/small" 2 16384 2048 -s 2m
"$relive" uzip -q "$work/live.ufs" -o "$work/live.uzip"
"$relive" uzip -q "$work/small.ufs" -o "$work/small.uzip"

edit() { # edit FILE IMAGE [OPTION...]: write its own name into it
	local file=$1
	shift
	mount_at "$mnt" "$@" && echo "$file" >"$mnt/$file" && umount_at "$mnt"
}
has() { # has FILE IMAGE [OPTION...]
	[ "$("$relive" cat "$2" "${@:3}" "/$1" 2>"$work/err")" = "$1" ]
}

# -- killed, edited on, killed again --------------------------------------------
if "${CC:-cc}" -shared -fPIC -D_GNU_SOURCE -O1 -o "$work/faults.so" \
	"$top/tests/e2e/faults.c" -ldl 2>"$work/err"; then
	mkdir -p "$work/stage/data" "$work/kept" "$work/run"
	cp "$work/live.uzip" "$work/stage/data/a.uzip"
	cp "$work/small.uzip" "$work/stage/data/b.uzip"
	echo side >"$work/stage/side"
	iso=$work/kept/live.iso
	genisoimage -quiet -R -o "$iso" "$work/stage"
	mount_at "$mnt" "$iso:/data/a.uzip" --view all
	echo one >"$mnt/root/one"
	echo b >"$mnt/b/b"
	echo new >"$mnt/iso/new"
	rm "$mnt/iso/side"
	umount_at "$mnt"
	run=$work/run/live.iso

	killed() { # killed N: at its Nth call, or at none any more
		FAULT_DIR=$work/run FAULT_HOW=kill FAULT_NTH=$1 \
			FAULT_LOG=$work/log LD_PRELOAD=$work/faults.so \
			"$relive" commit -q "$run:/data/a.uzip" --in-place
	} 2>"$work/said"
	whole() { # whole ISO FILE...: all edits are in it, and it is sound
		local at=$1
		shift
		for file; do
			has "$file" "$at:/data/a.uzip" || return 1
		done
		has b "$at:/data/b.uzip" &&
			[ "$("$relive" cat --iso "$at" new)" = new ] &&
			! "$relive" ls --iso "$at" | grep -q side &&
			"$relive" check -q "$at"
	}
	# Killed at call $1; then edited again, and killed at call $2.
	trial() {
		rm -rf "$work/run"
		cp -a "$work/kept" "$work/run"
		: >"$work/log"
		killed "$1"
		[ -s "$work/log" ] || return
		tail -n 1 "$work/log" >"$work/call"
		{
			edit two "$run:/data/a.uzip" &&
				{ killed "$2" || true; } &&
				"$relive" commit -q "$run:/data/a.uzip" -o "$work/new.iso" &&
				whole "$work/new.iso" one two &&
				"$relive" commit -q "$run:/data/a.uzip" --in-place &&
				whole "$run" one two
		} >>"$work/log" 2>&1 ||
			echo "killed at calls $1 and $2: $(tail -n 3 "$work/log")"
	}
	n=1 named=0
	while trial "$n" "$n"; do
		! grep -qx rename "$work/call" || named=$n
		n=$((n + 1))
	done >"$work/bad"
	# After the new image had its name; and again while the next is made.
	for m in $(seq 1 3 "$n"); do
		trial $((named + 1)) "$m"
	done >>"$work/bad"
	grep . "$work/bad" >"$work/report"
	check "killed twice at any call, it loses nothing" eval \
		'! head -n 20 "$work/report" | grep .'
	check "it was killed at $n calls" test "$n" -gt 20
else
	skip "killed twice at any call, it loses nothing" "no compiler"
fi

# -- whose base would go --------------------------------------------------------
cp "$work/live.ufs" "$work/a.ufs"
edit mine "$work/a.ufs"
edit other "$work/a.ufs" --session "$work/other"
refuse "not while another session has edits" 1 'another session, which would' \
	"$relive" commit "$work/a.ufs" --session "$work/other" --in-place
check "neither loses any" eval 'has mine "$work/a.ufs.relive" &&
	has other "$work/a.ufs" --session "$work/other"'
"$relive" discard "$work/a.ufs"
check "but when it has none" "$relive" commit -q "$work/a.ufs" \
	--session "$work/other" --in-place

# An image within an image.
mkdir -p "$work/nest/sub"
cp "$work/small.uzip" "$work/nest/sub/in.uzip"
make_ufs "$work/nest.ufs" "$work/nest" 2 16384 2048 -s 4m
edit inner "$work/nest.ufs:/sub/in.uzip"
edit outer "$work/nest.ufs"
refuse "not while an image in it has edits" 1 'in.uzip. was edited too' \
	"$relive" commit "$work/nest.ufs" --in-place
refuse "nor while what it is in has" 1 'nest.ufs. was edited too' \
	"$relive" commit "$work/nest.ufs:/sub/in.uzip" --in-place
check "neither loses any" eval \
	'has outer "$work/nest.ufs" --session "$work/nest.ufs.relive" &&
	has inner "$work/nest.ufs.relive:/sub/in.uzip"'

# -- one folder, two images -----------------------------------------------------
cp "$work/live.ufs" "$work/one.ufs"
genisoimage -quiet -R -o "$work/two.iso" "$work/nest"
edit one "$work/one.ufs" --session "$work/shared"
for command in "mount $work/two.iso $mnt" "discard $work/two.iso" \
	"status $work/two.iso" "commit $work/two.iso --in-place" \
	"commit $work/two.iso -o $work/out"; do
	# shellcheck disable=SC2086 # a command and its arguments
	refuse "${command%% *}: the session of another image" 1 \
		"is that of '.*one.ufs'" \
		"$relive" $command --session "$work/shared"
done
check "whose edits stay" has one "$work/one.ufs" --session "$work/shared"
mv "$work/one.ufs" "$work/moved.ufs"
check "an image may have been moved" \
	has one "$work/moved.ufs" --session "$work/shared"

# -- two builds of one date -----------------------------------------------------
export SOURCE_DATE_EPOCH=1700000000
echo more >"$work/small/etc/more"
"$relive" create -q -o "$work/x.ufs" --size 16M "$work/tree"
"$relive" create -q -o "$work/y.ufs" --size 16M "$work/small"
unset SOURCE_DATE_EPOCH
check "they are of one size" test "$(stat -c %s "$work/x.ufs")" = \
	"$(stat -c %s "$work/y.ufs")"
edit one "$work/x.ufs"
mv "$work/y.ufs" "$work/x.ufs"
refuse "the edits of one are not put on the other" 1 'another image' \
	"$relive" commit "$work/x.ufs" -o "$work/z.ufs"
end
