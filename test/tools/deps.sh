#!/bin/bash
# Installs what `make test` needs on a fresh Debian or Ubuntu beyond Node, npm and Python.
#
# usage: deps.sh [GROUP]...       all groups without an argument
#
#   boot      boots machines (test/boot)
#   packages  inspects the built packages (test/packages), shell scripts and prose, makes repositories of them
#   install   installs the packages on real systems (test/install), with what boot and packages need
#   aws       the aws command line, a real client for the simulated region
#   moto      the independent region: a Python that makes virtual environments
#   bench     what eip-heal is measured against (bench/); not among "all groups" either
#   arm64     builds for arm64 on x86-64; not among "all groups", because only `make packages-all` needs it
#   qemu      virtual machines; not among them either: only `make test-qemu` and `make test-arm64` need it
#
# Does nothing, quickly, when all is there. Without root, or on another system, it names what is missing, and the
# tests that need it say that they are skipped. What the archive does not have is named too. Either is no failure.
set -euo pipefail
export LC_ALL=C

groups=("$@")
if [ $# = 0 ]; then
	groups=(boot packages install aws moto)
fi

# A line for each need: what has to be there, and the package that brings it. A need is a command in the PATH;
# "venv" is the module, which Debian packages apart from Python; or a file.
needs() {
	case $1 in
	boot)
		cat <<'NEEDS'
systemd-nspawn systemd-container
mmdebstrap mmdebstrap
arch-test arch-test
ip iproute2
dnsmasq dnsmasq-base
openssl openssl
unshare util-linux
nsenter util-linux
setpriv util-linux
findmnt util-linux
flock util-linux
NEEDS
		;;
	packages)
		cat <<'NEEDS'
rpm rpm
rpmsign rpm
rpmlint rpmlint
createrepo_c createrepo-c
apt-ftparchive apt-utils
dpkg-parsechangelog dpkg-dev
gpg gpg
gpgv gpgv
lintian lintian
shellcheck shellcheck
mandoc mandoc
zsh zsh
fish fish
aspell aspell
/usr/lib/aspell/en_GB.multi aspell-en
readelf binutils
xz xz-utils
systemd-analyze systemd
dbus-daemon dbus
NEEDS
		;;
	install)
		cat <<'NEEDS'
rpmbuild rpm
rpm2cpio rpm2cpio
/usr/lib/rpm/elfdeps rpm
cpio cpio
NEEDS
		;;
	qemu)
		cat <<'NEEDS'
qemu-system-x86_64 qemu-system-x86
qemu-system-aarch64 qemu-system-arm
mke2fs e2fsprogs
depmod kmod
cpio cpio
NEEDS
		;;
	arm64)
		cat <<'NEEDS'
qemu-aarch64-static qemu-user-static
aarch64-linux-gnu-strip binutils-aarch64-linux-gnu
/usr/aarch64-linux-gnu/lib/libc.so.6 libc6-arm64-cross
/usr/aarch64-linux-gnu/lib/libstdc++.so.6 libstdc++6-arm64-cross
/usr/aarch64-linux-gnu/lib/libgcc_s.so.1 libgcc-s1-arm64-cross
NEEDS
		;;
	bench)
		cat <<'NEEDS'
/usr/bin/aws awscli
curl curl
jq jq
openssl openssl
python3 python3
NEEDS
		;;
	aws)
		# Debian's own: whatever else is called aws somewhere in the PATH is another client.
		echo /usr/bin/aws awscli
		;;
	moto)
		cat <<'NEEDS'
python3 python3
venv python3-venv
NEEDS
		;;
	*)
		echo "deps.sh: unknown group $1; known: boot packages install bench arm64 qemu aws moto" >&2
		return 64
		;;
	esac
}

is_there() {
	case $1 in
	venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
	/*) [ -e "$1" ] ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

# Packages of the groups' needs that are not met.
missing() {
	local group list need package
	for group in "${groups[@]}"; do
		list=$(needs "$group")
		while read -r need package; do
			is_there "$need" || echo "$package"
		done <<<"$list"
	done | sort -u
}

apt() {
	DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -qq "$@"
}

# Before anything else, so that a wrong argument is an error whatever is installed.
for group in "${groups[@]}"; do
	needs "$group" >/dev/null
done

mapfile -t packages < <(missing)
if [ ${#packages[@]} = 0 ]; then
	exit 0
fi
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
	echo "deps.sh: missing, and not installed because this is not root on Debian or Ubuntu: ${packages[*]}" >&2
	exit 0
fi

echo "deps.sh: installing ${packages[*]}" >&2
apt update
available=()
for package in "${packages[@]}"; do
	if [ -n "$(apt-cache --no-all-versions show "$package" 2>/dev/null)" ]; then
		available+=("$package")
	else
		echo "deps.sh: the archive has no package $package" >&2
	fi
done
if [ ${#available[@]} != 0 ]; then
	apt install --yes --no-install-recommends "${available[@]}" >&2
fi

mapfile -t packages < <(missing)
if [ ${#packages[@]} != 0 ]; then
	echo "deps.sh: still missing: ${packages[*]}" >&2
fi
