#!/usr/bin/env bash
# Fuzzes every target for some seconds: tests/fuzz/run.sh [SECONDS [TARGET...]]
#
# Starts from the corpus in tests/fuzz/corpus. Inputs that reach new code are kept in the target directory for the next
# run. A failing input is stored there too, and its path is printed: make a named test of it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds="${1:-60}"
targets=("${@:2}")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(ls tests/fuzz/corpus)

target_directory="${CARGO_TARGET_DIR:-target}"
found="$target_directory/fuzz"

# Instrumented crates have their own names in the build output. FUZZ_BUILD selects packages and features: those of another
# build, and the dependencies of that build are not compiled again.
read -ra selection <<<"${FUZZ_BUILD:---package fuzz}"
RUSTC_WORKSPACE_WRAPPER="$PWD/tests/fuzz/instrument.sh" \
    "${CARGO:-cargo}" build --locked "${selection[@]}" --bin fuzz

fuzz() {
    local target="$1" runs
    mkdir -p "$found/$target"
    # Limits per input: 5 s, and 1 GiB for the whole process. Settings and requests are no longer than 64 KiB here.
    FUZZ_TARGET="$target" "$target_directory/debug/fuzz" \
        -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -max_len=65536 \
        -artifact_prefix="$found/$target-" -print_final_stats=1 \
        "$found/$target" "tests/fuzz/corpus/$target" >"$found/$target.log" 2>&1 ||
        { tail -40 "$found/$target.log" >&2; return 1; }
    runs="$(sed -n 's/^stat::number_of_executed_units: *//p' "$found/$target.log")"
    echo "fuzz $target: $runs inputs in $seconds s, nothing found"
}
export -f fuzz
export found target_directory seconds

# One at a time for each core.
printf '%s\n' "${targets[@]}" | xargs --max-procs="$(nproc)" --max-args=1 bash -c 'fuzz "$1"' fuzz
