#!/bin/bash
# Removes the control groups of one run once the run is over; started by enter.sh, outside the namespaces.
#
# usage: sweep.sh NAME <PIPE      the run is over when the pipe closes
set -uo pipefail

cat >/dev/null

# Where cgroup v2 is mounted, alone or beside v1.
groups=$(findmnt --first-only --noheadings --types cgroup2 --output TARGET)/$1

# Killed processes leave their group a moment after they closed the pipe.
for _ in {1..100}; do
	[ -d "$groups" ] || exit 0
	find "$groups" -depth -type d -exec rmdir {} + 2>/dev/null
	sleep 0.1
done
echo "sweep.sh: $groups is still in use" >&2
exit 1
