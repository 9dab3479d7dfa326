#!/usr/bin/env bash
# Raises a cluster, runs e2e/tests in its namespace `outside`, removes the cluster. Arguments go to the test program (a name filter).
# The cluster is not the one of `make up`: that one may stand beside it, untouched.
#   KEEP=1 takes the cluster that an earlier KEEP=1 left, if there is one, and leaves it for a look.
. "$(dirname "$0")/lib.sh"
export STATUS_CLUSTER_DIR=$CACHE/e2e-cluster
finish() {
  if [ -n "${KEEP-}" ]; then
    say "the cluster stays; look at it with STATUS_CLUSTER_DIR=$STATUS_CLUSTER_DIR $BIN/status-cluster kubectl …, remove it with … down"
  else
    "$BIN/status-cluster" down
  fi
}
trap finish EXIT
# What an interrupted run left.
[ -n "${KEEP-}" ] || "$BIN/status-cluster" down
"$BIN/status-cluster" up
"$BIN/status-cluster" image load "$IMAGES"/node.tar "$IMAGES"/operator.tar

program=$(cd "$REPO" && cargo test --release --locked --workspace --test e2e --no-run --message-format=json | sed -n 's/.*"name":"e2e".*"executable":"\([^"]*\)".*/\1/p')
[ -n "$program" ] || die "cargo built no e2e test program"
export STATUS_REPO=$REPO STATUS_BIN=$BIN STATUS_PROGRAMS=$CARGO_TARGET_DIR/release NODE_IMAGE OPERATOR_IMAGE
KUBECONFIG=$("$BIN/status-cluster" kubeconfig); export KUBECONFIG
say "end-to-end tests on the real cluster"
"$BIN/status-cluster" exec --in outside -- "$program" --test-threads="${TEST_THREADS:-3}" "$@"
