#!/usr/bin/env bash
# Installs the Debian packages that Apus needs. Idempotent; quick when all of them are there.
#   install-packages.sh run     what a node needs to run
#   install-packages.sh build   the above and what building needs
#   install-packages.sh test    the above and what the end-to-end tests need
set -euo pipefail

run=(containerd runc containernetworking-plugins nftables iproute2 conntrack haproxy libsqlite3-0 libjemalloc2 ca-certificates tzdata)
build=(make git libsqlite3-dev libjemalloc-dev zlib1g-dev binutils)
test=(gcc libc6-dev python3-dev curl unzip jq busybox-static redis-server umoci skopeo docker-registry python3 python3-pip python3-venv util-linux procps)

packages=("${run[@]}")
case "${1:-run}" in
  run) ;;
  build) packages+=("${build[@]}") ;;
  test) packages+=("${build[@]}" "${test[@]}") ;;
  *) echo "usage: $0 run|build|test" >&2; exit 2 ;;
esac

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if ((${#missing[@]} == 0)); then exit 0; fi
if ((EUID != 0)); then
  echo "These packages are missing: ${missing[*]}. Install them as root: apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "Installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# Debian would start the packages' services; Apus runs a containerd of its own, and tests a registry and redis of theirs.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod 755 "$policy"; trap 'rm -f "$policy"' EXIT
fi
apt-get install -q -y --no-install-recommends "${missing[@]}"
