#!/bin/bash
# What FreeBSD's own tools and kernel wrote reads exactly as FreeBSD says:
# every manifest line, every hash, every uzip variant.
. "$(dirname "$0")/lib.sh"
[ -d "$fixtures/ufs" ] || skip_all "no fixtures at $fixtures"
need xz jq

# The listing in the form of FreeBSD's stat(1) in the manifests.
as_freebsd() { # as_freebsd IMAGE
	"$relive" ls -R --json "$1" | jq -r '
		{"d": "Directory", "-": "Regular File", "l": "Symbolic Link",
		 "p": "Fifo File", "c": "Character Device", "b": "Block Device",
		 "s": "Socket"} as $types |
		[ $types[.mode_text[0:1]], .mode[2:], .uid, .gid, .nlink, .size,
		  .blocks, .flag_bits, (.mtime | split(".")[0]),
		  ((.birth // "-1") | split(".")[0]), "." + .path,
		  .target // "" ] | map(tostring) | join("|")' |
		LC_ALL=C sort
}

# The manifest's lines, without what cannot be compared: rdev of what is no
# device, and the root, whose path differs.
from_manifest() { # from_manifest FILE
	awk -F'|' -v OFS='|' 'NF == 13 && $12 != "." {
		mode = $2 == "00" ? "0000" : $2
		print $1, mode, $3, $4, $5, $6, $7, $8, $9, $10, $12, $13
	}' "$1" | LC_ALL=C sort
}

hashes() { # hashes IMAGE SUM: of every file, through a tar
	rm -rf "$work/tree"
	mkdir "$work/tree"
	"$relive" extract -q "$1" -o "$work/tree" 2>"$work/err" || return 1
	(cd "$work/tree" && find . -type f ! -name .sujournal -print0 |
		LC_ALL=C sort -z | xargs -0 "$2")
	chmod -R u+rwx "$work/tree"
}

kernel_fixture() { # kernel_fixture NAME
	local image=$work/$1
	xz -dc "$fixtures/ufs/$1.xz" >"$image"
	xz -dc "$fixtures/ufs/$1.manifest.xz" >"$work/manifest"
	from_manifest "$work/manifest" >"$work/want"
	as_freebsd "$image" >"$work/got"
	# UFS1 has no birth times.
	case $1 in
	*ufs1*) sed -i -E 's/^(([^|]*\|){9})[^|]*/\1/' "$work/want" "$work/got" ;;
	esac
	[ "$(wc -l <"$work/want")" -gt 800 ] || echo short >>"$work/want"
	same "$1: lists as FreeBSD's kernel does" "$work/want" "$work/got"
	grep -E '^[0-9a-f]{32} ' "$work/manifest" | sed 's/^\([^ ]*\) */\1  /' |
		grep -v '/.sujournal$' | LC_ALL=C sort -k 2 >"$work/want"
	hashes "$image" md5sum | LC_ALL=C sort -k 2 >"$work/got"
	same "$1: every file has the bytes it had there" "$work/want" "$work/got"
	[ $(($(stat -c %b "$work/tree/usr/lib/sparse") * 512)) -lt \
		"$(stat -c %s "$work/tree/usr/lib/sparse")" ] &&
		pass "$1: holes stay holes" || fail "$1: holes stay holes"
	check "$1: a tar" "$relive" extract -q "$image" -o "$work/x.tar"
	# GNU tar knows sparse files too
	tar -xOf "$work/x.tar" usr/lib/holes usr/lib/sparse 2>/dev/null |
		cmp -s - <(cat "$work/tree/usr/lib/holes" "$work/tree/usr/lib/sparse") &&
		pass "$1: a tar holds sparse files" ||
		fail "$1: a tar holds sparse files"
	case $1 in
	*ufs2*)
		printf '%s\n' 'system sysnote' 'user note' >"$work/want"
		"$relive" ls --json "$image" /etc/rc.conf |
			jq -r '.xattrs[] | select(.name | startswith("posix1e") or
				startswith("nfs4") | not) | "\(.space) \(.name)"' |
			LC_ALL=C sort >"$work/got"
		same "$1: extended attributes" "$work/want" "$work/got"
		;;
	esac
	check "$1: check" "$relive" check "$image"
	rm -f "$image"
}

makefs_fixture() { # makefs_fixture NAME
	local image=$work/$1
	xz -dc "$fixtures/ufs/$1.xz" >"$image"
	"$relive" ls -R --json "$image" | jq -r '
		[ (.mode_text[0:1] | if . == "-" then "f" else . end),
		  (.mode[2:] | ltrimstr("0")), .uid, .gid, .nlink,
		  (if .mode_text[0:1] == "d" then "dir" else .size end),
		  .target // "", "." + .path ] | map(tostring) | join("|")' |
		LC_ALL=C sort >"$work/got"
	# sizes of directories depend on who made them
	xz -dc "$fixtures/ufs/makefs-tree.manifest.xz" | grep '|' |
		awk -F'|' -v OFS='|' '$8 != "." { if ($1 == "d") $6 = "dir"; print }' |
		LC_ALL=C sort >"$work/want"
	same "$1: lists as its manifest says" "$work/want" "$work/got"
	xz -dc "$fixtures/ufs/makefs-tree.manifest.xz" |
		grep -E '^[0-9a-f]{64} ' | LC_ALL=C sort -k 2 >"$work/want"
	hashes "$image" sha256sum | LC_ALL=C sort -k 2 >"$work/got"
	same "$1: every file has its bytes" "$work/want" "$work/got"
	check "$1: check" "$relive" check "$image"
	rm -f "$image"
}

for xz in "$fixtures"/ufs/newfs132-*.manifest.xz; do
	kernel_fixture "$(basename "$xz" .manifest.xz)"
done
for xz in "$fixtures"/ufs/makefs*.xz; do
	case $xz in *manifest*) continue ;; esac
	makefs_fixture "$(basename "$xz" .xz)"
done

xz -dc "$fixtures/ufs/newfs132-ufs2-default.xz" >"$work/default"
"$relive" info --json "$work/default" |
	jq -c '.layers[0] | [.label, .soft_updates, .check_hashes, .clean]' >"$work/got"
echo '["live",true,true,true]' >"$work/want"
same "info tells label, soft updates, check hashes" "$work/want" "$work/got"
rm "$work/default"

xz -dc "$fixtures/ufs/newfs132-ufs2-unclean.xz" >"$work/unclean"
"$relive" info --json "$work/unclean" |
	jq -e '.layers[0] | .clean == false and .writable == false' >/dev/null &&
	pass "the unclean one is said to be unclean" ||
	fail "the unclean one is said to be unclean"
"$relive" check "$work/unclean" >/dev/null 2>&1
[ $? = 3 ] && pass "and check finds it damaged" ||
	fail "and check finds it damaged"
check "its files can be read" \
	"$relive" extract -q "$work/unclean" -o "$work/unclean.tar"

xz -dc "$fixtures/uzip/small.ufs.xz" >"$work/small.ufs"
size=$(stat -c %s "$work/small.ufs")
for uzip in "$fixtures"/uzip/*.uzip; do
	name=$(basename "$uzip")
	check "$name: unuzip" "$relive" unuzip -q "$uzip" -o "$work/raw"
	head -c "$size" "$work/raw" >"$work/head"
	check "$name: decodes to small.ufs" cmp "$work/small.ufs" "$work/head"
	[ -z "$(tail -c +$((size + 1)) "$work/raw" | tr -d '\0' | head -c 1)" ] &&
		pass "$name: and to zeroes behind it" ||
		fail "$name: and to zeroes behind it"
	check "$name: ls" "$relive" ls "$uzip" /bin
	check "$name: check" "$relive" check "$uzip"
done

xz -dc "$fixtures/iso/freebsd-hybrid.iso.xz" >"$work/live.iso"
"$relive" info --json "$work/live.iso" |
	jq -c '.layers[0] | [.label, .gpt, .gpt_backup, .boot[].platform,
		.images[].path]' >"$work/got"
echo '["LIVE",true,false,"BIOS","UEFI","/data/base.ufs.uzip"]' >"$work/want"
same "the hybrid ISO is seen as what it is" "$work/want" "$work/got"
check "it passes the checker" "$relive" check "$work/live.iso"
"$relive" cat --iso "$work/live.iso" /data/base.ufs.uzip >"$work/image"
check "its image is the fixture's" \
	cmp "$fixtures/uzip/small-zlib-16k.uzip" "$work/image"
if command -v isoinfo >/dev/null; then
	isoinfo -R -f -i "$work/live.iso" | LC_ALL=C sort >"$work/want"
	"$relive" ls --iso -R --json "$work/live.iso" | jq -r .path |
		LC_ALL=C sort >"$work/got"
	same "its tree is what isoinfo sees" "$work/want" "$work/got"
else
	skip "its tree is what isoinfo sees" "no isoinfo"
fi
end
