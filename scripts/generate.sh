#!/usr/bin/env bash
# make generate: writes every generated file; with --check, fails when a committed one differs.
. "$(dirname "$0")/lib.sh"
cd "$REPO"
cargo run --quiet --release --locked -p operator-generate -- "$@"
