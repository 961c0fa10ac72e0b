#!/bin/bash
# Prints the folder of a Linux root for virtual machines with Debian's policy for SELinux, and makes it first where it is
# not there yet. Its files have no labels: they get them when all of them are on a disk.
set -euo pipefail
# shellcheck source=test/support/machine/lib.sh
. "$(dirname "$0")/lib.sh"

arch=$(dpkg --print-architecture)
base=$("$here/vm-root.sh" "$arch")
cached selinux "$base/var/lib/dpkg/status"

own_apt "$(default_suite)" "$arch" "$base/var/lib/dpkg/status"
root=$work/root
cp -a --reflink=auto "$base" "$root"
install_into "$root" selinux-policy-default selinux-basics policycoreutils auditd
sed -i 's/^SELINUX=.*/SELINUX=enforcing/' "$root/etc/selinux/config"
finish "$root"
