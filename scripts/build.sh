#!/usr/bin/env bash
# Builds the programs. build.sh [rust] [cluster] [peers]; each part is skipped by its own build tool when nothing changed.
. "$(dirname "$0")/lib.sh"

first() { [ -e "$1" ] && echo "checking for changes" || echo "$2"; }

build_rust() {
  # One invocation for all, tests included: with any other choice the dependencies have other features, and most of them
  # (RocksDB not) would be built again when one of the two commands follows the other.
  # Cargo prints each crate as it is compiled; on a terminal with a progress bar.
  say "rust: $(first "$CARGO_TARGET_DIR/release/statusd" "first build, RocksDB and the Kubernetes client included: 20 to 30 minutes on two cores")"
  local start=$SECONDS
  (cd "$REPO" && cargo build --release --locked --workspace --all-targets) || die "the Rust build failed; see above"
  say "rust: done in $((SECONDS - start)) s"
}

# Kubernetes reports this as its version; it must be the one in e2e/cluster/go.mod.
build_cluster() {
  local version; version=$(sed -n 's/^\tk8s.io\/kubernetes \(v[0-9.]*\).*/\1/p' "$REPO/e2e/cluster/go.mod")
  [ -n "$version" ] || die "e2e/cluster/go.mod names no k8s.io/kubernetes version"
  local pkg=k8s.io/component-base/version minor=${version#v1.}
  (cd "$REPO/e2e/cluster" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$BIN/status-cluster.new" \
    -ldflags "-s -w -X $pkg.gitVersion=$version -X $pkg.gitMajor=1 -X $pkg.gitMinor=${minor%%.*}" ./cmd/status-cluster)
  mv "$BIN/status-cluster.new" "$BIN/status-cluster"
}

build_peers() {
  (cd "$REPO/e2e/peers" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$BIN/status-peer.new" .)
  mv "$BIN/status-peer.new" "$BIN/status-peer"
  (cd "$REPO/e2e/discv5" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$BIN/status-discv5.new" .)
  mv "$BIN/status-discv5.new" "$BIN/status-discv5"
}

jobs=()
for part in "$@"; do
  case $part in
    rust) build_rust & jobs+=($!) ;;
    cluster) step build-cluster "$(first "$BIN/status-cluster" "first build of Kubernetes and etcd: 6 to 12 minutes on two cores")" build_cluster & jobs+=($!) ;;
    peers) step build-peers "$(first "$BIN/status-peer" "first build of the independent peers: 1 to 2 minutes")" build_peers & jobs+=($!) ;;
    *) die "unknown part '$part'; parts are rust, cluster, peers" ;;
  esac
done
join "${jobs[@]}"
