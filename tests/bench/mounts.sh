# Sourced behind workload.sh: mounting each kind of file system the same way, and
# comparing what a command costs in it.  Every daemon is started in the
# foreground of this shell, so that its CPU time can be asked for.
#
# shellcheck shell=bash disable=SC2154 # lib.sh's

peer=$work/peer
mkdir -p "$peer"
mounted+=("$peer")

# What a kind needs beyond relive.
kind_can() { # kind_can WHAT KIND
	case $2 in
	squashfuse*) can "$1, $2" squashfuse_ll mksquashfs ;;
	fuse2fs*) can "$1, $2" fuse2fs mkfs.ext4 ;;
	overlay) can "$1, $2" fuse-overlayfs ;;
	squashfs) can "$1, $2" root mksquashfs mount &&
		{ grep -qw squashfs /proc/filesystems || modprobe -q squashfs ||
			{ say "left out: $1, $2: not in this kernel" && false; }; } ;;
	esac
}

# Wait until the daemon $pid serves $dir; its helper counts too.
serves() {
	local i
	for ((i = 0; i < 1000; i++)); do
		if mountpoint -q "$dir"; then
			pid="$pid $(pgrep -P "$pid" | tr '\n' ' ')"
			return
		fi
		kill -0 "$pid" 2>"$work/log" || break
		sleep 0.01
	done
	fail "mount $dir"
}

mount_relive() { # mount_relive IMAGE [OPTION]...
	image_of "$1"
	dir=$mnt
	"$relive" mount -f "${@:2}" "$image" "$mnt" >"$work/daemon" 2>&1 &
	pid=$!
	serves
}

# A daemon of others that serves $peer.
mount_other() { # mount_other PROGRAM ARGUMENT...
	dir=$peer
	"$@" >"$work/daemon" 2>&1 &
	pid=$!
	serves
}

up() { # up KIND: $dir is where it is, $pid what serves it
	image=
	case $1 in
	relive) mount_relive main --session "$work/session" ;;
	relive-ro) mount_relive main --ro ;;
	relive-ufs1) mount_relive ufs1 --ro ;;
	relive-zstd) mount_relive zstd --ro ;;
	squashfuse)
		image_of squashfs
		mount_other squashfuse_ll -f "$image" "$peer"
		;;
	relive-big) mount_relive big --ro ;;
	squashfuse-big)
		image_of big-squashfs
		mount_other squashfuse_ll -f "$image" "$peer"
		;;
	fuse2fs)
		image_of ext4
		mount_other fuse2fs -f -o ro "$image" "$peer"
		;;
	fuse2fs-rw)
		image_of ext4
		cp --sparse=always --reflink=auto "$image" "$work/rw.ext4"
		image=$work/rw.ext4
		mount_other fuse2fs -f -o rw "$image" "$peer"
		;;
	overlay)
		mkdir "$work/upper" "$work/over"
		mount_other fuse-overlayfs -f -o \
			"lowerdir=$tree,upperdir=$work/upper,workdir=$work/over" "$peer"
		;;
	squashfs)
		image_of squashfs
		mount -o loop,ro "$image" "$peer" && pid='' dir=$peer
		;;
	plain) pid='' dir=$tree ;;
	esac
}

down() {
	case $dir in
	"$mnt") "$relive" umount "$mnt" ;;
	"$peer") umount "$peer" ;;
	esac
	[ -z "$pid" ] || wait "${pid%% *}"
	pid=
	rm -rf "$work/session" "$work/upper" "$work/over" "$work/rw.ext4"
}

# Everything out of the kernel's caches but the image itself: the disk is not
# what is measured.
drop_caches() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	[ -z "$image" ] || cat "$image" >/dev/null
}

# The command sees $dir.
timed() { # timed FILE COMMAND
	measure "$1" env dir="$dir" work="$work" share="$share" bash -c "$2"
}

usable() { # usable WHAT KIND...: $kinds are those that can be mounted here
	local what=$1 kind
	shift
	kinds=()
	for kind; do
		kind_can "$what" "$kind" && kinds+=("$kind")
	done
}

# Cold, and warm right behind it, of each kind in turn.  As root only: others
# cannot empty the caches, what they get is warm.
compare() { # compare NAME COMMAND KIND...
	local name=$1 command=$2 i kind
	shift 2
	rm -f "$work"/cold.* "$work"/warm.*
	usable "$name" "$@"
	for ((i = 0; i < runs; i++)); do
		for kind in "${kinds[@]}"; do
			up "$kind" || fail "mount $kind"
			if [ "$(id -u)" = 0 ]; then
				drop_caches
				timed "$work/cold.$kind" "$command"
			fi
			timed "$work/warm.$kind" "$command"
			down
		done
	done
	for i in cold warm; do
		for kind in "${kinds[@]}"; do
			[ ! -s "$work/$i.$kind" ] ||
				row "$name, $i, $kind" "$work/$i.$kind"
		done
	done
}

# A target for what compare found, where both are there.
versus() { # versus ITEM NAME cold|warm KIND PEER at-least|at-most LIMIT
	[ -s "$work/$3.$4" ] && [ -s "$work/$3.$5" ] || return 0
	target "$1" "$2, $3: $4 against $5" "$work/$3.$4" "$work/$3.$5" "$6" "$7"
}
