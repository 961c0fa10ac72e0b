#!/bin/bash
# Do the tests keep their word on a machine that has no time for them? Runs a command again and again while programs compute.
#
# usage: stress.sh LOAD TIMES COMMAND [ARGUMENT]...
#
# Exit status: that of the first run that fails; it is the last one.
set -euo pipefail

load=$1 times=$2
shift 2
burners=()
trap 'kill "${burners[@]}"' EXIT
for ((n = 0; n < load; n++)); do
	(while :; do :; done) &
	burners+=($!)
done

for ((n = 1; n <= times; n++)); do
	echo "--- run $n of $times at a load of $load" >&2
	"$@"
done
