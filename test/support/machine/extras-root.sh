#!/bin/bash
# Prints the folder of a Linux root with apt and what the examples need besides the package: Python and its binding to
# apt for Ansible, a name server and nsupdate for DNS. Makes it first where it is not there yet.
set -euo pipefail
# shellcheck source=test/support/machine/lib.sh
. "$(dirname "$0")/lib.sh"

suite=$(default_suite)
base=$("$here/rootfs.sh" "$suite")
cached extras "$base/var/lib/dpkg/status"

own_apt "$suite" "$(dpkg --print-architecture)" "$base/var/lib/dpkg/status"
root=$work/root
cp -a --reflink=auto "$base" "$root"
install_into "$root" python3 python3-apt bind9 bind9-dnsutils
# Only where a test says so.
systemctl --quiet --root="$root" disable named.service
finish "$root"
