#!/usr/bin/env bash
# make fuzz: every fuzz target for a while, one after the other; needs a nightly toolchain and cargo-fuzz (cargo install cargo-fuzz).
#   FOR=600      seconds for each target
#   TARGET=name  this one alone
# New inputs go into fuzz/corpus; what breaks a promise goes into fuzz/artifacts, and the run fails.
. "$(dirname "$0")/lib.sh"
command -v cargo-fuzz >/dev/null || die "cargo-fuzz is not installed; run: cargo install --locked cargo-fuzz"
cargo +nightly --version >/dev/null 2>&1 || die "no nightly toolchain: the fuzzer needs its sanitizers; run: rustup toolchain install nightly"
"$REPO/scripts/deps.sh" build
cd "$REPO/fuzz"
# Apart from the other builds: instrumented.
export CARGO_TARGET_DIR=$CACHE/fuzz
for path in fuzz_targets/*.rs; do
  name=$(basename "$path" .rs)
  [ "${TARGET:-$name}" = "$name" ] || continue
  say "$name: ${FOR:-600} s"
  cargo +nightly fuzz run "$name" -- -max_total_time="${FOR:-600}" -max_len=70000 -rss_limit_mb=1024 -print_final_stats=1 2>&1 | grep -E '^(stat::|==|SUMMARY|INFO: seed|Done|#[0-9]+.*DONE)' || die "$name: no result; run: cargo +nightly fuzz run $name"
  [ -z "$(ls artifacts/"$name" 2>/dev/null)" ] || die "$name broke a promise: see fuzz/artifacts/$name"
done
