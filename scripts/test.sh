#!/usr/bin/env bash
# make test: unit and property tests, then what is shown on a real cluster that is raised for it and removed after it.
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" = 0 ] || die "the tests raise a cluster in network namespaces: run as root"
"$REPO/scripts/deps.sh" build cluster
"$REPO/scripts/build.sh" rust cluster peers
export STATUS_PEER_BIN=$BIN/status-peer STATUS_DISCV5_BIN=$BIN/status-discv5 STATUS_CLUSTER_BIN=$BIN/status-cluster

say "unit tests (Rust)"
(cd "$REPO" && cargo test --release --locked --workspace)
say "unit tests (Go)"
for module in "${GO_MODULES[@]}"; do (cd "$REPO/$module" && CGO_ENABLED=0 go test -trimpath ./...); done

"$REPO/scripts/rocksdb-free.sh"
"$REPO/scripts/images.sh"
"$REPO/scripts/e2e.sh"
say "all tests passed"
