#!/usr/bin/env bash
# Compares a release build with another Kubernetes API server on this machine, in alternating rounds, and prints ratios
# (docs/benchmarks.md). The other server must be running already:
#   PEER_KUBECONFIG=… PEER_PIDS="PID PID" Scripts/compare.sh
# PEER_PIDS: every process of the other server, its database too: their CPU times are added up.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${PEER_KUBECONFIG:?the kubeconfig of the other server}" "${PEER_PIDS:?the process ids of the other server}"
apus=${APUS:-$PWD/.build/release/apus}
rounds=${ROUNDS:-3}
data=$(mktemp -d -t apus-compare.XXXXXX)
pid=
cleanup() {
  [[ -z $pid ]] || { kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null || true; }
  rm -rf "$data"
}
trap cleanup EXIT
"$apus" server --data-dir "$data/d" --kubeconfig "$data/kubeconfig" --port "${APUS_BENCH_PORT:-16443}" >"$data/log" 2>&1 &
pid=$!
until grep -q '^ready in' "$data/log"; do
  kill -0 "$pid" 2>/dev/null || { cat "$data/log"; exit 1; }
  sleep 0.05
done
loads=(
  "crud --requests ${REQUESTS:-5000} --size 1024"
  "list --pods ${PODS:-10000} --requests 20 --clients 4"
  "watch --watchers 1000 --changes 100 --rate 20 --clients 8"
)
run() { # run NAME KUBECONFIG PIDS LOAD…
  local name=$1 config=$2 pids=$3 flags=()
  shift 3
  for p in $pids; do flags+=(--pid "$p"); done
  "$apus" bench "$@" --kubeconfig "$config" --namespace "compare-$RANDOM$RANDOM" "${flags[@]}" --output json |
    sed "s/^{/{\"server\":\"$name\",/" >>"$data/results"
}
for load in "${loads[@]}"; do
  for ((round = 1; round <= rounds; round++)); do
    echo "round $round of $rounds: $load" >&2
    # shellcheck disable=SC2086
    run apus "$data/kubeconfig" "$pid" $load
    # shellcheck disable=SC2086
    run peer "$PEER_KUBECONFIG" "$PEER_PIDS" $load
  done
done
memory() { for p in $1; do awk '/^VmRSS/ { print $2 / 1024 }' "/proc/$p/status"; done | awk '{ s += $1 } END { printf "%d", s }'; }
python3 - "$data/results" "$(memory "$pid")" "$(memory "$PEER_PIDS")" <<'P'
import json, statistics, sys
rows = {}
for line in open(sys.argv[1]):
    r = json.loads(line)
    rows.setdefault(r["name"], {}).setdefault(r["server"], []).append(r)
print(f'{"":15}{"CPU µs":>12}{"peer":>12}{"ratio":>8}{"per second":>12}{"peer":>10}{"ratio":>8}{"p99 ms":>10}{"peer":>10}{"ratio":>8}')
for name, both in rows.items():
    m = lambda server, key: statistics.median(r.get(key, 0) for r in both[server])
    cells = []
    for key, invert, digits in (("serverMicrosecondsPerRequest", True, 1), ("perSecond", False, 0), ("p99Milliseconds", True, 1)):
        a, b = m("apus", key), m("peer", key)
        cells.append((a, b, (b / a if invert else a / b) if a and b else 0, digits))
    print(f"{name:15}" + "".join(f"{a:>{w}.{d}f}{b:>{v}.{d}f}{q:>7.1f}×" for (a, b, q, d), w, v in zip(cells, (12, 12, 10), (12, 10, 10))))
    bad = sum(r["failures"] for server in both.values() for r in server)
    if bad: print(f"  {bad} requests of {name} failed")
print(f"memory after all: {sys.argv[2]} MiB, peer {sys.argv[3]} MiB")
P
