#!/bin/bash
# The command line itself: help, typos, exit codes, and a manual that agrees.
. "$(dirname "$0")/lib.sh"

commands() {
	"$relive" --help | sed -n 's/^  \([a-z]*\)  *.*/\1/p'
}

check "--version" sh -c "'$relive' --version | grep -Eq '^relive [0-9.]+$'"
check "--help names the commands" sh -c "'$relive' --help | grep -q '^  mount '"
check "and what else it takes" sh -c \
	"'$relive' --help | grep -c -e '--version' -e 'help COMMAND' | grep -qx 2"
"$relive" --help >"$work/help"
"$relive" help help >"$work/help2" 2>&1
same "help help is help" "$work/help" "$work/help2"
refuse "no command" 2 'no command given' "$relive"
refuse "a typo gets a hint" 2 "did you mean 'mount'" "$relive" mout x y
refuse "an unknown command" 2 "see 'relive --help'" "$relive" frobnicate
refuse "an unknown option" 2 "no option '--frob'" "$relive" info --frob x
refuse "an unknown letter" 2 "no option '-x'" "$relive" ls -x image
refuse "a missing value" 2 "needs a value" "$relive" uzip raw -o
refuse "a missing operand" 2 'too few arguments' "$relive" ls
refuse "one operand too many" 2 "too many: 'b'" "$relive" info a b
refuse "a bad size" 2 'no cluster size' "$relive" uzip -s 1000 raw -o out
refuse "a bad number" 2 'no number of threads' "$relive" uzip -j 0 raw -o out
for c in "uzip raw" "unuzip image" "commit image" "create tree" "convert image"; do
	# shellcheck disable=SC2086 # words
	refuse "${c% *} to standard output" 2 'standard output' "$relive" $c -o -
done
refuse "nor by --uzip" 2 'standard output' "$relive" commit image --uzip -
refuse "nor by --raw" 2 'standard output' "$relive" commit image --raw -
refuse "an archive below the top" 2 "'usr/base.tgz' has a slash" \
	"$relive" create -o x.iso --archive usr/base.tgz tree
refuse "a level that zlib has not" 2 'zlib has 1 to 12' \
	"$relive" uzip -C 15 raw -o out
refuse "nor lzma" 2 'xz has 1 to 9' "$relive" commit image -o out -A lzma -C 10
refuse "a bad codec" 2 "no algorithm 'lz4'" "$relive" uzip -A lz4 raw -o out
refuse "a file that is not there" 1 'none.iso.*No such file' \
	"$relive" info "$work/none.iso"
refuse "a directory that is no session" 1 . "$relive" ls "$work"
head -c 100000 /dev/zero | tr '\0' x >"$work/text"
refuse "a file that is no image" 1 "'$work/text'" "$relive" info "$work/text"
refuse "standard output that is full" 1 'standard output' \
	sh -c "'$relive' --help >/dev/full"
refuse "standard output that is closed" 1 'standard output' \
	sh -c "'$relive' --help >&-"
check "a pipe that closes early ends it quietly" \
	sh -c "'$relive' --help | true"

for c in $(commands); do
	check "help of $c" sh -c "'$relive' $c --help | grep -q '^usage: relive $c'"
	check "help $c" sh -c "'$relive' help $c | grep -q '^usage: relive $c'"
	refuse "$c without operands" 2 "see 'relive $c --help'" "$relive" "$c"
done

if command -v mandoc >/dev/null; then
	mandoc -Tascii -O width=78 "$top/mkimage/relive.1" | col -bx >"$work/man" 2>/dev/null ||
		mandoc -Tascii "$top/mkimage/relive.1" | sed 's/.\x08//g' >"$work/man"
	for word in 'relive help' '--version'; do
		check "the manual knows $word" grep -qF -- "$word" "$work/man"
	done
	"$relive" cat --help | sed -nE 's/^ +(--[a-z]+).*/\1/p' >"$work/options"
	awk '$1 == "relive" && NF > 1 { on = $2 == "cat" } on' "$work/man" |
		sed -nE "s/^ +(--[a-z]+)( .*)?\$/\\1/p" >"$work/told"
	same "the manual has the options of cat itself" "$work/options" "$work/told"
	for c in $(commands); do
		# The command's own section of the manual, up to the next one.
		awk -v c="$c" '$1 == "relive" && NF > 1 { on = $2 == c } on' \
			"$work/man" | sed -n '/OPTIONS/,$d;p' >"$work/section"
		"$relive" "$c" --help |
			sed -nE 's/^ +(-[A-Za-z], )?(--[a-z-]+).*/\2/p' |
			grep -vE '^--(help|quiet|verbose)$' |
			while read -r option; do
				grep -qF -- "$option" "$work/section" ||
					echo "$option of $c is not in relive(1)"
			done >"$work/missing"
		same "the manual has every option of $c" /dev/null "$work/missing"
	done
else
	skip "the manual has every option" "no mandoc"
fi

if [ -x "$top/relive" ]; then
	make_here() { # make_here TARGET: in a place with a space in its name
		env -u MAKEFLAGS make -s -C "$top" -o relive "$1" \
			DESTDIR="$work/in st" PREFIX="/usr local"
	}
	check "make install" make_here install
	(cd "$work/in st" && find . -type f | LC_ALL=C sort) >"$work/got"
	printf '%s\n' "./usr local/bin/relive" \
		"./usr local/share/man/man1/relive.1" >"$work/want"
	same "puts both files there" "$work/want" "$work/got"
	check "make uninstall" make_here uninstall
	find "$work/in st" -type f >"$work/got"
	same "takes them away" /dev/null "$work/got"
else
	skip "make install" "relive was not built here"
fi
end
