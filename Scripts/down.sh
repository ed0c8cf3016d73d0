#!/usr/bin/env bash
# Stops the installed cluster and removes what it set up on the machine; with --purge also its data.
set -euo pipefail
apus=$1 data=$2; shift 2
if [[ -d /run/systemd/system ]] && systemctl is-enabled --quiet apus.service 2>/dev/null; then
  systemctl disable --now apus.service
fi
# A copy of the cluster's kubeconfig that `make up` made goes with the cluster.
kubeconfig=${KUBECONFIG:-$HOME/.kube/config}
if [[ " $* " == *" --purge "* ]] && cmp -s "$data/pki/admin.kubeconfig" "$kubeconfig"; then rm "$kubeconfig"; fi
"$apus" down --data-dir "$data" "$@"
