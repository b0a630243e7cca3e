#!/bin/bash
# The two minutes of README.md, line by line, on an ISO made here; the second
# block of commands too.  All of it as a user who is not root.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/live.sh"
need_root
need_fuse
need makefs genisoimage openssl fusermount3 setpriv

# fusermount3 wants one that has a name.
uid=$(id -u games 2>/dev/null) || skip_all "no user 'games'"
open_fuse

make_live "$work/tree"
mkdir -p "$work/tree/usr/local"
make_ufs "$work/image.ufs" "$work/tree" 1 8192 1024
"$relive" uzip -q "$work/image.ufs" -o "$work/image.uzip"
make_iso "$work/live.iso" "$work/image.uzip" seed

# The indented lines under the heading, without those that build.
awk '/^## Two minutes/ { on = 1; next } /^## / { on = 0 } on && /^    / {
	sub(/^    /, ""); sub(/ +#.*/, ""); print }' "$top/README.md" |
	grep -v install-deps >"$work/lines"
[ "$(wc -l <"$work/lines")" -ge 12 ] && pass "README.md has its session" ||
	fail "README.md has its session" "$work/lines"

tar -C "$work/tree" --exclude=./boot/kernel -cJf "$work/base.txz" .
tar -C "$work/tree" -cJf "$work/kernel.txz" ./boot/kernel
mkdir -p "$work/overlay/root"
echo mine >"$work/overlay/root/notes"
cat >"$work/METALOG" <<'MTREE'
#mtree 2.0
./etc type=dir uname=root gname=wheel mode=0755
./root type=dir uname=root gname=wheel mode=0750
MTREE
# In place of QEMU; test-boot.sh has the real one.
mkdir "$work/bin"
printf '#!/bin/sh\necho login:\n' >"$work/bin/qemu-system-x86_64"
chmod 755 "$work/bin/qemu-system-x86_64"
mkdir "$work/home"
echo welcome >"$work/home/motd"
cd "$work" || exit 1
rmdir "$mnt"
chown -R "$uid:$uid" "$work"
our_mounts+=("$work/live")
while read -r line; do
	here=${line//.\/relive/"$relive"}
	here=${here//system.uzip/base.ufs.uzip}
	check "$line" setpriv --reuid "$uid" --regid "$uid" --clear-groups \
		--inh-caps=-all env HOME="$work/home" PATH="$work/bin:$PATH" bash -c "$here" </dev/null
done <"$work/lines"

[ "$("$relive" cat new.iso /etc/rc.conf | tail -n 1)" = 'sshd_enable="YES"' ] &&
	pass "the new ISO holds the edit" || fail "the new ISO holds the edit"
[ "$("$relive" cat new.iso /etc/motd)" = welcome ] &&
	pass "and the new file" || fail "and the new file"
check "the old one is untouched" cmp <("$relive" cat live.iso /etc/rc.conf) \
	"$work/tree/etc/rc.conf"
check "the new ISO passes the checker" "$relive" check new.iso
end
