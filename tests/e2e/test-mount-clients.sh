#!/bin/bash
# Programs that ask much of a file system, run in a mount, each judged by its
# own means; the file system is sound after each.  With RELIVE_LONG=1 also a
# compilation, many files, and minutes instead of seconds.
# shellcheck disable=SC2016 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs python3 setfacl setfattr

image=$work/live.ufs
long=${RELIVE_LONG:+1}
mkdir "$work/tree"
make_ufs "$image" "$work/tree" 2 32768 4096 -s 8m

begin() { # begin CLIENT: its name, if it is there
	command -v "${2:-$1}" >/dev/null || { skip "$1" "no ${2:-$1}"; return 1; }
	mount_at "$mnt" "$image" 2>"$work/err" ||
		{ fail "$1: mounting" "$work/err"; return 1; }
	mkdir -p "$mnt/$1"
}

finish() { # finish CLIENT
	rm -rf "${mnt:?}/$1"
	check "$1: unmounting" umount_at "$mnt"
	check "$1: the file system is sound" "$relive" check "$image.relive"
}

# -- rsync --------------------------------------------------------------------

# What rsync would still have to do.
left() { # left FROM TO
	rsync -aHAXn --numeric-ids --checksum --delete -i "$1/" "$2/"
}

if begin rsync; then
	make_tree "$work/from"
	rm "$work/from/dev/null" # the mount is nodev; judged by others
	mkdir "$work/from/acl"
	echo >"$work/from/acl/f"
	setfattr -n user.name -v value "$work/from/acl/f"
	setfattr -n user.empty "$work/from/acl"
	setfacl -m u:1001:rwx,g:5:r,d:u:7:rx "$work/from/acl"
	setfacl -m u:1001:rw,m:r "$work/from/acl/f"
	touch -hd @-5.25 "$work/from/usr/rc.conf"
	mkdir "$work/back"
	check "rsync: to the mount" \
		rsync -aHAX --numeric-ids "$work/from/" "$mnt/rsync/"
	setfattr -n relive.flags -v nodump "$mnt/rsync/acl/f"
	check "rsync: and back" \
		rsync -aHAX --numeric-ids "$mnt/rsync/" "$work/back/"
	{
		left "$work/from" "$mnt/rsync"
		left "$mnt/rsync" "$work/from"
		left "$mnt/rsync" "$work/back"
		left "$work/from" "$work/back"
	} >"$work/differences" 2>&1
	same "rsync: no difference is left" /dev/null "$work/differences"
	check "create: takes the tree from the mount" "$relive" create -q \
		--byte-order big -o "$work/made.ufs" "$mnt/rsync"
	finish rsync
	mount_at "$mnt" "$work/made.ufs"
	left "$work/from" "$mnt" >"$work/differences" 2>&1
	same "create: with lists and attributes" /dev/null "$work/differences"
	check "create: and with flags" eval '[ "$(getfattr --only-values \
		-n relive.flags "$mnt/acl/f" 2>/dev/null)" = nodump ]'
	umount_at "$mnt"
	check "create: sound" "$relive" check "$work/made.ufs.relive"
	rm -rf "$work"/made.ufs*
fi

# -- git ----------------------------------------------------------------------

in_git() { # in_git COMMAND...
	git -C "$mnt/git/clone" -c user.name=t -c user.email=t@t "$@"
}

if begin git; then
	git init -q --bare "$mnt/git/origin"
	check "git: cloning" git clone -q "$mnt/git/origin" "$mnt/git/clone"
	for i in 1 2 3 4; do
		edit_tree "$mnt/git/clone" "$i" 20 2>/dev/null
		make_tree "$mnt/git/clone/tree$i" "$i"
		rm -rf "$mnt/git/clone/tree$i"/{dev,var,boot}
		in_git add -A >/dev/null 2>&1
		in_git commit -qm "commit $i"
	done
	check "git: pushing" in_git push -q origin HEAD:main
	check "git: gc" in_git gc -q --aggressive
	check "git: fsck" in_git fsck --full --strict
	check "git: nothing is modified" \
		eval '[ -z "$(in_git status --porcelain --untracked-files=no)" ]'
	check "git: cloning what was pushed" git clone -q -b main \
		"$mnt/git/origin" "$mnt/git/again"
	finish git
fi

# -- sqlite: each kill of the daemon loses nothing that was committed ----------

cat >"$work/db.py" <<'END'
import os
import sqlite3
import sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute('pragma journal_mode=wal')
db.execute('pragma synchronous=full')
db.execute('create table if not exists t(n integer primary key, v blob)')
if sys.argv[2] == 'check':
    assert db.execute('pragma integrity_check').fetchone() == ('ok',)
    have = db.execute('select max(n), count(*) from t').fetchone()
    told = int(open(sys.argv[3]).read().split()[-1])
    assert have[0] >= told and have[0] == have[1], (have, told)
    sys.exit(0)
n = db.execute('select coalesce(max(n), 0) from t').fetchone()[0]
told = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
while True:
    n += 1
    db.execute('insert into t values (?, ?)', (n, os.urandom(n * 37 % 9000)))
    os.write(told, b'%d\n' % n)
END

if begin sqlite python3; then
	for round in 1 2 3; do
		: >"$work/told"
		timeout 60 python3 "$work/db.py" "$mnt/sqlite/db" run \
			"$work/told" 2>/dev/null &
		client=$!
		while kill -0 $client 2>/dev/null &&
			[ "$(wc -l <"$work/told")" -lt 40 ]; do
			sleep 0.02
		done
		kill -9 "$(sed -n 's/^pid //p' "$image.relive/mount")"
		wait $client
		mount_at "$mnt" "$image"
		check "sqlite: round $round" python3 "$work/db.py" \
			"$mnt/sqlite/db" check "$work/told"
	done
	finish sqlite
fi

# -- fio ----------------------------------------------------------------------

if begin fio; then
	for engine in psync libaio mmap; do
		check "fio: $engine" fio --name=v --directory="$mnt/fio" \
			--ioengine=$engine --iodepth=8 --rw=randrw \
			--bsrange=4k-128k --size=$((${long:-0} * 90 + 10))m \
			--fsync=64 --verify=crc32c --verify_fatal=1 \
			--do_verify=1 --verify_state_save=0 --minimal
	done
	finish fio
fi

# -- stress-ng ----------------------------------------------------------------

if begin stress-ng; then
	stressors=()
	for s in access chdir chmod chown dentry dir dirdeep dirmany dup \
		fallocate fcntl fiemap filename flock fpunch fstat getdent hdd \
		inode-flags io lease link locka lockf lockofd metamix mknod \
		open readahead rename seek symlink sync-file touch utime xattr; do
		stress-ng --help | grep -q -- "--$s N" && stressors+=("--$s" 1)
	done
	# As somebody who is not root: it makes devices and mounts otherwise.
	chmod 777 "$mnt/stress-ng" && chmod 755 "$work"
	check "stress-ng: $((${#stressors[@]} / 2)) stressors" setpriv \
		--reuid=1000 --regid=1000 --clear-groups stress-ng --verify \
		--temp-path "$mnt/stress-ng" -t $((${long:-0} * 110 + 10)) \
		"${stressors[@]}"
	finish stress-ng
fi

# -- what takes long ----------------------------------------------------------

if [ -n "$long" ] && begin make; then
	cp -r "$top"/{Makefile,fusefs,imgfmt,mkimage,scripts} "$mnt/make"
	check "make: the program itself" \
		make -C "$mnt/make" -j 4 relive CCACHE_DISABLE=1
	finish make
fi

if [ -n "$long" ] && begin tar; then
	mkdir "$work/many"
	(cd "$work/many" && seq 50000 | split -a 4 -l 1 - f)
	check "tar: 50000 files" eval 'tar -C "$work/many" -c . |
		tar -C "$mnt/tar" -x && diff -r "$work/many" "$mnt/tar"'
	finish tar
fi
end
