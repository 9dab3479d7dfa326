#!/usr/bin/env bash
# make up: a real cluster with the operator and a three-replica sample, canary green, addresses printed.
#   CLUSTER=own (default)   raises a Kubernetes of its own in network namespaces of this machine
#   CLUSTER=current         uses the cluster of your kubeconfig; then also one of
#     IMAGE_REPO=registry/you [IMAGE_TAG=dev]      images are pushed there, with the credentials of your container login
#     LOAD='kind load image-archive'               a command that takes an image archive's path
. "$(dirname "$0")/lib.sh"

case ${CLUSTER:=own} in
  own) ;;
  current) [ -n "${IMAGE_REPO-}${LOAD-}" ] || die "CLUSTER=current needs a way to bring the images there: set IMAGE_REPO=registry/you, or LOAD='kind load image-archive'" ;;
  *) die "CLUSTER is '$CLUSTER'; it is 'own' (the default) or 'current'" ;;
esac

if [ "$CLUSTER" = own ]; then
  [ "$(id -u)" = 0 ] || die "the cluster makes network namespaces and starts containerd: run as root, or use your own cluster with CLUSTER=current"
  "$REPO/scripts/deps.sh" build cluster
else
  "$REPO/scripts/deps.sh" build ${IMAGE_REPO:+push}
fi
"$REPO/scripts/build.sh" rust cluster
"$REPO/scripts/images.sh"

if [ "$CLUSTER" = own ]; then
  "$BIN/status-cluster" up
  "$BIN/status-cluster" image load "$IMAGES"/node.tar "$IMAGES"/operator.tar
  export KUBECTL="$BIN/status-cluster kubectl" HELM="$BIN/status-cluster helm" PULL_POLICY=Never
  export CANARY="$BIN/status-cluster exec --in outside -- $CARGO_TARGET_DIR/release/node-tools node-canary"
else
  if [ -n "${LOAD-}" ]; then
    read -ra load <<<"$LOAD"
    for name in node operator; do "${load[@]}" "$IMAGES/$name.tar" || die "'$LOAD $IMAGES/$name.tar' failed"; done
    export PULL_POLICY=Never
  else
    tag=${IMAGE_TAG:-dev}
    for name in node operator; do
      say "pushing $IMAGE_REPO/status-$name:$tag"
      skopeo copy --quiet "docker-archive:$IMAGES/$name.tar" "docker://$IMAGE_REPO/status-$name:$tag" ||
        die "pushing to $IMAGE_REPO failed; log in first, for example: skopeo login ${IMAGE_REPO%%/*}"
    done
    NODE_IMAGE=$IMAGE_REPO/status-node:$tag OPERATOR_IMAGE=$IMAGE_REPO/status-operator:$tag
    export PULL_POLICY=Always
  fi
  export KUBECTL="${KUBECTL:-kubectl}" HELM="${HELM:-helm}" CANARY="$CARGO_TARGET_DIR/release/node-tools node-canary"
  command -v "${KUBECTL%% *}" >/dev/null || KUBECTL="$BIN/status-cluster tool kubectl"
  command -v "${HELM%% *}" >/dev/null || HELM="$BIN/status-cluster tool helm"
fi
export NODE_IMAGE OPERATOR_IMAGE
"$REPO/scripts/install.sh"

if [ "$CLUSTER" = own ]; then
  cat <<M

The cluster stays until: make down
  kubectl:  $BIN/status-cluster kubectl -n $SAMPLE_NAMESPACE get statusnodes -o wide
  a client: $BIN/status-cluster exec --in outside -- $CARGO_TARGET_DIR/release/node-tools statusctl connect ENODE
M
fi
