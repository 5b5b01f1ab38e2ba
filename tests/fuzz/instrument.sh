#!/bin/sh
# Cargo calls this instead of rustc for the crates of this workspace: they are compiled so that libFuzzer sees which code
# an input reaches. The dependencies stay as they are, and are shared with every other build.
case " $* " in
    # A build script is a program of its own, without libFuzzer; so is the question which compiler this is.
    *" --crate-name build_script_"* | *" -vV "*) exec "$@" ;;
esac
exec "$@" \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
