#!/bin/sh
# $1 = 0: the package is gone. $1 = 1 or more: an upgrade, nothing to do.
if [ "$1" -eq 0 ]; then
	# The runtime directory outlives the unit on purpose (RuntimeDirectoryPreserve=).
	rm -rf /run/eip-heal /run/private/eip-heal || :
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload >/dev/null 2>&1 || :
	fi
fi
