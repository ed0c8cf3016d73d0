#!/usr/bin/env bash
# Measures a release build on this machine: start, memory, pods, API. Prints a table; docs/benchmarks.md says what it means.
set -euo pipefail
cd "$(dirname "$0")/.."
if ((EUID != 0)); then echo "The benchmark starts a cluster: run it as root." >&2; exit 1; fi
Scripts/install-packages.sh test
PATH=$(Scripts/fetch-kubectl.sh):$PATH
apus=${APUS:-$PWD/.build/release/apus}
data=$(mktemp -d -t apus-bench.XXXXXX)
export KUBECONFIG=$data/kubeconfig
pid=
cleanup() {
  [[ -z $pid ]] || { kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null || true; }
  "$apus" down --data-dir "$data" --purge >/dev/null 2>&1 || true
  rm -rf "$data"
}
trap cleanup EXIT

now() { date +%s%N; }
seconds() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", (b - a) / 1e9 }'; }
start() {
  : >"$data/log"
  "$apus" up --data-dir "$data" --kubeconfig "$KUBECONFIG" --port "${APUS_BENCH_PORT:-16443}" >"$data/log" 2>&1 &
  pid=$!
  until grep -q '^ready in' "$data/log"; do
    kill -0 "$pid" 2>/dev/null || { cat "$data/log"; exit 1; }
    sleep 0.02
  done
}
stop() { kill "$pid"; wait "$pid" || true; pid=; }
rss() { awk '/^VmRSS/ { printf "%d", $2 / 1024 }' "/proc/$1/status"; }

start; stop
start
echo "start to ready, existing data     $(grep -o '[0-9.]* s$' "$data/log")"
sleep 20
echo "idle memory of apus               $(rss "$pid") MiB"

# An image without registry: Debian's static busybox.
work=$data/image; mkdir -p "$work/root/bin"
install -m 755 "$(command -v busybox)" "$work/root/bin/busybox"
ln -s busybox "$work/root/bin/sh"; ln -s busybox "$work/root/bin/sleep"
umoci init --layout "$work/oci"; umoci new --image "$work/oci:1"
umoci insert --image "$work/oci:1" "$work/root" / >/dev/null
umoci config --image "$work/oci:1" --config.env PATH=/bin
skopeo copy -q "oci:$work/oci:1" "docker-archive:$work/image.tar:bench.local/sleep:1"
"$apus" image import "$work/image.tar" --data-dir "$data" >/dev/null

pods() { # pods COUNT: creates them at once; says when the last one ran, as a watch saw it
  "$apus" bench schedule --kubeconfig "$KUBECONFIG" --namespace "bench-$RANDOM" --nodes 0 --pods "$1" --clients 4 --output json \
    --image bench.local/sleep:1 --command sleep 3600 |
    awk -F'"p999Milliseconds":' '/"name":"running"/ { split($2, a, /[,}]/); printf "%.2f", a[1] / 1000 }'
}
pods 1 >/dev/null
sleep 5
echo "1 pod: create to Running          $(pods 1) s"
sleep 5
echo "20 pods: create to Running        $(pods 20) s"
echo
"$apus" bench crud --kubeconfig "$KUBECONFIG" --clients 64 --requests "${APUS_BENCH_REQUESTS:-20000}" --size 1024 --pid "$pid"
echo
echo "memory of apus after the load     $(rss "$pid") MiB"
