#!/usr/bin/env bash
# rootfs.sh PROGRAMS ROOT: the content of the node image, from the programs in PROGRAMS.
. "$(dirname "$0")/../../scripts/rootfs/common.sh"
programs=$1 root=$2
rootfs_base "$root"
rootfs_program "$root" "$programs/statusd"
rootfs_program "$root" "$programs/node-tools"
rootfs_resolver "$root"
ln -s node-tools "$root/usr/bin/node-canary"
ln -s node-tools "$root/usr/bin/statusctl"
ln -s node-tools "$root/usr/bin/bootnode"
