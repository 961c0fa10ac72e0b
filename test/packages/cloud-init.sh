#!/bin/bash
# Fetches cloud-init for the tests, into .tools/cloud-init, and installs nothing: installed, it would take this machine in
# hand at the next boot.
#
#   usr, lib …       the files of this system's package
#   units/SUITE/VARIANT   the units that upstream's source, as a suite of the archive has it, makes for a family of systems
#
# What the archive does not have is missing there, and said here; the tests that need it say so, too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=test/support/machine/lib.sh
. test/support/machine/lib.sh

rm -rf .tools/cloud-init
mkdir -p .tools/cloud-init
cd .tools/cloud-init
{ apt-get -qq download cloud-init && dpkg-deb --extract cloud-init_*.deb .; } ||
	echo "no cloud-init to be had: what tests its user data and units is skipped" >&2

# Versions before and after 24.3, in which the units were changed and renamed.
suites() {
	if [ "$(distribution)" = debian ]; then
		echo bookworm trixie
	else
		echo "$(default_suite) $(default_suite)-updates"
	fi
}

# By an index of its own: nothing of this machine's is touched, nor read, but its keys.
fetch() {
	local apt=(
		apt-get -qq -o "Dir::Etc::SourceList=$PWD/sources.list" -o Dir::Etc::SourceParts=- -o APT::Sandbox::User=root
		-o "Dir::State::Lists=$PWD/lists" -o "Dir::Cache=$PWD" -o Acquire::Languages=none
	)
	mkdir -p lists/partial
	echo "deb-src $(mirror) $1 main" >sources.list
	"${apt[@]}" --error-on=any update && "${apt[@]}" source --download-only --tar-only cloud-init &&
		tar --extract --strip-components=1 --file cloud-init_*.orig.tar.*
}

for suite in $(suites); do
	mkdir -p "sources/$suite"
	(cd "sources/$suite" && fetch "$suite") || {
		echo "no source of cloud-init to be had from $suite: what tests its units is skipped" >&2
		continue
	}
	# As cloud-init's own tools/render-template does it, which needs all that cloud-init does.
	../lint/bin/python3 - "sources/$suite/systemd" "units/$suite" <<-'PYTHON'
		import pathlib, sys
		from jinja2 import Template

		templates, units = map(pathlib.Path, sys.argv[1:])
		for variant in ["amazon", "fedora", "rhel", "suse", "debian", "ubuntu"]:
		    (units / variant).mkdir(parents=True)
		    for template in templates.glob("cloud-*.*"):
		        text = Template(template.read_text(), trim_blocks=True).render(variant=variant)
		        (units / variant / template.name.removesuffix(".tmpl")).write_text(text)
	PYTHON
done
rm -rf sources
