#!/bin/bash
# Adds the packages of this version that are in dist/ to a static, signed repository for apt and dnf: deb/ and rpm/ with
# their metadata, the public key in both forms, and a page that says how to use it. What is there already stays.
#
# usage: packaging/repo.sh
#
# environment:
#   EIP_HEAL_REPO            where the repository is: a copy of what is published. Without it dist/repo, for trying out.
#   EIP_HEAL_REPO_URL        where users will find it
#   EIP_HEAL_SIGNING_KEY     private OpenPGP key (RSA, as every rpm knows it), armored: its text, or a file with it.
#                            Without it .tools/signing-key.asc, which is made if it is not there.
#                            It may hold several keys, one after the other. All of them are published, those with a private
#                            part sign the metadata, and the first one of these signs the packages.
#   EIP_HEAL_SIGNING_PASSPHRASE   of these keys, if they have one
#   EIP_HEAL_REPO_VALID_UNTIL     until when apt believes the metadata, as date(1) reads it: "30 days". Nobody who keeps
#                            an old copy can then offer it for longer; the repository has to be made again before that.
#                            Without it there is no such time. dnf knows nothing of the kind.
#
# A new key, without a day on which anybody is locked out:
#   1. Keep the old key first and put the new one after it: cat old.asc new.asc. Users are asked to fetch the keys again.
#      The metadata is signed by both, so whoever has only the old one is served as before.
#   2. When most of them have done so, put the new one first: it signs the packages from now on.
#   3. Some versions later leave only the public part of the old one, after the new one (gpg --armor --export OLD): what
#      was published stays signed by it. Whoever has not fetched the keys by then is refused by apt; dnf asks.
# A key that somebody else may have is left out at once, and the versions that it has signed are taken away.
set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC

cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
	echo "packaging/repo.sh: $1" >&2
	exit 1
}

published=${EIP_HEAL_REPO:+yes}
repo=${EIP_HEAL_REPO:-dist/repo}
url=${EIP_HEAL_REPO_URL:-https://packages.eip-heal.example}
url=${url%/}
key=${EIP_HEAL_SIGNING_KEY:-.tools/signing-key.asc}
architectures=(amd64 arm64)
node=$(echo node_modules/node-linux-*/bin/node)

# rpmsign wants to tell gpg where to ask for a passphrase; nobody is asked.
export GPG_TTY=none
for tool in apt-ftparchive createrepo_c gpg rpm rpmkeys rpmsign xz; do
	command -v "$tool" >/dev/null ||
		fail "$tool is missing; on Debian and Ubuntu test/tools/deps.sh packages installs what is needed"
done
valid_for=
if [[ -n ${EIP_HEAL_REPO_VALID_UNTIL:-} ]]; then
	valid_for=$(($(date -ud "$EIP_HEAL_REPO_VALID_UNTIL" +%s || echo 0) - $(date +%s)))
	((valid_for > 0)) || fail "EIP_HEAL_REPO_VALID_UNTIL has to be a time to come, as date(1) reads it"
fi
version=$("$node" -p 'require("./package.json").version')
shopt -s nullglob
debs=(dist/eip-heal_"$version"_*.deb)
rpms=(dist/eip-heal-"$version"-1.*.rpm)
shopt -u nullglob
[[ ${#debs[@]} != 0 && ${#rpms[@]} != 0 ]] ||
	fail "dist/ has no packages of version $version; make packages builds them"

# All that handles the private key, and nothing else, in a folder that goes when this ends.
work=$(mktemp -d)
export GNUPGHOME=$work/gnupg
trap 'gpgconf --kill all || :; rm -rf "$work"' EXIT
mkdir -m 700 "$GNUPGHOME"
passphrase=$work/passphrase
(umask 077 && printf %s "${EIP_HEAL_SIGNING_PASSPHRASE:-}" >"$passphrase")
gpg=(gpg --batch --quiet --yes --no-tty --pinentry-mode loopback --passphrase-file "$passphrase"
	--digest-algo SHA512)

if [[ $key == -----BEGIN* ]]; then
	"${gpg[@]}" --import <<<"$key"
else
	if [[ ! -e $key ]]; then
		[[ -z ${EIP_HEAL_SIGNING_KEY:-} ]] || fail "there is no key in $key"
		echo "packaging/repo.sh: making a signing key, $key: keep it if you publish what it signs" >&2
		"${gpg[@]}" --cert-digest-algo SHA512 \
			--quick-generate-key 'eip-heal packages <maintainers@eip-heal.example>' rsa4096 sign never
		mkdir -p "$(dirname "$key")"
		(umask 077 && "${gpg[@]}" --armor --export-secret-keys >"$key")
	else
		"${gpg[@]}" --import "$key"
	fi
fi
# The fingerprints of keys, in the order of their import; those of subkeys come after that of their key.
fingerprints() {
	"${gpg[@]}" --with-colons "$1" |
		awk -F: '/^(pub|sec):/ { wanted = 1 } $1 == "fpr" && wanted { print $10; wanted = 0 }'
}
mapfile -t signers < <(fingerprints --list-secret-keys)
mapfile -t published_keys < <(fingerprints --list-keys)
[[ ${#signers[@]} != 0 ]] || fail "EIP_HEAL_SIGNING_KEY holds no private key"
fingerprint=${signers[0]}
for signer in "${signers[@]}"; do
	gpg+=(--local-user "$signer")
done

mkdir -p "$repo/deb/pool/main/e/eip-heal" "$repo/rpm/packages"
repo=$(cd "$repo" && pwd)
"${gpg[@]}" --export "${published_keys[@]}" >"$repo/deb/eip-heal.gpg"
# Each in a block of its own: of several keys in one block rpm sees the first.
for one in "${published_keys[@]}"; do
	"${gpg[@]}" --armor --export "$one"
done >"$repo/rpm/RPM-GPG-KEY-eip-heal"
rpmdb=(--dbpath "$work/rpmdb")
mkdir "$work/rpmdb"
rpmkeys "${rpmdb[@]}" --import "$repo/rpm/RPM-GPG-KEY-eip-heal"

# What is published under a version stays what it is.
replaces() {
	[[ -z $published ]] || fail "$repo has another ${1##*/}: what is published never changes, raise the version"
	echo "packaging/repo.sh: replaces ${1##*/}, which was another build of the same version" >&2
}

for deb in "${debs[@]}"; do
	target=$repo/deb/pool/main/e/eip-heal/${deb##*/}
	cmp -s "$deb" "$target" && continue
	[[ ! -e $target ]] || replaces "$target"
	cp "$deb" "$target"
done

# The sum of the header, which in turn has that of the files: the signature leaves it as it is.
identity() {
	rpm "${rpmdb[@]}" -qp --nosignature --qf '%{SHA256HEADER}' "$1"
}
for rpm in "${rpms[@]}"; do
	target=$repo/rpm/packages/${rpm##*/}
	if [[ -e $target ]]; then
		if [[ $(identity "$rpm") == "$(identity "$target")" ]] &&
			rpmkeys "${rpmdb[@]}" --checksig "$target" >/dev/null; then
			continue
		fi
		replaces "$target"
	fi
	cp "$rpm" "$work/${rpm##*/}"
	rpmsign --define "_gpg_name $fingerprint" --define "__gpg $(command -v gpg)" \
		--define "_gpg_sign_cmd_extra_args --batch --pinentry-mode loopback --passphrase-file $passphrase --digest-algo SHA256" \
		--addsign "$work/${rpm##*/}" >/dev/null
	rpmkeys "${rpmdb[@]}" --checksig "$work/${rpm##*/}" >/dev/null || fail "the signature of ${rpm##*/} is not good"
	mv "$work/${rpm##*/}" "$target"
done

# --- apt. Index files can also be had by their sum, and old ones stay: a client that has the previous Release finds
# what that one names.
suite=$repo/deb/dists/stable
new=$work/dists/stable
fields=()
for arch in "${architectures[@]}"; do
	index=$new/main/binary-$arch
	kept=main/binary-$arch/by-hash/SHA256
	mkdir -p "$index" "$suite/$kept"
	(cd "$repo/deb" && apt-ftparchive --arch "$arch" packages pool) >"$index/Packages"
	gzip -9 -n -k "$index/Packages"
	xz -9 -k "$index/Packages"
	for file in "$index"/Packages*; do
		sum=$(sha256sum <"$file")
		cp "$file" "$suite/$kept/${sum%% *}"
	done
done
for field in Origin=eip-heal Label=eip-heal Suite=stable Codename=stable Components=main Acquire-By-Hash=yes \
	"Architectures=${architectures[*]}" "Description=eip-heal, for Debian and derivatives"; do
	fields+=(-o "APT::FTPArchive::Release::$field")
done
[[ -z $valid_for ]] || fields+=(-o "APT::FTPArchive::Release::ValidTime=$valid_for")
# One sum, and a good one.
for sum in MD5 SHA1 SHA512; do
	fields+=(-o "APT::FTPArchive::$sum=false")
done
apt-ftparchive "${fields[@]}" release "$new" >"$work/Release"
grep -q '^Acquire-By-Hash:' "$work/Release" || sed -i '/^Components:/i Acquire-By-Hash: yes' "$work/Release"
"${gpg[@]}" --clearsign --output "$work/InRelease" "$work/Release"
"${gpg[@]}" --armor --detach-sign --output "$work/Release.gpg" "$work/Release"
for arch in "${architectures[@]}"; do
	mv "$new/main/binary-$arch"/Packages* "$suite/main/binary-$arch/"
done
mv "$work/Release" "$work/Release.gpg" "$work/InRelease" "$suite/"

# --- dnf. gzip, because the dnf of RHEL 8 knows no zstd.
createrepo_c --quiet --no-database --general-compress-type gz "$repo/rpm"
"${gpg[@]}" --armor --detach-sign --output "$repo/rpm/repodata/repomd.xml.asc" "$repo/rpm/repodata/repomd.xml"
cat >"$repo/rpm/eip-heal.repo" <<REPO
[eip-heal]
name=eip-heal
baseurl=$url/rpm/
enabled=1
gpgcheck=1
repo_gpgcheck=1
gpgkey=$url/rpm/RPM-GPG-KEY-eip-heal
REPO

# --- The page, Markdown: what serves it to people renders it.
pool=$(find "$repo/deb/pool" -name '*.deb' -printf '%f\n')
for_whom=$(sed -nE 's/.*_amd64\.deb$/x86-64/p; s/.*_arm64\.deb$/arm64/p' <<<"$pool" | sort -ru | paste -sd, | sed 's/,/ and /')
versions=$(sed -nE 's/^eip-heal_([^_]+)_.*/\1/p' <<<"$pool" | sort -ruV |
	sed 's/.*/    sudo apt-get install eip-heal=&    # or: sudo dnf install eip-heal-&/')
page=$(<packaging/repo-page.md)
page=${page//@URL@/$url}
page=${page//@ARCHITECTURES@/$for_whom}
page=${page//@FINGERPRINTS@/$(printf '%s\n' "${published_keys[@]}" | sed -E 's/.{4}/& /g; s/ $//; s/^/    /')}
printf '%s\n' "${page//@VERSIONS@/$versions}" >"$repo/index.md"
# An older repository has the same as HTML, which would go on being served instead.
rm -f "$repo/index.html"
count=$(find "$repo/deb/pool" "$repo/rpm/packages" -type f | wc -l)
echo "${repo#"$PWD/"}: $count packages, signed by $fingerprint"
