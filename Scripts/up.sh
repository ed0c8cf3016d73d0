#!/usr/bin/env bash
# Starts the installed cluster: as a systemd service where systemd runs the machine, else as a process of its own.
# Idempotent. Prints what to do next.
set -euo pipefail
apus=$1 data=$2
kubeconfig=${KUBECONFIG:-$HOME/.kube/config}
port=${APUS_PORT:-6443}

running() { "$apus" status --data-dir "$data" >/dev/null 2>&1; }
wait_ready() {
  for _ in $(seq 240); do
    running && return 0
    sleep 0.25
  done
  return 1
}

if running; then
  echo "The cluster in $data is running already."
else
  echo "Starting the cluster in $data"
  if [[ -d /run/systemd/system && $data == /var/lib/apus ]]; then
    systemctl daemon-reload
    systemctl enable --now apus.service
  else
    mkdir -p "$data/logs"
    setsid nohup "$apus" up --data-dir "$data" --port "$port" >"$data/logs/apus.log" 2>&1 </dev/null &
  fi
  if ! wait_ready; then
    echo "The cluster did not become ready. Its last words:" >&2
    if [[ -f $data/logs/apus.log ]]; then tail -n 20 "$data/logs/apus.log" >&2; else journalctl -u apus -n 20 >&2; fi
    exit 1
  fi
fi
if [[ ! -e $kubeconfig ]]; then
  mkdir -p "$(dirname "$kubeconfig")"
  install -m 600 "$data/pki/admin.kubeconfig" "$kubeconfig"
  hint="(copied to $kubeconfig)"
else
  hint="(export KUBECONFIG=$data/pki/admin.kubeconfig)"
fi
cat <<TEXT

Apus is ready.
  kubeconfig   $data/pki/admin.kubeconfig $hint
  Kubernetes   https://127.0.0.1:$port
  Mesos        http://127.0.0.1:5050  (agent: 5051)
  Marathon     http://127.0.0.1:8080/v2
  Metronome    http://127.0.0.1:9000/v1  (Chronos: 4400)

Try:
  kubectl get nodes
  kubectl create deployment web --image=<image> --replicas=3
  curl -X POST 127.0.0.1:8080/v2/apps -H 'Content-Type: application/json' \\
    -d '{"id": "/hello", "cmd": "exec python3 -m http.server \$PORT0", "cpus": 0.1, "mem": 32}'
  apus status --data-dir $data

Stop with \`make down\` (workloads too), or just the server with: kill \$(head -n 1 $data/run/lock)
TEXT
