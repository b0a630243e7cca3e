#!/bin/bash
# relive create --order puts the files of a list first, one behind the other,
# and changes nothing else.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/judges.sh"
need_root
need_fuse
need perl

tree=$work/tree
make_tree "$tree"
# files that tell their number in every block of theirs
mkdir "$tree"/part{1..5}
for i in $(seq 100 140); do
	yes "file number $i, 32 bytes a line" | head -c 98304 \
		>"$tree/part$((i % 5 + 1))/$i"
done
manifest "$tree" >"$work/want"
order=(131 102 140 117 100 125 138 109)
{
	echo '# read at boot'
	for i in "${order[@]}"; do echo "/part$((i % 5 + 1))/$i"; done
	printf '\n/part1\n/etc/none\n'
} >"$work/list"

# Where files begin and end in a raw image: NUMBER FIRST LAST, as they lie.
places() { # places IMAGE
	perl -0777 -ne 'while (/file number (\d+), 32 bytes a line/g) {
		$first{$1} //= $-[0]; $last{$1} = $+[0] }
		printf "%d %d %d\n", $_, $first{$_}, $last{$_}
			for sort { $first{$a} <=> $first{$b} } keys %first' "$1"
}

export SOURCE_DATE_EPOCH=1700000000
for geometry in 1,4096,512 2,32768,4096; do
	IFS=, read -r version block frag <<<"$geometry"
	image=$work/$version.ufs
	"$relive" create -o "$image" --ufs "$version" --block "$block" \
		--frag "$frag" --order "$work/list" "$tree" >"$work/out" 2>"$work/err"
	check "UFS$version: create" test $? = 0
	check "UFS$version: what is missing is told" grep -q \
		"1 of 10 paths to be ordered .* 'etc/none'" "$work/err"
	check "UFS$version: check" "$relive" check "$image"
	places "$image" >"$work/places"
	check "UFS$version: in this order" test \
		"$(head -n ${#order[@]} "$work/places" | cut -d' ' -f1 | xargs)" \
		= "${order[*]}"
	read -r _ first _ < <(head -n 1 "$work/places")
	read -r _ _ last < <(sed -n "${#order[@]}p" "$work/places")
	check "UFS$version: without gaps" test \
		$((last - first)) -le $((${#order[@]} * (98304 + block)))
	check "UFS$version: mount" mount_at "$mnt" "$image" --ro
	manifest "$mnt" >"$work/got"
	same "UFS$version: the tree" "$work/want" "$work/got"
	judge_ufs "UFS$version" "$image" "$mnt"
	check "UFS$version: umount" umount_at "$mnt"
	rm -rf "$image.relive"
done
check "the same bytes, from standard input" "$relive" create -q \
	-o "$work/again.ufs" --order - "$tree" <"$work/list"
check "are the same" cmp "$work/2.ufs" "$work/again.ufs"
check "a uzip" "$relive" create -q -o "$work/o.uzip" --order "$work/list" "$tree"
check "a uzip: unuzip" "$relive" unuzip "$work/o.uzip" -o "$work/un"
check "a uzip: the same image" cmp -n "$(stat -c %s "$work/2.ufs")" \
	"$work/2.ufs" "$work/un"

# On an ISO the list is of both its own tree and the image's.
if command -v xorriso >/dev/null && command -v openssl >/dev/null; then
	. "$(dirname "$0")/live.sh"
	make_live "$work/live"
	printf '%s\n' /boot/lua/loader.lua /boot/kernel/kernel /usr/bin/tool3 \
		/boot/loader /etc/none >"$work/live.list"
	for layout in uzip memroot plain; do
		"$relive" create -o "$work/$layout.iso" --layout "$layout" \
			--gzip-kernel --order "$work/live.list" "$work/live" \
			>"$work/said" 2>&1
		check "$layout: create" test $? = 0
		check "$layout: one warning" test \
			"$(grep -c "1 of 5 paths .* 'etc/none'" "$work/said")" = 1
		xorriso -indev "$work/$layout.iso" -find / -type f -exec report_lba -- \
			2>/dev/null | sed -n "s/^File data lba: *[0-9]* , *\([0-9]*\) .*'\(.*\)'/\1 \2/p" |
			sort -n | cut -d' ' -f2 | head -n 4 >"$work/got"
		want="/boot/lua/loader.lua /boot/kernel/kernel.gz"
		[ "$layout" = plain ] && want="$want /usr/bin/tool3"
		check "$layout: in this order" test \
			"$(xargs <"$work/got" | cut -d' ' -f"1-$(wc -w <<<"$want /")")" \
			= "$want /boot/loader"
	done
else
	skip "on an ISO" "no xorriso or openssl"
fi

refuse "a list that is not there" 1 "cannot read '$work/none'" "$relive" \
	create -q -o "$work/bad.ufs" --order "$work/none" "$tree"
echo ../up >"$work/bad"
refuse "a path that leads out" 1 "line 1: '../up' is no path" "$relive" \
	create -q -o "$work/bad.ufs" --order "$work/bad" "$tree"
check "no output" test ! -e "$work/bad.ufs"
end
