#!/usr/bin/env bash
# make down: removes everything that make up made. With CLUSTER=current: the sample and the operator, from your cluster.
. "$(dirname "$0")/lib.sh"
if [ "${CLUSTER:-own}" = current ]; then
  KUBECTL=${KUBECTL:-kubectl} HELM=${HELM:-helm}
  $KUBECTL delete namespace "$SAMPLE_NAMESPACE" --ignore-not-found
  for release in status-operator status-operator-crds; do $HELM uninstall -n "$OPERATOR_NAMESPACE" "$release" --ignore-not-found; done
  $KUBECTL delete crd statusnodes.status.im --ignore-not-found
  $KUBECTL delete namespace "$OPERATOR_NAMESPACE" --ignore-not-found
elif [ -x "$BIN/status-cluster" ]; then
  "$BIN/status-cluster" down
else
  say "nothing to remove"
fi
