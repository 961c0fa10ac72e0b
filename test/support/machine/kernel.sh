#!/bin/bash
# Prints a folder with a Linux for virtual machines, and makes it first where it is not there yet: vmlinuz, an initrd
# that mounts the first disk, and lib/modules. Nothing of it comes from this machine or is installed on it.
#
# usage: kernel.sh amd64|arm64
set -euo pipefail
# shellcheck source=test/support/machine/lib.sh
. "$(dirname "$0")/lib.sh"

arch=$1
[ "$(distribution)" = debian ] || fail "only Debian's kernels are known here"
suite=${BOOT_SUITE:-$(default_suite)}
cached "kernel-$suite-$arch"

own_apt "$suite" "$arch"
mkdir "$work"/{debs,tree,result}
image=$(apt-cache "${own_apt[@]}" depends "linux-image-cloud-$arch" |
	sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
(cd "$work/debs" && apt-get "${own_apt[@]}" download "$image" busybox-static)
# From Debian 13 on they have it in /usr.
mkdir -p "$work"/tree/usr/{lib,bin}
ln -s usr/lib usr/bin "$work/tree"
for deb in "$work"/debs/*.deb; do
	dpkg-deb --fsys-tarfile "$deb" | tar --extract --keep-directory-symlink -C "$work/tree"
done
version=$(ls "$work/tree/lib/modules")
result_tree=$work/result
cp "$work/tree/boot/vmlinuz-$version" "$result_tree/vmlinuz"
mkdir "$result_tree/lib"
mv "$work/tree/lib/modules" "$result_tree/lib/"
depmod --basedir "$result_tree" "$version"

# The initrd: a shell, and the modules up to the root file system in the order in which they need each other.
initrd=$work/initrd
mkdir -p "$initrd"/{bin,dev,proc,sys,root,modules}
cp "$work/tree/bin/busybox" "$initrd/bin/"
for module in virtio_pci virtio_blk ext4; do
	# "builtin" lines are left out.
	modprobe --dirname "$result_tree" --set-version "$version" --show-depends "$module" | sed -n 's/^insmod //p'
done | while read -r file; do
	name=${file##*/}
	[ ! -e "$initrd/modules/$name" ] || continue
	cp "$file" "$initrd/modules/"
	echo "$name" >>"$initrd/modules/order"
done
cat >"$initrd/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
while read -r module; do
	/bin/busybox insmod "/modules/$module"
done </modules/order
until [ -b /dev/vda ]; do
	/bin/busybox sleep 0.1
done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mount --move /dev /root/dev
/bin/busybox umount /proc /sys
exec /bin/busybox switch_root /root /lib/systemd/systemd
INIT
chmod 755 "$initrd/init"
(cd "$initrd" && find . | cpio --create --format=newc --quiet --owner=0:0) >"$result_tree/initrd"
finish "$result_tree"
