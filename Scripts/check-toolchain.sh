#!/usr/bin/env bash
# Says clearly when the Swift toolchain, the one thing that cannot be installed from Debian, is missing or too old.
set -euo pipefail
if ! command -v swift >/dev/null; then
  cat >&2 <<'TEXT'
Apus is built with Swift 6.2 or newer, and no `swift` was found on PATH.
Install a toolchain from https://www.swift.org/install/linux/ (Debian 12), put its usr/bin on PATH, and try again.
TEXT
  exit 1
fi
version=$(swift --version 2>/dev/null | grep -oE 'Swift version [0-9]+\.[0-9]+' | grep -oE '[0-9]+\.[0-9]+' || true)
if [[ -z $version || $(printf '%s\n6.2\n' "$version" | sort -V | head -n 1) != 6.2 ]]; then
  echo "Apus is built with Swift 6.2 or newer; $(command -v swift) is ${version:-unknown}. Install a newer toolchain: https://www.swift.org/install/linux/" >&2
  exit 1
fi
