# Sourced by every end-to-end test: TAP output, makers of images, and a clean
# end whatever happens.  Each test drives the real program on real images.
#
# shellcheck shell=bash

set -u
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
relive=${RELIVE:-$top/relive}
# shellcheck disable=SC2034 # used by the tests that source this
fixtures=${RELIVE_FIXTURES:-$top/../shared/fixtures}
work=$(mktemp -d "${TMPDIR:-/tmp}/relive-e2e.XXXXXX")
mnt=$work/mnt
mkdir "$mnt"
tests_run=0
tests_failed=0
our_mounts=()

cleanup() {
	local i
	for ((i = ${#our_mounts[@]} - 1; i >= 0; i--)); do
		mountpoint -q "${our_mounts[i]}" 2>/dev/null || continue
		umount "${our_mounts[i]}" 2>/dev/null ||
			fusermount3 -u "${our_mounts[i]}" 2>/dev/null ||
			umount -l "${our_mounts[i]}" 2>/dev/null
	done
	# A daemon may still be flushing into its session.
	rm -rf "$work" 2>/dev/null || { sleep 1; rm -rf "$work"; }
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# -- results ------------------------------------------------------------------

pass() { # pass WHAT
	tests_run=$((tests_run + 1))
	echo "ok $tests_run - $1"
}

fail() { # fail WHAT [FILE-WITH-DETAILS]
	tests_run=$((tests_run + 1))
	tests_failed=$((tests_failed + 1))
	echo "not ok $tests_run - $1"
	[ -z "${2-}" ] || head -n 40 "$2" | sed 's/^/# /'
}

# The command must succeed.
check() { # check WHAT COMMAND...
	local what=$1
	shift
	if "$@" >"$work/out" 2>&1; then
		pass "$what"
	else
		echo "exit status $?: $*" >>"$work/out"
		fail "$what" "$work/out"
	fi
}

# The command must end with that status, saying one line that matches.
refuse() { # refuse WHAT STATUS PATTERN COMMAND...
	local what=$1 want=$2 pattern=$3 got
	shift 3
	"$@" >"$work/out" 2>"$work/err"
	got=$?
	if [ "$got" = "$want" ] && grep -Eq -- "$pattern" "$work/err" &&
		[ "$(grep -c . "$work/err")" = 1 ]; then
		pass "$what"
	else
		{
			echo "status $got, want $want, pattern $pattern: $*"
			cat "$work/out" "$work/err"
		} >"$work/told"
		fail "$what" "$work/told"
	fi
}

# What a program of many tests says, in TAP, counted with ours.
run_tap() { # run_tap WHAT COMMAND...
	local what=$1 line
	shift
	PYTHONDONTWRITEBYTECODE=1 "$@" >"$work/tap" 2>"$work/err"
	echo "exit status $?: $*" >>"$work/err"
	grep -q '^1\.\.' "$work/tap" || fail "$what: running" "$work/err"
	while read -r line; do
		case $line in
		"ok "* | "not ok "*)
			tests_run=$((tests_run + 1))
			case $line in not*) tests_failed=$((tests_failed + 1)) ;; esac
			echo "${line%%ok *}ok $tests_run - $what: ${line#*- }"
			;;
		1..*) ;;
		*) echo "$line" ;;
		esac
	done <"$work/tap"
	[ "$(grep -c 'ok ' "$work/tap")" -ge \
		"$(sed -n 's/^1\.\.//p' "$work/tap")" ] ||
		fail "$what: to the end" "$work/err"
}

# Both files must be the same.
same() { # same WHAT FILE-A FILE-B
	if diff "$2" "$3" >"$work/out" 2>&1; then
		pass "$1"
	else
		fail "$1" "$work/out"
	fi
}

skip() { # skip WHAT REASON
	tests_run=$((tests_run + 1))
	echo "ok $tests_run - $1 # SKIP $2"
}

skip_all() { # skip_all REASON
	echo "1..0 # SKIP $1"
	exit 0
}

# End here unless all these programs are there.
need() { # need PROGRAM...
	local p
	for p in "$@"; do
		command -v "$p" >/dev/null || skip_all "no $p"
	done
}

need_root() {
	[ "$(id -u)" = 0 ] || skip_all "not root"
}

need_fuse() {
	[ -w /dev/fuse ] || skip_all "no /dev/fuse to write to"
}

# Let users mount, to the end of the test.  /dev/fuse is the machine's: one test
# at a time, or the first to end would take it from the others.
open_fuse() {
	exec 9<"${BASH_SOURCE[0]}"
	flock 9
	fuse_mode=$(stat -c %a /dev/fuse)
	chmod 666 /dev/fuse
	trap 'chmod "$fuse_mode" /dev/fuse; cleanup' EXIT
}

end() {
	echo "1..$tests_run"
	[ "$tests_failed" = 0 ]
	exit
}

# -- mounting -----------------------------------------------------------------

mount_at() { # mount_at DIR IMAGE [OPTION...]
	local dir=$1 image=$2
	shift 2
	our_mounts+=("$dir")
	"$relive" mount "$image" "$dir" "$@"
}

umount_at() { # umount_at DIR
	"$relive" umount "$1"
}

wait_gone() { # wait_gone PID [TRIES]: 20 a second
	for _ in $(seq "${2-200}"); do
		kill -0 "$1" 2>/dev/null || return 0
		sleep 0.05
	done
	return 1
}

# An image whose host is a mount too, at $work/host and served by $host_pid, so
# that it can be kept from answering; its own is at $work/inner.
# shellcheck disable=SC2034 # used by the tests that source this
mount_on_mount() { # mount_on_mount IMAGE [OPTION...]
	mkdir "$work/outer" "$work/host" "$work/inner"
	cp "$1" "$work/outer/live"
	make_ufs "$work/outer.ufs" "$work/outer" 2 32768 4096
	mount_at "$work/host" "$work/outer.ufs"
	mount_at "$work/inner" "$work/host/live" "${@:2}" \
		--session "$work/inner.relive"
	host_pid=$(sed -n 's/^pid //p' "$work/outer.ufs.relive/mount")
}

# -- makers -------------------------------------------------------------------

# A tree of every kind of thing, always the same for the same seed.
make_tree() { # make_tree DIR [SEED]
	local dir=$1 seed=${2:-1} i
	mkdir -p "$dir"/{bin,boot/kernel,etc/rc.d,usr/local,var/empty,rescue,dev,tmp}
	echo "hostname=\"live$seed\"" >"$dir/etc/rc.conf"
	echo "#!/bin/sh" >"$dir/etc/rc"
	chmod 755 "$dir/etc/rc"
	for i in $(seq 1 60); do
		seq "$seed" $((seed + i * 97)) >"$dir/etc/rc.d/service$i"
	done
	seq "$seed" 300000 >"$dir/boot/kernel/kernel"
	head -c 700000 /dev/zero | tr '\0' "$((seed % 10))" >"$dir/bin/zeroish"
	openssl enc -aes-128-ctr -pass "pass:$seed" -nosalt -in /dev/zero \
		2>/dev/null | head -c 400000 >"$dir/bin/noise"
	seq 1 20000 >"$dir/rescue/cat"
	for i in $(seq 1 40); do ln "$dir/rescue/cat" "$dir/rescue/link$i"; done
	ln -s ../etc/rc.conf "$dir/usr/rc.conf"
	ln -s "$(printf 'x%.0s' $(seq 1 119))" "$dir/usr/long119"
	ln -s "$(printf 'y%.0s' $(seq 1 300))" "$dir/usr/long300"
	mkfifo "$dir/var/fifo"
	truncate -s 3M "$dir/var/sparse"
	printf tail | dd of="$dir/var/sparse" bs=1 seek=2000000 conv=notrunc \
		status=none
	: >"$dir/var/empty/file"
	touch "$dir/$(printf 'n%.0s' $(seq 1 250))"
	printf 'umlaut' >"$dir/etc/grüße"
	chmod 4755 "$dir/bin/noise"
	chmod 1777 "$dir/tmp"
	if [ "$(id -u)" = 0 ]; then
		mknod "$dir/dev/null" c 1 3
		chown 4000000000:77 "$dir/etc/rc.d/service7"
	fi
	find "$dir" -exec touch -h -d "@$((1600000000 + seed))" {} +
}

# A UFS image by Debian's makefs; see make_ufs's callers for more options.
make_ufs() { # make_ufs OUT TREE VERSION BSIZE FSIZE [MAKEFS-OPTION...]
	local out=$1 tree=$2 version=$3 bsize=$4 fsize=$5
	shift 5
	makefs -t ffs -B le -o "version=$version,bsize=$bsize,fsize=$fsize" \
		"$@" "$out" "$tree" >/dev/null
}

# What there is in a tree, a line each, in order: type, mode, owner, links,
# size, time, device, name, target, and a hash of what is in files.
manifest() { # manifest DIR
	(
		cd "$1" || exit 1
		find . -path './.sujournal' -prune -o -printf \
			'%y|%m|%U:%G|%n|%s|%T@|%p|%l\n' | sed 's/^\(d|[^|]*|[^|]*|[^|]*\)|[^|]*/\1|dir/' |
			LC_ALL=C sort
		find . -type c -o -type b | LC_ALL=C sort | while read -r f; do
			stat -c '%t:%T %n' "$f"
		done
		find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum
	)
}

# Edits of every kind in a live tree, the same for the same seed.
edit_tree() { # edit_tree DIR SEED [COUNT]
	local dir=$1 n=${3:-60} i f g
	RANDOM=$2
	for ((i = 0; i < n; i++)); do
		f=$dir/etc/rc.d/service$((RANDOM % 60 + 1))
		g=$dir/usr/local/new$((RANDOM % 30))
		case $((RANDOM % 14)) in
		0) seq "$i" $((RANDOM % 9000)) >"$g" ;;
		1) rm -f "$f" ;;
		2) [ ! -f "$f" ] || echo "# line $i" >>"$f" ;;
		3) [ ! -f "$f" ] || mv "$f" "$dir/usr/local/moved$i" ;;
		4) mkdir -p "$dir/usr/local/dir$i/sub" && echo "$i" >"$dir/usr/local/dir$i/sub/f" ;;
		5) ln -sf "target$i" "$dir/usr/local/sym$((RANDOM % 10))" ;;
		6) [ ! -f "$f" ] || ln "$f" "$dir/usr/local/hard$i" ;;
		7) [ ! -f "$g" ] || truncate -s $((RANDOM * 5)) "$g" ;;
		8) chmod $((RANDOM % 8))$((RANDOM % 8))5 "$dir/etc/rc" ;;
		9) rm -rf "$dir/usr/local/dir$((i - RANDOM % 9))" ;;
		10) head -c $((RANDOM * 40)) /dev/zero >"$dir/tmp/zero$i" ;;
		11) [ ! -f "$g" ] || printf patch | dd of="$g" bs=1 \
			seek=$((RANDOM * 3)) conv=notrunc status=none ;;
		12) rm -f "$dir/rescue/link$((RANDOM % 40 + 1))" ;;
		13) touch -d "@$((RANDOM + 1500000000)).123456789" "$dir/etc/rc.conf" ;;
		esac
	done
	rm -f "$dir/bin/noise"
	seq 5 150000 >"$dir/bin/newprog"
}

# ISOs in the shapes of livecds.md 1b, with the image in the middle of them.
make_iso() { # make_iso OUT IMAGE SHAPE
	local out=$1 image=$2 shape=$3 stage=$work/stage
	local isolinux=/usr/lib/ISOLINUX/isolinux.bin
	rm -rf "$stage"
	mkdir -p "$stage/boot/kernel" "$stage/data" "$stage/zzz" "$stage/isolinux"
	seq 1 300 | head -c 1228 >"$stage/boot/cdboot"
	seq 1 60000 >"$stage/boot/loader"
	echo 'geom_uzip_load="YES"' >"$stage/boot/loader.conf"
	seq 7 90000 | gzip -n >"$stage/boot/kernel/kernel.gz"
	cp "$image" "$stage/data/base.ufs.uzip"
	echo 12345 >"$stage/data/base.bytes"
	seq 1 70000 >"$stage/zzz/last"
	ln "$stage/zzz/last" "$stage/zzz/linked"
	ln -s ../boot/loader.conf "$stage/zzz/symlink"
	[ ! -f "$isolinux" ] || cp "$isolinux" "$stage/isolinux/"
	truncate -s 1474560 "$stage/zzz/efi.img"
	command -v mformat >/dev/null &&
		mformat -i "$stage/zzz/efi.img" -N 12345678 ::
	find "$stage" -exec touch -h -d @1600000000 {} +
	case $shape in
	seed) genisoimage -quiet -R -l -ldots -allow-lowercase -allow-multidot \
		-V 'My FreeBSD' -volset 'My FreeBSDs' -hide boot.catalog \
		-no-emul-boot -b boot/cdboot -o "$out" "$stage" ;;
	joliet) genisoimage -quiet -J -R -V FREESBIE -no-emul-boot \
		-b boot/cdboot -o "$out" "$stage" ;;
	plain) genisoimage -quiet -V PLAIN -o "$out" "$stage" 2>/dev/null ;;
	efi) xorriso -as mkisofs -quiet -R -V LIVE -b boot/cdboot -no-emul-boot \
		-eltorito-alt-boot -e zzz/efi.img -no-emul-boot \
		-o "$out" "$stage" 2>/dev/null ;;
	hybrid) xorriso -as mkisofs -quiet -R -J -V HYBRID \
		-isohybrid-mbr /usr/lib/ISOLINUX/isohdpfx.bin \
		-b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot \
		-boot-load-size 4 -boot-info-table -eltorito-alt-boot \
		-e zzz/efi.img -no-emul-boot -isohybrid-gpt-basdat \
		-o "$out" "$stage" 2>/dev/null ;;
	appended) xorriso -as mkisofs -quiet -R -V APPENDED -b boot/cdboot \
		-no-emul-boot -append_partition 2 0xef "$stage/zzz/efi.img" \
		-appended_part_as_gpt -o "$out" "$stage" 2>/dev/null ;;
	esac
}

# Edits of every kind in any tree at all, chosen by the seed among what it
# holds; what flags protect stays as it is.
edit_any() { # edit_any DIR SEED [COUNT]
	local dir=$1 n=${3:-80} i f d
	local -a files dirs
	RANDOM=$2
	mapfile -t files < <(cd "$dir" && find . -xdev -type f -size -1000k \
		! -name .sujournal | LC_ALL=C sort)
	mapfile -t dirs < <(cd "$dir" && find . -xdev -maxdepth 6 -type d \
		! -name .snap | LC_ALL=C sort)
	for ((i = 0; i < n; i++)); do
		f=$dir/${files[RANDOM % ${#files[@]}]}
		d=$dir/${dirs[RANDOM % ${#dirs[@]}]}
		case $((RANDOM % 12)) in
		0) rm -f "$f" ;;
		1) [ ! -f "$f" ] || echo "line $i" >>"$f" ;;
		2) [ ! -f "$f" ] || truncate -s $((RANDOM * 3)) "$f" ;;
		3) mv -f "$f" "$d/moved$i" ;;
		4) ln "$f" "$d/hard$i" ;;
		5) ln -s "$(head -c $((RANDOM % 200 + 1)) /dev/zero |
			tr '\0' s)" "$d/sym$i" ;;
		6) mkdir "$d/dir$i" && seq 1 "$RANDOM" >"$d/dir$i/f" ;;
		7) seq "$i" $((RANDOM + i)) >"$d/new$i" ;;
		8) chmod "$((RANDOM % 8))$((RANDOM % 8))4" "$f" ;;
		9) chown "$((RANDOM * 65536)):$RANDOM" "$f" ;;
		10) printf patch | dd of="$d/hole$i" bs=1 \
			seek=$((RANDOM * 50)) conv=notrunc status=none ;;
		11) touch -d "@$((RANDOM + 1400000000)).987654321" "$f" ;;
		esac
	done 2>/dev/null
	return 0
}
