#!/bin/bash
# Prints the folder of a Linux root with dnf, and makes it first where it is not there yet: a system as Amazon Linux is
# one, as far as dnf, rpm, systemd and its presets go. It is Debian underneath, with Debian's own dnf and rpm.
set -euo pipefail
# shellcheck source=test/support/machine/lib.sh
. "$(dirname "$0")/lib.sh"

suite=$(default_suite)
base=$("$here/rootfs.sh" "$suite")
cached dnf "$base/var/lib/dpkg/status"

own_apt "$suite" "$(dpkg --print-architecture)" "$base/var/lib/dpkg/status"
root=$work/root
cp -a --reflink=auto "$base" "$root"
install_into "$root" dnf rpm

# rpm knows nothing of what dpkg has installed. A package without files tells it: the shell, the libraries as rpm's own
# generator of dependencies sees them, and the versions of the packages that have other names there.
upstream() {
	dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${source:Upstream-Version}\n' "$1"
}
provides() {
	printf '%s\n' /bin/sh /usr/bin/sh bash coreutils ca-certificates shadow-utils
	echo "systemd = $(upstream systemd)"
	echo "glibc = $(upstream libc6)"
	echo "libgcc = $(upstream libgcc-s1)"
	echo "libstdc++ = $(upstream libstdc++6)"
	find "$root"/lib/*-linux-gnu "$root"/usr/lib/*-linux-gnu -maxdepth 1 \
		\( -name 'lib[cm].so.6' -o -name 'libdl.so.2' -o -name 'libpthread.so.0' -o -name 'ld-linux-*' \
		-o -name 'libgcc_s.so.1' -o -name 'libstdc++.so.6' \) | /usr/lib/rpm/elfdeps --provides
}
provides | sort -u >"$work/provides"
{
	cat <<-'SPEC'
		Name: debian-underneath
		Version: 1
		Release: 1
		Summary: What this system has by dpkg
		License: Apache-2.0
		BuildArch: noarch
	SPEC
	sed 's/^/Provides: /' "$work/provides"
	printf '%s\n' '%description' 'What this system has by dpkg.' '%files'
} >"$work/underneath.spec"
rpmbuild --quiet -bb --define "_topdir $work/rpmbuild" "$work/underneath.spec"
cp "$work"/rpmbuild/RPMS/noarch/*.rpm "$root/underneath.rpm"
chroot "$root" rpm --force-debian --install /underneath.rpm
rm "$root/underneath.rpm"

# The last word of Amazon Linux, RHEL and Fedora on which units an installation enables.
mkdir -p "$root/usr/lib/systemd/system-preset"
echo 'disable *' >"$root/usr/lib/systemd/system-preset/99-default-disable.preset"
# There they are part of the base system.
mkdir -p "$root/usr/share/licenses"
# Debian's dnf looks for repositories elsewhere.
mkdir -p "$root/etc/yum.repos.d"
cat >"$root/etc/dnf/dnf.conf" <<'CONF'
[main]
gpgcheck=True
installonly_limit=3
clean_requirements_on_remove=True
best=True
reposdir=/etc/yum.repos.d
CONF
finish "$root"
