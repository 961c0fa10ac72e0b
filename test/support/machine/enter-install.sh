#!/bin/bash
# Runs the tests of the installation, in a small cloud of their own (enter.sh).
#
# usage: enter-install.sh COMMAND [ARGUMENT]...
#
# The command finds in the environment: INSTALL_ROOTS, one NAME=FOLDER for each Linux root that .deb packages are
# tested on, INSTALL_DNF_ROOT, the root with dnf, and INSTALL_EXTRAS_ROOT, the one with apt for the examples. What
# this machine cannot have is missing there, and said here; but with CI set that is a failure, because there somebody
# relies on the tests.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

skip() {
	printf '\n%s\n\n' "*** NOT TESTED: $1 ***" >&2
	[ -z "${CI:-}" ]
}

if ! why=$("$here/can-boot.sh"); then
	skip "installing, upgrading and removing the packages. This machine cannot boot machines: $why"
	exit
fi

# Those with the first and the last systemd that is supported, and what is between them. On Ubuntu, where apt knows no
# Debian mirror, the very system this is.
suites='bullseye bookworm trixie'
if grep -qx 'ID=ubuntu' /etc/os-release; then
	suites=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
fi
INSTALL_ROOTS=
for suite in ${INSTALL_SUITES:-$suites}; do
	if root=$("$here/rootfs.sh" "$suite"); then
		INSTALL_ROOTS+="$suite=$root "
	else
		skip "the .deb on $suite: no root of it could be made"
	fi
done
missing=
for command in gpg apt-ftparchive dpkg-deb; do
	command -v "$command" >/dev/null || missing+=" $command"
done
if [ -n "$missing" ]; then
	skip "the .deb: not installed:$missing"
	INSTALL_ROOTS=
fi

INSTALL_DNF_ROOT=
missing=
for command in gpg rpmbuild rpmsign rpm2cpio cpio createrepo_c; do
	command -v "$command" >/dev/null || missing+=" $command"
done
if [ -n "$missing" ]; then
	skip "the .rpm: not installed:$missing"
elif ! INSTALL_DNF_ROOT=$("$here/dnf-root.sh"); then
	INSTALL_DNF_ROOT=
	skip 'the .rpm: no root with dnf could be made'
fi

if ! INSTALL_EXTRAS_ROOT=$("$here/extras-root.sh"); then
	INSTALL_EXTRAS_ROOT=
	skip 'the examples for Ansible by apt and for DNS: no root for them could be made'
fi

# Kept open to the end, so that nobody drops the root below a running machine; enter.sh does it for the others.
if [ -n "$INSTALL_DNF_ROOT" ]; then
	exec 6<"${INSTALL_DNF_ROOT%-*}.lock"
	flock --shared 6
fi
if [ -n "$INSTALL_EXTRAS_ROOT" ]; then
	exec 5<"${INSTALL_EXTRAS_ROOT%-*}.lock"
	flock --shared 5
fi

export INSTALL_ROOTS INSTALL_DNF_ROOT INSTALL_EXTRAS_ROOT
exec "$here/enter.sh" "$@"
