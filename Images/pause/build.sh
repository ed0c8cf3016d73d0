#!/usr/bin/env bash
# Assembles the pause programs and writes their bytes to Sources/ContainerRuntime/Pause/PauseProgram.swift.
# Needs clang, lld and llvm-objcopy, which come with the Swift toolchain. Run again only when the .S files change.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=../../Sources/ContainerRuntime/Pause/PauseProgram.swift
mkdir -p "$(dirname "$out")"
bytes() {
    clang --target="$1-linux-gnu" -nostdlib -static -fuse-ld=lld -Wl,--build-id=none,-s,-N,-z,noexecstack \
        -o "$work/pause-$1" "pause-$1.S"
    llvm-objcopy --strip-sections "$work/pause-$1"
    od -An -v -tx1 "$work/pause-$1" | tr -d ' \n' | fold -w 100 | sed 's/^/        /'
    echo
}
{
    echo '// Written by Images/pause/build.sh from the assembly source beside it; not edited by hand.'
    echo
    echo '/// The pause program as static ELF files, in hexadecimal.'
    echo 'enum PauseProgram {'
    echo '    static let x86_64 = """'
    bytes x86_64
    echo '        """'
    echo '    static let aarch64 = """'
    bytes aarch64
    echo '        """'
    echo '}'
} > "$work/PauseProgram.swift"
mv "$work/PauseProgram.swift" "$out"
