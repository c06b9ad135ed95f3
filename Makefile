# Everything a user or a developer of the event router runs. `make` alone lists it.

FIXTURES ?= tests/fixtures
WORKERS ?= 2
SECONDS ?= 60
SOAK ?= capture_kills worker_kills memory::consumers outage:: parked::a_kafka parked::while_the_blobs
CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help install build demo up down test soak lint fixtures bench fuzz

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

install: ## install what is missing: Debian packages, PostgreSQL with AGE, Kafka, Azurite, clients
	@tests/install/install.sh

build: install
	@echo "building the services (release); the first time takes some minutes"
	@$(CARGO) build --release --workspace --bins

demo: build ## see events flow through all sinks for 20 s; CHAOS=1 kills a worker, Kafka and capture meanwhile
	@target/release/stack demo $(if $(CHAOS),--chaos)

up: build ## start servers and services and leave them running; WORKERS=n; see .run/env
	@target/release/stack up --workers $(WORKERS)

down: ## stop what `make up` has started
	@test ! -x target/release/stack || target/release/stack down

test: install ## all tests, on real servers and in containers
	@tests/install/install.sh containers
	@$(CARGO) build --workspace --all-targets
	@$(CARGO) test --workspace --no-fail-fast

soak: install ## the long forms of the fault scenarios: 100 kills of capture, 50 of workers, 1,000,000 rows, five minutes without reading, sinks away for longer than all buffers
	@$(CARGO) build --workspace --all-targets
	@TWINROUTE_SOAK=1 $(CARGO) test --workspace --test scenarios -- --nocapture $(SOAK)

lint: install ## formatting, clippy, documentation, protocol
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet
	@tests/install/buf.sh lint proto

fixtures: ## run the cases of FIXTURES=DIR: events through decoder and renderers, filters
	@$(CARGO) run --quiet -p twinroute-tests --bin fixtures -- --dir $(FIXTURES)

bench: build ## measure capture and delivery to Kafka against pg_recvlogical on the same WAL
	@target/release/stack bench

fuzz: install ## run each fuzz target for SECONDS=n, on from the seeds in fuzz/seeds
	@tests/install/fuzz.sh $(SECONDS)
