# Everything a newcomer needs:   make demo   and   make test
# Nothing here needs Docker; root or sudo is used once, by `deps`, and only if something is missing.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

ARCH := $(shell uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
FOUNDRY := $(CURDIR)/contracts/node_modules/@foundry-rs
export PATH := $(FOUNDRY)/forge-linux-$(ARCH)/bin:$(FOUNDRY)/anvil-linux-$(ARCH)/bin:$(FOUNDRY)/cast-linux-$(ARCH)/bin:$(PATH)

# What Debian has to bring along.
PACKAGES := swtpm swtpm-tools libtss2-dev libtss2-tcti-swtpm0 pkg-config
# What the verifier's benches are measured against.
PEERS := tpm2-tools openssl

.NOTPARALLEL:
.PHONY: help deps build contracts demo devnet test test-rust test-contracts test-story soak deep bench fuzz interop generate lint

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 18

deps: contracts/node_modules/.package-lock.json ## Install what is missing: Debian packages and npm packages
	@missing=(); \
	for package in $(PACKAGES); do \
	  dpkg-query -W -f='$${Status}' "$$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$$package"); \
	done; \
	if [ $${#missing[@]} -gt 0 ]; then \
	  echo "installing $${missing[*]}"; \
	  sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -qq; \
	  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}"; \
	fi

contracts/node_modules/.package-lock.json: contracts/package-lock.json
	cd contracts && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# forge and cargo know themselves what is up to date.
contracts: deps
	cd contracts && forge build --skip 'test/**' --quiet

build: contracts ## Build everything
	cargo build --workspace

demo: build ## The whole story on real parts; the table and target/demo/summary.json say how it ended
	target/debug/devnet demo

devnet: build ## A network to play with until Ctrl-C; PORTS=1 for fixed ports; target/devnet/network.json describes it
	target/debug/devnet up $(if $(PORTS),--ports)

test: test-contracts test-rust test-story ## Every test: Solidity, Rust, and the story end to end

test-contracts: contracts
	cd contracts && FORGE_SNAPSHOT_CHECK=true forge test

test-rust: build
	@git grep -h '#\[ignore = ' -- '*.rs' | sed 's/.*#\[ignore = /left to `make deep`: /; s/\]$$//' || true
	@grep -qs avx512ifma /proc/cpuinfo || echo "left out: tests of the AVX-512 IFMA kernels: this processor has none"
	@if cargo nextest --version >/dev/null 2>&1; then \
	  cargo nextest run --workspace && cargo test --workspace --doc; \
	else \
	  cargo test --workspace; \
	fi

test-story: build
	target/debug/devnet demo --dir target/story

soak: build ## The story again and again: RUNS=10 of them, stopping at the first that fails
	@for run in $$(seq 1 $(or $(RUNS),10)); do \
	  SECONDS=0; \
	  target/debug/devnet demo --dir target/soak >target/soak.out || { cat target/soak.out; exit 1; }; \
	  echo "run $$run, $$SECONDS s, $$(tail -n 1 target/soak.out)"; \
	done

deep: build ## What takes too long for every day: many more random cases, keys and proofs of the standard profile
	PROPTEST_CASES=1024 cargo test --workspace --lib
	cargo test --workspace --tests -- --ignored
	cd contracts && FOUNDRY_FUZZ_RUNS=20000 FOUNDRY_INVARIANT_RUNS=256 forge test
	cargo run -q -p prover -- setup --profile standard --dir target/keys
	cargo run -q -p prover -- bench --profile standard --dir target/keys

bench: PACKAGES += $(PEERS)
bench: deps ## Figures beside those of peers in one run; ROWS="prove batch" for some of the prover's only
	cargo bench -q -p prover --bench table -- $(ROWS)
	$(if $(ROWS),,cargo bench -q -p verifier --bench peers)

# What cargo-fuzz would set, without a sanitizer: nearly all of the code is safe, and this way the stable compiler will do.
# With a target named, none of it goes to build scripts.
FUZZ_FLAGS := --cfg fuzzing -C passes=sancov-module -C codegen-units=1 \
  -C llvm-args=-sanitizer-coverage-level=4 -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
  -C llvm-args=-sanitizer-coverage-pc-table -C llvm-args=-sanitizer-coverage-trace-compares

# Each crate's targets; every one is a binary of `fuzz/` in that crate.
FUZZ_PROVER := lanes msm
FUZZ_VERIFIER := attest bundle cabinet certificate collateral crl ear eventlog ima pcrs policy revocation roots session snp tdx vek
FUZZ := $(FUZZ_PROVER:%=prover/%) $(FUZZ_VERIFIER:%=verifier/%)

fuzz: ## The parsers, and the kernel against arkworks, on bytes that libFuzzer looks for; SECONDS=60 for each of TARGETS="verifier/crl …"
	@host=$$(rustc -vV | sed -n 's/^host: //p'); for it in $(or $(TARGETS),$(FUZZ)); do \
	  target=$${it#*/}; cd $(CURDIR)/$${it%/*}/fuzz; \
	  mkdir -p target/corpus/$$target target/found; \
	  echo "$$it"; \
	  RUSTFLAGS="$(FUZZ_FLAGS)" cargo run -q --release --target "$$host" --bin $$target -- \
	    -max_total_time=$(or $(SECONDS),60) -print_final_stats=1 -artifact_prefix=target/found/ \
	    target/corpus/$$target corpus/$$target; \
	done

interop: ## Attestation results against Veraison's `ear` crate, both ways (needs libssl-dev); GENERATE=1 writes its tokens anew
	cd verifier/interop && $(if $(GENERATE),PROBITY_GENERATE=1) cargo test

generate: deps ## Write everything that is generated and committed: reasons, manifests, Solidity verifier, ABIs
	PROBITY_GENERATE=1 cargo test -q -p verifier --test it
	PROBITY_GENERATE=1 cargo test -q -p verifier --lib the_golden_file_is_up_to_date
	cargo run -q -p prover -- manifest --write
	cargo run -q -p prover -- solidity-verifier --profile dev --out contracts/src/StorageProofVerifier.sol
	cd contracts && forge fmt && forge build --skip 'test/**' && bin/abi && bin/layout && forge test

lint: deps ## What must hold before a commit
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	for crate in $(sort $(dir $(FUZZ))); do \
	  cargo fmt --manifest-path $${crate}fuzz/Cargo.toml --check; \
	  cargo clippy -q --locked --manifest-path $${crate}fuzz/Cargo.toml --target-dir target/fuzz --all-targets -- -D warnings; \
	done
	cargo check -q -p storage-node --lib --bins --no-default-features
	@! cargo tree -q -p storage-node -e normal --no-default-features -i tss-esapi-sys 2>/dev/null | grep . \
	  || { echo "storage-node without its feature \`tpm\` must not need libtss2"; exit 1; }
	cd contracts && forge fmt --check && forge build --skip 'test/**' --quiet && bin/abi --check && bin/layout --check
	cargo build -q --workspace
	target/debug/prover solidity-verifier --profile dev --out contracts/src/StorageProofVerifier.sol --check
	@if cargo deny --version >/dev/null 2>&1; then \
	  cargo deny --log-level error check bans licenses sources; \
	else \
	  echo "cargo-deny is not installed (cargo install cargo-deny --locked): licences, bans and sources are not checked here"; \
	fi
