#!/bin/sh
# Cargo calls this instead of rustc for the crates of this workspace: they are compiled with coverage instrumentation
# for libFuzzer. Dependencies are not instrumented, and are shared with every other build.
case " $* " in
    # Not for build scripts, which are programs without libFuzzer, nor for the compiler version query.
    *" --crate-name build_script_"* | *" -vV "*) exec "$@" ;;
esac
exec "$@" \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
