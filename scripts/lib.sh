# Shared by the scripts in this folder: where things are kept, how progress is told. Sourced, never run.
set -euo pipefail
REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Long builds are kept outside the checkout, so that a fresh clone finds them again.
CACHE=${STATUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/status-node}
BIN=$CACHE/bin
IMAGES=$CACHE/images
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}
export STATUS_CLUSTER_DIR=${STATUS_CLUSTER_DIR:-$CACHE/cluster}
export PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$BIN" "$IMAGES"

: "${NODE_IMAGE:=localhost/status-node:dev}" "${OPERATOR_IMAGE:=localhost/status-operator:dev}"
OPERATOR_NAMESPACE=status-system
SAMPLE_NAMESPACE=status
SAMPLE_NAME=mail
GO_MODULES=(e2e/cluster e2e/peers e2e/discv5)
# Label of the namespaces that `make up` made.
MADE_BY_UP=status.im/made-by-make-up

began=$SECONDS
say() { printf '\033[1m[%3ds]\033[0m %s\n' $((SECONDS - began)) "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Runs a long command with its output in a log; prints its name, its length, and the end of the log if it fails.
# step NAME HINT COMMAND...
step() {
  local name=$1 hint=$2 log start; shift 2
  log=$CACHE/log/$name.log; mkdir -p "$CACHE/log"; start=$SECONDS
  say "$name: $hint"
  if ! "$@" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    die "$name failed after $((SECONDS - start)) s; the whole output is in $log"
  fi
  say "$name: done in $((SECONDS - start)) s"
}

# Tells the size of an image archive; fails when it is over the 60 MB that an image may have.
# image_size REF ARCHIVE
image_size() {
  local mb=$((($(stat -c %s "$2") + 999999) / 1000000))
  [ "$mb" -le 60 ] || die "image $1 has $mb MB; it may have 60"
  say "image $1: $mb MB"
}

# kubectl and Helm for the cluster of the user's kubeconfig: the user's own, else those that are built in.
current_tools() {
  export KUBECTL=${KUBECTL:-kubectl} HELM=${HELM:-helm}
  command -v "${KUBECTL%% *}" >/dev/null || KUBECTL="$BIN/status-cluster tool kubectl"
  command -v "${HELM%% *}" >/dev/null || HELM="$BIN/status-cluster tool helm"
}

# ask_cluster KUBECTL: says which cluster that is, or why it cannot be used
ask_cluster() {
  local kubectl context answer; read -ra kubectl <<<"$1"
  context=$("${kubectl[@]}" config current-context 2>/dev/null) || die "your kubeconfig chooses no cluster; set KUBECONFIG, or: kubectl config use-context NAME"
  answer=$("${kubectl[@]}" --request-timeout=10s get --raw /readyz 2>&1) || die "the cluster of context '$context' does not answer: $answer"
  say "your cluster: context $context"
}

# Waits for background jobs started with `&`; fails when one of them failed.
join() { local pid; for pid in "$@"; do wait "$pid" || exit 1; done; }
