#!/usr/bin/env bash
# Raises a cluster, runs e2e/tests in its namespace `outside`, removes the cluster. Arguments go to the test program (a name filter).
#   KEEP=1 leaves the cluster for a look; a cluster that is already up is refused, its content would be in the way.
. "$(dirname "$0")/lib.sh"
"$BIN/status-cluster" status >/dev/null 2>&1 && [ -z "${KEEP-}" ] && die "a cluster is up; remove it first: make down"
finish() { [ -n "${KEEP-}" ] || "$BIN/status-cluster" down; }
trap finish EXIT
"$BIN/status-cluster" up
"$BIN/status-cluster" image load "$IMAGES"/node.tar "$IMAGES"/operator.tar

program=$(cd "$REPO" && cargo test --release --locked --workspace --test e2e --no-run --message-format=json | sed -n 's/.*"name":"e2e".*"executable":"\([^"]*\)".*/\1/p')
[ -n "$program" ] || die "cargo built no e2e test program"
export STATUS_REPO=$REPO STATUS_BIN=$BIN STATUS_PROGRAMS=$CARGO_TARGET_DIR/release NODE_IMAGE OPERATOR_IMAGE
KUBECONFIG=$("$BIN/status-cluster" kubeconfig); export KUBECONFIG
say "end-to-end tests on the real cluster"
"$BIN/status-cluster" exec --in outside -- "$program" --test-threads="${TEST_THREADS:-3}" "$@"
