#!/usr/bin/env bash
# make fuzz: every fuzz target for a while; needs a nightly toolchain and cargo-fuzz (cargo install cargo-fuzz).
#   FOR=600      seconds for each target
#   TARGET=name  this one alone
#   JOBS=2       targets at once; as many as there are cores
# It starts from fuzz/corpus and keeps what it finds in the cache, so that the next run goes on from there.
# What breaks a promise goes into fuzz/artifacts, and the run fails.
. "$(dirname "$0")/lib.sh"
FOR=${FOR:-600}
CORPUS=$CACHE/fuzz/corpus LOGS=$CACHE/log

# Runs one target and prints its line of the table.
# one NAME BINARY
one() {
  local name=$1 log=$LOGS/fuzz-$1.log verdict=ok artifacts=$REPO/fuzz/artifacts/$1
  mkdir -p "$CORPUS/$name" "$artifacts"
  "$2" -artifact_prefix="$artifacts/" -max_total_time="$FOR" -max_len=70000 -rss_limit_mb=1024 -timeout=10 -print_final_stats=1 \
    "$CORPUS/$name" "$REPO/fuzz/corpus/$name" >"$log" 2>&1 || verdict=FAILED
  stat() { sed -n "s/^stat::$1: *//p" "$log"; }
  printf '%-16s %12s %10s %8s %8s  %s\n' "$name" "$(stat number_of_executed_units)" "$(stat average_exec_per_sec)" \
    "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)" "$(stat peak_rss_mb)" "$verdict"
  [ "$verdict" = ok ] || { tail -n 25 "$log" >&2; die "$name broke a promise: the input is in fuzz/artifacts/$name, the output in $log"; }
}
if [ "${1:-}" = one ]; then one "$2" "$3"; exit; fi

command -v cargo-fuzz >/dev/null || die "cargo-fuzz is not installed; run: cargo install --locked cargo-fuzz"
cargo +nightly --version >/dev/null 2>&1 || die "no nightly toolchain: the fuzzer needs its sanitizers; run: rustup toolchain install nightly"
"$REPO/scripts/deps.sh" build
names=()
for path in "$REPO"/fuzz/fuzz_targets/*.rs; do
  name=$(basename "$path" .rs)
  if [ "${TARGET:-$name}" = "$name" ]; then names+=("$name"); fi
done
[ ${#names[@]} -gt 0 ] || die "there is no fuzz target $TARGET: see fuzz/fuzz_targets"
# Apart from the other builds: instrumented.
export CARGO_TARGET_DIR=$CACHE/fuzz
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
cd "$REPO"
step fuzz-build "two minutes the first time" cargo +nightly fuzz build
say "${#names[@]} targets, ${FOR} s each, ${JOBS:=$(nproc)} at once"
printf '%-16s %12s %10s %8s %8s\n' target executions per_second coverage peak_MB
printf '%s\n' "${names[@]}" | xargs -P "$JOBS" -I{} "$REPO/scripts/fuzz.sh" one {} "$CARGO_TARGET_DIR/$host/release/{}"
