#!/usr/bin/env bash
# make bench: the budget table of this machine. Starts its own nodes on loopback and ends them. Arguments go to `statusctl bench table`.
. "$(dirname "$0")/lib.sh"
"$REPO/scripts/deps.sh" build
"$REPO/scripts/build.sh" rust
say "each row: paired runs on fresh nodes, medians; other work on this machine shows in the figures"
"$CARGO_TARGET_DIR/release/node-tools" statusctl bench table --statusd "$CARGO_TARGET_DIR/release/statusd" "$@"
