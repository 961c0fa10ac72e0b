#!/bin/bash
# The first process inside the namespaces that enter.sh makes: lays out the cloud, then runs the command.
#
# usage: namespace.sh COMMAND [ARGUMENT]...
#
# Leaves in the environment: BOOT_SCRATCH, a folder in memory for all that a run writes, and BOOT_CGROUP, the control
# group below which each machine gets one of its own.
set -euo pipefail

# Only cgroup v2, as on the systems that the machines imitate; a host with both kinds would show through as "tainted".
umount --recursive /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# systemd-nspawn wants /run in memory. With it goes everything a run leaves behind.
mount -t tmpfs -o mode=755 tmpfs /run

export BOOT_SCRATCH=/run/eip-heal-boot
export BOOT_CGROUP=/sys/fs/cgroup/$BOOT_NAME
export TMPDIR=$BOOT_SCRATCH/tmp
mkdir -p "$TMPDIR" "$BOOT_CGROUP"

# A subnet of a VPC: its router, the EC2 API, instance metadata and the resolver, all on one bridge. Without a
# default route nothing of it leaves this namespace.
ip link set lo up
ip link add vpc0 type bridge
ip link set vpc0 up
for address in 10.0.0.1/24 10.0.0.2/32 169.254.169.254/32 169.254.169.253/32; do
	ip address add "$address" dev vpc0
done

# Not exec: the first process of a PID namespace has to reap orphans, which bash does.
"$@"
exit $?
