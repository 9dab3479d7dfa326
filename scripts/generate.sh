#!/usr/bin/env bash
# make generate: writes every generated file; with --check, fails when a committed one differs.
. "$(dirname "$0")/lib.sh"
"$REPO/scripts/deps.sh" build
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

# The picture depends on the fonts of the machine, so it is checked by its source: it ends with the checksum of what it was drawn from.
picture() {
  local mark; mark="<!-- drawn from $(sha256sum <docs/architecture.dot | cut -d' ' -f1) -->"
  [ "$(tail -n 1 docs/architecture.svg)" != "$mark" ] || return 0
  [ "$check" != --check ] || die "docs/architecture.svg was drawn from another docs/architecture.dot; run: make generate"
  "$REPO/scripts/deps.sh" docs
  dot -Tsvg docs/architecture.dot >docs/architecture.svg
  echo "$mark" >>docs/architecture.svg
  say "wrote docs/architecture.svg"
}

check=${1-}
picture
made_by charts/status-operator-crds/definitions/statusnodes.yaml cat crds/statusnodes.yaml
helm=$BIN/status-cluster
[ -x "$helm" ] || "$REPO/scripts/build.sh" cluster
made_by manifests/install/crds.yaml "$helm" tool helm template status-operator-crds charts/status-operator-crds -n "$OPERATOR_NAMESPACE"
made_by manifests/install/operator.yaml "$helm" tool helm template status-operator charts/status-operator -n "$OPERATOR_NAMESPACE"
