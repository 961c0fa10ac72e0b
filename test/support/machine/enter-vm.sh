#!/bin/bash
# Runs the tests on virtual machines, in a small cloud of their own (enter.sh).
#
# usage: enter-vm.sh amd64|arm64 COMMAND [ARGUMENT]...
#
# The command finds in the environment: VM_ARCH, VM_ROOT and VM_KERNEL, the folders of a Linux root and of a kernel, and
# VM_SELINUX_ROOT, that of a root with a policy for SELinux, where it is this machine's architecture and the default system.
# BOOT_SUITE names another Debian than the default.
# Where that cannot be had this says why and is 0; but with CI set it is 1, because there somebody relies on the test.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

VM_ARCH=$1
shift
skip() {
	printf '\n%s\n\n' "*** NOT TESTED: $VM_ARCH on a virtual machine. $1 ***" >&2
	[ -z "${CI:-}" ]
	exit
}

why=$("$here/can-boot.sh") || skip "This machine cannot boot machines: $why"
case $VM_ARCH in
amd64) emulator=qemu-system-x86_64 ;;
arm64) emulator=qemu-system-aarch64 ;;
*)
	echo "enter-vm.sh: unknown architecture $VM_ARCH; known: amd64 arm64" >&2
	exit 64
	;;
esac
missing=
for command in "$emulator" mke2fs cpio depmod setfiles; do
	command -v "$command" >/dev/null || missing+=" $command"
done
[ -z "$missing" ] || skip "Not installed:$missing"
[ -c /dev/net/tun ] || skip 'There is no /dev/net/tun'
VM_KERNEL=$("$here/kernel.sh" "$VM_ARCH") || skip 'No kernel could be had'
VM_ROOT=$("$here/vm-root.sh" "$VM_ARCH") || skip 'No root could be made'

# Kept open to the end, so that nobody drops the folders of a running machine.
exec 5<"${VM_KERNEL%-*}.lock" 6<"${VM_ROOT%-*}.lock"
flock --shared 5
flock --shared 6

VM_SELINUX_ROOT=
if [ "$VM_ARCH" = "$(dpkg --print-architecture)" ] && [ -z "${BOOT_SUITE:-}" ]; then
	VM_SELINUX_ROOT=$("$here/selinux-root.sh") || skip 'No root with SELinux could be made'
	exec 4<"${VM_SELINUX_ROOT%-*}.lock"
	flock --shared 4
fi

export VM_ARCH VM_KERNEL VM_ROOT VM_SELINUX_ROOT
exec "$here/enter.sh" "$@"
