#!/usr/bin/env bash
# Installs, with Debian's package manager, what building and running the cluster needs; says what and why.
# deps.sh build|cluster|push|docs...   Does nothing when everything is there.
. "$(dirname "$0")/lib.sh"

declare -A NEEDS=(
  [build]="gcc:gcc g++:g++ make:make git:git pkg-config:pkg-config libclang:libclang-dev initdb:postgresql openssl:openssl"
  [cluster]="containerd:containerd runc:runc /usr/lib/cni/ptp:containernetworking-plugins iptables:iptables nft:nftables conntrack:conntrack ip:iproute2 ipset:ipset ethtool:ethtool socat:socat nsenter:util-linux busybox:busybox-static"
  [push]="skopeo:skopeo"
  [docs]="dot:graphviz"
)

have() {
  case $1 in
    # Not libclang-cpp, another library.
    libclang) compgen -G '/usr/lib/llvm-*/lib/libclang.so*' >/dev/null || ldconfig -p | grep -qE 'libclang(-[0-9.]+)?\.so' ;;
    # Debian keeps the server's programs out of PATH, by version.
    initdb) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ;;
    /*) [ -e "$1" ] ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

for tool in cargo go; do
  command -v $tool >/dev/null || die "$tool is not installed; install Rust (rustup.rs) and Go (go.dev/dl) first, the rest is installed for you"
done
missing=()
for group in "$@"; do
  for need in ${NEEDS[$group]}; do have "${need%%:*}" || missing+=("${need##*:}"); done
done
[ ${#missing[@]} -gt 0 ] || exit 0

say "not installed yet: ${missing[*]}"
command -v apt-get >/dev/null || die "this system has no apt-get; install these Debian packages' equivalents by hand: ${missing[*]}"
[ "$(id -u)" = 0 ] || die "installing them needs root; run: sudo apt-get update && sudo apt-get install --no-install-recommends ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
step apt-update "refreshing package lists" apt-get update
step apt-install "installing ${missing[*]}" apt-get install -y --no-install-recommends "${missing[@]}"
