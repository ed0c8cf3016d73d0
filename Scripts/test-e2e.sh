#!/usr/bin/env bash
# Runs the end-to-end tests: the release binary, the real kubectl, containerd, nftables and a registry.
#   test-e2e.sh [pytest arguments…]
set -euo pipefail
cd "$(dirname "$0")/.."
if ((EUID != 0)); then echo "The end-to-end tests need root: run them with sudo." >&2; exit 1; fi
Scripts/install-packages.sh test
tools=$(Scripts/fetch-kubectl.sh)
if ! .tools/venv/bin/python -c 'import pytest, marathon, chronos' 2>/dev/null; then
  python3 -m venv .tools/venv
  .tools/venv/bin/pip install --quiet 'pytest>=8,<10' 'marathon==0.13.0' 'chronos-python==1.2.1'
fi
PYMESOS=${PYMESOS:-$(Scripts/pymesos.sh)}; export PYMESOS
export PATH=$tools:$PATH APUS=${APUS:-$PWD/.build/release/apus}
exec .tools/venv/bin/pytest -p no:cacheprovider --tb=short -q Tests/EndToEnd "$@"
