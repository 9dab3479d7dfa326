#!/usr/bin/env bash
# Fails when a program that must stay small links RocksDB: the operator, the client, the tools and the other archive.
. "$(dirname "$0")/lib.sh"
cd "$REPO"
cargo tree --locked -p statusd -e normal --prefix none | grep -q '^rocksdb ' || die "statusd does not depend on rocksdb: this check looks for the wrong name"
for package in status-operator node-client node-tools archive-postgres; do
  ! cargo tree --locked -p $package -e normal --prefix none | grep -q '^rocksdb ' || die "$package depends on rocksdb"
done
