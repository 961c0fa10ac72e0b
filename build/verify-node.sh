#!/bin/bash
# Holds the Node binaries of the npm packages, which a third party publishes, against those of the Node project: the
# archives that SHASUMS256.txt vouches for have to contain the very same bytes.
#
# usage: build/verify-node.sh
#
# environment: NODE_DIST   where the Node project's releases are
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
	echo "build/verify-node.sh: $1" >&2
	exit 1
}

host=$(echo node_modules/node-linux-*/bin/node)
[[ -x $host ]] || fail "$host is missing; make installs it"
version=$("$host" -p process.versions.node)
base=${NODE_DIST:-https://nodejs.org/dist}/v$version
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fetch() {
	curl --fail --silent --show-error --location --retry 3 --output "$work/$1" "$base/$1" ||
		fail "cannot download $base/$1"
}

fetch SHASUMS256.txt
count=0
for node in "$host" .tools/node-linux-*-"$version"/bin/node; do
	[[ -x $node ]] || continue
	[[ $node =~ node-linux-(x64|arm64) ]] || fail "$node: for which architecture?"
	name=node-v$version-linux-${BASH_REMATCH[1]}
	fetch "$name.tar.xz"
	(cd "$work" && grep -F "  $name.tar.xz" SHASUMS256.txt | sha256sum --check --quiet --strict -) ||
		fail "$name.tar.xz is not what SHASUMS256.txt says"
	tar -xJf "$work/$name.tar.xz" -C "$work" "$name/bin/node"
	cmp "$work/$name/bin/node" "$node" || fail "$node is not the Node project's"
	echo "$node: the Node project's own"
	count=$((count + 1))
done
[[ $count -gt 0 ]]
