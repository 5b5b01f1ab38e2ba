# What to do here. Every target takes options for its program: make demo ARGS='--count 100'
#
# Needed: a Rust toolchain (rustup takes the version from rust-toolchain.toml), a C and C++ compiler, make.

CARGO ?= cargo
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR
ARGS ?=

# A system test mostly waits: a plain one on embedded engines computes for a seventh of a core. Four at once leave
# two cores room for the bounds that some of them measure.
RUST_TEST_THREADS ?= 4
export RUST_TEST_THREADS

PROGRAMS := -p order-service -p processing-service -p embedded-broker -p tests -p auditor

# What a demo starts, and nothing else.
DEMO_PROGRAMS := -p order-service -p processing-service -p embedded-broker -p tests \
	--bin order-service --bin processing-service --bin embedded-broker --bin local-stack

.DEFAULT_GOAL := help
.PHONY: help demo chaos up test apache-kafka fuzz bench telemetry-cost overload neighbours lint fmt release

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST)

# Built to compile fast (profile `demo` in Cargo.toml): its figures are no benchmark.
demo: ## Replay real orders through the whole system and check the outcome
	$(CARGO) build --profile demo --locked $(DEMO_PROGRAMS)
	$(CARGO_TARGET_DIR)/demo/local-stack demo $(ARGS)

chaos: release ## Break things under load, by a seeded plan, and check the outcome
	$(CARGO_TARGET_DIR)/release/chaos $(ARGS)

up: release ## Start the whole system and keep it running until Ctrl-C
	$(CARGO_TARGET_DIR)/release/local-stack up $(ARGS)

test: ## Run every test; the system tests on embedded engines and on Apache Kafka with PostgreSQL
	CARGO=$(CARGO) tests/run.sh $(ARGS)

apache-kafka: ## Fetch Apache Kafka for --kafka apache (needs Java 17 and Maven)
	tests/apache-kafka/prepare.sh

fuzz: ## Fuzz all that decodes bytes from outside, a minute each; ARGS='600 events' for ten minutes of one
	CARGO=$(CARGO) tests/fuzz/run.sh $(ARGS)

bench: release ## Measure the pair beside its targets; ARGS='--quick' for four minutes, '--grow callers' for the cost by callers
	$(CARGO_TARGET_DIR)/release/bench $(ARGS)

telemetry-cost: release ## Measure what telemetry costs, side by side with none
	$(CARGO_TARGET_DIR)/release/telemetry-cost $(ARGS)

overload: release ## Offer order-service three times what it can do, and see what becomes of what it accepts
	$(CARGO_TARGET_DIR)/release/overload $(ARGS)

neighbours: release ## See what clients notice while processing-service is away, frozen or slow
	$(CARGO_TARGET_DIR)/release/neighbours $(ARGS)

lint: ## Check formatting, lints and the contract
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked $(ARGS) -- -D warnings

fmt: ## Format the code
	$(CARGO) fmt --all $(ARGS)

release: ## Build the programs with optimisation
	$(CARGO) build --release --locked $(PROGRAMS)
