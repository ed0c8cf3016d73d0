# What one can do with Apus. `make up` and `make test` do all set-up on a fresh Debian 12 machine, as root.

SHELL := /bin/bash
PREFIX ?= /usr/local
DATA_DIR ?= /var/lib/apus
BINARY := .build/release/apus
# Debug and release have a folder each, so that switching between them rebuilds nothing.
DEBUG_FLAGS := --scratch-path .build-debug
RELEASE_FLAGS := -c release --static-swift-stdlib --product apus -Xlinker -s

.PHONY: help up down build install test test-unit test-e2e fuzz bench format lint docs clean packages toolchain

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 20

up: packages build install ## Install packages, build, and start a cluster on this machine
	@Scripts/up.sh "$(PREFIX)/bin/apus" "$(DATA_DIR)"

down: ## Stop the cluster and remove what it set up (make down PURGE=1 removes its data too)
	@Scripts/down.sh "$(PREFIX)/bin/apus" "$(DATA_DIR)" $(if $(PURGE),--purge)

build: toolchain ## Build the release binary, .build/release/apus
	swift build $(RELEASE_FLAGS)

install: ## Install the binary and a systemd unit below PREFIX
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/apus
	sed 's|@PREFIX@|$(PREFIX)|' Scripts/apus.service | install -D -m 644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/systemd/system/apus.service

test: test-packages lint test-unit build test-e2e ## Run every test, unit to end-to-end

test-unit: toolchain ## Run the unit, store and fuzz tests (debug build)
	swift build $(DEBUG_FLAGS) --product apusPackageTests
	@Scripts/test-unit.sh $(DEBUG_FLAGS)

test-e2e: build ## Run the end-to-end tests with the real kubectl and containerd (release build)
	@Scripts/test-e2e.sh

fuzz: toolchain ## Run the fuzz tests for longer
	APUS_FUZZ_ITERATIONS=$(or $(ITERATIONS),2000000) swift test $(DEBUG_FLAGS) --filter Fuzz

bench: build ## Measure a running release build (docs/benchmarks.md)
	@Scripts/bench.sh

format: toolchain ## Format the sources
	swift format --in-place --recursive --parallel $(shell Scripts/sources.sh)

lint: toolchain ## Check the formatting
	swift format lint --strict --recursive --parallel $(shell Scripts/sources.sh)

docs: ## List the guides
	@ls docs/*.md

clean: ## Remove the build folders
	rm -rf .build .build-debug

packages:
	@Scripts/install-packages.sh build

.PHONY: test-packages
test-packages:
	@Scripts/install-packages.sh test

toolchain:
	@Scripts/check-toolchain.sh
