#!/bin/bash
# Prints the folder of a Linux root for virtual machines, and makes it first where it is not there yet: that of
# rootfs.sh with udev and kmod, which containers do without.
#
# For another architecture than this machine's no program of that one is run, which would take minutes: its builds of
# the very same packages are laid over the root. What their maintainer scripts have left (users, links, enabled units)
# does not depend on the architecture.
#
# usage: vm-root.sh amd64|arm64
set -euo pipefail
# shellcheck source=test/support/machine/lib.sh
. "$(dirname "$0")/lib.sh"

arch=$1
[ "$(distribution)" = debian ] || fail 'only Debian is known here'
suite=${BOOT_SUITE:-$(default_suite)}
base=$("$here/rootfs.sh" "$suite")
cached "vm-$suite-$arch" "$base/var/lib/dpkg/status"

native=$(dpkg --print-architecture)
root=$work/root
cp -a --reflink=auto "$base" "$root"
rm -rf "$root/var/cache/shelf"
own_apt "$suite" "$native" "$root/var/lib/dpkg/status"
install_into "$root" udev kmod
if [ "$arch" = "$native" ]; then
	finish "$root"
	exit
fi

own_apt "$suite" "$arch"
mkdir "$work/debs"
records=$root/var/lib/dpkg
# shellcheck disable=SC2016 # the placeholders are dpkg-query's
dpkg-query --admindir="$records" -W -f '${Architecture} ${Package}=${Version}\n' |
	awk -v native="$native" '$1 == native { print $2 }' >"$work/packages"
(cd "$work/debs" && xargs -a "$work/packages" apt-get "${own_apt[@]}" download)

# Off with the native files; configuration, which is in /etc, stays.
while IFS='=' read -r package _; do
	for list in "$records/info/$package.list" "$records/info/$package:$native.list"; do
		[ -e "$list" ] || continue
		grep -v '^/etc/' "$list" | while read -r path; do
			if [ -f "$root$path" ] && [ ! -L "$root$path" ]; then
				rm "$root$path"
			fi
		done
		rm "$list"
	done
done <"$work/packages"

# On with those of the other architecture.
for deb in "$work"/debs/*.deb; do
	dpkg-deb --fsys-tarfile "$deb" | tar --extract --keep-directory-symlink --exclude='./etc/*' \
		--exclude='./usr/share/man/*' --exclude='./usr/share/doc/*' --exclude='./usr/share/locale/*' -C "$root"
	name=$(dpkg-deb --field "$deb" Package)
	[ "$(dpkg-deb --field "$deb" Multi-Arch)" != same ] || name+=:$arch
	dpkg-deb --fsys-tarfile "$deb" | tar --list | sed -e 's,^\.,,' -e 's,/$,,' -e 's,^$,/.,' >"$records/info/$name.list"
done
for file in "$records/info"/*":$native".*; do
	[ ! -e "$file" ] || mv "$file" "${file/:$native./:$arch.}"
done
sed -i "s/^Architecture: $native\$/Architecture: $arch/" "$records/status"
[ ! -e "$records/arch" ] || sed -i "s/$native/$arch/" "$records/arch"
rm -rf "$root/etc/ld.so.cache" "$records/status-old" "$root"/var/cache/apt/*.bin
finish "$root"
