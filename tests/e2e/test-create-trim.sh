#!/bin/bash
# relive create --trim leaves on an ISO the kernel modules that loader.conf
# loads, with all that they need by their own metadata, and no boot files that
# a CD has no use for.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/live.sh"
need_root
need cc bsdtar openssl gzip perl

# Records as sys/module.h makes them, in the linker set that kldxref reads.
cat >"$work/module.h" <<'END'
struct metadata { int version, type; const void *data; const char *cval; };
#define RECORD(id, type, data, cval) \
	static struct metadata id = {1, type, data, cval}; \
	static void const *const set_##id \
		__attribute__((section("set_modmetadata_set"), used)) = &id
#define DEPEND(on, a, b, c) static int on_##on[] = {a, b, c}; \
	RECORD(depend_##on, 1, on_##on, #on)
#define MODULE(m) RECORD(module_##m, 2, 0, #m)
#define VERSION(m, v) static int is_##m = v; RECORD(version_##m, 3, &is_##m, #m)
END
module() { # module FILE RECORDS [COMPILER-OPTION...]
	local file=$1
	printf '#include "%s/module.h"\n%s\n' "$work" "$2" >"$work/module.c"
	shift 2
	cc "${@:--c}" -o "$file" "$work/module.c"
}

tree=$work/tree
make_live "$tree"
kernel=$tree/boot/kernel
rm "${kernel:?}"/*
module "$kernel/kernel" 'VERSION(kernel, 1302001); VERSION(pci, 1);' \
	-shared -fPIC -nostdlib
module "$kernel/geom_uzip.ko" 'MODULE(g_uzip); VERSION(geom_uzip, 1);
	DEPEND(kernel, 1302000, 1302001, 1399999); DEPEND(codec, 2, 2, 3);'
module "$kernel/xz.ko" 'MODULE(xz); VERSION(codec, 3); DEPEND(deep, 1, 1, 1);'
module "$kernel/deep.ko" 'VERSION(deep, 1);'
gzip -n "$kernel/deep.ko"
module "$kernel/old_xz.ko" 'VERSION(codec, 1);'
module "$kernel/if_em.ko" 'MODULE(em); DEPEND(pci, 1, 1, 1);'
module "$kernel/unionfs.ko" 'VERSION(unionfs, 1);'
module "$kernel/nullfs.ko" 'VERSION(nullfs, 1);'
module "$tree/boot/modules/drm.ko" 'VERSION(drmn, 2); DEPEND(gpu, 1, 1, 1);'
module "$tree/boot/modules/other.ko" 'VERSION(other, 1);'
perl -e 'sub text { chr(length $_[0]) . $_[0] }
	sub record { my $r = pack("V", 2) . text($_[0]) . text($_[1]);
		$r .= "\0" while length($r) % 4; pack("V", length $r) . $r }
	print pack("V", 1), record("em", "if_em.ko"), record("xz", "xz.ko")' \
	>"$kernel/linker.hints"
for i in boot0 boot1 gptboot gptzfsboot zfsboot pxeboot loader_4th kernel/kernel.symbols; do
	noise 5000 "$i" >"$tree/boot/$i"
done
ln "$tree/boot/loader" "$tree/boot/loader_lua"
mkdir -p "$tree/usr/lib/debug"
noise 9000 debug >"$tree/usr/lib/debug/sh.debug"
cat >>"$tree/boot/loader.conf" <<'END'
#if_em_load="YES"
drm_load="YES"	# from a package
END

questions='\.ko|boot[01]|gpt|zfs|pxe|loader_|symbols|sh\.debug'
names() { # names ISO: what it holds of what is in question
	bsdtar -tf "$1" | sed 's,^\./,,' | grep -E "$questions" | LC_ALL=C sort
}
kept='boot/kernel/deep.ko.gz boot/kernel/geom_uzip.ko boot/kernel/xz.ko
boot/loader_lua boot/modules/drm.ko'
for layout in uzip memroot plain; do
	iso=$work/$layout.iso
	want=$kept
	# what the layout itself needs
	[ "$layout" = memroot ] && want="$kept boot/kernel/nullfs.ko boot/kernel/unionfs.ko"
	[ "$layout" = plain ] && echo 'geom_uzip_load="YES"' >>"$tree/boot/loader.conf"
	"$relive" create -o "$iso" --layout "$layout" --trim --gzip-kernel \
		"$tree" >"$work/said" 2>&1
	check "$layout: create" test $? = 0
	check "$layout: what is missing is told" grep -q \
		"'boot/modules/drm.ko' needs module 'gpu' in version 1 to 1" "$work/said"
	check "$layout: what was left out is told" grep -Eq \
		'left out: [0-9]+ modules \(.*[0-9]+ other files' "$work/said"
	names "$iso" >"$work/names"
	xargs -n1 <<<"$want" | LC_ALL=C sort >"$work/want"
	same "$layout: modules and boot files" "$work/want" "$work/names"
	bsdtar -xOf "$iso" boot/kernel/linker.hints >"$work/hints"
	check "$layout: hints of what is left" grep -aq xz.ko "$work/hints"
	check "$layout: none of what is gone" sh -c "! grep -aq if_em '$work/hints'"
	check "$layout: the kernel" cmp "$kernel/kernel" \
		<(bsdtar -xOf "$iso" boot/kernel/kernel.gz | gzip -dc)
	check "$layout: check" "$relive" check "$iso"
done
check "the live root keeps its modules" "$relive" ls "$work/uzip.iso" \
	/boot/kernel/if_em.ko
check "and its hints" cmp "$kernel/linker.hints" \
	<("$relive" cat "$work/uzip.iso" /boot/kernel/linker.hints)
check "an archive" "$relive" create -q -o "$work/a.iso" --layout plain --trim \
	--gzip-kernel --archive base.tgz "$tree"
bsdtar -xOf "$work/a.iso" base.tgz | bsdtar -tf - >"$work/names"
check "has all of the tree" test "$(grep -Exc \
	'boot/kernel/(if_em.ko|kernel|linker.hints)|boot/pxeboot' "$work/names")" = 4
check "sizes are told" grep -Eq 'modules \([1-9]' "$work/said"
end
