#!/usr/bin/env bash
# Makes a Python with the unmodified pymesos in .tools/pymesos, and says where its python is. Idempotent.
#
# pymesos's parser of HTTP, http-parser 0.9.0, comes with C code that Python 3.11 no longer compiles; the same source
# compiles when Cython translates it anew.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$PWD/.tools/pymesos
if ! "$venv/bin/python" -c 'import pymesos' 2>/dev/null; then
  work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet 'setuptools<81' wheel 'Cython<3'
  "$venv/bin/pip" download --quiet --no-deps --no-binary :all: --no-build-isolation --dest "$work" http-parser==0.9.0
  tar -xzf "$work"/http*parser-0.9.0.tar.gz -C "$work"
  source=$(find "$work" -mindepth 1 -maxdepth 1 -type d)
  rm -f "$source/http_parser/parser.c"
  "$venv/bin/cython" "$source/http_parser/parser.pyx" 2>/dev/null
  "$venv/bin/pip" install --quiet --no-build-isolation "$source"
  "$venv/bin/pip" install --quiet --no-build-isolation pymesos==0.3.15
fi
echo "$venv/bin/python"
