#!/usr/bin/env bash
# make lint: formatting and lints, warnings denied.
. "$(dirname "$0")/lib.sh"
"$REPO/scripts/deps.sh" build
cd "$REPO"
cargo fmt --all --check || die "run: make fmt"
unformatted=$(gofmt -l "${GO_MODULES[@]}"); [ -z "$unformatted" ] || die "run: make fmt (differs: $unformatted)"
for script in scripts/*.sh scripts/rootfs/*.sh node/packaging/*.sh operator/packaging/*.sh; do bash -n "$script"; done
scripts/refusals.sh
# Cargo reads every member of the workspace, also to build one: an image is built from all of them.
for member in $(sed -n '/^members = /,/^]/s/^ *"\(.*\)",$/\1/p' Cargo.toml); do
  grep -qxE "!(${member}|${member%%/*})" .dockerignore || die "$member is a member of the workspace and no image can be built without it: add !$member to .dockerignore"
done
# Always the whole workspace: another choice of packages means another set of features, and another build of the dependencies.
cargo clippy --release --locked --workspace --all-targets -- -D warnings
cargo clippy --release --locked --workspace --test e2e -- -D warnings
for module in "${GO_MODULES[@]}"; do (cd "$module" && CGO_ENABLED=0 go vet -trimpath ./...); done
