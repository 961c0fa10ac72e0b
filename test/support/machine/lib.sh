# shellcheck shell=bash
# What the scripts that make roots and kernels share: a cache of both, and packages from the archive. Sourced.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(cd "$here/../../.." && pwd)/.cache/machines
script=${0##*/}

fail() {
	echo "$script: $1" >&2
	exit 1
}

# Sets $result to a folder of the cache, whose name carries a hash of all that it is made from. Prints it and ends the
# script when it is there. Otherwise older ones of that name are dropped, and the script goes on to make it in $work,
# a folder that goes away whatever happens, and to end with "finish".
#
# usage: cached NAME FILE...      the files that it depends on besides the scripts
cached() {
	local name=$1 hash
	hash=$(cat "$here/lib.sh" "$here/$script" "${@:2}" | sha256sum | cut -c 1-12)
	result=$cache/$name-$hash
	there
	# One at a time, and not while a test runs on what is dropped below: it holds the lock shared.
	mkdir -p "$cache"
	exec 9>"$cache/$name.lock"
	# Who waits for another one to make it must not wait for the test that then holds the lock, too.
	until flock --nonblock 9; do
		sleep 1
		there
	done
	there
	echo "$script: making $result (once)" >&2
	rm -rf "$cache/$name"-[0-9a-f]*
	work=$cache/$name.new
	rm -rf "$work"
	mkdir "$work"
	trap 'rm -rf "$work"' EXIT
}

# Ends the script where the result is there already.
there() {
	if [ -d "$result" ]; then
		echo "$result"
		exit
	fi
}

# usage: finish FOLDER      what has become the result
finish() {
	mv "$1" "$result"
	echo "$result"
}

# debian, but on Ubuntu, whose apt knows no mirror of Debian, ubuntu.
distribution() {
	if grep -qx 'ID=ubuntu' /etc/os-release; then echo ubuntu; else echo debian; fi
}

# The default of rootfs.sh.
default_suite() {
	case $(distribution) in
	ubuntu) sed -n 's/^VERSION_CODENAME=//p' /etc/os-release ;;
	debian) echo bookworm ;;
	esac
}

# The mirror that apt uses on this machine; BOOT_MIRROR names another.
mirror() {
	# shellcheck disable=SC2016 # the placeholders are apt's
	local found=${BOOT_MIRROR:-$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
		awk -v origin="$(distribution)" 'tolower($1) == origin && !mirror { mirror = $2 } END { print mirror }')}
	[ -n "$found" ] || fail "apt knows no mirror of $(distribution); set BOOT_MIRROR"
	echo "$found"
}

# Prepares an apt of its own for another architecture or for the packages of a root: nothing of this machine's is
# touched. Afterwards "${own_apt[@]}" are the options of apt-get and apt-cache for it.
#
# usage: own_apt SUITE ARCH [STATUS]      STATUS: dpkg's record of what is installed
own_apt() {
	local state=$work/apt-$2 components=main
	mkdir -p "$state"/{lists,archives}/partial
	# dnf is in universe.
	[ "$(distribution)" = debian ] || components+=' universe'
	echo "deb $(mirror) $1 $components" >"$state/sources.list"
	own_apt=(
		-o "APT::Architecture=$2" -o "APT::Architectures=$2" -o APT::Sandbox::User=root
		-o "Dir::State=$state" -o "Dir::State::Lists=$state/lists" -o "Dir::State::status=${3:-/dev/null}"
		-o "Dir::Cache=$state" -o "Dir::Cache::archives=$state/archives"
		-o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=-
		-o Acquire::Languages=none -qq
	)
	apt-get "${own_apt[@]}" update
}

# Installs packages in a root of this machine's architecture, with what own_apt has prepared for it.
#
# usage: install_into ROOT PACKAGE...
install_into() {
	local root=$1
	shift
	mkdir "$root/debs"
	apt-get "${own_apt[@]}" --yes --no-install-recommends -o "Dir::Cache::archives=$root/debs" --download-only install "$@"
	# In a mount namespace of its own: no failure leaves a mount behind.
	# shellcheck disable=SC2016 # expanded by the inner shell
	unshare --mount --propagation private sh -euc '
		mount --bind /proc "$0/proc"
		mount --bind /dev "$0/dev"
		DEBIAN_FRONTEND=noninteractive chroot "$0" sh -c "apt-get --yes --no-install-recommends install /debs/*.deb"
	' "$root" >"$work/log" 2>&1 9>&- || {
		tail -n 40 "$work/log" >&2
		fail "could not install $*, see above"
	}
	rm -r "$root/debs"
}
