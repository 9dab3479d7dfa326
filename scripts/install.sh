#!/usr/bin/env bash
# Installs the CRDs and the operator by Helm, applies the three-replica sample, and follows it until the canary is green.
# Expects KUBECTL, HELM and CANARY (commands) and the images' names in the environment, and REGISTRY_AUTH, a file of
# registry credentials, when the images are pulled with one; see up.sh.
. "$(dirname "$0")/lib.sh"
read -ra kubectl <<<"$KUBECTL"; read -ra helm <<<"$HELM"; read -ra canary <<<"$CANARY"

# namespace NAME: makes it, unless there is one. Only those that are made here are labelled, and only these does `make down` delete.
namespace() {
  "${kubectl[@]}" get namespace "$1" >/dev/null 2>&1 || "${kubectl[@]}" create -f - >/dev/null <<M
{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "$1", "labels": {"$MADE_BY_UP": "true", "pod-security.kubernetes.io/enforce": "restricted"}}}
M
}
namespace "$OPERATOR_NAMESPACE"
namespace "$SAMPLE_NAMESPACE"

sample=$REPO/manifests/samples/mailserver.yaml pull=() show=(cat "$sample")
if [ -n "${REGISTRY_AUTH-}" ]; then
  for name in "$OPERATOR_NAMESPACE" "$SAMPLE_NAMESPACE"; do
    "${kubectl[@]}" create secret generic status-registry -n "$name" --type=kubernetes.io/dockerconfigjson \
      --from-file=.dockerconfigjson="$REGISTRY_AUTH" --dry-run=client -o json | "${kubectl[@]}" apply -f - >/dev/null
  done
  pull=(--set "imagePullSecrets[0].name=status-registry")
  show=("${kubectl[@]}" patch --local -f "$sample" --type=merge -p '{"spec":{"imagePullSecrets":[{"name":"status-registry"}]}}' -o json)
fi

say "installing the CRDs and the operator by Helm"
"${helm[@]}" upgrade --install status-operator-crds "$REPO/charts/status-operator-crds" -n "$OPERATOR_NAMESPACE" >/dev/null
# The annotation is the image's content: its name stays the same from build to build, and a pod that runs an older one must go.
"${helm[@]}" upgrade --install status-operator "$REPO/charts/status-operator" -n "$OPERATOR_NAMESPACE" \
  --set-string "podAnnotations.status\.im/image=$(sha256sum <"$IMAGES/operator.tar" | cut -c1-16)" \
  --set image.repository="${OPERATOR_IMAGE%:*}" --set image.tag="${OPERATOR_IMAGE##*:}" --set image.pullPolicy="$PULL_POLICY" \
  --set nodeImage="$NODE_IMAGE" "${pull[@]}" --wait --timeout 3m >/dev/null || {
  "${kubectl[@]}" -n "$OPERATOR_NAMESPACE" get pods >&2
  "${kubectl[@]}" -n "$OPERATOR_NAMESPACE" get events --field-selector type=Warning --sort-by=.lastTimestamp >&2
  die "the operator is not up; its pods and what went wrong with them are above"
}

say "applying manifests/samples/mailserver.yaml"
"${show[@]}" | "${kubectl[@]}" apply -n "$SAMPLE_NAMESPACE" -f -

sn=("${kubectl[@]}" -n "$SAMPLE_NAMESPACE" get statusnode "$SAMPLE_NAME")
say "waiting for Ready (kubectl get statusnodes -n $SAMPLE_NAMESPACE)"
# The watch prints a line for each change of the columns; it ends when Ready is there or the time is up.
"${sn[@]}" --watch --no-headers >&2 & watch=$!
"${kubectl[@]}" -n "$SAMPLE_NAMESPACE" wait --for=condition=Ready "statusnode/$SAMPLE_NAME" --timeout=240s >/dev/null && ready=1 || ready=
kill "$watch" 2>/dev/null; wait "$watch" 2>/dev/null || true
if [ -z "$ready" ]; then
  "${kubectl[@]}" -n "$SAMPLE_NAMESPACE" describe statusnode "$SAMPLE_NAME" >&2
  "${kubectl[@]}" -n "$SAMPLE_NAMESPACE" get pods,services >&2
  die "statusnode/$SAMPLE_NAME is not Ready after 240 s; its conditions are above"
fi

enodes=$("${sn[@]}" -o jsonpath='{range .status.nodes[*]}{.enode}{"\n"}{end}')
[ -n "$enodes" ] || die "statusnode/$SAMPLE_NAME publishes no enode"
while read -r enode; do
  say "canary: post an envelope to ${enode##*@} and read it back from its history"
  "${canary[@]}" -mailserver "$enode" -post -log ERROR || die "the canary failed for $enode"
done <<<"$enodes"
say "canary green"

"${kubectl[@]}" -n "$SAMPLE_NAMESPACE" get statusnodes
printf '\n%s\n\n' "$enodes"
"$CARGO_TARGET_DIR/release/node-tools" statusctl qr "$(head -n 1 <<<"$enodes")"
