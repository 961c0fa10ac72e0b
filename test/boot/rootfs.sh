#!/bin/bash
# Prints the folder of a Linux root that systemd boots from, and makes it first where it is not there yet.
#
# usage: rootfs.sh [SUITE]      bookworm (default), bullseye, trixie; on Ubuntu its own suite is the default
#
# The root is made once (half a minute, needs a package mirror) and kept in .cache/boot/ of the project. Its name
# carries a hash of this file, so a changed recipe makes a new root and drops the old one. Nobody writes into it:
# machines and images are overlays.
#
# BOOT_MIRROR names a mirror; without it the one that apt uses on this machine is taken.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(cd "$here/../.." && pwd)/.cache/boot

# Debian, except on Ubuntu, whose apt knows no Debian mirror: there the very system this is.
origin=$(sed -n 's/^ID=//p' /etc/os-release)
default=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
if [ "$origin" != ubuntu ]; then
	origin=debian
	default=bookworm
fi
suite=${1:-$default}
arch=$(dpkg --print-architecture)
recipe=$(sha256sum "$here/rootfs.sh" | cut -c 1-12)
root=$cache/$suite-$arch-$recipe

if [ -d "$root" ]; then
	echo "$root"
	exit
fi

# shellcheck disable=SC2016 # the placeholders are apt's
mirror=${BOOT_MIRROR:-$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
	awk -v origin="$origin" 'tolower($1) == origin && !mirror { mirror = $2 } END { print mirror }')}
if [ -z "$mirror" ]; then
	echo "rootfs.sh: apt knows no mirror of $origin; set BOOT_MIRROR" >&2
	exit 1
fi

# One at a time, and not while a test (enter.sh) stands on a root that is dropped below.
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ -d "$root" ]; then
	echo "$root"
	exit
fi
echo "rootfs.sh: making $root (once, about half a minute)" >&2
rm -rf "$cache/$suite-$arch-"*
new=$cache/new.$$
trap 'rm -rf "$new"' EXIT

# Manuals and translations of the base system are left out for speed; the setting must not stay in the root, or the
# package under test would be installed without its own.
# cloud-init is not installed but laid on a shelf, for images that want it: no mirror is reached later.
# In a mount namespace of its own: whatever mmdebstrap mounts goes with it, however it ends.
log=$cache/$suite-$arch.log
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
	"$suite" "$new" "$mirror" >"$log" 2>&1 9>&-; then
	cat "$log" >&2
	echo "rootfs.sh: mmdebstrap failed, see above" >&2
	exit 1
fi
rm -f "$new"/etc/dpkg/dpkg.cfg.d/99mmdebstrap "$new"/etc/apt/apt.conf.d/99mmdebstrap

# No machine of the test reaches a mirror; apt installs from files.
: >"$new/etc/apt/sources.list"

# Empty, not absent: each machine gets an id of its own at its first boot, and systemd does not take that boot for
# the very first of a fresh system, in which it would enable and disable units by their presets.
: >"$new/etc/machine-id"

# Logs outlive the boot that wrote them.
mkdir -p "$new/var/log/journal"

# What cloud-init or ec2-net-utils do on an EC2 image: DHCP on every interface, the VPC's resolver.
mkdir -p "$new/etc/systemd/network"
cat >"$new/etc/systemd/network/10-vpc.network" <<'NETWORK'
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
rm -f "$new/etc/resolv.conf"
echo 'nameserver 169.254.169.253' >"$new/etc/resolv.conf"
systemctl --quiet --root="$new" enable systemd-networkd.service systemd-networkd-wait-online.service

mv "$new" "$root"
echo "$root"
