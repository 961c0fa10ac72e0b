#!/bin/bash
# Prints the folder of a Linux root that systemd boots from, and makes it first where it is not there yet.
#
# usage: rootfs.sh [SUITE]      bookworm (default), bullseye, trixie; on Ubuntu its own suite is the default
#
# The root is made once (half a minute, needs a package mirror) and kept in .cache/machines/ of the project. Its name
# carries a hash of this file and lib.sh, so a changed recipe makes a new root and drops the old one. Nobody writes into it:
# machines and images are overlays.
#
# BOOT_MIRROR names a mirror; without it the one that apt uses on this machine is taken.
set -euo pipefail
# shellcheck source=test/support/machine/lib.sh
. "$(dirname "$0")/lib.sh"

suite=${1:-$(default_suite)}
cached "$suite-$(dpkg --print-architecture)"
root=$work/root
mirror=$(mirror)

# Manuals and translations of the base system are left out for speed; the setting must not stay in the root, or the
# package under test would be installed without its own.
# cloud-init is not installed but laid on a shelf, for images that want it: no mirror is reached later.
# In a mount namespace of its own: whatever mmdebstrap mounts goes with it, however it ends.
# shellcheck disable=SC2016 # expanded by mmdebstrap's shell
shelve='mkdir -p "$1/var/cache/shelf/partial" && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get --yes --quiet \
	--download-only -o Dir::Cache::archives="$1/var/cache/shelf" install cloud-init'
if ! unshare --mount --propagation private mmdebstrap --mode=root --variant=apt --format=directory \
	--include=systemd,systemd-sysv,dbus,libnss-systemd,init-system-helpers,iproute2,ca-certificates,procps \
	--aptopt='Acquire::Languages "none"' \
	--dpkgopt='path-exclude=/usr/share/man/*' \
	--dpkgopt='path-exclude=/usr/share/doc/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' \
	--customize-hook="$shelve" \
	"$suite" "$root" "$mirror" >"$work/log" 2>&1 9>&-; then
	cat "$work/log" >&2
	fail "mmdebstrap failed, see above"
fi
rm -f "$root"/etc/dpkg/dpkg.cfg.d/99mmdebstrap "$root"/etc/apt/apt.conf.d/99mmdebstrap

# No machine of the test reaches a mirror; apt installs from files.
: >"$root/etc/apt/sources.list"

# Empty, not absent: each machine gets an id of its own at its first boot, and systemd does not take that boot for
# the very first of a fresh system, in which it would enable and disable units by their presets.
: >"$root/etc/machine-id"

# Logs outlive the boot that wrote them.
mkdir -p "$root/var/log/journal"

# What cloud-init or ec2-net-utils do on an EC2 image: DHCP on every interface, the VPC's resolver.
mkdir -p "$root/etc/systemd/network"
cat >"$root/etc/systemd/network/10-vpc.network" <<'NETWORK'
[Match]
Name=ens* eth* host0

[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no

[DHCPv4]
ClientIdentifier=mac
UseDNS=no
NETWORK
rm -f "$root/etc/resolv.conf"
echo 'nameserver 169.254.169.253' >"$root/etc/resolv.conf"
systemctl --quiet --root="$root" enable systemd-networkd.service systemd-networkd-wait-online.service

finish "$root"
