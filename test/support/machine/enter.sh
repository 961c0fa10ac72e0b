#!/bin/bash
# Runs a command inside a small cloud of its own, in which machines can be booted.
#
# usage: enter.sh COMMAND [ARGUMENT]...
#
# The command gets private mount, process and network namespaces: nothing it starts, mounts or configures is seen
# outside, and whatever ends this script, even SIGKILL, ends all of it. Its network has no way out.
#
# BOOT_SUITE names another Debian or Ubuntu than the default of rootfs.sh.
#
# Exit status: that of the command. Where nothing can be booted this says why and is 0, so that a test run goes on
# without it; but with CI set it is 1, because there somebody relies on the test.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if ! why=$("$here/can-boot.sh"); then
	printf '\n%s\n' '*** NO BOOT TEST: this machine cannot boot machines ***' "$why" \
		'(root on Debian or Ubuntu is needed, and what test/tools/deps.sh boot installs)' '' >&2
	[ -z "${CI:-}" ]
	exit
fi

BOOT_ROOT=$("$here/rootfs.sh" ${BOOT_SUITE:+"$BOOT_SUITE"})
# Kept open to the end, so that nobody drops the root below a running machine.
exec 8<"${BOOT_ROOT%-*}.lock"
flock --shared 8

export BOOT_ROOT
export BOOT_NAME=eip-heal-boot.$$

# Control groups are the one thing a namespace does not take with it. A process outside waits for the pipe to close,
# which it does when the last process that holds its other end is gone, and removes the groups, empty by then.
exec 7> >(exec setsid "$here/sweep.sh" "$BOOT_NAME" 8>&-)

# In the background, because bash runs a trap only between two foreground commands. setpriv, because unshare
# blocks SIGTERM and would outlive this script.
setpriv --pdeathsig KILL unshare --mount --propagation private --net --pid --fork --kill-child=SIGKILL --mount-proc \
	"$here/namespace.sh" "$@" <&0 &
trap 'kill -KILL $!' INT TERM HUP
status=0
wait $! || status=$?
exit "$status"
