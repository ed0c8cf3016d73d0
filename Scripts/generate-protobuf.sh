#!/usr/bin/env bash
# Generates Sources/WireCRI from Protos/*.proto. Needs protoc (Debian: protobuf-compiler); the Swift plugins are built
# from the versions that Package.resolved names. SCRATCH chooses the build folder.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=${SCRATCH:-.build}
command -v protoc >/dev/null || { echo "protoc is missing: apt-get install protobuf-compiler" >&2; exit 1; }
for plugin in protoc-gen-swift protoc-gen-grpc-swift-2; do
    swift build --scratch-path "$scratch" --product "$plugin"
done
plugins=$(swift build --scratch-path "$scratch" --show-bin-path)
out=Sources/WireCRI
rm -f "$out"/*.pb.swift "$out"/*.grpc.swift
protoc --proto_path=Protos \
    --plugin=protoc-gen-swift="$plugins/protoc-gen-swift" \
    --plugin=protoc-gen-grpc-swift-2="$plugins/protoc-gen-grpc-swift-2" \
    --swift_out="$out" --swift_opt=Visibility=Public \
    --grpc-swift-2_out="$out" --grpc-swift-2_opt=Visibility=Public,Client=true,Server=false \
    Protos/*.proto
