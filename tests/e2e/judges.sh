# Sourced: judges of what we write, none of them ours.  Each prints TAP.
#
# shellcheck shell=bash disable=SC2016,SC2154 # names shared with lib.sh

# sleuthkit and GRUB see the same tree as a directory shows.
judge_ufs() { # judge_ufs WHAT IMAGE DIR
	local what=$1 image=$2 dir=$3
	judge_sleuthkit "$what" "$image" "$dir"
	judge_grub "$what" "$image" "$dir"
}

# Names, types, owners, modes, sizes and contents by sleuthkit.  It knows the
# UFS2 superblock at 65536 only.
judge_sleuthkit() { # judge_sleuthkit WHAT IMAGE DIR
	local what="$1: sleuthkit" image=$2 dir=$3 type
	command -v fls >/dev/null || { skip "$what" "no sleuthkit"; return; }
	type=$(fsstat -t "$image" 2>/dev/null)
	case $type in
	ufs1 | ufs2) ;;
	*) skip "$what" "it does not see the superblock"; return ;;
	esac
	# mactime's body format: md5|name|inode|mode|uid|gid|size|...
	fls -f "$type" -m / -pru "$image" 2>/dev/null | grep -v '\$OrphanFiles' |
		awk -F'|' '{
			sub(/ -> .*/, "", $2)
			type = substr($4, 3, 1)
			if (type == "-") type = "r"
			print $2 "|" type "|" $5 "|" $6 "|" \
				(type == "r" ? $7 : "")
		}' | LC_ALL=C sort >"$work/judge.got"
	(cd "$dir" && find . -mindepth 1 -printf '/%P|%y|%U|%G|%s\n') |
		awk -F'|' -v OFS='|' '{ if ($2 == "f") $2 = "r"; else $5 = ""; print }' |
		LC_ALL=C sort >"$work/judge.want"
	same "$what sees names, types, owners and sizes" \
		"$work/judge.want" "$work/judge.got"
	fls -f "$type" -Fpru "$image" 2>/dev/null |
		grep -v '\$OrphanFiles' | awk '$1 ~ /^.\/r/' |
		sed 's/^[^ ]* \([0-9]*\):[[:space:]]*/\1 /' | shuf -n 40 --random-source=/dev/zero |
		while read -r inode name; do
			icat -f "$type" "$image" "$inode" 2>/dev/null |
				cmp -s - "$dir/$name" || echo "$name"
		done >"$work/judge.got"
	same "$what reads the same contents" /dev/null "$work/judge.got"
}

# GRUB's own readers, which find the superblock in any of its places.
judge_grub() { # judge_grub WHAT IMAGE DIR
	local what="$1: GRUB" image=$2 dir=$3 name
	command -v grub-fstest >/dev/null || { skip "$what" "no grub-fstest"; return; }
	grub-fstest "$image" ls / 2>/dev/null | tr ' ' '\n' |
		sed 's,/$,,' | grep -vE '^(\.\.?)?$' | LC_ALL=C sort >"$work/judge.got"
	# GRUB prints names with spaces in pieces, and none with a dot in front
	(cd "$dir" && find . -mindepth 1 -maxdepth 1 ! -name '.*' -printf '%P\n') |
		tr ' ' '\n' | LC_ALL=C sort >"$work/judge.want"
	same "$what sees the root" "$work/judge.want" "$work/judge.got"
	(cd "$dir" && find . -type f -size -2000k ! -name '* *' -printf '%P\n') |
		LC_ALL=C sort | shuf -n 25 --random-source=/dev/zero |
		while read -r name; do
			grub-fstest "$image" cat "(loop0)/$name" 2>/dev/null |
				cmp -s - "$dir/$name" || echo "$name"
		done >"$work/judge.got"
	same "$what reads the same contents" /dev/null "$work/judge.got"
}
