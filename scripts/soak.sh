#!/usr/bin/env bash
# make soak: the end-to-end tests that take too long for every run, from what is built. What they print goes to the file
# OUT too, with the commit and the machine: by default docs/evidence/soak-<date>.txt, to be committed before a release.
. "$(dirname "$0")/lib.sh"
OUT=${OUT:-$REPO/docs/evidence/soak-$(date +%F).txt}
{
  echo "$ make soak"
  echo "commit $(git -C "$REPO" rev-parse --short HEAD), $(nproc) processors, Linux $(uname -r), $(date -u +'%F %R') UTC"
  echo
} >"$OUT"
TEST_THREADS=1 "$REPO/scripts/e2e.sh" --ignored --nocapture soak:: 2>&1 | tee -a "$OUT"
