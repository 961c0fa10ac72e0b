#!/bin/bash
# Installs what `make test` needs on a Debian or Ubuntu beyond Node, npm and Python: test/tools/packages.txt.
#
# usage: deps.sh [GROUP]...       those of "make test" without an argument
#
# Does nothing, quickly, when all is there. Without root, or on another system, it names what is missing, and the
# tests that need it say that they are skipped. What the archive does not have is named too. Neither is a failure.
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
list=$(dirname "${BASH_SOURCE[0]}")/packages.txt

groups=("$@")
[[ $# != 0 ]] || groups=(binary boot packages install aws moto)
wanted=()
for group in "${groups[@]}"; do
	mapfile -t found < <(awk -v group="$group" '$1 == group { for (i = 2; i <= NF; i++) print $i }' "$list")
	if [[ ${#found[@]} == 0 ]]; then
		echo "deps.sh: unknown group $group; known: $(awk '!/^(#|$)/ { print $1 }' "$list" | uniq | paste -sd' ')" >&2
		exit 64
	fi
	wanted+=("${found[@]}")
done

# Those of them that dpkg does not know as installed.
missing() {
	local there
	there=$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null || :)
	comm -23 <(printf '%s\n' "${wanted[@]}" | sort -u) <(sed -n 's/^installed //p' <<<"$there" | sort -u)
}

mapfile -t packages < <(missing)
[[ ${#packages[@]} != 0 ]] || exit 0
if ! command -v apt-get >/dev/null || [[ $(id -u) != 0 ]]; then
	echo "deps.sh: missing, and not installed because this is not root on Debian or Ubuntu: ${packages[*]}" >&2
	exit 0
fi

echo "deps.sh: installing ${packages[*]}" >&2
apt() {
	apt-get -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -qq "$@" >&2
}
apt update
available=()
for package in "${packages[@]}"; do
	if [[ -n $(apt-cache --no-all-versions show "$package" 2>/dev/null) ]]; then
		available+=("$package")
	fi
done
[[ ${#available[@]} == 0 ]] || apt install --yes --no-install-recommends "${available[@]}"
mapfile -t packages < <(missing)
[[ ${#packages[@]} == 0 ]] || echo "deps.sh: still missing: ${packages[*]}" >&2
