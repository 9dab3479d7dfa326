#!/usr/bin/env bash
# rootfs.sh PROGRAMS ROOT: the content of the operator image, from the programs in PROGRAMS.
. "$(dirname "$0")/../../scripts/rootfs/common.sh"
programs=$1 root=$2
rootfs_base "$root"
rootfs_program "$root" "$programs/status-operator"
rootfs_resolver "$root"
