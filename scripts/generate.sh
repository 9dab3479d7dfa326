#!/usr/bin/env bash
# make generate: writes every generated file; with --check, fails when a committed one differs.
. "$(dirname "$0")/lib.sh"
"$REPO/scripts/deps.sh" build docs
cd "$REPO"
cargo build --quiet --release --locked --workspace --all-targets
"$CARGO_TARGET_DIR/release/operator-generate" "$@"

# files made by tools, not by our own generator: NAME COMMAND...
made_by() {
  local file=$1 new; shift
  new=$(mktemp); trap 'rm -f "$new"' RETURN
  "$@" >"$new"
  cmp -s "$new" "$file" && return
  [ "$check" != --check ] || die "$file differs from what the code makes; run: make generate"
  cp "$new" "$file"; chmod 644 "$file"; say "wrote $file"
}
check=${1-}
made_by docs/architecture.svg dot -Tsvg docs/architecture.dot
made_by charts/status-operator-crds/definitions/statusnodes.yaml cat crds/statusnodes.yaml
helm=$BIN/status-cluster
[ -x "$helm" ] || "$REPO/scripts/build.sh" cluster
made_by manifests/install/crds.yaml "$helm" tool helm template status-operator-crds charts/status-operator-crds -n "$OPERATOR_NAMESPACE"
made_by manifests/install/operator.yaml "$helm" tool helm template status-operator charts/status-operator -n "$OPERATOR_NAMESPACE"
