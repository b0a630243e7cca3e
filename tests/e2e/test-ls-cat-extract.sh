#!/bin/bash
# Looking into images without mounting: ls, cat, extract, judged by bsdtar,
# diff and the tree the image was made of.
. "$(dirname "$0")/lib.sh"
need makefs bsdtar genisoimage

make_tree "$work/tree"
make_ufs "$work/raw" "$work/tree" 2 8192 1024
"$relive" uzip "$work/raw" -o "$work/base.uzip" || exit 1
make_iso "$work/live.iso" "$work/base.uzip" seed

# Everything that an image can tell: no device numbers of directories.
listing() { # listing DIR
	(
		cd "$1" || exit 1
		find . -printf '%y|%m|%U:%G|%n|%s|%T@|%p|%l\n' |
			sed 's/^\(d|[^|]*|[^|]*|\)[^|]*|[^|]*/\1dir/' | LC_ALL=C sort
		find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum
	)
}
is_root() { [ "$(id -u)" = 0 ]; }
listing "$work/tree" >"$work/want"

for address in raw base.uzip live.iso live.iso:/data/base.ufs.uzip; do
	rm -rf "$work/unpacked"
	check "$address: extract" \
		"$relive" extract -q "$work/$address" -o "$work/unpacked"
	if is_root; then
		listing "$work/unpacked" >"$work/got"
		same "$address: extracted as it was" "$work/want" "$work/got"
	else
		skip "$address: extracted as it was" "not root"
	fi
done
if is_root; then
	[ "$(stat -c %t:%T "$work/unpacked/dev/null")" = 1:3 ] &&
		pass "device nodes are made" || fail "device nodes are made"
fi

for suffix in tar tar.gz tar.xz tar.zst; do
	check "a .$suffix" "$relive" extract -q "$work/live.iso" -o "$work/x.$suffix"
	rm -rf "$work/unpacked"
	mkdir "$work/unpacked"
	# names are UTF-8 in a pax archive; bsdtar wants a locale that has them
	check "bsdtar unpacks it" env LC_ALL=C.UTF-8 bsdtar -xpf "$work/x.$suffix" -C "$work/unpacked"
	is_root || continue
	# bsdtar sets the root's time too early
	listing "$work/unpacked" | grep -v '|\.|$' >"$work/got"
	grep -v '|\.|$' "$work/want" >"$work/want2"
	same "a .$suffix holds the tree" "$work/want2" "$work/got"
done
for suffix in tbz tbz2 tzst tar.bz2; do
	check "a .$suffix is a tar too" eval '"$relive" extract -q "$work/live.iso" \
		-o "$work/x.$suffix" && LC_ALL=C.UTF-8 bsdtar -tf "$work/x.$suffix" etc/rc'
done
"$relive" extract -q "$work/live.iso" -o - >"$work/pipe.tar"
check "a tar to standard output is the same" cmp "$work/x.tar" "$work/pipe.tar"
sleep 1
"$relive" extract -q "$work/live.iso" -o "$work/y.tar.gz"
check "the same tree gives the same bytes" \
	cmp "$work/x.tar.gz" "$work/y.tar.gz"

refuse "extract of what is not there" 1 "'nope': No such file" \
	"$relive" extract "$work/live.iso" etc nope -o "$work/not"
check "makes no directory" test ! -e "$work/not"
check "extract one directory" \
	"$relive" extract -q "$work/live.iso" /etc/rc.d -o "$work/part"
diff -r "$work/tree/etc/rc.d" "$work/part/etc/rc.d" >"$work/note" &&
	[ "$(ls "$work/part")" = etc ] &&
	pass "it has that and nothing else" ||
	fail "it has that and nothing else" "$work/note"

# ls
(cd "$work/tree" && find . -mindepth 1 -printf '/%P\n' | LC_ALL=C sort) >"$work/want"
"$relive" ls -R "$work/live.iso" | awk '
	/^\/.*:$/ { dir = substr($0, 1, length($0) - 1); sub(/^\/$/, "", dir); next }
	NF { print dir "/" $0 }' | sed 's/\\\([0-7][0-7][0-7]\)/\\\1/g' |
	LC_ALL=C sort >"$work/got"
same "ls -R names everything" "$work/want" "$work/got"
"$relive" ls -l "$work/live.iso" /bin/noise | grep -q '^-rwsr-xr-x   1 .* 400000 ' &&
	pass "ls -l of a file" || fail "ls -l of a file"
"$relive" ls -l "$work/live.iso" /usr/rc.conf | grep -q -- '-> \.\./etc/rc.conf$' &&
	pass "ls -l of a link" || fail "ls -l of a link"
[ "$("$relive" ls -d "$work/live.iso" /etc)" = /etc ] &&
	pass "ls -d" || fail "ls -d"
refuse "ls of what is not there" 1 "'/none': No such file" \
	"$relive" ls "$work/live.iso" /none
"$relive" ls --iso "$work/live.iso" /data | LC_ALL=C sort >"$work/got"
printf 'base.bytes\nbase.ufs.uzip\n' >"$work/want"
same "ls --iso shows the ISO's own tree" "$work/want" "$work/got"

# Names that are no UTF-8, or would steer a terminal.
mkdir "$work/names"
: >"$work/names/latin"$'\xe9'
: >"$work/names/red"$'\033'"[31m"
: >"$work/names/back\\slash"
make_ufs "$work/names.ufs" "$work/names" 1 8192 1024 -M 600k
"$relive" ls "$work/names.ufs" >"$work/got"
printf 'back\\134slash\nlatin\xe9\nred\\033[31m\n' >"$work/want"
same "ls makes control bytes visible" "$work/want" "$work/got"
"$relive" ls --raw "$work/names.ufs" | LC_ALL=C sort >"$work/got"
(cd "$work/names" && LC_ALL=C ls -1 --show-control-chars -N) >"$work/want"
same "ls --raw gives names as they are" "$work/want" "$work/got"
if command -v jq >/dev/null; then
	"$relive" ls --json "$work/names.ufs" | jq -r .path >"$work/got"
	printf '/back\\slash\n/latin\xef\xbf\xbd\n/red\033[31m\n' >"$work/want"
	same "ls --json is JSON all the same" "$work/want" "$work/got"
fi

# JSON tells all bytes apart: what is no UTF-8 is a surrogate, as in Python.
mkdir "$work/bytes"
(cd "$work/bytes" && touch $'a\xff' $'b\xc3\xbf' $'c\xed\xb3\xbf\xc0\x80"\x7f')
make_ufs "$work/bytes.ufs" "$work/bytes" 2 8192 1024 -M 1m
"$relive" ls --json "$work/bytes.ufs" | sed 's/"id".*//' >"$work/got"
printf '{"path":"/a\\udcff",\n{"path":"/b\xc3\xbf",\n%s\n' \
	'{"path":"/c\udced\udcb3\udcbf\udcc0\udc80\"\u007f",' >"$work/want"
same "ls --json escapes bytes that are no UTF-8" "$work/want" "$work/got"
cp "$work/bytes.ufs" "$work/"$'n\xff.ufs'
for c in info status; do
	"$relive" "$c" --json "$work/"$'n\xff.ufs' >"$work/got"
	if grep -q 'n\\udcff.ufs' "$work/got" &&
		iconv -f UTF-8 -t UTF-8 "$work/got" >/dev/null; then
		pass "so does $c --json"
	else
		fail "so does $c --json" "$work/got"
	fi
done

# cat
"$relive" cat "$work/live.iso" /usr/rc.conf >"$work/got"
same "cat follows links inside the image" "$work/tree/etc/rc.conf" "$work/got"
"$relive" cat "$work/base.uzip" bin/noise etc/rc >"$work/got"
cat "$work/tree/bin/noise" "$work/tree/etc/rc" >"$work/want"
check "cat of several files" cmp "$work/want" "$work/got"
"$relive" cat --iso "$work/live.iso" /zzz/symlink >"$work/got"
echo 'geom_uzip_load="YES"' >"$work/want"
same "cat --iso follows links" "$work/want" "$work/got"
refuse "cat of a directory" 1 "'/etc': Is a directory" \
	"$relive" cat "$work/live.iso" /etc
head -c 3000000 /dev/zero >"$work/bytes/large"
make_ufs "$work/large.ufs" "$work/bytes" 2 8192 1024
for f in live.iso,/etc/rc.conf large.ufs,/large; do
	# shellcheck disable=SC2016 # sh expands it
	refuse "cat of ${f#*,} where there is no space" 1 'No space left' sh -c \
		'"$0" cat "$1" "$2" "$2" >/dev/full' "$relive" "$work/${f%,*}" "${f#*,}"
done
refuse "cat of a link that leads nowhere" 1 'No such file' \
	"$relive" cat "$work/live.iso" /usr/long119

# No question reads the whole image: less than 1 MB beyond the file asked for
# and the index, which only those that count clusters read.
bytes_of() { # bytes_of ARGUMENT...: what relive reads for it
	strace -f -e trace=pread64 -o "$work/trace" "$relive" "$@" \
		>"$work/said" 2>&1 || cat "$work/said" >&2
	awk '{ n += $NF } END { print n + 0 }' "$work/trace"
}
reads_little() { # reads_little LIMIT ARGUMENT...
	local limit=$1 bytes
	shift
	bytes=$(bytes_of "$@")
	[ "$bytes" -gt 0 ] && [ "$bytes" -lt "$limit" ] &&
		pass "$1 of ${2##*/} reads little" ||
		fail "$1 of ${2##*/} reads little: $bytes bytes"
}
if command -v strace >/dev/null; then
	"$relive" create -q --size 4G -o "$work/4g.uzip" "$work/tree" || exit 1
	index=$((262144 * 8)) # clusters of 16 KiB
	reads_little 1000000 ls "$work/4g.uzip" /etc
	reads_little 1000000 cat "$work/4g.uzip" /etc/rc.conf
	reads_little $((1000000 + index)) info "$work/4g.uzip"
	reads_little $((1000000 + index)) status "$work/4g.uzip"
	reads_little 500000 cat "$work/live.iso" /etc/rc.conf
else
	skip "ls, cat, info and status read little" "no strace"
fi

# What an ordinary user cannot do is counted.
if is_root && command -v setpriv >/dev/null; then
	chmod 755 "$work"
	mkdir -m 777 "$work/user"
	setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$relive" extract "$work/live.iso" -o "$work/user/unpacked" \
		>"$work/note" 2>&1
	got=$?
	grep -q '1 device nodes or sockets not made' "$work/note" &&
		grep -q 'files belong to you' "$work/note" && [ $got = 0 ] &&
		pass "an ordinary user is told what could not be done" ||
		fail "an ordinary user is told what could not be done" "$work/note"
	cmp -s "$work/tree/bin/zeroish" "$work/user/unpacked/bin/zeroish" &&
		pass "and gets the files" || fail "and gets the files"
fi

# What is damaged ends with 3, whoever comes upon it.
damaged() { # damaged WHAT PATTERN COMMAND...
	local what=$1 pattern=$2 got
	shift 2
	"$@" >"$work/out" 2>"$work/err" </dev/null
	got=$?
	[ $got = 3 ] && grep -q "$pattern" "$work/err" &&
		pass "$what: damaged" || fail "$what: status $got" "$work/err"
}
head -c 700000 "$work/live.iso" >"$work/cut.iso"
for c in ls "cat cut.iso /etc/rc" "extract -o cut.d" status "mount cut.iso mnt" \
	check "convert -o cut.out" "commit -o cut.out" info; do
	read -ra words <<<"$c"
	[[ $c == *cut.iso* ]] || words+=(cut.iso)
	damaged "${words[0]} of a cut ISO" 'cut short\|outside the image' \
		env -C "$work" "$relive" "${words[@]}"
done
check "nothing is written" test ! -e "$work/cut.out"
cp "$work/base.uzip" "$work/cluster.uzip"
head -c 64 /dev/urandom | dd of="$work/cluster.uzip" bs=1 seek=600000 \
	conv=notrunc status=none
for out in cut.d cut.tar; do
	damaged "extract to $out" 'damaged zlib stream' "$relive" extract -q \
		"$work/cluster.uzip" -o "$work/$out"
done

# A session's state, while the base stays what it was.
if is_root && [ -w /dev/fuse ]; then
	check "mount" mount_at "$mnt" "$work/live.iso"
	echo changed >"$mnt/etc/rc.conf"
	check "umount" umount_at "$mnt"
	[ "$("$relive" cat "$work/live.iso.relive" /etc/rc.conf)" = changed ] &&
		pass "cat of a session shows the change" ||
		fail "cat of a session shows the change"
	[ "$("$relive" cat --session "$work/live.iso.relive" "$work/live.iso" \
		/etc/rc.conf)" = changed ] && pass "also by --session" ||
		fail "also by --session"
	"$relive" cat "$work/live.iso" /etc/rc.conf >"$work/got"
	same "cat of the image shows the base" \
		"$work/tree/etc/rc.conf" "$work/got"
fi
end
