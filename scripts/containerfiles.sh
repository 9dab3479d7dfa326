#!/usr/bin/env bash
# make containerfiles: builds both images from their Containerfiles, as a user does, and compares them with those that images.sh packs.
#   ENGINE=docker|podman|buildah (default: the first that is there); arguments go to its build command,
#   for example: scripts/containerfiles.sh --build-arg RUST_IMAGE=mirror.example/rust:1.95-bookworm
# The first build compiles RocksDB and the Kubernetes client in the container: 20 to 30 minutes on two cores.
. "$(dirname "$0")/lib.sh"
for engine in ${ENGINE:-docker podman buildah none}; do command -v "$engine" >/dev/null && break; done
command -v "$engine" >/dev/null || die "${ENGINE:-docker, podman or buildah} is not installed; install one, or choose it with ENGINE=docker|podman|buildah"

save() {
  case $engine in
    docker) docker save --output "$2" "$1" ;;
    podman) podman save --quiet --format docker-archive --output "$2" "$1" ;;
    buildah) buildah push --quiet "$1" "docker-archive:$2" ;;
    *) die "ENGINE is '$engine'; it is docker, podman or buildah" ;;
  esac
}

# compare NAME REF PROGRAM...
compare() {
  local name=$1 ref=$2 dir; shift 2
  [ -e "$IMAGES/$name.tar" ] || die "$IMAGES/$name.tar is not there to compare with; run: scripts/build.sh rust cluster && scripts/images.sh"
  dir=$(mktemp -d); trap 'rm -rf "$dir"' RETURN
  say "$engine build -f $name/packaging/Containerfile"
  "$engine" build -f "$REPO/$name/packaging/Containerfile" -t "$ref" "${arguments[@]}" "$REPO"
  save "$ref" "$dir/$name.tar"
  image_size "$ref" "$dir/$name.tar"
  "$BIN/status-cluster" image compare "$IMAGES/$name.tar" "$dir/$name.tar" ${@/#/--built=usr/bin/}
  say "$name: the same content and configuration as the packed image"
}

arguments=("$@")
compare node localhost/status-node:containerfile statusd node-tools
compare operator localhost/status-operator:containerfile status-operator
