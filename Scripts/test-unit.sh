#!/usr/bin/env bash
# Runs the unit tests that are built, and on failure says again at the end which ones failed and why: with two
# thousand lines before it, the summary alone does not tell.
#   test-unit.sh [option of swift test…]
set -euo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
swift test "$@" --skip-build 2>&1 | tee "$log" || status=$?
if ((status != 0)); then
  echo
  echo "What failed:"
  # An issue's line is followed by lines of detail; the summary comes last, where runners expect it.
  grep -a -A 6 -E '(✘|✗) .*(recorded an issue|Caught error)|Fatal error|error: Exited with' "$log" | grep -av -E '^[✔◇]' | cut -c1-1000 | head -200 || true
  grep -a -E '^(✘|✗) Test run with' "$log" || true
fi
exit "$status"
