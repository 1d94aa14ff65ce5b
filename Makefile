# Every target does its own set-up; `make` alone lists them. ARGS is handed to demo, bench and e2e.

SHELL := /bin/bash
ARGS ?=
# How long `make fuzz` runs, and how many cases the property tests try where cargo-fuzz is missing.
FUZZ_SECONDS ?= 60
FUZZ_CASES ?= 20000
TARGET := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET)/release
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
# One release build is all there is: the programs that run here are the ones that are measured, tested and shipped, so it
# is static. That takes an explicit target, as what runs inside the compiler (macros) cannot be static. Paths of this
# machine are kept out of it: they tell whoever reads the binary about who built it, and make no two builds alike.
TRIPLE = $(shell rustc -vV | sed -n 's/^host: //p')
STATIC = target.$(TRIPLE).rustflags=["-Ctarget-feature=+crt-static", \
	"--remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo", \
	"--remap-path-prefix=$(shell rustc --print sysroot)=/rust", "--remap-path-prefix=$(CURDIR)=/metrics-gateway", \
	"--remap-path-prefix=$(abspath $(TARGET))=/target"]
PROGRAMS := metrics-gateway demo bench fleet
PLUGINS := $(patsubst plugins/%/Cargo.toml,%,$(wildcard plugins/*/Cargo.toml))
EXAMPLES := $(patsubst plugins/examples/%/plugin.wit,%,$(wildcard plugins/examples/*/plugin.wit))
SCRIPTS := .ci/run deploy/image/archive deploy/image/build deploy/image/check deploy/image/tree deploy/render tests/helm-assets tests/tutorial tests/e2e/run tests/e2e/kube-assets tests/e2e/prometheus-assets tests/e2e/real-cluster tests/e2e/lib.sh tests/e2e/pods.sh tests/e2e/promises/*.sh

.DEFAULT_GOAL := help
.PHONY: help build image plugins languages demo tutorial test e2e bench check fuzz manifests clean toolchain registry helm

help: ## List the targets
	@sed -n 's/^\([a-z0-9]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r target text; do \
		printf '  make %-9s %s\n' "$$target" "$$text"; done

# Always these packages together: cargo would build what they depend on anew for another choice of them.
build: toolchain ## Build the release binary, target/release/metrics-gateway, which is static
	cargo build --release --target $(TRIPLE) --config '$(STATIC)' -p metrics-gateway -p metrics-gateway-tests --bins
	@mkdir -p $(RELEASE) && for program in $(PROGRAMS); do \
		ln -f $(TARGET)/$(TRIPLE)/release/$$program $(RELEASE)/$$program || exit 1; done

image: build ## Make the container image, target/image/metrics-gateway-VERSION.tar, without a registry or a daemon
	deploy/image/build $(RELEASE)/metrics-gateway metrics-gateway:$(VERSION) $(VERSION) \
		$(TARGET)/image/metrics-gateway-$(VERSION).tar

plugins: build ## Build the first-party plugins, target/plugins/NAME.wasm, and try each
	$(RELEASE)/metrics-gateway plugin build --output $(TARGET)/plugins/ $(PLUGINS:%=plugins/%)
	@for plugin in $(PLUGINS); do (set -x; \
		$(RELEASE)/metrics-gateway plugin test --cases plugins/$$plugin/cases.toml $(TARGET)/plugins/$$plugin.wasm | tail -n 1; \
		exit $${PIPESTATUS[0]}) || exit 1; done

# Fetches a compiler for each language the first time, a gigabyte in all.
languages: build ## Build the plugins of plugins/examples; each answers the cases of the one in Rust
	$(RELEASE)/metrics-gateway plugin build $(EXAMPLES:%=plugins/examples/%)
	@for language in $(EXAMPLES); do (set -x; $(RELEASE)/metrics-gateway plugin test --cpu 500ms \
		--cases plugins/skip-sidecars/cases.toml plugins/examples/$$language/target/skip-sidecars.wasm) || exit 1; done

demo: plugins ## Run the gateway on a cluster that fits in a process; ARGS=--once shows one reload and exits
	$(RELEASE)/demo $(ARGS)

tutorial: plugins ## Follow docs/write-a-plugin.md, command for command
	tests/tutorial

# The integration tests start the real binary, which `cargo test` alone builds only for a package's own tests.
test: toolchain registry helm ## Run the unit, property and integration tests; needs no root
	cargo build --workspace --bins
	cargo test --workspace
	@echo 'The end-to-end suite, in a real Kubernetes cluster, is: make e2e'

e2e: ## Run the gateway in a real Kubernetes cluster on this machine; needs root on Debian; ARGS=hpa runs what is named so
	tests/e2e/run $(ARGS)

bench: plugins ## Measure CPU, memory and latency against a simulated fleet; see ARGS=--help
	$(RELEASE)/bench $(ARGS)

check: toolchain ## Run what CI runs, but for the cluster: format, lints, documentation, tests, dependencies
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps
	$(MAKE) test
	@if command -v shellcheck >/dev/null; then shellcheck -x $(SCRIPTS); else echo 'shellcheck is not installed: skipped'; fi
	@if command -v cargo-deny >/dev/null; then cargo deny check; else echo 'cargo-deny is not installed: skipped'; fi

fuzz: toolchain ## Fuzz the decoder for FUZZ_SECONDS (default 60); without cargo-fuzz, run FUZZ_CASES property cases
	@if [[ -d host/fuzz ]] && command -v cargo-fuzz >/dev/null; then \
		set -x; cd host && cargo +nightly fuzz run decode -- -max_total_time=$(FUZZ_SECONDS); \
	else \
		echo 'cargo-fuzz or its target is missing: running the property tests instead'; \
		set -x; PROPTEST_CASES=$(FUZZ_CASES) cargo test --release -p metrics-gateway --lib decode; \
	fi

manifests: helm ## Render deploy/*.yaml from the chart
	deploy/render

clean: ## Remove what was built; the programs of the test cluster stay in ~/.cache/kube-assets
	cargo clean

toolchain:
	@command -v cargo >/dev/null || { echo 'cargo is missing: install the stable Rust toolchain with rustup'; exit 1; }
	@if ! command -v cc >/dev/null || [[ ! -e /usr/include/stdlib.h ]]; then \
		if [[ $$EUID == 0 ]] && command -v apt-get >/dev/null; then \
			apt-get -q update && apt-get -q install -y --no-install-recommends gcc libc6-dev; \
		else echo 'a C compiler is missing: install the packages gcc and libc6-dev'; exit 1; fi; fi

# Plugins are fetched from a real registry in the tests. RUNLEVEL keeps the package from starting one for the machine.
registry:
	@if ! command -v docker-registry >/dev/null; then \
		if [[ $$EUID == 0 ]] && command -v apt-get >/dev/null; then \
			apt-get -q update && RUNLEVEL=1 apt-get -q install -y --no-install-recommends docker-registry; \
		else echo 'docker-registry is missing, and the tests that need it will fail: apt-get install docker-registry'; fi; fi

# The chart is rendered with the real helm in the tests, and the plain manifests from the chart.
helm:
	@tests/helm-assets >/dev/null
