#!/usr/bin/env bash
# make up: a real cluster with the operator and a three-replica sample, canary green, addresses printed.
#   CLUSTER=own (default)   raises a Kubernetes of its own in network namespaces of this machine
#   CLUSTER=current         uses the cluster of your kubeconfig; then also one of
#     IMAGE_REPO=registry/you [IMAGE_TAG=dev]      images are pushed there, with the credentials of your container login
#       [IMAGE_USER=… IMAGE_PASSWORD=…]            or with these; the cluster then pulls with them too
#     LOAD='kind load image-archive'               a command that takes an image archive's path
. "$(dirname "$0")/lib.sh"

case ${CLUSTER:=own} in
  own) ;;
  current)
    [ -n "${IMAGE_REPO-}${LOAD-}" ] || die "CLUSTER=current needs a way to bring the images there: set IMAGE_REPO=registry/you, or LOAD='kind load image-archive'"
    [ -z "${IMAGE_REPO-}" ] || [ -z "${LOAD-}" ] || die "IMAGE_REPO and LOAD are both set; choose one way to bring the images to the cluster"
    [[ ${IMAGE_REPO-} != *://* && ${IMAGE_REPO-} != */ ]] || die "IMAGE_REPO is '$IMAGE_REPO'; write it without https:// and without a last slash, like registry.example/you"
    [ -n "${IMAGE_USER-}" ] && [ -n "${IMAGE_PASSWORD-}" ] || [ -z "${IMAGE_USER-}${IMAGE_PASSWORD-}" ] || die "IMAGE_USER and IMAGE_PASSWORD go together; one is missing"
    # Told now, not after a long build. Without a kubectl of the user's, the built-in one asks later.
    asks=${KUBECTL:-kubectl}
    ! command -v "${asks%% *}" >/dev/null || ask_cluster "$asks"
    ;;
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
  current_tools
  ask_cluster "$KUBECTL"
  if [ -n "${LOAD-}" ]; then
    read -ra load <<<"$LOAD"
    for name in node operator; do "${load[@]}" "$IMAGES/$name.tar" || die "'$LOAD $IMAGES/$name.tar' failed"; done
    export PULL_POLICY=Never
  else
    tag=${IMAGE_TAG:-dev} login=()
    if [ -n "${IMAGE_USER-}" ]; then
      REGISTRY_AUTH=$(mktemp); trap 'rm -f "$REGISTRY_AUTH"' EXIT; export REGISTRY_AUTH
      printf '{"auths":{"%s":{"auth":"%s"}}}' "${IMAGE_REPO%%/*}" "$(printf '%s:%s' "$IMAGE_USER" "$IMAGE_PASSWORD" | base64 -w0)" >"$REGISTRY_AUTH"
      login=(--authfile "$REGISTRY_AUTH")
    fi
    for name in node operator; do
      say "pushing $IMAGE_REPO/status-$name:$tag"
      skopeo copy --quiet "${login[@]}" "docker-archive:$IMAGES/$name.tar" "docker://$IMAGE_REPO/status-$name:$tag" ||
        die "pushing to $IMAGE_REPO failed; log in first (skopeo login ${IMAGE_REPO%%/*}), or set IMAGE_USER and IMAGE_PASSWORD"
    done
    NODE_IMAGE=$IMAGE_REPO/status-node:$tag OPERATOR_IMAGE=$IMAGE_REPO/status-operator:$tag
    export PULL_POLICY=Always
  fi
  export CANARY="$CARGO_TARGET_DIR/release/node-tools node-canary"
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
