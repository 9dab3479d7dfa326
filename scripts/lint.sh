#!/usr/bin/env bash
# make lint: formatting and lints, warnings denied.
. "$(dirname "$0")/lib.sh"
"$REPO/scripts/deps.sh" build
cd "$REPO"
cargo fmt --all --check || die "run: make fmt"
unformatted=$(gofmt -l e2e/cluster e2e/peers); [ -z "$unformatted" ] || die "run: make fmt (differs: $unformatted)"
for script in scripts/*.sh scripts/rootfs/*.sh node/packaging/*.sh operator/packaging/*.sh; do bash -n "$script"; done
cargo clippy --release --locked --workspace --all-targets -- -D warnings
for module in e2e/cluster e2e/peers; do (cd $module && CGO_ENABLED=0 go vet ./...); done
