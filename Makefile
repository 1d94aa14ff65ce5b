# Every target does its own set-up; `make` alone lists them. ARGS is handed to demo, bench and e2e.

SHELL := /bin/bash
ARGS ?=
# How long `make fuzz` runs, and how many cases the property tests try where cargo-fuzz is missing.
FUZZ_SECONDS ?= 60
FUZZ_CASES ?= 20000
EXAMPLES := $(patsubst plugins/examples/%/plugin.wit,%,$(wildcard plugins/examples/*/plugin.wit))
SCRIPTS := .ci/run tests/e2e/run tests/e2e/kube-assets tests/e2e/prometheus-assets tests/e2e/real-cluster tests/e2e/lib.sh tests/e2e/promises/*.sh

.DEFAULT_GOAL := help
.PHONY: help build plugins languages demo test e2e bench check fuzz clean toolchain registry

help: ## List the targets
	@sed -n 's/^\([a-z0-9]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r target text; do \
		printf '  make %-9s %s\n' "$$target" "$$text"; done

build: toolchain ## Build the release binary, target/release/metrics-gateway
	cargo build --release -p metrics-gateway

plugins: toolchain ## Build the first-party plugins, target/plugins/NAME.wasm
	cargo build -p metrics-gateway --bin metrics-gateway
	target/debug/metrics-gateway plugin build --output target/plugins/ $(patsubst %/Cargo.toml,%,$(wildcard plugins/*/Cargo.toml))

# Fetches a compiler for each language the first time, a gigabyte in all.
languages: toolchain ## Build the plugins of plugins/examples; each answers the cases of the one in Rust
	cargo build -p metrics-gateway --bin metrics-gateway
	target/debug/metrics-gateway plugin build $(EXAMPLES:%=plugins/examples/%)
	@for language in $(EXAMPLES); do (set -x; target/debug/metrics-gateway plugin test --cpu 500ms \
		--cases plugins/skip-sidecars/cases.toml plugins/examples/$$language/target/skip-sidecars.wasm) || exit 1; done

demo: toolchain ## Run the gateway on a cluster that fits in a process; ARGS=--once prints one table and exits
	cargo build --release -p metrics-gateway -p metrics-gateway-tests --bin metrics-gateway --bin demo
	cargo run --quiet --release -p metrics-gateway-tests --bin demo -- $(ARGS)

# The integration tests start the real binary, which `cargo test` alone builds only for a package's own tests.
test: toolchain registry ## Run the unit, property and integration tests; needs no root
	cargo build --workspace --bins
	cargo test --workspace
	@echo 'The end-to-end suite, in a real Kubernetes cluster, is: make e2e'

e2e: ## Run the gateway in a real Kubernetes cluster on this machine; needs root on Debian; ARGS=hpa runs what is named so
	tests/e2e/run $(ARGS)

bench: toolchain ## Measure CPU, memory and latency against a simulated fleet; see ARGS=--help
	cargo build --release -p metrics-gateway -p metrics-gateway-tests --bin metrics-gateway --bin bench
	cargo run --quiet --release -p metrics-gateway-tests --bin bench -- $(ARGS)

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
