#!/usr/bin/env bash
# Prints the Swift sources that people write: all but generated ones.
cd "$(dirname "$0")/.."
ls -d Package.swift Sources/* Tests/* | grep -vE 'Sources/(Wire|CLinux|CSQLite|CZlib)|Tests/EndToEnd' || true
