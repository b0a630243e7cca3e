#!/bin/bash
# relive shell: a Linux tree in a UFS is entered by root and by users; whatever
# ends it, what was edited is durable and nothing stays mounted.
# shellcheck disable=SC2016,SC2034 # check evaluates what it is given
. "$(dirname "$0")/lib.sh"
need_root
need_fuse
need makefs busybox setpriv unshare

tree=$work/tree
mkdir -p "$tree"/{bin,dev,etc,proc,mnt,root,sys,tmp} "$work/tmp" "$work/extra"
cp "$(command -v busybox)" "$tree/bin/busybox"
chmod 755 "$tree/bin/busybox"
for name in sh cat chown echo id kill ls mount sleep stat sync touch; do
	ln -s busybox "$tree/bin/$name"
done
echo tree >"$tree/etc/resolv.conf"
echo www >"$tree/etc/www"
chown 33:44 "$tree/etc/www"
ln -s /mnt "$tree/link"
printf '\177ELF\002\001\001\011' >"$tree/bin/branded"
{ # unbranded, 64 bits, with one note at byte 120
	printf '\177ELF\002\001\001' && head -c 25 /dev/zero
	printf '\100' && head -c 21 /dev/zero
	printf '\070\000\001' && head -c 7 /dev/zero
	printf '\004\000\000\000\004\000\000\000\170' && head -c 47 /dev/zero
	printf '\010\000\000\000\004\000\000\000\001\000\000\000FreeBSD\000\001'
} >"$tree/bin/noted"
printf '#! /bin/branded -x\n' >"$tree/bin/script"
chmod 755 "$tree"/bin/{branded,noted,script}
echo extra >"$work/extra/file"
img=$work/live.ufs
make_ufs "$img" "$tree" 2 32768 4096 -s 16m
export TMPDIR=$work/tmp
base=$(sha256sum <"$img")

sh() { # sh SCRIPT [OPTION...]: in the tree
	local script=$1
	shift
	"$relive" shell "$@" "$img" -- sh -c "$script"
}
edited() { # edited NAME TEXT: what the session has there
	[ "$("$relive" cat "$img.relive" "$1")" = "$2" ]
}
clean() { # nothing of ours is left
	! grep -q "$work" /proc/self/mounts && [ -z "$(ls "$work/tmp")" ] &&
		{ [ ! -e "$img.relive/lock" ] || flock -n "$img.relive/lock" true; }
}
wait_clean() { # after a kill: the guard needs a moment
	local i
	for ((i = 0; i < 500; i++)); do
		clean && return
		read -rt 0.02 <>"$work/never"
	done
	clean
}
mkfifo "$work/never" "$work/ready"

status_is() { # status_is N COMMAND...
	local want=$1 got
	shift
	"$@"
	got=$?
	[ "$got" = "$want" ] || { echo "status $got" && false; }
}

check "a command runs in the tree, its exit status is ours" \
	status_is 7 sh 'echo new >/etc/new; exit 7'
check "what it wrote is in the session" edited /etc/new new
check "nothing stays mounted" clean
check "the image is as it was" eval '[ "$base" = "$(sha256sum <"$img")" ]'
check "a killed one has 128 and the signal" status_is 137 sh 'kill -9 $$'
check "the tree is /, and the environment root's" eval \
	'[ "$(sh "echo \$PWD \$HOME \$USER")" = "/ /root root" ]'
check "devices work" sh 'echo x >/dev/null && [ -c /dev/urandom ] &&
	[ -d /dev/pts ] && touch /dev/shm/x'
check "processes are its own" sh '[ -d /proc/1 ] && [ $$ -lt 9 ]'
check "/sys is read-only" sh 'cat /proc/mounts >/tmp/m; ! touch /sys/x'
check "the host's resolver is used" eval \
	'[ "$(sh "cat /etc/resolv.conf")" = "$(cat /etc/resolv.conf)" ]'
check "and cannot be written from there" sh \
	'! echo bad 2>/dev/null >/etc/resolv.conf'
check "the tree's own stays" edited /etc/resolv.conf tree
check "what was mounted leaves nothing in the tree" eval \
	'[ -z "$("$relive" ls "$img.relive" /dev)$("$relive" ls \
	"$img.relive" /proc)" ]'
check "--bind shows a folder, through the tree's own links" sh \
	'cat /mnt/file && echo back >/mnt/back' --bind "$work/extra:/link"
check "which is the host's" grep -q back "$work/extra/back"
refuse "a place that is not there" 1 "'/nowhere' in the tree: No such" \
	"$relive" shell "$img" --bind "$work/extra:/nowhere" -- ls
refuse "a folder on a file" 1 "one is a folder" \
	"$relive" shell "$img" --bind "$work/extra:/etc/www" -- ls
refuse "a source that is not there" 1 "No such file" \
	"$relive" shell "$img" --bind "$work/none:/mnt" -- ls
refuse "half a --bind" 2 "SRC:DST" "$relive" shell --bind x "$img"
refuse "no such command" 127 "no 'nothing' in the tree" \
	"$relive" shell "$img" -- nothing
refuse "what is no program" 126 "no program" \
	"$relive" shell "$img" -- /etc/www
for name in branded noted script; do
	refuse "FreeBSD's programs: $name" 126 \
		"FreeBSD program.*relive boot --session" \
		"$relive" shell "$img" -- $name
done
check "nothing stays of all that" clean
check "read-only" sh '! touch /etc/ro 2>/dev/null' --ro
check "a session elsewhere" sh 'touch /etc/else' --session "$work/elsewhere"
check "has it" "$relive" cat "$work/elsewhere" /etc/else
SHELL=/bin/none "$relive" shell "$img" >"$work/told" 2>&1 <<<'echo $SHELL $0'
check "without a command it is a shell" grep -qx '/bin/sh /bin/sh' "$work/told"

# -- on a mount that is there ---------------------------------------------------

check "mount" mount_at "$mnt" "$img"
check "a mounted image is entered where it is" sh 'echo beside >/etc/beside' -q
check "that is the same tree" grep -q beside "$mnt/etc/beside"
check "it stays mounted" mountpoint -q "$mnt"
check "umount" umount_at "$mnt"

# -- ends ------------------------------------------------------------------------

begin() { # begin WRAPPER...: in the background, until its command runs
	"$@" "$relive" shell -q "$img" -- sh -c \
		'trap "" HUP; sleep 999 & echo kept >/etc/kept; sync /etc/kept
		echo $$; sleep 999' \
		>"$work/ready" 2>/dev/null &
	shell=$!
	read -r _ <"$work/ready"
}
for signal in TERM INT HUP; do
	begin env
	kill -$signal $shell
	wait $shell
	got=$?
	check "SIG$signal ends it with its number" eval \
		"[ $got = $((128 + $(kill -l $signal))) ]"
	check "SIG$signal leaves nothing" clean
done
check "what it had written is kept" edited /etc/kept kept
begin env
kill -9 $shell
wait $shell 2>/dev/null
check "kill -9 leaves nothing after a moment" wait_clean
check "and the file system is whole" "$relive" check "$img.relive"

# -- users -----------------------------------------------------------------------

uid=$(id -u games 2>/dev/null) || uid=65534
open_fuse
user() {
	setpriv --reuid "$uid" --regid "$uid" --clear-groups --inh-caps=-all "$@"
}
if ! user unshare -Urmpf true 2>/dev/null; then
	skip "a user enters the tree" "no user namespaces here"
	end
fi
rm -rf "$img.relive"
chmod 777 "$work" "$work/tmp"
chown "$uid" "$img"
user "$relive" shell "$img" -- sh -c 'id -u; stat -c %u /etc /etc/www
	echo mine >/etc/mine; ! echo x 2>/dev/null >>/etc/www; exit 9' \
	>"$work/told" 2>"$work/err"
check "a user enters the tree, as root there" eval \
	"[ $? = 9 ] && [ \"\$(sed -n '1p;2p' '$work/told' | tr '\\n' ' ')\" = '0 0 ' ]"
if grep -q "^\(games\|$uid\):" /etc/subuid 2>/dev/null; then
	check "owners are shown" grep -qx 33 "$work/told"
else
	check "who cannot be shown is said, once" eval \
		'[ "$(grep -c "/etc/subuid" "$work/err")" = 1 ]'
fi
check "what was written belongs to root" eval \
	'"$relive" ls -l "$img.relive" /etc | grep -q " 0 *0 .* mine$"'
check "nothing stays mounted for users either" clean
begin setpriv --reuid "$uid" --regid "$uid" --clear-groups --inh-caps=-all
check "beside it, what has been flushed is committed" user "$relive" commit -q \
	"$img" -o "$work/beside.ufs"
kill -TERM $shell
wait $shell
check "SIGTERM ends a user's" eval "[ $? = 143 ] && clean"
check "which has it" eval \
	'[ "$("$relive" cat "$work/beside.ufs" /etc/kept)" = kept ]'
begin setpriv --reuid "$uid" --regid "$uid" --clear-groups --inh-caps=-all
kill -9 $shell
wait $shell 2>/dev/null
check "kill -9 of a user's leaves nothing" wait_clean
check "and that is whole too" "$relive" check "$img.relive"

# With ranges of ids, which only this test sees.
if ! id games >/dev/null 2>&1 || ! command -v newuidmap >/dev/null; then
	skip "owners are shown and changed" "no user 'games' or newuidmap"
	end
fi
cp -a /etc "$work/etc"
echo 'games:2000000:65536' | tee "$work/etc/subuid" >"$work/etc/subgid"
ranged() { # ranged SCRIPT
	unshare -m sh -c '
		mount --make-rprivate / && mount --bind "$1" /etc && shift &&
		exec "$@"' sh \
		"$work/etc" setpriv --reuid games --regid games --clear-groups \
		"$relive" shell "$img" -- sh -c "$1"
}
ranged 'stat -c %u:%g /etc/www && chown 65:66 /etc/www && echo x >>/etc/www' \
	>"$work/told" 2>"$work/err"
check "with ranges of ids owners are shown" grep -qx 33:44 "$work/told"
check "nothing is said" eval '[ ! -s "$work/err" ]'
check "and they are stored as given" eval \
	'"$relive" ls -l "$img.relive" /etc | grep -q " 65 *66 .* www$"'
end
