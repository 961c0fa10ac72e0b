#!/bin/sh
# $1 = 1: first installation. $1 = 2 or more: upgrade.

# "enable", not "preset": the presets of Amazon Linux, RHEL and Fedora end in "disable *", and are not read in a
# chroot. On the first installation only, so that an administrator's "systemctl disable" survives upgrades. Never
# started or restarted here: the machine may be an image builder, or a standby whose restart would take the address.
if [ "$1" -eq 1 ]; then
	systemctl --no-reload enable eip-heal.service >/dev/null 2>&1 || :
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload >/dev/null 2>&1 || :
fi
