#!/bin/bash
# Can this machine boot machines? Exit status 0: yes. 1: no, and each reason is a line on stdout.
set -uo pipefail

missing=
for command in systemd-nspawn mmdebstrap arch-test dnsmasq ip openssl gcc unshare nsenter setpriv findmnt flock; do
	command -v "$command" >/dev/null || missing+=" $command"
done
if [ -n "$missing" ]; then
	echo "not installed:$missing"
	exit 1
fi
if [ "$(id -u)" != 0 ]; then
	echo "not root"
	exit 1
fi

# Tried, not guessed: a container or a hardened kernel refuses any of these in its own way.
# shellcheck disable=SC2016 # expanded by the inner shell
unshare --mount --propagation private --net --pid --fork --kill-child=SIGKILL --mount-proc bash -euc '
	trap "echo \"refused: \$doing\"" ERR
	doing="a cgroup v2 of its own"
	umount --recursive /sys/fs/cgroup
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	doing="a tmpfs"
	mount -t tmpfs tmpfs /run
	doing="an overlay"
	mkdir /run/{lower,upper,work,root}
	mount -t overlay overlay -o lowerdir=/run/lower,upperdir=/run/upper,workdir=/run/work /run/root
	doing="a network bridge"
	ip link add vpc0 type bridge
	doing="a pair of network interfaces"
	ip link add left type veth peer name right
' 2>&1
