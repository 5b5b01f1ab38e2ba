#!/usr/bin/env bash
# Builds the collector of builder-config.yaml from its Go modules, once (about three minutes), and prints its path. It is kept
# beside the build output of the project.
#
# Exits with 2 where there is no Go, or one that is too old to fetch a newer one, and with 1 if the build fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

configuration=deploy/observability/collector/builder-config.yaml
version="$(sed -n 's/^  version: //p' "$configuration")"

# Go 1.21 is the first that fetches the release which a module asks for.
oldest_go=21

target="${CARGO_TARGET_DIR:-target}"
mkdir -p "$target/ci-tools"
home="$(cd "$target/ci-tools" && pwd)/otelcol-$version"
collector="$home/otelcol"

if [ ! -x "$collector" ]; then
    command -v go >/dev/null || exit 2
    minor="$(go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')"
    [ "${minor:-0}" -ge "$oldest_go" ] || exit 2
    mkdir -p "$home"
    cp "$configuration" "$home"
    (cd "$home" && go run "go.opentelemetry.io/collector/cmd/builder@v$version" --config builder-config.yaml) \
        >"$home/build.log" 2>&1 || { tail -n 20 "$home/build.log" >&2; exit 1; }
    mv "$home/build/otelcol" "$collector"
    rm -rf "$home/build"
fi
echo "$collector"
