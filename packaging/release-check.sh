#!/bin/bash
# Refuses to release what does not agree with itself: the version in package.json, the newest section of CHANGELOG.md and
# of packaging/changelog.yaml, the tag of HEAD, and a tree that is what was committed. Names all that is wrong, not only the first.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."

problems=()
version=$(sed -nE 's/^  "version": "([^"]+)",?$/\1/p' package.json)
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || problems+=("package.json: \"$version\" is no version such as 1.2.3")

locked=$(sed -nE '1,/"packages"/s/^  "version": "([^"]+)",?$/\1/p' package-lock.json)
[[ $locked == "$version" ]] || problems+=("package-lock.json says ${locked:-nothing}, package.json $version")

heading=$(grep -m 1 '^## ' CHANGELOG.md || :)
if [[ $heading =~ ^##\ \[([^]]+)\]\ -\ ([0-9]{4}-[0-9]{2}-[0-9]{2})$ ]]; then
	named=${BASH_REMATCH[1]} day=${BASH_REMATCH[2]}
	[[ $named == "$version" ]] || problems+=("CHANGELOG.md begins with $named, package.json says $version")
	date --date="$day" >/dev/null 2>&1 || problems+=("CHANGELOG.md: there is no $day")
else
	problems+=("CHANGELOG.md begins with \"$heading\", not with \"## [$version] - YYYY-MM-DD\"")
fi

for_packages=$(sed -nE 's/^- semver: (.*)$/\1/p' packaging/changelog.yaml | head -n 1)
[[ $for_packages == "$version" ]] ||
	problems+=("packaging/changelog.yaml begins with ${for_packages:-nothing}, package.json says $version")

tags=$(git tag --points-at HEAD | tr '\n' ' ')
tags=${tags% }
[[ " $tags " == *" v$version "* ]] || problems+=("HEAD has no tag v$version; its tags: ${tags:-none}")

changes=$(git status --porcelain --untracked-files=all)
[[ -z $changes ]] || problems+=("the tree is not what was committed:"$'\n'"$changes")

if [[ ${#problems[@]} != 0 ]]; then
	printf 'release-check: %s\n' "${problems[@]}" >&2
	exit 1
fi
echo "release-check: $version can be released"
