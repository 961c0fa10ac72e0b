#!/bin/sh
# $1 = 0: the package goes. $1 = 1 or more: an upgrade, and this script is the old package's, which runs after the new
# one's post script: disabling here would undo what that one has set up.
if [ "$1" -eq 0 ]; then
	systemctl --no-reload disable eip-heal.service eip-heal-recheck.timer >/dev/null 2>&1 || :
	if [ -d /run/systemd/system ]; then
		systemctl stop eip-heal-retry.timer eip-heal-confirm.timer eip-heal-recheck.timer \
			eip-heal-recheck.service eip-heal-preload.service eip-heal.service >/dev/null 2>&1 || :
		# One that had failed would be listed as such until the next boot.
		systemctl reset-failed eip-heal.service eip-heal-recheck.service >/dev/null 2>&1 || :
	fi
fi
