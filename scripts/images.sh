#!/usr/bin/env bash
# Packs the node and the operator image from the cargo build: the content of the Containerfiles, without a container engine.
. "$(dirname "$0")/lib.sh"

# pack NAME REF ENTRYPOINT PORTS
pack() {
  local name=$1 ref=$2 entrypoint=$3 ports=$4 root
  root=$(mktemp -d); trap 'rm -rf "$root"' RETURN
  "$REPO/$name/packaging/rootfs.sh" "$CARGO_TARGET_DIR/release" "$root"
  "$BIN/status-cluster" image pack "$root" "$ref" \
    "{\"User\":\"65532:65532\",\"Env\":[\"PATH=/usr/bin\",\"SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt\"],\"WorkingDir\":\"/\",\"Entrypoint\":[\"$entrypoint\"],\"ExposedPorts\":{$ports}}" \
    "$IMAGES/$name.tar"
  say "image $ref: $(($(stat -c %s "$IMAGES/$name.tar") / 1000000)) MB"
}

pack node "$NODE_IMAGE" /usr/bin/statusd '"30303/tcp":{},"30303/udp":{},"8545/tcp":{},"9090/tcp":{}'
pack operator "$OPERATOR_IMAGE" /usr/bin/status-operator '"8080/tcp":{}'
