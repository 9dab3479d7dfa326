#!/usr/bin/env bash
# Packs the node and the operator image from the cargo build: what their Containerfiles make, without a container engine.
. "$(dirname "$0")/lib.sh"

# pack NAME REF
pack() {
  local name=$1 ref=$2 root config
  root=$(mktemp -d); trap 'rm -rf "$root"' RETURN
  config=$("$BIN/status-cluster" image config "$REPO/$name/packaging/Containerfile")
  "$REPO/$name/packaging/rootfs.sh" "$CARGO_TARGET_DIR/release" "$root"
  "$BIN/status-cluster" image pack "$root" "$ref" "$config" "$IMAGES/$name.tar"
  image_size "$ref" "$IMAGES/$name.tar"
}

pack node "$NODE_IMAGE"
pack operator "$OPERATOR_IMAGE"
