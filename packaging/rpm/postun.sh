#!/bin/sh
# $1 = 0: the package is gone. $1 = 1 or more: an upgrade, nothing to do.
if [ "$1" -eq 0 ]; then
	# The runtime directory outlives the unit on purpose (RuntimeDirectoryPreserve=).
	rm -rf /run/eip-heal /run/private/eip-heal || :
	# What "disable" has passed over, because the unit was masked.
	rm -f /etc/systemd/system/multi-user.target.wants/eip-heal.service \
		/etc/systemd/system/timers.target.wants/eip-heal-recheck.timer || :
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload >/dev/null 2>&1 || :
	fi
fi
