# The two commands: `make up` and `make test`. `make` alone prints this list.
.DEFAULT_GOAL := help
.PHONY: help up down test e2e soak generate check-generated fmt lint deny containerfiles bench fuzz

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

up: ## a real Kubernetes on this machine with the operator and three nodes, canary green (CLUSTER=current: on yours)
	@scripts/up.sh

down: ## remove everything that `make up` made
	@scripts/down.sh

test: ## unit, property and end-to-end tests
	@scripts/test.sh

e2e: ## the end-to-end tests alone, from what is built; E2E=name runs those that match
	@scripts/e2e.sh $(E2E)

soak: ## the end-to-end tests that take too long for make test, from what is built; output to docs/evidence
	@scripts/soak.sh

generate: ## write the CRD, samples, rendered manifests and reference pages from the code
	@scripts/generate.sh

check-generated: ## fail when a generated file differs from what the code makes
	@scripts/generate.sh --check

fmt: ## format Rust and Go
	@cargo fmt --all
	@gofmt -w e2e/cluster e2e/peers e2e/discv5

lint: ## formatting and lints, warnings denied
	@scripts/lint.sh

bench: ## what the node costs on this machine, beside its budgets (takes long; ROW=text runs the rows that match)
	@scripts/bench.sh $(if $(ROW),--row "$(ROW)")

fuzz: ## every fuzz target for FOR seconds (600), TARGET=name for one (needs nightly and cargo-fuzz)
	@scripts/fuzz.sh

deny: ## licences, bans and sources of the dependencies (needs cargo-deny)
	@cargo deny check bans licenses sources

containerfiles: ## build the images from their Containerfiles and compare them with the packed ones (docker, podman or buildah)
	@scripts/containerfiles.sh
