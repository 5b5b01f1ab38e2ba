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
.PHONY: help demo chaos up sales test rename cluster-test image-test images apache-kafka fuzz bench load compare guide lint fmt release

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

# A table of its own in .local/sales. A second one, to rebuild it while this one serves:
# make sales SALES_GENERATION=sales-2 SALES_LISTEN=127.0.0.1:8091
sales: ## Show what the stack of `make up` sells, per product and day, at http://127.0.0.1:8090
	$(CARGO) build --release --locked -p sales-view
	mkdir -p .local/sales
	cd .local/sales && $(abspath $(CARGO_TARGET_DIR))/release/sales-view $(ARGS)

test: ## Run every test; the system tests on embedded engines and on Apache Kafka with PostgreSQL
	CARGO=$(CARGO) tests/run.sh $(ARGS)

cluster-test: ## Apply the manifests to a real API server with fake nodes; needs Go, and builds it once in ten minutes
	deploy/cluster/test.sh $(ARGS)

image-test: ## Build the images without a container engine and run them as the manifests say; as root, with buildah and runc
	deploy/image-test.sh $(ARGS)

images: ## Build and push the images of a release: ARGS='REGISTRY VERSION'; needs Docker with BuildKit
	deploy/build.sh $(ARGS)

apache-kafka: ## Fetch Apache Kafka for --kafka apache (needs Java 17 and Maven)
	tests/apache-kafka/prepare.sh

fuzz: ## Fuzz all that decodes bytes from outside, a minute each; ARGS='600 events' for ten minutes of one
	CARGO=$(CARGO) tests/fuzz/run.sh $(ARGS)

bench: release ## Measure the pair beside its targets; ARGS='--quick' for four minutes, --help for more
	$(CARGO_TARGET_DIR)/release/bench $(ARGS)

load: release ## Load-test a stack of its own, or --target URL; ARGS=--find-knee for the greatest rate that it sustains
	$(CARGO_TARGET_DIR)/release/orders-load $(ARGS)

compare: release ## Run the same orders synchronously, asynchronously and both; ARGS='--quick' for three minutes instead of fifteen
	$(CARGO_TARGET_DIR)/release/compare $(ARGS)

# The pages of docs/guide are plain Markdown; the book adds search and a dark theme.
guide: ## Build the guide as a book (needs mdbook); docs/guide/README.md is its first page as it is
	@command -v mdbook >/dev/null || { echo "mdbook is not installed: cargo install mdbook --locked"; \
		echo "Without it, the guide can be read as it is: docs/guide/README.md"; exit 1; }
	mdbook build docs/guide
	@echo "the guide is .local/guide/index.html"

lint: ## Check formatting, lints and the contract
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked $(ARGS) -- -D warnings

fmt: ## Format the code
	$(CARGO) fmt --all $(ARGS)

release: ## Build the programs with optimisation
	$(CARGO) build --release --locked $(PROGRAMS)

# Until the pair has a name of your own: rename.py removes these lines, and itself.
rename: ## Give the pair a name of your own, once: make rename NAME=bookings [ORG=com.acme]
	./rename.py '$(NAME)' $(ORG) $(ARGS)
