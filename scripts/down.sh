#!/usr/bin/env bash
# make down: removes everything that make up made. With CLUSTER=current: from your cluster, and nothing else of it.
. "$(dirname "$0")/lib.sh"

# remove_namespace NAME: with all that is in it, if make up made it
remove_namespace() {
  local made; made=$("${kubectl[@]}" get namespace "$1" --ignore-not-found -o go-template="{{or (index .metadata.labels \"$MADE_BY_UP\") \"false\"}}")
  case $made in
    true)
      say "deleting namespace $1"
      "${kubectl[@]}" delete namespace "$1" >/dev/null ;;
    false) say "namespace $1 was there before make up, and stays; what is left of the sample in it: kubectl get pvc,secrets -n $1" ;;
  esac
}

case ${CLUSTER:-own} in
  own)
    if [ -x "$BIN/status-cluster" ]; then "$BIN/status-cluster" down; else say "nothing to remove"; fi
    ;;
  current)
    current_tools
    ask_cluster "$KUBECTL"
    read -ra kubectl <<<"$KUBECTL"; read -ra helm <<<"$HELM"
    crd=$("${kubectl[@]}" get crd statusnodes.status.im --ignore-not-found -o name)
    # The operator sees to the end of the sample, so it goes last.
    [ -z "$crd" ] || "${kubectl[@]}" delete statusnode -n "$SAMPLE_NAMESPACE" "$SAMPLE_NAME" --ignore-not-found
    remove_namespace "$SAMPLE_NAMESPACE"
    for release in status-operator status-operator-crds; do "${helm[@]}" uninstall -n "$OPERATOR_NAMESPACE" "$release" --ignore-not-found; done
    remove_namespace "$OPERATOR_NAMESPACE"
    # Deleting the definition deletes every StatusNode of the cluster.
    others=$([ -z "$crd" ] || "${kubectl[@]}" get statusnodes -A -o jsonpath='{range .items[*]}{.metadata.namespace}/{.metadata.name} {end}')
    if [ -n "$others" ]; then
      say "other StatusNodes are in this cluster, so their definition stays: $others"
    else
      "${kubectl[@]}" delete crd statusnodes.status.im --ignore-not-found
    fi
    ;;
  *) die "CLUSTER is '$CLUSTER'; it is 'own' (the default) or 'current'" ;;
esac
